//! The staging area: where one run writes its site, in memory or on the disk.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cap_std::fs::Dir;
use parking_lot::{Mutex, MutexGuard};
use sha2::{Digest, Sha256};

use super::limits::{LimitHit, SiteLimits, SiteUsage};
use super::names::Conflict;
use super::path::{PathError, SitePath};
use super::quota::Quota;
use super::root::{OrderDir, STAGING, SitesRoot};
use super::staging_buffer::StagingBuffer;
use super::storage::{
    Access, StorageError, blocking, create_file, ensure_folder, make_folder, make_site_folders,
    open_folder, remove_folder, try_lock,
};

/// Where one run writes: into memory while the site is small and the budget of
/// [`SitesRoot::with_staging_buffer`] allows it, otherwise into
/// `<root>/<order>/staging/<attempt>/`, which the first such write creates. Cheap to clone. When
/// the last clone is dropped and the site has not become a release, the area is removed.
#[derive(Debug, Clone)]
pub struct Staging(pub(super) Arc<Area>);

/// A staging area that accepts no further writes and in which every file is whole.
#[derive(Debug)]
pub struct StagedSite {
    pub(super) area: Arc<Area>,
    pub(super) files: BTreeMap<SitePath, StoredFile>,
}

/// Size and hash of a stored file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredFile {
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256 of the bytes, in lower-case hexadecimal digits.
    pub sha256: String,
}

/// Why a write was rejected.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The path breaks a rule for paths.
    #[error(transparent)]
    InvalidPath(#[from] PathError),
    /// The path collides with one that was written before.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// The write exceeds a limit.
    #[error(transparent)]
    Limit(#[from] LimitHit),
    /// The file could not be stored. The run must fail: the site stays partial.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The staging area has been sealed or abandoned.
    #[error(
        "the file `{0}` came after the end of the run's output; write every file before \
         `generate` returns"
    )]
    Closed(SitePath),
}

/// Why a staging area cannot be sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// Files were reserved but are missing or have another size (failure catalogue A7).
    #[error(
        "the site is partial: {} of its files are missing: {}; see the storage errors before this \
         one and run the order again",
        .0.len(),
        list(.0)
    )]
    Missing(Vec<SitePath>),
    /// The area could not be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// The first 20 paths, and the number of further ones.
fn list(paths: &[SitePath]) -> String {
    let mut text =
        paths.iter().take(20).map(|path| format!("`{path}`")).collect::<Vec<_>>().join(", ");
    if paths.len() > 20 {
        text.push_str(&format!(" and {} more", paths.len() - 20));
    }
    text
}

#[derive(Debug)]
pub(super) struct Area {
    pub(super) root: SitesRoot,
    pub(super) order: OrderDir,
    pub(super) attempt: OrderDir,
    /// No file system call is made under this lock: runtime threads take it.
    quota: Mutex<Quota>,
    /// `None` until the first file goes to the disk. Only threads of the blocking pool take this
    /// lock: it is held while the folder is created.
    folder: Mutex<Option<Arc<Folder>>>,
    /// The files that are not in the folder.
    buffer: Mutex<StagingBuffer>,
    /// Whether the folder has become a release.
    released: AtomicBool,
}

/// The area's folder, open.
#[derive(Debug)]
pub(super) struct Folder {
    /// Locked until the process ends, so that a sweep sees that the run is alive.
    pub(super) dir: Dir,
}

/// A path that is accepted and counted, before its bytes are stored. If it is dropped without
/// [`store`](Reserved::store), the site stays partial and cannot be sealed.
#[derive(Debug)]
pub struct Reserved {
    area: Arc<Area>,
    path: SitePath,
}

/// Whether the staging buffer took a file.
enum Buffering {
    Stored(StoredFile),
    /// The file must go to the disk.
    Full(Reserved, Vec<u8>),
}

impl Staging {
    /// A staging area for one attempt of one order. Touches no file system.
    pub fn new(root: &SitesRoot, order: OrderDir, attempt: OrderDir, limits: SiteLimits) -> Self {
        Staging(Arc::new(Area {
            root: root.clone(),
            order,
            attempt,
            quota: Mutex::new(Quota::new(limits)),
            folder: Mutex::new(None),
            buffer: Mutex::new(StagingBuffer::new(root.buffer_budget().clone())),
            released: AtomicBool::new(false),
        }))
    }

