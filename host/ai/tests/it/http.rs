//! The gateway against a real HTTP server: all faults of a provider's response on the wire.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helper functions fail the test")]
#![allow(clippy::disallowed_methods, reason = "#[tokio::test] makes the runtime of a test")]

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use sitewright_ai::{
    AiConfig, CallContext, ChatMessage, Format, Gateway, Purpose, Request, Role, TextSink,
};
use sitewright_model::ai::{AiError, AiErrorKind, AttemptOutcome, CallId, Completed, Limit, Usage};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Not of the `sk-` kind, so that only the exact match can find it.
const KEY: &str = "planted.key/0123456789+abcdef";

/// What the server does with one connection, after it has read the request.
#[derive(Clone)]
enum Does {
    /// Sends these bytes and closes.
    Says(Vec<u8>),
    /// Sends these bytes and then nothing, for as long as the client stays.
    Stalls(Vec<u8>),
    /// Sends these bytes, one at a time and each in a packet of its own, and closes.
    Dribbles(Vec<u8>),
    /// Sends a byte every few milliseconds for as long as the client stays.
    NeverEnds(Vec<u8>),
    /// Sends these bytes and breaks the connection.
    Resets(Vec<u8>),
    /// Accepts, and never reads.
    Ignores,
    /// Closes before it has read the request.
    Leaves,
}

fn http(status: &str, headers: &str, body: &str) -> Does {
    Does::Says(
        format!(
            "HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        )
        .into_bytes(),
    )
}

fn raw(text: impl Into<String>) -> Does {
    Does::Says(text.into().into_bytes())
}

fn reply(content: &str) -> String {
    json!({
        "model": "some-model-2026",
        "choices": [{"message": {"role": "assistant", "content": content}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2}
    })
    .to_string()
}

/// What the server saw.
#[derive(Debug)]
enum Seen {
    Request { head: String, body: Value },
    ClientLeft,
}

/// A server with one behaviour per connection, in sequence; the last one repeats.
struct Server {
    port: u16,
    seen: mpsc::UnboundedReceiver<Seen>,
}

impl Server {
    async fn start(does: Vec<Does>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (saw, seen) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            for turn in 0.. {
                let Ok((stream, _)) = listener.accept().await else { return };
                tokio::spawn(serve(stream, does[turn.min(does.len() - 1)].clone(), saw.clone()));
            }
        });
        Server { port, seen }
    }

    fn config(&self, more: &str) -> String {
        provider("local", &format!("http://127.0.0.1:{}/v1", self.port), more)
    }

    async fn request(&mut self) -> (String, Value) {
        match self.seen.recv().await.unwrap() {
            Seen::Request { head, body } => (head, body),
            Seen::ClientLeft => panic!("the client left"),
        }
    }
}

async fn serve(mut stream: TcpStream, does: Does, saw: mpsc::UnboundedSender<Seen>) {
    let answer = match &does {
        Does::Ignores => std::future::pending().await,
        Does::Leaves => return,
        Does::Says(bytes)
        | Does::Stalls(bytes)
        | Does::Dribbles(bytes)
        | Does::NeverEnds(bytes)
        | Does::Resets(bytes) => bytes,
    };
    let mut bytes = Vec::new();
    let head = loop {
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return;
        }
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break String::from_utf8(bytes.drain(..end + 4).collect()).unwrap();
        }
        // A TLS hello has no end of this kind.
        if bytes.first() == Some(&0x16) {
            break String::new();
        }
    };
    let length =
        head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
    while bytes.len() < length.unwrap_or(0) {
        stream.read_buf(&mut bytes).await.unwrap();
    }
    let body = serde_json::from_slice(&bytes).unwrap_or_default();
    // A test that checks only the client has dropped the other end.
    let _gone = saw.send(Seen::Request { head, body });
    match does {
        Does::Dribbles(_) => {
            stream.set_nodelay(true).unwrap();
            for byte in answer {
                let _broken = stream.write_all(&[*byte]).await;
                tokio::task::yield_now().await;
            }
        }
        _ => {
            let _broken = stream.write_all(answer).await;
        }
    }
    if matches!(does, Does::Resets(_)) {
        stream.flush().await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        stream.set_zero_linger().unwrap();
    }
    if matches!(does, Does::NeverEnds(_)) {
        while stream.write_all(b":\n\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    if matches!(does, Does::Stalls(_)) {
        while stream.read_buf(&mut bytes).await.unwrap_or(0) > 0 {}
        let _gone = saw.send(Seen::ClientLeft);
    }
}

fn provider(name: &str, base_url: &str, more: &str) -> String {
    format!(
        "[providers.{name}]\nkind = \"openai\"\nbase_url = \"{base_url}\"\napi_key_env = \
         \"LOCAL_AI_KEY\"\n{more}\n"
    )
}

const ROUTE: &str =
    "[routes.copywriting]\ntry = [{ provider = \"local\", model = \"some-model\" }]\n";

/// One attempt for each candidate, unless the configuration sets a number.
fn gateway(config: &str) -> Gateway {
    let once = if config.contains("retry") { "" } else { "[retry]\nattempts = 1\n" };
    let config: AiConfig = toml::from_str(&format!("{config}{once}")).unwrap();
    let env = |name: &str| (name == "LOCAL_AI_KEY").then(|| OsString::from(KEY));
    Gateway::new(&config, Path::new("."), sitewright_http::client().unwrap(), &env).unwrap()
}

fn request() -> Request {
    Request {
        purpose: Purpose::new("copywriting").unwrap(),
        messages: vec![ChatMessage { role: Role::User, content: "Write.".to_owned() }],
        format: Format::Text,
        max_output_tokens: None,
        temperature: None,
        seed: None,
        stop: Vec::new(),
        identity: None,
    }
}

/// Far in the future, so that only the limit under test applies.
fn call() -> CallContext {
    CallContext::new(CallId::nth(1), Instant::now() + Duration::from_secs(300))
}

async fn complete(config: &str) -> Result<Completed, AiError> {
    gateway(config).complete(call(), request()).await
}

/// A connection without a listener.
async fn nobody() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

