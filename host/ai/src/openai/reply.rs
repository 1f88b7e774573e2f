//! The meaning of an answer to a chat completion request.
//!
//! A body that ends before its declared length never comes here: that is `connection`, found by the
//! transport. A body that is whole and not the protocol's JSON, also one that ends early, is
//! `protocol`. `truncated` is what the model itself cut, and a stream that ends without its final
//! marker.

use serde::Deserialize;
use serde_json::Value;

use super::super::answer::{Answer, Finish};
use super::super::error_body;
use super::super::provider::{Failure, HttpReply};
use sitewright_model::ai::AiErrorKind;
use sitewright_model::ai::Usage;

/// Unknown fields are ignored: providers add them without notice.
#[derive(Deserialize)]
struct Whole {
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

/// A message, or a delta of one.
#[derive(Deserialize)]
pub(super) struct Said {
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
pub(super) struct Tokens {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
}

impl From<Tokens> for Usage {
    fn from(tokens: Tokens) -> Usage {
        Usage { input_tokens: tokens.prompt_tokens, output_tokens: tokens.completion_tokens }
    }
}

/// The whole body of a success.
pub(super) fn decode(http: &HttpReply) -> Result<Answer, Failure> {
    let answer: Whole = serde_json::from_slice(&http.body).map_err(|error| {
        Failure::new(AiErrorKind::Protocol, error_body::not_json(&http.body, &error))
    })?;
    if let Some(error) = answer.error.as_ref().filter(|error| !error.is_null()) {
        return Err(error_body::in_success(&http.head, error));
    }
    let Some(choices) = answer.choices else {
        return Err(Failure::new(AiErrorKind::Protocol, "its answer is JSON without `choices`"));
    };
    let Some(choice) = choices.into_iter().next() else {
        return Err(Failure::new(AiErrorKind::Empty, "its answer has no choice"));
    };
    if let Some(error) = choice.error.as_ref().filter(|error| !error.is_null()) {
        return Err(error_body::in_success(&http.head, error));
    }
    let (content, refusal) = choice.message.map_or((String::new(), None), texts);
    let usage = answer.usage.map_or_else(Usage::default, Usage::from);
    Ok(Answer {
        content,
        refusal,
        finish: choice.finish_reason.map(finish),
        usage,
        model: answer.model,
    })
}

/// The protocol's finish reasons, with the names that compatibles give them.
pub(super) fn finish(reason: String) -> Finish {
    match reason.as_str() {
        "stop" | "eos" | "stop_sequence" | "end_turn" => Finish::Stop,
        "length" | "max_tokens" | "model_length" => Finish::Length,
        "content_filter" => Finish::Filtered("its content filter stopped the reply".to_owned()),
        "error" => Finish::Failed,
        _ => Finish::Other(reason),
    }
}

pub(super) fn texts(said: Said) -> (String, Option<String>) {
    match said.content {
        None => (String::new(), said.refusal),
        Some(Content::Text(text)) => (text, said.refusal),
        Some(Content::Parts(parts)) => {
            let text = parts.iter().filter_map(|part| part.text.as_deref()).collect();
            (text, said.refusal.or_else(|| parts.into_iter().find_map(|part| part.refusal)))
        }
    }
}
