//! Envelopes: what programs wrap an order in (`{"event": …, "data": {…}}`), and forms that send
//! their answers as a list of names and values, or as JSON in a text.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::fields::meant_name;
use crate::child;

/// Maximum number of envelopes around an order.
const MAX_DEPTH: usize = 4;
/// Maximum number of answers in a list.
const MAX_ANSWERS: usize = 1_000;

/// The names of what is inside of an envelope.
const INSIDE: &[&str] = &[
    "data",
    "payload",
    "body",
    "event",
    "detail",
    "record",
    "result",
    "resource",
    "object",
    "item",
    "entry",
    "attributes",
    "properties",
    "fields",
    "form",
    "form_data",
    "form_response",
    "submission",
    "answers",
    "responses",
    "order",
    "content",
];
/// The names of the business's name, which an order always has.
const NAMES: [&str; 3] = ["business_name", "company_name", "business"];

/// A document without its envelopes.
pub(super) struct Opened<'a> {
    /// The pointer to the order: empty without an envelope.
    pub(super) at: String,
    pub(super) order: Cow<'a, Value>,
    /// The objects around the order, the innermost first, with their pointers.
    pub(super) around: Vec<(String, &'a Map<String, Value>)>,
}

/// The order in a document. A document without an order in an envelope is the order itself, whatever
/// it is.
pub(super) fn open(document: &Value) -> Opened<'_> {
    let mut opened =
        Opened { at: String::new(), order: Cow::Borrowed(document), around: Vec::new() };
    let mut value = document;
    for _ in 0..MAX_DEPTH {
        match value {
            Value::Array(entries) if entries.len() == 1 && holds(&entries[0], MAX_DEPTH) => {
                value = &entries[0];
                opened.at = child(&opened.at, 0);
            }
            Value::Object(fields) if !is_order(fields) => {
                let found = inside(fields).find(|(_, inner)| holds(inner, MAX_DEPTH));
                let Some((name, inner)) = found else { break };
                opened.around.insert(0, (opened.at.clone(), fields));
                opened.at = child(&opened.at, name);
                if let Some(answers) = answers(inner) {
                    opened.order = Cow::Owned(Value::Object(answers));
                    return opened;
                }
                value = inner;
            }
            _ => break,
        }
    }
    opened.order = Cow::Borrowed(value);
    opened
}

/// Whether an object has the fields of a business, or a section for them.
fn is_order(fields: &Map<String, Value>) -> bool {
    let has = |names: &[&str]| {
        fields.iter().any(|(name, value)| {
            name.len() <= 60 && !value.is_null() && names.contains(&meant_name(name).as_str())
        })
    };
    fields.get("onboarding").is_some_and(|value| !value.is_null()) || has(&NAMES)
}

fn inside(fields: &Map<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
    let named = move |name: &&str| fields.get_key_value(*name);
    INSIDE.iter().filter_map(named).filter(|(_, value)| value.is_object() || value.is_array())
}

/// Whether an order is in a value, in at most `depth` envelopes.
fn holds(value: &Value, depth: usize) -> bool {
    match value {
        Value::Array(entries) if entries.len() == 1 && depth > 0 && answers(value).is_none() => {
            holds(&entries[0], depth - 1)
        }
        Value::Object(fields) => {
            is_order(fields)
                || depth > 0 && inside(fields).any(|(_, inner)| holds(inner, depth - 1))
        }
        value => answers(value).is_some_and(|answers| is_order(&answers)),
    }
}

/// The fields of a list of answers: `[{"name": "business_name", "value": "Joe's"}, …]`.
fn answers(value: &Value) -> Option<Map<String, Value>> {
    let Value::Array(entries) = value else { return None };
    if entries.is_empty() || entries.len() > MAX_ANSWERS {
        return None;
    }
    let mut fields = Map::new();
    for entry in entries {
        let entry = entry.as_object()?;
        let name = ["name", "key", "field", "id", "slug", "label"]
            .iter()
            .find_map(|name| entry.get(*name)?.as_str())?;
        let value =
            ["value", "answer", "values", "text"].iter().find_map(|name| entry.get(*name))?;
        fields.entry(name).or_insert_with(|| value.clone());
    }
    Some(fields)
}

/// The fields of a business with the lists and objects that a form sent as a text; `None` if there
/// are none: `"[\"Cut\", \"Colour\"]"`.
pub(super) fn unpacked(fields: &Map<String, Value>) -> Option<Map<String, Value>> {
    let inner = |value: &Value| {
        let text = value.as_str()?.trim();
        let is_list = text.starts_with('[') && text.ends_with(']');
        let is_object = text.starts_with('{') && text.ends_with('}');
        let is_json = (is_list || is_object) && text.contains('"');
        is_json.then(|| serde_json::from_str::<Value>(text).ok()).flatten()
    };
    let mut found = None;
    for (name, value) in fields {
        if let Some(value) = inner(value) {
            let unpacked: &mut Map<String, Value> = found.get_or_insert_with(|| fields.clone());
            unpacked.insert(name.clone(), value);
        }
    }
    found
}
