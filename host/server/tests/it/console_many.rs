//! Many orders at the console: all that fit are retried or cancelled, and what AI calls cost.

use sitewright_jobs::{NewAiCall, NewOrder, OrderState};

use crate::visitor::{Browser, field, is_secure};
use crate::*;

async fn failed(api: &Api, id: &str, kind: &str) {
    api.add(id).await;
    let claimed = api.claim(id).await;
    api.complete(&claimed, Resolution::Failed { failure: failure(kind) }).await;
}

on_both!(all_orders_that_fit_are_changed_and_no_others, what_ai_calls_cost_is_added_up);

mod tests {
    use super::*;

    pub(super) async fn all_orders_that_fit_are_changed_and_no_others(place: Place) {
        let mut api = place.serve().await;
        // More than one batch.
        for number in 0..230 {
            failed(&api, &format!("same-{number}"), "trap").await;
        }
        for (id, kind) in [("same-ai", "ai"), ("other-1", "trap")] {
            failed(&api, id, kind).await;
        }
        for number in 0..3 {
            api.add(&format!("queued-{number}")).await;
        }
        api.log_in(&[Scope::Operate, Scope::Submit]).await;
        let token = api.token.clone().unwrap();
        let browser = Browser::new(&api);
        browser.log_in(&token).await;

        // Offered where something is looked for, with what fits the state.
        let list = browser.page("/console/orders?state=failed&text=same").await;
        let preview = "/console/bulk?do=retry&#38;state=failed&#38;text=same";
        assert!(list.contains(preview) && !list.contains("do=cancel"), "{list}");
        assert!(!browser.page("/console/orders").await.contains("/console/bulk?"));

        let path = "/console/bulk?do=retry&state=failed&kind=trap&text=SAME-";
        let asked = browser.page(path).await;
        for says in ["Retry 230 orders?", "No worker runs", "behind 3 that are queued"] {
            assert!(asked.contains(says), "{says}: {asked}");
        }
        let (counted, most) = (field(&asked, "until"), field(&asked, "most"));
        assert_eq!(most, "230");
        // One that fails after the page was shown is left alone.
        until_later(&counted).await;
        failed(&api, "same-late", "trap").await;
        let fields = [
            ("do", "retry"),
            ("state", "failed"),
            ("kind", "trap"),
            ("text", "SAME-"),
            ("until", counted.as_str()),
            ("most", most.as_str()),
        ];
        let to = browser.act("/console/bulk", &fields).await;
        assert!(to.starts_with("/console/bulk/"), "{to}");
        until("it is done", async || browser.page(&to).await.contains("It is done")).await;
        let html = browser.page(&to).await;
        assert!(html.contains("230 queued again") && html.contains("230 of 230"), "{html}");
        assert_eq!(api.database.stats().await.unwrap().count(OrderState::Queued), 233);
        for id in ["same-ai", "other-1", "same-late"] {
            assert_eq!(api.database.order(id).await.unwrap().state, OrderState::Failed, "{id}");
        }
        assert!(browser.page("/console/orders").await.contains(&to), "the change is listed");

        // Cancelled are those that have not ended; not more than agreed to.
        let asked = browser.page("/console/bulk?do=cancel&text=queued-").await;
        assert!(asked.contains("Cancel 3 orders?"), "{asked}");
        let now = sitewright_model::time::now_ms().to_string();
        let fields =
            [("do", "cancel"), ("text", "queued-"), ("until", now.as_str()), ("most", "2")];
        let to = browser.act("/console/bulk", &fields).await;
        until("it is done", async || browser.page(&to).await.contains("It is done")).await;
        assert_eq!(api.database.stats().await.unwrap().count(OrderState::Cancelled), 2);
        let to = browser.act(&format!("{to}/stop"), &[]).await;
        assert!(to.ends_with("?did=bulk_ended"), "{to}");

        for (path, status) in [
            ("/console/bulk", 400),
            ("/console/bulk?do=erase", 400),
            ("/console/bulk?do=retry&state=nothing", 400),
            ("/console/bulk/nothing", 404),
        ] {
            let answer = browser.get(path).await;
            assert_eq!(answer.status.as_u16(), status, "{path}: {answer:?}");
            is_secure(path, &answer);
        }
        // A filter that there is not, or that is there twice, is not left out.
        let csrf = browser.any_secret().await.unwrap();
        for path in [
            "/console/bulk?do=retry&q=x",
            "/console/bulk?do=retry&State=failed",
            "/console/bulk?do=retry&text=a&text=b",
            "/console/bulk?do=retry&fingerprint=",
            "/console/orders/same-1/use?release=x&order=2",
            "/console/orders/same-1/revise?template=flora&temlpate=fauna",
            "/console/failures/0000/retry?template=flora",
        ] {
            let answer = browser.get(path).await;
            assert_eq!(answer.status.as_u16(), 400, "{path}: {answer:?}");
            assert!(answer.text.contains("nothing was done"), "{path}: {}", answer.text);
            is_secure(path, &answer);
        }
        let late = sitewright_model::time::now_ms().to_string();
        for (path, fields) in [
            ("/console/queue/pause?until=1h", &[][..]),
            ("/console/queue/pause", &[("until", "1h")]),
            ("/console/queue/pause", &[("csrf", "1")]),
            (
                "/console/bulk",
                &[("do", "retry"), ("until", late.as_str()), ("most", "9"), ("q", "x")],
            ),
            ("/console/bulk?text=a", &[("do", "retry"), ("until", late.as_str()), ("most", "9")]),
        ] {
            let fields: Vec<(&str, &str)> =
                [("csrf", csrf.as_str())].into_iter().chain(fields.iter().copied()).collect();
            let answer = browser.form(path, &fields).await;
            assert_eq!(answer.status.as_u16(), 400, "{path} {fields:?}: {answer:?}");
        }
        assert!(!api.database.is_paused().await.unwrap());
        for form in ["drain", "undrain"] {
            let path = format!("/console/workers/nobody/{form}");
            let answer = browser.form(&path, &[("csrf", csrf.as_str())]).await;
            assert_eq!(answer.status.as_u16(), 404, "{path}: {answer:?}");
            assert!(answer.text.contains("There is no such worker"), "{path}: {}", answer.text);
        }
        let nothing = browser.page("/console/bulk?do=cancel&state=failed").await;
        assert!(nothing.contains("There is nothing to cancel"), "{nothing}");
        // A form that does not say how many does nothing.
        let csrf = browser.any_secret().await.unwrap();
        let fields = [("csrf", csrf.as_str()), ("do", "retry"), ("until", now.as_str())];
        assert_eq!(browser.form("/console/bulk", &fields).await.status.as_u16(), 400);

        let log = api.database.audit_log(i64::MAX, 10_000).await.unwrap();
        let bulk: Vec<(&str, Option<&str>)> = log
            .iter()
            .rev()
            .filter(|entry| entry.action.starts_with("bulk.") && entry.status < 400)
            .map(|entry| (entry.action.as_str(), entry.target.as_deref()))
            .collect();
        let begun = "retry, 230 orders, state failed, failed with trap, id with SAME-";
        for (action, says) in [
            ("bulk.start", begun),
            ("bulk.end", "retry, 230 of 230 orders"),
            ("bulk.end", "cancel, 2 of 2 orders"),
        ] {
            let is_it = |(known, target): &(&str, Option<&str>)| {
                *known == action && target.is_some_and(|target| target.ends_with(says))
            };
            assert!(bulk.iter().any(is_it), "{action} {says}: {bulk:?}");
        }
        // The API has the same run, and stops it.
        let id = to.split(['/', '?']).nth(3).unwrap();
        let run = api.get(&format!("/v1/bulk/{id}")).await;
        assert_eq!(
            (&run.body["state"], &run.body["changed"]),
            (&json!("done"), &json!(2)),
            "{run:?}"
        );
    }

