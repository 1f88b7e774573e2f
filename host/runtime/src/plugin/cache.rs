//! Compiled templates on disk, so that they are compiled once.
//!
//! A compiled artifact is native code: loading a foreign one runs untrusted code. An entry is used
//! only if its folder and file belong to this user alone, it names the same template and engine,
//! and its checksum is right. Any other entry is compiled again and replaced; the cache is never a
//! reason to fail. Artifacts come from this program (see [`Compiler`]), through a file that has no
//! name.

use std::collections::HashMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex;
use wasmtime::component::Component;

use super::compile::{CompileError, Compiler};
use super::engine::Engine;

/// First bytes of an entry, with the version of its layout.
const MAGIC: &[u8; 16] = b"sitewright-cw-1\n";
const HEADER_BYTES: usize = 16 + 8 + 32 + 32;

/// A folder of compiled templates that belongs to this user alone.
#[derive(Debug, Clone)]
pub struct Cache {
    folder: Option<PathBuf>,
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
/// Maximum templates remembered as not compiling.
const MAX_REMEMBERED: usize = 256;

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
        Cache { folder: None, compiling: Arc::default() }
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
        if let Lookup::Hit(component) = self.lookup(engine, digest).await {
            return Ok((component, CacheOutcome::Hit));
        }
        let mut compiling = self.compiling.lock().await;
        let outcome = match self.lookup(engine, digest).await {
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
        compiling.retain(|_, refusal| refusal.since.elapsed() < REMEMBERED);
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
    async fn lookup(&self, engine: &Engine, digest: &[u8; 32]) -> Lookup {
        let Some(path) = self.path(engine, digest) else { return Lookup::Off };
        let (engine, digest) = (engine.clone(), *digest);
        let looked = tokio::task::spawn_blocking(move || read(&path, &engine, &digest)).await;
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
        let (engine, digest) = (engine.clone(), *digest);
        let keep = move || {
            let component = deserialize(&engine, &artifact).map_err(|error| {
                CompileError::Refused(format!("the engine does not take it: {error:#}"))
            })?;
            if let Some(path) = path
                && let Err(error) = write(&path, &engine, &digest, &artifact)
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
            "{}-{:016x}.cwasm",
            hex::encode(&digest[..16]),
            engine.compatibility_key()
        )))
    }
}

/// The entry's component; `None` if there is no entry; as an error why it cannot be used.
fn read(path: &Path, engine: &Engine, digest: &[u8; 32]) -> Result<Option<Component>, String> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("it cannot be read: {error}")),
    };
    let metadata = fs::metadata(path).map_err(|error| format!("it cannot be read: {error}"))?;
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
    deserialize(engine, artifact)
        .map(Some)
        .map_err(|error| format!("the engine refused it: {error:#}"))
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
    let temporary = path.with_extension(format!("{}.tmp", ulid::Ulid::generate()));
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
        if let Err(left) = fs::remove_file(&temporary) {
            tracing::debug!(
                file = %temporary.display(),
                error = %left,
                "a temporary file could not be removed"
            );
        }
        return Err(error.into());
    }
    Ok(())
}
