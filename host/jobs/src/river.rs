//! All that is known here about River's own tables. Pinned to one version of River, and tested
//! against it.
//!
//! A job is used once. River's workers write their result by the job's id alone, so one that was
//! suspended and wakes up later could finish a newer attempt. Therefore each further attempt of an
//! order gets a new job that carries on the old one's errors, and the old one is gone: what a late
//! worker writes meets no row.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use riverqueue::{Client, InsertOpts, JobArgs, QUEUE_DEFAULT, jiff};
use serde::{Deserialize, Serialize};

use super::database::{Database, now_ms};
use super::error::Error;
use super::sql::{Pool, Row, Tx, args};

/// The queue of all orders: also the default of producers in other languages.
pub(super) const QUEUE: &str = QUEUE_DEFAULT;

/// River counts for itself; we count in the order, where crashes and waiting are told apart. This
/// is only the backstop.
const MAX_ATTEMPTS: i32 = 1_000;

/// A job names its order; everything else stands in the order's row.
#[derive(Debug, Clone, Serialize, Deserialize, JobArgs)]
#[river(kind = "sitewright_order")]
pub(super) struct OrderJob {
    pub(super) order: String,
}

/// A client that inserts and cancels jobs, and works none. It is made when it is first needed: most
/// who open a database only look, and River gives each client room for 65,536 events, 6 MiB,
/// whoever reads them.
#[derive(Debug, Clone)]
pub(super) struct Inserter {
    pool: Pool,
    client: Arc<OnceLock<Client>>,
}

impl Inserter {
    pub(super) fn new(pool: &Pool) -> Self {
        Inserter { pool: pool.clone(), client: Arc::default() }
    }

    pub(super) fn client(&self) -> Result<&Client, riverqueue::Error> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let builder = match &self.pool {
            Pool::Sqlite(pool) => Client::builder(pool),
            Pool::Postgres(pool) => Client::builder(pool),
        };
        // River tells its workers of at most one insertion per cooldown and leaves the others to
        // the next poll.
        let builder =
            builder.fetch_cooldown(Duration::from_millis(1)).default_max_attempts(MAX_ATTEMPTS);
        let client = builder.build()?;
        Ok(self.client.get_or_init(|| client))
    }
}

/// River's errors inside a transaction, as the transaction's.
pub(super) fn unwrapped(error: riverqueue::Error) -> sqlx::Error {
    match error {
        riverqueue::Error::Database(error) => error,
        other => sqlx::Error::Configuration(Box::new(other)),
    }
}

/// Inserts the job of an order, due at `at` or now.
pub(super) async fn insert(
    inserter: &Inserter,
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
    let insert = inserter
        .client()
        .map_err(unwrapped)?
        .insert(OrderJob { order: order.to_owned() })
        .opts(options);
    let inserted = match tx {
        Tx::Sqlite(tx) => insert.tx(tx).await,
        Tx::Postgres(tx) => insert.tx(tx).await,
    };
    inserted.map(|inserted| inserted.id()).map_err(unwrapped)
}

/// The jobs that workers take or have, of those orders that have one: a producer inserts it without
/// telling the order. The oldest, where there are several.
pub(super) async fn jobs_of(
    database: &Database,
    orders: &[&str],
) -> Result<HashMap<String, i64>, Error> {
    let doing = "looking for jobs that a producer inserted";
    if orders.is_empty() {
        return Ok(HashMap::new());
    }
    let sql = database.pool().pick(
        "SELECT args ->> '$.order' AS order_id, min(id) AS job FROM river_job
         WHERE kind = 'sitewright_order' AND queue = $2 AND state IN ('available', 'retryable', \
         'running', 'scheduled')
            AND args ->> '$.order' IN (SELECT value FROM json_each($1))
         GROUP BY args ->> '$.order'",
        "SELECT args ->> 'order' AS order_id, min(id) AS job FROM river_job
         WHERE kind = 'sitewright_order' AND queue = $2 AND state IN ('available', 'retryable', \
         'running', 'scheduled')
            AND args ->> 'order' IN (SELECT json_array_elements_text(CAST($1 AS json)))
         GROUP BY args ->> 'order'",
    );
    let rows =
        database.read(doing, sql, args![&serde_json::json!(orders).to_string(), QUEUE]).await?;
    let read = |row: &Row| Ok((row.text("order_id")?, row.int("job")?));
    rows.iter().map(read).collect::<Result<_, _>>().map_err(|error| Error::database(doing, error))
}

