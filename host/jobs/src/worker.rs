//! Works one job: takes its order from the queue, has it done by the handler and settles what came
//! of it.

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt as _;
use riverqueue::{BoxError, Job, WorkCancelled, WorkContext, WorkOutcome, Worker};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;
use ulid::Ulid;

use super::attempt::{Claim, Claimed, WorkerId, trace_id};
use super::complete::{AttemptLimits, NewFailure, Resolution, CompleteOutcome};
use super::database::Database;
use super::error::Error;
use super::river::OrderJob;
use sitewright_model::failure::{FailureKind, FailureRecord};
use sitewright_model::message;
use sitewright_model::message::Message;

/// Does orders. One for all attempts of a worker.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Makes one attempt at the order with this document. When `stop` says so, it ends soon: with
    /// [`Resolution::Cancelled`] or [`Resolution::ReturnToQueue`], as [`Stop::reason`] says.
    async fn handle(&self, claimed: &Claimed, document: String, stop: &Stop) -> Resolution;

    /// Called when the attempt's end is written, or when it turned out that the order belongs to
    /// somebody else now: then whatever the attempt made is to be thrown away.
    async fn settled(&self, _taken: &Claimed, _settlement: &Resolution, _settled: &CompleteOutcome) {}
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
    WorkerShutdown,
}

impl Stop {
    /// Cancelled when it is time to stop.
    pub fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// Why, once the token is cancelled.
    pub fn reason(&self) -> StopReason {
        if self.leaving.load(Ordering::Acquire) {
            StopReason::WorkerShutdown
        } else {
            StopReason::OrderCancelled
        }
    }

    /// What to settle an attempt with that was stopped.
    pub fn resolution(&self, failure: Option<NewFailure>) -> Resolution {
        match self.reason() {
            StopReason::OrderCancelled => Resolution::Cancelled { failure },
            StopReason::WorkerShutdown => Resolution::ReturnToQueue,
        }
    }
}

/// The attempts that this process is working at.
#[derive(Debug, Default)]
pub(super) struct RunningAttempts {
    attempts: Mutex<HashSet<String>>,
    changed: Notify,
    /// All there ever were.
    begun: AtomicU64,
}

impl RunningAttempts {
    fn enter(self: &Arc<Self>, attempt: Ulid) -> RunningGuard {
        let attempt = attempt.to_string();
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner).insert(attempt.clone());
        RunningGuard { running: self.clone(), attempt }
    }

    pub(super) fn has(&self, attempt: &str) -> bool {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner).contains(attempt)
    }

    pub(super) fn len(&self) -> usize {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// How many orders there ever were.
    pub(super) fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    pub(super) async fn until_none(&self) {
        loop {
            let changed = self.changed.notified();
            if self.len() == 0 {
                return;
            }
            changed.await;
        }
    }
}

struct RunningGuard {
    running: Arc<RunningAttempts>,
    attempt: String,
}

impl Drop for RunningGuard {
    fn drop(&mut self) {
        self.running.attempts.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.attempt);
        self.running.changed.notify_waiters();
    }
}

/// Works one job.
pub(super) struct OrderWorker<H> {
    pub(super) database: Database,
    pub(super) handler: Arc<H>,
    pub(super) who: WorkerId,
    pub(super) limits: AttemptLimits,
    pub(super) leaving: Arc<AtomicBool>,
    pub(super) running: Arc<RunningAttempts>,
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
            let (claimed, document) =
                match Box::pin(self.claimed(&order, id, attempt, &token).instrument(span)).await {
                    Ok(claimed) => claimed,
                    Err(no) => return no,
                };
            let stop = Stop { token, leaving: self.leaving.clone() };
            self.handled(&claimed, document, &stop).await;
            // The job changed together with the order: what River writes now meets no running job.
            Ok(WorkOutcome::Complete)
        }
    }
}

