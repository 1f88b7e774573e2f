//! What a run leaves behind, whatever becomes of the guest.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;
use tokio::time::Instant;

use super::recorder::{Recorded, Recorder};
use super::replay_cursor::ReplayCursor;
use crate::plugin::{Limits, Tail};
use sitewright_model::ai::{AiError, Attempt, CallId, Completed, Usage, Usd};
use sitewright_model::failure::{
    AiCallTries, Diagnostic, Ended, LogTail, NewCall, Progress, SourceLocation, Trail, TrailEntry,
};
use sitewright_model::time::millis;
use sitewright_site::SiteLimit;

/// The stage of a run, for whoever watches it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RunProgress {
    /// The host's stage or the template's own.
    pub stage: String,
    /// Steps done.
    pub done: u32,
    /// Steps in all; 0 when unknown.
    pub total: u32,
}

/// A panic the template told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Panic {
    /// Its message.
    pub message: String,
    /// Where it happened.
    pub location: Option<SourceLocation>,
}

/// A limit on the site that refused a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputLimit {
    /// Which.
    pub limit: SiteLimit,
    /// What the guest was told.
    pub message: String,
}

/// One AI call of a run that was answered.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AiCall {
    /// Its id within the run.
    pub call_id: String,
    /// What it was for.
    pub purpose: String,
    /// Who answered.
    pub provider: String,
    /// What answered.
    pub model: String,
    /// Tokens, where the provider said.
    pub usage: Usage,
    /// From call to answer, in milliseconds.
    pub duration_ms: u64,
    /// What all tries cost, for a model that has a price.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<Usd>,
    /// Whether the reply came from the journal of an earlier attempt, at no cost.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub replayed: bool,
    /// Every try.
    pub attempts: Vec<Attempt>,
}

/// The trail, diagnostics, log, progress and AI calls of one run. Shared between the guest's calls
/// and whoever owns the run; its lock is held for moments, never across an await.
#[derive(Debug)]
pub struct RunTrace {
    began: Instant,
    progress: watch::Sender<RunProgress>,
    max_diagnostics: usize,
    over: AtomicBool,
    /// What a replay goes by.
    follow: Option<Arc<ReplayCursor>>,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    trail: Trail,
    recorder: Recorder,
    diagnostics: VecDeque<Diagnostic>,
    diagnostics_total: u64,
    log: Tail,
    panic: Option<Panic>,
    ai_calls: u32,
    ai_answered: Vec<AiCall>,
    ai_failed: BTreeMap<CallId, AiError>,
    /// The newest of those that are too many to keep.
    ai_failed_last: Option<Box<AiError>>,
    output_limit: Option<OutputLimit>,
}

/// Longest line of log, in bytes.
const MAX_LOG_LINE: usize = 8 << 10;
/// Failed AI calls kept. A refused call costs a guest next to nothing: one that goes on calling
/// must not fill the host's memory.
const MAX_AI_FAILURES: usize = 1_024;

impl RunTrace {
    /// An empty log of a run that begins now.
    pub fn new(limits: &Limits, progress: watch::Sender<RunProgress>) -> Self {
        RunTrace {
            began: Instant::now(),
            progress,
            max_diagnostics: usize::try_from(limits.diagnostics).unwrap_or(usize::MAX),
            over: AtomicBool::new(false),
            follow: None,
            inner: Mutex::new(Inner {
                trail: Trail::default(),
                recorder: Recorder::default(),
                diagnostics: VecDeque::new(),
                diagnostics_total: 0,
                log: Tail::new(limits.log_bytes),
                panic: None,
                ai_calls: 0,
                ai_answered: Vec::new(),
                ai_failed: BTreeMap::new(),
                ai_failed_last: None,
                output_limit: None,
            }),
        }
    }

    /// An empty log of a run that is made again: it tells `follow` of each call, and goes by it.
    #[must_use]
    pub(crate) fn following(mut self, follow: Arc<ReplayCursor>) -> Self {
        self.inner.get_mut().unwrap_or_else(PoisonError::into_inner).recorder.follow =
            Some(follow.clone());
        self.follow = Some(follow);
        self
    }

