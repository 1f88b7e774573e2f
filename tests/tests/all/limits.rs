//! Each limit with a value just below and just above it. Below, the run succeeds; above, the record
//! names the limit and the usage (catalogue F2).

use futures::future::select_all;
use serde_json::{Value, json};
use sitewright_runtime::run::AttemptId;
use sitewright_tests::{ANY_ANSWER, Done, Workbench, faulty, guest, order};
use tokio::sync::watch;

use crate::failures::only_record;
use crate::inside;

fn generate(configuration: &str, order: &Value) -> (Workbench, Done) {
    let bench = Workbench::scripted(ANY_ANSWER, configuration);
    let done = bench.generate(&guest("guest-faulty"), order);
    (bench, done)
}

/// Size of the page that the faulty template writes after its fault.
const PAGE_BYTES: u64 = 415;

#[test]
fn f2_each_limit_lets_pass_what_is_just_below_and_refuses_what_is_just_above() {
    let long = |bytes: usize| json!({ "files": { "a".repeat(bytes - 5) + ".html": "x" } });
    let mebibyte = 1_u64 << 20;
    let rows: [(&str, u64, &str, Value, Value, &str, u64); 7] = [
        // (limit, its value, fault, below, above, kind, used above)
        ("files", 4, "many-files", json!({ "n": 3 }), json!({ "n": 5 }), "output_limit", 5),
        (
            "file_bytes",
            1_000,
            "big-file",
            json!({ "n": 1_000 }),
            json!({ "n": 1_001 }),
            "output_limit",
            1_001,
        ),
        (
            "total_bytes",
            2_000,
            "big-file",
            json!({ "n": 2_000 - PAGE_BYTES }),
            json!({ "n": 2_001 }),
            "output_limit",
            2_001,
        ),
        ("path_bytes", 64, "files", long(64), long(65), "output_limit", 65),
        ("ai_calls", 3, "calls-in-turn", json!({ "n": 3 }), json!({ "n": 4 }), "call_limit", 4),
        (
            "memory_bytes",
            8 * mebibyte,
            "memory-bomb",
            json!({ "n": 6 }),
            json!({ "n": 7 }),
            "memory_limit",
            0,
        ),
        ("cpu_ms", 500, "ok", Value::Null, Value::Null, "cpu_limit", 500),
    ];
    for (limit, max, fault, below, above, kind, used) in rows {
        let configuration = format!("[limits]\n{limit} = {max}");
        let (_, done) = generate(&configuration, &faulty(fault, below));
        if limit == "path_bytes" {
            // A site of one oddly named page is rejected by the checks, not by the limit.
            assert_eq!(done.code, 6, "{limit}: {}", done.stdout);
        } else {
            assert_eq!(done.code, 0, "{limit}: {}", done.stdout);
            assert_eq!(done.json()["usage"]["limits"][limit]["max"], max, "{limit}");
        }

        let fault = if limit == "cpu_ms" { "spin" } else { fault };
        let (bench, done) = generate(&configuration, &faulty(fault, above));
        assert_eq!(done.code, 4, "{limit}: {}", done.stdout);
        let record = only_record(&bench, &done);
        assert_eq!(record["kind"], kind, "{limit}: {record:#}");
        let measure = &record["limits"][limit];
        assert_eq!(measure["max"], max, "{limit}");
        let measured = measure["used"].as_u64().unwrap();
        assert!(measured >= max && (used == 0 || measured >= used), "{limit}: {measure}");
        if kind == "output_limit" || kind == "call_limit" {
            assert_eq!(measured, used, "{limit}: what was asked for and refused");
            let text = format!("{} {}", record["message"], record["causes"]);
            assert!(text.contains(&max.to_string()), "{limit}: the record names the limit: {text}");
        } else {
            let text = record["message"].as_str().unwrap();
            assert!(text.contains(&max.to_string()), "{limit}: the record names the limit: {text}");
        }
    }
}

