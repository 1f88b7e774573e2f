//! Sites that are small enough to stay in memory until they are released.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::path::SitePath;

/// Most bytes of one site in memory, 256 KiB: what goes to the disk later, and is hashed on a
/// thread of the runtime.
const MAX_SITE: u64 = 256 << 10;

/// How many more bytes all sites together may have in memory. None by default.
#[derive(Debug, Default)]
pub(super) struct HeldBytes {
    left: AtomicU64,
}

impl HeldBytes {
    pub(super) fn new(bytes: u64) -> Self {
        HeldBytes { left: AtomicU64::new(bytes) }
    }

    fn take(&self, bytes: u64) -> bool {
        let less = |left: u64| left.checked_sub(bytes);
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }

    fn give_back(&self, bytes: u64) {
        self.left.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// The files of one site that are in memory.
#[derive(Debug)]
pub(super) struct HeldFiles {
    account: Arc<HeldBytes>,
    bytes: u64,
    files: BTreeMap<SitePath, Vec<u8>>,
}

impl HeldFiles {
    pub(super) fn new(account: Arc<HeldBytes>) -> Self {
        HeldFiles { account, bytes: 0, files: BTreeMap::new() }
    }

    /// Keeps a file, or gives it back when there is no room for it.
    pub(super) fn keep(&mut self, path: &SitePath, bytes: Vec<u8>) -> Result<(), Vec<u8>> {
        let size = bytes.len() as u64;
        if self.bytes + size > MAX_SITE || !self.account.take(size) {
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

impl Drop for HeldFiles {
    fn drop(&mut self) {
        self.account.give_back(self.bytes);
    }
}
