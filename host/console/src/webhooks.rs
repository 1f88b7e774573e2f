//! Webhooks: who is told of orders, what became of each delivery, and the attempts of one.

use askama::Template as _;
use sitewright_jobs::{CALLBACK, Delivery, DeliveryAttempt, DeliveryState, Webhook};

use super::address;
use super::frame::Frame;
use super::text::{When, count, short, span};

/// Attempts of a delivery that are shown; the newest.
const SHOWN: usize = 15;
/// Characters of an answer's body.
const BODY: usize = 500;

/// Which deliveries are looked for, as it was typed.
#[derive(Debug, Clone, Default)]
pub struct WantedDeliveries {
    pub webhook: Option<String>,
    pub order: Option<String>,
    pub state: Option<DeliveryState>,
}

/// What the page is made of.
#[derive(Debug)]
pub struct WebhooksFacts {
    pub webhooks: Vec<Webhook>,
    pub wanted: WantedDeliveries,
    /// The newest first.
    pub deliveries: Vec<Delivery>,
    /// `cursor` of the next page.
    pub next: Option<String>,
    pub is_later: bool,
}

/// What the page of one delivery is made of.
#[derive(Debug)]
pub struct DeliveryFacts {
    pub delivery: Delivery,
    /// The oldest first.
    pub attempts: Vec<DeliveryAttempt>,
}

#[derive(askama::Template)]
#[template(path = "webhooks.html")]
struct Page<'a> {
    f: &'a Frame,
    webhooks: Vec<WebhookRow>,
    names: Vec<Choice>,
    states: Vec<Choice>,
    order: &'a str,
    is_filtered: bool,
    rows: Vec<DeliveryRow>,
    next: Option<String>,
    is_later: bool,
}

struct WebhookRow {
    name: String,
    is_callback: bool,
    url: String,
    events: String,
    seen: When,
    pending: String,
    pending_since: Option<When>,
    disabled: Option<When>,
    reason: String,
    enable: String,
}

struct Choice {
    name: String,
    is_chosen: bool,
}

struct DeliveryRow {
    href: String,
    event: &'static str,
    webhook: String,
    order: Option<(String, String)>,
    /// What it is about besides an order; empty if nothing.
    hold: String,
    at: When,
    state: &'static str,
    class: &'static str,
    attempts: String,
    next: Option<When>,
    answer: String,
}

fn state_of(state: DeliveryState) -> (&'static str, &'static str) {
    match state {
        DeliveryState::Pending => ("pending", "warn"),
        DeliveryState::Delivered => ("delivered", "good"),
        DeliveryState::GivenUp => ("given up", "bad"),
    }
}

/// Webhooks and deliveries.
///
/// # Errors
/// Never, as far as is known.
pub fn webhooks(frame: &Frame, facts: &WebhooksFacts) -> Result<String, askama::Error> {
    let WebhooksFacts { webhooks, wanted, deliveries, next, is_later } = facts;
    let state = wanted.state.map(DeliveryState::as_str);
    let page = |cursor: &str| {
        address::with(
            "/console/webhooks",
            &[
                ("webhook", wanted.webhook.as_deref()),
                ("order", wanted.order.as_deref()),
                ("state", state),
                ("cursor", Some(cursor)),
            ],
        )
    };
    let mut names: Vec<&str> = webhooks.iter().map(|one| one.name.as_str()).collect();
    if !names.contains(&CALLBACK) {
        names.push(CALLBACK);
    }
    let choice = |name: &str, chosen: Option<&str>| Choice {
        name: name.to_owned(),
        is_chosen: chosen == Some(name),
    };
    let states = [DeliveryState::Pending, DeliveryState::Delivered, DeliveryState::GivenUp];
    Page {
        f: frame,
        webhooks: webhooks.iter().take(30).map(|one| webhook(one, frame.now)).collect(),
        names: names.into_iter().map(|name| choice(name, wanted.webhook.as_deref())).collect(),
        states: states.into_iter().map(|one| choice(one.as_str(), state)).collect(),
        order: wanted.order.as_deref().unwrap_or_default(),
        is_filtered: wanted.webhook.is_some() || wanted.order.is_some() || state.is_some(),
        rows: deliveries.iter().map(|one| row(one, frame.now)).collect(),
        next: next.as_deref().map(page),
        is_later: *is_later,
    }
    .render()
}

fn webhook(webhook: &Webhook, now: i64) -> WebhookRow {
    let events: Vec<&str> = webhook.events.iter().map(|event| event.as_str()).collect();
    WebhookRow {
        name: short(&webhook.name, 80),
        is_callback: webhook.name == CALLBACK,
        url: short(&webhook.url, 200),
        events: events.join(", "),
        seen: When::new(webhook.seen_at, now),
        pending: count(webhook.pending),
        pending_since: When::optional(webhook.pending_since, now),
        disabled: When::optional(webhook.disabled_at, now),
        reason: webhook.disabled_reason.as_deref().map(|why| short(why, 300)).unwrap_or_default(),
        enable: format!("/console/webhooks/{}/enable", address::encoded(&webhook.name)),
    }
}

fn row(delivery: &Delivery, now: i64) -> DeliveryRow {
    let (state, class) = state_of(delivery.state);
    let is_pending = delivery.state == DeliveryState::Pending;
    let answer = match (&delivery.last_error, delivery.last_status) {
        (Some(error), _) => short(error, 110),
        (None, Some(status)) => format!("HTTP {status}"),
        (None, None) => String::new(),
    };
    DeliveryRow {
        href: address::delivery(&delivery.id),
        event: delivery.event.as_str(),
        webhook: short(&delivery.webhook, 60),
        order: delivery.order.as_ref().map(|id| (address::order(id), id.clone())),
        hold: delivery.hold.clone().unwrap_or_default(),
        at: When::new(delivery.at, now),
        state,
        class,
        attempts: count(delivery.attempts),
        next: When::optional(delivery.next_at, now).filter(|_| is_pending),
        answer,
    }
}

#[derive(askama::Template)]
#[template(path = "delivery.html")]
struct DeliveryPage<'a> {
    f: &'a Frame,
    id: &'a str,
    redeliver: String,
    row: DeliveryRow,
    attempts: Vec<AttemptRow>,
    more: usize,
}

struct AttemptRow {
    number: i64,
    at: When,
    took: String,
    status: String,
    error: String,
    class: &'static str,
    body: String,
}

/// One delivery, with its attempts.
///
/// # Errors
/// Never, as far as is known.
pub fn delivery(frame: &Frame, facts: &DeliveryFacts) -> Result<String, askama::Error> {
    let DeliveryFacts { delivery, attempts } = facts;
    let attempt = |one: &DeliveryAttempt| AttemptRow {
        number: one.number,
        at: When::new(one.at, frame.now),
        took: span(one.took_ms),
        status: one.status.map(|status| status.to_string()).unwrap_or_default(),
        error: one.error.as_deref().map(|error| short(error, 300)).unwrap_or_default(),
        class: if one.error.is_none() { "good" } else { "bad" },
        body: one.body.as_deref().unwrap_or_default().chars().take(BODY).collect(),
    };
    DeliveryPage {
        f: frame,
        id: &delivery.id,
        redeliver: format!("{}/redeliver", address::delivery(&delivery.id)),
        row: row(delivery, frame.now),
        attempts: attempts.iter().rev().take(SHOWN).map(attempt).collect(),
        more: attempts.len().saturating_sub(SHOWN),
    }
    .render()
}
