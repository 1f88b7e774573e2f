//! What forms do. Each answers with the address of the page that says what was done.

use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use sitewright_console::{EraseFacts, Section, address};
use sitewright_control::erase as erase_order;
use sitewright_jobs::CancelAnswer;
use sitewright_site::OrderDir;

use super::visit::{Visit, page_with, see};
use crate::access::Audited;
use crate::app::App;
use crate::extract::Id;
use crate::problem::Problem;
use crate::queue::{hold_id, new_hold, set_drain};

/// The page at this address, which says what was done.
pub(super) fn done(page: &str, did: &str) -> Result<Response, Problem> {
    see(&address::with(page, &[("did", Some(did))]))
}

/// `POST /console/orders/{id}/retry`.
pub(crate) async fn retry(
    State(app): State<App>,
    Id(id): Id,
    _: Visit,
) -> Result<Response, Problem> {
    app.database.reopen(&id, Some(&app.config_version)).await?;
    done(&address::order(&id), "queued")
}

/// `POST /console/orders/{id}/cancel`.
pub(crate) async fn cancel(
    State(app): State<App>,
    Id(id): Id,
    _: Visit,
) -> Result<Response, Problem> {
    let did = match app.database.cancel(&id).await? {
        CancelAnswer::Cancelled => "cancelled",
        CancelAnswer::Stopping => "stopping",
        CancelAnswer::AlreadyEnded(_) => "already_ended",
    };
    done(&address::order(&id), did)
}

/// `POST /console/orders/{id}/erase`.
pub(crate) async fn erase(
    State(app): State<App>,
    Id(id): Id,
    visit: Visit,
) -> Result<Response, Problem> {
    if visit.form.text("confirm").as_deref() != Some(id.trim()) {
        let facts = EraseFacts {
            order: app.database.order(&id).await?,
            rows: app.database.rows_of(&id).await?,
            has_store: app.store.is_some(),
            complaint: Some("Nothing was erased: the id that was typed is another one.".to_owned()),
        };
        let frame = visit.frame(Section::Orders, format!("Erase order {id}?"));
        let status = axum::http::StatusCode::BAD_REQUEST;
        return page_with(status, sitewright_console::erase(&frame, &facts));
    }
    // The rest of the time is for the database and the files.
    let stops_within = app.settings.answer_within().mul_f64(0.6).min(Duration::from_secs(30));
    erase_order(&app.database, &app.sites, &id, stops_within).await?;
    if let (Some(store), Ok(folder)) = (&app.store, OrderDir::new(&id)) {
        store.remove_order(&folder).await?;
    }
    done("/console/orders", "erased")
}

/// `POST /console/queue/pause`.
pub(crate) async fn pause(State(app): State<App>, _: Visit) -> Result<Response, Problem> {
    app.database.pause().await?;
    done(address::HOME, "paused")
}

/// `POST /console/queue/resume`.
pub(crate) async fn resume(State(app): State<App>, _: Visit) -> Result<Response, Problem> {
    app.database.resume().await?;
    done(address::HOME, "resumed")
}

/// `POST /console/workers/{id}/drain`.
pub(crate) async fn drain(
    State(app): State<App>,
    Id(id): Id,
    _: Visit,
) -> Result<Response, Problem> {
    let has_changed = set_drain(&app, &id, true).await?;
    done("/console/templates", if has_changed { "draining" } else { "drain_same" })
}

/// `POST /console/workers/{id}/undrain`.
pub(crate) async fn undrain(
    State(app): State<App>,
    Id(id): Id,
    _: Visit,
) -> Result<Response, Problem> {
    let has_changed = set_drain(&app, &id, false).await?;
    done("/console/templates", if has_changed { "undrained" } else { "drain_same" })
}

/// `POST /console/holds/set`.
pub(crate) async fn hold(State(app): State<App>, visit: Visit) -> Result<Response, Problem> {
    let name = visit.form.text("hold").unwrap_or_default();
    let reason = visit.form.text("reason");
    app.database.hold(new_hold(&app, &name, reason.as_deref()).await?).await?;
    on_hold(&visit, name, "held")
}

/// `POST /console/holds/release`.
pub(crate) async fn release(State(app): State<App>, visit: Visit) -> Result<Response, Problem> {
    let name = visit.form.text("hold").unwrap_or_default();
    let was_held = app.database.release_hold(&hold_id(&name)?).await?;
    on_hold(&visit, name, if was_held { "released" } else { "not_held" })
}

/// `POST /console/breakers/{id}/release`.
pub(crate) async fn release_breakers(
    State(app): State<App>,
    Id(provider): Id,
    _: Visit,
) -> Result<Response, Problem> {
    let did = match app.database.release_breakers(&provider).await? {
        0 => "breakers_same",
        _ => "breakers_released",
    };
    done("/console/ai", did)
}

/// The page that the form was on. The audit log names the hold, which is not in the address.
fn on_hold(visit: &Visit, name: String, did: &str) -> Result<Response, Problem> {
    let page = match visit.form.get("from") {
        Some("ai") => "/console/ai",
        _ => "/console/templates",
    };
    let mut response = done(page, did)?;
    response.extensions_mut().insert(Audited::Target(name));
    Ok(response)
}
