//! Reading releases back from where they are kept: which ones an order has, and their files.

use std::io::{self, Read as _};

use super::SiteStore;
use super::error::{StoreError, StoreErrorKind};
use crate::manifest::{Manifest, ReleaseId};
use crate::path::SitePath;
use crate::release::list_releases;
use crate::root::{OrderDir, RELEASES, SitesRoot};
use crate::storage::{blocking, open_file, open_folder};
use sitewright_model::message;
use sitewright_model::message::Message;

/// A release as a store has it.
#[derive(Debug, Clone)]
pub struct StoredRelease {
    pub id: ReleaseId,
    /// Whether visitors see it.
    pub current: bool,
    /// The manifest, or why it cannot be read.
    pub manifest: Result<Manifest, Message>,
}

impl SiteStore {
    /// The releases of an order, the newest first; none if it has none.
    ///
    /// # Errors
    /// If the store fails. A manifest that cannot be read is no error.
    pub async fn releases(&self, order: &OrderDir) -> Result<Vec<StoredRelease>, StoreError> {
        match self {
            SiteStore::Folder(folder) => in_folder(folder.root(), order).await,
            #[cfg(feature = "object-store")]
            SiteStore::Objects(objects) => objects.releases(order).await,
        }
    }

    /// A file of a release. `None` if the release has no such file, or one of more than `most`
    /// bytes.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn file(
        &self,
        order: &OrderDir,
        id: ReleaseId,
        path: &SitePath,
        most: u64,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        match self {
            SiteStore::Folder(folder) => file_in(folder.root(), order, id, path, most).await,
            #[cfg(feature = "object-store")]
            SiteStore::Objects(objects) => objects.file(order, id, path, most).await,
        }
    }
}

async fn in_folder(root: &SitesRoot, order: &OrderDir) -> Result<Vec<StoredRelease>, StoreError> {
    let (folder, name) = (root.clone(), order.clone());
    let listed = blocking(root.order_path(order), move || list_releases(&folder, &name)).await;
    let listed = listed.map_err(|error| {
        let message = message!("the releases of the order `{order}` cannot be listed: {error}");
        StoreError::new(StoreErrorKind::Folder, message)
    })?;
    let stored = listed.into_iter().map(|release| StoredRelease {
        id: release.id,
        current: release.current,
        manifest: release.manifest.map_err(|error| {
            Message::or(error.to_string(), message!("its manifest cannot be read"))
        }),
    });
    Ok(stored.collect())
}

async fn file_in(
    root: &SitesRoot,
    order: &OrderDir,
    id: ReleaseId,
    path: &SitePath,
    most: u64,
) -> Result<Option<Vec<u8>>, StoreError> {
    let (root, name, wanted) = (root.clone(), order.clone(), path.clone());
    let read = move || -> io::Result<Option<Vec<u8>>> {
        let Some(public) = root.open_public(&name).map_err(io::Error::other)? else {
            return Ok(None);
        };
        let release = open_folder(&public, RELEASES)
            .and_then(|releases| open_folder(&releases, &id.to_string()))?;
        let mut bytes = Vec::new();
        open_file(&release, wanted.as_str())?
            .take(most.saturating_add(1))
            .read_to_end(&mut bytes)?;
        Ok(Some(bytes).filter(|bytes| bytes.len() as u64 <= most))
    };
    let read = tokio::task::spawn_blocking(read).await;
    match read.unwrap_or_else(|error| Err(io::Error::other(error))) {
        Ok(read) => Ok(read),
        // Also what is a folder, or would be in a file.
        Err(error) if is_no_file(error.kind()) => Ok(None),
        Err(error) => {
            let message = message!(
                "the file `{path}` of the release `{id}` of the order `{order}` cannot be read: \
                 {error}"
            );
            Err(StoreError::new(StoreErrorKind::Folder, message))
        }
    }
}

fn is_no_file(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{IsADirectory, NotADirectory, NotFound};
    matches!(kind, NotFound | IsADirectory | NotADirectory)
}
