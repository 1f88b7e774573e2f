//! `POST /hooks/{source}`: webhooks of others become orders; and `/v1/hooks`.
//!
//! A body whose sender is known is stored and answered. Then it is mapped to an order and added, as
//! `POST /v1/orders` does it. If the process ends in between, any server that has the hook in its
//! configuration maps it.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::Value;
use sitewright_control::{Document, Submission, read, submit};
use sitewright_jobs::{
    HookDelivery, HookDeliveryFilter, HookDeliveryState, HookOutcome, NewHookDelivery, Priority,
};
use sitewright_model::time::now_ms;
use sitewright_model::trace::TraceParent;
use sitewright_webhooks::Hook;
use tokio::sync::Semaphore;

use super::answers::{HookDeliveryDetail, HookDeliveryPage, HookReplay, Outcome, ReceivedHook};
use super::app::App;
use super::bodies::BodyHolder;
use super::extract::{Id, Parameters, answer, read_hook, traceparent};
use super::moment::due;
use super::orders::{language, page, position, read_position};
use super::problem::{Problem, ProblemKind};
use super::templates;

/// Time between two looks for deliveries that nobody has mapped.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// The process that has stored a delivery has mapped it within this time, or has ended.
const OWN: Duration = Duration::from_secs(30);
/// Time after which a delivery is refused whose hook no server has: a day.
const ORPHANED_AFTER_MS: i64 = 24 * 3_600_000;
/// Time between two looks for such deliveries: 10 min.
const ORPHANS_EVERY_MS: i64 = 600_000;
/// Deliveries that are mapped at the same time. Each has its body and what is parsed of it in
/// memory, which can be 30 times as much.
static MAPPED: Semaphore = Semaphore::const_new(4);

/// `POST /hooks/{source}`.
pub(crate) async fn receive(
    State(app): State<App>,
    Id(name): Id,
    request: Request,
) -> Result<Response, Problem> {
    let refused = |why: &dyn std::fmt::Display| {
        // One text for all: it says nothing about which hooks there are.
        tracing::warn!(hook = name, %why, "a webhook was refused");
        Problem::new(ProblemKind::BadSignature, "it is not known who sent this")
    };
    let Some(hook) = app.hooks.get(&name) else { return Err(refused(&"there is no such hook")) };
    let (parts, body) = request.into_parts();
    let begun = {
        let header = |name: &str| {
            let mut values = parts.headers.get_all(name).iter();
            match (values.next(), values.next()) {
                (Some(value), None) => value.to_str().ok(),
                _ => None,
            }
        };
        hook.begin(&header, now_ms().div_euclid(1_000)).map_err(|why| refused(&why))?
    };
    let holder = BodyHolder::of(&parts.extensions);
    let (bytes, _room) = read_hook(&parts.headers, body, &app, holder).await?;
    let event_id = begun.finish(&bytes).map_err(|why| refused(&why))?;
    let body = String::from_utf8(bytes).map_err(|_| {
        Problem::new(ProblemKind::BadRequest, "the body is not UTF-8, and so not JSON")
    })?;
    let traceparent = traceparent(&parts.headers);
    let new = NewHookDelivery { hook: name.clone(), event_id, body, traceparent };
    let (delivery, is_new) = app.database.store_hook_delivery(new, OWN).await?;
    let id = delivery.id;
    if !is_new {
        let body = ReceivedHook { outcome: Outcome::AlreadyStored, delivery: id };
        return Ok(answer(StatusCode::OK, &body));
    }
    let (mapping, own) = (app.clone(), id.clone());
    app.actions.spawn(async move { map(&mapping, &own).await });
    Ok(answer(StatusCode::ACCEPTED, &ReceivedHook { outcome: Outcome::Stored, delivery: id }))
}

/// Maps a delivery; if the database is away, it stays pending.
async fn map(app: &App, id: &str) {
    if let Err(problem) = process(app, id).await {
        tracing::warn!(delivery = id, why = problem.detail, "a webhook is mapped later");
    }
}

/// Maps what processes left that ended, and what is replayed, until the server stops. What waits
/// for a hook that no server has is refused after a day.
pub(crate) async fn map_due(app: App) {
    let hooks: Vec<String> = app.hooks.keys().cloned().collect();
    let mut orphans_from = now_ms();
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while app.stop.run_until_cancelled(ticks.tick()).await.is_some() {
        if now_ms() >= orphans_from {
            orphans_from = now_ms().saturating_add(ORPHANS_EVERY_MS);
            refuse_orphans(&app, &hooks).await;
        }
        match app.database.due_hook_deliveries(&hooks).await {
            Ok(due) => {
                for id in due {
                    if app.stop.is_cancelled() {
                        return;
                    }
                    map(&app, &id).await;
                }
            }
            Err(error) => tracing::debug!(%error, "cannot look for webhooks that are not mapped"),
        }
    }
}

