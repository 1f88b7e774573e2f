//! `cargo xtask bench`: measures, in one optimised process.

use std::process::ExitCode;

use crate::args::BenchArgs;
use crate::guests::{self, Selection};
use crate::host;
use crate::process;
use crate::workspace::Workspace;

/// Builds the guests and runs the program `bench` of sitewright-tests.
pub(crate) fn run(workspace: &Workspace, args: &BenchArgs) -> anyhow::Result<ExitCode> {
    guests::build(workspace, Selection::All)?;
    let mut bench = process::cargo();
    bench
        .current_dir(&workspace.root)
        .args(["run", "--release", "--package", "sitewright-tests", "--bin", "bench", "--"])
        .args(&args.rest);
    host::tell(&mut bench, workspace, None);
    process::run(&mut bench).map(|()| ExitCode::SUCCESS)
}
