//! A failed attempt, before the route and the provider are named in its message.

use std::num::NonZeroU32;

use super::answer::Answer;
use super::wire::{HttpHead, excerpt};
use sitewright_model::ai::{AiErrorKind, HttpDetail, Limit, OpenFor, Usage};
use sitewright_model::failure::Problem;
use sitewright_model::message::Message;

/// A reply that is not what was requested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unusable {
    /// What the model said.
    pub(super) reply: String,
    /// What is wrong with its text; empty if its form is wrong.
    pub(super) problems: Vec<Problem>,
}

/// Why nothing was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unsent {
    /// No key could be read.
    NoKey,
    /// The budget of the day is used up.
    DayBudget,
}

/// What stands between here and the provider, and answered in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Between {
    /// A bot check or a firewall, which refuses this machine.
    Guard,
    /// A proxy that asks for a password.
    Proxy,
}

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AttemptFailure {
    pub(super) kind: AiErrorKind,
    /// The provider's message, or what happened on the connection. May be empty: the kind is then
    /// sufficient.
    pub(super) detail: String,
    pub(super) http: Option<Box<HttpDetail>>,
    pub(super) causes: Vec<Message>,
    pub(super) usage: Box<Usage>,
    pub(super) retryable: bool,
    /// The timeout that expired, if one did.
    pub(super) limit: Option<Limit>,
    /// Whether a request was sent.
    pub(super) asked: bool,
    /// Why nothing was sent, if the provider is not the reason.
    pub(super) unsent: Option<Unsent>,
    /// What refused the request on its way to the provider.
    pub(super) between: Option<Between>,
    /// The failure that opened the circuit breaker which rejected this request.
    pub(super) opened_by: Option<Box<AttemptFailure>>,
    /// Whose calls that breaker rejects.
    pub(super) open_for: OpenFor,
    /// Whether a probe met it, and no order.
    pub(super) of_probe: bool,
    /// Whether no connection could be made, so that the provider cannot have seen the request.
    pub(super) unconnected: bool,
    /// The model's reply, if it is not what was requested.
    pub(super) unusable: Option<Box<Unusable>>,
    /// Fields of the request that the error names, as paths: `stop`, `body.seed`.
    pub(super) fields: Vec<String>,
    /// Milliseconds until the circuit breaker lets a request through, if it rejected this one, or
    /// until the next day, if the budget of this one is used up.
    pub(super) closed_for_ms: Option<NonZeroU32>,
}

impl AttemptFailure {
    pub(super) fn new(kind: AiErrorKind, detail: impl Into<String>) -> Self {
        AttemptFailure {
            kind,
            detail: detail.into(),
            http: None,
            causes: Vec::new(),
            usage: Box::default(),
            retryable: kind.retryable(),
            limit: None,
            asked: true,
            unsent: None,
            between: None,
            opened_by: None,
            open_for: OpenFor::All,
            of_probe: false,
            unconnected: false,
            unusable: None,
            fields: Vec::new(),
            closed_for_ms: None,
        }
    }

    /// Whether its words may repeat what an order sent: not of a probe, nor if nothing was sent.
    pub(super) fn may_quote_order(&self) -> bool {
        self.asked && !self.of_probe && !self.unconnected
    }

    /// The same for orders that did not meet it: without words that may be those of another order.
    pub(super) fn for_others(&self) -> Self {
        if !self.may_quote_order() {
            return self.clone();
        }
        let http = self.http.as_ref().map(|http| {
            Box::new(HttpDetail { request_id: None, body_excerpt: None, ..(**http).clone() })
        });
        AttemptFailure {
            http,
            detail: String::new(),
            causes: Vec::new(),
            unusable: None,
            fields: Vec::new(),
            ..self.clone()
        }
    }

    /// A stream that was closed regularly but without its final marker. Unlike a reply that a token
    /// limit truncated, the same request may succeed.
    pub(super) fn unfinished(read: &Answer) -> Self {
        let detail = match read.content.chars().count() {
            0 => "its stream ended before the reply began".to_owned(),
            characters => format!(
                "its stream ended without its final marker, after {characters} characters of the \
                 reply"
            ),
        };
        let truncated = AttemptFailure::new(AiErrorKind::Truncated, detail).with_usage(read.usage);
        AttemptFailure { retryable: true, ..truncated }
    }

    /// Whether a token limit ended the reply. Of other truncated ones nothing says why they end.
    pub(super) fn is_at_token_limit(&self) -> bool {
        self.kind == AiErrorKind::Truncated && !self.retryable
    }

    pub(super) fn with_http(self, http: HttpDetail) -> Self {
        AttemptFailure { http: Some(Box::new(http)), ..self }
    }

    pub(super) fn with_usage(self, usage: Usage) -> Self {
        AttemptFailure { usage: Box::new(usage), ..self }
    }

    pub(super) fn with_limit(self, limit: Limit) -> Self {
        AttemptFailure { limit: Some(limit), ..self }
    }

    /// Adds status, request id and body excerpt of the response, where they are missing.
    pub(super) fn of_answer(mut self, head: &HttpHead, body: &[u8]) -> Self {
        let http = self.http.get_or_insert_with(|| Box::new(head.detail()));
        if http.body_excerpt.is_none() {
            http.body_excerpt = excerpt(body);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_broke_off_did_not_end_at_a_token_limit() {
        let cut = AttemptFailure::new(AiErrorKind::Truncated, "after 7 tokens");
        let broken = AttemptFailure::unfinished(&Answer::default());
        let other = AttemptFailure::new(AiErrorKind::Protocol, "no JSON");
        let found = [cut, broken, other].map(|failure| failure.is_at_token_limit());
        assert_eq!(found, [true, false, false]);
    }
}