    pub(super) async fn what_ai_calls_cost_is_added_up(place: Place) {
        let api = place.serve().await;
        assert!(Browser::new(&api).page("/console/ai").await.contains("No reply was paid for"));
        let evil = "<script>alert(1)</script>";
        for (id, template) in [("1", "flora"), ("2", "fauna")] {
            let document = document(id).to_string();
            api.database.enqueue(NewOrder::new(id, template, document)).await.unwrap();
            let claimed = api.claim(id).await;
            let attempt = claimed.attempt.to_string();
            for (at, (purpose, model, cost)) in [
                ("copywriting", "large", Some(2_000_000_000)),
                ("copywriting", evil, Some(500_000_000)),
                (evil, "large", None),
                ("code", "huge", Some(u64::MAX)),
            ]
            .into_iter()
            .enumerate()
            {
                if cost == Some(u64::MAX) && id == "2" {
                    continue;
                }
                let call = NewAiCall {
                    request: format!("{at:0>64}"),
                    occurrence: 0,
                    purpose: purpose.to_owned(),
                    provider: "openrouter".to_owned(),
                    model: model.to_owned(),
                    cost_nano_usd: cost,
                    input_tokens: Some(1_000),
                    output_tokens: None,
                    took_ms: None,
                    tries: Vec::new(),
                    entry: json!({}),
                };
                api.database.keep_reply(id, &attempt, call).await.unwrap();
            }
            api.complete(&claimed, Resolution::Failed { failure: failure("ai") }).await;
        }
        let browser = Browser::new(&api);
        for since in ["", "?since=day", "?since=week", "?since=month"] {
            let html = browser.page(&format!("/console/ai{since}")).await;
            for says in [
                "7 replies, 2 of them without a known price",
                "large · openrouter",
                "copywriting",
                "fauna",
                // 2 × 2.5 dollars, and what no reply can cost counts as 2^40 billionths.
                "$1104.5116",
                "it failed",
            ] {
                assert!(html.contains(says), "{since}: {says}: {html}");
            }
            assert!(!html.contains(evil), "{html}");
        }
        api.add("3").await;
        let claimed = api.claim("3").await;
        let failure = Some(failure("cancelled"));
        api.complete(&claimed, Resolution::Cancelled { failure }).await;
        let first = browser.page("/console").await;
        for says in [
            "<strong>$1104.5116</strong>",
            "in 24 h, 2 replies without a price",
            "<span class=\"tag bad\">ai</span>",
        ] {
            assert!(first.contains(says), "{says}: {first}");
        }
        assert!(!first.contains("<span class=\"tag bad\">cancelled</span>"), "{first}");
        // No breaker is open, so there is nothing to release.
        let asked = browser.page("/console/breakers/openrouter/release").await;
        assert!(asked.contains("None of its breakers is open."), "{asked}");
        let to = browser.act("/console/breakers/openrouter/release", &[]).await;
        assert_eq!(to, "/console/ai?did=breakers_same");
        let released = api.post("/v1/breakers/openrouter/release").await;
        let none = json!({ "outcome": "unchanged", "provider": "openrouter", "breakers": 0 });
        assert_eq!((released.status.as_u16(), &released.body), (200, &none));
        assert_eq!(api.get("/v1/stats").await.body["breakers"], json!([]));
        // What an order has cost, and what is used again, before it is made again.
        let asked = browser.page("/console/orders/2/retry").await;
        for says in [
            "3 AI replies of earlier attempts are used again and cost nothing",
            "So far it has cost $2.5000 for 3 AI replies",
        ] {
            assert!(asked.contains(says), "{says}: {asked}");
        }
        assert_eq!(browser.get("/console/ai?since=year").await.status.as_u16(), 400);
        // A hold is released where it is seen.
        let fields = [("hold", "route:default"), ("from", "ai")];
        assert_eq!(browser.act("/console/holds/set", &fields).await, "/console/ai?did=held");
        let html = browser.page("/console/ai").await;
        let question = "/console/holds/release?hold=route%3Adefault&amp;from=ai";
        assert!(html.contains("Release route:default") && html.contains(question), "{html}");
        let asked = browser.page(&question.replace("&amp;", "&")).await;
        assert_eq!(field(&asked, "from"), "ai", "{asked}");
        let to = browser.act("/console/holds/release", &fields).await;
        assert_eq!(to, "/console/ai?did=released");
        let fields = [("hold", "route:default"), ("from", "//evil.example")];
        let to = browser.act("/console/holds/set", &fields).await;
        assert_eq!(to, "/console/templates?did=held");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_takes_too_long_is_a_page() {
    let place = Place::sqlite();
    let database = place.database().await;
    let settings = ServerConfig { request_ms: 300, ..settings() };
    let parts = ServerParts {
        templates: Arc::new(|| Box::pin(std::future::pending())),
        ..place.parts(database.clone(), settings)
    };
    let api = Api::start(parts, database).await;
    let answer = Browser::new(&api).get("/console/templates").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.text.contains("<h1>The request took too long</h1>"), "{}", answer.text);
    is_secure("a page that takes too long", &answer);
    // A program gets what programs read.
    api.get("/v1/templates").await.is_problem(503, "timeout");
}
