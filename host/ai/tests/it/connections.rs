//! Kept connections, time limits of models that think, budgets of parallel calls, and proxies,
//! against real servers.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helper functions fail the test")]
#![allow(clippy::disallowed_methods, reason = "#[tokio::test] makes the runtime of a test")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use serde_json::json;
use sitewright_ai::{AiConfig, CallContext, FileJournal, Format, Gateway, Request, RunJournal};
use sitewright_model::ai::{AiErrorKind, CallId, Limit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep};

use crate::gateway::request;

fn call() -> CallContext {
    CallContext::new(CallId::nth(1), Instant::now() + Duration::from_secs(60))
}

fn gateway(port: u16, of_provider: &str, more: &str) -> Gateway {
    let config: AiConfig = toml::from_str(&format!(
        "[providers.p]\nkind = \"openai\"\nbase_url = \"http://127.0.0.1:{port}/v1\"\n\
         {of_provider}\n[routes.default]\ntry = [{{ provider = \"p\", model = \"m\" }}]\n\
         retry = {{ attempts = 1 }}\n{more}\n",
    ))
    .unwrap();
    let env = |name: &str| (name == "PROXY").then(|| "http://me:pass-word-9@127.0.0.1:1".into());
    Gateway::new(&config, Path::new("."), sitewright_http::client().unwrap(), &env).unwrap()
}

/// Reads one request; `None` if the connection ends.
pub(super) async fn read(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return None;
        }
        let text = String::from_utf8_lossy(&bytes).to_lowercase();
        if let Some(end) = text.find("\r\n\r\n") {
            let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.map_or(0, |length| length.parse().unwrap());
            if bytes.len() >= end + 4 + length {
                return Some(text);
            }
        }
    }
}

fn answer(content: &str, tokens: u64) -> String {
    let body = json!({
        "choices": [{"message": {"content": content}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": tokens}
    })
    .to_string();
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

async fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// A server that answers the first request of each connection up to number `good`, and closes every
/// connection when its next request has come. The number of requests.
async fn forgetful(good: usize, reset: bool) -> (u16, Arc<AtomicUsize>) {
    let (listener, port) = listen().await;
    let requests = Arc::new(AtomicUsize::new(0));
    let count = requests.clone();
    tokio::spawn(async move {
        for number in 0.. {
            let Ok((mut stream, _)) = listener.accept().await else { return };
            let count = count.clone();
            tokio::spawn(async move {
                for of_connection in 0.. {
                    if read(&mut stream).await.is_none() {
                        return;
                    }
                    count.fetch_add(1, Ordering::SeqCst);
                    if of_connection > 0 || number >= good {
                        if reset {
                            stream.set_zero_linger().unwrap();
                        }
                        return;
                    }
                    stream.write_all(answer("hello", 2).as_bytes()).await.unwrap();
                }
            });
        }
    });
    (port, requests)
}

#[tokio::test]
async fn a4_a_kept_connection_that_the_server_has_closed_is_no_failure() {
    for reset in [false, true] {
        let (port, requests) = forgetful(usize::MAX, reset).await;
        let gateway = gateway(port, "breaker = { failures = 1 }", "");
        for number in 1..=5 {
            let done = gateway.complete(call(), request(Format::Text)).await;
            let done = done.unwrap_or_else(|error| panic!("call {number}, {reset}: {error}"));
            assert_eq!(done.attempts.len(), 1, "uncounted");
        }
        // Each call after the first one meets a kept connection, or one that is new.
        assert!((6..=9).contains(&requests.load(Ordering::SeqCst)), "{requests:?}");
    }
}

#[tokio::test]
async fn a4_a_new_connection_that_is_closed_is_a_failure() {
    for good in [0, 1] {
        let (port, requests) = forgetful(good, false).await;
        let gateway = gateway(port, "", "");
        for _ in 0..good {
            drop(gateway.complete(call(), request(Format::Text)).await.unwrap());
        }
        let error = gateway.complete(call(), request(Format::Text)).await.unwrap_err();
        assert_eq!((error.kind, error.attempts.len()), (AiErrorKind::Connection, 1));
        // The first one, the one on its connection, and once more on a new one.
        assert_eq!(requests.load(Ordering::SeqCst), if good == 0 { 1 } else { 3 });
    }
}

/// A server that sends these pieces, each after its pause.
async fn paced(pieces: Vec<(u64, String)>) -> u16 {
    let (listener, port) = listen().await;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let pieces = pieces.clone();
            tokio::spawn(async move {
                read(&mut stream).await;
                for (pause, piece) in pieces {
                    sleep(Duration::from_millis(pause)).await;
                    let _left = stream.write_all(piece.as_bytes()).await;
                }
            });
        }
    });
    port
}

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";

