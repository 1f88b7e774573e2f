//! `cargo xtask …`: the build logic of this repository.
//!
//! - [`args`]: the command line
//! - [`test`], [`demo`], [`demo_console`], [`bench`], [`dist`]: the commands
//! - [`build`]: one build of the workspace for lints, demo and tests
//! - [`guests`], [`languages`]: components in Rust, in Python and JavaScript
//! - [`example`], [`example_c`], [`example_go`]: components in C and in Go
//! - [`toolchain`], [`remap`], [`install`]: the target, reproducible paths, atomic copies
//! - [`standins`], [`tools`], [`packages`]: programs from PyPI and npm, without compiling
//! - [`links`]: links between Markdown files
//! - [`skipped`]: the summary of skipped tests
//! - [`workspace`], [`messages`]: what cargo says about the workspace and about a build
//! - [`process`], [`steps`], [`console`], [`disk`]: running programs, steps, output, free space
//!
//! This crate is the first that a fresh clone compiles: it has few dependencies and never one on
//! the host or on wasmtime.

mod args;
mod bench;
mod build;
mod console;
mod demo;
mod demo_console;
mod disk;
mod dist;
mod example;
mod example_c;
mod example_go;
mod guests;
mod install;
mod languages;
mod links;
mod messages;
mod packages;
mod process;
mod remap;
mod skipped;
mod standins;
mod steps;
mod test;
mod toolchain;
mod tools;
mod workspace;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command};
use process::Failed;
use standins::Standins;
use workspace::Workspace;

fn main() -> ExitCode {
    let args = Args::parse();
    match run(args) {
        Ok(code) => code,
        Err(error) => match error.downcast_ref::<Failed>() {
            // The program has reported its error; scripts need its exit code.
            Some(failed) => {
                console::line(&format!("\n{error:#}"));
                failed.exit_code()
            }
            None => {
                console::line(&format!("\nerror: {error:#}"));
                ExitCode::FAILURE
            }
        },
    }
}

fn run(args: Args) -> anyhow::Result<ExitCode> {
    let workspace = Workspace::load()?;
    let done = |()| ExitCode::SUCCESS;
    match args.command {
        Command::Build(build) => guests::build_all(&workspace, build.selection()).map(done),
        Command::Demo(demo) => demo::run(&workspace, &demo),
        Command::Test(test) => test::run(&workspace, &test),
        Command::Standins => Standins::load(&workspace)?.install_all(&workspace).map(done),
        Command::Dist(dist) => dist::run(&workspace, &dist).map(done),
        Command::Bench(bench) => bench::run(&workspace, &bench),
    }
}
