//! Errors of the queue and its database.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use super::model::OrderState;
use super::open_cause::{OpenCause, words};

#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// `database.url` is not valid. It is not shown: a part of it that looks like something else may
    /// be the password's.
    #[error(
        "`database.url` cannot be used, and is not shown because of its password: {why}; write \
         `sqlite://path/to/sitewright.db` or `postgres://user:password@host/name`"
    )]
    Url {
        /// Without any part of the URL.
        why: String,
    },
    /// This build has no feature `postgres`.
    #[error(
        "`database.url` is {shown:?}, and this build has no PostgreSQL support: use a sqlite:// \
         URL, or a sitewright built with the feature `postgres`"
    )]
    NoPostgres {
        /// The URL without its password.
        shown: String,
    },
    /// The database did not open.
    #[error("the database {shown} cannot be opened: {}; {}", words(.error), .cause.hint())]
    Open {
        /// The URL without its password.
        shown: String,
        cause: OpenCause,
        /// Not a cause of its own: the message has its words.
        error: Arc<sqlx::Error>,
    },
    /// There is no file of SQLite, and none is to be made.
    #[error(
        "there is no database {shown}: correct `database.url`, or run `sitewright migrate`, which \
         creates it"
    )]
    NoFile {
        /// The URL.
        shown: String,
    },
    /// A pooler gives each transaction another session of the server.
    #[error(
        "the database {shown} is behind a pooler that gives each transaction another session, as \
         PgBouncer does with `pool_mode = transaction`: a worker is notified of orders and prepares \
         statements, which needs sessions of its own; set `pool_mode = session` for this database \
         and user, or name PostgreSQL's own port"
    )]
    TransactionPooling {
        /// The URL without its password.
        shown: String,
    },
    /// A pooler gives each transaction another session of the server, in which the prepared
    /// statements of a client are unknown.
    #[error(
        "the database {shown} is behind a pooler that gives each transaction another session and \
         loses prepared statements with it, as PgBouncer does with `pool_mode = transaction` \
         before version 1.21, or with `max_prepared_statements = 0`: set `pool_mode = session` for \
         this database and user, set `max_prepared_statements`, or name PostgreSQL's own port"
    )]
    StatementsLost {
        /// The URL without its password.
        shown: String,
    },
    /// The server or a pooler has too few connections for a worker.
    #[error(
        "the database {shown} gives this worker {open} connections at once; it wants {wanted} and \
         needs {least}: raise `max_connections` of the server or `default_pool_size` of PgBouncer, \
         or stop others that use it"
    )]
    TooFewPlaces {
        /// The URL without its password.
        shown: String,
        /// Connections that could be opened.
        open: usize,
        /// Connections that a worker needs at least.
        least: usize,
        /// Connections that it would use.
        wanted: usize,
    },
    /// Another process migrates for too long.
    #[error(
        "the database {shown} is migrated by another process for more than {} s: {holder}; wait for \
         it or end it, then try again; `database.migration_wait_ms` is the limit",
        waited.as_secs_f64()
    )]
    MigrationLocked {
        /// The URL without its password.
        shown: String,
        waited: Duration,
        /// Who holds the lock.
        holder: String,
    },
    /// A newer program migrated the database while this one ran.
    #[error(
        "the database {shown} was migrated to schema version {found}, which needs programs that know \
         version {minimum} or a later one, and this program knows {known}: it stops before it harms \
         anything; start the newer sitewright"
    )]
    Outdated {
        /// The URL without its password.
        shown: String,
        found: i64,
        /// The oldest version whose programs may use the tables.
        minimum: i64,
        known: i64,
    },
    /// The tables were made by a newer program.
    #[error(
        "the database {shown} has {of} schema version {found}, and this program knows versions up \
         to {known}: it was migrated by a newer sitewright; start that one, or restore the backup \
         that was made before it"
    )]
    NewerSchema {
        /// The URL without its password.
        shown: String,
        /// Whose tables: `sitewright's` or `River's`.
        of: &'static str,
        /// The version in the database.
        found: i64,
        /// The newest version that this build knows.
        known: i64,
    },
    /// The tables are missing or old.
    #[error(
        "the database {shown} has {of} schema version {found} and this program needs {known}: run \
         `sitewright migrate`"
    )]
    OlderSchema {
        /// The URL without its password.
        shown: String,
        /// Whose tables.
        of: &'static str,
        /// The version in the database; 0 when there are no tables.
        found: i64,
        /// The version that this build needs.
        known: i64,
    },
    /// The database answered with an error, or did not answer.
    #[error("{doing} failed at the database: {}{}", words(.source), advice(.source))]
    Database {
        /// What was being done, and to which order: `claiming order "24"`.
        doing: String,
        source: Arc<sqlx::Error>,
    },
    /// River answered with an error.
    #[error("{doing} failed in the queue: {source}")]
    River {
        /// What was being done, and to which order.
        doing: String,
        source: Arc<riverqueue::Error>,
    },
    #[error("there is no order {order:?}; `sitewright order list` shows those there are")]
    NoSuchOrder { order: String },
    /// The order has not ended, so it cannot be requeued.
    #[error("order {order:?} is {state} and has not ended: wait for it, or cancel it first")]
    NotEnded { order: String, state: OrderState },
    /// A field of a new order is not valid.
    #[error("order {order:?} cannot be stored: {why}")]
    Invalid {
        order: String,
        /// Which field, and what would be right.
        why: String,
    },
    /// A field of a new token is not valid.
    #[error("the token cannot be stored: {why}")]
    Token {
        /// Which field, and what would be right.
        why: String,
    },
    /// A row has a value that this build does not write.
    #[error("a row of {table} cannot be read: {why}; was the table changed by hand?")]
    Row {
        table: &'static str,
        /// Which column, and what is wrong.
        why: String,
    },
    /// A file beside the database could not be used.
    #[error(
        "the file {path} cannot be used: {source}; the worker keeps it beside its database and \
         must be able to write there"
    )]
    LockFile { path: String, source: Arc<std::io::Error> },
    /// Orders are due, the worker has room, and claims none.
    #[error(
        "the worker has claimed no order for {} s although orders are due and it has room: its \
         queue's client waits for an answer that the database never gives, as after a cut network; \
         the worker ends and returns its orders to the queue; start it again, as the systemd unit \
         does by itself",
        after.as_secs_f64()
    )]
    Stalled { after: Duration },
    /// The database was closed while something was still being written.
    #[error("{doing} was not done: the database is closed already")]
    Closed {
        /// What was being done.
        doing: String,
    },
}

