//! Requeuing and cancelling many orders: which ones, and in batches that leave the database to the
//! workers in between.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;
use serde_json::json;
use sitewright_model::time::now_ms;

use super::coalesced::{json_rows, over_json};
use super::database::Database;
use super::driver::{Row, Tx, Value, args, river};
use super::error::Error;
use super::failures::after_those_that_begin;
use super::fair_share::FairShare;
use super::model::{CancelAnswer, OrderState};
use super::order::cancel_in;

/// Maximum number of orders that [`Database::reopen_all`] and [`Database::cancel_all`] change in one
/// transaction. SQLite has one writer at a time: a longer transaction would delay the workers.
pub const BULK_BATCH: usize = 200;

/// Which orders to requeue or to cancel. All conditions must hold.
#[derive(
    Debug, Clone, Default, PartialEq, Eq, Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(default)]
pub struct Selection {
    /// One of these states.
    pub states: Vec<OrderState>,
    pub template: Option<String>,
    /// The kind of the order's last failure.
    pub kind: Option<String>,
    /// The beginning of the fingerprint of the order's last failure.
    pub fingerprint: Option<String>,
    /// A part of the id, in upper or lower case.
    pub text: Option<String>,
    /// The label of whoever the order is for.
    pub tenant: Option<String>,
    /// Only orders whose state changed since then, in milliseconds since the Unix epoch.
    pub since: Option<i64>,
    /// Only orders whose state has not changed since then, in milliseconds since the Unix epoch.
    pub until: Option<i64>,
    /// Maximum number of orders. Default: all.
    pub limit: Option<usize>,
}

/// Where the next batch of a selection begins.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, serde::Deserialize)]
pub(super) struct SelectionCursor {
    /// `None` before the first order.
    state: Option<OrderState>,
    updated_at: i64,
    id: String,
}

