//! What a provider says about a batch, before it is redacted.

use crate::redact::Redactor;

/// Maximum length of an id that a provider gives a batch or a file.
const MAX_ID: usize = 200;

/// Maximum size in bytes of what a provider says in a message.
const MAX_DETAIL: usize = 800;

/// Words, an id or an answer of a provider. It may repeat a key, so it can only be read redacted:
/// what is stored, shown and logged of a batch is made from this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said(String);

impl Said {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Said(text.into())
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The beginning of a message, at most 800 bytes.
    pub(super) fn message(&self, redactor: &Redactor) -> String {
        redactor.redact_beginning(&self.0, MAX_DETAIL)
    }

    /// The body of an answer.
    pub(super) fn answer(&self, redactor: &Redactor) -> String {
        redactor.redact_reply(&self.0).into_owned()
    }

    /// An id, which becomes a part of a path and is stored. `None` if it could lead elsewhere, or has
    /// a key in it: it cannot be used without it.
    pub(super) fn id(&self, redactor: &Redactor) -> Option<String> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let is_usable = !self.0.is_empty()
            && self.0.len() <= MAX_ID
            && self.0.chars().all(is_plain)
            && *redactor.redact(&self.0) == *self.0;
        is_usable.then(|| self.0.clone())
    }

    #[cfg(test)]
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_provider_says_of_a_batch_has_a_key_in_it() {
        let key = "k7-9f8e7d6c5b4a39281706";
        let redactor = Redactor::new([key.into()]);
        let said = Said::new(format!("limit reached for {key}"));
        assert!(!said.message(&redactor).contains(key), "{}", said.message(&redactor));
        assert!(!said.answer(&redactor).contains(key), "{}", said.answer(&redactor));
        assert!(said.message(&redactor).starts_with("limit reached for "));
        assert_eq!(Said::new("x".repeat(5_000)).message(&redactor).len(), MAX_DETAIL);
        for (id, is_usable) in [
            ("batch_01-a", true),
            (key, false),
            ("batch_k7-9f8e7d6c5b4a39281706", false),
            ("", false),
            ("../files/1", false),
            ("a?b", false),
            (&*"a".repeat(MAX_ID), true),
            (&*"a".repeat(MAX_ID + 1), false),
        ] {
            assert_eq!(Said::new(id).id(&redactor).is_some(), is_usable, "{id}");
        }
    }
}
