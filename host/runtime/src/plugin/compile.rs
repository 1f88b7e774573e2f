//! Compiles templates in a child process with limits of its own.
//!
//! A compiler's time and memory depend on its input, and anyone may write a template. The host
//! therefore starts its own program again to compile: without keys in its environment, without
//! files and network, with a memory limit of the kernel, killed when its time is up or the host
//! ends. What counts is the processor time of the child, so that a busy machine is not a fault of
//! the template. Tests and other programs that use this library compile in their own process,
//! without limits.

mod child;

use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::Signal;

pub use child::{COMPILE_SUBCOMMAND, CompileArgs, compile_here};

use sitewright_confined::{THIS_PROGRAM, is_out_of_memory, process};

use super::engine::Engine;
use super::functions::{FunctionCache, Session};
use super::limits::Limits;

/// A compiler may take this many times `compile_ms` on the clock, because orders come first.
const WALL_FACTOR: u32 = 5;
/// Maximum interval between two looks at the compiler's processor time.
const LOOK: Duration = Duration::from_millis(100);
/// Maximum bytes read of a child's stderr.
const MAX_STDERR: u64 = 4 << 10;

/// Compiles templates, in this process or in a child process.
#[derive(Debug, Clone)]
pub struct Compiler(Option<Arc<Program>>);

#[derive(Debug, Clone)]
struct Program {
    path: PathBuf,
    max_ms: u64,
    max_bytes: u64,
    max_artifact_bytes: u64,
    functions: Option<FunctionCache>,
}

/// A template could not be compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// The engine refuses the component.
    #[error("it does not compile: {0}")]
    Refused(String),
    /// Compiling takes too much processor time.
    #[error(
        "it was not compiled within {max_ms} ms of CPU time, the limit `compile_ms`: it holds code \
         that is made to take long; raise `limits.compile_ms` for a template you trust"
    )]
    Time {
        /// The limit in milliseconds.
        max_ms: u64,
    },
    /// Compiling takes too long, but not too much processor time: the machine is busy. Succeeds
    /// when it is tried again later.
    #[error(
        "it was not compiled within {wall_ms} ms, and used less CPU time than the limit \
         `compile_ms` ({max_ms} ms) meanwhile: the machine is busy. It is compiled again for a \
         later order; lower `worker.max_orders` if this happens often"
    )]
    Busy {
        /// How long it was waited for, in milliseconds.
        wall_ms: u64,
        /// The limit on processor time in milliseconds.
        max_ms: u64,
    },
    /// Compiling takes too much memory.
    #[error(
        "compiling it takes more than {max} bytes of memory, the limit `compile_memory_bytes`; \
         raise `limits.compile_memory_bytes` for a template you trust"
    )]
    Memory {
        /// The limit in bytes.
        max: u64,
    },
    /// The compiled form is too large.
    #[error(
        "its compiled form has {bytes} bytes; at most {max} are allowed, the limit \
         `artifact_bytes`; raise `limits.artifact_bytes` for a template you trust"
    )]
    Artifact {
        /// The bytes it has.
        bytes: u64,
        /// The limit in bytes.
        max: u64,
    },
    /// The compiler crashed.
    #[error("the compiler failed over it: {0}")]
    Crashed(String),
    /// The host failed.
    #[error("the host could not compile it: {0}")]
    Host(String),
}

impl CompileError {
    /// The limit that was hit: its key in the configuration, and its value.
    pub fn limit(&self) -> Option<(&'static str, u64)> {
        match self {
            CompileError::Time { max_ms } => Some(("compile_ms", *max_ms)),
            CompileError::Memory { max } => Some(("compile_memory_bytes", *max)),
            CompileError::Artifact { max, .. } => Some(("artifact_bytes", *max)),
            CompileError::Refused(_)
            | CompileError::Busy { .. }
            | CompileError::Crashed(_)
            | CompileError::Host(_) => None,
        }
    }

    /// Whether the machine is the cause, not the template: it may compile the next time.
    pub fn is_of_host(&self) -> bool {
        matches!(self, CompileError::Busy { .. } | CompileError::Host(_))
    }
}

impl Compiler {
    /// Compiles in this process, without limits: for trusted templates only.
    pub fn here() -> Self {
        Compiler(None)
    }

    /// Maximum size of a compiled form in bytes.
    pub(super) fn max_artifact_bytes(&self) -> u64 {
        self.0.as_ref().map_or(u64::MAX, |program| program.max_artifact_bytes)
    }

