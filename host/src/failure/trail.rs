//! The last host calls of a run, oldest first.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How many calls a trail keeps.
pub const TRAIL_LENGTH: usize = 256;

/// One call of the guest to the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrailEntry {
    /// Number of the call in its run, from 1. A gap at the beginning of a trail means that older calls were dropped.
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
    /// How it ended.
    pub outcome: TrailOutcome,
    /// The AI call's id, for `ai` calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call_id: Option<String>,
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
}

impl Trail {
    /// Enters a call that begins now and returns its number.
    pub fn begin(&mut self, at: Duration, call: &'static str, args: String, call_id: Option<String>) -> u64 {
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
            outcome: TrailOutcome::InFlight,
            call_id,
        });
        self.calls
    }

    /// Enters how call `seq` ended. Nothing happens when newer calls have pushed it out.
    pub fn end(&mut self, seq: u64, took: Duration, outcome: TrailOutcome) {
        let Some(first) = self.entries.front().map(|entry| entry.seq) else { return };
        let entry = seq.checked_sub(first).and_then(|at| usize::try_from(at).ok()).and_then(|at| self.entries.get_mut(at));
        if let Some(entry) = entry {
            entry.duration_us = Some(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
            entry.outcome = outcome;
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
