//! Operating for years, through the real binary with real workers, on SQLite and on PostgreSQL:
//! many orders changed by one command, orders revised, erased and expired, left overs of dead
//! workers, backups.

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use sitewright_jobs::OrderState;
use sitewright_site::{OrderDir, SitesRoot, read_current};
use sitewright_tests::factory::{Base, Factory, Model, calls_in_turn, good, named};
use sitewright_tests::{Done, faulty};
use sqlx::Connection as _;

macro_rules! on_both {
    ($($name:ident),* $(,)?) => {$(
        mod $name {
            #[tokio::test(flavor = "multi_thread")]
            async fn sqlite() {
                super::tests::$name(super::Base::Sqlite).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn postgres() {
                let test = concat!("operate_years::", stringify!($name), "::postgres");
                if let Some(base) = super::Base::postgres(test) {
                    super::tests::$name(base).await;
                }
            }
        }
    )*};
}

on_both!(
    d5_failed_orders_are_made_again_by_one_command,
    d5_a_bulk_command_can_be_stopped_and_paced,
    a_revision_is_paid_for_where_it_differs,
    d10_an_erased_order_is_nowhere,
    d10_what_has_expired_goes_and_the_sites_stay,
    d13_what_a_dead_worker_left_is_removed,
    equal_requests_of_two_orders_are_paid_for_once,
);

/// Runs the binary, and returns its exit code, report and text of stderr.
fn run(factory: &Factory, arguments: &[&str]) -> (i32, Value, String) {
    let mut command = factory.command(&[&["--json"], arguments].concat());
    let done: Done = command.output().unwrap().into();
    let report = if done.stdout.is_empty() { Value::Null } else { done.json() };
    (done.code, report, done.stderr)
}

fn text(factory: &Factory, arguments: &[&str]) -> String {
    let done: Done = factory.command(arguments).output().unwrap().into();
    assert_eq!(done.code, 0, "{arguments:?}: {}{}", done.stdout, done.stderr);
    done.stdout
}

async fn sql(factory: &Factory, sql: &'static str) {
    if factory.url.starts_with("sqlite") {
        let mut connection = sqlx::SqliteConnection::connect(&factory.url).await.unwrap();
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    } else {
        let mut connection = sqlx::PgConnection::connect(&factory.url).await.unwrap();
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    }
}

fn failing(number: usize) -> Value {
    named(&format!("f{number:03}"), faulty("oob", Value::Null))
}

/// Whether a text is in any file below a folder.
fn is_in_a_file(folder: &Path, text: &str) -> Option<String> {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.symlink_metadata().unwrap().is_symlink() {
            continue;
        }
        if path.is_dir() {
            if let Some(found) = is_in_a_file(&path, text) {
                return Some(found);
            }
        } else {
            let bytes = std::fs::read(&path).unwrap();
            if bytes.windows(text.len()).any(|part| part == text.as_bytes()) {
                return Some(path.display().to_string());
            }
        }
    }
    None
}

mod tests {
    use super::*;

