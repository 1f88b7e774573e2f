//! Outgoing webhooks: the outbox, who receives it, and the log of what was sent.
//!
//! A delivery is a row that a trigger of `sitewright_orders` writes in the transaction that changes
//! the state of an order, one for each webhook that wants the event and one for the order's
//! callback. Triggers of `sitewright_holds` and `sitewright_used_budgets` write those about holds
//! and budgets. A process that delivers leases some that are due, sends them without a connection
//! to the database, and records how that ended. One that is killed meanwhile records nothing: when
//! its lease has passed, another one sends the same delivery again, under the same id.
//!
//! | file | what is in it |
//! |---|---|
//! | `mod` | the types |
//! | `budgets` | which budgets of a day are used up? |
//! | `callbacks` | which address is told of a single order? |
//! | `endpoints` | which webhooks do the configurations of live processes have? |
//! | `outbox` | which deliveries are due, and how did an attempt end? |
//! | `payload` | what does a receiver get? |
//! | `log` | what was delivered to whom; deliver again; what is removed after a time |

mod budgets;
mod callbacks;
mod endpoints;
mod log;
mod outbox;
mod payload;

use serde::{Deserialize, Serialize};

pub use budgets::{BudgetLimit, ReachedBudget};
pub use callbacks::Callback;
pub(crate) use callbacks::{check_callback, set_callback_in};
pub use endpoints::{Seen, Webhook};
pub use log::{Delivery, DeliveryAttempt, DeliveryCursor, DeliveryFilter};
pub use outbox::{AttemptResult, ClaimedDelivery, DeliveryRecord};

/// The webhook of the callbacks of orders. No webhook of a configuration has this name.
pub const CALLBACK: &str = "callback";

/// What a receiver is told of.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::VariantArray,
    schemars::JsonSchema,
)]
pub enum WebhookEvent {
    /// An order has a release.
    #[serde(rename = "order.succeeded")]
    #[strum(serialize = "order.succeeded")]
    OrderSucceeded,
    /// An order failed for good.
    #[serde(rename = "order.failed")]
    #[strum(serialize = "order.failed")]
    OrderFailed,
    /// An order was given up.
    #[serde(rename = "order.dead")]
    #[strum(serialize = "order.dead")]
    OrderDead,
    /// An order was cancelled.
    #[serde(rename = "order.cancelled")]
    #[strum(serialize = "order.cancelled")]
    OrderCancelled,
    /// An order waits for a hold. Told once for each hold, not for each probe.
    #[serde(rename = "order.waiting")]
    #[strum(serialize = "order.waiting")]
    OrderWaiting,
    /// Orders of a template wait: an operator has paused it, or almost all of its attempts ended
    /// with the same failure.
    #[serde(rename = "template.paused")]
    #[strum(serialize = "template.paused")]
    TemplatePaused,
    /// They wait no longer.
    #[serde(rename = "template.resumed")]
    #[strum(serialize = "template.resumed")]
    TemplateResumed,
    /// Orders that need a route for AI calls wait.
    #[serde(rename = "route.held")]
    #[strum(serialize = "route.held")]
    RouteHeld,
    /// They wait no longer.
    #[serde(rename = "route.released")]
    #[strum(serialize = "route.released")]
    RouteReleased,
    /// A worker has used up its budget of the day for AI calls, or that of a tenant. Told once a
    /// day for each of these budgets.
    #[serde(rename = "budget.reached")]
    #[strum(serialize = "budget.reached")]
    BudgetReached,
    /// An operator tries the webhook.
    #[serde(rename = "webhook.test")]
    #[strum(serialize = "webhook.test")]
    WebhookTest,
}

impl WebhookEvent {
    /// Those of orders: what callbacks are told of, and webhooks that choose nothing.
    pub const OF_ORDERS: [WebhookEvent; 5] = [
        WebhookEvent::OrderSucceeded,
        WebhookEvent::OrderFailed,
        WebhookEvent::OrderDead,
        WebhookEvent::OrderCancelled,
        WebhookEvent::OrderWaiting,
    ];

    /// Those of the operation, which a webhook can choose too.
    pub const OF_OPERATION: [WebhookEvent; 5] = [
        WebhookEvent::TemplatePaused,
        WebhookEvent::TemplateResumed,
        WebhookEvent::RouteHeld,
        WebhookEvent::RouteReleased,
        WebhookEvent::BudgetReached,
    ];

    /// As receivers read it, and as it is stored: `order.failed`.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// How far a delivery is.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::VariantArray,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum DeliveryState {
    /// It is due, is being sent, or waits for its next attempt.
    Pending,
    /// The receiver answered with a status of success.
    Delivered,
    /// It is not sent any more.
    GivenUp,
}

impl DeliveryState {
    /// As it is stored and in JSON.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}
