//! Releases in an object store: upload, activate, remove.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;

use cap_std::fs::Dir;
use futures::TryStreamExt;
use futures::stream::StreamExt;
#[cfg(test)]
use object_store::ObjectStore;
use object_store::path::Path;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use super::bucket::Bucket;
use super::bucket_client::{BucketClient, Object, Objects, PRIVATE};
use super::content::{CACHE_POINTER, CACHE_RELEASE, JSON, content_type};
use super::error::{StoreError, StoreErrorKind};
use super::folder::discard_in;
use super::limits::StoreLimits;
use super::pointer::POINTER_FILE;
use super::request_error::RequestError;
use super::secrets::Secrets;
use super::stored::StoredRelease;
use crate::manifest::{Manifest, ManifestFile, ReleaseId};
use crate::path::SitePath;
use crate::release::{Release, release_id};
use crate::root::{MANIFESTS, OrderDir, PUBLIC, RELEASES, SitesRoot, manifest_name};
use crate::storage::{open_file, open_folder};
use sitewright_model::message;

/// Bytes of a file in memory that one permit of the upload limit allows.
const PERMIT_BYTES: u64 = 512 * 1024;

/// Releases in an object store. Cheap to clone.
#[derive(Clone)]
pub struct ObjectSites(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) client: BucketClient,
    root: SitesRoot,
    pub(super) limits: StoreLimits,
    /// One permit for each started [`PERMIT_BYTES`] of a file in memory.
    uploads: Semaphore,
}

// The library's own `Debug` prints credentials.
impl fmt::Debug for ObjectSites {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ObjectSites").field(&self.0.client.url()).finish()
    }
}

/// What is left in the store of a release that failed.
enum Leftovers {
    Removed,
    /// The release is current, so nothing was removed.
    Current,
    NotRemoved,
}

impl Leftovers {
    fn as_str(&self) -> &'static str {
        match self {
            Leftovers::Removed => "nothing of it is left there",
            Leftovers::Current => {
                "it is the release that visitors see, so what is there of it stays"
            }
            Leftovers::NotRemoved => {
                "what is there of it could not be removed and stays, without being visible, until \
                 newer releases replace it"
            }
        }
    }
}

impl ObjectSites {
    pub(super) async fn open(
        bucket: Bucket,
        root: &SitesRoot,
        env: impl IntoIterator<Item = (OsString, OsString)>,
        client: &reqwest::Client,
        limits: StoreLimits,
    ) -> Result<Self, StoreError> {
        let variables = bucket.variables(env);
        let secrets = Secrets::of(&variables);
        let connect = {
            let (bucket, client, limits) = (bucket.clone(), client.clone(), limits.clone());
            move || bucket.connect(&variables, client, &limits)
        };
        let store = tokio::task::spawn_blocking(connect).await.map_err(|error| {
            let message = message!("the site store `{}` was not opened: {error}", bucket.shown);
            StoreError::new(StoreErrorKind::Folder, message)
        })??;
        let client = BucketClient::new(store, bucket, secrets, &limits);
        client.probe().await?;
        let sites = ObjectSites::new(client, root.clone(), limits);
        // A start must not wait for it: it copies every release of an earlier version.
        tokio::spawn(sites.clone().migrate());
        Ok(sites)
    }

    fn new(client: BucketClient, root: SitesRoot, limits: StoreLimits) -> Self {
        let uploads = Semaphore::new(limits.uploads.max(1));
        ObjectSites(Arc::new(Inner { client, root, limits, uploads }))
    }

    /// Any store, without the trial.
    #[cfg(test)]
    pub(super) fn over(store: Arc<dyn ObjectStore>, bucket: Bucket, root: SitesRoot) -> Self {
        let limits = StoreLimits::default();
        let client = BucketClient::new(store, bucket, Secrets::default(), &limits);
        ObjectSites::new(client, root, limits)
    }

