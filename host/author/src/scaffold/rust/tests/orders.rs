//! Tests of the template as native code: no WebAssembly, no host, no network.

use @@ident@@::@@type@@;
use sitewright_sdk::prelude::*;
use sitewright_sdk::serde_json::Value;
use sitewright_sdk::testing::{Harness, sample_order};

const SCRIPT: &str = include_str!("../ai.toml");

/// The page as visitors read it: a name may have characters that the page escapes.
fn as_read(page: &str) -> String {
    [("&#34;", "\""), ("&#39;", "'"), ("&#60;", "<"), ("&#62;", ">"), ("&#38;", "&")]
        .into_iter()
        .fold(page.to_owned(), |page, (escaped, character)| page.replace(escaped, character))
}

#[test]
fn the_sample_order_becomes_a_page() {
    let order: Value = serde_json::from_str(include_str!("../order.json")).unwrap();
    let run = Harness::scripted(SCRIPT).run::<@@type@@>(&order);
    run.result.as_ref().unwrap();
    let page = as_read(run.text("index.html"));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let services = order["services"].as_array().into_iter().flatten();
    let mut expected: Vec<String> =
        services.map(|service| format!("<li>{}</li>", text(service))).collect();
    expected.push(format!("<html lang=\"{}\">", text(&order["locale"])));
    let name = text(&order["business_name"]);
    expected.push(name.clone());
    for expected in expected {
        assert!(page.contains(&expected), "{expected} is missing in {page}");
    }
    assert!(run.file("assets/site.css").is_some());
    let letter: String = name.chars().take(1).flat_map(char::to_uppercase).collect();
    assert!(as_read(run.text("assets/icon.svg")).contains(&format!(">{letter}</text>")));
    let manifest: Value = serde_json::from_str(run.text("site.webmanifest")).unwrap();
    assert_eq!(manifest["name"], order["business_name"]);
}

#[test]
fn markup_in_an_order_is_escaped() {
    let mut order = sample_order();
    order["business_name"] = "<script>alert(1)</script>".into();
    let run = Harness::scripted(SCRIPT).run::<@@type@@>(order);
    run.result.as_ref().unwrap();
    assert!(!run.text("index.html").contains("<script>"));
    // The prompt contains order texts as data.
    assert!(run.ai_calls[0].prompt().contains("alert(1)"));
}

#[test]
fn a_failed_ai_call_is_an_error_with_context() {
    let script = "[[rule]]\nanswer = { fault = { status = 503 } }\n";
    let run = Harness::scripted(script).run::<@@type@@>(sample_order());
    let error = run.result.unwrap_err();
    assert!(error.message().contains("while writing the copy"), "{error:?}");
    assert_eq!(error.ai_calls(), ["call-1"]);
}
