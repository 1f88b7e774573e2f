//! Replies of providers from public bug reports and others of their kinds: what each means.
//!
//! `tests/cases/replies.json` has the bytes of each response and what is wanted; `source` is the
//! report that its words come from.
#![allow(clippy::unwrap_used, reason = "a test's helper functions fail the test")]
#![allow(clippy::disallowed_methods, reason = "#[tokio::test] makes the runtime of a test")]

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use sitewright_ai::{AiConfig, CallContext, Format, Gateway, ReplySchema, Request};
use sitewright_model::ai::{AiError, CallId, Completed};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::gateway::request;

/// The bytes of a case's response: UTF-8, or each byte as one character.
fn response(case: &Value) -> Vec<u8> {
    match case["reply"].as_str() {
        Some(text) => text.as_bytes().to_vec(),
        None => {
            let bytes = case["reply_latin1"].as_str().unwrap().chars();
            bytes.map(|byte| u8::try_from(byte).unwrap()).collect()
        }
    }
}

/// A server that gives this response to every request; its port.
async fn server(response: Vec<u8>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut bytes = Vec::new();
            let length = loop {
                if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                    return;
                }
                if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                    let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
                    let length = head.lines().find_map(|line| {
                        line.strip_prefix("content-length: ")?.parse::<usize>().ok()
                    });
                    break end + 4 + length.unwrap_or(0);
                }
            };
            while bytes.len() < length && stream.read_buf(&mut bytes).await.unwrap_or(0) > 0 {}
            let _left = stream.write_all(&response).await;
        }
    });
    port
}

async fn ask(case: &Value) -> Result<Completed, AiError> {
    ask_at_most(case, None).await
}

/// Asks for a reply of at most this many tokens.
async fn ask_at_most(case: &Value, most: Option<u32>) -> Result<Completed, AiError> {
    let port = server(response(case)).await;
    let (kind, api) = match case["provider"].as_str().unwrap() {
        "responses" => ("openai", "api = \"responses\"\n"),
        kind => (kind, ""),
    };
    let path = match kind {
        "openai" => "/v1",
        "gemini" => "/v1beta",
        "cloudflare" => "/client/v4",
        _ => "",
    };
    let account = if kind == "cloudflare" { "account_id = \"a\"\n" } else { "" };
    let config: AiConfig = toml::from_str(&format!(
        "[providers.p]\nkind = \"{kind}\"\nbase_url = \"http://127.0.0.1:{port}{path}\"\n\
         api_key_env = \"KEY\"\n{account}{api}[routes.default]\n\
         try = [{{ provider = \"p\", model = \"m\" }}]\nretry = {{ attempts = 1 }}\n"
    ))
    .unwrap();
    let env = |name: &str| (name == "KEY").then(|| "sk-test-0123456789".into());
    let http = sitewright_http::client().unwrap();
    let gateway = Gateway::new(&config, Path::new("."), http, &env).unwrap();
    let format = match case.get("schema") {
        Some(schema) => Format::JsonSchema(ReplySchema::compile(&schema.to_string()).unwrap()),
        None => Format::Text,
    };
    let deadline = Instant::now() + Duration::from_secs(60);
    let request = Request { max_output_tokens: most, ..request(format) };
    gateway.complete(CallContext::new(CallId::nth(1), deadline), request).await
}

/// Why the result is not the wanted one.
fn wrong(want: &Value, result: &Result<Completed, AiError>) -> Option<String> {
    let words = |name: &str| -> Vec<String> {
        want.get(name).map(|list| serde_json::from_value(list.clone()).unwrap()).unwrap_or_default()
    };
    match result {
        Ok(done) => {
            let reply = &done.completion;
            let json = serde_json::from_str::<Value>(&reply.content).ok();
            let usage = reply.usage;
            let fits = want.get("kind").is_none()
                && want.get("text").is_none_or(|text| text == reply.content.as_str())
                && want.get("json").is_none_or(|wanted| json.as_ref() == Some(wanted))
                && want
                    .get("input_tokens")
                    .is_none_or(|tokens| *tokens == serde_json::json!(usage.input_tokens))
                && want
                    .get("output_tokens")
                    .is_none_or(|tokens| *tokens == serde_json::json!(usage.output_tokens))
                && want.get("attempts").is_none_or(|most| *most == done.attempts.len());
            (!fits).then(|| format!("{reply:?} after {} attempts", done.attempts.len()))
        }
        Err(error) => {
            let message = error.message.as_str();
            let kind = serde_json::to_value(error.kind).unwrap();
            let fits = want.get("kind").is_none_or(|wanted| *wanted == kind)
                && want.get("text").is_none()
                && want.get("json").is_none()
                && words("message").iter().all(|word| message.contains(word.as_str()))
                && !words("not_in_message").iter().any(|word| message.contains(word.as_str()));
            (!fits).then(|| format!("{kind}: {message}"))
        }
    }
}

