//! Logging in to the console with an identity provider: a conforming one of others, and one that
//! does what no conforming one does.

use std::cell::RefCell;
use std::ffi::OsString;
use std::path::Path;

use sitewright_server::{Oidc, OidcConfig};

use crate::identity_provider::{CLIENT, IdentityProvider, Manner, Script};
use crate::standins::{OIDC, Standin};
use crate::visitor::{Browser, is_secure};
use crate::*;

/// How browsers reach the console. The browser of these tests knows where that is.
const CONSOLE: &str = "https://console.example";
/// The cookies of a login that has begun, and of a session: no other host can set them.
const LOGIN: &str = "__Host-sitewright_oidc";
const SESSION: &str = "__Host-sitewright_session";
/// As the audit log knows whom the provider's tokens name.
const ANN: &str = "oidc: ann (248289761001)";
/// Milliseconds in which the provider must answer: more than a busy machine needs.
const TIMEOUT_MS: u64 = 10_000;
/// The same for what never comes.
const SHORT_MS: u64 = 500;

/// A server whose people log in with this provider; `more` is added to its configuration.
async fn serve(place: &Place, issuer: &str, more: Value) -> Api {
    let mut keys = json!({
        "issuer": issuer,
        "client_id": CLIENT.0,
        "secret_env": "SECRET",
        "console_url": format!("{CONSOLE}/"),
        "label": "Example <b>",
        "scopes": { "staff": "read", "ops": "operate", "root": "admin" },
        "timeout_ms": TIMEOUT_MS,
    });
    for (key, value) in more.as_object().unwrap() {
        keys[key] = value.clone();
    }
    let config: OidcConfig = serde_json::from_value(keys).unwrap();
    let client = sitewright_http::client().unwrap();
    let secret = |_: &str| Some(OsString::from(format!("{}\n", CLIENT.1)));
    let oidc = Oidc::new(&config, Path::new("."), &secret, client).unwrap();
    let database = place.database().await;
    let parts = ServerParts { oidc: Some(oidc), ..place.parts(database.clone(), settings()) };
    Api::start(parts, database).await
}

/// The address of the button on the page to log in, and that page.
async fn button(browser: &Browser<'_>, next: &str) -> (String, String) {
    let page = browser.page(&format!("/console/login{next}")).await;
    let (_, rest) = page.split_once("class=\"button primary\" href=\"").unwrap();
    let href = rest.split('"').next().unwrap().replace("&#38;", "&");
    (own(&href).to_owned(), page)
}

/// The path of an address of the console.
fn own(url: &str) -> &str {
    let path = url.strip_prefix(CONSOLE).unwrap_or_else(|| panic!("{url} is not of the console"));
    assert!(path.starts_with('/'), "{url}");
    path
}

/// Presses the button, and logs in with the provider: what the console answers then.
async fn log_in(browser: &Browser<'_>, provider: &IdentityProvider) -> Answer {
    let (begin, _) = button(browser, "").await;
    let led = browser.get(&begin).await;
    assert_eq!(led.status, StatusCode::SEE_OTHER, "{led:?}");
    browser.get(own(&provider.log_in(led.header("location")))).await
}

/// Asserts that a login was refused for this reason, and that nobody is logged in.
async fn is_refused(name: &str, browser: &Browser<'_>, answer: &Answer, status: u16, says: &str) {
    assert_eq!(answer.status.as_u16(), status, "{name}: {answer:?}");
    assert!(
        answer.text.contains("role=\"alert\"") && answer.text.contains(says),
        "{name}: {answer:?}"
    );
    // It can be tried again, and there is the other way.
    assert!(answer.text.contains("/console/oidc/begin"), "{name}: {}", answer.text);
    assert!(answer.text.contains("name=\"token\""), "{name}: {}", answer.text);
    is_secure(name, answer);
    let page = browser.get("/console").await;
    assert_eq!(page.header("location"), "/console/login", "{name}");
}

