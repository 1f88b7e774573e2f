//! Room on the disks that building and testing write to.

use std::fmt;
use std::path::Path;

use anyhow::{Context as _, ensure};

use crate::workspace::Workspace;

/// What the tests write for a while beside what is built: databases, sites (120 MB were measured;
/// compiled templates and linkers take more).
const TESTS: Bytes = Bytes(1 << 30);

/// What a target folder takes that has everything and on which all tests have run (9.4 GB were
/// measured).
const FIRST_BUILD: Bytes = Bytes(10 << 30);

/// An amount of bytes, shown in gigabytes of 2^30.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Bytes(pub(crate) u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = self.0.saturating_mul(10) >> 30;
        write!(f, "{}.{} GB", tenths / 10, tenths % 10)
    }
}

/// Refuses to go on where too little is free for the tests, and for building everything where
/// nothing is built yet. A full disk shows itself in many other ways: a worker that waits, as it
/// should, until there is room, a PostgreSQL that ends, a linker that is killed.
pub(crate) fn room(workspace: &Workspace) -> anyhow::Result<()> {
    // xtask itself has made the folder `debug` already.
    let built = workspace.target.join("debug/sitewright").exists();
    enough(&workspace.target, free(&workspace.target)?, if built { TESTS } else { FIRST_BUILD })?;
    let temporary = std::env::temp_dir();
    enough(&temporary, free(&temporary)?, TESTS)
}

/// What is free, for a person who wonders why something failed.
pub(crate) fn left(workspace: &Workspace) -> anyhow::Result<String> {
    let temporary = std::env::temp_dir();
    Ok(format!(
        "free: {} for {}, {} for {}",
        free(&workspace.target)?,
        workspace.target.display(),
        free(&temporary)?,
        temporary.display()
    ))
}

fn enough(folder: &Path, free: Bytes, needed: Bytes) -> anyhow::Result<()> {
    ensure!(
        free >= needed,
        "{free} are free for {}, and {needed} are needed; remove what is old there (`cargo \
         clean`), or name another folder in {}",
        folder.display(),
        if folder == std::env::temp_dir() { "TMPDIR" } else { "CARGO_TARGET_DIR" },
    );
    Ok(())
}

/// What an ordinary user may still write to the file system of this folder, or of the nearest one
/// above it that exists.
fn free(folder: &Path) -> anyhow::Result<Bytes> {
    let there = folder.ancestors().find(|folder| folder.exists()).unwrap_or(folder);
    let disk = rustix::fs::statvfs(there)
        .with_context(|| format!("the disk of {} cannot be asked what is free", there.display()))?;
    Ok(Bytes(disk.f_bavail.saturating_mul(disk.f_frsize)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_little_room_is_refused_with_both_figures_and_what_to_do() {
        let error =
            enough(Path::new("/there/target"), Bytes(1_300_000_000), FIRST_BUILD).unwrap_err();
        assert_eq!(
            error.to_string(),
            "1.2 GB are free for /there/target, and 10.0 GB are needed; remove what is old there \
             (`cargo clean`), or name another folder in CARGO_TARGET_DIR"
        );
        assert!(enough(Path::new("/there/target"), TESTS, TESTS).is_ok());
    }

    #[test]
    fn a_folder_that_is_not_there_yet_has_the_room_of_the_one_above() {
        let above = tempfile::tempdir().unwrap();
        assert!(free(&above.path().join("target/debug")).unwrap() > Bytes(0));
    }
}