#[tokio::test]
async fn every_reply_means_what_its_provider_means() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("../cases/replies.json")).unwrap();
    let mut failed = Vec::new();
    for case in &cases {
        if let Some(found) = wrong(&case["want"], &ask(case).await) {
            failed.push(format!("{}: wanted {}, found {found}", case["name"], case["want"]));
        }
    }
    let total = cases.len();
    assert!(failed.is_empty(), "{} of {total} are wrong:\n{}", failed.len(), failed.join("\n"));
}

#[tokio::test]
async fn e4_a_reply_without_a_finish_reason_says_so_or_is_truncated() {
    const TOKENS: u32 = 7;
    let answer = |kind: &str, content: &str| {
        let usage = json!({"prompt_tokens": 11, "completion_tokens": TOKENS});
        match kind {
            "openai" => json!({"choices": [{"message": {"content": content}}], "usage": usage}),
            "ollama" => json!({"message": {"content": content}, "eval_count": TOKENS}),
            "responses" => json!({"output": [{"type": "message", "content": [
                {"type": "output_text", "text": content}]}]}),
            "cloudflare" => {
                json!({"success": true, "result": {"response": content, "usage": usage}})
            }
            kind => panic!("{kind}"),
        }
    };
    let stream = |end: &str| {
        let chunk = json!({"choices": [{"delta": {"content": "Half a sen"}}]});
        format!("data: {chunk}\n\n{end}")
    };
    let schema = json!({"type": "object", "required": ["a"]});
    let text = |kind: &str| answer(kind, "Half a sen").to_string();
    let unsaid = |said: bool| Ok(!said);
    let truncated = Err("truncated");
    // Name, provider, body, schema, limit of tokens, and whether the attempt says so.
    let rows = [
        ("chat", "openai", text("openai"), None, None, unsaid(false)),
        ("chat, below its limit", "openai", text("openai"), None, Some(TOKENS + 1), unsaid(false)),
        ("chat, at its limit", "openai", text("openai"), None, Some(TOKENS), truncated),
        (
            "JSON shows that it is whole",
            "openai",
            answer("openai", "{\"a\": 1}").to_string(),
            Some(&schema),
            None,
            unsaid(true),
        ),
        ("stream with its mark", "openai", stream("data: [DONE]\n\n"), None, None, unsaid(false)),
        ("stream without", "openai", stream(""), None, None, truncated),
        ("responses", "responses", text("responses"), None, None, unsaid(false)),
        ("ollama that is not done", "ollama", text("ollama"), None, None, truncated),
        ("a protocol that has none", "cloudflare", text("cloudflare"), None, None, unsaid(true)),
    ];
    for (name, provider, body, schema, most, expected) in rows {
        let kind = if body.starts_with("data:") { "text/event-stream" } else { "application/json" };
        let length = body.len();
        let reply = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\
             connection: close\r\n\r\n{body}"
        );
        let mut case = json!({"provider": provider, "reply": reply});
        if let Some(schema) = schema {
            case["schema"] = schema.clone();
        }
        let found = match ask_at_most(&case, most).await {
            Ok(done) => {
                let attempt = done.attempts.last().unwrap().end_unsaid;
                assert_eq!(done.end_unsaid, attempt, "{name}");
                Ok(done.end_unsaid)
            }
            Err(error) => Err(error.kind.as_str()),
        };
        assert_eq!(found, expected, "{name}");
    }
}
