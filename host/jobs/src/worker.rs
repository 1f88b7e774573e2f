//! Works one job: claims its order, has the handler make an attempt, and completes it.

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use parking_lot::Mutex;
use riverqueue::{BoxError, Job, WorkCancelled, WorkContext, WorkOutcome, Worker};
use sitewright_model::failure::{FailureKind, FailureRecord};
use sitewright_model::message;
use sitewright_model::message::Message;
use sitewright_model::panic::panic_text;
use sitewright_model::time::now_ms;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;
use ulid::Ulid;

use super::database::Database;
use super::driver::river::OrderJob;
use super::error::Error;
use super::handler::{Handler, Publisher, Stop};
use super::holds::Gate;
use super::model::{
    AttemptLimits, Claim, Claimed, CompleteOutcome, NewFailure, Resolution, WorkerId,
};

/// The attempts that this process runs.
#[derive(Debug, Default)]
pub(super) struct RunningAttempts {
    attempts: Mutex<HashSet<String>>,
    changed: Notify,
    begun: AtomicU64,
}

impl RunningAttempts {
    fn enter(self: &Arc<Self>, attempt: Ulid) -> RunningGuard {
        let attempt = attempt.to_string();
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.attempts.lock().insert(attempt.clone());
        RunningGuard { running: self.clone(), attempt }
    }

    pub(super) fn contains(&self, attempt: &str) -> bool {
        self.attempts.lock().contains(attempt)
    }

    pub(super) fn len(&self) -> usize {
        self.attempts.lock().len()
    }

    /// The number of attempts since the process started.
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

    /// Waits until there is none, and there is none `later`: a job that was fetched before may
    /// begin meanwhile.
    pub(super) async fn until_none_begins(&self, later: Duration) {
        loop {
            self.until_none().await;
            tokio::time::sleep(later).await;
            if self.len() == 0 {
                return;
            }
        }
    }
}

struct RunningGuard {
    running: Arc<RunningAttempts>,
    attempt: String,
}

impl Drop for RunningGuard {
    fn drop(&mut self) {
        self.running.attempts.lock().remove(&self.attempt);
        self.running.changed.notify_waiters();
    }
}

/// What all jobs of a worker share.
pub(super) struct OrderWorker<H, P> {
    pub(super) database: Database,
    pub(super) handler: Arc<H>,
    pub(super) publisher: Arc<P>,
    pub(super) id: WorkerId,
    pub(super) limits: AttemptLimits,
    pub(super) shutting_down: Arc<AtomicBool>,
    pub(super) running: Arc<RunningAttempts>,
    pub(super) gate: Option<Arc<dyn Gate>>,
}

/// The answer to a job: an order to attempt, or what River does with the job.
enum ClaimedJob {
    Order(Box<Claimed>, String),
    Ends(Result<WorkOutcome, BoxError>),
}

impl<H: Handler, P: Publisher> Worker<OrderJob> for OrderWorker<H, P> {
    type Error = BoxError;

    // Not an `async fn`: thousands of these wait, and each would keep the whole job.
    fn work(
        &self,
        context: WorkContext,
        job: Job<OrderJob>,
    ) -> impl Future<Output = Result<WorkOutcome, BoxError>> + Send {
        let due = job.row.scheduled_at.as_millisecond();
        let (token, id, order) = (context.cancellation_token().clone(), job.id(), job.args.order);
        async move {
            let attempt = Ulid::generate();
            let _running = self.running.enter(attempt);
            let span = tracing::info_span!(
                "claim", order, job = id, %attempt, trace_id = tracing::field::Empty
            );
            // Boxed, so that a waiting order holds no memory for it.
            let claim = Box::pin(self.claim(&order, id, attempt, &token).instrument(span));
            let (claimed, document) = match claim.await {
                ClaimedJob::Order(claimed, document) => {
                    let waited = u64::try_from(now_ms().saturating_sub(due)).unwrap_or_default();
                    self.database.attempt_counts().add_wait(Duration::from_millis(waited));
                    (claimed, document)
                }
                ClaimedJob::Ends(outcome) => return outcome,
            };
            let stop = Stop::new(token, self.shutting_down.clone());
            self.attempt(&claimed, document, &stop).await;
            // The job changed together with the order: what River writes now matches no row.
            Ok(WorkOutcome::Complete)
        }
    }
}

impl<H: Handler, P: Publisher> OrderWorker<H, P> {
    /// Claims the job's order, and waits while the database is away.
    async fn claim(
        &self,
        order: &str,
        job: i64,
        attempt: Ulid,
        token: &CancellationToken,
    ) -> ClaimedJob {
        let mut backoff = DatabaseBackoff::new("claim", order);
        loop {
            match self
                .database
                .claim_through(order, job, &self.id, attempt, self.gate.clone())
                .await
            {
                Ok(Claim::Claimed(claimed, document)) => {
                    if backoff.has_waited() {
                        // Only now: the order may be a part of a trace of others. Nothing else is
                        // logged in this span any more.
                        tracing::Span::current().record("trace_id", claimed.trace_id.as_str());
                        backoff.log_recovery();
                    }
                    return ClaimedJob::Order(claimed, document);
                }
                Ok(Claim::Parked { hold, reason }) => {
                    tracing::debug!(%hold, reason, "the order waits for a hold");
                    return ClaimedJob::Ends(Ok(WorkOutcome::Complete));
                }
                Ok(left_over) => {
                    tracing::info!(?left_over, "a job that no order needs is dropped");
                    return ClaimedJob::Ends(Ok(WorkOutcome::Complete));
                }
                Err(error) if error.is_transient() => {
                    tokio::select! {
                        // The job returns to the queue unchanged.
                        () = token.cancelled() => {
                            return ClaimedJob::Ends(Err(Box::new(WorkCancelled)));
                        }
                        () = backoff.wait(&error) => {}
                    }
                }
                Err(error) => return ClaimedJob::Ends(Err(Box::new(error))),
            }
        }
    }

