//! Records that a host of version 1 of the format wrote, as its disk and its database have them.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use serde_json::{Value, json};
use sitewright_failure::group::Brief;
use sitewright_failure::{fingerprint, render, schema, store};
use sitewright_model::ai::{AiErrorKind, AttemptOutcome, Limit};
use sitewright_model::failure::{FailureKind, FailureRecord, RECORD_VERSION};

const RECORDS: [(&str, &str); 4] = [
    ("rate_limited", include_str!("version_1/rate_limited.json")),
    ("no_route", include_str!("version_1/no_route.json")),
    ("trap", include_str!("version_1/trap.json")),
    ("template_error", include_str!("version_1/template_error.json")),
];

fn raw(name: &str) -> Value {
    let text = RECORDS.into_iter().find(|(of, _)| *of == name).unwrap().1;
    serde_json::from_str(text).unwrap()
}

fn read(record: Value) -> FailureRecord {
    store::parse(record, Path::new("version 1")).unwrap()
}

#[test]
fn every_field_of_an_old_record_is_in_the_record_that_is_read() {
    let validator =
        jsonschema::validator_for(&serde_json::from_str(schema::RECORD_SCHEMA).unwrap()).unwrap();
    for (name, text) in RECORDS {
        let old = raw(name);
        assert_eq!(old["version"], 1, "{name}");
        let record = read(old.clone());
        assert_eq!(record.version, RECORD_VERSION, "{name}");
        assert_eq!(record.hint.as_str(), old["advice"], "{name}");
        let new = serde_json::to_value(&record).unwrap();
        assert!(validator.is_valid(&new), "{name}: {new:#}");
        let back: FailureRecord = serde_json::from_value(new.clone()).unwrap();
        assert_eq!(back, record, "{name}");

        let mut expected = old;
        let fields = expected.as_object_mut().unwrap();
        fields["version"] = json!(RECORD_VERSION);
        let hint = fields.remove("advice").unwrap();
        fields.insert("hint".to_owned(), hint);
        match name {
            "rate_limited" => {
                expected["ai"]["kind"] = json!("rate_limited");
                for of in ["/ai", "/ai_calls/0"] {
                    let pointer = format!("{of}/attempts/0/outcome");
                    *expected.pointer_mut(&pointer).unwrap() = json!("rate_limited");
                }
            }
            "no_route" => {
                let ai = expected["ai"].as_object_mut().unwrap();
                ai.insert("kind".to_owned(), json!("no_route"));
                assert_eq!(ai.remove("call_id"), Some(json!("none")));
            }
            _ => {}
        }
        assert_eq!(new, expected, "{name}");

        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("record.json");
        std::fs::write(&file, text).unwrap();
        assert_eq!(store::read(&file).unwrap(), record, "{name}");
        let brief = Brief { file: Some(file.clone()), ..Brief::of(&record) };
        assert_eq!(store::read_brief(&file).unwrap(), brief, "{name}");
    }
}

/// The groups of `failures list` go on counting the same bug across an upgrade of the host.
#[test]
fn the_fingerprint_is_the_one_that_the_old_host_wrote() {
    for (name, _) in RECORDS {
        let mut old = raw(name);
        let written = old["fingerprint"].as_str().unwrap().to_owned();
        assert_eq!(fingerprint::of(&read(old.clone())), written, "{name}");
        // Hosts before fingerprints wrote none.
        old.as_object_mut().unwrap().remove("fingerprint");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("record.json");
        std::fs::write(&file, old.to_string()).unwrap();
        assert_eq!(store::read_brief(&file).unwrap().fingerprint, written, "{name}");
    }
}

#[test]
fn names_in_kebab_case_are_read() {
    let mut old = raw("rate_limited");
    old["ai"]["attempts"][0]["limit"] = json!("first-byte");
    let record = read(old.clone());
    let ai = record.ai.unwrap();
    assert_eq!(ai.kind, AiErrorKind::RateLimited);
    assert_eq!(ai.attempts[0].limit, Some(Limit::FirstByte));
    for kind in AiErrorKind::ALL {
        old["ai"]["kind"] = json!(kind.as_str());
        old["ai"]["attempts"][0]["outcome"] = json!(kind.as_str());
        let ai = read(old.clone()).ai.unwrap();
        let outcome = AttemptOutcome::Failed(kind);
        assert_eq!((ai.kind, ai.attempts[0].outcome), (kind, outcome));
        let name = kind.as_str().replace('-', "_");
        assert_eq!(serde_json::to_value(outcome).unwrap(), json!(name));
    }
    old["ai"]["attempts"][0]["outcome"] = json!("succeeded");
    let ai = read(old.clone()).ai.unwrap();
    assert_eq!(ai.attempts[0].outcome, AttemptOutcome::Succeeded);
    old["ai"]["attempts"][0]["outcome"] = json!("misfortune");
    assert!(store::parse(old, Path::new("version 1")).is_err());
}

#[test]
fn an_old_record_is_shown_like_a_new_one() {
    let report = |name: &str| {
        let record = read(raw(name));
        anstream::adapter::strip_str(&render::terminal(&record, 100)).to_string()
    };
    let hint = FailureKind::Ai.hint().split(';').next().unwrap();
    let limited = report("rate_limited");
    for says in [hint, "AI call call-1 for `copywriting`: rate-limited", "HTTP 429"] {
        assert!(limited.contains(says), "{limited}");
    }
    let no_route = report("no_route");
    assert!(no_route.contains("AI call for `strategy`: no-route"), "{no_route}");
}

#[test]
fn what_is_not_a_record_of_version_1_is_refused() {
    for pointer in ["/advice", "/kind", "/ai/kind", "/trail"] {
        let mut old = raw("rate_limited");
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        old.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(field);
        let refused = store::parse(old, Path::new("old.json")).unwrap_err().to_string();
        assert!(refused.starts_with("old.json is not a failure record"), "{pointer}: {refused}");
    }
    for other in [json!([]), json!("x"), json!({ "version": 1 }), json!({ "version": 0 })] {
        assert!(store::parse(other, Path::new("other")).is_err());
    }
}
