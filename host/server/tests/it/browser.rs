//! The console in a browser: what an operator does most, with the mouse, with the keyboard alone and
//! without JavaScript; axe-core on every screen; and Lighthouse on two of them, or on every screen
//! with `TESTS_PAGES=all`, which `cargo xtask test --pages` sets.
//!
//! `tests/standins/pages/console.mjs` is what the browser does. With `TESTS_PICTURES=FOLDER` (an
//! absolute path) it also takes pictures of all screens. `SITEWRIGHT_UPDATE_GALLERY=1` makes those
//! of `docs/src/operate/console.md` anew.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sitewright_jobs::{
    HoldCause, HoldId, HoldKind, NewAiCall, NewEvent, NewHold, OrderState, Probing, Seen,
    WebhookEvent,
};
use sitewright_model::Measure;
use sitewright_model::failure::{
    FailureKind, FailureRecord, Frame, LogTail, OfAttempt, SourceExcerpt, TrailEntry, TrailOutcome,
    TrapCode, TrapRecord,
};
use sitewright_model::message::Message;

use crate::console_order::publish;
use crate::standins::{node_modules, skipped};
use crate::visitor::Browser;
use crate::*;

const TEST: &str = "an_operator_does_the_commonest_tasks_in_a_browser";
/// The ways in which the tasks are done; each has orders of its own.
const WAYS: [&str; 3] = ["mouse", "keyboard", "plain"];
/// Screens that Lighthouse judges in every run: those with the most kinds of elements.
const JUDGED_ALWAYS: [&str; 2] = ["cause", "templates"];
/// Screens of which the book may have a picture.
const IN_BOOK: [&str; 5] = ["now", "order", "cause", "retry", "templates"];
/// Width and height of such a picture, in pixels.
const PICTURE: (u32, u32) = (1280, 900);
/// Maximum size of such a picture, in bytes: all of them are in the repository.
const MAX_PICTURE: usize = 150 << 10;

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
    count_ends(&api).await;
    add_what_only_workers_write(&place);
    let token = new_token(&api.database, &[Scope::Admin], None).await;

    let tools: [OsString; 2] = [tools.into(), browser.into()];
    let mut arguments = tools.to_vec();
    arguments.push(format!("http://{}", api.address).into());
    arguments.push(token.clone().into());
    let updates_book = std::env::var_os("SITEWRIGHT_UPDATE_GALLERY").is_some();
    let pictures = place.folder.path().join("pictures");
    if updates_book {
        fs::create_dir(&pictures).unwrap();
        arguments.push(pictures.clone().into());
    } else {
        arguments.extend(std::env::var_os("TESTS_PICTURES"));
    }
    let checked = judge("console.mjs", arguments, String::new()).await;
    assert!(checked.len() >= 60, "{checked:?}");
    if updates_book {
        for name in IN_BOOK {
            fs::copy(picture(&pictures, name), picture(&book(), name)).unwrap();
        }
    }

    // By name: each screen is checked light and dark.
    let mut screens = BTreeMap::new();
    for one in &checked {
        if let (Some(name), Some(address)) = (one["screen"].as_str(), one["address"].as_str()) {
            screens.insert(name.to_owned(), address.trim_start_matches('/').to_owned());
        }
    }
    assert!(screens.len() >= 20, "{screens:?}");
    lighthouse_gives_full_marks(&api, &token, &tools, screens).await;
}

/// The folder of the book's pictures of the console.
fn book() -> PathBuf {
    root().join("docs/src/operate/console")
}

fn picture(folder: &Path, name: &str) -> PathBuf {
    folder.join(name).with_extension("png")
}

