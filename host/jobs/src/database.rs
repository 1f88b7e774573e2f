//! The one database of a process.

use std::path::PathBuf;
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{AssertSqlSafe, Connection as _};

use super::batch::Writer;
use super::coalesced::Alike;
use super::error::Error;
use super::river;
use super::sql::{Operation, Pool, Row, Value};

pub(super) use sitewright_model::time::now_ms;

/// Connections to PostgreSQL, River's included.
const POSTGRES_CONNECTIONS: u32 = 10;
/// Connections to SQLite: readers, River's, and the one that writes.
const SQLITE_CONNECTIONS: u32 = 6;
/// What each connection to SQLite remembers of the file, in KiB; SQLite's own default is 2,000. The
/// system has the file in memory as well, and what is asked for is what was just written.
const SQLITE_CACHE_KIB: u32 = 256;
/// How long SQLite waits for another process that writes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one waits for a connection while the database is away or busy.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long PostgreSQL and this process wait for each other in the middle of something. A host that
/// loses its power, or a network that is cut, closes no connection: without this, one waits for the
/// other until TCP gives up, after a quarter of an hour or never.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// The same for a ping, before and after a connection is used: somebody may have left it in the
/// middle of a statement.
const PING_WITHIN: Duration = Duration::from_secs(5);

/// Orders and everything known about them, in SQLite or PostgreSQL. Cheap to clone: all clones
/// share one pool.
#[derive(Debug, Clone)]
pub struct Database {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    pool: Pool,
    writer: Writer,
    /// Inserts and cancels jobs; works none.
    river: river::Inserter,
    shown: String,
    file: Option<PathBuf>,
    /// None where statements are not waited for across a network.
    answer_within: Option<Duration>,
}

/// Whether a connection to PostgreSQL can serve others. One that is silent is closed: whoever needs
/// it opens another one, to the host that has the address by now.
async fn answers(connection: &mut PgConnection, within: Duration) -> Result<bool, sqlx::Error> {
    match tokio::time::timeout(within, connection.ping()).await {
        Ok(Ok(())) => Ok(true),
        Ok(Err(error)) => {
            tracing::info!(%error, "a connection to PostgreSQL is broken and is opened anew");
            Ok(false)
        }
        Err(_) => {
            tracing::warn!(
                waited_ms = u64::try_from(within.as_millis()).unwrap_or(u64::MAX),
                "a connection to PostgreSQL does not answer and is given up"
            );
            Ok(false)
        }
    }
}

/// The server's half: it gives up a transaction whose client is gone or stopped, and with it the
/// locks that would keep its orders from rescue.
async fn limit_silence(connection: &mut PgConnection, within: Duration) -> Result<(), sqlx::Error> {
    // A client says the next thing at once, or is gone or stopped: it is not waited for longer than
    // a silent worker is.
    let (idle_ms, ms) = (within.as_millis() / 3, within.as_millis());
    let set =
        format!("SET idle_in_transaction_session_timeout = {idle_ms}; SET tcp_user_timeout = {ms}");
    sqlx::raw_sql(AssertSqlSafe(set)).execute(connection).await.map(drop)
}

/// What is said of a statement that was given up.
fn unanswered(within: Duration) -> sqlx::Error {
    let message = format!(
        "PostgreSQL has not answered for {} s, and the connection is given up",
        within.as_secs_f64()
    );
    sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, message))
}

/// What came of it, or that it took too long.
pub(super) async fn answered<T>(
    within: Option<Duration>,
    asking: impl Future<Output = T>,
) -> Result<T, sqlx::Error> {
    match within {
        None => Ok(asking.await),
        Some(within) => tokio::time::timeout(within, asking).await.map_err(|_| unanswered(within)),
    }
}

/// Whether a connection can serve others. SQLite ends a transaction by itself when the disk is full
/// (or broken, or memory is short); the rollback that follows fails then, and sqlx 0.9.0 counts the
/// transaction as open for ever: every later `BEGIN` on that connection is refused. Such a
/// connection is closed instead of handed to the next one.
async fn has_left_its_transaction(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    if connection.is_in_transaction() {
        // The rollback of a dropped transaction may still be in line; a ping waits behind it.
        connection.ping().await?;
    }
    Ok(!connection.is_in_transaction())
}

