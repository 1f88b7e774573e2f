//! Instructions about the format of the reply, for providers without a mode for it, and the parts
//! of a conversation.

use serde_json::{Value, json};

use super::request::{ChatMessage, Format, Role};
use super::wire::Prompt;

/// The instruction for the system message; `None` for plain text.
pub(super) fn of(format: &Format) -> Option<String> {
    match format {
        Format::Text => None,
        Format::Json => Some(any_json()),
        Format::JsonSchema(schema) => Some(valid_against(schema.value())),
    }
}

/// For a reply that is any JSON value.
pub(super) fn any_json() -> String {
    "Answer with one JSON value and nothing else.".to_owned()
}

/// For a reply that must match a schema.
pub(super) fn valid_against(schema: &Value) -> String {
    format!(
        "Answer with one JSON value and nothing else. It must be valid against this JSON \
         Schema:\n{schema}"
    )
}

/// The system messages and then the instruction as one text, for providers that take it separately
/// from the conversation. `None` if there is neither.
pub(super) fn system(messages: &[ChatMessage], instruction: Option<String>) -> Option<String> {
    let system = messages.iter().filter(|message| message.role == Role::System);
    let texts: Vec<&str> =
        system.map(|message| message.content.as_str()).chain(instruction.as_deref()).collect();
    (!texts.is_empty()).then(|| texts.join("\n\n"))
}

/// The conversation for a model without system messages: their text and the instruction begin the
/// first message of the user.
pub(super) fn without_system(
    messages: &[ChatMessage],
    instruction: Option<String>,
) -> Vec<ChatMessage> {
    let Some(system) = system(messages, instruction) else { return messages.to_vec() };
    let mut rest: Vec<ChatMessage> =
        messages.iter().filter(|message| message.role != Role::System).cloned().collect();
    match rest.first_mut().filter(|first| first.role == Role::User) {
        Some(first) => first.content = format!("{system}\n\n{}", first.content),
        None => rest.insert(0, ChatMessage { role: Role::User, content: system }),
    }
    rest
}

/// The messages of the conversation without the system messages: whether the author is the model,
/// and the text.
pub(super) fn turns(messages: &[ChatMessage]) -> impl Iterator<Item = (bool, &str)> {
    messages
        .iter()
        .filter(|message| message.role != Role::System)
        .map(|message| (message.role == Role::Assistant, message.content.as_str()))
}

/// The same as JSON: `{"role": "user" | "assistant", "content": "..."}`.
pub(super) fn json_turns(messages: &[ChatMessage]) -> impl Iterator<Item = Value> {
    turns(messages).map(|(by_model, text)| {
        json!({"role": if by_model { "assistant" } else { "user" }, "content": text})
    })
}

/// The whole conversation as JSON, with the system text as its first message.
pub(super) fn json_messages(prompt: &Prompt<'_>, instruction: Option<String>) -> Vec<Value> {
    let (system, messages) = prompt.conversation(instruction);
    let system = system.map(|text| json!({"role": "system", "content": text}));
    system.into_iter().chain(json_turns(&messages)).collect()
}
