//! `/v1/orders`.

use std::time::Duration;

use axum::extract::State;
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Value, json};
use sitewright_control::{
    Difference, Document, Erased, OrderDetail, Part, Submission, Submitted, erase, read,
    sent_digest, submit,
};
use sitewright_failure::fingerprint::beginning;
use sitewright_intake::{InvalidOrder, Notice, OrderSnapshot};
use sitewright_jobs::{
    CancelAnswer, Enqueued, Filter, Found, OrderCursor, OrderState, Priority, Revised, Revision,
    Search,
};
use sitewright_site::OrderDir;

use super::access::Audited;
use super::answers::{
    CancelledOrder, Checked, ErasedOrder, OrderPage, Outcome, RetriedOrder, RevisedOrder,
};
use super::app::App;
use super::callbacks;
use super::extract::{DocumentBody, Id, Parameters, answer, traceparent};
use super::failures;
use super::moment::{due, moment};
use super::problem::{Problem, ProblemKind};
use super::templates;
use super::tenancy::Tenant;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Maximum length of an idempotency key, in characters.
const MAX_KEY: usize = 200;
/// Orders of a page: if nothing is said, and at most.
const PAGE: u32 = 50;
const MAX_PAGE: u32 = 1_000;
/// Maximum length of a text that is looked for in documents, in characters.
const MAX_TEXT: usize = 200;

/// The parameters of `POST /v1/orders`.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Add {
    /// Name of the template that makes the site.
    template: String,
    /// 1 is claimed before 2, 2 before 3, 3 before 4. Default: 2.
    #[serde(default = "default_priority")]
    priority: i64,
    /// Check the document and add nothing.
    #[serde(default)]
    dry_run: bool,
    /// Give an order that the queue has with another document, template or callback the new one.
    #[serde(default)]
    revise: bool,
    /// URL that is told how the order ends, signed, as `[callbacks]` says. An order that the queue
    /// has with another one, or with none, keeps what it has and is answered with 409, unless
    /// `revise=true`.
    callback: Option<String>,
    /// Label of whoever the order is for: `[ai.budget]` can limit each tenant. At most 100
    /// characters. That of the token, if it is for one tenant.
    tenant: Option<String>,
    /// Nobody waits for the order: its AI calls go through the provider's batches, which answer
    /// within a day at a lower price.
    #[serde(default)]
    batch: bool,
    /// The order must not begin before this time (2026-12-24T08:00:00Z, at most five years ahead):
    /// it is `waiting` until then. One that is past means nothing. An order that the queue has keeps
    /// its own.
    due: Option<String>,
}

fn default_priority() -> i64 {
    i64::from(Priority::default())
}

/// `POST /v1/orders`.
pub(crate) async fn add(
    State(app): State<App>,
    of: Tenant,
    Parameters(parameters): Parameters<Add>,
    headers: HeaderMap,
    DocumentBody { bytes, _room }: DocumentBody,
) -> Result<Response, Problem> {
    let priority = Priority::try_from(parameters.priority)
        .map_err(|error| Problem::new(ProblemKind::BadRequest, format!("`priority`: {error}")))?;
    let idempotency_key = key(&headers)?;
    let tenant = of.wanted(parameters.tenant)?;
    let callback = parameters.callback.map(|url| callback(&app, &url)).transpose()?;
    let due_at = parameters.due.map(|text| due(&text)).transpose()?;
    let order = document(&app, bytes).await?;
    templates::check(&app, &parameters.template).await?;
    let notices = language(&app, &order, &parameters.template).await?;
    let (id, revises) = (order.id().to_string(), parameters.revise);
    if parameters.dry_run {
        let warnings = [&order.order().notices[..], &notices[..]].concat();
        let body = Checked { outcome: Outcome::Valid, order: id, warnings };
        return Ok(with(Audited::Nothing, answer(StatusCode::OK, &body)));
    }
    let Add { template, batch, .. } = parameters;
    let submission = Submission {
        order,
        template,
        priority,
        idempotency_key,
        callback,
        only_own: of.as_deref().is_some(),
        tenant,
        batch,
        notices,
        traceparent: traceparent(&headers),
        due_at,
    };
    let revise = revises.then_some(app.config_version.as_str());
    let submitted = submit(&app.database, vec![submission], revise).await;
    let response = match submitted.map(|all| all.into_iter().next()) {
        Ok(Some(submitted)) => accepted(&submitted),
        Ok(None) => {
            let detail = format!("the queue said nothing about order {id:?}");
            Problem::new(ProblemKind::Internal, detail).into_response()
        }
        Err(error) => Problem::from(error).into_response(),
    };
    Ok(with(Audited::Target(id), response))
}

