//! The meaning of an error, by what the provider says first and by the status otherwise. One
//! reading for all providers: their envelopes and words overlap, and a proxy may speak like any of
//! them.

use std::time::Duration;

use serde_json::Value;

use super::provider::{Failure, HttpHead, HttpReply};
use super::retry_after;
use sitewright_model::ai::{AiErrorKind, HttpDetail};

/// What an error body says, whatever its envelope.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) message: String,
    /// `type`, `code` and inner codes, in lower case.
    pub(super) words: Vec<String>,
    /// A numeric code, as OpenRouter and llama.cpp send it.
    pub(super) number: Option<u16>,
    /// The wait it asks for in a field of its own.
    pub(super) delay: Option<Duration>,
}

/// The failure of an answer with an error status.
pub(super) fn failure(http: &HttpReply) -> Failure {
    classified(&http.head, http.head.status, &read(&http.body))
}

/// What an error body says, JSON or not.
pub(super) fn read(body: &[u8]) -> Said {
    match serde_json::from_slice::<Value>(body) {
        Ok(value) => said(&value),
        Err(_) => Said { message: plain(body), ..Said::default() },
    }
}

/// The failure of an error inside an answer that calls itself a success.
pub(super) fn in_success(head: &HttpHead, error: &Value) -> Failure {
    let said = said(error);
    let status = said.number.filter(|number| (400..=599).contains(number)).unwrap_or(head.status);
    classified(head, status, &said)
}

/// The failure that a status and these words mean. It has no excerpt: whoever read the body adds
/// it.
pub(super) fn classified(head: &HttpHead, status: u16, said: &Said) -> Failure {
    of_kind(head, kind(status, said), said)
}

/// The failure of an error of this kind.
pub(super) fn of_kind(head: &HttpHead, kind: AiErrorKind, said: &Said) -> Failure {
    let delay =
        said.delay.or_else(|| retry_after::delay(&head.headers, &said.message, head.received));
    let should_retry = head.headers.get("x-should-retry").and_then(|value| value.to_str().ok());
    let retryable = match should_retry.map(str::trim) {
        Some("true") => true,
        Some("false") => false,
        // One request over the whole limit: waiting cannot make it smaller.
        _ if said.message.to_lowercase().contains("request too large") => false,
        _ => kind.retryable(),
    };
    let retry_after_ms = delay.map(|delay| u64::try_from(delay.as_millis()).unwrap_or(u64::MAX));
    Failure { retryable, ..Failure::new(kind, &said.message) }
        .with_http(HttpDetail { retry_after_ms, ..head.seen() })
}

/// What a status and these words mean.
pub(super) fn kind(status: u16, said: &Said) -> AiErrorKind {
    let by_words = by_words(said).map(|kind| match (kind, by_status(status)) {
        // Some call every failure of theirs a server error; the status of a time-out says more.
        (AiErrorKind::Overloaded, AiErrorKind::Timeout) => AiErrorKind::Timeout,
        _ => kind,
    });
    by_words.or_else(|| by_message(status, said)).unwrap_or_else(|| by_status(status))
}

/// Codes and types are said on purpose, so they count before the status.
fn by_words(said: &Said) -> Option<AiErrorKind> {
    said.words.iter().find_map(|word| {
        Some(match word.as_str() {
            "invalid_api_key" | "authentication_error" | "invalid_authentication" => {
                AiErrorKind::Auth
            }
            "permission_error" | "permission_denied" => AiErrorKind::Permission,
            "insufficient_quota"
            | "billing_error"
            | "billing_not_active"
            | "billing_hard_limit_reached" => AiErrorKind::QuotaExhausted,
            "context_length_exceeded" | "exceed_context_size_error" => AiErrorKind::ContextTooLong,
            "content_filter" | "content_policy_violation" | "responsibleaipolicyviolation" => {
                AiErrorKind::ContentFiltered
            }
            "model_not_found" | "deploymentnotfound" | "not_found_error" | "notfounderror" => {
                AiErrorKind::NotFound
            }
            "rate_limit_exceeded" | "rate_limit_error" => AiErrorKind::RateLimited,
            "overloaded_error" | "unavailable_error" | "server_error" | "internal_server_error" => {
                AiErrorKind::Overloaded
            }
            "timeout_error" => AiErrorKind::Timeout,
            // Groq checks JSON mode itself.
            "json_validate_failed" => AiErrorKind::Malformed,
            _ => return None,
        })
    })
}

