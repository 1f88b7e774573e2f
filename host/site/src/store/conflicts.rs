//! Two workers write the pointer of one order at the same moment.
#![allow(
    clippy::disallowed_methods,
    reason = "each async test has the one runtime of its process: its own"
)]

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use time::OffsetDateTime;
use ulid::Ulid;

use super::bucket::Bucket;
use super::error::StoreErrorKind;
use super::location::StoreLocation;
use super::objects::ObjectSites;
use super::pointer::Pointer;
use crate::manifest::ReleaseId;
use crate::root::{OrderDir, SitesRoot};

/// A store in memory in which another worker writes the pointer directly before each of the first
/// few writes.
#[derive(Debug)]
struct ContendedStore {
    store: InMemory,
    other: ReleaseId,
    times: AtomicUsize,
    /// Whether it rejects conditional writes, as some stores do.
    unconditional: bool,
}

impl fmt::Display for ContendedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a store where others write too")
    }
}

fn pointer(release: ReleaseId) -> PutPayload {
    let pointer =
        Pointer { release, path: format!("releases/{release}"), at: OffsetDateTime::UNIX_EPOCH };
    serde_json::to_vec(&pointer).unwrap().into()
}

#[async_trait]
impl ObjectStore for ContendedStore {
    async fn put_opts(
        &self,
        key: &Path,
        bytes: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        if self.unconditional && options.mode != PutMode::Overwrite {
            return Err(object_store::Error::NotImplemented {
                operation: "a condition".to_owned(),
                implementer: self.to_string(),
            });
        }
        let one_less = |left: usize| left.checked_sub(1);
        if self.times.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok() {
            self.store.put(key, pointer(self.other)).await?;
        }
        self.store.put_opts(key, bytes, options).await
    }

    async fn put_multipart_opts(
        &self,
        key: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.store.put_multipart_opts(key, options).await
    }

    async fn get_opts(&self, key: &Path, options: GetOptions) -> Result<GetResult> {
        self.store.get_opts(key, options).await
    }

    fn delete_stream(
        &self,
        keys: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.store.delete_stream(keys)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.store.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.store.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.store.copy_opts(from, to, options).await
    }
}

fn id(number: u64) -> ReleaseId {
    ReleaseId(Ulid::from_parts(number, 0))
}

#[tokio::test]
async fn a_pointer_that_others_write_is_never_set_back_by_accident() {
    // The pointer before; what the other worker writes, and how often; whether conditional writes
    // are rejected; the pointer afterwards.
    let cases = [
        (None, id(9), 1, false, Some(id(9))),
        (Some(id(1)), id(9), 1, false, Some(id(9))),
        (Some(id(1)), id(3), 2, false, Some(id(5))),
        (Some(id(1)), id(5), 1, false, Some(id(5))),
        (Some(id(9)), id(9), 0, false, Some(id(5))),
        (Some(id(1)), id(3), 99, false, None),
        (None, id(9), 0, true, Some(id(5))),
        (Some(id(1)), id(9), 0, true, Some(id(5))),
    ];
    for (number, (before, other, times, unconditional, after)) in cases.into_iter().enumerate() {
        let temp = tempfile::tempdir().unwrap();
        let root = SitesRoot::open(temp.path()).unwrap();
        let bucket: Bucket = match StoreLocation::parse(Some("s3://sites/p"), &root).unwrap() {
            StoreLocation::Bucket(bucket) => bucket,
            StoreLocation::Folder => panic!("it is a bucket"),
        };
        let store = InMemory::new();
        let order = OrderDir::new("7").unwrap();
        for release in [1, 3, 5, 9] {
            let manifest = Path::from(format!("p/private/7/manifests/{}.json", id(release)));
            store.put(&manifest, PutPayload::from_static(b"{}")).await.unwrap();
        }
        if let Some(before) = before {
            store.put(&Path::from("p/public/7/current.json"), pointer(before)).await.unwrap();
        }
        let store = ContendedStore { store, other, times: AtomicUsize::new(times), unconditional };
        let sites = ObjectSites::over(Arc::new(store), bucket, root);
        match (sites.activate(&order, id(5), 1).await, after) {
            (Ok(()), Some(after)) => {
                assert_eq!(sites.current(&order).await.unwrap(), Some(after), "case {number}");
                // The current release is never removed.
                let left = sites.activate(&order, after, 1).await;
                assert!(left.is_ok(), "case {number}: {left:?}");
            }
            (Err(error), None) => {
                assert_eq!(error.kind, StoreErrorKind::Conflict, "case {number}: {error}");
                assert_eq!(sites.current(&order).await.unwrap(), Some(other), "case {number}");
            }
            (result, after) => panic!("case {number}: {result:?} instead of {after:?}"),
        }
    }
}
