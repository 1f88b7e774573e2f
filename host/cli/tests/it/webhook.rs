//! `sitewright webhook` and the deliveries of `sitewright serve`, as processes: one that is killed
//! while a receiver thinks loses nothing.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test's helper functions fail the test, and say what was skipped"
)]
#![allow(clippy::disallowed_methods, reason = "#[tokio::test] makes the runtime of a test")]

// Shared with the end-to-end tests, on which this crate cannot depend.
#[path = "../../../../tests/src/postgres.rs"]
#[allow(
    unreachable_pub,
    dead_code,
    clippy::expect_used,
    reason = "it is public for the end-to-end tests, and fails the test"
)]
mod postgres;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;
use sitewright_jobs::{Database, NewOrder};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const PATIENCE: Duration = Duration::from_secs(60);

/// A request of a delivery, and the connection to answer on.
struct Got {
    id: String,
    body: Value,
    stream: TcpStream,
}

impl Got {
    fn answer(mut self, status: &str) {
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        self.stream.write_all(head.as_bytes()).unwrap();
    }
}

/// A receiver that hands over each request, so that the test decides when it is answered.
fn receiver() -> (u16, Receiver<Got>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let sender = sender.clone();
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream.unwrap());
                let (mut id, mut length) = (String::new(), 0);
                loop {
                    let mut line = String::new();
                    if reader.read_line(&mut line).unwrap() == 0 {
                        return;
                    }
                    match line.trim_end().split_once(": ") {
                        Some(("webhook-id", value)) => id = value.to_owned(),
                        Some(("content-length", value)) => length = value.parse().unwrap(),
                        Some(_) => {}
                        None if line.trim_end().is_empty() => break,
                        None => {}
                    }
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                let body = serde_json::from_slice(&body).unwrap();
                // The test may have ended.
                sender.send(Got { id, body, stream: reader.into_inner() }).ok();
            });
        }
    });
    (port, receiver)
}

