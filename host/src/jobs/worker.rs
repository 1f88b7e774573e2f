//! A worker: takes orders from the queue, has them done by its handler and settles what came of it.

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt as _;
use riverqueue::{
    BoxError, Client, Job, MaintenanceConfig, QueueConfig, Retention, RunHandle, WorkCancelled, WorkContext,
    WorkOutcome, Worker, Workers,
};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;
use ulid::Ulid;

use super::attempt::{Take, Taken, WorkerId, trace_id};
use super::database::Database;
use super::error::Error;
use super::heartbeat::{Identity, Observer, Presence};
use super::line;
use super::rescue::{Rescued, Rescuer};
use super::river::{OrderJob, QUEUE};
use super::settle::{Allowed, NewFailure, Settled, Settlement};
use super::sql::Pool;
use crate::failure::{FailureKind, FailureRecord};
use crate::message;
use crate::message::Message;

/// How long a worker that leaves waits for its last heartbeat to be written.
const LAST_BEAT: Duration = Duration::from_secs(5);

/// What a worker goes by. The times are those that were measured to work; tests set shorter ones.
#[derive(Debug, Clone)]
pub struct WorkerSettings {
    /// Most orders at once.
    pub max_orders: usize,
    /// The configuration that orders get that come without one.
    pub config_version: Option<String>,
    /// How often an order may be tried.
    pub allowed: Allowed,
    /// How often it says that it is alive.
    pub beat_every: Duration,
    /// After how long a silent worker is taken for dead. Several beats long.
    pub silent_after: Duration,
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
}

impl Default for WorkerSettings {
    fn default() -> Self {
        WorkerSettings {
            max_orders: 2_000,
            config_version: None,
            allowed: Allowed::default(),
            beat_every: Duration::from_secs(5),
            silent_after: Duration::from_secs(20),
            rescue_every: Duration::from_secs(5),
            adopt_after: Duration::from_secs(10),
            fetch_every: Duration::from_millis(20),
            poll_every: Duration::from_secs(1),
            poll_embedded_every: Duration::from_millis(100),
            schedule_every: Duration::from_secs(1),
            stop_within: Duration::from_secs(10),
        }
    }
}

/// Does orders. One for all attempts of a worker.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Makes one attempt at the order with this document. When `stop` says so, it ends soon: with [`Settlement::Cancelled`] or
    /// [`Settlement::ReturnToQueue`], as [`Stop::reason`] says.
    async fn handle(&self, taken: &Taken, document: String, stop: &Stop) -> Settlement;

    /// Called when the attempt's end is written, or when it turned out that the order belongs to somebody else now: then whatever the
    /// attempt made is to be thrown away.
    async fn settled(&self, _taken: &Taken, _settlement: &Settlement, _settled: &Settled) {}
}

/// Tells a handler to stop.
#[derive(Debug, Clone)]
pub struct Stop {
    token: CancellationToken,
    leaving: Arc<AtomicBool>,
}

/// Why a handler should stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// Somebody asked to stop the order.
    OrderCancelled,
    /// The worker leaves: another one will do the order.
    WorkerLeaves,
}

impl Stop {
    /// Cancelled when it is time to stop.
    pub fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// Why, once the token is cancelled.
    pub fn reason(&self) -> StopReason {
        if self.leaving.load(Ordering::Acquire) {
            StopReason::WorkerLeaves
        } else {
            StopReason::OrderCancelled
        }
    }

    /// What to settle an attempt with that was stopped.
    pub fn settlement(&self, failure: Option<NewFailure>) -> Settlement {
        match self.reason() {
            StopReason::OrderCancelled => Settlement::Cancelled { failure },
            StopReason::WorkerLeaves => Settlement::ReturnToQueue,
        }
    }
}

/// The attempts that this process is working at.
#[derive(Debug, Default)]
struct Running {
    attempts: Mutex<HashSet<String>>,
    changed: Notify,
}

impl Running {
    fn enter(self: &Arc<Self>, attempt: Ulid) -> Entered {
        let attempt = attempt.to_string();
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner).insert(attempt.clone());
        Entered { running: self.clone(), attempt }
    }

    fn has(&self, attempt: &str) -> bool {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner).contains(attempt)
    }

    fn len(&self) -> usize {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

struct Entered {
    running: Arc<Running>,
    attempt: String,
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.running.attempts.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.attempt);
        self.running.changed.notify_waiters();
    }
}

/// Works one job.
struct OrderWorker<H> {
    database: Database,
    handler: Arc<H>,
    who: WorkerId,
    allowed: Allowed,
    leaving: Arc<AtomicBool>,
    running: Arc<Running>,
}

impl<H: Handler> Worker<OrderJob> for OrderWorker<H> {
    type Error = BoxError;

