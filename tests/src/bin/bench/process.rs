//! The real worker: `sitewright worker` as a process of its own, and what the kernel says of it.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// What Linux counts processor time in towards programs, on every machine.
const TICKS_PER_SECOND: f64 = 100.0;

/// A worker that has said that it is ready. It is killed when dropped.
pub(crate) struct Worker {
    process: Child,
    said: Lines<BufReader<ChildStdout>>,
    pid: u32,
    /// From its start to the line that says so.
    pub(crate) ready: Duration,
}

impl Worker {
    /// Starts one with the configuration `sitewright.toml` of a folder. It trusts servers with this
    /// certificate, if any.
    pub(crate) async fn start(
        folder: &Path,
        max_orders: u32,
        certificate: Option<&Path>,
    ) -> anyhow::Result<Worker> {
        let mut command = std::process::Command::new(sitewright_tests::binary());
        sitewright_tests::forget_settings(&mut command);
        command.envs(certificate.map(|file| ("SSL_CERT_FILE", file)));
        command.current_dir(folder);
        let log = std::fs::File::create(folder.join("worker.log"))?;
        let begin = Instant::now();
        let mut process = Command::from(command)
            .args(["--config", "sitewright.toml", "--json", "--log-format", "json", "worker"])
            .args(["--max-orders", &max_orders.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .context("the worker does not start")?;
        let stdout = process.stdout.take().context("it has an output")?;
        let mut said = BufReader::new(stdout).lines();
        let line = said.next_line().await?;
        let ready = begin.elapsed();
        ensure!(
            line.as_ref().is_some_and(|line| line.contains("\"ready\"")),
            "the worker said {line:?}; its log is\n{}",
            std::fs::read_to_string(folder.join("worker.log")).unwrap_or_default()
        );
        let pid = process.id().context("it has ended already")?;
        Ok(Worker { process, said, pid, ready })
    }

    /// Processor time it has used, its threads' together.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid))?;
        // The name, the second field, may hold anything.
        let fields: Vec<&str> =
            stat.rsplit_once(") ").context("no name")?.1.split_whitespace().collect();
        let ticks = |index: usize| -> anyhow::Result<u64> {
            Ok(fields.get(index).context("no such field")?.parse()?)
        };
        // Fields 14 and 15 of proc_pid_stat(5), counted from 1 and with two fields before these.
        Ok(Duration::from_secs_f64((ticks(11)? + ticks(12)?) as f64 / TICKS_PER_SECOND))
    }

    /// The memory it has now; see [`crate::setup::memory_now`].
    pub(crate) fn memory_now(&self) -> anyhow::Result<u64> {
        crate::setup::memory_now(&self.pid.to_string())
    }

    /// A value of its `/proc/…/status`, in bytes.
    pub(crate) fn memory(&self, name: &str) -> anyhow::Result<u64> {
        crate::setup::memory_of(&self.pid.to_string(), name)
    }

    /// Asks it to go and waits until it has.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw).context("a process id")?;
        kill_process(pid, Signal::TERM)?;
        while self.said.next_line().await?.is_some() {}
        let status = self.process.wait().await?;
        if status.success() { Ok(()) } else { Err(anyhow!("the worker ended with {status}")) }
    }
}
