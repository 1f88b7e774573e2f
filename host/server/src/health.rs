//! `/healthz` and `/readyz`, for supervisors: no token, and nothing that only an operator may see.
//! The log has the rest.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use serde_json::json;
use sitewright_jobs::{Database, Error};
use sitewright_model::message::Message;
use tokio::sync::Mutex;

use super::app::{Alive, App};
use super::extract::answer;

/// Time in which the database must answer.
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
        }
    }
}

pub(crate) struct Health {
    database: Database,
    alive: Alive,
    last: Arc<Mutex<Option<(Instant, Readiness)>>>,
}

impl Health {
    pub(crate) fn new(database: Database, alive: Alive) -> Self {
        Health { database, alive, last: Arc::default() }
    }

    fn alive(&self) -> Result<(), Message> {
        (self.alive)()
    }

    /// Asks the database, at most once a second.
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
        Readiness::DatabaseAway | Readiness::SchemaMissing | Readiness::SchemaNewer => {
            StatusCode::SERVICE_UNAVAILABLE
        }
    };
    answer(status, &json!({ "status": readiness, "hint": readiness.hint() }))
}
