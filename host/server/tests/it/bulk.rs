//! `/v1/bulk`: many orders at once, in the background.

on_both!(
    many_orders_are_changed_in_the_background,
    a_bulk_action_is_stopped,
    a_bulk_action_goes_on_in_the_next_server,
    bulk_actions_of_one_tenant_leave_room_for_those_of_others,
    not_too_many_bulk_actions_wait,
);

mod tests {
    use sitewright_jobs::{
        BulkAction, BulkState, MAX_BULK_RUNS, MAX_BULK_RUNS_OF_TENANT, NewBulkRun, NewOrder,
        OrderState, Selection,
    };

    use crate::*;

    async fn add(api: &Api, range: std::ops::Range<u32>, template: &str) {
        let orders = range.map(|n| NewOrder::new(format!("o{n}"), template, "{}"));
        api.database.enqueue_all(orders.collect()).await.unwrap();
    }

    async fn bulk(api: &Api, body: Value) -> Answer {
        api.send(Method::POST, "/v1/bulk", &body).await
    }

    async fn ended(api: &Api, started: &Answer) -> Value {
        let path = format!("/v1/bulk/{}", started.body["run"]["id"].as_str().unwrap());
        until("it has ended", || async { api.get(&path).await.body["state"] != "running" }).await;
        api.get(&path).await.body
    }

    pub(super) async fn many_orders_are_changed_in_the_background(place: Place) {
        let api = place.serve().await;
        add(&api, 0..450, "flora").await;
        add(&api, 450..460, "fauna").await;
        let cancel = json!({ "action": "cancel", "filter": { "template": "flora" } });
        let mut dry = cancel.clone();
        dry["dry_run"] = json!(true);
        let dry = bulk(&api, dry).await;
        assert_eq!((dry.status, &dry.body["outcome"]), (StatusCode::OK, &json!("dry_run")));
        assert_eq!(dry.body["selected"], 450);
        assert_eq!(dry.body["orders"].as_array().unwrap().len(), 450);
        assert_eq!(api.database.audit_log(i64::MAX, 10).await.unwrap(), []);

        let started = bulk(&api, cancel).await;
        assert_eq!(started.status, StatusCode::ACCEPTED, "{started:?}");
        let run = ended(&api, &started).await;
        assert_eq!((&run["state"], &run["changed"]), (&json!("done"), &json!(450)), "{run}");
        assert_eq!((&run["unchanged"], &run["reason"]), (&json!(0), &Value::Null), "{run}");
        let stats = api.get("/v1/stats").await.body;
        assert_eq!(
            (&stats["orders"]["cancelled"], &stats["orders"]["queued"]),
            (&json!(450), &json!(10))
        );
        let audit = api.database.audit_log(i64::MAX, 10).await.unwrap();
        let id = run["id"].as_str().unwrap();
        let actions: Vec<(&str, &str)> = audit
            .iter()
            .map(|entry| (entry.action.as_str(), entry.target.as_deref().unwrap()))
            .collect();
        let end = format!("{id}: cancel, 450 of 450 orders");
        assert!(actions.contains(&("bulk.start", id)), "{actions:?}");
        assert!(actions.contains(&("bulk.end", &end)), "{actions:?}");
        assert_eq!(run["outcomes"], json!({ "cancelled": 450 }));
        assert_eq!(
            (&run["actor"], &run["selection"]["template"]),
            (&json!("local"), &json!("flora"))
        );

        let retry = json!({
            "action": "retry", "filter": { "states": ["cancelled"], "limit": 3 },
        });
        let run = ended(&api, &bulk(&api, retry).await).await;
        assert_eq!(run["changed"], 3, "{run}");
        let path = format!("/v1/bulk/{}", run["id"].as_str().unwrap());
        let late = send(api.request(Method::DELETE, &path)).await;
        assert_eq!((late.status, &late.body["outcome"]), (StatusCode::OK, &json!("already_ended")));

        for body in [
            json!({}),
            json!({ "action": "retry" }),
            json!({ "action": "retry", "filter": { "limit": 3 } }),
            json!({ "action": "erase", "filter": { "template": "flora" } }),
            json!({ "action": "retry", "filter": { "states": ["queued"] } }),
            json!({ "action": "cancel", "filter": { "states": ["dead"] } }),
            json!({ "action": "cancel", "filter": { "colour": "red" } }),
        ] {
            bulk(&api, body).await.is_problem(400, "bad_request");
        }
        // What no order can have is named, also if nothing would be changed.
        for (name, value) in [
            ("states/0", json!({ "states": ["nope"] })),
            ("states/1", json!({ "states": ["failed", ""] })),
            ("states/0", json!({ "states": ["running"] })),
            ("template", json!({ "template": "" })),
            ("template", json!({ "template": "  " })),
            ("tenant", json!({ "tenant": "" })),
            ("tenant", json!({ "tenant": "a\0" })),
            ("kind", json!({ "kind": "" })),
            ("kind", json!({ "kind": "nope" })),
            ("fingerprint", json!({ "fingerprint": "" })),
            ("fingerprint", json!({ "fingerprint": "%" })),
            ("fingerprint", json!({ "fingerprint": "abc" })),
            ("fingerprint", json!({ "fingerprint": "0123456g" })),
            ("since", json!({ "since": "" })),
            ("since", json!({ "since": "soon" })),
            ("limit", json!({ "template": "flora", "limit": 0 })),
        ] {
            let body = json!({ "action": "retry", "filter": value, "dry_run": true });
            let refused = bulk(&api, body).await;
            refused.is_problem(400, "bad_request");
            let named = format!("`/filter/{name}`");
            assert!(refused.body["detail"].as_str().unwrap().contains(&named), "{refused:?}");
        }
        // Times are those of all other requests.
        let ago = sitewright_model::time::now_ms() - 3_600_000;
        for (since, selected) in [
            (json!("1h"), 10),
            (json!(ago), 10),
            (json!(ago.to_string()), 10),
            (json!("2020-01-01"), 10),
            (json!("2020-01-01T08:00:00Z"), 10),
            (json!("2990-01-01"), 0),
        ] {
            let filter = json!({ "template": "fauna", "since": since });
            let body = json!({ "action": "cancel", "filter": filter, "dry_run": true });
            let dry = bulk(&api, body).await;
            assert_eq!(dry.body["selected"], selected, "{since}: {dry:?}");
        }
        api.get("/v1/bulk/nothing").await.is_problem(404, "no_such_bulk");
        send(api.request(Method::DELETE, "/v1/bulk/nothing")).await.is_problem(404, "no_such_bulk");
    }

