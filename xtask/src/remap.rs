//! Compiler flags that keep the paths of this machine out of templates.
//!
//! The digest of a template depends on its sources and not on the folder it was built in, and the
//! files in a failure record are relative to the repository.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// The folders whose paths the compiler would write into a template.
#[derive(Debug)]
pub(crate) struct Origins {
    /// The repository.
    pub(crate) workspace: PathBuf,
    /// `<cargo home>/registry/src/<index>`, one for each registry.
    pub(crate) registries: Vec<PathBuf>,
    /// `<cargo home>/git/checkouts`.
    pub(crate) git: PathBuf,
    /// The sources of the standard library, if rust-src is installed. The compiler then writes
    /// their paths instead of `/rustc/<commit>`.
    pub(crate) std_sources: Option<StdSources>,
}

/// The sources of the standard library on this machine.
#[derive(Debug)]
pub(crate) struct StdSources {
    /// `<sysroot>/lib/rustlib/src/rust`.
    pub(crate) folder: PathBuf,
    /// The commit of the compiler.
    pub(crate) commit: String,
}

impl Origins {
    /// One flag for each folder. Of several that match, rustc uses the last, so the more specific
    /// ones (such as a cargo home inside the repository) come after the general ones.
    ///
    /// The new paths are absolute, except those of the repository: debuggers join a relative path
    /// with the folder of the crate, which would repeat the path of a dependency. They keep
    /// `registry/src` and `/rustc/<commit>`, by which the host separates the frames of the
    /// template from those of its dependencies.
    pub(crate) fn flags(&self) -> Vec<String> {
        let mut flags = vec![remap(&self.workspace, "")];
        flags.push(remap(&self.git, "/cargo/git/checkouts/"));
        flags.extend(
            self.registries.iter().map(|folder| remap(folder, "/cargo/registry/src/registry/")),
        );
        flags.extend(
            self.std_sources
                .iter()
                .map(|std| remap(&std.folder, &format!("/rustc/{}/", std.commit))),
        );
        flags
    }
}

fn remap(from: &Path, to: &str) -> String {
    format!("--remap-path-prefix={}/={to}", from.display())
}

/// Encodes flags for `CARGO_ENCODED_RUSTFLAGS`, because paths may contain spaces.
pub(crate) fn encode(flags: &[String]) -> String {
    flags.join("\u{1f}")
}

/// The folders of `<cargo home>/registry/src`; their names contain a hash of the registry's
/// address. Sorted, so that the flags are the same in every build.
pub(crate) fn registries(cargo_home: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let folder = cargo_home.join("registry/src");
    let read = || -> io::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                found.push(path);
            }
        }
        found.sort();
        Ok(found)
    };
    match read() {
        Ok(found) => Ok(found),
        // Vendored sources: no crate comes from there.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).with_context(|| format!("cannot list {}", folder.display())),
    }
}

/// The cargo home, found as cargo finds it: `CARGO_HOME`, else `.cargo` in the home folder.
pub(crate) fn cargo_home(
    cargo_home: Option<PathBuf>,
    home: Option<PathBuf>,
) -> anyhow::Result<PathBuf> {
    cargo_home
        .filter(|path| path.is_absolute())
        .or_else(|| home.map(|home| home.join(".cargo")))
        .context(
            "neither CARGO_HOME (absolute) nor HOME is set, so the paths of dependencies cannot \
             be kept out of the templates; set one of them",
        )
}

/// The commit in the output of `rustc --version --verbose`; `None` for compilers that were built
/// from a tarball.
pub(crate) fn commit(rustc_version: &str) -> Option<String> {
    rustc_version
        .lines()
        .find_map(|line| line.strip_prefix("commit-hash: "))
        .filter(|hash| *hash != "unknown")
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_folder_gets_a_stable_path_and_the_specific_ones_come_last() {
        let origins = Origins {
            workspace: "/home/ana/my sites".into(),
            registries: vec![
                "/home/ana/my sites/.c/registry/src/index-1".into(),
                "/x/registry/src/other-2".into(),
            ],
            git: "/home/ana/my sites/.c/git/checkouts".into(),
            std_sources: Some(StdSources {
                folder: "/tc/lib/rustlib/src/rust".into(),
                commit: "abc".into(),
            }),
        };
        let flags = origins.flags();
        assert_eq!(
            flags,
            [
                "--remap-path-prefix=/home/ana/my sites/=",
                "--remap-path-prefix=/home/ana/my sites/.c/git/checkouts/=/cargo/git/checkouts/",
                "--remap-path-prefix=/home/ana/my \
                 sites/.c/registry/src/index-1/=/cargo/registry/src/registry/",
                "--remap-path-prefix=/x/registry/src/other-2/=/cargo/registry/src/registry/",
                "--remap-path-prefix=/tc/lib/rustlib/src/rust/=/rustc/abc/",
            ]
        );
        assert_eq!(encode(&flags).split('\u{1f}').collect::<Vec<_>>(), flags);
    }

    #[test]
    fn registries_are_listed_in_order_and_files_are_not_registries() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(registries(home.path()).unwrap(), Vec::<PathBuf>::new());
        let src = home.path().join("registry/src");
        for name in ["b-2", "a-1"] {
            fs::create_dir_all(src.join(name)).unwrap();
        }
        fs::write(src.join("CACHEDIR.TAG"), "").unwrap();
        assert_eq!(registries(home.path()).unwrap(), [src.join("a-1"), src.join("b-2")]);
    }

    #[test]
    fn cargo_home_is_found_as_cargo_finds_it() {
        let found = |cargo: Option<&str>, home: Option<&str>| {
            cargo_home(cargo.map(Into::into), home.map(Into::into))
        };
        assert_eq!(found(Some("/c"), Some("/h")).unwrap(), Path::new("/c"));
        assert_eq!(found(None, Some("/h")).unwrap(), Path::new("/h/.cargo"));
        assert_eq!(found(Some(""), Some("/h")).unwrap(), Path::new("/h/.cargo"));
        assert!(found(None, None).unwrap_err().to_string().contains("CARGO_HOME"));
    }

    #[test]
    fn the_commit_of_the_compiler_may_be_missing() {
        assert_eq!(
            commit("rustc 1.95.0\nbinary: rustc\ncommit-hash: 59807616e1fa\n").as_deref(),
            Some("59807616e1fa")
        );
        assert_eq!(commit("rustc 1.95.0\ncommit-hash: unknown\n"), None);
        assert_eq!(commit(""), None);
    }
}
