//! JSON whose values are counted before they are collected.
//!
//! A parsed value takes up to a hundred times the memory of its text: `0,` are two bytes, and a
//! `serde_json::Value` takes 72.

use serde::de::DeserializeOwned;

/// A document that is not parsed.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    #[error("it has more than {0} values and names of fields")]
    TooMany(usize),
    #[error(transparent)]
    Invalid(#[from] serde_json::Error),
}

/// Parses JSON with at most `max` values and names of fields. A document of `n` of them takes at
/// most about `200 * n` bytes beside its texts. Nesting is limited to 128 by `serde_json`.
///
/// # Errors
/// If there are more, or it is not JSON of this type.
pub fn parse<T: DeserializeOwned>(bytes: &[u8], max: usize) -> Result<T, JsonError> {
    if count(bytes) > max {
        return Err(JsonError::TooMany(max));
    }
    Ok(serde_json::from_slice(bytes)?)
}

/// The number of values and names of fields in a JSON text, or more. Reads each byte once.
///
/// Each value and name but the outermost follows one of `[`, `{`, `,` and `:`, so their number
/// outside of texts is a bound, also in a text that is not JSON.
pub fn count(bytes: &[u8]) -> usize {
    let (mut count, mut in_text, mut escaped) = (1, false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'[' | b'{' | b',' | b':' if !in_text => count += 1,
            _ => {}
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    /// Values and names, counted in the tree.
    fn collected(value: &Value) -> usize {
        match value {
            Value::Array(values) => 1 + values.iter().map(collected).sum::<usize>(),
            Value::Object(fields) => {
                1 + fields.values().map(|value| 1 + collected(value)).sum::<usize>()
            }
            _ => 1,
        }
    }

    #[test]
    fn marks_inside_texts_are_not_values() {
        let rows = [
            (json!(null), 1),
            (json!("[,:{\\\"[,"), 1),
            (json!([]), 2),
            (json!([0, 0, 0]), 4),
            (json!({ "a": "b,c", "[": { "d": [] } }), 8),
        ];
        for (value, counted) in rows {
            assert_eq!(count(value.to_string().as_bytes()), counted, "{value}");
        }
    }

    #[test]
    fn what_has_too_many_values_is_not_parsed() {
        let zeros = format!("[{}0]", "0,".repeat(999));
        assert!(parse::<Value>(zeros.as_bytes(), 1_001).is_ok());
        let error = parse::<Value>(zeros.as_bytes(), 1_000).unwrap_err().to_string();
        assert_eq!(error, "it has more than 1000 values and names of fields");
        let deep = "[".repeat(100_000);
        assert!(parse::<Value>(deep.as_bytes(), usize::MAX).is_err());
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i32>().prop_map(Value::from),
            "[\\[\\]{},:\"\\\\a]{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(6, 60, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::hash_map("[\\[{,:\"a]{0,4}", inner, 0..6)
                    .prop_map(|fields| fields.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_count_bounds_what_is_collected(value in values()) {
            let counted = count(value.to_string().as_bytes());
            prop_assert!(counted >= collected(&value));
            prop_assert!(counted <= 2 * collected(&value));
        }
    }
}
