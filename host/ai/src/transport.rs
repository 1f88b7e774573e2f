//! Sends requests and reads responses. The only module of the gateway that does.

use std::pin::Pin;
use std::time::{Duration, SystemTime};

use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use super::adapter::{Adapter, StreamDecoder, StreamEvent};
use super::answer::{Answer, Finish, Reply};
use super::client_error;
use super::clock::{Clock, Stage};
use super::compressed;
use super::decoding_time::DecodingTime;
use super::failure::AttemptFailure;
use super::in_between;
use super::large_replies::{Admission, LARGE_BYTES};
use super::propagation;
use super::provider::{CallLimits, HttpProvider};
use super::secret::{ApiKey, Key};
use super::text::TextSink;
use super::wire::{self, HttpHead, HttpReply, HttpRequest, Prompt};
use sitewright_http::{Client, ConnectWatch, Connecting, Shard, connect_within, was_closed};
use sitewright_model::ai::{AiError, AiErrorKind, Limit, Usage};

/// Maximum size of a whole response body. No usable reply is longer.
pub(super) const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;

/// What is read of the body of an error. The rest is not: what an error says is at its beginning,
/// and it is parsed and redacted on a thread of the runtime.
pub(super) const MAX_ERROR_BODY_BYTES: usize = 64 * 1024;

/// Maximum size of a streamed body, in which the envelope of each token is much larger than the
/// token.
const MAX_STREAM_BYTES: usize = 16 * MAX_BODY_BYTES;

/// How long to wait for the end of the body after a stream's final marker, so that the connection
/// can be reused.
const LINGER: Duration = Duration::from_millis(100);

/// Maximum time between two chunks of a response of an API beside that of calls.
const CHUNK_WITHIN: Duration = Duration::from_secs(60);

/// Maximum bytes of a stream that was read whole that are decoded at once, before the time that was
/// used is compared with its limit: about as many as arrive of another stream at once.
const DECODED_AT_ONCE: usize = 64 * 1024;

/// Number of bytes that are read to distinguish a stream from a whole body.
const SNIFF_BYTES: usize = 16;

/// Sends over the HTTP client of the process.
#[derive(Debug, Clone)]
pub(super) struct Transport {
    client: Client,
}

/// Times since the begin of the attempt, set as they occur, so that they are known for a failure
/// too.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Timing {
    /// How long connecting took; `None` if an open connection was used.
    pub(super) connect: Option<Duration>,
    /// When the first byte of the body was received.
    pub(super) first_byte: Option<Duration>,
    /// When the first text of a stream was received, or the first sign that the model thinks.
    pub(super) first_token: Option<Duration>,
}

/// What the model had said when an attempt ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Heard {
    /// The size of its text in bytes.
    pub(super) bytes: usize,
    /// Whether the answer broke off, so that token counts in it may be of its beginning only.
    pub(super) broke_off: bool,
}

impl Heard {
    fn whole(answer: &Answer) -> Self {
        Heard { bytes: answer.content.len(), broke_off: false }
    }
}

/// What an attempt reports while it runs.
#[derive(Debug)]
pub(super) struct Live<'a> {
    pub(super) timing: Timing,
    /// `None` if the model had not begun, as far as the answer shows.
    pub(super) heard: Option<Heard>,
    /// Receives the reply's text.
    pub(super) text: &'a mut TextSink,
    /// Notified when the reply begins, or the model begins to think.
    first_token: Option<&'a Notify>,
}

impl<'a> Live<'a> {
    pub(super) fn new(text: &'a mut TextSink, first_token: Option<&'a Notify>) -> Self {
        Live { timing: Timing::default(), heard: None, text, first_token }
    }
}

/// The body of a success, as far as it was read.
#[derive(Default)]
enum Body {
    /// Too few bytes to decide.
    #[default]
    Unknown,
    Whole,
    Stream(Box<dyn StreamDecoder>),
}

impl Body {
    /// Whether the reply is complete, however the connection ends.
    fn is_whole_reply(&self) -> bool {
        matches!(self, Body::Stream(decoder) if decoder.is_whole())
    }
}

/// What was received of a response.
#[derive(Default)]
struct Received {
    body: Body,
    /// The beginning of the body, for excerpts; the whole body if it is not a stream.
    read: Vec<u8>,
}

