//! `diagnostics`: what a template tells about itself. Bounded, and never a reason to fail.

use super::run_log::{Panic, RunProgress};
use super::state::GuestState;
use crate::failure::{Diagnostic, Severity, SourceLocation, TrailOutcome};
use crate::message;
use crate::message::Message;
use crate::plugin::bindings::{diagnostics, types};

/// Longest text kept of anything a template reports, in bytes.
const MAX_TEXT: usize = 8 << 10;
/// Most causes and attributes kept of one diagnostic.
const MAX_ITEMS: usize = 32;

impl types::Host for GuestState {}

impl diagnostics::Host for GuestState {
    fn report(&mut self, diagnostic: diagnostics::Diagnostic) -> wasmtime::Result<()> {
        let code = cut(diagnostic.code, 128);
        let entry = self.log.begin("diagnostics.report", code.clone(), None);
        let message = Message::or(cut(diagnostic.message, MAX_TEXT), message!("(no message) {code}"));
        self.log.diagnose(Diagnostic {
            at_ms: self.log.now_ms(),
            severity: match diagnostic.severity {
                diagnostics::Severity::Info | diagnostics::Severity::Other => Severity::Info,
                diagnostics::Severity::Warning => Severity::Warning,
                diagnostics::Severity::Error => Severity::Error,
            },
            code,
            message,
            causes: diagnostic.causes.into_iter().take(MAX_ITEMS).map(|cause| cut(cause, MAX_TEXT)).collect(),
            location: diagnostic.location.map(location),
            attributes: diagnostic
                .attributes
                .into_iter()
                .take(MAX_ITEMS)
                .map(|attribute| (cut(attribute.name, 128), cut(attribute.value, MAX_TEXT)))
                .collect(),
        });
        self.log.end(entry, TrailOutcome::Ok);
        Ok(())
    }

    fn panicked(&mut self, panic: diagnostics::Panic) -> wasmtime::Result<()> {
        let entry = self.log.begin("diagnostics.panicked", cut(panic.message.clone(), 200), None);
        self.log.panicked(Panic {
            message: cut(panic.message, MAX_TEXT),
            location: panic.location.map(location),
        });
        self.log.end(entry, TrailOutcome::Ok);
        Ok(())
    }

    fn log(&mut self, level: diagnostics::Level, message: String) -> wasmtime::Result<()> {
        let level = match level {
            diagnostics::Level::Trace => "TRACE",
            diagnostics::Level::Debug => "DEBUG",
            diagnostics::Level::Info | diagnostics::Level::Other => "INFO",
            diagnostics::Level::Warn => "WARN",
            diagnostics::Level::Error => "ERROR",
        };
        self.log.log(level, &message);
        tracing::debug!(target: "template", level, message = cut(message, 1_000));
        Ok(())
    }

    fn progress(&mut self, stage: String, done: u32, total: u32) -> wasmtime::Result<()> {
        let stage = cut(stage, 128);
        let entry = self.log.begin("diagnostics.progress", format!("{stage} {done}/{total}"), None);
        self.log.set_progress(RunProgress { stage, done, total });
        self.log.end(entry, TrailOutcome::Ok);
        Ok(())
    }
}

/// A location of the template's source as records show it.
pub(crate) fn location(raw: types::SourceLocation) -> SourceLocation {
    SourceLocation { file: cut(raw.file, 1_024), line: raw.line, column: raw.column }
}

/// At most `max` bytes of a text, cut between characters.
pub(crate) fn cut(mut text: String, max: usize) -> String {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}
