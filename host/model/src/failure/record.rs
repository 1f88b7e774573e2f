//! The failure record: one serde type, whatever shows it.

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

/// The version of the record that this host writes. A reader refuses a larger number. Version 1 is
/// read by `sitewright_failure::store`, which turns it into this one.
pub const RECORD_VERSION: u32 = 2;

/// Everything about one attempt that did not succeed. Written once, never changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FailureRecord {
    /// The version of this format: 2.
    #[schemars(extend("const" = RECORD_VERSION))]
    pub version: u32,
    /// Id of this record: a ULID, so that ids sort by time.
    pub id: String,
    /// When the attempt ended, RFC 3339 in UTC.
    pub time: String,
    /// The order's id as the CRM knows it; `unknown` when the document was too broken to tell.
    pub order: String,
    /// The job in the queue; missing when the order was run by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// The attempt: its id, unique for all orders.
    pub attempt: String,
    /// Follows the attempt through logs and other systems: 32 hexadecimal digits.
    pub trace_id: String,
    /// The template, as far as it could be known.
    pub template: TemplateRef,
    /// Version and commit of the host.
    pub host_build: String,
    /// Identifies the configuration the attempt started with.
    pub config_version: String,

    /// The same for failures that are most likely one and the same bug: 16 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// Why, in one word.
    pub kind: FailureKind,
    /// What happened, in one sentence. Never empty.
    pub message: Message,
    /// Why it happened, from the outermost cause to the root.
    pub causes: Vec<Message>,
    /// What to do next.
    pub hint: Message,
    /// The template's own code for the failure, when it returned one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Where in the template's source, when the template said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<SourceLocation>,
    /// Whatever else the template wanted to say of its failure.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// The last stage: one of the host's (`order`, `template`, `checks`, `release`) or the
    /// template's own while it ran.
    pub stage: String,
    /// How far the stage was, when the template said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,

    /// What stopped the guest, for traps, panics and limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trap: Option<TrapRecord>,
    /// The panic's message, from the template's hook or its stderr.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub panic: Option<String>,
    /// The AI call that failed the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ai: Option<AiError>,
    /// AI calls whose replies, or failures, the template blamed: the next attempt at the order
    /// asks these again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blamed_calls: Vec<String>,
    /// What is wrong with the order document or the site, all of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,

    /// The lines around the first own frame, where the template's source was at hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceExcerpt>,
    /// The dump of the stopped guest, when one was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coredump: Option<CoreDumpRecord>,

    /// The host calls that matter most, in the order in which they began.
    pub trail: Vec<TrailEntry>,
    /// How many host calls there were in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calls: Option<u64>,
    /// The AI calls that the trail has, with every try: linked by `call_id`. Calls that were
    /// refused before any try are not among them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ai_calls: Vec<AiCallTries>,
    /// What the template reported, oldest first. Those that the trail still has stand there under
    /// the same number.
    pub diagnostics: Vec<Diagnostic>,
    /// The tail of what the template logged.
    pub log: LogTail,
    /// The tail of what the template printed on stderr.
    pub stderr: String,
    /// The tail of what the template printed on stdout.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stdout: String,
    /// Each limit beside what was used of it.
    pub limits: BTreeMap<String, Measure>,
    /// What a replay of the attempt needs besides the order's document and the AI replies: for
    /// `sitewright replay` alone, with a version of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    pub recording: Option<Box<serde_json::Value>>,
}

/// Whose failure it is, where no run is there to ask.
#[derive(Debug, Clone)]
pub struct OfAttempt {
    /// The order's id.
    pub order: String,
    /// The job in the queue.
    pub job: Option<String>,
    /// The attempt's id.
    pub attempt: String,
    /// Its trace id.
    pub trace_id: String,
    /// The template's name.
    pub template: String,
    /// The configuration it was made with.
    pub config_version: String,
}

impl FailureRecord {
    /// The record of what no run could write down: its process ended, or it was over already. Time
    /// and build are those of whoever writes it.
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
            stage: "unknown".to_owned(),
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

    /// The author's own frame where the guest stopped, or where the template says it happened:
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

/// Which template, exactly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TemplateRef {
    /// Its name, or what was asked for when it could not be loaded.
    pub name: String,
    /// Its version; empty when it could not be loaded.
    #[serde(default)]
    pub version: String,
    /// `sha256:` and 64 hexadecimal digits of the `.wasm` file, also of one that could not be
    /// loaded; empty when there was none.
    #[serde(default)]
    pub digest: String,
}

/// A place in the template's source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SourceLocation {
    /// Path as the compiler knew it.
    pub file: String,
    /// From 1.
    pub line: u32,
    /// From 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
}

/// How far a stage is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Progress {
    /// Steps done.
    pub done: u32,
    /// Steps in all; 0 when unknown.
    pub total: u32,
}

/// An AI call of the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AiCallTries {
    /// Its id, as in the trail.
    pub call_id: String,
    /// What it was for.
    pub purpose: String,
    /// Whether the reply came from the journal of an earlier attempt, at no cost.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replayed: bool,
    /// Every try, over all candidates of the route; none for a call that was replayed.
    pub attempts: Vec<Attempt>,
}

/// Something wrong with a document or a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// Where: a JSON pointer into the order document, or a file of the site.
    pub at: String,
    /// The rule that was broken, for the site's checks: `broken-link`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// What is wrong and what would be right.
    pub message: String,
}

/// Something the template reported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Diagnostic {
    /// Number of the host call that it came with, as in the trail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// Milliseconds from the start of the run.
    pub at_ms: u64,
    /// `info`, `warning` or `error`.
    pub severity: Severity,
    /// Short, stable, for machines.
    pub code: String,
    /// For people.
    pub message: Message,
    /// From the outermost cause to the root.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
    /// Where in the template's source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<SourceLocation>,
    /// Whatever else the template wanted to say.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
}

/// How bad a diagnostic is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// The site is fine but could be better.
    Warning,
    /// Something is wrong with the order or the template.
    Error,
}

/// The tail of a log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogTail {
    /// Newest lines, oldest first: `LEVEL message`.
    pub text: String,
    /// Bytes that were dropped before them.
    pub dropped_bytes: u64,
}
