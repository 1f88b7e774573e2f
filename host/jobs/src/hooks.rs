//! Webhooks that others send: stored as they came, before anything is done with them, and what
//! became of them.
//!
//! A delivery is stored once for each event of its sender. The server that stored it maps it to an
//! order; if its process ends before, any server does when `due_at` has passed. Mapping twice is
//! harmless: the second time the queue has the order already.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use sitewright_model::time::{millis, now_ms};
use sitewright_model::trace::TraceParent;
use ulid::Ulid;

use super::coalesced::{json_rows, over_json};
use super::database::Database;
use super::driver::{Row, Tx, args};
use super::error::Error;

/// Maximum number of deliveries that [`Database::due_hook_deliveries`] returns.
const MOST_DUE: i64 = 100;

/// What became of a delivery.
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
pub enum HookDeliveryState {
    /// It is not mapped to an order yet.
    Pending,
    /// The queue has the order.
    Accepted,
    /// It could not be mapped, or the order was refused. It can be replayed.
    Refused,
    /// Its order was erased, and with it what was sent. What is left is known as sent already.
    Erased,
}

impl HookDeliveryState {
    /// As it is stored and in JSON.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// A delivery to be stored.
#[derive(Debug, Clone)]
pub struct NewHookDelivery {
    /// Name of the hook.
    pub hook: String,
    /// What its sender calls the event: a second one with the same id is not stored.
    pub event_id: String,
    /// As it came.
    pub body: String,
    /// The trace that its order is to be a part of.
    pub traceparent: Option<TraceParent>,
}

/// A delivery, without its body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct HookDelivery {
    /// Increases with time.
    pub id: String,
    /// Name of the hook.
    pub hook: String,
    /// What its sender calls the event, or the digest of the body.
    pub event_id: String,
    /// When it came, in milliseconds since the Unix epoch.
    pub at: i64,
    pub state: HookDeliveryState,
    /// The order that it became, or was to become.
    pub order: Option<String>,
    /// Why it was refused.
    pub reason: Option<String>,
    /// Length of the body in bytes.
    pub bytes: i64,
}

/// What mapping a delivery came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HookOutcome {
    /// The queue has this order.
    Accepted { order: String },
    /// It is no order, or one that the queue refuses.
    Refused {
        /// Its id, if that was found.
        order: Option<String>,
        reason: String,
    },
}

/// Which deliveries are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HookDeliveryFilter {
    pub hook: Option<String>,
    pub state: Option<HookDeliveryState>,
    pub order: Option<String>,
    /// Only those with a lower id, which came before.
    pub before: Option<String>,
    /// At most this number; 0 for 100.
    pub limit: u32,
}

macro_rules! select_hook_deliveries {
    ($rest:literal) => {
        concat!(
            "SELECT id, hook, event_id, at, state, order_id, reason, bytes
             FROM sitewright_hook_deliveries ",
            $rest
        )
    };
}

impl HookDelivery {
    fn read(row: &Row) -> Result<Self, sqlx::Error> {
        Ok(HookDelivery {
            id: row.text("id")?,
            hook: row.text("hook")?,
            event_id: row.text("event_id")?,
            at: row.int("at")?,
            state: row.parsed("state")?,
            order: row.opt_text("order_id")?,
            reason: row.opt_text("reason")?,
            bytes: row.int("bytes")?,
        })
    }
}

