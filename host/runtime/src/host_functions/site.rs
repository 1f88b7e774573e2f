//! `site`: writes files of the site into the run's staging area, whole or in chunks.

use std::sync::Arc;

use wasmtime::component::{Linker, Resource, ResourceType, WasmList, WasmStr};

use super::diagnostics::cut;
use super::lift::{self, Store};
use super::run_trace::{OutputLimit, RunTrace};
use super::state::{GuestState, MAX_RESOURCES};
use super::version::Version;
use crate::plugin::HeldBytes;
use crate::plugin::bindings::site;
use sitewright_model::failure::{Ended, NewCall, TrailOutcome};
use sitewright_site::{PathError, SiteLimit, Staging, StorageError, StoredFile, WriteError};

/// Maximum bytes copied of a path, far more than any limit on paths.
pub(crate) const MAX_PATH_BYTES: usize = 64 << 10;

/// What `write` returns to the guest.
type Written = Result<(), site::WriteError>;

/// What `create` returns to the guest.
type Created = Result<Resource<FileWriter>, site::WriteError>;

/// Links `site` of a version: what all versions have of it.
///
/// # Errors
/// If it is linked already, which is a bug.
pub(super) fn link<V: Version>(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    let mut site = linker.instance(&V::interface("site"))?;
    site.func_wrap_async("write", |store: Store<'_>, (path, bytes): (WasmStr, WasmList<u8>)| {
        let write = Write::new(&store, &path, &bytes);
        Box::new(async move { Ok::<_, wasmtime::Error>((write?.make().await?,)) })
    })
}

/// Links what `site` has since version 0.2.0.
///
/// # Errors
/// If it is linked already, which is a bug.
pub(super) fn link_chunked<V: Version>(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    let mut site = linker.instance(&V::interface("site"))?;
    site.func_wrap("exists", |store: Store<'_>, (path,): (WasmStr,)| {
        Ok((exists(&store, &path)?,))
    })?;
    site.resource("writer", ResourceType::host::<FileWriter>(), |mut store, writer| {
        // A writer that was finished is gone from the table.
        drop(store.data_mut().table.delete(Resource::<FileWriter>::new_own(writer)));
        Ok(())
    })?;
    site.func_wrap("[static]writer.create", |store: Store<'_>, (path,): (WasmStr,)| {
        Ok((create(store, &path)?,))
    })?;
    site.func_wrap(
        "[method]writer.append",
        |store: Store<'_>, (writer, bytes): (Resource<FileWriter>, WasmList<u8>)| {
            Ok((append(store, &writer, &bytes)?,))
        },
    )?;
    site.func_wrap_async(
        "[static]writer.finish",
        |mut store: Store<'_>, (writer,): (Resource<FileWriter>,)| {
            let finish = finish(&mut store, writer);
            Box::new(async move { Ok::<_, wasmtime::Error>((finish?.make().await?,)) })
        },
    )
}

/// A file that is written in chunks.
pub(crate) struct FileWriter {
    path: String,
    content: Vec<u8>,
    /// The memory of the content, charged to the guest.
    held: Option<HeldBytes>,
}

fn exists(store: &Store<'_>, path: &WasmStr) -> wasmtime::Result<bool> {
    let path = lift::text(store, path, MAX_PATH_BYTES)?.text;
    let GuestState { trace, site: staging, .. } = store.data();
    let entry = trace.begin(NewCall {
        call: "site.exists",
        args: cut(&path, 200).escape_debug().to_string(),
        ..NewCall::default()
    });
    let exists = staging.as_ref().is_some_and(|staging| staging.has(&path));
    trace.end(entry, TrailOutcome::Ok);
    Ok(exists)
}

fn create(mut store: Store<'_>, path: &WasmStr) -> wasmtime::Result<Created> {
    let path = lift::text(&store, path, MAX_PATH_BYTES)?.text;
    if let Err(refused) = would_fit(store.data(), &path, 0)? {
        return Ok(Err(refused));
    }
    let writer = FileWriter { path, content: Vec::new(), held: None };
    // The only error is that the table is full.
    let writer = store.data_mut().table.push(writer).map_err(|_| {
        wasmtime::Error::msg(format!(
            "the template holds {MAX_RESOURCES} open files and other resources, and began another \
             file; finish each file before the next is begun"
        ))
    })?;
    Ok(Ok(writer))
}

fn append(
    mut store: Store<'_>,
    writer: &Resource<FileWriter>,
    bytes: &WasmList<u8>,
) -> wasmtime::Result<Written> {
    let state = store.data();
    let FileWriter { path, content, .. } = state.table.get(writer)?;
    let all = content.len().saturating_add(bytes.len());
    if let Err(refused) = would_fit(state, path, all)? {
        return Ok(Err(refused));
    }
    let chunk = bytes.as_le_slice::<GuestState>(&store).to_vec();
    let state = store.data_mut();
    let FileWriter { content, held, .. } = state.table.get_mut(writer)?;
    // Doubled like that of any `Vec`, but charged before it is taken.
    let capacity = match content.capacity() {
        capacity if all <= capacity => capacity,
        capacity => all.max(capacity.saturating_mul(2)),
    };
    // One for all chunks: a million small ones take no more than the file.
    *held = None;
    *held = Some(state.memory.hold(capacity as u64).map_err(wasmtime::Error::new)?);
    content.reserve_exact(capacity.saturating_sub(content.len()));
    content.extend(chunk);
    Ok(Ok(()))
}

