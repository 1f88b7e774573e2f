//! SQLite: how it is opened, and its text of each named query.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::sync::LazyLock;
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};

use super::statement::render;
use super::{ACQUIRE_TIMEOUT, OpenError, Queries};
use crate::open_cause::OpenCause;

/// Connections: readers, River's, and the one that writes.
const CONNECTIONS: u32 = 6;
/// Page cache of each connection, in KiB; SQLite's default is 2,000. The system caches the file as
/// well, and most reads are of what was just written.
const CACHE_KIB: u32 = 256;
/// How long SQLite waits for another process that writes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Opens the file that the URL names. Creates it, with mode 0600 because documents and replies are
/// in it, and its folder if they are missing.
pub(crate) async fn open(url: &str) -> Result<(SqlitePool, PathBuf), OpenError> {
    if url.contains(":memory:") || url.contains("mode=memory") {
        return Err(OpenError::Url("a database in memory forgets its orders".to_owned()));
    }
    let options = SqliteConnectOptions::from_str(url)
        .map_err(|error| OpenError::Url(crate::open_cause::words(&error)))?
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // Measured: as fast as NORMAL, and nothing acknowledged is lost with the power.
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_TIMEOUT)
        .pragma("cache_size", format!("-{CACHE_KIB}"))
        // A transaction that changes more than the cache holds writes to the file at its end only.
        .pragma("cache_spill", "OFF")
        // What is deleted or replaced is overwritten, on every connection: what a customer wants
        // erased may be in rows that were deleted long before (prompts that a batch has answered).
        .pragma("secure_delete", "ON")
        .foreign_keys(false)
        .optimize_on_close(true, None);
    let file = options.get_filename().to_owned();
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        let created = tokio::fs::create_dir_all(folder).await;
        created.map_err(|error| failed(sqlx::Error::Io(error)))?;
    }
    // SQLite's own files beside it get the same mode. If it cannot be created here, SQLite's error
    // says why.
    let mut private = tokio::fs::OpenOptions::new();
    drop(private.write(true).create_new(true).mode(0o600).open(&file).await);
    close_to_others(&file).await;
    let pool = SqlitePoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .after_release(|connection, _| Box::pin(has_left_its_transaction(connection)))
        .connect_with(options);
    Ok((pool.await.map_err(failed)?, file))
}

fn failed(error: sqlx::Error) -> OpenError {
    OpenError::Connect(OpenCause::of_sqlite(&error), error)
}

/// Takes the rights of users outside the group away from a database that an earlier version has
/// created. Does nothing to a file of another user.
async fn close_to_others(file: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        let mut path = file.as_os_str().to_owned();
        path.push(suffix);
        let Ok(found) = tokio::fs::metadata(&path).await else { continue };
        let mode = found.permissions().mode();
        if mode & 0o007 != 0 {
            let mode = std::fs::Permissions::from_mode(mode & 0o7770);
            if let Err(error) = tokio::fs::set_permissions(&path, mode).await {
                tracing::warn!(
                    file = %Path::new(&path).display(),
                    %error,
                    "the database can be read by other users: run `chmod o-rwx` on it"
                );
            }
        }
    }
}

/// The file that the URL names; `None` if the URL is not one of SQLite's.
pub(crate) fn file_of(url: &str) -> Option<PathBuf> {
    let options = url.starts_with("sqlite:").then(|| SqliteConnectOptions::from_str(url).ok());
    options.flatten().map(|options| options.get_filename().to_owned())
}

/// Whether a connection can be reused. SQLite ends a transaction by itself if the disk is full (or
/// broken, or memory is short); the rollback that follows fails then, and sqlx 0.9.0 counts the
/// transaction as open for ever: every later `BEGIN` on that connection is refused. Such a
/// connection is closed instead of returned to the pool.
async fn has_left_its_transaction(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    use sqlx::Connection as _;
    if connection.is_in_transaction() {
        // The rollback of a dropped transaction may still be queued; a ping waits behind it.
        connection.ping().await?;
    }
    Ok(!connection.is_in_transaction())
}

