//! `cargo xtask bench`: runs the benchmarks in one optimized process.

use std::process::ExitCode;

use crate::args::BenchArgs;
use crate::build;
use crate::guests::{self, Selection};
use crate::process;
use crate::workspace::Workspace;

/// Builds the guests and the host, and runs the program `bench` of sitewright-tests.
pub(crate) fn run(workspace: &Workspace, args: &BenchArgs) -> anyhow::Result<ExitCode> {
    guests::build_all(workspace, Selection::All)?;
    let sh = workspace.shell()?;
    // The whole workspace, so that shared dependencies have the features of every other build.
    process::run(process::cargo(&sh).args([
        "build",
        "--release",
        "--workspace",
        "--bin",
        "bench",
        "--bin",
        "sitewright",
    ]))?;
    let built = |name: &str| {
        workspace.target.join("release").join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
    };
    let bench = process::without_cargo_run(sh.cmd(built("bench"))).args(&args.rest);
    process::run(build::with_paths(bench, workspace, &built("sitewright")))?;
    Ok(ExitCode::SUCCESS)
}
