//! Watches the runtime from a thread outside it: is a thread of it stuck, and does the process end
//! when it was told to?
//!
//! A thread of the runtime that never returns from a poll delays every order, and with all of them
//! stuck nothing inside the runtime can notice that: no heartbeat, no log line, no signal.

use std::ffi::c_int;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};
use sitewright_model::time::millis;
use sitewright_runtime::run::{LongPoll, long_polls};
use tokio::runtime::{Handle, RuntimeMetrics};

/// Exit code of a worker that did not end in time after SIGTERM or SIGINT.
pub const FORCED_EXIT: u8 = 11;

/// How long the process of a worker may still take after the worker has stopped, such as to send
/// what waits for a collector. With more, a clean stop could end with [`FORCED_EXIT`].
pub const ENDS_WITHIN: Duration = Duration::from_millis(800);

/// The times of a watchdog.
#[derive(Debug, Clone, Copy)]
struct Times {
    /// Between two checks.
    check_every: Duration,
    /// A thread that makes no progress for this long is stuck.
    stuck_after: Duration,
    /// Between two log lines about the same stuck thread.
    repeat_every: Duration,
    /// From the first signal until the process is ended.
    exit_after: Duration,
}

impl Times {
    /// How much longer than its grace time a worker may take to end.
    const OVER_GRACE: Duration = Duration::from_secs(5);

    fn with_grace(grace: Duration) -> Self {
        Times {
            check_every: Duration::from_millis(100),
            stuck_after: Duration::from_secs(10),
            repeat_every: Duration::from_secs(30),
            // It is over before the fifth second is.
            exit_after: grace.saturating_add(Times::OVER_GRACE - Duration::from_millis(500)),
        }
    }
}

/// The watchdog of this process. Its thread lives as long as the process: a runtime can be stuck
/// while it shuts down, too.
#[derive(Debug, Clone)]
pub struct Watchdog(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// Whether a thread of the runtime is stuck.
    stuck: AtomicBool,
    /// Whether the worker has ended: the threads of the runtime end too, and no longer count.
    ended: AtomicBool,
    /// Whether SIGTERM or SIGINT has arrived.
    signalled: Arc<AtomicBool>,
}

impl Watchdog {
    /// Starts to watch the runtime that this is called in. After SIGTERM or SIGINT it ends the
    /// process with [`FORCED_EXIT`] if `grace` and 5 s pass; then the orders that ran are rescued
    /// like those of any process that ended.
    ///
    /// # Errors
    /// If the thread cannot be started, or the signals cannot be caught.
    pub fn start(grace: Duration) -> io::Result<Self> {
        Watchdog::with_times(Times::with_grace(grace))
    }

    #[allow(clippy::disallowed_methods, reason = "an OS thread of its own, not the runtime's")]
    fn with_times(times: Times) -> io::Result<Self> {
        let watchdog = Watchdog(Arc::default());
        for signal in [SIGTERM, SIGINT] {
            signal_hook::flag::register(signal, watchdog.0.signalled.clone())?;
        }
        let shared = watchdog.0.clone();
        let mut watch = Watch::new(Handle::current().metrics(), times);
        std::thread::Builder::new().name("watchdog".to_owned()).spawn(move || {
            loop {
                std::thread::sleep(times.check_every);
                watch.check(&shared, Instant::now());
            }
        })?;
        Ok(watchdog)
    }

    /// Whether a thread of the runtime is stuck.
    pub(super) fn is_stuck(&self) -> bool {
        self.0.stuck.load(Ordering::Acquire)
    }

    /// The worker has ended, and its runtime is about to.
    pub(super) fn set_ended(&self) {
        self.0.ended.store(true, Ordering::Release);
    }
}

/// The state of the watchdog's thread.
struct Watch {
    threads: Threads,
    times: Times,
    signalled: Option<Instant>,
    reported: Option<Instant>,
}

impl Watch {
    fn new(metrics: RuntimeMetrics, times: Times) -> Self {
        Watch { threads: Threads::new(metrics), times, signalled: None, reported: None }
    }

