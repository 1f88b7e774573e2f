//! Orders in the database: add, read, list, cancel, requeue, and which of their releases are
//! active.

use std::collections::HashSet;

use async_trait::async_trait;
use serde_json::json;
use sitewright_model::time::now_ms;
use sitewright_model::trace::TraceParent;

use super::batch_items;
use super::coalesced::{Coalesced, json_rows, over_json};
use super::database::Database;
use super::driver::{Row, Tx, args, river, sql};
use super::erase::{WasErased, check_not_erased};
use super::error::Error;
use super::fair_share::FairShare;
use super::listing::Conditions;
use super::model::{
    CancelAnswer, Enqueued, Filter, NOT_DUE, NewOrder, Order, OrderState, PendingRelease,
};
use super::webhooks::set_callback_in;

/// A producer writes a due time itself, and SQLite stores what it writes: a text there would fail
/// each list that has the order, and each rescue of orders without a job.
///
/// A waiting order has its hold as it is now: another cause may have taken the place of the one that
/// the order was parked for.
macro_rules! select_orders {
    ($($rest:tt)+) => {
        concat!(
            "SELECT id, template, priority, config_version, idempotency_key, state, \
             owner_attempt, owner_worker, job_id, runs, attempts, crashes, current_release, \
             last_failure, next_attempt_at, cancel_requested_at, created_at, \
             updated_at, finished_at, revision, tenant, batch, CAST(due_at AS BIGINT) AS due_at, \
             waiting_reason, held_by, \
             (SELECT h.cause FROM sitewright_holds h \
                WHERE h.id = sitewright_orders.held_by AND h.released_at IS NULL \
                AND sitewright_orders.state = 'waiting') AS hold_cause, \
             (SELECT h.reason FROM sitewright_holds h \
                WHERE h.id = sitewright_orders.held_by AND h.released_at IS NULL \
                AND sitewright_orders.state = 'waiting') AS hold_reason, \
             (SELECT h.fingerprint FROM sitewright_holds h \
                WHERE h.id = sitewright_orders.held_by AND h.released_at IS NULL \
                AND sitewright_orders.state = 'waiting') AS hold_fingerprint \
             FROM sitewright_orders ",
            $($rest)+
        )
    };
}
pub(super) use select_orders;

/// Marks a release as active, if it is still its order's current one.
#[derive(Clone)]
struct MarkActivated {
    order: String,
    release: String,
}

#[async_trait]
impl Coalesced for MarkActivated {
    type Answer = bool;

    async fn many(tx: &mut Tx, writes: &[Self]) -> Result<Vec<Option<bool>>, sqlx::Error> {
        let list = json_rows(
            writes
                .iter()
                .map(|MarkActivated { order, release }| vec![json!(order), json!(release)]),
        );
        let sql = over_json!(
            tx,
            "UPDATE sitewright_orders SET visible_release = t.value ->> 1 FROM ",
            " WHERE sitewright_orders.id = t.value ->> 0 AND current_release = t.value ->> 1
             RETURNING sitewright_orders.id AS order_id, visible_release"
        );
        let mut marked = HashSet::with_capacity(writes.len());
        for row in tx.all(sql, args![&list]).await? {
            marked.insert((row.text("order_id")?, row.text("visible_release")?));
        }
        let is_marked =
            |one: &MarkActivated| marked.contains(&(one.order.clone(), one.release.clone()));
        Ok(writes.iter().map(|one| Some(is_marked(one))).collect())
    }

    async fn one(&self, tx: &mut Tx) -> Result<bool, sqlx::Error> {
        let sql = "UPDATE sitewright_orders SET visible_release = $2 WHERE id = $1 AND \
                   current_release = $2";
        Ok(tx.execute(sql, args![&self.order, &self.release]).await? > 0)
    }
}

/// An order whose id differs from that of another one only in case. Their folders would be one on a
/// file system that ignores case, and nobody tells `Abc` from `abc` in a URL.
#[derive(Debug, thiserror::Error)]
#[error("the id {order:?} differs from {existing:?} only in upper and lower case")]
struct SameButCase {
    order: String,
    existing: String,
}

/// [`Error::Invalid`] if the write failed with [`SameButCase`] or [`WasErased`].
fn refused(error: Error) -> Error {
    let Error::Database { source, .. } = &error else { return error };
    let sqlx::Error::Encode(source) = &**source else { return error };
    if let Some(WasErased { order, at }) = source.downcast_ref() {
        let at = time::OffsetDateTime::from_unix_timestamp(at / 1_000).ok();
        let day = at.map_or_else(|| "before".to_owned(), |at| format!("on {}", at.date()));
        return Error::Invalid {
            order: order.clone(),
            why: format!(
                "an order with this id was erased {day}, and is not made again; give the new order \
                 another id"
            ),
        };
    }
    let Some(SameButCase { order, existing }) = source.downcast_ref() else { return error };
    Error::Invalid {
        order: order.clone(),
        why: format!(
            "its id differs from that of order {existing:?} only in upper and lower case; write \
             the id as it was written first, or give it another one"
        ),
    }
}

