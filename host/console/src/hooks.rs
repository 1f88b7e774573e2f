//! Webhooks of others: what they brought, and what became of it.

use askama::Template as _;
use sitewright_jobs::{HookDelivery, HookDeliveryState};

use super::address;
use super::frame::Frame;
use super::text::{When, short};

/// All states, to choose from.
const STATES: [HookDeliveryState; 4] = [
    HookDeliveryState::Pending,
    HookDeliveryState::Accepted,
    HookDeliveryState::Refused,
    HookDeliveryState::Erased,
];
/// Names of hooks to choose from.
const NAMES: usize = 200;

/// Which deliveries are looked for, as it was typed.
#[derive(Debug, Clone, Default)]
pub struct WantedHookDeliveries {
    pub hook: Option<String>,
    pub order: Option<String>,
    pub state: Option<HookDeliveryState>,
}

/// What the page is made of.
#[derive(Debug)]
pub struct HooksFacts {
    /// Names of the hooks in the configuration of this server.
    pub hooks: Vec<String>,
    pub wanted: WantedHookDeliveries,
    /// The newest first.
    pub deliveries: Vec<HookDelivery>,
    /// `cursor` of the next page.
    pub next: Option<String>,
    pub is_later: bool,
}

#[derive(askama::Template)]
#[template(path = "hooks.html")]
struct Page<'a> {
    f: &'a Frame,
    has_hooks: bool,
    names: Vec<(&'a str, bool)>,
    states: Vec<(&'static str, bool)>,
    order: &'a str,
    is_filtered: bool,
    rows: Vec<Row>,
    next: Option<String>,
    is_later: bool,
}

struct Row {
    id: String,
    hook: String,
    order: Option<(String, String)>,
    at: When,
    state: &'static str,
    class: &'static str,
    reason: String,
}

/// What webhooks of others brought.
///
/// # Errors
/// Never, as far as is known.
pub fn hooks(frame: &Frame, facts: &HooksFacts) -> Result<String, askama::Error> {
    let HooksFacts { hooks, wanted, deliveries, next, is_later } = facts;
    let state = wanted.state.map(HookDeliveryState::as_str);
    let page = |cursor: &str| {
        address::with(
            address::HOOKS,
            &[
                ("hook", wanted.hook.as_deref()),
                ("order", wanted.order.as_deref()),
                ("state", state),
                ("cursor", Some(cursor)),
            ],
        )
    };
    let mut names: Vec<&str> = hooks.iter().map(String::as_str).take(NAMES).collect();
    // One that has left the configuration is still looked for.
    names.extend(wanted.hook.as_deref().filter(|wanted| !hooks.iter().any(|one| one == wanted)));
    Page {
        f: frame,
        has_hooks: !hooks.is_empty(),
        names: names.into_iter().map(|name| (name, wanted.hook.as_deref() == Some(name))).collect(),
        states: STATES.map(|one| (one.as_str(), wanted.state == Some(one))).into(),
        order: wanted.order.as_deref().unwrap_or_default(),
        is_filtered: wanted.hook.is_some() || wanted.order.is_some() || state.is_some(),
        rows: deliveries.iter().map(|one| row(one, frame.now)).collect(),
        next: next.as_deref().map(page),
        is_later: *is_later,
    }
    .render()
}

fn row(delivery: &HookDelivery, now: i64) -> Row {
    // An order that was to be made need not be there.
    let is_there = delivery.state == HookDeliveryState::Accepted;
    let href = |id: &String| if is_there { address::order(id) } else { String::new() };
    Row {
        id: delivery.id.clone(),
        hook: short(&delivery.hook, 60),
        order: delivery.order.as_ref().map(|id| (href(id), short(id, 60))),
        at: When::new(delivery.at, now),
        state: delivery.state.as_str(),
        class: match delivery.state {
            HookDeliveryState::Pending => "warn",
            HookDeliveryState::Accepted => "good",
            HookDeliveryState::Refused => "bad",
            HookDeliveryState::Erased => "",
        },
        reason: delivery.reason.as_deref().map(|why| short(why, 400)).unwrap_or_default(),
    }
}
