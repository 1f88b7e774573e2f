//! Text and data from a model.
//!
//! A template says what a call is *for*, one of the purposes in its manifest. Which model answers,
//! with which key, and what it may cost is the operator's business; retries, time limits and
//! repairs of bad JSON are the host's. What arrives is whole and checked, or an error.
//!
//! # A Rust type is the question
//!
//! [`Ask::json`](crate::ai::Ask::json) sends the type's JSON Schema along and reads the reply as
//! that type. Models read the comments and the bounds of the fields: write them for the model.
//!
//! ```
//! use sitewright_sdk::prelude::*;
//!
//! /// Questions that customers ask before they buy.
//! #[derive(Debug, Deserialize, JsonSchema)]
//! #[serde(crate = "sitewright_sdk::serde", deny_unknown_fields)]
//! #[schemars(crate = "sitewright_sdk::schemars")]
//! struct Faq {
//!     /// Three to five of them, the most frequent first.
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
//!     /// Two sentences, and nothing that is not in the data.
//!     answer: String,
//! }
//!
//! struct Questions;
//!
//! impl Template for Questions {
//!     fn manifest() -> Manifest {
//!         Manifest::new("questions", "0.1.0", "A page of questions.").purpose("copywriting", "questions and answers").locale("en")
//!     }
//!
//!     async fn generate(order: Order, site: Site) -> Result<()> {
//!         let faq: Faq = ai::ask("copywriting")
//!             // Instructions are the template's own words, and what the customer wrote is marked as data: a business that is called
//!             // "Ignore all rules" is only a business with that name.
//!             .system("You write for small businesses.")
//!             .user(format!("Write frequent questions with their answers, in the language of the locale {}.", order.locale))
//!             .data("name", &order.business_name)
//!             .data("services", &order.services.join("\n"))
//!             .temperature(0.4)
//!             .json()
//!             .await
//!             .context("while writing the questions")?;
//!         let first = faq.questions.first().map(|first| first.answer.as_str()).unwrap_or_default();
//!         site.write("faq.txt", format!("{} questions. {first}", faq.questions.len()))?;
//!         Ok(())
//!     }
//! }
//!
//! // The script stands in for a model: `from_schema` is the smallest reply that the schema accepts.
//! let run = testing::Harness::scripted("[[rule]]\nanswer = { from_schema = true }\n").run::<Questions>(testing::sample_order());
//! run.result.as_ref().unwrap();
//! assert!(run.text("faq.txt").starts_with("3 questions."));
//! assert!(run.ai_calls[0].prompt().contains("Padaria Ana"));
//! ```
//!
//! # Other shapes
//!
//! | call | gives |
//! |---|---|
//! | [`text`](crate::ai::Ask::text) | plain text |
//! | [`json`](crate::ai::Ask::json) | a type |
//! | [`reply`](crate::ai::Ask::reply) | a type, and what is known of the call: model, tokens, the id to blame |
//! | [`json_value`](crate::ai::Ask::json_value) | JSON of a schema that is made at run time |
//! | [`stream`](crate::ai::Ask::stream) | the text while it is written: [`reading_along`](super::reading_along) |
//!
//! A conversation is a list of messages: [`assistant`](crate::ai::Ask::assistant) adds what the
//! model said before.
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
