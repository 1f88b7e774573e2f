//! Outages of what a worker needs: its database, its disk, the reader of its log. No order is lost,
//! and the log names the reason. Also orders of other programs, and templates that are replaced.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use sitewright_jobs::OrderState;
use sitewright_tests::disk::Disk;
use sitewright_tests::factory::{Base, Factory, Gate, Model, calls_in_turn, good, named, until};
use sitewright_tests::{faulty, guest, postgres, standins};

/// Seconds and number of orders; `TESTS_OUTAGE=40,200` overrides the defaults.
fn outage() -> (u64, usize) {
    let Ok(asked) = std::env::var("TESTS_OUTAGE") else { return (3, 30) };
    let (seconds, orders) = asked.split_once(',').expect("TESTS_OUTAGE is `seconds,orders`");
    (seconds.parse().unwrap(), orders.parse().unwrap())
}

/// PostgreSQL stops while orders wait for AI, and replies arrive during the outage.
#[tokio::test(flavor = "multi_thread")]
async fn b1_d2_postgres_goes_away_with_orders_in_flight() {
    // Its own cluster, because other tests use the shared one.
    let Some(cluster) = postgres::Cluster::start() else {
        standins::skipped(
            "PostgreSQL goes away",
            "PostgreSQL is not installed: apt-get install postgresql",
        );
        return;
    };
    let (seconds, orders) = outage();
    let (model, gate) = Model::gated("call 1");
    let base = Base::Postgres(cluster.create("outage"));
    let factory = Factory::new(base, &model).await.with("limits.deadline_ms", 600_000);
    let ids: Vec<String> = (0..orders).map(|n| format!("o-{n}")).collect();
    factory.enqueue_all(ids.iter().map(|id| calls_in_turn(id, 3))).await;
    let mut worker = factory.worker(&[]);
    until("all wait for their second reply", || async { model.asked().len() == 2 * orders }).await;
    cluster.stop();
    gate.open();
    worker.until_log_contains("the database does not answer; the order waits for it").await;
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    assert!(worker.runs(), "{}", worker.log());
    cluster.start_again();
    until("all have ended", || async {
        factory.database.unfinished().await.is_ok_and(|left| left == 0)
    })
    .await;
    worker.signal(Signal::TERM);
    assert_eq!(worker.exit().await, 0, "{}", worker.log());
    for id in &ids {
        factory.assert_done_once(id, 3).await;
        let order = factory.order(id).await;
        assert_eq!((order.runs, order.crashes), (1, 0), "{order:?}");
        assert!(
            model.asked_of(id).iter().all(|(_, times)| *times == 1),
            "nothing was paid for twice"
        );
    }
    let log = worker.log();
    assert!(log.contains("a heartbeat could not be written"), "{log}");
    assert!(log.contains("the database answers again"), "{log}");
}

/// Another process holds SQLite's lock for longer than SQLite's own timeout.
#[tokio::test(flavor = "multi_thread")]
async fn b1_d2_the_file_is_locked_by_another_process() {
    let (model, gate) = Model::gated("call 1");
    let factory = Factory::new(Base::Sqlite, &model).await.with("limits.deadline_ms", 600_000);
    let ids: Vec<String> = (0..30).map(|n| format!("o-{n}")).collect();
    factory.enqueue_all(ids.iter().map(|id| calls_in_turn(id, 2))).await;
    let mut worker = factory.worker(&[]);
    until("all wait for their second reply", || async { model.asked().len() == 60 }).await;
    let script = "import sqlite3, sys, time\nc = sqlite3.connect(sys.argv[1], timeout=60, \
                  isolation_level=None)\nc.execute('BEGIN EXCLUSIVE'); print('locked', \
                  flush=True); time.sleep(5.5); c.execute('ROLLBACK')";
    let locker = Command::new("python3")
        .args(["-c", script])
        .arg(factory.bench.path().join("orders.db"))
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut locker) = locker else {
        standins::skipped("SQLite locked by another process", "there is no python3");
        return;
    };
    let mut line = String::new();
    BufReader::new(locker.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "locked\n");
    gate.open();
    assert!(locker.wait().unwrap().success());
    until("all have ended", || async {
        factory.database.unfinished().await.is_ok_and(|left| left == 0)
    })
    .await;
    assert!(worker.runs());
    for id in &ids {
        factory.assert_done_once(id, 2).await;
        assert_eq!(factory.order(id).await.runs, 1);
        assert!(
            model.asked_of(id).iter().all(|(_, times)| *times == 1),
            "nothing was paid for twice"
        );
    }
    assert!(worker.log().contains("locked"), "the log says what is waited for: {}", worker.log());
}

