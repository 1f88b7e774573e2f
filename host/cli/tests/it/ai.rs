//! `sitewright ai call` as a process: what it prints, and that a key is nowhere in it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helper functions fail the test")]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Output};

use serde_json::{Value, json};

const KEY: &str = "planted.key/0123456789+abcdef";

/// A server that gives these answers, one for each connection.
pub(super) fn serve(answers: Vec<String>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut read = Vec::new();
            let mut buffer = [0; 4096];
            let whole = |read: &[u8]| {
                let text = String::from_utf8_lossy(read);
                let (head, body) = text.split_once("\r\n\r\n")?;
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?;
                (body.len() >= length.parse::<usize>().ok()?).then_some(())
            };
            while whole(&read).is_none() {
                let count = stream.read(&mut buffer).unwrap();
                read.extend_from_slice(&buffer[..count]);
            }
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    port
}

pub(super) fn answer(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
}

fn sitewright(port: u16, more: &str, args: &[&str]) -> Output {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("sitewright.toml");
    let config = format!(
        "[ai.providers.local]\nkind = \"openai\"\nbase_url = \"http://127.0.0.1:{port}/v1\"\napi_key_env = \"PLANTED\"\n{more}\n\
         [ai.routes.default]\ntry = [{{ provider = \"local\", model = \"m\" }}]\n\
         [ai.prices.m]\ninput_per_million = 2.5\noutput_per_million = 10.0\n"
    );
    std::fs::write(&file, config).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_sitewright"));
    command.args(["ai", "call", "--purpose", "copywriting", "--prompt", "Write."]).args(args);
    // No setting from outside counts.
    for (name, _) in
        std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("SITEWRIGHT_"))
    {
        command.env_remove(name);
    }
    command.current_dir(&dir).env("SITEWRIGHT_CONFIG", &file).env("PLANTED", KEY).output().unwrap()
}

fn text(output: &Output) -> String {
    format!(
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn e11_a_call_by_hand_shows_reply_attempts_tokens_and_cost() {
    let good = json!({
        "model": "m-2026", "choices": [{"message": {"content": "Bem-vindo"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1000, "completion_tokens": 100}
    });
    let busy = answer("503 Busy", "x-request-id: r1\r\nretry-after-ms: 1\r\n", "{}");
    let fine = answer("200 OK", "x-request-id: r2\r\n", &good.to_string());
    let answers = vec![busy, fine.clone(), fine];
    let port = serve(answers);
    let json = sitewright(port, "", &["--json"]);
    assert_eq!(json.status.code(), Some(0), "{}", text(&json));
    let told: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(
        (&told["outcome"], &told["completion"]["content"]),
        (&json!("answered"), &json!("Bem-vindo"))
    );
    assert_eq!(told["cost_usd"], json!(0.0035));
    let outcomes: Vec<&Value> =
        told["attempts"].as_array().unwrap().iter().map(|one| &one["outcome"]).collect();
    assert_eq!(outcomes, ["overloaded", "succeeded"]);
    let shown = sitewright(port, "", &[]);
    for words in [
        "Bem-vindo\n",
        "✓ local m succeeded · 200",
        "first byte",
        "1000 tokens in",
        "0.0035 USD",
        "request r2",
    ] {
        assert!(text(&shown).contains(words), "{words}: {}", text(&shown));
    }
}

#[test]
fn a8_a_planted_key_is_nowhere_in_a_failing_call_at_any_log_level() {
    let echo = json!({"error": {"message": format!("Incorrect API key provided: {KEY} (Bearer {KEY}, sk-proj-0123456789)")}});
    for level in ["error", "warn", "info", "debug", "trace"] {
        for json in [true, false] {
            let headers =
                format!("x-request-id: {KEY}\r\nlocation: http://a:{KEY}@b/?key={KEY}\r\n");
            let port = serve(vec![answer("401 Unauthorized", &headers, &echo.to_string())]);
            let args: &[&str] = if json { &["--log", level, "--json"] } else { &["--log", level] };
            let output = sitewright(port, "", args);
            let text = text(&output);
            assert_eq!(output.status.code(), Some(5), "{text}");
            assert!(text.contains("refused its key") && text.contains("[key removed]"), "{text}");
            assert!(!text.contains("planted") && !text.contains("sk-proj"), "{level}: {text}");
            assert!(level != "trace" || text.contains("TRACE"), "{text}");
        }
    }
}

#[test]
fn what_cannot_be_asked_is_refused_as_usage() {
    for (args, says) in [
        (&["--schema", "absent.json"][..], "absent.json cannot be read"),
        (&["--schema", "."], ". cannot be read"),
    ] {
        let output = sitewright(9, "", args);
        assert_eq!(output.status.code(), Some(2), "{}", text(&output));
        assert!(
            text(&output).contains(says) || text(&output).contains("cannot be used multiple times"),
            "{}",
            text(&output)
        );
    }
}
