//! The delimiters of order data in prompts, in the SDKs for Python and JavaScript. The SDK for Rust
//! reads the same table in its unit tests.

use std::process::{Command, Stdio};

use serde_json::{Value, json};
use sitewright_tests::chat_server::{Answer, ChatServer};
use sitewright_tests::languages::{plugin, python_tools};
use sitewright_tests::standins::skipped;
use sitewright_tests::{Workbench, order, root};

#[test]
fn e14_every_sdk_passes_the_table_of_delimiters() {
    passes_table("e14_every_sdk_passes_the_table_of_delimiters", "delimiter");
}

/// Runs the cases of `guest-sdk/<name>.json` with the SDKs for Python and JavaScript.
pub(crate) fn passes_table(test: &str, name: &str) {
    let table: Value = serde_json::from_str(
        &std::fs::read_to_string(root().join(format!("guest-sdk/{name}.json"))).unwrap(),
    )
    .unwrap();
    let expected = format!("{} cases\n", table["cases"].as_array().unwrap().len());
    let python = python_tools(test).map(|programs| (programs.join("python"), "py"));
    for (program, extension) in python.into_iter().chain([("node".into(), "mjs")]) {
        let script = format!("{name}.{extension}");
        let mut command = Command::new(&program);
        command
            .arg(root().join("guest-sdk/tests").join(&script))
            .env("PYTHONDONTWRITEBYTECODE", "1");
        match command.stdin(Stdio::null()).output() {
            Ok(output) => {
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
                assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{script}");
            }
            Err(error) => skipped(test, &format!("cannot run {}: {error}", program.display())),
        }
    }
}

/// The mark in the only delimiters of a prompt.
fn mark_of(prompt: &str) -> String {
    let marks: Vec<&str> = prompt
        .split("<data-")
        .skip(1)
        .map(|rest| rest.split([' ', '>']).next().unwrap_or_default())
        .collect();
    assert!(!marks.is_empty() && marks.iter().all(|mark| *mark == marks[0]), "{prompt}");
    assert_eq!(marks[0].len(), 32, "{prompt}");
    marks[0].to_owned()
}

#[test]
fn e14_the_mark_is_the_order_s_in_every_language() {
    const TEST: &str = "e14_the_mark_is_the_order_s_in_every_language";
    let server = ChatServer::start(sitewright_tests::ANY_ANSWER, |_| Answer::Http {
        status: 400,
        headers: &[],
        body: json!({ "error": { "message": "no" } }).to_string(),
    });
    let bench = Workbench::configured(&format!(
        "[ai.retry]\nattempts = 1\n[ai.providers.local]\nkind = \"openai\"\nbase_url = \
         \"{}\"\n[ai.routes.default]\ntry = [{{ provider = \"local\", model = \"m\" }}]\n",
        server.base_url()
    ));
    let one = order("04-other-hostile-text");
    let mut other = one.clone();
    other["onboarding"]["design_notes"] = json!("a note that no prompt contains");
    let mut seen = Vec::new();
    for name in ["local-business", "landing-py", "landing-js"] {
        let Some(file) = plugin(name, TEST) else { continue };
        let marks: Vec<String> = [&one, &one, &other]
            .into_iter()
            .map(|order| {
                let before = server.calls().len();
                assert_ne!(bench.generate(&file, order).code, 0);
                let calls = server.calls().split_off(before);
                let marks: Vec<_> =
                    calls.iter().flat_map(|call| call.messages()).map(mark_of).collect();
                assert!(!marks.is_empty() && marks.iter().all(|mark| *mark == marks[0]), "{name}");
                marks[0].clone()
            })
            .collect();
        assert_eq!(marks[0], marks[1], "{name}: an attempt repeats the prompts of the last one");
        assert_ne!(marks[0], marks[2], "{name}: the mark is of the whole document");
        seen.push(marks);
    }
    assert!(seen.windows(2).all(|two| two[0] == two[1]), "{seen:?}");
}
