//! Orders nobody waits for: their AI calls go through the provider's batches, by whatever happens
//! to the batch or to the worker.

use serde_json::{Value, json};
use sitewright_jobs::{AttemptEnd, BatchItem, BatchItemState, CancelAnswer, NewOrder, OrderState};
use sitewright_tests::batch_server::{BatchServer, Fault, Item, KEY, TOKENS, Wire};
use sitewright_tests::factory::{Base, Factory, Model, calls_in_turn, good, named, until};
use sitewright_tests::{ANY_ANSWER, faulty, order, root, template};

use super::databases::sql;

const WIRES: [Wire; 2] = [Wire::Openai, Wire::Anthropic];

/// Cost of a call without a batch, in billionths of a dollar: 1 and 2 dollars for a million tokens.
const CALL_NANO_USD: i64 = TOKENS.0 as i64 * 1_000 + TOKENS.1 as i64 * 2_000;

/// Workers whose AI calls go to this server.
async fn factory(base: Base, server: &BatchServer, wire: Wire) -> Factory {
    let unused = Model::start(good);
    Factory::new(base, &unused)
        .await
        .with("ai.providers.local.base_url", server.base_url())
        .with("ai.providers.local.kind", wire.as_str())
        .with("ai.providers.local.batch", wire.as_str())
        .with("ai.batch.gather_ms", 150)
        .with("ai.batch.collect_ms", 300)
        .with("ai.batch.poll_ms", 100)
        .with("ai.prices.m.input_per_million", 1.0)
        .with("ai.prices.m.output_per_million", 2.0)
}

/// Adds orders nobody waits for.
async fn enqueue(factory: &Factory, template: &str, documents: impl IntoIterator<Item = Value>) {
    let orders = documents.into_iter().map(|document| {
        let id = &document["order"]["id"];
        let id = id.as_str().map_or_else(|| id.to_string(), str::to_owned);
        NewOrder { batch: true, ..NewOrder::new(id, template, document.to_string()) }
    });
    factory.database.enqueue_all(orders.collect()).await.unwrap();
}

async fn items(factory: &Factory, order: &str) -> Vec<BatchItem> {
    factory.database.batch_items(order).await.unwrap()
}

async fn open(factory: &Factory) -> i64 {
    factory.database.stats().await.unwrap().batch_items
}

/// `many-calls` makes its calls at the same time.
fn calls_at_once(id: &str, count: u32) -> Value {
    named(id, faulty("many-calls", json!({ "n": count })))
}

