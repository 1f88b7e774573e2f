//! Tests of the template as native code: no WebAssembly, no host, no network.

use @@ident@@::@@type@@;
use sitewright_sdk::serde_json::json;
use sitewright_sdk::testing::{Harness, sample_order};

const SCRIPT: &str = include_str!("../ai.toml");

#[test]
fn the_sample_order_becomes_four_pages_that_lead_to_each_other() {
    let run = Harness::scripted(SCRIPT).run::<@@type@@>(include_str!("../order.json"));
    run.result.as_ref().unwrap();
    assert_eq!(run.most_calls_at_once, 4);
    for (page, part) in [
        ("services/index.html", "<li>Lawn care</li>"),
        ("about/index.html", "Maria Gate"),
        ("contact/index.html", "href=\"../services/\""),
        ("index.html", "href=\"contact/\""),
    ] {
        assert!(run.text(page).contains(part), "{part} is missing in {}", run.text(page));
    }
}

#[test]
fn a_page_in_hebrew_is_written_from_right_to_left_in_hebrew_words() {
    let mut order = sample_order();
    order["locale"] = json!("he");
    let run = Harness::scripted(SCRIPT).run::<@@type@@>(order);
    run.result.as_ref().unwrap();
    let page = run.text("index.html");
    assert!(page.contains("<html lang=\"he\" dir=\"rtl\">"), "{page}");
    assert!(page.contains(">יצירת קשר</a>"), "{page}");
}

#[test]
fn markup_in_an_order_is_escaped() {
    let mut order = sample_order();
    order["business_name"] = "<script>alert(1)</script>".into();
    let run = Harness::scripted(SCRIPT).run::<@@type@@>(order);
    run.result.as_ref().unwrap();
    assert!(!run.text("index.html").contains("<script>"));
}

#[test]
fn a_failed_ai_call_is_an_error_with_context() {
    let script = "[[rule]]\nanswer = { fault = { status = 503 } }\n";
    let run = Harness::scripted(script).run::<@@type@@>(sample_order());
    let error = run.result.unwrap_err();
    assert!(error.message().contains("while writing the page home"), "{error:?}");
}
