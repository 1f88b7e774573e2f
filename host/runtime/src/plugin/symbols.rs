//! Caches the debug information of templates that trapped.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use tokio::sync::{OnceCell, Semaphore};

use super::template::MAX_TEMPLATE_BYTES;
use sitewright_failure::RawFrame;
use sitewright_failure::symbolize::{Symbolized, Symbols};

/// Suffix of the file beside a template that has its debug information.
pub(super) const DEBUG_SUFFIX: &str = ".debug.wasm";

/// Maximum templates whose debug information is cached.
const MAX_TEMPLATES: usize = 16;
/// Maximum bytes of cached debug information. That of the newest template is kept at any size.
const MAX_BYTES: usize = 512 << 20;
/// Concurrent readers of one template's debug information. Other failure records wait without a
/// thread, and most find their frames in the cache afterwards.
const READERS: usize = 1;

/// Debug information by the digest of the template, the most recently used last. Shared by all
/// templates of a loader, so that a template loaded again or under another name is found.
#[derive(Debug, Clone, Default)]
pub struct SymbolCache {
    templates: Arc<Mutex<Vec<CachedTemplate>>>,
}

/// A template's digest and its entry.
type CachedTemplate = ([u8; 32], Arc<Entry>);

#[derive(Debug)]
struct Entry {
    symbols: OnceCell<Arc<Symbols>>,
    readers: Semaphore,
}

impl SymbolCache {
    /// The symbolized frames of a trap in the template in `file`, which had `digest` when it was
    /// loaded. Debug information is read on the blocking pool, in bounded time; known frames cost a
    /// look-up.
    pub async fn symbolize(
        &self,
        file: &Path,
        digest: [u8; 32],
        frames: Vec<RawFrame>,
    ) -> Symbolized {
        let entry = self.entry(digest);
        if let Some(symbols) = entry.symbols.get()
            && let Some(known) = symbols.recall(&frames)
        {
            return known;
        }
        // The semaphore is never closed. Without a permit the same work may be done twice.
        let _reading = entry.readers.acquire().await.ok();
        let symbols = entry.symbols.get_or_init(|| load(file.to_owned(), digest)).await.clone();
        self.evict();
        let raw = frames.clone();
        match tokio::task::spawn_blocking(move || symbols.resolve(&raw)).await {
            Ok(symbolized) => symbolized,
            Err(error) => Symbols::none(format!("reading the debug information failed: {error}"))
                .resolve(&frames),
        }
    }

    /// Empties the cache.
    pub fn clear(&self) {
        self.templates.lock().clear();
    }

    /// The number of cached templates.
    pub fn len(&self) -> usize {
        self.templates.lock().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn entry(&self, digest: [u8; 32]) -> Arc<Entry> {
        let mut templates = self.templates.lock();
        let entry = match templates.iter().position(|(known, _)| *known == digest) {
            Some(at) => templates.remove(at).1,
            None => Arc::new(Entry { symbols: OnceCell::new(), readers: Semaphore::new(READERS) }),
        };
        templates.push((digest, entry.clone()));
        entry
    }

    fn evict(&self) {
        let mut templates = self.templates.lock();
        let bytes = |entry: &Entry| entry.symbols.get().map_or(0, |symbols| symbols.bytes());
        let mut held: usize = templates.iter().map(|(_, entry)| bytes(entry)).sum();
        while templates.len() > 1 && (templates.len() > MAX_TEMPLATES || held > MAX_BYTES) {
            held -= bytes(&templates.remove(0).1);
        }
    }
}

/// Reads the debug information in the template, or in the file beside it. There is none if the
/// template's file has changed since it was loaded.
async fn load(file: PathBuf, digest: [u8; 32]) -> Arc<Symbols> {
    let read = move || {
        let wasm = match std::fs::read(&file) {
            Ok(wasm) if <[u8; 32]>::from(Sha256::digest(&wasm)) == digest => wasm,
            Ok(_) => return Symbols::none("the template's file has changed since it was loaded"),
            Err(error) => {
                return Symbols::none(format!(
                    "the template's file cannot be read any more: {error}"
                ));
            }
        };
        let beside = beside(&file);
        let bytes = beside.as_ref().and_then(|beside| {
            let metadata = std::fs::metadata(beside).ok()?;
            let fits = metadata.is_file() && metadata.len() <= MAX_TEMPLATE_BYTES;
            fits.then(|| std::fs::read(beside).ok()).flatten()
        });
        let name = beside.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy());
        Symbols::load(&wasm, name.as_deref().zip(bytes.as_deref()))
    };
    let loaded = tokio::task::spawn_blocking(read).await;
    Arc::new(loaded.unwrap_or_else(|error| {
        Symbols::none(format!("reading the debug information failed: {error}"))
    }))
}

/// `local-business.debug.wasm` of `local-business.wasm`.
fn beside(file: &Path) -> Option<PathBuf> {
    let mut name = file.file_stem()?.to_owned();
    name.push(DEBUG_SUFFIX);
    Some(file.with_file_name(name))
}
