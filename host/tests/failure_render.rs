//! A failure record as a report on a terminal, line by line.

#![allow(clippy::unwrap_used, reason = "tests")]

use serde_json::{Value, json};
use sitewright::failure::{FailureRecord, render};

/// A record of `kind` with the fields of `more` on top, as a reader would load it from its file.
fn record(kind: &str, more: Value) -> FailureRecord {
    let advice = serde_json::from_value::<sitewright::failure::FailureKind>(json!(kind)).unwrap().advice();
    let mut record = json!({
        "version": 1,
        "id": "01J0000000000000000000000A",
        "time": "2026-11-23T08:00:00Z",
        "order": "102",
        "attempt": "01J0000000000000000000000B",
        "trace_id": "0192000000000000000000000000000b",
        "template": {
            "name": "bakery",
            "version": "1.4.0",
            "digest": "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        },
        "host_build": "0.1.0+0123456789ab",
        "config_version": "0123456789ab",
        "kind": kind,
        "message": "the order failed",
        "causes": [],
        "advice": advice,
        "stage": "write pages",
        "trail": [],
        "diagnostics": [],
        "log": { "text": "", "dropped_bytes": 0 },
        "stderr": "",
        "limits": {
            "ai_calls": { "max": 64, "used": 3 },
            "cpu_ms": { "max": 10_000, "used": 8_500 },
            "deadline_ms": { "max": 600_000, "used": 12_345 },
            "memory_bytes": { "max": 268_435_456, "used": 1_182_352 },
            "total_bytes": { "max": 2_000, "used": 2_255 },
        },
    });
    record.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(record).unwrap()
}

/// The report without colours, at 100 columns.
fn report(record: &FailureRecord) -> String {
    anstream::adapter::strip_str(&render::terminal(record, 100)).to_string()
}

fn frame(function: &str, file: Option<&str>, line: u32, own: bool) -> Value {
    match file {
        Some(file) => json!({ "function": function, "file": file, "line": line, "own": own }),
        None => json!({ "function": function, "own": own }),
    }
}

fn panicked() -> FailureRecord {
    record(
        "panic",
        json!({
            "message": "the template panicked: index out of bounds: the len is 3 but the index is 7",
            "panic": "index out of bounds: the len is 3 but the index is 7",
            "location": { "file": "plugins/bakery/src/menu.rs", "line": 41, "column": 9 },
            "progress": { "done": 2, "total": 5 },
            "trap": {
                "code": "unreachable",
                "message": "wasm trap: wasm `unreachable` instruction executed",
                "frames": [
                    frame("abort", None, 0, false),
                    frame("core::panicking::panic_fmt", Some("rust/library/core/src/panicking.rs"), 80, false),
                    frame("bakery::menu::prices", Some("plugins/bakery/src/menu.rs"), 41, true),
                    frame("<bakery::Bakery as sitewright_sdk::Template>::generate", Some("plugins/bakery/src/lib.rs"), 12, true),
                    frame("poll", Some("rust/library/core/src/future/poll_fn.rs"), 151, false),
                ],
            },
            "trail": [
                { "seq": 1, "at_ms": 3, "call": "diagnostics.progress", "args": "write pages 2/5", "duration_us": 4, "outcome": "ok" },
                {
                    "seq": 2, "at_ms": 10, "call": "ai.complete", "args": "copywriting text, 2 messages of 812 bytes, sha256 0a1b2c3d4e5f",
                    "duration_us": 2_310_000, "outcome": "ok", "call_id": "call-1",
                },
                { "seq": 3, "at_ms": 2_330, "call": "ai.complete", "args": "copywriting text", "outcome": "in_flight", "call_id": "call-2" },
            ],
            "stderr": "thread '<unnamed>' (1) panicked at plugins/bakery/src/menu.rs:41:9:\nindex out of bounds\n",
            "log": { "text": "INFO three prices\n", "dropped_bytes": 0 },
        }),
    )
}

fn ai_failed() -> FailureRecord {
    let attempt = |provider: &str, status: Option<u16>, outcome: &str, excerpt: Option<&str>| {
        json!({
            "provider": provider, "model": "some-model", "started_ms": 1_795_000_000_000_u64, "status": status,
            "request_id": status.map(|_| "req-7"), "body_excerpt": excerpt, "duration_ms": 1_250,
            "outcome": outcome, "message": "the provider failed", "usage": {},
        })
    };
    record(
        "ai",
        json!({
            "message": "the page `services` could not be written",
            "causes": ["AI call failed (overloaded): the provider `second` is overloaded (HTTP 503)", "the root of it"],
            "code": "ai-overloaded",
            "ai": {
                "kind": "overloaded",
                "message": "the provider `second` is overloaded (HTTP 503); it was asked for the route `default`",
                "call_id": "call-2",
                "purpose": "copywriting",
                "attempts": [
                    attempt("first", None, "timeout", None),
                    attempt("second", Some(503), "overloaded", Some("{\n  \"error\": \"try \u{1b}[31mlater\"\n}")),
                ],
                "retryable": true,
            },
            "trail": [{
                "seq": 1, "at_ms": 3, "call": "ai.complete", "args": "copywriting text", "duration_us": 2_500_000,
                "outcome": { "error": "overloaded: the provider `second` is overloaded" }, "call_id": "call-2",
            }],
        }),
    )
}

fn rejected() -> FailureRecord {
    record(
        "output_rejected",
        json!({
            "message": "the site was rejected: 2 problems in 1 file",
            "stage": "checks",
            "problems": [
                {
                    "at": "index.html:12", "rule": "broken-reference",
                    "message": "the link leads to `about.html`, which the site does not have; write that file or change the link: <a href=\"about.html\">",
                },
                { "at": "index.html", "rule": "language", "message": "the page has no `lang`" },
            ],
            "diagnostics": [{
                "at_ms": 5, "severity": "warning", "code": "short-menu", "message": "the menu has one dish", "causes": ["the order names one"],
            }],
        }),
    )
}

#[test]
fn a_panic_shows_the_authors_line_first() {
    insta::assert_snapshot!(report(&panicked()));
}

#[test]
fn an_ai_failure_shows_every_attempt() {
    insta::assert_snapshot!(report(&ai_failed()));
}

#[test]
fn a_rejected_site_shows_every_problem() {
    insta::assert_snapshot!(report(&rejected()));
}

#[test]
fn nothing_a_guest_or_provider_wrote_reaches_the_terminal_as_a_command() {
    // A provider's escape sequence arrives as text that a terminal only shows.
    let report_of_ai = render::terminal(&ai_failed(), 100);
    assert!(report_of_ai.contains("\u{fffd}[31mlater") && !report_of_ai.contains("\u{1b}[31mlater"));
    for record in [panicked(), ai_failed(), rejected()] {
        let plain = report(&record);
        assert!(!plain.chars().any(|c| c.is_control() && c != '\n'), "{plain:?}");
        assert!(plain.lines().all(|line| line.chars().count() <= 130), "{plain}");
    }
}

#[test]
fn a_record_has_the_names_that_others_rely_on() {
    let json = serde_json::to_value(panicked()).unwrap();
    for pointer in [
        "/kind",
        "/message",
        "/causes",
        "/stage",
        "/trap/code",
        "/trap/frames/1/function",
        "/trap/frames/1/file",
        "/trap/frames/1/line",
        "/trap/frames/1/own",
        "/panic",
        "/trail/0/call",
        "/diagnostics",
        "/stderr",
        "/limits/cpu_ms/max",
        "/limits/cpu_ms/used",
        "/order",
        "/attempt",
        "/template/name",
        "/template/version",
        "/template/digest",
        "/host_build",
    ] {
        assert!(json.pointer(pointer).is_some(), "{pointer}");
    }
    let json = serde_json::to_value(ai_failed()).unwrap();
    for name in ["provider", "model", "status", "request_id", "body_excerpt", "duration_ms", "outcome"] {
        assert!(json.pointer(&format!("/ai/attempts/1/{name}")).is_some(), "{name}");
    }
    assert!(json.pointer("/ai/kind").is_some());
}
