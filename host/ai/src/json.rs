//! JSON replies: found in the text, parsed strictly, and checked against the schema.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::openai::strict_schema::{self, Converted};
use sitewright_confined::Confined;
use sitewright_json_schema::{self as schema, CheckError, GuardedSchema, MAX_PROBLEMS};
use sitewright_model::message;
use sitewright_model::message::Message;

/// Number of problems of a reply that are reported; further ones are counted.
const REPORTED: usize = 5;

/// Maximum number of brackets that begin no value: each is tried, and a trial may read the rest.
const MAX_FAILED: usize = 32;

/// Maximum number of values in a reply that are tried: the longest ones. A list of sources may have
/// any number.
const MAX_FOUND: usize = 8;

/// Maximum size of a JSON text in bytes whose integers are rewritten: its tree takes many times its
/// size.
const MAX_REWRITTEN: usize = 1 << 20;

/// Maximum size of a JSON text in bytes whose wrapper is removed.
const MAX_UNWRAPPED: usize = 64 * 1024;

/// A compiled JSON Schema for replies, with its value for the provider. Cheap to clone.
#[derive(Clone)]
pub struct ReplySchema {
    value: Arc<Value>,
    guarded: GuardedSchema,
    /// For the strict mode of OpenAI, if a request needed it: all orders of a template have the
    /// same schema.
    strict: Arc<OnceLock<Option<Converted>>>,
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
        Ok(ReplySchema { value, guarded: GuardedSchema::trusted(text)?, strict: Arc::default() })
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
        let guarded = GuardedSchema::compile(text, confined, template).await?;
        Ok(ReplySchema { value, guarded, strict: Arc::default() })
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

