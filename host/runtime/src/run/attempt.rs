//! The boundary: everything between an order document and its one terminal outcome.
//!
//! Whatever happens inside - an error, a trap, a limit, a cancelled run, a panic of the host's own
//! - leaves through [`attempt`], and leaves as exactly one [`Outcome`] (catalogue A4, A5).

use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use sha2::{Digest as _, Sha256};
use sitewright_order::Locale;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::archive;
use super::classify::{Classified, classify};
use super::finish::{Finish, read_back, release_info};
use super::outcome::{AttemptId, Outcome, Released};
use super::report::{record, store, totals};
use super::{RunEnd, RunError, RunRequest, deadline_of, run};
use crate::host_functions::{ReplayCursor, RunProgress, RunTrace};
use crate::plugin::{Catalogue, CatalogueError, Limits, Template};
use sitewright_ai::{AiConfig, FileJournal, Gateway, RunJournal};
use sitewright_intake as order;
use sitewright_model::ai::{AiError, AiErrorKind};
use sitewright_model::failure::{FailureKind, Problem, TemplateRef};
use sitewright_model::message;
use sitewright_model::message::{Message, causes_of};
use sitewright_model::panic::panic_text;
use sitewright_site::{OrderDir, Release, SiteLimit, SitesRoot, Staging, SyncBatcher};

/// Fewest milliseconds that a replay may take.
const REPLAY_MS: u64 = 600_000;

/// What attempts share: made once at start, never changed while one runs (catalogue C1, E13).
#[derive(Clone)]
pub struct Services {
    /// Finds templates.
    pub catalogue: Catalogue,
    /// Answers AI calls.
    pub gateway: Arc<Gateway>,
    /// Where sites and failure records go.
    pub sites: SitesRoot,
    /// What a run may use.
    pub limits: Arc<Limits>,
    /// The language of orders that name none.
    pub default_locale: Locale,
    /// How many releases of an order stay.
    pub keep_releases: usize,
    /// Identifies the configuration.
    pub config_version: String,
}

/// One try of one order.
pub struct AttemptRequest {
    /// The order document as it came.
    pub document: Vec<u8>,
    /// A template's name, or a path to a `.wasm` file.
    pub template: String,
    /// Its id.
    pub id: AttemptId,
    /// The job in the queue, when there is one.
    pub job: Option<String>,
    /// What becomes of AI replies.
    pub journal: JournalUse,
    /// What becomes of a verified site.
    pub publication: Publication,
    /// Ends it early.
    pub cancel: CancellationToken,
    /// Is told of each stage.
    pub progress: watch::Sender<RunProgress>,
}

/// What an attempt does with AI replies.
#[derive(Debug, Clone, Default)]
pub enum JournalUse {
    /// Keeps none.
    Off,
    /// Keeps its own, in `<sites>/<order>/journal/<attempt>.jsonl`.
    #[default]
    Keep,
    /// Takes those of an earlier attempt at the order and keeps its own.
    Resume(AttemptId),
    /// This one, which the caller reads and keeps.
    Of(Arc<RunJournal>),
    /// Takes everything from a recording and keeps nothing.
    Replay(Replaying),
}

/// A run that is made again.
#[derive(Debug, Clone)]
pub struct Replaying {
    /// Answers its AI calls.
    pub journal: Arc<RunJournal>,
    /// Compares its calls, and says when each AI call ends.
    pub follow: Arc<ReplayCursor>,
}

/// What an attempt does with a verified site.
#[derive(Debug, Clone, Default)]
pub enum Publication {
    /// Makes it the order's current release.
    #[default]
    Publish,
    /// Makes it a release that nobody sees: the caller decides whether it counts
    /// ([`site::activate`](sitewright_site::activate)).
    Place(SyncBatcher),
}

