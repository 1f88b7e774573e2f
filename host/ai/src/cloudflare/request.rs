//! The address and the bytes of a request to run a Workers AI model.

use serde_json::{Map, Value, json};
use url::Url;

use super::super::instructions;
use super::super::provider::Prompt;
use super::super::request::{Format, Role};

/// The address of a model of an account. The model's name has slashes of its own:
/// `@cf/meta/llama-3.1-8b-instruct`.
pub(super) fn url(base: &Url, account: &str, model: &str) -> Url {
    let mut url = base.clone();
    let path = format!("{}/accounts/{account}/ai/run/{model}", url.path().trim_end_matches('/'));
    url.set_path(&path);
    url
}

/// The request's body. Stop texts are unknown to this API and left out.
pub(super) fn body(prompt: &Prompt<'_>, max_tokens: u32) -> Vec<u8> {
    let request = prompt.request;
    let instruction = instructions::of(&request.format);
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
    let mut body = Map::new();
    let mut set = |name: &str, value: Value| body.insert(name.to_owned(), value);
    set("messages", messages.into());
    // Its own default is 256, and a reply that is cut there does not say so.
    set("max_tokens", max_tokens.into());
    if let Some(temperature) = prompt.temperature {
        set("temperature", json!(temperature));
    }
    if let Some(seed) = request.seed {
        // At most 9999999999 there; the same seed always gives the same one.
        set("seed", (seed % 10_000_000_000).into());
    }
    // JSON mode does not stream: <https://developers.cloudflare.com/workers-ai/features/json-mode/>.
    let stream = match &request.format {
        Format::JsonSchema(schema) => {
            set("response_format", json!({"type": "json_schema", "json_schema": schema.value()}));
            false
        }
        Format::Json | Format::Text => true,
    };
    set("stream", stream.into());
    // Strings, numbers and maps with text keys: there is nothing in it that JSON cannot express.
    serde_json::to_vec(&body).unwrap_or_default()
}
