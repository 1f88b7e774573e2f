//! Attempts of a worker are replayed from its database.

use serde_json::{Value, json};
use sitewright_jobs::OrderState;
use sitewright_tests::chat_server::Answer;
use sitewright_tests::factory::{Base, Factory, Model, calls_in_turn, good, named};
use sitewright_tests::{Done, faulty};

fn run(factory: &Factory, arguments: &[&str]) -> Done {
    factory.command(arguments).output().unwrap().into()
}

/// Failures and a release of a worker are reproduced without a model, and also without the worker's
/// folder.
async fn replayed(base: Base) {
    let model = Model::start(|asked| match (asked.order.as_str(), asked.what.as_str()) {
        ("refused", "call 1") => Answer::Http { status: 400, headers: &[], body: "{}".to_owned() },
        ("later", "call 1") if asked.times == 1 => {
            Answer::Http { status: 503, headers: &[], body: "{}".to_owned() }
        }
        _ => good(asked),
    });
    let factory = Factory::new(base, &model).await;
    factory
        .enqueue_all([
            named("panics", faulty("panic-str", json!({}))),
            calls_in_turn("refused", 3),
            calls_in_turn("later", 3),
            calls_in_turn("fine", 2),
        ])
        .await;
    factory.drain().await;
    factory.until_state("fine", OrderState::Succeeded).await;
    factory.until_state("later", OrderState::Succeeded).await;
    let asked = model.asked().len();
    let replay = |what: &str| run(&factory, &["--json", "replay", what]);
    let check = |what: &str, kind: &Value| {
        let done = replay(what);
        let report = done.json();
        assert_eq!(
            (done.code, &report["verdict"]),
            (0, &json!("reproduced")),
            "{what}: {report:#}"
        );
        assert_eq!(report["now"]["kind"], *kind, "{what}");
    };
    for (order, kind) in [
        ("panics", json!("panic")),
        ("refused", json!("ai")),
        ("fine", Value::Null),
        ("later", Value::Null),
    ] {
        check(order, &kind);
    }
    // The first attempt of `later` got a 503; its second one reused the reply from the journal.
    let attempts = factory.database.attempts("later").await.unwrap();
    assert_eq!(attempts.len(), 2, "{attempts:?}");
    check(&attempts[0].id, &json!("ai"));
    check(&attempts[1].id, &Value::Null);
    let failure = factory.order("panics").await.last_failure.unwrap();
    check(&failure, &json!("panic"));
    // The database has everything about a failure: the sites folder may be on another machine.
    std::fs::remove_dir_all(factory.bench.sites()).unwrap();
    check(&failure, &json!("panic"));
    check("refused", &json!("ai"));
    let bundle = factory.bench.path().join("refused.tar").display().to_string();
    let exported = run(&factory, &["failures", "export", "refused", "-o", &bundle]);
    assert_eq!(exported.code, 0, "{}", exported.stderr);
    check(&bundle, &json!("ai"));
    assert_eq!(model.asked().len(), asked, "a replay asks nobody");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_worker_made_is_replayed_from_sqlite() {
    replayed(Base::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_worker_made_is_replayed_from_postgres() {
    if let Some(base) = Base::postgres("a replay from PostgreSQL") {
        replayed(base).await;
    }
}
