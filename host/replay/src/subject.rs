//! A recorded attempt, with everything that a replay needs.

use std::collections::HashMap;
use std::path::PathBuf;

use sitewright_ai::JournalEntry;
use sitewright_model::failure::{FailureKind, FailureRecord, TemplateRef, TrailEntry};
use sitewright_model::message;
use sitewright_model::message::Message;
use sitewright_runtime::plugin::Limits;
use sitewright_runtime::run::recording::{Recording, reply_digest};
use sitewright_runtime::run::{ArchivedRelease, AttemptId, Stage};

/// Maximum things that are listed as missing.
const MAX_MISSING: usize = 50;

/// Where a recorded attempt comes from, which decides how far it is trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// This host recorded it: it is in the folder of sites, or in the database of orders.
    Host,
    /// A failure record in a file that the caller named. Somebody else may have written it.
    RecordFile,
    /// A bundle, which brings its template. Somebody else may have written it.
    Bundle,
}

impl Origin {
    /// Whether its limits, paths and templates are somebody else's.
    pub fn is_untrusted(self) -> bool {
        match self {
            Origin::Host => false,
            Origin::RecordFile | Origin::Bundle => true,
        }
    }
}

/// A recorded attempt.
#[derive(Debug, Clone)]
pub struct RecordedAttempt {
    /// Seeds the guest's clock and random numbers.
    pub attempt: AttemptId,
    pub origin: Origin,
    pub order: String,
    pub template: TemplateRef,
    pub ended: RecordedEnd,
    /// `None` if the attempt's process ended before it could be written.
    pub recording: Option<Recording>,
    /// The order document as it came; empty if it was not found.
    pub document: Vec<u8>,
    /// Every journaled reply of the order's AI calls.
    pub replies: Vec<JournalEntry>,
    /// Limits of the run, if there is no recording.
    pub limits: Limits,
    /// The language of orders that name none, if there is no recording.
    pub default_locale: String,
    /// Purposes with a route, if there is no recording.
    pub routes: Vec<String>,
    /// The template's file, if one with the recorded digest was found.
    pub wasm: Option<PathBuf>,
    /// Where the template was searched.
    pub looked: Vec<PathBuf>,
    /// Whether texts were replaced by placeholders.
    pub scrubbed: bool,
    /// Remarks for the report.
    pub notes: Vec<String>,
}

/// How a recorded attempt ended.
#[derive(Debug, Clone)]
pub enum RecordedEnd {
    /// With this failure record.
    Failed(Box<FailureRecord>),
    /// With a release.
    Released(Box<ArchivedRelease>),
    /// Its process ended before the end could be recorded.
    Unknown,
}

impl RecordedEnd {
    /// The last host calls, oldest first.
    pub fn trail(&self) -> &[TrailEntry] {
        match self {
            RecordedEnd::Failed(record) => &record.trail,
            RecordedEnd::Released(kept) => &kept.trail,
            RecordedEnd::Unknown => &[],
        }
    }

    pub fn kind(&self) -> Option<FailureKind> {
        match self {
            RecordedEnd::Failed(record) => Some(record.kind),
            RecordedEnd::Released(_) | RecordedEnd::Unknown => None,
        }
    }

    /// Whether the attempt was ended from outside its run. A replay then reproduces the run up to
    /// its last host call.
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

/// A recorded attempt cannot be replayed, because something is missing.
#[derive(Debug, thiserror::Error)]
#[error(
    "attempt {attempt} cannot be replayed:\n{}",
    .missing.iter().map(|one| format!("  - {one}")).collect::<Vec<_>>().join("\n")
)]
pub struct NotReplayable {
    pub attempt: String,
    /// Everything that is missing, each with what to do.
    pub missing: Vec<Message>,
}

impl RecordedAttempt {
    /// What a replay lacks. `other_template`: the template is not that of the recording; `live`:
    /// models give the replies.
    pub fn missing(&self, other_template: bool, live: bool) -> Vec<Message> {
        let mut missing = Vec::new();
        if self.document.is_empty() {
            missing.push(message!(
                "the order's document is missing: it is kept in the order's folder of sites under \
                 `documents`, or in the database of orders, and is deleted with the order"
            ));
        }
        if !other_template && self.wasm.is_none() && self.needs_template() {
            let looked: Vec<String> =
                self.looked.iter().map(|path| path.display().to_string()).collect();
            missing.push(match self.template.digest.is_empty() {
                true => message!(
                    "the template `{}` is missing, and its digest was not recorded; name its \
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
        let replies = ReplyIndex::new(&self.replies);
        let mut more = 0;
        for end in &recording.ai {
            let (Some(key), Some(reply)) = (&end.key, &end.reply) else { continue };
            if replies.position(&key.request, reply).is_none() {
                if missing.len() >= MAX_MISSING {
                    more += 1;
                    continue;
                }
                missing.push(message!(
                    "the reply to {} is missing: the journal is kept in the order's folder of \
                     sites under `journal`, or in the database of orders",
                    end.call_id
                ));
            }
        }
        if more > 0 {
            missing.push(message!("replies to {more} more AI calls are missing"));
        }
        missing
    }

    /// Whether the attempt had a template: an order that could not be read had none.
    fn needs_template(&self) -> bool {
        match &self.ended {
            RecordedEnd::Failed(record) => {
                record.stage != Stage::Order.as_str() || !self.template.digest.is_empty()
            }
            RecordedEnd::Released(_) | RecordedEnd::Unknown => true,
        }
    }
}

/// Finds journaled replies by the digests of request and reply. Each reply is hashed once: somebody
/// else may have chosen how many replies and recorded calls there are.
#[derive(Debug)]
pub(super) struct ReplyIndex(HashMap<String, HashMap<String, usize>>);

impl ReplyIndex {
    pub(super) fn new(replies: &[JournalEntry]) -> Self {
        let mut index: HashMap<String, HashMap<String, usize>> = HashMap::new();
        for (at, entry) in replies.iter().enumerate() {
            let of_request = index.entry(entry.key.request.clone()).or_default();
            of_request.entry(reply_digest(&entry.content)).or_insert(at);
        }
        ReplyIndex(index)
    }

    /// The position of the first reply to this request with this digest.
    pub(super) fn position(&self, request: &str, digest: &str) -> Option<usize> {
        self.0.get(request)?.get(digest).copied()
    }
}
