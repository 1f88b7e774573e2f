//! The only place of the gateway that sends.

use std::error::Error;
use std::io;
use std::time::{Duration, SystemTime};

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use url::Url;

use super::error::AiErrorKind;
use super::provider::{Failure, HttpReply};
use crate::http::{ConnectTimeout, causes_with_self, connect_within};

/// Most bytes of an answer's body. No reply that a template could use is longer.
pub(super) const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;

/// Sends over the one HTTP client of the process.
#[derive(Debug, Clone)]
pub(super) struct Transport {
    client: reqwest::Client,
}

/// One request, ready to go.
pub(super) struct HttpRequest {
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    /// For name look-up, TCP and TLS together.
    pub(super) connect_limit: Duration,
}

impl Transport {
    pub(super) fn new(client: reqwest::Client) -> Self {
        Transport { client }
    }

    /// Posts JSON and reads the whole answer. An error status with a broken body is still an answer: the status says more than
    /// the break.
    pub(super) async fn post_json(&self, request: HttpRequest) -> Result<HttpReply, Failure> {
        let HttpRequest { url, headers, body, connect_limit } = request;
        let post = self
            .client
            .post(url)
            .headers(headers)
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .body(body);
        let mut response = connect_within(connect_limit, post.send())
            .await
            .map_err(|error| failure(error, "the request"))?;
        let mut reply = HttpReply {
            status: response.status().as_u16(),
            headers: std::mem::take(response.headers_mut()),
            body: Vec::new(),
            received: SystemTime::now(),
        };
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if reply.body.len() + chunk.len() > MAX_BODY_BYTES => {
                    let detail = format!("its answer is larger than {} MiB", MAX_BODY_BYTES / 1024 / 1024);
                    return Err(Failure::new(AiErrorKind::Protocol, detail).with_http(reply.detail()));
                }
                Ok(Some(chunk)) => reply.body.extend_from_slice(&chunk),
                Ok(None) => return Ok(reply),
                Err(_) if reply.status >= 400 => return Ok(reply),
                Err(error) => {
                    let read = reply.body.len();
                    let what = format!("its answer ended in the middle, after {read} bytes of the body");
                    let http = reply.detail();
                    return Err(Failure { detail: what, ..failure(error, "the answer") }.with_http(http));
                }
            }
        }
    }
}

/// The meaning of an error of the HTTP client. Its own text may be as empty as `error sending request`; what happened is in the
/// chain below it (catalogue A1).
fn failure(error: reqwest::Error, what: &str) -> Failure {
    let error = error.without_url();
    let causes = causes_with_self(&error);
    let root = causes.last().map_or_else(|| what.to_owned(), ToString::to_string);
    let (kind, detail) = if let Some(timeout) = find::<ConnectTimeout>(&error) {
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
            Some(io::ErrorKind::ConnectionRefused) => {
                (AiErrorKind::Connection, "the connection was refused: nothing listens there".to_owned())
            }
            Some(io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe) => {
                (AiErrorKind::Connection, format!("the connection broke before {what} was whole: {root}"))
            }
            _ if error.is_builder() => (AiErrorKind::Other, format!("the request could not be made: {root}")),
            _ if error.is_connect() => {
                (AiErrorKind::Connection, format!("no connection could be made: {root}"))
            }
            _ => (AiErrorKind::Connection, format!("the connection broke: {root}")),
        }
    };
    Failure { causes, ..Failure::new(kind, detail) }
}

/// The first error of this type in the chain, also inside I/O errors, which hide what they wrap from the chain.
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
