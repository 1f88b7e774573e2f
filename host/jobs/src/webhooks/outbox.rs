//! Deliveries that are due: leased, sent by the caller, recorded.
//!
//! A lease is a token in the row, and `next_at` is when it ends. Recording compares the token, so
//! that a process that was away for longer than its lease changes nothing.

use std::time::Duration;

use sitewright_model::time::{millis, now_ms};
use ulid::Ulid;

use super::callbacks::give_up_in;
use super::payload::payload_of;
use super::{CALLBACK, DeliveryState, WebhookEvent};
use crate::database::Database;
use crate::driver::{Row, Tx, args};
use crate::error::Error;

/// Time from the first attempt after which a delivery is given up: 24 h.
const GIVE_UP_AFTER_MS: i64 = 24 * 3_600_000;

/// A delivery that this process alone sends, until its lease ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedDelivery {
    /// The same for every attempt.
    pub id: String,
    /// Name of the webhook, or [`CALLBACK`].
    pub webhook: String,
    /// The address of a callback.
    pub url: Option<String>,
    pub event: WebhookEvent,
    pub order: Option<String>,
    /// The body, the same for every attempt.
    pub payload: String,
    /// Counts the attempts, from 1.
    pub attempt: i64,
    lease: String,
}

/// How an attempt ended, for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryRecord {
    /// When it began, in milliseconds since the Unix epoch.
    pub at: i64,
    pub took: Duration,
    /// Status of the answer, if there was one.
    pub status: Option<u16>,
    /// Why it was no success.
    pub error: Option<String>,
    /// The beginning of the answer's body, without secrets.
    pub body: Option<String>,
}

/// What an attempt means for its delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttemptResult {
    /// The receiver has it.
    Delivered,
    /// It is tried again after this time, unless a day has passed since the first attempt.
    Retry { after: Duration },
    /// It is not tried again.
    GiveUp,
    /// It is not tried again, and the receiver wants nothing more: its webhook is disabled.
    Gone { reason: String },
}

macro_rules! columns {
    () => {
        "id, webhook, url, event, order_id, at, template, revision, release, failure_id, hold, \
         cause, fingerprint, tenant, payload, attempts"
    };
}

/// `$1`: a webhook; `$2`: now; `$3`: the number; `$4`: the lease; `$5`: when that ends. On
/// PostgreSQL the ids are an array: a subquery may be evaluated more than once, and locks others
/// then.
macro_rules! claim {
    ($begin:literal, $end:literal) => {
        concat!(
            "UPDATE sitewright_deliveries SET lease = $4, next_at = $5,
                first_attempt_at = coalesce(first_attempt_at, $2)
             WHERE id ",
            $begin,
            "SELECT id FROM sitewright_deliveries
                WHERE webhook = $1 AND state = 'pending' AND next_at <= $2
                ORDER BY next_at, id LIMIT $3",
            $end,
            " RETURNING ",
            columns!()
        )
    };
}

