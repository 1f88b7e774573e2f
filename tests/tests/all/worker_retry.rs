//! Orders whose AI calls fail, through the worker: which failures wait, which are retried, which
//! are final, and the attempts that each uses.

use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::Signal;
use serde_json::json;
use sitewright_jobs::{AttemptEnd, OrderState};
use sitewright_tests::chat_server::Answer;
use sitewright_tests::factory::{
    Base, Factory, Model, RecordedCall, calls_in_turn, good, named, until,
};
use sitewright_tests::faulty;

fn http(status: u16, headers: &'static [(&'static str, &'static str)]) -> Answer {
    Answer::Http {
        status,
        headers,
        body: json!({ "error": { "message": "as the test wants" } }).to_string(),
    }
}

async fn ends(factory: &Factory, id: &str) -> Vec<AttemptEnd> {
    let attempts = factory.database.attempts(id).await.unwrap();
    attempts.iter().map(|attempt| attempt.outcome.expect("it has ended")).collect()
}

fn counts(model: &Model, id: &str) -> Vec<usize> {
    model.asked_of(id).into_iter().map(|(_, times)| times).collect()
}

/// Every class of failure on one worker.
async fn classes(base: Base) {
    let model =
        Model::start(|asked: &RecordedCall| match (&*asked.order, &*asked.what, asked.times) {
            ("limited", "call 1", 1 | 2) => http(429, &[("retry-after", "1")]),
            ("overloaded", "call 1", 1) | ("overloaded", "call 2", 1) => http(503, &[]),
            ("always", "call 0", _) => http(503, &[]),
            ("refused", "call 1", _) => http(400, &[]),
            ("firewall", "call 1", 1) => Answer::Http {
                status: 403,
                headers: &[],
                body: "<html><title>Forbidden</title></html>".to_owned(),
            },
            ("blamed", "any", 1) => {
                Answer::Reply { content: "\"unusable\"".to_owned(), finish: "stop" }
            }
            ("blamed", "any", _) => {
                Answer::Reply { content: "\"fine\"".to_owned(), finish: "stop" }
            }
            _ => good(asked),
        });
    let factory = Factory::new(base, &model).await.with("worker.attempts", 3);
    let blamed = json!({ "n": 2, "prompt": "[[blamed]] " });
    factory
        .enqueue_all([
            calls_in_turn("limited", 3),
            calls_in_turn("overloaded", 4),
            calls_in_turn("always", 1),
            calls_in_turn("refused", 3),
            calls_in_turn("firewall", 2),
            named("blamed", faulty("ai-unreadable", blamed)),
        ])
        .await;
    factory.drain().await;

    // After a rate limit the order waits for the provider's retry-after; that uses no attempt.
    factory.assert_done_once("limited", 3).await;
    assert_eq!(
        ends(&factory, "limited").await,
        [AttemptEnd::Snoozed, AttemptEnd::Snoozed, AttemptEnd::Succeeded]
    );
    assert_eq!(counts(&model, "limited"), [1, 3, 1]);
    let attempts = factory.database.attempts("limited").await.unwrap();
    for two in attempts.windows(2) {
        assert!(
            two[1].started_at - two[0].ended_at.unwrap() >= 990,
            "the provider asked for a second: {attempts:?}"
        );
    }

    // Transient failures are retried, and only missing replies are paid for.
    let order = factory.order("overloaded").await;
    assert_eq!((order.state, order.attempts), (OrderState::Succeeded, 3));
    assert_eq!(
        ends(&factory, "overloaded").await,
        [AttemptEnd::Retry, AttemptEnd::Retry, AttemptEnd::Succeeded]
    );
    assert_eq!(counts(&model, "overloaded"), [1, 2, 2, 1]);
    assert_eq!(factory.active_release("overloaded"), order.current_release);
    assert_eq!(
        factory.database.failures("overloaded").await.unwrap().len(),
        2,
        "D7: each attempt keeps its record"
    );

    // What refuses one request in front of the provider may refuse all.
    let order = factory.order("firewall").await;
    assert_eq!((order.state, order.attempts), (OrderState::Succeeded, 2));
    assert_eq!(counts(&model, "firewall"), [1, 2]);

    let order = factory.order("always").await;
    assert_eq!((order.state, order.attempts), (OrderState::Dead, 3), "attempts are counted");
    assert_eq!(
        ends(&factory, "always").await,
        [AttemptEnd::Retry, AttemptEnd::Retry, AttemptEnd::Dead]
    );
    assert_eq!(counts(&model, "always"), [3]);

    // Permanent failures are not retried.
    let order = factory.order("refused").await;
    assert_eq!((order.state, order.attempts), (OrderState::Failed, 1));
    assert_eq!(counts(&model, "refused"), [1, 1]);
    let failure = &factory.database.failures("refused").await.unwrap()[0];
    assert_eq!(failure.record["ai"]["kind"], "invalid_request", "{}", failure.record);
    assert_eq!(factory.active_release("refused"), None);

    // After a requeue, only the reply that the template blamed is requested again.
    assert_eq!(factory.order("blamed").await.state, OrderState::Failed);
    assert_eq!(model.asked_of("blamed").len(), 3);
    assert_eq!(counts(&model, "blamed"), [1, 1, 1]);
    factory.database.reopen("blamed", None).await.unwrap();
    factory.drain().await;
    assert_eq!(factory.order("blamed").await.state, OrderState::Succeeded);
    assert_eq!(counts(&model, "blamed"), [1, 1, 2]);
    assert_eq!(ends(&factory, "blamed").await, [AttemptEnd::Failed, AttemptEnd::Succeeded]);
    let calls = factory.database.ai_calls("blamed").await.unwrap();
    let aside: Vec<bool> = calls.iter().map(|call| call.asked_again_at.is_some()).collect();
    assert_eq!(aside, [false, false, true, false], "the blamed reply stays on the books");
}

