//! Compiled templates on disk, so that they are compiled once.
//!
//! A compiled artifact is native code: loading a foreign one runs untrusted code. An entry is used
//! only if its folder and file belong to this user alone, it names the same template and engine,
//! and its checksum is right. Any other entry is compiled again and replaced; the cache is never a
//! reason to fail. Artifacts come from this program (see [`Compiler`]), through a file that has no
//! name.
//!
//! The cache has a budget: when an entry is added, those that were not used for the longest time
//! are deleted. The modification time of an entry's file is the time of its last use.

use std::collections::HashMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex;
use wasmtime::component::Component;

use super::compile::{CompileError, Compiler};
use super::engine::Engine;
use super::functions::FunctionCache;
use super::languages;
use sitewright_intake::TemplateLanguages;

/// Default of `cache_bytes`: 4 GiB, about a hundred Python templates.
pub const DEFAULT_CACHE_BYTES: u64 = 4 << 30;

/// First bytes of an entry, with the version of its layout.
const MAGIC: &[u8; 16] = b"sitewright-cw-1\n";
const HEADER_BYTES: usize = 16 + 8 + 32 + 32;

/// A folder of compiled templates that belongs to this user alone.
#[derive(Debug, Clone)]
pub struct Cache {
    folder: Option<PathBuf>,
    /// Maximum bytes of all entries.
    max_bytes: u64,
    /// Templates that did not compile. Locked while one is compiled: the compiler uses all
    /// processors, and needs the memory of one template at a time.
    compiling: Arc<Mutex<HashMap<[u8; 32], Refusal>>>,
}

/// What the cache has for a template.
enum Lookup {
    Hit(Component),
    Miss,
    /// There is an entry that cannot be used: the reason.
    Refused(String),
    /// There is no cache.
    Off,
}

/// A template that did not compile.
#[derive(Debug)]
struct Refusal {
    since: Instant,
    error: CompileError,
}

/// How long a template that did not compile is not compiled again. Otherwise one that takes all of
/// the time limit would take it for each order.
const REMEMBERED: Duration = Duration::from_secs(15 * 60);
/// The same if the machine was the cause: it may have time again. Long enough that the orders that
/// waited for this template do not all wait for the compiler again.
const REMEMBERED_BUSY: Duration = Duration::from_secs(20);
/// Maximum templates remembered as not compiling.
const MAX_REMEMBERED: usize = 256;

impl Refusal {
    fn is_over(&self) -> bool {
        let remembered = if self.error.is_of_host() { REMEMBERED_BUSY } else { REMEMBERED };
        self.since.elapsed() >= remembered
    }
}

/// Suffix of an entry's file, and of one that is being written.
const ENTRY: &str = "cwasm";
pub(super) const UNFINISHED: &str = "tmp";
/// An unfinished file that is older was left by a process that was killed.
const UNFINISHED_TIME: Duration = Duration::from_secs(60 * 60);

/// Where a compiled template came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CacheOutcome {
    /// Loaded from the cache.
    Hit,
    /// Compiled: there was no entry.
    Miss,
    /// Compiled: the entry could not be used, for this reason.
    Refused(String),
    /// Compiled: there is no cache.
    Off,
}

impl Cache {
    /// A cache in `folder`, which is made if it is missing. If the folder cannot be made, or others
    /// may write to it, there is no cache and a warning is logged.
    pub fn open(folder: &Path) -> Self {
        let usable = fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .and_then(|()| fs::metadata(folder));
        match usable {
            Ok(metadata)
                if metadata.uid() == rustix::process::geteuid().as_raw()
                    && metadata.mode() & 0o022 == 0 =>
            {
                Cache { folder: Some(folder.to_owned()), ..Cache::off() }
            }
            Ok(_) => {
                tracing::warn!(
                    folder = %folder.display(),
                    "the compile cache is not used: the folder belongs to another user or others \
                     may write to it; make it yours alone (chmod 700) or set another `cache`"
                );
                Cache::off()
            }
            Err(error) => {
                tracing::warn!(
                    folder = %folder.display(),
                    %error,
                    "the compile cache is not used: the folder cannot be made; set another `cache`"
                );
                Cache::off()
            }
        }
    }

    /// No cache: every template is compiled.
    pub fn off() -> Self {
        Cache { folder: None, max_bytes: DEFAULT_CACHE_BYTES, compiling: Arc::default() }
    }

