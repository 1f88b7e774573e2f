//! What a worker does beside its orders: heartbeats, rescue, fair share, stall detection.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::database::Database;
use super::drain::Draining;
use super::fair_share;
use super::heartbeat::WorkerIdentity;
use super::rescue::{Rescued, Rescuer};
use super::settings::WorkerSettings;
use super::stall_detector::StallDetector;
use super::worker::RunningAttempts;

/// Time between two signs of life of the heartbeat task.
const SIGN_EVERY: Duration = Duration::from_secs(1);

/// Tells whether a worker's heartbeat task still runs. A database that is away does not stop it:
/// waiting for an answer counts as running.
#[derive(Debug, Clone)]
pub struct Liveness(Arc<Mutex<Instant>>);

impl Liveness {
    pub(super) fn new() -> Self {
        Liveness(Arc::new(Mutex::new(Instant::now())))
    }

    /// Time since the last sign of life; at most a few seconds while the task runs.
    pub fn age(&self) -> Duration {
        self.0.lock().elapsed()
    }

    /// Gives a sign of life every second until the work is done.
    async fn during<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            *self.0.lock() = Instant::now();
            if let Ok(done) = tokio::time::timeout(SIGN_EVERY, &mut work).await {
                return done;
            }
        }
    }
}

/// Writes heartbeats until `stop`; a heartbeat that is being written is finished. Each finds out
/// whether somebody has asked the worker to drain.
pub(super) async fn heartbeats(
    database: Database,
    identity: WorkerIdentity,
    settings: WorkerSettings,
    liveness: Liveness,
    drain: watch::Sender<bool>,
    stop: CancellationToken,
) {
    let mut failures = 0u32;
    let mut ticks = interval(settings.heartbeat_every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        if liveness.during(stop.run_until_cancelled(ticks.tick())).await.is_none() {
            return;
        }
        let marks = settings.marks.as_ref().map(|marks| marks.name());
        let drains = *drain.borrow();
        let beat = database.heartbeat(&identity, settings.max_orders, marks, drains);
        match liveness.during(beat).await {
            Ok(asked) => {
                if failures > 0 {
                    tracing::info!(failures, "heartbeats are written again");
                    failures = 0;
                }
                drain.send_if_modified(|before| std::mem::replace(before, asked) != asked);
            }
            Err(error) => {
                failures += 1;
                tracing::warn!(
                    failures,
                    %error,
                    "a heartbeat could not be written; if this lasts, other workers rescue this \
                     worker's orders"
                );
            }
        }
    }
}

/// Rescues orders, rebalances the queue and detects stalls, until it is aborted.
pub(super) async fn maintain(
    rescuer: Arc<tokio::sync::Mutex<Rescuer>>,
    running: Arc<RunningAttempts>,
    shutting_down: Arc<AtomicBool>,
    draining: Draining,
    settings: WorkerSettings,
    stalled: CancellationToken,
) {
    let mut ticks = interval(settings.rescue_every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut paused = false;
    let mut detector = StallDetector::new(settings.stall_after);
    loop {
        let neighbours = rescuer.lock().await.neighbours();
        tokio::select! {
            _ = ticks.tick() => {}
            () = neighbours.one_has_ended() => {}
        }
        let mut rescuer = rescuer.lock().await;
        log_pause(&rescuer.database, &mut paused).await;
        if let Err(error) = fair_share::rebalance(&rescuer.database).await {
            tracing::warn!(
                %error,
                "the queue cannot be rebalanced while the database fails; it is tried again"
            );
        }
        // A worker that shuts down returns its orders itself, and no crash is counted.
        let is_mine =
            |attempt: &str| shutting_down.load(Ordering::Acquire) || running.contains(attempt);
        let passes = [
            rescuer.stale_workers(false, is_mine).await,
            rescuer.orphaned().await,
            rescuer.future_dated().await,
        ];
        for rescued in passes {
            match rescued {
                Ok(rescued) => log_rescued(&rescued),
                Err(error) => tracing::warn!(
                    %error,
                    "orders cannot be rescued while the database fails; it is tried again"
                ),
            }
        }
        let could_claim = !paused
            && !draining.is_set()
            && !shutting_down.load(Ordering::Acquire)
            && running.len() < settings.max_orders;
        match detector.check(&rescuer.database, running.begun(), could_claim).await {
            Ok(true) => stalled.cancel(),
            Ok(false) => {}
            Err(error) => tracing::debug!(%error, "cannot query overdue jobs"),
        }
    }
}

/// Logs when the queue is paused and resumed: it explains why a worker with `--drain` waits.
async fn log_pause(database: &Database, was_paused: &mut bool) {
    match database.is_paused().await {
        Ok(paused) if paused == *was_paused => {}
        Ok(true) => {
            *was_paused = true;
            tracing::warn!(
                "the queue is paused: no order is claimed before `sitewright queue resume`"
            );
        }
        Ok(false) => {
            *was_paused = false;
            tracing::info!("the queue is resumed");
        }
        // The next statement of the pass fails too, and is logged.
        Err(error) => tracing::debug!(%error, "cannot read whether the queue is paused"),
    }
}

pub(super) fn log_rescued(rescued: &Rescued) {
    if !rescued.is_empty() {
        tracing::warn!(
            queued = rescued.queued.len(),
            suspected = rescued.suspected.len(),
            dead = rescued.dead.len(),
            cancelled = rescued.cancelled.len(),
            requeued = rescued.requeued.len(),
            "orders were rescued"
        );
    }
}
