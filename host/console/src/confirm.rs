//! The page before something that costs money or cannot be taken back: what will happen, and what
//! it costs.

use askama::Template as _;
use sitewright_jobs::{
    Breaker, CALLBACK, Cost, Delivery, DeliveryState, Hold, HoldCause, Order, OrderState, Webhook,
    WorkerStats,
};

use super::address;
use super::frame::Frame;
use super::text::{When, both_ends, counted, dollars, short};

/// Maximum number of holds that are named.
const HOLDS: usize = 10;

/// What decides when orders are made that are queued.
#[derive(Debug)]
pub struct QueueFacts {
    /// Orders in the queue already.
    pub queued: i64,
    pub is_paused: bool,
    /// Live workers.
    pub workers: usize,
    pub holds: Vec<Hold>,
}

/// What the page before an order is made again is made of.
#[derive(Debug)]
pub struct RetryOrderFacts {
    pub order: Order,
    /// Of all attempts so far.
    pub cost: Cost,
    /// AI replies of earlier attempts that are used again.
    pub kept: i64,
    pub queue: QueueFacts,
    /// Whether a live worker has its template.
    pub is_served: bool,
}

/// What the page before an order is cancelled is made of.
#[derive(Debug)]
pub struct CancelFacts {
    pub order: Order,
    /// Of all attempts so far.
    pub cost: Cost,
}

/// What the page before a worker drains is made of.
#[derive(Debug)]
pub struct DrainFacts {
    pub worker: WorkerStats,
    /// Other live workers that do not drain.
    pub others: usize,
}

/// What the page before a hold is released is made of.
#[derive(Debug)]
pub struct HoldReleaseFacts {
    /// `route:default`, as it was asked for.
    pub name: String,
    /// `None` if nothing of this name is held.
    pub hold: Option<Hold>,
    /// Whether the question came from the page of AI calls.
    pub is_from_ai: bool,
    pub is_paused: bool,
    /// Live workers.
    pub workers: usize,
}

#[derive(askama::Template)]
#[template(path = "confirm.html")]
struct Page<'a> {
    f: &'a Frame,
    /// Address and name of the list that the subject is in.
    section: (&'static str, &'static str),
    /// The page that the question came from, and what it is about.
    back: String,
    subject: String,
    title: String,
    /// Why there is nothing to do; then nothing is asked.
    nothing: Option<String>,
    points: Vec<String>,
    remarks: Vec<String>,
    action: String,
    fields: Vec<(&'static str, String)>,
    button: &'static str,
    class: &'static str,
}

/// Asks before an order is made again.
///
/// # Errors
/// Never, as far as is known.
pub fn retry_order(frame: &Frame, facts: &RetryOrderFacts) -> Result<String, askama::Error> {
    let RetryOrderFacts { order, cost, kept, queue, is_served } = facts;
    let nothing = (!order.state.has_ended()).then(|| {
        format!(
            "Only an order that has ended is made again. This one has not: it is {}.",
            order.state
        )
    });
    let mut points = vec![format!(
        "The order is queued again with all its attempts, behind {}.",
        counted(queue.queued, "order", "orders")
    )];
    points.push(match kept {
        0 => "No AI reply of before can be used again: its AI calls are asked and paid for \
              again."
            .to_owned(),
        kept => {
            let replies = counted(
                *kept,
                "AI reply of an earlier attempt is used again and costs nothing",
                "AI replies of earlier attempts are used again and cost nothing",
            );
            format!("{replies}; what else its template asks for is paid for.")
        }
    });
    points.push(spent(cost));
    if order.current_release.is_some() {
        points
            .push("Visitors go on to see its current release until a new one is made.".to_owned());
    }
    points.push("It can be cancelled again until it has ended.".to_owned());
    let mut remarks = waits(queue, queue.is_paused);
    if !is_served && queue.workers > 0 {
        let name = short(&order.template, 60);
        remarks.push(format!("No worker has the template {name}: the order waits for one."));
    }
    let back = address::order(&order.id);
    Page {
        f: frame,
        section: ("/console/orders", "Orders"),
        action: format!("{back}/retry"),
        back,
        subject: order.id.clone(),
        title: format!("Make order {} again?", order.id),
        nothing,
        points,
        remarks,
        fields: Vec::new(),
        button: "Make it again",
        class: "primary",
    }
    .render()
}

