//! Values as databases, CRMs and form builders wrap them: with their type, or with the question
//! that they answer.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::envelope::json_in_text;
use super::extra;
use super::fields::{is_empty, meant_name};
use crate::child;

/// Maximum nesting of typed values. Real ones have less than 5.
const MAX_DEPTH: usize = 16;
/// Maximum number of options of a question.
const MAX_OPTIONS: usize = 1_000;

/// What a wrapped value is without its wrapping; `None` if it is not wrapped.
pub(super) fn plain(value: &Value) -> Option<Value> {
    plain_at(value, MAX_DEPTH)
}

fn plain_at(value: &Value, depth: usize) -> Option<Value> {
    // A field of a form: `{"id": "business_name", "type": "text", "value": "Joe's", …}`. One with
    // fewer parts may be any object.
    const PARTS: [&str; 6] =
        ["raw_value", "required", "timestamp", "source", "sourceId", "versions"];
    let fields = value.as_object().filter(|_| depth > 0)?;
    if fields.len() == 1 {
        let (name, value) = fields.iter().next()?;
        return of_database(name, value, depth - 1);
    }
    let is_field =
        fields.contains_key("value") && PARTS.iter().any(|part| fields.contains_key(*part));
    if is_field {
        let list = fields.get("raw_value").filter(|value| value.is_array());
        return list.or_else(|| fields.get("value")).cloned();
    }
    // A secret keeps the name that says so.
    let kind = fields.get("type").and_then(Value::as_str).unwrap_or_default();
    let is_secret = fields.get(kind).is_some_and(|value| extra::is_secret(kind, value));
    typed(fields).filter(|_| !is_secret)
}

/// The value of a document database, which has its type for a name: `{"stringValue": "Joe's"}`,
/// `{"S": "Joe's"}`, `{"$numberInt": "7"}`.
fn of_database(name: &str, value: &Value, depth: usize) -> Option<Value> {
    let inner = |value: &Value| plain_at(value, depth).unwrap_or_else(|| value.clone());
    let list = |value: &Value| Some(value.as_array()?.iter().map(inner).collect::<Value>());
    let object = |value: &Value| -> Option<Value> {
        let fields = value.as_object()?.iter();
        Some(Value::Object(fields.map(|(name, value)| (name.clone(), inner(value))).collect()))
    };
    let is_scalar = !value.is_array() && !value.is_object();
    match name {
        "stringValue" | "integerValue" | "doubleValue" | "booleanValue" | "timestampValue"
        | "$oid" | "$numberInt" | "$numberLong" | "$numberDouble" | "$numberDecimal" | "$date"
            if is_scalar =>
        {
            Some(value.clone())
        }
        "nullValue" => Some(Value::Null),
        "arrayValue" => list(value.get("values")?),
        "mapValue" => object(value.get("fields")?),
        "S" | "N" if value.is_string() => Some(value.clone()),
        "BOOL" if value.is_boolean() => Some(value.clone()),
        "NULL" if value.is_boolean() => Some(Value::Null),
        "L" | "SS" | "NS" => list(value),
        "M" => object(value),
        _ => None,
    }
}

/// The value of an object whose `type` is the name of the field that has it: of an answer, or of a
/// property of a table: `{"type": "email", "email": "office@example.com"}`.
pub(super) fn typed(fields: &Map<String, Value>) -> Option<Value> {
    const NAMES: [&str; 7] = ["label", "name", "plain_text", "content", "url", "start", "other"];
    const BESIDE: [&str; 6] = ["type", "id", "field", "ref", "name", "key"];
    let kind = fields.get("type")?.as_str()?;
    let value = fields.get(kind)?;
    // An address may have a type, too: `{"type": "street", "street": "1 High St", "city": "Bath"}`.
    if !fields.keys().all(|name| name == kind || BESIDE.contains(&name.as_str())) {
        return None;
    }
    let named = |fields: &Map<String, Value>| {
        NAMES.iter().find_map(|name| fields.get(*name).filter(|value| value.is_string())).cloned()
    };
    let of_file = |fields: &Map<String, Value>| {
        ["file", "external"].iter().find_map(|name| fields.get(*name)?.get("url").cloned())
    };
    let one = |value: &Value| match value {
        Value::Object(fields) => of_file(fields).or_else(|| named(fields)),
        value => Some(value.clone()),
    };
    match value {
        // The pieces of a text.
        Value::Array(pieces) if matches!(kind, "title" | "rich_text") => {
            let text: String =
                pieces.iter().filter_map(|piece| piece.get("plain_text")?.as_str()).collect();
            Some(Value::from(text))
        }
        Value::Array(entries) => Some(entries.iter().filter_map(one).collect()),
        Value::Object(inner) => match inner.get("labels") {
            Some(labels @ Value::Array(_)) => Some(labels.clone()),
            _ => one(value),
        },
        value => Some(value.clone()),
    }
}

