//! Every fault between the host and a model, over real sockets, for every provider, streamed
//! and whole: the error kind, the message, the limit that ended the call, and whether it is
//! retried.

use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, Instant};

use futures::future::join_all;
use serde_json::Value;
use sitewright_ai::{AiConfig, CallContext, ChatMessage, Format, Gateway, Purpose, Request, Role};
use sitewright_http::Client;
use sitewright_model::ai::AiErrorKind::{self, *};
use sitewright_model::ai::{AttemptOutcome, CallId, Limit};
use sitewright_tests::chat_server::ClosedPort;
use sitewright_tests::fault_server::wire::TEXT;
use sitewright_tests::fault_server::{Fault, FaultServer, Form, REQUEST_ID, Shape};
use sitewright_tests::{Done, Workbench};

/// The planted key.
const KEY: &str = "planted-5e77b0-key";

/// Attempts that the configuration allows. Their number shows whether a fault was retried.
const ATTEMPTS: usize = 2;

/// Maximum delay after a limit until the call has ended, on a busy machine.
const SLACK: Duration = Duration::from_secs(20);

/// The HTTP status in the record.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Status {
    /// No status, because there was no answer.
    None,
    /// This status, with the id of the request.
    Is(u16),
    /// This status or none: a reset may arrive before the bytes that were sent ahead of it.
    Perhaps(u16),
}

/// A fault, and the error that it must become.
#[derive(Debug, Clone, Copy)]
struct Row {
    fault: Fault,
    kind: AiErrorKind,
    /// The limit that ends the call, and its value in milliseconds.
    limit: Option<(Limit, u64)>,
    retryable: bool,
    /// A part of the message.
    says: &'static str,
    status: Status,
}

/// The expected error of each fault in this form. Limits are at least a second where bytes must
/// arrive before, because sending the request can take that long on a busy machine.
fn rows(shape: Shape, form: Form) -> Vec<Row> {
    let row =
        |fault, kind, says, status| Row { fault, kind, limit: None, retryable: true, says, status };
    let limited = |fault, limit, ms, says, status| Row {
        limit: Some((limit, ms)),
        ..row(fault, Timeout, says, status)
    };
    // A truncated line of NDJSON is a stream that ended too early, even if it is the only line.
    let one_line = shape == Shape::Ollama && form == Form::Whole;
    let mut rows = vec![
        row(Fault::ResetAtOnce, Connection, "the connection was lost", Status::None),
        row(Fault::NoBytes, Connection, "the connection was lost", Status::None),
        row(Fault::GarbageForHttp, Connection, "the connection was lost", Status::None),
        row(Fault::GarbageForBody, Protocol, "its answer is not JSON", Status::Is(200)),
        row(
            Fault::ResetInBody,
            Connection,
            "check base_url of ai.providers.faulty",
            Status::Perhaps(200),
        ),
        row(Fault::EndInBody, Connection, "its answer ended in the middle, after", Status::Is(200)),
        row(
            Fault::MalformedChunk,
            Connection,
            "its answer ended in the middle, after",
            Status::Is(200),
        ),
        limited(
            Fault::Silence,
            Limit::FirstByte,
            1_000,
            "within 1000 ms of the connection (first_byte_ms)",
            Status::None,
        ),
        limited(
            Fault::HeadThenSilence,
            Limit::FirstByte,
            1_500,
            "within 1500 ms of the connection (first_byte_ms)",
            Status::Is(200),
        ),
        limited(Fault::Stall, Limit::Idle, 1_000, "nothing for 1000 ms", Status::Is(200)),
        limited(
            Fault::NeverEnds,
            Limit::Call,
            4_000,
            "no whole answer within its limit of 4000 ms (call_ms)",
            Status::Is(200),
        ),
        row(Fault::Html, Protocol, "an HTML page (Login)", Status::Is(200)),
        row(Fault::BadGateway, Overloaded, "an HTML page (502 Bad Gateway)", Status::Is(502)),
        match (form, one_line) {
            (Form::Streamed, _) => {
                row(Fault::CutJson, Protocol, "a part of its stream", Status::Is(200))
            }
            (Form::Whole, false) => {
                row(Fault::CutJson, Protocol, "JSON that ends early", Status::Is(200))
            }
            (Form::Whole, true) => row(
                Fault::CutJson,
                Truncated,
                "its stream ended before the reply began",
                Status::Is(200),
            ),
        },
        Row {
            retryable: false,
            ..row(
                Fault::Redirect,
                Protocol,
                "redirects to http://127.0.0.1:9/elsewhere, and redirects are not followed",
                Status::Is(307),
            )
        },
        row(
            Fault::TooLarge,
            Protocol,
            if one_line { "far larger than any token" } else { "its answer is larger than 4 MiB" },
            Status::Is(200),
        ),
        row(Fault::ErrorInside, Overloaded, "is overloaded or failing", Status::Is(200)),
    ];
    if form == Form::Streamed {
        rows.push(row(
            Fault::NoFinalMarker,
            Truncated,
            "without its final marker, after",
            Status::Is(200),
        ));
    }
    rows
}

