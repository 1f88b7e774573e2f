//! Errors of a store.

use sitewright_model::message::Message;

/// Why an operation of a store failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct StoreError {
    pub kind: StoreErrorKind,
    /// What happened to which order, why, and what to do.
    pub message: Message,
}

impl StoreError {
    pub(super) fn new(kind: StoreErrorKind, message: Message) -> Self {
        StoreError { kind, message }
    }
}

impl From<StoreError> for Message {
    fn from(error: StoreError) -> Message {
        error.message
    }
}

/// Kinds of store errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StoreErrorKind {
    /// `sites.store` or the environment is wrong.
    Configuration,
    /// No credentials are set.
    NoCredentials,
    /// The store rejects the credentials.
    BadCredentials,
    /// The credentials are valid, but do not permit the operation.
    Denied,
    /// The bucket or container does not exist.
    BucketMissing,
    /// The store does not respond.
    Unreachable,
    /// The store responds with a temporary error.
    Unavailable,
    /// The release does not exist.
    NotFound,
    /// Other workers wrote at the same moment, in each try.
    Conflict,
    /// The store's content is not what was written.
    Damaged,
    /// The sites folder failed, not the object store.
    Folder,
    /// Any other response.
    Refused,
}

impl StoreErrorKind {
    /// Whether a retry may succeed although nobody changes anything.
    pub fn is_transient(self) -> bool {
        matches!(
            self,
            StoreErrorKind::Unreachable
                | StoreErrorKind::Unavailable
                | StoreErrorKind::Conflict
                | StoreErrorKind::Damaged
        )
    }
}
