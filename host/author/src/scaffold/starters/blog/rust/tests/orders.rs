//! Tests of the template as native code: no WebAssembly, no host, no network.

use @@ident@@::@@type@@;
use sitewright_sdk::serde_json::json;
use sitewright_sdk::testing::{Harness, sample_order};

const SCRIPT: &str = include_str!("../ai.toml");

#[test]
fn each_post_is_a_page_and_the_home_page_lists_the_newest_first() {
    let run = Harness::scripted(SCRIPT).run::<@@type@@>(include_str!("../order.json"));
    run.result.as_ref().unwrap();
    assert_eq!(run.ai_calls.len(), 1);
    let home = run.text("index.html");
    let links: Vec<&str> =
        home.split("href=\"posts/").skip(1).filter_map(|rest| rest.split('/').next()).collect();
    assert_eq!(
        links,
        ["the-stand-in-the-yard-is-open-again", "why-your-chain-skips", "how-we-build-a-wheel"]
    );
    let page = run.text("posts/the-stand-in-the-yard-is-open-again/index.html");
    for expected in [
        "<time datetime=\"2026-05-02\">2026-05-02</time>",
        "<a href=\"https://photos.example.com/stand.jpg\">The repair stand in the yard</a>",
        "<a href=\"../../\">All articles</a>",
    ] {
        assert!(page.contains(expected), "{expected} is missing in {page}");
    }
}

#[test]
fn without_posts_articles_about_the_services_have_no_date() {
    let run = Harness::scripted(SCRIPT).run::<@@type@@>(sample_order());
    run.result.as_ref().unwrap();
    assert_eq!(run.reports[0].code, "no-posts");
    assert_eq!(run.most_calls_at_once, 3);
    let page = run.text("posts/2/index.html");
    assert!(page.contains("What to ask before you order") && !page.contains("<time"), "{page}");
}

#[test]
fn a_page_in_hebrew_is_written_from_right_to_left_in_hebrew_words() {
    let mut order = sample_order();
    order["locale"] = json!("he");
    order["posts"] = json!([{ "title": "x", "text": "y" }]);
    let run = Harness::scripted(SCRIPT).run::<@@type@@>(order);
    run.result.as_ref().unwrap();
    let page = run.text("index.html");
    assert!(page.contains("<html lang=\"he\" dir=\"rtl\">"), "{page}");
    assert!(page.contains("<h2>מאמרים</h2>"), "{page}");
}

#[test]
fn markup_in_an_order_is_escaped() {
    let mut order = sample_order();
    order["posts"] = json!([{ "title": "<script>", "text": "<script>alert(1)</script>" }]);
    let run = Harness::scripted(SCRIPT).run::<@@type@@>(order);
    run.result.as_ref().unwrap();
    for path in ["index.html", "posts/script/index.html"] {
        assert!(!run.text(path).contains("<script>"), "{path}");
    }
}
