//! Symbolizes the frames of traps in confined children, and caches the result.
//!
//! Debug information is a stranger's: it is read by a [`Task`], which gets the template, the file
//! beside it and the frames. What the host keeps is the result, in bounded memory.

use std::collections::HashMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use sitewright_confined::{Budget, Confined, ConfinedError, Task};
use sitewright_failure::RawFrame;
use sitewright_failure::symbolize::{MAX_DEBUG_BYTES, MAX_TIME, Symbolized, Symbols};
use tokio::sync::Semaphore;

use super::template::MAX_TEMPLATE_BYTES;

/// Suffix of the file beside a template that has its debug information.
pub(super) const DEBUG_SUFFIX: &str = ".debug.wasm";

/// Maximum templates whose frames are cached.
const MAX_TEMPLATES: usize = 64;
/// Maximum bytes of cached frames of one template, far more than it has ways to fail.
const MAX_BYTES: usize = 4 << 20;
/// Templates whose files are read at once. Other failure records wait without a thread, and most
/// find their frames in the cache afterwards.
const READERS: usize = 2;

/// Processor time of one job, beside that for resolving ([`MAX_TIME`]): to find the debug
/// information in a large file.
const FINDING: Duration = Duration::from_secs(8);
/// Memory of one job, beside its input: the debug information and the tables made of it.
const MEMORY_BYTES: u64 = 2 * MAX_DEBUG_BYTES as u64;

/// Symbolized frames by the digest of the template, the most recently used last. Shared by all
/// templates of a loader, so that a template loaded again or under another name is found.
#[derive(Debug, Clone)]
pub struct SymbolCache {
    confined: Confined,
    readers: Arc<Semaphore>,
    templates: Arc<Mutex<Vec<CachedTemplate>>>,
}

/// A template's digest and its entry.
type CachedTemplate = ([u8; 32], Arc<Entry>);

#[derive(Debug)]
struct Entry {
    known: Mutex<Known>,
    /// Why the debug information is not read again: it cannot be, or it takes too long.
    given_up: OnceLock<String>,
    /// One failure record of a template reads, the others wait for what it finds.
    reader: Semaphore,
}

#[derive(Debug, Default)]
struct Known {
    traces: HashMap<Vec<RawFrame>, Symbolized>,
    bytes: usize,
}

impl SymbolCache {
    /// An empty cache, whose debug information is read by `confined`.
    pub fn new(confined: Confined) -> Self {
        SymbolCache {
            confined,
            readers: Arc::new(Semaphore::new(READERS)),
            templates: Arc::default(),
        }
    }

    /// The symbolized frames of a trap in the template in `file`, which had `digest` when it was
    /// loaded. Does not fail: a record without files and lines says why. Frames that are known cost
    /// a look-up.
    pub async fn symbolize(
        &self,
        file: &Path,
        digest: [u8; 32],
        frames: Vec<RawFrame>,
    ) -> Symbolized {
        let entry = self.entry(digest);
        if let Some(known) = entry.recall(&frames) {
            return known;
        }
        // The semaphores are never closed. Without a permit the same work may be done twice.
        let _reading = entry.reader.acquire().await.ok();
        if let Some(known) = entry.recall(&frames) {
            return known;
        }
        let _file = self.readers.acquire().await.ok();
        match self.read(file, digest, &frames).await {
            Ok(Done { symbolized, gave_up }) => {
                if let (true, Some(reason)) = (gave_up, &symbolized.missing) {
                    entry.given_up.get_or_init(|| reason.clone());
                }
                entry.known.lock().add(frames, &symbolized);
                symbolized
            }
            Err(Unread::Always(reason)) => {
                names_only(entry.given_up.get_or_init(|| reason), &frames)
            }
            Err(Unread::ThisTime(reason)) => names_only(&reason, &frames),
        }
    }

    async fn read(
        &self,
        file: &Path,
        digest: [u8; 32],
        frames: &[RawFrame],
    ) -> Result<Done, Unread> {
        let lane = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let (file, job) = (file.to_owned(), frames.to_vec());
        let input = tokio::task::spawn_blocking(move || encode(&file, digest, job))
            .await
            .unwrap_or_else(|error| {
                Err(Unread::ThisTime(format!("reading the debug information failed: {error}")))
            })?;
        let budget = Budget {
            cpu: MAX_TIME.saturating_add(FINDING),
            memory_bytes: MEMORY_BYTES.saturating_add(input.len() as u64),
            deadline: None,
        };
        let failed = |why: &dyn std::fmt::Display| {
            format!("reading the template's debug information failed: {why}")
        };
        let answer = self.confined.run(&SYMBOLIZE, &lane, input, budget).await;
        let answer = answer.map_err(|error| match &error {
            ConfinedError::Host(_) | ConfinedError::Refused { .. } | ConfinedError::Deadline => {
                Unread::ThisTime(failed(&error))
            }
            ConfinedError::Cpu { .. }
            | ConfinedError::Memory { .. }
            | ConfinedError::Crashed(_) => Unread::Always(failed(&error)),
        })?;
        serde_json::from_slice::<Result<Done, String>>(&answer)
            .unwrap_or_else(|error| Err(error.to_string()))
            .map_err(|error| Unread::Always(failed(&error)))
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
            None => Arc::new(Entry {
                known: Mutex::default(),
                given_up: OnceLock::new(),
                reader: Semaphore::new(1),
            }),
        };
        templates.push((digest, entry.clone()));
        if templates.len() > MAX_TEMPLATES {
            templates.remove(0);
        }
        entry
    }
}

