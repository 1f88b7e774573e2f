//! What a replay will need to know of a run's calls, as they happen.

use super::follow::Follow;
use crate::ai::{AiError, CallId, Completed};
use crate::failure::{MARKS, Mark, reply_digest};
use std::sync::Arc;

/// The marks of a run's host calls and the ends of its AI calls. Eight bytes for a call.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    marks: Vec<Mark>,
    begun: u64,
    /// Whether the last call was a line of log: those that follow each other count as one.
    logging: bool,
    ends: Vec<EndedCall>,
    /// What a replay goes by.
    pub(super) follow: Option<Arc<Follow>>,
}

/// How one AI call ended.
#[derive(Debug, Clone)]
pub(crate) struct EndedCall {
    pub(crate) call_id: CallId,
    pub(crate) after: u64,
    pub(crate) reply: Option<String>,
    pub(crate) error: Option<Box<AiError>>,
}

impl Recorder {
    pub(super) fn begin(&mut self, call: &str, args: &str) {
        self.logging = false;
        self.enter(call, args);
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
        if let Some(follow) = &self.follow {
            follow.began(self.begun, call, args);
        }
    }

    pub(super) fn ended(&mut self, call_id: CallId, outcome: &Result<Completed, AiError>) {
        let (reply, error) = match outcome {
            Ok(done) => (Some(reply_digest(&done.completion.content)), None),
            Err(error) => (None, Some(Box::new(error.clone()))),
        };
        self.ends.push(EndedCall { call_id, after: self.begun, reply, error });
        if let Some(follow) = &self.follow {
            follow.ended(call_id);
        }
    }

    pub(super) fn recorded(&self) -> (Vec<Mark>, u64, Vec<EndedCall>) {
        (self.marks.clone(), self.begun, self.ends.clone())
    }
}
