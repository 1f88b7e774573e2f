//! Compiled functions on disk, shared by the templates of one author.
//!
//! A template in Python or JavaScript carries an interpreter. Each build of it is another template,
//! and yet nearly all of its functions are those of the last build: their code is taken from here
//! instead of being generated again. Cranelift computes the key of a function from everything that
//! its code depends on, except what is filled in later: its own name, the names of those that it
//! calls, and where it begins in the file. Data is no part of it.
//!
//! The host begins a compilation with a [`Session`]: it lists the packs and makes an empty file. The
//! child process that compiles opens them before it enters its sandbox ([`Opened`]), finds functions
//! in the packs, and appends those that are missing to the file ([`Functions`]). The host then gives
//! the file its name, and deletes what is too much.
//!
//! A pack is the functions of one compilation that no other pack had: code, index, footer. It is
//! never changed. The index and each function have a checksum; a damaged pack is deleted, and what
//! it held is compiled again.
//!
//! Who makes a compiler write wrong code into a pack decides what the next template does. Packs are
//! therefore read and written for commands of authors only, in a folder of their own user: a worker,
//! which compiles templates of strangers, neither reads nor writes one.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use wasmtime::CacheStore;

use super::cache::{UNFINISHED, delete};

/// Default of `function_cache_bytes`: 512 MiB, several interpreters.
pub const DEFAULT_FUNCTION_CACHE_BYTES: u64 = 512 << 20;

/// Suffix of a pack's file.
const PACK: &str = "functions";
/// Maximum packs in a folder. A footer has a bit for each that was there.
const MAX_PACKS: usize = 64;

/// First bytes of a footer, with the version of the layout.
const MAGIC: &[u8; 16] = b"sitewright-fn-1\n";
/// Bytes of an entry of the index: key, offset, length, checksum.
const ENTRY_BYTES: usize = 32 + 8 + 4 + 16;
/// Bytes of a footer: magic, number of entries, packs used, packs damaged, checksum of the index.
const FOOTER_BYTES: usize = 16 + 8 + 8 + 8 + 32;

type Key = [u8; 32];
/// The first half of a SHA-256 digest.
type Sum = [u8; 16];

/// Compiled functions in a folder that belongs to this user alone, for templates that this user
/// trusts like a program of their own. See [`Cache::functions`](super::Cache::functions).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionCache {
    folder: PathBuf,
    max_bytes: u64,
}

/// The files of one compilation. The file for new functions is deleted with it, unless
/// [`finish`](Session::finish) has made a pack of it.
#[derive(Debug)]
pub(super) struct Session {
    folder: PathBuf,
    max_bytes: u64,
    packs: Vec<PathBuf>,
    new: PathBuf,
}

impl FunctionCache {
    /// The functions in `folder`, whose owner was checked. Its packs have at most `max_bytes`
    /// together; those that were not used for the longest time are deleted.
    pub(super) fn new(folder: PathBuf, max_bytes: u64) -> Self {
        FunctionCache { folder, max_bytes }
    }

    /// Begins to compile for the engine with this key. Blocking.
    ///
    /// # Errors
    /// If the folder cannot be read or written.
    pub(super) fn begin(&self, engine: u64) -> io::Result<Session> {
        // The child has another working directory.
        let folder = fs::canonicalize(&self.folder)?;
        let prefix = format!("{engine:016x}-");
        let of_engine = |pack: &Pack| {
            pack.path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix))
        };
        let packs = packs(&folder)?.into_iter().filter(of_engine).take(MAX_PACKS);
        let packs = packs.map(|pack| pack.path).collect();
        let id = ulid::Ulid::generate();
        let new = folder.join(format!("{prefix}{id}.{PACK}.{UNFINISHED}"));
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        Ok(Session { folder, max_bytes: self.max_bytes, packs, new })
    }
}

impl Session {
    /// The packs that the compiler may read, with absolute paths.
    pub(super) fn packs(&self) -> &[PathBuf] {
        &self.packs
    }

    /// The file that it writes new functions to, with an absolute path.
    pub(super) fn new_file(&self) -> &Path {
        &self.new
    }

    /// Maximum bytes of that file.
    pub(super) fn max_bytes(&self) -> u64 {
        self.max_bytes
    }

    /// Keeps what the compiler wrote, notes which packs were used, and deletes damaged ones and
    /// those beyond the budget. Blocking.
    ///
    /// # Errors
    /// If the folder cannot be read or written.
    pub(super) fn finish(&self) -> io::Result<()> {
        let file = File::open(&self.new)?;
        // Without a footer, the compiler could not write: the disk may be full.
        let Some(footer) = Footer::read(&file, file.metadata()?.len()) else { return Ok(()) };
        for (number, path) in self.packs.iter().enumerate() {
            if footer.damaged & bit(number) != 0 {
                tracing::info!(pack = %path.display(), "damaged compiled functions were deleted");
                delete(path);
            } else if footer.used & bit(number) != 0
                && let Err(error) =
                    File::open(path).and_then(|file| file.set_modified(SystemTime::now()))
            {
                // Another process may have deleted it.
                tracing::debug!(pack = %path.display(), %error, "the use of a pack was not noted");
            }
        }
        if footer.entries > 0 {
            // Not synced: after a crash, the checksums find what is missing.
            fs::rename(&self.new, self.new.with_extension(""))?;
        }
        evict(&self.folder, self.max_bytes)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        delete(&self.new);
    }
}

