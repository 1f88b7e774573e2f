//! One child process, as the host sees it: how it is started, given a job, watched and stopped.

use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{
    Pid, Resource, Rlimit, Signal, getpriority_process, getrlimit, prlimit, setpriority_process,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, ChildStdout};

use crate::frame::{
    ANSWER_BYTES, AnswerHeader, HELLO, JobHeader, MAX_ANSWER_BYTES, Status, too_large,
};
use crate::sandbox::Missing;
use crate::serve::{PARENT, SUBCOMMAND, UNABLE};
use crate::{Budget, ConfinedError, process};

/// How long a child may take from its start to its first bytes. It takes 10 ms.
const START: Duration = Duration::from_secs(20);
/// How long a child that closed its pipes may take to end.
const END: Duration = Duration::from_secs(2);
/// Maximum interval at which a child's processor time is read.
const CPU_POLL_INTERVAL: Duration = Duration::from_millis(100);
/// The minimum: the resolution of a process's CPU time.
const MIN_CPU_POLL_INTERVAL: Duration = Duration::from_millis(10);
/// A job that has used more processor time goes on at a low priority: those that are healthy, and
/// the host itself, come first.
const LONG: Duration = Duration::from_millis(250);
/// How much lower that priority is, as niceness; and the lowest that there is.
const NICENESS: i32 = 10;
const MAX_NICENESS: i32 = 19;
/// A child whose address space has grown by more is replaced after its job: its allocator keeps
/// what the job has freed.
const MAX_GROWTH_BYTES: u64 = 64 << 20;
/// Bytes of a pipe, so that a site of a few pages passes at once. The kernel's default is 64 KiB.
const PIPE_BYTES: usize = 256 << 10;
/// Inputs up to this length are written together with their header.
const SMALL_BYTES: usize = 64 << 10;
/// Maximum bytes read of a child's stderr.
const MAX_STDERR: u64 = 4 << 10;

/// A child that waits for a job.
#[derive(Debug)]
pub(crate) struct ChildProcess {
    process: Child,
    pid: u32,
    input: ChildStdin,
    output: ChildStdout,
    stderr: File,
    /// Bytes of address space of the idle child.
    idle_bytes: u64,
    /// Processor time that it has used for all its jobs.
    cpu: Duration,
    /// Whether it runs at a low priority, which cannot be undone.
    demoted: bool,
    pub(crate) missing: Missing,
}

/// What a job has given and cost.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) bytes: Vec<u8>,
    pub(crate) cpu: Duration,
}

/// What ended the conversation with a child.
enum Broken {
    /// It closed its pipes: its exit status says why.
    Pipe,
    /// It does not keep the protocol.
    Protocol(String),
}

impl From<io::Error> for Broken {
    fn from(_: io::Error) -> Self {
        Broken::Pipe
    }
}

/// What the operating system refused.
fn host(error: impl Into<io::Error>) -> ConfinedError {
    refused("", &error.into())
}

/// What the operating system refused, after the words for what was tried.
fn refused(what: &str, error: &io::Error) -> ConfinedError {
    let why = format!("{what}{error}");
    match error.raw_os_error() {
        Some(code) => ConfinedError::Refused { code, why },
        None => ConfinedError::Host(why),
    }
}

