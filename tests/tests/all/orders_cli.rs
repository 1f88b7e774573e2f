//! `sitewright order`, `queue` and `migrate` through the real binary, on SQLite and, where it is
//! installed, on PostgreSQL. The tests do the worker's part through `sitewright_jobs` on the same
//! database.

use std::io::Write as _;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sitewright_jobs::{
    AttemptLimits, BreakerScope, Claim, Claimed, Database, Handler, Marks, NewAiCall, NewBreaker,
    NewEvent, NewFailure, OrderState, Publisher, Resolution, Stop, WorkerId, WorkerSettings, serve,
};
use sitewright_model::failure::{FailureKind, FailureRecord, OfAttempt};
use sitewright_model::message;
use sitewright_model::message::Message;
use sitewright_tests::{
    ANY_ANSWER, Done, Workbench, check_record, faulty, guest, order, postgres, standins,
};
use sqlx::Connection as _;
use ulid::Ulid;

/// A workbench with its own database and one template, `faulty`.
struct Fixture {
    bench: Workbench,
    url: String,
}

impl Fixture {
    fn new(url: Option<String>) -> Self {
        let database =
            url.as_ref().map(|url| format!("[database]\nurl = {url:?}\n")).unwrap_or_default();
        let bench =
            Workbench::scripted(ANY_ANSWER, &format!("templates = \"templates\"\n{database}"));
        std::fs::create_dir(bench.path().join("templates")).unwrap();
        std::fs::copy(guest("guest-faulty"), bench.path().join("templates/faulty.wasm")).unwrap();
        let url =
            url.unwrap_or_else(|| format!("sqlite://{}/sitewright.db", bench.path().display()));
        Fixture { bench, url }
    }

    fn sqlite() -> Self {
        Fixture::new(None)
    }

