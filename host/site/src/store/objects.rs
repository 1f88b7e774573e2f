//! Releases in an object store.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt;
use std::future::Future;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use cap_std::fs::Dir;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload,
    UpdateVersion,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use tokio::sync::Semaphore;
use ulid::Ulid;

use super::connect::{Bucket, StoreLimits};
use super::content::{CACHE_POINTER, CACHE_RELEASE, JSON, content_type};
use super::request_error::{Secrets, StoreError, StoreErrorKind, Trouble};
use crate::manifest::{ManifestFile, ReleaseId};
use crate::path::MANIFEST_FILE;
use crate::release::{Release, discard, release_id};
use crate::root::{OrderDir, RELEASES, SitesRoot};
use crate::storage::{open_file, open_folder};

/// The object under an order that names the release visitors see.
pub const POINTER_FILE: &str = "current.json";

/// How often the pointer is written again when someone else wrote it in between.
const POINTER_TRIES: usize = 5;

/// What one permit to upload is for.
const PERMIT_BYTES: u64 = 512 * 1024;

/// What the pointer of an order says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pointer {
    /// The release that visitors see.
    pub release: ReleaseId,
    /// Where it is, seen from the pointer: `releases/<id>`.
    pub path: String,
    /// When it was made visible; RFC 3339.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
}

/// Releases in an object store. Cheap to clone.
#[derive(Clone)]
pub struct ObjectSites(Arc<Inner>);

struct Inner {
    store: Arc<dyn ObjectStore>,
    bucket: Bucket,
    root: SitesRoot,
    secrets: Secrets,
    limits: StoreLimits,
    /// One permit for each begun [`PERMIT_BYTES`] of a file in memory.
    uploads: Semaphore,
}

// The library's own would print credentials.
impl fmt::Debug for ObjectSites {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ObjectSites").field(&self.0.bucket.shown).finish()
    }
}

