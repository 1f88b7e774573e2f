//! The boundary: everything between an order document and its one terminal outcome.
//!
//! Whatever happens inside - an error, a trap, a limit, a cancelled run, a panic of the host's own - leaves through [`attempt`], and
//! leaves as exactly one [`Outcome`] (catalogue A4, A5).

use std::collections::BTreeMap;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use sitewright_order::Locale;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use ulid::Ulid;

use super::classify::{Classified, classify};
use super::{RunEnd, RunRequest, deadline_of, run};
use crate::ai::{FileJournal, Gateway, RunJournal};
use crate::build::BUILD;
use crate::failure::{FailureKind, FailureRecord, Problem, RECORD_VERSION, TemplateRef, TrapRecord, millis};
use crate::interface::{AiCall, RunLog, RunProgress};
use crate::message;
use crate::message::{Message, causes_of};
use crate::order::{self, OrderSnapshot};
use crate::plugin::{Catalogue, Determinism, Limits, Measure, Template};
use crate::site::{
    OrderDir, ReleaseInfo, ReleaseTemplate, SiteLimits, SitesRoot, StagedSite, Staging, VerifyError,
    VerifyOptions, publish_async,
};

/// What attempts share: made once at start, never changed while one runs (catalogue C1, E13).
#[derive(Clone)]
pub struct Host {
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

/// The id of an attempt, unique for all orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct AttemptId(Ulid);

impl AttemptId {
    /// A new one.
    #[allow(clippy::new_without_default, reason = "each is different")]
    pub fn new() -> Self {
        AttemptId(Ulid::generate())
    }

    /// Seeds the guest's randomness and clock: the same attempt, replayed, sees the same.
    fn determinism(self) -> Determinism {
        let digest = Sha256::digest(self.0.to_bytes());
        let mut seed = [0; 8];
        seed.copy_from_slice(&digest[..8]);
        Determinism { seed: u64::from_le_bytes(seed), start_unix_ms: self.0.timestamp_ms() }
    }

    /// The trace id of this attempt: 32 hexadecimal digits.
    fn trace_id(self) -> String {
        crate::plugin::hex(&self.0.to_bytes())
    }
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
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
    /// Ends it early.
    pub cancel: CancellationToken,
    /// Is told of each stage.
    pub progress: watch::Sender<RunProgress>,
}

/// What an attempt does with AI replies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum JournalUse {
    /// Keeps none.
    Off,
    /// Keeps its own, in `<sites>/<order>/journal/<attempt>.jsonl`.
    #[default]
    Keep,
    /// Takes those of an earlier attempt at the order and keeps its own.
    Resume(AttemptId),
}

/// How an attempt ended. There is no third way.
pub enum Outcome {
    /// A site was made, passed its checks and is now the order's current release.
    Released(Box<Released>),
    /// It was not, and this is why.
    Failed {
        /// The record.
        record: Box<FailureRecord>,
        /// Where it is stored, or why it could not be.
        stored: Result<PathBuf, Message>,
        /// What was used until then.
        totals: Totals,
    },
}

/// A released site.
pub struct Released {
    /// The release.
    pub release: crate::site::Release,
    /// The template that made it.
    pub template: TemplateRef,
    /// The order's id.
    pub order: String,
    /// What the template reported.
    pub diagnostics: Vec<crate::failure::Diagnostic>,
    /// What was used.
    pub totals: Totals,
}

/// What an attempt used.
#[derive(Debug, Clone, Serialize)]
pub struct Totals {
    /// The attempt.
    pub attempt: AttemptId,
    /// From begin to end, in milliseconds.
    pub duration_ms: u64,
    /// Each limit beside what was used of it.
    pub limits: BTreeMap<String, Measure>,
    /// Answered AI calls.
    pub ai_calls: Vec<AiCall>,
}

impl Totals {
    /// Tokens in and out over all answered calls, as far as providers told.
    pub fn tokens(&self) -> (u64, u64) {
        self.ai_calls.iter().fold((0, 0), |(input, output), call| {
            (input + call.usage.input_tokens.unwrap_or(0), output + call.usage.output_tokens.unwrap_or(0))
        })
    }
}

/// Everything known of an attempt so far, filled in as it goes, so that whoever writes the record finds it however the attempt
/// ended.
struct Known {
    stage: &'static str,
    order: String,
    template: TemplateRef,
    loaded: Option<Arc<Template>>,
    order_bytes: u64,
    end: Option<RunEnd>,
    staging: Option<Staging>,
}

/// Why an attempt has no release.
struct Ended {
    classified: Classified,
    problems: Vec<Problem>,
}

