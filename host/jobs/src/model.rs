//! The records that the files of this crate share: orders, attempts, and how attempts end.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use sitewright_model::failure::{FailureRecord, OfAttempt, UNKNOWN_STAGE};
use sitewright_model::message::Message;
use sitewright_model::time::now_ms;
use sitewright_model::trace::TraceParent;
use ulid::Ulid;

use super::driver::{Row, parsed};
use super::error::Error;
use super::holds::{self, HoldId, NewHold};
use super::webhooks::check_callback;

/// The state of an order. One that has ended does not change, whatever late workers write (failure
/// catalogue D1); only [`Database::reopen`](crate::Database::reopen) requeues it.
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
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum OrderState {
    /// Due: a worker may claim it.
    Queued,
    /// A worker has it.
    Running,
    /// Another attempt is scheduled: see `waiting_reason` and `next_attempt_at`.
    Waiting,
    /// Its last attempt made a release.
    Succeeded,
    /// It failed for good: another attempt would end the same way.
    Failed,
    /// Given up: its attempts or crashes reached their limit ([`AttemptLimits`]).
    Dead,
    /// An operator stopped it.
    Cancelled,
}

impl OrderState {
    /// All states, in the order of an order's life.
    pub const ALL: [OrderState; 7] = [
        OrderState::Queued,
        OrderState::Running,
        OrderState::Waiting,
        OrderState::Succeeded,
        OrderState::Failed,
        OrderState::Dead,
        OrderState::Cancelled,
    ];

    /// As it is stored in the database and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            OrderState::Queued => "queued",
            OrderState::Running => "running",
            OrderState::Waiting => "waiting",
            OrderState::Succeeded => "succeeded",
            OrderState::Failed => "failed",
            OrderState::Dead => "dead",
            OrderState::Cancelled => "cancelled",
        }
    }

    /// Whether no worker has it, and one may claim it when it is due.
    pub const fn is_unclaimed(self) -> bool {
        matches!(self, OrderState::Queued | OrderState::Waiting)
    }

    /// Whether nothing more happens to it.
    pub const fn has_ended(self) -> bool {
        match self {
            OrderState::Queued | OrderState::Running | OrderState::Waiting => false,
            OrderState::Succeeded
            | OrderState::Failed
            | OrderState::Dead
            | OrderState::Cancelled => true,
        }
    }
}

impl fmt::Display for OrderState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for OrderState {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|state| state.as_str() == text);
        known.ok_or_else(|| {
            format!(
                "{text:?} is not a state of an order; the states are {}",
                Self::ALL.map(Self::as_str).join(", ")
            )
        })
    }
}

/// How soon an order is claimed: 1 before 2 before 3 before 4. Also the numbers of a producer in
/// another language.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(try_from = "i64", into = "i64")]
pub struct Priority(i64);

impl Priority {
    /// Claimed before all others.
    pub const HIGHEST: Priority = Priority(1);
    /// Claimed after all others.
    pub const LOWEST: Priority = Priority(4);
}

impl Default for Priority {
    fn default() -> Self {
        Priority(2)
    }
}

impl TryFrom<i64> for Priority {
    type Error = String;

    fn try_from(value: i64) -> Result<Self, String> {
        if (1..=4).contains(&value) {
            Ok(Priority(value))
        } else {
            Err(format!("the priority is {value}; it ranges from 1, claimed first, to 4"))
        }
    }
}

impl From<Priority> for i64 {
    fn from(priority: Priority) -> i64 {
        priority.0
    }
}

