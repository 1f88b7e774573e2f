//! Faults of the world through real workers: orders wait for them, use no attempt and are done when
//! the fault is gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use sitewright_jobs::{NewOrder, OrderState};
use sitewright_tests::chat_server::{Answer, ChatServer};
use sitewright_tests::factory::{
    Base, Factory, Model, RecordedCall, calls_in_turn, good, named, until,
};
use sitewright_tests::{ANY_ANSWER, Done, faulty, guest};

/// Defines a test on both databases.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {$(
        mod $name {
            use super::Base;

            #[tokio::test(flavor = "multi_thread")]
            async fn sqlite() {
                super::cases::$name(Base::Sqlite).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn postgres() {
                if let Some(base) = Base::postgres(stringify!($name)) {
                    super::cases::$name(base).await;
                }
            }
        }
    )*};
}

on_both! {
    d1a_a_worker_without_templates_does_not_start_and_nothing_fails,
    d1b_orders_go_to_the_worker_that_has_their_template,
    d1c_a_template_that_is_away_for_a_moment_costs_no_order,
    d1c_a_template_that_nobody_has_fails_its_orders_after_the_grace_time,
    d1d_one_refused_key_costs_no_order,
    d1d_a_key_that_is_refused_at_the_start_is_on_record,
    d1d_an_account_without_credit_holds_its_orders_until_there_is_some,
    d1d_a_provider_that_nobody_can_reach_is_waited_for,
    d1d_one_order_that_is_refused_holds_no_route_again,
    d1d_an_operator_holds_and_releases_a_route,
    d1d_a_release_asks_a_provider_whose_breaker_is_open,
    a_circuit_pauses_a_template_whose_orders_all_fail_alike,
    a_circuit_of_one_tenant_pauses_its_own_orders_only,
}

fn http(status: u16, message: &str) -> Answer {
    Answer::Http {
        status,
        headers: &[],
        body: json!({ "error": { "message": message } }).to_string(),
    }
}

async fn factory(base: Base, model: &Model) -> Factory {
    Factory::new(base, model)
        .await
        .with("worker.reload_ms", 200)
        .with("worker.retry_base_ms", 200)
        .with("worker.retry_max_ms", 2_000)
        .with("worker.template_grace_ms", 600_000)
}

fn orders(count: usize) -> Vec<Value> {
    (0..count).map(|number| calls_in_turn(&format!("o{number}"), 1)).collect()
}

fn sitewright(factory: &Factory, arguments: &[&str]) -> Done {
    factory.command(arguments).output().unwrap().into()
}

fn stats(factory: &Factory) -> Value {
    sitewright(factory, &["--json", "queue", "stats"]).json()
}

/// [`until`] for what the command says. It is asked four times a second: starting it takes more of
/// the processor than what is waited for.
async fn until_stats(factory: &Factory, what: &str, is: impl Fn(&Value) -> bool) {
    until(what, || async {
        let has_come = is(&stats(factory));
        if !has_come {
            tokio::time::sleep(Duration::from_millis(230)).await;
        }
        has_come
    })
    .await;
}

/// Every order has succeeded with its first counted attempt.
async fn assert_all_done(factory: &Factory, count: usize) {
    factory.until_count(OrderState::Succeeded, count).await;
    for number in 0..count {
        let order = factory.order(&format!("o{number}")).await;
        assert_eq!(
            (order.state, order.attempts, order.crashes),
            (OrderState::Succeeded, 1, 0),
            "{order:?}"
        );
    }
}

mod cases {
    use super::*;

    pub(super) async fn d1a_a_worker_without_templates_does_not_start_and_nothing_fails(
        base: Base,
    ) {
        const ORDERS: usize = 400;
        let model = Model::start(good);
        let factory = factory(base, &model).await;
        factory.enqueue_all(orders(ORDERS)).await;
        let templates = factory.bench.path().join("templates");
        let away = factory.bench.path().join("away");
        std::fs::rename(&templates, &away).unwrap();
        for mount in ["missing", "empty"] {
            if mount == "empty" {
                std::fs::create_dir(&templates).unwrap();
            }
            let mut worker = factory.worker(&[]);
            assert_eq!(worker.exit().await, 1, "it may pass: {mount}: {}", worker.log());
        }
        let done: Done = factory.worker_command(&[]).output().unwrap().into();
        assert!(done.stderr.contains("mounted") && done.stderr.contains("templates"), "{done:?}");
        std::fs::remove_dir(&templates).unwrap();
        std::fs::rename(&away, &templates).unwrap();
        factory.drain().await;
        assert_all_done(&factory, ORDERS).await;
    }

