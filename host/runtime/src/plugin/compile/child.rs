//! The child's side: within its limits, from a component on stdin to the compiled form on stdout.

use std::io::{Read as _, Write as _};
use std::process::ExitCode;

use rustix::process::{
    Pid, Resource, Rlimit, Signal, getppid, nice, set_parent_process_death_signal, setrlimit,
};

use crate::plugin::engine;

/// Exit code of a child that was given something which does not compile; stderr says why.
pub(super) const REFUSED: i32 = 10;
/// Exit code of a child that could not do its part; stderr says why.
pub(super) const UNABLE: i32 = 11;

/// The subcommand's name.
const NAME: &str = "compile-template";
/// How much later than its other work a compiler gets a processor: orders come first.
const NICENESS: i32 = 5;

/// What a child is told.
#[derive(Debug, Clone, clap::Args)]
pub struct CompileArgs {
    /// The process that asks; when it has gone, there is nobody to compile for.
    #[arg(long)]
    parent: u32,
    /// Most seconds of processor time.
    #[arg(long)]
    cpu_s: u64,
    /// Most bytes of memory.
    #[arg(long)]
    memory_bytes: u64,
}

impl CompileArgs {
    pub(super) fn new(max_ms: u64, memory_bytes: u64) -> Self {
        // The clock on the wall is the parent's to watch. This one is for a child that nobody
        // watches any more, and counts what all threads use.
        let threads =
            std::thread::available_parallelism().map_or(1, |threads| threads.get() as u64);
        let cpu_s = max_ms.div_ceil(1_000).saturating_mul(threads).saturating_add(1);
        CompileArgs { parent: std::process::id(), cpu_s, memory_bytes }
    }

    /// As a command line.
    pub(super) fn words(&self) -> [String; 7] {
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

/// Compiles what stands on stdin and writes the compiled form to stdout. Blocking.
pub fn compile_here(args: &CompileArgs) -> ExitCode {
    let (code, said) =
        match confine(args).map_err(|error| format!("no limits: {error}")).and_then(|()| read()) {
            Err(said) => (UNABLE, said),
            Ok(wasm) => match compile(&wasm) {
                Err(error) => (REFUSED, format!("{error:#}")),
                Ok(compiled) => match std::io::stdout().lock().write_all(&compiled) {
                    Ok(()) => return ExitCode::SUCCESS,
                    Err(error) => (UNABLE, format!("the compiled form cannot be written: {error}")),
                },
            },
        };
    // Where this cannot be written to there is nobody to tell.
    drop(std::io::stderr().lock().write_all(said.as_bytes()));
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

/// Puts this process within its limits, before it has read anything.
fn confine(args: &CompileArgs) -> std::io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // The parent may have gone before the line above.
    if getppid().map(Pid::as_raw_pid) != i32::try_from(args.parent).ok() {
        return Err(std::io::Error::other("the process that asked has gone"));
    }
    let limit =
        |resource, most| setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) });
    limit(Resource::Data, args.memory_bytes)?;
    limit(Resource::Cpu, args.cpu_s)?;
    limit(Resource::Fsize, args.memory_bytes)?;
    limit(Resource::Core, 0)?;
    // Being polite is no condition.
    let _polite = nice(NICENESS);
    Ok(())
}
