//! Each text of an AI reply.

use serde_json::Value as Json;

use crate::check::CopyCheck;
use crate::rule::{CopyRule, Finding, TextKind};

/// Maximum number of findings of one reply.
pub const MAX_REPLY_FINDINGS: usize = 100;
/// Maximum bytes of a pointer; names of fields are as long as a model likes.
const MAX_POINTER: usize = 1 << 10;

/// Findings, each with the JSON pointer of its text.
type Found = Vec<(String, Finding)>;

impl CopyCheck<'_> {
    /// The findings of an AI reply, each with the JSON pointer of its text, at most
    /// [`MAX_REPLY_FINDINGS`]. In a JSON reply, each string value is a text; values that are
    /// plainly keys, colours or paths are left out, and of links only the address counts. A reply
    /// that is not JSON is one text with the pointer `""`.
    pub fn check_reply(&self, reply: &str, is_json: bool) -> Vec<(String, Finding)> {
        let mut found = Vec::new();
        match serde_json::from_str(reply) {
            Ok(value) if is_json => self.value(&value, &mut String::new(), "", &mut found),
            _ => self.text("", "", reply, &mut found),
        }
        found
    }

    /// The texts of a JSON value. `name` is that of the nearest field.
    fn value(&self, value: &Json, pointer: &mut String, name: &str, found: &mut Found) {
        let length = pointer.len();
        match value {
            Json::Null | Json::Bool(_) | Json::Number(_) => {}
            Json::String(text) => self.text(pointer, name, text, found),
            Json::Array(entries) => {
                for (index, entry) in entries.iter().enumerate() {
                    push(pointer, &index.to_string());
                    self.value(entry, pointer, name, found);
                    pointer.truncate(length);
                }
            }
            Json::Object(fields) => {
                for (name, field) in fields {
                    push(pointer, name);
                    self.value(field, pointer, name, found);
                    pointer.truncate(length);
                }
            }
        }
    }

    fn text(&self, pointer: &str, name: &str, text: &str, found: &mut Found) {
        if found.len() >= MAX_REPLY_FINDINGS {
            return;
        }
        let kind = TextKind::of_field(name, text);
        let of_value = Looks::of(name, text);
        if of_value == Looks::Code && kind != TextKind::Heading {
            return;
        }
        for finding in self.check(text, kind) {
            if found.len() >= MAX_REPLY_FINDINGS {
                return;
            }
            let is_address =
                matches!(finding.rule, CopyRule::UnknownEmail | CopyRule::UnknownAddress)
                    || matches!(finding.rule, CopyRule::UnknownPhone | CopyRule::ForbiddenWord);
            if of_value == Looks::Text || is_address {
                found.push((pointer.to_owned(), finding));
            }
        }
    }
}

/// What a string of a reply is, by its looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Looks {
    Text,
    /// A link: only its address is checked.
    Link,
    /// A key, colour, file name or path.
    Code,
}

impl Looks {
    fn of(name: &str, text: &str) -> Self {
        const NAMES: [&str; 13] = [
            "slug", "icon", "color", "colour", "key", "class", "variant", "layout", "href", "src",
            "anchor", "lang", "locale",
        ];
        let text = text.trim();
        if text.contains(char::is_whitespace) || text.len() > 2_000 || text.is_empty() {
            return Looks::Text;
        }
        let schemes = ["http://", "https://", "mailto:", "tel:", "sms:", "//"];
        if schemes.iter().any(|scheme| text.starts_with(scheme)) {
            return Looks::Link;
        }
        let lower = name.to_lowercase();
        let is_plain =
            |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_./#".contains(&b);
        let is_path = text.starts_with(['/', '#', '.']) && text.bytes().all(is_plain);
        let is_slug = text.contains(['-', '_'])
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.bytes().all(is_plain);
        let is_named =
            NAMES.iter().any(|part| lower == *part || lower.ends_with(&format!("_{part}")));
        let is_id = matches!(lower.as_str(), "id" | "type" | "kind") || lower.ends_with("_id");
        match is_path || is_slug || is_named || is_id {
            true => Looks::Code,
            false => Looks::Text,
        }
    }
}

/// Appends a part to a JSON pointer, up to the limit.
fn push(pointer: &mut String, part: &str) {
    let room = MAX_POINTER.saturating_sub(pointer.len());
    let part = &part[..part.floor_char_boundary(room)];
    pointer.push('/');
    pointer.push_str(&part.replace('~', "~0").replace('/', "~1"));
}
