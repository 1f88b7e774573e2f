//! Orders: what a customer wants, and where it stands.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::coalesced::{Coalesced, over_json, json_rows};
use super::database::{Database, now_ms};
use super::error::Error;
use super::fair_share::FairShare;
use super::river;
use super::sql::{Row, Tx, args, parsed};

/// Where an order stands. An order that has ended stays as it is, whatever late workers write
/// (catalogue D1); only [`Database::reopen`] begins it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderState {
    /// In line.
    Queued,
    /// A worker has it.
    Running,
    /// Its last attempt did not succeed and another one is scheduled: see the reason and the time.
    Waiting,
    /// It has a release.
    Succeeded,
    /// It failed for good: another attempt would end the same way.
    Failed,
    /// Given up: attempts or crashes are spent.
    Dead,
    /// Somebody stopped it.
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

    /// As it stands in the database and in JSON.
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
                "{text:?} is no state of an order; there are {}",
                Self::ALL.map(Self::as_str).join(", ")
            )
        })
    }
}

/// How soon an order is claimed: 1 before 2 before 3 before 4. Also the numbers of a producer in
/// another language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct Priority(i64);

impl Priority {
    /// Before all others.
    pub const HIGHEST: Priority = Priority(1);
    /// After all others.
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
            Err(format!("the priority is {value}; it goes from 1, taken first, to 4"))
        }
    }
}

impl From<Priority> for i64 {
    fn from(priority: Priority) -> i64 {
        priority.0
    }
}

/// An order to be put in line.
#[derive(Debug, Clone)]
pub struct NewOrder {
    /// Its id, from whoever sends it: the same id is the same order.
    pub id: String,
    /// The document, JSON.
    pub document: String,
    /// Name of the template that makes it.
    pub template: String,
    /// How soon it is claimed.
    pub priority: Priority,
    /// The configuration it is to be made with; missing means the one of the worker that first
    /// takes it.
    pub config_version: Option<String>,
    /// A second name under which the same order may be sent twice.
    pub idempotency_key: Option<String>,
}

impl NewOrder {
    /// An order with the usual priority.
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
        }
    }

    fn check(&self) -> Result<(), Error> {
        let invalid =
            |why: &str| Err(Error::Invalid { order: self.id.clone(), why: why.to_owned() });
        if self.id.trim().is_empty() || self.id.chars().count() > 200 {
            return invalid("`id` must have between 1 and 200 characters");
        }
        if self.template.trim().is_empty() {
            return invalid("`template` must name the template that makes it");
        }
        if self.idempotency_key.as_ref().is_some_and(|key| key.trim().is_empty()) {
            return invalid("`idempotency_key` must say something, or be left out");
        }
        if self.id.contains('\0') || self.document.contains('\0') || self.template.contains('\0') {
            return invalid(
                "its texts must not contain the character NUL, which PostgreSQL cannot store",
            );
        }
        Ok(())
    }
}

/// What came of putting an order in line. The same order sent again is answered, never done twice
/// (catalogue C5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "enqueued", rename_all = "snake_case")]
pub enum Enqueued {
    /// It is in line now.
    New {
        /// Its id.
        order: String,
        /// Its job.
        job: i64,
    },
    /// It is in line already, or waits for its next attempt.
    AlreadyQueued {
        /// The id of the order that is there.
        order: String,
    },
    /// A worker has it already.
    AlreadyRunning {
        /// The id of the order that is there.
        order: String,
    },
    /// It has ended already. `sitewright order retry` begins it again.
    AlreadyDone {
        /// The id of the order that is there.
        order: String,
        /// How it ended.
        state: OrderState,
        /// Its current release, when it ever had one.
        release: Option<String>,
    },
}

impl Enqueued {
    /// The order this is about: its id may differ from the one sent when the idempotency key is
    /// known already.
    pub fn order(&self) -> &str {
        match self {
            Enqueued::New { order, .. }
            | Enqueued::AlreadyQueued { order }
            | Enqueued::AlreadyRunning { order }
            | Enqueued::AlreadyDone { order, .. } => order,
        }
    }
}

