//! Two candidates at once, over HTTP.
#![allow(clippy::unwrap_used, reason = "a test's helper functions fail the test")]
#![allow(clippy::disallowed_methods, reason = "#[tokio::test] makes the runtime of a test")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use sitewright_ai::{AiConfig, CallContext, Format, Gateway, TextSink};
use sitewright_model::ai::{AiErrorKind, Attempt, CallId};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::gateway::request;

/// What a server does with a request, in order.
#[derive(Clone)]
enum Step {
    Send(String),
    /// Waits until it is told to go on.
    Wait(Arc<Notify>),
    /// Waits until the client closes the connection.
    Hold,
}

/// A server that answers its n-th request by the n-th script, and further ones by the last.
struct Server {
    port: u16,
    /// The number of requests.
    asked: watch::Receiver<usize>,
    /// The number of requests that the client gave up.
    left: watch::Receiver<usize>,
}

impl Server {
    async fn start(scripts: Vec<Vec<Step>>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (count, asked) = watch::channel(0);
        let (count, (gone, left)) = (Arc::new(count), watch::channel(0));
        let gone = Arc::new(gone);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (scripts, count, gone) = (scripts.clone(), count.clone(), gone.clone());
                tokio::spawn(async move {
                    if !read(&mut stream).await {
                        return;
                    }
                    let mut nth = 0;
                    count.send_modify(|asked| {
                        nth = *asked;
                        *asked += 1;
                    });
                    for step in &scripts[nth.min(scripts.len() - 1)] {
                        match step {
                            Step::Send(text) => drop(stream.write_all(text.as_bytes()).await),
                            Step::Wait(until) => until.notified().await,
                            Step::Hold => {
                                while stream.read(&mut [0; 64]).await.unwrap_or(0) > 0 {}
                                gone.send_modify(|gone| *gone += 1);
                            }
                        }
                    }
                });
            }
        });
        Server { port, asked, left }
    }

    async fn until_asked(&self) {
        self.asked.clone().wait_for(|asked| *asked > 0).await.unwrap();
    }

    async fn until_left(&self) {
        self.left.clone().wait_for(|left| *left > 0).await.unwrap();
    }

    fn asked(&self) -> usize {
        *self.asked.borrow()
    }
}

/// Reads a request; `false` if the connection was only opened.
async fn read(stream: &mut TcpStream) -> bool {
    let mut bytes = Vec::new();
    let length = loop {
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return false;
        }
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            break end + 4 + length.unwrap().parse::<usize>().unwrap();
        }
    };
    while bytes.len() < length && stream.read_buf(&mut bytes).await.unwrap_or(0) > 0 {}
    true
}

fn head() -> String {
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n".to_owned()
}

fn chunk(delta: serde_json::Value) -> String {
    format!("data: {}\n\n", json!({ "choices": [{ "delta": delta }] }))
}

fn text(text: &str) -> String {
    chunk(json!({ "content": text }))
}

fn end() -> String {
    let last = json!({ "choices": [{ "delta": {}, "finish_reason": "stop" }],
                       "usage": { "prompt_tokens": 11, "completion_tokens": 7 } });
    format!("data: {last}\n\ndata: [DONE]\n\n")
}

/// A whole reply.
fn says(reply: &str) -> Step {
    Step::Send([head(), text(reply), end()].concat())
}

fn fails(status: u16) -> Step {
    let body = json!({ "error": { "message": "no" } }).to_string();
    let length = body.len();
    Step::Send(format!(
        "HTTP/1.1 {status} No\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n{body}"
    ))
}

fn gateway(first: &Server, other: &Server, hedge_ms: u64, more: &str) -> Gateway {
    let provider = |name: &str, server: &Server| {
        format!(
            "[providers.{name}]\nkind = \"openai\"\nbase_url = \"http://127.0.0.1:{}/v1\"\n",
            server.port
        )
    };
    let config: AiConfig = toml::from_str(&format!(
        "{}{}[routes.default]\ntry = [{{ provider = \"first\", model = \"m\" }}, \
         {{ provider = \"other\", model = \"m\" }}]\nhedge_ms = {hedge_ms}\n\
         retry = {{ attempts = 1 }}\n{more}",
        provider("first", first),
        provider("other", other)
    ))
    .unwrap();
    let http = sitewright_http::client().unwrap();
    Gateway::new(&config, Path::new("."), http, &|_| None).unwrap()
}

fn call() -> CallContext {
    CallContext::new(CallId::nth(1), Instant::now() + Duration::from_secs(60))
}

/// Each attempt: provider, outcome, and whether it was the hedge.
fn kept(attempts: &[Attempt]) -> Vec<(&str, &str, bool)> {
    attempts.iter().map(|one| (&*one.provider, one.outcome.as_str(), one.hedge)).collect()
}

