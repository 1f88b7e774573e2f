//! Compiles templates in a child process with limits of its own.
//!
//! A compiler's time and memory depend on its input, and anyone may write a template. The host
//! therefore starts its own program again to compile: without keys in its environment, with a
//! memory limit of the kernel, killed when its time is up or the host ends. Tests and other
//! programs that use this library compile in their own process, without limits.

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

pub use child::{CompileArgs, compile_here};

use super::engine::Engine;
use super::limits::Limits;

/// The running program, even if its file was replaced: another version compiles for itself only.
const THIS_PROGRAM: &str = "/proc/self/exe";
/// Maximum bytes read of a child's stderr.
const MAX_STDERR: u64 = 4 << 10;

/// Compiles templates, in this process or in a child process.
#[derive(Debug, Clone)]
pub struct Compiler(Option<Arc<Program>>);

#[derive(Debug)]
struct Program {
    path: PathBuf,
    max_ms: u64,
    max_bytes: u64,
}

/// A template could not be compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// The engine refuses the component.
    #[error("it does not compile: {0}")]
    Refused(String),
    /// Compiling takes too long.
    #[error(
        "it was not compiled within {max_ms} ms, the limit `compile_ms`: it holds code that is \
         made to take long, or the machine is busy; raise `limits.compile_ms` for a template you \
         trust"
    )]
    Time {
        /// The limit in milliseconds.
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
            CompileError::Refused(_) | CompileError::Crashed(_) | CompileError::Host(_) => None,
        }
    }
}

impl Compiler {
    /// Compiles in this process, without limits: for trusted templates only.
    pub fn here() -> Self {
        Compiler(None)
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
        })))
    }

    /// The compiled form of `wasm`. Dropping the future kills the child process.
    pub(super) async fn compile(
        &self,
        engine: &Engine,
        wasm: Bytes,
    ) -> Result<Vec<u8>, CompileError> {
        match &self.0 {
            Some(program) => program.compile(wasm).await,
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
    async fn compile(&self, wasm: Bytes) -> Result<Vec<u8>, CompileError> {
        let (input, mut output, mut stderr) = blocking(move || {
            let mut input = memory_file("template")?;
            input.write_all(&wasm).and_then(|()| input.rewind()).map_err(host)?;
            Ok((input, memory_file("compiled")?, memory_file("stderr")?))
        })
        .await?;
        let share = |file: &File| file.try_clone().map(Stdio::from).map_err(host);
        let mut command = std::process::Command::new(&self.path);
        command
            .arg0("sitewright")
            .args(CompileArgs::new(self.max_ms, self.max_bytes).command_line());
        // Without this process's environment, which holds keys.
        command
            .env_clear()
            .current_dir("/")
            .stdin(input)
            .stdout(share(&output)?)
            .stderr(share(&stderr)?);
        let mut command = tokio::process::Command::from(command);
        let mut child = command.kill_on_drop(true).spawn().map_err(|error| {
            CompileError::Host(format!("{} does not start: {error}", self.path.display()))
        })?;
        let ended =
            match tokio::time::timeout(Duration::from_millis(self.max_ms), child.wait()).await {
                Ok(ended) => ended.map_err(host)?,
                Err(_) => {
                    child.kill().await.map_err(host)?;
                    return Err(CompileError::Time { max_ms: self.max_ms });
                }
            };
        let (max_ms, max) = (self.max_ms, self.max_bytes);
        blocking(move || {
            if ended.success() {
                let mut compiled = Vec::new();
                output.rewind().and_then(|()| output.read_to_end(&mut compiled)).map_err(host)?;
                return Ok(compiled);
            }
            let mut bytes = Vec::new();
            stderr
                .rewind()
                .and_then(|()| stderr.take(MAX_STDERR).read_to_end(&mut bytes))
                .map_err(host)?;
            Err(error_of(ended, String::from_utf8_lossy(&bytes).trim(), max_ms, max))
        })
        .await
    }
}

/// The error that a child's exit status and stderr mean.
fn error_of(ended: ExitStatus, stderr: &str, max_ms: u64, max: u64) -> CompileError {
    // Messages of the standard library, the engine and the kernel: there is no exit code for it.
    let no_memory = ["memory allocation of", "out of memory (failed to allocate", "os error 12"]
        .iter()
        .any(|words| stderr.contains(words));
    match (ended.code(), ended.signal()) {
        _ if no_memory => CompileError::Memory { max },
        (Some(child::REFUSED), _) => CompileError::Refused(stderr.to_owned()),
        (Some(child::UNABLE), _) => CompileError::Host(stderr.to_owned()),
        (_, Some(signal)) if signal == Signal::XCPU.as_raw() => CompileError::Time { max_ms },
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
            assert_eq!(error_of(ended, stderr, 5, 7), expected, "{ended}: {stderr}");
        }
    }
}
