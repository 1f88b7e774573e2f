//! Databases that cannot be opened or have other tables: what the binary says, how fast, and with
//! which exit code. A worker that may be right after a restart ends with 1, as systemd wants it.

use std::thread;
use std::time::{Duration, Instant};

use sitewright_jobs::{Database, SCHEMA_VERSION};
use sitewright_tests::chat_server::ClosedPort;
use sitewright_tests::factory::{Base, Factory, Model, calls_in_turn, good};
use sitewright_tests::{ANY_ANSWER, Done, Workbench, standins};

/// A command with this URL, at the most detailed log.
fn run(bench: &Workbench, url: &str, arguments: &[&str]) -> Done {
    let mut command = bench.command(&["--log", "trace"]);
    command.args(arguments).env("SITEWRIGHT_DATABASE__URL", url);
    command.output().unwrap().into()
}

/// Does the same with each of these, all at the same time: a command that does not reach PostgreSQL
/// waits for seconds, and needs no processor meanwhile.
fn together<T: Sync>(all: &[T], each: impl Fn(&T) + Sync) {
    let each = &each;
    thread::scope(|scope| {
        for one in all {
            scope.spawn(move || each(one));
        }
    });
}

/// Runs a statement on a database.
pub(super) async fn sql(url: &str, text: &str) {
    use sqlx::Connection as _;
    let text = sqlx::AssertSqlSafe(text.to_owned());
    if url.starts_with("sqlite:") {
        let mut connection = sqlx::SqliteConnection::connect(url).await.unwrap();
        sqlx::raw_sql(text).execute(&mut connection).await.unwrap();
    } else {
        let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
        sqlx::raw_sql(text).execute(&mut connection).await.unwrap();
    }
}

const COMMANDS: [&[&str]; 6] = [
    &["order", "list"],
    &["--json", "order", "show", "24"],
    &["queue", "stats"],
    &["failures", "list"],
    &["migrate"],
    &["worker", "--drain"],
];

#[test]
fn what_only_reads_makes_no_file_and_a_file_has_no_password() {
    let bench = Workbench::scripted(ANY_ANSWER, "");
    let folder = bench.path().join("none/deep");
    let url = format!("sqlite://{}/orders.db", folder.display());
    for arguments in [
        &["order", "list"][..],
        &["queue", "stats"],
        &["route", "list"],
        &["breaker", "list"],
        &["token", "list"],
        &["backup", "copy.db"],
        &["worker", "--no-migrate"],
    ] {
        let done = run(&bench, &url, arguments);
        assert_eq!(done.code, 1, "{arguments:?}: {}", done.stderr);
        assert!(done.stderr.contains("there is no database"), "{arguments:?}: {}", done.stderr);
        assert!(!folder.exists(), "{arguments:?}");
    }
    for arguments in COMMANDS {
        let done = run(&bench, "sqlite://sw:Zq8xw@host/q.db", arguments);
        assert_eq!(done.code, 2, "{arguments:?}: {}", done.stderr);
        assert!(done.stderr.contains("SQLite is a file"), "{arguments:?}: {}", done.stderr);
        let shown = format!("{}{}", done.stdout, done.stderr);
        assert!(!shown.contains("Zq8xw"), "{arguments:?}: {shown}");
    }
    let names = std::fs::read_dir(bench.path()).unwrap();
    for name in names.map(|entry| entry.unwrap().file_name()) {
        assert!(!name.to_string_lossy().contains("Zq8xw"), "{name:?}");
    }
}

/// Raw characters that end a part of a URL, at each place of a password.
#[test]
fn d4_no_command_shows_a_password_with_raw_characters() {
    let bench = Workbench::scripted(ANY_ANSWER, "");
    let closed = ClosedPort::take();
    let port = closed.origin().rsplit(':').next().unwrap().to_owned();
    let passwords = [
        "5432?Zq8xw",
        "5432#Zq8xw",
        "5432/Zq8xw",
        "Zq8xw?5432",
        "Zq8xw#5432",
        "Zq8xw/5432",
        "Zq8xw@5432",
        "5432@Zq8xw",
        "Zq8xw%5432",
        "54%32Zq8xw",
        "Zq8xw 5432",
        "Zq8xw&5432=1",
        "Zq8xw%ff",
    ];
    let urls = passwords.map(|password| {
        [
            format!("postgres://me:{password}@127.0.0.1:{port}/sites"),
            format!("postgres://127.0.0.1:{port}/s?user=me&password={password}"),
        ]
    });
    let [arguments, ..] = COMMANDS;
    together(urls.as_flattened(), |url| {
        let done = run(&bench, url, arguments);
        let all = format!("{}{}", done.stdout, done.stderr);
        assert!(done.code == 1 || done.code == 2, "{url}: {}: {all}", done.code);
        assert!(!all.contains("Zq8xw"), "{url} {arguments:?}: {all}");
    });
    for arguments in COMMANDS {
        let done = run(&bench, "postgres://me:12?Zq8xw@127.0.0.1/sites", arguments);
        let all = format!("{}{}", done.stdout, done.stderr);
        assert!(all.contains("write / as %2F, ? as %3F") && !all.contains("Zq8xw"), "{all}");
    }
}