fn with(audited: Audited, mut response: Response) -> Response {
    response.extensions_mut().insert(audited);
    response
}

fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    if text.is_empty() || text.chars().count() > MAX_KEY {
        let detail = format!(
            "the header `Idempotency-Key` must have between 1 and {MAX_KEY} visible characters"
        );
        return Err(Problem::new(ProblemKind::BadRequest, detail));
    }
    Ok(Some(text.to_owned()))
}

/// A callback of a query that may be called.
fn callback(app: &App, url: &str) -> Result<String, Problem> {
    callbacks::allowed(app, "the parameter `callback`", url)
}

/// The order of a document, or all of its problems.
async fn document(app: &App, bytes: Vec<u8>) -> Result<OrderSnapshot, Problem> {
    match read(bytes, &app.reading).await? {
        Document::Order(order) => Ok(order),
        Document::Invalid(invalid) => Err(invalid_order(&invalid)),
    }
}

/// What is said about an order whose language its template does not write.
pub(crate) async fn language(
    app: &App,
    order: &OrderSnapshot,
    template: &str,
) -> Result<Vec<Notice>, Problem> {
    let checked = app.languages.check(order, template).await;
    Ok(checked.map_err(|invalid| invalid_order(&invalid))?.into_iter().collect())
}

fn invalid_order(invalid: &InvalidOrder) -> Problem {
    let problems: Vec<Value> = invalid
        .problems()
        .map(|problem| json!({ "pointer": problem.pointer, "message": problem.message }))
        .collect();
    Problem::new(ProblemKind::InvalidOrder, invalid.to_string())
        .with("order", invalid.id())
        .with("problems", problems)
        .with("warnings", invalid.notices())
}

fn accepted(submitted: &Submitted) -> Response {
    let order = submitted.answer.order();
    if submitted.is_another() {
        let detail = format!(
            "the idempotency key is that of order {order:?}, and the document that of order {:?}",
            submitted.sent_as.as_ref() as &str
        );
        return Problem::new(ProblemKind::KeyInUse, detail).with("order", order).into_response();
    }
    if let Some(Difference { part, fields }) = &submitted.differs {
        let detail = match part {
            Part::Document => format!("the queue has order {order:?} with another document"),
            Part::Template => format!("the queue has order {order:?} with another template"),
            Part::Callback => {
                format!("the queue has order {order:?} with another callback, or with none")
            }
        };
        let problem = Problem::new(ProblemKind::OrderDiffers, detail)
            .with("order", order)
            .with("differs", part)
            .with("fields", fields);
        let problem = match part {
            Part::Document => problem,
            Part::Template => problem.hinting(
                "the queue keeps what it has: PUT /v1/orders/{id}/document?template=NAME, or \
                 `revise=true`, makes the order with the other template",
            ),
            Part::Callback => problem.hinting(
                "the queue keeps what it has: PUT /v1/orders/{id}/callback, or `revise=true`, \
                 gives the order this callback and makes nothing again",
            ),
        };
        return problem.into_response();
    }
    let status = match (&submitted.answer, &submitted.revised) {
        (Enqueued::New { .. }, _) | (_, Some(Revised::Queued { .. })) => StatusCode::ACCEPTED,
        _ => StatusCode::OK,
    };
    located(order, answer(status, &submitted.report()))
}

/// Adds the address of an order.
fn located(order: &str, mut response: Response) -> Response {
    if let Ok(location) = HeaderValue::from_str(&format!("/v1/orders/{}", encoded(order))) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

/// Everything but unreserved characters (RFC 3986).
const RESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// An id as a part of a path.
fn encoded(id: &str) -> String {
    utf8_percent_encode(id, &RESERVED).to_string()
}

/// The parameters of `GET /v1/orders`.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct List {
    /// Only orders in this state.
    state: Option<OrderState>,
    /// Only orders of this template.
    template: Option<String>,
    /// Only orders with this label. That of the token, if it is for one tenant.
    tenant: Option<String>,
    /// Only orders whose last failure is of this kind.
    kind: Option<String>,
    /// Only orders whose last failure has a fingerprint that begins with this: at least 4
    /// hexadecimal digits.
    fingerprint: Option<String>,
    /// Only orders with this text in their document, in values or in names of fields; in upper or
    /// lower case, and without wildcards. At most 200 characters. A page looks through 2000 orders:
    /// it may have fewer orders than `limit`, or none, and nevertheless `next`.
    text: Option<String>,
    /// Only orders that came at or after this time: a time before now (90s, 30m, 2h, 7d, 2w), a day
    /// (2026-11-23), a time (2026-11-23T08:00:00Z), or milliseconds since the Unix epoch.
    created_after: Option<String>,
    /// Only orders that came before this time, written like `created_after`.
    created_before: Option<String>,
    /// Only orders that have ended, at or after this time, written like `created_after`.
    ended_after: Option<String>,
    /// Only orders that have ended, before this time, written like `created_after`.
    ended_before: Option<String>,
    /// Orders of a page, at most 1000. Default: 50.
    limit: Option<u32>,
    /// `next` of the page before.
    cursor: Option<String>,
}