#[tokio::test(flavor = "multi_thread")]
async fn d4_each_failure_is_tried_again_as_it_deserves_on_sqlite() {
    classes(Base::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d4_each_failure_is_tried_again_as_it_deserves_on_postgres() {
    if let Some(base) = Base::postgres("classes of failures on PostgreSQL") {
        classes(base).await;
    }
}

/// The worker that starts has used nothing of its budget, which may be a larger one.
#[tokio::test(flavor = "multi_thread")]
async fn d4_what_the_budget_of_a_day_put_off_goes_on_when_a_worker_starts() {
    let model = Model::start(good);
    let mut factory = Factory::new(Base::Sqlite, &model).await.with("ai.budget.day_tokens", 1);
    factory.enqueue_all([calls_in_turn("a", 2)]).await;
    let mut worker = factory.worker(&[]);
    factory.until_count(OrderState::Waiting, 1).await;
    worker.signal(Signal::TERM);
    assert_eq!(worker.exit().await, 0, "{}", worker.log());
    let reason = factory.order("a").await.waiting_reason.unwrap();
    assert!(reason.contains("midnight") && reason.contains("restart the worker"), "{reason}");
    factory.set("ai.budget.day_tokens", 10_000_000);
    factory.drain().await;
    factory.assert_done_once("a", 2).await;
    assert_eq!(counts(&model, "a"), [1, 1]);
}

/// A provider with an open circuit breaker: its orders wait until it closes and use no attempt.
#[tokio::test(flavor = "multi_thread")]
async fn d4_an_order_that_the_breaker_turns_away_rests_and_uses_no_attempt() {
    // All orders meet the open breaker before it ends, on a slow machine too.
    const COOL_DOWN_MS: i64 = 2_000;
    const AWAY: usize = 3;
    let calls = AtomicUsize::new(0);
    // The first three calls fail: one opens the breaker, two are probes.
    let model =
        Model::start(move |asked: &RecordedCall| match calls.fetch_add(1, Ordering::SeqCst) {
            call if call < AWAY => http(503, &[]),
            _ => good(asked),
        });
    let factory = Factory::new(Base::Sqlite, &model)
        .await
        .with("worker.attempts", AWAY + 1)
        .with("worker.retry_base_ms", 10)
        .with("ai.providers.local.breaker.failures", 1)
        .with("ai.providers.local.breaker.cool_down_ms", COOL_DOWN_MS);
    factory.enqueue_all([calls_in_turn("opens", 1)]).await;
    let mut worker = factory.worker(&[]);
    until("the first call has failed", || async {
        !factory.database.failures("opens").await.unwrap().is_empty()
    })
    .await;
    let others = ["one", "two", "three"];
    factory.enqueue_all(others.map(|id| calls_in_turn(id, 1))).await;
    let (mut used, mut rested) = (0, 0);
    for id in ["opens", "one", "two", "three"] {
        factory.until_state(id, OrderState::Succeeded).await;
        used += factory.order(id).await.attempts;
        rested +=
            ends(&factory, id).await.iter().filter(|end| **end == AttemptEnd::Snoozed).count();
    }
    assert_eq!(
        used,
        4 + 3,
        "only what was sent counts: four replies and three failures; {}",
        worker.log()
    );
    assert!(rested >= 4, "{rested}");
    let mut recorded = 0;
    for id in ["opens", "one", "two", "three"] {
        for failure in factory.database.failures(id).await.unwrap() {
            let record = &failure.record;
            assert_eq!(record["ai"]["attempts"][0]["status"], 503, "{record}");
            recorded += 1;
        }
    }
    assert_eq!(recorded, AWAY, "what was not sent is not recorded");
    assert!(worker.runs());
}

/// The deadline ends an attempt with a record of its stage; the next attempt continues from there.
#[tokio::test(flavor = "multi_thread")]
async fn a6_a_deadline_ends_an_attempt_and_not_the_order() {
    let model = Model::start(|asked| match (&*asked.what, asked.times) {
        ("call 1", 1) => Answer::Hang,
        _ => good(asked),
    });
    let factory = Factory::new(Base::Sqlite, &model).await.with("limits.deadline_ms", 3_000);
    factory.enqueue_all([calls_in_turn("late", 2)]).await;
    factory.drain().await;
    assert_eq!(ends(&factory, "late").await, [AttemptEnd::Retry, AttemptEnd::Succeeded]);
    assert_eq!(counts(&model, "late"), [1, 2]);
    let failure = &factory.database.failures("late").await.unwrap()[0];
    assert_eq!(
        (&*failure.kind, &failure.record["stage"]),
        ("deadline", &json!("fault")),
        "{}",
        failure.record
    );
    let trail = failure.record["trail"].as_array().unwrap();
    assert_eq!(trail.last().unwrap()["outcome"], "in_flight", "the last call is listed: {trail:?}");
    assert_eq!(model.server.disconnected(), 1, "the AI server sees that nobody waits");
}

/// A row whose id differs from the id in its document: its site must not be written to the folder
/// of another order.
#[tokio::test(flavor = "multi_thread")]
async fn a4_an_order_with_the_document_of_another_is_refused_before_it_costs() {
    let model = Model::slow(1);
    let factory = Factory::new(Base::Sqlite, &model).await;
    let document = calls_in_turn("other", 1).to_string();
    factory
        .database
        .enqueue(sitewright_jobs::NewOrder::new("mine", "faulty", document))
        .await
        .unwrap();
    factory.drain().await;
    let order = factory.order("mine").await;
    assert_eq!((order.state, order.attempts), (OrderState::Failed, 1));
    let failure = &factory.database.failures("mine").await.unwrap()[0];
    assert_eq!(failure.kind, "invalid_order");
    assert!(failure.message.contains("\"other\""), "{}", failure.message);
    assert!(model.asked().is_empty() && factory.active_release("other").is_none());
}
