//! A worker as a whole: it starts, is heard, looks after orders that nobody works at, and goes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use riverqueue::{Client, MaintenanceConfig, QueueConfig, Retention, RunHandle, Workers};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::attempt::WorkerId;
use super::complete::AttemptLimits;
use super::database::Database;
use super::error::Error;
use super::fair_share;
use super::heartbeat::{WorkerIdentity, Observer, Presence};
use super::rescue::{Rescued, Rescuer};
use super::river::QUEUE;
use super::sql::Pool;
use super::stall_detector::StallDetector;
use super::worker::{Handler, OrderWorker, RunningAttempts};

/// How long a worker that leaves waits for its last heartbeat to be written.
const LAST_BEAT: Duration = Duration::from_secs(5);
/// How long a worker that leaves waits for the queue's client when no order runs any more: what the
/// client would still write is of no account, as orders and their jobs are settled together and
/// without it.
const CLIENT_STOPS_WITHIN: Duration = Duration::from_secs(5);

/// What a worker goes by. The times are those that were measured to work; tests set shorter ones.
#[derive(Debug, Clone)]
pub struct WorkerSettings {
    /// Most orders at once.
    pub max_orders: usize,
    /// The configuration that orders get that come without one.
    pub config_version: Option<String>,
    /// How often an order may be tried.
    pub limits: AttemptLimits,
    /// How often it says that it is alive.
    pub heartbeat_every: Duration,
    /// After how long a silent worker is taken for dead. Several beats long.
    pub stale_after: Duration,
    /// How often it looks for silent workers.
    pub rescue_every: Duration,
    /// After how long an order without a job gets one.
    pub adopt_after: Duration,
    /// The shortest time between two looks into the queue.
    pub fetch_every: Duration,
    /// The longest time between two looks into the queue, for what no notification told.
    pub poll_every: Duration,
    /// The same on SQLite, where no notification comes from other processes.
    pub poll_embedded_every: Duration,
    /// How often orders that wait are looked at whether they are due.
    pub schedule_every: Duration,
    /// How long a handler that was told to stop may take, before its task is dropped.
    pub stop_within: Duration,
    /// After how long a worker ends that takes nothing although orders wait and it has room.
    pub stall_after: Duration,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        WorkerSettings {
            max_orders: 2_000,
            config_version: None,
            limits: AttemptLimits::default(),
            heartbeat_every: Duration::from_secs(5),
            stale_after: Duration::from_secs(20),
            rescue_every: Duration::from_secs(5),
            adopt_after: Duration::from_secs(10),
            fetch_every: Duration::from_millis(20),
            poll_every: Duration::from_secs(1),
            poll_embedded_every: Duration::from_millis(100),
            schedule_every: Duration::from_secs(1),
            stop_within: Duration::from_secs(10),
            // Longer than it takes to give up all connections to a database that is away.
            stall_after: Duration::from_secs(90),
        }
    }
}

/// A worker that works. Dropped, it stops at once and its orders are rescued by whoever comes next;
/// [`Serving::drain`] is the way out.
#[derive(Debug)]
pub struct Serving {
    database: Database,
    client: String,
    run: RunHandle,
    leaving: Arc<AtomicBool>,
    /// For those who wait while it goes: it should be gone by now.
    hurry: CancellationToken,
    /// It has found out that it stands still.
    standstill: CancellationToken,
    settings: WorkerSettings,
    running: Arc<RunningAttempts>,
    rescuer: Arc<tokio::sync::Mutex<Rescuer>>,
    beats: JoinHandle<()>,
    /// Ends the heartbeats after the one that is on its way.
    quiet: CancellationToken,
    rescues: JoinHandle<()>,
    _presence: Presence,
}

/// Stops a worker at once, from wherever.
#[derive(Debug, Clone)]
pub struct StopNow {
    river: riverqueue::Stopper,
    leaving: Arc<AtomicBool>,
    hurry: CancellationToken,
}

impl StopNow {
    /// Tells every handler to stop; [`Serving::drain`] then ends soon.
    pub fn stop_now(&self) {
        self.leaving.store(true, Ordering::Release);
        self.river.stop_and_cancel();
        self.hurry.cancel();
    }
}

/// How a worker went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Orders that it had when it was asked to go.
    pub running: usize,
    /// Whether all of them ended within the grace time. Otherwise the others went back to their
    /// place in line.
    pub in_time: bool,
}

