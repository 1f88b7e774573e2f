//! The SDK for Sitewright templates.
//!
//! Sitewright turns website orders into finished websites. The programs that generate the sites are
//! *templates*: WebAssembly components that the host runs in a sandbox, in a fresh instance for
//! each order, without file system, network or real clock. This crate has everything that a
//! template can do:
//!
//! | | |
//! |---|---|
//! | [`Template`], [`Manifest`], [`export!`] | defining a template and exporting it |
//! | [`order`] | the order: validated colours, opening hours, phone number, locale and texts |
//! | [`ai`] | AI calls: text, or JSON parsed as a Rust type |
//! | [`Site`] | writing files |
//! | [`Error`], [`Context`] | errors with their chain of causes |
//! | [`progress`], [`log`], [`report`] | progress, logs and diagnostics |
//! | [`testing`] | running a template in `cargo test` |
//! | [`guide`] | how-to pages with tested examples |
//!
//! # A template
//!
//! `Cargo.toml`: a library with the crate types `cdylib` for the component and `rlib` for tests.
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
//! /// The copy of the page. These comments are sent to the model.
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
//! /// The page. Askama escapes the inserted values.
//! #[derive(askama::Template)]
//! #[template(
//!     askama = sitewright_sdk::askama,
//!     ext = "html",
//!     source = "<!doctype html><html lang=\"{{ order.locale }}\">\
//!               <title>{{ order.business_name }}</title>\
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
//! `cargo build --release --target wasm32-wasip2` builds the component, a `.wasm` file that the
//! host loads as it is. With `debug = "line-tables-only"` in the profile, failure records name the
//! template's functions and lines.
//!
//! The component allocates with [Talc](https://docs.rs/talc), configured to use as little memory as
//! possible while a template waits for AI calls. A template with a `#[global_allocator]` of its own
//! depends on this crate with `default-features = false`.
//!
//! # Rules for every template
//!
//! - **Order data is untrusted input,** and so are replies of models. Add them to prompts with
//!   [`Ask::data`](ai::Ask::data), which the host delimits, or [`ai::data()`], and to pages with
//!   askama's escaping, never with `format!` into HTML.
//! - **Run independent AI calls concurrently**, with [`join!`], [`try_join!`] or [`join_all`].
//! - **Stream only to report progress.** The chunks of [`Ask::stream`](ai::Ask::stream) are not
//!   validated, and after the first chunk the host does not retry the call.
//! - **Fail early, with context.** `?` keeps all causes and blames the AI calls that caused the
//!   error, so that a retry sends only those again. The host discards an incomplete site.
//! - **Propagate the errors of [`Site::write`].** A file that was not written is missing in the
//!   site.
//! - **A panic fails the run too.** The failure record has its message and location, but no chain
//!   of causes as for an [`Error`].
//! - **Time and randomness are virtual.** The same order with the same replies yields the same
//!   site, byte for byte.

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
pub use site::{FileWriter, Site, WriteError, WriteErrorKind};
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

/// The items that most templates need: `use sitewright_sdk::prelude::*;`.
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
        Color, Cta, Day, DayHours, Hours, HoursNote, Legal, Locale, MenuItem, MenuSection, Niche,
        Order, Person, Phone, Photo, Place, Post, Price, Range, Testimonial, Tone,
    };
}

/// Exports a [`Template`] as the component of its crate. Use it once in a crate, in any module.
///
/// In a native build it only checks that the type implements [`Template`], so that `cargo test`
/// works.
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

/// Exports a [`Template`] as the component of its crate. Use it once in a crate, in any module.
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
