//! The meaning of an error: Cloudflare's own number and text first, the status otherwise.
//!
//! The numbers from 3000 to 5999 are of Workers AI, <https://developers.cloudflare.com/workers-ai/platform/errors/>; the others are
//! of the API in front of it, as recorded in reports of its users.

use serde_json::Value;

use super::super::error_body::{self, Said};
use super::super::provider::{Failure, HttpHead, HttpReply};
use sitewright_model::ai::AiErrorKind;

/// The failure of an answer with an error status.
pub(super) fn failure(http: &HttpReply) -> Failure {
    match serde_json::from_slice::<Value>(&http.body) {
        Ok(value) => described(&http.head, &value),
        Err(_) => of(&http.head, &error_body::read(&http.body)),
    }
}

/// Whether this is the envelope of a failure, also with a good status or as an event of a stream.
pub(super) fn is_failure(value: &Value) -> bool {
    value.get("success") == Some(&Value::Bool(false))
        || value.get("errors").and_then(Value::as_array).is_some_and(|errors| !errors.is_empty())
        || value.get("error").is_some_and(|error| !error.is_null())
}

/// The failure that an envelope describes.
pub(super) fn described(head: &HttpHead, value: &Value) -> Failure {
    of(head, &error_body::said(value.pointer("/errors/0").unwrap_or(value)))
}

fn of(head: &HttpHead, said: &Said) -> Failure {
    error_body::of_kind(head, kind(head.status, said), said)
}

fn kind(status: u16, said: &Said) -> AiErrorKind {
    let message = said.message.to_lowercase();
    let says = |texts: &[&str]| texts.iter().any(|text| message.contains(text));
    if says(&["context window", "context length"]) {
        return AiErrorKind::ContextTooLong;
    }
    if says(&["json mode couldn't be met", "json model couldn't be met"]) {
        // The model wrote something that the schema does not accept.
        return AiErrorKind::SchemaMismatch;
    }
    match said.number.or_else(|| number_in(&message)) {
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
        // The day's free allocation is used up.
        Some(3036 | 4006) => AiErrorKind::QuotaExhausted,
        // Out of capacity: a 429 that says nothing of this caller's rate.
        Some(3040) => AiErrorKind::Overloaded,
        Some(3003 | 3039 | 5004 | 5005 | 5006 | 5019) => AiErrorKind::InvalidRequest,
        _ if says(&["daily free allocation"]) => AiErrorKind::QuotaExhausted,
        // A stream that had begun: whatever it was, it was not the request.
        _ if status < 300 => AiErrorKind::Overloaded,
        _ => error_body::kind(status, said),
    }
}

/// Some layers put the number in front of the text: `AiError: 3040: Capacity temporarily exceeded,
/// please try again.`
fn number_in(message: &str) -> Option<u16> {
    message.split(':').map(str::trim).take(3).find_map(|part| part.parse().ok())
}
