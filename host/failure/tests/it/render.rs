//! A failure record as a report on a terminal, line by line.

#![allow(clippy::unwrap_used, reason = "tests")]

use serde_json::{Value, json};
use sitewright_failure::render;
use sitewright_model::failure::FailureRecord;

/// A record of `kind` with the fields of `more` on top, as a reader would load it from its file.
fn record(kind: &str, more: Value) -> FailureRecord {
    let hint = serde_json::from_value::<sitewright_model::failure::FailureKind>(json!(kind))
        .unwrap()
        .hint();
    let mut record = json!({
        "version": 2,
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
        "hint": hint,
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

fn attempt(provider: &str, status: Option<u16>, outcome: &str, excerpt: Option<&str>) -> Value {
    let message = (outcome != "succeeded").then_some("the provider failed");
    json!({
        "provider": provider, "model": "some-model", "started_ms": 1_795_000_000_000_u64, "status": status,
        "request_id": status.map(|_| "req-7"), "body_excerpt": excerpt, "duration_ms": 1_250,
        "outcome": outcome, "message": message, "usage": {},
    })
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
                    "seq": 2, "at_ms": 10, "call": "ai.complete", "args": "copywriting text, 2 messages of 812 bytes",
                    "bytes": 845, "digest": "0a1b2c3d4e5f", "reply_bytes": 1_433,
                    "duration_us": 2_310_000, "until": 4, "outcome": "ok", "call_id": "call-1",
                },
                {
                    "seq": 3, "at_ms": 11, "call": "ai.complete", "args": "copywriting text, 2 messages of 700 bytes",
                    "duration_us": 80_000, "until": 3, "outcome": "ok", "call_id": "call-2",
                },
                { "seq": 4, "at_ms": 330, "call": "ai.complete", "args": "copywriting text", "outcome": "in_flight", "call_id": "call-3" },
                { "seq": 5, "at_ms": 2_400, "call": "diagnostics.report", "args": "short-menu", "duration_us": 3, "until": 5, "outcome": "ok" },
                { "seq": 6, "at_ms": 2_401, "call": "site.write", "args": "menu.html (12 bytes)", "duration_us": 900, "until": 6, "outcome": "ok" },
            ],
            "calls": 1_204,
            "ai_calls": [{
                "call_id": "call-1", "purpose": "copywriting", "attempts": [
                    attempt("first", Some(429), "rate_limited", Some("slow down")),
                    attempt("second", Some(200), "succeeded", None),
                ],
            }],
            "diagnostics": [
                { "at_ms": 1, "severity": "info", "code": "numberless", "message": "of a host that gave no numbers", "causes": [] },
                { "seq": 5, "at_ms": 2_400, "severity": "warning", "code": "short-menu", "message": "the menu has one dish", "causes": ["the order names one"] },
            ],
            "fingerprint": "3fa9c1d2e4b5a697",
            "stderr": "thread '<unnamed>' (1) panicked at plugins/bakery/src/menu.rs:41:9:\nindex out of bounds\n",
            "log": { "text": "INFO three prices\n", "dropped_bytes": 0 },
        }),
    )
}

