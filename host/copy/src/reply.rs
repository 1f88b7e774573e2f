//! Each text of an AI reply.

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use std::fmt;

use crate::check::CopyCheck;
use crate::rule::{CopyRule, Finding, TextKind};

/// Maximum number of findings of one reply.
pub const MAX_REPLY_FINDINGS: usize = 100;
/// Maximum bytes of a pointer; names of fields are as long as a model likes.
const MAX_POINTER: usize = 1 << 10;

impl CopyCheck<'_> {
    /// The findings of an AI reply, each with the JSON pointer of its text, at most
    /// [`MAX_REPLY_FINDINGS`]. In a JSON reply, each string value is a text; values that are
    /// plainly keys, colours or paths are left out, and of links only the address counts. A reply
    /// that is not JSON is one text with the pointer `""`.
    pub fn check_reply(&self, reply: &str, is_json: bool) -> Vec<(String, Finding)> {
        let mut found = Vec::new();
        if is_json {
            let mut pointer = String::new();
            let mut json = serde_json::Deserializer::from_str(reply);
            let visit = Visit { check: self, pointer: &mut pointer, name: "", found: &mut found };
            if visit.deserialize(&mut json).is_ok() && json.end().is_ok() {
                return found;
            }
            found.clear();
        }
        self.text("", "", reply, &mut found);
        found
    }

    fn text(&self, pointer: &str, name: &str, text: &str, found: &mut Vec<(String, Finding)>) {
        let kind = TextKind::of_field(name, text);
        let of_value = value(name, text);
        if of_value == Value::Code && kind != TextKind::Heading {
            return;
        }
        for finding in self.check(text, kind) {
            if found.len() >= MAX_REPLY_FINDINGS {
                return;
            }
            let is_address =
                matches!(finding.rule, CopyRule::UnknownEmail | CopyRule::UnknownAddress)
                    || matches!(finding.rule, CopyRule::UnknownPhone | CopyRule::ForbiddenWord);
            if of_value == Value::Text || is_address {
                found.push((pointer.to_owned(), finding));
            }
        }
    }
}

/// What a string of a reply is, by its looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Value {
    Text,
    /// A link: only its address is checked.
    Link,
    /// A key, colour, file name or path.
    Code,
}

fn value(name: &str, text: &str) -> Value {
    const NAMES: [&str; 13] = [
        "slug", "icon", "color", "colour", "key", "class", "variant", "layout", "href", "src",
        "anchor", "lang", "locale",
    ];
    let text = text.trim();
    if text.contains(char::is_whitespace) || text.len() > 2_000 || text.is_empty() {
        return Value::Text;
    }
    let schemes = ["http://", "https://", "mailto:", "tel:", "sms:", "//"];
    if schemes.iter().any(|scheme| text.starts_with(scheme)) {
        return Value::Link;
    }
    let lower = name.to_lowercase();
    let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_./#".contains(&b);
    let is_path = text.starts_with(['/', '#', '.']) && text.bytes().all(is_plain);
    let is_slug = text.contains(['-', '_'])
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(is_plain);
    let is_named = NAMES.iter().any(|part| lower == *part || lower.ends_with(&format!("_{part}")));
    let is_id = matches!(lower.as_str(), "id" | "type" | "kind") || lower.ends_with("_id");
    match is_path || is_slug || is_named || is_id {
        true => Value::Code,
        false => Value::Text,
    }
}

/// Visits the strings of a JSON text one at a time.
struct Visit<'c, 'v> {
    check: &'c CopyCheck<'c>,
    pointer: &'v mut String,
    /// The name of the nearest field.
    name: &'v str,
    found: &'v mut Vec<(String, Finding)>,
}

impl<'de> DeserializeSeed<'de> for Visit<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Visit<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.check.text(self.pointer, self.name, text, self.found);
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

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let length = self.pointer.len();
        let mut index = 0_usize;
        loop {
            push(self.pointer, &index.to_string());
            let visit = Visit {
                check: self.check,
                pointer: &mut *self.pointer,
                name: self.name,
                found: &mut *self.found,
            };
            let next = entries.next_element_seed(visit)?;
            self.pointer.truncate(length);
            if next.is_none() {
                return Ok(());
            }
            index += 1;
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let length = self.pointer.len();
        while let Some(Name(name)) = fields.next_key()? {
            push(self.pointer, &name);
            fields.next_value_seed(Visit {
                check: self.check,
                pointer: &mut *self.pointer,
                name: &name,
                found: &mut *self.found,
            })?;
            self.pointer.truncate(length);
        }
        Ok(())
    }
}

/// The name of a field.
#[derive(serde::Deserialize)]
struct Name(String);

/// Appends a part to a JSON pointer, up to the limit.
fn push(pointer: &mut String, part: &str) {
    let room = MAX_POINTER.saturating_sub(pointer.len());
    let part = &part[..part.floor_char_boundary(room)];
    pointer.push('/');
    pointer.push_str(&part.replace('~', "~0").replace('/', "~1"));
}