#[test]
fn f2_all_files_together_are_counted_and_not_each_alone() {
    // The big file fits, and so does the page, but not both.
    let (bench, done) =
        generate("[limits]\ntotal_bytes = 2000", &faulty("big-file", json!({ "n": 1_900 })));
    let record = only_record(&bench, &done);
    assert_eq!(record["kind"], "output_limit");
    assert_eq!(
        record["limits"]["total_bytes"],
        json!({ "max": 2_000, "used": 1_900 + PAGE_BYTES })
    );
}

#[test]
fn f2_paths_have_at_most_255_bytes_by_default() {
    let path = |bytes: usize| format!("{}/{}.txt", "d".repeat(100), "f".repeat(bytes - 105));
    let paths = [path(255), path(256)];
    let (_, done) = generate("", &faulty("paths", json!({ "paths": paths })));
    assert_eq!(done.code, 0, "{}", done.stdout);
    let diagnostics = &done.json()["release"]["diagnostics"];
    assert_eq!([&diagnostics[0]["code"], &diagnostics[1]["code"]], ["written", "invalid-path"]);
    assert!(
        diagnostics[1]["message"]
            .as_str()
            .unwrap()
            .contains("256 bytes, more than the limit of 255")
    );
}

#[test]
fn f2_sixty_four_calls_are_answered_and_the_sixty_fifth_is_not() {
    for (calls, refused) in [(64, 0), (65, 1)] {
        let (_, done) = generate("", &faulty("many-calls", json!({ "n": calls })));
        assert_eq!(done.code, 0, "{}", done.stdout);
        let report = done.json();
        assert_eq!(report["ai"]["calls"], 64);
        let diagnostics = report["release"]["diagnostics"].as_array().unwrap();
        assert_eq!(diagnostics.len(), refused);
        assert!(
            diagnostics.iter().all(|diagnostic| diagnostic["code"] == "budget-exceeded"),
            "{diagnostics:?}"
        );
    }
}

#[test]
fn f2_a_document_has_at_most_a_mebibyte() {
    let limit = 1 << 20;
    let plain = order("02-dentist-us-minimal");
    let locale = "en".parse().unwrap();
    let snapshot = sitewright_intake::load(plain.to_string().as_bytes(), 1 << 20, &locale).unwrap();
    // The limit applies to the document as sent and as passed to the template. `,"padding":""` is
    // added.
    let bytes = plain.to_string().len().max(snapshot.document().len()) + r#","padding":"""#.len();
    for (more, exit) in [(0, 0), (64, 3)] {
        let mut padded = plain.clone();
        padded["onboarding"]["padding"] = json!("x".repeat(limit - bytes - 64 + 2 * more));
        let (bench, done) = generate("", &padded);
        assert_eq!(done.code, exit, "{more}: {}", &done.stdout[..done.stdout.len().min(2_000)]);
        if exit == 3 {
            let record = only_record(&bench, &done);
            assert_eq!(record["limits"]["order_bytes"]["max"], limit);
            assert!(record["message"].as_str().unwrap().contains("at most 1048576 are allowed"));
        }
    }
}