/// Some servers say it only in the text of a 400.
fn by_message(status: u16, said: &Said) -> Option<AiErrorKind> {
    if !matches!(status, 400 | 413 | 422) {
        return None;
    }
    let message = said.message.to_lowercase();
    let says = |texts: &[&str]| texts.iter().any(|text| message.contains(text));
    if says(&[
        "maximum context length",
        "context size",
        "context window",
        "prompt is too long",
        "context length",
    ]) {
        return Some(AiErrorKind::ContextTooLong);
    }
    if says(&["not a valid model", "model not found", "unknown model"])
        || (message.contains("model") && says(&["does not exist", "not found"]))
    {
        return Some(AiErrorKind::NotFound);
    }
    None
}

fn by_status(status: u16) -> AiErrorKind {
    match status {
        401 => AiErrorKind::Auth,
        402 => AiErrorKind::QuotaExhausted,
        403 => AiErrorKind::Permission,
        404 | 405 | 410 => AiErrorKind::NotFound,
        408 | 504 | 524 => AiErrorKind::Timeout,
        413 => AiErrorKind::ContextTooLong,
        429 => AiErrorKind::RateLimited,
        400..=499 => AiErrorKind::InvalidRequest,
        500..=599 => AiErrorKind::Overloaded,
        _ => AiErrorKind::Other,
    }
}

/// Reads an error out of any envelope: `{"error": {...}}`, `{"error": "text"}`, the error itself, a
/// list of one of these, `{"detail": ...}`.
pub(super) fn said(value: &Value) -> Said {
    match value {
        Value::Array(items) => items.first().map(said).unwrap_or_default(),
        Value::String(text) => Said { message: text.trim().to_owned(), ..Said::default() },
        Value::Object(object) => match object.get("error") {
            Some(error @ (Value::Object(_) | Value::Array(_))) => said(error),
            // `{"error": "text"}`, perhaps with a message beside it.
            Some(Value::String(text)) if !object.contains_key("message") => {
                said(&Value::String(text.clone()))
            }
            _ => of_object(value),
        },
        _ => Said::default(),
    }
}

fn of_object(error: &Value) -> Said {
    let inner = ["/code", "/type", "/status", "/innererror/code", "/metadata/error_type"];
    let mut words = Vec::new();
    let mut number = None;
    for pointer in inner {
        match error.pointer(pointer) {
            Some(Value::String(word)) => match word.parse() {
                Ok(code) => number = number.or(Some(code)),
                Err(_) => words.push(word.to_lowercase()),
            },
            Some(Value::Number(code)) => {
                number = number.or_else(|| code.as_u64().and_then(|code| u16::try_from(code).ok()));
            }
            _ => {}
        }
    }
    if error.pointer("/metadata/reasons").is_some_and(Value::is_array) {
        words.push("content_filter".to_owned());
    }
    let texts = ["/message", "/detail/0/msg", "/detail/message", "/detail", "/msg"];
    let message =
        texts.iter().find_map(|pointer| error.pointer(pointer)?.as_str()).unwrap_or_default();
    // OpenRouter hides what the provider behind it said.
    let raw = error.pointer("/metadata/raw").and_then(Value::as_str).filter(|raw| !raw.is_empty());
    let message =
        raw.map_or_else(|| message.trim().to_owned(), |raw| format!("{} ({raw})", message.trim()));
    Said { message, words, number, delay: None }
}

/// The text of a body that is no JSON.
fn plain(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    if text.starts_with('<') {
        html(text)
    } else {
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

/// An HTML page for people: its title when it has one.
fn html(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let title = lower.find("<title").and_then(|at| {
        let start = at + lower[at..].find('>')? + 1;
        let end = start + lower[start..].find("</title")?;
        Some(text[start..end].split_whitespace().collect::<Vec<_>>().join(" "))
    });
    match title.filter(|title| !title.is_empty()) {
        Some(title) => format!("an HTML page ({})", title.chars().take(100).collect::<String>()),
        None => "an HTML page".to_owned(),
    }
}

/// What the body of a success is that is not the JSON it should be.
pub(super) fn not_json(body: &[u8], error: &serde_json::Error) -> String {
    let text = String::from_utf8_lossy(body);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    if text.starts_with('<') {
        return format!("it answered with {} instead of JSON", html(text));
    }
    if text.starts_with("data:") || text.starts_with("event:") {
        return "it answered with a stream that nobody asked for".to_owned();
    }
    match error.classify() {
        serde_json::error::Category::Eof => {
            format!("its answer is JSON that ends early, after {} bytes", body.len())
        }
        serde_json::error::Category::Data => {
            format!("its answer is JSON of another shape: {error}")
        }
        _ => format!("its answer is not JSON: {error}"),
    }
}
