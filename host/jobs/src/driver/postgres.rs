//! PostgreSQL: how it is opened, how connections that no longer answer or only read are recognized,
//! its locks, and its text of each named query.

use std::str::FromStr as _;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use sitewright_model::time::{millis, now_ms};
use sqlx::error::DatabaseError;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgListener, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection as _, Row as _};
use tokio::time::{Instant, timeout_at};
use ulid::Ulid;

use super::river::QUEUE;
use super::statement::render;
use super::url::PostgresUrl;
use super::{ACQUIRE_TIMEOUT, DatabaseOptions, OpenError, Queries, Tx, args};
use crate::open_cause::OpenCause;

/// Timeout of a ping, before and after a connection is used: its last user may have dropped it in
/// the middle of a statement.
const PING_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection that listens waits for an answer.
const LISTEN_WITHIN: Duration = Duration::from_secs(5);
/// How long triggers tell of changes after somebody has said that they watch.
const WATCHED_FOR: Duration = Duration::from_secs(30);
/// Key of the advisory lock for rescue: `siteresc` as a number.
const RESCUE_KEY: i64 = 0x7369_7465_7265_7363;
/// Key of the advisory lock for adding and claiming bulk actions: `sitebulk` as a number.
const BULK_KEY: i64 = 0x7369_7465_6275_6c6b;
/// Key of the advisory lock for migration: `sitewrig` as a number.
const MIGRATION_KEY: i64 = 0x7369_7465_7772_6967;
/// A job that is due for longer than this, in seconds, was left by all workers.
const OVERDUE_S: i64 = 10;
/// Time of the last write that a database refused because it only reads, in milliseconds since the
/// Unix epoch. One for the process: it makes other databases' connections be asked once more.
static READ_ONLY_AT: AtomicU64 = AtomicU64::new(0);
/// For how long after such a write connections are asked whether they only read.
const SUSPICIOUS_FOR_MS: u64 = 60_000;
/// A connection younger than this was opened to the host that has the address now: opening it again
/// changes nothing.
const YOUNG: Duration = Duration::from_secs(5);
/// Time between two attempts to connect to a server that is being restarted.
const RESTART_PAUSE: Duration = Duration::from_millis(100);

/// What sqlx needs to connect.
pub(crate) fn connect_options(
    url: &PostgresUrl,
    options: &DatabaseOptions,
) -> Result<PgConnectOptions, OpenError> {
    let read = PgConnectOptions::from_str(&url.text);
    // The words of sqlx's error have parts of the URL.
    let read = read.map_err(|_| OpenError::Url("it is not a URL of PostgreSQL".to_owned()))?;
    // The brackets of an IPv6 address are the URL's.
    let address = read.get_host().strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let read = match address.map(str::to_owned) {
        Some(address) => read.host(&address),
        None => read,
    };
    let read = match options.statement_cache {
        Some(statements) => read.statement_cache_capacity(statements),
        None => read,
    };
    // PgBouncer refuses the parameter, and no column is a floating-point number.
    Ok(read.extra_float_digits(None).application_name(&super::program()))
}

/// Connects within `options.connect_within`.
pub(crate) async fn open(
    url: &PostgresUrl,
    options: &DatabaseOptions,
) -> Result<PgPool, OpenError> {
    let connect = connect_options(url, options)?;
    open_pool(&connect, options, options.connections).await
}

