//! One recorded attempt with everything that a replay needs.

use std::path::PathBuf;

use sitewright_ai::JournalEntry;
use sitewright_model::failure::{FailureKind, FailureRecord, TemplateRef, TrailEntry};
use sitewright_model::message;
use sitewright_model::message::Message;
use sitewright_runtime::plugin::Limits;
use sitewright_runtime::run::recording::{Recording, reply_digest};
use sitewright_runtime::run::{ArchivedRelease, AttemptId};

/// One recorded attempt.
#[derive(Debug, Clone)]
pub struct RecordedAttempt {
    /// The attempt: seeds clock and randomness.
    pub attempt: AttemptId,
    /// The order.
    pub order: String,
    /// The template that made it.
    pub template: TemplateRef,
    /// How it ended.
    pub ended: RecordedEnd,
    /// What its run did; missing when its process ended before that could be written down.
    pub recording: Option<Recording>,
    /// The order's document as it came.
    pub document: Vec<u8>,
    /// Every reply that was kept of the order's AI calls.
    pub replies: Vec<JournalEntry>,
    /// What a run may use, where there is no recording.
    pub limits: Limits,
    /// The language of orders that name none, where there is no recording.
    pub default_locale: String,
    /// Purposes with a route, where there is no recording.
    pub routes: Vec<String>,
    /// The template's file, when one of that digest was found.
    pub wasm: Option<PathBuf>,
    /// Where it was looked for.
    pub looked: Vec<PathBuf>,
    /// Whether what the customer wrote was replaced by placeholders.
    pub scrubbed: bool,
    /// What whoever reads the report must know.
    pub notes: Vec<String>,
}

/// How a recorded attempt ended.
#[derive(Debug, Clone)]
pub enum RecordedEnd {
    /// With this record.
    Failed(Box<FailureRecord>),
    /// With a release.
    Released(Box<ArchivedRelease>),
    /// Nobody knows: its process ended first.
    Unknown,
}

impl RecordedEnd {
    /// The last host calls.
    pub fn trail(&self) -> &[TrailEntry] {
        match self {
            RecordedEnd::Failed(record) => &record.trail,
            RecordedEnd::Released(kept) => &kept.trail,
            RecordedEnd::Unknown => &[],
        }
    }

    /// The kind of its failure.
    pub fn kind(&self) -> Option<FailureKind> {
        match self {
            RecordedEnd::Failed(record) => Some(record.kind),
            RecordedEnd::Released(_) | RecordedEnd::Unknown => None,
        }
    }

    /// Whether time, and not what the template did, ended it: then a replay can only come to the
    /// same place.
    pub fn by_time(&self) -> bool {
        match self.kind() {
            Some(kind) => matches!(
                kind,
                FailureKind::Deadline
                    | FailureKind::Cancelled
                    | FailureKind::Crashed
                    | FailureKind::Host
            ),
            None => matches!(self, RecordedEnd::Unknown),
        }
    }
}

/// A recorded attempt cannot be made again: what is missing, all of it.
#[derive(Debug, thiserror::Error)]
#[error("attempt {attempt} cannot be replayed:\n{}", .missing.iter().map(|one| format!("  - {one}")).collect::<Vec<_>>().join("\n"))]
pub struct NotReplayable {
    /// The attempt.
    pub attempt: String,
    /// Each missing thing and what to do about it.
    pub missing: Vec<Message>,
}

impl RecordedAttempt {
    /// What stands in the way of a replay with this template, or its own when none is given.
    pub fn missing(&self, other_template: bool, live: bool) -> Vec<Message> {
        let mut missing = Vec::new();
        if self.document.is_empty() {
            missing.push(message!(
                "the order's document is not there: it lies in the order's folder of sites under \
                 `documents`, or in the database of orders; it goes with the order"
            ));
        }
        if !other_template && self.wasm.is_none() && self.needs_template() {
            let looked: Vec<String> =
                self.looked.iter().map(|path| path.display().to_string()).collect();
            missing.push(match self.template.digest.is_empty() {
                true => message!(
                    "the template `{}` is not there, and its digest was not recorded; name its \
                     file with --template",
                    self.template.name
                ),
                false => message!(
                    "no template file has the digest {} (`{}` {}); looked in {}; name the file \
                     with --template",
                    self.template.digest,
                    self.template.name,
                    self.template.version,
                    looked.join(", ")
                ),
            });
        }
        let Some(recording) = self.recording.as_ref().filter(|_| !live) else { return missing };
        for end in &recording.ai {
            let (Some(key), Some(reply)) = (&end.key, &end.reply) else { continue };
            if self.reply(&key.request, reply).is_none() {
                missing.push(message!(
                    "the reply to {} is not in the journal: it lies in the order's folder of \
                     sites under `journal`, or in the database of orders",
                    end.call_id
                ));
            }
        }
        missing
    }

    /// An order that could not be read, or a template that could not be found, never came to a
    /// template.
    fn needs_template(&self) -> bool {
        match &self.ended {
            RecordedEnd::Failed(record) => {
                record.stage != "order" || !self.template.digest.is_empty()
            }
            RecordedEnd::Released(_) | RecordedEnd::Unknown => true,
        }
    }

    /// The kept reply with this digest to this question.
    pub(super) fn reply(&self, request: &str, digest: &str) -> Option<&JournalEntry> {
        self.replies
            .iter()
            .find(|entry| entry.key.request == request && reply_digest(&entry.content) == digest)
    }
}
