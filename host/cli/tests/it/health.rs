//! `sitewright health`, and `order add --callback`, as processes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helper functions fail the test")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

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

#[test]
fn a_server_is_well_until_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut serve = command(folder, &["--json", "serve", "--listen", "127.0.0.1:0"]);
    let mut child = serve.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let ready: Value = serde_json::from_str(&line).unwrap();
    let address = ready["address"].as_str().unwrap();
    // An address that is listened on everywhere is asked on this machine.
    let everywhere = format!("0.0.0.0:{}", address.rsplit_once(':').unwrap().1);
    for (args, says) in [
        (&["health", "--address", address][..], "alive"),
        (&["health", "--ready", "--address", address], "ready"),
        (&["health", "--address", &everywhere], "alive"),
    ] {
        let done = run(folder, args);
        let text = String::from_utf8(done.stdout).unwrap();
        assert_eq!(done.status.code(), Some(0), "{args:?}: {text}");
        assert!(
            text.contains("http://127.0.0.1:") && text.ends_with(&format!(": {says}\n")),
            "{text}"
        );
    }
    std::fs::write(folder.join("sitewright.toml"), format!("[server]\nlisten = \"{address}\"\n"))
        .unwrap();
    let done = run(folder, &["--json", "health"]);
    let report: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!((&report["outcome"], &report["status"]), (&json!("well"), &json!(200)), "{report}");
    child.kill().unwrap();
    child.wait().unwrap();
    let done = run(folder, &["--json", "health"]);
    assert_eq!(done.status.code(), Some(1), "{done:?}");
    let report: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(report["outcome"], "unwell", "{report}");
    assert!(report["says"].as_str().unwrap().starts_with("no answer"), "{report}");
}

#[test]
fn another_program_is_not_well_and_one_that_is_silent_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let answering = std::thread::spawn(move || {
        let (mut other, _) = listener.accept().unwrap();
        let mut head = [0; 1_024];
        assert!(other.read(&mut head).unwrap() > 0);
        other.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").unwrap();
        drop(other);
        // The second one is accepted, and gets no answer.
        listener.accept().unwrap()
    });
    let args = ["health", "--address", &address, "--within-ms", "500"];
    for says in ["another program", "no answer within 500 ms"] {
        let done = run(folder.path(), &args);
        let text = String::from_utf8(done.stdout).unwrap();
        assert_eq!(done.status.code(), Some(1), "{text}");
        assert!(text.contains(says), "{text}");
    }
    drop(answering.join().unwrap());
}

#[test]
fn an_order_brings_a_callback_that_may_be_called() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::create_dir(folder.join("templates")).unwrap();
    std::fs::write(folder.join("templates/flora.wasm"), b"").unwrap();
    let order =
        json!({ "id": "1", "business_name": "Flora", "business_email": "hello@flora.example" });
    std::fs::write(folder.join("order.json"), order.to_string()).unwrap();
    let add = |url: &str| {
        let args = ["order", "add", "order.json", "--template", "flora", "--callback", url];
        let done = run(folder, &args);
        (done.status.code(), String::from_utf8(done.stderr).unwrap())
    };
    let (code, says) = add("https://crm.example/done");
    assert_eq!(code, Some(2), "{says}");
    assert!(says.contains("[callbacks]"), "{says}");
    let callbacks = "[callbacks]\nsecret_env = \"NOT_READ_BY_A_COMMAND\"\n";
    std::fs::write(folder.join("sitewright.toml"), callbacks).unwrap();
    let (code, says) = add("http://127.0.0.1/");
    assert_eq!(code, Some(2), "{says}");
    assert!(says.contains("--callback begins with http://"), "{says}");
    let (code, says) = add("https://crm.example/done?order=1");
    assert_eq!(code, Some(0), "{says}");
    assert!(run(folder, &["order", "cancel", "1"]).status.success());
    let listed = run(folder, &["--json", "webhook", "deliveries"]);
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    let delivery = &listed["deliveries"][0];
    assert_eq!((&delivery["webhook"], &delivery["order"]), (&json!("callback"), &json!("1")));
}
