//! What a run leaves for its failure record, however the guest ends.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::Span;

use super::recorder::{Recorded, Recorder};
use super::replay_cursor::ReplayCursor;
use crate::plugin::{Limits, Tail};
use crate::run::Stage;
use sitewright_ai::opens_breakers;
use sitewright_model::ai::{AiError, Attempt, AttemptOutcome, CallId, Completed, Usage, Usd};
use sitewright_model::failure::{
    AiCallTries, Diagnostic, Ended, LogTail, NewCall, Progress, SourceLocation, Trail, TrailEntry,
};
use sitewright_model::time::millis;
use sitewright_site::SiteLimit;

/// The current stage of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RunProgress {
    /// The host's stage, or the template's own while it runs.
    pub stage: String,
    /// Steps done.
    pub done: u32,
    /// Steps in all; 0 if unknown.
    pub total: u32,
}

/// A panic that the template reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Panic {
    pub message: String,
    pub location: Option<SourceLocation>,
}

/// A limit on the site that refused a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputLimit {
    pub limit: SiteLimit,
    /// The error that the guest got.
    pub message: String,
}

/// One answered AI call of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AiCall {
    /// Id within the run.
    pub call_id: String,
    pub purpose: String,
    pub provider: String,
    pub model: String,
    /// Tokens, as far as the provider reports them.
    pub usage: Usage,
    /// Milliseconds from the call to its answer.
    pub duration_ms: u64,
    /// Cost of all tries; missing if the model has no price.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<Usd>,
    /// Whether the reply came from the journal, at no cost.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub replayed: bool,
    /// Whether a model gave the reply to an equal request of another order, so that nothing was
    /// paid for it. `usage` is what that order used.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub cached: bool,
    /// What that order paid; missing if the model has no price.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub saved_usd: Option<Usd>,
    /// Whether nothing shows that the reply is whole: its provider did not say why the model
    /// stopped.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub end_unsaid: bool,
    /// Every try, in order.
    pub attempts: Vec<Attempt>,
}

/// The replies of a run that were paid for and that no call could use, those of calls included that
/// got a good one afterwards.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct UnusableReplies {
    pub replies: u64,
    /// As far as the providers report them.
    pub input_tokens: u64,
    /// As far as the providers report them.
    pub output_tokens: u64,
    /// Of models that have a price.
    pub cost_usd: Usd,
}

impl UnusableReplies {
    /// Adds those among the attempts of a call.
    fn add(&mut self, attempts: &[Attempt]) {
        let tokens = |sum: u64, count: Option<u64>| sum.saturating_add(count.unwrap_or(0));
        for attempt in attempts.iter().filter(|attempt| attempt.is_unusable_reply()) {
            self.replies += 1;
            self.input_tokens = tokens(self.input_tokens, attempt.usage.input_tokens);
            self.output_tokens = tokens(self.output_tokens, attempt.usage.output_tokens);
            self.cost_usd = self.cost_usd.plus(attempt.cost_usd.unwrap_or_default());
        }
    }
}

/// The trail, diagnostics, log, progress and AI calls of one run. Shared by the guest's calls and
/// the run's owner; its lock is never held across an await.
#[derive(Debug)]
pub struct RunTrace {
    began: Instant,
    progress: watch::Sender<RunProgress>,
    max_diagnostics: usize,
    over: AtomicBool,
    /// The order of the run, once it is known.
    order: OnceLock<String>,
    /// In a replay only.
    cursor: Option<Arc<ReplayCursor>>,
    inner: Mutex<Inner>,
    /// `None` if the attempt has no span, or has ended.
    spans: Mutex<Option<StageSpans>>,
}

/// The spans of an attempt and of its current stage. That of the stage is never entered: log lines
/// do not name it.
#[derive(Debug)]
struct StageSpans {
    attempt: Span,
    stage: Span,
}

#[derive(Debug)]
struct Inner {
    trail: Trail,
    recorder: Recorder,
    /// What the host says of the order.
    notices: Vec<Diagnostic>,
    diagnostics: VecDeque<Diagnostic>,
    diagnostics_total: u64,
    log: Tail,
    panic: Option<Panic>,
    ai_calls: u32,
    ai_answered: Vec<AiCall>,
    ai_failed: BTreeMap<CallId, AiError>,
    /// The newest failed call after the first [`MAX_AI_FAILURES`].
    ai_failed_last: Option<Box<AiError>>,
    /// Of all calls, those included whose errors are not kept.
    unusable: UnusableReplies,
    output_limit: Option<OutputLimit>,
}

