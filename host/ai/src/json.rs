//! JSON replies: found in the text, parsed strictly, and checked against the schema.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use sitewright_json_schema::{self as schema, CompiledSchema, MAX_PROBLEMS, Problem, unique};
use sitewright_model::message;
use sitewright_model::message::Message;

/// Number of problems of a reply that are reported; further ones are counted.
const REPORTED: usize = 5;

/// Maximum number of brackets that begin no value: each is tried, and a trial may read the rest.
const MAX_FAILED: usize = 32;

/// Maximum number of values in a reply.
const MAX_FOUND: usize = 100;

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

    fn fits(&self, value: &Value) -> bool {
        self.inner.compiled.check(value).is_empty()
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

/// The JSON of a reply.
///
/// The whole text is tried first. A model without JSON mode may wrap the JSON in prose, a code
/// fence or a list of citations: then the value that the schema accepts is used, wherever it
/// stands; without a schema the longest one. JSON is not repaired, and a part of an incomplete
/// value is never used instead of the value.
///
/// The text is returned as it is, except that with a schema an integer that is written as a float
/// (`5.0`, `4e1`) is written as an integer: JSON Schema accepts both, and the types of programming
/// languages do not. For the same reason a field that is given twice is a problem.
pub(super) fn extract<'a>(
    reply: &'a str,
    schema: Option<&ReplySchema>,
) -> Result<Cow<'a, str>, JsonProblem> {
    let reply = reply.trim_start_matches('\u{feff}').trim();
    let found = match unique::parse(reply) {
        Ok(parsed) => vec![Found::of(reply, parsed).map_err(JsonProblem::Malformed)?],
        Err(whole) => candidates(reply)
            .map_err(|found| JsonProblem::Malformed(found.unwrap_or_else(|| whole.to_string())))?,
    };
    let longest = found.iter().max_by_key(|found| found.text.len());
    let Some(schema) = schema else {
        return longest
            .map(|found| Cow::Borrowed(found.text))
            .ok_or_else(|| JsonProblem::Malformed(NO_JSON.into()));
    };
    let mut fitting = found.iter().filter(|found| schema.fits(&found.value));
    match (fitting.next_back(), longest) {
        (Some(last), _) if fitting.all(|other| other.value == last.value) => Ok(last.canonical()),
        (Some(_), _) => Err(JsonProblem::Malformed(
            "it has more than one value that the schema accepts, and they differ".to_owned(),
        )),
        (None, longest) => {
            let problems = longest.and_then(|longest| schema.problems(&longest.value));
            Err(JsonProblem::Mismatch(problems.unwrap_or_else(|| NO_JSON.to_owned())))
        }
    }
}

const NO_JSON: &str = "it has no JSON";

/// A JSON value in a reply.
struct Found<'a> {
    text: &'a str,
    value: Value,
}

impl<'a> Found<'a> {
    /// # Errors
    /// If a field is given twice.
    fn of(text: &'a str, parsed: (Value, Vec<Problem>)) -> Result<Self, String> {
        let (value, duplicates) = parsed;
        match duplicates.first() {
            None => Ok(Found { text, value }),
            Some(twice) => Err(format!("{} {}", position(&twice.pointer), short(&twice.message))),
        }
    }

    /// The text with each integer as an integer.
    fn canonical(&self) -> Cow<'a, str> {
        let mut value = self.value.clone();
        if integers(&mut value) { Cow::Owned(value.to_string()) } else { Cow::Borrowed(self.text) }
    }
}

/// Rewrites floats that are integers, up to 2^53, and returns whether there was one.
fn integers(value: &mut Value) -> bool {
    const MAX: f64 = 9_007_199_254_740_992.0;
    match value {
        Value::Number(number) if number.is_f64() => {
            let Some(float) = number.as_f64() else { return false };
            if float.fract() != 0.0 || float.abs() > MAX {
                return false;
            }
            #[allow(clippy::cast_possible_truncation, reason = "checked above")]
            let integer = float as i64;
            *value = integer.into();
            true
        }
        // No short cut: all of them are rewritten.
        Value::Array(list) => list.iter_mut().fold(false, |any, entry| integers(entry) | any),
        Value::Object(fields) => {
            fields.values_mut().fold(false, |any, entry| integers(entry) | any)
        }
        _ => false,
    }
}

