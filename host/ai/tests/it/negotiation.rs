//! Parameters that a model refuses, and what the operator adds and drops, against a real server
//! that judges each request by its body.
#![allow(clippy::unwrap_used, reason = "a test's helper functions fail the test")]
#![allow(clippy::disallowed_methods, reason = "#[tokio::test] makes the runtime of a test")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};
use sitewright_ai::{
    AiConfig, CallContext, ChatMessage, Format, Gateway, Journal, JournalEntry, JournalKey,
    ReplySchema, Request, Role, RunJournal, TextSink, UnusableReply,
};
use sitewright_model::ai::{AiErrorKind, CallId};
use sitewright_model::message::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::gateway::request;

type Judge = dyn Fn(&Value) -> (u16, Value) + Send + Sync;

/// A server that answers by the body of each request.
struct Server {
    port: u16,
    seen: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Server {
    async fn start(judge: impl Fn(&Value) -> (u16, Value) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen: Arc<Mutex<Vec<(String, Value)>>> = Arc::default();
        let (all, judge): (_, Arc<Judge>) = (seen.clone(), Arc::new(judge));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (all, judge) = (all.clone(), judge.clone());
                tokio::spawn(async move {
                    let mut bytes = Vec::new();
                    let (head, length) = loop {
                        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                            return;
                        }
                        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                            let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
                            bytes.drain(..end + 4);
                            let length = head
                                .lines()
                                .find_map(|line| line.strip_prefix("content-length: "))
                                .map_or(0, |length| length.parse::<usize>().unwrap());
                            break (head, length);
                        }
                    };
                    while bytes.len() < length {
                        stream.read_buf(&mut bytes).await.unwrap();
                    }
                    let body: Value = serde_json::from_slice(&bytes).unwrap();
                    let (status, answer) = judge(&body);
                    all.lock().push((head, body));
                    let answer = answer.to_string();
                    let head = format!(
                        "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                        answer.len()
                    );
                    stream.write_all(format!("{head}{answer}").as_bytes()).await.unwrap();
                });
            }
        });
        Server { port, seen }
    }

    fn bodies(&self) -> Vec<Value> {
        self.seen.lock().drain(..).map(|(_, body)| body).collect()
    }

    fn gateway(&self, kind: &str, of_provider: &str, of_candidate: &str, more: &str) -> Gateway {
        self.gateway_with(kind, of_provider, of_candidate, more, "retry = { attempts = 1 }")
    }

    fn gateway_with(
        &self,
        kind: &str,
        of_provider: &str,
        of_candidate: &str,
        more: &str,
        of_route: &str,
    ) -> Gateway {
        let config: AiConfig = toml::from_str(&format!(
            "[providers.p]\nkind = \"{kind}\"\nbase_url = \"http://127.0.0.1:{}/v1\"\n\
             api_key_env = \"KEY\"\n{of_provider}\n[routes.default]\n\
             try = [{{ provider = \"p\", model = \"m\", {of_candidate} }}]\n\
             {of_route}\n{more}\n",
            self.port
        ))
        .unwrap();
        let env = |name: &str| match name {
            "KEY" => Some("sk-test-0123456789".into()),
            "TENANT" => Some("tenant-secret-42".into()),
            _ => None,
        };
        let http = sitewright_http::client().unwrap();
        Gateway::new(&config, Path::new("."), http, &env).unwrap()
    }
}

fn call() -> CallContext {
    CallContext::new(CallId::nth(1), Instant::now() + Duration::from_secs(60))
}

