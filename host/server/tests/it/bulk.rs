//! `/v1/bulk`: many orders at once, in the background.

on_both!(many_orders_are_changed_in_the_background, a_bulk_action_is_stopped);

mod tests {
    use sitewright_jobs::{BulkAction, NewOrder};

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
        assert_eq!(audit[0].action, "bulk.start");
        assert_eq!(audit[0].target.as_deref(), run["id"].as_str());

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
        api.get("/v1/bulk/nothing").await.is_problem(404, "no_such_bulk");
        send(api.request(Method::DELETE, "/v1/bulk/nothing")).await.is_problem(404, "no_such_bulk");
    }

    pub(super) async fn a_bulk_action_is_stopped(place: Place) {
        let api = place.serve().await;
        // Of a process that does not go on: the order to stop is seen by whoever records.
        let run = api.database.begin_bulk(BulkAction::Cancel, 500).await.unwrap();
        assert!(!api.database.record_bulk(&run.id, 199, 1).await.unwrap());
        let path = format!("/v1/bulk/{}", run.id);
        let shown = api.get(&path).await.body;
        assert_eq!((&shown["state"], &shown["changed"]), (&json!("running"), &json!(199)));
        let stopping = send(api.request(Method::DELETE, &path)).await;
        assert_eq!(stopping.status, StatusCode::ACCEPTED, "{stopping:?}");
        assert_eq!(stopping.body["outcome"], "stopping");
        assert!(api.database.record_bulk(&run.id, 200, 0).await.unwrap());
        // And one that a server has: it ends before it has seen all orders, or with them.
        add(&api, 0..1_000, "flora").await;
        let body = json!({ "action": "cancel", "filter": { "states": ["queued"] } });
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
}
