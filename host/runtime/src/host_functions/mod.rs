//! The host functions: what a guest's calls to the host do.
//!
//! | file | its question |
//! |---|---|
//! | `ai`, `ai_stream`, `ai_sync`, `in_flight` | what does an AI call do? |
//! | `diagnostics`, `site` | what do reports, log lines, progress and writes do? |
//! | `lift` | what is copied of the arguments of a call? |
//! | `version` | what do versions of the contract differ in? |
//! | `state` | what do the calls of one run act on? |
//! | `run_trace`, `recorder` | what does a run leave for its record and its recording? |
//! | `replay_cursor` | does a replay match its recording? |
//!
//! Each call enters the run's trail when it begins and when it ends. No lock is held across an
//! await.
//!
//! Whatever a call does, it is metered: the guest's processor time is checked when it enters the
//! host and when it leaves it, and there it yields, so that deadline and cancellation come in
//! between (`plugin/meter.rs`). So a function may do no more work than a limit on its arguments
//! allows, and need not look at the meter itself.

mod ai;
mod ai_stream;
mod ai_sync;
mod diagnostics;
mod in_flight;
mod lift;
mod recorder;
mod replay_cursor;
mod run_trace;
mod site;
mod state;
#[cfg(test)]
mod straight_lines;
mod version;

pub(crate) use diagnostics::{location, returned};
pub(crate) use in_flight::AiInFlight;
#[cfg(test)]
pub(crate) use in_flight::no_reply;
pub(crate) use lift::MAX_TEXT_BYTES;
pub(crate) use recorder::{EndedCall, Recorded, Streamed};
pub use replay_cursor::{CallMismatch, CursorMode, CursorPosition, ReplayCursor};
pub use run_trace::{AiCall, OutputLimit, Panic, RunProgress, RunTrace, UnusableReplies};
pub(crate) use site::MAX_PATH_BYTES;
pub use state::{AiContext, GuestState};

use version::{V0_1, V0_2, Version};
use wasmtime::component::Linker;

/// A linker with everything a template may import: all versions of the contract, and the WASI 0.2
/// interfaces that language runtimes need.
///
/// # Errors
/// If an interface is linked twice, which is a bug.
pub fn linker(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<GuestState>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    linker.allow_shadowing(true);
    crate::plugin::link_clock(&mut linker)?;
    crate::plugin::link_name_lookup(&mut linker)?;
    linker.allow_shadowing(false);
    link::<V0_1>(&mut linker)?;
    link::<V0_2>(&mut linker)?;
    site::link_chunked::<V0_2>(&mut linker)?;
    Ok(linker)
}

/// Links what all versions of the contract have.
fn link<V: Version>(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    ai::link::<V>(linker)?;
    ai_sync::link::<V>(linker)?;
    diagnostics::link::<V>(linker)?;
    site::link::<V>(linker)
}
