//! The line is shared among templates: one with ten thousand orders does not keep another one's ten
//! waiting.
//!
//! River takes the lowest priority first and within it the oldest. Of each template some orders
//! stand in line with their own priority; further ones stand back, one priority lower, and move up
//! as there is room, oldest first. Who moves up comes behind those who stand there already,
//! whatever their template. So nobody waits for more than what stands in line with the same
//! priority, and no order is overtaken by all that come after it. Below the lowest priority there
//! is none: orders of priority 4 are claimed as they come.

use std::collections::HashMap;

use super::database::Database;
use super::error::Error;
use super::order::Priority;
use super::rescue::try_rescue_lock;
use super::sql::{Row, Tx, args};

/// Orders of one template that may stand in line with their own priority.
const FAIR_SHARE: i64 = 500;

/// How many orders of each template are in line, as far as one transaction has asked.
#[derive(Default)]
pub(super) struct FairShare(HashMap<String, i64>);

impl FairShare {
    /// The priority of an order's job: one lower than the order's own while many orders of its
    /// template are in line already. The order's row is there already, in state `queued`.
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
                        (SELECT 1 FROM sitewright_orders WHERE template = $1 AND state = 'queued' \
                           LIMIT $2) AS line";
                let row = tx.optional(sql, args![template, FAIR_SHARE + 1]).await?;
                row.map_or(Ok(0), |row| row.int("waiting"))?
            }
        };
        self.0.insert(template.to_owned(), waiting);
        Ok(if waiting > FAIR_SHARE {
            (priority + 1).min(Priority::LOWEST.into())
        } else {
            priority
        })
    }
}

/// How many orders of a template are due, of those that can stand back.
struct Due {
    template: String,
    /// With their own priority.
    standing: i64,
    /// One lower.
    back: i64,
}

/// Shares the line out anew: where there is room, orders that stand back move up, oldest first;
/// where more stand in line than may, which those do that waited for another attempt and are due at
/// the same time, the newest stand back. How many moved.
pub(super) async fn rebalance(database: &Database) -> Result<u64, Error> {
    let doing = "looking how templates share the line";
    let sql = "SELECT o.template AS template,
            CAST(sum(CASE WHEN j.priority > o.priority THEN 0 ELSE 1 END) AS BIGINT) AS standing,
            CAST(sum(CASE WHEN j.priority > o.priority THEN 1 ELSE 0 END) AS BIGINT) AS back
         FROM sitewright_orders o JOIN river_job j ON j.id = o.job_id
         WHERE o.state IN ('queued', 'waiting') AND j.state = 'available' AND o.priority < $1
         GROUP BY o.template";
    let read = |row: &Row| {
        Ok(Due {
            template: row.text("template")?,
            standing: row.int("standing")?,
            back: row.int("back")?,
        })
    };
    let rows = database.read(doing, sql, args![i64::from(Priority::LOWEST)]).await?;
    let due = rows.iter().map(read).collect::<Result<Vec<Due>, _>>();
    let mut moved = 0;
    for Due { template, standing, back } in due.map_err(|error| Error::database(doing, error))? {
        let up = (FAIR_SHARE - standing).min(back);
        if up == 0 {
            continue;
        }
        let doing = format!("sharing the line out among {template:?} and others");
        moved += database
            .write(doing, move |tx| {
                let template = template.clone();
                Box::pin(async move {
                    if !try_rescue_lock(tx).await? {
                        return Ok(0);
                    }
                    if up > 0 {
                        promote(tx, &template, up).await
                    } else {
                        demote(tx, &template, -up).await
                    }
                })
            })
            .await?;
    }
    Ok(moved)
}

/// Dated now, by the clock that River's fetching goes by, they come behind those who stand there
/// already.
async fn promote(tx: &mut Tx, template: &str, most: i64) -> Result<u64, sqlx::Error> {
    let sql = tx.pick(
        "UPDATE river_job SET priority = back.priority, scheduled_at = strftime('%Y-%m-%d \
         %H:%M:%f', 'now')
         FROM (
            SELECT j.id AS id, o.priority AS priority FROM sitewright_orders o JOIN river_job j ON \
         j.id = o.job_id
            WHERE o.template = $1 AND o.state IN ('queued', 'waiting') AND j.state = 'available' \
         AND j.priority > o.priority
            ORDER BY j.priority, j.scheduled_at, j.id LIMIT $2) AS back
         WHERE river_job.id = back.id",
        "UPDATE river_job AS job SET priority = CAST(back.priority AS smallint), scheduled_at = \
         now()
         FROM (
            SELECT j.id AS id, o.priority AS priority FROM sitewright_orders o JOIN river_job j ON \
         j.id = o.job_id
            WHERE o.template = $1 AND o.state IN ('queued', 'waiting') AND j.state = 'available' \
         AND j.priority > o.priority
            ORDER BY j.priority, j.scheduled_at, j.id LIMIT $2) AS back
         WHERE job.id = back.id AND job.state = 'available'",
    );
    tx.execute(sql, args![template, most]).await
}

async fn demote(tx: &mut Tx, template: &str, most: i64) -> Result<u64, sqlx::Error> {
    let sql = tx.pick(
        "UPDATE river_job SET priority = standing.priority + 1
         FROM (
            SELECT j.id AS id, o.priority AS priority FROM sitewright_orders o JOIN river_job j ON \
         j.id = o.job_id
            WHERE o.template = $1 AND o.state IN ('queued', 'waiting') AND j.state = 'available' \
         AND j.priority <= o.priority
                AND o.priority < $3
            ORDER BY j.priority DESC, j.scheduled_at DESC, j.id DESC LIMIT $2) AS standing
         WHERE river_job.id = standing.id",
        "UPDATE river_job AS job SET priority = CAST(standing.priority + 1 AS smallint)
         FROM (
            SELECT j.id AS id, o.priority AS priority FROM sitewright_orders o JOIN river_job j ON \
         j.id = o.job_id
            WHERE o.template = $1 AND o.state IN ('queued', 'waiting') AND j.state = 'available' \
         AND j.priority <= o.priority
                AND o.priority < $3
            ORDER BY j.priority DESC, j.scheduled_at DESC, j.id DESC LIMIT $2) AS standing
         WHERE job.id = standing.id AND job.state = 'available'",
    );
    tx.execute(sql, args![template, most, i64::from(Priority::LOWEST)]).await
}