impl Error {
    pub(super) fn database(doing: impl Into<String>, source: sqlx::Error) -> Self {
        Error::Database { doing: doing.into(), source: Arc::new(source) }
    }

    pub(super) fn river(doing: impl Into<String>, source: riverqueue::Error) -> Self {
        Error::River { doing: doing.into(), source: Arc::new(source) }
    }

    /// Whether the database was never migrated, so that it is empty or is not there.
    pub fn is_without_tables(&self) -> bool {
        matches!(
            self,
            Error::NoFile { .. } | Error::OlderSchema { of: "sitewright's", found: 0, .. }
        )
    }

    /// Whether the caller can fix it with other arguments, or the configuration alone shows that it
    /// is wrong. Everything else may pass, so that a supervisor should keep restarting.
    pub fn is_usage(&self) -> bool {
        match self {
            Error::Url { .. }
            | Error::NoPostgres { .. }
            | Error::NoSuchOrder { .. }
            | Error::NotEnded { .. }
            | Error::Token { .. }
            | Error::Invalid { .. } => true,
            Error::Open { .. }
            | Error::NoFile { .. }
            | Error::TransactionPooling { .. }
            | Error::StatementsLost { .. }
            | Error::TooFewPlaces { .. }
            | Error::MigrationLocked { .. }
            | Error::Outdated { .. }
            | Error::NewerSchema { .. }
            | Error::OlderSchema { .. }
            | Error::Database { .. }
            | Error::River { .. }
            | Error::Row { .. }
            | Error::LockFile { .. }
            | Error::Stalled { .. }
            | Error::Closed { .. } => false,
        }
    }