impl Database {
    /// Opens `sqlite://path` (made when it is not there) or `postgres://…`. Makes no tables: see
    /// [`Database::migrate`].
    ///
    /// # Errors
    /// When the URL is none of these, or the database cannot be reached.
    pub async fn open(url: &str) -> Result<Self, Error> {
        Self::open_answering(url, ANSWER_WITHIN).await
    }

    /// As [`Database::open`], with another time after which PostgreSQL counts as away when it does
    /// not answer, instead of a minute.
    ///
    /// # Errors
    /// As [`Database::open`].
    pub async fn open_answering(url: &str, within: Duration) -> Result<Self, Error> {
        let shown = redacted(url);
        let wrong = |why: String| Error::Url { shown: shown.clone(), why };
        let failed = |error| Error::Open { shown: shown.clone(), source: Arc::new(error) };
        let (pool, file) = if url.starts_with("sqlite:") {
            if url.contains(":memory:") || url.contains("mode=memory") {
                return Err(wrong("a database in memory forgets its orders".to_owned()));
            }
            let options =
                SqliteConnectOptions::from_str(url).map_err(|error| wrong(error.to_string()))?;
            let options = options
                .create_if_missing(true)
                .journal_mode(SqliteJournalMode::Wal)
                // Measured: as fast as NORMAL, and nothing acknowledged is lost with the power.
                .synchronous(SqliteSynchronous::Full)
                .busy_timeout(BUSY_TIMEOUT)
                .pragma("cache_size", format!("-{SQLITE_CACHE_KIB}"))
                // A transaction that changes more than that still waits for its end before it
                // writes to the file.
                .pragma("cache_spill", "OFF")
                .foreign_keys(false)
                .optimize_on_close(true, None);
            let file = options.get_filename().to_owned();
            if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                let made = tokio::fs::create_dir_all(folder).await;
                made.map_err(|error| failed(sqlx::Error::Io(error)))?;
            }
            let pool = SqlitePoolOptions::new()
                .max_connections(SQLITE_CONNECTIONS)
                .acquire_timeout(ACQUIRE_TIMEOUT)
                .test_before_acquire(false)
                .after_release(|connection, _| Box::pin(has_left_its_transaction(connection)))
                .connect_with(options);
            (Pool::Sqlite(pool.await.map_err(failed)?), Some(file))
        } else if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            let options =
                PgConnectOptions::from_str(url).map_err(|error| wrong(error.to_string()))?;
            // Whoever gives up an old connection has time left for a new one.
            let ping_within = PING_WITHIN.min(within / 4);
            let pool = PgPoolOptions::new()
                .max_connections(POSTGRES_CONNECTIONS)
                .acquire_timeout(ACQUIRE_TIMEOUT)
                .after_connect(move |connection, _| Box::pin(limit_silence(connection, within)))
                // Instead of a ping before each use, which has no limit of its own.
                .test_before_acquire(false)
                .before_acquire(move |connection, _| Box::pin(answers(connection, ping_within)))
                .after_release(move |connection, _| Box::pin(answers(connection, ping_within)))
                .connect_with(options.application_name("sitewright"));
            (Pool::Postgres(pool.await.map_err(failed)?), None)
        } else {
            return Err(wrong("it names no database this program knows".to_owned()));
        };
        let river = river::Inserter::new(&pool);
        let answer_within = matches!(pool, Pool::Postgres(_)).then_some(within);
        let writer = Writer::start(&pool, answer_within);
        Ok(Database { inner: Arc::new(Inner { pool, writer, river, shown, file, answer_within }) })
    }

    /// As [`Database::open`], for those who only look: a file that is not there is not made, and is
    /// told as a database without tables.
    ///
    /// # Errors
    /// As [`Database::open`], and [`Error::OlderSchema`] when there is no file.
    pub async fn open_existing(url: &str) -> Result<Self, Error> {
        let file = if url.starts_with("sqlite:") {
            SqliteConnectOptions::from_str(url).ok()
        } else {
            None
        };
        if let Some(options) = file {
            let there = tokio::fs::try_exists(options.get_filename()).await;
            let shown = redacted(url);
            match there {
                Ok(true) => {}
                Ok(false) => return Err(Error::no_tables(shown)),
                Err(error) => {
                    return Err(Error::Open { shown, source: Arc::new(sqlx::Error::Io(error)) });
                }
            }
        }
        Self::open(url).await
    }

    /// The URL without its password.
    pub fn shown(&self) -> &str {
        &self.inner.shown
    }

    /// Whether it is SQLite: one machine, one file.
    pub fn is_embedded(&self) -> bool {
        self.inner.file.is_some()
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), Error> {
        self.read("asking whether the database answers", "SELECT 1 AS one", vec![]).await.map(drop)
    }

    /// Closes all connections; what was not committed is rolled back.
    pub async fn close(&self) {
        self.inner.pool.close().await;
    }

    pub(super) fn pool(&self) -> &Pool {
        &self.inner.pool
    }

    pub(super) fn river(&self) -> &river::Inserter {
        &self.inner.river
    }

    /// A file beside SQLite's, for locks.
    pub(super) fn file_beside(&self, suffix: &str) -> Option<PathBuf> {
        let mut name = self.inner.file.clone()?.into_os_string();
        name.push(format!(".{suffix}"));
        Some(name.into())
    }

    /// Runs an operation in one transaction: all of it or nothing.
    pub(super) async fn write<T, F>(
        &self,
        doing: impl Into<String>,
        operation: F,
    ) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Operation<T>,
    {
        self.done(doing, self.inner.writer.write(false, operation).await)
    }

    /// The same, in one statement with all of its kind that wait.
    pub(super) async fn write_alike<A: Alike>(
        &self,
        doing: impl Into<String>,
        one: A,
    ) -> Result<A::Answer, Error> {
        self.done(doing, self.inner.writer.write_alike(one).await)
    }

    /// The same, before everything that waits.
    pub(super) async fn write_urgently<T, F>(&self, doing: &str, operation: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Operation<T>,
    {
        self.done(doing, self.inner.writer.write(true, operation).await)
    }

    fn done<T>(
        &self,
        doing: impl Into<String>,
        answer: Option<Result<T, sqlx::Error>>,
    ) -> Result<T, Error> {
        match answer {
            Some(result) => result.map_err(|error| Error::database(doing, error)),
            None => Err(Error::Closed { doing: doing.into() }),
        }
    }

    /// Reads outside a transaction.
    pub(super) async fn read(
        &self,
        doing: &str,
        sql: &'static str,
        args: Vec<Value>,
    ) -> Result<Vec<Row>, Error> {
        let rows = answered(self.inner.answer_within, self.inner.pool.all(sql, args)).await;
        rows.flatten().map_err(|error| Error::database(doing, error))
    }
}