async fn open_pool(
    connect: &PgConnectOptions,
    options: &DatabaseOptions,
    connections: u32,
) -> Result<PgPool, OpenError> {
    let timeout = options.answer_within;
    // Short, so that there is time left for a new connection after the old one was given up.
    let ping_timeout = PING_TIMEOUT.min(timeout / 4);
    let pool = PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(options.acquire_within)
        .after_connect(move |connection, _| Box::pin(set_server_timeouts(connection, timeout)))
        // Replaced by `before_acquire`: sqlx's own ping before each use has no timeout.
        .test_before_acquire(false)
        .before_acquire(move |connection, meta| {
            Box::pin(is_usable(connection, meta.age, ping_timeout))
        })
        .after_release(move |connection, meta| {
            Box::pin(is_usable(connection, meta.age, ping_timeout))
        });
    let (begin, within) = (Instant::now(), options.connect_within);
    let (patience, until) = (begin + within.mul_f64(0.6), begin + within);
    let opened = pool.connect_lazy_with(connect.clone());
    loop {
        // A server that is being restarted refuses connections for a moment: sqlx tries again, and
        // in the end does not say what it was refused with.
        match timeout_at(patience, opened.acquire()).await {
            Ok(Ok(_)) => return Ok(opened),
            Ok(Err(error)) => {
                let (cause, error) = explain(connect, error, until).await;
                if !cause.is_restart() || Instant::now() >= patience {
                    return Err(OpenError::Connect(cause, error));
                }
                tokio::time::sleep(RESTART_PAUSE).await;
            }
            Err(_) => break,
        }
    }
    match diagnose(connect, options, until).await {
        Err((cause, error)) => Err(OpenError::Connect(cause, error)),
        // It has come back at this moment, or has no place for a pool's connection.
        Ok(()) => match timeout_at(until + within.mul_f64(0.2), opened.acquire()).await {
            Ok(Ok(_)) => Ok(opened),
            Ok(Err(error)) => {
                let (cause, error) = explain(connect, error, until).await;
                Err(OpenError::Connect(cause, error))
            }
            Err(_) => Err(OpenError::Connect(OpenCause::NoLogin, silent(within))),
        },
    }
}

/// The number of connections that a worker got at its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Places {
    /// Those that could be opened at once.
    pub(crate) open: usize,
    /// Those that were wanted: of the pool, and one that listens.
    pub(crate) wanted: usize,
}

/// Fewer connections than this are too few for a worker: two of the pool, and one that listens.
pub(crate) const LEAST_PLACES: usize = 3;

/// Like [`open`], for a worker: opens all connections now, so that a pooler or server that has not
/// enough is found at the start instead of by an order that waits for one, and closes most of them
/// again. If there are fewer, the pool becomes smaller and leaves one for commands.
pub(crate) async fn open_for_worker(
    url: &PostgresUrl,
    options: &DatabaseOptions,
) -> Result<PgPool, OpenError> {
    let connect = connect_options(url, options)?;
    let pool = open_pool(&connect, options, options.connections).await?;
    let within = |part: f64| Instant::now() + options.connect_within.mul_f64(part);
    let until = within(0.4);
    let mut opening: FuturesUnordered<_> =
        (0..options.connections).map(|_| pool.acquire()).collect();
    let mut held = Vec::new();
    while let Ok(Some(Ok(connection))) = timeout_at(until, opening.next()).await {
        held.push(connection);
    }
    drop(opening);
    if let [one, other, ..] = held.as_mut_slice() {
        let until = within(0.4);
        let pooling = timeout_at(until, pooling(one, other)).await;
        match pooling {
            Ok(Ok(Pooling::Session)) => {}
            Ok(Ok(Pooling::Transaction | Pooling::Statement)) => {
                return Err(OpenError::TransactionPooling);
            }
            Ok(Err(error)) => {
                let (cause, error) = explain(&connect, error, until).await;
                return Err(OpenError::Connect(cause, error));
            }
            Err(_) => {
                let error = silent(options.connect_within);
                return Err(OpenError::Connect(OpenCause::NoLogin, error));
            }
        }
    }
    let listener = timeout_at(within(0.2), listens(&connect)).await;
    let listener = listener.ok().and_then(Result::ok);
    let places = Places {
        open: held.len() + usize::from(listener.is_some()),
        wanted: options.connections as usize + 1,
    };
    // Those that are not needed yet are left to other workers that start now.
    let surplus = held.split_off(held.len().min(2));
    drop(futures::future::join_all(surplus.into_iter().map(|one| one.close())).await);
    drop(held);
    if let Some(listener) = listener {
        drop(listener.close().await);
    }
    if places.open >= places.wanted {
        return Ok(pool);
    }
    pool.close().await;
    if places.open < LEAST_PLACES {
        return Err(OpenError::TooFewPlaces(places));
    }
    let connections = u32::try_from((places.open - 2).max(2)).unwrap_or(2);
    tracing::warn!(
        wanted = places.wanted,
        open = places.open,
        connections,
        "the database gives this worker fewer connections than it wants, and it works with fewer: \
         raise `max_connections` of the server or `default_pool_size` of PgBouncer, or set \
         `database.connections` to this number"
    );
    open_pool(&connect, options, connections).await
}

