//! How often each page and each list asks the database: no more often for many rows than for few.

use sitewright_jobs::NewAiCall;
use sitewright_model::failure::{FailureKind, FailureRecord};

use crate::visitor::Browser;
use crate::*;

on_both!(the_number_of_queries_does_not_depend_on_that_of_rows);

/// Adds an order with an AI reply that failed like the others. The record's id.
async fn fail(api: &Api, id: &str) -> String {
    api.add(id).await;
    let claimed = api.claim(id).await;
    let attempt = claimed.attempt.to_string();
    let call = NewAiCall {
        request: format!("r-{id}"),
        occurrence: 0,
        purpose: "copywriting".to_owned(),
        provider: "openai".to_owned(),
        model: "small".to_owned(),
        cost_nano_usd: Some(7),
        input_tokens: Some(1),
        output_tokens: Some(1),
        took_ms: Some(5),
        tries: Vec::new(),
        entry: json!({}),
    };
    api.database.keep_reply(id, &attempt, call).await.unwrap();
    let of = of_attempt(id, &attempt);
    let record = FailureRecord::without_run(FailureKind::Ai, message!("the model said no"), of);
    let record = sitewright_failure::fingerprint::stamped(record);
    api.complete(&claimed, Resolution::Failed { failure: NewFailure::from(&record) }).await;
    record.id
}

/// The queries that a visit makes. What the server reads beside it makes a visit look worse, and
/// seldom all of them.
async fn queries(api: &Api, browser: &Browser<'_>, path: &str) -> u64 {
    let mut least = u64::MAX;
    for _ in 0..4 {
        let before = api.database.read_count();
        let answer = browser.get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {answer:?}");
        least = least.min(api.database.read_count() - before);
    }
    least
}

mod tests {
    use super::*;

    pub(super) async fn the_number_of_queries_does_not_depend_on_that_of_rows(place: Place) {
        let database = place.database().await;
        let mut parts = place.parts(database.clone(), settings());
        parts.hooks.clear();
        let api = Api::start(parts, database).await;
        let browser = Browser::new(&api);
        let record = fail(&api, "order-0").await;
        let failure = api.database.failure(&record).await.unwrap().unwrap();
        let cause = failure.record["fingerprint"].as_str().unwrap();
        let pages: Vec<(String, u64)> = [
            ("/console", 14),
            ("/console?per=minute", 14),
            ("/console/orders", 6),
            ("/console/orders?state=failed", 6),
            ("/console/orders?kind=ai", 6),
            ("/console/orders?text=order", 8),
            ("/console/orders?contains=flora", 8),
            ("/console/orders/order-0", 18),
            ("/console/orders/order-0/revise", 8),
            ("/console/orders/order-0/retry", 14),
            ("/console/orders/order-0/erase", 6),
            ("/console/bulk?do=retry&state=failed", 12),
            ("/console/failures", 6),
            ("/console/failures?since=ever", 6),
            ("/console/failures/CAUSE", 9),
            ("/console/failures/CAUSE/retry", 15),
            ("/console/records/RECORD", 4),
            ("/console/records/RECORD/markdown", 4),
            ("/console/ai", 11),
            ("/console/ai?since=month", 11),
            ("/console/templates", 14),
            ("/console/templates/flora", 10),
            ("/console/settings", 6),
            ("/console/webhooks", 7),
            ("/console/hooks", 6),
            ("/console/audit", 5),
            ("/v1/orders", 5),
            ("/v1/orders?state=failed", 5),
            ("/v1/orders/order-0", 14),
            ("/v1/stats", 10),
            ("/v1/failures", 5),
            ("/v1/failures/CAUSE", 5),
            ("/v1/cost", 8),
            ("/metrics", 14),
        ]
        .map(|(path, most)| (path.replace("CAUSE", cause).replace("RECORD", &record), most))
        .into();
        let mut few = Vec::new();
        for (path, most) in &pages {
            let number = queries(&api, &browser, path).await;
            eprintln!("{path}: {number} queries");
            assert!(number <= *most, "{path} makes {number} queries, {most} at most");
            few.push(number);
        }
        for number in 1..30 {
            fail(&api, &format!("order-{number}")).await;
        }
        for ((path, _), few) in pages.iter().zip(few) {
            let many = queries(&api, &browser, path).await;
            assert_eq!(many, few, "{path}: for 30 orders, and for one");
        }
    }
}
