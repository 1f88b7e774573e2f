//! Limits on the time and memory that reading debug information may take.

use std::time::{Duration, Instant};

use sitewright_cpu_time::of_thread;

/// Maximum bytes of debug information of one template. More is not read, because the host would
/// hold it in memory.
pub const MAX_DEBUG_BYTES: usize = 256 << 20;
/// Maximum bytes of the abbreviation tables, which take fifty times their size in memory.
pub(super) const MAX_ABBREVIATION_BYTES: usize = 2 << 20;
/// Maximum bytes of the header of one line table, whose file names take a hundred times their size
/// in memory.
pub(super) const MAX_LINE_HEADER_BYTES: u64 = 1 << 20;
/// Maximum modules of one component that are read.
pub(super) const MAX_MODULES: usize = 1_000;
/// Maximum debug sections of one module; DWARF has about twenty.
pub(super) const MAX_SECTIONS: usize = 64;
/// Maximum frames of one record, inlined ones included.
pub(super) const MAX_FRAMES: usize = 512;
/// Maximum ranges of compilation units kept in memory.
pub(super) const MAX_UNIT_RANGES: usize = 1 << 20;
/// Maximum depth of inlined functions at one code location.
pub(super) const MAX_INLINED: usize = 64;
/// Maximum bytes of the name of a function or file: a mangled C++ name can be as long as its
/// program.
pub(super) const MAX_NAME_BYTES: usize = 4 << 10;
/// Maximum CPU time to symbolize the frames of one record. Those of a Rust template take a
/// hundredth of it.
pub const MAX_TIME: Duration = Duration::from_secs(2);

/// Why reading ended early.
#[derive(Debug)]
pub(super) enum Stop {
    /// The time is up.
    TimeUp,
    /// The bytes are not valid DWARF, or exceed a limit.
    Broken(String),
}

impl From<gimli::Error> for Stop {
    fn from(error: gimli::Error) -> Self {
        Stop::Broken(error.to_string())
    }
}

/// Maximum wall time, as a multiple of the CPU time: a busy machine stretches it.
const MAX_STRETCH: u32 = 10;

/// The remaining CPU time of the thread that creates it: the content of a record must not depend
/// on the load of the machine. Each step that a hostile template could repeat is counted, so that
/// reading ends for any input.
#[derive(Debug)]
pub(super) struct Budget {
    /// `None` if the time is beyond the range of the clock.
    until: Option<Instant>,
    until_cpu: Duration,
    unchecked: usize,
}

/// Number of steps between two reads of the clock; they take far less than a millisecond.
const STEPS: usize = 4_096;

impl Budget {
    pub(super) fn new(time: Duration) -> Self {
        // The first step reads the clock, so that a budget of zero allows no step.
        let until = Instant::now().checked_add(time.saturating_mul(MAX_STRETCH));
        Budget { until, until_cpu: of_thread().saturating_add(time), unchecked: STEPS }
    }

    /// Counts steps of about equal duration; fails if the time is up.
    pub(super) fn spend(&mut self, steps: usize) -> Result<(), Stop> {
        self.unchecked = self.unchecked.saturating_add(steps);
        if self.unchecked < STEPS {
            return Ok(());
        }
        self.unchecked = 0;
        let left =
            of_thread() < self.until_cpu && self.until.is_none_or(|until| Instant::now() < until);
        if left { Ok(()) } else { Err(Stop::TimeUp) }
    }
}
