//! The outbox of webhooks: what is in it, who sends it, and what becomes of it.

use std::collections::BTreeMap;

use serde_json::Value;
use sitewright_jobs::{
    AttemptResult, BudgetLimit, CALLBACK, ClaimedDelivery, DeliveryFilter, DeliveryRecord,
    DeliveryState, HoldCause, HoldId, HoldKind, NewHold, Probing, ReachedBudget, Revised, Revision,
    Seen, WebhookEvent,
};
use sitewright_model::time::{now_ms, rfc3339};

use super::*;

on_both!(
    each_change_of_a_state_is_in_the_outbox,
    an_attempt_that_lost_its_order_tells_nobody,
    a_hold_is_told_once,
    what_stops_many_orders_is_told_to_who_wants_it,
    a_payload_says_what_happened_and_nothing_of_the_document,
    a_callback_is_told_of_its_order,
    a_callback_that_is_gone_is_enabled_or_replaced,
    a_callback_that_is_removed_is_told_nothing_more,
    a_lease_is_for_one,
    a_delivery_is_given_up_after_a_day,
    a_receiver_that_is_gone_is_not_called_again,
    a_webhook_that_nobody_has_is_forgotten,
    an_erased_order_takes_its_deliveries_with_it,
);

const LEASE: Duration = Duration::from_secs(60);

/// A webhook for these events.
fn seen(name: &str, events: &[WebhookEvent]) -> Seen {
    let url = format!("https://{name}.example/");
    Seen { name: name.to_owned(), url, events: events.to_vec() }
}

/// With one webhook for everything.
async fn told(place: &Place) -> Database {
    let database = place.open().await;
    database.see_webhooks(vec![seen("crm", &WebhookEvent::OF_ORDERS)]).await.unwrap();
    database
}

