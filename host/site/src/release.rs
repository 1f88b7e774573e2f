//! A verified site becomes the one that visitors see.
//!
//! The order of the steps is what makes a crash harmless; each is on the disk before the next
//! begins:
//! 1. every file, every folder (innermost first) and `manifest.json` in the staging area, or, for a
//!    site that was held in memory until now, in `releases/.new-<id>`;
//! 2. that folder becomes `releases/<id>` by one rename; then `releases`;
//! 3. a new symbolic link under a name of its own; then one rename puts it in the place of
//!    `current`; then the order's folder;
//! 4. releases beyond the newest few go: first renamed into the staging area, then removed.
//!
//! After a crash before step 3's rename, `current` is what it was (catalogue D1, F4); after it,
//! `current` is the new release, whole. What is left lying about is in the staging area or begins
//! with `.new-`, and goes with the next sweep.
//!
//! One rename is one transaction of every file system that keeps a journal: with the folder it
//! leads into, the one it came from is on the disk.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use cap_std::fs::Dir;
use ulid::Ulid;

use super::manifest::{MANIFEST_FORMAT, Manifest, ManifestFile, ReleaseId, ReleaseInfo};
use super::path::MANIFEST_FILE;
use super::root::{CURRENT, NEW_PREFIX, OrderDir, RELEASES, STAGING, SitesRoot};
use super::staging::{Area, StagedSite, write_file};
use super::storage::{
    StorageError, create_file, ensure_folder, lock, make_folder, make_link, open_file, open_folder,
    remove_folder, rename, sync_folder, sync_folder_at, try_lock,
};
use super::verify::VerifiedSite;

/// How many releases of an order are kept, the current one included, when nothing else is
/// configured.
pub const DEFAULT_KEEP: usize = 5;

/// What the name of a new link begins with until it is renamed to `current`.
const LINK_PREFIX: &str = ".current-";

/// A finished site on the disk.
#[derive(Debug, Clone, PartialEq)]
pub struct Release {
    /// Its folder: absolute.
    pub path: PathBuf,
    /// What it is.
    pub manifest: Manifest,
}

/// One release folder as [`list_releases`] finds it.
#[derive(Debug)]
pub struct ListedRelease {
    /// Its id: the folder's name.
    pub id: ReleaseId,
    /// Its folder: absolute.
    pub path: PathBuf,
    /// Whether visitors see it.
    pub current: bool,
    /// Its manifest, or why it cannot be read.
    pub manifest: Result<Manifest, ReadError>,
}

/// Why a verified site did not become a release.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The order has a release of this id.
    #[error("the order `{order}` has a release `{id}` already; give each release an id of its own")]
    Exists {
        /// The order.
        order: OrderDir,
        /// The id.
        id: ReleaseId,
    },
    /// The manifest could not be written as JSON.
    #[error(
        "the manifest of release `{id}` cannot be written as JSON: {source}; report this with the \
         AI usage of the run"
    )]
    Manifest {
        /// The release.
        id: ReleaseId,
        /// What serde said.
        source: serde_json::Error,
    },
    /// The order has no newer id to give.
    #[error(
        "the order `{order}` has a release `{newest}`, after which no id is left; remove it from \
         `releases`"
    )]
    IdsExhausted {
        /// The order.
        order: OrderDir,
        /// The newest release there is.
        newest: ReleaseId,
    },
    /// The file system refused.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Why releases could not be read. That there are none is no error (catalogue B4).
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// `current` leads somewhere else.
    #[error("`{}` leads to `{}` and not to `releases/<id>`; remove it and publish the order again", .path.display(), .target.display())]
    Link {
        /// The link.
        path: PathBuf,
        /// Where it leads.
        target: PathBuf,
    },
    /// A manifest that is none.
    #[error("the manifest `{}` cannot be read: {source}; publish the order again", .path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What serde said.
        source: serde_json::Error,
    },
    /// The file system refused.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Makes `site` the order's current release and keeps the newest `keep` of its releases; the
