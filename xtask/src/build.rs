//! Builds the workspace, so that lints, demo and tests share one build.
//!
//! clippy is the compiler of the workspace members: clippy-driver checks a crate and then compiles
//! it as rustc does. So every crate is compiled once, and a dependency never both checked and
//! compiled, as it would be by `cargo clippy` beside `cargo test`. Warnings stay warnings for the
//! compiler and are counted here, so that a build for a quick test (`--no-lint`) is the same build.
//!
//! The compiler is set with `--config` and not with `RUSTC_WORKSPACE_WRAPPER`, which the tests
//! would pass on to the cargo that they call.
//!
//! Plain `cargo test` compiles the workspace members again, and shares only the dependencies.

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::path::PathBuf;

use xshell::Cmd;

use crate::args::Profile;
use crate::messages::{self, Diagnostics};
use crate::process;
use crate::toolchain::Toolchain;
use crate::workspace::{Group, Workspace};

/// How workspace members are compiled.
#[derive(Debug)]
pub(crate) struct Compiler {
    clippy: Option<PathBuf>,
}

impl Compiler {
    /// clippy, or rustc if clippy is not installed.
    pub(crate) fn find(workspace: &Workspace) -> anyhow::Result<Self> {
        Ok(Compiler { clippy: Toolchain::find(workspace)?.clippy_driver() })
    }

    /// Whether the build reports clippy's lints.
    pub(crate) fn lints(&self) -> bool {
        self.clippy.is_some()
    }

    /// The arguments that every call of cargo needs that shares the build.
    pub(crate) fn arguments(&self) -> Vec<OsString> {
        let Some(clippy) = &self.clippy else { return Vec::new() };
        let path = clippy.display().to_string();
        // A TOML string: a path may contain backslashes.
        vec!["--config".into(), format!("build.rustc-workspace-wrapper={path:?}").into()]
    }
}

/// Builds the tests of the workspace with all libraries and programs, and returns the number of
/// warnings.
///
/// Not `--all-targets`: it also makes test binaries of targets that have no tests, such as one of
/// the benchmarks that links the host.
pub(crate) fn everything(workspace: &Workspace, compiler: &Compiler) -> anyhow::Result<usize> {
    compile(workspace, compiler, &TEST, &["--workspace"])
}

/// Builds the host without its optional features and returns the number of warnings.
///
/// Every package is selected that does not depend on the host and its default features, and one
/// small test: so shared dependencies have the features that they have in [`everything`], and only
/// what differs by the optional features of the host is compiled for this build.
pub(crate) fn minimal_host(workspace: &Workspace, compiler: &Compiler) -> anyhow::Result<usize> {
    let mut arguments = vec!["--no-default-features", "--bin", "sitewright"];
    // Nobody runs this one, and what differs would be optimized a second time.
    arguments.extend(["--config", "profile.dev.package.sitewright-site.opt-level=0"]);
    arguments.extend(["--config", "profile.dev.package.sitewright-intake.opt-level=0"]);
    arguments.extend(["--test", "command_line"]);
    arguments.extend(workspace.beside_the_host.iter().flat_map(|name| ["--package", name]));
    compile(workspace, compiler, &TEST, &arguments)
}

/// Compiles the tests of the targets; a binary is made for the tests of its package only.
const TEST: [&str; 2] = ["test", "--no-run"];

/// Compiles targets and returns the number of warnings.
fn compile(
    workspace: &Workspace,
    compiler: &Compiler,
    command: &[&str],
    arguments: &[&str],
) -> anyhow::Result<usize> {
    let sh = workspace.shell()?;
    let colored = std::io::stderr().is_terminal();
    let format = if colored { "json-diagnostic-rendered-ansi" } else { "json" };
    let cargo = process::cargo(&sh)
        .args(command)
        .args(["--message-format", format])
        .args(compiler.arguments())
        .args(arguments);
    let mut diagnostics = Diagnostics::default();
    messages::run(cargo, |message| diagnostics.print(message))?;
    Ok(diagnostics.warnings)
}

/// Builds the binary `sitewright` and returns its path.
///
/// Not `cargo build -p sitewright`: cargo would leave out the features that tests enable in shared
/// dependencies (such as tokio's `test-util`) and compile tokio, wasmtime and everything above them
/// a second time for the tests. With the whole workspace and one test of xtask, which is small,
/// cargo selects the features of `cargo test --workspace` and compiles only the host and that test.
pub(crate) fn host(workspace: &Workspace, compiler: &Compiler) -> anyhow::Result<PathBuf> {
    compile(
        workspace,
        compiler,
        &["build"],
        &["--workspace", "--bin", "sitewright", "--test", "command_line"],
    )?;
    Ok(binary(workspace))
}

/// The path of the binary `sitewright`.
pub(crate) fn binary(workspace: &Workspace) -> PathBuf {
    binary_of(workspace, Profile::Dev)
}

/// The path of the binary `sitewright` of a profile.
pub(crate) fn binary_of(workspace: &Workspace, profile: Profile) -> PathBuf {
    let folder = match profile {
        Profile::Dev => "debug",
        Profile::Release => "release",
    };
    workspace.target.join(folder).join(format!("sitewright{}", std::env::consts::EXE_SUFFIX))
}

/// Sets the variables by which a test or benchmark finds the host, the components and the
/// stand-ins.
pub(crate) fn with_paths<'a>(command: Cmd<'a>, workspace: &Workspace, binary: &PathBuf) -> Cmd<'a> {
    // Not the path of this process: the build of the tests may have replaced its file.
    let xtask =
        workspace.target.join("debug").join(format!("xtask{}", std::env::consts::EXE_SUFFIX));
    command
        .env("TESTS_BINARY", binary)
        .env("TESTS_TEMPLATES_DIR", workspace.components(Group::Templates))
        .env("TESTS_GUESTS_DIR", workspace.components(Group::TestGuests))
        .env("TESTS_STANDINS_DIR", crate::standins::folder(workspace))
        .env("TESTS_XTASK", xtask)
        .env("TESTS_SKIPPED", crate::skipped::file(workspace))
}