fn event(delta: serde_json::Value, finish: serde_json::Value) -> String {
    let choice = json!({"index": 0, "delta": delta, "finish_reason": finish});
    format!("data: {}\n\n", json!({"choices": [choice]}))
}

#[tokio::test]
async fn a7_thinking_before_the_first_text_has_a_limit_of_its_own() {
    let role = event(json!({"role": "assistant", "content": ""}), json!(null));
    let thought = event(json!({"reasoning_content": "hm"}), json!(null));
    let end = format!(
        "{}{}data: [DONE]\n\n",
        event(json!({"content": "hello"}), json!(null)),
        event(json!({}), json!("stop"))
    );
    // What comes in time is far from its limit, and what is late is far beyond it.
    let limits = "first_byte_ms = 1000\nfirst_token_ms = 6000\nidle_ms = 1000";
    let ping = (400, ": ping\n\n".to_owned());
    // The pieces, and the limit that ends the call.
    /// Milliseconds before each piece.
    type Pieces = Vec<(u64, String)>;
    let rows: Vec<(&str, Pieces, Option<Limit>)> = vec![
        ("no head", vec![(2500, format!("{HEAD}{end}"))], Some(Limit::FirstByte)),
        ("head, then silence", vec![(0, HEAD.into()), (2500, end.clone())], None),
        ("role, then silence", vec![(0, format!("{HEAD}{role}")), (2500, end.clone())], None),
        ("pings", [vec![(0, HEAD.into())], vec![ping; 5], vec![(400, end.clone())]].concat(), None),
        ("thinks", vec![(0, HEAD.into()), (2500, thought.clone()), (50, end.clone())], None),
        (
            "thinks, then stalls",
            vec![(0, format!("{HEAD}{thought}")), (2500, end.clone())],
            Some(Limit::Idle),
        ),
        ("never", vec![(0, format!("{HEAD}{role}")), (60_000, end)], Some(Limit::FirstToken)),
    ];
    // At the same time: all but the last row wait for seconds.
    let calls = rows.into_iter().map(|(name, pieces, limit)| async move {
        let gateway = gateway(paced(pieces).await, limits, "");
        let done = gateway.complete(call(), request(Format::Text)).await;
        match (done, limit) {
            (Ok(done), None) => {
                assert_eq!(done.completion.content, "hello", "{name}");
                let first = done.attempts[0].first_token_ms.unwrap();
                assert!(first >= 2_000, "{name}: {first}");
            }
            (Err(error), Some(limit)) => {
                assert_eq!(error.attempts[0].limit, Some(limit), "{name}: {error}");
                let text = error.message.as_str();
                let hint = format!("raise {} of ai.providers.p", limit.key());
                assert!(text.contains(&hint), "{name}: {text}");
            }
            (done, _) => panic!("{name}: {done:?}"),
        }
    });
    join_all(calls).await;
}

/// A server whose replies have 300 tokens and come after some time; it counts the requests that are
/// in flight at the same time.
async fn spender() -> (u16, Arc<AtomicUsize>) {
    let (listener, port) = listen().await;
    let requests = Arc::new(AtomicUsize::new(0));
    let count = requests.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let count = count.clone();
            tokio::spawn(async move {
                while read(&mut stream).await.is_some() {
                    count.fetch_add(1, Ordering::SeqCst);
                    sleep(Duration::from_millis(5)).await;
                    stream.write_all(answer("hello", 300).as_bytes()).await.unwrap();
                }
            });
        }
    });
    (port, requests)
}

