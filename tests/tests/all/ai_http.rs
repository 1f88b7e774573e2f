//! The demo order against a server of chat completions: good answers, faulty answers and none.
//!
//! Models are named after purposes, so that the server knows what a call is for.

use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::Value;
use sitewright_tests::chat_server::{
    Answer, Call, ChatServer, ClosedPort, REQUEST_ID, TOKENS, WAIT_TIMEOUT,
};
use sitewright_tests::{Done, Workbench, order, root, template};

/// The planted key. It has leaked if it occurs anywhere but in the `authorization` header.
const KEY: &str = "planted-9d41c7-key";

fn rules() -> String {
    std::fs::read_to_string(root().join("plugins/local-business/demo/ai.toml")).unwrap()
}

fn server(choose: impl Fn(&Call) -> Answer + Send + Sync + 'static) -> ChatServer {
    ChatServer::start(&rules(), choose)
}

fn provider(name: &str, base_url: &str, more: &str) -> String {
    format!(
        "[ai.providers.{name}]\nkind = \"openai\"\nbase_url = \"{base_url}\"\napi_key_env = \
         \"LOCAL_AI_KEY\"\n{more}\n"
    )
}

/// The routes `strategy` and `copywriting`, each with its candidates.
fn routes(strategy: &[&str], copywriting: &[&str]) -> String {
    let route = |purpose: &str, providers: &[&str]| {
        let candidates: Vec<String> = providers
            .iter()
            .map(|provider| format!("{{ provider = \"{provider}\", model = \"{purpose}\" }}"))
            .collect();
        format!("[ai.routes.{purpose}]\ntry = [{}]\n", candidates.join(", "))
    };
    format!("{}{}", route("strategy", strategy), route("copywriting", copywriting))
}

/// A workbench with one attempt per candidate: most tests are about the report of one attempt.
fn bench(ai: &str) -> Workbench {
    with_attempts(1, ai)
}

/// A workbench with up to this number of attempts per candidate, with waits of 1 or 2 ms.
fn with_attempts(attempts: u32, ai: &str) -> Workbench {
    let retry = format!("[ai.retry]\nattempts = {attempts}\nbase_ms = 1\nmax_ms = 2\n");
    Workbench::configured(&format!("default_locale = \"pt-BR\"\n{retry}{ai}"))
}

/// Runs order 01 at log level `trace` and searches the key in its output, log and files.
fn generate(bench: &Workbench) -> Done {
    let order = bench.write("order.json", order("01-restaurant-ptbr-full").to_string());
    let done: Done = bench
        .command(&["--json", "--log", "trace", "generate", "--template"])
        .arg(template("local-business"))
        .arg("--order")
        .arg(order)
        .env("LOCAL_AI_KEY", KEY)
        .output()
        .unwrap()
        .into();
    assert!(!done.stdout.contains(KEY), "the key is on stdout: {}", done.stdout);
    let logged = done.stderr.lines().find(|line| line.contains(KEY));
    assert_eq!(logged, None, "the key is in the log");
    assert!(
        done.stderr.contains(" sitewright_"),
        "nothing was logged, so nothing was looked at: {}",
        done.stderr
    );
    no_key_in(bench.path());
    done
}

fn no_key_in(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            no_key_in(&path);
        } else {
            let bytes = std::fs::read(&path).unwrap();
            let found = bytes.windows(KEY.len()).any(|window| window == KEY.as_bytes());
            assert!(!found, "the key is in {}", path.display());
        }
    }
}

