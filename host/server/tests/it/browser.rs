//! The console in a browser: what an operator does most, with the mouse, with the keyboard alone and
//! without JavaScript; axe-core on every screen; and the pictures of the documentation.
//!
//! `tests/standins/pages/console.mjs` is what the browser does. With `TESTS_PICTURES=FOLDER`
//! it also takes pictures of all screens.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use sitewright_jobs::{
    HoldCause, HoldId, HoldKind, NewAiCall, NewEvent, NewHold, Probing, Seen, WebhookEvent,
};
use sitewright_model::Measure;
use sitewright_model::failure::{
    FailureKind, FailureRecord, Frame, LogTail, OfAttempt, SourceExcerpt, TrailEntry, TrailOutcome,
    TrapCode, TrapRecord,
};
use sitewright_model::message::Message;

use crate::console_order::publish;
use crate::standins::{node_modules, skipped};
use crate::*;

const TEST: &str = "an_operator_does_the_commonest_tasks_in_a_browser";
/// The ways in which the tasks are done; each has orders of its own.
const WAYS: [&str; 3] = ["mouse", "keyboard", "plain"];

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_does_the_commonest_tasks_in_a_browser() {
    let browsers = ["/usr/bin/chromium", "/usr/bin/chromium-browser"].map(PathBuf::from);
    let Some(browser) = browsers.into_iter().find(|path| path.is_file()) else {
        return skipped(TEST, "chromium is not here");
    };
    let Some(tools) = node_modules("tests/standins/pages", TEST) else { return };
    let place = Place::sqlite();
    let api = place.serve().await;
    fill(&api, &place).await;
    add_what_only_workers_write(&place);
    let token = new_token(&api.database, &[Scope::Admin], None).await;

    let mut check = Command::new("node");
    check.arg(root().join("tests/standins/pages/console.mjs")).arg(&tools).arg(&browser);
    check.arg(format!("http://{}", api.address)).arg(&token);
    check.args(std::env::var_os("TESTS_PICTURES"));
    check.stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || check.output().unwrap()).await.unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    let mut checked = 0;
    let mut problems = Vec::new();
    for line in printed.lines() {
        let one: Value = serde_json::from_str(line).unwrap();
        checked += 1;
        for problem in one["problems"].as_array().unwrap() {
            problems.push(format!("{}: {problem}", one["name"]));
        }
    }
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
    assert!(output.status.success(), "{stderr}");
    assert!(checked >= 60, "{checked}: {printed}{stderr}");
}

/// Orders in all states, and failures of several causes.
async fn fill(api: &Api, place: &Place) {
    let seen = Seen {
        name: "crm".to_owned(),
        url: "https://crm.example/hooks".to_owned(),
        events: vec![WebhookEvent::OrderFailed],
    };
    api.database.see_webhooks(vec![seen]).await.unwrap();
    for way in WAYS {
        for number in 1..=3 {
            api.add(&format!("find-{way}-{number}")).await;
            let message = format!("the template has no route for {way}");
            let record = FailureRecord {
                fingerprint: Some(hex::encode(format!("{way:0<8.8}"))),
                code: Some("no-route".to_owned()),
                ..plain(FailureKind::TemplateError, &message)
            };
            fail(api, &format!("route-{way}-{number}"), record).await;
        }
        for number in 1..=2 {
            fail(api, &format!("mouth-{way}-{number}"), panicked()).await;
        }
        for number in 1..=4 {
            api.add(&format!("many-{way}-{number}")).await;
        }
        let site = format!("site-{way}");
        api.add(&site).await;
        publish(api, place, &site, "Rye bread, baked at night", true).await;
        api.database.reopen(&site, None).await.unwrap();
        publish(api, place, &site, "Sourdough, fresh every morning", false).await;
    }
    api.add("find-live-1").await;
    for number in 0..40 {
        let id = format!("{}", 48_100 + number);
        api.add(&id).await;
        let claimed = api.claim(&id).await;
        if number % 9 == 0 {
            api.database.cancel(&id).await.unwrap();
            api.complete(&claimed, Resolution::Cancelled { failure: None }).await;
        } else {
            let release = Ulid::generate().to_string();
            api.complete(&claimed, Resolution::Succeeded { release }).await;
        }
    }
    api.add("waits-1").await;
    let claimed = api.claim("waits-1").await;
    let record = plain(FailureKind::Ai, "the provider openrouter refused the key");
    let hold = NewHold {
        id: HoldId::new(HoldKind::Route, "copywriting"),
        cause: HoldCause::Auth,
        reason: message!(
            "the provider openrouter refused the key of the route copywriting (HTTP 401); set \
             another one in OPENROUTER_API_KEY"
        ),
        fingerprint: None,
        probing: Probing::Every {
            first: Duration::from_secs(60),
            longest: Duration::from_secs(900),
            not_before: Duration::ZERO,
        },
    };
    let failure = Some(NewFailure::from(&record));
    api.complete(&claimed, Resolution::Hold { failure, hold: Box::new(hold) }).await;
}

