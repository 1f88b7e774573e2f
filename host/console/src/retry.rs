//! What retrying all orders of a cause would do, before it is done.

use askama::Template as _;
use sitewright_failure::group::Cause;
use sitewright_jobs::Hold;

use super::address;
use super::confirm_many::{IN_BACKGROUND, ManyPage, points_of_retry, remarks_of_retry};
use super::frame::Frame;
use super::text::{count, counted, short};

/// What the page is made of.
#[derive(Debug)]
pub struct RetryFacts {
    pub cause: Cause,
    /// Orders that would be queued again, those first whose state changed first.
    pub orders: Vec<String>,
    /// Orders whose state changes later are left alone, in milliseconds since the Unix epoch.
    pub until: i64,
    /// The number of orders that ever failed this way.
    pub ever: usize,
    pub holds: Vec<Hold>,
    pub is_paused: bool,
    /// Live workers.
    pub workers: usize,
    /// Orders in the queue already.
    pub queued: i64,
    /// Templates of these orders that no live worker has.
    pub unserved: Vec<String>,
}

/// Orders that are listed.
const SHOWN: usize = 40;

/// Asks before the orders of a cause are retried, and says what will happen.
///
/// # Errors
/// Never, as far as is known.
pub fn retry(frame: &Frame, facts: &RetryFacts) -> Result<String, askama::Error> {
    let group = &facts.cause.group;
    let number = i64::try_from(facts.orders.len()).unwrap_or(i64::MAX);
    let mut points = points_of_retry(number, facts.queued);
    let others = facts.ever.saturating_sub(facts.orders.len());
    if others > 0 {
        points.push(format!(
            "{others} others that failed this way are left alone: they have ended otherwise since, \
             or are made at the moment."
        ));
    }
    points.push(IN_BACKGROUND.to_owned());
    points.push("Orders that fail or change after this page are left alone.".to_owned());
    let mut remarks = remarks_of_retry(facts.is_paused, facts.workers, &facts.holds);
    remarks.extend(facts.unserved.iter().map(|template| {
        let name = short(template, 60);
        format!("No worker has the template {name}: its orders wait for one.")
    }));
    let back = address::cause(&group.fingerprint);
    ManyPage {
        f: frame,
        section: ("/console/failures", "Failures"),
        action: format!("{back}/retry"),
        back,
        subject: "the cause".to_owned(),
        verb: ("retry", "Retry"),
        orders: counted(number, "order", "orders"),
        count: count(number),
        nothing: (number == 0).then_some("No order that has ended has this as its last failure."),
        go_back: "Back to the cause",
        cause: Some((group.kind.as_str(), short(&group.message, 300))),
        states: Vec::new(),
        points,
        remarks,
        note: Some(
            "If the cause is still there, they fail again, and cost again. Orders that are queued \
             can be cancelled.",
        ),
        fields: vec![("until", facts.until.to_string()), ("most", number.to_string())],
        class: "primary",
        shown: facts
            .orders
            .iter()
            .take(SHOWN)
            .map(|id| (address::order(id), id.as_str()))
            .collect(),
        more: facts.orders.len().saturating_sub(SHOWN),
    }
    .render()
}
