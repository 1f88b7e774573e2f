//! `POST /hooks/{source}`: webhooks of others, and what became of them.

use std::collections::BTreeMap;

use sitewright_jobs::NewHookDelivery;
use sitewright_webhooks::{Hook, HookConfig, HookKind, Hooks};

use crate::*;

on_both!(
    what_is_proven_becomes_an_order_once,
    a_document_means_the_same_in_a_webhook_as_alone,
    what_is_refused_is_kept_and_replayed,
    what_a_process_left_is_mapped_by_the_next,
    an_erased_order_takes_what_was_sent_with_it,
);

/// The header `traceparent` of a shop.
const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-b7ad6b7169203331-01";

const SECRET: &str = "a-secret-of-a-shop";
/// What `openssl dgst -sha256 -hmac a-secret-of-a-shop` says of `signed()`.
const SIGNATURE: &str = "a9690951557630be0804b0cde6bf76d668ada27f185a8813bcd267a65aa2e8d7";

/// The hooks of every server of these tests. The name of the variable is the secret.
pub(crate) fn hooks() -> Hooks {
    let config = |kind: HookKind, template: &str| HookConfig {
        kind,
        secret_env: Some(SECRET.to_owned()),
        secret_file: None,
        template: template.to_owned(),
        priority: 3,
        batch: false,
        tenant: None,
        id: Some("/order/number".to_owned()),
        due: Some("/order/due".to_owned()),
        document: None,
        map: BTreeMap::from([
            ("business_name".to_owned(), "/company/name".to_owned()),
            ("business_email".to_owned(), "/company/mail".to_owned()),
        ]),
    };
    let whole = HookConfig {
        id: None,
        due: None,
        document: Some("/data".to_owned()),
        map: BTreeMap::new(),
        ..config(HookKind::Bearer, "flora")
    };
    let plain = HookConfig { document: None, ..whole.clone() };
    let dated = HookConfig { due: Some("/deliver_after".to_owned()), ..plain.clone() };
    let configs = BTreeMap::from([
        ("plain".to_owned(), plain),
        ("dated".to_owned(), dated),
        ("shop".to_owned(), config(HookKind::Bearer, "flora")),
        ("github".to_owned(), config(HookKind::Github, "flora")),
        ("whole".to_owned(), whole),
        ("lost".to_owned(), config(HookKind::Bearer, "fauna")),
    ]);
    Hook::read_all(&configs, std::path::Path::new("."), &|name| Some(name.into())).unwrap()
}

/// The order waits for its time, whether pointers lead to its document or the body is one.
#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_says_when_its_order_is_due() {
    let place = Place::sqlite();
    let api = place.serve().await;
    let at = (sitewright_model::time::now_ms().div_euclid(1_000) + 3_600) * 1_000;
    let text = sitewright_model::time::rfc3339(at);
    for hook in ["shop", "dated"] {
        for (name, due, wanted) in [
            ("none", Value::Null, Some(None)),
            ("blank", json!(" "), Some(None)),
            ("past", json!("2020-01-01T00:00:00Z"), Some(None)),
            ("later", json!(text), Some(Some(at))),
            ("far", json!("2999-01-01T00:00:00Z"), None),
            ("day", json!("tomorrow"), None),
            ("number", json!(at), None),
        ] {
            let id = format!("{hook}-{name}");
            let (body, pointer) = if hook == "shop" {
                let mut body: Value = serde_json::from_str(&body(&id)).unwrap();
                body["order"]["due"] = due;
                (body, "/order/due")
            } else {
                let mut body = document(&id);
                body["deliver_after"] = due;
                (body, "/deliver_after")
            };
            let answer = post_with_token(&api, hook, &body.to_string()).await;
            let delivery = mapped(&api, &answer).await["delivery"].clone();
            let Some(due_at) = wanted else {
                assert_eq!(delivery["state"], "refused", "{id}: {delivery}");
                let reason = delivery["reason"].as_str().unwrap();
                assert!(reason.contains(pointer) && !reason.contains("tomorrow"), "{reason}");
                continue;
            };
            assert_eq!(delivery["state"], "accepted", "{id}: {delivery}");
            assert_eq!(api.database.order(&id).await.unwrap().due_at, due_at, "{id}");
        }
    }
}

fn body(number: &str) -> String {
    json!({
        "order": { "number": number },
        "company": { "name": "Flora", "mail": "hello@flora.example", "staff": 3 },
    })
    .to_string()
}

fn signed() -> String {
    r#"{"order":{"number":"g"},"company":{"name":"Flora","mail":"hello@flora.example"}}"#.to_owned()
}

