//! Our tables beside River's, and how a database gets them.

use std::path::PathBuf;
use std::sync::Arc;

use riverqueue::migrate::{self as river, PostgresMigrator, SqliteMigrator};
use sqlx::Connection as _;

use super::database::{Database, now_ms};
use super::error::Error;
use super::sql::{Pool, Tx, args};

/// The newest version of our tables that this program knows.
pub const SCHEMA_VERSION: i64 = MIGRATIONS.len() as i64;

/// Each brings the tables one version further; a published one never changes. `{now}` is the time
/// in milliseconds since the Unix epoch, `{sequence}` a key that counts up.
///
/// Who only wants an order done inserts `id`, `document` and `template` into `sitewright_orders`:
/// everything else has a default, and a worker finds orders that have no job yet. Times are
/// milliseconds since the Unix epoch, documents are JSON texts.
const MIGRATIONS: [&str; 2] = [
    "
CREATE TABLE sitewright_orders (
    id TEXT PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 200),
    document TEXT NOT NULL,
    template TEXT NOT NULL CHECK (length(template) > 0),
    priority BIGINT NOT NULL DEFAULT 2 CHECK (priority BETWEEN 1 AND 4),
    config_version TEXT,
    idempotency_key TEXT UNIQUE,
    state TEXT NOT NULL DEFAULT 'queued'
        CHECK (state IN ('queued', 'running', 'waiting', 'succeeded', 'failed', 'dead', \
     'cancelled')),
    owner_attempt TEXT,
    owner_worker TEXT,
    job_id BIGINT,
    runs BIGINT NOT NULL DEFAULT 0,
    attempts BIGINT NOT NULL DEFAULT 0,
    crashes BIGINT NOT NULL DEFAULT 0,
    current_release TEXT,
    visible_release TEXT,
    last_failure TEXT,
    waiting_reason TEXT,
    next_attempt_at BIGINT,
    cancel_requested_at BIGINT,
    created_at BIGINT NOT NULL DEFAULT {now},
    updated_at BIGINT NOT NULL DEFAULT {now},
    finished_at BIGINT,
    CHECK ((state = 'running') = (owner_attempt IS NOT NULL)),
    CHECK ((state IN ('succeeded', 'failed', 'dead', 'cancelled')) = (finished_at IS NOT NULL))
);
CREATE INDEX sitewright_orders_state ON sitewright_orders (state, updated_at);
CREATE INDEX sitewright_orders_line ON sitewright_orders (template) WHERE state = 'queued';
CREATE INDEX sitewright_orders_pending ON sitewright_orders (updated_at)
    WHERE current_release IS NOT NULL AND (visible_release IS NULL OR visible_release <> \
     current_release);
CREATE INDEX sitewright_orders_created ON sitewright_orders (created_at);

CREATE TABLE sitewright_attempts (
    id TEXT PRIMARY KEY,
    order_id TEXT NOT NULL,
    number BIGINT NOT NULL,
    worker TEXT NOT NULL,
    job_id BIGINT,
    trace_id TEXT NOT NULL,
    config_version TEXT,
    started_at BIGINT NOT NULL,
    ended_at BIGINT,
    outcome TEXT CHECK (outcome IN ('succeeded', 'failed', 'retry', 'snoozed', 'dead', \
     'cancelled', 'returned', 'crashed')),
    lease_lost_at BIGINT,
    release TEXT,
    failure_id TEXT,
    last_stage TEXT,
    UNIQUE (order_id, number)
);

