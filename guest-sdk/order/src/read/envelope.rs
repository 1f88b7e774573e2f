//! Envelopes: what programs wrap an order in (`{"event": …, "data": {…}}`), and forms that send
//! their answers as a list of names and values, or as JSON in a text.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::{Map, Value};

use super::fields::meant_name;
use super::values;
use crate::child;

/// Maximum number of envelopes around an order.
const MAX_DEPTH: usize = 4;
/// Maximum number of answers in a list.
const MAX_ANSWERS: usize = 1_000;
/// Maximum length of a field's name that is looked at, in bytes.
const MAX_NAME: usize = 60;

/// The names of what is inside of an envelope, best first.
const INSIDE: [&str; 32] = [
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
    "items",
    "entry",
    "current",
    "attributes",
    "properties",
    "fields",
    "form",
    "form_data",
    "form_response",
    "submission",
    "answers",
    "responses",
    "questions",
    "values",
    "named_values",
    "column_values",
    "metadata",
    "meta_data",
    "custom_data",
    "raw_request",
    "order",
    "content",
];
/// The names of the business's name, which an order always has.
const NAMES: [&str; 4] = ["business_name", "company_name", "business", "onboarding"];
/// Names that are the business's if no other is, and there is a way to reach it.
const MAYBE_NAMES: [&str; 3] = ["company", "trading_name", "name"];
/// Names of ways to reach a business.
const CONTACTS: [&str; 5] =
    ["business_phone", "phone", "business_email", "email", "whatsapp_number"];
/// The sections of a CRM's document that may hold the fields of the business, best first.
const SECTIONS: [&str; 9] = [
    "onboarding",
    "onboarding_data",
    "onboarding_form",
    "business",
    "business_data",
    "business_info",
    "questionnaire",
    "answers",
    "form_data",
];
/// Names of fields that say which of an answer's texts is the name of its field.
const KNOWN: [&str; 30] = [
    "id",
    "order_id",
    "business_name",
    "company_name",
    "business_phone",
    "phone",
    "phone_number",
    "business_email",
    "email",
    "business_address",
    "address",
    "niche",
    "custom_niche",
    "primary_city",
    "city",
    "state",
    "country",
    "postal_code",
    "services",
    "primary_service",
    "site_description",
    "description",
    "business_hours",
    "opening_hours",
    "primary_color",
    "tone",
    "locale",
    "language",
    "site_url",
    "logo_url",
];

/// A document without its envelopes.
pub(super) struct Opened<'a> {
    /// The pointer to the order: empty without an envelope.
    pub(super) at: String,
    pub(super) order: Cow<'a, Value>,
    /// The pointer from the order to the section with the fields of the business, as it was sent.
    /// In [`order`](Self::order), a section is called `onboarding`.
    pub(super) section: String,
    /// The objects around the order, the innermost first, with their pointers.
    pub(super) around: Vec<(String, &'a Map<String, Value>)>,
}

/// Whether an object has the fields of a business, or a section for them.
type IsOrder = fn(&Map<String, Value>) -> bool;

/// The order in a document. A document without an order in an envelope is the order itself,
/// whatever it is.
pub(super) fn open(document: &Value) -> Opened<'_> {
    let Some(mut opened) = open_if(document, is_order) else {
        let moved = document.as_object().and_then(with_section);
        return match moved {
            Some((section, order)) => {
                Opened { order: Cow::Owned(Value::Object(order)), section, ..whole(document) }
            }
            None => open_if(document, may_be_order).unwrap_or_else(|| whole(document)),
        };
    };
    let moved = opened.order.as_object().and_then(with_section);
    if let Some((section, order)) = moved {
        opened.section = section;
        opened.order = Cow::Owned(Value::Object(order));
    }
    opened
}

fn whole(document: &Value) -> Opened<'_> {
    Opened {
        at: String::new(),
        order: Cow::Borrowed(document),
        section: "/onboarding".to_owned(),
        around: Vec::new(),
    }
}