    pub(super) async fn d1b_orders_go_to_the_worker_that_has_their_template(base: Base) {
        const ORDERS: usize = 40;
        let model = Model::slow(50);
        let factory = factory(base, &model).await;
        let elsewhere = factory.bench.path().join("elsewhere");
        std::fs::create_dir(&elsewhere).unwrap();
        std::fs::copy(guest("guest-faulty"), elsewhere.join("another.wasm")).unwrap();
        let without = ["--templates", elsewhere.to_str().unwrap()];
        let mut command = factory.command(&without);
        let mut first = command.arg("worker").spawn().unwrap();
        until_stats(&factory, "the worker without the template runs", |stated| {
            stated["workers"].as_array().is_some_and(|workers| workers.len() == 1)
        })
        .await;
        factory.enqueue_all(orders(ORDERS)).await;
        // The faulty worker is the fastest: alone, it has seen all of them.
        until_stats(&factory, "all orders wait for their template", |stated| {
            stated["holds"][0]["orders"] == json!(ORDERS)
        })
        .await;
        let stated = stats(&factory);
        assert_eq!(stated["holds"][0]["id"], "missing:faulty", "{stated:#}");
        let mut second = factory.worker(&[]);
        factory.until_count(OrderState::Succeeded, ORDERS).await;
        assert_all_done(&factory, ORDERS).await;
        // New orders reach the right worker, whoever claims them first.
        let more = (0..ORDERS).map(|number| calls_in_turn(&format!("more-{number}"), 1));
        factory.enqueue_all(more).await;
        factory.until_count(OrderState::Succeeded, 2 * ORDERS).await;
        for number in 0..ORDERS {
            let order = factory.order(&format!("more-{number}")).await;
            assert_eq!((order.attempts, order.runs), (1, 1), "{order:?}");
        }
        second.kill();
        first.kill().unwrap();
        first.wait().unwrap();
    }

    pub(super) async fn d1c_a_template_that_is_away_for_a_moment_costs_no_order(base: Base) {
        const ORDERS: usize = 100;
        let model = Model::slow(20);
        let factory = factory(base, &model).await;
        let template = factory.bench.path().join("templates/faulty.wasm");
        // The worker has another one, or it would keep what it has.
        let beside = factory.bench.path().join("templates/another.wasm");
        std::fs::copy(&template, &beside).unwrap();
        let mut worker = factory.worker(&[]);
        worker.until_log_contains("ready").await;
        let away = factory.bench.path().join("away.wasm");
        std::fs::rename(&template, &away).unwrap();
        worker.until_log_contains("file is gone").await;
        factory.enqueue_all(orders(ORDERS)).await;
        until_stats(&factory, "all orders wait for their template", |stated| {
            stated["holds"][0]["orders"] == json!(ORDERS)
        })
        .await;
        let shown = sitewright(&factory, &["order", "show", "o0"]);
        assert!(shown.stdout.contains("template `faulty`"), "{shown:?}");
        std::fs::rename(&away, &template).unwrap();
        assert_all_done(&factory, ORDERS).await;
        until_stats(&factory, "nothing is held", |stated| {
            stated["holds"].as_array().is_some_and(Vec::is_empty)
        })
        .await;
    }

