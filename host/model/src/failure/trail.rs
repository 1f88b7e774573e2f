//! The trail: the most important host calls of a run, in the order in which they began.

use std::collections::VecDeque;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::time::millis;

/// Maximum entries of a trail.
pub const TRAIL_LENGTH: usize = 256;

/// One host call, or several equal ones in a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrailEntry {
    /// Number of the call in its run, from 1, in the order in which calls began. A gap means that
    /// calls were dropped, or that the previous entry represents several calls.
    pub seq: u64,
    /// Milliseconds from the start of the run to the start of the call.
    pub at_ms: u64,
    /// `ai.complete`, `site.write`, ...
    pub call: String,
    /// Summary of the arguments: purpose and sizes, a path, a stage; never the customer's text.
    pub args: String,
    /// Bytes that the guest passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Bytes of text of the reply, for `ai` calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_bytes: Option<u64>,
    /// The first 12 digits of the SHA-256 of what the guest passed: equal calls have equal digests.
    /// Missing for a rejected write, whose bytes are not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Number of calls in a row that the entry represents: more than 1 for log lines and for steps
    /// of a stage.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub count: u64,
    /// Duration in microseconds; missing while the call is in flight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_us: Option<u64>,
    /// Number of the newest call that had begun when this one ended: the calls between the two
    /// overlapped with this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
    /// Milliseconds that an AI call waited for the limits of its providers, in all its attempts.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub waited_ms: u64,
    /// How it ended.
    pub outcome: TrailOutcome,
    /// Id of the AI call, for `ai` calls; the record's `ai_calls` has its attempts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call_id: Option<String>,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn one() -> u64 {
    1
}

fn is_one(number: &u64) -> bool {
    *number == 1
}

/// How a host call ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TrailOutcome {
    /// It succeeded.
    Ok,
    /// It was rejected or failed; a summary of the error that the guest got.
    Error(String),
    /// It had not ended when the run ended.
    InFlight,
}

impl NewCall {
    /// The entry for this call. Its number and time are set when it is added to a trail.
    ///
    /// Not inlined, because it runs on the guest's stack, which keeps the maximum depth it ever
    /// had.
    #[inline(never)]
    pub fn entry(self) -> Box<TrailEntry> {
        Box::new(TrailEntry::begun(0, 0, self))
    }
}

impl TrailEntry {
    /// A call that has begun.
    pub fn begun(seq: u64, at_ms: u64, call: NewCall) -> Self {
        let NewCall { call, args, bytes, digest, call_id } = call;
        TrailEntry {
            seq,
            at_ms,
            call: call.to_owned(),
            args,
            bytes,
            reply_bytes: None,
            digest,
            count: 1,
            duration_us: None,
            until: None,
            waited_ms: 0,
            outcome: TrailOutcome::InFlight,
            call_id,
        }
    }

    /// The number of the last call that is known to have begun before this one ended; its own
    /// number if that is unknown.
    pub fn last_beside(&self) -> u64 {
        match (self.until, &self.outcome) {
            (Some(until), _) => until,
            (None, TrailOutcome::InFlight) => u64::MAX,
            (None, _) => self.seq,
        }
    }
}

/// A call that begins.
#[derive(Debug, Clone, Default)]
pub struct NewCall {
    /// Its name: `ai.complete`.
    pub call: &'static str,
    /// See [`TrailEntry::args`].
    pub args: String,
    /// See [`TrailEntry::bytes`].
    pub bytes: Option<u64>,
    /// See [`TrailEntry::digest`].
    pub digest: Option<String>,
    /// See [`TrailEntry::call_id`].
    pub call_id: Option<String>,
}

/// A call that has ended.
#[derive(Debug, Clone)]
pub struct Ended {
    pub outcome: TrailOutcome,
    /// See [`TrailEntry::reply_bytes`].
    pub reply_bytes: Option<u64>,
    /// See [`TrailEntry::digest`]; set if it is only known at the end.
    pub digest: Option<String>,
    /// See [`TrailEntry::waited_ms`].
    pub waited_ms: u64,
    /// Whether the host rejected it without any work. Such calls cost a guest nothing, so they must
    /// not evict other entries.
    pub refused: bool,
}