    /// What a replay goes by, in a replay.
    pub(crate) fn follow(&self) -> Option<&Arc<ReplayCursor>> {
        self.follow.as_ref()
    }

    /// Enters how an AI call ended that the run was allowed to make.
    pub(super) fn ai_ended(&self, call_id: CallId, outcome: &Result<Completed, AiError>) {
        self.inner().recorder.ended(call_id, outcome);
    }

    /// Enters a piece of text that went out of a streamed AI call.
    pub(super) fn ai_passed(&self, call_id: CallId, piece: &str) {
        self.inner().recorder.passed(call_id, piece);
    }

    /// What a replay will need to know of the calls.
    pub(crate) fn recorded(&self) -> Recorded {
        self.inner().recorder.recorded()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Time since the run began.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// The guest is about to go: calls that end with it were in flight when the run ended.
    pub(crate) fn set_over(&self) {
        self.over.store(true, Ordering::Release);
    }

    /// Whether the guest is going or gone.
    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Enters a host call that begins now.
    pub fn begin(&self, call: NewCall) -> (u64, Instant) {
        self.begin_entry(call.entry())
    }

    /// The same of a call whose entry is made already.
    pub(super) fn begin_entry(&self, entry: Box<TrailEntry>) -> (u64, Instant) {
        let mut inner = self.inner();
        inner.recorder.begin(&entry);
        let seq = inner.trail.begin_entry(self.elapsed(), entry);
        (seq, Instant::now())
    }

    /// Enters how a host call ended.
    pub fn end(&self, (seq, began): (u64, Instant), ended: impl Into<Ended>) {
        self.inner().trail.end(seq, began.elapsed(), ended);
    }

    /// The stage the template says it is in.
    pub fn told_progress(&self, progress: RunProgress) {
        let mut inner = self.inner();
        // Asked under the lock: what is entered later happened later.
        let at = self.elapsed();
        let args = format!("{} {}/{}", progress.stage, progress.done, progress.total);
        inner.recorder.progress(&args);
        inner.trail.progress(at, &progress.stage, progress.done, progress.total);
        drop(inner);
        self.set_progress(progress);
    }

    /// The stage the run is in.
    pub fn set_progress(&self, progress: RunProgress) {
        self.progress.send_replace(progress);
    }

    /// The last stage.
    pub fn progress(&self) -> RunProgress {
        self.progress.borrow().clone()
    }

    /// Adds a diagnostic; the oldest goes when there are too many.
    pub fn diagnose(&self, diagnostic: Diagnostic) {
        let mut inner = self.inner();
        inner.diagnostics_total += 1;
        inner.diagnostics.push_back(diagnostic);
        if inner.diagnostics.len() > self.max_diagnostics {
            inner.diagnostics.pop_front();
        }
    }

    /// Adds a line of log; a line over 8 KiB is cut.
    pub fn log(&self, level: &str, message: &str) {
        let end = message.floor_char_boundary(MAX_LOG_LINE);
        let line = format!(
            "{level} {}{}\n",
            &message[..end],
            if end < message.len() { " [cut]" } else { "" }
        );
        let mut inner = self.inner();
        let at = self.elapsed();
        inner.log.push(line.as_bytes());
        inner.recorder.log();
        inner.trail.log(at, message.len());
    }

    /// Keeps the first panic: those that follow come from unwinding it.
    pub fn panicked(&self, panic: Panic) {
        self.inner().panic.get_or_insert(panic);
    }

    /// Counts an AI call and returns its number, as an error when there were `max` already.
    pub fn count_ai_call(&self, max: u64) -> Result<u32, u32> {
        let mut inner = self.inner();
        inner.ai_calls = inner.ai_calls.saturating_add(1);
        if u64::from(inner.ai_calls) > max { Err(inner.ai_calls) } else { Ok(inner.ai_calls) }
    }

    /// Keeps an answered AI call.
    pub fn ai_answered(&self, call: AiCall) {
        self.inner().ai_answered.push(call);
    }

    /// Keeps a failed AI call: the first thousand, and the last. One without an id is not a call of
    /// the run and is not kept.
    pub fn ai_failed(&self, failure: AiError) {
        let Some(call_id) = failure.call_id else { return };
        let mut inner = self.inner();
        if inner.ai_failed.len() < MAX_AI_FAILURES {
            inner.ai_failed.insert(call_id, failure);
        } else {
            inner.ai_failed_last = Some(Box::new(failure));
        }
    }

    /// Keeps the first limit that refused a write; one on a path makes room for any other, because
    /// a template can get over it.
    pub fn output_limited(&self, limit: OutputLimit) {
        let kept = &mut self.inner().output_limit;
        if kept.as_ref().is_none_or(|kept| kept.limit == SiteLimit::PathBytes) {
            *kept = Some(limit);
        }
    }

    /// The first limit that refused a write.
    pub fn output_limit(&self) -> Option<OutputLimit> {
        self.inner().output_limit.clone()
    }

    /// The panic the template told of.
    pub fn panic(&self) -> Option<Panic> {
        self.inner().panic.clone()
    }

    /// A failed AI call by its id.
    pub fn ai_failure(&self, call_id: &str) -> Option<AiError> {
        let id: CallId = call_id.parse().ok()?;
        let inner = self.inner();
        let last = inner.ai_failed_last.as_deref().filter(|last| last.call_id == Some(id));
        inner.ai_failed.get(&id).or(last).cloned()
    }

    /// The answered AI calls, in the order of their answers.
    pub fn ai_calls(&self) -> Vec<AiCall> {
        self.inner().ai_answered.clone()
    }

    /// AI calls asked for.
    pub fn ai_call_count(&self) -> u64 {
        u64::from(self.inner().ai_calls)
    }

    /// Diagnostics kept, oldest first, and how many there were.
    pub fn diagnostics(&self) -> (Vec<Diagnostic>, u64) {
        let inner = self.inner();
        (inner.diagnostics.iter().cloned().collect(), inner.diagnostics_total)
    }

    /// The trail, oldest first.
    pub fn trail(&self) -> Vec<TrailEntry> {
        self.inner().trail.entries()
    }

    /// How many host calls there were.
    pub fn calls(&self) -> u64 {
        self.inner().trail.calls()
    }

    /// The AI calls with every try, in the order in which they began, as far as the trail has them.
    pub fn ai_tries(&self) -> Vec<AiCallTries> {
        let inner = self.inner();
        let answered = inner.ai_answered.iter().map(|call| AiCallTries {
            call_id: call.call_id.clone(),
            purpose: call.purpose.clone(),
            replayed: call.replayed,
            attempts: call.attempts.clone(),
        });
        let failed = inner.ai_failed.values().chain(inner.ai_failed_last.as_deref()).map(|call| {
            AiCallTries {
                call_id: call.call_id.map(|id| id.to_string()).unwrap_or_default(),
                purpose: call.purpose.clone(),
                replayed: false,
                attempts: call.attempts.clone(),
            }
        });
        let mut calls: Vec<AiCallTries> = answered.chain(failed).collect();
        let trail = inner.trail.entries();
        drop(inner);
        // Of a thousand calls the record has those that the trail has: an attempt may carry two
        // kibibytes of an answer.
        let at: BTreeMap<&str, u64> =
            trail.iter().filter_map(|entry| Some((entry.call_id.as_deref()?, entry.seq))).collect();
        calls.retain(|call| {
            (call.replayed || !call.attempts.is_empty()) && at.contains_key(call.call_id.as_str())
        });
        calls.sort_by_key(|call| at.get(call.call_id.as_str()).copied());
        calls
    }

    /// The log's tail and its bytes in all.
    pub fn log_tail(&self) -> (LogTail, u64) {
        let inner = self.inner();
        let text = inner.log.text();
        let total = inner.log.total();
        (LogTail { dropped_bytes: total.saturating_sub(text.len() as u64), text }, total)
    }

    /// Milliseconds since the run began.
    pub fn now_ms(&self) -> u64 {
        millis(self.elapsed())
    }
}

impl From<RunProgress> for Progress {
    fn from(progress: RunProgress) -> Self {
        Progress { done: progress.done, total: progress.total }
    }
}