fn ai_failed() -> FailureRecord {
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
fn a_panic_as_markdown_for_an_issue() {
    insta::assert_snapshot!(render::markdown(&panicked()));
}

#[test]
fn an_ai_failure_as_markdown_for_an_issue() {
    insta::assert_snapshot!(render::markdown(&ai_failed()));
}

#[test]
fn a_rejected_site_as_markdown_for_an_issue() {
    insta::assert_snapshot!(render::markdown(&rejected()));
}

#[test]
fn a_failure_in_brief() {
    let brief = [panicked(), ai_failed(), rejected()]
        .map(|record| render::in_brief(&record, 80))
        .join("---\n");
    insta::assert_snapshot!(anstream::adapter::strip_str(&brief).to_string());
}

/// Text that a guest, a model or a provider could write to repaint a terminal, turn a line round or
/// leave a block of code.
const HOSTILE: [&str; 12] = [
    "\u{1b}[2J\u{1b}[31mred\u{1b}]0;title\u{7}",
    "\u{9b}31m and \u{8d}",
    "over\rwritten\u{8}\u{8}\u{7f}",
    "\u{202e}desrever\u{2066}isolated",
    "line\u{2028}separator\u{2029}",
    "zero\u{200b}width\u{feff}\u{e0041}",
    "```\n# heading\n```text",
    "`` ` ```` `",
    "\n\n</details><script>alert(1)</script><img src=x>",
    "@everyone [link](javascript:alert(1)) #1 ![i](x) | a | b |",
    "- [ ] item\n> quote\n\n***\n    indented",
    "nul\0and\ttab",
];

/// A record with this text in every field that can contain untrusted text.
fn hostile(text: &str) -> FailureRecord {
    let said = format!("said: {text}");
    let mut record = record(
        "panic",
        json!({
            "order": text, "job": text, "attempt": text, "trace_id": text, "host_build": text, "config_version": text, "id": text, "time": text,
            "fingerprint": text,
            "template": { "name": text, "version": text, "digest": text },
            "message": said, "causes": [said], "hint": said, "panic": text, "code": text, "stage": text,
            "attributes": { text: text },
            "location": { "file": text, "line": 1 },
            "trap": {
                "code": "unreachable", "message": text, "symbols_missing": text,
                "frames": [{ "function": text, "file": text, "line": 1, "own": true }, { "function": text, "own": false }],
            },
            "ai": {
                "kind": "auth", "message": said, "call_id": "call-9", "purpose": text, "causes": [said], "retryable": false,
                "attempts": [attempt(text, Some(401), "auth", Some(text))],
            },
            "problems": [{ "at": text, "rule": text, "message": text }],
            "trail": [
                { "seq": 1, "at_ms": 1, "call": text, "args": text, "outcome": { "error": text }, "duration_us": 1, "call_id": text },
                { "seq": 2, "at_ms": 1, "call": "ai.complete", "args": text, "outcome": "in_flight", "call_id": "call-2" },
            ],
            "ai_calls": [{ "call_id": "call-2", "purpose": text, "attempts": [attempt(text, Some(500), "overloaded", Some(text))] }],
            "diagnostics": [{ "at_ms": 1, "severity": "error", "code": text, "message": said, "causes": [said] }],
            "log": { "text": text, "dropped_bytes": 0 }, "stderr": text, "stdout": text,
        }),
    );
    record.limits.insert(format!("zz {text}"), record.limits["cpu_ms"]);
    record
}

/// What a terminal obeys, or what makes a line read as another.
fn is_dangerous(c: char) -> bool {
    (c.is_control() && c != '\n')
        || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200b}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

#[test]
fn nothing_that_somebody_else_wrote_reaches_the_terminal_as_a_command() {
    for text in HOSTILE {
        let record = hostile(text);
        let styled = render::terminal(&record, 100) + &render::in_brief(&record, 100);
        // Without the colours that are ours, no escape is left.
        let plain = anstream::adapter::strip_str(&styled).to_string();
        assert!(!plain.chars().any(is_dangerous), "{text:?}: {plain:?}");
        let ours = |sequence: &str| {
            let end = sequence.find('m').unwrap_or(0);
            sequence[..end].chars().all(|c| c.is_ascii_digit() || c == ';' || c == '[')
        };
        assert!(styled.split('\u{1b}').skip(1).all(ours), "{text:?}: {styled:?}");
        assert!(render::markdown(&record).chars().all(|c| !is_dangerous(c)), "{text:?}");
    }
}

#[test]
fn nothing_that_somebody_else_wrote_is_markup_in_an_issue() {
    use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};
    let structure = |record: &FailureRecord| {
        let markdown = render::markdown(record);
        let mut shape = Vec::new();
        let mut in_code = false;
        let options =
            Options::ENABLE_TABLES | Options::ENABLE_TASKLISTS | Options::ENABLE_STRIKETHROUGH;
        for event in Parser::new_ext(&markdown, options) {
            match event {
                Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(kind))) => {
                    assert_eq!(&*kind, "text", "{markdown}");
                    in_code = true;
                }
                Event::End(TagEnd::CodeBlock) => in_code = false,
                Event::Text(_) if in_code => {}
                Event::Code(_) => shape.push("code".to_owned()),
                // Only the host's own words are text.
                Event::Text(text) => assert!(!text.contains("said"), "{markdown}"),
                Event::Html(html) | Event::InlineHtml(html) => shape.push(format!("html {html}")),
                Event::Start(tag) => {
                    assert!(!matches!(tag, Tag::Link { .. } | Tag::Image { .. }), "{markdown}");
                    shape.push(format!("{tag:?}"));
                }
                other => shape.push(format!("{other:?}")),
            }
        }
        shape
    };
    for text in HOSTILE {
        let record = hostile(text);
        assert_eq!(structure(&record), structure(&hostile("calm")), "{text:?}");
    }
    // An issue of GitHub's holds 65,536 characters.
    let mut large = hostile(&"x".repeat(200_000));
    large.stderr = "line\n".repeat(100_000);
    large.log.text = "line\n".repeat(100_000);
    let size = render::markdown(&large).chars().count();
    assert!(size < 65_536, "{size}");
}

#[test]
fn a_report_keeps_to_the_width_of_the_terminal() {
    let mut records = vec![panicked(), ai_failed(), rejected()];
    let mut wide = panicked();
    wide.stderr = "東京タワー ".repeat(100);
    records.push(wide);
    // A terminal narrower than the second is treated like it.
    for width in [10, 72, 80, 100, 160] {
        for record in &records {
            let report = render::terminal(record, width) + &render::in_brief(record, width);
            let plain = anstream::adapter::strip_str(&report).to_string();
            for line in plain.lines() {
                let columns = unicode_width::UnicodeWidthStr::width(line);
                assert!(columns <= width.max(72), "{width}: {columns}: {line}");
            }
        }
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
    for name in
        ["provider", "model", "status", "request_id", "body_excerpt", "duration_ms", "outcome"]
    {
        assert!(json.pointer(&format!("/ai/attempts/1/{name}")).is_some(), "{name}");
    }
    assert!(json.pointer("/ai/kind").is_some());
}