#[test]
fn e11_all_good_answers_become_a_site_and_the_sum_of_their_tokens() {
    for end in ["", "/", "/chat/completions"] {
        let server = server(|_| Answer::Good);
        let ai = provider("local", &format!("{}{end}", server.base_url()), "");
        let bench = bench(&(ai + &routes(&["local"], &["local"])));
        let done = generate(&bench);
        assert_eq!(done.code, 0, "{}", done.stdout);

        let calls = server.calls();
        for call in &calls {
            assert_eq!(call.target, "POST /v1/chat/completions", "e10: base URL with {end:?}");
            assert_eq!(call.authorization.as_deref(), Some(format!("Bearer {KEY}").as_str()));
        }
        let report = done.json();
        assert_eq!(report["outcome"], "released");
        let ai = &report["ai"];
        let answered = calls.len() as u64;
        assert_eq!(ai["calls"], answered);
        assert_eq!(ai["input_tokens"], answered * TOKENS.0);
        assert_eq!(ai["output_tokens"], answered * TOKENS.1);
        for call in ai["by_call"].as_array().unwrap() {
            assert_eq!(call["model"], call["purpose"], "each purpose has its own route: {call}");
            assert_eq!(call["attempts"][0]["request_id"], REQUEST_ID);
        }
        let (order, release) = (&report["order"], &report["release"]["id"]);
        let file =
            format!("{}/manifests/{}.json", order.as_str().unwrap(), release.as_str().unwrap());
        let manifest: Value =
            serde_json::from_slice(&std::fs::read(bench.sites().join(file)).unwrap()).unwrap();
        assert!(
            manifest["ai"].to_string().contains(&(answered * TOKENS.0).to_string()),
            "the manifest keeps the usage: {}",
            manifest["ai"]
        );
    }
}

#[test]
fn calls_of_one_template_are_in_flight_together() {
    // A copywriting call is answered only when a second one is in flight.
    let waiting = Arc::new((Mutex::new(0), Condvar::new()));
    let gate = waiting.clone();
    let server = server(move |call| {
        if call.model() == "copywriting" {
            let (count, changed) = &*gate;
            let mut count = count.lock().unwrap();
            *count += 1;
            changed.notify_all();
            let (_count, waited) =
                changed.wait_timeout_while(count, WAIT_TIMEOUT, |count| *count < 2).unwrap();
            if waited.timed_out() {
                let body = "it stayed alone".to_owned();
                return Answer::Http { status: 500, headers: &[], body };
            }
        }
        Answer::Good
    });
    let bench =
        bench(&(provider("local", &server.base_url(), "") + &routes(&["local"], &["local"])));
    let done = generate(&bench);
    assert_eq!(done.code, 0, "{}", done.stdout);
    assert!(*waiting.0.lock().unwrap() > 2);
}

/// A faulty answer, and what its record must contain.
struct Case {
    name: &'static str,
    answer: Answer,
    kind: &'static str,
    status: Option<u16>,
    retryable: bool,
    /// Part of the message: what to do next. `ROUTE` is replaced by the route's name.
    advice: &'static str,
    /// Part of the excerpt.
    excerpt: Option<&'static str>,
    /// Whether the provider has a circuit breaker: of concurrent calls it rejects those that begin
    /// after the failure, and the template may return either.
    has_breaker: bool,
}

/// An error body in the format of providers. All of them repeat the key.
fn error(status: u16, code: &str, headers: &'static [(&'static str, &'static str)]) -> Answer {
    let message = format!("no luck with the key {KEY}");
    let body = serde_json::json!({
        "error": { "message": message, "type": "some_error", "code": code },
    });
    Answer::Http { status, headers, body: body.to_string() }
}

fn page(status: u16) -> Answer {
    let body = format!("<!doctype html><title>Gateway</title><p>The key was {KEY}");
    Answer::Http { status, headers: &[], body }
}

fn reply(content: &str, finish: &'static str) -> Answer {
    Answer::Reply { content: content.replace("KEY", KEY), finish }
}

