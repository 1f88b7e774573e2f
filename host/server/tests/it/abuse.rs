//! What one client must not do to the others, or to what an operator sees; and what clients are
//! told who mean well.

use sitewright_jobs::{HoldCause, HoldKind};

use crate::*;

on_both!(
    the_same_document_is_the_same_order_for_every_configuration,
    refused_requests_are_counted_in_the_audit_log,
    only_what_there_is_can_be_held_with_a_form,
);

const FORM: &str = "application/x-www-form-urlencoded";

/// Sends a form from a page of the server, with this cookie.
async fn form(api: &Api, path: &str, cookie: &str, fields: &[(&str, &str)]) -> Answer {
    let body: String =
        form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let request = api.client.post(format!("http://{}{path}", api.address)).body(body);
    let request = request.header("content-type", FORM).header("sec-fetch-site", "same-origin");
    send(request.header("cookie", cookie)).await
}

async fn page(api: &Api, path: &str, cookie: &str) -> Answer {
    let request = api.client.get(format!("http://{}{path}", api.address));
    send(request.header("cookie", cookie)).await
}

/// The secret in the first form of a page.
fn secret(html: &str) -> &str {
    html.split_once("name=\"csrf\" value=\"").unwrap().1.split('"').next().unwrap()
}

/// The first cookie that an answer sets.
fn cookie(answer: &Answer) -> String {
    answer.header("set-cookie").split(';').next().unwrap().to_owned()
}

async fn try_log_in(api: &Api, token: &str) -> Answer {
    let login = page(api, "/console/login", "").await;
    let fields = [("csrf", secret(&login.text)), ("token", token)];
    form(api, "/console/login", &cookie(&login), &fields).await
}

/// Logs in. The cookie of the session.
async fn log_in(api: &Api, token: &str) -> String {
    let answer = try_log_in(api, token).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{answer:?}");
    cookie(&answer)
}

/// The entries of the audit log, the oldest first: action, actor, target, status.
async fn audit(database: &Database) -> Vec<(String, String, String, i64)> {
    let entries = database.audit_log(i64::MAX, 1_000).await.unwrap();
    let entry = |entry: sitewright_jobs::AuditEntry| {
        (entry.action, entry.actor, entry.target.unwrap_or_default(), entry.status)
    };
    entries.into_iter().rev().map(entry).collect()
}

mod tests {
    use super::*;

    pub(super) async fn the_same_document_is_the_same_order_for_every_configuration(place: Place) {
        let english = place.serve().await;
        let mut parts = place.parts(english.database.clone(), settings());
        parts.reading.default_locale = "pt-BR".parse().unwrap();
        let portuguese = Api::start(parts, english.database.clone()).await;
        let path = "/v1/orders?template=flora";
        let add = async |api: &Api, document: &Value| api.send(Method::POST, path, document).await;

        english.add("1").await;
        let again = add(&portuguese, &document("1")).await;
        assert_eq!(
            (again.status.as_u16(), &again.body["outcome"]),
            (200, &json!("already_queued"))
        );
        let mut other_order = document("1");
        let id = other_order.as_object_mut().unwrap().shift_remove("id").unwrap();
        other_order["id"] = id;
        assert_eq!(add(&portuguese, &other_order).await.status, StatusCode::OK);
        let mut other = document("1");
        other["business_name"] = json!("Fauna");
        let differs = add(&portuguese, &other).await;
        differs.is_problem(409, "order_differs");
        assert!(differs.body["fields"].to_string().contains("/business_name"), "{differs:?}");

        // A revision counts from then on, and the document before does not.
        let revised = portuguese.send(Method::PUT, "/v1/orders/1/document", &other).await;
        assert_eq!(revised.status, StatusCode::ACCEPTED, "{revised:?}");
        assert_eq!(add(&english, &other).await.status, StatusCode::OK);
        add(&english, &document("1")).await.is_problem(409, "order_differs");

        // Who revises without a digest, like a program of an earlier version, invalidates it.
        english.add("2").await;
        let text = english.database.document("2").await.unwrap().replace("Flora", "Fauna");
        english.database.revise("2", &text, None, None).await.unwrap();
        add(&english, &document("2")).await.is_problem(409, "order_differs");
    }

