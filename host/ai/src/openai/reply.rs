//! The whole response to a chat completion request.
//!
//! The transport reports a body that ends before its declared length as `connection`. A complete
//! body that is not the protocol's JSON, or is JSON that ends early, is `protocol`. `truncated` is
//! a reply that a token limit cut, or a stream that ends without its final marker.

use serde::Deserialize;
use serde_json::Value;

use super::super::answer::{Answer, Finish};
use super::super::error_body;
use super::super::failure::AttemptFailure;
use super::super::stream_deltas;
use super::super::wire::HttpReply;
use sitewright_model::ai::{AiErrorKind, Usage};

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
    message: Option<ChatText>,
    finish_reason: Option<String>,
    error: Option<Value>,
}

/// The text of a message or of a delta.
#[derive(Deserialize)]
pub(super) struct ChatText {
    content: Option<Content>,
    refusal: Option<String>,
}

/// Text, or a list of parts as some compatible endpoints send it.
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

/// Decodes the whole body of a success.
pub(super) fn decode(http: &HttpReply) -> Result<Answer, AttemptFailure> {
    let answer: Whole = stream_deltas::parse_whole(http)?;
    if let Some(error) = answer.error.as_ref().filter(|error| !error.is_null()) {
        return Err(error_body::in_success(&http.head, error));
    }
    let Some(choices) = answer.choices else {
        return Err(stream_deltas::without("choices"));
    };
    let Some(choice) = choices.into_iter().next() else {
        return Err(AttemptFailure::new(AiErrorKind::Empty, "its answer has no choice"));
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

/// Maps the protocol's finish reasons, and the other names of compatible endpoints.
pub(super) fn finish(reason: String) -> Finish {
    match reason.as_str() {
        "stop" | "eos" | "stop_sequence" | "end_turn" => Finish::Stop,
        "length" | "max_tokens" | "model_length" => Finish::Length,
        "content_filter" => Finish::Filtered("its content filter stopped the reply".to_owned()),
        "error" => Finish::Failed,
        _ => Finish::Other(reason),
    }
}

/// The text and the refusal.
pub(super) fn texts(message: ChatText) -> (String, Option<String>) {
    match message.content {
        None => (String::new(), message.refusal),
        Some(Content::Text(text)) => (text, message.refusal),
        Some(Content::Parts(parts)) => {
            let text = parts.iter().filter_map(|part| part.text.as_deref()).collect();
            (text, message.refusal.or_else(|| parts.into_iter().find_map(|part| part.refusal)))
        }
    }
}
