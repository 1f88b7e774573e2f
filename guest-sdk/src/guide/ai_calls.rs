//! Text and data from a model.
//!
//! A call names one of the purposes in the template's manifest. The operator configures which model
//! serves it, with which API key and at what cost; the host handles retries, timeouts and the
//! correction of invalid JSON. The result is a complete, validated reply or an error.
//!
//! # Replies as Rust types
//!
//! [`Ask::json`](crate::ai::Ask::json) sends the JSON Schema of a type and parses the reply as that
//! type. The comments and bounds of the fields are part of the schema: write them for the model.
//!
//! ```
//! use sitewright_sdk::prelude::*;
//!
//! /// Questions that customers ask before they buy.
//! #[derive(Debug, Deserialize, JsonSchema)]
//! #[serde(crate = "sitewright_sdk::serde", deny_unknown_fields)]
//! #[schemars(crate = "sitewright_sdk::schemars")]
//! struct Faq {
//!     /// Three to five questions, the most frequent first.
//!     #[schemars(length(min = 3, max = 5))]
//!     questions: Vec<Question>,
//! }
//!
//! #[derive(Debug, Deserialize, JsonSchema)]
//! #[serde(crate = "sitewright_sdk::serde", deny_unknown_fields)]
//! #[schemars(crate = "sitewright_sdk::schemars")]
//! struct Question {
//!     /// As a customer would say it.
//!     question: String,
//!     /// Two sentences. Use only facts from the data.
//!     answer: String,
//! }
//!
//! struct Questions;
//!
//! impl Template for Questions {
//!     fn manifest() -> Manifest {
//!         Manifest::new("questions", "0.1.0", "A page of questions.")
//!             .purpose("copywriting", "questions and answers")
//!             .locale("en")
//!     }
//!
//!     async fn generate(order: Order, site: Site) -> Result<()> {
//!         let faq: Faq = ai::ask("copywriting")
//!             .system("You write for small businesses.")
//!             .user(format!(
//!                 "Write frequent questions and their answers in the language of locale {}.",
//!                 order.locale
//!             ))
//!             // Untrusted input goes into `data`, never into `system` or `user`.
//!             .data("name", &order.business_name)
//!             .data("services", &order.services.join("\n"))
//!             .temperature(0.4)
//!             .json()
//!             .await
//!             .context("while writing the questions")?;
//!         let answers: Vec<_> = faq.questions.iter().map(|entry| entry.answer.as_str()).collect();
//!         site.write("faq.txt", format!("{} questions. {}", answers.len(), answers.join(" ")))?;
//!         Ok(())
//!     }
//! }
//!
//! // The script replaces the model: `from_schema` answers with the smallest valid reply.
//! let run = testing::Harness::scripted("[[rule]]\nanswer = { from_schema = true }\n")
//!     .run::<Questions>(testing::sample_order());
//! run.result.as_ref().unwrap();
//! assert!(run.text("faq.txt").starts_with("3 questions."));
//! assert!(run.ai_calls[0].prompt().contains("Padaria Ana"));
//! ```
//!
//! # Other kinds of replies
//!
//! | method | returns |
//! |---|---|
//! | [`text`](crate::ai::Ask::text) | text |
//! | [`json`](crate::ai::Ask::json) | a value of a type |
//! | [`reply`](crate::ai::Ask::reply) | a value of a type, and the completion with its call id |
//! | [`json_value`](crate::ai::Ask::json_value) | JSON for a schema that is built at run time |
//! | [`stream`](crate::ai::Ask::stream) | the text while the model writes it: [`streaming`] |
//!
//! [`streaming`]: super::streaming
//!
//! A conversation has several messages: [`assistant`](crate::ai::Ask::assistant) adds an earlier
//! reply of the model.
//!
//! ```
//! use sitewright_sdk::prelude::*;
//!
//! # async fn shorter(draft: &str) -> Result<String> {
//! let shorter = ai::ask("copywriting")
//!     .user("Write a slogan.")
//!     .assistant(draft)
//!     .user("Half as long.")
//!     .max_output_tokens(40)
//!     .text()
//!     .await?;
//! # Ok(shorter) }
//! ```
