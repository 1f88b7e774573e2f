//! Where releases of a worker are kept, and how visitors come to see one.

use super::manifest::ReleaseId;
use super::release::{Release, activate, discard};
use super::root::{OrderDir, SitesRoot};
use crate::message;
use crate::message::Message;

/// Keeps releases. Cheap to clone.
#[derive(Debug, Clone)]
pub enum SiteStore {
    /// The folder where sites are made is the folder where they are served from.
    Folder(SitesRoot),
}

impl SiteStore {
    /// Keeps a placed release. Nobody sees it yet.
    ///
    /// # Errors
    /// When it could not be stored whole.
    pub async fn put(&self, _release: &Release) -> Result<(), Message> {
        match self {
            SiteStore::Folder(_) => Ok(()),
        }
    }

    /// Makes a release the one that visitors see: the last thing that happens to it. Can be repeated.
    ///
    /// # Errors
    /// When the store refuses; what visitors saw before, they still see.
    pub async fn activate(&self, order: &OrderDir, id: ReleaseId, keep: usize) -> Result<(), Message> {
        match self {
            SiteStore::Folder(root) => {
                let (root, order) = (root.clone(), order.clone());
                let done = tokio::task::spawn_blocking(move || activate(&root, &order, id, keep)).await;
                told("the release cannot be made visible", done)
            }
        }
    }

    /// Throws away a release that nobody sees.
    ///
    /// # Errors
    /// When the store refuses.
    pub async fn discard(&self, order: &OrderDir, id: ReleaseId) -> Result<(), Message> {
        match self {
            SiteStore::Folder(root) => {
                let (root, order) = (root.clone(), order.clone());
                let done = tokio::task::spawn_blocking(move || discard(&root, &order, id)).await;
                told("the release that does not count cannot be removed", done)
            }
        }
    }
}

fn told<E: std::error::Error>(
    what: &str,
    done: Result<Result<(), E>, tokio::task::JoinError>,
) -> Result<(), Message> {
    match done {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(message!("the store refused: {what}: {error}")),
        Err(error) => Err(message!("the store refused: {what}: {error}")),
    }
}
