//! The folders of one order, open and locked, and the steps of a publication on them.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

use cap_std::fs::Dir;

use super::read::{ReadError, current_id, release_ids};
use super::write::store_site;
use crate::manifest::{Manifest, ReleaseId};
use crate::root::{CURRENT, NEW_PREFIX, OrderDir, RELEASES, STAGING, SitesRoot};
use crate::staging::Area;
use crate::storage::{
    StorageError, ensure_folder, lock, make_folder, make_link, open_folder, remove_folder, rename,
    sync_folder, try_lock,
};

/// Prefix of a new link until it is renamed to `current`.
const LINK_PREFIX: &str = ".current-";

/// Who writes a step to the disk before the next one begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::release) enum SyncMode {
    /// The step itself.
    Now,
    /// The caller, for a batch of sites.
    Batched,
}

/// The folders of one order, locked until this is dropped or the process ends.
pub(crate) struct OrderFolders {
    order: Dir,
    releases: Dir,
    order_path: PathBuf,
    releases_path: PathBuf,
    /// Whether `releases` was just created, so that it is empty.
    new: bool,
}

impl OrderFolders {
    /// Waits while another publication of the order is in progress.
    pub(in crate::release) fn lock(
        root: &SitesRoot,
        order: &OrderDir,
    ) -> Result<Self, StorageError> {
        let folder = root.ensure_order(order)?;
        lock(&folder).map_err(StorageError::on("lock the folder", root.order_path(order)))?;
        OrderFolders::open_releases(root, order, folder, SyncMode::Now)
    }

    /// Returns `None` if another publication of the order is in progress. New folders are not
    /// synced: the caller does that.
    pub(crate) fn try_lock(
        root: &SitesRoot,
        order: &OrderDir,
    ) -> Result<Option<Self>, StorageError> {
        let (folder, _) = root.ensure_order_unsynced(order)?;
        let locked = try_lock(&folder)
            .map_err(StorageError::on("lock the folder", root.order_path(order)))?;
        if !locked {
            return Ok(None);
        }
        OrderFolders::open_releases(root, order, folder, SyncMode::Batched).map(Some)
    }

    fn open_releases(
        root: &SitesRoot,
        order: &OrderDir,
        folder: Dir,
        sync: SyncMode,
    ) -> Result<Self, StorageError> {
        let order_path = root.order_path(order);
        let releases_path = order_path.join(RELEASES);
        let (releases, new) = ensure_folder(&folder, RELEASES)
            .and_then(|(releases, new)| {
                if new && sync == SyncMode::Now {
                    sync_folder(&folder)?;
                }
                Ok((releases, new))
            })
            .map_err(StorageError::on("create the folder", &releases_path))?;
        Ok(OrderFolders { order: folder, releases, order_path, releases_path, new })
    }

    /// The ids of the order's releases.
    pub(crate) fn existing(&self) -> Result<BTreeSet<ReleaseId>, StorageError> {
        if self.new {
            return Ok(BTreeSet::new());
        }
        release_ids(&self.releases)
            .map_err(StorageError::on("read the folder", &self.releases_path))
    }

    /// The id of the current release.
    pub(in crate::release) fn current(&self) -> Result<Option<ReleaseId>, ReadError> {
        current_id(&self.order, &self.order_path)
    }

    pub(in crate::release) fn release_path(&self, id: ReleaseId) -> PathBuf {
        self.releases_path.join(id.to_string())
    }

    fn staging(&self) -> io::Result<Dir> {
        Ok(ensure_folder(&self.order, STAGING)?.0)
    }

    /// Step 1 for a site in the staging buffer.
    pub(in crate::release) fn write_buffered(
        &self,
        area: &Area,
        manifest: &Manifest,
        json: &[u8],
        id: ReleaseId,
        sync: SyncMode,
    ) -> Result<(), StorageError> {
        let name = format!("{NEW_PREFIX}{id}");
        let path = self.releases_path.join(&name);
        let written = make_folder(&self.releases, &name)
            .and_then(|()| open_folder(&self.releases, &name))
            .map_err(StorageError::on("create the folder", &path))
            .and_then(|folder| store_site(&folder, area, manifest, json, &path, sync));
        self.remove_if_failed(written, &name)
    }

    /// The rename of step 2 for a site in the staging buffer.
    pub(in crate::release) fn rename_written(&self, id: ReleaseId) -> Result<(), StorageError> {
        let name = format!("{NEW_PREFIX}{id}");
        let renamed = rename(&self.releases, &name, &self.releases, &id.to_string())
            .map_err(StorageError::on("move the site to", self.release_path(id)));
        self.remove_if_failed(renamed, &name)
    }