    /// The same with a budget of `max_bytes` for all entries together. Default:
    /// [`DEFAULT_CACHE_BYTES`]. An entry that is larger than that is not kept.
    #[must_use]
    pub fn with_max_bytes(self, max_bytes: u64) -> Self {
        Cache { max_bytes, ..self }
    }

    /// Compiled functions, kept in this cache's folder in at most `max_bytes` of their own, for
    /// [`Compiler::with_functions`]. `None` without a folder, or if `max_bytes` is 0.
    pub fn functions(&self, max_bytes: u64) -> Option<FunctionCache> {
        let folder = self.folder.clone()?;
        (max_bytes > 0).then(|| FunctionCache::new(folder, max_bytes))
    }

    /// The languages that the template in `path` writes, if a process of this machine has loaded it
    /// as it is now, with this cache. The template is not read and not run.
    pub async fn languages(&self, path: &Path) -> Option<TemplateLanguages> {
        let (folder, path) = (self.folder.clone()?, path.to_owned());
        let look = move || languages::known(&folder, &path);
        tokio::task::spawn_blocking(look).await.ok().flatten()
    }

    /// Keeps the languages of a template that was loaded. Blocking.
    pub(super) fn keep_languages(&self, file: Option<languages::State>, kept: &TemplateLanguages) {
        if let (Some(folder), Some(file)) = (&self.folder, file) {
            languages::keep(folder, file, kept);
        }
    }

    /// The component of `wasm`, from the cache or compiled. Compiling takes 0.2 s for a Rust
    /// template and 10 s for a Python one.
    ///
    /// # Errors
    /// If `wasm` does not compile within the compiler's limits.
    pub async fn component(
        &self,
        engine: &Engine,
        compiler: &Compiler,
        wasm: Bytes,
        digest: &[u8; 32],
    ) -> Result<(Component, CacheOutcome), CompileError> {
        let max = compiler.max_artifact_bytes();
        if let Lookup::Hit(component) = self.lookup(engine, digest, max).await {
            return Ok((component, CacheOutcome::Hit));
        }
        let mut compiling = self.compiling.lock().await;
        let outcome = match self.lookup(engine, digest, max).await {
            Lookup::Hit(component) => return Ok((component, CacheOutcome::Hit)),
            Lookup::Off => CacheOutcome::Off,
            Lookup::Miss => CacheOutcome::Miss,
            Lookup::Refused(reason) => {
                let entry = self.path(engine, digest).unwrap_or_default();
                tracing::info!(
                    entry = %entry.display(),
                    reason,
                    "a cached template is compiled again"
                );
                CacheOutcome::Refused(reason)
            }
        };
        compiling.retain(|_, refusal| !refusal.is_over());
        if let Some(refusal) = compiling.get(digest) {
            return Err(refusal.error.clone());
        }
        match compiler.compile(engine, wasm).await {
            Ok(artifact) => Ok((self.keep(engine, digest, artifact).await?, outcome)),
            Err(error) => {
                // A failure of the host may not happen next time.
                if !matches!(error, CompileError::Host(_)) && compiling.len() < MAX_REMEMBERED {
                    compiling
                        .insert(*digest, Refusal { since: Instant::now(), error: error.clone() });
                }
                Err(error)
            }
        }
    }

    /// Reads the entry on the blocking pool.
    async fn lookup(&self, engine: &Engine, digest: &[u8; 32], max: u64) -> Lookup {
        let Some(path) = self.path(engine, digest) else { return Lookup::Off };
        let (engine, digest) = (engine.clone(), *digest);
        let looked = tokio::task::spawn_blocking(move || read(&path, &engine, &digest, max)).await;
        match looked.unwrap_or_else(|error| Err(format!("reading it failed: {error}"))) {
            Ok(Some(component)) => Lookup::Hit(component),
            Ok(None) => Lookup::Miss,
            Err(reason) => Lookup::Refused(reason),
        }
    }

    /// Makes a component of a compiled artifact, and an entry if there is a cache.
    async fn keep(
        &self,
        engine: &Engine,
        digest: &[u8; 32],
        artifact: Vec<u8>,
    ) -> Result<Component, CompileError> {
        let path = self.path(engine, digest);
        let (engine, digest, max_bytes) = (engine.clone(), *digest, self.max_bytes);
        let keep = move || {
            let component = deserialize(&engine, &artifact).map_err(|error| {
                CompileError::Refused(format!("the engine does not take it: {error:#}"))
            })?;
            if let Some(path) = path
                && let Err(error) = add(&path, &engine, &digest, &artifact, max_bytes)
            {
                tracing::warn!(
                    entry = %path.display(),
                    error = format!("{error:#}"),
                    "a compiled template could not be cached"
                );
            }
            Ok(component)
        };
        tokio::task::spawn_blocking(keep)
            .await
            .map_err(|error| CompileError::Host(error.to_string()))?
    }

