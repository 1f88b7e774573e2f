//! Retrying or cancelling many orders: what would happen, and how far it is.

use askama::Template as _;
use sitewright_jobs::{BulkAction, BulkRun, BulkState, Hold, OrderState, Selection};

use super::address;
use super::confirm_many::{IN_BACKGROUND, ManyPage, points_of_retry, remarks_of_retry};
use super::frame::Frame;
use super::orders::Wanted;
use super::text::{When, count, counted, short, span};

/// What the page that asks before is made of.
#[derive(Debug)]
pub struct BulkPreview {
    pub action: BulkAction,
    pub selection: Selection,
    /// What was typed.
    pub wanted: Wanted,
    /// Orders that would be changed, by their state.
    pub counts: Vec<(OrderState, i64)>,
    pub holds: Vec<Hold>,
    pub is_paused: bool,
    /// Live workers.
    pub workers: usize,
    /// Orders in the queue already.
    pub queued: i64,
}

/// Which orders are looked for, in words: `state failed, template flora`; `all orders`.
pub fn selection_in_words(selection: &Selection) -> String {
    let Selection { states, template, kind, fingerprint, text, tenant, .. } = selection;
    let states: Vec<&str> = states.iter().map(|state| state.as_str()).collect();
    let state = if states.is_empty() { None } else { Some(states.join(" or ")) };
    let parts = [
        ("state", state.as_deref()),
        ("template", template.as_deref()),
        ("failed with", kind.as_deref()),
        ("cause", fingerprint.as_deref()),
        ("id with", text.as_deref()),
        ("tenant", tenant.as_deref()),
    ];
    let words: Vec<String> = parts
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{name} {}", short(value?, 60))))
        .collect();
    if words.is_empty() { "all orders".to_owned() } else { words.join(", ") }
}

/// As [`selection_in_words`], of a run.
pub(crate) fn run_in_words(run: &BulkRun) -> String {
    run.selection.as_ref().map_or_else(|| "unknown conditions".to_owned(), selection_in_words)
}

/// Asks before many orders are changed, and says what will happen.
///
/// # Errors
/// Never, as far as is known.
pub fn bulk_preview(frame: &Frame, facts: &BulkPreview) -> Result<String, askama::Error> {
    // What was looked for, also if no order in that state can be changed.
    let states = match facts.wanted.state {
        Some(state) => vec![state],
        None => facts.selection.states.clone(),
    };
    let what = selection_in_words(&Selection { states, ..facts.selection.clone() });
    let number: i64 = facts.counts.iter().map(|(_, orders)| orders).sum();
    let is_retry = facts.action == BulkAction::Retry;
    let (mut points, remarks) = match is_retry {
        true => (
            points_of_retry(number, facts.queued),
            remarks_of_retry(facts.is_paused, facts.workers, &facts.holds),
        ),
        false => (points_of_cancel(&facts.counts), Vec::new()),
    };
    points.push(IN_BACKGROUND.to_owned());
    points.push("Orders that come or change after this page are left alone.".to_owned());
    let nothing = match is_retry {
        true => "Only orders that have ended are made again, and none of these has.",
        false => "Only orders that have not ended are cancelled, and all of these have.",
    };
    let until = facts.selection.until.unwrap_or(frame.now);
    let mut fields = vec![
        ("do", facts.action.to_string()),
        ("until", until.to_string()),
        ("most", number.to_string()),
    ];
    let typed = facts.wanted.parameters().into_iter();
    fields.extend(typed.filter_map(|(name, value)| Some((name, value?.to_owned()))));
    ManyPage {
        f: frame,
        section: ("/console/orders", "Orders"),
        back: facts.wanted.address(None),
        subject: what,
        verb: if is_retry { ("retry", "Retry") } else { ("cancel", "Cancel") },
        orders: counted(number, "order", "orders"),
        count: count(number),
        nothing: (number == 0).then_some(nothing),
        go_back: "Back to the orders",
        cause: None,
        states: facts.counts.iter().map(|(state, n)| (state.as_str(), count(*n))).collect(),
        points,
        remarks,
        note: None,
        action: "/console/bulk".to_owned(),
        fields,
        class: if is_retry { "primary" } else { "danger" },
        shown: Vec::new(),
        more: 0,
    }
    .render()
}

/// What happens if these orders are cancelled.
fn points_of_cancel(counts: &[(OrderState, i64)]) -> Vec<String> {
    let mut waiting = "Those that are queued or wait are not made.".to_owned();
    if counts.iter().any(|(state, _)| *state == OrderState::Running) {
        waiting.push_str(
            " Those that run are stopped by their workers within seconds; what they have paid for \
             is kept for a retry.",
        );
    }
    let releases = "Releases that visitors see stay. Orders that were cancelled can be made again.";
    vec![waiting, releases.to_owned()]
}

#[derive(askama::Template)]
#[template(path = "change.html")]
struct ChangePage<'a> {
    f: &'a Frame,
    href: String,
    title: String,
    what: String,
    who: &'a str,
    begun: When,
    took: String,
    percent: i64,
    progress: String,
    outcomes: Vec<(String, &'static str)>,
    goes_on: bool,
    is_lost: bool,
    is_stopped: bool,
    failed: Option<String>,
    left: String,
}

/// How far a change of many orders is.
///
/// # Errors
/// Never, as far as is known.
pub fn bulk_progress(frame: &Frame, run: &BulkRun) -> Result<String, askama::Error> {
    let (done, all) = (run.done(), run.selected);
    let outcome = |(name, number): (&String, &i64)| {
        let says = match name.as_str() {
            "queued" => "queued again",
            "cancelled" => "cancelled",
            "stopping" => "being stopped by their workers",
            "not_ended" => "not ended, and unchanged",
            "already_ended" => "ended before, and unchanged",
            "changed" => "changed meanwhile, and left alone",
            _ => "erased meanwhile",
        };
        (count(*number), says)
    };
    let verb = match run.action {
        BulkAction::Retry => "Retry",
        BulkAction::Cancel => "Cancel",
    };
    let percent = done.min(all).saturating_mul(100).checked_div(all).unwrap_or(100);
    ChangePage {
        f: frame,
        href: address::bulk(&run.id),
        title: format!("{verb} {}", counted(all, "order", "orders")),
        what: run_in_words(run),
        who: run.actor.as_deref().unwrap_or("somebody"),
        begun: When::new(run.at, frame.now),
        took: span(run.ended_at.unwrap_or(frame.now).saturating_sub(run.at)),
        percent,
        progress: format!("{} of {}", count(done), count(all)),
        outcomes: run.outcomes.iter().map(outcome).collect(),
        goes_on: goes_on(run.state),
        is_lost: run.state == BulkState::Lost,
        is_stopped: run.state == BulkState::Stopped,
        failed: (run.state == BulkState::Failed)
            .then(|| short(run.reason.as_deref().unwrap_or_default(), 400)),
        left: count(all.saturating_sub(done)),
    }
    .render()
}

/// Whether a run has not ended. One that has lost its server waits for another.
pub fn goes_on(state: BulkState) -> bool {
    match state {
        BulkState::Running | BulkState::Lost => true,
        BulkState::Done | BulkState::Stopped | BulkState::Failed => false,
    }
}
