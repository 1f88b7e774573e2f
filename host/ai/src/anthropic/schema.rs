//! Conversion of a JSON Schema to the subset that `output_config.format` takes: every object is
//! closed, and keywords for lengths and amounts are refused.
//!
//! Keywords that are left out are checked by the host afterwards, as always.
//! <https://docs.anthropic.com/en/docs/build-with-claude/structured-outputs>

use serde_json::{Map, Value};

/// Maximum depth of nesting.
const MAX_DEPTH: usize = 32;

/// A converted schema.
#[derive(Debug, PartialEq)]
pub(super) struct Converted {
    pub(super) schema: Value,
    /// Whether no relevant keyword was left out.
    pub(super) whole: bool,
}

/// Converts a schema; `None` if the mode cannot express it.
pub(super) fn convert(schema: &Value) -> Option<Converted> {
    let mut whole = true;
    let schema = part(schema, 0, &mut whole)?;
    Some(Converted { schema, whole })
}

fn part(schema: &Value, depth: usize, whole: &mut bool) -> Option<Value> {
    let schema = schema.as_object().filter(|_| depth <= MAX_DEPTH)?;
    let mut out = Map::new();
    for (keyword, value) in schema {
        let value = match keyword.as_str() {
            "type" | "enum" | "const" | "title" | "description" | "required" | "default" => {
                value.clone()
            }
            "$ref" if value.as_str().is_some_and(|to| to.starts_with("#/")) => value.clone(),
            "format" if known_format(value) => value.clone(),
            "minItems" if value.as_u64().is_some_and(|least| least <= 1) => value.clone(),
            "items" => part(value, depth + 1, whole)?,
            "properties" | "$defs" | "definitions" => {
                let parts = value.as_object()?.iter();
                let parts =
                    parts.map(|(name, one)| Some((name.clone(), part(one, depth + 1, whole)?)));
                Value::Object(parts.collect::<Option<_>>()?)
            }
            "anyOf" | "allOf" => {
                let parts = value.as_array()?.iter().map(|one| part(one, depth + 1, whole));
                Value::Array(parts.collect::<Option<_>>()?)
            }
            "oneOf" => {
                *whole = false;
                let parts = value.as_array()?.iter().map(|one| part(one, depth + 1, whole));
                out.insert("anyOf".to_owned(), Value::Array(parts.collect::<Option<_>>()?));
                continue;
            }
            "additionalProperties" if *value == Value::Bool(false) => continue,
            "$schema" | "$id" | "$comment" | "examples" | "deprecated" => continue,
            _ => {
                *whole = false;
                continue;
            }
        };
        out.insert(keyword.clone(), value);
    }
    let kind = out.get("type");
    let object = out.contains_key("properties")
        || kind.is_some_and(|kind| {
            kind == "object"
                || kind.as_array().is_some_and(|all| all.iter().any(|one| one == "object"))
        });
    if object {
        let open = schema.get("additionalProperties") != Some(&Value::Bool(false));
        // An object of any fields cannot be closed without losing all of them.
        if open && out.get("properties").and_then(Value::as_object).is_none_or(Map::is_empty) {
            return None;
        }
        *whole &= !open;
        out.insert("additionalProperties".to_owned(), false.into());
    }
    Some(Value::Object(out))
}

fn known_format(format: &Value) -> bool {
    let known = [
        "date-time",
        "time",
        "date",
        "duration",
        "email",
        "hostname",
        "uri",
        "ipv4",
        "ipv6",
        "uuid",
    ];
    format.as_str().is_some_and(|format| known.contains(&format))
}
