//! Runs the template on the orders of `tests/orders`, with the scripted replies of the demo.
#![allow(dead_code, reason = "not every test file uses all of it")]

use std::path::{Path, PathBuf};

use local_business::LocalBusiness;
use sitewright_sdk::order::{Locale, Order, read};
use sitewright_sdk::testing::{Harness, Run};

/// The five test orders and their locales.
pub(crate) const ORDERS: [(&str, &str); 5] = [
    ("01-restaurant-ptbr-full", "pt-BR"),
    ("02-dentist-us-minimal", "en"),
    ("03-plumber-us-premium", "en"),
    ("04-other-hostile-text", "en"),
    ("05-lawyer-bad-colours", "pt-BR"),
];

pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The orders of `tests/orders-real`, which name their locale.
pub(crate) const REAL: [&str; 6] = [
    "n01-hair-salon-en",
    "n02-gym-ptbr",
    "n04-realestate-fr",
    "n05-photographer-de",
    "n07-daycare-ar",
    "n09-bakery-engb",
];

/// Reads an order of `tests/orders`.
pub(crate) fn order(name: &str, locale: &str) -> Order {
    read_file(&format!("tests/orders/{name}.json"), locale)
}

/// Reads an order of `tests/orders-real`.
pub(crate) fn real_order(name: &str) -> Order {
    read_file(&format!("tests/orders-real/{name}.json"), "en")
}

fn read_file(path: &str, locale: &str) -> Order {
    let text = std::fs::read_to_string(repository().join(path)).unwrap();
    let document = serde_json::from_str(&text).unwrap();
    read(&document, &locale.parse::<Locale>().unwrap()).unwrap()
}

/// The scripted replies of the demo.
pub(crate) fn script() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/ai.toml")).unwrap()
}

/// Runs the template; panics if the run fails.
pub(crate) fn site_of(order: &Order) -> Run {
    let run = Harness::scripted(&script()).run::<LocalBusiness>(order);
    run.result.as_ref().unwrap();
    run
}