CREATE TABLE sitewright_failures (
    id TEXT PRIMARY KEY,
    order_id TEXT NOT NULL,
    attempt_id TEXT,
    kind TEXT NOT NULL CHECK (length(kind) > 0),
    message TEXT NOT NULL CHECK (length(message) > 0),
    record TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX sitewright_failures_order ON sitewright_failures (order_id, created_at);

CREATE TABLE sitewright_ai_calls (
    id {sequence},
    order_id TEXT NOT NULL,
    attempt_id TEXT,
    request TEXT NOT NULL,
    occurrence BIGINT NOT NULL,
    current BIGINT NOT NULL DEFAULT 1,
    asked_again_at BIGINT,
    purpose TEXT NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    cost_nano_usd BIGINT,
    input_tokens BIGINT,
    output_tokens BIGINT,
    entry TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX sitewright_ai_calls_current ON sitewright_ai_calls (order_id, request, \
     occurrence) WHERE current = 1;

CREATE TABLE sitewright_events (
    id {sequence},
    order_id TEXT NOT NULL,
    attempt_id TEXT,
    at BIGINT NOT NULL,
    stage TEXT NOT NULL,
    done BIGINT,
    total BIGINT,
    message TEXT
);
CREATE INDEX sitewright_events_order ON sitewright_events (order_id, id);

CREATE TABLE sitewright_workers (
    client_id TEXT PRIMARY KEY,
    boot_id TEXT NOT NULL,
    host TEXT NOT NULL,
    pid BIGINT NOT NULL,
    max_orders BIGINT NOT NULL,
    started_at BIGINT NOT NULL,
    last_seen BIGINT NOT NULL,
    beats BIGINT NOT NULL
);
",
    // What failures are counted by. The index holds all that counting reads: a record is large,
    // and SQLite would pass over it to get at the columns behind it. Rows from before are
    // filled in after the migration, see `Database::fill_index`.
    "
ALTER TABLE sitewright_failures ADD COLUMN fingerprint TEXT;
ALTER TABLE sitewright_failures ADD COLUMN template TEXT;
ALTER TABLE sitewright_failures ADD COLUMN frame TEXT;
CREATE INDEX sitewright_failures_alike ON sitewright_failures (fingerprint, template, created_at, \
     order_id, kind, id);
CREATE INDEX sitewright_failures_unlike ON sitewright_failures (id) WHERE fingerprint IS NULL;
",
];

const VERSIONS: &str = "CREATE TABLE IF NOT EXISTS sitewright_schema (
    version BIGINT PRIMARY KEY,
    program TEXT NOT NULL,
    applied_at BIGINT NOT NULL
)";

/// The key of the lock under which one of several starting workers migrates: `sitewrig` as a
/// number.
const ADVISORY_LOCK: i64 = 0x7369_7465_7772_6967;

/// What `migrate` did.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Migrated {
    /// Version of our tables, before and after.
    pub from: i64,
    /// Version of our tables now.
    pub to: i64,
    /// River's versions that were applied.
    pub river: Vec<i64>,
}

impl Database {
    /// Brings River's tables and ours to the versions of this program. Of several that start at
    /// once one migrates and the others wait.
    ///
    /// # Errors
    /// When a newer program migrated the database before ([`Error::NewerSchema`]; nothing is
    /// touched), or the database fails.
    pub async fn migrate(&self) -> Result<Migrated, Error> {
        let failed = |error| Error::database("migrating", error);
        match self.pool() {
            Pool::Postgres(pool) => {
                let mut lock = pool.acquire().await.map_err(failed)?.detach();
                let locked = sqlx::query("SELECT pg_advisory_lock($1)").bind(ADVISORY_LOCK);
                locked.execute(&mut lock).await.map_err(failed)?;
                let migrated = self.migrate_locked().await;
                // Closing the connection gives the lock back, also when this fails.
                drop(lock.close().await);
                migrated
            }
            Pool::Sqlite(_) => {
                let lock = self.file_beside("migrating").map(lock_file);
                let _lock = match lock {
                    Some(locking) => Some(locking.await?),
                    None => None,
                };
                self.migrate_locked().await
            }
        }
    }

    async fn migrate_locked(&self) -> Result<Migrated, Error> {
        let (ours, rivers) = self.versions().await?;
        self.refuse_newer(ours, rivers)?;
        let migrated = match self.pool() {
            Pool::Sqlite(pool) => SqliteMigrator::new(pool.clone()).migrate_up().await,
            Pool::Postgres(pool) => PostgresMigrator::new(pool.clone()).migrate_up().await,
        };
        let river = migrated.map_err(|error| match error {
            river::Error::Database(error) => Error::database("migrating the queue's tables", error),
            other => Error::database(
                "migrating the queue's tables",
                sqlx::Error::Configuration(Box::new(other)),
            ),
        })?;
        let failed = |error| Error::database("migrating sitewright's tables", error);
        let mut tx = self.pool().begin().await.map_err(failed)?;
        apply(&mut tx, ours).await.map_err(failed)?;
        tx.commit().await.map_err(failed)?;
        self.fill_index().await?;
        Ok(Migrated { from: ours, to: SCHEMA_VERSION, river })
    }