    fn check(&mut self, shared: &Shared, now: Instant) {
        if shared.signalled.load(Ordering::Acquire) {
            let signalled = *self.signalled.get_or_insert(now);
            if now.duration_since(signalled) >= self.times.exit_after {
                exit(self.times.exit_after);
            }
        }
        if shared.ended.load(Ordering::Acquire) {
            return;
        }
        let stuck = self.threads.stuck(now, self.times.stuck_after);
        shared.stuck.store(stuck.is_some(), Ordering::Release);
        match (stuck, self.reported) {
            (Some(stuck), reported) => {
                let is_due = |at: Instant| now.duration_since(at) >= self.times.repeat_every;
                if reported.is_none_or(is_due) {
                    self.reported = Some(now);
                    let polls = long_polls(self.times.stuck_after);
                    beside(move || report(stuck, &polls));
                }
            }
            (None, Some(_)) => {
                self.reported = None;
                beside(|| tracing::warn!("every thread of the runtime makes progress again"));
            }
            (None, None) => {}
        }
    }
}

/// Logs on a thread of its own: one that is stuck may hold the log, and the watchdog must go on.
fn beside(log: impl FnOnce() + Send + 'static) {
    // Without a thread there is no line, and the watchdog still does its work.
    drop(std::thread::Builder::new().name("watchdog-log".to_owned()).spawn(log));
}

fn report(stuck: Duration, guests: &[LongPoll]) {
    let stuck_ms = millis(stuck);
    if guests.is_empty() {
        tracing::error!(
            stuck_ms,
            "a thread of the runtime makes no progress, in none of the templates' runs: a bug in \
             Sitewright. systemd is not notified and restarts the worker (WatchdogSec)"
        );
    }
    for guest in guests {
        tracing::error!(
            stuck_ms = millis(guest.duration),
            order = guest.order.as_deref().unwrap_or("none: the template's `describe`"),
            call = guest.call.as_deref().unwrap_or("none, or one without a trail"),
            "a thread of the runtime makes no progress in the run of an order: a bug in \
             Sitewright. systemd is not notified and restarts the worker (WatchdogSec); take the \
             order's template out of service if it happens again"
        );
    }
}

/// Ends the process at once. Orders that ran are rescued by others.
#[allow(clippy::disallowed_methods, reason = "an OS thread of its own, not the runtime's")]
fn exit(after: Duration) -> ! {
    beside(move || {
        let after_ms = millis(after);
        let none = "none: the worker waits for something else";
        let polls = long_polls(Duration::from_secs(1));
        let order = polls.first().map_or(none, |poll| {
            poll.order.as_deref().unwrap_or("none: the template's `describe`")
        });
        tracing::error!(
            after_ms,
            order,
            "the worker did not end in time after its signal and is ended now, with exit code \
             {FORCED_EXIT}: its orders are rescued by other workers"
        );
    });
    std::thread::sleep(Duration::from_millis(200));
    signal_hook::low_level::exit(c_int::from(FORCED_EXIT))
}

/// What the runtime's threads did so far, and since when that has not changed.
struct Threads {
    metrics: RuntimeMetrics,
    seen: Vec<Seen>,
    checked: Option<Instant>,
}

#[derive(Clone, Copy)]
struct Seen {
    /// Odd while the thread is parked.
    parked: u64,
    /// Advances with every few dozen polls: some dozen polls that take seconds together look like
    /// one that does not return.
    busy: Duration,
    since: Instant,
}

impl Threads {
    fn new(metrics: RuntimeMetrics) -> Self {
        Threads { metrics, seen: Vec::new(), checked: None }
    }

