//! Requeuing and cancelling many orders: which ones, and in batches that leave the database to the
//! workers in between.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;
use serde_json::json;
use sitewright_model::time::now_ms;

use super::coalesced::{json_rows, over_json};
use super::database::Database;
use super::driver::{Tx, args, river};
use super::error::Error;
use super::fair_share::FairShare;
use super::model::{CancelAnswer, OrderState};
use super::order::cancel_in;

/// Maximum number of orders that [`Database::reopen_all`] and [`Database::cancel_all`] change in one
/// transaction. SQLite has one writer at a time: a longer transaction would delay the workers.
pub const BULK_BATCH: usize = 200;

/// Which orders to requeue or to cancel. All conditions must hold.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// One of these states.
    pub states: Vec<OrderState>,
    pub template: Option<String>,
    /// The kind of the order's last failure.
    pub kind: Option<String>,
    /// The beginning of the fingerprint of the order's last failure.
    pub fingerprint: Option<String>,
    /// Only orders whose state changed since then, in milliseconds since the Unix epoch.
    pub since: Option<i64>,
    /// Maximum number of orders. Default: all.
    pub limit: Option<usize>,
}

/// What requeuing or cancelling did to one order of many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum BulkOutcome {
    /// It is queued again.
    Queued { job: i64 },
    /// It was queued or waiting, and is cancelled.
    Cancelled,
    /// A worker has it and was asked to stop.
    Stopping,
    /// Not requeued: it has not ended.
    NotEnded { state: OrderState },
    /// Not cancelled: it had ended before.
    AlreadyEnded { state: OrderState },
    /// It left the selected states since it was selected, and was not changed.
    Changed { state: OrderState },
    /// There is no order with this id.
    NoSuchOrder,
}

impl BulkOutcome {
    /// As JSON has it.
    pub fn name(self) -> &'static str {
        match self {
            BulkOutcome::Queued { .. } => "queued",
            BulkOutcome::Cancelled => "cancelled",
            BulkOutcome::Stopping => "stopping",
            BulkOutcome::NotEnded { .. } => "not_ended",
            BulkOutcome::AlreadyEnded { .. } => "already_ended",
            BulkOutcome::Changed { .. } => "changed",
            BulkOutcome::NoSuchOrder => "no_such_order",
        }
    }
}

impl Database {
    /// The ids of the orders that fit, those first whose state changed first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn select(&self, selection: &Selection) -> Result<Vec<String>, Error> {
        let doing = "selecting orders";
        let limit = selection.limit.unwrap_or(usize::MAX);
        let beginning = selection.fingerprint.as_ref().map(|text| text.to_ascii_lowercase());
        let length = beginning.as_ref().map_or(0, |text| text.chars().count());
        let length = i64::try_from(length).unwrap_or(i64::MAX);
        let sql = "SELECT id FROM sitewright_orders
             WHERE state = $1 AND updated_at >= $2 AND ($3 IS NULL OR template = $3)
                AND ($4 IS NULL OR EXISTS (SELECT 1 FROM sitewright_failures f
                    WHERE f.id = last_failure AND f.kind = $4))
                AND ($5 IS NULL OR last_failure IN (SELECT f.id FROM sitewright_failures f
                    WHERE substr(f.fingerprint, 1, CAST($6 AS INTEGER)) = $5))
             ORDER BY updated_at, id LIMIT $7";
        let mut ids = Vec::new();
        for state in OrderState::ALL.into_iter().filter(|state| selection.states.contains(state)) {
            let left = i64::try_from(limit.saturating_sub(ids.len())).unwrap_or(i64::MAX);
            let rows = self.read(
                doing,
                sql,
                args![
                    state.as_str(),
                    selection.since.unwrap_or(0),
                    &selection.template,
                    &selection.kind,
                    &beginning,
                    length,
                    left
                ],
            );
            for row in rows.await? {
                ids.push(row.text("id").map_err(|error| Error::database(doing, error))?);
            }
        }
        Ok(ids)
    }

    /// Requeues orders that have ended, as [`Database::reopen`] does one, all in one transaction. Of
    /// those that have ended only those in one of the states `only`, if it is not empty. The result
    /// for each, in the same order.
    ///
    /// # Errors
    /// If the database fails: then none was requeued. If there are more than [`BULK_BATCH`] orders.
    pub async fn reopen_all(
        &self,
        orders: &[String],
        only: &[OrderState],
        config_version: Option<&str>,
    ) -> Result<Vec<BulkOutcome>, Error> {
        check_batch(orders)?;
        let river = self.river().clone();
        let wanted = Arc::new((orders.to_vec(), listed(only), config_version.map(str::to_owned)));
        self.write(format!("requeuing {} orders", orders.len()), move |tx| {
            let (wanted, river) = (wanted.clone(), river.clone());
            Box::pin(async move {
                let (orders, only, config) = &*wanted;
                reopen_all_in(tx, &river, orders, only, config).await
            })
        })
        .await
    }

    /// Cancels orders, as [`Database::cancel`] does one, all in one transaction. Only those in one
    /// of the states `only`, if it is not empty. The result for each, in the same order.
    ///
    /// # Errors
    /// If the database fails: then none was cancelled. If there are more than [`BULK_BATCH`] orders.
    pub async fn cancel_all(
        &self,
        orders: &[String],
        only: &[OrderState],
    ) -> Result<Vec<BulkOutcome>, Error> {
        check_batch(orders)?;
        let river = self.river().clone();
        let wanted = Arc::new((orders.to_vec(), only.to_vec()));
        self.write(format!("cancelling {} orders", orders.len()), move |tx| {
            let (wanted, river) = (wanted.clone(), river.clone());
            Box::pin(async move {
                let (orders, only) = &*wanted;
                let states = states_of(tx, orders).await?;
                let mut outcomes = Vec::with_capacity(orders.len());
                for order in orders {
                    let outcome = match states.get(order) {
                        None => BulkOutcome::NoSuchOrder,
                        Some(state) if state.has_ended() => {
                            BulkOutcome::AlreadyEnded { state: *state }
                        }
                        Some(state) if !only.is_empty() && !only.contains(state) => {
                            BulkOutcome::Changed { state: *state }
                        }
                        Some(_) => match cancel_in(tx, &river, order).await? {
                            Some(CancelAnswer::Cancelled) => BulkOutcome::Cancelled,
                            Some(CancelAnswer::Stopping) => BulkOutcome::Stopping,
                            Some(CancelAnswer::AlreadyEnded(state)) => {
                                BulkOutcome::AlreadyEnded { state }
                            }
                            None => BulkOutcome::NoSuchOrder,
                        },
                    };
                    outcomes.push(outcome);
                }
                Ok(outcomes)
            })
        })
        .await
    }
}

