//! Calls to AI models, through the host's routes, keys, limits and budgets.
//!
//! A call names a *purpose* (`copywriting`), never a provider or a model: the operator's routes map
//! a purpose to models. Every reply is complete and validated: it is never empty, never truncated,
//! and requested JSON parses and is valid against its schema. Calls that do not depend on each
//! other can run concurrently:
//!
//! ```
//! use sitewright_sdk::prelude::*;
//!
//! # async fn copy() -> Result<()> {
//! let home = ai::ask("copywriting").user("The home page.").text();
//! let about = ai::ask("copywriting").user("The about page.").text();
//! let (home, about) = sitewright_sdk::try_join!(home, about)?;
//! # let _ = (home, about);
//! # Ok(()) }
//! ```
//!
//! [`Ask::stream`] streams a long text, so that the template can report its progress. Chunks are
//! not validated: only the completion of [`Streamed::finish`] is. After the first chunk the host
//! cannot retry or fall back to another model, so a streamed call fails more often. Use
//! [`Ask::text`] or [`Ask::json`] unless partial text is of use.

mod ask;
mod data;
mod error;
mod schema;
mod stream;

#[cfg(not(target_family = "wasm"))]
pub(crate) use ask::delivered;
pub use ask::{Ask, Reply, ask};
pub(crate) use data::CurrentOrder;
pub use data::{data, data_rule};
pub use error::{Error, ErrorKind, HttpDetail};
pub use schema::schema_of;
pub use stream::Streamed;
pub(crate) use stream::{Chunks, Outcome};

use serde_json::Value;

/// The author of a [`Message`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Instructions of the template. Order data does not belong here.
    System,
    /// The request. Order data belongs here, in [`Message::data`].
    User,
    /// An earlier reply of the model.
    Assistant,
}

/// One message of a [`Request`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The author of the message.
    pub role: Role,
    /// The text of the template. Must not be empty, unless there is data.
    pub content: String,
    /// Untrusted texts, which follow the template's text. The host delimits them, as [`data()`]
    /// does, and adds [`data_rule`] to the system message.
    pub data: Vec<Data>,
}

/// An untrusted text in a [`Message`]: order data, or a reply of a model that is passed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Data {
    /// Names the text for the model. Whatever is not a letter, a digit, a blank, `-`, `_` or `.`
    /// becomes `_`.
    pub name: String,
    /// The text.
    pub text: String,
}

/// The required format of a reply.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Format {
    /// Text without a required structure: plain text, Markdown or anything else.
    #[default]
    Text,
    /// One JSON value of any shape.
    Json,
    /// One JSON value that is valid against this JSON Schema (draft 2020-12, at most 64 KiB as
    /// text).
    JsonSchema(Value),
}

/// An AI call as it is sent to the host. [`ask`] builds one.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The purpose of the call; one of the manifest's.
    pub purpose: String,
    /// The conversation, oldest message first. At least one message.
    pub messages: Vec<Message>,
    /// The required format of the reply.
    pub format: Format,
    /// Maximum length of the reply, in tokens. Default: the limit of the route.
    pub max_output_tokens: Option<u32>,
    /// Sampling temperature, 0.0 to 2.0. Default: the model's.
    pub temperature: Option<f32>,
    /// Seed for providers that support reproducible sampling.
    pub seed: Option<u64>,
    /// Stop sequences: the reply ends before the first of these texts. At most 4.
    pub stop: Vec<String>,
}

/// Why the model stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FinishReason {
    /// The model ended its reply, or reached a stop sequence.
    Stop,
    /// The provider did not say. Nothing shows that the reply was cut.
    Unsaid,
    /// Another reason that is not an error.
    Other,
}

/// Number of tokens, as counted by the provider; `None` if the provider does not report it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Tokens of the request.
    pub input_tokens: Option<u64>,
    /// Tokens of the reply.
    pub output_tokens: Option<u64>,
}

/// A complete, validated reply. It is never empty and never truncated.
#[derive(Debug, Clone, PartialEq)]
pub struct Completion {
    /// The text of the reply. For the JSON formats only the JSON value, without surrounding text.
    pub content: String,
    /// Why the model stopped.
    pub finish_reason: FinishReason,
    /// The tokens that the call used.
    pub usage: Usage,
    /// Name of the provider in the operator's configuration, for logs.
    pub provider: String,
    /// Name of the model that answered, for logs.
    pub model: String,
    /// The host's id of this call, for [`Error::blame`](crate::Error::blame).
    pub call_id: String,
}