    pub(super) async fn d1c_a_template_that_nobody_has_fails_its_orders_after_the_grace_time(
        base: Base,
    ) {
        let model = Model::start(good);
        let factory = factory(base, &model).await.with("worker.template_grace_ms", 1_500);
        let beside = factory.bench.path().join("templates/another.wasm");
        std::fs::rename(factory.bench.path().join("templates/faulty.wasm"), beside).unwrap();
        factory.enqueue_all(orders(3)).await;
        let begin = std::time::Instant::now();
        let log = factory.drain().await;
        assert!(begin.elapsed() > Duration::from_millis(1_500), "it waited");
        assert!(log.contains("template_grace_ms"), "{log}");
        for number in 0..3 {
            let id = format!("o{number}");
            assert_eq!(factory.order(&id).await.state, OrderState::Failed);
            let failures = factory.database.failures(&id).await.unwrap();
            assert_eq!(failures.len(), 1);
            assert_eq!(failures[0].kind, "template_load");
            assert!(failures[0].message.contains("another"), "{}", failures[0].message);
        }
    }

    pub(super) async fn d1d_one_refused_key_costs_no_order(base: Base) {
        const ORDERS: usize = 100;
        let calls = AtomicUsize::new(0);
        let model =
            Model::start(move |asked: &RecordedCall| match calls.fetch_add(1, Ordering::SeqCst) {
                0 => http(401, "the key is not known"),
                _ => good(asked),
            });
        let factory = factory(base, &model)
            .await
            .with("ai.providers.local.breaker.failures", 3)
            .with("ai.providers.local.breaker.cool_down_ms", 700);
        factory.enqueue_all(orders(ORDERS)).await;
        let log = factory.drain().await;
        assert_all_done(&factory, ORDERS).await;
        let alarms = log.lines().filter(|line| line.contains("orders wait and use no attempt"));
        assert!(alarms.count() >= 1, "{log}");
        assert!(log.contains("a hold is released"), "{log}");
    }

    /// Its breaker is open before the first order, so no order is refused by the provider itself.
    pub(super) async fn d1d_a_key_that_is_refused_at_the_start_is_on_record(base: Base) {
        let unused = Model::start(good);
        let server = ChatServer::start(ANY_ANSWER, |_| http(401, "the key is not known"));
        let factory = factory(base, &unused)
            .await
            .with("worker.retry_base_ms", 600_000)
            .with("worker.retry_max_ms", 600_000)
            .with("ai.providers.local.base_url", server.base_url())
            .with("ai.providers.local.breaker.failures", 3)
            .with("ai.providers.local.breaker.cool_down_ms", 600_000);
        let mut worker = factory.worker(&[]);
        worker.until_log_contains("the route does not answer").await;
        factory.enqueue_all(orders(1)).await;
        until_stats(&factory, "the order waits", |stated| stated["holds"][0]["orders"] == 1).await;
        let failures = factory.database.failures("o0").await.unwrap();
        assert_eq!(failures.len(), 1, "{}", worker.log());
        let attempt = &failures[0].record["ai"]["attempts"][0];
        assert_eq!(attempt["opened_by"]["status"], 401, "{attempt}");
        let order = factory.order("o0").await;
        assert_eq!((order.attempts, order.last_failure.is_some()), (0, true), "{order:?}");
    }

    pub(super) async fn d1d_an_account_without_credit_holds_its_orders_until_there_is_some(
        base: Base,
    ) {
        const ORDERS: usize = 60;
        let credit = Arc::new(AtomicBool::new(false));
        let (paid, asked) = (credit.clone(), Arc::new(AtomicUsize::new(0)));
        let refused = asked.clone();
        let model = Model::start(move |call: &RecordedCall| {
            if paid.load(Ordering::SeqCst) {
                return good(call);
            }
            refused.fetch_add(1, Ordering::SeqCst);
            http(402, "no credit left")
        });
        let factory = factory(base, &model).await;
        let worker = factory.worker(&["--max-orders", "10"]);
        factory.enqueue_all(orders(ORDERS)).await;
        until_stats(&factory, "all orders wait", |stated| {
            stated["holds"][0]["orders"] == json!(ORDERS)
        })
        .await;
        let before = asked.load(Ordering::SeqCst);
        assert!(before < ORDERS, "most orders were parked without a request: {before}");
        until("a probe is refused", || async { asked.load(Ordering::SeqCst) > before }).await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        let probes = asked.load(Ordering::SeqCst) - before;
        assert!((1..=8).contains(&probes), "probes come one at a time, more seldom: {probes}");
        let stated = stats(&factory);
        assert_eq!(stated["holds"][0]["id"], "route:default", "{stated:#}");
        assert_eq!(stated["holds"][0]["cause"], "quota", "{stated:#}");
        let text = sitewright(&factory, &["queue", "stats"]).stdout;
        assert!(text.contains("route:default") && text.contains("add credit"), "{text}");
        let order = factory.order("o59").await;
        assert_eq!((order.state, order.attempts), (OrderState::Waiting, 0));
        let shown = order.waiting_reason.unwrap();
        assert!(shown.contains("`route:default` (quota)"), "{shown}");
        assert!(!shown.contains("no credit left for this key"), "the provider's words: {shown}");
        credit.store(true, Ordering::SeqCst);
        assert_all_done(&factory, ORDERS).await;
        drop(worker);
    }

