//! The address and the bytes of a generateContent request.

use serde_json::{Map, Value, json};
use url::Url;

use super::super::config::{GeminiJson, Reasoning};
use super::super::instructions;
use super::super::parameters::Parameter;
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
    let (mut generation, instruction) =
        form(&request.format, json, prompt.step(Parameter::ResponseFormat));
    let (mut system, messages) = prompt.conversation(instruction);
    let content = |by_model: bool, text: &str| {
        let role = if by_model { "model" } else { "user" };
        json!({"role": role, "parts": [{"text": text}]})
    };
    let mut contents: Vec<Value> =
        instructions::turns(&messages).map(|(by_model, text)| content(by_model, text)).collect();
    if contents.is_empty() {
        // The API requires at least one user message.
        contents.extend(system.take().map(|text| content(false, &text)));
    }
    if let Some(most) = prompt.max_tokens().filter(|_| prompt.sends(Parameter::MaxTokens)) {
        generation.insert("maxOutputTokens".to_owned(), most.into());
    }
    if let Some(temperature) = prompt.temperature() {
        generation.insert("temperature".to_owned(), json!(temperature));
    }
    if let Some(seed) = prompt.seed() {
        // The API takes 32 bits; the same seed always yields the same number.
        generation.insert("seed".to_owned(), (seed & 0x7fff_ffff).into());
    }
    if !prompt.stop().is_empty() {
        generation.insert("stopSequences".to_owned(), json!(prompt.stop()));
    }
    if let Some((reasoning, step)) = prompt.reasoning() {
        generation.insert("thinkingConfig".to_owned(), thinking(prompt, reasoning, step));
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
fn form(format: &Format, json: GeminiJson, refused: u8) -> (Map<String, Value>, Option<String>) {
    let mut fields = Map::new();
    let instruction = instructions::of(format);
    if instruction.is_none() {
        return (fields, None);
    }
    if json == GeminiJson::Prompt || refused > 1 {
        return (fields, instruction);
    }
    fields.insert("responseMimeType".to_owned(), "application/json".into());
    let Format::JsonSchema(requested) = format else { return (fields, instruction) };
    if refused > 0 {
        return (fields, instruction);
    }
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

/// How much the model thinks: a level for models from version 3 on, a number of tokens before. The
/// other one is tried if the model refuses it.
fn thinking(prompt: &Prompt<'_>, reasoning: Reasoning, step: u8) -> Value {
    let by_level = prompt.model.contains("gemini-3") && prompt.settings.reasoning_tokens.is_none();
    if by_level == (step == 0) {
        let level = match reasoning {
            Reasoning::None => Reasoning::Minimal,
            level => level,
        };
        return json!({"thinkingLevel": level.as_str()});
    }
    let tokens = match reasoning {
        Reasoning::None => 0,
        Reasoning::Minimal => 512,
        Reasoning::Low => 2048,
        Reasoning::Medium => 8192,
        Reasoning::High => 24_576,
    };
    let tokens = match reasoning {
        Reasoning::None => 0,
        _ => prompt.settings.reasoning_tokens.unwrap_or(tokens),
    };
    json!({"thinkingBudget": tokens})
}
