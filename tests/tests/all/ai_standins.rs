//! The gateway against servers that others wrote: a mock that judges how its clients behave, and a
//! real, very small model.

use std::ffi::OsString;
use std::ops::Add as _;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use sitewright_ai::{
    AiConfig, CallContext, ChatMessage, Format, Gateway, Purpose, ReplySchema, Request, Role,
};
use sitewright_model::ai::{AiError, AiErrorKind, CallId, Completed};
use sitewright_tests::chat_server::WAIT_TIMEOUT;
use sitewright_tests::standins::{MOCK, MODEL, Standin};
use sitewright_tests::{Done, ORDERS, Workbench, guest, order, template};

const KEY: &str = "planted-standin-key-41f0";

fn gateway(config: &str, key: &'static str) -> Gateway {
    let config: AiConfig = toml::from_str(config).unwrap();
    let env = |name: &str| (name == "STANDIN_KEY").then(|| OsString::from(key));
    Gateway::new(&config, Path::new("."), sitewright_http::client().unwrap(), &env).unwrap()
}

async fn ask(gateway: &Gateway, text: &str, format: Format) -> Result<Completed, AiError> {
    let request = Request {
        purpose: Purpose::new("copywriting").unwrap(),
        messages: vec![ChatMessage { role: Role::User, content: text.to_owned() }],
        format,
        max_output_tokens: Some(200),
        // The real model says the same each time: one that rambles is cut at its tokens.
        temperature: Some(0.0),
        seed: None,
        stop: Vec::new(),
        identity: None,
    };
    let deadline = tokio::time::Instant::now() + WAIT_TIMEOUT;
    gateway.complete(CallContext::new(CallId::nth(1), deadline), request).await
}

fn outcomes(result: &Result<Completed, AiError>) -> Vec<&'static str> {
    let attempts = match result {
        Ok(done) => &done.attempts,
        Err(error) => &error.attempts,
    };
    attempts.iter().map(|attempt| attempt.outcome.as_str()).collect()
}

/// JSON after a schema. OpenAI's strict mode does not accept one with `lengths`.
fn card(lengths: bool) -> Format {
    let mut schema = json!({
        "type": "object",
        "properties": {
            "title": {"type": "string"},
            "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 3},
        },
        "required": ["title", "tags"],
        "additionalProperties": false,
    });
    if lengths {
        schema["properties"]["title"] = json!({"type": "string", "minLength": 1, "maxLength": 30});
        schema["properties"]["tags"]["items"] = json!({"type": "string", "maxLength": 12});
    }
    Format::JsonSchema(ReplySchema::compile(&schema.to_string()).unwrap())
}

