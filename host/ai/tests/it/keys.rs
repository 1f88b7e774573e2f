//! Keys that change: from commands, and from files that are written again.
#![allow(clippy::unwrap_used, reason = "a test's helper functions fail the test")]
#![allow(clippy::disallowed_methods, reason = "#[tokio::test] makes the runtime of a test")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::json;
use sitewright_ai::{AiConfig, CallContext, Format, Gateway};
use sitewright_model::ai::{AiError, AiErrorKind, CallId, Completed, Limit};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::gateway::request;

/// A provider that accepts one key at a time, and the keys that it was sent.
#[derive(Clone)]
struct Vendor {
    port: u16,
    accepted: Arc<Mutex<String>>,
    seen: Arc<Mutex<Vec<String>>>,
    /// The reply to a request with that key.
    reply: Arc<Mutex<String>>,
}

impl Vendor {
    async fn start(accepted: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let vendor = Vendor {
            port: listener.local_addr().unwrap().port(),
            accepted: Arc::new(Mutex::new(accepted.to_owned())),
            seen: Arc::default(),
            reply: Arc::new(Mutex::new("Fresh bread.".to_owned())),
        };
        let this = vendor.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let this = this.clone();
                tokio::spawn(async move {
                    let mut bytes = Vec::new();
                    let head = loop {
                        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                            return;
                        }
                        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                            break String::from_utf8_lossy(&bytes[..end]).into_owned();
                        }
                    };
                    let key = head.lines().find_map(|line| {
                        line.strip_prefix("authorization: Bearer ").map(str::to_owned)
                    });
                    let key = key.unwrap_or_default();
                    this.seen.lock().push(key.clone());
                    let (status, body) = if key == *this.accepted.lock() {
                        let message = json!({"role": "assistant", "content": *this.reply.lock()});
                        (
                            "200 OK",
                            json!({"choices": [{"message": message, "finish_reason": "stop"}]}),
                        )
                    } else {
                        let said = format!("Incorrect API key provided: {key}");
                        ("401 Unauthorized", json!({"error": {"message": said}}))
                    };
                    let body = body.to_string();
                    let length = body.len();
                    let answer = format!(
                        "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: \
                         close\r\n\r\n{body}"
                    );
                    let _gone = stream.write_all(answer.as_bytes()).await;
                });
            }
        });
        vendor
    }

    fn accept(&self, key: &str) {
        key.clone_into(&mut self.accepted.lock());
    }

    /// The keys since the last call of this function.
    fn keys(&self) -> Vec<String> {
        std::mem::take(&mut self.seen.lock())
    }
}

fn gateway(vendor: &Vendor, dir: &Path, key: &str) -> Gateway {
    let config: AiConfig = toml::from_str(&format!(
        "[providers.p]\nkind = \"openai\"\nbase_url = \"http://127.0.0.1:{}/v1\"\n{key}\n\
         breaker = {{ failures = 0 }}\n[routes.default]\n\
         try = [{{ provider = \"p\", model = \"m\" }}]\nretry = {{ attempts = 1 }}\n",
        vendor.port
    ))
    .unwrap();
    Gateway::new(&config, dir, sitewright_http::client().unwrap(), &|_| None).unwrap()
}

fn call() -> CallContext {
    CallContext::new(CallId::nth(1), Instant::now() + Duration::from_secs(60))
}

async fn ask(gateway: &Gateway) -> Result<Completed, AiError> {
    gateway.complete(call(), request(Format::Text)).await
}

/// A program in `dir` with this script for sh, which also counts its runs in the file `runs`.
fn program(dir: &Path, script: &str) -> String {
    let path = dir.join("print-key");
    let text = format!("#!/bin/sh\ncd {}\necho run >> runs\n{script}\n", dir.display());
    // A file of its own, which replaces the old one: the old one may be running.
    let new = dir.join("new");
    fs::write(&new, text).unwrap();
    fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(&new, &path).unwrap();
    "api_key_command = [\"./print-key\", \"an argument\"]".to_owned()
}

/// Lets this number of seconds pass. The clock runs during calls: if it stood still, every timeout
/// of a call that waits for a program would expire at once.
async fn later(seconds: u64) {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(seconds)).await;
    tokio::time::resume();
}

fn runs(dir: &Path) -> usize {
    fs::read_to_string(dir.join("runs")).map_or(0, |text| text.lines().count())
}