    pub(super) async fn d1d_one_order_that_is_refused_holds_no_route_again(base: Base) {
        const OTHERS: usize = 3;
        let model = Model::start(|call: &RecordedCall| match call.order.as_str() {
            "refused" => http(403, "Your request was blocked"),
            _ => good(call),
        });
        let factory = factory(base, &model).await;
        let worker = factory.worker(&[]);
        factory.enqueue_all(vec![calls_in_turn("refused", 1)]).await;
        factory.until_state("refused", OrderState::Waiting).await;
        factory.enqueue_all(orders(OTHERS)).await;
        assert_all_done(&factory, OTHERS).await;
        // The route answers others, so its attempts are its own.
        until("the refused order has used its attempts", || async {
            let order = factory.order("refused").await;
            matches!(order.state, OrderState::Failed | OrderState::Dead) && order.attempts > 1
        })
        .await;
        assert_eq!(stats(&factory)["holds"], json!([]));
        drop(worker);
    }

    pub(super) async fn d1d_a_provider_that_nobody_can_reach_is_waited_for(base: Base) {
        let model = Model::start(good);
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = nobody.local_addr().unwrap().port();
        drop(nobody);
        let factory = factory(base, &model)
            .await
            .with("worker.attempts", 2)
            .with("ai.providers.local.base_url", format!("http://127.0.0.1:{port}/v1"));
        factory.enqueue_all(orders(5)).await;
        let mut worker = factory.worker(&[]);
        until_stats(&factory, "all orders wait", |stated| {
            stated["holds"][0]["cause"] == "unreachable" && stated["holds"][0]["orders"] == 5
        })
        .await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        for number in 0..5 {
            assert_eq!(factory.order(&format!("o{number}")).await.attempts, 0);
        }
        worker.signal(Signal::TERM);
        assert_eq!(worker.exit().await, 0, "{}", worker.log());
        // The address is corrected in the configuration of the next worker.
        let mut factory = factory;
        factory.set("ai.providers.local.base_url", model.server.base_url());
        factory.drain().await;
        assert_all_done(&factory, 5).await;
    }

    pub(super) async fn d1d_an_operator_holds_and_releases_a_route(base: Base) {
        let model = Model::start(good);
        let factory = factory(base, &model).await;
        let held = sitewright(&factory, &["route", "hold", "default", "--reason", "a new key"]);
        assert_eq!(held.code, 0, "{held:?}");
        factory.enqueue_all(orders(20)).await;
        let worker = factory.worker(&[]);
        until_stats(&factory, "all orders wait", |stated| stated["holds"][0]["orders"] == 20).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(model.asked().is_empty(), "nobody is let through");
        let listed = sitewright(&factory, &["--json", "route", "list"]).json();
        assert_eq!(listed["routes"][0]["held"], true, "{listed:#}");
        assert_eq!(listed["holds"][0]["cause"], "operator", "{listed:#}");
        assert!(sitewright(&factory, &["route", "list"]).stdout.contains("a new key"));
        let wrong = sitewright(&factory, &["route", "hold", "nonsense"]);
        assert_eq!(wrong.code, 2, "{wrong:?}");
        assert!(wrong.stderr.contains("default"), "it names the routes: {wrong:?}");
        let released = sitewright(&factory, &["--json", "route", "release", "default"]).json();
        assert_eq!(released["outcome"], "released", "{released:#}");
        assert_all_done(&factory, 20).await;
        let again = sitewright(&factory, &["--json", "route", "release", "default"]).json();
        assert_eq!(again["outcome"], "not_held", "{again:#}");
        drop(worker);
    }

