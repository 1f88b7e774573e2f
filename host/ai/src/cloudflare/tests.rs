//! The rows of what Workers AI answers, as bytes: no wire, no clock.

use serde_json::{Value, json};

use super::super::adapter::Adapter;
use super::super::config::CloudflareConfig;
use super::super::parameters::Shape;
use super::super::request::Format;
use super::super::settings::Settings;
use super::super::testing::{
    Row, Streamed, adapter, any_bytes, ask, close_json, plain_schema, provider, schema, sent,
    sent_with, tokens, whole,
};
use super::super::wire::Prompt;
use super::Cloudflare;
use sitewright_model::ai::AiErrorKind::{self, *};
use sitewright_model::ai::{FinishReason, Usage};

fn cloudflare() -> Cloudflare {
    adapter("account_id = \"0a1b\"", |config: &CloudflareConfig, key| Cloudflare::new(config, key))
}

fn error(code: Value, message: &str) -> String {
    json!({"result": null, "success": false, "errors": [{"code": code, "message": message}], "messages": []})
        .to_string()
}

#[test]
fn a2_every_error_row_has_its_kind_and_keeps_what_was_said() {
    let at = provider(cloudflare());
    let row = |status, code: u64, said: &str, kind: AiErrorKind, says| Row {
        name: says,
        status,
        headers: &[("cf-ray", "8f-AMS")],
        body: error(json!(code), said),
        kind,
        retryable: kind.retryable(),
        wait_ms: None,
        id: Some("8f-AMS"),
        says,
    };
    let rows = [
        row(401, 10000, "Authentication error", Auth, "Authentication error"),
        row(403, 10000, "Authentication error", Auth, "api_key_env"),
        row(403, 9109, "Unauthorized to access requested resource", Auth, "Unauthorized"),
        row(400, 6003, "Invalid request headers", Auth, "headers"),
        row(400, 5007, "No such model @cf/x/y or task", NotFound, "No such model"),
        row(404, 3042, "The model name is invalid", NotFound, "name is invalid"),
        row(
            404,
            7003,
            "Could not route to /accounts/x, perhaps your object identifier is invalid?",
            NotFound,
            "Could not route",
        ),
        row(400, 7000, "No route for that URI", NotFound, "No route for"),
        row(400, 7009, "nothing there", NotFound, "nothing there"),
        row(400, 5006, "Error: oneOf at '/' not met", InvalidRequest, "oneOf"),
        row(400, 5004, "Invalid data type for base64 input", InvalidRequest, "base64"),
        row(405, 5005, "The model does not support LoRa", InvalidRequest, "LoRa"),
        row(
            403,
            5018,
            "The account is not allowed to access this model",
            Permission,
            "not allowed",
        ),
        row(403, 5016, "User has not agreed to Llama3.2 model terms", Permission, "not agreed"),
        row(403, 3023, "Service unavailable for account", Permission, "unavailable for account"),
        row(413, 3006, "Request is too large", ContextTooLong, "Request is too large"),
        row(408, 3007, "Request timeout", Timeout, "Request timeout"),
        row(408, 3008, "Request was aborted", Timeout, "aborted"),
        row(
            429,
            3036,
            "You have used up your daily free allocation of 10,000 neurons.",
            QuotaExhausted,
            "10,000 neurons",
        ),
        row(429, 4006, "you have used up your daily free allocation", QuotaExhausted, "daily free"),
        row(429, 3040, "Capacity temporarily exceeded, please try again.", Overloaded, "Capacity"),
        row(
            429,
            971,
            "Please wait and consider throttling your request speed",
            RateLimited,
            "throttling",
        ),
        row(
            400,
            5021,
            "This model's maximum context length is 131072 tokens.",
            ContextTooLong,
            "131072",
        ),
        row(400, 5024, "JSON Mode couldn't be met", SchemaMismatch, "JSON Mode"),
        row(500, 3043, "Internal server error", Overloaded, "Internal"),
        row(200, 3040, "AiError: out of capacity", Overloaded, "out of capacity"),
        Row { body: error(json!("10000"), "x"), ..row(400, 0, "", Auth, "its key") },
        Row {
            body: error(Value::Null, "AiError: 3040: try again later"),
            ..row(429, 0, "", Overloaded, "3040")
        },
        Row {
            body: "<title>524: A timeout occurred</title>".to_owned(),
            ..row(524, 0, "", Timeout, "A timeout occurred")
        },
        Row { body: String::new(), ..row(503, 0, "", Overloaded, "another provider") },
    ];
    for row in rows {
        row.check(&at);
    }
}