/// Like [`open`], for a server: refuses a pooler that gives each transaction another session, in
/// which its prepared statements are unknown. They would fail at random, one request and not the
/// next.
pub(crate) async fn open_for_server(
    url: &PostgresUrl,
    options: &DatabaseOptions,
) -> Result<PgPool, OpenError> {
    let pool = open(url, options).await?;
    let within = options.connect_within.mul_f64(0.4);
    // What cannot be found out in this time shows later, by an error that says the same.
    match tokio::time::timeout(within, loses_statements(&pool, options)).await {
        Ok(Ok(true)) => {
            pool.close().await;
            Err(OpenError::StatementsLost)
        }
        Ok(Ok(false) | Err(_)) | Err(_) => Ok(pool),
    }
}

/// Whether a pooler gives each transaction another session, and not its prepared statements.
async fn loses_statements(pool: &PgPool, options: &DatabaseOptions) -> Result<bool, sqlx::Error> {
    let (mut one, mut other) = own_sessions(pool).await?;
    let loses = async {
        match pooling(&mut one, &mut other).await? {
            Pooling::Session => return Ok(false),
            Pooling::Statement => return Ok(true),
            // Statements without a name are sent and used in two transactions.
            Pooling::Transaction if options.statement_cache == Some(0) => return Ok(true),
            Pooling::Transaction => {}
        }
        match prepare_side_by_side(&mut one, &mut other).await {
            Ok(()) => Ok(false),
            Err(sqlx::Error::Database(error)) if is_of_another_session(&*error) => Ok(true),
            Err(error) => Err(error),
        }
    };
    let loses = loses.await;
    close(one, other).await;
    loses
}

/// Whether a prepared statement is unknown, or another client's.
fn is_of_another_session(error: &dyn DatabaseError) -> bool {
    matches!(error.code().as_deref(), Some("26000" | "42P05"))
}

/// Prepares statements on both connections, so that one session gets those of both: a pooler gives
/// the session to the second that the first has just left.
async fn prepare_side_by_side(
    one: &mut PgConnection,
    other: &mut PgConnection,
) -> Result<(), sqlx::Error> {
    for sql in ["SELECT 1", "SELECT 2"] {
        sqlx::query(sql).execute(&mut *one).await?;
        sqlx::raw_sql("BEGIN").execute(&mut *other).await?;
        sqlx::query(sql).execute(&mut *other).await?;
        sqlx::query(sql).execute(&mut *one).await?;
        sqlx::raw_sql("COMMIT").execute(&mut *other).await?;
    }
    Ok(())
}

/// Two connections of a pool that are the pool's no more: whoever gives up in the middle of a
/// transaction must not leave it to the next user.
async fn own_sessions(pool: &PgPool) -> Result<(PgConnection, PgConnection), sqlx::Error> {
    let one = pool.acquire().await?.detach();
    Ok((one, pool.acquire().await?.detach()))
}

async fn close(one: PgConnection, other: PgConnection) {
    drop(futures::future::join(one.close(), other.close()).await);
}

/// Connects as River's listener does, and asks something: a pooler lets clients log in for which it
/// has no place.
async fn listens(connect: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    let mut connection = PgConnection::connect_with(connect).await?;
    backend(&mut connection).await?;
    Ok(connection)
}

/// How long a connection has the same session of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pooling {
    /// Until it is closed.
    Session,
    /// During a transaction, behind a pooler: `LISTEN`, settings and perhaps prepared statements
    /// are lost with it.
    Transaction,
    /// During a statement, behind a pooler that allows no transactions.
    Statement,
}

/// Finds out by two connections whether they share the server's sessions.
async fn pooling(one: &mut PgConnection, other: &mut PgConnection) -> Result<Pooling, sqlx::Error> {
    // Which session such a pooler chooses depends on its settings; three rounds find both.
    for _ in 0..3 {
        let before = backend(one).await?;
        let begun = sqlx::raw_sql("BEGIN").execute(&mut *other).await;
        if let Err(sqlx::Error::Database(error)) = &begun
            && error.code().as_deref() == Some("08P01")
        {
            // It closes the connection, too.
            return Ok(Pooling::Statement);
        }
        begun?;
        let meanwhile = backend(other).await?;
        let after = backend(one).await?;
        sqlx::raw_sql("COMMIT").execute(&mut *other).await?;
        if before == meanwhile || before != after {
            return Ok(Pooling::Transaction);
        }
    }
    Ok(Pooling::Session)
}

/// The process of the server that answers.
async fn backend(connection: &mut PgConnection) -> Result<i32, sqlx::Error> {
    sqlx::raw_sql("SELECT pg_backend_pid()").fetch_one(connection).await?.try_get(0)
}