impl<H: Handler> OrderWorker<H> {
    /// Takes the job's order, however long the database is away; or what becomes of the job.
    async fn claimed(
        &self,
        order: &str,
        job: i64,
        attempt: Ulid,
        token: &CancellationToken,
    ) -> Result<(Box<Claimed>, String), Result<WorkOutcome, BoxError>> {
        let mut backoff = DatabaseBackoff::new("take", order);
        loop {
            match self.database.claim(order, job, &self.who, attempt).await {
                Ok(Claim::Claimed(claimed, document)) => {
                    backoff.over();
                    return Ok((claimed, document));
                }
                Ok(left_over) => {
                    tracing::info!(?left_over, "a job that no order needs is dropped");
                    return Err(Ok(WorkOutcome::Complete));
                }
                Err(error) if error.is_transient() => {
                    tokio::select! {
                        // The job goes back as it was.
                        () = token.cancelled() => return Err(Err(Box::new(WorkCancelled))),
                        () = backoff.wait(&error) => {}
                    }
                }
                Err(error) => return Err(Err(Box::new(error))),
            }
        }
    }

    /// From a claimed order to a settled one.
    async fn handled(&self, claimed: &Claimed, document: String, stop: &Stop) {
        let handled = AssertUnwindSafe(self.handler.handle(claimed, document, stop));
        let resolution = match handled.catch_unwind().await {
            Ok(resolution) => resolution,
            Err(panic) => Resolution::Retry {
                failure: host_failure(claimed, panicked(&*panic)),
                after: Duration::from_secs(1),
            },
        };
        // Every line says for which order (catalogue B8); those of the attempt itself do already.
        let span = tracing::info_span!(
            "settle",
            order = claimed.order,
            job = claimed.job,
            attempt = %claimed.attempt,
            trace_id = claimed.trace_id
        );
        Box::pin(self.settled(claimed, resolution).instrument(span)).await;
    }

    async fn settled(&self, claimed: &Claimed, resolution: Resolution) {
        if let Some((resolution, settled)) = self.complete(claimed, resolution).await {
            if settled == CompleteOutcome::LeaseLost {
                tracing::warn!(
                    order = claimed.order,
                    attempt = %claimed.attempt,
                    "lease lost: the order was given to another worker while this one was silent; its result is thrown away"
                );
            }
            self.handler.settled(claimed, &resolution, &settled).await;
        }
    }

    /// Writes the end down, however long the database is away. Nothing when it takes nothing from
    /// this attempt: then it is taken back from this worker as a crash.
    async fn complete(
        &self,
        claimed: &Claimed,
        mut resolution: Resolution,
    ) -> Option<(Resolution, CompleteOutcome)> {
        let mut backoff = DatabaseBackoff::new("settle", &claimed.order);
        let mut refused = false;
        loop {
            match self.database.complete(claimed, &resolution, self.limits).await {
                Ok(settled) => {
                    backoff.over();
                    return Some((resolution, settled));
                }
                Err(error) if error.is_transient() => backoff.wait(&error).await,
                Err(error) if !refused => {
                    tracing::error!(order = claimed.order, %error, "the attempt's result cannot be stored as it is");
                    let message =
                        message!("the result of the attempt could not be stored: {error}");
                    resolution = Resolution::Failed { failure: host_failure(claimed, message) };
                    refused = true;
                }
                Err(error) => {
                    tracing::error!(order = claimed.order, %error, "not even that the result cannot be stored can be stored");
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
fn host_failure(claimed: &Claimed, message: Message) -> NewFailure {
    NewFailure::from(&FailureRecord::without_run(FailureKind::Host, message, claimed.into()))
}

/// Waits for a database that is away, longer each time, and says so without filling the log.
struct DatabaseBackoff<'a> {
    doing: &'static str,
    order: &'a str,
    tries: u32,
}

impl<'a> DatabaseBackoff<'a> {
    fn new(doing: &'static str, order: &'a str) -> Self {
        DatabaseBackoff { doing, order, tries: 0 }
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