impl From<TrailOutcome> for Ended {
    fn from(outcome: TrailOutcome) -> Self {
        Ended { outcome, reply_bytes: None, digest: None, waited_ms: 0, refused: false }
    }
}

/// A class of calls, which evict one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    /// AI calls, which cost money and time.
    Ai,
    /// Files of the site.
    Write,
    /// Diagnostics and questions, which cost the template nothing.
    Told,
    /// Calls that were rejected at once, which cost nothing either.
    Refused,
}

impl Class {
    const ALL: [Class; 4] = [Class::Ai, Class::Write, Class::Told, Class::Refused];

    /// Number of entries reserved for the class. The shares add up to [`TRAIL_LENGTH`].
    const fn share(self) -> usize {
        match self {
            Class::Ai => 112,
            Class::Write => 64,
            Class::Told => 56,
            Class::Refused => 24,
        }
    }

    fn of(call: &str) -> Self {
        match call.split_once('.') {
            Some(("ai" | "ai-sync", _)) => Class::Ai,
            Some(("diagnostics", _) | ("site", "exists")) => Class::Told,
            _ => Class::Write,
        }
    }
}

/// Maximum stages with an entry of their own between two calls.
const MAX_STAGES: u32 = 8;

/// The newest [`TRAIL_LENGTH`] host calls of a run. Each class of calls has a share of the entries,
/// so that a call repeated a million times evicts its own class and not the calls that led to the
/// failure.
#[derive(Debug, Default)]
pub struct Trail {
    /// Boxed to save memory: thousands of waiting runs have one or two entries each, and a
    /// `VecDeque` allocates four at once.
    classes: [VecDeque<Box<TrailEntry>>; Class::ALL.len()],
    calls: u64,
    /// The entry of the log lines since the last call that was not a diagnostic.
    lines: Option<Shared>,
    /// The same for the steps of the current stage.
    steps: Option<(Shared, String)>,
    /// Number of stages since then.
    stages: u32,
}

/// An entry that represents several calls.
#[derive(Debug, Clone, Copy)]
struct Shared {
    seq: u64,
    count: u64,
    bytes: u64,
}

impl Trail {
    /// Adds a call that begins now and returns its number.
    pub fn begin(&mut self, at: Duration, call: NewCall) -> u64 {
        self.begin_entry(at, call.entry())
    }

    /// As [`begin`](Self::begin), for an existing entry.
    pub fn begin_entry(&mut self, at: Duration, entry: Box<TrailEntry>) -> u64 {
        if Class::of(&entry.call) != Class::Told {
            (self.lines, self.steps, self.stages) = (None, None, 0);
        }
        self.enter(at, entry)
    }

    /// Adds a log line. Lines between two calls share an entry.
    pub fn log(&mut self, at: Duration, bytes: usize) {
        let shared = self.share(at, self.lines, "diagnostics.log", bytes);
        let args = format!("{} lines, {} bytes", shared.count, shared.bytes);
        self.shared(at, shared, args);
        self.lines = Some(shared);
    }

    /// Adds a step of a stage. The steps of one stage between two calls share an entry that shows
    /// the last one. So do all stages after the first few.
    pub fn progress(&mut self, at: Duration, stage: &str, done: u32, total: u32) {
        let same = self.steps.as_ref().is_some_and(|(_, of)| of == stage);
        if !same {
            self.stages = self.stages.saturating_add(1);
        }
        let open = self.steps.take().filter(|_| same || self.stages > MAX_STAGES);
        let shared =
            self.share(at, open.map(|(shared, _)| shared), "diagnostics.progress", stage.len());
        self.shared(at, shared, format!("{stage} {done}/{total}"));
        self.steps = Some((shared, stage.to_owned()));
    }

