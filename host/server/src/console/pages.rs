//! What is read for each page.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use sitewright_console::{
    AiFacts, AuditFacts, CauseFacts, EraseFacts, FailuresFacts, Frame, MINUTES, NowFacts,
    OrderFacts, OrdersFacts, Per, Period, RetryFacts, Section, SettingsFacts, Since, TemplateFacts,
    TemplatePageFacts, TemplatesFacts, Wanted, address, typed_search,
};
use sitewright_control::OrderDetail;
use sitewright_failure::fingerprint::beginning;
use sitewright_failure::group::{Brief, Cause, Filter, by_cause};
use sitewright_failure::render;
use sitewright_jobs::{
    Filter as ListedOrders, Hold, HoldId, HoldKind, OrderState, OrderToRetry, Search, Stats,
    WorkerStats,
};
use sitewright_model::build::host_build;
use sitewright_model::failure::FailureKind;
use sitewright_model::time::now_ms;

use super::visit::{Fields, Visit, page, see};
use crate::app::App;
use crate::bundles;
use crate::extract::Id;
use crate::failures::{no_record, parsed, trends};
use crate::moment::moment;
use crate::orders::{cursor, written};
use crate::problem::{Problem, ProblemKind};
use crate::replays::report;
use crate::templates::{Listed, TemplateDetail, add_versions, detail, known};
use crate::tenancy::Tenant;

/// Hours of the chart.
const HOURS: usize = 24;
const HOUR_MS: i64 = 3_600_000;
const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// Orders of a page.
const ORDERS: u32 = 40;
/// Changes of many orders beside them.
const CHANGES: u32 = 5;
/// Causes of a page; and of the first page.
const CAUSES: usize = 40;
const NEWEST_CAUSES: usize = 5;
/// Tenants whose costs are listed; one more is read to know whether there are others.
const TENANTS: u32 = 15;
/// Failures of a cause that are listed; its orders.
const FAILURES: usize = 10;
const ORDERS_OF_CAUSE: usize = 60;
/// Events of an order that are read.
const EVENTS: u32 = 200;
/// Entries of a page of the audit log; of the newest in the settings.
const ENTRIES: u32 = 100;
const NEWEST_ENTRIES: u32 = 10;
/// Maximum length of a filter, in characters; no name in the database is longer.
const MAX_FILTER: usize = 200;
/// Workers whose heartbeat is older are not counted as live.
pub(super) const SILENT_MS: i64 = 15_000;

/// A filter of a query or a form.
pub(super) fn filter(fields: &Fields, name: &str) -> Result<Option<String>, Problem> {
    let text = fields.text(name);
    if text.as_ref().is_some_and(|text| text.chars().count() > MAX_FILTER || text.contains('\0')) {
        let detail = format!("`{name}` has more than {MAX_FILTER} characters, or a zero character");
        return Err(Problem::new(ProblemKind::BadRequest, detail));
    }
    Ok(text)
}

/// A kind of failure in a query or a form.
fn kind(fields: &Fields) -> Result<Option<String>, Problem> {
    let Some(kind) = filter(fields, "kind")? else { return Ok(None) };
    if FailureKind::ALL.into_iter().any(|known| known.as_str() == kind) {
        return Ok(Some(kind));
    }
    Err(Problem::new(ProblemKind::BadRequest, format!("{kind:?} is no kind of failure")))
}

/// Which orders a query or a form wants.
pub(super) fn wanted(fields: &Fields) -> Result<Wanted, Problem> {
    let state = match fields.get("state") {
        None => None,
        Some(name) => {
            let state = name.parse::<OrderState>();
            Some(state.map_err(|why| Problem::new(ProblemKind::BadRequest, why))?)
        }
    };
    Ok(Wanted {
        state,
        template: filter(fields, "template")?,
        kind: kind(fields)?,
        text: filter(fields, "text")?,
        cause: cause_beginning(fields)?,
        contains: filter(fields, "contains")?,
        from: day(fields, "from")?,
        to: day(fields, "to")?,
    })
}

