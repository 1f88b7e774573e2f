//! Tests of the template as native code: no WebAssembly, no host, no network.

use @@ident@@::@@type@@;
use sitewright_sdk::serde_json::json;
use sitewright_sdk::testing::{Harness, sample_order};

const SCRIPT: &str = include_str!("../ai.toml");

#[test]
fn the_sample_order_becomes_a_page_with_work_and_words() {
    let run = Harness::scripted(SCRIPT).run::<@@type@@>(include_str!("../order.json"));
    run.result.as_ref().unwrap();
    let page = run.text("index.html");
    for expected in [
        "<a href=\"https://photos.example.com/wedding.jpg\">A wedding at the lake</a>",
        "<a href=\"https://photos.example.com/ridge.jpg\">Photo 2</a>",
        "<li>Portraits</li>",
        "<p dir=\"auto\">She saw what we would have missed.</p>\n<p>– Ada and Tom, Newlyweds</p>",
    ] {
        assert!(page.contains(expected), "{expected} is missing in {page}");
    }
}

#[test]
fn a_business_without_photos_has_a_site_and_its_operator_a_warning() {
    let run = Harness::scripted(SCRIPT).run::<@@type@@>(sample_order());
    run.result.as_ref().unwrap();
    assert_eq!(run.reports[0].code, "no-work");
    assert!(!run.text("index.html").contains("Fotos</h2>"));
}

#[test]
fn a_page_in_hebrew_is_written_from_right_to_left_in_hebrew_words() {
    let mut order = sample_order();
    order["locale"] = json!("he");
    order["photos"] = json!([{ "url": "https://example.com/a.jpg" }]);
    let run = Harness::scripted(SCRIPT).run::<@@type@@>(order);
    run.result.as_ref().unwrap();
    let page = run.text("index.html");
    assert!(page.contains("<html lang=\"he\" dir=\"rtl\">"), "{page}");
    assert!(page.contains("תמונה 1</a>"), "{page}");
}

#[test]
fn markup_in_an_order_is_escaped() {
    let mut order = sample_order();
    order["testimonials"] = json!([{ "text": "<script>alert(1)</script>" }]);
    let run = Harness::scripted(SCRIPT).run::<@@type@@>(order);
    run.result.as_ref().unwrap();
    assert!(!run.text("index.html").contains("<script>"));
}
