//! River's jobs. Pinned to one version of River, and tested against it.
//!
//! A job is used once. River's workers write their result by the job's id alone, so a worker that
//! was suspended could finish a newer attempt when it resumes. Therefore each further attempt of an
//! order gets a new job that carries on the old one's errors, and the old one is deleted: what a
//! late worker writes matches no row.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use riverqueue::{Client, InsertOpts, JobArgs, QUEUE_DEFAULT, jiff};
use serde::{Deserialize, Serialize};

use sitewright_model::time::now_ms;

use super::{Pool, Row, Tx, Value, args, sql};
use crate::database::Database;
use crate::error::Error;
use crate::model::Priority;

/// The queue of all orders: also the default of producers in other languages.
pub(crate) const QUEUE: &str = QUEUE_DEFAULT;

/// Attempts of one job, by River's count: only a backstop. The order's row counts attempts, and
/// tells crashes from waiting.
const MAX_ATTEMPTS: i32 = 1_000;

/// A job names its order; everything else is in the order's row.
#[derive(Debug, Clone, Serialize, Deserialize, JobArgs)]
#[river(kind = "sitewright_order")]
pub(crate) struct OrderJob {
    pub(crate) order: String,
}

/// A client that inserts and cancels jobs, and works none. It is created on first use: most
/// processes that open a database only read, and River reserves 6 MiB for events in each client.
#[derive(Debug, Clone)]
pub(crate) struct JobClient {
    pool: Pool,
    client: Arc<OnceLock<Client>>,
}

impl JobClient {
    pub(crate) fn new(pool: &Pool) -> Self {
        JobClient { pool: pool.clone(), client: Arc::default() }
    }

    pub(crate) fn get(&self) -> Result<&Client, riverqueue::Error> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let builder = match &self.pool {
            Pool::Sqlite(pool) => Client::builder(pool),
            #[cfg(feature = "postgres")]
            Pool::Postgres(pool) => Client::builder(pool),
        };
        // River notifies its workers of at most one insertion per cooldown and leaves the others
        // to the next poll.
        let builder =
            builder.fetch_cooldown(Duration::from_millis(1)).default_max_attempts(MAX_ATTEMPTS);
        let client = builder.build()?;
        Ok(self.client.get_or_init(|| client))
    }
}

/// River's errors inside a transaction, as the transaction's.
pub(crate) fn unwrapped(error: riverqueue::Error) -> sqlx::Error {
    match error {
        riverqueue::Error::Database(error) => error,
        other => sqlx::Error::Configuration(Box::new(other)),
    }
}

const DELETE_JOB: &str = "DELETE FROM river_job WHERE id = $1";
const CANCELLED_JOB: &str = "SELECT id FROM river_job WHERE id = $1 AND state = 'cancelled'";
const RESIGN: &str = "DELETE FROM river_leader WHERE leader_id = $1";
const PAUSED_QUEUE: &str = "SELECT name FROM river_queue WHERE name = $1 AND paused_at IS NOT NULL";

/// The version of River's tables; `river_migration` must exist.
pub(crate) const SCHEMA_VERSION: &str =
    "SELECT coalesce(max(version), 0) AS version FROM river_migration";
/// The table whose existence tells whether River's tables exist.
pub(crate) const SCHEMA_TABLE: &str = "river_migration";

/// Inserts the job of an order, due at `at` or now.
pub(crate) async fn insert(
    client: &JobClient,
    tx: &mut Tx,
    order: &str,
    priority: i64,
    at: Option<i64>,
) -> Result<i64, sqlx::Error> {
    let mut options = InsertOpts::default().with_priority(i16::try_from(priority).unwrap_or(2));
    if let Some(at) = at.filter(|at| *at > now_ms()) {
        options = options.with_scheduled_at(
            jiff::Timestamp::from_millisecond(at).unwrap_or(jiff::Timestamp::MAX),
        );
    }
    let insert =
        client.get().map_err(unwrapped)?.insert(OrderJob { order: order.to_owned() }).opts(options);
    let inserted = match tx {
        Tx::Sqlite(tx) => insert.tx(tx).await,
        #[cfg(feature = "postgres")]
        Tx::Postgres(tx) => insert.tx(tx).await,
    };
    inserted.map(|inserted| inserted.id()).map_err(unwrapped)
}

