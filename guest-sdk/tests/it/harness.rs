//! The test harness runs a template as the host does.

use sitewright_sdk::{
    prelude::*,
    testing::{Harness, sample_order},
};

/// Requests three texts concurrently and writes them; the order's description selects variations.
struct Pages;

impl Template for Pages {
    fn manifest() -> Manifest {
        Manifest::new("pages", "1.0.0", "Three pages.")
            .purpose("copywriting", "the pages")
            .locale("en")
            .locale("pt-BR")
    }

    async fn generate(order: Order, site: Site) -> Result<()> {
        match order.site_description.as_deref() {
            Some("never") => std::future::pending().await,
            Some("twice") => site.write("INDEX.html", "x")?,
            _ => {}
        }
        progress("copy", 0, 3);
        let texts = (0..3).map(|page| ai::ask("copywriting").user(format!("page {page}")).text());
        let texts = try_join_all(texts).await?;
        progress("copy", 3, 3);
        log::info(&order.business_name);
        report(
            Diagnostic::warning("no-hours", "no opening hours")
                .because(&std::fmt::Error)
                .attribute("page", "contact"),
        );
        site.write("index.html", texts.join(" "))?;
        site.write_json("data/order.json", &order)?;
        Ok(())
    }
}

sitewright_sdk::export!(Pages);

const SCRIPT: &str = r#"
    [[rule]]
    contains = ["page 1"]
    answer = { text = "one" }
    [[rule]]
    answer = { text = "other" }
"#;

#[test]
fn a_run_records_everything_a_template_did() {
    let run = Harness::new().script(SCRIPT).unwrap().run::<Pages>(sample_order());
    run.result.as_ref().unwrap();
    assert_eq!(run.text("index.html"), "other one other");
    assert_eq!(run.file("missing"), None);
    let written: serde_json::Value = serde_json::from_str(run.text("data/order.json")).unwrap();
    assert_eq!(written["business_name"], "Padaria Ana");
    let steps: Vec<_> =
        run.progress.iter().map(|step| (step.stage.as_str(), step.done, step.total)).collect();
    assert_eq!(steps, [("copy", 0, 3), ("copy", 3, 3)]);
    assert_eq!(run.logs, [(Level::Info, "Padaria Ana".to_owned())]);
    let report = &run.reports[0];
    assert_eq!(
        (report.severity, report.code.as_str(), report.causes.len()),
        (Severity::Warning, "no-hours", 1)
    );
    assert_eq!(report.location.file(), file!());
    assert_eq!(
        run.ai_calls.iter().map(|call| call.prompt()).collect::<Vec<_>>(),
        ["page 0", "page 1", "page 2"]
    );
}

#[test]
fn c1_independent_calls_are_in_flight_at_the_same_time() {
    assert_eq!(Harness::scripted(SCRIPT).run::<Pages>(sample_order()).most_calls_at_once, 3);
}

/// Streams two calls concurrently and drops a third one.
struct Streaming;

impl Template for Streaming {
    fn manifest() -> Manifest {
        Manifest::new("streaming", "1.0.0", "Two texts.")
            .purpose("copywriting", "the texts")
            .locale("pt-BR")
    }

    async fn generate(_order: Order, site: Site) -> Result<()> {
        let mut dropped = ai::ask("copywriting").user("dropped").stream();
        dropped.next().await;
        drop(dropped);
        let texts = (0..2).map(|page| async move {
            let mut call = ai::ask("copywriting").user(format!("page {page}")).stream();
            let mut chunks = Vec::new();
            while let Some(chunk) = call.next().await {
                assert!(!chunk.is_empty());
                chunks.push(chunk);
            }
            assert_eq!(call.next().await, None, "the end of the stream is final");
            Ok::<_, Error>((chunks, call.finish().await?.content))
        });
        for (page, (chunks, content)) in try_join_all(texts).await?.into_iter().enumerate() {
            assert_eq!(chunks.concat(), content);
            site.write(format!("{page}.txt"), chunks.join("|"))?;
        }
        Ok(())
    }
}

#[test]
fn a_streamed_reply_has_the_same_chunks_each_time() {
    let rules = "[[rule]]\nanswer = { text = \"Fresh bread é since 1990\" }";
    for _ in 0..2 {
        let run = Harness::scripted(rules).run::<Streaming>(sample_order());
        run.result.as_ref().unwrap();
        for page in ["0.txt", "1.txt"] {
            assert_eq!(run.text(page), "Fresh b|read é| since |1990", "{page}");
        }
        assert_eq!((run.ai_calls.len(), run.most_calls_at_once), (3, 2));
    }
}