/// Calls that need each other go through one batch after the other, together with those of other
/// orders; an order that somebody waits for does not wait.
async fn rounds(base: Base, wire: Wire) {
    let server = BatchServer::start(wire, ANY_ANSWER, |_| Item::Good);
    let factory = factory(base, &server, wire).await;
    let factory = factory.with("ai.batch.collect_ms", 60_000).with("ai.batch.max_items", 2);
    server.set_fault(Fault::Held);
    enqueue(&factory, "faulty", [calls_in_turn("a", 2), calls_in_turn("b", 2)]).await;
    factory.enqueue_all([calls_in_turn("now", 2)]).await;
    let worker = factory.worker(&[]);
    until("a batch is made", || async { !server.batches().is_empty() }).await;
    factory.until_state("now", OrderState::Succeeded).await;
    assert_eq!(server.direct().len(), 2);
    assert_eq!(server.batches()[0].len(), 2, "one of each order: {:?}", server.batches());
    for id in ["a", "b"] {
        let order = factory.order(id).await;
        assert_eq!((order.state, order.attempts), (OrderState::Waiting, 0), "{order:?}");
        let reason = order.waiting_reason.unwrap();
        assert!(reason.contains("`local` has to answer 1 AI call (`copywriting`)"), "{reason}");
        assert_eq!(order.next_attempt_at, None, "a batch ends when it ends");
    }
    until("both wait for it", || async { open(&factory).await == 2 }).await;

    server.set_fault(Fault::None);
    for id in ["a", "b"] {
        factory.until_state(id, OrderState::Succeeded).await;
        factory.assert_done_once(id, 2).await;
        let attempts = factory.database.attempts(id).await.unwrap();
        let waited = attempts.iter().filter(|one| one.outcome == Some(AttemptEnd::Snoozed)).count();
        assert_eq!(waited, attempts.len() - 1, "{attempts:?}");
        assert!(factory.database.failures(id).await.unwrap().is_empty(), "to wait is no failure");
        let items = items(&factory, id).await;
        assert!(items.iter().all(|item| item.state == BatchItemState::Used), "{items:?}");
        assert_eq!(items.len(), 2);
        let cost = factory.database.cost(id).await.unwrap();
        assert_eq!((cost.calls, cost.nano_usd), (2, CALL_NANO_USD), "half of two calls");
    }
    let cost = factory.database.cost("now").await.unwrap();
    assert_eq!((cost.calls, cost.nano_usd), (2, 2 * CALL_NANO_USD));
    assert_eq!(server.batches().iter().map(Vec::len).sum::<usize>(), 4, "each call is sent once");
    assert_eq!(open(&factory).await, 0);

    let shown = factory.command(&["--json", "order", "show", "a"]).output().unwrap();
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(shown["order"]["batch"], true);
    assert_eq!(shown["batch_items"][0]["state"], "used", "{shown}");
    drop(worker);
}

/// A reason that is longer than a line.
const LONG_REASON: &str = "no such parameter: this model takes none of those that its predecessor \
                           took, and names none of those that it takes instead of them";

/// Calls that a batch does not answer are made without one, and say why.
async fn unanswered(base: Base, wire: Wire) {
    let server = BatchServer::start(wire, ANY_ANSWER, |body| {
        let text = body["messages"].to_string();
        match text.as_str() {
            text if text.contains("call 1") => Item::Errored(LONG_REASON),
            text if text.contains("call 2") => Item::Expired,
            text if text.contains("call 3") => Item::Missing,
            text if text.contains("call 4") => Item::Reply(" "),
            _ => Item::Good,
        }
    });
    let factory = factory(base, &server, wire).await;
    enqueue(&factory, "faulty", [calls_at_once("a", 5)]).await;
    let log = factory.drain().await;
    factory.assert_done_once("a", 5).await;
    assert_eq!(server.batches().iter().map(Vec::len).collect::<Vec<_>>(), [5], "{log}");
    assert_eq!(server.direct().len(), 4);
    let mut reasons: Vec<String> = Vec::new();
    for item in items(&factory, "a").await {
        match item.state {
            BatchItemState::Direct => reasons.push(item.reason.unwrap()),
            state => assert_eq!((state, item.reason), (BatchItemState::Used, None)),
        }
    }
    for says in [LONG_REASON, "expired", "ended without an answer", "empty"] {
        assert!(reasons.iter().any(|reason| reason.contains(says)), "{says}: {reasons:?}");
    }
    let shown = factory.command(&["order", "show", "a"]).output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains(LONG_REASON), "a pipe gets it whole: {shown}");
    let warning = "a batch has not answered all of its AI calls";
    assert_eq!(log.matches(warning).count(), 1, "one for all of them: {log}");
    assert!(log.contains("answers=2 unanswered=3"), "{log}");
    let cost = factory.database.cost("a").await.unwrap();
    let half = CALL_NANO_USD / 2;
    assert_eq!(cost.nano_usd, 2 * half + 4 * CALL_NANO_USD, "the empty reply is paid for too");
}