async fn fail(api: &Api, id: &str, record: FailureRecord) {
    api.add(id).await;
    let claimed = api.claim(id).await;
    let attempt = claimed.attempt.to_string();
    let stage = |stage: &str, done| NewEvent {
        order: id.to_owned(),
        attempt: Some(attempt.clone()),
        stage: stage.to_owned(),
        done: Some(done),
        total: Some(5),
        message: None,
    };
    let events = vec![stage("reading the order", 1), stage("copywriting", 2), stage("pages", 3)];
    api.database.record_events(events).await.unwrap();
    let call = NewAiCall {
        request: format!("{id:0<64.64}"),
        occurrence: 0,
        purpose: "copywriting".to_owned(),
        provider: "openrouter".to_owned(),
        model: "qwen/qwen3-235b".to_owned(),
        cost_nano_usd: Some(1_840_000),
        input_tokens: Some(2_140),
        output_tokens: Some(812),
        took_ms: None,
        entry: json!({}),
    };
    api.database.keep_reply(id, &attempt, call).await.unwrap();
    let record =
        FailureRecord { id: Ulid::generate().to_string(), order: id.to_owned(), attempt, ..record };
    api.complete(&claimed, Resolution::Failed { failure: NewFailure::from(&record) }).await;
}

fn plain(kind: FailureKind, message: &str) -> FailureRecord {
    let of = OfAttempt {
        order: String::new(),
        job: None,
        attempt: String::new(),
        trace_id: "4bf92f3577b34da6a3ce929d0e0e4736".to_owned(),
        template: "flora".to_owned(),
        config_version: "1f0c2ab4e6d7".to_owned(),
    };
    let record = FailureRecord::without_run(kind, Message::new(message).unwrap(), of);
    FailureRecord { stage: "pages".to_owned(), ..record }
}