/// What the store has of one release: sizes and tags by name.
type Stored = BTreeMap<Path, (u64, Option<String>)>;

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
            let message = sitewright_model::message!(
                "the site store `{}` was not opened: {error}",
                bucket.shown
            );
            StoreError::new(StoreErrorKind::Folder, message)
        })??;
        let uploads = Semaphore::new(limits.uploads.max(1));
        let sites = ObjectSites(Arc::new(Inner {
            store,
            bucket,
            root: root.clone(),
            secrets,
            limits,
            uploads,
        }));
        sites.probe().await?;
        Ok(sites)
    }

    /// Over any store, without a trial.
    #[cfg(test)]
    pub(super) fn over(store: Arc<dyn ObjectStore>, bucket: Bucket, root: SitesRoot) -> Self {
        let (secrets, limits, uploads) =
            (Secrets::default(), StoreLimits::default(), Semaphore::new(8));
        ObjectSites(Arc::new(Inner { store, bucket, root, secrets, limits, uploads }))
    }

    /// Does once all that will be done later: a host that may not should not start.
    async fn probe(&self) -> Result<(), StoreError> {
        let shown = &self.0.bucket.shown;
        let folder = self
            .key(&format!(".probe-{}", Ulid::generate()))
            .map_err(|trouble| self.told(trouble, format_args!("`{shown}` cannot be used")))?;
        let key = folder.clone().join("written");
        let bytes: &[u8] = b"written by the host to see whether it can";
        let cannot = |doing: &str, trouble: Trouble| {
            // Where there is no bucket, nothing can be written; stores have several words for that.
            let kind = match trouble.kind {
                StoreErrorKind::NotFound => StoreErrorKind::BucketMissing,
                kind => kind,
            };
            self.told(
                Trouble { kind, ..trouble },
                format_args!("`{shown}` cannot be used, because {doing} failed in a trial"),
            )
        };
        self.put_bytes(
            &key,
            PutPayload::from_static(bytes),
            TEXT,
            CACHE_POINTER,
            PutMode::Overwrite,
        )
        .await
        .map_err(|trouble| cannot("writing an object", trouble))?;
        let tried = async {
            let read = async { self.0.store.get(&key).await?.bytes().await };
            let read =
                self.ask(read).await.map_err(|trouble| cannot("reading an object", trouble))?;
            if read != bytes {
                let why = "what was read is not what was written";
                return Err(cannot(
                    "reading an object",
                    Trouble::new(StoreErrorKind::Damaged, why),
                ));
            }
            let listed =
                self.list(&folder).await.map_err(|trouble| cannot("listing objects", trouble))?;
            if !listed.contains_key(&key) {
                let why = "what was written is not in the list";
                return Err(cannot("listing objects", Trouble::new(StoreErrorKind::Damaged, why)));
            }
            Ok(())
        }
        .await;
        let removed =
            self.delete(vec![key]).await.map_err(|trouble| cannot("deleting an object", trouble));
        tried.and(removed)
    }

    pub(super) async fn put(&self, release: &Release) -> Result<(), StoreError> {
        let (order, id) = (&release.manifest.order, release.manifest.id);
        let Err(trouble) = self.store_release(release).await else {
            let (root, local) = (self.0.root.clone(), order.clone());
            let removed = tokio::task::spawn_blocking(move || discard(&root, &local, id)).await;
            let failed = match removed {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) => error.to_string(),
                Err(error) => error.to_string(),
            };
            tracing::warn!(order = order.as_str(), release = %id, error = failed, "a stored release also stays in the sites folder");
            return Ok(());
        };
        let left =
            match tokio::time::timeout(self.0.limits.clean_up, self.take_back(order, id)).await {
                Ok(Ok(())) => "nothing of it is left there",
                Ok(Err(Kept::Current)) => {
                    "it is the release that visitors see, so what is there of it stays"
                }
                Ok(Err(Kept::Trouble)) | Err(_) => {
                    "what is there of it could not be removed and stays, seen by nobody, until \
                     newer releases replace it"
                }
            };
        let shown = &self.0.bucket.shown;
        Err(self.told(
            trouble,
            format_args!(
                "the release `{id}` of the order `{order}` was not stored in `{shown}` ({left}; \
                 visitors see what they saw before)"
            ),
        ))
    }

    async fn store_release(&self, release: &Release) -> Result<(), Trouble> {
        let manifest = &release.manifest;
        let (order, id) = (&manifest.order, manifest.id);
        let Some(folder) = self.folder(order, id).await? else {
            // Stored before, and then something failed that is not ours.
            let stored = self.list(&self.release_key(order, id)?).await?;
            if stored.contains_key(&self.file_key(order, id, MANIFEST_FILE)?) {
                return self.compare(release, &stored, &BTreeMap::new());
            }
            let why = format!("its folder `{}` is gone", release.path.display());
            return Err(Trouble::new(StoreErrorKind::Folder, why));
        };
        let mut uploads = Vec::with_capacity(manifest.files.len());
        for file in &manifest.files {
            let key = self.file_key(order, id, file.path.as_str())?;
            uploads.push(self.clone().upload(folder.clone(), file.clone(), key));
        }
        let tags: BTreeMap<Path, Option<String>> = futures::stream::iter(uploads)
            .buffer_unordered(self.0.limits.uploads_per_release.max(1))
            .try_collect()
            .await?;
        let stored = self.list(&self.release_key(order, id)?).await?;
        self.compare(release, &stored, &tags)?;
        // Now it is whole, and now it says so.
        let bytes = reading(MANIFEST_FILE, {
            let folder = folder.clone();
            move || read_whole(&folder, MANIFEST_FILE)
        })
        .await?;
        let key = self.file_key(order, id, MANIFEST_FILE)?;
        self.put_bytes(&key, bytes.into(), JSON, CACHE_RELEASE, PutMode::Overwrite).await.map(drop)
    }

    /// One file. What is read is checked once more: what visitors get is what was checked before.
    async fn upload(
        self,
        folder: Arc<Dir>,
        file: ManifestFile,
        key: Path,
    ) -> Result<(Path, Option<String>), Trouble> {
        let all = u32::try_from(self.0.limits.uploads.max(1)).unwrap_or(u32::MAX);
        let wanted = u32::try_from(file.size.div_ceil(PERMIT_BYTES)).unwrap_or(all).clamp(1, all);
        let _permits = self.0.uploads.acquire_many(wanted).await.map_err(|error| {
            Trouble::new(StoreErrorKind::Folder, format!("the uploads were closed: {error}"))
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
        let bytes = reading(path.as_str(), read).await?;
        let put = self
            .put_bytes(&key, bytes.into(), content_type(&path), CACHE_RELEASE, PutMode::Overwrite)
            .await;
        match put {
            Ok(tag) => Ok((key, tag)),
            Err(Trouble { kind, why }) => {
                Err(Trouble::new(kind, format!("the file `{path}` could not be written: {why}")))
            }
        }
    }

    /// Whether the store has each file of the release in its size, and as the one that was written.
    fn compare(
        &self,
        release: &Release,
        stored: &Stored,
        tags: &BTreeMap<Path, Option<String>>,
    ) -> Result<(), Trouble> {
        let damaged = |why| Err(Trouble::new(StoreErrorKind::Damaged, why));
        let manifest = &release.manifest;
        for file in &manifest.files {
            let key = self.file_key(&manifest.order, manifest.id, file.path.as_str())?;
            let Some((size, tag)) = stored.get(&key) else {
                return damaged(format!(
                    "the file `{}` was written, and the store does not have it",
                    file.path
                ));
            };
            if *size != file.size {
                let wanted = file.size;
                return damaged(format!(
                    "the file `{}` has {size} bytes there instead of {wanted}",
                    file.path
                ));
            }
            if let (Some(tag), Some(Some(written))) = (tag, tags.get(&key))
                && bare(tag) != bare(written)
            {
                return damaged(format!(
                    "the file `{}` was changed there after it was written",
                    file.path
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
        let shown = &self.0.bucket.shown;
        let current = self.point(order, id).await.map_err(|trouble| {
            self.told(
                trouble,
                format_args!(
                    "the release `{id}` of the order `{order}` was not made visible in `{shown}` \
                     (visitors see what they saw before)"
                ),
            )
        })?;
        if let Err(Trouble { why, .. }) = self.prune(order, current, keep).await {
            // The next one tries again.
            tracing::warn!(
                order = order.as_str(),
                reason = why,
                "releases that are not needed could not be removed"
            );
        }
        Ok(())
    }

    /// Writes the pointer unless it says so already, and returns what it says then.
    async fn point(&self, order: &OrderDir, id: ReleaseId) -> Result<ReleaseId, Trouble> {
        let manifest = self.file_key(order, id, MANIFEST_FILE)?;
        self.ask(self.0.store.head(&manifest)).await.map_err(|trouble| match trouble.kind {
            StoreErrorKind::NotFound => Trouble::new(
                StoreErrorKind::NotFound,
                "the store has no such release, or only a part of it",
            ),
            _ => trouble,
        })?;
        let key = self.pointer_key(order)?;
        let mut conditional = true;
        let mut conflict = None;
        for _ in 0..POINTER_TRIES {
            let before = self.read_pointer(&key).await?;
            let says =
                before.as_ref().and_then(|(pointer, _)| pointer.as_ref().ok()).map(|p| p.release);
            match says {
                Some(says) if says == id => return Ok(id),
                // Someone wrote while we were at it, and what they wrote is newer.
                Some(says) if conflict.is_some() && says > id => {
                    tracing::info!(order = order.as_str(), release = %id, newer = %says, "another worker made a newer release visible at the same moment; it stays");
                    return Ok(says);
                }
                _ => {}
            }
            let mode = match before {
                _ if !conditional => PutMode::Overwrite,
                Some((_, version)) => PutMode::Update(version),
                None => PutMode::Create,
            };
            let pointer = Pointer {
                release: id,
                path: format!("{RELEASES}/{id}"),
                at: OffsetDateTime::now_utc(),
            };
            let json = serde_json::to_vec_pretty(&pointer).map_err(|error| {
                Trouble::new(
                    StoreErrorKind::Refused,
                    format!("the pointer cannot be written as JSON: {error}"),
                )
            })?;
            match self.put_bytes_raw(&key, json.into(), JSON, CACHE_POINTER, mode).await {
                Ok(_) => return Ok(id),
                Err(Raw::Library(error)) if conditional && unconditional(&error) => {
                    conditional = false
                }
                Err(raw) => match self.trouble(raw) {
                    trouble if trouble.kind == StoreErrorKind::Conflict => conflict = Some(trouble),
                    trouble => return Err(trouble),
                },
            }
        }
        Err(conflict.unwrap_or_else(|| {
            Trouble::new(StoreErrorKind::Conflict, "the pointer was changed by others each time")
        }))
    }

    pub(super) async fn current(&self, order: &OrderDir) -> Result<Option<ReleaseId>, StoreError> {
        self.pointed(order).await.map_err(|trouble| {
            let shown = &self.0.bucket.shown;
            self.told(
                trouble,
                format_args!(
                    "the current release of the order `{order}` cannot be found out in `{shown}`"
                ),
            )
        })
    }

    async fn pointed(&self, order: &OrderDir) -> Result<Option<ReleaseId>, Trouble> {
        match self.read_pointer(&self.pointer_key(order)?).await? {
            None => Ok(None),
            Some((Ok(pointer), _)) => Ok(Some(pointer.release)),
            Some((Err(error), _)) => {
                let why = format!("its `{POINTER_FILE}` is not one of this host: {error}");
                Err(Trouble::new(StoreErrorKind::Damaged, why))
            }
        }
    }

    async fn read_pointer(
        &self,
        key: &Path,
    ) -> Result<Option<(serde_json::Result<Pointer>, UpdateVersion)>, Trouble> {
        let read = async {
            let found = self.0.store.get(key).await?;
            let version = UpdateVersion {
                e_tag: found.meta.e_tag.clone(),
                version: found.meta.version.clone(),
            };
            Ok((found.bytes().await?, version))
        };
        match self.ask(read).await {
            Ok((bytes, version)) => Ok(Some((serde_json::from_slice(&bytes), version))),
            Err(trouble) if trouble.kind == StoreErrorKind::NotFound => Ok(None),
            Err(trouble) => Err(trouble),
        }
    }

    pub(super) async fn discard(&self, order: &OrderDir, id: ReleaseId) -> Result<(), StoreError> {
        let what = format!("the release `{id}` of the order `{order}`, which does not count,");
        let (root, local) = (self.0.root.clone(), order.clone());
        super::in_folder(&format!("{what} cannot be removed"), move || discard(&root, &local, id))
            .await?;
        let removed = async {
            if self.pointed(order).await? == Some(id) {
                return Ok(());
            }
            self.remove(order, id).await
        };
        removed.await.map_err(|trouble| {
            self.told(
                trouble,
                format_args!("{what} cannot be removed from `{}`", self.0.bucket.shown),
            )
        })
    }

    pub(super) fn place_of(&self, order: &OrderDir, id: ReleaseId) -> String {
        format!("{}/{order}/{RELEASES}/{id}", self.0.bucket.shown)
    }

    /// Removes what a failed release left. Never what visitors see: a release may be stored a
    /// second time.
    async fn take_back(&self, order: &OrderDir, id: ReleaseId) -> Result<(), Kept> {
        let removed = async {
            match self.pointed(order).await {
                Ok(Some(current)) if current == id => return Err(Kept::Current),
                Ok(_) => {}
                Err(trouble) => return Err(self.kept(order, id, &trouble)),
            }
            self.remove(order, id).await.map_err(|trouble| self.kept(order, id, &trouble))
        };
        removed.await
    }

    fn kept(&self, order: &OrderDir, id: ReleaseId, trouble: &Trouble) -> Kept {
        tracing::warn!(order = order.as_str(), release = %id, reason = trouble.why, "parts of a release that failed stay in the site store");
        Kept::Trouble
    }

    /// The newest `keep` stay, and the current one.
    async fn prune(
        &self,
        order: &OrderDir,
        current: ReleaseId,
        keep: usize,
    ) -> Result<(), Trouble> {
        let folder = self.key(&format!("{order}/{RELEASES}"))?;
        let listed = self.ask(self.0.store.list_with_delimiter(Some(&folder))).await?;
        let ids: BTreeSet<ReleaseId> =
            listed.common_prefixes.iter().filter_map(|path| release_id(path.filename()?)).collect();
        let old = ids.into_iter().rev().filter(|id| *id != current).skip(keep.saturating_sub(1));
        for id in old {
            self.remove(order, id).await?;
        }
        Ok(())
    }

    /// The manifest first: without it, what is left is no release.
    async fn remove(&self, order: &OrderDir, id: ReleaseId) -> Result<(), Trouble> {
        let mut stored = self.list(&self.release_key(order, id)?).await?;
        if let Some((manifest, _)) =
            stored.remove_entry(&self.file_key(order, id, MANIFEST_FILE)?)
        {
            self.delete(vec![manifest]).await?;
        }
        self.delete(stored.into_keys().collect()).await
    }

    async fn list(&self, folder: &Path) -> Result<Stored, Trouble> {
        let objects =
            self.0.store.list(Some(folder)).map_ok(|meta| (meta.location, (meta.size, meta.e_tag)));
        self.ask(objects.try_collect()).await
    }

    async fn delete(&self, keys: Vec<Path>) -> Result<(), Trouble> {
        let keys = futures::stream::iter(keys.into_iter().map(Ok)).boxed();
        let deleted = self.0.store.delete_stream(keys).filter_map(async |deleted| match deleted {
            Ok(_) | Err(object_store::Error::NotFound { .. }) => None,
            Err(error) => Some(Err(error)),
        });
        let deleted = std::pin::pin!(deleted);
        self.ask(deleted.try_collect()).await
    }

    async fn put_bytes(
        &self,
        key: &Path,
        bytes: PutPayload,
        content_type: &'static str,
        cache: &'static str,
        mode: PutMode,
    ) -> Result<Option<String>, Trouble> {
        self.put_bytes_raw(key, bytes, content_type, cache, mode)
            .await
            .map_err(|raw| self.trouble(raw))
    }

    async fn put_bytes_raw(
        &self,
        key: &Path,
        bytes: PutPayload,
        content_type: &'static str,
        cache: &'static str,
        mode: PutMode,
    ) -> Result<Option<String>, Raw> {
        let attributes = Attributes::from_iter([
            (Attribute::ContentType, content_type),
            (Attribute::CacheControl, cache),
        ]);
        let options = PutOptions { mode, attributes, ..PutOptions::default() };
        Ok(self.within(self.0.store.put_opts(key, bytes, options)).await?.e_tag)
    }

    async fn ask<T>(
        &self,
        request: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T, Trouble> {
        self.within(request).await.map_err(|raw| self.trouble(raw))
    }

    async fn within<T>(
        &self,
        request: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T, Raw> {
        let limit = self.0.limits.operation;
        match tokio::time::timeout(limit, request).await {
            Ok(done) => done.map_err(Raw::Library),
            Err(_) => Err(Raw::Late(limit)),
        }
    }

    fn trouble(&self, raw: Raw) -> Trouble {
        match raw {
            Raw::Library(error) => Trouble::of(&error, &self.0.secrets),
            Raw::Late(limit) => Trouble::new(
                StoreErrorKind::Unreachable,
                format!("the store did not finish within {} s", limit.as_secs_f32()),
            ),
        }
    }

    fn told(&self, trouble: Trouble, what: fmt::Arguments<'_>) -> StoreError {
        trouble.told(what, self.0.bucket.provider, &self.0.bucket.name)
    }

    /// The release's folder in the sites folder, if it is there.
    async fn folder(&self, order: &OrderDir, id: ReleaseId) -> Result<Option<Arc<Dir>>, Trouble> {
        let (root, order) = (self.0.root.clone(), order.clone());
        let open = move || {
            let Some(dir) = root.open_order(&order).map_err(io::Error::other)? else {
                return Ok(None);
            };
            match open_folder(&dir, RELEASES).and_then(|dir| open_folder(&dir, &id.to_string())) {
                Ok(dir) => Ok(Some(Arc::new(dir))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error),
            }
        };
        reading("its folder", open).await
    }

    fn release_key(&self, order: &OrderDir, id: ReleaseId) -> Result<Path, Trouble> {
        self.key(&format!("{order}/{RELEASES}/{id}"))
    }

    fn file_key(&self, order: &OrderDir, id: ReleaseId, path: &str) -> Result<Path, Trouble> {
        self.key(&format!("{order}/{RELEASES}/{id}/{path}"))
    }

    fn pointer_key(&self, order: &OrderDir) -> Result<Path, Trouble> {
        self.key(&format!("{order}/{POINTER_FILE}"))
    }

    /// The object's name as it is: visitors ask for `a~b.html`, not for what the library would make
    /// of it.
    fn key(&self, rest: &str) -> Result<Path, Trouble> {
        Path::parse(format!("{}/{rest}", self.0.bucket.prefix)).map_err(|error| {
            Trouble::new(
                StoreErrorKind::Configuration,
                format!("`{rest}` cannot name an object: {error}"),
            )
        })
    }
}

/// Why objects of a failed release stay.
enum Kept {
    Current,
    Trouble,
}

/// Why a request failed, before it is put into words.
enum Raw {
    Library(object_store::Error),
    Late(Duration),
}

const TEXT: &str = "text/plain; charset=utf-8";

/// Whether the store cannot write under a condition at all.
fn unconditional(error: &object_store::Error) -> bool {
    matches!(
        error,
        object_store::Error::NotImplemented { .. } | object_store::Error::NotSupported { .. }
    ) || error.to_string().contains("status code: 501")
}

/// Lists and answers write the same tag with and without quotes.
fn bare(tag: &str) -> &str {
    tag.trim_start_matches("W/").trim_matches('"')
}

fn read_whole(folder: &Dir, path: &str) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_file(folder, path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Runs blocking work on the sites folder.
async fn reading<T: Send + 'static>(
    what: &str,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Trouble> {
    let why = match tokio::task::spawn_blocking(work).await {
        Ok(Ok(done)) => return Ok(done),
        Ok(Err(error)) => error.to_string(),
        Err(error) => error.to_string(),
    };
    Err(Trouble::new(
        StoreErrorKind::Folder,
        format!("`{what}` could not be read in the sites folder: {why}"),
    ))
}
