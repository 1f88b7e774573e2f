//! How long and how large reading of debug information may become.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// Debug information of one template larger than this is not read: a template would make the host
/// hold it in memory.
pub const MAX_DEBUG_BYTES: usize = 256 << 20;
/// Its tables of abbreviations, which in memory become fifty times their size.
pub(super) const MAX_ABBREVIATION_BYTES: usize = 2 << 20;
/// The header of one line table, whose file names in memory become a hundred times their size.
pub(super) const MAX_LINE_HEADER_BYTES: u64 = 1 << 20;
/// Modules of one component that are looked at.
pub(super) const MAX_MODULES: usize = 1_000;
/// Debug sections of one module; DWARF has about twenty.
pub(super) const MAX_SECTIONS: usize = 64;
/// Frames of one record, inlined ones included.
pub(super) const MAX_FRAMES: usize = 512;
/// Ranges of compilation units kept in memory.
pub(super) const MAX_UNIT_RANGES: usize = 1 << 20;
/// Functions inlined into one another that one place shows.
pub(super) const MAX_INLINED: usize = 64;
/// Longest name of a function or file, in bytes: a mangled name of the language C++ can become as
/// long as its program.
pub(super) const MAX_NAME_BYTES: usize = 4 << 10;
/// Processor time that the frames of one record may take. A Rust template's take a hundredth of it.
pub const MAX_TIME: Duration = Duration::from_secs(2);

/// Why reading ended early.
#[derive(Debug)]
pub(super) enum Stop {
    /// The time is up.
    TimeUp,
    /// The bytes make no sense, or too much.
    Broken(String),
}

impl From<gimli::Error> for Stop {
    fn from(error: gimli::Error) -> Self {
        Stop::Broken(error.to_string())
    }
}

/// By how much a busy machine may stretch that.
const PATIENCE: u32 = 10;

/// Time that is left, of the thread that makes it. Everything that a hostile template could repeat
/// spends of it, so reading ends whatever the bytes say.
#[derive(Debug)]
pub(super) struct Budget {
    /// Nothing when that is beyond what the clock can tell.
    until: Option<Instant>,
    until_cpu: Duration,
    unchecked: usize,
}

/// Processor time of this thread. What a record tells must not depend on what else the machine
/// does.
fn thread_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    let (seconds, nanos) = (u64::try_from(now.tv_sec), u32::try_from(now.tv_nsec));
    Duration::new(seconds.unwrap_or(0), nanos.unwrap_or(0))
}

/// Steps between two looks at the clock: far less than a millisecond of them.
const STEPS: usize = 4_096;

impl Budget {
    pub(super) fn new(time: Duration) -> Self {
        // The first step looks at the clock, so that no time at all is no time at all.
        let until = Instant::now().checked_add(time.saturating_mul(PATIENCE));
        Budget { until, until_cpu: thread_time().saturating_add(time), unchecked: STEPS }
    }

    /// Counts steps of about equal length.
    pub(super) fn spend(&mut self, steps: usize) -> Result<(), Stop> {
        self.unchecked = self.unchecked.saturating_add(steps);
        if self.unchecked < STEPS {
            return Ok(());
        }
        self.unchecked = 0;
        let left =
            thread_time() < self.until_cpu && self.until.is_none_or(|until| Instant::now() < until);
        if left { Ok(()) } else { Err(Stop::TimeUp) }
    }
}