/// Refuses what was due a day ago and whose hook this server does not have: one that has it would
/// have mapped it.
async fn refuse_orphans(app: &App, hooks: &[String]) {
    let due_before = now_ms().saturating_sub(ORPHANED_AFTER_MS);
    match app.database.refuse_orphaned_hook_deliveries(hooks, due_before).await {
        Ok(0) => {}
        Ok(refused) => tracing::warn!(
            refused,
            "webhooks were refused: no server has their hook in its configuration"
        ),
        Err(error) => tracing::debug!(%error, "cannot look for webhooks whose hook is gone"),
    }
}

/// Maps a delivery to an order and adds it. A problem only if there is no such delivery or hook, or
/// the database is away.
async fn process(app: &App, id: &str) -> Result<HookDelivery, Problem> {
    // Never closed.
    let _one_of_few = MAPPED.acquire().await.ok();
    let (delivery, body) = app.database.hook_delivery(id).await?.ok_or_else(|| nothing(id))?;
    match delivery.state {
        HookDeliveryState::Pending | HookDeliveryState::Refused => {}
        HookDeliveryState::Accepted | HookDeliveryState::Erased => return Ok(delivery),
    }
    let hook = app.hooks.get(&delivery.hook).ok_or_else(|| {
        let detail = format!("the configuration has no hook {:?}", delivery.hook);
        Problem::new(ProblemKind::NoSuchHook, detail)
    })?;
    let traceparent = app.database.hook_delivery_trace(id).await?;
    let outcome = match order_of(app, hook, body, traceparent).await {
        Ok(order) => HookOutcome::Accepted { order },
        Err(NoOrder { problem, .. }) if problem.kind == ProblemKind::DatabaseUnavailable => {
            return Err(problem);
        }
        Err(NoOrder { order, problem }) => {
            let (hook, reason) = (&delivery.hook, problem.detail);
            tracing::warn!(delivery = id, hook, order, reason, "a webhook became no order");
            HookOutcome::Refused { order, reason }
        }
    };
    app.database.record_hook_delivery(id, outcome).await?.ok_or_else(|| nothing(id))
}

/// Why a body became no order.
struct NoOrder {
    /// Its id, if that is known.
    order: Option<String>,
    problem: Problem,
}

/// The order document that a body means, and the time before which its order must not begin, in
/// milliseconds since the Unix epoch.
///
/// # Errors
/// Why it means none.
fn document(hook: &Hook, body: String) -> Result<(Vec<u8>, Option<i64>), String> {
    // As it came: intake says what is wrong with it, and warns of what it replaces.
    if hook.is_whole() && hook.due().is_none() {
        return Ok((body.into_bytes(), None));
    }
    let parsed = sitewright_intake::parse(&body).map_err(|invalid| {
        let why: Vec<&str> = invalid.problems().map(|problem| problem.message.as_str()).collect();
        format!("what was sent {}", why.join("; "))
    })?;
    // The document would have one of the values without a word.
    if let Some(twice) = parsed.duplicates.iter().find(|twice| hook.reads(&twice.pointer)) {
        return Err(format!("what is at {:?} {}", twice.pointer, twice.message));
    }
    let due_at = due_at(hook, &parsed.value)?;
    if hook.is_whole() {
        drop(parsed);
        return Ok((body.into_bytes(), due_at));
    }
    let document = hook.document(&parsed.value).map_err(|why| why.to_string())?;
    Ok((document, due_at))
}

/// The time before which the order of a body must not begin, in milliseconds since the Unix epoch.
fn due_at(hook: &Hook, body: &Value) -> Result<Option<i64>, String> {
    let Some(pointer) = hook.due() else { return Ok(None) };
    let at = match body.pointer(pointer) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) if text.trim().is_empty() => return Ok(None),
        Some(Value::String(text)) => due(text.trim()).ok(),
        Some(_) => None,
    };
    // Without the value, which is a customer's.
    at.map(Some).ok_or_else(|| {
        format!(
            "what is at {pointer:?} is no time with a zone, at most five years ahead; it must be \
             like `2026-12-24T08:00:00Z`"
        )
    })
}

