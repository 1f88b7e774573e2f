//! Part A of the failure catalogue through the worker: every failure ends its order and leaves one
//! complete record for each attempt, in the database and on disk.

use std::time::Duration;

use serde_json::{Value, json};
use sitewright_jobs::OrderState;
use sitewright_model::failure::FailureRecord;
use sitewright_tests::chat_server::Answer;
use sitewright_tests::factory::{Base, Factory, Model, RecordedCall, good, named};
use sitewright_tests::faulty;

/// A key that must not occur in any output (catalogue A8).
const KEY: &str = "sk-planted-4711-0815";

/// An order named after its row of the catalogue, the template's fault and parameters, the kind of
/// its records, its final state, and a text of its last record.
type Row = (&'static str, &'static str, Value, &'static str, OrderState, &'static str);

fn rows() -> Vec<Row> {
    use OrderState::{Dead, Failed};
    let ask = |id: &str| json!({ "n": 2, "prompt": format!("[[{id}]] ") });
    vec![
        ("a1-empty-panic", "panic-empty", json!({}), "panic", Failed, "the template panicked"),
        ("a1-odd-panic", "panic-any", json!({}), "panic", Failed, "the template panicked"),
        (
            "a1-no-answer",
            "calls-in-turn",
            ask("a1-no-answer"),
            "ai",
            Dead,
            "no byte of an answer within 2500 ms",
        ),
        ("a1-reset", "calls-in-turn", ask("a1-reset"), "ai", Dead, "connection"),
        ("a2-chain", "error", json!({}), "template_error", Failed, "the root: no bread"),
        ("a2-refused", "calls-in-turn", ask("a2-refused"), "ai", Failed, "400"),
        ("a3-twice", "calls-in-turn", ask("a3-twice"), "ai", Dead, "503"),
        (
            "a4-value",
            "ok",
            json!({ "then_fail": true }),
            "template_error",
            Failed,
            "asked for an error",
        ),
        ("a5-unreachable", "unreachable", json!({}), "trap", Failed, "unreachable"),
        ("a5-memory", "oob", json!({}), "trap", Failed, "out of bounds"),
        ("a5-stack", "stack-overflow", json!({}), "trap", Failed, "stack"),
        ("a5-divide", "divide-by-zero", json!({}), "trap", Failed, "divide by zero"),
        ("a5-abort", "abort", json!({}), "trap", Failed, "unreachable"),
        ("a5-exit", "exit", json!({}), "trap", Failed, "ended its program"),
        ("a5-in-flight", "trap-in-flight", json!({}), "trap", Failed, "unreachable"),
        ("a5-memory-limit", "memory-bomb", json!({}), "memory_limit", Failed, "bytes of memory"),
        (
            "a5-call-limit",
            "calls-in-turn",
            json!({ "n": 100 }),
            "call_limit",
            Failed,
            "limits.ai_calls",
        ),
        ("a5-order", "no-such-fault", json!({}), "template_error", Failed, "no-such-fault"),
        ("a6-cpu", "spin", json!({}), "cpu_limit", Failed, "processor time"),
        (
            "a6-deadline",
            "calls-in-turn",
            json!({ "n": 60, "prompt": "[[a6-deadline]] " }),
            "deadline",
            Dead,
            "`fault`",
        ),
        ("a6-never", "never", json!({}), "template_error", Failed, "nothing will ever complete"),
        ("a7-refused-file", "many-files", json!({}), "output_limit", Failed, "`files`"),
        (
            "a7-ignored",
            "ignored-refusal",
            json!({}),
            "output_limit",
            Failed,
            "as if it had not been",
        ),
        (
            "a7-partial",
            "files",
            json!({ "files": { "about.html": "x" } }),
            "output_rejected",
            Failed,
            "index.html",
        ),
    ]
}

