//! The queue and its store, on real databases: every behaviour is one function that runs on SQLite
//! and on PostgreSQL.
//!
//! PostgreSQL is a cluster of this test's own, in a temporary folder, reached through a socket
//! there. Where it is not installed its half of the tests says so and is skipped.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test's helper functions fail the test, and say what was skipped"
)]
#![allow(clippy::disallowed_methods, reason = "#[tokio::test] makes the runtime of a test")]

// The same file as in the tests that span crates, which this crate cannot depend on.
#[path = "../../../../tests/src/postgres.rs"]
#[allow(unreachable_pub, reason = "it is public for the tests that span crates")]
mod postgres;

mod black_hole;

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
    AttemptEnd, AttemptLimits, Backoff, CancelAnswer, Claim, Claimed, Database, Enqueued, Error,
    Filter, Handler, NewAiCall, NewEvent, NewFailure, NewOrder, OrderState, Resolution, RetryClass,
    SCHEMA_VERSION, Serving, CompleteOutcome, Stop, StopReason, WorkerId, WorkerSettings, class, serve,
};
use sitewright_model::failure::{FailureKind, FailureRecord, OfAttempt};
use sitewright_model::message;
use sitewright_model::message::Message;
use sqlx::Connection as _;
use ulid::Ulid;

// ---------------------------------------------------------------------------------------------------------------------------------
// The databases.

/// A database of a test's own.
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

    /// The same PostgreSQL across a network that can be cut, and the address there.
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

    /// Another process's view: a pool of its own.
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

/// The same test on both databases.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {$(
        mod $name {
            #[tokio::test(flavor = "multi_thread")]
            async fn sqlite() {
                super::logged();
                super::in_time(super::tests::$name(super::Place::sqlite())).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn postgres() {
                super::logged();
                if let Some(place) = super::Place::postgres().await {
                    super::in_time(super::tests::$name(place)).await;
                }
            }
        }
    )*};
}

async fn in_time(test: impl Future<Output = ()>) {
    tokio::time::timeout(Duration::from_secs(120), test)
        .await
        .expect("the test did not end within two minutes");
}

/// `RUST_LOG=debug` shows what the worker says.
fn logged() {
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init().ok();
}

/// Waits until it is so.
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

// ---------------------------------------------------------------------------------------------------------------------------------
// Workers.

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

/// Takes an order as a worker that is never heard of again, unless it settles.
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

/// Short times, so that no test waits for long.
fn quick() -> WorkerSettings {
    WorkerSettings {
        max_orders: 50,
        config_version: Some("worker".to_owned()),
        heartbeat_every: Duration::from_millis(100),
        stale_after: Duration::from_secs(1),
        rescue_every: Duration::from_millis(50),
        adopt_after: Duration::from_millis(200),
        poll_every: Duration::from_millis(200),
        schedule_every: Duration::from_millis(100),
        stop_within: Duration::from_secs(2),
        ..WorkerSettings::default()
    }
}

type Script = dyn Fn(&Claimed, u32) -> Do + Send + Sync;

/// What a handler does with the how manieth run of an order.
enum Do {
    CompleteAttempt(Resolution),
    /// Waits until it is told to stop.
    Wait,
    /// Does not listen.
    Sleep(Duration),
    Panic,
}

struct Scripted {
    script: Box<Script>,
    runs: Mutex<HashMap<String, u32>>,
    stopped: Mutex<Vec<(String, StopReason)>>,
    settled: Mutex<Vec<(String, CompleteOutcome)>>,
    busy: AtomicUsize,
}