/// Maximum bytes of one log line.
pub(super) const MAX_LOG_LINE: usize = 8 << 10;
/// Failed AI calls kept. A refused call costs a guest almost nothing, and a guest that goes on
/// calling must not fill the host's memory.
const MAX_AI_FAILURES: usize = 1_024;

impl RunTrace {
    /// The empty trace of a run that starts now.
    pub fn new(limits: &Limits, progress: watch::Sender<RunProgress>) -> Self {
        RunTrace {
            began: Instant::now(),
            progress,
            max_diagnostics: usize::try_from(limits.diagnostics).unwrap_or(usize::MAX),
            over: AtomicBool::new(false),
            order: OnceLock::new(),
            cursor: None,
            spans: Mutex::new(None),
            inner: Mutex::new(Inner {
                trail: Trail::default(),
                recorder: Recorder::default(),
                notices: Vec::new(),
                diagnostics: VecDeque::new(),
                diagnostics_total: 0,
                log: Tail::new(limits.log_bytes),
                panic: None,
                ai_calls: 0,
                ai_answered: Vec::new(),
                ai_failed: BTreeMap::new(),
                ai_failed_last: None,
                unusable: UnusableReplies::default(),
                output_limit: None,
            }),
        }
    }

    /// The trace of a replay: `cursor` compares each call with the recording.
    #[must_use]
    pub(crate) fn with_cursor(mut self, cursor: Arc<ReplayCursor>) -> Self {
        self.inner.get_mut().recorder.cursor = Some(cursor.clone());
        self.cursor = Some(cursor);
        self
    }

    /// The cursor of a replay.
    pub(crate) fn cursor(&self) -> Option<&Arc<ReplayCursor>> {
        self.cursor.as_ref()
    }

    /// Enters the end of an AI call that the run was allowed to make.
    pub(super) fn ai_ended(&self, call_id: CallId, outcome: &Result<Completed, AiError>) {
        self.inner().recorder.ended(call_id, outcome);
    }

    /// Enters a piece of text that the guest got of a streamed AI call.
    pub(super) fn ai_passed(&self, call_id: CallId, piece: &str) {
        self.inner().recorder.passed(call_id, piece);
    }

    /// What a replay needs of the calls so far.
    pub(crate) fn recorded(&self) -> Recorded {
        self.inner().recorder.recorded()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock()
    }

    /// Time since the run started.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Names the order of the run.
    pub(crate) fn set_order(&self, order: &str) {
        self.order.get_or_init(|| order.to_owned());
    }

    /// The order of the run; `None` for a `describe`.
    pub(crate) fn order(&self) -> Option<&str> {
        self.order.get().map(String::as_str)
    }

    /// The newest host call that has not ended. `None` if there is none, or if the trace is in use:
    /// a thread that is stuck must not hold up who looks for it.
    pub(crate) fn current_call(&self) -> Option<String> {
        let entries = self.inner.try_lock()?.trail.entries();
        let open = entries.into_iter().rev().find(|entry| entry.duration_us.is_none())?;
        Some(open.call)
    }

    /// Marks the end of the guest: calls dropped with it were in flight when the run ended.
    pub(crate) fn set_over(&self) {
        self.over.store(true, Ordering::Release);
    }

    /// Whether the guest has ended.
    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Enters a host call that begins now.
    pub fn begin(&self, call: NewCall) -> (u64, Instant) {
        self.begin_entry(call.entry())
    }

    /// [`begin`](RunTrace::begin) with a prepared entry.
    pub(super) fn begin_entry(&self, entry: Box<TrailEntry>) -> (u64, Instant) {
        let mut inner = self.inner();
        inner.recorder.begin(&entry);
        let seq = inner.trail.begin_entry(self.elapsed(), entry);
        (seq, Instant::now())
    }

    /// Enters the end of a host call.
    pub fn end(&self, (seq, began): (u64, Instant), ended: impl Into<Ended>) {
        self.inner().trail.end(seq, began.elapsed(), ended);
    }

