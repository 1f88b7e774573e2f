//! Follows a replay through its recording: compares each host call, and decides when each AI call
//! ends.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::run::recording::{Mark, Recording};
use sitewright_model::ai::CallId;

/// How long a replay waits for the next recorded call while AI calls wait behind it. The template
/// computes or sleeps meanwhile; if it does not, it has diverged.
const STALL_TIMEOUT: Duration = Duration::from_secs(10);

/// How closely a run must match its recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CursorMode {
    /// Every call and its arguments.
    Exact,
    /// Every call, but not its arguments: the recording was scrubbed.
    Calls,
    /// Nothing: another template, or no recording.
    Free,
}

/// The position of a replay in its recording. One for each replay, shared by the run's host calls
/// and the replay that watches it.
#[derive(Debug)]
pub struct ReplayCursor {
    marks: Vec<Mark>,
    total: u64,
    ends: Vec<(CallId, u64)>,
    mode: CursorMode,
    trap_on_report: bool,
    /// Ends the run.
    stop: CancellationToken,
    changed: Notify,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    begun: u64,
    ended: usize,
    out_of_time: bool,
    mismatch: Option<CallMismatch>,
    unanswered: Option<CallId>,
    last: Instant,
}

/// The first host call that does not match the recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallMismatch {
    /// Number of the call, from 1.
    pub number: u64,
    /// The recorded call; `None` if the recording had ended.
    pub recorded: Option<Mark>,
    /// Function and arguments of the call in the replay; `None` if it made no further call.
    pub now: Option<(String, String)>,
}

/// How far a replay has come.
#[derive(Debug, Clone)]
pub struct CursorPosition {
    /// Host calls that have begun.
    pub begun: u64,
    pub mismatch: Option<CallMismatch>,
    /// The first AI call that the recording has no answer to.
    pub unanswered: Option<CallId>,
    /// Whether every recorded call has begun and every recorded AI call has ended.
    pub at_end: bool,
    /// Time since the last host call began or AI call ended.
    pub idle: Duration,
}

impl ReplayCursor {
    /// A cursor at the start of `recording`. Cancelling `stop` must end the run.
    pub fn new(
        recording: &Recording,
        mode: CursorMode,
        trap_on_report: bool,
        stop: CancellationToken,
    ) -> Self {
        ReplayCursor {
            marks: recording.calls.0.clone(),
            total: recording.calls_total,
            ends: recording.ai.iter().map(|end| (end.call_id, end.after)).collect(),
            mode,
            trap_on_report,
            stop,
            changed: Notify::new(),
            state: Mutex::new(State {
                begun: 0,
                ended: 0,
                out_of_time: false,
                mismatch: None,
                unanswered: None,
                last: Instant::now(),
            }),
        }
    }

    /// Whether the first error diagnostic stops the run (`--trap-on report`).
    pub fn traps_on_report(&self) -> bool {
        self.trap_on_report
    }

    /// Host call `number`, counted from 1, has begun.
    pub fn began(&self, number: u64, call: &str, args: &str) {
        let mut state = self.state.lock();
        state.begun = number;
        state.last = Instant::now();
        let at = usize::try_from(number).unwrap_or(usize::MAX).saturating_sub(1);
        let recorded = self.marks.get(at).copied();
        // Of calls after the last mark, the recording has only the number.
        let same = match recorded {
            Some(mark) if self.mode == CursorMode::Calls => {
                mark.call() == Mark::new(call, args).call()
            }
            Some(mark) => mark == Mark::new(call, args),
            None => number <= self.total,
        };
        if self.mode != CursorMode::Free && !same && state.mismatch.is_none() {
            let now = Some((call.to_owned(), args.to_owned()));
            state.mismatch = Some(CallMismatch { number, recorded, now });
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// An AI call has ended.
    pub fn ended(&self, _call: CallId) {
        let mut state = self.state.lock();
        state.ended += 1;
        state.last = Instant::now();
        drop(state);
        self.changed.notify_waiters();
    }

    /// Waits until this AI call may end: when every call that had begun or ended before its end has
    /// done so again. A call that had not ended waits for ever.
    pub async fn turn(&self, call: CallId) {
        if self.mode == CursorMode::Free {
            return;
        }
        if !self.may_end(call) {
            self.wait_for_turn(call).await;
        }
    }

    async fn wait_for_turn(&self, call: CallId) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Enabled before the check, so that a change in between wakes it too.
            changed.as_mut().enable();
            if self.may_end(call) {
                return;
            }
            let before = self.state.lock().last;
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep(STALL_TIMEOUT) => self.give_up(before),
            }
        }
    }

    fn may_end(&self, call: CallId) -> bool {
        let state = self.state.lock();
        if state.mismatch.is_some() {
            return true;
        }
        match self.ends.iter().position(|(id, _)| *id == call) {
            Some(at) => at == state.ended && self.ends[at].1 <= state.begun,
            None => false,
        }
    }

    /// Reports a mismatch at the next recorded call, which the run will not make.
    pub fn give_up_now(&self) {
        let last = self.state.lock().last;
        self.give_up(last);
    }

    /// Reports a mismatch if nothing has happened since `before`.
    fn give_up(&self, before: Instant) {
        let mut state = self.state.lock();
        let at_end = state.begun >= self.total && state.ended >= self.ends.len();
        if !at_end && state.last == before && state.mismatch.is_none() {
            let recorded =
                usize::try_from(state.begun).ok().and_then(|at| self.marks.get(at).copied());
            state.mismatch = Some(CallMismatch { number: state.begun + 1, recorded, now: None });
            drop(state);
            self.changed.notify_waiters();
        }
    }

    /// Ends the run: the recording has no answer to this call.
    pub fn unanswered(&self, call: CallId) {
        let mut state = self.state.lock();
        state.unanswered.get_or_insert(call);
        drop(state);
        self.stop.cancel();
    }

    /// Ends the run as if its deadline had passed.
    pub fn run_out_of_time(&self) {
        self.state.lock().out_of_time = true;
        self.stop.cancel();
    }

    /// Whether the run was ended as if its deadline had passed.
    pub fn is_out_of_time(&self) -> bool {
        self.state.lock().out_of_time
    }

    /// How far the replay has come.
    pub fn position(&self) -> CursorPosition {
        let state = self.state.lock();
        CursorPosition {
            begun: state.begun,
            mismatch: state.mismatch.clone(),
            unanswered: state.unanswered,
            at_end: state.begun >= self.total && state.ended >= self.ends.len(),
            idle: state.last.elapsed(),
        }
    }
}
