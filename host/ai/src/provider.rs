//! The seam between the gateway and the kinds of providers.
//!
//! A kind that is called over HTTP is an [`Adapter`]: pure functions over bytes. It says what is
//! sent, and what the answer means, whole or streamed. It never waits, never reads a clock and
//! never sees a connection, so every row of what providers answer is a test of its own. Sending,
//! time limits, retries, rates and redaction stand around it, once for all kinds.
//!
//! To add a kind: a folder with an `Adapter`, a variant of
//! [`ProviderConfig`](super::config::ProviderConfig), a line in `route_builder`.

use std::borrow::Cow;
use std::fmt;
use std::num::NonZeroU32;
use std::time::{Duration, SystemTime};

use reqwest::header::HeaderMap;
use url::Url;

use super::answer::{Answer, Finish};
use super::redact::Redactor;
use super::request::Request;
use super::scripted::Scripted;
use super::secret::ApiKey;
use super::stream::looks_like_sse;
use super::transport::{Live, Transport};
use sitewright_model::ai::{AiError, AiErrorKind, HttpDetail, Limit};
use sitewright_model::ai::{FinishReason, Usage};
use sitewright_model::message::Message;

/// One kind of provider with one endpoint, key included: what to send, and what its answers mean.
///
/// A success may be streamed or whole: the transport asks [`is_stream`](Self::is_stream) with the
/// first bytes, because endpoints that ignore `stream: true` and content types that lie both exist.
/// Redirects and empty bodies never come here.
pub(super) trait Adapter: fmt::Debug + Send + Sync {
    /// The name in the configuration and in `gen_ai.provider.name`.
    fn kind(&self) -> &'static str;

    /// Where it is, for people: a URL without its query.
    fn place(&self) -> String;

    /// The request. It asks for a stream wherever the provider has one.
    fn build(&self, prompt: &Prompt<'_>) -> HttpRequest;

    /// The limit on the reply's tokens that [`build`](Self::build) sends, where the provider may
    /// stop there without saying so.
    fn silent_limit(&self, _prompt: &Prompt<'_>) -> Option<u32> {
        None
    }

    /// Whether the body of a success that begins so is a stream.
    fn is_stream(&self, beginning: &[u8]) -> bool {
        looks_like_sse(beginning)
    }

    /// A decoder for the streamed body of one success.
    fn decoder(&self, head: &HttpHead) -> Box<dyn StreamDecoder>;

    /// The meaning of the whole body of a success.
    fn whole(&self, http: &HttpReply) -> Result<Answer, Failure>;

    /// The meaning of an answer with an error status. `error_body::failure` reads the envelopes of all
    /// known providers.
    fn map_error(&self, http: &HttpReply) -> Failure;
}

/// Makes an answer of a streamed body. An error of either function is final.
pub(super) trait StreamDecoder: Send {
    /// Takes the next bytes, cut anywhere, and tells what they say. An error frame inside the
    /// stream is an error; its failure carries the frame as its excerpt. Unknown events and
    /// fields are passed over.
    fn push(&mut self, bytes: &[u8]) -> Result<Vec<StreamEvent>, Failure>;

    /// Whether the stream's final marker has come. What the connection does afterwards does not
    /// matter then.
    fn is_done(&self) -> bool {
        false
    }

    /// The body has ended: the answer, or [`Failure::unfinished`] when the stream lacks its final
    /// marker.
    fn finish(self: Box<Self>) -> Result<Answer, Failure>;
}

/// Something a stream said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum StreamEvent {
    /// More text of the reply.
    Text(String),
    /// Tokens so far.
    Usage(Usage),
    /// Why the model stopped; usage may still follow.
    Finish(Finish),
}

/// One request, ready to go. A header that holds a key is marked sensitive, so that nothing prints
/// it.
#[derive(Debug, Clone)]
pub(super) struct HttpRequest {
    pub(super) url: Url,
    /// `content-type: application/json` is added.
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

/// How long each part of an attempt may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CallLimits {
    /// Name look-up, TCP and TLS together.
    pub(super) connect: Duration,
    /// From the connection to the first byte of the answer's body.
    pub(super) first_byte: Duration,
    /// From one piece of the body to the next.
    pub(super) idle: Duration,
    /// The whole attempt.
    pub(super) call: Duration,
}

/// A provider that is ready to be called.
#[derive(Debug)]
pub(super) enum Provider {
    Http(HttpProvider),
    Scripted(Scripted),
}

/// A provider behind an HTTP endpoint.
#[derive(Debug)]
pub(super) struct HttpProvider {
    pub(super) adapter: Box<dyn Adapter>,
    pub(super) key: ApiKey,
    pub(super) limits: CallLimits,
}

/// What a provider is asked: the template's request with the route's settings applied.
#[derive(Debug, Clone, Copy)]
pub(super) struct Prompt<'a> {
    pub(super) request: &'a Request,
    pub(super) model: &'a str,
    pub(super) max_output_tokens: Option<u32>,
    pub(super) temperature: Option<f32>,
}

/// The head of an HTTP answer.
#[derive(Debug, Clone)]
pub(super) struct HttpHead {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    /// When it came; a `retry-after` date counts from here.
    pub(super) received: SystemTime,
}

/// A whole HTTP answer, as the wire gave it.
#[derive(Debug, Clone)]
pub(super) struct HttpReply {
    pub(super) head: HttpHead,
    /// At most [`transport::MAX_BODY_BYTES`](super::transport::MAX_BODY_BYTES).
    pub(super) body: Vec<u8>,
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
    /// The time limit that passed, when one did.
    pub(super) limit: Option<Limit>,
    /// Whether a request was sent.
    pub(super) asked: bool,
    /// What the model wrote, when that is what is wrong.
    pub(super) reply: Option<String>,
    /// Milliseconds until anything is sent again, when this host itself sent nothing.
    pub(super) closed_for_ms: Option<NonZeroU32>,
}

