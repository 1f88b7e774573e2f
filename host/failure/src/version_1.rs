//! Records of version 1 as records of version 2.
//!
//! | version 1 | version 2 |
//! |---|---|
//! | `advice` | `hint` |
//! | `ai.call_id` is `none` if no call was made | `ai.call_id` is missing |
//! | AI error kinds and time limits in kebab case: `rate-limited`, `first-byte` | in snake case |
//!
//! The names in kebab case need no change here: the types read both, because journals and
//! recordings have them too.

use serde_json::Value;
use sitewright_model::ai::CallId;
use sitewright_model::failure::RECORD_VERSION;

/// The record with the fields of the current version. What is not a record of version 1 stays as it
/// is, for the reader to refuse.
pub(super) fn upgraded(mut value: Value) -> Value {
    let Some(record) = value.as_object_mut() else { return value };
    if let Some(hint) = record.remove("advice") {
        record.insert("hint".to_owned(), hint);
    }
    if let Some(ai) = record.get_mut("ai").and_then(Value::as_object_mut) {
        let is_call = |id: &Value| id.as_str().is_some_and(|id| id.parse::<CallId>().is_ok());
        if ai.get("call_id").is_some_and(|id| !is_call(id)) {
            ai.remove("call_id");
        }
    }
    record.insert("version".to_owned(), RECORD_VERSION.into());
    value
}
