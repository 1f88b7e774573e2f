//! The host functions: what a guest's calls to the host do.
//!
//! | file | its question |
//! |---|---|
//! | `ai`, `ai_stream`, `ai_sync` | what does an AI call do? |
//! | `diagnostics`, `site` | what do reports, log lines, progress and writes do? |
//! | `state` | what do the calls of one run act on? |
//! | `run_trace`, `recorder` | what does a run leave for its record and its recording? |
//! | `replay_cursor` | does a replay match its recording? |
//!
//! Each call enters the run's trail when it begins and when it ends. No lock is held across an
//! await.

mod ai;
mod ai_stream;
mod ai_sync;
mod diagnostics;
mod recorder;
mod replay_cursor;
mod run_trace;
mod site;
mod state;

pub(crate) use diagnostics::{location, returned};
pub(crate) use recorder::{EndedCall, Recorded, Streamed};
pub use replay_cursor::{CallMismatch, CursorMode, CursorPosition, ReplayCursor};
pub use run_trace::{AiCall, OutputLimit, Panic, RunProgress, RunTrace};
pub use state::{AiContext, GuestState};

use wasmtime::component::{HasSelf, Linker};

use crate::plugin::bindings::{TemplateWorld, ai_sync as ai_sync_bindings};

/// A linker with everything a template may import: the contract, and the WASI 0.2 interfaces that
/// language runtimes need.
///
/// # Errors
/// If an interface is linked twice, which is a bug.
pub fn linker(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<GuestState>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    TemplateWorld::add_to_linker::<_, HasSelf<GuestState>>(&mut linker, |state| state)?;
    // The other imports of the world `template-sync` are those of `template`.
    ai_sync_bindings::add_to_linker::<_, HasSelf<GuestState>>(&mut linker, |state| state)?;
    Ok(linker)
}
