//! The part that nearly all of a stream consists of: one candidate with one text, and the token
//! counts so far.
//!
//! It is read by name, because a tolerant reading of each part was most of what a call cost. What is
//! not exactly of this form has another meaning, or might have one, and is read by [`super::reply`]
//! field by field.

use serde::Deserialize;

use super::reply::TokenCounts;

/// A part with text. Its other fields are known to say nothing about the reply: a text, a number,
/// or (as `()`) null. A repeated field is an error.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[allow(dead_code, reason = "their types are the condition")]
pub(super) struct PlainPart<'a> {
    #[serde(default)]
    response_id: Option<&'a str>,
    #[serde(default)]
    create_time: Option<&'a str>,
    #[serde(default)]
    error: (),
    #[serde(default)]
    prompt_feedback: (),
    #[serde(default)]
    model_version: Option<&'a str>,
    #[serde(default, borrow)]
    usage_metadata: Option<PlainUsage<'a>>,
    #[serde(borrow)]
    candidates: [PlainCandidate<'a>; 1],
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[allow(dead_code, reason = "their types are the condition")]
struct PlainCandidate<'a> {
    #[serde(default)]
    index: Option<u64>,
    #[serde(borrow)]
    content: PlainContent<'a>,
    #[serde(default)]
    finish_reason: (),
    #[serde(default)]
    finish_message: (),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "their types are the condition")]
struct PlainContent<'a> {
    #[serde(default)]
    role: Option<&'a str>,
    parts: [PlainText; 1],
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "their types are the condition")]
struct PlainText {
    text: String,
    #[serde(default)]
    thought: (),
}

/// Token counts. Of each kind there is one modality, the text.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[allow(dead_code, reason = "their types are the condition")]
struct PlainUsage<'a> {
    #[serde(default)]
    prompt_token_count: Option<u64>,
    #[serde(default)]
    candidates_token_count: Option<u64>,
    #[serde(default)]
    thoughts_token_count: Option<u64>,
    #[serde(default)]
    cached_content_token_count: Option<u64>,
    #[serde(default)]
    total_token_count: Option<u64>,
    #[serde(default, borrow)]
    prompt_tokens_details: Option<[PlainModality<'a>; 1]>,
    #[serde(default, borrow)]
    candidates_tokens_details: Option<[PlainModality<'a>; 1]>,
    #[serde(default, borrow)]
    cache_tokens_details: Option<[PlainModality<'a>; 1]>,
    #[serde(default)]
    traffic_type: Option<&'a str>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[allow(dead_code, reason = "their types are the condition")]
struct PlainModality<'a> {
    #[serde(default)]
    modality: Option<&'a str>,
    #[serde(default)]
    token_count: Option<u64>,
}

impl<'a> PlainPart<'a> {
    /// The part, if it is plain.
    pub(super) fn parse(data: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(data).ok()
    }

    /// The model that answers, if the part says it.
    pub(super) fn model(&self) -> Option<&'a str> {
        self.model_version.filter(|model| !model.trim().is_empty())
    }

    /// The token counts so far, if the part has them.
    pub(super) fn counts(&self) -> Option<TokenCounts> {
        self.usage_metadata.as_ref().map(|usage| TokenCounts {
            prompt: usage.prompt_token_count,
            candidates: usage.candidates_token_count,
            thoughts: usage.thoughts_token_count,
            cached: usage.cached_content_token_count,
        })
    }

    /// The text, which may be empty.
    pub(super) fn into_text(self) -> String {
        let [candidate] = self.candidates;
        let [part] = candidate.content.parts;
        part.text
    }
}
