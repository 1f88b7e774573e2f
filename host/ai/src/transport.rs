//! The only place of the gateway that sends.

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::time::{Duration, SystemTime};

use reqwest::header::{CONTENT_TYPE, HeaderValue};
use tokio::time::Instant;

use super::answer::Answer;
use super::provider::{
    Adapter, CallLimits, Failure, HttpHead, HttpProvider, HttpReply, HttpRequest, Prompt, Reply,
    StreamDecoder, StreamEvent,
};
use super::secret::ApiKey;
use super::text::TextSink;
use sitewright_http::{
    Client, ConnectTimeout, ConnectWatch, Connecting, causes_with_self, connect_within,
};
use sitewright_model::ai::{AiError, AiErrorKind, Limit};

/// Most bytes of an answer's body. No reply that a template could use is longer.
pub(super) const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;

/// Most bytes of a streamed body: each token comes in an envelope many times its size.
const MAX_STREAM_BYTES: usize = 16 * MAX_BODY_BYTES;

/// How long the end of the body is waited for after a stream's final marker. A connection that is
/// read to its end can be used again.
const LINGER: Duration = Duration::from_millis(100);

/// Bytes of a success that are looked at to tell a stream from a whole body.
const SNIFFED: usize = 16;

/// Sends over the HTTP client of the process.
#[derive(Debug, Clone)]
pub(super) struct Transport {
    client: Client,
}

/// When what happened, from the attempt's begin; filled in as it goes, so that a failure keeps it
/// too.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Timing {
    /// How long connecting took; nothing when a connection was open already.
    pub(super) connect: Option<Duration>,
    /// When the first byte of the body came.
    pub(super) first_byte: Option<Duration>,
}

/// What an attempt tells while it goes on.
#[derive(Debug)]
pub(super) struct Live<'a> {
    pub(super) timing: Timing,
    /// Where the reply's text goes.
    pub(super) text: &'a mut TextSink,
}

impl<'a> Live<'a> {
    /// For an attempt that begins now.
    pub(super) fn new(text: &'a mut TextSink) -> Self {
        Live { timing: Timing::default(), text }
    }
}

/// The two limits that hold for all of an attempt, whatever it waits for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    begin: Instant,
    call: Duration,
    deadline: Instant,
}

/// A limit of one part of an attempt.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stage {
    limit: Limit,
    most: Duration,
    from: Instant,
}

impl Clock {
    pub(super) fn start(call: Duration, deadline: Instant) -> Self {
        Clock { begin: Instant::now(), call, deadline }
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.begin.elapsed()
    }

    /// The outcome, or the failure that names the limit that passed first: the stage's, the call's,
    /// or the order's deadline (catalogue C8, E1).
    pub(super) async fn within<F: Future>(
        &self,
        stage: Option<Stage>,
        waited: F,
    ) -> Result<F::Output, Failure> {
        let (end, limit) = self.next(stage);
        match tokio::time::timeout_at(end, waited).await {
            Ok(output) => Ok(output),
            Err(_) => Err(self.out_of_time(limit, stage)),
        }
    }

    /// Which limit passes first, and when.
    fn next(&self, stage: Option<Stage>) -> (Instant, Limit) {
        let stage =
            stage.and_then(|stage| Some((stage.from.checked_add(stage.most)?, stage.limit)));
        let call = self.begin.checked_add(self.call).map(|end| (end, Limit::Call));
        let ends = stage.into_iter().chain(call).chain([(self.deadline, Limit::Deadline)]);
        // The first of equals counts: what the operator set before what the order has left.
        ends.min_by_key(|(end, _)| *end).unwrap_or((self.deadline, Limit::Deadline))
    }

