//! The scripted AI replies of the templates and of new projects have no findings.

use std::path::{Path, PathBuf};

use sitewright_copy::{CopyCheck, Facts};

const YEAR: u16 = 2026;
/// The order of a reply whose rule names none: the order of the demo.
const DEMO: &str = "tests/orders/01-restaurant-ptbr-full.json";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The order with an id that a rule names.
fn order(id: &str) -> &'static str {
    match id {
        "101" => DEMO,
        "102" => "tests/orders/02-dentist-us-minimal.json",
        "103" => "tests/orders/03-plumber-us-premium.json",
        other => panic!("a rule names the order {other}; add its file here"),
    }
}

#[test]
fn scripted_replies_have_no_findings() {
    let scripts = [
        "plugins/local-business/demo/ai.toml",
        "plugins/landing-py/demo/ai.toml",
        "plugins/landing-js/demo/ai.toml",
        "host/author/src/scaffold/common/ai.toml",
    ];
    let mut wrong = Vec::new();
    let mut replies = 0;
    for script in scripts {
        let rules: toml::Table = toml::from_str(&read(script)).unwrap();
        for rule in rules["rule"].as_array().unwrap() {
            let conditions = rule.get("contains").and_then(toml::Value::as_array);
            let conditions = conditions.map(Vec::as_slice).unwrap_or_default();
            let value = |name: &str| {
                let texts = conditions.iter().filter_map(toml::Value::as_str);
                texts.filter_map(|text| text.strip_prefix(name)).next().map(str::trim)
            };
            let order = value("order: ").map_or(DEMO, order);
            let facts = Facts::of_order(&read(order)).unwrap();
            let check = CopyCheck::new(&facts, YEAR).language(value("locale: "));
            let answer = &rule["answer"];
            let (reply, is_json) = match (answer.get("json"), answer.get("text")) {
                (Some(json), _) => (serde_json::to_string(json).unwrap(), true),
                (None, Some(text)) => (text.as_str().unwrap().to_owned(), false),
                (None, None) => continue,
            };
            replies += 1;
            for (pointer, finding) in check.check_reply(&reply, is_json) {
                wrong.push(format!("{script}: {pointer}: {}: {}", finding.rule, finding.message));
            }
        }
    }
    assert!(replies >= 20, "only {replies} replies were found");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Sample orders say nothing that is not in them. Other rules may find what a customer wrote.
#[test]
fn the_texts_of_an_order_are_its_own_facts() {
    for folder in ["tests/orders", "tests/orders-real"] {
        for entry in std::fs::read_dir(root().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|end| end != "json") {
                continue;
            }
            let document = std::fs::read_to_string(&path).unwrap();
            let facts = Facts::of_order(&document).unwrap();
            let check = CopyCheck::new(&facts, YEAR);
            let wrong = check.check_reply(&document, true);
            let wrong: Vec<_> = wrong
                .into_iter()
                // Keys of a payment provider and times of the order's own bookkeeping.
                .filter(|(pointer, _)| !pointer.starts_with("/order/"))
                .collect();
            assert!(wrong.is_empty(), "{}: {wrong:#?}", path.display());
        }
    }
}