#[tokio::test]
async fn a_reply_comes_with_its_usage_and_its_attempt() {
    let mut server =
        Server::start(vec![http("200 OK", "x-request-id: req_9\r\n", &reply("Bem-vindo"))]).await;
    let done = complete(&format!("{}{ROUTE}", server.config(""))).await.unwrap();
    assert_eq!(
        (done.completion.content.as_str(), done.completion.model.as_str()),
        ("Bem-vindo", "some-model-2026")
    );
    assert_eq!(
        (done.completion.usage.input_tokens, done.completion.usage.output_tokens),
        (Some(3), Some(2))
    );
    let attempt = serde_json::to_value(&done.attempts).unwrap();
    assert_eq!(attempt[0]["outcome"], "succeeded");
    assert_eq!(
        (
            &attempt[0]["provider"],
            &attempt[0]["model"],
            &attempt[0]["status"],
            &attempt[0]["request_id"]
        ),
        (&json!("local"), &json!("some-model"), &json!(200), &json!("req_9"))
    );
    let (head, body) = server.request().await;
    assert!(head.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("authorization: Bearer {KEY}\r\n")), "{head}");
    assert_eq!((&body["model"], body.get("response_format")), (&json!("some-model"), None));
}

#[tokio::test]
async fn a1_a2_e10_every_fault_of_the_wire_has_kind_message_status_and_excerpt() {
    use AiErrorKind::*;
    let id = "x-request-id: req_7\r\n";
    let refused = format!(
        r#"{{"error":{{"message":"Incorrect API key provided: {KEY}","code":"invalid_api_key"}}}}"#
    );
    let slow = r#"{"error":{"message":"Rate limit reached","type":"requests","code":"rate_limit_exceeded"}}"#;
    let page = "<html><head><title>502 Bad Gateway</title></head></html>";
    let whole = reply("hello");
    let early = &whole[..whole.len() / 2];
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let large = "x".repeat(4 * 1024 * 1024 + 1);
    // What the server does, the kind, the status, what the excerpt and the message contain.
    type Row<'a> = (&'a str, Does, AiErrorKind, Option<u16>, &'a str, &'a [&'a str]);
    let rows: Vec<Row<'_>> = vec![
        (
            "401",
            http("401 Unauthorized", id, &refused),
            Auth,
            Some(401),
            "invalid_api_key",
            &["refused its key (401)", "api_key_env LOCAL_AI_KEY"],
        ),
        (
            "404",
            http("404 Not Found", id, r#"{"error":{"message":"no","code":"model_not_found"}}"#),
            NotFound,
            Some(404),
            "model_not_found",
            &["`some-model`", "base_url of ai.providers.local"],
        ),
        (
            "429",
            http("429 Too Many Requests", "retry-after: 2\r\n", slow),
            RateLimited,
            Some(429),
            "Rate limit",
            &["Rate limit reached", "try again in 2.0 s"],
        ),
        (
            "500",
            http("500 Internal Server Error", id, ""),
            Overloaded,
            Some(500),
            "",
            &["failing (500)", "try again later"],
        ),
        (
            "502 HTML",
            http("502 Bad Gateway", "", page),
            Overloaded,
            Some(502),
            "<html>",
            &["an HTML page (502 Bad Gateway)"],
        ),
        (
            "403 of a firewall",
            http("403 Forbidden", "", "error code: 1020"),
            Protocol,
            Some(403),
            "1020",
            &["a firewall of Cloudflare", "(403)", "let this machine's requests pass"],
        ),
        (
            "403 HTML",
            http("403 Forbidden", "content-type: text/html\r\n", page),
            Protocol,
            Some(403),
            "<html>",
            &["a server in front of the provider", "let this machine's requests pass"],
        ),
        (
            "200 HTML",
            http("200 OK", "content-type: text/html\r\n", page),
            Protocol,
            Some(200),
            "<html>",
            &["HTML page", "/v1"],
        ),
        (
            "JSON ends early",
            http("200 OK", id, early),
            Protocol,
            Some(200),
            "choices",
            &["ends early"],
        ),
        (
            "body ends early",
            raw(format!("HTTP/1.1 200 OK\r\n{id}content-length: {}\r\n\r\n{early}", whole.len())),
            Connection,
            Some(200),
            "choices",
            &["ended in the middle"],
        ),
        (
            "error body ends early",
            raw("HTTP/1.1 503 Busy\r\ncontent-length: 90\r\n\r\nmodel is loading"),
            Overloaded,
            Some(503),
            "model is loading",
            &["model is loading"],
        ),
        (
            "malformed chunk",
            raw(format!("{chunked}zz\r\nwhat")),
            Connection,
            Some(200),
            "",
            &["ended in the middle"],
        ),
        (
            "chunks without end",
            raw(format!("{chunked}4\r\n{{\"ch\r\n")),
            Connection,
            Some(200),
            "{\"ch",
            &["ended in the middle"],
        ),
        ("reset", Does::Leaves, Connection, None, "", &["check base_url"]),
        ("no bytes", raw(""), Connection, None, "", &["check base_url"]),
        ("not HTTP", raw("SSH-2.0-OpenSSH_9.6\r\n"), Connection, None, "", &["check base_url"]),
        (
            "empty reply",
            http("200 OK", id, &reply("")),
            Empty,
            Some(200),
            "choices",
            &["empty reply", "`some-model`"],
        ),
        ("empty body", http("200 OK", id, ""), Empty, Some(200), "", &["empty body"]),
        (
            "redirect",
            http("302 Found", "location: http://127.0.0.1:1/\r\n", ""),
            Protocol,
            Some(302),
            "",
            &["redirects to http://127.0.0.1:1/"],
        ),
        (
            "far too large",
            http("200 OK", "", &large),
            Protocol,
            Some(200),
            "xxx",
            &["larger than 4 MiB"],
        ),
    ];
    for (name, does, kind, status, excerpt, says) in rows {
        let server = Server::start(vec![does]).await;
        let error = complete(&format!("{}{ROUTE}", server.config(""))).await.unwrap_err();
        assert_eq!(error.kind, kind, "{name}: {error:?}");
        let text = error.message.as_str();
        for words in says.iter().chain(&["`local`", "`copywriting`"]) {
            assert!(text.contains(words), "{name}: {text:?} does not say {words:?}");
        }
        assert_eq!(error.http.as_ref().map(|http| http.status), status, "{name}");
        let attempt = &error.attempts[0];
        assert_eq!(
            (attempt.status, attempt.outcome),
            (status, AttemptOutcome::Failed(kind)),
            "{name}"
        );
        assert!(
            attempt.body_excerpt.as_deref().unwrap_or_default().contains(excerpt),
            "{name}: {attempt:?}"
        );
        assert!(
            attempt.body_excerpt.as_deref().unwrap_or_default().len() <= AiError::EXCERPT_BYTES,
            "{name}"
        );
        assert_eq!(attempt.message.as_ref(), Some(&error.message), "{name}");
        let shown =
            format!("{error} {error:?} {error:#?} {}", serde_json::to_string(&error).unwrap());
        assert!(!shown.contains(KEY), "{name}: the key is shown: {shown}");
    }
}

#[tokio::test]
async fn a1_a_refused_connection_says_so() {
    let config = provider("local", &format!("http://127.0.0.1:{}", nobody().await), "");
    let error = complete(&format!("{config}{ROUTE}")).await.unwrap_err();
    assert_eq!(
        (error.kind, error.http.as_ref(), error.retryable),
        (AiErrorKind::Connection, None, true)
    );
    assert!(error.message.as_str().contains("refused: nothing listens there"), "{error}");
    assert!(!error.causes.is_empty(), "the chain is kept");
}

#[tokio::test]
async fn a_server_without_tls_is_a_connection_error_that_says_tls() {
    let server = Server::start(vec![raw("HTTP/1.1 400 Bad Request\r\n\r\n")]).await;
    let config = provider("local", &format!("https://127.0.0.1:{}/v1", server.port), "");
    let error = complete(&format!("{config}{ROUTE}")).await.unwrap_err();
    assert_eq!(error.kind, AiErrorKind::Connection, "{error:?}");
    assert!(error.message.as_str().contains("TLS failed"), "{error}");
}

#[tokio::test]
async fn a1_c8_each_time_limit_says_which_it_was() {
    let headers = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n".as_bytes().to_vec();
    for does in [Does::Stalls(Vec::new()), Does::Stalls(headers)] {
        let server = Server::start(vec![does]).await;
        let error =
            complete(&format!("{}{ROUTE}", server.config("call_ms = 150"))).await.unwrap_err();
        assert_eq!((error.kind, error.retryable), (AiErrorKind::Timeout, true));
        assert!(error.message.as_str().contains("limit of 150 ms (call_ms)"), "{error}");
    }

    // The time to connect includes TLS, which this server never answers.
    let server = Server::start(vec![Does::Ignores]).await;
    let config =
        provider("local", &format!("https://127.0.0.1:{}", server.port), "connect_ms = 150");
    let error = complete(&format!("{config}{ROUTE}")).await.unwrap_err();
    assert_eq!(error.kind, AiErrorKind::Timeout);
    assert!(error.message.as_str().contains("within 150 ms (connect_ms)"), "{error}");

    let server = Server::start(vec![Does::Stalls(Vec::new())]).await;
    // Created before the deadline starts: TLS set-up takes long on a busy machine.
    let gateway_of_server = gateway(&format!("{}{ROUTE}", server.config("")));
    let soon = CallContext::new(CallId::nth(1), Instant::now() + Duration::from_millis(150));
    let error = gateway_of_server.complete(soon, request()).await.unwrap_err();
    assert_eq!(error.kind, AiErrorKind::Cancelled);
    assert!(error.message.as_str().contains("the order's deadline passed after"), "{error}");
    assert!(error.message.as_str().contains("before the call's own limit of 300000 ms"), "{error}");
    assert_eq!(error.attempts.len(), 1);

    let gone = CallContext::new(CallId::nth(2), Instant::now());
    let error = gateway(&format!("{}{ROUTE}", server.config("")))
        .complete(gone, request())
        .await
        .unwrap_err();
    assert_eq!((error.kind, error.attempts.len()), (AiErrorKind::Cancelled, 0));
}

#[tokio::test]
async fn dropping_the_call_ends_the_request() {
    let mut server = Server::start(vec![Does::Stalls(Vec::new())]).await;
    let gateway = gateway(&format!("{}{ROUTE}", server.config("")));
    tokio::select! {
        result = gateway.complete(call(), request()) => panic!("{result:?}"),
        _ = server.request() => {}
    }
    assert!(matches!(server.seen.recv().await, Some(Seen::ClientLeft)));
}

#[tokio::test]
async fn e10_the_base_url_may_end_with_a_slash_or_the_whole_path() {
    for (base, path) in [
        ("/v1", "/v1/chat/completions"),
        ("/v1/", "/v1/chat/completions"),
        ("/v1//", "/v1/chat/completions"),
        ("/v1/chat/completions", "/v1/chat/completions"),
        ("", "/chat/completions"),
        ("/", "/chat/completions"),
        ("/deployments/d?api-version=1", "/deployments/d/chat/completions?api-version=1"),
    ] {
        let mut server = Server::start(vec![http("200 OK", "", &reply("x"))]).await;
        let config = provider("local", &format!("http://127.0.0.1:{}{base}", server.port), "");
        complete(&format!("{config}{ROUTE}")).await.unwrap();
        let (head, _) = server.request().await;
        assert!(head.starts_with(&format!("POST {path} HTTP/1.1\r\n")), "{base}: {head}");
    }
}

#[tokio::test]
async fn a3_the_first_candidates_error_is_kept_when_the_next_answers_and_when_it_fails_too() {
    let bad = Server::start(vec![http("401 Unauthorized", "x-request-id: first\r\n", "{}")]).await;
    let good =
        Server::start(vec![http("200 OK", "", &reply("yes")), http("500 Oops", "", "")]).await;
    let config = format!(
        "{}{}[routes.default]\ntry = [{{ provider = \"a\", model = \"m1\" }}, {{ provider = \
         \"b\", model = \"m2\" }}]\n",
        provider("a", &format!("http://127.0.0.1:{}", bad.port), ""),
        provider("b", &format!("http://127.0.0.1:{}", good.port), ""),
    );
    let gateway = gateway(&config);
    let done = gateway.complete(call(), request()).await.unwrap();
    assert_eq!((done.completion.provider.as_str(), done.completion.content.as_str()), ("b", "yes"));
    let outcomes = |attempts: &[sitewright_model::ai::Attempt]| {
        attempts
            .iter()
            .map(|one| (one.provider.clone(), one.status, one.outcome.as_str()))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        outcomes(&done.attempts),
        [("a".to_owned(), Some(401), "auth"), ("b".to_owned(), Some(200), "succeeded")]
    );

    let error = gateway.complete(call(), request()).await.unwrap_err();
    assert_eq!((error.kind, error.retryable), (AiErrorKind::Overloaded, true));
    // The key was refused before, so nothing is sent to the first one; its record says why.
    assert_eq!(
        outcomes(&error.attempts),
        [("a".to_owned(), None, "auth"), ("b".to_owned(), Some(500), "overloaded")]
    );
    assert_eq!(done.attempts[0].request_id.as_deref(), Some("first"));
    assert!(error.message.as_str().contains("before it `a`: auth"), "{error}");
    assert!(
        error
            .causes
            .iter()
            .any(|cause| cause.as_str().contains("`a` refused its key: nothing was sent")),
        "{error:?}"
    );
    // All comes back but the words of the first failure, which are no part of records.
    let mut kept = error.clone();
    let opened = kept.attempts[0].opened_by.as_mut().unwrap();
    assert!(opened.words.take().is_some(), "{error:?}");
    let back: AiError = serde_json::from_str(&serde_json::to_string(&error).unwrap()).unwrap();
    assert_eq!(back, kept);
}

#[tokio::test]
async fn e2_a_probe_asks_every_candidate_through_the_same_code() {
    let bad = Server::start(vec![http("401 Unauthorized", "", "{}")]).await;
    let cut =
        json!({"choices": [{"message": {"content": "o"}, "finish_reason": "length"}]}).to_string();
    let mut good = Server::start(vec![http("200 OK", "", &cut)]).await;
    let config = format!(
        "{}{}[routes.default]\ntry = [{{ provider = \"a\", model = \"m1\" }}, {{ provider = \
         \"b\", model = \"m2\" }}]\n",
        provider("a", &format!("http://127.0.0.1:{}", bad.port), ""),
        provider("b", &format!("http://127.0.0.1:{}", good.port), ""),
    );
    let gateway = gateway(&config);
    let probes = gateway.probe("default", call().deadline).await.unwrap();
    assert_eq!(probes.iter().map(|probe| probe.usable).collect::<Vec<_>>(), [false, true]);
    assert!(probes[0].attempt.message.as_ref().unwrap().as_str().contains("refused its key"));
    assert_eq!(good.request().await.1["max_tokens"], 16);
    assert_eq!(gateway.probe("copywriting", call().deadline).await, None);
}

#[tokio::test]
async fn a_provider_without_a_key_is_called_without_one() {
    let mut server = Server::start(vec![http("401 Unauthorized", "", "{}")]).await;
    let config = server.config("").replace("api_key_env = \"LOCAL_AI_KEY\"", "");
    let error = complete(&format!("{config}{ROUTE}")).await.unwrap_err();
    assert!(
        error.message.as_str().contains("without a key: set api_key_env, api_key_file or"),
        "{error}"
    );
    assert!(!server.request().await.0.to_lowercase().contains("authorization"));
}

#[tokio::test]
async fn a_key_never_appears_in_what_is_shown_or_stored() {
    let config = format!("{}{ROUTE}", provider("local", "http://127.0.0.1:9/v1", ""));
    assert!(!format!("{:?}", gateway(&config)).contains("planted"));
    // Whole, in a JSON escape, beside a fragment of the kind that OpenAI echoes, and across the
    // excerpt's end.
    let far = format!("{}{KEY}", "x".repeat(AiError::EXCERPT_BYTES - 10));
    let bodies = [
        format!("wrong key {KEY}, also sk-proj-ab12****wxyz"),
        json!({"error": {"message": format!("Bearer {KEY} sk-live-0123456789")}}).to_string(),
        far,
    ];
    for body in bodies {
        let server = Server::start(vec![http(
            "401 Unauthorized",
            &format!("x-request-id: {KEY}\r\n"),
            &body,
        )])
        .await;
        let error = complete(&format!("{}{ROUTE}", server.config(""))).await.unwrap_err();
        let shown = format!("{error} {error:?} {}", serde_json::to_string(&error).unwrap());
        assert!(!shown.contains("planted") && !shown.contains("sk-"), "{shown}");
        assert!(shown.contains("[key removed]"), "{shown}");
    }
}

const STREAM: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nx-request-id: req_s\r\n\r\n";

fn delta(text: &str) -> String {
    format!(
        "data: {}\n\n",
        json!({"model": "m-2026", "choices": [{"index": 0, "delta": {"content": text}}]})
    )
}

fn end_of_stream() -> String {
    let stop = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]});
    let usage = json!({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}});
    format!("data: {stop}\n\ndata: {usage}\n\ndata: [DONE]\n\n")
}

