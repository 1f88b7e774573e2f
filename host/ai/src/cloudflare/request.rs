//! The address and the bytes of a request to run a Workers AI model.

use serde_json::{Map, Value, json};
use url::Url;

use super::super::instructions;
use super::super::parameters::Parameter;
use super::super::request::Format;
use super::super::wire::Prompt;

/// The URL of a model of an account. Model names contain slashes:
/// `@cf/meta/llama-3.1-8b-instruct`.
pub(super) fn url(base: &Url, account: &str, model: &str) -> Url {
    let mut url = base.clone();
    let path = format!("{}/accounts/{account}/ai/run/{model}", url.path().trim_end_matches('/'));
    url.set_path(&path);
    url
}

/// The request's body. This API has no stop texts.
pub(super) fn body(prompt: &Prompt<'_>, max_tokens: u32) -> Vec<u8> {
    let request = prompt.request;
    let instruction = instructions::of(&request.format);
    let messages = instructions::json_messages(prompt, instruction);
    let mut body = Map::new();
    let mut set = |name: &str, value: Value| body.insert(name.to_owned(), value);
    set("messages", messages.into());
    // The API's default is 256, and it does not report a reply that is truncated there.
    set("max_tokens", max_tokens.into());
    if let Some(temperature) = prompt.temperature() {
        set("temperature", json!(temperature));
    }
    if let Some(seed) = prompt.seed() {
        // At most 9999999999; the same seed always yields the same number.
        set("seed", (seed % 10_000_000_000).into());
    }
    // JSON mode does not stream:
    // <https://developers.cloudflare.com/workers-ai/features/json-mode/>.
    let stream = match &request.format {
        Format::JsonSchema(schema) if prompt.step(Parameter::ResponseFormat) < 2 => {
            let format = match prompt.step(Parameter::ResponseFormat) {
                0 => json!({"type": "json_schema", "json_schema": schema.value()}),
                _ => json!({"type": "json_object"}),
            };
            set("response_format", format);
            false
        }
        _ => prompt.streams(),
    };
    set("stream", stream.into());
    // Cannot fail: strings, numbers and maps with text keys.
    serde_json::to_vec(&body).unwrap_or_default()
}
