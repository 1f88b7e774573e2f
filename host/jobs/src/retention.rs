//! What is removed of orders that ended long ago, in small batches, and who does it.
//!
//! The rows of ended orders are found by the time at which the order ended, in the index on the
//! state. A cursor in the database says how far the last sweep came, so that a sweep does not read
//! the orders again from which everything was removed.

use std::sync::Arc;

use serde::Serialize;
use serde_json::json;
use sitewright_model::time::now_ms;

use super::coalesced::{json_rows, over_json};
use super::database::Database;
use super::driver::{args, river, sql};
use super::error::Error;
use super::model::OrderState;
use super::reply_cache;

/// Rows that retention removes of an order that stays.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Serialize,
    strum::Display,
    strum::IntoStaticStr,
    strum::VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum ExpiredRows {
    /// Progress events.
    Events,
    /// The texts of AI replies. Tokens and cost stay; a retry asks, and pays, again.
    Replies,
    /// Failure records.
    Failures,
}

/// The last order that a sweep has seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SweepCursor {
    /// When it ended, or was removed, in milliseconds since the Unix epoch.
    pub(super) at: i64,
    pub(super) order: String,
}

impl SweepCursor {
    /// Before all orders that ended, or were removed, at this time (milliseconds since the Unix
    /// epoch).
    pub fn at(at: i64) -> Self {
        SweepCursor { at, order: String::new() }
    }
}

/// One step of a sweep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SweptRows {
    /// The orders that the step has seen.
    pub orders: Vec<String>,
    /// The number of rows that were removed, or would be.
    pub rows: u64,
    /// Where the next step begins; `None` at the end.
    pub next: Option<SweepCursor>,
}