    /// Counts a call in the open entry, or adds a new entry.
    fn share(
        &mut self,
        at: Duration,
        open: Option<Shared>,
        call: &'static str,
        bytes: usize,
    ) -> Shared {
        match open.filter(|open| self.find(open.seq).is_some()) {
            Some(Shared { seq, count, bytes: before }) => {
                self.calls += 1;
                Shared {
                    seq,
                    count: count.saturating_add(1),
                    bytes: before.saturating_add(bytes as u64),
                }
            }
            None => {
                let seq = self.enter(at, NewCall { call, ..NewCall::default() }.entry());
                Shared { seq, count: 1, bytes: bytes as u64 }
            }
        }
    }

    fn shared(&mut self, at: Duration, shared: Shared, args: String) {
        if let Some(entry) = self.find(shared.seq) {
            entry.args = args;
            entry.count = shared.count;
            entry.bytes = Some(shared.bytes);
            entry.duration_us = Some(millis(at).saturating_sub(entry.at_ms).saturating_mul(1_000));
            entry.outcome = TrailOutcome::Ok;
        }
    }

    fn enter(&mut self, at: Duration, mut entry: Box<TrailEntry>) -> u64 {
        self.calls += 1;
        (entry.seq, entry.at_ms) = (self.calls, millis(at));
        self.class(Class::of(&entry.call)).push_back(entry);
        self.make_room();
        self.calls
    }

    fn class(&mut self, class: Class) -> &mut VecDeque<Box<TrailEntry>> {
        &mut self.classes[class as usize]
    }

    /// Drops the oldest entry of the class that exceeds its share most; calls that have ended are
    /// dropped first.
    fn make_room(&mut self) {
        if self.classes.iter().map(VecDeque::len).sum::<usize>() <= TRAIL_LENGTH {
            return;
        }
        let over =
            |class: &Class| self.classes[*class as usize].len().saturating_sub(class.share());
        if let Some(class) = Class::ALL.into_iter().max_by_key(over) {
            let entries = self.class(class);
            let ended = entries.iter().position(|entry| entry.outcome != TrailOutcome::InFlight);
            // The newest call has just begun and is kept.
            entries.remove(ended.filter(|at| at + 1 < entries.len()).unwrap_or(0));
        }
    }

    fn find(&mut self, seq: u64) -> Option<&mut TrailEntry> {
        self.classes.iter_mut().find_map(|entries| {
            let at = entries.binary_search_by_key(&seq, |entry| entry.seq).ok()?;
            entries.get_mut(at).map(Box::as_mut)
        })
    }