/// current one always stays. Blocking: call it from `spawn_blocking`. Publications of one order
/// wait for each other.
///
/// # Errors
/// The current release and the others are what they were; except that a disk that fails in the very
/// last sync leaves the new release visible without a promise that it is still there after a power
/// cut.
pub fn publish(
    site: VerifiedSite,
    info: ReleaseInfo,
    keep: usize,
) -> Result<Release, PublishError> {
    let (place, release, existing) = adopted(site, info)?;
    place.make_current(release.manifest.id)?;
    for old in existing.iter().rev().skip(keep.saturating_sub(1)) {
        place.expire(*old);
    }
    Ok(release)
}

/// Steps 1 and 2 only: the site is a release, whole and on the disk, and nobody sees it until
/// [`activate`]. For hosts that decide elsewhere which release is the current one. Blocking.
///
/// # Errors
/// As [`publish`]; nothing is left but what the next sweep removes.
pub fn place(site: VerifiedSite, info: ReleaseInfo) -> Result<Release, PublishError> {
    let (place, release, _) = adopted(site, info)?;
    place.settle()?;
    Ok(release)
}

/// Steps 3 and 4: visitors see the release `id` of the order from now on, and the newest `keep` of
/// its releases stay. Does nothing when it is current already, so it can be repeated until it is
/// known to have happened. Blocking.
///
/// # Errors
/// When the order has no such release, or the file system refuses; `current` is then what it was.
pub fn activate(
    root: &SitesRoot,
    order: &OrderDir,
    id: ReleaseId,
    keep: usize,
) -> Result<(), ReadError> {
    let place = Place::opened(root, order)?;
    let existing = place.existing()?;
    if place.show(id, &existing)? {
        sync_folder(&place.order).map_err(StorageError::on(
            "write the switch of `current` to the disk in",
            &place.order_path,
        ))?;
    }
    place.expire_but(id, &existing, keep);
    Ok(())
}

/// Removes a release that no one sees: one whose attempt turned out not to count. Does nothing when
/// it is not there or is the current one. Blocking.
///
/// # Errors
/// When the order's folders cannot be read.
pub fn discard(root: &SitesRoot, order: &OrderDir, id: ReleaseId) -> Result<(), ReadError> {
    let place = Place::opened(root, order)?;
    let existing = place.existing()?;
    if existing.contains(&id) && current_id(&place.order, &place.order_path)? != Some(id) {
        place.expire(id);
    }
    Ok(())
}

/// Steps 1 and the rename of 2; with the releases there were before.
fn adopted(
    site: VerifiedSite,
    info: ReleaseInfo,
) -> Result<(Place, Release, BTreeSet<ReleaseId>), PublishError> {
    let staged = site.into_staged();
    let place = Place::opened(&staged.area.root, &staged.area.order)?;
    let existing = place.existing()?;
    let id = choose_id(info.id, &existing, &staged.area.order)?;
    let (manifest, json) = manifest_of(&staged, id, info)?;
    match staged.area.opened() {
        Some(folder) => {
            store_site(
                &folder.dir,
                &staged.area,
                &manifest,
                &json,
                &staged.area.path(),
                Disk::Now,
            )?;
            place.adopt(&staged.area, id)?;
        }
        None => {
            place.make(&staged.area, &manifest, &json, id, Disk::Now)?;
            place.rename_made(id)?;
        }
    }
    let release = Release { path: place.release_path(id), manifest };
    Ok((place, release, existing))
}

/// Who sees to it that a step is on the disk before the next one begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Disk {
    /// The step itself.
    Now,
    /// The caller, for many sites at once.
    Together,
}

/// A site between the steps of [`place`], for a caller who takes them for many at once and writes
/// to the disk what each of them made before he takes the next.
pub(super) struct Written {
    place: Place,
    release: Release,
    placed: bool,
}