fn cases() -> Vec<Case> {
    let no_luck = Some("no luck with the key [key removed]");
    let case = |name, answer, kind, status, retryable, advice, excerpt| Case {
        name,
        answer,
        kind,
        status,
        retryable,
        advice,
        excerpt,
        has_breaker: false,
    };
    let refused_key = |name| {
        case(
            name,
            error(401, "invalid_api_key", &[]),
            "auth",
            Some(401),
            false,
            "check api_key_env LOCAL_AI_KEY",
            no_luck,
        )
    };
    vec![
        refused_key("e2_a_refused_key"),
        // One refusal opens the breaker, so that other calls are rejected: the record has the one
        // that was sent.
        Case { has_breaker: true, ..refused_key("e2_a_refused_key_with_a_breaker") },
        case(
            "403",
            error(403, "", &[]),
            "permission",
            Some(403),
            false,
            "permit the model for the key",
            no_luck,
        ),
        case(
            "e10_an_unknown_model",
            error(404, "model_not_found", &[]),
            "not_found",
            Some(404),
            false,
            "check the model in ai.routes.ROUTE and base_url of ai.providers.local",
            no_luck,
        ),
        case(
            "e12_too_many_requests",
            error(429, "rate_limit_exceeded", &[("retry-after", "20")]),
            "rate_limited",
            Some(429),
            true,
            "try again in 20.0 s",
            no_luck,
        ),
        case(
            "no_credit",
            error(429, "insufficient_quota", &[]),
            "quota_exhausted",
            Some(429),
            false,
            "add credit at the provider",
            no_luck,
        ),
        case(
            "500",
            error(500, "", &[]),
            "overloaded",
            Some(500),
            true,
            "add another provider to ai.routes.ROUTE",
            no_luck,
        ),
        case(
            "503",
            page(503),
            "overloaded",
            Some(503),
            true,
            "try again later",
            Some("[key removed]"),
        ),
        case(
            "a1_a_time_out",
            Answer::Hang,
            "timeout",
            None,
            true,
            "raise call_ms of ai.providers.local",
            None,
        ),
        case(
            "e4_a_cut_reply",
            reply("{\"positioning\": \"KEY and then", "length"),
            "truncated",
            Some(200),
            false,
            "raise the request's max-output-tokens, or max_output_tokens in ai.routes.ROUTE",
            Some("and then"),
        ),
        case(
            "e5_json_that_ends_early",
            reply("{\"positioning\": \"KEY and then", "stop"),
            "malformed",
            Some(200),
            true,
            "name a stronger model in ai.routes.ROUTE",
            Some("and then"),
        ),
        case(
            "e5_json_of_another_shape",
            reply("{\"key\": \"KEY\", \"wrong\": true}", "stop"),
            "schema_mismatch",
            Some(200),
            true,
            "name a stronger model in ai.routes.ROUTE",
            Some("\"wrong\": true"),
        ),
        case(
            "html_instead_of_json",
            page(200),
            "protocol",
            Some(200),
            true,
            "check base_url of ai.providers.local (many end in /v1)",
            Some("<title>Gateway</title>"),
        ),
        case(
            "e7_an_empty_reply",
            reply("  ", "stop"),
            "empty",
            Some(200),
            true,
            "try again, or name a stronger model in ai.routes.ROUTE",
            Some("choices"),
        ),
        case(
            "refused_content",
            reply("", "content_filter"),
            "content_filtered",
            Some(200),
            false,
            "look at the order's texts",
            Some("content_filter"),
        ),
        case(
            "an_end_in_the_middle_of_the_body",
            Answer::Half,
            "connection",
            Some(200),
            true,
            "check base_url of ai.providers.local and that its server runs",
            Some("choices"),
        ),
        // The reset may arrive before the bytes that were sent ahead of it.
        case(
            "a_reset_in_the_middle_of_the_body",
            Answer::Reset,
            "connection",
            None,
            true,
            "check base_url of ai.providers.local and that its server runs",
            None,
        ),
    ]
}

/// The key of a provider without a circuit breaker.
const NO_BREAKER: &str = "breaker.failures = 0";

/// The call that fails.
#[derive(Debug, Clone, Copy, PartialEq)]
enum When {
    First,
    Later,
}

impl When {
    fn route(self) -> &'static str {
        match self {
            When::First => "strategy",
            When::Later => "copywriting",
        }
    }

    /// Whether this is the call that fails: the first one, or one of the later concurrent ones.
    fn is(self, call: &Call) -> bool {
        match self {
            When::First => call.model() == "strategy",
            When::Later => call.model() == "copywriting" && call.contains("page: about\n"),
        }
    }

    /// The call's route goes to `local`, with these further keys, and the other one to `steady`.
    /// Providers of one address and key share their breaker.
    fn configuration(self, local: &str, steady: &str, breaker: &str, more: &str) -> String {
        let routes = match self {
            When::First => routes(&["local"], &["steady"]),
            When::Later => routes(&["steady"], &["local"]),
        };
        let of_local = format!("{breaker}\n{more}");
        provider("local", local, &of_local) + &provider("steady", steady, breaker) + &routes
    }
}

