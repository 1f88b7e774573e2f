//! The bytes of a chat completion request.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::super::instructions;
use super::super::request::{Format, Role};
use super::super::wire::Prompt;
use super::Dialect;
use super::dialect::Json;

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    messages: Vec<Message<'a>>,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f32>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stop: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<Value>,
    /// Fields whose names depend on the dialect.
    #[serde(flatten)]
    named: Map<String, Value>,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: std::borrow::Cow<'a, str>,
}

/// The request's body. JSON mode is enabled only if the template requests JSON (failure catalogue
/// E8).
pub(super) fn body(prompt: &Prompt<'_>, dialect: Dialect) -> Vec<u8> {
    let request = prompt.request;
    let mut messages: Vec<Message<'_>> = request
        .messages
        .iter()
        .map(|message| Message {
            role: role(message.role),
            content: message.content.as_str().into(),
        })
        .collect();
    let row = dialect.row();
    let (response_format, instruction) = format(&request.format, row.json);
    if let Some(instruction) = instruction {
        // Some chat templates allow only one system message, at the front.
        match messages.first_mut().filter(|first| first.role == role(Role::System)) {
            Some(first) => first.content = format!("{}\n\n{instruction}", first.content).into(),
            None => messages
                .insert(0, Message { role: role(Role::System), content: instruction.into() }),
        }
    }
    let mut named = Map::new();
    if let (Some(seed), Some(name)) = (request.seed, row.seed) {
        named.insert(name.to_owned(), seed.into());
    }
    if let Some(most) = prompt.max_output_tokens {
        named.insert(row.max_tokens.to_owned(), most.into());
    }
    let stream = row.json_streams || response_format.is_none();
    if stream && row.stream_options {
        named.insert("stream_options".to_owned(), json!({"include_usage": true}));
    }
    let body = Body {
        model: prompt.model,
        messages,
        stream,
        temperature: prompt.temperature,
        stop: &request.stop,
        response_format,
        named,
    };
    // Cannot fail: strings, numbers and maps with text keys.
    serde_json::to_vec(&body).unwrap_or_default()
}

fn role(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
    }
}

/// The provider's JSON mode, and the instruction for the model.
fn format(format: &Format, json: Json) -> (Option<Value>, Option<String>) {
    let instruction = || instructions::of(format);
    // JSON mode always yields an object, so other schemas do not use it.
    let json_object = || (json != Json::Schema).then(|| json!({"type": "json_object"}));
    let schema = match format {
        Format::Text => return (None, None),
        Format::Json => return (json_object(), instruction()),
        Format::JsonSchema(schema) => schema.value(),
    };
    let json_schema = |strict: bool| {
        let json_schema = json!({"name": "reply", "strict": strict, "schema": schema});
        Some(json!({"type": "json_schema", "json_schema": json_schema}))
    };
    let object = schema.get("type").is_none_or(|kind| kind == "object");
    match json {
        Json::Strict | Json::Schema | Json::Grammar if strict(schema) => (json_schema(true), None),
        Json::Schema if object => (json_schema(false), instruction()),
        // A model writes better if it also knows the schema that constrains it.
        Json::Grammar => (json_schema(false), instruction()),
        _ => (object.then(json_object).flatten(), instruction()),
    }
}

/// Whether strict mode supports this schema: an object at the top, every property required, no
/// additional properties, and only supported keywords. The endpoint rejects other schemas as a bad
/// request.
fn strict(schema: &Value) -> bool {
    schema.get("type").is_some_and(|kind| kind == "object") && strict_part(schema)
}

fn strict_part(schema: &Value) -> bool {
    let Some(schema) = schema.as_object() else { return false };
    let object = schema.contains_key("properties")
        || match schema.get("type") {
            Some(Value::String(kind)) => kind == "object",
            Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == "object"),
            _ => false,
        };
    if object {
        let properties = schema.get("properties").and_then(Value::as_object);
        let required = schema.get("required").and_then(Value::as_array);
        let is_required = |name: &String| {
            required.is_some_and(|names| names.iter().any(|required| required == name))
        };
        let closed = schema.get("additionalProperties") == Some(&Value::Bool(false));
        if !closed || !properties.is_some_and(|properties| properties.keys().all(is_required)) {
            return false;
        }
    }
    schema.iter().all(|(keyword, value)| match keyword.as_str() {
        "type"
        | "required"
        | "additionalProperties"
        | "enum"
        | "const"
        | "description"
        | "title"
        | "$ref"
        | "$schema"
        | "pattern"
        | "minimum"
        | "maximum"
        | "exclusiveMinimum"
        | "exclusiveMaximum"
        | "multipleOf"
        | "minItems"
        | "maxItems" => true,
        "format" => value.as_str().is_some_and(|format| {
            matches!(
                format,
                "date-time"
                    | "time"
                    | "date"
                    | "duration"
                    | "email"
                    | "hostname"
                    | "ipv4"
                    | "ipv6"
                    | "uuid"
            )
        }),
        "properties" | "$defs" | "definitions" => {
            value.as_object().is_some_and(|parts| parts.values().all(strict_part))
        }
        "items" => strict_part(value),
        "anyOf" => value.as_array().is_some_and(|parts| parts.iter().all(strict_part)),
        _ => false,
    })
}