/// The write of a finished file.
fn finish(store: &mut Store<'_>, writer: Resource<FileWriter>) -> wasmtime::Result<Write> {
    let FileWriter { path, mut content, held } = store.data_mut().table.delete(writer)?;
    // From here on the bytes are those of a whole file, as in `write`.
    drop(held);
    // A small site is kept in memory until its release.
    content.shrink_to_fit();
    let GuestState { trace, site: staging, .. } = store.data();
    let (trace, staging) = (trace.clone(), staging.clone());
    Ok(Write { trace, staging, path, bytes: content.len(), content: Some(content) })
}

/// Whether a file of `bytes` bytes would be accepted. A refusal is entered in the trail as one of
/// `write`: nobody needs each chunk, and everybody each file that is missing.
fn would_fit(state: &GuestState, path: &str, bytes: usize) -> wasmtime::Result<Written> {
    let error = match &state.site {
        None => during_describe(),
        Some(staging) => match staging.check(path, bytes as u64) {
            Ok(()) => return Ok(Ok(())),
            Err(error) => refusal(&state.trace, error).map_err(wasmtime::Error::new)?,
        },
    };
    let entry = state.trace.begin(new_call(path, bytes));
    state.trace.end(entry, refused_end(&error.message));
    Ok(Err(error))
}

/// A call of `write`, with its own copy of the arguments.
struct Write {
    trace: Arc<RunTrace>,
    /// `None` during `describe`.
    staging: Option<Staging>,
    path: String,
    bytes: usize,
    /// `None` if the file is larger than a file may be, which its size alone decides.
    content: Option<Vec<u8>>,
}

impl Write {
    fn new(store: &Store<'_>, path: &WasmStr, bytes: &WasmList<u8>) -> wasmtime::Result<Self> {
        let path = lift::text(store, path, MAX_PATH_BYTES)?.text;
        let GuestState { trace, site: staging, .. } = store.data();
        let max = staging.as_ref().map_or(0, |staging| staging.usage().file_bytes.max);
        let content =
            (bytes.len() as u64 <= max).then(|| bytes.as_le_slice::<GuestState>(store).to_vec());
        let (trace, staging) = (trace.clone(), staging.clone());
        Ok(Write { trace, staging, path, bytes: bytes.len(), content })
    }

    async fn make(self) -> wasmtime::Result<Written> {
        let Write { trace, staging, path, bytes, content } = self;
        let entry = trace.begin(new_call(&path, bytes));
        let outcome = match staging {
            None => Err(during_describe()),
            Some(staging) => match store(&staging, &path, bytes, content).await {
                Ok(stored) => Ok(stored),
                Err(error) => match refusal(&trace, error) {
                    Ok(refused) => Err(refused),
                    // The guest cannot help it: the run ends as a failure of the host, not of the
                    // template.
                    Err(error) => {
                        trace.end(entry, TrailOutcome::Error(error.to_string()));
                        return Err(wasmtime::Error::new(error));
                    }
                },
            },
        };
        let ended = match &outcome {
            Ok(stored) => Ended {
                digest: stored.sha256.get(..12).map(str::to_owned),
                ..Ended::from(TrailOutcome::Ok)
            },
            Err(error) => refused_end(&error.message),
        };
        trace.end(entry, ended);
        Ok(outcome.map(drop))
    }
}

fn new_call(path: &str, bytes: usize) -> NewCall {
    NewCall {
        call: "site.write",
        args: format!("{} ({bytes} bytes)", cut(path, 200).escape_debug()),
        bytes: Some(bytes as u64),
        ..NewCall::default()
    }
}

fn during_describe() -> site::WriteError {
    let message = "`describe` must not write files".to_owned();
    site::WriteError { kind: site::WriteErrorKind::Other, message }
}

/// The refusal as the guest gets it. A limit is entered in the trace.
///
/// # Errors
/// The file could not be stored, which is no refusal.
fn refusal(trace: &RunTrace, error: WriteError) -> Result<site::WriteError, StorageError> {
    let message = error.to_string();
    let limited = |limit| trace.output_limited(OutputLimit { limit, message: message.clone() });
    let kind = match error {
        WriteError::InvalidPath(wrong) => {
            if matches!(wrong, PathError::TooLong { .. }) {
                limited(SiteLimit::PathBytes);
            }
            site::WriteErrorKind::InvalidPath
        }
        WriteError::Conflict(_) => site::WriteErrorKind::Conflict,
        WriteError::Limit(hit) => {
            limited(hit.limit);
            site::WriteErrorKind::Limit
        }
        WriteError::Closed(_) => site::WriteErrorKind::Other,
        WriteError::Storage(error) => return Err(error),
    };
    Ok(site::WriteError { kind, message })
}

/// Stores a file, or refuses one whose content was not copied.
async fn store(
    staging: &Staging,
    path: &str,
    bytes: usize,
    content: Option<Vec<u8>>,
) -> Result<StoredFile, WriteError> {
    match content {
        Some(content) => staging.write_async(path, content).await,
        // Always an error, because of the path or of the size. If it were not, the file would be
        // missing, and the site could not be sealed.
        None => staging
            .reserve(path, bytes as u64)
            .map(|_| StoredFile { bytes: 0, sha256: String::new() }),
    }
}

fn refused_end(message: &str) -> Ended {
    Ended { refused: true, ..Ended::from(TrailOutcome::Error(message.to_owned())) }
}