/// The reader of passwords logs the lines that it cannot read.
#[test]
fn d4_no_line_of_a_password_file_is_logged() {
    let bench = Workbench::scripted(ANY_ANSWER, "");
    let closed = ClosedPort::take();
    let port = closed.origin().rsplit(':').next().unwrap().to_owned();
    let file = bench.write(".pgpass", "127.0.0.1:5432:Zq8xw\n");
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    together(&["trace", "sqlx=trace", "sqlx_postgres=trace"], |&filter| {
        let mut command = bench.command(&["--log", filter, "order", "list"]);
        let url = format!("postgres://me@127.0.0.1:{port}/sites");
        command.env("SITEWRIGHT_DATABASE__URL", url).env("PGPASSFILE", &file);
        let done: Done = command.output().unwrap().into();
        assert_eq!(done.code, 1, "{}", done.stderr);
        assert!(!done.stderr.contains("Zq8xw"), "{filter}: {}", done.stderr);
    });
}

#[test]
fn d11_a_command_says_why_postgresql_cannot_be_reached_within_five_seconds() {
    let bench = Workbench::scripted(ANY_ANSWER, "");
    let closed = ClosedPort::take();
    let port = closed.origin().rsplit(':').next().unwrap().to_owned();
    let urls = [
        (format!("postgres://me@127.0.0.1:{port}/sites"), "nothing listens there"),
        ("postgres://me@nowhere.invalid/sites".to_owned(), "cannot be looked up"),
        ("postgres:///sites?host=/nowhere/there".to_owned(), "there is no socket"),
    ];
    together(&urls, |(url, says)| {
        for arguments in [&["order", "list"], &["worker", "--drain"]] {
            let begin = Instant::now();
            let mut command = bench.command(arguments);
            let done: Done = command.env("SITEWRIGHT_DATABASE__URL", url).output().unwrap().into();
            assert_eq!(done.code, 1, "{}", done.stderr);
            assert!(done.stderr.contains(says), "{says}: {}", done.stderr);
            assert!(!done.stderr.contains("timed out"), "{}", done.stderr);
            // Five seconds of trying, and a start beside other tests. A pool would wait for 30 s.
            assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
        }
    });
}