    /// The schema as OpenAI's strict mode takes it; `None` if that cannot express it.
    pub(super) fn strict(&self) -> Option<&Converted> {
        self.strict.get_or_init(|| strict_schema::convert(&self.value)).as_ref()
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

/// The JSON values of a reply, in their order, each as a text of its own.
///
/// The whole text is tried first. A model without JSON mode may wrap the JSON in prose, a code
/// fence or a list of citations: then these are all values in the text, and the caller chooses the
/// one that is wanted. JSON is not repaired, and a part of an incomplete value is never used
/// instead of the value.
///
/// A value is returned as it is, except that an integer that is written as a float (`5.0`, `4e1`)
/// is written as an integer if `typed` is set: JSON Schema accepts both, and the types of
/// programming languages do not. For the same reason a field that is given twice is a problem.
///
/// # Errors
/// Why the reply contains no JSON, or invalid JSON.
pub(super) fn values(reply: &str, typed: bool) -> Result<Vec<String>, String> {
    let reply = reply.trim_start_matches('\u{feff}').trim();
    let found = match Facts::of(reply) {
        Ok(facts) => vec![(reply, facts)],
        Err(whole) => find(reply).map_err(|found| found.unwrap_or_else(|| whole.to_string()))?,
    };
    // With a schema, the value that fits is wanted; otherwise the longest is.
    let wanted = found.iter().filter(|(_, facts)| !typed || facts.twice.is_none());
    let wanted = wanted.max_by_key(|(text, _)| text.len()).or(found.first());
    if let Some((_, Facts { twice: Some(name), .. })) = wanted {
        return Err(format!("the field `{}` is given more than once", short(name)));
    }
    let usable = found.into_iter().filter(|(_, facts)| facts.twice.is_none());
    Ok(usable
        .map(|(text, facts)| if typed { facts.integers(text) } else { text.to_owned() })
        .collect())
}

/// The value that a JSON text wraps: in a text, in a list of one, or in an object of one field, as
/// models do that repeat the name of a schema or a tool. It is certain which one is meant, but not
/// that it is what was requested. `None` if the text wraps no object and no list.
pub(super) fn unwrapped(json: &str) -> Option<String> {
    if json.len() > MAX_UNWRAPPED {
        return None;
    }
    let inner = match serde_json::from_str::<Value>(json).ok()? {
        Value::Array(list) if list.len() == 1 => list.into_iter().next()?,
        Value::Object(fields) if fields.len() == 1 => fields.into_iter().next()?.1,
        text @ Value::String(_) => text,
        _ => return None,
    };
    match inner {
        Value::Object(_) | Value::Array(_) => Some(inner.to_string()),
        Value::String(text) => {
            let mut inside = values(&text, true).ok()?;
            let is_wrapped = inside.len() == 1 && inside[0].starts_with(['{', '[']);
            if is_wrapped { inside.pop() } else { None }
        }
        _ => None,
    }
}

/// Whether two JSON texts are the same value.
pub(super) fn are_equal(one: &str, other: &str) -> bool {
    let small = one.len().max(other.len()) <= MAX_REWRITTEN;
    let value = |text| serde_json::from_str::<Value>(text).ok();
    one == other || (small && value(one) == value(other))
}

/// What is known of a JSON text, without its tree: that of one of a few megabytes would take
/// hundreds.
#[derive(Debug, Default)]
struct Facts {
    /// A field that an object has twice.
    twice: Option<String>,
    /// Whether an integer is written as a float.
    floats: bool,
}

impl Facts {
    /// # Errors
    /// The text is not JSON, as strictly as [`Value`] is parsed.
    fn of(text: &str) -> serde_json::Result<Self> {
        let mut scan = Scan::default();
        let mut deserializer = serde_json::Deserializer::from_str(text);
        scan.deserialize(&mut deserializer)?;
        deserializer.end()?;
        Ok(scan.facts)
    }

    /// The text with each integer as an integer, up to 2^53.
    fn integers(&self, text: &str) -> String {
        if !self.floats || text.len() > MAX_REWRITTEN {
            return text.to_owned();
        }
        match serde_json::from_str::<Value>(text) {
            Ok(mut value) => {
                rewrite(&mut value);
                value.to_string()
            }
            Err(_) => text.to_owned(),
        }
    }
}

/// The integer that a float is, up to 2^53.
fn integer(float: f64) -> Option<i64> {
    const MAX: f64 = 9_007_199_254_740_992.0;
    #[allow(clippy::cast_possible_truncation, reason = "checked before")]
    (float.fract() == 0.0 && float.abs() <= MAX).then_some(float as i64)
}

fn rewrite(value: &mut Value) {
    match value {
        Value::Number(number) if number.is_f64() => {
            if let Some(whole) = number.as_f64().and_then(integer) {
                *value = whole.into();
            }
        }
        Value::Array(list) => list.iter_mut().for_each(rewrite),
        Value::Object(fields) => fields.values_mut().for_each(rewrite),
        _ => {}
    }
}

/// Collects the facts of a JSON text.
#[derive(Default)]
struct Scan {
    facts: Facts,
    hasher: RandomState,
}

impl<'de> DeserializeSeed<'de> for &mut Scan {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &mut Scan {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, float: f64) -> Result<(), E> {
        self.facts.floats |= integer(float).is_some();
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        while entries.next_element_seed(&mut *self)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        // Hashes instead of names, so that many short fields do not take many times their size.
        let mut seen = HashSet::new();
        while let Some(name) = fields.next_key::<Cow<'de, str>>()? {
            if self.facts.twice.is_none() && !seen.insert(self.hasher.hash_one(name.as_ref())) {
                self.facts.twice = Some(name.into_owned());
            }
            fields.next_value_seed(&mut *self)?;
        }
        Ok(())
    }
}

/// The longest [`MAX_FOUND`] values in a text that is not JSON as a whole, in their order; otherwise
/// the first problem.
fn find(reply: &str) -> Result<Vec<(&str, Facts)>, Option<String>> {
    let mut found = Vec::new();
    let mut first_problem = None;
    let mut failed = 0;
    let mut from = 0;
    while let Some(open) = reply[from..].find(['{', '[']).map(|at| from + at) {
        let rest = &reply[open..];
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<IgnoredAny>();
        match values.next() {
            Some(Ok(_)) => {
                let text = &rest[..values.byte_offset()];
                match Facts::of(text) {
                    Ok(facts) => {
                        found.push((text, facts));
                        if found.len() > MAX_FOUND {
                            let lengths = found.iter().map(|(text, _): &(&str, _)| text.len());
                            let shortest = lengths.enumerate().min_by_key(|(_, length)| *length);
                            if let Some((at, _)) = shortest {
                                found.remove(at);
                            }
                        }
                    }
                    Err(error) => {
                        first_problem.get_or_insert_with(|| error.to_string());
                    }
                }
                from = open + text.len();
                continue;
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
        failed += 1;
        if failed > MAX_FAILED {
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
    use super::{are_equal, unwrapped, values};

    #[test]
    fn what_a_value_wraps_is_found() {
        let rows = [
            (r#"[{"a":1}]"#, Some(r#"{"a":1}"#)),
            (r#"{"reply":{"a":1}}"#, Some(r#"{"a":1}"#)),
            (r#"{"reply":"{\"a\":1.0}"}"#, Some(r#"{"a":1}"#)),
            (r#""{\"a\":1}""#, Some(r#"{"a":1}"#)),
            (r#""```json\n{\"a\":1}\n```""#, Some(r#"{"a":1}"#)),
            (r#"[{"a":1},{"a":2}]"#, None),
            (r#"{"a":{"b":1},"c":2}"#, None),
            (r#"{"a":"bread"}"#, None),
            (r#""{\"a\":1} or {\"a\":2}""#, None),
            (r#"{"a":true}"#, None),
            ("[1]", None),
            ("1", None),
        ];
        for (json, inner) in rows {
            assert_eq!(unwrapped(json).as_deref(), inner, "{json}");
        }
    }

    #[test]
    fn e6_all_values_of_a_reply_are_found_whole() {
        let good: [(&str, &[&str]); 9] = [
            ("{\"a\":1}", &["{\"a\":1}"]),
            ("See [1][2]:\n{\"a\":1}", &["[1]", "[2]", "{\"a\":1}"]),
            ("It said \"7 am {sharp\". Result:\n{\"a\":1}", &["{\"a\":1}"]),
            ("{sharp}: {\"a\":1} [the end]", &["{\"a\":1}"]),
            ("Draft {\"b\":1}, then {\"a\":2}.", &["{\"b\":1}", "{\"a\":2}"]),
            ("```json\n{\"a\":1}\n```", &["{\"a\":1}"]),
            ("{\"a\":5.0}", &["{\"a\":5}"]),
            ("{\"b\":[1.5,-4e1],\"a\":1e2}", &["{\"b\":[1.5,-40],\"a\":100}"]),
            (
                "[1][2][3][4][5][6][7][8][9]",
                &["[2]", "[3]", "[4]", "[5]", "[6]", "[7]", "[8]", "[9]"],
            ),
        ];
        for (reply, expected) in good {
            assert_eq!(values(reply, true).unwrap(), expected, "{reply}");
        }
        for reply in [
            "{\"a\":1,\"a\":2}",
            "[{\"a\":1}, {\"a\":",
            "{\"a\": {\"a\":1}, \"b\": oops}",
            "nothing",
            "[a [b [c",
        ] {
            assert!(values(reply, true).is_err(), "{reply}");
        }
        let twice = "Draft: {\"a\":1,\"a\":2} Final: {\"a\":1,\"a\":3}";
        for (reply, typed) in
            [(twice, true), (twice, false), ("{\"title\":1,\"title\":2} [1]", false)]
        {
            assert!(values(reply, typed).unwrap_err().contains("more than once"), "{reply}");
        }
        let cited = format!("{{\"title\":1}} Sources: {}", "[1] ".repeat(50));
        assert_eq!(values(&cited, true).unwrap()[0], "{\"title\":1}");
        assert_eq!(values("{\"a\":5.0}", false).unwrap(), ["{\"a\":5.0}"]);
        assert!(are_equal("{\"a\":2}", "{ \"a\": 2 }") && !are_equal("[1]", "[2]"));
    }

    /// The work is linear for brackets without values.
    #[test]
    fn a_text_of_brackets_is_given_up() {
        for part in ["{", "[", "{\"", "[[", "{a}", "[1,"] {
            let reply = part.repeat(200_000);
            assert!(values(&reply, true).is_err(), "{part}");
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
                assert_eq!(values(&reply, true), Ok(vec![json.clone()]));
            }
            let end = json.floor_char_boundary(json.len() - cut.min(json.len() - 1));
            let early = format!("{before}{}", &json[..end]);
            assert!(values(&early, true).is_err(), "{early}");
        }
    }
}
