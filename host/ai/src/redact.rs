//! Removes API keys from texts that leave the gateway and from the log. Some providers repeat the
//! rejected key, whole or in part, in their error message, and URLs may contain one.

use std::borrow::Cow;
use std::fmt;

use parking_lot::RwLock;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

const REMOVED: &str = "[key removed]";

/// Minimum length, in bytes, of keys that are searched for in records. Local servers have short
/// keys that may be ordinary words.
const SHORTEST_SECRET: usize = 8;

/// The prefixes of keys of well-known providers.
const PREFIXES: [&str; 6] = ["sk-", "gsk_", "xai-", "AIza", "hf_", "r8_"];

/// Query parameters that contain keys.
const PARAMETERS: [&str; 7] =
    ["key=", "api_key=", "api-key=", "apikey=", "token=", "access_token=", "subscription-key="];

/// All keys that the process has read. Log entries of libraries do not belong to a provider, so
/// they are searched for all keys.
static PROCESS_KEYS: RwLock<Vec<SecretString>> = RwLock::new(Vec::new());

/// Removes keys from texts.
#[derive(Clone)]
pub struct Redactor {
    secrets: Vec<SecretString>,
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redactor")
    }
}

/// Registers a key, so that it is removed from the log.
pub(super) fn remember(secret: &SecretString) {
    let mut read = PROCESS_KEYS.write();
    if read.iter().all(|known| known.expose_secret() != secret.expose_secret()) {
        read.push(secret.clone());
    }
}

impl Redactor {
    pub(super) fn new(secrets: impl IntoIterator<Item = SecretString>) -> Self {
        Redactor { secrets: secrets.into_iter().collect() }
    }

    /// A redactor for all keys that the process has read.
    pub fn of_process() -> Self {
        Redactor { secrets: PROCESS_KEYS.read().clone() }
    }

    /// Redacts every string of a JSON value, except for field names, and returns whether one was
    /// changed. Ignores keys shorter than 8 bytes, like [`for_records`](Self::for_records).
    pub fn redact_values(&self, value: &mut Value) -> bool {
        self.for_records().redact_texts(value)
    }

    /// The same without keys shorter than 8 bytes, for texts that may contain any word.
    pub fn for_records(&self) -> Self {
        let long = |secret: &&SecretString| secret.expose_secret().len() >= SHORTEST_SECRET;
        Redactor::new(self.secrets.iter().filter(long).cloned())
    }

    fn redact_texts(&self, value: &mut Value) -> bool {
        match value {
            Value::String(text) => match self.redact(text) {
                Cow::Owned(clean) if clean != *text => {
                    *text = clean;
                    true
                }
                _ => false,
            },
            Value::Array(values) => {
                values.iter_mut().fold(false, |any, value| self.redact_texts(value) | any)
            }
            Value::Object(fields) => {
                fields.values_mut().fold(false, |any, value| self.redact_texts(value) | any)
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }

    /// The text without the keys, without anything that begins like a key or follows `Bearer`, and
    /// without the credentials and key parameters of URLs.
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut text = Cow::Borrowed(text);
        for secret in self.secrets.iter().map(ExposeSecret::expose_secret) {
            text = without_encoded(text, secret);
        }
        text = removed(text, "://", |_, after| {
            let end = after
                .find(|c: char| c.is_whitespace() || "/?#\"'<>".contains(c))
                .unwrap_or(after.len());
            after[..end].rfind('@')
        });
        for prefix in PREFIXES {
            // `task-list` and `desk-top` are words: a key begins a word and is longer than its
            // prefix.
            text = removed(text, prefix, |before, after| {
                let inside_word = before.ends_with(|c: char| c.is_alphanumeric());
                Some(key_end(after)).filter(|end| !inside_word && *end + prefix.len() >= 8)
            });
        }
        for name in PARAMETERS {
            text = removed(text, name, |before, after| {
                let parameter = before.ends_with(['?', '&']) || before.ends_with("&amp;");
                let end = after.find(|c: char| c.is_whitespace() || "&#\"'<>)".contains(c));
                parameter.then(|| end.unwrap_or(after.len()))
            });
        }
        for scheme in ["Bearer ", "bearer ", "BEARER "] {
            text = removed(text, scheme, |_, after| Some(key_end(after)).filter(|end| *end >= 8));
        }
        text
    }
}

/// The text without the secret in any encoding: plain, percent-encoded, or escaped as in JSON, once
/// or twice.
fn without_encoded<'a>(text: Cow<'a, str>, secret: &str) -> Cow<'a, str> {
    let Some(first) = secret.chars().next() else { return text };
    let mut clean = String::new();
    let (mut kept, mut at) = (0, 0);
    while let Some(next) = text[at..].find([first, '%', '\\']).map(|found| at + found) {
        match length_of(&text[next..], secret) {
            Some(length) => {
                clean.push_str(&text[kept..next]);
                clean.push_str(REMOVED);
                at = next + length;
                kept = at;
            }
            None => at = next + text[next..].chars().next().map_or(1, char::len_utf8),
        }
    }
    if kept == 0 {
        return text;
    }
    clean.push_str(&text[kept..]);
    Cow::Owned(clean)
}

