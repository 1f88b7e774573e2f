//! How a verified site becomes the release that visitors see.
//!
//! Four steps; each is on the disk before the next one begins, so that a crash is harmless:
//! 1. the manifest in the order's private folder; every file and every folder (innermost first) in
//!    the staging area, or, for a site in the staging buffer, in `releases/.new-<id>`;
//! 2. that folder is renamed to `releases/<id>` in the order's public folder; then `releases` is
//!    synced;
//! 3. a symbolic link is created under a temporary name and renamed to `current`, or created as
//!    `current` if there is none; then the order's public folder is synced;
//! 4. releases beyond the newest few expire: renamed into the staging area, then removed with their
//!    manifests.
//!
//! After a crash before the link of step 3, `current` is what it was (failure catalogue D1, F4);
//! after it, `current` is the new release, whole. Leftovers are in the staging area, begin with
//! `.new-` or are manifests without a release, and the next sweep removes them. One rename is one
//! transaction on every journaling file system: when the target folder is on the disk, the source
//! folder is as well.
//!
//! | file | answers |
//! |---|---|
//! | `release.rs` | the public operations |
//! | `release/folders.rs` | the steps, on an order's locked folders |
//! | `release/write.rs` | a release's id, manifest and files; steps 1 and 2 for the group commit |
//! | `release/read.rs` | the current release, and the list of releases |

mod folders;
mod read;
mod write;

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::manifest::{Manifest, ReleaseId, ReleaseInfo};
use super::root::{OrderDir, SitesRoot};
use super::storage::StorageError;
use super::verify::VerifiedSite;
pub(super) use folders::OrderFolders;
use folders::SyncMode;
pub use read::{ListedRelease, ReadError, list_releases, read_current};
pub(super) use read::{release_id, release_ids};
pub(super) use write::{BatchedRelease, Batching};
use write::{choose_id, manifest_of, store_site};

/// Default number of releases of an order that are kept, the current one included.
pub const DEFAULT_KEEP: usize = 5;

/// A release on the disk.
#[derive(Debug, Clone, PartialEq)]
pub struct Release {
    /// The release's folder, absolute.
    pub path: PathBuf,
    pub manifest: Manifest,
}

/// Why a verified site did not become a release.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The order already has a release of this id.
    #[error("the order `{order}` has a release `{id}` already; give each release an id of its own")]
    Exists { order: OrderDir, id: ReleaseId },
    /// The manifest cannot be written as JSON.
    #[error(
        "the manifest of release `{id}` cannot be written as JSON: {source}; report this with the \
         AI usage of the run"
    )]
    Manifest { id: ReleaseId, source: serde_json::Error },
    /// The order's newest release has the greatest possible id.
    #[error(
        "the order `{order}` has a release `{newest}`, after which no id is left; remove it from \
         `releases`"
    )]
    IdsExhausted { order: OrderDir, newest: ReleaseId },
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// How publishing or placing a site ended that was prepared on the blocking pool. `E` is the error
/// of the preparation.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "usually a release, and moved once or twice")]
pub enum PublishOutcome<E> {
    Released(Release),
    /// The preparation failed.
    Unprepared(E),
    /// The site was prepared and did not become a release.
    Failed(PublishError),
    /// The work panicked, or the runtime is shutting down.
    Lost,
}

impl<E> PublishOutcome<E> {
    /// Prepares a site and releases it with `release`. Blocking.
    pub(super) fn of(
        prepare: impl FnOnce() -> Result<(VerifiedSite, ReleaseInfo), E>,
        release: impl FnOnce(VerifiedSite, ReleaseInfo) -> Result<Release, PublishError>,
    ) -> Self {
        match prepare() {
            Ok((site, info)) => release(site, info).into(),
            Err(error) => PublishOutcome::Unprepared(error),
        }
    }
}

impl<E> From<Result<Release, PublishError>> for PublishOutcome<E> {
    fn from(released: Result<Release, PublishError>) -> Self {
        match released {
            Ok(release) => PublishOutcome::Released(release),
            Err(error) => PublishOutcome::Failed(error),
        }
    }
}

