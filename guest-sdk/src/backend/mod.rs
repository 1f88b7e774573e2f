//! The seam between what authors call and what answers: the host's imports in a component, a test's
//! harness natively.

#[cfg(not(target_family = "wasm"))]
mod native;
#[cfg(target_family = "wasm")]
pub(crate) mod wasm;

#[cfg(not(target_family = "wasm"))]
pub(crate) use native::{Backend, complete, during, log, progress, report, stream, write};
#[cfg(target_family = "wasm")]
pub(crate) use wasm::{complete, log, progress, report, stream, write};
