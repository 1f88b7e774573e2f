//! Errors: the `type` decides, then the message where the type is ambiguous, then the status.

use serde::Deserialize;

use super::super::error_body::{self, ErrorBody};
use super::super::error_words::says_no_money;
use super::super::failure::AttemptFailure;
use super::super::wire::HttpHead;
use sitewright_model::ai::AiErrorKind;

#[derive(Deserialize, Default)]
struct Envelope {
    request_id: Option<String>,
}

/// The failure that an error status with this body, or an `error` event with this data, means.
pub(super) fn failure(head: &HttpHead, body: &[u8]) -> AttemptFailure {
    let error = ErrorBody::parse(body);
    // Inside a success only the error itself has a meaningful status.
    let status = error.error_status().filter(|_| head.status < 300);
    let kind = match kind(status.unwrap_or(head.status), &error) {
        // The answer had begun, so the request is not the cause.
        AiErrorKind::Other => AiErrorKind::Overloaded,
        kind => kind,
    };
    let mut failure = error_body::of_kind(head, kind, &error).of_answer(head, body);
    if let Some(http) = failure.http.as_mut().filter(|http| http.request_id.is_none()) {
        http.request_id = serde_json::from_slice::<Envelope>(body).unwrap_or_default().request_id;
    }
    failure
}

fn kind(status: u16, error: &ErrorBody) -> AiErrorKind {
    // The general type for server errors, which relays give to every error. These statuses are more
    // specific.
    let is_general = error.has_code("api_error") && !matches!(status, 400..=499 | 504);
    if is_general && !says_no_money(&error.message) {
        // Relays have no other type for it.
        let is_limit = error.mentions(&["rate limit exceeded"]);
        return if is_limit { AiErrorKind::RateLimited } else { AiErrorKind::Overloaded };
    }
    if error.has_code("request_too_large") {
        return AiErrorKind::ContextTooLong;
    }
    if error.has_code("invalid_request_error") {
        // The type is also used for long prompts, missing credit and the content filter.
        if error.mentions(&["prompt is too long", "exceed context limit", "context window"]) {
            return AiErrorKind::ContextTooLong;
        }
        if error.mentions(&["credit balance", "usage limit", "extra usage"]) {
            return AiErrorKind::QuotaExhausted;
        }
        if error.mentions(&["content filtering policy"]) {
            return AiErrorKind::ContentFiltered;
        }
    }
    error_body::kind(status, error)
}
