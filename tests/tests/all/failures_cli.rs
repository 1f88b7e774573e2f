//! `sitewright failures` over the records of a worker and of `generate`: occurrences of one bug are
//! grouped, and each question of an operator has one command. On SQLite and on PostgreSQL.

use serde_json::{Value, json};
use sitewright_jobs::OrderState;
use sitewright_tests::factory::{Base, Factory, Model, good, named};
use sitewright_tests::{Done, check_record, faulty, guest};

use crate::orders_cli::masked;

/// The rebuilt template: the same code with another digest.
fn rebuilt() -> Vec<u8> {
    let mut wasm = std::fs::read(guest("guest-faulty")).unwrap();
    // An empty custom section named `again`.
    wasm.extend([0, 6, 5]);
    wasm.extend(b"again");
    wasm
}

/// The page without the values that change with each run or with the lines of the template.
fn unchanging(page: &str) -> String {
    let mut out = String::new();
    for line in masked(page).lines() {
        match (line.split_once(".rs:"), line.split_once("failures show ")) {
            (Some((file, rest)), _) => {
                out.push_str(&format!(
                    "{file}.rs:<LINE>{}",
                    rest.trim_start_matches(|c: char| c.is_ascii_digit())
                ));
            }
            (None, Some((before, _))) => {
                out.push_str(&format!("{before}failures show <FINGERPRINT>"))
            }
            (None, None) => out.push_str(line),
        }
        out.push('\n');
    }
    out
}

/// Runs the binary on the database of the workers.
fn run(factory: &Factory, arguments: &[&str]) -> Done {
    let mut command = factory.bench.command(arguments);
    command.env("SITEWRIGHT_DATABASE__URL", &factory.url);
    let done: Done = command.output().unwrap().into();
    assert_eq!(done.code, 0, "{arguments:?}: {}{}", done.stdout, done.stderr);
    done
}

fn asked(factory: &Factory, arguments: &[&str]) -> Value {
    run(factory, &[&["--json"], arguments].concat()).json()
}

/// Four orders that meet the same bug in three ways (worker, worker with the rebuilt template,
/// `generate`), and two other failures.
async fn failed(base: Base) -> Factory {
    let factory = Factory::new(base, &Model::start(good)).await;
    let oob = |id: &str| named(id, faulty("oob", Value::Null));
    factory
        .enqueue_all([oob("1042"), oob("1043"), named("1050", faulty("panic-str", Value::Null))])
        .await;
    factory.enqueue_all([named("1060", faulty("ok", Value::Null))]).await;
    factory.drain().await;
    std::fs::write(factory.bench.path().join("templates/faulty.wasm"), rebuilt()).unwrap();
    factory.enqueue_all([oob("1044")]).await;
    factory.drain().await;
    for id in ["1042", "1043", "1044", "1050"] {
        factory.until_state(id, OrderState::Failed).await;
    }
    let order = factory.bench.write("by-hand.json", oob("1045").to_string()).display().to_string();
    let mut generate =
        factory.bench.command(&["generate", "--template", "faulty", "--order", &order]);
    assert_eq!(generate.output().unwrap().status.code(), Some(4));
    factory
}

