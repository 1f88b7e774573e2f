//! Unclaimed orders whose job is missing, has ended, or was fetched and never claimed.

use std::sync::Arc;
use std::time::Duration;

use sitewright_model::time::{millis, now_ms};

use super::{CHUNK, Rescued, Rescuer};
use crate::driver::river;
use crate::driver::{Row, Tx, args, sql};
use crate::error::Error;
use crate::fair_share::FairShare;
use crate::locks::try_rescue_lock;
use crate::model::NOT_DUE;

impl Rescuer {
    /// Requeues orders whose job the worker fetched longer than `ago` ago and did not claim.
    /// `false` if another worker holds the rescue lock.
    pub(super) async fn unclaimed(
        &self,
        client: &str,
        ago: Duration,
        rescued: &mut Rescued,
    ) -> Result<bool, Error> {
        let doing = "looking for unclaimed jobs of a worker";
        let sql = self.database.pool().queries().unclaimed_jobs.as_str();
        let ago = i64::try_from(millis(ago)).unwrap_or(i64::MAX);
        let rows = self.database.read(doing, sql, args![client, ago]).await?;
        self.requeue(rows, doing, rescued).await
    }

    /// Requeues orders without a job: it was deleted, or a producer inserted only the order.
    pub(crate) async fn orphaned(&mut self) -> Result<Rescued, Error> {
        let doing = "looking for orders without a job";
        let before = now_ms() - i64::try_from(millis(self.adopt_after)).unwrap_or(i64::MAX);
        let (sql, args) = river::orphaned_orders(before);
        let rows = self.database.read(doing, sql, args).await?;
        let mut rescued = Rescued::default();
        self.requeue(rows, doing, &mut rescued).await?;
        Ok(rescued)
    }

    /// `false` if another worker holds the rescue lock.
    async fn requeue(
        &self,
        rows: Vec<Row>,
        doing: &str,
        rescued: &mut Rescued,
    ) -> Result<bool, Error> {
        let failed = |error| Error::database(doing, error);
        let read = |row: &Row| Ok((row.text("id")?, row.opt_int("job_id")?));
        let found: Vec<(String, Option<i64>)> =
            rows.iter().map(read).collect::<Result<_, _>>().map_err(failed)?;
        let without_job =
            found.iter().filter(|(_, job)| job.is_none()).map(|(order, _)| order.as_str());
        let inserted =
            Arc::new(river::jobs_of(&self.database, &without_job.collect::<Vec<_>>()).await?);
        for chunk in found.chunks(CHUNK) {
            let (river, chunk, inserted) =
                (self.database.river().clone(), chunk.to_vec(), inserted.clone());
            let done = self.database.write(doing.to_owned(), move |tx| {
                let (river, chunk, inserted) = (river.clone(), chunk.clone(), inserted.clone());
                Box::pin(async move {
                    if !try_rescue_lock(tx).await? {
                        return Ok(None);
                    }
                    let (mut ends, mut share) = (Vec::new(), FairShare::default());
                    for (order, job) in chunk {
                        if let (None, Some(known)) = (job, inserted.get(&order)) {
                            learn_job(tx, &order, *known).await?;
                        } else if let Some(cancelled) =
                            requeue_in(tx, &river, &order, job, &mut share).await?
                        {
                            ends.push((order, cancelled));
                        }
                    }
                    Ok(Some(ends))
                })
            });
            let Some(ends) = done.await? else { return Ok(false) };
            for (order, cancelled) in ends {
                tracing::warn!(order, cancelled, "an order had no job that a worker runs");
                if cancelled { rescued.cancelled.push(order) } else { rescued.requeued.push(order) }
            }
        }
        Ok(true)
    }
}

/// Writes the job that a producer inserted into its order.
async fn learn_job(tx: &mut Tx, order: &str, job: i64) -> Result<(), sqlx::Error> {
    let sql = sql!(
        "UPDATE sitewright_orders SET job_id = $2
         WHERE id = $1 AND job_id IS NULL AND state IN {unclaimed}"
    );
    tx.execute(sql, args![order, job]).await.map(drop)
}

/// Gives an order a new job, or cancels it if its job was cancelled with River's own tools. Whether
/// it was cancelled; `None` if the order changed meanwhile.
async fn requeue_in(
    tx: &mut Tx,
    river: &river::JobClient,
    order: &str,
    job: Option<i64>,
    share: &mut FairShare,
) -> Result<Option<bool>, sqlx::Error> {
    let now = now_ms();
    let row = tx
        .optional(
            sql!(
                "UPDATE sitewright_orders SET updated_at = $3
                 WHERE id = $1 AND state IN {unclaimed} AND job_id IS NOT DISTINCT FROM $2
                 RETURNING template, tenant, priority, next_attempt_at,
                    CAST(due_at AS BIGINT) AS due_at"
            ),
            args![order, job, now],
        )
        .await?;
    let Some(row) = row else { return Ok(None) };
    if let Some(job) = job
        && river::is_cancelled(tx, job).await?
    {
        tx.execute(
            sql!(
                "UPDATE sitewright_orders SET state = {cancelled},
                        cancel_requested_at = coalesce(cancel_requested_at, $2),
                        waiting_reason = NULL, next_attempt_at = NULL, finished_at = $2
                     WHERE id = $1"
            ),
            args![order, now],
        )
        .await?;
        return Ok(Some(true));
    }
    let (next, priority) = (row.opt_int("next_attempt_at")?, row.int("priority")?);
    // A producer that inserts only an order may give it a due time.
    let not_before = row.opt_int("due_at")?.filter(|due| next.is_none() && *due > now);
    let due = next.or(not_before);
    // An order that had a job keeps its position in the queue.
    let priority = match job {
        None => {
            let (template, tenant) = (row.text("template")?, row.opt_text("tenant")?);
            share.job_priority(tx, &template, tenant.as_deref(), priority).await?
        }
        Some(_) => priority,
    };
    let new = river::replace(river, tx, order, priority, job, None, due).await?;
    match not_before {
        None => {
            let sql = "UPDATE sitewright_orders SET job_id = $2 WHERE id = $1";
            tx.execute(sql, args![order, new]).await?;
        }
        Some(due) => {
            let sql = sql!(
                "UPDATE sitewright_orders SET job_id = $2, state = {waiting}, waiting_reason = $3,
                    next_attempt_at = $4 WHERE id = $1"
            );
            tx.execute(sql, args![order, new, NOT_DUE, due]).await?;
        }
    }
    Ok(Some(false))
}
