//! How a run ended, as the engine and the guest report it.

use std::time::Duration;

use crate::plugin::bindings::types;
use sitewright_model::failure::{Frame, SourceLocation};

/// What a run had used when it ended.
pub struct RunEnd {
    /// Processor time.
    pub cpu: Duration,
    /// Maximum memory in bytes, a request that was refused included.
    pub memory_peak: u64,
    /// The tail of stdout, and the number of bytes printed in all.
    pub stdout: (String, u64),
    /// The tail of stderr, and the number of bytes printed in all.
    pub stderr: (String, u64),
    pub coredump: CoreDump,
    /// Where the code of a stopped guest was; `None` if the engine keeps no state of stopped guests.
    pub stopped_at: Option<Box<StoppedAt>>,
    /// Time from the start of the run to its end.
    pub elapsed: Duration,
    /// Each limit of the AI budget: its name, its maximum, what was used.
    pub budget: Vec<(&'static str, u64, u64)>,
}

/// Where the code of a stopped guest was, as far as its memory says.
#[derive(Debug, Clone, Default)]
pub struct StoppedAt {
    /// The stack of its interpreter, innermost first.
    pub stack: Vec<Frame>,
    /// Where it last called the SDK, if the stack is not known.
    pub last_call: Option<SourceLocation>,
}

/// The core dump of a guest that was stopped.
#[derive(Default)]
pub enum CoreDump {
    /// The run went well, or no dumps are wanted of its template.
    #[default]
    NotWanted,
    /// There is none: the reason.
    Missing(String),
    /// The dump's bytes.
    Taken(Vec<u8>),
}

/// Why a run made no site.
pub enum RunError {
    /// The template returned a failure.
    Template(types::Failure),
    /// The guest was stopped: a trap, a limit, or a host function that failed.
    Stopped(wasmtime::Error),
    /// The deadline passed.
    Deadline,
    /// The deadline passed while the run waited for one of the engine's slots.
    NoSlot {
        /// Slots of the engine.
        concurrency: u32,
    },
    /// The run was cancelled.
    Cancelled,
}
