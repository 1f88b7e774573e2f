//! The failure record: the one serde type behind JSON, terminal, web page and log event.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use super::coredump::CoreDumpRecord;
use super::kind::FailureKind;
use super::source::SourceExcerpt;
use super::trail::TrailEntry;
use super::trap::{Frame, TrapRecord};
use crate::Measure;
use crate::ai::{AiError, Attempt};
use crate::build::host_build;
use crate::message;
use crate::message::Message;

/// The version of the record that this host writes. Readers reject a larger number.
/// `sitewright_failure::store` reads version 1 and converts it to this one.
pub const RECORD_VERSION: u32 = 2;

/// The [`FailureRecord::stage`] of an attempt whose last stage is not known.
pub const UNKNOWN_STAGE: &str = "unknown";

/// The report of one attempt that did not succeed. Written once, never changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FailureRecord {
    /// The version of this format: 2.
    #[schemars(extend("const" = RECORD_VERSION))]
    pub version: u32,
    /// Id of this record: a ULID, so that ids sort by time.
    pub id: String,
    /// When the attempt ended, RFC 3339 in UTC.
    pub time: String,
    /// The order's id in the CRM; `unknown` if it cannot be read from the document.
    pub order: String,
    /// The job in the queue; missing if the order was run without the queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// Id of the attempt, unique among all orders.
    pub attempt: String,
    /// Trace id of the attempt in logs and other systems: 32 hexadecimal digits.
    pub trace_id: String,
    /// The template, as far as it is known.
    pub template: TemplateRef,
    /// Version and commit of the host.
    pub host_build: String,
    /// Version of the configuration with which the attempt started.
    pub config_version: String,

    /// Identifies the cause: equal for failures that are most likely the same bug. 16 hexadecimal
    /// digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// The kind of the failure.
    pub kind: FailureKind,
    /// What happened, in one sentence. Never empty.
    pub message: Message,
    /// The causes, from the outermost to the root.
    pub causes: Vec<Message>,
    /// What to do next.
    pub hint: Message,
    /// The template's code for the failure, if it returned one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Location in the template's source, if the template reported one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<SourceLocation>,
    /// Other details that the template reported with its failure.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// The last stage: one of the host's (`order`, `template`, `checks`, `release`), or the
    /// template's own while it ran.
    pub stage: String,
    /// Progress of the stage, if the template reported it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,

    /// What stopped the guest, for traps, panics and limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trap: Option<TrapRecord>,
    /// The panic's message, from the SDK's panic hook or from stderr.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub panic: Option<String>,
    /// The AI call that failed the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ai: Option<AiError>,
    /// Ids of the AI calls that the template blamed: the next attempt at the order makes them
    /// again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blamed_calls: Vec<String>,
    /// All problems of the order document or of the site.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,

    /// The lines around the first own frame, if the template's source was available.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceExcerpt>,
    /// The core dump of the stopped guest, if one was requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coredump: Option<CoreDumpRecord>,

    /// The host calls that matter most, in the order in which they began.
    pub trail: Vec<TrailEntry>,
    /// Number of all host calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calls: Option<u64>,
    /// The AI calls of the trail, with all attempts; linked by `call_id`. Calls that were rejected
    /// before any attempt are not included.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ai_calls: Vec<AiCallTries>,
    /// Diagnostics of the template, oldest first. Those that are still in the trail have the same
    /// number there.
    pub diagnostics: Vec<Diagnostic>,
    /// The tail of what the template logged.
    pub log: LogTail,
    /// The tail of what the template printed on stderr.
    pub stderr: String,
    /// The tail of what the template printed on stdout.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stdout: String,
    /// Each limit with its usage.
    pub limits: BTreeMap<String, Measure>,
    /// What `sitewright replay` needs besides the order's document and the AI replies. It has a
    /// version of its own and is opaque to other readers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    pub recording: Option<Box<serde_json::Value>>,
}

/// Identifies the attempt of a failure that was not recorded by its run.
#[derive(Debug, Clone)]
pub struct OfAttempt {
    pub order: String,
    pub job: Option<String>,
    pub attempt: String,
    pub trace_id: String,
    pub template: String,
    /// Version of the configuration.
    pub config_version: String,
}