impl Scripted {
    fn new(script: impl Fn(&Claimed, u32) -> Do + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Scripted {
            script: Box::new(script),
            runs: Mutex::default(),
            stopped: Mutex::default(),
            settled: Mutex::default(),
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

    async fn settled(&self, claimed: &Claimed, _settlement: &Resolution, settled: &CompleteOutcome) {
        self.settled.lock().unwrap().push((claimed.order.clone(), settled.clone()));
    }
}

async fn worker(database: &Database, handler: &Arc<Scripted>) -> Serving {
    serve(database.clone(), quick(), handler.clone()).await.unwrap()
}

const GRACE: Duration = Duration::from_secs(30);

// ---------------------------------------------------------------------------------------------------------------------------------
// What is tested.

on_both!(
    b5_g2_tables_are_made_once_by_many_at_a_time,
    b5_g2_a_schema_that_is_too_new_is_refused,
    c5_the_same_order_is_put_in_line_once,
    c5_many_clicks_at_once_make_one_order,
    d1_an_order_that_has_ended_stays_as_it_is,
    d7_an_order_begun_again_keeps_its_attempts_and_its_release,
    an_order_is_taken_by_one,
    taking_and_settling_may_be_asked_twice,
    a_worker_that_wakes_up_late_changes_nothing,
    a_late_write_of_the_queue_meets_no_job,
    d2_d3_a_silent_workers_orders_are_done_by_another,
    c7_the_second_crash_is_the_last,
    d3_an_order_without_a_job_gets_one,
    a_job_cancelled_in_the_queue_cancels_its_order,
    retries_use_attempts_and_then_the_order_is_dead,
    d4_waiting_for_a_limit_uses_no_attempt,
    d4_an_order_that_is_put_off_for_weeks_stays_takeable,
    retries_at_once_are_never_done_twice,
    a_cancelled_order_ends_wherever_it_is,
    b3_orders_that_wait_hold_no_connection,
    b6_a_stage_called_success_ends_nothing,
    pause_stops_the_line,
    a_template_with_many_orders_does_not_keep_anothers_waiting,
    orders_that_stand_back_move_up_before_others_come,
    orders_that_waited_together_stand_back_too,
    d3_d4_a_job_that_nobody_would_take_is_found,
    d3_a_job_that_a_producer_inserted_stays_the_only_one,
    a_release_that_is_not_visible_is_found,
    draining_gives_orders_back_uncounted,
    a_handler_that_does_not_listen_loses_its_order_to_the_line,
    two_workers_share_a_database,
    a_panic_of_the_host_is_a_failure_of_one_attempt,
    d4_replies_are_kept_and_asked_again_when_blamed,
    b4_b7_everything_is_listed_and_exported,
    g4_an_operator_sees_the_queue,
    a_result_that_cannot_be_stored_leaves_no_order_standing,
    failures_are_counted_by_what_they_have_in_common,
    g2_failures_from_before_there_were_fingerprints_are_found_too,
    b7_a_text_that_a_database_cannot_store_settles_its_order_all_the_same,
    many_orders_at_once_are_done_as_each_alone,
);

mod tests {
    use super::*;

    pub(super) async fn b5_g2_tables_are_made_once_by_many_at_a_time(place: Place) {
        let first = Database::open(&place.url).await.unwrap();
        let error = first.check_schema().await.unwrap_err();
        assert!(error.to_string().contains("run `sitewright migrate`"), "{error}");
        let starts = (0..4).map(|_| async {
            let database = Database::open(&place.url).await.unwrap();
            database.migrate().await.unwrap().from
        });
        let from = futures::future::join_all(starts).await;
        assert_eq!(from.iter().filter(|from| **from == 0).count(), 1, "{from:?}");
        first.check_schema().await.unwrap();
        assert_eq!(first.migrate().await.unwrap().river, Vec::<i64>::new());
    }

    pub(super) async fn b5_g2_a_schema_that_is_too_new_is_refused(place: Place) {
        let database = place.open().await;
        for (table, column, known) in [
            ("sitewright_json_schema", "program, applied_at", SCHEMA_VERSION),
            ("river_migration", "", 8),
        ] {
            let newer = known + 4;
            if column.is_empty() {
                place
                    .sql(&format!("INSERT INTO {table} (line, version) VALUES ('main', {newer})"))
                    .await;
            } else {
                place
                    .sql(&format!(
                        "INSERT INTO {table} (version, {column}) VALUES ({newer}, '9', 0)"
                    ))
                    .await;
            }
            for error in
                [database.migrate().await.unwrap_err(), database.check_schema().await.unwrap_err()]
            {
                assert!(matches!(error, Error::NewerSchema { .. }), "{error:?}");
                let text = error.to_string();
                for part in [
                    format!("version {newer}"),
                    format!("up to {known}"),
                    "newer sitewright".to_owned(),
                ] {
                    assert!(text.contains(&part), "{part} is missing in: {text}");
                }
            }
            let refused = serve(database.clone(), quick(), Scripted::all_succeed()).await;
            assert!(matches!(refused, Err(Error::NewerSchema { .. })));
            place.sql(&format!("DELETE FROM {table} WHERE version = {newer}")).await;
        }
        database.check_schema().await.unwrap();
    }

    pub(super) async fn c5_the_same_order_is_put_in_line_once(place: Place) {
        let database = place.open().await;
        let keyed =
            |id: &str| NewOrder { idempotency_key: Some("click-1".to_owned()), ..new_order(id) };
        let first = database.enqueue(keyed("24")).await.unwrap();
        assert!(matches!(&first, Enqueued::New { order, .. } if order == "24"), "{first:?}");
        let queued = Enqueued::AlreadyQueued { order: "24".to_owned() };
        assert_eq!(database.enqueue(new_order("24")).await.unwrap(), queued, "the same id");
        assert_eq!(
            database.enqueue(keyed("25")).await.unwrap(),
            queued,
            "the same key under another id"
        );

        let claimed = taken_by(&database, "24", "w").await;
        let running = Enqueued::AlreadyRunning { order: "24".to_owned() };
        assert_eq!(database.enqueue(new_order("24")).await.unwrap(), running);
        assert_eq!(
            release(&database, &claimed, "r1").await,
            ended(AttemptEnd::Succeeded, OrderState::Succeeded)
        );
        let done = Enqueued::AlreadyDone {
            order: "24".to_owned(),
            state: OrderState::Succeeded,
            release: Some("r1".to_owned()),
        };
        assert_eq!(database.enqueue(keyed("24")).await.unwrap(), done);
        assert_eq!(place.number("SELECT count(*) FROM river_job").await, 1);
        assert_eq!(place.number("SELECT count(*) FROM sitewright_orders").await, 1);

        for (bad, field) in [
            (new_order(" "), "`id`"),
            (NewOrder::new("x", "", "{}"), "`template`"),
            (
                NewOrder { idempotency_key: Some(String::new()), ..new_order("x") },
                "`idempotency_key`",
            ),
            (NewOrder::new("x", "flora", "\0"), "NUL"),
        ] {
            let error = database.enqueue(bad).await.unwrap_err().to_string();
            assert!(error.contains(field), "{error}");
        }
        assert!(matches!(database.order("25").await, Err(Error::NoSuchOrder { .. })));
    }

    pub(super) async fn c5_many_clicks_at_once_make_one_order(place: Place) {
        let (one, two) = (place.open().await, place.open().await);
        let clicks = (0..40).map(|click| {
            let database = if click % 2 == 0 { one.clone() } else { two.clone() };
            tokio::spawn(async move { database.enqueue(new_order("24")).await.unwrap() })
        });
        let answers = futures::future::join_all(clicks).await;
        let new =
            answers.iter().filter(|answer| matches!(answer, Ok(Enqueued::New { .. }))).count();
        assert_eq!(new, 1, "{answers:?}");
        assert_eq!(place.number("SELECT count(*) FROM river_job").await, 1);

        let orders = (0..100).map(|id| new_order(&format!("bulk-{id}"))).collect();
        let answers = one.enqueue_all(orders).await.unwrap();
        assert!(answers.iter().all(|answer| matches!(answer, Enqueued::New { .. })));
        assert_eq!(place.number("SELECT count(*) FROM river_job").await, 101);
    }

    pub(super) async fn d1_an_order_that_has_ended_stays_as_it_is(place: Place) {
        let database = place.open().await;
        let settlements = [
            (Resolution::Succeeded { release: "r".to_owned() }, OrderState::Succeeded, "completed"),
            (Resolution::Failed { failure: failure("trap", "x") }, OrderState::Failed, "discarded"),
            (Resolution::Dead { failure: failure("ai", "x") }, OrderState::Dead, "discarded"),
            (Resolution::Cancelled { failure: None }, OrderState::Cancelled, "cancelled"),
        ];
        for (resolution, state, job_state) in settlements {
            let id = state.as_str();
            let Enqueued::New { job, .. } = database.enqueue(new_order(id)).await.unwrap() else {
                panic!("new")
            };
            let claimed = taken_by(&database, id, "w").await;
            database.complete(&claimed, &resolution, AttemptLimits::default()).await.unwrap();
            let order = database.order(id).await.unwrap();
            assert_eq!(order.state, state);
            assert!(order.finished_at.is_some() && order.owner_attempt.is_none(), "{order:?}");
            let ended = if place.is_sqlite() {
                format!(
                    "UPDATE river_job SET queue = queue WHERE id = {job} AND state = '{job_state}'"
                )
            } else {
                format!(
                    "UPDATE river_job SET queue = queue WHERE id = {job} AND state = \
                     '{job_state}'::river_job_state"
                )
            };
            assert_eq!(
                place.sql(&ended).await,
                1,
                "the job of an order that is {state} is {job_state}"
            );
            // Nothing moves it: not a take, not a resolution of somebody else, not a cancel.
            let take = database.claim(id, job, &ghost("late"), Ulid::generate()).await.unwrap();
            assert_eq!(take, Claim::AlreadyEnded(state));
            let stranger = Claimed { attempt: Ulid::generate(), ..claimed.clone() };
            assert_eq!(release(&database, &stranger, "other").await, CompleteOutcome::LeaseLost);
            assert_eq!(database.cancel(id).await.unwrap(), CancelAnswer::AlreadyEnded(state));
            assert_eq!(database.order(id).await.unwrap(), order);
        }
    }

    pub(super) async fn d7_an_order_begun_again_keeps_its_attempts_and_its_release(place: Place) {
        let database = place.open().await;
        database.enqueue(new_order("24")).await.unwrap();
        assert!(matches!(database.reopen("24", None).await, Err(Error::NotEnded { .. })));
        assert!(matches!(database.reopen("25", None).await, Err(Error::NoSuchOrder { .. })));
        let claimed = taken_by(&database, "24", "w").await;
        assert_eq!(claimed.config_version.as_deref(), Some("c1"));
        release(&database, &claimed, "r1").await;
        database.reopen("24", None).await.unwrap();
        let again = database.order("24").await.unwrap();
        assert_eq!(
            (again.state, again.current_release.as_deref()),
            (OrderState::Queued, Some("r1"))
        );
        let claimed = taken_by(&database, "24", "w").await;
        assert_eq!((claimed.number, claimed.attempts_used), (2, 0));
        let resolution = Resolution::Failed { failure: failure("output_rejected", "a dead link") };
        database.complete(&claimed, &resolution, AttemptLimits::default()).await.unwrap();
        let failed = database.order("24").await.unwrap();
        assert_eq!(
            (failed.state, failed.current_release.as_deref()),
            (OrderState::Failed, Some("r1"))
        );
        let attempts = database.attempts("24").await.unwrap();
        let ends: Vec<_> =
            attempts.iter().map(|attempt| (attempt.number, attempt.outcome)).collect();
        assert_eq!(ends, [(1, Some(AttemptEnd::Succeeded)), (2, Some(AttemptEnd::Failed))]);
        assert_eq!(attempts[0].release.as_deref(), Some("r1"));
        assert_eq!(attempts[1].failure, failed.last_failure);
    }

    pub(super) async fn an_order_is_taken_by_one(place: Place) {
        let (one, two) = (place.open().await, place.open().await);
        let Enqueued::New { job, .. } = one.enqueue(new_order("24")).await.unwrap() else {
            panic!("new")
        };
        let takes = (0..20).map(|n| {
            let database = if n % 2 == 0 { one.clone() } else { two.clone() };
            tokio::spawn(async move {
                database.claim("24", job, &ghost(&format!("w{n}")), Ulid::generate()).await.unwrap()
            })
        });
        let takes = futures::future::join_all(takes).await;
        let count = |wanted: fn(&Claim) -> bool| {
            takes.iter().filter(|take| wanted(take.as_ref().unwrap())).count()
        };
        assert_eq!(count(|take| matches!(take, Claim::Claimed(..))), 1);
        assert_eq!(count(|take| *take == Claim::NotThisJob), 19);
        assert_eq!(one.attempts("24").await.unwrap().len(), 1);
        assert_eq!(
            one.claim("nobody", job, &ghost("w"), Ulid::generate()).await.unwrap(),
            Claim::NoSuchOrder
        );
    }

    pub(super) async fn taking_and_settling_may_be_asked_twice(place: Place) {
        let database = place.open().await;
        let Enqueued::New { job, .. } = database.enqueue(new_order("24")).await.unwrap() else {
            panic!("new")
        };
        let attempt = Ulid::generate();
        let first = database.claim("24", job, &ghost("w"), attempt).await.unwrap();
        assert_eq!(database.claim("24", job, &ghost("w"), attempt).await.unwrap(), first);
        let Claim::Claimed(claimed, _) = first else { panic!("{first:?}") };
        assert_eq!(claimed.trace_id.len(), 32);
        let resolution =
            Resolution::Snooze { failure: failure("ai", "429"), after: Duration::from_secs(60) };
        let first = database.complete(&claimed, &resolution, AttemptLimits::default()).await.unwrap();
        let again = database.complete(&claimed, &resolution, AttemptLimits::default()).await.unwrap();
        assert_eq!(first, again);
        assert_eq!(database.attempts("24").await.unwrap()[0].lease_lost_at, None);
        assert_eq!(database.failures("24").await.unwrap().len(), 1);
    }

    /// Waits until a worker that looks for silent ones has given the order back.
    async fn rescued(database: &Database, order: &str) {
        until(&format!("{order} is rescued"), || async {
            database.order(order).await.unwrap().owner_attempt.is_none()
        })
        .await;
    }

    pub(super) async fn a_worker_that_wakes_up_late_changes_nothing(place: Place) {
        let database = place.open().await;
        database.pause().await.unwrap();
        database.enqueue(new_order("24")).await.unwrap();
        let late = taken_by(&database, "24", "sleeper").await;
        let rescuer = worker(&database, &Scripted::all_succeed()).await;
        rescued(&database, "24").await;
        rescuer.drain(GRACE).await.unwrap();
        let second = taken_by(&database, "24", "second").await;
        assert_ne!(second.job, late.job, "each attempt has a job of its own");

        // While the other one still runs: every way to end is fenced.
        for resolution in [
            Resolution::Succeeded { release: "late".to_owned() },
            Resolution::Failed { failure: failure("trap", "late") },
            Resolution::Retry { failure: failure("ai", "late"), after: Duration::ZERO },
            Resolution::Cancelled { failure: None },
            Resolution::ReturnToQueue,
        ] {
            let settled =
                database.complete(&late, &resolution, AttemptLimits::default()).await.unwrap();
            assert_eq!(settled, CompleteOutcome::LeaseLost);
        }
        assert_eq!(
            release(&database, &second, "r2").await,
            ended(AttemptEnd::Succeeded, OrderState::Succeeded)
        );
        assert_eq!(release(&database, &late, "late").await, CompleteOutcome::LeaseLost);
        let order = database.order("24").await.unwrap();
        assert_eq!(
            (order.state, order.current_release.as_deref()),
            (OrderState::Succeeded, Some("r2"))
        );
        let attempts = database.attempts("24").await.unwrap();
        assert_eq!(attempts[0].outcome, Some(AttemptEnd::Crashed));
        assert!(attempts[0].lease_lost_at.is_some(), "that the lease was lost is recorded");
        assert_eq!(
            (attempts[1].outcome, attempts[1].lease_lost_at),
            (Some(AttemptEnd::Succeeded), None)
        );
    }

    pub(super) async fn a_late_write_of_the_queue_meets_no_job(place: Place) {
        let database = place.open().await;
        database.pause().await.unwrap();
        let Enqueued::New { job, .. } = database.enqueue(new_order("24")).await.unwrap() else {
            panic!("new")
        };
        // As River's client of a worker that fetched the job and was suspended, once before and
        // once after it took the order.
        let fetched = if place.is_sqlite() {
            "state = 'running', attempt = 1, attempted_by = jsonb('[\"other\",\"sleeper\"]')"
        } else {
            "state = 'running', attempt = 1, attempted_by = ARRAY['other', 'sleeper']"
        };
        place.sql(&format!("UPDATE river_job SET {fetched} WHERE id = {job}")).await;
        let rescuer = worker(&database, &Scripted::all_succeed()).await;
        until("the fetched job is replaced", || async {
            database.order("24").await.unwrap().job_id != Some(job)
        })
        .await;
        assert_eq!(database.order("24").await.unwrap().crashes, 0, "nothing had begun");
        let claimed = taken_by(&database, "24", "sleeper").await;
        let old = claimed.job;
        place.sql(&format!("UPDATE river_job SET {fetched} WHERE id = {old}")).await;
        rescued(&database, "24").await;
        let new = database.order("24").await.unwrap().job_id.unwrap();
        for late in [job, old] {
            let completes = format!("UPDATE river_job SET priority = 4 WHERE id = {late}");
            assert_eq!(place.sql(&completes).await, 0, "job {late} is gone");
        }
        let carried = if place.is_sqlite() {
            "SELECT json_array_length(errors) FROM river_job WHERE attempt = 1 AND state = \
             'available'"
        } else {
            "SELECT array_length(errors, 1)::bigint FROM river_job WHERE attempt = 1 AND state = \
             'available'"
        };
        assert_eq!(place.number(carried).await, 1, "job {new} carries the error of the one before");
        database.resume().await.unwrap();
        until_state(&database, "24", OrderState::Succeeded).await;
        rescuer.drain(GRACE).await.unwrap();
    }

    pub(super) async fn d2_d3_a_silent_workers_orders_are_done_by_another(place: Place) {
        let database = place.open().await;
        for n in 0..20 {
            let id = format!("o{n}");
            database.enqueue(new_order(&id)).await.unwrap();
            taken_by(&database, &id, "dead").await;
        }
        let handler = Scripted::all_succeed();
        let mut serving = worker(&database, &handler).await;
        serving.until_empty().await.unwrap();
        for n in 0..20 {
            let order = database.order(&format!("o{n}")).await.unwrap();
            assert_eq!((order.state, order.crashes, order.attempts), (OrderState::Succeeded, 1, 1));
            assert_eq!(
                order.config_version.as_deref(),
                Some("c1"),
                "the configuration of the first attempt stays"
            );
        }
        assert_eq!(handler.total(), 20);
        // One that lives is left alone, however long it takes.
        database.enqueue(new_order("slow")).await.unwrap();
        let slow = Scripted::new(|_, _| Do::Sleep(Duration::from_secs(3)));
        serving.drain(GRACE).await.unwrap();
        let (one, two) = (worker(&database, &slow).await, worker(&place.open().await, &slow).await);
        until_state(&database, "slow", OrderState::Succeeded).await;
        assert_eq!(database.order("slow").await.unwrap().runs, 1);
        one.drain(GRACE).await.unwrap();
        two.drain(GRACE).await.unwrap();
    }

    pub(super) async fn c7_the_second_crash_is_the_last(place: Place) {
        let database = place.open().await;
        database.pause().await.unwrap();
        database.enqueue(new_order("poison")).await.unwrap();
        let rescuer = worker(&database, &Scripted::all_succeed()).await;
        for crash in 1..=2 {
            let worker = format!("victim-{crash}");
            let claimed = taken_by(&database, "poison", &worker).await;
            let attempt = claimed.attempt.to_string();
            let event = NewEvent {
                order: "poison".to_owned(),
                attempt: Some(attempt.clone()),
                stage: format!("copy-{crash}"),
                done: Some(3),
                total: Some(8),
                message: None,
            };
            database.record_events(vec![event]).await.unwrap();
            database.keep_reply("poison", &attempt, reply("q", crash)).await.unwrap();
            rescued(&database, "poison").await;
            let order = database.order("poison").await.unwrap();
            let wanted = if crash == 2 { OrderState::Dead } else { OrderState::Queued };
            assert_eq!((order.state, order.crashes, order.attempts), (wanted, i64::from(crash), 0));
        }
        let failures = database.failures("poison").await.unwrap();
        assert_eq!(failures.len(), 2);
        let last = &failures[1];
        assert_eq!(
            database.order("poison").await.unwrap().last_failure.as_deref(),
            Some(&*last.id)
        );
        assert_eq!(last.kind, "crashed");
        assert!(
            last.message.contains("victim-2") && last.message.contains("copy-2"),
            "{}",
            last.message
        );
        assert!(last.message.contains("after 2 crashes"), "{}", last.message);
        // The store's record is the one that everything else writes, so that one renderer serves
        // all.
        let record: FailureRecord = serde_json::from_value(last.record.clone()).unwrap();
        assert_eq!(
            (record.kind, &*record.stage, &*record.template.name),
            (FailureKind::Crashed, "copy-2", "flora")
        );
        assert_eq!(record.progress.map(|steps| (steps.done, steps.total)), Some((3, 8)));
        let calls: Vec<(&str, &str)> = record
            .trail
            .iter()
            .map(|entry| (&*entry.call, entry.args.split(':').next().unwrap()))
            .collect();
        assert!(calls.contains(&("diagnostics.progress", "copy-2 3/8")), "{calls:?}");
        assert!(calls.contains(&("ai.complete", "copywriting")), "{calls:?}");
        assert_eq!(record.attributes["worker"], "victim-2");
        assert!(
            !record.trace_id.is_empty()
                && !record.host_build.is_empty()
                && !record.config_version.is_empty()
        );
        assert_eq!(
            database.attempts("poison").await.unwrap()[1].last_stage.as_deref(),
            Some("copy-2")
        );
        rescuer.drain(GRACE).await.unwrap();
    }

    pub(super) async fn d3_an_order_without_a_job_gets_one(place: Place) {
        let database = place.open().await;
        // A producer in another language that knows nothing of the queue: three columns.
        place
            .sql(
                "INSERT INTO sitewright_orders (id, document, template) VALUES ('foreign', '{}', \
                 'flora')",
            )
            .await;
        // One whose job was lost, and one whose job was done away with while it waited.
        database.enqueue(new_order("lost")).await.unwrap();
        place.sql("DELETE FROM river_job").await;
        let handler = Scripted::all_succeed();
        let mut serving = worker(&database, &handler).await;
        serving.until_empty().await.unwrap();
        assert_eq!(
            handler.runs(),
            HashMap::from([("foreign".to_owned(), 1), ("lost".to_owned(), 1)])
        );
        assert_eq!(
            database.order("foreign").await.unwrap().config_version.as_deref(),
            Some("worker")
        );

        // A producer that inserts the job itself, without telling the order; and a second job for
        // it.
        let insert = |id: &str| {
            let args = if place.is_sqlite() {
                format!("jsonb('{{\"order\":\"{id}\"}}')")
            } else {
                format!("'{{\"order\":\"{id}\"}}'")
            };
            format!(
                "INSERT INTO river_job (args, kind, max_attempts) VALUES ({args}, \
                 'sitewright_order', 5)"
            )
        };
        place
            .sql(
                "INSERT INTO sitewright_orders (id, document, template) VALUES ('both', '{}', \
                 'flora')",
            )
            .await;
        place.sql(&insert("both")).await;
        place.sql(&insert("both")).await;
        place.sql(&insert("nobody")).await;
        serving.until_empty().await.unwrap();
        let open = "SELECT count(*) FROM river_job WHERE finalized_at IS NULL";
        until("all jobs have ended", || async { place.number(open).await == 0 }).await;
        assert_eq!(handler.runs()["both"], 1);
        serving.drain(GRACE).await.unwrap();
    }

    pub(super) async fn a_job_cancelled_in_the_queue_cancels_its_order(place: Place) {
        let database = place.open().await;
        database.pause().await.unwrap();
        database.enqueue(new_order("24")).await.unwrap();
        place
            .sql("UPDATE river_job SET state = 'cancelled', finalized_at = CURRENT_TIMESTAMP")
            .await;
        let serving = worker(&database, &Scripted::all_succeed()).await;
        until_state(&database, "24", OrderState::Cancelled).await;
        serving.drain(GRACE).await.unwrap();
    }

    pub(super) async fn retries_use_attempts_and_then_the_order_is_dead(place: Place) {
        let database = place.open().await;
        let handler = Scripted::new(|claimed, run| {
            assert_eq!(claimed.attempts_used + 1, i64::from(run));
            if claimed.order == "well" && run == 3 {
                return Do::CompleteAttempt(Resolution::Succeeded { release: "r".to_owned() });
            }
            let after = Duration::from_millis(if run == 1 { 300 } else { 0 });
            Do::CompleteAttempt(Resolution::Retry { failure: failure("ai", "502 Bad Gateway"), after })
        });
        database.enqueue(new_order("well")).await.unwrap();
        database.enqueue(new_order("ill")).await.unwrap();
        let mut serving = worker(&database, &handler).await;
        serving.until_empty().await.unwrap();
        let well = database.order("well").await.unwrap();
        assert_eq!((well.state, well.attempts, well.runs), (OrderState::Succeeded, 3, 3));
        let ill = database.order("ill").await.unwrap();
        assert_eq!((ill.state, ill.attempts, ill.crashes), (OrderState::Dead, 5, 0));
        assert_eq!(handler.runs()["ill"], 5);
        let attempts = database.attempts("ill").await.unwrap();
        let outcomes: Vec<_> = attempts.iter().filter_map(|attempt| attempt.outcome).collect();
        use AttemptEnd::{Dead, Retry};
        assert_eq!(outcomes, [Retry, Retry, Retry, Retry, Dead]);
        let failures = database.failures("ill").await.unwrap();
        assert_eq!(failures.len(), 5);
        assert_eq!(ill.last_failure.as_ref(), Some(&failures[4].id));
        assert!(attempts[1].started_at >= attempts[0].ended_at.unwrap() + 300, "the wait was kept");
        serving.drain(GRACE).await.unwrap();
    }

    pub(super) async fn d4_waiting_for_a_limit_uses_no_attempt(place: Place) {
        let database = place.open().await;
        let handler = Scripted::new(|_, run| {
            Do::CompleteAttempt(if run <= 8 {
                Resolution::Snooze {
                    failure: failure("ai", "429"),
                    after: Duration::from_millis(1),
                }
            } else {
                Resolution::Succeeded { release: "r".to_owned() }
            })
        });
        database.enqueue(new_order("24")).await.unwrap();
        let mut serving = worker(&database, &handler).await;
        serving.until_empty().await.unwrap();
        let order = database.order("24").await.unwrap();
        assert_eq!((order.state, order.attempts, order.runs), (OrderState::Succeeded, 1, 9));
        serving.drain(GRACE).await.unwrap();

        database.enqueue(new_order("far")).await.unwrap();
        let claimed = taken_by(&database, "far", "w").await;
        let resolution =
            Resolution::Snooze { failure: failure("ai", "429"), after: Duration::from_secs(3_600) };
        database.complete(&claimed, &resolution, AttemptLimits::default()).await.unwrap();
        let far = database.order("far").await.unwrap();
        assert_eq!(far.state, OrderState::Waiting);
        assert_eq!(far.waiting_reason.as_deref(), Some("ai: it failed: 429"));
        assert!(far.next_attempt_at.unwrap() > far.updated_at + 3_500_000);
        let early = database.take("far", claimed.job, &ghost("w"), Ulid::generate()).await.unwrap();
        assert_eq!(early, Claim::NotThisJob, "only the job of its next attempt may take it");
    }

    pub(super) async fn d4_an_order_that_is_put_off_for_weeks_stays_takeable(place: Place) {
        let database = place.open().await;
        let handler = Scripted::new(|claimed, run| {
            Do::CompleteAttempt(if claimed.order == "old" && run <= 3 {
                Resolution::Snooze {
                    failure: failure("ai", "429"),
                    after: Duration::from_millis(1),
                }
            } else {
                Resolution::Succeeded { release: "r".to_owned() }
            })
        });
        database.pause().await.unwrap();
        database.enqueue_all(vec![new_order("old"), new_order("next")]).await.unwrap();
        // What a provider's limit leaves behind in the queue's row after a thousand times.
        let error = r#"{"at":"2026-11-23T00:00:00Z","attempt":1,"error":"429","trace":""}"#;
        let aged = if place.is_sqlite() {
            format!(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100)
                 UPDATE river_job SET attempt = 999, errors = (SELECT \
                 jsonb_group_array(json('{error}')) FROM n)
                 WHERE id = (SELECT job_id FROM sitewright_orders WHERE id = 'old')"
            )
        } else {
            format!(
                "UPDATE river_job SET attempt = 999, errors = array_fill('{error}'::jsonb, \
                 ARRAY[100])
                 WHERE id = (SELECT job_id FROM sitewright_orders WHERE id = 'old')"
            )
        };
        assert_eq!(place.sql(&aged).await, 1);
        database.resume().await.unwrap();
        let mut serving = worker(&database, &handler).await;
        serving.until_empty().await.unwrap();
        serving.drain(GRACE).await.unwrap();
        for order in ["old", "next"] {
            assert_eq!(database.order(order).await.unwrap().state, OrderState::Succeeded);
        }
        let of_old = |what: &str| {
            format!(
                "SELECT {what} FROM river_job WHERE id = (SELECT job_id FROM sitewright_orders \
                 WHERE id = 'old')"
            )
        };
        let errors = if place.is_sqlite() {
            "json_array_length(errors)"
        } else {
            "cardinality(errors)::bigint"
        };
        assert_eq!(place.number(&of_old(errors)).await, 100);
        assert_eq!(place.number(&of_old("CAST(attempt AS BIGINT)")).await, 1_000);
    }

    pub(super) async fn retries_at_once_are_never_done_twice(place: Place) {
        let (one, two) = (place.open().await, place.open().await);
        let orders = (0..200).map(|n| new_order(&format!("o{n}"))).collect();
        one.enqueue_all(orders).await.unwrap();
        let handler = Scripted::new(|claimed, run| {
            Do::CompleteAttempt(if run == 1 {
                Resolution::Retry { failure: failure("ai", "reset"), after: Duration::ZERO }
            } else {
                Resolution::Succeeded { release: claimed.attempt.to_string() }
            })
        });
        let mut first = worker(&one, &handler).await;
        let second = worker(&two, &handler).await;
        first.until_empty().await.unwrap();
        assert!(handler.runs().values().all(|runs| *runs == 2), "{:?}", handler.runs());
        first.drain(GRACE).await.unwrap();
        second.drain(GRACE).await.unwrap();
        assert_eq!(one.stats().await.unwrap().count(OrderState::Succeeded), 200);
        assert_eq!(
            place.number("SELECT count(*) FROM river_job WHERE finalized_at IS NULL").await,
            0
        );
        assert_eq!(place.number("SELECT count(*) FROM sitewright_attempts").await, 400);
    }

    pub(super) async fn a_cancelled_order_ends_wherever_it_is(place: Place) {
        let (database, other) = (place.open().await, place.open().await);
        database.enqueue(new_order("queued")).await.unwrap();
        assert_eq!(other.cancel("queued").await.unwrap(), CancelAnswer::Cancelled);
        assert_eq!(
            other.cancel("queued").await.unwrap(),
            CancelAnswer::AlreadyEnded(OrderState::Cancelled)
        );
        assert!(matches!(other.cancel("nobody").await, Err(Error::NoSuchOrder { .. })));

        let handler = Scripted::new(|_, _| Do::Wait);
        let serving = worker(&database, &handler).await;
        database.enqueue(new_order("running")).await.unwrap();
        until("it runs", || async { handler.busy.load(Ordering::SeqCst) == 1 }).await;
        let asked = Instant::now();
        assert_eq!(other.cancel("running").await.unwrap(), CancelAnswer::Stopping);
        until_state(&database, "running", OrderState::Cancelled).await;
        eprintln!("cancelled from another process after {:?}", asked.elapsed());
        assert_eq!(
            *handler.stopped.lock().unwrap(),
            [("running".to_owned(), StopReason::OrderCancelled)]
        );
        assert_eq!(database.failures("running").await.unwrap()[0].kind, "cancelled");
        serving.drain(GRACE).await.unwrap();

        // Waiting, and one whose worker wants another attempt of it.
        for id in ["waiting", "again"] {
            database.enqueue(new_order(id)).await.unwrap();
            let claimed = taken_by(&database, id, "w").await;
            if id == "again" {
                assert_eq!(other.cancel(id).await.unwrap(), CancelAnswer::Stopping);
            }
            let resolution =
                Resolution::Retry { failure: failure("ai", "x"), after: Duration::from_secs(60) };
            database.complete(&claimed, &resolution, AttemptLimits::default()).await.unwrap();
            if id == "waiting" {
                assert_eq!(other.cancel(id).await.unwrap(), CancelAnswer::Cancelled);
            }
            assert_eq!(database.order(id).await.unwrap().state, OrderState::Cancelled);
        }
        // And one whose worker is gone.
        database.enqueue(new_order("gone")).await.unwrap();
        taken_by(&database, "gone", "dead").await;
        other.cancel("gone").await.unwrap();
        let serving = worker(&database, &handler).await;
        until_state(&database, "gone", OrderState::Cancelled).await;
        serving.drain(GRACE).await.unwrap();
        assert_eq!(
            place.number("SELECT count(*) FROM river_job WHERE finalized_at IS NULL").await,
            0
        );
    }

    pub(super) async fn pause_stops_the_line(place: Place) {
        let database = place.open().await;
        database.pause().await.unwrap();
        assert!(database.stats().await.unwrap().paused);
        let handler = Scripted::all_succeed();
        let mut serving = worker(&database, &handler).await;
        database.enqueue(new_order("24")).await.unwrap();
        // Longer than any poll of these settings.
        tokio::time::sleep(Duration::from_millis(700)).await;
        assert_eq!(handler.total(), 0);
        place.open().await.resume().await.unwrap();
        serving.until_empty().await.unwrap();
        assert!(!database.stats().await.unwrap().paused);
        serving.drain(GRACE).await.unwrap();
    }

    pub(super) async fn draining_gives_orders_back_uncounted(place: Place) {
        let database = place.open().await;
        let orders = (0..30).map(|n| new_order(&format!("o{n}"))).collect();
        database.enqueue_all(orders).await.unwrap();
        let handler = Scripted::new(|_, _| Do::Wait);
        let serving = worker(&database, &handler).await;
        until("all run", || async { handler.busy.load(Ordering::SeqCst) == 30 }).await;
        let drained = serving.drain(Duration::from_millis(100)).await.unwrap();
        assert_eq!((drained.running, drained.in_time), (30, false));
        assert!(
            handler
                .stopped
                .lock()
                .unwrap()
                .iter()
                .all(|(_, reason)| *reason == StopReason::WorkerShutdown)
        );
        for order in database.orders(&Filter::default()).await.unwrap() {
            assert_eq!(
                (order.state, order.attempts, order.crashes),
                (OrderState::Queued, 0, 0),
                "{order:?}"
            );
            let attempts = database.attempts(&order.id).await.unwrap();
            assert_eq!(attempts[0].outcome, Some(AttemptEnd::Returned));
        }
        let stats = database.stats().await.unwrap();
        assert_eq!(stats.workers, [], "it has claimed itself off the list");

        let handler = Scripted::all_succeed();
        let mut serving = worker(&database, &handler).await;
        serving.until_empty().await.unwrap();
        assert_eq!(handler.total(), 30);
        // With time enough, running ones end by themselves, and a second signal ends the waiting.
        let slow =
            Scripted::new(
                |_, run| if run == 1 { Do::Sleep(Duration::from_millis(300)) } else { Do::Wait },
            );
        serving.drain(GRACE).await.unwrap();
        let serving = worker(&database, &slow).await;
        database.enqueue(new_order("slow")).await.unwrap();
        until("it runs", || async { slow.busy.load(Ordering::SeqCst) == 1 }).await;
        assert!(serving.drain(GRACE).await.unwrap().in_time);
        assert_eq!(database.order("slow").await.unwrap().state, OrderState::Succeeded);
        database.reopen("slow", None).await.unwrap();
        let serving = worker(&database, &slow).await;
        until("it runs", || async { slow.busy.load(Ordering::SeqCst) == 2 }).await;
        let stopper = serving.stopper();
        let draining = tokio::spawn(serving.drain(GRACE));
        stopper.stop_now();
        assert!(!draining.await.unwrap().unwrap().in_time);
        assert_eq!(database.order("slow").await.unwrap().state, OrderState::Queued);
    }

    pub(super) async fn a_handler_that_does_not_listen_loses_its_order_to_the_line(place: Place) {
        let database = place.open().await;
        let handler = Scripted::new(|_, _| Do::Sleep(Duration::from_secs(600)));
        let settings = WorkerSettings { stop_within: Duration::from_millis(200), ..quick() };
        let serving = serve(database.clone(), settings.clone(), handler.clone()).await.unwrap();
        database.enqueue(new_order("24")).await.unwrap();
        until("it runs", || async { handler.busy.load(Ordering::SeqCst) == 1 }).await;
        serving.stop_now().await.unwrap();
        let order = database.order("24").await.unwrap();
        assert_eq!((order.state, order.crashes), (OrderState::Queued, 0));

        // While the worker lives: its task is dropped, nobody works at the order, and it is claimed
        // back as a crash.
        let serving = serve(database.clone(), settings, handler.clone()).await.unwrap();
        until("it runs", || async { handler.busy.load(Ordering::SeqCst) == 2 }).await;
        database.cancel("24").await.unwrap();
        until_state(&database, "24", OrderState::Cancelled).await;
        let attempts = database.attempts("24").await.unwrap();
        assert_eq!(attempts[1].outcome, Some(AttemptEnd::Crashed));
        serving.stop_now().await.unwrap();
    }

    pub(super) async fn two_workers_share_a_database(place: Place) {
        let (one, two) = (place.open().await, place.open().await);
        let handler = Scripted::all_succeed();
        let mut first = worker(&one, &handler).await;
        let second = worker(&two, &handler).await;
        let feeds = (0..300).map(|n| {
            let database = if n % 2 == 0 { one.clone() } else { two.clone() };
            tokio::spawn(
                async move { database.enqueue(new_order(&format!("o{n}"))).await.unwrap() },
            )
        });
        futures::future::join_all(feeds).await;
        first.until_empty().await.unwrap();
        assert!(handler.runs().len() == 300 && handler.total() == 300);
        assert_eq!(one.stats().await.unwrap().workers.len(), 2);
        first.drain(GRACE).await.unwrap();
        second.drain(GRACE).await.unwrap();
    }

    pub(super) async fn a_panic_of_the_host_is_a_failure_of_one_attempt(place: Place) {
        let database = place.open().await;
        let handler = Scripted::new(|_, run| match run {
            1 => Do::Panic,
            _ => Do::CompleteAttempt(Resolution::Succeeded { release: "r".to_owned() }),
        });
        database.enqueue(new_order("24")).await.unwrap();
        let mut serving = worker(&database, &handler).await;
        serving.until_empty().await.unwrap();
        assert_eq!(database.order("24").await.unwrap().state, OrderState::Succeeded);
        let failure = &database.failures("24").await.unwrap()[0];
        assert_eq!(failure.kind, "host");
        assert!(failure.message.contains("a bug in the host"), "{}", failure.message);
        serving.drain(GRACE).await.unwrap();
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
            entry: json!({ "content": format!("answer {occurrence}"), "raw_reply": "\u{0}" }),
        }
    }

