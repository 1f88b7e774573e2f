//! The sandbox: a guest can reach its order and its host functions, and nothing else.

use std::str::FromStr as _;

use serde_json::{Value, json};
use sitewright_runtime::run::{AttemptId, Outcome};
use sitewright_tests::{ANY_ANSWER, ORDERS, Workbench, faulty, guest, order};

use crate::failures::names_in;
use crate::inside;

#[test]
fn every_door_of_the_sandbox_is_shut() {
    let bench = Workbench::scripted(ANY_ANSWER, "");
    // The process has what the guest must not see: variables, arguments, files, stdin.
    let file = bench.write("order.json", faulty("env", Value::Null).to_string());
    let template = guest("guest-faulty");
    let output = bench
        .command(&["--json", "generate", "--template", &template.to_string_lossy(), "--order", "-"])
        .env("PLANTED", "secret")
        .stdin(std::fs::File::open(file).unwrap())
        .output()
        .unwrap();
    let done = sitewright_tests::Done::from(output);
    assert_eq!(done.code, 0, "{}", done.stdout);
    let report = done.json();
    let diagnostics = report["release"]["diagnostics"].as_array().unwrap();
    let doors: Vec<&str> = diagnostics
        .iter()
        .map(|diagnostic| {
            assert_eq!(diagnostic["code"], "env-closed", "{diagnostic}");
            diagnostic["message"].as_str().unwrap().split(": ").next().unwrap()
        })
        .collect();
    let all = [
        "variables",
        "arguments",
        "/etc/passwd",
        "/proc/self/environ",
        "../Cargo.toml",
        "/",
        ".",
        "/tmp",
        "create",
        "directory",
        "connect",
        "listen",
        "datagram",
        "lookup",
        "stdin",
        "thread",
    ];
    assert_eq!(doors, all);
}

#[tokio::test]
async fn the_same_attempt_sees_the_same_randomness_and_clock_and_another_does_not() {
    let bench = Workbench::scripted(ANY_ANSWER, "");
    let host = inside::host(&bench, 1);
    let mut pages = Vec::new();
    for id in
        ["01ARZ3NDEKTSV4RRFFQ69G5FAV", "01ARZ3NDEKTSV4RRFFQ69G5FAV", "01ARZ3NDEKTSV4RRFFQ69G5FAW"]
    {
        let id = AttemptId::from_str(id).unwrap();
        let Outcome::Released(released) =
            inside::run(&host, &faulty("random", Value::Null), id).await
        else {
            panic!("no release");
        };
        pages.push(std::fs::read_to_string(released.release.path.join("index.html")).unwrap());
    }
    assert!(pages[0].contains("hashes ["), "{}", pages[0]);
    assert_eq!(pages[0], pages[1], "the same attempt");
    assert_ne!(pages[0], pages[2], "another attempt");
    assert!(AttemptId::from_str("no id").is_err());
}

#[test]
fn a_templates_memory_is_its_own_and_is_used_again() {
    let bench = Workbench::scripted(ANY_ANSWER, "");
    let done =
        bench.generate(&guest("guest-faulty"), &faulty("allocations", json!({ "n": 200_000 })));
    assert_eq!(done.code, 0, "{}", done.stdout);
    let used = done.json()["usage"]["limits"]["memory_bytes"]["used"].as_u64().unwrap();
    // 1 MiB is the stack, 2 MiB are C's; the allocated blocks have some hundred KiB, sometimes 1
    // MiB.
    assert!(used < 10 << 20, "{used} bytes");
}