/// The texts of the options that were chosen, of an answer that has their ids; `None` if the
/// answer has no such options.
pub(super) fn of_options(entry: &Map<String, Value>, value: &Value) -> Option<Value> {
    let options = entry.get("options")?.as_array()?;
    let texts: HashMap<&str, &str> = options
        .iter()
        .take(MAX_OPTIONS)
        .filter_map(|option| {
            let text =
                ["text", "label", "name"].iter().find_map(|name| option.get(*name)?.as_str());
            Some((option.get("id")?.as_str()?, text?))
        })
        .collect();
    let text = |value: &Value| Some(Value::from(*texts.get(value.as_str()?)?));
    match value {
        Value::Array(chosen) => chosen.iter().map(text).collect::<Option<Value>>(),
        value => text(value),
    }
}

/// The fields of a business without wrappings.
pub(super) struct Unpacked {
    pub(super) fields: Map<String, Value>,
    /// The pointers, from the object, of the fields that were in a section of it.
    pub(super) moved: HashMap<String, String>,
}

/// The fields of a business with the lists and objects that a form sent as a text
/// (`"[\"Cut\", \"Colour\"]"`), without wrappings, and with those of sections such as `contact`;
/// `None` if there is nothing to do.
pub(super) fn unpacked(fields: &Map<String, Value>) -> Option<Unpacked> {
    let mut found: Option<Map<String, Value>> = None;
    for (name, value) in fields {
        let Some(value) = unpacked_value(name, value) else { continue };
        let unpacked = found.get_or_insert_with(|| fields.clone());
        unpacked.insert(name.clone(), value);
    }
    let moved = move_sections(found.as_ref().unwrap_or(fields));
    match moved {
        Some(unpacked) => Some(unpacked),
        None => Some(Unpacked { fields: found?, moved: HashMap::new() }),
    }
}

/// What the value of a field is without its wrappings; `None` if it has none.
fn unpacked_value(name: &str, value: &Value) -> Option<Value> {
    // What is in `extra` is for templates, as it was sent.
    let inner = |value: &Value| {
        let is_read = name != "extra";
        is_read.then(|| unwrapped(value, false, MAX_DEPTH)).flatten()
    };
    let first = json_in_text(value).or_else(|| plain(value));
    let second = inner(first.as_ref().unwrap_or(value));
    // `{"value": "[\"Cut\", \"Colour\"]"}`
    let third = second.as_ref().and_then(json_in_text);
    third.or(second).or(first)
}

/// A value without the objects that wrap it, or wrap a part of it, and say nothing else:
/// `{"value": "Bath"}`. `None` if there are none. An entry of a list may have a text or a label and
/// be more than that: a quote, a price.
fn unwrapped(value: &Value, is_entry: bool, depth: usize) -> Option<Value> {
    let depth = depth.checked_sub(1)?;
    match value {
        Value::Object(fields) => {
            if let Some(inner) = only_value(fields, is_entry) {
                return Some(unwrapped(inner, is_entry, depth).unwrap_or_else(|| inner.clone()));
            }
            let mut changed: Option<Map<String, Value>> = None;
            for (name, value) in fields {
                if let Some(value) = unwrapped(value, false, depth) {
                    changed.get_or_insert_with(|| fields.clone()).insert(name.clone(), value);
                }
            }
            changed.map(Value::Object)
        }
        Value::Array(entries) => {
            let mut changed: Option<Vec<Value>> = None;
            for (index, entry) in entries.iter().enumerate() {
                if let Some(entry) = unwrapped(entry, true, depth) {
                    changed.get_or_insert_with(|| entries.clone())[index] = entry;
                }
            }
            changed.map(Value::Array)
        }
        _ => None,
    }
}

