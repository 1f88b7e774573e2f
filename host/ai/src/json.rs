//! JSON replies: found in the text without changing a letter, parsed strictly, checked against the
//! schema.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use sitewright_json_schema::{self as schema, CompiledSchema, MAX_PROBLEMS};
use sitewright_model::message;
use sitewright_model::message::Message;

/// Problems of one reply that are told; the rest is only counted.
const TOLD: usize = 5;

/// Places after a code fence where JSON is looked for.
const MAX_FENCES: usize = 16;

/// A JSON Schema that replies are checked against, and its text for the provider. Cheap to clone.
#[derive(Clone)]
pub struct ReplySchema {
    inner: Arc<Inner>,
}

struct Inner {
    value: Value,
    compiled: CompiledSchema,
}

/// A text that is no usable JSON Schema.
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
    /// Most bytes of a schema.
    pub const MAX_BYTES: usize = 64 * 1024;

    /// Compiles a schema; see [`CompiledSchema`].
    ///
    /// # Errors
    /// When the text is too long, is not JSON, or is no schema; the message names the place.
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
                "the JSON Schema is no JSON object; write {{\"type\": ...}}"
            )));
        }
        let compiled = CompiledSchema::of(&value)?;
        Ok(ReplySchema { inner: Arc::new(Inner { value, compiled }) })
    }

    /// Whether a reply of so many bytes is checked in no time; see [`CompiledSchema::is_quick`].
    pub(super) fn is_quick(&self, bytes: usize) -> bool {
        self.inner.compiled.is_quick(bytes)
    }

    /// The schema.
    pub fn value(&self) -> &Value {
        &self.inner.value
    }

    /// What of the value the schema does not accept: the first problems and the number of the
    /// others.
    fn problems(&self, value: &Value) -> Option<String> {
        let problems = self.inner.compiled.check(value);
        if problems.is_empty() {
            return None;
        }
        let told: Vec<String> = problems
            .iter()
            .take(TOLD)
            .map(|problem| format!("{} at {}", short(&problem.message), place(&problem.pointer)))
            .collect();
        let more = match problems.len().saturating_sub(TOLD) {
            0 => String::new(),
            more if problems.len() == MAX_PROBLEMS => format!("; and at least {more} more"),
            more => format!("; and {more} more"),
        };
        Some(format!("{}{more}", told.join("; ")))
    }
}

/// A JSON pointer for people.
fn place(pointer: &str) -> String {
    if pointer.is_empty() { "the top".to_owned() } else { format!("`{}`", short(pointer)) }
}

/// Field names in problems are the model's, and may be long.
fn short(text: &str) -> String {
    match text.char_indices().nth(300) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// Why a reply is of no use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum JsonProblem {
    /// There is no JSON in it, or the JSON is wrong.
    Malformed(String),
    /// The schema does not accept it.
    Mismatch(String),
}

/// The JSON of a reply, letter for letter as the model wrote it.
///
/// The whole text is tried first. A model without JSON mode wraps its JSON in prose or a code
/// fence: then the first balanced object or array counts, after a fence if there is one. Nothing is
/// repaired, and what stands inside a broken value is never taken for the value: JSON that ends
/// early is an error, not its first complete part.
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

/// The first balanced value that parses; otherwise why the first one did not.
fn find(reply: &str) -> Result<(&str, Value), Option<String>> {
    // A line that begins with a fence is never inside JSON: there, line ends are escaped.
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

/// The length of the bracketed region that begins here, strings respected; nothing when it does not
/// end.
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
        /// Whatever stands in the strings of a value - fences, brackets, quotes - it is found letter for letter, and its
        /// beginning alone is never taken for it.
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
