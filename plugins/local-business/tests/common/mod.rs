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

/// Reads an order of `tests/orders`.
pub(crate) fn order(name: &str, locale: &str) -> Order {
    let text =
        std::fs::read_to_string(repository().join(format!("tests/orders/{name}.json"))).unwrap();
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
