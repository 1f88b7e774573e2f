//! A long text, read while the model writes it.
//!
//! Only where somebody watches, and to tell how far it is: the pieces are unchecked, and once one
//! has come the host can no longer ask another model in silence when the first fails. The site is
//! made of what [`finish`](crate::ai::Streamed::finish) gives, which is whole.
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
//!         while let Some(piece) = story.next().await {
//!             words += piece.split_whitespace().count() as u32;
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
//! // A reply that is cut is an error, however much of it has come: nothing is written.
//! let script = "[[rule]]\nanswer = { fault = { cut = \"It began wi\" } }\n";
//! let run = testing::Harness::scripted(script).run::<Story>(testing::sample_order());
//! assert_eq!(run.result.unwrap_err().code(), "ai-truncated");
//! assert!(run.files.is_empty());
//! ```