#[tokio::test]
async fn a6_parallel_calls_stay_within_the_budget_of_the_order() {
    let price = "[prices.m]\ninput_per_million = 1.0\noutput_per_million = 10.0\n";
    // The budget, the request's limit, the calls that fit, and the most that may be used.
    for (limit, max_output, fit, most) in [
        ("tokens = 10000", None, 33, 10_300),
        ("tokens = 10000", Some(400), 33, 10_300),
        ("tokens = 3000", Some(300), 9, 3_030),
        ("cost_usd = 0.03003", Some(300), 10, 3_030),
    ] {
        let (port, requests) = spender().await;
        let gateway = gateway(port, "", &format!("[budget]\n{limit}\n{price}"));
        let budget = gateway.order_budget();
        let one = || {
            let call = CallContext { budget: Some(budget.clone()), ..call() };
            let request = Request { max_output_tokens: max_output, ..request(Format::Text) };
            gateway.complete(call, request)
        };
        let results = join_all((0..100).map(|_| one())).await;
        let good = results.iter().filter(|result| result.is_ok()).count();
        let spent = budget.spent();
        assert!(spent.tokens <= most, "{limit}, {max_output:?}: {spent:?}");
        assert!((fit..=fit + 1).contains(&good), "{limit}, {max_output:?}: {good} of 100");
        assert_eq!(requests.load(Ordering::SeqCst), good);
        let failed = results.into_iter().filter_map(Result::err);
        for error in failed {
            assert_eq!(error.kind, AiErrorKind::BudgetExceeded, "{error}");
        }
    }
}

#[tokio::test]
async fn a_day_that_is_used_up_puts_calls_off_and_asks_nobody() {
    let price = "[prices.m]\ninput_per_million = 1.0\noutput_per_million = 10.0\n";
    // 303 tokens a reply, which cost 0.003003 dollars.
    for (limit, key, fit) in [
        ("day_tokens = 900", "day_tokens", 3),
        ("day_tokens = 1", "day_tokens", 1),
        ("day_usd = 0.006", "day_usd", 2),
    ] {
        let (port, requests) = spender().await;
        let gateway = gateway(port, "", &format!("[budget]\n{limit}\n{price}"));
        // All at the same time, and of as many orders.
        let results = join_all((0..20).map(|_| {
            let call = CallContext { budget: Some(gateway.order_budget()), ..call() };
            gateway.complete(call, request(Format::Text))
        }));
        let results = results.await;
        let good = results.iter().filter(|result| result.is_ok()).count();
        assert_eq!((good, requests.load(Ordering::SeqCst)), (fit, fit), "{limit}");
        for error in results.into_iter().filter_map(Result::err) {
            // As after a rate limit, for which orders wait without using an attempt.
            assert_eq!((error.kind, error.retryable), (AiErrorKind::RateLimited, true), "{error}");
            assert!(error.attempts.iter().all(|attempt| attempt.not_sent), "{error:?}");
            let wait = error.retry_after_ms.unwrap().get();
            assert!((1..=86_400_000).contains(&wait), "{wait}");
            let message = error.message.as_str();
            assert!(message.contains(key) && message.contains("midnight UTC"), "{message}");
        }
    }
}

