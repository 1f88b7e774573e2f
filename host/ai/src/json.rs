//! JSON replies: found in the text, parsed strictly, and checked against the schema. The JSON is
//! never modified.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use sitewright_confined::Confined;
use sitewright_json_schema::{self as schema, CheckError, GuardedSchema, MAX_PROBLEMS};
use sitewright_model::message;
use sitewright_model::message::Message;

/// Number of problems of a reply that are reported; further ones are counted.
const REPORTED: usize = 5;

/// Maximum number of code fences after which JSON is searched for.
const MAX_FENCES: usize = 16;

/// A compiled JSON Schema for replies, with its value for the provider. Cheap to clone.
#[derive(Clone)]
pub struct ReplySchema {
    value: Arc<Value>,
    guarded: GuardedSchema,
}

/// The text is not a usable JSON Schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SchemaError(pub Message);

impl From<schema::SchemaError> for SchemaError {
    fn from(error: schema::SchemaError) -> Self {
        SchemaError(Message::or(error.to_string(), message!("the JSON Schema cannot be used")))
    }
}

impl fmt::Debug for ReplySchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReplySchema").field(&self.value).finish()
    }
}

impl ReplySchema {
    /// Maximum size of a schema in bytes.
    pub const MAX_BYTES: usize = 64 * 1024;

    /// Compiles a trusted schema in this process. Its checks have no limits: for schemas of the
    /// operator and of tests.
    ///
    /// # Errors
    /// The text is too long, is not JSON, or is not a schema. The message names the position.
    pub fn compile(text: &str) -> Result<Self, SchemaError> {
        let value = Self::read(text)?;
        Ok(ReplySchema { value, guarded: GuardedSchema::trusted(text)? })
    }

    /// Compiles a schema of the template `template`; see [`GuardedSchema`].
    ///
    /// # Errors
    /// Like [`compile`](Self::compile); or compiling exceeded a limit or failed.
    pub async fn compile_guarded(
        text: String,
        confined: &Confined,
        template: &str,
    ) -> Result<Self, SchemaError> {
        let value = Self::read(&text)?;
        Ok(ReplySchema { value, guarded: GuardedSchema::compile(text, confined, template).await? })
    }

    fn read(text: &str) -> Result<Arc<Value>, SchemaError> {
        if text.len() > Self::MAX_BYTES {
            let max = Self::MAX_BYTES;
            return Err(SchemaError(message!(
                "the JSON Schema has {} bytes; at most {max} are allowed",
                text.len()
            )));
        }
        let value = schema::parse(text)?;
        if !value.is_object() {
            return Err(SchemaError(message!(
                "the JSON Schema is not a JSON object; write {{\"type\": ...}}"
            )));
        }
        Ok(Arc::new(value))
    }

    /// The same schema in a request of another template.
    #[must_use]
    pub(super) fn of_template(self, template: &str) -> Self {
        ReplySchema { guarded: self.guarded.in_lane(template), ..self }
    }

    /// Whether it is small in memory.
    pub(super) fn is_light(&self) -> bool {
        self.guarded.is_light()
    }

    pub fn value(&self) -> &Value {
        &self.value
    }

    /// Why a JSON text is not valid: the first problems and the number of the others. `None` if it
    /// is valid.
    ///
    /// # Errors
    /// The check exceeded a limit, missed the deadline or failed.
    pub(super) async fn problems(
        &self,
        json: &str,
        deadline: Instant,
    ) -> Result<Option<String>, CheckError> {
        let problems = self.guarded.check(json, Some(deadline)).await?;
        if problems.is_empty() {
            return Ok(None);
        }
        let reported: Vec<String> = problems
            .iter()
            .take(REPORTED)
            .map(|problem| format!("{} at {}", short(&problem.message), position(&problem.pointer)))
            .collect();
        let more = match problems.len().saturating_sub(REPORTED) {
            0 => String::new(),
            more if problems.len() == MAX_PROBLEMS => format!("; and at least {more} more"),
            more => format!("; and {more} more"),
        };
        Ok(Some(format!("{}{more}", reported.join("; "))))
    }
}

/// A JSON pointer in a message.
fn position(pointer: &str) -> String {
    if pointer.is_empty() { "the top".to_owned() } else { format!("`{}`", short(pointer)) }
}

