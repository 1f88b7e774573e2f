//! Deterministic sample values for a JSON Schema.
//!
//! Supports the schemas of Rust and Python types: objects, arrays, enums, references inside the
//! document, bounds. `pattern` is not supported: the text consists of plain words, and the
//! validation of the reply fails and names the field.

use serde_json::{Map, Number, Value};

/// Maximum depth of nested values and references. Deeper values of a recursive schema are `null`.
const MAX_DEPTH: usize = 24;

/// Maximum number of values and words. Further values are `null`: a schema is untrusted input and
/// must not exhaust the memory.
const MAX_VALUES: u64 = 10_000;

const WORDS: [&str; 12] = [
    "fresh", "honest", "friendly", "local", "careful", "bright", "simple", "reliable", "warm",
    "quick", "trusted", "classic",
];

/// The content of hostile texts: markup that breaks out of any context without escaping, with an
/// element name that can be searched for in the output.
pub const HOSTILE: &str = "</title></p>\"><sw-hostile a='\"><script>swHostile()</script>&amp;";

/// Number of entries in a list without bounds.
const ENTRIES: u64 = 3;

/// The kind of sample value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sample {
    /// A valid value with only the required properties and list entries.
    Smallest,
    /// A valid value with all properties, and three entries in each list.
    Full,
    /// As `Full`, with [`HOSTILE`] in every text, truncated to the maximum length.
    Hostile,
    /// An invalid value: an object if the schema requires a list, otherwise a list.
    Off,
}

/// A sample value for a schema.
pub fn sample(schema: &Value, how: Sample) -> Value {
    answer(schema, how, &[])
}

/// A sample value for a schema in answer to these messages. Full and hostile values differ for
/// different messages, so that tests detect a swapped reply.
pub(crate) fn answer(schema: &Value, how: Sample, messages: &[&str]) -> Value {
    if how == Sample::Off {
        let list = schema.as_object().and_then(type_of) == Some("array");
        return if list {
            serde_json::json!({ "off": "the schema" })
        } else {
            serde_json::json!(["off the schema"])
        };
    }
    let texts = match how {
        Sample::Full | Sample::Hostile if !messages.is_empty() => hash(messages),
        _ => 0,
    };
    Sampler { root: schema, how, values: 0, texts }.value(schema, 0)
}

/// A hash of the messages (FNV-1a), below one million.
fn hash(messages: &[&str]) -> usize {
    let bytes = messages.iter().flat_map(|message| message.bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash % 1_000_000) as usize
}

struct Sampler<'a> {
    root: &'a Value,
    how: Sample,
    values: u64,
    /// Number of texts so far. Each begins with another word, for `uniqueItems`.
    texts: usize,
}

