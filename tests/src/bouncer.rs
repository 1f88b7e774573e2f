//! PgBouncer in front of a database of the tests' cluster, if it is installed.

use std::net::TcpListener;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Where packages put the program.
const PROGRAMS: [&str; 3] =
    ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer", "/opt/homebrew/bin/pgbouncer"];
/// What a test says that is skipped.
pub const MISSING: &str = "PgBouncer is not installed: apt-get install pgbouncer";

/// A running PgBouncer, which stops when this is dropped.
#[derive(Debug)]
pub struct Bouncer {
    /// URL of the database behind it.
    pub url: String,
    /// Whether prepared statements survive that a transaction gets another session of the server:
    /// from version 1.21 on.
    pub keeps_statements: bool,
    process: Child,
    folder: tempfile::TempDir,
}

impl Bouncer {
    /// Starts one for a database of the cluster, with this `pool_mode` and `default_pool_size`.
    /// `None` if it is not installed; the caller reports its test as skipped.
    pub async fn start(database: &str, mode: &str, size: u32) -> Option<Self> {
        let program = PROGRAMS.into_iter().find(|path| Path::new(path).exists())?;
        let (address, cluster) = database.split_once("?host=").expect("it is a URL of the cluster");
        let name = address.rsplit('/').next().expect("it names a database");
        let keeps_statements = version(program) >= (1, 21);
        let statements = if keeps_statements { "max_prepared_statements = 200\n" } else { "" };
        let folder = tempfile::tempdir().expect("a folder");
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = free.local_addr().expect("it has an address").port();
        drop(free);
        let shown = folder.path().display();
        let settings = format!(
            "[databases]\n* = host={cluster}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = \
             {port}\nunix_socket_dir =\nauth_type = trust\nauth_file = {shown}/users\npool_mode = \
             {mode}\ndefault_pool_size = {size}\nlogfile = {shown}/log\npidfile = \
             {shown}/pid\n{statements}"
        );
        std::fs::write(folder.path().join("users"), "\"sitewright\" \"\"\n").expect("a file");
        std::fs::write(folder.path().join("ini"), settings).expect("a file");
        let mut command = Command::new(program);
        // PgBouncer refuses to run as root, like PostgreSQL.
        if std::fs::metadata(folder.path()).expect("it is there").uid() == 0 {
            let owned = Command::new("chown").args(["-R", "postgres"]).arg(folder.path()).status();
            assert!(owned.expect("chown starts").success(), "chown {shown}");
            command.args(["-u", "postgres"]);
        }
        let process = command
            .arg(folder.path().join("ini"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("PgBouncer starts");
        let url = format!("postgres://sitewright@127.0.0.1:{port}/{name}");
        let started = Bouncer { url, keeps_statements, process, folder };
        let begin = Instant::now();
        while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            assert!(begin.elapsed() < Duration::from_secs(30), "PgBouncer does not listen");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Some(started)
    }
}

/// `PgBouncer 1.18.0` on the first line.
fn version(program: &str) -> (u32, u32) {
    let told = Command::new(program).arg("--version").output().expect("PgBouncer starts");
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    let number = told.split_whitespace().nth(1).unwrap_or_default();
    let mut parts = number.split('.').map(|part| part.parse().unwrap_or_default());
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            eprintln!("{log}");
        }
    }
}
