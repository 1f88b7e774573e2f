//! Processes that end: killed by an operator, by an order, or again and again. With the default
//! times of a worker, where a test says so. No order pays for what it did not do.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use sitewright_jobs::{AttemptEnd, OrderState};
use sitewright_tests::factory::{Base, Factory, Gate, Model, Process, calls_in_turn, good, until};

/// The times of `[worker]` that the tests' own configuration shortens.
fn with_default_times(factory: Factory) -> Factory {
    factory.with("worker.beat_ms", 5_000).with("worker.silent_ms", 20_000)
}

/// Asserts that nothing was counted for an order, and that it has no failure record.
async fn assert_uncounted(factory: &Factory, id: &str) {
    let order = factory.order(id).await;
    assert_eq!((order.crashes, &order.last_failure), (0, &None), "{order:?}");
    assert_eq!(factory.database.failures(id).await.unwrap(), [], "{id}");
}

async fn until_all_have_ended(factory: &Factory) {
    until("all orders have ended", || async {
        factory.database.unfinished().await.is_ok_and(|left| left == 0)
    })
    .await;
}

/// SIGKILL, twice, while all orders wait for AI: nobody is to blame.
async fn killed_while_orders_wait(base: Base) {
    const ORDERS: usize = 120;
    let (model, gate) = Model::gated("call 1");
    let factory = with_default_times(Factory::new(base, &model).await);
    let ids: Vec<String> = (0..ORDERS).map(|number| format!("waits-{number}")).collect();
    factory.enqueue_all(ids.iter().map(|id| calls_in_turn(id, 2))).await;
    let all_wait = async |calls: usize| {
        until("all wait for their second reply", || async {
            model.asked().iter().filter(|call| call.what == "call 1").count() == calls
        })
        .await;
    };
    let mut worker = factory.worker(&[]);
    for kill in 1..=2 {
        all_wait(kill * ORDERS).await;
        // Nothing of what they did before is still going on.
        tokio::time::sleep(Duration::from_millis(500)).await;
        worker.kill();
        let begin = Instant::now();
        worker = factory.worker(&[]);
        worker.until_log_contains("ready").await;
        let took = begin.elapsed();
        assert!(took < Duration::from_secs(15), "rescued at the start, not when late: {took:?}");
    }
    all_wait(3 * ORDERS).await;
    gate.open();
    until_all_have_ended(&factory).await;
    for id in &ids {
        factory.assert_done_once(id, 2).await;
        assert_uncounted(&factory, id).await;
        let attempts = factory.database.attempts(id).await.unwrap();
        let ends: Vec<_> = attempts.iter().map(|attempt| attempt.outcome.unwrap()).collect();
        assert_eq!(ends, [AttemptEnd::Crashed, AttemptEnd::Crashed, AttemptEnd::Succeeded], "{id}");
        assert_eq!(model.asked_of(id)[0].1, 1, "a reply that was kept is not asked for again");
    }
    assert!(!worker.log().contains("tried alone"), "nobody is suspected:\n{}", worker.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn d2_a_worker_that_is_killed_charges_no_order_that_waits_on_sqlite() {
    killed_while_orders_wait(Base::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d2_a_worker_that_is_killed_charges_no_order_that_waits_on_postgres() {
    if let Some(base) = Base::postgres("SIGKILL while orders wait on PostgreSQL") {
        killed_while_orders_wait(base).await;
    }
}

/// One order kills its process whenever it runs, among 200 that do not.
async fn one_kills_among_many(base: Base) {
    const NEIGHBOURS: usize = 200;
    let model = Model::slow(100);
    let mut factory = Factory::new(base, &model).await.with("worker.max_orders", 40);
    factory.set_env("TESTS_POISON", "poison");
    let mut ids: Vec<String> = (0..NEIGHBOURS).map(|number| format!("good-{number}")).collect();
    ids.insert(NEIGHBOURS / 3, "poison".to_owned());
    factory.enqueue_all(ids.iter().map(|id| calls_in_turn(id, 2))).await;
    let (mut deaths, begin) = (0, Instant::now());
    let mut worker = factory.worker(&[]);
    while !factory.database.unfinished().await.is_ok_and(|left| left == 0) {
        assert!(begin.elapsed() < Duration::from_secs(170), "{}", worker.log());
        if !worker.runs() {
            deaths += 1;
            worker = factory.worker(&[]);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let poison = factory.order("poison").await;
    assert_eq!((poison.state, poison.crashes, poison.runs), (OrderState::Dead, 2, 3), "{poison:?}");
    assert_eq!(deaths, 3, "two alone, and one before anybody knew");
    for id in ids.iter().filter(|id| *id != "poison") {
        factory.assert_done_once(id, 2).await;
        assert_uncounted(&factory, id).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c7_one_order_that_kills_harms_none_of_its_neighbours_on_sqlite() {
    one_kills_among_many(Base::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c7_one_order_that_kills_harms_none_of_its_neighbours_on_postgres() {
    if let Some(base) = Base::postgres("an order that kills among many on PostgreSQL") {
        one_kills_among_many(base).await;
    }
}

/// A worker that lives beside one that is killed takes its orders within two heartbeats, with the
/// default times. Without the marks of the other one, it takes them when the heartbeat is late.
async fn rescued_by_another(base: Base, marks: bool) {
    let gate = Gate::default();
    let waiting = gate.clone();
    let model = Model::start(move |asked| {
        if asked.times == 1 {
            waiting.pass();
        }
        good(asked)
    });
    let factory = Factory::new(base, &model).await;
    let factory =
        if marks { with_default_times(factory) } else { factory.with("worker.silent_ms", 2_000) };
    factory.enqueue_all([calls_in_turn("waits", 1)]).await;
    let mut victim = factory.worker(&[]);
    until("it waits for AI", || async { model.asked().len() == 1 }).await;
    let mut other = factory.worker(&[]);
    other.until_log_contains("ready").await;
    if !marks {
        // As if it ran on another machine.
        std::fs::remove_dir_all(factory.bench.sites().join(".workers")).unwrap();
    }
    let killed = victim.kill();
    factory.until_state("waits", OrderState::Succeeded).await;
    gate.open();
    let attempts = factory.database.attempts("waits").await.unwrap();
    let after = attempts[0].ended_at.unwrap() - killed;
    eprintln!("rescued after {after} ms, marks: {marks}");
    if marks {
        assert!(after < 12_000, "{after} ms: it does not wait for 20 s");
    } else {
        assert!(after > 1_500, "{after} ms: it may have been alive");
    }
    assert_uncounted(&factory, "waits").await;
    factory.assert_done_once("waits", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d2_a_dead_process_on_the_same_machine_is_noticed_at_once_on_sqlite() {
    rescued_by_another(Base::Sqlite, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d2_a_dead_process_on_the_same_machine_is_noticed_at_once_on_postgres() {
    if let Some(base) = Base::postgres("a dead process on PostgreSQL") {
        rescued_by_another(base, true).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn d2_a_process_without_marks_is_rescued_by_its_heartbeat_on_sqlite() {
    rescued_by_another(Base::Sqlite, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d2_a_process_without_marks_is_rescued_by_its_heartbeat_on_postgres() {
    if let Some(base) = Base::postgres("a process without marks on PostgreSQL") {
        rescued_by_another(base, false).await;
    }
}

/// Three workers that live for 3 to 8 s each, with the default times: no worker lives as long as a
/// heartbeat may be late, and orders go on ending. `TESTS_FLEET=calm` kills none, to compare;
/// `TESTS_FLEET=500` sets the number of orders.
async fn a_fleet_that_crash_loops(base: Base) {
    const CALLS: u32 = 3;
    let asked = std::env::var("TESTS_FLEET").unwrap_or_default();
    let calm = asked == "calm";
    let orders: u32 = asked.parse().unwrap_or(90);
    let what = if base == Base::Sqlite { "SQLite" } else { "PostgreSQL" };
    let model = Model::slow(700);
    let factory = with_default_times(Factory::new(base, &model).await).with("worker.max_orders", 6);
    let ids: Vec<String> = (0..orders).map(|number| format!("fleet-{number}")).collect();
    factory.enqueue_all(ids.iter().map(|id| calls_in_turn(id, CALLS))).await;
    let lives = [3_000u64, 5_500, 8_000, 4_000, 7_000, 6_000];
    let begin = Instant::now();
    let mut number = 0;
    let mut next = || {
        number += 1;
        (factory.worker(&[]), Instant::now() + Duration::from_millis(lives[number % lives.len()]))
    };
    let mut fleet: Vec<(Process, Instant)> = (0..3).map(|_| next()).collect();
    let mut kills = 0;
    while !factory.database.unfinished().await.is_ok_and(|left| left == 0) {
        assert!(begin.elapsed() < Duration::from_secs(170), "{kills} kills, and not done");
        for (worker, until) in &mut fleet {
            if !calm && Instant::now() >= *until {
                worker.kill();
                kills += 1;
                (*worker, *until) = next();
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let took = begin.elapsed().as_secs_f64();
    for (worker, _) in &mut fleet {
        worker.until_log_contains("ready").await;
        worker.signal(Signal::TERM);
        assert_eq!(worker.exit().await, 0, "{}", worker.log());
    }
    factory.drain().await;
    let mut runs: BTreeMap<i64, usize> = BTreeMap::new();
    for id in &ids {
        factory.assert_done_once(id, CALLS as usize).await;
        *runs.entry(factory.order(id).await.runs).or_default() += 1;
    }
    eprintln!(
        "a fleet of three on {what}: {orders} orders in {took:.1} s, {:.2} per second, {kills} \
         kills; orders by their number of runs: {runs:?}",
        f64::from(orders) / took
    );
    assert!(calm || kills > 0, "the storm was too short to be one");
}

#[tokio::test(flavor = "multi_thread")]
async fn d2_d3_a_fleet_that_crash_loops_goes_on_finishing_orders_on_sqlite() {
    a_fleet_that_crash_loops(Base::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d2_d3_a_fleet_that_crash_loops_goes_on_finishing_orders_on_postgres() {
    if let Some(base) = Base::postgres("a fleet that crash-loops on PostgreSQL") {
        a_fleet_that_crash_loops(base).await;
    }
}

/// A process that may open no more files: orders wait, and none uses an attempt. When it may again,
/// all are done.
#[tokio::test(flavor = "multi_thread")]
async fn emfile_uses_no_attempt() {
    use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
    const ORDERS: usize = 60;
    let model = Model::slow(200);
    let factory = Factory::new(Base::Sqlite, &model).await;
    let mut worker = factory.worker(&[]);
    worker.until_log_contains("ready").await;
    let pid = Pid::from_raw(i32::try_from(worker.pid()).unwrap());
    let open = std::fs::read_dir(format!("/proc/{}/fd", worker.pid())).unwrap().count();
    let few = u64::try_from(open + 3).unwrap();
    // The maximum stays: only a privileged process could raise it again.
    let limit = Rlimit { current: Some(few), ..getrlimit(Resource::Nofile) };
    let before = match prlimit(pid, Resource::Nofile, limit) {
        Ok(before) => before,
        Err(error) => {
            let why = format!("the limit of another process cannot be set: {error}");
            sitewright_tests::standins::skipped("too many open files", &why);
            return;
        }
    };
    let ids: Vec<String> = (0..ORDERS).map(|number| format!("many-{number}")).collect();
    factory.enqueue_all(ids.iter().map(|id| calls_in_turn(id, 2))).await;
    worker.until_log_contains("Too many open files").await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    for id in &ids {
        let order = factory.order(id).await;
        assert!(order.attempts == 0 || order.state == OrderState::Succeeded, "{order:?}");
    }
    prlimit(pid, Resource::Nofile, before).unwrap();
    until_all_have_ended(&factory).await;
    for id in &ids {
        // One attempt was used: the one that succeeded.
        factory.assert_done_once(id, 2).await;
    }
    assert!(worker.runs());
}
