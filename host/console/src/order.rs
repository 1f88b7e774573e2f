//! One order: what happened to it, what it cost, what it waits for; and what erasing it would do.

use askama::Template as _;
use sitewright_control::OrderDetail;
use sitewright_jobs::{AiCall, AiTry, Attempt, AttemptEnd, Event, Order, OrderState, RemovedRows};
use sitewright_model::ai::AttemptOutcome;

use super::address;
use super::frame::{Frame, Level};
use super::record::{LimitBar, limit_bars};
use super::text::{When, count, count_of, counted, counted_of, dollars, short, span};

/// Entries of the timeline, attempts and AI calls that are shown; the newest.
const SHOWN: usize = 80;
/// AI calls of which the tries are shown, the newest; tries of each, the last; and columns of the
/// message of a try: the page stays small.
const CALLS_WITH_TRIES: usize = 12;
const TRIES: usize = 4;
const TRY_MESSAGE: usize = 120;
/// Characters of the document that are shown.
const DOCUMENT: usize = 10_000;

/// What the page is made of.
#[derive(Debug)]
pub struct OrderFacts {
    pub detail: OrderDetail,
    /// The newest, the oldest of them first.
    pub events: Vec<Event>,
    pub ai_calls: Vec<AiCall>,
    /// As it was sent.
    pub document: String,
    /// The hold that it waits for, if any.
    pub is_paused: bool,
}

/// What the page that asks before erasing is made of.
#[derive(Debug)]
pub struct EraseFacts {
    pub order: Order,
    pub rows: RemovedRows,
    /// Whether releases are also in an object store.
    pub has_store: bool,
    /// Why nothing was erased.
    pub complaint: Option<String>,
}

#[derive(askama::Template)]
#[template(path = "order.html")]
struct Page<'a> {
    f: &'a Frame,
    id: &'a str,
    href: String,
    template: &'a str,
    template_href: String,
    state: &'static str,
    level: Level,
    what: String,
    next: Option<When>,
    may_retry: bool,
    may_cancel: bool,
    has_release: bool,
    facts: Vec<Fact>,
    failure: Option<FailureBox>,
    warnings: Vec<Warning>,
    moments: Vec<Moment>,
    moments_cut: bool,
    attempts: Vec<AttemptRow>,
    calls: Vec<CallRow>,
    calls_cut: String,
    cost: String,
    bars: Vec<LimitBar>,
    document: String,
    is_document_cut: bool,
}

struct Fact {
    name: &'static str,
    value: String,
    when: Option<When>,
    is_code: bool,
}

struct FailureBox {
    kind: String,
    message: String,
    hint: String,
    href: String,
    cause: Option<String>,
    at: When,
}

struct Warning {
    level: &'static str,
    place: String,
    text: String,
}

/// Something that happened to the order.
struct Moment {
    at: i64,
    when: When,
    class: &'static str,
    what: String,
    more: String,
    record: Option<String>,
}

struct AttemptRow {
    number: i64,
    outcome: &'static str,
    class: &'static str,
    started: When,
    took: String,
    worker: String,
    stage: String,
    trace: String,
    record: Option<String>,
    lost: bool,
}

struct CallRow {
    at: When,
    purpose: String,
    provider: String,
    model: String,
    input: String,
    output: String,
    cost: String,
    took: String,
    note: &'static str,
    /// The number of tries; empty if the first one succeeded.
    tried: String,
    tries: Vec<TryRow>,
}

/// An attempt at an AI call that succeeded in the end.
struct TryRow {
    /// HTTP status, kind of error and time.
    what: String,
    class: &'static str,
    model: String,
    message: String,
}

