//! The shape of a text: its words, and whether it is a date, a colour or a phone number.

use std::collections::{BTreeSet, HashSet};

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use unicode_normalization::UnicodeNormalization as _;

use super::Scrubber;

/// Words of opening hours.
const HOURS: &str = "mon tue wed thu fri sat sun monday tuesday wednesday thursday friday \
                     saturday sunday seg ter qua qui sex sab dom closed open fechado aberto am pm \
                     to and h";

/// Letters and digits that depend only on a word and the document.
pub(super) struct Random<'a> {
    pub(super) seed: [u8; 32],
    pub(super) word: &'a str,
    pub(super) salt: u8,
    pub(super) block: u32,
    pub(super) left: Vec<u8>,
}

impl Random<'_> {
    fn next(&mut self) -> u8 {
        if self.left.is_empty() {
            let mut hash = Sha256::new();
            hash.update(self.seed);
            hash.update([self.salt]);
            hash.update(self.block.to_le_bytes());
            hash.update(self.word);
            self.left = hash.finalize().to_vec();
            self.block += 1;
        }
        self.left.pop().unwrap_or_default()
    }

    fn of(&mut self, alphabet: &str) -> Option<char> {
        let count = alphabet.chars().count().max(1);
        alphabet.chars().nth(usize::from(self.next()) % count)
    }

    /// Another character of the same class and the same number of bytes.
    pub(super) fn like(&mut self, c: char, first: bool) -> char {
        let alphabet = match c {
            'a'..='z' => "abcdefghijklmnopqrstuvwxyz",
            'A'..='Z' => "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
            '1'..='9' if first => "123456789",
            '0' if first => "0",
            '0'..='9' => "0123456789",
            c if c.is_uppercase() && c.len_utf8() == 2 => "ÀÁÂÄÇÉÈÊÍÎÓÔÖÚÜÑ",
            c if c.len_utf8() == 2 => "àáâäçéèêíîóôöúüñ",
            c if c.len_utf8() == 3 => "天地玄黄宇宙洪荒日月盈昃辰宿列张",
            _ => return c,
        };
        self.of(alphabet).unwrap_or(c)
    }
}

/// The words of a text, each with its offset.
pub(super) fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut rest = 0;
    std::iter::from_fn(move || {
        let start = rest + text[rest..].find(char::is_alphanumeric)?;
        let end = text[start..]
            .find(|c: char| !c.is_alphanumeric())
            .map_or(text.len(), |end| start + end);
        rest = end;
        Some((start, &text[start..end]))
    })
}

pub(super) fn has(list: &str, word: &str) -> bool {
    list.split_whitespace().any(|known| known == word)
}

/// The placeholder in the letter case of the word that it replaces.
pub(super) fn cased(placeholder: &str, like: &str) -> String {
    if like.chars().all(|c| !c.is_lowercase()) {
        return placeholder.to_uppercase();
    }
    let lower = placeholder.to_lowercase();
    let mut letters = lower.chars();
    match (like.chars().next().is_some_and(char::is_uppercase), letters.next()) {
        (true, Some(first)) => first.to_uppercase().chain(letters).collect(),
        _ => lower,
    }
}

pub(super) fn without_accents(text: &str) -> String {
    text.nfd().filter(|c| !unicode_normalization::char::is_combining_mark(*c)).collect()
}

/// The text without the escapes of JSON and of URLs, so that its words are found.
pub(super) fn unescaped(text: &str) -> String {
    let mut out = text.to_owned();
    if text.contains("\\u") {
        let mut parts = text.split("\\u");
        out = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let hex = part.trim_start_matches('{');
            let digits = hex.len() - hex.trim_start_matches(|c: char| c.is_ascii_hexdigit()).len();
            let digits = if hex.len() == part.len() { digits.min(4) } else { digits };
            match u32::from_str_radix(&hex[..digits], 16).ok().and_then(char::from_u32) {
                Some(c) if digits >= 2 => {
                    out.push(c);
                    let rest = &hex[digits..];
                    out.push_str(if hex.len() == part.len() {
                        rest
                    } else {
                        rest.strip_prefix('}').unwrap_or(rest)
                    });
                }
                _ => {
                    out.push_str("\\u");
                    out.push_str(part);
                }
            }
        }
    }
    if out.contains('%')
        && let Ok(decoded) = percent_encoding::percent_decode_str(&out).decode_utf8()
    {
        out = decoded.into_owned();
    }
    out
}

pub(super) fn is_long(number: &serde_json::Number) -> bool {
    number.as_u64().is_some_and(|number| number >= 10_000)
}

pub(super) fn is_colour(text: &str) -> bool {
    let digits = text.strip_prefix('#');
    digits.is_some_and(|digits| {
        (3..=8).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit())
    })
}

/// A date or a time: digits, and a colon or the two hyphens of a date.
pub(super) fn is_time(text: &str) -> bool {
    let plain = text.chars().all(|c| c.is_ascii_digit() || " :.,-–—TZ+/".contains(c));
    let date = text.as_bytes().get(4) == Some(&b'-')
        && text.as_bytes().get(7) == Some(&b'-')
        && text.len() >= 10;
    plain && text.chars().any(|c| c.is_ascii_digit()) && (text.contains(':') || date)
}

