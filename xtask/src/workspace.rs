//! What `cargo metadata` knows: folders and guest crates.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Deserialize;

use crate::process;

/// The repository.
#[derive(Debug)]
pub(crate) struct Workspace {
    /// Its root folder, absolute.
    pub(crate) root: PathBuf,
    /// The target folder, absolute; `CARGO_TARGET_DIR` and cargo's configuration are respected.
    pub(crate) target: PathBuf,
    /// Every guest, sorted by name.
    pub(crate) guests: Vec<Guest>,
}

/// A crate that becomes a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Guest {
    /// The package's name, and its file's: `local-business`.
    pub(crate) name: String,
    /// Its Cargo.toml, by which cargo's messages are matched.
    pub(crate) manifest: PathBuf,
    pub(crate) group: Group,
    pub(crate) library: Library,
}

/// What a guest's library is compiled to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Library {
    /// A component and nothing else.
    Component,
    /// Also a Rust library, for its own integration tests.
    ComponentAndRlib,
}

/// What a guest is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Group {
    /// A template we ship: `plugins/<name>`.
    Templates,
    /// A guest of the tests: `tests/guests/<name>`.
    TestGuests,
}

impl Group {
    /// Where its crates stand, from the root.
    pub(crate) fn sources(self) -> &'static str {
        match self {
            Group::Templates => "plugins",
            Group::TestGuests => "tests/guests",
        }
    }

    /// Where its components go, in the target folder.
    fn folder(self) -> &'static str {
        match self {
            Group::Templates => "templates",
            Group::TestGuests => "test-templates",
        }
    }
}

impl Workspace {
    /// Asks cargo.
    pub(crate) fn load() -> anyhow::Result<Self> {
        // From where we stand: the alias `cargo xtask` exists only inside the repository.
        let text = process::capture(process::cargo().args([
            "metadata",
            "--no-deps",
            "--format-version",
            "1",
        ]))?;
        Self::from_metadata(&text)
    }

    fn from_metadata(text: &str) -> anyhow::Result<Self> {
        let metadata: Metadata =
            serde_json::from_str(text).context("cargo metadata printed something unexpected")?;
        let mut guests: Vec<Guest> = metadata
            .packages
            .into_iter()
            .filter_map(|package| package.guest(&metadata.workspace_root))
            .collect();
        guests.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Workspace { root: metadata.workspace_root, target: metadata.target_directory, guests })
    }

    /// Where the components of a group are put.
    pub(crate) fn components(&self, group: Group) -> PathBuf {
        self.target.join(group.folder())
    }

    /// Where one guest's component is put.
    pub(crate) fn component(&self, guest: &Guest) -> PathBuf {
        self.components(guest.group).join(format!("{}.wasm", guest.name))
    }

    /// The guests of one group.
    pub(crate) fn guests(&self, group: Group) -> impl Iterator<Item = &Guest> {
        self.guests.iter().filter(move |guest| guest.group == group)
    }
}

/// The part of `cargo metadata` we read.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_root: PathBuf,
    target_directory: PathBuf,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    crate_types: Vec<String>,
}

impl Package {
    fn guest(self, root: &Path) -> Option<Guest> {
        let folder = self.manifest_path.parent()?.parent()?;
        let group = [Group::Templates, Group::TestGuests]
            .into_iter()
            .find(|group| folder == root.join(group.sources()))?;
        // Anything else there is a crate that guests share.
        let target = self
            .targets
            .iter()
            .find(|target| target.crate_types.iter().any(|kind| kind == "cdylib"))?;
        let library = match target.crate_types.len() {
            1 => Library::Component,
            _ => Library::ComponentAndRlib,
        };
        Some(Guest { name: self.name, manifest: self.manifest_path, group, library })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, path: &str, crate_types: &str) -> String {
        format!(
            r#"{{"name":"{name}","manifest_path":"{path}/Cargo.toml","version":"0.1.0",
                "targets":[{{"name":"x","kind":["lib"],"crate_types":[{crate_types}]}}]}}"#
        )
    }

    #[test]
    fn guests_are_the_cdylibs_of_the_two_folders() {
        let packages = [
            package("sitewright", "/repo/host", r#""lib""#),
            package("trap-guest", "/repo/tests/guests/trap-guest", r#""cdylib""#),
            package("local-business", "/repo/plugins/local-business", r#""cdylib","rlib""#),
            package("shared", "/repo/plugins/shared", r#""rlib""#),
            package("nested", "/repo/plugins/local-business/nested", r#""cdylib""#),
            package("elsewhere", "/other/plugins/elsewhere", r#""cdylib""#),
            package("a-macro", "/repo/plugins/a-macro", r#""proc-macro""#),
        ];
        let text = format!(
            r#"{{"packages":[{}],"workspace_root":"/repo","target_directory":"/elsewhere/target","version":1}}"#,
            packages.join(",")
        );
        let workspace = Workspace::from_metadata(&text).unwrap();
        let found: Vec<_> = workspace
            .guests
            .iter()
            .map(|guest| (guest.name.as_str(), guest.group, guest.library))
            .collect();
        assert_eq!(
            found,
            [
                ("local-business", Group::Templates, Library::ComponentAndRlib),
                ("trap-guest", Group::TestGuests, Library::Component),
            ]
        );
        let files: Vec<_> =
            workspace.guests.iter().map(|guest| workspace.component(guest)).collect();
        assert_eq!(
            files,
            [
                Path::new("/elsewhere/target/templates/local-business.wasm"),
                Path::new("/elsewhere/target/test-templates/trap-guest.wasm"),
            ]
        );
    }

    #[test]
    fn this_repository_can_be_read() {
        let workspace = Workspace::load().unwrap();
        assert!(
            workspace.root.join("rust-toolchain.toml").is_file(),
            "{}",
            workspace.root.display()
        );
        assert!(workspace.target.is_absolute());
    }
}
