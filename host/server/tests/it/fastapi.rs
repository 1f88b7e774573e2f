//! The application in Python that the documentation shows.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use sitewright_jobs::{DeliveryFilter, DeliveryState, WebhookEvent};
use sitewright_webhooks::{Dispatch, Pace, Redact, WebhookConfig, Webhooks};

use crate::standins::{FASTAPI, Standin};
use crate::*;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// It runs as it is printed: it orders a site, streams what happens to the order, and receives a
/// webhook.
#[tokio::test(flavor = "multi_thread")]
async fn the_application_of_the_documentation_orders_follows_and_is_told() {
    if let Some(programs) = FASTAPI.ready("the FastAPI application of the documentation") {
        in_time(shop_is_used(&programs)).await;
    }
}

/// The program of the page.
fn program() -> String {
    let page = std::fs::read_to_string(root().join("docs/src/operate/fastapi.md")).unwrap();
    let (_, rest) = page.split_once("```python\n").unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

async fn shop_is_used(programs: &Path) {
    let place = Place::sqlite();
    let mut api = place.serve().await;
    let token = api.log_in(&[Scope::Submit, Scope::Read]).await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("shop.py"), program()).unwrap();
    let server = format!("http://{}", api.address);
    let variables = [
        ("SHOP_SITEWRIGHT", server.as_str()),
        ("SHOP_TOKEN", token.as_str()),
        ("SHOP_HOOK_SECRET", SECRET),
        // Everything is on this machine.
        ("NO_PROXY", "*"),
    ];
    let mut shop = Standin::fastapi(programs, folder.path(), "shop:app", &variables);
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let client = api.client.clone();
    let at = shop.origin.clone();
    let begin = Instant::now();
    while client.get(format!("{at}/openapi.json")).send().await.is_err() {
        let is_starting = shop.runs() && begin.elapsed() < Duration::from_secs(60);
        assert!(is_starting, "the application does not listen: {}", read("errors"));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let hook = format!("{at}/hooks/sitewright");
    let config = WebhookConfig {
        url: hook.clone(),
        events: vec![WebhookEvent::OrderCancelled],
        secret_env: Some("SHOP_HOOK_SECRET".to_owned()),
        secret_file: None,
        allow_private: true,
        timeout_ms: 10_000,
    };
    let webhooks = BTreeMap::from([("shop".to_owned(), config)]);
    let env = |_: &str| Some(OsString::from(SECRET));
    let webhooks = Webhooks::read(&webhooks, None, Path::new("."), &env).unwrap();
    let pace = Pace { look_every: Duration::from_millis(20), ..Pace::default() };
    let http = sitewright_http::client().unwrap();
    let redact = Redact::new(|text| text.to_owned());
    let started = Dispatch::start(api.database.clone(), webhooks, &http, redact, pace).await;
    let started = started.unwrap();

    let order = async |document: Value| {
        send(client.post(format!("{at}/sites?template=flora")).json(&document)).await
    };
    let added = order(document("24")).await;
    let said = (added.status, &added.body["outcome"]);
    assert_eq!(said, (StatusCode::ACCEPTED, &json!("new")), "{added:?}");
    let refused = order(json!({ "id": "25" })).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{refused:?}");
    let detail = &refused.body["detail"];
    assert_eq!(detail["kind"], "invalid_order", "{refused:?}");
    assert!(detail["problems"].is_array(), "{refused:?}");
    let shown = send(client.get(format!("{at}/sites/24"))).await;
    assert_eq!(shown.body["order"]["state"], "queued", "{shown:?}");

    let events = client.get(format!("{at}/sites/24/events")).send().await.unwrap();
    let kind = events.headers()["content-type"].to_str().unwrap().to_owned();
    assert!(kind.starts_with("text/event-stream"), "{kind}");
    api.database.cancel("24").await.unwrap();
    let events = events.text().await.unwrap();
    assert!(
        events.contains("event: end\ndata: {\"order\":\"24\",\"state\":\"cancelled\""),
        "{events}"
    );
    // What an `EventSource` sends when it comes back.
    let again = client.get(format!("{at}/sites/24/events")).header("last-event-id", "1");
    assert_eq!(send(again).await.status, StatusCode::NO_CONTENT);

    let times = |number: usize| {
        let database = api.database.clone();
        async move {
            let all = database.deliveries(&DeliveryFilter::default()).await.unwrap();
            let Some(one) = all.first() else { return false };
            let (delivery, attempts) = database.delivery(&one.id).await.unwrap().unwrap();
            delivery.state == DeliveryState::Delivered && attempts.len() == number
        }
    };
    until("it was told", || times(1)).await;
    assert_eq!(read("printed"), "order.cancelled 24 None\n", "{}", read("errors"));
    // A delivery that comes twice is handled once, and one of a stranger never.
    let deliveries = api.database.deliveries(&DeliveryFilter::default()).await.unwrap();
    api.database.redeliver(&deliveries[0].id).await.unwrap();
    until("it was told again", || times(2)).await;
    let now = sitewright_model::time::now_ms().div_euclid(1_000).to_string();
    let forged = client
        .post(&hook)
        .header("webhook-id", "msg_1")
        .header("webhook-timestamp", now)
        .header("webhook-signature", "v1,AAAA")
        .body("{}");
    assert_eq!(send(forged).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(read("printed").lines().count(), 1, "{}", read("printed"));
    started.stop().await;
}