/// Whether the database is behind a pooler that gives each transaction another session.
pub(crate) async fn is_transaction_pooled(pool: &PgPool) -> Result<bool, sqlx::Error> {
    let (mut one, mut other) = own_sessions(pool).await?;
    let pooling = pooling(&mut one, &mut other).await;
    close(one, other).await;
    Ok(pooling? != Pooling::Session)
}

/// Hears that orders or events have changed, on a connection of its own.
#[derive(Debug)]
pub(crate) struct Changes {
    listener: PgListener,
    /// As the table of those who watch calls this connection.
    id: String,
}

impl Changes {
    /// Begins to listen, and says that somebody watches.
    pub(crate) async fn listen(pool: &PgPool) -> Result<Self, sqlx::Error> {
        // A pool of its own, so that the listener can connect again without taking a connection
        // from whoever uses the other one.
        let own = PgPoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .acquire_timeout(LISTEN_WITHIN)
            .connect_lazy_with((*pool.connect_options()).clone());
        let mut listener = PgListener::connect_with(&own).await?;
        listener.listen("sitewright_changed").await?;
        let mut changes = Changes { listener, id: Ulid::generate().to_string() };
        changes.keep().await?;
        Ok(changes)
    }

    /// Waits for the next change. Returns also if the connection was lost: then some may have been
    /// missed.
    pub(crate) async fn next(&mut self) -> Result<(), sqlx::Error> {
        self.listener.try_recv().await?;
        while self.listener.next_buffered().is_some() {}
        Ok(())
    }

    /// Says that somebody watches for some more time, and forgets who did so long ago.
    pub(crate) async fn keep(&mut self) -> Result<(), sqlx::Error> {
        static KEEP: LazyLock<String> = LazyLock::new(|| {
            format!(
                "WITH gone AS (DELETE FROM sitewright_watchers WHERE until < {0} - 3600000)
                 INSERT INTO sitewright_watchers (id, until) VALUES ($1, {0} + $2)
                 ON CONFLICT (id) DO UPDATE SET until = excluded.until",
                QUERIES.now_ms
            )
        });
        let ms = i64::try_from(WATCHED_FOR.as_millis()).unwrap_or(i64::MAX);
        let keep = sqlx::query(KEEP.as_str()).bind(&self.id).bind(ms).execute(&mut self.listener);
        tokio::time::timeout(LISTEN_WITHIN, keep).await.map_err(|_| silent(LISTEN_WITHIN))??;
        Ok(())
    }
}

fn silent(within: Duration) -> sqlx::Error {
    let message = format!("it has not answered for {} s", within.as_secs_f64());
    sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, message))
}

fn is_socket(connect: &PgConnectOptions) -> bool {
    connect.get_socket().is_some() || connect.get_host().starts_with('/')
}

/// Whether the host's name has an address.
async fn resolve(connect: &PgConnectOptions, until: Instant) -> Result<(), sqlx::Error> {
    if is_socket(connect) {
        return Ok(());
    }
    let address = (connect.get_host(), connect.get_port());
    match timeout_at(until, tokio::net::lookup_host(address)).await {
        Ok(Ok(mut found)) => match found.next() {
            Some(_) => Ok(()),
            None => Err(sqlx::Error::Io(std::io::Error::other("the host has no address"))),
        },
        Ok(Err(error)) => Err(sqlx::Error::Io(error)),
        Err(_) => Err(silent(until.saturating_duration_since(Instant::now()))),
    }
}

/// The cause of an error of connecting.
async fn explain(
    connect: &PgConnectOptions,
    error: sqlx::Error,
    until: Instant,
) -> (OpenCause, sqlx::Error) {
    let resolved = match &error {
        sqlx::Error::Io(_) => resolve(connect, until).await.is_ok(),
        _ => true,
    };
    (OpenCause::of_postgres(&error, is_socket(connect), resolved), error)
}

/// Connects once, to learn why a pool could not.
async fn diagnose(
    connect: &PgConnectOptions,
    options: &DatabaseOptions,
    until: Instant,
) -> Result<(), (OpenCause, sqlx::Error)> {
    resolve(connect, until).await.map_err(|error| (OpenCause::Unresolved, error))?;
    let begin = Instant::now();
    // A fifth of the time is left for the last question.
    let until_login = until - until.saturating_duration_since(begin) / 5;
    let trying = async {
        let mut connection = PgConnection::connect_with(connect).await?;
        set_server_timeouts(&mut connection, options.answer_within).await?;
        connection.close().await
    };
    match timeout_at(until_login, trying).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(explain(connect, error, until).await),
        Err(_) => {
            let accepts = timeout_at(until, accepts(connect)).await.unwrap_or(false);
            let cause = if accepts { OpenCause::NoLogin } else { OpenCause::Unreachable };
            Err((cause, silent(options.connect_within)))
        }
    }
}