/// Starts a worker. The tables must be there: [`Database::migrate`].
///
/// # Errors
/// When the tables are not those of this program, the settings are no good, or the database fails.
pub async fn serve<H: Handler>(
    database: Database,
    settings: WorkerSettings,
    handler: Arc<H>,
) -> Result<Serving, Error> {
    database.check_schema().await?;
    let who = WorkerIdentity::new();
    let presence = Presence::enter(&database).await?;
    database.beat(&who, settings.max_orders).await?;
    let running = Arc::new(RunningAttempts::default());
    let leaving = Arc::new(AtomicBool::new(false));
    let mut rescuer = Rescuer {
        database: database.clone(),
        me: who.client.clone(),
        limits: settings.limits,
        stale_after: settings.stale_after,
        adopt_after: settings.adopt_after,
        observer: Observer::default(),
    };
    if presence.alone {
        report(&rescuer.workers(true, |_| false).await?);
    }

    let mut workers = Workers::new();
    let worker = OrderWorker {
        database: database.clone(),
        handler,
        who: WorkerId {
            client: who.client.clone(),
            config_version: settings.config_version.clone(),
        },
        limits: settings.limits,
        leaving: leaving.clone(),
        running: running.clone(),
    };
    let starting = |error| Error::river("starting the worker", error);
    workers.add(worker).map_err(starting)?;
    let client = river_client(&database, &settings, &who, workers).map_err(starting)?;
    let mut run = client.start().map_err(starting)?;
    run.wait_ready().await.map_err(starting)?;

    let quiet = CancellationToken::new();
    let beats = tokio::spawn(beat(database.clone(), who.clone(), settings.clone(), quiet.clone()));
    let rescuer = Arc::new(tokio::sync::Mutex::new(rescuer));
    let standstill = CancellationToken::new();
    let rescues = tokio::spawn(rescue(
        rescuer.clone(),
        running.clone(),
        leaving.clone(),
        settings.clone(),
        standstill.clone(),
    ));
    tracing::info!(
        worker = who.client,
        database = database.shown(),
        max_orders = settings.max_orders,
        "the worker takes orders"
    );
    Ok(Serving {
        database,
        client: who.client,
        run,
        leaving,
        hurry: CancellationToken::new(),
        standstill,
        settings,
        running,
        rescuer,
        beats,
        quiet,
        rescues,
        _presence: presence,
    })
}

fn river_client(
    database: &Database,
    settings: &WorkerSettings,
    who: &WorkerIdentity,
    workers: Workers,
) -> Result<Client, riverqueue::Error> {
    let builder = match database.pool() {
        Pool::Sqlite(pool) => Client::builder(pool),
        Pool::Postgres(pool) => Client::builder(pool),
    };
    let long = Duration::from_secs(10 * 365 * 24 * 3_600);
    let maintenance = MaintenanceConfig::default()
        .with_cancelled_job_retention(Retention::Keep)
        .with_discarded_job_retention(Retention::Keep)
        // A paused queue stays paused, also when no worker comes for a day.
        .with_queue_retention(long)
        .with_scheduler_interval(settings.schedule_every)
        // The backstop. Its order, when it still runs, is not given away: `take` answers that it
        // belongs to somebody.
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
        .id(&who.client)
        .workers(workers)
        .queue(QUEUE, queue)
        .fetch_cooldown(settings.fetch_every)
        // The run's own deadline ends it, and writes a record (catalogue A6).
        .without_job_timeout()
        .job_stuck_threshold(settings.stop_within)
        .maintenance(maintenance)
        .build()
}

async fn beat(
    database: Database,
    who: WorkerIdentity,
    settings: WorkerSettings,
    quiet: CancellationToken,
) {
    let mut failures = 0u32;
    let mut ticks = tokio::time::interval(settings.heartbeat_every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        if quiet.run_until_cancelled(ticks.tick()).await.is_none() {
            return;
        }
        match database.beat(&who, settings.max_orders).await {
            Ok(()) if failures > 0 => {
                tracing::info!(failures, "heartbeats are written again");
                failures = 0;
            }
            Ok(()) => {}
            Err(error) => {
                failures += 1;
                tracing::warn!(failures, %error, "a heartbeat could not be written; after some silence others take this worker's orders");
            }
        }
    }
}

async fn rescue(
    rescuer: Arc<tokio::sync::Mutex<Rescuer>>,
    running: Arc<RunningAttempts>,
    leaving: Arc<AtomicBool>,
    settings: WorkerSettings,
    stands_still: CancellationToken,
) {
    let mut ticks = tokio::time::interval(settings.rescue_every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut paused = false;
    let mut standstill = StallDetector::new(settings.stall_after);
    loop {
        ticks.tick().await;
        let mut rescuer = rescuer.lock().await;
        tell_pause(&rescuer.database, &mut paused).await;
        if let Err(error) = fair_share::rebalance(&rescuer.database).await {
            tracing::warn!(%error, "templates cannot share the line out while the database fails; it is tried again");
        }
        // Whoever leaves gives its orders back itself, and no crash is counted.
        let works_at = |attempt: &str| leaving.load(Ordering::Acquire) || running.has(attempt);
        for found in
            [rescuer.workers(false, works_at).await, rescuer.jobless().await, rescuer.ahead().await]
        {
            match found {
                Ok(rescued) => report(&rescued),
                Err(error) => {
                    tracing::warn!(%error, "nobody can be rescued while the database fails; it is tried again")
                }
            }
        }
        let could_take =
            !paused && !leaving.load(Ordering::Acquire) && running.len() < settings.max_orders;
        let begun = running.begun();
        match standstill.look(&rescuer.database, begun, could_take).await {
            Ok(true) => stands_still.cancel(),
            Ok(false) => {}
            Err(error) => tracing::debug!(%error, "whether orders are left cannot be read"),
        }
    }
}

/// Says why a worker stands still, and when it no longer does: `--drain` waits for orders that
/// nobody takes.
async fn tell_pause(database: &Database, was_paused: &mut bool) {
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
            tracing::info!("the queue goes on");
        }
        // What comes next fails too, and says so.
        Err(error) => tracing::debug!(%error, "whether the queue is paused cannot be read"),
    }
}