    fn out_of_time(&self, limit: Limit, stage: Option<Stage>) -> Failure {
        let (call, waited) = (self.call.as_millis(), self.elapsed().as_millis());
        let most = stage.map_or(0, |stage| stage.most.as_millis());
        let (kind, detail) = match limit {
            Limit::Deadline => (
                AiErrorKind::Cancelled,
                format!(
                    "the order's deadline passed after {waited} ms of this call, before the \
                     call's own limit of {call} ms"
                ),
            ),
            Limit::Call => (
                AiErrorKind::Timeout,
                format!("no whole answer within its limit of {call} ms (call_ms)"),
            ),
            Limit::Connect => (
                AiErrorKind::Timeout,
                format!("no connection was made within {most} ms (connect_ms)"),
            ),
            Limit::FirstByte => (
                AiErrorKind::Timeout,
                format!("no byte of an answer within {most} ms of the connection (first_byte_ms)"),
            ),
            Limit::Idle => (
                AiErrorKind::Timeout,
                format!(
                    "its answer stalled: nothing for {most} ms, after {waited} ms of this call \
                     (idle_ms)"
                ),
            ),
        };
        Failure { limit: Some(limit), ..Failure::new(kind, detail) }
    }
}

/// What became of a success's body so far.
enum Body {
    /// Too few bytes to tell.
    Unknown,
    Whole,
    Stream(Box<dyn StreamDecoder>),
}

impl Transport {
    pub(super) fn new(client: Client) -> Self {
        Transport { client }
    }

    /// One attempt: sends, reads and decodes, within every limit. An error status with a broken
    /// body is still an answer: the status says more than the break.
    pub(super) async fn call(
        &self,
        provider: &HttpProvider,
        prompt: &Prompt<'_>,
        deadline: Instant,
        live: &mut Live<'_>,
    ) -> Result<Reply, Failure> {
        let limits = &provider.limits;
        let clock = Clock::start(limits.call, deadline);
        let adapter = provider.adapter.as_ref();
        // Until the whole answer is there.
        let lane = self.client.lane();
        let mut response = {
            let post = post(lane.client(), adapter.build(prompt));
            let (sending, connecting) = connect_within(limits.connect, post.send());
            let sending = std::pin::pin!(sending);
            sent(sending, &connecting, &clock, limits, &mut live.timing).await?
        };
        let head = HttpHead {
            status: response.status().as_u16(),
            headers: std::mem::take(response.headers_mut()),
            received: SystemTime::now(),
        };
        // The beginning of what came, for excerpts; all of it when the body is not a stream.
        let mut read = Vec::new();
        // Boxed: thousands of calls wait in `sent`, with no room for this.
        let received = Box::pin(receive(response, adapter, &head, &clock, limits, live, &mut read));
        match received.await {
            Ok(Some(answer)) => {
                answer.judge(&head).map_err(|failure| failure.of_answer(&head, &read))
            }
            Ok(None) => {
                let http = HttpReply { head, body: read };
                whole(&http, |http| adapter.whole(http), |http| adapter.map_error(http))
            }
            Err(failure) => Err(failure.of_answer(&head, &read)),
        }
    }
}

fn post(client: &reqwest::Client, request: HttpRequest) -> reqwest::RequestBuilder {
    let HttpRequest { url, headers, body } = request;
    client
        .post(url)
        .headers(headers)
        .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
        .body(body)
}

/// Sends and waits for the head of the answer.
async fn sent(
    mut sending: Pin<&mut impl Future<Output = reqwest::Result<reqwest::Response>>>,
    connecting: &ConnectWatch,
    clock: &Clock,
    limits: &CallLimits,
    timing: &mut Timing,
) -> Result<reqwest::Response, Failure> {
    let mut from = clock.begin;
    let result = loop {
        let stage = Stage { limit: Limit::FirstByte, most: limits.first_byte, from };
        match clock.within(Some(stage), &mut sending).await {
            Ok(result) => break result.map_err(|error| failure(error, "the request")),
            // The time to connect has a limit of its own and does not count.
            Err(failure) if failure.limit == Some(Limit::FirstByte) => {
                match connecting.progress() {
                    Connecting::Done(at) if at > from => from = at,
                    Connecting::Since(at) if at + limits.connect > from => {
                        from = at + limits.connect
                    }
                    _ => break Err(failure),
                }
            }
            Err(failure) => break Err(failure),
        }
    };
    timing.connect = connecting.took();
    result
}

