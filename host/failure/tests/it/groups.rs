//! Which failures are the same bug.

#![allow(clippy::unwrap_used, reason = "tests")]

use serde_json::{Value, json};
use sitewright_failure::fingerprint;
use sitewright_failure::group::{Brief, Filter, Groups};
use sitewright_model::failure::FailureRecord;

type Change = fn(&mut Value);

/// A trap in `bakery::menu::prices`, changed as `change` says.
fn trap(change: impl FnOnce(&mut Value)) -> FailureRecord {
    let frame = |function: &str, file: &str, line: u32, own: bool| json!({ "function": function, "file": file, "line": line, "column": 9, "own": own, "offset": line * 100 });
    let mut record = json!({
        "version": 2,
        "id": "01J0000000000000000000000A",
        "time": "2026-11-23T08:00:00Z",
        "order": "102",
        "attempt": "01J0000000000000000000000B",
        "trace_id": "0192000000000000000000000000000b",
        "template": { "name": "bakery", "version": "1.4.0", "digest": "sha256:aa" },
        "host_build": "0.1.0+0123456789ab",
        "config_version": "0123456789ab",
        "kind": "trap",
        "message": "the template was stopped: wasm trap: out of bounds memory access",
        "causes": [],
        "hint": "this is a bug",
        "stage": "write pages",
        "trap": {
            "code": "out_of_bounds",
            "message": "wasm trap: out of bounds memory access",
            "frames": [
                frame("core::ptr::read_volatile", "rust/library/core/src/ptr/mod.rs", 1, false),
                frame("bakery::menu::prices::{closure#1}", "plugins/bakery/src/menu.rs", 41, true),
                frame("bakery::menu::prices", "plugins/bakery/src/menu.rs", 30, true),
                frame("bakery::generate", "plugins/bakery/src/lib.rs", 12, true),
                frame("poll", "rust/library/core/src/future/poll_fn.rs", 151, false),
            ],
        },
        "trail": [], "diagnostics": [], "log": { "text": "", "dropped_bytes": 0 }, "stderr": "", "limits": {},
    });
    change(&mut record);
    serde_json::from_value(record).unwrap()
}

#[test]
fn the_same_bug_in_a_rebuilt_template_is_the_same() {
    let first = fingerprint::of(&trap(|_| ()));
    assert!(first.len() == 16 && first.chars().all(|c| c.is_ascii_hexdigit()), "{first}");
    let changes: [(&str, Change); 7] = [
        ("another build, order, time", |record| {
            for key in [
                "id",
                "order",
                "attempt",
                "trace_id",
                "host_build",
                "config_version",
                "time",
                "stage",
            ] {
                record[key] = json!("something else");
            }
            record["template"]["version"] = json!("2.0.0");
            record["template"]["digest"] = json!("sha256:bb");
        }),
        ("other lines and offsets", |record| {
            for frame in record["trap"]["frames"].as_array_mut().unwrap() {
                (frame["line"], frame["offset"], frame["column"]) =
                    (json!(999), json!(1), Value::Null);
            }
        }),
        ("built in another folder", |record| {
            for frame in record["trap"]["frames"].as_array_mut().unwrap() {
                let file = frame["file"].as_str().unwrap().replace("plugins/", "/home/somebody/");
                frame["file"] = json!(file);
            }
        }),
        ("a closure before it", |record| {
            record["trap"]["frames"][1]["function"] = json!("bakery::menu::prices::{closure#2}");
        }),
        ("other frames of libraries", |record| {
            let frames = record["trap"]["frames"].as_array_mut().unwrap();
            frames.remove(0);
            frames.pop();
        }),
        ("recursion of another depth", |record| {
            let frames = record["trap"]["frames"].as_array_mut().unwrap();
            let again = frames[1].clone();
            frames.insert(1, again.clone());
            frames.insert(1, again);
        }),
        ("another fingerprint written down", |record| {
            record["fingerprint"] = json!("0000000000000000")
        }),
    ];
    for (name, change) in changes {
        assert_eq!(fingerprint::of(&trap(change)), first, "{name}");
    }
}