    /// Writes one file. Blocking: call it from `spawn_blocking`, or use
    /// [`write_async`](Self::write_async).
    ///
    /// # Errors
    /// The contract's `write-error`: invalid path, conflict, limit, storage. A rejected write does
    /// not count.
    pub fn write(&self, path: &str, bytes: &[u8]) -> Result<(), WriteError> {
        match self.reserve(path, bytes.len() as u64)?.buffer(bytes.to_vec()) {
            Buffering::Stored(_) => Ok(()),
            Buffering::Full(reserved, bytes) => Ok(reserved.store(&bytes).map(drop)?),
        }
    }

    /// Writes one file: checks it on the calling thread, and writes it on the blocking pool if it
    /// goes to the disk.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub async fn write_async(&self, path: &str, bytes: Vec<u8>) -> Result<StoredFile, WriteError> {
        match self.reserve(path, bytes.len() as u64)?.buffer(bytes) {
            Buffering::Stored(stored) => Ok(stored),
            Buffering::Full(reserved, bytes) => {
                let area = self.0.path();
                Ok(blocking(area, move || reserved.store(&bytes)).await?)
            }
        }
    }

    /// Checks a path and counts a file of `bytes` bytes. In memory only, never blocks.
    ///
    /// # Errors
    /// Every variant of [`WriteError`] except `Storage`. A rejected file does not count.
    pub fn reserve(&self, path: &str, bytes: u64) -> Result<Reserved, WriteError> {
        let path = self.0.quota.lock().reserve(path, bytes)?;
        Ok(Reserved { area: Arc::clone(&self.0), path })
    }

    /// Whether [`reserve`](Self::reserve) would accept the file now. Takes and counts nothing.
    ///
    /// # Errors
    /// As [`reserve`](Self::reserve).
    pub fn check(&self, path: &str, bytes: u64) -> Result<(), WriteError> {
        self.0.quota.lock().check(path, bytes)
    }

    /// Whether a file with exactly this path was accepted.
    pub fn has(&self, path: &str) -> bool {
        self.0.quota.lock().has(path)
    }

    /// The sites folder that this area belongs to.
    pub fn root(&self) -> &SitesRoot {
        &self.0.root
    }

    /// How much of each limit is used so far.
    pub fn usage(&self) -> SiteUsage {
        self.0.quota.lock().usage()
    }

    /// The files that are stored, in memory or on the disk.
    pub fn stored(&self) -> Vec<(SitePath, StoredFile)> {
        self.0.quota.lock().files_stored()
    }

    /// The most recent write that exceeded a limit.
    pub fn last_limit_hit(&self) -> Option<LimitHit> {
        self.0.quota.lock().last_hit()
    }

    /// Ends the writing and checks that every file is whole. Blocking.
    ///
    /// # Errors
    /// Lists the files that are missing or have another size. The area is then removed.
    pub fn seal(self) -> Result<StagedSite, SealError> {
        let files = self.0.quota.lock().close();
        let folder = self.0.opened();
        let mut stored = BTreeMap::new();
        let mut missing = Vec::new();
        for (path, file) in files {
            let whole = file.filter(|file| {
                self.0.buffer().get(&path).is_some()
                    || folder.as_ref().is_some_and(|folder| folder.has(&path, file))
            });
            match whole {
                Some(file) => drop(stored.insert(path, file)),
                None => missing.push(path),
            }
        }
        if missing.is_empty() {
            Ok(StagedSite { area: self.0, files: stored })
        } else {
            Err(SealError::Missing(missing))
        }
    }

    /// Rejects further writes and drops this handle. The folder is removed once no write is in
    /// progress, on the blocking pool if called on a runtime. [`SitesRoot::sweep`] removes what
    /// could not be removed.
    pub fn abandon(self) {
        self.0.quota.lock().close();
    }
}

impl StagedSite {
    /// Number of files.
    pub fn files_stored(&self) -> usize {
        self.files.len()
    }
}

impl Reserved {
    /// Keeps the bytes in memory if the staging buffer has room. Never blocks.
    fn buffer(self, bytes: Vec<u8>) -> Buffering {
        let size = bytes.len() as u64;
        let inserted = self.area.buffer().insert(&self.path, bytes);
        if let Err(bytes) = inserted {
            return Buffering::Full(self, bytes);
        }
        let sha256 = self.area.buffer().get(&self.path).map(sha256).unwrap_or_default();
        let stored = StoredFile { bytes: size, sha256 };
        self.area.quota.lock().stored(self.path, stored.clone());
        Buffering::Stored(stored)
    }

