//! `cargo xtask …`: everything that is built, shown or measured in this repository starts here.
//!
//! - [`args`]: the commands and what their `--help` teaches
//! - [`workspace`]: what `cargo metadata` knows: folders and guest crates
//! - [`toolchain`]: sees that the wasm target is there
//! - [`remap`]: compiler flags that keep this machine's paths out of templates
//! - [`guests`]: builds the guests and puts them where the host looks
//! - [`languages`]: builds the templates in other languages
//! - [`install`]: copies a file only when it changed, and never halfway
//! - [`host`]: builds the host so that demo and tests share one build
//! - [`disk`]: whether there is room
//! - [`demo`], [`test`], [`bench`]: the commands
//! - [`process`], [`steps`], [`say`]: running programs, timing them, talking

mod args;
mod bench;
mod demo;
mod disk;
mod guests;
mod host;
mod install;
mod languages;
mod process;
mod remap;
mod say;
mod steps;
mod test;
mod toolchain;
mod workspace;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command};
use process::Ended;
use workspace::Workspace;

fn main() -> ExitCode {
    let args = Args::parse();
    match run(args) {
        Ok(code) => code,
        Err(error) => match error.downcast_ref::<Ended>() {
            // The program has already said what is wrong; its code is the answer scripts wait for.
            Some(ended) => {
                say::line(&format!("\n{error:#}"));
                ended.exit_code()
            }
            None => {
                say::line(&format!("\nerror: {error:#}"));
                ExitCode::FAILURE
            }
        },
    }
}

fn run(args: Args) -> anyhow::Result<ExitCode> {
    let workspace = Workspace::load()?;
    match args.command {
        Command::Build(build) => {
            guests::build_all(&workspace, build.selection()).map(|()| ExitCode::SUCCESS)
        }
        Command::Demo(demo) => demo::run(&workspace, &demo),
        Command::Test(test) => test::run(&workspace, &test),
        Command::Bench(bench) => bench::run(&workspace, &bench),
    }
}