    pub(super) async fn d5_failed_orders_are_made_again_by_one_command(base: Base) {
        let model = Model::start(good);
        // Thirty failures of one kind would hold the template.
        let factory = Factory::new(base, &model).await.with("worker.circuit_percent", 100);
        factory.enqueue_all((0..30).map(failing)).await;
        factory.enqueue_all([named("ok", faulty("ok", Value::Null))]).await;
        factory.drain().await;
        let list = run(&factory, &["failures", "list"]).1;
        let fingerprint = list["groups"][0]["fingerprint"].as_str().unwrap().to_owned();
        assert_eq!(list["groups"][0]["count"], 30);

        // Nothing is selected by accident, and nothing is changed by a dry run.
        for (arguments, says) in [
            (&["order", "retry"][..], "needs ids of orders"),
            (&["order", "cancel", "--limit", "3"], "needs ids of orders"),
            (&["order", "retry", "--state", "queued"], "only orders that have ended"),
            (&["order", "cancel", "--state", "failed"], "such an order has ended already"),
            (&["order", "retry", "f001", "--state", "failed"], "cannot be used with"),
            (&["order", "retry", "--fingerprint", "zz"], "hexadecimal digits"),
            (&["order", "retry", "--state", "failed", "--rate", "5/d"], "is not a rate"),
        ] {
            let (code, report, stderr) = run(&factory, arguments);
            assert_eq!(code, 2, "{arguments:?}: {report}");
            assert!(stderr.contains(says), "{arguments:?}: {stderr}");
        }
        for (filter, count) in [
            (&["--state", "failed"][..], 30),
            (&["--state", "failed,succeeded"], 31),
            (&["--kind", "trap"], 30),
            (&["--kind", "ai"], 0),
            (&["--fingerprint", &fingerprint[..6]], 30),
            (&["--template", "faulty", "--since", "1h"], 30),
            (&["--template", "nobody"], 0),
            (&["--since", "2099-01-01"], 0),
            (&["--state", "failed", "--limit", "7"], 7),
        ] {
            let arguments = [&["order", "retry", "--dry-run"], filter].concat();
            let (code, report, _) = run(&factory, &arguments);
            assert_eq!((code, &report["selected"]), (0, &json!(count)), "{filter:?}: {report}");
        }
        let dry = text(&factory, &["order", "retry", "--state", "failed", "--dry-run"]);
        assert!(dry.starts_with("30 orders would be queued again"), "{dry}");
        assert!(dry.contains("and 10 more"), "{dry}");
        factory.until_count(OrderState::Failed, 30).await;

        let (code, report, _) = run(&factory, &["order", "retry", "--fingerprint", &fingerprint]);
        assert_eq!((code, &report["outcome"]), (0, &json!("done")), "{report}");
        assert_eq!(report["counts"], json!({ "queued": 30 }));
        assert_eq!(report["orders"].as_array().unwrap().len(), 30);
        // Several by id, some of them from stdin.
        let mut command = factory.command(&["--json", "order", "cancel", "f000", "-", "none"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"f001\n\n f002 \nf000\nok\n").unwrap();
        let done: Done = child.wait_with_output().unwrap().into();
        assert_eq!(done.code, 2, "one of them does not exist: {}", done.stdout);
        let counts = json!({ "already_ended": 1, "cancelled": 3, "no_such_order": 1 });
        assert_eq!(done.json()["counts"], counts);
        factory.drain().await;
        let stats = factory.database.stats().await.unwrap();
        assert_eq!((stats.count(OrderState::Failed), stats.count(OrderState::Cancelled)), (27, 3));
        assert_eq!(factory.order("f010").await.runs, 2);
        // One id answers as it always did.
        let (code, report, _) = run(&factory, &["order", "retry", "f010"]);
        assert_eq!((code, &report["outcome"]), (0, &json!("queued")), "{report}");
        factory.database.close().await;
    }

    pub(super) async fn d5_a_bulk_command_can_be_stopped_and_paced(base: Base) {
        let model = Model::start(good);
        let factory = Factory::new(base, &model).await;
        factory.enqueue_all((0..300).map(failing)).await;
        let begin = Instant::now();
        let mut command =
            factory.command(&["--json", "order", "cancel", "--state", "queued", "--rate", "20/s"]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        factory.until_count(OrderState::Cancelled, 10).await;
        assert!(begin.elapsed() >= Duration::from_millis(450), "20 in a second, not all at once");
        kill_process(pid, Signal::INT).unwrap();
        let done: Done = child.wait_with_output().unwrap().into();
        assert_eq!(done.code, 7, "{}{}", done.stdout, done.stderr);
        let report = done.json();
        assert_eq!((&report["outcome"], &report["selected"]), (&json!("stopped"), &json!(300)));
        let cancelled = report["counts"]["cancelled"].as_i64().unwrap();
        let stats = factory.database.stats().await.unwrap();
        assert_eq!(stats.count(OrderState::Cancelled), cancelled, "it says what it did");
        assert!((10..300).contains(&cancelled), "{cancelled}");
        // The same command goes on with the others.
        let (code, report, _) = run(&factory, &["order", "cancel", "--state", "queued"]);
        assert_eq!((code, &report["counts"]["cancelled"]), (0, &json!(300 - cancelled)));
        factory.database.close().await;
    }

    pub(super) async fn a_revision_is_paid_for_where_it_differs(base: Base) {
        let model = Model::start(good);
        let factory = Factory::new(base, &model).await;
        factory.enqueue_all([calls_in_turn("24", 2)]).await;
        factory.drain().await;
        let first = factory.active_release("24").unwrap();
        assert_eq!(model.asked_of("24").len(), 2);
        let changed = calls_in_turn("24", 3);
        let file = factory.bench.write("24.json", changed.to_string()).display().to_string();
        let (code, report, stderr) = run(&factory, &["order", "revise", "24", &file]);
        assert_eq!((code, &report["outcome"]), (0, &json!("queued")), "{report}{stderr}");
        assert_eq!(report["revision"], 2);
        assert_eq!(factory.active_release("24"), Some(first.clone()), "visitors see the old one");
        factory.drain().await;
        factory.until_state("24", OrderState::Succeeded).await;
        let second = factory.active_release("24").unwrap();
        assert_ne!(second, first);
        let manifest = factory.bench.sites().join(format!("24/manifests/{second}.json"));
        let manifest: Value = serde_json::from_slice(&std::fs::read(manifest).unwrap()).unwrap();
        assert_eq!(manifest["revision"], 2, "a release names its revision");
        let asked = model.asked_of("24");
        assert_eq!(asked.iter().map(|(_, times)| *times).collect::<Vec<_>>(), [1, 1, 1]);
        // The same document again changes nothing; another one by `add --revise` does.
        let (_, report, _) = run(&factory, &["order", "revise", "24", &file]);
        assert_eq!(report, json!({ "outcome": "unchanged", "revision": 2, "order": "24" }));
        let failing = named("24", faulty("oob", Value::Null));
        let file = factory.bench.write("24.json", failing.to_string()).display().to_string();
        let add = ["order", "add", &file, "--template", "faulty"];
        let (_, report, _) = run(&factory, &add);
        assert_eq!(report["orders"][0]["outcome"], "already_done");
        let (code, report, _) = run(&factory, &[&add[..], &["--revise"]].concat());
        assert_eq!((code, &report["orders"][0]["outcome"]), (0, &json!("revised")), "{report}");
        assert_eq!(report["orders"][0]["revision"], 3);
        factory.drain().await;
        factory.until_state("24", OrderState::Failed).await;
        assert_eq!(factory.active_release("24"), Some(second), "a failed revision changes nothing");
        let shown = text(&factory, &["order", "show", "24"]);
        assert!(shown.contains("revision       3"), "{shown}");
        let (code, _, stderr) = run(&factory, &["order", "revise", "25", &file]);
        assert!(code == 2 && stderr.contains("the document of order \"24\""), "{stderr}");
        factory.database.close().await;
    }

    pub(super) async fn d10_an_erased_order_is_nowhere(base: Base) {
        let model = Model::start(good);
        let factory = Factory::new(base, &model).await;
        // The marker is in the prompt, so it is in the document, the journal and the trail.
        let marked = |id: &str| {
            let prompt = json!({ "n": 2, "prompt": format!("[[{id}]] rosebud-{id}") });
            named(id, faulty("calls-in-turn", prompt))
        };
        factory.enqueue_all([marked("24"), marked("25")]).await;
        factory.drain().await;
        factory.database.revise("24", &failing(0).to_string(), None, None).await.unwrap();
        factory.drain().await;
        let public = factory.bench.sites().join("public");
        assert!(public.join("24/current").exists());
        // A record that no database has.
        let file =
            factory.bench.write("24.json", named("24", faulty("oob", Value::Null)).to_string());
        let file = file.display().to_string();
        let (code, ..) = run(&factory, &["generate", "--template", "faulty", "--order", &file]);
        assert_eq!(code, 4);
        let (code, report, stderr) = run(&factory, &["order", "erase", "24"]);
        assert_eq!((code, &report["outcome"]), (0, &json!("erased")), "{report}{stderr}");
        assert_eq!((&report["rows"]["orders"], &report["files"]), (&json!(1), &json!(true)));
        assert!(report["rows"]["ai_calls"].as_i64() >= Some(2), "{report}");
        for folder in [public.join("24"), factory.bench.sites().join("24")] {
            assert!(!folder.exists(), "{}", folder.display());
        }
        assert!(public.join("25/current/index.html").exists(), "the other site stays");
        assert_eq!(is_in_a_file(&factory.bench.sites(), "rosebud-24"), None);
        let (code, _, stderr) = run(&factory, &["order", "show", "24"]);
        assert!(code == 2 && stderr.contains("there is no order"), "{stderr}");
        let failures = run(&factory, &["failures", "list", "--flat", "--order", "24"]).1;
        assert_eq!(failures["failures"], json!([]));
        // It is not made again.
        let add = ["order", "add", &file, "--template", "faulty"];
        let (code, _, stderr) = run(&factory, &add);
        assert!(code == 2 && stderr.contains("was erased on"), "{code} {stderr}");
        // Nor is an id that nobody knows, and erasing twice is no error.
        let (code, _, stderr) = run(&factory, &["order", "erase", "no-such"]);
        assert!(code == 2 && stderr.contains("there is no order"), "{stderr}");
        assert_eq!(run(&factory, &["order", "erase", "24"]).0, 0);
        factory.database.close().await;
        if factory.url.starts_with("sqlite") {
            for suffix in ["", "-wal"] {
                let file = factory.bench.path().join(format!("orders.db{suffix}"));
                let bytes = std::fs::read(&file).unwrap_or_default();
                let found = bytes.windows(10).any(|part| part == b"rosebud-24");
                assert!(!found, "{}", file.display());
            }
        }
    }

    pub(super) async fn d10_what_has_expired_goes_and_the_sites_stay(base: Base) {
        let model = Model::start(good);
        let factory = Factory::new(base, &model).await;
        factory.enqueue_all([calls_in_turn("ok", 2), failing(1)]).await;
        factory.drain().await;
        factory.enqueue_all([failing(2)]).await;
        // Nothing expires by default.
        assert_eq!(text(&factory, &["purge"]), "Nothing has expired.\n");
        let purge = |keys: &[(&str, &str)], arguments: &[&str]| {
            let mut command = factory.command(&[&["--json", "purge"], arguments].concat());
            for (key, value) in keys {
                command.env(format!("SITEWRIGHT_RETENTION__{key}"), value);
            }
            let done: Done = command.output().unwrap().into();
            assert_eq!(done.code, 0, "{}{}", done.stdout, done.stderr);
            done.json()["removed"].clone()
        };
        let rows =
            [("REPLIES__SUCCEEDED", "0s"), ("FAILURES__FAILED", "0s"), ("EVENTS__FAILED", "0s")];
        let dry = purge(&rows, &["--dry-run"]);
        assert_eq!((&dry["replies"], &dry["failures"]), (&json!(2), &json!(1)), "{dry}");
        let failures = factory.bench.sites().join("f001/failures");
        assert!(failures.exists(), "a dry run removes nothing");
        let removed = purge(&rows, &[]);
        for key in ["replies", "failures", "events", "folders", "orders"] {
            assert_eq!(removed[key], dry[key], "{key}: {removed} after {dry}");
        }
        assert!(!failures.exists());
        assert_eq!(purge(&rows, &[])["failures"], 0);
        let shown = run(&factory, &["order", "show", "ok"]).1;
        assert_eq!(shown["cost"]["calls"], 2, "what it cost stays");
        let orders = [("ORDERS__SUCCEEDED", "0s"), ("ORDERS__FAILED", "0s")];
        let removed = purge(&orders, &[]);
        assert_eq!(removed["orders"], json!({ "succeeded": 1, "failed": 1 }));
        let left = run(&factory, &["order", "list"]).1;
        assert_eq!(left["orders"].as_array().unwrap().len(), 1, "the queued one");
        let site = factory.bench.sites().join("public/ok/current/index.html");
        assert!(site.exists(), "visitors keep their site");
        assert!(!factory.bench.sites().join("ok/attempts").exists());
        // A machine that was away for days removes what expired meanwhile before it is forgotten.
        assert_eq!(run(&factory, &["order", "erase", "f002"]).0, 0);
        let left = factory.bench.sites().join("f001/journal");
        std::fs::create_dir_all(&left).unwrap();
        let days_ago = "UPDATE sitewright_removed_orders SET removed_at = removed_at - 259200000
             WHERE cause = 'expired'";
        sql(&factory, days_ago).await;
        assert_eq!(purge(&[], &[])["folders"], 1);
        assert!(!left.exists());
        factory.database.close().await;
    }

    pub(super) async fn equal_requests_of_two_orders_are_paid_for_once(base: Base) {
        let model = Model::start(good);
        let mut factory = Factory::new(base, &model).await;
        let asks = |id: &str| {
            let asks = json!({ "n": 2, "prompt": "[[same]] " });
            named(id, faulty("calls-in-turn", asks))
        };
        // Only where a route says so.
        factory.enqueue_all([asks("a")]).await;
        factory.drain().await;
        assert_eq!(model.asked().len(), 2);
        factory.set("ai.routes.default.cache", "24h");
        factory.enqueue_all([asks("b")]).await;
        factory.drain().await;
        assert_eq!(model.asked().len(), 4);
        factory.enqueue_all([asks("c")]).await;
        factory.drain().await;
        assert_eq!(model.asked().len(), 4, "it got the replies of `b`");
        let root = SitesRoot::open(&factory.bench.sites()).unwrap();
        let mut reports = Vec::new();
        for id in ["b", "c"] {
            let cost = run(&factory, &["order", "show", id]).1["cost"].clone();
            let release = read_current(&root, &OrderDir::new(id).unwrap()).unwrap().unwrap();
            let ai = release.manifest.ai;
            let of_first = ai["by_call"][0].clone();
            reports.push((cost, ai["saved"].clone(), ai["input_tokens"].clone(), of_first));
        }
        let [(paid, none, input, first), (got, saved, no_input, again)] = &reports[..] else {
            panic!("{reports:?}")
        };
        assert!(paid["input_tokens"].as_u64() > Some(0) && none["calls"] == 0, "{reports:#?}");
        assert_eq!((&got["calls"], &got["input_tokens"]), (&json!(2), &json!(0)), "{got}");
        assert_eq!((&saved["calls"], no_input), (&json!(2), &json!(0)), "{saved}");
        assert_eq!(&saved["input_tokens"], input);
        assert_eq!((&first["cached"], &again["cached"]), (&Value::Null, &json!(true)), "{again}");
        assert_eq!(again["attempts"], json!([]), "no model was asked");
        let replayed = run(&factory, &["replay", "c"]);
        assert_eq!(replayed.0, 0, "{replayed:?}");
        // Nothing of an erased order stays for others, whoever paid for it.
        let erased = run(&factory, &["order", "erase", "c"]);
        assert_eq!(erased.0, 0, "{erased:?}");
        factory.enqueue_all([asks("d")]).await;
        factory.drain().await;
        assert_eq!(model.asked().len(), 6);
        factory.database.close().await;
    }

    pub(super) async fn d13_what_a_dead_worker_left_is_removed(base: Base) {
        let model = Model::start(good);
        let factory = Factory::new(base, &model).await;
        factory.enqueue_all([named("24", faulty("ok", Value::Null))]).await;
        factory.drain().await;
        let current = factory.active_release("24").unwrap();
        let sites = factory.bench.sites();
        let releases = sites.join("public/24/releases");
        // As a worker leaves it that dies between placing and completing, long ago and just now.
        let old = "01J00000000000000000000000";
        let new = ulid::Ulid::generate().to_string();
        for id in [old, &new] {
            std::fs::create_dir(releases.join(id)).unwrap();
            std::fs::copy(
                sites.join(format!("24/manifests/{current}.json")),
                sites.join(format!("24/manifests/{id}.json")),
            )
            .unwrap();
        }
        let staging = sites.join("24/staging");
        std::fs::create_dir_all(&staging).unwrap();
        let purge = || run(&factory, &["purge"]).1["removed"]["releases"].clone();
        assert_eq!(purge(), 0, "the order has just ended");
        sql(&factory, "UPDATE sitewright_orders SET updated_at = updated_at - 7200000").await;
        assert_eq!(purge(), 1);
        assert!(!releases.join(old).exists() && releases.join(&new).exists());
        assert!(!staging.exists(), "it was empty");
        assert_eq!(factory.active_release("24"), Some(current));
        assert_eq!(purge(), 0);
        factory.database.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_restored_and_worked() {
    let factory = Factory::new(Base::Sqlite, &Model::start(good)).await;
    factory.enqueue_all([named("done", faulty("ok", Value::Null))]).await;
    factory.drain().await;
    factory.enqueue_all([named("queued", faulty("ok", Value::Null))]).await;
    let file = factory.bench.path().join("backup.db").display().to_string();
    let (code, report, stderr) = run(&factory, &["backup", &file]);
    assert_eq!((code, &report["backup"]["orders"]), (0, &json!(2)), "{report}{stderr}");
    let (code, _, stderr) = run(&factory, &["backup", &file]);
    assert!(code == 2 && stderr.contains("exists already"), "{stderr}");
    // What came after the backup is lost with the database.
    factory.enqueue_all([named("late", faulty("ok", Value::Null))]).await;
    factory.database.close().await;
    let database = factory.bench.path().join("orders.db");
    for suffix in ["-wal", "-shm"] {
        drop(std::fs::remove_file(format!("{}{suffix}", database.display())));
    }
    std::fs::copy(&file, &database).unwrap();
    factory.drain().await;
    let listed = run(&factory, &["order", "list"]).1;
    let states: Vec<_> = listed["orders"]
        .as_array()
        .unwrap()
        .iter()
        .map(|order| (order["id"].as_str().unwrap(), order["state"].as_str().unwrap()))
        .collect();
    assert_eq!(states, [("queued", "succeeded"), ("done", "succeeded")]);
    assert!(factory.active_release("queued").is_some());
}
