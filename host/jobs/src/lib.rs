//! The queue of orders and everything known about them, in SQLite inside the process or in
//! PostgreSQL.
//!
//! The order's row is authoritative, and its owner attempt is the fencing token; a job of River
//! only says that an order is due. Whatever happens to a job (lost, doubled, late), no order is
//! lost or made twice.
//!
//! | file | what it answers |
//! |---|---|
//! | `model` | what are an order, an attempt and the end of an attempt? |
//! | `order` | how is an order added, read, cancelled and requeued? |
//! | `bulk`, `bulk_runs` | which orders are requeued or cancelled at once, and how far is that? |
//! | `revise` | how does an order get another document? |
//! | `erase`, `retention` | how are orders removed, and what of them after a time? |
//! | `attempt` | how does an attempt claim an order? |
//! | `complete` | how does an attempt end: order, record and job in one transaction? |
//! | `counts`, `distribution` | how did attempts of this process end, and after how long? |
//! | `ai_counts` | which AI replies has this process paid for, and which calls failed? |
//! | `ai_quality` | how long did AI calls take, and how did attempts at them fail? |
//! | `breakers` | which circuit breakers are open in workers? |
//! | `holds/` | what do orders wait for because the fault is not theirs, and which is let through? |
//! | `retry` | which failures get another attempt, and when? |
//! | `delayed` | which orders wait for a time, and need not any longer? |
//! | `fair_share` | which jobs of a template are demoted, and when are they promoted? |
//! | `handler` | what does a worker need: a handler and a publisher |
//! | `serving`, `settings` | how does a worker start, drain and stop, and with which settings? |
//! | `drain` | how does somebody else ask a worker to finish its orders and end? |
//! | `worker` | how is one job worked: claim, attempt, complete, publish? |
//! | `background` | what does a worker do beside its orders? |
//! | `heartbeat`, `rescue`, `locks` | which workers are alive, and who rescues the orders of others? |
//! | `marks` | is a process of this machine dead, and whose code did it die in? |
//! | `stall_detector` | does a worker claim nothing although orders are due? |
//! | `reply_journal` | which AI replies were paid for? |
//! | `batch_items` | which AI calls wait for a batch, and what came of it? |
//! | `reply_cache` | which of them answer equal requests of other orders? |
//! | `ledger` | what did AI calls cost, by day, model, purpose, template and tenant? |
//! | `events`, `failures` | what happened to an order, and which failures have what in common? |
//! | `releases` | which release is the current one, if an operator chooses? |
//! | `listing` | which orders have what an index knows of them? |
//! | `search` | which orders have a text in their id, or in their document? |
//! | `spend` | what have AI replies cost, by time, purpose, model and template, or by tenant? |
//! | `stats` | what does an operator watch; pause and resume |
//! | `summed_hours` | which hours are summed up, and when are their sums right? |
//! | `template_versions` | how did orders end with each version of a template? |
//! | `tokens` | who may use the HTTP API, and what was done through it? |
//! | `signals` | how does PostgreSQL tell that something changed? |
//! | `watch` | what happens to orders while somebody watches? |
//! | `webhooks/` | who is told of orders, and what became of each delivery? |
//! | `hooks` | what did webhooks of others bring, and what became of it? |
//! | `database`, `schema`, `migration_lock` | how is the database opened and migrated? |
//! | `backup` | how is SQLite copied while workers use it? |
//! | `error`, `open_cause` | what can fail, and why did a database not open? |
//! | `batch`, `coalesced` | how do many writes share one commit, or one statement? |
//! | `driver` | what differs between the two databases, and how is River used? |
//!
//! PostgreSQL is the feature `postgres`, which is on by default.
//!
//! **Invariant:** the only crate that depends on `sqlx` and `riverqueue`. Only `driver` names
//! River's tables.
//!
//! **Invariant:** it does not know templates, AI calls or files. Attempts are made by a
//! [`Handler`], releases are published by a [`Publisher`].
//!
//! **Invariant:** every change of an order's state is one transaction that checks its owner.