    /// Makes the attempt and completes it.
    async fn attempt(&self, claimed: &Claimed, document: String, stop: &Stop) {
        let digest = self.handler.digest(&claimed.template);
        let attempt = AssertUnwindSafe(self.handler.handle(claimed, document, stop));
        let resolution = match attempt.catch_unwind().await {
            Ok(resolution) => resolution,
            Err(panic) => Resolution::Retry {
                failure: host_failure(
                    claimed,
                    message!(
                        "the worker's own code panicked, which is a bug of the host: {}",
                        panic_text(&*panic)
                    ),
                ),
                after: Duration::from_secs(1),
            },
        };
        // Every log line names its order (failure catalogue B8); the attempt has its own span.
        let span = tracing::info_span!(
            "complete",
            order = claimed.order,
            job = claimed.job,
            attempt = %claimed.attempt,
            trace_id = claimed.trace_id
        );
        let outcome =
            Box::pin(self.complete_and_publish(claimed, resolution).instrument(span)).await;
        if let (Some(CompleteOutcome::Done { order, .. }), Some(digest)) = (outcome, digest) {
            self.database.count_end(&claimed.template, &digest, order);
        }
    }

    /// How the attempt ended; `None` if the database accepted no result of it.
    async fn complete_and_publish(
        &self,
        claimed: &Claimed,
        resolution: Resolution,
    ) -> Option<CompleteOutcome> {
        let (resolution, outcome) = self.complete(claimed, resolution).await?;
        if outcome == CompleteOutcome::LeaseLost {
            tracing::warn!(
                order = claimed.order,
                attempt = %claimed.attempt,
                "lease lost: the order belongs to another worker since this one's heartbeat was \
                 stale; this result is discarded"
            );
        }
        let Resolution::Succeeded { release } = &resolution else { return Some(outcome) };
        let published = match outcome {
            CompleteOutcome::Done { .. } => self.publisher.activate(claimed, release).await,
            CompleteOutcome::LeaseLost => self.publisher.discard(claimed, release).await,
        };
        if let Err(message) = published {
            tracing::error!(
                order = claimed.order,
                attempt = %claimed.attempt,
                release,
                "{message}; it is tried again"
            );
        }
        Some(outcome)
    }

    /// Stores how the attempt ended, and waits while the database is away. `None` if the database
    /// accepts no result of this attempt: then it is rescued as a crash.
    async fn complete(
        &self,
        claimed: &Claimed,
        mut resolution: Resolution,
    ) -> Option<(Resolution, CompleteOutcome)> {
        let mut backoff = DatabaseBackoff::new("complete", &claimed.order);
        let mut refused = false;
        loop {
            match self.database.complete(claimed, &resolution, self.limits).await {
                Ok(outcome) => {
                    backoff.log_recovery();
                    if let CompleteOutcome::Done { attempt, .. } = &outcome {
                        let kind = resolution.failure().map(|failure| failure.kind.as_str());
                        // The id of an attempt has the time of its claim.
                        let begun = claimed.attempt.timestamp_ms();
                        let now = u64::try_from(now_ms()).unwrap_or_default();
                        let took = Duration::from_millis(now.saturating_sub(begun));
                        let counts = self.database.attempt_counts();
                        counts.add(*attempt, kind, took);
                        counts.add_of_template(&claimed.template, *attempt);
                    }
                    return Some((resolution, outcome));
                }
                Err(error) if error.is_transient() => backoff.wait(&error).await,
                Err(error) if !refused => {
                    tracing::error!(
                        order = claimed.order,
                        %error,
                        "the result of the attempt cannot be stored as it is"
                    );
                    let message =
                        message!("the result of the attempt could not be stored: {error}");
                    resolution = Resolution::Failed { failure: host_failure(claimed, message) };
                    refused = true;
                }
                Err(error) => {
                    tracing::error!(
                        order = claimed.order,
                        %error,
                        "the failure to store the result cannot be stored either; the order is \
                         rescued as after a crash"
                    );
                    return None;
                }
            }
        }
    }
}

/// The failure record of an attempt that the worker itself failed, without a run.
fn host_failure(claimed: &Claimed, message: Message) -> NewFailure {
    NewFailure::from(&FailureRecord::without_run(FailureKind::Host, message, claimed.into()))
}

/// Waits for a database that is away, longer each time up to 3 s, and logs the first and every
/// tenth wait.
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

    fn has_waited(&self) -> bool {
        self.tries > 0
    }

    fn log_recovery(&self) {
        if self.has_waited() {
            tracing::info!(
                order = self.order,
                doing = self.doing,
                tries = self.tries,
                "the database is back"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "the one runtime of its process")]
    #[tokio::test(start_paused = true)]
    async fn an_attempt_that_begins_late_is_waited_for() {
        let seconds = |seconds| tokio::time::sleep(Duration::from_secs(seconds));
        let running = Arc::new(RunningAttempts::default());
        let first = running.enter(Ulid::generate());
        let waiting = tokio::spawn({
            let running = Arc::clone(&running);
            async move { running.until_none_begins(Duration::from_secs(5)).await }
        });
        seconds(1).await;
        drop(first);
        seconds(3).await;
        let second = running.enter(Ulid::generate());
        seconds(10).await;
        assert!(!waiting.is_finished());
        drop(second);
        waiting.await.unwrap();
    }
}
