//! `sitewright order release` and `sitewright serve --link`, as processes.
#![allow(clippy::unwrap_used, reason = "a test's helper functions fail the test")]
#![allow(clippy::disallowed_methods, reason = "#[tokio::test] makes the runtime of a test")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use sitewright_jobs::{AttemptLimits, Claim, Database, NewOrder, Resolution, WorkerId};
use sitewright_site::{
    OrderDir, ReleaseInfo, ReleaseTemplate, SiteLimits, SiteStore, SitesRoot, Staging,
    VerifyOptions, place,
};

fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sitewright"));
    for (name, _) in
        std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("SITEWRIGHT_"))
    {
        command.env_remove(name);
    }
    command.current_dir(folder).args(args);
    command
}

/// What a command prints as JSON, and its exit code.
fn run(folder: &Path, args: &[&str]) -> (Value, i32) {
    let args: Vec<&str> = ["--json"].iter().chain(args).copied().collect();
    let output = command(folder, &args).output().unwrap();
    (serde_json::from_slice(&output.stdout).unwrap_or_default(), output.status.code().unwrap())
}

/// Completes order 24 with a release of these words. Its id.
async fn publish(database: &Database, root: &SitesRoot, text: &str) -> String {
    let job = database.order("24").await.unwrap().job_id.unwrap();
    let worker = WorkerId { client: "w".to_owned(), config_version: None };
    let attempt = ulid::Ulid::generate();
    let Claim::Claimed(claimed, _) = database.claim("24", job, &worker, attempt).await.unwrap()
    else {
        return String::new();
    };
    let order = OrderDir::new("24").unwrap();
    let area = OrderDir::new(&attempt.to_string()).unwrap();
    let staging = Staging::new(root, order.clone(), area, SiteLimits::default());
    let page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Bakery</title>\n\
         <meta name=\"description\" content=\"Real bread\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"></head>\n\
         <body><main><p>\n{text}\n</p>\n\
         <p>Baked every night in the middle of the town.</p></main></body></html>\n"
    );
    staging.write("index.html", page.as_bytes()).unwrap();
    let options =
        VerifyOptions { languages: vec!["en".parse().unwrap()], ..VerifyOptions::default() };
    let info = ReleaseInfo {
        id: None,
        usage: json!(null),
        template: ReleaseTemplate {
            name: "flora".into(),
            version: "1.0.0".into(),
            digest: "sha256:0".into(),
        },
        host_build: "test".into(),
        ai: json!({}),
        warnings: Vec::new(),
        diagnostics: Vec::new(),
        locale: None,
        revision: None,
        created_at: time::OffsetDateTime::UNIX_EPOCH,
    };
    let release = place(staging.seal().unwrap().verify(&options).unwrap(), info).unwrap();
    let id = release.manifest.id;
    let resolution = Resolution::Succeeded { release: id.to_string() };
    database.complete(&claimed, &resolution, AttemptLimits::default()).await.unwrap();
    SiteStore::folder(root).activate(&order, id, 5).await.unwrap();
    database.mark_activated("24", &id.to_string()).await.unwrap();
    id.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_is_listed_compared_and_made_current() {
    let folder = tempfile::tempdir().unwrap();
    let (path, url) = (folder.path(), format!("sqlite://{}/o.db", folder.path().display()));
    let config = format!("sites = \"sites\"\n\n[database]\nurl = \"{url}\"\n");
    std::fs::write(path.join("sitewright.toml"), config).unwrap();
    let database = Database::open(&url).await.unwrap();
    database.migrate().await.unwrap();
    // Where there is no sites folder, nobody knows.
    database.enqueue(NewOrder::new("24", "flora", "{}")).await.unwrap();
    assert_eq!(run(path, &["order", "release", "list", "24"]).1, 2);
    let root = SitesRoot::open(&path.join("sites")).unwrap();
    let first = publish(&database, &root, "Rye bread").await;
    database.reopen("24", None).await.unwrap();
    let second = publish(&database, &root, "Sourdough").await;

    let (listed, code) = run(path, &["order", "release", "list", "24"]);
    let current = |listed: &Value| -> Vec<(String, bool)> {
        let all = listed["releases"].as_array().unwrap().iter();
        all.map(|one| (one["id"].as_str().unwrap().to_owned(), one["current"] == true)).collect()
    };
    assert_eq!(code, 0, "{listed}");
    assert_eq!(current(&listed), [(second.clone(), true), (first.clone(), false)]);
    let (diff, _) = run(path, &["order", "release", "diff", "24", &first, &second]);
    assert_eq!(diff["files"][0]["change"], "changed", "{diff}");
    let lines = diff["files"][0]["lines"].as_array().unwrap();
    assert!(lines.contains(&json!({ "change": "added", "text": "Sourdough" })), "{diff}");
    let shown = command(path, &["order", "release", "diff", "24", &first, &second]).output();
    let shown = String::from_utf8(shown.unwrap().stdout).unwrap();
    assert!(shown.contains("- Rye bread\n") && shown.contains("+ Sourdough\n"), "{shown}");
    assert!(!shown.contains("it ends"), "{shown}");

    let (used, code) = run(path, &["order", "release", "use", "24", &first]);
    assert_eq!((code, &used["outcome"], &used["before"]), (0, &json!("chosen"), &json!(second)));
    let (listed, _) = run(path, &["order", "release", "list", "24"]);
    assert_eq!(current(&listed), [(second.clone(), false), (first.clone(), true)]);
    let order = database.order("24").await.unwrap();
    assert_eq!(order.current_release.as_deref(), Some(first.as_str()));
    assert_eq!(run(path, &["order", "release", "use", "24", &first]).0["outcome"], "unchanged");
    for args in [
        ["order", "release", "use", "24", "01ARZ3NDEKTSV4RRFFQ69G5FAV"],
        ["order", "release", "use", "24", "../../etc"],
        ["order", "release", "use", "nothing", first.as_str()],
    ] {
        assert_eq!(run(path, &args).1, 2, "{args:?}");
    }
}

#[test]
fn a_link_is_printed_where_somebody_asked_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let line = |args: &[&str]| {
        let args: Vec<&str> =
            ["--json", "serve", "--listen", "127.0.0.1:0"].iter().chain(args).copied().collect();
        let mut child =
            command(folder.path(), &args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let child = child.as_mut().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        serde_json::from_str::<Value>(&line).unwrap_or_default()
    };
    // Not into a pipe, where a log may keep it.
    assert_eq!(line(&[])["link"], json!(null));
    let with = line(&["--link"]);
    let link = with["link"].as_str().unwrap_or_default();
    let key = link.split("/console/enter?key=").nth(1).unwrap_or_default();
    let host = link.strip_prefix("http://").and_then(|rest| rest.split(':').next());
    let label = host.and_then(|host| host.strip_suffix(".localhost")).unwrap_or_default();
    assert!(key.len() == 64 && label.len() == 32, "{with}");
    assert_ne!(line(&["--link"])["link"], with["link"], "each start has another one");
    // Nor where there are tokens.
    let made = command(folder.path(), &["token", "create", "ci", "--scope", "read"]).output();
    assert!(made.unwrap().status.success());
    assert_eq!(line(&["--link"])["link"], Value::Null);
}