    /// Whether the tables are those of this program.
    ///
    /// # Errors
    /// When they are older or newer, or the database fails.
    pub async fn check_schema(&self) -> Result<(), Error> {
        let (ours, rivers) = self.versions().await?;
        self.refuse_newer(ours, rivers)?;
        let older = |of, found, known| Error::OlderSchema {
            shown: self.shown().to_owned(),
            of,
            found,
            known,
        };
        if ours < SCHEMA_VERSION {
            return Err(older("sitewright's", ours, SCHEMA_VERSION));
        }
        if rivers < river::MIGRATION_VERSION_LATEST {
            return Err(older("River's", rivers, river::MIGRATION_VERSION_LATEST));
        }
        Ok(())
    }

    fn refuse_newer(&self, ours: i64, rivers: i64) -> Result<(), Error> {
        let newer = |of, found, known| Error::NewerSchema {
            shown: self.shown().to_owned(),
            of,
            found,
            known,
        };
        if ours > SCHEMA_VERSION {
            return Err(newer("sitewright's", ours, SCHEMA_VERSION));
        }
        if rivers > river::MIGRATION_VERSION_LATEST {
            return Err(newer("River's", rivers, river::MIGRATION_VERSION_LATEST));
        }
        Ok(())
    }

    /// The versions of our tables and of River's; 0 where there are none.
    async fn versions(&self) -> Result<(i64, i64), Error> {
        let failed = |error| Error::database("reading the schema version", error);
        let exists = self.pool().pick(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name = $1",
            "SELECT tablename::text AS name FROM pg_tables WHERE tablename = $1 AND schemaname = \
             current_schema()",
        );
        let mut versions = [0, 0];
        let tables = [
            (
                "sitewright_schema",
                "SELECT coalesce(max(version), 0) AS version FROM sitewright_schema",
            ),
            ("river_migration", "SELECT coalesce(max(version), 0) AS version FROM river_migration"),
        ];
        for ((table, sql), version) in tables.into_iter().zip(&mut versions) {
            if !self.pool().all(exists, args![table]).await.map_err(failed)?.is_empty() {
                let rows = self.pool().all(sql, vec![]).await.map_err(failed)?;
                *version = rows.first().map_or(Ok(0), |row| row.int("version")).map_err(failed)?;
            }
        }
        Ok((versions[0], versions[1]))
    }
}

async fn apply(tx: &mut Tx, from: i64) -> Result<(), sqlx::Error> {
    tx.script(VERSIONS.to_owned()).await?;
    let now = tx.pick(
        "(CAST((julianday('now') - 2440587.5) * 86400000.0 AS INTEGER))",
        "(floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint)",
    );
    let sequence = tx.pick("INTEGER PRIMARY KEY AUTOINCREMENT", "BIGSERIAL PRIMARY KEY");
    for (version, migration) in (1..).zip(MIGRATIONS) {
        if version > from {
            tx.script(migration.replace("{now}", now).replace("{sequence}", sequence)).await?;
            tx.execute(
                "INSERT INTO sitewright_schema (version, program, applied_at) VALUES ($1, $2, $3)",
                args![version, env!("CARGO_PKG_VERSION"), now_ms()],
            )
            .await?;
        }
    }
    Ok(())
}

/// Waits for a file of its own; the lock ends with the file.
async fn lock_file(path: PathBuf) -> Result<std::fs::File, Error> {
    let shown = path.display().to_string();
    let failed =
        |source: std::io::Error| Error::LockFile { path: shown.clone(), source: Arc::new(source) };
    let locked = tokio::task::spawn_blocking(move || {
        let file =
            std::fs::OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
        file.lock()?;
        Ok(file)
    });
    locked.await.map_err(|error| failed(std::io::Error::other(error)))?.map_err(failed)
}
