//! What is read for the pages that ask before something costs money or cannot be taken back.

use axum::extract::State;
use axum::response::Response;
use sitewright_console::{
    CancelFacts, DrainFacts, HoldReleaseFacts, QueueFacts, RetryOrderFacts, Section,
};
use sitewright_jobs::{Stats, WorkerStats};

use super::pages::{SILENT_MS, known_holds, queued};
use super::visit::{Visit, page};
use super::webhooks::{no_delivery, no_webhook};
use crate::app::App;
use crate::extract::Id;
use crate::problem::{Problem, ProblemKind};
use crate::queue::hold_id;
use crate::tenancy::Tenant;

/// Whether a worker sends heartbeats.
fn is_live(worker: &WorkerStats) -> bool {
    worker.silent_ms < SILENT_MS
}

/// The number of live workers.
fn live(workers: &[WorkerStats]) -> usize {
    workers.iter().filter(|worker| is_live(worker)).count()
}

/// `GET /console/orders/{id}/retry`.
pub(crate) async fn retry(
    State(app): State<App>,
    Id(id): Id,
    tenant: Tenant,
    visit: Visit,
) -> Result<Response, Problem> {
    let order = app.database.order(&id).await?;
    let stats = app.database.stats().await?;
    let queued = queued(&app, &tenant, &stats).await?;
    let Stats { holds, paused, workers, .. } = stats;
    let served = app.database.templates().await?;
    let facts = RetryOrderFacts {
        cost: app.database.cost(&id).await?,
        kept: app.database.kept_replies(&id).await?,
        queue: QueueFacts {
            queued,
            is_paused: paused,
            workers: live(&workers),
            holds: known_holds(holds, &tenant),
        },
        is_served: served.iter().any(|one| one.name == order.template),
        order,
    };
    let frame = visit.frame(Section::Orders, format!("Make order {id} again?"));
    page(sitewright_console::retry_order(&frame, &facts))
}

/// `GET /console/orders/{id}/cancel`.
pub(crate) async fn cancel(
    State(app): State<App>,
    Id(id): Id,
    visit: Visit,
) -> Result<Response, Problem> {
    let order = app.database.order(&id).await?;
    let facts = CancelFacts { order, cost: app.database.cost(&id).await? };
    let frame = visit.frame(Section::Orders, format!("Cancel order {id}?"));
    page(sitewright_console::cancel_order(&frame, &facts))
}

/// `GET /console/deliveries/{id}/redeliver`.
pub(crate) async fn redeliver(
    State(app): State<App>,
    Id(id): Id,
    visit: Visit,
) -> Result<Response, Problem> {
    let found = app.database.delivery(&id).await?;
    let (delivery, _) = found.ok_or_else(|| no_delivery(&id))?;
    let frame = visit.frame(Section::Settings, "Deliver it again?");
    page(sitewright_console::redeliver(&frame, &delivery))
}

/// `GET /console/webhooks/{id}/enable`.
pub(crate) async fn enable(
    State(app): State<App>,
    Id(name): Id,
    visit: Visit,
) -> Result<Response, Problem> {
    let webhooks = app.database.webhooks().await?;
    let webhook = webhooks.into_iter().find(|webhook| webhook.name == name);
    let webhook = webhook.ok_or_else(|| no_webhook(&name))?;
    let frame = visit.frame(Section::Settings, "Enable a webhook?");
    page(sitewright_console::enable_webhook(&frame, &webhook))
}

/// `GET /console/workers/{id}/drain`.
pub(crate) async fn drain(
    State(app): State<App>,
    Id(id): Id,
    visit: Visit,
) -> Result<Response, Problem> {
    let workers = app.database.stats().await?.workers;
    let (own, others): (Vec<_>, Vec<_>) =
        workers.into_iter().partition(|worker| worker.client_id == id);
    let worker = own.into_iter().next().ok_or_else(|| {
        let detail = format!("there is no worker {id:?}, or not any more");
        Problem::new(ProblemKind::NoSuchWorker, detail)
    })?;
    let claims = |worker: &&WorkerStats| is_live(worker) && !worker.draining;
    let facts = DrainFacts { worker, others: others.iter().filter(claims).count() };
    let frame = visit.frame(Section::Templates, "Drain a worker?");
    page(sitewright_console::drain_worker(&frame, &facts))
}

/// `GET /console/holds/release`.
pub(crate) async fn release(State(app): State<App>, visit: Visit) -> Result<Response, Problem> {
    let name = visit.query.text("hold").unwrap_or_default();
    let id = hold_id(&name)?;
    let Stats { holds, paused, workers, .. } = app.database.stats().await?;
    let is_from_ai = visit.query.get("from") == Some("ai");
    let facts = HoldReleaseFacts {
        hold: holds.into_iter().find(|hold| hold.id == id),
        name,
        is_from_ai,
        is_paused: paused,
        workers: live(&workers),
    };
    let section = if is_from_ai { Section::Ai } else { Section::Templates };
    let frame = visit.frame(section, "Release a hold?");
    page(sitewright_console::release_hold(&frame, &facts))
}

/// `GET /console/breakers/{id}/release`.
pub(crate) async fn release_breakers(
    State(app): State<App>,
    Id(provider): Id,
    visit: Visit,
) -> Result<Response, Problem> {
    let mut open = app.database.breakers().await?;
    open.retain(|breaker| breaker.provider == provider);
    let frame = visit.frame(Section::Ai, "Release circuit breakers?");
    page(sitewright_console::release_breakers(&frame, &provider, &open))
}

/// `GET /console/queue/resume`.
pub(crate) async fn resume(
    State(app): State<App>,
    tenant: Tenant,
    visit: Visit,
) -> Result<Response, Problem> {
    let stats = app.database.stats().await?;
    let queued = queued(&app, &tenant, &stats).await?;
    let Stats { holds, paused, workers, .. } = stats;
    let facts = QueueFacts { queued, is_paused: paused, workers: live(&workers), holds };
    let frame = visit.frame(Section::Now, "Resume the queue?");
    page(sitewright_console::resume_queue(&frame, &facts))
}