/// `None` if no object in the document is an order.
fn open_if(document: &Value, is_order: IsOrder) -> Option<Opened<'_>> {
    if !holds(document, MAX_DEPTH, is_order) {
        return None;
    }
    let mut opened = whole(document);
    let mut value = document;
    for depth in (0..=MAX_DEPTH).rev() {
        if let Some(fields) = converted(value, is_order) {
            opened.order = Cow::Owned(Value::Object(fields));
            return Some(opened);
        }
        match value {
            Value::Array(entries) if entries.len() == 1 => {
                value = &entries[0];
                opened.at = child(&opened.at, 0);
            }
            Value::Object(fields) if !is_order(fields) => {
                let Some(below) = depth.checked_sub(1) else { break };
                let mut within = inside(fields).into_iter();
                let found = within.find(|(_, inner)| holds(inner, below, is_order));
                let Some((name, inner)) = found else { break };
                opened.around.insert(0, (opened.at.clone(), fields));
                opened.at = child(&opened.at, name);
                value = inner;
            }
            _ => break,
        }
    }
    opened.order = Cow::Borrowed(value);
    Some(opened)
}

/// The field of this name that has a value, in whatever way the name is written.
pub(super) fn field_of<'v>(
    fields: &'v Map<String, Value>,
    wanted: &str,
) -> Option<(&'v String, &'v Value)> {
    let exact = fields.get_key_value(wanted).filter(|(_, value)| !value.is_null());
    exact.or_else(|| {
        fields.iter().find(|(name, value)| {
            name.len() <= MAX_NAME && !value.is_null() && meant_name(name) == wanted
        })
    })
}

/// Whether an object has a field of one of these names that has a value.
fn has(fields: &Map<String, Value>, names: &[&str]) -> bool {
    fields.iter().any(|(name, value)| {
        name.len() <= MAX_NAME && !value.is_null() && names.contains(&&*meant_name(name))
    })
}

fn is_order(fields: &Map<String, Value>) -> bool {
    has(fields, &NAMES)
}

/// The company of a CRM has a `name`, as have many other things.
fn may_be_order(fields: &Map<String, Value>) -> bool {
    has(fields, &MAYBE_NAMES) && has(fields, &CONTACTS)
}

/// What an envelope may hold, best first.
fn inside(fields: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let holds_more = |value: &Value| match value {
        Value::Object(_) | Value::Array(_) => true,
        Value::String(text) => text.trim_start().starts_with(['{', '[']),
        _ => false,
    };
    let named = fields.iter().filter(|(name, value)| name.len() <= MAX_NAME && holds_more(value));
    let mut found: Vec<(usize, &String, &Value)> = named
        .filter_map(|(name, value)| {
            let meant = meant_name(name);
            let rank = INSIDE.iter().position(|wanted| *wanted == meant)?;
            Some((rank, name, value))
        })
        .collect();
    found.sort_by_key(|(rank, ..)| *rank);
    found.into_iter().map(|(_, name, value)| (name, value)).collect()
}

/// Whether an order is in a value, in at most `depth` envelopes.
fn holds(value: &Value, depth: usize, is_order: IsOrder) -> bool {
    match value {
        Value::Object(fields) if is_order(fields) => true,
        value if converted(value, is_order).is_some() => true,
        Value::Array(entries) if entries.len() == 1 && depth > 0 => {
            holds(&entries[0], depth - 1, is_order)
        }
        Value::Object(fields) if depth > 0 => {
            inside(fields).iter().any(|(_, inner)| holds(inner, depth - 1, is_order))
        }
        _ => false,
    }
}

/// The fields of an order that are not sent as an object of fields: answers, JSON in a text, lists
/// of one entry, paths as names.
fn converted(value: &Value, is_order: IsOrder) -> Option<Map<String, Value>> {
    let fields = match value {
        Value::Object(fields) if is_order(fields) => return single_values(fields),
        Value::Object(fields) => unflattened(fields)
            .or_else(|| defined_answers(fields))
            .or_else(|| answers(value))
            .or_else(|| single_values(fields))?,
        Value::Array(_) => answers(value)?,
        value => match json_in_text(value)? {
            Value::Object(fields) => fields,
            list => answers(&list)?,
        },
    };
    is_order(&fields).then_some(fields)
}