/// The URL as it may be shown: no password, neither before the host nor as a parameter.
fn redacted(url: &str) -> String {
    let (base, query) = match url.split_once('?') {
        Some((base, query)) => (base, Some(query)),
        None => (url, None),
    };
    let mut shown = match (base.split_once("://"), base.rfind('@')) {
        (Some((scheme, _)), Some(at)) => {
            let user = base.get(scheme.len() + 3..at).unwrap_or_default();
            let user =
                user.split_once(':').map_or(user.to_owned(), |(user, _)| format!("{user}:***"));
            format!("{scheme}://{user}{}", base.get(at..).unwrap_or_default())
        }
        _ => base.to_owned(),
    };
    for (index, part) in query.into_iter().flat_map(|query| query.split('&')).enumerate() {
        shown.push(if index == 0 { '?' } else { '&' });
        match part.split_once('=') {
            Some((name, _)) if name.to_ascii_lowercase().contains("pass") => {
                shown.push_str(name);
                shown.push_str("=***");
            }
            _ => shown.push_str(part),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::redacted;

    #[test]
    fn a8_no_password_is_ever_shown() {
        for (url, shown) in [
            ("postgres://me:s3cr3t@db:5432/sites", "postgres://me:***@db:5432/sites"),
            (
                "postgres://me:p@ss:w@db/sites?sslmode=require",
                "postgres://me:***@db/sites?sslmode=require",
            ),
            ("postgres://me@db/sites", "postgres://me@db/sites"),
            (
                "postgres:///sites?host=/run&password=x&user=me",
                "postgres:///sites?host=/run&password=***&user=me",
            ),
            ("sqlite://data/sites.db", "sqlite://data/sites.db"),
        ] {
            assert_eq!(redacted(url), shown);
        }
    }
}