    pub(super) async fn a_bulk_action_is_stopped(place: Place) {
        // One that another server makes: it stops with the next batch.
        let database = place.database().await;
        let orders = (0..300).map(|n| NewOrder::new(format!("first{n}"), "fauna", "{}"));
        database.enqueue_all(orders.collect()).await.unwrap();
        let run = database.begin_bulk(cancel("fauna", 300)).await.unwrap().unwrap();
        let mut claimed = database.claim_bulk().await.unwrap().unwrap();
        assert!(database.step_bulk(&mut claimed, None).await.unwrap());
        let api = place.serve().await;
        let path = format!("/v1/bulk/{}", run.id);
        let shown = api.get(&path).await.body;
        assert_eq!((&shown["state"], &shown["changed"]), (&json!("running"), &json!(200)));
        let stopping = send(api.request(Method::DELETE, &path)).await;
        assert_eq!(stopping.status, StatusCode::ACCEPTED, "{stopping:?}");
        assert_eq!(stopping.body["outcome"], "stopping");
        assert!(!database.step_bulk(&mut claimed, None).await.unwrap());
        let shown = api.get(&path).await.body;
        assert_eq!((&shown["state"], &shown["changed"]), (&json!("stopped"), &json!(200)));
        assert_eq!(shown["reason"], "somebody stopped it");
        // And one that a server has: it ends before it has seen all orders, or with them.
        add(&api, 0..1_000, "flora").await;
        let filter = json!({ "states": ["queued"], "template": "flora" });
        let body = json!({ "action": "cancel", "filter": filter });
        let started = bulk(&api, body).await;
        let path = format!("/v1/bulk/{}", started.body["run"]["id"].as_str().unwrap());
        send(api.request(Method::DELETE, &path)).await;
        let run = ended(&api, &started).await;
        let changed = run["changed"].as_i64().unwrap();
        match run["state"].as_str().unwrap() {
            "stopped" => assert!(changed < 1_000, "{run}"),
            "done" => assert_eq!(changed, 1_000, "{run}"),
            other => panic!("{other}: {run}"),
        }
    }

