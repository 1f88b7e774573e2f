//! Tolerant reading of what providers send (failure catalogue E2): only what the reply needs is
//! read strictly. A field of another type than the protocol's is unknown, never an error.

use std::borrow::Cow;

use memchr::memchr;
use serde::de::Error as _;
use serde_json::Value;

/// Maximum values and names of fields of a response, or of an event of a stream. Each takes 72 bytes
/// and more, and `0,` are two: a response of 4 MiB could take hundreds.
const MAX_VALUES: usize = 200_000;

/// Placeholders for halves of surrogate pairs: 2,048 characters for private use in plane 16.
///
/// A Rust string cannot contain a half. A server that cuts UTF-16 text may send the two halves of a
/// character in two chunks, so a half is kept until its neighbour is known; see [`join_halves`].
const HALVES: std::ops::RangeInclusive<u32> = 0x10_F000..=0x10_F7FF;
const FIRST_SURROGATE: u32 = 0xD800;
/// A UTF-16 unit from here on is the second half of a pair.
const FIRST_LOW: u32 = 0xDC00;

/// Parses JSON as providers send it: with a byte order mark, invalid UTF-8, `NaN` and `Infinity`,
/// numbers that no type has, control characters in strings, and halves of surrogate pairs. Values
/// that JSON does not have become `null`. Of equal keys the last one counts.
///
/// # Errors
/// The error of the strict parser, if the text cannot be read with these repairs either; or it has
/// more than 200,000 values.
pub(super) fn parse(bytes: &[u8]) -> Result<Value, serde_json::Error> {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    // Each value has a byte of its own.
    if bytes.len() > MAX_VALUES && sitewright_files::json::count(bytes) > MAX_VALUES {
        let message = format!("it has more than {MAX_VALUES} values, which no reply needs");
        return Err(serde_json::Error::custom(message));
    }
    serde_json::from_slice(bytes).or_else(|error| {
        let repaired = repair(&String::from_utf8_lossy(bytes));
        serde_json::from_str(&repaired).map_err(|_| error)
    })
}

/// The text with everything replaced that JSON does not allow and [`parse`] tolerates. One pass.
fn repair(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut in_string = false;
    while let Some(next) = rest.chars().next() {
        let mut taken = next.len_utf8();
        match next {
            '"' => {
                in_string = !in_string;
                out.push('"');
            }
            '\\' if in_string => match half_escape(rest) {
                Some(unit) => {
                    taken = 6;
                    let low = half_escape(&rest[taken..]).filter(|low| *low >= FIRST_LOW);
                    match low.filter(|_| unit < FIRST_LOW) {
                        Some(low) => {
                            taken = 12;
                            out.push(whole(unit, low));
                        }
                        None => out.push(placeholder(unit)),
                    }
                }
                None => {
                    let escaped = rest.chars().nth(1);
                    taken += escaped.map_or(0, char::len_utf8);
                    out.push_str(&rest[..taken]);
                }
            },
            control if in_string && control < ' ' => {
                out.push_str(&format!("\\u{:04x}", u32::from(control)));
            }
            'N' | 'I' | '-' | '0'..='9' if !in_string => {
                taken = rest
                    .find(|c: char| !(c.is_ascii_alphanumeric() || "+-.".contains(c)))
                    .unwrap_or(rest.len());
                let word = &rest[..taken];
                let known = serde_json::from_str::<Value>(word).is_ok();
                out.push_str(if known { word } else { "null" });
            }
            other => out.push(other),
        }
        rest = &rest[taken..];
    }
    out
}

/// The UTF-16 unit of an escape `\uXXXX` at the beginning, if it is half of a pair.
fn half_escape(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    let unit = u32::from_str_radix(digits, 16).ok()?;
    (0xD800..=0xDFFF).contains(&unit).then_some(unit)
}

/// The character of a pair.
fn whole(high: u32, low: u32) -> char {
    let code = 0x1_0000 + ((high - FIRST_SURROGATE) << 10) + (low - FIRST_LOW);
    char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
}

fn placeholder(unit: u32) -> char {
    char::from_u32(HALVES.start() + (unit - FIRST_SURROGATE)).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// The UTF-16 unit of a placeholder.
fn half(character: char) -> Option<u32> {
    let code = u32::from(character);
    HALVES.contains(&code).then(|| code - HALVES.start() + FIRST_SURROGATE)
}

/// Whether a text has a placeholder.
fn has_half(text: &str) -> bool {
    /// The first byte of every placeholder, and of few other characters.
    const FIRST: u8 = 0xF4;
    memchr(FIRST, text.as_bytes()).is_some() && text.chars().any(|c| half(c).is_some())
}

/// Joins the halves of surrogate pairs in texts that are read one after the other.
#[derive(Debug, Default)]
pub(super) struct HalfJoiner {
    /// The first half at the end of the text so far.
    pending: Option<u32>,
}

impl HalfJoiner {
    /// The text so far that is certain. A first half at the end is kept back.
    pub(super) fn push<'t>(&mut self, text: &'t str) -> Cow<'t, str> {
        if self.pending.is_none() && !has_half(text) {
            return Cow::Borrowed(text);
        }
        let mut out = String::with_capacity(text.len());
        for character in text.chars() {
            match (self.pending.take(), half(character)) {
                (Some(high), Some(low)) if low >= FIRST_LOW => out.push(whole(high, low)),
                (before, now) => {
                    out.extend(before.map(|_| char::REPLACEMENT_CHARACTER));
                    match now {
                        Some(high) if high < FIRST_LOW => self.pending = Some(high),
                        Some(_) => out.push(char::REPLACEMENT_CHARACTER),
                        None => out.push(character),
                    }
                }
            }
        }
        Cow::Owned(out)
    }
}