fn client() -> Client {
    sitewright_http::client().unwrap()
}

fn gateway(client: &Client, provider: &str) -> Gateway {
    let config = format!(
        "{provider}[retry]\nattempts = {ATTEMPTS}\nbase_ms = 1\nmax_ms = \
         2\n[routes.copywriting]\ntry = [{{ provider = \"faulty\", model = \"some-model\" }}]\n"
    );
    let config: AiConfig = toml::from_str(&config).unwrap();
    let env = |name: &str| (name == "FAULT_KEY").then(|| OsString::from(KEY));
    Gateway::new(&config, Path::new("."), client.clone(), &env).unwrap()
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

fn call() -> CallContext {
    CallContext::new(CallId::nth(1), tokio::time::Instant::now() + Duration::from_secs(300))
}

/// Settings with which only this limit can be exceeded.
fn only(limit: Option<(Limit, u64)>) -> String {
    let all = [Limit::Connect, Limit::FirstByte, Limit::Idle, Limit::Call];
    let most = |one: Limit| limit.filter(|(limit, _)| *limit == one).map_or(60_000, |(_, ms)| ms);
    all.map(|one| format!("{} = {}\n", one.key(), most(one))).concat()
}

/// Calls a server with this fault and compares the error with the row.
async fn check(client: &Client, shape: Shape, form: Form, row: Row) {
    let server = FaultServer::start(row.fault.script(shape, form)).await;
    let origin = format!("http://127.0.0.1:{}", server.port());
    let gateway = gateway(client, &shape.provider("faulty", &origin, &only(row.limit)));
    let name = format!("{shape:?}, {form:?}: {:?}", row.fault);
    check_error(&name, row, &gateway).await;
    let asked = if row.retryable { ATTEMPTS } else { 1 };
    assert_eq!(server.requests(), asked, "{name}: the retry decision, as the server sees it");
}

/// Makes the call and compares its error with the row.
async fn check_error(name: &str, row: Row, gateway: &Gateway) {
    let begin = Instant::now();
    let error = match gateway.complete(call(), request()).await {
        Ok(done) => panic!("{name}: {done:?}"),
        Err(error) => error,
    };
    let elapsed = begin.elapsed();
    assert_eq!((error.kind, error.retryable), (row.kind, row.retryable), "{name}: {error:?}");
    let message = error.message.as_str();
    for text in [row.says, "the provider `faulty`", "route `copywriting`", "model `some-model`"] {
        assert!(message.contains(text), "{name}: {message:?} does not say {text:?}");
    }
    let shown = format!("{error:?} {error} {}", serde_json::to_string(&error).unwrap());
    assert!(!shown.contains(KEY), "{name}: the key is shown: {shown}");

    let asked = if row.retryable { ATTEMPTS } else { 1 };
    assert_eq!(error.attempts.len(), asked, "{name}: {error:?}");
    for attempt in &error.attempts {
        assert_eq!(attempt.outcome, AttemptOutcome::Failed(row.kind), "{name}");
        assert!(
            attempt.message.as_ref().is_some_and(|message| message.as_str().len() > 60),
            "{name}"
        );
        assert!(
            attempt.started_ms > 0 && attempt.provider == "faulty" && attempt.model == "some-model"
        );
        assert_eq!(attempt.limit, row.limit.map(|(limit, _)| limit), "{name}: {attempt:?}");
        let id = attempt.request_id.as_deref();
        match row.status {
            Status::None => assert_eq!((attempt.status, id), (None, None), "{name}"),
            Status::Perhaps(_) if attempt.status.is_none() => assert_eq!(id, None, "{name}"),
            Status::Is(status) | Status::Perhaps(status) => {
                assert_eq!((attempt.status, id), (Some(status), Some(REQUEST_ID)), "{name}");
            }
        }
        if let Some((_, ms)) = row.limit {
            assert!(attempt.duration_ms >= ms, "{name}: {attempt:?}");
            let most = Duration::from_millis(ms) + SLACK;
            assert!(Duration::from_millis(attempt.duration_ms) < most, "{name}: {attempt:?}");
        }
    }
    let last = error.attempts.last().unwrap();
    assert_eq!(error.http.as_ref().map(|http| http.status), last.status, "{name}");
    let most = row.limit.map_or(0, |(_, ms)| ms);
    let most = (Duration::from_millis(most) + SLACK) * u32::try_from(ATTEMPTS).unwrap();
    assert!(row.limit.is_none() || elapsed < most, "{name}: {elapsed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a1_e1_e10_every_fault_of_the_wire_is_told_whole_by_every_provider() {
    let client = client();
    // Faults with limits of seconds run alone, so that no other fault delays them.
    let mut large = Vec::new();
    let mut others = Vec::new();
    for shape in Shape::ALL {
        for form in Form::ALL {
            for row in rows(shape, form) {
                let checks = if row.fault == Fault::TooLarge { &mut large } else { &mut others };
                checks.push(check(&client, shape, form, row));
            }
        }
    }
    join_all(others).await;
    for check in large {
        check.await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_answer_is_put_together_whatever_comes_between_its_bytes() {
    let client = client();
    let mut checks = Vec::new();
    for shape in Shape::ALL {
        for (fault, form) in [
            (Fault::None, Form::Streamed),
            (Fault::None, Form::Whole),
            (Fault::Dribble, Form::Streamed),
            (Fault::Dribble, Form::Whole),
            (Fault::KeepAlivesAndUnknownEvents, Form::Streamed),
        ] {
            let client = &client;
            checks.push(async move {
                let server = FaultServer::start(fault.script(shape, form)).await;
                let origin = format!("http://127.0.0.1:{}", server.port());
                let gateway = gateway(client, &shape.provider("faulty", &origin, &only(None)));
                let name = format!("{shape:?}, {form:?}: {fault:?}");
                let done = gateway.complete(call(), request()).await;
                let done = done.unwrap_or_else(|error| panic!("{name}: {error:?}"));
                assert_eq!(done.completion.content, TEXT, "{name}");
                let usage = done.completion.usage;
                assert_eq!(
                    (usage.input_tokens, usage.output_tokens),
                    (Some(11), Some(7)),
                    "{name}"
                );
                let attempt = &done.attempts[0];
                assert_eq!(
                    (attempt.status, attempt.request_id.as_deref()),
                    (Some(200), Some(REQUEST_ID))
                );
                assert_eq!((server.requests(), done.attempts.len()), (1, 1), "{name}");
            });
        }
    }
    join_all(checks).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a1_e10_what_goes_wrong_before_a_request_is_told_whole_by_every_provider() {
    let client = client();
    let mut checks = Vec::new();
    for shape in Shape::ALL {
        let client = &client;
        checks.push(async move {
            let row = |says| Row {
                fault: Fault::None,
                kind: Connection,
                limit: None,
                retryable: true,
                says,
                status: Status::None,
            };
            let closed = ClosedPort::take();
            let plain = FaultServer::start(Fault::Html.script(shape, Form::Whole)).await;
            let alert = FaultServer::start(Fault::TlsAlert.script(shape, Form::Whole)).await;
            let silent = FaultServer::start(Fault::Silence.script(shape, Form::Whole)).await;
            let https = |server: &FaultServer| format!("https://127.0.0.1:{}", server.port());
            let slow = Row {
                kind: Timeout,
                limit: Some((Limit::Connect, 200)),
                ..row("no connection was made within 200 ms (connect_ms)")
            };
            let faults = [
                (
                    "refused",
                    closed.origin(),
                    row("the connection was refused: nothing listens there"),
                ),
                (
                    "an unknown name",
                    "http://models.example.invalid".to_owned(),
                    row("its host name is not known"),
                ),
                ("plain text for TLS", https(&plain), row("TLS failed")),
                ("a TLS alert", https(&alert), row("TLS failed")),
                ("TLS that is never answered", https(&silent), slow),
            ];
            for (name, origin, row) in faults {
                let gateway = gateway(client, &shape.provider("faulty", &origin, &only(row.limit)));
                check_error(&format!("{shape:?}: {name}"), row, &gateway).await;
            }
        });
    }
    join_all(checks).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c8_whatever_a_provider_does_the_orders_deadline_ends_it() {
    let client = client();
    for shape in Shape::ALL {
        for fault in [Fault::Silence, Fault::HeadThenSilence, Fault::Stall, Fault::NeverEnds] {
            let server = FaultServer::start(fault.script(shape, Form::Streamed)).await;
            let origin = format!("http://127.0.0.1:{}", server.port());
            let gateway = gateway(&client, &shape.provider("faulty", &origin, &only(None)));
            let begin = Instant::now();
            // The request arrives before it.
            let soon = tokio::time::Instant::now() + Duration::from_millis(500);
            let error = gateway
                .complete(CallContext::new(CallId::nth(1), soon), request())
                .await
                .unwrap_err();
            assert_eq!(error.kind, Cancelled, "{shape:?}: {fault:?}: {error:?}");
            assert_eq!(error.attempts[0].limit, Some(Limit::Deadline), "{shape:?}: {fault:?}");
            assert_eq!((error.attempts.len(), server.requests()), (1, 1), "{shape:?}: {fault:?}");
            assert!(begin.elapsed() < SLACK, "{shape:?}: {fault:?}");
            assert!(
                error.message.as_str().contains("the order's deadline passed after"),
                "{error}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a1_a8_the_binary_tells_a_call_that_failed_as_the_library_does() {
    let picked = [
        (Shape::Openai, Form::Streamed, Fault::NoFinalMarker),
        (Shape::Anthropic, Form::Streamed, Fault::Stall),
        (Shape::Gemini, Form::Whole, Fault::BadGateway),
        (Shape::Ollama, Form::Streamed, Fault::ResetAtOnce),
        (Shape::Cloudflare, Form::Whole, Fault::Redirect),
    ];
    for (shape, form, fault) in picked {
        let row = rows(shape, form).into_iter().find(|row| row.fault == fault).unwrap();
        let server = FaultServer::start(fault.script(shape, form)).await;
        let origin = format!("http://127.0.0.1:{}", server.port());
        let provider = shape
            .provider("faulty", &origin, &only(row.limit))
            .replace("[providers.", "[ai.providers.");
        let bench = Workbench::configured(&format!(
            "{provider}[ai.retry]\nattempts = {ATTEMPTS}\nbase_ms = 1\nmax_ms = \
             2\n[ai.routes.default]\ntry = [{{ provider = \"faulty\", model = \"some-model\" }}]\n"
        ));
        let done = tokio::task::spawn_blocking(move || {
            let arguments = [
                "--json",
                "--log",
                "trace",
                "ai",
                "call",
                "--purpose",
                "copywriting",
                "--prompt",
                "Write.",
            ];
            Done::from(bench.command(&arguments).env("FAULT_KEY", KEY).output().unwrap())
        });
        let done = done.await.unwrap();
        let name = format!("{shape:?}, {form:?}: {fault:?}");
        assert_eq!(done.code, 5, "{name}: {} {}", done.stdout, done.stderr);
        assert!(
            !done.stdout.contains(KEY) && !done.stderr.contains(KEY),
            "{name}: the key is shown"
        );
        let report = done.json();
        let error = &report["error"];
        assert_eq!(
            (&report["outcome"], &error["kind"]),
            (&"failed".into(), &row.kind.as_str().into()),
            "{name}"
        );
        assert_eq!(error["retryable"], row.retryable, "{name}");
        assert!(error["message"].as_str().unwrap().contains(row.says), "{name}: {error}");
        let attempts = error["attempts"].as_array().unwrap();
        assert_eq!(attempts.len(), if row.retryable { ATTEMPTS } else { 1 }, "{name}: {error}");
        assert_eq!(attempts.len(), server.requests(), "{name}");
        for attempt in attempts {
            let limit =
                row.limit.map_or(Value::Null, |(limit, _)| serde_json::to_value(limit).unwrap());
            assert_eq!(attempt["limit"], limit, "{name}");
            assert!(!attempt["message"].as_str().unwrap().is_empty(), "{name}");
            if let Status::Is(status) = row.status {
                assert_eq!(
                    (&attempt["status"], &attempt["request_id"]),
                    (&status.into(), &REQUEST_ID.into())
                );
            }
        }
    }
}
