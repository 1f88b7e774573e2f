//! What is wrong with a document, and where.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One thing that is wrong with a document. Problems come in lists: all that can be found at once,
/// not only the first.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Problem {
    /// JSON pointer (RFC 6901) into the document as it was given: `/onboarding/primary_color`.
    /// Empty: the whole document. What is missing is pointed at where it should be.
    pub pointer: String,
    /// For people, never empty: what is wrong and what would be right.
    pub message: String,
}

impl Problem {
    /// A problem at `pointer`.
    pub fn new(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Problem { pointer: pointer.into(), message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.pointer.is_empty() { "the document" } else { &self.pointer };
        write!(f, "{place}: {}", self.message)
    }
}

/// The pointer to `name` (a field, or an index) below `parent`, with `~` and `/` escaped.
pub fn child(parent: &str, name: impl fmt::Display) -> String {
    let name = name.to_string().replace('~', "~0").replace('/', "~1");
    format!("{parent}/{name}")
}

/// The beginning of a value's JSON, for a message: at most 60 characters, with `…` where it was
/// cut.
pub fn excerpt(value: &serde_json::Value) -> String {
    match value {
        // What is large is described: writing it out only to cut it would cost as much as the
        // document.
        serde_json::Value::Array(items) => format!("a list of {}", items.len()),
        serde_json::Value::Object(fields) => format!("an object of {} fields", fields.len()),
        serde_json::Value::String(text) => format!("`{}`", cut(text)),
        other => format!("`{other}`"),
    }
}

/// The beginning of a text, for a message: at most 60 characters, with `…` where it was cut.
pub(crate) fn cut(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Whether nobody would see anything of the text: white space, control characters and characters
/// without width.
pub(crate) fn is_blank(text: &str) -> bool {
    let invisible = |c| matches!(c, '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}');
    text.chars().all(|c| c.is_whitespace() || c.is_control() || invisible(c))
}