    // Not an `async fn`: thousands of these wait, and each would keep the whole job.
    fn work(
        &self,
        context: WorkContext,
        job: Job<OrderJob>,
    ) -> impl Future<Output = Result<WorkOutcome, BoxError>> + Send {
        let (token, id, order) = (context.cancellation_token().clone(), job.id(), job.args.order);
        async move {
            let attempt = Ulid::generate();
            let _entered = self.running.enter(attempt);
            let span = tracing::info_span!("take", order, job = id, %attempt, trace_id = trace_id(attempt));
            // Boxed: what is not under way takes no room in an order that waits.
            let (taken, document) =
                match Box::pin(self.taken(&order, id, attempt, &token).instrument(span)).await {
                    Ok(taken) => taken,
                    Err(no) => return no,
                };
            let stop = Stop { token, leaving: self.leaving.clone() };
            self.handled(&taken, document, &stop).await;
            // The job changed together with the order: what River writes now meets no running job.
            Ok(WorkOutcome::Complete)
        }
    }
}

impl<H: Handler> OrderWorker<H> {
    /// Takes the job's order, however long the database is away; or what becomes of the job.
    async fn taken(
        &self,
        order: &str,
        job: i64,
        attempt: Ulid,
        token: &CancellationToken,
    ) -> Result<(Box<Taken>, String), Result<WorkOutcome, BoxError>> {
        let mut patience = Patience::new("take", order);
        loop {
            match self.database.take(order, job, &self.who, attempt).await {
                Ok(Take::Taken(taken, document)) => {
                    patience.over();
                    return Ok((taken, document));
                }
                Ok(left_over) => {
                    tracing::info!(?left_over, "a job that no order needs is dropped");
                    return Err(Ok(WorkOutcome::Complete));
                }
                Err(error) if error.is_transient() => {
                    tokio::select! {
                        // The job goes back as it was.
                        () = token.cancelled() => return Err(Err(Box::new(WorkCancelled))),
                        () = patience.wait(&error) => {}
                    }
                }
                Err(error) => return Err(Err(Box::new(error))),
            }
        }
    }

    /// From a taken order to a settled one.
    async fn handled(&self, taken: &Taken, document: String, stop: &Stop) {
        let handled = AssertUnwindSafe(self.handler.handle(taken, document, stop));
        let settlement = match handled.catch_unwind().await {
            Ok(settlement) => settlement,
            Err(panic) => Settlement::Retry {
                failure: host_failure(taken, panicked(&*panic)),
                after: Duration::from_secs(1),
            },
        };
        // Every line says for which order (catalogue B8); those of the attempt itself do already.
        let span = tracing::info_span!(
            "settle",
            order = taken.order,
            job = taken.job,
            attempt = %taken.attempt,
            trace_id = taken.trace_id
        );
        Box::pin(self.settled(taken, settlement).instrument(span)).await;
    }

    async fn settled(&self, taken: &Taken, settlement: Settlement) {
        if let Some((settlement, settled)) = self.settle(taken, settlement).await {
            if settled == Settled::LeaseLost {
                tracing::warn!(
                    order = taken.order,
                    attempt = %taken.attempt,
                    "lease lost: the order was given to another worker while this one was silent; its result is thrown away"
                );
            }
            self.handler.settled(taken, &settlement, &settled).await;
        }
    }

    /// Writes the end down, however long the database is away. Nothing when it takes nothing from this attempt: then it is
    /// taken back from this worker as a crash.
    async fn settle(&self, taken: &Taken, mut settlement: Settlement) -> Option<(Settlement, Settled)> {
        let mut patience = Patience::new("settle", &taken.order);
        let mut refused = false;
        loop {
            match self.database.settle(taken, &settlement, self.allowed).await {
                Ok(settled) => {
                    patience.over();
                    return Some((settlement, settled));
                }
                Err(error) if error.is_transient() => patience.wait(&error).await,
                Err(error) if !refused => {
                    tracing::error!(order = taken.order, %error, "the attempt's result cannot be stored as it is");
                    let message = message!("the result of the attempt could not be stored: {error}");
                    settlement = Settlement::Failed { failure: host_failure(taken, message) };
                    refused = true;
                }
                Err(error) => {
                    tracing::error!(order = taken.order, %error, "not even that the result cannot be stored can be stored");
                    return None;
                }
            }
        }
    }
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> Message {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it left no text");
    message!("the worker's own code panicked, which is a bug of the host: {text}")
}

/// A failure of the worker itself, where no run is left to make a whole record.
fn host_failure(taken: &Taken, message: Message) -> NewFailure {
    NewFailure::from(&FailureRecord::without_run(FailureKind::Host, message, taken.into()))
}

/// Waits for a database that is away, longer each time, and says so without filling the log.
struct Patience<'a> {
    doing: &'static str,
    order: &'a str,
    tries: u32,
}

impl<'a> Patience<'a> {
    fn new(doing: &'static str, order: &'a str) -> Self {
        Patience { doing, order, tries: 0 }
    }

    async fn wait(&mut self, error: &Error) {
        self.tries += 1;
        let pause = Duration::from_millis(50u64 << self.tries.min(6)).min(Duration::from_secs(3));
        if self.tries == 1 || self.tries.is_multiple_of(10) {
            tracing::warn!(
                order = self.order,
                doing = self.doing,
                tries = self.tries,
                %error,
                "the database cannot be written; the order is kept and it is tried again until it can"
            );
        }
        tokio::time::sleep(pause).await;
    }

