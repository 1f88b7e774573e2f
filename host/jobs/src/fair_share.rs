//! Fair share of the queue among templates: one with ten thousand orders does not delay another
//! one's ten.
//!
//! River fetches the lowest priority number first and within it the oldest job. Of each template up
//! to 500 jobs have their order's own priority; further ones are demoted by one and promoted,
//! oldest first, when others leave. A promoted job is dated anew and comes behind those that have
//! the priority already, whatever their template. So no order waits for more than those that share
//! its priority, and none is overtaken by all that come after it. Orders of the lowest priority
//! cannot be demoted.

use std::collections::HashMap;

use super::database::Database;
use super::driver::{Row, Tx, args, river, sql};
use super::error::Error;
use super::locks::try_rescue_lock;
use super::model::Priority;

/// Maximum number of jobs of one template with their order's own priority.
const FAIR_SHARE: i64 = 500;

/// The number of queued orders of each template, as far as one transaction has counted.
#[derive(Default)]
pub(super) struct FairShare(HashMap<String, i64>);

impl FairShare {
    /// The priority of an order's job: one lower than the order's own if its template has its share
    /// of the queue. The order's row must exist and be queued.
    pub(super) async fn job_priority(
        &mut self,
        tx: &mut Tx,
        template: &str,
        priority: i64,
    ) -> Result<i64, sqlx::Error> {
        let queued = match self.0.get(template) {
            // Counted before; the rows since then are of this transaction.
            Some(queued) => queued + 1,
            None => {
                let sql = sql!(
                    "SELECT count(*) AS queued FROM (SELECT 1 FROM sitewright_orders
                        WHERE template = $1 AND state = {queued} LIMIT $2) AS counted"
                );
                let row = tx.optional(sql, args![template, FAIR_SHARE + 1]).await?;
                row.map_or(Ok(0), |row| row.int("queued"))?
            }
        };
        self.0.insert(template.to_owned(), queued);
        Ok(if queued > FAIR_SHARE { (priority + 1).min(Priority::LOWEST.into()) } else { priority })
    }
}

/// The due jobs of a template whose orders can be demoted.
struct DueJobs {
    template: String,
    own_priority: i64,
    demoted: i64,
}

/// Rebalances the queue: promotes a template's oldest demoted jobs while it has less than its
/// share, and demotes its newest if it has more, as when retries of many orders become due at once.
/// The number of jobs that changed.
pub(super) async fn rebalance(database: &Database) -> Result<u64, Error> {
    let doing = "counting the due jobs of each template";
    let read = |row: &Row| {
        Ok(DueJobs {
            template: row.text("template")?,
            own_priority: row.int("own")?,
            demoted: row.int("demoted")?,
        })
    };
    let (sql, args) = river::due_jobs_by_template();
    let rows = database.read(doing, sql, args).await?;
    let due = rows.iter().map(read).collect::<Result<Vec<DueJobs>, _>>();
    let mut changed = 0;
    for due in due.map_err(|error| Error::database(doing, error))? {
        let promoted = (FAIR_SHARE - due.own_priority).min(due.demoted);
        if promoted == 0 {
            continue;
        }
        let doing = format!("rebalancing the queue for template {:?}", due.template);
        let template = due.template;
        changed += database
            .write(doing, move |tx| {
                let template = template.clone();
                Box::pin(async move {
                    if !try_rescue_lock(tx).await? {
                        return Ok(0);
                    }
                    let queries = tx.queries();
                    if promoted > 0 {
                        tx.execute(&queries.promote, args![&template, promoted]).await
                    } else {
                        let args = args![&template, -promoted, i64::from(Priority::LOWEST)];
                        tx.execute(&queries.demote, args).await
                    }
                })
            })
            .await?;
    }
    Ok(changed)
}