/// The text with all pairs joined. A half that is alone becomes U+FFFD.
pub(super) fn join_halves(text: String) -> String {
    if !has_half(&text) {
        return text;
    }
    let mut joiner = HalfJoiner::default();
    let mut out = joiner.push(&text).into_owned();
    out.extend(joiner.pending.map(|_| char::REPLACEMENT_CHARACTER));
    out
}

/// The fields of a JSON value, read tolerantly. A value that is no object has no fields.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a>(pub(super) &'a Value);

impl<'a> Fields<'a> {
    /// The field's value, unless it is missing or null.
    pub(super) fn get(self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// The field's fields, if it is an object.
    pub(super) fn object(self, name: &str) -> Option<Fields<'a>> {
        self.get(name).filter(|value| value.is_object()).map(Fields)
    }

    /// The entries of a list. An object instead of a list is its only entry.
    pub(super) fn list(self, name: &str) -> impl Iterator<Item = Fields<'a>> + use<'a> {
        let list = match self.get(name) {
            Some(Value::Array(list)) => list.as_slice(),
            Some(object @ Value::Object(_)) => std::slice::from_ref(object),
            _ => &[],
        };
        list.iter().map(Fields)
    }

    /// A text that is not blank.
    pub(super) fn text(self, name: &str) -> Option<&'a str> {
        self.get(name).and_then(Value::as_str).filter(|text| !text.trim().is_empty())
    }

    /// A number of tokens or an index: an integer that is not negative, also as `11.0` or `"11"`.
    pub(super) fn count(self, name: &str) -> Option<u64> {
        match self.get(name)? {
            Value::Number(number) => number.as_u64().or_else(|| integral(number.as_f64()?)),
            Value::String(text) => {
                let text = text.trim();
                text.parse().ok().or_else(|| integral(text.parse().ok()?))
            }
            _ => None,
        }
    }

    /// Whether the field is `true`, also as text.
    pub(super) fn flag(self, name: &str) -> bool {
        match self.get(name) {
            Some(Value::Bool(flag)) => *flag,
            Some(Value::String(text)) => text.eq_ignore_ascii_case("true"),
            _ => false,
        }
    }

    /// Why the model stopped: a text, or an object with the text in `type` or `reason`.
    pub(super) fn word(self, name: &str) -> Option<&'a str> {
        self.text(name).or_else(|| {
            let object = self.object(name)?;
            object.text("type").or_else(|| object.text("reason"))
        })
    }
}

/// The integer that a float is, up to 2^53.
fn integral(number: f64) -> Option<u64> {
    const MAX: f64 = 9_007_199_254_740_992.0;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked")]
    (number.fract() == 0.0 && (0.0..=MAX).contains(&number)).then_some(number as u64)
}

/// Whether the value of a field `error` says that something failed. Some servers send an empty one
/// beside every reply.
pub(super) fn is_error(error: &Value) -> bool {
    match error {
        Value::Null | Value::Bool(false) => false,
        Value::Bool(true) => true,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.trim().is_empty(),
        Value::Array(list) => list.iter().any(is_error),
        Value::Object(fields) => fields.values().any(is_error),
    }
}

