//! Processor time of a check, with that of the threads it waits for.

use std::cell::Cell;
use std::time::Duration;

thread_local! {
    /// Processor time of other threads that this thread waited for.
    static OTHERS: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// Processor time of this thread since it began, and of the threads that were added.
pub(super) fn used() -> Duration {
    sitewright_cpu_time::of_thread().saturating_add(OTHERS.get())
}

/// Adds the time of a thread that worked for this one and has ended.
pub(super) fn add(time: Duration) {
    OTHERS.set(OTHERS.get().saturating_add(time));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_other_threads_counts() {
        let before = used();
        add(Duration::from_secs(5));
        assert!(used().saturating_sub(before) >= Duration::from_secs(5));
        assert!(std::thread::spawn(used).join().unwrap() < Duration::from_secs(5));
    }
}
