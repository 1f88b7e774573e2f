//! The host side of the contract: what a guest's calls do.
//!
//! Each call is entered in the run's trail when it begins and when it ends. Nothing here waits on
//! the network while it holds a lock.

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
pub use replay_cursor::{Difference, Happened, Pace, ReplayCursor};
pub use run_trace::{AiCall, OutputLimit, Panic, RunProgress, RunTrace};
pub use state::{AiContext, GuestState};

use wasmtime::component::{HasSelf, Linker};

use crate::plugin::bindings::{TemplateWorld, ai_sync as ai_sync_bindings};

/// A linker with everything a template may import: this contract and the WASI 0.2 that language
/// runtimes expect.
///
/// # Errors
/// When an interface is linked twice: a bug of ours.
pub fn linker(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<GuestState>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    TemplateWorld::add_to_linker::<_, HasSelf<GuestState>>(&mut linker, |state| state)?;
    // All else that the world `template-sync` imports is already there.
    ai_sync_bindings::add_to_linker::<_, HasSelf<GuestState>>(&mut linker, |state| state)?;
    Ok(linker)
}
