//! `diagnostics`: reports, panics, log lines and progress of a template. Bounded, and never a
//! reason to fail.

use sha2::{Digest as _, Sha256};

use super::run_trace::{Panic, RunProgress};
use super::state::GuestState;
use crate::plugin::bindings::{diagnostics, generator, types};
use sitewright_model::failure::{Diagnostic, NewCall, Severity, SourceLocation, TrailOutcome};
use sitewright_model::message;
use sitewright_model::message::Message;

/// Maximum bytes kept of one text that a template reports.
const MAX_TEXT: usize = 8 << 10;
/// Maximum causes, and maximum attributes, kept of one diagnostic or failure.
const MAX_ITEMS: usize = 32;
/// Maximum bytes of text kept of one diagnostic: a record with 256 of them takes a few megabytes.
const MAX_DIAGNOSTIC: usize = 16 << 10;
/// Maximum bytes of text kept of the failure that a template returns.
const MAX_FAILURE: usize = 128 << 10;
/// Maximum AI calls that a failure may blame.
const MAX_BLAMED: usize = 1_000;

impl types::Host for GuestState {}

impl diagnostics::Host for GuestState {
    fn report(&mut self, diagnostic: diagnostics::Diagnostic) -> wasmtime::Result<()> {
        let mut texts = Texts(MAX_DIAGNOSTIC);
        let code = texts.take(&diagnostic.code, 128);
        let entry = self.trace.begin(NewCall {
            call: "diagnostics.report",
            args: code.clone(),
            bytes: Some((diagnostic.code.len() + diagnostic.message.len()) as u64),
            digest: Some(short_digest([
                cut(&diagnostic.code, MAX_TEXT),
                cut(&diagnostic.message, MAX_TEXT),
            ])),
            call_id: None,
        });
        let message =
            Message::or(texts.take(&diagnostic.message, MAX_TEXT), message!("(no message) {code}"));
        let severity = match diagnostic.severity {
            diagnostics::Severity::Info | diagnostics::Severity::Other => Severity::Info,
            diagnostics::Severity::Warning => Severity::Warning,
            diagnostics::Severity::Error => Severity::Error,
        };
        let trapped = severity == Severity::Error
            && self.trace.cursor().is_some_and(|cursor| cursor.traps_on_report());
        self.trace.diagnose(Diagnostic {
            seq: Some(entry.0),
            at_ms: self.trace.now_ms(),
            severity,
            code: code.clone(),
            message: message.clone(),
            causes: texts.causes(&diagnostic.causes),
            location: diagnostic.location.map(location),
            attributes: texts
                .attributes(&diagnostic.attributes)
                .into_iter()
                .map(|attribute| (attribute.name, attribute.value))
                .collect(),
        });
        if trapped {
            // `--trap-on report`: the trap shows the guest's stack at this call.
            let why = format!("its first error diagnostic was to stop it: {code}: {message}");
            self.trace.end(entry, TrailOutcome::Error(why.clone()));
            return Err(wasmtime::Error::msg(why));
        }
        self.trace.end(entry, TrailOutcome::Ok);
        Ok(())
    }

    fn panicked(&mut self, panic: diagnostics::Panic) -> wasmtime::Result<()> {
        let entry = self.trace.begin(NewCall {
            call: "diagnostics.panicked",
            args: cut(&panic.message, 200),
            bytes: Some(panic.message.len() as u64),
            digest: Some(short_digest([cut(&panic.message, MAX_TEXT)])),
            call_id: None,
        });
        self.trace.panicked(Panic {
            message: cut(&panic.message, MAX_TEXT),
            location: panic.location.map(location),
        });
        self.trace.end(entry, TrailOutcome::Ok);
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
        self.trace.log(level, &message);
        tracing::debug!(target: "template", level, message = cut(&message, 1_000));
        Ok(())
    }

    fn progress(&mut self, stage: String, done: u32, total: u32) -> wasmtime::Result<()> {
        let stage = cut(&stage, 128);
        self.trace.report_progress(RunProgress { stage, done, total });
        Ok(())
    }
}

/// A location in the template's source, bounded for records.
pub(crate) fn location(raw: types::SourceLocation) -> SourceLocation {
    SourceLocation { file: cut(&raw.file, 1_024), line: raw.line, column: raw.column }
}

/// The first 12 digits of the SHA-256 of an argument: the trail tells arguments apart by it without
/// showing them.
pub(super) fn short_digest(parts: impl IntoIterator<Item = impl AsRef<[u8]>>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
        hash.update([0]);
    }
    hex::encode(&hash.finalize()[..6])
}

/// At most `max` bytes of a text, cut between characters.
pub(crate) fn cut(text: &str, max: usize) -> String {
    // A copy, because a truncated `String` keeps its whole allocation.
    text[..text.floor_char_boundary(max)].to_owned()
}

/// The failure that a template returned, bounded for records.
pub(crate) fn returned(raw: generator::Failure) -> generator::Failure {
    let mut texts = Texts(MAX_FAILURE);
    generator::Failure {
        code: texts.take(&raw.code, 128),
        message: texts.take(&raw.message, MAX_TEXT),
        causes: texts.causes(&raw.causes),
        location: raw.location,
        attributes: texts.attributes(&raw.attributes),
        ai_calls: raw.ai_calls.iter().take(MAX_BLAMED).map(|id| cut(id, 64)).collect(),
    }
}

/// The bytes of text that may still be kept of one report.
struct Texts(usize);

impl Texts {
    fn take(&mut self, text: &str, max: usize) -> String {
        let text = cut(text, max.min(self.0));
        self.0 -= text.len();
        text
    }

    fn causes(&mut self, causes: &[String]) -> Vec<String> {
        causes.iter().take(MAX_ITEMS).map(|cause| self.take(cause, MAX_TEXT)).collect()
    }

    fn attributes(&mut self, attributes: &[types::Attribute]) -> Vec<types::Attribute> {
        let kept = attributes.iter().take(MAX_ITEMS);
        kept.map(|attribute| types::Attribute {
            name: self.take(&attribute.name, 128),
            value: self.take(&attribute.value, MAX_TEXT),
        })
        .collect()
    }
}