/// An order to be added to the queue.
#[derive(Debug, Clone)]
pub struct NewOrder {
    /// Chosen by the sender, at most 200 characters. The same id is the same order.
    pub id: String,
    /// The order document, JSON.
    pub document: String,
    /// Name of the template.
    pub template: String,
    /// How soon it is claimed.
    pub priority: Priority,
    /// Configuration of its attempts. Default: that of the worker that first claims it.
    pub config_version: Option<String>,
    /// A second key under which the same order may be sent twice.
    pub idempotency_key: Option<String>,
    /// A URL that is told how the order ends, see [`Webhook`](crate::Webhook). At most 2,000
    /// characters; who adds the order decides which URLs may be called.
    pub callback: Option<String>,
    /// A label of whoever the order is for: `[ai.budget]` limits the orders of each. 1 to 100
    /// characters, none of them a control character.
    pub tenant: Option<String>,
    /// Whether nobody waits for it: its AI calls may go through the provider's batches.
    pub batch: bool,
    /// A digest of the document as it was sent, by which who adds orders knows it again.
    pub sent_digest: Option<String>,
    /// The trace that its attempts are a part of. Default: each attempt begins a trace of its own.
    pub traceparent: Option<TraceParent>,
    /// The time before which it must not begin, in milliseconds since the Unix epoch: at most
    /// [`MAX_DUE_MS`] from now. One that is past means nothing. Default: it may begin at once.
    pub due_at: Option<i64>,
}

/// The most that [`NewOrder::due_at`] may be ahead, in milliseconds: five years. What is further
/// away is a slip of the pen, or a time in another unit.
pub const MAX_DUE_MS: i64 = 5 * 365 * 24 * 3_600 * 1_000;

/// Why an order waits whose due time has not come.
pub(crate) const NOT_DUE: &str = "it must not begin before its due time";

/// Maximum length of [`NewOrder::tenant`], in characters.
const MAX_TENANT: usize = 100;

/// Maximum length of [`NewOrder::callback`], in characters.
const MAX_CALLBACK: usize = 2_000;

impl NewOrder {
    /// An order with the default priority.
    pub fn new(
        id: impl Into<String>,
        template: impl Into<String>,
        document: impl Into<String>,
    ) -> Self {
        NewOrder {
            id: id.into(),
            document: document.into(),
            template: template.into(),
            priority: Priority::default(),
            config_version: None,
            idempotency_key: None,
            callback: None,
            tenant: None,
            batch: false,
            sent_digest: None,
            traceparent: None,
            due_at: None,
        }
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let invalid =
            |why: &str| Err(Error::Invalid { order: self.id.clone(), why: why.to_owned() });
        if self.id.trim().is_empty() || self.id.chars().count() > 200 {
            return invalid("`id` must have between 1 and 200 characters");
        }
        if self.template.trim().is_empty() {
            return invalid("`template` must name a template");
        }
        if self.idempotency_key.as_ref().is_some_and(|key| key.trim().is_empty()) {
            return invalid("`idempotency_key` must not be empty; leave it out instead");
        }
        if let Some(url) = &self.callback {
            check_callback(&self.id, url)?;
        }
        if !self.tenant.as_deref().is_none_or(is_tenant) {
            return invalid("`tenant` must be a text of 1 to 100 characters on one line");
        }
        if self.due_at.is_some_and(|due| due > now_ms().saturating_add(MAX_DUE_MS)) {
            return invalid("its due time is more than five years ahead; give it an earlier one");
        }
        if self.id.contains('\0') || self.document.contains('\0') || self.template.contains('\0') {
            return invalid(
                "its texts must not contain the character NUL, which PostgreSQL cannot store",
            );
        }
        Ok(())
    }
}

/// The answer to adding an order. The same order sent again is recognized, never made twice
/// (failure catalogue C5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "enqueued", rename_all = "snake_case")]
pub enum Enqueued {
    /// It was added.
    New { order: String, job: i64 },
    /// It is queued already, or waits for its next attempt.
    AlreadyQueued { order: String },
    /// A worker has it already.
    AlreadyRunning { order: String },
    /// It has ended already. `sitewright order retry` requeues it.
    AlreadyDone {
        order: String,
        state: OrderState,
        /// Its current release, if it ever had one.
        release: Option<String>,
    },
}

impl Enqueued {
    /// The id of the order. Differs from the one sent if the idempotency key is that of another
    /// order.
    pub fn order(&self) -> &str {
        match self {
            Enqueued::New { order, .. }
            | Enqueued::AlreadyQueued { order }
            | Enqueued::AlreadyRunning { order }
            | Enqueued::AlreadyDone { order, .. } => order,
        }
    }
}