mod ai_counts;
mod ai_quality;
mod attempt;
mod background;
mod backup;
mod batch;
mod batch_items;
mod breakers;
mod bulk;
mod bulk_runs;
mod coalesced;
mod complete;
mod counts;
mod database;
mod delayed;
mod distribution;
mod drain;
mod driver;
mod erase;
mod error;
mod events;
mod failures;
mod fair_share;
mod handler;
mod heartbeat;
mod holds;
mod hooks;
mod ledger;
mod listing;
mod locks;
mod marks;
mod migration_lock;
mod model;
mod open_cause;
mod order;
mod releases;
mod reply_cache;
mod reply_journal;
mod rescue;
mod retention;
mod retry;
mod revise;
mod schema;
mod search;
mod serving;
mod settings;
mod signals;
mod spend;
mod stall_detector;
mod stats;
mod summed_hours;
mod template_versions;
mod tokens;
mod watch;
mod webhooks;
mod worker;

pub use ai_counts::{AiCounts, AiFailureSeries, AiSeries, AiTotals, BreakerSeries, ReplyUse};
pub use ai_quality::{AiErrorCount, AiLatency, CacheHits};
pub use background::Liveness;
pub use backup::{Backup, BackupError};
pub use batch_items::{
    BatchItem, BatchItemState, BatchOutcome, Collecting, DueBatch, ItemAnswer, ItemToSend,
    OfferedBatch, UnreadAnswer,
};
pub use breakers::{Breaker, BreakerScope, NewBreaker};
pub use bulk::{BULK_BATCH, BulkOutcome, Selection};
pub use bulk_runs::{
    BulkAction, BulkRun, BulkState, ClaimedBulk, MAX_BULK_RUNS, MAX_BULK_RUNS_OF_TENANT, NewBulkRun,
};
pub use counts::{AttemptCounts, ProblemLevel};
pub use database::Database;
pub use delayed::DelayedOrder;
pub use distribution::Distribution;
pub use drain::DrainAnswer;
pub use driver::DatabaseOptions;
pub use driver::url::has_sqlite_password;
pub use erase::{RemovalCause, RemovedOrder, RemovedRows};
pub use error::Error;
pub use events::{Event, Export, Failure, NewEvent};
pub use failures::OrderToRetry;
pub use handler::{Handler, Publisher, Stop, StopReason};
pub use holds::{
    Gate, Hold, HoldCause, HoldId, HoldKind, HoldScope, NewHold, OwnQueue, Probing, Served, Sweep,
    Swept,
};
pub use hooks::{
    HookDelivery, HookDeliveryFilter, HookDeliveryState, HookOutcome, NewHookDelivery,
};
pub use ledger::{CostBy, CostRow};
pub use marks::Marks;
pub use model::{
    Attempt, AttemptEnd, AttemptLimits, CancelAnswer, Claim, Claimed, CompleteOutcome, Enqueued,
    Filter, MAX_DUE_MS, NewFailure, NewOrder, Order, OrderCursor, OrderState, PendingRelease,
    Priority, Resolution, WorkerId, is_tenant,
};
pub use open_cause::OpenCause;
pub use releases::ReleaseChoice;
pub use reply_cache::{
    MAX_CACHED_BYTES, MAX_CACHED_REPLIES, MAX_CACHED_REPLY_BYTES, NewCachedReply,
};
pub use reply_journal::{AiCall, AiCallBrief, AiTry, Cost, NewAiCall};
pub use retention::{ExpiredRows, KeptFiles, SweepCursor, SweptRows};
pub use retry::{Backoff, RetryClass, class};
pub use revise::{OldRevision, Revised, Revision};
pub use schema::{Migrated, SCHEMA_VERSION};
pub use search::{DOCUMENTS_LOOKED_THROUGH, Found, LOOKED_THROUGH, Search};
pub use serving::{Drained, STOPS_WITHIN, Serving, StopNow, serve};
pub use settings::WorkerSettings;
pub use signals::Signals;
pub use spend::{RecentCost, Spend, TenantSpend};
pub use stats::{EndedOrders, Stats, TemplateStats, WorkerStats};
pub use template_versions::TemplateVersion;
pub use tokens::{AuditEntry, NewAuditEntry, NewToken, Scope, Token};
pub use watch::{OrderChange, OrderEvent};
pub use webhooks::{
    AttemptResult, BudgetLimit, CALLBACK, Callback, ClaimedDelivery, Delivery, DeliveryAttempt,
    DeliveryCursor, DeliveryFilter, DeliveryRecord, DeliveryState, ReachedBudget, Seen, Webhook,
    WebhookEvent,
};