    pub(super) async fn d4_replies_are_kept_and_asked_again_when_blamed(place: Place) {
        let database = place.open().await;
        database.enqueue(new_order("24")).await.unwrap();
        assert_eq!(database.reply("24", "q", 0).await.unwrap(), None);
        assert!(database.keep_reply("24", "a1", reply("q", 0)).await.unwrap());
        assert!(database.keep_reply("24", "a1", reply("q", 1)).await.unwrap());
        let first = database.reply("24", "q", 0).await.unwrap().unwrap();
        assert_eq!((first.attempt.as_deref(), &first.call), (Some("a1"), &reply("q", 0)));
        // A worker that lost its order brings a second reply: paid for, but not the one that
        // counts.
        let other = NewAiCall { entry: json!("other"), ..reply("q", 0) };
        assert!(!database.keep_reply("24", "a2", other).await.unwrap());
        assert_eq!(database.reply("24", "q", 0).await.unwrap().unwrap(), first);
        assert_eq!(database.cost("24").await.unwrap().calls, 3);
        assert_eq!(database.cost("24").await.unwrap().nano_usd, 3_000);

        assert_eq!(database.ask_again("24", Some(vec![("q".to_owned(), 0)])).await.unwrap(), 1);
        assert_eq!(database.reply("24", "q", 0).await.unwrap(), None);
        assert!(database.reply("24", "q", 1).await.unwrap().is_some());
        assert!(database.keep_reply("24", "a3", reply("q", 0)).await.unwrap());
        assert_eq!(database.ask_again("24", None).await.unwrap(), 2);
        assert_eq!(database.reply("24", "q", 1).await.unwrap(), None);
        let calls = database.ai_calls("24").await.unwrap();
        assert_eq!(calls.len(), 4, "what was paid for stays in the ledger");
        assert!(calls.iter().all(|call| !call.current));
        assert_eq!(calls.iter().filter(|call| call.asked_again_at.is_some()).count(), 3);
    }

