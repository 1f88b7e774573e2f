//! The guests of this process, so that a watchdog outside the runtime can say which one a thread of
//! the runtime is stuck in.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::host_functions::RunTrace;
use crate::plugin::CpuMeter;

/// By the number of their start. One list for the process, as its threads are.
static GUESTS: Mutex<BTreeMap<u64, Guest>> = Mutex::new(BTreeMap::new());
static STARTED: AtomicU64 = AtomicU64::new(0);

struct Guest {
    meter: Arc<CpuMeter>,
    trace: Arc<RunTrace>,
}

/// Keeps a guest in the list of this process.
#[must_use = "the guest is taken off the list when this is dropped"]
pub(crate) struct Polled(u64);

impl Polled {
    pub(crate) fn new(meter: &Arc<CpuMeter>, trace: &Arc<RunTrace>) -> Self {
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let guest = Guest { meter: meter.clone(), trace: trace.clone() };
        GUESTS.lock().insert(number, guest);
        Polled(number)
    }
}

impl Drop for Polled {
    fn drop(&mut self) {
        let guest = GUESTS.lock().remove(&self.0);
        // Outside the lock: the trace of a run may be the last one.
        drop(guest);
    }
}

/// A guest that a thread of the runtime works on without a pause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LongPoll {
    /// The order; `None` for a `describe`.
    pub order: Option<String>,
    /// The host function that it is in; `None` for its own code and for functions that leave no
    /// trail.
    pub call: Option<String>,
    /// How long the thread has been at it.
    pub duration: Duration,
}

/// The guests that a thread of the runtime has worked on for `least` or longer without a pause. The
/// longest is the first. Waits for no thread that is stuck.
pub fn long_polls(least: Duration) -> Vec<LongPoll> {
    let guests = GUESTS.lock();
    let mut polls: Vec<LongPoll> = guests
        .values()
        .filter_map(|guest| {
            let duration = guest.meter.poll_duration().filter(|duration| *duration >= least)?;
            let order = guest.trace.order().map(str::to_owned);
            Some(LongPoll { order, call: guest.trace.current_call(), duration })
        })
        .collect();
    drop(guests);
    polls.sort_by_key(|poll| std::cmp::Reverse(poll.duration));
    polls
}
