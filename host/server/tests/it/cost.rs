//! `/v1/cost`: what AI calls cost, how long they took, and how they failed; the same in the
//! console.

on_both!(
    costs_are_added_up_by_what_is_asked,
    percentiles_are_those_of_each_model,
    attempts_that_failed_are_added_up_by_kind,
    replies_from_the_cache_and_tries_are_told,
    tenants_are_told_apart,
);

mod tests {
    use sitewright_jobs::{AiFailureSeries, AiTry, NewAiCall, NewOrder};
    use sitewright_model::ai::{AiErrorKind, AttemptOutcome};
    use sitewright_model::time::now_ms;

    use crate::visitor::Browser;
    use crate::*;

    const DAY_MS: i64 = 24 * 3_600_000;

    fn call(n: u32, purpose: &str, model: &str, cost: Option<u64>) -> NewAiCall {
        NewAiCall {
            request: format!("r{n}"),
            occurrence: 0,
            purpose: purpose.to_owned(),
            provider: "openai".to_owned(),
            model: model.to_owned(),
            cost_nano_usd: cost,
            input_tokens: Some(10),
            output_tokens: Some(u64::from(n)),
            took_ms: None,
            tries: Vec::new(),
            entry: json!({}),
        }
    }

    pub(super) async fn costs_are_added_up_by_what_is_asked(place: Place) {
        let api = place.serve().await;
        let none = api.get("/v1/cost").await;
        assert_eq!(none.body["rows"], json!([]), "{none:?}");
        api.add("1").await;
        api.add("2").await;
        for (order, call) in [
            ("1", call(1, "copywriting", "small", Some(100))),
            ("1", call(2, "copywriting", "large", Some(2_000))),
            ("1", call(3, "code", "large", None)),
            ("2", call(4, "copywriting", "small", Some(30))),
            // A number that a provider invented adds what fits.
            ("2", call(5, "code", "odd", Some(u64::MAX))),
        ] {
            api.database.keep_reply(order, "a", call).await.unwrap();
        }
        let listed = api.get("/v1/orders/1/calls").await.body;
        let calls = listed["calls"].as_array().unwrap();
        let purposes: Vec<_> =
            calls.iter().map(|call| (&call["purpose"], &call["model"])).collect();
        let [copy, code, small, large] = ["copywriting", "code", "small", "large"].map(Value::from);
        assert_eq!(purposes, [(&copy, &small), (&copy, &large), (&code, &large)], "{listed}");
        assert_eq!(calls[1]["cost_nano_usd"], 2_000);
        assert_eq!((&calls[2]["cost_nano_usd"], &listed["more"]), (&Value::Null, &json!(false)));
        assert_eq!((&calls[0]["attempt"], &calls[0]["current"]), (&json!("a"), &json!(true)));
        assert_eq!(calls[0].get("entry"), None, "{listed}");
        api.get("/v1/orders/nothing/calls").await.is_problem(404, "no_such_order");
        let most = 1_099_511_627_776_i64;
        let today = api.get("/v1/cost").await;
        assert_eq!(today.body["rows"].as_array().unwrap().len(), 1, "{today:?}");
        assert_eq!(today.body["total"]["calls"], 5);
        assert_eq!(today.body["total"]["nano_usd"], 2_130 + most);
        assert_eq!(today.body["rows"][0]["cost"], today.body["total"]);
        assert_eq!(today.body["rows"][0]["cost"]["output_tokens"], 15);
        let day = sitewright_model::time::rfc3339(now_ms());
        assert_eq!(today.body["rows"][0]["day"], day[..10]);
        assert!(today.body["rows"][0]["model"].is_null());

        let by = api.get("/v1/cost?by=model,purpose").await;
        let rows: Vec<(String, String, i64)> = by.body["rows"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| {
                let text = |name: &str| row[name].as_str().unwrap().to_owned();
                (text("model"), text("purpose"), row["cost"]["nano_usd"].as_i64().unwrap())
            })
            .collect();
        let row = |model: &str, purpose: &str, cost| (model.to_owned(), purpose.to_owned(), cost);
        assert_eq!(
            rows,
            [
                row("large", "code", 0),
                row("large", "copywriting", 2_000),
                row("odd", "code", most),
                row("small", "copywriting", 130),
            ]
        );
        let by = api.get("/v1/cost?by=template,provider").await;
        assert_eq!(by.body["rows"][0]["template"], "flora");
        assert_eq!(by.body["rows"][0]["provider"], "openai");
        let total = api.get("/v1/cost?by=").await;
        assert_eq!(total.body["rows"].as_array().unwrap().len(), 1);
        // Before and after.
        let now = now_ms();
        for query in [
            format!("since={}&until={}", now - 3 * DAY_MS, now - 2 * DAY_MS),
            format!("since={}&until={}", now + DAY_MS, now + DAY_MS),
        ] {
            let none = api.get(&format!("/v1/cost?{query}")).await;
            assert_eq!(none.body["total"]["calls"], 0, "{query}: {none:?}");
        }
        let today = format!("since={}", &day[..10]);
        for query in ["since=1h", "since=7d&until=0s", "since=2w&until=1s", today.as_str()] {
            let answer = api.get(&format!("/v1/cost?{query}")).await;
            assert_eq!(answer.status, StatusCode::OK, "{query}: {answer:?}");
        }
        let hour = api.get("/v1/cost?since=1h").await;
        assert_eq!(hour.body["total"]["calls"], 5, "{hour:?}");
        for query in [
            "since=1s&until=1h",
            "since=",
            "until=soon",
            "by=colour",
            "by=day,",
            "since=0",
            "since=9&until=8",
            "since=x",
            "days=3",
        ] {
            api.get(&format!("/v1/cost?{query}")).await.is_problem(400, "bad_request");
        }
        // What is erased is not counted any more.
        send(api.request(Method::DELETE, "/v1/orders/2")).await;
        let left = api.get("/v1/cost").await;
        assert_eq!(left.body["total"]["nano_usd"], 2_100, "{left:?}");
    }
    pub(super) async fn percentiles_are_those_of_each_model(place: Place) {
        let api = place.serve().await;
        api.add("1").await;
        let none = api.get("/v1/cost").await;
        assert_eq!(none.body["latencies"], json!([]), "{none:?}");
        // 1 to 100 ms in no order, and a model with a single reply.
        for n in 0..100_u32 {
            let took_ms = Some(u64::from(n * 37 % 100 + 1));
            let call = NewAiCall { took_ms, ..call(n, "copywriting", "many", None) };
            api.database.keep_reply("1", "a", call).await.unwrap();
        }
        for (n, model, took_ms) in [(100, "one", Some(70_000)), (101, "of-a-batch", None)] {
            let call = NewAiCall { took_ms, ..call(n, "copywriting", model, None) };
            api.database.keep_reply("1", "a", call).await.unwrap();
        }
        // A reply that cannot be used says nothing about good ones.
        api.database.keep_unusable("1", "a", call(102, "code", "refused", None)).await.unwrap();
        let row = |model: &str, replies: u32, ms: [u32; 3]| {
            let [p50_ms, p95_ms, p99_ms] = ms;
            json!({
                "provider": "openai", "model": model, "replies": replies,
                "p50_ms": p50_ms, "p95_ms": p95_ms, "p99_ms": p99_ms,
            })
        };
        let answer = api.get("/v1/cost").await;
        let rows = json!([row("many", 100, [50, 95, 99]), row("one", 1, [70_000; 3])]);
        assert_eq!(answer.body["latencies"], rows, "{answer:?}");
        let before = api.get("/v1/cost?since=2d&until=1d").await;
        assert_eq!(before.body["latencies"], json!([]), "{before:?}");
        let page = Browser::new(&api).page("/console/ai").await;
        for says in ["many · openai", ">95 ms<", ">70\u{202f}000 ms<"] {
            assert!(page.contains(says), "{says}: {page}");
        }
    }

