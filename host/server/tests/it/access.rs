//! Tokens, scopes, the guard of a server without tokens, and the audit log.

use strum::VariantArray as _;

use crate::*;
use sitewright_server::{Access, Route, routes};

/// Every route, with every scope: one that the token has not is refused before anything is done.
#[tokio::test(flavor = "multi_thread")]
async fn every_route_with_every_scope() {
    let place = Place::sqlite();
    let api = place.serve().await;
    let mut tokens = Vec::new();
    for scope in Scope::VARIANTS {
        tokens.push((*scope, new_token(&api.database, &[*scope], None).await));
    }
    let mut tried = 0;
    for route in routes(Surface::Api) {
        let path = route.path.replace("{id}", "nothing").replace("{fingerprint}", "nothing");
        let path = path.replace("{source}", "nothing");
        let path = if path.ends_with("/orders") && route.method == "POST" {
            format!("{path}?template=flora&dry_run=true")
        } else {
            path
        };
        let request = || {
            let method = route.method.clone();
            let request = api.client.request(method, format!("http://{}{path}", api.address));
            request.timeout(Duration::from_secs(10))
        };
        // The head of the answer is enough: streams do not end.
        let anonymous = request().send().await.unwrap().status();
        for (scope, token) in &tokens {
            let status = request().bearer_auth(token).send().await.unwrap().status();
            let name = format!("{} {} as {scope}: {status}", route.method, route.path);
            match route.access {
                Access::Public => {
                    assert!(status.is_success(), "{name}");
                    assert!(anonymous.is_success(), "{name}");
                }
                // A token of the API is no proof of a webhook.
                Access::Signed => {
                    assert_eq!(status, StatusCode::UNAUTHORIZED, "{name}");
                    assert_eq!(anonymous, StatusCode::UNAUTHORIZED, "{name}");
                }
                Access::Scope(wanted) => {
                    assert_eq!(anonymous, StatusCode::UNAUTHORIZED, "{name}");
                    assert_eq!(status == StatusCode::FORBIDDEN, !scope.includes(wanted), "{name}");
                    assert_ne!(status, StatusCode::UNAUTHORIZED, "{name}");
                }
            }
            tried += 1;
        }
    }
    assert!(tried >= 80, "{tried}");
}

/// A parameter that a request does not have is refused by every route, and nothing is done: a
/// `dry_run` that is ignored would erase the order.
#[tokio::test(flavor = "multi_thread")]
async fn no_route_ignores_a_parameter() {
    let place = Place::sqlite();
    let api = place.serve().await;
    api.add("1").await;
    let scoped = |route: &&Route| matches!(route.access, Access::Scope(_));
    for route in routes(Surface::Api).filter(scoped) {
        let path = route.path.replace("{id}", "1").replace("{fingerprint}", "nothing");
        let path = match path.as_str() {
            "/v1/orders" if route.method == "POST" => format!("{path}?template=flora&"),
            _ => format!("{path}?"),
        };
        for parameter in ["dry_run_=true", "x=1", "x"] {
            let path = format!("{path}{parameter}");
            let request = api.request(route.method.clone(), &path).json(&document("1"));
            let answer = send(request).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{} {path}", route.method);
        }
    }
    let order = api.get("/v1/orders/1").await;
    assert_eq!(order.body["order"]["state"], "queued", "{order:?}");
    assert_eq!(api.get("/v1/stats").await.body["paused"], false);
}

