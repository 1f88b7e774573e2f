//! Other ways to the console than a token: the one-time link, the header of a proxy; previews, which
//! have an address of their own; and the pages of webhooks and of what has expired.

use sitewright_jobs::{Seen, WebhookEvent};
use sitewright_server::{ConsoleConfig, ConsoleLink, ProxyScope};

use crate::console_order::publish;
use crate::visitor::{Browser, is_secure, secret};
use crate::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_link_leads_into_the_console_once() {
    let place = Place::sqlite();
    let database = place.database().await;
    let server = Server::bind(place.parts(database.clone(), settings())).await.unwrap();
    let ConsoleLink { authority, path: link } = server.console_link().await.unwrap().unwrap();
    let api = Api::of(server, database);
    let port = api.address.port();
    let host = authority.strip_suffix(&format!(".localhost:{port}")).unwrap();
    assert!(host.len() == 32 && host.bytes().all(|byte| byte.is_ascii_hexdigit()), "{host}");
    let browser = Browser::new(&api);
    // From now on the console needs a session, also on this machine.
    let to = browser.get("/console").await.header("location").to_owned();
    assert_eq!(to, "/console/login");
    let asked = browser.get("/console/login").await;
    assert_eq!(asked.status.as_u16(), 401);
    assert!(asked.text.contains("Open the link that"), "{}", asked.text);
    assert!(!asked.text.contains("href=\"/console/login\""), "{}", asked.text);
    is_secure("login", &asked);
    let wrong = format!("/console/enter?key={}", "0".repeat(64));
    for path in ["/console/enter", wrong.as_str()] {
        let answer = browser.get(path).await;
        assert_eq!(answer.status.as_u16(), 401, "{path}");
        is_secure(path, &answer);
    }
    // Not for a page of another origin, or under another name of this machine.
    for header in ["Host: evil.example", "Host: localhost\r\nSec-Fetch-Site: cross-site"] {
        let head = format!("GET {link} HTTP/1.1\r\n{header}\r\nConnection: close\r\n\r\n");
        let answer = api.raw(head.as_bytes(), Duration::from_secs(5)).await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{header}: {answer}");
    }
    // Who only looks at it does not use it.
    for (ask, status) in [
        (format!("HEAD {link} HTTP/1.1\r\nHost: {authority}"), "200"),
        (format!("GET {link} HTTP/1.1\r\nHost: {authority}\r\nSec-Purpose: prefetch"), "503"),
        (
            format!("GET {link} HTTP/1.1\r\nHost: {authority}\r\nSec-Purpose: prefetch;prerender"),
            "503",
        ),
        (format!("GET {link} HTTP/1.1\r\nHost: localhost\r\nPurpose: prefetch"), "503"),
        (format!("GET {link} HTTP/1.1\r\nHost: localhost\r\nX-Moz: prefetch"), "503"),
    ] {
        let head = format!("{ask}\r\nConnection: close\r\n\r\n");
        let answer = api.raw(head.as_bytes(), Duration::from_secs(5)).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{ask}: {answer}");
        assert!(!answer.to_lowercase().contains("set-cookie"), "{ask}: {answer}");
    }
    // It is for its own host, whose name nobody else has: a cookie knows no ports.
    let at = |host: &str, path: &str| {
        let url = format!("http://{}{path}", api.address);
        api.client.get(url).header("host", host)
    };
    let answer = browser.send(at(&authority, &link)).await;
    assert_eq!((answer.status.as_u16(), answer.header("location")), (303, "/console"));
    assert!(!answer.header("set-cookie").contains("Domain"), "{answer:?}");
    let page = browser.send(at(&authority, "/console")).await;
    assert_eq!(page.status, StatusCode::OK, "{page:?}");
    let other = format!("{}.localhost:{port}", "0".repeat(32));
    let refused = browser.send(at(&other, "/console")).await;
    assert!(refused.text.contains("This server answers to other names"), "{refused:?}");
    assert!(browser.page("/console").await.contains("this machine"));
    browser.act("/console/queue/pause", &[]).await;
    assert!(api.database.is_paused().await.unwrap());
    // A second time it leads nowhere, and others are still outside.
    let other = Browser::new(&api);
    assert_eq!(other.get(&link).await.status.as_u16(), 401);
    assert_eq!(other.get("/console/orders").await.status.as_u16(), 303);
    browser.act("/console/logout", &[]).await;
    assert_eq!(browser.get("/console").await.status.as_u16(), 303);
    let log = api.database.audit_log(i64::MAX, 100).await.unwrap();
    let begun: Vec<i64> = log
        .iter()
        .filter(|entry| entry.action == "session.begin")
        .map(|entry| entry.status)
        .collect();
    assert_eq!(begun, [401, 303, 401, 401], "the newest first");
    // With the first token, everybody logs in with one.
    new_token(&api.database, &[Scope::Read], None).await;
    assert!(Browser::new(&api).page("/console/login").await.contains("name=\"token\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_tokens_makes_no_link() {
    let place = Place::sqlite();
    let database = place.database().await;
    new_token(&database, &[Scope::Read], None).await;
    let server = Server::bind(place.parts(database, settings())).await.unwrap();
    assert_eq!(server.console_link().await.unwrap(), None);
}

fn behind_a_proxy(trusted: &str, proxy_scope: ProxyScope) -> ServerConfig {
    let console = ConsoleConfig {
        proxy_header: Some("X-Forwarded-User".to_owned()),
        trusted: vec![trusted.parse().unwrap()],
        proxy_scope,
        ..ConsoleConfig::default()
    };
    ServerConfig { console, ..settings() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_is_believed_says_who_sends_a_request() {
    let place = Place::sqlite();
    for (scope, may_operate, may_admin) in [
        (ProxyScope::Read, false, false),
        (ProxyScope::Operate, true, false),
        (ProxyScope::Admin, true, true),
    ] {
        let api = place.serve_with(behind_a_proxy("127.0.0.0/8", scope)).await;
        api.database.resume().await.unwrap();
        let url = |path: &str| format!("http://{}{path}", api.address);
        let named = |request: RequestBuilder, name: &str| {
            // As a proxy in front sends it.
            request.header("x-forwarded-user", name).header("host", "console.example")
        };
        let page = send(named(api.client.get(url("/console/settings")), "alice")).await;
        assert_eq!(page.status, StatusCode::OK, "{page:?}");
        assert!(page.text.contains("alice") && !page.text.contains("/console/logout"));
        is_secure("/console/settings", &page);
        assert_eq!(page.text.contains("read only"), !may_operate);
        let audit = send(named(api.client.get(url("/console/audit")), "alice")).await;
        assert_eq!(audit.status == StatusCode::OK, may_admin, "{scope:?}");

        let pause = async |name: &str, csrf: &str| {
            let request = named(api.client.post(url("/console/queue/pause")), name)
                .header("content-type", "application/x-www-form-urlencoded")
                .header("sec-fetch-site", "same-origin")
                .body(format!("csrf={csrf}"));
            send(request).await.status.as_u16()
        };
        let page = send(named(api.client.get(url("/console")), "alice")).await;
        let csrf = secret(&page.text).unwrap_or_default();
        assert_eq!(!csrf.is_empty(), may_operate, "no form for who may do nothing");
        if may_operate {
            // The secret of one is none of another, and a form of another page does nothing.
            assert_eq!(pause("bob", &csrf).await, 403);
            assert_eq!(pause("alice", "").await, 403);
            assert!(!api.database.is_paused().await.unwrap());
            assert_eq!(pause("alice", &csrf).await, 303);
            assert!(api.database.is_paused().await.unwrap());
        } else {
            assert_eq!(pause("alice", &"0".repeat(64)).await, 403);
        }
        let log = api.database.audit_log(i64::MAX, 10).await.unwrap();
        assert_eq!(log[0].actor, "proxy: alice", "{log:?}");

        // Without a name, with two, or with one that is none, it is nobody: not even on this
        // machine, and not for the API.
        for names in [&[][..], &["alice", "bob"], &[""], &["a\u{7f}b"]] {
            let mut request = api.client.get(url("/console"));
            for name in names {
                let name = reqwest::header::HeaderValue::from_bytes(name.as_bytes());
                if let Ok(name) = name {
                    request = request.header("x-forwarded-user", name);
                }
            }
            let answer = send(request).await;
            assert_eq!(answer.header("location"), "/console/login", "{names:?}");
        }
        let stats = send(named(api.client.get(url("/v1/stats")), "alice")).await;
        stats.is_problem(401, "unauthorized");
    }
    // Who logs in with a token is who has the token, and who they were before when it is revoked or
    // they log out.
    let proxied = place.serve_with(behind_a_proxy("127.0.0.0/8", ProxyScope::Operate)).await;
    let api = &proxied;
    let admin = new_token(&api.database, &[Scope::Admin], None).await;
    let browser = Browser::new(api);
    let named = async |path: &str| {
        let url = format!("http://{}{path}", api.address);
        browser.send(api.client.get(url).header("x-forwarded-user", "alice")).await
    };
    assert_eq!(named("/console/audit").await.status, StatusCode::FORBIDDEN);
    assert_eq!(browser.log_in(&admin).await.status, StatusCode::SEE_OTHER);
    let audit = named("/console/audit").await;
    assert_eq!(audit.status, StatusCode::OK, "{audit:?}");
    assert!(audit.text.contains("{admin}") && audit.text.contains("/console/logout"));
    let to = browser.act("/console/logout", &[]).await;
    assert_eq!(to, "/console/login");
    assert_eq!(named("/console/audit").await.status, StatusCode::FORBIDDEN);
    let page = named("/console/settings").await;
    assert!(page.text.contains("alice") && !page.text.contains("/console/logout"), "{page:?}");
    // Somebody else is not believed.
    let api = place.serve_with(behind_a_proxy("192.0.2.1", ProxyScope::Admin)).await;
    let url = format!("http://{}/console", api.address);
    let answer = send(api.client.get(url).header("x-forwarded-user", "alice")).await;
    assert_eq!(answer.header("location"), "/console/login");
    // A token opens the console as before.
    let token = new_token(&api.database, &[Scope::Read], None).await;
    let browser = Browser::new(&api);
    assert_eq!(browser.log_in(&token).await.status, StatusCode::SEE_OTHER);
    assert!(browser.page("/console").await.contains("{read}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_is_on_an_address_of_its_own() {
    let place = Place::sqlite();
    let console = ConsoleConfig {
        previews: Some("127.0.0.1:0".parse().unwrap()),
        ..ConsoleConfig::default()
    };
    let api = place.serve_with(ServerConfig { console, ..settings() }).await;
    api.add("1").await;
    let first = publish(&api, &place, "1", "Rye bread", true).await;
    api.database.reopen("1", None).await.unwrap();
    let second = publish(&api, &place, "1", "Sourdough", false).await;
    let list = Browser::new(&api).page("/console/orders/1/releases").await;
    let links: Vec<&str> =
        list.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let link = |release: &str| {
        let end = format!("/1/{release}/");
        *links.iter().find(|link| link.ends_with(&end)).unwrap()
    };
    let (old, new) = (link(&first), link(&second));
    let own = format!("http://{}", api.address);
    assert!(old.starts_with("http://127.0.0.1:") && !old.starts_with(&own), "{old}");
    for (link, says) in [(old, "Rye bread"), (new, "Sourdough")] {
        let page = send(api.client.get(link)).await;
        assert_eq!(page.status, StatusCode::OK, "{link}: {page:?}");
        assert!(page.text.contains(says), "{link}: {}", page.text);
        let policy = page.header("content-security-policy");
        assert!(policy.starts_with("sandbox allow-scripts;"), "{policy}");
        assert!(!policy.contains("allow-same-origin"), "{policy}");
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
            ("x-frame-options", "DENY"),
        ] {
            assert_eq!(page.header(name), value, "{link}");
        }
        assert!(page.headers.get("set-cookie").is_none());
        // Its modules, fonts and data are asked for by a page without an origin.
        assert_eq!(page.header("access-control-allow-origin"), "*", "{link}");
    }
    let robots = send(api.client.get(format!("{old}robots.txt"))).await;
    assert_eq!(robots.header("content-type"), "text/plain; charset=utf-8");
    // Without the slash, relative links would lead elsewhere.
    let bare = send(api.client.get(old.trim_end_matches('/'))).await;
    assert!(bare.status == StatusCode::PERMANENT_REDIRECT || bare.text.contains("Rye"), "{bare:?}");

    // Relative links of a folder's page need the slash as well.
    let folder = place.sites().join("public/1/releases").join(&first).join("about");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("index.html"), "About us").unwrap();
    let about = send(api.client.get(format!("{old}about/"))).await;
    assert_eq!((about.status, about.text.as_str()), (StatusCode::OK, "About us"));
    let (origin, path) = old.split_at(old.match_indices('/').nth(2).unwrap().0);
    let mut stream = TcpStream::connect(origin.trim_start_matches("http://")).await.unwrap();
    let ask = format!("GET {path}about HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(ask.as_bytes()).await.unwrap();
    let answer = read_until_closed(&mut stream, Duration::from_secs(5)).await;
    let to = format!("location: {path}about/\r\n");
    assert!(answer.starts_with("HTTP/1.1 308") && answer.contains(&to), "{answer}");

    // Nothing but files of the release that the key is for.
    let swapped = old.replace(&first, &second);
    let origin = old.rsplitn(5, '/').last().unwrap();
    for path in [
        swapped.as_str(),
        &format!("{old}nothing.html"),
        &format!("{old}..%2F..%2F..%2Forders.db"),
        &format!("{old}%2e%2e/{second}/index.html"),
        &format!("{old}a//b"),
        &format!("{old}index.html/"),
        &format!("{old}index.html/x"),
        &format!("{old}about/x"),
        &format!("{old}robots.txt/index.html"),
        &format!("{old}%00"),
        &format!("{old}caf%E9.html"),
        &format!("{old}%ff/"),
        origin,
        &format!("{origin}/console"),
        &format!("{origin}/v1/stats"),
        &format!("{origin}/{}/1/{first}/", "0".repeat(32)),
    ] {
        let answer = send(api.client.get(path)).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}: {answer:?}");
        assert!(answer.header("content-security-policy").contains("sandbox"), "{path}");
    }
    assert_eq!(send(api.client.post(old)).await.status, StatusCode::METHOD_NOT_ALLOWED);
}

/// What a template made is never on the origin of the console.
#[tokio::test(flavor = "multi_thread")]
async fn previews_are_not_at_the_origin_of_the_console() {
    let place = Place::sqlite();
    let with = |url: &str| {
        let console = ConsoleConfig {
            previews: Some("127.0.0.1:0".parse().unwrap()),
            previews_url: Some(url.to_owned()),
            ..ConsoleConfig::default()
        };
        ServerConfig { console, ..settings() }
    };
    // A port that is free at this moment.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for url in [format!("http://127.0.0.1:{port}"), format!("http://localhost:{port}/")] {
        let settings = ServerConfig {
            listen: std::net::SocketAddr::from(([127, 0, 0, 1], port)),
            ..with(&url)
        };
        let error = Server::bind(place.parts(place.database().await, settings)).await.err();
        let error = error.unwrap();
        assert!(matches!(error, ServerError::PreviewsUrl { .. }), "{error}");
        assert!(error.to_string().contains("is the origin of the console"), "{error}");
    }
    // Nor behind a proxy, whose name only requests tell.
    let api = place.serve_with(with("https://console.example")).await;
    api.add("1").await;
    publish(&api, &place, "1", "Rye bread", true).await;
    let url = format!("http://{}/console/orders/1/releases", api.address);
    let page = send(api.client.get(&url)).await;
    assert!(page.text.contains("https://console.example/"), "{page:?}");
    let token = new_token(&api.database, &[Scope::Read], None).await;
    let browser = Browser::new(&api);
    browser.log_in(&token).await;
    let page = browser.send(api.client.get(&url).header("host", "console.example")).await;
    assert_eq!(page.status, StatusCode::OK, "{page:?}");
    assert!(!page.text.contains("https://console.example/"), "{page:?}");
}

on_both!(deliveries_are_shown_and_made_again, what_webhooks_of_others_brought_is_shown);

mod tests {
    use super::*;

    pub(super) async fn what_webhooks_of_others_brought_is_shown(place: Place) {
        use sitewright_jobs::{HookOutcome, NewHookDelivery};

        let mut api = place.serve().await;
        let evil = "<script>alert(1)</script>";
        let database = api.database.clone();
        let keep = async |hook: &str, event: String, outcome: Option<HookOutcome>| {
            let new = NewHookDelivery {
                hook: hook.to_owned(),
                event_id: event,
                body: "{}".into(),
                traceparent: None,
            };
            let own = Duration::from_secs(600);
            let (delivery, _) = database.store_hook_delivery(new, own).await.unwrap();
            if let Some(outcome) = outcome {
                database.record_hook_delivery(&delivery.id, outcome).await.unwrap();
            }
        };
        assert!(Browser::new(&api).page("/console/hooks").await.contains("Nothing was received"));
        api.add("1").await;
        let accepted = HookOutcome::Accepted { order: "1".to_owned() };
        keep("shop", "a".to_owned(), Some(accepted)).await;
        let reason = format!("it has no mail address {evil}");
        let refused = HookOutcome::Refused { order: Some("2".to_owned()), reason };
        keep("github", "b".to_owned(), Some(refused)).await;
        keep("whole", "c".to_owned(), None).await;
        api.log_in(&[Scope::Read]).await;
        let token = api.token.clone().unwrap();
        let browser = Browser::new(&api);
        browser.log_in(&token).await;
        assert!(browser.page("/console/settings").await.contains("/console/hooks"));
        let all = browser.page("/console/hooks").await;
        for says in ["accepted", "refused", "pending", "/console/orders/1\"", "no mail address"] {
            assert!(all.contains(says), "{says}: {all}");
        }
        assert!(!all.contains(evil) && !all.contains("/console/orders/2"), "{all}");
        for (query, number) in [
            ("hook=shop", 1),
            ("hook=shop&state=refused", 0),
            ("state=refused", 1),
            ("order=2", 1),
            ("hook=gone", 0),
            ("hook=&order=&state=", 3),
        ] {
            let html = browser.page(&format!("/console/hooks?{query}")).await;
            assert_eq!(html.matches("<th scope=\"row\">").count(), number, "{query}: {html}");
        }
        for query in ["state=nothing", "cursor=x"] {
            let answer = browser.get(&format!("/console/hooks?{query}")).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}: {answer:?}");
        }
        // More than a page.
        for number in 0..60 {
            keep("shop", format!("more {number}"), None).await;
        }
        let mut next = Some("/console/hooks?hook=shop".to_owned());
        let mut seen = 0;
        while let Some(address) = next {
            let html = browser.page(&address).await;
            seen += html.matches("<th scope=\"row\">").count();
            let link = html.split_once("rel=\"next\" href=\"").map(|(_, rest)| rest);
            let link = link.and_then(|rest| rest.split('"').next());
            next = link.map(|link| link.replace("&#38;", "&"));
        }
        assert_eq!(seen, 61);
    }

    pub(super) async fn deliveries_are_shown_and_made_again(place: Place) {
        let mut api = place.serve().await;
        let evil = "<script>alert(1)</script>";
        let url = format!("https://crm.example/{evil}");
        let events = vec![WebhookEvent::OrderFailed, WebhookEvent::OrderSucceeded];
        let seen = Seen { name: "crm".to_owned(), url, events };
        api.database.see_webhooks(vec![seen]).await.unwrap();
        for id in ["1", "2"] {
            api.add(id).await;
            let claimed = api.claim(id).await;
            api.complete(&claimed, Resolution::Failed { failure: failure("trap") }).await;
        }
        api.log_in(&[Scope::Operate]).await;
        let token = api.token.clone().unwrap();
        let browser = Browser::new(&api);
        browser.log_in(&token).await;
        assert!(browser.page("/console/settings").await.contains("/console/webhooks"));
        let html = browser.page("/console/webhooks").await;
        for says in ["crm", "order.failed", "/console/orders/1\"", "pending", "enabled"] {
            assert!(html.contains(says), "{says}: {html}");
        }
        assert!(!html.contains(evil), "{html}");
        let html = browser.page("/console/webhooks?order=1&webhook=crm&state=pending").await;
        assert!(html.contains("/console/orders/1\"") && !html.contains("/console/orders/2\""));
        let none = browser.page("/console/webhooks?state=given_up").await;
        assert!(none.contains("No delivery fits"), "{none}");
        let id = html.split("/console/deliveries/").nth(1).unwrap().split('"').next().unwrap();
        let one = browser.page(&format!("/console/deliveries/{id}")).await;
        assert!(one.contains("order.failed to crm") && one.contains("Deliver it again"), "{one}");
        let question = format!("/console/deliveries/{id}/redeliver");
        assert!(one.contains(&format!("href=\"{question}\"")), "{one}");
        let asked = browser.page(&question).await;
        for says in ["Deliver order.failed to crm again?", "does again whatever it did", id] {
            assert!(asked.contains(says), "{says}: {asked}");
        }
        let to = browser.act(&question, &[]).await;
        assert_eq!(to, format!("/console/deliveries/{id}?did=redelivered"));
        assert!(browser.page(&to).await.contains("It is delivered again."));
        let asked = browser.page("/console/webhooks/crm/enable").await;
        assert!(asked.contains("It is enabled already."), "{asked}");
        let to = browser.act("/console/webhooks/crm/enable", &[]).await;
        assert_eq!(to, "/console/webhooks?did=enabled");
        for path in ["/console/deliveries/nothing", "/console/webhooks?state=nothing"] {
            let answer = browser.get(path).await;
            assert!(answer.status.is_client_error(), "{path}: {answer:?}");
            is_secure(path, &answer);
        }
        let expired = browser.page("/console/retention").await;
        assert!(expired.contains("failed orders"), "{expired}");
        assert!(expired.contains("what is still in the database"), "{expired}");
        let log = api.database.audit_log(i64::MAX, 100).await.unwrap();
        let did: Vec<(&str, Option<&str>)> = log
            .iter()
            .take(2)
            .map(|entry| (entry.action.as_str(), entry.target.as_deref()))
            .collect();
        assert_eq!(did, [("webhook.enable", Some("crm")), ("webhook.redeliver", Some(id))]);
    }
}
