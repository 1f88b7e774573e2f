//! One attempt of a taken order: from its document to a settlement.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::watch;

use super::activate;
use super::journal::OrderJournal;
use super::progress::Progress;
use sitewright_ai::{Journal, RunJournal};
use sitewright_jobs::{
    Backoff, Claimed, Database, Handler, NewFailure, Resolution, RetryClass, Settled, Stop,
    StopReason, class as retry_class,
};
use sitewright_model::ai::{AiError, AttemptOutcome};
use sitewright_model::failure::{FailureKind, FailureRecord};
use sitewright_model::message;
use sitewright_model::message::Message;
use sitewright_runtime::host_functions::RunProgress;
use sitewright_runtime::run::{
    AttemptId, AttemptRequest, JournalUse, Outcome, Publication, Services, attempt,
};
use sitewright_site::{SiteStore, SyncBatcher};

/// Makes the attempts of a worker. One for its whole life.
pub struct Orders {
    /// What attempts share.
    pub host: Services,
    /// Where orders are.
    pub database: Database,
    /// Where releases go.
    pub store: SiteStore,
    /// Places releases together with those of other orders.
    pub batcher: SyncBatcher,
    /// How long to wait between attempts.
    pub backoff: Backoff,
    /// How long a worker may be silent before others take its orders.
    pub silent_after: Duration,
    /// Takes the stages.
    pub progress: Progress,
}

#[async_trait]
impl Handler for Orders {
    async fn handle(&self, taken: &Claimed, document: String, stop: &Stop) -> Resolution {
        if let Some(named) = other_order(taken, &document) {
            let message = message!(
                "the order is {:?}, but its document is that of order {named:?}: a site must not \
                 end up in the folder of another order; put it in line under the id in its \
                 document",
                taken.order
            );
            return Resolution::Failed {
                failure: without_run(taken, FailureKind::InvalidOrder, "order", message),
            };
        }
        if taken.config_version.as_ref().is_some_and(|begun| *begun != self.host.config_version) {
            tracing::info!(
                order = taken.order,
                job = taken.job,
                attempt = %taken.attempt,
                trace_id = taken.trace_id,
                begun = taken.config_version,
                now = self.host.config_version,
                "the order began with another configuration"
            );
        }
        let kept: Arc<dyn Journal> =
            Arc::new(OrderJournal::new(self.database.clone(), taken, self.silent_after));
        let journal = Arc::new(RunJournal::new(kept));
        let (progress, watcher) = watch::channel(RunProgress::default());
        let request = AttemptRequest {
            document: document.into_bytes(),
            template: taken.template.clone(),
            id: AttemptId::from(taken.attempt),
            job: Some(taken.job.to_string()),
            journal: JournalUse::Of(journal.clone()),
            publication: Publication::Place(self.batcher.clone()),
            cancel: stop.token().clone(),
            progress,
        };
        // Boxed: what an attempt needs while it waits is large, and thousands wait.
        let made = Box::pin(attempt(&self.host, request));
        let outcome = tokio::select! {
            outcome = made => outcome,
            // Ends only when the attempt's sender does; then the attempt has ended too.
            () = async { self.progress.follow(taken, watcher).await; std::future::pending().await } => unreachable!("it waits for ever"),
        };
        match outcome {
            Outcome::Released(released) => {
                let release = &released.release;
                if let Err(message) = Box::pin(self.store.put(release)).await {
                    let message = message!("the site was made, but could not be stored: {message}");
                    return self.retry_later(taken, host_failure(taken, message));
                }
                Resolution::Succeeded { release: release.manifest.id.to_string() }
            }
            Outcome::Failed { record, stored, refused, .. } => {
                if let Err(message) = stored {
                    tracing::error!(
                        order = taken.order,
                        job = taken.job,
                        attempt = %taken.attempt,
                        trace_id = taken.trace_id,
                        "{message}"
                    );
                }
                Box::pin(self.failed(taken, stop, *record, refused, &journal)).await
            }
        }
    }

    async fn settled(&self, taken: &Claimed, settlement: &Resolution, settled: &Settled) {
        let Resolution::Succeeded { release } = settlement else { return };
        let done = match settled {
            Settled::Done { .. } => {
                let keep = self.host.keep_releases;
                activate::show(&self.database, &self.store, keep, &taken.order, release).await
            }
            Settled::LeaseLost => activate::discard(&self.store, &taken.order, release).await,
        };
        if let Err(message) = done {
            tracing::error!(order = taken.order, attempt = %taken.attempt, release, "{message}; it is tried again");
        }
    }
}