impl FailureRecord {
    /// The record of a failure that its run could not record: its process ended, or the run was
    /// over already. Time and host build are those of the caller.
    pub fn without_run(kind: FailureKind, message: Message, of: OfAttempt) -> Self {
        FailureRecord {
            version: RECORD_VERSION,
            id: Ulid::generate().to_string(),
            time: crate::time::now(),
            order: of.order,
            job: of.job,
            attempt: of.attempt,
            trace_id: of.trace_id,
            template: TemplateRef {
                name: of.template,
                version: String::new(),
                digest: String::new(),
            },
            host_build: host_build().to_owned(),
            config_version: of.config_version,
            fingerprint: None,
            kind,
            message,
            causes: Vec::new(),
            hint: Message::or(kind.hint(), message!("see `sitewright doctor`")),
            code: None,
            location: None,
            attributes: BTreeMap::new(),
            stage: UNKNOWN_STAGE.to_owned(),
            progress: None,
            trap: None,
            panic: None,
            ai: None,
            blamed_calls: Vec::new(),
            problems: Vec::new(),
            source: None,
            coredump: None,
            trail: Vec::new(),
            calls: None,
            ai_calls: Vec::new(),
            diagnostics: Vec::new(),
            log: LogTail::default(),
            stderr: String::new(),
            stdout: String::new(),
            limits: BTreeMap::new(),
            recording: None,
        }
    }

    /// The first frame of the author's own code, or else the location that the template reported:
    /// `file:line in function`.
    pub fn top_frame(&self) -> Option<String> {
        top_frame(self.trap.as_ref(), self.location.as_ref())
    }
}

/// See [`FailureRecord::top_frame`].
pub fn top_frame(trap: Option<&TrapRecord>, location: Option<&SourceLocation>) -> Option<String> {
    let frames = trap.into_iter().flat_map(|trap| &trap.frames);
    let at = |file: &str, line: Option<u32>| {
        let line = line.map(|line| format!(":{line}")).unwrap_or_default();
        format!("{file}{line}")
    };
    match frames.into_iter().find(|frame| frame.own) {
        Some(Frame { function, file: Some(file), line, .. }) => {
            Some(format!("{} in {function}", at(file, *line)))
        }
        Some(frame) => Some(frame.function.clone()),
        None => location.map(|place| at(&place.file, Some(place.line))),
    }
}

/// Identifies a build of a template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TemplateRef {
    /// Its name, or the requested name if it could not be loaded.
    pub name: String,
    /// Its version; empty if it could not be loaded.
    #[serde(default)]
    pub version: String,
    /// `sha256:` and 64 hexadecimal digits of the `.wasm` file, also if it could not be loaded;
    /// empty if there was no file.
    #[serde(default)]
    pub digest: String,
}

/// A location in the template's source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SourceLocation {
    /// Path, as reported by the compiler.
    pub file: String,
    /// From 1.
    pub line: u32,
    /// From 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
}

/// Progress of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Progress {
    /// Steps done.
    pub done: u32,
    /// Total number of steps; 0 if unknown.
    pub total: u32,
}

/// An AI call of the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AiCallTries {
    /// Id of the call, as in the trail.
    pub call_id: String,
    /// Purpose of the call.
    pub purpose: String,
    /// Whether the reply comes from the journal of an earlier attempt, at no cost.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replayed: bool,
    /// Whether the reply answered an equal request of another order, at no cost.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cached: bool,
    /// All attempts, over all candidates of the route; empty if no model was asked.
    pub attempts: Vec<Attempt>,
}

/// A problem of the order document or of a file of the site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// A JSON pointer into the order document, or a file of the site.
    pub at: String,
    /// The violated rule of the site's checks, such as `broken-link`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// What is wrong and what is expected.
    pub message: String,
}

/// A diagnostic that the template reported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Diagnostic {
    /// Number of its host call, as in the trail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// Milliseconds from the start of the run.
    pub at_ms: u64,
    /// `info`, `warning` or `error`.
    pub severity: Severity,
    /// Short, stable, machine-readable.
    pub code: String,
    /// Text for a person.
    pub message: Message,
    /// Causes, from the outermost to the root.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
    /// Location in the template's source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<SourceLocation>,
    /// Other details that the template reported.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
}

impl Diagnostic {
    /// Code, message, and the place in the template's source if there is one:
    /// `no-menu: the site shows no menu (src/app.py:40)`.
    pub fn summary(&self) -> String {
        let Diagnostic { code, message, location, .. } = self;
        match location {
            Some(at) => format!("{code}: {message} ({}:{})", at.file, at.line),
            None => format!("{code}: {message}"),
        }
    }
}

/// Severity of a diagnostic.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Information.
    Info,
    /// The site is fine but could be better.
    Warning,
    /// Something is wrong with the order or the template.
    Error,
}

/// The tail of a template's log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogTail {
    /// The newest lines, oldest first: `LEVEL message`.
    pub text: String,
    /// Number of bytes dropped before them.
    pub dropped_bytes: u64,
}