/// Whether anybody accepts connections at the address.
async fn accepts(connect: &PgConnectOptions) -> bool {
    let (host, port) = (connect.get_host(), connect.get_port());
    let host_folder = host.starts_with('/').then(|| std::path::Path::new(host));
    let folder = connect.get_socket().map(AsRef::as_ref).or(host_folder);
    match folder {
        Some(folder) => {
            let path = folder.join(format!(".s.PGSQL.{port}"));
            tokio::net::UnixStream::connect(path).await.is_ok()
        }
        None => tokio::net::TcpStream::connect((host, port)).await.is_ok(),
    }
}

/// Instead of "pool timed out": why no connection could be had in time. An error of
/// input and output whatever the cause is, because a retry may succeed.
pub(crate) async fn explain_timeout(pool: &PgPool) -> sqlx::Error {
    const WITHIN: Duration = Duration::from_secs(2);
    let options = DatabaseOptions { connect_within: WITHIN, ..DatabaseOptions::default() };
    let waited = pool.options().get_acquire_timeout().as_secs_f64();
    let connect = pool.connect_options();
    let message = match diagnose(&connect, &options, Instant::now() + WITHIN).await {
        Err((cause, error)) => format!(
            "no connection for {waited} s: {}; {}",
            crate::open_cause::words(&error),
            cause.hint()
        ),
        Ok(()) => format!(
            "no connection for {waited} s: all {} of this process are in use; set a larger \
             `database.connections`",
            pool.options().get_max_connections()
        ),
    };
    sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, message))
}