#[tokio::test]
async fn the_next_candidate_is_asked_beside_one_that_does_not_begin() {
    let first = Server::start(vec![vec![Step::Hold]]).await;
    let other = Server::start(vec![vec![says("from the other")]]).await;
    let gateway = gateway(&first, &other, 50, "[budget]\ntokens = 100000\n");
    let budget = gateway.order_budget();
    let call = CallContext { budget: Some(budget.clone()), ..call() };
    let asked = request(Format::Text);
    let prompt: usize = asked.messages.iter().map(|one| one.content.len()).sum();
    let done = gateway.complete(call, asked).await.unwrap();
    assert_eq!(done.completion.content, "from the other");
    let attempts = [("first", "cancelled", false), ("other", "succeeded", true)];
    assert_eq!(kept(&done.attempts), attempts);
    let message = done.attempts[0].message.as_ref().unwrap().as_str();
    assert!(message.contains("`other` (model `m`) answered first"), "{message}");
    first.until_left().await;
    // The prompt of the cancelled request, and what the other provider counted.
    let spent = budget.spent();
    assert_eq!((spent.calls, spent.tokens), (2, prompt.div_ceil(4) as u64 + 18));
}

#[tokio::test]
async fn a_candidate_that_begins_in_time_is_the_only_one() {
    let go = Arc::new(Notify::new());
    let steps = vec![
        Step::Send(head() + &text("a")),
        Step::Wait(go.clone()),
        Step::Send(text("b") + &end()),
    ];
    let first = Server::start(vec![steps]).await;
    let other = Server::start(vec![vec![says("never")]]).await;
    let gateway = gateway(&first, &other, 30_000, "");
    let (mut sink, mut chunks) = TextSink::channel();
    let (call, request) = (call(), request(Format::Text));
    let reply = gateway.stream(&call, &request, &mut sink);
    let read = async {
        assert_eq!(chunks.recv().await.as_deref(), Some("a"));
        go.notify_one();
        assert_eq!(chunks.recv().await.as_deref(), Some("b"));
    };
    let (done, ()) = tokio::join!(reply, read);
    let done = done.unwrap();
    assert_eq!(done.completion.content, "ab");
    assert_eq!(kept(&done.attempts), [("first", "succeeded", false)]);
    assert_eq!(other.asked(), 0);
}

#[tokio::test]
async fn the_first_candidate_counts_if_it_begins_before_the_hedge() {
    let go = Arc::new(Notify::new());
    let first = Server::start(vec![vec![Step::Wait(go.clone()), says("from the first")]]).await;
    let other = Server::start(vec![vec![Step::Hold]]).await;
    let gateway = gateway(&first, &other, 1, "");
    let both_asked = async {
        other.until_asked().await;
        go.notify_one();
    };
    let reply = gateway.complete(call(), request(Format::Text));
    let (done, ()) = tokio::join!(reply, both_asked);
    let done = done.unwrap();
    assert_eq!(done.completion.content, "from the first");
    let attempts = [("other", "cancelled", true), ("first", "succeeded", false)];
    assert_eq!(kept(&done.attempts), attempts);
    other.until_left().await;
}

#[tokio::test]
async fn a_failure_of_one_leaves_the_other() {
    for first_fails in [true, false] {
        let go = Arc::new(Notify::new());
        let fails = |go: Arc<Notify>| vec![Step::Wait(go), fails(500)];
        let (quick, slow) = (Arc::new(Notify::new()), go.clone());
        let good = |go: Arc<Notify>| vec![Step::Wait(go), says("good")];
        let (one, two) = match first_fails {
            true => (fails(quick.clone()), good(slow)),
            false => (good(slow), fails(quick.clone())),
        };
        let (first, other) = (Server::start(vec![one]).await, Server::start(vec![two]).await);
        let gateway = gateway(&first, &other, 1, "");
        let in_turn = async {
            first.until_asked().await;
            other.until_asked().await;
            quick.notify_one();
            // The failure arrives before or after this: the outcome is the same.
            go.notify_one();
        };
        let reply = gateway.complete(call(), request(Format::Text));
        let (done, ()) = tokio::join!(reply, in_turn);
        let done = done.unwrap();
        assert_eq!(done.completion.content, "good", "first fails: {first_fails}");
        let last = done.attempts.last().unwrap();
        assert_eq!(
            (&*last.provider, last.hedge),
            (["first", "other"][usize::from(first_fails)], first_fails)
        );
        assert_eq!((first.asked(), other.asked()), (1, 1));
    }
}

#[tokio::test]
async fn both_failures_are_kept_and_the_call_goes_on_in_turn() {
    let go = Arc::new(Notify::new());
    let first = Server::start(vec![vec![Step::Wait(go.clone()), fails(503)]]).await;
    let other = Server::start(vec![vec![fails(500)], vec![says("good")]]).await;
    let gateway = gateway(&first, &other, 1, "");
    let in_turn = async {
        other.until_asked().await;
        go.notify_one();
    };
    let reply = gateway.complete(call(), request(Format::Text));
    let (done, ()) = tokio::join!(reply, in_turn);
    let done = done.unwrap();
    let attempts = [
        ("other", "overloaded", true),
        ("first", "overloaded", false),
        ("other", "succeeded", false),
    ];
    assert_eq!(kept(&done.attempts), attempts);
}

