//! `cargo xtask bench`: measures, in one optimised process.

use std::process::{Command, ExitCode};

use crate::args::BenchArgs;
use crate::guests::{self, Selection};
use crate::host;
use crate::process;
use crate::workspace::Workspace;

/// Builds the guests and the host and runs the program `bench` of sitewright-tests.
pub(crate) fn run(workspace: &Workspace, args: &BenchArgs) -> anyhow::Result<ExitCode> {
    guests::build_all(workspace, Selection::All)?;
    // Of the whole workspace, so that shared dependencies get the features that they have in every
    // other build.
    process::run(process::cargo().current_dir(&workspace.root).args([
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
    let mut bench = Command::new(built("bench"));
    bench.current_dir(&workspace.root).args(&args.rest);
    host::tell(&mut bench, workspace, Some(&built("sitewright")));
    process::run(&mut bench).map(|()| ExitCode::SUCCESS)
}
