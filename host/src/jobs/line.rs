//! The line is shared among templates: one with ten thousand orders does not keep another one's ten waiting.
//!
//! River takes the lowest priority first and within it the oldest. Of each template some orders stand in line with their own priority;
//! further ones stand back, one priority lower, and move up as there is room, oldest first. Who moves up comes behind those who stand
//! there already, whatever their template. So nobody waits for more than what stands in line with the same priority, and no order is
//! overtaken by all that come after it. Below the lowest priority there is none: orders of priority 4 are taken as they come.

use std::collections::HashMap;

use super::database::{Database, now_ms};
use super::error::Error;
use super::order::Priority;
use super::rescue::one_rescues;
use super::sql::{Row, Tx, args};

/// Orders of one template that may stand in line with their own priority.
const FAIR_SHARE: i64 = 500;

/// How many orders of each template are in line, as far as one transaction has asked.
#[derive(Default)]
pub(super) struct Line(HashMap<String, i64>);

impl Line {
    /// The priority of an order's job: one lower than the order's own while many orders of its template are in line already. The
    /// order's row is there already, in state `queued`.
    pub(super) async fn place(
        &mut self,
        tx: &mut Tx,
        template: &str,
        priority: i64,
    ) -> Result<i64, sqlx::Error> {
        let waiting = match self.0.get(template) {
            // Counted before; the rows since then are of this transaction.
            Some(waiting) => waiting + 1,
            None => {
                let sql = "SELECT count(*) AS waiting FROM
                        (SELECT 1 FROM sitewright_orders WHERE template = $1 AND state = 'queued' LIMIT $2) AS line";
                let row = tx.optional(sql, args![template, FAIR_SHARE + 1]).await?;
                row.map_or(Ok(0), |row| row.int("waiting"))?
            }
        };
        self.0.insert(template.to_owned(), waiting);
        Ok(if waiting > FAIR_SHARE { (priority + 1).min(Priority::LOWEST.into()) } else { priority })
    }
}

/// A template of which orders stand back though there is room.
struct Room {
    template: String,
    orders: i64,
}

/// Lets orders that stand back move up where there is room. How many did.
pub(super) async fn move_up(database: &Database) -> Result<u64, Error> {
    let doing = "looking for orders that may move up in line";
    let sql = "SELECT o.template AS template,
            CAST(sum(CASE WHEN j.priority > o.priority THEN 0 ELSE 1 END) AS BIGINT) AS standing
         FROM sitewright_orders o JOIN river_job j ON j.id = o.job_id
         WHERE o.state = 'queued' AND j.state = 'available'
         GROUP BY o.template HAVING sum(CASE WHEN j.priority > o.priority THEN 1 ELSE 0 END) > 0";
    let read =
        |row: &Row| Ok(Room { template: row.text("template")?, orders: FAIR_SHARE - row.int("standing")? });
    let rows = database.read(doing, sql, vec![]).await?;
    let rooms = rows.iter().map(read).collect::<Result<Vec<Room>, _>>();
    let mut moved = 0;
    for Room { template, orders } in rooms.map_err(|error| Error::database(doing, error))? {
        if orders <= 0 {
            continue;
        }
        let doing = format!("moving orders of {template:?} up in line");
        moved += database
            .write(doing, move |tx| {
                let template = template.clone();
                Box::pin(async move { move_up_in(tx, &template, orders).await })
            })
            .await?;
    }
    Ok(moved)
}

/// Dated now, they come behind those who stand there already.
async fn move_up_in(tx: &mut Tx, template: &str, most: i64) -> Result<u64, sqlx::Error> {
    if !one_rescues(tx).await? {
        return Ok(0);
    }
    let sql = tx.pick(
        "UPDATE river_job SET
            priority = (SELECT o.priority FROM sitewright_orders o WHERE o.job_id = river_job.id),
            scheduled_at = strftime('%Y-%m-%d %H:%M:%f', $3 / 1000.0, 'unixepoch')
         WHERE state = 'available' AND id IN (
            SELECT j.id FROM sitewright_orders o JOIN river_job j ON j.id = o.job_id
            WHERE o.template = $1 AND o.state = 'queued' AND j.state = 'available' AND j.priority > o.priority
            ORDER BY j.priority, j.scheduled_at, j.id LIMIT $2)",
        "UPDATE river_job AS job SET priority = CAST(back.priority AS smallint),
            scheduled_at = to_timestamp($3::bigint / 1000.0)
         FROM (
            SELECT j.id AS id, o.priority AS priority FROM sitewright_orders o JOIN river_job j ON j.id = o.job_id
            WHERE o.template = $1 AND o.state = 'queued' AND j.state = 'available' AND j.priority > o.priority
            ORDER BY j.priority, j.scheduled_at, j.id LIMIT $2) AS back
         WHERE job.id = back.id AND job.state = 'available'",
    );
    tx.execute(sql, args![template, most, now_ms()]).await
}
