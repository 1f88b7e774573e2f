//! Builds the guests - templates, and the tests' own - and puts them where the host looks.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context as _;
use serde::Deserialize;

use crate::install::{self, Change};
use crate::languages;
use crate::process;
use crate::remap;
use crate::say;
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

/// Builds the selected guests in every language and puts them in place.
pub(crate) fn build_all(workspace: &Workspace, selection: Selection) -> anyhow::Result<()> {
    build(workspace, selection)?;
    if selection.groups().contains(&Group::Templates) {
        languages::build(workspace, |_| true)?;
    }
    Ok(())
}

/// Builds the selected guests in Rust and puts them in place.
pub(crate) fn build(workspace: &Workspace, selection: Selection) -> anyhow::Result<()> {
    let toolchain = Toolchain::ready(workspace)?;
    let flags = remap::encode(&toolchain.origins(workspace)?.flags());
    // Never both groups in one call of cargo: it gives crates of one call the same features of
    // shared dependencies, and a template's bytes must not depend on whether the tests' guests
    // were built beside it.
    for group in selection.groups() {
        build_group(workspace, *group, &flags)?;
    }
    Ok(())
}

fn build_group(workspace: &Workspace, group: Group, flags: &str) -> anyhow::Result<()> {
    let guests: Vec<&Guest> = workspace.guests(group).collect();
    if guests.is_empty() {
        say::line(&format!(
            "no guests in {}: no workspace member there is a `cdylib`",
            group.sources()
        ));
        return Ok(());
    }
    let mut built = Vec::new();
    for line in command_lines(&guests) {
        let mut cargo = process::cargo();
        cargo
            .current_dir(&workspace.root)
            .args(line)
            .args([
                "--profile",
                "template",
                "--target",
                TARGET,
                "--message-format",
                "json-render-diagnostics",
            ])
            // Instead of RUSTFLAGS and of flags in cargo's configuration: what others set must not
            // change a template.
            .env_remove("RUSTFLAGS")
            .env("CARGO_ENCODED_RUSTFLAGS", flags);
        built.extend(artifacts(&mut cargo)?);
    }
    let width = guests.iter().map(|guest| guest.name.len()).max().unwrap_or(0);
    say::line(&format!("{} -> {}", group.sources(), workspace.components(group).display()));
    for guest in guests {
        let from =
            built.iter().find(|built| built.manifest == guest.manifest).with_context(|| {
                format!(
                    "cargo built {} and reported no .wasm file of it; this is a mistake in xtask",
                    guest.name
                )
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

/// What cargo is asked: once for all guests that are nothing but components, and once for each that
/// is also a Rust library. Cargo does no link-time optimisation for a crate of several types, which
/// makes a component more than twice as large; `cargo rustc` can ask for one of the types, of one
/// package.
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

/// A component that cargo has built, or found up to date.
#[derive(Debug, PartialEq, Eq)]
struct Artifact {
    manifest: PathBuf,
    file: PathBuf,
}

/// Runs cargo and reads from its messages what it made; where that lies is cargo's business.
fn artifacts(cargo: &mut Command) -> anyhow::Result<Vec<Artifact>> {
    let mut child =
        cargo.stdout(Stdio::piped()).spawn().with_context(|| process::cannot_start(cargo))?;
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
    (message.reason == "compiler-artifact")
        .then_some(Artifact { manifest: message.manifest_path, file })
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
    fn one_call_for_plain_components_and_one_for_each_that_is_also_a_library() {
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
    fn all_is_both_groups() {
        assert_eq!(Selection::All.groups(), [Group::Templates, Group::TestGuests]);
        assert_eq!(Selection::Templates.groups(), [Group::Templates]);
        assert_eq!(Selection::TestGuests.groups(), [Group::TestGuests]);
    }
}
