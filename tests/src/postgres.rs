//! A PostgreSQL of the tests' own, where it is installed: a cluster in a temporary folder, reached
//! through a socket there, gone with the process.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

/// A PostgreSQL that ends with this process.
#[derive(Debug)]
pub struct Cluster {
    folder: PathBuf,
    bin: PathBuf,
    /// Whether this process is root, as which PostgreSQL refuses to run.
    root: bool,
}

/// The one that all tests of this process share; each makes databases of its own in it. Nothing,
/// said loudly, where PostgreSQL is not installed.
pub fn shared() -> Option<&'static Cluster> {
    static SHARED: LazyLock<Option<Cluster>> = LazyLock::new(Cluster::start);
    SHARED.as_ref()
}

impl Cluster {
    /// The address of one of its databases; `postgres` is always there.
    pub fn url(&self, name: &str) -> String {
        format!("postgres://sitewright@localhost/{name}?host={}", self.folder.display())
    }

    /// Makes a database and returns its address.
    pub fn create(&self, name: &str) -> String {
        let made = Command::new(self.bin.join("createdb"))
            .arg("-h")
            .arg(&self.folder)
            .args(["-U", "sitewright", name])
            .status();
        assert!(
            made.expect("createdb runs").success(),
            "the database {name} could not be made; PostgreSQL says last:\n{}",
            self.last_words()
        );
        self.url(name)
    }

    /// The end of its log: why it is gone when it is, a full disk above all.
    fn last_words(&self) -> String {
        const LINES: usize = 15;
        let log = self.folder.join("log");
        let all = std::fs::read(&log)
            .unwrap_or_else(|error| format!("{}: {error}", log.display()).into());
        let all = String::from_utf8_lossy(&all);
        let lines: Vec<&str> = all.lines().collect();
        lines[lines.len().saturating_sub(LINES)..].join("\n")
    }

    /// A new cluster, or nothing where PostgreSQL is not installed.
    pub fn start() -> Option<Self> {
        let found = std::fs::read_dir("/usr/lib/postgresql").ok().and_then(|versions| {
            let mut bins: Vec<PathBuf> =
                versions.flatten().map(|version| version.path().join("bin")).collect();
            bins.retain(|bin| bin.join("postgres").exists());
            bins.sort();
            bins.pop()
        });
        let Some(bin) = found else {
            eprintln!(
                "SKIPPED: no PostgreSQL in /usr/lib/postgresql; `apt-get install postgresql` runs \
                 this half of the tests too"
            );
            return None;
        };
        let folder = tempfile::tempdir().expect("a temporary folder").keep();
        let id = Command::new("id").arg("-u").output().expect("id runs");
        let cluster = Cluster { folder, bin, root: id.stdout.trim_ascii() == b"0" };
        if cluster.root {
            let owned = Command::new("chown")
                .arg("postgres")
                .arg(&cluster.folder)
                .status()
                .expect("chown runs");
            assert!(owned.success(), "the folder of the cluster could not be given to postgres");
        }
        // The shell waits for this process to end, then ends PostgreSQL and clears up.
        let script = format!(
            "set -e; cd {folder}; {bin}/initdb -D data -U sitewright -A trust --no-sync \
             >initdb.log 2>&1; {start}; echo ready; read _ || true; {bin}/pg_ctl -D data -m \
             immediate stop >/dev/null; rm -rf {folder}/*",
            folder = cluster.folder.display(),
            bin = cluster.bin.display(),
            start = cluster.start_line(),
        );
        let mut shell = cluster
            .shell(&script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell starts");
        let mut line = String::new();
        let stdout = shell.stdout.take().expect("it is piped");
        BufReader::new(stdout).read_line(&mut line).expect("the shell says something");
        assert_eq!(line, "ready\n", "PostgreSQL did not start: see {}", cluster.folder.display());
        std::mem::forget(shell);
        Some(cluster)
    }

    /// Takes it away from those who use it.
    pub fn stop(&self) {
        self.control(&format!(
            "{}/pg_ctl -D data -w -m immediate stop >/dev/null 2>&1",
            self.bin.display()
        ));
    }

    /// Gives it back.
    pub fn start_again(&self) {
        self.control(&self.start_line());
    }

    fn control(&self, line: &str) {
        let done = self.shell(&format!("cd {} && {line}", self.folder.display())).status();
        assert!(done.expect("a shell starts").success(), "failed: {line}");
    }

    /// Of its journal it keeps 64 MB instead of a gigabyte: clusters share a disk with all that was
    /// built.
    fn start_line(&self) -> String {
        format!(
            "{}/pg_ctl -D data -w -l log -o \"-k {} -c listen_addresses='' -c max_connections=400 \
             -c fsync=off -c max_wal_size=64MB\" start >/dev/null 2>&1",
            self.bin.display(),
            self.folder.display(),
        )
    }

    fn shell(&self, script: &str) -> Command {
        let mut command = if self.root {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--", "sh"]);
            command
        } else {
            Command::new("sh")
        };
        command.args(["-c", script]);
        command
    }
}