/// Reads the body: a stream is decoded, and its text passed on, as it comes; anything else is left
/// whole in `read` for the caller.
async fn receive(
    mut response: reqwest::Response,
    adapter: &dyn Adapter,
    head: &HttpHead,
    clock: &Clock,
    limits: &CallLimits,
    live: &mut Live<'_>,
    read: &mut Vec<u8>,
) -> Result<Option<Answer>, Failure> {
    let mut body = if (200..300).contains(&head.status) { Body::Unknown } else { Body::Whole };
    let (mut bytes, mut text) = (0_usize, 0_usize);
    let mut ended = None;
    let too_large = |most: usize| {
        let most = most / 1024 / 1024;
        Failure::new(AiErrorKind::Protocol, format!("its answer is larger than {most} MiB"))
    };
    loop {
        let now = Instant::now();
        let done = matches!(&body, Body::Stream(decoder) if decoder.is_done());
        if done {
            ended.get_or_insert(now);
        }
        let stage = match live.timing.first_byte {
            None => {
                let connected = clock.begin + live.timing.connect.unwrap_or_default();
                Stage { limit: Limit::FirstByte, most: limits.first_byte, from: connected }
            }
            Some(_) if done => {
                Stage { limit: Limit::Idle, most: LINGER, from: ended.unwrap_or(now) }
            }
            Some(_) => Stage { limit: Limit::Idle, most: limits.idle, from: now },
        };
        let chunk = match clock.within(Some(stage), response.chunk()).await {
            Ok(Ok(Some(chunk))) if chunk.is_empty() => continue,
            Ok(Ok(Some(chunk))) => chunk,
            Ok(Ok(None)) => break,
            Ok(Err(_)) | Err(_) if done => break,
            Err(failure) if head.status >= 400 && failure.limit != Some(Limit::Deadline) => break,
            Err(failure) => return Err(failure),
            Ok(Err(_)) if head.status >= 400 => break,
            Ok(Err(error)) => {
                let what =
                    format!("its answer ended in the middle, after {bytes} bytes of the body");
                return Err(Failure { detail: what, ..failure(error, "the answer") });
            }
        };
        live.timing.first_byte.get_or_insert_with(|| clock.elapsed());
        bytes += chunk.len();
        let most = if matches!(body, Body::Stream(_)) { MAX_STREAM_BYTES } else { MAX_BODY_BYTES };
        if bytes > most {
            return Err(too_large(most));
        }
        if let Body::Stream(decoder) = &mut body {
            // Only an excerpt of a stream is kept.
            let room = (AiError::EXCERPT_BYTES + ApiKey::MAX_BYTES).saturating_sub(read.len());
            read.extend_from_slice(&chunk[..chunk.len().min(room)]);
            text += pass_on(decoder.push(&chunk)?, live.text, clock).await?;
        } else {
            read.extend_from_slice(&chunk);
        }
        if matches!(body, Body::Unknown) {
            let blank = read.trim_ascii_start().len() < SNIFFED && adapter.is_stream(b"");
            body = match adapter.is_stream(read) {
                false => Body::Whole,
                true if blank => Body::Unknown,
                true => {
                    let mut decoder = adapter.decoder(head);
                    text += pass_on(decoder.push(read)?, live.text, clock).await?;
                    Body::Stream(decoder)
                }
            };
        }
        if text > MAX_BODY_BYTES {
            return Err(too_large(MAX_BODY_BYTES));
        }
    }
    match body {
        Body::Whole => Ok(None),
        Body::Stream(decoder) => decoder.finish().map(Some),
        Body::Unknown if read.trim_ascii().is_empty() => Ok(None),
        Body::Unknown => {
            let mut decoder = adapter.decoder(head);
            decoder.push(read)?;
            decoder.finish().map(Some)
        }
    }
}

