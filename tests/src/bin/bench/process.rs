//! `sitewright worker` and `sitewright serve` as separate processes, and their CPU time and memory
//! from `/proc`.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// Unit of CPU time in `/proc`; constant on Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// A worker that has reported that it is ready; it is killed on drop.
pub(crate) struct Worker {
    process: Child,
    stdout: Lines<BufReader<ChildStdout>>,
    pid: u32,
    /// Time from its start to the `ready` event.
    pub(crate) ready: Duration,
}

impl Worker {
    /// Starts a worker with the configuration `sitewright.toml` of the folder. It trusts servers
    /// with the certificate.
    pub(crate) async fn start(
        folder: &Path,
        max_orders: u32,
        certificate: Option<&Path>,
    ) -> anyhow::Result<Worker> {
        let max_orders = max_orders.to_string();
        let arguments = ["worker", "--max-orders", &max_orders];
        Ok(Worker::spawn(folder, &arguments, certificate).await?.0)
    }

    /// Starts the binary with these arguments, the first of which is a command that prints a
    /// `ready` event. Returns that line, too.
    async fn spawn(
        folder: &Path,
        arguments: &[&str],
        certificate: Option<&Path>,
    ) -> anyhow::Result<(Worker, String)> {
        let name = arguments.first().copied().unwrap_or_default();
        let mut command = std::process::Command::new(sitewright_tests::binary());
        sitewright_tests::forget_settings(&mut command);
        command.envs(certificate.map(|file| ("SSL_CERT_FILE", file)));
        command.current_dir(folder);
        let log_file = folder.join(format!("{name}.log"));
        let log = std::fs::File::create(&log_file)?;
        let start = Instant::now();
        let mut process = Command::from(command)
            .args(["--config", "sitewright.toml", "--json", "--log-format", "json"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("`sitewright {name}` does not start"))?;
        let stdout = process.stdout.take().context("the child has no stdout")?;
        let mut stdout = BufReader::new(stdout).lines();
        let line = stdout.next_line().await?.unwrap_or_default();
        let ready = start.elapsed();
        ensure!(
            line.contains("\"ready\""),
            "`sitewright {name}` printed {line:?}; its log is\n{}",
            std::fs::read_to_string(&log_file).unwrap_or_default()
        );
        let pid = process.id().with_context(|| format!("`sitewright {name}` has exited"))?;
        Ok((Worker { process, stdout, pid, ready }, line))
    }

    /// CPU time of all threads.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid))?;
        // The second field, the name, may contain spaces and parentheses.
        let fields: Vec<&str> =
            stat.rsplit_once(") ").context("the name is missing")?.1.split_whitespace().collect();
        let ticks = |index: usize| -> anyhow::Result<u64> {
            Ok(fields.get(index).context("a field is missing")?.parse()?)
        };
        // `utime` and `stime`, fields 14 and 15 of proc_pid_stat(5), which follow two fields.
        Ok(Duration::from_secs_f64((ticks(11)? + ticks(12)?) as f64 / TICKS_PER_SECOND))
    }

    /// Current memory in bytes; see [`crate::setup::memory_now`].
    pub(crate) fn memory_now(&self) -> anyhow::Result<u64> {
        crate::setup::memory_now(&self.pid.to_string())
    }

    /// A value of `/proc/<pid>/status` in bytes.
    pub(crate) fn memory(&self, name: &str) -> anyhow::Result<u64> {
        crate::setup::memory_of(&self.pid.to_string(), name)
    }

    /// Number of open file descriptors.
    pub(crate) fn descriptors(&self) -> anyhow::Result<u64> {
        Ok(std::fs::read_dir(format!("/proc/{}/fd", self.pid))?.count() as u64)
    }

    /// Sends SIGTERM and waits for a successful exit.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        let pid = i32::try_from(self.pid)
            .ok()
            .and_then(Pid::from_raw)
            .context("the process id is invalid")?;
        kill_process(pid, Signal::TERM)?;
        while self.stdout.next_line().await?.is_some() {}
        let status = self.process.wait().await?;
        if status.success() { Ok(()) } else { Err(anyhow!("the process exited with {status}")) }
    }
}

/// `sitewright serve`; it is killed on drop.
pub(crate) struct Server {
    /// Its process, with the same readings as a worker's.
    pub(crate) process: Worker,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts a server with the configuration `sitewright.toml` of the folder, on a free port of
    /// the loopback interface.
    pub(crate) async fn start(folder: &Path) -> anyhow::Result<Server> {
        let arguments = ["serve", "--listen", "127.0.0.1:0"];
        let (process, line) = Worker::spawn(folder, &arguments, None).await?;
        let ready: serde_json::Value = serde_json::from_str(&line)?;
        let address = ready["address"].as_str().context("the event has no address")?.parse()?;
        Ok(Server { process, address })
    }

    /// URL of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}
