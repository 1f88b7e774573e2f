//! The bytes of a Messages request.

use serde_json::{Map, Value, json};

use super::super::config::{AnthropicJson, Reasoning};
use super::super::instructions;
use super::super::parameters::Parameter;
use super::super::request::Format;
use super::super::wire::Prompt;
use super::schema;

/// The name of the tool whose input is the reply.
pub(super) const TOOL: &str = "reply";

/// Maximum temperature of the API; templates may request up to 2.0.
const MAX_TEMPERATURE: f32 = 1.0;

/// Minimum number of tokens to think of the API.
const MIN_THINKING: u32 = 1024;

/// Shorter texts are not marked for the cache: the API caches no prefix below 1024 tokens.
const CACHED_BYTES: usize = 4096;

/// The request's body. This API has no seed.
pub(super) fn body(prompt: &Prompt<'_>, max_tokens: u32, json: AnthropicJson) -> Vec<u8> {
    let thinking = thinking(prompt);
    let json = json_mode(json, thinking.is_some(), prompt.step(Parameter::ResponseFormat));
    let (mode, instruction) = form(&prompt.request.format, json);
    let (mut system, messages) = prompt.conversation(instruction);
    let mut messages: Vec<Value> = instructions::json_turns(&messages).collect();
    if messages.is_empty() {
        // The API requires at least one user message.
        messages.extend(system.take().map(|text| json!({"role": "user", "content": text})));
    }
    if prompt.caches() {
        mark_for_cache(&mut messages);
    }
    let mut body = Map::new();
    let mut set = |name: &str, value: Value| body.insert(name.to_owned(), value);
    set("model", prompt.model.into());
    let max_tokens = prompt.max_tokens_or(max_tokens);
    // What the model thinks counts too.
    let max_tokens = match thinking.as_ref().and_then(|thinking| thinking.budget) {
        Some(budget) => max_tokens.saturating_add(budget),
        None => max_tokens,
    };
    set("max_tokens", prompt.shape.most_tokens.map_or(max_tokens, |m| m.min(max_tokens)).into());
    if let Some(system) = system {
        match prompt.caches() && system.len() >= CACHED_BYTES {
            true => set(
                "system",
                json!([{"type": "text", "text": system, "cache_control": {"type": "ephemeral"}}]),
            ),
            false => set("system", system.into()),
        };
    }
    set("messages", messages.into());
    set("stream", prompt.streams().into());
    // A model that thinks takes no temperature.
    if let Some(temperature) = prompt.temperature().filter(|_| thinking.is_none()) {
        set("temperature", json!(temperature.min(MAX_TEMPERATURE)));
    }
    if !prompt.stop().is_empty() {
        set("stop_sequences", json!(prompt.stop()));
    }
    if let Some(tier) = prompt.service_tier() {
        set("service_tier", tier.into());
    }
    body.extend(mode);
    if let Some(Thinking { kind, effort, .. }) = thinking {
        body.insert("thinking".to_owned(), kind);
        if let Some(effort) = effort {
            let config = body.entry("output_config").or_insert_with(|| json!({}));
            if let Some(config) = config.as_object_mut() {
                config.insert("effort".to_owned(), effort.into());
            }
        }
    } else if let Some((Reasoning::None, 0)) = prompt.reasoning() {
        body.insert("thinking".to_owned(), json!({"type": "disabled"}));
    }
    // Cannot fail: strings, numbers and maps with text keys.
    serde_json::to_vec(&body).unwrap_or_default()
}

/// How the model is made to think.
struct Thinking {
    kind: Value,
    /// The number of tokens for it, if it is fixed.
    budget: Option<u32>,
    effort: Option<&'static str>,
}

/// A number of tokens, for every model that thinks; newer models refuse it and take an effort.
fn thinking(prompt: &Prompt<'_>) -> Option<Thinking> {
    let (reasoning, step) = prompt.reasoning()?;
    let (tokens, effort) = match reasoning {
        Reasoning::None => return None,
        Reasoning::Minimal => (MIN_THINKING, Reasoning::Low),
        Reasoning::Low => (2048, Reasoning::Low),
        Reasoning::Medium => (8192, Reasoning::Medium),
        Reasoning::High => (16_384, Reasoning::High),
    };
    Some(match step {
        0 => {
            let tokens = prompt.settings.reasoning_tokens.unwrap_or(tokens).max(MIN_THINKING);
            let kind = json!({"type": "enabled", "budget_tokens": tokens});
            Thinking { kind, budget: Some(tokens), effort: None }
        }
        _ => Thinking {
            kind: json!({"type": "adaptive"}),
            budget: None,
            effort: Some(effort.as_str()),
        },
    })
}

/// The mode for JSON with a schema, after so many refusals.
fn json_mode(configured: AnthropicJson, thinks: bool, refused: u8) -> AnthropicJson {
    // A model that thinks cannot be forced to call a tool.
    let first = match configured {
        AnthropicJson::Tool if thinks => AnthropicJson::Schema,
        first => first,
    };
    match (first, refused) {
        (first, 0) => first,
        (AnthropicJson::Tool, 1) => AnthropicJson::Schema,
        _ => AnthropicJson::Prompt,
    }
}

/// Marks the first message for the provider's cache: the calls of an order begin alike. The last
/// message is not marked, because it differs in each call.
fn mark_for_cache(messages: &mut [Value]) {
    let [first, _, ..] = messages else { return };
    let text = first.get("content").and_then(Value::as_str);
    if let Some(text) = text.filter(|text| text.len() >= CACHED_BYTES) {
        first["content"] =
            json!([{"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}]);
    }
}

/// The fields that make the reply JSON, and the instruction for the model.
fn form(format: &Format, json: AnthropicJson) -> (Map<String, Value>, Option<String>) {
    let prompt_only = || (Map::new(), instructions::of(format));
    let Format::JsonSchema(schema) = format else { return prompt_only() };
    let schema = schema.value();
    // The input of a tool is always an object.
    let object = schema.get("type").is_some_and(|kind| kind == "object");
    let (mode, instruction) = match json {
        AnthropicJson::Tool if object => (
            json!({
                "tools": [{
                    "name": TOOL,
                    "description": "Gives the reply. Its input is the whole reply.",
                    "input_schema": schema,
                }],
                "tool_choice": {"type": "tool", "name": TOOL, "disable_parallel_tool_use": true},
            }),
            None,
        ),
        AnthropicJson::Schema if object => match schema::convert(schema) {
            Some(converted) => (
                json!({
                    "output_config": {
                        "format": {"type": "json_schema", "schema": converted.schema}
                    }
                }),
                instructions::of(format).filter(|_| !converted.whole),
            ),
            None => return prompt_only(),
        },
        AnthropicJson::Tool | AnthropicJson::Schema | AnthropicJson::Prompt => {
            return prompt_only();
        }
    };
    match mode {
        Value::Object(mode) => (mode, instruction),
        _ => prompt_only(),
    }
}