/// A route that changes something is in the audit log, and one that reads is not, but for files
/// that leave the installation. What webhooks bring has a log of its own.
#[test]
fn what_changes_something_has_an_action() {
    for route in routes(Surface::Api) {
        assert_eq!(
            (route.method != "GET" && route.access != Access::Signed)
                || route.path.ends_with("/bundle"),
            route.action.is_some(),
            "{} {}",
            route.method,
            route.path
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_wrong_expired_or_revoked_opens_nothing() {
    let place = Place::sqlite();
    let mut api = place.serve().await;
    assert_eq!(api.get("/v1/stats").await.status, StatusCode::OK, "no tokens, loopback");
    let good = api.log_in(&[Scope::Read]).await;
    assert_eq!(api.get("/v1/stats").await.status, StatusCode::OK);
    let expired = new_token(&api.database, &[Scope::Admin], Some(1)).await;
    let mut wrong: Vec<String> = ["", "Bearer", "Bearer ", "Basic YTpi", "Bearer x", "bearer  y"]
        .map(str::to_owned)
        .to_vec();
    let mut other = good.clone();
    other.replace_range(good.len() - 1.., if good.ends_with('0') { "1" } else { "0" });
    wrong.extend([
        format!("Bearer {expired}"),
        format!("Bearer {other}"),
        format!("Bearer {}", good.to_uppercase()),
        format!("Token {good}"),
        good.clone(),
    ]);
    for header in &wrong {
        let request = api.client.get(format!("http://{}/v1/stats", api.address));
        let answer = send(request.header("authorization", header)).await;
        answer.is_problem(401, "unauthorized");
        assert!(answer.header("www-authenticate").starts_with("Bearer"), "{header}");
    }
    let twice = api.client.get(format!("http://{}/v1/stats", api.address));
    let twice = twice.bearer_auth(&good).header("authorization", format!("Bearer {good}"));
    send(twice).await.is_problem(401, "unauthorized");

    let tokens = api.database.tokens().await.unwrap();
    assert!(tokens[0].last_used_at.is_some(), "{tokens:?}");
    for token in &tokens {
        api.database.revoke_token(&token.id).await.unwrap();
    }
    api.get("/v1/stats").await.is_problem(401, "unauthorized");
    api.token = None;
    api.get("/v1/stats").await.is_problem(401, "unauthorized");
    // Also a server that starts later: revoking the last token opens nothing.
    let later = place.serve().await;
    later.get("/v1/stats").await.is_problem(401, "unauthorized");
}

/// Every guess gets the same answer, however near it is, fills no log, and locks nobody out.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_guesses_tokens_learns_nothing() {
    let place = Place::sqlite();
    let mut api = place.serve().await;
    let good = api.log_in(&[Scope::Admin]).await;
    let mut answers = BTreeSet::new();
    for at in good.len() - 32..good.len() {
        let mut near = good.clone();
        let digit = if &good[at..=at] == "0" { "1" } else { "0" };
        near.replace_range(at..=at, digit);
        for guess in [near, good[..at].to_owned()] {
            let request = api.client.post(format!("http://{}/v1/queue/pause", api.address));
            let answer = send(request.bearer_auth(&guess)).await;
            answer.is_problem(401, "unauthorized");
            answers.insert(answer.text);
        }
    }
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(api.database.audit_log(i64::MAX, 10).await.unwrap().len(), 0);
    assert!(!api.database.is_paused().await.unwrap());
    assert_eq!(api.get("/v1/stats").await.status, StatusCode::OK);
}

/// Of two, a proxy and the server might believe different ones.
#[tokio::test(flavor = "multi_thread")]
async fn without_tokens_no_header_that_is_checked_may_come_twice() {
    let place = Place::sqlite();
    let api = place.serve().await;
    for headers in [
        "Host: localhost\r\nHost: evil.example",
        "Host: localhost\r\nOrigin: http://localhost\r\nOrigin: http://evil.example",
        "Host: localhost\r\nSec-Fetch-Site: none\r\nSec-Fetch-Site: cross-site",
    ] {
        let head = format!("POST /v1/queue/pause HTTP/1.1\r\n{headers}\r\n\r\n");
        let answer = api.raw(head.as_bytes(), Duration::from_secs(5)).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{headers}: {answer}");
    }
    assert!(!api.database.is_paused().await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_tokens_only_this_machine_is_served() {
    let place = Place::sqlite();
    let database = place.database().await;
    let open: ServerConfig = ServerConfig { listen: "0.0.0.0:0".parse().unwrap(), ..settings() };
    let refused = Server::bind(place.parts(database.clone(), open.clone())).await;
    let error = refused.err().unwrap();
    assert!(matches!(error, ServerError::NoTokens { .. }), "{error}");
    assert!(error.to_string().contains("sitewright token create"), "{error}");

    let api = place.serve().await;
    let within = Duration::from_secs(5);
    for (host, is_served) in [
        ("127.0.0.1", true),
        ("localhost:8080", true),
        ("[::1]", true),
        ("evil.example", false),
        ("127.0.0.1.evil.example", false),
        ("10.0.0.1", false),
        ("", false),
    ] {
        let head = format!("GET /v1/stats HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let answer = api.raw(head.as_bytes(), within).await;
        let status = if is_served { "HTTP/1.1 200" } else { "HTTP/1.1 421" };
        assert!(answer.starts_with(status), "{host:?}: {answer}");
    }
    for (name, value, is_served) in [
        ("Origin", "http://evil.example", false),
        ("Origin", "null", false),
        ("Origin", "http://127.0.0.1", true),
        ("Sec-Fetch-Site", "cross-site", false),
        ("Sec-Fetch-Site", "same-site", false),
        ("Sec-Fetch-Site", "same-origin", true),
    ] {
        let head = format!(
            "POST /v1/queue/pause HTTP/1.1\r\nHost: 127.0.0.1\r\n{name}: {value}\r\n\
             Content-Length: 0\r\nConnection: close\r\n\r\n"
        );
        let answer = api.raw(head.as_bytes(), within).await;
        let status = if is_served { "HTTP/1.1 200" } else { "HTTP/1.1 403" };
        assert!(answer.starts_with(status), "{name}: {value}: {answer}");
    }

    // With a token, other machines may come, by whatever name.
    let token = new_token(&database, &[Scope::Read], None).await;
    let api = Api::start(place.parts(database.clone(), open), database).await;
    let head = format!(
        "GET /v1/stats HTTP/1.1\r\nHost: api.example\r\nAuthorization: Bearer {token}\r\n\
         Connection: close\r\n\r\n"
    );
    let address = SocketAddr::from(([127, 0, 0, 1], api.address.port()));
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let answer = read_until_closed(&mut stream, within).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

on_both!(every_action_is_in_the_audit_log);

mod tests {
    use crate::*;

    pub(super) async fn every_action_is_in_the_audit_log(place: Place) {
        let mut api = place.serve().await;
        api.add("1").await;
        api.log_in(&[Scope::Admin]).await;
        api.post("/v1/orders/1/cancel").await;
        api.get("/v1/orders/1").await;
        api.post("/v1/orders/..%2f1/retry").await;
        // Somebody confuses an id and a token.
        let token = api.token.clone().unwrap();
        api.post(&format!("/v1/orders/{token}/retry")).await;
        let dry = "/v1/orders?template=flora&dry_run=true";
        api.send(Method::POST, dry, &document("2")).await;
        api.send(Method::PUT, "/v1/holds/template:flora", &json!({ "reason": "new key" })).await;
        send(api.request(Method::DELETE, "/v1/holds/template:flora")).await;
        api.post("/v1/queue/pause").await;
        api.post("/v1/queue/resume").await;
        let reader = new_token(&api.database, &[Scope::Read], None).await;
        let refused = api.client.post(format!("http://{}/v1/queue/pause", api.address));
        send(refused.bearer_auth(reader)).await.is_problem(403, "forbidden");
        send(api.request(Method::DELETE, "/v1/orders/1")).await;

        let log = api.get("/v1/audit").await.body["entries"].clone();
        let mut entries: Vec<(String, Value, i64, String)> = log
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| {
                let text = |name: &str| entry[name].as_str().unwrap().to_owned();
                assert!(text("client").starts_with("127.0.0.1:"), "{entry}");
                let status = entry["status"].as_i64().unwrap();
                (text("action"), entry["target"].clone(), status, text("actor"))
            })
            .collect();
        entries.reverse();
        let admin = "{admin}";
        let hold = json!("template:flora");
        let wanted = [
            ("order.add", json!("1"), 202, "local"),
            ("order.cancel", json!("1"), 200, admin),
            ("order.retry", json!("../1"), 404, admin),
            ("order.retry", json!("sitewright_[removed]"), 404, admin),
            ("hold.set", hold.clone(), 200, admin),
            ("hold.release", hold, 200, admin),
            ("queue.pause", Value::Null, 200, admin),
            ("queue.resume", Value::Null, 200, admin),
            ("queue.pause", Value::Null, 403, "{read}"),
            ("order.erase", json!("1"), 200, admin),
        ];
        let wanted = wanted.map(|(action, target, status, actor)| {
            (action.to_owned(), target, status, actor.to_owned())
        });
        assert_eq!(entries, wanted);
        let page = api.get("/v1/audit?limit=4").await.body;
        let next = page["next"].as_i64().unwrap();
        let rest = api.get(&format!("/v1/audit?limit=1000&before={next}")).await.body;
        assert_eq!(rest["entries"].as_array().unwrap().len(), wanted.len() - 4);
        assert!(rest["next"].is_null(), "{rest}");
    }
}