#[tokio::test]
async fn a_tenant_that_has_used_up_its_day_does_not_stop_the_others() {
    let (port, requests) = spender().await;
    let gateway = gateway(port, "", "[budget]\ntenant_day_tokens = 600\nday_tokens = 2000\n");
    let folder = tempfile::tempdir().unwrap();
    let made = AtomicUsize::new(0);
    // 303 tokens a reply: two for each tenant, and seven for all.
    let ask = async |tenant: Option<&str>| {
        let number = made.fetch_add(1, Ordering::SeqCst);
        let file = folder.path().join(format!("{number}.jsonl"));
        let journal = RunJournal::new(Arc::new(FileJournal::open(file, None).unwrap()))
            .of_order(&number.to_string(), tenant.map(str::to_owned));
        let call = CallContext { journal: Some(Arc::new(journal)), ..call() };
        gateway.complete(call, request(Format::Text)).await.map_err(|error| error.message)
    };
    for (tenant, allowed) in [(Some("a"), 2), (Some("b"), 2), (None, 3), (Some("c"), 0)] {
        let before = requests.load(Ordering::SeqCst);
        for _ in 0..allowed {
            ask(tenant).await.unwrap();
        }
        let refused = ask(tenant).await.unwrap_err();
        let whose = match tenant {
            Some(tenant) if allowed > 0 => format!("the tenant `{tenant}`"),
            _ => "the day's budget".to_owned(),
        };
        assert!(refused.as_str().contains(&whose), "{tenant:?}: {refused}");
        assert_eq!(requests.load(Ordering::SeqCst), before + allowed, "{tenant:?}");
    }
}

#[tokio::test]
async fn a6_cached_and_thought_tokens_have_their_prices() {
    let (listener, port) = listen().await;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            read(&mut stream).await;
            let body = json!({
                "choices": [{"message": {"content": "hello"}, "finish_reason": "stop"}],
                "usage": {
                    "prompt_tokens": 1_000_000, "completion_tokens": 300_000,
                    "prompt_tokens_details": {"cached_tokens": 900_000},
                    "completion_tokens_details": {"reasoning_tokens": 200_000}
                }
            })
            .to_string();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        }
    });
    let base = "[prices.m]\ninput_per_million = 1.0\noutput_per_million = 10.0\n";
    for (more, cost) in [
        ("", 4.0),
        ("cache_read_per_million = 0.1\n", 3.19),
        ("cache_read_per_million = 0.1\nreasoning_per_million = 5.0\n", 2.19),
    ] {
        let done = gateway(port, "", &format!("{base}{more}"))
            .complete(call(), request(Format::Text))
            .await
            .unwrap();
        assert_eq!(done.cost_usd().map(|cost| cost.dollars()), Some(cost), "{more}");
        let usage = done.completion.usage;
        assert_eq!(usage.cache_read_tokens, Some(900_000));
        assert_eq!(usage.reasoning_tokens, Some(200_000));
    }
}