#[tokio::test]
async fn texts_of_two_candidates_never_mix() {
    // Ended as it should, cut after its first text, or cut while the model thought.
    let thinks = || chunk(json!({ "reasoning_content": "hm" }));
    let rows = [
        ("whole", text("other"), end(), Ok("other")),
        ("cut", text("half"), String::new(), Err(AiErrorKind::Truncated)),
        ("thought only", thinks(), String::new(), Ok("again")),
    ];
    for (name, begins, ends, expected) in rows {
        let first = Server::start(vec![vec![Step::Hold], vec![says("again")]]).await;
        let steps = vec![Step::Send(head() + &begins), Step::Send(ends)];
        let other = Server::start(vec![steps]).await;
        let gateway = gateway(&first, &other, 1, "");
        let (mut sink, mut chunks) = TextSink::channel();
        let (call, request) = (call(), request(Format::Text));
        let done = gateway.stream(&call, &request, &mut sink).await;
        if let Ok(done) = &done {
            sink.rest(done).await;
        }
        drop(sink);
        let mut heard = String::new();
        while let Some(chunk) = chunks.recv().await {
            heard.push_str(&chunk);
        }
        let found = match &done {
            Ok(done) => Ok(done.completion.content.as_str()),
            Err(error) => Err(error.kind),
        };
        assert_eq!(found, expected, "{name}");
        assert_eq!(heard, expected.unwrap_or("half"), "{name}");
        first.until_left().await;
        assert_eq!(first.asked(), if name == "thought only" { 2 } else { 1 }, "{name}");
    }
}

#[tokio::test]
async fn a_budget_without_room_for_both_allows_no_hedge() {
    for budget in ["tokens = 6000", "calls = 1", "day_tokens = 6000"] {
        let go = Arc::new(Notify::new());
        let first = Server::start(vec![vec![Step::Wait(go.clone()), says("from the first")]]).await;
        let other = Server::start(vec![vec![says("never")]]).await;
        let gateway = gateway(&first, &other, 1, &format!("[budget]\n{budget}\n"));
        let later = async {
            first.until_asked().await;
            // Long after the time of the hedge.
            tokio::time::sleep(Duration::from_millis(50)).await;
            go.notify_one();
        };
        let call = CallContext { budget: Some(gateway.order_budget()), ..call() };
        let (done, ()) = tokio::join!(gateway.complete(call, request(Format::Text)), later);
        let done = done.unwrap();
        assert_eq!(done.completion.content, "from the first", "{budget}");
        assert_eq!(other.asked(), 0, "{budget}");
    }
}

#[tokio::test]
async fn a_hedge_without_what_its_model_refuses_is_asked_at_once() {
    let first = Server::start(vec![vec![Step::Hold]]).await;
    let refusal = json!({ "error": { "message": "Unsupported parameter: 'temperature' is not \
                                                  supported with this model.",
                                     "type": "invalid_request_error", "param": "temperature",
                                     "code": "unsupported_parameter" } })
    .to_string();
    let length = refusal.len();
    let refuses = Step::Send(format!(
        "HTTP/1.1 400 No\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n{refusal}"
    ));
    let other = Server::start(vec![vec![refuses], vec![says("good")]]).await;
    let gateway = gateway(&first, &other, 1, "");
    let mut request = request(Format::Text);
    request.temperature = Some(0.7);
    let done = gateway.complete(call(), request).await.unwrap();
    assert_eq!(done.completion.content, "good");
    let attempts = [
        ("first", "cancelled", false),
        ("other", "invalid-request", true),
        ("other", "succeeded", true),
    ];
    assert_eq!(kept(&done.attempts), attempts);
}

#[test]
fn a_hedge_needs_another_candidate_and_a_time() {
    for (route, says) in [
        ("try = [{ provider = \"p\", model = \"m\" }]\nhedge_ms = 100", "no other candidate"),
        (
            "try = [{ provider = \"p\", model = \"m\" }, { provider = \"p\", model = \"n\" }]\n\
             hedge_ms = 0",
            "give 1 to 600000",
        ),
    ] {
        let config = format!(
            "[providers.p]\nkind = \"openai\"\nbase_url = \"http://127.0.0.1:1/v1\"\n[routes.default]\n{route}"
        );
        let config: AiConfig = toml::from_str(&config).unwrap();
        let problems = config.check();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!(problems[0].key, "ai.routes.default.hedge_ms");
        assert!(problems[0].message.as_str().contains(says), "{problems:?}");
    }
}