/// An order as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Order {
    /// Its id.
    pub id: String,
    /// The template that makes it.
    pub template: String,
    /// How soon it is claimed.
    pub priority: Priority,
    /// The configuration its attempts are made with, once one began (catalogue E13).
    pub config_version: Option<String>,
    /// A second name of it.
    pub idempotency_key: Option<String>,
    /// Where it stands.
    pub state: OrderState,
    /// The attempt that has it, while it runs.
    pub owner_attempt: Option<String>,
    /// The worker that has it, while it runs.
    pub owner_worker: Option<String>,
    /// Its job in the queue.
    pub job_id: Option<i64>,
    /// Attempts that were begun.
    pub runs: i64,
    /// Attempts that were used up: waiting for a rate limit, draining and crashes use none.
    pub attempts: i64,
    /// Attempts that ended with the process.
    pub crashes: i64,
    /// The release that is current, also while a later attempt runs.
    pub current_release: Option<String>,
    /// The failure record of the last attempt that did not succeed.
    pub last_failure: Option<String>,
    /// Why it waits.
    pub waiting_reason: Option<String>,
    /// When its next attempt is due, in milliseconds since the Unix epoch.
    pub next_attempt_at: Option<i64>,
    /// When somebody asked to stop it.
    pub cancel_requested_at: Option<i64>,
    /// When it came.
    pub created_at: i64,
    /// When it last changed.
    pub updated_at: i64,
    /// When it ended.
    pub finished_at: Option<i64>,
}

macro_rules! select_orders {
    ($rest:literal) => {
        concat!(
            "SELECT id, template, priority, config_version, idempotency_key, state, \
             owner_attempt, owner_worker, job_id, runs, attempts, crashes, current_release, \
             last_failure, waiting_reason, next_attempt_at, cancel_requested_at, created_at, \
             updated_at, finished_at FROM sitewright_orders ",
            $rest
        )
    };
}

impl Order {
    pub(super) fn read(row: &Row) -> Result<Self, Error> {
        let fields = || -> Result<(Order, String, i64), sqlx::Error> {
            let order = Order {
                id: row.text("id")?,
                template: row.text("template")?,
                priority: Priority::default(),
                config_version: row.opt_text("config_version")?,
                idempotency_key: row.opt_text("idempotency_key")?,
                state: OrderState::Queued,
                owner_attempt: row.opt_text("owner_attempt")?,
                owner_worker: row.opt_text("owner_worker")?,
                job_id: row.opt_int("job_id")?,
                runs: row.int("runs")?,
                attempts: row.int("attempts")?,
                crashes: row.int("crashes")?,
                current_release: row.opt_text("current_release")?,
                last_failure: row.opt_text("last_failure")?,
                waiting_reason: row.opt_text("waiting_reason")?,
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

/// Which orders to list: the newest first.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only those in this state.
    pub state: Option<OrderState>,
    /// Only those of this template.
    pub template: Option<String>,
    /// Only those that came before this time, in milliseconds since the Unix epoch: for the next
    /// page.
    pub before: Option<i64>,
    /// At most so many; 0 means 100.
    pub limit: u32,
}

/// What came of asking to stop an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CancelAnswer {
    /// It was in line or waiting, and is cancelled.
    Cancelled,
    /// A worker has it and was told to stop.
    Stopping,
    /// It had ended before.
    AlreadyEnded(OrderState),
}

/// A release that counts and that visitors do not see yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingRelease {
    /// Its order.
    pub order: String,
    /// The release.
    pub release: String,
    /// The attempt that made it.
    pub attempt: Option<String>,
    /// The job it was made for.
    pub job: Option<i64>,
    /// The attempt's trace id.
    pub trace_id: Option<String>,
}

/// A release that visitors see.
#[derive(Clone)]
struct ActivatedRelease {
    order: String,
    release: String,
}

#[async_trait]
impl Coalesced for ActivatedRelease {
    type Answer = bool;