#[test]
fn e4_e7_a_whole_answer_is_a_reply_or_says_why_not() {
    let at = cloudflare();
    let answer = |result: Value| {
        json!({"result": result, "success": true, "errors": [], "messages": []}).to_string()
    };
    let usage = || json!({"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18});
    for (result, content) in [
        (json!({"response": "hello", "usage": usage(), "tool_calls": []}), "hello"),
        (json!({"response": {"b": 1, "a": 2}, "usage": usage()}), r#"{"b":1,"a":2}"#),
        (
            json!({"choices": [{"message": {"content": "hello"}, "finish_reason": "stop"}], "usage": usage()}),
            "hello",
        ),
    ] {
        let reply = whole(&at, 200, &[], answer(result)).unwrap();
        assert_eq!((reply.content.as_str(), reply.usage), (content, tokens(11, 7)));
    }
    for (body, kind) in [
        (
            answer(
                json!({"choices": [{"message": {"content": "half"}, "finish_reason": "length"}]}),
            ),
            Truncated,
        ),
        (answer(json!({"response": ""})), Empty),
        (answer(json!({"response": null, "usage": usage()})), Empty),
        (answer(Value::Null), Protocol),
        (answer(json!({"hello": "world"})), Protocol),
        (answer(json!("text")), Protocol),
        (r#"{"result": {"resp"#.to_owned(), Protocol),
        ("ok".to_owned(), Protocol),
        (String::new(), Empty),
    ] {
        assert_eq!(whole(&at, 200, &[], &body).unwrap_err().kind, kind, "{body}");
    }
    let request = ask(Format::Text);
    let settings = Settings::default();
    let prompt = |most| Prompt {
        request: &request,
        model: "m",
        max_output_tokens: most,
        temperature: None,
        settings: &settings,
        shape: &Shape::PLAIN,
    };
    let limits = [at.silent_limit(&prompt(None)), at.silent_limit(&prompt(Some(9)))];
    assert_eq!(limits, [Some(4096), Some(9)]);
    let reply =
        whole(&at, 200, &[], answer(json!({"response": "half a sen", "usage": usage()}))).unwrap();
    assert_eq!(reply.clone().within(Some(8), None), Ok(reply.clone()));
    assert_eq!(reply.clone().within(None, Some(7)), Ok(reply.clone()));
    let cut = reply.within(Some(7), None).unwrap_err();
    assert_eq!(
        (cut.kind, *cut.usage),
        (Truncated, tokens(11, 7)),
        "as long as the limit: cut without a word"
    );
    assert_eq!(cut.http.unwrap().body_excerpt.as_deref(), Some("half a sen"));
}

#[test]
fn a_stream_means_the_same_however_it_is_cut() {
    let at = cloudflare();
    let said = |text: &str| json!({"response": text, "p": "abc"}).to_string();
    let usage = || {
        json!({"response": "", "usage": {"prompt_tokens": 11, "completion_tokens": 7}}).to_string()
    };
    let choice = |text: &str, finish: Value| {
        json!({"choices": [{"delta": {"content": text}, "finish_reason": finish}]}).to_string()
    };
    let done = || "[DONE]".to_owned();
    let row = |name, events: &[String], becomes| Streamed {
        name,
        body: events.iter().map(|event| format!("data: {event}\n\n")).collect(),
        becomes,
    };
    let good = Ok(("Grüße 🌍", FinishReason::Stop, tokens(11, 7)));
    for row in [
        row("parts", &[said("Grü"), said("ße 🌍"), usage(), done()], good),
        row(
            "choices",
            &[choice("Grü", Value::Null), choice("ße 🌍", json!("stop")), usage(), done()],
            good,
        ),
        row(
            "numbers",
            &[json!({"response": 42}).to_string(), done()],
            Ok(("42", FinishReason::Stop, Usage::default())),
        ),
        row("cut", &[choice("half", json!("length")), done()], Err(Truncated)),
        row("empty", &[usage(), done()], Err(Empty)),
        row("no final marker", &[said("so far")], Err(Truncated)),
        row(
            "error in the middle",
            &[said("so far"), error(json!(3040), "Capacity temporarily exceeded")],
            Err(Overloaded),
        ),
        row(
            "plain error",
            &[json!({"error": "AiError: 3036: daily free allocation"}).to_string()],
            Err(QuotaExhausted),
        ),
        row("of another kind", &[json!({"hello": "world"}).to_string()], Err(Protocol)),
        row("no JSON", &["{oops".to_owned(), done()], Err(Protocol)),
    ] {
        row.check(&at);
    }
}

#[test]
fn e8_the_request_has_what_the_api_wants() {
    let at = cloudflare();
    let (url, headers, body) = sent(&at, &ask(Format::Text));
    assert_eq!(url, "https://api.cloudflare.com/client/v4/accounts/0a1b/ai/run/m");
    assert!(headers["authorization"].is_sensitive());
    let expected = json!({
        "messages": [
            {"role": "system", "content": "You write."},
            {"role": "user", "content": "Write."},
            {"role": "assistant", "content": "What?"},
            {"role": "user", "content": "Anything."}
        ],
        "max_tokens": 100, "temperature": 0.5, "seed": 7, "stream": true
    });
    assert_eq!(body, expected);
    let wanted = plain_schema();
    let (_, _, body) = sent_with(&at, &ask(schema(&wanted)), None, None);
    assert_eq!(body["response_format"], json!({"type": "json_schema", "json_schema": wanted}));
    assert_eq!(
        (&body["stream"], &body["max_tokens"]),
        (&json!(false), &json!(4096)),
        "JSON mode does not stream"
    );
    let request = ask(Format::Text);
    let model = "@cf/meta/llama-3.1-8b-instruct";
    let settings = Settings::default();
    let prompt = Prompt {
        request: &request,
        model,
        max_output_tokens: None,
        temperature: None,
        settings: &settings,
        shape: &Shape::PLAIN,
    };
    let built = at.build(&prompt, None);
    assert!(
        built.url.as_str().ends_with("/ai/run/@cf/meta/llama-3.1-8b-instruct"),
        "{}",
        built.url
    );
}

proptest::proptest! {
    #[test]
    fn any_bytes_have_a_meaning(status in 100_u16..600, body: Vec<u8>, json in close_json()) {
        let at = cloudflare();
        any_bytes(&at, status, &body);
        any_bytes(&at, 200, json.as_bytes());
        any_bytes(&at, 200, format!("data: {json}\n\n").as_bytes());
        any_bytes(&at, status, json.as_bytes());
    }
}