impl Database {
    /// Adds an order to the queue: its row and its job, in one transaction.
    ///
    /// # Errors
    /// [`Error::Invalid`] if a field is not valid, or its id differs from that of another order
    /// only in case; or the database fails.
    pub async fn enqueue(&self, order: NewOrder) -> Result<Enqueued, Error> {
        order.check()?;
        let river = self.river().clone();
        let doing = format!("adding order {:?} to the queue", order.id);
        self.write(doing, move |tx| {
            let (order, river) = (order.clone(), river.clone());
            Box::pin(async move { enqueue_in(tx, &river, &order, &mut FairShare::default()).await })
        })
        .await
        .map_err(refused)
    }

    /// Adds several orders to the queue, all or none.
    ///
    /// # Errors
    /// As [`Database::enqueue`], for any of them.
    pub async fn enqueue_all(&self, orders: Vec<NewOrder>) -> Result<Vec<Enqueued>, Error> {
        orders.iter().try_for_each(NewOrder::check)?;
        let (river, orders) = (self.river().clone(), std::sync::Arc::new(orders));
        self.write(format!("adding {} orders to the queue", orders.len()), move |tx| {
            let (orders, river) = (orders.clone(), river.clone());
            Box::pin(async move {
                let mut answers = Vec::with_capacity(orders.len());
                let mut share = FairShare::default();
                for order in orders.iter() {
                    answers.push(enqueue_in(tx, &river, order, &mut share).await?);
                }
                Ok(answers)
            })
        })
        .await
        .map_err(refused)
    }

    /// # Errors
    /// [`Error::NoSuchOrder`]; or the database fails.
    pub async fn order(&self, id: &str) -> Result<Order, Error> {
        let rows =
            self.read("reading an order", select_orders!("WHERE id = $1"), args![id]).await?;
        rows.first().map_or_else(|| Err(Error::NoSuchOrder { order: id.to_owned() }), Order::read)
    }

    /// An order's document, as it was sent.
    ///
    /// # Errors
    /// [`Error::NoSuchOrder`]; or the database fails.
    pub async fn document(&self, id: &str) -> Result<String, Error> {
        let sql = "SELECT document FROM sitewright_orders WHERE id = $1";
        let rows = self.read("reading an order's document", sql, args![id]).await?;
        let row = rows.first().ok_or_else(|| Error::NoSuchOrder { order: id.to_owned() })?;
        row.text("document").map_err(|error| Error::database("reading an order's document", error))
    }

    /// The digest that came with an order's document as it was sent. `None` if there was none.
    ///
    /// # Errors
    /// [`Error::NoSuchOrder`]; or the database fails.
    pub async fn sent_digest(&self, id: &str) -> Result<Option<String>, Error> {
        let doing = "reading the digest of an order";
        let sql = "SELECT sent_digest FROM sitewright_orders WHERE id = $1";
        let rows = self.read(doing, sql, args![id]).await?;
        let row = rows.first().ok_or_else(|| Error::NoSuchOrder { order: id.to_owned() })?;
        row.opt_text("sent_digest").map_err(|error| Error::database(doing, error))
    }

    /// Orders that match the filter, the newest first.
    ///
    /// # Errors
    /// If the database fails; never an empty list instead (failure catalogue B4).
    pub async fn orders(&self, filter: &Filter) -> Result<Vec<Order>, Error> {
        let limit = if filter.limit == 0 { 100 } else { i64::from(filter.limit) };
        let mut wanted = Conditions::of(filter, self.pool());
        let most = wanted.value(limit);
        let sql = format!(
            "{} WHERE {} ORDER BY created_at DESC, id DESC LIMIT {most}",
            select_orders!(""),
            wanted.sql()
        );
        let rows = self.read_composed("listing orders", sql, wanted.into_values()).await?;
        rows.iter().map(Order::read).collect()
    }

