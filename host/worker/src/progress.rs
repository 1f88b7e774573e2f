//! The stages of all running orders, for people who watch: stored in batches by one task, bounded,
//! and without delaying an order (failure catalogue B1, B2).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use sitewright_jobs::{Claimed, Database, NewEvent};
use sitewright_runtime::host_functions::RunProgress;

/// Capacity of the queue of events; further ones are dropped and counted.
const CAPACITY: usize = 10_000;
/// Maximum number of events in one transaction.
const BATCH: usize = 500;
/// Time between two transactions, and between two events of one order.
const PAUSE: Duration = Duration::from_millis(250);

/// Collects the progress of orders. All clones share one queue.
#[derive(Debug, Clone)]
pub(super) struct Progress {
    events: mpsc::Sender<NewEvent>,
    dropped: Arc<AtomicU64>,
}

impl Progress {
    /// Starts the task that stores events. It ends when the last clone is dropped and all events
    /// are stored.
    pub(super) fn start(database: Database) -> (Self, JoinHandle<()>) {
        let (events, waiting) = mpsc::channel(CAPACITY);
        let dropped = Arc::new(AtomicU64::new(0));
        let writing = tokio::spawn(write(database, waiting, dropped.clone()));
        (Progress { events, dropped }, writing)
    }

    /// Reports one attempt's stages until its sender is dropped. Of stages that follow each other
    /// within 250 ms only the last is reported.
    pub(super) async fn watch(&self, claimed: &Claimed, mut watcher: watch::Receiver<RunProgress>) {
        while watcher.changed().await.is_ok() {
            let RunProgress { stage, done, total } = watcher.borrow_and_update().clone();
            let steps = |number: u32| (total > 0).then_some(number);
            self.report(NewEvent {
                order: claimed.order.clone(),
                attempt: Some(claimed.attempt.to_string()),
                stage,
                done: steps(done),
                total: steps(total),
                message: None,
            });
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn report(&self, event: NewEvent) {
        if self.events.try_send(event).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

async fn write(database: Database, mut waiting: mpsc::Receiver<NewEvent>, dropped: Arc<AtomicU64>) {
    let mut batch = Vec::with_capacity(BATCH);
    let mut logged = 0;
    while waiting.recv_many(&mut batch, BATCH).await > 0 {
        let events = std::mem::replace(&mut batch, Vec::with_capacity(BATCH));
        let count = events.len() as u64;
        if let Err(error) = database.record_events(events).await {
            dropped.fetch_add(count, Ordering::Relaxed);
            tracing::warn!(%error, count, "progress events could not be stored; the orders go on without them");
        }
        let all = dropped.load(Ordering::Relaxed);
        if all > logged {
            tracing::warn!(
                dropped = all,
                "progress events were dropped; the count is the total since the start"
            );
            logged = all;
        }
        if waiting.len() < BATCH {
            tokio::time::sleep(PAUSE).await;
        }
    }
}
