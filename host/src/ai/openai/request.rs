//! The bytes of a chat completion request.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::super::provider::Prompt;
use super::super::request::{Format, Role};
use super::Dialect;

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
    /// What has other names in other dialects.
    #[serde(flatten)]
    named: Map<String, Value>,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: std::borrow::Cow<'a, str>,
}

/// The request's body. JSON mode is asked for only when the template asked for JSON (catalogue E8).
pub(super) fn body(prompt: &Prompt<'_>, dialect: Dialect) -> Vec<u8> {
    let request = prompt.request;
    let mut messages: Vec<Message<'_>> = request
        .messages
        .iter()
        .map(|message| Message { role: role(message.role), content: message.content.as_str().into() })
        .collect();
    let (response_format, instruction) = format(&request.format, dialect);
    if let Some(instruction) = instruction {
        // Some chat templates allow only one system message, at the front.
        match messages.first_mut().filter(|first| first.role == role(Role::System)) {
            Some(first) => first.content = format!("{}\n\n{instruction}", first.content).into(),
            None => messages.insert(0, Message { role: role(Role::System), content: instruction.into() }),
        }
    }
    let mut named = Map::new();
    if let Some(seed) = request.seed {
        named.insert(dialect.seed().to_owned(), seed.into());
    }
    if let Some(most) = prompt.max_output_tokens {
        named.insert(dialect.max_tokens().to_owned(), most.into());
    }
    if dialect.stream_options() {
        named.insert("stream_options".to_owned(), json!({"include_usage": true}));
    }
    let body = Body {
        model: prompt.model,
        messages,
        stream: true,
        temperature: prompt.temperature,
        stop: &request.stop,
        response_format,
        named,
    };
    // Strings, numbers and maps with text keys: there is nothing in it that JSON cannot express.
    serde_json::to_vec(&body).unwrap_or_default()
}

fn role(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
    }
}

/// The provider's JSON mode and what the model is told besides.
fn format(format: &Format, dialect: Dialect) -> (Option<Value>, Option<String>) {
    let json_object = || Some(json!({"type": "json_object"}));
    match format {
        Format::Text => (None, None),
        Format::Json => (json_object(), Some("Answer with one JSON value and nothing else.".to_owned())),
        Format::JsonSchema(schema) if dialect.schemas() && strict(schema.value()) => {
            let json_schema = json!({"name": "reply", "strict": true, "schema": schema.value()});
            (Some(json!({"type": "json_schema", "json_schema": json_schema})), None)
        }
        Format::JsonSchema(schema) => {
            let schema = schema.value();
            // JSON mode always gives an object; a schema that wants something else goes without.
            let object = schema.get("type").is_none_or(|kind| kind == "object");
            let instruction = format!(
                "Answer with one JSON value and nothing else. It must be valid against this JSON Schema:\n{schema}"
            );
            (object.then(json_object).flatten(), Some(instruction))
        }
    }
}

/// Whether the endpoint's strict mode takes this schema: an object at the top, every property required, nothing additional,
/// and only keywords that strict mode knows. What it does not take would be refused as a bad request.
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
        let is_required =
            |name: &String| required.is_some_and(|names| names.iter().any(|required| required == name));
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
                "date-time" | "time" | "date" | "duration" | "email" | "hostname" | "ipv4" | "ipv6" | "uuid"
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
