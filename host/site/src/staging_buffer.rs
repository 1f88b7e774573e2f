//! The in-memory staging buffer: sites that are small enough stay in memory until they are
//! released, so that most of them touch the disk once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::path::SitePath;

/// Maximum bytes of one site in memory: 256 KiB. A buffered file is hashed on a runtime thread, so
/// the limit also bounds how long that thread is busy.
const MAX_SITE_BYTES: u64 = 256 << 10;

/// The bytes that all buffers of a process may still take. Default: 0, which buffers nothing.
#[derive(Debug, Default)]
pub(super) struct BufferBudget {
    left: AtomicU64,
}

impl BufferBudget {
    pub(super) fn new(bytes: u64) -> Self {
        BufferBudget { left: AtomicU64::new(bytes) }
    }

    fn take(&self, bytes: u64) -> bool {
        let less = |left: u64| left.checked_sub(bytes);
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }

    fn give_back(&self, bytes: u64) {
        self.left.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// The buffered files of one site.
#[derive(Debug)]
pub(super) struct StagingBuffer {
    budget: Arc<BufferBudget>,
    bytes: u64,
    files: BTreeMap<SitePath, Vec<u8>>,
}

impl StagingBuffer {
    pub(super) fn new(budget: Arc<BufferBudget>) -> Self {
        StagingBuffer { budget, bytes: 0, files: BTreeMap::new() }
    }

    /// Buffers a file.
    ///
    /// # Errors
    /// Returns the bytes if the site or the process would exceed its limit.
    pub(super) fn insert(&mut self, path: &SitePath, bytes: Vec<u8>) -> Result<(), Vec<u8>> {
        let size = bytes.len() as u64;
        if self.bytes + size > MAX_SITE_BYTES || !self.budget.take(size) {
            return Err(bytes);
        }
        self.bytes += size;
        self.files.insert(path.clone(), bytes);
        Ok(())
    }

    pub(super) fn get(&self, path: &SitePath) -> Option<&[u8]> {
        self.files.get(path).map(Vec::as_slice)
    }
}

impl Drop for StagingBuffer {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}
