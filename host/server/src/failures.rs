//! `/v1/failures`: causes, and records as JSON or Markdown.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::path::Path;

use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use sitewright_failure::group::{Brief, Cause, Filter, by_cause};
use sitewright_failure::{render, store};
use sitewright_jobs::Failure;
use sitewright_model::failure::{FailureKind, FailureRecord};
use sitewright_model::time::now_ms;

use super::app::App;
use super::extract::{Form, Id, Parameters, answer, form};
use super::moment::moment;
use super::orders::page;
use super::problem::{Problem, ProblemKind};
use super::tenancy::Tenant;

/// Occurrences of a cause that are listed.
const SHOWN: usize = 10;
/// Orders of a cause that are listed.
const MAX_ORDERS: usize = 1_000;
/// Spans of time that the failures of a cause are counted in.
const SPANS: u16 = 24;

/// The parameters of `GET /v1/failures`.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct List {
    /// Only failures of this template.
    template: Option<String>,
    /// Only failures of this kind.
    kind: Option<String>,
    /// Only failures since then: a time before now (90s, 30m, 2h, 7d, 2w), a day (2026-11-23), a
    /// time (2026-11-23T08:00:00Z), or milliseconds since the Unix epoch.
    since: Option<String>,
    /// Only failures of this order.
    order: Option<String>,
    /// Each record, the newest first, instead of causes.
    #[serde(default)]
    flat: bool,
    /// Entries, at most 1000. Default: 50.
    limit: Option<u32>,
}

/// `GET /v1/failures`.
pub(crate) async fn list(
    State(app): State<App>,
    tenant: Tenant,
    Parameters(list): Parameters<List>,
) -> Result<Response, Problem> {
    let limit = usize::try_from(page(list.limit)?).unwrap_or(usize::MAX);
    let kind = list.kind.map(|name| kind("kind", &name)).transpose()?;
    let since = list.since.map(|since| moment("since", &since)).transpose()?;
    let filter = Filter {
        template: list.template,
        kind: kind.map(|kind| kind.as_str().to_owned()),
        since,
        order: list.order,
    };
    let tenant = tenant.as_deref();
    if list.flat {
        let failures = app.database.failures_in_brief_of(&filter, tenant, limit).await?;
        return Ok(answer(StatusCode::OK, &json!({ "failures": failures })));
    }
    let mut causes = by_cause(app.database.failure_groups_of(&filter, tenant).await?);
    causes.sort_by_key(|cause| (Reverse(cause.group.last_at), Reverse(cause.group.newest.clone())));
    let more = causes.len() > limit;
    causes.truncate(limit);
    let trends = trends(&app, &filter, tenant, &causes, now_ms()).await?;
    let group = |cause: &Cause| {
        let mut group = json!(cause);
        group["trend"] = json!(trends.of(&cause.group.fingerprint));
        group
    };
    let groups: Vec<Value> = causes.iter().map(group).collect();
    let trend = json!({ "since": trends.since, "span_ms": trends.span_ms });
    let body = json!({ "groups": groups, "trend": trend, "more": more });
    Ok(answer(StatusCode::OK, &body))
}

/// How often causes occurred in equal spans of time, the last of which is the present one.
pub(crate) struct Trends {
    /// When the first span begins, in milliseconds since the Unix epoch.
    pub(crate) since: i64,
    pub(crate) span_ms: i64,
    counts: BTreeMap<String, Vec<u64>>,
}

impl Trends {
    /// The failures of a cause in each span.
    pub(crate) fn of(&self, fingerprint: &str) -> Vec<u64> {
        self.counts.get(fingerprint).cloned().unwrap_or_else(|| vec![0; usize::from(SPANS)])
    }
}

