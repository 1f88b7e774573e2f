//! The description of the HTTP API, for people: made from the OpenAPI document, with an example for
//! each body.

use askama::Template as _;
use serde_json::{Map, Value, json};

use super::frame::Frame;

/// How deep examples are written out; what is further inside is null.
const DEPTH: usize = 7;
/// The methods of a path, in the order of the page.
const METHODS: [&str; 4] = ["get", "post", "put", "delete"];
/// Where the document has its types.
const SCHEMAS: &str = "#/components/schemas/";
/// A time in examples, in milliseconds since the Unix epoch.
const TIME: i64 = 1_796_112_000_000;

#[derive(askama::Template)]
#[template(path = "api.html")]
struct Page<'a> {
    f: &'a Frame,
    version: String,
    groups: Vec<Group>,
    types: Vec<Type>,
}

/// The operations below one part of the path.
struct Group {
    name: String,
    operations: Vec<Operation>,
}

struct Operation {
    id: String,
    method: String,
    path: String,
    summary: String,
    meaning: String,
    /// What the token needs; empty if there need not be one.
    scope: String,
    parameters: Vec<Field>,
    body: Option<Content>,
    is_body_required: bool,
    answers: Vec<Answer>,
}

/// A parameter, or a field of an object.
struct Field {
    name: String,
    /// `query`, `path` or `header`; empty for a field.
    place: String,
    kind: Kind,
    is_required: bool,
    meaning: String,
}

/// The type of a value, in words.
struct Kind {
    text: String,
    /// The types of the page that it names.
    names: Vec<String>,
    /// Whether it is one of them.
    is_name: bool,
}

struct Answer {
    status: String,
    meaning: String,
    contents: Vec<Content>,
}

struct Content {
    content_type: String,
    kind: Kind,
    meaning: String,
    fields: Vec<Field>,
    /// Empty if there is none.
    example: String,
}

/// A type of the document.
struct Type {
    name: String,
    meaning: String,
    fields: Vec<Field>,
    /// What a value can be, if it is one of some texts, with what each means.
    values: Vec<(String, String)>,
    kind: Kind,
}

/// The page of an OpenAPI document.
///
/// # Errors
/// Never, as far as is known.
pub fn api(frame: &Frame, document: &Value) -> Result<String, askama::Error> {
    let types = &document["components"]["schemas"];
    let mut groups: Vec<Group> = Vec::new();
    for (path, methods) in members(&document["paths"]) {
        for method in METHODS {
            let Some(operation) = methods.get(method) else { continue };
            let name = text(&operation["tags"][0]);
            let operation = one_operation(method, path, operation, types);
            match groups.iter_mut().find(|group| group.name == name) {
                Some(group) => group.operations.push(operation),
                None => groups.push(Group { name, operations: vec![operation] }),
            }
        }
    }
    let types = members(types).map(|(name, schema)| one_type(name, schema)).collect();
    let version = text(&document["info"]["version"]);
    Page { f: frame, version, groups, types }.render()
}

fn one_operation(method: &str, path: &str, operation: &Value, types: &Value) -> Operation {
    let parameter = |parameter: &Value| Field {
        name: text(&parameter["name"]),
        place: text(&parameter["in"]),
        kind: kind(&parameter["schema"]),
        is_required: parameter["required"] == true,
        meaning: text(&parameter["description"]),
    };
    let scopes = operation["security"][0]["token"].as_array();
    let answers = members(&operation["responses"]).filter(|(status, _)| *status != "default");
    let contents = |of: &Value| -> Vec<Content> {
        members(&of["content"]).map(|(name, content)| one_content(name, content, types)).collect()
    };
    let body = contents(&operation["requestBody"]);
    Operation {
        id: text(&operation["operationId"]),
        method: method.to_ascii_uppercase(),
        path: path.to_owned(),
        summary: text(&operation["summary"]),
        meaning: text(&operation["description"]),
        scope: scopes.and_then(|scopes| scopes.first()).map(text).unwrap_or_default(),
        parameters: operation["parameters"]
            .as_array()
            .into_iter()
            .flatten()
            .map(parameter)
            .collect(),
        body: body.into_iter().next(),
        is_body_required: operation["requestBody"]["required"] == true,
        answers: without_repetition(
            answers
                .map(|(status, answer)| Answer {
                    status: status.to_owned(),
                    meaning: text(&answer["description"]),
                    contents: contents(answer),
                })
                .collect(),
        ),
    }
}

