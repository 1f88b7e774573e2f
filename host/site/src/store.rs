//! Where a worker keeps releases, and how one of them becomes the current one.
//!
//! One machine keeps them in the sites folder, where they are made. Several share an object store
//! (`sites.store = "s3://bucket/prefix"`, `gs://`, `az://`) with the same layout.
//! Visitors need `public/` only:
//!
//! ```text
//! <prefix>/public/<order>/releases/<id>/index.html ...   written first
//! <prefix>/private/<order>/manifests/<id>.json           written last: without it, it is not a
//!                                                        release
//! <prefix>/public/<order>/current.json                   the pointer: names the release that
//!                                                        visitors see
//! ```
//!
//! | file | answers |
//! |---|---|
//! | `folder` | how releases are kept in the sites folder |
//! | `objects` | how a release is uploaded, activated and removed in an object store |
//! | `old_layout` | how releases that an earlier version has stored get this layout |
//! | `stored` | which releases does an order have there, and what is in their files? |
//! | `pointer` | what the pointer contains, and how concurrent workers write it |
//! | `bucket_client` | the requests: put, get, list, delete, each with a time-out |
//! | `probe` | whether a store can be used, tried at start |
//! | `location`, `bucket` | which folder or bucket `sites.store` means |
//! | `connect`, `http` | how the library connects, with the one HTTP client of the process |
//! | [`limits`] | concurrency, time-outs and retries |
//! | [`content`] | content types and cache rules |
//! | [`error`], `request_error`, `secrets` | what went wrong, with what to do and without secrets |
//!
//! Without the feature `object-store` only the sites folder is left.

#[cfg(feature = "object-store")]
mod bucket;
#[cfg(feature = "object-store")]
mod bucket_client;
#[cfg(test)]
#[cfg(feature = "object-store")]
mod conflicts;
#[cfg(feature = "object-store")]
mod connect;
pub mod content;
pub mod error;
mod folder;
#[cfg(feature = "object-store")]
mod http;
pub mod limits;
mod location;
#[cfg(feature = "object-store")]
mod objects;
#[cfg(feature = "object-store")]
mod old_layout;
#[cfg(feature = "object-store")]
mod pointer;
#[cfg(feature = "object-store")]
mod probe;
#[cfg(feature = "object-store")]
mod request_error;
#[cfg(feature = "object-store")]
mod secrets;
mod stored;

use std::ffi::OsString;

use super::manifest::ReleaseId;
use super::release::Release;
use super::root::{OrderDir, SitesRoot};
use super::sync_batcher::SyncBatcher;
use error::StoreError;
pub use folder::FolderSites;
use limits::StoreLimits;
use location::StoreLocation;
#[cfg(feature = "object-store")]
pub use objects::ObjectSites;
#[cfg(feature = "object-store")]
pub use pointer::{POINTER_FILE, Pointer};
pub use stored::StoredRelease;

/// Keeps releases. Cheap to clone.
#[derive(Debug, Clone)]
pub enum SiteStore {
    /// The sites folder: releases are served from where they are made.
    Folder(FolderSites),
    /// An object store; the sites folder contains only what is in progress.
    #[cfg(feature = "object-store")]
    Objects(ObjectSites),
}

impl SiteStore {
    /// The sites folder as a store.
    pub fn folder(root: &SitesRoot) -> Self {
        SiteStore::Folder(FolderSites::new(root))
    }

    /// Opens the store that `url` names, by default and for `file` the sites folder, and checks
    /// that it can be used. `env` is the process's environment, `std::env::vars_os()`: credentials
    /// come from it, by the names that each provider's own tools use. Requests go through `client`.
    ///
    /// # Errors
    /// Each names the store, what failed and what to do.
    #[cfg_attr(not(feature = "object-store"), expect(unused_variables, reason = "a folder"))]
    pub async fn open(
        url: Option<&str>,
        root: &SitesRoot,
        env: impl IntoIterator<Item = (OsString, OsString)>,
        client: &reqwest::Client,
        limits: StoreLimits,
    ) -> Result<Self, StoreError> {
        match StoreLocation::parse(url, root)? {
            StoreLocation::Folder => Ok(SiteStore::folder(root)),
            #[cfg(feature = "object-store")]
            StoreLocation::Bucket(bucket) => {
                ObjectSites::open(bucket, root, env, client, limits).await.map(SiteStore::Objects)
            }
        }
    }

    /// Activates releases in the sites folder through `batcher`. An object store has no use for it.
    #[must_use]
    pub fn with_batcher(self, batcher: SyncBatcher) -> Self {
        match self {
            SiteStore::Folder(folder) => SiteStore::Folder(folder.with_batcher(batcher)),
            #[cfg(feature = "object-store")]
            SiteStore::Objects(objects) => SiteStore::Objects(objects),
        }
    }

    /// Stores a placed release, which no visitor sees yet. An object store then removes it from the
    /// sites folder. Can be repeated.
    ///
    /// # Errors
    /// If it could not be stored whole. Its objects are removed as far as possible; its folder
    /// stays.
    #[cfg_attr(not(feature = "object-store"), expect(unused_variables, reason = "a folder"))]
    pub async fn put(&self, release: &Release) -> Result<(), StoreError> {
        match self {
            SiteStore::Folder(_) => Ok(()),
            #[cfg(feature = "object-store")]
            SiteStore::Objects(objects) => objects.put(release).await,
        }
    }

    /// Makes a release the current one and keeps the newest `keep` of the order's releases. Can be
    /// repeated. The caller decides which release is current: it may be an older one.
    ///
    /// # Errors
    /// If the order has no such release or the store fails; the current release is unchanged.
    pub async fn activate(
        &self,
        order: &OrderDir,
        id: ReleaseId,
        keep: usize,
    ) -> Result<(), StoreError> {
        match self {
            SiteStore::Folder(folder) => folder.activate(order, id, keep).await,
            #[cfg(feature = "object-store")]
            SiteStore::Objects(objects) => objects.activate(order, id, keep).await,
        }
    }

    /// Removes a release. Does nothing if it does not exist or is current.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn discard(&self, order: &OrderDir, id: ReleaseId) -> Result<(), StoreError> {
        match self {
            SiteStore::Folder(folder) => folder.discard(order, id).await,
            #[cfg(feature = "object-store")]
            SiteStore::Objects(objects) => objects.discard(order, id).await,
        }
    }

    /// Takes an order's site off an object store: the pointer first, then all releases and their
    /// manifests. The sites folder is removed by [`SitesRoot::remove_order`]. Can be repeated.
    ///
    /// # Errors
    /// If the store fails.
    #[cfg_attr(not(feature = "object-store"), expect(unused_variables, reason = "a folder"))]
    pub async fn remove_order(&self, order: &OrderDir) -> Result<(), StoreError> {
        match self {
            SiteStore::Folder(_) => Ok(()),
            #[cfg(feature = "object-store")]
            SiteStore::Objects(objects) => objects.remove_order(order).await,
        }
    }

    /// The order's current release; `None` if it has none.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn current(&self, order: &OrderDir) -> Result<Option<ReleaseId>, StoreError> {
        match self {
            SiteStore::Folder(folder) => folder.current(order).await,
            #[cfg(feature = "object-store")]
            SiteStore::Objects(objects) => objects.current(order).await,
        }
    }

    /// The folder or URL of a release, for people.
    pub fn location_of(&self, order: &OrderDir, id: ReleaseId) -> String {
        match self {
            SiteStore::Folder(folder) => folder.location_of(order, id),
            #[cfg(feature = "object-store")]
            SiteStore::Objects(objects) => objects.location_of(order, id),
        }
    }
}
