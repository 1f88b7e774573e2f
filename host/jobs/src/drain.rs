//! A worker that is asked to drain from elsewhere: it claims no more orders, finishes those that it
//! has, and has drained then. Whoever asked may take it back until then.
//!
//! The request is a column of the worker's row, which each of its heartbeats reads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::join_all;
use riverqueue::Client;
use sitewright_model::time::now_ms;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::database::Database;
use super::driver::args;
use super::driver::river::QUEUE;
use super::error::Error;
use super::serving::CLIENT_STOPS_WITHIN;
use super::worker::RunningAttempts;

/// Time between two attempts to work the queue again, while orders of before still run.
const AGAIN_EVERY: Duration = Duration::from_millis(100);

/// The answer to a request that a worker drains, or does not drain any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DrainAnswer {
    /// The worker gets to know it with its next heartbeat.
    Changed,
    /// It had been asked before, or had not been asked; nothing was changed.
    Unchanged,
    /// There is no such worker, or not any more.
    NoSuchWorker,
}

impl Database {
    /// Asks a worker to drain, or takes that back. `worker` is its id in the queue, as
    /// [`WorkerStats::client_id`](crate::WorkerStats::client_id) has it.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn set_drain(&self, worker: &str, drain: bool) -> Result<DrainAnswer, Error> {
        let worker = worker.to_owned();
        self.write("asking a worker to drain", move |tx| {
            let worker = worker.clone();
            Box::pin(async move {
                let sql = "SELECT drain_requested_at FROM sitewright_workers WHERE client_id = $1";
                let Some(row) = tx.optional(sql, args![&worker]).await? else {
                    return Ok(DrainAnswer::NoSuchWorker);
                };
                if row.opt_int("drain_requested_at")?.is_some() == drain {
                    return Ok(DrainAnswer::Unchanged);
                }
                let sql = "UPDATE sitewright_workers SET drain_requested_at = $2
                     WHERE client_id = $1";
                tx.execute(sql, args![&worker, drain.then(now_ms)]).await?;
                Ok(DrainAnswer::Changed)
            })
        })
        .await
    }
}

/// Whether a worker claims nothing because it drains. All clones are one.
#[derive(Debug, Clone, Default)]
pub(super) struct Draining(Arc<AtomicBool>);

impl Draining {
    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    fn set(&self, draining: bool) {
        self.0.store(draining, Ordering::Release);
    }
}

/// Does what `asked` says, as heartbeats find it in the database: stops to work the queue, and
/// works it again when the request is taken back. Ends, and cancels `drained`, when the worker has
/// drained; or ends with the heartbeats.
pub(super) async fn follow(
    client: Client,
    running: Arc<RunningAttempts>,
    mut asked: watch::Receiver<bool>,
    draining: Draining,
    drained: CancellationToken,
) {
    let queues = client.local_queues();
    let Some(config) = queues.configs().remove(QUEUE) else { return };
    loop {
        if !becomes(&mut asked, true).await {
            return;
        }
        draining.set(true);
        tracing::info!(
            running = running.len(),
            "the worker was asked to drain: its orders may end, no others are claimed, and then it \
             ends; `sitewright worker drain ID --undo` takes that back"
        );
        // Its own queue, too, if it has one.
        let names: Vec<String> = queues.configs().into_keys().collect();
        let mut removals = Vec::with_capacity(names.len());
        for name in &names {
            removals.push(queues.remove(name));
        }
        let idle = async {
            tokio::select! {
                // One that fails was not worked.
                _ = join_all(removals) => running.until_none().await,
                // River's poll of a queue has no timeout, and its answer may be lost.
                () = running.until_none_begins(CLIENT_STOPS_WITHIN) => {}
            }
        };
        tokio::select! {
            () = idle => {
                drained.cancel();
                return;
            }
            is_undone = becomes(&mut asked, false) => {
                if !is_undone {
                    return;
                }
            }
        }
        tracing::info!(
            running = running.len(),
            "the worker is not to drain any more: it claims orders again when those that it has \
             have ended"
        );
        // The queue's name is free when the orders that were fetched from it have ended.
        while !is(&asked, true) {
            match queues.add(QUEUE, config.clone()) {
                Ok(()) => {
                    draining.set(false);
                    break;
                }
                Err(riverqueue::Error::QueueAlreadyAdded { .. }) => {}
                Err(error) => {
                    tracing::error!(%error, "the worker cannot claim orders again");
                }
            }
            tokio::time::sleep(AGAIN_EVERY).await;
        }
    }
}

/// Waits until this is what is asked. `false` if nobody asks any more.
async fn becomes(asked: &mut watch::Receiver<bool>, wanted: bool) -> bool {
    asked.wait_for(|asked| *asked == wanted).await.is_ok()
}

fn is(asked: &watch::Receiver<bool>, wanted: bool) -> bool {
    *asked.borrow() == wanted
}