async fn catalogue(base: Base) {
    let model = Model::start(|asked: &RecordedCall| {
        let http = |status| Answer::Http {
            status,
            headers: &[],
            body: json!({ "error": { "message": KEY } }).to_string(),
        };
        match &*asked.order {
            "a1-no-answer" => Answer::Hang,
            "a6-deadline" => {
                // Each answer is in time, but all together exceed the deadline.
                std::thread::sleep(Duration::from_secs(1));
                good(asked)
            }
            "a1-reset" => Answer::Reset,
            "a2-refused" => http(400),
            "a3-twice" if asked.what == "call 1" => http(503),
            _ => good(asked),
        }
    });
    let factory = Factory::new(base, &model)
        .await
        .with("worker.attempts", 2)
        .with("limits.cpu_ms", 500)
        .with("limits.deadline_ms", 12_000)
        .with("limits.files", 50)
        .with("ai.providers.local.first_byte_ms", 2_500)
        .with("ai.providers.local.api_key_file", "key.txt")
        .with("ai.retry.attempts", 2)
        .with("ai.retry.base_ms", 10);
    factory.bench.write("key.txt", KEY);
    let rows = rows();
    let orders =
        rows.iter().map(|(id, fault, parameters, ..)| named(id, faulty(fault, parameters.clone())));
    factory.enqueue_all(orders).await;
    let log = factory.drain().await;

    let mut wrong = Vec::new();
    for (id, _, _, kind, state, says) in &rows {
        if let Err(why) = ended(&factory, &model, id, kind, *state, says).await {
            wrong.push(format!("{id}: {why}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert!(!log.contains(KEY), "the key is in the log");
}

async fn ended(
    factory: &Factory,
    model: &Model,
    id: &str,
    kind: &str,
    state: OrderState,
    says: &str,
) -> Result<(), String> {
    let export = factory.database.export(id).await.unwrap();
    let (order, attempts, failures) = (&export.order, &export.attempts, &export.failures);
    let last = failures.last().ok_or("no record")?;
    let text = last.record.to_string();
    let ending = format!(
        "{} after {} attempts, {}: {}",
        order.state,
        attempts.len(),
        last.kind,
        last.message
    );
    if order.state != state || last.kind != kind {
        return Err(ending);
    }
    if !text.contains(says) {
        return Err(format!("{says:?} is missing: {text}"));
    }
    // One record for each attempt, and the order refers to the last (catalogue A5).
    if attempts.is_empty()
        || failures.len() != attempts.len()
        || order.last_failure.as_ref() != Some(&last.id)
    {
        return Err(format!("{} records of {} attempts: {ending}", failures.len(), attempts.len()));
    }
    for failure in failures {
        let record: FailureRecord =
            serde_json::from_value(serde_json::to_value(&failure.record).unwrap())
                .map_err(|error| format!("no record: {error}"))?;
        let path =
            factory.bench.sites().join(id).join("failures").join(format!("{}.json", record.id));
        let stored: FailureRecord = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let same = (&*stored.id, &*stored.order, stored.kind.as_str())
            == (&*failure.id, id, &*failure.kind);
        if !same
            || record.message.as_str().is_empty()
            || record.job.is_none()
            || record.limits.len() < 12
        {
            return Err(format!("not whole: {record:#?}"));
        }
        if kind == "ai" && record.ai.as_ref().is_none_or(|ai| ai.attempts.is_empty()) {
            return Err(format!("no attempts of the AI call: {record:#?}"));
        }
        if kind == "trap" && record.trap.as_ref().is_none_or(|trap| trap.frames.is_empty()) {
            return Err(format!("no frames: {record:#?}"));
        }
    }
    if factory.active_release(id).is_some() {
        return Err("visitors see a site".to_owned());
    }
    // The data for a replay exists: the original order and each paid reply (catalogue G7).
    let document: Value = serde_json::from_str(&export.document).unwrap();
    let answered = model.asked_of(id).len();
    if document["order"]["id"] != id
        || (id == "a3-twice" && (answered < 2 || export.ai_calls.is_empty()))
    {
        return Err(format!("{answered} calls were answered, {} are kept", export.ai_calls.len()));
    }
    let whole = serde_json::to_string(&export).unwrap();
    if whole.contains(KEY) || text.contains(KEY) {
        return Err("the key is in its stored data (catalogue A8)".to_owned());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_every_row_of_the_catalogue_through_the_worker_on_sqlite() {
    catalogue(Base::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_every_row_of_the_catalogue_through_the_worker_on_postgresql() {
    if let Some(base) =
        Base::postgres("a_every_row_of_the_catalogue_through_the_worker_on_postgresql")
    {
        catalogue(base).await;
    }
}

#[tokio::test]
async fn a9_a_worker_does_not_start_with_a_secret_that_cannot_be_read() {
    let model = Model::start(good);
    let factory = Factory::new(Base::Sqlite, &model)
        .await
        .with("ai.providers.local.api_key_file", "no-such-key.txt");
    let output = factory.worker_command(&["--drain"]).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    // The file may be mounted later: systemd starts the worker again.
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("no-such-key.txt") && stderr.contains("api_key_file"), "{stderr}");
}