    fn over(&self) {
        if self.tries > 0 {
            tracing::info!(
                order = self.order,
                doing = self.doing,
                tries = self.tries,
                "the database is back"
            );
        }
    }
}

/// A worker that works. Dropped, it stops at once and its orders are rescued by whoever comes next; [`Serving::drain`] is the way out.
#[derive(Debug)]
pub struct Serving {
    database: Database,
    client: String,
    run: RunHandle,
    leaving: Arc<AtomicBool>,
    running: Arc<Running>,
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
}

impl StopNow {
    /// Tells every handler to stop; [`Serving::drain`] then ends soon.
    pub fn stop_now(&self) {
        self.leaving.store(true, Ordering::Release);
        self.river.stop_and_cancel();
    }
}

/// How a worker went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Orders that it had when it was asked to go.
    pub running: usize,
    /// Whether all of them ended within the grace time. Otherwise the others went back to their place in line.
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
    let who = Identity::new();
    let presence = Presence::enter(&database).await?;
    database.beat(&who, settings.max_orders).await?;
    let running = Arc::new(Running::default());
    let leaving = Arc::new(AtomicBool::new(false));
    let mut rescuer = Rescuer {
        database: database.clone(),
        me: who.client.clone(),
        allowed: settings.allowed,
        silent_after: settings.silent_after,
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
        who: WorkerId { client: who.client.clone(), config_version: settings.config_version.clone() },
        allowed: settings.allowed,
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
    let rescues =
        tokio::spawn(rescue(rescuer.clone(), running.clone(), leaving.clone(), settings.rescue_every));
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
    who: &Identity,
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
        // The backstop. Its order, when it still runs, is not given away: `take` answers that it belongs to somebody.
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

async fn beat(database: Database, who: Identity, settings: WorkerSettings, quiet: CancellationToken) {
    let mut failures = 0u32;
    let mut ticks = tokio::time::interval(settings.beat_every);
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
    running: Arc<Running>,
    leaving: Arc<AtomicBool>,
    every: Duration,
) {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut paused = false;
    loop {
        ticks.tick().await;
        let mut rescuer = rescuer.lock().await;
        tell_pause(&rescuer.database, &mut paused).await;
        if let Err(error) = line::share_out(&rescuer.database).await {
            tracing::warn!(%error, "templates cannot share the line out while the database fails; it is tried again");
        }
        // Whoever leaves gives its orders back itself, and no crash is counted.
        let works_at = |attempt: &str| leaving.load(Ordering::Acquire) || running.has(attempt);
        for found in [rescuer.workers(false, works_at).await, rescuer.jobless().await, rescuer.ahead().await]
        {
            match found {
                Ok(rescued) => report(&rescued),
                Err(error) => {
                    tracing::warn!(%error, "nobody can be rescued while the database fails; it is tried again")
                }
            }
        }
    }
}

/// Says why a worker stands still, and when it no longer does: `--drain` waits for orders that nobody takes.
async fn tell_pause(database: &Database, was_paused: &mut bool) {
    match database.is_paused().await {
        Ok(paused) if paused == *was_paused => {}
        Ok(true) => {
            *was_paused = true;
            tracing::warn!("the queue is paused: no order is taken before `sitewright queue resume`");
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
        StopNow { river: self.run.stopper(), leaving: self.leaving.clone() }
    }

    /// Waits until every order there is has ended, those that wait for a further attempt included.
    ///
    /// # Errors
    /// When the worker can not go on. A database that is away is waited for.
    pub async fn until_empty(&mut self) -> Result<(), Error> {
        let mut ticks = tokio::time::interval(Duration::from_millis(200));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let ended = tokio::select! {
                result = self.run.wait() => Some(result),
                _ = ticks.tick() => None,
            };
            if let Some(result) = ended {
                return result.map_err(|error| Error::river("working", error));
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
        self.run.wait().await.map_err(|error| Error::river("working", error))
    }

    /// Takes no more orders, lets the running ones end within `grace`, tells the others to stop and gives them back uncounted.
    /// Then it is gone from the list of workers.
    ///
    /// # Errors
    /// When the queue's client failed, or the database did not answer to the last writes: others rescue the orders then.
    pub async fn drain(mut self, grace: Duration) -> Result<Drained, Error> {
        let running = self.running();
        let stopping = |error| Error::river("stopping the worker", error);
        tracing::info!(
            running,
            grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX),
            "the worker drains"
        );
        let in_time = match tokio::time::timeout(grace, self.run.stop()).await {
            Ok(stopped) => stopped.map(|()| !self.leaving.load(Ordering::Acquire)),
            Err(_) => {
                self.leaving.store(true, Ordering::Release);
                self.run.stop_and_cancel().await.map(|()| false)
            }
        };
        self.rescues.abort();
        let left = self.leave().await;
        let drained = Drained { running, in_time: in_time.map_err(stopping)? };
        left?;
        tracing::info!(running, in_time = drained.in_time, "the worker is gone");
        Ok(drained)
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
