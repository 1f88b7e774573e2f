//! Errors: the details decide, then the `status` code, then the HTTP status.

use std::time::Duration;

use serde_json::Value;

use super::super::error_body::{self, ErrorBody};
use super::super::error_words;
use super::super::failure::AttemptFailure;
use super::super::retry_after;
use super::super::wire::{HttpHead, HttpReply};
use sitewright_model::ai::AiErrorKind;

/// The failure that an error status with this body means.
pub(super) fn failure(http: &HttpReply) -> AttemptFailure {
    let value = serde_json::from_slice::<Value>(&http.body).unwrap_or_default();
    let details = error_of(&value).map_or(&[][..], details);
    of_body(&http.head, http.head.status, ErrorBody::parse(&http.body), details)
}

/// The error in an envelope, which may be the entry of a list.
pub(super) fn error_of(value: &Value) -> Option<&Value> {
    let value = value.as_array().map_or(Some(value), |list| list.first())?;
    value.get("error").filter(|error| !error.is_null())
}

/// The failure for an error inside a success.
pub(super) fn in_success(head: &HttpHead, error: &Value, frame: &[u8]) -> AttemptFailure {
    let body = ErrorBody::read(error);
    let status = body.error_status().unwrap_or(head.status);
    of_body(head, status, body, details(error)).of_answer(head, frame)
}

fn details(error: &Value) -> &[Value] {
    error.get("details").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn of_body(head: &HttpHead, status: u16, body: ErrorBody, details: &[Value]) -> AttemptFailure {
    let kind = kind(status, &body, details);
    let retry_after = retry_delay(details).or(body.retry_after);
    error_body::of_kind(head, kind, &ErrorBody { retry_after, ..body })
}

/// The delay of `RetryInfo`, which is more precise than the message.
fn retry_delay(details: &[Value]) -> Option<Duration> {
    details.iter().find_map(|detail| retry_after::in_field(detail.get("retryDelay")?.as_str()?))
}

fn kind(status: u16, body: &ErrorBody, details: &[Value]) -> AiErrorKind {
    let message = body.message.to_lowercase();
    let reason =
        details.iter().find_map(|detail| detail.get("reason")?.as_str()).unwrap_or_default();
    // A message of a 400 may quote the prompt.
    if matches!(status, 401 | 403) && error_words::says_wrong_key(&body.message) {
        return AiErrorKind::Auth;
    }
    match reason {
        // Sent with status 400.
        "API_KEY_INVALID" | "API_KEY_EXPIRED" | "ACCESS_TOKEN_EXPIRED" | "CREDENTIALS_MISSING" => {
            return AiErrorKind::Auth;
        }
        "SERVICE_DISABLED" | "API_KEY_SERVICE_BLOCKED" | "CONSUMER_SUSPENDED" => {
            return AiErrorKind::Permission;
        }
        "BILLING_DISABLED" => return AiErrorKind::QuotaExhausted,
        _ => {}
    }
    let by_code = body.codes.iter().find_map(|code| {
        Some(match code.as_str() {
            "unauthenticated" => AiErrorKind::Auth,
            "permission_denied" => AiErrorKind::Permission,
            "not_found" => AiErrorKind::NotFound,
            "resource_exhausted" => AiErrorKind::RateLimited,
            "internal" | "unavailable" | "aborted" | "cancelled" => AiErrorKind::Overloaded,
            "deadline_exceeded" => AiErrorKind::Timeout,
            "failed_precondition" if message.contains("billing") => AiErrorKind::QuotaExhausted,
            // The API is not available to this account or in its country.
            "failed_precondition" => AiErrorKind::Permission,
            _ => return None,
        })
    });
    match by_code.unwrap_or_else(|| error_body::kind(status, body)) {
        AiErrorKind::RateLimited
            if is_exhausted(&message, details) || body.has_code("quota_exhausted") =>
        {
            AiErrorKind::QuotaExhausted
        }
        AiErrorKind::InvalidRequest if message.contains("api key not valid") => AiErrorKind::Auth,
        AiErrorKind::InvalidRequest
            if message.contains("token count") && message.contains("exceeds") =>
        {
            AiErrorKind::ContextTooLong
        }
        // Inside a success: the answer had begun, so the request is not the cause.
        AiErrorKind::Other => AiErrorKind::Overloaded,
        kind => kind,
    }
}

/// Whether waiting does not help: a daily quota is not reset after the delay of the response, and
/// a quota of zero is never reset.
fn is_exhausted(message: &str, details: &[Value]) -> bool {
    let violations =
        details.iter().filter_map(|detail| detail.get("violations")?.as_array()).flatten();
    let mut quotas = violations.filter_map(|violation| violation.get("quotaId")?.as_str());
    quotas.any(|id| id.contains("PerDay"))
        || message.contains("perday")
        || message.contains("limit: 0,")
        || message.contains("credits are depleted")
}