impl Sampler<'_> {
    fn value(&mut self, schema: &Value, depth: usize) -> Value {
        let Some(schema) = schema.as_object() else { return Value::Object(Map::new()) };
        self.values += 1;
        if depth > MAX_DEPTH || self.values > MAX_VALUES {
            return Value::Null;
        }
        if let Some(value) = schema.get("const") {
            return value.clone();
        }
        if let Some(value) =
            schema.get("enum").and_then(Value::as_array).and_then(|values| values.first())
        {
            return value.clone();
        }
        if let Some(merged) = self.merged(schema) {
            return self.value(&merged, depth + 1);
        }
        match type_of(schema) {
            Some("object") => self.object(schema, depth),
            Some("array") => self.array(schema, depth),
            Some("string") => Value::String(self.text(schema)),
            Some("integer") => integer(schema),
            Some("number") => number(schema),
            Some("boolean") => Value::Bool(true),
            Some("null") => Value::Null,
            _ => Value::Object(Map::new()),
        }
    }

    /// Merges the schema with its reference, its `allOf` parts and its first alternative. `None` if
    /// it has none of these.
    fn merged(&self, schema: &Map<String, Value>) -> Option<Value> {
        let mut parts: Vec<&Value> = Vec::new();
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            parts
                .extend(reference.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer)));
        }
        parts.extend(schema.get("allOf").and_then(Value::as_array).into_iter().flatten());
        for key in ["anyOf", "oneOf"] {
            let Some(alternatives) = schema.get(key).and_then(Value::as_array) else { continue };
            let is_not_null =
                |part: &&Value| part.get("type").and_then(Value::as_str) != Some("null");
            parts.extend(alternatives.iter().find(is_not_null).or(alternatives.first()));
        }
        if parts.is_empty() {
            return None;
        }
        let mut merged = schema.clone();
        for key in ["$ref", "allOf", "anyOf", "oneOf"] {
            merged.remove(key);
        }
        for part in parts.into_iter().filter_map(Value::as_object) {
            for (key, value) in part {
                match (merged.get_mut(key), value) {
                    (Some(Value::Object(ours)), Value::Object(theirs)) => {
                        ours.extend(theirs.iter().map(|(key, value)| (key.clone(), value.clone())));
                    }
                    (Some(Value::Array(ours)), Value::Array(theirs)) if key == "required" => {
                        let missing: Vec<_> =
                            theirs.iter().filter(|name| !ours.contains(name)).cloned().collect();
                        ours.extend(missing);
                    }
                    (Some(_), _) => {}
                    (None, value) => {
                        merged.insert(key.clone(), value.clone());
                    }
                }
            }
        }
        Some(Value::Object(merged))
    }

    fn object(&mut self, schema: &Map<String, Value>, depth: usize) -> Value {
        let properties = schema.get("properties").and_then(Value::as_object);
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
        let mut object = Map::new();
        for name in required.filter_map(Value::as_str) {
            let property = properties
                .and_then(|properties| properties.get(name))
                .unwrap_or(&Value::Bool(true));
            object.insert(name.to_owned(), self.value(property, depth + 1));
        }
        if self.how != Sample::Smallest && depth < MAX_DEPTH / 2 {
            for (name, property) in properties.into_iter().flatten() {
                if !object.contains_key(name) {
                    object.insert(name.clone(), self.value(property, depth + 1));
                }
            }
        }
        Value::Object(object)
    }

    fn array(&mut self, schema: &Map<String, Value>, depth: usize) -> Value {
        let prefix = schema.get("prefixItems").and_then(Value::as_array);
        let least = bound(schema, "minItems").unwrap_or(0);
        let wanted = match self.how {
            Sample::Smallest | Sample::Off => least,
            // A recursive list must terminate.
            Sample::Full | Sample::Hostile if depth > MAX_DEPTH / 2 => least,
            Sample::Full | Sample::Hostile if schema.contains_key("items") => {
                least.max(ENTRIES).min(bound(schema, "maxItems").unwrap_or(u64::MAX).max(least))
            }
            Sample::Full | Sample::Hostile => {
                least.max(prefix.map_or(0, |prefix| prefix.len() as u64))
            }
        };
        let count = wanted.min(MAX_VALUES);
        let any = Value::Bool(true);
        let items = (0..count).map(|index| {
            let item = prefix.and_then(|prefix| prefix.get(index as usize));
            let item = item.or_else(|| schema.get("items")).unwrap_or(&any);
            self.value(item, depth + 1)
        });
        Value::Array(items.collect())
    }

    fn text(&mut self, schema: &Map<String, Value>) -> String {
        let first = self.texts;
        self.texts += 1;
        match schema.get("format").and_then(Value::as_str) {
            Some("date") => return "2026-01-01".to_owned(),
            Some("date-time") => return "2026-01-01T00:00:00Z".to_owned(),
            Some("time") => return "09:00:00Z".to_owned(),
            Some("email") => return format!("{}@example.com", WORDS[first % WORDS.len()]),
            Some("uri" | "url") => {
                return format!("https://example.com/{}", WORDS[first % WORDS.len()]);
            }
            Some("uuid") => return format!("00000000-0000-4000-8000-{first:012}"),
            _ => {}
        }
        let least = bound(schema, "minLength").unwrap_or(0) as usize;
        let most = bound(schema, "maxLength").map_or(usize::MAX, |most| most as usize);
        if self.how == Sample::Hostile && most > 0 && !schema.contains_key("pattern") {
            return hostile(first, least, most);
        }
        let mut text = String::new();
        let mut word = first;
        // At least two words, and a number once the words repeat, so that texts differ.
        while (text.len() < least && self.values <= MAX_VALUES) || word < first + 2 {
            self.values += 1;
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(WORDS[word % WORDS.len()]);
            if word == first && first >= WORDS.len() {
                text.push_str(&format!(" {}", first / WORDS.len() + 1));
            }
            word += 1;
        }
        if text.len() > most.max(least) {
            text.truncate(most.max(least));
            // Templates may trim a blank at the end.
            if text.ends_with(' ') {
                text.replace_range(text.len() - 1.., "s");
            }
        }
        text
    }
}