impl Database {
    /// The webhooks with deliveries that are due, except disabled ones.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn due_webhooks(&self) -> Result<Vec<String>, Error> {
        let doing = "looking for deliveries that are due";
        let sql = "SELECT DISTINCT webhook FROM sitewright_deliveries
             WHERE state = 'pending' AND next_at <= $1 AND webhook NOT IN (
                SELECT name FROM sitewright_webhooks WHERE disabled_at IS NOT NULL)";
        let rows = self.read(doing, sql, args![now_ms()]).await?;
        let names = rows.iter().map(|row| row.text("webhook")).collect::<Result<_, _>>();
        names.map_err(|error| Error::database(doing, error))
    }

    /// Leases up to `most` deliveries of a webhook that are due, those first that are due the
    /// longest. None if it is disabled.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn claim_deliveries(
        &self,
        webhook: &str,
        most: u32,
        lease: Duration,
    ) -> Result<Vec<ClaimedDelivery>, Error> {
        let webhook = webhook.to_owned();
        self.write("leasing deliveries that are due", move |tx| {
            let webhook = webhook.clone();
            Box::pin(async move {
                let sql = "SELECT name FROM sitewright_webhooks
                     WHERE name = $1 AND disabled_at IS NOT NULL";
                if tx.optional(sql, args![&webhook]).await?.is_some() {
                    return Ok(Vec::new());
                }
                let (now, token) = (now_ms(), Ulid::generate().to_string());
                let until = now.saturating_add(i64::try_from(millis(lease)).unwrap_or(i64::MAX));
                let sql = tx
                    .pick(claim!("IN (", ")"), claim!("= ANY(ARRAY(", " FOR UPDATE SKIP LOCKED))"));
                let values = args![&webhook, now, i64::from(most), &token, until];
                let rows = tx.all(sql, values).await?;
                let mut claimed = Vec::with_capacity(rows.len());
                for row in &rows {
                    claimed.push(claimed_delivery(tx, row, &token).await?);
                }
                Ok(claimed)
            })
        })
        .await
    }

    /// Returns a leased delivery that was not sent; it is due after `after`.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn defer_delivery(
        &self,
        claimed: &ClaimedDelivery,
        after: Duration,
    ) -> Result<(), Error> {
        let (id, lease) = (claimed.id.clone(), claimed.lease.clone());
        let next = now_ms().saturating_add(i64::try_from(millis(after)).unwrap_or(i64::MAX));
        self.write("returning a delivery", move |tx| {
            let (id, lease) = (id.clone(), lease.clone());
            Box::pin(async move {
                let sql = "UPDATE sitewright_deliveries SET lease = NULL, next_at = $3,
                        first_attempt_at = CASE WHEN attempts = 0 THEN NULL
                            ELSE first_attempt_at END
                     WHERE id = $1 AND lease = $2 AND state = 'pending'";
                tx.execute(sql, args![&id, &lease, next]).await.map(drop)
            })
        })
        .await
    }

    /// Records how an attempt ended. The state of its delivery then; `None` if the lease had ended
    /// before, or the delivery was removed: nothing is changed then.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn record_delivery(
        &self,
        claimed: &ClaimedDelivery,
        record: DeliveryRecord,
        result: AttemptResult,
    ) -> Result<Option<DeliveryState>, Error> {
        let what = std::sync::Arc::new((claimed.clone(), record, result));
        self.write(format!("recording delivery {}", claimed.id), move |tx| {
            let what = what.clone();
            Box::pin(async move { record_in(tx, &what.0, &what.1, &what.2).await })
        })
        .await
    }

    /// Adds a delivery that tries a webhook, leased for the caller.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn add_test_delivery(
        &self,
        webhook: &str,
        lease: Duration,
    ) -> Result<ClaimedDelivery, Error> {
        let webhook = webhook.to_owned();
        let id = format!("msg_{}", Ulid::generate().to_string().to_lowercase());
        self.write("adding a delivery", move |tx| {
            let (webhook, id) = (webhook.clone(), id.clone());
            Box::pin(async move {
                let (now, token) = (now_ms(), Ulid::generate().to_string());
                let until = now.saturating_add(i64::try_from(millis(lease)).unwrap_or(i64::MAX));
                let sql = concat!(
                    "INSERT INTO sitewright_deliveries
                        (id, webhook, event, at, next_at, lease, first_attempt_at)
                     VALUES ($1, $2, $3, $4, $5, $6, $4) RETURNING ",
                    columns!()
                );
                let event = WebhookEvent::WebhookTest.as_str();
                let values = args![&id, &webhook, event, now, until, &token];
                let row = tx.optional(sql, values).await?.ok_or(sqlx::Error::RowNotFound)?;
                claimed_delivery(tx, &row, &token).await
            })
        })
        .await
    }

    /// Gives up deliveries that nobody sends any more: those of webhooks that are forgotten, and
    /// those of disabled ones after a day. Their number.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn give_up_deliveries(&self) -> Result<u64, Error> {
        self.write("giving deliveries up", |tx| {
            Box::pin(async move {
                let sql = "UPDATE sitewright_deliveries
                     SET state = 'given_up', next_at = NULL, lease = NULL, ended_at = $1
                     WHERE state = 'pending' AND next_at <= $1
                        AND (webhook NOT IN (SELECT name FROM sitewright_webhooks)
                            OR (at <= $2 AND webhook IN (SELECT name FROM sitewright_webhooks
                                WHERE disabled_at IS NOT NULL)))";
                let now = now_ms();
                tx.execute(sql, args![now, now - GIVE_UP_AFTER_MS]).await
            })
        })
        .await
    }
}

