//! Framing of streamed answers: from bytes in pieces of any size to whole events. Knows nothing of
//! providers.

mod ndjson;
mod sse;

#[cfg_attr(not(test), allow(unused_imports, reason = "kinds with NDJSON use it"))]
pub(super) use ndjson::Lines;
pub(super) use sse::{Sse, SseEvent, looks_like_sse};

/// Most bytes of one event or line. No token of a model is longer.
pub(super) const MAX_EVENT_BYTES: usize = 4 * 1024 * 1024;

/// An event or line has more than [`MAX_EVENT_BYTES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Overlong;

#[cfg(test)]
mod tests;