/// A streamed answer: head and events.
fn stream(events: &[&str]) -> Vec<u8> {
    format!("{STREAM}{}", events.concat()).into_bytes()
}

#[tokio::test]
async fn a_stream_is_asked_for_and_put_together_however_it_comes() {
    let whole = stream(&[
        ": hello\r\n\r\n",
        &delta("Olá, "),
        "event: ping\ndata: {}\n\n",
        &delta("açúcar 😀"),
        &end_of_stream(),
    ]);
    for does in [Does::Says(whole.clone()), Does::Dribbles(whole)] {
        let mut server = Server::start(vec![does]).await;
        let done = complete(&format!("{}{ROUTE}", server.config(""))).await.unwrap();
        assert_eq!(done.completion.content, "Olá, açúcar 😀");
        assert_eq!(
            (done.completion.usage.input_tokens, done.completion.usage.output_tokens),
            (Some(3), Some(2))
        );
        let attempt = &done.attempts[0];
        assert_eq!((attempt.status, attempt.request_id.as_deref()), (Some(200), Some("req_s")));
        assert!(
            attempt.connect_ms.is_some()
                && attempt.first_byte_ms.is_some_and(|ms| ms <= attempt.duration_ms)
        );
        let (_, body) = server.request().await;
        assert_eq!(
            (&body["stream"], &body["stream_options"]["include_usage"]),
            (&json!(true), &json!(true))
        );
    }
}

