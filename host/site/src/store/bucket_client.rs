//! Requests to one bucket, each with a time-out and with errors in plain words.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, ListResult, ObjectStore, ObjectStoreExt, PutMode, PutOptions,
    PutPayload, UpdateVersion,
};

use time::OffsetDateTime;

use super::bucket::Bucket;
use super::error::{StoreError, StoreErrorKind};
use super::limits::StoreLimits;
use super::request_error::RequestError;
use super::secrets::Secrets;
use crate::manifest::ReleaseId;
use crate::root::{MANIFESTS, OrderDir, PUBLIC, RELEASES, manifest_name};

/// The prefix of objects that visitors must not get.
pub(super) const PRIVATE: &str = "private";

/// A client of the bucket and prefix that `sites.store` names.
pub(super) struct BucketClient {
    store: Arc<dyn ObjectStore>,
    bucket: Bucket,
    secrets: Secrets,
    /// Time-out of one operation with all its retries.
    timeout: Duration,
}

/// Objects by name: size and tag.
pub(super) type Objects = BTreeMap<Path, (u64, Option<String>)>;

/// An object to write.
pub(super) struct Object<'a> {
    pub(super) key: &'a Path,
    pub(super) bytes: PutPayload,
    pub(super) content_type: &'static str,
    pub(super) cache_control: &'static str,
}

/// How a conditional write failed.
pub(super) enum PutError {
    /// The store cannot write under a condition at all.
    ConditionUnsupported(RequestError),
    Failed(RequestError),
}

/// Why a request failed, before it is put into words.
enum RawError {
    Library(object_store::Error),
    TimedOut,
}

impl BucketClient {
    pub(super) fn new(
        store: Arc<dyn ObjectStore>,
        bucket: Bucket,
        secrets: Secrets,
        limits: &StoreLimits,
    ) -> Self {
        BucketClient { store, bucket, secrets, timeout: limits.operation }
    }

    /// The URL of bucket and prefix, without secrets.
    pub(super) fn url(&self) -> &str {
        &self.bucket.shown
    }

    /// The prefix of a release's objects.
    pub(super) fn release_key(
        &self,
        order: &OrderDir,
        id: ReleaseId,
    ) -> Result<Path, RequestError> {
        self.key(&format!("{PUBLIC}/{order}/{RELEASES}/{id}"))
    }

    pub(super) fn file_key(
        &self,
        order: &OrderDir,
        id: ReleaseId,
        path: &str,
    ) -> Result<Path, RequestError> {
        self.key(&format!("{PUBLIC}/{order}/{RELEASES}/{id}/{path}"))
    }

    /// The object of a release's manifest.
    pub(super) fn manifest_key(
        &self,
        order: &OrderDir,
        id: ReleaseId,
    ) -> Result<Path, RequestError> {
        self.key(&format!("{PRIVATE}/{order}/{MANIFESTS}/{}", manifest_name(id)))
    }

    /// The name of an object below the prefix. It is not encoded: visitors ask for `a~b.html`,
    /// which the library's own encoding would change.
    pub(super) fn key(&self, rest: &str) -> Result<Path, RequestError> {
        Path::parse(format!("{}/{rest}", self.bucket.prefix)).map_err(|error| {
            RequestError::new(
                StoreErrorKind::Configuration,
                format!("`{rest}` cannot name an object: {error}"),
            )
        })
    }

    pub(super) async fn put(&self, object: Object<'_>) -> Result<Option<String>, RequestError> {
        let put = self.put_raw(object, PutMode::Overwrite).await;
        put.map_err(|error| self.request_error(error))
    }

    /// Writes an object under the condition of `mode`. Returns its tag.
    pub(super) async fn put_if(
        &self,
        object: Object<'_>,
        mode: PutMode,
    ) -> Result<Option<String>, PutError> {
        self.put_raw(object, mode).await.map_err(|error| {
            let unsupported =
                matches!(&error, RawError::Library(error) if is_condition_unsupported(error));
            let error = self.request_error(error);
            if unsupported {
                PutError::ConditionUnsupported(error)
            } else {
                PutError::Failed(error)
            }
        })
    }

