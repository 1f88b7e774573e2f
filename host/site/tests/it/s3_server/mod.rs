//! An independent S3 server: moto, a Python package, installed into `target/standins` on first use.
//! If it cannot be installed (no Python, no network), the tests that need it are reported as
//! skipped, or fail if `SITEWRIGHT_REQUIRE_STANDINS=1` is set.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use serde_json::Value;

const REQUIRE: &str = "SITEWRIGHT_REQUIRE_STANDINS";
const PACKAGES: &[&str] = &["moto[server,s3,iam]==5.2.5"];

/// The server; it stops when dropped, and with this process.
pub(crate) struct S3Server {
    child: Child,
    _stdin: Option<ChildStdin>,
    /// The server's output.
    said: Value,
}

impl S3Server {
    /// Starts a server with the buckets `sites` and `other`. `None` if it is not installed, which
    /// is reported.
    pub(crate) async fn start(
        test: &'static str,
        arguments: &'static [&'static str],
    ) -> Option<Self> {
        tokio::task::spawn_blocking(move || match prepared() {
            Ok(python) => Some(Self::run(&python, arguments)),
            Err(why) => {
                skipped(test, &why);
                None
            }
        })
        .await
        .unwrap()
    }

    fn run(python: &Path, arguments: &[&str]) -> Self {
        let script = Path::new(file!()).with_file_name("server.py");
        // `file!` is relative to the workspace; tests run in the folder of their crate.
        let top = Path::new(env!("CARGO_MANIFEST_DIR"));
        let script =
            [top.join("../..").join(&script), top.join("..").join(&script), top.join(&script)]
                .into_iter()
                .find(|path| path.exists())
                .expect("the script is there");
        let mut child = Command::new(python)
            .arg(script)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the server starts");
        let stdin = child.stdin.take();
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().expect("its output is ours"));
        stdout.read_line(&mut line).expect("it says where it is");
        let said = serde_json::from_str(&line).expect("it says where it is, as JSON");
        S3Server { child, _stdin: stdin, said }
    }

    /// Scheme, address and port.
    pub(crate) fn origin(&self) -> &str {
        self.said["origin"].as_str().expect("a text")
    }

    /// The id and the secret of an account.
    pub(crate) fn account(&self, name: &str) -> (&str, &str) {
        let part = |part: &str| self.said[name][part].as_str().expect("a text");
        (part("id"), part("secret"))
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The folder `target`.
fn target() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it is in `target`")
}

/// The Python environment with the server; created if it does not exist.
fn prepared() -> Result<PathBuf, String> {
    let folder = target().join("standins/s3");
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    // Tests of other processes may create it at the same time.
    let lock = File::create(folder.join("lock")).map_err(|error| error.to_string())?;
    lock.lock().map_err(|error| error.to_string())?;
    let (python, wanted) = (folder.join("venv/bin/python"), PACKAGES.join("\n"));
    let done = folder.join("installed");
    if std::fs::read_to_string(&done).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder.join("venv")))?;
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]);
    install.args(["--only-binary", ":all:", "--timeout", "20", "--retries", "1"]);
    run(install.args(PACKAGES))?;
    std::fs::write(&done, wanted).map_err(|error| error.to_string())?;
    Ok(python)
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

/// Reports a skipped test: directly on stderr, which the test harness does not capture, and in
/// `target/skipped-tests.txt`, which `cargo xtask test` prints at its end.
fn skipped(test: &str, why: &str) {
    assert!(
        std::env::var_os(REQUIRE).is_none_or(|value| value != "1"),
        "{REQUIRE}=1 demands the stand-ins, and {test} has none: {why}"
    );
    let line = format!("SKIPPED: {test}: {why}\n");
    drop(std::io::stderr().write_all(line.as_bytes()));
    let list =
        OpenOptions::new().create(true).append(true).open(target().join("skipped-tests.txt"));
    drop(list.and_then(|mut list| list.write_all(line.as_bytes())));
}