/// Inserts the jobs of orders, due now, by one request: pairs of order and priority. The jobs' ids,
/// in the same order.
pub(crate) async fn insert_all(
    client: &JobClient,
    tx: &mut Tx,
    orders: &[(String, i64)],
) -> Result<Vec<i64>, sqlx::Error> {
    // River refuses an empty batch.
    if orders.is_empty() {
        return Ok(Vec::new());
    }
    let jobs = orders.iter().map(|(order, priority)| {
        let options = InsertOpts::default().with_priority(i16::try_from(*priority).unwrap_or(2));
        (OrderJob { order: order.clone() }, options)
    });
    let insert = client.get().map_err(unwrapped)?.insert_many(jobs);
    let inserted = match tx {
        Tx::Sqlite(tx) => insert.tx(tx).await,
        #[cfg(feature = "postgres")]
        Tx::Postgres(tx) => insert.tx(tx).await,
    };
    let inserted = inserted.map_err(unwrapped)?;
    Ok(inserted.iter().map(riverqueue::InsertResult::id).collect())
}

/// The jobs of those orders that have an unfinished one which a producer inserted without writing
/// it into the order's row. The oldest, if there are several.
pub(crate) async fn jobs_of(
    database: &Database,
    orders: &[&str],
) -> Result<HashMap<String, i64>, Error> {
    let doing = "looking for jobs that a producer inserted";
    if orders.is_empty() {
        return Ok(HashMap::new());
    }
    let sql = &database.pool().queries().jobs_of_orders;
    let rows =
        database.read(doing, sql, args![&serde_json::json!(orders).to_string(), QUEUE]).await?;
    let read = |row: &Row| Ok((row.text("order_id")?, row.int("job")?));
    rows.iter().map(read).collect::<Result<_, _>>().map_err(|error| Error::database(doing, error))
}

/// Replaces an order's job with a new one that keeps the old one's errors, adds `error`, and keeps
/// the position in the queue if it is due now. At most 999 attempts are carried over (River's
/// column is a `smallint`, and one overflow fails the fetch of all jobs) and the last 100 errors.
pub(crate) async fn replace(
    client: &JobClient,
    tx: &mut Tx,
    order: &str,
    priority: i64,
    old: Option<i64>,
    error: Option<&str>,
    at: Option<i64>,
) -> Result<i64, sqlx::Error> {
    let new = insert(client, tx, order, priority, at).await?;
    let Some(old) = old else { return Ok(new) };
    if let Some(error) = error {
        append_error(tx, old, error).await?;
    }
    let carry = &tx.queries().carry_over;
    tx.execute(carry, args![new, old]).await?;
    tx.execute(DELETE_JOB, args![old]).await?;
    Ok(new)
}

/// How a job ends with its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JobEnd {
    Completed,
    Discarded,
    Cancelled,
}

/// Ends a job that has not ended.
pub(crate) async fn finish(
    tx: &mut Tx,
    job: i64,
    end: JobEnd,
    error: Option<&str>,
) -> Result<(), sqlx::Error> {
    if let Some(error) = error {
        append_error(tx, job, error).await?;
    }
    let state = match end {
        JobEnd::Completed => "completed",
        JobEnd::Discarded => "discarded",
        JobEnd::Cancelled => "cancelled",
    };
    let finish = &tx.queries().finish;
    tx.execute(finish, args![job, state]).await.map(drop)
}

/// Completes jobs that have not ended.
pub(crate) async fn complete_all(tx: &mut Tx, jobs: &[i64]) -> Result<(), sqlx::Error> {
    let complete = &tx.queries().complete_all;
    let list = serde_json::json!(jobs).to_string();
    tx.execute(complete, args![&list]).await.map(drop)
}

async fn append_error(tx: &mut Tx, job: i64, error: &str) -> Result<(), sqlx::Error> {
    let append = &tx.queries().append_error;
    tx.execute(append, args![job, error]).await.map(drop)
}

/// Cancels a job: a waiting one at once; the worker of a running one is notified.
pub(crate) async fn cancel(client: &JobClient, tx: &mut Tx, job: i64) -> Result<(), sqlx::Error> {
    let client = client.get().map_err(unwrapped)?;
    let cancelled = match tx {
        Tx::Sqlite(tx) => client.jobs().cancel(job).tx(tx).await,
        #[cfg(feature = "postgres")]
        Tx::Postgres(tx) => client.jobs().cancel(job).tx(tx).await,
    };
    match cancelled {
        Ok(_) | Err(riverqueue::Error::NotFound(_)) => Ok(()),
        Err(error) => Err(unwrapped(error)),
    }
}

/// Creates the queue's row, so that it can be paused before its first worker starts.
pub(crate) async fn ensure_queue(tx: &mut Tx) -> Result<(), sqlx::Error> {
    let ensure = &tx.queries().ensure_queue;
    tx.execute(ensure, args![QUEUE]).await.map(drop)
}