    pub(super) async fn refused_requests_are_counted_in_the_audit_log(place: Place) {
        let mut api = place.serve().await;
        api.add("1").await;
        api.log_in(&[Scope::Read]).await;
        for _ in 0..70 {
            api.post("/v1/queue/pause").await.is_problem(403, "forbidden");
        }
        for _ in 0..3 {
            let refused = try_log_in(&api, "sitewright_0").await;
            assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{refused:?}");
        }
        api.log_in(&[Scope::Operate]).await;
        for _ in 0..61 {
            api.post("/v1/orders/none/cancel").await.is_problem(404, "no_such_order");
        }
        assert_eq!(api.post("/v1/queue/pause").await.status, StatusCode::OK);
        // What was not written is counted when the minute is over, or the server stops.
        api.stop.cancel();
        assert!(api.serving.await.unwrap());
        let entries = audit(&api.database).await;
        let number = |action: &str, actor: &str, status: i64| {
            let fits = |entry: &&(String, String, String, i64)| {
                (&*entry.0, &*entry.1, entry.3) == (action, actor, status)
            };
            entries.iter().filter(fits).count()
        };
        assert_eq!(number("queue.pause", "{read}", 403), 60);
        assert_eq!(number("session.begin", "unknown", 401), 3);
        assert_eq!(number("order.cancel", "{operate}", 404), 60);
        assert_eq!(number("queue.pause", "{operate}", 200), 1);
        let more = |actor: &str| {
            let more = entries
                .iter()
                .find(|(action, who, ..)| action == "requests.refused" && who == actor);
            more.map(|(_, _, target, _)| target.as_str())
        };
        assert_eq!(more("{read}"), Some("10 more within a minute"));
        assert_eq!(more("{operate}"), Some("1 more within a minute"));
        assert_eq!(more("unknown"), None);
    }