    /// Enters progress that the template reports.
    pub fn report_progress(&self, progress: RunProgress) {
        let mut inner = self.inner();
        // Read under the lock, so that entries are in the order of time.
        let at = self.elapsed();
        let args = format!("{} {}/{}", progress.stage, progress.done, progress.total);
        inner.recorder.progress(&args);
        inner.trail.progress(at, &progress.stage, progress.done, progress.total);
        drop(inner);
        self.set_progress(progress);
    }

    /// Each stage that is entered becomes a span below that of the attempt.
    pub(crate) fn within(self, attempt: Span) -> Self {
        let spans = StageSpans { attempt, stage: Span::none() };
        RunTrace { spans: Mutex::new(Some(spans)), ..self }
    }

    /// Begins a stage of the host, which ends the one before.
    pub(crate) fn enter(&self, stage: Stage) {
        self.set_progress(stage.into());
        if let Some(spans) = &mut *self.spans.lock() {
            drop(std::mem::replace(&mut spans.stage, Span::none()));
            // Nothing is logged in it, so the log leaves it out by its target.
            spans.stage = tracing::info_span!(
                target: "sitewright_runtime::stages",
                parent: &spans.attempt,
                "stage",
                stage = stage.as_str()
            );
        }
    }

    /// Ends the last stage. A release that comes too late enters none any more.
    pub(crate) fn leave_stages(&self) {
        self.spans.lock().take();
    }

    /// Sets the stage without an entry in the trail.
    pub fn set_progress(&self, progress: RunProgress) {
        self.progress.send_replace(progress);
    }

    /// The current stage.
    pub fn progress(&self) -> RunProgress {
        self.progress.borrow().clone()
    }

    /// Adds what the host says of the order, which counts against no limit of the template. Intake
    /// bounds their number.
    pub fn notice(&self, notice: Diagnostic) {
        self.inner().notices.push(notice);
    }

    /// Adds a diagnostic; the oldest is dropped if there are too many.
    pub fn diagnose(&self, diagnostic: Diagnostic) {
        let mut inner = self.inner();
        inner.diagnostics_total += 1;
        inner.diagnostics.push_back(diagnostic);
        if inner.diagnostics.len() > self.max_diagnostics {
            inner.diagnostics.pop_front();
        }
    }

    /// Adds a log line, cut at 8 KiB.
    pub fn log(&self, level: &str, message: &str) {
        self.log_beginning(level, message, message.len());
    }

    /// Adds a log line of `bytes` bytes, of which `beginning` is there.
    pub(super) fn log_beginning(&self, level: &str, beginning: &str, bytes: usize) {
        let end = beginning.floor_char_boundary(MAX_LOG_LINE);
        let cut = if end < bytes { " [cut]" } else { "" };
        let line = format!("{level} {}{cut}\n", &beginning[..end]);
        let mut inner = self.inner();
        let at = self.elapsed();
        inner.log.push(line.as_bytes());
        inner.recorder.log();
        inner.trail.log(at, bytes);
    }

    /// Keeps the first panic: later ones come from unwinding it.
    pub fn panicked(&self, panic: Panic) {
        self.inner().panic.get_or_insert(panic);
    }

    /// Counts an AI call and returns its number; as an error if it is above `max`.
    pub fn count_ai_call(&self, max: u64) -> Result<u32, u32> {
        let mut inner = self.inner();
        inner.ai_calls = inner.ai_calls.saturating_add(1);
        if u64::from(inner.ai_calls) > max { Err(inner.ai_calls) } else { Ok(inner.ai_calls) }
    }

    /// Keeps an answered AI call.
    pub fn ai_answered(&self, call: AiCall) {
        let mut inner = self.inner();
        inner.unusable.add(&call.attempts);
        inner.ai_answered.push(call);
    }

    /// Keeps a failed AI call: the first thousand, and the last. An error without a call id is not
    /// a call of the run and is not kept.
    pub fn ai_failed(&self, failure: AiError) {
        let Some(call_id) = failure.call_id else { return };
        let mut inner = self.inner();
        inner.unusable.add(&failure.attempts);
        if inner.ai_failed.len() < MAX_AI_FAILURES {
            inner.ai_failed.insert(call_id, failure);
        } else {
            inner.ai_failed_last = Some(Box::new(failure));
        }
    }

    /// Keeps the first limit that refused a write. Any other limit replaces one on a path, from
    /// which a template can recover.
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

    /// The panic that the template reported.
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

