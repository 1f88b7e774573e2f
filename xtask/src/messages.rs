//! Runs cargo and reads its messages.

use std::collections::HashSet;
use std::io::BufReader;
use std::process::{Command, Stdio};

use anyhow::Context as _;
use cargo_metadata::Message;
use cargo_metadata::diagnostic::DiagnosticLevel;
use xshell::Cmd;

use crate::console;
use crate::process;

/// Runs cargo and passes each of its messages to `handle`. Its `--message-format` must be one of
/// the JSON formats.
pub(crate) fn run(cargo: Cmd<'_>, mut handle: impl FnMut(Message)) -> anyhow::Result<()> {
    let text = cargo.to_string();
    let mut child = Command::from(cargo)
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{text}`"))?;
    if let Some(stdout) = child.stdout.take() {
        for message in Message::parse_stream(BufReader::new(stdout)) {
            handle(message.context("cannot read the messages of cargo")?);
        }
    }
    process::check(&text, child.wait().context("cannot wait for cargo")?)
}

/// The diagnostics of a build. Cargo repeats those of crates that are up to date, so a second build
/// has the same ones.
#[derive(Debug, Default)]
pub(crate) struct Diagnostics {
    seen: HashSet<String>,
    /// The number of different warnings.
    pub(crate) warnings: usize,
}

impl Diagnostics {
    /// Prints the diagnostic in a message, unless it was printed before: a crate and its unit tests
    /// are compiled separately and report the same lines.
    pub(crate) fn print(&mut self, message: Message) {
        let Message::CompilerMessage(message) = message else { return };
        let diagnostic = message.message;
        let Some(text) = diagnostic.rendered else { return };
        // "2 warnings emitted" has no location and belongs to the warnings before.
        if diagnostic.spans.is_empty() && diagnostic.code.is_none() {
            return;
        }
        if !self.seen.insert(text.clone()) {
            return;
        }
        if diagnostic.level == DiagnosticLevel::Warning {
            self.warnings += 1;
        }
        console::line(&text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(level: &str, text: &str, spans: &str) -> Message {
        let json = format!(
            r#"{{"reason":"compiler-message","package_id":"path+file:///a#0.1.0",
            "manifest_path":"/a/Cargo.toml","target":{{"kind":["lib"],"crate_types":["lib"],
            "name":"a","src_path":"/a/src/lib.rs","edition":"2024","doc":true,"doctest":true,
            "test":true}},"message":{{"rendered":"{text}","message":"{text}","children":[],
            "code":null,"level":"{level}","spans":[{spans}]}}}}"#
        );
        serde_json::from_str(&json).unwrap()
    }

    #[test]
    fn each_warning_is_counted_once() {
        let span = r#"{"file_name":"a.rs","byte_start":0,"byte_end":1,"line_start":1,"line_end":1,
            "column_start":1,"column_end":2,"is_primary":true,"text":[],"label":null,
            "suggested_replacement":null,"suggestion_applicability":null,"expansion":null}"#;
        let mut diagnostics = Diagnostics::default();
        for (level, text, spans, warnings) in [
            ("warning", "unused variable: `a`", span, 1),
            ("warning", "unused variable: `a`", span, 1),
            ("warning", "unused variable: `b`", span, 2),
            ("error", "mismatched types", span, 2),
            ("warning", "2 warnings emitted", "", 2),
        ] {
            diagnostics.print(message(level, text, spans));
            assert_eq!(diagnostics.warnings, warnings, "{level} {text}");
        }
    }
}
