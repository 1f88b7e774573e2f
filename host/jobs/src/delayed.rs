//! Orders that wait for a time which somebody may know to be too late.

use serde_json::{Value as Json, json};
use sitewright_model::time::now_ms;

use super::coalesced::{json_rows, over_json};
use super::database::Database;
use super::driver::{Row, args, held_jobs, river, sql};
use super::error::Error;

/// Maximum number of orders of one page: their failure records are read.
const PAGE: i64 = 100;

/// An order that waits for its next attempt, and not for a hold or a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DelayedOrder {
    pub order: String,
    /// The failure record of its last attempt; null if it cannot be read.
    pub record: Json,
}

impl Database {
    /// Orders whose AI calls failed and whose next attempt is not due yet, by id: at most 100 of
    /// those after the order `after`, which is empty for the first ones.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn delayed_orders(&self, after: &str) -> Result<Vec<DelayedOrder>, Error> {
        let doing = "reading which orders wait for their next attempt";
        let sql = sql!(
            "SELECT o.id AS id, f.record AS record FROM sitewright_orders o
                JOIN sitewright_failures f ON f.id = o.last_failure
             WHERE o.state = {waiting} AND o.held_by IS NULL AND o.awaits_batch IS NULL
                AND o.next_attempt_at > $2 AND o.id > $1 AND f.kind = 'ai'
             ORDER BY o.id LIMIT $3"
        );
        let rows = self.read(doing, sql, args![after, now_ms(), PAGE]).await?;
        let read = |row: &Row| -> Result<DelayedOrder, sqlx::Error> {
            let record = serde_json::from_str(&row.text("record")?).unwrap_or_default();
            Ok(DelayedOrder { order: row.text("id")?, record })
        };
        let orders = rows.iter().map(read).collect::<Result<_, _>>();
        orders.map_err(|error| Error::database(doing, error))
    }

    /// Makes orders due whose next attempt is not due yet. Those that wait for a hold or a batch,
    /// or do not wait, stay as they are. The number of orders.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn end_delay(&self, orders: &[String]) -> Result<usize, Error> {
        if orders.is_empty() {
            return Ok(0);
        }
        let list = json_rows(orders.iter().map(|order| vec![json!(order)]));
        self.write("making orders due that wait for their next attempt", move |tx| {
            let list = list.clone();
            Box::pin(async move {
                let sql = over_json!(
                    tx,
                    "UPDATE sitewright_orders SET next_attempt_at = $2, updated_at = $2 FROM ",
                    " WHERE sitewright_orders.id = t.value ->> 0 AND state || '' = {waiting}
                        AND held_by IS NULL AND awaits_batch IS NULL AND next_attempt_at > $2
                     RETURNING job_id"
                );
                let rows = tx.all(sql, args![&list, now_ms()]).await?;
                let mut jobs = Vec::with_capacity(rows.len());
                for row in &rows {
                    jobs.extend(row.opt_int("job_id")?);
                }
                held_jobs::make_due(tx, &jobs, river::QUEUE, false).await?;
                Ok(rows.len())
            })
        })
        .await
    }
}
