//! What strangers send: bodies and headers without end, senders that stop, paths that lead
//! elsewhere, and connections by the hundred. The server stays available for others.

use crate::*;

const WITHIN: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_bounded_and_bombs_are_refused() {
    let place = Place::sqlite();
    let api = place.serve_with(ServerConfig { body_bytes: 64 << 10, ..settings() }).await;
    let path = "/v1/orders?template=flora";
    let head = |length: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{length}\r\n\
             \r\n"
        )
    };
    // One that says so is refused before it sends.
    let said = api.raw(head("Content-Length: 99999999999").as_bytes(), WITHIN).await;
    assert!(said.starts_with("HTTP/1.1 413"), "{said}");
    // One that does not is refused at the limit.
    let mut endless = head("Transfer-Encoding: chunked").into_bytes();
    for _ in 0..40 {
        endless.extend_from_slice(format!("1000\r\n{}\r\n", "x".repeat(4_096)).as_bytes());
    }
    let endless = api.raw(&endless, WITHIN).await;
    assert!(endless.starts_with("HTTP/1.1 413"), "{endless}");

    let post = |body: Vec<u8>| {
        let request = api.request(Method::POST, path).header("content-type", "application/json");
        send(request.body(body))
    };
    let deep = format!("{}{}", "[".repeat(30_000), "]".repeat(30_000));
    for body in
        [deep.into_bytes(), b"\xff\xfe".to_vec(), Vec::new(), b"{\"id\":1,\"id\":2}".to_vec()]
    {
        post(body).await.is_problem(422, "invalid_order");
    }
    let reason = json!({ "reason": "x".repeat(20_000) });
    let small = api.send(Method::PUT, "/v1/holds/default", &reason).await;
    small.is_problem(413, "body_too_large");
    assert_eq!(api.get("/healthz").await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_senders_are_ended() {
    let place = Place::sqlite();
    let slow = ServerConfig { header_ms: 300, request_ms: 1_000, ..settings() };
    let api = place.serve_with(slow).await;
    // Nothing, half a head, and an answered request that is followed by nothing.
    for begin in
        ["", "GET /healthz HTTP/1.1\r\nHo", "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"]
    {
        let began = Instant::now();
        api.raw(begin.as_bytes(), WITHIN).await;
        assert!(began.elapsed() < WITHIN, "{begin:?}: the connection was closed");
    }
    // A body that stops. Its head comes in time, on a slow machine too.
    let slow = ServerConfig { request_ms: 1_000, ..settings() };
    let api = place.serve_with(slow).await;
    let began = Instant::now();
    let head = "POST /v1/orders?template=flora HTTP/1.1\r\nHost: localhost\r\nContent-Type: \
                application/json\r\nContent-Length: 100\r\n\r\n{\"id\"";
    let answer = api.raw(head.as_bytes(), WITHIN).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("body_timeout"), "{answer}");
    assert!(began.elapsed() < WITHIN);
}

