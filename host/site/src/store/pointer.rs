//! The pointer of an order: the object that names its current release. Several workers may write it
//! at the same moment.

use object_store::path::Path;
use object_store::{PutMode, UpdateVersion};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::bucket_client::{BucketClient, Object, PutError};
use super::content::{CACHE_POINTER, JSON};
use super::error::StoreErrorKind;
use super::request_error::RequestError;
use crate::manifest::ReleaseId;
use crate::root::{OrderDir, PUBLIC, RELEASES};

/// The object under an order's public prefix that names the current release.
pub const POINTER_FILE: &str = "current.json";

/// Maximum tries of writing the pointer while other workers write it.
const MAX_TRIES: usize = 5;

/// Content of [`POINTER_FILE`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pointer {
    /// The current release.
    pub release: ReleaseId,
    /// The release's folder, relative to the pointer: `releases/<id>`.
    pub path: String,
    /// When the release was activated; RFC 3339.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
}

/// The pointer as the store has it.
enum StoredPointer {
    Missing,
    Valid(Pointer, UpdateVersion),
    /// Not JSON of this format.
    Invalid(serde_json::Error, UpdateVersion),
}

impl BucketClient {
    /// The release that the pointer names; `None` if there is no pointer.
    pub(super) async fn current(
        &self,
        order: &OrderDir,
    ) -> Result<Option<ReleaseId>, RequestError> {
        match self.read_pointer(&self.pointer_key(order)?).await? {
            StoredPointer::Missing => Ok(None),
            StoredPointer::Valid(pointer, _) => Ok(Some(pointer.release)),
            StoredPointer::Invalid(error, _) => {
                let why = format!("its `{POINTER_FILE}` is not one of this host: {error}");
                Err(RequestError::new(StoreErrorKind::Damaged, why))
            }
        }
    }

    /// Makes the pointer name `id`, unless another worker has written a newer release meanwhile.
    /// Returns the release that it names then.
    pub(super) async fn point_to(
        &self,
        order: &OrderDir,
        id: ReleaseId,
    ) -> Result<ReleaseId, RequestError> {
        let manifest = self.manifest_key(order, id)?;
        self.head(&manifest).await.map_err(|error| match error.kind {
            StoreErrorKind::NotFound => RequestError::new(
                StoreErrorKind::NotFound,
                "the store has no such release, or only a part of it",
            ),
            _ => error,
        })?;
        let key = self.pointer_key(order)?;
        let mut conditional = true;
        let mut conflict = None;
        for _ in 0..MAX_TRIES {
            let (names, condition) = match self.read_pointer(&key).await? {
                StoredPointer::Missing => (None, PutMode::Create),
                StoredPointer::Valid(pointer, version) => {
                    (Some(pointer.release), PutMode::Update(version))
                }
                StoredPointer::Invalid(_, version) => (None, PutMode::Update(version)),
            };
            match names {
                Some(current) if current == id => return Ok(id),
                Some(newer) if conflict.is_some() && newer > id => {
                    tracing::info!(
                        order = order.as_str(),
                        release = %id,
                        newer = %newer,
                        "another worker activated a newer release at the same moment; it stays"
                    );
                    return Ok(newer);
                }
                _ => {}
            }
            let mode = if conditional { condition } else { PutMode::Overwrite };
            match self.write_pointer(&key, id, mode).await {
                Ok(()) => return Ok(id),
                Err(PutError::ConditionUnsupported(_)) if conditional => conditional = false,
                Err(PutError::ConditionUnsupported(error) | PutError::Failed(error)) => {
                    if error.kind != StoreErrorKind::Conflict {
                        return Err(error);
                    }
                    conflict = Some(error);
                }
            }
        }
        Err(conflict.unwrap_or_else(|| {
            RequestError::new(
                StoreErrorKind::Conflict,
                "other workers changed the pointer each time",
            )
        }))
    }

    /// The release that the pointer object `key` names, of this layout or an earlier one.
    pub(super) async fn read_release(&self, key: &Path) -> Result<Option<ReleaseId>, RequestError> {
        Ok(match self.read_pointer(key).await? {
            StoredPointer::Valid(pointer, _) => Some(pointer.release),
            StoredPointer::Missing | StoredPointer::Invalid(..) => None,
        })
    }

    async fn write_pointer(
        &self,
        key: &Path,
        id: ReleaseId,
        mode: PutMode,
    ) -> Result<(), PutError> {
        let pointer = Pointer {
            release: id,
            path: format!("{RELEASES}/{id}"),
            at: OffsetDateTime::now_utc(),
        };
        let json = serde_json::to_vec_pretty(&pointer).map_err(|error| {
            PutError::Failed(RequestError::new(
                StoreErrorKind::Refused,
                format!("the pointer cannot be written as JSON: {error}"),
            ))
        })?;
        let object =
            Object { key, bytes: json.into(), content_type: JSON, cache_control: CACHE_POINTER };
        self.put_if(object, mode).await.map(drop)
    }

    async fn read_pointer(&self, key: &Path) -> Result<StoredPointer, RequestError> {
        match self.get(key).await {
            Ok((bytes, version)) => Ok(match serde_json::from_slice(&bytes) {
                Ok(pointer) => StoredPointer::Valid(pointer, version),
                Err(error) => StoredPointer::Invalid(error, version),
            }),
            Err(error) if error.kind == StoreErrorKind::NotFound => Ok(StoredPointer::Missing),
            Err(error) => Err(error),
        }
    }

    fn pointer_key(&self, order: &OrderDir) -> Result<Path, RequestError> {
        self.key(&format!("{PUBLIC}/{order}/{POINTER_FILE}"))
    }
}
