//! The sites folder, which contains all sites, and the folder of one order in it.

use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use super::staging_buffer::BufferBudget;
use super::storage::{
    StorageError, create_file, ensure_folder, open_folder, open_root, remove_folder, rename_new,
    sync_folder, try_lock,
};

pub(super) const STAGING: &str = "staging";
pub(super) const RELEASES: &str = "releases";
/// Prefix of a folder in `releases` while a site is written to it.
pub(super) const NEW_PREFIX: &str = ".new-";
/// Name of the link in an order's folder that points to its current release.
pub const CURRENT: &str = "current";

/// The name of an order's folder, or of an attempt's folder in its staging area: 1 to 64 ASCII
/// letters, digits, `.`, `_` or `-`, not beginning with a dot. So it is always exactly one part of
/// a path (failure catalogue F1).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OrderDir(String);

/// A text that is not an [`OrderDir`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` cannot name a folder; use 1 to 64 letters, digits, `.`, `_` or `-`, not beginning with \
     a dot"
)]
pub struct OrderDirError(pub String);

impl OrderDir {
    /// Validates `name`.
    ///
    /// # Errors
    /// If it is empty, too long, begins with a dot or has any other character.
    pub fn new(name: &str) -> Result<Self, OrderDirError> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if (1..=64).contains(&name.len()) && !name.starts_with('.') && name.bytes().all(allowed) {
            Ok(OrderDir(name.to_owned()))
        } else {
            Err(OrderDirError(name.chars().take(80).collect()))
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OrderDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for OrderDir {
    type Error = OrderDirError;
    fn try_from(name: String) -> Result<Self, OrderDirError> {
        OrderDir::new(&name)
    }
}

impl From<OrderDir> for String {
    fn from(dir: OrderDir) -> String {
        dir.0
    }
}

/// Why the sites folder cannot be used. The host does not start with it.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// It does not exist and cannot be created, or is not a folder.
    #[error(
        "the sites folder `{}` cannot be opened: {source}; make it, or name another in the \
         configuration",
        .path.display()
    )]
    Open {
        /// As configured.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// It exists, but a test file could not be written to it.
    #[error(
        "the sites folder `{}` is not writable: {source}; give the host's user write access to \
         it, or name another in the configuration",
        .path.display()
    )]
    NotWritable {
        /// Absolute, links resolved.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
}

/// The sites folder, open. Cheap to clone. Everything in it is opened relative to this handle, so
/// that neither a change of the working directory (failure catalogue F3) nor a symbolic link inside
/// leads out of it.
#[derive(Debug, Clone)]
pub struct SitesRoot {
    dir: Arc<Dir>,
    path: Arc<Path>,
    buffer_budget: Arc<BufferBudget>,
}

impl SitesRoot {
    /// Creates the folder if it is missing, resolves its path once and checks that it is writable.
    /// Blocking: call it from `spawn_blocking`, or before the host serves anything.
    ///
    /// # Errors
    /// Each names the folder and what to do.
    pub fn open(path: &Path) -> Result<Self, RootError> {
        let open = |source| RootError::Open { path: path.to_owned(), source };
        Dir::create_ambient_dir_all(path, ambient_authority()).map_err(open)?;
        let path_resolved = std::fs::canonicalize(path).map_err(open)?;
        let dir = open_root(&path_resolved).map_err(open)?;
        probe(&dir)
            .map_err(|source| RootError::NotWritable { path: path_resolved.clone(), source })?;
        Ok(SitesRoot {
            dir: Arc::new(dir),
            path: path_resolved.into(),
            buffer_budget: Arc::default(),
        })
    }

    /// Keeps small sites in memory until they are released, at most `bytes` bytes of all sites
    /// together: most sites then touch the disk once, after their checks. Default: 0, every file
    /// goes to the disk when it is written.
    #[must_use]
    pub fn with_staging_buffer(mut self, bytes: u64) -> Self {
        self.buffer_budget = Arc::new(BufferBudget::new(bytes));
        self
    }

    pub(super) fn buffer_budget(&self) -> &Arc<BufferBudget> {
        &self.buffer_budget
    }

    /// The open folder.
    pub(super) fn dir(&self) -> &Arc<Dir> {
        &self.dir
    }

    /// The folder: absolute, links resolved.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of the order's folder, for messages; it may not exist.
    pub fn order_path(&self, order: &OrderDir) -> PathBuf {
        self.path.join(order.as_str())
    }

    /// Opens the order's folder; `None` if it does not exist. Blocking.
    ///
    /// # Errors
    /// If it exists and cannot be opened, or is a symbolic link.
    pub fn open_order(&self, order: &OrderDir) -> Result<Option<Dir>, StorageError> {
        match open_folder(&self.dir, order.as_str()) {
            Ok(dir) => Ok(Some(dir)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StorageError::on("open the folder", self.order_path(order))(error)),
        }
    }

    /// Opens the order's folder. Creates it if it is missing; a new one is on the disk when this
    /// returns. Blocking.
    ///
    /// # Errors
    /// If it cannot be created or opened, or is a symbolic link.
    pub fn ensure_order(&self, order: &OrderDir) -> Result<Dir, StorageError> {
        let (dir, made) = self.ensure_order_unsynced(order)?;
        if made {
            sync_folder(&self.dir)
                .map_err(StorageError::on("create the folder", self.order_path(order)))?;
        }
        Ok(dir)
    }