/// The fields whose names are paths: `onboarding[services][0]`, `onboarding.business_name`.
fn unflattened(fields: &Map<String, Value>) -> Option<Map<String, Value>> {
    /// Maximum number of steps of a path.
    const MAX_STEPS: usize = 6;
    fn put(fields: &mut Map<String, Value>, steps: &[&str], value: &Value) {
        match steps {
            [] => {}
            [last] => {
                fields.entry(*last).or_insert_with(|| value.clone());
            }
            [first, rest @ ..] => {
                let inner = fields.entry(*first).or_insert_with(|| Value::Object(Map::new()));
                if let Value::Object(inner) = inner {
                    put(inner, rest, value);
                }
            }
        }
    }
    let is_path = |name: &String| {
        name.len() <= 4 * MAX_NAME
            && ((name.contains('[') && name.ends_with(']'))
                || name.starts_with("onboarding.")
                || name.starts_with("order."))
    };
    if !fields.keys().any(is_path) {
        return None;
    }
    let mut whole = Map::new();
    for (name, value) in fields {
        let steps: Vec<&str> = match is_path(name) {
            true => name.split(['[', ']', '.']).filter(|step| !step.is_empty()).collect(),
            false => vec![name.as_str()],
        };
        put(&mut whole, steps.get(..MAX_STEPS.min(steps.len())).unwrap_or_default(), value);
    }
    Some(whole)
}

/// The fields with a list of one entry each, as spreadsheets send the row of a form.
fn single_values(fields: &Map<String, Value>) -> Option<Map<String, Value>> {
    let are_lists = !fields.is_empty() && fields.values().all(Value::is_array);
    let single = |value: &Value| match value.as_array().map(Vec::as_slice) {
        Some([one]) => one.clone(),
        Some([]) => Value::Null,
        _ => value.clone(),
    };
    are_lists.then(|| fields.iter().map(|(name, value)| (name.clone(), single(value))).collect())
}

/// The fields of a list of answers: `[{"name": "business_name", "value": "Joe's"}, …]`, or of an
/// object of them.
fn answers(value: &Value) -> Option<Map<String, Value>> {
    answers_to(value, |_| None)
}

/// The answers of a form that sends its questions beside them, each with its id.
fn defined_answers(fields: &Map<String, Value>) -> Option<Map<String, Value>> {
    let questions = fields.get("definition")?.get("fields")?.as_array()?;
    let texts: HashMap<&str, &str> = questions
        .iter()
        .take(MAX_ANSWERS)
        .filter_map(|question| {
            Some((question.get("id")?.as_str()?, question.get("title")?.as_str()?))
        })
        .collect();
    answers_to(fields.get("answers")?, |id| texts.get(id).copied())
}

/// `asked` is the question of an id.
fn answers_to<'v>(
    value: &'v Value,
    asked: impl Fn(&str) -> Option<&'v str>,
) -> Option<Map<String, Value>> {
    let entries: Vec<&Value> = match value {
        Value::Array(entries) => entries.iter().take(MAX_ANSWERS + 1).collect(),
        Value::Object(entries) => entries.values().take(MAX_ANSWERS + 1).collect(),
        _ => return None,
    };
    if entries.is_empty() || entries.len() > MAX_ANSWERS {
        return None;
    }
    let mut fields = Map::new();
    for entry in entries {
        let entry = entry.as_object()?;
        let name = question(entry, &asked)?;
        let value = answer(entry)?;
        fields.entry(name).or_insert(value);
    }
    Some(fields)
}