    /// Those of these orders that have this label of whoever they are for.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn orders_of_tenant(
        &self,
        orders: &[String],
        tenant: &str,
    ) -> Result<HashSet<String>, Error> {
        let doing = "looking whose orders these are";
        let list = json_rows(orders.iter().map(|order| vec![json!(order)]));
        let sql = over_json!(
            self.pool(),
            "SELECT o.id AS id FROM ",
            " JOIN sitewright_orders o ON o.id = t.value ->> 0 WHERE o.tenant = $2"
        );
        let rows = self.read(doing, sql, args![&list, tenant]).await?;
        let ids = rows.iter().map(|row| row.text("id")).collect::<Result<_, _>>();
        ids.map_err(|error| Error::database(doing, error))
    }

    /// Records that visitors see this release of an order. `false` if it is not, or no longer, the
    /// order's current release.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn mark_activated(&self, id: &str, release: &str) -> Result<bool, Error> {
        let mark = MarkActivated { order: id.to_owned(), release: release.to_owned() };
        self.write_coalesced(format!("recording the active release of order {id:?}"), mark).await
    }

    /// Releases whose order was completed at least this many milliseconds ago and that are not
    /// known to be active, the oldest first. At most 1,000.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn pending_activations(
        &self,
        completed_for_ms: i64,
    ) -> Result<Vec<PendingRelease>, Error> {
        let doing = "looking for releases that are not active";
        let sql = "SELECT o.id AS id, o.current_release AS current_release, a.id AS attempt, \
                   a.job_id AS job_id, a.trace_id AS trace_id
             FROM sitewright_orders o
             LEFT JOIN sitewright_attempts a ON a.order_id = o.id AND a.release = o.current_release
             WHERE o.current_release IS NOT NULL AND (o.visible_release IS NULL OR \
                   o.visible_release <> o.current_release)
                AND o.updated_at <= $1 ORDER BY o.updated_at LIMIT 1000";
        let rows = self.read(doing, sql, args![now_ms() - completed_for_ms]).await?;
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

    /// Cancels an order, from any process. The worker that has it is notified within a second.
    ///
    /// # Errors
    /// [`Error::NoSuchOrder`]; or the database fails.
    pub async fn cancel(&self, id: &str) -> Result<CancelAnswer, Error> {
        let (order, river) = (id.to_owned(), self.river().clone());
        let answer = self.write(format!("cancelling order {id:?}"), move |tx| {
            let (order, river) = (order.clone(), river.clone());
            Box::pin(async move { cancel_in(tx, &river, &order).await })
        });
        match answer.await? {
            Some(answer) => Ok(answer),
            None => Err(Error::NoSuchOrder { order: id.to_owned() }),
        }
    }

    /// Requeues an order that has ended: a new job, all counters at zero. Earlier attempts, records
    /// and the current release stay (failure catalogue D1, D7). It is due at once, also if it was
    /// cancelled before its due time. `config_version` replaces the order's, if given. The new job's
    /// id.
    ///
    /// # Errors
    /// [`Error::NoSuchOrder`], [`Error::NotEnded`]; or the database fails.
    pub async fn reopen(&self, id: &str, config_version: Option<&str>) -> Result<i64, Error> {
        let (order, river) = (id.to_owned(), self.river().clone());
        let config = config_version.map(str::to_owned);
        let reopened = self.write(format!("requeuing order {id:?}"), move |tx| {
            let (order, river, config) = (order.clone(), river.clone(), config.clone());
            Box::pin(async move { reopen_in(tx, &river, &order, &config).await })
        });
        match reopened.await? {
            Reopened::Queued { job } => Ok(job),
            Reopened::NotEnded(state) => Err(Error::NotEnded { order: id.to_owned(), state }),
            Reopened::NoSuchOrder => Err(Error::NoSuchOrder { order: id.to_owned() }),
        }
    }
}