    async fn put_raw(&self, object: Object<'_>, mode: PutMode) -> Result<Option<String>, RawError> {
        let attributes = Attributes::from_iter([
            (Attribute::ContentType, object.content_type),
            (Attribute::CacheControl, object.cache_control),
        ]);
        let options = PutOptions { mode, attributes, ..PutOptions::default() };
        Ok(self.timed(self.store.put_opts(object.key, object.bytes, options)).await?.e_tag)
    }

    /// Reads an object, and its version for a conditional write.
    pub(super) async fn get(&self, key: &Path) -> Result<(Vec<u8>, UpdateVersion), RequestError> {
        let read = async {
            let found = self.store.get(key).await?;
            let version = UpdateVersion {
                e_tag: found.meta.e_tag.clone(),
                version: found.meta.version.clone(),
            };
            Ok((found.bytes().await?.to_vec(), version))
        };
        self.request(read).await
    }

    /// Reads an object; `None` if it has more than `most` bytes.
    pub(super) async fn get_at_most(
        &self,
        key: &Path,
        most: u64,
    ) -> Result<Option<Vec<u8>>, RequestError> {
        let read = async {
            let found = self.store.get(key).await?;
            if found.meta.size > most {
                return Ok(None);
            }
            Ok(Some(found.bytes().await?.to_vec()))
        };
        self.request(read).await
    }

    /// The prefix of all objects.
    pub(super) fn prefix(&self) -> &Path {
        &self.bucket.prefix
    }

    /// Copies an object within the store, with its content type and cache rule.
    pub(super) async fn copy(&self, from: &Path, to: &Path) -> Result<(), RequestError> {
        self.request(self.store.copy(from, to)).await
    }

    /// When an object was written.
    pub(super) async fn modified(&self, key: &Path) -> Result<OffsetDateTime, RequestError> {
        let meta = self.request(self.store.head(key)).await?;
        Ok(OffsetDateTime::from_unix_timestamp(meta.last_modified.timestamp())
            .unwrap_or(OffsetDateTime::UNIX_EPOCH))
    }

    /// Checks that an object exists.
    pub(super) async fn head(&self, key: &Path) -> Result<(), RequestError> {
        self.request(self.store.head(key)).await.map(drop)
    }

    /// The objects whose names begin with `folder` and `/`.
    pub(super) async fn list(&self, folder: &Path) -> Result<Objects, RequestError> {
        let objects =
            self.store.list(Some(folder)).map_ok(|meta| (meta.location, (meta.size, meta.e_tag)));
        self.request(objects.try_collect()).await
    }

    /// The objects and folders directly in `folder`.
    pub(super) async fn list_folder(&self, folder: &Path) -> Result<ListResult, RequestError> {
        self.request(self.store.list_with_delimiter(Some(folder))).await
    }

    /// Deletes objects. A missing one is not an error.
    pub(super) async fn delete(&self, keys: Vec<Path>) -> Result<(), RequestError> {
        let keys = futures::stream::iter(keys.into_iter().map(Ok)).boxed();
        let deleted = self.store.delete_stream(keys).filter_map(async |deleted| match deleted {
            Ok(_) | Err(object_store::Error::NotFound { .. }) => None,
            Err(error) => Some(Err(error)),
        });
        let deleted = std::pin::pin!(deleted);
        self.request(deleted.try_collect()).await
    }

    async fn request<T>(
        &self,
        request: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T, RequestError> {
        self.timed(request).await.map_err(|error| self.request_error(error))
    }

    async fn timed<T>(
        &self,
        request: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T, RawError> {
        match tokio::time::timeout(self.timeout, request).await {
            Ok(done) => done.map_err(RawError::Library),
            Err(_) => Err(RawError::TimedOut),
        }
    }

    fn request_error(&self, error: RawError) -> RequestError {
        match error {
            RawError::Library(error) => RequestError::from_library(&error, &self.secrets),
            RawError::TimedOut => RequestError::new(
                StoreErrorKind::Unreachable,
                format!("the store did not finish within {} s", self.timeout.as_secs_f32()),
            ),
        }
    }

    /// The error of the operation `what`.
    pub(super) fn store_error(&self, error: RequestError, what: fmt::Arguments<'_>) -> StoreError {
        error.into_store_error(what, self.bucket.provider, &self.bucket.name)
    }
}

fn is_condition_unsupported(error: &object_store::Error) -> bool {
    matches!(
        error,
        object_store::Error::NotImplemented { .. } | object_store::Error::NotSupported { .. }
    ) || error.to_string().contains("status code: 501")
}
