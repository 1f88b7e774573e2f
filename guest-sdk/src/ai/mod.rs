//! Calls to AI models, through the host's routes, keys, limits and budgets.
//!
//! A call names what it is *for*, never who answers: `copywriting`, not a provider or a model. The
//! operator's routes decide the rest. Every reply a template sees is whole and checked: never
//! empty, never cut, and JSON that was asked for parses and fits its schema. Calls that do not
//! depend on each other go out at once:
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
//! A template that wants to tell how far a long text has come reads along with [`Ask::stream`]. The
//! text is the model's as it comes, unchecked: only what [`Streamed::finish`] gives is a reply.
//! Nothing is mixed: after the first chunk the host does not retry or ask another model, so a call
//! that is streamed fails sooner than one that is not. Where nobody sees the text come,
//! [`Ask::text`] and [`Ask::json`] are better.

mod ask;
mod data;
mod error;
mod schema;
mod stream;

pub use ask::{Ask, Reply, ask};
pub use data::{DATA_RULE, data};
pub use error::{Error, ErrorKind, HttpDetail};
pub use schema::schema_of;
pub use stream::Streamed;
pub(crate) use stream::{Chunks, Outcome};

use serde_json::Value;

/// Who speaks in a [`Message`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Instructions of the template. Order data has no place here.
    System,
    /// The request. Order data goes here, through [`data`].
    User,
    /// An earlier reply of the model.
    Assistant,
}

/// One message of a [`Request`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said. Not empty.
    pub content: String,
}

/// What a reply must be.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Format {
    /// Plain text, Markdown, anything.
    #[default]
    Text,
    /// One JSON value of any shape.
    Json,
    /// One JSON value that this JSON Schema (draft 2020-12, at most 64 KiB as text) accepts.
    JsonSchema(Value),
}

/// One call, as the host gets it. [`ask`] builds it.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// What the call is for; one of the manifest's purposes.
    pub purpose: String,
    /// At least one message.
    pub messages: Vec<Message>,
    /// What the reply must be.
    pub format: Format,
    /// Most tokens the reply may have; the route's own limit when missing.
    pub max_output_tokens: Option<u32>,
    /// 0.0 to 2.0; the model's default when missing.
    pub temperature: Option<f32>,
    /// For providers that can repeat themselves.
    pub seed: Option<u64>,
    /// Texts that end the reply, at most 4.
    pub stop: Vec<String>,
}

/// Why the model stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FinishReason {
    /// It was done, or met a stop text.
    Stop,
    /// Anything else that is not an error.
    Other,
}

/// Tokens, as the provider counted them. Missing where it did not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Tokens of the prompt.
    pub input_tokens: Option<u64>,
    /// Tokens of the reply.
    pub output_tokens: Option<u64>,
}

/// A whole, checked reply. Never empty, never cut.
#[derive(Debug, Clone, PartialEq)]
pub struct Completion {
    /// What the model wrote.
    pub content: String,
    /// Why it stopped.
    pub finish_reason: FinishReason,
    /// What it cost in tokens.
    pub usage: Usage,
    /// Name of the provider in the operator's configuration, for logs.
    pub provider: String,
    /// Name of the model that answered, for logs.
    pub model: String,
    /// The host's id of this call; see [`Error::blame`](crate::Error::blame).
    pub call_id: String,
}
