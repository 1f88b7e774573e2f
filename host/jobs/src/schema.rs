//! Our tables beside River's, and their migrations.

#[cfg(feature = "postgres")]
use riverqueue::migrate::PostgresMigrator;
use riverqueue::migrate::{self as river, SqliteMigrator};
use sitewright_model::time::now_ms;

use super::database::Database;
#[cfg(feature = "postgres")]
use super::driver::postgres::MigrationLock;
use super::driver::{Pool, Tx, args, river as queue};
use super::error::Error;
use super::locks::lock_file;

/// The newest version of our tables that this build knows.
pub const SCHEMA_VERSION: i64 = MIGRATIONS.len() as i64;

/// Each migration brings the tables one version further; a published one never changes. `{now}` is
/// the time in milliseconds since the Unix epoch, `{sequence}` a key that counts up.
///
/// A producer needs to insert only `id`, `document` and `template` into `sitewright_orders`:
/// everything else has a default, and workers give a job to orders without one. Times are
/// milliseconds since the Unix epoch, documents are JSON texts.
const MIGRATIONS: [&str; 3] = [
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
    // Columns that failures are counted by. The index holds all that counting reads: records are
    // large, and SQLite would read past them to reach the columns behind. `Database::fill_index`
    // fills rows of earlier versions in after the migration.
    "
ALTER TABLE sitewright_failures ADD COLUMN fingerprint TEXT;
ALTER TABLE sitewright_failures ADD COLUMN template TEXT;
ALTER TABLE sitewright_failures ADD COLUMN frame TEXT;
CREATE INDEX sitewright_failures_alike ON sitewright_failures (fingerprint, template, created_at, \
     order_id, kind, id);
CREATE INDEX sitewright_failures_unlike ON sitewright_failures (id) WHERE fingerprint IS NULL;
",
    // Ids that differ only in case are refused. Not unique: earlier versions accepted them.
    "
CREATE INDEX sitewright_orders_spelling ON sitewright_orders (lower(id));
",
];

const VERSIONS: &str = "CREATE TABLE IF NOT EXISTS sitewright_schema (
    version BIGINT PRIMARY KEY,
    program TEXT NOT NULL,
    applied_at BIGINT NOT NULL
)";

/// The versions that [`Database::migrate`] found and applied.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Migrated {
    /// Version of our tables before; 0 if there were none.
    pub from: i64,
    /// Version of our tables now.
    pub to: i64,
    /// River's versions that were applied.
    pub river: Vec<i64>,
}

impl Database {
    /// Brings River's tables and ours to the versions of this build. Of several processes that
    /// start at once one migrates and the others wait.
    ///
    /// # Errors
    /// [`Error::NewerSchema`] if a newer build migrated the database, which is then left unchanged;
    /// or the database fails.
    pub async fn migrate(&self) -> Result<Migrated, Error> {
        match self.pool() {
            #[cfg(feature = "postgres")]
            Pool::Postgres(pool) => {
                let failed = |error| Error::database("migrating", error);
                let lock = MigrationLock::acquire(pool).await.map_err(failed)?;
                let migrated = self.migrate_locked().await;
                lock.release().await;
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
            #[cfg(feature = "postgres")]
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

    /// Checks that the tables have the versions of this build.
    ///
    /// # Errors
    /// [`Error::OlderSchema`], [`Error::NewerSchema`]; or the database fails.
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

    /// The versions of our tables and of River's; 0 if there are none.
    async fn versions(&self) -> Result<(i64, i64), Error> {
        let failed = |error| Error::database("reading the schema version", error);
        let exists = self.pool().queries().table_exists.as_str();
        let mut versions = [0, 0];
        let tables = [
            (
                "sitewright_schema",
                "SELECT coalesce(max(version), 0) AS version FROM sitewright_schema",
            ),
            (queue::SCHEMA_TABLE, queue::SCHEMA_VERSION),
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
    let queries = tx.queries();
    let (now, sequence) = (queries.now_ms.as_str(), queries.sequence.as_str());
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

#[cfg(test)]
mod tests {
    use super::MIGRATIONS;
    use crate::driver::statement::render;

    /// Published migrations cannot change, so a new state needs a migration of its own.
    #[test]
    fn the_tables_allow_all_states() {
        let spaces = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let orders = spaces(MIGRATIONS[0]);
        let (unfinished, ended) = (render("{unfinished}"), render("{ended}"));
        let all = format!("{}, {}", unfinished.trim_end_matches(')'), &ended[1..]);
        assert!(orders.contains(&format!("CHECK (state IN {all})")), "{all}");
        assert!(orders.contains(&format!("state IN {ended}")), "{ended}");
    }
}
