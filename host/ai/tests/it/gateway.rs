//! Routes, configuration, keys, scripted answers and JSON replies, through the gateway's public
//! surface.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helper functions fail the test")]
#![allow(clippy::disallowed_methods, reason = "#[tokio::test] makes the runtime of a test")]

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use sitewright_ai::{
    AiConfig, CallContext, ChatMessage, ConfigError, FileJournal, Format, Gateway, Purpose,
    ReplyJudge, ReplySchema, Request, Role, RunJournal, ToJudge,
};
use sitewright_model::ai::{AiError, AiErrorKind, CallId, Completed, Limit, ReplySource};
use sitewright_model::failure::Problem;
use tokio::time::Instant;

fn made(config: &str, base_dir: &Path, env: &[(&str, OsString)]) -> Result<Gateway, ConfigError> {
    let config: AiConfig = toml::from_str(config).unwrap();
    let env =
        |name: &str| env.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
    Gateway::new(&config, base_dir, sitewright_http::client().unwrap(), &env)
}

/// A gateway whose default route follows these rules.
fn scripted(rules: &str) -> Gateway {
    let config = format!(
        "[providers.script]\nkind = \"scripted\"\nrules_inline = \
         '''\n{rules}\n'''\n[routes.default]\ntry = [{{ provider = \"script\" }}]\n"
    );
    made(&config, Path::new("."), &[]).unwrap()
}

pub(super) fn request(format: Format) -> Request {
    Request {
        purpose: Purpose::new("copywriting").unwrap(),
        messages: vec![ChatMessage { role: Role::User, content: "page: home".to_owned() }],
        format,
        max_output_tokens: None,
        temperature: None,
        seed: None,
        stop: Vec::new(),
        identity: None,
    }
}

fn call() -> CallContext {
    CallContext::new(CallId::nth(17), Instant::now() + Duration::from_secs(600))
}

async fn ask(rules: &str, format: Format) -> Result<Completed, AiError> {
    scripted(rules).complete(call(), request(format)).await
}

/// The reply to a model that says exactly this.
async fn said(text: &str, format: Format) -> Result<Completed, AiError> {
    let rule = toml::Value::String(text.to_owned());
    let config = format!("[[rule]]\nanswer = {{ text = {rule} }}");
    let mut ai = AiConfig::default();
    let script = toml::from_str(&format!(
        "kind = \"scripted\"\nrules_inline = {}",
        toml::Value::String(config)
    ));
    ai.providers.insert("script".to_owned(), script.unwrap());
    ai.routes
        .insert("default".to_owned(), toml::from_str("try = [{ provider = \"script\" }]").unwrap());
    let gateway =
        Gateway::new(&ai, Path::new("."), sitewright_http::client().unwrap(), &|_| None).unwrap();
    gateway.complete(call(), request(format)).await
}

fn schema(schema: serde_json::Value) -> Format {
    Format::JsonSchema(ReplySchema::compile(&schema.to_string()).unwrap())
}

