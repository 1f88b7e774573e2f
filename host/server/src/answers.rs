//! The bodies of answers that are not types of the queue.

use schemars::JsonSchema;
use serde::Serialize;
use sitewright_intake::Notice;
use sitewright_jobs::{
    AiCallBrief, AiErrorCount, AiLatency, AuditEntry, BulkRun, CacheHits, Callback, Cost, CostRow,
    Delivery, DeliveryAttempt, Hold, HoldId, HookDelivery, Order, OrderState, RemovedRows, Webhook,
};
use sitewright_model::message::Message;

use super::templates::Listed;

/// What a request did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// The document is an order; nothing was added.
    Valid,
    Cancelled,
    /// Its worker was asked to stop it.
    Stopping,
    /// It had ended before; nothing was changed.
    AlreadyEnded,
    Queued,
    /// It was so before; nothing was changed.
    Unchanged,
    /// The order has it from now on.
    Set,
    Removed,
    Erased,
    Paused,
    Resumed,
    Held,
    /// It was held before; its reason is new.
    AlreadyHeld,
    Released,
    /// It was not held; nothing was changed.
    NotHeld,
    Enabled,
    /// The worker claims no more orders, and ends when it has none.
    Draining,
    /// The worker claims orders again.
    Withdrawn,
    /// Nothing was changed.
    DryRun,
    /// It goes on in the background.
    Started,
    /// A webhook was stored, and becomes an order.
    Stored,
    /// The same event was stored before; nothing was changed.
    AlreadyStored,
    /// What a webhook brought is an order now.
    Accepted,
    /// What a webhook brought is no order that can be accepted; its delivery says why.
    Refused,
}

/// The AI calls of an order that were paid for.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct CallList {
    pub(crate) order: String,
    /// The oldest first, at most 1000.
    pub(crate) calls: Vec<AiCallBrief>,
    /// Whether there are others.
    pub(crate) more: bool,
}

/// The releases of an order.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ReleaseList {
    pub(crate) order: String,
    /// The newest first; `null` if the releases are not where this server finds them.
    pub(crate) releases: Option<Vec<ReleaseBrief>>,
}

/// A release of an order.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ReleaseBrief {
    pub(crate) id: String,
    /// Whether visitors see it.
    pub(crate) current: bool,
    /// What its manifest says; `null` if it cannot be read.
    pub(crate) made: Option<ReleaseFacts>,
    /// Why its manifest cannot be read.
    pub(crate) error: Option<Message>,
}

/// How a release was made.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ReleaseFacts {
    /// When its run ended, in milliseconds since the Unix epoch.
    pub(crate) created_at: i64,
    pub(crate) attempt: String,
    /// The revision of the order's document, counted from 1.
    pub(crate) revision: Option<i64>,
    pub(crate) template: String,
    pub(crate) template_version: String,
    /// The number of its files.
    pub(crate) files: usize,
    /// The size of all files together.
    pub(crate) bytes: u64,
    /// The number of warnings of its checks.
    pub(crate) warnings: usize,
}

/// A document that was checked only.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Checked {
    pub(crate) outcome: Outcome,
    pub(crate) order: String,
    pub(crate) warnings: Vec<Notice>,
}

/// A page of orders, the newest first.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct OrderPage {
    pub(crate) orders: Vec<Order>,
    /// `cursor` of the next page; null on the last one. With `text` there may be a next page
    /// although this one is not full.
    pub(crate) next: Option<String>,
}

/// An order that got another document.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct RevisedOrder {
    pub(crate) outcome: Outcome,
    pub(crate) order: String,
    /// Counts the documents of the order, from 1.
    pub(crate) revision: i64,
    /// Its new job.
    pub(crate) job: Option<i64>,
    pub(crate) warnings: Vec<Notice>,
}

/// An order that was cancelled.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct CancelledOrder {
    pub(crate) outcome: Outcome,
    pub(crate) order: String,
    pub(crate) state: OrderState,
}

/// An order that is queued again.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct RetriedOrder {
    pub(crate) outcome: Outcome,
    pub(crate) order: String,
    pub(crate) job: i64,
}

/// An order of which nothing is left.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ErasedOrder {
    pub(crate) outcome: Outcome,
    pub(crate) order: String,
    /// The number of rows that were removed.
    pub(crate) rows: RemovedRows,
    /// Whether there were files in the sites folder of the server's machine.
    pub(crate) files: bool,
}