#[test]
fn the_book_shows_each_picture_of_the_console_that_there_is() {
    let page = fs::read_to_string(root().join("docs/src/operate/console.md")).unwrap();
    let mut shown = 0;
    for name in IN_BOOK {
        let is_shown = page.contains(&format!("](console/{name}.png)"));
        let file = picture(&book(), name);
        assert_eq!(is_shown, file.is_file(), "{name}: it is shown, or it is there");
        if !is_shown {
            continue;
        }
        shown += 1;
        let png = fs::read(file).unwrap();
        assert!(png.len() <= MAX_PICTURE, "{name}: {} bytes", png.len());
        // The header of a PNG: its signature, and the first chunk with width and height.
        let (width, height) = PICTURE;
        let header =
            [&b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"[..], &width.to_be_bytes(), &height.to_be_bytes()];
        assert!(png.starts_with(&header.concat()), "{name} is not {PICTURE:?} pixels large");
    }
    assert!(shown == 5, "{shown}");
    let pictures = fs::read_dir(book()).unwrap().count();
    assert_eq!(pictures, shown, "a picture shows no screen");
}

/// Runs a program of `tests/standins/pages`, which prints one JSON object per line: the name or path
/// of what it judged, and the problems there, of which there must be none.
async fn judge(script: &str, arguments: Vec<OsString>, input: String) -> Vec<Value> {
    let mut command = Command::new("node");
    command.arg(root().join("tests/standins/pages").join(script)).args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let run = move || {
        let mut program = command.spawn().unwrap();
        program.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        program.wait_with_output().unwrap()
    };
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    let judged: Vec<Value> =
        printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut problems = Vec::new();
    for one in &judged {
        let name = one["name"].as_str().or(one["path"].as_str()).unwrap();
        for problem in one["problems"].as_array().unwrap() {
            problems.push(format!("{name}: {problem}"));
        }
    }
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
    assert!(output.status.success(), "{script}: {stderr}");
    judged
}

/// Lighthouse shows screens on a phone, given by their names with their addresses (without the first
/// slash). Performance depends on what else the machine does: it is printed, and is a condition only
/// if every screen is judged, of which each is then measured up to three times.
async fn lighthouse_gives_full_marks(
    api: &Api,
    token: &str,
    tools: &[OsString; 2],
    mut screens: BTreeMap<String, String>,
) {
    let judges_all = std::env::var("TESTS_PAGES").is_ok_and(|wanted| wanted == "all");
    if !judges_all {
        screens.retain(|name, _| JUDGED_ALWAYS.contains(&name.as_str()));
        assert_eq!(screens.len(), JUDGED_ALWAYS.len(), "{screens:?}");
    }
    let operator = Browser::new(api);
    let answer = operator.log_in(token).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{answer:?}");
    let cookies: Vec<String> =
        operator.cookies.borrow().iter().map(|(name, value)| format!("{name}={value}")).collect();
    let site = |headers: Value, pages: &[&String]| {
        let origin = format!("http://{}", api.address);
        json!({ "name": "screen", "origin": origin, "headers": headers, "pages": pages })
    };
    // The form to log in comes last: it sets a cookie, which a browser would send in place of ours.
    let login = screens.remove("login");
    let pages: Vec<&String> = screens.values().collect();
    let mut sites = vec![site(json!({ "Cookie": cookies.join("; ") }), &pages)];
    if let Some(login) = &login {
        sites.push(site(json!({}), &[login]));
    }
    let input: String = sites.iter().map(|site| format!("{site}\n")).collect();
    let mut arguments = tools.to_vec();
    let times = if judges_all { "3" } else { "1" };
    arguments.push(times.into());
    let judged = judge("lighthouse.mjs", arguments, input).await;
    assert_eq!(judged.len(), pages.len() + usize::from(login.is_some()), "{judged:?}");
    for page in &judged {
        let scores = &page["scores"];
        eprintln!("{}: {scores}, largest element after {} ms", page["path"], page["largest"]);
        for category in ["accessibility", "best-practices", "seo"] {
            assert_eq!(scores[category], 100, "{category}: {page}");
        }
        assert!(!judges_all || scores["performance"].as_u64().unwrap() >= 95, "{page}");
    }
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

/// The version of flora that workers have, as [`add_what_only_workers_write`] lists it.
const CURRENT: &str = "a1f4";

/// How orders ended with versions of templates, which workers count: one fails often since its last
/// version.
async fn count_ends(api: &Api) {
    let of_version =
        [("landing", "07bd", 40, 0), ("flora", "c0de", 19, 1), ("flora", CURRENT, 6, 6)];
    for (template, digest, succeeded, failed) in of_version {
        let digest = format!("sha256:{}", digest.repeat(16));
        for (state, orders) in [(OrderState::Succeeded, succeeded), (OrderState::Failed, failed)] {
            for _ in 0..orders {
                api.database.count_end(template, &digest, state);
            }
        }
        api.database.store_ends().await.unwrap();
    }
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
        tries: Vec::new(),
        entry: json!({}),
    };
    api.database.keep_reply(id, &attempt, call).await.unwrap();
    let record =
        FailureRecord { id: Ulid::generate().to_string(), order: id.to_owned(), attempt, ..record };
    api.complete(&claimed, Resolution::Failed { failure: NewFailure::from(&record) }).await;
}

fn plain(kind: FailureKind, message: &str) -> FailureRecord {
    let of = OfAttempt {
        trace_id: "4bf92f3577b34da6a3ce929d0e0e4736".to_owned(),
        config_version: "1f0c2ab4e6d7".to_owned(),
        ..of_attempt("", "")
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
    db.execute('INSERT INTO sitewright_workers (client_id, boot_id, host, pid, max_orders, started_at, last_seen, beats, program, contract) VALUES (?, ?, ?, ?, 200, ?, ?, 1, ?, ?)',
        (host + '-w', 'b', host, 4100 + at, now - 7_400_000 * (at + 1), seen, '0.1.0+1a2b3c4d5e6f' if at else None, '0.2.0' if at else None))
    for name, digest in [('flora', 'sha256:' + 'a1f4' * 16), ('landing', 'sha256:' + ('07bd' if at else '9e22') * 16)]:
        db.execute('INSERT INTO sitewright_templates VALUES (?, ?, ?)', (host + '-w', name, digest))
hour = 3600_000
db.execute('UPDATE sitewright_template_versions SET first_at = ? WHERE digest = ?',
    (now - 73 * hour, 'sha256:' + 'a1f4' * 16))
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
