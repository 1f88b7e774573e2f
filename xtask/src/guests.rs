//! Builds the guests - the templates, and the guests of the tests - and installs their components
//! in the folders where the host looks for them.

use std::path::PathBuf;

use anyhow::Context as _;
use cargo_metadata::Message;
use xshell::Cmd;

use crate::console;
use crate::example_c;
use crate::example_go;
use crate::install::{self, Change};
use crate::languages;
use crate::messages;
use crate::process;
use crate::remap;
use crate::toolchain::{TARGET, Toolchain};
use crate::workspace::{Group, Guest, Library, Workspace};

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

/// Builds and installs the selected guests in every language.
pub(crate) fn build_all(workspace: &Workspace, selection: Selection) -> anyhow::Result<()> {
    build(workspace, selection)?;
    if selection.groups().contains(&Group::Templates) {
        languages::build(workspace, |_| true)?;
    }
    if selection.groups().contains(&Group::TestGuests) {
        example_c::build(workspace)?;
        example_go::build(workspace)?;
    }
    Ok(())
}

/// Builds and installs the selected guests in Rust.
pub(crate) fn build(workspace: &Workspace, selection: Selection) -> anyhow::Result<()> {
    let toolchain = Toolchain::with_target(workspace)?;
    let flags = remap::encode(&toolchain.origins(workspace)?.flags());
    // One call of cargo for each group: the crates of one call get the same features of shared
    // dependencies, and the bytes of a template must not depend on whether the guests of the tests
    // are built in the same call.
    for group in selection.groups() {
        build_group(workspace, *group, &flags)?;
    }
    Ok(())
}

fn build_group(workspace: &Workspace, group: Group, flags: &str) -> anyhow::Result<()> {
    let guests: Vec<&Guest> = workspace.guests(group).collect();
    if guests.is_empty() {
        console::line(&format!(
            "no guests in {}: no workspace member in it is a `cdylib`",
            group.sources()
        ));
        return Ok(());
    }
    let mut built = Vec::new();
    let sh = workspace.shell()?;
    for line in command_lines(&guests) {
        let cargo = process::cargo(&sh)
            .args(line)
            .args([
                "--profile",
                "template",
                "--target",
                TARGET,
                "--message-format",
                "json-render-diagnostics",
            ])
            // They replace RUSTFLAGS and the flags in cargo's configuration, which must not change
            // the bytes of a template.
            .env_remove("RUSTFLAGS")
            .env("CARGO_ENCODED_RUSTFLAGS", flags)
            // `cargo xtask test` builds the workspace at the same time, on the same terminal.
            .env("CARGO_TERM_PROGRESS_WHEN", "never");
        built.extend(artifacts(cargo)?);
    }
    let width = guests.iter().map(|guest| guest.name.len()).max().unwrap_or(0);
    console::line(&format!("{} -> {}", group.sources(), workspace.components(group).display()));
    for guest in guests {
        let from =
            built.iter().find(|built| built.manifest == guest.manifest).with_context(|| {
                format!(
                    "cargo has built {} and reported no .wasm file of it; this is a bug in xtask",
                    guest.name
                )
            })?;
        let installed = install::install(&from.file, &workspace.component(guest))?;
        let note = match installed.change {
            Change::Same => "",
            Change::Written => "  changed",
        };
        console::line(&format!(
            "  {:width$}  {:>10}{note}",
            guest.name,
            console::size(installed.bytes)
        ));
    }
    Ok(())
}

/// The arguments of each call of cargo: one call for all guests that are components only, and one
/// for each guest that is a Rust library too.
///
/// Cargo does no link-time optimization for a crate of several types, which makes a component more
/// than twice as large. `cargo rustc` can select one of the types, but of one package only.
fn command_lines<'a>(guests: &[&'a Guest]) -> Vec<Vec<&'a str>> {
    let names = |library: Library| {
        guests.iter().filter(move |guest| guest.library == library).map(|guest| guest.name.as_str())
    };
    let mut lines = Vec::new();
    let components: Vec<&str> =
        names(Library::Component).flat_map(|name| ["--package", name]).collect();
    if !components.is_empty() {
        lines.push([&["build"], components.as_slice()].concat());
    }
    lines.extend(
        names(Library::ComponentAndRlib)
            .map(|name| vec!["rustc", "--package", name, "--lib", "--crate-type", "cdylib"]),
    );
    lines
}

/// A component that cargo has built or found up to date.
#[derive(Debug, PartialEq, Eq)]
struct Artifact {
    manifest: PathBuf,
    file: PathBuf,
}

/// Runs cargo and returns the components that its messages name.
fn artifacts(cargo: Cmd<'_>) -> anyhow::Result<Vec<Artifact>> {
    let mut found = Vec::new();
    messages::run(cargo, |message| {
        if let Message::CompilerArtifact(artifact) = message {
            found.extend(component(artifact));
        }
    })?;
    Ok(found)
}

/// The component among the files of an artifact.
fn component(artifact: cargo_metadata::Artifact) -> Option<Artifact> {
    let file = artifact.filenames.into_iter().find(|file| file.extension() == Some("wasm"))?;
    Some(Artifact { manifest: artifact.manifest_path.into(), file: file.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_guest_that_is_a_library_too_has_a_call_of_its_own() {
        let guest = |name: &str, library| Guest {
            name: name.to_owned(),
            manifest: format!("/r/{name}/Cargo.toml").into(),
            group: Group::Templates,
            library,
        };
        let (a, b) = (guest("a", Library::Component), guest("b", Library::ComponentAndRlib));
        let (c, d) = (guest("c", Library::Component), guest("d", Library::ComponentAndRlib));
        assert_eq!(
            command_lines(&[&a, &b, &c, &d]),
            [
                &["build", "--package", "a", "--package", "c"][..],
                &["rustc", "--package", "b", "--lib", "--crate-type", "cdylib"],
                &["rustc", "--package", "d", "--lib", "--crate-type", "cdylib"],
            ]
        );
        assert_eq!(command_lines(&[&b]).len(), 1);
        assert!(command_lines(&[]).is_empty());
    }

    #[test]
    fn all_selects_both_groups() {
        assert_eq!(Selection::All.groups(), [Group::Templates, Group::TestGuests]);
        assert_eq!(Selection::Templates.groups(), [Group::Templates]);
        assert_eq!(Selection::TestGuests.groups(), [Group::TestGuests]);
    }
}