#[tokio::test]
async fn a_scripted_fault_looks_like_the_real_one() {
    use AiErrorKind::*;
    let rows = [
        (
            "{ status = 429, body = \"slow\", headers = { retry-after = \"2\", x-request-id = \
             \"r\" } }",
            RateLimited,
            Some(429),
        ),
        ("{ status = 401 }", Auth, Some(401)),
        ("{ cut = \"half\" }", Truncated, Some(200)),
        ("{ garbage = \"<html>\" }", Protocol, Some(200)),
        ("{ empty = true }", Empty, Some(200)),
        ("{ refused = true }", ContentFiltered, Some(200)),
        ("{ connection = \"refused\" }", Connection, None),
        ("{ connection = \"reset\" }", Connection, None),
    ];
    for (fault, kind, status) in rows {
        let error = ask(&format!("[[rule]]\nanswer = {{ fault = {fault} }}"), Format::Text)
            .await
            .unwrap_err();
        assert_eq!(
            (error.kind, error.http.as_ref().map(|http| http.status)),
            (kind, status),
            "{fault}"
        );
        assert!(error.message.as_str().contains("the provider `script`"), "{error}");
        if status == Some(429) {
            let http = error.http.unwrap();
            assert_eq!((http.retry_after_ms, http.request_id.as_deref()), (Some(2000), Some("r")));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn c8_a_rule_that_hangs_ends_at_the_smaller_limit_and_a_slow_one_does_not() {
    let hang = "[[rule]]\nanswer = { fault = { hang = true } }";
    let error = ask(hang, Format::Text).await.unwrap_err();
    assert_eq!((error.kind, error.attempts[0].duration_ms), (AiErrorKind::Timeout, 300_000));
    let soon = CallContext { deadline: Instant::now() + Duration::from_secs(5), ..call() };
    let error = scripted(hang).complete(soon, request(Format::Text)).await.unwrap_err();
    assert_eq!((error.kind, error.attempts[0].duration_ms), (AiErrorKind::Cancelled, 5_000));
    assert!(
        error.message.as_str().contains("the order's deadline passed after 5000 ms"),
        "{error}"
    );
    let slow = ask("[[rule]]\ndelay_ms = 299_999\nanswer = { text = \"late\" }", Format::Text)
        .await
        .unwrap();
    assert_eq!((slow.completion.content.as_str(), slow.attempts[0].duration_ms), ("late", 299_999));
}

#[tokio::test]
async fn an_unanswered_prompt_names_purpose_prompt_and_script() {
    let error = ask("[[rule]]\npurpose = \"code\"\nanswer = { text = \"x\" }", Format::Text)
        .await
        .unwrap_err();
    assert_eq!((error.kind, error.retryable), (AiErrorKind::NotFound, false));
    for words in ["`copywriting`", "page: home", "`rules_inline`", "add a rule"] {
        assert!(error.message.as_str().contains(words), "{error}");
    }
}

#[tokio::test]
async fn e3_a_purpose_without_a_route_is_refused_before_any_attempt() {
    let config = "[providers.s]\nkind = \"scripted\"\nrules_inline = \"[[rule]]\\nanswer = { text \
                  = 'x' }\"\n[routes.strategy]\ntry = [{ provider = \"s\" }]";
    let gateway = made(config, Path::new("."), &[]).unwrap();
    let error = gateway.complete(call(), request(Format::Text)).await.unwrap_err();
    assert_eq!(
        (error.kind, error.attempts.len(), error.call_id),
        (AiErrorKind::NoRoute, 0, Some(CallId::nth(17)))
    );
    assert!(
        error.message.as_str().contains("[ai.routes.copywriting] or [ai.routes.default]"),
        "{error}"
    );
    assert_eq!(gateway.purposes_without_route(["strategy", "copywriting"]), ["copywriting"]);
    let routes = gateway.routes();
    assert_eq!((routes[0].name.as_str(), routes[0].candidates[0].kind), ("strategy", "scripted"));
}

#[tokio::test]
async fn a_request_that_nobody_could_answer_is_refused_with_its_field() {
    let gateway = scripted("[[rule]]\nanswer = { text = \"x\" }");
    type Spoil = fn(&mut Request);
    let rows: [(Spoil, &str); 6] = [
        (|request| request.messages.clear(), "`messages`"),
        (|request| request.messages[0].content = " ".to_owned(), "messages[0]"),
        (|request| request.max_output_tokens = Some(0), "`max-output-tokens`"),
        (|request| request.temperature = Some(f32::NAN), "`temperature`"),
        (|request| request.stop = vec!["x".to_owned(); 5], "`stop`"),
        (|request| request.stop = vec![String::new()], "`stop`"),
    ];
    for (spoil, field) in rows {
        let mut request = request(Format::Text);
        spoil(&mut request);
        let error = gateway.complete(call(), request).await.unwrap_err();
        assert_eq!((error.kind, error.attempts.len()), (AiErrorKind::InvalidRequest, 0));
        assert!(error.message.as_str().contains(field), "{error}");
    }
    assert_eq!(Purpose::new("Copy Writing").unwrap_err().0, "Copy Writing");
    assert!(
        Purpose::new("").is_err()
            && Purpose::new("a".repeat(65)).is_err()
            && Purpose::new("a".repeat(64)).is_ok()
    );
}

#[tokio::test]
async fn e6_json_is_found_in_prose_and_fences_without_changing_a_letter() {
    let code = r#"{"code": "```js\nlet a = \"}\";\n```", "n": 1.0}"#;
    let rows = [
        (code.to_owned(), code),
        (format!("  \n{code}\n"), code),
        (format!("\u{feff}{code}"), code),
        (format!("```json\n{code}\n```"), code),
        (
            format!(
                "Here it is [as asked] {{sic}}:\n\n```json\n{code}\n```\nAnything else? {{no}}"
            ),
            code,
        ),
        (format!("Sure! {code} Enjoy."), code),
        ("Two: [1, 2] and [3]".to_owned(), "[1, 2]"),
        ("42".to_owned(), "42"),
    ];
    for (text, json) in rows {
        let done = said(&text, Format::Json).await.unwrap();
        assert_eq!(done.completion.content, json, "{text}");
        assert_eq!(done.raw_reply, (text != json).then_some(text));
    }
}

#[tokio::test]
async fn e5_json_is_never_repaired() {
    let rows = [
        "no JSON at all",
        r#"{"a": 1,}"#,
        "{'a': 1}",
        r#"{"a": 1"#,
        // Its complete parts are not the value.
        r#"{"items": [{"a": 1}, {"a": 2}"#,
        r#"{"items": [{"a": 1}], broken}"#,
        "```json\n{\"a\": [1, 2\n```",
        r#"{"a": NaN}"#,
        "// a comment\n{\"a\": 1 /* two */}",
    ];
    for text in rows {
        let error = said(text, Format::Json).await.unwrap_err();
        assert_eq!((error.kind, error.retryable), (AiErrorKind::Malformed, true), "{text}");
        assert_eq!(
            error.attempts[0].body_excerpt.as_deref(),
            Some(text),
            "what the model wrote is kept"
        );
        assert!(error.attempts[0].usage.output_tokens.is_some(), "it is paid for");
    }
}

#[tokio::test]
async fn e5_a_reply_that_the_schema_refuses_names_the_place() {
    let title = || {
        schema(json!({
            "type": "object", "required": ["title", "tags"], "additionalProperties": false,
            "properties": {"title": {"type": "string"}, "tags": {"type": "array", "items": {"type": "string"}}}
        }))
    };
    let done = said("Sure: {\"title\": \"x\", \"tags\": []}", title()).await.unwrap();
    assert_eq!(done.completion.content, r#"{"title": "x", "tags": []}"#);
    let error = said(r#"{"tags": ["a", 2], "extra": 1}"#, title()).await.unwrap_err();
    assert_eq!(error.kind, AiErrorKind::SchemaMismatch);
    for words in ["`title` is missing", "`/tags/1`", "`/extra`"] {
        assert!(error.message.as_str().contains(words), "{error}");
    }
    let smallest = ask("[[rule]]\nanswer = { from_schema = true }", title()).await.unwrap();
    assert!(smallest.completion.content.contains("\"tags\":[]"), "{}", smallest.completion.content);
}

/// A reply that it does not accept, again and again: only its last entry is wrong.
fn numbers() -> String {
    let mut entries = vec![json!("x"); 120];
    entries.push(json!(7));
    format!("[[rule]]\nanswer = {{ text = '{}' }}", json!(entries))
}

/// A short schema that asks twice for what the next one asks twice for, and so on.
fn hostile() -> Format {
    const DEPTH: usize = 13;
    let twice = |next: usize| json!({"allOf": [{"$ref": format!("#/$defs/{next}")}, {"$ref": format!("#/$defs/{next}")}]});
    let mut defs: serde_json::Map<String, serde_json::Value> =
        (0..DEPTH).map(|level| (level.to_string(), twice(level + 1))).collect();
    defs.insert(DEPTH.to_string(), json!({"type": "string"}));
    schema(json!({"$defs": defs, "items": {"$ref": "#/$defs/0"}}))
}

#[tokio::test]
async fn c4_a_hostile_schema_holds_no_thread_of_the_runtime() {
    // This runtime has one thread. The scripted reply is there at once, so that nothing is waited
    // for but the check.
    let rules = numbers();
    let mut asked = std::pin::pin!(ask(&rules, hostile()));
    let first = tokio::select! {
        biased;
        _ = &mut asked => "the check",
        () = tokio::time::sleep(Duration::from_millis(1)) => "the timer",
    };
    assert_eq!(first, "the timer");
    assert_eq!(asked.await.unwrap_err().kind, AiErrorKind::SchemaMismatch);

    let (gateway, request) = (scripted(&rules), request(hostile()));
    let soon = CallContext { deadline: Instant::now() + Duration::from_millis(25), ..call() };
    let error = gateway.complete(soon, request).await.unwrap_err();
    // On a fast machine the first check ends in time, and that of the reply after it does not.
    let last = error.attempts.last().unwrap();
    assert_eq!((error.kind, last.limit), (AiErrorKind::Cancelled, Some(Limit::Deadline)));
    assert!(error.message.as_str().contains("checked against the template's schema"), "{error}");
}

#[test]
fn a_schema_that_cannot_be_used_says_why() {
    let large = format!("{{\"title\": \"{}\"}}", "x".repeat(ReplySchema::MAX_BYTES));
    let rows = [
        ("{", "not JSON"),
        ("[]", "not a JSON object"),
        (r#"{"type": "strin"}"#, "/type"),
        (r##"{"$ref": "https://example.com/other.json"}"##, "nothing is ever fetched"),
        (r#"{"pattern": "(?=a)"}"#, "`/pattern`"),
        (large.as_str(), "65536"),
    ];
    for (text, says) in rows {
        let error = ReplySchema::compile(text).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn a9_a_key_that_cannot_be_read_stops_the_start_and_names_provider_and_place() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(dir.path().join(name), bytes).unwrap();
    write("good", b"  key-1\n");
    write("empty", b" \n");
    write("binary", &[0xff, 0xfe]);
    write("inner", b"one\ntwo");
    write("large", &[b'x'; 20_000]);
    std::fs::create_dir(dir.path().join("folder")).unwrap();
    let config = |key: &str| {
        format!("[providers.local]\nkind = \"openai\"\nbase_url = \"http://x/v1\"\n{key}\n")
    };
    let env = [
        ("EMPTY", OsString::from(" ")),
        ("GOOD", OsString::from("key-1\n")),
        ("CONTROL", OsString::from("a\u{7}b")),
    ];
    let rows = [
        ("api_key_env = \"MISSING\"", "api_key_env", "variable MISSING is not set"),
        ("api_key_env = \"EMPTY\"", "api_key_env", "variable EMPTY is empty"),
        ("api_key_env = \"CONTROL\"", "api_key_env", "api_key_env CONTROL"),
        ("api_key_env = \"\"", "api_key_env", "not the name"),
        ("api_key_file = \"absent\"", "api_key_file", "absent cannot be read"),
        ("api_key_file = \"empty\"", "api_key_file", "empty is empty"),
        ("api_key_file = \"binary\"", "api_key_file", "binary is not UTF-8"),
        ("api_key_file = \"folder\"", "api_key_file", "folder is a directory"),
        ("api_key_file = \"inner\"", "api_key_file", "inner contains characters"),
        ("api_key_file = \"large\"", "api_key_file", "large is over"),
        ("api_key_env = \"GOOD\"\napi_key_file = \"good\"", "api_key_file", "both"),
        ("api_key_file = \"good\"\napi_key_command = [\"x\"]", "api_key_command", "both"),
        ("api_key_command = []", "api_key_command", "empty; name the program"),
        ("api_key_command = [\" \", \"x\"]", "api_key_command", "first text is empty"),
        ("api_key_command = [\"x\", \"\\u0000\"]", "api_key_command", "NUL"),
        (
            "api_key_command = [\"x\"]\napi_key_command_ms = 0",
            "api_key_command_ms",
            "between 1 and 300000",
        ),
        (
            "api_key_command = [\"x\"]\napi_key_command_ms = 300001",
            "api_key_command_ms",
            "between 1 and 300000",
        ),
        (
            "api_key_command = [\"x\"]\napi_key_lifetime_ms = 999",
            "api_key_lifetime_ms",
            "between 1000 and 86400000",
        ),
    ];
    for (key, field, says) in rows {
        let error = made(&config(key), dir.path(), &env).unwrap_err();
        assert_eq!(error.problems.len(), 1, "{error}");
        assert_eq!(error.problems[0].key, format!("ai.providers.local.{field}"), "{error}");
        assert!(error.problems[0].message.as_str().contains(says), "{error}");
    }
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStringExt;
        let env = [("BYTES", OsString::from_vec(vec![0xff]))];
        let error = made(&config("api_key_env = \"BYTES\""), dir.path(), &env).unwrap_err();
        assert!(error.to_string().contains("BYTES is not UTF-8"), "{error}");
    }
    for key in ["api_key_env = \"GOOD\"", "api_key_file = \"good\"", ""] {
        let gateway = made(&config(key), dir.path(), &env).unwrap();
        assert!(!format!("{gateway:?}").contains("key-1"));
    }
}

#[test]
fn a_wrong_configuration_is_told_whole_and_by_key() {
    let config = r#"
        [providers.a]
        kind = "openai"
        base_url = "localhost:8080/v1"
        call_ms = 0
        [providers.b]
        kind = "openai"
        base_url = "https://user:hunter2@example.com/v1"
        [providers.c]
        kind = "scripted"
        [providers.d]
        kind = "scripted"
        rules = "absent.toml"
        [providers.e]
        kind = "scripted"
        rules_inline = "[[rule]]"
        [routes.default]
        try = []
        [routes.copy]
        try = [{ provider = "z", model = "m", max_output_tokens = 0 }, { provider = "a", temperature = 3.0 }]
    "#;
    let error = made(config, Path::new("/nowhere"), &[]).unwrap_err();
    let keys: BTreeSet<&str> = error.problems.iter().map(|problem| problem.key.as_str()).collect();
    let expected = [
        "ai.providers.a.base_url",
        "ai.providers.a.call_ms",
        "ai.providers.b.base_url",
        "ai.providers.c.rules",
        "ai.providers.d.rules",
        "ai.providers.e.rules_inline",
        "ai.routes.copy.try[0].max_output_tokens",
        "ai.routes.copy.try[0].provider",
        "ai.routes.copy.try[1].model",
        "ai.routes.copy.try[1].temperature",
        "ai.routes.default.try",
    ];
    assert!(expected.iter().all(|key| keys.contains(key)), "{keys:#?}");
    let text = error.to_string();
    assert!(!text.contains("hunter2"), "{text}");
    assert!(text.contains("rule 1, field `answer`") && text.contains("absent.toml"), "{text}");
}

#[test]
fn an_unknown_key_is_an_error_that_names_it() {
    let openai = "[providers.a]\nkind = \"openai\"\nbase_url = \"http://x\"\n";
    for (config, key) in [
        (format!("{openai}api_key = \"secret\""), "api_key"),
        (
            format!(
                "{openai}[routes.default]\ntry = [{{ provider = \"a\", model = \"m\", modell = \
                 \"n\" }}]"
            ),
            "modell",
        ),
        ("[provider.a]".to_owned(), "provider"),
        ("[providers.a]\nkind = \"carrier-pigeon\"".to_owned(), "carrier-pigeon"),
        ("[providers.a]\nkind = \"scripted\"\nrule = \"x\"".to_owned(), "rule"),
        ("[routes.default]\ntries = []".to_owned(), "tries"),
    ] {
        let error = toml::from_str::<AiConfig>(&config).unwrap_err().to_string();
        assert!(error.contains(&format!("`{key}`")), "{error}");
    }
}

#[test]
fn kinds_and_call_ids_have_one_spelling() {
    for kind in AiErrorKind::ALL {
        assert_eq!(serde_json::to_value(kind).unwrap(), json!(kind.as_str().replace('-', "_")));
        assert_eq!(kind.as_str().parse(), Ok(kind));
    }
    let names: BTreeSet<_> = AiErrorKind::ALL.iter().map(|kind| kind.as_str()).collect();
    assert_eq!(names.len(), 20);
    let wit = include_str!("../../../../wit/0.2.0/template.wit");
    let listed = wit.split("enum error-kind {").nth(1).unwrap().split('}').next().unwrap();
    let listed: BTreeSet<_> = listed
        .lines()
        .filter_map(|line| line.trim().strip_suffix(','))
        .filter(|line| !line.contains(' '))
        .collect();
    assert_eq!(listed, names, "the contract's kinds are these");
    assert_eq!("call-17".parse(), Ok(CallId::nth(17)));
    for wrong in ["call-", "call-017", "17", "call-99999999999", ""] {
        assert!(wrong.parse::<CallId>().is_err(), "{wrong}");
    }
}

/// A gateway with this configuration before its default route to the scripted provider `s`.
fn with(config: &str, rules: &str) -> Gateway {
    let rules = toml::Value::String(rules.to_owned());
    let config = format!(
        "[routes.default]\ntry = [{{ provider = \"s\", model = \"m\" }}]\n[providers.s]\nkind = \
         \"scripted\"\nrules_inline = {rules}\n{config}"
    );
    made(&config, Path::new("."), &[]).unwrap().with_seed(1)
}

const TWO_THEN_GOOD: &str = "[[rule]]\ntimes = 2\nanswer = { fault = { status = 503 } \
                             }\n[[rule]]\nanswer = { text = \"good\" }";

#[tokio::test(start_paused = true)]
async fn e12_the_wait_doubles_is_kept_and_never_passes_the_deadline() {
    let gateway = with("retry = { attempts = 5, base_ms = 1000, max_ms = 10_000 }", TWO_THEN_GOOD);
    let begin = Instant::now();
    let done = gateway.complete(call(), request(Format::Text)).await.unwrap();
    let waits: Vec<u64> = done.attempts.iter().map(|one| one.backoff_ms).collect();
    assert!(
        waits[0] == 0 && waits[1] <= 1000 && waits[2] <= 2000 && waits[1] + waits[2] > 0,
        "{waits:?}"
    );
    assert_eq!(begin.elapsed().as_millis() as u64, waits.iter().sum::<u64>());

    let asks =
        "[[rule]]\nanswer = { fault = { status = 429, headers = { retry-after = \"60\" } } }";
    let gateway = with("retry = { attempts = 5 }", asks);
    let soon = CallContext { deadline: Instant::now() + Duration::from_secs(59), ..call() };
    let error = gateway.complete(soon, request(Format::Text)).await.unwrap_err();
    assert_eq!(
        (error.kind, error.attempts.len(), error.retryable),
        (AiErrorKind::RateLimited, 1, true)
    );
    let later = CallContext { deadline: Instant::now() + Duration::from_secs(61), ..call() };
    let error = gateway.complete(later, request(Format::Text)).await.unwrap_err();
    assert_eq!((error.attempts.len(), error.attempts[1].backoff_ms), (2, 60_000));
}

#[tokio::test]
async fn e5_a_reply_that_is_refused_is_asked_for_once_more_with_the_reason() {
    let schema = || {
        schema(
            json!({"type": "object", "required": ["title"], "properties": {"title": {"type": "string"}}}),
        )
    };
    let rules = |second: &str| {
        format!(
            "[[rule]]\ncontains = [\"cannot be used\", \"title\", \"`title` is missing\", \
             '{{\"a\": 1}}']\nanswer = {{ json_text = '{second}' }}\n[[rule]]\nanswer = {{ \
             json_text = '{{\"a\": 1}}' }}"
        )
    };
    let done = ask(&rules(r#"{"title": "x"}"#), schema()).await.unwrap();
    assert_eq!(done.completion.content, r#"{"title": "x"}"#);
    let kept: Vec<_> =
        done.attempts.iter().map(|one| (one.outcome.as_str(), one.asked_again)).collect();
    assert_eq!(kept, [("schema-mismatch", false), ("succeeded", true)]);
    assert_eq!(
        done.attempts[0].body_excerpt.as_deref(),
        Some(r#"{"a": 1}"#),
        "the raw reply is kept"
    );
    let error = ask(&rules(r#"{"b": 2}"#), schema()).await.unwrap_err();
    assert_eq!(
        (error.kind, error.attempts.len()),
        (AiErrorKind::SchemaMismatch, 2),
        "once, not for ever"
    );
}

/// Refuses replies with a word.
#[derive(Debug)]
struct Refuses(&'static str);

impl ReplyJudge for Refuses {
    fn judge(&self, reply: ToJudge<'_>) -> Result<(), Vec<Problem>> {
        let ToJudge { call_id, purpose, reply, is_json } = reply;
        assert_eq!(purpose, "copywriting");
        if !reply.contains(self.0) {
            return Ok(());
        }
        let at = if is_json { format!("{call_id}/title") } else { call_id.to_string() };
        let message = format!("`{}` is no word for visitors", self.0);
        Err(vec![Problem { at, rule: Some("copy-refusal".to_owned()), message }])
    }
}

async fn judged(rules: &str, format: Format) -> Result<Completed, AiError> {
    let judge = Some(Arc::new(Refuses("model")) as Arc<dyn ReplyJudge>);
    let call = CallContext { judge, ..call() };
    scripted(rules).complete(call, request(format)).await
}

#[tokio::test]
async fn e5_a_reply_whose_text_cannot_be_published_is_asked_for_once_more_with_the_reason() {
    let title = || {
        schema(json!({
            "type": "object", "required": ["title"], "properties": {"title": {"type": "string"}}
        }))
    };
    let rows = [
        (Format::Text, "text = 'As a model, I'", "text = 'Bread'", "", "text"),
        (title(), "json = { title = 'a model' }", "json = { title = 'Bread' }", "/title", "JSON"),
        (Format::Json, "json = ['a model']", "json = ['Bread']", "/title", "JSON"),
    ];
    for (format, bad, good, pointer, what) in rows {
        let rules = |second: &str| {
            format!(
                "[[rule]]\ncontains = [\"cannot be published\", \"no word for visitors\", \
                 \"corrected {what}\"]\nanswer = {{ {second} }}\n[[rule]]\nanswer = {{ {bad} }}"
            )
        };
        let done = judged(&rules(good), format.clone()).await.unwrap();
        assert!(done.completion.content.contains("Bread"), "{good}");
        let kept: Vec<_> =
            done.attempts.iter().map(|one| (one.outcome.as_str(), one.asked_again)).collect();
        assert_eq!(kept, [("malformed", false), ("succeeded", true)]);
        let error = judged(&rules(bad), format).await.unwrap_err();
        assert_eq!((error.kind, error.attempts.len()), (AiErrorKind::Malformed, 2), "{bad}");
        let problems = &error.attempts[1].problems;
        assert_eq!(problems.len(), 1, "{error:?}");
        assert_eq!(problems[0].at, format!("{}{pointer}", CallId::nth(17)));
        assert!(error.message.as_str().contains("no word for visitors"), "{error}");
    }
}

#[tokio::test]
async fn e11_an_order_pays_for_each_attempt_and_never_beyond_its_budget() {
    // The prompt `page: home` has 10 bytes, about 3 tokens; `good` is 1.
    let price = "[prices.m]\ninput_per_million = 1_000_000.0\noutput_per_million = 2_000_000.0\n";
    let rules = "[[rule]]\nanswer = { text = \"good\" }";
    let rows = [
        ("calls = 2", 2, "2 requests is used up"),
        ("tokens = 10", 2, "10 tokens does not hold"),
        ("tokens = 12", 3, "12 tokens does not hold"),
        ("cost_usd = 8.1", 2, "8.1 USD does not hold"),
        ("cost_usd = 8.0", 1, "8 USD does not hold"),
    ];
    for (limit, calls, says) in rows {
        let gateway = with(&format!("{price}[budget]\n{limit}\n"), rules);
        let budget = gateway.order_budget();
        for number in 0..calls {
            let call = CallContext { budget: Some(budget.clone()), ..call() };
            let done = gateway.complete(call, request(Format::Text)).await;
            assert_eq!(
                done.map(|done| done.cost_usd().unwrap().dollars()),
                Ok(5.0),
                "{limit}, call {number}"
            );
        }
        let spent = budget.spent();
        assert_eq!(
            (spent.calls, spent.tokens, spent.cost_usd.dollars()),
            (calls, calls * 4, 5.0 * calls as f64)
        );
        let call = CallContext { budget: Some(budget.clone()), ..call() };
        let error = gateway.complete(call, request(Format::Text)).await.unwrap_err();
        assert_eq!(
            (error.kind, error.attempts.len(), error.retryable),
            (AiErrorKind::BudgetExceeded, 0, false)
        );
        assert!(error.message.as_str().contains(says), "{limit}: {error}");
        assert_eq!(budget.spent(), spent, "{limit}: a call that was refused costs nothing");
    }
    let gateway =
        with("retry = { attempts = 9, base_ms = 0 }\n[budget]\ncalls = 2\n", TWO_THEN_GOOD);
    let call = CallContext { budget: Some(gateway.order_budget()), ..call() };
    let error = gateway.complete(call, request(Format::Text)).await.unwrap_err();
    assert_eq!(
        (error.kind, error.attempts.len()),
        (AiErrorKind::BudgetExceeded, 2),
        "retries count"
    );
    let unpriced = made(
        "[providers.s]\nkind = \"scripted\"\nrules_inline = \"[[rule]]\\nanswer = { text = 'x' \
         }\"\n[routes.default]\ntry = [{ provider = \"s\", model = \"m\" }]\n[budget]\ncost_usd = \
         1.0",
        Path::new("."),
        &[],
    );
    assert!(unpriced.unwrap_err().to_string().contains("ai.prices.\"m\": there is none"));
}

#[tokio::test]
async fn d4_a_reply_in_the_journal_is_not_paid_for_again() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join("journal").join(name);
    let rules = "[[rule]]\ntimes = 1\nanswer = { text = \"first\" }\n[[rule]]\ntimes = 1\nanswer \
                 = { text = \"second\" }";
    let gateway = with("", rules);
    let run = |own: &str, earlier: Option<&str>| {
        let earlier = earlier.map(&file);
        let journal = FileJournal::open(file(own), earlier.as_deref()).unwrap();
        CallContext { journal: Some(Arc::new(RunJournal::new(Arc::new(journal)))), ..call() }
    };
    let said = async |call: &CallContext| {
        let done = gateway.complete(call.clone(), request(Format::Text)).await.unwrap();
        (done.completion.content, done.source)
    };
    let first = run("one.jsonl", None);
    assert_eq!(said(&first).await, ("first".to_owned(), ReplySource::Provider));
    assert_eq!(
        said(&first).await,
        ("second".to_owned(), ReplySource::Provider),
        "the same question again is another call"
    );
    // A process that died while it wrote leaves half a line.
    let mut torn = std::fs::OpenOptions::new().append(true).open(file("one.jsonl")).unwrap();
    std::io::Write::write_all(&mut torn, b"{\"request\": \"ab").unwrap();
    let again = run("two.jsonl", Some("one.jsonl"));
    assert_eq!(said(&again).await, ("first".to_owned(), ReplySource::Journal));
    assert_eq!(said(&again).await, ("second".to_owned(), ReplySource::Journal));
    let third = gateway.complete(again.clone(), request(Format::Text)).await.unwrap_err();
    assert_eq!(third.kind, AiErrorKind::NotFound, "what is not in the journal is asked for");
    let mut other = request(Format::Text);
    other.temperature = Some(0.5);
    assert!(
        gateway.complete(run("three.jsonl", Some("one.jsonl")), other).await.is_err(),
        "another question"
    );
}

#[tokio::test(start_paused = true)]
async fn e12_a_wait_for_the_providers_limits_is_seen_and_counts_against_the_deadline() {
    let gateway =
        with("limits = { requests_per_minute = 1 }", "[[rule]]\nanswer = { text = \"good\" }");
    let first = gateway.complete(call(), request(Format::Text)).await.unwrap();
    let second = gateway.complete(call(), request(Format::Text)).await.unwrap();
    assert_eq!((first.attempts[0].waited_ms, second.attempts[0].waited_ms), (0, 60_000));
    let soon = CallContext { deadline: Instant::now() + Duration::from_secs(30), ..call() };
    let error = gateway.complete(soon, request(Format::Text)).await.unwrap_err();
    assert_eq!(
        (error.kind, error.attempts[0].limit),
        (AiErrorKind::RateLimited, Some(Limit::Deadline))
    );
    assert!(error.message.as_str().contains("limits.requests_per_minute"), "{error}");
}

#[tokio::test]
async fn candidates_with_a_weight_share_the_calls_and_the_others_follow() {
    let config = |first: &str| {
        let provider = |name: &str, answer: &str| {
            format!(
                "[providers.{name}]\nkind = \"scripted\"\nrules_inline = '''\n[[rule]]\nanswer = \
                 {{ {answer} }}\n'''\n"
            )
        };
        format!(
            "{}{}{}[routes.default]\ntry = [{{ provider = \"spare\" }}, {{ provider = \"three\", \
             weight = 3 }}, {{ provider = \"one\", weight = 1 }}]\n",
            provider("spare", "text = \"spare\""),
            provider("three", first),
            provider("one", "text = \"one\""),
        )
    };
    let asked = async |config: &str| {
        let gateway = made(config, Path::new("."), &[]).unwrap().with_seed(7);
        let mut counts = std::collections::BTreeMap::new();
        for _ in 0..400 {
            let done = gateway.complete(call(), request(Format::Text)).await.unwrap();
            *counts.entry(done.completion.content).or_insert(0) += 1;
        }
        counts
    };
    let counts = asked(&config("text = \"three\"")).await;
    assert!((250..350).contains(&counts["three"]) && !counts.contains_key("spare"), "{counts:?}");
    // Whose turn it is and who fails is followed by the first of the others.
    let counts = asked(&config("fault = { status = 400 }")).await;
    assert!((250..350).contains(&counts["spare"]), "{counts:?}");
    assert!((50..150).contains(&counts["one"]), "{counts:?}");
}
