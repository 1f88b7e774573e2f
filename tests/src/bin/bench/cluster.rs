//! A PostgreSQL of our own, with its data on the disk that the benchmark measures.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, ensure};
use rustix::process::geteuid;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};

/// A running server. It ends with this process, also when that is killed.
pub(crate) struct Cluster {
    folder: PathBuf,
    bin: PathBuf,
    /// The shell waits for its end.
    stdin: ChildStdin,
    shell: Child,
}

impl Cluster {
    /// Starts one; nothing when PostgreSQL is not installed.
    pub(crate) async fn start() -> anyhow::Result<Option<Cluster>> {
        let Some(bin) = installed() else { return Ok(None) };
        let folder = tempfile::Builder::new().prefix("sitewright-bench-pg-").tempdir()?.keep();
        // As it is shipped: every commit waits for the disk.
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
                "{} could not be given to the user postgres",
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
        // In a group of its own: Ctrl-C ends this process, and its end is what the shell waits for.
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

    /// A new database.
    pub(crate) async fn database(&self, name: &str) -> anyhow::Result<String> {
        let mut create = Command::new(self.bin.join("createdb"));
        create.arg("-h").arg(&self.folder).args(["-U", "sitewright", name]);
        ensure!(create.status().await?.success(), "the database {name} could not be made");
        Ok(format!("postgres://sitewright@localhost/{name}?host={}", self.folder.display()))
    }

    /// Its version, as it says itself.
    pub(crate) async fn version(&self) -> anyhow::Result<String> {
        let said = Command::new(self.bin.join("postgres")).arg("--version").output().await?;
        let said = String::from_utf8(said.stdout)?;
        let number = said
            .split_whitespace()
            .find(|word| word.starts_with(|letter: char| letter.is_ascii_digit()));
        Ok(format!("PostgreSQL {}", number.unwrap_or("?")))
    }

    /// Stops it and removes its data.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        drop(self.stdin);
        self.shell.wait().await?;
        // Left when another user's folder may not be removed.
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