/// Whatever happens to a batch as a whole, its order is made, and no call is sent twice that can be
/// found again.
async fn faults(base: Base, wire: Wire) {
    let server = BatchServer::start(wire, ANY_ANSWER, |_| Item::Good);
    let factory = factory(base, &server, wire).await;
    let mut worker = factory.worker(&[]);
    let mut batches = 0;
    for (number, (fault, sent, direct, says)) in [
        (Fault::Refused(400), 0, 2, "no batch now"),
        // Whoever runs the worker mends the key or the account. Directly, the calls would be refused
        // as well, or cost their full price.
        (Fault::Refused(401), 1, 0, "answered with the status 401"),
        (Fault::Refused(402), 1, 0, "answered with the status 402"),
        (Fault::Refused(503), 1, 0, "answered with the status 503"),
        (Fault::LostAnswer, if wire == Wire::Openai { 1 } else { 2 }, 0, "cannot be seen to now"),
        (Fault::Failed, 1, 2, if wire == Wire::Openai { "file is odd" } else { "expired" }),
        (Fault::KeyAsId, 1, 2, "an id that cannot be used"),
        // A batch that a provider has made is paid: it is looked at again.
        (Fault::LookOnce(401), 1, 0, "answered with the status 401"),
        (Fault::LookOnce(403), 1, 0, "answered with the status 403"),
        (Fault::LookOnce(404), 1, 0, "answered with the status 404"),
        (Fault::LookOnce(302), 1, 0, "redirects are not followed"),
        (Fault::LookOnce(200), 1, 0, "not JSON"),
        (Fault::ResultsOnce(404), 1, 0, "answered with the status 404"),
        (Fault::ResultsOnce(200), 1, 0, "not the answers of a batch"),
    ]
    .into_iter()
    .enumerate()
    {
        let (id, before) = (format!("o{number}"), server.direct().len());
        let logged = worker.log().len();
        server.set_fault(fault);
        enqueue(&factory, "faulty", [calls_at_once(&id, 2)]).await;
        if matches!(fault, Fault::Refused(401 | 402 | 503)) {
            worker.until_log_contains_after(logged, says).await;
            until("the order shows what it waits for", || async {
                let items = items(&factory, &id).await;
                items.iter().all(|item| item.reason.as_deref().is_some_and(|it| it.contains(says)))
            })
            .await;
            server.set_fault(Fault::None);
        }
        factory.until_state(&id, OrderState::Succeeded).await;
        factory.assert_done_once(&id, 2).await;
        batches += sent;
        assert_eq!(server.batches().len(), batches, "{fault:?}");
        assert_eq!(server.direct().len() - before, direct, "{fault:?}");
        if direct > 0 {
            let items = items(&factory, &id).await;
            let reason = items[0].reason.clone().unwrap_or_default();
            assert!(reason.contains(says), "{fault:?}: {items:?}");
            assert!(!format!("{items:?}").contains(KEY), "{fault:?}: {items:?}");
        } else {
            worker.until_log_contains_after(logged, says).await;
        }
    }
    assert!(!worker.log().contains(KEY), "{}", worker.log());
}

/// What an order uses of its budget is counted over all rounds and retries.
async fn budget(base: Base, wire: Wire) {
    let server = BatchServer::start(wire, ANY_ANSWER, |_| Item::Good);
    let factory = factory(base, &server, wire).await;
    let factory = factory.with("ai.batch.collect_ms", 50).with("ai.budget.tokens", 3_000);
    enqueue(&factory, "faulty", [calls_in_turn("a", 5)]).await;
    let _worker = factory.worker(&[]);
    let used = 3 * (TOKENS.0 + TOKENS.1);
    for runs in 1.. {
        factory.until_state("a", OrderState::Failed).await;
        let cost = factory.database.cost("a").await.unwrap();
        assert_eq!(cost.calls, 3, "the third exceeds it");
        let shown = factory.command(&["--json", "order", "show", "a"]).output().unwrap();
        let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
        assert_eq!(shown["limits"]["ai_budget_tokens"]["used"], used, "{shown}");
        let id = shown["last_failure"]["id"].as_str().unwrap();
        let record = factory.command(&["--json", "failures", "show", id]).output().unwrap();
        let record = String::from_utf8(record.stdout).unwrap();
        for says in ["3300 are used", "`tokens` in [ai.budget]", "Raise the limit of `[ai.budget]`"]
        {
            assert!(record.contains(says), "{says}: {record}");
        }
        if runs == 2 {
            break;
        }
        let before = factory.order("a").await.runs;
        assert!(factory.command(&["order", "retry", "a"]).output().unwrap().status.success());
        until("it is tried again", || async { factory.order("a").await.runs > before }).await;
    }
    assert_eq!(server.batches().iter().map(Vec::len).sum::<usize>(), 3);
    assert!(server.direct().is_empty());
}

