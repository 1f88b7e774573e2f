//! What of others is in a release archive: crates in the host and in the templates, the standard
//! library, and the interpreters in templates of other languages.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package, PackageId};

use crate::languages::{Runtime, Template};
use crate::process;
use crate::standins::Standins;
use crate::toolchain::{TARGET, Toolchain};
use crate::workspace::{Group, Workspace};

/// The version of axe-core in `host/browser/axe`.
const AXE_CORE: &str = "4.14.1";

/// A piece of software in the archive.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    /// Identifies it in the bill of materials: a package URL.
    pub(crate) reference: String,
    pub(crate) name: String,
    pub(crate) version: Option<String>,
    pub(crate) description: Option<String>,
    /// A licence expression of SPDX.
    pub(crate) licence: String,
    /// Where its sources are.
    pub(crate) address: Option<String>,
    /// The folder of its sources; `None` if they are not on this machine.
    pub(crate) folder: Option<PathBuf>,
    /// SHA-256 of the package that cargo downloaded.
    pub(crate) checksum: Option<String>,
    /// Whether it is a crate of this repository.
    pub(crate) own: bool,
    /// References of the parts that it uses.
    pub(crate) uses: BTreeSet<String>,
}

/// Everything that an archive consists of.
#[derive(Debug)]
pub(crate) struct Parts {
    /// The host; what it uses are its crates, the templates and what is in them.
    pub(crate) host: Part,
    /// All other parts, sorted by name and version.
    pub(crate) others: Vec<Part>,
}

impl Parts {
    /// Reads the parts of the host for `target` and of `templates` from cargo and from the tables
    /// of this repository.
    pub(crate) fn collect(
        workspace: &Workspace,
        toolchain: &Toolchain,
        target: &str,
        templates: &[Template],
    ) -> anyhow::Result<Self> {
        let metadata = metadata(workspace, target)?;
        let guests: Vec<&str> =
            workspace.guests(Group::Templates).map(|guest| guest.name.as_str()).collect();
        let mut selected = tree(workspace, &["sitewright"], target)?;
        selected.extend(tree(workspace, &guests, TARGET)?);
        let mut others = crates(workspace, &metadata, &selected)?;
        let at = others
            .iter()
            .position(|part| part.own && part.name == "sitewright")
            .context("cargo does not list the package `sitewright`; this is a bug in xtask")?;
        let mut host = others.remove(at);
        host.uses.extend(
            others
                .iter()
                .filter(|part| part.own && guests.contains(&part.name.as_str()))
                .map(|part| part.reference.clone()),
        );
        let mut more = vec![standard_library(toolchain), axe_core(workspace)];
        let standins = Standins::load(workspace)?;
        for template in templates {
            let version = template.maker_version(workspace, &standins);
            let runtimes = template.runtimes().iter();
            more.extend(runtimes.map(|runtime| foreign(runtime, template, version.as_deref())));
        }
        host.uses.extend(more.iter().map(|part| part.reference.clone()));
        others.extend(more);
        others.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
        others.dedup_by(|a, b| a.reference == b.reference);
        Ok(Parts { host, others })
    }

    /// The parts that others wrote.
    pub(crate) fn foreign(&self) -> impl Iterator<Item = &Part> {
        self.others.iter().filter(|part| !part.own)
    }
}

/// The checker of accessibility in the host, which `--browser` runs in pages.
fn axe_core(workspace: &Workspace) -> Part {
    Part {
        reference: format!("pkg:npm/axe-core@{AXE_CORE}"),
        name: "axe-core".to_owned(),
        version: Some(AXE_CORE.to_owned()),
        description: Some("Accessibility engine for automated Web UI testing".to_owned()),
        licence: "MPL-2.0".to_owned(),
        address: Some("https://github.com/dequelabs/axe-core".to_owned()),
        folder: Some(workspace.root.join("host/browser/axe")),
        checksum: None,
        own: false,
        uses: BTreeSet::new(),
    }
}