impl Written {
    /// Step 1. The site comes back when it cannot be done at once: it is on the disk already, or
    /// somebody has the order's folder.
    #[allow(clippy::type_complexity, reason = "what came in, or what came of it")]
    pub(super) fn together(
        site: VerifiedSite,
        info: ReleaseInfo,
    ) -> Result<Result<Self, Box<(VerifiedSite, ReleaseInfo)>>, PublishError> {
        let staged = site.staged();
        if staged.area.opened().is_some() {
            return Ok(Err(Box::new((site, info))));
        }
        let Some(place) = Place::open(&staged.area.root, &staged.area.order, Disk::Together)?
        else {
            return Ok(Err(Box::new((site, info))));
        };
        let id = choose_id(info.id, &place.existing()?, &staged.area.order)?;
        let (manifest, json) = manifest_of(staged, id, info)?;
        place.make(&staged.area, &manifest, &json, id, Disk::Together)?;
        let release = Release { path: place.release_path(id), manifest };
        Ok(Ok(Written { place, release, placed: false }))
    }

    /// Step 2.
    pub(super) fn rename(&mut self) -> Result<(), StorageError> {
        self.place.rename_made(self.release.manifest.id)?;
        self.placed = true;
        Ok(())
    }

    /// Whether step 2 is done.
    pub(super) fn is_placed(&self) -> bool {
        self.placed
    }

    /// What became of it.
    pub(super) fn release(self) -> Release {
        self.release
    }
}

/// The folders of one order, open and locked for one publication.
pub(super) struct Place {
    /// Locked until this is dropped, or the process ends.
    order: Dir,
    releases: Dir,
    order_path: PathBuf,
    releases_path: PathBuf,
    /// Whether `releases` was made just now, so that nothing can be in it.
    fresh: bool,
}

impl Place {
    /// Waits for whoever has the folder.
    fn opened(root: &SitesRoot, order: &OrderDir) -> Result<Self, StorageError> {
        let folder = root.ensure_order(order)?;
        lock(&folder).map_err(StorageError::on("lock the folder", root.order_path(order)))?;
        Place::locked(root, order, folder, Disk::Now)
    }

    /// Nothing when somebody has the folder.
    pub(super) fn open(
        root: &SitesRoot,
        order: &OrderDir,
        disk: Disk,
    ) -> Result<Option<Self>, StorageError> {
        let folder = root.ensure_order_on(order, disk)?;
        let locked = try_lock(&folder)
            .map_err(StorageError::on("lock the folder", root.order_path(order)))?;
        if locked { Place::locked(root, order, folder, disk).map(Some) } else { Ok(None) }
    }

    fn locked(
        root: &SitesRoot,
        order: &OrderDir,
        folder: Dir,
        disk: Disk,
    ) -> Result<Self, StorageError> {
        let order_path = root.order_path(order);
        let releases_path = order_path.join(RELEASES);
        let (releases, fresh) = ensure_folder(&folder, RELEASES)
            .and_then(|(releases, made)| match (made, disk) {
                (true, Disk::Now) => sync_folder(&folder).map(|()| (releases, made)),
                (false, _) | (_, Disk::Together) => Ok((releases, made)),
            })
            .map_err(StorageError::on("create the folder", &releases_path))?;
        Ok(Place { order: folder, releases, order_path, releases_path, fresh })
    }

    /// Switches to a release that is there. Whether there was anything to do.
    pub(super) fn show(
        &self,
        id: ReleaseId,
        existing: &BTreeSet<ReleaseId>,
    ) -> Result<bool, ReadError> {
        if !existing.contains(&id) {
            let missing = io::Error::from(io::ErrorKind::NotFound);
            return Err(StorageError::on("find", self.release_path(id))(missing).into());
        }
        if current_id(&self.order, &self.order_path)? == Some(id) {
            return Ok(false);
        }
        self.switch(id)?;
        Ok(true)
    }

    /// Removes all releases but this one and the newest others.
    pub(super) fn expire_but(&self, id: ReleaseId, existing: &BTreeSet<ReleaseId>, keep: usize) {
        for old in existing.iter().rev().filter(|old| **old != id).skip(keep.saturating_sub(1)) {
            self.expire(*old);
        }
    }

