//! Builds the guests - templates, and the tests' own - and puts them where the host looks.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context as _;
use serde::Deserialize;

use crate::install::{self, Change};
use crate::process;
use crate::remap;
use crate::say;
use crate::toolchain::{TARGET, Toolchain};
use crate::workspace::{Group, Guest, Workspace};

/// Which guests to build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Selection {
    Templates,
    TestGuests,
    All,
}

impl Selection {
    fn groups(self) -> &'static [Group] {
        match self {
            Selection::Templates => &[Group::Templates],
            Selection::TestGuests => &[Group::TestGuests],
            Selection::All => &[Group::Templates, Group::TestGuests],
        }
    }
}

/// Builds the selected guests and puts them in place.
pub(crate) fn build(workspace: &Workspace, selection: Selection) -> anyhow::Result<()> {
    let toolchain = Toolchain::ready(workspace)?;
    let flags = remap::encode(&toolchain.origins(workspace)?.flags());
    // One call of cargo for a group, not for both: cargo gives crates of one call the same features of shared
    // dependencies, and a template's bytes must not depend on whether the tests' guests were built beside it.
    for group in selection.groups() {
        build_group(workspace, *group, &flags)?;
    }
    Ok(())
}

fn build_group(workspace: &Workspace, group: Group, flags: &str) -> anyhow::Result<()> {
    let guests: Vec<&Guest> = workspace.guests(group).collect();
    if guests.is_empty() {
        say::line(&format!("no guests in {}: no workspace member there is a `cdylib`", group.sources()));
        return Ok(());
    }
    let mut cargo = process::cargo();
    cargo
        .current_dir(&workspace.root)
        .args(["build", "--profile", "template", "--target", TARGET])
        .args(["--message-format", "json-render-diagnostics"])
        .args(guests.iter().flat_map(|guest| ["--package", &guest.name]))
        // Instead of RUSTFLAGS and of flags in cargo's configuration: what others set must not change a template.
        .env_remove("RUSTFLAGS")
        .env("CARGO_ENCODED_RUSTFLAGS", flags);
    let built = artifacts(&mut cargo)?;
    let width = guests.iter().map(|guest| guest.name.len()).max().unwrap_or(0);
    say::line(&format!("{} -> {}", group.sources(), workspace.components(group).display()));
    for guest in guests {
        let from = built.iter().find(|built| built.manifest == guest.manifest).with_context(|| {
            format!("cargo built {} and reported no .wasm file of it; this is a mistake in xtask", guest.name)
        })?;
        let installed = install::install(&from.file, &workspace.component(guest))?;
        let note = match installed.change {
            Change::Same => "",
            Change::Written => "  changed",
        };
        say::line(&format!("  {:width$}  {:>10}{note}", guest.name, say::size(installed.bytes)));
    }
    Ok(())
}

/// A component that cargo has built, or found up to date.
#[derive(Debug, PartialEq, Eq)]
struct Artifact {
    manifest: PathBuf,
    file: PathBuf,
}

/// Runs cargo and reads from its messages what it made; where that lies is cargo's business.
fn artifacts(cargo: &mut Command) -> anyhow::Result<Vec<Artifact>> {
    let mut child = cargo.stdout(Stdio::piped()).spawn().with_context(|| process::cannot_start(cargo))?;
    let mut found = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            found.extend(artifact(&line.context("cannot read cargo's messages")?));
        }
    }
    process::check(cargo, child.wait().context("cannot wait for cargo")?)?;
    Ok(found)
}

/// The component in one message of cargo, if it tells of one.
fn artifact(message: &str) -> Option<Artifact> {
    #[derive(Deserialize)]
    struct Message {
        reason: String,
        manifest_path: PathBuf,
        filenames: Vec<PathBuf>,
    }
    // Other messages have other fields.
    let message: Message = serde_json::from_str(message).ok()?;
    let is_component = |file: &Path| file.extension().is_some_and(|extension| extension == "wasm");
    let file = message.filenames.into_iter().find(|file| is_component(file))?;
    (message.reason == "compiler-artifact").then_some(Artifact { manifest: message.manifest_path, file })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_are_found_in_cargos_messages() {
        let cdylib = r#"{"reason":"compiler-artifact","package_id":"path+file:///r/plugins/a-b#0.1.0",
            "manifest_path":"/r/plugins/a-b/Cargo.toml","target":{"name":"a_b"},"profile":{},
            "filenames":["/r/t/wasm32-wasip2/template/a_b.wasm","/r/t/wasm32-wasip2/template/liba_b.rlib"],
            "executable":null,"fresh":true}"#;
        assert_eq!(
            artifact(cdylib),
            Some(Artifact {
                manifest: "/r/plugins/a-b/Cargo.toml".into(),
                file: "/r/t/wasm32-wasip2/template/a_b.wasm".into()
            })
        );
        for other in [
            r#"{"reason":"compiler-artifact","manifest_path":"/c/serde/Cargo.toml","filenames":["/t/libserde.rlib"]}"#,
            r#"{"reason":"build-script-executed","package_id":"x","out_dir":"/t/out"}"#,
            r#"{"reason":"build-finished","success":true}"#,
            "not JSON",
            "",
        ] {
            assert_eq!(artifact(other), None, "{other}");
        }
    }

    #[test]
    fn all_is_both_groups() {
        assert_eq!(Selection::All.groups(), [Group::Templates, Group::TestGuests]);
        assert_eq!(Selection::Templates.groups(), [Group::Templates]);
        assert_eq!(Selection::TestGuests.groups(), [Group::TestGuests]);
    }
}