/// One order.
///
/// # Errors
/// Never, as far as is known.
pub fn order(frame: &Frame, facts: &OrderFacts) -> Result<String, askama::Error> {
    let now = frame.now;
    let OrderDetail { order, attempts, cost, .. } = &facts.detail;
    let (level, what) = what(order, facts.is_paused);
    let mut moments = moments(facts, now);
    let moments_cut = moments.len() > SHOWN;
    moments.drain(..moments.len().saturating_sub(SHOWN));
    moments.reverse();
    let calls_cut = facts.ai_calls.len().saturating_sub(SHOWN);
    let cached = facts.ai_calls.iter().filter(|call| call.cached).count();
    let pretty = pretty(&facts.document);
    let is_document_cut = pretty.chars().count() > DOCUMENT;
    Page {
        f: frame,
        id: &order.id,
        href: address::order(&order.id),
        template: &order.template,
        template_href: address::with("/console/orders", &[("template", Some(&order.template))]),
        state: order.state.as_str(),
        level,
        what,
        next: When::optional(order.next_attempt_at, now),
        may_retry: frame.may_operate() && order.state.has_ended(),
        may_cancel: frame.may_operate()
            && !order.state.has_ended()
            && order.cancel_requested_at.is_none(),
        has_release: order.current_release.is_some(),
        facts: all_facts(order, now),
        failure: failure(facts, now),
        warnings: warnings(&facts.detail),
        moments,
        moments_cut,
        attempts: attempts.iter().rev().take(SHOWN).map(|one| attempt(one, now)).collect(),
        calls: calls(&facts.ai_calls, now),
        calls_cut: if calls_cut > 0 { format!("and {calls_cut} earlier") } else { String::new() },
        cost: format!(
            "{}{} · {} · {} tokens in, {} out",
            counted(cost.calls, "reply", "replies"),
            if cached > 0 { format!(", {cached} of them from the cache") } else { String::new() },
            dollars(cost.nano_usd),
            count(cost.input_tokens),
            count(cost.output_tokens)
        ),
        bars: limit_bars(&facts.detail.limits),
        document: pretty.chars().take(DOCUMENT).collect(),
        is_document_cut,
    }
    .render()
}

/// What the order waits for, or how it ended.
fn what(order: &Order, is_paused: bool) -> (Level, String) {
    if order.cancel_requested_at.is_some() && !order.state.has_ended() {
        return (Level::Warning, "Its worker is asked to stop it.".to_owned());
    }
    match order.state {
        OrderState::Queued if is_paused => {
            (Level::Warning, "It waits for the queue to be resumed.".to_owned())
        }
        OrderState::Queued => (Level::Good, "It waits for a worker with room.".to_owned()),
        OrderState::Running => {
            let worker = order.owner_worker.as_deref().unwrap_or("a worker");
            (Level::Good, format!("{} makes it.", short(worker, 60)))
        }
        OrderState::Waiting => {
            let reason = order.waiting_reason.as_deref().unwrap_or("It waits for its next attempt");
            (Level::Warning, short(reason, 600))
        }
        OrderState::Succeeded => (Level::Good, "Its site is published.".to_owned()),
        OrderState::Failed => {
            (Level::Bad, "It failed for good: another attempt would end the same way.".to_owned())
        }
        OrderState::Dead => (Level::Bad, "Given up: its attempts reached their limit.".to_owned()),
        OrderState::Cancelled => (Level::Warning, "It was cancelled.".to_owned()),
    }
}

fn all_facts(order: &Order, now: i64) -> Vec<Fact> {
    let text = |name, value: String| Fact { name, value, when: None, is_code: false };
    let code = |name, value: &Option<String>| {
        let value = value.clone()?;
        Some(Fact { name, value, when: None, is_code: true })
    };
    let when = |name, at| {
        let when = Some(When::new(at, now));
        Fact { name, value: String::new(), when, is_code: false }
    };
    let mut facts = vec![when("Came", order.created_at), when("Changed", order.updated_at)];
    facts.extend(order.finished_at.map(|at| when("Ended", at)));
    facts.push(text(
        "Attempts",
        format!("{} started, {} used", count(order.runs), count(order.attempts)),
    ));
    if order.crashes > 0 {
        facts.push(text("Crashes", count(order.crashes)));
    }
    facts.push(text("Priority", i64::from(order.priority).to_string()));
    facts.push(text("Document", format!("revision {}", order.revision)));
    facts.extend(code("Release", &order.current_release));
    facts.extend(code("Configuration", &order.config_version));
    facts.extend(code("Idempotency key", &order.idempotency_key));
    facts.extend(code("Tenant", &order.tenant));
    if order.batch {
        facts.push(text("AI calls", "through batches: nobody waits for it".to_owned()));
    }
    facts
}

fn failure(facts: &OrderFacts, now: i64) -> Option<FailureBox> {
    let last = facts.detail.last_failure.as_ref()?;
    let record = facts.detail.record.as_ref();
    Some(FailureBox {
        kind: last.kind.clone(),
        message: short(&last.message, 600),
        hint: record.map(|record| short(record.hint.as_str(), 400)).unwrap_or_default(),
        href: address::record(&last.id),
        cause: record.and_then(|record| Some(address::cause(record.fingerprint.as_deref()?))),
        at: When::new(last.at, now),
    })
}

