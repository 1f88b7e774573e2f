//! Validation errors of a document, with their location.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A validation error of a document. Functions return all problems at once, not only the first.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Problem {
    /// JSON pointer (RFC 6901) into the input document: `/onboarding/primary_color`. Empty for the
    /// whole document. For a missing field, the location where it is expected.
    pub pointer: String,
    /// What is wrong and what would be right. Never empty.
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
        let location = if self.pointer.is_empty() { "the document" } else { &self.pointer };
        write!(f, "{location}: {}", self.message)
    }
}

/// The JSON pointer to `name` (a field or an index) below `parent`, with `~` and `/` escaped.
pub fn child(parent: &str, name: impl fmt::Display) -> String {
    let mut name = name.to_string();
    if name.contains(['~', '/']) {
        name = name.replace('~', "~0").replace('/', "~1");
    }
    // A pointer is made for each field that is read, so that it must be cheap.
    let mut pointer = String::with_capacity(parent.len() + 1 + name.len());
    pointer.push_str(parent);
    pointer.push('/');
    pointer.push_str(&name);
    pointer
}

/// A short description of a value for a message. Text is truncated to 60 characters.
pub fn excerpt(value: &serde_json::Value) -> String {
    match value {
        // Serializing a large value only to truncate it would be as expensive as the document.
        serde_json::Value::Array(items) => format!("a list of {}", items.len()),
        serde_json::Value::Object(fields) if fields.len() == 1 => "an object of 1 field".to_owned(),
        serde_json::Value::Object(fields) => format!("an object of {} fields", fields.len()),
        serde_json::Value::String(text) => format!("`{}`", truncated(text)),
        other => format!("`{other}`"),
    }
}

/// The first 60 characters of a text, for a message; `…` marks the truncation.
pub(crate) fn truncated(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Whether all characters are invisible: white space, control and zero-width characters.
pub(crate) fn is_blank(text: &str) -> bool {
    let invisible = |c| matches!(c, '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}');
    text.chars().all(|c| c.is_whitespace() || c.is_control() || invisible(c))
}
