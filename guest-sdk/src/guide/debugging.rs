//! An order of a customer has failed: why?
//!
//! The operator sends you the failure record, or the bundle that `sitewright failures export <id>
//! --scrub` makes: order, replies and record in one file, without the customer's words. With your
//! build of the template beside it:
//!
//! ```text
//! sitewright replay failure-1042.tar                                        does it happen again?
//! sitewright replay failure-1042.tar --template dist/my-template.wasm       and in the build that mends it?
//! sitewright replay failure-1042.tar --trap-on report                       the stack at the first error that was reported
//! ```
//!
//! A replay asks no model: replies, clock and random numbers are those of the attempt, so what
//! happened happens again, call by call.
//!
//! # What a record needs of you
//!
//! - **Lines.** `sitewright template build` puts `<name>.debug.wasm` beside the component: keep it
//!   with each release you ship, and records name functions, files and lines.
//! - **Stages.** [`progress`](crate::progress) says what the run was doing, with how many steps
//!   done.
//! - **What it decided.** [`log`](crate::log) lines and [`report`](crate::report)ed diagnostics
//!   stand in the record, in their place among the calls.
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
//!                 log::info(format!("no layout for {other:?}: the plain one is taken"));
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
//! assert_eq!(run.logs[0].1, "no layout for Other: the plain one is taken");
//! assert_eq!(run.reports[0].code, "no-opening-hours");
//! // The line of the author's own source, which a record shows with the lines around it.
//! assert!(run.result.unwrap_err().location().line() > 0);
//! ```
