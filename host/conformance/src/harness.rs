//! Runs one order through a template as a worker does, in a folder of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use ulid::Ulid;

use super::answers::CaseScript;
use super::recording_journal::{RecordedCall, RecordingJournal, ReplyDelay};
use sitewright_ai::{AiConfig, Gateway, RunJournal};
use sitewright_http::Client;
use sitewright_intake::Locale;
use sitewright_model::Measure;
use sitewright_model::failure::{FailureKind, FailureRecord};
use sitewright_model::message;
use sitewright_model::message::Message;
use sitewright_runtime::host_functions::RunProgress;
use sitewright_runtime::plugin::{Catalogue, Limits};
use sitewright_runtime::run::{
    AttemptId, AttemptRequest, JournalUse, OrderReading, Outcome, Publication, Services, Totals,
    attempt,
};
use sitewright_site::{SitePolicy, SiteProblem, SitesRoot, SyncBatcher};

/// The start of each attempt's clock: 2026-01-15T12:00:00Z. It is constant, so that snapshots stay
/// valid.
const CLOCK_MS: u64 = 1_768_478_400_000;
/// Size of the in-memory staging buffer of each run in bytes.
const STAGING_BUFFER_BYTES: u64 = 64 << 20;
/// Maximum time for the files of a dropped run to be removed.
const CLEAN_UP_TIMEOUT: Duration = Duration::from_secs(10);

/// Runs test cases of one template.
pub(super) struct Harness {
    pub(super) catalogue: Catalogue,
    pub(super) template: PathBuf,
    pub(super) limits: Arc<Limits>,
    pub(super) default_locale: Locale,
    client: Client,
    /// Hosts that the author declares for pages.
    external: Vec<String>,
    folder: TempDir,
    next: AtomicU64,
}

/// One run of the template: order, replies, and what happens during the run.
#[derive(Debug, Clone)]
pub(super) struct TestCase {
    pub(super) document: Value,
    pub(super) script: CaseScript,
    pub(super) hold: ReplyDelay,
    /// The number of AI calls in the order's budget; `None` if unlimited.
    pub(super) budget: Option<u64>,
    /// Whether AI calls time out after 50 ms instead of 5 minutes.
    pub(super) short_timeout: bool,
    /// Number of the attempt; each has another clock and other random numbers.
    pub(super) attempt: u64,
    pub(super) stop: Stop,
}

/// How a run is stopped after one of its calls got no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    Never,
    /// Its future is dropped after it had this time to continue without the reply.
    Drop(Duration),
    /// It is cancelled after this time.
    Cancel(Duration),
}

/// The result of one run.
#[derive(Debug)]
pub(super) struct TestRun {
    pub(super) ended: TestOutcome,
    pub(super) asked: Vec<RecordedCall>,
    pub(super) took: Duration,
}

/// How a run ended.
#[derive(Debug)]
pub(super) enum TestOutcome {
    Site(FinishedSite),
    Failed {
        record: Box<FailureRecord>,
        limits: BTreeMap<String, Measure>,
    },
    /// It was dropped or cancelled; these files remain in its folder.
    Stopped {
        left: Vec<String>,
    },
}

/// How the task of a run ended.
enum RunEnd {
    Returned(Result<Outcome, tokio::task::JoinError>),
    /// The harness dropped it.
    Dropped,
}

/// A site that passed the host's checks.
#[derive(Debug, Clone)]
pub(super) struct FinishedSite {
    pub(super) files: BTreeMap<String, Vec<u8>>,
    /// What the host's checks warn of.
    pub(super) warnings: Vec<SiteProblem>,
    pub(super) limits: BTreeMap<String, Measure>,
    pub(super) ai_calls: usize,
}

