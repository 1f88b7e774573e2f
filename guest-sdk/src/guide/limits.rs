//! The limits of a run.
//!
//! | limit | default |
//! |---|--:|
//! | CPU time | 10 s |
//! | wall-clock time, AI calls included | 10 min |
//! | memory | 256 MiB |
//! | AI calls | 64 |
//! | number of files | 2,000 |
//! | size of one file | 8 MiB |
//! | size of all files | 64 MiB |
//! | length of a path | 255 bytes |
//! | number of diagnostics | 256, the newest are kept |
//! | log text | 256 KiB, the newest is kept |
//!
//! A run that exceeds its CPU time, wall-clock time or memory is ended. The failure record shows
//! all limits beside what was used, and `sitewright generate` shows the same for a successful run.
//! Waiting for AI calls uses no CPU time.
//!
//! A call or a file that exceeds a limit, or a file with an invalid path, is an error that the
//! template receives. The test harness checks these limits too:
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
//!             // Wrong: a path must not be built from order data.
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
//! There is no file system, no network, no environment and no second thread. Clock and random
//! numbers are virtual: the same order with the same replies yields the same site, byte for byte,
//! so that a failure can be replayed.