/// A worker that is killed while a batch runs is followed by another one, which reads the answers.
/// An order that is cancelled or erased meanwhile is forgotten.
async fn restarts(base: Base, wire: Wire) {
    let server = BatchServer::start(wire, ANY_ANSWER, |_| Item::Good);
    let factory = factory(base, &server, wire).await;
    let factory = factory.with("ai.batch.collect_ms", 60_000).with("ai.batch.max_items", 6);
    server.set_fault(Fault::Held);
    let orders = ["a", "cancelled", "erased"].map(|id| calls_at_once(id, 2));
    enqueue(&factory, "faulty", orders).await;
    let mut first = factory.worker(&[]);
    until("the batch is known to be sent", || async {
        let items = items(&factory, "a").await;
        items.len() == 2 && items.iter().all(|item| item.batch.is_some())
    })
    .await;
    first.kill();
    let answer = factory.database.cancel("cancelled").await.unwrap();
    assert_eq!(answer, CancelAnswer::Cancelled);
    factory.database.erase("erased").await.unwrap();
    assert!(items(&factory, "erased").await.is_empty());

    if wire == Wire::Openai {
        // One whose configuration has another model does not end what is paid for.
        let file = factory.bench.path().join("sitewright.toml");
        let config = std::fs::read_to_string(file).unwrap();
        let changed = config.replace("model = \"m\"", "model = \"another\"");
        factory.bench.write("sitewright.toml", changed);
        let mut other = factory.worker(&[]);
        other.until_log_contains("a batch is left to other workers").await;
        other.kill();
        factory.bench.write("sitewright.toml", config);
    }
    let _second = factory.worker(&[]);
    server.set_fault(Fault::None);
    factory.until_state("a", OrderState::Succeeded).await;
    factory.assert_done_once("a", 2).await;
    assert_eq!(server.batches().iter().map(Vec::len).sum::<usize>(), 6, "nothing is sent again");
    assert!(server.direct().is_empty());
    assert_eq!(factory.order("cancelled").await.state, OrderState::Cancelled);
    assert_eq!(open(&factory).await, 0);
    assert_eq!(server.cancels(), 0, "one of its orders waited");
    // Its calls were answered too: they are paid for, and nobody reads them.
    until_charged(&factory, "cancelled").await;
    let cost = factory.database.cost("cancelled").await.unwrap();
    assert_eq!((cost.calls, cost.nano_usd), (2, CALL_NANO_USD), "half of two calls");
}

/// Waits until a worker has charged all answers to an order that has ended.
async fn until_charged(factory: &Factory, id: &str) {
    until("what is answered is charged", || async { items(factory, id).await.is_empty() }).await;
}