/// Everything known of an attempt so far, filled in as it goes, so that whoever writes the record
/// finds it however the attempt ended.
pub(super) struct Known {
    pub(super) stage: &'static str,
    pub(super) order: String,
    pub(super) template: TemplateRef,
    pub(super) loaded: Option<Arc<Template>>,
    pub(super) order_bytes: u64,
    /// The limit on compiling that the template hit, and its value.
    pub(super) compile_limit: Option<(&'static str, u64)>,
    pub(super) end: Option<RunEnd>,
    /// SHA-256 of the document as it came.
    pub(super) document: String,
    pub(super) journal: Option<Arc<RunJournal>>,
    pub(super) staging: Option<Staging>,
}

/// Why an attempt has no release.
pub(super) struct Ended {
    pub(super) classified: Classified,
    pub(super) problems: Vec<Problem>,
}

impl Ended {
    pub(super) fn new(kind: FailureKind, message: Message, causes: Vec<Message>) -> Self {
        Ended {
            classified: Classified { causes, ..Classified::new(kind, message) },
            problems: Vec::new(),
        }
    }

    /// See [`Classified::refused`].
    pub(super) fn refused(message: Message, error: &(dyn std::error::Error + 'static)) -> Self {
        Ended { classified: Classified::refused(message, error), problems: Vec::new() }
    }
}

/// Makes one attempt: reads the order, loads the template, runs it, checks the site and releases
/// it.
///
/// Dropping the future cancels the attempt without a record; cancel the token to have one.
pub fn attempt(host: &Services, request: AttemptRequest) -> impl Future<Output = Outcome> + Send {
    // Every line that is logged meanwhile, whoever logs it, says for which order (catalogue B8).
    let span = tracing::info_span!(
        "attempt",
        order = tracing::field::Empty,
        job = request.job,
        attempt = %request.id,
        trace_id = request.id.trace_id(),
    );
    let request = Box::new(request);
    async move { attempt_within(host, request, &span).instrument(span.clone()).await }
}

// Thousands of these wait for AI at the same time. What comes before and after the run is boxed,
// and so is what is handed on: a future keeps the room that any part of it needs for as long as it
// lives.
async fn attempt_within(
    host: &Services,
    mut request: Box<AttemptRequest>,
    span: &tracing::Span,
) -> Outcome {
    let document = std::mem::take(&mut request.document);
    let log = RunTrace::new(&host.limits, request.progress.clone());
    let log = Arc::new(match &request.journal {
        JournalUse::Replay(replaying) => log.following(replaying.follow.clone()),
        _ => log,
    });
    let mut known = Box::new(Known {
        stage: "order",
        order: "unknown".to_owned(),
        template: TemplateRef {
            name: request.template.clone(),
            version: String::new(),
            digest: String::new(),
        },
        loaded: None,
        order_bytes: document.len() as u64,
        compile_limit: None,
        end: None,
        document: match &request.journal {
            JournalUse::Off => String::new(),
            _ => hex::encode(Sha256::digest(&document)),
        },
        journal: None,
        staging: None,
    });
    let tried = try_attempt(host, &request, document, &log, &mut known, span);
    let tried = AssertUnwindSafe(tried).catch_unwind().await;
    let rest: BoxFuture<'_, Outcome> = match tried {
        Ok(Ok(release)) => Box::pin(released(host, &request, &log, known, release)),
        Ok(Err(ended)) => Box::pin(failed(host, &request, &log, known, ended)),
        Err(panic) => {
            let why = panic_text(panic.as_ref());
            let message = message!("the host panicked, which is a bug in Sitewright: {why}");
            let ended = Ended::new(FailureKind::Host, message, Vec::new());
            Box::pin(failed(host, &request, &log, known, Box::new(ended)))
        }
    };
    rest.await
}

async fn released(
    host: &Services,
    request: &AttemptRequest,
    log: &RunTrace,
    known: Box<Known>,
    release: Box<Release>,
) -> Outcome {
    let totals = totals(host, request, log, &known);
    tracing::info!(
        template = known.template.name,
        release = %release.manifest.id,
        duration_ms = totals.duration_ms,
        "released"
    );
    let recording = archive::recording(host, request, log, &known);
    if let Some(recording) = &recording {
        archive::released(host, request, log, &known, &release, recording).await;
    }
    Outcome::Released(Box::new(Released {
        release: *release,
        recording,
        template: known.template,
        order: known.order,
        diagnostics: log.diagnostics().0,
        totals,
    }))
}

async fn failed(
    host: &Services,
    request: &AttemptRequest,
    log: &RunTrace,
    mut known: Box<Known>,
    ended: Box<Ended>,
) -> Outcome {
    let totals = totals(host, request, log, &known);
    let refused = ended.classified.refused;
    let record = record(host, request, log, &mut known, &totals, *ended).await;
    if let Some(staging) = known.staging.take() {
        staging.abandon();
    }
    let stored = store(host, &record).await;
    sitewright_failure::emit(&record);
    Outcome::Failed { record: Box::new(record), stored, refused, totals }
}

async fn try_attempt(
    host: &Services,
    request: &AttemptRequest,
    document: Vec<u8>,
    log: &Arc<RunTrace>,
    known: &mut Known,
    span: &tracing::Span,
) -> Result<Box<Release>, Box<Ended>> {
    let deadline = match log.follow() {
        None => deadline_of(&host.limits),
        // A replay waits for nobody, but may compute on a slower machine.
        Some(_) => deadline_of(&Limits {
            deadline_ms: host.limits.deadline_ms.max(REPLAY_MS),
            ..Limits::default()
        }),
    };
    let ready = Box::pin(ready(host, request, document, log, known, span, deadline)).await?;
    let ran = run(RunRequest {
        template: ready.template.clone(),
        document: ready.document.clone(),
        limits: host.limits.clone(),
        determinism: request.id.determinism(),
        gateway: host.gateway.clone(),
        journal: known.journal.clone(),
        staging: ready.staging.clone(),
        log: log.clone(),
        deadline,
        cancel: request.cancel.clone(),
    })
    .await;
    Box::pin(after(host, request, log, known, ready, ran)).await
}

/// What a run needs of its attempt, and what is made of it afterwards.
struct Ready {
    /// The normalised order. All else that is known of it can be read from it again, and thousands
    /// wait.
    document: Arc<str>,
    locale: Locale,
    template: Arc<Template>,
    staging: Staging,
}

fn enter_stage(known: &mut Known, log: &RunTrace, stage: &'static str) {
    known.stage = stage;
    log.set_progress(RunProgress { stage: stage.to_owned(), done: 0, total: 0 });
}

/// What comes before the run.
async fn ready(
    host: &Services,
    request: &AttemptRequest,
    document: Vec<u8>,
    log: &RunTrace,
    known: &mut Known,
    span: &tracing::Span,
    deadline: Instant,
) -> Result<Box<Ready>, Box<Ended>> {
    enter_stage(known, log, "order");
    let loaded = order::load(&document, host.limits.order_max_bytes(), &host.default_locale);
    let id = match &loaded {
        Ok(snapshot) => Some(snapshot.id()),
        Err(error) => error.id(),
    };
    if let Some(id) = id {
        known.order = id.to_string();
        span.record("order", known.order.as_str());
    }
    if matches!(request.journal, JournalUse::Keep | JournalUse::Resume(_)) {
        archive::document(host, &known.order, &known.document, &document).await;
    }
    let snapshot = loaded.map_err(|error| {
        let problems = error
            .problems()
            .map(|problem| at_pointer(&problem.pointer, &problem.message))
            .collect();
        let message = message!("the order is not valid: {error}");
        Box::new(Ended {
            problems,
            ..Ended::new(FailureKind::InvalidOrder, message, causes_of(&error))
        })
    })?;

    enter_stage(known, log, "template");
    let patience = Patience { cancel: &request.cancel, deadline, host, log };
    let loaded = patience.wait_for(Box::pin(host.catalogue.load(&request.template))).await?;
    let template = match loaded {
        Ok(template) => template,
        Err(error) => {
            if let CatalogueError::Unusable(unusable) = &error {
                // Which file it was is the first question when a template that worked does not load
                // (catalogue G1).
                known.template.digest = unusable.digest().await.unwrap_or_default();
                known.compile_limit = unusable.limit();
            }
            return Err(Box::new(Ended::new(
                FailureKind::TemplateLoad,
                message!("the template cannot be run: {error}"),
                causes_of(&error),
            )));
        }
    };
    known.template = template.reference();
    known.loaded = Some(template.clone());
    routes_serve(host, &template)?;
    let value = read_back(snapshot.document())?;
    // The schema is the template's, and one that is written to that end takes for ever: that one
    // not on the runtime's threads.
    let schema = template.manifest.order_schema.clone();
    let problems = if schema.is_quick(snapshot.document().len()) {
        schema.check(&value)
    } else {
        let checked = tokio::task::spawn_blocking(move || schema.check(&value));
        patience.wait_for(checked).await?.map_err(|error| {
            Ended::new(
                FailureKind::Host,
                message!("checking the order did not end: {error}"),
                Vec::new(),
            )
        })?
    };
    if !problems.is_empty() {
        let problems: Vec<Problem> =
            problems.iter().map(|problem| at_pointer(&problem.pointer, &problem.message)).collect();
        let message = message!(
            "the template `{}` does not accept this order: {} at {:?}{}",
            template.manifest.name,
            problems[0].message,
            problems[0].at,
            more(problems.len() - 1)
        );
        return Err(Box::new(Ended {
            problems,
            ..Ended::new(FailureKind::InvalidOrder, message, Vec::new())
        }));
    }

    enter_stage(known, log, "run");
    let staging = Staging::new(
        &host.sites,
        order_dir(&known.order)?,
        order_dir(&request.id.to_string())?,
        host.limits.site(),
    );
    known.staging = Some(staging.clone());
    known.journal = journal(host, request, &known.order).await?;
    let (document, locale) = (snapshot.document().clone(), snapshot.order().locale.clone());
    Ok(Box::new(Ready { document, locale, template, staging }))
}

/// What comes after the run.
async fn after(
    host: &Services,
    request: &AttemptRequest,
    log: &Arc<RunTrace>,
    known: &mut Known,
    ready: Box<Ready>,
    (result, end): (Result<(), RunError>, RunEnd),
) -> Result<Box<Release>, Box<Ended>> {
    let Ready { document, locale, template, staging } = *ready;
    let stderr = end.stderr.0.clone();
    known.end = Some(end);
    if let Err(error) = result {
        return Err(Box::new(Ended {
            classified: classify(error, log, &stderr, &host.limits),
            problems: Vec::new(),
        }));
    }
    if let Some(limit) = log.output_limit().filter(|refused| refused.limit != SiteLimit::PathBytes)
    {
        // A path that is too long can be written again under a shorter name; more files or bytes
        // cannot. The template went on although a file was refused: what it left is not the site it
        // meant (catalogue A7).
        let message = message!(
            "a file was refused and the template ended as if it had not been: {}",
            limit.message
        );
        return Err(Box::new(Ended::new(FailureKind::OutputLimit, message, Vec::new())));
    }

    let used = totals(host, request, log, known);
    let finish = Finish {
        info: release_info(request, log, &used, &locale, &template),
        staging,
        document,
        locale,
        template,
        publication: request.publication.clone(),
        keep_releases: host.keep_releases,
    };
    let told = log.clone();
    let entered = move |stage: &'static str| {
        told.set_progress(RunProgress { stage: stage.to_owned(), done: 0, total: 0 });
    };
    finish.finished(entered).await.map(Box::new).map_err(|(stage, ended)| {
        known.stage = stage;
        ended
    })
}