fn write_config(folder: &Path, database: &str, port: u16) {
    let config = format!(
        "[database]\nurl = \"{database}\"\n\n[webhooks.crm]\n\
         url = \"http://127.0.0.1:{port}/hook\"\nsecret_file = \"secret\"\nallow_private = true\n\
         timeout_ms = 20000\n"
    );
    std::fs::write(folder.join("sitewright.toml"), config).unwrap();
    std::fs::write(folder.join("secret"), format!("{SECRET}\n")).unwrap();
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

/// Starts `sitewright serve`, and returns when it is ready.
fn serve(folder: &Path) -> Child {
    let mut command = command(folder, &["--json", "serve", "--listen", "127.0.0.1:0"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("\"ready\""), "{line:?}");
    child
}

/// Kills it as `kill -9` does.
fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

async fn killed(url: &str, folder: &Path) {
    let (port, receiver) = receiver();
    write_config(folder, url, port);
    let database = Database::open(url).await.unwrap();
    database.migrate().await.unwrap();
    // The webhook is known from now on; then nobody delivers.
    kill(serve(folder));
    let order = NewOrder::new("1", "flora", "{\"customer\":\"secret\"}");
    database.enqueue(order).await.unwrap();
    let cancelled = run(folder, &["order", "cancel", "1"]);
    assert!(cancelled.status.success(), "{cancelled:?}");
    assert!(receiver.try_recv().is_err(), "a command delivers nothing");

    let first = serve(folder);
    let got = receiver.recv_timeout(PATIENCE).unwrap();
    assert_eq!(
        (&got.body["type"], &got.body["data"]["order"]),
        (&"order.cancelled".into(), &"1".into())
    );
    assert!(!got.body.to_string().contains("secret"), "{}", got.body);
    // The receiver has it and has not answered.
    kill(first);
    let second = serve(folder);
    let again = receiver.recv_timeout(PATIENCE).unwrap();
    assert_eq!((&again.id, &again.body), (&got.id, &got.body), "the same under the same id");
    let id = again.id.clone();
    again.answer("204 No Content");
    let delivered = || {
        let shown = run(folder, &["--json", "webhook", "deliveries", &id]);
        let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
        (shown["delivery"]["state"] == "delivered").then_some(shown)
    };
    let begin = std::time::Instant::now();
    let shown = loop {
        if let Some(shown) = delivered() {
            break shown;
        }
        assert!(begin.elapsed() < PATIENCE, "it is not delivered");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(shown["attempts"].as_array().unwrap().len(), 1, "{shown}");
    kill(second);
    assert!(receiver.try_recv().is_err(), "it was sent twice, not more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_loses_no_delivery_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/orders.db", folder.path().display());
    killed(&url, folder.path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_loses_no_delivery_on_postgres() {
    let Some(cluster) = postgres::shared() else {
        eprintln!("SKIPPED: PostgreSQL is not installed");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    killed(&cluster.create("webhook_killed"), folder.path()).await;
}

#[test]
fn a_webhook_is_tried_listed_and_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (port, receiver) = receiver();
    write_config(folder, "sqlite://orders.db", port);
    let none = run(folder, &["webhook", "list"]);
    assert_eq!(none.status.code(), Some(1), "there is no database: {none:?}");

    let answering = std::thread::spawn(move || {
        let got = receiver.recv_timeout(PATIENCE).unwrap();
        assert_eq!(
            (&got.body["type"], &got.body["data"]["webhook"]),
            (&"webhook.test".into(), &"crm".into())
        );
        let id = got.id.clone();
        got.answer("202 Accepted");
        receiver.recv_timeout(PATIENCE).unwrap().answer("500 Internal Server Error");
        receiver.recv_timeout(PATIENCE).unwrap().answer("410 Gone");
        id
    });
    let tried = run(folder, &["webhook", "test", "crm"]);
    assert_eq!(tried.status.code(), Some(0), "{tried:?}");
    let text = String::from_utf8(tried.stdout).unwrap();
    assert!(text.contains("is delivered") && text.contains("202 after"), "{text}");
    let refused = run(folder, &["--json", "webhook", "test", "crm"]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let refused: Value = serde_json::from_slice(&refused.stdout).unwrap();
    assert_eq!(refused["delivery"]["state"], "given_up", "{refused}");
    assert_eq!(refused["attempts"][0]["status"], 500, "{refused}");
    let gone = run(folder, &["webhook", "test", "crm"]);
    assert_eq!(gone.status.code(), Some(1), "{gone:?}");
    let text = String::from_utf8(gone.stdout).unwrap();
    assert!(text.contains("410") && text.contains("which changes nothing"), "{text}");
    let id = answering.join().unwrap();

    let listed = run(folder, &["--json", "webhook", "deliveries", "--state", "given_up"]);
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(listed["deliveries"].as_array().unwrap().len(), 2, "{listed}");
    let text = String::from_utf8(run(folder, &["webhook", "deliveries"]).stdout).unwrap();
    assert!(
        text.contains(&id) && text.contains("given_up") && text.contains("webhook.test"),
        "{text}"
    );
    let again = run(folder, &["--json", "webhook", "redeliver", &id]);
    let again: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(again["deliveries"][0]["state"], "pending", "{again}");

    for (args, code, says) in [
        (&["webhook", "test", "nobody"][..], 2, "it has these: crm"),
        (&["webhook", "redeliver", "msg_nothing"], 2, "webhook deliveries"),
        (&["webhook", "deliveries", "msg_nothing"], 2, "webhook deliveries"),
        (&["webhook", "enable", "nobody"], 2, "webhook list"),
        (&["webhook", "deliveries", "--state", "lost"], 2, "lost"),
    ] {
        let done = run(folder, args);
        let stderr = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(code), "{args:?}: {stderr}");
        assert!(stderr.contains(says), "{args:?}: {stderr}");
    }
    std::fs::remove_file(folder.join("secret")).unwrap();
    let done = run(folder, &["webhook", "test", "crm"]);
    let stderr = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(1), "it may be mounted later: {stderr}");
    assert!(stderr.contains("`webhooks.crm.secret_file`"), "{stderr}");
}

#[test]
fn a_callback_is_shown_and_replaced_by_a_revision() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_config(folder, "sqlite://orders.db", 9);
    let config = folder.join("sitewright.toml");
    let with =
        std::fs::read_to_string(&config).unwrap() + "\n[callbacks]\nsecret_file = \"secret\"\n";
    std::fs::write(&config, with).unwrap();
    std::fs::create_dir(folder.join("templates")).unwrap();
    std::fs::write(folder.join("templates/flora.wasm"), "").unwrap();
    let order = |name: &str| {
        let order = serde_json::json!({
            "id": "1", "business_name": name, "business_email": "a@flora.example",
        });
        std::fs::write(folder.join("order.json"), order.to_string()).unwrap();
    };
    let shown = || {
        let shown = run(folder, &["--json", "order", "show", "1"]);
        let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
        shown["callback"]["url"].as_str().unwrap_or_default().to_owned()
    };
    let add = ["order", "add", "order.json", "--template", "flora"];
    for (name, args, wanted) in [
        (
            "Flora",
            &[&add[..], &["--callback", "https://a.example/x"]].concat()[..],
            "https://a.example/",
        ),
        (
            "Flora",
            &[&add[..], &["--callback", "https://b.example/x"]].concat(),
            "https://a.example/",
        ),
        (
            "Fauna",
            &[&add[..], &["--revise", "--callback", "https://c.example/x"]].concat(),
            "https://c.example/",
        ),
        (
            "Lora",
            &["order", "revise", "1", "order.json", "--callback", "https://d.example:1/x"],
            "https://d.example:1/",
        ),
    ] {
        order(name);
        let done = run(folder, args);
        assert!(done.status.success(), "{args:?}: {done:?}");
        assert_eq!(shown(), wanted, "{args:?}");
    }
    let text = String::from_utf8(run(folder, &["order", "show", "1"]).stdout).unwrap();
    assert!(text.contains("callback") && text.contains("https://d.example:1/ from"), "{text}");
    // The same order with another callback, or the same, or none.
    for (callback, differs) in [
        (&["--callback", "https://b.example/x"][..], Value::from("callback")),
        (&["--callback", "https://d.example:1/x"], Value::Null),
        (&[], Value::Null),
    ] {
        let args = [&["--json"][..], &add, callback].concat();
        let told = run(folder, &args);
        assert_eq!(told.status.code(), Some(0), "{args:?}: {told:?}");
        let told: Value = serde_json::from_slice(&told.stdout).unwrap();
        assert_eq!(told["orders"][0]["differs"], differs, "{args:?}: {told}");
    }
    let told = run(folder, &[&add[..], &["--callback", "https://b.example/x"]].concat());
    let told = String::from_utf8(told.stdout).unwrap();
    assert!(told.contains("another callback than was sent now"), "{told}");
    assert_eq!(shown(), "https://d.example:1/");
    for (args, code, says) in [
        (&["webhook", "enable", "callback"][..], 0, "no order has a callback that is disabled"),
        (&["webhook", "enable", "callback", "--order", "1"], 0, "order 1 has no callback that is"),
        (&["webhook", "enable", "callback", "--order", "9"], 2, "9"),
        (&["webhook", "enable", "crm", "--order", "1"], 2, "webhook enable callback --order"),
        (
            &["order", "revise", "1", "order.json", "--callback", "http://a.example"],
            2,
            "--callback",
        ),
        (
            &["order", "callback", "set", "1", "http://a.example/"],
            2,
            "the callback begins with http://",
        ),
        (&["order", "callback", "set", "9", "https://e.example/x"], 2, "9"),
        (&["order", "callback", "set", "1", "https://e.example/x"], 0, "has this callback now"),
        (&["order", "callback", "set", "1", "https://e.example/x"], 0, "has this callback already"),
        (&["--json", "order", "callback", "set", "1", "https://f.example/x"], 0, "\"set\""),
        (&["order", "show", "1"], 0, "https://f.example/ from"),
        (&["order", "callback", "remove", "1"], 0, "order 1 has no callback any more"),
        (&["order", "callback", "remove", "1"], 0, "order 1 has no callback"),
        (&["order", "callback", "remove", "9"], 2, "9"),
    ] {
        let done = run(folder, args);
        let said = [&done.stdout[..], &done.stderr[..]].concat();
        let said = String::from_utf8_lossy(&said);
        assert_eq!(done.status.code(), Some(code), "{args:?}: {said}");
        assert!(said.contains(says), "{args:?}: {said}");
    }
}
