//! What a model is told about the form of its reply, where the provider has no mode for it.

use serde_json::Value;

use super::request::{ChatMessage, Format, Role};

/// The sentence for the system message; nothing when plain text is wanted.
pub(super) fn of(format: &Format) -> Option<String> {
    match format {
        Format::Text => None,
        Format::Json => Some(any_json()),
        Format::JsonSchema(schema) => Some(valid_against(schema.value())),
    }
}

/// For a reply of any JSON.
pub(super) fn any_json() -> String {
    "Answer with one JSON value and nothing else.".to_owned()
}

/// For a reply that a schema must accept.
pub(super) fn valid_against(schema: &Value) -> String {
    format!(
        "Answer with one JSON value and nothing else. It must be valid against this JSON \
         Schema:\n{schema}"
    )
}

/// The system messages as one text, with the instruction at its end, for providers that take it
/// apart from the conversation.
pub(super) fn system(messages: &[ChatMessage], instruction: Option<String>) -> Option<String> {
    let system = messages.iter().filter(|message| message.role == Role::System);
    let texts: Vec<&str> =
        system.map(|message| message.content.as_str()).chain(instruction.as_deref()).collect();
    (!texts.is_empty()).then(|| texts.join("\n\n"))
}
