//! Errors of the queue and its database.

use std::sync::Arc;
use std::time::Duration;

use super::model::OrderState;

#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// `database.url` is not valid.
    #[error(
        "`database.url` is {shown:?}: {why}; write `sqlite://path/to/sitewright.db` or \
         `postgres://user@host/name`"
    )]
    Url {
        /// The URL without its password.
        shown: String,
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
    #[error(
        "the database {shown} cannot be opened: {source}; check that it is there, that it can be \
         reached and who may use it"
    )]
    Open {
        /// The URL without its password.
        shown: String,
        source: Arc<sqlx::Error>,
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
    #[error("{doing} failed at the database: {source}")]
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

    /// The error of a database that was never migrated.
    pub(super) fn no_tables(shown: String) -> Self {
        Error::OlderSchema {
            shown,
            of: "sitewright's",
            found: 0,
            known: super::schema::SCHEMA_VERSION,
        }
    }

    /// Whether the database was never migrated, so that it is empty.
    pub fn is_without_tables(&self) -> bool {
        matches!(self, Error::OlderSchema { of: "sitewright's", found: 0, .. })
    }

    /// Whether the caller can fix it, with other arguments or by setting something up.
    pub fn is_usage(&self) -> bool {
        match self {
            // A server that is away may be back in a moment: a supervisor should keep restarting.
            Error::Open { source, .. } => !is_away(source),
            Error::Url { .. }
            | Error::NoPostgres { .. }
            | Error::NewerSchema { .. }
            | Error::OlderSchema { .. }
            | Error::NoSuchOrder { .. }
            | Error::NotEnded { .. }
            | Error::Invalid { .. } => true,
            Error::Database { .. }
            | Error::River { .. }
            | Error::Row { .. }
            | Error::LockFile { .. }
            | Error::Stalled { .. }
            | Error::Closed { .. } => false,
        }
    }

    /// Whether a retry may succeed: the database is away, locked or busy.
    pub fn is_transient(&self) -> bool {
        match self {
            Error::Open { source, .. } | Error::Database { source, .. } => transient(source),
            Error::River { source, .. } => match &**source {
                riverqueue::Error::Database(source) => transient(source),
                _ => false,
            },
            _ => false,
        }
    }
}

/// Whether opening may succeed on a retry. Not for an SQLite file that cannot be opened: its path
/// is wrong.
fn is_away(error: &sqlx::Error) -> bool {
    const CANTOPEN: u32 = 14;
    let code = error.as_database_error().and_then(|error| error.code()?.parse::<u32>().ok());
    transient(error) && code.is_none_or(|code| code & 0xff != CANTOPEN)
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
            // PostgreSQL: connection, rolled back for another, no resources, shutting down, the
            // system's errors; locked, and read-only: a stand-by after a failover, or a
            // host that makes it so when the disk is full.
            Some(code) => {
                ["08", "40", "53", "57P", "58"].iter().any(|class| code.starts_with(class))
                    || ["55P03", "25006"].contains(&code)
            }
            None => false,
        },
        _ => false,
    }
}
