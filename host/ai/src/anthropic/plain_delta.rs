//! The event that nearly all of a stream consists of: a delta of a content block, with a piece of
//! text or of a tool's input, and nothing else.
//!
//! It is read by name, because a tolerant reading of each event was most of what a call cost. What is
//! not exactly of this form has another meaning, or might have one, and is read by [`super::reply`]
//! field by field.

use serde::Deserialize;

/// A `content_block_delta`. A repeated field is an error.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "their types are the condition")]
struct PlainEvent<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(default)]
    index: u64,
    #[serde(default)]
    error: (),
    #[serde(borrow)]
    delta: PlainPiece<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PlainPiece<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    partial_json: Option<String>,
}

/// What a plain event adds to its content block.
#[derive(Debug)]
pub(super) enum PlainDelta {
    /// Text of the reply.
    Text(String),
    /// Input of the tool that the block with this index calls.
    ToolInput { index: u64, json: String },
}

impl PlainDelta {
    /// The delta, if the event is plain.
    pub(super) fn parse(data: &[u8]) -> Option<Self> {
        let event: PlainEvent<'_> = serde_json::from_slice(data).ok()?;
        let index = event.index;
        let PlainPiece { kind, text, partial_json } = event.delta;
        match (event.kind, kind, text, partial_json) {
            ("content_block_delta", "text_delta", Some(text), None) => Some(Self::Text(text)),
            ("content_block_delta", "input_json_delta", None, Some(json)) => {
                Some(Self::ToolInput { index, json })
            }
            _ => None,
        }
    }
}