/// A pack in a folder. In the order of its last use.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Pack {
    used: SystemTime,
    path: PathBuf,
    bytes: u64,
}

/// The packs in a folder, those that were used last first.
fn packs(folder: &Path) -> io::Result<Vec<Pack>> {
    let mut packs = Vec::new();
    for file in fs::read_dir(folder)? {
        let path = file?.path();
        if path.extension().is_none_or(|suffix| suffix != PACK) {
            continue;
        }
        // Another process may have deleted it.
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        if metadata.is_file() {
            let used = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            packs.push(Pack { used, path, bytes: metadata.len() });
        }
    }
    packs.sort_unstable();
    packs.reverse();
    Ok(packs)
}

/// Deletes the packs that were not used for the longest time, until the others are few enough and
/// have at most `max_bytes`.
fn evict(folder: &Path, max_bytes: u64) -> io::Result<()> {
    let mut held = 0_u64;
    for (number, pack) in packs(folder)?.into_iter().enumerate() {
        held = held.saturating_add(pack.bytes);
        if number >= MAX_PACKS || held > max_bytes {
            delete(&pack.path);
        }
    }
    Ok(())
}

/// The bit of a pack in a footer.
fn bit(number: usize) -> u64 {
    u32::try_from(number).ok().and_then(|number| 1_u64.checked_shl(number)).unwrap_or(0)
}

/// The files of one compilation, of which nothing was read.
#[derive(Debug)]
pub(super) struct Opened {
    packs: Vec<Option<OpenPack>>,
    out: File,
    max_bytes: u64,
}

#[derive(Debug)]
struct OpenPack {
    file: File,
    bytes: u64,
}

impl Opened {
    /// Opens the files of a [`Session`]. A pack that is gone, or to which others may write, is left
    /// out. Blocking.
    ///
    /// # Errors
    /// If `new` cannot be opened.
    pub(super) fn open(packs: &[PathBuf], new: &Path, max_bytes: u64) -> io::Result<Self> {
        let out = OpenOptions::new().write(true).open(new)?;
        let packs = packs.iter().take(MAX_PACKS).map(|path| OpenPack::open(path)).collect();
        Ok(Opened { packs, out, max_bytes })
    }

    /// Reads the packs' indexes. Opens no file. Blocking.
    pub(super) fn read(self) -> Functions {
        let (mut places, mut damaged) = (HashMap::new(), 0);
        for (number, pack) in self.packs.iter().enumerate() {
            let Some(pack) = pack else { continue };
            let Some(entries) = pack.index() else {
                damaged |= bit(number);
                continue;
            };
            for entry in entries {
                places.entry(entry.key).or_insert((number, entry));
            }
        }
        let added = Added {
            out: Some(BufWriter::new(self.out)),
            index: Vec::new(),
            known: HashSet::new(),
            end: 0,
            max_bytes: self.max_bytes,
        };
        Functions {
            packs: self.packs,
            places,
            used: AtomicU64::new(0),
            damaged: AtomicU64::new(damaged),
            added: Mutex::new(added),
        }
    }
}

impl OpenPack {
    fn open(path: &Path) -> Option<Self> {
        let file = File::open(path).ok()?;
        let metadata = file.metadata().ok()?;
        let is_own = metadata.uid() == rustix::process::geteuid().as_raw();
        let is_good = is_own && metadata.mode() & 0o022 == 0 && metadata.is_file();
        is_good.then(|| OpenPack { bytes: metadata.len(), file })
    }

    /// Its functions; `None` if it is damaged.
    fn index(&self) -> Option<Vec<Entry>> {
        let footer = Footer::read(&self.file, self.bytes)?;
        let bytes = footer.entries.checked_mul(ENTRY_BYTES as u64)?;
        let at = self.bytes.checked_sub(FOOTER_BYTES as u64)?.checked_sub(bytes)?;
        let mut index = vec![0; usize::try_from(bytes).ok()?];
        self.file.read_exact_at(&mut index, at).ok()?;
        if footer.index != digest(&index) {
            return None;
        }
        let (entries, _) = index.as_chunks::<ENTRY_BYTES>();
        entries.iter().map(|entry| Entry::read(entry, at)).collect()
    }
}

/// A function in a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    key: Key,
    offset: u64,
    bytes: u32,
    sum: Sum,
}

impl Entry {
    fn write(&self, index: &mut Vec<u8>) {
        index.extend_from_slice(&self.key);
        index.extend_from_slice(&self.offset.to_le_bytes());
        index.extend_from_slice(&self.bytes.to_le_bytes());
        index.extend_from_slice(&self.sum);
    }

