//! Errors: Cloudflare's own number and message decide, then the status.
//!
//! Numbers from 3000 to 5999 are those of Workers AI
//! (<https://developers.cloudflare.com/workers-ai/platform/errors/>); the others are those of the
//! API in front of it, as reported by its users.

use serde_json::Value;

use super::super::error_body::{self, ErrorBody};
use super::super::failure::AttemptFailure;
use super::super::reading;
use super::super::wire::{HttpHead, HttpReply};
use sitewright_model::ai::AiErrorKind;

/// The failure that an error status with this body means.
pub(super) fn failure(http: &HttpReply) -> AttemptFailure {
    match serde_json::from_slice::<Value>(&http.body) {
        Ok(value) => of_envelope(&http.head, &value),
        Err(_) => of_body(&http.head, &ErrorBody::parse(&http.body)),
    }
}

/// Whether this is an error envelope. It may come with a success status or as an event of a stream.
pub(super) fn is_failure(value: &Value) -> bool {
    value.get("success") == Some(&Value::Bool(false))
        || value.get("errors").and_then(Value::as_array).is_some_and(|errors| !errors.is_empty())
        || value.get("error").is_some_and(reading::is_error)
}

/// The failure that an error envelope means.
pub(super) fn of_envelope(head: &HttpHead, value: &Value) -> AttemptFailure {
    of_body(head, &ErrorBody::read(value.pointer("/errors/0").unwrap_or(value)))
}

fn of_body(head: &HttpHead, body: &ErrorBody) -> AttemptFailure {
    error_body::of_kind(head, kind(head.status, body), body)
}

fn kind(status: u16, body: &ErrorBody) -> AiErrorKind {
    if body.mentions(&["context window", "context length"]) {
        return AiErrorKind::ContextTooLong;
    }
    if body.mentions(&["json mode couldn't be met", "json model couldn't be met"]) {
        // The model's reply does not match the schema.
        return AiErrorKind::SchemaMismatch;
    }
    match body.number.or_else(|| number_in(&body.message.to_lowercase())) {
        // Invalid token, gateway token, invalid headers, no headers, no access, authentication
        // error.
        Some(1000 | 2009 | 6003 | 6111 | 9106 | 9109 | 10000 | 10001) => AiErrorKind::Auth,
        // Account blocked, private model, model agreement not signed.
        Some(3023 | 3041 | 5016 | 5018) => AiErrorKind::Permission,
        // Invalid model, no such model, no such route or account.
        Some(3042 | 5007 | 7000 | 7003 | 7009) => AiErrorKind::NotFound,
        // Request too large.
        Some(3006) => AiErrorKind::ContextTooLong,
        // Timeout, aborted.
        Some(3007 | 3008) => AiErrorKind::Timeout,
        // The daily free allocation is exhausted.
        Some(3036 | 4006) => AiErrorKind::QuotaExhausted,
        // Out of capacity: a 429 that is not about this caller's rate.
        Some(3040) => AiErrorKind::Overloaded,
        Some(3003 | 3039 | 5004 | 5005 | 5006 | 5019) => AiErrorKind::InvalidRequest,
        _ if body.mentions(&["daily free allocation"]) => AiErrorKind::QuotaExhausted,
        // The stream had begun, so the request is not the cause.
        _ if status < 300 => AiErrorKind::Overloaded,
        _ => error_body::kind(status, body),
    }
}

/// The number at the beginning of a message, where some layers put it: `AiError: 3040: Capacity
/// temporarily exceeded, please try again.`
fn number_in(message: &str) -> Option<u16> {
    message.split(':').map(str::trim).take(3).find_map(|part| part.parse().ok())
}
