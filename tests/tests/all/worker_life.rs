//! The end of a worker: one SIGTERM, two, `--drain`, `worker drain`, a paused queue; and cancelled
//! orders.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use sitewright_jobs::{AttemptEnd, CancelAnswer, OrderState};
use sitewright_tests::chat_server::Answer;
use sitewright_tests::factory::{Base, Factory, Gate, Model, calls_in_turn, good, until};
use sitewright_tests::{Workbench, guest};

use crate::serve::Listening;

/// Number of orders in flight; `TESTS_DRAIN=1000` overrides the default.
fn in_flight(default: usize) -> usize {
    std::env::var("TESTS_DRAIN").ok().map_or(default, |asked| asked.parse().expect("a number"))
}

/// SIGTERM while many orders wait for AI: orders with timely replies finish, the others return to
/// the queue without a counted attempt, no further one starts, and another worker does the rest
/// without paying again.
async fn drained(base: Base, orders: usize) {
    let (soon, late) = (Gate::default(), Gate::default());
    let (open_soon, open_late) = (soon.clone(), late.clone());
    let model = Model::start(move |asked| {
        if asked.what == "call 1" {
            if asked.order.starts_with("soon") { soon.pass() } else { late.pass() }
        }
        good(asked)
    });
    let factory = Factory::new(base, &model)
        .await
        .with("worker.grace_ms", 4_000)
        .with("worker.silent_ms", 20_000);
    let half = orders / 2;
    let ids: Vec<String> =
        (0..orders).map(|n| format!("{}-{n}", if n < half { "soon" } else { "late" })).collect();
    factory.enqueue_all(ids.iter().map(|id| calls_in_turn(id, 2))).await;
    let mut worker = factory.worker(&[]);
    until("all wait for their second reply", || async { model.asked().len() == 2 * orders }).await;
    worker.signal(Signal::TERM);
    worker.until_log_contains("draining: running orders").await;
    factory.enqueue_all((0..20).map(|n| calls_in_turn(&format!("new-{n}"), 1))).await;
    open_soon.open();
    assert_eq!(worker.exit().await, 0, "{}", worker.log());

    let mut in_time = 0;
    for id in &ids {
        let order = factory.order(id).await;
        let attempts = factory.database.attempts(id).await.unwrap();
        match order.state {
            OrderState::Succeeded => in_time += 1,
            state => {
                assert_eq!(
                    (state, order.attempts, order.crashes),
                    (OrderState::Queued, 0, 0),
                    "{order:?}"
                );
                assert_eq!(attempts[0].outcome, Some(AttemptEnd::Returned));
                // Nothing has happened to it: no record heads the list after each deploy.
                assert_eq!((&order.last_failure, attempts[0].failure.as_ref()), (&None, None));
                assert!(!factory.bench.sites().join(id).join("failures").exists(), "{id}");
            }
        }
        assert_eq!((attempts.len(), order.runs), (1, 1), "{id}");
        assert!(!id.starts_with("late") || order.state == OrderState::Queued, "{order:?}");
    }
    assert!(in_time > 0, "nothing ended in the grace time");
    let listed = factory.command(&["failures", "list"]).output().unwrap();
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(!listed.contains("cancelled"), "{listed}");
    for n in 0..20 {
        assert_eq!(
            factory.order(&format!("new-{n}")).await.runs,
            0,
            "none is begun by a worker that goes"
        );
    }
    assert!(
        factory.database.stats().await.unwrap().workers.is_empty(),
        "it took itself off the list"
    );
    open_late.open();
    factory.drain().await;
    for id in &ids {
        factory.assert_done_once(id, 2).await;
        assert_eq!(
            model.asked_of(id)[0],
            ("call 0".to_owned(), 1),
            "a kept reply is not asked for again"
        );
    }
    eprintln!(
        "drained: {orders} in flight, {in_time} of {half} that could ended in time, the rest went \
         back"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn d3_sigterm_lets_orders_end_and_gives_the_others_back_on_sqlite() {
    drained(Base::Sqlite, in_flight(200)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d3_sigterm_lets_orders_end_and_gives_the_others_back_on_postgres() {
    if let Some(base) = Base::postgres("SIGTERM on PostgreSQL") {
        drained(base, in_flight(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_sigterm_stops_at_once() {
    let model = Model::start(|_| Answer::Hang);
    let factory = Factory::new(Base::Sqlite, &model).await.with("worker.grace_ms", 3_600_000);
    let ids: Vec<String> = (0..20).map(|n| format!("o-{n}")).collect();
    factory.enqueue_all(ids.iter().map(|id| calls_in_turn(id, 1))).await;
    let mut worker = factory.worker(&[]);
    until("all wait", || async { model.asked().len() == 20 }).await;
    worker.signal(Signal::TERM);
    worker.until_log_contains("draining: running orders").await;
    assert_eq!(model.server.disconnected(), 0, "the first one lets them go on");
    let begin = Instant::now();
    worker.signal(Signal::TERM);
    assert_eq!(worker.exit().await, 0, "{}", worker.log());
    // Of the grace time of an hour it uses nothing.
    assert!(begin.elapsed() < Duration::from_secs(60), "{:?}", begin.elapsed());
    for id in &ids {
        let order = factory.order(id).await;
        assert_eq!(
            (order.state, order.attempts, order.crashes),
            (OrderState::Queued, 0, 0),
            "{order:?}"
        );
    }
    until("the server sees that nobody waits", || async { model.server.disconnected() == 20 })
        .await;
}

/// Another process cancels an order that waits for AI.
async fn cancelled(base: Base) {
    let model =
        Model::start(|asked| if asked.order == "stop" { Answer::Hang } else { good(asked) });
    let factory = Factory::new(base, &model).await;
    factory.enqueue_all([calls_in_turn("stop", 1)]).await;
    let mut worker = factory.worker(&[]);
    until("it waits for AI", || async { model.asked().len() == 1 }).await;
    let begin = Instant::now();
    assert_eq!(factory.database.cancel("stop").await.unwrap(), CancelAnswer::Stopping);
    factory.until_state("stop", OrderState::Cancelled).await;
    let took = begin.elapsed();
    until("the server sees that nobody waits", || async { model.server.disconnected() == 1 }).await;
    eprintln!("cancelled after {took:?}, hung up after {:?}", begin.elapsed());
    // One second is documented. The machine runs many tests; the call would never end by itself.
    assert!(took < Duration::from_secs(20), "{took:?}");
    let order = factory.order("stop").await;
    assert_eq!((order.attempts, order.crashes), (0, 0));
    let attempts = factory.database.attempts("stop").await.unwrap();
    assert_eq!(attempts[0].outcome, Some(AttemptEnd::Cancelled));
    let failures = factory.database.failures("stop").await.unwrap();
    assert_eq!(
        (failures.len(), &*failures[0].kind),
        (1, "cancelled"),
        "a record says what it was doing"
    );
    assert_eq!(
        failures[0].record["trail"].as_array().unwrap().last().unwrap()["outcome"],
        "in_flight"
    );
    assert!(worker.runs());
    factory.enqueue_all([calls_in_turn("next", 1)]).await;
    factory.until_state("next", OrderState::Succeeded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a6_an_order_that_waits_for_ai_is_stopped_from_another_process_on_sqlite() {
    cancelled(Base::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a6_an_order_that_waits_for_ai_is_stopped_from_another_process_on_postgres() {
    if let Some(base) = Base::postgres("cancelling on PostgreSQL") {
        cancelled(base).await;
    }
}

/// A worker is asked to drain through the API, that is taken back on the command line, and it is
/// asked again.
async fn drained_from_elsewhere(base: Base) {
    let (model, gate) = Model::gated("call 1");
    let factory = Factory::new(base, &model).await;
    factory.enqueue_all([calls_in_turn("has", 2)]).await;
    let mut worker = factory.worker(&[]);
    until("it waits for its second reply", || async { model.asked().len() == 2 }).await;
    let server = Listening::start(factory.command(&["--json", "serve", "--listen", "127.0.0.1:0"]));
    let workers = factory.database.stats().await.unwrap().workers;
    let id = workers[0].client_id.as_str();
    let client = sitewright_http::client().unwrap();
    let client = client.first();
    let asked = client.post(server.url(&format!("/v1/workers/{id}/drain"))).send().await.unwrap();
    assert_eq!(asked.status(), 202);
    let nobody = client.post(server.url("/v1/workers/nobody/drain")).send().await.unwrap();
    assert_eq!(nobody.status(), 404);
    worker.until_log_contains("asked to drain").await;
    assert!(factory.database.stats().await.unwrap().workers[0].draining);
    let stats = factory.command(&["queue", "stats"]).output().unwrap();
    let contract = sitewright_runtime::plugin::contract::VERSIONS.last().unwrap().version;
    let version = format!("contract {contract}");
    for says in ["draining, 1 of ", "version 0.", version.as_str()] {
        assert!(String::from_utf8_lossy(&stats.stdout).contains(says), "{says}: {stats:?}");
    }

    factory.enqueue_all([calls_in_turn("next", 1)]).await;
    let undone = factory.command(&["worker", "drain", id, "--undo"]).output().unwrap();
    assert!(undone.status.success(), "{undone:?}");
    worker.until_log_contains("not to drain any more").await;
    assert_eq!(factory.order("next").await.runs, 0, "it claimed nothing meanwhile");
    gate.open();
    for order in ["has", "next"] {
        factory.until_state(order, OrderState::Succeeded).await;
    }

    let asked = factory.command(&["--json", "worker", "drain", id]).output().unwrap();
    assert!(String::from_utf8_lossy(&asked.stdout).contains("\"draining\""), "{asked:?}");
    assert_eq!(worker.exit().await, 0, "{}", worker.log());
    assert!(factory.database.stats().await.unwrap().workers.is_empty());
    factory.enqueue_all([calls_in_turn("later", 1)]).await;
    assert_eq!(factory.order("later").await.state, OrderState::Queued);
    let gone = factory.command(&["worker", "drain", id]).output().unwrap();
    assert_eq!(gone.status.code(), Some(2), "{gone:?}");
    let log = factory.database.audit_log(i64::MAX, 100).await.unwrap();
    let mut told: Vec<(&str, i64)> = log
        .iter()
        .filter(|entry| entry.action.starts_with("worker.") && entry.target.as_deref() == Some(id))
        .map(|entry| (entry.action.as_str(), entry.status))
        .collect();
    told.reverse();
    assert_eq!(told, [("worker.drain", 202), ("worker.undrain", 200), ("worker.drain", 200)]);
    assert_eq!(server.stop(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_is_asked_to_drain_from_elsewhere_on_sqlite() {
    drained_from_elsewhere(Base::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_is_asked_to_drain_from_elsewhere_on_postgres() {
    if let Some(base) = Base::postgres("draining a worker from elsewhere on PostgreSQL") {
        drained_from_elsewhere(base).await;
    }
}

/// A worker that dies between completion and activation leaves a release that is not active: the
/// next worker activates it, even without other work.
#[tokio::test(flavor = "multi_thread")]
async fn a_completed_release_is_activated_by_the_next_worker() {
    let model = Model::slow(1);
    let factory = Factory::new(Base::Sqlite, &model).await;
    factory.enqueue_all([calls_in_turn("shown", 1)]).await;
    factory.drain().await;
    let release = factory.active_release("shown").unwrap();
    // The state of disk and database after such a crash.
    std::fs::remove_file(factory.bench.sites().join("public/shown/current")).unwrap();
    let forgotten = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('UPDATE \
                     sitewright_orders SET visible_release = NULL'); c.commit()";
    let path = factory.bench.path().join("orders.db");
    let done = std::process::Command::new("python3").args(["-c", forgotten]).arg(path).status();
    if !done.is_ok_and(|status| status.success()) {
        sitewright_tests::standins::skipped(
            "a release is shown by the next worker",
            "there is no python3",
        );
        return;
    }
    assert_eq!(factory.active_release("shown"), None);
    factory.drain().await;
    assert_eq!(factory.active_release("shown"), Some(release));
    assert_eq!(factory.order("shown").await.runs, 1);
}

/// `--drain` on a paused queue waits, and the log says why.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_on_a_paused_queue_logs_why_it_waits() {
    let model = Model::slow(1);
    let factory = Factory::new(Base::Sqlite, &model).await;
    factory.enqueue_all([calls_in_turn("later", 1)]).await;
    factory.database.pause().await.unwrap();
    let mut worker = factory.worker(&["--drain"]);
    worker.until_log_contains("sitewright queue resume").await;
    assert_eq!(factory.order("later").await.state, OrderState::Queued);
    factory.database.resume().await.unwrap();
    assert_eq!(worker.exit().await, 0, "{}", worker.log());
    assert_eq!(factory.order("later").await.state, OrderState::Succeeded);
    assert!(worker.log().contains("the queue is resumed"), "{}", worker.log());
}

#[test]
fn e3_a_worker_tells_at_its_start_which_purpose_has_no_route() {
    let bench = Workbench::configured(
        "templates = \"templates\"\n[ai.providers.s]\nkind = \"scripted\"\nrules_inline = \
         \"[[rule]]\\nanswer = { text = 'x' }\"\n[ai.routes.other]\ntry = [{ provider = \"s\", \
         model = \"m\" }]\n",
    );
    std::fs::create_dir(bench.path().join("templates")).unwrap();
    std::fs::copy(guest("guest-faulty"), bench.path().join("templates/faulty.wasm")).unwrap();
    let mut worker = bench.command(&[]);
    worker
        .env("SITEWRIGHT_DATABASE__URL", format!("sqlite://{}/orders.db", bench.path().display()));
    let done = worker.args(["worker", "--drain"]).output().unwrap();
    let log = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success(), "{log}");
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("no route serves")).collect();
    assert!(!lines.is_empty(), "{log}");
    assert!(
        lines.iter().all(|line| line.contains("faulty") && line.contains("[ai.routes.default]")),
        "{lines:?}"
    );
}