/// What was read of a stream whose reply is not complete.
struct Part {
    bytes: usize,
    usage: Usage,
    /// For the record.
    excerpt: String,
}

impl Part {
    fn of(decoder: &dyn StreamDecoder) -> Self {
        let (text, usage) = decoder.so_far();
        Part { bytes: text.len(), usage, excerpt: wire::beginning_and_end(text) }
    }
}

impl Received {
    /// The answer of a stream that has ended; `None` if the body is no stream.
    fn answer(
        &mut self,
        adapter: &dyn Adapter,
        head: &HttpHead,
        live: &mut Live<'_>,
    ) -> Result<Option<Answer>, AttemptFailure> {
        let decoder = match std::mem::take(&mut self.body) {
            Body::Whole => return Ok(None),
            Body::Unknown if self.read.trim_ascii().is_empty() => return Ok(None),
            Body::Unknown => {
                let mut decoder = adapter.decoder(head);
                decoder.push(&self.read)?;
                decoder
            }
            Body::Stream(decoder) => decoder,
        };
        let part = (!decoder.is_whole()).then(|| Part::of(decoder.as_ref()));
        decoder.finish().map(Some).map_err(|failure| match part {
            Some(part) => self.broken(failure, part, live),
            None => failure,
        })
    }

    /// The failure of a response that was not read to its end.
    fn broke_off(&mut self, failure: AttemptFailure, live: &mut Live<'_>) -> AttemptFailure {
        match &self.body {
            Body::Unknown | Body::Whole => failure,
            Body::Stream(decoder) => {
                let part = Part::of(decoder.as_ref());
                self.broken(failure, part, live)
            }
        }
    }

    /// The same, with what the model had said: it is paid for, and the record has it.
    fn broken(
        &mut self,
        failure: AttemptFailure,
        part: Part,
        live: &mut Live<'_>,
    ) -> AttemptFailure {
        let Part { bytes, usage, excerpt } = part;
        if bytes > 0 || live.timing.first_token.is_some() {
            live.heard = Some(Heard { bytes, broke_off: true });
        }
        if !excerpt.trim().is_empty() {
            self.read = excerpt.into_bytes();
        }
        if *failure.usage == Usage::default() { failure.with_usage(usage) } else { failure }
    }
}

impl Transport {
    pub(super) fn new(client: Client) -> Self {
        Transport { client }
    }

