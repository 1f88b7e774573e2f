//! The event that nearly all of a stream of the Responses API consists of: a piece of the text.
//!
//! It is read by name, because a tolerant reading of each event was most of what a call cost. What is
//! not exactly of this form has another meaning, or might have one, and is read by
//! [`super::responses`] field by field.

use serde::Deserialize;

/// A `response.output_text.delta`. Its other fields are known to say nothing about the reply: a
/// text, a number, or an empty list. A repeated field is an error.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "their types are the condition")]
struct PlainEvent<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    delta: String,
    #[serde(default)]
    item_id: Option<&'a str>,
    #[serde(default)]
    output_index: Option<u64>,
    #[serde(default)]
    content_index: Option<u64>,
    #[serde(default)]
    sequence_number: Option<u64>,
    #[serde(default)]
    logprobs: Option<[(); 0]>,
    /// Characters that hide the length of the text.
    #[serde(default)]
    obfuscation: Option<&'a str>,
}

/// The text of the event, if it is plain.
pub(super) fn text(data: &[u8]) -> Option<String> {
    let event: PlainEvent<'_> = serde_json::from_slice(data).ok()?;
    (event.kind == "response.output_text.delta").then_some(event.delta)
}