    pub(super) async fn attempts_that_failed_are_added_up_by_kind(place: Place) {
        let mut api = place.serve().await;
        let failed = |model: &str, kind, sent| {
            let (provider, model) = ("openai".to_owned(), model.to_owned());
            api.database.ai_counts().add_failure(AiFailureSeries { provider, model, kind, sent });
        };
        for sent in [true, false, true] {
            failed("small", "rate_limited", sent);
        }
        failed("small", "timeout", true);
        api.database.store_ai_errors().await.unwrap();
        // What is stored is not stored again, and what comes later is added to it.
        api.database.store_ai_errors().await.unwrap();
        failed("small", "rate_limited", true);
        failed("large", "timeout", true);
        api.database.store_ai_errors().await.unwrap();
        let row = |model: &str, kind: &str, failures: u32| {
            let provider = "openai";
            json!({ "provider": provider, "model": model, "kind": kind, "failures": failures })
        };
        let answer = api.get("/v1/cost?since=1h").await;
        let rows = json!([
            row("small", "rate_limited", 4),
            row("large", "timeout", 1),
            row("small", "timeout", 1),
        ]);
        assert_eq!(answer.body["errors"], rows, "{answer:?}");
        let before = api.get("/v1/cost?since=3d&until=2d").await;
        assert_eq!(before.body["errors"], json!([]), "{before:?}");
        let page = Browser::new(&api).page("/console/ai").await;
        for says in ["Attempts at AI calls that failed", "<code>rate_limited</code>", "66 %"] {
            assert!(page.contains(says), "{says}: {page}");
        }
        // They are not those of a tenant.
        let token = token_of(&api.database, &[Scope::Read], None, Some("acme")).await;
        api.token = Some(token.clone());
        let answer = api.get("/v1/cost").await;
        assert_eq!(answer.body["errors"], Value::Null, "{answer:?}");
        let browser = Browser::new(&api);
        browser.log_in(&token).await;
        let page = browser.page("/console/ai").await;
        assert!(!page.contains("Attempts at AI calls"), "{page}");
    }