/// Asks before an order is cancelled.
///
/// # Errors
/// Never, as far as is known.
pub fn cancel_order(frame: &Frame, facts: &CancelFacts) -> Result<String, askama::Error> {
    let CancelFacts { order, cost } = facts;
    let nothing = if order.state.has_ended() {
        Some(format!("It has ended already, as {}: there is nothing to cancel.", order.state))
    } else if order.cancel_requested_at.is_some() {
        Some("Its worker is asked to stop it already.".to_owned())
    } else {
        None
    };
    let mut points = Vec::new();
    if order.state == OrderState::Running {
        points.push(
            "Its worker is asked to stop it, which takes some seconds. AI calls that are under way \
             may be paid for without an answer."
                .to_owned(),
        );
    } else {
        points.push("It is not made.".to_owned());
    }
    points.push(spent(cost));
    points.push(
        "AI replies that it has are kept: it can be made again, and uses them then.".to_owned(),
    );
    if order.current_release.is_some() {
        points.push("Visitors go on to see its current release.".to_owned());
    }
    points.push(
        "Receivers of webhooks for cancelled orders are told, which cannot be taken back."
            .to_owned(),
    );
    let back = address::order(&order.id);
    Page {
        f: frame,
        section: ("/console/orders", "Orders"),
        action: format!("{back}/cancel"),
        back,
        subject: order.id.clone(),
        title: format!("Cancel order {}?", order.id),
        nothing,
        points,
        remarks: Vec::new(),
        fields: Vec::new(),
        button: "Cancel the order",
        class: "danger",
    }
    .render()
}

/// Asks before a delivery is sent again.
///
/// # Errors
/// Never, as far as is known.
pub fn redeliver(frame: &Frame, delivery: &Delivery) -> Result<String, askama::Error> {
    let receiver = short(&delivery.webhook, 80);
    let of = match &delivery.order {
        Some(order) => format!(" of order {}", short(order, 200)),
        None => String::new(),
    };
    let points = vec![
        format!("{}{of} is sent to {receiver} again, within seconds.", delivery.event),
        format!(
            "It has the same id, {}: a receiver that remembers ids knows it. One that does not \
             does again whatever it did.",
            short(&delivery.id, 80)
        ),
        "It has all its attempts again, for another day.".to_owned(),
        "What a receiver has got cannot be taken back.".to_owned(),
    ];
    let at = |at: i64| When::new(at, frame.now).ago;
    let remark = match (delivery.state, delivery.ended_at, delivery.next_at) {
        (DeliveryState::Delivered, Some(ended), _) => {
            Some(format!("The receiver has accepted it {}.", at(ended)))
        }
        (DeliveryState::Pending, _, Some(next)) => {
            Some(format!("It has not been given up: its next attempt is {}.", at(next)))
        }
        _ => None,
    };
    let back = address::delivery(&delivery.id);
    Page {
        f: frame,
        section: ("/console/webhooks", "Webhooks"),
        action: format!("{back}/redeliver"),
        back,
        subject: delivery.event.to_string(),
        title: format!("Deliver {} to {receiver} again?", delivery.event),
        nothing: None,
        points,
        remarks: remark.into_iter().collect(),
        fields: Vec::new(),
        button: "Deliver it again",
        class: "primary",
    }
    .render()
}

