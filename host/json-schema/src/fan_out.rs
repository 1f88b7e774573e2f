//! The size of a schema with its references followed, which bounds the cost of checking a value.

use std::collections::HashMap;

use percent_encoding::percent_decode_str;
use serde_json::Value;

/// The number of parts, each counted as often as it is reached. A recursive reference counts once:
/// the value or the validator ends the recursion.
pub(super) fn of(schema: &Value) -> u64 {
    let mut names = HashMap::new();
    collect_names(schema, &mut names);
    Counter { root: schema, names, known: HashMap::new(), depth: 0 }.count(schema)
}

/// Collects the parts that references can name.
fn collect_names<'a>(part: &'a Value, names: &mut HashMap<&'a str, &'a Value>) {
    match part {
        Value::Object(fields) => {
            for key in ["$anchor", "$dynamicAnchor", "$id"] {
                if let Some(name) = fields.get(key).and_then(Value::as_str) {
                    names.insert(name, part);
                }
            }
            fields.values().for_each(|value| collect_names(value, names));
        }
        Value::Array(parts) => parts.iter().for_each(|part| collect_names(part, names)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

struct Counter<'a> {
    root: &'a Value,
    names: HashMap<&'a str, &'a Value>,
    /// The counts by the address of the part; `None` while a part is being counted.
    known: HashMap<*const Value, Option<u64>>,
    depth: usize,
}

/// Maximum depth that is followed; a deeper schema counts as too large. JSON itself ends at 128.
const MAX_DEPTH: usize = 400;

impl<'a> Counter<'a> {
    fn count(&mut self, part: &'a Value) -> u64 {
        if self.depth == MAX_DEPTH {
            return u64::MAX;
        }
        self.depth += 1;
        let count = match part {
            Value::Object(fields) => self.count_fields(part, fields),
            Value::Array(parts) => self.sum(parts.iter()),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
        };
        self.depth -= 1;
        count
    }

    fn sum(&mut self, parts: impl Iterator<Item = &'a Value>) -> u64 {
        parts.fold(0, |sum: u64, part| sum.saturating_add(self.count(part)))
    }

    fn count_fields(&mut self, part: &'a Value, fields: &'a serde_json::Map<String, Value>) -> u64 {
        if let Some(known) = self.known.get(&std::ptr::from_ref(part)) {
            return known.unwrap_or(1);
        }
        self.known.insert(part, None);
        let mut sum: u64 = 1;
        for (key, value) in fields {
            let more = match (key.as_str(), value) {
                // The keys are names of properties, not keywords.
                ("properties" | "patternProperties" | "dependentSchemas", Value::Object(parts)) => {
                    self.sum(parts.values())
                }
                // Parts that only references reach, and values that are not schemas.
                ("$defs" | "definitions" | "const" | "enum" | "default" | "examples", _) => 0,
                ("$ref" | "$dynamicRef" | "$recursiveRef", Value::String(to)) => {
                    self.target(to).map_or(0, |part| self.count(part))
                }
                (_, value) => self.count(value),
            };
            sum = sum.saturating_add(more);
        }
        self.known.insert(part, Some(sum));
        sum
    }

    fn target(&self, to: &str) -> Option<&'a Value> {
        let (base, fragment) = to.split_once('#').unwrap_or((to, ""));
        let within = if base.is_empty() { self.root } else { self.names.get(base).copied()? };
        if fragment.is_empty() || fragment.starts_with('/') {
            let pointer = percent_decode_str(fragment).decode_utf8().ok()?;
            return within.pointer(&pointer);
        }
        self.names.get(fragment).copied()
    }
}
