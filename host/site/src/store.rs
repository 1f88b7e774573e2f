//! Where releases of a worker are kept, and how visitors come to see one.
//!
//! One machine keeps them in the folder where they are made. Several share an object store
//! (`sites.store = "s3://bucket/prefix"`, `gs://`, `az://`), whose objects are laid out as the
//! folder is:
//!
//! ```text
//! <prefix>/<order>/releases/<id>/index.html ...   first
//! <prefix>/<order>/releases/<id>/manifest.json    last of a release: without it, it is none
//! <prefix>/<order>/current.json                   last of all: names the release that visitors see
//! ```
//!
//! - [`connect`]: from a URL and the environment to a connection, over the one HTTP client of the
//!   process;
//! - `objects`: what is done with it;
//! - `content`: what a web server tells of a file;
//! - [`request_error`]: what went wrong, told for the one who must act.

#[cfg(test)]
mod conflicts;
pub mod connect;
pub mod content;
mod objects;
pub mod request_error;

use std::ffi::OsString;

use super::manifest::ReleaseId;
use super::release::{Release, discard, read_current};
use super::root::{OrderDir, SitesRoot};
use super::sync_batcher::activate_together;
use connect::{Place, StoreLimits};
pub use objects::{ObjectSites, POINTER_FILE, Pointer};
use request_error::{StoreError, StoreErrorKind};
use sitewright_model::message;

/// Keeps releases. Cheap to clone.
#[derive(Debug, Clone)]
pub enum SiteStore {
    /// The folder where sites are made is the folder where they are served from.
    Folder(SitesRoot),
    /// An object store; the folder only holds what is being made.
    Objects(ObjectSites),
}

impl SiteStore {
    /// Opens the store that `url` names and proves that it can be used: without a URL or with
    /// `file`, the folder itself. `env` is the process's environment, `std::env::vars_os()`:
    /// credentials come from it, by the names that each provider's own tools use. Requests go
    /// through `client`.
    ///
    /// # Errors
    /// Each names the store, what failed and what to do.
    pub async fn open(
        url: Option<&str>,
        root: &SitesRoot,
        env: impl IntoIterator<Item = (OsString, OsString)>,
        client: &reqwest::Client,
        limits: StoreLimits,
    ) -> Result<Self, StoreError> {
        match Place::parse(url, root)? {
            Place::Folder => Ok(SiteStore::Folder(root.clone())),
            Place::Objects(bucket) => {
                ObjectSites::open(bucket, root, env, client, limits).await.map(SiteStore::Objects)
            }
        }
    }

    /// Keeps a placed release. Nobody sees it yet. In an object store its folder is gone
    /// afterwards, and a second call finds it stored.
    ///
    /// # Errors
    /// When it could not be stored whole. What had been stored of it is removed again as far as
    /// that is possible; its folder stays.
    pub async fn put(&self, release: &Release) -> Result<(), StoreError> {
        match self {
            SiteStore::Folder(_) => Ok(()),
            SiteStore::Objects(objects) => objects.put(release).await,
        }
    }

    /// Makes a release the one that visitors see: the last thing that happens to it; and keeps the
    /// newest `keep` of the order's releases. Can be repeated. Which release is the right one
    /// is the caller's decision, so an older one can come back.
    ///
    /// # Errors
    /// When the order has no such release or the store refuses; what visitors saw before, they
    /// still see.
    pub async fn activate(
        &self,
        order: &OrderDir,
        id: ReleaseId,
        keep: usize,
    ) -> Result<(), StoreError> {
        match self {
            SiteStore::Folder(root) => {
                let what =
                    format!("the release `{id}` of the order `{order}` cannot be made visible");
                told(&what, activate_together(root, order, id, keep).await)
            }
            SiteStore::Objects(objects) => objects.activate(order, id, keep).await,
        }
    }

    /// Throws away a release that nobody sees. Does nothing when there is none, or when it is the
    /// current one.
    ///
    /// # Errors
    /// When the store refuses.
    pub async fn discard(&self, order: &OrderDir, id: ReleaseId) -> Result<(), StoreError> {
        match self {
            SiteStore::Folder(root) => {
                let what = format!(
                    "the release `{id}` of the order `{order}`, which does not count, cannot be \
                     removed"
                );
                let (root, order) = (root.clone(), order.clone());
                in_folder(&what, move || discard(&root, &order, id)).await
            }
            SiteStore::Objects(objects) => objects.discard(order, id).await,
        }
    }

    /// The release of the order that visitors see, if there is one.
    ///
    /// # Errors
    /// When that cannot be read.
    pub async fn current(&self, order: &OrderDir) -> Result<Option<ReleaseId>, StoreError> {
        match self {
            SiteStore::Folder(root) => {
                let what =
                    format!("the current release of the order `{order}` cannot be found out");
                let (root, order) = (root.clone(), order.clone());
                let current = in_folder(&what, move || read_current(&root, &order)).await?;
                Ok(current.map(|release| release.manifest.id))
            }
            SiteStore::Objects(objects) => objects.current(order).await,
        }
    }

    /// Where a release is, for people: a folder or a URL.
    pub fn place_of(&self, order: &OrderDir, id: ReleaseId) -> String {
        match self {
            SiteStore::Folder(root) => root
                .order_path(order)
                .join(super::root::RELEASES)
                .join(id.to_string())
                .to_string_lossy()
                .into_owned(),
            SiteStore::Objects(objects) => objects.place_of(order, id),
        }
    }
}

/// Runs blocking work on the folder.
async fn in_folder<T, E>(
    what: &str,
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, StoreError>
where
    T: Send + 'static,
    E: std::error::Error + Send + 'static,
{
    told(what, tokio::task::spawn_blocking(work).await.ok())
}

/// What came of it; nothing when it did not end.
fn told<T, E: std::error::Error>(what: &str, done: Option<Result<T, E>>) -> Result<T, StoreError> {
    let why = match done {
        Some(Ok(done)) => return Ok(done),
        Some(Err(error)) => error.to_string(),
        None => {
            "the work did not end, which is a bug in Sitewright; run the order again".to_owned()
        }
    };
    // `what` is words of ours; the literal begins with a word so that the message is never empty.
    Err(StoreError::new(StoreErrorKind::Folder, message!("in the sites folder, {what}: {why}")))
}