/// Asks before a webhook is enabled whose receiver has disabled it.
///
/// # Errors
/// Never, as far as is known.
pub fn enable_webhook(frame: &Frame, webhook: &Webhook) -> Result<String, askama::Error> {
    let name = short(&webhook.name, 80);
    let is_callback = webhook.name == CALLBACK;
    let is_disabled = webhook.disabled_at.is_some() || webhook.disabled_callbacks > 0;
    let mut points = Vec::new();
    if is_callback {
        let disabled = counted(webhook.disabled_callbacks, "callback", "callbacks");
        points.push(format!("{disabled} of orders that receivers have disabled: all are enabled."));
    }
    let since = When::optional(webhook.pending_since, frame.now);
    let since = since.map_or_else(String::new, |since| format!(", the oldest from {}", since.ago));
    points.push(format!(
        "{} for it{since}: they are sent within seconds.",
        counted(webhook.pending, "delivery waits", "deliveries wait")
    ));
    points.push("What a receiver has got cannot be taken back.".to_owned());
    let remarks = webhook.disabled_reason.iter().map(|why| {
        format!("The receiver has disabled it ({}). It may do so again.", short(why, 300))
    });
    Page {
        f: frame,
        section: ("/console/settings", "Settings"),
        back: "/console/webhooks".to_owned(),
        subject: "webhooks".to_owned(),
        title: format!("Enable the webhook {name}?"),
        nothing: (!is_disabled).then(|| "It is enabled already.".to_owned()),
        points,
        remarks: remarks.collect(),
        action: format!("/console/webhooks/{}/enable", address::encoded(&webhook.name)),
        fields: Vec::new(),
        button: "Enable it",
        class: "primary",
    }
    .render()
}

/// Asks before a worker drains.
///
/// # Errors
/// Never, as far as is known.
pub fn drain_worker(frame: &Frame, facts: &DrainFacts) -> Result<String, askama::Error> {
    let DrainFacts { worker, others } = facts;
    let name = format!("process {} on {}", worker.pid, short(&worker.host, 40));
    let running = match worker.running {
        0 => "It runs no order: its process ends within seconds.".to_owned(),
        orders => format!(
            "It makes the {} that it has, and then its process ends. Until then this can be taken \
             back.",
            counted(orders, "order", "orders")
        ),
    };
    let points = vec![
        "It claims no more orders.".to_owned(),
        running,
        "A process that has ended is not started again from here. Whatever starts workers may do \
         so by itself, as systemd and Kubernetes do."
            .to_owned(),
    ];
    let remark = (*others == 0)
        .then(|| "No other worker claims orders: all others wait until one does.".to_owned());
    Page {
        f: frame,
        section: ("/console/templates", "Templates"),
        back: "/console/templates".to_owned(),
        subject: "workers".to_owned(),
        title: format!("Drain {name}?"),
        nothing: worker.draining.then(|| "It drains already.".to_owned()),
        points,
        remarks: remark.into_iter().collect(),
        action: format!("{}/drain", address::worker(&worker.client_id)),
        fields: Vec::new(),
        button: "Drain it",
        class: "danger",
    }
    .render()
}

/// Asks before a hold is released.
///
/// # Errors
/// Never, as far as is known.
pub fn release_hold(frame: &Frame, facts: &HoldReleaseFacts) -> Result<String, askama::Error> {
    let HoldReleaseFacts { name, hold, is_from_ai, is_paused, workers } = facts;
    let shown = short(name, 200);
    let (mut points, mut remarks) = (Vec::new(), Vec::new());
    if let Some(hold) = hold {
        let since = When::new(hold.since, frame.now).ago;
        points.push(format!("It was held {since}: {}", both_ends(&hold.reason, 700)));
        points.push(format!(
            "{} for it: they are made within seconds, and their AI calls are paid for.",
            counted(hold.orders, "order waits", "orders wait")
        ));
        points.push("It can be held again. Orders that have begun by then go on.".to_owned());
        if hold.cause != HoldCause::Operator {
            remarks.push(
                "If the cause is still there, orders meet it again, which can cost money, and it \
                 is held again."
                    .to_owned(),
            );
        }
    }
    if *is_paused {
        remarks.push("The queue is paused: they wait until it is resumed.".to_owned());
    }
    if *workers == 0 {
        remarks.push("No worker runs: they wait until one is started.".to_owned());
    }
    let mut fields = vec![("hold", name.clone())];
    if *is_from_ai {
        fields.push(("from", "ai".to_owned()));
    }
    let (back, section) = match is_from_ai {
        true => ("/console/ai", ("/console/ai", "AI")),
        false => ("/console/templates", ("/console/templates", "Templates")),
    };
    Page {
        f: frame,
        section,
        back: back.to_owned(),
        subject: "holds".to_owned(),
        title: format!("Release {shown}?"),
        nothing: hold.is_none().then(|| "It is not held: there is nothing to release.".to_owned()),
        points,
        remarks,
        action: "/console/holds/release".to_owned(),
        fields,
        button: "Release it",
        class: "primary",
    }
    .render()
}

