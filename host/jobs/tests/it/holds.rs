//! Holds: orders wait for what is not their fault, and continue when it is gone.

use std::collections::BTreeSet;

use sitewright_jobs::{
    Gate, Hold, HoldCause, HoldId, HoldKind, HoldScope, NewHold, Order, Probing, Served, Sweep,
};
use sitewright_model::time::now_ms;

use super::*;

on_both! {
    an_order_of_a_held_route_is_parked_and_uses_nothing,
    one_order_at_a_time_is_the_probe_and_the_distance_grows,
    every_second_probe_is_of_another_tenant,
    a_probe_whose_attempt_is_gone_frees_the_next_one,
    a_released_hold_makes_all_its_orders_due,
    an_operators_hold_is_not_probed_and_stays,
    an_order_shows_the_cause_that_its_hold_has_now,
    an_order_shows_no_words_that_an_earlier_version_stored,
    a_gate_learns_that_a_hold_has_been_released,
    many_claims_at_once_are_parked_alike,
    orders_without_their_template_go_to_the_worker_that_has_it,
    what_a_worker_took_and_did_not_begin_is_for_all_again,
    what_a_draining_worker_took_is_for_all_again,
    a_template_that_nobody_has_fails_its_orders_after_the_grace_time,
    a_hold_that_returns_soon_keeps_its_distance,
    only_an_order_that_waits_for_a_time_is_made_due_before_it,
    a_hold_of_one_tenants_orders_stops_nobody_else,
}

#[derive(Debug)]
struct Holding(Vec<HoldId>);

impl Gate for Holding {
    fn holds_of(&self, _: &str, _: Option<&str>) -> Vec<HoldId> {
        self.0.clone()
    }
}

/// Holds the orders of this scope.
#[derive(Debug)]
struct HoldingWithin(HoldId);

impl Gate for HoldingWithin {
    fn holds_of(&self, _: &str, tenant: Option<&str>) -> Vec<HoldId> {
        let is_held = HoldScope::of_tenant(tenant) == self.0.scope;
        is_held.then(|| self.0.clone()).into_iter().collect()
    }
}

fn route() -> HoldId {
    HoldId::new(HoldKind::Route, "default")
}

fn missing() -> HoldId {
    HoldId::new(HoldKind::Missing, "t")
}

fn hold(id: HoldId, first: Duration) -> NewHold {
    NewHold {
        id,
        cause: HoldCause::Auth,
        reason: message!("the provider refused its key; check LOCAL_KEY"),
        fingerprint: None,
        probing: Probing::Every {
            first,
            longest: Duration::from_secs(60),
            not_before: Duration::ZERO,
        },
    }
}

fn sweep(worker: &str, served: &[&str]) -> Sweep {
    Sweep {
        worker: worker.to_owned(),
        served: served.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>(),
        room: 10,
        started_at: 0,
        template_grace: Duration::from_secs(3_600),
    }
}

async fn job_of(database: &Database, order: &str) -> i64 {
    database.order(order).await.unwrap().job_id.unwrap()
}

async fn claim(database: &Database, order: &str, holds: &[HoldId]) -> Claim {
    let gate: Arc<dyn Gate> = Arc::new(Holding(holds.to_vec()));
    let job = job_of(database, order).await;
    let (worker, attempt) = (ghost("w-1"), Ulid::generate());
    database.claim_through(order, job, &worker, attempt, Some(gate)).await.unwrap()
}

async fn claimed(database: &Database, order: &str, holds: &[HoldId]) -> Claimed {
    match claim(database, order, holds).await {
        Claim::Claimed(claimed, _) => *claimed,
        other => panic!("{order} was not claimed: {other:?}"),
    }
}

async fn parked(database: &Database, order: &str, holds: &[HoldId]) -> Order {
    match claim(database, order, holds).await {
        Claim::Parked { .. } => database.order(order).await.unwrap(),
        other => panic!("{order} was not parked: {other:?}"),
    }
}