/// Makes `site` the order's current release and keeps the newest `keep` of its releases; the
/// current one is always kept. Publications of one order wait for each other. Blocking: call it
/// from `spawn_blocking`, or use [`publish_prepared`].
///
/// # Errors
/// The releases and `current` are unchanged, with one exception: if the very last sync fails, the
/// new release is current and may be lost in a power cut.
pub fn publish(
    site: VerifiedSite,
    info: ReleaseInfo,
    keep: usize,
) -> Result<Release, PublishError> {
    let (folders, release, existing) = store(site, info)?;
    folders.make_current(release.manifest.id)?;
    for old in existing.iter().rev().skip(keep.saturating_sub(1)) {
        folders.expire(*old);
    }
    Ok(release)
}

/// Runs `prepare` and [`publish`] on the blocking pool.
pub async fn publish_prepared<E: Send + 'static>(
    prepare: impl FnOnce() -> Result<(VerifiedSite, ReleaseInfo), E> + Send + 'static,
    keep: usize,
) -> PublishOutcome<E> {
    let publish = move || PublishOutcome::of(prepare, |site, info| publish(site, info, keep));
    tokio::task::spawn_blocking(publish).await.unwrap_or(PublishOutcome::Lost)
}

/// Steps 1 and 2: the site becomes a release, whole and on the disk, that no visitor sees until
/// [`activate`]. For callers that decide elsewhere which release is current. Blocking; see
/// [`SyncBatcher::place_prepared`](super::SyncBatcher::place_prepared).
///
/// # Errors
/// As [`publish`]. Leftovers are removed by the next sweep.
pub fn place(site: VerifiedSite, info: ReleaseInfo) -> Result<Release, PublishError> {
    let (folders, release, _) = store(site, info)?;
    folders.sync_releases()?;
    Ok(release)
}

/// Steps 3 and 4: makes the release `id` current and keeps the newest `keep` of the order's
/// releases. Can be repeated: does nothing if the release is already current. Blocking.
///
/// # Errors
/// If the order has no such release or a file system call fails; `current` is then unchanged.
pub fn activate(
    root: &SitesRoot,
    order: &OrderDir,
    id: ReleaseId,
    keep: usize,
) -> Result<(), ReadError> {
    let folders = OrderFolders::lock(root, order)?;
    let existing = folders.existing()?;
    if folders.activate(id, &existing)? {
        folders.sync_order()?;
    }
    folders.expire_others(id, &existing, keep);
    Ok(())
}

/// Removes a release whose attempt does not count. Does nothing if it does not exist or is current.
/// Blocking.
///
/// # Errors
/// If the order's folders cannot be read.
pub fn discard(root: &SitesRoot, order: &OrderDir, id: ReleaseId) -> Result<(), ReadError> {
    let folders = OrderFolders::lock(root, order)?;
    if folders.existing()?.contains(&id) && folders.current()? != Some(id) {
        folders.expire(id);
    }
    Ok(())
}

/// Step 1 and the rename of step 2. Returns the releases that existed before as well.
fn store(
    site: VerifiedSite,
    info: ReleaseInfo,
) -> Result<(OrderFolders, Release, BTreeSet<ReleaseId>), PublishError> {
    let staged = site.into_staged();
    let area = &staged.area;
    let folders = OrderFolders::lock(&area.root, &area.order)?;
    let existing = folders.existing()?;
    let id = choose_id(info.id, &existing, &area.order)?;
    let (manifest, json) = manifest_of(&staged, id, info)?;
    match area.opened() {
        Some(folder) => {
            folders.write_manifest(id, &json, SyncMode::Now)?;
            store_site(&folder.dir, area, &manifest, &area.path(), SyncMode::Now)
                .and_then(|()| folders.move_staged(area, id))
                .inspect_err(|_| folders.remove_manifest(id))?;
        }
        None => {
            folders.write_buffered(area, &manifest, &json, id, SyncMode::Now)?;
            folders.rename_written(id)?;
        }
    }
    let release = Release { path: folders.release_path(id), manifest };
    Ok((folders, release, existing))
}
