//! Failed AI calls: the error of a call, its attempts, and what is known of each.

use std::fmt;
use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use sitewright_rules::{AiErrorKind, UnknownKind};

use super::call_id::CallId;
use super::completion::Usage;
use super::usd::Usd;
use crate::message::Message;

/// The HTTP response of the failed attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpDetail {
    pub status: u16,
    /// The provider's id of the request, for its support team.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The wait that the provider requests, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// The beginning of the body, at most 2 KiB, redacted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_excerpt: Option<String>,
}

/// The result of an attempt: `succeeded`, or the kind of its error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum AttemptOutcome {
    /// A complete, checked reply.
    Succeeded,
    Failed(AiErrorKind),
}

impl AttemptOutcome {
    /// The name in records.
    pub const fn as_str(self) -> &'static str {
        match self {
            AttemptOutcome::Succeeded => "succeeded",
            AttemptOutcome::Failed(kind) => kind.as_str(),
        }
    }
}

impl fmt::Display for AttemptOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl JsonSchema for AttemptOutcome {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "AttemptOutcome".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let kinds = AiErrorKind::ALL.map(AiErrorKind::as_str);
        let names: Vec<&str> =
            std::iter::once(AttemptOutcome::Succeeded.as_str()).chain(kinds).collect();
        schemars::json_schema!({
            "description": "The result of an attempt: `succeeded`, or the kind of its error.",
            "type": "string",
            "enum": names,
        })
    }
}

impl TryFrom<String> for AttemptOutcome {
    type Error = UnknownKind;

    fn try_from(text: String) -> Result<Self, UnknownKind> {
        if text == "succeeded" {
            Ok(AttemptOutcome::Succeeded)
        } else {
            text.parse().map(AttemptOutcome::Failed)
        }
    }
}

impl From<AttemptOutcome> for String {
    fn from(outcome: AttemptOutcome) -> String {
        outcome.as_str().to_owned()
    }
}

/// The time limit that ended an attempt (failure catalogue E1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Limit {
    /// Name look-up, TCP and TLS: `connect_ms`.
    Connect,
    /// From the connection to the first byte of the response body: `first_byte_ms`.
    FirstByte,
    /// Between two chunks of the response body: `idle_ms`.
    Idle,
    /// The whole attempt: `call_ms`.
    Call,
    /// The order's deadline.
    Deadline,
}

impl Limit {
    /// The key in the configuration of a provider; for the deadline, which has none, its name.
    pub const fn key(self) -> &'static str {
        match self {
            Limit::Connect => "connect_ms",
            Limit::FirstByte => "first_byte_ms",
            Limit::Idle => "idle_ms",
            Limit::Call => "call_ms",
            Limit::Deadline => "the order's deadline",
        }
    }
}

/// One attempt at one candidate of a route. A call records all its attempts, also if a later one
/// succeeds (failure catalogue A3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Attempt {
    /// Name of the provider in the configuration.
    pub provider: String,
    /// The requested model.
    pub model: String,
    /// Start, in milliseconds since the Unix epoch.
    pub started_ms: u64,
    /// The HTTP status, if there was a response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The provider's id of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The beginning of the body of a failed attempt, at most 2 KiB, redacted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_excerpt: Option<String>,
    /// Wait for the provider's rate limits before the attempt, in milliseconds. It counts against
    /// the order's deadline.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub waited_ms: u64,
    /// Wait after the previous failed attempt, in milliseconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub backoff_ms: u64,
    /// Whether the request contains the previous reply and what is wrong with it (failure catalogue
    /// E5).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub asked_again: bool,
    /// Whether nothing was sent, because the circuit breaker was open or the rate limits did not
    /// permit the request before the deadline.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub not_sent: bool,
    /// How long connecting took, in milliseconds. Missing if an open connection was used or none
    /// was established.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect_ms: Option<u64>,
    /// From the start to the first byte of the response body, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_byte_ms: Option<u64>,
    /// Duration, in milliseconds.
    pub duration_ms: u64,
    /// The time limit that ended the attempt, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Limit>,
    pub outcome: AttemptOutcome,
    /// What went wrong. Present unless the attempt succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Message>,
    /// Tokens used, also by an unusable reply.
    #[serde(default)]
    pub usage: Usage,
    /// Cost of the tokens, if the model has a price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<Usd>,
}

fn is_zero(value: &u64) -> bool {
    *value == 0
}

/// The error of a call without a usable reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct AiError {
    /// The kind of the last attempt's error.
    pub kind: AiErrorKind,
    /// What happened, on which route, at which provider and model, and what to do. Redacted.
    pub message: Message,
    pub call_id: CallId,
    /// The last attempt's HTTP response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<Box<HttpDetail>>,
    /// All attempts, in order. Empty if no attempt was made.
    pub attempts: Vec<Attempt>,
    /// The causes from the outermost to the root, then the messages of the earlier attempts.
    pub causes: Vec<Message>,
    /// Whether the same call can succeed later.
    pub retryable: bool,
    /// Minimum wait before the same call, in milliseconds: requested by the provider, or until the
    /// circuit breaker lets a call through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<NonZeroU32>,
}

impl AiError {
    /// Maximum size of a body excerpt in bytes.
    pub const EXCERPT_BYTES: usize = 2048;

    /// An error before the first attempt: an invalid request, an exhausted budget, a cancelled run.
    pub fn before_any_attempt(call_id: CallId, kind: AiErrorKind, message: Message) -> Self {
        AiError {
            kind,
            message,
            call_id,
            http: None,
            attempts: Vec::new(),
            causes: Vec::new(),
            retryable: kind.retryable(),
            retry_after_ms: None,
        }
    }
}
