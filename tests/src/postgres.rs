//! A PostgreSQL cluster for tests, if PostgreSQL is installed: in a temporary folder, reached
//! through a socket in it.
//!
//! `tests/standins/postgres.sh` starts and stops it. A run of cargo-nextest starts one cluster for
//! all its processes (`.config/nextest.toml`) and passes its folder in `TESTS_POSTGRES`. Without
//! that, as with plain `cargo test`, each test binary starts one of its own.

use std::hash::{BuildHasher as _, RandomState};
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

/// The variable with the folder of a running cluster.
const VARIABLE: &str = "TESTS_POSTGRES";

/// The script, so that test binaries find it in whatever folder they run.
const SCRIPT: &str = include_str!("../standins/postgres.sh");

/// A running cluster. One that this process has started stops when the process ends.
#[derive(Debug)]
pub struct Cluster {
    folder: PathBuf,
}

/// The cluster that all tests share; each test creates databases of its own in it. `None` if
/// PostgreSQL is not installed; the caller reports its test as skipped.
pub fn shared() -> Option<&'static Cluster> {
    static SHARED: LazyLock<Option<Cluster>> = LazyLock::new(|| {
        let folder = std::env::var_os(VARIABLE).filter(|folder| !folder.is_empty());
        folder.map_or_else(Cluster::start, |folder| Some(Cluster { folder: folder.into() }))
    });
    SHARED.as_ref()
}

impl Cluster {
    /// The URL of a database; the database `postgres` always exists.
    pub fn url(&self, name: &str) -> String {
        format!("postgres://sitewright@localhost/{name}?host={}", self.folder.display())
    }

    /// Creates a database and returns its URL. A random suffix is added to the name, because other
    /// processes create databases in the same cluster.
    pub fn create(&self, name: &str) -> String {
        static PROCESS: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(()));
        let name = format!("{name}_{:016x}", *PROCESS);
        let folder = self.folder.display().to_string();
        let output = run(&["create", &folder, &name]);
        assert!(
            output.status.success(),
            "cannot create the database {name}: {}\nThe end of the log of PostgreSQL:\n{}",
            String::from_utf8_lossy(&output.stderr),
            self.end_of_log()
        );
        self.url(&name)
    }

    /// The end of its log, which has the reason why it stopped, such as a full disk.
    fn end_of_log(&self) -> String {
        const LINES: usize = 15;
        let log = self.folder.join("log");
        let all = std::fs::read(&log)
            .unwrap_or_else(|error| format!("{}: {error}", log.display()).into());
        let all = String::from_utf8_lossy(&all);
        let lines: Vec<&str> = all.lines().collect();
        lines[lines.len().saturating_sub(LINES)..].join("\n")
    }

    /// Starts a new cluster for a test that stops it or changes its settings. `None` if PostgreSQL
    /// is not installed; the caller reports its test as skipped.
    pub fn start() -> Option<Self> {
        let mut script = script(&["serve"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("sh starts");
        let mut line = String::new();
        let stdout = script.stdout.take().expect("stdout is piped");
        BufReader::new(stdout).read_line(&mut line).expect("the script prints a line");
        let folder = line.trim_end();
        if folder.is_empty() {
            let code = script.wait().expect("the script ends").code();
            assert_eq!(
                code,
                Some(3),
                "PostgreSQL cannot be started; see initdb.log in the newest \
                       folder sitewright-postgres.* in the temporary folder"
            );
            return None;
        }
        let cluster = Cluster { folder: folder.into() };
        // It holds the other end of the script's stdin until this process ends.
        std::mem::forget(script);
        Some(cluster)
    }

    /// Stops the cluster at once, as a crash would.
    pub fn stop(&self) {
        self.control("stop");
    }

    /// Starts it again after [`Cluster::stop`].
    pub fn start_again(&self) {
        self.control("start");
    }

    fn control(&self, action: &str) {
        let output = run(&[action, &self.folder.display().to_string()]);
        assert!(
            output.status.success(),
            "cannot {action} PostgreSQL; the end of its log:\n{}",
            self.end_of_log()
        );
    }
}

fn script(arguments: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", SCRIPT, "postgres.sh"]).args(arguments);
    command
}

fn run(arguments: &[&str]) -> Output {
    script(arguments).stdin(Stdio::null()).output().expect("sh starts")
}
