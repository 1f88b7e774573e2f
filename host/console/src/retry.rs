//! What retrying all orders of a cause would do, before it is done.

use askama::Template as _;
use sitewright_failure::group::Cause;
use sitewright_jobs::Hold;

use super::address;
use super::frame::Frame;
use super::text::{count_of, short};

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

#[derive(askama::Template)]
#[template(path = "retry.html")]
struct Page<'a> {
    f: &'a Frame,
    href: String,
    message: String,
    kind: &'a str,
    number: usize,
    until: i64,
    count: String,
    others: usize,
    shown: Vec<(String, &'a str)>,
    more: usize,
    remarks: Vec<String>,
    queued: String,
}

/// Orders that are listed.
const SHOWN: usize = 40;

/// Asks before the orders of a cause are retried, and says what will happen.
///
/// # Errors
/// Never, as far as is known.
pub fn retry(frame: &Frame, facts: &RetryFacts) -> Result<String, askama::Error> {
    let group = &facts.cause.group;
    let number = facts.orders.len();
    let mut remarks = Vec::new();
    if facts.is_paused {
        remarks.push("The queue is paused: they wait until it is resumed.".to_owned());
    }
    if facts.workers == 0 {
        remarks.push("No worker runs: they wait until one is started.".to_owned());
    }
    for template in &facts.unserved {
        let name = short(template, 60);
        remarks.push(format!("No worker has the template {name}: its orders wait for one."));
    }
    for hold in &facts.holds {
        let reason = short(&hold.reason, 200);
        remarks.push(format!("{} is held ({reason}): orders that need it wait.", hold.id));
    }
    Page {
        f: frame,
        href: address::cause(&group.fingerprint),
        message: short(&group.message, 300),
        kind: &group.kind,
        number,
        until: facts.until,
        count: count_of(number as u64),
        others: facts.ever.saturating_sub(number),
        shown: facts
            .orders
            .iter()
            .take(SHOWN)
            .map(|id| (address::order(id), id.as_str()))
            .collect(),
        more: number.saturating_sub(SHOWN),
        remarks,
        queued: count_of(u64::try_from(facts.queued).unwrap_or_default()),
    }
    .render()
}
