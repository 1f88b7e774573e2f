//! Both databases behind one interface. Statements on our tables are written once, with `$1` as
//! placeholders, which both understand; a column is an integer or a text, so both read it alike.
//! What differs between the dialects, and every statement on River's tables, is a named query in
//! [`sqlite`] and [`postgres`].
//!
//! | file | what is in it |
//! |---|---|
//! | `mod` | pools, transactions, rows, values; the list of named queries |
//! | `sqlite`, `postgres` | how each is opened, and its text of each named query |
//! | `river` | jobs: insert, replace, finish, cancel; pause |
//! | `held_jobs` | jobs of parked orders, and the queue of a single worker |
//! | `statement` | SQL texts with the states of orders rendered into them |
//! | `url` | what is the URL of PostgreSQL, and which texts only look like one? |
//!
//! Without the feature `postgres` each enum here has the variant of SQLite only.
//!
//! **Invariant:** no other module names a table of River's.

pub(crate) mod held_jobs;
#[cfg(feature = "postgres")]
pub(crate) mod postgres;
pub(crate) mod river;
pub(crate) mod sqlite;
pub(crate) mod statement;
pub(crate) mod url;

use std::time::Duration;

use futures::future::BoxFuture;
use sqlx::sqlite::SqliteRow;
#[cfg(feature = "postgres")]
use sqlx::{PgPool, Postgres, postgres::PgRow};
use sqlx::{Row as _, Sqlite, SqlitePool, Transaction};

use super::error::Error;
use super::open_cause::OpenCause;
pub(crate) use statement::sql;

/// How long a caller waits for a free connection while the database is away or busy, unless
/// [`DatabaseOptions::acquire_within`] says otherwise.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(30);

/// How a database is opened. Only [`connect_within`](Self::connect_within) and
/// [`migration_wait`](Self::migration_wait) matter on SQLite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseOptions {
    /// Maximum connections of this process to PostgreSQL, without the one on which a worker is
    /// notified of new orders. Default: 10; at least 2 for a worker and to migrate.
    pub connections: u32,
    /// Prepared statements that each connection to PostgreSQL keeps. Default: 100.
    pub statement_cache: Option<usize>,
    /// Time that PostgreSQL and this process wait for each other within a statement. A host that
    /// loses its power, or a network that is cut, closes no connection: without a timeout, one side
    /// waits until TCP gives up, after a quarter of an hour or never. Default: 1 min.
    pub answer_within: Duration,
    /// Time after which opening PostgreSQL fails. Default: 5 s.
    pub connect_within: Duration,
    /// How long a caller waits for a free connection to PostgreSQL while it is away, or all of this
    /// process are in use. Default: 30 s.
    pub acquire_within: Duration,
    /// How long [`migrate`](crate::Database::migrate) waits for another process that migrates.
    /// Default: 1 min.
    pub migration_wait: Duration,
}

impl Default for DatabaseOptions {
    fn default() -> Self {
        DatabaseOptions {
            connections: 10,
            statement_cache: None,
            answer_within: Duration::from_secs(60),
            connect_within: Duration::from_secs(5),
            acquire_within: ACQUIRE_TIMEOUT,
            migration_wait: Duration::from_secs(60),
        }
    }
}

/// Why a database did not open.
pub(crate) enum OpenError {
    /// The URL cannot be used, and why. No part of the URL is in it.
    Url(String),
    /// The database could not be reached or created.
    Connect(OpenCause, sqlx::Error),
    /// A pooler gives each transaction another session.
    #[cfg(feature = "postgres")]
    TransactionPooling,
    /// As well, and prepared statements are lost with the session.
    #[cfg(feature = "postgres")]
    StatementsLost,
    /// The server or a pooler has too few connections for a worker.
    #[cfg(feature = "postgres")]
    TooFewPlaces(postgres::Places),
}

/// This process, as the operator of a database sees it: `sitewright 4242@host`.
#[cfg(feature = "postgres")]
fn program() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host: String = host.trim().chars().filter(char::is_ascii_graphic).take(40).collect();
    format!("sitewright {}@{host}", std::process::id())
}

