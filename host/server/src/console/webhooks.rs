//! Webhooks at the console: what is read of them, enable, deliver again; what those of others brought;
//! and what has expired.

use axum::extract::State;
use axum::response::Response;
use sitewright_console::{
    DeliveryFacts, HooksFacts, Section, WantedDeliveries, WantedHookDeliveries, WebhooksFacts,
    address,
};
use sitewright_jobs::{
    DeliveryCursor, DeliveryFilter, DeliveryState, HookDeliveryFilter, HookDeliveryState,
};
use strum::VariantArray as _;

use super::actions::done;
use super::pages::filter;
use super::visit::{Visit, page};
use crate::app::App;
use crate::extract::Id;
use crate::orders::{position, read_position};
use crate::problem::{Problem, ProblemKind};

/// Deliveries of a page.
const DELIVERIES: usize = 40;

/// `GET /console/webhooks`.
pub(crate) async fn list(State(app): State<App>, visit: Visit) -> Result<Response, Problem> {
    let frame = visit.frame(Section::Settings, "Webhooks");
    let state = match visit.query.get("state") {
        None => None,
        Some(name) => Some(name.parse::<DeliveryState>().map_err(|_| {
            let detail = format!("`state` is {name:?} and must be pending, delivered or given_up");
            Problem::new(ProblemKind::BadRequest, detail)
        })?),
    };
    let wanted = WantedDeliveries {
        webhook: filter(&visit.query, "webhook")?,
        order: filter(&visit.query, "order")?,
        state,
    };
    let after = match visit.query.get("cursor") {
        None => None,
        Some(cursor) => {
            let (at, id) = read_position(cursor)?;
            Some(DeliveryCursor { at, id })
        }
    };
    let is_later = after.is_some();
    // One more, to know whether there is a next page.
    let all = DeliveryFilter {
        webhook: wanted.webhook.clone(),
        order: wanted.order.clone(),
        state,
        after,
        limit: u32::try_from(DELIVERIES).unwrap_or_default().saturating_add(1),
    };
    let mut deliveries = app.database.deliveries(&all).await?;
    let more = deliveries.len() > DELIVERIES;
    deliveries.truncate(DELIVERIES);
    let next = deliveries.last().filter(|_| more).map(|last| position(last.at, &last.id));
    let webhooks = app.database.webhooks().await?;
    let facts = WebhooksFacts { webhooks, wanted, deliveries, next, is_later };
    page(sitewright_console::webhooks(&frame, &facts))
}

/// `GET /console/hooks`.
pub(crate) async fn received(State(app): State<App>, visit: Visit) -> Result<Response, Problem> {
    let frame = visit.frame(Section::Settings, "Webhooks of others");
    let state = match visit.query.get("state") {
        None => None,
        Some(name) => Some(name.parse::<HookDeliveryState>().map_err(|_| {
            let known = HookDeliveryState::VARIANTS.iter().map(ToString::to_string);
            let known = known.collect::<Vec<_>>().join(", ");
            let detail = format!("`state` is {name:?} and must be one of {known}");
            Problem::new(ProblemKind::BadRequest, detail)
        })?),
    };
    let wanted = WantedHookDeliveries {
        hook: filter(&visit.query, "hook")?,
        order: filter(&visit.query, "order")?,
        state,
    };
    let cursor = visit.query.get("cursor").map(read_position).transpose()?;
    let is_later = cursor.is_some();
    // One more, to know whether there is a next page.
    let all = HookDeliveryFilter {
        hook: wanted.hook.clone(),
        order: wanted.order.clone(),
        state,
        before: cursor.map(|(_, id)| id),
        limit: u32::try_from(DELIVERIES).unwrap_or_default().saturating_add(1),
    };
    let mut deliveries = app.database.hook_deliveries(&all).await?;
    let more = deliveries.len() > DELIVERIES;
    deliveries.truncate(DELIVERIES);
    let next = deliveries.last().filter(|_| more).map(|last| position(last.at, &last.id));
    let hooks = app.hooks.keys().cloned().collect();
    let facts = HooksFacts { hooks, wanted, deliveries, next, is_later };
    page(sitewright_console::hooks(&frame, &facts))
}

pub(super) fn no_delivery(id: &str) -> Problem {
    Problem::new(ProblemKind::NoSuchDelivery, format!("there is no delivery {id:?}"))
}

pub(super) fn no_webhook(name: &str) -> Problem {
    let detail = format!("no process has a webhook {name:?} in its configuration");
    Problem::new(ProblemKind::NoSuchWebhook, detail)
}

/// `GET /console/deliveries/{id}`.
pub(crate) async fn delivery(
    State(app): State<App>,
    Id(id): Id,
    visit: Visit,
) -> Result<Response, Problem> {
    let Some((delivery, attempts)) = app.database.delivery(&id).await? else {
        return Err(no_delivery(&id));
    };
    let frame = visit.frame(Section::Settings, "A delivery");
    page(sitewright_console::delivery(&frame, &DeliveryFacts { delivery, attempts }))
}

/// `POST /console/deliveries/{id}/redeliver`.
pub(crate) async fn redeliver(
    State(app): State<App>,
    Id(id): Id,
    _: Visit,
) -> Result<Response, Problem> {
    app.database.redeliver(&id).await?.ok_or_else(|| no_delivery(&id))?;
    done(&address::delivery(&id), "redelivered")
}

/// `POST /console/webhooks/{id}/enable`.
pub(crate) async fn enable(
    State(app): State<App>,
    Id(name): Id,
    _: Visit,
) -> Result<Response, Problem> {
    app.database.enable_webhook(&name).await?.ok_or_else(|| no_webhook(&name))?;
    done("/console/webhooks", "enabled")
}

/// `GET /console/retention`.
pub(crate) async fn retention(State(app): State<App>, visit: Visit) -> Result<Response, Problem> {
    let expired = (app.expired)().await.map_err(|why| {
        Problem::new(ProblemKind::Internal, format!("what has expired cannot be counted: {why}"))
    })?;
    let frame = visit.frame(Section::Settings, "What the next sweep removes");
    page(sitewright_console::retention(&frame, &expired, &app.configuration))
}