/// Whether a connection can be reused. One that does not answer or only reads is closed; the pool
/// then opens another one, to the host that has the address by now.
async fn is_usable(
    connection: &mut PgConnection,
    age: Duration,
    timeout: Duration,
) -> Result<bool, sqlx::Error> {
    let asking = async {
        if age < YOUNG || !is_suspicious() {
            return connection.ping().await.map(|()| false);
        }
        let setting = sqlx::raw_sql("SHOW transaction_read_only").fetch_one(connection).await?;
        Ok(setting.try_get::<String, _>(0)? == "on")
    };
    match tokio::time::timeout(timeout, asking).await {
        Ok(Ok(false)) => Ok(true),
        Ok(Ok(true)) => {
            tracing::warn!(
                "a connection to PostgreSQL only reads, as after a failover, and is opened anew"
            );
            Ok(false)
        }
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

fn is_suspicious() -> bool {
    let at = READ_ONLY_AT.load(Ordering::Relaxed);
    at > 0 && now().saturating_sub(at) < SUSPICIOUS_FOR_MS
}

fn now() -> u64 {
    u64::try_from(now_ms()).unwrap_or_default()
}

/// Notes a write that was refused because the database only reads: a server that was demoted keeps
/// its connections, and they are of no use any more.
pub(crate) fn noted(error: sqlx::Error) -> sqlx::Error {
    if let sqlx::Error::Database(refused) = &error
        && refused.code().as_deref() == Some("25006")
    {
        READ_ONLY_AT.store(now().max(1), Ordering::Relaxed);
    }
    error
}

/// Makes the server end a transaction whose client is stopped or unreachable, and with it the locks
/// that would keep its orders from rescue.
async fn set_server_timeouts(
    connection: &mut PgConnection,
    timeout: Duration,
) -> Result<(), sqlx::Error> {
    // A live client sends its next statement at once, so a third of the timeout is enough. No
    // statement of ours takes as long as to compile it: PostgreSQL would do so for what it thinks
    // expensive, and take 100 ms for an answer of 5.
    let (idle_ms, ms) = (timeout.as_millis() / 3, timeout.as_millis());
    let set = format!(
        "SET idle_in_transaction_session_timeout = {idle_ms}; SET tcp_user_timeout = {ms}; \
         SET jit = off"
    );
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
    try_lock(tx, RESCUE_KEY).await
}

/// Tries to get the lock for claiming bulk actions, which ends with the transaction.
pub(crate) async fn try_bulk_lock(tx: &mut Tx) -> Result<bool, sqlx::Error> {
    try_lock(tx, BULK_KEY).await
}

/// Waits for that lock.
pub(crate) async fn bulk_lock(tx: &mut Tx) -> Result<(), sqlx::Error> {
    tx.execute("SELECT pg_advisory_xact_lock($1)", args![BULK_KEY]).await.map(drop)
}

async fn try_lock(tx: &mut Tx, key: i64) -> Result<bool, sqlx::Error> {
    let row = tx.optional(TRY_LOCK, args![key]).await?;
    row.map_or(Ok(false), |row| row.int("locked").map(|locked| locked == 1))
}

/// A session of its own that takes the right to migrate a database.
pub(crate) struct MigrationSession(PgConnection);

/// A session on the server, as other sessions see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) pid: i64,
    pub(crate) program: String,
    pub(crate) role: String,
    /// Empty on a socket.
    pub(crate) address: String,
    pub(crate) for_s: i64,
}

/// Who holds the lock with `$1` as the upper and `$2` as the lower half of its key.
const LOCK_HOLDER: &str = "SELECT a.pid::bigint AS pid,
        coalesce(a.application_name, '') AS program, coalesce(a.usename::text, '') AS role,
        coalesce(host(a.client_addr), '') AS address,
        coalesce(extract(epoch FROM now() - a.backend_start)::bigint, 0) AS for_s
     FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
     WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND l.classid::bigint = $1 AND l.objid::bigint = $2
     LIMIT 1";

impl MigrationSession {
    pub(crate) async fn open(pool: &PgPool) -> Result<Self, sqlx::Error> {
        Ok(MigrationSession(pool.acquire().await?.detach()))
    }

    /// Takes the right; `false` if another process has it.
    pub(crate) async fn try_lock(&mut self) -> Result<bool, sqlx::Error> {
        let lock = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)").bind(MIGRATION_KEY);
        lock.fetch_one(&mut self.0).await
    }

    /// Who has the right, if the role may see it.
    pub(crate) async fn holder(&mut self) -> Result<Option<Session>, sqlx::Error> {
        let (upper, lower) = (MIGRATION_KEY >> 32, MIGRATION_KEY & 0xffff_ffff);
        let holder = sqlx::query(LOCK_HOLDER).bind(upper).bind(lower);
        let row = holder.fetch_optional(&mut self.0).await?;
        row.map(|row| {
            Ok(Session {
                pid: row.try_get("pid")?,
                program: row.try_get("program")?,
                role: row.try_get("role")?,
                address: row.try_get("address")?,
                for_s: row.try_get("for_s")?,
            })
        })
        .transpose()
    }

    /// Closes the session, which releases the right.
    pub(crate) async fn close(self) {
        drop(self.0.close().await);
    }
}

/// A pool for migrating: its statements wait for locks no longer than `lock_within`, since all
/// others wait behind them.
pub(crate) async fn migration_pool(
    pool: &PgPool,
    lock_within: Duration,
) -> Result<PgPool, sqlx::Error> {
    let set = format!("SET lock_timeout = {}", lock_within.as_millis());
    PgPoolOptions::new()
        .max_connections(2)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .after_connect(move |connection, _| {
            let set = set.clone();
            Box::pin(async move {
                sqlx::raw_sql(AssertSqlSafe(set)).execute(connection).await.map(drop)
            })
        })
        .connect_with((*pool.connect_options()).clone())
        .await
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
    unique: render("replace(gen_random_uuid()::text, '-', '')"),
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
         SET updated_at = $2, next_attempt_at = CASE
            WHEN CAST(due_at AS BIGINT) > $2 THEN CAST(due_at AS BIGINT)
            ELSE $2 + (next_attempt_at - updated_at) END
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
                AND j.priority > o.priority AND o.tenant IS NOT DISTINCT FROM $3
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
                AND o.tenant IS NOT DISTINCT FROM $4
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
    make_due: render(
        "UPDATE river_job SET state = 'available', queue = $2::text, scheduled_at = now(),
            priority = CASE WHEN $3::bigint = 1 THEN 1::smallint ELSE priority END
         WHERE id IN (SELECT CAST(value AS BIGINT)
                FROM json_array_elements_text(CAST($1 AS json)))
            AND state IN ('available', 'scheduled', 'retryable')",
    ),
});
