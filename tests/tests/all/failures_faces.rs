//! The record's schema, its trail and its log event, and the limits in the report of successful
//! runs.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sitewright_model::failure::FailureKind;
use sitewright_tests::{ANY_ANSWER, Workbench, check_record, faulty, guest};

/// Answers every AI call after a delay, so that concurrent calls overlap.
const SLOWLY: &str = "[[rule]]\ndelay_ms = 50\nanswer = { text = \"a plain answer\" }\n";

/// A record of each kind that `generate` can produce, validated against the published schema.
#[test]
fn a5_a_record_of_each_kind_fits_the_published_schema() {
    let rows: [(&str, Value, &str, &str); 12] = [
        ("error", Value::Null, "", ANY_ANSWER),
        ("panic-str", Value::Null, "", ANY_ANSWER),
        ("oob", Value::Null, "", ANY_ANSWER),
        ("spin", Value::Null, "[limits]\ncpu_ms = 100", ANY_ANSWER),
        ("memory-bomb", Value::Null, "[limits]\nmemory_bytes = 33554432", ANY_ANSWER),
        ("many-files", Value::Null, "[limits]\nfiles = 3", ANY_ANSWER),
        ("calls-in-turn", Value::Null, "", ANY_ANSWER),
        ("sleep", Value::Null, "[limits]\ndeadline_ms = 300", ANY_ANSWER),
        (
            "ai-error",
            Value::Null,
            "",
            "[[rule]]\n[rule.answer.fault]\nstatus = 401\nbody = \"no\"\n",
        ),
        ("files", json!({ "files": { "index.html": "<a href=\"none.html\">" } }), "", ANY_ANSWER),
        ("report-flood", json!({ "n": 300, "then_fail": true }), "", ANY_ANSWER),
        (
            "stderr-flood",
            json!({ "then_fail": true }),
            "[ai.budget]\ncalls = 3\ntokens = 10\ncost_usd = \
             1.5\n[ai.prices.test]\ninput_per_million = 1\noutput_per_million = 1",
            ANY_ANSWER,
        ),
    ];
    let mut kinds = BTreeSet::new();
    let mut note = |record: &Value| {
        check_record(record);
        kinds.insert(record["kind"].as_str().unwrap().to_owned());
    };
    for (fault, parameters, configuration, rules) in rows {
        let bench = Workbench::scripted(rules, configuration);
        note(&bench.generate(&guest("guest-faulty"), &faulty(fault, parameters)).failure());
    }
    let bench = Workbench::scripted(ANY_ANSWER, "");
    note(&bench.generate(&guest("guest-faulty"), &json!({ "order": { "id": 7 } })).failure());
    let none = bench.write("empty.wasm", "");
    note(&bench.generate(&none, &faulty("ok", Value::Null)).failure());
    std::fs::create_dir_all(bench.sites().join("102")).unwrap();
    std::fs::write(bench.sites().join("102/staging"), "in the way").unwrap();
    note(
        &bench
            .generate(&guest("guest-faulty"), &faulty("big-file", json!({ "n": 300_000 })))
            .failure(),
    );
    // Records of interrupted runs and crashed workers: `failures::a6_…` and `orders_cli::c7_…`,
    // through the same check.
    let elsewhere =
        [FailureKind::Cancelled, FailureKind::Crashed].map(|kind| kind.as_str().to_owned());
    let all: BTreeSet<String> =
        FailureKind::ALL.into_iter().map(|kind| kind.as_str().to_owned()).collect();
    assert_eq!(kinds.union(&elsewhere.into()).cloned().collect::<BTreeSet<_>>(), all);
    let printed = bench.run(&["failures", "schema"]);
    assert_eq!((printed.code, &*printed.stdout), (0, sitewright_failure::schema::RECORD_SCHEMA));
}

fn record(fault: &str, parameters: Value, configuration: &str, rules: &str) -> Value {
    let bench = Workbench::scripted(rules, configuration);
    bench.generate(&guest("guest-faulty"), &faulty(fault, parameters)).failure()
}

fn calls<'a>(record: &'a Value, name: &str) -> Vec<&'a Value> {
    record["trail"].as_array().unwrap().iter().filter(|entry| entry["call"] == name).collect()
}

