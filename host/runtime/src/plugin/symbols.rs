//! The debug information of templates that trapped lately.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest as _, Sha256};
use tokio::sync::{OnceCell, Semaphore};

use super::template::MAX_TEMPLATE_BYTES;
use sitewright_failure::RawFrame;
use sitewright_failure::symbolize::{Symbolized, Symbols};

/// What follows a template's name in the name of the file that has its debug information.
pub(super) const DEBUG_SUFFIX: &str = ".debug.wasm";

/// Templates whose debug information is kept at once.
const MAX_TEMPLATES: usize = 16;
/// Bytes of debug information kept at once; the newest template's stays whatever its size.
const MAX_BYTES: usize = 512 << 20;
/// Records of one template that read at the same time. The others wait without a thread, and most
/// find what they want afterwards.
const READERS: usize = 1;

/// Debug information by the digest of the template, the one used last at the end. Shared by the
/// templates of one catalogue: a template that is loaded again, or under another name, finds what
/// was read before.
#[derive(Debug, Clone, Default)]
pub struct SymbolCache {
    templates: Arc<Mutex<Vec<Known>>>,
}

/// A template's digest and what is known of it.
type Known = ([u8; 32], Arc<Entry>);

#[derive(Debug)]
struct Entry {
    symbols: OnceCell<Arc<Symbols>>,
    readers: Semaphore,
}

impl SymbolCache {
    /// The frames of a trap in the template in `file`, which had `digest` when it was loaded. What
    /// must be read is read on the blocking pool, in bounded time; frames that are known cost a
    /// look.
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
        // Nobody closes it; without the permit the work would merely be done twice.
        let _reading = entry.readers.acquire().await.ok();
        let symbols = entry.symbols.get_or_init(|| load(file.to_owned(), digest)).await.clone();
        self.forget_the_oldest();
        let raw = frames.clone();
        match tokio::task::spawn_blocking(move || symbols.resolve(&raw)).await {
            Ok(symbolized) => symbolized,
            Err(error) => Symbols::none(format!("reading the debug information failed: {error}"))
                .resolve(&frames),
        }
    }

    /// Forgets everything: what comes next is read anew.
    pub fn clear(&self) {
        self.templates.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// How many templates' debug information is held.
    pub fn len(&self) -> usize {
        self.templates.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn entry(&self, digest: [u8; 32]) -> Arc<Entry> {
        let mut templates = self.templates.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = match templates.iter().position(|(known, _)| *known == digest) {
            Some(at) => templates.remove(at).1,
            None => Arc::new(Entry { symbols: OnceCell::new(), readers: Semaphore::new(READERS) }),
        };
        templates.push((digest, entry.clone()));
        entry
    }

    fn forget_the_oldest(&self) {
        let mut templates = self.templates.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = |entry: &Entry| entry.symbols.get().map_or(0, |symbols| symbols.bytes());
        let mut held: usize = templates.iter().map(|(_, entry)| bytes(entry)).sum();
        while templates.len() > 1 && (templates.len() > MAX_TEMPLATES || held > MAX_BYTES) {
            held -= bytes(&templates.remove(0).1);
        }
    }
}

/// Reads the debug information in the template, or in the file beside it. When the template has
/// changed since it was loaded, there is none.
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
