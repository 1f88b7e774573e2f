//! Conversion of a JSON Schema to the subset that strict mode takes: every object is closed, every
//! field is required, and one that may be missing may be null instead.
//!
//! Keywords that the subset lacks are left out. Every reply is checked against the whole schema
//! afterwards, so an omission only weakens the mode. The check removes a null where the schema
//! allows a missing field and no null.
//! <https://platform.openai.com/docs/guides/structured-outputs>

use serde_json::{Map, Value, json};

/// Maximum depth of nesting.
const MAX_DEPTH: usize = 32;

/// A converted schema.
#[derive(Debug, PartialEq)]
pub(in super::super) struct Converted {
    pub(super) schema: Value,
    /// Whether no relevant keyword was left out.
    pub(super) whole: bool,
}

/// Converts a schema; `None` if strict mode cannot express it: no object at the top, or objects of
/// any fields.
pub(in super::super) fn convert(schema: &Value) -> Option<Converted> {
    if schema.get("type").is_none_or(|kind| kind != "object") || schema.get("anyOf").is_some() {
        return None;
    }
    let mut conversion = Conversion { root: schema, whole: true };
    let schema = conversion.part(schema, 0)?;
    Some(Converted { schema, whole: conversion.whole })
}

struct Conversion<'a> {
    root: &'a Value,
    whole: bool,
}

impl Conversion<'_> {
    fn part(&mut self, schema: &Value, depth: usize) -> Option<Value> {
        let schema = schema.as_object().filter(|_| depth <= MAX_DEPTH)?;
        if let Some(to) = schema.get("$ref") {
            return self.reference(to.as_str()?, schema);
        }
        let mut out = Map::new();
        for (keyword, value) in schema {
            self.keyword(keyword, value, &mut out, depth)?;
        }
        if is_object(schema) {
            self.close(schema, &mut out)?;
        } else {
            out.shift_remove("required");
            out.shift_remove("additionalProperties");
        }
        let kinds = out.get("type");
        if kinds.is_some_and(|kind| allows(kind, "array")) && !out.contains_key("items") {
            return None;
        }
        let typed = ["type", "anyOf", "enum", "const"].iter().any(|name| out.contains_key(*name));
        typed.then_some(Value::Object(out))
    }

    /// A reference, which must stand alone.
    fn reference(&mut self, to: &str, schema: &Map<String, Value>) -> Option<Value> {
        let inside = to == "#" || to.starts_with("#/$defs/") || to.starts_with("#/definitions/");
        self.root.pointer(to.strip_prefix('#')?).filter(|_| inside)?;
        self.whole &=
            schema.keys().all(|key| matches!(key.as_str(), "$ref" | "description" | "title"));
        Some(json!({"$ref": to}))
    }

    fn keyword(
        &mut self,
        keyword: &str,
        value: &Value,
        out: &mut Map<String, Value>,
        depth: usize,
    ) -> Option<()> {
        let value = match keyword {
            "type" | "enum" | "const" | "description" | "title" | "pattern" | "minimum"
            | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" | "multipleOf" | "minItems"
            | "maxItems" | "$schema" => value.clone(),
            "format" if known_format(value) => value.clone(),
            "properties" | "$defs" | "definitions" => {
                let parts = value.as_object()?.iter();
                let parts = parts.map(|(name, part)| {
                    let part = self.part(part, depth + 1)?;
                    Some((name.clone(), part))
                });
                Value::Object(parts.collect::<Option<_>>()?)
            }
            "items" => self.part(value, depth + 1)?,
            "anyOf" | "oneOf" => {
                // Whether only one of them fits is checked afterwards.
                let parts = value.as_array()?.iter().map(|part| self.part(part, depth + 1));
                let parts = Value::Array(parts.collect::<Option<_>>()?);
                if out.insert("anyOf".to_owned(), parts).is_some() {
                    return None;
                }
                return Some(());
            }
            // Set for every object.
            "required" | "additionalProperties" => {
                out.insert(keyword.to_owned(), Value::Null);
                return Some(());
            }
            "$id" | "$comment" | "examples" | "default" | "deprecated" => return Some(()),
            _ => {
                self.whole = false;
                return Some(());
            }
        };
        out.insert(keyword.to_owned(), value);
        Some(())
    }

    /// Makes an object closed, and all of its fields required.
    fn close(&mut self, schema: &Map<String, Value>, out: &mut Map<String, Value>) -> Option<()> {
        let closed = schema.get("additionalProperties");
        let properties = out.get_mut("properties").and_then(Value::as_object_mut);
        // A closed object without fields is the only one that may lack them.
        let empty = properties.as_ref().is_none_or(|properties| properties.is_empty());
        if closed.is_some_and(|more| more.is_object())
            || (empty && closed != Some(&Value::Bool(false)))
        {
            return None;
        }
        let required: Vec<&str> = schema
            .get("required")
            .and_then(Value::as_array)
            .map(|names| names.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default();
        let names: Vec<Value> = match properties {
            None => Vec::new(),
            Some(properties) => {
                for (name, part) in properties.iter_mut() {
                    if !required.contains(&name.as_str()) {
                        make_nullable(part);
                    }
                }
                let mut names: Vec<&String> = properties.keys().collect();
                // In the order of the schema, where it has one.
                let place = |name: &String| required.iter().position(|one| *one == name.as_str());
                names.sort_by_key(|name| place(name).unwrap_or(usize::MAX));
                names.into_iter().map(|name| name.as_str().into()).collect()
            }
        };
        if !out.contains_key("properties") {
            out.insert("properties".to_owned(), json!({}));
        }
        out.insert("required".to_owned(), names.into());
        out.insert("additionalProperties".to_owned(), false.into());
        Some(())
    }
}

