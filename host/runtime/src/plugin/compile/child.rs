//! The child process: compiles a component from stdin to stdout, within its limits.

use std::io::{Read as _, Write as _};
use std::process::ExitCode;

use rustix::process::{
    Pid, Resource, Rlimit, Signal, getppid, nice, set_parent_process_death_signal, setrlimit,
};

use crate::plugin::engine;

/// Exit code of a child whose input does not compile; stderr says why.
pub(super) const REFUSED: i32 = 10;
/// Exit code of a child that failed; stderr says why.
pub(super) const UNABLE: i32 = 11;

/// The subcommand's name.
const NAME: &str = "compile-template";
/// Niceness of the compiler: orders come first.
const NICENESS: i32 = 5;

/// Arguments of the child process.
#[derive(Debug, Clone, clap::Args)]
pub struct CompileArgs {
    /// Process id of the host. The child ends when the host has ended.
    #[arg(long)]
    parent: u32,
    /// Maximum seconds of processor time.
    #[arg(long)]
    cpu_s: u64,
    /// Maximum bytes of memory.
    #[arg(long)]
    memory_bytes: u64,
}

impl CompileArgs {
    pub(super) fn new(max_ms: u64, memory_bytes: u64) -> Self {
        // The parent watches the wall clock. This limit is for a child whose parent cannot, and
        // counts the time of all threads.
        let threads =
            std::thread::available_parallelism().map_or(1, |threads| threads.get() as u64);
        let cpu_s = max_ms.div_ceil(1_000).saturating_mul(threads).saturating_add(1);
        CompileArgs { parent: std::process::id(), cpu_s, memory_bytes }
    }

    /// The command line, without the program.
    pub(super) fn command_line(&self) -> [String; 7] {
        let CompileArgs { parent, cpu_s, memory_bytes } = self;
        [
            NAME.to_owned(),
            "--parent".to_owned(),
            parent.to_string(),
            "--cpu-s".to_owned(),
            cpu_s.to_string(),
            "--memory-bytes".to_owned(),
            memory_bytes.to_string(),
        ]
    }
}

/// Compiles the component on stdin and writes the compiled form to stdout. Blocking.
pub fn compile_here(args: &CompileArgs) -> ExitCode {
    let (code, error) =
        match confine(args).map_err(|error| format!("no limits: {error}")).and_then(|()| read()) {
            Err(error) => (UNABLE, error),
            Ok(wasm) => match compile(&wasm) {
                Err(error) => (REFUSED, format!("{error:#}")),
                Ok(compiled) => match std::io::stdout().lock().write_all(&compiled) {
                    Ok(()) => return ExitCode::SUCCESS,
                    Err(error) => (UNABLE, format!("the compiled form cannot be written: {error}")),
                },
            },
        };
    // If stderr cannot be written to, the exit code is all there is.
    drop(std::io::stderr().lock().write_all(error.as_bytes()));
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

fn read() -> Result<Vec<u8>, String> {
    let mut wasm = Vec::new();
    std::io::stdin()
        .lock()
        .read_to_end(&mut wasm)
        .map_err(|error| format!("no template: {error}"))?;
    Ok(wasm)
}

fn compile(wasm: &[u8]) -> wasmtime::Result<Vec<u8>> {
    engine::for_compiling()?.precompile_component(wasm)
}

/// Sets the limits of this process, before it reads anything.
fn confine(args: &CompileArgs) -> std::io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // The parent may have ended before the call above.
    if getppid().map(Pid::as_raw_pid) != i32::try_from(args.parent).ok() {
        return Err(std::io::Error::other("the parent process has ended"));
    }
    let limit =
        |resource, max| setrlimit(resource, Rlimit { current: Some(max), maximum: Some(max) });
    limit(Resource::Data, args.memory_bytes)?;
    limit(Resource::Cpu, args.cpu_s)?;
    limit(Resource::Fsize, args.memory_bytes)?;
    limit(Resource::Core, 0)?;
    // Compiling works without it.
    let _niceness = nice(NICENESS);
    Ok(())
}