impl ChildProcess {
    /// Starts a child of `program`, and waits until it is ready. Dropping it kills the process.
    pub(crate) async fn start(program: &Path) -> Result<Self, ConfinedError> {
        let stderr = File::from(memfd_create("stderr", MemfdFlags::CLOEXEC).map_err(host)?);
        let mut command = std::process::Command::new(program);
        command
            .arg0("sitewright")
            .args([SUBCOMMAND, PARENT, &std::process::id().to_string()])
            // Without this process's environment, which holds keys.
            .env_clear()
            .current_dir("/")
            // Ctrl-C in a terminal goes to its process group: the host drains, and needs the child.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr.try_clone().map_err(host)?);
        let mut command = tokio::process::Command::from(command);
        let mut process = command
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| refused(&format!("{} does not start: ", program.display()), &error))?;
        let (Some(pid), Some(input), Some(output)) =
            (process.id(), process.stdin.take(), process.stdout.take())
        else {
            return Err(ConfinedError::Host("a child has no pipes".to_owned()));
        };
        // A small pipe is slower, and no reason to fail.
        let _bytes = rustix::pipe::fcntl_setpipe_size(&input, PIPE_BYTES);
        let _bytes = rustix::pipe::fcntl_setpipe_size(&output, PIPE_BYTES);
        let mut child = ChildProcess {
            process,
            pid,
            input,
            output,
            stderr,
            idle_bytes: 0,
            cpu: Duration::ZERO,
            demoted: false,
            missing: Missing::default(),
        };
        let mut hello = [0; HELLO.len() + 1];
        let greeted = tokio::time::timeout(START, child.output.read_exact(&mut hello)).await;
        match greeted {
            Ok(Ok(_)) if hello[..HELLO.len()] == *HELLO => {
                child.missing = Missing::of_byte(hello[HELLO.len()]);
            }
            Ok(Ok(_)) => {
                return Err(ConfinedError::Host(format!(
                    "{} is another version of this program",
                    program.display()
                )));
            }
            Ok(Err(_)) => {
                let (ended, stderr) = child.end().await;
                let why = if ended.code() == Some(i32::from(UNABLE)) && !stderr.is_empty() {
                    stderr
                } else {
                    described(ended, &stderr)
                };
                return Err(ConfinedError::Host(format!(
                    "{} ended before it was ready: {why}",
                    program.display()
                )));
            }
            Err(_) => {
                return Err(ConfinedError::Host(format!(
                    "{} was not ready within {} s",
                    program.display(),
                    START.as_secs()
                )));
            }
        }
        child.idle_bytes = process::address_space(pid).map_err(host)?;
        Ok(child)
    }

    /// Whether it still waits for a job.
    pub(crate) fn is_alive(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }

    /// Does a job. After an error the child is of no use: drop it.
    pub(crate) async fn job(
        &mut self,
        task: &str,
        input: &[u8],
        budget: &Budget,
    ) -> Result<Answer, ConfinedError> {
        self.limit(budget)
            .map_err(|error| refused("the limits of a child cannot be set: ", &error))?;
        // The memory file is shared with the child, and so is its offset.
        self.stderr.set_len(0).and_then(|()| self.stderr.rewind()).map_err(host)?;
        let (pid, before, begun) = (self.pid, self.cpu, Instant::now());
        let demoted = AtomicBool::new(false);
        let done = tokio::select! {
            biased;
            done = self.converse(task, input) => done,
            over = used_up(pid, before, budget.cpu, &demoted) => return Err(over),
        };
        self.demoted = demoted.into_inner();
        match done {
            Ok((AnswerHeader { status: Status::Answered, cpu, .. }, bytes)) => {
                // What the child says, as far as it can be true: it has one thread.
                let cpu = cpu.clamp(before, before + begun.elapsed());
                let used = cpu.saturating_sub(before);
                self.cpu = cpu;
                Ok(Answer { bytes, cpu: used })
            }
            Ok((AnswerHeader { status: Status::UnknownTask, .. }, _)) => {
                Err(ConfinedError::Host(format!("the child has no task `{task}`")))
            }
            Ok((AnswerHeader { status: Status::TooLarge, answer_bytes, .. }, _)) => {
                Err(ConfinedError::Crashed(too_large(answer_bytes)))
            }
            Err(Broken::Protocol(why)) => Err(ConfinedError::Crashed(why)),
            Err(Broken::Pipe) => {
                let (ended, stderr) = self.end().await;
                Err(error_of(ended, &stderr, budget))
            }
        }
    }

    /// Whether it can do another job: it has its priority, and has given back the memory of the
    /// last one.
    pub(crate) fn is_reusable(&self) -> bool {
        let max = self.idle_bytes.saturating_add(MAX_GROWTH_BYTES);
        !self.demoted && process::address_space(self.pid).is_ok_and(|bytes| bytes <= max)
    }

    /// Sets the limits of the next job. Set from outside: the child may not change its own.
    fn limit(&self, budget: &Budget) -> io::Result<()> {
        let pid = checked(self.pid)?;
        let set = |resource, max: u64| {
            let maximum = getrlimit(resource).maximum;
            let current = Some(maximum.map_or(max, |maximum| max.min(maximum)));
            prlimit(Some(pid), resource, Rlimit { current, maximum }).map(drop)
        };
        set(Resource::As, self.idle_bytes.saturating_add(budget.memory_bytes))?;
        // The host looks at the time used. This limit is for a child whose host cannot.
        let cpu = self.cpu.saturating_add(budget.cpu).as_secs().saturating_add(2);
        set(Resource::Cpu, cpu)?;
        Ok(())
    }

    async fn converse(
        &mut self,
        task: &str,
        input: &[u8],
    ) -> Result<(AnswerHeader, Vec<u8>), Broken> {
        let name_bytes = u8::try_from(task.len())
            .map_err(|_| Broken::Protocol("a task's name has at most 255 bytes".to_owned()))?;
        let mut head = JobHeader { name_bytes, input_bytes: input.len() as u64 }.encode().to_vec();
        head.extend_from_slice(task.as_bytes());
        if input.len() <= SMALL_BYTES {
            head.extend_from_slice(input);
            self.input.write_all(&head).await?;
        } else {
            self.input.write_all(&head).await?;
            self.input.write_all(input).await?;
        }
        let mut header = [0; ANSWER_BYTES];
        self.output.read_exact(&mut header).await?;
        let header = AnswerHeader::decode(header).ok_or_else(|| {
            Broken::Protocol(format!(
                "it wrote something else than an answer of at most {MAX_ANSWER_BYTES} bytes"
            ))
        })?;
        let mut bytes = Vec::new();
        if header.status == Status::Answered {
            // At most `MAX_ANSWER_BYTES`, and only as much as comes.
            let announced = header.answer_bytes;
            let read = (&mut self.output).take(announced).read_to_end(&mut bytes).await?;
            if read as u64 != announced {
                return Err(Broken::Pipe);
            }
        }
        Ok((header, bytes))
    }

    /// How it ended, and what it wrote to stderr. A child that does not end is killed.
    async fn end(&mut self) -> (ExitStatus, String) {
        let ended = match tokio::time::timeout(END, self.process.wait()).await {
            Ok(ended) => ended,
            Err(_) => {
                drop(self.process.start_kill());
                self.process.wait().await
            }
        };
        let mut bytes = Vec::new();
        // A file in memory. If it cannot be read, the exit status is all there is.
        let stderr = &mut self.stderr;
        drop(stderr.rewind().and_then(|()| stderr.take(MAX_STDERR).read_to_end(&mut bytes)));
        (ended.unwrap_or_default(), String::from_utf8_lossy(&bytes).trim().to_owned())
    }
}