/// Passes on the text among these events and tells its bytes. The provider's limits other than the
/// call's do not count meanwhile: it is not the provider that is waited for.
async fn pass_on(
    events: Vec<StreamEvent>,
    text: &mut TextSink,
    clock: &Clock,
) -> Result<usize, Failure> {
    let mut bytes = 0;
    for event in events {
        let StreamEvent::Text(more) = event else { continue };
        bytes += more.len();
        clock.within(None, text.push(&more)).await.map_err(|failure| match failure.limit {
            // Says nothing about the provider's health.
            Some(Limit::Call) => Failure {
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

/// The meaning of an answer that came whole.
pub(super) fn whole(
    http: &HttpReply,
    success: impl FnOnce(&HttpReply) -> Result<Answer, Failure>,
    map_error: impl FnOnce(&HttpReply) -> Failure,
) -> Result<Reply, Failure> {
    let judged = match http.head.status {
        200..=299 if http.body.trim_ascii().is_empty() => {
            Err(Failure::new(AiErrorKind::Empty, "its answer has an empty body"))
        }
        200..=299 => success(http).and_then(|answer| answer.judge(&http.head)),
        300..=399 => Err(redirect(&http.head)),
        _ => Err(map_error(http)),
    };
    judged.map_err(|failure| failure.of_answer(&http.head, &http.body))
}

fn redirect(head: &HttpHead) -> Failure {
    let location = head.headers.get("location").and_then(|value| value.to_str().ok());
    let detail = match location.and_then(|to| to.split('?').next()) {
        Some(to) => format!("it redirects to {to}, and redirects are not followed"),
        None => "it redirects, and redirects are not followed".to_owned(),
    };
    Failure { retryable: false, ..Failure::new(AiErrorKind::Protocol, detail) }
}

/// The meaning of an error of the HTTP client. Its own text may be as empty as `error sending
/// request`; what happened is in the chain below it (catalogue A1).
fn failure(error: reqwest::Error, what: &str) -> Failure {
    let error = error.without_url();
    let causes = causes_with_self(&error);
    let root = causes.last().map_or_else(|| what.to_owned(), ToString::to_string);
    let timeout = find::<ConnectTimeout>(&error).copied();
    let (kind, detail) = if let Some(timeout) = timeout {
        let limit = timeout.limit.as_millis();
        (AiErrorKind::Timeout, format!("no connection was made within {limit} ms (connect_ms)"))
    } else if error.is_timeout() {
        (AiErrorKind::Timeout, format!("{what} took too long: {root}"))
    } else if causes.iter().any(|cause| cause.as_str().starts_with("dns error")) {
        (AiErrorKind::Connection, format!("its host name is not known: {root}"))
    } else if find::<rustls::Error>(&error).is_some() {
        (AiErrorKind::Connection, format!("TLS failed: {root}"))
    } else {
        match io_kind(&error) {
            Some(io::ErrorKind::ConnectionRefused) => (
                AiErrorKind::Connection,
                "the connection was refused: nothing listens there".to_owned(),
            ),
            Some(io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe) => (
                AiErrorKind::Connection,
                format!("the connection broke before {what} was whole: {root}"),
            ),
            _ if error.is_builder() => {
                (AiErrorKind::Other, format!("the request could not be made: {root}"))
            }
            _ if error.is_connect() => {
                (AiErrorKind::Connection, format!("no connection could be made: {root}"))
            }
            _ => (AiErrorKind::Connection, format!("the connection broke: {root}")),
        }
    };
    let limit = timeout.map(|_| Limit::Connect);
    Failure { causes, limit, ..Failure::new(kind, detail) }
}

/// The first error of this type in the chain, also inside I/O errors, which hide what they wrap
/// from the chain.
fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        let inner = error.downcast_ref::<io::Error>().and_then(|error| error.get_ref());
        if let Some(found) = inner.and_then(|inner| find::<E>(inner)) {
            return Some(found);
        }
        next = error.source();
    }
    None
}

fn io_kind(error: &(dyn Error + 'static)) -> Option<io::ErrorKind> {
    find::<io::Error>(error).map(io::Error::kind)
}
