//! A decoded response in the terms that all providers share, and whether it is a usable reply.

use super::failure::AttemptFailure;
use super::reading::join_halves;
use super::thinking;
use super::wire::{HttpHead, excerpt};
use sitewright_model::ai::{AiErrorKind, FinishReason, HttpDetail, Usage};

/// Why the model stopped, as the provider reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Finish {
    /// The reply is complete, or a stop text was generated.
    Stop,
    /// A token limit truncated the reply.
    Length,
    /// The provider's filter or the model refused; the text says which.
    Filtered(String),
    /// The model failed on the provider's side.
    Failed,
    /// Another reason, as the provider calls it.
    Other(String),
}

/// What a reply is whose provider does not say why the model stopped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum WithoutEnd {
    /// Whole: the protocol has no field for the reason.
    #[default]
    Whole,
    /// Perhaps cut: the protocol has a field for it, and servers that leave it out for whole replies.
    Unknown,
    /// Cut: every whole reply of the protocol has this field, so the model has not stopped.
    Cut(&'static str),
}

/// A decoded body or stream. It may still be empty, truncated or refused: see
/// [`judge`](Answer::judge).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) content: String,
    /// The model's refusal, if the protocol has a field for it.
    pub(super) refusal: Option<String>,
    pub(super) finish: Option<Finish>,
    pub(super) usage: Usage,
    /// The model that the provider reports.
    pub(super) model: Option<String>,
    /// Whether the model called a tool, in any part of the answer. None is ever offered, except the
    /// one that carries the reply.
    pub(super) calls_tool: bool,
    /// What a reply without the reason why the model stopped is.
    pub(super) without_end: WithoutEnd,
}

impl Answer {
    /// The reply, or why there is none (failure catalogue E4, E7). The failure has no excerpt: the
    /// caller that has the body adds it.
    pub(super) fn judge(self, head: &HttpHead) -> Result<Reply, AttemptFailure> {
        let usage = self.usage;
        let whole = join_halves(self.content);
        let thinking::Stripped { reply, late, unended } = thinking::strip(&whole);
        let content = reply.into_owned();
        let fail = |kind, detail: String| Err(AttemptFailure::new(kind, detail).with_usage(usage));
        let without_end = self.without_end;
        let said = self.finish.is_some();
        let finish = match self.finish {
            Some(Finish::Stop) | None if self.calls_tool => {
                Some(Finish::Other("tool_calls".to_owned()))
            }
            finish => finish,
        };
        if let Some(Finish::Filtered(why)) = finish {
            return fail(AiErrorKind::ContentFiltered, why);
        }
        if let Some(refusal) = self.refusal.filter(|text| !text.trim().is_empty()) {
            let refusal: String = refusal.trim().chars().take(300).collect();
            return fail(AiErrorKind::ContentFiltered, format!("the model refused: {refusal}"));
        }
        if finish == Some(Finish::Length) {
            let tokens = usage.output_tokens.map_or_else(
                || format!("after {} characters", content.chars().count()),
                |tokens| format!("after {tokens} tokens"),
            );
            let before = is_blank(&content);
            let thinking = if before { ", all of them spent before the reply began" } else { "" };
            return fail(AiErrorKind::Truncated, format!("{tokens}{thinking}"));
        }
        if finish == Some(Finish::Failed) {
            return fail(AiErrorKind::Overloaded, "the model stopped with an error".to_owned());
        }
        if is_blank(&content) {
            let why = match finish {
                Some(Finish::Other(finish)) => format!("finish reason `{finish}`"),
                Some(_) => "finish reason `stop`".to_owned(),
                None => String::new(),
            };
            return fail(AiErrorKind::Empty, why);
        }
        if let WithoutEnd::Cut(field) = without_end
            && !said
        {
            let characters = content.chars().count();
            let detail = format!(
                "its answer does not say that the model stopped: it has no `{field}`, after \
                 {characters} characters of the reply"
            );
            let truncated = AttemptFailure::new(AiErrorKind::Truncated, detail).with_usage(usage);
            return Err(AttemptFailure { retryable: true, ..truncated });
        }
        let (finish_reason, unknown_end) = match finish {
            Some(Finish::Other(word)) => (FinishReason::Other, Some(word)),
            _ => (FinishReason::Stop, None),
        };
        Ok(Reply {
            content,
            raw: late.then_some(whole),
            unended,
            finish_reason,
            unknown_end,
            end_unsaid: without_end == WithoutEnd::Unknown && !said,
            usage,
            model: self.model.filter(|model| !model.is_empty()),
            http: head.detail(),
        })
    }
}

/// A reply of the model, before its JSON is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    /// Not blank, without thinking.
    pub(super) content: String,
    /// The whole text, if it was forwarded with thinking that was recognized only at its end.
    pub(super) raw: Option<String>,
    /// Whether thinking follows that does not end. Then only JSON shows that the reply is whole.
    pub(super) unended: bool,
    pub(super) finish_reason: FinishReason,
    /// The provider's word for why the model stopped, if it is no known end of a reply.
    pub(super) unknown_end: Option<String>,
    /// Whether the provider should have said why the model stopped, and did not. Of JSON that was
    /// checked it is known that it is whole.
    pub(super) end_unsaid: bool,
    pub(super) usage: Usage,
    /// The model that the provider reports.
    pub(super) model: Option<String>,
    pub(super) http: HttpDetail,
}

impl Reply {
    /// Ends the reply before the first of these texts, as a model does that knows stop texts.
    pub(super) fn cut_at(&mut self, stop: &[String]) {
        let first = stop.iter().filter_map(|text| self.content.find(text.as_str())).min();
        if let Some(end) = first {
            self.content.truncate(end);
            self.raw = None;
        }
    }

    /// The reply, unless it is as long as a token limit at which the provider stops without
    /// reporting it, or as `asked_limit` if it does not report why the model stopped.
    pub(super) fn within(
        self,
        silent_limit: Option<u32>,
        asked_limit: Option<u32>,
    ) -> Result<Self, AttemptFailure> {
        let limit = silent_limit.or(asked_limit.filter(|_| self.end_unsaid));
        match (limit, self.usage.output_tokens) {
            (Some(limit), Some(tokens)) if tokens >= u64::from(limit) => {
                let http =
                    HttpDetail { body_excerpt: excerpt(self.content.as_bytes()), ..self.http };
                let detail = format!("after {tokens} tokens");
                Err(AttemptFailure::new(AiErrorKind::Truncated, detail)
                    .with_http(http)
                    .with_usage(self.usage))
            }
            _ => Ok(self),
        }
    }
}

/// Whether nobody can see anything of a text.
fn is_blank(text: &str) -> bool {
    let invisible = |c: char| {
        let of_format = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}');
        of_format || matches!(c, '\u{feff}' | '\u{ad}')
    };
    text.chars().all(|c| c.is_whitespace() || c.is_control() || invisible(c))
}
