//! How many requests and orders a token may send in a minute.

use crate::visitor::Browser;
use crate::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_token_has_room_for_so_many_requests_in_a_minute() {
    let place = Place::sqlite();
    let mut api = place.serve_with(ServerConfig { requests_per_minute: 60, ..settings() }).await;
    let one = new_token(&api.database, &[Scope::Read], None).await;
    let other = new_token(&api.database, &[Scope::Read], None).await;
    api.token = Some(one.clone());
    let first = api.get("/v1/holds").await;
    assert_eq!(first.header("ratelimit"), "\"requests\";r=59;t=1");
    assert_eq!(first.header("ratelimit-policy"), "\"requests\";q=60;w=60");
    // Also one that is refused for want of a scope uses room.
    api.post("/v1/queue/pause").await.is_problem(403, "forbidden");
    let mut refused = api.get("/v1/holds").await;
    for _ in 0..200 {
        if refused.status != StatusCode::OK {
            break;
        }
        refused = api.get("/v1/holds").await;
    }
    refused.is_problem(429, "rate_limited");
    assert_eq!(refused.header("retry-after"), "1", "{refused:?}");
    assert!(refused.header("ratelimit").starts_with("\"requests\";r=0;t="), "{refused:?}");
    assert_eq!(
        (&refused.body["limit"], &refused.body["key"]),
        (&json!(60), &json!("server.requests_per_minute"))
    );
    api.token = Some(other);
    assert_eq!(api.get("/v1/holds").await.status, StatusCode::OK, "it has its own room");
    api.token = Some(one.clone());
    until("there is room again", async || api.get("/v1/holds").await.status == 200).await;
    // The console counts the same token.
    let browser = Browser::new(&api);
    browser.log_in(&one).await;
    let mut page = browser.get("/console/orders").await;
    for _ in 0..200 {
        if page.status != StatusCode::OK {
            break;
        }
        page = browser.get("/console/orders").await;
    }
    assert_eq!(page.status, StatusCode::TOO_MANY_REQUESTS, "{page:?}");
    assert!(page.text.contains("<h1>Too many requests of one token</h1>"), "{}", page.text);
    // Probes have no token, and no limit.
    for _ in 0..100 {
        let url = format!("http://{}/healthz", api.address);
        assert_eq!(send(api.client.get(url)).await.status, StatusCode::OK);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_has_room_for_so_many_orders_in_a_minute() {
    let place = Place::sqlite();
    let settings = ServerConfig { orders_per_minute: 2, requests_per_minute: 0, ..settings() };
    let mut api = place.serve_with(settings).await;
    api.log_in(&[Scope::Admin]).await;
    for id in ["1", "2"] {
        api.add(id).await;
    }
    let path = "/v1/orders?template=flora";
    let refused = api.send(Method::POST, path, &document("3")).await;
    refused.is_problem(429, "rate_limited");
    assert_eq!(refused.header("ratelimit-policy"), "\"orders\";q=2;w=60");
    let seconds: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=30).contains(&seconds), "{refused:?}");
    let revised = api.send(Method::PUT, "/v1/orders/1/document", &document("1")).await;
    revised.is_problem(429, "rate_limited");
    let shown = api.get("/v1/orders/1").await;
    assert_eq!((shown.status, shown.header("ratelimit")), (StatusCode::OK, ""));
    assert_eq!(api.post("/v1/orders/1/cancel").await.status, StatusCode::OK);
    api.get("/v1/orders/3").await.is_problem(404, "no_such_order");
}

/// Without tokens, only this machine is served.
#[tokio::test(flavor = "multi_thread")]
async fn this_machine_has_no_limit() {
    let place = Place::sqlite();
    let api = place.serve_with(ServerConfig { requests_per_minute: 1, ..settings() }).await;
    for _ in 0..5 {
        let answer = api.get("/v1/holds").await;
        assert_eq!((answer.status, answer.header("ratelimit")), (StatusCode::OK, ""));
    }
}
