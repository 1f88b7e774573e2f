//! The trace that a provider gets to know, if the operator says so.
//!
//! Spans get their ids from whoever exports them, which this crate does not know: the program says
//! at its start how to find them.

use std::sync::OnceLock;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tracing::Span;

/// Finds the header `traceparent` of a span; `None` if the span is not exported.
type TraceparentOf = fn(&Span) -> Option<String>;

static TRACEPARENT_OF: OnceLock<TraceparentOf> = OnceLock::new();

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Says how the header `traceparent` of a span is found. Call it once, when the process starts;
/// without it, no provider gets the header.
pub fn propagate_with(traceparent_of: fn(&Span) -> Option<String>) {
    TRACEPARENT_OF.get_or_init(|| traceparent_of);
}

/// Adds the header of the current span, unless the operator has set one.
pub(super) fn add(headers: &mut HeaderMap) {
    let Some(traceparent_of) = TRACEPARENT_OF.get() else { return };
    if headers.contains_key(TRACEPARENT) {
        return;
    }
    let header = traceparent_of(&Span::current());
    if let Some(header) = header.and_then(|header| HeaderValue::try_from(header).ok()) {
        headers.insert(TRACEPARENT, header);
    }
}
