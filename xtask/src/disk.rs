//! Free space on the disks that builds and tests write to.

use std::fmt;
use std::path::Path;

use anyhow::{Context as _, ensure};

use crate::workspace::Workspace;

/// Space that the tests need for databases, sites and compiled templates. They were measured at
/// 120 MB; linkers need more.
const TESTS: Bytes = Bytes(1 << 30);

/// Space that a target folder needs in which everything is built and all tests have run. It was
/// measured at 16 GB, without the lines of the host (`.ci/run`).
const FIRST_BUILD: Bytes = Bytes(16 << 30);

/// A number of bytes, displayed in gigabytes of 2^30 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Bytes(pub(crate) u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = self.0.saturating_mul(10) >> 30;
        write!(f, "{}.{} GB", tenths / 10, tenths % 10)
    }
}

/// Returns an error if existing is too little space for the tests or, if nothing is built yet, for
/// the first build.
///
/// A full disk otherwise shows as other failures: a worker that waits for space, as it should, a
/// PostgreSQL that stops, a linker that is killed.
pub(crate) fn check_space(workspace: &Workspace) -> anyhow::Result<()> {
    // The folder `debug` exists already, because xtask is built there.
    let built = workspace.target.join("debug/sitewright").exists();
    check(&workspace.target, free(&workspace.target)?, if built { TESTS } else { FIRST_BUILD })?;
    let temporary = std::env::temp_dir();
    check(&temporary, free(&temporary)?, TESTS)
}

/// Describes the free space, for the report of a failed run.
pub(crate) fn free_space(workspace: &Workspace) -> anyhow::Result<String> {
    let temporary = std::env::temp_dir();
    Ok(format!(
        "free: {} for {}, {} for {}",
        free(&workspace.target)?,
        workspace.target.display(),
        free(&temporary)?,
        temporary.display()
    ))
}

fn check(folder: &Path, free: Bytes, needed: Bytes) -> anyhow::Result<()> {
    ensure!(
        free >= needed,
        "{} has {free} of free space and needs {needed}; remove old files (`cargo clean`) or set \
         another folder in {}",
        folder.display(),
        if folder == std::env::temp_dir() { "TMPDIR" } else { "CARGO_TARGET_DIR" },
    );
    Ok(())
}

/// The space that a user without privileges may use on the disk of this folder, or of the nearest
/// parent that exists.
fn free(folder: &Path) -> anyhow::Result<Bytes> {
    let existing = folder.ancestors().find(|folder| folder.exists()).unwrap_or(folder);
    let disk = rustix::fs::statvfs(existing)
        .with_context(|| format!("cannot read the free space of {}", existing.display()))?;
    Ok(Bytes(disk.f_bavail.saturating_mul(disk.f_frsize)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_little_space_is_an_error_with_both_sizes_and_a_remedy() {
        let error =
            check(Path::new("/disk/target"), Bytes(1_300_000_000), FIRST_BUILD).unwrap_err();
        assert_eq!(
            error.to_string(),
            "/disk/target has 1.2 GB of free space and needs 16.0 GB; remove old files (`cargo \
             clean`) or set another folder in CARGO_TARGET_DIR"
        );
        assert!(check(Path::new("/disk/target"), TESTS, TESTS).is_ok());
    }

    #[test]
    fn a_folder_that_does_not_exist_has_the_space_of_its_parent() {
        let parent = tempfile::tempdir().unwrap();
        assert!(free(&parent.path().join("target/debug")).unwrap() > Bytes(0));
    }
}