/// Asks before the circuit breakers of a provider are released: `open` are those of it that are
/// open.
///
/// # Errors
/// Never, as far as is known.
pub fn release_breakers(
    frame: &Frame,
    provider: &str,
    open: &[Breaker],
) -> Result<String, askama::Error> {
    let name = short(provider, 100);
    let number = i64::try_from(open.len()).unwrap_or(i64::MAX);
    let points = vec![
        format!(
            "{} open in workers: the next call of each of its models is sent, and paid for if it \
             succeeds.",
            counted(number, "breaker is", "breakers are")
        ),
        "A breaker opens again with the next call that fails. Without this, one is let through when \
         its time has passed."
            .to_owned(),
    ];
    let last = open.iter().max_by_key(|breaker| breaker.failures);
    let remark = last.map(|breaker| {
        format!(
            "{} in a row, the last with {}. If the cause is still there, orders meet it again.",
            counted(breaker.failures, "call has failed", "calls have failed"),
            short(&breaker.kind, 40)
        )
    });
    Page {
        f: frame,
        section: ("/console/ai", "AI"),
        back: "/console/ai".to_owned(),
        subject: "breakers".to_owned(),
        title: format!("Release the circuit breakers of {name}?"),
        nothing: open.is_empty().then(|| "None of its breakers is open.".to_owned()),
        points,
        remarks: remark.into_iter().collect(),
        action: address::release_breakers(provider),
        fields: Vec::new(),
        button: "Release them",
        class: "primary",
    }
    .render()
}

/// Asks before the queue is resumed.
///
/// # Errors
/// Never, as far as is known.
pub fn resume_queue(frame: &Frame, queue: &QueueFacts) -> Result<String, askama::Error> {
    let QueueFacts { queued, is_paused, .. } = queue;
    let points = vec![
        format!(
            "{} queued: workers claim them at once, as many as they have room for, and their AI \
             calls are paid for.",
            counted(*queued, "order is", "orders are")
        ),
        "The queue can be paused again. Orders that have begun by then go on.".to_owned(),
    ];
    Page {
        f: frame,
        section: (address::HOME, "Now"),
        back: address::HOME.to_owned(),
        subject: "the queue".to_owned(),
        title: "Resume the queue?".to_owned(),
        nothing: (!is_paused).then(|| "The queue is not paused.".to_owned()),
        points,
        remarks: waits(queue, false),
        action: "/console/queue/resume".to_owned(),
        fields: Vec::new(),
        button: "Resume the queue",
        class: "primary",
    }
    .render()
}

/// What an order has cost so far, in words.
fn spent(cost: &Cost) -> String {
    match cost.calls {
        0 => "No AI reply has been paid for so far.".to_owned(),
        calls => format!(
            "So far it has cost {} for {}, as far as prices are known.",
            dollars(cost.nano_usd),
            counted(calls, "AI reply", "AI replies")
        ),
    }
}

/// What makes an order wait that is queued.
fn waits(queue: &QueueFacts, is_paused: bool) -> Vec<String> {
    let mut remarks = Vec::new();
    if is_paused {
        remarks.push("The queue is paused: it waits until that is resumed.".to_owned());
    }
    if queue.workers == 0 {
        remarks.push("No worker runs: orders wait until one is started.".to_owned());
    }
    remarks.extend(remarks_of_holds(&queue.holds));
    remarks
}

/// Which holds stop orders that are queued.
pub(crate) fn remarks_of_holds(holds: &[Hold]) -> impl Iterator<Item = String> {
    holds.iter().take(HOLDS).map(|hold| {
        let reason = both_ends(&hold.reason, 400);
        format!("{} is held ({reason}): orders that need it wait.", hold.id)
    })
}