/// The statements whose text depends on the dialect.
#[derive(Debug)]
pub(crate) struct Queries {
    /// `$1`: the name of a table. One row if it exists.
    pub(crate) table_exists: String,
    /// Expression: now, in milliseconds since the Unix epoch.
    pub(crate) now_ms: String,
    /// Column type: a key that counts up.
    pub(crate) sequence: String,
    /// Expression: 128 random bits, as an id.
    pub(crate) unique: String,
    /// `$1`: a JSON array of record ids. Those that are in the database.
    pub(crate) known_failures: String,
    /// The workers that have fetched jobs.
    pub(crate) job_holders: String,
    /// `$1`: a worker; `$2`: milliseconds, 0 for any. Orders whose job it fetched longer ago than
    /// that and did not claim.
    pub(crate) unclaimed_jobs: String,
    /// `$1`: the latest plausible time. Unclaimed orders dated after it, and those whose job is.
    pub(crate) future_dated: String,
    /// `$1`: an order; `$2`: now; `$3`: the latest plausible time. Dates the order back and keeps
    /// what was left of its wait; a due time that somebody gave it stays.
    pub(crate) date_back: String,
    /// `$1`: a template; `$2`: a number; `$3`: a tenant, or NULL. Gives their oldest demoted jobs
    /// their own priority again. Dated now, by the clock that River fetches by, they come behind
    /// those that have it already.
    pub(crate) promote: String,
    /// `$1`: a template; `$2`: a number; `$3`: the lowest priority; `$4`: a tenant, or NULL. Gives
    /// their newest jobs a priority one lower than their own.
    pub(crate) demote: String,
    /// `$1`: a JSON array of orders; `$2`: the queue. The oldest job of each that has one.
    pub(crate) jobs_of_orders: String,
    /// `$1`: a new job; `$2`: the job that it replaces. Copies errors, attempts and position.
    pub(crate) carry_over: String,
    /// `$1`: a job; `$2`: its final state.
    pub(crate) finish: String,
    /// `$1`: a JSON array of jobs.
    pub(crate) complete_all: String,
    /// `$1`: a job; `$2`: the error's text.
    pub(crate) append_error: String,
    /// `$1`: the queue. Creates its row.
    pub(crate) ensure_queue: String,
    /// `$1`: a JSON array of jobs that wait; `$2`: a queue; `$3`: 1 to come before all others.
    /// Makes them due in that queue.
    pub(crate) make_due: String,
}

/// The pool of one database.
#[derive(Debug, Clone)]
pub(crate) enum Pool {
    Sqlite(SqlitePool),
    #[cfg(feature = "postgres")]
    Postgres(PgPool),
}

/// A transaction in which an operation writes.
pub(crate) enum Tx {
    Sqlite(Transaction<'static, Sqlite>),
    #[cfg(feature = "postgres")]
    Postgres(Transaction<'static, Postgres>),
}

/// A write inside a transaction. It runs again if its first transaction had to be rolled back.
pub(crate) trait Operation<T>:
    for<'t> Fn(&'t mut Tx) -> BoxFuture<'t, Result<T, sqlx::Error>> + Send + Sync + 'static
{
}

impl<T, F> Operation<T> for F where
    F: for<'t> Fn(&'t mut Tx) -> BoxFuture<'t, Result<T, sqlx::Error>> + Send + Sync + 'static
{
}

/// A value for a placeholder. A missing one has a type too: PostgreSQL requires it.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Int(Option<i64>),
    Text(Option<String>),
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Value::Int(Some(value))
    }
}

impl From<Option<i64>> for Value {
    fn from(value: Option<i64>) -> Self {
        Value::Int(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Value::Text(Some(without_nul(value)))
    }
}

impl From<&String> for Value {
    fn from(value: &String) -> Self {
        Value::from(value.as_str())
    }
}

impl From<&Option<String>> for Value {
    fn from(value: &Option<String>) -> Self {
        Value::from(value.as_deref())
    }
}

impl From<Option<&str>> for Value {
    fn from(value: Option<&str>) -> Self {
        Value::Text(value.map(without_nul))
    }
}

/// PostgreSQL stores no NUL, which a guest may well write into a message or the name of a stage:
/// its order could never be completed. In JSON it is an escape sequence.
fn without_nul(text: &str) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text.to_owned() }
}