    /// Opens or creates the order's folder without syncing the sites folder, and returns whether
    /// the order's folder is new.
    pub(super) fn ensure_order_unsynced(
        &self,
        order: &OrderDir,
    ) -> Result<(Dir, bool), StorageError> {
        ensure_folder(&self.dir, order.as_str())
            .map_err(StorageError::on("create the folder", self.order_path(order)))
    }

    /// Writes a small file to `<order>/<folder>/<name>`, whole or not at all, and never through a
    /// symbolic link. Creates missing folders. An existing file of that name is left as it is,
    /// which is not an error. The file is not synced: it may be missing after a power cut.
    /// Blocking.
    ///
    /// # Errors
    /// The file system call that failed.
    pub fn archive(
        &self,
        order: &OrderDir,
        folder: &str,
        name: &str,
        content: &[u8],
    ) -> Result<(), StorageError> {
        let shown = self.order_path(order).join(folder).join(name);
        let order = self.ensure_order(order)?;
        let written = ensure_folder(&order, folder).and_then(|(dir, _)| {
            let temporary = format!(".{name}.{}.tmp", Ulid::generate());
            let written = create_file(&dir, &temporary)
                .and_then(|mut file| file.write_all(content))
                .and_then(|()| match rename_new(&dir, &temporary, name) {
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                        dir.remove_file(&temporary)
                    }
                    renamed => renamed,
                });
            written.inspect_err(|_| drop(dir.remove_file(&temporary)))
        });
        written.map_err(StorageError::on("write", shown))
    }

    /// Removes what crashed runs left behind, and returns the number of removed folders. A live run
    /// holds a lock on its folder, in this process or another one, and is skipped. Blocking.
    ///
    /// # Errors
    /// The first folder that could not be read or removed; the others are swept nevertheless.
    pub fn sweep(&self) -> Result<u64, StorageError> {
        let mut swept = 0;
        let mut first = None;
        let entries = self
            .dir
            .entries()
            .map_err(StorageError::on("read the folder", self.path.to_path_buf()))?;
        for entry in entries {
            let name = match entry {
                Ok(entry) => entry.file_name(),
                Err(error) => {
                    let path = self.path.to_path_buf();
                    first = first.or(Some(StorageError::on("read the folder", path)(error)));
                    continue;
                }
            };
            // Any other name is not an order's folder.
            let Ok(order) = OrderDir::new(&name.to_string_lossy()) else { continue };
            match self.sweep_order(&order) {
                Ok(count) => swept += count,
                Err(error) => first = first.or(Some(error)),
            }
        }
        first.map_or(Ok(swept), Err)
    }

    fn sweep_order(&self, name: &OrderDir) -> Result<u64, StorageError> {
        let path = self.order_path(name);
        let order = match open_folder(&self.dir, name.as_str()) {
            Ok(order) => order,
            Err(error) if is_no_folder(&error) => return Ok(0),
            Err(error) => return Err(StorageError::on("open the folder", path)(error)),
        };
        let mut swept = sweep_folder(&order, STAGING, &path, |_| true)?;
        // A publication holds this lock, so an unfinished folder here belongs to a dead process.
        if try_lock(&order).map_err(StorageError::on("lock the folder", &path))? {
            swept += sweep_folder(&order, RELEASES, &path, |entry| entry.starts_with(NEW_PREFIX))?;
        }
        Ok(swept)
    }
}

/// Removes the folders in `name` that `unfinished` accepts by their name and that no run has
/// locked. Returns their number.
fn sweep_folder(
    order: &Dir,
    name: &str,
    path: &Path,
    unfinished: impl Fn(&str) -> bool,
) -> Result<u64, StorageError> {
    let path = path.join(name);
    let folder = match open_folder(order, name) {
        Ok(folder) => folder,
        Err(error) if is_no_folder(&error) => return Ok(0),
        Err(error) => return Err(StorageError::on("open the folder", path)(error)),
    };
    let mut swept = 0;
    for entry in folder.entries().map_err(StorageError::on("read the folder", &path))? {
        let entry = entry.map_err(StorageError::on("read the folder", &path))?.file_name();
        let entry = entry.to_string_lossy();
        let left = path.join(entry.as_ref());
        if !unfinished(&entry) {
            continue;
        }
        let Ok(inner) = open_folder(&folder, &entry) else { continue };
        if !try_lock(&inner).map_err(StorageError::on("lock the folder", &left))? {
            continue;
        }
        remove_folder(&folder, &entry).map_err(StorageError::on("remove the folder", &left))?;
        swept += 1;
    }
    Ok(swept)
}

fn is_no_folder(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn probe(dir: &Dir) -> io::Result<()> {
    let name = format!(".probe-{}", Ulid::generate());
    let mut file = create_file(dir, &name)?;
    let written =
        file.write_all(b"written by the host to see whether it can").and_then(|()| file.sync_all());
    let removed = dir.remove_file(&name);
    written.and(removed)
}