/// A panic with all that a record can have.
fn panicked() -> FailureRecord {
    let frame = |function: &str, file: &str, line, own| Frame {
        function: function.to_owned(),
        file: Some(file.to_owned()),
        line: Some(line),
        column: None,
        own,
        inlined: false,
        offset: None,
    };
    let call = |seq, at_ms, call: &str, args: &str, took, outcome| TrailEntry {
        seq,
        at_ms,
        call: call.to_owned(),
        args: args.to_owned(),
        bytes: None,
        reply_bytes: None,
        digest: None,
        count: 1,
        duration_us: Some(took),
        until: None,
        waited_ms: 0,
        outcome,
        call_id: None,
    };
    let source = [
        "/// The price of a dish, as the menu shows it.",
        "pub fn price(dish: &Dish) -> String {",
        "    let price = dish.price.as_ref().expect(\"the menu has no price\");",
        "    format!(\"{price}\")",
        "}",
    ];
    let refused = TrailOutcome::Error("HTTP 429: slow down".to_owned());
    let ok = || TrailOutcome::Ok;
    let limit = |max, used| Measure { max, used };
    FailureRecord {
        fingerprint: Some("9c41e07ab25d13f8".to_owned()),
        causes: vec![message!("the dish \"Soup of the day\" has `price: null`")],
        trap: Some(TrapRecord {
            code: TrapCode::Unreachable,
            message: "wasm `unreachable` instruction executed".to_owned(),
            frames: vec![
                frame("core::panicking::panic_fmt", "library/core/src/panicking.rs", 75, false),
                frame("landing::menu::price", "src/menu.rs", 42, true),
                frame("landing::menu::render", "src/menu.rs", 118, true),
                frame("landing::generate", "src/lib.rs", 57, true),
            ],
            symbols_missing: None,
        }),
        source: Some(SourceExcerpt {
            file: "src/menu.rs".to_owned(),
            line: 42,
            first: 40,
            lines: source.map(str::to_owned).into(),
        }),
        trail: vec![
            call(1, 2, "diagnostics.progress", "reading the order 1/5", 40, ok()),
            call(2, 5, "ai.complete", "copywriting: 2 messages, 4.1 KiB", 2_310_000, ok()),
            call(3, 6, "ai.complete", "copywriting: 2 messages, 3.8 KiB", 1_450_000, refused),
            call(4, 1_470, "ai.complete", "copywriting: 2 messages, 3.8 KiB", 1_900_000, ok()),
            call(5, 3_380, "site.write", "index.html, 18 KiB", 800, ok()),
            call(6, 3_400, "diagnostics.progress", "pages 3/5", 30, ok()),
        ],
        log: LogTail {
            text: "INFO 4 dishes, 3 with a price\nWARN no photo of the menu".to_owned(),
            dropped_bytes: 0,
        },
        limits: BTreeMap::from([
            ("cpu_ms".to_owned(), limit(10_000, 212)),
            ("memory_bytes".to_owned(), limit(268_435_456, 201_326_592)),
            ("ai_calls".to_owned(), limit(40, 3)),
            ("site_bytes".to_owned(), limit(20_971_520, 18_432)),
        ]),
        recording: Some(Box::new(json!({}))),
        ..plain(FailureKind::Panic, "the menu has no price")
    }
}

/// Live workers with a template, and orders that ended over a day: only workers and time write that.
/// Without Python these parts of the pages are empty.
fn add_what_only_workers_write(place: &Place) {
    const SCRIPT: &str = r"
import sqlite3, sys, time
now = int(time.time() * 1000)
db = sqlite3.connect(sys.argv[1], timeout=30)
for at, host in enumerate(['forge-1', 'forge-2', 'forge-3']):
    seen = now + 3600_000 if at < 2 else now - 95_000
    db.execute('INSERT INTO sitewright_workers (client_id, boot_id, host, pid, max_orders, started_at, last_seen, beats) VALUES (?, ?, ?, ?, 200, ?, ?, 1)',
        (host + '-w', 'b', host, 4100 + at, now - 7_400_000 * (at + 1), seen))
    for name, digest in [('flora', 'sha256:' + 'a1f4' * 16), ('landing', 'sha256:' + ('07bd' if at else '9e22') * 16)]:
        db.execute('INSERT INTO sitewright_templates VALUES (?, ?, ?)', (host + '-w', name, digest))
hour = 3600_000
ended = db.execute(
    '''SELECT id FROM sitewright_orders WHERE state IN ('succeeded', 'cancelled') ORDER BY id''').fetchall()
for at, (order,) in enumerate(ended):
    when = now - ((at * at * 7 + at) % 22) * hour - 600_000
    db.execute('UPDATE sitewright_orders SET updated_at = ?, created_at = ?, finished_at = ? WHERE id = ?',
        (when, when - 42_000, when, order))
db.commit()
";
    let file = place.folder.path().join("orders.db");
    let done = Command::new("python3").arg("-c").arg(SCRIPT).arg(file).output();
    match done {
        Ok(done) => assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr)),
        Err(error) => eprintln!("pages have no workers: {error}"),
    }
}
