//! The folders of one order, open and locked, and the steps of a publication on them.

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::path::PathBuf;

use cap_std::fs::Dir;

use super::read::{ReadError, current_id, release_ids};
use super::write::store_site;
use crate::layout;
use crate::manifest::{Manifest, ReleaseId};
use crate::root::{
    CURRENT, MANIFESTS, NEW_PREFIX, OrderDir, RELEASES, STAGING, SitesRoot, manifest_name,
};
use crate::staging::Area;
use crate::storage::{
    Access, StorageError, create_file, create_folder, ensure_folder, lock, make_folder, make_link,
    open_folder, remove_folder, rename, replace_link, sync_folder, try_lock,
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
    root: SitesRoot,
    name: OrderDir,
    /// The private folder, which is the one that is locked.
    order: Dir,
    /// The public folder.
    public: Dir,
    releases: Dir,
    public_path: PathBuf,
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
        let folder = root.ensure_order_synced(order)?;
        lock(&folder.0).map_err(StorageError::on("lock the folder", root.order_path(order)))?;
        OrderFolders::open_releases(root, order, folder, SyncMode::Now)
    }

    /// Returns `None` if another publication of the order is in progress. New folders are not
    /// synced: the caller does that.
    pub(crate) fn try_lock(
        root: &SitesRoot,
        order: &OrderDir,
    ) -> Result<Option<Self>, StorageError> {
        let folder = root.ensure_order_unsynced(order)?;
        let locked = try_lock(&folder.0)
            .map_err(StorageError::on("lock the folder", root.order_path(order)))?;
        if !locked {
            return Ok(None);
        }
        OrderFolders::open_releases(root, order, folder, SyncMode::Batched).map(Some)
    }

    /// `folder` is the order's private folder, and whether it was just created: then there is
    /// nothing of an earlier version in it, and most likely no public folder.
    fn open_releases(
        root: &SitesRoot,
        order: &OrderDir,
        (folder, folder_new): (Dir, bool),
        sync: SyncMode,
    ) -> Result<Self, StorageError> {
        let public_path = root.public_order_path(order);
        let releases_path = public_path.join(RELEASES);
        let (public, public_new) = if folder_new {
            root.create_public(order)?
        } else {
            layout::migrate(root, order, &folder)?;
            root.ensure_public(order)?
        };
        let open = if public_new { create_folder } else { ensure_folder };
        let (releases, new) = open(&public, RELEASES, Access::Public)
            .and_then(|(releases, new)| {
                if new && sync == SyncMode::Now {
                    sync_folder(&public)?;
                }
                Ok((releases, new))
            })
            .map_err(StorageError::on("create the folder", &releases_path))?;
        if public_new && sync == SyncMode::Now {
            root.sync_public()?;
        }
        let (root, name) = (root.clone(), order.clone());
        Ok(OrderFolders {
            root,
            name,
            order: folder,
            public,
            releases,
            public_path,
            releases_path,
            new,
        })
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
        current_id(&self.public, &self.public_path)
    }

    pub(in crate::release) fn release_path(&self, id: ReleaseId) -> PathBuf {
        self.releases_path.join(id.to_string())
    }

    fn staging(&self) -> io::Result<Dir> {
        Ok(ensure_folder(&self.order, STAGING, Access::Private)?.0)
    }

    /// The manifest's part of step 1. It must be on the disk before the release is.
    pub(in crate::release) fn write_manifest(
        &self,
        id: ReleaseId,
        json: &[u8],
        sync: SyncMode,
    ) -> Result<(), StorageError> {
        let now = sync == SyncMode::Now;
        let name = manifest_name(id);
        // The first release of most orders is the only one.
        let open = if self.new { create_folder } else { ensure_folder };
        let written = open(&self.order, MANIFESTS, Access::Private).and_then(|(manifests, new)| {
            let file = match create_file(&manifests, &name, Access::Private) {
                // Left by a process that ended before the release was there.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => manifests
                    .remove_file(&name)
                    .and_then(|()| create_file(&manifests, &name, Access::Private)),
                created => created,
            };
            let mut file = file?;
            file.write_all(json)?;
            if now {
                file.sync_all()?;
                sync_folder(&manifests)?;
            }
            if now && new { sync_folder(&self.order) } else { Ok(()) }
        });
        let path = self.root.manifest_path(&self.name, id);
        written.map_err(StorageError::on("write", path)).inspect_err(|_| self.remove_manifest(id))
    }

    /// Removes the manifest of a release that is not there. An error is logged only: the next sweep
    /// tries again.
    pub(in crate::release) fn remove_manifest(&self, id: ReleaseId) {
        let removed = open_folder(&self.order, MANIFESTS)
            .and_then(|manifests| manifests.remove_file(manifest_name(id)));
        if let Err(error) = removed
            && error.kind() != io::ErrorKind::NotFound
        {
            let file = self.root.manifest_path(&self.name, id);
            tracing::warn!(
                %error,
                file = %file.display(),
                "the manifest of a removed release was not removed; the next sweep tries again"
            );
        }
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
        self.write_manifest(id, json, sync)?;
        let written = make_folder(&self.releases, &name, Access::Public)
            .and_then(|()| open_folder(&self.releases, &name))
            .map_err(StorageError::on("create the folder", &path))
            .and_then(|folder| store_site(&folder, area, manifest, &path, sync));
        self.remove_if_failed(written, id)
    }

    /// The rename of step 2 for a site in the staging buffer.
    pub(in crate::release) fn rename_written(&self, id: ReleaseId) -> Result<(), StorageError> {
        let name = format!("{NEW_PREFIX}{id}");
        let renamed = rename(&self.releases, &name, &self.releases, &id.to_string())
            .map_err(StorageError::on("move the site to", self.release_path(id)));
        self.remove_if_failed(renamed, id)
    }

    fn remove_if_failed(
        &self,
        done: Result<(), StorageError>,
        id: ReleaseId,
    ) -> Result<(), StorageError> {
        if done.is_ok() {
            return done;
        }
        self.remove_manifest(id);
        let name = format!("{NEW_PREFIX}{id}");
        if let Err(error) = remove_folder(&self.releases, &name) {
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
        let tidy = remove_links(&self.public)
            .map_err(StorageError::on("tidy the folder", &self.public_path));
        let switched =
            tidy.and_then(|()| self.sync_releases()).and_then(|()| self.switch(id, false));
        if let Err(error) = switched {
            if let Err(error) = remove_links(&self.public) {
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
        let current = self.current()?;
        if current == Some(id) {
            return Ok(false);
        }
        self.switch(id, current.is_none())?;
        Ok(true)
    }

    /// The rename of step 3; `is_first`: there is probably no current release. The link is
    /// relative, so that the sites folder can be moved or mounted elsewhere.
    fn switch(&self, id: ReleaseId, is_first: bool) -> Result<(), StorageError> {
        let (link, target) = (format!("{LINK_PREFIX}{id}"), format!("{RELEASES}/{id}"));
        // A link is created as atomically as it is renamed: most orders have one release.
        let created = is_first && make_link(&self.public, &target, CURRENT).is_ok();
        if !created {
            replace_link(&self.public, &target, CURRENT, &link)
                .map_err(StorageError::on("switch", self.public_path.join(CURRENT)))?;
        }
        if let Err(error) = self.root.link_current(&self.name, &self.order) {
            let folder = self.root.order_path(&self.name);
            tracing::warn!(
                %error,
                folder = %folder.display(),
                "visitors see the new release, but the link to it beside the order's private files \
                 was not made"
            );
        }
        Ok(())
    }

    /// The sync of step 3.
    pub(in crate::release) fn sync_order(&self) -> Result<(), StorageError> {
        sync_folder(&self.public).map_err(StorageError::on(
            "write the switch of `current` to the disk in",
            &self.public_path,
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
            self.remove_manifest(id);
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
fn remove_links(public: &Dir) -> io::Result<()> {
    for entry in public.entries()? {
        let name = entry?.file_name();
        if name.to_string_lossy().starts_with(LINK_PREFIX) {
            public.remove_file(&name)?;
        }
    }
    Ok(())
}
