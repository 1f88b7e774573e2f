//! Tests of the template as native code: no WebAssembly, no host, no network.

use @@ident@@::@@type@@;
use sitewright_sdk::prelude::*;
use sitewright_sdk::testing::{Harness, sample_order};

const SCRIPT: &str = include_str!("../ai.toml");

#[test]
fn the_sample_order_becomes_a_page() {
    let run = Harness::scripted(SCRIPT).run::<@@type@@>(include_str!("../order.json"));
    run.result.as_ref().unwrap();
    let page = run.text("index.html");
    for expected in
        ["<html lang=\"en\">", "Green Gate Gardens", "<li>Lawn care</li>", "--brand: #2f6f4f"]
    {
        assert!(page.contains(expected), "{expected} is missing in {page}");
    }
    assert!(run.file("assets/site.css").is_some());
    assert!(run.text("assets/icon.svg").contains(">G</text>"));
    assert!(run.text("site.webmanifest").contains("Green Gate Gardens"));
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
