//! `/v1/failures`, holds, statistics and templates.

on_both!(
    failures_are_grouped_and_shown_in_both_forms,
    holds_and_pauses,
    versions_of_templates_are_compared,
);

mod tests {
    use crate::visitor::Browser;
    use crate::*;
    use sitewright_jobs::OrderState;
    use sitewright_model::failure::{FailureKind, FailureRecord, OfAttempt};

    fn record(claimed: &Claimed) -> FailureRecord {
        let message = message!("the site has no page");
        FailureRecord::without_run(FailureKind::OutputRejected, message, OfAttempt::from(claimed))
    }

    pub(super) async fn failures_are_grouped_and_shown_in_both_forms(place: Place) {
        let api = place.serve().await;
        let mut ids = Vec::new();
        for order in ["1", "2"] {
            api.add(order).await;
            let claimed = api.claim(order).await;
            let failure = NewFailure::from(&record(&claimed));
            ids.push(failure.id.clone());
            api.complete(&claimed, Resolution::Failed { failure }).await;
        }
        let listed = api.get("/v1/failures?kind=output_rejected&since=2020-01-01T00:00:00Z").await;
        let groups = listed.body["groups"].as_array().unwrap();
        assert_eq!(groups.len(), 1, "{listed:?}");
        assert_eq!((&groups[0]["count"], &groups[0]["orders"]), (&json!(2), &json!(2)));
        let trend = groups[0]["trend"].as_array().unwrap();
        assert_eq!((trend.len(), &trend[23]), (24, &json!(2)), "{listed:?}");
        let [since, span] = ["since", "span_ms"].map(|name| listed.body["trend"][name].as_i64());
        let until = since.unwrap() + 24 * span.unwrap();
        assert_eq!(since, Some(1_577_836_800_000), "2020");
        assert!(until >= groups[0]["last_at"].as_i64().unwrap(), "{listed:?}");
        // Since whenever, and since the first one.
        for query in ["?since=0", "", "?since=1h"] {
            let listed = api.get(&format!("/v1/failures{query}")).await;
            let trend = listed.body["groups"][0]["trend"].as_array().unwrap();
            let all: u64 = trend.iter().map(|count| count.as_u64().unwrap()).sum();
            assert_eq!((trend.len(), all), (24, 2), "{query}: {listed:?}");
        }
        for (query, says) in [
            ("", "<title>per 60 min: at most 2, in the last one 2</title><path d=\"M0 20h1"),
            ("?since=hour", "<title>per 2 min: at most 2, in the last one 2</title>"),
            ("?since=ever", "<svg class=\"spark\" viewBox=\"0 0 24 20\""),
        ] {
            let page = Browser::new(&api).page(&format!("/console/failures{query}")).await;
            assert!(page.contains(says), "{query}: {page}");
        }
        let flat = api.get("/v1/failures?flat=true&order=1").await;
        assert_eq!(flat.body["failures"].as_array().unwrap().len(), 1, "{flat:?}");
        assert_eq!(api.get("/v1/failures?kind=trap").await.body["groups"], json!([]));

        let fingerprint = groups[0]["fingerprint"].as_str().unwrap();
        let cause = api.get(&format!("/v1/failures/{fingerprint}")).await;
        assert_eq!(cause.status, StatusCode::OK, "{cause:?}");
        assert_eq!(
            (&cause.body["newest"]["id"], &cause.body["order_count"]),
            (&json!(ids[1]), &json!(2))
        );
        let path = format!("/v1/failures/records/{}", ids[0]);
        let shown = api.get(&path).await;
        assert_eq!(
            (&shown.body["kind"], &shown.body["order"]),
            (&json!("output_rejected"), &json!("1"))
        );
        for path in [path, format!("/v1/failures/{fingerprint}")] {
            let request =
                api.request(Method::GET, &path).header("accept", "text/markdown, */*;q=0.1");
            let markdown = send(request).await;
            assert_eq!(markdown.header("content-type"), "text/markdown; charset=utf-8");
            assert!(markdown.text.contains("the site has no page"), "{markdown:?}");
        }
        let detail = api.get("/v1/orders/1").await;
        assert_eq!(detail.body["last_failure"]["kind"], "output_rejected");
    }

    pub(super) async fn holds_and_pauses(place: Place) {
        let api = place.serve().await;
        api.add("1").await;
        let hold = |name: &'static str, body: Value| {
            let api = &api;
            async move { api.send(Method::PUT, &format!("/v1/holds/{name}"), &body).await }
        };
        let reason = json!({ "reason": "the key is being replaced" });
        assert_eq!(hold("default", reason.clone()).await.body["hold"], "route:default");
        assert_eq!(hold("route:default", reason).await.body["outcome"], "already_held");
        hold("other", json!({})).await.is_problem(404, "no_such_route");
        for (name, body) in [
            ("missing:flora", json!({})),
            ("lost:flora", json!({})),
            ("template:flora", json!({ "because": "x" })),
            ("template:flora", json!({ "reason": "x".repeat(1_001) })),
        ] {
            hold(name, body).await.is_problem(400, "bad_request");
        }
        let holds = api.get("/v1/holds").await.body["holds"].clone();
        assert_eq!(holds.as_array().unwrap().len(), 1, "{holds}");
        assert!(holds[0]["reason"].as_str().unwrap().contains("the key is being replaced"));
        let release = || send(api.request(Method::DELETE, "/v1/holds/default"));
        assert_eq!(release().await.body["outcome"], "released");
        assert_eq!(release().await.body["outcome"], "not_held");

