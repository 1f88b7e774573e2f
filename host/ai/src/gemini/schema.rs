//! Conversion of a JSON Schema to Gemini's `responseSchema`, a subset of OpenAPI's schemas.
//!
//! Keywords that the subset lacks are omitted. Every reply is checked against the whole schema
//! afterwards, so an omission only weakens the mode. [`Converted::whole`] is false if the prompt
//! must contain the schema too.

use serde_json::{Map, Value, json};

/// Maximum depth of nesting and references. It also ends recursive schemas.
const MAX_DEPTH: usize = 24;

/// Maximum number of parts of a converted schema, which references can multiply.
const MAX_PARTS: usize = 2000;

/// A converted schema.
#[derive(Debug, PartialEq)]
pub(super) struct Converted {
    pub(super) schema: Value,
    /// Whether no relevant keyword was omitted.
    pub(super) whole: bool,
}

/// Converts a schema; `None` if the mode cannot express it at all.
pub(super) fn convert(schema: &Value) -> Option<Converted> {
    let mut conversion = Conversion { root: schema, whole: true, parts: 0 };
    let schema = conversion.part(schema, 0)?;
    Some(Converted { schema, whole: conversion.whole })
}

struct Conversion<'a> {
    root: &'a Value,
    whole: bool,
    parts: usize,
}

impl Conversion<'_> {
    fn part(&mut self, schema: &Value, depth: usize) -> Option<Value> {
        self.parts += 1;
        if depth > MAX_DEPTH || self.parts > MAX_PARTS {
            return None;
        }
        let schema = schema.as_object()?;
        if let Some(reference) = schema.get("$ref") {
            let target = reference.as_str()?.strip_prefix('#')?;
            let target = self.root.pointer(target)?;
            self.whole &=
                schema.keys().all(|key| matches!(key.as_str(), "$ref" | "description" | "title"));
            return self.part(target, depth + 1);
        }
        let mut out = Map::new();
        for (keyword, value) in schema {
            self.keyword(keyword, value, &mut out, depth)?;
        }
        let object = out.get("type").is_some_and(|kind| kind == "object");
        let known = out.get("properties").and_then(Value::as_object);
        if object && known.is_none_or(Map::is_empty) {
            // The API rejects objects without known properties.
            return None;
        }
        if out.get("type").is_none() && out.get("anyOf").is_none() {
            return None;
        }
        Some(Value::Object(out))
    }

    fn keyword(
        &mut self,
        keyword: &str,
        value: &Value,
        out: &mut Map<String, Value>,
        depth: usize,
    ) -> Option<()> {
        match keyword {
            "type" => self.kind(value, out, depth)?,
            "properties" => {
                let properties = value.as_object()?.iter();
                let properties: Option<Map<String, Value>> = properties
                    .map(|(name, part)| Some((name.clone(), self.part(part, depth + 1)?)))
                    .collect();
                out.insert(keyword.to_owned(), properties?.into());
            }
            "items" => {
                out.insert(keyword.to_owned(), self.part(value, depth + 1)?);
            }
            "anyOf" | "oneOf" => {
                self.any_of(value.as_array()?, out, depth)?;
            }
            "enum" => self.one_of(value.as_array()?, out),
            "const" => self.one_of(std::slice::from_ref(value), out),
            "format" => {
                let known = ["date-time", "int32", "int64", "float", "double"];
                if value.as_str().is_some_and(|format| known.contains(&format)) {
                    out.insert(keyword.to_owned(), value.clone());
                } else {
                    self.whole = false;
                }
            }
            "required" | "title" | "description" | "minItems" | "maxItems" | "minLength"
            | "maxLength" | "minProperties" | "maxProperties" | "minimum" | "maximum"
            | "pattern" => {
                out.insert(keyword.to_owned(), value.clone());
            }
            // The mode generates only known properties.
            "additionalProperties" if *value == Value::Bool(false) => {}
            "$schema" | "$id" | "$defs" | "definitions" | "$comment" | "examples" | "default"
            | "deprecated" => {}
            _ => self.whole = false,
        }
        Some(())
    }

    /// One type, perhaps with `null`; several types become alternatives.
    fn kind(&mut self, value: &Value, out: &mut Map<String, Value>, depth: usize) -> Option<()> {
        let names: Vec<&str> = match value {
            Value::String(name) => vec![name.as_str()],
            Value::Array(names) => names.iter().map(Value::as_str).collect::<Option<_>>()?,
            _ => return None,
        };
        let others: Vec<&str> = names.iter().copied().filter(|name| *name != "null").collect();
        match others.as_slice() {
            [] => out.insert("type".to_owned(), "null".into()),
            [one] => out.insert("type".to_owned(), (*one).into()),
            many => {
                let parts = many.iter().map(|name| self.part(&json!({"type": name}), depth + 1));
                let parts: Option<Vec<Value>> = parts.collect();
                out.insert("anyOf".to_owned(), parts?.into())
            }
        };
        if !others.is_empty() && others.len() < names.len() {
            out.insert("nullable".to_owned(), true.into());
        }
        Some(())
    }

    fn any_of(
        &mut self,
        parts: &[Value],
        out: &mut Map<String, Value>,
        depth: usize,
    ) -> Option<()> {
        let null = |part: &&Value| part.get("type").is_some_and(|kind| kind == "null");
        if parts.iter().any(|part| null(&part)) {
            out.insert("nullable".to_owned(), true.into());
        }
        let parts = parts.iter().filter(|part| !null(part)).map(|part| self.part(part, depth + 1));
        let parts = parts.collect::<Option<Vec<Value>>>()?;
        match parts.as_slice() {
            [Value::Object(one)] => {
                for (keyword, value) in one {
                    out.entry(keyword.clone()).or_insert_with(|| value.clone());
                }
            }
            _ => {
                out.insert("anyOf".to_owned(), parts.into());
            }
        }
        Some(())
    }

    /// The mode's `enum` is a list of texts that are not empty.
    fn one_of(&mut self, values: &[Value], out: &mut Map<String, Value>) {
        if values.iter().any(Value::is_null) {
            out.insert("nullable".to_owned(), true.into());
        }
        let texts: Vec<&Value> = values.iter().filter(|value| !value.is_null()).collect();
        if !texts.is_empty()
            && texts.iter().all(|text| text.as_str().is_some_and(|text| !text.is_empty()))
        {
            out.entry("type").or_insert_with(|| "string".into());
            out.insert("enum".to_owned(), json!(texts));
        } else {
            self.whole = false;
        }
    }
}
