//! Why an AI call gave no reply.

use std::{fmt, sync::Arc};

/// An AI call that gave no usable reply. The host has already retried where that could help.
///
/// With `?` it becomes a [`crate::Error`] that blames the call: a retry of the order asks that call
/// again and replays the others.
#[derive(Debug, Clone)]
pub struct Error {
    /// What kind of failure.
    pub kind: ErrorKind,
    /// What happened and, where known, what to do. Never empty.
    pub message: String,
    /// What the provider said over HTTP, when it came that far.
    pub http: Option<Box<HttpDetail>>,
    /// How many attempts the host made, over all candidates of the route. 0 when no call was made.
    pub attempts: u32,
    /// The host's id of the call. Empty when no call was made.
    pub call_id: String,
    /// Whether the same call may succeed later.
    pub retryable: bool,
    /// Why the reply could not be read, when that is what failed.
    pub(crate) source: Option<Arc<serde_json::Error>>,
}

/// What kind of failure an AI call met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The provider refused the key.
    Auth,
    /// The key may not use this model or endpoint.
    Permission,
    /// The model or endpoint does not exist.
    NotFound,
    /// The provider, or the host before it, refused the request as malformed.
    InvalidRequest,
    /// Prompt and reply do not fit the model's window.
    ContextTooLong,
    /// Too many requests or tokens for now.
    RateLimited,
    /// No credit left; waiting does not help.
    QuotaExhausted,
    /// The provider or model is overloaded or failing on its side.
    Overloaded,
    /// A time limit passed: connect, first byte, idle or the whole call.
    Timeout,
    /// The connection could not be made or broke.
    Connection,
    /// The answer was not what the provider's protocol says, for example an HTML page.
    Protocol,
    /// The reply was cut: at a token limit, or its stream ended without its final marker.
    Truncated,
    /// The reply had no content.
    Empty,
    /// JSON was asked for and the reply was not JSON.
    Malformed,
    /// The reply was JSON but not of the shape that was asked for.
    SchemaMismatch,
    /// The provider refused the content.
    ContentFiltered,
    /// The order's budget (calls, tokens, money) is used up; no call was made.
    BudgetExceeded,
    /// No route serves the purpose.
    NoRoute,
    /// The run was cancelled or its deadline passed while the call was in flight.
    Cancelled,
    /// Anything newer.
    Other,
}

impl ErrorKind {
    /// The kind's name in the contract: `rate-limited`.
    pub fn name(self) -> &'static str {
        match self {
            ErrorKind::Auth => "auth",
            ErrorKind::Permission => "permission",
            ErrorKind::NotFound => "not-found",
            ErrorKind::InvalidRequest => "invalid-request",
            ErrorKind::ContextTooLong => "context-too-long",
            ErrorKind::RateLimited => "rate-limited",
            ErrorKind::QuotaExhausted => "quota-exhausted",
            ErrorKind::Overloaded => "overloaded",
            ErrorKind::Timeout => "timeout",
            ErrorKind::Connection => "connection",
            ErrorKind::Protocol => "protocol",
            ErrorKind::Truncated => "truncated",
            ErrorKind::Empty => "empty",
            ErrorKind::Malformed => "malformed",
            ErrorKind::SchemaMismatch => "schema-mismatch",
            ErrorKind::ContentFiltered => "content-filtered",
            ErrorKind::BudgetExceeded => "budget-exceeded",
            ErrorKind::NoRoute => "no-route",
            ErrorKind::Cancelled => "cancelled",
            ErrorKind::Other => "other",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What the provider said over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpDetail {
    /// The status code.
    pub status: u16,
    /// The provider's id of the request, for its support.
    pub request_id: Option<String>,
    /// Milliseconds the provider asked to wait.
    pub retry_after_ms: Option<u64>,
    /// The beginning of the body, at most 2 KiB, redacted.
    pub body_excerpt: Option<String>,
}

impl Error {
    /// An error that no provider caused. It is not retryable. In a component only the host makes
    /// those.
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn local(kind: ErrorKind, message: String, call_id: String) -> Self {
        Error { kind, message, http: None, attempts: 0, call_id, retryable: false, source: None }
    }

    /// A reply that came whole and could not be read as what the template wants.
    pub(crate) fn unreadable(wanted: &str, call_id: String, source: serde_json::Error) -> Self {
        let kind = if source.is_data() { ErrorKind::SchemaMismatch } else { ErrorKind::Malformed };
        Error {
            kind,
            message: format!("the model's reply could not be read as {wanted}"),
            http: None,
            attempts: 1,
            call_id,
            retryable: true,
            source: Some(Arc::new(source)),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AI call failed ({}): {}", self.kind, self.message)?;
        if let Some(http) = &self.http {
            write!(f, " (HTTP {})", http.status)?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
