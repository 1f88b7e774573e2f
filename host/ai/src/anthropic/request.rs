//! The bytes of a Messages request.

use serde_json::{Map, Value, json};

use super::super::config::AnthropicJson;
use super::super::instructions;
use super::super::request::Format;
use super::super::wire::Prompt;

/// The name of the tool whose input is the reply.
pub(super) const TOOL: &str = "reply";

/// Maximum temperature of the API; templates may request up to 2.0.
const MAX_TEMPERATURE: f32 = 1.0;

/// The request's body. This API has no seed.
pub(super) fn body(prompt: &Prompt<'_>, max_tokens: u32, json: AnthropicJson) -> Vec<u8> {
    let request = prompt.request;
    let (mode, instruction) = form(&request.format, json);
    let mut system = instructions::system(&request.messages, instruction);
    let mut messages: Vec<Value> = instructions::json_turns(&request.messages).collect();
    if messages.is_empty() {
        // The API requires at least one user message.
        messages.extend(system.take().map(|text| json!({"role": "user", "content": text})));
    }
    let mut body = Map::new();
    let mut set = |name: &str, value: Value| body.insert(name.to_owned(), value);
    set("model", prompt.model.into());
    set("max_tokens", prompt.max_output_tokens.unwrap_or(max_tokens).into());
    if let Some(system) = system {
        set("system", system.into());
    }
    set("messages", messages.into());
    set("stream", true.into());
    if let Some(temperature) = prompt.temperature {
        set("temperature", json!(temperature.min(MAX_TEMPERATURE)));
    }
    if !request.stop.is_empty() {
        set("stop_sequences", json!(request.stop));
    }
    body.extend(mode);
    // Cannot fail: strings, numbers and maps with text keys.
    serde_json::to_vec(&body).unwrap_or_default()
}

/// The fields that make the reply JSON, and the instruction for the model.
fn form(format: &Format, json: AnthropicJson) -> (Map<String, Value>, Option<String>) {
    let prompt_only = || (Map::new(), instructions::of(format));
    let Format::JsonSchema(schema) = format else { return prompt_only() };
    let schema = schema.value();
    // The input of a tool is always an object.
    let object = schema.get("type").is_some_and(|kind| kind == "object");
    let mode = match json {
        AnthropicJson::Tool if object => json!({
            "tools": [{
                "name": TOOL,
                "description": "Gives the reply. Its input is the whole reply.",
                "input_schema": schema,
            }],
            "tool_choice": {"type": "tool", "name": TOOL, "disable_parallel_tool_use": true},
        }),
        AnthropicJson::Schema if object => {
            json!({"output_config": {"format": {"type": "json_schema", "schema": schema}}})
        }
        AnthropicJson::Tool | AnthropicJson::Schema | AnthropicJson::Prompt => {
            return prompt_only();
        }
    };
    match mode {
        Value::Object(mode) => (mode, None),
        _ => prompt_only(),
    }
}