/// The disk of the sites is full: orders wait, use no attempt, and say why.
#[tokio::test(flavor = "multi_thread")]
async fn d4_a7_a_full_disk_fails_no_order() {
    let model = Model::slow(1);
    let factory = Factory::new(Base::Sqlite, &model).await.with("worker.attempts", 2);
    let sites = factory.bench.sites();
    std::fs::create_dir(&sites).unwrap();
    let Some(_disk) = Disk::small(&sites, "1m") else {
        standins::skipped("a full disk", "no file system may be mounted; root may");
        return;
    };
    let mut worker = factory.worker(&[]);
    worker.until_log_contains("ready").await;
    factory.enqueue_all([calls_in_turn("before", 1)]).await;
    factory.until_state("before", OrderState::Succeeded).await;
    let filler = sites.join("filler");
    let mut file = std::fs::File::create(&filler).unwrap();
    while file.write_all(&[b'x'; 4096]).is_ok() {}
    drop(file);

    factory.enqueue_all([calls_in_turn("full", 2)]).await;
    until("it was tried more often than it has attempts", || async {
        let order = factory.order("full").await;
        let failures = factory.database.failures("full").await.unwrap();
        assert!(!order.state.has_ended(), "{order:?}\n{failures:?}");
        order.runs > 3
    })
    .await;
    let order = factory.order("full").await;
    assert_eq!((order.attempts, order.crashes), (0, 0), "a full disk is no fault of the order");
    assert!(!order.state.has_ended(), "{order:?}");
    let failure = &factory.database.failures("full").await.unwrap()[0];
    assert_eq!(failure.kind, "host");
    assert!(failure.record.to_string().contains("No space left"), "{}", failure.record);
    assert!(worker.log().contains("the folder of sites cannot be written"), "{}", worker.log());
    assert!(sites.join("before/current/index.html").exists(), "what is there stays there");

    std::fs::remove_file(filler).unwrap();
    factory.until_state("full", OrderState::Succeeded).await;
    factory.assert_done_once("full", 2).await;
    assert!(
        model.asked_of("full").iter().all(|(_, times)| *times == 1),
        "waiting for the disk costs nothing"
    );
}

/// A template's file is replaced while it runs, then by a broken one.
#[tokio::test(flavor = "multi_thread")]
async fn g1_running_orders_keep_their_template() {
    let gate = Gate::default();
    let waiting = gate.clone();
    let model = Model::start(move |asked| {
        if asked.order == "old" {
            waiting.pass();
        }
        good(asked)
    });
    let factory = Factory::new(Base::Sqlite, &model).await;
    factory.enqueue_all([calls_in_turn("old", 1)]).await;
    let mut worker = factory.worker(&[]);
    until("it runs", || async { model.asked().len() == 1 }).await;
    let replace = |bytes: &[u8]| {
        factory.bench.write("templates/new", bytes);
        let templates = factory.bench.path().join("templates");
        std::fs::rename(templates.join("new"), templates.join("faulty.wasm")).unwrap();
    };
    // The same template with an empty custom section at its end, for another digest.
    let mut bytes = std::fs::read(guest("guest-faulty")).unwrap();
    bytes.extend([0, 5, 4, b't', b'e', b's', b't']);
    replace(&bytes);
    worker.signal(Signal::HUP);
    worker.until_log_contains("a template was replaced; running orders keep the old one").await;
    factory.enqueue_all([named("new", faulty("ok", json!({})))]).await;
    factory.until_state("new", OrderState::Succeeded).await;
    gate.open();
    factory.until_state("old", OrderState::Succeeded).await;

    replace(b"this is no template");
    worker.signal(Signal::HUP);
    worker.until_log_contains("a template is refused").await;
    factory.enqueue_all([named("kept", faulty("ok", json!({})))]).await;
    factory.until_state("kept", OrderState::Succeeded).await;
    let made_by = |id: &'static str| {
        let factory = &factory;
        async move {
            until("it is visible", || async { factory.active_release(id).is_some() }).await;
            let release = factory.active_release(id).unwrap();
            let manifest = factory.bench.sites().join(id).join(format!("manifests/{release}.json"));
            let manifest = std::fs::read(manifest).unwrap();
            let manifest: Value = serde_json::from_slice(&manifest).unwrap();
            manifest["template"]["digest"].as_str().unwrap().to_owned()
        }
    };
    let new = made_by("new").await;
    assert_ne!(made_by("old").await, new, "what ran kept what it had");
    assert_eq!(made_by("kept").await, new, "a broken file changes nothing");
    assert!(worker.runs());
}