    /// What waits together is one statement; and what is out of the ordinary is told as it would be
    /// alone.
    pub(super) async fn many_orders_at_once_are_done_as_each_alone(place: Place) {
        let database = place.open().await;
        let id = |n: usize| format!("o{n}");
        database.enqueue_all((0..40).map(|n| new_order(&id(n))).collect()).await.unwrap();
        let mut jobs = Vec::new();
        for n in 0..40 {
            jobs.push(database.order(&id(n)).await.unwrap().job_id.unwrap());
        }
        // Order 7 is wanted twice, order 8 twice by the same attempt, and there is no order 99.
        let same = Ulid::generate();
        let wanted =
            (0..40).map(|n| (id(n), jobs[n], if n == 8 { same } else { Ulid::generate() }));
        let wanted: Vec<_> = wanted
            .chain([
                (id(7), jobs[7], Ulid::generate()),
                (id(8), jobs[8], same),
                (id(99), 1, Ulid::generate()),
            ])
            .collect();
        let worker = ghost("w\u{0}");
        let takes = wanted
            .iter()
            .map(|(order, job, attempt)| database.claim(order, *job, &worker, *attempt));
        let mut claimed: Vec<Claimed> = Vec::new();
        let mut others = Vec::new();
        for take in futures::future::join_all(takes).await {
            match take.unwrap() {
                Claim::Claimed(one, document) => {
                    assert_eq!(document, json!({ "customer": one.order }).to_string());
                    claimed.push(*one);
                }
                other => others.push(other),
            }
        }
        assert_eq!(others.len(), 2, "{others:?}");
        assert!(
            others.contains(&Claim::NotThisJob) && others.contains(&Claim::NoSuchOrder),
            "{others:?}"
        );
        assert_eq!(claimed.len(), 41, "order 8 is given to the same attempt as often as it asks");
        claimed.sort_by(|a, b| (&a.order, a.attempt).cmp(&(&b.order, b.attempt)));
        claimed.dedup();
        assert_eq!(claimed.len(), 40);
        for one in &claimed {
            assert_eq!((one.number, one.attempts_used, &*one.template), (1, 0, "flora"));
            let attempts = database.attempts(&one.order).await.unwrap();
            assert_eq!(attempts.len(), 1, "{attempts:?}");
            assert_eq!(
                (&attempts[0].id, attempts[0].job),
                (&one.attempt.to_string(), Some(one.job))
            );
            assert_eq!((&attempts[0].trace_id, &*attempts[0].worker), (&one.trace_id, "w\u{fffd}"));
            assert_eq!(attempts[0].config_version.as_deref(), Some("c1"));
        }

        // Each keeps two replies, and a late attempt at order 3 brings one that does not count.
        let keeps = claimed.iter().flat_map(|one| {
            let attempt = one.attempt.to_string();
            [0, 1].map(|n| {
                    let (database, attempt) = (&database, attempt.clone());
                    async move {
                        database.keep_reply(&one.order, &attempt, reply("q", n)).await.unwrap()
                    }
                })
        });
        let counted = futures::future::join_all(keeps).await;
        assert!(counted.iter().all(|counts| *counts));
        let again = ["o3", "o4"].map(|order| database.keep_reply(order, "late", reply("q", 1)));
        for counts in futures::future::join_all(again).await {
            assert!(!counts.unwrap());
        }
        for one in &claimed {
            let kept = database.reply(&one.order, "q", 1).await.unwrap().unwrap();
            assert_eq!(kept.call, reply("q", 1));
            assert_eq!(kept.attempt, Some(one.attempt.to_string()));
            let late = i64::from(one.order == "o3" || one.order == "o4");
            assert_eq!(database.cost(&one.order).await.unwrap().calls, 2 + late);
        }
        let told = |one: &Claimed, stage: &str| NewEvent {
            order: one.order.clone(),
            attempt: Some(one.attempt.to_string()),
            stage: stage.to_owned(),
            done: Some(1),
            total: None,
            message: None,
        };
        let events =
            claimed.iter().flat_map(|one| [told(one, "first"), told(one, "last \u{0}")]).collect();
        database.record_events(events).await.unwrap();

        // Order 5 fails, order 6 is settled twice, and order 9 belongs to somebody else by now.
        let stranger = Claimed {
            attempt: Ulid::generate(),
            ..claimed.iter().find(|one| one.order == "o9").unwrap().clone()
        };
        let six = claimed.iter().find(|one| one.order == "o6").unwrap();
        // A late attempt at order 7 comes just before the one that owns it.
        let late = Claimed {
            attempt: Ulid::generate(),
            ..claimed.iter().find(|one| one.order == "o7").unwrap().clone()
        };
        let owners = claimed.iter().filter(|one| one.order != "o9");
        let settled =
            owners.flat_map(|one| if one.order == "o7" { vec![&late, one] } else { vec![one] });
        let settled = settled.chain([six, &stranger]);
        let settles = settled.map(|one| {
            let resolution = match &*one.order {
                "o5" => Resolution::Failed { failure: failure("trap", "it trapped") },
                _ if one.attempt == late.attempt => {
                    Resolution::Succeeded { release: "r-late".to_owned() }
                }
                _ => Resolution::Succeeded { release: format!("r-{}", one.order) },
            };
            let attempt = one.attempt;
            let database = &database;
            async move {
                (
                    one.order.clone(),
                    attempt,
                    database.complete(one, &resolution, AttemptLimits::default()).await.unwrap(),
                )
            }
        });
        for (order, attempt, settled) in futures::future::join_all(settles).await {
            let wanted = match &*order {
                _ if attempt == late.attempt => CompleteOutcome::LeaseLost,
                "o5" => ended(AttemptEnd::Failed, OrderState::Failed),
                "o9" => CompleteOutcome::LeaseLost,
                _ => ended(AttemptEnd::Succeeded, OrderState::Succeeded),
            };
            assert_eq!(settled, wanted, "{order}");
        }
        let seen = claimed.iter().map(|one| database.mark_activated(&one.order, "r-o1"));
        let seen = futures::future::join_all(seen).await;
        assert_eq!(seen.into_iter().filter(|seen| *seen.as_ref().unwrap()).count(), 1);
        for one in &claimed {
            let order = database.order(&one.order).await.unwrap();
            let attempt = database.attempts(&one.order).await.unwrap().remove(0);
            if one.order == "o9" {
                assert_eq!((order.state, attempt.outcome), (OrderState::Running, None));
                continue;
            }
            assert_eq!((order.attempts, order.owner_attempt, order.owner_worker), (1, None, None));
            assert!(order.finished_at.is_some() && attempt.ended_at == order.finished_at);
            assert_eq!(attempt.last_stage.as_deref(), Some("last \u{fffd}"));
            let release = (one.order != "o5").then(|| format!("r-{}", one.order));
            assert_eq!((order.current_release, attempt.release), (release.clone(), release));
        }
        let pending = database.pending_activations(0).await.unwrap();
        assert_eq!(pending.len(), 37, "only the release that was named is marked: {pending:?}");
    }

