//! The world `template-sync`: blocking AI calls give the same results as async ones, and a
//! guest that waits does not block other guests.

use std::fs;

use futures::future::join_all;
use serde_json::{Value, json};
use sitewright_model::failure::FailureKind;
use sitewright_runtime::host_functions::RunProgress;
use sitewright_runtime::plugin::{Cache, Engine, Limits, Loader};
use sitewright_runtime::run::{AttemptId, Outcome, attempt};
use sitewright_tests::{ANY_ANSWER, Workbench, faulty, guest};
use tempfile::TempDir;
use tokio::sync::watch;

use crate::inside;

/// Each question has its own answer; the first takes longest.
const SLOW: &str = r#"
[[rule]]
contains = ["question 1."]
delay_ms = 1000
answer = { text = "one" }

[[rule]]
contains = ["question 2."]
delay_ms = 600
answer = { text = "two" }

[[rule]]
delay_ms = 200
answer = { text = "another" }
"#;

/// The third question fails.
const FAILING: &str = r#"
[[rule]]
contains = ["question 3."]
answer = { fault = { status = 401 } }

[[rule]]
answer = { text = "a plain answer" }
"#;

fn blocking(fault: &str, parameters: Value) -> Value {
    faulty(fault, parameters)
}

fn numbered(fault: &str, number: u64) -> Value {
    let mut order = blocking(fault, Value::Null);
    order["order"]["id"] = json!(number);
    order
}

async fn run(host: &sitewright_runtime::run::Services, order: &Value) -> Outcome {
    let request =
        inside::request("guest-blocking", order, AttemptId::new(), watch::Sender::default());
    attempt(host, request).await
}

#[tokio::test(start_paused = true)]
async fn calls_of_one_complete_all_are_in_flight_together_and_answered_in_their_order() {
    // Eight calls take as long as the slowest.
    let bench = Workbench::scripted(SLOW, "[limits]\ndeadline_ms = 1001");
    let host = inside::host(&bench, 1);
    let outcome = run(&host, &blocking("all", Value::Null)).await;
    assert_eq!(inside::ended(&outcome), "released");
    let page = fs::read_to_string(bench.sites().join("102/current/index.html")).unwrap();
    let paragraphs: Vec<&str> =
        page.lines().filter(|line| line.starts_with("<p>") && line.ends_with("</p>")).collect();
    let others = ["<p>another</p>"; 6];
    assert_eq!(paragraphs, [&["<p>one</p>", "<p>two</p>"], others.as_slice()].concat());

    // In sequence they take the sum of all: 1000 + 600 + 6 x 200.
    for (deadline_ms, kind) in [(2_801, "released"), (2_799, "deadline")] {
        let bench = Workbench::scripted(SLOW, &format!("[limits]\ndeadline_ms = {deadline_ms}"));
        let outcome = run(&inside::host(&bench, 1), &blocking("in-turn", Value::Null)).await;
        assert_eq!(inside::ended(&outcome), kind);
        if let Outcome::Failed { record, .. } = outcome {
            let last = record.trail.last().unwrap();
            assert_eq!(
                (last.call.as_str(), last.duration_us),
                ("ai-sync.complete", None),
                "{last:?}"
            );
            assert!(
                record.message.as_str().contains("waiting for ai-sync.complete"),
                "{}",
                record.message
            );
        }
    }
}

/// They wait in the host for the last one, which the guest's own memory does not show.
#[tokio::test]
async fn replies_that_wait_for_each_other_count_as_memory() {
    let rules = format!("[[rule]]\nanswer = {{ text = \"{}\" }}\n", "w".repeat(1 << 20));
    for (replies, is_stopped) in [(1, false), (24, true)] {
        let bench = Workbench::scripted(&rules, "[limits]\nmemory_bytes = 20971520");
        let order = blocking("regardless", json!({ "n": replies }));
        let outcome = run(&inside::host(&bench, 1), &order).await;
        let Outcome::Failed { record, .. } = outcome else {
            assert!(!is_stopped, "{replies} replies have a site");
            continue;
        };
        let by_host = record.message.as_str().contains("AI requests in flight");
        assert_eq!(by_host, is_stopped, "{replies} replies: {}", record.message);
        assert!(!is_stopped || record.kind == FailureKind::MemoryLimit, "{}", record.kind);
    }
}