/// An order's row, without its document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Order {
    pub id: String,
    pub template: String,
    /// How soon it is claimed.
    pub priority: Priority,
    /// The configuration of its attempts, since the first one (failure catalogue E13).
    pub config_version: Option<String>,
    pub idempotency_key: Option<String>,
    /// A label of whoever it is for.
    pub tenant: Option<String>,
    /// Whether nobody waits for it: its AI calls may go through the provider's batches.
    pub batch: bool,
    pub state: OrderState,
    /// The attempt that owns it, while it runs.
    pub owner_attempt: Option<String>,
    /// The worker of that attempt.
    pub owner_worker: Option<String>,
    /// Its River job.
    pub job_id: Option<i64>,
    /// Counts the documents that it had, from 1.
    pub revision: i64,
    /// Attempts started.
    pub runs: i64,
    /// Attempts used of [`AttemptLimits::attempts`]. Waiting for a rate limit, draining and crashes
    /// use none.
    pub attempts: i64,
    /// Processes that ended while its code, and no other order's, ran in them; and attempts that
    /// ended without a result.
    pub crashes: i64,
    /// The current release, also while a later attempt runs.
    pub current_release: Option<String>,
    /// The failure record of the last attempt that did not succeed.
    pub last_failure: Option<String>,
    pub waiting_reason: Option<String>,
    /// The time before which it must not begin, if it was added with one that was to come.
    pub due_at: Option<i64>,
    /// When its next attempt is due, in milliseconds since the Unix epoch, like all times here. `None`
    /// while it waits for a hold or for a batch.
    pub next_attempt_at: Option<i64>,
    pub cancel_requested_at: Option<i64>,
    pub created_at: i64,
    pub updated_at: i64,
    pub finished_at: Option<i64>,
}

impl Order {
    pub(crate) fn read(row: &Row) -> Result<Self, Error> {
        let fields = || -> Result<(Order, String, i64), sqlx::Error> {
            let order = Order {
                id: row.text("id")?,
                template: row.text("template")?,
                priority: Priority::default(),
                config_version: row.opt_text("config_version")?,
                idempotency_key: row.opt_text("idempotency_key")?,
                tenant: row.opt_text("tenant")?,
                batch: row.int("batch")? == 1,
                state: OrderState::Queued,
                owner_attempt: row.opt_text("owner_attempt")?,
                owner_worker: row.opt_text("owner_worker")?,
                job_id: row.opt_int("job_id")?,
                revision: row.int("revision")?,
                runs: row.int("runs")?,
                attempts: row.int("attempts")?,
                crashes: row.int("crashes")?,
                current_release: row.opt_text("current_release")?,
                last_failure: row.opt_text("last_failure")?,
                waiting_reason: waiting_reason(row)?,
                due_at: row.opt_int("due_at")?,
                next_attempt_at: row.opt_int("next_attempt_at")?,
                cancel_requested_at: row.opt_int("cancel_requested_at")?,
                created_at: row.int("created_at")?,
                updated_at: row.int("updated_at")?,
                finished_at: row.opt_int("finished_at")?,
            };
            Ok((order, row.text("state")?, row.int("priority")?))
        };
        let wrong = |why: String| Error::Row { table: "sitewright_orders", why };
        let (order, state, priority) = fields().map_err(|error| wrong(error.to_string()))?;
        let state = parsed("sitewright_orders", "state", &state)?;
        Ok(Order { state, priority: Priority::try_from(priority).map_err(wrong)?, ..order })
    }
}

/// Why an order waits, of a row with the columns of its hold (`hold_cause` and so on, null if the
/// hold was released). An order that waits for a hold shows what the hold is now, whatever its row
/// says: programs of earlier versions stored the reason of the hold there, which may quote the
/// failure of another tenant's order.
pub(super) fn waiting_reason(row: &Row) -> Result<Option<String>, sqlx::Error> {
    let is_waiting = row.text("state")? == OrderState::Waiting.as_str();
    let Some(id) = row.opt_text("held_by")?.filter(|_| is_waiting) else {
        return row.opt_text("waiting_reason");
    };
    let Some(cause) = row.opt_text("hold_cause")? else { return Ok(Some(holds::over(&id))) };
    let (reason, fingerprint) = (row.opt_text("hold_reason")?, row.opt_text("hold_fingerprint")?);
    let reason = reason.unwrap_or_default();
    Ok(Some(holds::shown(&id, &cause, &reason, fingerprint.as_deref())))
}