/// The name of the field that an answer belongs to: of its texts, the one that names a field.
fn question<'v>(
    entry: &'v Map<String, Value>,
    asked: impl Fn(&str) -> Option<&'v str>,
) -> Option<&'v str> {
    const PLACES: [&str; 10] =
        ["name", "key", "field", "ref", "id", "slug", "label", "title", "heading", "question"];
    let texts = |fields: &'v Map<String, Value>| {
        PLACES.iter().filter_map(|name| fields.get(*name)?.as_str()).collect::<Vec<&'v str>>()
    };
    let mut names = match entry.get("field") {
        Some(Value::Object(field)) => texts(field),
        _ => Vec::new(),
    };
    names.extend(texts(entry));
    let id = names.iter().find_map(|name| asked(name));
    names.extend(id);
    // The text of Jotform is the question.
    names
        .extend(entry.get("text").filter(|_| entry.contains_key("answer")).and_then(Value::as_str));
    let is_known = |name: &&&str| name.len() <= MAX_NAME && KNOWN.contains(&&*meant_name(name));
    names.iter().find(is_known).or(id.as_ref()).or(names.first()).copied()
}

/// What was answered: `None` if the entry is no answer.
fn answer(entry: &Map<String, Value>) -> Option<Value> {
    if let Some(value) = values::typed(entry) {
        return Some(value);
    }
    let value = ["value", "answer", "values", "text", "response"]
        .iter()
        .find_map(|name| entry.get(*name))?;
    Some(values::of_options(entry, value).unwrap_or_else(|| value.clone()))
}

/// The document of a CRM in which the fields of the business are not an object `onboarding`, with
/// such an object, and the pointer to what it was made of. `None` if it needs none.
fn with_section(fields: &Map<String, Value>) -> Option<(String, Map<String, Value>)> {
    if !has(fields, &["order", "onboarding"]) {
        return None;
    }
    let order = field_of(fields, "order");
    let (name, at, business) = SECTIONS.iter().find_map(|wanted| {
        let (name, value) = field_of(fields, wanted)?;
        let (at, business) = business_in(value, MAX_DEPTH)?;
        Some((name, at, business))
    })?;
    let is_plain = name == "onboarding" && at.is_empty() && matches!(business, Cow::Borrowed(_));
    if is_plain && order.is_none_or(|(name, _)| name == "order") {
        return None;
    }
    let mut whole = Map::new();
    for (other, value) in fields.iter().filter(|(other, _)| *other != name) {
        let is_order = order.is_some_and(|(order, _)| order == other);
        whole.insert(if is_order { "order".to_owned() } else { other.clone() }, value.clone());
    }
    whole.insert("onboarding".to_owned(), business.into_owned());
    Some((format!("{}{at}", child("", name)), whole))
}

/// The fields of a business in a section, with their pointer from it.
fn business_in(value: &Value, depth: usize) -> Option<(String, Cow<'_, Value>)> {
    let is_business = |fields: &Map<String, Value>| is_order(fields) || may_be_order(fields);
    match value {
        Value::Object(fields) if is_business(fields) => Some((String::new(), Cow::Borrowed(value))),
        Value::Array(entries) if entries.len() == 1 && depth > 0 => {
            let (at, found) = business_in(&entries[0], depth - 1)?;
            Some((format!("/0{at}"), found))
        }
        value => {
            let fields = converted(value, is_order).or_else(|| converted(value, may_be_order));
            if let Some(fields) = fields {
                return Some((String::new(), Cow::Owned(Value::Object(fields))));
            }
            let fields = value.as_object().filter(|_| depth > 0)?;
            inside(fields).into_iter().find_map(|(name, inner)| {
                let (at, found) = business_in(inner, depth - 1)?;
                Some((format!("{}{at}", child("", name)), found))
            })
        }
    }
}

/// The list or object that a form sent as a text.
pub(super) fn json_in_text(value: &Value) -> Option<Value> {
    let text = value.as_str()?.trim();
    let is_list = text.starts_with('[') && text.ends_with(']');
    let is_object = text.starts_with('{') && text.ends_with('}');
    let is_json = (is_list || is_object) && text.contains('"');
    is_json.then(|| serde_json::from_str::<Value>(text).ok()).flatten()
}