/// A server that gives these responses, one after the other; the last one repeats.
async fn replies(bodies: Vec<serde_json::Value>) -> u16 {
    let (listener, port) = listen().await;
    tokio::spawn(async move {
        for turn in 0.. {
            let Ok((mut stream, _)) = listener.accept().await else { return };
            read(&mut stream).await;
            let body = bodies[turn.min(bodies.len() - 1)].to_string();
            let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length";
            let answer = format!("{head}: {}\r\n\r\n{body}", body.len());
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    port
}

#[tokio::test]
async fn e11_what_a_provider_does_not_count_costs_what_is_estimated() {
    // 10 bytes, and so 3 tokens.
    let prompt = request(Format::Text).messages[0].content.clone();
    assert_eq!(prompt, "page: home");
    let text = "Fresh bread before seven, every day.";
    let said = |content: &str, finish: &str, usage: serde_json::Value| {
        let message = json!({"content": content});
        json!({"choices": [{"message": message, "finish_reason": finish}], "usage": usage})
    };
    let error = json!({"error": {"message": "slow down", "code": 429}});
    let none = || json!(null);
    let price = "[prices.m]\ninput_per_million = 1000.0\noutput_per_million = 10000.0\n";
    // The responses, what they cost in dollars, and the tokens.
    let rows = [
        (
            "all counted",
            vec![said(text, "stop", json!({"prompt_tokens": 3, "completion_tokens": 5}))],
            0.053,
            8,
        ),
        ("nothing counted", vec![said(text, "stop", none())], 0.093, 12),
        ("an empty object", vec![said(text, "stop", json!({}))], 0.093, 12),
        ("the prompt only", vec![said(text, "stop", json!({"prompt_tokens": 7}))], 0.097, 16),
        ("the reply only", vec![said(text, "stop", json!({"completion_tokens": 5}))], 0.053, 8),
        // What is not text of the model is not paid for.
        ("an error", vec![error], 0.0, 0),
        ("a cut reply", vec![said(text, "length", none())], 0.093, 12),
        ("an empty reply", vec![said("", "stop", none())], 0.003, 3),
    ];
    for (name, bodies, dollars, tokens) in rows {
        let port = replies(bodies).await;
        let gateway = gateway(port, "", &format!("[budget]\ncost_usd = 100.0\n{price}"));
        let budget = gateway.order_budget();
        let call = CallContext { budget: Some(budget.clone()), ..call() };
        let _result = gateway.complete(call, request(Format::Text)).await;
        let spent = budget.spent();
        assert_eq!(
            (spent.cost_usd.dollars(), spent.tokens, spent.calls),
            (dollars, tokens, 1),
            "{name}"
        );
    }
    // A reply that is not what was asked for, and the one after it, whose prompt has the first.
    let port =
        replies(vec![said("no JSON at all", "stop", none()), said("{}", "stop", none())]).await;
    let gateway = gateway(port, "", &format!("[budget]\ncost_usd = 100.0\n{price}"));
    let budget = gateway.order_budget();
    let call = CallContext { budget: Some(budget.clone()), ..call() };
    gateway.complete(call, request(Format::Json)).await.unwrap();
    let spent = budget.spent();
    // 4 tokens and 1 token of replies; 3 tokens of the first prompt, and the second one.
    let second = spent.tokens - 8;
    assert!((40..200).contains(&second), "{spent:?}");
    let dollars = 0.05 + 0.003 + f64::from(u32::try_from(second).unwrap()) / 1000.0;
    assert!((spent.cost_usd.dollars() - dollars).abs() < 1e-6, "{spent:?}");
}

#[tokio::test]
async fn a_proxy_is_used_where_one_is_named_and_nowhere_else() {
    let (proxy, proxy_port) = listen().await;
    let (seen, mut heads) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = proxy.accept().await {
            let head = read(&mut stream).await.unwrap();
            seen.send(head).unwrap();
            stream.write_all(answer("through the proxy", 2).as_bytes()).await.unwrap();
        }
    });
    let (port, _) = forgetful(usize::MAX, false).await;
    for (setting, expected) in [
        (String::new(), "hello"),
        ("proxy = \"none\"".to_owned(), "hello"),
        (format!("proxy = \"http://127.0.0.1:{proxy_port}\""), "through the proxy"),
    ] {
        let done = gateway(port, &setting, "").complete(call(), request(Format::Text)).await;
        assert_eq!(done.unwrap().completion.content, expected, "{setting}");
    }
    let head = heads.recv().await.unwrap();
    assert!(head.starts_with(&format!("post http://127.0.0.1:{port}/v1/")), "{head}");
    let error = gateway(port, "proxy = { env = \"PROXY\" }", "")
        .complete(call(), request(Format::Text))
        .await
        .unwrap_err();
    let shown = format!("{error:?}");
    assert!(error.kind == AiErrorKind::Connection && !shown.contains("pass-word"), "{shown}");
}

#[tokio::test]
async fn what_cannot_be_used_for_a_connection_is_named_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("text.pem"), "no certificate").unwrap();
    let rows = [
        ("proxy = \"socks5://h:1\"", "ai.providers.p.proxy", "http or https URL"),
        ("proxy = \"http://me:secret@h:1\"", "ai.providers.p.proxy", "{ env = \"NAME\" }"),
        ("proxy = { env = \"NOPE\" }", "ai.providers.p.proxy", "NOPE is not set"),
        ("ca_file = \"none.pem\"", "ai.providers.p.ca_file", "none.pem"),
        ("ca_file = \"text.pem\"", "ai.providers.p.ca_file", "BEGIN CERTIFICATE"),
        ("client_cert_file = \"text.pem\"", "ai.providers.p.client_key_file", "both"),
    ];
    for (setting, key, says) in rows {
        let config: AiConfig = toml::from_str(&format!(
            "[providers.p]\nkind = \"ollama\"\n{setting}\n[routes.default]\n\
             try = [{{ provider = \"p\", model = \"m\" }}]\n"
        ))
        .unwrap();
        let http = sitewright_http::client().unwrap();
        let error = Gateway::new(&config, folder.path(), http, &|_| None).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(key) && text.contains(says), "{setting}: {text}");
        assert!(!text.contains("me:secret"), "{text}");
    }
}

