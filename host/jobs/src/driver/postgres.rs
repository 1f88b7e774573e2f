//! PostgreSQL: how it is opened, how connections that no longer answer are recognized, its locks,
//! and its text of each named query.

use std::str::FromStr as _;
use std::sync::LazyLock;
use std::time::Duration;

use sitewright_model::time::millis;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection as _};

use super::river::QUEUE;
use super::statement::render;
use super::{ACQUIRE_TIMEOUT, OpenError, Queries, Tx, args};

/// Connections, River's included.
const CONNECTIONS: u32 = 10;
/// Timeout of a ping, before and after a connection is used: its last user may have dropped it in
/// the middle of a statement.
const PING_TIMEOUT: Duration = Duration::from_secs(5);
/// Key of the advisory lock for rescue: `siteresc` as a number.
const RESCUE_KEY: i64 = 0x7369_7465_7265_7363;
/// Key of the advisory lock for migration: `sitewrig` as a number.
const MIGRATION_KEY: i64 = 0x7369_7465_7772_6967;
/// A job that is due for longer than this, in seconds, was left by all workers.
const OVERDUE_S: i64 = 10;

/// Connects. `timeout` is how long server and client wait for each other within a transaction.
pub(crate) async fn open(url: &str, timeout: Duration) -> Result<PgPool, OpenError> {
    let options =
        PgConnectOptions::from_str(url).map_err(|error| OpenError::Url(error.to_string()))?;
    // Short, so that there is time left for a new connection after the old one was given up.
    let ping_timeout = PING_TIMEOUT.min(timeout / 4);
    let pool = PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .after_connect(move |connection, _| Box::pin(set_server_timeouts(connection, timeout)))
        // Replaced by `before_acquire`: sqlx's own ping before each use has no timeout.
        .test_before_acquire(false)
        .before_acquire(move |connection, _| Box::pin(answers(connection, ping_timeout)))
        .after_release(move |connection, _| Box::pin(answers(connection, ping_timeout)))
        .connect_with(options.application_name("sitewright"));
    pool.await.map_err(OpenError::Connect)
}

/// Whether a connection can be reused. One that does not answer is closed; the pool then opens
/// another one, to the host that has the address by now.
async fn answers(connection: &mut PgConnection, timeout: Duration) -> Result<bool, sqlx::Error> {
    match tokio::time::timeout(timeout, connection.ping()).await {
        Ok(Ok(())) => Ok(true),
        Ok(Err(error)) => {
            tracing::info!(%error, "a connection to PostgreSQL is broken and is opened anew");
            Ok(false)
        }
        Err(_) => {
            tracing::warn!(
                waited_ms = millis(timeout),
                "a connection to PostgreSQL does not answer and is given up"
            );
            Ok(false)
        }
    }
}

/// Makes the server end a transaction whose client is stopped or unreachable, and with it the locks
/// that would keep its orders from rescue.
async fn set_server_timeouts(
    connection: &mut PgConnection,
    timeout: Duration,
) -> Result<(), sqlx::Error> {
    // A live client sends its next statement at once, so a third of the timeout is enough.
    let (idle_ms, ms) = (timeout.as_millis() / 3, timeout.as_millis());
    let set =
        format!("SET idle_in_transaction_session_timeout = {idle_ms}; SET tcp_user_timeout = {ms}");
    sqlx::raw_sql(AssertSqlSafe(set)).execute(connection).await.map(drop)
}

/// Tries to get a lock that ends with the transaction.
const TRY_LOCK: &str = "SELECT CASE WHEN pg_try_advisory_xact_lock($1) THEN 1::bigint \
                                   ELSE 0::bigint END AS locked";

/// Fails at once if another session keeps writers out of River's jobs.
const LOCK_JOBS: &str = "LOCK TABLE river_job IN ROW EXCLUSIVE MODE NOWAIT";

/// A job that is due for more than `$2` seconds and that nobody has locked.
const OVERDUE_JOB: &str = "SELECT id FROM river_job
     WHERE state = 'available' AND queue = $1 AND kind = 'sitewright_order'
        AND scheduled_at < now() - $2::bigint * interval '1 second'
     LIMIT 1 FOR UPDATE SKIP LOCKED";

/// Tries to get the lock for rescue, which ends with the transaction.
pub(crate) async fn try_rescue_lock(tx: &mut Tx) -> Result<bool, sqlx::Error> {
    let row = tx.optional(TRY_LOCK, args![RESCUE_KEY]).await?;
    row.map_or(Ok(false), |row| row.int("locked").map(|locked| locked == 1))
}

/// The right to migrate a database.
pub(crate) struct MigrationLock(PgConnection);

impl MigrationLock {
    /// Waits until no other process migrates.
    pub(crate) async fn acquire(pool: &PgPool) -> Result<Self, sqlx::Error> {
        let mut connection = pool.acquire().await?.detach();
        let lock = sqlx::query("SELECT pg_advisory_lock($1)").bind(MIGRATION_KEY);
        lock.execute(&mut connection).await?;
        Ok(MigrationLock(connection))
    }

    /// Closes its connection, which releases the lock.
    pub(crate) async fn release(self) {
        drop(self.0.close().await);
    }
}

/// Whether a job has been due for [`OVERDUE_S`] although it could be fetched: the database accepts
/// writes, and neither the table nor the job is locked.
pub(crate) async fn has_overdue_job(tx: &mut Tx) -> Result<bool, sqlx::Error> {
    tx.script(LOCK_JOBS.to_owned()).await?;
    Ok(tx.optional(OVERDUE_JOB, args![QUEUE, OVERDUE_S]).await?.is_some())
}

