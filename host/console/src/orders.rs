//! The list of orders, with its filter.

use askama::Template as _;
use sitewright_jobs::{Found, LOOKED_THROUGH, Order, OrderCursor, OrderState};
use sitewright_model::failure::FailureKind;

use super::address;
use super::frame::Frame;
use super::text::{When, count, short};

/// What is looked for, as it was typed.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    pub state: Option<OrderState>,
    pub template: Option<String>,
    pub kind: Option<String>,
    /// A part of the id.
    pub text: Option<String>,
}

/// What the page is made of.
#[derive(Debug)]
pub struct OrdersFacts {
    pub wanted: Wanted,
    pub found: Found,
    /// `cursor` of the next page.
    pub next: Option<String>,
    /// Whether this is not the first page.
    pub is_later: bool,
    /// Names of templates, to choose from.
    pub templates: Vec<String>,
}

#[derive(askama::Template)]
#[template(path = "orders.html")]
struct Page<'a> {
    f: &'a Frame,
    states: Vec<Choice>,
    kinds: Vec<Choice>,
    templates: &'a [String],
    template: &'a str,
    text: &'a str,
    is_filtered: bool,
    is_later: bool,
    rows: Vec<OrderRow>,
    next: Option<String>,
    first: String,
    /// What a search looked through.
    cut: Option<Cut>,
}

struct Cut {
    orders: String,
    until: Option<When>,
}

struct Choice {
    name: &'static str,
    is_chosen: bool,
}

/// One order in a list.
struct OrderRow {
    href: String,
    id: String,
    template: String,
    state: &'static str,
    created: When,
    updated: When,
    attempts: i64,
    note: String,
    record: Option<String>,
}

/// The list of orders.
///
/// # Errors
/// Never, as far as is known.
pub fn orders(frame: &Frame, facts: &OrdersFacts) -> Result<String, askama::Error> {
    let OrdersFacts { wanted, found, next, is_later, templates } = facts;
    let state = wanted.state.map(OrderState::as_str);
    let parameters = [
        ("state", state),
        ("template", wanted.template.as_deref()),
        ("kind", wanted.kind.as_deref()),
        ("text", wanted.text.as_deref()),
    ];
    let page = |cursor: Option<&str>| {
        let mut all = parameters.to_vec();
        all.push(("cursor", cursor));
        address::with("/console/orders", &all)
    };
    let until = found.next.as_ref().map(|OrderCursor { created_at, .. }| *created_at);
    let cut = found.is_cut.then(|| Cut {
        orders: count(i64::from(LOOKED_THROUGH)),
        until: When::optional(until, frame.now),
    });
    Page {
        f: frame,
        states: choices(&OrderState::ALL.map(OrderState::as_str), state),
        kinds: choices(&FailureKind::ALL.map(FailureKind::as_str), wanted.kind.as_deref()),
        templates,
        template: wanted.template.as_deref().unwrap_or_default(),
        text: wanted.text.as_deref().unwrap_or_default(),
        is_filtered: parameters.iter().any(|(_, value)| value.is_some()),
        is_later: *is_later,
        rows: found.orders.iter().map(|order| row(order, frame.now)).collect(),
        next: next.as_deref().map(|cursor| page(Some(cursor))),
        first: page(None),
        cut,
    }
    .render()
}

fn choices(names: &[&'static str], chosen: Option<&str>) -> Vec<Choice> {
    names.iter().map(|name| Choice { name, is_chosen: chosen == Some(*name) }).collect()
}

fn row(order: &Order, now: i64) -> OrderRow {
    let note = match (&order.waiting_reason, order.cancel_requested_at, order.state) {
        (Some(reason), ..) => short(reason, 110),
        (None, Some(_), OrderState::Running) => "is being stopped".to_owned(),
        _ => String::new(),
    };
    let is_failed = matches!(order.state, OrderState::Failed | OrderState::Dead);
    OrderRow {
        href: address::order(&order.id),
        id: order.id.clone(),
        template: short(&order.template, 40),
        state: order.state.as_str(),
        created: When::new(order.created_at, now),
        updated: When::new(order.updated_at, now),
        attempts: order.runs,
        note,
        record: order.last_failure.as_deref().filter(|_| is_failed).map(address::record),
    }
}