/// A server with TLS that answers every request; `clients` is the authority of the certificates that
/// it wants of clients.
async fn secure(
    own: &rcgen::CertifiedKey<rcgen::KeyPair>,
    clients: Option<&rcgen::CertifiedKey<rcgen::KeyPair>>,
) -> u16 {
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(own.signing_key.serialize_der().into());
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(ring.clone())
        .with_safe_default_protocol_versions()
        .unwrap();
    let config = match clients {
        None => config.with_no_client_auth(),
        Some(authority) => {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(authority.cert.der().clone()).unwrap();
            let verifier =
                rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), ring);
            config.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let config = config.with_single_cert(vec![own.cert.der().clone()], key).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let (listener, port) = listen().await;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut bytes = Vec::new();
                while !bytes.windows(4).any(|four| four == b"\r\n\r\n") {
                    if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                        return;
                    }
                }
                let _left = stream.write_all(answer("hello", 2).as_bytes()).await;
                let _left = stream.flush().await;
                sleep(Duration::from_secs(1)).await;
            });
        }
    });
    port
}

/// Parameters of a certificate with a name of its own, of a server or of an authority.
pub(super) fn params(host: &str, authority: bool) -> rcgen::CertificateParams {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::SeqCst);
    let mut params = rcgen::CertificateParams::new(vec![host.to_owned()]).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, format!("certificate {number}"));
    if authority {
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    }
    params
}

/// A certificate that signs itself.
pub(super) fn self_signed(
    params: &rcgen::CertificateParams,
) -> rcgen::CertifiedKey<rcgen::KeyPair> {
    let signing_key = rcgen::KeyPair::generate().unwrap();
    rcgen::CertifiedKey { cert: params.self_signed(&signing_key).unwrap(), signing_key }
}

#[tokio::test]
async fn a_certificate_that_the_provider_names_is_trusted_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let ask = async |port: u16, settings: &str| {
        let config: AiConfig = toml::from_str(&format!(
            "[providers.p]\nkind = \"openai\"\nbase_url = \"https://127.0.0.1:{port}/v1\"\n\
             {settings}\n[routes.default]\ntry = [{{ provider = \"p\", model = \"m\" }}]\n\
             retry = {{ attempts = 1 }}\n"
        ))
        .unwrap();
        let http = sitewright_http::client().unwrap();
        let gateway = Gateway::new(&config, folder.path(), http, &|_| None).unwrap();
        gateway.complete(call(), request(Format::Text)).await
    };
    let write = |name: &str, text: String| std::fs::write(folder.path().join(name), text).unwrap();
    // What `openssl req -x509` makes is a certificate of an authority.
    for authority in [false, true] {
        let own = self_signed(&params("127.0.0.1", authority));
        let port = secure(&own, None).await;
        write("own.pem", own.cert.pem());
        write("other.pem", self_signed(&params("127.0.0.1", authority)).cert.pem());
        let done = ask(port, "ca_file = \"own.pem\"").await;
        assert_eq!(done.unwrap().completion.content, "hello", "{authority}");
        for settings in ["", "ca_file = \"other.pem\""] {
            let error = ask(port, settings).await.unwrap_err();
            let text = error.message.as_str();
            assert_eq!(error.kind, AiErrorKind::Connection, "{text}");
            assert!(text.contains("ca_file"), "{authority} {settings:?}: {text}");
        }
        let elsewhere = self_signed(&params("other.example", authority));
        let port = secure(&elsewhere, None).await;
        write("elsewhere.pem", elsewhere.cert.pem());
        let error = ask(port, "ca_file = \"elsewhere.pem\"").await.unwrap_err();
        assert_eq!(error.kind, AiErrorKind::Connection, "another name: {error}");
    }
    let own = self_signed(&params("127.0.0.1", false));
    let of_clients = params("clients.example", true);
    let authority = self_signed(&of_clients);
    let issuer = rcgen::Issuer::new(of_clients, &authority.signing_key);
    let client_key = rcgen::KeyPair::generate().unwrap();
    let client = rcgen::CertificateParams::new(vec!["worker".to_owned()])
        .unwrap()
        .signed_by(&client_key, &issuer)
        .unwrap();
    let port = secure(&own, Some(&authority)).await;
    write("own.pem", own.cert.pem());
    write("client.pem", client.pem());
    write("client.key", client_key.serialize_pem());
    let trusted = "ca_file = \"own.pem\"\n";
    let identity = "client_cert_file = \"client.pem\"\nclient_key_file = \"client.key\"\n";
    let done = ask(port, &format!("{trusted}{identity}")).await;
    assert_eq!(done.unwrap().completion.content, "hello");
    let error = ask(port, trusted).await.unwrap_err();
    assert_eq!(error.kind, AiErrorKind::Connection, "{error}");
}