    pub(super) async fn b3_orders_that_wait_hold_no_connection(place: Place) {
        let database = place.open().await;
        let handler = Scripted::new(|_, _| Do::Wait);
        let serving = worker(&database, &handler).await;
        database.enqueue_all((0..50).map(|n| new_order(&format!("o{n}"))).collect()).await.unwrap();
        // Many more than the pool has connections.
        until("all of them wait", || async { handler.busy.load(Ordering::SeqCst) == 50 }).await;
        let asked = (0..50).map(|n| {
            let database = database.clone();
            async move { database.order(&format!("o{n}")).await.unwrap().state }
        });
        let states = futures::future::join_all(asked).await;
        assert!(states.iter().all(|state| *state == OrderState::Running), "{states:?}");
        serving.stop_now().await.unwrap();
    }

    pub(super) async fn b6_a_stage_called_success_ends_nothing(place: Place) {
        let database = place.open().await;
        database.enqueue(new_order("24")).await.unwrap();
        let claimed = taken_by(&database, "24", "w").await;
        let step = |stage: &str| NewEvent {
            order: "24".to_owned(),
            attempt: Some(claimed.attempt.to_string()),
            stage: stage.to_owned(),
            done: Some(4),
            total: Some(4),
            message: None,
        };
        database
            .record_events(vec![step("success"), step("succeeded"), step("failed")])
            .await
            .unwrap();
        let order = database.order("24").await.unwrap();
        assert_eq!((order.state, order.finished_at), (OrderState::Running, None));
        release(&database, &claimed, "r1").await;
        assert_eq!(database.order("24").await.unwrap().state, OrderState::Succeeded);
    }

    pub(super) async fn a_template_with_many_orders_does_not_keep_anothers_waiting(place: Place) {
        let database = place.open().await;
        let of = |template: &str, n: usize| NewOrder {
            template: template.to_owned(),
            ..new_order(&format!("{template}-{n}"))
        };
        database.enqueue_all((0..900).map(|n| of("flood", n)).collect()).await.unwrap();
        database.enqueue_all((0..10).map(|n| of("small", n)).collect()).await.unwrap();
        let handler = Scripted::all_succeed();
        let mut serving = worker(&database, &handler).await;
        serving.until_empty().await.unwrap();
        serving.drain(Duration::from_secs(5)).await.unwrap();
        let ended: Vec<String> =
            handler.settled.lock().unwrap().iter().map(|(order, _)| order.clone()).collect();
        let last = ended.iter().rposition(|order| order.starts_with("small")).unwrap();
        assert_eq!(ended.len(), 910);
        assert!(
            last < 700,
            "the last of ten was number {last} of 910, though they came behind 900"
        );
    }

    pub(super) async fn orders_that_stand_back_move_up_before_others_come(place: Place) {
        let database = place.open().await;
        database.pause().await.unwrap();
        let orders = (0..700).map(|n| new_order(&n.to_string())).collect();
        database.enqueue_all(orders).await.unwrap();
        let back = "SELECT count(*) FROM river_job WHERE state = 'available' AND priority = 3";
        assert_eq!(place.number(back).await, 200);
        let cancelled = (0..300).map(|n| {
            let (database, id) = (database.clone(), n.to_string());
            async move { database.cancel(&id).await }
        });
        futures::future::try_join_all(cancelled).await.unwrap();
        let handler = Scripted::all_succeed();
        let mut serving = worker(&database, &handler).await;
        until("they have moved up", || async { place.number(back).await == 0 }).await;
        database.enqueue(new_order("late")).await.unwrap();
        database.resume().await.unwrap();
        serving.until_empty().await.unwrap();
        serving.drain(GRACE).await.unwrap();
        let ended: Vec<String> =
            handler.settled.lock().unwrap().iter().map(|(order, _)| order.clone()).collect();
        let late = ended.iter().position(|order| order == "late").unwrap();
        // A worker of these settings has fifty at once, which end in any order.
        assert!(late >= 350, "it came last of {} and was done as number {late}", ended.len());
        let stood = ended.iter().position(|order| order == "300").unwrap();
        assert!(
            stood < 100,
            "who moves up comes behind those who stood there; the first of them was number {stood}"
        );
    }

    /// What came due at the same time, after an outage of a provider, shares the line like
    /// everything else.
    pub(super) async fn orders_that_waited_together_stand_back_too(place: Place) {
        let database = place.open().await;
        database.pause().await.unwrap();
        let orders = (0..700).map(|n| new_order(&n.to_string())).collect();
        database.enqueue_all(orders).await.unwrap();
        place
            .sql(
                "UPDATE sitewright_orders SET state = 'waiting', waiting_reason = 'ai: 503', \
                 next_attempt_at = updated_at",
            )
            .await;
        place.sql("UPDATE river_job SET priority = 2").await;
        let serving = worker(&database, &Scripted::all_succeed()).await;
        let back = "SELECT count(*) FROM river_job WHERE state = 'available' AND priority = 3";
        until("the newest stand back", || async { place.number(back).await == 200 }).await;
        let newest = "SELECT count(*) FROM river_job WHERE priority = 3 AND id > (SELECT max(id) \
                      - 200 FROM river_job)";
        assert_eq!(place.number(newest).await, 200);
        serving.drain(GRACE).await.unwrap();
    }

    /// The connection breaks after the queue gave a worker its jobs and before it heard of it; a
    /// clock was set back after orders had moved up in line. Neither stands until an operator
    /// comes.
    pub(super) async fn d3_d4_a_job_that_nobody_would_take_is_found(place: Place) {
        let database = place.open().await;
        database.pause().await.unwrap();
        database.enqueue_all(vec![new_order("unheard"), new_order("ahead")]).await.unwrap();
        let handler = Scripted::all_succeed();
        let mut serving = worker(&database, &handler).await;
        let (me, ahead) = (
            serving.client_id().to_owned(),
            "(SELECT job_id FROM sitewright_orders WHERE id = 'ahead')",
        );
        let change = if place.is_sqlite() {
            format!(
                "UPDATE river_job SET state = 'running', attempt = 1, attempted_by = \
                 jsonb_array('{me}'),
                    attempted_at = strftime('%Y-%m-%d %H:%M:%f', 'now') WHERE id <> {ahead};
                 UPDATE river_job SET scheduled_at = strftime('%Y-%m-%d %H:%M:%f', 'now', '1 \
                 hour') WHERE id = {ahead}"
            )
        } else {
            format!(
                "UPDATE river_job SET state = 'running', attempt = 1, attempted_by = \
                 ARRAY['{me}'], attempted_at = now()
                    WHERE id <> {ahead};
                 UPDATE river_job SET scheduled_at = now() + interval '1 hour' WHERE id = {ahead}"
            )
        };
        place.sql(&change).await;
        database.resume().await.unwrap();
        serving.until_empty().await.unwrap();
        assert_eq!(
            handler.runs(),
            HashMap::from([("unheard".to_owned(), 1), ("ahead".to_owned(), 1)])
        );
        assert_eq!(database.order("unheard").await.unwrap().crashes, 0);
        serving.drain(GRACE).await.unwrap();
    }

