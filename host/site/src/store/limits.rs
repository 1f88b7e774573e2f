//! Limits of an object store.

use std::time::Duration;

/// Concurrency, time-outs and retries of an object store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreLimits {
    /// Concurrent uploads of one release. Default: 8, enough to hide the store's latency.
    pub uploads_per_release: usize,
    /// Concurrent uploads of all releases; each started half MiB of a file counts as one. Uploads
    /// are in memory, so this bounds their memory: the default of 128 allows 64 MiB.
    pub uploads: usize,
    /// Time-out of connecting. Default: 5 s.
    pub connect: Duration,
    /// Time-out of one request, from connecting until the response begins; must allow for the
    /// largest file over a slow connection. Default: 60 s.
    pub request: Duration,
    /// Maximum retries of a request after a lost connection, a time-out, or status 5xx or 429.
    /// Default: 5.
    pub retries: usize,
    /// Time after which a request is not retried. Default: 60 s.
    pub retry_for: Duration,
    /// Time-out of one operation with all its retries, reading the response included. Default:
    /// 180 s.
    pub operation: Duration,
    /// Time-out of removing the objects of a release that failed. Short, because the store may be
    /// the cause of the failure. Default: 15 s.
    pub clean_up: Duration,
}

impl Default for StoreLimits {
    fn default() -> Self {
        StoreLimits {
            uploads_per_release: 8,
            uploads: 128,
            connect: Duration::from_secs(5),
            request: Duration::from_secs(60),
            retries: 5,
            retry_for: Duration::from_secs(60),
            operation: Duration::from_secs(180),
            clean_up: Duration::from_secs(15),
        }
    }
}
