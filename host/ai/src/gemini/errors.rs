//! The meaning of an error: its details first, its `status` word next, the HTTP status otherwise.

use std::time::Duration;

use serde_json::Value;

use super::super::error_body::{self, Said};
use super::super::provider::{Failure, HttpHead, HttpReply};
use super::super::retry_after;
use sitewright_model::ai::AiErrorKind;

/// The failure of an answer with an error status.
pub(super) fn failure(http: &HttpReply) -> Failure {
    let value = serde_json::from_slice::<Value>(&http.body).unwrap_or_default();
    let details = error_of(&value).map_or(&[][..], details);
    described(&http.head, http.head.status, error_body::read(&http.body), details)
}

/// The error in an envelope, also when a list of one stands around it.
pub(super) fn error_of(value: &Value) -> Option<&Value> {
    let value = value.as_array().map_or(Some(value), |list| list.first())?;
    value.get("error").filter(|error| !error.is_null())
}

/// The failure of an error inside a success.
pub(super) fn in_success(head: &HttpHead, error: &Value, frame: &[u8]) -> Failure {
    let said = error_body::said(error);
    let status = said.number.filter(|number| (400..=599).contains(number)).unwrap_or(head.status);
    described(head, status, said, details(error)).of_answer(head, frame)
}

fn details(error: &Value) -> &[Value] {
    error.get("details").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn described(head: &HttpHead, status: u16, said: Said, details: &[Value]) -> Failure {
    let kind = kind(status, &said, details);
    error_body::of_kind(head, kind, &Said { delay: delay(details), ..said })
}

/// `RetryInfo`, which is exacter than the text beside it.
fn delay(details: &[Value]) -> Option<Duration> {
    details.iter().find_map(|detail| retry_after::in_field(detail.get("retryDelay")?.as_str()?))
}

fn kind(status: u16, said: &Said, details: &[Value]) -> AiErrorKind {
    let message = said.message.to_lowercase();
    let reason =
        details.iter().find_map(|detail| detail.get("reason")?.as_str()).unwrap_or_default();
    match reason {
        // A 400, and all the same about the key.
        "API_KEY_INVALID" | "API_KEY_EXPIRED" | "ACCESS_TOKEN_EXPIRED" | "CREDENTIALS_MISSING" => {
            return AiErrorKind::Auth;
        }
        "SERVICE_DISABLED" | "API_KEY_SERVICE_BLOCKED" | "CONSUMER_SUSPENDED" => {
            return AiErrorKind::Permission;
        }
        "BILLING_DISABLED" => return AiErrorKind::QuotaExhausted,
        _ => {}
    }
    let word = said.words.iter().find_map(|word| {
        Some(match word.as_str() {
            "unauthenticated" => AiErrorKind::Auth,
            "permission_denied" => AiErrorKind::Permission,
            "not_found" => AiErrorKind::NotFound,
            "resource_exhausted" => AiErrorKind::RateLimited,
            "internal" | "unavailable" | "aborted" | "cancelled" => AiErrorKind::Overloaded,
            "deadline_exceeded" => AiErrorKind::Timeout,
            "failed_precondition" if message.contains("billing") => AiErrorKind::QuotaExhausted,
            // The API is not offered to this account or in its country.
            "failed_precondition" => AiErrorKind::Permission,
            _ => return None,
        })
    });
    match word.unwrap_or_else(|| error_body::kind(status, said)) {
        AiErrorKind::RateLimited if used_up(&message, details) => AiErrorKind::QuotaExhausted,
        AiErrorKind::InvalidRequest if message.contains("api key not valid") => AiErrorKind::Auth,
        AiErrorKind::InvalidRequest
            if message.contains("token count") && message.contains("exceeds") =>
        {
            AiErrorKind::ContextTooLong
        }
        kind => kind,
    }
}

/// A quota of the day does not clear in the minute that the delay speaks of, and one of nothing
/// never does.
fn used_up(message: &str, details: &[Value]) -> bool {
    let violations =
        details.iter().filter_map(|detail| detail.get("violations")?.as_array()).flatten();
    let mut quotas = violations.filter_map(|violation| violation.get("quotaId")?.as_str());
    quotas.any(|id| id.contains("PerDay"))
        || message.contains("perday")
        || message.contains("limit: 0,")
        || message.contains("credits are depleted")
}