#[test]
fn f1_a_path_that_could_leave_the_site_is_refused_and_nothing_leaves_it() {
    let rows = [
        // (path, code of the diagnostic, part of its message)
        ("fine.txt", "written", ""),
        ("a folder/ü-ñ-日本.txt", "written", ""),
        ("/etc/absolute", "invalid-path", "absolute"),
        ("//double", "invalid-path", "absolute"),
        ("../outside", "invalid-path", "`..`"),
        ("a/../../outside", "invalid-path", "`..`"),
        (".", "invalid-path", "`.`"),
        ("./here", "invalid-path", "`.`"),
        ("", "invalid-path", "empty"),
        ("a//b", "invalid-path", "empty part"),
        ("folder/", "invalid-path", "empty part"),
        ("back\\slash", "invalid-path", "'\\\\'"),
        ("c:drive", "invalid-path", "':'"),
        ("nul\0byte", "invalid-path", "'\\0'"),
        ("new\nline", "invalid-path", "'\\n'"),
        ("con", "invalid-path", "device name"),
        ("a/NUL.txt", "invalid-path", "device name"),
        ("dot.", "invalid-path", "ends with a dot"),
        ("space ", "invalid-path", "ends with a space"),
        (" space", "invalid-path", "begins with a space"),
        ("Fine.TXT", "conflict", "fine.txt"),
        ("fine.txt", "conflict", "fine.txt"),
        ("fine.txt/below", "conflict", "fine.txt"),
        ("a folder", "conflict", "a folder"),
    ];
    let huge = "x".repeat(10_000);
    let mut rows: Vec<(&str, &str, &str)> = rows.to_vec();
    rows.push((&huge, "invalid-path", "10000 bytes, more than the limit of 255"));

    let bench = Workbench::scripted(ANY_ANSWER, "");
    // A folder whose name begins with this order's id, which a check of string prefixes would
    // allow.
    std::fs::create_dir_all(bench.sites().join("1020")).unwrap();
    let paths: Vec<&str> =
        rows.iter().map(|(path, ..)| *path).chain(["../../../1020/in"]).collect();
    let done = bench.generate(&guest("guest-faulty"), &faulty("paths", json!({ "paths": paths })));
    assert_eq!(done.code, 0, "{}", done.stdout);
    let report = done.json();
    let diagnostics = report["release"]["diagnostics"].as_array().unwrap();
    assert_eq!(diagnostics.len(), rows.len() + 1);
    for ((path, code, says), diagnostic) in rows.iter().zip(diagnostics) {
        assert_eq!(diagnostic["code"], *code, "{path:?}: {diagnostic}");
        let message = diagnostic["message"].as_str().unwrap();
        assert!(message.contains(says), "{path:?}: {message}");
        assert!(message.len() < 400, "{path:?}: a message is no place for the whole path");
    }
    let files: Vec<&str> = report["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| file["path"].as_str().unwrap())
        .collect();
    assert_eq!(files, ["a folder/ü-ñ-日本.txt", "fine.txt", "index.html"]);
    assert_eq!(names_in(&bench.sites()), ["102", "1020", "public"]);
    assert_eq!(names_in(&bench.sites().join("public")), ["102"]);
    assert_eq!(names_in(&bench.sites().join("1020")), [""; 0]);
}

#[test]
fn c2_a_template_gets_the_whole_order_with_nothing_to_look_up() {
    let bench = Workbench::scripted(ANY_ANSWER, "");
    let locale = "en".parse().unwrap();
    for name in ORDERS {
        let mut order = order(name);
        order["onboarding"]["fault"] = json!("document");
        // The language of the guest's page.
        order["onboarding"]["locale"] = json!("en");
        let done = bench.generate(&guest("guest-faulty"), &order);
        assert_eq!(done.code, 0, "{name}: {}", done.stdout);
        let current = done.json()["release"]["current"].as_str().unwrap().to_owned();
        let got: Value =
            serde_json::from_slice(&std::fs::read(format!("{current}/order.json")).unwrap())
                .unwrap();
        let snapshot =
            sitewright_intake::load(order.to_string().as_bytes(), 1 << 20, &locale).unwrap();
        // Without what the host says of the order.
        let meant: Value = snapshot.order().for_templates().unwrap();
        assert_eq!(got, meant, "{name}");
        // Complete: missing fields have their defaults, and the document can be loaded again.
        assert!(got["locale"].is_string(), "{name}: {got:#}");
        let again = sitewright_intake::load(got.to_string().as_bytes(), 1 << 20, &locale).unwrap();
        let again: Value = again.order().for_templates().unwrap();
        assert_eq!(again, meant, "{name}: loading what a template gets changes it");
    }
}