async fn enqueue_in(
    tx: &mut Tx,
    river: &river::JobClient,
    order: &NewOrder,
    share: &mut FairShare,
) -> Result<Enqueued, sqlx::Error> {
    let now = now_ms();
    let due = order.due_at.filter(|due| *due > now);
    let state = if due.is_some() { OrderState::Waiting } else { OrderState::Queued };
    // No conflict target, so that both count: a known id or a known key means a known order.
    let inserted = tx
        .execute(
            "INSERT INTO sitewright_orders
                (id, document, template, priority, config_version, idempotency_key, created_at, \
             updated_at, tenant, sent_digest, batch, traceparent, state, waiting_reason, \
             next_attempt_at, due_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8, $9, $10, $11, $12, $13, $14, $14)
             ON CONFLICT DO NOTHING",
            args![
                &order.id,
                &order.document,
                &order.template,
                i64::from(order.priority),
                &order.config_version,
                &order.idempotency_key,
                now,
                &order.tenant,
                &order.sent_digest,
                i64::from(order.batch),
                order.traceparent.as_ref().map(TraceParent::as_str),
                state.as_str(),
                due.map(|_| NOT_DUE),
                due
            ],
        )
        .await?;
    if inserted == 1 {
        check_spelling(tx, &order.id).await?;
        check_not_erased(tx, &order.id).await?;
        if let Some(url) = &order.callback {
            set_callback_in(tx, &order.id, url).await?;
        }
        let (template, tenant) = (&*order.template, order.tenant.as_deref());
        let priority = share.job_priority(tx, template, tenant, order.priority.into()).await?;
        let job = river::insert(river, tx, &order.id, priority, due).await?;
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
    let id = there.text("id")?;
    let state: OrderState = there.parsed("state")?;
    Ok(match state {
        OrderState::Queued | OrderState::Waiting => Enqueued::AlreadyQueued { order: id },
        OrderState::Running => Enqueued::AlreadyRunning { order: id },
        OrderState::Succeeded | OrderState::Failed | OrderState::Dead | OrderState::Cancelled => {
            Enqueued::AlreadyDone { order: id, state, release: there.opt_text("current_release")? }
        }
    })
}

/// Fails, which rolls the write back, if another order's id differs from `id` only in case.
async fn check_spelling(tx: &mut Tx, id: &str) -> Result<(), sqlx::Error> {
    if !id.bytes().any(|byte| byte.is_ascii_alphabetic()) {
        return Ok(());
    }
    let sql = "SELECT id FROM sitewright_orders WHERE lower(id) = lower($1) AND id <> $1 LIMIT 1";
    match tx.optional(sql, args![id]).await? {
        None => Ok(()),
        Some(row) => {
            let (order, existing) = (id.to_owned(), row.text("id")?);
            Err(sqlx::Error::Encode(Box::new(SameButCase { order, existing })))
        }
    }
}

pub(super) async fn cancel_in(
    tx: &mut Tx,
    river: &river::JobClient,
    order: &str,
) -> Result<Option<CancelAnswer>, sqlx::Error> {
    let now = now_ms();
    let unclaimed = sql!(
        "UPDATE sitewright_orders SET state = {cancelled},
            cancel_requested_at = coalesce(cancel_requested_at, $2), waiting_reason = NULL,
            next_attempt_at = NULL, updated_at = $2, finished_at = $2
         WHERE id = $1 AND state IN {unclaimed} RETURNING job_id"
    );
    let running = sql!(
        "UPDATE sitewright_orders
         SET cancel_requested_at = coalesce(cancel_requested_at, $2), updated_at = $2
         WHERE id = $1 AND state = {running} RETURNING job_id"
    );
    for (sql, answer) in [(unclaimed, CancelAnswer::Cancelled), (running, CancelAnswer::Stopping)] {
        if let Some(row) = tx.optional(sql, args![order, now]).await? {
            if answer == CancelAnswer::Cancelled {
                batch_items::drop_unsent(tx, order).await?;
            }
            if let Some(job) = row.opt_int("job_id")? {
                river::cancel(river, tx, job).await?;
            }
            return Ok(Some(answer));
        }
    }
    Ok(state_of(tx, order).await?.map(CancelAnswer::AlreadyEnded))
}

enum Reopened {
    Queued { job: i64 },
    NotEnded(OrderState),
    NoSuchOrder,
}

async fn reopen_in(
    tx: &mut Tx,
    river: &river::JobClient,
    order: &str,
    config: &Option<String>,
) -> Result<Reopened, sqlx::Error> {
    let sql = sql!(
        "UPDATE sitewright_orders SET state = {queued}, attempts = 0, crashes = 0,
            cancel_requested_at = NULL, config_version = coalesce($2, config_version),
            waiting_reason = NULL, next_attempt_at = NULL, finished_at = NULL, due_at = NULL,
            updated_at = $3
         WHERE id = $1 AND state IN {ended} RETURNING template, tenant, priority"
    );
    let Some(row) = tx.optional(sql, args![order, config, now_ms()]).await? else {
        let state = state_of(tx, order).await?;
        return Ok(state.map_or(Reopened::NoSuchOrder, Reopened::NotEnded));
    };
    let (template, tenant) = (row.text("template")?, row.opt_text("tenant")?);
    let (tenant, priority) = (tenant.as_deref(), row.int("priority")?);
    let priority = FairShare::default().job_priority(tx, &template, tenant, priority).await?;
    let job = river::insert(river, tx, order, priority, None).await?;
    tx.execute("UPDATE sitewright_orders SET job_id = $2 WHERE id = $1", args![order, job]).await?;
    Ok(Reopened::Queued { job })
}

async fn state_of(tx: &mut Tx, order: &str) -> Result<Option<OrderState>, sqlx::Error> {
    let row =
        tx.optional("SELECT state FROM sitewright_orders WHERE id = $1", args![order]).await?;
    row.map(|row| row.parsed("state")).transpose()
}
