//! Requests to a model, independent of providers.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::json::ReplySchema;
use sitewright_model::message;
use sitewright_model::message::Message;

/// The purpose of a call, such as `copywriting`: 1 to 64 lower-case letters, digits and `-`. It
/// selects the route.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Purpose(String);

/// The error for a text that is not a purpose.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the purpose {0:?} is not 1 to 64 lower-case letters, digits and `-`, such as `copywriting`"
)]
pub struct PurposeError(pub String);

impl Purpose {
    /// Maximum length in bytes.
    pub const MAX_BYTES: usize = 64;

    /// # Errors
    /// The text is empty, too long, or has other characters than lower-case letters, digits and
    /// `-`.
    pub fn new(text: impl Into<String>) -> Result<Self, PurposeError> {
        let text = text.into();
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if (1..=Self::MAX_BYTES).contains(&text.len()) && text.bytes().all(allowed) {
            return Ok(Purpose(text));
        }
        Err(PurposeError(text.chars().take(Self::MAX_BYTES).collect()))
    }

    /// The purpose of probes. It selects no route.
    pub(super) fn probe() -> Self {
        Purpose("probe".to_owned())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Purpose {
    type Err = PurposeError;

    fn from_str(text: &str) -> Result<Self, PurposeError> {
        Purpose::new(text)
    }
}

impl TryFrom<String> for Purpose {
    type Error = PurposeError;

    fn try_from(text: String) -> Result<Self, PurposeError> {
        Purpose::new(text)
    }
}

impl From<Purpose> for String {
    fn from(purpose: Purpose) -> String {
        purpose.0
    }
}

/// The author of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Instructions of the template.
    System,
    /// The request with the order's data.
    User,
    /// An earlier reply of the model.
    Assistant,
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatMessage {
    pub role: Role,
    /// Not empty.
    pub content: String,
}

/// The format of the reply.
#[derive(Debug, Clone)]
pub enum Format {
    /// Any text. The provider's JSON mode is not used.
    Text,
    /// One JSON value of any shape.
    Json,
    /// One JSON value that is valid against the schema.
    JsonSchema(ReplySchema),
}

/// One request. It names a purpose, not a provider or model.
#[derive(Debug, Clone)]
pub struct Request {
    pub purpose: Purpose,
    /// At least one.
    pub messages: Vec<ChatMessage>,
    pub format: Format,
    /// Maximum number of tokens of the reply, at least 1. The smaller one of this and the route's
    /// limit applies.
    pub max_output_tokens: Option<u32>,
    /// From 0.0 to 2.0. Default: the route's, otherwise the provider's.
    pub temperature: Option<f32>,
    /// Ignored by providers without reproducible sampling.
    pub seed: Option<u64>,
    /// Texts that end the reply, at most 4, each not empty. Ignored by providers without them.
    pub stop: Vec<String>,
    /// What reply journal and reply cache identify the messages by; see [`delimited`]. `None`: by
    /// the messages themselves.
    ///
    /// [`delimited`]: super::delimited
    pub identity: Option<String>,
}

impl Request {
    /// Maximum number of texts in [`stop`](Self::stop).
    pub const MAX_STOPS: usize = 4;

    /// Checks the request before it is sent.
    ///
    /// # Errors
    /// The first problem, with the name of the field.
    pub fn check(&self) -> Result<(), Message> {
        if self.messages.is_empty() {
            return Err(message!(
                "the request has no message; it needs at least one in `messages`"
            ));
        }
        if let Some(index) =
            self.messages.iter().position(|message| message.content.trim().is_empty())
        {
            return Err(message!(
                "the content of messages[{index}] is empty; remove the message or add text"
            ));
        }
        if self.max_output_tokens == Some(0) {
            return Err(message!("`max-output-tokens` is 0; leave it out or give at least 1"));
        }
        if let Some(temperature) = self.temperature.filter(|value| !(0.0..=2.0).contains(value)) {
            return Err(message!("`temperature` is {temperature}; it must be between 0.0 and 2.0"));
        }
        if self.stop.len() > Self::MAX_STOPS {
            return Err(message!(
                "`stop` has {} texts; at most {} are allowed",
                self.stop.len(),
                Self::MAX_STOPS
            ));
        }
        if self.stop.iter().any(String::is_empty) {
            return Err(message!("`stop` contains an empty text; remove it"));
        }
        Ok(())
    }
}