async fn only_hold(database: &Database) -> Hold {
    let mut holds = database.holds().await.unwrap();
    assert_eq!(holds.len(), 1, "{holds:?}");
    holds.remove(0)
}

async fn enqueue(database: &Database, orders: &[&str]) {
    let new = orders.iter().map(|id| NewOrder::new(*id, "t", "{}"));
    database.enqueue_all(new.collect()).await.unwrap();
}

/// Whether an order's River job is due in this queue.
async fn is_due_in(place: &Place, database: &Database, order: &str, queue: &str) -> bool {
    let job = job_of(database, order).await;
    let due = format!(
        "SELECT count(*) FROM river_job
         WHERE id = {job} AND state = 'available' AND queue = '{queue}'"
    );
    place.number(&due).await == 1
}

async fn insert_worker(place: &Place, worker: &str) {
    let sql = format!(
        "INSERT INTO sitewright_workers
            (client_id, boot_id, host, pid, max_orders, started_at, last_seen, beats)
         VALUES ('{worker}', 'boot', 'host', 1, 10, {now}, {now}, 1)",
        now = now_ms()
    );
    place.sql(&sql).await;
}

async fn is_due(database: &Database, order: &str) -> bool {
    let order = database.order(order).await.unwrap();
    order.next_attempt_at.is_some_and(|at| at <= now_ms())
}

mod tests {
    use super::*;

    pub(super) async fn an_order_of_a_held_route_is_parked_and_uses_nothing(place: Place) {
        let database = place.open().await;
        enqueue(&database, &["o"]).await;
        assert!(database.hold(hold(route(), Duration::from_secs(60))).await.unwrap());
        let order = parked(&database, "o", &[route()]).await;
        assert_eq!(
            (order.state, order.runs, order.attempts, order.crashes),
            (OrderState::Waiting, 0, 0, 0)
        );
        assert_eq!((&order.owner_attempt, &order.config_version), (&None, &None));
        let shown = order.waiting_reason.unwrap();
        assert!(shown.contains("the provider refuses its key"), "{shown}");
        assert!(!shown.contains("LOCAL_KEY"), "the words are the operators': {shown}");
        assert!(only_hold(&database).await.reason.contains("LOCAL_KEY"));
        let changes = database.states(&["o".to_owned()]).await.unwrap();
        assert_eq!(changes[0].waiting_reason.as_deref(), Some(&*shown), "also as an event");
        assert!(database.attempts("o").await.unwrap().is_empty());
        assert!(!is_due(&database, "o").await);
        let stats = database.stats().await.unwrap();
        assert_eq!((stats.holds.len(), stats.holds[0].orders), (1, 1));
        // One that does not need the route is not stopped.
        enqueue(&database, &["other"]).await;
        assert!(claimed(&database, "other", &[]).await.probes.is_empty());
        // The worker's knowledge is older than the release.
        database.release_hold(&route()).await.unwrap();
        enqueue(&database, &["later"]).await;
        assert!(claimed(&database, "later", &[route()]).await.probes.is_empty());
    }

