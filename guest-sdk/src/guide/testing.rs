//! Tests without a host.
//!
//! A template is a plain Rust type. [`testing::Harness`](crate::testing::Harness) runs it natively
//! in `cargo test`: the order is read and checked as the host does it, AI calls are answered by a
//! script, files are kept for you to look at.
//!
//! ```
//! use sitewright_sdk::prelude::*;
//! use sitewright_sdk::testing::{Harness, sample_order};
//!
//! struct Hello;
//!
//! impl Template for Hello {
//!     fn manifest() -> Manifest {
//!         Manifest::new("hello", "0.1.0", "One line.")
//!             .purpose("copywriting", "the line")
//!             .locale("en")
//!     }
//!
//!     async fn generate(order: Order, site: Site) -> Result<()> {
//!         let ask =
//!             || ai::ask("copywriting").user("A greeting.").data("name", &order.business_name);
//!         // Once more, when the first is too long.
//!         let mut line = ask().text().await?;
//!         if line.len() > 40 {
//!             line = ask().user("Shorter.").text().await?;
//!         }
//!         site.write("index.txt", line)?;
//!         Ok(())
//!     }
//! }
//!
//! // The first rule that fits answers; `times` and `contains` tell one call from another.
//! let harness = Harness::scripted(
//!     r#"
//!     [[rule]]
//!     times = 1
//!     answer = { text = "A very warm welcome to each and every one of you." }
//!
//!     [[rule]]
//!     contains = ["Shorter."]
//!     answer = { text = "Welcome!" }
//! "#,
//! );
//! let run = harness.run::<Hello>(sample_order());
//! run.result.as_ref().unwrap();
//! assert_eq!(run.text("index.txt"), "Welcome!");
//! assert_eq!(run.ai_calls.len(), 2);
//!
//! // Each run begins the script anew, and the same run is the same.
//! assert_eq!(harness.run::<Hello>(sample_order()).files, run.files);
//!
//! // Every way in which a model can fail is a rule, too.
//! for (fault, code) in [
//!     ("status = 429", "ai-rate-limited"),
//!     ("refused = true", "ai-content-filtered"),
//!     ("empty = true", "ai-empty"),
//!     ("connection = \"reset\"", "ai-connection"),
//! ] {
//!     let script = format!("[[rule]]\nanswer = {{ fault = {{ {fault} }} }}\n");
//!     let error = Harness::scripted(&script).run::<Hello>(sample_order()).result.unwrap_err();
//!     assert_eq!(error.code(), code);
//! }
//! ```
//!
//! What the harness cannot show are limits of memory and time, traps, and the checks of the
//! finished site. `sitewright template build` followed by `sitewright conformance` shows them: on
//! the suite's own orders and on the cases in your `conformance/` folder.
