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
use super::complete::{AttemptLimits, NewFailure, Resolution, Settled};
use super::database::Database;
use super::error::Error;
use super::river::OrderJob;
use sitewright_model::failure::{FailureKind, FailureRecord};
use sitewright_model::message;
use sitewright_model::message::Message;
use sitewright_model::panic::panic_text;

/// Does orders. One for all attempts of a worker.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Makes one attempt at the order with this document. When `stop` says so, it ends soon: with
    /// [`Resolution::Cancelled`] or [`Resolution::ReturnToQueue`], as [`Stop::reason`] says.
    async fn handle(&self, taken: &Claimed, document: String, stop: &Stop) -> Resolution;

    /// Called when the attempt's end is written, or when it turned out that the order belongs to
    /// somebody else now: then whatever the attempt made is to be thrown away.
    async fn settled(&self, _taken: &Claimed, _settlement: &Resolution, _settled: &Settled) {}
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
    pub fn settlement(&self, failure: Option<NewFailure>) -> Resolution {
        match self.reason() {
            StopReason::OrderCancelled => Resolution::Cancelled { failure },
            StopReason::WorkerLeaves => Resolution::ReturnToQueue,
        }
    }
}

/// The attempts that this process is working at.
#[derive(Debug, Default)]
pub(super) struct Running {
    attempts: Mutex<HashSet<String>>,
    changed: Notify,
    /// All there ever were.
    begun: AtomicU64,
}

impl Running {
    fn enter(self: &Arc<Self>, attempt: Ulid) -> Entered {
        let attempt = attempt.to_string();
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner).insert(attempt.clone());
        Entered { running: self.clone(), attempt }
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
pub(super) struct OrderWorker<H> {
    pub(super) database: Database,
    pub(super) handler: Arc<H>,
    pub(super) who: WorkerId,
    pub(super) allowed: AttemptLimits,
    pub(super) leaving: Arc<AtomicBool>,
    pub(super) running: Arc<Running>,
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
    ) -> Result<(Box<Claimed>, String), Result<WorkOutcome, BoxError>> {
        let mut patience = Patience::new("take", order);
        loop {
            match self.database.take(order, job, &self.who, attempt).await {
                Ok(Claim::Claimed(taken, document)) => {
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
    async fn handled(&self, taken: &Claimed, document: String, stop: &Stop) {
        let handled = AssertUnwindSafe(self.handler.handle(taken, document, stop));
        let settlement = match handled.catch_unwind().await {
            Ok(settlement) => settlement,
            Err(panic) => Resolution::Retry {
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

    async fn settled(&self, taken: &Claimed, settlement: Resolution) {
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

    /// Writes the end down, however long the database is away. Nothing when it takes nothing from
    /// this attempt: then it is taken back from this worker as a crash.
    async fn settle(
        &self,
        taken: &Claimed,
        mut settlement: Resolution,
    ) -> Option<(Resolution, Settled)> {
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
                    let message =
                        message!("the result of the attempt could not be stored: {error}");
                    settlement = Resolution::Failed { failure: host_failure(taken, message) };
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
    let text = panic_text(panic);
    message!("the worker's own code panicked, which is a bug of the host: {text}")
}

/// A failure of the worker itself, where no run is left to make a whole record.
fn host_failure(taken: &Claimed, message: Message) -> NewFailure {
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
