//! `/v1/stats`, `/v1/queue`, `/v1/holds`, `/v1/breakers`, `/v1/workers` and `/v1/audit`; and the same
//! holds by what they hold, `/v1/templates/{id}/pause` and `/v1/routes/{id}/hold`.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use sitewright_jobs::{DrainAnswer, HoldId, HoldKind, NewHold};

use super::access::Audited;
use super::answers::{
    AuditPage, BreakerChange, HoldChange, HoldList, Outcome, QueueChange, WorkerChange,
};
use super::app::App;
use super::extract::{Fields, Id, MAX_ID, Parameters, answer};
use super::orders::page;
use super::problem::{Problem, ProblemKind};
use super::templates;
use super::tenancy::Tenant;

/// Maximum length of the reason of a hold, in characters.
const MAX_REASON: usize = 1_000;

/// `GET /v1/stats`.
pub(crate) async fn stats(State(app): State<App>, tenant: Tenant) -> Result<Response, Problem> {
    let stats = match tenant.as_deref() {
        Some(tenant) => app.database.stats_of_tenant(tenant).await?,
        None => app.database.stats().await?,
    };
    Ok(answer(StatusCode::OK, &stats))
}

/// `POST /v1/queue/pause`.
pub(crate) async fn pause(State(app): State<App>) -> Result<Response, Problem> {
    app.database.pause().await?;
    Ok(answer(StatusCode::OK, &QueueChange { outcome: Outcome::Paused, paused: true }))
}

/// `POST /v1/queue/resume`.
pub(crate) async fn resume(State(app): State<App>) -> Result<Response, Problem> {
    app.database.resume().await?;
    Ok(answer(StatusCode::OK, &QueueChange { outcome: Outcome::Resumed, paused: false }))
}

/// `GET /v1/holds`.
pub(crate) async fn holds(State(app): State<App>) -> Result<Response, Problem> {
    let holds = app.database.holds().await?;
    Ok(answer(StatusCode::OK, &HoldList { holds }))
}

/// The body of `PUT /v1/holds/{id}`.
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct HoldBody {
    /// What orders show that wait for it.
    reason: Option<String>,
}

pub(crate) fn hold_id(name: &str) -> Result<HoldId, Problem> {
    if name.chars().count() > MAX_ID || name.contains('\0') {
        let detail = format!("the name of the hold has more than {MAX_ID} characters, or a zero");
        return Err(Problem::new(ProblemKind::BadRequest, detail));
    }
    HoldId::named(name).map_err(|why| Problem::new(ProblemKind::BadRequest, why))
}

/// A hold of something that there is.
pub(crate) async fn new_hold(
    app: &App,
    name: &str,
    reason: Option<&str>,
) -> Result<NewHold, Problem> {
    let id = hold_id(name)?;
    check_name(app, &id).await?;
    if reason.is_some_and(|reason| reason.chars().count() > MAX_REASON || reason.contains('\0')) {
        let detail = format!("`reason` has more than {MAX_REASON} characters, or a zero");
        return Err(Problem::new(ProblemKind::BadRequest, detail));
    }
    Ok(NewHold::by_operator(id, reason))
}

/// Refuses the name of a route or a template that there is not.
async fn check_name(app: &App, id: &HoldId) -> Result<(), Problem> {
    if id.kind == HoldKind::Route && !app.routes.contains(&id.name) {
        let detail = format!("there is no route {:?}", id.name);
        return Err(Problem::new(ProblemKind::NoSuchRoute, detail).with("routes", &app.routes));
    }
    if id.kind == HoldKind::Template {
        // A name that nobody has is a slip of the pen: its orders would go on.
        templates::check(app, &id.name).await?;
    }
    Ok(())
}

/// `PUT /v1/holds/{id}`.
pub(crate) async fn hold(
    State(app): State<App>,
    Id(name): Id,
    Fields(HoldBody { reason }): Fields<HoldBody>,
) -> Result<Response, Problem> {
    let hold = new_hold(&app, &name, reason.as_deref()).await?;
    let id = hold.id.clone();
    let is_new = app.database.hold(hold).await?;
    let outcome = if is_new { Outcome::Held } else { Outcome::AlreadyHeld };
    Ok(answer(StatusCode::OK, &HoldChange { outcome, hold: id }))
}

/// `DELETE /v1/holds/{id}`.
pub(crate) async fn release(State(app): State<App>, Id(name): Id) -> Result<Response, Problem> {
    let id = hold_id(&name)?;
    let was_held = app.database.release_hold(&id).await?;
    // What was held may be gone from the configuration, and can still be released.
    if !was_held {
        check_name(&app, &id).await?;
    }
    let outcome = if was_held { Outcome::Released } else { Outcome::NotHeld };
    Ok(answer(StatusCode::OK, &HoldChange { outcome, hold: id }))
}