    async fn many(tx: &mut Tx, these: &[Self]) -> Result<Vec<Option<bool>>, sqlx::Error> {
        let list =
            json_rows(these.iter().map(|ActivatedRelease { order, release }| vec![json!(order), json!(release)]));
        let sql = over_json!(
            tx,
            "UPDATE sitewright_orders SET visible_release = t.value ->> 1 FROM ",
            " WHERE sitewright_orders.id = t.value ->> 0 AND current_release = t.value ->> 1
             RETURNING sitewright_orders.id AS order_id, visible_release"
        );
        let mut seen = HashSet::with_capacity(these.len());
        for row in tx.all(sql, args![&list]).await? {
            seen.insert((row.text("order_id")?, row.text("visible_release")?));
        }
        let is_seen = |one: &ActivatedRelease| seen.contains(&(one.order.clone(), one.release.clone()));
        Ok(these.iter().map(|one| Some(is_seen(one))).collect())
    }

    async fn one(&self, tx: &mut Tx) -> Result<bool, sqlx::Error> {
        let sql = "UPDATE sitewright_orders SET visible_release = $2 WHERE id = $1 AND \
                   current_release = $2";
        Ok(tx.execute(sql, args![&self.order, &self.release]).await? > 0)
    }
}

impl Database {
    /// Puts an order in line: its row and its job, or nothing.
    ///
    /// # Errors
    /// When a field is no good, or the database fails.
    pub async fn enqueue(&self, order: NewOrder) -> Result<Enqueued, Error> {
        order.check()?;
        let river = self.river().clone();
        let doing = format!("putting order {:?} in line", order.id);
        self.write(doing, move |tx| {
            let (order, river) = (order.clone(), river.clone());
            Box::pin(async move { enqueue_in(tx, &river, &order, &mut FairShare::default()).await })
        })
        .await
    }

    /// Puts several orders in line, all or none.
    ///
    /// # Errors
    /// When a field of one is no good, or the database fails.
    pub async fn enqueue_all(&self, orders: Vec<NewOrder>) -> Result<Vec<Enqueued>, Error> {
        orders.iter().try_for_each(NewOrder::check)?;
        let (river, orders) = (self.river().clone(), std::sync::Arc::new(orders));
        self.write(format!("putting {} orders in line", orders.len()), move |tx| {
            let (orders, river) = (orders.clone(), river.clone());
            Box::pin(async move {
                let (mut answers, mut line) = (Vec::with_capacity(orders.len()), FairShare::default());
                for order in orders.iter() {
                    answers.push(enqueue_in(tx, &river, order, &mut line).await?);
                }
                Ok(answers)
            })
        })
        .await
    }

    /// One order.
    ///
    /// # Errors
    /// When there is none of this id, or the database fails.
    pub async fn order(&self, id: &str) -> Result<Order, Error> {
        let rows =
            self.read("reading an order", select_orders!("WHERE id = $1"), args![id]).await?;
        rows.first().map_or_else(|| Err(Error::NoSuchOrder { order: id.to_owned() }), Order::read)
    }

    /// An order's document.
    ///
    /// # Errors
    /// When there is no order of this id, or the database fails.
    pub async fn document(&self, id: &str) -> Result<String, Error> {
        let sql = "SELECT document FROM sitewright_orders WHERE id = $1";
        let rows = self.read("reading an order's document", sql, args![id]).await?;
        let row = rows.first().ok_or_else(|| Error::NoSuchOrder { order: id.to_owned() })?;
        row.text("document").map_err(|error| Error::database("reading an order's document", error))
    }

    /// The orders there are.
    ///
    /// # Errors
    /// When the database fails: never an empty list instead (catalogue B4).
    pub async fn orders(&self, filter: &Filter) -> Result<Vec<Order>, Error> {
        let limit = if filter.limit == 0 { 100 } else { i64::from(filter.limit) };
        let rows = self.read(
            "listing orders",
            select_orders!(
                "WHERE ($1 IS NULL OR state = $1) AND ($2 IS NULL OR template = $2) AND ($3 IS \
                 NULL OR created_at < $3)
                 ORDER BY created_at DESC, id DESC LIMIT $4"
            ),
            args![filter.state.map(OrderState::as_str), &filter.template, filter.before, limit],
        );
        rows.await?.iter().map(Order::read).collect()
    }

