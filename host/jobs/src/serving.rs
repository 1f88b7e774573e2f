//! A worker that serves the queue: it starts, drains and stops.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use riverqueue::{Client, MaintenanceConfig, QueueConfig, Retention, RunHandle, Workers};
use sitewright_model::time::millis;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::background::{Liveness, heartbeats, log_rescued, maintain};
use super::database::Database;
use super::drain::{self, Draining};
use super::driver::Pool;
use super::driver::river::QUEUE;
use super::error::Error;
use super::handler::{Handler, Publisher};
use super::heartbeat::WorkerIdentity;
use super::holds::OwnQueue;
use super::locks::Presence;
use super::marks::Marks;
use super::model::WorkerId;
use super::rescue::Rescuer;
use super::settings::{DEFAULT_STOP_WITHIN, WorkerSettings};
use super::worker::{OrderWorker, RunningAttempts};

/// How long a draining worker waits for its last heartbeat to be written.
const LAST_HEARTBEAT: Duration = Duration::from_millis(500);
/// How long River's client may take to stop after its handlers have.
const CLIENT_CANCELS_WITHIN: Duration = Duration::from_secs(1);
/// How long a worker with default settings takes to stop after its grace time, if the database
/// answers.
pub const STOPS_WITHIN: Duration =
    DEFAULT_STOP_WITHIN.saturating_add(CLIENT_CANCELS_WITHIN).saturating_add(LAST_HEARTBEAT);
/// How long a draining worker without orders waits for River's client. What the client would still
/// write does not matter: orders and their jobs are completed together and without it.
pub(super) const CLIENT_STOPS_WITHIN: Duration = Duration::from_secs(5);

/// A worker that serves the queue. [`Serving::drain`] stops it; if it is dropped, it stops at once
/// and other workers rescue its orders.
#[derive(Debug)]
pub struct Serving {
    database: Database,
    client: String,
    river: Client,
    run: RunHandle,
    shutting_down: Arc<AtomicBool>,
    /// Ends the wait of [`Serving::drain`].
    stop_now: CancellationToken,
    /// Cancelled by the stall detector.
    stalled: CancellationToken,
    settings: WorkerSettings,
    running: Arc<RunningAttempts>,
    rescuer: Arc<tokio::sync::Mutex<Rescuer>>,
    liveness: Liveness,
    heartbeats: JoinHandle<()>,
    /// Ends the heartbeats after the one that is being written.
    stop_heartbeats: CancellationToken,
    draining: Draining,
    /// Cancelled when the worker was asked to drain from elsewhere and has no order any more.
    drained: CancellationToken,
    following: JoinHandle<()>,
    maintenance: JoinHandle<()>,
    _presence: Presence,
}

/// Stops a worker at once, from any task.
#[derive(Debug, Clone)]
pub struct StopNow {
    river: riverqueue::Stopper,
    shutting_down: Arc<AtomicBool>,
    stop_now: CancellationToken,
}

impl StopNow {
    /// Stops every handler; [`Serving::drain`] then ends soon.
    pub fn stop_now(&self) {
        self.shutting_down.store(true, Ordering::Release);
        self.river.stop_and_cancel();
        self.stop_now.cancel();
    }
}

/// How a worker stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// The number of orders that it had when draining began.
    pub running: usize,
    /// Whether all of them ended within the grace time. The others returned to the queue.
    pub in_time: bool,
}