    pub(super) async fn replies_from_the_cache_and_tries_are_told(place: Place) {
        let mut api = place.serve().await;
        let hits =
            |replies: u32, saved: u32| json!({ "replies": replies, "saved_nano_usd": saved });
        assert_eq!(api.get("/v1/cost").await.body["cache"], hits(0, 0));
        let one = |outcome, status: Option<i64>, took_ms: i64, message: Option<&str>| AiTry {
            provider: "openai".to_owned(),
            model: "small".to_owned(),
            started_at: 1,
            took_ms,
            status,
            outcome,
            sent: status.is_some(),
            message: message.map(str::to_owned),
        };
        let limited = AttemptOutcome::Failed(AiErrorKind::RateLimited);
        let timeout = AttemptOutcome::Failed(AiErrorKind::Timeout);
        let tries = vec![
            one(limited, Some(429), 850, Some("slow <b>down")),
            one(timeout, None, 3, None),
            one(AttemptOutcome::Succeeded, Some(200), 1_500, None),
        ];
        for (n, id, tenant, tries, entry) in [
            (1, "1", Some("acme"), vec![], json!({ "cached": true, "cost_usd": 0.5 })),
            (2, "2", Some("zeta"), vec![], json!({ "cached": true })),
            (3, "3", None, tries.clone(), json!({ "cost_usd": 2.0 })),
        ] {
            let tenant = tenant.map(str::to_owned);
            let order = NewOrder { tenant, ..NewOrder::new(id, "flora", document(id).to_string()) };
            api.database.enqueue(order).await.unwrap();
            let call = NewAiCall { tries, entry, ..call(n, "copywriting", "small", Some(0)) };
            api.database.keep_reply(id, "a", call).await.unwrap();
        }
        let answer = api.get("/v1/cost").await;
        assert_eq!(answer.body["cache"], hits(2, 500_000_000), "{answer:?}");
        let before = api.get("/v1/cost?since=2d&until=1d").await;
        assert_eq!(before.body["cache"], hits(0, 0), "{before:?}");
        let calls = async |id: &str| api.get(&format!("/v1/orders/{id}/calls")).await.body;
        let cached = calls("1").await["calls"][0].clone();
        assert_eq!(
            (&cached["cached"], &cached["saved_nano_usd"], &cached["tries"]),
            (&json!(true), &json!(500_000_000), &json!([]))
        );
        let asked = calls("3").await["calls"][0].clone();
        assert_eq!((&asked["cached"], &asked["saved_nano_usd"]), (&json!(false), &Value::Null));
        assert_eq!(asked["tries"], json!(tries));
        assert_eq!(asked["tries"][0]["outcome"], "rate_limited");

        let browser = Browser::new(&api);
        for (path, says) in [
            ("/console/ai", "2 replies came from the cache, 66.7 % of all."),
            ("/console/ai", "paid $0.5000 for them"),
            ("/console/orders/1", "1 reply, 1 of them from the cache"),
            ("/console/orders/1", "another order paid for it"),
            ("/console/orders/3", "3 tries"),
            ("/console/orders/3", "HTTP 429, rate-limited, 850 ms"),
            ("/console/orders/3", "not sent, timeout, 3 ms"),
            ("/console/orders/3", "HTTP 200, succeeded, 1 s"),
            ("/console/orders/3", "slow &#60;b&#62;down"),
        ] {
            let page = browser.page(path).await;
            assert!(page.contains(says), "{path}: {says}: {page}");
        }
        let token = token_of(&api.database, &[Scope::Read], None, Some("zeta")).await;
        api.token = Some(token);
        let own = api.get("/v1/cost").await;
        assert_eq!(own.body["cache"], hits(1, 0), "{own:?}");
    }