    pub(super) async fn one_order_at_a_time_is_the_probe_and_the_distance_grows(place: Place) {
        let database = place.open().await;
        enqueue(&database, &["a", "b"]).await;
        database.hold(hold(route(), Duration::ZERO)).await.unwrap();
        let probe = claimed(&database, "a", &[route()]).await;
        assert_eq!(probe.probes, [route()]);
        parked(&database, "b", &[route()]).await;
        assert_eq!(only_hold(&database).await.probe_order.as_deref(), Some("a"));
        let swept = database.sweep_holds(&sweep("w-1", &["t"]), None).await.unwrap();
        assert_eq!(swept.probes, 0, "one at a time");
        // It meets the cause again: no attempt is used, and the next probe is further away.
        for (probes, at_least) in [(1, 2_000), (2, 4_000), (3, 8_000)] {
            let before = now_ms();
            let current = match probes {
                1 => probe.clone(),
                _ => {
                    place.sql("UPDATE sitewright_holds SET next_probe_at = 0").await;
                    claimed(&database, "a", &[route()]).await
                }
            };
            let resolution = Resolution::Hold {
                failure: Some(failure("ai", "401")),
                hold: Box::new(hold(route(), Duration::from_secs(1))),
            };
            let outcome =
                database.complete(&current, &resolution, AttemptLimits::default()).await.unwrap();
            assert!(matches!(
                outcome,
                CompleteOutcome::Done {
                    attempt: AttemptEnd::Snoozed,
                    order: OrderState::Waiting,
                    ..
                }
            ));
            let (held, order) = (only_hold(&database).await, database.order("a").await.unwrap());
            assert_eq!((held.probes, order.attempts), (probes, 0));
            assert!(held.next_probe_at.unwrap() - before >= at_least, "{held:?}");
            assert_eq!(held.probe_order, None);
            let shown = order.waiting_reason.unwrap();
            assert!(shown.contains("`route:default` (auth)"), "{shown}");
            let changes = database.states(&["a".to_owned()]).await.unwrap();
            assert_eq!(changes[0].waiting_reason.as_deref(), Some(&*shown), "also as an event");
        }
        // The sweep lets the one through that has waited the longest.
        place.sql("UPDATE sitewright_holds SET next_probe_at = 0").await;
        let swept = database.sweep_holds(&sweep("w-1", &["t"]), None).await.unwrap();
        assert_eq!((swept.probes, swept.released), (1, 0));
        assert!(is_due(&database, "b").await && !is_due(&database, "a").await);
        assert_eq!(claimed(&database, "b", &[]).await.probes, [route()]);
    }

    /// All orders of one tenant may be refused, and be parked before those of the others.
    pub(super) async fn every_second_probe_is_of_another_tenant(place: Place) {
        let database = place.open().await;
        let orders = ["a1", "a2", "a3", "b1"];
        let new = |id: &str| NewOrder {
            tenant: Some(id[..1].to_owned()),
            ..NewOrder::new(id, "t", "{}")
        };
        database.enqueue_all(orders.map(new).into()).await.unwrap();
        database.hold(hold(route(), Duration::from_secs(60))).await.unwrap();
        for (id, at) in orders.iter().zip(1..) {
            parked(&database, id, &[route()]).await;
            let parked =
                format!("UPDATE sitewright_orders SET updated_at = {at} WHERE id = '{id}'");
            place.sql(&parked).await;
        }
        for expected in ["b1", "a1", "b1", "a2", "b1"] {
            place.sql("UPDATE sitewright_holds SET next_probe_at = 0").await;
            let swept = database.sweep_holds(&sweep("w-1", &["t"]), None).await.unwrap();
            assert_eq!(swept.probes, 1, "{expected}");
            for id in orders {
                assert_eq!(is_due(&database, id).await, id == expected, "{id}, not {expected}");
            }
            let probe = claimed(&database, expected, &[route()]).await;
            assert_eq!(probe.probes, [route()]);
            let resolution = Resolution::Hold {
                failure: Some(failure("ai", "403")),
                hold: Box::new(hold(route(), Duration::from_secs(60))),
            };
            database.complete(&probe, &resolution, AttemptLimits::default()).await.unwrap();
        }
    }

    pub(super) async fn a_probe_whose_attempt_is_gone_frees_the_next_one(place: Place) {
        let database = place.open().await;
        enqueue(&database, &["a", "b"]).await;
        database.hold(hold(route(), Duration::ZERO)).await.unwrap();
        let probe = claimed(&database, "a", &[route()]).await;
        // Its worker dies or drains: the order passes to nobody, or to another attempt.
        let returned = Resolution::ReturnToQueue;
        database.complete(&probe, &returned, AttemptLimits::default()).await.unwrap();
        assert_eq!(only_hold(&database).await.probe_order, None);
        assert_eq!(claimed(&database, "b", &[route()]).await.probes, [route()]);
    }

