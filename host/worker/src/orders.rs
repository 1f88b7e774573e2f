//! One attempt at a claimed order: from its document to a resolution.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::watch;

use super::batches::OrderBatches;
use super::fault;
use super::holds::Holds;
use super::journal::OrderJournal;
use super::progress::Progress;
use super::reply_cache::SharedReplies;
use sitewright_ai::{RunJournal, Spent};
use sitewright_jobs::{
    Backoff, Claimed, Database, Gate, Handler, NewFailure, ProblemLevel, Resolution, RetryClass,
    Stop, StopReason, class as retry_class,
};
use sitewright_model::ai::{AiError, AttemptOutcome};
use sitewright_model::failure::{FailureKind, FailureRecord};
use sitewright_model::message;
use sitewright_model::message::Message;
use sitewright_runtime::host_functions::RunProgress;
use sitewright_runtime::run::{
    AttemptId, AttemptRequest, JournalUse, Outcome, Publication, Services, Supervision, Witness,
    supervised,
};
use sitewright_site::{SiteStore, SyncBatcher};

/// Makes all attempts of a worker.
pub(super) struct Orders {
    pub(super) services: Services,
    pub(super) database: Database,
    pub(super) store: SiteStore,
    /// Places releases together with those of other orders: one group commit for many.
    pub(super) batcher: SyncBatcher,
    pub(super) backoff: Backoff,
    /// A worker without a heartbeat for this long loses its orders.
    pub(super) stale_after: Duration,
    pub(super) progress: Progress,
    /// Marks whose code runs; `None` if that cannot be marked.
    pub(super) witness: Option<Witness>,
    pub(super) holds: Arc<Holds>,
}

#[async_trait]
impl Handler for Orders {
    fn digest(&self, template: &str) -> Option<String> {
        self.services.catalogue.served(template).map(|template| template.digest())
    }

    fn gate(&self) -> Option<Arc<dyn Gate>> {
        Some(self.holds.clone())
    }

