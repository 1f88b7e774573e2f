//! Removing orders from the database: one that a customer wants erased, and those that retention
//! has expired. What is left is the id and the time.

use std::sync::Arc;

use serde::Serialize;
use serde_json::json;
use sitewright_model::time::now_ms;

use super::coalesced::{json_rows, over_json};
use super::database::Database;
use super::driver::{Row, Tx, args, river, sql};
use super::error::Error;
use super::hooks;
use super::model::OrderState;
use super::reply_cache;
use super::retention::SweepCursor;

/// Why an order was removed.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Serialize,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum RemovalCause {
    /// Somebody asked for it: an order with the same id is refused from then on.
    Erased,
    /// `[retention]`: the same id may be ordered again.
    Expired,
}

impl RemovalCause {
    /// As it is stored in the database and in JSON.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// What is left of a removed order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RemovedOrder {
    pub order: String,
    pub cause: RemovalCause,
    /// Milliseconds since the Unix epoch.
    pub at: i64,
}

/// The number of rows that were removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct RemovedRows {
    pub orders: u64,
    pub attempts: u64,
    pub failures: u64,
    /// AI replies, those included that were kept for equal requests of other orders.
    pub ai_calls: u64,
    pub events: u64,
    pub jobs: u64,
    /// Deliveries of webhooks about the order.
    pub deliveries: u64,
}

impl std::ops::AddAssign for RemovedRows {
    fn add_assign(&mut self, other: Self) {
        self.orders += other.orders;
        self.attempts += other.attempts;
        self.failures += other.failures;
        self.ai_calls += other.ai_calls;
        self.events += other.events;
        self.jobs += other.jobs;
        self.deliveries += other.deliveries;
    }
}

/// An order of whose id only the memory is left. See [`refused`](super::order).
#[derive(Debug, thiserror::Error)]
#[error("the order {order:?} was erased")]
pub(super) struct WasErased {
    pub(super) order: String,
    /// Milliseconds since the Unix epoch.
    pub(super) at: i64,
}

impl Database {
    /// Erases an order: its document, attempts, events, AI replies, failure records, deliveries, what
    /// webhooks brought of it, and jobs. Only its id and the time are left, so that the order is not
    /// added again. A queued or waiting order is not made any more. Also if there is no such order: a
    /// worker may have written something late.
    ///
    /// On SQLite the bytes are overwritten, in the file and in its log.
    ///
    /// # Errors
    /// [`Error::NotEnded`] if a worker has it: cancel it first; or the database fails.
    pub async fn erase(&self, id: &str) -> Result<RemovedRows, Error> {
        let order = Arc::new([id.to_owned()]);
        let erased = self.write(format!("erasing order {id:?}"), move |tx| {
            let order = order.clone();
            Box::pin(async move {
                let sql = "SELECT state FROM sitewright_orders WHERE id = $1";
                let state = match tx.optional(sql, args![&order[0]]).await? {
                    Some(row) => Some(row.parsed::<OrderState>("state")?),
                    None => None,
                };
                if state == Some(OrderState::Running) {
                    return Ok(None);
                }
                // SQLite overwrites what is deleted (`secure_delete`). PostgreSQL's vacuum reuses it.
                let removed = remove_in(tx, &order[..], RemovalCause::Erased, now_ms()).await?;
                let jobs = river::delete_all_of(tx, &order[0]).await?;
                Ok(Some(RemovedRows { jobs: removed.jobs + jobs, ..removed }))
            })
        });
        match erased.await? {
            None => Err(Error::NotEnded { order: id.to_owned(), state: OrderState::Running }),
            Some(removed) => {
                self.forget_log().await;
                Ok(removed)
            }
        }
    }

