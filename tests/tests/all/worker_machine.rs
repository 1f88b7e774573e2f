//! Faults of the worker's machine: its clock is set while orders run, and the disk of its database
//! is full. The worker continues or says why not, and no order is lost or done twice.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use sitewright_jobs::OrderState;
use sitewright_tests::chat_server::Answer;
use sitewright_tests::disk::Disk;
use sitewright_tests::factory::{Base, Factory, Gate, Model, calls_in_turn, good, until};
use sitewright_tests::standins;

/// Path of the library of `faketime`, which changes a program's wall clock; `None` if not
/// installed.
fn faketime() -> Option<PathBuf> {
    let folders =
        ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"];
    folders
        .iter()
        .map(|folder| Path::new(folder).join("faketime/libfaketimeMT.so.1"))
        .find(|library| library.is_file())
}

/// The wall clock of a process. The monotonic clock is not changed, as when a machine's clock is
/// set.
struct Clock {
    file: PathBuf,
}

impl Clock {
    fn of(factory: &mut Factory) -> Option<Self> {
        let library = faketime()?;
        let clock = Clock { file: factory.bench.path().join("clock") };
        clock.set("+0");
        let file = clock.file.display().to_string();
        for (name, value) in [
            ("LD_PRELOAD", library.display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", file),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("DONT_FAKE_MONOTONIC", "1".to_owned()),
        ] {
            factory.set_env(name, value);
        }
        Some(clock)
    }

    /// Replaces the file atomically: a worker that reads half of it would see another time.
    fn set(&self, offset: &str) {
        let new = self.file.with_extension("new");
        std::fs::write(&new, offset).unwrap();
        std::fs::rename(new, &self.file).unwrap();
    }
}

async fn a_clock_is_set(base: Base) {
    let gate = Gate::default();
    let waiting = gate.clone();
    let model = Model::start(move |asked| match asked.order.as_str() {
        "held" => {
            waiting.pass();
            good(asked)
        }
        // One answer is a rate limit with a delay.
        "limited" if asked.times == 1 => Answer::Http {
            status: 429,
            headers: &[("retry-after", "3")],
            body: r#"{"error": {"message": "slow down", "type": "rate_limit_error"}}"#.to_owned(),
        },
        _ => good(asked),
    });
    let mut factory = Factory::new(base, &model).await.with("limits.deadline_ms", 600_000);
    let Some(clock) = Clock::of(&mut factory) else {
        standins::skipped("a clock that is set", "the package `faketime` is not installed");
        return;
    };
    let mut worker = factory.worker(&[]);
    factory.enqueue_all([calls_in_turn("held", 1)]).await;
    until("it runs", || async { model.asked_of("held").len() == 1 }).await;

    clock.set("+1d");
    worker.until_log_contains("the machine's clock was set").await;
    factory.enqueue_all([calls_in_turn("forward", 1)]).await;
    factory.until_state("forward", OrderState::Succeeded).await;
    assert_eq!(factory.order("held").await.state, OrderState::Running, "a day is no silence");

    factory.enqueue_all([calls_in_turn("limited", 1)]).await;
    factory.until_state("limited", OrderState::Waiting).await;
    clock.set("-1d");
    // A waiting order, and one of a producer whose clock is a day ahead.
    factory.enqueue_all([calls_in_turn("back", 1)]).await;
    for order in ["limited", "back"] {
        factory.until_state(order, OrderState::Succeeded).await;
    }
    assert!(worker.log().contains("the order was future-dated"), "{}", worker.log());
    gate.open();
    factory.until_state("held", OrderState::Succeeded).await;

    // A worker whose clock is behind the times in the database.
    worker.signal(Signal::TERM);
    assert_eq!(worker.exit().await, 0, "{}", worker.log());
    clock.set("-2d");
    factory.enqueue_all([calls_in_turn("again", 1)]).await;
    let log = factory.drain().await;
    assert_eq!(factory.order("again").await.state, OrderState::Succeeded, "{log}");
    for order in ["held", "forward", "limited", "back", "again"] {
        factory.assert_done_once(order, 1).await;
        let runs = factory.order(order).await.runs;
        assert_eq!(runs, if order == "limited" { 2 } else { 1 }, "{order}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn d4_a_clock_that_is_set_loses_no_order_on_sqlite() {
    a_clock_is_set(Base::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d4_a_clock_that_is_set_loses_no_order_on_postgres() {
    let Some(base) = Base::postgres("a clock that is set") else { return };
    a_clock_is_set(base).await;
}

/// The disk of SQLite is full while orders wait for AI: replies are kept, nothing is paid for
/// twice, the log names the reason, and orders continue when there is space again.
#[tokio::test(flavor = "multi_thread")]
async fn b1_d2_the_disk_of_the_database_is_full() {
    let (model, gate) = Model::gated("call 1");
    let folder = tempfile::tempdir().unwrap();
    let Some(_disk) = Disk::small(folder.path(), "16m") else {
        standins::skipped(
            "a full disk under the database",
            "no file system may be mounted; root may",
        );
        return;
    };
    let base = Base::SqliteAt(folder.path().join("orders.db"));
    let factory = Factory::new(base, &model).await.with("limits.deadline_ms", 600_000);
    let ids: Vec<String> = (0..20).map(|number| format!("o-{number}")).collect();
    factory.enqueue_all(ids.iter().map(|id| calls_in_turn(id, 2))).await;
    let mut worker = factory.worker(&[]);
    until("all wait for their second reply", || async { model.asked().len() == 40 }).await;
    let filler = folder.path().join("filler");
    let mut file = std::fs::File::create(&filler).unwrap();
    while file.write_all(&[b'x'; 4096]).is_ok() {}
    drop(file);

    gate.open();
    let says = "the disk of the database is full; orders wait until there is space";
    worker.until_log_contains(says).await;
    assert!(worker.runs(), "{}", worker.log());
    let log = worker.log();
    assert!(log.matches(says).count() <= 3, "not once for each call: {log}");
    std::fs::remove_file(filler).unwrap();
    until("all have ended", || async {
        factory.database.unfinished().await.is_ok_and(|left| left == 0)
    })
    .await;
    // Connections whose transaction failed for lack of space are not used again.
    assert!(!worker.log().contains("transaction depth"), "{}", worker.log());
    for id in &ids {
        factory.assert_done_once(id, 2).await;
        assert_eq!(factory.order(id).await.runs, 1, "{id}");
        assert!(
            model.asked_of(id).iter().all(|(_, times)| *times == 1),
            "nothing was paid for twice"
        );
    }
}

/// The templates of all orders together have a limit of memory: orders beyond it wait until others
/// have ended, and use no attempt.
#[tokio::test(flavor = "multi_thread")]
async fn c7_orders_beyond_the_memory_for_all_of_them_wait() {
    let (model, gate) = Model::gated("call 1");
    let factory = Factory::new(Base::Sqlite, &model)
        .await
        .with("limits.deadline_ms", 600_000)
        .with("worker.memory_bytes", 6 << 20);
    let ids: Vec<String> = (0..8).map(|number| format!("o-{number}")).collect();
    factory.enqueue_all(ids.iter().map(|id| calls_in_turn(id, 1))).await;
    let mut worker = factory.worker(&[]);
    worker.until_log_contains("as much as `worker.memory_bytes` allows").await;
    until("none of them begins", || async {
        factory.database.stats().await.is_ok_and(|stats| stats.count(OrderState::Queued) == 0)
    })
    .await;
    until("some of them have room", || async { !model.asked().is_empty() }).await;
    let asked = model.asked().len();
    assert!((1..8).contains(&asked), "{asked} orders have room");
    gate.open();
    factory.until_count(OrderState::Succeeded, 8).await;
    for id in &ids {
        assert!(factory.order(id).await.attempts <= 1, "{id}");
    }
}