/// A batch whose orders have all ended is cancelled, once; what is answered by then is charged.
async fn unwanted(base: Base, wire: Wire) {
    let server = BatchServer::start(wire, ANY_ANSWER, |_| Item::Good);
    let factory = factory(base, &server, wire).await;
    let factory = factory.with("ai.batch.collect_ms", 60_000).with("ai.batch.max_items", 6);
    server.set_fault(Fault::HeldAndKept(503));
    let orders = ["a", "b", "erased"].map(|id| calls_at_once(id, 2));
    enqueue(&factory, "faulty", orders).await;
    let mut worker = factory.worker(&[]);
    until("the batch is known to be sent", || async {
        let items = items(&factory, "b").await;
        items.len() == 2 && items.iter().all(|item| item.batch.is_some())
    })
    .await;
    assert_eq!(factory.database.cancel("a").await.unwrap(), CancelAnswer::Cancelled);
    factory.database.erase("erased").await.unwrap();
    let looks = worker.log().len();
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert_eq!(server.cancels(), 0, "one order still waits: {}", &worker.log()[looks..]);

    // The provider refuses it once, and is asked again.
    assert_eq!(factory.database.cancel("b").await.unwrap(), CancelAnswer::Cancelled);
    worker.until_log_contains("answered with the status 503").await;
    worker.until_log_contains("a batch of AI calls was cancelled at its provider").await;
    for id in ["a", "b"] {
        until_charged(&factory, id).await;
    }
    worker.until_log_contains("a batch of AI calls has ended").await;
    assert_eq!(server.cancels(), 2, "{}", worker.log());
    assert_eq!(open(&factory).await, 0);
    let mut costs = Vec::new();
    for id in ["a", "b"] {
        let cost = factory.database.cost(id).await.unwrap();
        costs.push((cost.calls, cost.nano_usd));
        let calls = factory.database.ai_calls(id).await.unwrap();
        assert!(calls.iter().all(|call| !call.current && call.attempt.is_none()), "{calls:?}");
    }
    // All calls but one were answered before that. An erased order leaves nothing.
    let (calls, nanos) = (costs.iter().map(|(calls, _)| calls), costs.iter().map(|(_, it)| it));
    let (calls, nanos) = (calls.sum::<i64>(), nanos.sum::<i64>());
    assert!((3..=4).contains(&calls), "{costs:?}");
    assert_eq!(nanos, calls * CALL_NANO_USD / 2, "{costs:?}");
    assert!(server.direct().is_empty());
    assert!(!worker.log().contains("are made without one"), "{}", worker.log());

    // An order that is made again asks again.
    server.set_fault(Fault::None);
    worker.kill();
    assert!(factory.command(&["order", "retry", "b"]).output().unwrap().status.success());
    let factory = factory.with("ai.batch.max_items", 2);
    let _second = factory.worker(&[]);
    factory.until_state("b", OrderState::Succeeded).await;
    assert!(server.direct().is_empty());
}

