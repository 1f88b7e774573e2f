//! The rows of what the Messages API answers, as bytes: no wire, no clock.

use serde_json::{Value, json};

use super::super::config::AnthropicConfig;
use super::super::request::{ChatMessage, Format, Role};
use super::super::testing::{
    Headers, KEY, Row, Streamed, adapter, any_bytes, ask, close_json, meaning, plain_schema,
    provider, schema, sent, sent_with, tokens, whole,
};
use super::Anthropic;
use sitewright_model::ai::AiErrorKind::{self, *};
use sitewright_model::ai::{FinishReason, Usage};

fn anthropic(config: &str) -> Anthropic {
    adapter(config, |config: &AnthropicConfig, key| Anthropic::new(config, key))
}

fn error(kind: &str, message: &str) -> String {
    json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_body"})
        .to_string()
}

#[test]
fn a2_every_error_row_has_its_kind_and_keeps_what_was_said() {
    let at = provider(anthropic(""));
    let id: Headers<'_> = &[("request-id", "req_1")];
    let row = |name, status, body: String, kind: AiErrorKind, says| Row {
        name,
        status,
        headers: id,
        body,
        kind,
        retryable: kind.retryable(),
        wait_ms: None,
        id: Some("req_1"),
        says,
    };
    let invalid = |message| error("invalid_request_error", message);
    let rows = [
        row(
            "bad key",
            401,
            error("authentication_error", "invalid x-api-key"),
            Auth,
            "api_key_env",
        ),
        row("not allowed", 403, error("permission_error", "no access"), Permission, "no access"),
        row(
            "no credit, 402",
            402,
            error("billing_error", "pay first"),
            QuotaExhausted,
            "add credit",
        ),
        row(
            "no credit, 400",
            400,
            invalid("Your credit balance is too low to access the API"),
            QuotaExhausted,
            "balance",
        ),
        row(
            "spend limit",
            400,
            invalid("You have reached your specified API usage limits."),
            QuotaExhausted,
            "usage limits",
        ),
        row("unknown model", 404, error("not_found_error", "model: m"), NotFound, "model: m"),
        row(
            "prompt too long",
            400,
            invalid("prompt is too long: 210000 tokens > 200000 maximum"),
            ContextTooLong,
            "larger window",
        ),
        row(
            "prompt and reply too long",
            400,
            invalid("input length and `max_tokens` exceed context limit: 1 + 2 > 2"),
            ContextTooLong,
            "exceed",
        ),
        row(
            "body too large",
            413,
            error("request_too_large", "Request exceeds the maximum size"),
            ContextTooLong,
            "shorten",
        ),
        row(
            "body too large, no JSON",
            413,
            "<html><title>413 Payload Too Large</title>".to_owned(),
            ContextTooLong,
            "413 Payload",
        ),
        row(
            "bad parameter",
            400,
            invalid("temperature: must be at most 1"),
            InvalidRequest,
            "temperature",
        ),
        row(
            "filtered",
            400,
            invalid("Output blocked by content filtering policy"),
            ContentFiltered,
            "filtering",
        ),
        row(
            "rate limit",
            429,
            error("rate_limit_error", "too many input tokens"),
            RateLimited,
            "try again",
        ),
        row(
            "server error",
            500,
            error("api_error", "Internal server error"),
            Overloaded,
            "try again",
        ),
        row(
            "time-out",
            504,
            error("timeout_error", "Request timed out"),
            Timeout,
            "name a faster model",
        ),
        row(
            "time-out under a general name",
            504,
            error("api_error", "upstream timed out"),
            Timeout,
            "timed out",
        ),
        row(
            "overloaded",
            529,
            error("overloaded_error", "Overloaded"),
            Overloaded,
            "another provider",
        ),
        row("new type", 418, error("something_new", "hm"), InvalidRequest, "hm"),
        row("no body", 529, String::new(), Overloaded, "another provider"),
        row("HTML", 502, "<title>Bad gateway</title>".to_owned(), Overloaded, "Bad gateway"),
        row(
            "error in a 200",
            200,
            error("overloaded_error", "Overloaded"),
            Overloaded,
            "Overloaded",
        ),
        Row {
            id: Some("req_body"),
            headers: &[],
            ..row("id in the body", 529, error("overloaded_error", "x"), Overloaded, "x")
        },
        Row {
            headers: &[("request-id", "req_1"), ("retry-after", "7")],
            wait_ms: Some(7000),
            ..row("wait", 429, error("rate_limit_error", "x"), RateLimited, "7.0 s")
        },
        Row {
            headers: &[
                ("request-id", "req_1"),
                ("anthropic-ratelimit-requests-remaining", "3"),
                ("anthropic-ratelimit-requests-reset", "2027-01-15T08:10:00Z"),
                ("anthropic-ratelimit-tokens-remaining", "0"),
                ("anthropic-ratelimit-tokens-reset", "2027-01-15T08:00:30Z"),
            ],
            wait_ms: Some(30_000),
            ..row(
                "wait by the reset of what is used up",
                429,
                error("rate_limit_error", "x"),
                RateLimited,
                "30.0 s",
            )
        },
        Row {
            headers: &[("request-id", "req_1"), ("x-should-retry", "false")],
            retryable: false,
            ..row("it says not to", 429, error("rate_limit_error", "x"), RateLimited, "x")
        },
        Row {
            headers: &[("request-id", "req_1"), ("x-should-retry", "true")],
            retryable: true,
            ..row("it says to", 400, invalid("x"), InvalidRequest, "x")
        },
    ];
    for row in rows {
        row.check(&at);
    }
}

