//! Scratch folders of replays. They hold a customer's data: they are private, and a folder whose
//! process was killed is removed by the next replay.

use std::fs::{File, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use sitewright_model::message;
use sitewright_model::message::Message;

const PREFIX: &str = "sitewright-replay-";

/// Minimum age of a folder that is removed as stale. A younger one may not be locked yet.
const STALE_AGE: Duration = Duration::from_secs(60);

/// A folder in the system's temporary folder that only this user can read. Removed when dropped.
#[derive(Debug)]
pub struct Scratch {
    folder: TempDir,
    /// Locked as long as the process lives; the kernel unlocks it if the process is killed.
    _lock: File,
}

impl Scratch {
    /// Makes a scratch folder, and removes those that killed replays of this user left behind.
    ///
    /// # Errors
    /// If the folder cannot be made.
    pub async fn create() -> Result<Self, Message> {
        let create = || Scratch::create_in(&std::env::temp_dir(), STALE_AGE);
        tokio::task::spawn_blocking(create)
            .await
            .unwrap_or_else(|error| Err(std::io::Error::other(error)))
            .map_err(|error| {
                message!(
                    "no folder for the replay can be made in {}: {error}; set TMPDIR to a folder \
                     that you can write to",
                    std::env::temp_dir().display()
                )
            })
    }

    fn create_in(parent: &Path, stale_age: Duration) -> std::io::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix(PREFIX)
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(parent)?;
        let lock = File::open(folder.path())?;
        lock.lock()?;
        remove_stale(parent, lock.metadata()?.uid(), stale_age);
        Ok(Scratch { folder, _lock: lock })
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Removes the scratch folders of this user that no process has locked.
fn remove_stale(parent: &Path, user: u32, age: Duration) {
    for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
        if !entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes()) {
            continue;
        }
        // Not through a link: another user may have made it.
        let Ok(metadata) = entry.metadata() else { continue };
        let modified = metadata.modified().ok().and_then(|time| time.elapsed().ok());
        if !metadata.is_dir()
            || metadata.uid() != user
            || modified.is_none_or(|modified| modified < age)
        {
            continue;
        }
        let path = entry.path();
        let Ok(folder) = File::open(&path) else { continue };
        if folder.try_lock().is_err() {
            continue;
        }
        match std::fs::remove_dir_all(&path) {
            Ok(()) => tracing::info!(
                folder = %path.display(),
                "removed the scratch folder of a replay that was killed"
            ),
            Err(error) => tracing::warn!(
                folder = %path.display(),
                %error,
                "the scratch folder of a killed replay cannot be removed; it holds a customer's \
                 data: remove it"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scratch_folder_is_private_and_goes_with_its_owner() {
        let parent = tempfile::tempdir().unwrap();
        let scratch = Scratch::create_in(parent.path(), STALE_AGE).unwrap();
        let path = scratch.path().to_owned();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        std::fs::write(path.join("order.json"), "{}").unwrap();
        drop(scratch);
        assert!(!path.exists());
    }

    #[test]
    fn folders_of_killed_replays_are_removed_and_no_others() {
        let parent = tempfile::tempdir().unwrap();
        let running = Scratch::create_in(parent.path(), STALE_AGE).unwrap();
        let killed = parent.path().join("sitewright-replay-killed");
        std::fs::create_dir(&killed).unwrap();
        std::fs::write(killed.join("order.json"), "{}").unwrap();
        let other = parent.path().join("other");
        std::fs::create_dir(&other).unwrap();
        let link = parent.path().join("sitewright-replay-link");
        std::os::unix::fs::symlink(&other, &link).unwrap();

        let young = Scratch::create_in(parent.path(), STALE_AGE).unwrap();
        assert!(killed.exists(), "a young folder may not be locked yet");
        drop(young);

        let next = Scratch::create_in(parent.path(), Duration::ZERO).unwrap();
        assert!(!killed.exists());
        assert!(running.path().exists() && next.path().exists() && other.exists());
        assert!(link.is_symlink());
    }
}