    pub(super) async fn put(&self, release: &Release) -> Result<(), StoreError> {
        let (order, id) = (&release.manifest.order, release.manifest.id);
        let Err(error) = self.upload(release).await else {
            if let Err(error) = discard_in(&self.0.root, order, id).await {
                tracing::warn!(
                    order = order.as_str(),
                    release = %id,
                    %error,
                    "a stored release was not removed from the sites folder"
                );
            }
            return Ok(());
        };
        let left = tokio::time::timeout(self.0.limits.clean_up, self.clean_up(order, id)).await;
        let left = left.unwrap_or(Leftovers::NotRemoved).as_str();
        let url = self.0.client.url();
        Err(self.0.client.store_error(
            error,
            format_args!(
                "the release `{id}` of the order `{order}` was not stored in `{url}` ({left}; \
                 visitors see what they saw before)"
            ),
        ))
    }

    async fn upload(&self, release: &Release) -> Result<(), RequestError> {
        let client = &self.0.client;
        let manifest = &release.manifest;
        let (order, id) = (&manifest.order, manifest.id);
        let manifest_key = client.manifest_key(order, id)?;
        let Some((folder, json)) = self.release_files(order, id).await? else {
            // An earlier call may have stored it, and its caller repeats the call.
            match client.head(&manifest_key).await {
                Ok(_) => {
                    let stored = client.list(&client.release_key(order, id)?).await?;
                    return self.compare(manifest, &stored, &BTreeMap::new());
                }
                Err(error) if error.kind == StoreErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            let why = format!("its folder `{}` is gone", release.path.display());
            return Err(RequestError::new(StoreErrorKind::Folder, why));
        };
        let mut uploads = Vec::with_capacity(manifest.files.len());
        for file in &manifest.files {
            let key = client.file_key(order, id, file.path.as_str())?;
            uploads.push(self.clone().upload_file(folder.clone(), file.clone(), key));
        }
        let tags: BTreeMap<Path, Option<String>> = futures::stream::iter(uploads)
            .buffer_unordered(self.0.limits.uploads_per_release.max(1))
            .try_collect()
            .await?;
        let stored = client.list(&client.release_key(order, id)?).await?;
        self.compare(manifest, &stored, &tags)?;
        let object = Object {
            key: &manifest_key,
            bytes: json.into(),
            content_type: JSON,
            cache_control: CACHE_POINTER,
        };
        client.put(object).await.map(drop)
    }

    /// Uploads one file, if it still has the hash in the manifest. Returns its name and tag.
    async fn upload_file(
        self,
        folder: Arc<Dir>,
        file: ManifestFile,
        key: Path,
    ) -> Result<(Path, Option<String>), RequestError> {
        let all = u32::try_from(self.0.limits.uploads.max(1)).unwrap_or(u32::MAX);
        let wanted = u32::try_from(file.size.div_ceil(PERMIT_BYTES)).unwrap_or(all).clamp(1, all);
        let _permits = self.0.uploads.acquire_many(wanted).await.map_err(|error| {
            RequestError::new(StoreErrorKind::Folder, format!("the uploads were closed: {error}"))
        })?;
        let ManifestFile { path, size, sha256 } = file;
        let read = {
            let path = path.clone();
            move || {
                let bytes = read_whole(&folder, path.as_str())?;
                if bytes.len() as u64 != size || hex::encode(Sha256::digest(&bytes)) != sha256 {
                    return Err(io::Error::other(
                        "it is not what was checked; something else changed it",
                    ));
                }
                Ok(bytes)
            }
        };
        let bytes = read_blocking(path.as_str(), read).await?;
        let object = Object {
            key: &key,
            bytes: bytes.into(),
            content_type: content_type(&path),
            cache_control: CACHE_RELEASE,
        };
        match self.0.client.put(object).await {
            Ok(tag) => Ok((key, tag)),
            Err(RequestError { kind, why }) => Err(RequestError::new(
                kind,
                format!("the file `{path}` could not be written: {why}"),
            )),
        }
    }

    /// Checks that the store has each file of the release in its size and with the tag of the
    /// upload.
    fn compare(
        &self,
        manifest: &Manifest,
        stored: &Objects,
        tags: &BTreeMap<Path, Option<String>>,
    ) -> Result<(), RequestError> {
        let damaged = |why| Err(RequestError::new(StoreErrorKind::Damaged, why));
        for file in &manifest.files {
            let path = &file.path;
            let key = self.0.client.file_key(&manifest.order, manifest.id, path.as_str())?;
            let Some((size, tag)) = stored.get(&key) else {
                return damaged(format!(
                    "the file `{path}` was written, and the store does not have it"
                ));
            };
            if *size != file.size {
                let wanted = file.size;
                return damaged(format!(
                    "the file `{path}` has {size} bytes there instead of {wanted}"
                ));
            }
            if let (Some(tag), Some(Some(written))) = (tag, tags.get(&key))
                && bare_tag(tag) != bare_tag(written)
            {
                return damaged(format!(
                    "the file `{path}` was changed there after it was written"
                ));
            }
        }
        Ok(())
    }

    pub(super) async fn activate(
        &self,
        order: &OrderDir,
        id: ReleaseId,
        keep: usize,
    ) -> Result<(), StoreError> {
        let client = &self.0.client;
        let current = client.point_to(order, id).await.map_err(|error| {
            let url = client.url();
            client.store_error(
                error,
                format_args!(
                    "the release `{id}` of the order `{order}` was not activated in `{url}` \
                     (visitors see what they saw before)"
                ),
            )
        })?;
        if let Err(RequestError { why, .. }) = self.expire_others(order, current, keep).await {
            tracing::warn!(
                order = order.as_str(),
                reason = why,
                "expired releases were not removed; the next activation tries again"
            );
        }
        Ok(())
    }

    pub(super) async fn current(&self, order: &OrderDir) -> Result<Option<ReleaseId>, StoreError> {
        let client = &self.0.client;
        client.current(order).await.map_err(|error| {
            let url = client.url();
            client.store_error(
                error,
                format_args!(
                    "the current release of the order `{order}` cannot be read in `{url}`"
                ),
            )
        })
    }

    pub(super) async fn releases(
        &self,
        order: &OrderDir,
    ) -> Result<Vec<StoredRelease>, StoreError> {
        let client = &self.0.client;
        self.stored(order).await.map_err(|error| {
            let url = client.url();
            client.store_error(
                error,
                format_args!("the releases of the order `{order}` cannot be listed in `{url}`"),
            )
        })
    }

    /// The releases that have a manifest: without it, objects are not a release.
    async fn stored(&self, order: &OrderDir) -> Result<Vec<StoredRelease>, RequestError> {
        let client = &self.0.client;
        let listed =
            client.list_folder(&client.key(&format!("{PRIVATE}/{order}/{MANIFESTS}"))?).await?;
        let ids: BTreeSet<ReleaseId> = listed
            .objects
            .iter()
            .filter_map(|object| release_id(object.location.filename()?.strip_suffix(".json")?))
            .collect();
        let current = client.current(order).await?;
        let mut stored = Vec::with_capacity(ids.len());
        for id in ids.into_iter().rev() {
            let manifest = match client.get(&client.manifest_key(order, id)?).await {
                Ok((bytes, _)) => serde_json::from_slice(&bytes)
                    .map_err(|error| message!("its manifest cannot be read: {error}")),
                // Removed meanwhile.
                Err(error) if error.kind == StoreErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            stored.push(StoredRelease { id, current: current == Some(id), manifest });
        }
        Ok(stored)
    }

    pub(super) async fn file(
        &self,
        order: &OrderDir,
        id: ReleaseId,
        path: &SitePath,
        most: u64,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let client = &self.0.client;
        let read = async {
            let key = client.file_key(order, id, path.as_str())?;
            match client.get_at_most(&key, most).await {
                Err(error) if error.kind == StoreErrorKind::NotFound => Ok(None),
                read => read,
            }
        };
        read.await.map_err(|error: RequestError| {
            let url = client.url();
            client.store_error(
                error,
                format_args!(
                    "the file `{path}` of the release `{id}` of the order `{order}` cannot be \
                     read in `{url}`"
                ),
            )
        })
    }

    pub(super) async fn discard(&self, order: &OrderDir, id: ReleaseId) -> Result<(), StoreError> {
        discard_in(&self.0.root, order, id).await?;
        let client = &self.0.client;
        let discarded = async {
            if client.current(order).await? == Some(id) {
                return Ok(());
            }
            self.remove(order, id).await
        };
        discarded.await.map_err(|error| {
            let url = client.url();
            client.store_error(
                error,
                format_args!(
                    "the release `{id}` of the order `{order}`, which does not count, cannot be \
                     removed from `{url}`"
                ),
            )
        })
    }

    pub(super) async fn remove_order(&self, order: &OrderDir) -> Result<(), StoreError> {
        let client = &self.0.client;
        let removed = async {
            client.delete(vec![client.key(&format!("{PUBLIC}/{order}/{POINTER_FILE}"))?]).await?;
            for folder in [PUBLIC, PRIVATE] {
                let stored = client.list(&client.key(&format!("{folder}/{order}"))?).await?;
                client.delete(stored.into_keys().collect()).await?;
            }
            Ok(())
        };
        removed.await.map_err(|error: RequestError| {
            let url = client.url();
            client.store_error(
                error,
                format_args!("the order `{order}` cannot be removed from `{url}`"),
            )
        })
    }

    pub(super) fn location_of(&self, order: &OrderDir, id: ReleaseId) -> String {
        format!("{}/{PUBLIC}/{order}/{RELEASES}/{id}", self.0.client.url())
    }

    /// Removes the objects of a release that failed, unless it is current: a current release may be
    /// stored a second time.
    async fn clean_up(&self, order: &OrderDir, id: ReleaseId) -> Leftovers {
        let removed = async {
            if self.0.client.current(order).await? == Some(id) {
                return Ok(Leftovers::Current);
            }
            self.remove(order, id).await.map(|()| Leftovers::Removed)
        };
        removed.await.unwrap_or_else(|error: RequestError| {
            tracing::warn!(
                order = order.as_str(),
                release = %id,
                reason = error.why,
                "objects of a failed release were not removed from the site store"
            );
            Leftovers::NotRemoved
        })
    }

    /// Removes all releases except `current` and the newest others, `keep` in all.
    async fn expire_others(
        &self,
        order: &OrderDir,
        current: ReleaseId,
        keep: usize,
    ) -> Result<(), RequestError> {
        let client = &self.0.client;
        let listed =
            client.list_folder(&client.key(&format!("{PUBLIC}/{order}/{RELEASES}"))?).await?;
        let ids: BTreeSet<ReleaseId> =
            listed.common_prefixes.iter().filter_map(|path| release_id(path.filename()?)).collect();
        let old = ids.into_iter().rev().filter(|id| *id != current).skip(keep.saturating_sub(1));
        for id in old {
            self.remove(order, id).await?;
        }
        Ok(())
    }

    /// Removes a release, its manifest first: without it, the other objects are not a release.
    async fn remove(&self, order: &OrderDir, id: ReleaseId) -> Result<(), RequestError> {
        let client = &self.0.client;
        let stored = client.list(&client.release_key(order, id)?).await?;
        client.delete(vec![client.manifest_key(order, id)?]).await?;
        client.delete(stored.into_keys().collect()).await
    }

    /// The release's folder in the sites folder, and its manifest; `None` if they do not exist.
    async fn release_files(
        &self,
        order: &OrderDir,
        id: ReleaseId,
    ) -> Result<Option<(Arc<Dir>, Vec<u8>)>, RequestError> {
        let (root, order) = (self.0.root.clone(), order.clone());
        let open = move || {
            let public = root.open_public(&order).map_err(io::Error::other)?;
            let private = root.open_order(&order).map_err(io::Error::other)?;
            let (Some(public), Some(private)) = (public, private) else { return Ok(None) };
            let opened = open_folder(&public, RELEASES)
                .and_then(|releases| open_folder(&releases, &id.to_string()))
                .and_then(|release| {
                    let manifests = open_folder(&private, MANIFESTS)?;
                    Ok((Arc::new(release), read_whole(&manifests, &manifest_name(id))?))
                });
            match opened {
                Ok(opened) => Ok(Some(opened)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error),
            }
        };
        read_blocking("its folder", open).await
    }
}

/// A tag without quotes: lists and responses write the same tag with and without them.
fn bare_tag(tag: &str) -> &str {
    tag.trim_start_matches("W/").trim_matches('"')
}

/// Reads from the sites folder on the blocking pool. `what` is the file or folder, for the error.
async fn read_blocking<T: Send + 'static>(
    what: &str,
    read: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, RequestError> {
    let done = tokio::task::spawn_blocking(read).await;
    done.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(|error| {
        RequestError::new(
            StoreErrorKind::Folder,
            format!("`{what}` could not be read in the sites folder: {error}"),
        )
    })
}

fn read_whole(folder: &Dir, path: &str) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_file(folder, path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}