/// The length of the encoded secret, if the text begins with it.
fn length_of(text: &str, secret: &str) -> Option<usize> {
    let mut rest = text;
    for expected in secret.chars() {
        rest = after(rest, expected)?;
    }
    Some(text.len() - rest.len())
}

/// The rest of the text, if it begins with this character in any encoding.
fn after(text: &str, expected: char) -> Option<&str> {
    if let Some(rest) = text.strip_prefix(expected) {
        return Some(rest);
    }
    let coded = |digits: &str| {
        u32::from_str_radix(digits, 16).ok().and_then(char::from_u32) == Some(expected)
    };
    if let Some(digits) = text.strip_prefix('%') {
        let digits = digits.strip_prefix("25").filter(|_| expected != '%').unwrap_or(digits);
        return digits.get(..2).filter(|two| coded(two)).map(|_| &digits[2..]);
    }
    // An escape that may be escaped again.
    let escaped = text.strip_prefix('\\')?.trim_start_matches('\\');
    let unicode = escaped.strip_prefix('u').and_then(|digits| {
        let four = digits.get(..4).filter(|four| coded(four))?;
        Some(&digits[four.len()..])
    });
    unicode.or_else(|| escaped.strip_prefix(expected))
}

/// The length of the characters at the beginning that may belong to a key.
fn key_end(text: &str) -> usize {
    let in_key = |c: char| c.is_ascii_alphanumeric() || "-_*.+/=~".contains(c);
    text.find(|c| !in_key(c)).unwrap_or(text.len())
}

/// Removes the key after each mark; for a key prefix, the mark is removed too. `length` returns the
/// length of the key, given the text before and after the mark.
fn removed<'a>(
    text: Cow<'a, str>,
    mark: &str,
    length: impl Fn(&str, &str) -> Option<usize>,
) -> Cow<'a, str> {
    if !text.contains(mark) {
        return text;
    }
    let mut clean = String::with_capacity(text.len());
    let mut from = 0;
    while let Some(at) = text[from..].find(mark).map(|at| from + at) {
        let start = at + mark.len();
        clean.push_str(&text[from..at]);
        match length(&text[..at], &text[start..])
            .filter(|length| *length > 0 && !text[start..].starts_with(REMOVED))
        {
            Some(length) => {
                if !PREFIXES.contains(&mark) {
                    clean.push_str(mark);
                }
                clean.push_str(REMOVED);
                from = start + length;
            }
            None => {
                clean.push_str(mark);
                from = start;
            }
        }
    }
    clean.push_str(&text[from..]);
    Cow::Owned(clean)
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::Redactor;

    #[test]
    fn a8_keys_go_and_words_stay() {
        let rows = [
            ("the key plant/ed+1 is wrong", "the key [key removed] is wrong"),
            ("%70lant%2Fed%2b1 and plant%252Fed+1", "[key removed] and [key removed]"),
            (r"plant\/ed\u002b1, plant\\/ed\\u002B1", "[key removed], [key removed]"),
            (
                "plant%2Fed%2b2, plant/ed, plan, %, \\ and %é",
                "plant%2Fed%2b2, plant/ed, plan, %, \\ and %é",
            ),
            ("given: sk-proj-ab12****wxyz.", "given: [key removed]"),
            ("gsk_0123456789, xai-0123456789", "[key removed], [key removed]"),
            ("AIzaSyA0123456789", "[key removed]"),
            ("Authorization: Bearer abc.def-ghi/jkl=", "Authorization: Bearer [key removed]"),
            ("the bearer of this letter", "the bearer of this letter"),
            ("at https://user:pa55@host/v1?x=1", "at https://[key removed]@host/v1?x=1"),
            ("https://host/v1?key=abc&alt=sse", "https://host/v1?key=[key removed]&alt=sse"),
            ("(https://host/v1?x=1&api_key=abc)", "(https://host/v1?x=1&api_key=[key removed])"),
            ("monkey=1, key=2 and https://host/a@b", "monkey=1, key=2 and https://host/a@b"),
            ("a task-list on a desk-top, sk-, açaí", "a task-list on a desk-top, sk-, açaí"),
        ];
        let redactor = Redactor::new([SecretString::from("plant/ed+1")]);
        for (text, clean) in rows {
            assert_eq!(redactor.redact(text), clean);
            assert_eq!(redactor.redact(clean), clean, "it is clean already");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_redacted_without_a_panic(text in "(sk-|p|l|%|%2|%6C|\\\\u|\\\\|key=|\\?|&|://|@|Bearer |é|x|/| ){0,30}") {
            let redactor = Redactor::new([SecretString::from("planted")]);
            assert!(!redactor.redact(&format!("{text}planted{text}")).contains("planted"));
        }
    }
}