    /// The first failed AI call that was sent to a provider of this one, which says what is wrong
    /// there. `None` if there is none, or if circuit breakers did not reject all attempts at this
    /// one.
    pub fn sent_beside(&self, rejected: &AiError) -> Option<AiError> {
        let attempts = &rejected.attempts;
        if attempts.is_empty() || attempts.iter().any(|one| one.opened_by.is_none()) {
            return None;
        }
        let is_sent = |call: &&AiError| {
            call.attempts.last().is_some_and(|last| {
                let is_fault = match last.outcome {
                    AttemptOutcome::Failed(kind) => opens_breakers(kind),
                    AttemptOutcome::Succeeded => false,
                };
                let is_same = attempts.iter().any(|one| one.provider == last.provider);
                is_fault && is_same && !last.not_sent
            })
        };
        let inner = self.inner();
        let mut failed = inner.ai_failed.values().chain(inner.ai_failed_last.as_deref());
        failed.find(is_sent).cloned()
    }

    /// The answered AI calls, in the order of their answers.
    pub fn ai_calls(&self) -> Vec<AiCall> {
        self.inner().ai_answered.clone()
    }

    /// The replies that were paid for and that no call could use.
    pub fn unusable_replies(&self) -> UnusableReplies {
        self.inner().unusable
    }

    /// The number of AI calls, refused ones included.
    pub fn ai_call_count(&self) -> u64 {
        u64::from(self.inner().ai_calls)
    }

    /// What the host says of the order, then the kept diagnostics, oldest first; and the number of
    /// all diagnostics of the template.
    pub fn diagnostics(&self) -> (Vec<Diagnostic>, u64) {
        let inner = self.inner();
        let all = inner.notices.iter().chain(&inner.diagnostics).cloned().collect();
        (all, inner.diagnostics_total)
    }

    /// The number of all diagnostics of the template.
    pub(crate) fn diagnostics_total(&self) -> u64 {
        self.inner().diagnostics_total
    }

    /// The trail, oldest first.
    pub fn trail(&self) -> Vec<TrailEntry> {
        self.inner().trail.entries()
    }

    /// The kept writes that were refused, oldest first.
    pub fn refused_writes(&self) -> Vec<TrailEntry> {
        self.inner().trail.errors_of("site.write")
    }

    /// The number of host calls.
    pub fn calls(&self) -> u64 {
        self.inner().trail.calls()
    }

    /// The AI calls that the trail has, with every try, in the order in which they began.
    pub fn ai_tries(&self) -> Vec<AiCallTries> {
        let inner = self.inner();
        let answered = inner.ai_answered.iter().map(|call| AiCallTries {
            call_id: call.call_id.clone(),
            purpose: call.purpose.clone(),
            replayed: call.replayed,
            cached: call.cached,
            attempts: call.attempts.clone(),
        });
        let failed = inner.ai_failed.values().chain(inner.ai_failed_last.as_deref()).map(|call| {
            AiCallTries {
                call_id: call.call_id.map(|id| id.to_string()).unwrap_or_default(),
                purpose: call.purpose.clone(),
                replayed: false,
                cached: false,
                attempts: call.attempts.clone(),
            }
        });
        let mut calls: Vec<AiCallTries> = answered.chain(failed).collect();
        let trail = inner.trail.entries();
        drop(inner);
        // Bounded by the trail: each try may carry two kibibytes of an error body.
        let at: BTreeMap<&str, u64> =
            trail.iter().filter_map(|entry| Some((entry.call_id.as_deref()?, entry.seq))).collect();
        calls.retain(|call| {
            let answered = call.replayed || call.cached || !call.attempts.is_empty();
            answered && at.contains_key(call.call_id.as_str())
        });
        calls.sort_by_key(|call| at.get(call.call_id.as_str()).copied());
        calls
    }

    /// The tail of the log, and the bytes logged in all.
    pub fn log_tail(&self) -> (LogTail, u64) {
        let inner = self.inner();
        let text = inner.log.text();
        let total = inner.log.total();
        (LogTail { dropped_bytes: total.saturating_sub(text.len() as u64), text }, total)
    }

    /// The bytes logged in all.
    pub(crate) fn log_bytes(&self) -> u64 {
        self.inner().log.total()
    }

    /// Milliseconds since the run started.
    pub fn now_ms(&self) -> u64 {
        millis(self.elapsed())
    }
}

impl From<RunProgress> for Progress {
    fn from(progress: RunProgress) -> Self {
        Progress { done: progress.done, total: progress.total }
    }
}