/// Deletes jobs. The number of jobs.
pub(crate) async fn delete_all(tx: &mut Tx, jobs: &[i64]) -> Result<u64, sqlx::Error> {
    let sql = tx.pick(
        "DELETE FROM river_job WHERE id IN (SELECT CAST(value AS BIGINT) FROM json_each($1))",
        "DELETE FROM river_job WHERE id IN (SELECT CAST(value AS BIGINT)
            FROM json_array_elements_text(CAST($1 AS json)))",
    );
    tx.execute(sql, args![&serde_json::json!(jobs).to_string()]).await
}

/// Deletes all jobs that an order ever had: their errors say what it failed of. Reads all jobs.
pub(crate) async fn delete_all_of(tx: &mut Tx, order: &str) -> Result<u64, sqlx::Error> {
    let sql = tx.pick(
        "DELETE FROM river_job WHERE kind = 'sitewright_order' AND args ->> '$.order' = $1",
        "DELETE FROM river_job WHERE kind = 'sitewright_order' AND args ->> 'order' = $1",
    );
    tx.execute(sql, args![order]).await
}

/// Deletes up to 500 jobs with an id above `after` that ended before `before` (milliseconds since
/// the Unix epoch) and that no order has any more. Their number, and the last one's id.
pub(crate) async fn delete_leftovers(
    tx: &mut Tx,
    before: i64,
    after: i64,
) -> Result<(u64, Option<i64>), sqlx::Error> {
    let sql = tx.pick(
        "SELECT j.id AS id FROM river_job j
            LEFT JOIN sitewright_orders o ON o.id = j.args ->> '$.order'
         WHERE j.kind = 'sitewright_order' AND j.id > $2
            AND j.finalized_at < strftime('%Y-%m-%d %H:%M:%f', $1 / 1000.0, 'unixepoch')
            AND (o.id IS NULL OR o.job_id IS NULL OR o.job_id <> j.id)
         ORDER BY j.id LIMIT 500",
        "SELECT j.id AS id FROM river_job j
            LEFT JOIN sitewright_orders o ON o.id = j.args ->> 'order'
         WHERE j.kind = 'sitewright_order' AND j.id > $2
            AND j.finalized_at < to_timestamp($1::bigint / 1000.0)
            AND (o.id IS NULL OR o.job_id IS NULL OR o.job_id <> j.id)
         ORDER BY j.id LIMIT 500",
    );
    let rows = tx.all(sql, args![before, after]).await?;
    let jobs = rows.iter().map(|row| row.int("id")).collect::<Result<Vec<_>, _>>()?;
    Ok((delete_all(tx, &jobs).await?, jobs.last().copied()))
}

/// Whether the job was cancelled.
pub(crate) async fn is_cancelled(tx: &mut Tx, job: i64) -> Result<bool, sqlx::Error> {
    Ok(tx.optional(CANCELLED_JOB, args![job]).await?.is_some())
}

/// Ends the leadership of a worker that has ended, which would last for up to 15 s: until then no
/// waiting job becomes due.
pub(crate) async fn resign(tx: &mut Tx, worker: &str) -> Result<(), sqlx::Error> {
    tx.execute(RESIGN, args![worker]).await.map(drop)
}

/// Whether the queue is paused.
pub(crate) async fn is_paused(database: &Database) -> Result<bool, Error> {
    let doing = "reading whether the queue is paused";
    Ok(!database.read(doing, PAUSED_QUEUE, args![QUEUE]).await?.is_empty())
}

/// Orders whose job is missing or has ended, unchanged since `before` (milliseconds since the Unix
/// epoch). At most 500.
pub(crate) fn orphaned_orders(before: i64) -> (&'static str, Vec<Value>) {
    let sql = sql!(
        "SELECT o.id AS id, o.job_id AS job_id
         FROM sitewright_orders o LEFT JOIN river_job j ON j.id = o.job_id
         WHERE o.state IN {unclaimed} AND o.updated_at < $1
            AND (j.id IS NULL OR j.finalized_at IS NOT NULL)
         ORDER BY o.id LIMIT 500"
    );
    (sql, args![before])
}

/// For each template, the number of due jobs with their order's own priority and of demoted ones.
/// Orders of the lowest priority cannot be demoted and are not counted.
pub(crate) fn due_jobs_by_template() -> (&'static str, Vec<Value>) {
    let sql = sql!(
        "SELECT o.template AS template, o.tenant AS tenant,
            CAST(sum(CASE WHEN j.priority > o.priority THEN 0 ELSE 1 END) AS BIGINT) AS own,
            CAST(sum(CASE WHEN j.priority > o.priority THEN 1 ELSE 0 END) AS BIGINT) AS demoted
         FROM sitewright_orders o JOIN river_job j ON j.id = o.job_id
         WHERE o.state IN {unclaimed} AND j.state = 'available' AND o.priority < $1
         GROUP BY o.template, o.tenant"
    );
    (sql, args![i64::from(Priority::LOWEST)])
}