/// The same example is shown once.
fn without_repetition(mut answers: Vec<Answer>) -> Vec<Answer> {
    let mut seen: Vec<String> = Vec::new();
    for content in answers.iter_mut().flat_map(|answer| &mut answer.contents) {
        if seen.contains(&content.example) {
            content.example.clear();
        } else {
            seen.push(content.example.clone());
        }
    }
    answers
}

fn one_content(content_type: &str, content: &Value, types: &Value) -> Content {
    let schema = &content["schema"];
    let is_json = content_type.ends_with("json");
    let example = match content.get("example") {
        Some(example) => example.clone(),
        None => example("", schema, types, DEPTH),
    };
    Content {
        content_type: content_type.to_owned(),
        kind: kind(schema),
        meaning: text(&schema["description"]),
        fields: fields(schema),
        example: if is_json { format!("{example:#}") } else { String::new() },
    }
}

fn one_type(name: &str, schema: &Value) -> Type {
    let names = schema["enum"].as_array().into_iter().flatten();
    let meanings = schema["x-enum-descriptions"].as_array().into_iter().flatten();
    let values = names.zip(meanings).map(|(name, meaning)| (plain(name), text(meaning)));
    Type {
        name: name.to_owned(),
        meaning: text(&schema["description"]),
        fields: fields(schema),
        values: values.collect(),
        kind: kind(schema),
    }
}

/// The fields of an object.
fn fields(schema: &Value) -> Vec<Field> {
    let required = schema["required"].as_array().map(Vec::as_slice).unwrap_or_default();
    let field = |(name, field): (&str, &Value)| Field {
        name: name.to_owned(),
        place: String::new(),
        kind: kind(field),
        is_required: required.iter().any(|required| required == name),
        meaning: text(&field["description"]),
    };
    members(&schema["properties"]).map(field).collect()
}

/// The members of an object, as the document has them; none of another value.
fn members(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}

/// A text on one line; empty for another value.
fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A value without the marks of a text.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The name of the type that a reference leads to.
fn name_of(reference: &str) -> &str {
    reference.strip_prefix(SCHEMAS).unwrap_or(reference)
}

/// What a value of a schema is, in words.
fn kind(schema: &Value) -> Kind {
    let mut names = Vec::new();
    let text = in_words(schema, &mut names);
    let is_name = names.first() == Some(&text);
    Kind { text, names, is_name }
}

fn in_words(schema: &Value, names: &mut Vec<String>) -> String {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = name_of(reference).to_owned();
        if !names.contains(&name) {
            names.push(name.clone());
        }
        return name;
    }
    if let Some(value) = schema.get("const") {
        return plain(value);
    }
    if let Some(values) = schema["enum"].as_array() {
        return values.iter().map(plain).collect::<Vec<_>>().join(", ");
    }
    if let Some(kinds) = ["anyOf", "oneOf"].into_iter().find_map(|key| schema[key].as_array()) {
        let mut words: Vec<String> = Vec::new();
        for kind in kinds {
            let word = in_words(kind, names);
            if !words.contains(&word) {
                words.push(word);
            }
        }
        return words.join(" or ");
    }
    let mut named = |name: &str| match name {
        "array" => format!("list of {}", in_words(&schema["items"], names)),
        name => name.to_owned(),
    };
    match &schema["type"] {
        Value::String(name) => named(name.as_str()),
        Value::Array(all) => {
            let words: Vec<String> = all.iter().filter_map(Value::as_str).map(named).collect();
            words.join(" or ")
        }
        _ => "any value".to_owned(),
    }
}

