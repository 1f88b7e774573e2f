//! Unknown fields: which are kept, and which are removed as secrets or bookkeeping.

use serde_json::{Map, Value};

use super::fields::Fields;
use crate::{child, excerpt};

/// The CRM's bookkeeping about the order, which templates do not need.
const BOOKKEEPING: [&str; 23] = [
    "addons",
    "admin_notes",
    "base_price",
    "completed_steps",
    "created_at",
    "currency",
    "delivery_days",
    "expected_delivery_date",
    "is_complete",
    "onboarding",
    "onboarding_completed_at",
    "onboarding_id",
    "order",
    "order_id",
    "paid_at",
    "price_paid",
    "repository_url",
    "revisions_included",
    "revisions_used",
    "site_url",
    "status",
    "total_price",
    "updated_at",
];

/// Parts of a field name that mark it as secret. Case and separators are ignored.
const SECRET_PARTS: [&str; 14] = [
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "senha",
    "secret",
    "token",
    "apikey",
    "accesskey",
    "privatekey",
    "stripe",
    "credential",
    "creditcard",
    "cardnumber",
];

/// Whole words of a field name that mark it as secret (`key`, but not `keywords`).
const SECRET_WORDS: [&str; 12] = [
    "key", "keys", "pwd", "pin", "cvc", "cvv", "iban", "auth", "payment", "payments", "invoice",
    "billing",
];

/// The unknown fields and the contents of `extra`, without secrets and bookkeeping.
pub(super) fn read(f: &mut Fields<'_>) -> Map<String, Value> {
    let (at, extra) = f.get("extra");
    let mut kept = Map::new();
    match extra {
        None => {}
        Some(Value::Object(fields)) => {
            kept.extend(fields.iter().filter_map(|(name, value)| keep(name, value)))
        }
        Some(other) => f.problem(
            at.clone(),
            format!("must be an object of further fields, but is {}", excerpt(other)),
        ),
    }
    let unknown: Vec<_> = f.unknown().filter_map(|(name, value)| keep(name, value)).collect();
    for (name, value) in unknown {
        if kept.contains_key(&name) {
            f.problem(
                child(&at, &name),
                format!("`{name}` is also given outside of `extra`; give it once"),
            );
        }
        kept.insert(name, value);
    }
    kept
}

/// The field without the secrets inside its value; `None` if the whole field is removed.
fn keep(name: &str, value: &Value) -> Option<(String, Value)> {
    let lower = name.to_ascii_lowercase();
    let dropped = value.is_null()
        || BOOKKEEPING.contains(&lower.as_str())
        || lower.starts_with("customer_")
        || is_secret(name);
    (!dropped).then(|| (name.to_owned(), without_secrets(value)))
}

fn without_secrets(value: &Value) -> Value {
    match value {
        Value::Array(entries) => entries.iter().map(without_secrets).collect(),
        Value::Object(fields) => fields
            .iter()
            .filter(|(name, _)| !is_secret(name))
            .map(|(name, value)| (name.clone(), without_secrets(value)))
            .collect(),
        other => other.clone(),
    }
}

/// Whether a field with this name may contain a secret or payment data. False positives are
/// acceptable, false negatives are not.
fn is_secret(name: &str) -> bool {
    let squashed: String =
        name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    SECRET_PARTS.iter().any(|part| squashed.contains(part))
        || words(name).iter().any(|word| SECRET_WORDS.contains(&word.as_str()))
}

/// The words of a field name in lower case: `api` and `key` for `api_key`, `api-key` and `apiKey`.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut after_lower = false;
    for c in name.chars() {
        if !c.is_alphanumeric() || (after_lower && c.is_uppercase()) {
            words.push(String::new());
        }
        after_lower = c.is_lowercase();
        if let Some(word) = words.last_mut().filter(|_| c.is_alphanumeric()) {
            word.extend(c.to_lowercase());
        }
    }
    words
}