    /// Counts what [`Database::erase`] would remove now, except the job.
    ///
    /// # Errors
    /// [`Error::NoSuchOrder`]; or the database fails.
    pub async fn rows_of(&self, id: &str) -> Result<RemovedRows, Error> {
        let doing = "counting the rows of an order";
        let sql = "SELECT
            (SELECT count(*) FROM sitewright_orders WHERE id = $1) AS orders,
            (SELECT count(*) FROM sitewright_attempts WHERE order_id = $1) AS attempts,
            (SELECT count(*) FROM sitewright_failures WHERE order_id = $1) AS failures,
            (SELECT count(*) FROM sitewright_ai_calls WHERE order_id = $1)
                + (SELECT count(*) FROM sitewright_cached_replies WHERE order_id = $1
                    OR request IN (SELECT request FROM sitewright_ai_calls WHERE order_id = $1))
                AS ai_calls,
            (SELECT count(*) FROM sitewright_events WHERE order_id = $1) AS events,
            (SELECT count(*) FROM sitewright_deliveries WHERE order_id = $1) AS deliveries";
        let rows = self.read(doing, sql, args![id]).await?;
        let failed = |error| Error::database(doing, error);
        let row = rows.first().ok_or_else(|| failed(sqlx::Error::RowNotFound))?;
        let count = |column| {
            row.int(column).map(|count| u64::try_from(count).unwrap_or_default()).map_err(failed)
        };
        if count("orders")? == 0 {
            return Err(Error::NoSuchOrder { order: id.to_owned() });
        }
        Ok(RemovedRows {
            orders: count("orders")?,
            attempts: count("attempts")?,
            failures: count("failures")?,
            ai_calls: count("ai_calls")?,
            events: count("events")?,
            jobs: 0,
            deliveries: count("deliveries")?,
        })
    }

    /// Empties SQLite's log, which has the deleted bytes. If another connection reads at this moment
    /// the next checkpoint does it.
    async fn forget_log(&self) {
        if self.is_embedded()
            && let Err(error) =
                self.read("emptying the log", "PRAGMA wal_checkpoint(TRUNCATE)", vec![]).await
        {
            tracing::warn!(%error, "the log of the database still has what was erased");
        }
    }

    /// Removes up to `limit` orders that ended in this state before `before` (milliseconds since the
    /// Unix epoch), the oldest first. Their ids, and the rows.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn expire_orders(
        &self,
        state: OrderState,
        before: i64,
        limit: u32,
    ) -> Result<(Vec<String>, RemovedRows), Error> {
        if !state.has_ended() {
            return Ok((Vec::new(), RemovedRows::default()));
        }
        self.write(format!("removing {state} orders that have expired"), move |tx| {
            Box::pin(async move {
                // A release that is not active yet needs its order.
                let sql = "SELECT id FROM sitewright_orders WHERE state = $1 AND updated_at < $2
                        AND (current_release IS NULL OR visible_release = current_release)
                     ORDER BY updated_at LIMIT $3";
                let rows = tx.all(sql, args![state.as_str(), before, i64::from(limit)]).await?;
                let ids = rows.iter().map(|row| row.text("id")).collect::<Result<Vec<_>, _>>()?;
                let removed = remove_in(tx, &ids, RemovalCause::Expired, now_ms()).await?;
                Ok((ids, removed))
            })
        })
        .await
    }

    /// Up to `limit` orders that were removed for this cause, from the cursor on and before `until`
    /// (milliseconds since the Unix epoch), and are not there again; the oldest first. A worker
    /// removes their files, wherever it keeps them. And where the next step begins; `None` at the
    /// end.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn removed_orders(
        &self,
        cause: RemovalCause,
        from: &SweepCursor,
        until: i64,
        limit: u32,
    ) -> Result<(Vec<RemovedOrder>, Option<SweepCursor>), Error> {
        let doing = "reading which orders were removed";
        let sql = "SELECT r.id AS id, r.removed_at AS removed_at
             FROM sitewright_removed_orders r LEFT JOIN sitewright_orders o ON o.id = r.id
             WHERE r.cause = $1 AND o.id IS NULL AND r.removed_at >= $2 AND r.removed_at < $3
                AND (r.removed_at > $2 OR r.id > $4)
             ORDER BY r.removed_at, r.id LIMIT $5";
        let values = args![cause.as_str(), from.at, until, &from.order, i64::from(limit)];
        let rows = self.read(doing, sql, values).await?;
        let read = |row: &Row| {
            Ok(RemovedOrder { order: row.text("id")?, cause, at: row.int("removed_at")? })
        };
        let removed = rows
            .iter()
            .map(read)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| Error::database(doing, error))?;
        let is_last = removed.len() < usize::try_from(limit).unwrap_or(usize::MAX);
        let next = removed.last().filter(|_| !is_last);
        let next = next.map(|last| SweepCursor { at: last.at, order: last.order.clone() });
        Ok((removed, next))
    }

    /// When an order was erased, in milliseconds since the Unix epoch; `None` if it was not.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn erased_at(&self, id: &str) -> Result<Option<i64>, Error> {
        let doing = "reading whether an order was erased";
        let sql =
            "SELECT removed_at FROM sitewright_removed_orders WHERE id = $1 AND cause = 'erased'";
        let rows = self.read(doing, sql, args![id]).await?;
        let at = rows.first().map(|row| row.int("removed_at")).transpose();
        at.map_err(|error| Error::database(doing, error))
    }

    /// Removes rows of orders that were removed, which a slow worker wrote afterwards, and the memory
    /// of expired ones from before `before`. An order that was added again meanwhile is left alone.
    /// The number of rows.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn remove_late_rows(&self, removed: &[String], before: i64) -> Result<u64, Error> {
        let ids = Arc::new(removed.to_vec());
        self.write("removing what was written late of removed orders", move |tx| {
            let ids = ids.clone();
            Box::pin(async move {
                let list = json_rows(ids.iter().map(|order| vec![json!(order)]));
                let sql = over_json!(
                    tx,
                    "SELECT r.id AS id FROM sitewright_removed_orders r
                     WHERE r.id IN (SELECT t.value ->> 0 FROM ",
                    ") AND NOT EXISTS (SELECT 1 FROM sitewright_orders o WHERE o.id = r.id)"
                );
                let rows = tx.all(sql, args![&list]).await?;
                let ids = rows.iter().map(|row| row.text("id")).collect::<Result<Vec<_>, _>>()?;
                let rows = remove_rows_in(tx, &ids).await?;
                let deliveries = remove_deliveries_in(tx, &ids).await?;
                let sql = "DELETE FROM sitewright_removed_orders
                     WHERE cause = 'expired' AND removed_at < $1";
                tx.execute(sql, args![before]).await?;
                let rows = rows.attempts + rows.failures + rows.ai_calls + rows.events;
                Ok(rows + deliveries)
            })
        })
        .await
    }
}