/// Whether every purpose that the template declares has a route: found out before anything is paid
/// for, not in the middle of the run (catalogue E3).
fn routes_serve(host: &Services, template: &Template) -> Result<(), Box<Ended>> {
    let manifest = &template.manifest;
    let purposes = manifest.ai_purposes.iter().map(|purpose| purpose.name.as_str());
    let missing = host.gateway.purposes_without_route(purposes);
    let Some(first) = missing.first() else { return Ok(()) };
    let names = missing.join("`, `");
    let keys: Vec<String> =
        missing.iter().map(|purpose| format!("[ai.routes.{purpose}]")).collect();
    let message = message!(
        "the template `{}` asks models for `{names}`, which no route serves; add {}, or \
         [ai.routes.{}] for whatever has no route of its own, to the configuration",
        manifest.name,
        keys.join(" and "),
        AiConfig::DEFAULT_ROUTE
    );
    let ai = AiError::before_any_attempt(None, first, AiErrorKind::NoRoute, message.clone());
    let classified = Classified { ai: Some(ai), ..Classified::new(FailureKind::Ai, message) };
    Err(Box::new(Ended { classified, problems: Vec::new() }))
}

/// Where the AI replies of an attempt are kept: `<sites>/<order>/journal/<attempt>.jsonl`.
pub fn journal_file(sites: &Path, order: &str, attempt: AttemptId) -> PathBuf {
    sites.join(order).join("journal").join(format!("{attempt}.jsonl"))
}

