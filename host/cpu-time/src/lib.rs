//! The processor time of a thread, which limits on work are measured in: it does not depend on the
//! load of the machine, as the time of a clock does.
//!
//! **Invariant:** reads a clock and nothing else. It does not know what is measured, and depends on
//! no other crate of the workspace.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The processor time that the calling thread has used since it began. Zero if the system gives a
/// time that is not a duration, which Linux does not.
pub fn of_thread() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_charged_for_its_own_work_alone() {
        const WORK: Duration = Duration::from_millis(5);
        let before = of_thread();
        let other = std::thread::spawn(|| {
            while of_thread() < WORK {}
            of_thread()
        });
        assert!(other.join().unwrap() >= WORK);
        // It has waited all the time.
        assert!(of_thread() - before < WORK);
    }
}