/// Adds the order that a body means; its id.
async fn order_of(
    app: &App,
    hook: &Hook,
    body: String,
    traceparent: Option<TraceParent>,
) -> Result<String, NoOrder> {
    let unknown = |problem: Problem| NoOrder { order: None, problem };
    // A large body takes tens of milliseconds.
    let of_hook = hook.clone();
    let mapped = tokio::task::spawn_blocking(move || document(&of_hook, body)).await;
    let mapped = mapped.map_err(|error| {
        let detail = format!("mapping a webhook to an order did not end: {error}");
        unknown(Problem::new(ProblemKind::Internal, detail))
    })?;
    let (document, due_at) =
        mapped.map_err(|why| unknown(Problem::new(ProblemKind::InvalidOrder, why)))?;
    let read = read(document, &app.reading).await;
    let order = match read.map_err(|error| unknown(Problem::from(error)))? {
        Document::Order(order) => order,
        Document::Invalid(invalid) => {
            return Err(NoOrder {
                order: invalid.id().map(ToString::to_string),
                problem: Problem::new(ProblemKind::InvalidOrder, invalid.to_string()),
            });
        }
    };
    let id = order.id().to_string();
    let of_order = |problem: Problem| NoOrder { order: Some(id.clone()), problem };
    templates::check(app, &hook.template).await.map_err(of_order)?;
    let notices = language(app, &order, &hook.template).await.map_err(of_order)?;
    let priority = Priority::try_from(hook.priority).map_err(|error| {
        of_order(Problem::new(ProblemKind::Internal, format!("`priority`: {error}")))
    })?;
    let submission = Submission {
        order,
        template: hook.template.clone(),
        priority,
        idempotency_key: None,
        callback: None,
        tenant: hook.tenant.clone(),
        only_own: hook.tenant.is_some(),
        batch: hook.batch,
        notices,
        traceparent,
        due_at,
    };
    let submitted = submit(&app.database, vec![submission], None).await;
    let submitted = submitted.map_err(|error| of_order(Problem::from(error)))?;
    let differs = submitted.iter().find_map(|one| one.differs.as_ref());
    match differs.map(|differs| differs.part) {
        None => Ok(id),
        Some(part) => {
            let part = part.as_str();
            let detail = format!(
                "the queue has order {id:?} with another {part}, and keeps it; revise the order, \
                 then replay this"
            );
            Err(of_order(Problem::new(ProblemKind::OrderDiffers, detail)))
        }
    }
}

/// The parameters of `GET /v1/hooks/deliveries`.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct List {
    /// Only those of this hook.
    hook: Option<String>,
    /// Only those in this state.
    state: Option<HookDeliveryState>,
    /// Only those that became this order, or were to become it.
    order: Option<String>,
    /// Deliveries of a page, at most 1000. Default: 50.
    limit: Option<u32>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// `GET /v1/hooks/deliveries`.
pub(crate) async fn deliveries(
    State(app): State<App>,
    Parameters(List { hook, state, order, limit, cursor }): Parameters<List>,
) -> Result<Response, Problem> {
    let limit = page(limit)?;
    let before = cursor.map(|cursor| read_position(&cursor)).transpose()?.map(|(_, id)| id);
    // One more, to know whether there is a next page.
    let limit_and_one = limit.saturating_add(1);
    let filter = HookDeliveryFilter { hook, state, order, before, limit: limit_and_one };
    let mut deliveries = app.database.hook_deliveries(&filter).await?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = deliveries.len() > limit;
    deliveries.truncate(limit);
    let next = deliveries.last().filter(|_| more).map(|last| position(last.at, &last.id));
    Ok(answer(StatusCode::OK, &HookDeliveryPage { deliveries, next }))
}

/// `GET /v1/hooks/deliveries/{id}`.
pub(crate) async fn show(State(app): State<App>, Id(id): Id) -> Result<Response, Problem> {
    let (delivery, body) = app.database.hook_delivery(&id).await?.ok_or_else(|| nothing(&id))?;
    Ok(answer(StatusCode::OK, &HookDeliveryDetail { delivery, body }))
}

/// `POST /v1/hooks/deliveries/{id}/replay`.
pub(crate) async fn replay(State(app): State<App>, Id(id): Id) -> Result<Response, Problem> {
    let delivery = process(&app, &id).await?;
    let outcome = match delivery.state {
        HookDeliveryState::Accepted => Outcome::Accepted,
        HookDeliveryState::Erased => Outcome::Erased,
        HookDeliveryState::Pending | HookDeliveryState::Refused => Outcome::Refused,
    };
    Ok(answer(StatusCode::OK, &HookReplay { outcome, delivery }))
}

fn nothing(id: &str) -> Problem {
    let detail = format!("there is no delivery {id:?} of a hook");
    Problem::new(ProblemKind::NoSuchHookDelivery, detail)
}
