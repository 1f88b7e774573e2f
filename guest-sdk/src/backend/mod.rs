//! The implementation of the SDK's calls: the host's imports in a component, the test harness in a
//! native build.

#[cfg(not(target_family = "wasm"))]
mod native;
#[cfg(target_family = "wasm")]
pub(crate) mod wasm;

#[cfg(not(target_family = "wasm"))]
pub(crate) use native::{
    Backend, Writer, complete, during, exists, log, progress, report, stream, write,
};
#[cfg(target_family = "wasm")]
pub(crate) use wasm::{Writer, complete, exists, log, progress, report, stream, write};