    /// Makes one attempt: sends, reads and decodes, within all limits. An error status with an
    /// interrupted body is decoded like a complete one, because the status is more informative than
    /// the interruption.
    pub(super) async fn call(
        &self,
        provider: &HttpProvider,
        prompt: &Prompt<'_>,
        key: Option<&Key>,
        deadline: Instant,
        live: &mut Live<'_>,
    ) -> Result<Reply, AttemptFailure> {
        let limits = provider.limits(prompt);
        let clock = Clock::start(limits.call, deadline);
        let adapter = provider.adapter.as_ref();
        let client = provider.client.as_ref().unwrap_or(&self.client);
        // Held until the whole response was read.
        let shard = client.shard();
        let first = {
            let post = post(shard.client(), built(provider, prompt, key));
            let (sending, connecting) = connect_within(limits.connect, post.send());
            let sending = std::pin::pin!(sending);
            sent(sending, &connecting, &clock, limits, &mut live.timing).await
        };
        let mut response = match first {
            Ok(response) => response,
            // The connection was kept open from an earlier request, and the server had closed it:
            // nothing of this request was answered.
            Err(NotSent::Kept(failure)) => {
                tracing::debug!(
                    reason = failure.detail,
                    "a kept connection was closed by the server; the request is sent again"
                );
                // Boxed, because it is rare.
                let again = Box::pin(async {
                    let post = post(client.fresh(), built(provider, prompt, key));
                    let (sending, connecting) = connect_within(limits.connect, post.send());
                    let sending = std::pin::pin!(sending);
                    sent(sending, &connecting, &clock, limits, &mut live.timing).await
                });
                again.await.map_err(NotSent::into_failure)?
            }
            Err(NotSent::Failed(failure)) => return Err(*failure),
        };
        let head = HttpHead {
            status: response.status().as_u16(),
            headers: std::mem::take(response.headers_mut()),
            received: SystemTime::now(),
        };
        let mut received = Received::default();
        // Dropped when the reply was judged.
        let mut admission = provider.large.admission(&clock);
        // Boxed to keep the future of a call that waits in `sent` small.
        let reading = Box::pin(receive(
            response,
            adapter,
            &head,
            &mut admission,
            limits,
            live,
            &mut received,
        ));
        let ended = reading.await;
        let answer = match ended {
            Ok(()) => received.answer(adapter, &head, live),
            Err(failure) => Err(received.broke_off(failure, live)),
        };
        match answer {
            Ok(Some(answer)) => {
                live.heard = Some(Heard::whole(&answer));
                // For the record, should it be no reply.
                let said = (answer.finish != Some(Finish::Stop))
                    .then(|| wire::beginning_and_end(&answer.content))
                    .filter(|said| !said.trim().is_empty());
                let read = said.as_deref().map_or(received.read.as_slice(), str::as_bytes);
                answer.judge(&head).map_err(|failure| failure.of_answer(&head, read))
            }
            Ok(None) => {
                let (body, was_compressed) = plain(&head, received.read, &mut admission).await?;
                let is_success = (200..300).contains(&head.status);
                if was_compressed && is_success && adapter.is_stream(&body) {
                    return whole_stream(adapter, &head, &body)
                        .inspect(|answer| live.heard = Some(Heard::whole(answer)))
                        .and_then(|answer| answer.judge(&head))
                        .map_err(|failure| failure.of_answer(&head, &body));
                }
                let http = HttpReply { head, body };
                whole(
                    &http,
                    |http| {
                        adapter
                            .whole(http)
                            .inspect(|answer| live.heard = Some(Heard::whole(answer)))
                    },
                    |http| adapter.map_error(http),
                )
            }
            Err(failure) => Err(failure.of_answer(&head, &received.read)),
        }
    }
}

/// A response whose body is still to be read.
pub(super) struct OpenAnswer {
    pub(super) head: HttpHead,
    response: reqwest::Response,
    /// Held until the response was read.
    _shard: Shard,
}

impl Transport {
    /// Sends one request to an API beside that of calls, and waits for the head of its response, at
    /// most `within`.
    pub(super) async fn open(
        &self,
        provider: &HttpProvider,
        method: Method,
        request: HttpRequest,
        content_type: Option<&str>,
        within: Duration,
    ) -> Result<OpenAnswer, AttemptFailure> {
        let shard = provider.client.as_ref().unwrap_or(&self.client).shard();
        let HttpRequest { url, headers, body } = request;
        let mut request = shard.client().request(method, url).headers(headers);
        if let Some(content_type) = content_type {
            request = request.header(CONTENT_TYPE, content_type).body(body);
        }
        let (sending, _) = connect_within(provider.connect_limit(), request.send());
        let sent = timeout(within, sending).await.map_err(|_| late(within, "the request"))?;
        let mut response = sent.map_err(|error| client_error::failure(error, "the request"))?;
        let head = HttpHead {
            status: response.status().as_u16(),
            headers: std::mem::take(response.headers_mut()),
            received: SystemTime::now(),
        };
        Ok(OpenAnswer { head, response, _shard: shard })
    }
}

impl OpenAnswer {
    /// The next bytes of the body; `None` at its end.
    pub(super) async fn chunk(&mut self) -> Result<Option<Vec<u8>>, AttemptFailure> {
        let chunk = timeout(CHUNK_WITHIN, self.response.chunk()).await;
        let chunk = chunk.map_err(|_| late(CHUNK_WITHIN, "the answer"))?;
        let chunk = chunk.map_err(|error| client_error::failure(error, "the answer"))?;
        Ok(chunk.map(|chunk| chunk.to_vec()))
    }

    /// The whole body, of at most `max` bytes.
    pub(super) async fn whole(&mut self, max: usize) -> Result<Vec<u8>, AttemptFailure> {
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            body.extend_from_slice(&chunk);
            if body.len() > max {
                let detail = format!("its answer is larger than {} MiB", max >> 20);
                return Err(AttemptFailure::new(AiErrorKind::Protocol, detail));
            }
        }
        Ok(body)
    }
}

