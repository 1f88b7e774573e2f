//! The rows of what OpenAI and its compatibles answer, as bodies: no wire, no clock.

use std::time::{Duration, SystemTime};

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use url::Url;

use super::super::adapter::{StreamDecoder, StreamEvent};
use super::super::answer::Reply;
use super::super::config::OpenAiConfig;
use super::super::failure::AttemptFailure;
use super::super::json::ReplySchema;
use super::super::parameters::Shape;
use super::super::request::{ChatMessage, Format, Purpose, Request, Role};
use super::super::settings::Settings;
use super::super::stream_deltas::{DeltaDecoder, Framing};
use super::super::testing;
use super::super::wire::{HttpHead, HttpReply, Prompt};
use super::{Dialect, decode, request, stream};
use sitewright_model::ai::AiErrorKind::{self, *};
use sitewright_model::ai::{FinishReason, Usage};

type Headers<'a> = &'a [(&'a str, &'a str)];

fn http(status: u16, headers: Headers<'_>, body: impl AsRef<[u8]>) -> HttpReply {
    let header = |(name, value): &(&str, &str)| {
        (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap())
    };
    let head = HttpHead {
        status,
        headers: headers.iter().map(header).collect::<HeaderMap>(),
        received: SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000),
    };
    HttpReply { head, body: body.as_ref().to_vec() }
}

fn openai(message: &str, kind: Value, param: Value, code: Value) -> String {
    json!({"error": {"message": message, "type": kind, "param": param, "code": code}}).to_string()
}

