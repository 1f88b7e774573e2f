//! The chunk that nearly all of a stream consists of: one choice with some text, and nothing else.
//!
//! It is read by name, because a tolerant reading of each chunk was most of what a call cost. What is
//! not exactly of this form has another meaning, or might have one, and is read by [`super::stream`]
//! field by field.

use std::borrow::Cow;

use serde::Deserialize;

/// A chunk with text. Its other fields are known to say nothing about the reply: a text, a number,
/// or (as `()`) null. A repeated field is an error.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "their types are the condition")]
pub(super) struct PlainChunk<'a> {
    #[serde(default)]
    id: Option<&'a str>,
    #[serde(default)]
    object: Option<&'a str>,
    #[serde(default)]
    created: Option<u64>,
    #[serde(default)]
    system_fingerprint: Option<&'a str>,
    #[serde(default)]
    service_tier: Option<&'a str>,
    /// Characters that hide the length of the text.
    #[serde(default)]
    obfuscation: Option<&'a str>,
    #[serde(default)]
    usage: (),
    #[serde(default)]
    error: (),
    #[serde(default)]
    model: Option<&'a str>,
    #[serde(borrow)]
    choices: [PlainChoice<'a>; 1],
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "their types are the condition")]
struct PlainChoice<'a> {
    #[serde(default)]
    index: u64,
    #[serde(borrow)]
    delta: PlainDelta<'a>,
    #[serde(default)]
    logprobs: (),
    #[serde(default)]
    finish_reason: (),
    #[serde(default)]
    stop_reason: (),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "their types are the condition")]
struct PlainDelta<'a> {
    #[serde(borrow)]
    content: Cow<'a, str>,
    #[serde(default)]
    role: Option<&'a str>,
    #[serde(default)]
    refusal: (),
    #[serde(default)]
    reasoning: (),
    #[serde(default)]
    reasoning_content: (),
    #[serde(default)]
    tool_calls: (),
    #[serde(default)]
    function_call: (),
}

impl<'a> PlainChunk<'a> {
    /// The chunk, if it is one.
    pub(super) fn parse(data: &'a [u8]) -> Option<Self> {
        let chunk: Self = serde_json::from_slice(data).ok()?;
        let [choice] = &chunk.choices;
        // A choice beside the first is not read, and an empty text may stand beside a message.
        (choice.index == 0 && !choice.delta.content.is_empty()).then_some(chunk)
    }

    /// The model that answers, if the chunk says it.
    pub(super) fn model(&self) -> Option<&'a str> {
        self.model.filter(|model| !model.trim().is_empty())
    }

    /// The text, never empty.
    pub(super) fn into_text(self) -> Cow<'a, str> {
        let [choice] = self.choices;
        choice.delta.content
    }
}