/// Names and versions of the crates that are linked into these packages: no build scripts, no
/// macros, nothing for tests.
///
/// From `cargo tree`, because `cargo metadata` adds the features that other packages of the
/// workspace want.
fn tree(
    workspace: &Workspace,
    packages: &[&str],
    target: &str,
) -> anyhow::Result<BTreeSet<(String, String)>> {
    if packages.is_empty() {
        return Ok(BTreeSet::new());
    }
    let sh = workspace.shell()?;
    let selected = packages.iter().flat_map(|name| ["--package", *name]);
    let text = process::cargo(&sh)
        .args(["tree", "--locked", "--edges", "normal,no-proc-macro", "--target", target])
        .args(["--prefix", "none", "--format", "{p}"])
        .args(selected)
        .quiet()
        .read()
        .context(
            "cargo cannot list the dependencies; if Cargo.lock is out of date, run `cargo metadata \
             > /dev/null` and commit it",
        )?;
    Ok(text.lines().filter_map(name_and_version).collect())
}

/// `serde v1.0.229`, and `sitewright v0.1.0 (/folder) (*)`.
fn name_and_version(line: &str) -> Option<(String, String)> {
    let mut words = line.split_whitespace();
    let (name, version) = (words.next()?, words.next()?);
    Some((name.to_owned(), version.strip_prefix('v')?.to_owned()))
}

fn metadata(workspace: &Workspace, target: &str) -> anyhow::Result<Metadata> {
    let options = ["--locked", "--filter-platform", target, "--filter-platform", TARGET];
    MetadataCommand::new()
        .manifest_path(workspace.root.join("Cargo.toml"))
        .other_options(options.map(str::to_owned))
        .exec()
        .context("cannot read the dependencies with `cargo metadata`")
}

/// The crates whose name and version are in `selected`.
fn crates(
    workspace: &Workspace,
    metadata: &Metadata,
    selected: &BTreeSet<(String, String)>,
) -> anyhow::Result<Vec<Part>> {
    let checksums = checksums(workspace)?;
    let packages: BTreeMap<&PackageId, &Package> = metadata
        .packages
        .iter()
        .filter(|package| selected.contains(&identity(package)))
        .map(|package| (&package.id, package))
        .collect();
    anyhow::ensure!(
        packages.len() == selected.len(),
        "`cargo tree` lists {} crates, of which `cargo metadata` knows {}; this is a bug in xtask",
        selected.len(),
        packages.len()
    );
    let nodes = metadata.resolve.iter().flat_map(|resolve| &resolve.nodes);
    let uses: BTreeMap<&PackageId, BTreeSet<String>> = nodes
        .filter(|node| packages.contains_key(&node.id))
        .map(|node| {
            let normal = node.deps.iter().filter(|dependency| {
                dependency.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal)
            });
            let used = normal.filter_map(|dependency| packages.get(&dependency.pkg));
            (&node.id, used.map(|package| reference(package)).collect())
        })
        .collect();
    packages
        .values()
        .map(|package| {
            Ok(Part {
                reference: reference(package),
                name: package.name.to_string(),
                version: Some(package.version.to_string()),
                description: package.description.as_deref().map(one_line),
                licence: licence(package)?,
                address: package.repository.clone().or_else(|| package.homepage.clone()),
                folder: package.manifest_path.parent().map(|folder| folder.into()),
                checksum: checksums.get(&identity(package)).cloned(),
                own: package.source.is_none(),
                uses: uses.get(&package.id).cloned().unwrap_or_default(),
            })
        })
        .collect()
}

fn identity(package: &Package) -> (String, String) {
    (package.name.to_string(), package.version.to_string())
}