#[tokio::test]
async fn a_command_prints_the_key_and_runs_once_for_all_calls() {
    let dir = TempDir::new().unwrap();
    let vendor = Vendor::start("first-key-0123456789").await;
    let key = program(dir.path(), "sleep 0.2\ntest \"$1\" = 'an argument' && cat key");
    fs::write(dir.path().join("key"), "first-key-0123456789\n").unwrap();
    let gateway = gateway(&vendor, dir.path(), &key);
    assert_eq!(runs(dir.path()), 0, "it runs when there is a call");
    let calls = futures::future::join_all((0..20).map(|_| ask(&gateway))).await;
    assert!(calls.iter().all(Result::is_ok), "{calls:?}");
    assert_eq!((runs(dir.path()), vendor.keys().len()), (1, 20));
    // The provider takes another one now, as if the first had expired early.
    vendor.accept("second-key-9876543210");
    fs::write(dir.path().join("key"), r#"{"token": "second-key-9876543210"}"#).unwrap();
    let calls = futures::future::join_all((0..20).map(|_| ask(&gateway))).await;
    assert!(calls.iter().all(Result::is_ok), "{calls:?}");
    for done in calls.into_iter().flatten() {
        assert_eq!(done.attempts.len(), 1, "a key that has changed costs no attempt");
    }
    let runs_now = runs(dir.path());
    assert!((2..=3).contains(&runs_now), "{runs_now}: once for all calls that were refused");
    // A model that was told both keys, the old one included.
    "first-key-0123456789, then second-key-9876543210".clone_into(&mut vendor.reply.lock());
    let done = ask(&gateway).await.unwrap();
    assert_eq!(done.completion.content, "[key removed], then [key removed]");
    // It is refused, and there is no other.
    vendor.accept("another-key-1111111111");
    vendor.keys();
    let error = ask(&gateway).await.unwrap_err();
    assert_eq!((error.kind, error.attempts.len()), (AiErrorKind::Auth, 1));
    assert_eq!(vendor.keys().len(), 1, "the same key is not sent twice");
    assert_eq!(runs(dir.path()), runs_now + 1);
    let shown = format!("{error:?} {gateway:?}");
    assert!(!shown.contains("second-key") && !shown.contains("9876543210"), "{shown}");
    assert!(shown.contains("[key removed]") && shown.contains("api_key_command"), "{shown}");
}

#[tokio::test]
async fn a_key_is_read_again_before_it_expires_and_on_request() {
    let dir = TempDir::new().unwrap();
    let vendor = Vendor::start("first-key-0123456789").await;
    let key = program(dir.path(), "cat key");
    let print = |key: &str, more: &str| {
        let json = format!(r#"{{"access_token": "{key}"{more}}}"#);
        fs::write(dir.path().join("key"), json).unwrap();
    };
    print("first-key-0123456789", r#", "expires_in": 3600"#);
    let gateway = gateway(&vendor, dir.path(), &format!("{key}\napi_key_lifetime_ms = 100000"));
    for (after, of_runs) in [(0, 1), (3500, 1), (100, 2), (3500, 2), (100, 3)] {
        later(after).await;
        ask(&gateway).await.unwrap();
        assert_eq!(runs(dir.path()), of_runs, "after {after} s");
    }
    // SIGHUP.
    gateway.read_keys_again();
    print("first-key-0123456789", "");
    ask(&gateway).await.unwrap();
    assert_eq!(runs(dir.path()), 4);
    // The configured lifetime, where the command says none.
    for (after, of_runs) in [(99, 4), (2, 5)] {
        later(after).await;
        ask(&gateway).await.unwrap();
        assert_eq!(runs(dir.path()), of_runs, "after {after} s");
    }
    // A key that is expired when it comes does not run the command for each call.
    gateway.read_keys_again();
    print("first-key-0123456789", r#", "expires_in": 0"#);
    for _ in 0..3 {
        ask(&gateway).await.unwrap();
    }
    assert_eq!(runs(dir.path()), 6);
    // A command that fails meanwhile does no harm.
    gateway.read_keys_again();
    fs::remove_file(dir.path().join("key")).unwrap();
    ask(&gateway).await.unwrap();
    later(31).await;
    let error = ask(&gateway).await.unwrap_err();
    assert_eq!(error.kind, AiErrorKind::Auth, "{error}");
}

#[tokio::test]
async fn a_command_without_a_key_says_why() {
    let dir = TempDir::new().unwrap();
    let vendor = Vendor::start("first-key-0123456789").await;
    let rows = [
        (
            "echo 'you are not logged in' >&2; exit 3",
            "exit status 3; it says: you are not logged in",
        ),
        ("kill -9 $$", "signal: 9"),
        ("true", "prints nothing"),
        ("echo '{\"other\": 1}'", "without the key"),
        ("printf 'two\\nlines'", "characters that are not valid in a key"),
        ("yes", "prints over 65536 bytes"),
        ("yes error >&2", "did not end within 700 ms"),
        ("echo waiting >&2; sleep 60", "did not end within 700 ms"),
        ("sleep 60 & echo $! > child; wait", "did not end within 700 ms"),
    ];
    for (script, says) in rows {
        let key = program(dir.path(), script);
        // One that ends by itself has time for that, on a slow machine too.
        let within = if says.contains("700 ms") { 700 } else { 60_000 };
        let more = format!("{key}\napi_key_command_ms = {within}");
        let gateway = gateway(&vendor, dir.path(), &more);
        let begin = Instant::now();
        let error = ask(&gateway).await.unwrap_err();
        assert!(begin.elapsed() < Duration::from_secs(20), "{script}");
        let message = error.message.as_str();
        assert_eq!(error.kind, AiErrorKind::Auth, "{script}: {message}");
        assert!(message.contains(says) && message.contains("api_key_command"), "{message}");
        assert!(
            message.contains("`p` has no key") && !message.contains("an argument"),
            "{message}"
        );
        assert!(error.attempts[0].not_sent, "{script}");
        assert!(message.len() < 2500, "{message}");
    }
    let child = fs::read_to_string(dir.path().join("child")).unwrap();
    let alive = || Path::new("/proc").join(child.trim()).join("fd/0").exists();
    let begin = Instant::now();
    while alive() {
        assert!(begin.elapsed() < Duration::from_secs(20), "the command's child is still running");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let gateway = gateway(&vendor, dir.path(), "api_key_command = [\"./no-such-program\"]");
    let error = ask(&gateway).await.unwrap_err();
    assert!(error.message.as_str().contains("cannot be started: No such file"), "{error}");
    assert!(vendor.keys().is_empty(), "nothing was sent");
}

#[tokio::test]
async fn a_call_that_leaves_does_not_stop_the_command_that_others_wait_for() {
    let dir = TempDir::new().unwrap();
    let vendor = Vendor::start("first-key-0123456789").await;
    let key = program(dir.path(), "sleep 1; echo first-key-0123456789");
    let gateway = gateway(&vendor, dir.path(), &key);
    let deadline = Instant::now() + Duration::from_millis(200);
    let short = CallContext::new(CallId::nth(1), deadline);
    let short = gateway.complete(short, request(Format::Text));
    let (late, done) = tokio::join!(short, ask(&gateway));
    let late = late.unwrap_err();
    assert_eq!(late.kind, AiErrorKind::Cancelled, "{late}");
    assert_eq!(late.attempts[0].limit, Some(Limit::Deadline));
    done.unwrap();
    assert_eq!(runs(dir.path()), 1);
}

#[tokio::test]
async fn a_file_is_read_again_when_its_key_is_refused_and_on_request() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("key");
    fs::write(&file, "first-key-0123456789").unwrap();
    let vendor = Vendor::start("first-key-0123456789").await;
    let gateway = gateway(&vendor, dir.path(), "api_key_file = \"key\"");
    ask(&gateway).await.unwrap();
    fs::write(&file, "second-key-9876543210").unwrap();
    ask(&gateway).await.unwrap();
    assert_eq!(vendor.keys(), ["first-key-0123456789"; 2], "a key that is accepted is kept");
    vendor.accept("second-key-9876543210");
    let done = ask(&gateway).await.unwrap();
    assert_eq!(done.attempts.len(), 1);
    assert_eq!(vendor.keys(), ["first-key-0123456789", "second-key-9876543210"]);
    fs::write(&file, "third-key-5555555555").unwrap();
    gateway.read_keys_again();
    let error = ask(&gateway).await.unwrap_err();
    assert_eq!(vendor.keys(), ["third-key-5555555555"]);
    assert!(!format!("{error:?}").contains("5555555555"), "{error:?}");
    // A file that is away for a moment.
    vendor.accept("third-key-5555555555");
    fs::remove_file(&file).unwrap();
    gateway.read_keys_again();
    ask(&gateway).await.unwrap();
    // Refused, and there is no other: the answer of the provider is what counts.
    vendor.accept("fourth-key");
    let error = ask(&gateway).await.unwrap_err();
    assert!(error.message.as_str().contains("refused its key (401)"), "{error}");
}