impl List {
    fn search(self, of: &Tenant) -> Result<Search, Problem> {
        let wrong = |detail: String| Problem::new(ProblemKind::BadRequest, detail);
        let kind = self.kind.map(|name| failures::kind("kind", &name)).transpose()?;
        let fingerprint = self.fingerprint.map(|text| beginning(&text)).transpose();
        let fingerprint = fingerprint.map_err(|why| wrong(format!("`fingerprint`: {why}")))?;
        if self.text.as_ref().is_some_and(|text| text.chars().count() > MAX_TEXT) {
            return Err(wrong(format!("`text` has more than {MAX_TEXT} characters")));
        }
        let time =
            |name: &str, text: Option<String>| text.map(|text| moment(name, &text)).transpose();
        let filter = Filter {
            state: self.state,
            template: self.template,
            tenant: of.wanted(self.tenant)?,
            kind: kind.map(|kind| kind.as_str().to_owned()),
            fingerprint,
            created_after: time("created_after", self.created_after)?,
            created_before: time("created_before", self.created_before)?,
            ended_after: time("ended_after", self.ended_after)?,
            ended_before: time("ended_before", self.ended_before)?,
            after: self.cursor.as_deref().map(cursor).transpose()?,
            limit: page(self.limit)?,
        };
        Ok(Search { filter, text: None, in_document: self.text })
    }
}

/// `GET /v1/orders`.
pub(crate) async fn list(
    State(app): State<App>,
    of: Tenant,
    Parameters(list): Parameters<List>,
) -> Result<Response, Problem> {
    let Found { orders, next, cut_after: _ } = app.database.search(&list.search(&of)?).await?;
    let next = next.as_ref().map(written);
    Ok(answer(StatusCode::OK, &OrderPage { orders, next }))
}

/// The length of a page.
pub(crate) fn page(limit: Option<u32>) -> Result<u32, Problem> {
    match limit.unwrap_or(PAGE) {
        limit @ 1..=MAX_PAGE => Ok(limit),
        limit => {
            let detail = format!("`limit` is {limit} and must be between 1 and {MAX_PAGE}");
            Err(Problem::new(ProblemKind::BadRequest, detail))
        }
    }
}

/// A cursor as a parameter.
pub(crate) fn written(OrderCursor { created_at, id }: &OrderCursor) -> String {
    position(*created_at, id)
}

pub(crate) fn cursor(text: &str) -> Result<OrderCursor, Problem> {
    let (created_at, id) = read_position(text)?;
    Ok(OrderCursor { created_at, id })
}

/// A position in a list that is sorted by time and id, for a cursor.
pub(crate) fn position(at: i64, id: &str) -> String {
    format!("{at}-{}", hex::encode(id))
}

/// Reads what [`position`] wrote.
pub(crate) fn read_position(text: &str) -> Result<(i64, String), Problem> {
    let read = || {
        let (at, id) = text.split_once('-')?;
        let id = String::from_utf8(hex::decode(id).ok()?).ok().filter(|id| !id.is_empty())?;
        Some((at.parse().ok()?, id))
    };
    read().ok_or_else(|| {
        let detail = "`cursor` is not `next` of a page before".to_owned();
        Problem::new(ProblemKind::BadRequest, detail)
    })
}

/// `GET /v1/orders/{id}`.
pub(crate) async fn show(State(app): State<App>, Id(id): Id) -> Result<Response, Problem> {
    let detail = OrderDetail::of(&app.database, &app.sites, &app.reading, &id).await?;
    Ok(answer(StatusCode::OK, &detail))
}

/// `GET /v1/orders/{id}/document`.
pub(crate) async fn show_document(State(app): State<App>, Id(id): Id) -> Result<Response, Problem> {
    let document = app.database.document(&id).await?;
    let kind = [(axum::http::header::CONTENT_TYPE, "application/json")];
    Ok((StatusCode::OK, kind, document).into_response())
}