        // The same by what is held.
        for (path, outcome, hold) in [
            ("templates/flora/pause", "held", "template:flora"),
            ("templates/flora/pause", "already_held", "template:flora"),
            ("templates/flora/resume", "released", "template:flora"),
            ("templates/flora/resume", "not_held", "template:flora"),
            ("routes/default/hold", "held", "route:default"),
            ("routes/default/release", "released", "route:default"),
        ] {
            let answer = api.post(&format!("/v1/{path}")).await.body;
            assert_eq!(answer, json!({ "outcome": outcome, "hold": hold }), "{path}");
        }
        api.post("/v1/templates/nothing/pause").await.is_problem(422, "no_such_template");
        api.post("/v1/routes/nothing/hold").await.is_problem(404, "no_such_route");
        let log = api.database.audit_log(i64::MAX, 3).await.unwrap();
        let targets: Vec<_> = log.iter().map(|entry| entry.target.as_deref()).collect();
        assert_eq!(targets, [Some("nothing"), Some("nothing"), Some("route:default")], "{log:?}");
        // What there is not cannot be released either.
        api.post("/v1/templates/nothing/resume").await.is_problem(422, "no_such_template");
        api.post("/v1/routes/nothing/release").await.is_problem(404, "no_such_route");
        api.post("/v1/breakers/nothing/release").await.is_problem(404, "no_such_provider");

        assert_eq!(api.post("/v1/queue/pause").await.body["paused"], true);
        let stats = api.get("/v1/stats").await.body;
        assert_eq!((&stats["paused"], &stats["orders"]["queued"]), (&json!(true), &json!(1)));
        assert_eq!(api.post("/v1/queue/resume").await.body["paused"], false);
        assert_eq!(api.get("/v1/stats").await.body["paused"], false);
        let templates = api.get("/v1/templates").await.body["templates"].clone();
        assert_eq!(templates[0]["name"], "flora");
    }

    pub(super) async fn versions_of_templates_are_compared(place: Place) {
        let mut api = place.serve().await;
        let page = Browser::new(&api).page("/console/templates").await;
        assert!(!page.contains("by version"), "{page}");
        let none = api.get("/v1/templates").await;
        assert_eq!(none.body["templates"][0]["versions"], json!([]), "{none:?}");
        for (digest, succeeded, failed) in [("sha256:old", 97, 3), ("sha256:new", 35, 5)] {
            for (state, orders) in [(OrderState::Succeeded, succeeded), (OrderState::Dead, failed)]
            {
                (0..orders).for_each(|_| api.database.count_end("flora", digest, state));
            }
            // The newest one is the one that came last.
            until_later(&sitewright_model::time::now_ms().to_string()).await;
        }
        api.database.count_end("not here", "sha256:x", OrderState::Failed);
        api.database.store_ends().await.unwrap();
        let listed = api.get("/v1/templates").await;
        let versions = listed.body["templates"][0]["versions"].as_array().unwrap();
        let shown: Vec<_> = versions
            .iter()
            .map(|one| (&one["digest"], &one["ended"], &one["failed"], &one["failed_share"]))
            .collect();
        let wanted = [
            (&json!("sha256:new"), &json!(40), &json!(5), &json!(0.125)),
            (&json!("sha256:old"), &json!(100), &json!(3), &json!(0.03)),
        ];
        assert_eq!(shown, wanted, "{listed:?}");
        assert!(versions[0]["since"].as_i64() > versions[1]["since"].as_i64(), "{listed:?}");
        // One of them, with what the conformance suite said of it.
        let one = api.get("/v1/templates/flora").await.body;
        assert_eq!(one["template"], listed.body["templates"][0], "{one}");
        let report = &one["conformance"];
        assert_eq!((&report["rules"]["failed"], &report["passed"]), (&json!(1), &json!(false)));
        assert_eq!(report["remarks"][0]["rule"], "ai/escaped", "{one}");
        assert_eq!(one["conformance_error"], Value::Null);
        api.get("/v1/templates/nothing").await.is_problem(422, "no_such_template");
        let page = Browser::new(&api).page("/console/templates/flora").await;
        for says in ["<code title=\"sha256:new\">", "12.5 %", "<code title=\"sha256:old\">"] {
            assert!(page.contains(says), "{says}: {page}");
        }
        let page = Browser::new(&api).page("/console/templates").await;
        for says in [
            ">flora</a> fails most: 12.5 % of 40 orders</strong> since <time",
            "; with the version before it, 3.0 % of 100.",
            "<code title=\"sha256:old\">",
        ] {
            assert!(page.contains(says), "{says}: {page}");
        }
        // The counts are those of all tenants.
        api.token = Some(token_of(&api.database, &[Scope::Read], None, Some("acme")).await);
        let own = api.get("/v1/templates").await;
        assert_eq!(own.body["templates"][0]["versions"], json!([]), "{own:?}");
    }
}