impl Ended {
    fn new(kind: FailureKind, message: Message, causes: Vec<Message>) -> Self {
        Ended { classified: Classified { causes, ..Classified::new(kind, message) }, problems: Vec::new() }
    }
}

/// Makes one attempt: reads the order, loads the template, runs it, checks the site and releases it.
///
/// Dropping the future cancels the attempt without a record; cancel the token to have one.
pub async fn attempt(host: &Host, request: AttemptRequest) -> Outcome {
    let log = Arc::new(RunLog::new(&host.limits, request.progress.clone()));
    let mut known = Known {
        stage: "order",
        order: "unknown".to_owned(),
        template: TemplateRef {
            name: request.template.clone(),
            version: String::new(),
            digest: String::new(),
        },
        loaded: None,
        order_bytes: request.document.len() as u64,
        end: None,
        staging: None,
    };
    let ended = match AssertUnwindSafe(try_attempt(host, &request, &log, &mut known)).catch_unwind().await {
        Ok(Ok(release)) => {
            let totals = totals(host, &request, &log, &known);
            tracing::info!(
                order = known.order,
                attempt = %request.id,
                trace_id = request.id.trace_id(),
                template = known.template.name,
                release = %release.manifest.id,
                duration_ms = totals.duration_ms,
                "released"
            );
            return Outcome::Released(Box::new(Released {
                release,
                template: known.template,
                order: known.order,
                diagnostics: log.diagnostics().0,
                totals,
            }));
        }
        Ok(Err(ended)) => *ended,
        Err(panic) => Ended::new(
            FailureKind::Host,
            message!("the host panicked, which is a bug in Sitewright: {}", panic_text(panic.as_ref())),
            Vec::new(),
        ),
    };
    let totals = totals(host, &request, &log, &known);
    let record = record(host, &request, &log, &known, &totals, ended).await;
    if let Some(staging) = known.staging.take() {
        staging.abandon();
    }
    let stored = store(host, &record).await;
    tracing::warn!(
        order = record.order,
        attempt = record.attempt,
        trace_id = record.trace_id,
        template = record.template.name,
        kind = record.kind.as_str(),
        failure = record.id,
        "{}",
        record.message
    );
    Outcome::Failed { record: Box::new(record), stored, totals }
}

async fn try_attempt(
    host: &Host,
    request: &AttemptRequest,
    log: &Arc<RunLog>,
    known: &mut Known,
) -> Result<crate::site::Release, Box<Ended>> {
    let deadline = deadline_of(&host.limits);
    let stage = |known: &mut Known, stage: &'static str| {
        known.stage = stage;
        log.set_progress(RunProgress { stage: stage.to_owned(), done: 0, total: 0 });
    };

    stage(known, "order");
    let snapshot = order::load(&request.document, order_limits(&host.limits), &host.default_locale).map_err(
        |error| {
            if let Some(id) = error.id() {
                known.order = id.to_string();
            }
            let problems =
                error.problems().map(|problem| at_pointer(&problem.pointer, &problem.message)).collect();
            Box::new(Ended {
                problems,
                ..Ended::new(
                    FailureKind::InvalidOrder,
                    message!("the order is not valid: {error}"),
                    causes_of(&error),
                )
            })
        },
    )?;
    known.order = snapshot.id().to_string();

    stage(known, "template");
    let template = host.catalogue.load(&request.template).await.map_err(|error| {
        Ended::new(
            FailureKind::TemplateLoad,
            message!("the template cannot be run: {error}"),
            causes_of(&error),
        )
    })?;
    known.template = template.reference();
    known.loaded = Some(template.clone());
    let value: serde_json::Value = serde_json::from_str(snapshot.document()).map_err(|error| {
        Ended::new(
            FailureKind::Host,
            message!("the normalised order cannot be read back: {error}"),
            Vec::new(),
        )
    })?;
    let problems = template.manifest.order_schema.check(&value);
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

    stage(known, "run");
    let staging = Staging::new(
        &host.sites,
        order_dir(&known.order)?,
        order_dir(&request.id.to_string())?,
        site_limits(&host.limits),
    );
    known.staging = Some(staging.clone());
    let journal = journal(host, request, &known.order).await?;
    let (result, end) = run(RunRequest {
        template: template.clone(),
        document: snapshot.document().clone(),
        limits: host.limits.clone(),
        determinism: request.id.determinism(),
        gateway: host.gateway.clone(),
        journal,
        staging: staging.clone(),
        log: log.clone(),
        deadline,
        cancel: request.cancel.clone(),
    })
    .await;
    let stderr = end.stderr.0.clone();
    known.end = Some(end);
    if let Err(error) = result {
        return Err(Box::new(Ended {
            classified: classify(error, log, &stderr, &host.limits),
            problems: Vec::new(),
        }));
    }
    if let Some(limit) = log.output_limit() {
        // The template went on although a file was refused: what it left is not the site it meant (catalogue A7).
        let message =
            message!("a file was refused and the template ended as if it had not been: {}", limit.message);
        return Err(Box::new(Ended::new(FailureKind::OutputLimit, message, Vec::new())));
    }

    stage(known, "checks");
    let staged = staging.seal_async().await.map_err(|error| {
        Ended::new(FailureKind::Host, message!("the site could not be read back: {error}"), causes_of(&error))
    })?;
    let verified = check(staged, &snapshot, &value, &template).await?;

    stage(known, "release");
    let release =
        publish_async(verified, release_info(request, log, &snapshot, &template), host.keep_releases).await;
    release.map_err(|error| {
        Box::new(Ended::new(
            FailureKind::Host,
            message!("the site could not be released: {error}"),
            causes_of(&error),
        ))
    })
}

