//! What a run may use.
//!
//! | what | unless the operator says otherwise |
//! |---|--:|
//! | processor time | 10 s |
//! | time in all, with waiting for models | 10 min |
//! | memory | 256 MiB |
//! | AI calls | 64 |
//! | files | 2,000 |
//! | bytes of one file, of all | 8 MiB, 64 MiB |
//! | length of a path | 255 bytes |
//! | diagnostics, log | 256, 256 KiB |
//!
//! A limit that is hit ends the run, and the failure record shows all of them beside what was used.
//! `sitewright generate` shows the same for a run that went well: look there before you wonder.
//! Waiting for a model costs no processor time, and a template that waits keeps nobody from
//! running.
//!
//! Files are refused one by one, so a template can be told in a test what it would do:
//!
//! ```
//! use sitewright_sdk::prelude::*;
//!
//! struct Gallery;
//!
//! impl Template for Gallery {
//!     fn manifest() -> Manifest {
//!         Manifest::new("gallery", "0.1.0", "A page a service.").locale("en")
//!     }
//!
//!     async fn generate(order: Order, site: Site) -> Result<()> {
//!         for service in &order.services {
//!             // Never a path made of what a customer wrote.
//!             site.write(format!("{service}.html"), "…").context("while writing the gallery")?;
//!         }
//!         Ok(())
//!     }
//! }
//!
//! let mut order = testing::sample_order();
//! order["services"] = serde_json::json!(["24/7", "../../secrets"]);
//! order["primary_service"] = "24/7".into();
//! let error = testing::Harness::new().run::<Gallery>(order).result.unwrap_err();
//! assert_eq!(error.code(), "write-invalid-path");
//! ```
//!
//! There is no file system, no network, no environment and no thread. The clock and the random
//! numbers are the attempt's own: the same order with the same replies makes the same site, byte
//! for byte, and that is how a failure can be made again.
