//! What an operator does to orders and the queue on the command line, and sees of it.
#![allow(clippy::unwrap_used, reason = "a test's helper functions fail the test")]
#![allow(clippy::disallowed_methods, reason = "#[tokio::test] makes the runtime of a test")]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::json;

fn run(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sitewright"));
    for (name, _) in
        std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("SITEWRIGHT_"))
    {
        command.env_remove(name);
    }
    command.current_dir(folder).args(args).output().unwrap()
}

/// Runs a command that must succeed. What it prints.
#[track_caller]
fn done(folder: &Path, args: &[&str]) -> String {
    let output = run(folder, args);
    assert!(output.status.success(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A folder with a configuration and these orders, which no worker knows.
fn with_orders(ids: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("templates")).unwrap();
    let config = "[ai.providers.a]\nkind = \"scripted\"\nrules = \"replies.toml\"\n\n\
                  [ai.routes.default]\ntry = [{ provider = \"a\", model = \"b\" }]\n";
    std::fs::write(folder.path().join("sitewright.toml"), config).unwrap();
    std::fs::write(folder.path().join("replies.toml"), "").unwrap();
    done(folder.path(), &["migrate"]);
    for id in ids {
        let document = json!({ "id": id, "business_name": "Flora",
            "business_email": "hello@flora.example" });
        let file = folder.path().join("order.json");
        std::fs::write(&file, document.to_string()).unwrap();
        std::fs::write(folder.path().join("templates/flora.wasm"), "").unwrap();
        done(folder.path(), &["order", "add", "order.json", "--template", "flora"]);
    }
    folder
}

#[tokio::test]
async fn what_the_command_line_does_is_in_the_audit_log() {
    let folder = with_orders(&["1", "2", "3"]);
    let folder = folder.path();
    for args in [
        &["queue", "pause"][..],
        &["queue", "resume"],
        &["route", "hold", "default", "--reason", "why not"],
        &["route", "release", "default"],
        &["order", "cancel", "1"],
        &["order", "retry", "1"],
        &["order", "cancel", "2", "3"],
        &["order", "retry", "2", "3"],
    ] {
        done(folder, args);
    }
    let erased = done(folder, &["order", "erase", "1"]);
    assert!(erased.contains("0 deliveries"), "{erased}");

    let url = format!("sqlite://{}/sitewright.db", folder.display());
    let database = sitewright_jobs::Database::open_existing(&url).await.unwrap();
    let entries = database.audit_log(i64::MAX, 100).await.unwrap();
    let entries: Vec<(&str, &str)> = entries
        .iter()
        .rev()
        .inspect(|entry| assert_eq!((&*entry.actor, entry.status), ("command line", 200)))
        .map(|entry| (&*entry.action, entry.target.as_deref().unwrap_or_default()))
        .collect();
    assert_eq!(
        entries,
        [
            ("queue.pause", ""),
            ("queue.resume", ""),
            ("hold.set", "route:default"),
            ("hold.release", "route:default"),
            ("order.cancel", "1"),
            ("order.retry", "1"),
            ("order.cancel", "2 orders"),
            ("order.retry", "2 orders"),
            ("order.erase", "1"),
        ]
    );
}

/// What would be said to be done, and never has an effect.
#[test]
fn what_would_have_no_effect_is_refused() {
    let folder = with_orders(&["1"]);
    let folder = folder.path();
    for (args, says) in [
        (&["route", "hold", "template:nope"][..], "the templates are: flora"),
        (&["route", "hold", "nope"], "the routes are: default"),
        (&["route", "release", "nope"], "the routes are: default"),
        (&["route", "release", "template:nope"], "the templates are: flora"),
        (&["token", "create", "ci", "--scope", "read", "--expires", "0s"], "over at once"),
        (&["token", "create", "ci", "--scope", "read", "--expires", "2001-01-01"], "is past"),
    ] {
        let refused = run(folder, args);
        let stderr = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(2), "{args:?}: {stderr}");
        assert!(stderr.contains(says), "{args:?}: {stderr}");
    }
    done(folder, &["route", "hold", "template:flora"]);
    assert!(done(folder, &["token", "list"]).contains("No tokens"));
    // Where the folder cannot be read, a worker elsewhere may have it.
    std::fs::remove_dir_all(folder.join("templates")).unwrap();
    let held = run(folder, &["route", "hold", "template:elsewhere"]);
    assert!(held.status.success(), "{held:?}");
    assert!(String::from_utf8_lossy(&held.stderr).contains("cannot check"), "{held:?}");
}