#[test]
fn f2_of_log_stderr_and_diagnostics_the_newest_is_kept() {
    let flood = |fault: &str, n: u32| {
        let configuration = "[limits]\nlog_bytes = 4096\nstderr_bytes = 4096";
        let (bench, done) =
            generate(configuration, &faulty(fault, json!({ "n": n, "then_fail": true })));
        let record = only_record(&bench, &done);
        assert_eq!(record["code"], "then-fail", "a flood is no reason to fail");
        record
    };

    // Three lines of a little more than 1,000 bytes fit in 4 KiB, ten do not.
    for (n, whole) in [(3, true), (10, false)] {
        let record = flood("stderr-flood", n);
        let kept = record["stderr"].as_str().unwrap();
        assert!(
            kept.trim_end().rsplit('\n').next().unwrap().starts_with(&format!("line {} -", n - 1)),
            "{kept}"
        );
        assert_eq!(kept.contains("line 0 -"), whole);
        let used = record["limits"]["stderr_bytes"]["used"].as_u64().unwrap();
        assert_eq!((kept.len() as u64 == used, used <= 4_096), (whole, whole));
        assert!(kept.len() <= 4_096);

        let record = flood("log-flood", n);
        let (kept, dropped) = (
            record["log"]["text"].as_str().unwrap(),
            record["log"]["dropped_bytes"].as_u64().unwrap(),
        );
        assert!(
            kept.trim_end().rsplit('\n').next().unwrap().contains(&format!("line {} -", n - 1)),
            "{kept}"
        );
        assert_eq!((kept.contains("line 0 -"), dropped == 0), (whole, whole));
        assert_eq!(record["limits"]["log_bytes"]["used"], kept.len() as u64 + dropped);
        assert!(kept.len() <= 4_096);
    }

    for n in [256, 257] {
        let record = flood("report-flood", n);
        let kept = record["diagnostics"].as_array().unwrap();
        assert_eq!(kept.len(), 256);
        assert_eq!(kept[0]["message"], format!("diagnostic {}", n - 256));
        assert_eq!(kept[255]["message"], format!("diagnostic {}", n - 1));
        assert_eq!(record["limits"]["diagnostics"], json!({ "max": 256, "used": n }));
        assert_eq!(
            record["trail"].as_array().unwrap().len(),
            256,
            "the trail keeps the newest as well"
        );
    }
}

/// With a paused clock, which advances only when all tasks wait, a millisecond decides on any
/// machine.
#[tokio::test(start_paused = true)]
async fn f2_a_run_may_take_its_deadline_and_not_a_millisecond_more() {
    for (deadline_ms, kind) in [(5_001, "released"), (4_999, "deadline")] {
        let bench = Workbench::scripted(
            "[[rule]]\ndelay_ms = 5000\nanswer = { text = \"late\" }",
            &format!("[limits]\ndeadline_ms = {deadline_ms}"),
        );
        let host = inside::host(&bench, 1);
        let outcome = inside::run(&host, &faulty("ai-echo", Value::Null), AttemptId::new()).await;
        assert_eq!(inside::ended(&outcome), kind);
        if let sitewright_runtime::run::Outcome::Failed { record, .. } = outcome {
            let used = record.limits["deadline_ms"];
            assert_eq!((used.max, used.used), (deadline_ms, deadline_ms));
            let last = record.trail.last().unwrap();
            assert_eq!((last.call.as_str(), last.duration_us), ("ai.complete", None), "{last:?}");
        }
    }
}

/// Twice as many endless loops as threads, and a healthy run that begins when all of them compute.
/// It must end before they do; its duration does not matter.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c4_guests_that_spin_for_ever_delay_nobody() {
    let bench = Workbench::scripted(ANY_ANSWER, "[limits]\ncpu_ms = 2000");
    let host = inside::host(&bench, 8);
    let start = |fault: &'static str, number: u64| {
        let (host, progress) = (host.clone(), watch::Sender::default());
        let stages = progress.subscribe();
        let mut order = faulty(fault, Value::Null);
        order["order"]["id"] = json!(number);
        let run = tokio::spawn(async move {
            let outcome = inside::watched(&host, &order, AttemptId::new(), progress).await;
            (fault, inside::ended(&outcome))
        });
        (run, stages)
    };

    let mut runs = Vec::new();
    let mut spinning = Vec::new();
    for number in 0..4 {
        let (run, stages) = start("spin", 1_000 + number);
        runs.push(run);
        spinning.push(stages);
    }
    for mut stages in spinning {
        // Its last host call before the loop. A guest that never yields would stop the others from
        // reaching it.
        stages.wait_for(|progress| progress.stage == "fault").await.unwrap();
    }
    runs.push(start("ok", 2_000).0);

    let (first, _, others) = select_all(runs).await;
    assert_eq!(
        first.unwrap(),
        ("ok", "released".to_owned()),
        "the healthy run was the first to end"
    );
    for other in others {
        assert_eq!(other.await.unwrap(), ("spin", "cpu_limit".to_owned()));
    }
}