/// Checks that an order that is added was not erased, and forgets that one with its id has expired.
pub(super) async fn check_not_erased(tx: &mut Tx, id: &str) -> Result<(), sqlx::Error> {
    let sql = "SELECT cause, removed_at FROM sitewright_removed_orders WHERE id = $1";
    let Some(row) = tx.optional(sql, args![id]).await? else { return Ok(()) };
    match row.parsed("cause")? {
        RemovalCause::Erased => Err(sqlx::Error::Encode(Box::new(WasErased {
            order: id.to_owned(),
            at: row.int("removed_at")?,
        }))),
        RemovalCause::Expired => {
            let sql = "DELETE FROM sitewright_removed_orders WHERE id = $1";
            tx.execute(sql, args![id]).await.map(drop)
        }
    }
}

/// Removes orders with all that belongs to them, except jobs that an order no longer has.
async fn remove_in(
    tx: &mut Tx,
    orders: &[String],
    cause: RemovalCause,
    now: i64,
) -> Result<RemovedRows, sqlx::Error> {
    if orders.is_empty() {
        return Ok(RemovedRows::default());
    }
    let list = json_rows(orders.iter().map(|order| vec![json!(order)]));
    let sql = over_json!(
        tx,
        "SELECT o.job_id AS job_id FROM ",
        " JOIN sitewright_orders o ON o.id = t.value ->> 0"
    );
    let mut jobs = Vec::new();
    for row in tx.all(sql, args![&list]).await? {
        jobs.extend(row.opt_int("job_id")?);
    }
    let mut removed = remove_rows_in(tx, orders).await?;
    removed.jobs = river::delete_all(tx, &jobs).await?;
    let sql = over_json!(
        tx,
        "DELETE FROM sitewright_orders WHERE id IN (SELECT t.value ->> 0 FROM ",
        ")"
    );
    removed.orders = tx.execute(sql, args![&list]).await?;
    let sql = over_json!(
        tx,
        "INSERT INTO sitewright_removed_orders (id, cause, removed_at)
         SELECT t.value ->> 0, CAST($2 AS TEXT), CAST($3 AS BIGINT) FROM ",
        " WHERE true ON CONFLICT (id) DO UPDATE
            SET cause = excluded.cause, removed_at = excluded.removed_at"
    );
    tx.execute(sql, args![&list, cause.as_str(), now]).await?;
    removed.deliveries = remove_deliveries_in(tx, orders).await?;
    Ok(removed)
}