    pub(super) async fn a_released_hold_makes_all_its_orders_due(place: Place) {
        let database = place.open().await;
        let ids: Vec<String> = (0..1_203).map(|number| format!("o{number}")).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        enqueue(&database, &ids).await;
        database.hold(hold(route(), Duration::from_secs(60))).await.unwrap();
        for id in &ids {
            parked(&database, id, &[route()]).await;
        }
        let swept = database.sweep_holds(&sweep("w-1", &["t"]), None).await.unwrap();
        assert_eq!((swept.released, swept.probes), (0, 0));
        assert!(database.release_hold(&route()).await.unwrap());
        assert!(!database.release_hold(&route()).await.unwrap(), "it was released before");
        database.pause().await.unwrap();
        assert_eq!(database.sweep_holds(&sweep("w-1", &["t"]), None).await.unwrap().released, 0);
        database.resume().await.unwrap();
        let swept = database.sweep_holds(&sweep("w-1", &["t"]), None).await.unwrap();
        assert_eq!(swept.released, ids.len());
        for id in [ids[0], ids[700], ids[1_202]] {
            assert!(is_due(&database, id).await);
            assert!(is_due_in(&place, &database, id, "default").await);
            assert!(claimed(&database, id, &[]).await.probes.is_empty());
        }
        assert!(database.holds().await.unwrap().is_empty());
    }

    pub(super) async fn an_operators_hold_is_not_probed_and_stays(place: Place) {
        let database = place.open().await;
        enqueue(&database, &["a", "b"]).await;
        let by_operator = NewHold {
            cause: HoldCause::Operator,
            reason: message!("the key is being replaced"),
            probing: Probing::Never,
            ..hold(route(), Duration::ZERO)
        };
        // An attempt that began before.
        let before = claimed(&database, "a", &[]).await;
        assert!(database.hold(by_operator.clone()).await.unwrap());
        assert!(!database.hold(by_operator).await.unwrap());
        let resolution = Resolution::Hold {
            failure: Some(failure("ai", "401")),
            hold: Box::new(hold(route(), Duration::ZERO)),
        };
        database.complete(&before, &resolution, AttemptLimits::default()).await.unwrap();
        let held = only_hold(&database).await;
        assert_eq!((held.cause, held.next_probe_at), (HoldCause::Operator, None));
        assert_eq!(held.reason, "the key is being replaced");
        assert_eq!(database.sweep_holds(&sweep("w-1", &["t"]), None).await.unwrap().probes, 0);
        parked(&database, "b", &[route()]).await;
    }

    pub(super) async fn an_order_shows_the_cause_that_its_hold_has_now(place: Place) {
        let database = place.open().await;
        enqueue(&database, &["a"]).await;
        database.hold(hold(route(), Duration::from_secs(60))).await.unwrap();
        parked(&database, "a", &[route()]).await;
        let reason = async || database.order("a").await.unwrap().waiting_reason.unwrap();
        assert!(reason().await.contains("(auth)"));
        let by_operator = NewHold::by_operator(route(), Some("the bill is being paid"));
        database.hold(by_operator).await.unwrap();
        assert!(!database.release_probed_hold(&route()).await.unwrap(), "a probe that had begun");
        assert!(reason().await.contains("the bill is being paid"));
    }