/// Usage of which four tokens came from the cache.
fn cached(input: u64, output: u64) -> Usage {
    Usage { cache_read_tokens: Some(4), ..tokens(input, output) }
}

fn message(content: Value, stop_reason: Value) -> String {
    json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m-2026", "content": content,
        "stop_reason": stop_reason, "newer": {"field": 1},
        "usage": {"input_tokens": 11, "cache_read_input_tokens": 4, "output_tokens": 7, "newer": 1}
    })
    .to_string()
}

#[test]
fn e4_e7_a_whole_answer_is_a_reply_or_says_why_not() {
    let at = anthropic("");
    let text = |text: &str| json!([{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": text}, {"type": "new"}]);
    let tool = json!([{"type": "text", "text": "Here:"}, {"type": "tool_use", "id": "t", "name": "reply", "input": {"b": 1, "a": [2]}}]);
    let good = [
        (text("hello"), "end_turn", "hello", FinishReason::Stop),
        (text("hello"), "stop_sequence", "hello", FinishReason::Stop),
        (text("hello"), "something_new", "hello", FinishReason::Other),
        (tool.clone(), "tool_use", r#"{"b":1,"a":[2]}"#, FinishReason::Stop),
    ];
    for (content, stop, expected, finish) in good {
        let headers: Headers<'_> = &[("request-id", "req_1"), ("retry-after", "9")];
        let reply = whole(&at, 200, headers, message(content, json!(stop))).unwrap();
        assert_eq!((reply.content.as_str(), reply.finish_reason), (expected, finish), "{stop}");
        assert_eq!((reply.usage, reply.model.as_deref()), (cached(15, 7), Some("m-2026")));
        assert_eq!(
            (reply.http.request_id.as_deref(), reply.http.retry_after_ms),
            (Some("req_1"), None)
        );
    }
    let bad = [
        (message(text("half"), json!("max_tokens")), Truncated),
        (message(text("half"), json!("pause_turn")), Truncated),
        (message(tool, json!("max_tokens")), Truncated),
        (message(text(""), json!("model_context_window_exceeded")), Truncated),
        (message(text("no"), json!("refusal")), ContentFiltered),
        (message(text(" "), json!("end_turn")), Empty),
        (message(json!([]), json!("end_turn")), Empty),
        ("{\"type\":\"message\",\"content\":[{\"type\":\"te".to_owned(), Protocol),
        ("<html>".to_owned(), Protocol),
        ("{}".to_owned(), Protocol),
        (String::new(), Empty),
    ];
    for (body, kind) in bad {
        let failure = whole(&at, 200, &[], &body).unwrap_err();
        assert_eq!(failure.kind, kind, "{body}");
    }
    let refused = json!({
        "type": "message", "content": [], "stop_reason": "refusal",
        "stop_details": {"type": "refusal", "category": "cyber", "explanation": "not this"}
    });
    let refused = whole(&at, 200, &[], refused.to_string()).unwrap_err();
    assert_eq!(refused.detail, "the model refused: not this");
}

fn sse(events: &[(&str, Value)]) -> String {
    events
        .iter()
        .map(|(event, data)| {
            let mut data = data.clone();
            data["type"] = json!(event);
            format!("event: {event}\ndata: {data}\n\n")
        })
        .collect()
}

#[test]
fn a_stream_means_the_same_however_it_is_cut() {
    let at = anthropic("");
    let ping = || ("ping", json!({}));
    let start = || {
        let usage = json!({"input_tokens": 11, "cache_read_input_tokens": 4, "output_tokens": 1});
        (
            "message_start",
            json!({"message": {"id": "msg_1", "model": "m-2026", "content": [], "usage": usage}}),
        )
    };
    let block = |block: Value| ("content_block_start", json!({"index": 0, "content_block": block}));
    let text = |text: &str| {
        ("content_block_delta", json!({"index": 0, "delta": {"type": "text_delta", "text": text}}))
    };
    let input = |json: &str| {
        (
            "content_block_delta",
            json!({"index": 0, "delta": {"type": "input_json_delta", "partial_json": json}}),
        )
    };
    let stop = |reason: &str| {
        ("message_delta", json!({"delta": {"stop_reason": reason}, "usage": {"output_tokens": 7}}))
    };
    let end = || ("message_stop", json!({}));
    let new = || ("something_new", json!({"of": ["any", {"shape": 1}]}));
    let new_delta = || {
        (
            "content_block_delta",
            json!({"index": 0, "delta": {"type": "signature_delta", "signature": "x"}}),
        )
    };
    let overloaded =
        || ("error", json!({"error": {"type": "overloaded_error", "message": "Overloaded"}}));
    let begin = || block(json!({"type": "text", "text": ""}));
    let tool = || block(json!({"type": "tool_use", "id": "t", "name": "reply", "input": {}}));
    let whole = Ok(("Grüße 🌍", FinishReason::Stop, cached(15, 7)));
    let row =
        |name, events: &[(&str, Value)], becomes| Streamed { name, body: sse(events), becomes };
    let rows = [
        row(
            "text, pings and news",
            &[
                ping(),
                start(),
                begin(),
                ping(),
                text("Grü"),
                new(),
                new_delta(),
                text("ße 🌍"),
                stop("end_turn"),
                end(),
            ],
            whole,
        ),
        row(
            "the reply in a tool",
            &[
                start(),
                tool(),
                input(""),
                input("{\"a\": [1,"),
                input(" 2]}"),
                stop("tool_use"),
                end(),
            ],
            Ok(("{\"a\": [1, 2]}", FinishReason::Stop, cached(15, 7))),
        ),
        row("cut", &[start(), begin(), text("half"), stop("max_tokens"), end()], Err(Truncated)),
        row("window", &[start(), stop("model_context_window_exceeded"), end()], Err(Truncated)),
        row(
            "refused",
            &[start(), begin(), text("so"), stop("refusal"), end()],
            Err(ContentFiltered),
        ),
        row("empty", &[start(), stop("end_turn"), end()], Err(Empty)),
        row(
            "error in the middle",
            &[start(), begin(), text("so far"), overloaded()],
            Err(Overloaded),
        ),
        row("error first", &[overloaded()], Err(Overloaded)),
        row(
            "no final marker, but why it stopped",
            &[start(), begin(), text("whole"), stop("end_turn")],
            Ok(("whole", FinishReason::Stop, cached(15, 7))),
        ),
        row(
            "no final marker, cut by the model",
            &[start(), begin(), text("half"), stop("max_tokens")],
            Err(Truncated),
        ),
        row("neither marker nor reason", &[start(), begin(), text("so far")], Err(Truncated)),
        row("nothing but its begin", &[start()], Err(Truncated)),
        Streamed {
            name: "an event that is no JSON",
            body: format!("{}data: {{\"type\": oops\n\n", sse(&[start()])),
            becomes: Err(Protocol),
        },
        Streamed {
            name: "an error of a proxy",
            body: format!(
                "{}data: {{\"error\": {{\"message\": \"slow down\", \"code\": 429}}}}\n\n",
                sse(&[start()])
            ),
            becomes: Err(RateLimited),
        },
        Streamed {
            name: "no blank line at the end",
            body: sse(&[start(), begin(), text("x"), stop("end_turn"), end()])
                .trim_end()
                .to_owned(),
            becomes: Ok(("x", FinishReason::Stop, cached(15, 7))),
        },
    ];
    for row in rows {
        row.check(&at);
    }
    let (_, failure) =
        super::super::testing::streamed(&at, &[], &[sse(&[start(), overloaded()]).as_bytes()]);
    let failure = failure.unwrap_err();
    assert!(failure.retryable && failure.detail == "Overloaded", "{failure:?}");
    assert_eq!(*failure.usage, cached(15, 1), "the tokens are paid for all the same");
    assert!(failure.http.unwrap().body_excerpt.unwrap().contains("overloaded_error"));
}

#[test]
fn the_request_has_what_the_api_wants() {
    let at = anthropic("");
    let (url, headers, body) = sent(&at, &ask(Format::Text));
    assert_eq!(url, "https://api.anthropic.com/v1/messages");
    assert_eq!(
        (&headers["x-api-key"], headers["x-api-key"].is_sensitive()),
        (&KEY.parse().unwrap(), true)
    );
    assert_eq!(headers["anthropic-version"], "2023-06-01");
    let expected = json!({
        "model": "m", "max_tokens": 100, "system": "You write.", "stream": true, "temperature": 0.5,
        "stop_sequences": ["END"],
        "messages": [
            {"role": "user", "content": "Write."},
            {"role": "assistant", "content": "What?"},
            {"role": "user", "content": "Anything."}
        ]
    });
    assert_eq!(body, expected, "a seed is unknown to it");
    let (_, _, body) = sent_with(&at, &ask(Format::Text), None, Some(1.5));
    assert_eq!((&body["max_tokens"], &body["temperature"]), (&json!(8192), &json!(1.0)));
    let mut alone = ask(Format::Text);
    alone.messages = vec![ChatMessage { role: Role::System, content: "Write.".to_owned() }];
    let (_, _, body) = sent(&at, &alone);
    assert_eq!((body.get("system"), &body["messages"][0]["role"]), (None, &json!("user")));
}

#[test]
fn e8_structured_output_is_the_mode_that_the_configuration_names() {
    let wanted = plain_schema();
    let (_, _, body) = sent(&anthropic(""), &ask(schema(&wanted)));
    assert_eq!(
        (&body["tools"][0]["input_schema"], &body["tool_choice"]["name"]),
        (&wanted, &body["tools"][0]["name"])
    );
    assert_eq!(
        (&body["tool_choice"]["type"], &body["system"]),
        (&json!("tool"), &json!("You write."))
    );
    let (_, _, body) = sent(&anthropic("structured_output = \"schema\""), &ask(schema(&wanted)));
    assert_eq!(body["output_config"]["format"], json!({"type": "json_schema", "schema": wanted}));
    assert_eq!(body.get("tools"), None);
    // Words for what no mode takes.
    let list = json!({"type": "array", "items": {"type": "string"}});
    let told = [
        ("structured_output = \"prompt\"", schema(&wanted), wanted.to_string()),
        ("", schema(&list), list.to_string()),
        ("structured_output = \"schema\"", schema(&list), list.to_string()),
        ("", Format::Json, "one JSON value".to_owned()),
    ];
    for (config, format, words) in told {
        let (_, _, body) = sent(&anthropic(config), &ask(format));
        assert!(body["system"].as_str().unwrap().contains(&words), "{body}");
        assert_eq!((body.get("tools"), body.get("output_config")), (None, None), "{config}");
    }
}

#[test]
fn the_base_url_is_taken_in_every_spelling() {
    for (base, url) in [
        ("https://api.anthropic.com", "https://api.anthropic.com/v1/messages"),
        ("https://api.anthropic.com/", "https://api.anthropic.com/v1/messages"),
        ("https://api.anthropic.com/v1/", "https://api.anthropic.com/v1/messages"),
        ("https://api.anthropic.com/v1/messages", "https://api.anthropic.com/v1/messages"),
        ("http://127.0.0.1:1/proxy/v1", "http://127.0.0.1:1/proxy/v1/messages"),
    ] {
        assert_eq!(sent(&anthropic(&format!("base_url = \"{base}\"")), &ask(Format::Text)).0, url);
    }
}

proptest::proptest! {
    #[test]
    fn any_bytes_have_a_meaning(status in 100_u16..600, body: Vec<u8>, json in close_json()) {
        let at = anthropic("");
        any_bytes(&at, status, &body);
        any_bytes(&at, 200, json.as_bytes());
        any_bytes(&at, 200, format!("data: {json}\n\n").as_bytes());
        any_bytes(&at, status, json.as_bytes());
    }
}

proptest::proptest! {
    /// A field that nobody knows changes nothing: neither in an event that is a plain delta, which is
    /// read by name, nor in any other.
    #[test]
    fn a_delta_means_the_same_with_a_field_that_nobody_knows(
        tool: bool,
        deltas in proptest::collection::vec((
            proptest::sample::select(vec!["content_block_delta", "error", "message_delta"]),
            proptest::sample::select(vec![
                ("text_delta", "text"), ("text_delta", "text"), ("input_json_delta", "partial_json"),
                ("input_json_delta", "partial_json"), ("text", "text"), ("text_delta", "partial_json"),
                ("input_json_delta", "text"), ("thinking_delta", "thinking"),
            ]),
            "[a-z<> é🍞\"\\\\\n]{0,8}|<think>|</think>",
            proptest::sample::select(vec![
                "", "", ",\"text\":\"y\"", ",\"text\":null", ",\"partial_json\":\"y\"",
                ",\"partial_json\":null", ",\"thinking\":\"hm\"", ",\"citations\":[]",
                ",\"stop_reason\":\"max_tokens\"",
            ]),
            proptest::sample::select(vec![
                "", ",\"index\":0", ",\"index\":1", ",\"index\":\"1\"", ",\"index\":null",
                ",\"error\":null", ",\"error\":{}", ",\"error\":{\"message\":\"no\"}",
                ",\"usage\":{\"input_tokens\":11,\"output_tokens\":7}", ",\"type\":\"message_delta\"",
            ]),
        ), 1..5),
    ) {
        let at = anthropic("");
        let block = if tool {
            json!({"type": "tool_use", "id": "t", "name": "reply", "input": {}})
        } else {
            json!({"type": "text", "text": ""})
        };
        let begin = sse(&[
            ("message_start", json!({"message": {"id": "msg_1", "model": "m", "content": []}})),
            ("content_block_start", json!({"index": 1, "content_block": block})),
        ]);
        let end = sse(&[
            ("message_delta", json!({"delta": {"stop_reason": "end_turn"}})),
            ("message_stop", json!({})),
        ]);
        let stream = |unknown: &str| {
            let mut stream = begin.clone();
            for (event, (kind, field), text, delta, more) in &deltas {
                let text = json!(text);
                stream.push_str(&format!(
                    "event: {event}\ndata: {{\"type\":\"content_block_delta\",\"delta\":\
                     {{\"type\":\"{kind}\",\"{field}\":{text}{delta}}}{more}{unknown}}}\n\n"
                ));
            }
            stream + &end
        };
        let (plain, odd) = (stream(""), stream(",\"nobody\":0"));
        assert_eq!(meaning(&at, &plain), meaning(&at, &odd), "{plain}");
    }
}