/// Removes what was or is to be delivered about orders that were erased, and what webhooks brought
/// of them. That of expired orders is removed after a time of its own.
async fn remove_deliveries_in(tx: &mut Tx, orders: &[String]) -> Result<u64, sqlx::Error> {
    if orders.is_empty() {
        return Ok(0);
    }
    let list = json_rows(orders.iter().map(|order| vec![json!(order)]));
    let attempts = over_json!(
        tx,
        "DELETE FROM sitewright_delivery_attempts WHERE delivery_id IN (
            SELECT d.id FROM sitewright_deliveries d JOIN sitewright_removed_orders r
                ON r.id = d.order_id AND r.cause = 'erased'
            WHERE d.order_id IN (SELECT t.value ->> 0 FROM ",
        "))"
    );
    let deliveries = over_json!(
        tx,
        "DELETE FROM sitewright_deliveries WHERE id IN (
            SELECT d.id FROM sitewright_deliveries d JOIN sitewright_removed_orders r
                ON r.id = d.order_id AND r.cause = 'erased'
            WHERE d.order_id IN (SELECT t.value ->> 0 FROM ",
        "))"
    );
    tx.execute(attempts, args![&list]).await?;
    hooks::erase_bodies(tx, &list).await?;
    tx.execute(deliveries, args![&list]).await
}

/// Removes what belongs to orders and has rows of its own.
async fn remove_rows_in(tx: &mut Tx, orders: &[String]) -> Result<RemovedRows, sqlx::Error> {
    if orders.is_empty() {
        return Ok(RemovedRows::default());
    }
    let list = json_rows(orders.iter().map(|order| vec![json!(order)]));
    let revisions = over_json!(
        tx,
        "DELETE FROM sitewright_revisions WHERE order_id IN (SELECT t.value ->> 0 FROM ",
        ")"
    );
    let attempts = over_json!(
        tx,
        "DELETE FROM sitewright_attempts WHERE order_id IN (SELECT t.value ->> 0 FROM ",
        ")"
    );
    let failures = over_json!(
        tx,
        "DELETE FROM sitewright_failures WHERE order_id IN (SELECT t.value ->> 0 FROM ",
        ")"
    );
    let ai_calls = over_json!(
        tx,
        "DELETE FROM sitewright_ai_calls WHERE order_id IN (SELECT t.value ->> 0 FROM ",
        ")"
    );
    let events = over_json!(
        tx,
        "DELETE FROM sitewright_events WHERE order_id IN (SELECT t.value ->> 0 FROM ",
        ")"
    );
    let callbacks = over_json!(
        tx,
        "DELETE FROM sitewright_callbacks WHERE order_id IN (SELECT t.value ->> 0 FROM ",
        ")"
    );
    let batched = over_json!(
        tx,
        "DELETE FROM sitewright_batch_items WHERE order_id IN (SELECT t.value ->> 0 FROM ",
        ")"
    );
    let cached = reply_cache::remove_of_orders(tx, &list).await?;
    tx.execute(batched, args![&list]).await?;
    tx.execute(revisions, args![&list]).await?;
    tx.execute(callbacks, args![&list]).await?;
    Ok(RemovedRows {
        orders: 0,
        attempts: tx.execute(attempts, args![&list]).await?,
        failures: tx.execute(failures, args![&list]).await?,
        ai_calls: tx.execute(ai_calls, args![&list]).await? + cached,
        events: tx.execute(events, args![&list]).await?,
        jobs: 0,
        deliveries: 0,
    })
}

impl Database {
    /// Counts the orders that [`Database::expire_orders`] would remove.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn count_expired(&self, state: OrderState, before: i64) -> Result<u64, Error> {
        let doing = "counting orders that have expired";
        let sql = sql!(
            "SELECT count(*) AS orders FROM sitewright_orders
             WHERE state = $1 AND state IN {ended} AND updated_at < $2
                AND (current_release IS NULL OR visible_release = current_release)"
        );
        let rows = self.read(doing, sql, args![state.as_str(), before]).await?;
        let count = rows.first().map_or(Ok(0), |row| row.int("orders"));
        count
            .map(|count| u64::try_from(count).unwrap_or_default())
            .map_err(|error| Error::database(doing, error))
    }
}
