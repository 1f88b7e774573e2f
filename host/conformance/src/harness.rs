//! One order through one template, as any worker would make it, in a folder of its own.

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

use super::watch::{Asked, Hold, Watch};
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
    AttemptId, AttemptRequest, JournalUse, Outcome, Publication, Services, Totals, attempt,
};
use sitewright_site::{SitesRoot, SyncBatcher};

/// What the clock of each attempt shows at first: 2026-01-15T12:00:00Z. The same for all, so that
/// snapshots stay what they are.
const CLOCK_MS: u64 = 1_768_478_400_000;
/// Bytes of sites that stay in memory until they are whole.
const HELD_BYTES: u64 = 64 << 20;
/// How long what a dropped run leaves may take to go.
const CLEAN_UP: Duration = Duration::from_secs(10);

/// Where trials are made.
pub(super) struct Lab {
    pub(super) catalogue: Catalogue,
    pub(super) template: PathBuf,
    pub(super) limits: Arc<Limits>,
    pub(super) default_locale: Locale,
    client: Client,
    folder: TempDir,
    next: AtomicU64,
}

/// One order to be made.
#[derive(Debug, Clone)]
pub(super) struct Trial {
    pub(super) document: Value,
    /// The script of AI answers.
    pub(super) script: String,
    pub(super) hold: Hold,
    /// Most AI calls that the order's budget pays for.
    pub(super) budget: Option<u64>,
    /// Whether an answer that never comes is given up soon.
    pub(super) impatient: bool,
    /// Which attempt: others have another clock and other random numbers.
    pub(super) attempt: u64,
    pub(super) stop: Stop,
}

/// How a trial is stopped once a call is held for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// It is not.
    Never,
    /// Its future is dropped, after it had this long to go on without the answer.
    Drop(Duration),
    /// It is cancelled, after it had this long.
    Cancel(Duration),
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) ended: Ended,
    pub(super) asked: Vec<Asked>,
    pub(super) took: Duration,
}

/// How a trial ended.
#[derive(Debug)]
pub(super) enum Ended {
    Site(Site),
    Failed {
        record: Box<FailureRecord>,
        limits: BTreeMap<String, Measure>,
    },
    /// It was stopped from outside; these files lie where its site would have been.
    Stopped {
        left: Vec<String>,
    },
}

/// A site that passed the host's checks.
#[derive(Debug, Clone)]
pub(super) struct Site {
    pub(super) files: BTreeMap<String, Vec<u8>>,
    pub(super) limits: BTreeMap<String, Measure>,
    pub(super) ai_calls: usize,
}

impl Lab {
    pub(super) fn new(
        catalogue: Catalogue,
        template: PathBuf,
        limits: Limits,
        default_locale: Locale,
        client: Client,
    ) -> Result<Self, Message> {
        let folder = tempfile::Builder::new()
            .prefix("sitewright-conformance-")
            .tempdir()
            .map_err(|error| message!("a folder for the suite's sites cannot be made: {error}"))?;
        let limits = Arc::new(limits);
        Ok(Lab {
            catalogue,
            template,
            limits,
            default_locale,
            client,
            folder,
            next: AtomicU64::new(0),
        })
    }