    /// `None` if it is not before `end`, where the index begins.
    fn read(bytes: &[u8], end: u64) -> Option<Self> {
        let entry = Entry {
            key: array(bytes, 0)?,
            offset: u64::from_le_bytes(array(bytes, 32)?),
            bytes: u32::from_le_bytes(array(bytes, 40)?),
            sum: array(bytes, 44)?,
        };
        (entry.offset.checked_add(u64::from(entry.bytes))? <= end).then_some(entry)
    }
}

/// The end of a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Footer {
    entries: u64,
    /// The packs of which a function was used: a bit for each, in the order of the [`Session`].
    used: u64,
    /// The packs that are damaged.
    damaged: u64,
    /// SHA-256 of the index.
    index: [u8; 32],
}

impl Footer {
    fn to_bytes(self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&self.entries.to_le_bytes());
        bytes.extend_from_slice(&self.used.to_le_bytes());
        bytes.extend_from_slice(&self.damaged.to_le_bytes());
        bytes.extend_from_slice(&self.index);
        bytes
    }

    /// The footer of a file with so many bytes; `None` if it has none.
    fn read(file: &File, file_bytes: u64) -> Option<Self> {
        let mut bytes = [0; FOOTER_BYTES];
        file.read_exact_at(&mut bytes, file_bytes.checked_sub(FOOTER_BYTES as u64)?).ok()?;
        let number = |at| array(&bytes, at).map(u64::from_le_bytes);
        let footer = Footer {
            entries: number(16)?,
            used: number(24)?,
            damaged: number(32)?,
            index: array(&bytes, 40)?,
        };
        (array(&bytes, 0) == Some(*MAGIC)).then_some(footer)
    }
}

/// The bytes at `at`; `None` if there are fewer.
fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

fn sum(key: &Key, code: &[u8]) -> Option<Sum> {
    let digest: [u8; 32] = Sha256::new().chain_update(key).chain_update(code).finalize().into();
    array(&digest, 0)
}

/// The functions of all packs, and those that this process compiles. Used by all threads of a
/// compiler.
#[derive(Debug)]
pub(super) struct Functions {
    packs: Vec<Option<OpenPack>>,
    /// Number of its pack, and place in it.
    places: HashMap<Key, (usize, Entry)>,
    used: AtomicU64,
    damaged: AtomicU64,
    added: Mutex<Added>,
}

/// What is written to the file for new functions.
#[derive(Debug)]
struct Added {
    /// `None` after it could not be written to.
    out: Option<BufWriter<File>>,
    index: Vec<u8>,
    known: HashSet<Key>,
    /// Bytes of code so far.
    end: u64,
    max_bytes: u64,
}

impl Functions {
    /// Writes index and footer: without them, the file is no pack. Blocking.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(super) fn finish(&self) -> io::Result<()> {
        let mut added = self.added.lock();
        let Some(mut out) = added.out.take() else { return Ok(()) };
        let footer = Footer {
            entries: added.known.len() as u64,
            used: self.used.load(Ordering::Relaxed),
            damaged: self.damaged.load(Ordering::Relaxed),
            index: digest(&added.index),
        };
        out.write_all(&added.index)?;
        out.write_all(&footer.to_bytes())?;
        out.flush()
    }
}

impl CacheStore for Functions {
    fn get(&self, key: &[u8]) -> Option<Cow<'_, [u8]>> {
        let (number, entry) = self.places.get(key)?;
        let pack = self.packs.get(*number)?.as_ref()?;
        let mut code = vec![0; usize::try_from(entry.bytes).ok()?];
        let read = pack.file.read_exact_at(&mut code, entry.offset);
        if read.is_err() || sum(&entry.key, &code) != Some(entry.sum) {
            self.damaged.fetch_or(bit(*number), Ordering::Relaxed);
            return None;
        }
        self.used.fetch_or(bit(*number), Ordering::Relaxed);
        Some(Cow::Owned(code))
    }

    fn insert(&self, key: &[u8], code: Vec<u8>) -> bool {
        let Ok(key) = Key::try_from(key) else { return false };
        let Some(sum) = sum(&key, &code) else { return false };
        self.added.lock().add(key, sum, &code)
    }
}

impl Added {
    /// Whether the function is in the file.
    fn add(&mut self, key: Key, sum: Sum, code: &[u8]) -> bool {
        let (Some(out), Ok(bytes)) = (&mut self.out, u32::try_from(code.len())) else {
            return false;
        };
        let end = self.end.saturating_add(u64::from(bytes));
        let rest = (self.index.len() + ENTRY_BYTES + FOOTER_BYTES) as u64;
        if end.saturating_add(rest) > self.max_bytes {
            return false;
        }
        if !self.known.insert(key) {
            return true;
        }
        if out.write_all(code).is_err() {
            self.out = None;
            return false;
        }
        Entry { key, offset: self.end, bytes, sum }.write(&mut self.index);
        self.end = end;
        true
    }
}

#[cfg(test)]
mod tests;
