//! The keys of the configuration as a Markdown page, from the JSON Schema of its types: names,
//! types and defaults are those of the program, meanings are the doc comments of the fields.

use serde_json::{Map, Value};

use super::{cell, paragraphs};
use crate::config;
use sitewright_failure::render;

const HEAD: &str = include_str!("configuration_head.md");
const FOOT: &str = include_str!("configuration_foot.md");

/// `docs/src/reference/configuration.md`.
pub(super) fn page() -> String {
    let schema = config::schema();
    let mut text = HEAD.to_owned();
    section(&mut text, "", &schema, &schema);
    format!("{text}\n{FOOT}")
}

/// A table of the file with its keys, then the tables inside.
fn section(text: &mut String, path: &str, described: &Value, schema: &Value) {
    let empty = Map::new();
    let keys = schema["properties"].as_object().unwrap_or(&empty);
    let mut tables = Vec::new();
    let mut rows = String::new();
    for (key, field) in keys {
        let full = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        match table_of(key, field) {
            Some((end, table)) => tables.push((format!("{full}{end}"), field, table)),
            None => rows.push_str(&row(&full, key, field, schema)),
        }
    }
    let intro = paragraphs(described["description"].as_str().unwrap_or_default());
    let own = paragraphs(schema["description"].as_str().unwrap_or_default());
    if !rows.is_empty() {
        match path {
            "" => text.push_str("\n## Top level\n"),
            path if path.ends_with("[]") => {
                text.push_str(&format!("\n## Entries of `{}`\n", path.trim_end_matches("[]")));
            }
            path => text.push_str(&format!("\n## `[{path}]`\n")),
        }
        if !path.is_empty() {
            text.push_str(&format!("\n{intro}"));
            if own != intro {
                text.push_str(&format!("\n{own}"));
            }
        }
        text.push_str("\n| key | type | default | limits | meaning |\n|---|---|---|---|---|\n");
        text.push_str(&rows);
    }
    for (path, field, table) in tables {
        section(text, &path, field, table);
    }
}

/// What a key that holds a table, several named tables or a list of tables adds to the path, and
/// the schema of the table.
fn table_of<'a>(key: &str, field: &'a Value) -> Option<(&'static str, &'a Value)> {
    let field = some(field);
    if field["properties"].is_object() {
        return Some(("", field));
    }
    if field["items"]["properties"].is_object() {
        return Some(("[]", &field["items"]));
    }
    let named = &field["additionalProperties"];
    let name = match key {
        "routes" => ".PURPOSE",
        "prices" => ".\"MODEL\"",
        _ => ".NAME",
    };
    named["properties"].is_object().then_some((name, named))
}

/// The schema of an optional value that is there.
fn some(schema: &Value) -> &Value {
    let any = schema["anyOf"].as_array();
    any.and_then(|any| any.iter().find(|one| one["type"] != "null")).unwrap_or(schema)
}

fn row(full: &str, key: &str, field: &Value, parent: &Value) -> String {
    let required = parent["required"].as_array().is_some_and(|keys| keys.contains(&key.into()));
    let default = match (&field["x-default"], &field["default"], required) {
        (Value::String(text), ..) => text.clone(),
        (Value::Null, Value::Null, true) => "required".to_owned(),
        (Value::Null, Value::Null, false) => "none".to_owned(),
        (Value::Null, value, _) | (value, ..) => shown(key, value),
    };
    let (least, most) = config::limits_of(full);
    let least = least.map(|least| format!("at least {}", amount(key, least)));
    let most = most.map(|most| format!("at most {}", amount(key, most)));
    let limits: Vec<String> = least.into_iter().chain(most).collect();
    format!(
        "| `{}` | {} | {} | {} | {} |\n",
        full,
        cell(&kind(key, field)),
        cell(&default),
        limits.join(", "),
        cell(field["description"].as_str().unwrap_or_default())
    )
}

fn kind(key: &str, field: &Value) -> String {
    let schema = some(field);
    if let Some(kind) = field["x-type"].as_str() {
        return kind.to_owned();
    }
    let variants = schema["enum"].as_array().cloned().unwrap_or_default();
    let documented = schema["oneOf"].as_array().cloned().unwrap_or_default();
    let documented = documented.into_iter().flat_map(|one| {
        let values = one["enum"].as_array().cloned().unwrap_or_default();
        values.into_iter().chain(one.get("const").cloned())
    });
    let names: Vec<String> = variants
        .into_iter()
        .chain(documented)
        .filter_map(|value| Some(format!("`{}`", value.as_str()?)))
        .collect();
    if !names.is_empty() {
        return names.join(", ");
    }
    let name = match &schema["type"] {
        Value::Array(types) => types.iter().find(|name| *name != "null"),
        name => Some(name),
    };
    let name = name.and_then(Value::as_str).unwrap_or("value");
    let name = if name == "string" { "text" } else { name };
    let unit = match key.rsplit_once('_') {
        Some((_, "ms")) => " (ms)",
        Some((_, "bytes")) => " (bytes)",
        _ => "",
    };
    format!("{name}{unit}")
}

fn shown(key: &str, value: &Value) -> String {
    match value {
        Value::String(text) => format!("`{text}`"),
        Value::Number(number) => {
            number.as_u64().map_or_else(|| number.to_string(), |number| amount(key, number))
        }
        value => value.to_string(),
    }
}

/// `268435456 (256 MiB)`, `600000 (10 min)`.
fn amount(key: &str, number: u64) -> String {
    let unit = key.rsplit('_').next().unwrap_or_default();
    match unit {
        "bytes" if number >= 1_024 => format!("{number} ({})", render::bytes(number)),
        "ms" if number >= 60_000 && number.is_multiple_of(60_000) => {
            format!("{number} ({} min)", number / 60_000)
        }
        "ms" if number >= 1_000 && number.is_multiple_of(1_000) => {
            format!("{number} ({} s)", number / 1_000)
        }
        _ => number.to_string(),
    }
}