    /// Whether the disk of the database is full.
    pub fn is_disk_full(&self) -> bool {
        match self {
            Error::Open { error: source, .. } | Error::Database { source, .. } => is_full(source),
            Error::River { source, .. } => match &**source {
                riverqueue::Error::Database(source) => is_full(source),
                _ => false,
            },
            _ => false,
        }
    }

    /// Whether a retry may succeed: the database is away, locked or busy.
    pub fn is_transient(&self) -> bool {
        match self {
            Error::Open { error: source, .. } | Error::Database { source, .. } => transient(source),
            Error::River { source, .. } => match &**source {
                riverqueue::Error::Database(source) => transient(source),
                _ => false,
            },
            _ => false,
        }
    }
}

/// What to do about an error of the database, if more is to be said than its own words.
fn advice(error: &sqlx::Error) -> &'static str {
    if is_full(error) {
        return "; free space on the disk of the database";
    }
    let sqlx::Error::Database(error) = error else { return "" };
    match error.code().as_deref() {
        // Prepared statements that are gone, or are another client's.
        Some("26000" | "42P05") => {
            "; a pooler in front of the database gives each transaction another session, as \
             PgBouncer does with `pool_mode = transaction`: set `pool_mode = session`, or name \
             PostgreSQL's own port"
        }
        Some("42501") => {
            "; the role lacks a right: grant it, or use the role that owns the tables; \
             docs/src/operate/database.md lists the rights"
        }
        Some("55P03") => {
            "; another session keeps the table locked: end it, or try again when it has ended"
        }
        Some("25006") => "; the server only reads: it is a stand-by, or its disk is full",
        _ => "",
    }
}

/// Whether there is no space: `SQLITE_FULL`, `disk_full` of PostgreSQL, or the system's error.
fn is_full(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(error) => {
            matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
        }
        sqlx::Error::Database(error) => match error.code().as_deref() {
            Some("53100") => true,
            // The extended codes of SQLite carry the primary one in the low byte.
            Some(code) => code.len() < 5 && code.parse::<u32>().is_ok_and(|code| code & 0xff == 13),
            None => false,
        },
        _ => false,
    }
}

/// Whether what a code of PostgreSQL says may pass without anybody's doing.
fn passes(code: &str) -> bool {
    // Connection, login (a password that is being changed), rolled back for another, no resources,
    // shutting down or a statement's time over, the system's errors.
    const CLASSES: [&str; 6] = ["08", "28", "40", "53", "57", "58"];
    // The database away while it is restored; locked; read-only: a stand-by after a failover, or a
    // host that makes it so when the disk is full; a transaction's time over; what poolers and
    // hosts in front of PostgreSQL say when they have no connection.
    const CODES: [&str; 6] = ["3D000", "55P03", "25006", "25P03", "25P04", "XX000"];
    CLASSES.iter().any(|class| code.starts_with(class)) || CODES.contains(&code)
}

fn transient(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(error) => match error.code().as_deref() {
            // SQLite: busy, locked, out of memory, read-only, I/O, full, cannot open; their
            // extended codes carry them in the low byte.
            Some(code) if code.parse::<u32>().is_ok_and(|_| code.len() < 5) => code
                .parse::<u32>()
                .is_ok_and(|code| matches!(code & 0xff, 5 | 6 | 7 | 8 | 10 | 13 | 14)),
            Some(code) => passes(code),
            None => false,
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_postgresql_that_pass_are_told_from_those_that_stay() {
        let pass = ["08006", "28P01", "40001", "40P01", "53300", "57014", "57P01", "58030"];
        let alone = ["3D000", "55P03", "25006", "25P03", "25P04", "XX000"];
        for code in pass.into_iter().chain(alone) {
            assert!(passes(code), "{code}");
        }
        for code in ["42P01", "42501", "23505", "25001", "22P02", "XX001", ""] {
            assert!(!passes(code), "{code}");
        }
    }
}