impl Database {
    /// Stores a delivery. `true` if it is new; otherwise the one that has its event id. Nobody else
    /// maps it within `own`.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn store_hook_delivery(
        &self,
        new: NewHookDelivery,
        own: Duration,
    ) -> Result<(HookDelivery, bool), Error> {
        let (id, new) = (Ulid::generate().to_string(), Arc::new(new));
        let own = i64::try_from(millis(own)).unwrap_or(i64::MAX);
        self.write("storing what a webhook brought", move |tx| {
            let (id, new) = (id.clone(), new.clone());
            Box::pin(async move {
                let bytes = i64::try_from(new.body.len()).unwrap_or(i64::MAX);
                let now = now_ms();
                let sql = "INSERT INTO sitewright_hook_deliveries
                        (id, hook, event_id, at, due_at, bytes, body, traceparent)
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING";
                let due = now.saturating_add(own);
                let trace = new.traceparent.as_ref().map(TraceParent::as_str);
                let values =
                    args![&id, &new.hook, &new.event_id, now, due, bytes, &new.body, trace];
                let is_new = tx.execute(sql, values).await? == 1;
                let sql = select_hook_deliveries!("WHERE hook = $1 AND event_id = $2");
                let row = tx.optional(sql, args![&new.hook, &new.event_id]).await?;
                let row = row.ok_or(sqlx::Error::RowNotFound)?;
                Ok((HookDelivery::read(&row)?, is_new))
            })
        })
        .await
    }

    /// Deliveries that match the filter, the newest first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn hook_deliveries(
        &self,
        filter: &HookDeliveryFilter,
    ) -> Result<Vec<HookDelivery>, Error> {
        let doing = "reading what webhooks brought";
        let limit = if filter.limit == 0 { 100 } else { i64::from(filter.limit) };
        let state = filter.state.map(HookDeliveryState::as_str);
        let sql = select_hook_deliveries!(
            "WHERE ($1 IS NULL OR id < $1) AND ($2 IS NULL OR hook = $2)
                AND ($3 IS NULL OR state = $3) AND ($4 IS NULL OR order_id = $4)
             ORDER BY id DESC LIMIT $5"
        );
        let values = args![&filter.before, &filter.hook, state, &filter.order, limit];
        let rows = self.read(doing, sql, values).await?;
        let deliveries = rows.iter().map(HookDelivery::read).collect::<Result<_, _>>();
        deliveries.map_err(|error| Error::database(doing, error))
    }

    /// A delivery with its body; `None` if there is none with this id. The body of an erased one is
    /// empty.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn hook_delivery(&self, id: &str) -> Result<Option<(HookDelivery, String)>, Error> {
        let doing = "reading what a webhook brought";
        let sql = "SELECT id, hook, event_id, at, state, order_id, reason, bytes, body
             FROM sitewright_hook_deliveries WHERE id = $1";
        let rows = self.read(doing, sql, args![id]).await?;
        let read = |row: &Row| Ok((HookDelivery::read(row)?, row.text("body")?));
        let found = rows.first().map(read).transpose();
        found.map_err(|error| Error::database(doing, error))
    }

    /// The trace that the order of a delivery is to be a part of; `None` if its sender named none,
    /// or there is no delivery with this id.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn hook_delivery_trace(&self, id: &str) -> Result<Option<TraceParent>, Error> {
        let doing = "reading the trace of a webhook";
        let sql = "SELECT traceparent FROM sitewright_hook_deliveries WHERE id = $1";
        let rows = self.read(doing, sql, args![id]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let header = row.opt_text("traceparent").map_err(|error| Error::database(doing, error))?;
        Ok(header.and_then(|header| header.parse().ok()))
    }

    /// Deliveries of these hooks that are to be mapped now, the oldest first; at most 100.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn due_hook_deliveries(&self, hooks: &[String]) -> Result<Vec<String>, Error> {
        let doing = "looking for webhooks that are not mapped";
        let list = json_rows(hooks.iter().map(|hook| vec![json!(hook)]));
        let sql = self.pool().pick(
            "SELECT id FROM sitewright_hook_deliveries
             WHERE state = 'pending' AND due_at <= $1
                AND hook IN (SELECT t.value ->> 0 FROM json_each($2) AS t)
             ORDER BY due_at, id LIMIT $3",
            "SELECT id FROM sitewright_hook_deliveries
             WHERE state = 'pending' AND due_at <= $1 AND hook IN (
                SELECT t.value ->> 0 FROM json_array_elements(CAST($2 AS json)) AS t)
             ORDER BY due_at, id LIMIT $3",
        );
        let rows = self.read(doing, sql, args![now_ms(), &list, MOST_DUE]).await?;
        let ids = rows.iter().map(|row| row.text("id")).collect::<Result<_, _>>();
        ids.map_err(|error| Error::database(doing, error))
    }

    /// Records what mapping a delivery came to; `None` if there is none with this id. If the order
    /// was erased meanwhile, what was sent is erased too.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn record_hook_delivery(
        &self,
        id: &str,
        outcome: HookOutcome,
    ) -> Result<Option<HookDelivery>, Error> {
        let what = Arc::new((id.to_owned(), outcome));
        self.write("recording what became of a webhook", move |tx| {
            let what = what.clone();
            Box::pin(async move {
                let (id, outcome) = &*what;
                let (state, order, reason) = match outcome {
                    HookOutcome::Accepted { order } => {
                        (HookDeliveryState::Accepted, Some(order.as_str()), None)
                    }
                    HookOutcome::Refused { order, reason } => {
                        (HookDeliveryState::Refused, order.as_deref(), Some(reason.as_str()))
                    }
                };
                // One that was erased stays so.
                let sql = "UPDATE sitewright_hook_deliveries
                     SET state = $2, order_id = coalesce($3, order_id), reason = $4, ended_at = $5
                     WHERE id = $1 AND state <> 'erased'";
                let values = args![id, state.as_str(), order, reason, now_ms()];
                tx.execute(sql, values).await?;
                let sql = "UPDATE sitewright_hook_deliveries
                     SET state = 'erased', body = '', reason = NULL
                     WHERE id = $1 AND state <> 'erased' AND order_id IN (
                        SELECT id FROM sitewright_removed_orders WHERE cause = 'erased')";
                tx.execute(sql, args![id]).await?;
                let row = tx.optional(select_hook_deliveries!("WHERE id = $1"), args![id]).await?;
                row.as_ref().map(HookDelivery::read).transpose()
            })
        })
        .await
    }

    /// Makes a delivery due again that was refused, so that the next server that looks maps it. One
    /// in another state stays as it is. `None` if there is none with this id.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn replay_hook_delivery(&self, id: &str) -> Result<Option<HookDelivery>, Error> {
        let id = id.to_owned();
        self.write("replaying a webhook", move |tx| {
            let id = id.clone();
            Box::pin(async move {
                let sql = "UPDATE sitewright_hook_deliveries
                     SET state = 'pending', due_at = $2, reason = NULL, ended_at = NULL
                     WHERE id = $1 AND state = 'refused'";
                tx.execute(sql, args![&id, now_ms()]).await?;
                let row = tx.optional(select_hook_deliveries!("WHERE id = $1"), args![&id]).await?;
                row.as_ref().map(HookDelivery::read).transpose()
            })
        })
        .await
    }

    /// Refuses pending deliveries that were due before `due_before` (milliseconds since the Unix
    /// epoch) and are of none of these hooks, so that they do not wait for ever. Their number.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn refuse_orphaned_hook_deliveries(
        &self,
        hooks: &[String],
        due_before: i64,
    ) -> Result<u64, Error> {
        let known = json_rows(hooks.iter().map(|hook| vec![json!(hook)]));
        self.write("refusing webhooks whose hook is gone", move |tx| {
            let known = known.clone();
            Box::pin(async move {
                let sql = over_json!(
                    tx,
                    "UPDATE sitewright_hook_deliveries
                     SET state = 'refused', ended_at = $2, reason = 'no server has the hook ' ||
                        hook || ' in its configuration any more; add [hooks.' || hook ||
                        '] again, then replay this'
                     WHERE state = 'pending' AND due_at < $3
                        AND hook NOT IN (SELECT t.value ->> 0 FROM ",
                    ")"
                );
                tx.execute(sql, args![&known, now_ms(), due_before]).await
            })
        })
        .await
    }

    /// Removes up to `limit` deliveries that were mapped, refused or erased before `before`
    /// (milliseconds since the Unix epoch). Their number. With `dry_run` all of them are counted,
    /// and none is removed.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn expire_hook_deliveries(
        &self,
        before: i64,
        limit: u32,
        dry_run: bool,
    ) -> Result<u64, Error> {
        if dry_run {
            let doing = "counting webhooks that have expired";
            let sql = "SELECT count(*) AS found FROM sitewright_hook_deliveries
                 WHERE ended_at IS NOT NULL AND ended_at < $1";
            let rows = self.read(doing, sql, args![before]).await?;
            let found = rows.first().map_or(Ok(0), |row| row.int("found"));
            let found = found.map_err(|error| Error::database(doing, error))?;
            return Ok(u64::try_from(found).unwrap_or_default());
        }
        self.write("removing webhooks that have expired", move |tx| {
            Box::pin(async move {
                let sql = "DELETE FROM sitewright_hook_deliveries WHERE id IN (
                        SELECT id FROM sitewright_hook_deliveries
                        WHERE ended_at IS NOT NULL AND ended_at < $1
                        ORDER BY ended_at, id LIMIT $2)";
                tx.execute(sql, args![before, i64::from(limit)]).await
            })
        })
        .await
    }
}

/// Erases what was sent about those of these orders that were erased. The rows stay: the same
/// event, sent again, must not bring it back. `orders` is a JSON array of arrays with an id.
pub(super) async fn erase_bodies(tx: &mut Tx, orders: &str) -> Result<u64, sqlx::Error> {
    let sql = over_json!(
        tx,
        "UPDATE sitewright_hook_deliveries SET state = 'erased', body = '', reason = NULL,
            ended_at = coalesce(ended_at, due_at)
         WHERE state <> 'erased' AND order_id IN (
            SELECT r.id FROM sitewright_removed_orders r
            WHERE r.cause = 'erased' AND r.id IN (SELECT t.value ->> 0 FROM ",
        "))"
    );
    tx.execute(sql, args![orders]).await
}
