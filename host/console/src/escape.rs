//! Escaping of every value in a page.

use std::fmt::{self, Write};

use askama::filters::Escaper;
use sitewright_failure::render::is_obeyed;

/// Escapes the special characters of HTML, and replaces control characters and those that turn the
/// direction of a text. Order fields, names of templates, log lines and messages of providers are
/// written by strangers, and all of them reach a page through this.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Html;

impl Escaper for Html {
    fn write_escaped_str<W: Write>(&self, mut dest: W, text: &str) -> fmt::Result {
        text.chars().try_for_each(|c| self.write_escaped_char(&mut dest, c))
    }

    fn write_escaped_char<W: Write>(&self, mut dest: W, c: char) -> fmt::Result {
        match c {
            '<' | '>' | '&' | '"' | '\'' | '`' => write!(dest, "&#{};", u32::from(c)),
            // The lines of a log and of a document.
            '\n' => dest.write_char('\n'),
            '\t' | '\r' => dest.write_char(' '),
            c if is_obeyed(c) => dest.write_char('\u{fffd}'),
            c => dest.write_char(c),
        }
    }
}

/// The bytes that a text has in a page.
pub(crate) fn length(text: &str) -> usize {
    let length = |c: char| match c {
        '<' | '>' | '&' | '"' | '\'' | '`' => 5,
        c => c.len_utf8().max(if is_obeyed(c) { 3 } else { 1 }),
    };
    text.chars().map(length).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_text_is_obeyed() {
        let mut out = String::new();
        let text = "<b a=\"1\" c='2'>&`\0\u{1b}[31m\u{202e}\u{200b}\u{85}é</b>\n\t.";
        Html.write_escaped_str(&mut out, text).unwrap();
        assert!(!out.contains(['<', '>', '"', '\'', '`', '\0', '\u{1b}', '\u{202e}']), "{out}");
        assert!(out.ends_with("é&#60;/b&#62;\n ."), "{out}");
        assert!(length(text) >= out.len(), "{} {}", length(text), out.len());
    }
}