    /// How long the thread that has been stuck for longest has made no progress; `None` if none has
    /// for `least`.
    fn stuck(&mut self, now: Instant, least: Duration) -> Option<Duration> {
        let before = self.checked.replace(now);
        // After a pause of the whole process, the threads get their time anew.
        let paused = before.is_none_or(|before| now.duration_since(before) > least / 2);
        let threads = self.metrics.num_workers();
        let read = |thread: usize| Seen {
            parked: self.metrics.worker_park_unpark_count(thread),
            busy: self.metrics.worker_total_busy_duration(thread),
            since: now,
        };
        if paused || self.seen.len() != threads {
            self.seen = (0..threads).map(read).collect();
            return None;
        }
        let mut longest = None;
        for thread in 0..threads {
            let (seen, new) = (self.seen[thread], read(thread));
            if (seen.parked, seen.busy) != (new.parked, new.busy) {
                self.seen[thread] = new;
                continue;
            }
            let is_parked = seen.parked % 2 == 1;
            let still = now.duration_since(seen.since);
            if !is_parked && still >= least {
                longest = longest.max(Some(still));
            }
        }
        longest
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test has a runtime of its own, and blocks it")]
mod tests {
    use std::process::Command;

    use super::*;

    const SOON: Times = Times {
        check_every: Duration::from_millis(10),
        // More than a busy machine takes from this process.
        stuck_after: Duration::from_secs(1),
        repeat_every: Duration::from_secs(30),
        exit_after: Duration::from_millis(500),
    };

    async fn until(mut is_so: impl FnMut() -> bool) {
        for _ in 0..6_000 {
            if is_so() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("it never was");
    }

    /// A worker that drains as it should is not ended.
    #[test]
    fn a_worker_has_time_to_return_its_orders() {
        let grace = Duration::from_secs(60);
        let stopped = grace + sitewright_jobs::STOPS_WITHIN;
        assert!(Times::with_grace(grace).exit_after >= stopped + ENDS_WITHIN);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_thread_that_never_returns_is_stuck_and_a_busy_or_idle_one_is_not() {
        let watchdog = Watchdog::with_times(SOON).unwrap();
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        assert!(!watchdog.is_stuck(), "idle");

        let began = Instant::now();
        let busy = || async move {
            while began.elapsed() < Duration::from_millis(1_700) {
                std::thread::sleep(Duration::from_micros(500));
                tokio::task::yield_now().await;
            }
        };
        let busy = [tokio::spawn(busy()), tokio::spawn(busy())];
        while began.elapsed() < Duration::from_millis(1_600) {
            assert!(!watchdog.is_stuck(), "busy");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        for task in busy {
            task.await.unwrap();
        }

        tokio::spawn(async { std::thread::sleep(Duration::from_millis(3_000)) });
        until(|| watchdog.is_stuck()).await;
        until(|| !watchdog.is_stuck()).await;
    }

    /// Runs in a process of its own; see the next test.
    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn blocks_every_thread() {
        if std::env::var_os("WATCHDOG_TEST").is_none() {
            return;
        }
        let _watchdog = Watchdog::with_times(SOON).unwrap();
        // As a worker does, which would end in its own time if it could.
        let _caught =
            tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).unwrap();
        println!("blocked");
        let stuck = tokio::spawn(async { std::thread::sleep(Duration::from_secs(60)) });
        std::thread::sleep(Duration::from_secs(60));
        stuck.await.unwrap();
    }

    #[test]
    fn a_process_whose_threads_are_all_stuck_ends_after_its_signal() {
        use std::io::BufRead as _;
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "watchdog::tests::blocks_every_thread", "--nocapture"])
            .env("WATCHDOG_TEST", "1")
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains("blocked")));
        let began = Instant::now();
        let kill = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
        assert!(kill.success());
        let ended = child.wait().unwrap();
        assert_eq!(ended.code(), Some(i32::from(FORCED_EXIT)), "{ended:?}");
        let took = began.elapsed();
        assert!(took >= SOON.exit_after && took < Duration::from_secs(20), "{took:?}");
    }

    #[test]
    fn a_worker_ends_within_five_seconds_after_its_grace_time() {
        let times = Times::with_grace(Duration::from_secs(60));
        assert!(times.exit_after + times.check_every < Duration::from_secs(65));
        assert!(times.stuck_after >= Duration::from_secs(10));
    }
}