    /// Writes down that visitors see this release of an order. False when it is not the order's
    /// current one (any more).
    ///
    /// # Errors
    /// When the database fails.
    pub async fn mark_activated(&self, id: &str, release: &str) -> Result<bool, Error> {
        let seen = ActivatedRelease { order: id.to_owned(), release: release.to_owned() };
        self.write_coalesced(format!("writing down that order {id:?} can be seen"), seen).await
    }

    /// Releases that have been settled for this long, in milliseconds, and are not known to be
    /// visible. At most a thousand.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn pending_activations(&self, settled_for_ms: i64) -> Result<Vec<PendingRelease>, Error> {
        let doing = "looking for releases that are not visible";
        let sql = "SELECT o.id AS id, o.current_release AS current_release, a.id AS attempt, \
                   a.job_id AS job_id, a.trace_id AS trace_id
             FROM sitewright_orders o
             LEFT JOIN sitewright_attempts a ON a.order_id = o.id AND a.release = o.current_release
             WHERE o.current_release IS NOT NULL AND (o.visible_release IS NULL OR \
                   o.visible_release <> o.current_release)
                AND o.updated_at <= $1 ORDER BY o.updated_at LIMIT 1000";
        let rows = self.read(doing, sql, args![now_ms() - settled_for_ms]).await?;
        let read = |row: &Row| {
            Ok(PendingRelease {
                order: row.text("id")?,
                release: row.text("current_release")?,
                attempt: row.opt_text("attempt")?,
                job: row.opt_int("job_id")?,
                trace_id: row.opt_text("trace_id")?,
            })
        };
        rows.iter()
            .map(read)
            .collect::<Result<_, _>>()
            .map_err(|error| Error::database(doing, error))
    }

    /// Asks to stop an order, from any process. The worker that has it is told within a second.
    ///
    /// # Errors
    /// When there is no such order, or the database fails.
    pub async fn cancel(&self, id: &str) -> Result<CancelAnswer, Error> {
        let (order, river) = (id.to_owned(), self.river().clone());
        let answer = self.write(format!("cancelling order {id:?}"), move |tx| {
            let (order, river) = (order.clone(), river.clone());
            Box::pin(async move { cancel_in(tx, &river, &order).await })
        });
        match answer.await? {
            Some(Ok(answer)) => Ok(answer),
            Some(Err(state)) => {
                Ok(CancelAnswer::AlreadyEnded(parsed("sitewright_orders", "state", &state)?))
            }
            None => Err(Error::NoSuchOrder { order: id.to_owned() }),
        }
    }

    /// Begins an order again that has ended: a new job, all counters at zero. Earlier attempts,
    /// records and the current release stay (catalogue D1, D7). The configuration may be pinned
    /// anew.
    ///
    /// # Errors
    /// When there is no such order, it has not ended, or the database fails.
    pub async fn reopen(&self, id: &str, config_version: Option<&str>) -> Result<i64, Error> {
        let (order, river) = (id.to_owned(), self.river().clone());
        let config = config_version.map(str::to_owned);
        let reopened = self.write(format!("beginning order {id:?} again"), move |tx| {
            let (order, river, config) = (order.clone(), river.clone(), config.clone());
            Box::pin(async move { reopen_in(tx, &river, &order, &config).await })
        });
        match reopened.await? {
            Some(Ok(job)) => Ok(job),
            Some(Err(state)) => Err(Error::NotEnded { order: id.to_owned(), state }),
            None => Err(Error::NoSuchOrder { order: id.to_owned() }),
        }
    }
}