/// The value in an object that has nothing else, or its label.
fn only_value(fields: &Map<String, Value>, is_entry: bool) -> Option<&Value> {
    const NAMES: [&str; 4] = ["value", "val", "answer", "text"];
    let names = if is_entry { &NAMES[..3] } else { &NAMES[..] };
    let (name, value) = fields.iter().find(|(name, _)| names.contains(&name.as_str()))?;
    match fields.len() {
        1 => Some(value),
        2 if !is_entry && name != "text" => fields.contains_key("label").then_some(value),
        _ => None,
    }
}

/// The sections in which forms group fields, and what the names in each mean.
type SectionField = fn(&str) -> Option<&'static str>;
const SECTIONS: &[(&str, SectionField)] = &[
    ("contact", of_contact),
    ("contact_info", of_contact),
    ("contact_details", of_contact),
    ("branding", of_branding),
    ("brand", of_branding),
    ("colors", of_branding),
    ("theme", of_branding),
    ("social", of_social),
    ("socials", of_social),
    ("social_media", of_social),
    ("social_links", of_social),
    ("social_profiles", of_social),
];

fn of_contact(name: &str) -> Option<&'static str> {
    Some(match name {
        "phone" | "phone_number" | "telephone" | "mobile" | "business_phone" => "business_phone",
        "email" | "email_address" | "business_email" => "business_email",
        "whatsapp" | "whatsapp_number" => "whatsapp_number",
        "address" | "business_address" => "business_address",
        "city" | "primary_city" => "primary_city",
        "site_url" => "site_url",
        _ => return None,
    })
}

fn of_branding(name: &str) -> Option<&'static str> {
    Some(match name {
        "primary" | "primary_color" => "primary_color",
        "secondary" | "secondary_color" => "secondary_color",
        "accent" | "accent_color" => "accent_color",
        "logo" | "logo_url" => "logo_url",
        "tone" => "tone",
        _ => return None,
    })
}

fn of_social(name: &str) -> Option<&'static str> {
    Some(match name {
        "facebook" | "social_facebook" => "social_facebook",
        "instagram" | "social_instagram" => "social_instagram",
        "linkedin" | "social_linkedin" => "social_linkedin",
        "youtube" | "social_youtube" => "social_youtube",
        "tiktok" | "social_tiktok" => "social_tiktok",
        "x" | "twitter" | "social_x" => "social_x",
        "threads" | "social_threads" => "social_threads",
        "pinterest" | "social_pinterest" => "social_pinterest",
        "telegram" | "social_telegram" => "social_telegram",
        "tripadvisor" | "social_tripadvisor" => "social_tripadvisor",
        "yelp" | "social_yelp" => "social_yelp",
        _ => return None,
    })
}