impl Orders {
    async fn failed(
        &self,
        taken: &Claimed,
        stop: &Stop,
        record: FailureRecord,
        refused: Option<ErrorKind>,
        journal: &RunJournal,
    ) -> Resolution {
        let stopped = record.kind == FailureKind::Cancelled && stop.token().is_cancelled();
        if stopped && stop.reason() == StopReason::WorkerLeaves {
            return Resolution::ReturnToQueue;
        }
        self.ask_blamed_again(taken, &record, journal).await;
        let (ai_kind, retryable, retry_after) = match &record.ai {
            Some(ai) => {
                let after = ai.retry_after_ms.map(|ms| Duration::from_millis(u64::from(ms.get())));
                (Some(ai.kind.as_str()), Some(ai.retryable), after)
            }
            None => (None, None, None),
        };
        let kind = record.kind.as_str();
        let mut class = retry_class(kind, ai_kind, retryable, retry_after);
        if class == RetryClass::Permanent
            && let Some(ai) = record.ai.as_ref().filter(|ai| ai.retryable)
        {
            // The last candidate of the route can do nothing for it, but another one may later.
            let of_candidates = ai.attempts.iter().filter_map(|attempt| match attempt.outcome {
                AttemptOutcome::Failed(failed) => {
                    Some(retry_class(kind, Some(failed.as_str()), Some(failed.retryable()), None))
                }
                AttemptOutcome::Succeeded => None,
            });
            class = of_candidates
                .into_iter()
                .find(|one| *one != RetryClass::Permanent)
                .unwrap_or(class);
        }
        if matches!(class, RetryClass::Transient { .. })
            && record.ai.as_ref().is_some_and(was_not_sent)
        {
            // It has tried nothing. While a provider is away, orders must not use up on that what
            // they may try, nor come back all the time.
            let rests = taken.number.saturating_sub(taken.attempts_used);
            let rest = self.backoff.wait(u32::try_from(rests).unwrap_or(u32::MAX), 1.0);
            class = RetryClass::Limited { after: retry_after.max(Some(rest)) };
        }
        if record.kind == FailureKind::Host
            && let Some(error) = self.refuses_files(taken, refused).await
        {
            tracing::error!(
                order = taken.order,
                job = taken.job,
                attempt = %taken.attempt,
                trace_id = taken.trace_id,
                %error,
                folder = %self.host.sites.path().display(),
                "the folder of sites takes no files, so the order waits and uses no attempt: make room, or make it writable"
            );
            class =
                RetryClass::Limited { after: Some(self.backoff.limited.min(self.backoff.longest)) };
        }
        let failure = NewFailure::from(&record);
        if stopped {
            return Resolution::Cancelled { failure: Some(failure) };
        }
        self.backoff.settlement(class, failure, taken.attempts_used, random(taken))
    }

    /// Why the folder of sites takes no files, if so. A full disk fails every order that comes:
    /// that is no fault of theirs, and must not use up what they may try. There may be room
    /// again by now, so what the attempt itself was told counts first.
    async fn refuses_files(
        &self,
        taken: &Claimed,
        refused: Option<ErrorKind>,
    ) -> Option<std::io::Error> {
        match refused {
            Some(
                kind @ (ErrorKind::StorageFull
                | ErrorKind::QuotaExceeded
                | ErrorKind::ReadOnlyFilesystem),
            ) => Some(kind.into()),
            _ => self.write_probe(taken).await.err(),
        }
    }

    async fn write_probe(&self, taken: &Claimed) -> std::io::Result<()> {
        // No order's folder begins with a dot.
        let path = self.host.sites.path().join(format!(".probe-{}", taken.attempt));
        let written = async {
            let mut file = tokio::fs::File::create(&path).await?;
            file.write_all(&[b'x'; 64 * 1024]).await?;
            // Until then the write is under way, and what comes of it is told to the next one.
            file.flush().await?;
            file.sync_all().await
        };
        let written = written.await;
        drop(tokio::fs::remove_file(&path).await);
        written
    }

    /// After a template failure the replies that it blamed are asked again by the next attempt; all
    /// others are kept.
    async fn ask_blamed_again(
        &self,
        taken: &Claimed,
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
        if let Err(error) = self.database.ask_again(&taken.order, which).await {
            tracing::warn!(
                order = taken.order,
                job = taken.job,
                attempt = %taken.attempt,
                trace_id = taken.trace_id,
                %error,
                "the replies that the template blamed could not be put aside: the next attempt gets them again"
            );
        }
    }

    fn retry_later(&self, taken: &Claimed, failure: NewFailure) -> Resolution {
        let class = retry_class(&failure.kind, None, None, None);
        self.backoff.settlement(class, failure, taken.attempts_used, random(taken))
    }
}

/// Whether every candidate of the route was left alone, so that the call reached nobody.
fn was_not_sent(error: &AiError) -> bool {
    !error.attempts.is_empty() && error.attempts.iter().all(|attempt| attempt.not_sent)
}

/// The id in the document when it is not the order's. A document that cannot be read tells so
/// itself.
fn other_order(taken: &Claimed, document: &str) -> Option<String> {
    let document = serde_json::from_str(document).ok()?;
    sitewright_order::read_id(&document).ok().filter(|id| *id != taken.order)
}

/// Anything between 0 and 1, the same for the same attempt: the last bits of its id are random.
fn random(taken: &Claimed) -> f64 {
    f64::from(u32::try_from(taken.attempt.random() & u128::from(u32::MAX)).unwrap_or(0))
        / f64::from(u32::MAX)
}

/// A failure after the attempt, where there is no record yet.
fn host_failure(taken: &Claimed, message: Message) -> NewFailure {
    without_run(taken, FailureKind::Host, "release", message)
}

fn without_run(taken: &Claimed, kind: FailureKind, stage: &str, message: Message) -> NewFailure {
    let mut record = FailureRecord::without_run(kind, message, taken.into());
    stage.clone_into(&mut record.stage);
    NewFailure::from(&record)
}
