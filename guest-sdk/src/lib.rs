//! What the author of a Sitewright template depends on.
//!
//! Sitewright turns website orders into finished websites. The programs that make the sites are
//! *templates*: WebAssembly components that the host runs in a sandbox, one fresh instance for each
//! order, without files, network or clock. All that a template can do stands in this crate:
//!
//! | | |
//! |---|---|
//! | [`Template`], [`Manifest`], [`export!`] | what a template is, and how it becomes a component |
//! | [`order`] | what the customer wants: an [`Order`](order::Order) with checked colours, hours, phone and locale |
//! | [`ai`] | asking models, for a purpose: text, or JSON read as a Rust type |
//! | [`Site`] | writing files |
//! | [`Error`], [`Context`] | failing, with everything that led to it |
//! | [`progress`], [`log`], [`report`] | telling what goes on |
//! | [`testing`] | running a template in a plain `cargo test` |
//! | [`guide`] | how to do all that, one question a page, with examples that run |
//!
//! # A template
//!
//! `Cargo.toml`: a library of the types `cdylib` (the component) and `rlib` (the tests).
//!
//! ```toml
//! [lib]
//! crate-type = ["cdylib", "rlib"]
//!
//! [dependencies]
//! sitewright-sdk = "0.1"
//! ```
//!
//! `src/lib.rs`:
//!
//! ```
//! use sitewright_sdk::prelude::*;
//!
//! struct OnePage;
//!
//! /// What the copywriter gives back. Models read these comments.
//! #[derive(Deserialize, JsonSchema)]
//! #[serde(crate = "sitewright_sdk::serde")]
//! #[schemars(crate = "sitewright_sdk::schemars")]
//! struct Copy {
//!     /// At most eight words.
//!     headline: String,
//!     /// One paragraph about the business.
//!     about: String,
//! }
//!
//! /// The page. Askama escapes what it inserts.
//! #[derive(askama::Template)]
//! #[template(
//!     askama = sitewright_sdk::askama,
//!     ext = "html",
//!     source = "<!doctype html><html lang={{ order.locale.to_string() }}><title>{{ order.business_name }}</title>\
//!               <h1>{{ copy.headline }}</h1><p>{{ copy.about }}</p>"
//! )]
//! struct Page<'a> {
//!     order: &'a Order,
//!     copy: &'a Copy,
//! }
//!
//! impl Template for OnePage {
//!     fn manifest() -> Manifest {
//!         Manifest::new("one-page", env!("CARGO_PKG_VERSION"), "A single page with a headline.")
//!             .purpose("copywriting", "the headline and the paragraph below it")
//!             .locale("en")
//!             .locale("pt-BR")
//!     }
//!
//!     async fn generate(order: Order, site: Site) -> Result<()> {
//!         progress("copy", 0, 1);
//!         let copy: Copy = ai::ask("copywriting")
//!             .system("You write for small businesses, in the language of the given locale.")
//!             .user(format!("Locale: {}. Write the copy for this business.", order.locale))
//!             .data("name", &order.business_name)
//!             .json()
//!             .await
//!             .context("while writing the copy")?;
//!         let html = askama::Template::render(&Page { order: &order, copy: &copy })?;
//!         site.write("index.html", html)?;
//!         Ok(())
//!     }
//! }
//!
//! sitewright_sdk::export!(OnePage);
//! # fn main() {
//! let run = testing::Harness::scripted(r#"
//!     [[rule]]
//!     answer = { json = { headline = "Bread <3", about = "Since 1990." } }
//! "#).run::<OnePage>(testing::sample_order());
//! run.result.as_ref().unwrap();
//! assert!(run.text("index.html").contains("<h1>Bread &#60;3</h1>"));
//! # }
//! ```
//!
//! `cargo build --release --target wasm32-wasip2` makes the component; with `debug =
//! "line-tables-only"` in the profile, failure records name its functions and lines. The host loads
//! the `.wasm` file as it is.
//!
//! The component allocates with [Talc](https://docs.rs/talc), set up so that a template that waits for AI touches as little memory as it
//! can. A template that brings a `#[global_allocator]` of its own takes this crate with
//! `default-features = false`.
//!
//! # What to know
//!
//! - **Order data is written by strangers.** Put it into prompts with [`Ask::data`](ai::Ask::data)
//!   or [`ai::data()`], into pages with askama's escaping, never with `format!` into HTML.
//! - **Ask at once what does not depend on each other**: [`join!`], [`try_join!`] or [`join_all`].
//!   The calls run side by side.
//! - **Read along only where somebody watches**: [`Ask::stream`](ai::Ask::stream) gives the text
//!   while the model writes, to tell how far it is. What comes is unchecked, and after its first
//!   chunk a call is not tried again.
//! - **Fail early and say why.** `?` keeps all causes and blames the AI calls they come from, so
//!   that a retry asks only those again. Half a site is worth nothing: the host throws it away.
//! - **Pass on what [`Site::write`] returns.** A file that was not written is missing on the site.
//! - **A panic is a failure too**; its message and place reach the record, but not the causes an
//!   [`Error`] would have.
//! - **Time and randomness are virtual.** The same order with the same replies makes the same site,
//!   byte for byte.

