//! `/v1/bulk`: many orders queued again or cancelled, in the background.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use sitewright_jobs::{BULK_BATCH, BulkAction, BulkOutcome, BulkState, OrderState, Selection};

use super::access::Audited;
use super::answers::{BulkAnswer, Outcome};
use super::app::App;
use super::extract::{Fields, Id, answer};
use super::problem::{Problem, ProblemKind};

/// Pause between two batches, in which workers have the database.
const PAUSE: Duration = Duration::from_millis(20);
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
    states: Vec<OrderState>,
    template: Option<String>,
    /// The kind of the last failure.
    kind: Option<String>,
    /// The beginning of the fingerprint of the last failure.
    fingerprint: Option<String>,
    /// Only orders whose state changed since then, in milliseconds since the Unix epoch.
    since: Option<i64>,
    /// Maximum number of orders, those first whose state changed first.
    limit: Option<u32>,
}

impl Filter {
    fn is_empty(&self) -> bool {
        let Filter { states, template, kind, fingerprint, since, limit: _ } = self;
        states.is_empty()
            && template.is_none()
            && kind.is_none()
            && fingerprint.is_none()
            && since.is_none()
    }

    fn selection(self, action: BulkAction) -> Result<Selection, Problem> {
        let wrong = |detail: String| Problem::new(ProblemKind::BadRequest, detail);
        if self.is_empty() {
            let detail = "`filter` has no condition: `states`, `template`, `kind`, `fingerprint` or \
                          `since`";
            return Err(wrong(detail.to_owned()));
        }
        let fits = |state: &OrderState| match action {
            BulkAction::Retry => state.has_ended(),
            BulkAction::Cancel => !state.has_ended(),
        };
        if let Some(state) = self.states.iter().find(|state| !fits(state)) {
            let detail = match action {
                BulkAction::Retry => format!("`states` has {state}: such an order has not ended"),
                BulkAction::Cancel => format!("`states` has {state}: such an order has ended"),
            };
            return Err(wrong(detail));
        }
        let states = match (self.states.as_slice(), action) {
            ([], BulkAction::Retry) => vec![OrderState::Failed, OrderState::Dead],
            ([], BulkAction::Cancel) => {
                vec![OrderState::Queued, OrderState::Waiting, OrderState::Running]
            }
            (states, _) => states.to_vec(),
        };
        let limit = self.limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let Filter { template, kind, fingerprint, since, .. } = self;
        Ok(Selection { states, template, kind, fingerprint, since, limit })
    }
}

/// `POST /v1/bulk`.
pub(crate) async fn start(
    State(app): State<App>,
    Fields(Body { action, filter, dry_run }): Fields<Body>,
) -> Result<Response, Problem> {
    let Some(action) = action else {
        let detail = "`action` is missing: `retry` or `cancel`";
        return Err(Problem::new(ProblemKind::BadRequest, detail));
    };
    let selection = filter.selection(action)?;
    let mut orders = app.database.select(&selection).await?;
    let selected = orders.len();
    if dry_run {
        orders.truncate(MAX_IDS);
        let body = BulkAnswer { outcome: Outcome::DryRun, selected, orders, run: None };
        let mut response = answer(StatusCode::OK, &body);
        response.extensions_mut().insert(Audited::Nothing);
        return Ok(response);
    }
    let run = app.database.begin_bulk(action, selected).await?;
    let id = run.id.clone();
    let body =
        BulkAnswer { outcome: Outcome::Started, selected, orders: Vec::new(), run: Some(run) };
    let mut response = answer(StatusCode::ACCEPTED, &body);
    response.extensions_mut().insert(Audited::Target(id.clone()));
    let actions = app.actions.clone();
    actions.spawn(async move {
        let (state, reason) = work(&app, &id, action, &orders, &selection.states).await;
        if let Err(error) = app.database.end_bulk(&id, state, reason.as_deref()).await {
            tracing::error!(%error, bulk = id, %state, "the end of a bulk action is not recorded");
        }
    });
    Ok(response)
}

/// Changes the orders in batches. How it ended, and why it did not look at all of them.
async fn work(
    app: &App,
    id: &str,
    action: BulkAction,
    orders: &[String],
    only: &[OrderState],
) -> (BulkState, Option<String>) {
    for batch in orders.chunks(BULK_BATCH) {
        if app.stop.is_cancelled() {
            return (BulkState::Stopped, Some("the server was stopped".to_owned()));
        }
        let outcomes = match action {
            BulkAction::Retry => {
                app.database.reopen_all(batch, only, Some(&app.config_version)).await
            }
            BulkAction::Cancel => app.database.cancel_all(batch, only).await,
        };
        let stop = match outcomes {
            Ok(outcomes) => {
                let changed = outcomes.iter().filter(|outcome| has_changed(outcome)).count();
                app.database.record_bulk(id, changed, outcomes.len() - changed).await
            }
            Err(error) => Err(error),
        };
        match stop {
            Ok(false) => {}
            Ok(true) => return (BulkState::Stopped, Some("somebody stopped it".to_owned())),
            Err(error) => {
                tracing::error!(%error, bulk = id, "a bulk action failed");
                return (BulkState::Failed, Some(error.to_string()));
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
    (BulkState::Done, None)
}

fn has_changed(outcome: &BulkOutcome) -> bool {
    match outcome {
        BulkOutcome::Queued { .. } | BulkOutcome::Cancelled | BulkOutcome::Stopping => true,
        BulkOutcome::NotEnded { .. }
        | BulkOutcome::AlreadyEnded { .. }
        | BulkOutcome::Changed { .. }
        | BulkOutcome::NoSuchOrder => false,
    }
}

/// `GET /v1/bulk/{id}`.
pub(crate) async fn show(State(app): State<App>, Id(id): Id) -> Result<Response, Problem> {
    let run = app.database.bulk_run(&id).await?.ok_or_else(|| nothing(&id))?;
    Ok(answer(StatusCode::OK, &run))
}

/// `DELETE /v1/bulk/{id}`.
pub(crate) async fn stop(State(app): State<App>, Id(id): Id) -> Result<Response, Problem> {
    let run = app.database.stop_bulk(&id).await?.ok_or_else(|| nothing(&id))?;
    let (status, outcome) = match run.state {
        BulkState::Running => (StatusCode::ACCEPTED, Outcome::Stopping),
        BulkState::Done | BulkState::Stopped | BulkState::Failed | BulkState::Lost => {
            (StatusCode::OK, Outcome::AlreadyEnded)
        }
    };
    let selected = usize::try_from(run.selected).unwrap_or_default();
    let body = BulkAnswer { outcome, selected, orders: Vec::new(), run: Some(run) };
    Ok(answer(status, &body))
}

fn nothing(id: &str) -> Problem {
    Problem::new(ProblemKind::NoSuchBulk, format!("there is no bulk action {id:?}"))
}
