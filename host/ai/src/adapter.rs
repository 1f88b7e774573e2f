//! The interface between the gateway and the kinds of providers.
//!
//! An [`Adapter`] consists of pure functions over bytes: what is sent, and what a response means,
//! whole or streamed. It does not wait, read a clock or see a connection, so every response of a
//! provider can be tested as a table row. Sending, timeouts, retries, rate limits and redaction are
//! implemented once, around the adapters.
//!
//! To add a kind of provider: a folder with an `Adapter`, a variant of
//! [`ProviderConfig`](super::config::ProviderConfig), and an arm in `route_builder`.

use std::fmt;

use reqwest::header::{HeaderMap, HeaderName};
use url::Url;

use super::answer::{Answer, Finish};
use super::error_body;
use super::failure::AttemptFailure;
use super::parameters::Shape;
use super::secret::Key;
use super::settings::Settings;
use super::stream::looks_like_sse;
use super::stream_deltas::{DeltaDecoder, Framing, StreamDeltas};
use super::wire::{HttpHead, HttpReply, HttpRequest, Prompt};
use sitewright_model::ai::Usage;

/// The base of an adapter: the address, the headers of every request, and the header of the key.
/// The key itself comes with each request, because it may expire.
#[derive(Debug, Clone)]
pub(super) struct Endpoint {
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    /// `None` if the provider is called without a key.
    pub(super) key: Option<KeyHeader>,
}

/// The header in which a key is sent.
#[derive(Debug, Clone)]
pub(super) struct KeyHeader {
    pub(super) name: HeaderName,
    /// What comes before the key: `Bearer `.
    pub(super) prefix: &'static str,
}

impl Endpoint {
    pub(super) fn new(url: Url, key: Option<KeyHeader>) -> Self {
        Endpoint { url, headers: HeaderMap::new(), key }
    }
}

/// One kind of provider at one endpoint.
///
/// A success may be streamed or whole: the transport calls [`is_stream`](Self::is_stream) with the
/// first bytes, because some endpoints ignore `stream: true` and some send a wrong content type.
/// The transport handles redirects and empty bodies itself.
pub(super) trait Adapter: fmt::Debug + Send + Sync {
    /// The name in the configuration and in `gen_ai.provider.name`.
    fn kind(&self) -> &'static str;

    fn endpoint(&self) -> &Endpoint;

    /// The request's body as JSON. It requests a stream where the provider supports one.
    fn body(&self, prompt: &Prompt<'_>) -> Vec<u8>;

    /// A new reader for the deltas of one streamed success.
    fn deltas(&self) -> Box<dyn StreamDeltas>;

    /// Decodes the whole body of a success.
    fn whole(&self, http: &HttpReply) -> Result<Answer, AttemptFailure>;

    /// The address that serves `model`.
    fn url(&self, _model: &str) -> Url {
        self.endpoint().url.clone()
    }

    /// The endpoint's URL without its query, for messages.
    fn location(&self) -> String {
        let mut url = self.endpoint().url.clone();
        url.set_query(None);
        url.into()
    }

    /// The request with this key, and with the headers and fields that the operator adds or drops.
    /// A header with a key is marked sensitive, so `Debug` does not print it.
    fn build(&self, prompt: &Prompt<'_>, key: Option<&Key>) -> HttpRequest {
        HttpRequest {
            url: self.url(prompt.model),
            headers: self.headers(prompt.settings, key),
            body: prompt.settings.set_fields(self.body(prompt)),
        }
    }

    /// The headers of a request with this key, and with those that the operator adds.
    fn headers(&self, settings: &Settings, key: Option<&Key>) -> HeaderMap {
        let Endpoint { headers, key: header, .. } = self.endpoint();
        let mut headers = headers.clone();
        if let (Some(header), Some(key)) = (header, key)
            && let Some(value) = key.header(header.prefix)
        {
            headers.insert(header.name.clone(), value);
        }
        settings.set_headers(&mut headers);
        headers
    }

    /// What no model of this provider takes.
    fn shape(&self) -> Shape {
        Shape::PLAIN
    }

    /// The token limit that [`body`](Self::body) sends, if the provider may stop there without
    /// reporting it.
    fn silent_limit(&self, _prompt: &Prompt<'_>) -> Option<u32> {
        None
    }

    /// How a stream separates its deltas.
    fn framing(&self) -> Framing {
        Framing::server_sent_events()
    }

    /// Whether the body of a success that begins with these bytes is a stream.
    fn is_stream(&self, beginning: &[u8]) -> bool {
        looks_like_sse(beginning)
    }

    /// A decoder for the streamed body of one success.
    fn decoder(&self, head: &HttpHead) -> Box<dyn StreamDecoder> {
        Box::new(DeltaDecoder::new(head, self.framing(), self.deltas()))
    }

    /// The failure that an error status with this body means. The default reads the error bodies of
    /// all known providers.
    fn map_error(&self, http: &HttpReply) -> AttemptFailure {
        error_body::failure(http)
    }
}

/// Decodes one streamed body into an answer. An error of either function is final.
pub(super) trait StreamDecoder: Send {
    /// Decodes the next bytes, which may be cut anywhere. An error frame inside the stream is an
    /// error, with the frame as its excerpt. Unknown events and fields are ignored.
    fn push(&mut self, bytes: &[u8]) -> Result<Vec<StreamEvent>, AttemptFailure>;

    /// Whether the stream's final marker was received. Nothing follows it.
    fn is_done(&self) -> bool;

    /// Whether the reply is complete, although more may follow, such as token counts. How the
    /// connection ends afterwards has no effect.
    fn is_whole(&self) -> bool;

    /// The text that was read so far, as the model wrote it, and its token counts.
    fn so_far(&self) -> (&str, Usage);

    /// The answer, at the end of the body.
    ///
    /// # Errors
    /// [`AttemptFailure::unfinished`] if the final marker is missing.
    fn finish(self: Box<Self>) -> Result<Answer, AttemptFailure>;
}

/// What a part of a stream contained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum StreamEvent {
    /// More text of the reply.
    Text(String),
    /// The model thinks, in text that is not part of the reply.
    Thinking,
    /// Token counts so far.
    Usage(Usage),
    /// Why the model stopped; usage may still follow.
    Finish(Finish),
}