#[test]
fn different_bugs_are_different() {
    let changes: [(&str, Change); 9] = [
        ("nothing", |_| ()),
        ("another function", |record| {
            record["trap"]["frames"][1]["function"] = json!("bakery::menu::dishes")
        }),
        ("called from elsewhere", |record| {
            record["trap"]["frames"][2]["function"] = json!("bakery::home::page")
        }),
        ("another file", |record| {
            record["trap"]["frames"][1]["file"] = json!("plugins/bakery/src/home.rs")
        }),
        ("another kind", |record| record["kind"] = json!("panic")),
        ("another trap", |record| record["trap"]["code"] = json!("divide_by_zero")),
        ("other words", |record| {
            record["message"] = json!("the template was stopped: something else")
        }),
        ("another code", |record| record["code"] = json!("c")),
        ("another template", |record| record["template"]["name"] = json!("florist")),
    ];
    let mut seen: Vec<(String, &str)> = Vec::new();
    for (name, change) in changes {
        let fingerprint = fingerprint::of(&trap(change));
        if let Some((_, same)) = seen.iter().find(|(other, _)| *other == fingerprint) {
            panic!("{name} is the same as {same}");
        }
        seen.push((fingerprint, name));
    }
}

/// What is of one order only: pairs of records that are the same, and one that is not.
#[test]
fn what_a_message_says_of_one_order_only_does_not_count() {
    let error = |message: &str, code: &str| {
        trap(|record| {
            (record["kind"], record["trap"]) = (json!("template_error"), Value::Null);
            (record["message"], record["code"]) = (json!(message), json!(code));
        })
    };
    let rejected = |rules: &[&str]| {
        let problem = |rule: &&str| json!({ "at": "a/b.html:3", "rule": rule, "message": "m" });
        trap(|record| {
            (record["kind"], record["trap"]) = (json!("output_rejected"), Value::Null);
            record["message"] = json!(format!("the site was rejected: {} problems", rules.len()));
            record["problems"] = rules.iter().map(problem).collect();
        })
    };
    let ai = |template: &str, said: &str, provider: &str, status: u16| {
        trap(|record| {
            (record["kind"], record["trap"]) = (json!("ai"), Value::Null);
            record["template"]["name"] = json!(template);
            record["message"] = json!(format!("{said}: the provider `{provider}` is overloaded"));
            record["ai"] = json!({
                "kind": "overloaded", "message": format!("the provider `{provider}` is overloaded"), "call_id": "call-7", "purpose": "copywriting",
                "retryable": true, "attempts": [{
                    "provider": provider, "model": "m", "started_ms": 1, "status": status, "duration_ms": 1, "outcome": "overloaded",
                    "message": "m", "usage": {},
                }],
            });
        })
    };
    // What an open circuit breaker rejects has the cause that opened it.
    let unsent = |opened_by: u16| {
        let provider = "first";
        let rejected = "the provider `first` is overloaded: nothing was sent, it failed 5 times";
        trap(|record| {
            (record["kind"], record["trap"]) = (json!("ai"), Value::Null);
            record["message"] = json!(rejected);
            record["ai"] = json!({
                "kind": "overloaded", "message": rejected, "call_id": "call-8",
                "purpose": "copywriting", "retryable": true, "attempts": [{
                    "provider": provider, "model": "m", "started_ms": 1, "duration_ms": 0,
                    "outcome": "overloaded", "not_sent": true, "message": rejected, "usage": {},
                    "opened_by": {
                        "status": opened_by,
                        "message": format!("the provider `{provider}` is overloaded"),
                    },
                }],
            });
        })
    };
    // Its words are not in the record, and have the group all the same.
    let without_words = |opened_by: u16| {
        let mut record = unsent(opened_by);
        let opened = record.ai.as_mut().unwrap().attempts[0].opened_by.as_mut().unwrap();
        let shown = sitewright_model::message!("the provider failed");
        opened.words = Some(std::mem::replace(&mut opened.message, shown));
        assert!(!json!(opened).to_string().contains("overloaded"), "{opened:?}");
        record
    };
    let rows = [
        (ai("bakery", "x", "first", 503), unsent(503), unsent(529)),
        (ai("bakery", "x", "first", 503), without_words(503), without_words(529)),
        (
            error("no dish 3 of \"Soup\" in /tmp/x/y, call 01M8357K477S54PXCWJ5Y3G5CR", "c"),
            error("no dish 12 of \"Cake\" in /srv/z, call 01M8357K477S54PXCWJ5Y3GZZZ", "c"),
            error("no drink 3 of \"Soup\" in /tmp/x/y, call 01M8357K477S54PXCWJ5Y3G5CR", "c"),
        ),
        (error("unusable", "a"), error("unusable", "a"), error("unusable", "b")),
        (
            rejected(&["language", "broken-reference"]),
            rejected(&["broken-reference", "language", "language"]),
            rejected(&["language"]),
        ),
        // A provider that is away is one failure, whatever each template says of it.
        (
            ai("bakery", "while baking", "first", 503),
            ai("florist", "no flowers", "first", 503),
            ai("bakery", "while baking", "second", 503),
        ),
        (
            ai("bakery", "x", "first", 503),
            ai("bakery", "y", "first", 503),
            ai("bakery", "x", "first", 500),
        ),
    ];
    for (one, same, other) in rows {
        let [one, same, other] =
            [one, same, other].map(|record| (fingerprint::of(&record), record.message.to_string()));
        assert_eq!(one.0, same.0, "{} and {}", one.1, same.1);
        assert_ne!(one.0, other.0, "{} and {}", one.1, other.1);
    }
}

