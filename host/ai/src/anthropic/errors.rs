//! The meaning of an error: its `type` first, its text where the type says too little, the status
//! otherwise.

use std::time::{Duration, SystemTime};

use reqwest::header::HeaderMap;
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::super::error_body::{self, Said};
use super::super::provider::{Failure, HttpHead};
use super::super::retry_after;
use sitewright_model::ai::AiErrorKind;

#[derive(Deserialize, Default)]
struct Envelope {
    request_id: Option<String>,
}

/// The failure of an answer with an error status, or of an `error` event inside a success.
pub(super) fn failure(head: &HttpHead, body: &[u8]) -> Failure {
    let mut said = error_body::read(body);
    said.delay = retry_after::delay(&head.headers, &said.message, head.received)
        .or_else(|| reset(&head.headers, head.received));
    // Inside a success only the error itself can tell a status.
    let status = said.number.filter(|number| head.status < 300 && (400..=599).contains(number));
    let kind = kind(status.unwrap_or(head.status), &said);
    let mut failure = error_body::of_kind(head, kind, &said).of_answer(head, body);
    if let Some(http) = failure.http.as_mut().filter(|http| http.request_id.is_none()) {
        http.request_id = serde_json::from_slice::<Envelope>(body).unwrap_or_default().request_id;
    }
    failure
}

fn kind(status: u16, said: &Said) -> AiErrorKind {
    let is = |word: &str| said.words.iter().any(|said| said == word);
    let message = said.message.to_lowercase();
    let says = |texts: &[&str]| texts.iter().any(|text| message.contains(text));
    // Whatever broke there; a 504 says more.
    if is("api_error") && status != 504 {
        return AiErrorKind::Overloaded;
    }
    if is("request_too_large") {
        return AiErrorKind::ContextTooLong;
    }
    if is("invalid_request_error") {
        // Also what a prompt too long, an empty purse and a filter are called.
        if says(&["prompt is too long", "exceed context limit", "context window"]) {
            return AiErrorKind::ContextTooLong;
        }
        if says(&["credit balance", "usage limit"]) {
            return AiErrorKind::QuotaExhausted;
        }
        if says(&["content filtering policy"]) {
            return AiErrorKind::ContentFiltered;
        }
    }
    error_body::kind(status, said)
}

/// The time to the reset of the limits that are used up, for answers that say no other: the latest
/// of them.
fn reset(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text =
        |name: String| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let of = |limit: &str| {
        text(format!("anthropic-ratelimit-{limit}-remaining"))
            .filter(|remaining| *remaining == "0")?;
        let at =
            OffsetDateTime::parse(text(format!("anthropic-ratelimit-{limit}-reset"))?, &Rfc3339)
                .ok()?;
        Some(SystemTime::from(at).duration_since(now).unwrap_or_default())
    };
    ["requests", "tokens", "input-tokens", "output-tokens"].into_iter().filter_map(of).max()
}