async fn claimed_delivery(
    tx: &mut Tx,
    row: &Row,
    lease: &str,
) -> Result<ClaimedDelivery, sqlx::Error> {
    let id = row.text("id")?;
    let payload = match row.opt_text("payload")? {
        Some(payload) => payload,
        None => {
            let payload = payload_of(tx, row).await?;
            let sql = "UPDATE sitewright_deliveries SET payload = $2 WHERE id = $1";
            tx.execute(sql, args![&id, &payload]).await?;
            payload
        }
    };
    Ok(ClaimedDelivery {
        id,
        webhook: row.text("webhook")?,
        url: row.opt_text("url")?,
        event: row.parsed("event")?,
        order: row.opt_text("order_id")?,
        payload,
        attempt: row.int("attempts")?.saturating_add(1),
        lease: lease.to_owned(),
    })
}

async fn record_in(
    tx: &mut Tx,
    claimed: &ClaimedDelivery,
    record: &DeliveryRecord,
    result: &AttemptResult,
) -> Result<Option<DeliveryState>, sqlx::Error> {
    let now = now_ms();
    let sql = "SELECT first_attempt_at FROM sitewright_deliveries
         WHERE id = $1 AND lease = $2 AND state = 'pending'";
    let Some(row) = tx.optional(sql, args![&claimed.id, &claimed.lease]).await? else {
        return Ok(None);
    };
    let first = row.opt_int("first_attempt_at")?.unwrap_or(record.at);
    let (state, next) = match result {
        AttemptResult::Delivered => (DeliveryState::Delivered, None),
        AttemptResult::GiveUp | AttemptResult::Gone { .. } => (DeliveryState::GivenUp, None),
        AttemptResult::Retry { after } => {
            let next = now.saturating_add(i64::try_from(millis(*after)).unwrap_or(i64::MAX));
            if next.saturating_sub(first) > GIVE_UP_AFTER_MS {
                (DeliveryState::GivenUp, None)
            } else {
                (DeliveryState::Pending, Some(next))
            }
        }
    };
    let recorded = tx.execute(
        "UPDATE sitewright_deliveries SET state = $3, next_at = $4, ended_at = $5, lease = NULL,
            attempts = attempts + 1
         WHERE id = $1 AND lease = $2 AND state = 'pending'",
        args![&claimed.id, &claimed.lease, state.as_str(), next, next.is_none().then_some(now)],
    )
    .await?;
    if recorded == 0 {
        return Ok(None);
    }
    let took = i64::try_from(millis(record.took)).unwrap_or(i64::MAX);
    let sql = "INSERT INTO sitewright_delivery_attempts
            (delivery_id, number, at, took_ms, status, error, body)
         VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let status = record.status.map(i64::from);
    let values =
        args![&claimed.id, claimed.attempt, record.at, took, status, &record.error, &record.body];
    tx.execute(sql, values).await?;
    if let AttemptResult::Gone { reason } = result {
        disable(tx, claimed, reason, now).await?;
    }
    Ok(Some(state))
}

/// Sends nothing more to a receiver that wants nothing more. Of a callback only that of this order.
async fn disable(
    tx: &mut Tx,
    claimed: &ClaimedDelivery,
    reason: &str,
    now: i64,
) -> Result<(), sqlx::Error> {
    if claimed.webhook != CALLBACK {
        let sql = "UPDATE sitewright_webhooks SET disabled_at = $2, disabled_reason = $3
             WHERE name = $1 AND disabled_at IS NULL";
        return tx.execute(sql, args![&claimed.webhook, now, reason]).await.map(drop);
    }
    // The order may have another one by now, which has said nothing.
    let sql = "UPDATE sitewright_callbacks SET disabled_at = $2
         WHERE order_id = $1 AND disabled_at IS NULL AND url = $3";
    tx.execute(sql, args![&claimed.order, now, &claimed.url]).await?;
    match (&claimed.order, &claimed.url) {
        (Some(order), Some(url)) => give_up_in(tx, order, Some(url)).await,
        _ => Ok(()),
    }
}
