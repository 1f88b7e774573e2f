//! `/v1/webhooks`, and the callbacks of orders.

on_both!(
    deliveries_are_listed_shown_and_sent_again,
    callbacks_are_those_that_may_be_called,
    the_callback_of_an_order_is_set_enabled_and_removed,
);

mod tests {
    use sitewright_jobs::{
        AttemptResult, CALLBACK, DeliveryFilter, DeliveryRecord, Seen, WebhookEvent,
    };

    use crate::*;

    fn record(status: u16) -> DeliveryRecord {
        DeliveryRecord {
            at: 1_764_403_200_000,
            took: Duration::from_millis(12),
            status: Some(status),
            error: Some("the receiver answered 410 Gone".to_owned()),
            body: Some("go away".to_owned()),
        }
    }

    pub(super) async fn deliveries_are_listed_shown_and_sent_again(place: Place) {
        let api = place.serve().await;
        let none = api.get("/v1/webhooks").await;
        assert_eq!((none.status, &none.body["webhooks"]), (StatusCode::OK, &json!([])));
        let seen = Seen {
            name: "crm".to_owned(),
            url: "https://crm.example/".to_owned(),
            events: vec![WebhookEvent::OrderCancelled, WebhookEvent::OrderFailed],
        };
        api.database.see_webhooks(vec![seen]).await.unwrap();
        for n in 0..7 {
            let order = format!("o{n}");
            api.add(&order).await;
            api.post(&format!("/v1/orders/{order}/cancel")).await;
        }
        let listed = api.get("/v1/webhooks").await;
        let webhook = &listed.body["webhooks"][0];
        assert_eq!(webhook["events"], json!(["order.cancelled", "order.failed"]), "{webhook}");
        assert_eq!((&webhook["name"], &webhook["pending"]), (&json!("crm"), &json!(7)));

        let (mut found, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = api.get(&format!("/v1/webhooks/deliveries?limit=3{cursor}")).await;
            assert_eq!(page.status, StatusCode::OK, "{page:?}");
            let deliveries = page.body["deliveries"].as_array().unwrap();
            found.extend(deliveries.iter().map(|one| one["id"].as_str().unwrap().to_owned()));
            match page.body["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), 7, "{found:?}");
        for (query, count) in [
            ("order=o3", 1),
            ("webhook=crm", 7),
            ("webhook=callback", 0),
            ("state=pending", 7),
            ("state=given_up", 0),
        ] {
            let page = api.get(&format!("/v1/webhooks/deliveries?{query}")).await;
            assert_eq!(page.body["deliveries"].as_array().unwrap().len(), count, "{query}");
        }

        let lease = Duration::from_secs(60);
        let claimed = api.database.claim_deliveries("crm", 1, lease).await.unwrap().remove(0);
        let gone = AttemptResult::Gone { reason: "410 Gone".to_owned() };
        api.database.record_delivery(&claimed, record(410), gone).await.unwrap();
        let path = format!("/v1/webhooks/deliveries/{}", claimed.id);
        let shown = api.get(&path).await;
        assert_eq!(shown.body["delivery"]["state"], "given_up", "{shown:?}");
        assert_eq!(shown.body["delivery"]["last_status"], 410);
        assert_eq!(shown.body["attempts"][0]["body"], "go away");
        assert!(!api.get("/v1/webhooks").await.body["webhooks"][0]["disabled_at"].is_null());

        let again = api.post(&format!("{path}/redeliver")).await;
        assert_eq!(again.status, StatusCode::ACCEPTED, "{again:?}");
        assert_eq!(again.body["delivery"]["state"], "pending");
        let enabled = api.post("/v1/webhooks/crm/enable").await;
        assert_eq!((enabled.status, &enabled.body["outcome"]), (StatusCode::OK, &json!("enabled")));
        assert!(enabled.body["webhook"]["disabled_at"].is_null(), "{enabled:?}");
        let audit = api.database.audit_log(i64::MAX, 2).await.unwrap();
        let audited: Vec<_> =
            audit.iter().map(|one| (one.action.as_str(), one.target.as_deref())).collect();
        assert_eq!(
            audited,
            [("webhook.enable", Some("crm")), ("webhook.redeliver", Some(claimed.id.as_str()))]
        );

        api.get("/v1/webhooks/deliveries/nothing").await.is_problem(404, "no_such_delivery");
        api.post("/v1/webhooks/deliveries/nothing/redeliver")
            .await
            .is_problem(404, "no_such_delivery");
        api.post("/v1/webhooks/nobody/enable").await.is_problem(404, "no_such_webhook");
        for query in ["limit=0", "state=lost", "cursor=x", "colour=red"] {
            let page = api.get(&format!("/v1/webhooks/deliveries?{query}")).await;
            page.is_problem(400, "bad_request");
        }
    }

    pub(super) async fn callbacks_are_those_that_may_be_called(place: Place) {
        let api = place.serve().await;
        let add = |id: &str, url: &str| {
            let mut request =
                api.request(Method::POST, "/v1/orders").json(&document(id)).build().unwrap();
            let query = [("template", "flora"), ("callback", url)];
            request.url_mut().query_pairs_mut().extend_pairs(query);
            send(RequestBuilder::from_parts(api.client.clone(), request))
        };
        for (url, says) in [
            ("", "not a URL"),
            ("http://crm.example/", "begins with http://"),
            ("https://127.0.0.1:5432/", "127.0.0.1"),
            ("https://[fd00::1]/", "fd00::1"),
            ("https://169.254.169.254/latest/", "169.254.169.254"),
            ("https://user:secret@crm.example/", "user name or password"),
        ] {
            let refused = add("1", url).await;
            refused.is_problem(422, "callback_refused");
            let detail = refused.body["detail"].as_str().unwrap();
            assert!(detail.contains(says) && !detail.contains("secret"), "{url}: {detail}");
        }
        api.get("/v1/orders/1").await.is_problem(404, "no_such_order");
        let added = add("1", "https://crm.example/done?order=1&x=\u{e4}").await;
        assert_eq!(added.status, StatusCode::ACCEPTED, "{added:?}");
        // The same order with another callback is told so, and keeps the one that it has.
        let differs = add("1", "https://other.example/").await;
        differs.is_problem(409, "order_differs");
        assert_eq!(
            (&differs.body["differs"], &differs.body["fields"]),
            (&json!("callback"), &json!([])),
            "{differs:?}"
        );
        assert!(!differs.text.contains("crm.example"), "{differs:?}");
        let same = add("1", "https://crm.example/done?order=1&x=%C3%A4").await;
        assert_eq!((same.status, &same.body["differs"]), (StatusCode::OK, &Value::Null));
        let path = "/v1/orders?template=flora";
        let without = api.send(Method::POST, path, &document("1")).await;
        assert_eq!(without.status, StatusCode::OK, "it says nothing about the callback");
        // One that had none would never be told.
        api.add("none").await;
        let differs = add("none", "https://crm.example/").await;
        assert_eq!(differs.body["differs"], "callback", "{differs:?}");
        assert_eq!(api.get("/v1/orders/none").await.body["callback"], Value::Null);
        api.post("/v1/orders/1/cancel").await;
        let lease = Duration::from_secs(60);
        let claimed = api.database.claim_deliveries(CALLBACK, 5, lease).await.unwrap();
        let urls: Vec<_> = claimed.iter().map(|one| one.url.as_deref().unwrap()).collect();
        assert_eq!(urls, ["https://crm.example/done?order=1&x=%C3%A4"]);
        let erased = send(api.request(Method::DELETE, "/v1/orders/1")).await;
        assert_eq!(erased.body["rows"]["deliveries"], 1, "{erased:?}");

        // A revision brings another one, whatever became of the old one.
        let shown = async || api.get("/v1/orders/r").await.body["callback"].clone();
        let mut body = document("r");
        for (method, path, name, url) in [
            (Method::POST, "/v1/orders?template=flora", "Flora", "https://a.example/"),
            (Method::POST, "/v1/orders?template=flora&revise=true", "Fauna", "https://b.example/"),
            (Method::POST, "/v1/orders?template=flora&revise=true", "Fauna", "https://c.example/"),
            (Method::PUT, "/v1/orders/r/document?template=flora", "Lora", "https://d.example/"),
            (Method::PUT, "/v1/orders/r/document?template=flora", "Lora", "https://e.example/"),
        ] {
            body["business_name"] = json!(name);
            let with = api.send(method, &format!("{path}&callback={url}key"), &body).await;
            assert!(with.status.is_success(), "{url}: {with:?}");
            let shown = shown().await;
            assert_eq!((&shown["url"], &shown["disabled_at"]), (&json!(url), &Value::Null));
        }
        let path = "/v1/orders/r/document?callback=http://a.example/";
        api.send(Method::PUT, path, &body).await.is_problem(422, "callback_refused");
        assert_eq!(shown().await["url"], "https://e.example/");
        let erased = send(api.request(Method::DELETE, "/v1/orders/r")).await;
        assert_eq!(erased.status, StatusCode::OK, "{erased:?}");
        let left = api.database.deliveries(&DeliveryFilter::default()).await.unwrap();
        assert_eq!(left, []);

        // Without `[callbacks]` there is no secret to sign with.
        let database = place.database().await;
        let parts = ServerParts { callbacks: None, ..place.parts(database.clone(), settings()) };
        let api = Api::start(parts, database).await;
        let path = "/v1/orders?template=flora&callback=https://crm.example/";
        let refused = api.send(Method::POST, path, &document("2")).await;
        refused.is_problem(422, "callback_refused");
    }

    pub(super) async fn the_callback_of_an_order_is_set_enabled_and_removed(place: Place) {
        let mut api = place.serve().await;
        let (with, without) = ("/v1/orders/1/callback", "/v1/orders/2/callback");
        api.add("1").await;
        api.add("2").await;
        api.log_in(&[Scope::Submit, Scope::Operate]).await;
        let api = api;
        let put =
            async |path: &str, url: &str| api.send(Method::PUT, path, &json!({ "url": url })).await;
        let remove = async |path: &str| send(api.request(Method::DELETE, path)).await;
        let shown = async || api.get("/v1/orders/1").await.body["callback"].clone();
        for (url, says) in [
            ("", "not a URL"),
            ("http://crm.example/", "begins with http://"),
            ("https://10.0.0.1/", "10.0.0.1"),
            ("https://[::1]/", "::1"),
            ("https://user:secret@crm.example/", "user name or password"),
        ] {
            let refused = put(with, url).await;
            refused.is_problem(422, "callback_refused");
            let detail = refused.body["detail"].as_str().unwrap();
            assert!(detail.contains(says) && !detail.contains("secret"), "{url}: {detail}");
        }
        for body in [json!({}), json!({ "callback": "https://crm.example/" }), json!([])] {
            api.send(Method::PUT, with, &body).await.is_problem(400, "bad_request");
        }
        assert_eq!(shown().await, Value::Null);

        let set = put(with, "https://crm.example/done?key=1").await;
        assert_eq!((set.status, &set.body["outcome"]), (StatusCode::OK, &json!("set")), "{set:?}");
        assert_eq!(set.body["callback"]["url"], "https://crm.example/", "its path may be a key");
        assert_eq!(shown().await, set.body["callback"]);
        let again = put(with, "https://crm.example/done?key=1").await;
        assert_eq!(again.body["outcome"], "unchanged", "{again:?}");
        let enable = async |path: &str| api.post(&format!("{path}/enable")).await;
        assert_eq!(enable(with).await.body["outcome"], "unchanged");

        // Its receiver disables it.
        api.database.cancel("1").await.unwrap();
        let lease = Duration::from_secs(60);
        let claim = async || api.database.claim_deliveries(CALLBACK, 5, lease).await.unwrap();
        let claimed = claim().await.remove(0);
        assert_eq!(claimed.url.as_deref(), Some("https://crm.example/done?key=1"));
        let gone = AttemptResult::Gone { reason: "410 Gone".to_owned() };
        api.database.record_delivery(&claimed, record(410), gone).await.unwrap();
        assert!(!shown().await["disabled_at"].is_null());
        let enabled = enable(with).await;
        assert_eq!(enabled.body["outcome"], "enabled", "{enabled:?}");
        assert!(enabled.body["callback"]["disabled_at"].is_null(), "{enabled:?}");

        // What is pending for it is not sent any more.
        api.database.reopen("1", None).await.unwrap();
        api.database.cancel("1").await.unwrap();
        let removed = remove(with).await;
        assert_eq!((removed.status, &removed.body["outcome"]), (StatusCode::OK, &json!("removed")));
        assert_eq!((&removed.body["callback"], shown().await), (&Value::Null, Value::Null));
        assert_eq!(claim().await, []);
        assert_eq!(remove(with).await.body["outcome"], "unchanged");
        enable(without).await.is_problem(404, "no_such_webhook");

        let nobody = "/v1/orders/nobody/callback";
        put(nobody, "https://crm.example/").await.is_problem(404, "no_such_order");
        remove(nobody).await.is_problem(404, "no_such_order");
        enable(nobody).await.is_problem(404, "no_such_order");
        let log = api.database.audit_log(i64::MAX, 100).await.unwrap();
        let done: BTreeSet<_> = log
            .iter()
            .filter(|entry| entry.status == 200 && entry.target.as_deref() == Some("1"))
            .map(|entry| entry.action.as_str())
            .collect();
        assert_eq!(done, BTreeSet::from(["callback.set", "callback.enable", "callback.remove"]));
        assert!(!format!("{log:?}").contains("key="), "{log:?}");

        // Without `[callbacks]` there is no secret to sign with.
        let database = place.database().await;
        let parts = ServerParts { callbacks: None, ..place.parts(database.clone(), settings()) };
        let mut other = Api::start(parts, database).await;
        other.token = api.token.clone();
        let refused =
            other.send(Method::PUT, with, &json!({ "url": "https://crm.example/" })).await;
        refused.is_problem(422, "callback_refused");
    }
}
