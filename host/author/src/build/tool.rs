//! Runs external build tools, streams their output, and kills them with all their child processes.

use std::ffi::OsStr;
use std::fmt;
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::BuildError;

/// Maximum bytes of a tool's stderr that are kept: 256 KiB. The start is kept, because the first
/// error is the one to fix.
const MAX_OUTPUT: usize = 256 << 10;
/// Maximum bytes of a tool's stdout that are read. 64 MiB.
const MAX_PRINTED: u64 = 64 << 20;

/// Gets the tools' stderr line by line while they run, with ANSI colours.
pub type Listener<'a> = &'a (dyn Fn(&str) + Send + Sync);

/// An external program with its arguments.
pub(crate) struct Tool {
    command: Command,
    name: &'static str,
    /// How to install the program.
    hint: String,
}

/// The result of a tool that exited.
#[derive(Debug)]
pub(crate) struct ToolOutput {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    /// The start of it, with ANSI colours.
    pub(crate) stderr: String,
}

impl Tool {
    /// A tool that messages call `name`.
    pub(crate) fn new(
        program: impl AsRef<OsStr>,
        name: &'static str,
        hint: impl Into<String>,
    ) -> Self {
        Tool { command: Command::new(program), name, hint: hint.into() }
    }

    pub(crate) fn configure(mut self, configure: impl FnOnce(&mut Command)) -> Self {
        configure(&mut self.command);
        self
    }

    /// Runs the tool until it exits. Dropping the future kills it and its child processes.
    pub(crate) async fn run(
        mut self,
        listener: Option<Listener<'_>>,
    ) -> Result<ToolOutput, BuildError> {
        self.command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A process group of its own: Ctrl-C does not reach the tool, and killing the group also
        // ends the tool's children.
        self.command.process_group(0).kill_on_drop(true);
        let mut child = match self.command.spawn() {
            Ok(child) => child,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(BuildError::Missing { tool: self.name, hint: self.hint });
            }
            Err(error) => return Err(BuildError::Start { tool: self.name, source: error }),
        };
        let group = Group::of(&child);
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let failed = |source| BuildError::Start { tool: self.name, source };
        let (stdout, stderr, status) =
            tokio::try_join!(read(out), listen(err, listener), child.wait()).map_err(failed)?;
        group.disarm();
        Ok(ToolOutput { status, stdout, stderr })
    }

    /// Runs the tool and returns its stdout; a failure is an error.
    pub(crate) async fn print(self) -> Result<String, BuildError> {
        let name = self.name;
        let ended = self.run(None).await?;
        match ended.status.success() {
            true => Ok(ended.stdout),
            false => Err(ended.failed(name)),
        }
    }
}

impl ToolOutput {
    pub(crate) fn failed(self, tool: &'static str) -> BuildError {
        // Some tools write their errors to stdout.
        let output = if self.stderr.trim().is_empty() { self.stdout } else { self.stderr };
        let todo = "fix the error in its output above and build again";
        BuildError::Failed { tool, status: self.status, todo, output }
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
    let mut kept = String::new();
    let Some(stderr) = stderr else { return Ok(kept) };
    let (mut reader, mut line) = (BufReader::new(stderr), Vec::new());
    while reader.read_until(b'\n', &mut line).await? > 0 {
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end_matches(['\n', '\r']);
        if let Some(listener) = listener {
            listener(text);
        }
        if kept.len() + text.len() < MAX_OUTPUT {
            kept.push_str(text);
            kept.push('\n');
        }
        line.clear();
    }
    Ok(kept)
}

/// The tool's process group; killed on drop.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        Group(child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)))
    }

    /// Keeps the drop from killing the group, because the tool has exited.
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0
            && let Err(error) = kill_process_group(group, Signal::KILL)
        {
            tracing::debug!(%error, "cannot kill the tool's process group; it has probably exited");
        }
    }
}

impl fmt::Debug for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.command.as_std().fmt(f)
    }
}
