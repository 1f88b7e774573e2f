//! The trial of an object store at start: a host that could not store releases must not start.

use object_store::PutPayload;
use object_store::path::Path;
use ulid::Ulid;

use super::bucket_client::{BucketClient, Object, PRIVATE};
use super::content::{CACHE_POINTER, TEXT};
use super::error::{StoreError, StoreErrorKind};
use super::request_error::RequestError;

const CONTENT: &[u8] = b"written by the host to see whether it can";

impl BucketClient {
    /// Writes, reads, lists and deletes one object.
    pub(super) async fn probe(&self) -> Result<(), StoreError> {
        let folder =
            self.key(&format!("{PRIVATE}/.probe-{}", Ulid::generate())).map_err(|error| {
                self.store_error(error, format_args!("`{}` cannot be used", self.url()))
            })?;
        let key = folder.clone().join("written");
        let object = Object {
            key: &key,
            bytes: PutPayload::from_static(CONTENT),
            content_type: TEXT,
            cache_control: CACHE_POINTER,
        };
        self.put(object).await.map_err(|error| self.probe_error("writing an object", error))?;
        let tried = self.probe_reading(&folder, &key).await;
        let removed = self.delete(vec![key]).await;
        tried.and(removed.map_err(|error| self.probe_error("deleting an object", error)))
    }

    async fn probe_reading(&self, folder: &Path, key: &Path) -> Result<(), StoreError> {
        let damaged = |why| RequestError::new(StoreErrorKind::Damaged, why);
        let read = self.get(key).await.and_then(|(read, _)| {
            if read == CONTENT {
                Ok(())
            } else {
                Err(damaged("the bytes that were read are not those that were written"))
            }
        });
        read.map_err(|error| self.probe_error("reading an object", error))?;
        let listed = self.list(folder).await.and_then(|listed| {
            if listed.contains_key(key) {
                Ok(())
            } else {
                Err(damaged("the object that was written is not in the list"))
            }
        });
        listed.map_err(|error| self.probe_error("listing objects", error))
    }

    fn probe_error(&self, operation: &str, error: RequestError) -> StoreError {
        // Some stores report a missing bucket as a missing object.
        let kind = match error.kind {
            StoreErrorKind::NotFound => StoreErrorKind::BucketMissing,
            kind => kind,
        };
        let url = self.url();
        self.store_error(
            RequestError { kind, ..error },
            format_args!("`{url}` cannot be used, because {operation} failed in a trial"),
        )
    }
}
