//! The bytes of a chat completion request.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::super::instructions;
use super::super::parameters::Parameter;
use super::super::request::{ChatMessage, Format, Role};
use super::super::wire::Prompt;
use super::Dialect;
use super::dialect::Json;
use super::reasoning;
use super::strict_schema::Converted;

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
    response_format: Option<ResponseFormat<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'a str>,
    /// Fields whose names depend on the dialect.
    #[serde(flatten)]
    named: Map<String, Value>,
}

/// The provider's JSON mode.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ResponseFormat<'a> {
    JsonObject,
    JsonSchema { json_schema: NamedSchema<'a> },
}

#[derive(Serialize)]
struct NamedSchema<'a> {
    name: &'static str,
    strict: bool,
    schema: &'a Value,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: Cow<'a, str>,
}

/// The request's body. JSON mode is enabled only if the template requests JSON (failure catalogue
/// E8).
pub(super) fn body(prompt: &Prompt<'_>, dialect: Dialect) -> Vec<u8> {
    let request = prompt.request;
    let row = dialect.row();
    let (response_format, instruction) =
        format(&request.format, row.json, prompt.step(Parameter::ResponseFormat));
    let messages = messages(prompt, instruction);
    let mut named = Map::new();
    if let (Some(seed), Some(name)) = (prompt.seed(), row.seed) {
        named.insert(name.to_owned(), seed.into());
    }
    if let (Some(most), Some(name)) =
        (prompt.max_tokens(), max_tokens(row.max_tokens, prompt.step(Parameter::MaxTokens)))
    {
        named.insert(name.to_owned(), most.into());
    }
    let stream = prompt.streams() && (row.json_streams || response_format.is_none());
    if stream && row.stream_options && prompt.sends(Parameter::StreamOptions) {
        named.insert("stream_options".to_owned(), json!({"include_usage": true}));
    }
    if let Some((reasoning, step)) = prompt.reasoning() {
        let tokens = prompt.settings.reasoning_tokens;
        named.extend(reasoning::fields(dialect, reasoning, tokens, step));
    }
    let body = Body {
        model: prompt.model,
        messages,
        stream,
        temperature: prompt.temperature(),
        stop: prompt.stop(),
        response_format,
        service_tier: prompt.service_tier(),
        named,
    };
    // Cannot fail: strings, numbers and maps with text keys.
    serde_json::to_vec(&body).unwrap_or_default()
}

/// The name of the field for the maximum number of tokens, after so many refusals.
fn max_tokens(first: &'static str, refused: u8) -> Option<&'static str> {
    match (first, refused) {
        (first, 0) => Some(first),
        ("max_tokens", 1) => Some("max_completion_tokens"),
        (_, 1) => Some("max_tokens"),
        _ => None,
    }
}

fn messages<'a>(prompt: &Prompt<'a>, instruction: Option<String>) -> Vec<Message<'a>> {
    let request = prompt.request;
    if !prompt.sends(Parameter::System) {
        let messages = instructions::without_system(&request.messages, instruction);
        return messages
            .into_iter()
            .map(|message| Message { role: role(message.role), content: message.content.into() })
            .collect();
    }
    let message = |message: &'a ChatMessage| Message {
        role: role(message.role),
        content: message.content.as_str().into(),
    };
    let mut messages: Vec<Message<'_>> = request.messages.iter().map(message).collect();
    if let Some(instruction) = instruction {
        // Some chat templates allow only one system message, at the front.
        match messages.first_mut().filter(|first| first.role == role(Role::System)) {
            Some(first) => first.content = format!("{}\n\n{instruction}", first.content).into(),
            None => messages
                .insert(0, Message { role: role(Role::System), content: instruction.into() }),
        }
    }
    messages
}

fn role(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
    }
}

fn json_schema(strict: bool, schema: &Value) -> Option<ResponseFormat<'_>> {
    Some(ResponseFormat::JsonSchema { json_schema: NamedSchema { name: "reply", strict, schema } })
}

/// The provider's JSON mode, and the instruction for the model. `refused` is the number of modes
/// that the model has refused.
fn format(
    format: &Format,
    json: Json,
    refused: u8,
) -> (Option<ResponseFormat<'_>>, Option<String>) {
    let instruction = || instructions::of(format);
    // JSON mode always yields an object, so other schemas do not use it.
    let json_object = || (json != Json::Schema).then_some(ResponseFormat::JsonObject);
    let requested = match format {
        Format::Text => return (None, None),
        Format::Json if refused > 0 => return (None, instruction()),
        Format::Json => return (json_object(), instruction()),
        Format::JsonSchema(schema) => schema,
    };
    let schema = requested.value();
    let object = schema.get("type").is_none_or(|kind| kind == "object");
    let weaker = || object.then(json_object).flatten();
    if refused > 1 || (refused == 1 && json == Json::Object) {
        return (None, instruction());
    }
    if refused == 1 {
        return (weaker(), instruction());
    }
    let converted = requested.strict();
    match (json, converted) {
        (Json::Strict, Some(Converted { schema, whole })) => {
            (json_schema(true, schema), (!whole).then(instruction).flatten())
        }
        (Json::Schema | Json::Grammar, Some(converted))
            if converted.whole && converted.schema == *schema =>
        {
            (json_schema(true, schema), None)
        }
        // A model writes better if it also knows the schema that constrains it.
        (Json::Grammar, _) => (json_schema(false, schema), instruction()),
        (Json::Schema, _) if object => (json_schema(false, schema), instruction()),
        (Json::Strict | Json::Schema | Json::Object, _) => (weaker(), instruction()),
    }
}
