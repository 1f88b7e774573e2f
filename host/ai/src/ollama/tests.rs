//! The rows of what `/api/chat` answers, as bytes: no wire, no clock.

use serde_json::{Value, json};

use super::super::config::OllamaConfig;
use super::super::failure::AttemptFailure;
use super::super::hint::{self, Location};
use super::super::request::Format;
use super::super::testing::{
    Row, Streamed, adapter, any_bytes, ask, close_json, plain_schema, provider, schema, sent,
    sent_with, tokens,
};
use super::Ollama;
use sitewright_model::ai::AiErrorKind::{self, *};
use sitewright_model::ai::{FinishReason, Usage};

fn ollama(config: &str) -> Ollama {
    adapter(config, |config: &OllamaConfig, key| Ollama::new(config, key))
}

#[test]
fn a2_every_error_row_has_its_kind_and_keeps_what_was_said() {
    let at = provider(ollama(""));
    let row = |status, said: &str, kind: AiErrorKind, says| Row {
        name: says,
        status,
        headers: &[],
        body: json!({"error": said}).to_string(),
        kind,
        retryable: kind.retryable(),
        wait_ms: None,
        id: None,
        says,
    };
    let rows = [
        row(404, "model 'm' not found", NotFound, "`ollama pull m`"),
        row(404, "model \"m\" not found, try pulling it first", NotFound, "`ollama pull m`"),
        row(400, "invalid options: temperature", InvalidRequest, "invalid options"),
        row(400, "the input length exceeds the context length", ContextTooLong, "input length"),
        row(401, "unauthorized", Auth, "api_key_env"),
        row(402, "this model requires a subscription", QuotaExhausted, "subscription"),
        row(429, "you have reached your hourly usage limit", QuotaExhausted, "hourly"),
        row(429, "too many requests", RateLimited, "too many"),
        row(
            500,
            "an error was encountered while running the model",
            Overloaded,
            "running the model",
        ),
        row(500, "llama runner process has terminated: exit status 2", Overloaded, "runner"),
        row(502, "cloud model cannot be reached", Overloaded, "cloud model"),
        row(
            503,
            "server busy, please try again. maximum pending requests exceeded",
            Overloaded,
            "server busy",
        ),
        Row {
            retryable: false,
            ..row(
                500,
                "model requires more system memory (5.0 GiB) than is available (3.9 GiB)",
                Overloaded,
                "5.0 GiB",
            )
        },
        Row { body: "404 page not found".to_owned(), ..row(404, "", NotFound, "page not found") },
        Row { body: String::new(), ..row(500, "", Overloaded, "try again") },
    ];
    for row in rows {
        row.check(&at);
    }
    let location = Location { route: "default", provider_name: "local", model: "m", provider: &at };
    let refused =
        hint::message(&location, &AttemptFailure::new(Connection, "the connection was refused"));
    assert!(refused.as_str().contains("`ollama serve`"), "{refused}");
}

fn line(content: &str) -> Value {
    json!({"model": "m:8b", "created_at": "2026-11-23T00:00:00Z", "message": {"role": "assistant", "content": content, "thinking": "hm"}, "done": false})
}

fn last(reason: Option<&str>) -> Value {
    json!({"model": "m:8b", "message": {"role": "assistant", "content": ""}, "done": true, "done_reason": reason,
        "total_duration": 5, "prompt_eval_count": 11, "eval_count": 7})
}

