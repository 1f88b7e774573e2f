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
    /// The templates folder of a worker has no template, cannot be read, or does not answer.
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
    /// Whether the templates folder is being read, and the sites folder tried.
    is_reading: Arc<AtomicBool>,
    is_trying: Arc<AtomicBool>,
}

impl Folders {
    pub(crate) fn new(templates: TemplateNames, sites: PathBuf) -> Self {
        Folders { templates, sites, is_reading: Arc::default(), is_trying: Arc::default() }
    }

    /// Tries both, for at most `within` together.
    async fn ready(&self, within: Duration) -> Readiness {
        let until = tokio::time::Instant::now() + within;
        let templates = Arc::clone(&self.templates);
        match one_at_a_time(&self.is_reading, until, async move { templates().await }).await {
            Some(Ok(names)) if !names.is_empty() => {}
            Some(Ok(_)) => {
                tracing::warn!("not ready: the templates folder has no template");
                return Readiness::NoTemplate;
            }
            Some(Err(error)) => {
                tracing::warn!(%error, "not ready");
                return Readiness::NoTemplate;
            }
            None => {
                tracing::warn!("not ready: the templates folder does not answer");
                return Readiness::NoTemplate;
            }
        }
        let sites = self.sites.clone();
        let trying = async move {
            let tried = tokio::task::spawn_blocking(move || try_to_write(&sites)).await;
            tried.unwrap_or_else(|error| Err(format!("the sites folder was not tried: {error}")))
        };
        match one_at_a_time(&self.is_trying, until, trying).await {
            Some(Ok(())) => Readiness::Ready,
            Some(Err(why)) => {
                tracing::warn!("not ready: {why}");
                Readiness::SitesUnwritable
            }
            None => {
                tracing::warn!("not ready: the sites folder does not answer");
                Readiness::SitesUnwritable
            }
        }
    }
}

/// What `work` comes to. `None` if that is not known at `until`, or the work of a call before still
/// goes on, however long ago that gave up: a mount that hangs keeps one thread, however many probes
/// there are.
async fn one_at_a_time<T: Send + 'static>(
    goes_on: &Arc<AtomicBool>,
    until: tokio::time::Instant,
    work: impl Future<Output = T> + Send + 'static,
) -> Option<T> {
    if goes_on.swap(true, Ordering::Relaxed) {
        return None;
    }
    let ends = EndsWhenDropped(Arc::clone(goes_on));
    let working = tokio::spawn(async move {
        let done = work.await;
        drop(ends);
        done
    });
    tokio::time::timeout_at(until, working).await.ok()?.ok()
}

/// Says that the work has ended, also if it panicked.
struct EndsWhenDropped(Arc<AtomicBool>);

impl Drop for EndsWhenDropped {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
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
            (Some(folders), Readiness::Ready) => folders.ready(ANSWERS_WITHIN).await,
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use tokio::sync::Semaphore;

    use super::*;

    #[expect(clippy::disallowed_methods, reason = "the one runtime of its process")]
    #[tokio::test]
    async fn a_folder_that_hangs_is_tried_once_however_many_probes_there_are() {
        let (hangs, tries) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
        let (gate, counted) = (Arc::clone(&hangs), Arc::clone(&tries));
        let templates: TemplateNames = Arc::new(move || {
            let (gate, counted) = (Arc::clone(&gate), Arc::clone(&counted));
            Box::pin(async move {
                counted.fetch_add(1, Ordering::Relaxed);
                drop(gate.acquire().await);
                Ok(Vec::new())
            })
        });
        let folders = Folders::new(templates, PathBuf::from("sites"));
        for within_ms in [20, 0, 20] {
            let readiness = folders.ready(Duration::from_millis(within_ms)).await;
            assert_eq!(readiness, Readiness::NoTemplate);
        }
        assert_eq!(tries.load(Ordering::Relaxed), 1);
        // It answers again, and is tried again.
        hangs.add_permits(1);
        while tries.load(Ordering::Relaxed) < 2 {
            assert_eq!(folders.ready(ANSWERS_WITHIN).await, Readiness::NoTemplate);
            tokio::task::yield_now().await;
        }
    }
}
