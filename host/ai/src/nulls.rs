//! Fields that a reply has as null where the schema wants them missing, and lists and objects that
//! it has as texts.
//!
//! Strict modes require every field, so optional ones are null; models also write null for what
//! they do not know. Models that call a tool write lists into texts, as `"tags": "[\"bread\"]"`.

use serde_json::{Map, Value};

/// Maximum size in bytes of a text whose fields are removed.
const MAX_BYTES: usize = 64 * 1024;

/// Maximum number of parts of the schema that are visited: references can multiply them.
const MAX_STEPS: usize = 20_000;

/// Maximum number of references in a row.
const MAX_HOPS: usize = 16;

/// The JSON text without fields that are null although the schema neither requires them nor allows
/// null, and with the lists and objects that the schema wants instead of texts that hold them;
/// `None` if there are none. Whether the result is valid is not checked.
pub(super) fn removed(json: &str, schema: &Value) -> Option<String> {
    let may_have = ["null", "\"[", "\"{"].iter().any(|part| json.contains(part));
    if json.len() > MAX_BYTES || !may_have {
        return None;
    }
    let mut value: Value = serde_json::from_str(json).ok()?;
    let mut removal = Removal { root: schema, steps: 0, removed: false };
    removal.visit(&mut value, schema, 0);
    removal.removed.then(|| value.to_string())
}

struct Removal<'a> {
    root: &'a Value,
    steps: usize,
    removed: bool,
}

impl<'a> Removal<'a> {
    fn visit(&mut self, value: &mut Value, schema: &'a Value, hops: usize) {
        self.steps += 1;
        let Some(schema) = schema.as_object().filter(|_| self.steps <= MAX_STEPS) else { return };
        if let Some(target) = self.target(schema).filter(|_| hops < MAX_HOPS) {
            self.visit(value, target, hops + 1);
        }
        for keyword in ["anyOf", "oneOf", "allOf"] {
            for part in schema.get(keyword).and_then(Value::as_array).into_iter().flatten() {
                if hops < MAX_HOPS {
                    self.visit(value, part, hops + 1);
                }
            }
        }
        match value {
            Value::Array(entries) => {
                if let Some(items) = schema.get("items") {
                    for entry in entries {
                        self.unpack(entry, items);
                        self.visit(entry, items, 0);
                    }
                }
            }
            Value::Object(fields) => self.fields(fields, schema),
            _ => {}
        }
    }

    fn fields(&mut self, fields: &mut Map<String, Value>, schema: &'a Map<String, Value>) {
        let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
        let required = schema.get("required").and_then(Value::as_array);
        let before = fields.len();
        fields.retain(|name, value| {
            let optional = required.is_none_or(|names| names.iter().all(|one| one != name));
            let unwanted = value.is_null()
                && optional
                && properties.get(name).is_some_and(|part| !self.allows_null(part, 0));
            !unwanted
        });
        self.removed |= fields.len() < before;
        for (name, value) in fields.iter_mut() {
            if let Some(part) = properties.get(name) {
                self.unpack(value, part);
                self.visit(value, part, 0);
            }
        }
    }

    /// Replaces a text by the list or the object that it is, if the schema wants only that.
    fn unpack(&mut self, value: &mut Value, schema: &'a Value) {
        let Value::String(text) = &*value else { return };
        let Some(schema) = schema.as_object() else { return };
        if !text.trim_start().starts_with(['[', '{']) {
            return;
        }
        let schema = self.target(schema).and_then(Value::as_object).unwrap_or(schema);
        let wants = |name: &str| schema.get("type").is_some_and(|kind| kind == name);
        let inner = match serde_json::from_str::<Value>(text) {
            Ok(list @ Value::Array(_)) if wants("array") => list,
            Ok(object @ Value::Object(_)) if wants("object") => object,
            _ => return,
        };
        *value = inner;
        self.removed = true;
    }

    fn target(&self, schema: &Map<String, Value>) -> Option<&'a Value> {
        self.root.pointer(schema.get("$ref")?.as_str()?.strip_prefix('#')?)
    }

    /// Whether the schema allows null, as far as it says so.
    fn allows_null(&self, schema: &Value, hops: usize) -> bool {
        let Some(schema) = schema.as_object().filter(|_| hops < MAX_HOPS) else { return true };
        if let Some(target) = self.target(schema) {
            return self.allows_null(target, hops + 1);
        }
        let any = ["anyOf", "oneOf"].iter().find_map(|name| schema.get(*name)?.as_array());
        if let Some(parts) = any {
            return parts.iter().any(|part| self.allows_null(part, hops + 1));
        }
        match (schema.get("type"), schema.get("enum"), schema.get("const")) {
            (Some(Value::String(name)), ..) => name == "null",
            (Some(Value::Array(names)), ..) => names.iter().any(|name| name == "null"),
            (_, Some(Value::Array(values)), _) => values.iter().any(Value::is_null),
            (_, _, Some(value)) => value.is_null(),
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn optional_fields_that_are_null_are_removed_and_no_others() {
        let text = json!({"type": "string"});
        let inner = json!({"type": "object", "properties": {"b": text}});
        let schema = json!({
            "type": "object",
            "properties": {
                "a": text,
                "may": {"type": ["string", "null"]},
                "must": text,
                "any": {},
                "list": {"type": "array", "items": {"$ref": "#/$defs/inner"}},
                "one": {"anyOf": [{"type": "integer"}, inner]},
                "again": {"$ref": "#"},
            },
            "required": ["must"],
            "$defs": {"inner": inner},
        });
        let rows = [
            (json!({"a": null, "must": "x"}), Some(json!({"must": "x"}))),
            (json!({"may": null, "must": null, "any": null, "other": null}), None),
            (json!({"list": [{"b": null}, {"b": "x"}]}), Some(json!({"list": [{}, {"b": "x"}]}))),
            (json!({"one": {"b": null}}), Some(json!({"one": {}}))),
            (json!({"again": {"again": {"a": null}}}), Some(json!({"again": {"again": {}}}))),
            (json!({"a": "null"}), None),
            (json!({"list": "[{\"b\": null}]"}), Some(json!({"list": [{}]}))),
            (json!({"list": ["{\"b\": \"x\"}"]}), Some(json!({"list": [{"b": "x"}]}))),
            (json!({"again": "{\"must\": \"x\"}"}), Some(json!({"again": {"must": "x"}}))),
            (json!({"a": "[1]", "may": "{}", "any": "[]", "one": "{}"}), None),
            (json!({"list": "{\"b\": \"x\"}"}), None),
        ];
        for (value, expected) in rows {
            let found = removed(&value.to_string(), &schema);
            let found = found.map(|text| serde_json::from_str::<Value>(&text).unwrap());
            assert_eq!(found, expected, "{value}");
        }
        let endless = json!({"$ref": "#", "anyOf": [{"$ref": "#"}, {"$ref": "#"}]});
        assert_eq!(removed("{\"a\": null}", &endless), None);
    }
}