/// A hostile text with `least` to `most` characters. `number` makes it unique.
fn hostile(number: usize, least: usize, most: usize) -> String {
    let mut text = format!("{} {}{HOSTILE}", WORDS[number % WORDS.len()], number);
    while text.chars().count() < least {
        text.push_str(HOSTILE);
    }
    text.chars().take(most.max(least)).collect::<String>().trim_end().to_owned()
}

fn type_of(schema: &Map<String, Value>) -> Option<&str> {
    match schema.get("type") {
        Some(Value::String(name)) => Some(name),
        Some(Value::Array(names)) => {
            let mut names = names.iter().filter_map(Value::as_str);
            let first = names.clone().next();
            names.find(|name| *name != "null").or(first)
        }
        _ if schema.contains_key("properties") || schema.contains_key("required") => Some("object"),
        _ if schema.contains_key("items") || schema.contains_key("prefixItems") => Some("array"),
        _ if schema.contains_key("minLength") || schema.contains_key("pattern") => Some("string"),
        _ => None,
    }
}

fn bound(schema: &Map<String, Value>, key: &str) -> Option<u64> {
    schema.get(key).and_then(Value::as_u64)
}

fn integer(schema: &Map<String, Value>) -> Value {
    let get = |key| schema.get(key).and_then(Value::as_f64);
    let least = match (get("minimum"), get("exclusiveMinimum")) {
        (Some(least), None) => Some(least.ceil()),
        (None, Some(below)) => Some(below.floor() + 1.0),
        (Some(least), Some(below)) => Some(least.ceil().max(below.floor() + 1.0)),
        (None, None) => None,
    };
    let most = match (get("maximum"), get("exclusiveMaximum")) {
        (Some(most), None) => Some(most.floor()),
        (None, Some(above)) => Some(above.ceil() - 1.0),
        (Some(most), Some(above)) => Some(most.floor().min(above.ceil() - 1.0)),
        (None, None) => None,
    };
    let start = least.or(most.filter(|most| *most < 0.0)).unwrap_or(0.0);
    let step = get("multipleOf").filter(|step| *step >= 1.0).unwrap_or(1.0);
    let found =
        if least.is_some() { (start / step).ceil() * step } else { (start / step).floor() * step };
    Value::from(found as i64)
}

fn number(schema: &Map<String, Value>) -> Value {
    let get = |key| schema.get(key).and_then(Value::as_f64);
    let most = get("maximum").or(get("exclusiveMaximum").map(|above| above - 1.0));
    let found = match (get("minimum"), get("exclusiveMinimum")) {
        (_, Some(below)) => match get("maximum").or(get("exclusiveMaximum")) {
            Some(above) => (below + above) / 2.0,
            None => below + 1.0,
        },
        (Some(least), None) => least,
        (None, None) => most.filter(|most| *most < 0.0).unwrap_or(0.0),
    };
    Number::from_f64(found).map_or(Value::Null, Value::Number)
}