    /// The releases there are.
    pub(super) fn existing(&self) -> Result<BTreeSet<ReleaseId>, StorageError> {
        if self.fresh {
            return Ok(BTreeSet::new());
        }
        release_ids(&self.releases)
            .map_err(StorageError::on("read the folder", &self.releases_path))
    }

    fn release_path(&self, id: ReleaseId) -> PathBuf {
        self.releases_path.join(id.to_string())
    }

    fn staging(&self) -> io::Result<Dir> {
        Ok(ensure_folder(&self.order, STAGING)?.0)
    }

    /// Step 2: the staging area becomes a release.
    fn adopt(&self, area: &Area, id: ReleaseId) -> Result<(), StorageError> {
        self.staging()
            .and_then(|staging| {
                rename(&staging, area.attempt.as_str(), &self.releases, &id.to_string())
            })
            .map_err(StorageError::on("move the site to", self.release_path(id)))?;
        area.release();
        Ok(())
    }

    /// Step 1 for a site that was held in memory.
    fn make(
        &self,
        area: &Area,
        manifest: &Manifest,
        json: &[u8],
        id: ReleaseId,
        disk: Disk,
    ) -> Result<(), StorageError> {
        let name = format!("{NEW_PREFIX}{id}");
        let path = self.releases_path.join(&name);
        let made = make_folder(&self.releases, &name)
            .and_then(|()| open_folder(&self.releases, &name))
            .map_err(StorageError::on("create the folder", &path))
            .and_then(|folder| store_site(&folder, area, manifest, json, &path, disk));
        self.unmake_unless(made, &name)
    }

    /// Step 2 for such a site.
    fn rename_made(&self, id: ReleaseId) -> Result<(), StorageError> {
        let name = format!("{NEW_PREFIX}{id}");
        let renamed = rename(&self.releases, &name, &self.releases, &id.to_string())
            .map_err(StorageError::on("move the site to", self.release_path(id)));
        self.unmake_unless(renamed, &name)
    }

    fn unmake_unless(
        &self,
        done: Result<(), StorageError>,
        name: &str,
    ) -> Result<(), StorageError> {
        if done.is_err()
            && let Err(error) = remove_folder(&self.releases, name)
        {
            let folder = self.releases_path.join(name);
            tracing::warn!(%error, folder = %folder.display(), "a site that could not be stored stays until the next sweep");
        }
        done
    }

    /// The end of step 2, and step 3. A release that cannot become current is removed: it must not
    /// be taken for a site that was once good.
    fn make_current(&self, id: ReleaseId) -> Result<(), StorageError> {
        let tidy = remove_links(&self.order)
            .map_err(StorageError::on("tidy the folder", &self.order_path));
        let switched = tidy.and_then(|()| self.settle()).and_then(|()| self.switch(id));
        if let Err(error) = switched {
            if let Err(error) = remove_links(&self.order) {
                tracing::warn!(%error, release = %id, "a link that was never `current` stays until the next publication");
            }
            self.expire(id);
            return Err(error);
        }
        // The switch has happened: from here on the release is the current one, whatever else goes
        // wrong.
        sync_folder(&self.order).map_err(StorageError::on(
            "write the switch of `current` to the disk in",
            &self.order_path,
        ))
    }

    /// The end of step 2: the move into `releases` is on the disk.
    fn settle(&self) -> Result<(), StorageError> {
        sync_folder(&self.releases)
            .map_err(StorageError::on("write to the disk", &self.releases_path))
    }

