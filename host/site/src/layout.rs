//! Brings an order's folders to the present layout.
//!
//! Before version 0.2, everything of an order was in one folder, which was served:
//! `<sites>/<order>/releases/<id>/`, with `manifest.json` among the site's files, and
//! `<sites>/<order>/current`. A worker changes all of them when it starts, and whoever opens an
//! order's releases changes that order's. Each step is one rename, and every
//! step can be taken again, so a crash in between only leaves work for the next time; no release is
//! ever in neither place, and the one that visitors see becomes visible in its new place in one
//! step.

use std::io;
use std::path::Path;

use cap_std::fs::Dir;
use ulid::Ulid;

use super::manifest::ReleaseId;
use super::release::release_id;
use super::root::{
    CURRENT, MANIFESTS, NEW_PREFIX, OrderDir, RELEASES, STAGING, SitesRoot, is_no_folder,
    manifest_name,
};
use super::storage::{
    Access, StorageError, ensure_folder, is_passage, make_file_private, make_folder_private,
    make_link, make_passage, open_file, open_folder, read_link, remove_folder, rename,
    replace_link, sync_folder,
};

/// The manifest's name in a release of the old layout.
const OLD_MANIFEST: &str = "manifest.json";
/// Where entries of the old folder of releases stay that are none of ours.
const LEFT: &str = ".releases-left";

/// Opens the folder of releases in an order's private folder; `None` if there is none. A link or a
/// file of that name is none of ours, and is left alone.
fn old_releases(order: &Dir) -> io::Result<Option<Dir>> {
    match open_folder(order, RELEASES) {
        Ok(old) => Ok(Some(old)),
        Err(error) if is_no_folder(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether an order's private folder still has releases.
pub(super) fn is_old(order: &Dir) -> io::Result<bool> {
    old_releases(order).map(|old| old.is_some())
}

/// Moves the order's releases to its public folder, and their manifests to its private one. Does
/// nothing if that has been done, and returns whether it has not. The caller holds the lock of
/// `dir`, the order's private folder.
pub(super) fn migrate(root: &SitesRoot, order: &OrderDir, dir: &Dir) -> Result<bool, StorageError> {
    let old = old_releases(dir)
        .map_err(StorageError::on("open the folder of releases in", root.order_path(order)))?;
    let Some(old) = old else { return Ok(false) };
    let (public, _) = root.ensure_public(order)?;
    let moved = move_releases(dir, &old, &public).and_then(|current| {
        sync_folder(&public)?;
        if current.is_some() {
            root.link_current(order, dir)?;
        }
        remove_old(dir, &old)?;
        sync_folder(dir)
    });
    moved.map_err(StorageError::on(
        "move the releases to the folder for visitors from",
        root.order_path(order),
    ))?;
    root.sync_public()?;
    tracing::debug!(
        order = order.as_str(),
        folder = %root.public_order_path(order).display(),
        "the order's releases were moved to the folder for visitors"
    );
    Ok(true)
}

/// Returns the current release.
fn move_releases(order: &Dir, old: &Dir, public: &Dir) -> io::Result<Option<ReleaseId>> {
    let (releases, _) = ensure_folder(public, RELEASES, Access::Public)?;
    let (manifests, _) = ensure_folder(order, MANIFESTS, Access::Private)?;
    let current = current_of(order);
    let mut ids = Vec::new();
    for entry in old.entries()? {
        let entry = entry?;
        // Anything else is not finished.
        if entry.file_type()?.is_dir() {
            ids.extend(release_id(&entry.file_name().to_string_lossy()));
        }
    }
    // The current one last: until then its old link leads to it.
    ids.sort_by_key(|id| (Some(*id) == current, *id));
    for id in ids {
        move_manifest(old, &manifests, id)?;
        if Some(id) == current {
            sync_folder(&releases)?;
            sync_folder(&manifests)?;
            // The link leads nowhere for a moment, and then, by the rename, to the whole release.
            match make_link(public, &format!("{RELEASES}/{id}"), CURRENT) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
        }
        rename(old, &id.to_string(), &releases, &id.to_string())?;
    }
    // A worker of the earlier version may have activated a newer release since the first move.
    if let Some(old) = current
        && releases.symlink_metadata(old.to_string()).is_ok()
        && current_of(public).is_none_or(|current| current < old)
    {
        replace_link(public, &format!("{RELEASES}/{old}"), CURRENT, &format!(".{CURRENT}-{old}"))?;
    }
    sync_folder(&releases)?;
    sync_folder(&manifests)?;
    Ok(current)
}

/// The release that the link `current` in `folder` leads to: an order's public folder, or its
/// private one in the old layout.
fn current_of(folder: &Dir) -> Option<ReleaseId> {
    let target = read_link(folder, CURRENT).ok().flatten()?;
    target.strip_prefix(RELEASES).ok().and_then(Path::to_str).and_then(release_id)
}

/// Removes the old folder of releases, which has none any more.
fn remove_old(order: &Dir, old: &Dir) -> io::Result<()> {
    let mut others = false;
    for entry in old.entries()? {
        let name = entry?.file_name();
        match name.to_str() {
            Some(name) if name.starts_with(NEW_PREFIX) => remove_folder(old, name)?,
            _ => others = true,
        }
    }
    if !others {
        return remove_folder(order, RELEASES);
    }
    match rename(order, RELEASES, order, LEFT) {
        // An earlier move has left some too, and a worker of the earlier version ran since.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists
            ) =>
        {
            rename(order, RELEASES, order, &format!("{LEFT}-{}", Ulid::generate()))
        }
        renamed => renamed,
    }
}

fn move_manifest(old: &Dir, manifests: &Dir, id: ReleaseId) -> io::Result<()> {
    let release = open_folder(old, &id.to_string())?;
    match open_file(&release, OLD_MANIFEST) {
        Ok(file) => make_file_private(&file)?,
        // It has been moved before.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    rename(&release, OLD_MANIFEST, manifests, &manifest_name(id))
}

/// Takes all rights on what is in an order's private folder away from other users. Does nothing if
/// they cannot look into the folder itself, which changes last.
pub(super) fn tighten(order: &Dir) -> io::Result<()> {
    if is_passage(order)? {
        return Ok(());
    }
    for entry in order.entries()? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        gone(match name {
            // It moves to the public folder as it is.
            RELEASES => Ok(()),
            // What is in it may become a release.
            STAGING => open_folder(order, name).and_then(|folder| make_folder_private(&folder)),
            _ => open_folder(order, name).and_then(|folder| tighten_folder(&folder)),
        })?;
    }
    make_passage(order)
}

fn tighten_folder(folder: &Dir) -> io::Result<()> {
    for entry in folder.entries()? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        if entry.file_type().is_ok_and(|kind| kind.is_file()) {
            gone(open_file(folder, name).and_then(|file| make_file_private(&file)))?;
        }
    }
    make_folder_private(folder)
}

/// What another process has removed meanwhile needs no change.
fn gone(changed: io::Result<()>) -> io::Result<()> {
    match changed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        changed => changed,
    }
}