#[test]
fn a2_each_way_to_fail_at_the_first_call_is_told_whole() {
    each_way_to_fail_is_told_whole(When::First);
}

#[test]
fn a2_each_way_to_fail_at_a_later_call_is_told_whole() {
    each_way_to_fail_is_told_whole(When::Later);
}

fn each_way_to_fail_is_told_whole(when: When) {
    for case in cases() {
        let name = format!("{} ({when:?})", case.name);
        let answer = case.answer.clone();
        let hangs = matches!(answer, Answer::Hang);
        let server = server(move |call| if when.is(call) { answer.clone() } else { Answer::Good });
        let breaker = if case.has_breaker { "" } else { NO_BREAKER };
        let more = if hangs { "call_ms = 1500" } else { "" };
        let url = server.base_url();
        let bench = bench(&when.configuration(&url, &url, breaker, more));
        let done = generate(&bench);
        let failure = failed_by_ai(&done, when, &name);

        let ai = &failure["ai"];
        assert_eq!(ai["kind"], case.kind, "{name}: {ai}");
        assert_eq!(ai["retryable"], case.retryable, "{name}: {ai}");
        says(&failure, "the provider `local`", &name);
        says(&failure, &case.advice.replace("ROUTE", when.route()), &name);

        let attempts = ai["attempts"].as_array().unwrap();
        // Only a reply that is not the JSON that was asked for is asked for once more, with what is
        // wrong with it.
        let asked_again = case.name.starts_with("e5_");
        assert_eq!(attempts.len(), if asked_again { 2 } else { 1 }, "{name}: {attempts:?}");
        let attempt = &attempts[attempts.len() - 1];
        assert_eq!(attempt["asked_again"].as_bool().unwrap_or(false), asked_again, "{name}");
        assert_eq!(attempt["provider"], "local", "{name}");
        assert_eq!(attempt["model"], when.route(), "{name}");
        assert_eq!(attempt["outcome"], case.kind, "{name}");
        assert!(!attempt["message"].as_str().unwrap().is_empty(), "{name}");
        if let Some(status) = case.status {
            assert_eq!(attempt["status"], status, "{name}");
            assert_eq!(attempt["request_id"], REQUEST_ID, "{name}");
            says(&failure, &format!("({status})"), &name);
        }
        if let Some(excerpt) = case.excerpt {
            let kept = attempt["body_excerpt"].as_str().unwrap_or_default();
            assert!(kept.contains(excerpt), "{name}: the excerpt is {kept:?}");
        }
        if hangs {
            assert!(attempt["duration_ms"].as_u64().unwrap() >= 1_500, "{name}: {attempt}");
        }
    }
}

#[test]
fn e10_a_refused_connection_is_told_whole() {
    for when in [When::First, When::Later] {
        let server = server(|_| Answer::Good);
        let nobody = ClosedPort::take();
        let (local, steady) = (nobody.base_url(), server.base_url());
        let bench = bench(&when.configuration(&local, &steady, NO_BREAKER, ""));
        let done = generate(&bench);
        let failure = failed_by_ai(&done, when, "refused");
        assert_eq!(failure["ai"]["kind"], "connection", "{failure}");
        assert_eq!(failure["ai"]["retryable"], true);
        says(&failure, "nothing listens there", "refused");
        says(&failure, "check base_url of ai.providers.local and that its server runs", "refused");
        says(&failure, &nobody.base_url(), "refused");
    }
}

/// The record of an order that failed because of an AI call on the route of `when`.
fn failed_by_ai(done: &Done, when: When, name: &str) -> Value {
    assert_eq!(done.code, 5, "{name}: {}", done.stdout);
    let report = done.json();
    assert_eq!(report["outcome"], "failed", "{name}");
    assert_eq!(report["release"], Value::Null, "{name}");
    let failure = done.failure();
    assert_eq!(failure["kind"], "ai", "{name}: {failure}");
    assert_eq!(failure["ai"]["purpose"], when.route(), "{name}");
    let stored = std::fs::read(report["failure_file"].as_str().unwrap()).unwrap();
    let stored: Value = serde_json::from_slice(&stored).unwrap();
    assert_eq!(stored, failure, "{name}: the stored record is the printed one");
    failure
}