    /// Stores the bytes on the disk. Blocking.
    ///
    /// # Errors
    /// The file system call that failed. The run must fail then: the site stays partial.
    pub fn store(self, bytes: &[u8]) -> Result<StoredFile, StorageError> {
        let folder = self.area.folder()?;
        write_file(&folder.dir, &self.path, bytes, &self.area.path())?;
        let stored = StoredFile { bytes: bytes.len() as u64, sha256: sha256(bytes) };
        self.area.quota.lock().stored(self.path, stored.clone());
        Ok(stored)
    }
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Creates the file `path` below `dir`, and its folders. `shown` is the path of `dir`, for errors.
pub(super) fn write_file(
    dir: &Dir,
    path: &SitePath,
    bytes: &[u8],
    shown: &Path,
) -> Result<std::fs::File, StorageError> {
    let full = || shown.join(path);
    make_site_folders(dir, path).map_err(StorageError::on("create the folder of", full()))?;
    let mut file = create_file(dir, path.as_str(), Access::Public)
        .map_err(StorageError::on("create", full()))?;
    file.write_all(bytes).map_err(StorageError::on("write", full()))?;
    Ok(file)
}

impl Folder {
    fn has(&self, path: &SitePath, file: &StoredFile) -> bool {
        self.dir
            .symlink_metadata(path)
            .is_ok_and(|found| found.is_file() && found.len() == file.bytes)
    }
}

impl Area {
    /// The path of the area's folder, for messages; the folder may not exist.
    pub(super) fn path(&self) -> PathBuf {
        self.root.order_path(&self.order).join(STAGING).join(self.attempt.as_str())
    }

    /// Marks the folder as part of a release, so that dropping the area does not remove it.
    pub(super) fn mark_released(&self) {
        self.released.store(true, Ordering::Release);
    }

    /// The folder; `None` if every file is in the staging buffer.
    pub(super) fn opened(&self) -> Option<Arc<Folder>> {
        self.folder.lock().clone()
    }

    /// The folder. The first call creates it.
    pub(super) fn folder(&self) -> Result<Arc<Folder>, StorageError> {
        let mut folder = self.folder.lock();
        if let Some(folder) = &*folder {
            return Ok(Arc::clone(folder));
        }
        let order = self.root.ensure_order(&self.order)?;
        let made = ensure_folder(&order, STAGING, Access::Private)
            .and_then(|(staging, _)| make_locked(&staging, self.attempt.as_str()));
        let made = Arc::new(made.map_err(StorageError::on("create the folder", self.path()))?);
        *folder = Some(Arc::clone(&made));
        Ok(made)
    }

    /// The files in memory.
    pub(super) fn buffer(&self) -> MutexGuard<'_, StagingBuffer> {
        self.buffer.lock()
    }
}

/// Creates a folder and locks it. The lock tells [`SitesRoot::sweep`] that the run is alive, and
/// ends with the process. A sweep may remove the folder between the two steps; it is then created
/// again.
fn make_locked(staging: &Dir, name: &str) -> io::Result<Folder> {
    for _ in 0..16 {
        // It becomes the release's folder. Until then the staging area above it is private.
        make_folder(staging, name, Access::Public)?;
        let Ok(dir) = open_folder(staging, name) else { continue };
        if try_lock(&dir)? && staging.try_exists(name)? {
            return Ok(Folder { dir });
        }
        remove_folder(staging, name)?;
    }
    Err(io::Error::other("a sweep of the staging area removed it 16 times in a row"))
}

impl Drop for Area {
    fn drop(&mut self) {
        let folder = self.folder.get_mut().take();
        if *self.released.get_mut() || folder.is_none() {
            return;
        }
        let (root, order, attempt, path) =
            (self.root.clone(), self.order.clone(), self.attempt.clone(), self.path());
        let remove = move || {
            let removed = match root.open_order(&order) {
                Ok(Some(order)) => open_folder(&order, STAGING)
                    .and_then(|staging| remove_folder(&staging, attempt.as_str()))
                    .map_err(StorageError::on("remove the folder", path)),
                Ok(None) => Ok(()),
                Err(error) => Err(error),
            };
            // Unlock last: no sweep may work on the folder at the same time.
            drop(folder);
            if let Err(error) = removed {
                tracing::warn!(
                    %error,
                    "a staging area was not removed; the next sweep tries again"
                );
            }
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(remove)),
            Err(_) => remove(),
        }
    }
}
