//! The published shape of a record.

/// The JSON Schema of a failure record, as it is published:
/// `host/schema/failure-record.schema.json`.
pub const RECORD_SCHEMA: &str = include_str!("../../schema/failure-record.schema.json");

/// The schema that the types say. A test holds it against the published one.
pub fn generated() -> serde_json::Value {
    schemars::schema_for!(sitewright_model::failure::FailureRecord).to_value()
}
