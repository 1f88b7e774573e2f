//! `/v1/bulk`: many orders queued again or cancelled, in the background; and what makes these
//! changes, also those that the console or another server has begun.

use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use sitewright_failure::fingerprint::beginning;
use sitewright_jobs::{
    BulkAction, BulkRun, BulkState, ClaimedBulk, MAX_BULK_RUNS, MAX_BULK_RUNS_OF_TENANT,
    NewBulkRun, OrderState, Selection,
};
use sitewright_model::time::now_ms;
use tokio::task::JoinSet;

use super::access::{Actor, Audited, Sender};
use super::answers::{BulkAnswer, Outcome};
use super::app::App;
use super::extract::{Fields, Id, answer};
use super::failures;
use super::moment::Moment;
use super::problem::{Problem, ProblemKind};
use super::tenancy::Tenant;

/// Bulk actions that one server makes at the same time.
const AT_ONCE: usize = 4;
/// Time between two looks for bulk actions whose server has ended.
const LOOK: Duration = Duration::from_secs(5);
/// Pause between two batches, in which workers have the database: as long as the batch took, within
/// these bounds.
const PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);
/// Pause while the database is away.
const LATER: Duration = Duration::from_secs(2);
/// Ids that the answer to a dry run has at most.
const MAX_IDS: usize = 1_000;

/// The body of `POST /v1/bulk`.
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Body {
    /// `retry` or `cancel`. Required.
    action: Option<BulkAction>,
    /// Which orders. At least one condition; all of them must hold.
    #[serde(default)]
    filter: Filter,
    /// Say which orders are selected, and change nothing.
    #[serde(default)]
    dry_run: bool,
}

/// Which orders.
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Filter {
    /// One of these states. Default: `failed` and `dead` to retry; `queued`, `waiting` and `running`
    /// to cancel.
    #[schemars(with = "Vec<OrderState>")]
    states: Vec<String>,
    template: Option<String>,
    /// The kind of the last failure.
    kind: Option<String>,
    /// The beginning of the fingerprint of the last failure: at least 4 hexadecimal digits.
    fingerprint: Option<String>,
    /// Label of whoever the orders are for. That of the token, if it is for one tenant.
    tenant: Option<String>,
    /// Only orders whose state changed since then: a time before now (90s, 30m, 2h, 7d, 2w), a day
    /// (2026-11-23), a time (2026-11-23T08:00:00Z), or milliseconds since the Unix epoch.
    since: Option<Moment>,
    /// Maximum number of orders, those first whose state changed first.
    limit: Option<u32>,
}

impl Filter {
    fn is_empty(&self) -> bool {
        let Filter { states, template, kind, fingerprint, tenant, since, limit: _ } = self;
        states.is_empty()
            && template.is_none()
            && kind.is_none()
            && fingerprint.is_none()
            && tenant.is_none()
            && since.is_none()
    }

