//! The whole response to a chat completion request.
//!
//! The transport reports a body that ends before its declared length as `connection`. A complete
//! body that is not the protocol's JSON, or is JSON that ends early, is `protocol`. `truncated` is
//! a reply that a token limit cut, or a stream that ends without its final marker.

use std::borrow::Cow;

use serde_json::Value;

use super::super::answer::{Answer, WithoutEnd};
use super::super::error_body;
use super::super::failure::AttemptFailure;
use super::super::finish_reason;
use super::super::reading::{self, Fields};
use super::super::stream_deltas;
use super::super::usage;
use super::super::wire::HttpReply;
use sitewright_model::ai::{AiErrorKind, Usage};

/// Decodes the whole body of a success.
pub(super) fn decode(http: &HttpReply) -> Result<Answer, AttemptFailure> {
    let whole = stream_deltas::parse_whole(http)?;
    let whole = Fields(&whole);
    let choice = whole.list("choices").next();
    let text = choice.map(|choice| texts_of(choice, &["message", "delta"])).unwrap_or_default();
    let replied = !text.content.trim().is_empty();
    for error in [whole.get("error"), choice.and_then(|choice| choice.get("error"))] {
        // An error that says nothing, or beside a whole reply only its code, is none.
        if let Some(error) = error.filter(|error| stands_for_failure(error, replied)) {
            return Err(error_body::in_success(&http.head, error));
        }
    }
    // MiniMax reports errors beside the protocol's fields.
    if let Some(status) = whole.object("base_resp").filter(|_| !replied)
        && status.count("status_code").is_some_and(|code| code != 0)
    {
        return Err(error_body::in_success(&http.head, status.0));
    }
    let Some(choice) = choice else {
        return Err(match whole.get("choices") {
            Some(_) => AttemptFailure::new(AiErrorKind::Empty, "its answer has no choice"),
            // An error in an envelope of its own, with a success status.
            None if error_body::says_something(whole.0) => {
                error_body::in_success(&http.head, whole.0)
            }
            None => stream_deltas::without("choices"),
        });
    };
    let mut answer = Answer {
        content: text.content.into_owned(),
        refusal: text.refusal.map(str::to_owned),
        finish: finish_reason::of_choice(choice),
        model: whole.text("model").map(str::to_owned),
        calls_tool: calls_tool(choice),
        without_end: WithoutEnd::Unknown,
        ..Answer::default()
    };
    add_usage(whole, &mut answer.usage);
    Ok(answer)
}

/// Whether an `error` means that there is no reply. Beside a whole reply it must say so in words.
pub(super) fn stands_for_failure(error: &Value, replied: bool) -> bool {
    let says = |error: &Value| match error {
        Value::String(text) => !text.trim().is_empty(),
        Value::Object(_) => Fields(error).text("message").is_some(),
        _ => false,
    };
    if replied { says(error) } else { reading::is_error(error) }
}

/// Whether the model calls a tool in this part of the answer, in the notation of today or in the
/// one that it replaced.
pub(super) fn calls_tool(choice: Fields<'_>) -> bool {
    ["message", "delta"].into_iter().filter_map(|name| choice.object(name)).any(|text| {
        let calls = |call: Fields<'_>| call.0.as_object().is_some_and(|call| !call.is_empty());
        text.list("tool_calls").any(calls)
            || text.object("function_call").is_some_and(|call| call.text("name").is_some())
    })
}

/// Adds the token counts, wherever the endpoint reports them: beside the choices, in a choice
/// (Moonshot), in an object of its own (Groq, llama.cpp), or elsewhere.
pub(super) fn add_usage(chunk: Fields<'_>, usage: &mut Usage) -> bool {
    let places = [
        chunk.object("usage"),
        chunk.list("choices").next().and_then(|choice| choice.object("usage")),
        chunk.object("x_groq").and_then(|groq| groq.object("usage")),
    ];
    let mut found = false;
    for tokens in places.into_iter().flatten() {
        found |= usage::add(tokens, usage);
    }
    found || usage::elsewhere(chunk).is_some_and(|tokens| usage::add(tokens, usage))
}

/// The text of a message or of a delta.
#[derive(Debug, Default)]
pub(super) struct ChatText<'a> {
    pub(super) content: Cow<'a, str>,
    pub(super) refusal: Option<&'a str>,
}

/// The text of the first of these fields that is there; otherwise the choice's own `text`, as the
/// older protocol has it.
pub(super) fn texts_of<'a>(choice: Fields<'a>, names: &[&str]) -> ChatText<'a> {
    match names.iter().find_map(|name| choice.get(name)) {
        Some(Value::String(text)) => ChatText { content: text.into(), refusal: None },
        Some(message) => texts(Fields(message)),
        None => ChatText {
            content: choice.get("text").and_then(Value::as_str).unwrap_or_default().into(),
            refusal: None,
        },
    }
}

/// The text and the refusal. Thinking in a field or part of its own is ignored.
pub(super) fn texts(message: Fields<'_>) -> ChatText<'_> {
    let refusal = message.text("refusal");
    match message.get("content") {
        Some(Value::String(text)) => ChatText { content: text.into(), refusal },
        Some(Value::Array(parts)) => {
            let text: String = parts.iter().filter_map(part).collect();
            let refused = || parts.iter().find_map(|part| Fields(part).text("refusal"));
            ChatText { content: text.into(), refusal: refusal.or_else(refused) }
        }
        Some(part @ Value::Object(_)) if self::part(part).is_some() => {
            ChatText { content: self::part(part).unwrap_or_default().into(), refusal }
        }
        // The JSON that was requested, already parsed.
        Some(json @ Value::Object(_)) => ChatText { content: json.to_string().into(), refusal },
        _ => ChatText { content: "".into(), refusal },
    }
}

/// The text of a part, as some compatible endpoints send it.
fn part(part: &Value) -> Option<&str> {
    if let Value::String(text) = part {
        return Some(text);
    }
    let part = Fields(part);
    let thinks =
        part.text("type").is_some_and(|kind| kind.contains("think") || kind.contains("reason"));
    part.get("text").and_then(Value::as_str).filter(|_| !thinks && !part.flag("thought"))
}
