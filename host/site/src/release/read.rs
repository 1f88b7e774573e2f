//! Reading releases back: the current one, and the list of all.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use cap_std::fs::Dir;
use ulid::Ulid;

use super::Release;
use crate::manifest::{Manifest, ReleaseId};
use crate::root::{CURRENT, MANIFESTS, OrderDir, RELEASES, SitesRoot, manifest_name};
use crate::storage::{StorageError, open_file, open_folder};

/// A release folder as [`list_releases`] finds it.
#[derive(Debug)]
pub struct ListedRelease {
    /// The id, which is the folder's name.
    pub id: ReleaseId,
    /// The release's folder, absolute.
    pub path: PathBuf,
    /// Whether `current` points to it.
    pub current: bool,
    /// The manifest, or why it cannot be read.
    pub manifest: Result<Manifest, ReadError>,
}

/// Why releases could not be read. A missing release is not an error (failure catalogue B4).
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// `current` does not point to a release.
    #[error(
        "`{}` leads to `{}` and not to `releases/<id>`; remove it and publish the order again",
        .path.display(),
        .target.display()
    )]
    Link {
        /// The link.
        path: PathBuf,
        target: PathBuf,
    },
    /// The file is not a manifest.
    #[error(
        "the manifest `{}` cannot be read: {source}; publish the order again",
        .path.display()
    )]
    Manifest { path: PathBuf, source: serde_json::Error },
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// The order's current release; `None` if it has none. Blocking.
///
/// # Errors
/// If it has one that cannot be read.
pub fn read_current(root: &SitesRoot, order: &OrderDir) -> Result<Option<Release>, ReadError> {
    root.migrate(order)?;
    let Some(public) = root.open_public(order)? else { return Ok(None) };
    let public_path = root.public_order_path(order);
    let Some(id) = current_id(&public, &public_path)? else { return Ok(None) };
    let path = public_path.join(RELEASES).join(id.to_string());
    open_folder(&public, RELEASES)
        .and_then(|releases| open_folder(&releases, &id.to_string()))
        .map_err(StorageError::on("open the folder", &path))?;
    let manifest = read_manifest(root, order, id)?;
    Ok(Some(Release { path, manifest }))
}

/// The order's releases, newest first; empty if it has none. A release whose manifest cannot be
/// read is listed with the reason. Blocking.
///
/// # Errors
/// If the order's folders cannot be read.
pub fn list_releases(root: &SitesRoot, order: &OrderDir) -> Result<Vec<ListedRelease>, ReadError> {
    root.migrate(order)?;
    let Some(public) = root.open_public(order)? else { return Ok(Vec::new()) };
    let public_path = root.public_order_path(order);
    let releases_path = public_path.join(RELEASES);
    let releases = match open_folder(&public, RELEASES) {
        Ok(releases) => releases,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(StorageError::on("open the folder", releases_path)(error).into()),
    };
    let current = current_id(&public, &public_path)?;
    let ids =
        release_ids(&releases).map_err(StorageError::on("read the folder", &releases_path))?;
    let listed = ids.into_iter().rev().map(|id| {
        let path = releases_path.join(id.to_string());
        let manifest = read_manifest(root, order, id);
        ListedRelease { id, path, current: current == Some(id), manifest }
    });
    Ok(listed.collect())
}

pub(crate) fn release_ids(releases: &Dir) -> io::Result<BTreeSet<ReleaseId>> {
    let mut ids = BTreeSet::new();
    for entry in releases.entries()? {
        ids.extend(release_id(&entry?.file_name().to_string_lossy()));
    }
    Ok(ids)
}

/// Parses the name of a release's folder. Accepts only the spelling that [`ReleaseId`] prints.
pub(crate) fn release_id(name: &str) -> Option<ReleaseId> {
    Ulid::from_string(name).ok().map(ReleaseId).filter(|id| id.to_string() == name)
}

/// The release that `current` points to; `None` if the link does not exist.
pub(super) fn current_id(public: &Dir, public_path: &Path) -> Result<Option<ReleaseId>, ReadError> {
    let path = public_path.join(CURRENT);
    let target = match public.read_link_contents(CURRENT) {
        Ok(target) => target,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StorageError::on("read the link", path)(error).into()),
    };
    let id = target.strip_prefix(RELEASES).ok().and_then(Path::to_str).and_then(release_id);
    id.map(Some).ok_or(ReadError::Link { path, target })
}

fn read_manifest(root: &SitesRoot, order: &OrderDir, id: ReleaseId) -> Result<Manifest, ReadError> {
    let path = root.manifest_path(order, id);
    let dir = root
        .open_order(order)?
        .ok_or_else(|| StorageError::on("read", &path)(io::Error::from(io::ErrorKind::NotFound)))?;
    let json = open_folder(&dir, MANIFESTS)
        .and_then(|manifests| open_file(&manifests, &manifest_name(id)))
        .and_then(io::read_to_string)
        .map_err(StorageError::on("read", &path))?;
    serde_json::from_str(&json).map_err(|source| ReadError::Manifest { path, source })
}