fn allows(kind: &Value, name: &str) -> bool {
    kind == name || kind.as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind == name))
}

fn is_object(schema: &Map<String, Value>) -> bool {
    schema.contains_key("properties")
        || schema.get("type").is_some_and(|kind| allows(kind, "object"))
}

/// Allows null beside what the schema allows.
fn make_nullable(schema: &mut Value) {
    let Some(fields) = schema.as_object_mut() else { return };
    if let Some(Value::Array(parts)) = fields.get_mut("anyOf") {
        if !parts.iter().any(|part| part.get("type").is_some_and(|kind| allows(kind, "null"))) {
            parts.push(json!({"type": "null"}));
        }
        return;
    }
    if !fields.contains_key("$ref") && !fields.contains_key("const") {
        if let Some(kind) = fields.get_mut("type") {
            match kind {
                Value::String(name) if name != "null" => *kind = json!([name, "null"]),
                Value::Array(names) if !names.iter().any(|name| name == "null") => {
                    names.push("null".into());
                }
                _ => {}
            }
        }
        if let Some(Value::Array(values)) = fields.get_mut("enum")
            && !values.iter().any(Value::is_null)
        {
            values.push(Value::Null);
        }
        return;
    }
    let whole = schema.take();
    *schema = json!({"anyOf": [whole, {"type": "null"}]});
}

fn known_format(format: &Value) -> bool {
    let known =
        ["date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"];
    format.as_str().is_some_and(|format| known.contains(&format))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_strict_mode_takes_stays_as_it_is() {
        for schema in [
            json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": false}),
            json!({"type": "object", "additionalProperties": false, "required": ["a"], "properties": {"a": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/n"}]}},
                   "$defs": {"n": {"type": "object", "properties": {}, "required": [], "additionalProperties": false}}}),
            json!({"type": "object", "properties": {"self": {"type": "array", "items": {"$ref": "#"}}}, "required": ["self"], "additionalProperties": false}),
        ] {
            let expected = Converted { schema: schema.clone(), whole: true };
            assert_eq!(convert(&schema), Some(expected), "{schema}");
        }
    }

    #[test]
    fn the_rest_is_relaxed_to_what_strict_mode_takes() {
        let object = |properties: Value, required: Value| json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false});
        let text = json!({"type": "string"});
        let rows = [
            (
                json!({"type": "object", "properties": {"a": text}}),
                object(json!({"a": {"type": ["string", "null"]}}), json!(["a"])),
                true,
            ),
            (
                json!({"type": "object", "properties": {"a": {"type": "string", "maxLength": 5}}, "required": ["a"]}),
                object(json!({"a": text}), json!(["a"])),
                false,
            ),
            (
                json!({"type": "object", "properties": {"a": {"enum": ["x"], "type": "string"}}}),
                object(
                    json!({"a": {"enum": ["x", null], "type": ["string", "null"]}}),
                    json!(["a"]),
                ),
                true,
            ),
            (
                json!({"type": "object", "properties": {"a": {"$ref": "#/$defs/t", "description": "d"}}, "$defs": {"t": text}}),
                json!({"type": "object", "properties": {"a": {"anyOf": [{"$ref": "#/$defs/t"}, {"type": "null"}]}}, "$defs": {"t": text}, "required": ["a"], "additionalProperties": false}),
                true,
            ),
            (
                json!({"type": "object", "properties": {"a": {"oneOf": [text, {"type": "integer", "format": "uint8"}]}}, "required": ["a"]}),
                object(json!({"a": {"anyOf": [text, {"type": "integer"}]}}), json!(["a"])),
                false,
            ),
        ];
        for (schema, expected, whole) in rows {
            assert_eq!(convert(&schema), Some(Converted { schema: expected, whole }), "{schema}");
        }
        for schema in [
            json!({"type": "array", "items": text}),
            json!({"type": "object"}),
            json!({"type": "object", "properties": {"a": {"type": "object", "additionalProperties": text}}}),
            json!({"type": "object", "properties": {"a": {}}}),
            json!({"type": "object", "properties": {"a": true}}),
            json!({"type": "object", "properties": {"a": {"type": "array"}}}),
            json!({"type": "object", "properties": {"a": {"$ref": "#/$defs/none"}}}),
            json!({"type": "object", "properties": {"a": {"$ref": "https://example.com/s"}}}),
            json!({"anyOf": [{"type": "object"}]}),
        ] {
            assert_eq!(convert(&schema), None, "{schema}");
        }
    }
}