/// A client without a token asks for the largest answer, again and again, and reads none.
#[tokio::test(flavor = "multi_thread")]
async fn one_that_does_not_read_is_ended() {
    const ASKED: usize = 1_000;
    let place = Place::sqlite();
    let short = ServerConfig { request_ms: 1_000, ..settings() };
    let api = place.serve_with(short).await;
    let mut stream = TcpStream::connect(api.address).await.unwrap();
    let ask = "GET /v1/openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(ASKED);
    stream.write_all(ask.as_bytes()).await.unwrap();
    // A connection that the server has given up takes nothing any more. This one cannot have been
    // answered to its end: the answers are larger than what waits for a reader.
    let ended = async {
        while stream.write_all(b"\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), ended).await.expect("it was not ended");
    assert_eq!(api.get("/healthz").await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_are_bounded_and_malformed_ones_are_refused() {
    let place = Place::sqlite();
    let api = place.serve().await;
    let many: String = (0..200).map(|n| format!("X-{n}: y\r\n")).collect();
    let large = format!("X-Large: {}\r\n", "y".repeat(100_000));
    let long = "x".repeat(100_000);
    for (head, statuses) in [
        (format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\n{many}\r\n"), &["431", "400"][..]),
        (format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\n{large}\r\n"), &["431", "400"]),
        (format!("GET /{long} HTTP/1.1\r\nHost: localhost\r\n\r\n"), &["414", "431", "400"]),
        ("GET / HTTP/9.9\r\n\r\n".to_owned(), &["400", "505"]),
        ("\u{16}\u{3}\u{1}\u{2}\0\u{1}\0".to_owned(), &["400"]),
        // Two lengths, and an encoding without a length: what a proxy and a server read differently.
        (
            "POST /v1/queue/pause HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\
             Content-Length: 5\r\n\r\nabcde"
                .to_owned(),
            &["400"],
        ),
        (
            "POST /v1/queue/pause HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: \
             gzip\r\n\r\n"
                .to_owned(),
            &["400"],
        ),
    ] {
        let answer = api.raw(head.as_bytes(), WITHIN).await;
        let status = answer.split(' ').nth(1).unwrap_or_default();
        // A connection that is closed without a word is an answer too.
        let shown: String = head.chars().take(80).collect();
        assert!(answer.is_empty() || statuses.contains(&status), "{shown:?}: {answer:?}");
    }
    assert!(!api.database.is_paused().await.unwrap());
    assert_eq!(api.get("/healthz").await.status, StatusCode::OK);
}

/// With a length and chunks, one of a proxy and a server takes for a request what the other takes
/// for a body: the connection ends with the answer.
#[tokio::test(flavor = "multi_thread")]
async fn no_request_follows_one_with_chunks() {
    let place = Place::sqlite();
    let api = place.serve().await;
    let hidden = "POST /v1/queue/pause HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\
                  Connection: close\r\n\r\n";
    let body = format!("0\r\n\r\n{hidden}");
    let length = format!("Content-Length: {}", body.len());
    for (lines, requests) in [
        (format!("{length}\r\nTransfer-Encoding: chunked"), 1),
        (format!("Transfer-Encoding: chunked\r\n{length}"), 1),
        ("Transfer-Encoding: chunked".to_owned(), 1),
        // Without chunks, the second request is one.
        ("Content-Length: 5".to_owned(), 2),
    ] {
        let head = "POST /v1/orders/nothing/cancel HTTP/1.1\r\nHost: localhost";
        let sent = format!("{head}\r\n{lines}\r\n\r\n{body}");
        let answer = api.raw(sent.as_bytes(), WITHIN).await;
        assert!(answer.starts_with("HTTP/1.1 404"), "{lines:?}: {answer:?}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), requests, "{lines:?}: {answer:?}");
        assert_eq!(api.database.is_paused().await.unwrap(), requests == 2, "{lines:?}");
    }
}

/// A proxy in front could take such a request for one to another host, or with another end.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_has_one_host_and_no_coding_but_chunks() {
    let place = Place::sqlite();
    let api = place.serve().await;
    for (head, status) in [
        ("GET /healthz HTTP/1.1", "400"),
        ("GET http://localhost/healthz HTTP/1.1", "400"),
        ("GET /console HTTP/1.1", "400"),
        ("GET /healthz HTTP/1.1\r\nHost: localhost\r\nhost: localhost", "400"),
        ("GET /healthz HTTP/1.0\r\nHost: localhost\r\nHost: 127.0.0.1", "400"),
        ("GET /healthz HTTP/1.0", "200"),
        ("GET /healthz HTTP/1.1\r\nHost: 10.0.0.7:8080\r\nConnection: close", "200"),
        (
            "POST /v1/queue/pause HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip, chunked",
            "501",
        ),
        (
            "POST /v1/queue/pause HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked, \
             chunked",
            "501",
        ),
        (
            "POST /v1/queue/pause HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: \
             gzip\r\nTransfer-Encoding: chunked",
            "501",
        ),
        (
            "POST /v1/orders/nothing/cancel HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: \
             Chunked",
            "404",
        ),
    ] {
        let body = if head.starts_with("POST") { "0\r\n\r\n" } else { "" };
        let answer = api.raw(format!("{head}\r\n\r\n{body}").as_bytes(), WITHIN).await;
        assert_eq!(answer.split(' ').nth(1), Some(status), "{head:?}: {answer:?}");
    }
    assert!(!api.database.is_paused().await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_lead_nowhere() {
    let place = Place::sqlite();
    let api = place.serve().await;
    std::fs::create_dir_all(place.sites()).unwrap();
    std::fs::write(place.folder.path().join("kept"), "x").unwrap();
    std::fs::create_dir(place.sites().join("5")).unwrap();
    let long = "x".repeat(201);
    for (id, statuses) in [
        ("..%2f", &[404][..]),
        ("..%2fkept", &[404]),
        ("..%2f..%2fetc%2fpasswd", &[404]),
        ("%2e%2e", &[404]),
        ("..%5c", &[404]),
        ("%00", &[400]),
        ("%ff", &[400]),
        ("a%0d%0aSet-Cookie:%20x", &[404]),
        ("%27%20OR%201=1--", &[404]),
        (&long, &[400]),
        ("public", &[404]),
        (".", &[404, 405]),
        ("..", &[404, 405]),
    ] {
        for (method, path) in [
            ("GET", format!("/v1/orders/{id}")),
            ("DELETE", format!("/v1/orders/{id}")),
            ("GET", format!("/v1/orders/{id}/events")),
            ("GET", format!("/v1/failures/{id}")),
            ("GET", format!("/v1/failures/records/{id}")),
        ] {
            // Not through a client that would resolve the dots.
            let head =
                format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
            let answer = api.raw(head.as_bytes(), WITHIN).await;
            let status: u16 = answer.split(' ').nth(1).unwrap_or_default().parse().unwrap_or(0);
            assert!(statuses.contains(&status), "{method} {path}: {answer}");
            assert!(!answer.to_lowercase().contains("\r\nset-cookie:"), "{path}: {answer}");
        }
    }
    assert!(place.folder.path().join("kept").exists());
    assert!(place.sites().join("5").exists());
}

/// A filter without a value would be no filter, or one that nothing fits.
#[tokio::test(flavor = "multi_thread")]
async fn what_no_list_can_look_for_is_refused() {
    let place = Place::sqlite();
    let api = place.serve().await;
    for (path, names) in [
        ("/v1/orders", &["state", "template", "tenant", "limit", "cursor"][..]),
        ("/v1/failures", &["template", "kind", "since", "order", "limit"]),
        ("/v1/webhooks/deliveries", &["webhook", "order", "state", "limit", "cursor"]),
        ("/v1/hooks/deliveries", &["hook", "order", "state", "limit", "cursor"]),
        ("/v1/cost", &["since", "until"]),
        ("/v1/audit", &["limit", "before"]),
    ] {
        for name in names {
            for value in ["", "%20", "%00", "x%00"] {
                let answer = api.get(&format!("{path}?{name}={value}")).await;
                answer.is_problem(400, "bad_request");
                assert!(answer.body["detail"].to_string().contains(name), "{answer:?}");
            }
            if ["state", "kind", "since", "until", "limit", "cursor", "before"].contains(name) {
                for value in ["x", "1-", "-1-00", "99999999999999999999"] {
                    let answer = api.get(&format!("{path}?{name}={value}")).await;
                    answer.is_problem(400, "bad_request");
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_bounded_and_the_next_one_waits() {
    let place = Place::sqlite();
    let few = ServerConfig { connections: 3, header_ms: 500, ..settings() };
    let api = place.serve_with(few).await;
    let mut idle = Vec::new();
    for _ in 0..10 {
        idle.push(TcpStream::connect(api.address).await.unwrap());
    }
    // The idle ones are closed for it, three at a time.
    let answer = api
        .raw(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", WITHIN)
        .await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_cannot_have_all_connections() {
    let place = Place::sqlite();
    let sixteen = ServerConfig { connections: 16, header_ms: 60_000, ..settings() };
    let api = place.serve_with(sixteen).await;
    let mut idle = Vec::new();
    for _ in 0..14 {
        idle.push(TcpStream::connect(api.address).await.unwrap());
    }
    let began = Instant::now();
    let ask = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let one_more = api.raw(ask, WITHIN).await;
    assert!(one_more.is_empty() && began.elapsed() < WITHIN, "it is closed: {one_more}");
    // Another address of the loopback interface.
    let other = tokio::net::TcpSocket::new_v4().unwrap();
    other.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut probe = other.connect(api.address).await.unwrap();
    probe.write_all(ask).await.unwrap();
    let answer = read_until_closed(&mut probe, WITHIN).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    // A connection that ends gives its place back.
    drop(idle.pop());
    until("a place of the address is free", || async {
        api.raw(ask, WITHIN).await.starts_with("HTTP/1.1 200")
    })
    .await;
}
