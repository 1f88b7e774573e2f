//! The one database of a process: opens it, reads, and hands writes to the writer.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::ai_counts::AiCounts;
use super::batch::Writer;
use super::coalesced::Coalesced;
use super::counts::AttemptCounts;
#[cfg(feature = "postgres")]
use super::driver::postgres;
use super::driver::river::JobClient;
use super::driver::url::{PostgresUrl, has_sqlite_password};
use super::driver::{DatabaseOptions, OpenError, Operation, Pool, Row, Value, sqlite};
use super::error::Error;
use super::open_cause::OpenCause;
use super::template_versions::UnstoredEnds;

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
    /// How long to wait for another process that migrates.
    migration_wait: Duration,
    counts: AttemptCounts,
    ai_counts: AiCounts,
    unstored_ends: UnstoredEnds,
    errors: ErrorCounts,
    reads: AtomicU64,
}

/// Reads and writes that failed.
#[derive(Debug, Default)]
struct ErrorCounts {
    transient: AtomicU64,
    lasting: AtomicU64,
}

impl ErrorCounts {
    /// Counts an error, and returns it.
    fn counted(&self, error: Error) -> Error {
        let count = if error.is_transient() { &self.transient } else { &self.lasting };
        count.fetch_add(1, Ordering::Relaxed);
        error
    }
}

fn unanswered(within: Duration) -> sqlx::Error {
    let message = format!(
        "PostgreSQL has not answered for {} s, and the connection is given up",
        within.as_secs_f64()
    );
    sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, message))
}

/// Refuses a URL of SQLite whose path begins as a server's URL with a password does: the path would
/// become the name of a file, and messages would show it.
fn refuse_password(url: &str) -> Result<(), Error> {
    if has_sqlite_password(url) {
        let why = "it has a user name and a password, and SQLite is a file, which has none";
        return Err(Error::Url { why: why.to_owned() });
    }
    Ok(())
}