pub(super) fn is_hours(text: &str) -> bool {
    let mut any = false;
    let all = words(text).all(|(_, word)| {
        let lower = word.to_lowercase();
        let day = has(HOURS, &lower);
        any |= day;
        day || lower.trim_end_matches(['h', 'a', 'p', 'm']).bytes().all(|b| b.is_ascii_digit())
    });
    all && any
}

pub(super) fn is_phone(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    digits >= 6
        && text.chars().all(|c| {
            c.is_ascii_digit()
                || " ()+./-\u{a0}".contains(c)
                || ('\u{2010}'..='\u{2015}').contains(&c)
        })
}

/// Texts of answers that were not replies, and words of the names of providers and models.
pub(super) fn texts_of(value: &Value, texts: &mut Vec<String>, operators: &mut HashSet<String>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| texts_of(value, texts, operators)),
        Value::Object(fields) => {
            let log = fields.contains_key("dropped_bytes");
            for (name, value) in fields {
                match value {
                    Value::String(text) if Scrubber::is_theirs(name) && !log => {
                        texts.push(text.clone())
                    }
                    Value::String(text) if name == "provider" || name == "model" => {
                        operators.extend(words(text).map(|(_, word)| word.to_lowercase()));
                    }
                    value => texts_of(value, texts, operators),
                }
            }
        }
        _ => {}
    }
}

/// Values and field names that a schema defines.
pub(super) fn fixed_of(schema: &Value, fixed: &mut BTreeSet<String>) {
    match schema {
        Value::Object(fields) => {
            for (name, value) in fields {
                match (name.as_str(), value) {
                    ("enum", Value::Array(values)) => {
                        fixed.extend(values.iter().filter_map(Value::as_str).map(str::to_owned));
                    }
                    ("const", Value::String(value)) => drop(fixed.insert(value.clone())),
                    ("properties", Value::Object(properties)) => {
                        fixed.extend(properties.keys().cloned())
                    }
                    _ => {}
                }
                fixed_of(value, fixed);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| fixed_of(value, fixed)),
        _ => {}
    }
}

/// The lower-case words of a file.
pub(super) fn lowercase_words(bytes: &[u8]) -> HashSet<String> {
    bytes
        .split(|b| !b.is_ascii_alphanumeric())
        .filter(|word| (3..=24).contains(&word.len()) && word.iter().all(u8::is_ascii_lowercase))
        .filter_map(|word| String::from_utf8(word.to_vec()).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_must_stay_is_known_by_its_shape() {
        let rows: [(&str, [bool; 4]); 12] = [
            // (text, [colour, time, hours, phone])
            ("#B3261E", [true, false, false, false]),
            ("#zanzibar", [false, false, false, false]),
            ("11:30-15:00, 18:30-23:00", [false, true, false, false]),
            ("2026-02-03T12:00:00", [false, true, false, false]),
            ("Mon-Fri 9-17", [false, false, true, false]),
            ("closed", [false, false, true, false]),
            ("by appointment, ask for Zoe", [false, false, false, false]),
            ("+55 19 95550-1011", [false, false, false, true]),
            ("(555) 010-2200", [false, false, false, true]),
            ("5519955501010", [false, false, false, true]),
            ("12", [false, false, false, false]),
            ("", [false, false, false, false]),
        ];
        for (text, wanted) in rows {
            assert_eq!(
                [is_colour(text), is_time(text), is_hours(text), is_phone(text)],
                wanted,
                "{text:?}"
            );
        }
    }

    #[test]
    fn escapes_are_seen_through() {
        let rows = [
            (r"D\u00fcster", "Düster"),
            (r"D\u{fc}ster", "Düster"),
            ("D%C3%BCster", "Düster"),
            ("100 % sure", "100 % sure"),
            (r"\u", r"\u"),
            ("%FF", "%FF"),
        ];
        for (text, plain) in rows {
            assert_eq!(unescaped(text), plain);
        }
        let words: Vec<&str> = words("a-b, c1 é!").map(|(_, word)| word).collect();
        assert_eq!(words, ["a", "b", "c1", "é"]);
    }

    proptest::proptest! {
        #[test]
        fn a_placeholder_has_the_shape_of_its_word(word in "[a-zA-Z0-9éÄ天]{1,40}") {
            let left = Vec::new();
            let mut random = Random { seed: [7; 32], word: &word, salt: 0, block: 0, left };
            let letters = word.chars().enumerate();
            let placeholder: String = letters.map(|(at, c)| random.like(c, at == 0)).collect();
            proptest::prop_assert_eq!(placeholder.len(), word.len());
            for (one, other) in placeholder.chars().zip(word.chars()) {
                proptest::prop_assert_eq!(one.is_ascii_digit(), other.is_ascii_digit());
                proptest::prop_assert_eq!(one.is_uppercase(), other.is_uppercase());
                proptest::prop_assert_eq!(one.is_alphabetic(), other.is_alphabetic());
            }
        }
    }
}
