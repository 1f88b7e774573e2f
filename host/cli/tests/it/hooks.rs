//! `[hooks.NAME]` of `sitewright serve`, and `sitewright webhook received` and `replay`, as
//! processes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helper functions fail the test")]
#![allow(clippy::disallowed_methods, reason = "no runtime: the test waits for processes")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

const SECRET: &str = "a-secret-of-a-shop";
const PATIENCE: Duration = Duration::from_secs(60);

fn write_config(folder: &Path, mapping: &str) {
    let config = format!(
        "[database]\nurl = \"sqlite://orders.db\"\n\n[hooks.shop]\nkind = \"bearer\"\n\
         secret_file = \"secret\"\ntemplate = \"flora\"\n{mapping}\n"
    );
    std::fs::write(folder.join("sitewright.toml"), config).unwrap();
}

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

fn run(folder: &Path, args: &[&str]) -> Output {
    command(folder, args).output().unwrap()
}

fn run_json(folder: &Path, args: &[&str]) -> Value {
    let done = run(folder, &[&["--json"], args].concat());
    assert!(done.status.success(), "{args:?}: {done:?}");
    serde_json::from_slice(&done.stdout).unwrap()
}

/// A server that is killed when the test ends.
struct Served {
    child: Child,
    address: String,
}

impl Served {
    fn start(folder: &Path) -> Self {
        let mut command = command(folder, &["--json", "serve", "--listen", "127.0.0.1:0"]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        let address = ready["address"].as_str().unwrap().to_owned();
        Served { child, address }
    }

    /// Sends a webhook; the status of the answer.
    fn post(&self, body: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let head = format!(
            "POST /hooks/shop HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {SECRET}\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n{body}",
            self.address,
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().to_owned()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The newest delivery, when it is in this state.
fn newest_in(folder: &Path, state: &str) -> Value {
    let begin = Instant::now();
    loop {
        let listed = run_json(folder, &["webhook", "received", "--limit", "1"]);
        if listed["deliveries"][0]["state"] == state {
            return listed["deliveries"][0].clone();
        }
        assert!(begin.elapsed() < PATIENCE, "it is not {state}: {listed}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn what_a_mapping_refused_is_replayed_when_it_is_mended() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::create_dir(folder.join("templates")).unwrap();
    std::fs::write(folder.join("templates/flora.wasm"), b"").unwrap();
    std::fs::write(folder.join("secret"), SECRET).unwrap();
    write_config(folder, "document = \"/sites\"");
    let body = json!({ "site": {
        "id": "102", "business_name": "Flora", "business_email": "hello@flora.example",
    }});
    {
        let served = Served::start(folder);
        assert_eq!(served.post(&body.to_string()), "202");
        let refused = newest_in(folder, "refused");
        assert!(refused["reason"].as_str().unwrap().contains("/sites"), "{refused}");
        assert_eq!(served.post(&body.to_string()), "200", "the same event");
    }
    write_config(folder, "document = \"/site\"\npriority = 1");
    let _served = Served::start(folder);
    let id = newest_in(folder, "refused")["id"].as_str().unwrap().to_owned();
    let text = String::from_utf8(run(folder, &["webhook", "received", &id]).stdout).unwrap();
    assert!(text.contains("is refused") && text.contains("hello@flora.example"), "{text}");
    let replayed = run_json(folder, &["webhook", "replay", &id]);
    assert_eq!(replayed["deliveries"][0]["state"], "pending", "{replayed}");
    assert_eq!(newest_in(folder, "accepted")["order"], "102");
    let shown = run_json(folder, &["order", "show", "102"]);
    assert_eq!(shown["order"]["priority"], 1, "{shown}");
    let text = String::from_utf8(run(folder, &["webhook", "received"]).stdout).unwrap();
    assert!(text.contains(&id) && text.contains("accepted") && text.contains("shop"), "{text}");

    // What became an order is not mapped again, and that is said.
    let nothing = run(folder, &["webhook", "replay", &id]);
    let text = String::from_utf8_lossy(&nothing.stdout);
    assert!(text.contains("became an order before (order 102); nothing was done"), "{nothing:?}");
    assert_eq!(run_json(folder, &["webhook", "replay", &id])["outcome"], "unchanged");

    for (args, says) in [
        (&["webhook", "received", "nothing"][..], "webhook received"),
        (&["webhook", "received", "--hook", "shpo"], "there is no hook \"shpo\""),
        (&["webhook", "deliveries", "--webhook", "crn"], "there is no webhook \"crn\""),
        (&["webhook", "deliveries", "--state", "lost"], "pending, delivered, given_up"),
        (&["webhook", "replay", "nothing"], "webhook received"),
        (&["webhook", "received", "--state", "lost"], "pending, accepted, refused, erased"),
    ] {
        let done = run(folder, args);
        let stderr = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(2), "{args:?}: {stderr}");
        assert!(stderr.contains(says), "{args:?}: {stderr}");
    }
    assert!(run(folder, &["webhook", "deliveries", "--webhook", "callback"]).status.success());
}

#[test]
fn what_no_server_could_map_is_not_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::create_dir(folder.join("templates")).unwrap();
    std::fs::write(folder.join("secret"), format!("\u{feff}{SECRET}\r\n")).unwrap();
    write_config(folder, "");
    let served = Served::start(folder);
    assert_eq!(served.post("not json"), "202");
    let id = newest_in(folder, "refused")["id"].as_str().unwrap().to_owned();
    drop(served);
    std::fs::write(
        folder.join("sitewright.toml"),
        "[database]\nurl = \"sqlite://orders.db\"\n\n[hooks.other]\nkind = \"bearer\"\n\
         secret_file = \"secret\"\ntemplate = \"flora\"\n",
    )
    .unwrap();
    let refused = run(folder, &["webhook", "replay", &id]);
    let stderr = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("\"shop\"") && stderr.contains("the hooks are: other"), "{stderr}");
    // It keeps its reason, and can still be found by the name of its hook.
    let listed = run_json(folder, &["webhook", "received", "--hook", "shop"]);
    assert_eq!(listed["deliveries"][0]["state"], "refused", "{listed}");
    assert!(listed["deliveries"][0]["reason"].is_string(), "{listed}");
}

#[test]
fn doctor_and_serve_say_what_is_wrong_with_a_hook() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::create_dir(folder.join("templates")).unwrap();
    write_config(folder, "id = \"number\"");
    let checks = |folder: &Path| {
        let done = run(folder, &["--json", "doctor", "--offline"]);
        serde_json::from_slice::<Value>(&done.stdout).unwrap()["checks"].clone()
    };
    let check = |checks: &Value, what: &str| {
        let found = checks.as_array().unwrap().iter().find(|check| check["what"] == what);
        found.unwrap_or_else(|| panic!("no check {what}: {checks}")).clone()
    };
    let found = checks(folder);
    let hooks = check(&found, "hooks");
    assert_eq!(hooks["ok"], false, "{hooks}");
    assert!(hooks["says"].as_str().unwrap().contains("`hooks.shop.id`"), "{hooks}");
    assert_eq!(check(&found, "template of hook shop")["ok"], false);
    let refused = run(folder, &["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    write_config(folder, "");
    let refused = run(folder, &["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(refused.status.code(), Some(1), "the secret may be mounted later: {refused:?}");
    std::fs::write(folder.join("secret"), SECRET).unwrap();
    std::fs::write(folder.join("templates/flora.wasm"), b"").unwrap();
    let found = checks(folder);
    assert_eq!(check(&found, "hooks"), json!({ "what": "hooks", "ok": true, "says": "shop" }));
    let all = found.as_array().unwrap();
    assert!(all.iter().all(|check| check["what"] != "template of hook shop"), "{found}");
    write_config(folder, "map = { id = \"/id\", business_names = \"/a\", cart = \"/b\" }");
    let map = check(&checks(folder), "map of hook shop");
    assert_eq!(map["ok"], false, "{map}");
    assert!(map["says"].as_str().unwrap().contains("did you mean `business_name`?"), "{map}");
}