    /// Step 3. The link is relative, so the sites folder may be moved or mounted elsewhere.
    fn switch(&self, id: ReleaseId) -> Result<(), StorageError> {
        let (link, target) = (format!("{LINK_PREFIX}{id}"), format!("{RELEASES}/{id}"));
        let made = match make_link(&self.order, &target, &link) {
            // Of a process that ended between this step and the next.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                remove_links(&self.order).and_then(|()| make_link(&self.order, &target, &link))
            }
            made => made,
        };
        made.and_then(|()| rename(&self.order, &link, &self.order, CURRENT))
            .map_err(StorageError::on("switch", self.order_path.join(CURRENT)))
    }

    /// Step 4: a folder stops being a release in one step; a crash in the middle leaves the rest to
    /// the sweep. A folder that cannot be removed fails nothing: the next publication tries
    /// again.
    fn expire(&self, id: ReleaseId) {
        let name = format!(".expired-{id}");
        let removed = self.staging().and_then(|staging| {
            rename(&self.releases, &id.to_string(), &staging, &name)?;
            remove_folder(&staging, &name)
        });
        if let Err(error) = removed {
            let folder = self.releases_path.join(id.to_string());
            tracing::warn!(%error, folder = %folder.display(), "a release that is not needed could not be removed");
        }
    }
}

/// The manifest, and its text.
fn manifest_of(
    staged: &StagedSite,
    id: ReleaseId,
    info: ReleaseInfo,
) -> Result<(Manifest, Vec<u8>), PublishError> {
    let files = staged.files.iter().map(|(path, file)| ManifestFile {
        path: path.clone(),
        size: file.bytes,
        sha256: file.sha256.clone(),
    });
    let manifest = Manifest {
        format: MANIFEST_FORMAT,
        id,
        order: staged.area.order.clone(),
        attempt: staged.area.attempt.clone(),
        template: info.template,
        host_build: info.host_build,
        locale: info.locale,
        created_at: info.created_at,
        ai: info.ai,
        usage: info.usage,
        total_bytes: staged.files.values().map(|file| file.bytes).sum(),
        files: files.collect(),
    };
    let json = serde_json::to_vec_pretty(&manifest)
        .map_err(|source| PublishError::Manifest { id, source })?;
    Ok((manifest, json))
}

/// The order's current release, or nothing when it has none. Blocking.
///
/// # Errors
/// When there is one and it cannot be read.
pub fn read_current(root: &SitesRoot, order: &OrderDir) -> Result<Option<Release>, ReadError> {
    let Some(dir) = root.open_order(order)? else { return Ok(None) };
    let order_path = root.order_path(order);
    let Some(id) = current_id(&dir, &order_path)? else { return Ok(None) };
    let releases_path = order_path.join(RELEASES);
    let releases = open_folder(&dir, RELEASES)
        .map_err(StorageError::on("open the folder", releases_path.clone()))?;
    let path = releases_path.join(id.to_string());
    let manifest = read_manifest(&releases, id, &path)?;
    Ok(Some(Release { path, manifest }))
}

/// The order's releases, newest first; none when it has none. Blocking. A release whose manifest
/// cannot be read is in the list with the reason.
///
/// # Errors
/// When the order's folders cannot be read.
pub fn list_releases(root: &SitesRoot, order: &OrderDir) -> Result<Vec<ListedRelease>, ReadError> {
    let Some(dir) = root.open_order(order)? else { return Ok(Vec::new()) };
    let order_path = root.order_path(order);
    let releases_path = order_path.join(RELEASES);
    let releases = match open_folder(&dir, RELEASES) {
        Ok(releases) => releases,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(StorageError::on("open the folder", releases_path)(error).into()),
    };
    let current = current_id(&dir, &order_path)?;
    let ids =
        release_ids(&releases).map_err(StorageError::on("read the folder", &releases_path))?;
    let listed = ids.into_iter().rev().map(|id| {
        let path = releases_path.join(id.to_string());
        let manifest = read_manifest(&releases, id, &path);
        ListedRelease { id, path, current: current == Some(id), manifest }
    });
    Ok(listed.collect())
}

