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

/// What the provider said over HTTP, when it came that far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HttpDetail {
    /// The status.
    pub status: u16,
    /// The provider's id of the request, for its support.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Milliseconds the provider asked to wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// The beginning of the body, at most 2 KiB, redacted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_excerpt: Option<String>,
}

/// How an attempt ended: `succeeded`, or the kind of its error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AttemptOutcome {
    /// With a complete, checked reply.
    Succeeded,
    /// With an error.
    #[serde(untagged)]
    Failed(AiErrorKind),
}

impl AttemptOutcome {
    /// The name in messages and logs.
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

/// A limit on the time of an attempt (catalogue E1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// Name look-up, TCP and TLS: `connect_ms`.
    Connect,
    /// From the connection to the first byte of the answer: `first_byte_ms`.
    #[serde(alias = "first-byte")]
    FirstByte,
    /// From one piece of the answer to the next: `idle_ms`.
    Idle,
    /// The whole attempt: `call_ms`.
    Call,
    /// The order's own time.
    Deadline,
}

impl Limit {
    /// The key in the configuration of a provider; the deadline is not the provider's.
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

/// One try of one candidate of a route. All are kept, also those that another candidate made good
/// (catalogue A3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Attempt {
    /// Name of the provider in the configuration.
    pub provider: String,
    /// The model that was asked for.
    pub model: String,
    /// When it began, in milliseconds since the Unix epoch.
    pub started_ms: u64,
    /// The HTTP status, when there was an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The provider's id of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The beginning of what a failed attempt answered, at most 2 KiB, redacted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_excerpt: Option<String>,
    /// How long it waited for the provider's limits before it began, in milliseconds; the order's
    /// time runs meanwhile.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub waited_ms: u64,
    /// How long the gateway paused before it because the attempt before had failed, in
    /// milliseconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub backoff_ms: u64,
    /// Whether it told the model what was wrong with its reply before (catalogue E5).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub asked_again: bool,
    /// Whether nothing was sent: this host leaves the provider alone for a while, or its limits
    /// left no room in time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub not_sent: bool,
    /// How long connecting took, in milliseconds; missing when a connection was open already or
    /// none was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect_ms: Option<u64>,
    /// From the begin to the first byte of the answer's body, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_byte_ms: Option<u64>,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// The time limit that ended it, when one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Limit>,
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// What went wrong; there is one unless it succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Message>,
    /// Tokens used, also by a reply that was of no use.
    #[serde(default)]
    pub usage: Usage,
    /// What that cost, for a model that has a price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<Usd>,
}

fn is_zero(value: &u64) -> bool {
    *value == 0
}

/// An AI call that failed: what the gateway returns, a host function reports to the template, and
/// the failure record keeps of the call that failed the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
#[error("{message}")]
pub struct AiError {
    /// What went wrong at the last attempt.
    pub kind: AiErrorKind,
    /// What happened, on which route, at which provider and model, and what to do next. Never
    /// empty, never contains a key.
    pub message: Message,
    /// The call, as in the trail. Missing if the run ended before any call: a declared purpose has
    /// no route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call_id: Option<CallId>,
    /// The purpose of the call. Empty in recordings of version 1, which do not have it.
    #[serde(default)]
    pub purpose: String,
    /// The last attempt's HTTP response. Failure records leave it out: the attempts have the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<Box<HttpDetail>>,
    /// Every attempt, over all candidates of the route, in order. Empty if nothing was sent to any
    /// provider.
    pub attempts: Vec<Attempt>,
    /// From the outermost cause to the root, then the errors of the earlier candidates.
    #[serde(default)]
    pub causes: Vec<Message>,
    /// Whether the same call can succeed later.
    pub retryable: bool,
    /// Milliseconds before the next call makes sense: the provider asked for it, or the circuit
    /// breaker of this host is open for that long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<NonZeroU32>,
}

impl AiError {
    /// Maximum size of a body excerpt, in bytes.
    pub const EXCERPT_BYTES: usize = 2048;

    /// An error before any attempt: an invalid request, an exhausted budget, a cancelled run.
    pub fn before_any_attempt(
        call_id: Option<CallId>,
        purpose: &str,
        kind: AiErrorKind,
        message: Message,
    ) -> Self {
        AiError {
            kind,
            message,
            call_id,
            purpose: purpose.to_owned(),
            http: None,
            attempts: Vec::new(),
            causes: Vec::new(),
            retryable: kind.retryable(),
            retry_after_ms: None,
        }
    }
}
