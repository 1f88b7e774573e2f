//! Builds the host so that demo and tests share one build, and tells tests where everything is.

use std::path::PathBuf;
use std::process::Command;

use crate::process;
use crate::workspace::{Group, Workspace};

/// Builds the binary `sitewright` and gives its path.
///
/// Not `cargo build -p sitewright`: cargo would then leave out the features that tests switch on in
/// shared dependencies (tokio's `test-util` for one), and `cargo test` would compile tokio,
/// wasmtime and all above them a second time. Asking for the whole workspace and for one test -
/// xtask's own, the cheapest - makes cargo choose the features that `cargo test --workspace` will
/// choose, while it compiles nothing more than the host and that test.
pub(crate) fn build(workspace: &Workspace) -> anyhow::Result<PathBuf> {
    process::run(process::cargo().current_dir(&workspace.root).args([
        "build",
        "--workspace",
        "--bin",
        "sitewright",
        "--test",
        "command_line",
    ]))?;
    Ok(workspace.target.join("debug").join(format!("sitewright{}", std::env::consts::EXE_SUFFIX)))
}

/// Tells a test or benchmark where the host's binary and the components are.
pub(crate) fn tell(command: &mut Command, workspace: &Workspace, binary: Option<&PathBuf>) {
    command
        .env("TESTS_TEMPLATES_DIR", workspace.components(Group::Templates))
        .env("TESTS_GUESTS_DIR", workspace.components(Group::TestGuests));
    if let Some(binary) = binary {
        command.env("TESTS_BINARY", binary);
    }
}