/// All guests share one thread: a guest that blocks it while it waits would stop the others
/// until the deadline.
#[tokio::test(start_paused = true)]
async fn guests_that_wait_share_a_thread() {
    let bench = Workbench::scripted(SLOW, "[limits]\ndeadline_ms = 1001");
    let host = inside::host(&bench, 200);
    let orders: Vec<Value> = (0..200).map(|number| numbered("all", 3_000 + number)).collect();
    let outcomes = join_all(orders.iter().map(|order| run(&host, order))).await;
    for outcome in outcomes {
        assert_eq!(inside::ended(&outcome), "released");
    }
}

#[tokio::test]
async fn a_run_that_is_cancelled_ends_in_the_middle_of_its_calls() {
    let rules = "[[rule]]\nanswer = { fault = { hang = true } }\n";
    let bench = Workbench::scripted(rules, "");
    let host = inside::host(&bench, 1);
    for (fault, call, open) in
        [("all", "ai-sync.complete-all", 8), ("in-turn", "ai-sync.complete", 1)]
    {
        let (progress, mut stages) = watch::channel(RunProgress::default());
        let request = inside::request(
            "guest-blocking",
            &blocking(fault, Value::Null),
            AttemptId::new(),
            progress,
        );
        let cancel = request.cancel.clone();
        let cancelling = async {
            stages.wait_for(|progress| progress.stage == "fault").await.unwrap();
            cancel.cancel();
        };
        let (outcome, ()) = tokio::join!(attempt(&host, request), cancelling);
        assert_eq!(inside::ended(&outcome), "cancelled", "{fault}");
        let Outcome::Failed { record, .. } = outcome else { panic!("{fault}") };
        let in_flight = record.trail.iter().filter(|entry| entry.duration_us.is_none());
        let in_flight: Vec<&str> = in_flight.map(|entry| entry.call.as_str()).collect();
        assert_eq!(in_flight, vec![call; open], "{fault}");
        // Its slot is free: the next run gets the only one.
        let next = run(&host, &blocking("ok", Value::Null)).await;
        assert_eq!(inside::ended(&next), "released", "{fault}");
    }
}