/// An order that is queued again while its batch is cancelled pays half a price for all calls.
async fn queued_again(base: Base, wire: Wire) {
    let server = BatchServer::start(wire, ANY_ANSWER, |_| Item::Good);
    // There is a second between the cancellation and its end.
    let factory = factory(base, &server, wire).await.with("ai.batch.poll_ms", 500);
    server.set_fault(Fault::Held);
    enqueue(&factory, "faulty", [calls_at_once("a", 2)]).await;
    let mut worker = factory.worker(&[]);
    until("the batch is known to be sent", || async {
        let items = items(&factory, "a").await;
        items.len() == 2 && items.iter().all(|item| item.batch.is_some())
    })
    .await;
    assert_eq!(factory.database.cancel("a").await.unwrap(), CancelAnswer::Cancelled);
    worker.until_log_contains("a batch of AI calls was cancelled at its provider").await;
    server.set_fault(Fault::None);
    factory.database.reopen("a", None).await.unwrap();
    factory.until_state("a", OrderState::Succeeded).await;
    // The first batch has answered one of them.
    assert_eq!(server.batches().iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
    assert!(server.direct().is_empty());
    factory.assert_done_once("a", 2).await;
    let cost = factory.database.cost("a").await.unwrap();
    assert_eq!((cost.calls, cost.nano_usd), (2, CALL_NANO_USD), "half of two calls");
}

/// A database that refuses to charge what no order reads holds up no order that waits.
async fn uncharged(base: Base) {
    let server = BatchServer::start(Wire::Openai, ANY_ANSWER, |_| Item::Good);
    let factory = factory(base, &server, Wire::Openai).await;
    let factory = factory.with("ai.batch.collect_ms", 60_000).with("ai.batch.max_items", 4);
    server.set_fault(Fault::Held);
    let orders = ["cancelled", "waits"].map(|id| calls_at_once(id, 2));
    enqueue(&factory, "faulty", orders).await;
    let mut worker = factory.worker(&[]);
    until("the batch is known to be sent", || async {
        let items = items(&factory, "waits").await;
        items.len() == 2 && items.iter().all(|item| item.batch.is_some())
    })
    .await;
    let answer = factory.database.cancel("cancelled").await.unwrap();
    assert_eq!(answer, CancelAnswer::Cancelled);
    let (refuse, accept) = match factory.url.starts_with("sqlite:") {
        true => (
            "CREATE TRIGGER refuse BEFORE DELETE ON sitewright_batch_items
                WHEN OLD.state = 'answered' BEGIN SELECT RAISE(ABORT, 'refused'); END",
            "DROP TRIGGER refuse",
        ),
        false => (
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql
                AS $$ BEGIN RAISE EXCEPTION 'refused'; END $$;
             CREATE TRIGGER refuse BEFORE DELETE ON sitewright_batch_items FOR EACH ROW
                WHEN (OLD.state = 'answered') EXECUTE FUNCTION refuse()",
            "DROP TRIGGER refuse ON sitewright_batch_items",
        ),
    };
    sql(&factory.url, refuse).await;

    server.set_fault(Fault::None);
    factory.until_state("waits", OrderState::Succeeded).await;
    worker.until_log_contains("batches of AI calls are not seen to").await;
    assert_eq!(items(&factory, "cancelled").await.len(), 2);
    sql(&factory.url, accept).await;
    until_charged(&factory, "cancelled").await;
    let cost = factory.database.cost("cancelled").await.unwrap();
    assert_eq!((cost.calls, cost.nano_usd), (2, CALL_NANO_USD), "half of two calls");
}

/// A call that a batch has is waited for, also if the budget is used up meanwhile.
async fn on_its_way(base: Base, wire: Wire) {
    let server = BatchServer::start(wire, ANY_ANSWER, |_| Item::Good);
    let factory = factory(base, &server, wire).await.with("ai.batch.max_items", 1);
    let config = factory.bench.path().join("sitewright.toml");
    let config = std::fs::read_to_string(config).unwrap();
    // Both calls fit, as far as is known before; one answer has more tokens than the budget.
    let config = config.replace("model = \"m\"", "model = \"m\", max_output_tokens = 200");
    factory.bench.write("sitewright.toml", config);
    // Both calls of an attempt begin within `gather_ms`, on a slow machine too: one that had made
    // only the first would wait for its answer alone, and then find the budget used up.
    let factory = factory.with("ai.budget.tokens", 1_000).with("ai.batch.gather_ms", 600);
    server.set_fault(Fault::HeldAfter(1));
    enqueue(&factory, "faulty", [calls_at_once("a", 2)]).await;
    let _worker = factory.worker(&[]);
    let states = || async {
        let mut states: Vec<_> = items(&factory, "a").await.iter().map(|one| one.state).collect();
        states.sort_by_key(ToString::to_string);
        states
    };
    until("one of two batches is answered", || async {
        states().await == [BatchItemState::Answered, BatchItemState::Sent]
    })
    .await;

    // The order is tried again before the other one is: its document is another one, with the
    // same calls.
    let mut document = calls_at_once("a", 2);
    document["onboarding"]["then_fail"] = json!(false);
    factory.database.revise("a", &document.to_string(), None, None).await.unwrap();
    until("the answer is read", || async {
        states().await == [BatchItemState::Sent, BatchItemState::Used]
    })
    .await;
    factory.until_state("a", OrderState::Waiting).await;
    let order = factory.order("a").await;
    assert!(order.waiting_reason.unwrap().contains("has to answer 1 AI call"), "it waits");

    server.set_fault(Fault::None);
    factory.until_state("a", OrderState::Succeeded).await;
    factory.assert_done_once("a", 2).await;
    assert!(server.direct().is_empty() && factory.database.failures("a").await.unwrap().is_empty());
}

/// Providers that say nothing about their batches hold up no batch of another provider.
async fn silence(base: Base, wire: Wire) {
    let servers = [(); 2].map(|()| BatchServer::start(wire, ANY_ANSWER, |_| Item::Good));
    let [silent, server] = &servers;
    silent.set_fault(Fault::Silent);
    let factory = factory(base, server, wire).await.with("ai.batch.max_items", 1);
    let config = factory.bench.path().join("sitewright.toml");
    let config = std::fs::read_to_string(config).unwrap();
    let (kind, address) = (wire.as_str(), silent.base_url());
    factory.bench.write(
        "sitewright.toml",
        format!(
            "{config}\n[ai.routes.strategy]\ntry = [{{ provider = \"silent\", model = \"m\" \
             }}]\n[ai.providers.silent]\nkind = \"{kind}\"\nbatch = \"{kind}\"\nbase_url = \
             \"{address}\"\nbreaker = {{ failures = 0 }}\n"
        ),
    );
    let silent_orders = ["s1", "s2", "s3"].map(|id| {
        let params = json!({ "prompt": format!("[[{id}]] "), "purpose": "strategy" });
        named(id, faulty("ai-echo", params))
    });
    enqueue(&factory, "faulty", silent_orders).await;
    let _worker = factory.worker(&[]);
    until("batches are sent to it", || async { silent.batches().len() >= 2 }).await;

    enqueue(&factory, "faulty", ["a", "b"].map(|id| calls_in_turn(id, 2))).await;
    for id in ["a", "b"] {
        factory.until_state(id, OrderState::Succeeded).await;
    }
    assert_eq!(open(&factory).await, 3, "the provider still says nothing");

    silent.set_fault(Fault::None);
    for id in ["s1", "s2", "s3"] {
        factory.until_state(id, OrderState::Succeeded).await;
    }
    assert!(silent.direct().is_empty() && server.direct().is_empty());
}

macro_rules! on_both {
    ($($name:ident, $sqlite:ident, $postgres:ident;)*) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $sqlite() {
                for wire in WIRES {
                    $name(Base::Sqlite, wire).await;
                }
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn $postgres() {
                for wire in WIRES {
                    let Some(base) = Base::postgres("batches on PostgreSQL") else { return };
                    $name(base, wire).await;
                }
            }
        )*
    };
}

