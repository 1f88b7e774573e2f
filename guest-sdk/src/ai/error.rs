//! Errors of AI calls.

use std::{fmt, sync::Arc};

pub use sitewright_rules::AiErrorKind as ErrorKind;

/// An AI call without a usable reply. The host has already retried if that could help.
///
/// With `?` it becomes a [`crate::Error`] that blames the call: a retry of the order sends that
/// call again and replays the others.
#[derive(Debug, Clone)]
pub struct Error {
    /// The kind of the error. Later versions can add kinds: end a `match` with a `_` arm.
    pub kind: ErrorKind,
    /// What happened and, if it is known, what to do about it. Never empty.
    pub message: String,
    /// The HTTP response of the last attempt; `None` if there was none.
    pub http: Option<Box<HttpDetail>>,
    /// Number of attempts that the host made, over all candidates of the route. 0 if nothing was
    /// sent.
    pub attempts: u32,
    /// The host's id of the call. Empty if nothing was sent.
    pub call_id: String,
    /// Whether the same call can succeed later.
    pub retryable: bool,
    /// The parse error, if the reply could not be parsed.
    pub(crate) source: Option<Arc<serde_json::Error>>,
}

/// The HTTP response of the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpDetail {
    /// The status code.
    pub status: u16,
    /// The provider's id of the request, to quote to its support.
    pub request_id: Option<String>,
    /// The delay that the provider requested before the next call, in milliseconds.
    pub retry_after_ms: Option<u64>,
    /// The beginning of the body, at most 2 KiB, with secrets redacted.
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

    /// A complete reply that could not be parsed as `wanted`.
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