/// (fault, parameters, rules, configuration, exit code, kind, part of the message)
type Row = (&'static str, Value, &'static str, &'static str, i32, &'static str, &'static str);

fn rows() -> Vec<Row> {
    vec![
        ("ok", json!({}), ANY_ANSWER, "", 0, "released", ""),
        ("all", json!({ "n": 20 }), SLOW, "", 0, "released", ""),
        ("same", json!({}), ANY_ANSWER, "", 0, "released", ""),
        ("all", json!({}), FAILING, "", 5, "ai", "401"),
        ("in-turn", json!({}), FAILING, "", 5, "ai", "401"),
        ("after-an-answer", json!({}), ANY_ANSWER, "", 4, "template_error", "no site was made"),
        (
            "all",
            json!({ "n": 9 }),
            ANY_ANSWER,
            "[limits]\nai_calls = 8",
            4,
            "call_limit",
            "ai_calls",
        ),
        ("regardless", json!({ "n": 9 }), ANY_ANSWER, "[limits]\nai_calls = 8", 0, "released", ""),
        ("regardless", json!({ "n": 1_024 }), ANY_ANSWER, "", 0, "released", ""),
        ("regardless", json!({ "n": 1_025 }), ANY_ANSWER, "", 4, "trap", "takes at most 1024"),
        ("panic", json!({}), ANY_ANSWER, "", 4, "panic", "a panic after Ok(\"a plain answer\")"),
        (
            "hoard",
            json!({}),
            ANY_ANSWER,
            "[limits]\nmemory_bytes = 33554432",
            4,
            "memory_limit",
            "33554432",
        ),
    ]
}

#[test]
fn every_end_has_its_record_and_happens_again() {
    for (fault, parameters, rules, configuration, code, kind, message) in rows() {
        let bench = Workbench::scripted(rules, configuration);
        let name = format!("{fault} {parameters} {configuration}");
        let done = bench.generate(&guest("guest-blocking"), &blocking(fault, parameters));
        assert_eq!(done.code, code, "{name}: {}{}", done.stdout, done.stderr);
        let attempt = match code {
            0 => done.json()["usage"]["attempt"].as_str().unwrap().to_owned(),
            _ => {
                let record = done.failure();
                assert_eq!(record["kind"], kind, "{name}: {record:#}");
                let text = record["message"].as_str().unwrap();
                assert!(text.contains(message), "{name}: {text}");
                record["attempt"].as_str().unwrap().to_owned()
            }
        };
        let again = bench.run(&["--json", "replay", &attempt]);
        assert_eq!(again.code, 0, "{name}: {}{}", again.stdout, again.stderr);
        let report = again.json();
        assert_eq!(report["verdict"], "reproduced", "{name}: {report:#}");
        assert_eq!(
            (&report["first_call"], &report["recorded"]),
            (&Value::Null, &report["now"]),
            "{name}"
        );
    }
}

#[test]
fn a_failed_call_is_blamed_and_the_others_are_not_paid_again() {
    let bench = Workbench::scripted(FAILING, "");
    let done = bench.generate(&guest("guest-blocking"), &blocking("all", Value::Null));
    let record = done.failure();
    assert_eq!(record["ai"]["call_id"], "call-3", "{record:#}");
    let trail = record["trail"].as_array().unwrap();
    let calls: Vec<&Value> =
        trail.iter().filter(|entry| entry["call"] == "ai-sync.complete-all").collect();
    assert_eq!(calls.len(), 8);

    bench.write(
        "ai.toml",
        "[[rule]]\ncontains = [\"question 3.\"]\nanswer = { text = \"at last\" }\n",
    );
    let attempt = record["attempt"].as_str().unwrap();
    let order = bench.path().join("order.json");
    let template = guest("guest-blocking");
    let again = bench.run(&[
        "--json",
        "generate",
        "--template",
        &template.to_string_lossy(),
        "--order",
        &order.to_string_lossy(),
        "--resume",
        attempt,
    ]);
    assert_eq!(again.code, 0, "{}{}", again.stdout, again.stderr);
}

#[test]
fn a_template_that_spins_is_stopped() {
    let bench = Workbench::scripted(ANY_ANSWER, "[limits]\ncpu_ms = 200");
    let record = bench.generate(&guest("guest-blocking"), &blocking("spin", Value::Null)).failure();
    assert_eq!(record["kind"], "cpu_limit");
    assert_eq!(record["template"]["name"], "blocking");
}

#[test]
fn inspect_tells_the_world() {
    let bench = Workbench::scripted(ANY_ANSWER, "");
    // The guest `blocking` is built for version 0.1.0: it stays loadable.
    for (name, version, world, outlook) in [
        ("guest-blocking", "0.1.0", "template-sync", "0.2.0 would give: "),
        ("guest-minimal", "0.2.0", "template", "the newest there is)\n"),
    ] {
        let file = guest(name);
        let report = bench.run(&["--json", "template", "inspect", &file.to_string_lossy()]).json();
        assert_eq!(
            (&report["contract"], &report["world"]),
            (&json!(format!("sitewright:template@{version}")), &json!(world))
        );
        let text = bench.run(&["template", "inspect", &file.to_string_lossy()]).stdout;
        assert!(
            text.contains(&format!("sitewright:template@{version}, world {world} ({outlook}")),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_component_that_fits_a_world_only_partly_is_rejected_with_that_world() {
    let folder = TempDir::new().unwrap();
    let limits = Limits::default();
    let loader = Loader::new(Engine::new(&limits, 1).unwrap(), Cache::off(), limits).unwrap();
    let generator = |world: &str| {
        format!(
            "(component (instance $it) (export \"sitewright:template/{world}@0.1.0\" (instance \
             $it)))"
        )
    };
    for (component, world) in
        [(generator("generator-sync"), "template-sync"), (generator("generator"), "template")]
    {
        let path = folder.path().join(format!("{world}.wasm"));
        fs::write(&path, wat::parse_str(&component).unwrap()).unwrap();
        let Err(error) = loader.load(&path).await else { panic!("{component} was loaded") };
        let causes: Vec<String> = error.causes().iter().map(ToString::to_string).collect();
        let causes = causes.join(": ");
        for part in
            ["does not fit the contract", "describe", &format!("against the world `{world}`")]
        {
            assert!(causes.contains(part), "{part:?} is missing: {causes}");
        }
    }
}
