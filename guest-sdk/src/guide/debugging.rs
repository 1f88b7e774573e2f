//! Why an order failed.
//!
//! The operator sends you the failure record, or the bundle of `sitewright failures export <id>
//! --scrub`: a file with the order, the AI replies and the record, without the customer's texts.
//! Replay it:
//!
//! ```text
//! # Reproduce the failure:
//! sitewright replay failure-1042.tar
//! # Try the build with the fix:
//! sitewright replay failure-1042.tar --template dist/my-template.wasm
//! # Show the stack at the first reported error:
//! sitewright replay failure-1042.tar --trap-on report
//! ```
//!
//! A replay calls no model: it uses the replies, the clock and the random numbers of the attempt,
//! so that the run repeats call by call.
//!
//! # How to make failure records useful
//!
//! - **Debug information.** `sitewright template build` writes `<name>.debug.wasm` next to the
//!   component. Keep it for each release: failure records then name functions, files and lines.
//! - **Stages.** [`progress`](crate::progress) reports what the run was doing and how far it was.
//! - **Decisions.** Failure records contain [`log`](crate::log) lines and diagnostics of
//!   [`report`](crate::report), in order with the other calls to the host.
//!
//! ```
//! use sitewright_sdk::prelude::*;
//!
//! struct Chosen;
//!
//! impl Template for Chosen {
//!     fn manifest() -> Manifest {
//!         Manifest::new("chosen", "0.1.0", "A layout for each trade.").locale("en")
//!     }
//!
//!     async fn generate(order: Order, _site: Site) -> Result<()> {
//!         progress("layout", 0, 1);
//!         let layout = match order.niche {
//!             Niche::Restaurant => "menu",
//!             other => {
//!                 log::info(format!("no layout for {other:?}, using the plain one"));
//!                 "plain"
//!             }
//!         };
//!         if order.business_hours.0.is_empty() {
//!             report(
//!                 Diagnostic::warning("no-opening-hours", "the page shows no hours")
//!                     .attribute("layout", layout),
//!             );
//!         }
//!         Err(Error::new("unfinished", "this template is an example"))
//!     }
//! }
//!
//! let run = testing::Harness::new().run::<Chosen>(testing::sample_order());
//! assert_eq!(run.progress[0].stage, "layout");
//! assert_eq!(run.logs[0].1, "no layout for Other, using the plain one");
//! assert_eq!(run.reports[0].code, "no-opening-hours");
//! // The location in the template's source, which the failure record shows with its context.
//! assert!(run.result.unwrap_err().location().line() > 0);
//! ```
