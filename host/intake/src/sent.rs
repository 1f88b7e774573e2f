//! The digest of a document as it was sent, by which the same document is known when it is sent
//! again: what it is normalised to depends on the configuration and on the version.

use serde_json::Value;
use sha2::{Digest, Sha256};

/// SHA-256 of the values of a document. Neither white space nor the order of fields counts.
pub(super) fn digest(document: &Value) -> [u8; 32] {
    let mut hash = Sha256::new();
    add(document, &mut hash);
    hash.finalize().into()
}

/// Adds a value with its kind and length, so that no two values are hashed as the same bytes.
/// serde_json reads no deeper than 128 values.
fn add(value: &Value, hash: &mut Sha256) {
    match value {
        Value::Object(fields) => {
            begin(b'{', fields.len(), hash);
            let mut fields: Vec<(&String, &Value)> = fields.iter().collect();
            fields.sort_unstable_by_key(|(name, _)| *name);
            for (name, value) in fields {
                text(b'"', name, hash);
                add(value, hash);
            }
        }
        Value::Array(values) => {
            begin(b'[', values.len(), hash);
            for value in values {
                add(value, hash);
            }
        }
        Value::String(value) => text(b'"', value, hash),
        Value::Null | Value::Bool(_) | Value::Number(_) => text(b'=', &value.to_string(), hash),
    }
}

fn text(kind: u8, text: &str, hash: &mut Sha256) {
    begin(kind, text.len(), hash);
    hash.update(text.as_bytes());
}

fn begin(kind: u8, length: usize, hash: &mut Sha256) {
    hash.update([kind]);
    hash.update((length as u64).to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_document_says_counts() {
        let of = |text: &str| digest(&serde_json::from_str(text).unwrap());
        for (one, other) in [
            (r#"{"a":1,"b":{"c":[1,2]}}"#, r#" { "b" : {"c": [1, 2]}, "a": 1 } "#),
            (r#""\u00e4""#, r#""ä""#),
        ] {
            assert_eq!(of(one), of(other), "{one} {other}");
        }
        for (one, other) in [
            (r#"{"a":1}"#, r#"{"a":"1"}"#),
            (r#"{"a":null}"#, "{}"),
            (r#"["ab","c"]"#, r#"["a","bc"]"#),
            (r#"[["a"],"b"]"#, r#"[["a","b"]]"#),
            (r#"{"a":"b"}"#, r#"["a","b"]"#),
            ("true", r#""true""#),
            ("[1,2]", "[2,1]"),
        ] {
            assert_ne!(of(one), of(other), "{one} {other}");
        }
    }
}