/// The fields with those of their sections; what a section has besides stays in it. `None` if there
/// is nothing to move.
fn move_sections(fields: &Map<String, Value>) -> Option<Unpacked> {
    /// Maximum length of the name of a section or of a field in it, in bytes.
    const MAX_NAME: usize = 60;
    /// Maximum number of entries of a section.
    const MAX_FIELDS: usize = 100;
    /// Names of a field for the name of a person.
    const PERSON: [&str; 4] = ["name", "first_name", "last_name", "full_name"];
    let mut unpacked: Option<Unpacked> = None;
    // The fields that are beside the sections, in whatever way their names are written.
    let mut beside: Option<HashSet<&'static str>> = None;
    for (section, value) in fields.iter().filter(|(name, _)| name.len() <= MAX_NAME) {
        let meant = meant_name(section);
        let Some((_, field_of)) = SECTIONS.iter().find(|(name, _)| *name == meant) else {
            continue;
        };
        // A person may be whom the CRM talks to, and not whom visitors write to.
        let is_person =
            |name: &String| name.len() <= MAX_NAME && PERSON.contains(&&*meant_name(name));
        if value.as_object().is_some_and(|inner| inner.keys().take(MAX_FIELDS).any(is_person)) {
            continue;
        }
        // Each with its pointer from the section.
        let inner: Vec<(String, String, Value)> = match value {
            Value::Object(inner) => inner
                .iter()
                .take(MAX_FIELDS)
                .filter(|(name, _)| name.len() <= MAX_NAME)
                .filter_map(|(name, value)| {
                    let field = field_of(&meant_name(name))?;
                    Some((field.to_owned(), name.clone(), value.clone()))
                })
                .collect(),
            Value::Array(entries) => entries
                .iter()
                .take(MAX_FIELDS)
                .enumerate()
                .filter_map(|(index, entry)| {
                    let (field, value) = listed_profile(entry)?;
                    Some((field.to_owned(), index.to_string(), value))
                })
                .collect(),
            // `https://instagram.com/alpha, https://facebook.com/alpha`
            Value::String(text) => {
                let parts = text.split([',', ';', ' ', '\n']).filter(|part| !part.is_empty());
                let profiles = parts.take(MAX_FIELDS).map(|part| {
                    let (field, value) = listed_profile(&Value::from(part))?;
                    Some((field.to_owned(), String::new(), value))
                });
                // One that is no profile leaves the text as it is.
                profiles.collect::<Option<_>>().unwrap_or_default()
            }
            _ => continue,
        };
        let target = unpacked
            .get_or_insert_with(|| Unpacked { fields: fields.clone(), moved: HashMap::new() });
        let beside = beside.get_or_insert_with(|| {
            let said = fields
                .iter()
                .filter(|(name, value)| name.len() <= MAX_NAME && !is_empty(value))
                .map(|(name, _)| meant_name(name));
            said.flat_map(|name| [of_contact(&name), of_branding(&name), of_social(&name)])
                .flatten()
                .collect()
        });
        let mut left = value.clone();
        let mut taken = Vec::new();
        let sent = inner.len();
        for (field, key, value) in inner {
            // What is beside the section counts, and what was there before.
            let is_moved = target.moved.contains_key(&field);
            if is_moved || beside.contains(field.as_str()) {
                continue;
            }
            let at = child("", section);
            let at = if key.is_empty() { at } else { child(&at, &key) };
            target.moved.insert(field.clone(), at);
            target.fields.insert(field, value);
            taken.push(key);
        }
        match &mut left {
            Value::Object(left) => left.retain(|name, _| !taken.contains(name)),
            Value::Array(left) => {
                let mut index = 0;
                left.retain(|_| {
                    let is_left = !taken.contains(&index.to_string());
                    index += 1;
                    is_left
                });
            }
            left if !taken.is_empty() && taken.len() == sent => *left = Value::Null,
            _ => {}
        }
        if is_empty(&left) {
            target.fields.remove(section);
        } else {
            target.fields.insert(section.clone(), left);
        }
    }
    unpacked.filter(|unpacked| !unpacked.moved.is_empty())
}

/// The field and the address of an entry in a list of profiles: an address, or an object with one.
fn listed_profile(entry: &Value) -> Option<(&'static str, Value)> {
    let address = match entry {
        Value::Object(fields) => ["url", "link", "href", "value", "handle", "username"]
            .iter()
            .find_map(|name| fields.get(*name)),
        value => Some(value),
    };
    let address = address?.as_str()?;
    let named = entry.as_object().and_then(|fields| {
        let name = ["platform", "network", "type", "name", "label"]
            .iter()
            .find_map(|name| fields.get(*name)?.as_str())?;
        of_social(&meant_name(name.get(..60).unwrap_or(name)))
    });
    let field = named.or_else(|| crate::link::network_of(address))?;
    Some((field, Value::from(address)))
}
