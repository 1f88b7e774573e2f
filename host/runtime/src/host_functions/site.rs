//! `site.write`: writes one file of the site into the run's staging area.

use std::sync::Arc;

use wasmtime::component::{Linker, WasmList, WasmStr};

use super::diagnostics::cut;
use super::lift::{self, Store};
use super::run_trace::{OutputLimit, RunTrace};
use super::state::GuestState;
use crate::plugin::bindings::site;
use sitewright_model::failure::{Ended, NewCall, TrailOutcome};
use sitewright_site::{PathError, SiteLimit, Staging, StoredFile, WriteError};

/// Maximum bytes copied of a path, far more than any limit on paths.
pub(crate) const MAX_PATH_BYTES: usize = 64 << 10;

/// What `write` returns to the guest.
type Written = Result<(), site::WriteError>;

/// Links `site`.
///
/// # Errors
/// If it is linked already, which is a bug.
pub(super) fn link(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    let mut site = linker.instance(&lift::interface("site"))?;
    site.func_wrap_async("write", |store: Store<'_>, (path, bytes): (WasmStr, WasmList<u8>)| {
        let write = Write::new(&store, &path, &bytes);
        Box::new(async move { Ok::<_, wasmtime::Error>((write?.make().await?,)) })
    })
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
        let entry = trace.begin(NewCall {
            call: "site.write",
            args: format!("{} ({bytes} bytes)", cut(&path, 200).escape_debug()),
            bytes: Some(bytes as u64),
            ..NewCall::default()
        });
        let Some(staging) = staging else {
            let message = "`describe` must not write files".to_owned();
            trace.end(entry, refused(&message));
            return Ok(Err(site::WriteError { kind: site::WriteErrorKind::Other, message }));
        };
        let outcome = match store(&staging, &path, bytes, content).await {
            Ok(stored) => Ok(stored),
            Err(error) => {
                let message = error.to_string();
                let kind = match error {
                    WriteError::InvalidPath(wrong) => {
                        if matches!(wrong, PathError::TooLong { .. }) {
                            trace.output_limited(OutputLimit {
                                limit: SiteLimit::PathBytes,
                                message: message.clone(),
                            });
                        }
                        site::WriteErrorKind::InvalidPath
                    }
                    WriteError::Conflict(_) => site::WriteErrorKind::Conflict,
                    WriteError::Limit(hit) => {
                        trace.output_limited(OutputLimit {
                            limit: hit.limit,
                            message: message.clone(),
                        });
                        site::WriteErrorKind::Limit
                    }
                    WriteError::Closed(_) => site::WriteErrorKind::Other,
                    // The guest cannot help it: the run ends as a failure of the host, not of the
                    // template.
                    WriteError::Storage(error) => {
                        trace.end(entry, TrailOutcome::Error(message));
                        return Err(wasmtime::Error::new(error));
                    }
                };
                Err(site::WriteError { kind, message })
            }
        };
        let ended = match &outcome {
            Ok(stored) => Ended {
                digest: stored.sha256.get(..12).map(str::to_owned),
                ..Ended::from(TrailOutcome::Ok)
            },
            Err(error) => refused(&error.message),
        };
        trace.end(entry, ended);
        Ok(outcome.map(drop))
    }
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

fn refused(message: &str) -> Ended {
    Ended { refused: true, ..Ended::from(TrailOutcome::Error(message.to_owned())) }
}