    pub(super) async fn only_what_there_is_can_be_held_with_a_form(place: Place) {
        let api = place.serve().await;
        let csrf = page(&api, "/console", "").await.text;
        let csrf = secret(&csrf).to_owned();
        let long = format!("template:{}", "x".repeat(3_000));
        let reason = "x".repeat(1_001);
        for (hold, reason, status) in [
            ("template:none", "", 422),
            ("template:fl\u{202e}ora", "", 422),
            ("none", "", 404),
            (&long, "", 400),
            ("template:\0", "", 400),
            ("template:flora", &reason, 400),
            ("template:flora", "\0", 400),
            ("template:flora", "why not", 303),
        ] {
            let fields = [("csrf", &*csrf), ("hold", hold), ("reason", reason)];
            let answer = form(&api, "/console/holds/set", "", &fields).await;
            let name: String = hold.chars().take(30).collect();
            assert_eq!(answer.status.as_u16(), status, "{name}: {answer:?}");
        }
        for hold in [&*long, "template:\0"] {
            let fields = [("csrf", &*csrf), ("hold", hold)];
            let answer = form(&api, "/console/holds/release", "", &fields).await;
            assert_eq!(answer.status.as_u16(), 400, "{answer:?}");
        }
        let holds = api.database.holds().await.unwrap();
        assert_eq!(holds.len(), 1, "{holds:?}");
        assert_eq!((holds[0].kind, &*holds[0].name), (HoldKind::Template, "flora"));
        assert_eq!(holds[0].cause, HoldCause::Operator);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_token_logs_nobody_else_out() {
    let place = Place::sqlite();
    let mut api = place.serve().await;
    let own = api.log_in(&[Scope::Read]).await;
    let other = log_in(&api, &new_token(&api.database, &[Scope::Admin], None).await).await;
    let mut sessions = Vec::new();
    for _ in 0..101 {
        sessions.push(log_in(&api, &own).await);
    }
    let status = async |cookie: &str| page(&api, "/console/settings", cookie).await.status;
    assert_eq!(status(&other).await, StatusCode::OK);
    assert_eq!(status(&sessions[0]).await, StatusCode::SEE_OTHER, "the oldest made room");
    assert_eq!(status(&sessions[1]).await, StatusCode::OK);
    assert_eq!(status(&sessions[100]).await, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_token_does_not_have_all_streams() {
    let place = Place::sqlite();
    let mut api = place.serve_with(ServerConfig { connections: 16, ..settings() }).await;
    let open = async |token: &str| {
        let request = api.client.get(format!("http://{}/v1/events", api.address));
        request.bearer_auth(token).send().await.unwrap()
    };
    let one = new_token(&api.database, &[Scope::Read], None).await;
    let other = new_token(&api.database, &[Scope::Read, Scope::Submit], None).await;
    let mut streams = Vec::new();
    for _ in 0..4 {
        let stream = open(&one).await;
        assert_eq!(stream.status(), StatusCode::OK);
        streams.push(stream);
    }
    let fifth = open(&one).await;
    assert_eq!(fifth.status(), StatusCode::TOO_MANY_REQUESTS);
    let fifth: Value = serde_json::from_str(&fifth.text().await.unwrap()).unwrap();
    assert_eq!((&fifth["kind"], &fifth["limit"]), (&json!("too_many_streams"), &json!(4)));
    assert_eq!(open(&other).await.status(), StatusCode::OK);
    // The sessions of a token are the same one.
    let session = log_in(&api, &one).await;
    let of_console = page(&api, "/console/events", &session).await;
    assert_eq!(of_console.status, StatusCode::TOO_MANY_REQUESTS);
    streams.pop();
    until("a place is free", || async { open(&one).await.status() == StatusCode::OK }).await;
    api.token = Some(one);
    assert_eq!(api.get("/v1/stats").await.status, StatusCode::OK);
}

/// Bodies whose heads declare them and that do not arrive have nothing, and what did arrive has the
/// share of its token.
#[tokio::test(flavor = "multi_thread")]
async fn one_token_does_not_have_the_room_for_all_bodies() {
    // The share of a token. Five are more than there is for all.
    const SHARE: u64 = 16 << 20;
    let place = Place::sqlite();
    // So long that bodies which stop are ended because they do, and not with their requests.
    let long = ServerConfig { body_bytes: SHARE, request_ms: 60_000, ..settings() };
    let api = place.serve_with(long).await;
    let one = new_token(&api.database, &[Scope::Submit], None).await;
    let other = new_token(&api.database, &[Scope::Submit], None).await;
    let request = |token: &str, framing: &str, body: &str| {
        format!(
            "POST /v1/orders?template=flora HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer \
             {token}\r\nContent-Type: application/json\r\nConnection: close\r\n{framing}\r\n\r\n\
             {body}"
        )
    };
    let declared = format!("Content-Length: {SHARE}");
    for (number, (framing, sent)) in [
        (declared.as_str(), 0),
        (declared.as_str(), 300),
        (declared.as_str(), 40_000),
        ("Transfer-Encoding: chunked", 0),
    ]
    .into_iter()
    .enumerate()
    {
        let mut stalled = Vec::new();
        for _ in 0..5 {
            let mut stream = TcpStream::connect(api.address).await.unwrap();
            let begun = request(&one, framing, &"x".repeat(sent));
            stream.write_all(begun.as_bytes()).await.unwrap();
            stalled.push(stream);
        }
        // A short order of the same token is never charged.
        for (row, (token, padding)) in
            [(&other, 0), (&other, 900_000), (&one, 0)].into_iter().enumerate()
        {
            let body = format!("{}{}", document(&format!("{number}x{row}")), " ".repeat(padding));
            let framing_of_all = format!("Content-Length: {}", body.len());
            let whole = request(token, &framing_of_all, &body);
            let answer = api.raw(whole.as_bytes(), Duration::from_secs(20)).await;
            assert!(answer.starts_with("HTTP/1.1 202"), "{framing}, {sent}, {row}: {answer}");
        }
        if sent == 300 {
            let ended = read_until_closed(&mut stalled[0], Duration::from_secs(20)).await;
            assert!(ended.starts_with("HTTP/1.1 408"), "{ended}");
            assert!(ended.contains("the body stopped after 300 bytes"), "{ended}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_its_session() {
    let place = Place::sqlite();
    // So long that looking from time to time does not end it.
    let api = place.serve_with(ServerConfig { heartbeat_ms: 3_600_000, ..settings() }).await;
    let token = new_token(&api.database, &[Scope::Read], None).await;
    let (one, other) = (log_in(&api, &token).await, log_in(&api, &token).await);
    let open = async |cookie: &str| {
        let request = api.client.get(format!("http://{}/console/events", api.address));
        let stream = request.header("cookie", cookie).send().await.unwrap();
        assert_eq!(stream.status(), StatusCode::OK);
        stream
    };
    let (ends, mut stays) = (open(&one).await, open(&other).await);
    let csrf = page(&api, "/console/settings", &one).await.text;
    let left = form(&api, "/console/logout", &one, &[("csrf", secret(&csrf))]).await;
    assert_eq!(left.status, StatusCode::SEE_OTHER, "{left:?}");
    let rest = tokio::time::timeout(Duration::from_secs(30), ends.text()).await;
    rest.expect("the stream ends").unwrap();
    api.database.enqueue(sitewright_jobs::NewOrder::new("1", "flora", "{}")).await.unwrap();
    let told = tokio::time::timeout(Duration::from_secs(30), stays.chunk()).await.unwrap();
    assert!(told.unwrap().is_some(), "the other session's stream goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_says_only_once_what_a_form_did() {
    let place = Place::sqlite();
    let api = place.serve().await;
    api.add("1").await;
    let says = "class=\"note";
    let lies = [
        "/console/orders/1?did=cancelled",
        "/console/orders?did=erased",
        "/console/failures?did=queued&count=999999",
    ];
    let plain = page(&api, "/console/orders/1", "").await.text;
    assert!(!plain.contains(says), "{plain}");
    for lie in lies {
        let answer = page(&api, lie, "").await;
        assert_eq!(answer.status, StatusCode::OK, "{lie}");
        assert!(!answer.text.contains(says), "{lie}: {}", answer.text);
    }
    let asked = page(&api, "/console/orders/1/cancel", "").await.text;
    let fields = [("csrf", secret(&asked))];
    let done = form(&api, "/console/orders/1/cancel", "", &fields).await;
    assert_eq!(done.header("location"), "/console/orders/1?did=cancelled");
    for lie in &lies[1..] {
        assert!(!page(&api, lie, "").await.text.contains(says), "{lie}");
    }
    let led = page(&api, done.header("location"), "").await.text;
    assert!(led.contains(says) && led.contains("The order is cancelled"), "{led}");
    let again = page(&api, done.header("location"), "").await.text;
    assert!(!again.contains(says), "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_named_as_it_is() {
    let place = Place::sqlite();
    let api = place.serve().await;
    for query in ["text=%00", "template=%00", "kind=a%00"] {
        let answer = page(&api, &format!("/console/orders?{query}"), "").await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}");
        assert!(answer.text.contains("zero character"), "{query}: {}", answer.text);
    }
    let large = json!({ "reason": "x".repeat(20_000) });
    let answer = api.send(Method::PUT, "/v1/holds/template:flora", &large).await;
    answer.is_problem(413, "body_too_large");
    assert!(!answer.body["hint"].as_str().unwrap().contains("body_bytes"), "{answer:?}");
    for encoding in ["gzip", "deflate, gzip", "br"] {
        for (method, path) in
            [(Method::POST, "/v1/orders?template=flora"), (Method::PUT, "/v1/holds/template:flora")]
        {
            let request = api.request(method, path).json(&document("1"));
            let answer = send(request.header("content-encoding", encoding)).await;
            answer.is_problem(415, "unsupported_media_type");
            assert!(answer.body["hint"].to_string().contains("Content-Encoding"), "{answer:?}");
        }
    }
    let plain = api.request(Method::POST, "/v1/orders?template=flora").json(&document("1"));
    let plain = send(plain.header("content-encoding", "identity")).await;
    assert_eq!(plain.status, StatusCode::ACCEPTED, "{plain:?}");

    for since in ["90s", "30m", "2h", "7d", "2w", "2026-11-23", "2026-11-23T08:00:00Z", "0"] {
        let answer = api.get(&format!("/v1/failures?since={since}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{since}: {answer:?}");
    }
    for since in ["", "h", "2x", "-2h", "99999999999d", "yesterday"] {
        api.get(&format!("/v1/failures?since={since}")).await.is_problem(400, "bad_request");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_leads_to_the_console() {
    let place = Place::sqlite();
    let api = place.serve().await;
    let home = page(&api, "/console/", "").await;
    assert_eq!((home.status.as_u16(), home.header("location")), (303, "/console"));
    let from = async |method: Method, path: &str, headers: &[(&'static str, &'static str)]| {
        let mut request = api.client.request(method, format!("http://{}{path}", api.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        send(request.header("content-type", FORM).body("")).await.status.as_u16()
    };
    let [site, mode, dest] = [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-dest", "document"),
    ];
    assert_eq!(from(Method::GET, "/console", &[site, mode, dest]).await, 200);
    for headers in [
        &[site][..],
        &[site, mode],
        &[site, dest],
        &[site, mode, ("sec-fetch-dest", "iframe")],
        &[site, mode, dest, ("origin", "https://evil.example")],
        &[site, mode, dest, ("origin", "null")],
    ] {
        assert_eq!(from(Method::GET, "/console", headers).await, 403, "{headers:?}");
    }
    // A browser sends the origin with a form; without it, the form is still not one of ours.
    for path in ["/console/queue/pause", "/console/holds/set"] {
        assert_eq!(from(Method::POST, path, &[site, mode, dest]).await, 403, "{path}");
    }
    let evil = [site, mode, dest, ("origin", "https://evil.example")];
    assert_eq!(from(Method::POST, "/v1/queue/pause", &evil).await, 403);
    assert!(!api.database.stats().await.unwrap().paused);
}

/// PostgreSQL accepts connections and says nothing, as behind a network that is cut.
#[tokio::test(flavor = "multi_thread")]
async fn while_the_database_is_away_requests_fail_soon() {
    let Some(place) = Place::postgres() else { return };
    place.database().await.close().await;
    let (url, folder) = place.url.split_once("?host=").unwrap();
    let file = ".s.PGSQL.5432";
    let (near, far) = (place.folder.path().join(file), std::path::Path::new(folder).join(file));
    let listener = tokio::net::UnixListener::bind(&near).unwrap();
    let between = tokio::spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        while let Ok((mut one, _)) = listener.accept().await {
            let mut other = tokio::net::UnixStream::connect(&far).await.unwrap();
            connections.spawn(async move {
                tokio::io::copy_bidirectional(&mut one, &mut other).await.ok();
            });
        }
    });
    let options = sitewright_jobs::DatabaseOptions {
        acquire_within: Duration::from_millis(300),
        ..sitewright_jobs::DatabaseOptions::default()
    };
    let url = format!("{url}?host={}", place.folder.path().display());
    let database = Database::open_with(&url, &options).await.unwrap();
    let api = Api::start(place.parts(database.clone(), settings()), database).await;
    assert_eq!(api.get("/v1/stats").await.status, StatusCode::OK);

    between.abort();
    between.await.unwrap_err();
    std::fs::remove_file(&near).unwrap();
    let _silent = tokio::net::UnixListener::bind(&near).unwrap();
    for path in ["/v1/stats", "/console", "/console/orders"] {
        let begin = Instant::now();
        let answer = page(&api, path, "").await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{path}: {answer:?}");
        // Far below the time in which a request must be answered.
        assert!(begin.elapsed() < Duration::from_secs(20), "{path}: {:?}", begin.elapsed());
        if path.starts_with("/console") {
            assert!(answer.header("content-security-policy").contains("default-src 'none'"));
            assert!(answer.text.contains("The database cannot be used"), "{}", answer.text);
        } else {
            answer.is_problem(503, "database_unavailable");
        }
    }
}