/// Token counts that a stream reports more than once: the newest one that says something.
pub(super) fn newest(now: Option<u64>, before: Option<u64>) -> Option<u64> {
    now.filter(|count| *count > 0).or(before).or(now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_response_of_many_values_is_not_read() {
        let many = format!("[{}0]", "{\"\":0},".repeat(100_000));
        assert!(parse(many.as_bytes()).unwrap_err().to_string().contains("200000 values"));
        assert!(parse(format!("[\"{}\"]", ",".repeat(1 << 20)).as_bytes()).is_ok());
    }

    #[test]
    fn what_json_does_not_have_is_null_and_the_rest_is_read() {
        let rows: [(&[u8], Value); 11] = [
            (b"\xef\xbb\xbf{\"a\":1}", json!({"a": 1})),
            (
                br#"{"a":NaN,"b":-Infinity,"c":[Infinity]}"#,
                json!({"a": null, "b": null, "c": [null]}),
            ),
            (br#"{"a":1e999,"b":-1.5e3}"#, json!({"a": null, "b": -1500.0})),
            (b"{\"a\":\"x\ny\tz\"}", json!({"a": "x\ny\tz"})),
            (b"{\"a\":\"\xff\",\"b\":NaN}", json!({"a": "\u{fffd}", "b": null})),
            (br#"{"a":"\ud83c\udf5e","n":NaN}"#, json!({"a": "🍞", "n": null})),
            (br#"{"a":"\\ud83c NaN -","n":NaN}"#, json!({"a": "\\ud83c NaN -", "n": null})),
            (br#"{"a":"\"NaN\"","n":NaN}"#, json!({"a": "\"NaN\"", "n": null})),
            (br#"{"a":1,"a":2}"#, json!({"a": 2})),
            (br#"{"a":true,"n":NaN,"f":false}"#, json!({"a": true, "n": null, "f": false})),
            (br#"{"a":007}"#, json!({"a": null})),
        ];
        for (bytes, expected) in rows {
            let text = String::from_utf8_lossy(bytes);
            assert_eq!(parse(bytes).unwrap_or_else(|e| panic!("{e}: {text}")), expected, "{text}");
        }
        for broken in ["", "{", "{\"a\":", "data: x", "<html>", "{\"a\":\"\\ud83c", "{\"a\":\"\\"] {
            assert!(parse(broken.as_bytes()).is_err(), "{broken}");
        }
    }

    proptest::proptest! {
        /// However a text is cut into UTF-16 halves and chunks, its characters arrive.
        #[test]
        fn halves_are_joined_over_any_chunks(
            text in "[a-z🍞é😀\u{fffd}]{0,12}",
            cuts in proptest::collection::vec(0_usize..24, 0..6),
        ) {
            let units: Vec<u16> = text.encode_utf16().collect();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|at| at.min(units.len())).collect();
            cuts.extend([0, units.len()]);
            cuts.sort_unstable();
            let mut joiner = HalfJoiner::default();
            let (mut streamed, mut all) = (String::new(), String::new());
            for pair in cuts.windows(2) {
                let escaped: String =
                    units[pair[0]..pair[1]].iter().map(|unit| format!("\\u{unit:04x}")).collect();
                let chunk = parse(format!("\"{escaped}\"").as_bytes()).unwrap();
                streamed.push_str(&joiner.push(chunk.as_str().unwrap()));
                all.push_str(chunk.as_str().unwrap());
            }
            assert_eq!(streamed, text);
            assert_eq!(join_halves(all), text);
        }

        /// Every JSON text is read as the strict parser reads it.
        #[test]
        fn json_is_read_as_it_is(text in ".{0,30}", number in proptest::num::f64::NORMAL) {
            let value = json!({"a": text, "b": [number, null, true, -1]});
            let json = value.to_string();
            assert_eq!(parse(json.as_bytes()).unwrap(), value);
            let repaired: Value = serde_json::from_str(&repair(&json)).unwrap();
            assert_eq!(repaired, value);
        }
    }

    #[test]
    fn a_lone_half_is_a_replacement_character() {
        for (json, expected) in [
            (r#""a\ud83cb""#, "a\u{fffd}b"),
            (r#""\udf5ea""#, "\u{fffd}a"),
            (r#""a\ud83c""#, "a\u{fffd}"),
            (r#""\ud800""#, "\u{fffd}"),
            (r#""\udfff""#, "\u{fffd}"),
            (r#""\ud83c\ud83c\udf5e""#, "\u{fffd}🍞"),
        ] {
            let text = parse(json.as_bytes()).unwrap().as_str().unwrap().to_owned();
            assert_eq!(join_halves(text), expected, "{json}");
        }
    }

    #[test]
    fn odd_fields_are_unknown() {
        let value = json!({
            "n": 11, "float": 11.0, "text": "11", "negative": -35, "half": 1.5, "list": [],
            "huge": 1e300, "blank": " ", "flag": "true", "no": 0, "object": {"type": "stop"},
        });
        let fields = Fields(&value);
        for (name, expected) in [
            ("n", Some(11)),
            ("float", Some(11)),
            ("text", Some(11)),
            ("negative", None),
            ("half", None),
            ("list", None),
            ("huge", None),
            ("blank", None),
            ("missing", None),
        ] {
            assert_eq!(fields.count(name), expected, "{name}");
        }
        assert_eq!(fields.text("blank"), None);
        assert_eq!(fields.text("n"), None);
        assert_eq!(fields.word("object"), Some("stop"));
        assert!(fields.flag("flag") && !fields.flag("no") && !fields.flag("missing"));
        assert_eq!(fields.list("object").count(), 1);
        assert_eq!(fields.list("n").count(), 0);
    }

    #[test]
    fn an_error_that_says_nothing_is_none() {
        for nothing in [
            json!(null),
            json!({}),
            json!(""),
            json!([]),
            json!(0),
            json!(false),
            json!({"message": "", "code": null}),
            json!([{}]),
        ] {
            assert!(!is_error(&nothing), "{nothing}");
        }
        for said in [json!("no"), json!({"code": 7}), json!(true), json!([{"message": "no"}])] {
            assert!(is_error(&said), "{said}");
        }
    }
}