/// Everything that may be right after a restart: exit code 1.
async fn may_pass(base: Base) {
    let model = Model::start(good);
    let factory = Factory::new(base, &model).await;
    let ends = |what: &str, factory: &Factory, says: &str| {
        let done: Done = factory.worker_command(&["--drain"]).output().unwrap().into();
        assert_eq!(done.code, 1, "{what}: {}", done.stderr);
        assert!(done.stderr.contains(says), "{what}: {says}: {}", done.stderr);
    };
    let newer = SCHEMA_VERSION + 1;
    let insert = format!(
        "INSERT INTO sitewright_schema (version, program, applied_at) VALUES ({newer}, '9', 0)"
    );
    sql(&factory.url, &insert).await;
    ends("newer tables", &factory, "it was migrated by a newer sitewright");
    sql(&factory.url, &format!("DELETE FROM sitewright_schema WHERE version = {newer}")).await;

    factory.bench.write("in-the-way", "a file");
    let factory = factory.with("sites", "in-the-way");
    ends("sites", &factory, "the sites folder");
    let factory = factory.with("sites", "sites").with("database.url_file", "no-such-file");
    let mut command = factory.worker_command(&["--drain"]);
    let done: Done = command.env_remove("SITEWRIGHT_DATABASE__URL").output().unwrap().into();
    assert_eq!(done.code, 1, "{}", done.stderr);
    assert!(done.stderr.contains("no-such-file"), "{}", done.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn d9_a_worker_ends_with_1_for_what_may_pass_on_sqlite() {
    may_pass(Base::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d9_a_worker_ends_with_1_for_what_may_pass_on_postgres() {
    if let Some(base) = Base::postgres("exit codes on PostgreSQL") {
        may_pass(base).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn d9_a_database_or_role_that_is_not_there_yet_ends_a_worker_with_1() {
    let Some(Base::Postgres(url)) = Base::postgres("a database that is not there yet") else {
        return;
    };
    let bench = Workbench::scripted(ANY_ANSWER, "");
    let (before, query) = url.split_once('?').unwrap();
    for (url, says) in [
        (format!("{before}_later?{query}"), "create it"),
        (url.replace("sitewright@", "nobody_yet@"), "check the user name"),
    ] {
        let mut command = bench.command(&["worker", "--drain"]);
        let done: Done = command.env("SITEWRIGHT_DATABASE__URL", url).output().unwrap().into();
        assert_eq!(done.code, 1, "{}", done.stderr);
        assert!(done.stderr.contains(says), "{says}: {}", done.stderr);
    }
}

async fn no_migrate(url: &str, bench: &Workbench) {
    let worker = |arguments: &[&str]| -> Done {
        let mut command = bench.command(&[]);
        command.args(arguments).env("SITEWRIGHT_DATABASE__URL", url);
        command.output().unwrap().into()
    };
    let refused = worker(&["worker", "--drain", "--no-migrate"]);
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    assert!(refused.stderr.contains("run `sitewright migrate`"), "{}", refused.stderr);
    if let Some(path) = url.strip_prefix("sqlite://") {
        assert!(refused.stderr.contains("there is no database"), "{}", refused.stderr);
        assert!(!std::path::Path::new(path).exists(), "nothing was made");
    }
    let database = Database::open(url).await.unwrap();
    assert!(database.check_schema().await.unwrap_err().is_without_tables(), "nothing was made");
    assert_eq!(worker(&["migrate"]).code, 0);
    let works = worker(&["worker", "--drain", "--no-migrate"]);
    assert_eq!(works.code, 0, "{}", works.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn d7_a_worker_that_may_not_migrate_starts_only_on_tables_of_its_version() {
    let bench = Workbench::scripted(ANY_ANSWER, "templates = \"templates\"");
    std::fs::create_dir(bench.path().join("templates")).unwrap();
    let template = sitewright_tests::guest("guest-faulty");
    std::fs::copy(template, bench.path().join("templates/faulty.wasm")).unwrap();
    no_migrate(&format!("sqlite://{}/orders.db", bench.path().display()), &bench).await;
    if let Some(Base::Postgres(url)) = Base::postgres("--no-migrate on PostgreSQL") {
        no_migrate(&url, &bench).await;
    }
}

/// A newer version takes something away while a worker of this one runs.
async fn outdated(base: Base) {
    let model = Model::slow(50);
    let factory = Factory::new(base, &model).await;
    let mut worker = factory.worker(&[]);
    worker.until_log_contains("ready").await;
    // One that only adds something.
    let newer = SCHEMA_VERSION + 1;
    let row = |version: i64, minimum: i64| {
        format!(
            "INSERT INTO sitewright_schema (version, program, applied_at, minimum) VALUES \
             ({version}, '9', 0, {minimum})"
        )
    };
    sql(&factory.url, &row(newer, SCHEMA_VERSION)).await;
    factory.enqueue_all([calls_in_turn("24", 2)]).await;
    factory.until_state("24", sitewright_jobs::OrderState::Succeeded).await;
    let second = factory.drain().await;
    assert!(second.contains("ready"), "programs of this version can still be started: {second}");
    assert!(worker.runs());
    sql(&factory.url, &row(newer + 1, newer)).await;
    let code = tokio::time::timeout(Duration::from_secs(60), worker.exit()).await.unwrap();
    let log = worker.log();
    assert_eq!(code, 1, "{log}");
    assert!(log.contains(&format!("version {newer} or a later one")), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn deploy_a_running_worker_notices_that_it_is_too_old_on_sqlite() {
    outdated(Base::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deploy_a_running_worker_notices_that_it_is_too_old_on_postgres() {
    if let Some(base) = Base::postgres("a worker that is too old, on PostgreSQL") {
        outdated(base).await;
    } else {
        standins::skipped("a worker that is too old", "PostgreSQL is not installed");
    }
}

/// The lock is held for longer than the limit: the worker ends, and names the holder.
#[tokio::test(flavor = "multi_thread")]
async fn more_a_worker_does_not_wait_for_ever_for_the_right_to_migrate() {
    let bench = Workbench::scripted(ANY_ANSWER, "[database]\nmigration_wait_ms = 1500\n");
    let lock = std::fs::File::create(bench.path().join("sitewright.db.migrating")).unwrap();
    lock.lock().unwrap();
    for arguments in [&["worker", "--drain"][..], &["migrate"]] {
        let done = bench.run(arguments);
        assert_eq!(done.code, 1, "{}", done.stderr);
        let holder = format!("process {} ", std::process::id());
        assert!(done.stderr.contains(&holder), "{}", done.stderr);
    }
}
