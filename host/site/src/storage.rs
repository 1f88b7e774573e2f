//! File system calls relative to an open folder, and their errors.

use std::io;
use std::path::{Path, PathBuf};

use cap_fs_ext::{FollowSymlinks, OpenOptionsFollowExt};
use cap_std::fs::{Dir, OpenOptions};
use rustix::fs::{FlockOperation, Mode, OFlags};

/// A failed file system call. The message names the file or folder and what to do.
#[derive(Debug, thiserror::Error)]
#[error("could not {doing} `{}`: {source}; {}", .path.display(), hint(.source))]
pub struct StorageError {
    /// The operation: `write`, `create the folder`.
    pub doing: &'static str,
    /// Absolute, or as configured.
    pub path: PathBuf,
    /// The error of the operating system.
    pub source: io::Error,
}

impl StorageError {
    /// Maps an I/O error: `.map_err(StorageError::on("write", path))`.
    pub(super) fn on(
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> StorageError {
        let path = path.into();
        move |source| StorageError { doing, path, source }
    }
}

fn hint(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::PermissionDenied => {
            "give the host's user write access to it, or choose another `sites` folder"
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "free space on that disk and run the order again"
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            "the file system is read-only: choose another `sites` folder"
        }
        io::ErrorKind::NotFound => {
            "something else removed it: keep other programs out of the sites folder"
        }
        io::ErrorKind::AlreadyExists => {
            "something else made it: keep other programs out of the sites folder"
        }
        _ => "check the disk and the folder's owner, then run the order again",
    }
}

/// Flags of every `open` here: a symbolic link in the last part is an error.
const COMMON: OFlags = OFlags::CLOEXEC.union(OFlags::NOFOLLOW);

/// Checks that `name` is exactly one part of a path. Then one system call relative to an open
/// folder is safe: neither `..` nor a link leads elsewhere. Paths of several parts go through
/// cap-std, which opens each part and makes three to five times as many system calls.
fn one_part(name: &str) -> io::Result<&str> {
    if name.contains('/') || matches!(name, "" | "." | "..") {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{name:?} is not the name of one entry"),
        ));
    }
    Ok(name)
}

/// Opens the folder at `path`, which may contain symbolic links. Everything else is opened relative
/// to it.
pub(super) fn open_root(path: &Path) -> io::Result<Dir> {
    let flags = OFlags::CLOEXEC | OFlags::DIRECTORY | OFlags::RDONLY;
    let folder = rustix::fs::open(path, flags, Mode::empty())?;
    Ok(Dir::from_std_file(std::fs::File::from(folder)))
}

/// Opens the folder `name`, never through a symbolic link.
pub(super) fn open_folder(parent: &Dir, name: &str) -> io::Result<Dir> {
    let flags = COMMON | OFlags::DIRECTORY | OFlags::RDONLY;
    let folder = rustix::fs::openat(parent, one_part(name)?, flags, Mode::empty())?;
    Ok(Dir::from_std_file(std::fs::File::from(folder)))
}

/// Creates the folder `name`. An existing entry of that name is an error.
pub(super) fn make_folder(parent: &Dir, name: &str) -> io::Result<()> {
    Ok(rustix::fs::mkdirat(parent, one_part(name)?, Mode::from_raw_mode(0o777))?)
}

/// Opens the folder `name`, creates it if it is missing, and returns whether it was created.
pub(super) fn ensure_folder(parent: &Dir, name: &str) -> io::Result<(Dir, bool)> {
    match open_folder(parent, name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        opened => return opened.map(|folder| (folder, false)),
    }
    let made = match make_folder(parent, name) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        made => made.is_ok(),
    };
    Ok((open_folder(parent, name)?, made))
}

/// Creates a file for writing. An existing entry of that name is an error.
pub(super) fn create_file(dir: &Dir, path: &str) -> io::Result<std::fs::File> {
    if path.contains('/') {
        let file = dir.open_with(path, OpenOptions::new().write(true).create_new(true))?;
        return Ok(file.into_std());
    }
    let flags = COMMON | OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
    let file = rustix::fs::openat(dir, one_part(path)?, flags, Mode::from_raw_mode(0o666))?;
    Ok(std::fs::File::from(file))
}

/// Opens a file for reading, never through a symbolic link in its last part.
pub(super) fn open_file(dir: &Dir, path: &str) -> io::Result<std::fs::File> {
    if path.contains('/') {
        let file = dir.open_with(path, OpenOptions::new().read(true).follow(FollowSymlinks::No))?;
        return Ok(file.into_std());
    }
    let file = rustix::fs::openat(dir, one_part(path)?, COMMON | OFlags::RDONLY, Mode::empty())?;
    Ok(std::fs::File::from(file))
}

/// Renames an entry, also into another folder, atomically. Replaces a file or link of that name.
pub(super) fn rename(from: &Dir, name: &str, to: &Dir, new: &str) -> io::Result<()> {
    Ok(rustix::fs::renameat(from, one_part(name)?, to, one_part(new)?)?)
}

/// Renames an entry in its folder. An existing entry of that name is an error.
pub(super) fn rename_new(dir: &Dir, name: &str, new: &str) -> io::Result<()> {
    let flags = rustix::fs::RenameFlags::NOREPLACE;
    match rustix::fs::renameat_with(dir, one_part(name)?, dir, one_part(new)?, flags) {
        // Some file systems lack the flag; the replaced file has the same name and content.
        Err(rustix::io::Errno::INVAL) => rename(dir, name, dir, new),
        renamed => Ok(renamed?),
    }
}

/// Creates the symbolic link `name` that points to `target`.
pub(super) fn make_link(dir: &Dir, target: &str, name: &str) -> io::Result<()> {
    Ok(rustix::fs::symlinkat(target, dir, one_part(name)?)?)
}

/// Writes a folder's entries to the disk. Its files need a sync of their own.
pub(super) fn sync_folder(dir: &Dir) -> io::Result<()> {
    Ok(rustix::io::retry_on_intr(|| rustix::fs::fsync(dir))?)
}

/// As [`sync_folder`], for a path of several parts below `dir`.
pub(super) fn sync_folder_at(dir: &Dir, path: &str) -> io::Result<()> {
    // cap-std opens folders with Linux's `O_PATH`, which cannot be synced: open it again.
    dir.open_dir(path)?.open(".")?.sync_all()
}

/// Locks a folder until `dir` is closed; waits if it is locked. Excludes other processes and other
/// handles of this process.
pub(super) fn lock(dir: &Dir) -> io::Result<()> {
    Ok(rustix::io::retry_on_intr(|| rustix::fs::flock(dir, FlockOperation::LockExclusive))?)
}

/// As [`lock`], but returns `false` if the folder is locked.
pub(super) fn try_lock(dir: &Dir) -> io::Result<bool> {
    match rustix::fs::flock(dir, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Removes a folder and its content. A missing folder is not an error.
pub(super) fn remove_folder(parent: &Dir, name: &str) -> io::Result<()> {
    match parent.remove_dir_all(name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Runs file system work on the blocking pool.
///
/// # Errors
/// Those of `work`. If it panicked or the runtime is shutting down, a [`StorageError`] on `path`.
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
            Err(StorageError { doing: "finish the work on", path, source: io::Error::other(error) }
                .into())
        }
    }
}