async fn post(api: &Api, hook: &str, header: (&str, &str), body: &str) -> Answer {
    let url = format!("http://{}/hooks/{hook}", api.address);
    send(api.client.post(url).header(header.0, header.1).body(body.to_owned())).await
}

async fn post_with_token(api: &Api, hook: &str, body: &str) -> Answer {
    post(api, hook, ("authorization", &format!("Bearer {SECRET}")), body).await
}

/// What was stored under this id, when it was mapped.
async fn mapped(api: &Api, answer: &Answer) -> Value {
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{answer:?}");
    let path = format!("/v1/hooks/deliveries/{}", answer.body["delivery"].as_str().unwrap());
    until("it is mapped", || async { api.get(&path).await.body["delivery"]["state"] != "pending" })
        .await;
    api.get(&path).await.body
}

async fn state(api: &Api, id: &str) -> String {
    let answer = api.get(&format!("/v1/hooks/deliveries/{id}")).await;
    answer.body["delivery"]["state"].as_str().unwrap().to_owned()
}

async fn count(api: &Api, query: &str) -> usize {
    let page = api.get(&format!("/v1/hooks/deliveries?{query}")).await;
    page.body["deliveries"].as_array().unwrap().len()
}

/// Bodies that never arrive, of senders who prove nothing: a head without its body, and what of the
/// body is sent.
async fn stall(address: &str, api: &Api, body: &str, sent: usize) -> TcpStream {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(format!("{address}:0").parse().unwrap()).unwrap();
    let mut stream = socket.connect(api.address).await.unwrap();
    let signature = "0".repeat(64);
    let head = format!(
        "POST /hooks/github HTTP/1.1\r\nHost: localhost\r\n{body}\r\n\
         X-Hub-Signature-256: sha256={signature}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // The server may take only a part of it.
    let rest = "x".repeat(sent);
    tokio::time::timeout(Duration::from_millis(500), stream.write_all(rest.as_bytes())).await.ok();
    stream
}

/// A webhook of a real sender, from this address.
async fn send_from(address: &str, api: &Api, number: &str, padding: usize) -> String {
    let mut body: Value = serde_json::from_str(&body(number)).unwrap();
    body["padding"] = json!("x".repeat(padding));
    let body = body.to_string();
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(format!("{address}:0").parse().unwrap()).unwrap();
    let mut stream = socket.connect(api.address).await.unwrap();
    let request = format!(
        "POST /hooks/shop HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {SECRET}\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    read_until_closed(&mut stream, Duration::from_secs(10)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_never_arrive_stall_no_webhook() {
    const MIB: usize = 1 << 20;
    let place = Place::sqlite();
    let api = place.serve().await;
    let declared = format!("Content-Length: {MIB}");
    for (number, (connections, framing, sent)) in [
        (120, declared.as_str(), 0),
        (120, declared.as_str(), 1),
        (120, "Transfer-Encoding: chunked", 0),
        // What did arrive: more than one address may have.
        (12, declared.as_str(), MIB - 1),
    ]
    .into_iter()
    .enumerate()
    {
        let stalled = (0..connections).map(|_| stall("127.0.0.1", &api, framing, sent));
        let mut stalled = futures::future::join_all(stalled).await;
        for (address, padding) in [("127.0.0.1", 0), ("127.0.0.2", 0), ("127.0.0.2", 900_000)] {
            let began = Instant::now();
            let event = format!("n{number}-{address}-{padding}");
            let answer = send_from(address, &api, &event, padding).await;
            let took = began.elapsed();
            assert!(answer.starts_with("HTTP/1.1 202"), "{framing}, {sent}: {answer}");
            assert!(took < Duration::from_secs(10), "{framing}, {sent}: {took:?}");
        }
        // And they are ended soon.
        let began = Instant::now();
        let first = read_until_closed(&mut stalled[0], Duration::from_secs(30)).await;
        let status = first.split(' ').nth(1).unwrap_or_default();
        assert!(["408", "503"].contains(&status), "{framing}, {sent}: {first}");
        assert!(began.elapsed() < Duration::from_secs(30), "{framing}, {sent}");
    }
}

mod tests {
    use super::*;

    pub(super) async fn what_is_proven_becomes_an_order_once(place: Place) {
        let mut api = place.serve().await;
        let signature = format!("sha256={SIGNATURE}");
        let whole = json!({ "data": document("w"), "sent": "now" }).to_string();
        let token = format!("Bearer {SECRET}");
        for (hook, order, header, body) in [
            ("github", "g", ("x-hub-signature-256", signature.as_str()), signed()),
            ("shop", "s", ("authorization", token.as_str()), body("s")),
            ("whole", "w", ("authorization", token.as_str()), whole),
        ] {
            let answer = post(&api, hook, header, &body).await;
            assert_eq!(answer.body["outcome"], "stored", "{hook}: {answer:?}");
            let mapped = mapped(&api, &answer).await;
            assert_eq!(mapped["delivery"]["state"], "accepted", "{mapped}");
            assert_eq!(mapped["delivery"]["order"], order, "{mapped}");
            assert_eq!(mapped["body"], body, "as it came");
            let stored = api.database.order(order).await.unwrap();
            assert_eq!((stored.template.as_str(), i64::from(stored.priority)), ("flora", 3));
            let stored = api.get(&format!("/v1/orders/{order}/document")).await;
            assert_eq!(stored.body["business_name"], "Flora", "{stored:?}");
            // Sent again, it is the same.
            let again = post(&api, hook, header, &body).await;
            assert_eq!(
                (again.status, &again.body["outcome"], &again.body["delivery"]),
                (StatusCode::OK, &json!("already_stored"), &answer.body["delivery"])
            );
        }
        assert_eq!(count(&api, "").await, 3);
        assert_eq!(count(&api, "hook=shop").await, 1);
        assert_eq!(count(&api, "order=g&state=accepted").await, 1);

        for (hook, header, value) in [
            ("nobody", "authorization", token.as_str()),
            ("shop", "authorization", "Bearer a-secret-of-a-shoq"),
            ("shop", "authorization", "Basic a-secret-of-a-shop"),
            ("shop", "x-token", SECRET),
            ("github", "x-hub-signature-256", signature.as_str()),
            ("github", "authorization", token.as_str()),
        ] {
            let refused = post(&api, hook, (header, value), &body("x")).await;
            refused.is_problem(401, "bad_signature");
            assert!(!refused.text.contains("hook \""), "it says not which there are: {refused:?}");
        }
        // Of a stranger, not even the length is looked at.
        for (token, status) in [(SECRET, "413"), ("another-secret-of-a-shop", "401")] {
            let head = format!(
                "POST /hooks/shop HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
                 Content-Length: 1048577\r\nConnection: close\r\n\r\n"
            );
            let answer = api.raw(head.as_bytes(), Duration::from_secs(5)).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
        }
        assert_eq!(count(&api, "").await, 3, "nothing else was stored");
        assert_eq!(count(&api, "limit=1").await, 1);
        api.get("/v1/hooks/deliveries?limit=0").await.is_problem(400, "bad_request");
        api.get("/v1/hooks/deliveries?state=lost").await.is_problem(400, "bad_request");

        // A server that needs tokens needs none for what is signed.
        api.log_in(&[Scope::Read]).await;
        let answer = post_with_token(&api, "shop", &body("t")).await;
        assert_eq!(mapped(&api, &answer).await["delivery"]["order"], "t");
    }

    /// As editors, programs and forms write it.
    pub(super) async fn a_document_means_the_same_in_a_webhook_as_alone(place: Place) {
        let api = place.serve().await;
        let text = |id: &str| document(id).to_string();
        let half = |id: &str| text(id).replace(r#""Flora""#, r#""Flora \ud83d""#);
        let twice = |id: &str| text(id).replacen('{', r#"{"business_name":"Fauna","#, 1);
        let data = |inner: String| format!(r#"{{"data":{inner}}}"#);
        for (hook, body, wanted) in [
            ("plain", format!("\u{feff}{}", text("p1")), Ok("p1")),
            ("plain", half("p2"), Ok("p2")),
            ("plain", twice("p3"), Err("/business_name: is given more than once")),
            ("plain", "not json".to_owned(), Err("is not JSON")),
            ("whole", format!("\u{feff}{}", data(text("w1"))), Ok("w1")),
            ("whole", data(half("w2")), Ok("w2")),
            ("whole", data(twice("w3")), Err("\"/data/business_name\" is given more than once")),
            (
                "whole",
                data(text("w4")).replacen('{', r#"{"data":1,"#, 1),
                Err("\"/data\" is given"),
            ),
            ("whole", data(text("w5")).replacen('{', r#"{"a":1,"a":2,"#, 1), Ok("w5")),
            ("whole", json!({ "data": text("w6") }).to_string(), Ok("w6")),
            ("whole", json!({ "data": "Flora" }).to_string(), Err("is not a JSON object")),
        ] {
            let answer = post_with_token(&api, hook, &body).await;
            let delivery = mapped(&api, &answer).await["delivery"].clone();
            match wanted {
                Ok(order) => {
                    assert_eq!(delivery["state"], "accepted", "{body}: {delivery}");
                    assert_eq!(delivery["order"], order, "{body}: {delivery}");
                }
                Err(says) => {
                    let reason = delivery["reason"].as_str().unwrap_or_default();
                    assert!(reason.contains(says), "{body}: {delivery}");
                }
            }
        }
    }

    pub(super) async fn what_is_refused_is_kept_and_replayed(place: Place) {
        let api = place.serve().await;
        let no_mail = json!({ "order": { "number": "1" }, "company": { "name": "Flora" } });
        api.add("9").await;
        for (hook, body, says) in [
            ("shop", "not json".to_owned(), "is not JSON"),
            ("shop", json!({ "company": {} }).to_string(), "no id of an order"),
            ("shop", no_mail.to_string(), "business_email"),
            ("whole", json!({ "data": 1 }).to_string(), "is not a JSON object"),
            ("lost", body("7"), "no template \"fauna\""),
            ("shop", body("9").replace("Flora", "Fauna"), "with another document"),
        ] {
            let answer = post_with_token(&api, hook, &body).await;
            let mapped = mapped(&api, &answer).await;
            assert_eq!(mapped["delivery"]["state"], "refused", "{mapped}");
            let reason = mapped["delivery"]["reason"].as_str().unwrap();
            assert!(reason.contains(says), "{reason}");
        }
        let refused = api.get("/v1/hooks/deliveries?state=refused&limit=4").await;
        assert_eq!(refused.body["deliveries"].as_array().unwrap().len(), 4);
        let next = refused.body["next"].as_str().unwrap();
        assert_eq!(count(&api, &format!("state=refused&cursor={next}")).await, 2);

        // The cause is gone, and it is an order.
        let last = &refused.body["deliveries"][0];
        let path = format!("/v1/hooks/deliveries/{}/replay", last["id"].as_str().unwrap());
        assert_eq!(api.post(&path).await.body["outcome"], "refused");
        let mut other = document("9");
        other["business_name"] = json!("Fauna");
        let revised = api.send(Method::PUT, "/v1/orders/9/document", &other).await;
        assert!(revised.status.is_success(), "{revised:?}");
        for _ in 0..2 {
            let replayed = api.post(&path).await;
            assert_eq!(replayed.body["outcome"], "accepted", "{replayed:?}");
            assert!(replayed.body["delivery"]["reason"].is_null(), "{replayed:?}");
        }
        let audit = api.database.audit_log(i64::MAX, 1).await.unwrap();
        assert_eq!(audit[0].action, "hook.replay");
        assert_eq!(audit[0].target.as_deref(), last["id"].as_str());
        api.get("/v1/hooks/deliveries/nothing").await.is_problem(404, "no_such_hook_delivery");
        let nothing = api.post("/v1/hooks/deliveries/nothing/replay").await;
        nothing.is_problem(404, "no_such_hook_delivery");
        // The other hook has been taken out of the configuration.
        let database = place.database().await;
        let parts =
            ServerParts { hooks: Hooks::new(), ..place.parts(database.clone(), settings()) };
        let without = Api::start(parts, database).await;
        let other = api.get("/v1/hooks/deliveries?hook=lost").await;
        let id = other.body["deliveries"][0]["id"].as_str().unwrap().to_owned();
        let replayed = without.post(&format!("/v1/hooks/deliveries/{id}/replay")).await;
        replayed.is_problem(404, "no_such_hook");
    }

    /// It was stored, and then the process was killed. One that is replayed by the command line
    /// waits for a server too.
    pub(super) async fn what_a_process_left_is_mapped_by_the_next(place: Place) {
        let database = place.database().await;
        let mut ids = Vec::new();
        for (hook, order) in [("shop", "left"), ("unknown", "kept"), ("shop", "own")] {
            let (hook, body) = (hook.to_owned(), body(order));
            let traceparent = (order == "left").then(|| PARENT.parse().unwrap());
            let new = NewHookDelivery { hook, event_id: order.to_owned(), body, traceparent };
            let own = Duration::from_secs(if order == "own" { 3_600 } else { 0 });
            let (delivery, is_new) = database.store_hook_delivery(new, own).await.unwrap();
            assert!(is_new);
            ids.push(delivery.id);
        }
        let api = place.serve().await;
        until("it is an order", || async {
            api.get("/v1/orders/left").await.status == StatusCode::OK
        })
        .await;
        let claimed = api.claim("left").await;
        assert_eq!(claimed.traceparent.map(|trace| trace.to_string()).as_deref(), Some(PARENT));
        assert_eq!(state(&api, &ids[1]).await, "pending", "another server may have the hook");
        assert_eq!(state(&api, &ids[2]).await, "pending", "its process may live");
        // No server has had it in its configuration for a day: it does not wait for ever.
        let refuse = |due_before| {
            let hooks = ["shop".to_owned()];
            let database = api.database.clone();
            async move { database.refuse_orphaned_hook_deliveries(&hooks, due_before).await }
        };
        assert_eq!(refuse(0).await.unwrap(), 0);
        assert_eq!(refuse(i64::MAX).await.unwrap(), 1);
        let orphan = api.get(&format!("/v1/hooks/deliveries/{}", ids[1])).await.body;
        assert_eq!(orphan["delivery"]["state"], "refused", "{orphan}");
        let reason = orphan["delivery"]["reason"].as_str().unwrap();
        assert!(reason.contains("[hooks.unknown]"), "{reason}");
        assert_eq!(state(&api, &ids[2]).await, "pending", "its hook is known");
        assert!(api.database.expire_hook_deliveries(i64::MAX, 0, true).await.unwrap() >= 1);
        assert!(api.database.replay_hook_delivery("nothing").await.unwrap().is_none());
        let refused = post_with_token(&api, "shop", "not json").await;
        let refused = mapped(&api, &refused).await["delivery"]["id"].as_str().unwrap().to_owned();
        let due = api.database.replay_hook_delivery(&refused).await.unwrap().unwrap();
        assert_eq!(due.state.as_str(), "pending");
        until("it is mapped again", || async { state(&api, &refused).await == "refused" }).await;
    }

    pub(super) async fn an_erased_order_takes_what_was_sent_with_it(place: Place) {
        let api = place.serve().await;
        let answer = post_with_token(&api, "shop", &body("1")).await;
        mapped(&api, &answer).await;
        let differs = post_with_token(&api, "shop", &body("1").replace("Flora", "Fauna")).await;
        mapped(&api, &differs).await;
        let kept = post_with_token(&api, "shop", &body("2")).await;
        mapped(&api, &kept).await;
        let erased = send(api.request(Method::DELETE, "/v1/orders/1")).await;
        assert_eq!(erased.status, StatusCode::OK, "{erased:?}");
        // A new event about it, and the old one again.
        let late = post_with_token(&api, "shop", &body("1").replace("Flora", "Flauna")).await;
        for answer in [&answer, &differs, &late] {
            let left = mapped(&api, answer).await;
            assert_eq!(left["delivery"]["state"], "erased", "{left}");
            assert_eq!((&left["body"], &left["delivery"]["reason"]), (&json!(""), &Value::Null));
            let path = format!(
                "/v1/hooks/deliveries/{}/replay",
                answer.body["delivery"].as_str().unwrap()
            );
            assert_eq!(api.post(&path).await.body["outcome"], "erased");
        }
        let again = post_with_token(&api, "shop", &body("1")).await;
        assert_eq!(again.body["outcome"], "already_stored", "{again:?}");
        api.get("/v1/orders/1").await.is_problem(404, "no_such_order");
        assert_eq!(count(&api, "state=accepted").await, 1);

        // Retention removes the rest, and what is pending stays.
        let pending = NewHookDelivery {
            hook: "unknown".to_owned(),
            event_id: "p".to_owned(),
            body: body("p"),
            traceparent: None,
        };
        api.database.store_hook_delivery(pending, Duration::ZERO).await.unwrap();
        let expire = |before, dry| api.database.expire_hook_deliveries(before, 3, dry);
        assert_eq!(expire(0, false).await.unwrap(), 0);
        assert_eq!(expire(i64::MAX, true).await.unwrap(), 4);
        assert_eq!(expire(i64::MAX, false).await.unwrap(), 3);
        assert_eq!(expire(i64::MAX, false).await.unwrap(), 1);
        assert_eq!(count(&api, "").await, 1);
        let entries = api.database.expire_audit(i64::MAX, 1_000, true).await.unwrap();
        assert!(entries >= 4, "{entries}");
        assert_eq!(api.database.expire_audit(0, 1_000, false).await.unwrap(), 0);
        assert_eq!(api.database.expire_audit(i64::MAX, 1, false).await.unwrap(), 1);
        assert_eq!(api.database.expire_audit(i64::MAX, 1_000, false).await.unwrap(), entries - 1);
        assert!(api.database.audit_log(i64::MAX, 10).await.unwrap().is_empty());
    }
}