    pub(super) async fn d3_a_job_that_a_producer_inserted_stays_the_only_one(place: Place) {
        let database = place.open().await;
        database.pause().await.unwrap();
        for id in ["foreign", "plain", "elsewhere"] {
            let row = format!(
                "INSERT INTO sitewright_orders (id, document, template) VALUES ('{id}', '{{}}', \
                 'flora')"
            );
            place.sql(&row).await;
        }
        // The second is in a queue that nobody works.
        for (id, queue) in [("foreign", "default"), ("elsewhere", "sites")] {
            let args = format!("'{{\"order\":\"{id}\"}}'");
            let args = if place.is_sqlite() { format!("jsonb({args})") } else { args };
            let job = format!(
                "INSERT INTO river_job (args, kind, max_attempts, queue) VALUES ({args}, \
                 'sitewright_order', 5, '{queue}')"
            );
            place.sql(&job).await;
        }
        let handler = Scripted::all_succeed();
        let mut serving = worker(&database, &handler).await;
        let known = "SELECT count(*) FROM sitewright_orders WHERE job_id IS NOT NULL";
        until("all have a job", || async { place.number(known).await == 3 }).await;
        assert_eq!(place.number("SELECT count(*) FROM river_job WHERE queue = 'default'").await, 3);
        database.resume().await.unwrap();
        serving.until_empty().await.unwrap();
        let once = ["foreign", "plain", "elsewhere"].map(|id| (id.to_owned(), 1));
        assert_eq!(handler.runs(), HashMap::from(once));
        serving.drain(GRACE).await.unwrap();
    }

    pub(super) async fn a_release_that_is_not_visible_is_found(place: Place) {
        let database = place.open().await;
        database.enqueue_all(vec![new_order("24"), new_order("25")]).await.unwrap();
        let pending = |age| {
            let database = database.clone();
            async move { database.pending_activations(age).await.unwrap() }
        };
        assert!(pending(0).await.is_empty(), "nothing was released");
        let claimed = taken_by(&database, "24", "w").await;
        release(&database, &claimed, "r1").await;
        let found = pending(0).await;
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((&*found[0].order, &*found[0].release), ("24", "r1"));
        let made_by = (Some(claimed.attempt.to_string()), Some(claimed.job), Some(claimed.trace_id));
        assert_eq!((found[0].attempt.clone(), found[0].job, found[0].trace_id.clone()), made_by);
        assert!(pending(60_000).await.is_empty(), "its worker may be about to show it");
        database.mark_activated("24", "another").await.unwrap();
        assert_eq!(pending(0).await.len(), 1, "another release is not this one");
        database.mark_activated("24", "r1").await.unwrap();
        assert!(pending(0).await.is_empty());
    }

    pub(super) async fn b4_b7_everything_is_listed_and_exported(place: Place) {
        let database = place.open().await;
        for n in 0..5 {
            let order = NewOrder { template: format!("t{}", n % 2), ..new_order(&format!("o{n}")) };
            database.enqueue(order).await.unwrap();
        }
        let of = |state, template: Option<&str>, limit| Filter {
            state,
            template: template.map(str::to_owned),
            limit,
            before: None,
        };
        let list = |filter: Filter| {
            let database = database.clone();
            async move { database.orders(&filter).await.unwrap().len() }
        };
        assert_eq!(list(of(None, None, 0)).await, 5);
        assert_eq!(list(of(None, None, 2)).await, 2);
        assert_eq!(list(of(Some(OrderState::Queued), Some("t1"), 0)).await, 2);
        assert_eq!(list(of(Some(OrderState::Dead), None, 0)).await, 0);

        let claimed = taken_by(&database, "o0", "w").await;
        let attempt = claimed.attempt.to_string();
        let event = |stage: &str| NewEvent {
            order: "o0".to_owned(),
            attempt: Some(attempt.clone()),
            stage: stage.to_owned(),
            done: None,
            total: Some(4),
            message: Some("with a word".to_owned()),
        };
        database.record_events(vec![event("begin"), event("end")]).await.unwrap();
        let events = database.events("o0", 0).await.unwrap();
        assert_eq!(events.len(), 2);
        assert_eq!(database.events("o0", events[0].id).await.unwrap(), [events[1].clone()]);
        database.keep_reply("o0", &attempt, reply("q", 0)).await.unwrap();
        let record = failure("trap", "unreachable");
        let resolution = Resolution::Failed { failure: record.clone() };
        database.complete(&claimed, &resolution, AttemptLimits::default()).await.unwrap();
        let export = serde_json::to_value(database.export("o0").await.unwrap()).unwrap();
        assert_eq!(export["order"]["state"], "failed");
        assert_eq!(
            export["failures"][0]["record"]["why"], "unreachable",
            "no JSON in a text in JSON"
        );
        assert_eq!(export["ai_calls"][0]["entry"]["content"], "answer 0");
        assert_eq!(export["attempts"][0]["last_stage"], "end");
        assert_eq!(export["document"], json!({ "customer": "o0" }).to_string());
        assert_eq!(database.failure(&record.id).await.unwrap().unwrap().record, record.record);
        assert_eq!(database.failure("none").await.unwrap(), None);

        // Nothing there and could not read are different answers.
        database.close().await;
        assert!(database.orders(&Filter::default()).await.is_err());
        assert!(database.enqueue(new_order("late")).await.is_err());
    }

    pub(super) async fn g4_an_operator_sees_the_queue(place: Place) {
        let database = place.open().await;
        let handler = Scripted::new(|_, _| Do::Wait);
        let settings = WorkerSettings { max_orders: 2, ..quick() };
        let serving = serve(database.clone(), settings, handler.clone()).await.unwrap();
        database.enqueue_all((0..5).map(|n| new_order(&format!("o{n}"))).collect()).await.unwrap();
        until("two run", || async { handler.busy.load(Ordering::SeqCst) == 2 }).await;
        let stats = database.stats().await.unwrap();
        assert_eq!((stats.count(OrderState::Running), stats.count(OrderState::Queued)), (2, 3));
        assert_eq!(stats.orders.len(), 7, "a state that has none is told too");
        assert!(stats.oldest_queued_ms.is_some() && stats.oldest_running_ms.is_some());
        let [worker] = &stats.workers[..] else { panic!("{stats:?}") };
        assert_eq!(
            (worker.running, worker.max_orders, worker.pid),
            (2, 2, i64::from(std::process::id()))
        );
        assert_eq!(worker.client_id, serving.client_id());
        assert!(worker.silent_ms < 60_000);
        assert_eq!(serving.running(), 2);
        serving.stop_now().await.unwrap();
        assert_eq!(database.unfinished().await.unwrap(), 5);
    }

    pub(super) async fn a_result_that_cannot_be_stored_leaves_no_order_standing(place: Place) {
        let database = place.open().await;
        let handler = Scripted::new(|_, _| {
            Do::CompleteAttempt(Resolution::Failed {
                failure: NewFailure { kind: String::new(), ..failure("x", "x") },
            })
        });
        database.enqueue(new_order("24")).await.unwrap();
        let mut serving = worker(&database, &handler).await;
        serving.until_empty().await.unwrap();
        assert_eq!(database.order("24").await.unwrap().state, OrderState::Failed);
        let failure = &database.failures("24").await.unwrap()[0];
        assert!(failure.message.contains("could not be stored"), "{}", failure.message);
        serving.drain(GRACE).await.unwrap();
    }

    pub(super) async fn failures_are_counted_by_what_they_have_in_common(place: Place) {
        let database = place.open().await;
        // Two bugs; the first befalls three orders, one of them twice.
        for (order, template, message) in [
            ("a", "bakery", "no dish 1 of \"Soup\""),
            ("b", "bakery", "no dish 22 of \"Cake\""),
            ("b", "bakery", "no dish 3 of \"Tea\""),
            ("c", "bakery", "no dish 4 of \"Tea\""),
            ("a", "bakery", "the oven is cold"),
            ("d", "florist", "no dish 1 of \"Soup\""),
        ] {
            fail(&database, order, whole(order, template, message)).await;
        }
        let all = ListedFailures::default();
        let groups = database.failure_groups(&all).await.unwrap();
        let mut counted: Vec<_> = groups
            .iter()
            .map(|group| (&*group.template, &*group.message, group.count, group.orders))
            .collect();
        counted.sort();
        // The message is the newest's.
        assert_eq!(
            counted,
            [
                ("bakery", "no dish 4 of \"Tea\"", 4, 3),
                ("bakery", "the oven is cold", 1, 1),
                ("florist", "no dish 1 of \"Soup\"", 1, 1),
            ]
        );
        let many = groups.iter().find(|group| group.count == 4).unwrap();
        assert!(many.first_at < many.last_at, "{many:?}");
        assert_eq!(many.newest, database.failures("c").await.unwrap()[0].id);
        assert_eq!(many.kind, "template_error");

        let only = |change: fn(&mut ListedFailures)| {
            let mut filter = ListedFailures::default();
            change(&mut filter);
            filter
        };
        for (filter, count) in [
            (only(|filter| filter.template = Some("florist".to_owned())), 1),
            (only(|filter| filter.kind = Some("template_error".to_owned())), 6),
            (only(|filter| filter.kind = Some("trap".to_owned())), 0),
            (only(|filter| filter.order = Some("a".to_owned())), 2),
            (ListedFailures { since: Some(many.last_at), ..all.clone() }, 3),
            (ListedFailures { since: Some(many.last_at + 3_600_000), ..all.clone() }, 0),
        ] {
            let groups = database.failure_groups(&filter).await.unwrap();
            assert_eq!(groups.iter().map(|group| group.count).sum::<u64>(), count, "{filter:?}");
            let briefs = database.failures_in_brief(&filter, 100).await.unwrap();
            assert_eq!(briefs.len() as u64, count, "{filter:?}");
            assert!(
                briefs.is_sorted_by(|a, b| a.id > b.id)
                    && briefs.iter().all(|brief| filter.fits(brief))
            );
        }
        assert_eq!(database.failures_in_brief(&all, 2).await.unwrap().len(), 2);
        assert_eq!(database.orders_of_failures(&many.fingerprint).await.unwrap(), ["c", "b", "a"]);
        assert_eq!(
            database.fingerprints_like(&many.fingerprint[..6]).await.unwrap(),
            std::slice::from_ref(&many.fingerprint)
        );
        assert_eq!(database.failures_of(&many.fingerprint, 3).await.unwrap().len(), 3);
        let ids = [many.newest.clone(), "none".to_owned()];
        assert_eq!(database.known_failures(&ids).await.unwrap(), [many.newest.clone()].into());
        let attempts = database.attempts_by_template(&all).await.unwrap();
        assert_eq!(
            attempts.into_iter().collect::<Vec<_>>(),
            [("florist".to_owned(), 6)],
            "by the name in its records"
        );
    }

