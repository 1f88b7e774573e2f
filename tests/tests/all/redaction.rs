//! A planted key occurs in no output, whatever the provider does with it (catalogue A8).

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use sitewright_tests::chat_server::{Answer, ChatServer};
use sitewright_tests::{Done, Workbench, binary, faulty, forget_settings, guest};
use tempfile::TempDir;

/// The key contains characters that are escaped in URLs and JSON.
const KEY: &str = "planted/9d41c7+5e/key=";

/// A part of the key without such characters. If it occurs anywhere, the key has leaked.
const PART: &str = "9d41c7";

/// Other secrets that providers echo or users paste.
const OTHERS: [&str; 4] =
    ["sk-proj-ab12cd34ef56", "eyJhbGciOi.bearer-token", "pa55word", "urlkey77"];

/// Errors and replies that echo the key in all the ways that providers do.
fn echoes() -> Vec<(&'static str, Answer)> {
    let percent = KEY.replace('/', "%2F").replace('+', "%2b").replace('=', "%3D");
    let escaped = KEY.replace('/', "\\/").replace('+', "\\u002b");
    let echoed = format!(
        "Incorrect API key {KEY}, {percent}, {} given; Bearer {}; see \
         https://me:{}@host/v1?alt=sse&key={}",
        OTHERS[0], OTHERS[1], OTHERS[2], OTHERS[3]
    );
    let http = |status, headers, body: String| Answer::Http { status, headers, body };
    let error = json!({"error": {"message": echoed, "code": "invalid_api_key"}}).to_string();
    let header: &[(&str, &str)] =
        &[("x-request-id", KEY), ("location", "https://host/?key=planted%2F9d41c7+5e%2fkey=")];
    vec![
        ("an error", http(401, &[], error.clone())),
        ("an error of the server", http(500, &[], error.clone())),
        ("a body that is no JSON", http(502, &[], format!("<p>{echoed}"))),
        (
            "escapes",
            http(400, &[], format!("{{\"error\":{{\"message\":\"the key {escaped} is wrong\"}}}}")),
        ),
        ("headers", http(403, header, error.clone())),
        ("a redirect", http(302, header, String::new())),
        ("a page with a good status", http(200, header, format!("<title>{echoed}</title>"))),
        ("an error in a stream", http(200, &[], format!("data: {error}\n\n"))),
        ("a cut reply", Answer::Reply { content: echoed.clone(), finish: "length" }),
        (
            "a reply that the filter stopped",
            Answer::Reply { content: echoed, finish: "content_filter" },
        ),
    ]
}

fn clean(name: &str, place: &str, text: &str) {
    for secret in OTHERS.iter().chain(&[PART]) {
        let line = text.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{name}: {secret} is in {place}");
    }
}

fn clean_files(name: &str, folder: &Path) -> usize {
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files += clean_files(name, &path);
        } else {
            clean(
                name,
                &path.display().to_string(),
                &String::from_utf8_lossy(&std::fs::read(&path).unwrap()),
            );
            files += 1;
        }
    }
    files
}

/// A configuration in a folder that is not searched, because its URL may contain the key.
fn configuration(server: &ChatServer, query: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "cache = {:?}\n[ai.retry]\nattempts = 2\nbase_ms = 1\n[ai.providers.local]\nkind = \
         \"openai\"\nbase_url = \"{}{query}\"\napi_key_env = \
         \"LOCAL_AI_KEY\"\n[ai.routes.default]\ntry = [{{ provider = \"local\", model = \"m\" \
         }}]\n",
        sitewright_tests::compile_cache(),
        server.base_url(),
    );
    std::fs::write(folder.path().join("sitewright.toml"), text).unwrap();
    folder
}

/// The binary with that configuration and log level `trace`.
fn command(bench: &Workbench, configuration: &TempDir) -> Command {
    let mut command = Command::new(binary());
    forget_settings(&mut command);
    command.current_dir(configuration.path()).env("LOCAL_AI_KEY", KEY);
    command.args(["--log", "trace", "--out"]).arg(bench.sites());
    command
}

#[test]
fn a8_a_planted_key_is_in_no_face_of_a_failure_at_any_log_level() {
    for (name, answer) in echoes() {
        let server = ChatServer::start(sitewright_tests::ANY_ANSWER, move |_| answer.clone());
        let (bench, outside) = (Workbench::configured(""), configuration(&server, "?key=urlkey77"));
        let order = bench.write("order.json", faulty("ai-error", json!({})).to_string());
        let run = |arguments: &[&str]| -> Done {
            command(&bench, &outside).args(arguments).output().unwrap().into()
        };
        let (guest, order) =
            (guest("guest-faulty").display().to_string(), order.display().to_string());
        let generate = ["generate", "--template", &guest, "--order", &order];
        let call = ["ai", "call", "--purpose", "copywriting", "--prompt", "x"];
        let commands: [&[&str]; 6] = [
            &[&["--json"], &generate[..]].concat(),
            &generate,
            &[&["--json"], &call[..]].concat(),
            &call,
            &["--json", "doctor"],
            &["doctor"],
        ];
        for command in commands {
            let done = run(command);
            assert!(
                done.stdout.contains("local"),
                "{name}, {command:?}: nothing failed: {}{}",
                done.stdout,
                done.stderr
            );
            assert!(
                done.stderr.contains("TRACE"),
                "{name}, {command:?}: nothing was logged: {}",
                done.stderr
            );
            clean(name, &format!("stdout of {command:?}"), &done.stdout);
            clean(name, &format!("the log of {command:?}"), &done.stderr);
        }
        assert!(clean_files(name, &bench.sites()) >= 2, "{name}: there are records");
    }
}

/// A key in a good reply reaches the template, which may repeat it. Only the log and the record
/// redact that text.
#[test]
fn a8_a_key_that_a_template_tells_on_is_neither_in_its_record_nor_in_the_log() {
    let faults: [(&str, Value, Option<&str>); 2] = [
        ("ai-error", json!({ "then_fail": true }), Some("template")),
        ("ai-unreadable", json!({}), None),
    ];
    for (fault, parameters, logs) in faults {
        let server = ChatServer::start(sitewright_tests::ANY_ANSWER, |_| Answer::Reply {
            content: json!({ "you": format!("called me with {KEY}"), "and": OTHERS[0] })
                .to_string(),
            finish: "stop",
        });
        let (bench, outside) = (Workbench::configured(""), configuration(&server, ""));
        let order = bench.write("order.json", faulty(fault, parameters).to_string());
        let mut command = command(&bench, &outside);
        // The reply is JSON where text was asked for: no copy.
        command.env("SITEWRIGHT_CHECKS__COPY", "false");
        command
            .args(["--json", "generate", "--template"])
            .arg(guest("guest-faulty"))
            .arg("--order")
            .arg(order);
        let done: Done = command.output().unwrap().into();
        assert!(
            done.failure().to_string().contains("called me with [key removed]"),
            "{fault}: {}",
            done.stdout
        );
        if let Some(target) = logs {
            let logged = done.stderr.lines().find(|line| {
                line.contains(&format!(" {target}: ")) && line.contains("[key removed]")
            });
            assert!(logged.is_some(), "{fault}: what the template logs is logged: {}", done.stderr);
        }
        clean(fault, "stdout", &done.stdout);
        clean(fault, "the log", &done.stderr);
        let record = done.json()["failure_file"].as_str().unwrap().to_owned();
        // The reply journal keeps the model's exact text, because a replay must be identical.
        clean(fault, "the record", &std::fs::read_to_string(record).unwrap());
    }
}
