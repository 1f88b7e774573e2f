//! Retrying or cancelling all orders that fit: what would happen, and how far it is.

use axum::extract::State;
use axum::response::Response;
use sitewright_console::{BulkKind, BulkPreview, Section, address};
use sitewright_jobs::{Matching, OrderState, Stats, WorkerStats};
use sitewright_model::time::now_ms;

use super::changes::Plan;
use super::guard::Sender;
use super::pages::{SILENT_MS, wanted};
use super::visit::{Fields, Visit, page, see};
use crate::access::Audited;
use crate::app::App;
use crate::extract::Id;
use crate::problem::{Problem, ProblemKind};

/// What the change is, of a query or a form.
fn kind(fields: &Fields) -> Result<BulkKind, Problem> {
    let name = fields.text("do").unwrap_or_default();
    name.parse().map_err(|_| {
        let detail = format!("`do` is {name:?} and must be retry or cancel");
        Problem::new(ProblemKind::BadRequest, detail)
    })
}

/// The states of orders that are changed: of the one that is looked for, or of all that can be.
fn states(kind: BulkKind, chosen: Option<OrderState>) -> Vec<OrderState> {
    let fits = |state: &OrderState| match kind {
        BulkKind::Retry => state.has_ended(),
        BulkKind::Cancel => !state.has_ended(),
    };
    match chosen {
        Some(state) => Some(state).filter(fits).into_iter().collect(),
        None => match kind {
            BulkKind::Retry => vec![OrderState::Failed, OrderState::Dead],
            BulkKind::Cancel => {
                vec![OrderState::Queued, OrderState::Waiting, OrderState::Running]
            }
        },
    }
}

/// `GET /console/bulk`.
pub(crate) async fn preview(State(app): State<App>, visit: Visit) -> Result<Response, Problem> {
    let kind = kind(&visit.query)?;
    let wanted = wanted(&visit.query)?;
    let until = now_ms();
    let matching = Matching {
        template: wanted.template.clone(),
        kind: wanted.kind.clone(),
        text: wanted.text.clone(),
        until,
    };
    let mut counts = Vec::new();
    for state in states(kind, wanted.state) {
        let orders = app.database.count_matching(state, &matching).await?;
        if orders > 0 {
            counts.push((state, orders));
        }
    }
    let Stats { holds, paused, workers, orders, .. } = app.database.stats().await?;
    let live = |worker: &&WorkerStats| worker.silent_ms < SILENT_MS;
    let facts = BulkPreview {
        kind,
        wanted,
        until,
        counts,
        holds,
        is_paused: paused,
        workers: workers.iter().filter(live).count(),
        queued: orders.get(&OrderState::Queued).copied().unwrap_or_default(),
    };
    let frame = visit.frame(Section::Orders, "Change many orders?");
    page(sitewright_console::bulk_preview(&frame, &facts))
}

/// `POST /console/bulk`.
pub(crate) async fn begin(
    State(app): State<App>,
    Sender(actor): Sender,
    visit: Visit,
) -> Result<Response, Problem> {
    let kind = kind(&visit.form)?;
    let wanted = wanted(&visit.form)?;
    let number = |name: &str| {
        let number = visit.form.get(name).and_then(|text| text.parse::<i64>().ok());
        number.filter(|number| *number >= 0).ok_or_else(|| {
            let detail = format!("the form does not say `{name}`");
            Problem::new(ProblemKind::BadRequest, detail)
        })
    };
    // What the page before said: no order that came later, and not more than somebody agreed to.
    let (until, most) = (number("until")?.min(now_ms()), number("most")?);
    let what = sitewright_console::wanted_in_words(&wanted);
    let plan = Plan {
        kind,
        states: states(kind, wanted.state),
        matching: Matching {
            template: wanted.template,
            kind: wanted.kind,
            text: wanted.text,
            until,
        },
        most: usize::try_from(most).unwrap_or(usize::MAX),
        what: what.clone(),
    };
    let id = app.changes.begin(&app, plan, actor)?;
    let mut response = see(&address::bulk(&id))?;
    response.extensions_mut().insert(Audited::Target(format!("{kind}: {most} orders, {what}")));
    Ok(response)
}

fn no_change(id: &str) -> Problem {
    let id: String = id.chars().take(40).collect();
    let detail = format!("there is no change {id:?}: this server has begun no such, or restarted");
    Problem::new(ProblemKind::NoSuchPath, detail)
}

/// `GET /console/bulk/{id}`.
pub(crate) async fn progress(
    State(app): State<App>,
    Id(id): Id,
    visit: Visit,
) -> Result<Response, Problem> {
    let facts = app.changes.of(&id).ok_or_else(|| no_change(&id))?;
    let mut frame = visit.frame(Section::Orders, "A change of many orders");
    frame.events = facts.end.is_none().then(|| "/console/events".to_owned());
    page(sitewright_console::bulk_progress(&frame, &facts))
}

/// `POST /console/bulk/{id}/stop`.
pub(crate) async fn stop(
    State(app): State<App>,
    Id(id): Id,
    _: Visit,
) -> Result<Response, Problem> {
    let went_on = app.changes.stop(&id).ok_or_else(|| no_change(&id))?;
    let did = if went_on { "bulk_stopping" } else { "bulk_ended" };
    see(&address::with(&address::bulk(&id), &[("did", Some(did))]))
}