/// A package URL. `+`, which begins the build of a version, means a space in some URLs.
fn reference(package: &Package) -> String {
    format!("pkg:cargo/{}@{}", package.name, package.version).replace('+', "%2B")
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The licence of a package as an expression that SPDX allows: older ones write `MIT/Apache-2.0`.
fn licence(package: &Package) -> anyhow::Result<String> {
    let name = &package.name;
    let written = package.license.as_deref().with_context(|| {
        format!(
            "the crate {name} names no licence (SPDX) in its Cargo.toml, so it cannot be shipped"
        )
    })?;
    let fixed = spdx::Expression::canonicalize(written)
        .with_context(|| format!("the licence of the crate {name} cannot be read: {written}"))?;
    Ok(fixed.unwrap_or_else(|| written.to_owned()))
}

/// The checksums in Cargo.lock by name and version.
fn checksums(workspace: &Workspace) -> anyhow::Result<BTreeMap<(String, String), String>> {
    #[derive(serde::Deserialize)]
    struct Lock {
        package: Vec<Locked>,
    }
    #[derive(serde::Deserialize)]
    struct Locked {
        name: String,
        version: String,
        checksum: Option<String>,
    }
    let file = workspace.root.join("Cargo.lock");
    let text =
        fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let lock: Lock =
        toml::from_str(&text).with_context(|| format!("cannot parse {}", file.display()))?;
    let locked = lock.package.into_iter();
    Ok(locked
        .filter_map(|package| Some(((package.name, package.version), package.checksum?)))
        .collect())
}

/// Rust's standard library, which is part of the host and of templates in Rust.
fn standard_library(toolchain: &Toolchain) -> Part {
    Part {
        reference: format!("pkg:generic/rust-std@{}", toolchain.version()),
        name: "rust-std".to_owned(),
        version: Some(toolchain.version().to_owned()),
        description: Some("The standard library of Rust".to_owned()),
        licence: "MIT OR Apache-2.0".to_owned(),
        address: Some("https://github.com/rust-lang/rust".to_owned()),
        folder: None,
        checksum: None,
        own: false,
        uses: BTreeSet::new(),
    }
}

/// A part of the interpreter in the component of a template.
fn foreign(runtime: &Runtime, template: &Template, maker_version: Option<&str>) -> Part {
    let (maker, name) = (template.maker(), runtime.name);
    let made_by = maker_version.map_or_else(|| maker.to_owned(), |one| format!("{maker} {one}"));
    let version = maker_version.filter(|_| maker.ends_with(name)).map(str::to_owned);
    let at = version.as_ref().map(|version| format!("@{version}")).unwrap_or_default();
    Part {
        reference: format!("pkg:generic/{}{at}", name.to_lowercase()),
        name: name.to_owned(),
        description: Some(format!("In {}.wasm, which {made_by} makes", template.name)),
        version,
        licence: runtime.licence.to_owned(),
        address: Some(runtime.address.to_owned()),
        folder: None,
        checksum: None,
        own: false,
        uses: BTreeSet::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_cargo_tree_are_read() {
        for (line, expected) in [
            ("serde v1.0.229", Some(("serde", "1.0.229"))),
            ("toml v1.2.1+spec-1.1.0 (*)", Some(("toml", "1.2.1+spec-1.1.0"))),
            ("sitewright v0.1.0 (/my repo/host/cli)", Some(("sitewright", "0.1.0"))),
            ("", None),
        ] {
            let expected = expected.map(|(name, version)| (name.to_owned(), version.to_owned()));
            assert_eq!(name_and_version(line), expected, "{line}");
        }
    }

    #[test]
    fn the_parts_of_this_repository_have_what_a_bill_of_materials_needs() {
        let workspace = Workspace::load().unwrap();
        let toolchain = Toolchain::find(&workspace).unwrap();
        let target = toolchain.host().unwrap().to_owned();
        let templates = crate::languages::templates(&workspace).unwrap();
        let parts = Parts::collect(&workspace, &toolchain, &target, &templates).unwrap();
        let part = |name: &str| {
            let found = parts.others.iter().find(|part| part.name == name);
            found.unwrap_or_else(|| panic!("{name} is not there"))
        };
        assert!(part("wasmtime").checksum.as_ref().is_some_and(|sum| sum.len() == 64));
        assert!(part("sitewright-runtime").uses.contains(&part("wasmtime").reference));
        assert!(part("sitewright-runtime").own && !part("wasmtime").own);
        assert!(parts.host.uses.contains(&part("local-business").reference));
        assert!(parts.host.uses.contains(&part("CPython").reference));
        assert_eq!(part("CPython").licence, "PSF-2.0");
        assert!(part("componentize-py").version.is_some());
        // Not in the binary: macros, tools of the build, and what only tests use.
        for name in ["serde_derive", "cc", "insta", "xtask", "sitewright-tests"] {
            assert!(!parts.others.iter().any(|part| part.name == name), "{name}");
        }
        let references: BTreeSet<&String> =
            parts.others.iter().map(|part| &part.reference).collect();
        assert_eq!(references.len(), parts.others.len());
        for part in &parts.others {
            assert!(part.uses.iter().all(|used| references.contains(used)), "{part:?}");
        }
    }
}