/// Returns when the process has used `budget` beyond `before`, or its time cannot be read. Lowers
/// its priority after [`LONG`].
async fn used_up(
    pid: u32,
    before: Duration,
    budget: Duration,
    demoted: &AtomicBool,
) -> ConfinedError {
    let mut left = budget;
    loop {
        // It has one thread, which cannot use more time than passes.
        tokio::time::sleep(left.clamp(MIN_CPU_POLL_INTERVAL, CPU_POLL_INTERVAL)).await;
        let used = match process::cpu_time(pid) {
            Ok(used) => used.saturating_sub(before),
            Err(error) => {
                return ConfinedError::Host(format!(
                    "the time that a child uses cannot be read: {error}"
                ));
            }
        };
        left = budget.saturating_sub(used);
        if left.is_zero() {
            return out_of_time(budget);
        }
        if used > LONG && !demoted.swap(true, Ordering::Relaxed) {
            // A child that cannot be demoted goes on as it is.
            let _demoted = demote(pid);
        }
    }
}

/// The id of a child. Without one, a call would be for the host itself.
fn checked(pid: u32) -> io::Result<Pid> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.ok_or_else(|| io::Error::other("it has no process id"))
}

fn demote(pid: u32) -> io::Result<()> {
    let pid = checked(pid)?;
    let niceness = getpriority_process(Some(pid))?.saturating_add(NICENESS).min(MAX_NICENESS);
    Ok(setpriority_process(Some(pid), niceness)?)
}

/// The error that a child's exit status and stderr mean.
fn error_of(ended: ExitStatus, stderr: &str, budget: &Budget) -> ConfinedError {
    match ended.signal() {
        _ if is_out_of_memory(stderr) => ConfinedError::Memory { limit_bytes: budget.memory_bytes },
        Some(signal) if signal == Signal::XCPU.as_raw() => out_of_time(budget.cpu),
        // The host drops the child that it kills, and does not ask why it ended.
        Some(signal) if [Signal::KILL, Signal::TERM].map(Signal::as_raw).contains(&signal) => {
            ConfinedError::Host(format!(
                "a child was killed from outside ({ended}); the machine may be out of memory"
            ))
        }
        _ => ConfinedError::Crashed(described(ended, stderr)),
    }
}

fn out_of_time(budget: Duration) -> ConfinedError {
    ConfinedError::Cpu { limit_ms: u64::try_from(budget.as_millis()).unwrap_or(u64::MAX) }
}

/// Whether stderr holds one of the messages of the standard library, the engine and the kernel for
/// a lack of memory: there is no exit code for it.
pub fn is_out_of_memory(stderr: &str) -> bool {
    ["memory allocation of", "out of memory (failed to allocate", "os error 12"]
        .iter()
        .any(|words| stderr.contains(words))
}

fn described(ended: ExitStatus, stderr: &str) -> String {
    match stderr {
        "" => ended.to_string(),
        stderr => format!("{ended}: {stderr}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_child_says_what_it_was() {
        let budget = Budget { cpu: Duration::from_millis(1_500), memory_bytes: 7, deadline: None };
        let exit = |code: i32| ExitStatus::from_raw(code << 8);
        let signal = |signal: Signal| ExitStatus::from_raw(signal.as_raw());
        let crashed = |stderr: &str| ConfinedError::Crashed(stderr.to_owned());
        let rows = [
            (
                signal(Signal::ABORT),
                "memory allocation of 64 bytes failed",
                ConfinedError::Memory { limit_bytes: 7 },
            ),
            (signal(Signal::XCPU), "", ConfinedError::Cpu { limit_ms: 1_500 }),
            (signal(Signal::SEGV), "", crashed("signal: 11 (SIGSEGV)")),
            (exit(101), "index out of bounds", crashed("exit status: 101: index out of bounds")),
            (exit(0), "", crashed("exit status: 0")),
        ];
        for (ended, stderr, expected) in rows {
            assert_eq!(error_of(ended, stderr, &budget), expected, "{ended}: {stderr}");
        }
        let killed = error_of(signal(Signal::KILL), "", &budget);
        assert!(matches!(killed, ConfinedError::Host(_)), "{killed}");
    }
}
