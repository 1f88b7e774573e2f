//! JSON replies: found in the text, parsed strictly, and checked against the schema. The JSON is
//! never modified.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use sitewright_json_schema::{self as schema, CompiledSchema, MAX_PROBLEMS};
use sitewright_model::message;
use sitewright_model::message::Message;

/// Number of problems of a reply that are reported; further ones are counted.
const REPORTED: usize = 5;

/// Maximum number of code fences after which JSON is searched for.
const MAX_FENCES: usize = 16;

/// A compiled JSON Schema for replies, with its value for the provider. Cheap to clone.
#[derive(Clone)]
pub struct ReplySchema {
    inner: Arc<Inner>,
}

struct Inner {
    value: Value,
    compiled: CompiledSchema,
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
        f.debug_tuple("ReplySchema").field(&self.inner.value).finish()
    }
}

impl ReplySchema {
    /// Maximum size of a schema in bytes.
    pub const MAX_BYTES: usize = 64 * 1024;

    /// Compiles a schema; see [`CompiledSchema`].
    ///
    /// # Errors
    /// The text is too long, is not JSON, or is not a schema. The message names the position.
    pub fn compile(text: &str) -> Result<Self, SchemaError> {
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
        let compiled = CompiledSchema::of(&value)?;
        Ok(ReplySchema { inner: Arc::new(Inner { value, compiled }) })
    }

    /// Whether the check of a reply of this size is quick; see [`CompiledSchema::is_quick`].
    pub(super) fn is_quick(&self, bytes: usize) -> bool {
        self.inner.compiled.is_quick(bytes)
    }

    pub fn value(&self) -> &Value {
        &self.inner.value
    }

    /// Why the value is not valid: the first problems and the number of the others. `None` if it is
    /// valid.
    fn problems(&self, value: &Value) -> Option<String> {
        let problems = self.inner.compiled.check(value);
        if problems.is_empty() {
            return None;
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
        Some(format!("{}{more}", reported.join("; ")))
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

/// Why a reply is not usable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum JsonProblem {
    /// The reply contains no JSON, or invalid JSON.
    Malformed(String),
    /// The JSON is not valid against the schema.
    Mismatch(String),
}

/// The JSON of a reply, unchanged.
///
/// The whole text is tried first. A model without JSON mode may wrap the JSON in prose or a code
/// fence: then the first balanced object or array is used, after a fence if there is one. JSON is
/// not repaired, and a part of an incomplete value is never used instead of the value.
pub(super) fn extract<'a>(
    reply: &'a str,
    schema: Option<&ReplySchema>,
) -> Result<&'a str, JsonProblem> {
    let reply = reply.trim_start_matches('\u{feff}').trim();
    let (text, value) = match serde_json::from_str::<Value>(reply) {
        Ok(value) => (reply, value),
        Err(whole) => find(reply)
            .map_err(|found| JsonProblem::Malformed(found.unwrap_or_else(|| whole.to_string())))?,
    };
    match schema.and_then(|schema| schema.problems(&value)) {
        None => Ok(text),
        Some(problems) => Err(JsonProblem::Mismatch(problems)),
    }
}

/// The first balanced value that is valid JSON; otherwise the error of the first one.
fn find(reply: &str) -> Result<(&str, Value), Option<String>> {
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
            match serde_json::from_str(region) {
                Ok(value) => return Ok((region, value)),
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
    use super::{JsonProblem, extract};

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
                assert_eq!(extract(&reply, None), Ok(json.as_str()));
            }
            let end = json.floor_char_boundary(json.len() - cut.min(json.len() - 1));
            let early = format!("{before}{}", &json[..end]);
            assert!(matches!(extract(&early, None), Err(JsonProblem::Malformed(_))), "{early}");
        }
    }
}