/// Waits until a server answers at this URL.
async fn listens(client: &reqwest::Client, url: &str) {
    let begin = std::time::Instant::now();
    while client.get(url).send().await.is_err() {
        assert!(begin.elapsed() < WAIT_TIMEOUT, "nothing answers at {url}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Faults that the mock injects into a call, and the outcomes of the call's attempts.
fn mock_faults() -> Vec<(Value, &'static [&'static str])> {
    let stream = |kind: &str| json!({"type": "stream_fault", "kind": kind, "after_chunks": 2});
    vec![
        (
            json!({"type": "fail", "status": 429, "retry_after": 0.4}),
            &["rate-limited", "succeeded"],
        ),
        (json!({"type": "fail", "status": 500}), &["overloaded", "succeeded"]),
        (
            json!({"type": "fail", "status": 503, "times": 2}),
            &["overloaded", "overloaded", "succeeded"],
        ),
        (json!({"type": "fail", "status": 504}), &["timeout", "succeeded"]),
        (json!({"type": "fail", "status": 529}), &["overloaded", "succeeded"]),
        (json!({"type": "fail", "status": 401}), &["auth"]),
        (json!({"type": "fail", "status": 403}), &["permission"]),
        (json!({"type": "fail", "status": 404}), &["not-found"]),
        (json!({"type": "fail", "status": 400}), &["invalid-request"]),
        (stream("disconnect"), &["connection", "succeeded"]),
        (stream("truncate"), &["truncated", "succeeded"]),
        (stream("malformed"), &["protocol", "succeeded"]),
        (
            json!({
                "type": "stream_fault", "kind": "stall", "after_chunks": 2, "stall_seconds": 30.0
            }),
            &["timeout", "succeeded"],
        ),
        (json!({"type": "slow_first_token", "seconds": 30.0}), &["timeout", "succeeded"]),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn e1_e12_a_mock_that_judges_its_clients_finds_nothing_to_blame() {
    let prepared =
        tokio::task::spawn_blocking(|| MOCK.ready("the gateway against the mock that judges"))
            .await;
    let Some(programs) = prepared.unwrap() else { return };
    let mut mock = Standin::mock(&programs);
    let client = sitewright_http::client().unwrap();
    listens(client.first(), &format!("{}/health", mock.origin)).await;
    let origin = mock.origin.as_str();
    let providers = [
        ("openai", "openai", "/v1"),
        ("anthropic", "anthropic", "/anthropic/v1"),
        ("gemini", "gemini", "/gemini/v1beta"),
    ];
    let all = providers.map(|(kind, provider, path)| {
        let client = client.first();
        async move {
            let config = format!(
                "[providers.it]\nkind = \"{kind}\"\nbase_url = \"{origin}{path}\"\napi_key_env = \
                 \"STANDIN_KEY\"\nfirst_byte_ms = 4000\nfirst_token_ms = 4000\nidle_ms = 4000\nbreaker = {{ failures = 0 \
                 }}\n[retry]\nattempts = 3\nbase_ms = 200\nmax_ms = 1000\n[routes.default]\ntry = \
                 [{{ provider = \"it\", model = \"some-model\" }}]\n"
            );
            let gateway = gateway(&config, KEY);
            let plain =
                ask(&gateway, &format!("{kind}: nothing goes wrong"), Format::Text).await.unwrap();
            assert!(
                !plain.completion.content.is_empty()
                    && plain.completion.usage.output_tokens.is_some()
            );
            let json = ask(&gateway, &format!("{kind}: a card"), card(false)).await.unwrap();
            assert!(json.completion.content.starts_with('{'), "{kind}: {json:?}");
            for (number, (mut fault, expected)) in mock_faults().into_iter().enumerate() {
                // Providers are called concurrently, and the mock has a queue of faults for
                // each.
                fault["match"] = json!({"provider": provider});
                let body = json!({"behaviors": [fault]}).to_string();
                let queued = client
                    .post(format!("{origin}/_llmock/scenario"))
                    .body(body)
                    .send()
                    .await
                    .unwrap();
                assert_eq!(queued.status(), 201, "{}", queued.text().await.unwrap());
                // The mock recognizes a retry by its body, so each call has another text.
                let result = ask(&gateway, &format!("{kind}: call {number}"), Format::Text).await;
                assert_eq!(outcomes(&result), expected, "{kind}: {fault}: {result:#?}");
                if let Err(error) = &result {
                    assert!(
                        error.message.as_str().len() > 60 && error.http.is_some(),
                        "{kind}: {error:?}"
                    );
                }
            }
        }
    });
    futures::future::join_all(all).await;
    assert!(mock.runs(), "the mock ended on its own");
    let report = std::process::Command::new(programs.join("llmock"))
        .args(["report", "--json", "--url", &mock.origin])
        .output()
        .unwrap();
    let report = Done::from(report);
    assert_eq!(report.code, 0, "the mock blames its client: {}{}", report.stdout, report.stderr);
    let verdict = report.json();
    let calls = 3 * (mock_faults().len() as u64 + 2);
    assert!(verdict["calls"].as_u64() >= Some(calls), "each call was seen: {verdict}");
    assert!(verdict["faults_injected"].as_u64() >= Some(3 * 14), "each fault was made: {verdict}");
    for finding in verdict["findings"].as_array().unwrap() {
        // A retry that arrives before the mock has recorded the end of the previous attempt
        // counts as a separate call, and that attempt as never retried. `outcomes` above proves the
        // retries.
        let code = finding["code"].as_str().unwrap();
        assert!(["malformed_chunk_ignored", "gave_up"].contains(&code), "{finding}");
    }
}

/// Provider tables for the small model's server: chat completions, and Anthropic's Messages.
fn model_provider(origin: &str, kind: &str, more: &str) -> String {
    let dialect = if kind == "openai" { "dialect = \"llamacpp\"\n" } else { "" };
    let route = |purpose: &str, most: u32| {
        format!(
            "[routes.{purpose}]\ntry = [{{ provider = \"it\", model = \"small\", \
             max_output_tokens = {most} }}]\n"
        )
    };
    let routes = [route("default", 300), route("strategy", 100)].concat();
    format!(
        "[providers.it]\nkind = \"{kind}\"\nbase_url = \"{origin}/v1\"\napi_key_env = \
         \"STANDIN_KEY\"\n{dialect}{more}\n{routes}"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn f5_the_five_orders_become_sites_with_a_real_model_and_its_real_errors_are_told() {
    let prepared =
        tokio::task::spawn_blocking(|| MODEL.ready("the five orders on a real small model")).await;
    let Some(programs) = prepared.unwrap() else { return };
    let model = Standin::model(&programs, KEY, 2048, 2);
    let once = "[retry]\nattempts = 1\n";

    // While it loads it refuses connections, then answers 503. Both are retryable.
    let patient = "[retry]\nattempts = 2000\nbase_ms = 10\nmax_ms = 10\n";
    let config = model_provider(&model.origin, "openai", "breaker = { failures = 0 }") + patient;
    let result = ask(&gateway(&config, KEY), "Say hello.", Format::Text).await;
    let done = result.unwrap_or_else(|error| panic!("the model never answered: {error}"));
    assert!(!done.completion.content.trim().is_empty());
    assert!(done.completion.usage.output_tokens.is_some_and(|tokens| tokens > 0), "{done:?}");
    let loading = done
        .attempts
        .iter()
        .find(|attempt| attempt.status == Some(503))
        .expect("it took a moment to load");
    assert_eq!(loading.outcome.as_str(), "overloaded");
    assert!(
        loading.body_excerpt.as_ref().is_some_and(|body| body.contains("Loading model")),
        "{loading:?}"
    );
    for attempt in &done.attempts {
        let name = attempt.outcome.as_str();
        assert!(["connection", "overloaded", "succeeded"].contains(&name), "{attempt:?}");
    }

    for kind in ["openai", "anthropic"] {
        let config = model_provider(&model.origin, kind, "") + once;
        let refused = ask(&gateway(&config, "another-key-0123"), "Say hello.", Format::Text)
            .await
            .unwrap_err();
        let status = |error: &AiError| error.http.as_ref().map(|http| http.status);
        assert_eq!(
            (refused.kind, status(&refused)),
            (AiErrorKind::Auth, Some(401)),
            "{kind}: {refused:?}"
        );
        assert!(
            !refused.retryable && refused.message.as_str().contains("Invalid API Key"),
            "{kind}: {refused}"
        );
        let gateway = gateway(&config, KEY);
        let long = ask(&gateway, &"word ".repeat(4000), Format::Text).await.unwrap_err();
        assert_eq!(
            (long.kind, status(&long)),
            (AiErrorKind::ContextTooLong, Some(400)),
            "{kind}: {long:?}"
        );
        assert!(!long.retryable && long.message.as_str().contains("2048"), "{kind}: {long}");
        let text = ask(&gateway, "Name one colour.", Format::Text).await;
        let text = text.unwrap_or_else(|error| panic!("{kind}: {error}"));
        assert!(!text.completion.content.trim().is_empty());
        let usage = text.completion.usage;
        assert!(usage.input_tokens > Some(0) && usage.output_tokens > Some(0), "{kind}: {usage:?}");
        let mut answered = ask(&gateway, "A card for a bakery.", card(true)).await;
        if matches!(&answered, Err(error) if error.kind == AiErrorKind::Connection) {
            // The server closes idle connections, possibly at the moment when one is reused.
            answered = ask(&gateway, "A card for a bakery.", card(true)).await;
        }
        match (kind, answered) {
            // The server enforces the schema token by token.
            ("openai", Ok(done)) => {
                let card: Value = serde_json::from_str(&done.completion.content).unwrap();
                assert!(card["title"].is_string() && card["tags"].is_array(), "{card}");
                assert_eq!(done.attempts.len(), 1);
            }
            // The server does not force the model to use a tool, and this model does not do so
            // itself.
            ("anthropic", Ok(_)) => {}
            ("anthropic", Err(error)) => assert!(
                matches!(
                    error.kind,
                    AiErrorKind::Malformed
                        | AiErrorKind::SchemaMismatch
                        | AiErrorKind::Truncated
                        | AiErrorKind::Empty
                ),
                "{error:?}"
            ),
            (kind, result) => panic!("{kind}: {result:?}"),
        }
    }

    let config = model_provider(&model.origin, "openai", "limits = { concurrency = 2 }") + once;
    let bench = Workbench::configured(
        &config
            .replace("[providers.", "[ai.providers.")
            .replace("[routes.", "[ai.routes.")
            .replace("[retry]", "[ai.retry]")
            // The guest writes two languages, the orders have more.
            .add("\n[orders]\nfallback_locale = \"en\"\n"),
    );
    let orders = tokio::task::spawn_blocking(move || {
        let generate = |template: &Path, name: &str, order: &Value| {
            let file = bench.write(&format!("{name}.json"), order.to_string());
            let mut command = bench.command(&["--json", "generate", "--template"]);
            Done::from(
                command
                    .arg(template)
                    .arg("--order")
                    .arg(file)
                    .env("STANDIN_KEY", KEY)
                    .output()
                    .unwrap(),
            )
        };
        for name in ORDERS {
            let done = generate(&guest("guest-one-page"), name, &order(name));
            assert_eq!(done.code, 0, "{name}: {}", done.stdout);
            let report = done.json();
            assert_eq!(report["outcome"], "released", "{name}");
            assert!(report["ai"]["output_tokens"].as_u64() > Some(0), "{name}: {}", report["ai"]);
            let current = report["release"]["current"].as_str().unwrap().to_owned();
            let page = std::fs::read_to_string(format!("{current}/index.html")).unwrap();
            assert!(page.contains("<h1>"), "{name}: {page}");
        }
        // The real template asks for more than this model can do. A failure must be complete.
        let done = generate(&template("local-business"), "large", &order(ORDERS[1]));
        match done.code {
            0 => assert_eq!(done.json()["outcome"], "released"),
            _ => {
                let failure = done.failure();
                assert_eq!((done.code, &failure["kind"]), (5, &json!("ai")), "{failure}");
                let kind = failure["ai"]["kind"].as_str().unwrap();
                assert!(
                    ["truncated", "context_too_long", "schema_mismatch", "malformed"]
                        .contains(&kind),
                    "{failure}"
                );
                assert!(!failure["ai"]["attempts"].as_array().unwrap().is_empty(), "{failure}");
            }
        }
        drop(model);
    });
    orders.await.unwrap();
}
