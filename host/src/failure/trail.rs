//! The last host calls of a run, oldest first.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How many calls a trail keeps.
pub const TRAIL_LENGTH: usize = 256;

/// One call of the guest to the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrailEntry {
    /// Number of the call in its run, from 1. A gap at the beginning of a trail means that older calls were dropped, one after a
    /// `diagnostics.log` that it stands for several lines.
    pub seq: u64,
    /// Milliseconds from the start of the run to the start of the call.
    pub at_ms: u64,
    /// `ai.complete`, `site.write`, ...
    pub call: String,
    /// What it was called with, in short: purpose and sizes, a path, a stage, and where the text itself may not be shown the
    /// first 12 digits of its SHA-256.
    pub args: String,
    /// How long it took, in microseconds; missing while it is in flight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_us: Option<u64>,
    /// How long of it an AI call waited for the limits of its providers, in milliseconds, all attempts together.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub waited_ms: u64,
    /// How it ended.
    pub outcome: TrailOutcome,
    /// The AI call's id, for `ai` calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call_id: Option<String>,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// How a host call ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrailOutcome {
    /// It did what was asked.
    Ok,
    /// It was refused or failed: what the guest was told, in short.
    Error(String),
    /// It had not ended when the run did.
    InFlight,
}

/// The newest [`TRAIL_LENGTH`] host calls of a run.
#[derive(Debug, Default)]
pub struct Trail {
    entries: VecDeque<TrailEntry>,
    calls: u64,
    /// The log calls that the last entry stands for, while it is one.
    logged: Option<Logged>,
}

#[derive(Debug, Clone, Copy)]
struct Logged {
    lines: u64,
    bytes: u64,
}

impl Trail {
    /// Enters a call that begins now and returns its number.
    pub fn begin(&mut self, at: Duration, call: &'static str, args: String, call_id: Option<String>) -> u64 {
        self.logged = None;
        self.enter(at, call, args, call_id)
    }

    /// Enters a line of log. Lines that follow each other share an entry, so that a chatty template does not push out the calls that
    /// matter.
    pub fn log(&mut self, at: Duration, bytes: usize) {
        let before = self.logged.filter(|_| !self.entries.is_empty());
        let logged = Logged {
            lines: before.map_or(0, |logged| logged.lines).saturating_add(1),
            bytes: before.map_or(0, |logged| logged.bytes).saturating_add(bytes as u64),
        };
        let args = format!("{} lines, {} bytes", logged.lines, logged.bytes);
        if before.is_some() {
            self.calls += 1;
        } else {
            self.enter(at, "diagnostics.log", String::new(), None);
        }
        if let Some(entry) = self.entries.back_mut() {
            entry.args = args;
            entry.duration_us = Some(millis(at).saturating_sub(entry.at_ms).saturating_mul(1_000));
            entry.outcome = TrailOutcome::Ok;
        }
        self.logged = Some(logged);
    }

    fn enter(&mut self, at: Duration, call: &'static str, args: String, call_id: Option<String>) -> u64 {
        self.calls += 1;
        if self.entries.len() == TRAIL_LENGTH {
            self.entries.pop_front();
        }
        self.entries.push_back(TrailEntry {
            seq: self.calls,
            at_ms: millis(at),
            call: call.to_owned(),
            args,
            duration_us: None,
            waited_ms: 0,
            outcome: TrailOutcome::InFlight,
            call_id,
        });
        self.calls
    }

    /// Enters how call `seq` ended. Nothing happens when newer calls have pushed it out.
    pub fn end(&mut self, seq: u64, took: Duration, outcome: TrailOutcome) {
        // Numbers grow, but log lines that share an entry leave gaps.
        let found = self.entries.binary_search_by_key(&seq, |entry| entry.seq);
        if let Some(entry) = found.ok().and_then(|at| self.entries.get_mut(at)) {
            entry.duration_us = Some(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
            entry.outcome = outcome;
        }
    }

    /// Tells how long of a call's time was spent waiting for limits.
    pub fn waited(&mut self, seq: u64, waited_ms: u64) {
        let found = self.entries.binary_search_by_key(&seq, |entry| entry.seq);
        if let Some(entry) = found.ok().and_then(|at| self.entries.get_mut(at)) {
            entry.waited_ms = waited_ms;
        }
    }

    /// How many calls there were in all.
    pub fn calls(&self) -> u64 {
        self.calls
    }

    /// The kept calls, oldest first.
    pub fn entries(&self) -> Vec<TrailEntry> {
        self.entries.iter().cloned().collect()
    }
}

/// Whole milliseconds of a duration.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(trail: &mut Trail, name: &'static str) -> u64 {
        trail.begin(Duration::ZERO, name, String::new(), None)
    }

    #[test]
    fn the_newest_calls_stay_and_each_ends_as_itself() {
        let mut trail = Trail::default();
        let numbers: Vec<u64> = (0..TRAIL_LENGTH + 10).map(|_| call(&mut trail, "site.write")).collect();
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
        let shown: Vec<(&str, &str)> =
            entries.iter().map(|entry| (entry.call.as_str(), entry.args.as_str())).collect();
        assert_eq!(
            shown,
            [
                ("ai.complete", ""),
                ("diagnostics.log", "10000 lines, 50000 bytes"),
                ("ai.complete", ""),
                ("diagnostics.log", "1 lines, 1 bytes"),
            ]
        );
        assert!(entries.iter().all(|entry| entry.outcome == TrailOutcome::Ok));
    }
}
