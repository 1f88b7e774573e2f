//! Testing without a host.
//!
//! [`testing::Harness`](crate::testing::Harness) runs a template natively in `cargo test`: it reads
//! and validates the order as the host does, answers AI calls with a script, and records the files,
//! logs and diagnostics for assertions.
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
//!         // Ask again if the line is too long.
//!         let mut line = ask().text().await?;
//!         if line.len() > 40 {
//!             line = ask().user("Shorter.").text().await?;
//!         }
//!         site.write("index.txt", line)?;
//!         Ok(())
//!     }
//! }
//!
//! // The first rule that matches answers; `times` and `contains` distinguish the calls.
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
//! // Each run starts at the beginning of the script, and runs are deterministic.
//! assert_eq!(harness.run::<Hello>(sample_order()).files, run.files);
//!
//! // Rules can also simulate failures of the provider.
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
//! The harness does not check limits of memory and time, traps, and the finished site. For these,
//! run `sitewright template build` and `sitewright conformance`, which has orders of its own and
//! runs the cases in your `conformance/` folder.
