//! Retrying or cancelling all orders that fit, or retrying those of a cause: what would happen, and
//! how far it is.

use axum::extract::State;
use axum::response::Response;
use sitewright_console::{BulkPreview, Section, Wanted, address, goes_on};
use sitewright_jobs::{BulkAction, Selection, Stats, WorkerStats};
use sitewright_model::time::now_ms;

use super::pages::{SILENT_MS, cause_of, known_holds, queued, wanted};
use super::visit::{Fields, Visit, page, see};
use crate::access::{Actor, Audited, Sender};
use crate::app::App;
use crate::bulk::{begin as begin_run, run_of, states_of};
use crate::extract::Id;
use crate::problem::{Problem, ProblemKind};
use crate::tenancy::Tenant;

/// What is done, of a query or a form.
fn action(fields: &Fields) -> Result<BulkAction, Problem> {
    let name = fields.text("do").unwrap_or_default();
    name.parse().map_err(|_| {
        let detail = format!("`do` is {name:?} and must be retry or cancel");
        Problem::new(ProblemKind::BadRequest, detail)
    })
}

/// The orders that fit, if their state has not changed since `until`.
fn selection(action: BulkAction, wanted: &Wanted, tenant: &Tenant, until: i64) -> Selection {
    // No page leads here with what a selection does not know: `Wanted` sees to that.
    let Wanted { state, template, kind, text, cause, contains: _, from: _, to: _ } = wanted.clone();
    Selection {
        states: states_of(action, state),
        template,
        kind,
        text,
        fingerprint: cause,
        tenant: tenant.as_deref().map(str::to_owned),
        until: Some(until),
        ..Selection::default()
    }
}

/// `GET /console/bulk`.
pub(crate) async fn preview(
    State(app): State<App>,
    tenant: Tenant,
    visit: Visit,
) -> Result<Response, Problem> {
    let action = action(&visit.query)?;
    let wanted = wanted(&visit.query)?;
    let selection = selection(action, &wanted, &tenant, now_ms());
    let counts = app.database.count_selected(&selection).await?;
    let stats = app.database.stats().await?;
    let queued = queued(&app, &tenant, &stats).await?;
    let Stats { holds, paused, workers, .. } = stats;
    let live = |worker: &&WorkerStats| worker.silent_ms < SILENT_MS;
    let facts = BulkPreview {
        action,
        selection,
        wanted,
        counts,
        holds: known_holds(holds, &tenant),
        is_paused: paused,
        workers: workers.iter().filter(live).count(),
        queued,
    };
    let frame = visit.frame(Section::Orders, "Change many orders?");
    page(sitewright_console::bulk_preview(&frame, &facts))
}

/// `POST /console/bulk`.
pub(crate) async fn begin(
    State(app): State<App>,
    Sender(actor): Sender,
    tenant: Tenant,
    visit: Visit,
) -> Result<Response, Problem> {
    let action = action(&visit.form)?;
    let wanted = wanted(&visit.form)?;
    let Agreed { until, most } = Agreed::read(&visit.form)?;
    begun(&app, action, selection(action, &wanted, &tenant, until), most, &actor).await
}

/// `POST /console/failures/{fingerprint}/retry`.
pub(crate) async fn retry_cause(
    State(app): State<App>,
    Sender(actor): Sender,
    Id(fingerprint): Id,
    tenant: Tenant,
    visit: Visit,
) -> Result<Response, Problem> {
    let Agreed { until, most } = Agreed::read(&visit.form)?;
    // A selection takes the beginning of a fingerprint, and would take those of other causes.
    let cause = cause_of(&app, &fingerprint, &tenant).await?;
    let action = BulkAction::Retry;
    let selection = Selection {
        fingerprint: Some(cause.group.fingerprint),
        ..selection(action, &Wanted::default(), &tenant, until)
    };
    begun(&app, action, selection, most, &actor).await
}

/// What the page before said: no order that came or changed later, and not more than somebody
/// agreed to.
struct Agreed {
    /// In milliseconds since the Unix epoch.
    until: i64,
    /// Maximum number of orders.
    most: usize,
}

impl Agreed {
    fn read(form: &Fields) -> Result<Self, Problem> {
        let number = |name: &str| {
            let number = form.get(name).and_then(|text| text.parse::<i64>().ok());
            number.filter(|number| *number >= 0).ok_or_else(|| {
                let detail = format!("the form does not say `{name}`");
                Problem::new(ProblemKind::BadRequest, detail)
            })
        };
        let most = usize::try_from(number("most")?).unwrap_or(usize::MAX);
        Ok(Agreed { until: number("until")?.min(now_ms()), most })
    }
}

/// Begins it, and leads to the page that says how far it is.
async fn begun(
    app: &App,
    action: BulkAction,
    selection: Selection,
    most: usize,
    actor: &Actor,
) -> Result<Response, Problem> {
    let what = sitewright_console::selection_in_words(&selection);
    let run = begin_run(app, action, selection, most, actor).await?;
    let mut response = see(&address::bulk(&run.id))?;
    let target = format!("{}: {action}, {most} orders, {what}", run.id);
    response.extensions_mut().insert(Audited::Target(target));
    Ok(response)
}

/// `GET /console/bulk/{id}`.
pub(crate) async fn progress(
    State(app): State<App>,
    Id(id): Id,
    visit: Visit,
) -> Result<Response, Problem> {
    let run = run_of(&app, &id).await?;
    let mut frame = visit.frame(Section::Orders, "A change of many orders");
    frame.events = goes_on(run.state).then(|| "/console/events".to_owned());
    page(sitewright_console::bulk_progress(&frame, &run))
}

/// `POST /console/bulk/{id}/stop`.
pub(crate) async fn stop(
    State(app): State<App>,
    Id(id): Id,
    _: Visit,
) -> Result<Response, Problem> {
    run_of(&app, &id).await?;
    let stopped = app.database.stop_bulk(&id).await?;
    let did = match stopped.is_some_and(|run| goes_on(run.state)) {
        true => "bulk_stopping",
        false => "bulk_ended",
    };
    see(&address::with(&address::bulk(&id), &[("did", Some(did))]))
}
