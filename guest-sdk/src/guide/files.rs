//! Pages, images and styles.
//!
//! [`Site::write`](crate::Site::write) takes a relative path and bytes. A file can be written once.
//! The site is published only if the run succeeds and the site passes the host's checks: no broken
//! links, an `alt` for each image, a language, no placeholders.
//! [`Site::create`](crate::Site::create) writes a large file in chunks, and
//! [`Site::exists`](crate::Site::exists) says whether a file is there.
//!
//! Pages are [askama] templates: they are checked at compile time and escape the
//! inserted values. Include images, styles and other files in the component with `include_str!` and
//! `include_bytes!`: a template has no file system at run time.
//!
//! ```
//! use sitewright_sdk::prelude::*;
//!
//! // In a project: const LOGO: &[u8] = include_bytes!("../assets/logo.svg");
//! const LOGO: &[u8] = b"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 1 1\"/>";
//! // In a project: include_str!("../assets/site.css")
//! const STYLE: &str = "body { font: 1.1rem/1.5 sans-serif; } h1 { color: var(--brand, #234); }";
//!
//! // In a project: `path = "about.html"`, a file in the folder `templates`.
//! #[derive(askama::Template)]
//! #[template(
//!     askama = sitewright_sdk::askama,
//!     ext = "html",
//!     source = r#"<!doctype html>
//! <html lang="{{ order.locale }}">
//! <head>
//! <title>{{ order.business_name }}</title>
//! <link rel="stylesheet" href="../assets/site.css">
//! </head>
//! <body{% if let Some(color) = order.primary_color %} style="--brand: {{ color }}"{% endif %}>
//! <img src="../assets/logo.svg" alt="" width="64" height="64">
//! <h1>{{ order.business_name }}</h1>
//! </body>
//! </html>"#
//! )]
//! struct About<'a> {
//!     order: &'a Order,
//! }
//!
//! struct Pages;
//!
//! impl Template for Pages {
//!     fn manifest() -> Manifest {
//!         Manifest::new("pages", "0.1.0", "A page with a logo.").locale("pt-BR")
//!     }
//!
//!     async fn generate(order: Order, site: Site) -> Result<()> {
//!         site.write("assets/logo.svg", LOGO)?;
//!         site.write("assets/site.css", STYLE)?;
//!         site.write("about/index.html", askama::Template::render(&About { order: &order })?)?;
//!         site.write_json("order.json", &serde_json::json!({ "locale": order.locale }))?;
//!         Ok(())
//!     }
//! }
//!
//! let mut order = testing::sample_order();
//! order["business_name"] = "<script>alert('Ana')</script>".into();
//! let run = testing::Harness::new().run::<Pages>(order);
//! run.result.as_ref().unwrap();
//! assert!(!run.text("about/index.html").contains("<script>"));
//! assert_eq!(run.file("assets/logo.svg"), Some(LOGO));
//! ```
//!
//! The second write to the same path fails. Propagate the errors of `write`: a file that was not
//! written is missing in the site.