/// The journal of this attempt. A journal that cannot be read would be paid for again, so that is
/// an error.
async fn journal(
    host: &Services,
    request: &AttemptRequest,
    order: &str,
) -> Result<Option<Arc<RunJournal>>, Box<Ended>> {
    let file = |attempt: AttemptId| journal_file(host.sites.path(), order, attempt);
    let earlier = match &request.journal {
        JournalUse::Off => return Ok(None),
        JournalUse::Of(journal) | JournalUse::Replay(Replaying { journal, .. }) => {
            return Ok(Some(journal.clone()));
        }
        JournalUse::Keep => None,
        JournalUse::Resume(attempt) => Some(file(*attempt)),
    };
    let own = file(request.id);
    let (sites, folder) = (host.sites.clone(), order_dir(order)?);
    let open = move || {
        // Not through a link that somebody put in the folder's place.
        sites
            .ensure_order(&folder)
            .map_err(|error| message!("the journal could not be opened: {error}"))?;
        FileJournal::open(own, earlier.as_deref())
    };
    let opened = tokio::task::spawn_blocking(open).await;
    match opened {
        Ok(Ok(journal)) => Ok(Some(Arc::new(RunJournal::new(Arc::new(journal))))),
        Ok(Err(message)) => Err(Box::new(Ended::new(FailureKind::Host, message, Vec::new()))),
        Err(error) => Err(Box::new(Ended::new(
            FailureKind::Host,
            message!("the journal could not be opened: {error}"),
            Vec::new(),
        ))),
    }
}