#[test]
fn e4_e7_a_stream_means_the_same_however_it_is_cut() {
    let at = ollama("");
    let row = |name, lines: &[Value], becomes| Streamed {
        name,
        body: lines.iter().map(|line| format!("{line}\n")).collect(),
        becomes,
    };
    let whole = |content| Ok((content, FinishReason::Stop, tokens(11, 7)));
    let error = || json!({"error": "an error was encountered while running the model"});
    let mut at_once = last(Some("stop"));
    at_once["message"]["content"] = json!("all at once");
    for row in [
        row("lines", &[line("Grü"), line("ße 🌍"), last(Some("stop"))], whole("Grüße 🌍")),
        row("an older server", &[line("hello"), last(None)], whole("hello")),
        row("one line", &[at_once], whole("all at once")),
        row(
            "no counts",
            &[line("x"), json!({"done": true})],
            Ok(("x", FinishReason::Stop, Usage::default())),
        ),
        row(
            "a new reason",
            &[line("x"), last(Some("new"))],
            Ok(("x", FinishReason::Other, tokens(11, 7))),
        ),
        row("cut", &[line("half"), last(Some("length"))], Err(Truncated)),
        row("thinking used the budget", &[line(""), last(Some("length"))], Err(Truncated)),
        row("empty", &[last(Some("stop"))], Err(Empty)),
        row("only loaded", &[last(Some("load"))], Err(Empty)),
        row("error in the middle", &[line("so far"), error()], Err(Overloaded)),
        row("error first", &[json!({"error": "model 'm' not found"})], Err(NotFound)),
        row("never done", &[line("so far")], Err(Truncated)),
        row("of another kind", &[json!({"hello": "world"})], Err(Protocol)),
        Streamed {
            name: "no JSON",
            body: format!("{}\n{{oops\n", line("x")),
            becomes: Err(Protocol),
        },
        Streamed {
            name: "half a line",
            body: format!("{}\n{{\"mod", line("x")),
            becomes: Err(Truncated),
        },
        Streamed {
            name: "no line end",
            body: format!("{}\r\n{}", line("x"), last(Some("stop"))),
            becomes: whole("x"),
        },
    ] {
        row.check(&at);
    }
    let failure =
        super::super::testing::whole(&at, 200, &[], "<html><title>Hello</title>").unwrap_err();
    assert_eq!(failure.kind, Protocol);
}

#[test]
fn e8_the_request_has_what_the_api_wants() {
    let (url, headers, body) = sent(&ollama(""), &ask(Format::Text));
    assert_eq!(url, "http://127.0.0.1:11434/api/chat");
    assert!(headers["authorization"].is_sensitive());
    let expected = json!({
        "model": "m", "stream": true,
        "messages": [
            {"role": "system", "content": "You write."},
            {"role": "user", "content": "Write."},
            {"role": "assistant", "content": "What?"},
            {"role": "user", "content": "Anything."}
        ],
        "options": {"num_predict": 100, "temperature": 0.5, "seed": 7, "stop": ["END"]}
    });
    assert_eq!(body, expected);
    let (_, _, body) = sent_with(&ollama("context_tokens = 16384"), &ask(Format::Json), None, None);
    assert_eq!((&body["format"], &body["options"]["num_ctx"]), (&json!("json"), &json!(16384)));
    let wanted = plain_schema();
    let (_, _, body) = sent(&ollama(""), &ask(schema(&wanted)));
    assert_eq!(body["format"], wanted);
    assert!(
        body["messages"][0]["content"]
            .as_str()
            .unwrap()
            .starts_with("You write.\n\nAnswer with one JSON")
    );
    for base in ["http://h:1", "http://h:1/", "http://h:1/api", "http://h:1/api/chat"] {
        let (url, ..) = sent(&ollama(&format!("base_url = \"{base}\"")), &ask(Format::Text));
        assert_eq!(url, "http://h:1/api/chat", "{base}");
    }
}

proptest::proptest! {
    #[test]
    fn any_bytes_have_a_meaning(status in 100_u16..600, body: Vec<u8>, json in close_json()) {
        let at = ollama("");
        any_bytes(&at, status, &body);
        any_bytes(&at, 200, json.as_bytes());
        any_bytes(&at, 200, format!("{json}\n{json}").as_bytes());
        any_bytes(&at, status, json.as_bytes());
    }
}