fn check_batch(orders: &[String]) -> Result<(), Error> {
    if orders.len() <= BULK_BATCH {
        return Ok(());
    }
    Err(Error::Invalid {
        order: orders.first().cloned().unwrap_or_default(),
        why: format!("it is one of {} in a batch of at most {BULK_BATCH}", orders.len()),
    })
}

/// The states between commas, for `LIKE`; empty for all of them.
fn listed(only: &[OrderState]) -> String {
    match only {
        [] => String::new(),
        states => states.iter().fold(",".to_owned(), |list, state| format!("{list}{state},")),
    }
}

async fn reopen_all_in(
    tx: &mut Tx,
    river: &river::JobClient,
    orders: &[String],
    only: &str,
    config: &Option<String>,
) -> Result<Vec<BulkOutcome>, sqlx::Error> {
    // `state || ''` keeps the planner from using the index on the state: orders are looked up by
    // their ids.
    let sql = over_json!(
        tx,
        "UPDATE sitewright_orders SET state = {queued}, attempts = 0, crashes = 0,
            cancel_requested_at = NULL, config_version = coalesce($2, config_version),
            waiting_reason = NULL, next_attempt_at = NULL, finished_at = NULL, updated_at = $3
         FROM ",
        " WHERE sitewright_orders.id = t.value ->> 0 AND state || '' IN {ended}
            AND ($4 = '' OR $4 LIKE '%,' || state || ',%')
         RETURNING sitewright_orders.id AS order_id, template, priority"
    );
    let list = json_rows(orders.iter().map(|order| vec![json!(order)]));
    let mut reopened = HashMap::with_capacity(orders.len());
    for row in tx.all(sql, args![&list, config, now_ms(), only]).await? {
        reopened.insert(row.text("order_id")?, (row.text("template")?, row.int("priority")?));
    }
    let mut share = FairShare::default();
    let mut jobs = Vec::with_capacity(reopened.len());
    // In the caller's order, so that the first one is claimed first.
    for order in orders {
        if let Some((template, priority)) = reopened.remove(order) {
            let priority = share.job_priority(tx, &template, priority).await?;
            jobs.push((order.clone(), priority));
        }
    }
    let inserted = river::insert_all(river, tx, &jobs).await?;
    let queued: HashMap<&str, i64> =
        jobs.iter().map(|(order, _)| order.as_str()).zip(inserted).collect();
    let sql = over_json!(
        tx,
        "UPDATE sitewright_orders SET job_id = CAST(t.value ->> 1 AS BIGINT) FROM ",
        " WHERE sitewright_orders.id = t.value ->> 0"
    );
    let list = json_rows(queued.iter().map(|(order, job)| vec![json!(order), json!(job)]));
    tx.execute(sql, args![&list]).await?;
    let left: Vec<String> =
        orders.iter().filter(|order| !queued.contains_key(order.as_str())).cloned().collect();
    let states = states_of(tx, &left).await?;
    let outcome = |order: &String| match (queued.get(order.as_str()), states.get(order)) {
        (Some(job), _) => BulkOutcome::Queued { job: *job },
        (None, None) => BulkOutcome::NoSuchOrder,
        (None, Some(state)) if state.has_ended() => BulkOutcome::Changed { state: *state },
        (None, Some(state)) => BulkOutcome::NotEnded { state: *state },
    };
    Ok(orders.iter().map(outcome).collect())
}

/// The states of those orders that exist.
async fn states_of(
    tx: &mut Tx,
    orders: &[String],
) -> Result<HashMap<String, OrderState>, sqlx::Error> {
    if orders.is_empty() {
        return Ok(HashMap::new());
    }
    let sql = over_json!(
        tx,
        "SELECT o.id AS id, o.state AS state FROM ",
        " JOIN sitewright_orders o ON o.id = t.value ->> 0"
    );
    let list = json_rows(orders.iter().map(|order| vec![json!(order)]));
    let mut states = HashMap::with_capacity(orders.len());
    for row in tx.all(sql, args![&list]).await? {
        states.insert(row.text("id")?, row.parsed("state")?);
    }
    Ok(states)
}
