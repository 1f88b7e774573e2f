//! One run's output on its way to becoming a site.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cap_std::fs::Dir;
use sha2::{Digest, Sha256};

use super::limits::{LimitHit, SiteLimits, SiteUsage};
use super::path::{PathError, SitePath};
use super::root::{OrderDir, STAGING, SitesRoot};
use super::staging_buffer::HeldFiles;
use super::storage::{
    StorageError, blocking, create_file, ensure_folder, make_folder, open_folder, remove_folder,
    try_lock,
};
use super::usage::{Conflict, Ledger};

/// Where one run writes: memory, as long as the site is small and [`SitesRoot::holding`] leaves
/// room, and from then on `<root>/<order>/staging/<attempt>/`, made at the first write. Cheap to
/// clone, so that a write in flight keeps it alive; when the last clone goes without having become
/// a release, all of it is removed.
#[derive(Debug, Clone)]
pub struct Staging(pub(super) Arc<Area>);

/// A staging area that nothing is written to any more: each file is whole, in memory or on the
/// disk.
#[derive(Debug)]
pub struct StagedSite {
    pub(super) area: Arc<Area>,
    pub(super) files: BTreeMap<SitePath, StoredFile>,
}

/// A file as it was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredFile {
    /// Bytes.
    pub bytes: u64,
    /// SHA-256 of the bytes, in lower-case hexadecimal digits.
    pub sha256: String,
}

/// Why a write was refused.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The path is not allowed.
    #[error(transparent)]
    InvalidPath(#[from] PathError),
    /// Something is in the way.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// A limit refuses it.
    #[error(transparent)]
    Limit(#[from] LimitHit),
    /// The file could not be stored. The run is over: nothing the template does can help.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The run's output has been sealed or abandoned.
    #[error(
        "the file `{0}` came after the end of the run's output; write every file before \
         `generate` returns"
    )]
    Closed(SitePath),
}

/// Why a staging area is not whole.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// Files were announced but are not, or not wholly, on the disk (catalogue A7).
    #[error("the site is partial: {} of its files are missing: {}; see the storage errors before this one and run the order again", .0.len(), list(.0))]
    Missing(Vec<SitePath>),
    /// The area could not be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// The first names of a long list, and how many more there are.
pub(super) fn list(paths: &[SitePath]) -> String {
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
    /// In memory only: no file system call is made under this lock.
    ledger: Mutex<Ledger>,
    /// The folder once it is there. Only the blocking pool takes this lock, for the time of making
    /// one folder.
    folder: Mutex<Option<Arc<Folder>>>,
    /// The files that are not in the folder.
    held: Mutex<HeldFiles>,
    /// Whether the folder belongs to a release by now.
    released: AtomicBool,
}

/// The area's folder, open.
#[derive(Debug)]
pub(super) struct Folder {
    /// Locked, which tells a sweep that the run is alive. The lock goes with the process.
    pub(super) dir: Dir,
}

/// A path that has been accepted and paid for, before its bytes are stored. If it is dropped
/// without [`store`](Reserved::store), the site stays partial and cannot be sealed.
#[derive(Debug)]
pub struct Reserved {
    area: Arc<Area>,
    path: SitePath,
}

impl Staging {
    /// A staging area for one attempt of one order. Touches no file system.
    pub fn new(root: &SitesRoot, order: OrderDir, attempt: OrderDir, limits: SiteLimits) -> Self {
        Staging(Arc::new(Area {
            root: root.clone(),
            order,
            attempt,
            ledger: Mutex::new(Ledger::new(limits)),
            folder: Mutex::new(None),
            held: Mutex::new(HeldFiles::new(root.held().clone())),
            released: AtomicBool::new(false),
        }))
    }

    /// Writes one file. Blocking: call it from `spawn_blocking`, or use
    /// [`write_async`](Self::write_async).
    ///
    /// # Errors
    /// As the contract's `write-error`: invalid path, conflict, limit, storage. A refused write
    /// uses nothing.
    pub fn write(&self, path: &str, bytes: &[u8]) -> Result<(), WriteError> {
        match self.reserve(path, bytes.len() as u64)?.hold(bytes.to_vec()) {
            Ok(_) => Ok(()),
            Err((reserved, bytes)) => Ok(reserved.store(&bytes).map(drop)?),
        }
    }