impl Harness {
    pub(super) fn new(
        catalogue: Catalogue,
        template: PathBuf,
        limits: Limits,
        default_locale: Locale,
        client: Client,
        external: Vec<String>,
    ) -> Result<Self, Message> {
        let folder = tempfile::Builder::new()
            .prefix("sitewright-conformance-")
            .tempdir()
            .map_err(|error| message!("cannot create a folder for the suite's sites: {error}"))?;
        let limits = Arc::new(limits);
        Ok(Harness {
            catalogue,
            template,
            limits,
            default_locale,
            client,
            external,
            folder,
            next: AtomicU64::new(0),
        })
    }

    /// Runs one order.
    ///
    /// # Errors
    /// If the host fails; a failure of the template is a result.
    pub(super) async fn run(self: Arc<Self>, test_case: TestCase) -> Result<TestRun, Message> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let folder = self.folder.path().join(number.to_string());
        let host = self.host(&test_case, folder.clone()).await?;
        let watch = Arc::new(RecordingJournal::new(test_case.hold));
        let cancel = CancellationToken::new();
        let id =
            Ulid::from_parts(CLOCK_MS + 60_000 * test_case.attempt, u128::from(test_case.attempt));
        let request = AttemptRequest {
            document: test_case.document.to_string().into_bytes(),
            template: self.template.display().to_string(),
            id: AttemptId::from(id),
            job: None,
            revision: None,
            journal: JournalUse::Of(Arc::new(RunJournal::new(watch.clone()))),
            publication: Publication::Place(SyncBatcher::default()),
            cancel: cancel.clone(),
            progress: watch::Sender::new(RunProgress::default()),
        };
        let began = tokio::time::Instant::now();
        // A task of its own, so that it can be dropped.
        let mut running = tokio::spawn(async move { attempt(&host, request).await });
        let outcome = match test_case.stop {
            Stop::Never => RunEnd::Returned((&mut running).await),
            Stop::Drop(delay) | Stop::Cancel(delay) => {
                let stopped = async {
                    watch.until_held().await;
                    tokio::time::sleep(delay).await;
                };
                tokio::select! {
                    biased;
                    ended = &mut running => RunEnd::Returned(ended),
                    () = stopped => match test_case.stop {
                        Stop::Cancel(_) => {
                            cancel.cancel();
                            RunEnd::Returned((&mut running).await)
                        }
                        _ => {
                            running.abort();
                            // Wait until it is dropped.
                            drop((&mut running).await);
                            RunEnd::Dropped
                        }
                    },
                }
            }
        };
        let took = began.elapsed();
        let asked = watch.asked();
        let ended = match outcome {
            RunEnd::Dropped => TestOutcome::Stopped { left: remaining_files(&folder).await? },
            RunEnd::Returned(Err(error)) => {
                return Err(message!("an attempt panicked: {error}"));
            }
            RunEnd::Returned(Ok(outcome)) => self.ended(outcome, &folder).await?,
        };
        let removed = tokio::task::spawn_blocking(move || std::fs::remove_dir_all(folder)).await;
        if let Ok(Err(error)) = removed {
            tracing::debug!(%error, "cannot remove a run's folder before the suite ends");
        }
        Ok(TestRun { ended, asked, took })
    }

    async fn ended(&self, outcome: Outcome, folder: &Path) -> Result<TestOutcome, Message> {
        match outcome {
            Outcome::Released(released) => {
                let (mut release, totals) = (released.release, released.totals);
                let warnings = std::mem::take(&mut release.manifest.warnings);
                let read = tokio::task::spawn_blocking(move || {
                    let read = |path: &str| {
                        std::fs::read(release.path.join(path)).map(|bytes| (path.to_owned(), bytes))
                    };
                    release
                        .manifest
                        .files
                        .iter()
                        .map(|file| read(file.path.as_str()))
                        .collect::<Result<_, _>>()
                });
                let read: std::io::Result<BTreeMap<_, _>> =
                    read.await.unwrap_or_else(|error| Err(std::io::Error::other(error)));
                let files =
                    read.map_err(|error| message!("cannot read a finished site: {error}"))?;
                let Totals { limits, ai_calls, .. } = totals;
                Ok(TestOutcome::Site(FinishedSite {
                    files,
                    warnings,
                    limits,
                    ai_calls: ai_calls.len(),
                }))
            }
            Outcome::Failed { record, .. } if record.kind == FailureKind::Host => {
                Err(message!("the host failed: {}", record.message))
            }
            Outcome::Failed { record, .. } if record.kind == FailureKind::Cancelled => {
                Ok(TestOutcome::Stopped { left: remaining_files(folder).await? })
            }
            Outcome::Failed { record, totals, .. } => {
                Ok(TestOutcome::Failed { record, limits: totals.limits })
            }
        }
    }

    async fn host(&self, test_case: &TestCase, folder: PathBuf) -> Result<Services, Message> {
        // Replies are scripted and arrive at once, so a short timeout only ends the missing one.
        let timeout_ms = if test_case.short_timeout { 50 } else { 300_000 };
        let budget = test_case.budget.map_or(json!({}), |calls| json!({ "calls": calls }));
        let config: AiConfig = serde_json::from_value(json!({
            "providers": {
                "scripted": {
                    "kind": "scripted",
                    "rules_inline": test_case.script.text()?,
                    "call_ms": timeout_ms,
                },
            },
            "routes": { "default": { "try": [{ "provider": "scripted", "model": "script" }] } },
            "budget": budget,
        }))
        .map_err(|error| message!("the suite's AI routes cannot be set up: {error}"))?;
        let client = self.client.clone();
        let ready = tokio::task::spawn_blocking(move || {
            let gateway = Gateway::new(&config, &folder, client, &|_| None)
                .map_err(|error| message!("the suite's AI routes cannot be set up: {error}"))?;
            let sites = SitesRoot::open(&folder)
                .map_err(|error| message!("cannot use the suite's folder: {error}"))?;
            Ok::<_, Message>((gateway, sites))
        });
        let (gateway, sites) =
            ready.await.map_err(|error| message!("preparing a run failed: {error}"))??;
        Ok(Services {
            catalogue: self.catalogue.clone(),
            gateway: Arc::new(gateway),
            sites: sites.with_staging_buffer(STAGING_BUFFER_BYTES),
            limits: self.limits.clone(),
            orders: OrderReading::default(),
            default_locale: self.default_locale.clone(),
            checks: SitePolicy { external_hosts: self.external.clone(), ..SitePolicy::default() },
            viewer: None,
            keep_releases: 1,
            config_version: format!("conformance {}", super::suite::VERSION),
        })
    }
}

/// The files below a folder without failure records, after pending removals have finished.
async fn remaining_files(folder: &Path) -> Result<Vec<String>, Message> {
    let began = tokio::time::Instant::now();
    loop {
        let top = folder.to_owned();
        let found = tokio::task::spawn_blocking(move || {
            let mut found = Vec::new();
            files(&top, &top, &mut found);
            found
        });
        let found = found.await.map_err(|error| message!("cannot list a run's folder: {error}"))?;
        if found.is_empty() || began.elapsed() > CLEAN_UP_TIMEOUT {
            return Ok(found);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn files(top: &Path, folder: &Path, found: &mut Vec<String>) {
    // A file that disappears during the listing was being removed, as it should be.
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let shown = path.strip_prefix(top).unwrap_or(&path);
        // Neither the failure records with the list of them, nor the links that remember how ids are
        // spelled, are of a run.
        let is = |at, name: &str| {
            shown.components().nth(at).is_some_and(|part| part.as_os_str() == name)
        };
        if is(1, "failures") || is(0, ".spellings") || is(0, sitewright_failure::records::FOLDER) {
            continue;
        }
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => files(top, &path, found),
            Ok(_) => found.push(shown.display().to_string()),
            Err(_) => {}
        }
    }
}
