//! `/healthz` and `/readyz`, for supervisors: no token, and nothing that only an operator may see.
//! The log has the rest.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use serde_json::json;
use sitewright_jobs::{Database, Error};
use sitewright_model::message::Message;
use sitewright_site::SitesRoot;
use tokio::sync::Mutex;

use super::app::{Alive, App, TemplateNames};
use super::extract::answer;

/// Time in which the database must answer, and then the folders of a worker.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);
/// How long a result is used again: probes cannot keep the database busy.
const VALID_FOR: Duration = Duration::from_secs(1);

/// What `/readyz` found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Readiness {
    Ready,
    /// The database does not answer.
    DatabaseAway,
    /// The database has no tables, or old ones: `sitewright migrate`.
    SchemaMissing,
    /// The database was migrated by a newer program.
    SchemaNewer,
    /// The templates folder of a worker has no template, or cannot be read.
    NoTemplate,
    /// The sites folder of a worker is gone, cannot be written, or does not answer.
    SitesUnwritable,
}

impl Readiness {
    fn of(error: &Error) -> Self {
        match error {
            Error::OlderSchema { .. } => Readiness::SchemaMissing,
            Error::NewerSchema { .. } | Error::Outdated { .. } => Readiness::SchemaNewer,
            _ => Readiness::DatabaseAway,
        }
    }

    /// What is missing, and what to do.
    fn hint(self) -> Option<&'static str> {
        match self {
            Readiness::Ready => None,
            Readiness::DatabaseAway => {
                Some("the database does not answer: `sitewright doctor` says why")
            }
            Readiness::SchemaMissing => {
                Some("the tables are not those of this version: run `sitewright migrate`")
            }
            Readiness::SchemaNewer => {
                Some("the database belongs to a newer version: start that one")
            }
            Readiness::NoTemplate => {
                Some("the worker has no template: put a `.wasm` file into its templates folder")
            }
            Readiness::SitesUnwritable => {
                Some("the sites folder cannot be written: `sitewright doctor` says why")
            }
        }
    }
}

/// The folders that a worker makes sites with.
pub(crate) struct Folders {
    templates: TemplateNames,
    sites: PathBuf,
    /// Whether the sites folder is being tried: a mount that hangs keeps one thread, however many
    /// probes there are.
    is_trying: Arc<AtomicBool>,
}

impl Folders {
    pub(crate) fn new(templates: TemplateNames, sites: PathBuf) -> Self {
        Folders { templates, sites, is_trying: Arc::default() }
    }

    async fn ready(&self) -> Readiness {
        match (self.templates)().await {
            Ok(names) if names.is_empty() => {
                tracing::warn!("not ready: the templates folder has no template");
                return Readiness::NoTemplate;
            }
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, "not ready");
                return Readiness::NoTemplate;
            }
        }
        if self.is_trying.swap(true, Ordering::Relaxed) {
            tracing::warn!("not ready: the sites folder has not answered since the probe before");
            return Readiness::SitesUnwritable;
        }
        let (sites, is_trying) = (self.sites.clone(), Arc::clone(&self.is_trying));
        let tried = tokio::task::spawn_blocking(move || {
            let tried = try_to_write(&sites);
            is_trying.store(false, Ordering::Relaxed);
            tried
        });
        match tried.await {
            Ok(Ok(())) => Readiness::Ready,
            Ok(Err(why)) => {
                tracing::warn!("not ready: {why}");
                Readiness::SitesUnwritable
            }
            Err(error) => {
                tracing::warn!(%error, "not ready: the sites folder could not be tried");
                Readiness::SitesUnwritable
            }
        }
    }
}

fn try_to_write(sites: &Path) -> Result<(), String> {
    // Opening it would create a folder in the place of a mount that is gone.
    if !sites.is_dir() {
        return Err(format!("the sites folder `{}` is not there", sites.display()));
    }
    SitesRoot::open(sites).map(drop).map_err(|error| error.to_string())
}

pub(crate) struct Health {
    database: Database,
    alive: Alive,
    /// `None` for a server, which makes no sites.
    folders: Option<Folders>,
    last: Arc<Mutex<Option<(Instant, Readiness)>>>,
}

impl Health {
    pub(crate) fn new(database: Database, alive: Alive, folders: Option<Folders>) -> Self {
        Health { database, alive, folders, last: Arc::default() }
    }

    fn alive(&self) -> Result<(), Message> {
        (self.alive)()
    }

    /// Asks the database and tries the folders, at most once a second.
    async fn ready(&self) -> Readiness {
        let mut last = self.last.lock().await;
        if let Some((at, readiness)) = *last
            && at.elapsed() < VALID_FOR
        {
            return readiness;
        }
        let checked = tokio::time::timeout(ANSWERS_WITHIN, self.database.check_schema()).await;
        let readiness = match checked {
            Ok(Ok(())) => Readiness::Ready,
            Ok(Err(error)) => {
                tracing::warn!(%error, "not ready");
                Readiness::of(&error)
            }
            Err(_) => {
                let within = ANSWERS_WITHIN.as_secs();
                tracing::warn!("not ready: the database has not answered for {within} s");
                Readiness::DatabaseAway
            }
        };
        let readiness = match (&self.folders, readiness) {
            (Some(folders), Readiness::Ready) => {
                let tried = tokio::time::timeout(ANSWERS_WITHIN, folders.ready()).await;
                tried.unwrap_or_else(|_| {
                    let within = ANSWERS_WITHIN.as_secs();
                    tracing::warn!("not ready: the folders have not answered for {within} s");
                    Readiness::SitesUnwritable
                })
            }
            (_, readiness) => readiness,
        };
        *last = Some((Instant::now(), readiness));
        readiness
    }
}

/// `GET /healthz`.
pub(crate) async fn healthz(State(app): State<App>) -> Response {
    match app.health.alive() {
        Ok(()) => answer(StatusCode::OK, &json!({ "status": "alive" })),
        Err(why) => {
            answer(StatusCode::SERVICE_UNAVAILABLE, &json!({ "status": "stuck", "hint": why }))
        }
    }
}

/// `GET /readyz`.
pub(crate) async fn readyz(State(app): State<App>) -> Response {
    let readiness = app.health.ready().await;
    let status = match readiness {
        Readiness::Ready => StatusCode::OK,
        Readiness::DatabaseAway
        | Readiness::SchemaMissing
        | Readiness::SchemaNewer
        | Readiness::NoTemplate
        | Readiness::SitesUnwritable => StatusCode::SERVICE_UNAVAILABLE,
    };
    answer(status, &json!({ "status": readiness, "hint": readiness.hint() }))
}
