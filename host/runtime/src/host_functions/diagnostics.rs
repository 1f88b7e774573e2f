//! `diagnostics`: reports, panics, log lines and progress of a template. Bounded, and never a
//! reason to fail.

use sha2::{Digest as _, Sha256};

use wasmtime::component::{Linker, WasmStr};

use super::lift::{self, CallTexts, Store, Text};
use super::run_trace::{MAX_LOG_LINE, Panic, RunProgress};
use super::state::GuestState;
use super::version::Version;
use crate::plugin::bindings::{diagnostics, types};
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

/// Maximum bytes of a source file's name.
const MAX_FILE: usize = 1_024;
/// Maximum bytes of the name of a stage.
const MAX_STAGE: usize = 128;

/// Links `diagnostics` and `types` of a version. Their types are the same in all versions.
///
/// # Errors
/// If one of them is linked already, which is a bug.
pub(super) fn link<V: Version>(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    // It has types only.
    linker.instance(&V::interface("types"))?;
    let mut diagnostics = linker.instance(&V::interface("diagnostics"))?;
    diagnostics
        .func_wrap("report", |store: Store<'_>, (raw,): (lift::Diagnostic,)| report(store, &raw))?;
    diagnostics
        .func_wrap("panicked", |store: Store<'_>, (raw,): (lift::Panic,)| panicked(&store, &raw))?;
    diagnostics.func_wrap(
        "log",
        |store: Store<'_>, (level, message): (diagnostics::Level, WasmStr)| {
            log(&store, level, &message)
        },
    )?;
    diagnostics.func_wrap(
        "progress",
        |store: Store<'_>, (stage, done, total): (WasmStr, u32, u32)| {
            let stage = lift::text(&store, &stage, MAX_STAGE)?.text;
            store.data().trace.report_progress(RunProgress { stage, done, total });
            Ok(())
        },
    )
}

/// Copies what a record may keep of a diagnostic.
fn report(mut store: Store<'_>, raw: &lift::Diagnostic) -> wasmtime::Result<()> {
    let mut texts = CallTexts::default();
    let code = texts.read(&store, &raw.code, MAX_TEXT)?;
    let message = texts.read(&store, &raw.message, MAX_TEXT)?;
    let place = raw.location.as_ref().map(|raw| located(&store, raw, &mut texts)).transpose()?;
    let causes = raw.causes(&mut store, MAX_ITEMS)?;
    let attributes = raw.attributes(&mut store, MAX_ITEMS)?;
    let mut short = |raw: &WasmStr, max| texts.read(&store, raw, max).map(|text| text.text);
    let diagnostic = diagnostics::Diagnostic {
        severity: raw.severity,
        code: code.text,
        message: message.text,
        causes: causes
            .iter()
            .map(|cause| short(cause, MAX_TEXT))
            .collect::<wasmtime::Result<_>>()?,
        location: place,
        attributes: attributes
            .iter()
            .map(|raw| {
                let (name, value) = (short(&raw.name, 128)?, short(&raw.value, MAX_TEXT)?);
                Ok(types::Attribute { name, value })
            })
            .collect::<wasmtime::Result<_>>()?,
    };
    store.data().reported(diagnostic, code.bytes.saturating_add(message.bytes))
}

fn panicked(store: &Store<'_>, raw: &lift::Panic) -> wasmtime::Result<()> {
    let mut texts = CallTexts::default();
    let Text { text: message, bytes } = texts.read(store, &raw.message, MAX_TEXT)?;
    let place = raw.location.as_ref().map(|raw| located(store, raw, &mut texts)).transpose()?;
    let trace = &store.data().trace;
    let entry = trace.begin(NewCall {
        call: "diagnostics.panicked",
        args: cut(&message, 200),
        bytes: Some(bytes as u64),
        digest: Some(short_digest([&message])),
        call_id: None,
    });
    trace.panicked(Panic { message, location: place.map(location) });
    trace.end(entry, TrailOutcome::Ok);
    Ok(())
}

fn log(store: &Store<'_>, level: diagnostics::Level, message: &WasmStr) -> wasmtime::Result<()> {
    let level = match level {
        diagnostics::Level::Trace => "TRACE",
        diagnostics::Level::Debug => "DEBUG",
        diagnostics::Level::Info | diagnostics::Level::Other => "INFO",
        diagnostics::Level::Warn => "WARN",
        diagnostics::Level::Error => "ERROR",
    };
    let Text { text, bytes } = lift::text(store, message, MAX_LOG_LINE)?;
    store.data().trace.log_beginning(level, &text, bytes);
    tracing::debug!(target: "template", level, message = cut(&text, 1_000));
    Ok(())
}

fn located(
    store: &Store<'_>,
    raw: &lift::Location,
    texts: &mut CallTexts,
) -> wasmtime::Result<types::SourceLocation> {
    let file = texts.read(store, &raw.file, MAX_FILE)?.text;
    Ok(types::SourceLocation { file, line: raw.line, column: raw.column })
}

impl GuestState {
    /// Adds a diagnostic to the run's trace. What a record does not keep of it is cut.
    ///
    /// # Errors
    /// In a replay that stops at the first error diagnostic.
    pub fn report(&self, diagnostic: diagnostics::Diagnostic) -> wasmtime::Result<()> {
        let bytes = diagnostic.code.len() + diagnostic.message.len();
        self.reported(diagnostic, bytes)
    }

    /// The same; code and message had `bytes` bytes before they were cut.
    fn reported(&self, diagnostic: diagnostics::Diagnostic, bytes: usize) -> wasmtime::Result<()> {
        let mut texts = Texts(MAX_DIAGNOSTIC);
        let code = texts.take(&diagnostic.code, 128);
        let entry = self.trace.begin(NewCall {
            call: "diagnostics.report",
            args: code.clone(),
            bytes: Some(bytes as u64),
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
}

/// A location in the template's source, bounded for records.
pub(crate) fn location(raw: types::SourceLocation) -> SourceLocation {
    SourceLocation { file: cut(&raw.file, MAX_FILE), line: raw.line, column: raw.column }
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
pub(crate) fn returned(raw: types::Failure) -> types::Failure {
    let mut texts = Texts(MAX_FAILURE);
    types::Failure {
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