#[test]
fn a_streamed_call_returns_its_error_at_the_end() {
    let rules = "[[rule]]\nanswer = { fault = { status = 401, body = \"no\" } }";
    let run = Harness::scripted(rules).run::<Streaming>(sample_order());
    let error = run.result.unwrap_err();
    assert_eq!((error.code(), error.ai_calls().len()), ("ai-auth", 1), "{error:?}");

    let mut call = std::pin::pin!(ai::ask("copywriting").user("x").stream().finish());
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(Err(error)) = call.as_mut().poll(&mut context) else {
        panic!("the call did not fail")
    };
    assert_eq!(error.kind, AiErrorKind::NoRoute);
}

#[test]
fn each_run_starts_at_the_beginning_of_the_script() {
    let harness = Harness::scripted("[[rule]]\ntimes = 3\nanswer = { text = \"x\" }");
    for _ in 0..2 {
        harness.run::<Pages>(sample_order()).result.unwrap();
    }
}

#[test]
fn every_kind_of_order_document_is_read() {
    let orders = [
        include_str!("../../../tests/orders/01-restaurant-ptbr-full.json"),
        include_str!("../../../tests/orders/02-dentist-us-minimal.json"),
        include_str!("../../../tests/orders/03-plumber-us-premium.json"),
        include_str!("../../../tests/orders/04-other-hostile-text.json"),
    ];
    for text in orders {
        let run = Harness::scripted(SCRIPT).run::<Pages>(text);
        run.result.as_ref().unwrap();
        // The parsed order is a document too, and parses as the same order.
        let again = Harness::scripted(SCRIPT).run::<Pages>(run.text("data/order.json"));
        assert_eq!(again.text("data/order.json"), run.text("data/order.json"));
    }
}

#[test]
fn all_problems_of_an_order_are_reported_at_once() {
    let mut order = sample_order();
    order["business_name"] = " ".into();
    for field in ["business_phone", "business_email", "whatsapp_phone", "whatsapp_number"] {
        order[field] = "".into();
    }
    let error = Harness::new().run::<Pages>(order).result.unwrap_err();
    assert_eq!(error.code(), "invalid-order");
    for field in ["business_phone", "business_name"] {
        assert!(error.causes().iter().any(|cause| cause.contains(field)), "{error:?}");
    }
}

#[test]
fn without_a_script_no_call_is_answered() {
    let error = Harness::new().run::<Pages>(sample_order()).result.unwrap_err();
    assert_eq!(error.code(), "ai-no-route");
}

#[test]
fn an_invalid_script_is_an_error_of_the_harness_or_of_the_run() {
    let wrong = "[[rule]]\nanswr = 1";
    assert!(Harness::new().script(wrong).is_err());
    assert_eq!(
        Harness::scripted(wrong).run::<Pages>(sample_order()).result.unwrap_err().code(),
        "bad-script"
    );
}

#[test]
fn a_template_that_waits_for_nothing_fails_instead_of_hanging() {
    let mut order = sample_order();
    order["site_description"] = "never".into();
    assert_eq!(
        Harness::scripted(SCRIPT).run::<Pages>(order).result.unwrap_err().code(),
        "never-ends"
    );
}

#[test]
fn f1_a_file_is_written_once() {
    let mut order = sample_order();
    order["site_description"] = "twice".into();
    let run = Harness::scripted(SCRIPT).run::<Pages>(order);
    assert_eq!(run.result.as_ref().unwrap_err().code(), "write-conflict");
    assert_eq!(run.text("INDEX.html"), "x");
}

/// Has an invalid manifest, or one that requires a field that the sample order does not have.
struct Odd<const MANIFEST: bool>;

impl<const MANIFEST: bool> Template for Odd<MANIFEST> {
    fn manifest() -> Manifest {
        if MANIFEST {
            Manifest::new("Odd!", "1", " ").purpose("Copy Writing", "")
        } else {
            Manifest::new("odd", "1.0.0", "Requires a field.")
                .locale("en")
                .order_schema(serde_json::json!({ "required": ["about_owner"] }))
        }
    }

    async fn generate(_order: Order, _site: Site) -> Result<()> {
        Ok(())
    }
}

#[test]
fn an_invalid_manifest_is_rejected_with_all_its_problems() {
    let error = Harness::new().run::<Odd<true>>(sample_order()).result.unwrap_err();
    assert_eq!((error.code(), error.causes().len()), ("bad-manifest", 5), "{error:?}");
}

#[test]
fn an_order_that_the_templates_schema_rejects_never_runs() {
    let error = Harness::new().run::<Odd<false>>(sample_order()).result.unwrap_err();
    assert_eq!(error.code(), "invalid-order");
    assert!(error.causes()[0].contains("about_owner"), "{error:?}");
}

#[test]
fn outside_of_a_run_calls_fail_and_logs_are_dropped() {
    let ask = std::pin::pin!(ai::ask("copywriting").user("x").text());
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(Err(error)) = ask.poll(&mut context) else {
        panic!("the call did not fail")
    };
    assert_eq!(error.kind, AiErrorKind::NoRoute);
    log::info("dropped");
}