/// The parameters of `PUT /v1/orders/{id}/document`.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Revise {
    /// Make it with this template from now on.
    template: Option<String>,
    /// URL that is told how the order ends, in the place of the one that it has.
    callback: Option<String>,
}

/// `PUT /v1/orders/{id}/document`.
pub(crate) async fn revise(
    State(app): State<App>,
    Id(id): Id,
    Parameters(Revise { template, callback: url }): Parameters<Revise>,
    DocumentBody { bytes, _room }: DocumentBody,
) -> Result<Response, Problem> {
    let callback = url.map(|url| callback(&app, &url)).transpose()?;
    let order = document(&app, bytes).await?;
    let own: &str = order.id().as_ref();
    if own != id {
        let detail = format!("the document is that of order {own:?}, not of {id:?}");
        return Err(Problem::new(ProblemKind::OtherOrder, detail).with("order", own));
    }
    if let Some(template) = &template {
        templates::check(&app, template).await?;
    }
    let known = match &template {
        Some(template) => template.clone(),
        None => app.database.order(&id).await?.template,
    };
    language(&app, &order, &known).await?;
    let sent = sent_digest(&order, order.document());
    let revision = Revision {
        document: order.document(),
        template: template.as_deref(),
        config_version: Some(app.config_version.as_str()),
        sent_digest: Some(&sent),
        callback: callback.as_deref(),
    };
    let revised = app.database.revise_as(&id, revision).await?;
    let (status, outcome, revision, job) = match revised {
        Revised::Queued { revision, job } => {
            (StatusCode::ACCEPTED, Outcome::Queued, revision, Some(job))
        }
        Revised::Unchanged { revision } => (StatusCode::OK, Outcome::Unchanged, revision, None),
    };
    let warnings = order.order().notices.clone();
    let body = RevisedOrder { outcome, order: id.clone(), revision, job, warnings };
    Ok(located(&id, answer(status, &body)))
}

/// `POST /v1/orders/{id}/cancel`.
pub(crate) async fn cancel(State(app): State<App>, Id(id): Id) -> Result<Response, Problem> {
    let (status, outcome) = match app.database.cancel(&id).await? {
        CancelAnswer::Cancelled => (StatusCode::OK, Outcome::Cancelled),
        CancelAnswer::Stopping => (StatusCode::ACCEPTED, Outcome::Stopping),
        CancelAnswer::AlreadyEnded(_) => (StatusCode::OK, Outcome::AlreadyEnded),
    };
    let state = app.database.order(&id).await?.state;
    Ok(answer(status, &CancelledOrder { outcome, order: id, state }))
}

/// `POST /v1/orders/{id}/retry`.
pub(crate) async fn retry(State(app): State<App>, Id(id): Id) -> Result<Response, Problem> {
    let job = app.database.reopen(&id, Some(&app.config_version)).await?;
    let body = RetriedOrder { outcome: Outcome::Queued, order: id.clone(), job };
    Ok(located(&id, answer(StatusCode::ACCEPTED, &body)))
}

/// `DELETE /v1/orders/{id}`.
pub(crate) async fn remove(State(app): State<App>, Id(id): Id) -> Result<Response, Problem> {
    // The rest of the time is for the database and the files.
    let stops_within = app.settings.answer_within().mul_f64(0.6).min(Duration::from_secs(30));
    let Erased { rows, files } = erase(&app.database, &app.sites, &id, stops_within).await?;
    if let (Some(store), Ok(folder)) = (&app.store, OrderDir::new(&id)) {
        store.remove_order(&folder).await?;
    }
    let body = ErasedOrder { outcome: Outcome::Erased, order: id, rows, files };
    Ok(answer(StatusCode::OK, &body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        for id in ["24", "a-b", "ü/..%2f", "x y"] {
            let text = format!("-5-{}", hex::encode(id));
            assert!(cursor(&text).is_err(), "no order came before 1970");
            let read = cursor(&format!("1700000000000-{}", hex::encode(id))).ok();
            let wanted = OrderCursor { created_at: 1_700_000_000_000, id: id.to_owned() };
            assert_eq!(read, Some(wanted));
        }
        for text in
            ["", "-", "1", "1-", "1-0", "1-zz", "1-ff", "x-00", "1-ü", "99999999999999999999-00"]
        {
            assert!(cursor(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_location_has_no_character_that_ends_it() {
        assert_eq!(encoded("a-b_c.d~1"), "a-b_c.d~1");
        assert_eq!(encoded("../ä\r\n?#"), "..%2F%C3%A4%0D%0A%3F%23");
    }
}
