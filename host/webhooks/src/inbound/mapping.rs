//! From what a sender sent to an order document, by JSON pointers (RFC 6901).

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use sitewright_model::message;
use sitewright_model::message::Message;

use super::config::HookConfig;

/// Maximum number of fields of `map`.
const MAX_FIELDS: usize = 200;

/// Where the parts of the order document are in a body.
#[derive(Debug, Clone)]
pub(super) struct Mapping {
    id: Option<String>,
    /// `None` if the document has the fields of `map` only.
    document: Option<String>,
    map: BTreeMap<String, String>,
    due: Option<String>,
}

impl Mapping {
    /// # Errors
    /// The key that is wrong, and why.
    pub(super) fn new(config: &HookConfig) -> Result<Self, (&'static str, Message)> {
        let HookConfig { id, document, map, due, .. } = config;
        for (key, pointer) in [("id", id), ("document", document), ("due", due)] {
            if pointer.as_deref().is_some_and(|pointer| !is_pointer(pointer)) {
                let why = message!("is not a JSON pointer; write it like /order/number");
                return Err((key, why));
            }
        }
        if map.len() > MAX_FIELDS {
            let why = message!("has {} fields, and can have at most {MAX_FIELDS}", map.len());
            return Err(("map", why));
        }
        if let Some((field, _)) = map.iter().find(|(_, pointer)| !is_pointer(pointer)) {
            let why = message!(
                "has {field:?} with a value that is not a JSON pointer; write it like /company/name"
            );
            return Err(("map", why));
        }
        let has_id = id.is_some() || document.is_some() || map.is_empty() || map.contains_key("id");
        if !has_id {
            return Err(("id", message!("is missing: `map` has no field `id`")));
        }
        let whole = map.is_empty().then(String::new);
        let document = document.clone().or(whole);
        Ok(Mapping { id: id.clone(), document, map: map.clone(), due: due.clone() })
    }

    /// Whether the body is the document.
    pub(super) fn is_whole(&self) -> bool {
        self.document.as_deref() == Some("") && self.id.is_none() && self.map.is_empty()
    }

    pub(super) fn due(&self) -> Option<&str> {
        self.due.as_deref()
    }

    /// Whether what is at this place of a body becomes a part of the order, or has a part of it
    /// inside.
    pub(super) fn reads(&self, place: &str) -> bool {
        let mut own = self.map.values().chain(&self.id).chain(&self.document).chain(&self.due);
        own.any(|own| is_in(own, place) || is_in(place, own))
    }

    /// # Errors
    /// What of the body is missing.
    pub(super) fn document(&self, body: &Value) -> Result<Vec<u8>, Message> {
        let mut document = match &self.document {
            None => Map::new(),
            Some(pointer) => match body.pointer(pointer) {
                Some(Value::Object(document)) => document.clone(),
                // Some senders have fields of text only, and write JSON into them.
                Some(Value::String(text)) => serde_json::from_str(text).map_err(|error| {
                    // Of JSON with another type serde quotes the value, which is a customer's.
                    match error.is_data() {
                        true => message!("what is at {pointer:?} is not a JSON object"),
                        false => message!("what is at {pointer:?} is not a JSON object: {error}"),
                    }
                })?,
                Some(_) => return Err(message!("what is at {pointer:?} is not a JSON object")),
                None => {
                    return Err(message!("there is nothing at {pointer:?}, where the document is"));
                }
            },
        };
        for (field, pointer) in &self.map {
            if let Some(value) = body.pointer(pointer) {
                document.insert(field.clone(), value.clone());
            }
        }
        if let Some(pointer) = &self.id {
            let id = body.pointer(pointer).filter(|id| !id.is_null());
            let id = id.ok_or_else(|| message!("there is no id of an order at {pointer:?}"))?;
            document.insert("id".to_owned(), id.clone());
        }
        Ok(Value::Object(document).to_string().into_bytes())
    }
}

/// Whether a pointer leads to a place, or to something inside of it.
fn is_in(pointer: &str, place: &str) -> bool {
    pointer.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// RFC 6901: empty, or `/` before each part; `~` only in `~0` and `~1`.
fn is_pointer(text: &str) -> bool {
    let escapes = text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    escapes && (text.is_empty() || text.starts_with('/'))
}
