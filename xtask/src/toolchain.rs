//! Checks that the compiler can build templates.

use std::env;
use std::path::PathBuf;

use anyhow::Context as _;
use xshell::cmd;

use crate::console;
use crate::process;
use crate::remap::{self, Origins, StdSources};
use crate::workspace::Workspace;

/// The compilation target of templates.
pub(crate) const TARGET: &str = "wasm32-wasip2";

/// The compiler of the repository.
pub(crate) struct Toolchain {
    sysroot: PathBuf,
    /// What `rustc --version --verbose` prints.
    verbose: String,
}

impl Toolchain {
    /// Finds the compiler.
    pub(crate) fn find(workspace: &Workspace) -> anyhow::Result<Self> {
        let sh = workspace.shell()?;
        let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let sysroot = PathBuf::from(cmd!(sh, "{rustc} --print sysroot").quiet().read()?);
        let verbose = cmd!(sh, "{rustc} --version --verbose").quiet().read()?;
        Ok(Toolchain { sysroot, verbose })
    }

    /// The target of this machine: `x86_64-unknown-linux-gnu`.
    pub(crate) fn host(&self) -> anyhow::Result<&str> {
        self.field("host").context("`rustc --version --verbose` does not say its host")
    }

    /// The version of the compiler: `1.95.0`.
    pub(crate) fn version(&self) -> &str {
        self.field("release").unwrap_or("unknown")
    }

    fn field(&self, name: &str) -> Option<&str> {
        self.verbose.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// Finds the compiler and adds the target of templates if it is not installed.
    pub(crate) fn with_target(workspace: &Workspace) -> anyhow::Result<Self> {
        let toolchain = Self::find(workspace)?;
        if !toolchain.has_target() {
            add_target(workspace)?;
            anyhow::ensure!(
                toolchain.has_target(),
                "rustup has added the target {TARGET}, but not to the compiler in use ({}); run \
                 `rustc --print sysroot` and `rustup show` in the repository to see which \
                 compiler comes first in PATH",
                toolchain.sysroot.display()
            );
        }
        Ok(toolchain)
    }

    /// The clippy of this compiler, if it is installed.
    pub(crate) fn clippy_driver(&self) -> Option<PathBuf> {
        let name = format!("clippy-driver{}", env::consts::EXE_SUFFIX);
        Some(self.sysroot.join("bin").join(name)).filter(|path| path.is_file())
    }

    /// Whether the standard library of the target is installed. Looks into the folder of the
    /// compiler, so that compilers that rustup does not manage work too.
    fn has_target(&self) -> bool {
        self.sysroot.join("lib/rustlib").join(TARGET).join("lib").is_dir()
    }

    /// The folders whose paths would be in a template that is built on this machine.
    pub(crate) fn origins(&self, workspace: &Workspace) -> anyhow::Result<Origins> {
        let path = |name: &str| env::var_os(name).map(PathBuf::from);
        let cargo_home = remap::cargo_home(path("CARGO_HOME"), path("HOME"))?;
        let mut registries = remap::registries(&cargo_home)?;
        if registries.is_empty() {
            // Cargo makes the folder of a registry with the first crate that it downloads.
            let sh = workspace.shell()?;
            process::run(process::cargo(&sh).args(["fetch", "--target", TARGET]))?;
            registries = remap::registries(&cargo_home)?;
        }
        let folder = self.sysroot.join("lib/rustlib/src/rust");
        let std_sources = remap::commit(&self.verbose)
            .filter(|_| folder.is_dir())
            .map(|commit| StdSources { folder, commit });
        Ok(Origins {
            workspace: workspace.root.clone(),
            registries,
            git: cargo_home.join("git/checkouts"),
            std_sources,
        })
    }
}

/// Adds the target to the toolchain of the repository (rust-toolchain.toml) with rustup.
fn add_target(workspace: &Workspace) -> anyhow::Result<()> {
    let sh = workspace.shell()?;
    let installed =
        cmd!(sh, "rustup target list --installed").quiet().read().with_context(|| {
            format!(
                "templates are compiled for {TARGET}; the compiler has no such target, and there \
                 is no rustup to add it. Install rustup (https://rustup.rs) or your \
                 distribution's package of Rust's standard library for {TARGET}"
            )
        })?;
    if !lists(&installed, TARGET) {
        console::line(&format!("adding the target {TARGET} to the toolchain (once)"));
        process::run(cmd!(sh, "rustup target add {TARGET}")).with_context(|| {
            format!(
                "rustup cannot add the target {TARGET}. It needs the network once: run `rustup \
                 target add {TARGET}` in the repository where there is one"
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