fn late(within: Duration, what: &str) -> AttemptFailure {
    let detail = format!("{what} took longer than {} ms", within.as_millis());
    AttemptFailure::new(AiErrorKind::Timeout, detail)
}

/// The request of a call. Called within the span of the attempt, which the provider may get to
/// know.
fn built(provider: &HttpProvider, prompt: &Prompt<'_>, key: Option<&Key>) -> HttpRequest {
    let mut request = provider.adapter.build(prompt, key);
    if provider.propagates_trace {
        propagation::add(&mut request.headers);
    }
    request
}

fn post(client: &reqwest::Client, request: HttpRequest) -> reqwest::RequestBuilder {
    let HttpRequest { url, headers, body } = request;
    client
        .post(url)
        .headers(headers)
        .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
        .body(body)
}

/// Why a request has no response.
enum NotSent {
    /// It was sent over a connection that had been kept open, which was closed before a byte of a
    /// response came.
    Kept(Box<AttemptFailure>),
    Failed(Box<AttemptFailure>),
}

impl NotSent {
    fn into_failure(self) -> AttemptFailure {
        match self {
            NotSent::Kept(failure) | NotSent::Failed(failure) => *failure,
        }
    }
}

/// Sends the request and waits for the head of the response.
async fn sent(
    mut sending: Pin<&mut impl Future<Output = reqwest::Result<reqwest::Response>>>,
    connecting: &ConnectWatch,
    clock: &Clock,
    limits: &CallLimits,
    timing: &mut Timing,
) -> Result<reqwest::Response, NotSent> {
    let mut from = clock.begin;
    let result = loop {
        let stage = Stage { limit: Limit::FirstByte, timeout: limits.first_byte, from };
        match clock.within(Some(stage), &mut sending).await {
            Ok(result) => {
                break result.map_err(|error| {
                    let kept = connecting.took().is_none() && was_closed(&error);
                    let failure = Box::new(client_error::failure(error, "the request"));
                    if kept { NotSent::Kept(failure) } else { NotSent::Failed(failure) }
                });
            }
            // The time to connect has its own limit and does not count.
            Err(failure) if failure.limit == Some(Limit::FirstByte) => {
                match connecting.progress() {
                    Connecting::Done(at) if at > from => from = at,
                    Connecting::Since(at) if at + limits.connect > from => {
                        from = at + limits.connect
                    }
                    _ => break Err(NotSent::Failed(Box::new(failure))),
                }
            }
            Err(failure) => break Err(NotSent::Failed(Box::new(failure))),
        }
    };
    timing.connect = connecting.took();
    result
}

