//! Fair share of the queue among templates, and among the tenants of each: one with ten thousand
//! orders does not delay another one's ten.
//!
//! River fetches the lowest priority number first and within it the oldest job. Of each tenant up
//! to 500 jobs of each template have their order's own priority, and as many of orders without a
//! tenant; further ones are demoted by one and promoted, oldest first, when others leave. A
//! promoted job is dated anew and comes behind those that have the priority already, of whichever
//! template and tenant. So no order waits for more than those that share its priority, and none is
//! overtaken by all that come after it. Orders of the lowest priority cannot be demoted.

use std::collections::HashMap;
use std::sync::Arc;

use super::database::Database;
use super::driver::{Row, Tx, args, river, sql};
use super::error::Error;
use super::locks::try_rescue_lock;
use super::model::Priority;

/// Maximum number of jobs of one template and tenant with their order's own priority.
const FAIR_SHARE: i64 = 500;

/// The number of queued orders of each template and of each tenant, as far as one transaction has
/// counted.
#[derive(Default)]
pub(super) struct FairShare {
    templates: HashMap<String, i64>,
    tenants: HashMap<String, i64>,
}

impl FairShare {
    /// The priority of an order's job: one lower than the order's own if its template has its share
    /// of the queue, and its tenant too. The order's row must exist and be queued.
    ///
    /// Both are counted by index alone, so this is not exact for a tenant that uses several
    /// templates, nor for an order without one beside those of tenants: [`rebalance`] is.
    pub(super) async fn job_priority(
        &mut self,
        tx: &mut Tx,
        template: &str,
        tenant: Option<&str>,
        priority: i64,
    ) -> Result<i64, sqlx::Error> {
        let of_template = sql!(
            "SELECT count(*) AS queued FROM (SELECT 1 FROM sitewright_orders
                WHERE template = $1 AND state = {queued} LIMIT $2) AS counted"
        );
        if !has_share(tx, &mut self.templates, template, of_template).await? {
            return Ok(priority);
        }
        let of_tenant = sql!(
            "SELECT count(*) AS queued FROM (SELECT 1 FROM sitewright_orders
                WHERE tenant = $1 AND state = {queued} LIMIT $2) AS counted"
        );
        if let Some(tenant) = tenant
            && !has_share(tx, &mut self.tenants, tenant, of_tenant).await?
        {
            return Ok(priority);
        }
        Ok((priority + 1).min(Priority::LOWEST.into()))
    }
}

/// Whether more orders are queued of this template or tenant than its share. `sql` counts them.
async fn has_share(
    tx: &mut Tx,
    counted: &mut HashMap<String, i64>,
    name: &str,
    sql: &'static str,
) -> Result<bool, sqlx::Error> {
    let queued = match counted.get(name) {
        // Counted before; the rows since then are of this transaction.
        Some(queued) => queued + 1,
        None => {
            let row = tx.optional(sql, args![name, FAIR_SHARE + 1]).await?;
            row.map_or(Ok(0), |row| row.int("queued"))?
        }
    };
    counted.insert(name.to_owned(), queued);
    Ok(queued > FAIR_SHARE)
}

/// The due jobs of a template and a tenant whose orders can be demoted.
struct DueJobs {
    template: String,
    tenant: Option<String>,
    own_priority: i64,
    demoted: i64,
}

/// Rebalances the queue: promotes the oldest demoted jobs of each template and tenant while they
/// have less than their share, and demotes their newest if they have more, as when retries of many
/// orders become due at once. The number of jobs that changed.
pub(super) async fn rebalance(database: &Database) -> Result<u64, Error> {
    let doing = "counting the due jobs of each template";
    let read = |row: &Row| {
        Ok(DueJobs {
            template: row.text("template")?,
            tenant: row.opt_text("tenant")?,
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
        let of = Arc::new((due.template, due.tenant));
        changed += database
            .write(doing, move |tx| {
                let of = of.clone();
                Box::pin(async move {
                    if !try_rescue_lock(tx).await? {
                        return Ok(0);
                    }
                    let ((template, tenant), queries) = (&*of, tx.queries());
                    if promoted > 0 {
                        tx.execute(&queries.promote, args![template, promoted, tenant]).await
                    } else {
                        let lowest = i64::from(Priority::LOWEST);
                        let args = args![template, -promoted, lowest, tenant];
                        tx.execute(&queries.demote, args).await
                    }
                })
            })
            .await?;
    }
    Ok(changed)
}
