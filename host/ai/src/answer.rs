//! What a model answered, in words that all providers share, and whether it is a reply.

use super::provider::{Failure, HttpHead, Reply};
use sitewright_model::ai::AiErrorKind;
use sitewright_model::ai::{FinishReason, Usage};

/// Why the model stopped, as its provider said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Finish {
    /// It was done, or met a stop text.
    Stop,
    /// A token limit cut it.
    Length,
    /// The provider's filter or the model's own judgement stopped it; the words say which.
    Filtered(String),
    /// The model broke on the provider's side.
    Failed,
    /// Anything else, in the provider's words.
    Other(String),
}

/// A whole answer, decoded: what an adapter makes of a body or of a stream. Not judged yet: it may
/// be empty, cut or refused.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) content: String,
    /// The words with which the model refused.
    pub(super) refusal: Option<String>,
    pub(super) finish: Option<Finish>,
    pub(super) usage: Usage,
    /// The model that the provider says it used.
    pub(super) model: Option<String>,
}

impl Answer {
    /// The reply, or why it is none (catalogue E4, E7). The failure has no excerpt: whoever read
    /// the body adds it.
    pub(super) fn judge(self, head: &HttpHead) -> Result<Reply, Failure> {
        let usage = self.usage;
        let fail = |kind, detail: String| Err(Failure::new(kind, detail).with_usage(usage));
        if let Some(Finish::Filtered(why)) = self.finish {
            return fail(AiErrorKind::ContentFiltered, why);
        }
        if let Some(refusal) = self.refusal.filter(|text| !text.trim().is_empty()) {
            let refusal: String = refusal.trim().chars().take(300).collect();
            return fail(AiErrorKind::ContentFiltered, format!("the model refused: {refusal}"));
        }
        if self.finish == Some(Finish::Length) {
            let tokens = usage.output_tokens.map_or_else(
                || format!("after {} characters", self.content.chars().count()),
                |tokens| format!("after {tokens} tokens"),
            );
            let before = self.content.trim().is_empty();
            let thinking = if before { ", all of them spent before the reply began" } else { "" };
            return fail(AiErrorKind::Truncated, format!("{tokens}{thinking}"));
        }
        if self.finish == Some(Finish::Failed) {
            return fail(AiErrorKind::Overloaded, "the model stopped with an error".to_owned());
        }
        if self.content.trim().is_empty() {
            let why = match self.finish {
                Some(Finish::Other(finish)) => format!("finish reason `{finish}`"),
                Some(_) => "finish reason `stop`".to_owned(),
                None => String::new(),
            };
            return fail(AiErrorKind::Empty, why);
        }
        let finish_reason = match self.finish {
            Some(Finish::Other(_)) => FinishReason::Other,
            _ => FinishReason::Stop,
        };
        Ok(Reply {
            content: self.content,
            finish_reason,
            usage,
            model: self.model.filter(|model| !model.is_empty()),
            http: head.seen(),
        })
    }
}