    /// Records how call `seq` ended. Does nothing if the entry was dropped.
    pub fn end(&mut self, seq: u64, took: Duration, ended: impl Into<Ended>) {
        let Ended { outcome, reply_bytes, digest, waited_ms, refused } = ended.into();
        let until = self.calls;
        let Some(entry) = self.find(seq) else { return };
        entry.duration_us = Some(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        entry.until = Some(until);
        entry.outcome = outcome;
        entry.waited_ms = waited_ms;
        entry.reply_bytes = reply_bytes;
        if digest.is_some() {
            entry.digest = digest;
        }
        if refused {
            self.set_aside(seq);
        }
    }

    /// Moves the entry to the class of rejected calls.
    fn set_aside(&mut self, seq: u64) {
        let found = self.classes.iter_mut().find_map(|entries| {
            let at = entries.binary_search_by_key(&seq, |entry| entry.seq).ok()?;
            entries.remove(at)
        });
        if let Some(entry) = found {
            let refused = self.class(Class::Refused);
            let at = refused.partition_point(|other| other.seq < seq);
            refused.insert(at, entry);
        }
    }

    /// Number of all calls.
    pub fn calls(&self) -> u64 {
        self.calls
    }

    /// The kept entries, in the order in which the calls began.
    pub fn entries(&self) -> Vec<TrailEntry> {
        let mut entries: Vec<TrailEntry> =
            self.classes.iter().flatten().map(|entry| TrailEntry::clone(entry)).collect();
        entries.sort_by_key(|entry| entry.seq);
        entries
    }

    /// The kept calls of this name that ended with an error, in the order in which they began.
    pub fn errors_of(&self, call: &str) -> Vec<TrailEntry> {
        let kept = self.classes.iter().flatten().map(|entry| &**entry);
        let failed = kept
            .filter(|entry| entry.call == call && matches!(entry.outcome, TrailOutcome::Error(_)));
        let mut found: Vec<TrailEntry> = failed.cloned().collect();
        found.sort_by_key(|entry| entry.seq);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Spam = fn(&mut Trail, u32);

    fn call(trail: &mut Trail, call: &'static str) -> u64 {
        trail.begin(Duration::ZERO, NewCall { call, ..NewCall::default() })
    }

    fn done(trail: &mut Trail, name: &'static str, outcome: TrailOutcome, refused: bool) -> u64 {
        let seq = call(trail, name);
        trail.end(seq, Duration::ZERO, Ended { refused, ..outcome.into() });
        seq
    }

    #[test]
    fn errors_of_a_call_are_found_in_the_order_of_the_calls() {
        let mut trail = Trail::default();
        let error = |text: &str| TrailOutcome::Error(text.to_owned());
        done(&mut trail, "site.write", error("one"), true);
        done(&mut trail, "site.write", TrailOutcome::Ok, false);
        done(&mut trail, "ai.complete", error("other"), false);
        done(&mut trail, "site.write", error("two"), true);
        let found = trail.errors_of("site.write");
        let outcomes: Vec<_> = found.into_iter().map(|entry| entry.outcome).collect();
        assert_eq!(outcomes, [error("one"), error("two")]);
    }

    fn count(trail: &Trail, name: &str) -> usize {
        trail.entries().iter().filter(|entry| entry.call == name).count()
    }

    #[test]
    fn the_newest_calls_stay_and_each_ends_as_itself() {
        let mut trail = Trail::default();
        let numbers: Vec<u64> =
            (0..TRAIL_LENGTH + 10).map(|_| call(&mut trail, "site.write")).collect();
        trail.end(numbers[0], Duration::ZERO, TrailOutcome::Ok);
        trail.end(numbers[20], Duration::from_micros(7), TrailOutcome::Error("no".to_owned()));
        let entries = trail.entries();
        assert_eq!((entries.len(), trail.calls()), (TRAIL_LENGTH, (TRAIL_LENGTH + 10) as u64));
        assert_eq!(entries[0].seq, 11);
        let ended: Vec<&TrailEntry> =
            entries.iter().filter(|entry| entry.outcome != TrailOutcome::InFlight).collect();
        assert_eq!(ended.len(), 1);
        assert_eq!((ended[0].seq, ended[0].duration_us), (numbers[20], Some(7)));
    }

    #[test]
    fn log_lines_share_an_entry_and_push_nothing_out() {
        let mut trail = Trail::default();
        let first = call(&mut trail, "ai.complete");
        for _ in 0..10_000 {
            trail.log(Duration::ZERO, 5);
        }
        let second = call(&mut trail, "ai.complete");
        trail.log(Duration::ZERO, 1);
        trail.end(first, Duration::ZERO, TrailOutcome::Ok);
        trail.end(second, Duration::ZERO, TrailOutcome::Ok);
        let entries = trail.entries();
        let shown: Vec<(&str, &str, u64)> = entries
            .iter()
            .map(|entry| (entry.call.as_str(), entry.args.as_str(), entry.count))
            .collect();
        assert_eq!(
            shown,
            [
                ("ai.complete", "", 1),
                ("diagnostics.log", "10000 lines, 50000 bytes", 10_000),
                ("ai.complete", "", 1),
                ("diagnostics.log", "1 lines, 1 bytes", 1),
            ]
        );
        assert!(entries.iter().all(|entry| entry.outcome == TrailOutcome::Ok));
    }

    #[test]
    fn steps_of_a_stage_share_an_entry_and_stages_have_their_own() {
        let mut trail = Trail::default();
        trail.progress(Duration::ZERO, "read", 0, 1);
        for done in 1..=5_000 {
            trail.progress(Duration::ZERO, "pages", done, 5_000);
            trail.log(Duration::ZERO, 1);
        }
        call(&mut trail, "site.write");
        trail.progress(Duration::ZERO, "pages", 1, 2);
        let entries = trail.entries();
        let shown: Vec<(&str, u64)> =
            entries.iter().map(|entry| (entry.args.as_str(), entry.count)).collect();
        assert_eq!(
            shown,
            [
                ("read 0/1", 1),
                ("pages 5000/5000", 5_000),
                ("5000 lines, 5000 bytes", 5_000),
                ("", 1),
                ("pages 1/2", 1)
            ]
        );
        assert_eq!(trail.calls(), 1 + 10_000 + 2);
    }

    /// Repeated calls of one class leave the shares of the other classes alone.
    #[test]
    fn nothing_a_guest_repeats_pushes_out_the_calls_that_matter() {
        let spam: [(&str, Spam); 7] = [
            ("reports", |trail, _| {
                done(trail, "diagnostics.report", TrailOutcome::Ok, false);
            }),
            ("questions", |trail, _| {
                done(trail, "site.exists", TrailOutcome::Ok, false);
            }),
            ("writes", |trail, _| {
                done(trail, "site.write", TrailOutcome::Ok, false);
            }),
            ("stages", |trail, n| trail.progress(Duration::ZERO, &format!("stage {n}"), n, n)),
            ("lines and stages", |trail, n| {
                trail.log(Duration::ZERO, 1);
                trail.progress(Duration::ZERO, &format!("stage {n}"), n, n);
            }),
            ("refused writes", |trail, _| {
                done(trail, "site.write", TrailOutcome::Error("limit".to_owned()), true);
            }),
            ("refused calls", |trail, _| {
                done(trail, "ai.complete-stream", TrailOutcome::Error("budget".to_owned()), true);
            }),
        ];
        for (name, spam) in spam {
            let mut trail = Trail::default();
            for _ in 0..64 {
                done(&mut trail, "ai.complete", TrailOutcome::Ok, false);
                done(&mut trail, "site.write", TrailOutcome::Ok, false);
            }
            for _ in 0..32 {
                done(&mut trail, "ai-sync.complete-all", TrailOutcome::Ok, false);
            }
            let written = count(&trail, "site.write");
            for number in 0..100_000 {
                spam(&mut trail, number);
            }
            assert_eq!(count(&trail, "ai.complete"), 64, "{name}");
            assert_eq!(count(&trail, "ai-sync.complete-all"), 32, "{name}");
            assert!(count(&trail, "site.write") >= written, "{name}");
            let entries = trail.entries();
            assert!(entries.len() <= TRAIL_LENGTH, "{name}: {}", entries.len());
            assert!(entries.is_sorted_by_key(|entry| entry.seq), "{name}");
        }
    }

    #[test]
    fn a_call_in_flight_outlives_those_that_have_ended() {
        let mut trail = Trail::default();
        let waits = call(&mut trail, "ai.complete");
        for _ in 0..1_000 {
            done(&mut trail, "ai.complete", TrailOutcome::Ok, false);
        }
        assert_eq!(trail.entries()[0].seq, waits);
        assert_eq!(trail.entries().len(), TRAIL_LENGTH);
    }

    #[test]
    fn calls_that_overlapped_can_be_told_from_those_that_did_not() {
        let mut trail = Trail::default();
        let first = call(&mut trail, "ai.complete");
        let beside = call(&mut trail, "ai.complete");
        trail.end(first, Duration::ZERO, TrailOutcome::Ok);
        let after = call(&mut trail, "ai.complete");
        trail.end(beside, Duration::ZERO, TrailOutcome::Ok);
        let last: Vec<u64> = trail.entries().iter().map(TrailEntry::last_beside).collect();
        assert_eq!(last, [beside, after, u64::MAX]);
    }
}