impl Database {
    /// Claims the next sweep: `true` for one worker, at most once in `every_ms` milliseconds.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn claim_sweep(&self, every_ms: i64) -> Result<bool, Error> {
        self.write("claiming the sweep of what has expired", move |tx| {
            Box::pin(async move {
                let now = now_ms();
                let sql = "INSERT INTO sitewright_sweeps (name, begun_at) VALUES ('retention', $1)
                     ON CONFLICT (name) DO UPDATE SET begun_at = excluded.begun_at
                        WHERE sitewright_sweeps.begun_at <= $2 OR sitewright_sweeps.begun_at > $1";
                // A time after now was written before the clock was set back.
                Ok(tx.execute(sql, args![now, now - every_ms]).await? == 1)
            })
        })
        .await
    }

    /// Where the last sweep of these rows ended.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn sweep_cursor(
        &self,
        what: ExpiredRows,
        state: OrderState,
    ) -> Result<SweepCursor, Error> {
        let doing = "reading how far the last sweep came";
        let sql = "SELECT done_until FROM sitewright_sweeps WHERE name = $1";
        let rows = self.read(doing, sql, args![&format!("{what}/{state}")]).await?;
        let ended_at = rows.first().map_or(Ok(0), |row| row.int("done_until"));
        let ended_at = ended_at.map_err(|error| Error::database(doing, error))?;
        Ok(SweepCursor::at(ended_at))
    }

    /// Removes rows of up to `limit` orders that ended in this state before `before` (milliseconds
    /// since the Unix epoch), from the cursor on. With `dry_run` it counts them.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn expire_rows(
        &self,
        what: ExpiredRows,
        state: OrderState,
        before: i64,
        from: &SweepCursor,
        limit: u32,
        dry_run: bool,
    ) -> Result<SweptRows, Error> {
        let from = Arc::new(from.clone());
        self.write(format!("removing {what} of {state} orders"), move |tx| {
            let from = from.clone();
            Box::pin(async move {
                let sql = sql!(
                    "SELECT id, updated_at FROM sitewright_orders
                     WHERE state = $1 AND state IN {ended} AND updated_at >= $2
                        AND updated_at < $3 AND (updated_at > $2 OR id > $4)
                     ORDER BY updated_at, id LIMIT $5"
                );
                let values = args![state.as_str(), from.at, before, &from.order, i64::from(limit)];
                let mut orders = Vec::new();
                let mut last = None;
                for row in tx.all(sql, values).await? {
                    let order = row.text("id")?;
                    last = Some(SweepCursor { at: row.int("updated_at")?, order: order.clone() });
                    orders.push(order);
                }
                let Some(last) = last else {
                    return Ok(SweptRows { orders, rows: 0, next: None });
                };
                let list = json_rows(orders.iter().map(|order| vec![json!(order)]));
                let rows = if dry_run {
                    let sql = match what {
                        ExpiredRows::Events => over_json!(
                            tx,
                            "SELECT count(*) AS found FROM sitewright_events
                             WHERE order_id IN (SELECT t.value ->> 0 FROM ",
                            ")"
                        ),
                        ExpiredRows::Replies => over_json!(
                            tx,
                            "SELECT count(*) AS found FROM sitewright_ai_calls
                             WHERE entry <> '{}' AND order_id IN (SELECT t.value ->> 0 FROM ",
                            ")"
                        ),
                        ExpiredRows::Failures => over_json!(
                            tx,
                            "SELECT count(*) AS found FROM sitewright_failures
                             WHERE order_id IN (SELECT t.value ->> 0 FROM ",
                            ")"
                        ),
                    };
                    let row = tx.optional(sql, args![&list]).await?;
                    let found = row.map_or(Ok(0), |row| row.int("found"))?;
                    u64::try_from(found).unwrap_or_default()
                } else {
                    let sql = match what {
                        ExpiredRows::Events => over_json!(
                            tx,
                            "DELETE FROM sitewright_events
                             WHERE order_id IN (SELECT t.value ->> 0 FROM ",
                            ")"
                        ),
                        ExpiredRows::Replies => over_json!(
                            tx,
                            "UPDATE sitewright_ai_calls SET entry = '{}', current = 0, tries = NULL
                             WHERE entry <> '{}' AND order_id IN (SELECT t.value ->> 0 FROM ",
                            ")"
                        ),
                        ExpiredRows::Failures => over_json!(
                            tx,
                            "DELETE FROM sitewright_failures
                             WHERE order_id IN (SELECT t.value ->> 0 FROM ",
                            ")"
                        ),
                    };
                    if what == ExpiredRows::Replies {
                        reply_cache::remove_of_orders(tx, &list).await?;
                    }
                    let rows = tx.execute(sql, args![&list]).await?;
                    let sql = "INSERT INTO sitewright_sweeps (name, done_until) VALUES ($1, $2)
                         ON CONFLICT (name) DO UPDATE SET done_until = excluded.done_until";
                    let name = format!("{what}/{state}");
                    tx.execute(sql, args![&name, last.at]).await?;
                    rows
                };
                let is_last = orders.len() < usize::try_from(limit).unwrap_or(usize::MAX);
                Ok(SweptRows { orders, rows, next: (!is_last).then_some(last) })
            })
        })
        .await
    }

    /// Removes up to 500 jobs that ended before `before` (milliseconds since the Unix epoch) and that
    /// no order has any more. Their number, and the `after` of the next call; `None` at the end.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn remove_leftover_jobs(
        &self,
        before: i64,
        after: i64,
    ) -> Result<(u64, Option<i64>), Error> {
        self.write("removing jobs that no order has", move |tx| {
            Box::pin(async move { river::delete_leftovers(tx, before, after).await })
        })
        .await
    }

    /// The state, and the time of its last change in milliseconds since the Unix epoch, of those of
    /// the orders that exist; and the releases that their attempts completed.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn kept_files(&self, orders: &[String]) -> Result<Vec<KeptFiles>, Error> {
        let doing = "reading which files of orders count";
        let list = json_rows(orders.iter().map(|order| vec![json!(order)]));
        let sql = self.pool().pick(
            "SELECT o.id AS id, o.state AS state, o.updated_at AS updated_at,
                coalesce(o.current_release, '') AS current_release,
                coalesce((SELECT group_concat(a.release, ',') FROM sitewright_attempts a
                    WHERE a.order_id = o.id AND a.release IS NOT NULL), '') AS releases
             FROM json_each($1) AS t JOIN sitewright_orders o ON o.id = t.value ->> 0",
            "SELECT o.id AS id, o.state AS state, o.updated_at AS updated_at,
                coalesce(o.current_release, '') AS current_release,
                coalesce((SELECT string_agg(a.release, ',') FROM sitewright_attempts a
                    WHERE a.order_id = o.id AND a.release IS NOT NULL), '') AS releases
             FROM json_array_elements(CAST($1 AS json)) AS t
                JOIN sitewright_orders o ON o.id = t.value ->> 0",
        );
        let read = |row: &super::driver::Row| -> Result<KeptFiles, sqlx::Error> {
            let (current, releases) = (row.text("current_release")?, row.text("releases")?);
            let releases = releases.split(',').chain([current.as_str()]);
            Ok(KeptFiles {
                order: row.text("id")?,
                state: row.parsed("state")?,
                changed_at: row.int("updated_at")?,
                releases: releases.filter(|id| !id.is_empty()).map(str::to_owned).collect(),
            })
        };
        let rows = self.read(doing, sql, args![&list]).await?;
        rows.iter()
            .map(read)
            .collect::<Result<_, _>>()
            .map_err(|error| Error::database(doing, error))
    }
}

/// What the database says about the files of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptFiles {
    pub order: String,
    pub state: OrderState,
    /// When the state changed, in milliseconds since the Unix epoch.
    pub changed_at: i64,
    /// The releases that attempts completed.
    pub releases: std::collections::BTreeSet<String>,
}
