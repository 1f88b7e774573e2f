//! The one database of a process: opens it, reads, and hands writes to the writer.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::batch::Writer;
use super::coalesced::Coalesced;
#[cfg(feature = "postgres")]
use super::driver::postgres;
use super::driver::river::JobClient;
use super::driver::{OpenError, Operation, Pool, Row, Value, sqlite};
use super::error::Error;

/// Default time that PostgreSQL and this process wait for each other within a statement. A host
/// that loses its power, or a network that is cut, closes no connection: without a timeout, one
/// side waits until TCP gives up, after a quarter of an hour or never.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// The queue in SQLite or PostgreSQL: orders, attempts, failures, AI replies. All clones share one
/// pool.
#[derive(Debug, Clone)]
pub struct Database {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    pool: Pool,
    writer: Writer,
    river: JobClient,
    shown: String,
    file: Option<PathBuf>,
    /// Timeout of one answer; `None` on SQLite.
    answer_within: Option<Duration>,
}

fn unanswered(within: Duration) -> sqlx::Error {
    let message = format!(
        "PostgreSQL has not answered for {} s, and the connection is given up",
        within.as_secs_f64()
    );
    sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, message))
}

/// Limits how long an answer is waited for.
pub(super) async fn answered<T>(
    within: Option<Duration>,
    asking: impl Future<Output = T>,
) -> Result<T, sqlx::Error> {
    match within {
        None => Ok(asking.await),
        Some(within) => tokio::time::timeout(within, asking).await.map_err(|_| unanswered(within)),
    }
}

impl Database {
    /// Opens `sqlite://path` (created if it is missing) or `postgres://…`. Creates no tables: see
    /// [`Database::migrate`].
    ///
    /// # Errors
    /// [`Error::Url`] if the URL is neither; [`Error::NoPostgres`] if this build has no PostgreSQL;
    /// [`Error::Open`] if the database cannot be reached.
    pub async fn open(url: &str) -> Result<Self, Error> {
        Self::open_answering(url, ANSWER_TIMEOUT).await
    }

    /// Like [`Database::open`], with another timeout for answers of PostgreSQL than one minute.
    ///
    /// # Errors
    /// As [`Database::open`].
    pub async fn open_answering(url: &str, timeout: Duration) -> Result<Self, Error> {
        let shown = redacted(url);
        let failed = |error| match error {
            OpenError::Url(why) => Error::Url { shown: shown.clone(), why },
            OpenError::Connect(error) => {
                Error::Open { shown: shown.clone(), source: Arc::new(error) }
            }
        };
        let (pool, file) = if url.starts_with("sqlite:") {
            let (pool, file) = sqlite::open(url).await.map_err(failed)?;
            (Pool::Sqlite(pool), Some(file))
        } else if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            #[cfg(not(feature = "postgres"))]
            return Err(Error::NoPostgres { shown });
            #[cfg(feature = "postgres")]
            (Pool::Postgres(postgres::open(url, timeout).await.map_err(failed)?), None)
        } else {
            let why = "it names no database this program knows".to_owned();
            return Err(failed(OpenError::Url(why)));
        };
        let river = JobClient::new(&pool);
        let answer_within = file.is_none().then_some(timeout);
        let writer = Writer::start(&pool, answer_within);
        Ok(Database { inner: Arc::new(Inner { pool, writer, river, shown, file, answer_within }) })
    }

    /// Like [`Database::open`], but creates no file: for commands that only read.
    ///
    /// # Errors
    /// As [`Database::open`], and [`Error::OlderSchema`] if there is no file.
    pub async fn open_existing(url: &str) -> Result<Self, Error> {
        if let Some(file) = sqlite::file_of(url) {
            let exists = tokio::fs::try_exists(file).await;
            let shown = redacted(url);
            match exists {
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

    /// Whether it is SQLite, inside this process.
    pub fn is_embedded(&self) -> bool {
        self.inner.file.is_some()
    }

    /// # Errors
    /// If the database does not answer.
    pub async fn ping(&self) -> Result<(), Error> {
        self.read("asking whether the database answers", "SELECT 1 AS one", vec![]).await.map(drop)
    }

    /// Closes all connections. Uncommitted writes are rolled back.
    pub async fn close(&self) {
        self.inner.pool.close().await;
    }

    pub(super) fn pool(&self) -> &Pool {
        &self.inner.pool
    }

    pub(super) fn river(&self) -> &JobClient {
        &self.inner.river
    }

    /// The path of a lock file beside SQLite's database; `None` on PostgreSQL.
    pub(super) fn file_beside(&self, suffix: &str) -> Option<PathBuf> {
        let mut name = self.inner.file.clone()?.into_os_string();
        name.push(format!(".{suffix}"));
        Some(name.into())
    }

    /// Runs an operation in a transaction, together with other pending writes.
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

    /// Runs a write by one statement with all pending writes of its kind.
    pub(super) async fn write_coalesced<A: Coalesced>(
        &self,
        doing: impl Into<String>,
        one: A,
    ) -> Result<A::Answer, Error> {
        self.done(doing, self.inner.writer.write_coalesced(one).await)
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

/// The URL without its password, neither before the host nor as a parameter.
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

    #[cfg(not(feature = "postgres"))]
    #[tokio::test]
    #[expect(clippy::disallowed_methods, reason = "the one runtime of its process")]
    async fn a_build_without_postgresql_says_what_to_do() {
        let opened = super::Database::open("postgres://me:s3cr3t@db/sites").await;
        let error = opened.unwrap_err().to_string();
        for part in ["postgres://me:***@db/sites", "use a sqlite:// URL", "feature `postgres`"] {
            assert!(error.contains(part), "{error}");
        }
    }

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