    /// Makes one order. The error is the host's: nothing that a template could do.
    pub(super) async fn made(self: Arc<Self>, trial: Trial) -> Result<Made, Message> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let folder = self.folder.path().join(number.to_string());
        let host = self.host(&trial, folder.clone()).await?;
        let watch = Arc::new(Watch::new(trial.hold));
        let cancel = CancellationToken::new();
        let id = Ulid::from_parts(CLOCK_MS + 60_000 * trial.attempt, u128::from(trial.attempt));
        let request = AttemptRequest {
            document: trial.document.to_string().into_bytes(),
            template: self.template.display().to_string(),
            id: AttemptId::from(id),
            job: None,
            journal: JournalUse::Of(Arc::new(RunJournal::new(watch.clone()))),
            publication: Publication::Place(SyncBatcher::default()),
            cancel: cancel.clone(),
            progress: watch::Sender::new(RunProgress::default()),
        };
        let began = tokio::time::Instant::now();
        // A task of its own: dropping it is what is tried.
        let mut running = tokio::spawn(async move { attempt(&host, request).await });
        let outcome = match trial.stop {
            Stop::Never => Some((&mut running).await),
            Stop::Drop(patience) | Stop::Cancel(patience) => {
                let stopped = async {
                    watch.until_held().await;
                    tokio::time::sleep(patience).await;
                };
                tokio::select! {
                    biased;
                    ended = &mut running => Some(ended),
                    () = stopped => match trial.stop {
                        Stop::Cancel(_) => {
                            cancel.cancel();
                            Some((&mut running).await)
                        }
                        _ => {
                            running.abort();
                            // Until it is dropped.
                            drop((&mut running).await);
                            None
                        }
                    },
                }
            }
        };
        let took = began.elapsed();
        let asked = watch.asked();
        let ended = match outcome {
            None => Ended::Stopped { left: left(&folder).await? },
            Some(Err(error)) => return Err(message!("an attempt did not end: {error}")),
            Some(Ok(outcome)) => self.ended(outcome, &folder).await?,
        };
        let removed = tokio::task::spawn_blocking(move || std::fs::remove_dir_all(folder)).await;
        if let Ok(Err(error)) = removed {
            tracing::debug!(%error, "a folder of the suite stays until its end");
        }
        Ok(Made { ended, asked, took })
    }

    async fn ended(&self, outcome: Outcome, folder: &Path) -> Result<Ended, Message> {
        match outcome {
            Outcome::Released(released) => {
                let (release, totals) = (released.release, released.totals);
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
                    read.map_err(|error| message!("a finished site cannot be read back: {error}"))?;
                let Totals { limits, ai_calls, .. } = totals;
                Ok(Ended::Site(Site { files, limits, ai_calls: ai_calls.len() }))
            }
            Outcome::Failed { record, .. } if record.kind == FailureKind::Host => {
                Err(message!("the host failed: {}", record.message))
            }
            Outcome::Failed { record, .. } if record.kind == FailureKind::Cancelled => {
                Ok(Ended::Stopped { left: left(folder).await? })
            }
            Outcome::Failed { record, totals, .. } => {
                Ok(Ended::Failed { record, limits: totals.limits })
            }
        }
    }

    async fn host(&self, trial: &Trial, folder: PathBuf) -> Result<Services, Message> {
        // An answer that never comes is given up soon: the others are there at once, whatever the
        // machine does.
        let patience = if trial.impatient { 50 } else { 300_000 };
        let budget = trial.budget.map_or(json!({}), |calls| json!({ "calls": calls }));
        let config: AiConfig = serde_json::from_value(json!({
            "providers": {
                "scripted": { "kind": "scripted", "rules_inline": trial.script, "call_ms": patience },
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
                .map_err(|error| message!("the suite's folder cannot be used: {error}"))?;
            Ok::<_, Message>((gateway, sites))
        });
        let (gateway, sites) =
            ready.await.map_err(|error| message!("preparing a run did not end: {error}"))??;
        Ok(Services {
            catalogue: self.catalogue.clone(),
            gateway: Arc::new(gateway),
            sites: sites.with_staging_buffer(HELD_BYTES),
            limits: self.limits.clone(),
            default_locale: self.default_locale.clone(),
            keep_releases: 1,
            config_version: format!("conformance {}", super::suite::VERSION),
        })
    }
}

/// The files below a folder, failure records left out, once what is being removed is gone.
async fn left(folder: &Path) -> Result<Vec<String>, Message> {
    let began = tokio::time::Instant::now();
    loop {
        let top = folder.to_owned();
        let found = tokio::task::spawn_blocking(move || {
            let mut found = Vec::new();
            files(&top, &top, &mut found);
            found
        });
        let found =
            found.await.map_err(|error| message!("a folder could not be looked at: {error}"))?;
        if found.is_empty() || began.elapsed() > CLEAN_UP {
            return Ok(found);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn files(top: &Path, folder: &Path, found: &mut Vec<String>) {
    // What goes while it is looked at is what should.
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let shown = path.strip_prefix(top).unwrap_or(&path);
        if shown.components().nth(1).is_some_and(|part| part.as_os_str() == "failures") {
            continue;
        }
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => files(top, &path, found),
            Ok(_) => found.push(shown.display().to_string()),
            Err(_) => {}
        }
    }
}