/// Both the record's own message and that of its AI part hold `text`.
fn says(failure: &Value, text: &str, name: &str) {
    for pointer in ["/message", "/ai/message"] {
        let message = failure.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        assert!(message.contains(text), "{name}: {pointer} does not say {text:?}: {message}");
    }
}

#[test]
fn a3_the_next_candidate_takes_over_and_both_attempts_are_kept() {
    let failing = server(|_| error(503, "overloaded_error", &[]));
    let good = server(|_| Answer::Good);
    let both =
        provider("local", &failing.base_url(), "") + &provider("spare", &good.base_url(), "");
    let bench = bench(&(both + &routes(&["spare"], &["local", "spare"])));
    let done = generate(&bench);
    assert_eq!(done.code, 0, "{}", done.stdout);
    let report = done.json();
    for call in report["ai"]["by_call"].as_array().unwrap() {
        assert_eq!(call["provider"], "spare");
        let outcomes: Vec<(&str, &str)> = call["attempts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|attempt| {
                (
                    attempt["provider"].as_str().unwrap_or("?"),
                    attempt["outcome"].as_str().unwrap_or("?"),
                )
            })
            .collect();
        match call["purpose"].as_str() {
            Some("copywriting") => {
                assert_eq!(outcomes, [("local", "overloaded"), ("spare", "succeeded")])
            }
            _ => assert_eq!(outcomes, [("spare", "succeeded")]),
        }
    }
}

#[test]
fn a3_when_all_candidates_fail_each_of_them_is_in_the_record() {
    let failing = server(|_| error(503, "overloaded_error", &[]));
    let refusing = server(|_| error(401, "invalid_api_key", &[]));
    let both =
        provider("local", &failing.base_url(), "") + &provider("spare", &refusing.base_url(), "");
    let bench = bench(&(both + &routes(&["local", "spare"], &["local"])));
    let done = generate(&bench);
    let failure = failed_by_ai(&done, When::First, "both");
    let attempts = failure["ai"]["attempts"].as_array().unwrap();
    let seen: Vec<_> =
        attempts.iter().map(|attempt| (&attempt["provider"], &attempt["status"])).collect();
    assert_eq!(seen, [(&"local".into(), &503.into()), (&"spare".into(), &401.into())]);
    assert_eq!(failure["ai"]["kind"], "auth", "the last one's");
    for text in ["the provider `spare` refused its key (401)", "`local`: overloaded"] {
        says(&failure, text, "both");
    }
    let causes = failure["ai"]["causes"].to_string();
    assert!(causes.contains("the provider `local` is overloaded or failing (503)"), "{causes}");
}

/// Outcomes of a call's attempts, in their order.
fn outcomes(attempts: &Value) -> Vec<&str> {
    let attempts = attempts.as_array().unwrap();
    attempts.iter().map(|attempt| attempt["outcome"].as_str().unwrap_or("?")).collect()
}

#[test]
fn e12_waiting_for_a_limit_is_in_the_trail() {
    let asked = Mutex::new(0);
    let server = server(move |_| {
        let mut asked = asked.lock().unwrap();
        *asked += 1;
        // A slow model: other calls wait as long for the only permit.
        std::thread::sleep(Duration::from_millis(30));
        if *asked < 4 { Answer::Good } else { error(401, "invalid_api_key", &[]) }
    });
    let limited = provider("local", &server.base_url(), "limits = { concurrency = 1 }");
    let bench = with_attempts(1, &(limited + &routes(&["local"], &["local"])));
    let done = generate(&bench);
    assert_eq!(done.code, 5, "{}", done.stdout);
    let record = done.json()["failure"].clone();
    let trail = record["trail"].as_array().unwrap();
    let calls: Vec<&Value> = trail.iter().filter(|entry| entry["call"] == "ai.complete").collect();
    let waited = |entry: &&&Value| entry["waited_ms"].as_u64().unwrap_or(0) > 0;
    assert!(calls.iter().any(|entry| !waited(&entry)), "the first one had the place: {calls:?}");
    assert!(calls.iter().any(|entry| waited(&entry)), "those behind it waited: {calls:?}");
}

