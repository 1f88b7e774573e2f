//! The one folder under which all sites lie, and the folder of one order in it.

use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use super::release::Disk;
use super::staging_buffer::HeldBytes;
use super::storage::{
    StorageError, create_file, ensure_folder, open_folder, open_root, remove_folder, rename_new,
    sync_folder, try_lock,
};
use super::sync_batcher::Crowd;

pub(super) const STAGING: &str = "staging";
pub(super) const RELEASES: &str = "releases";
/// What the name of a folder in `releases` begins with while a site is written to it.
pub(super) const NEW_PREFIX: &str = ".new-";
/// The link in an order's folder that leads to its current release.
pub const CURRENT: &str = "current";

/// The name of a folder the host makes: of an order, or of an attempt in its staging area. Letters,
/// digits, `.`, `_` and `-`, at most 64, not beginning with a dot; so it is one part of a path and
/// nothing else (catalogue F1).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OrderDir(String);

/// Why a text is no folder name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` cannot name a folder; use 1 to 64 letters, digits, `.`, `_` or `-`, not beginning with \
     a dot"
)]
pub struct OrderDirError(pub String);

impl OrderDir {
    /// Checks `name`.
    ///
    /// # Errors
    /// When it is empty, too long, begins with a dot or has any other character.
    pub fn new(name: &str) -> Result<Self, OrderDirError> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if (1..=64).contains(&name.len()) && !name.starts_with('.') && name.bytes().all(allowed) {
            Ok(OrderDir(name.to_owned()))
        } else {
            Err(OrderDirError(name.chars().take(80).collect()))
        }
    }

    /// The name.
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
    /// It is not there and could not be made, or is no folder.
    #[error("the sites folder `{}` cannot be opened: {source}; make it, or name another in the configuration", .path.display())]
    Open {
        /// As configured.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// It is there, but a file written for a test could not be stored.
    #[error("the sites folder `{}` is not writable: {source}; give the host's user write access to it, or name another in the configuration", .path.display())]
    NotWritable {
        /// As the host sees it: absolute, links resolved.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

/// The sites folder, open. Cheap to clone. Everything under it is reached through the open folder,
/// so neither a later change of the working directory (catalogue F3) nor a symbolic link inside
/// leads out of it.
#[derive(Debug, Clone)]
pub struct SitesRoot {
    dir: Arc<Dir>,
    path: Arc<Path>,
    held: Arc<HeldBytes>,
    crowd: Option<Arc<Crowd>>,
}

impl SitesRoot {
    /// Makes the folder if it is missing, resolves it once and proves that it can be written to.
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
            held: Arc::default(),
            crowd: None,
        })
    }

    /// Small sites stay in memory until they are released, as long as all of them together have no
    /// more than so many bytes: most sites then touch the disk once, when they are known to be
    /// good. Without this, every file goes to the disk at once.
    #[must_use]
    pub fn holding(mut self, bytes: u64) -> Self {
        self.held = Arc::new(HeldBytes::new(bytes));
        self
    }

    /// Sites that are finished at the same time go to the disk together, on Linux 5.8 and later.
    /// Must be called on a runtime.
    #[must_use]
    pub fn in_crowds(mut self) -> Self {
        self.crowd = Crowd::start(&self.dir, &self.path).map(Arc::new);
        self
    }

    /// Where sites that are finished meet.
    pub(super) fn crowd(&self) -> Option<&Arc<Crowd>> {
        self.crowd.as_ref()
    }

    /// What sites may hold in memory.
    pub(super) fn held(&self) -> &Arc<HeldBytes> {
        &self.held
    }

    /// The folder: absolute, links resolved.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the order's folder is, for messages; it need not exist.
    pub fn order_path(&self, order: &OrderDir) -> PathBuf {
        self.path.join(order.as_str())
    }

    /// Opens the order's folder, if there is one. Blocking.
    ///
    /// # Errors
    /// When it is there and cannot be opened, or is a symbolic link.
    pub fn open_order(&self, order: &OrderDir) -> Result<Option<Dir>, StorageError> {
        match open_folder(&self.dir, order.as_str()) {
            Ok(dir) => Ok(Some(dir)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StorageError::on("open the folder", self.order_path(order))(error)),
        }
    }

    /// Opens the order's folder and makes it if it is missing; a new one is on the disk before this
    /// returns. Blocking.
    ///
    /// # Errors
    /// When it cannot be made or opened, or is a symbolic link.
    pub fn ensure_order(&self, order: &OrderDir) -> Result<Dir, StorageError> {
        self.ensure_order_on(order, Disk::Now)
    }

    /// The same; the caller may see to it that a new one gets to the disk.
    pub(super) fn ensure_order_on(
        &self,
        order: &OrderDir,
        disk: Disk,
    ) -> Result<Dir, StorageError> {
        let ensured = ensure_folder(&self.dir, order.as_str());
        let synced = ensured.and_then(|(dir, made)| match (made, disk) {
            (true, Disk::Now) => sync_folder(&self.dir).map(|()| dir),
            (false, _) | (_, Disk::Together) => Ok(dir),
        });
        synced.map_err(StorageError::on("create the folder", self.order_path(order)))
    }

    /// Puts a small file into a folder of the order's folder, which is made if it is missing: whole
    /// or not at all, never through a link, whatever others put in the place of a folder
    /// meanwhile. A file of that name that is there already stays, and that is no error.
    /// Nothing waits for the disk: after a power cut the file may be missing. Blocking.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn keep(
        &self,
        order: &OrderDir,
        folder: &str,
        name: &str,
        content: &[u8],
    ) -> Result<(), StorageError> {
        let shown = self.order_path(order).join(folder).join(name);
        let order = self.ensure_order(order)?;
        let kept = ensure_folder(&order, folder).and_then(|(dir, _)| {
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
        kept.map_err(StorageError::on("write", shown))
    }

    /// Removes what crashed runs left in the staging areas, and returns how many folders that were.
    /// A run that is alive keeps a lock on its folder, in this process or another one, and is
    /// left alone. Blocking.
    ///
    /// # Errors
    /// The first folder that could not be read or removed; the others are still swept.
    pub fn sweep(&self) -> Result<u64, StorageError> {
        let mut swept = 0;
        let mut first = None;
        let entries = self
            .dir
            .entries()
            .map_err(StorageError::on("read the folder", self.path.to_path_buf()))?;
        for entry in entries {
            let order = entry.map(|entry| OrderDir::new(&entry.file_name().to_string_lossy()));
            let result = match order {
                Ok(Ok(order)) => self.sweep_order(&order),
                // No folder of ours.
                Ok(Err(_)) => continue,
                Err(error) => {
                    Err(StorageError::on("read the folder", self.path.to_path_buf())(error))
                }
            };
            match result {
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
        // Whoever releases a site has the order's folder; what is half made and not theirs is
        // nobody's.
        if try_lock(&order).map_err(StorageError::on("lock the folder", &path))? {
            swept += sweep_folder(&order, RELEASES, &path, |entry| entry.starts_with(NEW_PREFIX))?;
        }
        Ok(swept)
    }
}

/// Removes the folders in `name` that `ours` says are made on the way to a release and that no run
/// has locked.
fn sweep_folder(
    order: &Dir,
    name: &str,
    path: &Path,
    ours: impl Fn(&str) -> bool,
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
        if !ours(&entry) {
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
