//! Removes keys from what leaves the gateway. Some providers put the refused key, whole or in part, into their error text.

use std::borrow::Cow;
use std::fmt;

use secrecy::{ExposeSecret, SecretString};

const REMOVED: &str = "[key removed]";

/// The keys of one provider.
#[derive(Clone)]
pub(super) struct Redactor {
    secrets: Vec<SecretString>,
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redactor")
    }
}

impl Redactor {
    pub(super) fn new(secrets: impl IntoIterator<Item = SecretString>) -> Self {
        Redactor { secrets: secrets.into_iter().collect() }
    }

    /// The text without the keys and without anything that begins like a key (`sk-...`).
    pub(super) fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut text = Cow::Borrowed(text);
        for secret in self.secrets.iter().map(ExposeSecret::expose_secret) {
            if text.contains(secret) {
                text = Cow::Owned(text.replace(secret, REMOVED));
            }
        }
        if !text.contains("sk-") {
            return text;
        }
        let mut clean = String::with_capacity(text.len());
        let mut rest: &str = &text;
        while let Some(start) = rest.find("sk-") {
            let (before, from) = rest.split_at(start);
            let in_key = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '*' | '.');
            let end = from.find(|c| !in_key(c)).unwrap_or(from.len());
            clean.push_str(before);
            // `task-list` and `desk-top` are words; a key stands alone and is longer than its prefix.
            let inside_word = before.ends_with(|c: char| c.is_alphanumeric());
            clean.push_str(if inside_word || end < 8 { &from[..end] } else { REMOVED });
            rest = &from[end..];
        }
        clean.push_str(rest);
        Cow::Owned(clean)
    }
}
