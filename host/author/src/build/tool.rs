//! Other people's programs: started, listened to, and ended with everything that they have started.

use std::ffi::OsStr;
use std::fmt;
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::BuildError;

/// Most bytes of what a tool says that are kept: the first error is the one to mend, so it is the
/// beginning.
const MAX_SAID: usize = 256 << 10;
/// Most bytes of what a tool prints for us to read.
const MAX_PRINTED: u64 = 64 << 20;

/// Hears what tools say, line by line, as they say it; with the colours of a terminal.
pub type Listener<'a> = &'a (dyn Fn(&str) + Send + Sync);

/// A tool with its arguments.
pub(super) struct Tool {
    command: Command,
    name: &'static str,
    /// What to do when there is no such program.
    advice: String,
}

/// A tool that came to its end.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    /// What it printed on stdout.
    pub(super) printed: String,
    /// The beginning of what it said on stderr, with its colours.
    pub(super) said: String,
}

impl Tool {
    /// The program `program`, which people call `name`.
    pub(super) fn new(
        program: impl AsRef<OsStr>,
        name: &'static str,
        advice: impl Into<String>,
    ) -> Self {
        Tool { command: Command::new(program), name, advice: advice.into() }
    }

    pub(super) fn configure(mut self, configure: impl FnOnce(&mut Command)) -> Self {
        configure(&mut self.command);
        self
    }

    /// Runs it to its end. When this is dropped, it and all that it has started are killed.
    pub(super) async fn run(mut self, listener: Option<Listener<'_>>) -> Result<Ended, BuildError> {
        self.command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A group of its own: Ctrl-C is for us, and whoever is told to go takes the tool's children
        // along.
        self.command.process_group(0).kill_on_drop(true);
        let mut child = match self.command.spawn() {
            Ok(child) => child,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(BuildError::Missing { tool: self.name, advice: self.advice });
            }
            Err(error) => return Err(BuildError::Start { tool: self.name, source: error }),
        };
        let group = Group::of(&child);
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let wrong = |source| BuildError::Start { tool: self.name, source };
        let (printed, said, status) =
            tokio::try_join!(read(stdout), listen(stderr, listener), child.wait())
                .map_err(wrong)?;
        group.leave();
        Ok(Ended { status, printed, said })
    }

    /// Runs it and gives what it printed; it must succeed.
    pub(super) async fn print(self) -> Result<String, BuildError> {
        let name = self.name;
        let ended = self.run(None).await?;
        match ended.status.success() {
            true => Ok(ended.printed),
            false => Err(ended.failed(name)),
        }
    }
}

impl Ended {
    pub(super) fn failed(self, tool: &'static str) -> BuildError {
        // Some say what is wrong on stdout.
        let said = if self.said.trim().is_empty() { self.printed } else { self.said };
        BuildError::Failed { tool, status: self.status, said }
    }
}

async fn read(stdout: Option<impl AsyncRead + Unpin>) -> std::io::Result<String> {
    let mut printed = Vec::new();
    if let Some(stdout) = stdout {
        stdout.take(MAX_PRINTED).read_to_end(&mut printed).await?;
    }
    Ok(String::from_utf8_lossy(&printed).into_owned())
}

async fn listen(
    stderr: Option<impl AsyncRead + Unpin>,
    listener: Option<Listener<'_>>,
) -> std::io::Result<String> {
    let mut said = String::new();
    let Some(stderr) = stderr else { return Ok(said) };
    let (mut reader, mut line) = (BufReader::new(stderr), Vec::new());
    while reader.read_until(b'\n', &mut line).await? > 0 {
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end_matches(['\n', '\r']);
        if let Some(listener) = listener {
            listener(text);
        }
        if said.len() + text.len() < MAX_SAID {
            said.push_str(text);
            said.push('\n');
        }
        line.clear();
    }
    Ok(said)
}

/// The processes that a tool has started, killed when this is dropped.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        Group(child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)))
    }

    /// It has ended by itself.
    fn leave(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0
            && let Err(error) = kill_process_group(group, Signal::KILL)
        {
            tracing::debug!(%error, "the tool's processes had ended already");
        }
    }
}

impl fmt::Debug for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.command.as_std().fmt(f)
    }
}
