//! Workers that are killed and paused: no order is lost, done twice or stuck, and no reply is paid
//! for twice.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;
use sitewright_jobs::{AttemptEnd, OrderState};
use sitewright_tests::factory::{
    Base, Factory, Gate, Model, Process, calls_in_turn, good, named, until,
};
use sitewright_tests::faulty;

/// A random number generator with a fixed seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// Numbers of kills and orders; `TESTS_STORM=50,500` overrides the defaults.
fn storm_size(kills: usize, orders: usize) -> (usize, usize) {
    let Ok(asked) = std::env::var("TESTS_STORM") else { return (kills, orders) };
    let (kills, orders) = asked.split_once(',').expect("TESTS_STORM is `kills,orders`");
    (kills.parse().unwrap(), orders.parse().unwrap())
}

const CALLS: u32 = 3;

/// How long a worker of a test build takes to start on a machine that does nothing else.
const QUIET_START: Duration = Duration::from_millis(500);

/// Orders with three AI calls each, and workers that are killed at random moments, including their
/// start.
async fn storm(base: Base, workers: usize, kills: usize, orders: usize) {
    let (kills, orders) = storm_size(kills, orders);
    let what =
        format!("{} with {workers}", if base == Base::Sqlite { "SQLite" } else { "PostgreSQL" });
    let model = Model::slow(150);
    // The end of a process is seen at once. A live one on a busy machine may be late for seconds,
    // and would be taken for a dead one.
    let factory = Factory::new(base, &model)
        .await
        .with("worker.max_orders", 12)
        .with("worker.silent_ms", 10_000);
    let ids: Vec<String> = (0..orders).map(|number| format!("storm-{number}")).collect();
    factory.enqueue_all(ids.iter().map(|id| calls_in_turn(id, CALLS))).await;

    let seed = std::env::var("TESTS_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(7);
    let mut dice = Dice(seed);
    let mut killed: HashMap<u32, i64> = HashMap::new();
    let begin = Instant::now();
    let mut working: Vec<Process> = (0..workers).map(|_| factory.worker(&[])).collect();
    for worker in &mut working {
        worker.until_log_contains("ready").await;
    }
    // On a busy machine too a worker lives longer than it starts: otherwise one order, tried alone
    // first, is all that each killed one ever came to, and that order's fault.
    let pace = (begin.elapsed().div_duration_f64(QUIET_START * workers as u32)).max(1.0);
    for _ in 0..kills {
        let life = Duration::from_millis(100 + dice.below(1_200) / workers as u64);
        tokio::time::sleep(life.mul_f64(pace)).await;
        let victim = usize::try_from(dice.below(workers as u64)).unwrap();
        let pid = working[victim].pid();
        assert!(working[victim].runs(), "a worker ended by itself:\n{}", working[victim].log());
        killed.insert(pid, working[victim].kill());
        working[victim] = factory.worker(&[]);
    }
    until("all orders have ended", || async {
        factory.database.unfinished().await.is_ok_and(|left| left == 0)
    })
    .await;
    for worker in &mut working {
        // A worker that has just started does not listen yet.
        worker.until_log_contains("ready").await;
        worker.signal(Signal::TERM);
    }
    for worker in &mut working {
        assert_eq!(worker.exit().await, 0, "{}", worker.log());
    }
    // The next worker activates the releases that the killed ones did not.
    factory.drain().await;

    let asked = model.asked();
    let mut arrivals: BTreeMap<(&str, &str), Vec<i64>> = BTreeMap::new();
    for call in &asked {
        arrivals.entry((&call.order, &call.what)).or_default().push(call.at);
    }
    let (mut rescues, mut crashes) = (Vec::new(), 0);
    for id in &ids {
        factory.assert_done_once(id, CALLS as usize).await;
        for call in factory.database.ai_calls(id).await.unwrap() {
            assert!(
                call.current,
                "{id}: a reply was paid for twice although the first one was kept: {call:?}"
            );
            // A call that arrived before the reply was stored could not reuse it.
            let text = call.call.entry.to_string();
            let (_, answered) =
                text.split_once("a reply to [[").expect("the reply names its question");
            let what = (0..CALLS).map(|number| format!("call {number}"));
            let what =
                what.into_iter().find(|what| answered.contains(&format!("]] {what}"))).unwrap();
            let last = *arrivals[&(id.as_str(), what.as_str())].last().unwrap();
            assert!(
                last <= call.at,
                "{id} {what}: asked at {last}, but its reply was kept at {}",
                call.at
            );
        }
        for attempt in factory.database.attempts(id).await.unwrap() {
            if attempt.outcome == Some(AttemptEnd::Crashed) {
                crashes += 1;
                let pid =
                    attempt.worker.rsplit('-').nth(1).and_then(|pid| pid.parse().ok()).unwrap();
                let at =
                    killed.get(&pid).unwrap_or_else(|| panic!("{} was not killed", attempt.worker));
                rescues.push(attempt.ended_at.unwrap() - at);
            }
        }
    }
    let distinct = arrivals.len();
    assert_eq!(distinct, orders * CALLS as usize);
    // Calls that were in flight, or answered but not yet stored, when a worker was killed.
    let repeated = asked.len() - distinct;
    assert!(
        repeated <= crashes,
        "{repeated} calls were repeated after {crashes} crashes of attempts"
    );
    rescues.sort_unstable();
    let at = |part: usize| {
        rescues.get((rescues.len().saturating_sub(1)) * part / 100).copied().unwrap_or_default()
    };
    eprintln!(
        "storm on {what}, {pace:.1} times as slow: {kills} kills, {orders} orders, {crashes} attempts \
         crashed, {repeated} of {} AI calls repeated, rescued after {} ms (median), {} ms (most)",
        asked.len(),
        at(50),
        at(100)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn c3_c7_d2_d4_a_worker_killed_again_and_again_on_sqlite() {
    storm(Base::Sqlite, 1, 8, 60).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c3_c7_d2_d4_a_worker_killed_again_and_again_on_postgres() {
    if let Some(base) = Base::postgres("the storm on PostgreSQL") {
        storm(base, 1, 8, 60).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c3_c7_d2_d4_two_workers_killed_in_turn_on_sqlite() {
    storm(Base::Sqlite, 2, 8, 60).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c3_c7_d2_d4_three_workers_killed_in_turn_on_postgres() {
    if let Some(base) = Base::postgres("the storm with three workers on PostgreSQL") {
        storm(base, 3, 8, 60).await;
    }
}

/// A worker is paused until its heartbeat is stale, another one finishes its order, and it resumes.
async fn paused(base: Base) {
    let gate = Gate::default();
    let waiting = gate.clone();
    let model = Model::start(move |asked| {
        if asked.what == "call 1" && asked.times == 1 {
            waiting.pass();
        }
        good(asked)
    });
    let factory = Factory::new(base, &model).await.with("worker.silent_ms", 600);
    factory.enqueue_all([calls_in_turn("paused", 2)]).await;
    let mut first = factory.worker(&[]);
    until("the first worker waits", || async { model.asked().len() == 2 }).await;
    factory.pause(&first).await;
    let mut second = factory.worker(&[]);
    factory.until_state("paused", OrderState::Succeeded).await;
    until("its release is visible", || async { factory.active_release("paused").is_some() }).await;
    let before = factory.order("paused").await;
    assert_eq!(factory.releases("paused").len(), 1);
    assert_eq!(factory.active_release("paused"), before.current_release);

    gate.open();
    first.signal(Signal::CONT);
    first.until_log_contains("lease lost").await;
    until("the release that does not count is gone", || async {
        factory.releases("paused").len() == 1
    })
    .await;
    let attempts = factory.database.attempts("paused").await.unwrap();
    let ends: Vec<_> = attempts.iter().map(|attempt| attempt.outcome.unwrap()).collect();
    assert_eq!(ends, [AttemptEnd::Crashed, AttemptEnd::Succeeded]);
    assert!(
        attempts[0].lease_lost_at.is_some() && attempts[0].release.is_none(),
        "{:?}",
        attempts[0]
    );
    assert!(attempts[1].lease_lost_at.is_none());
    assert_eq!(factory.order("paused").await, before, "nothing else changed");
    assert_eq!(factory.active_release("paused"), before.current_release);
    factory.assert_done_once("paused", 2).await;
    // The first reply was stored, so only the call that was in flight is repeated.
    assert_eq!(model.asked_of("paused"), [("call 0".to_owned(), 1), ("call 1".to_owned(), 2)]);
    // It continues to work.
    assert!(first.runs() && second.runs());
    second.kill();
    factory.enqueue_all([calls_in_turn("next", 1)]).await;
    factory.until_state("next", OrderState::Succeeded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d1_a_paused_worker_changes_nothing_when_it_wakes_up_on_sqlite() {
    paused(Base::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d1_a_paused_worker_changes_nothing_when_it_wakes_up_on_postgres() {
    if let Some(base) = Base::postgres("the paused worker on PostgreSQL") {
        paused(base).await;
    }
}

/// An order that kills its workers is dead when it has done so twice while no other order's code
/// ran, with a complete record. The first time nobody knows that it was the order.
async fn poisoned(base: Base) {
    let model = Model::start(good);
    let mut factory = Factory::new(base, &model).await;
    factory.set_env("TESTS_POISON", "poison");
    factory.enqueue_all([calls_in_turn("poison", 9)]).await;
    for death in 0..=2 {
        let mut worker = factory.worker(&[]);
        assert_eq!(worker.exit().await, -1, "it aborts:\n{}", worker.log());
        let order = factory.order("poison").await;
        let before = i64::from((death - 1i32).max(0));
        assert_eq!((order.crashes, order.attempts), (before, 0), "{}", worker.log());
    }
    let mut worker = factory.worker(&[]);
    factory.until_state("poison", OrderState::Dead).await;
    let order = factory.order("poison").await;
    assert_eq!((order.crashes, order.attempts, order.runs), (2, 0, 3), "crashes are no attempts");
    assert!(order.current_release.is_none() && factory.active_release("poison").is_none());
    let failures = factory.database.failures("poison").await.unwrap();
    assert_eq!(failures.len(), 2, "each crash keeps its record (D7)");
    let last = &failures[1];
    assert_eq!(order.last_failure.as_ref(), Some(&last.id));
    assert_eq!(&*last.kind, "crashed", "{}", last.record);
    assert!(last.message.contains("after 2 crashes"), "{}", last.message);
    assert_eq!(
        last.record["attributes"]["code that ran"],
        "that of this order, and of no other one"
    );
    for attempt in factory.database.attempts("poison").await.unwrap() {
        assert_eq!(attempt.outcome, Some(AttemptEnd::Crashed));
    }
    assert!(worker.runs());
    factory.enqueue_all([calls_in_turn("next", 1)]).await;
    factory.until_state("next", OrderState::Succeeded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c7_an_order_that_kills_its_workers_is_dead_after_two_crashes_alone_on_sqlite() {
    poisoned(Base::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c7_an_order_that_kills_its_workers_is_dead_after_two_crashes_alone_on_postgres() {
    if let Some(base) = Base::postgres("an order that kills its workers on PostgreSQL") {
        poisoned(base).await;
    }
}

/// A faulty template ends its own run, not the process, and does not affect other orders.
#[tokio::test(flavor = "multi_thread")]
async fn c7_a_template_cannot_end_the_worker() {
    let gate = Gate::default();
    let waiting = gate.clone();
    let model = Model::start(move |asked| {
        waiting.pass();
        good(asked)
    });
    let factory = Factory::new(Base::Sqlite, &model).await.with("limits.cpu_ms", 1_000);
    factory.enqueue_all([calls_in_turn("neighbour", 1)]).await;
    let mut worker = factory.worker(&[]);
    until("the neighbour waits", || async { !model.asked().is_empty() }).await;
    let bad = [
        ("abort", "trap"),
        ("memory-bomb", "memory_limit"),
        ("stack-overflow", "trap"),
        ("oob", "trap"),
        ("spin", "cpu_limit"),
        ("panic-str", "panic"),
        ("exit", "trap"),
    ];
    factory.enqueue_all(bad.map(|(fault, _)| named(fault, faulty(fault, json!({}))))).await;
    for (fault, kind) in bad {
        factory.until_state(fault, OrderState::Failed).await;
        let order = factory.order(fault).await;
        assert_eq!(
            (order.crashes, order.attempts),
            (0, 1),
            "{fault}: failed once and for good (D4)"
        );
        let failures = factory.database.failures(fault).await.unwrap();
        assert_eq!(failures.len(), 1, "{fault}");
        assert_eq!(failures[0].kind, kind, "{fault}: {}", failures[0].message);
        assert_eq!(factory.active_release(fault), None, "A4: a failure is no success");
    }
    assert!(worker.runs(), "{}", worker.log());
    gate.open();
    factory.until_state("neighbour", OrderState::Succeeded).await;
    assert_eq!(factory.order("neighbour").await.runs, 1);
}