    async fn handle(&self, claimed: &Claimed, document: String, stop: &Stop) -> Resolution {
        let _running = self.holds.enter();
        if let Some(named) = other_order(claimed, &document) {
            let message = message!(
                "the order is {:?}, but its document is that of order {named:?}: a site must not \
                 end up in the folder of another order; add it to the queue under the id in its \
                 document",
                claimed.order
            );
            return Resolution::Failed {
                failure: without_run(claimed, FailureKind::InvalidOrder, "order", message),
            };
        }
        if claimed
            .config_version
            .as_ref()
            .is_some_and(|begun| *begun != self.services.config_version)
        {
            tracing::info!(
                order = claimed.order,
                job = claimed.job,
                attempt = %claimed.attempt,
                trace_id = claimed.trace_id,
                begun = claimed.config_version,
                now = self.services.config_version,
                "the order began with another configuration"
            );
        }
        let kept = OrderJournal::new(self.database.clone(), claimed, self.stale_after);
        let mut spent = Spent::default();
        if self.services.gateway.has_order_budget() {
            let before = tokio::select! {
                before = kept.spent() => before,
                () = stop.token().cancelled() => {
                    return match stop.reason() {
                        StopReason::WorkerShutdown => Resolution::ReturnToQueue,
                        StopReason::OrderCancelled => Resolution::Cancelled { failure: None },
                    };
                }
            };
            match before {
                Ok(before) => spent = before,
                Err(error) => {
                    let message = message!(
                        "it cannot be read what the order has used of [ai.budget] so far: {error}"
                    );
                    return self.retry_later(claimed, host_failure(claimed, message)).await;
                }
            }
        }
        let mut journal = RunJournal::new(self.holds.watch_replies(claimed, Arc::new(kept)))
            .of_order(&claimed.order, claimed.tenant.clone())
            .after(spent);
        // A probe finds out whether a provider answers again, so it must ask.
        if claimed.probes.is_empty() {
            let shared = SharedReplies::new(self.database.clone(), claimed);
            journal = journal.with_cache(Arc::new(shared));
        }
        let batches = (claimed.batch && claimed.probes.is_empty()).then(|| {
            let config = self.services.gateway.batch_config();
            Arc::new(OrderBatches::new(self.database.clone(), claimed, config))
        });
        if let Some(batches) = &batches {
            journal = journal.with_batches(batches.clone());
        }
        let journal = Arc::new(journal);
        let cancel = stop.token().child_token();
        let waits = Arc::new(AtomicBool::new(false));
        let (progress, watcher) = watch::channel(RunProgress::default());
        let request = AttemptRequest {
            document: document.into_bytes(),
            template: claimed.template.clone(),
            id: AttemptId::from(claimed.attempt),
            job: Some(claimed.job.to_string()),
            revision: Some(claimed.revision),
            journal: JournalUse::Of(journal.clone()),
            publication: Publication::Place(self.batcher.clone()),
            cancel: cancel.clone(),
            progress,
        };
        // Boxed: the future is large, and thousands wait.
        let supervision = Supervision {
            witness: self.witness.clone(),
            on_trial: claimed.suspected,
            shutting_down: stop.shutting_down(),
            waits: waits.clone(),
            unrecorded: Some(fault::is_unsent),
            number: Some(claimed.number),
            traceparent: claimed.traceparent.clone(),
        };
        if claimed.suspected {
            tracing::info!(
                order = claimed.order,
                job = claimed.job,
                attempt = %claimed.attempt,
                trace_id = claimed.trace_id,
                "code of the order ran when a process ended: it is tried with no other order's \
                 code beside it"
            );
        }
        let made = Box::pin(supervised(&self.services, request, supervision));
        let gathered = async {
            if let Some(batches) = &batches {
                batches.until_gathered().await;
                waits.store(true, Ordering::Release);
                cancel.cancel();
            }
            std::future::pending().await
        };
        let outcome = tokio::select! {
            outcome = made => outcome,
            // Ends only when the attempt's sender does; then the attempt has ended too.
            () = async { self.progress.watch(claimed, watcher).await; std::future::pending().await } => unreachable!("pending never ends"),
            () = gathered => unreachable!("pending never ends"),
        };
        match outcome {
            Outcome::Released(released) => {
                let release = &released.release;
                if let Err(message) = Box::pin(self.store.put(release)).await {
                    let message = message!("the site was made, but could not be stored: {message}");
                    return self.retry_later(claimed, host_failure(claimed, message)).await;
                }
                let counts = self.database.attempt_counts();
                counts.add_release(release.manifest.total_bytes);
                for warning in &release.manifest.warnings {
                    counts.add_problems(&warning.rule.to_string(), ProblemLevel::Warning, 1);
                }
                self.holds.succeeded(claimed).await;
                Resolution::Succeeded { release: release.manifest.id.to_string() }
            }
            Outcome::Failed { record, stored, refused, .. } => {
                let returned =
                    is_stopped(&record, stop) && stop.reason() == StopReason::WorkerShutdown;
                if returned {
                    return Resolution::ReturnToQueue;
                }
                if record.kind == FailureKind::OutputRejected {
                    let counts = self.database.attempt_counts();
                    for check in record.problems.iter().filter_map(|one| one.rule.as_deref()) {
                        counts.add_problems(check, ProblemLevel::Error, 1);
                    }
                }
                if let Some(batches) = batches
                    && record.kind == FailureKind::Cancelled
                    && waits.load(Ordering::Acquire)
                    && !stop.token().is_cancelled()
                {
                    let reason = batches.reason();
                    tracing::info!(
                        order = claimed.order,
                        job = claimed.job,
                        attempt = %claimed.attempt,
                        trace_id = claimed.trace_id,
                        "the order waits and uses no attempt: {reason}"
                    );
                    return Resolution::AwaitBatch { reason };
                }
                if let Err(message) = stored
                    && !fault::is_unsent(&record)
                {
                    tracing::error!(
                        order = claimed.order,
                        job = claimed.job,
                        attempt = %claimed.attempt,
                        trace_id = claimed.trace_id,
                        "{message}"
                    );
                }
                Box::pin(self.failed(claimed, stop, *record, refused, &journal)).await
            }
        }
    }
}