/// How long an attempt waits while there is no guest yet.
struct Patience<'a> {
    cancel: &'a CancellationToken,
    deadline: Instant,
    host: &'a Services,
    log: &'a RunTrace,
}

impl Patience<'_> {
    /// What `work` gives, unless the attempt is cancelled or its deadline passes first.
    async fn wait_for<T>(&self, work: impl Future<Output = T>) -> Result<T, Box<Ended>> {
        let stopped = tokio::select! {
            biased;
            () = self.cancel.cancelled() => RunError::Cancelled,
            () = tokio::time::sleep_until(self.deadline) => RunError::Deadline,
            done = work => return Ok(done),
        };
        Err(Box::new(Ended {
            classified: classify(stopped, self.log, "", &self.host.limits),
            problems: Vec::new(),
        }))
    }
}

fn at_pointer(pointer: &str, message: &str) -> Problem {
    Problem { at: pointer.to_owned(), rule: None, message: message.to_owned() }
}

fn more(others: usize) -> String {
    if others == 0 { String::new() } else { format!(" (and {others} more)") }
}

fn order_dir(name: &str) -> Result<OrderDir, Box<Ended>> {
    OrderDir::new(name).map_err(|error| {
        Box::new(Ended::new(
            FailureKind::InvalidOrder,
            message!("the order's id cannot name a folder: {error}"),
            Vec::new(),
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size<A, B, F: Future>(_: fn(A, B) -> F) -> usize {
        size_of::<F>()
    }

    /// A value that lives across two awaits, or an argument that is handed on, is room in each of
    /// the thousands of attempts that wait.
    #[test]
    fn an_attempt_that_waits_is_small() {
        let attempt = size(|host: &'static Services, request| attempt(host, request));
        assert!(attempt <= 896, "{attempt} bytes; box what is not needed while the template waits");
    }
}
