//! The address and the bytes of a generateContent request.

use serde_json::{Map, Value, json};
use url::Url;

use super::super::config::GeminiJson;
use super::super::instructions;
use super::super::provider::Prompt;
use super::super::request::{Format, Role};
use super::schema;

/// The endpoint of a model. The key never stands here: URLs are logged on their way.
pub(super) fn url(base: &Url, model: &str) -> Url {
    let mut url = base.clone();
    // People paste names with or without their collection.
    let collection = if model.contains('/') { "" } else { "models/" };
    let path =
        format!("{}/{collection}{model}:streamGenerateContent", url.path().trim_end_matches('/'));
    url.set_path(&path);
    url.query_pairs_mut().append_pair("alt", "sse");
    url
}

/// The request's body.
pub(super) fn body(prompt: &Prompt<'_>, json: GeminiJson) -> Vec<u8> {
    let request = prompt.request;
    let (mut generation, instruction) = form(&request.format, json);
    let mut system = instructions::system(&request.messages, instruction);
    let mut contents: Vec<Value> = request
        .messages
        .iter()
        .filter_map(|message| {
            let role = match message.role {
                Role::System => return None,
                Role::User => "user",
                Role::Assistant => "model",
            };
            Some(json!({"role": role, "parts": [{"text": message.content}]}))
        })
        .collect();
    if contents.is_empty() {
        // The API wants at least one turn of the user.
        contents
            .extend(system.take().map(|text| json!({"role": "user", "parts": [{"text": text}]})));
    }
    if let Some(most) = prompt.max_output_tokens {
        generation.insert("maxOutputTokens".to_owned(), most.into());
    }
    if let Some(temperature) = prompt.temperature {
        generation.insert("temperature".to_owned(), json!(temperature));
    }
    if let Some(seed) = request.seed {
        // A 32-bit number there; the same seed always gives the same one.
        generation.insert("seed".to_owned(), (seed & 0x7fff_ffff).into());
    }
    if !request.stop.is_empty() {
        generation.insert("stopSequences".to_owned(), json!(request.stop));
    }
    let mut body = Map::new();
    if let Some(system) = system {
        body.insert("systemInstruction".to_owned(), json!({"parts": [{"text": system}]}));
    }
    body.insert("contents".to_owned(), contents.into());
    if !generation.is_empty() {
        body.insert("generationConfig".to_owned(), generation.into());
    }
    // Strings, numbers and maps with text keys: there is nothing in it that JSON cannot express.
    serde_json::to_vec(&body).unwrap_or_default()
}

/// The fields that make the reply JSON, and what the model is told besides.
fn form(format: &Format, json: GeminiJson) -> (Map<String, Value>, Option<String>) {
    let mut fields = Map::new();
    let told = instructions::of(format);
    let Some(_) = &told else { return (fields, None) };
    if json == GeminiJson::Prompt {
        return (fields, told);
    }
    fields.insert("responseMimeType".to_owned(), "application/json".into());
    let Format::JsonSchema(wanted) = format else { return (fields, told) };
    if json == GeminiJson::JsonSchema {
        fields.insert("responseJsonSchema".to_owned(), wanted.value().clone());
        return (fields, None);
    }
    match schema::convert(wanted.value()) {
        Some(converted) => {
            fields.insert("responseSchema".to_owned(), converted.schema);
            (fields, told.filter(|_| !converted.whole))
        }
        None => (fields, told),
    }
}
