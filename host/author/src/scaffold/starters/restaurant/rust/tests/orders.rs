//! Tests of the template as native code: no WebAssembly, no host, no network.

use @@ident@@::@@type@@;
use sitewright_sdk::serde_json::json;
use sitewright_sdk::testing::{Harness, sample_order};

const SCRIPT: &str = include_str!("../ai.toml");

#[test]
fn the_sample_order_becomes_a_page_with_menu_and_hours() {
    let run = Harness::scripted(SCRIPT).run::<@@type@@>(include_str!("../order.json"));
    run.result.as_ref().unwrap();
    let page = run.text("index.html");
    for expected in [
        "<h3>Soups</h3>",
        "<strong>Corn chowder</strong><br>(milk)",
        "<dt>Friday</dt>\n<dd>11:30 – 15:00, 18:00 – 22:00</dd>",
        "<dt>Monday</dt>\n<dd>Closed</dd>",
        "href=\"https://booking.example.com/copper-ladle\"",
    ] {
        assert!(page.contains(expected), "{expected} is missing in {page}");
    }
}

#[test]
fn a_restaurant_without_a_menu_has_a_site_and_its_operator_a_warning() {
    let run = Harness::scripted(SCRIPT).run::<@@type@@>(sample_order());
    run.result.as_ref().unwrap();
    assert_eq!(run.reports[0].code, "no-menu");
    assert!(!run.text("index.html").contains("Cardápio</h2>"));
}

#[test]
fn a_page_in_hebrew_is_written_from_right_to_left_in_hebrew_words() {
    let mut order = sample_order();
    order["locale"] = json!("he");
    order["business_hours"] = json!([{ "day": "monday", "ranges": [] }]);
    let run = Harness::scripted(SCRIPT).run::<@@type@@>(order);
    run.result.as_ref().unwrap();
    let page = run.text("index.html");
    assert!(page.contains("<html lang=\"he\" dir=\"rtl\">"), "{page}");
    assert!(page.contains("<dd>סגור</dd>"), "{page}");
}

#[test]
fn the_times_of_a_day_are_joined_as_the_language_does() {
    let mut order = sample_order();
    order["locale"] = json!("ja");
    order["business_hours"] =
        json!([{ "day": "monday", "ranges": ["11:00-14:00", "18:00-21:00"] }]);
    let run = Harness::scripted(SCRIPT).run::<@@type@@>(order);
    run.result.as_ref().unwrap();
    let page = run.text("index.html");
    assert!(page.contains("<dd>11:00 – 14:00、18:00 – 21:00</dd>"), "{page}");
}

#[test]
fn markup_in_an_order_is_escaped() {
    let mut order = sample_order();
    order["menu"] = json!([{
        "section": "<b>", "items": [{ "name": "<script>alert(1)</script>" }],
    }]);
    let run = Harness::scripted(SCRIPT).run::<@@type@@>(order);
    run.result.as_ref().unwrap();
    assert!(!run.text("index.html").contains("<script>"));
}