    pub(super) async fn d1d_a_release_asks_a_provider_whose_breaker_is_open(base: Base) {
        const ORDERS: usize = 4;
        let is_valid = Arc::new(AtomicBool::new(false));
        let refused = Arc::new(AtomicUsize::new(0));
        let (valid, counted) = (is_valid.clone(), refused.clone());
        let model = Model::start(move |call: &RecordedCall| {
            if valid.load(Ordering::SeqCst) {
                return good(call);
            }
            counted.fetch_add(1, Ordering::SeqCst);
            http(401, "the key is not known")
        });
        // Nothing but a release lets an order through in time.
        let factory = factory(base, &model)
            .await
            .with("worker.retry_base_ms", 600_000)
            .with("worker.retry_max_ms", 600_000)
            .with("ai.providers.local.breaker.failures", 5)
            .with("ai.providers.local.breaker.cool_down_ms", 600_000);
        factory.enqueue_all(orders(ORDERS)).await;
        let mut worker = factory.worker(&[]);
        for is_mended in [false, true] {
            until_stats(&factory, "all orders wait", |stated| {
                stated["holds"][0]["orders"] == ORDERS
            })
            .await;
            let stated = stats(&factory);
            let reason = stated["holds"][0]["reason"].as_str().unwrap();
            assert!(reason.contains("(401)"), "what the provider said: {reason}");
            if !is_mended {
                until("its open breaker is seen", || async {
                    stats(&factory)["breakers"][0]["kind"] == "auth"
                })
                .await;
                let breaker = stats(&factory)["breakers"][0].clone();
                assert_eq!(
                    (&breaker["provider"], &breaker["status"]),
                    (&json!("local"), &json!(401))
                );
                let shown = sitewright(&factory, &["queue", "stats"]).stdout;
                assert!(shown.contains("the last with auth (HTTP 401)"), "{shown}");
                // It is released from elsewhere, which lets one order through. It is refused, and
                // the breaker may be open again before anybody has seen it closed.
                let before = refused.load(Ordering::SeqCst);
                assert_eq!(factory.database.release_breakers("local").await.unwrap(), 1);
                worker.until_log_contains("its circuit breakers are released").await;
                until_stats(&factory, "the order that was let through waits again", |stated| {
                    let hold = &stated["holds"][0];
                    hold["probes"].as_u64() >= Some(1) && hold["orders"] == ORDERS
                })
                .await;
                assert!(refused.load(Ordering::SeqCst) > before, "it has asked the provider");
            }
            let before = refused.load(Ordering::SeqCst);
            is_valid.store(is_mended, Ordering::SeqCst);
            let released = sitewright(&factory, &["route", "release", "default"]);
            assert_eq!(released.code, 0, "{released:?}");
            if !is_mended {
                until("the provider is asked again", || async {
                    refused.load(Ordering::SeqCst) > before
                })
                .await;
            }
        }
        assert_all_done(&factory, ORDERS).await;
        until("its breaker is closed", || async { stats(&factory)["breakers"] == json!([]) }).await;
        // What was not sent has no record of its own, unless the worker itself was refused when it
        // began: then no order has one of what opened the breaker.
        let mut records = 0;
        for number in 0..ORDERS {
            for failure in factory.database.failures(&format!("o{number}")).await.unwrap() {
                let attempt = &failure.record["ai"]["attempts"][0];
                let sent = attempt.get("status");
                let status = sent.unwrap_or(&attempt["opened_by"]["status"]);
                assert_eq!(*status, 401, "{}", failure.record);
                records += 1;
            }
        }
        assert!(records > 0, "the cause is on record");
        drop(worker);
    }