async fn enqueue_in(
    tx: &mut Tx,
    river: &river::Inserter,
    order: &NewOrder,
    line: &mut FairShare,
) -> Result<Enqueued, sqlx::Error> {
    let now = now_ms();
    // Without a target, so that the id and the key both count: either of them claimed means that the
    // order is there.
    let inserted = tx
        .execute(
            "INSERT INTO sitewright_orders
                (id, document, template, priority, config_version, idempotency_key, created_at, \
             updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $7) ON CONFLICT DO NOTHING",
            args![
                &order.id,
                &order.document,
                &order.template,
                i64::from(order.priority),
                &order.config_version,
                &order.idempotency_key,
                now
            ],
        )
        .await?;
    if inserted == 1 {
        let place = line.place(tx, &order.template, order.priority.into()).await?;
        let job = river::insert(river, tx, &order.id, place, None).await?;
        tx.execute("UPDATE sitewright_orders SET job_id = $2 WHERE id = $1", args![&order.id, job])
            .await?;
        return Ok(Enqueued::New { order: order.id.clone(), job });
    }
    let there = tx
        .optional(
            "SELECT id, state, current_release FROM sitewright_orders WHERE id = $1 OR \
             idempotency_key = $2
             ORDER BY CASE WHEN id = $1 THEN 0 ELSE 1 END LIMIT 1",
            args![&order.id, &order.idempotency_key],
        )
        .await?
        .ok_or(sqlx::Error::RowNotFound)?;
    let (id, state) = (there.text("id")?, there.text("state")?);
    let state: OrderState =
        state.parse().map_err(|error: String| sqlx::Error::Decode(error.into()))?;
    Ok(match state {
        OrderState::Queued | OrderState::Waiting => Enqueued::AlreadyQueued { order: id },
        OrderState::Running => Enqueued::AlreadyRunning { order: id },
        OrderState::Succeeded | OrderState::Failed | OrderState::Dead | OrderState::Cancelled => {
            Enqueued::AlreadyDone { order: id, state, release: there.opt_text("current_release")? }
        }
    })
}

/// What came of it, or the state that stood against it; nothing when there is no such order.
type Answer<T> = Result<Option<Result<T, String>>, sqlx::Error>;

async fn cancel_in(tx: &mut Tx, river: &river::Inserter, order: &str) -> Answer<CancelAnswer> {
    let now = now_ms();
    let waiting = tx
        .optional(
            "UPDATE sitewright_orders SET state = 'cancelled', cancel_requested_at = \
             coalesce(cancel_requested_at, $2),
                waiting_reason = NULL, next_attempt_at = NULL, updated_at = $2, finished_at = $2
             WHERE id = $1 AND state IN ('queued', 'waiting') RETURNING job_id",
            args![order, now],
        )
        .await?;
    if let Some(row) = waiting {
        if let Some(job) = row.opt_int("job_id")? {
            river::cancel(river, tx, job).await?;
        }
        return Ok(Some(Ok(CancelAnswer::Cancelled)));
    }
    let running = tx
        .optional(
            "UPDATE sitewright_orders SET cancel_requested_at = coalesce(cancel_requested_at, \
             $2), updated_at = $2
             WHERE id = $1 AND state = 'running' RETURNING job_id",
            args![order, now],
        )
        .await?;
    if let Some(row) = running {
        if let Some(job) = row.opt_int("job_id")? {
            river::cancel(river, tx, job).await?;
        }
        return Ok(Some(Ok(CancelAnswer::Stopping)));
    }
    state_of(tx, order).await.map(|state| state.map(Err))
}

async fn reopen_in(
    tx: &mut Tx,
    river: &river::Inserter,
    order: &str,
    config: &Option<String>,
) -> Answer<i64> {
    let reopened = tx
        .optional(
            "UPDATE sitewright_orders SET state = 'queued', attempts = 0, crashes = 0, \
             cancel_requested_at = NULL,
                config_version = coalesce($2, config_version), waiting_reason = NULL, \
             next_attempt_at = NULL,
                finished_at = NULL, updated_at = $3
             WHERE id = $1 AND state IN ('succeeded', 'failed', 'dead', 'cancelled') RETURNING \
             template, priority",
            args![order, config, now_ms()],
        )
        .await?;
    let Some(row) = reopened else {
        return state_of(tx, order).await.map(|state| state.map(Err));
    };
    let place = FairShare::default().place(tx, &row.text("template")?, row.int("priority")?).await?;
    let job = river::insert(river, tx, order, place, None).await?;
    tx.execute("UPDATE sitewright_orders SET job_id = $2 WHERE id = $1", args![order, job]).await?;
    Ok(Some(Ok(job)))
}

async fn state_of(tx: &mut Tx, order: &str) -> Result<Option<String>, sqlx::Error> {
    let row =
        tx.optional("SELECT state FROM sitewright_orders WHERE id = $1", args![order]).await?;
    row.map(|row| row.text("state")).transpose()
}
