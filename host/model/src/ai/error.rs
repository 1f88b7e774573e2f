//! Failed AI calls: the error of a call, and the details of its attempts.

use std::borrow::Cow;
use std::fmt;
use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use sitewright_rules::{AiErrorKind, UnknownKind};

use super::call_id::CallId;
use super::completion::Usage;
use super::usd::Usd;
use crate::failure::Problem;
use crate::message;
use crate::message::Message;

/// The HTTP response of the provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HttpDetail {
    /// The status code.
    pub status: u16,
    /// The provider's id of the request, for requests to its support.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Milliseconds to wait, as requested by the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// The beginning of the body, at most 2 KiB, redacted. Of a stream that is no reply: its text,
    /// or the text's beginning and end.
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
    /// From the connection to the first byte of the response: `first_byte_ms`.
    #[serde(alias = "first-byte")]
    FirstByte,
    /// From the connection to the first text of the reply, or of the model's thinking:
    /// `first_token_ms`.
    FirstToken,
    /// Between two parts of the response: `idle_ms`.
    Idle,
    /// The whole attempt: `call_ms`.
    Call,
    /// The deadline of the order.
    Deadline,
}

impl Limit {
    /// The key in the configuration of a provider; the deadline is not the provider's.
    pub const fn key(self) -> &'static str {
        match self {
            Limit::Connect => "connect_ms",
            Limit::FirstByte => "first_byte_ms",
            Limit::FirstToken => "first_token_ms",
            Limit::Idle => "idle_ms",
            Limit::Call => "call_ms",
            Limit::Deadline => "the order's deadline",
        }
    }
}

/// One attempt at one candidate of a route. All attempts are kept, also if a later one succeeds
/// (catalogue A3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Attempt {
    /// Name of the provider in the configuration.
    pub provider: String,
    /// The requested model.
    pub model: String,
    /// Start time, in milliseconds since the Unix epoch.
    pub started_ms: u64,
    /// The HTTP status; missing if there was no response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The provider's id of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The beginning of a failed attempt's response body, at most 2 KiB, redacted. Of a stream that
    /// is no reply: its text, or the text's beginning and end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_excerpt: Option<String>,
    /// Milliseconds that the attempt waited for the provider's limits before it began; this counts
    /// against the order's deadline.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub waited_ms: u64,
    /// Milliseconds of backoff before the attempt, because the previous one failed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub backoff_ms: u64,
    /// Whether the request contained what was wrong with the model's previous reply (catalogue E5).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub asked_again: bool,
    /// Whether the attempt was made beside the previous one, which had not begun its reply in time
    /// (`hedge_ms` of the route). One of the two may be cancelled.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hedge: bool,
    /// Whether the reply came by a batch of the provider, which costs less: then `started_ms` and
    /// `duration_ms` are those of reading it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub batch: bool,
    /// Whether the provider did not say why the model stopped, although its protocol has a field
    /// for that: nothing shows whether the text is whole. Not of JSON, which shows it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub end_unsaid: bool,
    /// Whether nothing was sent, because the circuit breaker was open, the limiter had no permit in
    /// time, or no connection could be made.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub not_sent: bool,
    /// The failure that opened the circuit breaker, of an attempt that the breaker rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opened_by: Option<Box<BreakerOpened>>,
    /// Milliseconds to connect; missing if a connection was open already or none was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect_ms: Option<u64>,
    /// Milliseconds from the start to the first byte of the response body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_byte_ms: Option<u64>,
    /// Milliseconds from the start to the first text of a streamed reply, or of the model's
    /// thinking.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_token_ms: Option<u64>,
    /// Duration in milliseconds.
    pub duration_ms: u64,
    /// The time limit that ended the attempt, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Limit>,
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// What went wrong; missing if the attempt succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Message>,
    /// What is wrong with the text of its reply, if it has the required form and cannot be
    /// published. `at` is the id of the call and a JSON pointer into the reply.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
    /// Tokens used, also by a rejected reply.
    #[serde(default)]
    pub usage: Usage,
    /// Cost of the tokens, if the model has a configured price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<Usd>,
    /// What budgets are charged with, if the provider did not count all tokens; not a part of
    /// records.
    #[serde(skip)]
    pub estimated: Option<Box<EstimatedUse>>,
}

impl Attempt {
    /// Whether it was answered with a reply that no call can use, and that is paid for all the
    /// same: one that is truncated, empty, refused or not the requested format. An error status
    /// costs nothing.
    pub fn is_unusable_reply(&self) -> bool {
        let answered = self.status.is_some_and(|status| (200..300).contains(&status));
        let paid = answered || self.usage != Usage::default();
        paid && self.outcome != AttemptOutcome::Succeeded
    }

    /// How attempts ended, on one line: "`first`: overloaded, `second`: timeout".
    pub fn outcomes(attempts: &[Attempt]) -> String {
        let each = attempts.iter().map(|one| format!("`{}`: {}", one.provider, one.outcome));
        each.collect::<Vec<_>>().join(", ")
    }
}

/// What budgets are charged with for a reply whose provider did not count all tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EstimatedUse {
    /// Input and output tokens, those included that the provider has counted.
    pub tokens: u64,
    /// Their cost; 0 if the model has no price.
    pub cost_usd: Usd,
}

/// The failure that opened a circuit breaker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BreakerOpened {
    /// The HTTP status; missing if there was no response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// What went wrong, redacted.
    pub message: Message,
    /// The same in the words of the provider, which may quote another order; not a part of records.
    #[serde(skip)]
    pub words: Option<Message>,
    /// Whether a worker met it when it checked the provider, so that no order has a record of it;
    /// not a part of records.
    #[serde(skip)]
    pub of_probe: bool,
    /// Whose calls the breaker rejects; not a part of records.
    #[serde(skip)]
    pub open_for: OpenFor,
}

/// Whose calls an open circuit breaker rejects, from the fewest to all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum OpenFor {
    /// Those of one order: only its own have failed.
    Order,
    /// Those of all orders of one tenant, or of all without a tenant: only theirs have failed.
    Tenant,
    /// All.
    #[default]
    All,
}

impl BreakerOpened {
    /// What went wrong, as the order that met it has it in its record if that is known: for
    /// fingerprints and for operators, not for records of the orders that the breaker rejects.
    pub fn in_full(&self) -> &Message {
        self.words.as_ref().unwrap_or(&self.message)
    }
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
    /// Milliseconds before the next call can succeed: requested by the provider, or until the
    /// circuit breaker closes.
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

    /// The message of a call whose attempts all failed: that of the last one, and how those
    /// `before` it ended.
    pub fn message_of(last: &Message, before: &[Attempt]) -> Message {
        if before.is_empty() {
            return last.clone();
        }
        message!("every attempt failed; the last: {last}; before it {}", Attempt::outcomes(before))
    }

    /// The message for fingerprints and for operators. If a circuit breaker rejected the last
    /// attempt, it says what opened the breaker: that nothing was sent says less. Not for records
    /// of the orders that the breaker rejects; see [`BreakerOpened::in_full`].
    pub fn in_full(&self) -> Cow<'_, Message> {
        let Some((last, before)) = self.attempts.split_last() else {
            return Cow::Borrowed(&self.message);
        };
        match &last.opened_by {
            // The error of another kind is not that of the attempt: a budget was used up after it.
            Some(opened) if last.outcome == AttemptOutcome::Failed(self.kind) => {
                Cow::Owned(AiError::message_of(opened.in_full(), before))
            }
            _ => Cow::Borrowed(&self.message),
        }
    }
}