    pub(super) async fn a_circuit_pauses_a_template_whose_orders_all_fail_alike(base: Base) {
        const ORDERS: usize = 60;
        let model = Model::start(good);
        let mut factory = factory(base, &model).await;
        factory.set("worker.retry_base_ms", 300);
        factory.set("worker.retry_max_ms", 300);
        let broken = (0..ORDERS)
            .map(|number| named(&format!("broken-{number}"), faulty("panic-str", json!({}))));
        factory.enqueue_all(broken).await;
        let worker = factory.worker(&["--max-orders", "2"]);
        until_stats(&factory, "the template is held", |stated| {
            stated["holds"][0]["id"] == "template:faulty"
        })
        .await;
        until_stats(&factory, "nothing is queued", |stated| stated["orders"]["queued"] == 0).await;
        until_stats(&factory, "a probe has failed", |stated| {
            stated["holds"][0]["probes"].as_i64() >= Some(1)
        })
        .await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let stated = stats(&factory);
        let failed = stated["orders"]["failed"].as_i64().unwrap();
        assert!((9..=12).contains(&failed), "the others are not burnt: {stated:#}");
        let reason = stated["holds"][0]["reason"].as_str().unwrap();
        for part in ["10 of its last 10", "route release template:faulty", "panicked"] {
            assert!(reason.contains(part), "{reason}");
        }
        let mut waiting = 0;
        for number in 0..ORDERS {
            let order = factory.order(&format!("broken-{number}")).await;
            let Some(shown) = order.waiting_reason else { continue };
            assert!(shown.contains("`template:faulty` (circuit, group "), "{shown}");
            assert!(!shown.contains("panicked"), "the words are another order's: {shown}");
            waiting += 1;
        }
        assert!(waiting > ORDERS / 2, "{waiting}");
        assert!(stated["holds"][0]["probes"].as_i64().unwrap() >= 1, "{stated:#}");
        assert!(worker.log().contains("orders wait and use no attempt"), "{}", worker.log());
        // An order that can be made ends the pause for all.
        factory.enqueue_all([calls_in_turn("good", 1)]).await;
        factory.until_state("good", OrderState::Succeeded).await;
        drop(worker);
    }

    pub(super) async fn a_circuit_of_one_tenant_pauses_its_own_orders_only(base: Base) {
        const BROKEN: usize = 20;
        let model = Model::start(good);
        // No probe is due in time.
        let factory = factory(base, &model)
            .await
            .with("worker.retry_base_ms", 600_000)
            .with("worker.retry_max_ms", 600_000);
        let of = |tenant: Option<&str>, id: &str, document: Value| NewOrder {
            tenant: tenant.map(str::to_owned),
            ..NewOrder::new(id, "faulty", document.to_string())
        };
        let broken = (0..BROKEN).map(|number| {
            let id = format!("broken-{number}");
            of(Some("acme"), &id, named(&id, faulty("panic-str", json!({}))))
        });
        factory.database.enqueue_all(broken.collect()).await.unwrap();
        let worker = factory.worker(&["--max-orders", "2"]);
        until_stats(&factory, "its orders wait", |stated| {
            stated["holds"][0]["orders"].as_u64().is_some_and(|orders| orders > 0)
        })
        .await;
        for (tenant, id) in [(Some("other"), "of-other"), (None, "of-none")] {
            let order = of(tenant, id, calls_in_turn(id, 1));
            factory.database.enqueue(order).await.unwrap();
            factory.until_state(id, OrderState::Succeeded).await;
        }
        let stated = stats(&factory);
        let held = &stated["holds"];
        assert_eq!(held.as_array().map(Vec::len), Some(1), "{held:#}");
        assert_eq!(
            (&held[0]["id"], &held[0]["name"], &held[0]["tenant"]),
            (&json!("template:faulty/acme"), &json!("faulty"), &json!("acme")),
        );
        let reason = held[0]["reason"].as_str().unwrap();
        assert!(
            reason.contains("the orders of the tenant `acme`: 10 of their last 10"),
            "{reason}"
        );
        let released = sitewright(&factory, &["route", "release", "template:faulty/acme"]);
        assert_eq!(released.code, 0, "{released:?}");
        until("its orders are attempted again", || async {
            factory.database.stats().await.is_ok_and(|stats| {
                stats.count(OrderState::Failed) > i64::try_from(BROKEN / 2).unwrap() + 2
            })
        })
        .await;
        drop(worker);
    }
}
