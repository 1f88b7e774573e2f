//! The child process: compiles a component from stdin to stdout, within its limits.

use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use rustix::process::nice;
use sitewright_confined::sandbox;
use wasmtime::CacheStore;

use crate::plugin::engine;
use crate::plugin::functions::{Functions, Opened, Session};

/// Exit code of a child whose input does not compile; stderr says why.
pub(super) const REFUSED: i32 = 10;
/// Exit code of a child that failed; stderr says why.
pub(super) const UNABLE: i32 = 11;
/// Exit code of a child whose result is too large; stderr has its bytes.
pub(super) const TOO_LARGE: i32 = 12;

/// The subcommand of the program that compiles.
pub const COMPILE_SUBCOMMAND: &str = "compile-template";
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
    /// Maximum bytes of the compiled form.
    #[arg(long)]
    artifact_bytes: u64,
    /// Compiled functions of other templates: a pack, may be repeated.
    #[arg(long)]
    functions: Vec<PathBuf>,
    /// File for the functions that are in no pack.
    #[arg(long)]
    new_functions: Option<PathBuf>,
    /// Maximum bytes of that file.
    #[arg(long, default_value_t = 0)]
    functions_bytes: u64,
}

/// Seconds of processor time that the kernel allows beyond `compile_ms`: the parent, which measures
/// exactly, comes first.
const GRACE_S: u64 = 2;

impl CompileArgs {
    pub(super) fn new(max_ms: u64, memory_bytes: u64, artifact_bytes: u64) -> Self {
        let cpu_s = max_ms.div_ceil(1_000).saturating_add(GRACE_S);
        CompileArgs {
            parent: std::process::id(),
            cpu_s,
            memory_bytes,
            artifact_bytes,
            functions: Vec::new(),
            new_functions: None,
            functions_bytes: 0,
        }
    }

    /// The same with the files of the function cache.
    pub(super) fn with_functions(self, functions: &Session) -> Self {
        CompileArgs {
            functions: functions.packs().to_vec(),
            new_functions: Some(functions.new_file().to_owned()),
            functions_bytes: functions.max_bytes(),
            ..self
        }
    }

    /// The command line, without the program.
    pub(super) fn command_line(&self) -> Vec<OsString> {
        let mut line = vec![OsString::from(COMPILE_SUBCOMMAND)];
        for (flag, number) in [
            ("--parent", u64::from(self.parent)),
            ("--cpu-s", self.cpu_s),
            ("--memory-bytes", self.memory_bytes),
            ("--artifact-bytes", self.artifact_bytes),
            ("--functions-bytes", self.functions_bytes),
        ] {
            line.extend([OsString::from(flag), OsString::from(number.to_string())]);
        }
        for pack in &self.functions {
            line.extend([OsString::from("--functions"), OsString::from(pack)]);
        }
        if let Some(file) = &self.new_functions {
            line.extend([OsString::from("--new-functions"), OsString::from(file)]);
        }
        line
    }
}

/// Compiles the component on stdin and writes the compiled form to stdout. Blocking. Call it before
/// the program starts a thread: the sandbox is for the calling thread and those that it starts.
pub fn compile_here(args: &CompileArgs) -> ExitCode {
    let Err((code, error)) = try_compile(args) else { return ExitCode::SUCCESS };
    // If stderr cannot be written to, the exit code is all there is.
    drop(std::io::stderr().lock().write_all(error.as_bytes()));
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

/// The exit code and stderr of a child that does not succeed.
type Failed = (i32, String);

fn try_compile(args: &CompileArgs) -> Result<(), Failed> {
    let unable = |error| (UNABLE, error);
    // In the sandbox no file can be opened.
    let opened = open(args);
    confine(args).map_err(|error| unable(format!("no limits: {error}")))?;
    let wasm = read().map_err(unable)?;
    let functions = opened.map(|opened| Arc::new(opened.read()));
    let compiled =
        compile(&wasm, functions.clone()).map_err(|error| (REFUSED, format!("{error:#}")))?;
    if compiled.len() as u64 > args.artifact_bytes {
        return Err((TOO_LARGE, compiled.len().to_string()));
    }
    std::io::stdout()
        .lock()
        .write_all(&compiled)
        .map_err(|error| unable(format!("the compiled form cannot be written: {error}")))?;
    if let Some(functions) = functions {
        // The host sees that the file is not whole, and deletes it.
        drop(functions.finish());
    }
    Ok(())
}

/// The files of the function cache; `None` without one.
fn open(args: &CompileArgs) -> Option<Opened> {
    let new = args.new_functions.as_deref()?;
    // The kernel ends a process that writes a larger file.
    let max_bytes = args.functions_bytes.min(args.memory_bytes);
    Opened::open(&args.functions, new, max_bytes).ok()
}

fn read() -> Result<Vec<u8>, String> {
    let mut wasm = Vec::new();
    std::io::stdin()
        .lock()
        .read_to_end(&mut wasm)
        .map_err(|error| format!("no template: {error}"))?;
    Ok(wasm)
}

fn compile(wasm: &[u8], functions: Option<Arc<Functions>>) -> wasmtime::Result<Vec<u8>> {
    let functions = functions.map(|functions| functions as Arc<dyn CacheStore>);
    engine::for_compiling(functions)?.precompile_component(wasm)
}

/// Sets the limits of this process and takes files, network and programs from it, before it reads
/// anything.
fn confine(args: &CompileArgs) -> std::io::Result<()> {
    let limits = sandbox::Limits {
        cpu_s: Some(args.cpu_s),
        data_bytes: Some(args.memory_bytes),
        file_bytes: Some(args.memory_bytes),
    };
    sandbox::limit(args.parent, limits)?;
    // Compiling works without it.
    let _niceness = nice(NICENESS);
    // What the kernel does not have is reported by the children of `sitewright-confined`.
    let _missing = sandbox::enter();
    Ok(())
}
