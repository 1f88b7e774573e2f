//! Tests of the queue and its store on real databases. Each behaviour is one function that runs on
//! SQLite and on PostgreSQL.
//!
//! PostgreSQL runs as a cluster of this test, in a temporary folder with its socket. If it is not
//! installed, its half of the tests is reported as skipped.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test's helper functions fail the test, and say what was skipped"
)]
#![allow(clippy::disallowed_methods, reason = "#[tokio::test] makes the runtime of a test")]

/// Defines a test on both databases.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {$(
        mod $name {
            #[tokio::test(flavor = "multi_thread")]
            async fn sqlite() {
                crate::logged();
                crate::in_time(super::tests::$name(crate::Place::sqlite())).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn postgres() {
                crate::logged();
                if let Some(place) = crate::Place::postgres().await {
                    crate::in_time(super::tests::$name(place)).await;
                }
            }
        }
    )*};
}

// Shared with the end-to-end tests, on which this crate cannot depend.
#[path = "../../../../tests/src/postgres.rs"]
#[allow(unreachable_pub, reason = "it is public for the end-to-end tests")]
mod postgres;

// The same.
#[path = "../../../../tests/src/bouncer.rs"]
#[allow(unreachable_pub, reason = "it is public for the end-to-end tests")]
mod bouncer;

mod batches;
mod black_hole;
mod bulk;
mod claim;
mod complete;
mod database;
mod failures;
mod fair_share;
mod holds;
mod outage;
mod queue;
mod rescue;
mod schema;
mod sums;
mod webhooks;
mod years;

use std::collections::HashMap;
use std::future::Future;
use std::path::Path;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use black_hole::BlackHole;
use serde_json::json;
use sitewright_failure::group::Filter as ListedFailures;
use sitewright_jobs::{
    AttemptEnd, AttemptLimits, BULK_BATCH, Backoff, BulkOutcome, CancelAnswer, Claim, Claimed,
    CompleteOutcome, Database, DrainAnswer, Enqueued, Error, ExpiredRows, Filter, Handler,
    MAX_CACHED_BYTES, MAX_CACHED_REPLIES, MAX_CACHED_REPLY_BYTES, Marks, NewAiCall, NewCachedReply,
    NewEvent, NewFailure, NewOrder, OrderState, Publisher, Resolution, RetryClass, Revised,
    SCHEMA_VERSION, Selection, Serving, Stop, StopReason, SweepCursor, WorkerId, WorkerSettings,
    class, serve,
};
use sitewright_model::ai::AiErrorKind;
use sitewright_model::failure::{FailureKind, FailureRecord, OfAttempt};
use sitewright_model::message;
use sitewright_model::message::Message;
use sqlx::Connection as _;
use ulid::Ulid;

/// A database for one test.
struct Place {
    url: String,
    folder: tempfile::TempDir,
}

impl Place {
    fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Place { url: format!("sqlite://{}/orders.db", folder.path().display()), folder }
    }

    async fn postgres() -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let cluster = postgres::shared()?;
        let name = format!("t{}", NEXT.fetch_add(1, Ordering::Relaxed));
        Some(Place { url: cluster.create(&name), folder: tempfile::tempdir().unwrap() })
    }

    /// The same PostgreSQL behind a network that can be cut, and its URL there.
    async fn across_a_network(&self) -> (BlackHole, String) {
        let (before, folder) = self.url.split_once("?host=").expect("it is PostgreSQL's");
        let name = before.rsplit('/').next().expect("the address names a database");
        let network = BlackHole::before(Path::new(folder)).await;
        let url = network.url(name);
        (network, url)
    }

    fn is_sqlite(&self) -> bool {
        self.url.starts_with("sqlite")
    }

    /// The view of another process: a separate pool.
    async fn open(&self) -> Database {
        let database = Database::open(&self.url).await.unwrap();
        database.migrate().await.unwrap();
        database
    }

    async fn sql(&self, sql: &str) -> u64 {
        run_sql(&self.url, sql).await
    }

    async fn number(&self, sql: &str) -> i64 {
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        if self.is_sqlite() {
            let mut connection = sqlx::SqliteConnection::connect(&self.url).await.unwrap();
            sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
        } else {
            let mut connection = sqlx::PgConnection::connect(&self.url).await.unwrap();
            sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
        }
    }
}

