//! Requests and responses as bytes: what adapters build and decode.

use std::borrow::Cow;
use std::fmt;
use std::time::SystemTime;

use reqwest::header::{HeaderMap, HeaderName};
use url::Url;

use super::config::Reasoning;
use super::failure::AttemptFailure;
use super::instructions;
use super::parameters::{Parameter, Shape};
use super::reading::join_halves;
use super::request::{ChatMessage, Request};
use super::secret::ApiKey;
use super::settings::Settings;
use sitewright_model::ai::{AiError, AiErrorKind, HttpDetail};

/// The template's request with the settings of the route's candidate, and what its model refuses.
#[derive(Debug, Clone, Copy)]
pub(super) struct Prompt<'a> {
    pub(super) request: &'a Request,
    pub(super) model: &'a str,
    /// The smaller one of the request's limit and the route's.
    pub(super) max_output_tokens: Option<u32>,
    pub(super) temperature: Option<f32>,
    pub(super) settings: &'a Settings,
    pub(super) shape: &'a Shape,
}

impl Prompt<'_> {
    /// How many ways to send this parameter the model refuses.
    pub(super) fn step(&self, parameter: Parameter) -> u8 {
        self.shape.step(parameter)
    }

    pub(super) fn sends(&self, parameter: Parameter) -> bool {
        self.shape.sends(parameter)
    }

    pub(super) fn temperature(&self) -> Option<f32> {
        self.temperature.filter(|_| self.sends(Parameter::Temperature))
    }

    pub(super) fn seed(&self) -> Option<u64> {
        self.request.seed.filter(|_| self.sends(Parameter::Seed))
    }

    pub(super) fn stop(&self) -> &[String] {
        if self.sends(Parameter::Stop) { &self.request.stop } else { &[] }
    }

    /// The maximum number of tokens of the reply, if one is to be sent.
    pub(super) fn max_tokens(&self) -> Option<u32> {
        self.max_output_tokens.map(|most| self.at_most(most))
    }

    /// The same for an API that requires a maximum.
    pub(super) fn max_tokens_or(&self, default: u32) -> u32 {
        self.at_most(self.max_output_tokens.unwrap_or(default))
    }

    fn at_most(&self, most: u32) -> u32 {
        self.shape.most_tokens.map_or(most, |accepted| accepted.min(most))
    }

    /// Whether a stream is requested.
    pub(super) fn streams(&self) -> bool {
        self.sends(Parameter::Stream)
    }

    /// The text of the system messages with this instruction, and the conversation. For a model
    /// that refuses system messages both are in the conversation.
    pub(super) fn conversation(
        &self,
        instruction: Option<String>,
    ) -> (Option<String>, Cow<'_, [ChatMessage]>) {
        let messages = &self.request.messages;
        if self.sends(Parameter::System) {
            return (instructions::system(messages, instruction), Cow::Borrowed(messages));
        }
        (None, Cow::Owned(instructions::without_system(messages, instruction)))
    }

    /// How much the model is to think, in a way that it does not refuse.
    pub(super) fn reasoning(&self) -> Option<(Reasoning, u8)> {
        let step = self.step(Parameter::Reasoning);
        self.settings.reasoning.filter(|_| step < 2).map(|reasoning| (reasoning, step))
    }

    pub(super) fn service_tier(&self) -> Option<&str> {
        self.settings.service_tier.as_deref().filter(|_| self.sends(Parameter::ServiceTier))
    }

    /// Whether the beginning of the prompt is marked for the provider's cache.
    pub(super) fn caches(&self) -> bool {
        self.settings.cache_prompt && self.sends(Parameter::CacheControl)
    }
}

/// One request, ready to be sent. A header with a key is marked sensitive, so `Debug` does not
/// print it.
#[derive(Debug, Clone)]
pub(super) struct HttpRequest {
    pub(super) url: Url,
    /// The transport adds `content-type: application/json`.
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

/// Status and headers of an HTTP response.
#[derive(Debug, Clone)]
pub(super) struct HttpHead {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    /// A date in `retry-after` is relative to this time.
    pub(super) received: SystemTime,
}

/// A whole HTTP response.
#[derive(Debug, Clone)]
pub(super) struct HttpReply {
    pub(super) head: HttpHead,
    /// At most [`transport::MAX_BODY_BYTES`](super::transport::MAX_BODY_BYTES).
    pub(super) body: Vec<u8>,
}

impl HttpHead {
    /// Status and request id. The `retry-after` of a success has no meaning and is not read.
    pub(super) fn detail(&self) -> HttpDetail {
        let request_id = request_id(&self.headers);
        HttpDetail { status: self.status, request_id, retry_after_ms: None, body_excerpt: None }
    }