    fn cancel(template: &str, selected: usize) -> NewBulkRun {
        NewBulkRun {
            action: BulkAction::Cancel,
            selection: Selection {
                states: vec![OrderState::Queued],
                template: Some(template.to_owned()),
                ..Selection::default()
            },
            selected,
            token: None,
            actor: "somebody".to_owned(),
        }
    }

    pub(super) async fn a_bulk_action_goes_on_in_the_next_server(place: Place) {
        let first = place.serve().await;
        add(&first, 0..2_000, "flora").await;
        let body = json!({ "action": "cancel", "filter": { "template": "flora" } });
        let started = bulk(&first, body).await;
        let path = format!("/v1/bulk/{}", started.body["run"]["id"].as_str().unwrap());
        until("it has begun", || async { first.get(&path).await.body["changed"] != 0 }).await;
        first.stop.cancel();
        first.serving.await.unwrap();
        let id = started.body["run"]["id"].as_str().unwrap();
        let left = first.database.bulk_run(id).await.unwrap().unwrap();
        assert!(matches!(left.state, BulkState::Running | BulkState::Done), "{left:?}");

        let second = place.serve().await;
        let run = ended(&second, &started).await;
        assert_eq!((&run["state"], &run["changed"]), (&json!("done"), &json!(2_000)), "{run}");
        assert_eq!(run["outcomes"], json!({ "cancelled": 2_000 }));
        let stats = second.database.stats().await.unwrap();
        assert_eq!(stats.count(OrderState::Cancelled), 2_000);
        // The claim of the first server is gone: what it may still do changes nothing.
        assert!(second.database.claim_bulk().await.unwrap().is_none());
    }

    pub(super) async fn bulk_actions_of_one_tenant_leave_room_for_those_of_others(place: Place) {
        let database = place.database().await;
        let of = |tenant: Option<&str>| {
            let run = cancel("flora", 1);
            let tenant = tenant.map(str::to_owned);
            NewBulkRun { selection: Selection { tenant, ..run.selection.clone() }, ..run }
        };
        let other = place.database().await;
        // At once, through two servers.
        let begun = (0..12).map(|number| {
            let server = if number % 2 == 0 { &database } else { &other };
            let run = of(Some("acme"));
            async move { server.begin_bulk(run).await.unwrap().is_some() }
        });
        let begun = futures::future::join_all(begun).await;
        let begun = begun.into_iter().filter(|is_begun| *is_begun).count();
        assert_eq!(i64::try_from(begun).unwrap(), MAX_BULK_RUNS_OF_TENANT);
        for tenant in [Some("other"), None] {
            assert!(database.begin_bulk(of(tenant)).await.unwrap().is_some(), "{tenant:?}");
        }
        // Those of `acme` came first, and only two of them are made at once.
        // Two servers look for them at the same time: one of them may have to look again.
        let mut made = Vec::new();
        loop {
            let claimed = tokio::join!(database.claim_bulk(), other.claim_bulk());
            let claimed = [claimed.0.unwrap(), claimed.1.unwrap()];
            if claimed.iter().all(Option::is_none) {
                break;
            }
            made.extend(claimed.iter().flatten().map(|run| run.id().to_owned()));
        }
        let tenants = async |tenant: Option<&str>| {
            let runs = database.bulk_runs(tenant, 100).await.unwrap();
            runs.iter().filter(|run| made.contains(&run.id)).count()
        };
        assert_eq!((tenants(Some("acme")).await, tenants(Some("other")).await), (2, 1));
        assert_eq!(tenants(None).await, 4, "and the one without a tenant");
    }

    pub(super) async fn not_too_many_bulk_actions_wait(place: Place) {
        let database = place.database().await;
        for _ in 0..MAX_BULK_RUNS {
            assert!(database.begin_bulk(cancel("flora", 1)).await.unwrap().is_some());
            // Another server has it, and makes it slowly.
            assert!(database.claim_bulk().await.unwrap().is_some());
        }
        let api = place.serve().await;
        let body = json!({ "action": "cancel", "filter": { "template": "flora" } });
        bulk(&api, body).await.is_problem(429, "too_many_changes");
    }
}