    pub(super) async fn an_order_shows_no_words_that_an_earlier_version_stored(place: Place) {
        let database = place.open().await;
        enqueue(&database, &["a"]).await;
        let parks = async || {
            database.hold(hold(route(), Duration::from_secs(60))).await.unwrap();
        };
        parks().await;
        parked(&database, "a", &[route()]).await;
        place
            .sql("UPDATE sitewright_orders SET waiting_reason = 'the page of Ms Okafor is empty'")
            .await;
        // What the API, the console, the command line and the streams of events read.
        let shows = async |part: &str| {
            let shown = [
                database.order("a").await.unwrap().waiting_reason,
                database.orders(&Filter::default()).await.unwrap().remove(0).waiting_reason,
                database.states(&["a".to_owned()]).await.unwrap().remove(0).waiting_reason,
                database.changes(0, 10).await.unwrap().remove(0).waiting_reason,
            ];
            for shown in shown.into_iter().map(Option::unwrap) {
                assert!(shown.contains(part) && !shown.contains("Okafor"), "{part}: {shown}");
            }
        };
        shows("waits for the hold `route:default` (auth)").await;
        database.release_hold(&route()).await.unwrap();
        shows("the hold `route:default` is over").await;
        place.sql("DELETE FROM sitewright_holds").await;
        shows("the hold `route:default` is over").await;
        parks().await;
        shows("waits for the hold `route:default` (auth)").await;
        // Nothing is left of it in the row when the order is made due, whoever reads it.
        database.release_hold(&route()).await.unwrap();
        let swept = database.sweep_holds(&sweep("w-1", &["t"]), None).await.unwrap();
        assert_eq!(swept.released, 1);
        let left = "SELECT count(*) FROM sitewright_orders WHERE waiting_reason LIKE '%Okafor%'";
        assert_eq!(place.number(left).await, 0);
        shows("the hold `route:default` is over").await;
    }

    pub(super) async fn a_hold_of_one_tenants_orders_stops_nobody_else(place: Place) {
        let database = place.open().await;
        let mut orders: Vec<(&str, Option<&str>)> = vec![("none", None)];
        let of = |orders: &[(&str, Option<&str>)]| -> Vec<NewOrder> {
            let new = |(id, tenant): &(&str, Option<&str>)| NewOrder {
                tenant: tenant.map(str::to_owned),
                ..NewOrder::new(*id, "t", "{}")
            };
            orders.iter().map(new).collect()
        };
        database.enqueue_all(of(&orders)).await.unwrap();
        assert!(!database.has_tenants().await.unwrap());
        orders.extend([("acme", Some("acme")), ("other", Some("acme/x"))]);
        database.enqueue_all(of(&orders[1..])).await.unwrap();
        assert!(database.has_tenants().await.unwrap());
        for (held, scope, id) in [
            ("acme", HoldScope::Tenant("acme".to_owned()), "template:t/acme"),
            ("other", HoldScope::Tenant("acme/x".to_owned()), "template:t/acme/x"),
            ("none", HoldScope::NoTenant, "template:t/"),
        ] {
            let hold_id = HoldId::new(HoldKind::Template, "t").within(scope);
            database.hold(hold(hold_id.clone(), Duration::ZERO)).await.unwrap();
            let shown = only_hold(&database).await;
            assert_eq!((&shown.id, &*shown.name, id), (&hold_id, "t", &*hold_id.to_string()));
            assert_eq!(shown.tenant.as_deref(), hold_id.scope.tenant());
            let gate: Arc<dyn Gate> = Arc::new(HoldingWithin(hold_id.clone()));
            for (order, _) in &orders {
                let job = job_of(&database, order).await;
                // A claim whose answer is lost is made again, and has the same one.
                let attempt = Ulid::generate();
                let mut answers = Vec::new();
                for _ in 0..2 {
                    let gate = Some(gate.clone());
                    let claim =
                        database.claim_through(order, job, &ghost("w-1"), attempt, gate).await;
                    let Claim::Claimed(claimed, _) = claim.unwrap() else { panic!("{id} {order}") };
                    answers.push(*claimed);
                }
                assert_eq!(answers[0], answers[1], "{id} {order}");
                let probes = if *order == held { vec![hold_id.clone()] } else { vec![] };
                assert_eq!(answers[0].probes, probes, "{id} {order}");
                let returned = Resolution::ReturnToQueue;
                let limits = AttemptLimits::default();
                database.complete(&answers[0], &returned, limits).await.unwrap();
            }
            assert!(database.release_hold(&hold_id).await.unwrap());
        }
    }