    /// The failure for an error inside a stream, with the frame that contains it.
    pub(super) fn error_frame(&self, error: &serde_json::Value, frame: &[u8]) -> AttemptFailure {
        super::error_body::in_stream(self, error).of_answer(self, frame)
    }

    /// The failure for a part of a stream that violates the protocol.
    pub(super) fn not_protocol(&self, what: impl fmt::Display, frame: &[u8]) -> AttemptFailure {
        AttemptFailure::new(AiErrorKind::Protocol, format!("a part of its stream {what}"))
            .of_answer(self, frame)
    }
}

/// The provider's request id, from any of the headers that providers use for it. At most 200
/// characters.
fn request_id(headers: &HeaderMap) -> Option<String> {
    static NAMES: [HeaderName; 6] = [
        HeaderName::from_static("x-request-id"),
        HeaderName::from_static("request-id"),
        HeaderName::from_static("apim-request-id"),
        HeaderName::from_static("x-ms-request-id"),
        HeaderName::from_static("x-generation-id"),
        HeaderName::from_static("cf-ray"),
    ];
    NAMES
        .iter()
        .filter_map(|name| headers.get(name)?.to_str().ok())
        .map(|id| id.chars().take(200).collect::<String>())
        .find(|id| !id.trim().is_empty())
}

/// The text of a reply that is not used, for a record: whole, or its beginning and its end. At most
/// [`AiError::EXCERPT_BYTES`]. It is redacted afterwards: where the text has spaces it is cut at one,
/// so that no part of a key remains that nobody would know for one.
pub(super) fn beginning_and_end(text: &str) -> String {
    /// Room for the words between the two.
    const BETWEEN: usize = 64;
    if text.len() <= AiError::EXCERPT_BYTES {
        return join_halves(text.to_owned());
    }
    let half = (AiError::EXCERPT_BYTES - BETWEEN) / 2;
    let begin = &text[..text.floor_char_boundary(half)];
    let space = begin.rfind(char::is_whitespace);
    let space = space.filter(|at| begin.len() - at <= ApiKey::MAX_BYTES);
    let begin = space.map_or(begin, |at| &begin[..at]);
    let end = &text[text.ceil_char_boundary(text.len() - half)..];
    let space = end.find(char::is_whitespace).filter(|at| *at <= ApiKey::MAX_BYTES);
    let end = space.map_or(end, |at| end[at..].trim_start());
    let left_out = text.len() - begin.len() - end.len();
    join_halves(format!("{begin}\n[{left_out} bytes left out]\n{end}"))
}

/// The beginning of a body, longer than a record's excerpt by the longest key: it is cut to size
/// after redaction, so that no part of a key remains at its end.
pub(super) fn excerpt(body: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(
        &body[..body.len().min(AiError::EXCERPT_BYTES + ApiKey::MAX_BYTES)],
    );
    (!text.trim().is_empty()).then(|| text.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_word_is_cut_where_the_middle_of_a_text_is_left_out() {
        let word = "k".repeat(100);
        let text = vec![word.as_str(); 200].join(" ");
        let kept = beginning_and_end(&text);
        assert!(kept.len() <= AiError::EXCERPT_BYTES && kept.contains("bytes left out]"), "{kept}");
        let words = kept.split_whitespace().filter(|kept| kept.starts_with("kk"));
        let (mut count, mut others) = (0, Vec::new());
        words.for_each(|kept| if kept == word { count += 1 } else { others.push(kept) });
        assert!(count > 10 && others.is_empty(), "{count}, {others:?}");
        // Without spaces, as in Japanese, it is cut at its characters.
        let kept = beginning_and_end(&"あ".repeat(10_000));
        assert!(kept.starts_with('あ') && kept.ends_with('あ'), "{kept}");
        assert!(kept.len() > AiError::EXCERPT_BYTES - 128, "{}", kept.len());
    }
}