    fn path(&self, engine: &Engine, digest: &[u8; 32]) -> Option<PathBuf> {
        let folder = self.folder.as_ref()?;
        Some(folder.join(format!(
            "{}-{:016x}.{ENTRY}",
            hex::encode(&digest[..16]),
            engine.compatibility_key()
        )))
    }
}

/// The entry's component; `None` if there is no entry; as an error why it cannot be used. An
/// artifact of more than `max` bytes is not read: a process with a higher limit made the entry.
fn read(
    path: &Path,
    engine: &Engine,
    digest: &[u8; 32],
    max: u64,
) -> Result<Option<Component>, String> {
    let unreadable = |error| format!("it cannot be read: {error}");
    let mut file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    let metadata = file.metadata().map_err(unreadable)?;
    if metadata.len() > max.saturating_add(HEADER_BYTES as u64) {
        return Err(format!("it has more than {max} bytes, the limit `artifact_bytes`"));
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(unreadable)?;
    if metadata.uid() != rustix::process::geteuid().as_raw() || metadata.mode() & 0o022 != 0 {
        return Err("it belongs to another user or others may write to it".to_owned());
    }
    let (header, artifact) = bytes.split_at_checked(HEADER_BYTES).ok_or("it is cut short")?;
    if header[..16] != *MAGIC {
        return Err("it was written by another version".to_owned());
    }
    if header[16..24] != engine.compatibility_key().to_le_bytes() || header[24..56] != *digest {
        return Err("it belongs to another template or engine".to_owned());
    }
    if header[56..] != *Sha256::digest(artifact) {
        return Err("it is damaged: its checksum does not match".to_owned());
    }
    let component = deserialize(engine, artifact)
        .map_err(|error| format!("the engine refused it: {error:#}"))?;
    if let Err(error) = file.set_modified(SystemTime::now()) {
        // It is deleted earlier than others.
        tracing::debug!(entry = %path.display(), %error, "the use of an entry was not noted");
    }
    Ok(Some(component))
}

/// Adds an entry, and deletes others if there are too many.
fn add(
    path: &Path,
    engine: &Engine,
    digest: &[u8; 32],
    artifact: &[u8],
    max_bytes: u64,
) -> anyhow::Result<()> {
    let bytes = (HEADER_BYTES + artifact.len()) as u64;
    anyhow::ensure!(
        bytes <= max_bytes,
        "it has {bytes} bytes, more than the whole cache may have (`cache_bytes`: {max_bytes}); \
         it will be compiled again by the next process"
    );
    write(path, engine, digest, artifact)?;
    if let Some(folder) = path.parent()
        && let Err(error) = evict(folder, path, max_bytes)
    {
        tracing::warn!(
            folder = %folder.display(),
            %error,
            "old entries of the compile cache could not be deleted"
        );
    }
    Ok(())
}

/// Deletes the entries that were not used for the longest time until all have at most `max_bytes`,
/// but not `newest`; and what killed processes left unfinished.
fn evict(folder: &Path, newest: &Path, max_bytes: u64) -> std::io::Result<()> {
    let mut entries = Vec::new();
    let mut held = 0_u64;
    for file in fs::read_dir(folder)? {
        let path = file?.path();
        let Some(suffix) = path.extension().and_then(|suffix| suffix.to_str()) else { continue };
        // Another process may have deleted it.
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        if !metadata.is_file() {
            continue;
        }
        let used = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        match suffix {
            ENTRY => {
                held = held.saturating_add(metadata.len());
                entries.push((used, metadata.len(), path));
            }
            UNFINISHED if used.elapsed().is_ok_and(|age| age > UNFINISHED_TIME) => delete(&path),
            _ => {}
        }
    }
    entries.sort_unstable();
    for (_, bytes, path) in entries.iter().filter(|(.., path)| path != newest) {
        if held <= max_bytes {
            break;
        }
        held = held.saturating_sub(*bytes);
        delete(path);
        tracing::info!(
            entry = %path.display(),
            bytes,
            "a compiled template was deleted: the cache has more than `cache_bytes`"
        );
    }
    Ok(())
}

/// Deletes a file of the cache's folder. That it is gone is no fault.
pub(super) fn delete(path: &Path) {
    if let Err(error) = fs::remove_file(path)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(
            file = %path.display(),
            %error,
            "a file of the compile cache could not be deleted"
        );
    }
}