async fn run_sql(url: &str, sql: &str) -> u64 {
    let sql = sqlx::AssertSqlSafe(sql.to_owned());
    if url.starts_with("sqlite") {
        let mut connection = sqlx::SqliteConnection::connect(url).await.unwrap();
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap().rows_affected()
    } else {
        let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap().rows_affected()
    }
}

async fn in_time(test: impl Future<Output = ()>) {
    tokio::time::timeout(Duration::from_secs(120), test)
        .await
        .expect("the test did not end within two minutes");
}

/// `RUST_LOG=debug` shows the worker's log.
fn logged() {
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init().ok();
}

/// Waits for a condition, at most a minute.
async fn until<F: Future<Output = bool>>(what: &str, mut so: impl FnMut() -> F) {
    let begin = Instant::now();
    while !so().await {
        assert!(begin.elapsed() < Duration::from_secs(60), "waited a minute for: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn until_state(database: &Database, order: &str, state: OrderState) {
    until(&format!("{order} is {state}"), || async {
        database.order(order).await.unwrap().state == state
    })
    .await;
}

fn new_order(id: &str) -> NewOrder {
    NewOrder::new(id, "flora", json!({ "customer": id }).to_string())
}

fn failure(kind: &str, text: &str) -> NewFailure {
    NewFailure {
        id: Ulid::generate().to_string(),
        kind: kind.to_owned(),
        message: message!("it failed: {text}"),
        record: json!({ "kind": kind, "why": text }),
    }
}

fn ghost(name: &str) -> WorkerId {
    WorkerId { client: name.to_owned(), config_version: Some("c1".to_owned()) }
}

/// Claims an order for a worker that sends no heartbeat, unless it completes the order.
async fn taken_by(database: &Database, order: &str, worker: &str) -> Claimed {
    let job = database.order(order).await.unwrap().job_id.unwrap();
    match database.claim(order, job, &ghost(worker), Ulid::generate()).await.unwrap() {
        Claim::Claimed(claimed, _) => *claimed,
        other => panic!("{order} was not claimed: {other:?}"),
    }
}

async fn release(database: &Database, claimed: &Claimed, name: &str) -> CompleteOutcome {
    let resolution = Resolution::Succeeded { release: name.to_owned() };
    database.complete(claimed, &resolution, AttemptLimits::default()).await.unwrap()
}

fn ended(attempt: AttemptEnd, order: OrderState) -> CompleteOutcome {
    CompleteOutcome::Done { attempt, order, next_attempt_at: None }
}

/// Short intervals, so that no test takes long.
fn quick() -> WorkerSettings {
    WorkerSettings {
        max_orders: 50,
        config_version: Some("worker".to_owned()),
        contract: Some("0.9.0".to_owned()),
        heartbeat_every: Duration::from_millis(100),
        // Long enough for a machine on which everything takes its time.
        stale_after: Duration::from_secs(3),
        rescue_every: Duration::from_millis(50),
        adopt_after: Duration::from_millis(200),
        poll_every: Duration::from_millis(200),
        schedule_every: Duration::from_millis(100),
        stop_within: Duration::from_secs(2),
        ..WorkerSettings::default()
    }
}

type Script = dyn Fn(&Claimed, u32) -> Do + Send + Sync;

/// The behaviour of a handler in one attempt.
enum Do {
    CompleteAttempt(Resolution),
    /// Waits for the stop signal.
    Wait,
    /// Ignores the stop signal.
    Sleep(Duration),
    Panic,
}

struct Scripted {
    script: Box<Script>,
    runs: Mutex<HashMap<String, u32>>,
    stopped: Mutex<Vec<(String, StopReason)>>,
    /// The orders whose release was activated, in this sequence.
    published: Mutex<Vec<String>>,
    busy: AtomicUsize,
}

impl Scripted {
    fn new(script: impl Fn(&Claimed, u32) -> Do + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Scripted {
            script: Box::new(script),
            runs: Mutex::default(),
            stopped: Mutex::default(),
            published: Mutex::default(),
            busy: AtomicUsize::new(0),
        })
    }

    fn all_succeed() -> Arc<Self> {
        Scripted::new(|claimed, _| {
            Do::CompleteAttempt(Resolution::Succeeded { release: claimed.attempt.to_string() })
        })
    }

    fn runs(&self) -> HashMap<String, u32> {
        self.runs.lock().unwrap().clone()
    }

    fn total(&self) -> u32 {
        self.runs.lock().unwrap().values().sum()
    }
}

#[async_trait]
impl Handler for Scripted {
    fn digest(&self, template: &str) -> Option<String> {
        (template == "flora").then(|| "sha256:1".to_owned())
    }

    async fn handle(&self, claimed: &Claimed, _: String, stop: &Stop) -> Resolution {
        let run = {
            let mut runs = self.runs.lock().unwrap();
            let run = runs.entry(claimed.order.clone()).or_default();
            *run += 1;
            *run
        };
        match (self.script)(claimed, run) {
            Do::CompleteAttempt(resolution) => resolution,
            Do::Wait => {
                self.busy.fetch_add(1, Ordering::SeqCst);
                stop.token().cancelled().await;
                self.stopped.lock().unwrap().push((claimed.order.clone(), stop.reason()));
                stop.resolution(Some(failure("cancelled", "stopped")))
            }
            Do::Sleep(time) => {
                self.busy.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(time).await;
                Resolution::Succeeded { release: claimed.attempt.to_string() }
            }
            Do::Panic => panic!("a bug in the host"),
        }
    }
}

#[async_trait]
impl Publisher for Scripted {
    async fn activate(&self, claimed: &Claimed, _release: &str) -> Result<(), Message> {
        self.published.lock().unwrap().push(claimed.order.clone());
        Ok(())
    }

    async fn discard(&self, _claimed: &Claimed, _release: &str) -> Result<(), Message> {
        Ok(())
    }
}

/// Starts a worker with a script as handler and publisher.
async fn start(
    database: Database,
    settings: WorkerSettings,
    script: Arc<Scripted>,
) -> Result<Serving, Error> {
    serve(database, settings, script.clone(), script).await
}

async fn worker(database: &Database, handler: &Arc<Scripted>) -> Serving {
    start(database.clone(), quick(), handler.clone()).await.unwrap()
}

const GRACE: Duration = Duration::from_secs(30);

/// Waits until the order of a stale worker is back in the queue.
async fn rescued(database: &Database, order: &str) {
    until(&format!("{order} is rescued"), || async {
        database.order(order).await.unwrap().owner_attempt.is_none()
    })
    .await;
}

/// Enqueues or requeues an order and lets it fail.
async fn fail(database: &Database, order: &str, failure: NewFailure) {
    if let Ok(found) = database.order(order).await {
        assert!(found.state.has_ended());
        database.reopen(order, None).await.unwrap();
    } else {
        database.enqueue(new_order(order)).await.unwrap();
    }
    let claimed = taken_by(database, order, "w").await;
    database
        .complete(&claimed, &Resolution::Failed { failure }, AttemptLimits::default())
        .await
        .unwrap();
    // Times are in milliseconds, and the second one must be later.
    tokio::time::sleep(Duration::from_millis(2)).await;
}

fn whole_record(order: &str, template: &str, message: &str) -> FailureRecord {
    let of = OfAttempt {
        order: order.to_owned(),
        job: None,
        attempt: Ulid::generate().to_string(),
        trace_id: "t".to_owned(),
        template: template.to_owned(),
        config_version: "c".to_owned(),
    };
    let message = Message::or(message, message!("none"));
    FailureRecord::without_run(FailureKind::TemplateError, message, of)
}

fn whole(order: &str, template: &str, message: &str) -> NewFailure {
    NewFailure::from(&whole_record(order, template, message))
}

fn reply(request: &str, occurrence: u32) -> NewAiCall {
    NewAiCall {
        request: request.to_owned(),
        occurrence,
        purpose: "copywriting".to_owned(),
        provider: "p".to_owned(),
        model: "m".to_owned(),
        cost_nano_usd: Some(1_000),
        input_tokens: Some(10),
        output_tokens: None,
        took_ms: None,
        tries: Vec::new(),
        entry: json!({ "content": format!("answer {occurrence}"), "raw_reply": "\u{0}" }),
    }
}