#[test]
fn a6_calls_side_by_side_are_known_by_their_numbers_and_their_tries_by_their_call() {
    let record = record("many-calls", json!({ "n": 4, "then_fail": true }), "", SLOWLY);
    let ai = calls(&record, "ai.complete");
    assert_eq!(ai.len(), 4);
    let ids: Vec<&str> = ai.iter().map(|call| call["call_id"].as_str().unwrap()).collect();
    let seqs: Vec<u64> = ai.iter().map(|call| call["seq"].as_u64().unwrap()).collect();
    assert!(seqs.is_sorted());
    // The first was answered after the last began, so all four overlapped.
    assert!(ai[0]["until"].as_u64().unwrap() >= seqs[3], "{:#}", record["trail"]);
    for call in &ai {
        assert!(
            call["bytes"].as_u64() > Some(0) && call["reply_bytes"] == "a plain answer".len(),
            "{call}"
        );
        let digest = call["digest"].as_str().unwrap();
        assert!(digest.len() == 12 && digest.chars().all(|c| c.is_ascii_hexdigit()), "{call}");
    }
    let digests: BTreeSet<&str> = ai.iter().map(|call| call["digest"].as_str().unwrap()).collect();
    assert_eq!(digests.len(), 4, "each asked something else");
    let tried: Vec<&str> = record["ai_calls"]
        .as_array()
        .unwrap()
        .iter()
        .map(|call| call["call_id"].as_str().unwrap())
        .collect();
    assert_eq!(tried, ids, "each call's tries are there, in the order of the calls");
    assert!(
        record["ai_calls"].as_array().unwrap().iter().all(|call| call["attempts"]
            .as_array()
            .unwrap()
            .len()
            == 1)
    );

    // Sequential calls: none overlapped another.
    let record =
        self::record("calls-in-turn", json!({ "n": 3, "then_fail": true }), "", ANY_ANSWER);
    let ai = calls(&record, "ai.complete");
    assert_eq!(ai.len(), 3);
    assert!(ai.iter().all(|call| call["until"] == call["seq"]), "{ai:#?}");
}

#[test]
fn a6_the_failed_calls_tries_are_in_the_record_beside_those_that_succeeded() {
    let record = record(
        "ai-error",
        Value::Null,
        "[ai.retry]\nattempts = 2\nbase_ms = 1\n",
        "[[rule]]\nanswer = { fault = { status = 503, body = \"busy\" } }",
    );
    let [call] = &record["ai_calls"].as_array().unwrap()[..] else { panic!("{record:#}") };
    assert_eq!(
        (&call["call_id"], &call["attempts"]),
        (&record["ai"]["call_id"], &record["ai"]["attempts"])
    );
    assert_eq!(call["attempts"].as_array().unwrap().len(), 2);
    assert_eq!(calls(&record, "ai.complete")[0]["call_id"], call["call_id"]);
}

#[test]
fn what_a_template_says_of_itself_pushes_nothing_out() {
    let floods = [
        ("log-flood", json!({ "n": 20_000, "then_fail": true })),
        ("report-flood", json!({ "n": 2_000, "then_fail": true })),
        ("progress-flood", json!({ "n": 20_000, "then_fail": true })),
        ("chatter-flood", json!({ "n": 5_000, "then_fail": true })),
    ];
    for (flood, mut parameters) in floods {
        parameters["ai_first"] = json!(true);
        let record = record(flood, parameters, "", ANY_ANSWER);
        assert_eq!(record["kind"], "template_error", "{flood}: {record:#}");
        let trail = record["trail"].as_array().unwrap();
        assert!(trail.len() <= sitewright_model::failure::TRAIL_LENGTH, "{flood}");
        assert_eq!(
            calls(&record, "ai.complete").len(),
            1,
            "{flood}: the call that matters is there"
        );
        assert_eq!(record["ai_calls"].as_array().unwrap().len(), 1, "{flood}");
        assert!(record["calls"].as_u64() > Some(2_000), "{flood}: {}", record["calls"]);
        assert!(trail.is_sorted_by_key(|entry| entry["seq"].as_u64()), "{flood}");
        let times: Vec<u64> = trail.iter().map(|entry| entry["at_ms"].as_u64().unwrap()).collect();
        assert!(times.is_sorted(), "{flood}: one timeline");
        // A report has the same `seq` in the trail and among the diagnostics.
        for report in calls(&record, "diagnostics.report") {
            let same = |diagnostic: &&Value| diagnostic["seq"] == report["seq"];
            let diagnostic = record["diagnostics"].as_array().unwrap().iter().find(same);
            assert_eq!(
                diagnostic.unwrap_or_else(|| panic!("{flood}: {report}"))["code"],
                report["args"]
            );
        }
        assert!(record.to_string().len() < 2 << 20, "{flood}: {}", record.to_string().len());
    }
}