/// Makes a component of an artifact that this host wrote.
#[allow(unsafe_code, reason = "wasmtime cannot verify native code; see the safety comment")]
fn deserialize(engine: &Engine, artifact: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: `artifact` must be what wasmtime compiled. This program has just compiled it, or it
    // is an entry that only this user may write to and that has the checksum `write` put there; who
    // can forge that already runs code as this user. wasmtime checks its own version and settings.
    unsafe { Component::deserialize(engine.wasmtime(), artifact) }
}

/// Writes an entry under a temporary name and renames it, so that readers see a whole entry or
/// none.
fn write(path: &Path, engine: &Engine, digest: &[u8; 32], artifact: &[u8]) -> anyhow::Result<()> {
    let temporary = path.with_extension(format!("{}.{UNFINISHED}", ulid::Ulid::generate()));
    let written = (|| {
        let mut file =
            fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(MAGIC)?;
        file.write_all(&engine.compatibility_key().to_le_bytes())?;
        file.write_all(digest)?;
        file.write_all(&Sha256::digest(artifact))?;
        file.write_all(artifact)?;
        file.sync_data()?;
        fs::rename(&temporary, path)
    })();
    if let Err(error) = written {
        delete(&temporary);
        return Err(error.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 60 * 60;

    fn file(folder: &Path, name: &str, bytes: usize, hours_ago: u64) {
        let path = folder.join(name);
        fs::write(&path, vec![0; bytes]).unwrap();
        let used = SystemTime::now() - Duration::from_secs(hours_ago * HOUR);
        fs::File::open(&path).unwrap().set_modified(used).unwrap();
    }

    fn names(folder: &Path) -> Vec<String> {
        let files = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> =
            files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn entries_that_were_not_used_for_the_longest_time_are_deleted() {
        let rows: [(u64, &[&str]); 5] = [
            (400, &["a.cwasm", "b.cwasm", "c.cwasm", "d.cwasm"]),
            (399, &["a.cwasm", "c.cwasm", "d.cwasm"]),
            (200, &["a.cwasm", "d.cwasm"]),
            (199, &["d.cwasm"]),
            (1, &["d.cwasm"]),
        ];
        for (max_bytes, left) in rows {
            let folder = tempfile::tempdir().unwrap();
            for (name, hours_ago) in [("a", 1), ("b", 40), ("c", 20), ("d", 90)] {
                file(folder.path(), &format!("{name}.cwasm"), 100, hours_ago);
            }
            // `d` has just been written, whatever the clock says.
            evict(folder.path(), &folder.path().join("d.cwasm"), max_bytes).unwrap();
            assert_eq!(names(folder.path()), left, "{max_bytes}");
        }
    }

    #[test]
    fn only_entries_and_what_was_left_unfinished_are_deleted() {
        let folder = tempfile::tempdir().unwrap();
        file(folder.path(), "new.cwasm", 10, 0);
        file(folder.path(), "old.01J.tmp", 10, 2);
        file(folder.path(), "young.01J.tmp", 10, 0);
        file(folder.path(), "notes.txt", 1_000, 1_000);
        file(folder.path(), "notes", 1_000, 1_000);
        fs::create_dir(folder.path().join("folder.cwasm")).unwrap();
        evict(folder.path(), &folder.path().join("new.cwasm"), 0).unwrap();
        let left = ["folder.cwasm", "new.cwasm", "notes", "notes.txt", "young.01J.tmp"];
        assert_eq!(names(folder.path()), left);
    }

    #[test]
    fn a_refusal_because_the_machine_is_busy_is_forgotten_soon() {
        let refusal = |error, seconds| Refusal {
            since: Instant::now() - Duration::from_secs(seconds),
            error,
        };
        let busy = CompileError::Busy { wall_ms: 5, max_ms: 1 };
        let time = CompileError::Time { max_ms: 1 };
        assert!(!refusal(busy.clone(), 10).is_over());
        assert!(refusal(busy, 30).is_over());
        assert!(!refusal(time.clone(), 14 * 60).is_over());
        assert!(refusal(time, 16 * 60).is_over());
    }
}
