//! The rows of what generateContent answers, as bytes: no wire, no clock.

use serde_json::{Value, json};

use super::super::config::GeminiConfig;
use super::super::request::{ChatMessage, Format, Role};
use super::super::testing::{
    KEY, Row, Streamed, adapter, any_bytes, ask, close_json, meaning, plain_schema, provider,
    schema, sent, sent_with, tokens, whole,
};
use super::Gemini;
use super::schema::convert;
use sitewright_model::ai::AiErrorKind::{self, *};
use sitewright_model::ai::{FinishReason, Usage};

fn gemini(config: &str) -> Gemini {
    adapter(config, |config: &GeminiConfig, key| Gemini::new(config, key))
}

fn error(code: u16, status: &str, message: &str, details: Value) -> String {
    json!({"error": {"code": code, "message": message, "status": status, "details": details}})
        .to_string()
}

#[test]
fn a2_every_error_row_has_its_kind_and_keeps_what_was_said() {
    let at = provider(gemini(""));
    let row = |name, status, body: String, kind: AiErrorKind, says| Row {
        name,
        status,
        headers: &[("x-request-id", "req_1")],
        body,
        kind,
        retryable: kind.retryable(),
        wait_ms: None,
        id: Some("req_1"),
        says,
    };
    let reason = |reason: &str| json!([{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "googleapis.com"}]);
    let quota = |id: &str, delay: &str| {
        json!([
            {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaMetric": "x", "quotaId": id}]},
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}
        ])
    };
    let none = || json!([]);
    let bad_key = || {
        error(
            400,
            "INVALID_ARGUMENT",
            "API key not valid. Please pass a valid API key.",
            reason("API_KEY_INVALID"),
        )
    };
    let minute = "GenerateRequestsPerMinutePerProjectPerModel-FreeTier";
    let day = "GenerateRequestsPerDayPerProjectPerModel-FreeTier";
    let rows = [
        row("bad key", 400, bad_key(), Auth, "api_key_env"),
        row("bad key in a list", 400, format!("[{}]", bad_key()), Auth, "not valid"),
        row(
            "bad key, no details",
            400,
            error(400, "INVALID_ARGUMENT", "API key not valid.", Value::Null),
            Auth,
            "not valid",
        ),
        row(
            "no key",
            401,
            error(401, "UNAUTHENTICATED", "no credentials", none()),
            Auth,
            "no credentials",
        ),
        row(
            "no permission",
            403,
            error(403, "PERMISSION_DENIED", "not for you", none()),
            Permission,
            "not for you",
        ),
        row(
            "service off",
            403,
            error(403, "PERMISSION_DENIED", "enable it", reason("SERVICE_DISABLED")),
            Permission,
            "enable it",
        ),
        row(
            "country",
            400,
            error(400, "FAILED_PRECONDITION", "User location is not supported", none()),
            Permission,
            "location",
        ),
        row(
            "billing",
            400,
            error(400, "FAILED_PRECONDITION", "Please enable billing", none()),
            QuotaExhausted,
            "billing",
        ),
        row(
            "unknown model",
            404,
            error(404, "NOT_FOUND", "models/m is not found for API version v1beta", none()),
            NotFound,
            "v1beta",
        ),
        row(
            "bad parameter",
            400,
            error(400, "INVALID_ARGUMENT", "temperature must be", none()),
            InvalidRequest,
            "temperature",
        ),
        row(
            "prompt too long",
            400,
            error(
                400,
                "INVALID_ARGUMENT",
                "The input token count (2000000) exceeds the maximum number of tokens allowed \
                 (1048576).",
                none(),
            ),
            ContextTooLong,
            "2000000",
        ),
        Row {
            wait_ms: Some(47_000),
            ..row(
                "rate",
                429,
                error(429, "RESOURCE_EXHAUSTED", "Please retry in 46.9s.", quota(minute, "47s")),
                RateLimited,
                "47.0 s",
            )
        },
        Row {
            wait_ms: Some(46_900),
            ..row(
                "rate, no details",
                429,
                error(429, "RESOURCE_EXHAUSTED", "Please retry in 46.9s.", none()),
                RateLimited,
                "46.9 s",
            )
        },
        Row {
            wait_ms: Some(47_000),
            ..row(
                "quota of the day",
                429,
                error(429, "RESOURCE_EXHAUSTED", "quota", quota(day, "47s")),
                QuotaExhausted,
                "waiting does not help",
            )
        },
        row(
            "quota of nothing",
            429,
            error(
                429,
                "RESOURCE_EXHAUSTED",
                "Quota exceeded for metric: x, limit: 0, model: m",
                none(),
            ),
            QuotaExhausted,
            "limit: 0",
        ),
        row("rate, nothing said", 429, String::new(), RateLimited, "try again later"),
        row(
            "internal",
            500,
            error(500, "INTERNAL", "An internal error", none()),
            Overloaded,
            "internal",
        ),
        row(
            "overloaded",
            503,
            error(503, "UNAVAILABLE", "The model is overloaded.", none()),
            Overloaded,
            "overloaded",
        ),
        row(
            "deadline",
            504,
            error(504, "DEADLINE_EXCEEDED", "Deadline expired", none()),
            Timeout,
            "Deadline",
        ),
        row(
            "HTML",
            502,
            "<html><title>Error 502</title></html>".to_owned(),
            Overloaded,
            "Error 502",
        ),
        row(
            "an error in a 200",
            200,
            error(503, "UNAVAILABLE", "overloaded", none()),
            Overloaded,
            "overloaded",
        ),
    ];
    for row in rows {
        row.check(&at);
    }
}