impl Orders {
    async fn failed(
        &self,
        claimed: &Claimed,
        stop: &Stop,
        record: FailureRecord,
        refused: Option<ErrorKind>,
        journal: &RunJournal,
    ) -> Resolution {
        let stopped = is_stopped(&record, stop);
        self.ask_blamed_again(claimed, &record, journal).await;
        let (ai_kind, retryable, retry_after) = match &record.ai {
            Some(ai) => {
                let after = ai.retry_after_ms.map(|ms| Duration::from_millis(u64::from(ms.get())));
                (Some(ai.kind), Some(ai.retryable), after)
            }
            None => (None, None, None),
        };
        let mut class = retry_class(record.kind, ai_kind, retryable, retry_after);
        if class == RetryClass::Permanent
            && let Some(ai) = record.ai.as_ref().filter(|ai| ai.retryable)
        {
            // The last candidate of the route failed for good, but another one may succeed later.
            let of_candidates = ai.attempts.iter().filter_map(|attempt| match attempt.outcome {
                AttemptOutcome::Failed(failed) => {
                    Some(retry_class(record.kind, Some(failed), Some(failed.retryable()), None))
                }
                AttemptOutcome::Succeeded => None,
            });
            class = of_candidates
                .into_iter()
                .find(|one| *one != RetryClass::Permanent)
                .unwrap_or(class);
        }
        let may_be_own = || {
            fault::unclear(&record).is_some()
                || fault::of(&record).is_some_and(|fault| fault::may_be_of_one_order(fault.cause))
        };
        if class == RetryClass::Permanent && may_be_own() {
            class = RetryClass::Transient { at_least: retry_after };
        }
        let is_unsent = fault::is_unsent(&record);
        let may_wait = is_unsent || matches!(class, RetryClass::Transient { .. });
        if may_wait && record.ai.as_ref().is_some_and(was_not_sent) {
            // No request was sent. While a provider is away, orders must neither use up their
            // attempts nor retry in a tight loop.
            let rests = claimed.number.saturating_sub(claimed.attempts_used);
            let rest = self.backoff.wait(u32::try_from(rests).unwrap_or(u32::MAX), 1.0);
            class = RetryClass::Limited { after: retry_after.max(Some(rest)) };
        }
        if matches!(refused, Some(ErrorKind::ResourceBusy | ErrorKind::OutOfMemory)) {
            tracing::warn!(
                order = claimed.order,
                job = claimed.job,
                attempt = %claimed.attempt,
                trace_id = claimed.trace_id,
                "the machine is busy, so the order waits and uses no attempt: {}",
                record.message
            );
            class = RetryClass::Limited { after: Some(self.backoff.limited) };
        } else if record.kind == FailureKind::Host
            && let Some(error) = self.refuses_files(claimed, refused).await
        {
            tracing::error!(
                order = claimed.order,
                job = claimed.job,
                attempt = %claimed.attempt,
                trace_id = claimed.trace_id,
                %error,
                folder = %self.services.sites.path().display(),
                "the folder of sites cannot be written, so the order waits and uses no attempt: \
                 free disk space, or make it writable"
            );
            class =
                RetryClass::Limited { after: Some(self.backoff.limited.min(self.backoff.longest)) };
        }
        if stopped {
            return Resolution::Cancelled { failure: Some(NewFailure::from(&record)) };
        }
        let counts = !matches!(class, RetryClass::Limited { .. });
        let hold = self.holds.judge(claimed, &record, counts).await;
        if let Some(hold) = hold {
            let failure = (!is_unsent).then(|| NewFailure::from(&record));
            return Resolution::Hold { failure, hold: Box::new(hold) };
        }
        let failure = NewFailure::from(&record);
        let used = claimed.attempts_used;
        match self.backoff.resolution(class, failure, used, random(claimed)) {
            // As long as the breaker is open, many orders would record the same each time.
            Resolution::Snooze { after, .. } if is_unsent => {
                Resolution::AwaitBreaker { reason: message!("ai: {}", record.message), after }
            }
            other => other,
        }
    }

