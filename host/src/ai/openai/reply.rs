//! The meaning of an answer to a chat completion request.
//!
//! A body that ends before its declared length never comes here: that is `connection`, found by the transport. A body that is
//! whole and not the protocol's JSON, also one that ends early, is `protocol`. `truncated` is what the model itself cut.

use serde::Deserialize;
use serde_json::Value;

use super::super::completion::{FinishReason, Usage};
use super::super::error::AiErrorKind;
use super::super::provider::{Failure, HttpReply, Reply};
use super::errors;

/// Unknown fields are ignored: providers add them without notice.
#[derive(Deserialize)]
struct Answer {
    choices: Option<Vec<Choice>>,
    model: Option<String>,
    usage: Option<Tokens>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    message: Option<Said>,
    finish_reason: Option<String>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Said {
    content: Option<Content>,
    refusal: Option<String>,
}

/// Text, or a list of parts as some compatibles send it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Deserialize)]
struct Part {
    text: Option<String>,
    refusal: Option<String>,
}

#[derive(Deserialize)]
struct Tokens {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
}

/// A reply of the model, or what went wrong instead.
pub(in super::super) fn decode(http: &HttpReply) -> Result<Reply, Failure> {
    match http.status {
        200..=299 => {}
        300..=399 => return Err(redirect(http)),
        _ => return Err(errors::failure(http)),
    }
    let fail = |kind, detail: String| Err(Failure::new(kind, detail).with_http(http.detail()));
    if http.body.trim_ascii().is_empty() {
        return fail(AiErrorKind::Empty, "its answer has an empty body".to_owned());
    }
    let answer: Answer = match serde_json::from_slice(&http.body) {
        Ok(answer) => answer,
        Err(error) => return fail(AiErrorKind::Protocol, not_json(&http.body, &error)),
    };
    if let Some(error) = answer.error.as_ref().filter(|error| !error.is_null()) {
        return Err(errors::in_success(http, error));
    }
    let usage = answer.usage.map_or_else(Usage::default, |tokens| Usage {
        input_tokens: tokens.prompt_tokens,
        output_tokens: tokens.completion_tokens,
    });
    let Some(choices) = answer.choices else {
        return fail(AiErrorKind::Protocol, "its answer is JSON without `choices`".to_owned());
    };
    let Some(choice) = choices.into_iter().next() else {
        return fail(AiErrorKind::Empty, "its answer has no choice".to_owned());
    };
    if let Some(error) = choice.error.as_ref().filter(|error| !error.is_null()) {
        return Err(errors::in_success(http, error));
    }
    let (content, refusal) = choice.message.map_or((String::new(), None), texts);
    let finish = choice.finish_reason.as_deref();
    let fail =
        |kind, detail: String| Err(Failure::new(kind, detail).with_http(http.detail()).with_usage(usage));
    if finish == Some("content_filter") {
        return fail(AiErrorKind::ContentFiltered, "its content filter stopped the reply".to_owned());
    }
    if let Some(refusal) = refusal.filter(|text| !text.trim().is_empty()) {
        let refusal: String = refusal.trim().chars().take(300).collect();
        return fail(AiErrorKind::ContentFiltered, format!("the model refused: {refusal}"));
    }
    if matches!(finish, Some("length" | "max_tokens" | "model_length")) {
        let tokens = usage.output_tokens.map_or_else(
            || format!("after {} characters", content.chars().count()),
            |tokens| format!("after {tokens} tokens"),
        );
        let thinking =
            if content.trim().is_empty() { ", all of them spent before the reply began" } else { "" };
        return fail(AiErrorKind::Truncated, format!("{tokens}{thinking}"));
    }
    if finish == Some("error") {
        return fail(AiErrorKind::Overloaded, "the model stopped with an error".to_owned());
    }
    if content.trim().is_empty() {
        let why = finish.map_or_else(String::new, |finish| format!("finish reason `{finish}`"));
        return fail(AiErrorKind::Empty, why);
    }
    let finish_reason = match finish {
        None | Some("stop" | "eos" | "stop_sequence") => FinishReason::Stop,
        Some(_) => FinishReason::Other,
    };
    Ok(Reply {
        content,
        finish_reason,
        usage,
        model: answer.model.filter(|model| !model.is_empty()),
        http: http.seen(),
    })
}

fn texts(said: Said) -> (String, Option<String>) {
    match said.content {
        None => (String::new(), said.refusal),
        Some(Content::Text(text)) => (text, said.refusal),
        Some(Content::Parts(parts)) => {
            let text = parts.iter().filter_map(|part| part.text.as_deref()).collect();
            (text, said.refusal.or_else(|| parts.into_iter().find_map(|part| part.refusal)))
        }
    }
}

fn redirect(http: &HttpReply) -> Failure {
    let to = http
        .headers
        .get("location")
        .and_then(|value| value.to_str().ok())
        .and_then(|to| to.split('?').next());
    let detail = match to {
        Some(to) => format!("it redirects to {to}, and redirects are not followed"),
        None => "it redirects, and redirects are not followed".to_owned(),
    };
    let retryable = false;
    Failure { retryable, ..Failure::new(AiErrorKind::Protocol, detail) }.with_http(http.detail())
}

fn not_json(body: &[u8], error: &serde_json::Error) -> String {
    let text = String::from_utf8_lossy(body);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    if text.starts_with('<') {
        return format!("it answered with {} instead of JSON", errors::html(text));
    }
    if text.starts_with("data:") || text.starts_with("event:") {
        return "it answered with a stream that nobody asked for".to_owned();
    }
    match error.classify() {
        serde_json::error::Category::Eof => {
            format!("its answer is JSON that ends early, after {} bytes", body.len())
        }
        serde_json::error::Category::Data => format!("its answer is JSON of another shape: {error}"),
        _ => format!("its answer is not JSON: {error}"),
    }
}