fn good(content: &str) -> Value {
    json!({
        "choices": [{"message": {"content": content}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2}
    })
}

fn refusal(message: impl Into<String>, param: Value) -> Value {
    let message: String = message.into();
    json!({"error": {"message": message, "type": "invalid_request_error", "param": param}})
}

/// A request with everything that a template can set.
fn full(format: Format) -> Request {
    Request {
        messages: vec![
            ChatMessage { role: Role::System, content: "You write.".to_owned() },
            ChatMessage { role: Role::User, content: "Write.".to_owned() },
        ],
        max_output_tokens: Some(50_000),
        temperature: Some(0.7),
        seed: Some(7),
        stop: vec!["END".to_owned()],
        ..request(format)
    }
}

fn schema() -> Format {
    let schema = json!({
        "type": "object",
        "properties": {"title": {"type": "string", "maxLength": 60}, "note": {"type": "string"}},
        "required": ["title"],
    });
    Format::JsonSchema(ReplySchema::compile(&schema.to_string()).unwrap())
}

#[tokio::test]
async fn a2_what_a_model_refuses_is_left_out_at_once_and_remembered() {
    // The field that the server refuses, and its words.
    type Refusal = fn(&str) -> Value;
    let rows: [(&str, Refusal); 7] = [
        ("temperature", |field| {
            refusal(
                format!("Unsupported value: '{field}' does not support 0.7 with this model."),
                json!("temperature"),
            )
        }),
        ("stop", |field| {
            refusal(format!("Model m does not support parameter {field}."), Value::Null)
        }),
        ("seed", |field| {
            json!({"detail": [{"type": "extra_forbidden", "loc": ["body", field],
                               "msg": "Extra inputs are not permitted"}]})
        }),
        ("stream_options", |field| {
            refusal(format!("Unrecognized request argument supplied: {field}"), Value::Null)
        }),
        ("max_tokens", |field| {
            refusal(
                format!(
                    "Unsupported parameter: '{field}' is not supported with this model. Use \
                         'max_completion_tokens' instead."
                ),
                json!("max_tokens"),
            )
        }),
        ("response_format", |_| {
            refusal("This model does not support response format `json_schema`.", Value::Null)
        }),
        ("system", |_| refusal("System role not supported", Value::Null)),
    ];
    for (field, words) in rows {
        let server = Server::start(move |body| {
            let has = match field {
                "system" => body["messages"][0]["role"] == "system",
                field => body.get(field).is_some(),
            };
            if has { (400, words(field)) } else { (200, good(r#"{"title": "Olá"}"#)) }
        })
        .await;
        let gateway = server.gateway("openai", "", "", "");
        for (number, requests) in [(0, 2..=3), (1, 1..=1)] {
            let done = gateway.complete(call(), full(schema())).await;
            let done = done.unwrap_or_else(|error| panic!("{field}: {error}"));
            assert_eq!(done.completion.content, r#"{"title": "Olá"}"#, "{field}");
            let bodies = server.bodies();
            assert!(requests.contains(&bodies.len()), "{field}, call {number}: {bodies:?}");
            assert_eq!(done.attempts.len(), bodies.len(), "{field}: each request is recorded");
            let last = bodies.last().unwrap();
            let kept = ["temperature", "stop", "seed", "stream_options", "response_format"];
            for other in kept.iter().filter(|other| **other != field) {
                assert!(last.get(*other).is_some(), "{field}: {other} is still sent: {last}");
            }
            let text = last["messages"].to_string();
            match field {
                "max_tokens" => assert_eq!(last["max_completion_tokens"], 50_000),
                "system" => {
                    let begin = r#"[{"role":"user","content":"You write.\n\nAnswer with one JSON"#;
                    assert!(text.starts_with(begin) && text.contains("Write."), "{text}");
                }
                "response_format" => assert!(text.contains("maxLength"), "{text}"),
                _ => {}
            }
        }
    }
}

#[tokio::test]
async fn a2_several_refusals_one_after_the_other_use_one_attempt() {
    let server = Server::start(|body| {
        for field in ["temperature", "stop", "seed", "max_tokens", "stream_options"] {
            if body.get(field).is_some() {
                return (400, refusal(format!("Unknown parameter: '{field}'."), json!(field)));
            }
        }
        (200, good("one END two"))
    })
    .await;
    let gateway = server.gateway("openai", "", "", "");
    let (mut sink, mut chunks) = TextSink::channel();
    let done = gateway.stream(&call(), &full(Format::Text), &mut sink).await.unwrap();
    sink.rest(&done).await;
    drop(sink);
    let mut text = String::new();
    while let Some(chunk) = chunks.recv().await {
        text.push_str(&chunk);
    }
    assert_eq!(done.completion.content, "one ", "a stop text that was not sent ends the reply");
    assert_eq!(text, "one ");
    assert_eq!(server.bodies().len(), 6);
}

#[tokio::test]
async fn a2_a_limit_of_tokens_is_lowered_to_what_the_model_takes() {
    let server = Server::start(|body| match body["max_tokens"].as_u64() {
        Some(tokens) if tokens > 8192 => {
            let words = "max_tokens is too large: 50000. This model supports at most 8192 \
                         completion tokens, whereas you provided 50000.";
            (400, refusal(words, json!("max_tokens")))
        }
        _ => (200, good("hello")),
    })
    .await;
    let gateway = server.gateway("openai", "", "", "");
    for requests in [2, 1] {
        drop(gateway.complete(call(), full(Format::Text)).await.unwrap());
        let bodies = server.bodies();
        assert_eq!(bodies.len(), requests);
        assert_eq!(bodies.last().unwrap()["max_tokens"], 8192);
    }
}

#[tokio::test]
async fn a2_a_schema_that_is_refused_says_nothing_about_others() {
    let server = Server::start(|body| {
        let text = body.to_string();
        if text.contains("json_schema") && text.contains("bad-one") {
            let words = "Invalid schema for response_format 'reply': bad-one";
            return (400, refusal(words, json!("response_format")));
        }
        (200, good("{}"))
    })
    .await;
    let gateway = server.gateway("openai", "", "", "");
    let named = |title: &str| {
        let schema =
            json!({"type": "object", "title": title, "properties": {"a": {"type": "string"}}});
        full(Format::JsonSchema(ReplySchema::compile(&schema.to_string()).unwrap()))
    };
    for (title, modes) in [
        ("bad-one", vec!["json_schema", "json_object"]),
        ("good-one", vec!["json_schema"]),
        ("bad-one", vec!["json_object"]),
    ] {
        drop(gateway.complete(call(), named(title)).await.unwrap());
        let found: Vec<Value> =
            server.bodies().iter().map(|body| body["response_format"]["type"].clone()).collect();
        assert_eq!(found, modes, "{title}");
    }
}

#[tokio::test]
async fn a2_what_no_other_way_helps_fails_once_and_names_the_key() {
    let server = Server::start(|_| {
        (
            400,
            refusal("Unsupported parameter: 'temperature' is not supported.", json!("temperature")),
        )
    })
    .await;
    let gateway = server.gateway("openai", "", "", "");
    let error = gateway.complete(call(), full(Format::Text)).await.unwrap_err();
    assert_eq!(error.kind, AiErrorKind::InvalidRequest);
    assert_eq!(server.bodies().len(), 2, "without a temperature, and then no more");
    assert!(error.message.as_str().contains("`drop`"), "{error}");
    // Nothing was taken, so nothing is remembered.
    let error = gateway.complete(call(), full(Format::Text)).await.unwrap_err();
    assert_eq!((error.kind, server.bodies().len()), (AiErrorKind::InvalidRequest, 2));
}

#[tokio::test]
async fn a2_probes_ask_as_templates_do_and_report_what_was_refused() {
    let server = Server::start(|body| {
        assert!(body["response_format"].is_object() && body["stream"] == true, "{body}");
        match body.get("temperature") {
            Some(_) => (400, refusal("temperature: not supported", json!("temperature"))),
            None => (200, good(r#"{"title": "x"}"#)),
        }
    })
    .await;
    let gateway = server.gateway("openai", "", "", "");
    let probes = gateway.probe_all(Instant::now() + Duration::from_secs(30)).await;
    assert!(probes[0].usable, "{probes:?}");
    assert_eq!(probes[0].refused, ["temperature"]);
    drop(gateway.complete(call(), full(schema())).await.unwrap());
    assert_eq!(server.bodies().len(), 3, "a probe's lesson holds for calls");
}

#[tokio::test]
async fn the_operator_adds_and_drops_headers_and_fields() {
    let server = Server::start(|_| (200, good("hello"))).await;
    let candidate = "temperature = 0.2, drop = [\"seed\", \"stream_options.include_usage\"], \
                     headers = { x-tenant = { env = \"TENANT\" }, authorization = \"Basic abc\" }, \
                     extra = { repeat_penalty = 1.1, provider = { order = [\"a\"] }, \
                     user = { \"$env\" = \"TENANT\" } }, service_tier = \"flex\", \
                     reasoning = \"low\"";
    let gateway = server.gateway("openai", "", candidate, "");
    drop(gateway.complete(call(), full(Format::Text)).await.unwrap());
    let (head, body) = server.seen.lock().pop().unwrap();
    assert!(head.contains("x-tenant: tenant-secret-42"), "{head}");
    assert!(head.contains("authorization: basic abc") && !head.contains("bearer"), "{head}");
    assert_eq!(body.get("seed"), None);
    for (field, value) in [
        ("stream_options", json!({})),
        ("repeat_penalty", json!(1.1)),
        ("provider", json!({"order": ["a"]})),
        ("user", json!("tenant-secret-42")),
        ("service_tier", json!("flex")),
        ("reasoning_effort", json!("low")),
    ] {
        assert_eq!(body[field], value, "{field}");
    }
}

#[tokio::test]
async fn a_secret_of_a_header_is_in_no_error() {
    let server =
        Server::start(|_| (401, refusal("bad tenant tenant-secret-42", Value::Null))).await;
    let candidate = "headers = { x-tenant = { env = \"TENANT\" } }";
    let gateway = server.gateway("openai", "", candidate, "");
    let error = gateway.complete(call(), full(Format::Text)).await.unwrap_err();
    let shown = format!("{error:?}");
    assert!(!shown.contains("tenant-secret") && shown.contains("[key removed]"), "{shown}");
}

#[tokio::test]
async fn reasoning_is_said_in_the_notation_of_each_kind() {
    // Kind and dialect, level, and the fields that are sent.
    let rows = [
        ("openai", "", "\"high\"", json!({"reasoning_effort": "high"})),
        (
            "openai",
            "dialect = \"openrouter\"",
            "\"none\"",
            json!({"reasoning": {"enabled": false}}),
        ),
        ("openai", "dialect = \"deepseek\"", "\"none\"", json!({"thinking": {"type": "disabled"}})),
        (
            "openai",
            "dialect = \"vllm\"",
            "\"low\"",
            json!({"chat_template_kwargs": {"enable_thinking": true}}),
        ),
        (
            "anthropic",
            "",
            "\"low\"",
            json!({"thinking": {"type": "enabled", "budget_tokens": 2048}, "max_tokens": 52_048}),
        ),
        ("anthropic", "", "\"none\"", json!({"thinking": {"type": "disabled"}})),
        (
            "anthropic",
            "",
            "\"high\", reasoning_tokens = 5000",
            json!({"thinking": {"type": "enabled", "budget_tokens": 5000}}),
        ),
        ("ollama", "", "\"none\"", json!({"think": false})),
    ];
    for (kind, of_provider, level, fields) in rows {
        let server = Server::start(|_| (500, json!({}))).await;
        let gateway = server.gateway(kind, of_provider, &format!("reasoning = {level}"), "");
        drop(gateway.complete(call(), full(schema())).await.unwrap_err());
        let body = server.bodies().remove(0);
        for (field, value) in fields.as_object().unwrap() {
            assert_eq!(&body[field], value, "{kind} {of_provider} {level}: {body}");
        }
    }
}

#[tokio::test]
async fn a_newer_claude_that_thinks_is_asked_in_its_own_way() {
    let server = Server::start(|body| {
        let said = |message: &str| {
            (400, json!({"type": "error", "error": {"type": "invalid_request_error", "message": message}}))
        };
        if body["thinking"]["type"] == "enabled" {
            return said(
                "\"thinking.type.enabled\" is not supported for this model. Use \
                 \"thinking.type.adaptive\" and \"output_config.effort\" to control thinking.",
            );
        }
        if body.get("temperature").is_some() {
            return said("`temperature` is deprecated for this model.");
        }
        if body.get("tool_choice").is_some() {
            return said("Thinking may not be enabled when tool_choice forces tool use.");
        }
        let text = r#"{"title": "x"}"#;
        (200, json!({"type": "message", "content": [{"type": "text", "text": text}], "stop_reason": "end_turn"}))
    })
    .await;
    let gateway = server.gateway("anthropic", "", "reasoning = \"medium\"", "");
    let done = gateway.complete(call(), full(schema())).await.unwrap();
    assert_eq!(done.completion.content, r#"{"title": "x"}"#);
    let last = server.bodies().pop().unwrap();
    assert_eq!(last["thinking"], json!({"type": "adaptive"}));
    assert_eq!(last["output_config"]["effort"], "medium");
    assert_eq!(last["output_config"]["format"]["schema"]["additionalProperties"], false);
    let gateway = server.gateway("anthropic", "", "", "");
    drop(gateway.complete(call(), full(schema())).await.unwrap());
    let last = server.bodies().pop().unwrap();
    assert!(last.get("temperature").is_none() && last.get("tool_choice").is_none(), "{last}");
}

#[tokio::test]
async fn optional_fields_may_be_null_where_the_mode_needs_them() {
    let server = Server::start(|body| {
        let sent = &body["response_format"]["json_schema"];
        assert_eq!(sent["strict"], true, "{body}");
        assert_eq!(sent["schema"]["properties"]["note"]["type"], json!(["string", "null"]));
        (200, good(r#"{"title": "Olá", "note": null}"#))
    })
    .await;
    let gateway = server.gateway("openai", "", "", "");
    let done = gateway.complete(call(), full(schema())).await.unwrap();
    assert_eq!((done.completion.content.as_str(), done.attempts.len()), (r#"{"title":"Olá"}"#, 1));
}

#[tokio::test]
async fn the_responses_api_is_asked_and_read_whole_and_streamed() {
    let usage = json!({"input_tokens": 11, "output_tokens": 7,
                       "input_tokens_details": {"cached_tokens": 4},
                       "output_tokens_details": {"reasoning_tokens": 5}});
    let text = r#"{"title": "Olá", "note": null}"#;
    let whole = json!({
        "object": "response", "model": "m-2026", "status": "completed", "error": null,
        "incomplete_details": null, "usage": usage,
        "output": [
            {"type": "reasoning", "summary": []},
            {"type": "message", "content": [{"type": "output_text", "text": text}]}
        ]
    });
    let answer = whole.clone();
    let server = Server::start(move |_| (200, answer.clone())).await;
    let gateway = server.gateway("openai", "api = \"responses\"", "reasoning = \"low\"", "");
    let done = gateway.complete(call(), full(schema())).await.unwrap();
    let reply = done.completion;
    assert_eq!((reply.content.as_str(), reply.model.as_str()), (r#"{"title":"Olá"}"#, "m-2026"));
    assert_eq!((reply.usage.input_tokens, reply.usage.output_tokens), (Some(11), Some(7)));
    assert_eq!(reply.usage.reasoning_tokens, Some(5));
    let (head, body) = server.seen.lock().pop().unwrap();
    assert!(head.starts_with("post /v1/responses http/1.1"), "{head}");
    for (field, value) in [
        ("/text/format/type", json!("json_schema")),
        ("/text/format/strict", json!(true)),
        ("/max_output_tokens", json!(50_000)),
        ("/reasoning/effort", json!("low")),
        ("/store", json!(false)),
        ("/input/0/role", json!("system")),
    ] {
        assert_eq!(body.pointer(field), Some(&value), "{field}: {body}");
    }
    assert!(body.get("stop").is_none() && body.get("seed").is_none(), "{body}");
    // How a response ends decides what it is.
    for (change, kind) in [
        (
            json!({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}),
            AiErrorKind::Truncated,
        ),
        (
            json!({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}),
            AiErrorKind::ContentFiltered,
        ),
        (
            json!({"status": "failed", "error": {"code": "rate_limit_exceeded", "message": "slow"}}),
            AiErrorKind::RateLimited,
        ),
        (
            json!({"output": [{"type": "message", "content": [{"type": "refusal", "refusal": "no"}]}]}),
            AiErrorKind::ContentFiltered,
        ),
        (json!({"output": []}), AiErrorKind::Empty),
    ] {
        let mut answer = whole.clone();
        for (name, value) in change.as_object().unwrap() {
            answer[name] = value.clone();
        }
        let server = Server::start(move |_| (200, answer.clone())).await;
        let gateway = server.gateway("openai", "api = \"responses\"", "", "");
        let error = gateway.complete(call(), full(Format::Text)).await.unwrap_err();
        assert_eq!(error.kind, kind, "{change}: {error}");
    }
    let only = "The model is only supported in v1/responses and not in v1/chat/completions.";
    let server = Server::start(move |_| (404, refusal(only, Value::Null))).await;
    let error = server.gateway("openai", "", "", "").complete(call(), full(Format::Text)).await;
    let error = error.unwrap_err();
    assert!(error.message.as_str().contains("api = \"responses\""), "{error}");
}

/// Kind, tokens of the reply, and cost.
type Unusable = (AiErrorKind, Option<u64>, Option<f64>);

/// What a journal was given: replies, and the kinds and costs of those that cannot be used.
#[derive(Debug, Default)]
struct Ledger {
    stored: Mutex<Vec<Option<f64>>>,
    /// Of each reply, the number of attempts, if the first one did not succeed.
    tries: Mutex<Vec<usize>>,
    unusable: Mutex<Vec<Unusable>>,
}

#[async_trait::async_trait]
impl Journal for Ledger {
    async fn lookup(&self, _: &JournalKey) -> Option<JournalEntry> {
        None
    }

    async fn store(&self, entry: &JournalEntry) -> Result<(), Message> {
        assert!(entry.took_ms.is_some(), "a provider was asked");
        self.stored.lock().push(entry.cost_usd.map(|cost| cost.dollars()));
        self.tries.lock().push(entry.tries.len());
        Ok(())
    }

    async fn account(&self, unusable: &UnusableReply) -> Result<(), Message> {
        let cost = unusable.cost_usd.map(|cost| cost.dollars());
        self.unusable.lock().push((unusable.kind, unusable.usage.output_tokens, cost));
        Ok(())
    }
}

#[tokio::test]
async fn d12_every_answered_attempt_is_accounted_for_once() {
    let tokens = json!({"prompt_tokens": 1_000_000, "completion_tokens": 7});
    let said = move |content: &str, finish: &str| {
        let message = json!({"message": {"content": content}, "finish_reason": finish});
        (200, json!({"choices": [message], "usage": tokens}))
    };
    let limited = || (429, refusal("slow down", Value::Null));
    let good = r#"{"title": "x"}"#;
    // The answers one after the other, the unusable ones, and whether there is a reply.
    let rows = [
        (vec![said("no JSON", "stop"), said(good, "stop")], vec![AiErrorKind::Malformed], true),
        (vec![said("", "stop"), limited(), said(good, "stop")], vec![AiErrorKind::Empty], true),
        (vec![said("half", "length")], vec![AiErrorKind::Truncated], false),
        (vec![said("x", "content_filter")], vec![AiErrorKind::ContentFiltered], false),
        (vec![(401, refusal("no", Value::Null))], vec![], false),
    ];
    for (answers, kinds, replied) in rows {
        let asked = answers.len();
        let left = Mutex::new(answers.into_iter());
        let server = Server::start(move |_| left.lock().next().unwrap()).await;
        let more = "[prices.m]\ninput_per_million = 1.0\noutput_per_million = 0.0\n";
        let more = format!("{more}[retry]\nattempts = 3\nbase_ms = 0\n");
        let gateway = server.gateway_with("openai", "", "", &more, "");
        let ledger = Arc::new(Ledger::default());
        let journal = Some(Arc::new(RunJournal::new(ledger.clone())));
        let done = gateway.complete(CallContext { journal, ..call() }, full(schema())).await;
        assert_eq!(done.is_ok(), replied, "{done:?}");
        let unusable = ledger.unusable.lock().clone();
        let expected: Vec<_> = kinds.iter().map(|kind| (*kind, Some(7), Some(1.0))).collect();
        assert_eq!(unusable, expected);
        assert_eq!(*ledger.stored.lock(), vec![Some(1.0); usize::from(replied)]);
        assert_eq!(*ledger.tries.lock(), vec![asked; usize::from(replied)]);
    }
}