/// Whether a text can be stored as [`NewOrder::callback`].
pub(crate) fn is_callback(url: &str) -> bool {
    (1..=MAX_CALLBACK).contains(&url.chars().count()) && !url.contains('\0')
}

/// Whether a text can label whoever an order is for: see [`NewOrder::tenant`].
pub fn is_tenant(label: &str) -> bool {
    (1..=MAX_TENANT).contains(&label.chars().count())
        && !label.trim().is_empty()
        && !label.contains(char::is_control)
}

/// Which orders to list. All conditions must hold. Times are milliseconds since the Unix epoch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    pub state: Option<OrderState>,
    pub template: Option<String>,
    /// The label of whoever the orders are for.
    pub tenant: Option<String>,
    /// The kind of the order's last failure. An order that has succeeded since still has it.
    pub kind: Option<String>,
    /// The beginning of the fingerprint of the order's last failure.
    pub fingerprint: Option<String>,
    /// Only orders that came at or after this time.
    pub created_after: Option<i64>,
    /// Only orders that came before this time.
    pub created_before: Option<i64>,
    /// Only orders that have ended, at or after this time.
    pub ended_after: Option<i64>,
    /// Only orders that have ended, before this time.
    pub ended_before: Option<i64>,
    /// Only orders behind this one: for the next page.
    pub after: Option<OrderCursor>,
    /// Maximum number of orders; 0 means 100.
    pub limit: u32,
}

/// The position of an order in a list, of which the newest is the first. Also exact if many orders
/// came in the same millisecond.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderCursor {
    /// Milliseconds since the Unix epoch.
    pub created_at: i64,
    pub id: String,
}

impl From<&Order> for OrderCursor {
    fn from(order: &Order) -> Self {
        OrderCursor { created_at: order.created_at, id: order.id.clone() }
    }
}

/// The answer to a request to cancel an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CancelAnswer {
    /// It was queued or waiting, and is cancelled.
    Cancelled,
    /// A worker has it and was asked to stop.
    Stopping,
    /// It had ended before, in this state.
    AlreadyEnded(OrderState),
}

/// A release that completed its order and that visitors do not see yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingRelease {
    pub order: String,
    pub release: String,
    pub attempt: Option<String>,
    pub job: Option<i64>,
    pub trace_id: Option<String>,
}

/// How an attempt ended, which is not how its order did: `retry` ends an attempt and no order
/// (failure catalogue B6).
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
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
pub enum AttemptEnd {
    /// With a release.
    Succeeded,
    /// With a failure that another attempt would meet again.
    Failed,
    /// With a failure that another attempt may not meet.
    Retry,
    /// It has to wait for a provider's rate limit, for a hold, or for a batch; no attempt was used.
    Snoozed,
    /// With the last failure that the limits allow.
    Dead,
    /// The order was cancelled.
    Cancelled,
    /// The worker drained and returned the order to the queue; no attempt was used.
    Returned,
    /// The worker's process ended, or its heartbeat became stale.
    Crashed,
}

impl AttemptEnd {
    /// As it is stored in the database and in JSON.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// An attempt's row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Attempt {
    pub id: String,
    pub order: String,
    /// Counts the order's attempts, from 1.
    pub number: i64,
    pub worker: String,
    pub job: Option<i64>,
    /// 32 hexadecimal digits.
    pub trace_id: String,
    pub config_version: Option<String>,
    /// Milliseconds since the Unix epoch, like all times here.
    pub started_at: i64,
    pub ended_at: Option<i64>,
    /// `None` while it runs.
    pub outcome: Option<AttemptEnd>,
    /// When its worker tried to complete it after the order had been given to another attempt. Its
    /// result was discarded.
    pub lease_lost_at: Option<i64>,
    pub release: Option<String>,
    /// The id of its failure record.
    pub failure: Option<String>,
    /// The stage that its failure record names; `None` if it has no record, or one without a stage.
    pub last_stage: Option<String>,
}

