//! The programs that tests use in place of providers, producers and judges: their table is
//! `tests/standins/standins.json`, and they are installed into `target/standins`.
//!
//! They are installed before the tests and never by a test. A test whose stand-in is missing says
//! SKIPPED and passes; `SITEWRIGHT_REQUIRE_STANDINS=1` makes that an error.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;

use crate::console;
use crate::packages::{self, Python};
use crate::workspace::Workspace;

/// The variable that makes a missing stand-in an error.
pub(crate) const REQUIRE: &str = "SITEWRIGHT_REQUIRE_STANDINS";

/// Whether a missing stand-in is an error.
pub(crate) fn are_required() -> bool {
    std::env::var_os(REQUIRE).is_some_and(|value| value == "1")
}

/// The table of all stand-ins, by name. The name is the name of the folder too.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct Standins {
    python: BTreeMap<String, Python>,
    /// Folders with a package.json and its lock file, relative to the root.
    npm: BTreeMap<String, String>,
}

impl Standins {
    pub(crate) fn load(workspace: &Workspace) -> anyhow::Result<Self> {
        let file = workspace.root.join("tests/standins/standins.json");
        let text =
            fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        serde_json::from_str(&text).with_context(|| format!("cannot parse {}", file.display()))
    }

    /// Installs one stand-in and returns the folder of its programs, or why it cannot be installed.
    pub(crate) fn install(&self, workspace: &Workspace, name: &str) -> Result<PathBuf, String> {
        let folder = folder(workspace).join(name);
        if let Some(wanted) = self.python.get(name) {
            return packages::python(&workspace.target, &folder, wanted);
        }
        match self.npm.get(name) {
            Some(manifest) => packages::npm(&folder, &workspace.root.join(manifest)),
            None => Err(format!("tests/standins/standins.json has no stand-in `{name}`")),
        }
    }

    /// Identifies the versions of a stand-in.
    pub(crate) fn key(&self, workspace: &Workspace, name: &str) -> String {
        let lock_file = |folder: &String| workspace.root.join(folder).join("package-lock.json");
        match (self.python.get(name), self.npm.get(name)) {
            (Some(python), _) => python.packages.join("\n"),
            (_, Some(npm)) => fs::read_to_string(lock_file(npm)).unwrap_or_default(),
            _ => String::new(),
        }
    }

    /// The version of a package in a stand-in; `None` if it has no such package.
    pub(crate) fn version(
        &self,
        workspace: &Workspace,
        name: &str,
        package: &str,
    ) -> Option<String> {
        if let Some(python) = self.python.get(name) {
            let mut packages = python.packages.iter();
            return packages
                .find_map(|wanted| wanted.strip_prefix(package)?.strip_prefix("=="))
                .map(str::to_owned);
        }
        let lock: serde_json::Value = serde_json::from_str(&self.key(workspace, name)).ok()?;
        let locked = &lock["packages"][format!("node_modules/{package}")];
        locked["version"].as_str().map(str::to_owned)
    }

    /// Installs all stand-ins and prints which cannot be installed.
    pub(crate) fn install_all(&self, workspace: &Workspace) -> anyhow::Result<()> {
        let names: Vec<&String> = self.python.keys().chain(self.npm.keys()).collect();
        let mut missing = 0;
        for name in &names {
            if let Err(why) = self.install(workspace, name) {
                missing += 1;
                console::line(&format!("SKIPPED: the stand-in {name} cannot be had: {why}"));
            }
        }
        console::line(&format!(
            "{} of {} stand-ins are in {}",
            names.len() - missing,
            names.len(),
            folder(workspace).display()
        ));
        anyhow::ensure!(
            missing == 0 || !are_required(),
            "{REQUIRE}=1 requires all stand-ins; see the lines above for those that are missing"
        );
        Ok(())
    }
}

/// The folder with one folder for each stand-in.
pub(crate) fn folder(workspace: &Workspace) -> PathBuf {
    workspace.target.join("standins")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_can_be_read_and_its_folders_exist() {
        let workspace = Workspace::load().unwrap();
        let standins = Standins::load(&workspace).unwrap();
        assert!(standins.python["mock"].dependencies);
        assert!(!standins.python["model"].dependencies);
        for package in standins.python.values().flat_map(|python| &python.packages) {
            assert!(package.contains("=="), "{package} has no version");
        }
        for manifest in standins.npm.values() {
            let lock_file = workspace.root.join(manifest).join("package-lock.json");
            assert!(lock_file.is_file(), "{}", lock_file.display());
        }
    }

    #[test]
    fn the_version_of_a_package_is_known() {
        let workspace = Workspace::load().unwrap();
        let standins = Standins::load(&workspace).unwrap();
        let version = |name: &str, package: &str| standins.version(&workspace, name, package);
        for (name, package) in [
            ("python-guest", "componentize-py"),
            ("javascript", "@bytecodealliance/componentize-js"),
        ] {
            let found = version(name, package).unwrap();
            assert!(found.split('.').count() == 3, "{package} {found}");
        }
        assert_eq!(version("javascript", "no-such-package"), None);
        assert_eq!(version("no-such-standin", "esbuild"), None);
    }

    #[test]
    fn an_unknown_name_is_an_error() {
        let workspace = Workspace::load().unwrap();
        let standins = Standins::load(&workspace).unwrap();
        let why = standins.install(&workspace, "no-such-standin").unwrap_err();
        assert!(why.contains("no-such-standin"), "{why}");
    }
}