    pub(super) async fn g2_failures_from_before_there_were_fingerprints_are_found_too(
        place: Place,
    ) {
        let database = place.open().await;
        fail(&database, "a", whole("a", "bakery", "no dish 1")).await;
        fail(&database, "b", whole("b", "bakery", "no dish 2")).await;
        fail(&database, "c", failure("template_error", "no whole record")).await;
        let before = database.failure_groups(&ListedFailures::default()).await.unwrap();
        assert_eq!(before.len(), 2);
        for sql in [
            "DROP INDEX sitewright_failures_alike",
            "DROP INDEX sitewright_failures_unlike",
            "ALTER TABLE sitewright_failures DROP COLUMN fingerprint",
            "ALTER TABLE sitewright_failures DROP COLUMN template",
            "ALTER TABLE sitewright_failures DROP COLUMN frame",
            "DELETE FROM sitewright_json_schema WHERE version >= 2",
        ] {
            place.sql(sql).await;
        }
        let database = Database::open(&place.url).await.unwrap();
        assert!(
            database
                .check_schema()
                .await
                .unwrap_err()
                .to_string()
                .contains("run `sitewright migrate`")
        );
        let migrated = database.migrate().await.unwrap();
        assert_eq!((migrated.from, migrated.to), (1, SCHEMA_VERSION));
        let after = database.failure_groups(&ListedFailures::default()).await.unwrap();
        assert_eq!(after, before);
        assert_eq!(
            place
                .number("SELECT count(*) FROM sitewright_failures WHERE fingerprint IS NULL")
                .await,
            0
        );
    }

    pub(super) async fn b7_a_text_that_a_database_cannot_store_settles_its_order_all_the_same(
        place: Place,
    ) {
        let database = place.open().await;
        database.enqueue(new_order("24")).await.unwrap();
        let claimed = taken_by(&database, "24", "w").await;
        let event = NewEvent {
            order: "24".to_owned(),
            attempt: Some(claimed.attempt.to_string()),
            stage: "a\0stage".to_owned(),
            done: None,
            total: None,
            message: Some("\0".to_owned()),
        };
        database.record_events(vec![event]).await.unwrap();
        let failure = NewFailure::from(&whole_record("24", "a\0template", "a\0message"));
        let retry = Resolution::Retry { failure, after: Duration::ZERO };
        let settled = database.complete(&claimed, &retry, AttemptLimits::default()).await.unwrap();
        assert!(matches!(settled, CompleteOutcome::Done { order: OrderState::Waiting, .. }), "{settled:?}");
        let failure = &database.failures("24").await.unwrap()[0];
        assert_eq!(failure.message, "a\u{fffd}message");
        assert_eq!(failure.record["message"], "a\0message", "the record has it as it was");
        let group = &database.failure_groups(&ListedFailures::default()).await.unwrap()[0];
        assert_eq!(group.template, "a\u{fffd}template");
    }
}

/// A failure of an order that is put in line for it, or again.
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
    // Times are told in milliseconds, and one is to be after the other.
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

// ---------------------------------------------------------------------------------------------------------------------------------
// What only one of them does.

/// Whoever comes first to a file on which nobody works knows that all earlier owners are gone: no
/// silence has to pass.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_worker_on_a_file_rescues_at_once() {
    logged();
    let place = Place::sqlite();
    let database = place.open().await;
    database.enqueue(new_order("24")).await.unwrap();
    taken_by(&database, "24", "dead").await;
    let settings = WorkerSettings { stale_after: Duration::from_secs(3_600), ..quick() };
    let handler = Scripted::all_succeed();
    let mut first = serve(database.clone(), settings.clone(), handler.clone()).await.unwrap();
    in_time(async { first.until_empty().await.unwrap() }).await;
    assert_eq!(database.order("24").await.unwrap().crashes, 1);

    // The second one is not alone: it leaves what it finds to silence.
    database.enqueue(new_order("25")).await.unwrap();
    taken_by(&database, "25", "elsewhere").await;
    let second = serve(place.open().await, settings.clone(), handler.clone()).await.unwrap();
    assert_eq!(database.order("25").await.unwrap().state, OrderState::Running);
    // When both are gone, the next one is alone again.
    first.drain(GRACE).await.unwrap();
    second.drain(GRACE).await.unwrap();
    let mut third = serve(database.clone(), settings, handler).await.unwrap();
    in_time(async { third.until_empty().await.unwrap() }).await;
    third.drain(GRACE).await.unwrap();
}

/// Longer than SQLite itself waits for a lock: writes fail meanwhile, and no order minds.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_locked_by_another_process_is_waited_for() {
    logged();
    let place = Place::sqlite();
    let database = place.open().await;
    let handler = Scripted::new(|claimed, _| match claimed.order.as_str() {
        "slow" => Do::Sleep(Duration::from_millis(500)),
        _ => Do::CompleteAttempt(Resolution::Succeeded { release: "r".to_owned() }),
    });
    // Nobody's heartbeat can be written for longer than a worker may be silent: none is dead for
    // that.
    let settings = WorkerSettings { stale_after: Duration::from_secs(2), ..quick() };
    let second = serve(place.open().await, settings.clone(), handler.clone()).await.unwrap();
    let mut serving = serve(database.clone(), settings, handler.clone()).await.unwrap();
    database.enqueue(new_order("slow")).await.unwrap();
    until("it runs", || async { handler.busy.load(Ordering::SeqCst) == 1 }).await;
    let mut other = sqlx::SqliteConnection::connect(&place.url).await.unwrap();
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    let begin = Instant::now();
    let enqueued = tokio::spawn({
        let database = database.clone();
        async move { database.enqueue(new_order("new")).await }
    });
    // Readers are not held up.
    assert_eq!(database.order("slow").await.unwrap().state, OrderState::Running);
    tokio::time::sleep(Duration::from_secs(6)).await;
    sqlx::raw_sql("COMMIT").execute(&mut other).await.unwrap();
    match enqueued.await.unwrap() {
        Ok(_) => {}
        Err(error) => {
            assert!(error.is_transient(), "{error:?}");
            database.enqueue(new_order("new")).await.unwrap();
        }
    }
    in_time(async { serving.until_empty().await.unwrap() }).await;
    eprintln!("all done {:?} after the lock was set", begin.elapsed());
    assert_eq!(handler.runs(), HashMap::from([("slow".to_owned(), 1), ("new".to_owned(), 1)]));
    for id in ["slow", "new"] {
        let order = database.order(id).await.unwrap();
        assert_eq!((order.state, order.crashes), (OrderState::Succeeded, 0), "{order:?}");
    }
    second.drain(GRACE).await.unwrap();
    serving.drain(GRACE).await.unwrap();
}

/// The server is restarted while orders run: none is lost, none runs twice.
#[tokio::test(flavor = "multi_thread")]
async fn postgres_may_be_away_while_orders_run() {
    logged();
    // A cluster of its own: the other tests use theirs meanwhile.
    let Some(cluster) = postgres::Cluster::start() else { return };
    let place = Place { url: cluster.url("postgres"), folder: tempfile::tempdir().unwrap() };
    let database = place.open().await;
    let handler = Scripted::new(|_, _| Do::Sleep(Duration::from_millis(1_500)));
    // It is away for longer than a worker may be silent, and three are: nobody takes the others for
    // dead.
    let settings =
        WorkerSettings { stale_after: Duration::from_secs(2), max_orders: 20, ..quick() };
    let second = serve(place.open().await, settings.clone(), handler.clone()).await.unwrap();
    let third = serve(place.open().await, settings.clone(), handler.clone()).await.unwrap();
    let mut serving = serve(database.clone(), settings, handler.clone()).await.unwrap();
    database.enqueue_all((0..40).map(|n| new_order(&format!("o{n}"))).collect()).await.unwrap();
    until("all run", || async { handler.busy.load(Ordering::SeqCst) == 40 }).await;
    cluster.stop();
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!(database.ping().await.is_err());
    cluster.start_again();
    in_time(async { serving.until_empty().await.unwrap() }).await;
    assert!(handler.runs().len() == 40 && handler.total() == 40, "{:?}", handler.runs());
    let stats = database.stats().await.unwrap();
    assert_eq!(stats.count(OrderState::Succeeded), 40);
    for n in 0..40 {
        assert_eq!(database.order(&format!("o{n}")).await.unwrap().crashes, 0);
    }
    for other in [second, third] {
        other.drain(GRACE).await.unwrap();
    }
    serving.drain(GRACE).await.unwrap();
    drop(place.folder);
}