fn part(text: Option<&str>, finish: Option<&str>) -> Value {
    let parts = text.map(|text| json!([{"text": "hm", "thought": true}, {"text": text}]));
    json!({
        "candidates": [{
            "content": {"role": "model", "parts": parts}, "finishReason": finish, "index": 0, "newer": 1,
            "safetyRatings": [{"category": "x", "probability": "LOW"}]
        }],
        "usageMetadata": {"promptTokenCount": 11, "candidatesTokenCount": 3, "thoughtsTokenCount": 4, "totalTokenCount": 18},
        "modelVersion": "m-2026", "responseId": "r"
    })
}

/// Usage of which the model thought four tokens.
fn thought(input: u64, output: u64) -> Usage {
    Usage { reasoning_tokens: Some(4), ..tokens(input, output) }
}

#[test]
fn e4_e7_a_whole_answer_is_a_reply_or_says_why_not() {
    let at = gemini("");
    for (answer, finish) in [
        (part(Some("hello"), Some("STOP")), FinishReason::Stop),
        (part(Some("hello"), Some("SOMETHING_NEW")), FinishReason::Other),
        (json!([part(Some("hel"), None), part(Some("lo"), Some("STOP"))]), FinishReason::Stop),
    ] {
        let reply = whole(&at, 200, &[("retry-after", "9")], answer.to_string()).unwrap();
        assert_eq!(
            (reply.content.as_str(), reply.finish_reason, reply.usage),
            ("hello", finish, thought(11, 7))
        );
        assert_eq!(reply.model.as_deref(), Some("m-2026"));
    }
    let blocked = json!({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": {"promptTokenCount": 4}});
    let bad = [
        (part(None, Some("SAFETY")).to_string(), ContentFiltered, "the reply was blocked (SAFETY)"),
        (part(Some("so"), Some("RECITATION")).to_string(), ContentFiltered, "RECITATION"),
        (blocked.to_string(), ContentFiltered, "the prompt was blocked (PROHIBITED_CONTENT)"),
        (
            part(None, Some("MAX_TOKENS")).to_string(),
            Truncated,
            "after 7 tokens, all of them spent before the reply began",
        ),
        (part(Some("half"), Some("MAX_TOKENS")).to_string(), Truncated, "after 7 tokens"),
        (part(None, Some("STOP")).to_string(), Empty, ""),
        (part(None, Some("MALFORMED_FUNCTION_CALL")).to_string(), Empty, "MALFORMED_FUNCTION_CALL"),
        (r#"{"candidates": []}"#.to_owned(), Empty, ""),
        (r#"{"hello": "world"}"#.to_owned(), Protocol, "candidates"),
        ("[]".to_owned(), Empty, ""),
        (r#"{"candidates": [{"cont"#.to_owned(), Protocol, "ends early"),
        ("<!doctype html>".to_owned(), Protocol, "HTML"),
        (String::new(), Empty, ""),
    ];
    for (body, kind, says) in bad {
        let failure = whole(&at, 200, &[], &body).unwrap_err();
        assert_eq!(failure.kind, kind, "{body}: {failure:?}");
        assert!(failure.detail.contains(says), "{body}: {failure:?}");
    }
}

fn sse(parts: &[Value]) -> String {
    parts.iter().map(|part| format!("data: {part}\r\n\r\n")).collect()
}

#[test]
fn a_stream_means_the_same_however_it_is_cut() {
    let at = gemini("");
    let error =
        || json!({"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}});
    let blocked = || json!({"promptFeedback": {"blockReason": "SAFETY"}});
    let only = |name: &'static str| json!({"modelVersion": name});
    let row = |name, parts: &[Value], becomes| Streamed { name, body: sse(parts), becomes };
    let good = Ok(("Grüße 🌍", FinishReason::Stop, thought(11, 7)));
    for row in [
        row(
            "parts",
            &[
                only("m"),
                part(Some("Grü"), None),
                part(Some("ße 🌍"), None),
                part(None, Some("STOP")),
            ],
            good,
        ),
        Streamed {
            name: "events of another name",
            body: format!(
                "event: ping\ndata: {{\"type\": \"ping\"}}\n\nevent: newer\ndata: alive\n\n{}",
                sse(&[part(Some("x"), Some("STOP"))])
            ),
            becomes: Ok(("x", FinishReason::Stop, thought(11, 7))),
        },
        Streamed {
            name: "a cut event of another name",
            body: format!(
                "event: ping\ndata: {{\"type\"\n\n{}",
                sse(&[part(Some("x"), Some("STOP"))])
            ),
            becomes: Err(Protocol),
        },
        row("cut", &[part(Some("half"), Some("MAX_TOKENS"))], Err(Truncated)),
        row("thinking used the budget", &[part(None, Some("MAX_TOKENS"))], Err(Truncated)),
        row(
            "blocked on its way",
            &[part(Some("so"), None), part(None, Some("SAFETY"))],
            Err(ContentFiltered),
        ),
        row("prompt blocked", &[blocked()], Err(ContentFiltered)),
        row("error in the middle", &[part(Some("so"), None), error()], Err(Overloaded)),
        row("error in a list", &[json!([error()])], Err(Overloaded)),
        row("no reason to finish", &[part(Some("so"), None)], Err(Truncated)),
        row("of another kind", &[json!({"hello": "world"})], Err(Protocol)),
        Streamed {
            name: "no JSON",
            body: "data: {\"candidates\": oops}\n\n".to_owned(),
            becomes: Err(Protocol),
        },
        Streamed {
            name: "no blank line at the end",
            body: sse(&[part(Some("x"), Some("STOP"))]).trim_end().to_owned(),
            becomes: Ok(("x", FinishReason::Stop, thought(11, 7))),
        },
    ] {
        row.check(&at);
    }
}

#[test]
fn the_request_has_what_the_api_wants_and_no_key_in_its_url() {
    let at = gemini("");
    let (url, headers, body) = sent(&at, &ask(Format::Text));
    let url = url.replace("%3A", ":");
    assert_eq!(
        url,
        "https://generativelanguage.googleapis.com/v1beta/models/m:streamGenerateContent?alt=sse"
    );
    let key = &headers["x-goog-api-key"];
    assert_eq!((key, key.is_sensitive()), (&KEY.parse().unwrap(), true));
    let expected = json!({
        "systemInstruction": {"parts": [{"text": "You write."}]},
        "contents": [
            {"role": "user", "parts": [{"text": "Write."}]},
            {"role": "model", "parts": [{"text": "What?"}]},
            {"role": "user", "parts": [{"text": "Anything."}]}
        ],
        "generationConfig": {"maxOutputTokens": 100, "temperature": 0.5, "seed": 7, "stopSequences": ["END"]}
    });
    assert_eq!(body, expected);
    let mut bare = ask(Format::Text);
    (bare.seed, bare.stop) = (None, Vec::new());
    bare.messages = vec![ChatMessage { role: Role::System, content: "Write.".to_owned() }];
    let (_, _, body) =
        sent_with(&gemini("base_url = \"http://127.0.0.1:1/v1/\""), &bare, None, None);
    assert_eq!(body, json!({"contents": [{"role": "user", "parts": [{"text": "Write."}]}]}));
    let (url, ..) = sent_with(&gemini("base_url = \"http://127.0.0.1:1/v1/\""), &bare, None, None);
    assert!(url.starts_with("http://127.0.0.1:1/v1/models/m"), "{url}");
}

#[test]
fn e10_a_model_is_found_under_every_name_and_the_colon_in_either_spelling() {
    let base = url::Url::parse("https://h/v1beta/").unwrap();
    for (model, path) in [
        ("m-2.5", "/v1beta/models/m-2.5:streamGenerateContent"),
        ("models/m", "/v1beta/models/m:streamGenerateContent"),
        ("tunedModels/m", "/v1beta/tunedModels/m:streamGenerateContent"),
        ("publishers/google/models/m", "/v1beta/publishers/google/models/m:streamGenerateContent"),
    ] {
        let url = super::request::url(&base, model);
        assert_eq!(
            (url.path().replace("%3A", ":").as_str(), url.query()),
            (path, Some("alt=sse")),
            "{model}"
        );
    }
}

#[test]
fn e8_structured_output_is_the_mode_that_the_configuration_names() {
    let wanted = plain_schema();
    let (_, _, body) = sent(&gemini(""), &ask(schema(&wanted)));
    let config = &body["generationConfig"];
    let mut converted = wanted.clone();
    converted.as_object_mut().unwrap().remove("additionalProperties");
    assert_eq!(
        (&config["responseMimeType"], &config["responseSchema"]),
        (&json!("application/json"), &converted)
    );
    assert_eq!(body["systemInstruction"]["parts"][0]["text"], "You write.");
    let (_, _, body) = sent(&gemini("structured_output = \"json-schema\""), &ask(schema(&wanted)));
    assert_eq!(body["generationConfig"]["responseJsonSchema"], wanted);
    let (_, _, body) = sent(&gemini("structured_output = \"prompt\""), &ask(schema(&wanted)));
    assert_eq!(body["generationConfig"].get("responseMimeType"), None);
    assert!(body["systemInstruction"].to_string().contains("JSON Schema"));
    let (_, _, body) = sent(&gemini(""), &ask(Format::Json));
    assert_eq!(body["generationConfig"]["responseMimeType"], "application/json");
    // What the mode cannot express is in the instructions.
    let open = json!({"type": "object", "properties": {"a": {"type": "string", "format": "uri"}}});
    let (_, _, body) = sent(&gemini(""), &ask(schema(&open)));
    assert_eq!(
        body["generationConfig"]["responseSchema"]["properties"]["a"],
        json!({"type": "string"})
    );
    assert!(body["systemInstruction"].to_string().contains("uri"));
}

#[test]
fn a_schema_is_put_into_the_words_that_the_mode_knows() {
    let rows = [
        (
            json!({"type": ["string", "null"]}),
            Some((json!({"type": "string", "nullable": true}), true)),
        ),
        (json!({"enum": ["a", "b"]}), Some((json!({"type": "string", "enum": ["a", "b"]}), true))),
        (
            json!({"type": "string", "const": "a"}),
            Some((json!({"type": "string", "enum": ["a"]}), true)),
        ),
        (json!({"type": "integer", "enum": [1, 2]}), Some((json!({"type": "integer"}), false))),
        (json!({"type": "integer", "multipleOf": 2}), Some((json!({"type": "integer"}), false))),
        (
            json!({"oneOf": [{"type": "string"}, {"type": "null"}]}),
            Some((json!({"type": "string", "nullable": true}), true)),
        ),
        (
            json!({"anyOf": [{"type": "string"}, {"type": "integer"}]}),
            Some((json!({"anyOf": [{"type": "string"}, {"type": "integer"}]}), true)),
        ),
        (
            json!({"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/n"}, "$defs": {"n": {"type": "number"}}}),
            Some((json!({"type": "array", "minItems": 1, "items": {"type": "number"}}), true)),
        ),
        // Nothing is known of these, or too much.
        (json!({"type": "object"}), None),
        (json!({"description": "anything"}), None),
        (json!({"$ref": "#"}), None),
        (json!({"$ref": "#/$defs/lost"}), None),
        (json!({"type": "object", "properties": {"a": {"$ref": "#"}, "b": {"$ref": "#"}}}), None),
    ];
    for (from, to) in rows {
        let converted = convert(&from).map(|converted| (converted.schema, converted.whole));
        assert_eq!(converted, to, "{from}");
    }
}

proptest::proptest! {
    #[test]
    fn any_bytes_have_a_meaning(status in 100_u16..600, body: Vec<u8>, json in close_json()) {
        let at = gemini("");
        any_bytes(&at, status, &body);
        any_bytes(&at, 200, json.as_bytes());
        any_bytes(&at, 200, format!("data: {json}\n\n").as_bytes());
        any_bytes(&at, status, json.as_bytes());
    }
}

proptest::proptest! {
    /// A field that nobody knows changes nothing: neither in a part that has only text and token
    /// counts, which is read by name, nor in any other.
    #[test]
    fn a_part_means_the_same_with_a_field_that_nobody_knows(
        parts in proptest::collection::vec((
            "[a-z<> é🍞\"\\\\\n]{0,8}|<think>|</think>",
            proptest::sample::select(vec![
                "", "", ",\"thought\":null", ",\"thought\":true", ",\"thoughtSignature\":\"x\"",
                ",\"functionCall\":{\"name\":\"f\"}", ",\"text\":\"y\"",
            ]),
            proptest::sample::select(vec![
                "", ",\"index\":0", ",\"index\":1", ",\"finishReason\":null",
                ",\"finishReason\":\"STOP\"", ",\"finishReason\":\"MAX_TOKENS\"",
                ",\"finishMessage\":null", ",\"safetyRatings\":[]", ",\"content\":null",
            ]),
            proptest::sample::select(vec![
                "", ",\"promptTokenCount\":11", ",\"candidatesTokenCount\":7",
                ",\"candidatesTokenCount\":7,\"thoughtsTokenCount\":4", ",\"totalTokenCount\":18",
                ",\"cachedContentTokenCount\":5", ",\"promptTokenCount\":\"11\"",
                ",\"promptTokenCount\":-1", ",\"promptTokensDetails\":[]",
                ",\"promptTokensDetails\":[{\"modality\":\"TEXT\",\"tokenCount\":11}]",
                ",\"promptTokenCount\":null", ",\"trafficType\":\"ON_DEMAND\"",
            ]),
            proptest::sample::select(vec![
                "", ",\"modelVersion\":\"m\"", ",\"modelVersion\":\" \"", ",\"modelVersion\":7",
                ",\"responseId\":\"r\"", ",\"usageMetadata\":null", ",\"error\":null",
                ",\"error\":{}", ",\"error\":{\"code\":503,\"message\":\"no\"}",
                ",\"promptFeedback\":null", ",\"promptFeedback\":{\"blockReason\":\"SAFETY\"}",
                ",\"candidates\":[]",
            ]),
        ), 1..5),
    ) {
        let at = gemini("");
        let stream = |unknown: &str| {
            let mut stream = String::new();
            for (text, piece, candidate, usage, more) in &parts {
                let text = json!(text);
                stream.push_str(&format!(
                    "data: {{\"candidates\":[{{\"content\":{{\"role\":\"model\",\"parts\":\
                     [{{\"text\":{text}{piece}}}]}}{candidate}}}],\"usageMetadata\":\
                     {{\"totalTokenCount\":18{usage}}}{more}{unknown}}}\n\n"
                ));
            }
            stream + &sse(&[json!({"candidates": [{"finishReason": "STOP"}]})])
        };
        let (plain, odd) = (stream(""), stream(",\"nobody\":0"));
        assert_eq!(meaning(&at, &plain), meaning(&at, &odd), "{plain}");
    }
}