impl Attempt {
    pub(crate) fn read(row: &Row) -> Result<Self, Error> {
        let fields = || -> Result<(Attempt, Option<String>), sqlx::Error> {
            let attempt = Attempt {
                id: row.text("id")?,
                order: row.text("order_id")?,
                number: row.int("number")?,
                worker: row.text("worker")?,
                job: row.opt_int("job_id")?,
                trace_id: row.text("trace_id")?,
                config_version: row.opt_text("config_version")?,
                started_at: row.int("started_at")?,
                ended_at: row.opt_int("ended_at")?,
                outcome: None,
                lease_lost_at: row.opt_int("lease_lost_at")?,
                release: row.opt_text("release")?,
                failure: row.opt_text("failure_id")?,
                last_stage: row.opt_text("last_stage")?,
            };
            Ok((attempt, row.opt_text("outcome")?))
        };
        let wrong = |error: sqlx::Error| Error::Row {
            table: "sitewright_attempts",
            why: error.to_string(),
        };
        let (attempt, outcome) = fields().map_err(wrong)?;
        let outcome =
            outcome.map(|text| parsed("sitewright_attempts", "outcome", &text)).transpose()?;
        Ok(Attempt { outcome, ..attempt })
    }
}

/// The worker that claims orders.
#[derive(Debug, Clone)]
pub struct WorkerId {
    /// Its id in the queue: host, process id and random characters, never used twice.
    pub client: String,
    /// The version of its configuration.
    pub config_version: Option<String>,
}

/// A claimed order: the right to complete it, until the claim passes to another attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    pub order: String,
    pub template: String,
    /// A label of whoever the order is for.
    pub tenant: Option<String>,
    /// Whether the order's AI calls may go through the provider's batches.
    pub batch: bool,
    /// The configuration of the order's first attempt. The worker's own may be newer (failure
    /// catalogue E13).
    pub config_version: Option<String>,
    pub attempt: Ulid,
    /// Counts the order's attempts, from 1.
    pub number: i64,
    /// Attempts used before this one; the backoff grows with it.
    pub attempts_used: i64,
    pub job: i64,
    /// Counts the documents of the order, from 1: the one that this attempt has.
    pub revision: i64,
    /// 32 hexadecimal digits: of the order's trace, or else of the attempt's own.
    pub trace_id: String,
    /// The trace that the order is a part of.
    pub traceparent: Option<TraceParent>,
    pub worker: String,
    /// Whether its code ran when a process ended: it is tried with no other order's code beside it.
    pub suspected: bool,
    /// The holds that this order is the probe of: whether their causes are gone.
    pub probes: Vec<HoldId>,
}

impl From<&Claimed> for OfAttempt {
    fn from(claimed: &Claimed) -> Self {
        OfAttempt {
            order: claimed.order.clone(),
            job: Some(claimed.job.to_string()),
            attempt: claimed.attempt.to_string(),
            trace_id: claimed.trace_id.clone(),
            template: claimed.template.clone(),
            config_version: claimed.config_version.clone().unwrap_or_default(),
        }
    }
}

/// The answer to claiming an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// The order is claimed. With its document, to be dropped once it has been read.
    Claimed(Box<Claimed>, String),
    /// The order has ended; the job is left over.
    AlreadyEnded(OrderState),
    /// Another attempt owns the order, or it has another job; this job is left over.
    NotThisJob,
    /// There is no order with this id.
    NoSuchOrder,
    /// The order waits for a hold, and has a new job for it.
    Parked {
        hold: HoldId,
        /// As the order shows it.
        reason: String,
    },
}

/// How often an order may be attempted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptLimits {
    /// Attempts in total; a failure of the last one makes the order dead. Waiting for rate limits,
    /// draining and crashes use none. Default: 5.
    pub attempts: u32,
    /// Crashes in total; the last one makes the order dead, since the order is what ends the
    /// processes (failure catalogue C7). Only what happens while the order's code runs alone is
    /// counted, and each other process that ended in the last ten minutes allows one more, at most
    /// ten. Default: 2.
    pub crashes: u32,
}

impl Default for AttemptLimits {
    fn default() -> Self {
        AttemptLimits { attempts: 5, crashes: 2 }
    }
}

impl AttemptLimits {
    /// The number of crashes that makes an order dead, beside this number of processes that ended
    /// without it.
    pub(crate) fn crashes_beside(self, others: i64) -> i64 {
        i64::from(self.crashes).saturating_add(others)
    }
}