/// Reads the body. A stream is decoded and its text forwarded while it arrives; any other body is
/// left whole in `received`.
async fn receive(
    mut response: reqwest::Response,
    adapter: &dyn Adapter,
    head: &HttpHead,
    admission: &mut Admission<'_>,
    limits: &CallLimits,
    live: &mut Live<'_>,
    received: &mut Received,
) -> Result<(), AttemptFailure> {
    let clock = admission.clock;
    let Received { body, read } = received;
    // A compressed stream is read whole: its first bytes do not show what it is.
    let may_stream = (200..300).contains(&head.status) && !compressed::is_declared(&head.headers);
    if !may_stream {
        *body = Body::Whole;
    }
    let (mut bytes, mut text) = (0_usize, 0_usize);
    // Of a stream's event that has not ended.
    let mut pending = 0_usize;
    let mut ended = None;
    let mut decoding = DecodingTime::default();
    let too_large = |max: usize| {
        let max = max / 1024 / 1024;
        AttemptFailure::new(AiErrorKind::Protocol, format!("its answer is larger than {max} MiB"))
    };
    loop {
        let now = Instant::now();
        let done = matches!(body, Body::Stream(decoder) if decoder.is_done());
        if done {
            ended.get_or_insert(now);
        }
        let connected = clock.begin + live.timing.connect.unwrap_or_default();
        let idle = Stage { limit: Limit::Idle, timeout: limits.idle, from: now };
        let first_token = |timeout| Stage { limit: Limit::FirstToken, timeout, from: connected };
        let stage = match (live.timing.first_byte, limits.first_token) {
            (None, None) => {
                Stage { limit: Limit::FirstByte, timeout: limits.first_byte, from: connected }
            }
            (None, Some(timeout)) => first_token(timeout),
            _ if done => Stage { limit: Limit::Idle, timeout: LINGER, from: ended.unwrap_or(now) },
            // Between the first event and the first text a model thinks, perhaps in silence. Within
            // an event nobody does.
            (Some(_), timeout)
                if !matches!(body, Body::Whole)
                    && live.timing.first_token.is_none()
                    && read.ends_with(b"\n") =>
            {
                first_token(timeout.unwrap_or(limits.default_first_token))
            }
            _ => idle,
        };
        let chunk = match clock.within(Some(stage), response.chunk()).await {
            Ok(Ok(Some(chunk))) if chunk.is_empty() => continue,
            Ok(Ok(Some(chunk))) => chunk,
            Ok(Ok(None)) => break,
            Ok(Err(_)) | Err(_) if body.is_whole_reply() => break,
            Err(failure) if head.status >= 400 && failure.limit != Some(Limit::Deadline) => break,
            Err(failure) => return Err(failure),
            Ok(Err(_)) if head.status >= 400 => break,
            Ok(Err(error)) => {
                let what =
                    format!("its answer ended in the middle, after {bytes} bytes of the body");
                return Err(AttemptFailure {
                    detail: what,
                    ..client_error::failure(error, "the answer")
                });
            }
        };
        live.timing.first_byte.get_or_insert_with(|| clock.elapsed());
        bytes += chunk.len();
        if head.status >= 300 {
            let room = MAX_ERROR_BODY_BYTES - read.len();
            read.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if room <= chunk.len() {
                break;
            }
            continue;
        }
        let max = if matches!(body, Body::Stream(_)) { MAX_STREAM_BYTES } else { MAX_BODY_BYTES };
        if bytes > max {
            return Err(too_large(max));
        }
        let held = match body {
            Body::Stream(_) => {
                pending = match chunk.iter().rposition(|byte| *byte == b'\n') {
                    Some(at) => chunk.len() - at,
                    None => pending + chunk.len(),
                };
                text + pending
            }
            Body::Unknown | Body::Whole => bytes,
        };
        admission.admit(held).await?;
        if let Body::Stream(decoder) = body {
            // Only an excerpt of a stream is stored.
            let room = (AiError::EXCERPT_BYTES + ApiKey::MAX_BYTES).saturating_sub(read.len());
            read.extend_from_slice(&chunk[..chunk.len().min(room)]);
            let events = decoding.spend(|| decoder.push(&chunk))?;
            text += forward(events, live, clock).await?;
        } else {
            read.extend_from_slice(&chunk);
        }
        if matches!(body, Body::Unknown) {
            let blank = read.trim_ascii_start().len() < SNIFF_BYTES && adapter.is_stream(b"");
            *body = match adapter.is_stream(read) {
                false => Body::Whole,
                true if blank => Body::Unknown,
                true => {
                    let mut decoder = adapter.decoder(head);
                    let events = decoding.spend(|| decoder.push(read))?;
                    text += forward(events, live, clock).await?;
                    Body::Stream(decoder)
                }
            };
        }
        if text > MAX_BODY_BYTES {
            return Err(too_large(MAX_BODY_BYTES));
        }
    }
    Ok(())
}