fn report(rescued: &Rescued) {
    if !rescued.is_empty() {
        tracing::warn!(
            queued = rescued.queued.len(),
            dead = rescued.dead.len(),
            cancelled = rescued.cancelled.len(),
            requeued = rescued.requeued.len(),
            "orders were rescued"
        );
    }
}

impl Serving {
    /// Its id in the queue.
    pub fn client_id(&self) -> &str {
        &self.client
    }

    /// The orders it has now.
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// For a second signal while [`Serving::drain`] waits.
    pub fn stopper(&self) -> StopNow {
        StopNow {
            river: self.run.stopper(),
            leaving: self.leaving.clone(),
            hurry: self.hurry.clone(),
        }
    }

    /// Waits until every order there is has ended, those that wait for a further attempt included.
    ///
    /// # Errors
    /// When the worker can not go on. A database that is away is waited for.
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

    /// Waits until the worker ends by itself, which it does only when it can not go on.
    ///
    /// # Errors
    /// Why it ended.
    pub async fn ended(&mut self) -> Result<(), Error> {
        tokio::select! {
            ended = self.run.wait() => ended.map_err(|error| Error::river("working", error)),
            () = self.standstill.cancelled() => Err(Error::Stalled { after: self.settings.stall_after }),
        }
    }

    /// Takes no more orders, lets the running ones end within `grace`, tells the others to stop and
    /// gives them back uncounted. Then it is gone from the list of workers.
    ///
    /// # Errors
    /// When the queue's client failed, or the database did not answer to the last writes: others
    /// rescue the orders then.
    pub async fn drain(mut self, grace: Duration) -> Result<Drained, Error> {
        let running = self.running();
        let stopping = |error| Error::river("stopping the worker", error);
        tracing::info!(
            running,
            grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX),
            "the worker drains"
        );
        let attempts = self.running.clone();
        let without_orders = async {
            loop {
                attempts.until_none().await;
                tokio::time::sleep(CLIENT_STOPS_WITHIN).await;
                // One that was fetched before may have begun meanwhile.
                if attempts.len() == 0 {
                    break;
                }
            }
        };
        let stopped = tokio::select! {
            stopped = self.run.stop() => Some(stopped),
            () = tokio::time::sleep(grace) => None,
            () = self.hurry.cancelled() => None,
            () = without_orders => None,
        };
        let all_ended =
            !self.leaving.load(Ordering::Acquire) && (stopped.is_some() || self.running() == 0);
        let stopped = match stopped {
            Some(stopped) => stopped,
            None => self.stop_client().await,
        };
        self.rescues.abort();
        let left = self.leave().await;
        stopped.map_err(stopping)?;
        let drained = Drained { running, in_time: all_ended };
        left?;
        tracing::info!(running, in_time = drained.in_time, "the worker is gone");
        Ok(drained)
    }

    /// Tells every handler to stop, and waits no longer than they may take for a client that waits
    /// for an answer that never comes.
    async fn stop_client(&mut self) -> Result<(), riverqueue::Error> {
        self.leaving.store(true, Ordering::Release);
        let within = self.settings.stop_within + CLIENT_STOPS_WITHIN;
        match tokio::time::timeout(within, self.run.stop_and_cancel()).await {
            Ok(stopped) => stopped,
            Err(_) => {
                tracing::warn!(
                    waited_ms = u64::try_from(within.as_millis()).unwrap_or(u64::MAX),
                    "the queue's client does not end: the worker goes without it"
                );
                Ok(())
            }
        }
    }

    /// Tells every handler to stop, gives the orders back uncounted and goes.
    ///
    /// # Errors
    /// As [`Serving::drain`].
    pub async fn stop_now(self) -> Result<Drained, Error> {
        self.stopper().stop_now();
        self.drain(Duration::from_secs(3_600)).await
    }

    /// Gives back what handlers that did not listen still had.
    async fn leave(&mut self) -> Result<(), Error> {
        let mut last = None;
        for _ in 0..5 {
            let left = async {
                report(&self.rescuer.lock().await.leave().await?);
                // One that is written after the farewell would put the worker back on the list.
                self.quiet.cancel();
                if !self.beats.is_finished()
                    && tokio::time::timeout(LAST_BEAT, &mut self.beats).await.is_err()
                {
                    self.beats.abort();
                }
                self.database.forget_worker(&self.client).await
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
        // As a process that ends: no farewell.
        self.leaving.store(true, Ordering::Release);
        self.beats.abort();
        self.rescues.abort();
    }
}