/// The journal of this attempt. A journal that cannot be read would be paid for again, so that is an error.
async fn journal(
    host: &Host,
    request: &AttemptRequest,
    order: &str,
) -> Result<Option<Arc<RunJournal>>, Box<Ended>> {
    let folder = host.sites.path().join(order).join("journal");
    let file = |attempt: AttemptId| folder.join(format!("{attempt}.jsonl"));
    let earlier = match request.journal {
        JournalUse::Off => return Ok(None),
        JournalUse::Keep => None,
        JournalUse::Resume(attempt) => Some(file(attempt)),
    };
    let own = file(request.id);
    let opened = tokio::task::spawn_blocking(move || FileJournal::open(own, earlier.as_deref())).await;
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

async fn check(
    staged: StagedSite,
    snapshot: &OrderSnapshot,
    document: &serde_json::Value,
    template: &Template,
) -> Result<crate::site::VerifiedSite, Box<Ended>> {
    let wanted = &snapshot.order().locale;
    // A template that does not write the order's language decides itself which of its own it takes.
    let speaks = template.manifest.locales.iter().any(|locale| locale.language() == wanted.language());
    let languages = if speaks { vec![wanted.clone()] } else { template.manifest.locales.clone() };
    let mut literal_texts = Vec::new();
    texts(document, &mut literal_texts);
    staged.verify_async(VerifyOptions { languages, literal_texts }).await.map_err(|error| match error {
        VerifyError::Rejected(verdict) => {
            let message = message!("the site was rejected: {verdict}");
            let problems = verdict
                .problems
                .into_iter()
                .map(|problem| Problem {
                    at: match problem.line {
                        Some(line) => format!("{}:{line}", problem.file),
                        None => problem.file.to_string(),
                    },
                    rule: Some(problem.rule.to_string()),
                    message: match problem.excerpt {
                        Some(excerpt) => format!("{}: {excerpt}", problem.message),
                        None => problem.message.to_string(),
                    },
                })
                .collect();
            Box::new(Ended { problems, ..Ended::new(FailureKind::OutputRejected, message, Vec::new()) })
        }
        VerifyError::Storage(error) => Box::new(Ended::new(
            FailureKind::Host,
            message!("the site could not be read back: {error}"),
            causes_of(&error),
        )),
    })
}

/// All strings of a document: the customer's own words, which a site shows as they are.
fn texts(value: &serde_json::Value, found: &mut Vec<String>) {
    match value {
        serde_json::Value::String(text) => found.push(text.clone()),
        serde_json::Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        serde_json::Value::Object(fields) => fields.values().for_each(|field| texts(field, found)),
        _ => {}
    }
}

fn release_info(
    request: &AttemptRequest,
    log: &RunLog,
    snapshot: &OrderSnapshot,
    template: &Template,
) -> ReleaseInfo {
    let calls = log.ai_calls();
    ReleaseInfo {
        id: None,
        template: ReleaseTemplate {
            name: template.manifest.name.clone(),
            version: template.manifest.version.clone(),
            digest: template.digest(),
        },
        host_build: BUILD.to_owned(),
        ai: serde_json::json!({
            "calls": calls.len(),
            "input_tokens": calls.iter().filter_map(|call| call.usage.input_tokens).sum::<u64>(),
            "output_tokens": calls.iter().filter_map(|call| call.usage.output_tokens).sum::<u64>(),
            "by_call": calls,
        }),
        locale: Some(snapshot.order().locale.to_string()),
        created_at: OffsetDateTime::from_unix_timestamp(
            i64::try_from(request.id.determinism().start_unix_ms / 1_000).unwrap_or(0),
        )
        .unwrap_or(OffsetDateTime::UNIX_EPOCH),
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

fn order_limits(limits: &Limits) -> order::Limits {
    order::Limits { max_bytes: usize::try_from(limits.order_bytes).unwrap_or(usize::MAX) }
}

fn site_limits(limits: &Limits) -> SiteLimits {
    SiteLimits {
        files: limits.files,
        file_bytes: limits.file_bytes,
        total_bytes: limits.total_bytes,
        path_bytes: limits.path_bytes,
    }
}

fn totals(host: &Host, request: &AttemptRequest, log: &RunLog, known: &Known) -> Totals {
    let limits = &host.limits;
    let (cpu, memory, stderr) = known
        .end
        .as_ref()
        .map_or((Duration::ZERO, 0, 0), |end| (end.cpu, end.memory_peak, end.stderr.1.max(end.stdout.1)));
    let mut measures = BTreeMap::new();
    let mut measure =
        |name: &str, max: u64, used: u64| measures.insert(name.to_owned(), Measure { max, used });
    measure("order_bytes", limits.order_bytes, known.order_bytes);
    measure("memory_bytes", limits.memory_bytes, memory);
    measure("cpu_ms", limits.cpu_ms, millis(cpu));
    measure("deadline_ms", limits.deadline_ms, log.now_ms());
    measure("ai_calls", limits.ai_calls, log.ai_call_count());
    measure("log_bytes", limits.log_bytes, log.log_tail().1);
    measure("stderr_bytes", limits.stderr_bytes, stderr);
    measure("diagnostics", limits.diagnostics, log.diagnostics().1);
    match &known.staging {
        Some(staging) => {
            for (limit, used) in staging.usage().entries() {
                measure(limit.name(), used.max, used.used);
            }
        }
        None => {
            for (name, max) in [
                ("files", limits.files),
                ("file_bytes", limits.file_bytes),
                ("total_bytes", limits.total_bytes),
                ("path_bytes", limits.path_bytes),
            ] {
                measure(name, max, 0);
            }
        }
    }
    Totals { attempt: request.id, duration_ms: log.now_ms(), limits: measures, ai_calls: log.ai_calls() }
}

async fn record(
    host: &Host,
    request: &AttemptRequest,
    log: &RunLog,
    known: &Known,
    totals: &Totals,
    ended: Ended,
) -> FailureRecord {
    let Ended { classified, problems } = ended;
    let trap = match (classified.trap, &known.loaded) {
        (Some(stopped), Some(template)) => {
            let (frames, symbols_missing) = template.symbolize(stopped.frames).await;
            Some(TrapRecord { code: stopped.code, message: stopped.message, frames, symbols_missing })
        }
        _ => None,
    };
    let progress = log.progress();
    let running = known.stage == "run";
    FailureRecord {
        version: RECORD_VERSION,
        id: Ulid::generate().to_string(),
        time: OffsetDateTime::now_utc()
            .format(&Rfc3339)
            .unwrap_or_else(|_| "1970-01-01T00:00:00Z".to_owned()),
        order: known.order.clone(),
        job: request.job.clone(),
        attempt: request.id.to_string(),
        trace_id: request.id.trace_id(),
        template: known.template.clone(),
        host_build: BUILD.to_owned(),
        config_version: host.config_version.clone(),
        kind: classified.kind,
        message: classified.message,
        causes: classified.causes,
        advice: Message::or(classified.kind.advice(), message!("see `sitewright doctor`")),
        code: classified.code,
        location: classified.location,
        stage: if running && !progress.stage.is_empty() {
            progress.stage.clone()
        } else {
            known.stage.to_owned()
        },
        progress: (running && progress.total > 0).then(|| progress.into()),
        trap,
        panic: classified.panic,
        ai: classified.ai,
        problems,
        trail: log.trail(),
        diagnostics: log.diagnostics().0,
        log: log.log_tail().0,
        stderr: known.end.as_ref().map(|end| end.stderr.0.clone()).unwrap_or_default(),
        stdout: known.end.as_ref().map(|end| end.stdout.0.clone()).unwrap_or_default(),
        limits: totals.limits.clone(),
    }
}

async fn store(host: &Host, record: &FailureRecord) -> Result<PathBuf, Message> {
    let folder = host.sites.path().join(&record.order);
    let copy = record.clone();
    let stored = tokio::task::spawn_blocking(move || crate::failure::store::write(&folder, &copy)).await;
    match stored {
        Ok(Ok(path)) => Ok(path),
        Ok(Err(error)) => Err(message!("the failure record could not be stored: {error}")),
        Err(error) => Err(message!("the failure record could not be stored: {error}")),
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic whose payload is no text".to_owned())
}