    /// On a new database of PostgreSQL. Reports the test as skipped and returns `None` if
    /// PostgreSQL is not installed.
    fn postgres(test: &str) -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let Some(cluster) = postgres::shared() else {
            standins::skipped(test, "PostgreSQL is not installed: apt-get install postgresql");
            return None;
        };
        let name = format!("cli{}", NEXT.fetch_add(1, Ordering::Relaxed));
        Some(Fixture::new(Some(cluster.create(&name))))
    }

    fn is_sqlite(&self) -> bool {
        self.url.starts_with("sqlite")
    }

    /// The same database, as a worker sees it.
    async fn open(&self) -> Database {
        let database = Database::open(&self.url).await.unwrap();
        database.migrate().await.unwrap();
        database
    }

    async fn sql(&self, sql: &str) {
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        if self.is_sqlite() {
            let mut connection = sqlx::SqliteConnection::connect(&self.url).await.unwrap();
            sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
        } else {
            let mut connection = sqlx::PgConnection::connect(&self.url).await.unwrap();
            sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
        }
    }

    /// Writes a file with an order of this id and returns its path.
    fn document(&self, id: &str) -> String {
        let mut document = faulty("ok", json!({}));
        document["order"]["id"] = json!(id);
        self.bench.write(&format!("{id}.json"), document.to_string()).display().to_string()
    }

    /// Runs `order add` with orders of these ids and returns the outcomes.
    fn add(&self, ids: &[&str]) -> Vec<String> {
        let files: Vec<String> = ids.iter().map(|id| self.document(id)).collect();
        let mut arguments = vec!["--json", "order", "add", "--template", "faulty"];
        arguments.extend(files.iter().map(String::as_str));
        let done = self.bench.run(&arguments);
        assert_eq!(done.code, 0, "{} {}", done.stdout, done.stderr);
        let orders = done.json()["orders"].clone();
        orders
            .as_array()
            .unwrap()
            .iter()
            .map(|order| order["outcome"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Runs the command twice, without and with `--json`.
    fn ok(&self, arguments: &[&str]) -> (String, Value) {
        let done = self.bench.run(arguments);
        assert_eq!((done.code, &*done.stderr), (0, ""), "{arguments:?}: {}", done.stdout);
        assert!(
            !done.stdout.contains('\u{1b}'),
            "{arguments:?}: colours are for terminals: {:?}",
            done.stdout
        );
        let for_scripts = self.bench.run(&[&["--json"], arguments].concat());
        assert_eq!(for_scripts.code, 0, "{arguments:?}: {}", for_scripts.stderr);
        (done.stdout, for_scripts.json())
    }

    /// Asserts exit code 2 and the message, without and with `--json`.
    fn refused(&self, arguments: &[&str], says: &str) {
        self.refused_with(2, arguments, says);
    }

    fn refused_with(&self, code: i32, arguments: &[&str], says: &str) {
        let done = self.bench.run(arguments);
        assert_eq!((done.code, &*done.stdout), (code, ""), "{arguments:?}: {}", done.stderr);
        assert!(done.stderr.contains(says), "{arguments:?}: {says}: {}", done.stderr);
        let done = self.bench.run(&[&["--json"], arguments].concat());
        assert_eq!(done.code, code, "{arguments:?}");
        let report = done.json();
        assert_eq!(report["outcome"], "error", "{arguments:?}");
        let message = report["error"]["message"].as_str().unwrap();
        // The escapes in clap's messages are also JSON escapes.
        assert!(message.contains(says), "{arguments:?}: {says}: {message}");
    }

    fn spawn(&self, arguments: &[&str]) -> Child {
        let mut command = self.bench.command(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }
}

macro_rules! on_both {
    ($($name:ident),* $(,)?) => {$(
        mod $name {
            #[tokio::test(flavor = "multi_thread")]
            async fn sqlite() {
                super::tests::$name(super::Fixture::sqlite()).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn postgres() {
                let test = concat!("orders_cli::", stringify!($name), "::postgres");
                if let Some(fixture) = super::Fixture::postgres(test) {
                    super::tests::$name(fixture).await;
                }
            }
        }
    )*};
}

on_both!(
    b4_what_cannot_be_read_is_not_what_is_not_there,
    c5_the_same_order_again_is_answered_and_never_done_twice,
    c7_the_record_of_a_crash_reads_like_any_other,
    d1_d3_d7_an_order_from_its_first_attempt_to_its_last,
    events_are_followed_to_the_end,
    exit_codes_of_waiting_are_those_of_generate,
    g2_a_schema_of_another_version_is_refused,
    g4_the_queue_at_a_glance,
    mistakes_are_named_and_nothing_is_enqueued,
    open_breakers_are_listed_and_released,
    waiting_ends_with_the_release_or_with_ctrl_c,
);

fn worker(name: &str) -> WorkerId {
    WorkerId { client: name.to_owned(), config_version: Some("c1".to_owned()) }
}

async fn claim(database: &Database, order: &str) -> Claimed {
    let job = database.order(order).await.unwrap().job_id.unwrap();
    match database.claim(order, job, &worker("host-7-somebody"), Ulid::generate()).await.unwrap() {
        Claim::Claimed(claimed, _) => *claimed,
        other => panic!("{order} was not claimed: {other:?}"),
    }
}

async fn complete(database: &Database, claimed: &Claimed, resolution: Resolution) {
    database.complete(claimed, &resolution, AttemptLimits::default()).await.unwrap();
}

/// The failure that a worker would have written.
fn failure(claimed: &Claimed, kind: FailureKind) -> NewFailure {
    let of = OfAttempt::from(claimed);
    NewFailure::from(&FailureRecord::without_run(kind, message!("it did not work out: {kind}"), of))
}

async fn event(database: &Database, claimed: &Claimed, stage: &str, done: u32) {
    let event = NewEvent {
        order: claimed.order.clone(),
        attempt: Some(claimed.attempt.to_string()),
        stage: stage.to_owned(),
        done: Some(done),
        total: Some(8),
        message: None,
    };
    database.record_events(vec![event]).await.unwrap();
}

async fn ai_call(database: &Database, claimed: &Claimed) {
    let call = NewAiCall {
        request: "q".to_owned(),
        occurrence: 0,
        purpose: "copywriting".to_owned(),
        provider: "p".to_owned(),
        model: "m".to_owned(),
        cost_nano_usd: Some(12_300_000),
        input_tokens: Some(120),
        output_tokens: Some(34),
        took_ms: None,
        tries: Vec::new(),
        entry: json!({ "content": "an answer" }),
    };
    database.keep_reply(&claimed.order, &claimed.attempt.to_string(), call).await.unwrap();
}

/// Masks values that differ between runs: ids, times, durations (with the spaces that align them),
/// the build, the configuration version and the database URL.
pub(crate) fn masked(text: &str) -> String {
    let mut out = String::new();
    // A duration of zero is shown in the smallest unit.
    for line in text.replace(" 0 µs", " 0 ms").lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let mut shown: Vec<String> = Vec::with_capacity(words.len());
        for (at, word) in words.iter().enumerate() {
            let mask = mask(word, words.get(at + 1).copied());
            while mask.ends_with('N') && shown.last().is_some_and(String::is_empty) {
                shown.pop();
            }
            shown.push(mask);
        }
        out.push_str(shown.join(" ").trim_end());
        out.push('\n');
    }
    out
}

fn mask(word: &str, next: Option<&str>) -> String {
    let bare = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    let all = |is: fn(char) -> bool| !bare.is_empty() && bare.chars().all(is);
    let unit = next.is_some_and(|next| {
        ["s", "min", "ms", "h"].contains(&next.trim_end_matches([')', ',', ':', ';']))
    });
    let with = if word.starts_with("sqlite:") || word.starts_with("postgres:") {
        return "<DATABASE>".to_owned();
    } else if bare.len() == 26 && all(|c| c.is_ascii_digit() || c.is_ascii_uppercase()) {
        "<ULID>"
    } else if bare.len() == 32 && all(|c| c.is_ascii_hexdigit()) {
        "<TRACE>"
    } else if bare.len() == 12 && all(|c| c.is_ascii_hexdigit()) {
        "<CONFIG>"
    } else if bare.ends_with('Z') && bare.contains('T') && bare.contains(':') {
        "<TIME>"
    } else if bare.len() == 10 && all(|c| c.is_ascii_digit() || c == '-') {
        "<DAY>"
    } else if bare.len() == 8 && all(|c| c.is_ascii_digit() || c == ':') {
        "<TIME>"
    } else if bare.contains("0.1.0+") {
        "<BUILD>"
    } else if unit && all(|c| c.is_ascii_digit() || c == '.') {
        "N"
    } else {
        return word.to_owned();
    };
    word.replace(bare, with)
}

/// Waits for a child and returns its output.
async fn ended(child: Child) -> Done {
    tokio::task::spawn_blocking(|| child.wait_with_output().unwrap().into()).await.unwrap()
}

async fn until<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let begin = Instant::now();
    while !condition().await {
        assert!(begin.elapsed() < Duration::from_secs(60), "waited a minute for: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A worker that completes no order.
struct Idle;

#[async_trait::async_trait]
impl Handler for Idle {
    async fn handle(&self, _: &Claimed, _: String, _: &Stop) -> Resolution {
        Resolution::ReturnToQueue
    }
}

#[async_trait::async_trait]
impl Publisher for Idle {
    async fn activate(&self, _: &Claimed, _: &str) -> Result<(), Message> {
        Ok(())
    }

    async fn discard(&self, _: &Claimed, _: &str) -> Result<(), Message> {
        Ok(())
    }
}

mod tests {
    use super::*;

    pub(super) async fn g2_a_schema_of_another_version_is_refused(fixture: Fixture) {
        let looks: [&[&str]; 8] = [
            &["order", "list"],
            &["order", "show", "24"],
            &["order", "events", "24"],
            &["order", "cancel", "24"],
            &["order", "retry", "24"],
            &["order", "export", "24"],
            &["queue", "stats"],
            &["queue", "pause"],
        ];
        for look in looks {
            fixture.refused_with(1, look, "run `sitewright migrate`");
        }
        let file = fixture.document("24");
        let add = ["order", "add", &file, "--template", "faulty"];
        if fixture.is_sqlite() {
            assert!(
                !fixture.bench.path().join("sitewright.db").exists(),
                "who only looks makes no file"
            );
            assert_eq!(fixture.bench.run(&add).code, 0, "the first use needs no ceremony");
        } else {
            fixture.refused_with(1, &add, "run `sitewright migrate`");
            let done = fixture.bench.run(&["--json", "migrate"]);
            assert_eq!(
                (done.code, &done.json()["outcome"]),
                (0, &json!("migrated")),
                "{}",
                done.stdout
            );
            assert_eq!(done.json()["from"], 0);
            assert_eq!(fixture.bench.run(&add).code, 0);
        }
        let (text, report) = fixture.ok(&["migrate"]);
        assert_eq!(report["outcome"], "unchanged");
        insta::assert_snapshot!("migrate_unchanged", masked(&text));

        fixture
            .sql(
                "INSERT INTO sitewright_schema (version, program, applied_at) VALUES (99, \
                 '9.9.9', 0)",
            )
            .await;
        for arguments in looks.into_iter().chain([&add[..], &["migrate"]]) {
            fixture.refused_with(1, arguments, "it was migrated by a newer sitewright");
        }
    }

    pub(super) async fn c5_the_same_order_again_is_answered_and_never_done_twice(fixture: Fixture) {
        let database = fixture.open().await;
        assert_eq!(fixture.add(&["24", "25", "24"]), ["new", "new", "already_queued"]);
        let claimed = claim(&database, "24").await;
        assert_eq!(fixture.add(&["24", "25"]), ["already_running", "already_queued"]);
        complete(&database, &claimed, Resolution::Succeeded { release: "R1".to_owned() }).await;
        assert_eq!(fixture.add(&["25", "24"]), ["already_queued", "already_done"]);
        assert_eq!(database.order("24").await.unwrap().runs, 1);
        // The text output says so, with the differences from the first order.
        let mut changed = faulty("error", json!({}));
        changed["order"]["id"] = json!("24");
        let changed =
            fixture.bench.write("changed.json", changed.to_string()).display().to_string();
        let (other, third) = (fixture.document("25"), fixture.document("26"));
        let (text, report) =
            fixture.ok(&["order", "add", &changed, &other, "--template", "faulty"]);
        insta::assert_snapshot!("add_known", masked(&text));
        assert_eq!(report["orders"][0]["differs"], "document");
        assert_eq!(
            (&report["orders"][0]["state"], &report["orders"][0]["release"]),
            (&json!("succeeded"), &json!("R1"))
        );
        assert_eq!(report["orders"][1]["differs"], Value::Null);
        // The idempotency key is a second name: another id with the same key means the first order.
        let add = |file: &str| {
            fixture
                .bench
                .run(&["--json", "order", "add", file, "--template", "faulty", "--key", "k"])
                .json()
        };
        assert_eq!(add(&third)["orders"][0]["outcome"], "new");
        let again = add(&fixture.document("27"));
        assert_eq!(again["orders"][0]["outcome"], "already_queued");
        assert_eq!(
            (&again["orders"][0]["order"], &again["orders"][0]["sent_as"]),
            (&json!("26"), &json!("27"))
        );
        assert_eq!(database.stats().await.unwrap().count(OrderState::Queued), 2);
    }

    pub(super) async fn mistakes_are_named_and_nothing_is_enqueued(fixture: Fixture) {
        let database = fixture.open().await;
        let good = fixture.document("24");
        let good = good.as_str();
        // These are not named as templates.
        fixture.bench.write("templates/a\nb.wasm", "no component");
        let dangling = fixture.bench.path().join("templates/dangling.wasm");
        std::os::unix::fs::symlink("/nowhere", dangling).unwrap();
        std::fs::create_dir(fixture.bench.path().join("templates/folder.wasm")).unwrap();
        let cases: [(&[&str], &str); 17] = [
            (&["order", "add", good, "--template", "nobody"], "there are: faulty"),
            (&["order", "add", good, "--template", "templates/faulty.wasm"], "give its name"),
            (&["order", "add", good], "--template"),
            (&["order", "add", "--template", "faulty"], "FILE"),
            (&["order", "add", "no-such.json", "--template", "faulty"], "no-such.json"),
            (&["order", "add", good, "--template", "faulty", "--priority", "5"], "--priority"),
            (
                &["order", "add", good, good, "--template", "faulty", "--key", "k"],
                "a key of its own",
            ),
            (&["order", "add", "-", "-", "--template", "faulty"], "more than once"),
            (&["order", "add", good, "--template", "faulty", "--key", " "], "idempotency_key"),
            (&["order", "add", good, "--template", "faulty", "--tenant", " "], "`tenant`"),
            (&["order", "list", "--state", "lost"], "the states are queued, running, waiting"),
            (&["order", "show", "nobody"], "there is no order \"nobody\""),
            (&["order", "events", "nobody"], "there is no order \"nobody\""),
            (&["order", "cancel", "nobody"], "there is no order \"nobody\""),
            (&["order", "retry", "nobody"], "there is no order \"nobody\""),
            (&["order", "export", "nobody"], "there is no order \"nobody\""),
            (&["breaker", "release", "nobody"], "the providers are: scripted"),
        ];
        for (arguments, says) in cases {
            fixture.refused(arguments, says);
        }
        // All faulty documents are reported together, and the valid one is not enqueued either.
        fixture.bench.write("half.json", "{\"order\": ");
        fixture.bench.write("bare.json", "{\"order\": {\"id\": 25}, \"onboarding\": {}}");
        let arguments = ["order", "add", "half.json", good, "bare.json", "--template", "faulty"];
        let done = fixture.bench.run(&arguments);
        assert_eq!((done.code, &*done.stdout), (3, ""));
        insta::assert_snapshot!("add_invalid", done.stderr);
        let done = fixture.bench.run(&[&["--json"], &arguments[..]].concat());
        assert_eq!((done.code, &done.json()["outcome"]), (3, &json!("invalid")));
        // A name and one way to reach the business are all that is required.
        let problems = done.json()["orders"][1]["problems"].clone();
        let at: Vec<&Value> = problems.as_array().unwrap().iter().map(|one| &one["at"]).collect();
        assert_eq!(at, ["/onboarding/business_name", "/onboarding/business_phone"]);
        assert_eq!(database.unfinished().await.unwrap(), 0);
        assert_eq!(fixture.ok(&["order", "list"]).0, "No orders.\n");
        // A missing folder of templates is no error: it may be on the worker's machine.
        let done = fixture.bench.run(&[
            "--templates",
            "elsewhere",
            "order",
            "add",
            good,
            "--template",
            "nobody",
        ]);
        assert_eq!(done.code, 0, "{}", done.stderr);
        assert!(done.stderr.contains("warning: cannot check"), "{}", done.stderr);
        // A document can come from stdin.
        let mut command = fixture.bench.command(&[
            "--json",
            "order",
            "add",
            "-",
            "--template",
            "faulty",
            "--priority",
            "1",
            "--tenant",
            "acme",
        ]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(order("02-dentist-us-minimal").to_string().as_bytes())
            .unwrap();
        let done = ended(child).await;
        assert_eq!((done.code, &done.json()["orders"][0]["order"]), (0, &json!("102")));
        let added = database.order("102").await.unwrap();
        assert_eq!((i64::from(added.priority), added.tenant.as_deref()), (1, Some("acme")));
        let shown = fixture.bench.run(&["order", "show", "102"]).stdout;
        assert!(shown.contains("acme"), "{shown}");
        for (tenant, fit) in [("acme", json!(["102"])), ("another", json!([]))] {
            let (_, listed) = fixture.ok(&["order", "list", "--tenant", tenant]);
            let ids: Vec<&Value> =
                listed["orders"].as_array().unwrap().iter().map(|order| &order["id"]).collect();
            assert_eq!(json!(ids), fit, "{tenant}");
            let cancel = ["order", "cancel", "--tenant", tenant, "--dry-run"];
            assert_eq!(fixture.ok(&cancel).1["orders"], fit, "{tenant}");
        }
    }

    pub(super) async fn d1_d3_d7_an_order_from_its_first_attempt_to_its_last(fixture: Fixture) {
        let database = fixture.open().await;
        fixture.add(&["24"]);
        let claimed = claim(&database, "24").await;
        event(&database, &claimed, "copy", 3).await;
        ai_call(&database, &claimed).await;
        insta::assert_snapshot!("show_running", masked(&fixture.ok(&["order", "show", "24"]).0));
        // D3: the reason and the end of the wait.
        let mut failed = failure(&claimed, FailureKind::Ai);
        failed.record["stage"] = json!("copy");
        let retry = Resolution::Retry { failure: failed, after: Duration::from_secs(60) };
        complete(&database, &claimed, retry).await;
        let (text, report) = fixture.ok(&["order", "show", "24"]);
        insta::assert_snapshot!("show_waiting", masked(&text));
        assert_eq!(report["order"]["state"], "waiting");
        assert!(
            report["order"]["waiting_reason"].as_str().unwrap().contains("it did not work out")
        );
        assert!(report["order"]["next_attempt_at"].is_i64());
        assert_eq!(report["attempts"][0]["outcome"], "retry");
        assert_eq!(
            (&report["cost"]["calls"], &report["cost"]["input_tokens"]),
            (&json!(1), &json!(120))
        );
        assert_eq!(report["last_failure"]["kind"], "ai");
        insta::assert_snapshot!("list_waiting", masked(&fixture.ok(&["order", "list"]).0));

        assert_eq!(
            fixture.bench.run(&["--json", "order", "cancel", "24"]).json()["outcome"],
            "cancelled"
        );
        let (text, report) = fixture.ok(&["order", "cancel", "24"]);
        assert_eq!(report["outcome"], "already_ended");
        assert_eq!(report["state"], "cancelled");
        assert!(text.contains("nothing was changed"), "{text}");

        // D7: requeuing keeps the history.
        assert_eq!(
            fixture.bench.run(&["--json", "order", "retry", "24"]).json()["outcome"],
            "queued"
        );
        fixture.refused(&["order", "retry", "24"], "has not ended");
        let claimed = claim(&database, "24").await;
        assert_eq!(
            fixture.bench.run(&["--json", "order", "cancel", "24"]).json()["outcome"],
            "stopping"
        );
        complete(&database, &claimed, Resolution::Succeeded { release: "R2".to_owned() }).await;
        let (text, report) = fixture.ok(&["order", "show", "24"]);
        insta::assert_snapshot!("show_succeeded", masked(&text));
        let outcomes: Vec<&str> = report["attempts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|attempt| attempt["outcome"].as_str().unwrap())
            .collect();
        assert_eq!(outcomes, ["retry", "succeeded"]);

        // D1: a final state stays final.
        assert_eq!(fixture.add(&["24"]), ["already_done"]);
        fixture.ok(&["order", "cancel", "24"]);
        assert_eq!(database.order("24").await.unwrap().state, OrderState::Succeeded);

        let done = fixture.bench.run(&["order", "export", "24", "--out", "24.export.json"]);
        assert_eq!(done.code, 0, "{}", done.stderr);
        let file = std::fs::read(fixture.bench.path().join("24.export.json")).unwrap();
        let export: Value = serde_json::from_slice(&file).unwrap();
        assert_eq!(export, fixture.bench.run(&["order", "export", "24"]).json());
        for (part, entries) in [("attempts", 2), ("events", 1), ("ai_calls", 1), ("failures", 1)] {
            assert_eq!(export[part].as_array().unwrap().len(), entries, "{part}");
        }
        fixture.add(&["25"]);
        let (_, listed) = fixture.ok(&["order", "list", "--limit", "1"]);
        assert_eq!((&listed["orders"][0]["id"], &listed["more"]), (&json!("25"), &json!(true)));
        let (_, listed) =
            fixture.ok(&["order", "list", "--state", "succeeded", "--template", "faulty"]);
        assert_eq!((&listed["orders"][0]["id"], &listed["more"]), (&json!("24"), &json!(false)));
    }

    pub(super) async fn events_are_followed_to_the_end(fixture: Fixture) {
        let database = fixture.open().await;
        fixture.add(&["24"]);
        assert_eq!(fixture.ok(&["order", "events", "24"]).0, "No events; order 24 is queued.\n");
        let follow = fixture.spawn(&["--json", "order", "events", "24", "--follow"]);
        let claimed = claim(&database, "24").await;
        for (done, stage) in ["copy", "pages", "images"].into_iter().enumerate() {
            event(&database, &claimed, stage, done as u32).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        complete(&database, &claimed, Resolution::Succeeded { release: "R1".to_owned() }).await;
        // Workers write in batches, so events may arrive shortly after the end.
        event(&database, &claimed, "late", 8).await;
        let done = ended(follow).await;
        assert_eq!(done.code, 0, "{}", done.stderr);
        let stages: Vec<Value> = done
            .stdout
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["stage"].clone())
            .collect();
        assert_eq!(stages, ["copy", "pages", "images", "late"]);
        let (text, report) = fixture.ok(&["order", "events", "24"]);
        assert_eq!(report["events"].as_array().unwrap().len(), 4);
        insta::assert_snapshot!("events", masked(&text));
    }

    pub(super) async fn exit_codes_of_waiting_are_those_of_generate(fixture: Fixture) {
        let database = fixture.open().await;
        let cases = [
            (FailureKind::TemplateError, 4),
            (FailureKind::Trap, 4),
            (FailureKind::TemplateLoad, 4),
            (FailureKind::Ai, 5),
            (FailureKind::OutputRejected, 6),
            (FailureKind::InvalidOrder, 3),
            (FailureKind::Host, 1),
            (FailureKind::Crashed, 1),
        ];
        let mut files = Vec::new();
        for (kind, code) in cases {
            let id = kind.as_str();
            fixture.add(&[id]);
            let claimed = claim(&database, id).await;
            complete(&database, &claimed, Resolution::Failed { failure: failure(&claimed, kind) })
                .await;
            let file = fixture.document(id);
            let done = fixture.bench.run(&[
                "--json",
                "order",
                "add",
                &file,
                "--template",
                "faulty",
                "--wait",
            ]);
            assert_eq!(done.code, code, "{kind}: {}", done.stdout);
            let report = done.json();
            for key in ["outcome", "order", "release", "files", "ai", "usage", "failure"] {
                assert!(report.as_object().unwrap().contains_key(key), "{key}: {}", done.stdout);
            }
            assert_eq!(
                (&report["outcome"], &report["failure"]["kind"]),
                (&json!("failed"), &json!(id))
            );
            files.push(file);
        }
        fixture.add(&["stopped"]);
        database.cancel("stopped").await.unwrap();
        let stopped = fixture.document("stopped");
        let done = fixture.bench.run(&[
            "--json",
            "order",
            "add",
            &stopped,
            "--template",
            "faulty",
            "--wait",
        ]);
        assert_eq!((done.code, &done.json()["outcome"]), (7, &json!("cancelled")));
        // Several orders: each is reported, and the exit code is that of the first failed one.
        let all = [
            "--json",
            "order",
            "add",
            "--template",
            "faulty",
            "--wait",
            &files[3],
            &files[0],
            &stopped,
        ];
        let done = fixture.bench.run(&all);
        assert_eq!(
            (done.code, done.json()["orders"].as_array().unwrap().len()),
            (5, 3),
            "{}",
            done.stdout
        );
        let done =
            fixture.bench.run(&["order", "add", &files[3], "--template", "faulty", "--wait"]);
        insta::assert_snapshot!("wait_failed", masked(&done.stdout));
        assert_eq!((done.code, &*done.stderr), (5, ""));
    }

    pub(super) async fn waiting_ends_with_the_release_or_with_ctrl_c(fixture: Fixture) {
        let database = fixture.open().await;
        // A real release by `generate`, which this test's worker then reports as its own.
        let mut document = faulty("ok", json!({}));
        document["order"]["id"] = json!("24");
        let made = fixture.bench.generate(&guest("guest-faulty"), &document);
        assert_eq!(made.code, 0, "{}", made.stdout);
        let release = made.json()["release"].clone();
        let file = fixture.document("24");
        let wait = ["order", "add", &file, "--template", "faulty", "--wait"];
        let for_scripts = [&["--json"], &wait[..]].concat();
        let (people, scripts) = (fixture.spawn(&wait), fixture.spawn(&for_scripts));
        until("it is queued", || async { database.order("24").await.is_ok() }).await;
        let claimed = claim(&database, "24").await;
        event(&database, &claimed, "copy", 1).await;
        ai_call(&database, &claimed).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        let id = release["id"].as_str().unwrap().to_owned();
        complete(&database, &claimed, Resolution::Succeeded { release: id }).await;
        let (people, scripts) = (ended(people).await, ended(scripts).await);
        assert_eq!((people.code, &*people.stderr), (0, ""), "{}", people.stdout);
        assert!(people.stdout.contains("order 24 is a website"), "{}", people.stdout);
        assert!(
            people.stdout.contains("1 AI call, 120 tokens in, 34 out, 0.0123 USD"),
            "{}",
            people.stdout
        );
        assert!(people.stdout.contains("current/index.html"), "{}", people.stdout);
        let report = scripts.json();
        assert_eq!(
            (scripts.code, &report["outcome"]),
            (0, &json!("released")),
            "{}",
            scripts.stdout
        );
        for key in ["id", "path", "current", "total_bytes"] {
            assert_eq!(report["release"][key], release[key], "{key}");
        }
        assert_eq!(report["files"], made.json()["files"]);

        // Ctrl-C ends the wait, not the order. The output says that no worker is running.
        let file = fixture.document("25");
        let mut child =
            fixture.spawn(&["--json", "order", "add", &file, "--template", "faulty", "--wait"]);
        let mut stderr = std::io::BufReader::new(child.stderr.take().unwrap());
        let (line, stderr) = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            std::io::BufRead::read_line(&mut stderr, &mut line).unwrap();
            (line, stderr)
        })
        .await
        .unwrap();
        assert!(line.contains("no worker is running"), "{line}");
        rustix::process::kill_process(
            rustix::process::Pid::from_child(&child),
            rustix::process::Signal::INT,
        )
        .unwrap();
        let done = ended(child).await;
        let printed = std::io::read_to_string(stderr).unwrap();
        assert_eq!(
            (done.code, &done.json()["outcome"]),
            (7, &json!("interrupted")),
            "{}",
            done.stdout
        );
        assert!(printed.contains("order 25 stays in the queue"), "{printed}");
        assert_eq!(database.order("25").await.unwrap().state, OrderState::Queued);
    }

    pub(super) async fn open_breakers_are_listed_and_released(fixture: Fixture) {
        let database = fixture.open().await;
        for arguments in [&["breaker", "list"][..], &["breaker", "release", "scripted"]] {
            let (text, _) = fixture.ok(arguments);
            assert!(text.to_lowercase().contains("no circuit breaker is open"), "{text}");
        }
        fixture
            .sql(
                "INSERT INTO sitewright_workers (client_id, boot_id, host, pid, max_orders, \
                 started_at, last_seen, beats, marks)
                 VALUES ('forge-7-somebody', 'b', 'forge', 7, 5, 0, 0, 1, 'm')",
            )
            .await;
        let open = |provider: &str, model: Option<&str>, next_probe_at| NewBreaker {
            provider: provider.to_owned(),
            model: model.map(str::to_owned),
            routes: vec!["code".to_owned(), "copywriting".to_owned()],
            failures: 3,
            kind: "overloaded",
            status: model.map(|_| 503),
            next_probe_at,
            scope: match model {
                Some(_) => BreakerScope::Tenant { tenant: Some("acme".to_owned()) },
                None => BreakerScope::All,
            },
        };
        // In the year 2100.
        let later = Some(4_102_444_800_000);
        let both = vec![open("openrouter", Some("large"), later), open("local", None, None)];
        database.publish_breakers("forge-7-somebody", both).await.unwrap();
        for (arguments, shown) in [
            (&["breaker", "list"][..], ["local", "openrouter"].as_slice()),
            (&["breaker", "list", "--provider", "openrouter"], &["openrouter"]),
            (&["breaker", "list", "--provider", "another"], &[]),
        ] {
            let (text, report) = fixture.ok(arguments);
            let listed = report["breakers"].as_array().unwrap();
            let names: Vec<&Value> = listed.iter().map(|one| &one["provider"]).collect();
            assert_eq!(names, shown, "{arguments:?}: {report}");
            for (provider, says) in [
                ("local", "breaker open the address of local  for "),
                ("local", "; the next call is let through"),
                ("local", "the last with overloaded (no response)"),
                ("openrouter", "breaker open large of openrouter  for "),
                ("openrouter", "; one call is let through in "),
                ("openrouter", "3 failures in a row, the last with overloaded (HTTP 503)"),
                ("local", "rejects the calls of all orders (worker forge"),
                ("openrouter", "rejects the calls of the orders of the tenant `acme`"),
                ("openrouter", "(worker forge-7-somebody) on forge\n  routes: code, copywriting\n"),
            ] {
                assert_eq!(text.contains(says), shown.contains(&provider), "{says:?}: {text}");
            }
            for one in listed {
                let state = if one["provider"] == "local" { "half_open" } else { "open" };
                assert_eq!(one["state"], state, "{one}");
                assert_eq!(
                    (&one["worker"], &one["host"]),
                    (&json!("forge-7-somebody"), &json!("forge"))
                );
                assert_eq!(one["routes"], json!(["code", "copywriting"]));
                assert!(one["since"].is_i64(), "{one}");
            }
        }
        let (text, report) = fixture.ok(&["breaker", "release", "openrouter"]);
        assert_eq!(
            report,
            json!({ "outcome": "released", "provider": "openrouter", "breakers": 1 })
        );
        assert!(text.contains("openrouter: 1 circuit breaker released"), "{text}");
        let asked = database.claim_breaker_releases("forge-7-somebody").await.unwrap();
        assert_eq!(asked.into_iter().collect::<Vec<_>>(), ["openrouter"]);
        let entries = database.audit_log(i64::MAX, 10).await.unwrap();
        let released = entries.iter().filter(|entry| entry.action == "breaker.release");
        let targets: Vec<&str> = released.filter_map(|entry| entry.target.as_deref()).collect();
        assert_eq!(targets, ["openrouter", "openrouter", "scripted", "scripted"]);
    }

    pub(super) async fn c7_the_record_of_a_crash_reads_like_any_other(fixture: Fixture) {
        let database = fixture.open().await;
        fixture.add(&["24"]);
        database.pause().await.unwrap();
        let claimed = claim(&database, "24").await;
        event(&database, &claimed, "copy", 3).await;
        ai_call(&database, &claimed).await;
        // `somebody` was killed while code of the order ran alone, which was suspected before: the
        // next worker rescues it.
        let folder = fixture.bench.path().join("marks");
        let marks = Marks::create(folder.clone()).await.unwrap();
        marks.enter(claimed.attempt, true);
        let name = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap().file_name();
        drop(marks);
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        let row = format!(
            "UPDATE sitewright_orders SET suspected_at = 1;
             INSERT INTO sitewright_workers (client_id, boot_id, host, pid, max_orders, \
             started_at, last_seen, beats, marks)
             VALUES ('host-7-somebody', '{}', 'host', 7, 5, 0, 0, 1, '{}')",
            boot.trim(),
            name.display()
        );
        fixture.sql(&row).await;
        let settings = WorkerSettings {
            marks: Some(Arc::new(Marks::create(folder).await.unwrap())),
            heartbeat_every: Duration::from_millis(100),
            stale_after: Duration::from_millis(400),
            rescue_every: Duration::from_millis(50),
            ..WorkerSettings::default()
        };
        let serving =
            serve(database.clone(), settings, Arc::new(Idle), Arc::new(Idle)).await.unwrap();
        until("it is rescued", || async { database.order("24").await.unwrap().crashes == 1 }).await;
        let stats = fixture.ok(&["queue", "stats"]);
        assert_eq!(stats.1["workers"].as_array().unwrap().len(), 1, "{}", stats.1);
        assert_eq!(stats.1["workers"][0]["pid"], std::process::id());
        assert!(stats.0.contains("0 of ") && stats.0.contains("last seen "), "{}", stats.0);
        serving.drain(Duration::from_secs(5)).await.unwrap();

        let id = database.order("24").await.unwrap().last_failure.unwrap();
        let (text, report) = fixture.ok(&["failures", "show", &id]);
        insta::assert_snapshot!("crashed", masked(&text));
        check_record(&report);
        let record: FailureRecord = serde_json::from_value(report).unwrap();
        assert_eq!((record.kind, &*record.template.name), (FailureKind::Crashed, "faulty"));
        assert_eq!(
            fixture.ok(&["failures", "show", &id[..20]]).0,
            text,
            "the beginning of an id is enough"
        );
        fixture.refused(&["failures", "show", "01ZZZZ"], "there is no failure \"01ZZZZ\"");
    }

    pub(super) async fn b4_what_cannot_be_read_is_not_what_is_not_there(fixture: Fixture) {
        let database = fixture.open().await;
        fixture.add(&["24"]);
        database.close().await;
        fixture.sql("DROP TABLE sitewright_failures").await;
        fixture.sql("UPDATE sitewright_orders SET last_failure = 'F1'").await;
        for arguments in
            [&["order", "show", "24"][..], &["failures", "show", "F1"], &["order", "export", "24"]]
        {
            let done = fixture.bench.run(arguments);
            assert_eq!((done.code, &*done.stdout), (1, ""), "{arguments:?}: {}", done.stderr);
            assert!(
                done.stderr.contains("failed at the database"),
                "{arguments:?}: {}",
                done.stderr
            );
        }
        if fixture.is_sqlite() {
            fixture.bench.write(
                "sitewright.db",
                "this is no database, and longer than the header of one would have to be, which \
                 is 100 bytes",
            );
            for name in ["sitewright.db-wal", "sitewright.db-shm"] {
                std::fs::remove_file(fixture.bench.path().join(name)).ok();
            }
            let done = fixture.bench.run(&["order", "list"]);
            assert_ne!(done.code, 0);
            assert!(done.stderr.contains("not a database"), "{}", done.stderr);
        }
    }

    pub(super) async fn g4_the_queue_at_a_glance(fixture: Fixture) {
        let database = fixture.open().await;
        fixture.add(&["1", "2", "3", "4", "5"]);
        let claimed = claim(&database, "1").await;
        complete(&database, &claimed, Resolution::Succeeded { release: "R".to_owned() }).await;
        let claimed = claim(&database, "2").await;
        let retry = Resolution::Retry {
            failure: failure(&claimed, FailureKind::Ai),
            after: Duration::from_secs(60),
        };
        complete(&database, &claimed, retry).await;
        claim(&database, "3").await;
        let (text, report) = fixture.ok(&["queue", "pause"]);
        assert_eq!(report, json!({ "outcome": "paused", "paused": true }));
        assert!(text.contains("sitewright queue resume"), "{text}");
        let (text, report) = fixture.ok(&["queue", "stats"]);
        insta::assert_snapshot!("stats", masked(&text));
        for (state, count) in
            [("queued", 2), ("running", 1), ("waiting", 1), ("succeeded", 1), ("dead", 0)]
        {
            assert_eq!(report["orders"][state], count, "{state}");
        }
        for key in ["oldest_queued_ms", "oldest_running_ms", "next_due_at"] {
            assert!(report[key].is_i64(), "{key}: {report}");
        }
        assert_eq!(report["paused"], true);
        fixture.ok(&["queue", "resume"]);
        assert_eq!(fixture.ok(&["queue", "stats"]).1["paused"], false);
    }
}

#[test]
fn help_teaches() {
    let bench = Workbench::configured("");
    for command in ["order", "order add", "order list", "order export", "queue", "migrate"] {
        let mut arguments: Vec<&str> = command.split(' ').collect();
        arguments.push("--help");
        let done = bench.run(&arguments);
        assert_eq!(done.code, 0, "{command}: {}", done.stderr);
        insta::assert_snapshot!(format!("help {command}").replace(' ', "_"), done.stdout);
    }
}
