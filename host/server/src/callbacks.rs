//! `/v1/orders/{id}/callback`: which address is told of one order.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use super::answers::{CallbackChange, Outcome};
use super::app::App;
use super::extract::{Fields, Id, answer};
use super::problem::{Problem, ProblemKind};

/// The body of `PUT /v1/orders/{id}/callback`.
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Body {
    /// URL that is told how the order ends, signed, as `[callbacks]` says, in the place of the one
    /// that the order has.
    url: String,
}

/// An address that may be called, as it is stored. `name` is where the request has it.
pub(crate) fn allowed(app: &App, name: &str, url: &str) -> Result<String, Problem> {
    sitewright_webhooks::callback(url, app.callbacks)
        .map_err(|why| Problem::new(ProblemKind::CallbackRefused, format!("{name} {why}")))
}

/// `PUT /v1/orders/{id}/callback`.
pub(crate) async fn set(
    State(app): State<App>,
    Id(id): Id,
    Fields(Body { url }): Fields<Body>,
) -> Result<Response, Problem> {
    let url = allowed(&app, "`url`", &url)?;
    let is_new = app.database.set_callback(&id, &url).await?;
    changed(&app, id, if is_new { Outcome::Set } else { Outcome::Unchanged }).await
}

/// `DELETE /v1/orders/{id}/callback`.
pub(crate) async fn remove(State(app): State<App>, Id(id): Id) -> Result<Response, Problem> {
    let had_one = app.database.remove_callback(&id).await?;
    changed(&app, id, if had_one { Outcome::Removed } else { Outcome::Unchanged }).await
}

/// `POST /v1/orders/{id}/callback/enable`.
pub(crate) async fn enable(State(app): State<App>, Id(id): Id) -> Result<Response, Problem> {
    app.database.order(&id).await?;
    if app.database.callback(&id).await?.is_none() {
        let detail = format!("order {id:?} has no callback");
        let problem = Problem::new(ProblemKind::NoSuchWebhook, detail);
        return Err(problem.hinting("PUT /v1/orders/{id}/callback gives it one"));
    }
    let enabled = app.database.enable_callbacks(Some(&id)).await?;
    changed(&app, id, if enabled > 0 { Outcome::Enabled } else { Outcome::Unchanged }).await
}

async fn changed(app: &App, order: String, outcome: Outcome) -> Result<Response, Problem> {
    let callback = app.database.callback(&order).await?;
    Ok(answer(StatusCode::OK, &CallbackChange { outcome, order, callback }))
}