/// Orders that another program enqueues in its own transactions.
#[tokio::test(flavor = "multi_thread")]
async fn c5_d2_orders_of_another_program() {
    let test = "orders of another program";
    let Some(base) = Base::postgres(test) else { return };
    let Some(python) = standins::PRODUCER.ready(test) else { return };
    let model = Model::slow(1);
    let factory = Factory::new(base, &model).await;
    let address = factory.url.replacen("postgres://", "postgresql+psycopg2://", 1);
    let produce = |how: &str, id: &str| {
        let mut command = Command::new(python.join("python"));
        command.arg(sitewright_tests::root().join("tests/standins/producer.py"));
        command.args([&address, how, id, "faulty"]).stdin(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(calls_in_turn(id, 1).to_string().as_bytes()).unwrap();
        assert!(child.wait().unwrap().success(), "{how}");
    };
    produce("rollback", "undone");
    produce("commit", "with-a-job");
    produce("plain", "without-a-job");
    factory.drain().await;
    assert!(factory.database.order("undone").await.is_err(), "what was rolled back never was");
    for id in ["with-a-job", "without-a-job"] {
        factory.assert_done_once(id, 1).await;
        assert_eq!(factory.order(id).await.runs, 1);
    }
    assert!(model.asked_of("undone").is_empty());
}

/// A row that another program inserts is an order, also in SQLite, while a worker runs.
#[tokio::test(flavor = "multi_thread")]
async fn d2_a_plain_row_is_an_order() {
    let model = Model::slow(1);
    let factory = Factory::new(Base::Sqlite, &model).await;
    let mut worker = factory.worker(&[]);
    worker.until_log_contains("ready").await;
    let script = "import sqlite3, sys\nc = sqlite3.connect(sys.argv[1], \
                  timeout=60)\nc.execute(\"INSERT INTO sitewright_orders (id, document, template) \
                  VALUES ('plain', ?, 'faulty')\", [sys.argv[2]])\nc.commit()";
    let mut insert = Command::new("python3");
    insert.args(["-c", script]).arg(factory.bench.path().join("orders.db"));
    insert.arg(calls_in_turn("plain", 1).to_string());
    if !insert.status().is_ok_and(|status| status.success()) {
        standins::skipped("a plain row in SQLite", "there is no python3");
        return;
    }
    factory.until_state("plain", OrderState::Succeeded).await;
    factory.assert_done_once("plain", 1).await;
}

/// A flood of log lines that no one reads: orders neither wait nor fail, and the log counts the
/// dropped lines.
#[tokio::test(flavor = "multi_thread")]
async fn b2_a_log_that_nobody_reads_stops_no_order() {
    let model = Model::slow(1);
    let factory = Factory::new(Base::Sqlite, &model).await;
    let ids: Vec<String> = (0..300).map(|n| format!("o-{n}")).collect();
    factory.enqueue_all(ids.iter().map(|id| calls_in_turn(id, 6))).await;
    // Log level `trace` for all crates.
    let mut command =
        factory.worker_command(&["--log=trace,sqlx=trace,riverqueue=trace,wasmtime=warn"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    until("all have ended", || async {
        factory.database.unfinished().await.is_ok_and(|left| left == 0)
    })
    .await;
    for id in &ids {
        factory.assert_done_once(id, 6).await;
    }
    // A late reader sees the number of dropped lines.
    let mut stderr = child.stderr.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut log = Vec::new();
        stderr.read_to_end(&mut log).unwrap();
        String::from_utf8_lossy(&log).into_owned()
    });
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let status = tokio::task::spawn_blocking(move || child.wait().unwrap()).await.unwrap();
    assert!(status.success());
    let log = reader.join().unwrap();
    eprintln!("nobody read {} lines, {} KiB", log.lines().count(), log.len() / 1024);
    assert!(log.contains("lines of the log were dropped"), "{} lines", log.lines().count());
}

/// Every log line about an order has its order, job, attempt and trace id.
#[tokio::test(flavor = "multi_thread")]
async fn b8_every_line_names_its_order() {
    let model = Model::start(|asked| match (&*asked.order, asked.times) {
        ("retried", 1) => sitewright_tests::chat_server::Answer::Http {
            status: 503,
            headers: &[],
            body: "{}".to_owned(),
        },
        ("crashed", 1) => sitewright_tests::chat_server::Answer::Hang,
        _ => good(asked),
    });
    let factory = Factory::new(Base::Sqlite, &model).await;
    factory.enqueue_all(["good", "retried", "crashed"].map(|id| calls_in_turn(id, 1))).await;
    factory.enqueue_all([named("trap", faulty("unreachable", json!({})))]).await;
    let mut first = factory.worker(&["--log-format=json", "--log=info,sitewright=debug"]);
    factory.until_count(OrderState::Succeeded, 2).await;
    factory.until_state("trap", OrderState::Failed).await;
    first.kill();
    let mut second =
        factory.worker(&["--log-format=json", "--log=info,sitewright=debug", "--drain"]);
    assert_eq!(second.exit().await, 0, "{}", second.log());
    let mut seen = BTreeSet::new();
    let log = first.log() + &second.log();
    for line in log.lines() {
        let value: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let empty = Vec::new();
        let spans = value["spans"].as_array().unwrap_or(&empty);
        let field = |name: &str| {
            let places = spans.iter().chain([&value["fields"], &value["span"]]);
            places.filter_map(|place| place.get(name)).find(|value| !value.is_null()).cloned()
        };
        let Some(order) = field("order") else { continue };
        for name in ["job", "attempt", "trace_id"] {
            assert!(field(name).is_some(), "{name} is missing: {line}");
        }
        seen.insert(order.as_str().unwrap().to_owned());
    }
    assert_eq!(seen, ["crashed", "good", "retried", "trap"].map(str::to_owned).into());
    assert!(log.contains("an order was rescued from its worker"), "{log}");
}