/// A failure record to be stored, with the columns it is searched by.
#[derive(Debug, Clone, PartialEq)]
pub struct NewFailure {
    pub id: String,
    /// Its kind: `ai`, `trap`, `crashed`, ...
    pub kind: String,
    pub message: Message,
    pub record: Json,
}

impl NewFailure {
    /// The stage that the attempt ended in; `None` if the record does not know it.
    pub(crate) fn last_stage(&self) -> Option<&str> {
        self.record.get("stage")?.as_str().filter(|stage| *stage != UNKNOWN_STAGE)
    }
}

impl From<&FailureRecord> for NewFailure {
    fn from(record: &FailureRecord) -> Self {
        let (id, kind) = (record.id.clone(), record.kind.as_str().to_owned());
        let whole = match record.fingerprint {
            Some(_) => None,
            None => Some(sitewright_failure::fingerprint::stamped(record.clone())),
        };
        let written = serde_json::to_value(whole.as_ref().unwrap_or(record)).unwrap_or_else(|error| {
            // All keys are texts, so this does not happen; if it did, the searched columns remain.
            tracing::error!(%error, order = record.order, "a failure record cannot be written as JSON");
            serde_json::json!({ "id": id, "order": record.order, "kind": kind, "message": record.message })
        });
        NewFailure { id, kind, message: record.message.clone(), record: written }
    }
}

/// How an attempt ended, as its handler reports it.
#[derive(Debug, Clone, PartialEq)]
pub enum Resolution {
    /// A release was made.
    Succeeded {
        /// Its id; completing makes it the order's current release.
        release: String,
    },
    /// Another attempt would end the same way.
    Failed { failure: NewFailure },
    /// Another attempt may succeed. Uses one; after the last one the order is dead.
    Retry {
        failure: NewFailure,
        /// Wait before the next attempt.
        after: Duration,
    },
    /// A provider's rate limit has to pass first. Uses no attempt.
    Snooze {
        failure: NewFailure,
        /// Wait before the next attempt.
        after: Duration,
    },
    /// It met a cause that is not the order's. The hold is set and the order waits for it. Uses no
    /// attempt.
    Hold {
        /// `None` if no request was sent, so that nothing happened which is not recorded yet.
        failure: Option<NewFailure>,
        hold: Box<NewHold>,
    },
    /// Its AI calls wait for batches, and the order waits until they are answered. Uses no attempt.
    AwaitBatch {
        /// As the order shows it.
        reason: Message,
    },
    /// Nothing was sent, because a circuit breaker rejects its calls: what opened the breaker is
    /// recorded already. Uses no attempt.
    AwaitBreaker {
        /// As the order shows it.
        reason: Message,
        /// Wait before the next attempt.
        after: Duration,
    },
    /// Given up.
    Dead { failure: NewFailure },
    /// The order was cancelled.
    Cancelled {
        /// What the attempt was doing when it was stopped.
        failure: Option<NewFailure>,
    },
    /// The worker shuts down: the order keeps its position in the queue. Uses no attempt.
    ReturnToQueue,
}

impl Resolution {
    pub(crate) fn failure(&self) -> Option<&NewFailure> {
        match self {
            Resolution::Failed { failure }
            | Resolution::Retry { failure, .. }
            | Resolution::Snooze { failure, .. }
            | Resolution::Hold { failure: Some(failure), .. }
            | Resolution::Dead { failure }
            | Resolution::Cancelled { failure: Some(failure) } => Some(failure),
            Resolution::Succeeded { .. }
            | Resolution::Hold { failure: None, .. }
            | Resolution::AwaitBatch { .. }
            | Resolution::AwaitBreaker { .. }
            | Resolution::Cancelled { failure: None }
            | Resolution::ReturnToQueue => None,
        }
    }
}

/// The answer to completing an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "completed", rename_all = "snake_case")]
pub enum CompleteOutcome {
    /// The end is stored.
    Done {
        attempt: AttemptEnd,
        order: OrderState,
        /// When its next attempt is due, in milliseconds since the Unix epoch.
        next_attempt_at: Option<i64>,
    },
    /// The order belongs to another attempt, since this worker's heartbeat was stale. Nothing
    /// changed except `lease_lost_at` of this attempt.
    LeaseLost,
}