/// Order and event of all deliveries to a webhook, in the sequence of the orders' ids.
async fn deliveries_to(database: &Database, webhook: &str) -> Vec<(String, &'static str)> {
    let filter = DeliveryFilter {
        webhook: Some(webhook.to_owned()),
        limit: 1_000,
        ..DeliveryFilter::default()
    };
    let found = database.deliveries(&filter).await.unwrap();
    let mut found: Vec<(String, &'static str)> =
        found.into_iter().map(|one| (one.order.unwrap(), one.event.as_str())).collect();
    found.sort();
    found
}

async fn claim_all(database: &Database, webhook: &str) -> Vec<ClaimedDelivery> {
    database.claim_deliveries(webhook, 1_000, LEASE).await.unwrap()
}

fn record(status: Option<u16>) -> DeliveryRecord {
    DeliveryRecord {
        at: now_ms(),
        took: Duration::from_millis(7),
        status,
        error: status.is_none().then(|| "no answer".to_owned()),
        body: Some("thanks\0".to_owned()),
    }
}

fn retry() -> AttemptResult {
    AttemptResult::Retry { after: Duration::from_secs(5) }
}

/// Enqueues an order and begins an attempt.
async fn begun(database: &Database, order: &str) -> Claimed {
    database.enqueue(new_order(order)).await.unwrap();
    taken_by(database, order, "w").await
}

async fn complete(database: &Database, claimed: &Claimed, resolution: Resolution) {
    database.complete(claimed, &resolution, AttemptLimits::default()).await.unwrap();
}

fn held(name: &str) -> Resolution {
    Resolution::Hold {
        failure: Some(failure("ai", "refused")),
        hold: Box::new(NewHold {
            id: HoldId::new(HoldKind::Route, name),
            cause: HoldCause::Auth,
            reason: message!("the provider refused its key"),
            fingerprint: None,
            probing: Probing::Every {
                first: Duration::ZERO,
                longest: Duration::from_secs(1),
                not_before: Duration::ZERO,
            },
        }),
    }
}

mod tests {
    use super::*;

    /// Every way in which an order ends, one by one and many at once.
    pub(super) async fn each_change_of_a_state_is_in_the_outbox(place: Place) {
        let database = told(&place).await;
        let some = [WebhookEvent::OrderDead, WebhookEvent::OrderCancelled];
        database.see_webhooks(vec![seen("pager", &some)]).await.unwrap();
        let limits = AttemptLimits { attempts: 1, ..AttemptLimits::default() };
        let mut wanted = Vec::new();
        // Many at once are one statement.
        let mut many = Vec::new();
        for n in 0..20 {
            let order = format!("s{n:02}");
            many.push(begun(&database, &order).await);
            wanted.push((order, "order.succeeded"));
        }
        let all = many.iter().map(|claimed| release(&database, claimed, "r1"));
        futures::future::join_all(all).await;
        for (order, resolution, event) in [
            ("a", Resolution::Succeeded { release: "r1".to_owned() }, Some("order.succeeded")),
            ("b", Resolution::Failed { failure: failure("trap", "x") }, Some("order.failed")),
            ("c", Resolution::Dead { failure: failure("trap", "x") }, Some("order.dead")),
            ("d", Resolution::Cancelled { failure: None }, Some("order.cancelled")),
            (
                "e",
                Resolution::Retry { failure: failure("ai", "x"), after: Duration::ZERO },
                Some("order.dead"),
            ),
            ("f", Resolution::ReturnToQueue, None),
            ("g", held("default"), Some("order.waiting")),
        ] {
            let claimed = begun(&database, order).await;
            database.complete(&claimed, &resolution, limits).await.unwrap();
            // The same answer twice is one event.
            database.complete(&claimed, &resolution, limits).await.unwrap();
            wanted.extend(event.map(|event| (order.to_owned(), event)));
        }
        for order in ["h", "i", "j"] {
            database.enqueue(new_order(order)).await.unwrap();
            wanted.push((order.to_owned(), "order.cancelled"));
        }
        database.cancel("h").await.unwrap();
        database.cancel_all(&["i".to_owned(), "j".to_owned()], &[]).await.unwrap();
        database.cancel("h").await.unwrap();
        wanted.sort();
        assert_eq!(deliveries_to(&database, "crm").await, wanted);
        let paged: Vec<_> = wanted
            .iter()
            .filter(|(_, event)| ["order.dead", "order.cancelled"].contains(event))
            .cloned()
            .collect();
        assert_eq!(deliveries_to(&database, "pager").await, paged);
        // Made again, it ends again.
        database.reopen("a", None).await.unwrap();
        let again = taken_by(&database, "a", "w").await;
        release(&database, &again, "r2").await;
        let of_a = DeliveryFilter {
            order: Some("a".to_owned()),
            webhook: Some("crm".to_owned()),
            ..DeliveryFilter::default()
        };
        assert_eq!(database.deliveries(&of_a).await.unwrap().len(), 2);
        // Nobody is told without a webhook, and nothing is written.
        let rows = "SELECT count(*) FROM sitewright_deliveries";
        place.sql("DELETE FROM sitewright_webhooks").await;
        let before = place.number(rows).await;
        database.reopen("b", None).await.unwrap();
        database.cancel("b").await.unwrap();
        assert_eq!(place.number(rows).await, before);
    }

    pub(super) async fn an_attempt_that_lost_its_order_tells_nobody(place: Place) {
        let database = told(&place).await;
        let late = begun(&database, "1").await;
        place.sql("UPDATE sitewright_orders SET owner_attempt = 'another' WHERE id = '1'").await;
        assert_eq!(release(&database, &late, "r1").await, CompleteOutcome::LeaseLost);
        assert_eq!(deliveries_to(&database, "crm").await, []);
    }

    pub(super) async fn a_hold_is_told_once(place: Place) {
        let database = told(&place).await;
        for round in 0..3 {
            if round == 0 {
                database.enqueue(new_order("1")).await.unwrap();
            }
            // Its probes end at the same hold again.
            place.sql("UPDATE sitewright_holds SET next_probe_at = 1").await;
            let claimed = taken_by(&database, "1", "w").await;
            complete(&database, &claimed, held("default")).await;
        }
        assert_eq!(deliveries_to(&database, "crm").await.len(), 1);
        place.sql("UPDATE sitewright_holds SET next_probe_at = 1").await;
        let claimed = taken_by(&database, "1", "w").await;
        complete(&database, &claimed, held("other")).await;
        assert_eq!(deliveries_to(&database, "crm").await.len(), 2, "another hold");
    }

    pub(super) async fn what_stops_many_orders_is_told_to_who_wants_it(place: Place) {
        let database = place.open().await;
        let all = [WebhookEvent::OF_ORDERS, WebhookEvent::OF_OPERATION].concat();
        let webhooks = vec![seen("pager", &all), seen("crm", &WebhookEvent::OF_ORDERS)];
        database.see_webhooks(webhooks).await.unwrap();
        let by_operator =
            |kind, name: &str| NewHold::by_operator(HoldId::new(kind, name), Some("a secret"));
        for (kind, name) in [
            (HoldKind::Route, "default"),
            (HoldKind::Template, "flora"),
            (HoldKind::Missing, "oak"),
        ] {
            // Set twice and released twice is set and released.
            for _ in 0..2 {
                database.hold(by_operator(kind, name)).await.unwrap();
            }
            for _ in 0..2 {
                database.release_hold(&HoldId::new(kind, name)).await.unwrap();
            }
        }
        let again = NewHold {
            cause: HoldCause::Circuit,
            fingerprint: Some("5f1c".to_owned()),
            ..by_operator(HoldKind::Route, "default")
        };
        database.hold(again).await.unwrap();
        let day = 20_000;
        let mut new = Vec::new();
        for (day, tenant, limit) in [
            (day, None, BudgetLimit::Usd),
            (day, Some("acme"), BudgetLimit::Tokens),
            (day, Some("acme"), BudgetLimit::Usd),
            (day + 2, None, BudgetLimit::Usd),
        ] {
            let reached = ReachedBudget { day, tenant: tenant.map(str::to_owned), limit };
            new.push(database.budget_reached(reached).await.unwrap());
        }
        assert_eq!(new, [true, true, false, true], "once a day for each budget");
        let kept = "SELECT count(*) FROM sitewright_used_budgets";
        assert_eq!(place.number(kept).await, 1, "those of earlier days are forgotten");

        let mut told: Vec<(String, Value)> = claim_all(&database, "pager")
            .await
            .iter()
            .map(|one| {
                assert_eq!(one.order, None);
                let mut payload: Value = serde_json::from_str(&one.payload).unwrap();
                (payload["type"].as_str().unwrap().to_owned(), payload["data"].take())
            })
            .collect();
        let until = rfc3339((now_ms().div_euclid(86_400_000) + 1) * 86_400_000);
        let hold = |kind: &str, name: &str, cause: &str, fingerprint: Value| {
            json!({
                "hold": format!("{kind}:{name}"), "kind": kind, "name": name, "cause": cause,
                "fingerprint": fingerprint,
            })
        };
        let route = |cause, fingerprint| hold("route", "default", cause, fingerprint);
        let template = || hold("template", "flora", "operator", Value::Null);
        let day = json!({ "budget": "day", "tenant": null, "limit": "usd", "until": until });
        let of_tenant = json!({
            "budget": "tenant_day", "tenant": "acme", "limit": "tokens", "until": until,
        });
        let mut wanted = vec![
            ("route.held".to_owned(), route("operator", Value::Null)),
            ("route.held".to_owned(), route("circuit", json!("5f1c"))),
            ("route.released".to_owned(), route("operator", Value::Null)),
            ("template.paused".to_owned(), template()),
            ("template.resumed".to_owned(), template()),
            ("budget.reached".to_owned(), day.clone()),
            ("budget.reached".to_owned(), day),
            ("budget.reached".to_owned(), of_tenant),
        ];
        for list in [&mut told, &mut wanted] {
            list.sort_by_key(|(event, data)| format!("{event} {data}"));
        }
        assert_eq!(told, wanted, "and no reason: it may quote a customer");
        let listed = database.deliveries(&DeliveryFilter::default()).await.unwrap();
        let holds = listed.iter().filter(|one| one.hold.as_deref() == Some("route:default"));
        assert_eq!(holds.count(), 3, "{listed:?}");
        assert_eq!(deliveries_to(&database, "crm").await, [], "it has not asked for them");
    }

    pub(super) async fn a_payload_says_what_happened_and_nothing_of_the_document(place: Place) {
        let database = told(&place).await;
        let claimed = begun(&database, "1").await;
        let attempt = claimed.attempt.to_string();
        database.keep_reply("1", &attempt, reply("q", 0)).await.unwrap();
        let mut record = whole_record("1", "flora", "no dish");
        record.code = Some("no_dish".to_owned());
        complete(&database, &claimed, Resolution::Failed { failure: NewFailure::from(&record) })
            .await;
        let claimed = begun(&database, "2").await;
        complete(&database, &claimed, Resolution::Succeeded { release: "r7".to_owned() }).await;
        let due = now_ms() + 3_600_000;
        database.enqueue(NewOrder { due_at: Some(due), ..new_order("3") }).await.unwrap();
        database.cancel("3").await.unwrap();
        let sent = claim_all(&database, "crm").await;
        let payloads: BTreeMap<String, Value> = sent
            .iter()
            .map(|one| (one.order.clone().unwrap(), serde_json::from_str(&one.payload).unwrap()))
            .collect();
        let failed = &payloads["1"];
        assert_eq!(failed["type"], "order.failed");
        assert!(failed["timestamp"].as_str().unwrap().ends_with('Z'), "{failed}");
        let mut data = failed["data"].clone();
        assert!(data["failure"]["fingerprint"].as_str().unwrap().len() > 8, "{data}");
        data["failure"]["fingerprint"] = json!("f");
        let wanted = json!({
            "order": "1", "state": "failed", "template": "flora", "revision": 1, "release": null,
            "due_at": null,
            "failure": {
                "id": record.id, "kind": "template_error", "code": "no_dish", "fingerprint": "f",
            },
            "hold": null,
            "cost": { "calls": 1, "nano_usd": 1_000, "input_tokens": 10, "output_tokens": 0 },
        });
        assert_eq!(data, wanted);
        assert_eq!(payloads["2"]["data"]["release"], "r7");
        assert_eq!(payloads["2"]["data"]["failure"], Value::Null);
        assert_eq!(payloads["3"]["data"]["due_at"], rfc3339(due));
        let text = format!("{payloads:?}");
        assert!(!text.contains("customer"), "the document is not in it: {text}");
    }

    pub(super) async fn a_callback_is_told_of_its_order(place: Place) {
        let database = told(&place).await;
        let url = Some("https://shop.example/done?order=1".to_owned());
        let with = |url: Option<String>| NewOrder { callback: url, ..new_order("1") };
        database.enqueue(with(url.clone())).await.unwrap();
        database.enqueue(with(Some("https://other.example/".to_owned()))).await.unwrap();
        database.enqueue(new_order("2")).await.unwrap();
        for order in ["1", "2"] {
            let claimed = taken_by(&database, order, "w").await;
            release(&database, &claimed, "r").await;
        }
        assert_eq!(deliveries_to(&database, CALLBACK).await, [("1".to_owned(), "order.succeeded")]);
        assert_eq!(deliveries_to(&database, "crm").await.len(), 2);
        let sent = claim_all(&database, CALLBACK).await;
        assert_eq!(sent[0].url, url, "the order keeps the callback that it was added with");
        let crm = claim_all(&database, "crm").await;
        assert!(crm.iter().all(|one| one.url.is_none() && one.id != sent[0].id));
        // One that is gone is not told of this order any more, and no other webhook is disabled.
        database.reopen("1", None).await.unwrap();
        database.cancel("1").await.unwrap();
        let gone = AttemptResult::Gone { reason: "gone".to_owned() };
        database.record_delivery(&sent[0], record(Some(410)), gone).await.unwrap();
        assert_eq!(claim_all(&database, CALLBACK).await, []);
        database.reopen("1", None).await.unwrap();
        database.cancel("1").await.unwrap();
        assert_eq!(deliveries_to(&database, CALLBACK).await.len(), 2);
        assert!(database.webhooks().await.unwrap()[0].disabled_at.is_none());
        for wrong in [String::new(), "x".repeat(2_001)] {
            let refused = database.enqueue(NewOrder { callback: Some(wrong), ..new_order("3") });
            assert!(matches!(refused.await, Err(Error::Invalid { .. })));
        }
    }

    pub(super) async fn a_callback_that_is_gone_is_enabled_or_replaced(place: Place) {
        let database = told(&place).await;
        let gone = || AttemptResult::Gone { reason: "gone".to_owned() };
        let disabled = async |order: &str| {
            database.callback(order).await.unwrap().map(|one| (one.url, one.disabled_at.is_some()))
        };
        let old = Some("https://old.example/a?key=1".to_owned());
        database.enqueue(NewOrder { callback: old.clone(), ..new_order("1") }).await.unwrap();
        database.enqueue(new_order("2")).await.unwrap();
        database.cancel("1").await.unwrap();
        let sent = claim_all(&database, CALLBACK).await;
        database.record_delivery(&sent[0], record(Some(410)), gone()).await.unwrap();
        assert_eq!(disabled("1").await, Some(("https://old.example/".to_owned(), true)));
        assert_eq!(disabled("2").await, None);

        // It is enabled: that of the order, or all of them.
        assert_eq!(database.enable_callbacks(Some("2")).await.unwrap(), 0);
        assert_eq!(database.enable_callbacks(Some("1")).await.unwrap(), 1);
        assert_eq!(disabled("1").await, Some(("https://old.example/".to_owned(), false)));
        place.sql("UPDATE sitewright_callbacks SET disabled_at = 1").await;
        database.see_webhooks(vec![seen(CALLBACK, &[])]).await.unwrap();
        let listed = database.webhooks().await.unwrap();
        let counts: BTreeMap<&str, i64> =
            listed.iter().map(|one| (one.name.as_str(), one.disabled_callbacks)).collect();
        assert_eq!(counts, BTreeMap::from([(CALLBACK, 1), ("crm", 0)]));
        let enabled = database.enable_webhook(CALLBACK).await.unwrap().unwrap();
        assert_eq!(enabled.disabled_callbacks, 0);
        database.reopen("1", None).await.unwrap();
        database.cancel("1").await.unwrap();
        let sent = claim_all(&database, CALLBACK).await;
        assert_eq!(sent[0].url, old, "it is told again");

        // Another one takes its place, also while the old one is being told that it is gone.
        let new = "https://new.example:8443/b?key=2";
        let revision =
            Revision { document: "{\"v\":2}", callback: Some(new), ..Revision::default() };
        let revised = database.revise_as("1", revision).await.unwrap();
        assert!(matches!(revised, Revised::Queued { revision: 2, .. }), "{revised:?}");
        database.record_delivery(&sent[0], record(Some(410)), gone()).await.unwrap();
        assert_eq!(disabled("1").await, Some(("https://new.example:8443/".to_owned(), false)));
        database.cancel("1").await.unwrap();
        let sent = claim_all(&database, CALLBACK).await;
        assert_eq!(sent.iter().map(|one| one.url.as_deref()).collect::<Vec<_>>(), [Some(new)]);
        // Also if nothing else is new, and for an order that had none.
        let revision = Revision { callback: old.as_deref(), ..revision };
        let revised = database.revise_as("1", revision).await.unwrap();
        assert_eq!(revised, Revised::Unchanged { revision: 2 });
        assert_eq!(disabled("1").await, Some(("https://old.example/".to_owned(), false)));
        assert!(database.set_callback("2", new).await.unwrap());
        assert!(!database.set_callback("2", new).await.unwrap(), "it has this one");
        assert_eq!(disabled("2").await, Some(("https://new.example:8443/".to_owned(), false)));
        for (order, url) in [("nobody", new), ("2", ""), ("2", "https://a.example/\0")] {
            let refused = database.set_callback(order, url).await.unwrap_err();
            let is_right = match order {
                "nobody" => matches!(refused, Error::NoSuchOrder { .. }),
                _ => matches!(refused, Error::Invalid { .. }),
            };
            assert!(is_right, "{order} {url:?}: {refused}");
        }
    }

    pub(super) async fn a_callback_that_is_removed_is_told_nothing_more(place: Place) {
        let database = told(&place).await;
        let url = Some("https://shop.example/a".to_owned());
        for order in ["1", "2"] {
            database.enqueue(NewOrder { callback: url.clone(), ..new_order(order) }).await.unwrap();
            database.cancel(order).await.unwrap();
        }
        // One that is disabled keeps the time from which the order has it when it is set again.
        let since = async || database.callback("1").await.unwrap().unwrap().created_at;
        let created = since().await;
        place.sql("UPDATE sitewright_callbacks SET disabled_at = 1 WHERE order_id = '1'").await;
        assert!(database.set_callback("1", url.as_deref().unwrap()).await.unwrap());
        assert_eq!(since().await, created);
        assert_eq!(database.callback("1").await.unwrap().unwrap().disabled_at, None);

        assert!(database.remove_callback("1").await.unwrap());
        assert!(!database.remove_callback("1").await.unwrap(), "it has none any more");
        assert_eq!(database.callback("1").await.unwrap(), None);
        // What was pending for it is given up; other orders and webhooks are told as before.
        let sent = claim_all(&database, CALLBACK).await;
        let orders: Vec<_> = sent.iter().map(|one| one.order.as_deref().unwrap()).collect();
        assert_eq!(orders, ["2"]);
        assert_eq!(claim_all(&database, "crm").await.len(), 2);
        database.reopen("1", None).await.unwrap();
        database.cancel("1").await.unwrap();
        assert_eq!(claim_all(&database, CALLBACK).await, []);
        let refused = database.remove_callback("nobody").await.unwrap_err();
        assert!(matches!(refused, Error::NoSuchOrder { .. }), "{refused:?}");
    }

    pub(super) async fn a_lease_is_for_one(place: Place) {
        let (one, other) = (told(&place).await, place.open().await);
        let orders: Vec<NewOrder> = (0..40).map(|n| new_order(&n.to_string())).collect();
        one.enqueue_all(orders).await.unwrap();
        for n in 0..40 {
            one.cancel(&n.to_string()).await.unwrap();
        }
        assert_eq!(one.due_webhooks().await.unwrap(), ["crm"]);
        let claims = (0..10).map(|n| {
            let database = if n % 2 == 0 { &one } else { &other };
            async { database.claim_deliveries("crm", 7, LEASE).await.unwrap() }
        });
        let claimed = futures::future::join_all(claims).await.concat();
        let ids: std::collections::BTreeSet<&str> =
            claimed.iter().map(|claimed| claimed.id.as_str()).collect();
        assert_eq!((claimed.len(), ids.len()), (40, 40), "each is leased once");
        assert_eq!(one.due_webhooks().await.unwrap(), Vec::<String>::new());

        // A process that is killed leaves its lease, which ends.
        place.sql("UPDATE sitewright_deliveries SET next_at = 1").await;
        let again = claim_all(&other, "crm").await;
        assert_eq!(again.len(), 40);
        let late = &claimed[0];
        let mine = again.iter().find(|one| one.id == late.id).unwrap();
        assert_eq!(mine.payload, late.payload, "the same bytes under the same id");
        let done = AttemptResult::Delivered;
        assert_eq!(one.record_delivery(late, record(Some(200)), done.clone()).await.unwrap(), None);
        let state = other.record_delivery(mine, record(Some(200)), done).await.unwrap();
        assert_eq!(state, Some(DeliveryState::Delivered));
        let (delivery, attempts) = one.delivery(&late.id).await.unwrap().unwrap();
        assert_eq!((delivery.state, delivery.attempts), (DeliveryState::Delivered, 1));
        assert_eq!(attempts.len(), 1, "{attempts:?}");
        assert_eq!((attempts[0].status, attempts[0].took_ms), (Some(200), 7));
        assert_eq!(attempts[0].body.as_deref(), Some("thanks\u{fffd}"));
        // One that goes back without an attempt is due when it says.
        let unsent = again.iter().find(|one| one.id != late.id).unwrap();
        other.defer_delivery(unsent, Duration::ZERO).await.unwrap();
        let back = claim_all(&one, "crm").await;
        assert_eq!((back.len(), back[0].id.as_str(), back[0].attempt), (1, &*unsent.id, 1));
    }

    pub(super) async fn a_delivery_is_given_up_after_a_day(place: Place) {
        let database = told(&place).await;
        database.enqueue(new_order("1")).await.unwrap();
        database.cancel("1").await.unwrap();
        let first = claim_all(&database, "crm").await.remove(0);
        let state = database.record_delivery(&first, record(None), retry()).await.unwrap();
        assert_eq!(state, Some(DeliveryState::Pending));
        let (pending, _) = database.delivery(&first.id).await.unwrap().unwrap();
        assert_eq!((pending.attempts, pending.last_error.as_deref()), (1, Some("no answer")));
        assert!(pending.next_at.unwrap() > now_ms() + 1_000, "{pending:?}");
        assert_eq!(claim_all(&database, "crm").await, [], "it waits");

        let almost = now_ms() - 24 * 3_600_000 + 60_000;
        let due =
            format!("UPDATE sitewright_deliveries SET next_at = 1, first_attempt_at = {almost}");
        place.sql(&due).await;
        let second = claim_all(&database, "crm").await.remove(0);
        assert_eq!(second.attempt, 2);
        let state = database.record_delivery(&second, record(None), retry()).await.unwrap();
        assert_eq!(state, Some(DeliveryState::Pending), "a minute is left");
        place.sql(&due.replace(&almost.to_string(), &(almost - 60_000).to_string())).await;
        let third = claim_all(&database, "crm").await.remove(0);
        let state = database.record_delivery(&third, record(Some(500)), retry()).await.unwrap();
        assert_eq!(state, Some(DeliveryState::GivenUp));
        assert_eq!(database.due_webhooks().await.unwrap(), Vec::<String>::new());

        let again = database.redeliver(&first.id).await.unwrap().unwrap();
        assert_eq!((again.state, again.attempts), (DeliveryState::Pending, 0));
        let fourth = claim_all(&database, "crm").await.remove(0);
        assert_eq!((&fourth.id, fourth.attempt), (&first.id, 1), "the same id");
        // One that is being sent stays with who sends it.
        database.redeliver(&first.id).await.unwrap();
        assert_eq!(claim_all(&database, "crm").await, []);
        let done = AttemptResult::Delivered;
        database.record_delivery(&fourth, record(Some(204)), done).await.unwrap();
        let (delivered, attempts) = database.delivery(&first.id).await.unwrap().unwrap();
        assert_eq!(delivered.state, DeliveryState::Delivered);
        assert_eq!(delivered.last_error, None);
        assert_eq!(attempts.len(), 4);
        assert!(database.redeliver("msg_nothing").await.unwrap().is_none());

        assert_eq!(
            database.expire_deliveries(delivered.ended_at.unwrap(), 10, false).await.unwrap(),
            0
        );
        let after = now_ms() + 1;
        assert_eq!(database.expire_deliveries(after, 10, true).await.unwrap(), 1);
        assert_eq!(database.expire_deliveries(after, 10, false).await.unwrap(), 1);
        assert_eq!(place.number("SELECT count(*) FROM sitewright_delivery_attempts").await, 0);
    }

    pub(super) async fn a_receiver_that_is_gone_is_not_called_again(place: Place) {
        let database = told(&place).await;
        for order in ["1", "2"] {
            database.enqueue(new_order(order)).await.unwrap();
            database.cancel(order).await.unwrap();
        }
        let claimed = database.claim_deliveries("crm", 1, LEASE).await.unwrap();
        let gone = AttemptResult::Gone { reason: "it answered 410".to_owned() };
        let state = database.record_delivery(&claimed[0], record(Some(410)), gone).await.unwrap();
        assert_eq!(state, Some(DeliveryState::GivenUp));
        assert_eq!(database.due_webhooks().await.unwrap(), Vec::<String>::new());
        assert_eq!(claim_all(&database, "crm").await, []);
        let webhook = database.webhooks().await.unwrap().remove(0);
        assert_eq!(webhook.disabled_reason.as_deref(), Some("it answered 410"));
        assert_eq!(webhook.pending, 1);
        // Nothing is written for it, also not after a process with the same configuration starts.
        database.see_webhooks(vec![seen("crm", &WebhookEvent::OF_ORDERS)]).await.unwrap();
        database.reopen("1", None).await.unwrap();
        database.cancel("1").await.unwrap();
        assert_eq!(deliveries_to(&database, "crm").await.len(), 2);
        // What waits is given up after a day, and is sent if it is enabled before.
        assert_eq!(database.give_up_deliveries().await.unwrap(), 0);
        let enabled = database.enable_webhook("crm").await.unwrap().unwrap();
        assert_eq!((enabled.disabled_at, enabled.pending), (None, 1));
        assert_eq!(claim_all(&database, "crm").await.len(), 1);
        assert!(database.enable_webhook("nobody").await.unwrap().is_none());
        // Another address is another receiver.
        place.sql("UPDATE sitewright_webhooks SET disabled_at = 1, disabled_reason = 'x'").await;
        place
            .sql("UPDATE sitewright_deliveries SET next_at = 1, at = 1 WHERE state = 'pending'")
            .await;
        assert_eq!(database.give_up_deliveries().await.unwrap(), 1);
        let moved = Seen { url: "https://new.example/".to_owned(), ..seen("crm", &[]) };
        database.see_webhooks(vec![moved]).await.unwrap();
        assert_eq!(database.webhooks().await.unwrap()[0].disabled_at, None);
    }

    pub(super) async fn a_webhook_that_nobody_has_is_forgotten(place: Place) {
        let database = told(&place).await;
        database.see_webhooks(vec![seen("old", &WebhookEvent::OF_ORDERS)]).await.unwrap();
        database.enqueue(new_order("1")).await.unwrap();
        database.cancel("1").await.unwrap();
        assert_eq!(database.forget_webhooks(&[]).await.unwrap(), Vec::<String>::new());
        place.sql("UPDATE sitewright_webhooks SET seen_at = 1").await;
        let forgotten = database.forget_webhooks(&["crm".to_owned()]).await.unwrap();
        assert_eq!(forgotten, ["old"]);
        assert_eq!(database.give_up_deliveries().await.unwrap(), 1);
        database.reopen("1", None).await.unwrap();
        database.cancel("1").await.unwrap();
        assert_eq!(deliveries_to(&database, "old").await.len(), 1);
        assert_eq!(deliveries_to(&database, "crm").await.len(), 2);
    }

    pub(super) async fn an_erased_order_takes_its_deliveries_with_it(place: Place) {
        let database = told(&place).await;
        let with = |id: &str| NewOrder {
            callback: Some("https://shop.example/".to_owned()),
            ..new_order(id)
        };
        for order in ["1", "2", "3"] {
            database.enqueue(with(order)).await.unwrap();
            database.cancel(order).await.unwrap();
        }
        let sent = claim_all(&database, "crm").await;
        let of_1 = sent.iter().find(|one| one.order.as_deref() == Some("1")).unwrap();
        database.record_delivery(of_1, record(Some(500)), retry()).await.unwrap();
        let removed = database.erase("1").await.unwrap();
        assert_eq!(removed.deliveries, 2);
        let left = "SELECT count(*) FROM sitewright_delivery_attempts";
        assert_eq!(place.number(left).await, 0);
        assert!(database.delivery(&of_1.id).await.unwrap().is_none());
        // One that was sent meanwhile leaves nothing.
        let late = database.record_delivery(of_1, record(Some(200)), AttemptResult::Delivered);
        assert_eq!(late.await.unwrap(), None);
        // What is told of an order that expired is told all the same.
        let (expired, _) =
            database.expire_orders(OrderState::Cancelled, i64::MAX, 1).await.unwrap();
        assert_eq!(expired, ["2"]);
        database.remove_late_rows(&["1".to_owned(), "2".to_owned()], 0).await.unwrap();
        assert_eq!(deliveries_to(&database, "crm").await.len(), 2);
        let callbacks = "SELECT count(*) FROM sitewright_callbacks";
        assert_eq!(place.number(callbacks).await, 1);
    }
}
