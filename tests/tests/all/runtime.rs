//! Many simultaneous orders on one runtime: slots, cancelled and dropped attempts, and what they
//! free.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use serde_json::json;
use sitewright_model::ai::{AiError, AiErrorKind, CallId};
use sitewright_model::failure::FailureKind;
use sitewright_runtime::host_functions::{GuestState, RunTrace};
use sitewright_runtime::plugin::bindings::diagnostics;
use sitewright_runtime::plugin::bindings::types;
use sitewright_runtime::plugin::{Capture, Determinism, Limits, MemoryLimiter, sandbox};
use sitewright_tests::{ANY_ANSWER, root};
use tokio::sync::watch;

use crate::lab::{Lab, Started, failed, numbered_order, released};

/// Answers every call except one that contains `hang`, which is never answered.
const OR_HANG: &str = "[[rule]]\ncontains = [\"hang\"]\n[rule.answer]\nfault = { hang = true \
                       }\n[[rule]]\n[rule.answer]\ntext = \"a plain answer\"\n";

fn sources(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push((path.display().to_string(), fs::read_to_string(&path).unwrap()));
        }
    }
}

#[test]
fn c1_only_main_starts_a_runtime() {
    const STARTS: [&str; 4] = ["Runtime::new", "block_on", "Builder::new_", "#[tokio::main"];
    let mut files = Vec::new();
    for entry in fs::read_dir(root().join("host")).unwrap() {
        let source = entry.unwrap().path().join("src");
        if source.is_dir() {
            sources(&source, &mut files);
        }
    }
    assert!(files.len() > 200, "the host's sources are there");
    let places: Vec<_> = files
        .iter()
        .filter(|(path, text)| {
            STARTS.iter().any(|start| text.contains(start)) && !path.ends_with("/main.rs")
        })
        .map(|(path, _)| path)
        .filter(|path| !path.contains("/tests"))
        .collect();
    assert!(places.is_empty(), "{places:?}");

    let clippy = fs::read_to_string(root().join("clippy.toml")).unwrap();
    for method in [
        "tokio::runtime::Runtime::new",
        "tokio::runtime::Runtime::block_on",
        "tokio::runtime::Builder::new_multi_thread",
        "tokio::runtime::Builder::new_current_thread",
        "tokio::runtime::Handle::block_on",
        "tokio::task::block_in_place",
        "reqwest::Client::new",
    ] {
        assert!(clippy.contains(&format!("path = \"{method}\"")), "{method} is not forbidden");
    }
    let workspace = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert!(workspace.contains("disallowed_methods = \"deny\""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c1_two_hundred_orders_at_once_share_one_runtime_and_return_their_places() {
    // Far fewer slots than orders: orders wait for a slot, and one that is not returned would stop
    // them.
    let lab = Lab::new(Limits::default(), 16, ANY_ANSWER);
    for round in 0..2 {
        let started: Vec<_> = (0..200)
            .map(|number| lab.start(&numbered_order(number, "ai-echo", json!({}))))
            .collect();
        for attempt in started {
            let released = released(attempt.ended().await);
            assert_eq!(released.totals.ai_calls.len(), 1, "round {round}");
        }
        assert_eq!(lab.staged(), Vec::<String>::new(), "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c1_runs_cancelled_in_the_middle_of_an_ai_call_give_everything_back() {
    let lab = Lab::new(Limits::default(), 50, OR_HANG);
    let mut started: Vec<_> = (0..50)
        .map(|number| lab.start(&numbered_order(number, "ai-echo", json!({ "prompt": "hang" }))))
        .collect();
    for attempt in &mut started {
        attempt.runs().await;
    }
    started.iter().for_each(|attempt| attempt.cancel.cancel());
    for attempt in started {
        let record = failed(attempt.ended().await);
        assert_eq!(record.kind, FailureKind::Cancelled, "{}", record.message);
        assert!(
            record.message.as_str().contains("`fault`"),
            "the stage is named: {}",
            record.message
        );
    }
    let started: Vec<_> =
        (0..50).map(|number| lab.start(&numbered_order(number, "ai-echo", json!({})))).collect();
    for attempt in started {
        released(attempt.ended().await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_without_a_free_slot_waits_until_its_deadline_and_names_the_setting() {
    let lab = Lab::new(Limits::default(), 1, OR_HANG);
    let mut first = lab.start(&numbered_order(0, "ai-echo", json!({ "prompt": "hang" })));
    first.runs().await;
    let cancelled = lab.start(&numbered_order(1, "ok", json!({})));
    cancelled.cancel.cancel();
    assert_eq!(
        failed(cancelled.ended().await).kind,
        FailureKind::Cancelled,
        "one that waits can be cancelled"
    );

    let impatient = lab.with_limits(Limits { deadline_ms: 1_000, ..Limits::default() });
    let record = failed(Started::on(impatient, &numbered_order(2, "ok", json!({}))).ended().await);
    assert_eq!(record.kind, FailureKind::Deadline);
    for part in ["deadline of 1000 ms", "all 1 slots for runs were in use", "raise `concurrency`"] {
        assert!(record.message.as_str().contains(part), "{part} is missing: {}", record.message);
    }
    first.cancel.cancel();
    failed(first.ended().await);
    released(lab.start(&numbered_order(3, "ok", json!({}))).ended().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_without_a_free_slot_begins_when_one_is_free() {
    let lab = Lab::new(Limits::default(), 1, OR_HANG);
    let mut first = lab.start(&numbered_order(0, "ai-echo", json!({ "prompt": "hang" })));
    first.runs().await;
    let second = lab.start(&numbered_order(1, "ok", json!({})));
    let mut watcher = second.watcher.clone();
    watcher.wait_for(|progress| progress.stage == "run").await.unwrap();
    first.cancel.cancel();
    assert_eq!(failed(first.ended().await).kind, FailureKind::Cancelled);
    released(second.ended().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_attempt_leaves_no_staging_folder_behind() {
    let lab = Lab::new(Limits::default(), 4, OR_HANG);
    let mut dropped = Vec::new();
    // `files` writes and continues; `many-files` is dropped while it writes.
    for number in 0..4 {
        let mut attempt = lab.start(&numbered_order(number, "many-files", json!({ "n": 1_500 })));
        attempt.runs().await;
        dropped.push(attempt);
    }
    while lab.staged().len() < 4 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    for attempt in dropped {
        attempt.task.abort();
        assert!(attempt.task.await.is_err(), "it was still under way");
    }
    // The blocking pool removes it after the current write.
    tokio::time::timeout(Duration::from_secs(20), async {
        while !lab.staged().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap_or_else(|_| panic!("left behind: {:?}", lab.staged()));
    for order in fs::read_dir(lab.path().join("sites")).unwrap() {
        assert!(!order.unwrap().path().join("current").exists(), "nothing was released");
    }
    // The sweep removes what a dead process has left.
    let dead = lab.host.sites.path().join("1000/staging/01JDEAD");
    fs::create_dir_all(&dead).unwrap();
    let sites = lab.host.sites.clone();
    assert_eq!(tokio::task::spawn_blocking(move || sites.sweep()).await.unwrap().unwrap(), 1);
    assert!(!dead.exists());
    released(lab.start(&numbered_order(0, "ok", json!({}))).ended().await);
}

/// A guest's state and run trace, without a guest.
fn state() -> (GuestState, Arc<RunTrace>) {
    let limits = Limits::default();
    let (stdout, stderr) = (Capture::new(1_024), Capture::new(1_024));
    let log = Arc::new(RunTrace::new(&limits, watch::Sender::default()));
    let state = GuestState::new(
        sandbox(Determinism { seed: 0, start_unix_ms: 0 }, &stdout, &stderr),
        MemoryLimiter::new(limits.memory_bytes, Arc::new(AtomicU64::new(0))),
        log.clone(),
        None,
        None,
    );
    (state, log)
}

#[test]
fn what_a_template_reports_cannot_fill_a_record() {
    let (state, log) = state();
    let long = "ä".repeat(1 << 20);
    for _ in 0..300 {
        let attribute = types::Attribute { name: long.clone(), value: long.clone() };
        state
            .report(diagnostics::Diagnostic {
                severity: diagnostics::Severity::Info,
                code: long.clone(),
                message: long.clone(),
                causes: vec![long.clone(); 3],
                location: Some(types::SourceLocation { file: long.clone(), line: 1, column: None }),
                attributes: vec![attribute; 2],
            })
            .unwrap();
    }
    let (kept, total) = log.diagnostics();
    assert_eq!((kept.len(), total), (256, 300));
    let one = serde_json::to_string(&kept[0]).unwrap().len();
    assert!(one < 20_000, "{one} bytes in one diagnostic");
    assert!(!kept[0].message.as_str().is_empty());
}

#[test]
fn refused_ai_calls_cannot_fill_the_host() {
    let (_, log) = state();
    let failure = |number: u32| {
        AiError::before_any_attempt(
            Some(CallId::nth(number)),
            "copywriting",
            AiErrorKind::BudgetExceeded,
            sitewright_model::message!("the run has made its calls"),
        )
    };
    for number in 1..=100_000 {
        log.ai_failed(failure(number));
    }
    let kept = |number: u32| log.ai_failure(&format!("call-{number}")).is_some();
    assert!(
        kept(1) && kept(65) && kept(1_024) && kept(100_000),
        "those that a template can be expected to blame"
    );
    assert!(!kept(50_000) && !kept(99_999), "and no others");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ai_request_of_more_than_two_mebibytes_is_refused_and_one_below_is_not() {
    const MOST: usize = 2 << 20;
    // The purpose, and sixteen bytes for the message itself and for its part.
    let around = "copywriting".len() + 2 * 16;
    let lab = Lab::new(Limits { order_bytes: 8 << 20, ..Limits::default() }, 2, ANY_ANSWER);
    let ask = |number: usize, bytes: usize| {
        lab.start(&numbered_order(number, "ai-echo", json!({ "prompt": "x".repeat(bytes) })))
    };
    released(ask(1, MOST - around).ended().await);
    let record = failed(ask(2, MOST - around + 1).ended().await);
    assert_eq!(record.kind, FailureKind::Ai);
    let ai = record.ai.unwrap();
    assert_eq!(ai.kind, AiErrorKind::InvalidRequest);
    assert!(ai.message.as_str().contains("2097153 bytes; at most 2097152"), "{}", ai.message);
    assert!(ai.attempts.is_empty(), "nobody was asked");
    // What the host adds to data counts: the model gets it all.
    let data = |number: usize, parts: usize| {
        lab.start(&numbered_order(number, "ai-echo", json!({ "prompt": "x", "data": parts })))
    };
    released(data(3, MOST / 100).ended().await);
    let record = failed(data(4, MOST / 96).ended().await);
    assert_eq!(record.ai.unwrap().kind, AiErrorKind::InvalidRequest);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_template_says_of_its_failure_is_in_the_record() {
    let lab = Lab::new(Limits::default(), 1, ANY_ANSWER);
    let record = failed(lab.start(&numbered_order(1, "error", json!({}))).ended().await);
    assert_eq!(record.kind, FailureKind::TemplateError);
    assert_eq!(record.code.as_deref(), Some("missing-service"));
    assert_eq!(record.attributes.get("page").map(String::as_str), Some("services"));
}