/// The orders of one state that fit. `$fingerprint` is that of a failure in the order of its bytes,
/// for which there is an index.
macro_rules! selected {
    ($select:literal, $fingerprint:literal, $position:literal, $rest:literal) => {
        concat!(
            "SELECT ",
            $select,
            " FROM sitewright_orders
             WHERE state = $1 AND updated_at >= $2 AND updated_at <= $3
                AND ($4 IS NULL OR template = $4)
                AND ($5 IS NULL OR EXISTS (SELECT 1 FROM sitewright_failures f
                    WHERE f.id = last_failure AND f.kind = $5))
                AND ($6 IS NULL OR last_failure IN (SELECT f.id FROM sitewright_failures f
                    WHERE ",
            $fingerprint,
            " >= $6 AND ",
            $fingerprint,
            " < $7))
                AND ($8 IS NULL OR ",
            $position,
            "(lower(id), $8) > 0) AND ($9 IS NULL OR tenant = $9) ",
            $rest
        )
    };
}

macro_rules! batch {
    ($fingerprint:literal, $position:literal) => {
        selected!(
            "id, updated_at",
            $fingerprint,
            $position,
            "AND (updated_at > $10 OR id > $11) ORDER BY updated_at, id LIMIT $12"
        )
    };
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
    /// Whether the order was changed.
    pub fn has_changed(self) -> bool {
        match self {
            BulkOutcome::Queued { .. } | BulkOutcome::Cancelled | BulkOutcome::Stopping => true,
            BulkOutcome::NotEnded { .. }
            | BulkOutcome::AlreadyEnded { .. }
            | BulkOutcome::Changed { .. }
            | BulkOutcome::NoSuchOrder => false,
        }
    }

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
        let limit = selection.limit.unwrap_or(usize::MAX);
        let mut ids = Vec::new();
        for state in selection.states_in_order() {
            let after = SelectionCursor { state: Some(state), ..SelectionCursor::default() };
            let left = limit.saturating_sub(ids.len());
            let found = self.batch_of(state, selection, &after, left).await?;
            ids.extend(found.into_iter().map(|order| order.id));
        }
        Ok(ids)
    }

    /// The number of orders that fit, by their state; without those states of which none does.
    /// [`Selection::limit`] does not count.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn count_selected(
        &self,
        selection: &Selection,
    ) -> Result<Vec<(OrderState, i64)>, Error> {
        let doing = "counting the orders that fit";
        let failed = |error| Error::database(doing, error);
        let sql = self.pool().pick(
            selected!("count(*) AS orders", "f.fingerprint", "instr", ""),
            selected!("count(*) AS orders", "f.fingerprint COLLATE \"C\"", "strpos", ""),
        );
        let mut counts = Vec::new();
        for state in selection.states_in_order() {
            let rows = self.read(doing, sql, self.conditions(state, selection, 0)).await?;
            let row = rows.first().ok_or_else(|| failed(sqlx::Error::RowNotFound))?;
            let orders = row.int("orders").map_err(failed)?;
            if orders > 0 {
                counts.push((state, orders));
            }
        }
        Ok(counts)
    }

    /// The next orders that fit, at most `limit`, and where the batch after it begins. Orders may
    /// change in between: each is returned once. Empty if there are no more.
    pub(super) async fn next_selected(
        &self,
        selection: &Selection,
        after: &SelectionCursor,
        limit: usize,
    ) -> Result<(Vec<String>, SelectionCursor), Error> {
        let mut after = after.clone();
        let begun = after.state;
        let is_passed = |state: &OrderState| begun.is_some_and(|begun| begun != *state);
        for state in selection.states_in_order().skip_while(is_passed) {
            if after.state != Some(state) {
                after = SelectionCursor { state: Some(state), ..SelectionCursor::default() };
            }
            let found = self.batch_of(state, selection, &after, limit).await?;
            if let Some(last) = found.last().cloned() {
                return Ok((found.into_iter().map(|order| order.id).collect(), last));
            }
        }
        Ok((Vec::new(), after))
    }

    async fn batch_of(
        &self,
        state: OrderState,
        selection: &Selection,
        after: &SelectionCursor,
        limit: usize,
    ) -> Result<Vec<SelectionCursor>, Error> {
        let doing = "selecting orders";
        let mut values = self.conditions(state, selection, after.updated_at);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        values.extend(args![after.updated_at, &after.id, limit]);
        let sql = self.pool().pick(
            batch!("f.fingerprint", "instr"),
            batch!("f.fingerprint COLLATE \"C\"", "strpos"),
        );
        let rows = self.read(doing, sql, values).await?;
        let read = |row: &Row| -> Result<SelectionCursor, sqlx::Error> {
            let (updated_at, id) = (row.int("updated_at")?, row.text("id")?);
            Ok(SelectionCursor { state: Some(state), updated_at, id })
        };
        let found = rows.iter().map(read).collect::<Result<_, _>>();
        found.map_err(|error| Error::database(doing, error))
    }

    /// The values of [`selected!`], of orders whose state has not changed before `from`.
    fn conditions(&self, state: OrderState, selection: &Selection, from: i64) -> Vec<Value> {
        let Selection {
            states: _,
            template,
            kind,
            fingerprint,
            text,
            tenant,
            since,
            until,
            limit: _,
        } = selection;
        let beginning = fingerprint.as_ref().map(|text| text.to_ascii_lowercase());
        // As `lower` of each database does it: SQLite knows ASCII only.
        let text = text.as_ref().map(|text| match self.is_embedded() {
            true => text.to_ascii_lowercase(),
            false => text.to_lowercase(),
        });
        args![
            state.as_str(),
            since.unwrap_or(0).max(from),
            until.unwrap_or(i64::MAX),
            template,
            kind,
            &beginning,
            &beginning.as_deref().map(after_those_that_begin),
            &text,
            tenant
        ]
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
        let wanted = Arc::new((orders.to_vec(), only.to_vec(), config_version.map(str::to_owned)));
        self.write(format!("requeuing {} orders", orders.len()), move |tx| {
            let (wanted, river) = (wanted.clone(), river.clone());
            Box::pin(async move {
                let (orders, only, config) = &*wanted;
                reopen_all_in(tx, &river, orders, only, config.as_deref()).await
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
                cancel_all_in(tx, &river, orders, only).await
            })
        })
        .await
    }
}

impl Selection {
    /// The selected states, in the order of an order's life.
    fn states_in_order(&self) -> impl Iterator<Item = OrderState> + Send {
        OrderState::ALL.into_iter().filter(|state| self.states.contains(state))
    }
}

pub(super) async fn cancel_all_in(
    tx: &mut Tx,
    river: &river::JobClient,
    orders: &[String],
    only: &[OrderState],
) -> Result<Vec<BulkOutcome>, sqlx::Error> {
    let states = states_of(tx, orders).await?;
    let mut outcomes = Vec::with_capacity(orders.len());
    for order in orders {
        let outcome = match states.get(order) {
            None => BulkOutcome::NoSuchOrder,
            Some(state) if state.has_ended() => BulkOutcome::AlreadyEnded { state: *state },
            Some(state) if !only.is_empty() && !only.contains(state) => {
                BulkOutcome::Changed { state: *state }
            }
            Some(_) => match cancel_in(tx, river, order).await? {
                Some(CancelAnswer::Cancelled) => BulkOutcome::Cancelled,
                Some(CancelAnswer::Stopping) => BulkOutcome::Stopping,
                Some(CancelAnswer::AlreadyEnded(state)) => BulkOutcome::AlreadyEnded { state },
                None => BulkOutcome::NoSuchOrder,
            },
        };
        outcomes.push(outcome);
    }
    Ok(outcomes)
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

pub(super) async fn reopen_all_in(
    tx: &mut Tx,
    river: &river::JobClient,
    orders: &[String],
    only: &[OrderState],
    config: Option<&str>,
) -> Result<Vec<BulkOutcome>, sqlx::Error> {
    // `state || ''` keeps the planner from using the index on the state: orders are looked up by
    // their ids.
    let sql = over_json!(
        tx,
        "UPDATE sitewright_orders SET state = {queued}, attempts = 0, crashes = 0,
            cancel_requested_at = NULL, config_version = coalesce($2, config_version),
            waiting_reason = NULL, next_attempt_at = NULL, finished_at = NULL, due_at = NULL,
            updated_at = $3
         FROM ",
        " WHERE sitewright_orders.id = t.value ->> 0 AND state || '' IN {ended}
            AND ($4 = '' OR $4 LIKE '%,' || state || ',%')
         RETURNING sitewright_orders.id AS order_id, template, tenant, priority"
    );
    let list = json_rows(orders.iter().map(|order| vec![json!(order)]));
    let mut reopened = HashMap::with_capacity(orders.len());
    for row in tx.all(sql, args![&list, config, now_ms(), &listed(only)]).await? {
        let of = (row.text("template")?, row.opt_text("tenant")?, row.int("priority")?);
        reopened.insert(row.text("order_id")?, of);
    }
    let mut share = FairShare::default();
    let mut jobs = Vec::with_capacity(reopened.len());
    // In the caller's order, so that the first one is claimed first.
    for order in orders {
        if let Some((template, tenant, priority)) = reopened.remove(order) {
            let tenant = tenant.as_deref();
            let priority = share.job_priority(tx, &template, tenant, priority).await?;
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
