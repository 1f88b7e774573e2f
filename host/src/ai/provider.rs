//! The seam between the gateway and the kinds of providers: one prompt in, one reply or one failure out.
//!
//! A kind is a variant here and a module with three pure parts: the request's bytes, the reply's meaning, the error's
//! meaning. Streaming, retries and limits wrap around [`Provider::call`] without touching the kinds.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use reqwest::header::HeaderMap;

use super::completion::{FinishReason, Usage};
use super::error::{AiError, AiErrorKind, HttpDetail};
use super::openai::OpenAi;
use super::redact::Redactor;
use super::request::Request;
use super::scripted::Scripted;
use super::secret::ApiKey;
use super::transport::Transport;
use crate::message::Message;

/// A provider that is ready to be called.
#[derive(Debug)]
pub(super) enum Provider {
    OpenAi(OpenAi),
    Scripted(Scripted),
}

/// What a provider is asked: the template's request with the route's settings applied.
#[derive(Debug, Clone, Copy)]
pub(super) struct Prompt<'a> {
    pub(super) request: &'a Request,
    pub(super) model: &'a str,
    pub(super) max_output_tokens: Option<u32>,
    pub(super) temperature: Option<f32>,
}

/// A whole HTTP answer, as the wire gave it.
#[derive(Debug, Clone)]
pub(super) struct HttpReply {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    /// At most [`transport::MAX_BODY_BYTES`](super::transport::MAX_BODY_BYTES).
    pub(super) body: Vec<u8>,
    /// When it came; a `retry-after` date counts from here.
    pub(super) received: SystemTime,
}

/// A reply of the model, before its JSON is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    /// Not blank.
    pub(super) content: String,
    pub(super) finish_reason: FinishReason,
    pub(super) usage: Usage,
    /// The model that the provider says it used.
    pub(super) model: Option<String>,
    pub(super) http: HttpDetail,
}

/// A failed attempt, before route and provider are named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) kind: AiErrorKind,
    /// What the provider or the wire said; may be empty, the kind then speaks for itself.
    pub(super) detail: String,
    pub(super) http: Option<Box<HttpDetail>>,
    pub(super) causes: Vec<Message>,
    pub(super) usage: Usage,
    pub(super) retryable: bool,
}

impl Provider {
    /// Makes one attempt. Ends only with an answer or a broken connection: the caller sets the time. Dropping it cancels the
    /// request.
    pub(super) async fn call(&self, prompt: Prompt<'_>, transport: &Transport) -> Result<Reply, Failure> {
        match self {
            Provider::OpenAi(openai) => openai.call(prompt, transport).await,
            Provider::Scripted(scripted) => scripted.call(prompt).await,
        }
    }

    /// The longest that one attempt may take.
    pub(super) fn call_limit(&self) -> Duration {
        match self {
            Provider::OpenAi(openai) => openai.call_limit,
            Provider::Scripted(scripted) => scripted.call_limit,
        }
    }

    /// The name in the configuration and in `gen_ai.provider.name`.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Provider::OpenAi(_) => "openai",
            Provider::Scripted(_) => "scripted",
        }
    }

    /// Where it is: a URL without its query, or the script.
    pub(super) fn place(&self) -> Cow<'_, str> {
        match self {
            Provider::OpenAi(openai) => Cow::Owned(openai.place()),
            Provider::Scripted(scripted) => Cow::Borrowed(scripted.place()),
        }
    }

    /// Where its key comes from, to say where to look.
    pub(super) fn key_source(&self) -> String {
        match self {
            Provider::OpenAi(openai) => openai.key.source.to_string(),
            Provider::Scripted(_) => "no key".to_owned(),
        }
    }

    /// Removes its key from a text.
    pub(super) fn redactor(&self) -> Redactor {
        match self {
            Provider::OpenAi(openai) => Redactor::new(openai.key.secret().cloned()),
            Provider::Scripted(_) => Redactor::new(None),
        }
    }
}

impl Failure {
    pub(super) fn new(kind: AiErrorKind, detail: impl Into<String>) -> Self {
        Failure {
            kind,
            detail: detail.into(),
            http: None,
            causes: Vec::new(),
            usage: Usage::default(),
            retryable: kind.retryable(),
        }
    }

    pub(super) fn with_http(self, http: HttpDetail) -> Self {
        Failure { http: Some(Box::new(http)), ..self }
    }

    pub(super) fn with_usage(self, usage: Usage) -> Self {
        Failure { usage, ..self }
    }
}

impl HttpReply {
    /// Status and request id. A success is not excerpted and its `retry-after` is not read.
    pub(super) fn seen(&self) -> HttpDetail {
        let request_id = request_id(&self.headers);
        HttpDetail { status: self.status, request_id, retry_after_ms: None, body_excerpt: None }
    }

    /// Status, request id and excerpt, for a failure.
    pub(super) fn detail(&self) -> HttpDetail {
        HttpDetail { body_excerpt: excerpt(&self.body), ..self.seen() }
    }
}

/// The provider's id of the request, under the names that providers give it.
fn request_id(headers: &HeaderMap) -> Option<String> {
    ["x-request-id", "request-id", "apim-request-id", "x-ms-request-id", "x-generation-id", "cf-ray"]
        .iter()
        .filter_map(|name| headers.get(*name)?.to_str().ok())
        .map(|id| id.chars().take(200).collect::<String>())
        .find(|id| !id.trim().is_empty())
}

/// The beginning of a body, longer than a record keeps by the longest key: it is cut to size after redaction, so that no
/// half of a key stays at its end.
pub(super) fn excerpt(body: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(&body[..body.len().min(AiError::EXCERPT_BYTES + ApiKey::MAX_BYTES)]);
    (!text.trim().is_empty()).then(|| text.into_owned())
}

/// The text, cut at a character boundary to the size that a record keeps. For texts that have been redacted.
pub(super) fn cut_excerpt(text: &str) -> &str {
    &text[..text.floor_char_boundary(AiError::EXCERPT_BYTES)]
}