/// A value that a schema permits. `name` is that of the field.
fn example(name: &str, schema: &Value, types: &Value, depth: usize) -> Value {
    let Some(depth) = depth.checked_sub(1) else { return Value::Null };
    if let Some(reference) = schema["$ref"].as_str() {
        return example(name, &types[name_of(reference)], types, depth);
    }
    if let Some(value) = schema.get("const").or(schema.get("default")) {
        return value.clone();
    }
    if let Some(first) = schema["enum"].as_array().and_then(|values| values.first()) {
        return first.clone();
    }
    if let Some(kinds) = ["anyOf", "oneOf"].into_iter().find_map(|key| schema[key].as_array()) {
        let first = kinds.iter().find(|kind| kind["type"] != "null");
        return first.map_or(Value::Null, |kind| example(name, kind, types, depth));
    }
    let is = |wanted: &str| match &schema["type"] {
        Value::String(name) => name == wanted,
        Value::Array(names) => names.iter().any(|name| name == wanted),
        _ => false,
    };
    if is("object") || schema.get("properties").is_some() {
        let one =
            |(name, field): (&str, &Value)| (name.to_owned(), example(name, field, types, depth));
        return Value::Object(members(&schema["properties"]).map(one).collect::<Map<_, _>>());
    }
    if is("array") {
        return json!([example(name, &schema["items"], types, depth)]);
    }
    if is("string") {
        return json!(sample(name));
    }
    if is("integer") || is("number") {
        let is_time = name == "at" || name.ends_with("_at") || name == "since" || name == "until";
        return if is_time { json!(TIME) } else { json!(1) };
    }
    if is("boolean") { json!(false) } else { Value::Null }
}

/// A text for a field with this name.
fn sample(name: &str) -> &'static str {
    match name {
        "id" | "order" | "sent_as" => "102",
        "template" => "local-business",
        "tenant" => "acme",
        "worker" | "owner_worker" | "client_id" => "web1-4711-01KB6M0C3T",
        "attempt" | "owner_attempt" | "current_release" | "release" | "last_failure" => {
            "01KB6M0C3T6X8V1R2N4Q5S7T9W"
        }
        "hold" => "template:local-business",
        "url" | "callback" => "https://crm.example/done",
        "hint" => "what to do",
        _ => "text",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_is_a_kind_in_words_and_an_example() {
        let types = json!({
            "Order": {
                "type": "object",
                "properties": {
                    "id": { "type": "string" },
                    "created_at": { "type": "integer" },
                    "state": { "$ref": "#/components/schemas/State" },
                    "parent": { "anyOf": [
                        { "$ref": "#/components/schemas/Order" },
                        { "type": "null" },
                    ] },
                },
            },
            "State": {
                "type": "string",
                "enum": ["queued"],
                "x-enum-descriptions": ["It waits."],
            },
        });
        for (schema, words, shown) in [
            (json!({ "type": "string" }), "string", json!("text")),
            (json!({ "type": ["integer", "null"] }), "integer or null", json!(1)),
            (json!({ "type": "array", "items": { "type": "boolean" } }), "list of boolean", {
                json!([false])
            }),
            (json!({ "enum": ["a", "b"] }), "a, b", json!("a")),
            (json!({ "$ref": "#/components/schemas/State" }), "State", json!("queued")),
            (json!({ "type": "integer", "default": 2 }), "integer", json!(2)),
            (json!({}), "any value", Value::Null),
            (json!(true), "any value", Value::Null),
        ] {
            assert_eq!(kind(&schema).text, words, "{schema}");
            assert_eq!(example("", &schema, &types, DEPTH), shown, "{schema}");
        }
        // One that has itself inside comes to an end.
        let reference = json!({ "$ref": "#/components/schemas/Order" });
        let order = example("", &reference, &types, DEPTH);
        assert_eq!(order["id"], "102");
        assert_eq!(order["created_at"], TIME);
        assert!(order["parent"].is_object(), "{order}");
        assert_eq!(
            one_type("State", &types["State"]).values,
            [("queued".to_owned(), "It waits.".to_owned())]
        );
    }
}