    /// Writes one file: the checks at once, bytes that go to the disk on the blocking pool. Tells
    /// what was stored.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub async fn write_async(&self, path: &str, bytes: Vec<u8>) -> Result<StoredFile, WriteError> {
        let (reserved, bytes) = match self.reserve(path, bytes.len() as u64)?.hold(bytes) {
            Ok(held) => return Ok(held),
            Err(disk) => disk,
        };
        let shown = self.0.path();
        Ok(blocking(shown, move || reserved.store(&bytes)).await?)
    }

    /// Checks a path and counts a file of `bytes` bytes. In memory only, never blocks.
    ///
    /// # Errors
    /// Every kind of [`WriteError`] but `Storage`. A refused file uses nothing.
    pub fn reserve(&self, path: &str, bytes: u64) -> Result<Reserved, WriteError> {
        let path = self.0.ledger().reserve(path, bytes)?;
        Ok(Reserved { area: Arc::clone(&self.0), path })
    }

    /// The sites folder that it belongs to.
    pub fn root(&self) -> &SitesRoot {
        &self.0.root
    }

    /// What has been used of each limit so far.
    pub fn usage(&self) -> SiteUsage {
        self.0.ledger().usage()
    }

    /// The files that are whole on the disk.
    pub fn stored(&self) -> Vec<(SitePath, StoredFile)> {
        self.0.ledger().files_stored()
    }

    /// The most recent write that a limit refused.
    pub fn last_limit_hit(&self) -> Option<LimitHit> {
        self.0.ledger().last_hit()
    }

    /// Ends the writing and makes sure that every file is whole. Blocking.
    ///
    /// # Errors
    /// When a file is missing or has another size than was written; lists them all. The area is
    /// then removed.
    pub fn seal(self) -> Result<StagedSite, SealError> {
        let files = self.0.ledger().close();
        let folder = self.0.opened();
        let mut stored = BTreeMap::new();
        let mut missing = Vec::new();
        for (path, file) in files {
            let whole = file.filter(|file| {
                self.0.held().get(&path).is_some()
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

    /// Refuses further writes and gives the area up. Its folder is removed as soon as no write is
    /// in flight, on the blocking pool when called on the runtime. What cannot be removed now,
    /// [`SitesRoot::sweep`] removes.
    pub fn abandon(self) {
        self.0.ledger().close();
    }
}

impl StagedSite {
    /// Number of files.
    pub fn files_stored(&self) -> usize {
        self.files.len()
    }
}

impl Reserved {
    /// Keeps the bytes in memory and tells what was stored, or gives them back when they must go to
    /// the disk: [`store`](Reserved::store). Never blocks.
    fn hold(self, bytes: Vec<u8>) -> Result<StoredFile, (Reserved, Vec<u8>)> {
        let size = bytes.len() as u64;
        let kept = self.area.held().keep(&self.path, bytes);
        if let Err(bytes) = kept {
            return Err((self, bytes));
        }
        let sha256 = self.area.held().get(&self.path).map(sha256).unwrap_or_default();
        let stored = StoredFile { bytes: size, sha256 };
        self.area.ledger().stored(self.path, stored.clone());
        Ok(stored)
    }

    /// Stores the bytes on the disk and tells what was stored. Blocking.
    ///
    /// # Errors
    /// The operating system's; the run must fail then, because the site stays partial.
    pub fn store(self, bytes: &[u8]) -> Result<StoredFile, StorageError> {
        let folder = self.area.folder()?;
        write_file(&folder.dir, &self.path, bytes, &self.area.path())?;
        let stored = StoredFile { bytes: bytes.len() as u64, sha256: sha256(bytes) };
        self.area.ledger().stored(self.path, stored.clone());
        Ok(stored)
    }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes a file that is not there yet below `dir`, which is `shown`, and its folders.
pub(super) fn write_file(
    dir: &Dir,
    path: &SitePath,
    bytes: &[u8],
    shown: &Path,
) -> Result<std::fs::File, StorageError> {
    let full = || shown.join(path);
    if let Some((parent, _)) = path.as_str().rsplit_once('/') {
        dir.create_dir_all(parent).map_err(StorageError::on("create the folder of", full()))?;
    }
    let mut file = create_file(dir, path.as_str()).map_err(StorageError::on("create", full()))?;
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
    /// Where the area is, for messages.
    pub(super) fn path(&self) -> PathBuf {
        self.root.order_path(&self.order).join(STAGING).join(self.attempt.as_str())
    }

    /// From now on the folder belongs to a release and is not removed.
    pub(super) fn release(&self) {
        self.released.store(true, Ordering::Release);
    }

    /// The folder, if anything was written.
    pub(super) fn opened(&self) -> Option<Arc<Folder>> {
        self.folder.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The folder, made by the first who asks.
    pub(super) fn folder(&self) -> Result<Arc<Folder>, StorageError> {
        let mut folder = self.folder.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(folder) = &*folder {
            return Ok(Arc::clone(folder));
        }
        let order = self.root.ensure_order(&self.order)?;
        let made = ensure_folder(&order, STAGING)
            .and_then(|(staging, _)| claim(&staging, self.attempt.as_str()));
        let made = Arc::new(made.map_err(StorageError::on("create the folder", self.path()))?);
        *folder = Some(Arc::clone(&made));
        Ok(made)
    }

    /// The files in memory. The lock is held for moments.
    pub(super) fn held(&self) -> MutexGuard<'_, HeldFiles> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes a folder that nobody else has and locks it; the lock tells [`SitesRoot::sweep`] that its
/// run is alive and goes with the process. A sweep may take the folder between the two steps: then
/// it is made again.
fn claim(staging: &Dir, name: &str) -> io::Result<Folder> {
    for _ in 0..16 {
        make_folder(staging, name)?;
        let Ok(dir) = open_folder(staging, name) else { continue };
        if try_lock(&dir)? && staging.try_exists(name)? {
            return Ok(Folder { dir });
        }
        remove_folder(staging, name)?;
    }
    Err(io::Error::other("a sweep of the staging area took it again and again"))
}

impl Drop for Area {
    fn drop(&mut self) {
        let folder = self.folder.get_mut().unwrap_or_else(PoisonError::into_inner).take();
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
            // The lock on the folder goes last: until then no sweep works on it at the same time.
            drop(folder);
            if let Err(error) = removed {
                tracing::warn!(%error, "a staging area stays until the next sweep");
            }
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(remove)),
            Err(_) => remove(),
        }
    }
}