/// Starts a worker. The tables must exist: [`Database::migrate`].
///
/// # Errors
/// [`Error::OlderSchema`], [`Error::NewerSchema`]; the settings are not valid; or the database
/// fails.
pub async fn serve<H: Handler, P: Publisher>(
    database: Database,
    settings: WorkerSettings,
    handler: Arc<H>,
    publisher: Arc<P>,
) -> Result<Serving, Error> {
    database.check_schema().await?;
    let identity = WorkerIdentity::new(settings.contract.clone());
    let presence = Presence::enter(&database).await?;
    let marks = settings.marks.as_ref().map(|marks| marks.name());
    database.heartbeat(&identity, settings.max_orders, marks, false).await?;
    let running = Arc::new(RunningAttempts::default());
    let shutting_down = Arc::new(AtomicBool::new(false));
    let mut rescuer = Rescuer::new(&database, &identity, &settings);
    // Before it claims anything: where workers live for seconds only, this may be the only pass.
    log_rescued(&rescuer.stale_workers(presence.alone, |_| false).await?);
    database.attempt_counts().begin();

    let mut workers = Workers::new();
    let worker = OrderWorker {
        database: database.clone(),
        gate: handler.gate(),
        handler,
        publisher,
        id: WorkerId {
            client: identity.client.clone(),
            config_version: settings.config_version.clone(),
        },
        limits: settings.limits,
        shutting_down: shutting_down.clone(),
        running: running.clone(),
    };
    let starting = |error| Error::river("starting the worker", error);
    workers.add(worker).map_err(starting)?;
    let client = river_client(&database, &settings, &identity, workers).map_err(starting)?;
    let mut run = client.start().map_err(starting)?;
    run.wait_ready().await.map_err(starting)?;

    let (liveness, stop_heartbeats) = (Liveness::new(), CancellationToken::new());
    let (asks, asked) = watch::channel(false);
    let heartbeats = tokio::spawn(heartbeats(
        database.clone(),
        identity.clone(),
        settings.clone(),
        liveness.clone(),
        asks,
        stop_heartbeats.clone(),
    ));
    let (draining, drained) = (Draining::default(), CancellationToken::new());
    let following = tokio::spawn(drain::follow(
        client.clone(),
        running.clone(),
        asked,
        draining.clone(),
        drained.clone(),
    ));
    let rescuer = Arc::new(tokio::sync::Mutex::new(rescuer));
    let stalled = CancellationToken::new();
    let maintenance = tokio::spawn(maintain(
        rescuer.clone(),
        running.clone(),
        shutting_down.clone(),
        draining.clone(),
        settings.clone(),
        stalled.clone(),
    ));
    tracing::info!(
        worker = identity.client,
        database = database.shown(),
        max_orders = settings.max_orders,
        "the worker claims orders"
    );
    Ok(Serving {
        database,
        client: identity.client,
        river: client,
        run,
        shutting_down,
        stop_now: CancellationToken::new(),
        stalled,
        settings,
        running,
        rescuer,
        liveness,
        heartbeats,
        stop_heartbeats,
        draining,
        drained,
        following,
        maintenance,
        _presence: presence,
    })
}

fn river_client(
    database: &Database,
    settings: &WorkerSettings,
    identity: &WorkerIdentity,
    workers: Workers,
) -> Result<Client, riverqueue::Error> {
    let builder = match database.pool() {
        Pool::Sqlite(pool) => Client::builder(pool),
        #[cfg(feature = "postgres")]
        Pool::Postgres(pool) => Client::builder(pool),
    };
    let long = Duration::from_secs(10 * 365 * 24 * 3_600);
    let maintenance = MaintenanceConfig::default()
        .with_cancelled_job_retention(Retention::Keep)
        .with_discarded_job_retention(Retention::Keep)
        // A paused queue stays paused, also if no worker runs for a day.
        .with_queue_retention(long)
        .with_scheduler_interval(settings.schedule_every)
        // Only a backstop. If its order still runs, `claim` answers that another attempt owns it.
        .with_rescue_after(Duration::from_secs(6 * 3_600));
    let poll_every = if database.is_embedded() {
        settings.poll_embedded_every.min(settings.poll_every)
    } else {
        settings.poll_every
    };
    let queue = QueueConfig::new(settings.max_orders)
        .with_fetch_cooldown(settings.fetch_every)
        .with_fetch_poll_interval(poll_every);
    builder
        .id(&identity.client)
        .workers(workers)
        .queue(QUEUE, queue)
        .fetch_cooldown(settings.fetch_every)
        // The run's own deadline ends it, with a failure record (failure catalogue A6).
        .without_job_timeout()
        .job_stuck_threshold(settings.stop_within)
        .maintenance(maintenance)
        .build()
}

impl Serving {
    /// Its id in the queue.
    pub fn client_id(&self) -> &str {
        &self.client
    }

    /// The number of orders it runs.
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// Tells whether the heartbeat task still runs, for a watchdog.
    pub fn liveness(&self) -> Liveness {
        self.liveness.clone()
    }

    /// The queue that only this worker works, for [`Database::sweep_holds`].
    pub fn own_queue(&self) -> OwnQueue {
        let config = QueueConfig::new(self.settings.max_orders)
            .with_fetch_cooldown(self.settings.fetch_every)
            .with_fetch_poll_interval(self.settings.poll_every);
        OwnQueue::new(self.river.clone(), config, self.client.clone(), self.draining.clone())
    }

    /// Is cancelled when the worker was asked to drain ([`Database::set_drain`]) and has no order
    /// any more: then [`Serving::drain`] ends at once.
    pub fn drained(&self) -> CancellationToken {
        self.drained.clone()
    }

