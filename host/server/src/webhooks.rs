//! `/v1/webhooks`: who is told of orders, and what became of each delivery.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use sitewright_jobs::{DeliveryCursor, DeliveryFilter, DeliveryState};

use super::answers::{
    DeliveryDetail, DeliveryPage, Outcome, Redelivery, WebhookChange, WebhookList,
};
use super::app::App;
use super::extract::{Id, Parameters, answer};
use super::orders::{page, position, read_position};
use super::problem::{Problem, ProblemKind};

/// `GET /v1/webhooks`.
pub(crate) async fn list(State(app): State<App>) -> Result<Response, Problem> {
    let webhooks = app.database.webhooks().await?;
    Ok(answer(StatusCode::OK, &WebhookList { webhooks }))
}

/// `POST /v1/webhooks/{id}/enable`.
pub(crate) async fn enable(State(app): State<App>, Id(name): Id) -> Result<Response, Problem> {
    let Some(webhook) = app.database.enable_webhook(&name).await? else {
        let detail = format!("no process has a webhook {name:?} in its configuration");
        return Err(Problem::new(ProblemKind::NoSuchWebhook, detail));
    };
    Ok(answer(StatusCode::OK, &WebhookChange { outcome: Outcome::Enabled, webhook }))
}

/// The parameters of `GET /v1/webhooks/deliveries`.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct List {
    /// Only those of this webhook; `callback` for the callbacks of orders.
    webhook: Option<String>,
    /// Only those about this order.
    order: Option<String>,
    /// Only those in this state.
    state: Option<DeliveryState>,
    /// Deliveries of a page, at most 1000. Default: 50.
    limit: Option<u32>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// `GET /v1/webhooks/deliveries`.
pub(crate) async fn deliveries(
    State(app): State<App>,
    Parameters(list): Parameters<List>,
) -> Result<Response, Problem> {
    let limit = page(list.limit)?;
    let after = match list.cursor.as_deref() {
        Some(cursor) => {
            let (at, id) = read_position(cursor)?;
            Some(DeliveryCursor { at, id })
        }
        None => None,
    };
    // One more, to know whether there is a next page.
    let filter = DeliveryFilter {
        webhook: list.webhook,
        order: list.order,
        state: list.state,
        after,
        limit: limit.saturating_add(1),
    };
    let mut deliveries = app.database.deliveries(&filter).await?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = deliveries.len() > limit;
    deliveries.truncate(limit);
    let next = deliveries.last().filter(|_| more).map(|last| position(last.at, &last.id));
    Ok(answer(StatusCode::OK, &DeliveryPage { deliveries, next }))
}

/// `GET /v1/webhooks/deliveries/{id}`.
pub(crate) async fn show(State(app): State<App>, Id(id): Id) -> Result<Response, Problem> {
    let Some((delivery, attempts)) = app.database.delivery(&id).await? else {
        return Err(no_delivery(&id));
    };
    Ok(answer(StatusCode::OK, &DeliveryDetail { delivery, attempts }))
}

/// `POST /v1/webhooks/deliveries/{id}/redeliver`.
pub(crate) async fn redeliver(State(app): State<App>, Id(id): Id) -> Result<Response, Problem> {
    let Some(delivery) = app.database.redeliver(&id).await? else {
        return Err(no_delivery(&id));
    };
    Ok(answer(StatusCode::ACCEPTED, &Redelivery { outcome: Outcome::Queued, delivery }))
}

fn no_delivery(id: &str) -> Problem {
    Problem::new(ProblemKind::NoSuchDelivery, format!("there is no delivery {id:?}"))
}
