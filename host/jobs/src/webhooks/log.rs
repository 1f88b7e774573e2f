//! The log of deliveries: read, deliver again, and what is removed of it after a time.

use serde::Serialize;
use sitewright_model::time::now_ms;

use super::{DeliveryState, WebhookEvent};
use crate::database::Database;
use crate::driver::{Row, args};
use crate::error::Error;

/// A delivery of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Delivery {
    /// The header `webhook-id`, the same for every attempt.
    pub id: String,
    /// Name of the webhook; `callback` for the callback of the order.
    pub webhook: String,
    pub event: WebhookEvent,
    pub order: Option<String>,
    /// The hold that it is about, or that its order waits for: `route:NAME`, `template:NAME`.
    pub hold: Option<String>,
    /// When it happened, in milliseconds since the Unix epoch, like all times here.
    pub at: i64,
    pub state: DeliveryState,
    /// Attempts that ended, since it was last asked for.
    pub attempts: i64,
    /// When it is sent next; of one that is being sent, when its lease ends.
    pub next_at: Option<i64>,
    pub ended_at: Option<i64>,
    /// Status of the last answer.
    pub last_status: Option<i64>,
    /// Why the last attempt was no success.
    pub last_error: Option<String>,
}

/// An attempt of a delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct DeliveryAttempt {
    /// Counts from 1, and again after it was asked for again.
    pub number: i64,
    /// When it began, in milliseconds since the Unix epoch.
    pub at: i64,
    pub took_ms: i64,
    /// Status of the answer, if there was one.
    pub status: Option<i64>,
    /// Why it was no success.
    pub error: Option<String>,
    /// The beginning of the answer's body.
    pub body: Option<String>,
}

/// Where a page of the log continues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryCursor {
    /// Milliseconds since the Unix epoch.
    pub at: i64,
    pub id: String,
}

impl From<&Delivery> for DeliveryCursor {
    fn from(delivery: &Delivery) -> Self {
        DeliveryCursor { at: delivery.at, id: delivery.id.clone() }
    }
}

/// Which deliveries are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeliveryFilter {
    pub webhook: Option<String>,
    pub order: Option<String>,
    pub state: Option<DeliveryState>,
    /// Only those behind this one.
    pub after: Option<DeliveryCursor>,
    /// At most this number; 0 for 100.
    pub limit: u32,
}

impl Delivery {
    fn read(row: &Row) -> Result<Self, sqlx::Error> {
        Ok(Delivery {
            id: row.text("id")?,
            webhook: row.text("webhook")?,
            event: row.parsed("event")?,
            order: row.opt_text("order_id")?,
            hold: row.opt_text("hold")?,
            at: row.int("at")?,
            state: row.parsed("state")?,
            attempts: row.int("attempts")?,
            next_at: row.opt_int("next_at")?,
            ended_at: row.opt_int("ended_at")?,
            last_status: row.opt_int("last_status")?,
            last_error: row.opt_text("last_error")?,
        })
    }
}

macro_rules! select_deliveries {
    ($rest:literal) => {
        concat!(
            "SELECT d.id AS id, d.webhook AS webhook, d.event AS event, d.order_id AS order_id,
                d.hold AS hold, d.at AS at, d.state AS state, d.attempts AS attempts,
                d.next_at AS next_at,
                d.ended_at AS ended_at,
                (SELECT a.status FROM sitewright_delivery_attempts a
                    WHERE a.delivery_id = d.id ORDER BY a.id DESC LIMIT 1) AS last_status,
                (SELECT a.error FROM sitewright_delivery_attempts a
                    WHERE a.delivery_id = d.id ORDER BY a.id DESC LIMIT 1) AS last_error
             FROM sitewright_deliveries d ",
            $rest
        )
    };
}

