//! The guest's clock and its timers. Both are virtual: real time is not visible to a guest, because
//! a replay could not repeat it.
//!
//! The clock advances by [`STEP`] at each reading, and to the due time of a timer when the guest
//! waits for one. Nothing waits in real time, with two exceptions that the guest cannot measure:
//!
//! - While AI calls are in flight, a timer that is waited for comes after the next reply. So a
//!   guest that looks for its replies at intervals gets them and does not spend its processor time
//!   on looking, and a call takes no virtual time, however long the model takes.
//! - A timer that is due after the deadline of the run never comes: the deadline ends the run.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock;
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};
use wasmtime_wasi::{HostMonotonicClock, HostWallClock};

use crate::host_functions::{AiInFlight, GuestState};

/// Step of the clock at each reading.
const STEP: Duration = Duration::from_millis(1);

/// The clock of one guest. Clones are the same clock.
#[derive(Clone)]
pub(crate) struct VirtualClock(Arc<State>);

struct State {
    /// First reading of the wall clock, since 1970.
    start: Duration,
    /// Nanoseconds since the first reading.
    elapsed: AtomicU64,
    /// Timers due after this never come, in nanoseconds since the first reading.
    deadline: u64,
    /// Due times of the timers that the guest waits for, and how many wait for each.
    waiting: Mutex<BTreeMap<u64, usize>>,
    /// Notified when the clock has advanced, or a timer is no longer waited for.
    changed: Notify,
    /// AI calls of the same guest.
    calls: Arc<AiInFlight>,
}

impl VirtualClock {
    /// A clock whose first reading is `start` since 1970. Timers that are due more than `deadline`
    /// later never come.
    pub(super) fn new(start: Duration, deadline: Duration, calls: Arc<AiInFlight>) -> Self {
        VirtualClock(Arc::new(State {
            start,
            elapsed: AtomicU64::new(0),
            deadline: nanos(deadline),
            waiting: Mutex::default(),
            changed: Notify::new(),
            calls,
        }))
    }

    /// AI calls of the same guest.
    pub(crate) fn calls(&self) -> &Arc<AiInFlight> {
        &self.0.calls
    }

    /// Nanoseconds since the first reading, without a reading.
    fn elapsed(&self) -> u64 {
        self.0.elapsed.load(Ordering::Relaxed)
    }

    /// A reading, in nanoseconds since the first one.
    fn read(&self) -> u64 {
        self.0.elapsed.fetch_add(nanos(STEP), Ordering::Relaxed)
    }

    /// Waits for a timer.
    async fn wait_until(&self, due: u64) {
        if self.elapsed() >= due {
            return;
        }
        if due > self.0.deadline {
            return std::future::pending().await;
        }
        let waiting = Waiting::new(self, due);
        // Once around, so that everything that the guest waits for together is known: something
        // that is ready already comes before any timer, and the first timer before the others.
        tokio::task::yield_now().await;
        loop {
            let changed = self.0.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.elapsed() >= due {
                return;
            }
            if waiting.is_first() {
                self.0.calls.progressed().await;
                self.0.elapsed.fetch_max(due, Ordering::Relaxed);
                self.0.changed.notify_waiters();
                return;
            }
            changed.await;
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A timer that the guest waits for.
struct Waiting<'a> {
    clock: &'a VirtualClock,
    due: u64,
}

impl<'a> Waiting<'a> {
    fn new(clock: &'a VirtualClock, due: u64) -> Self {
        *clock.0.waiting.lock().entry(due).or_default() += 1;
        Waiting { clock, due }
    }

    /// Whether no other one is due before it.
    fn is_first(&self) -> bool {
        self.clock.0.waiting.lock().keys().next().is_none_or(|first| *first >= self.due)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut waiting = self.clock.0.waiting.lock();
        if let Some(timers) = waiting.get_mut(&self.due) {
            *timers -= 1;
            if *timers == 0 {
                waiting.remove(&self.due);
            }
        }
        drop(waiting);
        self.clock.0.changed.notify_waiters();
    }
}

impl HostWallClock for VirtualClock {
    fn resolution(&self) -> Duration {
        STEP
    }

    fn now(&self) -> Duration {
        self.0.start.saturating_add(Duration::from_nanos(self.read()))
    }
}

impl HostMonotonicClock for VirtualClock {
    fn resolution(&self) -> u64 {
        nanos(STEP)
    }

    fn now(&self) -> u64 {
        self.read()
    }
}

/// A timer, as `wasi:io/poll` waits for it.
struct Timer {
    clock: VirtualClock,
    /// Nanoseconds since the first reading.
    due: u64,
}

#[async_trait::async_trait]
impl Pollable for Timer {
    async fn ready(&mut self) {
        self.clock.wait_until(self.due).await;
    }
}

/// What `wasi:clocks/monotonic-clock` acts on.
pub(crate) struct Clocks<'a> {
    clock: &'a VirtualClock,
    table: &'a mut ResourceTable,
}

impl Clocks<'_> {
    fn timer(&mut self, due: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let timer = self.table.push(Timer { clock: self.clock.clone(), due })?;
        subscribe(self.table, timer)
    }
}

