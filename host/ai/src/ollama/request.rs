//! The bytes of a request to `/api/chat`.

use serde_json::{Map, Value, json};

use super::super::instructions;
use super::super::provider::Prompt;
use super::super::request::{Format, Role};

/// The request's body. `context_tokens` is the window to load the model with: the server's own
/// default is small, and what does not fit is cut off the prompt without a word.
pub(super) fn body(prompt: &Prompt<'_>, context_tokens: Option<u32>) -> Vec<u8> {
    let request = prompt.request;
    let (format, instruction) = match &request.format {
        Format::Text => (None, None),
        Format::Json => (Some(json!("json")), instructions::of(&request.format)),
        // The grammar forces the form, and the model writes better when it also knows it.
        Format::JsonSchema(schema) => {
            (Some(schema.value().clone()), instructions::of(&request.format))
        }
    };
    let system = instructions::system(&request.messages, instruction);
    let messages: Vec<Value> = system
        .map(|text| json!({"role": "system", "content": text}))
        .into_iter()
        .chain(request.messages.iter().filter_map(|message| {
            let role = match message.role {
                Role::System => return None,
                Role::User => "user",
                Role::Assistant => "assistant",
            };
            Some(json!({"role": role, "content": message.content}))
        }))
        .collect();
    let options: Map<String, Value> = [
        ("num_predict", prompt.max_output_tokens.map(Value::from)),
        ("num_ctx", context_tokens.map(Value::from)),
        ("temperature", prompt.temperature.map(|temperature| json!(temperature))),
        // A signed number there, for which every negative one means chance.
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
    // Strings, numbers and maps with text keys: there is nothing in it that JSON cannot express.
    serde_json::to_vec(&body).unwrap_or_default()
}
