//! The stages of all running orders, for people who watch: written down in batches by one task,
//! bounded, and never in the way of an order (catalogue B1, B2).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use sitewright_jobs::{Claimed, Database, NewEvent};
use sitewright_runtime::host_functions::RunProgress;

/// Events that wait to be written; what comes beyond is dropped and counted.
const ROOM: usize = 10_000;
/// Most events of one transaction.
const BATCH: usize = 500;
/// The time between two transactions, and between two events of one order.
const PAUSE: Duration = Duration::from_millis(250);

/// Takes the progress of orders. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Progress {
    events: mpsc::Sender<NewEvent>,
    dropped: Arc<AtomicU64>,
}

impl Progress {
    /// Starts the task that writes. It ends when the last clone is dropped and what they said is
    /// written.
    pub fn start(database: Database) -> (Self, JoinHandle<()>) {
        let (events, waiting) = mpsc::channel(ROOM);
        let dropped = Arc::new(AtomicU64::new(0));
        let writing = tokio::spawn(write(database, waiting, dropped.clone()));
        (Progress { events, dropped }, writing)
    }

    /// Events that were dropped, because the database was away or too slow for them.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Follows one attempt until its sender is gone. Stages that follow each other at once are told
    /// as the last of them.
    pub async fn follow(&self, claimed: &Claimed, mut watcher: watch::Receiver<RunProgress>) {
        while watcher.changed().await.is_ok() {
            let RunProgress { stage, done, total } = watcher.borrow_and_update().clone();
            let steps = |number: u32| (total > 0).then_some(number);
            self.tell(NewEvent {
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

    fn tell(&self, event: NewEvent) {
        if self.events.try_send(event).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

async fn write(database: Database, mut waiting: mpsc::Receiver<NewEvent>, dropped: Arc<AtomicU64>) {
    let mut batch = Vec::with_capacity(BATCH);
    let mut told = 0;
    while waiting.recv_many(&mut batch, BATCH).await > 0 {
        let events = std::mem::replace(&mut batch, Vec::with_capacity(BATCH));
        let count = events.len() as u64;
        if let Err(error) = database.record_events(events).await {
            dropped.fetch_add(count, Ordering::Relaxed);
            tracing::warn!(%error, count, "progress could not be written down; the orders go on without it");
        }
        let all = dropped.load(Ordering::Relaxed);
        if all > told {
            tracing::warn!(
                dropped = all,
                "events of progress were dropped, in all since the start"
            );
            told = all;
        }
        if waiting.len() < BATCH {
            tokio::time::sleep(PAUSE).await;
        }
    }
}
