//! The file system under the sites: what can go wrong, and the few operations every part here shares.

use std::io;
use std::path::{Path, PathBuf};

use cap_fs_ext::{DirExt, FollowSymlinks, OpenOptionsFollowExt};
use cap_std::fs::{Dir, File, OpenOptions};

/// The operating system refused something. Names the file or folder and what to do.
#[derive(Debug, thiserror::Error)]
#[error("could not {doing} `{}`: {source}; {}", .path.display(), advice(.source))]
pub struct StorageError {
    /// What was tried: `write`, `create the folder`.
    pub doing: &'static str,
    /// The file or folder, as an operator finds it.
    pub path: PathBuf,
    /// What the operating system said.
    pub source: io::Error,
}

impl StorageError {
    pub(super) fn on(
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> StorageError {
        let path = path.into();
        move |source| StorageError { doing, path, source }
    }
}

fn advice(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::PermissionDenied => {
            "give the host's user write access to it, or choose another `sites` folder"
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "free space on that disk and run the order again"
        }
        io::ErrorKind::ReadOnlyFilesystem => "the file system is read-only: choose another `sites` folder",
        io::ErrorKind::NotFound => "something else removed it: keep other programs out of the sites folder",
        io::ErrorKind::AlreadyExists => "something else made it: keep other programs out of the sites folder",
        _ => "check the disk and the folder's owner, then run the order again",
    }
}

/// Opens the folder `name`, never through a symbolic link in its last part.
pub(super) fn open_folder(parent: &Dir, name: &str) -> io::Result<Dir> {
    parent.open_dir_nofollow(name)
}

/// Makes the folder `name` unless it is there, and opens it.
pub(super) fn ensure_folder(parent: &Dir, name: &str) -> io::Result<Dir> {
    match parent.create_dir(name) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    open_folder(parent, name)
}

/// Opens a file that must not exist yet, for writing.
pub(super) fn create_file(dir: &Dir, path: impl AsRef<Path>) -> io::Result<File> {
    dir.open_with(path, OpenOptions::new().write(true).create_new(true))
}

/// Opens a file for reading, never through a symbolic link in its last part.
pub(super) fn open_file(dir: &Dir, path: impl AsRef<Path>) -> io::Result<File> {
    dir.open_with(path, OpenOptions::new().read(true).follow(FollowSymlinks::No))
}

/// Writes a folder's entries to the disk. Its files are synced on their own.
pub(super) fn sync_folder(dir: &Dir) -> io::Result<()> {
    handle_of(dir)?.sync_all()
}

/// The folder opened once more as a file of the standard library, for locks and syncs: the handle inside `dir` is one of
/// Linux's `O_PATH` kind, which can neither be locked nor synced. A lock lasts as long as the returned handle.
pub(super) fn handle_of(dir: &Dir) -> io::Result<std::fs::File> {
    Ok(dir.open(".")?.into_std())
}

/// Removes a folder with everything in it; it is no error when there is none.
pub(super) fn remove_folder(parent: &Dir, name: &str) -> io::Result<()> {
    match parent.remove_dir_all(name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Runs blocking file system work on the blocking pool. The outer error is the pool's: it is shutting down or the work
/// panicked.
pub(super) async fn blocking<T, E>(
    path: PathBuf,
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, E>
where
    T: Send + 'static,
    E: From<StorageError> + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => {
            Err(StorageError { doing: "finish the work on", path, source: io::Error::other(error) }.into())
        }
    }
}