#[test]
fn a2_every_error_row_has_its_kind_and_keeps_what_was_said() {
    let invalid = || json!("invalid_request_error");
    let rows: Vec<(&str, u16, String, AiErrorKind, bool)> = vec![
        ("bad key", 401, openai("Incorrect API key provided", invalid(), Value::Null, json!("invalid_api_key")), Auth, false),
        ("unknown model", 404, openai("The model `m` does not exist", invalid(), Value::Null, json!("model_not_found")), NotFound, false),
        ("context too long", 400, openai("This model's maximum context length is 8192 tokens", invalid(), json!("messages"), json!("context_length_exceeded")), ContextTooLong, false),
        ("bad parameter", 400, openai("Invalid value for 'temperature'", invalid(), json!("temperature"), Value::Null), InvalidRequest, false),
        ("rate limit", 429, openai("Rate limit reached. Please try again in 1.574s.", json!("tokens"), Value::Null, json!("rate_limit_exceeded")), RateLimited, true),
        ("one request over the limit", 429, openai("Request too large for m on tokens per min", json!("tokens"), Value::Null, json!("rate_limit_exceeded")), RateLimited, false),
        ("no money", 429, openai("You exceeded your current quota", json!("insufficient_quota"), Value::Null, json!("insufficient_quota")), QuotaExhausted, false),
        ("server error", 500, openai("The server had an error", json!("server_error"), Value::Null, Value::Null), Overloaded, true),
        ("overloaded", 503, String::new(), Overloaded, true),
        ("forbidden", 403, openai("Project does not have access to model", Value::Null, Value::Null, Value::Null), Permission, false),
        ("numeric code", 401, json!({"error": {"code": 401, "message": "Invalid API Key", "type": "authentication_error"}}).to_string(), Auth, false),
        ("no credit", 402, json!({"error": {"code": 402, "message": "Insufficient credits"}}).to_string(), QuotaExhausted, false),
        ("moderation", 403, json!({"error": {"code": 403, "message": "flagged", "metadata": {"reasons": ["violence"]}}}).to_string(), ContentFiltered, false),
        ("model in a 400", 400, json!({"error": {"code": 400, "message": "x/y is not a valid model ID"}}).to_string(), NotFound, false),
        ("loading", 503, json!({"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}).to_string(), Overloaded, true),
        ("context, own type", 400, json!({"error": {"code": 400, "message": "the request exceeds the available context size", "type": "exceed_context_size_error"}}).to_string(), ContextTooLong, false),
        ("context, in words", 400, json!({"object": "error", "message": "This model's maximum context length is 10 tokens", "type": "BadRequestError", "code": 400}).to_string(), ContextTooLong, false),
        ("Azure filter", 400, json!({"error": {"message": "filtered", "code": "content_filter", "innererror": {"code": "ResponsibleAIPolicyViolation"}}}).to_string(), ContentFiltered, false),
        ("Azure inner filter", 400, json!({"error": {"message": "filtered", "code": null, "innererror": {"code": "ResponsibleAIPolicyViolation"}}}).to_string(), ContentFiltered, false),
        ("JSON mode failed", 400, json!({"error": {"message": "Failed to generate JSON", "type": "invalid_request_error", "code": "json_validate_failed", "failed_generation": ""}}).to_string(), Malformed, true),
        ("plain string", 404, json!({"error": "model 'm' not found"}).to_string(), NotFound, false),
        ("one-element list", 401, json!([{"error": {"message": "no key"}}]).to_string(), Auth, false),
        ("detail", 422, json!({"detail": [{"msg": "field required"}]}).to_string(), InvalidRequest, false),
        ("HTML", 502, "<html><head><title>502 Bad Gateway</title></head></html>".to_owned(), Overloaded, true),
        ("time-out under a general name", 504, openai("Gateway timeout", json!("server_error"), Value::Null, Value::Null), Timeout, true),
        ("gateway time-out", 504, "upstream request timeout".to_owned(), Timeout, true),
        ("cut error body", 429, "{\"error\": {\"mess".to_owned(), RateLimited, true),
        ("expired key, 403", 403, json!({"message": "Bearer Token has expired"}).to_string(), Auth, false),
        ("expired credentials, 403", 403, json!({"message": "The security token included in the request is expired"}).to_string(), Auth, false),
        ("expired key by code", 403, json!({"__type": "x", "code": "ExpiredTokenException", "message": "no"}).to_string(), Auth, false),
        ("no permission, 403", 403, json!({"message": "The model access period has expired"}).to_string(), Permission, false),
        ("teapot", 418, "short and stout".to_owned(), InvalidRequest, false),
    ];
    for (name, status, body, kind, retryable) in rows {
        let failure = decode(&http(status, &[("x-request-id", "req_1")], &body)).unwrap_err();
        assert_eq!((failure.kind, failure.retryable), (kind, retryable), "{name}: {failure:?}");
        let detail = failure.http.unwrap();
        assert_eq!(
            (detail.status, detail.request_id.as_deref()),
            (status, Some("req_1")),
            "{name}"
        );
        assert_eq!(detail.body_excerpt, Some(body).filter(|body| !body.is_empty()), "{name}");
    }
    let page = decode(&http(502, &[], "<html><title>502 Bad\n Gateway</title>")).unwrap_err();
    assert_eq!(page.detail, "an HTML page (502 Bad Gateway)");
    let octets = http(
        402,
        &[("content-type", "application/octet-stream")],
        openai(
            "Insufficient Balance",
            json!("unknown_error"),
            Value::Null,
            json!("invalid_request_error"),
        ),
    );
    assert_eq!(decode(&octets).unwrap_err().detail, "Insufficient Balance");
    let behind = json!({"error": {"code": 429, "message": "Provider returned error", "metadata": {"raw": "slow down"}}});
    assert_eq!(
        decode(&http(429, &[], behind.to_string())).unwrap_err().detail,
        "Provider returned error (slow down)"
    );
}

#[test]
fn a_request_id_is_found_under_every_name() {
    for name in [
        "x-request-id",
        "request-id",
        "apim-request-id",
        "x-ms-request-id",
        "x-generation-id",
        "cf-ray",
    ] {
        let failure = decode(&http(500, &[(name, "id-1")], "")).unwrap_err();
        assert_eq!(failure.http.unwrap().request_id.as_deref(), Some("id-1"), "{name}");
    }
}

#[test]
fn the_wait_is_read_in_every_spelling_and_order() {
    // 2027-01-15T08:00:00Z is second 1,800,000,000.
    let rows: &[(Headers<'_>, &str, Option<u64>)] = &[
        (&[("retry-after-ms", "1500"), ("retry-after", "9")], "", Some(1500)),
        (&[("retry-after", "2")], "try again in 9s", Some(2000)),
        (&[("retry-after", "0.5")], "", Some(500)),
        (&[("retry-after", "Fri, 15 Jan 2027 08:00:30 GMT")], "", Some(30_000)),
        (&[("retry-after", "Fri, 15 Jan 2027 07:00:00 GMT")], "", Some(0)),
        (&[("retry-after", "soon")], "Please try again in 1.574s. Visit", Some(1574)),
        (&[], "Please try again in 644ms.", Some(644)),
        (&[], "Please try again in 6m0s.", Some(360_000)),
        (&[], "Try again in 1h2m3.5s", Some(3_723_500)),
        (&[], "Please retry after 20 seconds.", Some(20_000)),
        (&[], "Please try again later", None),
        (&[("retry-after", "-1")], "", None),
        (&[("retry-after", "1e300")], "", None),
        (&[("retry-after", "99999999")], "", Some(86_400_000)),
    ];
    for (headers, message, wait) in rows {
        let body = json!({"error": {"message": message}}).to_string();
        let failure = decode(&http(429, headers, body)).unwrap_err();
        assert_eq!(failure.http.unwrap().retry_after_ms, *wait, "{headers:?} {message}");
    }
}

#[test]
fn a_reset_is_the_wait_of_a_rate_limit_and_of_nothing_else() {
    let limited = |headers: Value| {
        json!({"error": {"code": 429, "message": "Rate limit exceeded: free-models-per-day",
                         "metadata": {"headers": headers, "provider_name": null}}})
    };
    let plain = json!({"error": {"message": "slow down"}});
    let none: &[(&str, &str)] = &[];
    let used_up = [("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "1s")];
    let rows = [
        (
            429,
            none,
            limited(json!({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1800000012000"})),
            Some(12_000),
        ),
        (
            429,
            none,
            limited(
                json!({"X-RateLimit-Remaining": 0, "X-RateLimit-Reset": 1_800_000_012_000_u64}),
            ),
            Some(12_000),
        ),
        (429, none, limited(json!([1])), None),
        (429, &[("x-ratelimit-reset", "1800000012000")], plain.clone(), Some(12_000)),
        (429, &used_up, plain.clone(), Some(1000)),
        (
            429,
            &[("retry-after", "3"), ("x-ratelimit-reset-requests", "1s")],
            plain.clone(),
            Some(3000),
        ),
        (
            429,
            &[("x-ratelimit-reset-requests", "1s")],
            json!({"error": {"message": "try again in 2s"}}),
            Some(2000),
        ),
        // OpenAI reports its limits in every answer.
        (500, &used_up, plain.clone(), None),
        (429, &used_up, json!({"error": {"message": "x", "code": "insufficient_quota"}}), None),
    ];
    for (status, headers, body, wait) in rows {
        let failure = decode(&http(status, headers, body.to_string())).unwrap_err();
        assert_eq!(failure.http.unwrap().retry_after_ms, wait, "{headers:?} {body}");
    }
}

#[test]
fn x_should_retry_overrides_the_status() {
    for (status, header, retryable) in
        [(500, "false", false), (400, "true", true), (429, "maybe", true)]
    {
        let failure = decode(&http(status, &[("x-should-retry", header)], "")).unwrap_err();
        assert_eq!(failure.retryable, retryable, "{status} {header}");
    }
}

proptest::proptest! {
    /// Whatever comes, the answer is a reply with content or a failure: nothing panics.
    #[test]
    fn any_bytes_have_a_meaning(status in 100_u16..600, body: Vec<u8>) {
        if let Ok(reply) = decode(&http(status, &[], body)) {
            assert!(!reply.content.trim().is_empty());
        }
    }

    /// The same with bytes that come close to the protocol.
    #[test]
    fn any_json_of_the_shape_has_a_meaning(
        status in proptest::sample::select(vec![200_u16, 400, 401, 429, 500]),
        key in proptest::sample::select(vec!["error", "choices", "message", "detail", "usage"]),
        value in proptest::sample::select(vec!["null", "1", "-1", "\"x\"", "[]", "[1]", "[{}]", "{}", "[[]]", "[null]",
            r#"[{"message":1}]"#, r#"[{"message":{"content":[1]}}]"#, r#"{"code":99999}"#, r#"{"code":-1}"#]),
        text in "(try again in )?[0-9.]{0,400}(ms|s|h|<title>|</title)?.{0,20}",
    ) {
        let body = format!(r#"{{"{key}":{value},"message":{}}}"#, Value::from(text.as_str()));
        for body in [body, text, format!("<{key}")] {
            if let Ok(reply) = decode(&http(status, &[], body)) {
                assert!(!reply.content.trim().is_empty());
            }
        }
    }
}

fn answer(message: Value, finish: Value) -> String {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion", "model": "m-2026", "newer": {"field": 1},
        "choices": [{"index": 0, "message": message, "finish_reason": finish, "logprobs": null}],
        "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
    })
    .to_string()
}

#[test]
fn a_reply_is_its_text_its_model_and_its_tokens() {
    let rows = [
        (json!("hello"), json!("stop"), FinishReason::Stop),
        (json!("hello"), Value::Null, FinishReason::Stop),
        (json!("hello"), json!("something-new"), FinishReason::Other),
        (
            json!([{"type": "text", "text": "hel"}, {"type": "text", "text": "lo"}, {"type": "new"}]),
            json!("stop"),
            FinishReason::Stop,
        ),
    ];
    for (content, finish, reason) in rows {
        let headers = [("retry-after", "5"), ("x-request-id", "req_1")];
        let reply = decode(&http(
            200,
            &headers,
            answer(json!({"role": "assistant", "content": content}), finish),
        ))
        .unwrap();
        assert_eq!((reply.content.as_str(), reply.finish_reason), ("hello", reason));
        assert_eq!(reply.usage, Usage::of(11, 7));
        assert_eq!(reply.model.as_deref(), Some("m-2026"));
        assert_eq!(reply.http.request_id.as_deref(), Some("req_1"));
        assert_eq!(
            reply.http.retry_after_ms, None,
            "a success can carry retry-after; it means nothing"
        );
    }
    let said = decode(&http(200, &[], answer(json!({"content": "x"}), json!("stop")))).unwrap();
    assert!(!said.end_unsaid);
    let bare = decode(&http(200, &[], r#"{"choices":[{"message":{"content":"x"}}]}"#)).unwrap();
    assert!(bare.end_unsaid, "nothing shows whether it is whole");
    assert_eq!(bare.clone().within(None, Some(9)), Ok(bare.clone()), "its tokens are unknown");
    let counted = Reply { usage: Usage::of(11, 9), ..bare.clone() };
    assert_eq!(counted.clone().within(None, Some(10)), Ok(counted.clone()));
    assert_eq!(counted.within(None, Some(9)).unwrap_err().kind, Truncated, "at its limit");
    let said = Reply { usage: Usage::of(11, 9), ..said };
    assert_eq!(said.clone().within(None, Some(9)), Ok(said));
    assert_eq!((bare.usage, bare.model), (Usage::default(), None));
}

#[test]
fn e4_e7_a_success_that_is_none_has_a_kind_of_its_own() {
    let said = |content: Value| json!({"role": "assistant", "content": content});
    let rows = [
        ("cut", answer(said(json!("half a sen")), json!("length")), Truncated),
        ("thinking used the budget", answer(said(json!("")), json!("length")), Truncated),
        ("filtered", answer(said(json!("so far")), json!("content_filter")), ContentFiltered),
        (
            "refused",
            answer(json!({"content": null, "refusal": "I cannot"}), json!("stop")),
            ContentFiltered,
        ),
        (
            "refused in a part",
            answer(said(json!([{"type": "refusal", "refusal": "no"}])), json!("stop")),
            ContentFiltered,
        ),
        ("empty", answer(said(json!("")), json!("stop")), Empty),
        ("blank", answer(said(json!(" \n\t ")), json!("stop")), Empty),
        ("null", answer(said(Value::Null), json!("stop")), Empty),
        ("a tool call nobody asked for", answer(said(Value::Null), json!("tool_calls")), Empty),
        ("no choice", json!({"choices": []}).to_string(), Empty),
        ("no message", json!({"choices": [{"finish_reason": "stop"}]}).to_string(), Empty),
        ("no body", String::new(), Empty),
        ("HTML", "<!doctype html><title>Welcome</title>".to_owned(), Protocol),
        ("JSON that ends early", r#"{"choices":[{"message":{"content":"Hel"#.to_owned(), Protocol),
        ("JSON of something else", r#"{"hello":"world"}"#.to_owned(), Protocol),
        ("a list", "[1]".to_owned(), Protocol),
        ("text", "ok".to_owned(), Protocol),
        ("a stream", "data: {\"choices\":[]}\n\ndata: [DONE]\n\n".to_owned(), Protocol),
        (
            "error inside a 200",
            json!({"error": {"code": 429, "message": "slow down"}}).to_string(),
            RateLimited,
        ),
        (
            "its code as text",
            json!({"error": {"code": "502", "message": "bad upstream"}}).to_string(),
            Overloaded,
        ),
        (
            "its type only",
            json!({"error": {"type": "server_error", "message": "x"}}).to_string(),
            Overloaded,
        ),
        ("nothing known of it", json!({"error": {"message": "strange"}}).to_string(), Other),
        (
            "error of a choice",
            json!({"choices": [{"error": {"code": 401, "message": "x"}}]}).to_string(),
            Auth,
        ),
        ("model error", answer(said(json!("so")), json!("error")), Overloaded),
    ];
    for (name, body, kind) in rows {
        let failure = decode(&http(200, &[], &body)).unwrap_err();
        assert_eq!(failure.kind, kind, "{name}: {failure:?}");
        let detail = failure.http.unwrap();
        assert_eq!(
            (detail.status, detail.body_excerpt),
            (200, Some(body).filter(|body| !body.is_empty())),
            "{name}"
        );
    }
    let cut = decode(&http(200, &[], answer(said(json!("half")), json!("length")))).unwrap_err();
    assert_eq!(cut.usage.output_tokens, Some(7), "the tokens are paid for all the same");
    assert!(cut.detail.contains("7 tokens"), "{}", cut.detail);
}

#[test]
fn a_redirect_is_told_and_not_followed() {
    let failure =
        decode(&http(301, &[("location", "https://other.example/v1?key=secret")], "")).unwrap_err();
    assert_eq!((failure.kind, failure.retryable), (Protocol, false));
    assert!(
        failure.detail.contains("https://other.example/v1") && !failure.detail.contains("secret"),
        "{}",
        failure.detail
    );
}

fn ask(format: Format) -> Request {
    let message = |role, content: &str| ChatMessage { role, content: content.to_owned() };
    Request {
        purpose: Purpose::new("copywriting").unwrap(),
        messages: vec![
            message(Role::System, "You write."),
            message(Role::User, "Write."),
            message(Role::Assistant, "What?"),
        ],
        format,
        max_output_tokens: None,
        temperature: None,
        seed: Some(7),
        stop: vec!["END".to_owned()],
        identity: None,
    }
}

fn sent(request: &Request, base: &str) -> Value {
    let settings = Settings::default();
    let prompt = Prompt {
        request,
        model: "m",
        max_output_tokens: Some(100),
        temperature: Some(0.5),
        settings: &settings,
        shape: &Shape::PLAIN,
    };
    let dialect = Dialect::of(&Url::parse(base).unwrap());
    serde_json::from_slice(&request::body(&prompt, dialect)).unwrap()
}

#[test]
fn e8_json_mode_is_asked_for_only_when_json_was() {
    let local = "http://127.0.0.1:1/v1/chat/completions";
    let text = sent(&ask(Format::Text), local);
    let expected = json!({
        "model": "m", "stream": true, "stream_options": {"include_usage": true}, "temperature": 0.5, "seed": 7, "stop": ["END"], "max_tokens": 100,
        "messages": [
            {"role": "system", "content": "You write."},
            {"role": "user", "content": "Write."},
            {"role": "assistant", "content": "What?"}
        ]
    });
    assert_eq!(text, expected);
    let any = sent(&ask(Format::Json), local);
    assert_eq!(any["response_format"], json!({"type": "json_object"}));
    assert!(
        any["messages"][0]["content"]
            .as_str()
            .unwrap()
            .starts_with("You write.\n\nAnswer with one JSON")
    );
    let mut plain = ask(Format::Json);
    plain.messages.remove(0);
    let plain = sent(&plain, local);
    assert_eq!(
        (plain["messages"][0]["role"].as_str(), plain["messages"].as_array().unwrap().len()),
        (Some("system"), 3)
    );
    let openai = sent(&ask(Format::Text), "https://api.openai.com/v1/chat/completions");
    assert_eq!((openai.get("max_tokens"), &openai["max_completion_tokens"]), (None, &json!(100)));
}

#[test]
fn a_schema_goes_into_strict_mode_only_when_strict_mode_takes_it() {
    let strict = [
        json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": false}),
        json!({
            "type": "object", "additionalProperties": false, "required": ["a", "b"],
            "properties": {"a": {"$ref": "#/$defs/n"}, "b": {"type": "array", "minItems": 1, "items": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/n"}]}}},
            "$defs": {"n": {"type": "object", "properties": {}, "required": [], "additionalProperties": false}}
        }),
    ];
    for schema in strict {
        let body = sent(
            &ask(Format::JsonSchema(ReplySchema::compile(&schema.to_string()).unwrap())),
            "http://x/",
        );
        assert_eq!(
            body["response_format"]["json_schema"],
            json!({"name": "reply", "strict": true, "schema": schema})
        );
        assert_eq!(body["messages"][0]["content"], "You write.");
    }
    // The schema, the mode, and whether the prompt has the schema too.
    let told = [
        (
            json!({"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": false}),
            "json_schema",
            false,
        ),
        (
            json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}),
            "json_schema",
            false,
        ),
        (
            json!({"type": "object", "properties": {"a": {"type": "string", "minLength": 1}}, "required": ["a"], "additionalProperties": false}),
            "json_schema",
            true,
        ),
        (
            json!({"type": "object", "properties": {"a": {"type": "integer", "format": "uint32"}}, "required": ["a"], "additionalProperties": false}),
            "json_schema",
            true,
        ),
        (
            json!({"type": "object", "additionalProperties": {"type": "string"}}),
            "json_object",
            true,
        ),
        (json!({"type": "array", "items": {"type": "string"}}), "", true),
    ];
    for (schema, mode, in_prompt) in told {
        let body = sent(
            &ask(Format::JsonSchema(ReplySchema::compile(&schema.to_string()).unwrap())),
            "http://x/",
        );
        let found = body.pointer("/response_format/type").and_then(Value::as_str);
        assert_eq!(found.unwrap_or_default(), mode, "{schema}");
        if mode == "json_schema" {
            let sent = &body["response_format"]["json_schema"];
            assert_eq!(sent["strict"], true, "{schema}");
            assert_eq!(sent["schema"]["required"], json!(["a"]), "{schema}");
            assert_eq!(sent["schema"]["additionalProperties"], false, "{schema}");
        }
        let prompt = body["messages"][0]["content"].as_str().unwrap();
        assert_eq!(prompt.contains(&schema.to_string()), in_prompt, "{schema}");
    }
}

/// The reply to a stream that comes in these pieces, and its text as it came.
fn streamed(pieces: &[&[u8]]) -> (Result<Reply, AttemptFailure>, String) {
    let head = http(200, &[("x-request-id", "req_1")], "").head;
    let mut decoder = Box::new(DeltaDecoder::new(
        &head,
        Framing::server_sent_events(),
        Box::new(stream::Deltas::default()),
    ));
    let mut text = String::new();
    for piece in pieces {
        match decoder.push(piece) {
            Ok(events) => {
                text.extend(events.into_iter().filter_map(|event| match event {
                    StreamEvent::Text(text) => Some(text),
                    _ => None,
                }));
            }
            Err(failure) => return (Err(failure), text),
        }
    }
    (decoder.finish().and_then(|answer| answer.judge(&head)), text)
}

fn chunk(delta: Value, finish: Value) -> String {
    let choice = json!({"index": 0, "delta": delta, "finish_reason": finish, "logprobs": null});
    format!(
        "data: {}\n\n",
        json!({"id": "chatcmpl-1", "model": "m-2026", "choices": [choice], "usage": null})
    )
}

fn said(text: &str) -> String {
    chunk(json!({"content": text}), Value::Null)
}

const DONE: &str = "data: [DONE]\n\n";

fn stop() -> String {
    chunk(json!({}), json!("stop"))
}

fn tokens() -> &'static str {
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":7}}\n\n"
}

#[test]
fn a_stream_is_its_text_however_the_wire_cuts_it() {
    let role = chunk(json!({"role": "assistant", "content": ""}), Value::Null);
    let filter = "data: {\"choices\":[],\"prompt_filter_results\":[]}\n\n";
    let second = "data: {\"choices\":[{\"index\":1,\"delta\":{\"content\":\"no\"}}]}\n\n";
    let whole = [
        "\u{feff}: OPENROUTER PROCESSING\r\n\r\n",
        &role,
        filter,
        "event: ping\ndata: {}\n\n",
        &said("Olá, "),
        second,
        &said("açúcar 😀"),
        &stop(),
        tokens(),
        DONE,
    ]
    .concat();
    for size in [1, 2, 3, 7, whole.len()] {
        let pieces: Vec<&[u8]> = whole.as_bytes().chunks(size).collect();
        let (reply, text) = streamed(&pieces);
        let reply = reply.unwrap();
        assert_eq!((reply.content.as_str(), text.as_str()), ("Olá, açúcar 😀", "Olá, açúcar 😀"));
        assert_eq!(reply.usage, Usage::of(11, 7));
        assert_eq!(
            (reply.model.as_deref(), reply.finish_reason),
            (Some("m-2026"), FinishReason::Stop)
        );
        assert_eq!(reply.http.request_id.as_deref(), Some("req_1"));
    }
}

#[test]
fn a2_e4_every_end_of_a_stream_has_its_meaning() {
    let rate = json!({"error": {"message": "slow down", "code": "rate_limit_exceeded"}});
    let numeric = json!({"error": {"code": 502, "message": "upstream"}, "choices": []});
    let of_choice =
        json!({"choices": [{"delta": {}, "finish_reason": "error", "error": {"code": 401}}]});
    let half = &said("half")[..40];
    let rows: Vec<(&str, String, Result<&str, AiErrorKind>)> = vec![
        ("no marker but a finish reason", said("a") + &stop(), Ok("a")),
        ("no finish reason but a marker", said("a") + DONE, Ok("a")),
        ("no blank line after the marker", said("a") + "data: [DONE]", Ok("a")),
        ("no blank line after the last chunk", said("a") + stop().trim_end(), Ok("a")),
        (
            "whole messages",
            "data: {\"choices\":[{\"message\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}\n\\
             \
             n"
            .to_owned(),
            Ok("a"),
        ),
        ("neither marker nor reason", said("a"), Err(Truncated)),
        ("cut within a chunk", said("a") + half, Err(Truncated)),
        ("named events", "event: ping\ndata: alive\n\n".to_owned() + &said("a") + DONE, Ok("a")),
        (
            "a cut named event",
            "event: ping\ndata: {\"x\n\n".to_owned() + &said("a") + DONE,
            Err(Protocol),
        ),
        ("only pings", ": ping\n\n".to_owned(), Err(Truncated)),
        ("error in place of a chunk", format!("{}data: {rate}\n\n", said("a")), Err(RateLimited)),
        ("error with a number", format!("data: {numeric}\n\n"), Err(Overloaded)),
        ("error of a choice", format!("data: {of_choice}\n\n"), Err(Auth)),
        (
            "an error event",
            "event: error\ndata: {\"message\":\"x\",\"type\":\"server_error\"}\n\n".to_owned(),
            Err(Overloaded),
        ),
        ("an error event of text", "event: error\ndata: broken\n\n".to_owned(), Err(Overloaded)),
        ("cut by the model", said("a") + &chunk(json!({}), json!("length")) + DONE, Err(Truncated)),
        (
            "filtered",
            said("a") + &chunk(json!({}), json!("content_filter")) + DONE,
            Err(ContentFiltered),
        ),
        (
            "refused",
            chunk(json!({"refusal": "I can"}), Value::Null)
                + &chunk(json!({"refusal": "not"}), json!("stop"))
                + DONE,
            Err(ContentFiltered),
        ),
        ("nothing said", stop() + DONE, Err(Empty)),
        ("no JSON", "data: what\n\n".to_owned(), Err(Protocol)),
        ("another shape", "data: [1]\n\n".to_owned(), Err(Protocol)),
        ("after the marker", said("a") + DONE + "data: what\n\n", Ok("a")),
    ];
    for (name, body, expected) in rows {
        let (result, _) = streamed(&[body.as_bytes()]);
        match (result, expected) {
            (Ok(reply), Ok(text)) => {
                let has_reason = body.contains("\"stop\"");
                assert_eq!(
                    (reply.content.as_str(), reply.end_unsaid),
                    (text, !has_reason),
                    "{name}"
                );
            }
            (Err(failure), Err(kind)) => assert_eq!(failure.kind, kind, "{name}: {failure:?}"),
            (result, expected) => panic!("{name}: {result:?} is not {expected:?}"),
        }
    }
    let (failed, _) = streamed(&[format!("data: {rate}\n\n").as_bytes()]);
    let http = failed.unwrap_err().http.unwrap();
    assert_eq!((http.status, http.request_id.as_deref()), (200, Some("req_1")));
    assert_eq!(http.body_excerpt, Some(rate.to_string()), "the frame is the excerpt");
    let (unfinished, _) = streamed(&[said("abc").as_bytes()]);
    let unfinished = unfinished.unwrap_err();
    assert!(
        unfinished.retryable && unfinished.detail.contains("after 3 characters"),
        "{}",
        unfinished.detail
    );
}

proptest::proptest! {
    #[test]
    fn any_stream_has_a_meaning(body: Vec<u8>, text in "(data: |event: error|\n|\\{\"(choices|error|usage)\":|null|\\[|\\]|\\{|\\}|\"x\"|\\[DONE\\]){0,30}") {
        for body in [body, text.into_bytes()] {
            if let (Ok(reply), _) = streamed(&[&body]) {
                assert!(!reply.content.trim().is_empty());
            }
        }
    }
}

proptest::proptest! {
    /// A field that nobody knows changes nothing: neither in a chunk that has only text, which is
    /// read by name, nor in one that repeats the chunk before with another text, nor in any other.
    #[test]
    fn a_chunk_means_the_same_with_a_field_that_nobody_knows(
        chunks in proptest::collection::vec((
            "[a-z<> é🍞\"\\\\\n]{0,8}|<think>|</think>",
            proptest::sample::select(vec![
                "", ",\"role\":\"assistant\"", ",\"refusal\":null", ",\"refusal\":\"no\"",
                ",\"tool_calls\":[{\"id\":\"1\"}]", ",\"reasoning\":\"hm\"", ",\"content\":\"y\"",
                ",\"content\":null", ",\"reasoning_content\":null",
            ]),
            proptest::sample::select(vec![
                "", ",\"finish_reason\":null", ",\"finish_reason\":\"length\"", ",\"index\":1",
                ",\"index\":0,\"logprobs\":null", ",\"index\":\"0\"", ",\"message\":{\"content\":\"z\"}",
                ",\"error\":{\"message\":\"no\"}", ",\"native_finish_reason\":\"MAX_TOKENS\"",
            ]),
            proptest::sample::select(vec![
                "", ",\"model\":\"m\"", ",\"model\":\" \"", ",\"usage\":null", ",\"error\":null",
                ",\"model\":\"n\"",
                ",\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":7}", ",\"error\":\"no\"",
                ",\"id\":{\"prompt_tokens\":11,\"completion_tokens\":7}", ",\"created\":1.5",
                ",\"base_resp\":{\"status_code\":1008}", ",\"choices\":[]",
            ]),
            proptest::collection::vec("[a-zé\"]{0,3}", 0..3),
        ), 1..5),
    ) {
        let stream = |unknown: &str| {
            let mut stream = String::new();
            for (text, delta, choice, chunk, repeated) in &chunks {
                for text in std::iter::once(text).chain(repeated) {
                    let text = json!(text);
                    stream.push_str(&format!(
                        "data: {{\"choices\":[{{\"delta\":{{\"content\":{text}{delta}}}{choice}}}]\
                         {chunk}{unknown}}}\n\n"
                    ));
                }
            }
            stream + &stop() + DONE
        };
        let (plain, odd) = (stream(""), stream(",\"nobody\":0"));
        let read = |stream: &str| {
            let (reply, text) = streamed(&[stream.as_bytes()]);
            (reply.map_err(|failure| (failure.kind, failure.retryable, failure.usage)), text)
        };
        assert_eq!(read(&plain), read(&odd), "{plain}");
    }
}

fn openai_at(config: &str) -> super::OpenAi {
    testing::adapter(config, |config: &OpenAiConfig, key| super::OpenAi::new(config, key))
}

#[test]
fn each_dialect_is_told_what_it_understands() {
    let strict = testing::plain_schema();
    // What strict mode does not take.
    let open = json!({"type": "object", "additionalProperties": {"type": "string"}});
    let known = [
        ("https://api.openai.com/v1", Dialect::Openai),
        ("https://eu.api.openai.com/v1", Dialect::Openai),
        ("https://n.openai.azure.com", Dialect::Azure),
        ("https://openrouter.ai/api/v1", Dialect::Openrouter),
        ("https://api.groq.com/openai/v1", Dialect::Groq),
        ("https://api.deepseek.com", Dialect::Deepseek),
        ("https://api.x.ai/v1", Dialect::Xai),
        ("https://api.mistral.ai/v1", Dialect::Mistral),
        ("http://127.0.0.1:8000/v1", Dialect::Compatible),
        ("https://api.openai.com.evil.example/v1", Dialect::Compatible),
    ];
    for (base, dialect) in known {
        assert_eq!(Dialect::of(&Url::parse(base).unwrap()), dialect, "{base}");
    }
    let both = ("json_schema", "json_object", "json_object");
    let object = ("json_object", "json_object", "json_object");
    let schema = ("json_schema", "json_schema", "");
    let grammar = ("json_schema", "json_schema", "json_object");
    // Its name, limit, seed, what it is asked for (strict schema, open schema, any JSON), stream
    // with JSON, stream options.
    let rows = [
        ("openai", "max_completion_tokens", "seed", both, true, true),
        ("azure", "max_completion_tokens", "seed", both, true, true),
        ("openrouter", "max_tokens", "seed", both, true, true),
        ("groq", "max_completion_tokens", "seed", both, false, true),
        ("deepseek", "max_tokens", "", object, true, true),
        ("xai", "max_completion_tokens", "seed", both, true, true),
        ("mistral", "max_tokens", "random_seed", both, true, false),
        ("vllm", "max_tokens", "seed", grammar, true, true),
        ("llamacpp", "max_tokens", "seed", grammar, true, true),
        ("lmstudio", "max_tokens", "seed", schema, true, true),
        ("litellm", "max_tokens", "seed", both, true, true),
        ("ollama", "max_tokens", "seed", both, true, true),
        ("compatible", "max_tokens", "seed", both, true, true),
    ];
    for (name, limit, seed, modes, json_streams, options) in rows {
        let at = openai_at(&format!("base_url = \"http://h/v1\"\ndialect = \"{name}\""));
        let (url, headers, text) = testing::sent(&at, &ask(Format::Text));
        assert_eq!(url, "http://h/v1/chat/completions", "{name}");
        let key = if name == "azure" { &headers["api-key"] } else { &headers["authorization"] };
        let expected = if name == "azure" {
            testing::KEY.to_owned()
        } else {
            format!("Bearer {}", testing::KEY)
        };
        assert_eq!(
            (key.to_str().unwrap(), key.is_sensitive()),
            (expected.as_str(), true),
            "{name}"
        );
        for field in ["max_tokens", "max_completion_tokens"] {
            assert_eq!(text.get(field).is_some(), field == limit, "{name}: {field}");
        }
        for field in ["seed", "random_seed"] {
            assert_eq!(text.get(field).is_some(), field == seed, "{name}: {field}");
        }
        assert_eq!(
            (text["stream"] == true, text.get("stream_options").is_some()),
            (true, options),
            "{name}"
        );
        let formats = [
            (testing::schema(&strict), modes.0),
            (testing::schema(&open), modes.1),
            (Format::Json, modes.2),
        ];
        for (format, mode) in formats {
            let (_, _, body) = testing::sent(&at, &ask(format));
            let kind =
                body.pointer("/response_format/type").and_then(Value::as_str).unwrap_or_default();
            assert_eq!(kind, mode, "{name}: {body}");
            assert_eq!(body["stream"], mode.is_empty() || json_streams, "{name}");
            assert!(body["stream"] == true || body.get("stream_options").is_none(), "{name}");
            let told = body["messages"][0]["content"].as_str().unwrap().contains("JSON value");
            let promised =
                kind == "json_schema" && body["response_format"]["json_schema"]["strict"] == true;
            assert_eq!(told, !promised, "{name}: what the mode does not promise is told");
        }
    }
}

#[test]
fn azure_has_its_deployment_and_version_in_the_address() {
    let version = "api_version = \"2024-10-21\"";
    let host = "https://n.openai.azure.com";
    for (base, version, url) in [
        (host.to_owned(), version, "/openai/deployments/m/chat/completions?api-version=2024-10-21"),
        (
            format!("{host}/openai/"),
            version,
            "/openai/deployments/m/chat/completions?api-version=2024-10-21",
        ),
        (
            format!("{host}/openai/deployments/d"),
            version,
            "/openai/deployments/d/chat/completions?api-version=2024-10-21",
        ),
        (
            format!("{host}/openai/deployments/d/chat/completions?api-version=1"),
            version,
            "/openai/deployments/d/chat/completions?api-version=1",
        ),
        (format!("{host}/openai/v1"), "", "/openai/v1/chat/completions"),
    ] {
        let at = openai_at(&format!("base_url = \"{base}\"\n{version}"));
        let (sent, headers, _) = testing::sent(&at, &ask(Format::Text));
        assert_eq!(sent, format!("{host}{url}"));
        assert!(headers.contains_key("api-key"));
    }
}