    /// Why the folder of sites accepts no files, if so. A full disk fails every order, which must
    /// not use up their attempts. There may be space again by now, so the attempt's own error
    /// counts first.
    async fn refuses_files(
        &self,
        claimed: &Claimed,
        refused: Option<ErrorKind>,
    ) -> Option<std::io::Error> {
        match refused {
            Some(
                kind @ (ErrorKind::StorageFull
                | ErrorKind::QuotaExceeded
                | ErrorKind::ReadOnlyFilesystem),
            ) => Some(kind.into()),
            _ => self.write_probe(claimed).await.err(),
        }
    }

    async fn write_probe(&self, claimed: &Claimed) -> std::io::Result<()> {
        // The name of an order's folder does not begin with a dot.
        let path = self.services.sites.path().join(format!(".probe-{}", claimed.attempt));
        let written = async {
            let mut options = tokio::fs::OpenOptions::new();
            let mut file =
                options.write(true).create(true).truncate(true).mode(0o600).open(&path).await?;
            file.write_all(&[b'x'; 64 * 1024]).await?;
            // Without this, the next call would return the error of the write.
            file.flush().await?;
            file.sync_all().await
        };
        let written = written.await;
        drop(tokio::fs::remove_file(&path).await);
        written
    }

    /// After a template failure the next attempt repeats the AI calls that the template blamed, and
    /// reuses all other replies.
    async fn ask_blamed_again(
        &self,
        claimed: &Claimed,
        record: &FailureRecord,
        journal: &RunJournal,
    ) {
        let blamed = journal.keys_of(&record.blamed_calls);
        let all = record.kind == FailureKind::OutputRejected;
        if blamed.is_empty() && !all {
            return;
        }
        let which =
            (!all).then(|| blamed.into_iter().map(|key| (key.request, key.occurrence)).collect());
        if let Err(error) = self.database.ask_again(&claimed.order, which).await {
            tracing::warn!(
                order = claimed.order,
                job = claimed.job,
                attempt = %claimed.attempt,
                trace_id = claimed.trace_id,
                %error,
                "the replies that the template blamed could not be discarded: the next attempt gets them again"
            );
        }
    }

    async fn retry_later(&self, claimed: &Claimed, failure: NewFailure) -> Resolution {
        let mut class = retry_class(FailureKind::Host, None, None, None);
        if let Some(error) = self.refuses_files(claimed, None).await {
            tracing::error!(
                order = claimed.order,
                attempt = %claimed.attempt,
                %error,
                "no file can be written, so the order waits and uses no attempt: {}",
                failure.message
            );
            class =
                RetryClass::Limited { after: Some(self.backoff.limited.min(self.backoff.longest)) };
        }
        self.backoff.resolution(class, failure, claimed.attempts_used, random(claimed))
    }
}

/// Whether the attempt ended because its handler was stopped.
fn is_stopped(record: &FailureRecord, stop: &Stop) -> bool {
    record.kind == FailureKind::Cancelled && stop.token().is_cancelled()
}

/// Whether no candidate of the route was sent a request.
fn was_not_sent(error: &AiError) -> bool {
    !error.attempts.is_empty() && error.attempts.iter().all(|attempt| attempt.not_sent)
}

/// The id in the document if it is not the order's. A document that cannot be read fails later.
fn other_order(claimed: &Claimed, document: &str) -> Option<String> {
    let document = serde_json::from_str(document).ok()?;
    sitewright_order::read_id(&document).ok().filter(|id| *id != claimed.order)
}

/// A number from 0 to 1, from the random bits of the attempt's id.
fn random(claimed: &Claimed) -> f64 {
    f64::from(u32::try_from(claimed.attempt.random() & u128::from(u32::MAX)).unwrap_or(0))
        / f64::from(u32::MAX)
}

/// A failure of the host after the run has ended.
fn host_failure(claimed: &Claimed, message: Message) -> NewFailure {
    without_run(claimed, FailureKind::Host, "release", message)
}

fn without_run(claimed: &Claimed, kind: FailureKind, stage: &str, message: Message) -> NewFailure {
    let mut record = FailureRecord::without_run(kind, message, claimed.into());
    stage.clone_into(&mut record.stage);
    NewFailure::from(&record)
}
