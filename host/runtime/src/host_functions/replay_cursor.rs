//! A run that is made again, beside the recording of the first time: each call is compared, and
//! each AI call ends when it ended then.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::run::recording::{Mark, Recording};
use sitewright_model::ai::CallId;

/// How long a replay waits for the call that the recording has next, while AI calls wait for their
/// turn behind it. The template computes or sleeps meanwhile; when it does neither, it has gone
/// another way.
const PATIENCE: Duration = Duration::from_secs(10);

/// How closely a run must follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// It is the recorded run, call by call.
    Exact,
    /// It makes the recorded calls, with other texts in them.
    Calls,
    /// It goes its own way: another template, or no recording.
    Free,
}

/// What a replay goes by. One for each replay; shared by the run's calls and whoever watches it.
#[derive(Debug)]
pub struct ReplayCursor {
    marks: Vec<Mark>,
    total: u64,
    ends: Vec<(CallId, u64)>,
    pace: Pace,
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
    difference: Option<Difference>,
    unanswered: Option<CallId>,
    last: Instant,
}

/// The first call that is not as it was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Its number, from 1.
    pub number: u64,
    /// What the recording has.
    pub recorded: Option<Mark>,
    /// What the template called now, and with what; nothing when it went no further.
    pub now: Option<(String, String)>,
}

/// What has happened in a replay so far.
#[derive(Debug, Clone)]
pub struct Happened {
    /// Host calls.
    pub begun: u64,
    /// The first that is not as it was.
    pub difference: Option<Difference>,
    /// An AI call that the recording has no answer to.
    pub unanswered: Option<CallId>,
    /// Whether all that was recorded has happened.
    pub at_end: bool,
    /// Time since the last of it.
    pub quiet: Duration,
}

impl ReplayCursor {
    /// Beside `recording`. `stop` ends the run that follows.
    pub fn new(
        recording: &Recording,
        pace: Pace,
        trap_on_report: bool,
        stop: CancellationToken,
    ) -> Self {
        ReplayCursor {
            marks: recording.calls.0.clone(),
            total: recording.calls_total,
            ends: recording.ai.iter().map(|end| (end.call_id, end.after)).collect(),
            pace,
            trap_on_report,
            stop,
            changed: Notify::new(),
            state: Mutex::new(State {
                begun: 0,
                ended: 0,
                out_of_time: false,
                difference: None,
                unanswered: None,
                last: Instant::now(),
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the first error diagnostic stops the run.
    pub fn traps_on_report(&self) -> bool {
        self.trap_on_report
    }

    /// A host call has begun, the how manieth.
    pub fn began(&self, number: u64, call: &str, args: &str) {
        let mut state = self.state();
        state.begun = number;
        state.last = Instant::now();
        let at = usize::try_from(number).unwrap_or(usize::MAX).saturating_sub(1);
        let recorded = self.marks.get(at).copied();
        // Those behind the last mark are known by their number alone.
        let same = match recorded {
            Some(mark) if self.pace == Pace::Calls => mark.call() == Mark::new(call, args).call(),
            Some(mark) => mark == Mark::new(call, args),
            None => number <= self.total,
        };
        if self.pace != Pace::Free && !same && state.difference.is_none() {
            let now = Some((call.to_owned(), args.to_owned()));
            state.difference = Some(Difference { number, recorded, now });
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// An AI call has ended.
    pub fn ended(&self, _call: CallId) {
        let mut state = self.state();
        state.ended += 1;
        state.last = Instant::now();
        drop(state);
        self.changed.notify_waiters();
    }

    /// Waits until this AI call may end: when all that had happened before its end has happened.
    /// One that had not ended waits for ever.
    pub async fn turn(&self, call: CallId) {
        if self.pace == Pace::Free {
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
            // Before it looks: what happens in between wakes it too.
            changed.as_mut().enable();
            if self.may_end(call) {
                return;
            }
            let before = self.state().last;
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep(PATIENCE) => self.give_up(before),
            }
        }
    }

    fn may_end(&self, call: CallId) -> bool {
        let state = self.state();
        if state.difference.is_some() {
            return true;
        }
        match self.ends.iter().position(|(id, _)| *id == call) {
            Some(at) => at == state.ended && self.ends[at].1 <= state.begun,
            None => false,
        }
    }

    /// Nothing will happen any more.
    pub fn give_up_now(&self) {
        let last = self.state().last;
        self.give_up(last);
    }

    /// Nothing has happened for long although AI calls wait for what comes before their end: the
    /// run is another one.
    fn give_up(&self, before: Instant) {
        let mut state = self.state();
        let at_end = state.begun >= self.total && state.ended >= self.ends.len();
        if !at_end && state.last == before && state.difference.is_none() {
            let recorded =
                usize::try_from(state.begun).ok().and_then(|at| self.marks.get(at).copied());
            state.difference = Some(Difference { number: state.begun + 1, recorded, now: None });
            drop(state);
            self.changed.notify_waiters();
        }
    }

    /// The recording has no answer to this call: the run ends here.
    pub fn unanswered(&self, call: CallId) {
        let mut state = self.state();
        state.unanswered.get_or_insert(call);
        drop(state);
        self.stop.cancel();
    }

    /// Ends the run as one whose deadline has passed.
    pub fn run_out_of_time(&self) {
        self.state().out_of_time = true;
        self.stop.cancel();
    }

    /// Whether the run was ended as one whose deadline has passed.
    pub fn is_out_of_time(&self) -> bool {
        self.state().out_of_time
    }

    /// What has happened so far.
    pub fn happened(&self) -> Happened {
        let state = self.state();
        Happened {
            begun: state.begun,
            difference: state.difference.clone(),
            unanswered: state.unanswered,
            at_end: state.begun >= self.total && state.ended >= self.ends.len(),
            quiet: state.last.elapsed(),
        }
    }
}