#[tokio::test]
async fn what_the_connection_does_after_the_final_marker_does_not_matter() {
    let chunked = |end: &str| {
        let events = format!("{}{}", delta("hello"), end_of_stream());
        let head = STREAM.replace("\r\n\r\n", "\r\ntransfer-encoding: chunked\r\n\r\n");
        format!("{head}{:x}\r\n{events}\r\n{end}", events.len()).into_bytes()
    };
    let faults = [
        Does::Stalls(chunked("")),
        Does::NeverEnds(stream(&[&delta("hello"), &end_of_stream()])),
        Does::Says(chunked("")),
        Does::Says(chunked("zz\r\n")),
        Does::Resets(chunked("")),
        Does::Says(chunked("0\r\n\r\n")),
    ];
    for (number, does) in faults.into_iter().enumerate() {
        let server = Server::start(vec![does]).await;
        let done = complete(&format!("{}{ROUTE}", server.config("call_ms = 5000"))).await;
        assert_eq!(
            done.map(|done| done.completion.content).as_deref(),
            Ok("hello"),
            "fault {number}"
        );
    }
}

#[tokio::test]
async fn e1_e4_every_fault_of_a_stream_has_kind_limit_and_what_was_said() {
    use AiErrorKind::*;
    let error = format!(
        "data: {}\n\n",
        json!({"error": {"message": "slow down", "code": "rate_limit_exceeded"}})
    );
    let hello = delta("hello");
    let quick = "first_byte_ms = 150\nidle_ms = 150";
    let huge = stream(&[
        &delta(&"x".repeat(1 << 20)),
        &delta(&"x".repeat(1 << 20)),
        &delta(&"x".repeat(1 << 20)),
        &delta(&"x".repeat(1 << 20)),
        &delta("x"),
    ]);
    // What the server does, the provider's settings, kind, limit, what the message and the excerpt
    // contain.
    type Row<'a> = (&'a str, Does, &'a str, AiErrorKind, Option<Limit>, &'a str, &'a str);
    let rows: Vec<Row<'_>> = vec![
        (
            "silence",
            Does::Stalls(Vec::new()),
            quick,
            Timeout,
            Some(Limit::FirstByte),
            "within 150 ms of the connection (first_byte_ms)",
            "",
        ),
        (
            "headers, then silence",
            Does::Stalls(stream(&[])),
            quick,
            Timeout,
            Some(Limit::FirstByte),
            "(first_byte_ms)",
            "",
        ),
        (
            "stall between tokens",
            Does::Stalls(stream(&[&hello])),
            "idle_ms = 150",
            Timeout,
            Some(Limit::Idle),
            "nothing for 150 ms",
            "hello",
        ),
        (
            "pings for ever",
            Does::NeverEnds(stream(&[&hello])),
            "call_ms = 1500",
            Timeout,
            Some(Limit::Call),
            "limit of 1500 ms (call_ms)",
            "hello",
        ),
        (
            "error in place of a token",
            Does::Says(stream(&[&hello, &error])),
            "",
            RateLimited,
            None,
            "slow down",
            "rate_limit_exceeded",
        ),
        (
            "error at once",
            Does::Says(stream(&[&error])),
            "",
            RateLimited,
            None,
            "slow down",
            "slow down",
        ),
        (
            "no final marker",
            Does::Says(stream(&[&hello])),
            "",
            Truncated,
            None,
            "without its final marker, after 5 characters",
            "hello",
        ),
        (
            "cut within an event",
            Does::Says(stream(&[&hello, &hello[..20]])),
            "",
            Truncated,
            None,
            "without its final marker",
            "hello",
        ),
        (
            "reset",
            Does::Resets(stream(&[&hello])),
            "",
            Connection,
            None,
            "ended in the middle",
            "hello",
        ),
        (
            "garbage, then close",
            Does::Says(stream(&[&hello, "data: {{{\n\n"])),
            "",
            Protocol,
            None,
            "not the protocol's JSON",
            "{{{",
        ),
        (
            "HTML that says it is a stream",
            Does::Says(stream(&["<html><title>Login</title></html>"])),
            "",
            Protocol,
            None,
            "an HTML page (Login)",
            "<html>",
        ),
        (
            "JSON that says it is a stream",
            Does::Says(stream(&[r#"{"error":{"message":"no","code":"invalid_api_key"}}"#])),
            "",
            Auth,
            None,
            "refused its key",
            "invalid_api_key",
        ),
        ("only blanks", Does::Says(stream(&["\n\n"])), "", Empty, None, "empty body", ""),
        (
            "nothing said",
            Does::Says(stream(&[&end_of_stream()])),
            "",
            Empty,
            None,
            "empty reply",
            "",
        ),
        ("huge", Does::Says(huge), "", Protocol, None, "larger than 4 MiB", "xxx"),
    ];
    for (name, does, more, kind, limit, says, excerpt) in rows {
        let server = Server::start(vec![does]).await;
        let error = complete(&format!("{}{ROUTE}", server.config(more))).await.unwrap_err();
        let attempt = &error.attempts[0];
        assert_eq!((error.kind, attempt.limit), (kind, limit), "{name}: {error:?}");
        assert!(error.message.as_str().contains(says), "{name}: {error}");
        assert!(
            attempt.body_excerpt.as_deref().unwrap_or_default().contains(excerpt),
            "{name}: {attempt:?}"
        );
        if name != "silence" {
            assert_eq!(
                (attempt.status, attempt.request_id.as_deref()),
                (Some(200), Some("req_s")),
                "{name}"
            );
        }
        if let Some(limit) = limit {
            let most = if limit == Limit::Call { 200 } else { 150 };
            assert!(attempt.duration_ms >= most, "{name}: {attempt:?}");
        }
    }
}

#[tokio::test]
async fn e12_a_failed_attempt_is_made_again_as_the_provider_asks_and_all_are_kept() {
    let busy = http("429 Too Many Requests", "retry-after-ms: 40\r\nx-request-id: r1\r\n", "{}");
    let broken = Does::Says(stream(&[&delta("hel")]));
    let server =
        Server::start(vec![busy, broken, Does::Says(stream(&[&delta("hello"), &end_of_stream()]))])
            .await;
    let config = server.config("retry = { attempts = 3, base_ms = 1, max_ms = 2 }");
    let done = complete(&format!("{config}{ROUTE}")).await.unwrap();
    assert_eq!(done.completion.content, "hello");
    let outcomes: Vec<&str> = done.attempts.iter().map(|one| one.outcome.as_str()).collect();
    assert_eq!(outcomes, ["rate-limited", "truncated", "succeeded"]);
    assert_eq!((done.attempts[0].backoff_ms, done.attempts[1].backoff_ms), (0, 40));
    assert!(done.attempts[2].backoff_ms <= 2);
}

#[tokio::test]
async fn e12_what_cannot_help_is_not_tried_again() {
    let rows = [
        ("a refused key", http("401 Unauthorized", "", "{}"), 1),
        ("x-should-retry", http("500 Oops", "x-should-retry: false\r\n", ""), 1),
        ("a wait beyond the deadline", http("429 Slow", "retry-after: 3600\r\n", ""), 1),
        ("an overloaded one", http("503 Busy", "", ""), 3),
        ("against its status", http("400 Bad", "x-should-retry: true\r\n", ""), 3),
    ];
    for (name, does, attempts) in rows {
        let server = Server::start(vec![does]).await;
        let config = server.config("retry = { attempts = 3, base_ms = 1, max_ms = 2 }");
        let error = complete(&format!("{config}{ROUTE}")).await.unwrap_err();
        assert_eq!(error.attempts.len(), attempts, "{name}: {error}");
    }
}

#[tokio::test]
async fn e10_whoever_the_breaker_turns_away_is_told_how_the_last_call_failed_not_its_words() {
    let busy = json!({"error": {"message": "the machine room is on fire"}}).to_string();
    let mut server =
        Server::start(vec![http("503 Busy", "x-request-id: req_503\r\n", &busy)]).await;
    let gateway = gateway(&format!("{}{ROUTE}", server.config("breaker = { failures = 1 }")));
    let first = gateway.complete(call(), request()).await.unwrap_err();
    let turned = gateway.complete(call(), request()).await.unwrap_err();
    assert_eq!(turned.kind, first.kind);
    assert_eq!((turned.attempts.len(), turned.attempts[0].status), (1, None), "nothing was sent");
    for says in ["nothing was sent", "status 503", "`sitewright queue stats`", "(breaker)"] {
        assert!(turned.message.as_str().contains(says), "{says}: {turned}");
    }
    // What a provider says may quote the request of another customer's order.
    let (met, stored) = (json!(first).to_string(), json!(turned).to_string());
    for words in ["the machine room is on fire", "req_503"] {
        assert!(met.contains(words), "{words}: {met}");
        assert!(!stored.contains(words), "{words}: {stored}");
    }
    let opened = turned.attempts[0].opened_by.as_ref().unwrap();
    assert_eq!(Some(opened.in_full()), first.attempts[0].message.as_ref(), "one group");
    server.request().await;
    assert!(server.seen.try_recv().is_err(), "one request only");
    let open = gateway.open_breakers().remove(0);
    assert_eq!((open.provider.as_str(), open.model.as_deref()), ("local", Some("some-model")));
    assert_eq!(
        (open.routes, open.failures, open.status),
        (vec!["copywriting".to_owned()], 1, Some(503))
    );
    assert_eq!(open.kind, first.kind);

    let nobody = provider(
        "local",
        &format!("http://127.0.0.1:{}/v1", nobody().await),
        "breaker = { failures = 1 }",
    );
    let gateway = self::gateway(&format!("{nobody}{ROUTE}"));
    let first = gateway.complete(call(), request()).await.unwrap_err();
    let turned = gateway.complete(call(), request()).await.unwrap_err();
    assert!(turned.message.as_str().contains("nothing listens there"), "{turned}");
    let open: Vec<_> = gateway.open_breakers().into_iter().map(|open| open.model).collect();
    assert_eq!(open, [None, Some("some-model".to_owned())], "the address, and the model");
    gateway.half_open_provider("another");
    assert_eq!(gateway.open_breakers().len(), 2);
    gateway.half_open_provider("local");
    assert!(gateway.open_breakers().is_empty());
    assert_eq!((first.causes.is_empty(), turned.causes), (false, first.causes));
}

#[tokio::test]
async fn e12_providers_with_the_same_address_and_key_share_limits_and_breaker() {
    let mut server = Server::start(vec![http("401 Unauthorized", "", "{}")]).await;
    let both = |one: &str, other: &str| {
        let other = server
            .config(other)
            .replace("providers.local", "providers.twin")
            .replace("/v1\"", "/v1/\"");
        let routes = ROUTE.to_owned()
            + &ROUTE.replace("copywriting", "default").replace("\"local\"", "\"twin\"");
        format!("{}{other}{routes}", server.config(one))
    };
    let twin = |request: Request| Request { purpose: Purpose::new("other").unwrap(), ..request };
    let gateway = gateway(&both("", ""));
    assert_eq!(gateway.complete(call(), request()).await.unwrap_err().kind, AiErrorKind::Auth);
    let turned = gateway.complete(call(), twin(request())).await.unwrap_err();
    let message = turned.message.as_str();
    assert!(
        message.contains("the provider `twin`") && message.contains("nothing was sent"),
        "{message}"
    );

    let no_key = both("", "").replacen("api_key_env = \"LOCAL_AI_KEY\"\n", "", 1);
    let gateway = self::gateway(&no_key);
    assert_eq!(gateway.complete(call(), request()).await.unwrap_err().kind, AiErrorKind::Auth);
    let other = gateway.complete(call(), twin(request())).await.unwrap_err();
    assert_eq!(other.attempts[0].status, Some(401), "another key has a gate of its own");

    for (one, other, key) in [
        ("limits = { concurrency = 1 }", "", "ai.providers.twin.limits"),
        ("", "breaker = { failures = 9 }", "ai.providers.twin.breaker"),
    ] {
        let config: AiConfig = toml::from_str(&both(one, other)).unwrap();
        let env = |_: &str| Some(OsString::from(KEY));
        let client = sitewright_http::client().unwrap();
        let error = Gateway::new(&config, Path::new("."), client, &env).unwrap_err();
        assert_eq!(error.problems.len(), 1, "{error}");
        assert_eq!(error.problems[0].key, key);
        let message = error.problems[0].message.as_str();
        assert!(message.contains("`local` and `twin` have the same address and key"), "{message}");
    }
    for _ in 0..3 {
        server.request().await;
    }
    assert!(server.seen.try_recv().is_err(), "three requests only");
}

#[tokio::test]
async fn e2_a_good_probe_closes_the_breaker_and_a_bad_one_opens_it() {
    let cut =
        json!({"choices": [{"message": {"content": "o"}, "finish_reason": "length"}]}).to_string();
    let refused = http("401 Unauthorized", "", "{}");
    let good = http("200 OK", "", &reply("yes"));
    let server = Server::start(vec![
        refused.clone(),
        http("200 OK", "", &cut),
        good,
        refused.clone(),
        refused,
    ])
    .await;
    let gateway =
        gateway(&format!("{}{ROUTE}", server.config("breaker = { cool_down_ms = 3600000 }")));
    let usable = async || gateway.probe("copywriting", call().deadline).await.unwrap()[0].usable;
    assert_eq!(
        gateway.complete(call(), request()).await.unwrap_err().attempts[0].status,
        Some(401)
    );
    assert_eq!(
        gateway.complete(call(), request()).await.unwrap_err().attempts[0].status,
        None,
        "it is open"
    );
    assert!(usable().await, "a probe is let through, and a cut reply is good enough");
    assert_eq!(gateway.complete(call(), request()).await.unwrap().completion.content, "yes");
    assert!(!usable().await);
    assert_eq!(
        gateway.complete(call(), request()).await.unwrap_err().attempts[0].status,
        None,
        "it is open"
    );
    assert!(!usable().await, "an open breaker is no reason not to look");
}

#[tokio::test]
async fn e2_all_routes_are_probed_at_once_and_have_ended_at_the_deadline() {
    let mut server = Server::start(vec![Does::Stalls(Vec::new())]).await;
    let routes: String = ["a", "b", "c"].map(|route| ROUTE.replace("copywriting", route)).concat();
    let gateway = gateway(&format!("{}{routes}", server.config("")));
    let probes = gateway.probe_all(Instant::now() + Duration::from_millis(400)).await;
    let told: Vec<_> =
        probes.iter().map(|probe| (probe.route.as_str(), probe.attempt.limit)).collect();
    assert_eq!(told, ["a", "b", "c"].map(|route| (route, Some(Limit::Deadline))));
    assert!(probes.iter().all(|probe| !probe.usable && probe.hint.is_some()), "{probes:?}");
    for _ in 0..3 {
        // Had they been made one after the other, the client would have left the first before it
        // made the second.
        server.request().await;
    }
}

#[tokio::test]
async fn long_error_bodies_are_read_to_a_limit_and_redacted_in_linear_time() {
    const MIB: usize = 1024 * 1024;
    let families = [
        "ask-", "key=", "?key=", "Bearer ", "sk-", "://user:", "\\\\", "%25", "&#x", "'", "plante",
    ];
    for family in families {
        let long = family.repeat(4 * MIB / family.len());
        let json = json!({"error": {"message": long, "code": "server_error"}}).to_string();
        let first = json!({"error": {"code": "invalid_api_key", "message": long}}).to_string();
        let rows = [
            ("503 Busy", long.clone(), AiErrorKind::Overloaded),
            ("500 Oops", json, AiErrorKind::Overloaded),
            ("418 Teapot", first, AiErrorKind::Auth),
        ];
        for (status, body, kind) in rows {
            let server = Server::start(vec![http(status, "", &body)]).await;
            let error = complete(&format!("{}{ROUTE}", server.config(""))).await.unwrap_err();
            assert_eq!(error.kind, kind, "{family}: {error:?}");
            assert!(error.message.as_str().len() < 8192, "{family}: {}", error.message);
            let excerpt = error.attempts[0].body_excerpt.as_deref().unwrap_or_default();
            assert!(excerpt.len() <= AiError::EXCERPT_BYTES, "{family}: {}", excerpt.len());
        }
    }
}

#[tokio::test]
async fn a8_a_key_in_a_good_reply_reaches_nobody() {
    let half = &KEY[..KEY.len() / 2 + 1];
    let escaped = KEY.replace('/', "\\/").replace('+', "\\u002B");
    let body = json!({
        "model": format!("model of {KEY}"),
        "choices": [{"message": {"content": format!("You sent {KEY}, {half}: plan it")}, "finish_reason": "stop"}],
    })
    .to_string();
    let in_json = json!({
        "model": &KEY[KEY.len() - 8..],
        "choices": [{"message": {"content": format!("{{\"you\": \"{escaped}\"}}")}, "finish_reason": "stop"}],
    })
    .to_string();
    for body in [body, in_json] {
        let server =
            Server::start(vec![http("200 OK", &format!("x-request-id: {KEY}\r\n"), &body)]).await;
        let done = complete(&format!("{}{ROUTE}", server.config(""))).await.unwrap();
        let shown = format!("{:?} {:?} {:?}", done.completion, done.attempts, done.raw_reply);
        for part in ["planted", "0123456789", "abcdef"] {
            assert!(!shown.contains(part), "{part}: {shown}");
        }
        assert!(shown.contains("[key removed]"), "{shown}");
    }
}

#[tokio::test]
async fn a8_a_key_in_the_chunks_of_a_stream_is_neither_forwarded_nor_stored() {
    for size in 1..KEY.len() {
        let pieces: Vec<String> = KEY
            .as_bytes()
            .chunks(size)
            .map(|piece| delta(std::str::from_utf8(piece).unwrap()))
            .collect();
        let whole = format!("{STREAM}{}{}{}", delta("It is "), pieces.concat(), end_of_stream());
        let cut = format!("{STREAM}{}", pieces.concat());
        let server = Server::start(vec![raw(whole), raw(cut)]).await;
        let config = format!("{}{ROUTE}", server.config(""));
        let gateway = gateway(&config);
        let (mut sink, mut chunks) = TextSink::channel();
        let done = gateway.stream(&call(), &request(), &mut sink).await.unwrap();
        sink.rest(&done).await;
        drop(sink);
        let mut text = String::new();
        while let Some(chunk) = chunks.recv().await {
            text.push_str(&chunk);
        }
        assert_eq!(
            (text.as_str(), done.completion.content.as_str()),
            ("It is [key removed]", &*text)
        );
        let error = gateway.complete(call(), request()).await.unwrap_err();
        let excerpt = error.attempts[0].body_excerpt.as_deref().unwrap_or_default();
        assert!(excerpt.contains("[key removed]"), "{size}: {excerpt}");
    }
}

#[tokio::test]
async fn e11_usage_of_any_size_neither_overflows_nor_is_believed() {
    let (most, possible) = (u64::MAX, 100_000_000);
    let unknown = Usage::default();
    for (usage, believed) in [
        (json!({"prompt_tokens": most, "completion_tokens": most}), unknown),
        (
            json!({"prompt_tokens": 1, "completion_tokens": most}),
            Usage { input_tokens: Some(1), ..unknown },
        ),
        (json!({"prompt_tokens": most}), unknown),
        (json!({"prompt_tokens": possible + 1, "completion_tokens": possible + 1}), unknown),
        (
            json!({"prompt_tokens": possible, "completion_tokens": possible}),
            Usage::of(possible, possible),
        ),
    ] {
        let body = json!({
            "choices": [{"message": {"content": "hello"}, "finish_reason": "stop"}], "usage": usage,
        });
        let answer = http("200 OK", "", &body.to_string());
        let server = Server::start(vec![answer.clone(), answer.clone(), answer]).await;
        let limits = "limits.tokens_per_minute = 1000000";
        let price =
            "[prices.some-model]\ninput_per_million = 1000.0\noutput_per_million = 1000.0\n";
        let gateway = gateway(&format!("{}{ROUTE}{price}", server.config(limits)));
        let call = CallContext { budget: Some(gateway.order_budget()), ..call() };
        let done = gateway.complete(call.clone(), request()).await.unwrap();
        assert_eq!(done.completion.usage, believed, "{usage}");
        assert_eq!(done.attempts[0].usage, believed, "{usage}");
        let spent = call.budget.as_ref().unwrap().spent();
        let is_believed = believed == Usage::of(possible, possible);
        assert_eq!(spent.calls, 1);
        assert_eq!(spent.tokens > 1000, is_believed, "{usage}: {spent:?}");
        assert!(spent.tokens > 0, "what is not believed is estimated");
        for limit in ["tokens = 1000", "cost_usd = 5.0"] {
            let config = format!("[budget]\n{limit}\n{}{ROUTE}{price}", server.config(""));
            let gateway = self::gateway(&config);
            let call = CallContext { budget: Some(gateway.order_budget()), ..self::call() };
            drop(gateway.complete(call.clone(), request()).await.unwrap());
            let used_up = call.budget.as_ref().unwrap().spent().tokens > 1000;
            assert_eq!(used_up, is_believed, "{limit} has not wrapped: {usage}");
        }
    }
}

/// A server that sends these bytes again and again after the request, as fast as it can, in a
/// thread of its own; it reports when it cannot send any more.
fn flood(
    begin: &'static str,
    again: &'static str,
    pause: Duration,
) -> (u16, std::sync::mpsc::Receiver<()>) {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (left, gone) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _read = stream.read(&mut [0; 4096]);
        let many =
            if pause.is_zero() { again.repeat(65_536 / again.len()) } else { again.to_owned() };
        let mut broken = stream.write_all(begin.as_bytes()).is_err();
        while !broken {
            broken = stream.write_all(many.as_bytes()).is_err();
            if !pause.is_zero() {
                std::thread::sleep(pause);
            }
        }
        let _nobody = left.send(());
    });
    (port, gone)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_flood_of_heads_outlasts_the_limits_of_a_call() {
    let slow = Duration::from_millis(20);
    let rows = [
        (
            "informational heads",
            "",
            "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n",
            Duration::ZERO,
        ),
        ("slow informational heads", "", "HTTP/1.1 103 Early Hints\r\n\r\n", slow),
        ("continue", "", "HTTP/1.1 100 Continue\r\n\r\n", Duration::ZERO),
        ("a slow head", "HTTP/1.1 200 OK\r\n", "x: y\r\n", slow),
        ("a slow header", "HTTP/1.1 200 OK\r\nx: ", "y", slow),
        ("a slow status", "HTTP/1.1 200 ", "O", slow),
        (
            "a slow body",
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n",
            ":\n\n",
            slow,
        ),
    ];
    for (name, begin, again, pause) in rows {
        let (port, gone) = flood(begin, again, pause);
        let config = provider("local", &format!("http://127.0.0.1:{port}/v1"), "call_ms = 400");
        // hyper reads what is there before it lets other tasks run, so the end may be late by the
        // time that it takes to parse some megabytes.
        let soon = Duration::from_secs(60);
        let config = format!("{config}{ROUTE}");
        let error = tokio::time::timeout(soon, complete(&config)).await;
        let error = error.unwrap_or_else(|_| panic!("{name}: it does not end")).unwrap_err();
        assert_eq!(error.attempts.len(), 1, "{name}: {error:?}");
        assert_eq!(error.attempts[0].limit, Some(Limit::Call), "{name}: {error}");
        let left = tokio::task::spawn_blocking(move || gone.recv_timeout(soon));
        assert_eq!(left.await.unwrap(), Ok(()), "{name}: the connection is still read");
    }
}

#[tokio::test]
async fn e4_a_text_that_is_followed_by_thinking_without_an_end_is_no_reply() {
    let thinks = http("200 OK", "", &reply("Fresh bread.<think>Was that"));
    let server = Server::start(vec![thinks]).await;
    let error = complete(&format!("{}{ROUTE}", server.config(""))).await.unwrap_err();
    assert_eq!(error.kind, AiErrorKind::Truncated);
    assert!(error.message.as_str().contains("began to think again"), "{error}");
}
