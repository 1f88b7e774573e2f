//! Repeats a recorded attempt, one at a time: `POST /v1/failures/records/{id}/replay`, and the
//! button of the console. The replay itself is made by a process that whoever starts the server
//! names: it runs code of a template, which a server does not.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;

use super::app::{App, ReplayError};
use super::extract::{Id, answer};
use super::failures::no_record;
use super::problem::{Problem, ProblemKind};

/// `POST /v1/failures/records/{id}/replay`.
pub(crate) async fn replay(State(app): State<App>, Id(id): Id) -> Result<Response, Problem> {
    Ok(answer(StatusCode::OK, &report(&app, &id).await?))
}

/// Replays the attempt of a failure record. What `sitewright replay --json` says of it: a
/// [`ReplayReport`](sitewright_model::replay::ReplayReport), or a
/// [`NoReplay`](sitewright_model::replay::NoReplay).
pub(crate) async fn report(app: &App, id: &str) -> Result<Value, Problem> {
    app.database.failure(id).await?.ok_or_else(|| no_record(id))?;
    let Ok(_only) = app.replaying.try_acquire() else {
        let detail = "another attempt is being replayed: one server replays one at a time";
        return Err(Problem::new(ProblemKind::TooManyReplays, detail));
    };
    // The rest of the time is for the answer.
    let within = app.settings.answer_within().mul_f64(0.9);
    (app.replay)(id.to_owned(), within).await.map_err(|error| match error {
        ReplayError::Late => {
            let ms = within.as_millis();
            let detail = format!("the replay did not end within {ms} ms, and was stopped");
            let problem = Problem::new(ProblemKind::Timeout, detail);
            problem.hinting("replay it with `sitewright replay`, or raise `server.request_ms`")
        }
        ReplayError::Host(message) => {
            tracing::error!(record = id, "{message}");
            let detail = format!("the attempt was not replayed: {message}");
            let problem = Problem::new(ProblemKind::Internal, detail);
            problem.hinting("run `sitewright replay` with this id on the machine of the server")
        }
    })
}