on_both! {
    rounds, calls_go_through_one_batch_after_the_other_on_sqlite,
        calls_go_through_one_batch_after_the_other_on_postgres;
    unanswered, unanswered_calls_are_made_without_a_batch_on_sqlite,
        unanswered_calls_are_made_without_a_batch_on_postgres;
    faults, a_batch_that_fails_fails_no_order_on_sqlite,
        a_batch_that_fails_fails_no_order_on_postgres;
    budget, a_budget_counts_all_rounds_and_retries_on_sqlite,
        a_budget_counts_all_rounds_and_retries_on_postgres;
    silence, a_silent_provider_holds_up_no_other_on_sqlite,
        a_silent_provider_holds_up_no_other_on_postgres;
    restarts, a_killed_worker_loses_no_batch_on_sqlite,
        a_killed_worker_loses_no_batch_on_postgres;
    unwanted, a_batch_that_no_order_waits_for_is_cancelled_on_sqlite,
        a_batch_that_no_order_waits_for_is_cancelled_on_postgres;
    queued_again, an_order_that_is_queued_again_waits_for_batches_on_sqlite,
        an_order_that_is_queued_again_waits_for_batches_on_postgres;
    on_its_way, a_used_up_budget_waits_for_what_is_sent_on_sqlite,
        a_used_up_budget_waits_for_what_is_sent_on_postgres;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_charged_holds_up_no_order_on_sqlite() {
    uncharged(Base::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_charged_holds_up_no_order_on_postgres() {
    let Some(base) = Base::postgres("batches on PostgreSQL") else { return };
    uncharged(base).await;
}

/// The demo order with a real template: its texts need the strategy, so there are two rounds.
#[tokio::test(flavor = "multi_thread")]
async fn a_real_template_makes_its_site_by_batches() {
    let rules =
        std::fs::read_to_string(root().join("plugins/local-business/demo/ai.toml")).unwrap();
    for wire in WIRES {
        let server = BatchServer::start(wire, &rules, |_| Item::Good);
        let factory = factory(Base::Sqlite, &server, wire).await;
        let more = if wire == Wire::Anthropic { "structured_output = \"prompt\"" } else { "" };
        let route = |purpose: &str| {
            let entry = format!("{{ provider = \"local\", model = \"{purpose}\" }}");
            format!("[ai.routes.{purpose}]\ntry = [{entry}]\n")
        };
        let config = factory.bench.path().join("sitewright.toml");
        let config = std::fs::read_to_string(config).unwrap();
        let (config, _) = config.split_once("[ai.providers.local]").unwrap();
        factory.bench.write(
            "sitewright.toml",
            format!(
                "default_locale = \"pt-BR\"\n{config}[ai.providers.local]\n{more}\n{}{}",
                route("strategy"),
                route("copywriting")
            ),
        );
        let file = factory.bench.path().join("templates/local-business.wasm");
        std::fs::copy(template("local-business"), file).unwrap();
        enqueue(&factory, "local-business", [order("01-restaurant-ptbr-full")]).await;
        let log = factory.drain().await;
        let order = factory.order("101").await;
        assert_eq!((order.state, order.attempts), (OrderState::Succeeded, 1), "{log}");
        assert_eq!(factory.active_release("101"), order.current_release);
        assert!(server.direct().is_empty(), "{log}");
        let batches = server.batches();
        let models: Vec<&str> =
            batches.iter().map(|batch| batch[0]["model"].as_str().unwrap()).collect();
        assert_eq!(models, ["strategy", "copywriting"], "{log}");
        assert!(batches[1].len() > 2, "the pages are written at the same time");
    }
}

/// A provider without a batch API is asked at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_provider_without_batches_is_asked_at_once() {
    let server = BatchServer::start(Wire::Openai, ANY_ANSWER, |_| Item::Good);
    for batch in ["auto", "none"] {
        let factory = factory(Base::Sqlite, &server, Wire::Openai).await;
        let factory = factory.with("ai.providers.local.batch", batch);
        enqueue(&factory, "faulty", [calls_in_turn("a", 1)]).await;
        let log = factory.drain().await;
        factory.assert_done_once("a", 1).await;
        assert_eq!(factory.order("a").await.runs, 1);
        assert!(log.contains("has no batch API"), "{log}");
    }
    assert_eq!((server.batches().len(), server.direct().len()), (0, 2));
}

/// The budget of a day holds no answer that is there already.
#[tokio::test(flavor = "multi_thread")]
async fn a_budget_of_a_day_holds_no_answer_that_is_there() {
    let server = BatchServer::start(Wire::Openai, ANY_ANSWER, |_| Item::Good);
    let factory = factory(Base::Sqlite, &server, Wire::Openai).await;
    // The first answer uses it up.
    let factory = factory.with("ai.budget.day_tokens", 1_000);
    enqueue(&factory, "faulty", [calls_at_once("a", 3)]).await;
    let log = factory.drain().await;
    factory.assert_done_once("a", 3).await;
    assert_eq!(server.batches().iter().map(Vec::len).collect::<Vec<_>>(), [3], "{log}");
    assert!(server.direct().is_empty(), "{log}");
}