/// Of the replies that are larger than usual a provider's are read sixteen at a time; the others wait
/// in their connections, and small ones are not held up.
#[tokio::test(flavor = "multi_thread")]
async fn c4_large_replies_are_read_a_few_at_a_time() {
    let large = answer(&"much ado about nothing. ".repeat(20_000), 2);
    let (listener, port) = listen().await;
    let (finish, _) = tokio::sync::broadcast::channel::<()>(1);
    let arrived = Arc::new(AtomicUsize::new(0));
    let (finishing, count) = (finish.clone(), arrived.clone());
    // The first sixteen replies lack their ends until all are told to end.
    tokio::spawn(async move {
        for number in 0.. {
            let Ok((mut stream, _)) = listener.accept().await else { return };
            let (mut told, count) = (finishing.subscribe(), count.clone());
            let reply = if number == 16 { answer("small", 2) } else { large.clone() };
            tokio::spawn(async move {
                read(&mut stream).await.unwrap();
                let (begin, end) = reply.as_bytes().split_at(match number {
                    0..16 => reply.len() - 10,
                    _ => reply.len(),
                });
                let _left = stream.write_all(begin).await;
                count.fetch_add(1, Ordering::SeqCst);
                if !end.is_empty() {
                    let _told = told.recv().await;
                    let _left = stream.write_all(end).await;
                }
            });
        }
    });
    let gateway = Arc::new(gateway(port, "call_ms = 60000", ""));
    let ask = || {
        let gateway = gateway.clone();
        async move { gateway.complete(call(), request(Format::Text)).await }
    };
    let held: Vec<_> = (0..16).map(|_| tokio::spawn(ask())).collect();
    while arrived.load(Ordering::SeqCst) < 16 {
        sleep(Duration::from_millis(10)).await;
    }
    assert!(ask().await.is_ok(), "a small reply is not held up");
    // One that is asked for before the sixteen are read as far as this may still have a place.
    let mut late = Ok(());
    for number in 2..100 {
        let soon = CallContext::new(CallId::nth(number), Instant::now() + Duration::from_secs(1));
        late = gateway.complete(soon, request(Format::Text)).await.map(drop);
        if late.is_err() {
            break;
        }
    }
    // The first attempt may have met a connection that the server had just closed.
    let failed = late.unwrap_err();
    let last = failed.attempts.last().and_then(|attempt| attempt.limit);
    assert_eq!(last, Some(Limit::Deadline), "{failed:?}");
    let _all = finish.send(()).unwrap();
    for reply in join_all(held).await {
        let reply = reply.unwrap().unwrap();
        assert_eq!(reply.completion.content.len(), 480_000);
    }
    assert!(ask().await.is_ok(), "their places are free again");
}