/// Checks that the file of SQLite exists; a server is not asked.
async fn must_exist(url: &str) -> Result<(), Error> {
    if url.starts_with("sqlite:") {
        refuse_password(url)?;
    }
    let Some(file) = sqlite::file_of(url) else { return Ok(()) };
    match tokio::fs::try_exists(file).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(Error::NoFile { shown: url.to_owned() }),
        Err(error) => {
            let error = OpenError::Connect(OpenCause::File, sqlx::Error::Io(error));
            Err(failed(error, url))
        }
    }
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
        Self::open_with(url, &DatabaseOptions::default()).await
    }

    /// Like [`Database::open`], with another timeout for answers of PostgreSQL than one minute.
    ///
    /// # Errors
    /// As [`Database::open`].
    pub async fn open_answering(url: &str, timeout: Duration) -> Result<Self, Error> {
        let options = DatabaseOptions { answer_within: timeout, ..DatabaseOptions::default() };
        Self::open_with(url, &options).await
    }

    /// Like [`Database::open`], with options.
    ///
    /// # Errors
    /// As [`Database::open`].
    pub async fn open_with(url: &str, options: &DatabaseOptions) -> Result<Self, Error> {
        Self::open_for(url, options, User::Command).await
    }

    /// Like [`Database::open_with`], for a server: also checks that a pooler does not lose its
    /// prepared statements.
    ///
    /// # Errors
    /// As [`Database::open`]; [`Error::StatementsLost`].
    pub async fn open_for_server(url: &str, options: &DatabaseOptions) -> Result<Self, Error> {
        Self::open_for(url, options, User::Server).await
    }

    /// Like [`Database::open_with`], for a worker: also checks that it gets the connections it
    /// needs, and that each has a session of its own.
    ///
    /// # Errors
    /// As [`Database::open`]; [`Error::TransactionPooling`] and [`Error::TooFewPlaces`].
    pub async fn open_for_worker(url: &str, options: &DatabaseOptions) -> Result<Self, Error> {
        Self::open_for(url, options, User::Worker).await
    }

    #[cfg_attr(not(feature = "postgres"), expect(unused_variables, reason = "SQLite only"))]
    async fn open_for(url: &str, options: &DatabaseOptions, user: User) -> Result<Self, Error> {
        let (pool, file, shown) = if url.starts_with("sqlite:") {
            refuse_password(url)?;
            let shown = url.to_owned();
            let opened = sqlite::open(url).await;
            let (pool, file) = opened.map_err(|error| failed(error, &shown))?;
            (Pool::Sqlite(pool), Some(file), shown)
        } else if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            let url = PostgresUrl::parse(url).map_err(|why| Error::Url { why: why.to_string() })?;
            #[cfg(not(feature = "postgres"))]
            return Err(Error::NoPostgres { shown: url.shown });
            #[cfg(feature = "postgres")]
            {
                log_ignored(&url);
                let opened = match user {
                    User::Command => postgres::open(&url, options).await,
                    User::Server => postgres::open_for_server(&url, options).await,
                    User::Worker => postgres::open_for_worker(&url, options).await,
                };
                let pool = opened.map_err(|error| failed(error, &url.shown))?;
                (Pool::Postgres(pool), None, url.shown)
            }
        } else {
            let why = "it names no database this program knows".to_owned();
            return Err(Error::Url { why });
        };
        let river = JobClient::new(&pool);
        let answer_within = file.is_none().then_some(options.answer_within);
        let writer = Writer::start(&pool, answer_within);
        let migration_wait = options.migration_wait;
        let (counts, ai_counts) = (AttemptCounts::default(), AiCounts::default());
        let inner = Inner {
            pool,
            writer,
            river,
            shown,
            file,
            answer_within,
            migration_wait,
            counts,
            ai_counts,
            unstored_ends: UnstoredEnds::default(),
            errors: ErrorCounts::default(),
            reads: AtomicU64::new(0),
        };
        Ok(Database { inner: Arc::new(inner) })
    }

    /// Like [`Database::open`], but creates no file: for commands that only read.
    ///
    /// # Errors
    /// As [`Database::open`], and [`Error::NoFile`] if there is no file.
    pub async fn open_existing(url: &str) -> Result<Self, Error> {
        Self::open_existing_with(url, &DatabaseOptions::default()).await
    }

    /// Like [`Database::open_existing`], with options.
    ///
    /// # Errors
    /// As [`Database::open_existing`].
    pub async fn open_existing_with(url: &str, options: &DatabaseOptions) -> Result<Self, Error> {
        must_exist(url).await?;
        Self::open_with(url, options).await
    }

    /// Like [`Database::open_for_worker`], but creates no file: for a worker that does not migrate.
    ///
    /// # Errors
    /// As [`Database::open_for_worker`], and [`Error::NoFile`] if there is no file.
    pub async fn open_existing_for_worker(
        url: &str,
        options: &DatabaseOptions,
    ) -> Result<Self, Error> {
        must_exist(url).await?;
        Self::open_for_worker(url, options).await
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

    pub(super) fn migration_wait(&self) -> Duration {
        self.inner.migration_wait
    }

    /// How the attempts of this process ended.
    pub fn attempt_counts(&self) -> &AttemptCounts {
        &self.inner.counts
    }

    /// The AI replies that this process has paid for.
    pub fn ai_counts(&self) -> &AiCounts {
        &self.inner.ai_counts
    }

    /// The number of reads and writes of this process that failed: those that may succeed when they
    /// are repeated, because the database was away or busy, and the others.
    pub fn error_counts(&self) -> [u64; 2] {
        let ErrorCounts { transient, lasting } = &self.inner.errors;
        [transient, lasting].map(|count| count.load(Ordering::Relaxed))
    }

    /// The number of statements with which this process has read, outside of transactions that
    /// write. Those of the queue's library, which are few, do not count.
    pub fn read_count(&self) -> u64 {
        self.inner.reads.load(Ordering::Relaxed)
    }

    pub(super) fn unstored_ends(&self) -> &UnstoredEnds {
        &self.inner.unstored_ends
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
        answer: Option<Result<T, Arc<sqlx::Error>>>,
    ) -> Result<T, Error> {
        let failed = match answer {
            Some(Ok(done)) => return Ok(done),
            Some(Err(source)) => Error::Database { doing: doing.into(), source },
            None => Error::Closed { doing: doing.into() },
        };
        Err(self.inner.errors.counted(failed))
    }

    /// Reads outside a transaction.
    pub(super) async fn read(
        &self,
        doing: &str,
        sql: &'static str,
        args: Vec<Value>,
    ) -> Result<Vec<Row>, Error> {
        self.inner.reads.fetch_add(1, Ordering::Relaxed);
        let rows = answered(self.inner.answer_within, self.inner.pool.all(sql, args)).await;
        rows.flatten().map_err(|error| self.failed(doing, error))
    }

    /// The error of a read, which is counted.
    fn failed(&self, doing: &str, error: sqlx::Error) -> Error {
        self.inner.errors.counted(Error::database(doing, error))
    }

    /// Reads rows with a statement that was put together of texts of this program: what others want
    /// is in its values only.
    pub(super) async fn read_composed(
        &self,
        doing: &str,
        sql: String,
        args: Vec<Value>,
    ) -> Result<Vec<Row>, Error> {
        self.inner.reads.fetch_add(1, Ordering::Relaxed);
        let reading = self.inner.pool.all(sqlx::AssertSqlSafe(sql), args);
        let rows = answered(self.inner.answer_within, reading).await;
        rows.flatten().map_err(|error| self.failed(doing, error))
    }
}

/// Who opens a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum User {
    Command,
    Server,
    Worker,
}

fn failed(error: OpenError, shown: &str) -> Error {
    let shown = shown.to_owned();
    match error {
        OpenError::Url(why) => Error::Url { why },
        OpenError::Connect(cause, error) => Error::Open { shown, cause, error: Arc::new(error) },
        #[cfg(feature = "postgres")]
        OpenError::TransactionPooling => Error::TransactionPooling { shown },
        #[cfg(feature = "postgres")]
        OpenError::StatementsLost => Error::StatementsLost { shown },
        #[cfg(feature = "postgres")]
        OpenError::TooFewPlaces(places) => Error::TooFewPlaces {
            shown,
            open: places.open,
            least: postgres::LEAST_PLACES,
            wanted: places.wanted,
        },
    }
}

#[cfg(feature = "postgres")]
fn log_ignored(url: &PostgresUrl) {
    if !url.ignored.is_empty() {
        tracing::warn!(parameters = ?url.ignored, "parameters of `database.url` have no effect here");
    }
    if url.unknown > 0 {
        tracing::warn!(
            number = url.unknown,
            "`database.url` has parameters that nobody knows; they are ignored, and not shown \
             because they may be the rest of a password: write & in a password as %26"
        );
    }
}

#[cfg(all(test, not(feature = "postgres")))]
mod tests {
    #[tokio::test]
    #[expect(clippy::disallowed_methods, reason = "the one runtime of its process")]
    async fn a_build_without_postgresql_says_what_to_do() {
        let opened = super::Database::open("postgres://me:s3cr3t@db/sites").await;
        let error = opened.unwrap_err().to_string();
        for part in ["postgres://me:***@db/sites", "use a sqlite:// URL", "feature `postgres`"] {
            assert!(error.contains(part), "{error}");
        }
    }
}
