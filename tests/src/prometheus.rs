//! Prometheus, if it is installed: a server with a configuration of the test, and its tool.

use std::fs::File;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use reqwest::Url;
use serde_json::Value;
use sitewright_http::Client;
use tempfile::TempDir;

use crate::Done;

/// What a test says that is skipped.
pub const MISSING: &str = "Prometheus is not installed: apt-get install prometheus";

/// Runs promtool in a folder, with a text on standard input. `None` if it is not installed; the
/// caller reports its test as skipped.
pub fn promtool(folder: &Path, arguments: &[&str], input: &str) -> Option<Done> {
    let started = Command::new("promtool")
        .current_dir(folder)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match started {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        started => started.expect("promtool starts"),
    };
    let mut stdin = child.stdin.take().expect("stdin is piped");
    // It ends without reading if it does not like its arguments.
    drop(stdin.write_all(input.as_bytes()));
    drop(stdin);
    Some(child.wait_with_output().expect("promtool ends").into())
}

/// A running Prometheus, which stops when this is dropped.
pub struct Prometheus {
    origin: String,
    process: Child,
    folder: TempDir,
    client: Client,
}

impl Prometheus {
    /// Starts one with this configuration, on a machine that has [`promtool`]. It may not listen
    /// yet.
    pub fn start(configuration: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("prometheus.yml"), configuration).expect("a file");
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = free.local_addr().expect("it has an address");
        drop(free);
        let log = File::create(folder.path().join("log")).expect("a file");
        let process = Command::new("prometheus")
            .current_dir(folder.path())
            .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"])
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("Prometheus starts");
        let client = sitewright_http::client().expect("a client");
        Prometheus { origin: format!("http://{address}"), process, folder, client }
    }

    /// What its API answers to `GET /api/v1/<what>`: the member `data`. Null while it does not
    /// listen.
    ///
    /// # Panics
    ///
    /// If the answer is an error.
    pub async fn ask(&self, what: &str, parameters: &[(&str, &str)]) -> Value {
        let url = Url::parse_with_params(&format!("{}/api/v1/{what}", self.origin), parameters);
        let url = url.expect("it is a URL");
        let Ok(answer) = self.client.first().get(url).send().await else { return Value::Null };
        let Ok(mut answer) = answer.json::<Value>().await else { return Value::Null };
        assert_eq!(answer["status"], "success", "{what} {parameters:?}: {answer}");
        answer["data"].take()
    }

    /// The series that an expression has now, each with its labels (`metric`) and `value`.
    ///
    /// # Panics
    ///
    /// If it is no expression, or cannot be computed.
    pub async fn query(&self, expression: &str) -> Vec<Value> {
        let mut data = self.ask("query", &[("query", expression)]).await;
        match data["result"].take() {
            Value::Array(series) => series,
            _ => Vec::new(),
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            eprintln!("{log}");
        }
    }
}