    pub(super) async fn a_gate_learns_that_a_hold_has_been_released(place: Place) {
        #[derive(Debug, Default)]
        struct Watching(std::sync::Mutex<Vec<HoldId>>);

        impl Gate for Watching {
            fn holds_of(&self, _: &str, _: Option<&str>) -> Vec<HoldId> {
                vec![route()]
            }

            fn released(&self, id: &HoldId, at: i64) {
                assert!(at > 0 && at <= now_ms());
                self.0.lock().unwrap().push(id.clone());
            }
        }

        let database = place.open().await;
        enqueue(&database, &["a", "b"]).await;
        let gate = Arc::new(Watching::default());
        database.hold(hold(route(), Duration::from_secs(60))).await.unwrap();
        for (id, released) in [("a", false), ("b", true)] {
            if released {
                database.release_hold(&route()).await.unwrap();
            }
            let (job, worker) = (job_of(&database, id).await, ghost("w-1"));
            let through: Arc<dyn Gate> = gate.clone();
            let attempt = Ulid::generate();
            let claim = database.claim_through(id, job, &worker, attempt, Some(through)).await;
            assert_eq!(matches!(claim.unwrap(), Claim::Claimed(..)), released, "{id}");
            assert_eq!(!gate.0.lock().unwrap().is_empty(), released, "{id}");
        }
    }

