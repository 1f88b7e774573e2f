//! The AI replies of a replay: every call gets its recorded answer, failures included.

use std::sync::Arc;

use async_trait::async_trait;

use super::subject::{RecordedAttempt, ReplyIndex};
use sitewright_ai::{Journal, JournalEntry, JournalKey, Recalled};
use sitewright_model::ai::CallId;
use sitewright_model::message::Message;
use sitewright_runtime::host_functions::ReplayCursor;
use sitewright_runtime::run::recording::AiEnd;

/// The recorded answers of one attempt, as a journal.
#[derive(Debug)]
pub(super) struct RecordedAnswers {
    pub(super) subject: Arc<RecordedAttempt>,
    /// Of the subject's replies.
    pub(super) replies: ReplyIndex,
    pub(super) cursor: Arc<ReplayCursor>,
    /// Whether the replay must match the recording call by call.
    pub(super) exact: bool,
    /// Whether models are asked instead.
    pub(super) live: bool,
}

impl RecordedAnswers {
    fn ends(&self) -> &[AiEnd] {
        self.subject.recording.as_ref().map(|recording| recording.ai.as_slice()).unwrap_or_default()
    }

    fn recorded(&self, call: CallId, key: &JournalKey) -> Option<Recalled> {
        // With scrubbed texts, the template asks other questions than it did.
        let same = |end: &&AiEnd| {
            end.call_id == call
                && (self.subject.scrubbed
                    || end.key.as_ref().is_some_and(|of| of.request == key.request))
        };
        // Another build may ask the same questions in another order.
        let moved = || self.ends().iter().find(|end| end.key.as_ref() == Some(key));
        if let Some(end) = self.ends().iter().find(same).or_else(moved) {
            return self.answer(end);
        }
        if self.subject.recording.is_some() {
            return None;
        }
        let kept = self.subject.replies.iter().find(|entry| entry.key == *key)?;
        Some(Recalled::Reply(Box::new(kept.clone())))
    }

    fn answer(&self, end: &AiEnd) -> Option<Recalled> {
        let (answer, whole) = match &end.error {
            Some(error) => (Recalled::Failed(error.clone()), end.text.as_str()),
            None => {
                let (request, digest) = (&end.key.as_ref()?.request, end.reply.as_ref()?);
                let entry = self.subject.replies.get(self.replies.position(request, digest)?)?;
                let whole = entry.raw_reply.as_ref().unwrap_or(&entry.content);
                (Recalled::Reply(Box::new(entry.clone())), whole.as_str())
            }
        };
        if end.pieces.is_empty() {
            return Some(answer);
        }
        Some(Recalled::Streamed { pieces: cut(whole, &end.pieces), end: Some(Box::new(answer)) })
    }

    /// The text of a call that never ended.
    fn unfinished(&self, call: CallId) -> Option<Recalled> {
        let open = &self.subject.recording.as_ref()?.open;
        let open = open.iter().find(|open| self.exact && open.call_id == call)?;
        Some(Recalled::Streamed { pieces: cut(&open.text, &open.pieces), end: None })
    }
}

/// The text in pieces of these lengths. A cut inside a character moves to its start.
fn cut(text: &str, pieces: &[u32]) -> Vec<String> {
    let (mut done, mut all) = (0usize, Vec::with_capacity(pieces.len()));
    for length in pieces {
        let end = usize::try_from(*length)
            .ok()
            .and_then(|length| done.checked_add(length))
            .unwrap_or(text.len());
        let end = text.floor_char_boundary(end.min(text.len())).max(done);
        all.push(text[done..end].to_owned());
        done = end;
    }
    all
}

#[async_trait]
impl Journal for RecordedAnswers {
    async fn lookup(&self, _key: &JournalKey) -> Option<JournalEntry> {
        None
    }

    async fn recall(&self, call: CallId, key: &JournalKey) -> Option<Recalled> {
        if self.live {
            return None;
        }
        if let Some(answer) = self.recorded(call, key).or_else(|| self.unfinished(call)) {
            return Some(match answer {
                Recalled::Failed(error) if error.call_id != Some(call) => {
                    Recalled::Failed(Box::new(sitewright_model::ai::AiError {
                        call_id: Some(call),
                        ..*error
                    }))
                }
                answer => answer,
            });
        }
        // A call that was in flight when the run ended stays in flight, unless the replay diverged.
        if !self.exact || self.cursor.position().mismatch.is_some() {
            self.cursor.unanswered(call);
        }
        std::future::pending().await
    }

    async fn store(&self, _entry: &JournalEntry) -> Result<(), Message> {
        Ok(())
    }
}