/// The body without a compression that nobody asked for, and whether it had one.
async fn plain(
    head: &HttpHead,
    body: Vec<u8>,
    admission: &mut Admission<'_>,
) -> Result<(Vec<u8>, bool), AttemptFailure> {
    if !compressed::may_be(&body) {
        return Ok((body, false));
    }
    // It may become a thousand times as large.
    admission.admit(LARGE_BYTES).await?;
    let is_success = (200..300).contains(&head.status);
    let max = if is_success { MAX_BODY_BYTES } else { MAX_ERROR_BODY_BYTES };
    let headers = head.headers.clone();
    let work = tokio::task::spawn_blocking(move || {
        // One byte more than the limit shows that it is exceeded.
        let plain = compressed::decompressed(&headers, &body, max + 1);
        (body, plain)
    });
    let (body, plain) = work.await.map_err(|error| {
        let detail =
            format!("its answer could not be decompressed, which is a bug in Sitewright: {error}");
        AttemptFailure::new(AiErrorKind::Other, detail).with_http(head.detail())
    })?;
    match plain {
        None => Ok((body, false)),
        Some(plain) if is_success && plain.len() > max => {
            let max = max / 1024 / 1024;
            let detail = format!("its answer is larger than {max} MiB when it is decompressed");
            Err(AttemptFailure::new(AiErrorKind::Protocol, detail).of_answer(head, &plain))
        }
        Some(mut plain) => {
            plain.truncate(max);
            Ok((plain, true))
        }
    }
}

/// The answer of a stream whose body was read whole, within the time for decoding a stream.
fn whole_stream(
    adapter: &dyn Adapter,
    head: &HttpHead,
    body: &[u8],
) -> Result<Answer, AttemptFailure> {
    let mut decoding = DecodingTime::default();
    let mut decoder = adapter.decoder(head);
    for part in body.chunks(DECODED_AT_ONCE) {
        decoding.spend(|| decoder.push(part))?;
    }
    decoding.spend(|| decoder.finish())
}

/// Forwards the text of these events and returns its size in bytes. Meanwhile only the limit of the
/// whole call applies, because the template is waited for and not the provider.
async fn forward(
    events: Vec<StreamEvent>,
    live: &mut Live<'_>,
    clock: &Clock,
) -> Result<usize, AttemptFailure> {
    let mut bytes = 0;
    for event in events {
        if matches!(event, StreamEvent::Text(_) | StreamEvent::Thinking) {
            live.timing.first_token.get_or_insert_with(|| clock.elapsed());
            if let Some(first_token) = live.first_token {
                first_token.notify_one();
            }
        }
        let StreamEvent::Text(more) = event else { continue };
        bytes += more.len();
        // Nobody waits for it.
        if !live.text.is_heard() {
            continue;
        }
        clock.within(None, live.text.push(&more)).await.map_err(|failure| match failure.limit {
            // `Cancelled`, because it is not a sign of the provider's health.
            Some(Limit::Call) => AttemptFailure {
                detail: format!(
                    "the template did not read its stream: text has waited until the call's limit \
                     of {} ms (call_ms)",
                    clock.call.as_millis()
                ),
                kind: AiErrorKind::Cancelled,
                retryable: false,
                ..failure
            },
            _ => failure,
        })?;
    }
    Ok(bytes)
}

/// Decodes a whole response.
pub(super) fn whole(
    http: &HttpReply,
    success: impl FnOnce(&HttpReply) -> Result<Answer, AttemptFailure>,
    map_error: impl FnOnce(&HttpReply) -> AttemptFailure,
) -> Result<Reply, AttemptFailure> {
    let judged = match http.head.status {
        200..=299 if http.body.trim_ascii().is_empty() => {
            Err(AttemptFailure::new(AiErrorKind::Empty, "its answer has an empty body"))
        }
        200..=299 => success(http).and_then(|answer| answer.judge(&http.head)),
        _ => Err(refused(http, map_error)),
    };
    judged.map_err(|failure| failure.of_answer(&http.head, &http.body))
}

/// The failure that a status beside those of success means: of a redirect, of something between here
/// and the provider, or of the provider.
pub(super) fn refused(
    http: &HttpReply,
    map_error: impl FnOnce(&HttpReply) -> AttemptFailure,
) -> AttemptFailure {
    match http.head.status {
        300..=399 => redirect(&http.head),
        _ => in_between::failure(http).unwrap_or_else(|| map_error(http)),
    }
}

fn redirect(head: &HttpHead) -> AttemptFailure {
    let location = head.headers.get("location").and_then(|value| value.to_str().ok());
    let detail = match location.and_then(|to| to.split('?').next()) {
        Some(to) => format!("it redirects to {to}, and redirects are not followed"),
        None => "it redirects, and redirects are not followed".to_owned(),
    };
    AttemptFailure { retryable: false, ..AttemptFailure::new(AiErrorKind::Protocol, detail) }
}