    pub(super) async fn tenants_are_told_apart(place: Place) {
        let mut api = place.serve().await;
        let page = Browser::new(&api).page("/console/ai").await;
        assert!(!page.contains("By tenant"), "{page}");
        for (n, id, tenant) in [(1, "1", Some("acme")), (2, "2", Some("zeta")), (3, "3", None)] {
            let tenant = tenant.map(str::to_owned);
            let order = NewOrder { tenant, ..NewOrder::new(id, "flora", document(id).to_string()) };
            api.database.enqueue(order).await.unwrap();
            let took_ms = Some(u64::from(n) * 10);
            let call = NewAiCall { took_ms, ..call(n, "copywriting", "small", Some(1_000)) };
            api.database.keep_reply(id, "a", call).await.unwrap();
        }
        let by = api.get("/v1/cost?by=tenant").await;
        let tenants: Vec<(String, i64)> = by.body["rows"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| {
                let tenant = row["tenant"].as_str().unwrap().to_owned();
                (tenant, row["cost"]["nano_usd"].as_i64().unwrap())
            })
            .collect();
        let row = |tenant: &str| (tenant.to_owned(), 1_000);
        assert_eq!(tenants, [row(""), row("acme"), row("zeta")], "{by:?}");
        assert!(api.get("/v1/cost").await.body["rows"][0]["tenant"].is_null());
        let page = Browser::new(&api).page("/console/ai").await;
        for says in ["By tenant", ">acme<", ">zeta<", "without a tenant", "data-label=\"cost\""] {
            assert!(page.contains(says), "{says}: {page}");
        }
        // One of them sees its own calls only.
        let token = token_of(&api.database, &[Scope::Read], None, Some("acme")).await;
        api.token = Some(token.clone());
        let own = api.get("/v1/cost").await;
        assert_eq!(own.body["total"]["calls"], 1, "{own:?}");
        assert_eq!(own.body["latencies"][0]["replies"], 1, "{own:?}");
        assert_eq!(own.body["latencies"][0]["p50_ms"], 10, "{own:?}");
        let browser = Browser::new(&api);
        browser.log_in(&token).await;
        let page = browser.page("/console/ai").await;
        assert!(!page.contains("zeta") && !page.contains("By tenant"), "{page}");
    }
}