/// The beginning of a fingerprint in a query or a form.
fn cause_beginning(fields: &Fields) -> Result<Option<String>, Problem> {
    let text = filter(fields, "cause")?.map(|text| beginning(&text)).transpose();
    text.map_err(|why| Problem::new(ProblemKind::BadRequest, format!("`cause`: {why}")))
}

/// A day in a query, as it was written: `2026-11-23`.
fn day(fields: &Fields, name: &str) -> Result<Option<String>, Problem> {
    let Some(text) = filter(fields, name)? else { return Ok(None) };
    if text.len() == 10 && text.split('-').count() == 3 && moment(name, &text).is_ok() {
        return Ok(Some(text));
    }
    let detail = format!("`{name}` is {text:?}, and must be a day like 2026-11-23");
    Err(Problem::new(ProblemKind::BadRequest, detail))
}

/// When a day begins, in milliseconds since the Unix epoch.
fn beginning_of(name: &str, day: Option<&String>) -> Result<Option<i64>, Problem> {
    day.map(|day| moment(name, day)).transpose()
}

/// Names of templates to choose from. Those that workers have: the folder of this machine may be
/// slow, and need not be there.
pub(super) async fn template_names(app: &App) -> Result<Vec<String>, Problem> {
    let templates = app.database.templates().await?;
    Ok(templates.into_iter().map(|template| template.name).take(200).collect())
}

/// The number of orders in the queue, as far as a tenant may know. `all`: those of all tenants.
pub(super) async fn queued(app: &App, tenant: &Tenant, all: &Stats) -> Result<i64, Problem> {
    Ok(match tenant.as_deref() {
        Some(tenant) => app.database.stats_of_tenant(tenant).await?.count(OrderState::Queued),
        None => all.count(OrderState::Queued),
    })
}

/// What orders wait for, as far as a tenant may know: the reason of a hold may quote a failure of
/// another one.
pub(super) fn known_holds(holds: Vec<Hold>, tenant: &Tenant) -> Vec<Hold> {
    if tenant.as_deref().is_some() { Vec::new() } else { holds }
}

/// The causes of failures, the newest first.
async fn causes(app: &App, filter: &Filter, tenant: &Tenant) -> Result<Vec<Cause>, Problem> {
    let groups = app.database.failure_groups_of(filter, tenant.as_deref()).await?;
    let mut causes = by_cause(groups);
    causes.sort_by_key(|cause| (Reverse(cause.group.last_at), Reverse(cause.group.newest.clone())));
    Ok(causes)
}

/// `GET /console`.
pub(crate) async fn now(
    State(app): State<App>,
    tenant: Tenant,
    visit: Visit,
) -> Result<Response, Problem> {
    if tenant.as_deref().is_some() {
        // It is about workers, and the orders of all tenants.
        return see("/console/orders");
    }
    let per = match visit.query.get("per") {
        None => Per::default(),
        Some(name) => Per::named(name).ok_or_else(|| {
            let detail = format!("`per` is {name:?} and must be hour or minute");
            Problem::new(ProblemKind::BadRequest, detail)
        })?,
    };
    let mut frame = visit.frame(Section::Now, "Now");
    frame.events = Some("/console/events".to_owned());
    // Whole hours, so that a bar is the same with each look.
    let hours = i64::try_from(HOURS).unwrap_or(1);
    let since = (frame.now / HOUR_MS + 1 - hours) * HOUR_MS;
    let minutes = i64::try_from(MINUTES).unwrap_or(1);
    let minutes_since = (frame.now / MINUTE_MS + 1 - minutes) * MINUTE_MS;
    let recent = Filter { since: Some(since), ..Filter::default() };
    let mut newest = causes(&app, &recent, &tenant).await?;
    // What somebody cancelled has not failed.
    newest.retain(|cause| cause.group.kind != FailureKind::Cancelled.as_str());
    newest.truncate(NEWEST_CAUSES);
    let facts = NowFacts {
        stats: app.database.stats().await?,
        per,
        minutes: app.database.ended_since(minutes_since, MINUTE_MS).await?,
        minutes_since,
        ended: app.database.ended_since(since, HOUR_MS).await?,
        since,
        hours: HOURS,
        cost: app.last_cost.since(since, app.database.cost_since(since)).await?,
        causes: newest,
    };
    page(sitewright_console::now(&frame, &facts))
}