/// Shortens texts of the model, such as field names, in messages.
fn short(text: &str) -> String {
    match text.char_indices().nth(300) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// The JSON of a reply, unchanged.
///
/// The whole text is tried first. A model without JSON mode may wrap the JSON in prose or a code
/// fence: then the first balanced object or array is used, after a fence if there is one. JSON is
/// not repaired, and a part of an incomplete value is never used instead of the value.
///
/// # Errors
/// Why the reply contains no JSON, or invalid JSON.
pub(super) fn extract(reply: &str) -> Result<&str, String> {
    let reply = reply.trim_start_matches('\u{feff}').trim();
    match is_json(reply) {
        Ok(()) => Ok(reply),
        Err(whole) => find(reply).map_err(|found| found.unwrap_or_else(|| whole.to_string())),
    }
}

/// Parses a text as strictly as [`Value`] does, without building the value: one of a few megabytes
/// would take hundreds.
fn is_json(text: &str) -> serde_json::Result<()> {
    serde_json::from_str::<Parsed>(text).map(drop)
}

struct Parsed;

impl<'de> Deserialize<'de> for Parsed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Parsed)
    }
}

impl<'de> Visitor<'de> for Parsed {
    type Value = Parsed;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Parsed, E> {
        Ok(Parsed)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Parsed, E> {
        Ok(Parsed)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Parsed, E> {
        Ok(Parsed)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Parsed, E> {
        Ok(Parsed)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Parsed, E> {
        Ok(Parsed)
    }

    fn visit_str<E>(self, _: &str) -> Result<Parsed, E> {
        Ok(Parsed)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Parsed, A::Error> {
        while entries.next_element::<Parsed>()?.is_some() {}
        Ok(Parsed)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Parsed, A::Error> {
        while fields.next_entry::<Parsed, Parsed>()?.is_some() {}
        Ok(Parsed)
    }
}

/// The first balanced value that is valid JSON; otherwise the error of the first one.
fn find(reply: &str) -> Result<&str, Option<String>> {
    // A line cannot begin with a fence inside JSON, where line ends are escaped.
    let fences = reply
        .match_indices("```")
        .filter(|(at, _)| reply[..*at].trim_end_matches([' ', '\t']).ends_with('\n') || *at == 0);
    let after_fence = fences.filter_map(|(at, _)| reply[at..].find('\n').map(|line| at + line + 1));
    let mut first_problem = None;
    for start in after_fence.take(MAX_FENCES).chain([0]) {
        let mut from = start;
        while let Some(open) = reply[from..].find(['{', '[']).map(|at| from + at) {
            let Some(length) = balanced(&reply.as_bytes()[open..]) else {
                return Err(Some("the JSON ends early".to_owned()));
            };
            let region = &reply[open..open + length];
            match is_json(region) {
                Ok(()) => return Ok(region),
                Err(error) => {
                    first_problem.get_or_insert_with(|| error.to_string());
                }
            }
            from = open + length;
        }
    }
    Err(first_problem)
}

/// The length of the bracketed region at the beginning, ignoring brackets in strings; `None` if it
/// is incomplete.
fn balanced(bytes: &[u8]) -> Option<usize> {
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut escaped = false;
    for (index, byte) in bytes.iter().enumerate() {
        match (in_string, *byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (true, b'"') => in_string = false,
            (true, _) => {}
            (false, b'"') => in_string = true,
            (false, b'{' | b'[') => depth += 1,
            (false, b'}' | b']') => {
                depth -= 1;
                if depth == 0 {
                    return Some(index + 1);
                }
            }
            (false, _) => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::extract;

    proptest::proptest! {
        /// A value is found unchanged, whatever its strings contain, and never a part of it
        /// instead.
        #[test]
        fn e6_a_value_is_found_whole_or_not_at_all(
            text in "(```|[{}\\[\\]\"\\\\\n ]|[a-zé]){0,40}", before in "[A-Za-z .:\n]{0,20}", cut in 1_usize..60,
        ) {
            let json = serde_json::json!({"a": [text, {"b": text}], "c": text}).to_string();
            for reply in [
                json.clone(),
                format!("{before}{json} and so on."),
                format!("{before}\n```json\n{json}\n```\nThere it is."),
            ] {
                assert_eq!(extract(&reply), Ok(json.as_str()));
            }
            let end = json.floor_char_boundary(json.len() - cut.min(json.len() - 1));
            let early = format!("{before}{}", &json[..end]);
            assert!(extract(&early).is_err(), "{early}");
        }
    }
}