    /// Compiles in a child process of the running program, which must be `sitewright`.
    pub fn this_program(limits: &Limits) -> Self {
        Compiler::program(Path::new(THIS_PROGRAM), limits)
    }

    /// Compiles in a child process of the `sitewright` binary in `path`, which must be of the same
    /// build.
    pub fn program(path: &Path, limits: &Limits) -> Self {
        Compiler(Some(Arc::new(Program {
            path: path.to_owned(),
            max_ms: limits.compile_ms,
            max_bytes: limits.compile_memory_bytes,
            max_artifact_bytes: limits.artifact_bytes,
            functions: None,
        })))
    }

    /// The same, which takes functions that were compiled before from `functions`, and adds the
    /// others. For commands that compile only what whoever runs them trusts: a component that
    /// makes the compiler run code of its own could change the functions of all that are compiled
    /// afterwards. No effect on [`Compiler::here`].
    #[must_use]
    pub fn with_functions(self, functions: Option<FunctionCache>) -> Self {
        let with = |program| Arc::new(Program { functions, ..Arc::unwrap_or_clone(program) });
        Compiler(self.0.map(with))
    }

    /// The compiled form of `wasm`. Dropping the future kills the child process.
    pub(super) async fn compile(
        &self,
        engine: &Engine,
        wasm: Bytes,
    ) -> Result<Vec<u8>, CompileError> {
        match &self.0 {
            Some(program) => program.compile(engine.compatibility_key(), wasm).await,
            None => {
                let engine = engine.wasmtime().clone();
                blocking(move || {
                    let compiled = engine.precompile_component(&wasm);
                    compiled.map_err(|error| CompileError::Refused(format!("{error:#}")))
                })
                .await
            }
        }
    }
}

impl Program {
    /// The compiled form of `wasm` for the engine with this key.
    async fn compile(&self, engine: u64, wasm: Bytes) -> Result<Vec<u8>, CompileError> {
        let (input, mut output, mut stderr) = blocking(move || {
            let mut input = memory_file("template")?;
            input.write_all(&wasm).and_then(|()| input.rewind()).map_err(host)?;
            Ok((input, memory_file("compiled")?, memory_file("stderr")?))
        })
        .await?;
        let share = |file: &File| file.try_clone().map(Stdio::from).map_err(host);
        let functions = self.functions(engine).await;
        let mut args = CompileArgs::new(self.max_ms, self.max_bytes, self.max_artifact_bytes);
        if let Some(functions) = &functions {
            args = args.with_functions(functions);
        }
        let mut command = std::process::Command::new(&self.path);
        command.arg0("sitewright").args(args.command_line());
        // Without this process's environment, which holds keys; and in a process group of its own,
        // so that Ctrl-C in a terminal reaches the host alone, which drains.
        command
            .env_clear()
            .current_dir("/")
            .process_group(0)
            .stdin(input)
            .stdout(share(&output)?)
            .stderr(share(&stderr)?);
        let mut command = tokio::process::Command::from(command);
        let mut child = command.kill_on_drop(true).spawn().map_err(|error| {
            CompileError::Host(format!("{} does not start: {error}", self.path.display()))
        })?;
        let max = Duration::from_millis(self.max_ms);
        let wall = max.saturating_mul(WALL_FACTOR);
        let pid = child.id();
        let ended = tokio::select! {
            ended = child.wait() => ended.map_err(host)?,
            () = used_up(pid, max) => {
                child.kill().await.map_err(host)?;
                return Err(CompileError::Time { max_ms: self.max_ms });
            }
            () = tokio::time::sleep(wall) => {
                child.kill().await.map_err(host)?;
                let wall_ms = u64::try_from(wall.as_millis()).unwrap_or(u64::MAX);
                return Err(CompileError::Busy { wall_ms, max_ms: self.max_ms });
            }
        };
        let limits =
            MaxOf { ms: self.max_ms, bytes: self.max_bytes, artifact: self.max_artifact_bytes };
        blocking(move || {
            if ended.success() {
                let bytes = output.metadata().map_err(host)?.len();
                if bytes > limits.artifact {
                    return Err(CompileError::Artifact { bytes, max: limits.artifact });
                }
                let mut compiled = Vec::new();
                output.rewind().and_then(|()| output.read_to_end(&mut compiled)).map_err(host)?;
                if let Some(Err(error)) = functions.map(|functions| functions.finish()) {
                    tracing::debug!(%error, "compiled functions were not kept");
                }
                return Ok(compiled);
            }
            let mut bytes = Vec::new();
            stderr
                .rewind()
                .and_then(|()| stderr.take(MAX_STDERR).read_to_end(&mut bytes))
                .map_err(host)?;
            Err(error_of(ended, String::from_utf8_lossy(&bytes).trim(), limits))
        })
        .await
    }