    fn selection(self, action: BulkAction) -> Result<Selection, Problem> {
        let wrong = |detail: String| Problem::new(ProblemKind::BadRequest, detail);
        if self.is_empty() {
            let detail = "`filter` has no condition: `states`, `template`, `kind`, `fingerprint`, \
                          `tenant` or `since`";
            return Err(wrong(detail.to_owned()));
        }
        let Filter { states, template, kind, fingerprint, tenant, since, limit } = self;
        let state = |(at, name): (usize, String)| {
            let at = format!("/filter/states/{at}");
            let state: OrderState =
                name.parse().map_err(|why: String| wrong(format!("`{at}`: {why}")))?;
            match (fits(action, state), action) {
                (true, _) => Ok(state),
                (false, BulkAction::Retry) => {
                    Err(wrong(format!("`{at}` is {state}: such an order has not ended")))
                }
                (false, BulkAction::Cancel) => {
                    Err(wrong(format!("`{at}` is {state}: such an order has ended")))
                }
            }
        };
        let states = states.into_iter().enumerate().map(state).collect::<Result<Vec<_>, _>>()?;
        let states = if states.is_empty() { states_of(action, None) } else { states };
        // A condition that says nothing would select all orders, and a slip of the pen none.
        let text = |name: &str, text: Option<String>| match text {
            Some(text) if text.trim().is_empty() || text.contains('\0') => {
                let detail = format!("`/filter/{name}` is {text:?}; leave it out for all orders");
                Err(wrong(detail))
            }
            text => Ok(text),
        };
        let (template, tenant) = (text("template", template)?, text("tenant", tenant)?);
        let kind = kind.map(|name| failures::kind("/filter/kind", &name)).transpose()?;
        let fingerprint = fingerprint.map(|text| beginning(&text)).transpose();
        let fingerprint =
            fingerprint.map_err(|why| wrong(format!("`/filter/fingerprint`: {why}")))?;
        let since = since.map(|since| since.read("/filter/since")).transpose()?;
        if limit == Some(0) {
            return Err(wrong("`/filter/limit` is 0; leave it out for all orders".to_owned()));
        }
        Ok(Selection {
            states,
            template,
            kind: kind.map(|kind| kind.as_str().to_owned()),
            fingerprint,
            text: None,
            tenant,
            since,
            // Orders that change later are left alone.
            until: Some(now_ms()),
            limit: limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX)),
        })
    }
}

/// The states of orders that are changed: the one that somebody wants, or all that are meant.
pub(crate) fn states_of(action: BulkAction, wanted: Option<OrderState>) -> Vec<OrderState> {
    match (wanted, action) {
        (Some(state), _) => Some(state).filter(|state| fits(action, *state)).into_iter().collect(),
        (None, BulkAction::Retry) => vec![OrderState::Failed, OrderState::Dead],
        (None, BulkAction::Cancel) => {
            vec![OrderState::Queued, OrderState::Waiting, OrderState::Running]
        }
    }
}

fn fits(action: BulkAction, state: OrderState) -> bool {
    match action {
        BulkAction::Retry => state.has_ended(),
        BulkAction::Cancel => !state.has_ended(),
    }
}

/// Begins a bulk action, which a server makes in the background.
pub(crate) async fn begin(
    app: &App,
    action: BulkAction,
    selection: Selection,
    selected: usize,
    actor: &Actor,
) -> Result<BulkRun, Problem> {
    let (token, actor) = (actor.token().map(str::to_owned), actor.name().to_owned());
    let run = NewBulkRun { action, selection, selected, token, actor };
    let run = app.database.begin_bulk(run).await?.ok_or_else(|| {
        let detail = format!(
            "{MAX_BULK_RUNS} bulk actions, or {MAX_BULK_RUNS_OF_TENANT} of this tenant, have not \
             ended yet"
        );
        Problem::new(ProblemKind::TooManyChanges, detail)
    })?;
    app.bulk_begun.notify_one();
    Ok(run)
}

/// `POST /v1/bulk`.
pub(crate) async fn start(
    State(app): State<App>,
    Sender(actor): Sender,
    tenant: Tenant,
    Fields(Body { action, mut filter, dry_run }): Fields<Body>,
) -> Result<Response, Problem> {
    let Some(action) = action else {
        let detail = "`action` is missing: `retry` or `cancel`";
        return Err(Problem::new(ProblemKind::BadRequest, detail));
    };
    filter.tenant = tenant.wanted(filter.tenant)?;
    let selection = filter.selection(action)?;
    let counts = app.database.count_selected(&selection).await?;
    let found: i64 = counts.iter().map(|(_, orders)| orders).sum();
    let limit = selection.limit.unwrap_or(usize::MAX);
    let selected = usize::try_from(found).unwrap_or(usize::MAX).min(limit);
    if dry_run {
        let shown = Selection { limit: Some(limit.min(MAX_IDS)), ..selection };
        let orders = app.database.select(&shown).await?;
        let body = BulkAnswer { outcome: Outcome::DryRun, selected, orders, run: None };
        let mut response = answer(StatusCode::OK, &body);
        response.extensions_mut().insert(Audited::Nothing);
        return Ok(response);
    }
    let run = begin(&app, action, selection, selected, &actor).await?;
    let id = run.id.clone();
    let body =
        BulkAnswer { outcome: Outcome::Started, selected, orders: Vec::new(), run: Some(run) };
    let mut response = answer(StatusCode::ACCEPTED, &body);
    response.extensions_mut().insert(Audited::Target(id));
    Ok(response)
}