/// The values of a statement.
macro_rules! args {
    ($($value:expr),* $(,)?) => { vec![$($crate::driver::Value::from($value)),*] };
}
pub(crate) use args;

pub(crate) enum Row {
    Sqlite(SqliteRow),
    #[cfg(feature = "postgres")]
    Postgres(PgRow),
}

macro_rules! column {
    ($name:ident, $type:ty) => {
        pub(crate) fn $name(&self, column: &str) -> Result<$type, sqlx::Error> {
            match self {
                Row::Sqlite(row) => row.try_get(column),
                #[cfg(feature = "postgres")]
                Row::Postgres(row) => row.try_get(column),
            }
        }
    };
}

impl Row {
    column!(int, i64);
    column!(opt_int, Option<i64>);
    column!(text, String);
    column!(opt_text, Option<String>);

    /// A text column that holds a state or another value of an enum.
    pub(crate) fn parsed<T: std::str::FromStr>(&self, column: &str) -> Result<T, sqlx::Error> {
        let text = self.text(column)?;
        text.parse().map_err(|_| sqlx::Error::Decode(format!("`{column}` is {text:?}").into()))
    }
}

macro_rules! bound {
    ($query:expr, $args:expr) => {{
        let mut query = $query;
        for value in $args {
            query = match value {
                Value::Int(value) => query.bind(value),
                Value::Text(value) => query.bind(value),
            };
        }
        query
    }};
}

impl Tx {
    /// Runs a statement; the number of rows it changed.
    pub(crate) async fn execute(
        &mut self,
        sql: &'static str,
        args: Vec<Value>,
    ) -> Result<u64, sqlx::Error> {
        match self {
            Tx::Sqlite(tx) => bound!(sqlx::query(sql), args)
                .execute(&mut **tx)
                .await
                .map(|done| done.rows_affected()),
            #[cfg(feature = "postgres")]
            Tx::Postgres(tx) => bound!(sqlx::query(sql), args)
                .execute(&mut **tx)
                .await
                .map(|done| done.rows_affected())
                .map_err(postgres::noted),
        }
    }

    /// Reads one row, or none.
    pub(crate) async fn optional(
        &mut self,
        sql: &'static str,
        args: Vec<Value>,
    ) -> Result<Option<Row>, sqlx::Error> {
        Ok(match self {
            Tx::Sqlite(tx) => {
                bound!(sqlx::query(sql), args).fetch_optional(&mut **tx).await?.map(Row::Sqlite)
            }
            #[cfg(feature = "postgres")]
            Tx::Postgres(tx) => {
                let row = bound!(sqlx::query(sql), args).fetch_optional(&mut **tx).await;
                row.map_err(postgres::noted)?.map(Row::Postgres)
            }
        })
    }

    /// Reads rows.
    pub(crate) async fn all(
        &mut self,
        sql: &'static str,
        args: Vec<Value>,
    ) -> Result<Vec<Row>, sqlx::Error> {
        Ok(match self {
            Tx::Sqlite(tx) => {
                let rows = bound!(sqlx::query(sql), args).fetch_all(&mut **tx).await?;
                rows.into_iter().map(Row::Sqlite).collect()
            }
            #[cfg(feature = "postgres")]
            Tx::Postgres(tx) => {
                let rows = bound!(sqlx::query(sql), args).fetch_all(&mut **tx).await;
                rows.map_err(postgres::noted)?.into_iter().map(Row::Postgres).collect()
            }
        })
    }

    /// Runs statements that take no values.
    pub(crate) async fn script(&mut self, sql: String) -> Result<(), sqlx::Error> {
        let sql = sqlx::AssertSqlSafe(sql);
        match self {
            Tx::Sqlite(tx) => sqlx::raw_sql(sql).execute(&mut **tx).await.map(drop),
            #[cfg(feature = "postgres")]
            Tx::Postgres(tx) => sqlx::raw_sql(sql).execute(&mut **tx).await.map(drop),
        }
    }

