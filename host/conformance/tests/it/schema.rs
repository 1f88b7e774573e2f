//! The published shape of a conformance report.

#![allow(clippy::unwrap_used, reason = "tests")]

use sitewright_conformance::report::{REPORT_SCHEMA, generated_schema};

/// The types are the truth. `INSTA_UPDATE=always` writes the file anew, as it does snapshots.
#[test]
fn the_published_schema_knows_every_field_of_the_report() {
    let text = serde_json::to_string_pretty(&generated_schema()).unwrap() + "\n";
    if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../schema/conformance-report.schema.json");
        return std::fs::write(file, text).unwrap();
    }
    assert!(
        REPORT_SCHEMA == text,
        "host/schema/conformance-report.schema.json is not what the types say"
    );
}
