//! `/v1/cost`: what AI calls cost.

on_both!(costs_are_added_up_by_what_is_asked);

mod tests {
    use sitewright_jobs::NewAiCall;
    use sitewright_model::time::now_ms;

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
}