    /// The files of the function cache. Without them all is compiled: a failure is logged and no
    /// more.
    async fn functions(&self, engine: u64) -> Option<Session> {
        let functions = self.functions.clone()?;
        let begun = tokio::task::spawn_blocking(move || functions.begin(engine)).await;
        let begun = begun.map_err(std::io::Error::other).flatten();
        begun.inspect_err(|error| tracing::debug!(%error, "the function cache is not used")).ok()
    }
}

/// The limits of a child.
#[derive(Debug, Clone, Copy)]
struct MaxOf {
    ms: u64,
    bytes: u64,
    artifact: u64,
}

/// Returns when the child has used `max` of processor time, all its threads together.
async fn used_up(pid: Option<u32>, max: Duration) {
    loop {
        tokio::time::sleep(LOOK).await;
        // A child that has ended has no time to read: waiting for it returns first.
        let used = pid.and_then(|pid| process::cpu_time(pid).ok());
        if used.is_some_and(|used| used > max) {
            return;
        }
    }
}

/// The error that a child's exit status and stderr mean.
fn error_of(ended: ExitStatus, stderr: &str, max: MaxOf) -> CompileError {
    match (ended.code(), ended.signal()) {
        _ if is_out_of_memory(stderr) => CompileError::Memory { max: max.bytes },
        (Some(child::REFUSED), _) => CompileError::Refused(stderr.to_owned()),
        (Some(child::UNABLE), _) => CompileError::Host(stderr.to_owned()),
        (Some(child::TOO_LARGE), _) => {
            CompileError::Artifact { bytes: stderr.parse().unwrap_or(u64::MAX), max: max.artifact }
        }
        (_, Some(signal)) if signal == Signal::XCPU.as_raw() => {
            CompileError::Time { max_ms: max.ms }
        }
        _ if stderr.is_empty() => CompileError::Crashed(ended.to_string()),
        _ => CompileError::Crashed(format!("{ended}: {stderr}")),
    }
}

/// A file in memory, without a name by which another process could open it.
fn memory_file(name: &str) -> Result<File, CompileError> {
    memfd_create(name, MemfdFlags::CLOEXEC).map(File::from).map_err(|error| host(error.into()))
}

fn host(error: std::io::Error) -> CompileError {
    CompileError::Host(error.to_string())
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, CompileError> + Send + 'static,
) -> Result<T, CompileError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| CompileError::Crashed(error.to_string()))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_child_says_which_limit_it_was() {
        let exit = |code: i32| ExitStatus::from_raw(code << 8);
        let signal = |signal: Signal| ExitStatus::from_raw(signal.as_raw());
        let refused = |stderr: &str| CompileError::Refused(stderr.to_owned());
        let crashed = |stderr: &str| CompileError::Crashed(stderr.to_owned());
        let rows = [
            (exit(child::REFUSED), "unknown import", refused("unknown import")),
            (exit(child::UNABLE), "no stdin", CompileError::Host("no stdin".to_owned())),
            (exit(child::TOO_LARGE), "12", CompileError::Artifact { bytes: 12, max: 9 }),
            (
                exit(child::REFUSED),
                "Cannot allocate memory (os error 12)",
                CompileError::Memory { max: 7 },
            ),
            (
                signal(Signal::ABORT),
                "memory allocation of 64 bytes failed",
                CompileError::Memory { max: 7 },
            ),
            (
                exit(1),
                "unhandled out-of-memory error: out of memory (failed to allocate 16777248 bytes)",
                CompileError::Memory { max: 7 },
            ),
            (signal(Signal::XCPU), "", CompileError::Time { max_ms: 5 }),
            (signal(Signal::SEGV), "", crashed("signal: 11 (SIGSEGV)")),
            (exit(101), "index out of bounds", crashed("exit status: 101: index out of bounds")),
        ];
        for (ended, stderr, expected) in rows {
            let max = MaxOf { ms: 5, bytes: 7, artifact: 9 };
            assert_eq!(error_of(ended, stderr, max), expected, "{ended}: {stderr}");
        }
    }
}