impl Provider {
    /// Makes one attempt that must have ended at `deadline`. Dropping it cancels the request.
    pub(super) async fn call(
        &self,
        prompt: &Prompt<'_>,
        transport: &Transport,
        deadline: tokio::time::Instant,
        live: &mut Live<'_>,
    ) -> Result<Reply, Failure> {
        match self {
            Provider::Http(provider) => {
                let reply = transport.call(provider, prompt, deadline, live).await?;
                reply.within(provider.adapter.silent_limit(prompt))
            }
            // Boxed: those who wait for a model have no room for it.
            Provider::Scripted(scripted) => Box::pin(scripted.call(prompt, deadline, live)).await,
        }
    }

    /// The name in the configuration and in `gen_ai.provider.name`.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Provider::Http(provider) => provider.adapter.kind(),
            Provider::Scripted(_) => "scripted",
        }
    }

    /// Where it is: a URL without its query, or the script.
    pub(super) fn place(&self) -> Cow<'_, str> {
        match self {
            Provider::Http(provider) => Cow::Owned(provider.adapter.place()),
            Provider::Scripted(scripted) => Cow::Borrowed(scripted.place()),
        }
    }

    /// Where its key comes from, to say where to look.
    pub(super) fn key_source(&self) -> String {
        match self {
            Provider::Http(provider) => provider.key.source.to_string(),
            Provider::Scripted(_) => "no key".to_owned(),
        }
    }

    /// Removes its key from a text.
    pub(super) fn redactor(&self) -> Redactor {
        match self {
            Provider::Http(provider) => Redactor::new(provider.key.secret().cloned()),
            Provider::Scripted(_) => Redactor::new(None),
        }
    }
}

impl Reply {
    /// The reply, unless it is as long as a limit at which its provider stops without a word.
    pub(super) fn within(self, silent_limit: Option<u32>) -> Result<Self, Failure> {
        match (silent_limit, self.usage.output_tokens) {
            (Some(limit), Some(tokens)) if tokens >= u64::from(limit) => {
                let http =
                    HttpDetail { body_excerpt: excerpt(self.content.as_bytes()), ..self.http };
                let detail = format!("after {tokens} tokens");
                Err(Failure::new(AiErrorKind::Truncated, detail)
                    .with_http(http)
                    .with_usage(self.usage))
            }
            _ => Ok(self),
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
            limit: None,
            asked: true,
            reply: None,
            closed_for_ms: None,
        }
    }

    /// A stream that ended in good order but without its final marker: whoever passed it on looked
    /// healthy, and the reply is not whole. Unlike a cut at a token limit, the same request may
    /// well succeed.
    pub(super) fn unfinished(read: &Answer) -> Self {
        let detail = match read.content.chars().count() {
            0 => "its stream ended before the reply began".to_owned(),
            characters => format!(
                "its stream ended without its final marker, after {characters} characters of the \
                 reply"
            ),
        };
        let truncated = Failure::new(AiErrorKind::Truncated, detail).with_usage(read.usage);
        Failure { retryable: true, ..truncated }
    }

    pub(super) fn with_http(self, http: HttpDetail) -> Self {
        Failure { http: Some(Box::new(http)), ..self }
    }

    pub(super) fn with_usage(self, usage: Usage) -> Self {
        Failure { usage, ..self }
    }

    /// With status, request id and excerpt of the answer, as far as it has none.
    pub(super) fn of_answer(mut self, head: &HttpHead, body: &[u8]) -> Self {
        let http = self.http.get_or_insert_with(|| Box::new(head.seen()));
        if http.body_excerpt.is_none() {
            http.body_excerpt = excerpt(body);
        }
        self
    }
}

impl HttpHead {
    /// Status and request id. A success is not excerpted and its `retry-after` is not read.
    pub(super) fn seen(&self) -> HttpDetail {
        let request_id = request_id(&self.headers);
        HttpDetail { status: self.status, request_id, retry_after_ms: None, body_excerpt: None }
    }

    /// The failure of an error inside a success, with the frame that says it.
    pub(super) fn error_frame(&self, error: &serde_json::Value, frame: &[u8]) -> Failure {
        super::error_body::in_success(self, error).of_answer(self, frame)
    }

    /// The failure of a part of a stream that is not what the protocol says.
    pub(super) fn not_protocol(&self, what: impl fmt::Display, frame: &[u8]) -> Failure {
        Failure::new(AiErrorKind::Protocol, format!("a part of its stream {what}"))
            .of_answer(self, frame)
    }
}

/// The provider's id of the request, under the names that providers give it.
fn request_id(headers: &HeaderMap) -> Option<String> {
    [
        "x-request-id",
        "request-id",
        "apim-request-id",
        "x-ms-request-id",
        "x-generation-id",
        "cf-ray",
    ]
    .iter()
    .filter_map(|name| headers.get(*name)?.to_str().ok())
    .map(|id| id.chars().take(200).collect::<String>())
    .find(|id| !id.trim().is_empty())
}

/// The beginning of a body, longer than a record keeps by the longest key: it is cut to size after
/// redaction, so that no half of a key stays at its end.
pub(super) fn excerpt(body: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(
        &body[..body.len().min(AiError::EXCERPT_BYTES + ApiKey::MAX_BYTES)],
    );
    (!text.trim().is_empty()).then(|| text.into_owned())
}

/// The text, cut at a character boundary to the size that a record keeps. For texts that have been
/// redacted.
pub(super) fn cut_excerpt(text: &str) -> &str {
    &text[..text.floor_char_boundary(AiError::EXCERPT_BYTES)]
}
