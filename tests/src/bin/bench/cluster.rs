//! A PostgreSQL cluster for the benchmark, with its data on the disk that is measured.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, ensure};
use rustix::process::geteuid;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};

/// A running server. It stops when this process exits, even by SIGKILL.
pub(crate) struct Cluster {
    folder: PathBuf,
    bin: PathBuf,
    /// The shell stops the server when this pipe is closed.
    stdin: ChildStdin,
    shell: Child,
}

impl Cluster {
    /// Starts a server; `None` if PostgreSQL is not installed.
    pub(crate) async fn start() -> anyhow::Result<Option<Cluster>> {
        let Some(bin) = installed() else { return Ok(None) };
        let folder = tempfile::Builder::new().prefix("sitewright-bench-pg-").tempdir()?.keep();
        // Default settings: every commit waits for the disk.
        let script = format!(
            "set -e; cd {folder}; {bin}/initdb -D data -U sitewright -A trust --no-sync \
             >initdb.log 2>&1; {bin}/pg_ctl -D data -w -l log -o \"-k {folder} -c \
             listen_addresses=''\" start >/dev/null; echo ready; read _ || true; {bin}/pg_ctl -D \
             data -m immediate stop >/dev/null; rm -rf {folder}/*",
            folder = folder.display(),
            bin = bin.display(),
        );
        // PostgreSQL refuses to run as root.
        let mut command = if geteuid().is_root() {
            let owned = Command::new("chown").arg("postgres").arg(&folder).status().await?;
            ensure!(
                owned.success(),
                "the owner of {} could not be changed to postgres",
                folder.display()
            );
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--", "sh", "-c"]);
            command
        } else {
            let mut command = Command::new("sh");
            command.arg("-c");
            command
        };
        // In its own process group, so that Ctrl-C does not kill the shell before it stops the
        // server.
        command.process_group(0);
        let mut shell = command.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (stdin, stdout) = (shell.stdin.take(), shell.stdout.take());
        let stdout = stdout.context("the shell has an output")?;
        let line = BufReader::new(stdout).lines().next_line().await?;
        ensure!(
            line.as_deref() == Some("ready"),
            "PostgreSQL did not start: see {}",
            folder.display()
        );
        Ok(Some(Cluster { folder, bin, stdin: stdin.context("the shell has an input")?, shell }))
    }

    /// Creates a database and returns its URL.
    pub(crate) async fn database(&self, name: &str) -> anyhow::Result<String> {
        let mut create = Command::new(self.bin.join("createdb"));
        create.arg("-h").arg(&self.folder).args(["-U", "sitewright", name]);
        ensure!(create.status().await?.success(), "the database {name} could not be created");
        Ok(format!("postgres://sitewright@localhost/{name}?host={}", self.folder.display()))
    }

    /// Bytes of a database.
    pub(crate) async fn size(&self, name: &str) -> anyhow::Result<u64> {
        let mut ask = Command::new(self.bin.join("psql"));
        ask.arg("-h").arg(&self.folder).args(["-U", "sitewright", "-At", "-c"]);
        ask.args([&format!("SELECT pg_database_size('{name}')"), name]);
        let output = ask.output().await?;
        let text = String::from_utf8(output.stdout)?;
        text.trim().parse().with_context(|| format!("psql answered {text:?}"))
    }

    /// Name and version of the server.
    pub(crate) async fn version(&self) -> anyhow::Result<String> {
        let output = Command::new(self.bin.join("postgres")).arg("--version").output().await?;
        let text = String::from_utf8(output.stdout)?;
        let number = text
            .split_whitespace()
            .find(|word| word.starts_with(|letter: char| letter.is_ascii_digit()));
        Ok(format!("PostgreSQL {}", number.unwrap_or("?")))
    }

    /// Stops the server and removes its data.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        drop(self.stdin);
        self.shell.wait().await?;
        // Fails if the folder belongs to another user; it is empty then.
        std::fs::remove_dir(&self.folder).ok();
        Ok(())
    }
}

fn installed() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let mut bins: Vec<PathBuf> =
        versions.flatten().map(|version| version.path().join("bin")).collect();
    bins.retain(|bin: &PathBuf| Path::new(bin).join("postgres").exists());
    bins.sort();
    bins.pop()
}
