//! No command lets a text of others move the cursor, set the title, hide anything or begin a line
//! of the log: with hostile strings in every place that others can fill.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helper functions fail the test")]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::json;
use sitewright_failure::render::is_obeyed;

use super::ai::{answer, serve};

/// What a terminal obeys: a title, a cleared screen, the line above, hidden text, C1 sequences, a
/// carriage return, a forged line of the log and of a report, a turned direction, invisible ones.
const HOSTILE: &str = "\u{1b}]0;PWNED\u{7}\u{1b}[2J\u{1b}[1A\u{1b}[8m\u{9b}2J\u{9d}0;x\u{9c}\rok\r\n\
                       2026-01-01T00:00:00Z  INFO sitewright: forged\n\u{2713} forged\n\u{202e}\
                       \u{2066}\u{200b}\u{feff}\u{e0041}\u{8}\u{7f}";

/// The parts that file names and headers can have.
const IN_A_NAME: &str = "\u{1b}]0;PWNED\u{7}\u{1b}[2J\u{9b}2J\r\u{202e}\u{8}";

/// Runs the binary in the folder, which has the configuration.
fn run(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sitewright"));
    let settings = std::env::vars_os().map(|(name, _)| name);
    for name in settings.filter(|name| name.to_string_lossy().starts_with("SITEWRIGHT_")) {
        command.env_remove(name);
    }
    command.current_dir(folder).env("THE_KEY", "planted.key/0123456789+abcdef");
    command.args(arguments).output().unwrap()
}

/// Whether the text has a style of our own at its beginning, and how long it is.
fn style(text: &str) -> Option<usize> {
    let inner = text.strip_prefix("\u{1b}[")?;
    let end = inner.find('m')?;
    let known = |number: &str| {
        matches!(number, "" | "0" | "1" | "2" | "3" | "4" | "22" | "39")
            || number.parse::<u8>().is_ok_and(|number| matches!(number, 30..=37 | 90..=97))
    };
    inner[..end].split(';').all(known).then_some(end + 3)
}

fn harmless(what: &str, output: &Output) {
    for bytes in [&output.stdout, &output.stderr] {
        let text = String::from_utf8_lossy(bytes);
        let mut rest = text.as_ref();
        while let Some(at) = rest.find(|c| c != '\n' && is_obeyed(c)) {
            match style(&rest[at..]) {
                Some(length) => rest = &rest[at + length..],
                None => panic!("{what}: {:?}", &rest[at..rest.floor_char_boundary(at + 40)]),
            }
        }
        // A model's reply keeps its lines on stdout: it is what was asked for.
        let is_reply = what.starts_with("a reply") && std::ptr::eq(bytes, &output.stdout);
        for line in text.lines().filter(|_| !is_reply) {
            assert!(!line.starts_with("2026-01-01"), "{what}: a forged line of the log: {text}");
            assert!(!line.starts_with('\u{2713}') || !line.contains("forged"), "{what}: {text}");
        }
    }
}

fn folder(port: u16) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "templates = \"templates\"\n[ai.retry]\nattempts = 1\n[ai.providers.local]\nkind = \
         \"openai\"\nbase_url = \"http://127.0.0.1:{port}/v1\"\napi_key_env = \
         \"THE_KEY\"\n[ai.routes.default]\ntry = [{{ provider = \"local\", model = \"m\" }}]\n"
    );
    std::fs::write(folder.path().join("sitewright.toml"), config).unwrap();
    std::fs::create_dir(folder.path().join("templates")).unwrap();
    folder
}

#[test]
fn a_provider_cannot_talk_to_the_terminal() {
    let reply = |content: &str| {
        let choice = json!({"message": {"content": content}, "finish_reason": "stop"});
        json!({ "model": HOSTILE, "choices": [choice] }).to_string()
    };
    let error = json!({"error": {"message": HOSTILE, "code": HOSTILE}}).to_string();
    let filtered = json!({"choices": [{"message": {"refusal": HOSTILE}, "finish_reason": "stop"}]})
        .to_string();
    let head = "x-request-id: r\u{e9}\u{9b}2J\r\nlocation: /\u{9b}2J\r\n";
    let answers = [
        ("a reply", answer("200 OK", head, &reply(HOSTILE))),
        ("an error", answer("401 Unauthorized", head, &error)),
        ("a text", answer("500 Oops", head, HOSTILE)),
        ("a page", answer("502 Bad", head, &format!("<title>{HOSTILE}</title>"))),
        ("a redirect", answer("302 Found", head, HOSTILE)),
        ("a refusal", answer("200 OK", head, &filtered)),
        ("no JSON", answer("200 OK", head, HOSTILE)),
    ];
    for (name, answer) in answers {
        for format in [&["--json"][..], &["--log-format", "json"], &["--color", "always"], &[]] {
            let port = serve(vec![answer.clone()]);
            let folder = folder(port);
            let call =
                ["--log", "trace", "ai", "call", "--purpose", "copywriting", "--prompt", "x"];
            let output = run(folder.path(), &[format, &call].concat());
            assert!(!output.stdout.is_empty(), "{name}: {output:?}");
            harmless(&format!("{name}, {format:?}"), &output);
        }
        let port = serve(vec![answer.clone()]);
        harmless(name, &run(folder(port).path(), &["--color", "always", "doctor"]));
    }
}

#[test]
fn files_and_arguments_cannot_talk_to_the_terminal() {
    let folder = folder(9);
    let at = |name: &str| folder.path().join(name);
    let named = format!("x{IN_A_NAME}");
    std::fs::write(at("templates").join(format!("{named}.wasm")), HOSTILE).unwrap();
    std::fs::write(at(&format!("{named}.json")), json!({ HOSTILE: HOSTILE }).to_string()).unwrap();
    std::fs::write(at("text.json"), HOSTILE).unwrap();
    std::fs::write(at("bundle.tar"), HOSTILE).unwrap();
    std::fs::write(at("schema.json"), json!({ "type": HOSTILE, HOSTILE: 1 }).to_string()).unwrap();
    std::fs::write(at("wrong.toml"), format!("ai = \"{}\"", "\u{9b}2J\u{202e}")).unwrap();
    let (json, wasm) = (format!("{named}.json"), format!("templates/{named}.wasm"));
    let commands: &[&[&str]] = &[
        &["template", "list"],
        &["template", "inspect", &named],
        &["template", "inspect", &wasm],
        &["conformance", &wasm],
        &["conformance", &named],
        &["order", "add", &json],
        &["order", "add", "text.json"],
        &["order", "show", &named],
        &["generate", "--template", &wasm, "--order", &json],
        &["generate", "--template", &named, "--order", "text.json"],
        &["failures", "show", &named],
        &["failures", "list", "--template", &named],
        &["replay", &named],
        &["replay", "bundle.tar"],
        &["ai", "call", "--purpose", "x", "--prompt", "x", "--schema", "schema.json"],
        &["ai", "call", "--purpose", &named, "--prompt", "x"],
        &["--config", "wrong.toml", "doctor"],
        &["--config", &named, "doctor"],
        &["--log", &named, "doctor"],
        &[&named],
        &["doctor", &named],
    ];
    for command in commands {
        for format in [&["--json"][..], &["--color", "always"], &[]] {
            let output = run(folder.path(), &[format, command].concat());
            assert_ne!(output.status.code(), None, "{command:?} was killed");
            harmless(&format!("{command:?}, {format:?}"), &output);
        }
    }
}
