//! Why an AI call gave no reply.

use std::{fmt, sync::Arc};

pub use sitewright_rules::AiErrorKind as ErrorKind;

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
    /// An error of a call that was never sent. In a component only the host makes these.
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn local(kind: ErrorKind, message: String, call_id: String) -> Self {
        Error {
            kind,
            message,
            http: None,
            attempts: 0,
            call_id,
            retryable: kind.retryable(),
            source: None,
        }
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
            retryable: kind.retryable(),
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
