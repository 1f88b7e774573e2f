//! Sees that the compiler can make templates.

use std::env;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::Context as _;

use crate::process;
use crate::remap::{self, Origins, StdSources};
use crate::say;
use crate::workspace::Workspace;

/// What templates are compiled to.
pub(crate) const TARGET: &str = "wasm32-wasip2";

/// The repository's compiler.
pub(crate) struct Toolchain {
    sysroot: PathBuf,
    commit: Option<String>,
}

impl Toolchain {
    /// Asks the compiler and adds the wasm target when it is not installed.
    pub(crate) fn ready(workspace: &Workspace) -> anyhow::Result<Self> {
        let rustc = || {
            let mut command = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
            command.current_dir(&workspace.root);
            command
        };
        let sysroot =
            PathBuf::from(process::capture(rustc().args(["--print", "sysroot"]))?.trim_end());
        let commit = remap::commit(&process::capture(rustc().args(["--version", "--verbose"]))?);
        let toolchain = Toolchain { sysroot, commit };
        if !toolchain.has_target() {
            add_target(workspace)?;
            anyhow::ensure!(
                toolchain.has_target(),
                "rustup has added the target {TARGET}, but not to the compiler in use ({}); run \
                 `rustc --print sysroot` and `rustup show` in the repository to see which \
                 compiler wins in PATH",
                toolchain.sysroot.display()
            );
        }
        Ok(toolchain)
    }

    /// Whether the target's standard library is there. Asked of the compiler's own folder, so that
    /// compilers that rustup does not know (a distribution's, a container's) work too.
    fn has_target(&self) -> bool {
        self.sysroot.join("lib/rustlib").join(TARGET).join("lib").is_dir()
    }

    /// Where paths of a build on this machine come from.
    pub(crate) fn origins(&self, workspace: &Workspace) -> anyhow::Result<Origins> {
        let path = |name: &str| env::var_os(name).map(PathBuf::from);
        let cargo_home = remap::cargo_home(path("CARGO_HOME"), path("HOME"))?;
        let mut registries = remap::registries(&cargo_home)?;
        if registries.is_empty() {
            // Nothing was ever compiled here: the folder whose name we need appears with the first
            // crate.
            process::run(
                process::cargo().current_dir(&workspace.root).args(["fetch", "--target", TARGET]),
            )?;
            registries = remap::registries(&cargo_home)?;
        }
        let folder = self.sysroot.join("lib/rustlib/src/rust");
        let std_sources = self
            .commit
            .as_ref()
            .filter(|_| folder.is_dir())
            .map(|commit| StdSources { folder, commit: commit.clone() });
        Ok(Origins {
            workspace: workspace.root.clone(),
            registries,
            git: cargo_home.join("git/checkouts"),
            std_sources,
        })
    }
}

/// Lets rustup add the target to the repository's toolchain (rust-toolchain.toml).
fn add_target(workspace: &Workspace) -> anyhow::Result<()> {
    let mut rustup = Command::new("rustup");
    rustup
        .current_dir(&workspace.root)
        .args(["target", "list", "--installed"])
        .stderr(Stdio::inherit());
    let listed = rustup.output().with_context(|| {
        format!(
            "templates are compiled for {TARGET}; this compiler has no such target and there is no rustup to add it. \
             Install rustup (https://rustup.rs), or your distribution's package of Rust's {TARGET} standard library"
        )
    })?;
    process::check(&rustup, listed.status)?;
    if !lists(&String::from_utf8_lossy(&listed.stdout), TARGET) {
        say::line(&format!("adding the target {TARGET} to the toolchain (once)"));
        process::run(
            Command::new("rustup").current_dir(&workspace.root).args(["target", "add", TARGET]),
        )
        .with_context(|| {
            format!(
                "rustup could not add the target {TARGET}. It needs the network once; offline, \
                 run `rustup target add {TARGET}` in the repository where there is one"
            )
        })?;
    }
    Ok(())
}

/// Whether the output of `rustup target list --installed` has this target.
fn lists(installed: &str, target: &str) -> bool {
    installed.lines().any(|line| line.trim() == target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_installed_target_is_a_whole_line() {
        for (output, has) in [
            ("wasm32-wasip2\nx86_64-unknown-linux-gnu\n", true),
            ("x86_64-unknown-linux-gnu\r\nwasm32-wasip2\r\n", true),
            ("wasm32-wasip2-something\n", false),
            ("wasm32-wasip1\n", false),
            ("", false),
        ] {
            assert_eq!(lists(output, TARGET), has, "{output:?}");
        }
    }
}