/// See [`Queries`].
pub(crate) static QUERIES: LazyLock<Queries> = LazyLock::new(|| Queries {
    table_exists: render("SELECT name FROM sqlite_master WHERE type = 'table' AND name = $1"),
    now_ms: render("(CAST((julianday('now') - 2440587.5) * 86400000.0 AS INTEGER))"),
    sequence: render("INTEGER PRIMARY KEY AUTOINCREMENT"),
    unique: render("lower(hex(randomblob(16)))"),
    known_failures: render(
        "SELECT id FROM sitewright_failures WHERE id IN (SELECT value FROM json_each($1))",
    ),
    job_holders: render(
        "SELECT DISTINCT attempted_by ->> '$[#-1]' AS worker FROM river_job
         WHERE state = 'running' AND kind = 'sitewright_order' AND attempted_by IS NOT NULL",
    ),
    unclaimed_jobs: render(
        "SELECT o.id AS id, o.job_id AS job_id
         FROM river_job j JOIN sitewright_orders o ON o.job_id = j.id
         WHERE j.state = 'running' AND o.state IN {unclaimed}
            AND j.attempted_by ->> '$[#-1]' = $1
            AND ($2 = 0 OR j.attempted_at <
                strftime('%Y-%m-%d %H:%M:%f', 'now', '-' || ($2 / 1000.0) || ' seconds'))
         ORDER BY o.id",
    ),
    future_dated: render(
        "SELECT id FROM sitewright_orders WHERE state IN {unclaimed} AND updated_at > $1
         UNION
         SELECT o.id FROM river_job j JOIN sitewright_orders o ON o.job_id = j.id
         WHERE o.state IN {unclaimed} AND j.state = 'available'
            AND j.scheduled_at > strftime('%Y-%m-%d %H:%M:%f', 'now', '30 seconds')
         ORDER BY id LIMIT 500",
    ),
    date_back: render(
        "UPDATE sitewright_orders
         SET updated_at = $2, next_attempt_at = CASE
            WHEN CAST(due_at AS BIGINT) > $2 THEN CAST(due_at AS BIGINT)
            ELSE $2 + (next_attempt_at - updated_at) END
         WHERE id = $1 AND state IN {unclaimed} AND (updated_at > $3 OR EXISTS (
            SELECT 1 FROM river_job j WHERE j.id = job_id AND j.state = 'available'
                AND j.scheduled_at > strftime('%Y-%m-%d %H:%M:%f', 'now', '30 seconds')))
         RETURNING priority, job_id, next_attempt_at",
    ),
    promote: render(
        "UPDATE river_job SET priority = demoted.priority,
            scheduled_at = strftime('%Y-%m-%d %H:%M:%f', 'now')
         FROM (
            SELECT j.id AS id, o.priority AS priority
            FROM sitewright_orders o JOIN river_job j ON j.id = o.job_id
            WHERE o.template = $1 AND o.state IN {unclaimed} AND j.state = 'available'
                AND j.priority > o.priority AND o.tenant IS NOT DISTINCT FROM $3
            ORDER BY j.priority, j.scheduled_at, j.id LIMIT $2) AS demoted
         WHERE river_job.id = demoted.id",
    ),
    demote: render(
        "UPDATE river_job SET priority = own.priority + 1
         FROM (
            SELECT j.id AS id, o.priority AS priority
            FROM sitewright_orders o JOIN river_job j ON j.id = o.job_id
            WHERE o.template = $1 AND o.state IN {unclaimed} AND j.state = 'available'
                AND j.priority <= o.priority AND o.priority < $3
                AND o.tenant IS NOT DISTINCT FROM $4
            ORDER BY j.priority DESC, j.scheduled_at DESC, j.id DESC LIMIT $2) AS own
         WHERE river_job.id = own.id",
    ),
    jobs_of_orders: render(
        "SELECT args ->> '$.order' AS order_id, min(id) AS job FROM river_job
         WHERE kind = 'sitewright_order' AND queue = $2
            AND state IN ('available', 'retryable', 'running', 'scheduled')
            AND args ->> '$.order' IN (SELECT value FROM json_each($1))
         GROUP BY args ->> '$.order'",
    ),
    carry_over: render(
        "UPDATE river_job SET
            errors = (SELECT CASE WHEN json_array_length(errors) > 100
                THEN jsonb_remove(errors, '$[0]') ELSE errors END FROM river_job WHERE id = $2),
            attempt = coalesce((SELECT min(attempt, 999) FROM river_job WHERE id = $2), 0),
            attempted_by = (SELECT attempted_by FROM river_job WHERE id = $2),
            scheduled_at = CASE WHEN state = 'available'
                THEN coalesce((SELECT min(scheduled_at, river_job.scheduled_at)
                    FROM river_job AS old WHERE old.id = $2), scheduled_at)
                ELSE scheduled_at END
         WHERE id = $1",
    ),
    finish: render(
        "UPDATE river_job SET state = $2, finalized_at = strftime('%Y-%m-%d %H:%M:%f', 'now')
         WHERE id = $1 AND finalized_at IS NULL",
    ),
    complete_all: render(
        "UPDATE river_job
         SET state = 'completed', finalized_at = strftime('%Y-%m-%d %H:%M:%f', 'now')
         WHERE id IN (SELECT CAST(value AS BIGINT) FROM json_each($1)) AND finalized_at IS NULL",
    ),
    append_error: render(
        "UPDATE river_job SET errors = jsonb_insert(coalesce(errors, jsonb('[]')), '$[#]',
            jsonb(json_object('at', strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), 'attempt', attempt,
                'error', $2, 'trace', '')))
         WHERE id = $1 AND finalized_at IS NULL",
    ),
    ensure_queue: render(
        "INSERT INTO river_queue (name, metadata, updated_at)
         VALUES ($1, jsonb('{}'), CURRENT_TIMESTAMP) ON CONFLICT (name) DO NOTHING",
    ),
    make_due: render(
        "UPDATE river_job SET state = 'available', queue = $2,
            scheduled_at = strftime('%Y-%m-%d %H:%M:%f', 'now'),
            priority = CASE WHEN $3 = 1 THEN 1 ELSE priority END
         WHERE id IN (SELECT CAST(value AS BIGINT) FROM json_each($1))
            AND state IN ('available', 'scheduled', 'retryable')",
    ),
});