#[test]
fn b8_a_failure_is_one_event_with_each_key_a_field() {
    let bench = Workbench::scripted(ANY_ANSWER, "");
    let order = bench
        .write("order.json", faulty("panic-escape", Value::Null).to_string())
        .display()
        .to_string();
    let template = guest("guest-faulty").display().to_string();
    let generate = [
        "--json",
        "--log",
        "warn",
        "--log-format",
        "json",
        "generate",
        "--template",
        &template,
        "--order",
        &order,
    ];
    let done = bench.run(&generate);
    let record = done.failure();
    let events: Vec<Value> = done
        .stderr
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|event| event.pointer("/fields/failure").is_some())
        .collect();
    let [event] = &events[..] else { panic!("one event: {}", done.stderr) };
    let fields = &event["fields"];
    for (field, pointer) in [
        ("failure", "/id"),
        ("kind", "/kind"),
        ("fingerprint", "/fingerprint"),
        ("order", "/order"),
        ("attempt", "/attempt"),
        ("trace_id", "/trace_id"),
        ("template", "/template/name"),
        ("version", "/template/version"),
        ("digest", "/template/digest"),
        ("stage", "/stage"),
        ("trap", "/trap/code"),
    ] {
        assert_eq!(Some(&fields[field]), record.pointer(pointer), "{field}: {event:#}");
        assert!(fields[field].is_string(), "{field}: {event:#}");
    }
    assert!(fields["frame"].as_str().unwrap().contains("errors.rs:"), "{event:#}");
    assert!(
        fields["message"].as_str().unwrap().starts_with("the template panicked: "),
        "{event:#}"
    );
    // Escape sequences of the guest do not reach a terminal, in any format.
    let done =
        bench.run(&["--log", "warn", "generate", "--template", &template, "--order", &order]);
    assert_eq!(done.code, 4);
    for text in [&done.stdout, &done.stderr] {
        assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'), "{text:?}");
    }
    let id = record["id"].as_str().unwrap();
    let commands: [&[&str]; 4] = [
        &["failures", "list"],
        &["failures", "list", "--flat"],
        &["failures", "show", id],
        &["failures", "show", id, "--markdown"],
    ];
    for command in commands {
        let text = bench.run(command).stdout;
        assert!(
            text.contains("a panic that turns")
                && !text.contains('\u{1b}')
                && !text.contains('\u{202e}'),
            "{text:?}"
        );
        let coloured = bench.run(&[&["--color", "always"], command].concat()).stdout;
        assert_eq!(coloured.contains("\u{1b}["), !command.contains(&"--markdown"), "{command:?}");
        assert!(!coloured.contains("\u{1b}[2J"), "{command:?}");
        assert!(
            !bench.run(&[&["--color", "never"], command].concat()).stdout.contains('\u{1b}'),
            "{command:?}"
        );
    }
}

#[test]
fn each_limit_is_told_on_success_too() {
    let bench = Workbench::scripted(
        ANY_ANSWER,
        "[ai.budget]\ncalls = 5\ncost_usd = 0.5\n[ai.prices.test]\ninput_per_million = \
         1\noutput_per_million = 1",
    );
    let order = faulty("ai-echo", Value::Null);
    let report = bench.generate(&guest("guest-faulty"), &order).json();
    assert_eq!(report["outcome"], "released", "{report:#}");
    let limits = report["usage"]["limits"].as_object().unwrap();
    assert_eq!(limits.len(), 15, "{limits:?}");
    for (name, measure) in limits {
        assert!(measure["max"].as_u64() > Some(0) && measure["used"].is_u64(), "{name}: {measure}");
    }
    assert_eq!(
        (&limits["ai_calls"]["used"], &limits["ai_budget_calls"]),
        (&json!(1), &json!({ "max": 5, "used": 1 }))
    );
    // The release's manifest has the usage of its run.
    let manifest = format!("102/manifests/{}.json", report["release"]["id"].as_str().unwrap());
    let manifest = std::fs::read(bench.sites().join(manifest)).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    assert_eq!(
        manifest["usage"]["limits"].as_object().unwrap().keys().collect::<Vec<_>>(),
        limits.keys().collect::<Vec<_>>()
    );
    for name in ["memory_bytes", "cpu_ms", "files", "total_bytes", "ai_calls"] {
        let [at_release, in_all] =
            [&manifest["usage"]["limits"][name], &report["usage"]["limits"][name]];
        assert_eq!(at_release, in_all, "{name}");
    }
    let file = bench.write("order.json", order.to_string()).display().to_string();
    let template = guest("guest-faulty").display().to_string();
    let text = bench.run(&["generate", "--template", &template, "--order", &file]).stdout;
    for says in
        ["ai_calls", "memory_bytes", "of 256 MiB", "files", "ai_budget_calls", "nothing used of"]
    {
        assert!(text.contains(says), "{says}: {text}");
    }
}