#[cfg(target_family = "wasm")]
#[doc(hidden)]
#[path = "guest.rs"]
pub mod __guest;

pub mod ai;
#[cfg(all(target_arch = "wasm32", feature = "allocator"))]
mod allocator;
mod backend;
mod diagnostics;
mod error;
#[cfg(doc)]
pub mod guide;
mod site;
mod stall;
mod template;
#[cfg(not(target_family = "wasm"))]
pub mod testing;

#[cfg(target_family = "wasm")]
pub(crate) use __guest as guest;

pub use diagnostics::{Diagnostic, Level, Severity, log, progress, report};
pub use error::{Context, Error, Result};
pub use site::{Site, WriteError, WriteErrorKind};
pub use template::{AiPurpose, Manifest, Template};

pub use askama;
pub use futures;
pub use futures::{
    future::{join_all, try_join_all},
    join, try_join,
};
pub use schemars;
pub use serde;
pub use serde_json;
pub use sitewright_order as order;

/// All that a template's source usually names: `use sitewright_sdk::prelude::*;`.
pub mod prelude {
    #[cfg(not(target_family = "wasm"))]
    pub use crate::testing;
    pub use crate::{
        Context, Diagnostic, Error, Level, Manifest, Result, Severity, Site, Template, WriteError,
        WriteErrorKind, ai, ai::Error as AiError, ai::ErrorKind as AiErrorKind, askama, futures,
        join, join_all, log, progress, report, schemars, serde, serde_json, try_join, try_join_all,
    };
    pub use schemars::JsonSchema;
    pub use serde::{Deserialize, Serialize};
    pub use sitewright_order::{
        Color, Cta, Day, DayHours, Hours, Locale, Niche, Order, Phone, Range, Testimonial, Tone,
    };
}

/// Makes a crate's component of a [`Template`]. Once in a crate, in any module.
///
/// Natively it only checks that the type is a template, so that the crate builds for `cargo test`
/// as well.
#[cfg(not(target_family = "wasm"))]
#[macro_export]
macro_rules! export {
    ($template:ty) => {
        const _: () = {
            const fn is_a_template<T: $crate::Template>() {}
            is_a_template::<$template>()
        };
    };
}

/// Makes a crate's component of a [`Template`]. Once in a crate, in any module.
#[cfg(target_family = "wasm")]
#[macro_export]
macro_rules! export {
    ($template:ty) => {
        #[allow(unsafe_code, reason = "the component's exports")]
        const _: () = {
            type Component = $crate::__guest::Component<$template>;
    $crate::__guest::bindings::export_component!(Component with_types_in $crate::__guest::bindings);
        };
    };
}