    pub(super) async fn many_claims_at_once_are_parked_alike(place: Place) {
        let database = place.open().await;
        let ids: Vec<String> = (0..60).map(|number| format!("o{number}")).collect();
        enqueue(&database, &ids.iter().map(String::as_str).collect::<Vec<_>>()).await;
        database.hold(hold(route(), Duration::ZERO)).await.unwrap();
        let gate: Arc<dyn Gate> = Arc::new(Holding(vec![route()]));
        let mut jobs = Vec::new();
        for id in &ids {
            jobs.push((id.clone(), job_of(&database, id).await));
        }
        let claims = jobs.into_iter().map(|(id, job)| {
            let (database, gate) = (database.clone(), gate.clone());
            tokio::spawn(async move {
                let worker = ghost("w-1");
                let attempt = Ulid::generate();
                database.claim_through(&id, job, &worker, attempt, Some(gate)).await.unwrap()
            })
        });
        let (mut ran, mut waits) = (0, 0);
        for claim in claims.collect::<Vec<_>>() {
            match claim.await.unwrap() {
                Claim::Claimed(claimed, _) => {
                    assert_eq!(claimed.probes, [route()]);
                    ran += 1;
                }
                Claim::Parked { .. } => waits += 1,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!((ran, waits), (1, 59), "exactly one is the probe");
        assert_eq!(only_hold(&database).await.orders, 59);
    }

    pub(super) async fn orders_without_their_template_go_to_the_worker_that_has_it(place: Place) {
        let database = place.open().await;
        enqueue(&database, &["a", "b", "c"]).await;
        for worker in ["w-1", "w-2"] {
            insert_worker(&place, worker).await;
        }
        let served = |template: &str| {
            vec![Served { template: template.to_owned(), digest: "sha256:0".to_owned() }]
        };
        database.publish_templates("w-1", served("other")).await.unwrap();
        database.publish_templates("w-2", served("t")).await.unwrap();
        for id in ["a", "b", "c"] {
            let order = parked(&database, id, &[missing()]).await;
            assert_eq!((order.state, order.runs), (OrderState::Waiting, 0));
        }
        assert!(database.holds().await.unwrap().is_empty(), "a live worker has it");
        // The worker without the template takes none, the other one as many as it has room for.
        let swept = database.sweep_holds(&sweep("w-1", &["other"]), None).await.unwrap();
        assert_eq!((swept.taken, swept.released), (0, 0));
        let small = Sweep { room: 2, ..sweep("w-2", &["t"]) };
        assert_eq!(database.sweep_holds(&small, None).await.unwrap().taken, 2);
        assert_eq!(database.sweep_holds(&sweep("w-2", &["t"]), None).await.unwrap().taken, 1);
        for id in ["a", "b", "c"] {
            assert!(is_due_in(&place, &database, id, "handover-2").await);
            claimed(&database, id, &[]).await;
        }
        // Once every worker has it, nobody waits.
        database.publish_templates("w-1", served("t")).await.unwrap();
        database.sweep_holds(&sweep("w-1", &["t"]), None).await.unwrap();
        assert!(database.holds().await.unwrap().is_empty());
    }

    pub(super) async fn what_a_worker_took_and_did_not_begin_is_for_all_again(place: Place) {
        let database = place.open().await;
        enqueue(&database, &["a"]).await;
        for worker in ["w-1", "w-2"] {
            insert_worker(&place, worker).await;
        }
        let served = vec![Served { template: "t".to_owned(), digest: "sha256:0".to_owned() }];
        database.publish_templates("w-2", served).await.unwrap();
        parked(&database, "a", &[missing()]).await;
        assert_eq!(database.sweep_holds(&sweep("w-2", &["t"]), None).await.unwrap().taken, 1);
        assert!(is_due_in(&place, &database, "a", "handover-2").await);
        place.sql("DELETE FROM sitewright_workers WHERE client_id = 'w-2'").await;
        database.sweep_holds(&sweep("w-1", &[]), None).await.unwrap();
        assert!(is_due_in(&place, &database, "a", "default").await);
        parked(&database, "a", &[missing()]).await;
        assert_eq!(only_hold(&database).await.id, missing());
        // Nothing waits for it any more.
        assert!(database.cancel("a").await.is_ok());
        assert!(database.holds().await.unwrap().is_empty());
    }

    pub(super) async fn what_a_draining_worker_took_is_for_all_again(place: Place) {
        let database = place.open().await;
        enqueue(&database, &["a"]).await;
        parked(&database, "a", &[missing()]).await;
        let worker = worker(&database, &Scripted::all_succeed()).await;
        // One that has not the template.
        insert_worker(&place, "w-1").await;
        let (id, own) = (worker.client_id().to_owned(), worker.own_queue());
        let served = vec![Served { template: "t".to_owned(), digest: "sha256:0".to_owned() }];
        database.publish_templates(&id, served).await.unwrap();
        let take = Sweep { worker: id.clone(), ..sweep("", &["t"]) };
        assert_eq!(database.sweep_holds(&take, Some(&own)).await.unwrap().taken, 1);
        until_state(&database, "a", OrderState::Succeeded).await;

        database.set_drain(&id, true).await.unwrap();
        let drained = worker.drained();
        drained.cancelled().await;
        enqueue(&database, &["b"]).await;
        let moved = "UPDATE river_job SET queue = (
                SELECT name FROM river_queue WHERE name LIKE 'handover-%')
             WHERE state = 'available'";
        assert_eq!(place.sql(moved).await, 1);
        database.sweep_holds(&take, Some(&own)).await.unwrap();
        assert!(is_due_in(&place, &database, "b", "default").await);
        worker.drain(GRACE).await.unwrap();
    }

    pub(super) async fn a_template_that_nobody_has_fails_its_orders_after_the_grace_time(
        place: Place,
    ) {
        let database = place.open().await;
        enqueue(&database, &["a", "b"]).await;
        insert_worker(&place, "w-1").await;
        parked(&database, "a", &[missing()]).await;
        let grace = |started_at| Sweep {
            template_grace: Duration::from_secs(60),
            started_at,
            ..sweep("w-1", &[])
        };
        database.sweep_holds(&grace(0), None).await.unwrap();
        assert!(only_hold(&database).await.expired_at.is_none());
        // Nobody has had it for the grace time, but the workers have just started.
        place.sql("UPDATE sitewright_holds SET since = 1").await;
        database.sweep_holds(&grace(now_ms()), None).await.unwrap();
        assert!(only_hold(&database).await.expired_at.is_none());
        let swept = database.sweep_holds(&grace(0), None).await.unwrap();
        assert!(only_hold(&database).await.has_expired());
        assert_eq!(swept.released, 1);
        // Its attempt, which fails, begins; and that of each later order at once.
        claimed(&database, "a", &[missing()]).await;
        claimed(&database, "b", &[missing()]).await;
        // The template appears: the next ones wait no more than before.
        let served = vec![Served { template: "t".to_owned(), digest: "sha256:0".to_owned() }];
        database.publish_templates("w-1", served).await.unwrap();
        database.sweep_holds(&sweep("w-1", &["t"]), None).await.unwrap();
        assert!(database.holds().await.unwrap().is_empty());
    }

    pub(super) async fn a_hold_that_returns_soon_keeps_its_distance(place: Place) {
        let database = place.open().await;
        let set = async |cause: HoldCause, fingerprint: Option<&str>| {
            let new = NewHold {
                cause,
                fingerprint: fingerprint.map(str::to_owned),
                ..hold(route(), Duration::from_secs(1))
            };
            assert!(database.hold(new).await.unwrap());
            only_hold(&database).await.probes
        };
        for probes in 0..4 {
            assert_eq!(set(HoldCause::Auth, None).await, probes);
            assert!(database.release_probed_hold(&route()).await.unwrap());
        }
        place.sql("UPDATE sitewright_holds SET released_at = 1").await;
        assert_eq!(set(HoldCause::Auth, None).await, 0, "it was gone for long enough");
        for (cause, fingerprint, by_operator, probes) in [
            (HoldCause::Auth, None, false, 1),
            (HoldCause::Quota, None, false, 0),
            (HoldCause::Quota, None, false, 1),
            (HoldCause::Quota, None, true, 0),
            (HoldCause::Quota, None, false, 1),
            (HoldCause::Circuit, Some("3fa9c1d2"), false, 0),
            (HoldCause::Circuit, Some("3fa9c1d2"), false, 1),
            (HoldCause::Circuit, Some("51be07aa"), false, 0),
        ] {
            let released = match by_operator {
                true => database.release_hold(&route()).await,
                false => database.release_probed_hold(&route()).await,
            };
            assert!(released.unwrap());
            let now = set(cause, fingerprint).await;
            assert_eq!(now, probes, "{cause} {fingerprint:?}, by an operator: {by_operator}");
        }
    }

    pub(super) async fn only_an_order_that_waits_for_a_time_is_made_due_before_it(place: Place) {
        let database = place.open().await;
        enqueue(&database, &["a", "b", "held", "queued"]).await;
        for id in ["a", "b"] {
            let claimed = claimed(&database, id, &[]).await;
            let after = Duration::from_secs(3_600);
            let resolution = Resolution::Snooze { failure: failure("ai", id), after };
            database.complete(&claimed, &resolution, AttemptLimits::default()).await.unwrap();
        }
        database.hold(hold(route(), Duration::from_secs(60))).await.unwrap();
        parked(&database, "held", &[route()]).await;
        for (after, found) in [("", vec!["a", "b"]), ("a", vec!["b"]), ("b", vec![])] {
            let delayed = database.delayed_orders(after).await.unwrap();
            let ids: Vec<&str> = delayed.iter().map(|one| one.order.as_str()).collect();
            assert_eq!(ids, found, "after {after:?}");
            assert!(delayed.iter().all(|one| one.record["why"] == one.order), "{delayed:?}");
        }
        assert!(!is_due(&database, "a").await);
        let all = ["a", "held", "queued", "nobody"].map(str::to_owned);
        assert_eq!(database.end_delay(&all).await.unwrap(), 1);
        assert_eq!(database.end_delay(&all).await.unwrap(), 0, "it is due already");
        assert_eq!(database.end_delay(&[]).await.unwrap(), 0);
        assert!(is_due(&database, "a").await && !is_due(&database, "b").await);
        assert!(is_due_in(&place, &database, "a", "default").await);
        assert!(!is_due(&database, "held").await);
        claimed(&database, "a", &[]).await;
    }
}
