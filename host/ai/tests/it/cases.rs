//! Replies of providers from public bug reports and others of their kinds: what each means.
//!
//! `tests/cases/replies.json` has the bytes of each response and what is wanted.
#![allow(clippy::unwrap_used, reason = "a test's helper functions fail the test")]
#![allow(clippy::disallowed_methods, reason = "#[tokio::test] makes the runtime of a test")]

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use sitewright_ai::{AiConfig, CallContext, Format, Gateway, ReplySchema};
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
    let port = server(response(case)).await;
    let kind = case["provider"].as_str().unwrap();
    let path = match kind {
        "openai" => "/v1",
        "gemini" => "/v1beta",
        "cloudflare" => "/client/v4",
        _ => "",
    };
    let account = if kind == "cloudflare" { "account_id = \"a\"\n" } else { "" };
    let config: AiConfig = toml::from_str(&format!(
        "[providers.p]\nkind = \"{kind}\"\nbase_url = \"http://127.0.0.1:{port}{path}\"\n\
         api_key_env = \"KEY\"\n{account}[routes.default]\n\
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
    gateway.complete(CallContext::new(CallId::nth(1), deadline), request(format)).await
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