/// A stand-by after a failover, or a host that takes writes away when the disk is full.
#[tokio::test(flavor = "multi_thread")]
async fn d2_a_database_that_only_reads_is_waited_for() {
    let Some(cluster) = postgres::Cluster::start() else { return };
    let place = Place { url: cluster.url("postgres"), folder: tempfile::tempdir().unwrap() };
    let database = place.open().await;
    let handler = Scripted::new(|_, _| Do::Sleep(Duration::from_millis(500)));
    let mut serving = serve(database.clone(), quick(), handler.clone()).await.unwrap();
    database.enqueue_all((0..20).map(|n| new_order(&format!("o{n}"))).collect()).await.unwrap();
    until("all run", || async { handler.busy.load(Ordering::SeqCst) == 20 }).await;
    let mut operator = sqlx::PgConnection::connect(&place.url).await.unwrap();
    // Connections keep what they began with, so each is ended and the next one is as the database
    // says.
    let others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'";
    for only_reads in ["on", "off"] {
        let change =
            format!("ALTER DATABASE postgres SET default_transaction_read_only = {only_reads}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(change)).execute(&mut operator).await.unwrap();
        sqlx::raw_sql(others).execute(&mut operator).await.unwrap();
        if only_reads == "on" {
            // All twenty have ended by then and would be settled.
            tokio::time::sleep(Duration::from_secs(1)).await;
            let stats = database.stats().await.unwrap();
            assert_eq!(
                stats.count(OrderState::Running),
                20,
                "it reads, and nothing could be written"
            );
        }
    }
    in_time(async { serving.until_empty().await.unwrap() }).await;
    assert!(handler.runs().len() == 20 && handler.total() == 20, "{:?}", handler.runs());
    assert_eq!(database.stats().await.unwrap().count(OrderState::Succeeded), 20);
    serving.drain(GRACE).await.unwrap();
    drop(place.folder);
}

/// A host that loses its power closes no connection: what waits for its answer gives up, and goes
/// on with whoever has the address then.
#[tokio::test(flavor = "multi_thread")]
async fn d2_connections_that_are_lost_without_a_word_are_given_up() {
    logged();
    let Some(place) = Place::postgres().await else { return };
    let outside = place.open().await;
    let (network, url) = place.across_a_network().await;
    let database = Database::open_answering(&url, Duration::from_secs(2)).await.unwrap();
    let handler = Scripted::new(|_, _| Do::Sleep(Duration::from_millis(500)));
    let settings = WorkerSettings { stall_after: Duration::from_secs(3), ..quick() };
    let mut serving = serve(database.clone(), settings.clone(), handler.clone()).await.unwrap();
    // At rest, in the middle of a transaction, and when it is not known whether the commit was
    // heard.
    let cases = [None, Some("UPDATE sitewright_orders"), Some("COMMIT")];
    for (round, lost_for) in (1..).zip(cases) {
        let ids = |from: usize| {
            (from..from + 10).map(move |n| new_order(&format!("{round}-{n}"))).collect()
        };
        outside.enqueue_all(ids(0)).await.unwrap();
        until("all run", || async { handler.busy.load(Ordering::SeqCst) == 20 * round - 10 }).await;
        match lost_for {
            None => network.lose_all(),
            Some(words) => {
                network.lose_for(words);
                until("they were said", || async { network.has_lost() }).await;
            }
        }
        outside.enqueue_all(ids(10)).await.unwrap();
        serving = tokio::time::timeout(Duration::from_secs(60), async {
            // As whoever watches over a worker: River's look into the queue may have been lost too.
            while let Err(error) = serving.until_empty().await {
                assert!(matches!(error, Error::Stalled { .. }), "{error:?}");
                serving.drain(GRACE).await.unwrap();
                serving = serve(database.clone(), settings.clone(), handler.clone()).await.unwrap();
            }
            serving
        })
        .await
        .unwrap_or_else(|_| panic!("orders were left when this was lost: {lost_for:?}"));
        assert_eq!(handler.total() as usize, 20 * round, "{lost_for:?}: {:?}", handler.runs());
        assert_eq!(outside.stats().await.unwrap().count(OrderState::Succeeded), 20 * round as i64);
    }
    serving.drain(GRACE).await.unwrap();
}

/// River's own look into the queue has no limit of its own. A worker that it keeps from its orders
/// ends and says so.
#[tokio::test(flavor = "multi_thread")]
async fn d2_a_worker_that_would_take_nothing_any_more_ends() {
    logged();
    let Some(place) = Place::postgres().await else { return };
    let outside = place.open().await;
    let (network, url) = place.across_a_network().await;
    let database = Database::open_answering(&url, Duration::from_secs(2)).await.unwrap();
    let handler = Scripted::all_succeed();
    let settings = WorkerSettings { stall_after: Duration::from_secs(3), ..quick() };
    // The first claim: the server never hears of it.
    network.lose_for("SET state = 'running', attempt = job.attempt + 1");
    let mut serving = serve(database.clone(), settings.clone(), handler.clone()).await.unwrap();
    until("the claim is lost", || async { network.has_lost() }).await;
    outside.enqueue(new_order("24")).await.unwrap();
    in_time(async {
        let error = serving.until_empty().await.unwrap_err();
        assert!(matches!(error, Error::Stalled { .. }), "{error:?}");
        assert!(
            !error.is_transient() && !error.is_usage(),
            "whoever watches over the worker starts it again"
        );
        let begin = Instant::now();
        let drained = serving.drain(GRACE).await.unwrap();
        assert!(drained.in_time && drained.running == 0, "{drained:?}");
        assert!(begin.elapsed() < GRACE, "it waited for River all the grace time");
    })
    .await;
    assert_eq!(handler.total(), 0);
    let mut next = serve(database, settings, handler.clone()).await.unwrap();
    in_time(async { next.until_empty().await.unwrap() }).await;
    assert_eq!(handler.runs(), HashMap::from([("24".to_owned(), 1)]));
    next.drain(GRACE).await.unwrap();
}

/// A worker without room, in a pause, or without a database that takes writes takes nothing either,
/// and is not to blame.
#[tokio::test(flavor = "multi_thread")]
async fn d2_a_worker_that_can_take_nothing_does_not_end() {
    logged();
    let Some(place) = Place::postgres().await else { return };
    let database = place.open().await;
    let handler = Scripted::new(|claimed, _| match claimed.order.as_str() {
        "first" => Do::Wait,
        _ => Do::CompleteAttempt(Resolution::Succeeded { release: "r".to_owned() }),
    });
    let settings =
        WorkerSettings { max_orders: 1, stall_after: Duration::from_millis(700), ..quick() };
    let mut serving = serve(database.clone(), settings, handler.clone()).await.unwrap();
    let mut goes_on = async |what: &str| {
        let on = tokio::time::timeout(Duration::from_secs(2), serving.until_empty()).await;
        assert!(on.is_err(), "{what}: {on:?}");
    };
    database.enqueue(new_order("first")).await.unwrap();
    until("the first runs", || async { handler.busy.load(Ordering::SeqCst) == 1 }).await;
    database.enqueue(new_order("second")).await.unwrap();
    // A job must have been left for ten seconds.
    let long_ago =
        "UPDATE river_job SET scheduled_at = now() - interval '1 hour' WHERE state = 'available'";
    assert_eq!(place.sql(long_ago).await, 1);
    goes_on("without room").await;

    database.pause().await.unwrap();
    database.cancel("first").await.unwrap();
    until_state(&database, "first", OrderState::Cancelled).await;
    goes_on("in a pause").await;

    // As while somebody makes an index: what is there can be read, and nothing can be changed.
    let mut other = sqlx::PgConnection::connect(&place.url).await.unwrap();
    sqlx::raw_sql("BEGIN; LOCK TABLE river_job IN SHARE MODE").execute(&mut other).await.unwrap();
    database.resume().await.unwrap();
    goes_on("while its table is locked").await;
    sqlx::raw_sql("COMMIT").execute(&mut other).await.unwrap();
    in_time(async { serving.until_empty().await.unwrap() }).await;
    assert_eq!(handler.runs(), HashMap::from([("first".to_owned(), 1), ("second".to_owned(), 1)]));
    serving.drain(GRACE).await.unwrap();
}

/// A worker whose machine is gone in the middle of a transaction leaves a session that holds the
/// order's row, and the lock under which orders are rescued, for as long as PostgreSQL believes in
/// its client: two hours by TCP's own times.
#[tokio::test(flavor = "multi_thread")]
async fn d3_a_lost_workers_locks_do_not_keep_its_orders_from_rescue() {
    logged();
    let Some(place) = Place::postgres().await else { return };
    let outside = place.open().await;
    let (network, url) = place.across_a_network().await;
    let lost = Database::open_answering(&url, Duration::from_secs(9)).await.unwrap();
    outside.enqueue(new_order("24")).await.unwrap();
    let claimed = taken_by(&lost, "24", "lost").await;
    // Its last transaction waits for the row, and gets it when nobody hears of it any more.
    let mut holds = sqlx::PgConnection::connect(&place.url).await.unwrap();
    sqlx::raw_sql("BEGIN; SELECT 1 FROM sitewright_orders WHERE id = '24' FOR UPDATE")
        .execute(&mut holds)
        .await
        .unwrap();
    let settling = tokio::spawn({
        let (lost, claimed) = (lost.clone(), claimed.clone());
        async move {
            let resolution = Resolution::Succeeded { release: "late".to_owned() };
            lost.complete(&claimed, &resolution, AttemptLimits::default()).await
        }
    });
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND \
                   datname = current_database()";
    until("it waits for the row", || async { place.number(waiting).await == 1 }).await;
    network.lose_all();
    sqlx::raw_sql("COMMIT").execute(&mut holds).await.unwrap();
    let idle = "SELECT count(*) FROM pg_stat_activity
         WHERE state = 'idle in transaction' AND datname = current_database()";
    until("its session holds the row", || async { place.number(idle).await == 1 }).await;

    let handler = Scripted::all_succeed();
    let mut serving = serve(outside.clone(), quick(), handler.clone()).await.unwrap();
    in_time(async { serving.until_empty().await.unwrap() }).await;
    let order = outside.order("24").await.unwrap();
    assert_eq!(
        (order.state, order.crashes, handler.total()),
        (OrderState::Succeeded, 1, 1),
        "{order:?}"
    );
    // The lost one hears that it was not answered; when it asks again, that the order is somebody
    // else's.
    let unheard = settling.await.unwrap().unwrap_err();
    assert!(
        unheard.is_transient() && unheard.to_string().contains("has not answered for 9 s"),
        "{unheard}"
    );
    assert_eq!(release(&lost, &claimed, "late").await, CompleteOutcome::LeaseLost);
    assert_ne!(order.current_release.as_deref(), Some("late"));
    serving.drain(GRACE).await.unwrap();
}

#[tokio::test]
async fn a8_a_database_url_is_checked_and_never_shown_with_its_password() {
    for (url, why) in [
        ("mysql://me:s3cr3t@host/db", "names no database"),
        ("sqlite::memory:", "forgets its orders"),
        ("orders.db", "names no database"),
        ("postgres://me:s3cr3t@nowhere.invalid:1/db", "cannot be opened"),
    ] {
        let error = Database::open(url).await.unwrap_err();
        let told = format!("{error} {error:?}");
        assert!(told.contains(why), "{told}");
        assert!(!told.contains("s3cr3t"), "{told}");
    }
}

#[test]
fn d4_each_failure_has_its_class() {
    let limited = |after| RetryClass::Limited { after };
    let transient = RetryClass::Transient { at_least: None };
    let permanent = RetryClass::Permanent;
    let second = Duration::from_secs(1);
    let table = [
        ("invalid_order", None, None, permanent),
        ("template_load", None, None, permanent),
        ("template_error", None, None, permanent),
        ("template_error", None, Some(true), transient),
        ("panic", None, Some(true), permanent),
        ("trap", None, None, permanent),
        ("cpu_limit", None, None, permanent),
        ("memory_limit", None, None, permanent),
        ("output_limit", None, None, permanent),
        ("call_limit", None, None, permanent),
        ("deadline", None, None, transient),
        ("cancelled", None, None, permanent),
        ("output_rejected", None, None, permanent),
        ("crashed", None, None, transient),
        ("host", None, None, transient),
        ("ai", Some("rate-limited"), None, limited(None)),
        ("ai", Some("overloaded"), None, transient),
        ("ai", Some("timeout"), Some(false), transient),
        ("ai", Some("connection"), None, transient),
        ("ai", Some("protocol"), None, transient),
        ("ai", Some("empty"), None, transient),
        ("ai", Some("malformed"), None, transient),
        ("ai", Some("schema-mismatch"), None, transient),
        ("ai", Some("schema-mismatch"), Some(false), permanent),
        ("ai", Some("cancelled"), None, transient),
        ("ai", Some("auth"), Some(true), permanent),
        ("ai", Some("permission"), None, permanent),
        ("ai", Some("not-found"), None, permanent),
        ("ai", Some("invalid-request"), None, permanent),
        ("ai", Some("context-too-long"), None, permanent),
        ("ai", Some("quota-exhausted"), Some(true), permanent),
        ("ai", Some("truncated"), None, permanent),
        ("ai", Some("content-filtered"), None, permanent),
        ("ai", Some("budget-exceeded"), None, permanent),
        ("ai", Some("no-route"), None, permanent),
        ("ai", Some("other"), None, permanent),
        ("ai", Some("other"), Some(true), transient),
        ("ai", None, None, permanent),
        ("something_new", None, Some(true), permanent),
    ];
    for (kind, ai_kind, retryable, wanted) in table {
        assert_eq!(
            class(kind, ai_kind, retryable, None),
            wanted,
            "{kind} {ai_kind:?} {retryable:?}"
        );
    }
    assert_eq!(class("ai", Some("rate-limited"), None, Some(second)), limited(Some(second)));
    let overloaded = class("ai", Some("overloaded"), None, Some(second));
    assert_eq!(overloaded, RetryClass::Transient { at_least: Some(second) });
}

#[test]
fn waits_grow_and_are_capped() {
    let backoff = Backoff::default();
    let most = |used| backoff.wait(used, 1.0).as_secs_f64();
    assert_eq!([1, 2, 3, 8, 9, 40].map(most), [2.0, 4.0, 8.0, 256.0, 300.0, 300.0]);
    assert_eq!(backoff.wait(5, 0.0), Duration::ZERO);
    assert_eq!(backoff.wait(2, 0.5), Duration::from_secs(2));
    let after = |class, used| match backoff.resolution(class, failure("ai", "x"), used, 1.0) {
        Resolution::Retry { after, .. } | Resolution::Snooze { after, .. } => Some(after),
        _ => None,
    };
    let minute = Duration::from_secs(60);
    assert_eq!(after(RetryClass::Permanent, 0), None);
    assert_eq!(after(RetryClass::Transient { at_least: None }, 0), Some(Duration::from_secs(2)));
    assert_eq!(
        after(RetryClass::Transient { at_least: Some(minute) }, 0),
        Some(Duration::from_secs(62))
    );
    assert_eq!(
        after(RetryClass::Limited { after: Some(minute) }, 3),
        Some(Duration::from_secs(66))
    );
    assert_eq!(after(RetryClass::Limited { after: None }, 3), Some(Duration::from_secs(33)));
    // "At once" would go round for ever.
    assert_eq!(
        after(RetryClass::Limited { after: Some(Duration::ZERO) }, 3),
        Some(Duration::from_millis(2_200))
    );
    assert!(
        after(RetryClass::Limited { after: Some(Duration::MAX) }, 3)
            < Some(Duration::from_secs(7 * 3_600))
    );
}
