//! The published shape of a failure record.

#![allow(clippy::unwrap_used, reason = "tests")]

use serde_json::{Value, json};
use sitewright_failure::schema;
use sitewright_model::failure::{FailureKind, FailureRecord, OfAttempt};
use sitewright_model::message;

fn published() -> Value {
    serde_json::from_str(schema::RECORD_SCHEMA).unwrap()
}

/// The types are the truth. `INSTA_UPDATE=always` writes the file anew, as it does snapshots.
#[test]
fn the_published_schema_knows_every_field_of_the_record() {
    let text = serde_json::to_string_pretty(&schema::generated()).unwrap() + "\n";
    if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../schema/failure-record.schema.json");
        return std::fs::write(file, text).unwrap();
    }
    assert!(
        schema::RECORD_SCHEMA == text,
        "host/schema/failure-record.schema.json is not what the types say"
    );
}

fn record(kind: FailureKind) -> Value {
    let of = OfAttempt {
        order: "24".to_owned(),
        job: None,
        attempt: "A".to_owned(),
        trace_id: "T".to_owned(),
        template: "bakery".to_owned(),
        config_version: "C".to_owned(),
    };
    serde_json::to_value(FailureRecord::without_run(kind, message!("it did not work out"), of))
        .unwrap()
}

#[test]
fn a_record_of_each_kind_is_valid_and_a_broken_one_is_not() {
    let schema = published();
    assert!(jsonschema::draft202012::meta::is_valid(&schema));
    let validator = jsonschema::validator_for(&schema).unwrap();
    for kind in FailureKind::ALL {
        let record = record(kind);
        assert!(validator.is_valid(&record), "{record:#}");
        assert!(serde_json::from_value::<FailureRecord>(record).is_ok());
    }
    // What a reader of the next version adds does not trouble one that holds records against this
    // schema.
    let mut newer = record(FailureKind::Trap);
    newer["something_new"] = json!({ "a": 1 });
    assert!(validator.is_valid(&newer));
    let broken: [(&str, Value); 9] = [
        ("/version", json!(3)),
        ("/kind", json!("misfortune")),
        ("/message", json!("")),
        ("/message", json!("  ")),
        ("/causes", json!([""])),
        ("/trail", json!([{ "seq": 1 }])),
        (
            "/diagnostics",
            json!([{ "at_ms": 1, "severity": "bad", "code": "c", "message": "m", "causes": [] }]),
        ),
        ("/limits", json!({ "cpu_ms": { "max": -1, "used": 0 } })),
        ("/template", json!("bakery")),
    ];
    for (pointer, value) in broken {
        let mut record = record(FailureKind::Trap);
        *record.pointer_mut(pointer).unwrap() = value.clone();
        assert!(!validator.is_valid(&record), "{pointer} {value}");
        // The schema says no more than the reader does, except the version, which a reader refuses
        // in words of its own.
        assert!(
            pointer == "/version" || serde_json::from_value::<FailureRecord>(record).is_err(),
            "{pointer} {value}"
        );
    }
}

#[test]
fn a_record_of_a_newer_version_is_refused_with_words() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("newer.json");
    let mut newer = record(FailureKind::Trap);
    newer["version"] = json!(3);
    newer["kind"] = json!("misfortune");
    std::fs::write(&file, newer.to_string()).unwrap();
    let says = "was written by a newer Sitewright (record version 3, this one reads at most 2)";
    let refused = sitewright_failure::store::read(&file).unwrap_err().to_string();
    assert!(refused.contains(says), "{refused}");
    let refused = sitewright_failure::store::read_brief(&file).unwrap_err().to_string();
    assert!(refused.contains(says), "{refused}");
}
