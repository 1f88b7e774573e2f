//! The bytes of a request to `/api/chat`.

use serde_json::{Map, Value, json};

use super::super::config::Reasoning;
use super::super::instructions;
use super::super::parameters::Parameter;
use super::super::request::Format;
use super::super::wire::Prompt;

/// The request's body. `context_tokens` is the size of the context window that the model is loaded
/// with: the server's default is small, and it cuts a longer prompt without an error.
pub(super) fn body(prompt: &Prompt<'_>, context_tokens: Option<u32>) -> Vec<u8> {
    let request = prompt.request;
    // A model writes better if it also knows the schema that constrains it.
    let instruction = instructions::of(&request.format);
    let format = match (&request.format, prompt.step(Parameter::ResponseFormat)) {
        (Format::Text, _) | (_, 2..) => None,
        (Format::JsonSchema(schema), 0) => Some(schema.value().clone()),
        (Format::Json | Format::JsonSchema(_), _) => Some(json!("json")),
    };
    let messages = instructions::json_messages(prompt, instruction);
    let options: Map<String, Value> = [
        (
            "num_predict",
            prompt.max_tokens().filter(|_| prompt.sends(Parameter::MaxTokens)).map(Value::from),
        ),
        ("num_ctx", context_tokens.map(Value::from)),
        ("temperature", prompt.temperature().map(|temperature| json!(temperature))),
        // The API takes a signed number; a negative one means a random seed.
        ("seed", prompt.seed().map(|seed| Value::from(seed & 0x7fff_ffff))),
        ("stop", (!prompt.stop().is_empty()).then(|| json!(prompt.stop()))),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name.to_owned(), value?)))
    .collect();
    let mut body = Map::new();
    body.insert("model".to_owned(), prompt.model.into());
    body.insert("messages".to_owned(), messages.into());
    body.insert("stream".to_owned(), prompt.streams().into());
    if let Some((reasoning, 0)) = prompt.reasoning() {
        body.insert("think".to_owned(), think(prompt.model, reasoning));
    }
    if let Some(format) = format {
        body.insert("format".to_owned(), format);
    }
    if !options.is_empty() {
        body.insert("options".to_owned(), options.into());
    }
    // Cannot fail: strings, numbers and maps with text keys.
    serde_json::to_vec(&body).unwrap_or_default()
}

/// Whether the model thinks; a few models know how much.
fn think(model: &str, reasoning: Reasoning) -> Value {
    match reasoning {
        Reasoning::None => false.into(),
        Reasoning::Minimal if model.contains("gpt-oss") => Reasoning::Low.as_str().into(),
        level if model.contains("gpt-oss") => level.as_str().into(),
        _ => true.into(),
    }
}
