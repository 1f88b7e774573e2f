//! Helpers that the tests of this crate share.
#![allow(clippy::unwrap_used, reason = "a missing file fails the test")]

use serde_json::{Value, json};
use sitewright_order::{Locale, Notice, Order, Problem};

pub(crate) fn english() -> Locale {
    "en".parse().unwrap()
}

/// Reads tolerantly.
pub(crate) fn read(document: &Value) -> Result<Order, Vec<Problem>> {
    sitewright_order::read(document, &english())
}

/// Reads strictly.
pub(crate) fn read_strictly(document: &Value) -> Result<Order, Vec<Problem>> {
    sitewright_order::read_strictly(document, &english())
}

/// The notices of an order as `warning /pointer: message` and `note /pointer: message`.
pub(crate) fn notices(order: &Order) -> Vec<String> {
    let level = |notice: &Notice| if notice.is_warning() { "warning" } else { "note" };
    order.notices.iter().map(|notice| format!("{} {notice}", level(notice))).collect()
}

pub(crate) fn shipped(name: &str) -> Value {
    let path = format!("{}/../../tests/orders/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// A small CRM document.
pub(crate) fn crm() -> Value {
    shipped("02-dentist-us-minimal")
}

/// The same order as a flat document.
pub(crate) fn flat() -> Value {
    let mut document = crm()["onboarding"].clone();
    document["id"] = json!(102);
    document
}

/// Sets the value at a pointer, creating the objects on the way.
pub(crate) fn set(document: &mut Value, pointer: &str, value: Value) {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let mut parent_value = document;
    for part in parent.split('/').skip(1) {
        parent_value = &mut parent_value[part];
    }
    parent_value[name] = value;
}
