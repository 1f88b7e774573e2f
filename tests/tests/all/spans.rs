//! The log spans of an AI attempt, named after OpenTelemetry's conventions for generative AI.

use serde_json::json;
use sitewright_tests::chat_server::{Answer, ChatServer, TOKENS};
use sitewright_tests::{ANY_ANSWER, Done, Workbench, faulty, guest};

/// Runs one order whose first call fails and whose second call is answered.
fn run(log: &str) -> (Done, ChatServer) {
    let first = std::sync::atomic::AtomicBool::new(true);
    let server = ChatServer::start(ANY_ANSWER, move |_| {
        match first.swap(false, std::sync::atomic::Ordering::SeqCst) {
            true => Answer::Http { status: 503, headers: &[], body: "{}".to_owned() },
            false => {
                Answer::Reply { content: "secret words of a customer".to_owned(), finish: "stop" }
            }
        }
    });
    let bench = Workbench::configured(&format!(
        "[ai.retry]\nattempts = 2\nbase_ms = 1\n[ai.providers.local]\nkind = \"openai\"\nbase_url \
         = \"{}\"\n[ai.routes.default]\ntry = [{{ provider = \"local\", model = \"small-model\" \
         }}]\n",
        server.base_url()
    ));
    let wish = json!({ "prompt": "more secret words", "then_fail": true });
    let order =
        bench.write("order.json", faulty("ai-error", wish).to_string()).display().to_string();
    let template = guest("guest-faulty").display().to_string();
    let done = bench.run(&[
        "--json",
        "--log",
        log,
        "generate",
        "--template",
        &template,
        "--order",
        &order,
    ]);
    (done, server)
}

#[test]
fn b8_e11_each_attempt_is_a_span_with_the_conventions_names_under_its_order() {
    let (done, server) = run("info");
    let failure = done.failure();
    let line = |says: &str| {
        let mut lines = done.stderr.lines().filter(|line| line.contains(says));
        let (line, more) = (lines.next(), lines.next());
        assert!(line.is_some() && more.is_none(), "{says}: {}", done.stderr);
        line.unwrap()
    };
    let port = server.base_url().trim_end_matches("/v1").rsplit_once(':').unwrap().1.to_owned();
    let text = |key: &str| failure[key].as_str().unwrap();
    let both = [
        format!("order=\"{}\"", text("order")),
        format!("attempt={}", text("attempt")),
        format!("trace_id=\"{}\"", text("trace_id")),
        ":chat{otel.name=\"chat small-model\" otel.kind=\"client\"".to_owned(),
        "gen_ai.operation.name=\"chat\"".to_owned(),
        "gen_ai.provider.name=\"openai\"".to_owned(),
        "gen_ai.request.model=\"small-model\"".to_owned(),
        "server.address=\"127.0.0.1\"".to_owned(),
        format!("server.port={port}"),
    ];
    let failed = [
        "error.type=\"overloaded\"".to_owned(),
        "status=503".to_owned(),
        "request_id=\"req-77\"".to_owned(),
    ];
    let good = [
        "gen_ai.response.model=\"small-model\"".to_owned(),
        format!("gen_ai.usage.input_tokens={}", TOKENS.0),
        format!("gen_ai.usage.output_tokens={}", TOKENS.1),
        "gen_ai.response.finish_reasons=\"[\\\"stop\\\"]\"".to_owned(),
    ];
    for (event, own, others) in [
        ("an AI attempt failed", &failed[..], &good[..]),
        ("an AI attempt succeeded", &good, &failed),
    ] {
        let line = line(event);
        for says in both.iter().chain(own) {
            assert!(line.contains(says), "{event}: {says}: {line}");
        }
        for says in others {
            assert!(!line.contains(says), "{event}: {says}: {line}");
        }
    }
    // Texts of customers and models are in no span and no event.
    assert!(!done.stderr.contains("secret words"), "{}", done.stderr);
}