/// All values in a text that is not JSON as a whole, in order; otherwise the first problem.
fn candidates(reply: &str) -> Result<Vec<Found<'_>>, Option<String>> {
    let mut found = Vec::new();
    let mut first_problem = None;
    let mut failed = 0;
    let mut from = 0;
    while let Some(open) = reply[from..].find(['{', '[']).map(|at| from + at) {
        let rest = &reply[open..];
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
        let parsed = values.next();
        if !matches!(parsed, Some(Ok(_))) {
            failed += 1;
        }
        match parsed {
            Some(Ok(_)) => {
                let text = &rest[..values.byte_offset()];
                match unique::parse(text)
                    .map_err(|error| error.to_string())
                    .and_then(|parsed| Found::of(text, parsed))
                {
                    Ok(value) => found.push(value),
                    Err(problem) => {
                        first_problem.get_or_insert(problem);
                    }
                }
                from = open + text.len();
            }
            // A value that is broken or cut: no part of it may be used.
            Some(Err(error)) if begins_as_value(rest) => match balanced(rest.as_bytes()) {
                Some(length) => {
                    first_problem.get_or_insert_with(|| error.to_string());
                    from = open + length;
                }
                None => return Err(Some("the JSON ends early".to_owned())),
            },
            // A bracket of the prose.
            _ => from = open + 1,
        }
        if failed > MAX_FAILED || found.len() > MAX_FOUND {
            return Err(Some(format!("it has more than {MAX_FAILED} brackets around no JSON")));
        }
    }
    if found.is_empty() { Err(first_problem) } else { Ok(found) }
}

/// Whether a bracket begins an object or a list of texts, objects or lists, as prose does not.
fn begins_as_value(text: &str) -> bool {
    let (bracket, rest) = text.split_at(1);
    match rest.trim_start().bytes().next() {
        None => true,
        Some(b'"') => true,
        Some(b'}') => bracket == "{",
        Some(b'{' | b'[') => bracket == "[",
        Some(_) => false,
    }
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
    use super::{JsonProblem, ReplySchema, extract};

    #[test]
    fn e6_the_value_that_the_schema_accepts_is_used() {
        let schema = ReplySchema::compile(
            r#"{"type":"object","required":["a"],"properties":{"a":{"type":"integer"}}}"#,
        )
        .unwrap();
        let good = [
            ("{\"a\":1}", "{\"a\":1}"),
            ("See [1][2]:\n{\"a\":1}", "{\"a\":1}"),
            ("It said \"7 am {sharp\". Result:\n{\"a\":1}", "{\"a\":1}"),
            ("{sharp}: {\"a\":1} [the end]", "{\"a\":1}"),
            ("Draft {\"b\":1}, then {\"a\":2}.", "{\"a\":2}"),
            ("{\"a\":2} or again {\"a\": 2}", "{\"a\": 2}"),
            ("```json\n{\"a\":1}\n```", "{\"a\":1}"),
            ("{\"a\":5.0}", "{\"a\":5}"),
            ("{\"b\":[1.5,-4e1],\"a\":1e2}", "{\"b\":[1.5,-40],\"a\":100}"),
        ];
        for (reply, json) in good {
            assert_eq!(extract(reply, Some(&schema)).as_deref(), Ok(json), "{reply}");
        }
        for reply in [
            "{\"a\":1} or {\"a\":2}",
            "{\"a\":1,\"a\":2}",
            "[{\"a\":1}, {\"a\":",
            "{\"a\": {\"a\":1}, \"b\": oops}",
            "nothing",
            "[a [b [c",
        ] {
            let problem = extract(reply, Some(&schema));
            assert!(matches!(problem, Err(JsonProblem::Malformed(_))), "{reply}: {problem:?}");
        }
        let problem = extract("[1] {\"b\":1}", Some(&schema));
        assert!(matches!(problem, Err(JsonProblem::Mismatch(_))), "{problem:?}");
    }

    /// The work is linear for brackets without values.
    #[test]
    fn a_text_of_brackets_is_given_up() {
        for part in ["{", "[", "{\"", "[[", "{a}", "[1,"] {
            let reply = part.repeat(200_000);
            assert!(extract(&reply, None).is_err(), "{part}");
        }
    }

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
                assert_eq!(extract(&reply, None).as_deref(), Ok(json.as_str()));
            }
            let end = json.floor_char_boundary(json.len() - cut.min(json.len() - 1));
            let early = format!("{before}{}", &json[..end]);
            assert!(matches!(extract(&early, None), Err(JsonProblem::Malformed(_))), "{early}");
        }
    }
}
