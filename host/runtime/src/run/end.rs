//! How a run ended, as the engine and the guest put it.

use std::time::Duration;

use crate::plugin::bindings::generator;

/// What a run had used when it ended.
pub struct RunEnd {
    /// Processor time.
    pub cpu: Duration,
    /// Most bytes of memory, or what was asked for and refused.
    pub memory_peak: u64,
    /// The tail of stdout and the bytes printed in all.
    pub stdout: (String, u64),
    /// The tail of stderr and the bytes printed in all.
    pub stderr: (String, u64),
    /// The dump of a guest that was stopped, or why there is none; nothing when none was wanted.
    pub coredump: Option<Result<Vec<u8>, String>>,
    /// Time from begin to end.
    pub elapsed: Duration,
    /// Each limit of the budget for AI: its name, its most, what was used.
    pub budget: Vec<(&'static str, u64, u64)>,
}

/// Why a run made no site.
pub enum RunError {
    /// The template returned a failure.
    Template(generator::Failure),
    /// The guest was stopped: a trap, a limit, or a host function that failed.
    Stopped(wasmtime::Error),
    /// The deadline passed.
    Deadline,
    /// The deadline passed while all places for runs were taken.
    NoPlace {
        /// How many there are.
        concurrency: u32,
    },
    /// Somebody cancelled it.
    Cancelled,
}
