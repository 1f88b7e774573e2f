//! File system calls relative to an open folder, and their errors.

use std::io;
use std::path::{Path, PathBuf};

use cap_fs_ext::{FollowSymlinks, OpenOptionsFollowExt};
use cap_std::fs::{Dir, DirBuilder, DirBuilderExt as _, OpenOptions, OpenOptionsExt as _};
use rustix::fs::{FlockOperation, Mode, OFlags};

use super::path::SitePath;

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

/// An order whose id differs from the one of an existing order only in case: on a file system that
/// ignores case, both would have the same folder.
#[derive(Debug, thiserror::Error)]
#[error(
    "the id `{order}` differs from that of the order `{existing}` only in upper and lower case"
)]
pub(super) struct SameButCase {
    pub(super) order: String,
    pub(super) existing: String,
}

fn hint(source: &io::Error) -> &'static str {
    if source.get_ref().is_some_and(|inner| inner.is::<SameButCase>()) {
        return "write the id as it was written first, or choose another one";
    }
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

/// Mode of [`Access::Passage`].
pub(super) const PASSAGE: u32 = 0o711;

/// Who may read a file or folder that is created here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// This user only, whatever the umask is: 0700 and 0600.
    Private,
    /// A folder with the mode 0711, whatever the umask is: others cannot see what is in it, and get
    /// through it to what they may read and know the name of.
    Passage,
    /// Whom the umask allows, and only this user may write: 0755 and 0644 without its bits.
    Public,
}

impl Access {
    fn folder_mode(self) -> Mode {
        Mode::from_raw_mode(match self {
            Access::Private => 0o700,
            Access::Passage => PASSAGE,
            Access::Public => 0o755,
        })
    }

    fn file_mode(self) -> Mode {
        Mode::from_raw_mode(match self {
            Access::Private | Access::Passage => 0o600,
            Access::Public => 0o644,
        })
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
pub(super) fn make_folder(parent: &Dir, name: &str, access: Access) -> io::Result<()> {
    Ok(rustix::fs::mkdirat(parent, one_part(name)?, access.folder_mode())?)
}

/// Creates the folders above a file of a site, with [`Access::Public`].
pub(super) fn make_site_folders(dir: &Dir, path: &SitePath) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.mode(Access::Public.folder_mode().as_raw_mode());
    let make = |folder: &str| match dir.create_dir_with(folder, &builder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    };
    let Some(innermost) = path.folders().last() else { return Ok(()) };
    match make(innermost) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => path.folders().try_for_each(make),
        made => made,
    }
}

/// Opens the folder `name`, creates it if it is missing, and returns whether it was created.
pub(super) fn ensure_folder(parent: &Dir, name: &str, access: Access) -> io::Result<(Dir, bool)> {
    match open_folder(parent, name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        opened => return opened.map(|folder| (folder, false)),
    }
    let made = match make_folder(parent, name, access) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        made => made.is_ok(),
    };
    Ok((open_folder(parent, name)?, made))
}

/// As [`ensure_folder`], for a folder that is probably missing: then it takes a system call less.
pub(super) fn create_folder(parent: &Dir, name: &str, access: Access) -> io::Result<(Dir, bool)> {
    match make_folder(parent, name, access) {
        Ok(()) => Ok((open_folder(parent, name)?, true)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            ensure_folder(parent, name, access)
        }
        Err(error) => Err(error),
    }
}

/// Creates a file for writing. An existing entry of that name is an error.
pub(super) fn create_file(dir: &Dir, path: &str, access: Access) -> io::Result<std::fs::File> {
    if path.contains('/') {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(access.file_mode().as_raw_mode());
        return Ok(dir.open_with(path, &options)?.into_std());
    }
    let flags = COMMON | OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
    let file = rustix::fs::openat(dir, one_part(path)?, flags, access.file_mode())?;
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

/// Takes all rights on an open file away from other users.
pub(super) fn make_file_private(file: &std::fs::File) -> io::Result<()> {
    Ok(rustix::fs::fchmod(file, Access::Private.file_mode())?)
}

/// As [`make_file_private`], for a folder.
pub(super) fn make_folder_private(dir: &Dir) -> io::Result<()> {
    Ok(rustix::fs::fchmod(dir, Access::Private.folder_mode())?)
}

/// Whether nobody else can see or change what is in an open folder.
pub(super) fn is_passage(dir: &Dir) -> io::Result<bool> {
    Ok(rustix::fs::fstat(dir)?.st_mode & 0o777 & !PASSAGE == 0)
}

/// Takes the rights to see and to change what is in an open folder away from other users.
pub(super) fn make_passage(dir: &Dir) -> io::Result<()> {
    let mode = rustix::fs::fstat(dir)?.st_mode & PASSAGE;
    Ok(rustix::fs::fchmod(dir, Mode::from_raw_mode(mode))?)
}

/// The target of the symbolic link `name`; `None` if there is no entry of that name.
pub(super) fn read_link(dir: &Dir, name: &str) -> io::Result<Option<PathBuf>> {
    match dir.read_link_contents(one_part(name)?) {
        Ok(target) => Ok(Some(target)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Creates the symbolic link `name` that points to `target`. Replaces a file or link of that name
/// in one step, with the help of the name `temporary`.
pub(super) fn replace_link(dir: &Dir, target: &str, name: &str, temporary: &str) -> io::Result<()> {
    match make_link(dir, target, temporary) {
        // Left by a process that ended before the rename.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            dir.remove_file(temporary).and_then(|()| make_link(dir, target, temporary))
        }
        made => made,
    }?;
    rename(dir, temporary, dir, name)
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

/// Whether a folder has no entries.
pub(super) fn is_empty_folder(dir: &Dir) -> io::Result<bool> {
    Ok(dir.entries()?.next().is_none())
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