    fn remove_if_failed(
        &self,
        done: Result<(), StorageError>,
        name: &str,
    ) -> Result<(), StorageError> {
        if done.is_err()
            && let Err(error) = remove_folder(&self.releases, name)
        {
            let folder = self.releases_path.join(name);
            tracing::warn!(
                %error,
                folder = %folder.display(),
                "an unfinished release was not removed; the next sweep tries again"
            );
        }
        done
    }

    /// The rename of step 2 for a site in the staging area.
    pub(in crate::release) fn move_staged(
        &self,
        area: &Area,
        id: ReleaseId,
    ) -> Result<(), StorageError> {
        self.staging()
            .and_then(|staging| {
                rename(&staging, area.attempt.as_str(), &self.releases, &id.to_string())
            })
            .map_err(StorageError::on("move the site to", self.release_path(id)))?;
        area.mark_released();
        Ok(())
    }

    /// The sync of step 2.
    pub(in crate::release) fn sync_releases(&self) -> Result<(), StorageError> {
        sync_folder(&self.releases)
            .map_err(StorageError::on("write to the disk", &self.releases_path))
    }

    /// The sync of step 2, and step 3. A release that cannot become current is removed, so that
    /// nobody takes it for a release that once was.
    pub(in crate::release) fn make_current(&self, id: ReleaseId) -> Result<(), StorageError> {
        let tidy = remove_links(&self.order)
            .map_err(StorageError::on("tidy the folder", &self.order_path));
        let switched = tidy.and_then(|()| self.sync_releases()).and_then(|()| self.switch(id));
        if let Err(error) = switched {
            if let Err(error) = remove_links(&self.order) {
                tracing::warn!(
                    %error,
                    release = %id,
                    "a temporary link was not removed; the next publication tries again"
                );
            }
            self.expire(id);
            return Err(error);
        }
        // The release is current now, even if this sync fails.
        self.sync_order()
    }

    /// Step 3 for an existing release, without its sync. Returns `false` if it is already current.
    pub(crate) fn activate(
        &self,
        id: ReleaseId,
        existing: &BTreeSet<ReleaseId>,
    ) -> Result<bool, ReadError> {
        if !existing.contains(&id) {
            let missing = io::Error::from(io::ErrorKind::NotFound);
            return Err(StorageError::on("find", self.release_path(id))(missing).into());
        }
        if self.current()? == Some(id) {
            return Ok(false);
        }
        self.switch(id)?;
        Ok(true)
    }

    /// The rename of step 3. The link is relative, so that the sites folder can be moved or mounted
    /// elsewhere.
    fn switch(&self, id: ReleaseId) -> Result<(), StorageError> {
        let (link, target) = (format!("{LINK_PREFIX}{id}"), format!("{RELEASES}/{id}"));
        let made = match make_link(&self.order, &target, &link) {
            // Left by a process that ended before the rename.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                remove_links(&self.order).and_then(|()| make_link(&self.order, &target, &link))
            }
            made => made,
        };
        made.and_then(|()| rename(&self.order, &link, &self.order, CURRENT))
            .map_err(StorageError::on("switch", self.order_path.join(CURRENT)))
    }

    /// The sync of step 3.
    pub(in crate::release) fn sync_order(&self) -> Result<(), StorageError> {
        sync_folder(&self.order).map_err(StorageError::on(
            "write the switch of `current` to the disk in",
            &self.order_path,
        ))
    }

    /// Step 4: removes all releases except `id` and the newest others, `keep` in all.
    pub(crate) fn expire_others(&self, id: ReleaseId, existing: &BTreeSet<ReleaseId>, keep: usize) {
        for old in existing.iter().rev().filter(|old| **old != id).skip(keep.saturating_sub(1)) {
            self.expire(*old);
        }
    }

    /// Step 4 for one release. One rename takes it out of `releases`; after a crash, the sweep
    /// removes the rest. An error is logged only: the next publication tries again.
    pub(in crate::release) fn expire(&self, id: ReleaseId) {
        let name = format!(".expired-{id}");
        let removed = self.staging().and_then(|staging| {
            rename(&self.releases, &id.to_string(), &staging, &name)?;
            remove_folder(&staging, &name)
        });
        if let Err(error) = removed {
            let folder = self.release_path(id);
            tracing::warn!(
                %error,
                folder = %folder.display(),
                "an expired release was not removed; the next publication tries again"
            );
        }
    }
}

/// Removes links of publications that ended between creating and renaming one. The caller holds the
/// order's lock.
fn remove_links(order: &Dir) -> io::Result<()> {
    for entry in order.entries()? {
        let name = entry?.file_name();
        if name.to_string_lossy().starts_with(LINK_PREFIX) {
            order.remove_file(&name)?;
        }
    }
    Ok(())
}
