//! The checks of a site belong to its attempt: their limits, its deadline, its cancellation.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sitewright_model::failure::FailureKind;
use sitewright_runtime::plugin::Limits;
use sitewright_runtime::run::Outcome;
use sitewright_tests::{ANY_ANSWER, IMPRINT, Workbench, faulty, guest};

use crate::failures::only_record;
use crate::lab::Lab;

/// Bytes of an order that contains a site of several MiB.
const ORDER_BYTES: u64 = 32 << 20;

fn page(body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>T</title><meta \
         name=\"description\" content=\"A page that is right.\"><meta name=\"viewport\" \
         content=\"width=device-width\"></head><body><main><h1>A page with text \
         enough</h1>{body}{IMPRINT}</main></body></html>"
    )
}

/// An order whose site has this entry page.
fn site(body: &str) -> Value {
    let files = BTreeMap::from([("index.html", page(body))]);
    faulty("files", json!({ "files": files }))
}

/// A good page of about 4 MB.
fn long() -> String {
    "<p class=\"x y\">A <b>good</b> paragraph &amp; more.</p>\n".repeat(80_000 / 4)
        + &"<p>A long text, again and again.</p>\n".repeat(20_000 / 2)
        + &"text ".repeat(500_000)
}

#[test]
fn f2_a_check_that_takes_too_much_names_its_limit_and_the_file() {
    let order_bytes = format!("order_bytes = {ORDER_BYTES}");
    let run = |limit: &str| {
        let configuration = format!("[limits]\n{order_bytes}\n{limit}");
        let bench = Workbench::scripted(ANY_ANSWER, &configuration);
        let done = bench.generate(&guest("guest-faulty"), &site(&long()));
        (bench, done)
    };
    // The limit is processor time: one that holds on a slow machine too.
    let (_, done) = run("check_ms = 120000");
    assert_eq!(done.code, 0, "{}{}", done.stdout, done.stderr);
    let limits = &done.json()["usage"]["limits"];
    assert_eq!(limits["check_ms"]["max"], 120_000, "{limits}");
    let used = limits["check_ms"]["used"].as_u64().unwrap();
    assert!((1..120_000).contains(&used), "{limits}");

    let (bench, done) = run("check_ms = 100");
    assert_eq!(done.code, 6, "{}{}", done.stdout, done.stderr);
    let record = only_record(&bench, &done);
    assert_eq!(record["kind"], "output_rejected", "{record:#}");
    assert_eq!(record["stage"], "checks", "{record:#}");
    let message = record["message"].as_str().unwrap();
    for words in ["the limit `check_ms` of 100 ms", "the largest file is `index.html`"] {
        assert!(message.contains(words), "{words}: {message}");
    }
    assert_eq!(record["problems"][0]["at"], "index.html", "{record:#}");
    assert_eq!(record["limits"]["check_ms"], json!({ "max": 100, "used": 100 }), "{record:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn b6_an_attempt_ends_during_its_checks_when_it_is_cancelled() {
    let limits = Limits { order_bytes: ORDER_BYTES, ..Limits::default() };
    let lab = Lab::new(limits, 2, ANY_ANSWER);
    let mut started = lab.start(&site(&long()));
    started.watcher.wait_for(|progress| progress.stage == "checks").await.unwrap();
    let cancelled = Instant::now();
    started.cancel.cancel();
    let Outcome::Failed { record, .. } = started.task.await.unwrap() else {
        panic!("the site was released although its attempt was cancelled");
    };
    assert!(cancelled.elapsed() < Duration::from_secs(20), "{:?}", cancelled.elapsed());
    assert_eq!((record.kind, record.stage.as_str()), (FailureKind::Cancelled, "checks"));
}