/// Puts a new job in the place of an order's old one, with its errors and this one, and its place
/// in the line when it is due now. Of an order that a provider's limit puts off again and again
/// River counts at most 999 attempts (its column is a `smallint`, and an attempt too many stands in
/// the way of all jobs that are fetched with it) and keeps the last errors.
pub(super) async fn replace(
    inserter: &Inserter,
    tx: &mut Tx,
    order: &str,
    priority: i64,
    old: Option<i64>,
    error: Option<&str>,
    at: Option<i64>,
) -> Result<i64, sqlx::Error> {
    let new = insert(inserter, tx, order, priority, at).await?;
    let Some(old) = old else { return Ok(new) };
    if let Some(error) = error {
        append_error(tx, old, error).await?;
    }
    let carry = tx.pick(
        "UPDATE river_job SET
            errors = (SELECT CASE WHEN json_array_length(errors) > 100 THEN jsonb_remove(errors, \
         '$[0]') ELSE errors END
                FROM river_job WHERE id = $2),
            attempt = coalesce((SELECT min(attempt, 999) FROM river_job WHERE id = $2), 0),
            attempted_by = (SELECT attempted_by FROM river_job WHERE id = $2),
            scheduled_at = CASE WHEN state = 'available'
                THEN coalesce((SELECT min(scheduled_at, river_job.scheduled_at) FROM river_job AS \
         old WHERE old.id = $2), scheduled_at)
                ELSE scheduled_at END
         WHERE id = $1",
        "UPDATE river_job AS new SET
            errors = CASE WHEN cardinality(old.errors) > 100 THEN old.errors[2:] ELSE old.errors \
         END,
            attempt = least(old.attempt, 999), attempted_by = old.attempted_by,
            scheduled_at = CASE WHEN new.state = 'available'
                THEN least(old.scheduled_at, new.scheduled_at) ELSE new.scheduled_at END
         FROM river_job AS old WHERE new.id = $1 AND old.id = $2",
    );
    tx.execute(carry, args![new, old]).await?;
    tx.execute("DELETE FROM river_job WHERE id = $1", args![old]).await?;
    Ok(new)
}

/// How a job ends with its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JobEnd {
    Completed,
    Discarded,
    Cancelled,
}

/// Ends a job that has not ended.
pub(super) async fn finish(
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
    let finish = tx.pick(
        "UPDATE river_job SET state = $2, finalized_at = strftime('%Y-%m-%d %H:%M:%f', 'now')
         WHERE id = $1 AND finalized_at IS NULL",
        "UPDATE river_job SET state = $2::river_job_state, finalized_at = clock_timestamp()
         WHERE id = $1 AND finalized_at IS NULL",
    );
    tx.execute(finish, args![job, state]).await.map(drop)
}

/// Ends many jobs well that have not ended.
pub(super) async fn complete_all(tx: &mut Tx, jobs: &[i64]) -> Result<(), sqlx::Error> {
    let complete = tx.pick(
        "UPDATE river_job SET state = 'completed', finalized_at = strftime('%Y-%m-%d %H:%M:%f', \
         'now')
         WHERE id IN (SELECT CAST(value AS BIGINT) FROM json_each($1)) AND finalized_at IS NULL",
        "UPDATE river_job SET state = 'completed', finalized_at = clock_timestamp()
         WHERE id IN (SELECT CAST(value AS BIGINT) FROM json_array_elements_text(CAST($1 AS \
         json))) AND finalized_at IS NULL",
    );
    let list = serde_json::json!(jobs).to_string();
    tx.execute(complete, args![&list]).await.map(drop)
}

async fn append_error(tx: &mut Tx, job: i64, error: &str) -> Result<(), sqlx::Error> {
    let append = tx.pick(
        "UPDATE river_job SET errors = jsonb_insert(coalesce(errors, jsonb('[]')), '$[#]', \
         jsonb(json_object(
            'at', strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), 'attempt', attempt, 'error', $2, 'trace', \
         '')))
         WHERE id = $1 AND finalized_at IS NULL",
        "UPDATE river_job SET errors = array_append(coalesce(errors, '{}'), jsonb_build_object(
            'at', to_char(clock_timestamp() AT TIME ZONE 'UTC', \
         'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'),
            'attempt', attempt, 'error', $2::text, 'trace', ''))
         WHERE id = $1 AND finalized_at IS NULL",
    );
    tx.execute(append, args![job, error]).await.map(drop)
}

/// Asks River to cancel: a job that waits is cancelled now, the worker of one that runs is told.
pub(super) async fn cancel(inserter: &Inserter, tx: &mut Tx, job: i64) -> Result<(), sqlx::Error> {
    let client = inserter.client().map_err(unwrapped)?;
    let cancelled = match tx {
        Tx::Sqlite(tx) => client.jobs().cancel(job).tx(tx).await,
        Tx::Postgres(tx) => client.jobs().cancel(job).tx(tx).await,
    };
    match cancelled {
        Ok(_) | Err(riverqueue::Error::NotFound(_)) => Ok(()),
        Err(error) => Err(unwrapped(error)),
    }
}

/// Makes the queue's row, so that it can be paused before its first worker starts.
pub(super) async fn ensure_queue(tx: &mut Tx) -> Result<(), sqlx::Error> {
    let ensure = tx.pick(
        "INSERT INTO river_queue (name, metadata, updated_at) VALUES ($1, jsonb('{}'), \
         CURRENT_TIMESTAMP) ON CONFLICT (name) DO NOTHING",
        "INSERT INTO river_queue (name, updated_at) VALUES ($1, now()) ON CONFLICT (name) DO \
         NOTHING",
    );
    tx.execute(ensure, args![QUEUE]).await.map(drop)
}