fn warnings(detail: &OrderDetail) -> Vec<Warning> {
    let of_document = detail.warnings.iter().map(|notice| Warning {
        level: if notice.is_warning() { "warn" } else { "" },
        place: format!("document {}", notice.pointer),
        text: short(&notice.message, 300),
    });
    let of_site = detail.site_warnings.iter().map(|problem| Warning {
        level: "warn",
        place: "site".to_owned(),
        text: short(&problem.to_string(), 300),
    });
    let of_template = detail.template_warnings.iter().map(|diagnostic| Warning {
        level: "warn",
        place: format!("template {}", short(&diagnostic.code, 60)),
        text: short(diagnostic.message.as_str(), 300),
    });
    of_document.chain(of_site).chain(of_template).take(SHOWN).collect()
}

/// Everything that happened, the oldest first.
fn moments(facts: &OrderFacts, now: i64) -> Vec<Moment> {
    let moment = |at, class, what: String, more: String| Moment {
        at,
        when: When::new(at, now),
        class,
        what,
        more,
        record: None,
    };
    let order = &facts.detail.order;
    let mut all = vec![moment(order.created_at, "", "The order came".to_owned(), String::new())];
    for attempt in &facts.detail.attempts {
        let number = attempt.number;
        let begin = format!("Attempt {number} began");
        let worker = format!("on {}", short(&attempt.worker, 60));
        all.push(moment(attempt.started_at, "m-attempt", begin, worker));
        if let (Some(at), Some(outcome)) = (attempt.ended_at, attempt.outcome) {
            let took = span(at.saturating_sub(attempt.started_at));
            let mut end = moment(
                at,
                outcome_class(outcome),
                format!("Attempt {number} {}", ended(outcome)),
                format!("after {took}"),
            );
            end.record = attempt.failure.as_deref().map(address::record);
            all.push(end);
        }
    }
    for event in &facts.events {
        let steps = match (event.done, event.total) {
            (Some(done), Some(total)) if total > 0 => format!("{done} of {total}"),
            _ => String::new(),
        };
        let message = event.message.as_deref().unwrap_or_default();
        let more = short(format!("{steps} {message}").trim(), 160);
        all.push(moment(event.at, "m-stage", short(&event.stage, 80), more));
    }
    for call in facts.ai_calls.iter().rev().take(SHOWN) {
        let what = format!("AI reply for {}", short(&call.call.purpose, 60));
        let cost = call.call.cost_nano_usd.and_then(|cost| i64::try_from(cost).ok());
        let model = short(&call.call.model, 60);
        let tries = match call.call.tries.len() {
            0 => String::new(),
            tries => format!(", {tries} tries"),
        };
        let from = if call.cached { ", from the cache" } else { "" };
        let more = format!(
            "{model}{}{tries}{from}",
            cost.map_or_else(String::new, |cost| { format!(", {}", dollars(cost)) })
        );
        all.push(moment(call.at, "m-ai", what, more));
    }
    // Stable: what came in the same millisecond stays as it is here.
    all.sort_by_key(|moment| moment.at);
    all
}

fn outcome_class(outcome: AttemptEnd) -> &'static str {
    match outcome {
        AttemptEnd::Succeeded => "good",
        AttemptEnd::Failed | AttemptEnd::Dead | AttemptEnd::Crashed => "bad",
        AttemptEnd::Retry | AttemptEnd::Snoozed | AttemptEnd::Cancelled | AttemptEnd::Returned => {
            "warn"
        }
    }
}

fn ended(outcome: AttemptEnd) -> &'static str {
    match outcome {
        AttemptEnd::Succeeded => "succeeded",
        AttemptEnd::Failed => "failed",
        AttemptEnd::Retry => "failed and is made again",
        AttemptEnd::Snoozed => "has to wait",
        AttemptEnd::Dead => "was the last",
        AttemptEnd::Cancelled => "was cancelled",
        AttemptEnd::Returned => "was given back: its worker stopped",
        AttemptEnd::Crashed => "ended with its worker's process",
    }
}

