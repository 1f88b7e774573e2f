//! `/v1/orders/{id}/calls`.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::answers::CallList;
use super::app::App;
use super::extract::{Id, answer};
use super::problem::Problem;

/// Maximum number of calls that are listed.
const MAX_CALLS: u32 = 1_000;

/// `GET /v1/orders/{id}/calls`.
pub(crate) async fn list(State(app): State<App>, Id(id): Id) -> Result<Response, Problem> {
    let order = app.database.order(&id).await?.id;
    let mut calls = app.database.ai_calls_in_brief(&order, MAX_CALLS + 1).await?;
    let more = calls.len() > MAX_CALLS as usize;
    calls.truncate(MAX_CALLS as usize);
    Ok(answer(StatusCode::OK, &CallList { order, calls, more }))
}