impl Entry {
    fn recall(&self, frames: &[RawFrame]) -> Option<Symbolized> {
        if let Some(known) = self.known.lock().traces.get(frames) {
            return Some(known.clone());
        }
        self.given_up.get().map(|reason| names_only(reason, frames))
    }
}

impl Known {
    fn add(&mut self, frames: Vec<RawFrame>, symbolized: &Symbolized) {
        let bytes = bytes_of(&frames, symbolized);
        if bytes > MAX_BYTES {
            return;
        }
        if self.bytes.saturating_add(bytes) > MAX_BYTES {
            self.traces.clear();
            self.bytes = 0;
        }
        self.bytes += bytes;
        self.traces.insert(frames, symbolized.clone());
    }
}

/// About the bytes that a cached trace has in memory.
fn bytes_of(frames: &[RawFrame], symbolized: &Symbolized) -> usize {
    let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let raw = frames.iter().map(|frame| size_of::<RawFrame>() + text(&frame.function));
    let read = symbolized
        .frames
        .iter()
        .map(|frame| size_of_val(frame) + frame.function.len() + text(&frame.file));
    let source = symbolized.source.iter().flat_map(|source| &source.lines).map(String::len);
    raw.chain(read).chain(source).sum::<usize>() + text(&symbolized.missing)
}

/// Frames with the names that the engine knows.
fn names_only(reason: &str, frames: &[RawFrame]) -> Symbolized {
    Symbols::none(reason).resolve(frames)
}

/// Why debug information was not read.
enum Unread {
    /// It would not be read the next time either.
    Always(String),
    /// It may be read the next time.
    ThisTime(String),
}

/// Reads debug information: see [`SymbolCache`].
pub static SYMBOLIZE: Task = Task { name: "symbolize", run: symbolize_here };

/// What a job begins with, as JSON after its length in four bytes. The template and the file beside
/// it follow.
#[derive(Serialize, Deserialize)]
struct Job {
    frames: Vec<RawFrame>,
    template_bytes: usize,
    /// Name of the file beside it, if there is one.
    beside: Option<String>,
}

/// The answer.
#[derive(Serialize, Deserialize)]
struct Done {
    symbolized: Symbolized,
    /// Whether other frames would not be read either.
    gave_up: bool,
}

fn symbolize_here(input: &[u8]) -> Vec<u8> {
    let done = || -> Result<Done, String> {
        let (length, rest) = input.split_first_chunk::<4>().ok_or("the job is cut short")?;
        let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
        let (job, files) = rest.split_at_checked(length).ok_or("the job is cut short")?;
        let job: Job = serde_json::from_slice(job).map_err(|error| error.to_string())?;
        let (template, beside) =
            files.split_at_checked(job.template_bytes).ok_or("the job is cut short")?;
        let symbols = Symbols::load(template, job.beside.as_deref().map(|name| (name, beside)));
        let symbolized = symbols.resolve(&job.frames);
        Ok(Done { symbolized, gave_up: symbols.gave_up() })
    };
    serde_json::to_vec(&done()).unwrap_or_default()
}

/// The job for the frames of a trap in the template in `file`; or why its debug information cannot
/// be read: the file is gone, or has changed since it was loaded.
fn encode(file: &Path, digest: [u8; 32], frames: Vec<RawFrame>) -> Result<Vec<u8>, Unread> {
    let unreadable = |error: std::io::Error| {
        let reason = format!("the template's file cannot be read any more: {error}");
        match error.kind() {
            std::io::ErrorKind::NotFound => Unread::Always(reason),
            // Such as too many open files.
            _ => Unread::ThisTime(reason),
        }
    };
    let mut template = Vec::new();
    std::fs::File::open(file)
        .and_then(|file| file.take(MAX_TEMPLATE_BYTES + 1).read_to_end(&mut template))
        .map_err(unreadable)?;
    if <[u8; 32]>::from(Sha256::digest(&template)) != digest {
        let reason = "the template's file has changed since it was loaded";
        return Err(Unread::Always(reason.to_owned()));
    }
    let beside = beside(file).filter(|beside| {
        std::fs::metadata(beside)
            .is_ok_and(|found| found.is_file() && found.len() <= MAX_TEMPLATE_BYTES)
    });
    let mut debug = Vec::new();
    let name = beside.and_then(|path| {
        let file = std::fs::File::open(&path).ok()?;
        file.take(MAX_TEMPLATE_BYTES).read_to_end(&mut debug).ok()?;
        Some(path.file_name()?.to_string_lossy().into_owned())
    });
    let job = Job { frames, template_bytes: template.len(), beside: name };
    let job = serde_json::to_vec(&job).map_err(|error| Unread::ThisTime(error.to_string()))?;
    let length = u32::try_from(job.len()).map_err(|_| {
        Unread::ThisTime("the names of the frames are too long to be sent".to_owned())
    })?;
    Ok([&length.to_le_bytes(), job.as_slice(), &template, &debug].concat())
}

/// `local-business.debug.wasm` of `local-business.wasm`.
fn beside(file: &Path) -> Option<PathBuf> {
    let mut name = file.file_stem()?.to_owned();
    name.push(DEBUG_SUFFIX);
    Some(file.with_file_name(name))
}