fn attempt(attempt: &Attempt, now: i64) -> AttemptRow {
    AttemptRow {
        number: attempt.number,
        outcome: attempt.outcome.map_or("running", AttemptEnd::as_str),
        class: attempt.outcome.map_or("", outcome_class),
        started: When::new(attempt.started_at, now),
        took: span(attempt.ended_at.unwrap_or(now).saturating_sub(attempt.started_at)),
        worker: short(&attempt.worker, 60),
        stage: attempt.last_stage.as_deref().map(|stage| short(stage, 60)).unwrap_or_default(),
        trace: attempt.trace_id.clone(),
        record: attempt.failure.as_deref().map(address::record),
        lost: attempt.lease_lost_at.is_some(),
    }
}

/// The newest calls, the newest first.
fn calls(calls: &[AiCall], now: i64) -> Vec<CallRow> {
    let mut rows: Vec<CallRow> = calls.iter().rev().take(SHOWN).map(|one| call(one, now)).collect();
    let with_tries = rows.iter_mut().filter(|row| !row.tries.is_empty());
    for row in with_tries.skip(CALLS_WITH_TRIES) {
        row.tries.clear();
    }
    rows
}

fn one_try(one: &AiTry) -> TryRow {
    let took = span(one.took_ms);
    let status = match one.status {
        Some(status) => format!("HTTP {status}"),
        None if one.sent => "no response".to_owned(),
        None => "not sent".to_owned(),
    };
    TryRow {
        what: format!("{status}, {}, {took}", one.outcome),
        class: if one.outcome == AttemptOutcome::Succeeded { "good" } else { "bad" },
        model: short(&format!("{} · {}", one.model, one.provider), 80),
        message: one.message.as_deref().map(|text| short(text, TRY_MESSAGE)).unwrap_or_default(),
    }
}

fn call(call: &AiCall, now: i64) -> CallRow {
    let tries = &call.call.tries;
    let tokens = |number: Option<u64>| number.map_or_else(String::new, count_of);
    let cost = call.call.cost_nano_usd.and_then(|cost| i64::try_from(cost).ok());
    CallRow {
        at: When::new(call.at, now),
        purpose: short(&call.call.purpose, 60),
        provider: short(&call.call.provider, 40),
        model: short(&call.call.model, 60),
        input: tokens(call.call.input_tokens),
        output: tokens(call.call.output_tokens),
        cost: cost.map_or_else(|| "unknown".to_owned(), dollars),
        took: call.call.took_ms.and_then(|ms| i64::try_from(ms).ok()).map(span).unwrap_or_default(),
        tried: if tries.is_empty() { String::new() } else { count_of(tries.len() as u64) },
        tries: tries[tries.len().saturating_sub(TRIES)..].iter().map(one_try).collect(),
        note: match (call.asked_again_at, call.current) {
            (Some(_), _) => "blamed for a failure, asked again",
            (None, false) => "not reused",
            (None, true) if call.cached => "from the cache: another order paid for it",
            (None, true) => "",
        },
    }
}

/// JSON with line breaks; a document that is no JSON as it is.
fn pretty(document: &str) -> String {
    let value = serde_json::from_str::<serde_json::Value>(document);
    let pretty = value.and_then(|value| serde_json::to_string_pretty(&value));
    pretty.unwrap_or_else(|_| document.to_owned())
}

#[derive(askama::Template)]
#[template(path = "erase.html")]
struct ErasePage<'a> {
    f: &'a Frame,
    id: &'a str,
    href: String,
    state: &'static str,
    is_running: bool,
    is_published: bool,
    has_store: bool,
    rows: Vec<String>,
    complaint: Option<&'a str>,
}

/// Asks before an order is erased, and says what goes.
///
/// # Errors
/// Never, as far as is known.
pub fn erase(frame: &Frame, facts: &EraseFacts) -> Result<String, askama::Error> {
    let EraseFacts { order, rows, has_store, complaint } = facts;
    ErasePage {
        f: frame,
        id: &order.id,
        href: address::order(&order.id),
        state: order.state.as_str(),
        is_running: order.state == OrderState::Running,
        is_published: order.current_release.is_some(),
        has_store: *has_store,
        rows: vec![
            counted_of(rows.attempts, "attempt", "attempts"),
            counted_of(rows.failures, "failure record", "failure records"),
            counted_of(rows.ai_calls, "AI reply", "AI replies"),
            counted_of(rows.events, "stage that was reported", "stages that were reported"),
            counted_of(rows.deliveries, "delivery of a webhook", "deliveries of webhooks"),
        ],
        complaint: complaint.as_deref(),
    }
    .render()
}