/// See [`Queries`].
pub(crate) static QUERIES: LazyLock<Queries> = LazyLock::new(|| Queries {
    table_exists: render(
        "SELECT tablename::text AS name FROM pg_tables
         WHERE tablename = $1 AND schemaname = current_schema()",
    ),
    now_ms: render("(floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint)"),
    sequence: render("BIGSERIAL PRIMARY KEY"),
    known_failures: render(
        "SELECT id FROM sitewright_failures
         WHERE id IN (SELECT json_array_elements_text($1::json))",
    ),
    job_holders: render(
        "SELECT DISTINCT attempted_by[array_upper(attempted_by, 1)] AS worker FROM river_job
         WHERE state = 'running' AND kind = 'sitewright_order' AND attempted_by IS NOT NULL",
    ),
    unclaimed_jobs: render(
        "SELECT o.id AS id, o.job_id AS job_id
         FROM river_job j JOIN sitewright_orders o ON o.job_id = j.id
         WHERE j.state = 'running' AND o.state IN {unclaimed}
            AND j.attempted_by[array_upper(j.attempted_by, 1)] = $1
            AND ($2::bigint = 0 OR
                j.attempted_at < now() - $2::bigint * interval '1 millisecond')
         ORDER BY o.id",
    ),
    future_dated: render(
        "SELECT id FROM sitewright_orders WHERE state IN {unclaimed} AND updated_at > $1
         UNION
         SELECT o.id FROM river_job j JOIN sitewright_orders o ON o.job_id = j.id
         WHERE o.state IN {unclaimed} AND j.state = 'available'
            AND j.scheduled_at > now() + interval '30 seconds'
         ORDER BY id LIMIT 500",
    ),
    date_back: render(
        "UPDATE sitewright_orders
         SET updated_at = $2, next_attempt_at = $2 + (next_attempt_at - updated_at)
         WHERE id = $1 AND state IN {unclaimed} AND (updated_at > $3 OR EXISTS (
            SELECT 1 FROM river_job j WHERE j.id = job_id AND j.state = 'available'
                AND j.scheduled_at > now() + interval '30 seconds'))
         RETURNING priority, job_id, next_attempt_at",
    ),
    promote: render(
        "UPDATE river_job AS job SET priority = CAST(demoted.priority AS smallint),
            scheduled_at = now()
         FROM (
            SELECT j.id AS id, o.priority AS priority
            FROM sitewright_orders o JOIN river_job j ON j.id = o.job_id
            WHERE o.template = $1 AND o.state IN {unclaimed} AND j.state = 'available'
                AND j.priority > o.priority
            ORDER BY j.priority, j.scheduled_at, j.id LIMIT $2) AS demoted
         WHERE job.id = demoted.id AND job.state = 'available'",
    ),
    demote: render(
        "UPDATE river_job AS job SET priority = CAST(own.priority + 1 AS smallint)
         FROM (
            SELECT j.id AS id, o.priority AS priority
            FROM sitewright_orders o JOIN river_job j ON j.id = o.job_id
            WHERE o.template = $1 AND o.state IN {unclaimed} AND j.state = 'available'
                AND j.priority <= o.priority AND o.priority < $3
            ORDER BY j.priority DESC, j.scheduled_at DESC, j.id DESC LIMIT $2) AS own
         WHERE job.id = own.id AND job.state = 'available'",
    ),
    jobs_of_orders: render(
        "SELECT args ->> 'order' AS order_id, min(id) AS job FROM river_job
         WHERE kind = 'sitewright_order' AND queue = $2
            AND state IN ('available', 'retryable', 'running', 'scheduled')
            AND args ->> 'order' IN (SELECT json_array_elements_text(CAST($1 AS json)))
         GROUP BY args ->> 'order'",
    ),
    carry_over: render(
        "UPDATE river_job AS new SET
            errors = CASE WHEN cardinality(old.errors) > 100
                THEN old.errors[2:] ELSE old.errors END,
            attempt = least(old.attempt, 999), attempted_by = old.attempted_by,
            scheduled_at = CASE WHEN new.state = 'available'
                THEN least(old.scheduled_at, new.scheduled_at) ELSE new.scheduled_at END
         FROM river_job AS old WHERE new.id = $1 AND old.id = $2",
    ),
    finish: render(
        "UPDATE river_job SET state = $2::river_job_state, finalized_at = clock_timestamp()
         WHERE id = $1 AND finalized_at IS NULL",
    ),
    complete_all: render(
        "UPDATE river_job SET state = 'completed', finalized_at = clock_timestamp()
         WHERE id IN (SELECT CAST(value AS BIGINT)
                FROM json_array_elements_text(CAST($1 AS json)))
            AND finalized_at IS NULL",
    ),
    append_error: render(
        "UPDATE river_job SET errors = array_append(coalesce(errors, '{}'), jsonb_build_object(
            'at', to_char(clock_timestamp() AT TIME ZONE 'UTC',
                'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'),
            'attempt', attempt, 'error', $2::text, 'trace', ''))
         WHERE id = $1 AND finalized_at IS NULL",
    ),
    ensure_queue: render(
        "INSERT INTO river_queue (name, updated_at) VALUES ($1, now())
         ON CONFLICT (name) DO NOTHING",
    ),
});