/// What the audit log has of logins: who, status and target, the newest first.
async fn logins(api: &Api) -> Vec<(String, i64, Option<String>)> {
    let log = api.database.audit_log(i64::MAX, 200).await.unwrap();
    let begun = log.into_iter().filter(|entry| entry.action == "session.begin");
    begun.map(|entry| (entry.actor, entry.status, entry.target)).collect()
}

on_both!(somebody_logs_in_with_an_identity_provider);

mod tests {
    use super::*;

    pub(super) async fn somebody_logs_in_with_an_identity_provider(place: Place) {
        let provider = IdentityProvider::start().await;
        let api = serve(&place, provider.issuer(), json!({})).await;
        // Without a token, and on this machine: nobody is in.
        let browser = Browser::new(&api);
        assert_eq!(browser.get("/console").await.header("location"), "/console/login");
        api.get("/v1/stats").await.is_problem(401, "unauthorized");
        let next = "?next=%2Fconsole%2Forders%3Fstate%3Dfailed%26text%3Da";
        let (begin, page) = button(&browser, next).await;
        assert!(page.contains("Log in with Example &#60;b&#62;</a>"), "{page}");
        assert!(page.contains("name=\"token\""), "{page}");
        let led = browser.get(&begin).await;
        assert_eq!(led.status, StatusCode::SEE_OTHER, "{led:?}");
        let cookie = led.header("set-cookie").to_owned();
        assert!(cookie.starts_with(LOGIN), "{cookie}");
        for part in ["Path=/;", "Max-Age=600", "; Secure"] {
            assert!(cookie.contains(part), "{cookie}");
        }
        // What is in the address says nothing of what is in the cookie.
        let secret = browser.cookies.borrow()[LOGIN].clone();
        let (secret, _) = secret.split_once(':').unwrap();
        assert!(secret.len() == 64 && !led.header("location").contains(secret), "{led:?}");
        let back = provider.log_in(led.header("location"));
        let entered = browser.get(own(&back)).await;
        assert_eq!(entered.status, StatusCode::OK, "{entered:?}");
        is_secure("callback", &entered);
        // No redirect: the cookie of the session would not come along.
        let on = "content=\"0; url=/console/orders?state=failed&#38;text=a\"";
        assert!(entered.text.contains(on), "{}", entered.text);
        assert!(!browser.cookies.borrow().contains_key(LOGIN));
        let session = browser.cookies.borrow()[SESSION].clone();
        let page = browser.page("/console/orders").await;
        assert!(page.contains("title=\"ann\"") && !page.contains("read only"), "{page}");
        browser.act("/console/queue/pause", &[]).await;
        assert!(api.database.is_paused().await.unwrap());
        assert_eq!(browser.get("/console/audit").await.status, StatusCode::FORBIDDEN);
        // The API knows tokens only.
        let url = format!("http://{}/v1/stats", api.address);
        browser.send(api.client.get(url)).await.is_problem(401, "unauthorized");

        // A login ends once, and in the browser that began it.
        let again = browser.get(own(&back)).await;
        assert!(again.text.contains("was not begun in this browser"), "{again:?}");
        assert_eq!(browser.get("/console").await.status, StatusCode::OK, "still logged in");
        // Each login has a session of its own.
        assert_eq!(log_in(&browser, &provider).await.status, StatusCode::OK);
        assert_ne!(browser.cookies.borrow()[SESSION], session);
        // A cookie that another host of the domain can set is none of the console.
        let id = browser.cookies.borrow()[SESSION].clone();
        let url = format!("http://{}/console", api.address);
        for (name, status) in [(SESSION, 200), ("sitewright_session", 303)] {
            let request = api.client.get(&url).header("cookie", format!("{name}={id}"));
            assert_eq!(send(request).await.status.as_u16(), status, "{name}");
        }
        assert_eq!(browser.act("/console/logout", &[]).await, "/console/login");
        assert_eq!(browser.get("/console").await.header("location"), "/console/login");

        let of_ann = Some("oidc, subject 248289761001".to_owned());
        let good = (ANN.to_owned(), 200, of_ann);
        let bad = ("unknown".to_owned(), 403, Some("oidc".to_owned()));
        assert_eq!(logins(&api).await, [good.clone(), bad, good]);
        let log = api.database.audit_log(i64::MAX, 200).await.unwrap();
        let paused = log.iter().find(|entry| entry.action == "queue.pause").unwrap();
        assert_eq!(paused.actor, ANN);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conforming_provider_of_others_says_who_logs_in() {
    let test = "a_conforming_provider_of_others_says_who_logs_in";
    let Some(programs) = OIDC.ready(test) else { return };
    let user = json!({
        "sub": "7",
        "preferred_username": "ann",
        "groups": ["staff", "root"],
        "org": "acme",
    });
    let standin = Standin::oidc(&programs, &user);
    let client = sitewright_http::client().unwrap();
    let keys = format!("{}/jwks", standin.origin);
    until("the provider listens", || async {
        client.first().get(&keys).send().await.is_ok_and(|answer| answer.status().is_success())
    })
    .await;
    let place = Place::sqlite();
    let api = serve(&place, &standin.origin, json!({ "tenant_claim": "org" })).await;
    let browser = Browser::new(&api);
    let (begin, _) = button(&browser, "").await;
    let led = browser.get(&begin).await;
    let form = client.first().post(led.header("location")).body("sub=7");
    let form = form.header("content-type", "application/x-www-form-urlencoded");
    let back = send(form).await;
    let entered = browser.get(own(back.header("location"))).await;
    assert_eq!(entered.status, StatusCode::OK, "{back:?} {entered:?}");
    // The highest scope, and the orders of one tenant only.
    let page = browser.page("/console/orders").await;
    assert!(page.contains("title=\"ann\"") && page.contains(">acme</span>"), "{page}");
    assert_eq!(browser.get("/console/settings").await.status, StatusCode::FORBIDDEN);
    let good = ("oidc: ann (7)".to_owned(), 200, Some("oidc, subject 7".to_owned()));
    assert_eq!(logins(&api).await, [good]);
}

/// What a provider does, how the console answers, and what it says.
type Case = (&'static str, fn(&mut Script), u16, &'static str);

/// Seconds since the Unix epoch, that many seconds from now.
fn in_seconds(seconds: i64) -> i64 {
    sitewright_model::time::now_ms() / 1_000 + seconds
}

const CASES: &[Case] = &[
    ("all is well", |_| {}, 200, "You are logged in"),
    (
        "another nonce",
        |script| script.claims = json!({ "nonce": "another" }),
        403,
        "is not the one of this login",
    ),
    (
        "no nonce",
        |script| script.claims = json!({ "nonce": null }),
        403,
        "is not the one of this login",
    ),
    (
        "another audience",
        |script| script.claims = json!({ "aud": "shop" }),
        403,
        "is for another application",
    ),
    (
        "more audiences",
        |script| script.claims = json!({ "aud": ["sitewright", "shop"] }),
        403,
        "is for another application",
    ),
    (
        "no audience",
        |script| script.claims = json!({ "aud": null }),
        403,
        "is for another application",
    ),
    (
        "issued to another application",
        |script| script.claims = json!({ "azp": "shop" }),
        403,
        "is for another application",
    ),
    (
        "an expired token",
        |script| script.claims = json!({ "exp": in_seconds(-90) }),
        403,
        "Compare the clocks",
    ),
    (
        "a token that expired within the leeway",
        |script| script.claims = json!({ "exp": in_seconds(-20) }),
        200,
        "You are logged in",
    ),
    (
        "a token of the future",
        |script| script.claims = json!({ "iat": in_seconds(120), "exp": in_seconds(900) }),
        403,
        "Compare the clocks",
    ),
    (
        "a token of a future within the leeway",
        |script| script.claims = json!({ "iat": in_seconds(30) }),
        200,
        "You are logged in",
    ),
    (
        "a time that no clock has",
        |script| script.claims = json!({ "iat": -9_000_000_000_000_000_i64 }),
        403,
        "cannot be used",
    ),
    (
        "the token of another issuer",
        |script| script.claims = json!({ "iss": "https://evil.example" }),
        403,
        "Another issuer answered",
    ),
    (
        "no signature",
        |script| script.header = json!({ "alg": "none" }),
        403,
        "is not signed by the identity provider",
    ),
    (
        "signed with the client secret",
        |script| script.header = json!({ "alg": "HS256" }),
        403,
        "is not signed by the identity provider",
    ),
    (
        "signed with another key",
        |script| {
            script.key = 1;
            script.header = json!({ "kid": "0" });
        },
        403,
        "is not signed by the identity provider",
    ),
    (
        "signed with a key that nobody knows",
        |script| script.header = json!({ "kid": "7" }),
        403,
        "is not signed by the identity provider",
    ),
    (
        "keys that were replaced",
        |script| {
            script.key = 1;
            script.published = 1;
        },
        200,
        "You are logged in",
    ),
    ("keys that were replaced again", |_| {}, 200, "You are logged in"),
    (
        "keys that were replaced, of tokens that do not name theirs",
        |script| {
            script.key = 1;
            script.published = 1;
            script.header = json!({ "kid": null });
        },
        200,
        "You are logged in",
    ),
    (
        "a time as text, as Auth0 writes it",
        |script| script.claims = json!({ "updated_at": "2026-11-30T01:02:03.456Z" }),
        200,
        "You are logged in",
    ),
    (
        "a truth value as text, as Apple writes it",
        |script| script.claims = json!({ "email": "a@b.example", "email_verified": "true" }),
        200,
        "You are logged in",
    ),
    (
        "a token that counts later",
        |script| script.claims = json!({ "nbf": in_seconds(3_600) }),
        403,
        "Compare the clocks",
    ),
    (
        "a token that counts from now on",
        |script| script.claims = json!({ "nbf": in_seconds(30) }),
        200,
        "You are logged in",
    ),
    (
        "a token that counts from no time on",
        |script| script.claims = json!({ "nbf": "tomorrow" }),
        403,
        "its claim `nbf` is no time",
    ),
    (
        "what belongs to the access token, as some write it",
        |script| script.token = json!({ "expires_in": "3599", "scope": ["openid"] }),
        200,
        "You are logged in",
    ),
    (
        "an answer with nothing but the ID token",
        |script| script.token = json!({ "access_token": null, "token_type": null }),
        200,
        "You are logged in",
    ),
    (
        "an error with the status of success",
        |script| script.token = json!({ "id_token": null, "error": "bad_code" }),
        403,
        "did not accept the code of the login: bad_code",
    ),
    (
        "an error that repeats the client secret",
        |script| {
            let body = r#"{"error":"invalid_client","error_description":"not s3cret:+/"}"#;
            script.tokens = Manner::With(401, body);
        },
        403,
        "client secret removed",
    ),
    (
        "no token at all",
        |script| script.token = json!({ "id_token": null }),
        403,
        "sent no ID token",
    ),
    (
        "a token that is none",
        |script| script.token = json!({ "id_token": "a.b" }),
        403,
        "cannot be used",
    ),
    (
        "nobody in particular",
        |script| script.claims = json!({ "sub": null }),
        403,
        "cannot be used",
    ),
    (
        "an answer of a proxy in between",
        |script| script.tokens = Manner::With(502, "<html>"),
        403,
        "cannot be used",
    ),
    (
        "a code that is refused",
        |script| script.tokens = Manner::With(400, "{\"error\":\"invalid_grant\"}"),
        403,
        "did not accept the code of the login: invalid_grant",
    ),
    ("a redirect", |script| script.tokens = Manner::Redirect, 403, "did not accept the code"),
    ("an answer without end", |script| script.tokens = Manner::Huge, 503, "more than 256 KiB"),
    (
        "a group without a scope",
        |script| script.claims = json!({ "groups": ["others"] }),
        403,
        "You are ann, and none of your values of the claim `groups`",
    ),
    ("no groups", |script| script.claims = json!({ "groups": null }), 403, "none of your values"),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_wrong_in_one_thing_lets_nobody_in() {
    let provider = IdentityProvider::start().await;
    let place = Place::sqlite();
    let api = serve(&place, provider.issuer(), json!({})).await;
    for (name, change, status, says) in CASES {
        provider.does(change);
        let before = provider.key_requests();
        let browser = Browser::new(&api);
        let answer = log_in(&browser, &provider).await;
        if *status == 200 {
            assert_eq!(answer.status, StatusCode::OK, "{name}: {answer:?}");
            assert!(answer.text.contains(says), "{name}: {}", answer.text);
            assert_eq!(browser.get("/console").await.status, StatusCode::OK, "{name}");
        } else {
            // `'` and backticks are escaped in a page.
            is_refused(name, &browser, &answer, *status, &says.replace('`', "&#96;")).await;
        }
        let asked = provider.key_requests() - before;
        assert!(asked <= 1, "{name}: the keys were asked for {asked} times");
    }
    let refused = logins(&api).await;
    assert!(refused.contains(&(
        "unknown".to_owned(),
        403,
        Some("oidc, subject 248289761001".to_owned())
    )));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_did_not_begin_the_login_is_not_let_in() {
    let provider = IdentityProvider::start().await;
    let place = Place::sqlite();
    let api = serve(&place, provider.issuer(), json!({})).await;
    // Somebody leads another browser to the end of their own login.
    let attacker = Browser::new(&api);
    let (begin, _) = button(&attacker, "").await;
    let led = attacker.get(&begin).await.header("location").to_owned();
    let back = own(&provider.log_in(&led)).to_owned();
    let victim = Browser::new(&api);
    let not_begun = "was not begun in this browser";
    is_refused("no login", &victim, &victim.get(&back).await, 403, not_begun).await;
    let (begin, _) = button(&victim, "").await;
    victim.get(&begin).await;
    is_refused("another login", &victim, &victim.get(&back).await, 403, not_begun).await;
    assert!(victim.cookies.borrow().contains_key(LOGIN), "a login in another tab goes on");
    // A secret that anybody knows, or none.
    for secret in ["", "0", ":", LOGIN] {
        let hash =
            ring::digest::digest(&ring::digest::SHA256, format!("state:{secret}").as_bytes());
        let path = format!("/console/oidc/callback?code=1&state={}", hex::encode(hash));
        let url = format!("http://{}{path}", api.address);
        let request = api.client.get(url).header("cookie", format!("{LOGIN}={secret}:"));
        let answer = send(request).await;
        assert!(answer.text.contains(not_begun), "{secret:?}: {answer:?}");
    }
    // Who looks ahead does not use up the code.
    let url = format!("http://{}{back}", api.address);
    assert_eq!(attacker.send(api.client.head(&url)).await.status.as_u16(), 503);
    let ahead = api.client.get(&url).header("sec-purpose", "prefetch");
    assert_eq!(attacker.send(ahead).await.status.as_u16(), 503);
    // The one that began it gets in.
    assert_eq!(attacker.get(&back).await.status, StatusCode::OK);

    // What the provider sends back, for a login that was begun.
    let evil = "%3Cscript%3Ealert(1)%3C/script%3E";
    let issuer = form_urlencoded::byte_serialize(provider.issuer().as_bytes()).collect::<String>();
    let denied = format!("error=access_denied&error_description={evil}");
    let right = format!("code=CODE&iss={issuer}");
    for (query, status, says) in [
        (denied.as_str(), 403, "refused the login: access_denied"),
        ("", 403, "without a code"),
        ("code=CODE&iss=https%3A%2F%2Fevil.example", 403, "Another issuer answered"),
        ("error=x&iss=https%3A%2F%2Fevil.example", 403, "Another issuer answered"),
        ("code=nothing", 403, "did not accept the code"),
        (right.as_str(), 200, "You are logged in"),
    ] {
        let browser = Browser::new(&api);
        let (begin, _) = button(&browser, "").await;
        let led = browser.get(&begin).await.header("location").to_owned();
        let back = own(&provider.log_in(&led)).to_owned();
        let (_, state) = back.split_once("&state=").unwrap();
        let (_, code) = back.split_once("code=").unwrap();
        let code = code.split('&').next().unwrap();
        let query = query.replace("CODE", code);
        let path = format!("/console/oidc/callback?state={state}&{query}");
        let answer = browser.get(&path).await;
        assert_eq!(answer.status.as_u16(), status, "{query}: {answer:?}");
        assert!(answer.text.contains(says), "{query}: {}", answer.text);
        assert!(!answer.text.contains("<script>alert"), "{query}: {}", answer.text);
    }
    // Nobody is led out of the console.
    for next in ["https://evil.example", "//evil.example", "/console/../v1", "/v1", "javascript:1"]
    {
        let browser = Browser::new(&api);
        let next: String = form_urlencoded::byte_serialize(next.as_bytes()).collect();
        let led = browser.get(&format!("/console/oidc/begin?next={next}")).await;
        let kept = browser.cookies.borrow()[LOGIN].clone();
        assert!(kept.ends_with(':'), "{kept}");
        // Nor by a cookie that somebody changed.
        let changed = format!("{kept}//evil.example");
        browser.cookies.borrow_mut().insert(LOGIN.to_owned(), changed);
        let back = own(&provider.log_in(led.header("location"))).to_owned();
        let entered = browser.get(&back).await;
        assert!(entered.text.contains("content=\"0; url=/console\""), "{next}: {entered:?}");
    }
    // A browser that looks ahead does not begin a login.
    let url = format!("http://{}/console/oidc/begin", api.address);
    let ahead = send(api.client.get(&url).header("sec-purpose", "prefetch")).await;
    assert_eq!((ahead.status.as_u16(), ahead.header("set-cookie")), (503, ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_away_stops_nobody_else() {
    // A port that belongs to this test, and where nobody listens yet.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let port = socket.local_addr().unwrap().port();
    let place = Place::sqlite();
    // For as long the provider is not asked again.
    let more = json!({ "timeout_ms": 2_000 });
    let api = serve(&place, &format!("http://127.0.0.1:{port}"), more).await;
    let browser = Browser::new(&api);
    let (begin, _) = button(&browser, "").await;
    let cannot = "cannot be used at the moment";
    is_refused("away", &browser, &browser.get(&begin).await, 503, cannot).await;
    // A token opens the console as before.
    let token = new_token(&api.database, &[Scope::Read], None).await;
    assert_eq!(browser.log_in(&token).await.status, StatusCode::SEE_OTHER);
    assert_eq!(browser.get("/console").await.status, StatusCode::OK);
    // And so does the provider when it is back.
    let provider = IdentityProvider::on(socket.listen(64).unwrap());
    let browser = Browser::new(&api);
    until("the provider is asked again", || async {
        browser.get(&begin).await.status == StatusCode::SEE_OTHER
    })
    .await;
    assert_eq!(log_in(&browser, &provider).await.status, StatusCode::OK);
    // What is known of it is not asked for again.
    provider.does(|script| script.documents = Manner::Never);
    assert_eq!(log_in(&Browser::new(&api), &provider).await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_discovery_document_is_bounded_and_checked() {
    type Change = fn(&mut Script);
    let cases: [(&str, Change, &str); 8] = [
        ("without end", |script| script.documents = Manner::Huge, "more than 256 KiB"),
        ("never", |script| script.documents = Manner::Never, "no answer within 500 ms"),
        ("gone", |script| script.documents = Manner::With(404, "{}"), "404"),
        ("no JSON", |script| script.documents = Manner::With(200, "<html>"), "cannot be had"),
        ("a redirect", |script| script.documents = Manner::Redirect, "302"),
        (
            "another issuer",
            |script| script.discovery = json!({ "issuer": "https://evil.example" }),
            "https://evil.example",
        ),
        (
            "a token endpoint that others can read",
            |script| script.discovery = json!({ "token_endpoint": "http://evil.example/token" }),
            "which is not https",
        ),
        (
            "a page that others can change",
            |script| script.discovery = json!({ "authorization_endpoint": "http://evil.example" }),
            "which is not https",
        ),
    ];
    let place = Place::sqlite();
    for (name, change, says) in cases {
        let provider = IdentityProvider::start().await;
        provider.does(change);
        let timeout_ms = if name == "never" { SHORT_MS } else { TIMEOUT_MS };
        let more = json!({ "timeout_ms": timeout_ms });
        let api = serve(&place, provider.issuer(), more).await;
        let browser = Browser::new(&api);
        let (begin, _) = button(&browser, "").await;
        is_refused(name, &browser, &browser.get(&begin).await, 503, says).await;
    }
    // Some providers take the client secret in the body only, and say that they name themselves.
    let provider = IdentityProvider::start().await;
    provider.does(|script| {
        script.discovery = json!({
            "token_endpoint_auth_methods_supported": ["client_secret_post"],
            "authorization_response_iss_parameter_supported": true,
        });
    });
    let api = serve(&place, provider.issuer(), json!({})).await;
    let browser = Browser::new(&api);
    let answer = log_in(&browser, &provider).await;
    is_refused("no issuer", &browser, &answer, 403, "Another issuer answered").await;
    let (begin, _) = button(&browser, "").await;
    let led = browser.get(&begin).await.header("location").to_owned();
    let back = own(&provider.log_in(&led)).to_owned();
    let back = format!("{back}&iss={}", provider.issuer());
    // This provider wants the secret in the header.
    is_refused("in the body", &browser, &browser.get(&back).await, 403, "invalid_client").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_never_answers_is_not_waited_for() {
    let provider = IdentityProvider::start().await;
    let place = Place::sqlite();
    let api = serve(&place, provider.issuer(), json!({ "timeout_ms": SHORT_MS })).await;
    let browser = Browser::new(&api);
    let (begin, _) = button(&browser, "").await;
    // A busy machine may need more than one attempt for this.
    let led = RefCell::new(String::new());
    until("the login begins", || async {
        let answer = browser.get(&begin).await;
        led.replace(answer.header("location").to_owned());
        answer.status == StatusCode::SEE_OTHER
    })
    .await;
    let back = own(&provider.log_in(&led.into_inner())).to_owned();
    provider.does(|script| script.tokens = Manner::Never);
    let answer = browser.get(&back).await;
    is_refused("never", &browser, &answer, 503, "no answer within 500 ms").await;
}

/// Other machines may reach a server that has no token, because nobody gets in without a login.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_an_identity_provider_needs_no_token() {
    let provider = IdentityProvider::start().await;
    let place = Place::sqlite();
    let config = json!({
        "issuer": provider.issuer(),
        "client_id": CLIENT.0,
        "console_url": CONSOLE,
    });
    let config: OidcConfig = serde_json::from_value(config).unwrap();
    let client = sitewright_http::client().unwrap();
    let oidc = Oidc::new(&config, Path::new("."), &|_| None, client).unwrap();
    let database = place.database().await;
    let listen = "0.0.0.0:0".parse().unwrap();
    let parts = ServerParts {
        oidc: Some(oidc),
        ..place.parts(database.clone(), ServerConfig { listen, ..settings() })
    };
    let mut api = Api::start(parts, database).await;
    api.address = SocketAddr::from(([127, 0, 0, 1], api.address.port()));
    api.get("/v1/orders").await.is_problem(401, "unauthorized");
    let browser = Browser::new(&api);
    assert_eq!(browser.get("/console").await.header("location"), "/console/login");
    // Nobody has a scope: `[server.oidc.scopes]` is empty.
    let (begin, _) = button(&browser, "").await;
    assert_eq!(browser.get(&begin).await.status, StatusCode::SEE_OTHER);
}
