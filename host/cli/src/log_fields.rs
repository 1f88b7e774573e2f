//! How the values of log lines for people are written.
//!
//! Values contain text of templates, customers and providers. Each is cleaned before the colours of
//! the line are added: the writer behind lets the sequences of our own colours pass, so a value
//! must not contain any.

use std::error::Error;
use std::fmt;

use tracing::field::{Field, Visit};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;

use crate::terminal::Guard;

/// Formats the fields of an event or a span as tracing's own formatter does, but without anything
/// in their values that a terminal would obey.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CleanFields;

impl<'w> FormatFields<'w> for CleanFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut visitor = CleanVisitor { writer, is_first: true, result: Ok(()) };
        fields.record(&mut visitor);
        visitor.result
    }
}

struct CleanVisitor<'w> {
    writer: Writer<'w>,
    is_first: bool,
    result: fmt::Result,
}

impl CleanVisitor<'_> {
    fn write(&mut self, name: &str, value: &dyn fmt::Debug) -> fmt::Result {
        if !std::mem::take(&mut self.is_first) {
            self.writer.write_char(' ')?;
        }
        if name != "message" {
            let name = name.strip_prefix("r#").unwrap_or(name);
            match self.writer.has_ansi_escapes() {
                true => write!(self.writer, "\u{1b}[3m{name}\u{1b}[0m\u{1b}[2m=\u{1b}[0m")?,
                false => write!(self.writer, "{name}=")?,
            }
        }
        let value = format!("{value:?}");
        self.writer.write_str(&Guard::Value.cleaned(&value))
    }
}

impl Visit for CleanVisitor<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.record_debug(field, &format_args!("{value}"));
        } else {
            self.record_debug(field, &value);
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let mut text = value.to_string();
        let mut source = value.source();
        while let Some(cause) = source {
            text.push_str(&format!(": {cause}"));
            source = cause.source();
        }
        self.record_debug(field, &format_args!("{text}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // The fields `log.` are those of the crate `log`: target and place, which the line has.
        if self.result.is_ok() && !field.name().starts_with("log.") {
            self.result = self.write(field.name(), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use sitewright_failure::render::is_obeyed;

    use super::*;
    use crate::written::Written;

    /// What a provider, a template or a customer may send.
    const HOSTILE: [(&str, &str); 12] = [
        ("colour", "\u{1b}[31mred\u{1b}[0m"),
        ("bold colour", "\u{1b}[31;1m"),
        ("reset", "\u{1b}[0m"),
        ("empty style", "\u{1b}[m"),
        ("italic", "\u{1b}[3m"),
        ("hidden", "\u{1b}[8m"),
        ("clear", "\u{1b}[2J\u{1b}[1A"),
        ("256 colours", "\u{1b}[38;5;1m"),
        ("title", "\u{1b}]0;PWNED\u{7}"),
        ("C1", "\u{9b}31m"),
        ("device reset", "\u{1b}c"),
        ("line", "a\r\n2026-11-30T00:00:00Z  INFO sitewright: all is well"),
    ];

    #[derive(Debug)]
    struct Failure(String);

    impl fmt::Display for Failure {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(&self.0)
        }
    }

    impl Error for Failure {}

    /// The lines of a log that has this text in each place that a text can have.
    fn logged(text: &str, colours: bool) -> String {
        let written = Written::default();
        let to = written.clone();
        let subscriber = tracing_subscriber::fmt()
            .fmt_fields(CleanFields)
            .with_ansi(colours)
            .with_writer(move || to.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            let span = tracing::error_span!("attempt", order = %text, late = tracing::field::Empty);
            let _in_span = span.enter();
            span.record("late", text);
            tracing::error!(reason = %text, "an AI attempt failed: {text}");
            tracing::error!(reason = ?text, name = text, r#type = 7, "it has other fields");
            let error = Failure(text.to_owned());
            tracing::error!(error = &error as &(dyn Error + 'static), "it has an error");
        });
        written.text()
    }

    #[test]
    fn a_value_in_the_log_has_no_colours_of_its_own() {
        let plain = logged("x", false);
        assert!(plain.contains("an AI attempt failed: x reason=x\n"), "{plain}");
        assert!(plain.contains("it has other fields reason=\"x\" name=\"x\" type=7\n"), "{plain}");
        assert!(plain.contains("attempt{order=x late=\"x\"}"), "{plain}");
        assert!(plain.contains("it has an error error=x\n"), "{plain}");
        let escapes = |text: &str| text.matches('\u{1b}').count();
        let (ours, lines) = (escapes(&logged("x", true)), plain.lines().count());
        assert!(ours > 0, "our own colours stay");
        for (name, text) in HOSTILE {
            let plain = logged(text, false);
            assert!(plain.chars().all(|c| c == '\n' || !is_obeyed(c)), "{name}: {plain:?}");
            assert_eq!(plain.lines().count(), lines, "{name}: {plain:?}");
            let coloured = logged(text, true);
            assert_eq!(escapes(&coloured), ours, "{name}: {coloured:?}");
        }
    }
}