    /// For a second signal while [`Serving::drain`] waits.
    pub fn stopper(&self) -> StopNow {
        StopNow {
            river: self.run.stopper(),
            shutting_down: self.shutting_down.clone(),
            stop_now: self.stop_now.clone(),
        }
    }

    /// Waits until every order in the database has ended, those that wait for another attempt
    /// included.
    ///
    /// # Errors
    /// If the worker cannot go on. A database that is away is waited for.
    pub async fn until_empty(&mut self) -> Result<(), Error> {
        let mut ticks = tokio::time::interval(Duration::from_millis(200));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                ended = self.ended() => return ended,
                _ = ticks.tick() => {}
            }
            match self.database.unfinished().await {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) if error.is_transient() => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits until the worker ends by itself, which it does only if it cannot go on.
    ///
    /// # Errors
    /// Why it ended.
    pub async fn ended(&mut self) -> Result<(), Error> {
        tokio::select! {
            ended = self.run.wait() => ended.map_err(|error| Error::river("working", error)),
            () = self.stalled.cancelled() => {
                Err(Error::Stalled { after: self.settings.stall_after })
            }
        }
    }

    /// Claims no more orders, lets the running ones end within `grace`, then stops the others and
    /// returns them to the queue, without using an attempt. Deletes the worker's row.
    ///
    /// # Errors
    /// If River's client failed, or the database did not accept the last writes: then other workers
    /// rescue the orders.
    pub async fn drain(mut self, grace: Duration) -> Result<Drained, Error> {
        self.following.abort();
        let running = self.running();
        let stopping = |error| Error::river("stopping the worker", error);
        tracing::info!(running, grace_ms = millis(grace), "the worker drains");
        let attempts = self.running.clone();
        let without_orders = attempts.until_none_begins(CLIENT_STOPS_WITHIN);
        let stopped = tokio::select! {
            stopped = self.run.stop() => Some(stopped),
            () = tokio::time::sleep(grace) => None,
            () = self.stop_now.cancelled() => None,
            () = without_orders => None,
        };
        let all_ended = !self.shutting_down.load(Ordering::Acquire)
            && (stopped.is_some() || self.running() == 0);
        let stopped = match stopped {
            Some(stopped) => stopped,
            None => self.stop_client().await,
        };
        self.maintenance.abort();
        let left = self.return_orders().await;
        stopped.map_err(stopping)?;
        let drained = Drained { running, in_time: all_ended };
        left?;
        tracing::info!(running, in_time = drained.in_time, "the worker has stopped");
        Ok(drained)
    }

    /// Stops every handler. Waits no longer than they may take, since River's client may wait for
    /// an answer that never comes.
    async fn stop_client(&mut self) -> Result<(), riverqueue::Error> {
        self.shutting_down.store(true, Ordering::Release);
        let within = self.settings.stop_within + CLIENT_CANCELS_WITHIN;
        match tokio::time::timeout(within, self.run.stop_and_cancel()).await {
            Ok(stopped) => stopped,
            Err(_) => {
                tracing::warn!(
                    waited_ms = millis(within),
                    "the queue's client does not stop: the worker stops without it"
                );
                Ok(())
            }
        }
    }

    /// Stops every handler and returns the orders to the queue, without using an attempt.
    ///
    /// # Errors
    /// As [`Serving::drain`].
    pub async fn stop_now(self) -> Result<Drained, Error> {
        self.stopper().stop_now();
        self.drain(Duration::from_secs(3_600)).await
    }

    /// Returns the orders of handlers that did not stop in time, and deletes the worker's row.
    async fn return_orders(&mut self) -> Result<(), Error> {
        let mut last = None;
        for _ in 0..5 {
            let left = async {
                log_rescued(&self.rescuer.lock().await.return_own_orders().await?);
                // A later heartbeat would insert the worker's row again.
                self.stop_heartbeats.cancel();
                if !self.heartbeats.is_finished()
                    && tokio::time::timeout(LAST_HEARTBEAT, &mut self.heartbeats).await.is_err()
                {
                    self.heartbeats.abort();
                }
                self.database.forget_worker(&self.client).await?;
                if let Some(marks) = self.settings.marks.clone() {
                    // If this does not end, the file is swept later.
                    let delete = move || Marks::delete(marks.folder(), marks.name());
                    drop(tokio::task::spawn_blocking(delete).await);
                }
                Ok(())
            };
            match left.await {
                Ok(()) => return Ok(()),
                Err(error) => last = Some(error),
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        last.map_or(Ok(()), Err)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // Like a process that ends: other workers rescue its orders.
        self.shutting_down.store(true, Ordering::Release);
        self.heartbeats.abort();
        self.following.abort();
        self.maintenance.abort();
    }
}