fn choose_id(
    wanted: Option<ReleaseId>,
    existing: &BTreeSet<ReleaseId>,
    order: &OrderDir,
) -> Result<ReleaseId, PublishError> {
    if let Some(id) = wanted {
        return if existing.contains(&id) {
            Err(PublishError::Exists { order: order.clone(), id })
        } else {
            Ok(id)
        };
    }
    let id = ReleaseId(Ulid::generate());
    match existing.last() {
        // Two in one millisecond, or a clock that was set back: newer must still sort after older.
        Some(newest) if *newest >= id => newest
            .0
            .increment()
            .map(ReleaseId)
            .map_err(|_| PublishError::IdsExhausted { order: order.clone(), newest: *newest }),
        _ => Ok(id),
    }
}

/// Step 1: everything is in `folder`, the manifest last; and on the disk, unless the caller sees to
/// that.
fn store_site(
    folder: &Dir,
    area: &Area,
    manifest: &Manifest,
    json: &[u8],
    shown: &Path,
    disk: Disk,
) -> Result<(), StorageError> {
    let now = disk == Disk::Now;
    let mut folders = BTreeSet::new();
    let held = area.held();
    for file in &manifest.files {
        let open = match held.get(&file.path) {
            Some(bytes) => write_file(folder, &file.path, bytes, shown)?,
            None => open_file(folder, file.path.as_str())
                .map_err(StorageError::on("open", shown.join(&file.path)))?,
        };
        if now {
            open.sync_all()
                .map_err(StorageError::on("write to the disk", shown.join(&file.path)))?;
            folders.extend(file.path.folders());
        }
    }
    drop(held);
    // A folder sorts before what is in it; so backwards is innermost first.
    for name in folders.into_iter().rev() {
        sync_folder_at(folder, name)
            .map_err(StorageError::on("write to the disk", shown.join(name)))?;
    }
    create_file(folder, MANIFEST_FILE)
        .and_then(|mut file| {
            file.write_all(json).and_then(|()| if now { file.sync_all() } else { Ok(()) })
        })
        .map_err(StorageError::on("write", shown.join(MANIFEST_FILE)))?;
    if now {
        sync_folder(folder).map_err(StorageError::on("write to the disk", shown))
    } else {
        Ok(())
    }
}

/// Links of publications that ended between making and renaming one. The caller has the order's
/// lock.
fn remove_links(order: &Dir) -> io::Result<()> {
    for entry in order.entries()? {
        let name = entry?.file_name();
        if name.to_string_lossy().starts_with(LINK_PREFIX) {
            order.remove_file(&name)?;
        }
    }
    Ok(())
}

fn release_ids(releases: &Dir) -> io::Result<BTreeSet<ReleaseId>> {
    let mut ids = BTreeSet::new();
    for entry in releases.entries()? {
        if let Some(id) = release_id(&entry?.file_name().to_string_lossy()) {
            ids.insert(id);
        }
    }
    Ok(ids)
}

/// The id that `name` spells; only the one spelling that [`ReleaseId`] prints.
pub(super) fn release_id(name: &str) -> Option<ReleaseId> {
    Ulid::from_string(name).ok().map(ReleaseId).filter(|id| id.to_string() == name)
}

fn current_id(order: &Dir, order_path: &Path) -> Result<Option<ReleaseId>, ReadError> {
    let path = order_path.join(CURRENT);
    let target = match order.read_link_contents(CURRENT) {
        Ok(target) => target,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StorageError::on("read the link", path)(error).into()),
    };
    let id = target.strip_prefix(RELEASES).ok().and_then(Path::to_str).and_then(release_id);
    id.map(Some).ok_or(ReadError::Link { path, target })
}

fn read_manifest(releases: &Dir, id: ReleaseId, path: &Path) -> Result<Manifest, ReadError> {
    let file_path = path.join(MANIFEST_FILE);
    let json = open_folder(releases, &id.to_string())
        .and_then(|dir| open_file(&dir, MANIFEST_FILE))
        .and_then(io::read_to_string)
        .map_err(StorageError::on("read", &file_path))?;
    serde_json::from_str(&json).map_err(|source| ReadError::Manifest { path: file_path, source })
}
