//! Another document for an order: checked by the same intake as one that is sent to the API, shown
//! with what it would change, and queued after that.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use sitewright_console::{ReviseFacts, ReviseStep, Section, address};
use sitewright_control::{Document, different_fields, editable, read, sent_digest};
use sitewright_intake::OrderSnapshot;
use sitewright_jobs::{Order, Revised, Revision};

use super::actions::done;
use super::pages::template_names;
use super::visit::{Visit, page_with};
use crate::access::Audited;
use crate::app::App;
use crate::extract::Id;
use crate::problem::Problem;
use crate::templates;

/// What was typed into the form.
struct Typed {
    document: String,
    template: String,
}

/// `GET /console/orders/{id}/revise`.
pub(crate) async fn form(
    State(app): State<App>,
    Id(id): Id,
    visit: Visit,
) -> Result<Response, Problem> {
    let order = app.database.order(&id).await?;
    let document = editable(app.database.document(&id).await?, &app.reading).await?;
    let typed = Typed { document, template: order.template.clone() };
    let step = ReviseStep::Edit { problems: Vec::new() };
    shown(&app, &visit, StatusCode::OK, order, typed, step).await
}

/// `POST /console/orders/{id}/revise`.
pub(crate) async fn send(
    State(app): State<App>,
    Id(id): Id,
    visit: Visit,
) -> Result<Response, Problem> {
    let order = app.database.order(&id).await?;
    let typed = Typed {
        document: visit.form.get("document").unwrap_or_default().to_owned(),
        template: visit.form.text("template").unwrap_or_else(|| order.template.clone()),
    };
    let step = visit.form.get("step");
    if step == Some("edit") {
        let step = ReviseStep::Edit { problems: Vec::new() };
        return unchanged(shown(&app, &visit, StatusCode::OK, order, typed, step).await?);
    }
    let snapshot = match checked(&app, &order, &visit, &typed).await? {
        Ok(snapshot) => snapshot,
        Err(problems) => {
            let step = ReviseStep::Edit { problems };
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            return unchanged(shown(&app, &visit, status, order, typed, step).await?);
        }
    };
    if step != Some("send") {
        let known = app.database.document(&id).await?;
        let notices = snapshot.order().notices.iter();
        let step = ReviseStep::Confirm {
            warnings: notices.map(|one| (place(&one.pointer), one.message.clone())).collect(),
            fields: different_fields(&known, snapshot.document()),
        };
        return unchanged(shown(&app, &visit, StatusCode::OK, order, typed, step).await?);
    }
    let sent = sent_digest(&snapshot, snapshot.document());
    let revision = Revision {
        document: snapshot.document(),
        template: Some(typed.template.as_str()),
        config_version: Some(app.config_version.as_str()),
        sent_digest: Some(&sent),
        callback: None,
    };
    let did = match app.database.revise_as(&id, revision).await? {
        Revised::Queued { .. } => "revised",
        Revised::Unchanged { .. } => "revised_same",
    };
    done(&address::order(&id), did)
}

/// The order of a document; where it is not one, and why it is not taken.
async fn checked(
    app: &App,
    order: &Order,
    visit: &Visit,
    typed: &Typed,
) -> Result<Result<OrderSnapshot, Vec<(String, String)>>, Problem> {
    let refused = |why: String| Ok(Err(vec![(String::new(), why)]));
    if visit.form.text("revision") != Some(order.revision.to_string()) {
        return refused(format!(
            "The order has got document {} since this form was opened; open it again.",
            order.revision
        ));
    }
    let snapshot = match read(typed.document.clone().into_bytes(), &app.reading).await? {
        Document::Order(snapshot) => snapshot,
        Document::Invalid(invalid) => {
            let problem =
                |one: &sitewright_intake::Problem| (place(&one.pointer), one.message.clone());
            return Ok(Err(invalid.problems().map(problem).collect()));
        }
    };
    let own: &str = snapshot.id().as_ref();
    if own != order.id {
        return refused(format!("The document is that of order {own:?}."));
    }
    if typed.template != order.template
        && let Err(problem) = templates::check(app, &typed.template).await
    {
        return refused(format!("The template cannot be used: {}.", problem.detail));
    }
    Ok(Ok(snapshot))
}

/// What a message is about, whose pointer is that of the whole document without one.
fn place(pointer: &str) -> String {
    if pointer.is_empty() { "the document".to_owned() } else { pointer.to_owned() }
}

async fn shown(
    app: &App,
    visit: &Visit,
    status: StatusCode,
    order: Order,
    typed: Typed,
    step: ReviseStep,
) -> Result<Response, Problem> {
    let frame = visit.frame(Section::Orders, format!("Another document for order {}", order.id));
    let Typed { document, template } = typed;
    let templates = template_names(app).await?;
    let facts = ReviseFacts { order, document, template, templates, step };
    page_with(status, sitewright_console::revise(&frame, &facts))
}

/// Nothing was done that the audit log could tell of.
fn unchanged(mut response: Response) -> Result<Response, Problem> {
    response.extensions_mut().insert(Audited::Nothing);
    Ok(response)
}