#[test]
fn e12_what_passes_is_tried_again_and_the_order_succeeds() {
    let turn = Mutex::new(0);
    let server = server(move |call| {
        if call.model() != "strategy" {
            return Answer::Good;
        }
        let mut turn = turn.lock().unwrap();
        *turn += 1;
        match *turn {
            1 => error(429, "rate_limit_exceeded", &[("retry-after-ms", "120")]),
            2 => Answer::Half,
            3 => error(503, "overloaded_error", &[]),
            _ => Answer::Good,
        }
    });
    let bench = with_attempts(
        4,
        &(provider("local", &server.base_url(), "") + &routes(&["local"], &["local"])),
    );
    let done = generate(&bench);
    assert_eq!(done.code, 0, "{}", done.stdout);
    let report = done.json();
    let by_call = report["ai"]["by_call"].as_array().unwrap();
    let strategy = by_call.iter().find(|call| call["purpose"] == "strategy").unwrap();
    let attempts = &strategy["attempts"];
    assert_eq!(outcomes(attempts), ["rate_limited", "connection", "overloaded", "succeeded"]);
    assert_eq!(attempts[1]["backoff_ms"], 120, "as long as the provider asked: {attempts}");
    assert!(
        attempts[2]["backoff_ms"].as_u64().unwrap_or(0) <= 2,
        "its own wait is below its bound: {attempts}"
    );
    let calls = server.calls().iter().filter(|call| call.model() == "strategy").count();
    assert_eq!(calls, 4, "the failed attempts are the only further ones");
}

#[test]
fn e12_d4_what_cannot_pass_is_not_tried_again() {
    for (name, answer, attempts) in [
        ("a refused key", error(401, "invalid_api_key", &[]), 1),
        ("no credit", error(429, "insufficient_quota", &[]), 1),
        ("x-should-retry: false", error(503, "", &[("x-should-retry", "false")]), 1),
        (
            "a wait beyond the deadline",
            error(429, "rate_limit_exceeded", &[("retry-after", "86400")]),
            1,
        ),
        ("a cut at a token limit", reply("{\"positioning\": \"KEY and", "length"), 1),
        ("x-should-retry: true", error(400, "", &[("x-should-retry", "true")]), 3),
        ("an overloaded provider", error(503, "overloaded_error", &[]), 3),
    ] {
        let server = server(move |_| answer.clone());
        let bench = with_attempts(
            3,
            &(provider("local", &server.base_url(), "") + &routes(&["local"], &["local"])),
        );
        let failure = failed_by_ai(&generate(&bench), When::First, name);
        assert_eq!(
            failure["ai"]["attempts"].as_array().unwrap().len(),
            attempts,
            "{name}: {failure}"
        );
        assert_eq!(server.calls().len(), attempts, "{name}: as the server sees it");
    }
}

#[test]
fn e5_a_reply_of_another_shape_is_asked_for_once_more_with_the_reason() {
    let server = server(|call| match (call.model(), call.contains("cannot be used")) {
        ("strategy", false) => reply("{\"wrong\": true}", "stop"),
        _ => Answer::Good,
    });
    let bench =
        bench(&(provider("local", &server.base_url(), "") + &routes(&["local"], &["local"])));
    let done = generate(&bench);
    assert_eq!(done.code, 0, "{}", done.stdout);
    let report = done.json();
    let by_call = report["ai"]["by_call"].as_array().unwrap();
    let strategy = by_call.iter().find(|call| call["purpose"] == "strategy").unwrap();
    assert_eq!(outcomes(&strategy["attempts"]), ["schema_mismatch", "succeeded"]);
    assert_eq!(strategy["attempts"][1]["asked_again"], true);
    let asked: Vec<_> =
        server.calls().into_iter().filter(|call| call.model() == "strategy").collect();
    assert!(
        asked[1].contains("{\"wrong\": true}"),
        "the model sees what it wrote: {}",
        asked[1].body
    );
}