impl Database {
    /// Deliveries that match the filter, the newest first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn deliveries(&self, filter: &DeliveryFilter) -> Result<Vec<Delivery>, Error> {
        let doing = "reading the deliveries";
        let limit = if filter.limit == 0 { 100 } else { i64::from(filter.limit) };
        // No delivery comes before all others: every id has a character.
        let (at, id) = match &filter.after {
            Some(cursor) => (cursor.at, cursor.id.as_str()),
            None => (i64::MAX, ""),
        };
        let state = filter.state.map(DeliveryState::as_str);
        let sql = select_deliveries!(
            "WHERE d.at <= $1 AND (d.at < $1 OR d.id < $2)
                AND ($3 IS NULL OR d.webhook = $3) AND ($4 IS NULL OR d.order_id = $4)
                AND ($5 IS NULL OR d.state = $5)
             ORDER BY d.at DESC, d.id DESC LIMIT $6"
        );
        let values = args![at, id, &filter.webhook, &filter.order, state, limit];
        let rows = self.read(doing, sql, values).await?;
        let deliveries = rows.iter().map(Delivery::read).collect::<Result<_, _>>();
        deliveries.map_err(|error| Error::database(doing, error))
    }

    /// A delivery and its attempts, the oldest first, at most 1,000; `None` if there is none with
    /// this id.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn delivery(
        &self,
        id: &str,
    ) -> Result<Option<(Delivery, Vec<DeliveryAttempt>)>, Error> {
        let doing = "reading a delivery";
        let failed = |error| Error::database(doing, error);
        let rows = self.read(doing, select_deliveries!("WHERE d.id = $1"), args![id]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let delivery = Delivery::read(row).map_err(failed)?;
        let sql = "SELECT number, at, took_ms, status, error, body
             FROM sitewright_delivery_attempts WHERE delivery_id = $1 ORDER BY id LIMIT 1000";
        let read = |row: &Row| {
            Ok(DeliveryAttempt {
                number: row.int("number")?,
                at: row.int("at")?,
                took_ms: row.int("took_ms")?,
                status: row.opt_int("status")?,
                error: row.opt_text("error")?,
                body: row.opt_text("body")?,
            })
        };
        let rows = self.read(doing, sql, args![id]).await?;
        let attempts = rows.iter().map(read).collect::<Result<_, _>>().map_err(failed)?;
        Ok(Some((delivery, attempts)))
    }

    /// Makes a delivery due again, whatever became of it, for another day; under the same id. One
    /// that is being sent stays as it is. `None` if there is none with this id.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn redeliver(&self, id: &str) -> Result<Option<Delivery>, Error> {
        let delivery = id.to_owned();
        self.write("delivering again", move |tx| {
            let id = delivery.clone();
            Box::pin(async move {
                let sql = "UPDATE sitewright_deliveries
                     SET state = 'pending', next_at = $2, lease = NULL, ended_at = NULL,
                        attempts = 0, first_attempt_at = NULL
                     WHERE id = $1 AND (lease IS NULL OR next_at <= $2)";
                tx.execute(sql, args![&id, now_ms()]).await?;
                let row = tx.optional(select_deliveries!("WHERE d.id = $1"), args![&id]).await?;
                row.as_ref().map(Delivery::read).transpose()
            })
        })
        .await
    }

    /// Removes up to `limit` deliveries that ended before `before` (milliseconds since the Unix
    /// epoch), with their attempts. Their number. With `dry_run` all of them are counted, and none
    /// is removed.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn expire_deliveries(
        &self,
        before: i64,
        limit: u32,
        dry_run: bool,
    ) -> Result<u64, Error> {
        if dry_run {
            let doing = "counting deliveries that have expired";
            let sql = "SELECT count(*) AS found FROM sitewright_deliveries
                 WHERE ended_at IS NOT NULL AND ended_at < $1";
            let rows = self.read(doing, sql, args![before]).await?;
            let found = rows.first().map_or(Ok(0), |row| row.int("found"));
            let found = found.map_err(|error| Error::database(doing, error))?;
            return Ok(u64::try_from(found).unwrap_or_default());
        }
        self.write("removing deliveries that have expired", move |tx| {
            Box::pin(async move {
                let expired = "DELETE FROM sitewright_delivery_attempts WHERE delivery_id IN (
                        SELECT id FROM sitewright_deliveries
                        WHERE ended_at IS NOT NULL AND ended_at < $1
                        ORDER BY ended_at, id LIMIT $2)";
                tx.execute(expired, args![before, i64::from(limit)]).await?;
                let expired = "DELETE FROM sitewright_deliveries WHERE id IN (
                        SELECT id FROM sitewright_deliveries
                        WHERE ended_at IS NOT NULL AND ended_at < $1
                        ORDER BY ended_at, id LIMIT $2)";
                tx.execute(expired, args![before, i64::from(limit)]).await
            })
        })
        .await
    }
}
