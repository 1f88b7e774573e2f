//! Retrying or cancelling many orders: what would happen, and how far it is.

use std::collections::BTreeMap;

use askama::Template as _;
use sitewright_jobs::{Hold, OrderState};

use super::address;
use super::frame::Frame;
use super::orders::Wanted;
use super::text::{When, count, count_of, counted, short, span};

/// What is done to orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display, strum::EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum BulkKind {
    Retry,
    Cancel,
}

/// What the page that asks before is made of.
#[derive(Debug)]
pub struct BulkPreview {
    pub kind: BulkKind,
    pub wanted: Wanted,
    /// When the orders were counted, in milliseconds since the Unix epoch: later ones are left
    /// alone.
    pub until: i64,
    /// Orders that would be changed, by their state.
    pub counts: Vec<(OrderState, i64)>,
    pub holds: Vec<Hold>,
    pub is_paused: bool,
    /// Live workers.
    pub workers: usize,
    /// Orders in the queue already.
    pub queued: i64,
}

/// A change that was begun.
#[derive(Debug, Clone)]
pub struct BulkFacts {
    pub id: String,
    pub kind: BulkKind,
    /// Which orders, in words.
    pub what: String,
    /// Who began it.
    pub who: String,
    /// Orders that are to be changed.
    pub all: usize,
    /// Orders that were come by, by what became of them.
    pub outcomes: BTreeMap<&'static str, usize>,
    /// Milliseconds since the Unix epoch.
    pub begun_at: i64,
    pub ended_at: Option<i64>,
    /// How it ended; `None` while it goes on.
    pub end: Option<BulkEnd>,
}

/// How a change of many orders ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BulkEnd {
    Done,
    /// Somebody stopped it, or the server stopped.
    Stopped,
    Failed(String),
}

impl BulkFacts {
    /// Orders that were come by.
    pub fn done(&self) -> usize {
        self.outcomes.values().sum()
    }
}

/// What is looked for, in words: `state failed, template flora`; `all orders`.
pub fn wanted_in_words(wanted: &Wanted) -> String {
    let parts = [
        ("state", wanted.state.map(OrderState::as_str)),
        ("template", wanted.template.as_deref()),
        ("failed with", wanted.kind.as_deref()),
        ("id with", wanted.text.as_deref()),
    ];
    let words: Vec<String> = parts
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{name} {}", short(value?, 60))))
        .collect();
    if words.is_empty() { "all orders".to_owned() } else { words.join(", ") }
}

#[derive(askama::Template)]
#[template(path = "bulk.html")]
struct Page<'a> {
    f: &'a Frame,
    is_retry: bool,
    kind: String,
    what: String,
    back: String,
    number: i64,
    count: String,
    states: Vec<(&'static str, String)>,
    queued: String,
    running: bool,
    remarks: Vec<String>,
    fields: Vec<(&'static str, String)>,
    until: i64,
}

/// Asks before many orders are changed, and says what will happen.
///
/// # Errors
/// Never, as far as is known.
pub fn bulk_preview(frame: &Frame, facts: &BulkPreview) -> Result<String, askama::Error> {
    let number: i64 = facts.counts.iter().map(|(_, orders)| orders).sum();
    let mut remarks = Vec::new();
    if facts.kind == BulkKind::Retry {
        if facts.is_paused {
            remarks.push("The queue is paused: they wait until it is resumed.".to_owned());
        }
        if facts.workers == 0 {
            remarks.push("No worker runs: they wait until one is started.".to_owned());
        }
        for hold in facts.holds.iter().take(10) {
            let reason = short(&hold.reason, 200);
            remarks.push(format!("{} is held ({reason}): orders that need it wait.", hold.id));
        }
    }
    Page {
        f: frame,
        is_retry: facts.kind == BulkKind::Retry,
        kind: facts.kind.to_string(),
        what: wanted_in_words(&facts.wanted),
        back: facts.wanted.address(None),
        number,
        count: count(number),
        states: facts.counts.iter().map(|(state, n)| (state.as_str(), count(*n))).collect(),
        queued: count(facts.queued),
        running: facts.counts.iter().any(|(state, _)| *state == OrderState::Running),
        remarks,
        fields: facts
            .wanted
            .parameters()
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?.to_owned())))
            .collect(),
        until: facts.until,
    }
    .render()
}

#[derive(askama::Template)]
#[template(path = "change.html")]
struct ChangePage<'a> {
    f: &'a Frame,
    href: String,
    title: String,
    what: &'a str,
    who: &'a str,
    begun: When,
    took: String,
    percent: usize,
    progress: String,
    outcomes: Vec<(String, &'static str)>,
    goes_on: bool,
    is_stopped: bool,
    failed: Option<String>,
    left: String,
}

/// How far a change of many orders is.
///
/// # Errors
/// Never, as far as is known.
pub fn bulk_progress(frame: &Frame, facts: &BulkFacts) -> Result<String, askama::Error> {
    let (done, all) = (facts.done(), facts.all);
    let outcome = |(name, number): (&&'static str, &usize)| {
        let says = match *name {
            "queued" => "queued again",
            "cancelled" => "cancelled",
            "stopping" => "being stopped by their workers",
            "not_ended" => "not ended, and unchanged",
            "already_ended" => "ended before, and unchanged",
            "changed" => "changed meanwhile, and left alone",
            _ => "erased meanwhile",
        };
        (count_of(*number as u64), says)
    };
    let verb = match facts.kind {
        BulkKind::Retry => "Retry",
        BulkKind::Cancel => "Cancel",
    };
    let orders = counted(i64::try_from(all).unwrap_or(i64::MAX), "order", "orders");
    ChangePage {
        f: frame,
        href: address::bulk(&facts.id),
        title: format!("{verb} {orders}"),
        what: &facts.what,
        who: &facts.who,
        begun: When::new(facts.begun_at, frame.now),
        took: span(facts.ended_at.unwrap_or(frame.now).saturating_sub(facts.begun_at)),
        percent: (done.min(all) * 100).checked_div(all).unwrap_or(100),
        progress: format!("{} of {}", count_of(done as u64), count_of(all as u64)),
        outcomes: facts.outcomes.iter().map(outcome).collect(),
        goes_on: facts.end.is_none(),
        is_stopped: facts.end == Some(BulkEnd::Stopped),
        failed: match &facts.end {
            Some(BulkEnd::Failed(why)) => Some(short(why, 400)),
            _ => None,
        },
        left: count_of(all.saturating_sub(done) as u64),
    }
    .render()
}