/// `GET /console/orders`.
pub(crate) async fn orders(
    State(app): State<App>,
    tenant: Tenant,
    visit: Visit,
) -> Result<Response, Problem> {
    let frame = visit.frame(Section::Orders, "Orders");
    let wanted = wanted(&visit.query)?;
    if let Some(page) = typed_search(&wanted) {
        return see(&page);
    }
    let after = visit.query.get("cursor").map(cursor).transpose()?;
    let is_later = after.is_some();
    let is_id_alone = !is_later && wanted.has_id_only();
    if let Some(id) = wanted.text.as_deref().filter(|_| is_id_alone) {
        // Who types a whole id wants that order, however old it is.
        match app.database.order(id).await {
            Ok(order)
                if tenant.as_deref().is_none_or(|own| order.tenant.as_deref() == Some(own)) =>
            {
                return see(&address::order(&order.id));
            }
            Ok(_) | Err(sitewright_jobs::Error::NoSuchOrder { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let until = beginning_of("to", wanted.to.as_ref())?;
    let filter = ListedOrders {
        state: wanted.state,
        template: wanted.template.clone(),
        tenant: tenant.as_deref().map(str::to_owned),
        kind: wanted.kind.clone(),
        fingerprint: wanted.cause.clone(),
        created_after: beginning_of("from", wanted.from.as_ref())?,
        created_before: until.map(|day| day.saturating_add(DAY_MS)),
        ended_after: None,
        ended_before: None,
        after,
        limit: ORDERS,
    };
    let search = Search { filter, text: wanted.text.clone(), in_document: wanted.contains.clone() };
    let found = app.database.search(&search).await?;
    let next = found.next.as_ref().map(written);
    let templates = template_names(&app).await?;
    let changes = app.database.bulk_runs(tenant.as_deref(), CHANGES).await?;
    let facts = OrdersFacts { wanted, found, next, is_later, templates, changes };
    page(sitewright_console::orders(&frame, &facts))
}

/// `GET /console/orders/{id}`.
pub(crate) async fn order(
    State(app): State<App>,
    Id(id): Id,
    visit: Visit,
) -> Result<Response, Problem> {
    let detail = OrderDetail::of(&app.database, &app.sites, &app.reading, &id).await?;
    let mut frame = visit.frame(Section::Orders, format!("Order {id}"));
    frame.events = Some(format!("{}/events", address::order(&id)));
    let facts = OrderFacts {
        detail,
        events: app.database.newest_events(&id, EVENTS).await?,
        ai_calls: app.database.ai_calls(&id).await?,
        document: app.database.document(&id).await?,
        is_paused: app.database.is_paused().await?,
    };
    page(sitewright_console::order(&frame, &facts))
}

/// `GET /console/orders/{id}/erase`.
pub(crate) async fn erase(
    State(app): State<App>,
    Id(id): Id,
    visit: Visit,
) -> Result<Response, Problem> {
    let frame = visit.frame(Section::Orders, format!("Erase order {id}?"));
    let facts = EraseFacts {
        order: app.database.order(&id).await?,
        rows: app.database.rows_of(&id).await?,
        has_store: app.store.is_some(),
        complaint: None,
    };
    page(sitewright_console::erase(&frame, &facts))
}

/// `GET /console/failures`.
pub(crate) async fn failures(
    State(app): State<App>,
    tenant: Tenant,
    visit: Visit,
) -> Result<Response, Problem> {
    let frame = visit.frame(Section::Failures, "Failures");
    let since = match visit.query.get("since") {
        None => Since::default(),
        Some(name) => Since::named(name).ok_or_else(|| {
            let detail = format!("`since` is {name:?} and must be hour, day, week or ever");
            Problem::new(ProblemKind::BadRequest, detail)
        })?,
    };
    let (kind, template) = (kind(&visit.query)?, filter(&visit.query, "template")?);
    let wanted = Filter {
        template: template.clone(),
        kind: kind.clone(),
        since: since.ms().map(|ms| frame.now - ms),
        order: None,
    };
    let mut causes = causes(&app, &wanted, &tenant).await?;
    let more = causes.len() > CAUSES;
    causes.truncate(CAUSES);
    let trends = trends(&app, &wanted, tenant.as_deref(), &causes, frame.now).await?;
    let templates = template_names(&app).await?;
    let facts = FailuresFacts {
        since,
        kind,
        template,
        templates,
        trends: causes.iter().map(|cause| trends.of(&cause.group.fingerprint)).collect(),
        span_ms: trends.span_ms,
        causes,
        more,
    };
    page(sitewright_console::failures(&frame, &facts))
}

/// The cause with this fingerprint, of the orders that somebody may see.
pub(super) async fn cause_of(
    app: &App,
    fingerprint: &str,
    tenant: &Tenant,
) -> Result<Cause, Problem> {
    app.database.cause(fingerprint, tenant.as_deref()).await?.ok_or_else(|| {
        let detail = format!("no failure has the fingerprint {fingerprint:?}");
        Problem::new(ProblemKind::NoSuchFailure, detail)
    })
}

/// `GET /console/failures/{fingerprint}`.
pub(crate) async fn cause(
    State(app): State<App>,
    Id(fingerprint): Id,
    tenant: Tenant,
    visit: Visit,
) -> Result<Response, Problem> {
    let cause = cause_of(&app, &fingerprint, &tenant).await?;
    let frame = visit.frame(Section::Failures, format!("{} failures", cause.group.kind));
    let failures = app.database.failures_of(&fingerprint, tenant.as_deref(), FAILURES).await?;
    let records = failures.iter().map(parsed).collect::<Result<Vec<_>, _>>()?;
    let briefs = records.iter().map(Brief::of).collect();
    let newest = records.into_iter().next().ok_or_else(|| {
        let detail = format!("the failures with the fingerprint {fingerprint:?} are gone");
        Problem::new(ProblemKind::NoSuchFailure, detail)
    })?;
    let mut orders = app.database.orders_of_failures(&fingerprint, tenant.as_deref()).await?;
    let order_count = orders.len();
    orders.truncate(ORDERS_OF_CAUSE);
    let retriable =
        app.database.orders_to_retry(&fingerprint, tenant.as_deref(), frame.now).await?.len();
    let facts = CauseFacts {
        cause,
        newest: Box::new(newest),
        failures: briefs,
        orders,
        order_count,
        retriable,
    };
    page(sitewright_console::cause(&frame, &facts))
}

/// `GET /console/failures/{fingerprint}/retry`.
pub(crate) async fn retry(
    State(app): State<App>,
    Id(fingerprint): Id,
    tenant: Tenant,
    visit: Visit,
) -> Result<Response, Problem> {
    let cause = cause_of(&app, &fingerprint, &tenant).await?;
    let frame = visit.frame(Section::Failures, "Retry the orders of a cause?");
    let stats = app.database.stats().await?;
    let queued = queued(&app, &tenant, &stats).await?;
    let Stats { holds, paused, workers, .. } = stats;
    let live = |worker: &&WorkerStats| worker.silent_ms < SILENT_MS;
    let workers = workers.iter().filter(live).count();
    let served: Vec<String> =
        app.database.templates().await?.into_iter().map(|one| one.name).collect();
    let orders = app.database.orders_to_retry(&fingerprint, tenant.as_deref(), frame.now).await?;
    let facts = RetryFacts {
        ever: usize::try_from(cause.group.orders).unwrap_or(usize::MAX),
        is_paused: paused,
        workers,
        queued,
        unserved: unserved(&orders, &served, workers),
        orders: orders.into_iter().map(|order| order.id).collect(),
        until: frame.now,
        holds: known_holds(holds, &tenant),
        cause,
    };
    page(sitewright_console::retry(&frame, &facts))
}

/// Templates of these orders that no live worker has.
fn unserved(orders: &[OrderToRetry], served: &[String], workers: usize) -> Vec<String> {
    if workers == 0 {
        return Vec::new();
    }
    let missing = orders.iter().map(|order| &order.template).filter(|name| !served.contains(name));
    missing.collect::<BTreeSet<_>>().into_iter().cloned().collect()
}

/// `GET /console/records/{id}`.
pub(crate) async fn record(
    State(app): State<App>,
    Id(id): Id,
    visit: Visit,
) -> Result<Response, Problem> {
    let failure = app.database.failure(&id).await?.ok_or_else(|| no_record(&id))?;
    let record = parsed(&failure)?;
    let frame = visit.frame(Section::Failures, format!("Order {} failed", record.order));
    page(sitewright_console::failure(&frame, &record))
}

/// `GET /console/records/{id}/markdown`.
pub(crate) async fn markdown(State(app): State<App>, Id(id): Id) -> Result<Response, Problem> {
    let failure = app.database.failure(&id).await?.ok_or_else(|| no_record(&id))?;
    let text = render::markdown(&parsed(&failure)?);
    // A browser shows this; `text/markdown` it would save.
    Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response())
}

/// `POST /console/records/{id}/replay`.
pub(crate) async fn replay(
    State(app): State<App>,
    Id(id): Id,
    visit: Visit,
) -> Result<Response, Problem> {
    let report = report(&app, &id).await?;
    let frame = visit.frame(Section::Failures, "Replay of an attempt");
    page(sitewright_console::replayed(&frame, &id, &report))
}

/// `POST /console/records/{id}/bundle`.
pub(crate) async fn bundle(
    State(app): State<App>,
    Id(id): Id,
    _: Visit,
) -> Result<Response, Problem> {
    bundles::exported(&app, &id).await
}

/// `GET /console/ai`.
pub(crate) async fn ai(
    State(app): State<App>,
    tenant: Tenant,
    visit: Visit,
) -> Result<Response, Problem> {
    let frame = visit.frame(Section::Ai, "AI and cost");
    let period = match visit.query.get("since") {
        None => Period::default(),
        Some(name) => Period::named(name).ok_or_else(|| {
            let detail = format!("`since` is {name:?} and must be day, week or month");
            Problem::new(ProblemKind::BadRequest, detail)
        })?,
    };
    let since = period.since(frame.now);
    let (_, span_ms) = period.spans();
    let failed = FailureKind::Ai.as_str().to_owned();
    let recent = Filter { kind: Some(failed), since: Some(since), ..Filter::default() };
    let mut causes = causes(&app, &recent, &tenant).await?;
    causes.sort_by_key(|cause| Reverse(cause.group.count));
    let of_tenant = tenant.as_deref();
    let (tenants, errors, holds, breakers) = match of_tenant {
        Some(_) => (Vec::new(), None, Vec::new(), Vec::new()),
        None => (
            app.database.spend_by_tenant(since, TENANTS + 1).await?,
            Some(app.database.ai_errors(since, i64::MAX).await?),
            app.database.holds().await?,
            app.database.breakers().await?,
        ),
    };
    let facts = AiFacts {
        period,
        spend: app.database.spend_since(since, span_ms, of_tenant).await?,
        tenants,
        latencies: app.database.ai_latencies(since, i64::MAX, of_tenant).await?,
        cache: app.database.cache_hits(since, i64::MAX, of_tenant).await?,
        errors,
        causes,
        holds,
        breakers,
    };
    page(sitewright_console::ai(&frame, &facts))
}

/// `GET /console/templates`.
pub(crate) async fn templates(State(app): State<App>, visit: Visit) -> Result<Response, Problem> {
    let mut frame = visit.frame(Section::Templates, "Templates and workers");
    frame.events = Some("/console/events".to_owned());
    let mut known = known(&app).await?;
    add_versions(&app, &mut known.templates).await?;
    let day = Since::Day.ms().map(|ms| now_ms() - ms);
    let recent = Filter { since: day, ..Filter::default() };
    let mut failures: BTreeMap<String, u64> = BTreeMap::new();
    for group in app.database.failure_groups(&recent).await? {
        *failures.entry(group.template).or_default() += group.count;
    }
    let facts = TemplatesFacts {
        templates: known.templates.into_values().map(facts_of).collect(),
        folder_error: known.folder.err().map(|error| error.to_string()),
        stats: app.database.stats().await?,
        unfinished: app.database.unfinished_by_template().await?,
        failures,
        routes: app.routes.clone(),
    };
    page(sitewright_console::templates(&frame, &facts))
}

/// `GET /console/templates/{id}`.
pub(crate) async fn template(
    State(app): State<App>,
    Id(name): Id,
    visit: Visit,
) -> Result<Response, Problem> {
    let TemplateDetail { template, conformance, conformance_error } = detail(&app, &name).await?;
    let frame = visit.frame(Section::Templates, format!("Template {name}"));
    let day = Since::Day.ms().map(|ms| frame.now - ms);
    let recent = Filter { since: day, template: Some(name.clone()), ..Filter::default() };
    let groups = app.database.failure_groups(&recent).await?;
    let hold = HoldId::new(HoldKind::Template, name.as_str());
    let mut holds = app.database.holds().await?;
    holds.retain(|one| one.id.is_of_same(&hold));
    let facts = TemplatePageFacts {
        template: facts_of(template),
        holds,
        failures: groups.iter().map(|group| group.count).sum(),
        conformance: match conformance_error {
            None => Ok(conformance),
            Some(why) => Err(why.to_string()),
        },
    };
    page(sitewright_console::template(&frame, &facts))
}

fn facts_of(listed: Listed) -> TemplateFacts {
    let Listed { name, digests, workers, in_folder, versions } = listed;
    TemplateFacts { name, digests, workers, in_folder, versions }
}

/// `GET /console/settings`.
pub(crate) async fn settings(State(app): State<App>, visit: Visit) -> Result<Response, Problem> {
    let frame: Frame = visit.frame(Section::Settings, "Settings");
    let (tokens, audit) = if visit.viewer.may_admin {
        let entries = app.database.audit_log(i64::MAX, NEWEST_ENTRIES).await?;
        (Some(app.database.tokens().await?), Some(entries))
    } else {
        (None, None)
    };
    let facts = SettingsFacts {
        tokens,
        audit,
        configuration: app.configuration.clone(),
        version: app.config_version.clone(),
        build: host_build().to_owned(),
    };
    page(sitewright_console::settings(&frame, &facts))
}

/// `GET /console/audit`.
pub(crate) async fn audit(State(app): State<App>, visit: Visit) -> Result<Response, Problem> {
    let frame = visit.frame(Section::Settings, "Audit log");
    let before = match visit.query.get("before") {
        None => None,
        Some(text) => Some(text.parse::<i64>().map_err(|_| {
            let detail = format!("`before` is {text:?} and must be the id of an entry");
            Problem::new(ProblemKind::BadRequest, detail)
        })?),
    };
    let entries = app.database.audit_log(before.unwrap_or(i64::MAX), ENTRIES).await?;
    let is_full = entries.len() >= ENTRIES as usize;
    let next = entries.last().filter(|_| is_full).map(|entry| entry.id);
    let facts = AuditFacts { entries, next, is_later: before.is_some() };
    page(sitewright_console::audit(&frame, &facts))
}
