//! Removing everything of an order, and what crashed workers left of it.

use std::collections::BTreeSet;
use std::io;

use super::manifest::ReleaseId;
use super::release::{ReadError, discard, list_releases, release_ids};
use super::root::{CURRENT, OrderDir, RELEASES, STAGING, SitesRoot};
use super::storage::{
    StorageError, is_empty_folder, lock, open_folder, remove_folder, sync_folder,
};

/// The folders of an order that have nothing to do with its releases.
pub const PRIVATE_FOLDERS: [&str; 5] = [STAGING, "failures", "documents", "journal", "attempts"];

impl SitesRoot {
    /// The orders that have a folder, in no order. Blocking.
    ///
    /// # Errors
    /// If the sites folder cannot be read.
    pub fn order_names(&self) -> Result<Vec<OrderDir>, StorageError> {
        let path = self.path();
        let mut names = Vec::new();
        for entry in self.dir().entries().map_err(StorageError::on("read the folder", path))? {
            let entry = entry.map_err(StorageError::on("read the folder", path))?;
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_folder && let Ok(name) = OrderDir::new(&entry.file_name().to_string_lossy()) {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// Removes folders inside an order's private folder, of those in [`PRIVATE_FOLDERS`], and the
    /// folder itself if nothing is left: an order that never had a site leaves nothing. `false` if
    /// the order has no folder. Can be repeated. Blocking.
    ///
    /// # Errors
    /// The file system call that failed; what was removed stays removed.
    pub fn remove_private(&self, order: &OrderDir, folders: &[&str]) -> Result<bool, StorageError> {
        let Some(dir) = self.open_order(order)? else { return Ok(false) };
        lock(&dir).map_err(StorageError::on("lock the folder", self.order_path(order)))?;
        for folder in PRIVATE_FOLDERS.iter().filter(|folder| folders.contains(folder)) {
            let path = self.order_path(order).join(folder);
            remove_folder(&dir, folder).map_err(StorageError::on("remove the folder", path))?;
        }
        let path = self.order_path(order);
        match self.dir().remove_dir(order.as_str()) {
            Ok(()) => self.forget_spelling(order),
            // The files of its releases, or what an attempt has made meanwhile.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::NotFound
                ) =>
            {
                Ok(())
            }
            Err(error) => Err(error),
        }
        .map_err(StorageError::on("remove the empty folder", path))?;
        Ok(true)
    }

    /// Removes everything of an order: first the link that visitors follow, then its site, then what
    /// is private. Waits while a publication of the order is in progress. `false` if there was
    /// nothing. Can be repeated. Blocking.
    ///
    /// # Errors
    /// The file system call that failed; what was removed stays removed.
    pub fn remove_order(&self, order: &OrderDir) -> Result<bool, StorageError> {
        let private = self.open_order(order)?;
        if let Some(dir) = &private {
            lock(dir).map_err(StorageError::on("lock the folder", self.order_path(order)))?;
        }
        let public = self.open_public(order)?;
        let existed = public.is_some() || private.is_some();
        if let Some(public) = public {
            let path = self.public_order_path(order);
            match public.remove_file(CURRENT) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(StorageError::on("remove the link in", path)(error));
                }
                _ => {}
            }
            self.remove_public(order).map_err(StorageError::on("remove the folder", path))?;
        }
        let removed = remove_folder(self.dir(), order.as_str())
            .and_then(|()| self.forget_spelling(order))
            .and_then(|()| if existed { sync_folder(self.dir()) } else { Ok(()) });
        removed.map_err(StorageError::on("remove the folder", self.order_path(order)))?;
        Ok(existed)
    }

    /// The ids of the order's releases, in the present layout.
    fn release_ids(&self, order: &OrderDir) -> Result<BTreeSet<ReleaseId>, StorageError> {
        let Some(public) = self.open_public(order)? else { return Ok(BTreeSet::new()) };
        let path = self.public_order_path(order).join(RELEASES);
        match open_folder(&public, RELEASES).and_then(|releases| release_ids(&releases)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeSet::new()),
            ids => ids.map_err(StorageError::on("read the folder", path)),
        }
    }

    /// Removes what a worker left that died between two steps: releases that never counted, and an
    /// empty staging folder. `counted` are the releases that attempts completed; the current one
    /// stays in any case, and so does one newer than `before`, in milliseconds since the Unix epoch.
    /// No attempt of the order may run. The releases that were removed, or would be. Blocking.
    ///
    /// # Errors
    /// If the order's folders cannot be read or changed.
    pub fn remove_leftovers(
        &self,
        order: &OrderDir,
        counted: &BTreeSet<String>,
        before: i64,
        dry_run: bool,
    ) -> Result<Vec<ReleaseId>, ReadError> {
        let mut removed = Vec::new();
        let is_left = |id: &ReleaseId| {
            let made = i64::try_from(id.0.timestamp_ms()).unwrap_or(i64::MAX);
            made < before && !counted.contains(&id.to_string())
        };
        // Names only: most orders have no such release, and manifests need not be read.
        let listed = match self.release_ids(order)?.iter().any(is_left) {
            true => list_releases(self, order)?,
            false => Vec::new(),
        };
        for release in listed {
            if release.current || !is_left(&release.id) {
                continue;
            }
            if !dry_run {
                discard(self, order, release.id)?;
            }
            removed.push(release.id);
        }
        if !dry_run && let Some(dir) = self.open_order(order)? {
            let path = self.order_path(order).join(STAGING);
            let emptied = match open_folder(&dir, STAGING) {
                Ok(staging) if is_empty_folder(&staging).unwrap_or(false) => {
                    // Fails if a run has made a folder in it meanwhile, which then stays.
                    match dir.remove_dir(STAGING) {
                        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
                        removed => removed,
                    }
                }
                Ok(_) => Ok(()),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                Err(error) => Err(error),
            };
            emptied.map_err(StorageError::on("remove the empty folder", path))?;
        }
        Ok(removed)
    }
}
