//! Releases in the sites folder, where they are made.

use std::fmt;

use super::error::{StoreError, StoreErrorKind};
use crate::manifest::ReleaseId;
use crate::release::{ReadError, discard, read_current};
use crate::root::{OrderDir, RELEASES, SitesRoot};
use crate::storage::blocking;
use crate::sync_batcher::SyncBatcher;
use sitewright_model::message;

/// Releases in the sites folder. Cheap to clone.
#[derive(Debug, Clone)]
pub struct FolderSites {
    root: SitesRoot,
    batcher: SyncBatcher,
}

impl FolderSites {
    pub(super) fn new(root: &SitesRoot) -> Self {
        FolderSites { root: root.clone(), batcher: SyncBatcher::default() }
    }

    pub(super) fn root(&self) -> &SitesRoot {
        &self.root
    }

    pub(super) fn with_batcher(self, batcher: SyncBatcher) -> Self {
        FolderSites { batcher, ..self }
    }

    pub(super) async fn activate(
        &self,
        order: &OrderDir,
        id: ReleaseId,
        keep: usize,
    ) -> Result<(), StoreError> {
        let activated = self.batcher.activate(&self.root, order, id, keep).await;
        activated.map_err(|error| {
            let what = format_args!("the release `{id}` of the order `{order}` was not activated");
            store_error(what, &error)
        })
    }

    pub(super) async fn discard(&self, order: &OrderDir, id: ReleaseId) -> Result<(), StoreError> {
        discard_in(&self.root, order, id).await
    }

    pub(super) async fn current(&self, order: &OrderDir) -> Result<Option<ReleaseId>, StoreError> {
        let (root, name) = (self.root.clone(), order.clone());
        let read = move || read_current(&root, &name);
        let current =
            blocking(self.root.order_path(order), read).await.map_err(|error: ReadError| {
                let what =
                    format_args!("the current release of the order `{order}` cannot be read");
                store_error(what, &error)
            })?;
        Ok(current.map(|release| release.manifest.id))
    }

    pub(super) fn location_of(&self, order: &OrderDir, id: ReleaseId) -> String {
        let releases = self.root.public_order_path(order).join(RELEASES);
        releases.join(id.to_string()).to_string_lossy().into_owned()
    }
}

/// Removes a release from the sites folder, unless it is current there.
pub(super) async fn discard_in(
    root: &SitesRoot,
    order: &OrderDir,
    id: ReleaseId,
) -> Result<(), StoreError> {
    let (folder, name) = (root.clone(), order.clone());
    let discarded = blocking(root.order_path(order), move || discard(&folder, &name, id)).await;
    discarded.map_err(|error| {
        let what = format_args!(
            "the release `{id}` of the order `{order}`, which does not count, cannot be removed"
        );
        store_error(what, &error)
    })
}

fn store_error(what: fmt::Arguments<'_>, error: &dyn std::error::Error) -> StoreError {
    StoreError::new(StoreErrorKind::Folder, message!("in the sites folder, {what}: {error}"))
}
