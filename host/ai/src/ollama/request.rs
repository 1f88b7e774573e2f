//! The bytes of a request to `/api/chat`.

use serde_json::{Map, Value, json};

use super::super::instructions;
use super::super::request::Format;
use super::super::wire::Prompt;

/// The request's body. `context_tokens` is the size of the context window that the model is loaded
/// with: the server's default is small, and it cuts a longer prompt without an error.
pub(super) fn body(prompt: &Prompt<'_>, context_tokens: Option<u32>) -> Vec<u8> {
    let request = prompt.request;
    let (format, instruction) = match &request.format {
        Format::Text => (None, None),
        Format::Json => (Some(json!("json")), instructions::of(&request.format)),
        // A model writes better if it also knows the schema that constrains it.
        Format::JsonSchema(schema) => {
            (Some(schema.value().clone()), instructions::of(&request.format))
        }
    };
    let messages = instructions::json_messages(&request.messages, instruction);
    let options: Map<String, Value> = [
        ("num_predict", prompt.max_output_tokens.map(Value::from)),
        ("num_ctx", context_tokens.map(Value::from)),
        ("temperature", prompt.temperature.map(|temperature| json!(temperature))),
        // The API takes a signed number; a negative one means a random seed.
        ("seed", request.seed.map(|seed| Value::from(seed & 0x7fff_ffff))),
        ("stop", (!request.stop.is_empty()).then(|| json!(request.stop))),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name.to_owned(), value?)))
    .collect();
    let mut body = Map::new();
    body.insert("model".to_owned(), prompt.model.into());
    body.insert("messages".to_owned(), messages.into());
    body.insert("stream".to_owned(), true.into());
    if let Some(format) = format {
        body.insert("format".to_owned(), format);
    }
    if !options.is_empty() {
        body.insert("options".to_owned(), options.into());
    }
    // Cannot fail: strings, numbers and maps with text keys.
    serde_json::to_vec(&body).unwrap_or_default()
}