async fn a_question_has_one_screen(base: Base) {
    let factory = failed(base).await;

    // A worker stores each record in the database and in the sites folder; it is listed once.
    let list = asked(&factory, &["failures", "list", "--sort", "count"]);
    let groups = list["groups"].as_array().unwrap();
    let shown: Vec<_> = groups
        .iter()
        .map(|group| (group["kind"].as_str().unwrap(), group["count"].as_u64()))
        .collect();
    assert_eq!(shown, [("trap", Some(4)), ("panic", Some(1))], "{list:#}");
    let oob = &groups[0];
    assert_eq!((oob["orders"].as_u64(), &oob["templates"]), (Some(4), &json!(["faulty"])));
    let frame = oob["frame"].as_str().unwrap();
    assert!(
        frame.contains("/traps.rs:")
            && frame.ends_with(" in guest_faulty::traps::read_out_of_bounds"),
        "{frame}"
    );
    assert!(oob["first_at"].as_i64() < oob["last_at"].as_i64());
    assert_eq!(list["more"], false);
    insta::assert_snapshot!(
        "failures_list",
        unchanging(&run(&factory, &["failures", "list", "--sort", "count"]).stdout)
    );
    let newest_first = asked(&factory, &["failures", "list"]);
    assert_eq!(newest_first["groups"][0]["kind"], "trap", "the one by hand came last");
    for (filter, counts) in [
        (&["--template", "faulty"][..], &[4, 1][..]),
        (&["--template", "nobody"], &[]),
        (&["--kind", "panic"], &[1]),
        (&["--since", "1h"], &[4, 1]),
        (&["--since", "2099-01-01"], &[]),
        (&["--order", "1045"], &[1]),
        (&["--order", "1042"], &[1]),
        (&["--no-database"], &[4, 1]),
    ] {
        let list = asked(&factory, &[&["failures", "list"], filter].concat());
        let found: Vec<u64> = list["groups"]
            .as_array()
            .unwrap()
            .iter()
            .map(|group| group["count"].as_u64().unwrap())
            .collect();
        assert_eq!(found, counts, "{filter:?}");
    }
    let flat = asked(&factory, &["failures", "list", "--flat"]);
    assert_eq!(flat["failures"].as_array().unwrap().len(), 5);

    // Question: which template fails most, and where?
    let by = asked(&factory, &["failures", "list", "--by", "template"]);
    let template = &by["templates"][0];
    assert_eq!(
        (
            &template["template"],
            &template["attempts"],
            &template["failures"],
            &template["different"]
        ),
        (&json!("faulty"), &json!(5), &json!(5), &json!(2)),
        "{by:#}"
    );
    assert_eq!(
        template["share"], 80.0,
        "four of the five attempts of the queue; the one by hand is none of it"
    );
    assert_eq!(
        (&template["worst"]["count"], &template["worst"]["frame"]),
        (&json!(4), &json!(frame))
    );
    insta::assert_snapshot!(
        "failures_by_template",
        unchanging(&run(&factory, &["failures", "list", "--by", "template"]).stdout)
    );

    // Each occurrence, and the newest record in full.
    let fingerprint = oob["fingerprint"].as_str().unwrap();
    let alike = asked(&factory, &["failures", "show", &fingerprint[..8]]);
    let mut orders: Vec<&str> =
        alike["orders"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    orders.sort();
    assert_eq!(orders, ["1042", "1043", "1044", "1045"]);
    assert_eq!((&alike["group"]["count"], &alike["group"]["orders"]), (&json!(4), &json!(4)));
    assert_eq!(alike["occurrences"].as_array().unwrap().len(), 4);
    assert_eq!(
        (&alike["newest"]["order"], &alike["newest"]["fingerprint"]),
        (&json!("1045"), &json!(fingerprint))
    );
    check_record(&alike["newest"]);
    let text = run(&factory, &["failures", "show", fingerprint]).stdout;
    for says in
        ["seen 4 times", "4 orders: ", "order 1042", "The newest:", "✗ order 1045 failed: trap"]
    {
        assert!(text.contains(says), "{says}: {text}");
    }
    let digests: std::collections::BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.split_once(" sha256:").map(|(_, digest)| digest))
        .collect();
    assert!(digests.len() >= 2, "both builds are named: {text}");

    // Question: why did order 1042 fail?
    let why = asked(&factory, &["failures", "show", "--order", "1042"]);
    assert_eq!(
        (&why["order"]["state"], &why["newest"]["kind"]),
        (&json!("failed"), &json!("trap"))
    );
    assert_eq!(why["attempts"].as_array().unwrap().len(), 1);
    let text = run(&factory, &["failures", "show", "--order", "1042"]).stdout;
    for says in [
        "order 1042 is failed",
        "traps::read_out_of_bounds",
        "What to do",
        "What led to it",
        "Limits",
    ] {
        assert!(text.contains(says), "{says}: {text}");
    }
    let by_hand = asked(&factory, &["failures", "show", "--order", "1045"]);
    assert_eq!((&by_hand["order"], &by_hand["newest"]["order"]), (&Value::Null, &json!("1045")));
    let text = run(&factory, &["order", "show", "1042"]).stdout;
    for says in [
        "failed",
        "out of bounds memory access",
        "where: ",
        "/traps.rs:",
        "to do: ",
        "memory_bytes",
    ] {
        assert!(text.contains(says), "{says}: {text}");
    }
    // Each limit is shown for successful orders too.
    let done = asked(&factory, &["order", "show", "1060"]);
    assert_eq!(done["order"]["state"], "succeeded");
    let limits = done["limits"].as_object().unwrap();
    assert_eq!(limits.len(), 13, "{limits:?}");
    assert!(
        limits["memory_bytes"]["used"].as_u64() > Some(0)
            && limits["files"] == json!({ "max": 2000, "used": 1 })
    );

    // The same record as Markdown, for an issue.
    let id = by_hand["newest"]["id"].as_str().unwrap();
    let markdown = run(&factory, &["failures", "show", id, "--markdown"]).stdout;
    assert!(markdown.starts_with("# `trap` in `faulty 0.1.0`\n"), "{markdown}");
    let in_database = why["newest"]["id"].as_str().unwrap();
    assert!(
        run(&factory, &["failures", "show", in_database, "--markdown"])
            .stdout
            .contains(in_database)
    );

    for (arguments, says) in [
        (
            &["failures", "show", "--order", "1060"][..],
            "order \"1060\" is succeeded and has no failure",
        ),
        (&["failures", "show", "--order", "none"], "and no such order"),
        (&["failures", "show", "0000ffff"], "there is no failure \"0000ffff\""),
        (
            &["failures", "list", "--kind", "misfortune"],
            "there is no such kind of failure; there are invalid_order,",
        ),
        (&["failures", "list", "--since", "yesterday"], "is not a time; write 30m, 2h, 7d"),
        (&["--json", "failures", "show", id, "--markdown"], "use one of them"),
    ] {
        let mut command = factory.bench.command(arguments);
        command.env("SITEWRIGHT_DATABASE__URL", &factory.url);
        let done: Done = command.output().unwrap().into();
        assert_eq!(done.code, 2, "{arguments:?}: {}", done.stdout);
        let output = done.stdout + &done.stderr;
        assert!(output.contains(says), "{arguments:?}: {output}");
    }
    factory.database.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn g4_a_question_has_one_screen_on_sqlite() {
    a_question_has_one_screen(Base::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn g4_a_question_has_one_screen_on_postgres() {
    if let Some(base) = Base::postgres("g4_a_question_has_one_screen_on_postgres") {
        a_question_has_one_screen(base).await;
    }
}

/// An unreadable record is reported and does not hide the others (catalogue B4).
#[test]
fn b4_a_file_that_is_no_record_is_told_beside_those_that_are() {
    let bench = sitewright_tests::Workbench::scripted(sitewright_tests::ANY_ANSWER, "");
    let failure = bench.generate(&guest("guest-faulty"), &faulty("error", Value::Null)).failure();
    let folder = bench.sites().join("102/failures");
    std::fs::write(folder.join("broken.json"), "{").unwrap();
    let mut newer = failure.clone();
    newer["version"] = json!(3);
    std::fs::write(folder.join("01ZZZZZZZZZZZZZZZZZZZZZZZZ.json"), newer.to_string()).unwrap();
    for arguments in [
        &["failures", "list"][..],
        &["failures", "list", "--flat"],
        &["failures", "list", "--by", "template"],
    ] {
        let text = bench.run(arguments).stdout;
        for says in [
            "no site was made",
            "broken.json is not a failure record",
            "was written by a newer Sitewright (record version 3",
        ] {
            assert!(text.contains(says), "{arguments:?}: {says}: {text}");
        }
        let list = bench.run(&[&["--json"], arguments].concat()).json();
        assert_eq!(list["unreadable"].as_array().unwrap().len(), 2, "{list:#}");
    }
    // A record without a fingerprint, of an older version, is listed too.
    let mut older = failure.clone();
    older["id"] = json!("01000000000000000000000000");
    older.as_object_mut().unwrap().remove("fingerprint");
    std::fs::write(folder.join("01000000000000000000000000.json"), older.to_string()).unwrap();
    let list = bench.run(&["--json", "failures", "list"]).json();
    assert_eq!(list["groups"][0]["count"], 2, "{list:#}");
    let fingerprint = failure["fingerprint"].as_str().unwrap();
    assert_eq!(bench.run(&["--json", "failures", "show", fingerprint]).json()["group"]["count"], 2);
    // One of a stranger is read up to the length that records have.
    let mut long = failure.clone();
    (long["message"], long["stage"]) = (json!("long ".repeat(1 << 20)), json!("last stage"));
    std::fs::write(bench.path().join("long.json"), long.to_string()).unwrap();
    let shown = bench.run(&["failures", "show", "./long.json"]);
    assert_eq!(shown.code, 0, "{}", shown.stderr);
    assert!(shown.stdout.len() < 512 << 10, "{} bytes", shown.stdout.len());
    assert!(shown.stdout.contains("long ...") || shown.stdout.contains("lo..."));
    assert!(shown.stdout.contains("last stage"));
}