#[test]
fn a_thousand_equal_failures_are_one_group_with_a_count() {
    let mut groups = Groups::default();
    for number in 0..1_000 {
        groups.add(Brief::of(&trap(|record| {
            record["id"] = json!(format!("01J000000000000000000{number:05}"));
            record["order"] = json!(format!("order-{}", number % 40));
            record["time"] = json!(format!("2026-11-23T08:{:02}:00Z", number % 60));
        })));
    }
    groups.add(Brief::of(&trap(|record| record["kind"] = json!("panic"))));
    let mut groups = groups.finish();
    groups.sort_by_key(|(group, _)| group.count);
    let (many, orders) = groups.pop().unwrap();
    assert_eq!((groups.len(), many.count, many.orders, orders.len()), (1, 1_000, 40, 40));
    assert_eq!(many.newest, "01J00000000000000000000999");
    assert_eq!(many.last_at - many.first_at, 59 * 60_000);
    assert_eq!(
        many.frame.as_deref(),
        Some("plugins/bakery/src/menu.rs:41 in bakery::menu::prices::{closure#1}")
    );
}

#[test]
fn a_filter_keeps_what_it_names() {
    let brief = Brief::of(&trap(|_| ()));
    let filter = |change: fn(&mut Filter)| {
        let mut filter = Filter::default();
        change(&mut filter);
        filter.fits(&brief)
    };
    assert!(filter(|_| ()));
    assert!(
        filter(|filter| filter.kind = Some("trap".to_owned()))
            && !filter(|filter| filter.kind = Some("ai".to_owned()))
    );
    assert!(
        filter(|filter| filter.template = Some("bakery".to_owned()))
            && !filter(|filter| filter.template = Some("b".to_owned()))
    );
    assert!(
        filter(|filter| filter.order = Some("102".to_owned()))
            && !filter(|filter| filter.order = Some("1".to_owned()))
    );
    assert!(
        filter(|filter| filter.since = Some(1_795_420_800_000))
            && !filter(|filter| filter.since = Some(1_795_420_800_001))
    );
}