impl monotonic_clock::Host for Clocks<'_> {
    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(self.clock.read())
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(nanos(STEP))
    }

    fn subscribe_instant(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.timer(when)
    }

    fn subscribe_duration(&mut self, duration: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.timer(self.clock.elapsed().saturating_add(duration))
    }
}

/// Names [`Clocks`] for the linker.
struct ClocksData;

impl HasData for ClocksData {
    type Data<'a> = Clocks<'a>;
}

/// Replaces WASI's monotonic clock, whose timers wait in real time.
///
/// # Errors
/// If the linker allows no shadowing, which is a bug.
pub(crate) fn link(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    monotonic_clock::add_to_linker::<GuestState, ClocksData>(linker, |state| Clocks {
        clock: &state.clock,
        table: &mut state.table,
    })
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test has a runtime of its own")]
mod tests {
    use futures::FutureExt as _;
    use futures::future::{join, select};

    use super::*;

    const HOUR: u64 = 3_600_000_000_000;

    fn clock(deadline: Duration) -> VirtualClock {
        VirtualClock::new(Duration::ZERO, deadline, Arc::default())
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_advances_the_clock_and_takes_no_time() {
        let clock = clock(Duration::MAX);
        let began = tokio::time::Instant::now();
        clock.wait_until(HOUR).await;
        assert_eq!(clock.read(), HOUR);
        assert_eq!(clock.read(), HOUR + 1_000_000, "a reading is a step");
        assert_eq!(began.elapsed(), Duration::ZERO);
        clock.wait_until(HOUR).await;
        assert_eq!(clock.read(), HOUR + 2_000_000, "it never goes back");
    }

    #[tokio::test]
    async fn the_first_of_several_timers_comes_first_whatever_their_order() {
        let clock = clock(Duration::MAX);
        for (one, other) in [(2 * HOUR, HOUR), (HOUR, 2 * HOUR)] {
            let from = clock.elapsed();
            let timer = |after: u64| Box::pin(clock.wait_until(from + after));
            select(timer(one), timer(other)).await;
            assert_eq!(clock.elapsed() - from, HOUR);
        }
        let from = clock.elapsed();
        join(clock.wait_until(from + 2 * HOUR), clock.wait_until(from + HOUR)).await;
        assert_eq!(clock.elapsed() - from, 2 * HOUR);
    }

    #[tokio::test]
    async fn looking_at_a_timer_does_not_advance_the_clock() {
        let clock = clock(Duration::MAX);
        for _ in 0..3 {
            assert!(clock.wait_until(HOUR).now_or_never().is_none());
        }
        assert_eq!(clock.elapsed(), 0);
        assert!(clock.0.waiting.lock().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_after_the_deadline_never_comes() {
        let clock = clock(Duration::from_secs(10));
        let slept = tokio::time::timeout(Duration::from_secs(60), clock.wait_until(HOUR));
        slept.await.unwrap_err();
        assert_eq!(clock.elapsed(), 0);
        clock.wait_until(nanos(Duration::from_secs(10))).await;
    }

    #[tokio::test]
    async fn a_timer_comes_after_the_next_reply() {
        let clock = clock(Duration::MAX);
        let (reply, replied) = tokio::sync::oneshot::channel();
        let call = clock.calls().run(Box::pin(async move { replied.await.unwrap() }));
        let mut call = Box::pin(call);
        assert!(call.as_mut().now_or_never().is_none(), "the call is in flight");
        let mut timer = Box::pin(clock.wait_until(HOUR));
        for _ in 0..10 {
            assert!(timer.as_mut().now_or_never().is_none());
            tokio::task::yield_now().await;
        }
        reply.send(crate::host_functions::no_reply()).unwrap();
        timer.await;
        assert!(call.now_or_never().is_some(), "the reply is there when the timer comes");
    }
}
