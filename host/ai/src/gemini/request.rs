//! The address and the bytes of a generateContent request.

use serde_json::{Map, Value, json};
use url::Url;

use super::super::config::GeminiJson;
use super::super::instructions;
use super::super::request::Format;
use super::super::wire::Prompt;
use super::schema;

/// The URL of a model. It does not contain the key, because proxies log URLs.
pub(super) fn url(base: &Url, model: &str) -> Url {
    let mut url = base.clone();
    // Operators write model names with or without their collection.
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
    let content = |by_model: bool, text: &str| {
        let role = if by_model { "model" } else { "user" };
        json!({"role": role, "parts": [{"text": text}]})
    };
    let mut contents: Vec<Value> = instructions::turns(&request.messages)
        .map(|(by_model, text)| content(by_model, text))
        .collect();
    if contents.is_empty() {
        // The API requires at least one user message.
        contents.extend(system.take().map(|text| content(false, &text)));
    }
    if let Some(most) = prompt.max_output_tokens {
        generation.insert("maxOutputTokens".to_owned(), most.into());
    }
    if let Some(temperature) = prompt.temperature {
        generation.insert("temperature".to_owned(), json!(temperature));
    }
    if let Some(seed) = request.seed {
        // The API takes 32 bits; the same seed always yields the same number.
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
    // Cannot fail: strings, numbers and maps with text keys.
    serde_json::to_vec(&body).unwrap_or_default()
}

/// The fields that make the reply JSON, and the instruction for the model.
fn form(format: &Format, json: GeminiJson) -> (Map<String, Value>, Option<String>) {
    let mut fields = Map::new();
    let instruction = instructions::of(format);
    if instruction.is_none() {
        return (fields, None);
    }
    if json == GeminiJson::Prompt {
        return (fields, instruction);
    }
    fields.insert("responseMimeType".to_owned(), "application/json".into());
    let Format::JsonSchema(requested) = format else { return (fields, instruction) };
    if json == GeminiJson::JsonSchema {
        fields.insert("responseJsonSchema".to_owned(), requested.value().clone());
        return (fields, None);
    }
    match schema::convert(requested.value()) {
        Some(converted) => {
            fields.insert("responseSchema".to_owned(), converted.schema);
            (fields, instruction.filter(|_| !converted.whole))
        }
        None => (fields, instruction),
    }
}