/// The queue was paused or resumed.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct QueueChange {
    pub(crate) outcome: Outcome,
    pub(crate) paused: bool,
}

/// A worker was asked to drain, or not to.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct WorkerChange {
    pub(crate) outcome: Outcome,
    /// Its id in the queue.
    pub(crate) worker: String,
}

/// What orders wait for.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct HoldList {
    pub(crate) holds: Vec<Hold>,
}

/// A hold was set or released.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct HoldChange {
    pub(crate) outcome: Outcome,
    #[schemars(with = "String")]
    pub(crate) hold: HoldId,
}

/// The circuit breakers of a provider were released.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct BreakerChange {
    pub(crate) outcome: Outcome,
    /// The provider's name in the configuration.
    pub(crate) provider: String,
    /// The number of breakers that were open, in all workers.
    pub(crate) breakers: u64,
    /// That this server does not know the provider, and no worker has an open breaker of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) note: Option<&'static str>,
}

/// A bulk action that was tried, started or stopped.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct BulkAnswer {
    pub(crate) outcome: Outcome,
    /// The number of orders that are selected.
    pub(crate) selected: usize,
    /// Of a dry run, their ids, at most 1000.
    pub(crate) orders: Vec<String>,
    /// Null for a dry run.
    pub(crate) run: Option<BulkRun>,
}

/// What AI calls cost.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct CostList {
    /// Milliseconds since the Unix epoch.
    pub(crate) since: i64,
    /// Milliseconds since the Unix epoch.
    pub(crate) until: i64,
    pub(crate) total: Cost,
    pub(crate) rows: Vec<CostRow>,
    /// How long replies took, by provider and model; at most 50, those with the most replies first.
    pub(crate) latencies: Vec<AiLatency>,
    /// Attempts that failed, in whole hours, the most frequent first; at most 100. It is not known
    /// of which orders they were: null for a token of a tenant.
    pub(crate) errors: Option<Vec<AiErrorCount>>,
    /// Replies that came from the cache in place of a model: `cache` of a route.
    pub(crate) cache: CacheHits,
}

/// The templates that orders may name.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct TemplateList {
    pub(crate) templates: Vec<Listed>,
    /// Why the templates folder of the server's machine cannot be read.
    #[schemars(with = "Option<String>")]
    pub(crate) folder_error: Option<Message>,
}

/// Who is told of orders.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct WebhookList {
    pub(crate) webhooks: Vec<Webhook>,
}

/// A webhook was enabled.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct WebhookChange {
    pub(crate) outcome: Outcome,
    pub(crate) webhook: Webhook,
}

/// The callback of an order was set, enabled or removed.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct CallbackChange {
    pub(crate) outcome: Outcome,
    pub(crate) order: String,
    /// What the order has now; null if it has none.
    pub(crate) callback: Option<Callback>,
}

/// A page of deliveries, the newest first.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct DeliveryPage {
    pub(crate) deliveries: Vec<Delivery>,
    /// `cursor` of the next page; null on the last one.
    pub(crate) next: Option<String>,
}

/// A delivery with its attempts, the oldest first.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct DeliveryDetail {
    pub(crate) delivery: Delivery,
    pub(crate) attempts: Vec<DeliveryAttempt>,
}

/// A delivery that is due again.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Redelivery {
    pub(crate) outcome: Outcome,
    pub(crate) delivery: Delivery,
}

/// A webhook that was received.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ReceivedHook {
    pub(crate) outcome: Outcome,
    /// Id of the delivery.
    pub(crate) delivery: String,
}

/// A page of what webhooks of others brought, the newest first.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct HookDeliveryPage {
    pub(crate) deliveries: Vec<HookDelivery>,
    /// `cursor` of the next page; null on the last one.
    pub(crate) next: Option<String>,
}

/// What a webhook brought.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct HookDeliveryDetail {
    pub(crate) delivery: HookDelivery,
    /// As it came; empty if it was erased.
    pub(crate) body: String,
}

/// What a webhook brought was mapped again.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct HookReplay {
    pub(crate) outcome: Outcome,
    pub(crate) delivery: HookDelivery,
}

/// A page of the audit log, the newest first.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct AuditPage {
    pub(crate) entries: Vec<AuditEntry>,
    /// `before` of the next page; null on the last one.
    pub(crate) next: Option<i64>,
}