/// `POST /v1/templates/{id}/pause`.
pub(crate) async fn pause_template(
    app: State<App>,
    Id(name): Id,
    body: Fields<HoldBody>,
) -> Result<Response, Problem> {
    hold_of(app, HoldId::new(HoldKind::Template, &name), body).await
}

/// `POST /v1/templates/{id}/resume`.
pub(crate) async fn resume_template(app: State<App>, Id(name): Id) -> Result<Response, Problem> {
    release_of(app, HoldId::new(HoldKind::Template, &name)).await
}

/// `POST /v1/routes/{id}/hold`.
pub(crate) async fn hold_route(
    app: State<App>,
    Id(name): Id,
    body: Fields<HoldBody>,
) -> Result<Response, Problem> {
    hold_of(app, HoldId::new(HoldKind::Route, &name), body).await
}

/// `POST /v1/routes/{id}/release`.
pub(crate) async fn release_route(app: State<App>, Id(name): Id) -> Result<Response, Problem> {
    release_of(app, HoldId::new(HoldKind::Route, &name)).await
}

async fn hold_of(app: State<App>, id: HoldId, body: Fields<HoldBody>) -> Result<Response, Problem> {
    let name = id.to_string();
    let mut response = hold(app, Id(name.clone()), body).await?;
    response.extensions_mut().insert(Audited::Target(name));
    Ok(response)
}

async fn release_of(app: State<App>, id: HoldId) -> Result<Response, Problem> {
    let name = id.to_string();
    let mut response = release(app, Id(name.clone())).await?;
    response.extensions_mut().insert(Audited::Target(name));
    Ok(response)
}

/// Asks a worker to drain, or takes that back. Whether that changed anything.
pub(crate) async fn set_drain(app: &App, worker: &str, drain: bool) -> Result<bool, Problem> {
    match app.database.set_drain(worker, drain).await? {
        DrainAnswer::Changed => Ok(true),
        DrainAnswer::Unchanged => Ok(false),
        DrainAnswer::NoSuchWorker => {
            let detail = format!("there is no worker {worker:?}, or not any more");
            Err(Problem::new(ProblemKind::NoSuchWorker, detail))
        }
    }
}

/// `POST /v1/workers/{id}/drain`.
pub(crate) async fn drain(State(app): State<App>, Id(worker): Id) -> Result<Response, Problem> {
    let (status, outcome) = match set_drain(&app, &worker, true).await? {
        true => (StatusCode::ACCEPTED, Outcome::Draining),
        false => (StatusCode::OK, Outcome::Unchanged),
    };
    Ok(answer(status, &WorkerChange { outcome, worker }))
}

/// `DELETE /v1/workers/{id}/drain`.
pub(crate) async fn undrain(State(app): State<App>, Id(worker): Id) -> Result<Response, Problem> {
    let (status, outcome) = match set_drain(&app, &worker, false).await? {
        true => (StatusCode::ACCEPTED, Outcome::Withdrawn),
        false => (StatusCode::OK, Outcome::Unchanged),
    };
    Ok(answer(status, &WorkerChange { outcome, worker }))
}

/// `POST /v1/breakers/{id}/release`.
pub(crate) async fn release_breakers(
    State(app): State<App>,
    Id(provider): Id,
) -> Result<Response, Problem> {
    let breakers = app.database.release_breakers(&provider).await?;
    if breakers > 0 {
        let change = BreakerChange { outcome: Outcome::Released, provider, breakers, note: None };
        return Ok(answer(StatusCode::ACCEPTED, &change));
    }
    // Workers may have another configuration, so a server without providers knows no better.
    let is_known = app.providers.contains(&provider);
    if !is_known && !app.providers.is_empty() {
        let detail = format!("there is no provider {provider:?}");
        let problem = Problem::new(ProblemKind::NoSuchProvider, detail);
        return Err(problem.with("providers", &app.providers));
    }
    let note = (!is_known).then_some("this server's configuration has no provider of this name");
    let change = BreakerChange { outcome: Outcome::Unchanged, provider, breakers, note };
    Ok(answer(StatusCode::OK, &change))
}

/// The parameters of `GET /v1/audit`.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Audit {
    /// Entries of a page, at most 1000. Default: 50.
    limit: Option<u32>,
    /// Only entries with a lower id: `next` of the page before.
    before: Option<i64>,
}

/// `GET /v1/audit`.
pub(crate) async fn audit(
    State(app): State<App>,
    Parameters(Audit { limit, before }): Parameters<Audit>,
) -> Result<Response, Problem> {
    let limit = page(limit)?;
    let entries = app.database.audit_log(before.unwrap_or(i64::MAX), limit).await?;
    let is_full = entries.len() >= limit as usize;
    let next = entries.last().filter(|_| is_full).map(|entry| entry.id);
    Ok(answer(StatusCode::OK, &AuditPage { entries, next }))
}
