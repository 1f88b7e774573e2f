//! Framing of streamed responses: from chunks of bytes to whole events. Independent of providers.

mod ndjson;
mod sse;

pub(super) use ndjson::Lines;
pub(super) use sse::{Sse, SseEvent, looks_like_sse};

/// Maximum size of one event or line in bytes. No token of a model is longer.
pub(super) const MAX_EVENT_BYTES: usize = 4 * 1024 * 1024;

/// An event or line is longer than [`MAX_EVENT_BYTES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Overlong;

#[cfg(test)]
mod tests;