/// The trends of these causes, since the time that `filter` has, or else since the first failure of
/// one of them. One query for all of them.
pub(crate) async fn trends(
    app: &App,
    filter: &Filter,
    tenant: Option<&str>,
    causes: &[Cause],
    now: i64,
) -> Result<Trends, Problem> {
    let first = causes.iter().map(|cause| cause.group.first_at).min();
    // A time that was asked for can be any number.
    let since = filter.since.or(first).unwrap_or(now).min(now).max(0);
    let spans = i64::from(SPANS);
    let span_ms = (now.saturating_sub(since).saturating_add(spans - 1) / spans).max(1);
    let fingerprints: Vec<&str> =
        causes.iter().map(|cause| cause.group.fingerprint.as_str()).collect();
    let counts = match fingerprints.is_empty() {
        true => BTreeMap::new(),
        false => {
            let filter = Filter { since: Some(since), ..filter.clone() };
            let spans = usize::from(SPANS);
            app.database.failure_trends(&filter, tenant, &fingerprints, span_ms, spans).await?
        }
    };
    Ok(Trends { since, span_ms, counts })
}

/// The kind of failures with this name. `at` is what the request calls it.
pub(crate) fn kind(at: &str, name: &str) -> Result<FailureKind, Problem> {
    let known = FailureKind::ALL.into_iter().find(|kind| kind.as_str() == name);
    known.ok_or_else(|| {
        let names = FailureKind::ALL.map(FailureKind::as_str).join(", ");
        let detail = format!("`{at}` is {name:?}; the kinds of failures are {names}");
        Problem::new(ProblemKind::BadRequest, detail)
    })
}

/// `GET /v1/failures/{fingerprint}`.
pub(crate) async fn of_cause(
    State(app): State<App>,
    Id(fingerprint): Id,
    tenant: Tenant,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let failures = app.database.failures_of(&fingerprint, tenant.as_deref(), SHOWN).await?;
    let records = failures.iter().map(parsed).collect::<Result<Vec<_>, _>>()?;
    let Some(newest) = records.first() else {
        let detail = format!("no failure has the fingerprint {fingerprint:?}");
        return Err(Problem::new(ProblemKind::NoSuchFailure, detail));
    };
    if form(&headers) == Form::Markdown {
        return Ok(markdown(newest));
    }
    let mut orders = app.database.orders_of_failures(&fingerprint, tenant.as_deref()).await?;
    let count = orders.len();
    orders.truncate(MAX_ORDERS);
    let briefs: Vec<Brief> = records.iter().map(Brief::of).collect();
    let body = json!({
        "fingerprint": fingerprint,
        "newest": newest,
        "failures": briefs,
        "orders": orders,
        "order_count": count,
    });
    Ok(varied(answer(StatusCode::OK, &body)))
}

/// `GET /v1/failures/records/{id}`.
pub(crate) async fn record(
    State(app): State<App>,
    Id(id): Id,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let failure = app.database.failure(&id).await?.ok_or_else(|| no_record(&id))?;
    let record = parsed(&failure)?;
    Ok(match form(&headers) {
        Form::Markdown => markdown(&record),
        Form::Json => varied(answer(StatusCode::OK, &record)),
    })
}

pub(crate) fn no_record(id: &str) -> Problem {
    let detail = format!("there is no failure record {id:?}");
    Problem::new(ProblemKind::NoSuchFailure, detail)
}

pub(crate) fn parsed(failure: &Failure) -> Result<FailureRecord, Problem> {
    store::parse(failure.record.clone(), Path::new(&failure.id)).map_err(|error| {
        let detail = format!("the failure record {} cannot be read: {error}", failure.id);
        Problem::new(ProblemKind::Internal, detail)
    })
}

fn markdown(record: &FailureRecord) -> Response {
    let kind = [(CONTENT_TYPE, "text/markdown; charset=utf-8")];
    varied((StatusCode::OK, kind, render::markdown(record)).into_response())
}

/// The form depends on what the client accepts.
fn varied(mut response: Response) -> Response {
    response.headers_mut().insert(VARY, axum::http::HeaderValue::from_static("accept"));
    response
}
