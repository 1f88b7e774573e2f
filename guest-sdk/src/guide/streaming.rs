//! Streaming a long text to report its progress.
//!
//! The chunks are not validated, and after the first one the host cannot retry or fall back to
//! another model. Use them only to report progress, and build the site from the completion of
//! [`finish`](crate::ai::Streamed::finish).
//!
//! ```
//! use sitewright_sdk::prelude::*;
//!
//! struct Story;
//!
//! impl Template for Story {
//!     fn manifest() -> Manifest {
//!         Manifest::new("story", "0.1.0", "The business's story.")
//!             .purpose("copywriting", "a long text")
//!             .locale("en")
//!     }
//!
//!     async fn generate(order: Order, site: Site) -> Result<()> {
//!         let mut story = ai::ask("copywriting")
//!             .user("Tell the story of this business.")
//!             .data("name", &order.business_name)
//!             .stream();
//!         let mut words = 0;
//!         while let Some(chunk) = story.next().await {
//!             words += chunk.split_whitespace().count() as u32;
//!             progress("story", words, 400);
//!         }
//!         let story = story.finish().await.context("while writing the story")?;
//!         site.write("story.txt", story.content)?;
//!         Ok(())
//!     }
//! }
//!
//! let script = "[[rule]]\nanswer = { text = \"It began with bread.\" }\n";
//! let run = testing::Harness::scripted(script).run::<Story>(testing::sample_order());
//! assert_eq!(run.text("story.txt"), "It began with bread.");
//! assert_eq!(run.progress.last().map(|last| last.stage.as_str()), Some("story"));
//!
//! // A truncated reply is an error, although chunks were received.
//! let script = "[[rule]]\nanswer = { fault = { cut = \"It began wi\" } }\n";
//! let run = testing::Harness::scripted(script).run::<Story>(testing::sample_order());
//! assert_eq!(run.result.unwrap_err().code(), "ai-truncated");
//! assert!(run.files.is_empty());
//! ```