    /// The first text on SQLite, the second on PostgreSQL.
    #[cfg_attr(not(feature = "postgres"), expect(unused_variables, reason = "SQLite only"))]
    pub(crate) fn pick(&self, sqlite: &'static str, postgres: &'static str) -> &'static str {
        match self {
            Tx::Sqlite(_) => sqlite,
            #[cfg(feature = "postgres")]
            Tx::Postgres(_) => postgres,
        }
    }

    /// The named queries of this dialect.
    pub(crate) fn queries(&self) -> &'static Queries {
        match self {
            Tx::Sqlite(_) => &sqlite::QUERIES,
            #[cfg(feature = "postgres")]
            Tx::Postgres(_) => &postgres::QUERIES,
        }
    }

    pub(crate) async fn commit(self) -> Result<(), sqlx::Error> {
        match self {
            Tx::Sqlite(tx) => tx.commit().await,
            #[cfg(feature = "postgres")]
            Tx::Postgres(tx) => tx.commit().await,
        }
    }

    pub(crate) async fn rollback(self) -> Result<(), sqlx::Error> {
        match self {
            Tx::Sqlite(tx) => tx.rollback().await,
            #[cfg(feature = "postgres")]
            Tx::Postgres(tx) => tx.rollback().await,
        }
    }
}

impl Pool {
    /// Begins to write. SQLite takes its write lock now: a transaction that begins by reading and
    /// then writes can fail in the middle.
    pub(crate) async fn begin(&self) -> Result<Tx, sqlx::Error> {
        match self {
            Pool::Sqlite(pool) => pool.begin_with("BEGIN IMMEDIATE").await.map(Tx::Sqlite),
            #[cfg(feature = "postgres")]
            Pool::Postgres(pool) => match pool.begin().await {
                Err(sqlx::Error::PoolTimedOut) => Err(postgres::explain_timeout(pool).await),
                begun => begun.map(Tx::Postgres),
            },
        }
    }

    /// Reads rows outside a transaction. What a caller wants must be in the values, not in the text.
    pub(crate) async fn all(
        &self,
        sql: impl sqlx::SqlSafeStr,
        args: Vec<Value>,
    ) -> Result<Vec<Row>, sqlx::Error> {
        Ok(match self {
            Pool::Sqlite(pool) => {
                let rows = bound!(sqlx::query(sql), args).fetch_all(pool).await?;
                rows.into_iter().map(Row::Sqlite).collect()
            }
            #[cfg(feature = "postgres")]
            Pool::Postgres(pool) => match bound!(sqlx::query(sql), args).fetch_all(pool).await {
                Err(sqlx::Error::PoolTimedOut) => {
                    return Err(postgres::explain_timeout(pool).await);
                }
                rows => rows?.into_iter().map(Row::Postgres).collect(),
            },
        })
    }

    /// The first text on SQLite, the second on PostgreSQL.
    #[cfg_attr(not(feature = "postgres"), expect(unused_variables, reason = "SQLite only"))]
    pub(crate) fn pick(&self, sqlite: &'static str, postgres: &'static str) -> &'static str {
        match self {
            Pool::Sqlite(_) => sqlite,
            #[cfg(feature = "postgres")]
            Pool::Postgres(_) => postgres,
        }
    }

    /// Whether it is SQLite, inside this process.
    pub(crate) fn is_embedded(&self) -> bool {
        match self {
            Pool::Sqlite(_) => true,
            #[cfg(feature = "postgres")]
            Pool::Postgres(_) => false,
        }
    }

    /// The named queries of this dialect.
    pub(crate) fn queries(&self) -> &'static Queries {
        match self {
            Pool::Sqlite(_) => &sqlite::QUERIES,
            #[cfg(feature = "postgres")]
            Pool::Postgres(_) => &postgres::QUERIES,
        }
    }

    pub(crate) async fn close(&self) {
        match self {
            Pool::Sqlite(pool) => pool.close().await,
            #[cfg(feature = "postgres")]
            Pool::Postgres(pool) => pool.close().await,
        }
    }
}

/// Reads a state or another value of an enum from the text of a column.
pub(crate) fn parsed<T: std::str::FromStr>(
    table: &'static str,
    column: &str,
    text: &str,
) -> Result<T, Error> {
    text.parse().map_err(|_| Error::Row { table, why: format!("`{column}` is {text:?}") })
}
