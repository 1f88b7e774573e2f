//! The folders and the guest crates of the workspace, read from `cargo metadata`.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use cargo_metadata::{CrateType, Metadata, MetadataCommand, Package};
use xshell::Shell;

/// The workspace of this repository.
#[derive(Debug)]
pub(crate) struct Workspace {
    /// Its root folder, absolute.
    pub(crate) root: PathBuf,
    /// The target folder, absolute. `CARGO_TARGET_DIR` and cargo's configuration are respected.
    pub(crate) target: PathBuf,
    /// Every guest crate, sorted by name.
    pub(crate) guests: Vec<Guest>,
    /// The cargo features of the package `sitewright`.
    pub(crate) features: Vec<String>,
    /// The members that do not depend on the package `sitewright`, that package included.
    pub(crate) beside_the_host: Vec<String>,
}

/// A crate that is compiled to a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Guest {
    /// The name of the package and of its file: `local-business`.
    pub(crate) name: String,
    /// Its Cargo.toml, which identifies the guest in cargo's messages.
    pub(crate) manifest: PathBuf,
    pub(crate) group: Group,
    pub(crate) library: Library,
}

/// What the library of a guest is compiled to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Library {
    /// A component only.
    Component,
    /// A component, and a Rust library for its own integration tests.
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
    /// The folder of its crates, relative to the root.
    pub(crate) fn sources(self) -> &'static str {
        match self {
            Group::Templates => "plugins",
            Group::TestGuests => "tests/guests",
        }
    }

    /// The folder of its components, relative to the target folder.
    fn folder(self) -> &'static str {
        match self {
            Group::Templates => "templates",
            Group::TestGuests => "test-templates",
        }
    }
}

impl Workspace {
    /// Runs `cargo metadata` in the current folder: the alias `cargo xtask` exists only inside the
    /// repository.
    pub(crate) fn load() -> anyhow::Result<Self> {
        let metadata = MetadataCommand::new()
            .no_deps()
            .exec()
            .context("cannot read the workspace with `cargo metadata`")?;
        Ok(Self::from_metadata(metadata))
    }

    fn from_metadata(metadata: Metadata) -> Self {
        let root = metadata.workspace_root.into_std_path_buf();
        let mut guests: Vec<Guest> =
            metadata.packages.iter().filter_map(|package| guest(package, &root)).collect();
        guests.sort_by(|a, b| a.name.cmp(&b.name));
        let features = metadata
            .packages
            .iter()
            .find(|package| package.name == "sitewright")
            .map(|package| package.features.keys().cloned().collect())
            .unwrap_or_default();
        let beside_the_host = metadata
            .packages
            .iter()
            .filter(|package| !package.dependencies.iter().any(|used| used.name == "sitewright"))
            .map(|package| package.name.to_string())
            .collect();
        let target = metadata.target_directory.into_std_path_buf();
        Workspace { root, target, guests, features, beside_the_host }
    }

    /// A workspace without guests, for tests of xtask.
    #[cfg(test)]
    pub(crate) fn at(root: &Path) -> Self {
        let target = root.join("target");
        let (guests, features, beside_the_host) = (Vec::new(), Vec::new(), Vec::new());
        Workspace { root: root.to_owned(), target, guests, features, beside_the_host }
    }

    /// A shell in the root folder.
    pub(crate) fn shell(&self) -> anyhow::Result<Shell> {
        let sh = Shell::new()?;
        sh.change_dir(&self.root);
        Ok(sh)
    }

    /// The folder with the components of a group.
    pub(crate) fn components(&self, group: Group) -> PathBuf {
        self.target.join(group.folder())
    }

    /// The file with the component of a guest.
    pub(crate) fn component(&self, guest: &Guest) -> PathBuf {
        self.components(guest.group).join(format!("{}.wasm", guest.name))
    }

    /// The guests of one group.
    pub(crate) fn guests(&self, group: Group) -> impl Iterator<Item = &Guest> {
        self.guests.iter().filter(move |guest| guest.group == group)
    }
}

/// The guest that a package is, if it has a `cdylib` and is in the folder of a group.
fn guest(package: &Package, root: &Path) -> Option<Guest> {
    let folder = package.manifest_path.parent()?.parent()?;
    let group = [Group::Templates, Group::TestGuests]
        .into_iter()
        .find(|group| folder == root.join(group.sources()))?;
    // A package without a `cdylib` is a crate that guests share.
    let target =
        package.targets.iter().find(|target| target.crate_types.contains(&CrateType::CDyLib))?;
    let library = match target.crate_types.len() {
        1 => Library::Component,
        _ => Library::ComponentAndRlib,
    };
    let manifest = package.manifest_path.clone().into_std_path_buf();
    Some(Guest { name: package.name.to_string(), manifest, group, library })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, path: &str, crate_types: &str) -> String {
        format!(
            r#"{{"name":"{name}","manifest_path":"{path}/Cargo.toml","version":"0.1.0",
                "id":"path+file://{path}#0.1.0","dependencies":[],"features":{{"one":[]}},
                "targets":[{{"name":"x","kind":["lib"],"src_path":"{path}/src/lib.rs",
                "crate_types":[{crate_types}]}}]}}"#
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
            r#"{{"packages":[{}],"workspace_members":[],"workspace_root":"/repo",
                "target_directory":"/elsewhere/target","version":1}}"#,
            packages.join(",")
        );
        let workspace = Workspace::from_metadata(MetadataCommand::parse(text).unwrap());
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
        assert_eq!(workspace.features, ["one"]);
        assert_eq!(workspace.beside_the_host.len(), 7);
    }

    #[test]
    fn this_repository_can_be_read() {
        let workspace = Workspace::load().unwrap();
        let file = workspace.root.join("rust-toolchain.toml");
        assert!(file.is_file(), "{}", file.display());
        assert!(workspace.target.is_absolute());
        let beside = |name: &str| workspace.beside_the_host.iter().any(|member| member == name);
        assert!(beside("sitewright") && beside("xtask") && !beside("sitewright-tests"));
    }
}
