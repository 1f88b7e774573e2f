//! Collects the recording of a run while it runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::replay_cursor::ReplayCursor;
use crate::run::recording::{MARKS, Mark, reply_digest};
use sitewright_model::ai::{AiError, CallId, Completed};
use sitewright_model::failure::TrailEntry;

/// The marks of a run's host calls (eight bytes each) and the ends of its AI calls.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    marks: Vec<Mark>,
    begun: u64,
    /// Whether the last call was a log line: successive ones count as one call.
    logging: bool,
    ends: Vec<EndedCall>,
    /// Text of streamed calls, as the guest got it.
    streams: BTreeMap<CallId, Streamed>,
    /// Bytes of text in `streams` and `ends`.
    text_bytes: usize,
    /// In a replay only.
    pub(super) cursor: Option<Arc<ReplayCursor>>,
}

/// Maximum bytes kept of the text of one call that has no reply.
const MAX_TEXT: usize = 64 << 10;
/// Maximum bytes of such texts in one run.
const MAX_TEXTS: usize = 2 << 20;
/// Maximum pieces recorded of one call.
const MAX_PIECES: usize = 4_096;

/// What the guest got of one streamed call: its text, and the lengths of the pieces.
#[derive(Debug, Clone, Default)]
pub(crate) struct Streamed {
    pub text: String,
    pub pieces: Vec<u32>,
}

/// A copy of what was collected so far.
#[derive(Debug)]
pub(crate) struct Recorded {
    pub marks: Vec<Mark>,
    pub total: u64,
    pub ends: Vec<EndedCall>,
    /// Streamed calls that had not ended.
    pub open: Vec<(CallId, Streamed)>,
}

/// How one AI call ended.
#[derive(Debug, Clone)]
pub(crate) struct EndedCall {
    pub call_id: CallId,
    pub after: u64,
    pub reply: Option<String>,
    pub error: Option<Box<AiError>>,
    pub streamed: Streamed,
}

impl Recorder {
    pub(super) fn begin(&mut self, call: &TrailEntry) {
        self.logging = false;
        self.enter(
            &call.call,
            &Mark::args(&call.call, &call.args, call.bytes, call.digest.as_deref()),
        );
    }

    /// A step of a stage, as the trail shows it.
    pub(super) fn progress(&mut self, step: &str) {
        self.logging = false;
        self.enter("diagnostics.progress", &Mark::args("diagnostics.progress", step, None, None));
    }

    pub(super) fn log(&mut self) {
        if !std::mem::replace(&mut self.logging, true) {
            self.enter("diagnostics.log", "");
        }
    }

    fn enter(&mut self, call: &str, args: &str) {
        self.begun += 1;
        if self.marks.len() < MARKS {
            self.marks.push(Mark::new(call, args));
        }
        if let Some(cursor) = &self.cursor {
            cursor.began(self.begun, call, args);
        }
    }

    pub(super) fn ended(&mut self, call_id: CallId, outcome: &Result<Completed, AiError>) {
        let (reply, error) = match outcome {
            Ok(done) => (Some(reply_digest(&done.completion.content)), None),
            Err(error) => (None, Some(Box::new(error.clone()))),
        };
        let mut streamed = self.streams.remove(&call_id).unwrap_or_default();
        if reply.is_some() {
            // The text is in the journal.
            self.text_bytes -= streamed.text.len();
            streamed.text = String::new();
        }
        self.ends.push(EndedCall { call_id, after: self.begun, reply, error, streamed });
        if let Some(cursor) = &self.cursor {
            cursor.ended(call_id);
        }
    }

    pub(super) fn passed(&mut self, call_id: CallId, piece: &str) {
        // After the end of the call, the rest of its reply follows.
        if self.ends.iter().any(|end| end.call_id == call_id) {
            return;
        }
        let streamed = self.streams.entry(call_id).or_default();
        let room = self.text_bytes + piece.len() <= MAX_TEXTS
            && streamed.text.len() + piece.len() <= MAX_TEXT;
        if room && streamed.pieces.len() < MAX_PIECES {
            self.text_bytes += piece.len();
            streamed.pieces.push(u32::try_from(piece.len()).unwrap_or(u32::MAX));
            streamed.text.push_str(piece);
        }
    }

    pub(super) fn recorded(&self) -> Recorded {
        Recorded {
            marks: self.marks.clone(),
            total: self.begun,
            ends: self.ends.clone(),
            open: self.streams.iter().map(|(call, streamed)| (*call, streamed.clone())).collect(),
        }
    }
}