/// Makes bulk actions until the server stops: those that are begun, and those whose server has
/// ended.
pub(crate) async fn make_all(app: App) {
    let mut running = JoinSet::new();
    let mut is_away = false;
    while !app.stop.is_cancelled() {
        while running.try_join_next().is_some() {}
        while running.len() < AT_ONCE {
            match app.database.claim_bulk().await {
                Ok(Some(run)) => {
                    is_away = false;
                    running.spawn(make(app.clone(), run));
                }
                Ok(None) => {
                    is_away = false;
                    break;
                }
                Err(error) => {
                    if !std::mem::replace(&mut is_away, true) {
                        tracing::warn!(%error, "bulk actions cannot be read; it is tried again");
                    }
                    break;
                }
            }
        }
        tokio::select! {
            () = app.stop.cancelled() => {}
            () = app.bulk_begun.notified() => {}
            Some(_) = running.join_next() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
    }
    while running.join_next().await.is_some() {}
}

/// Makes one until it ends, or this server stops: another one goes on with it.
async fn make(app: App, mut run: ClaimedBulk) {
    while !app.stop.is_cancelled() {
        let began = Instant::now();
        let pause = match app.database.step_bulk(&mut run, Some(&app.config_version)).await {
            Ok(true) => began.elapsed().clamp(PAUSE, LONGEST_PAUSE),
            Ok(false) => return,
            Err(error) if error.is_transient() => {
                tracing::warn!(%error, bulk = run.id(), "a bulk action waits for the database");
                LATER
            }
            Err(error) => {
                tracing::error!(%error, bulk = run.id(), "a bulk action failed");
                if let Err(error) = app.database.fail_bulk(&run, &error.to_string()).await {
                    tracing::error!(%error, bulk = run.id(), "its end is not recorded");
                }
                return;
            }
        };
        app.stop.run_until_cancelled(tokio::time::sleep(pause)).await;
    }
    if let Err(error) = app.database.release_bulk(&run).await {
        tracing::warn!(%error, bulk = run.id(), "another server goes on with it in a minute");
    }
}

/// `GET /v1/bulk/{id}`.
pub(crate) async fn show(State(app): State<App>, Id(id): Id) -> Result<Response, Problem> {
    let run = run_of(&app, &id).await?;
    Ok(answer(StatusCode::OK, &run))
}

/// `DELETE /v1/bulk/{id}`.
pub(crate) async fn stop(State(app): State<App>, Id(id): Id) -> Result<Response, Problem> {
    let run = app.database.stop_bulk(&id).await?.ok_or_else(|| nothing(&id))?;
    let (status, outcome) = match run.state {
        BulkState::Running | BulkState::Lost => (StatusCode::ACCEPTED, Outcome::Stopping),
        BulkState::Done | BulkState::Stopped | BulkState::Failed => {
            (StatusCode::OK, Outcome::AlreadyEnded)
        }
    };
    let selected = usize::try_from(run.selected).unwrap_or_default();
    let body = BulkAnswer { outcome, selected, orders: Vec::new(), run: Some(run) };
    Ok(answer(status, &body))
}

/// The bulk action with this id.
pub(crate) async fn run_of(app: &App, id: &str) -> Result<BulkRun, Problem> {
    app.database.bulk_run(id).await?.ok_or_else(|| nothing(id))
}

pub(crate) fn nothing(id: &str) -> Problem {
    let id: String = id.chars().take(40).collect();
    Problem::new(ProblemKind::NoSuchBulk, format!("there is no bulk action {id:?}"))
}
