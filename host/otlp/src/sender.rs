//! Sends a batch with the HTTP client of the process.

use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::{Request, Response, StatusCode};
use opentelemetry_http::{HttpClient, HttpError};

use super::Reason;

/// Wait before a batch is sent again; it doubles with each further attempt.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// Maximum number of times that a batch is sent, all within its timeout.
const ATTEMPTS: u32 = 4;

/// What is read of a response: it says how many items were refused.
const MAX_RESPONSE_BYTES: usize = 64 * 1024;

/// The HTTP client of one signal.
#[derive(Debug)]
pub(super) struct Sender {
    client: sitewright_http::Client,
    within: Duration,
    reason: Reason,
}

impl Sender {
    /// `within` is for a batch, with all repetitions.
    pub(super) fn new(client: sitewright_http::Client, within: Duration) -> Self {
        Sender { client, within, reason: Reason::default() }
    }

    /// Why the last batch was not sent: the exporter's own errors do not say it.
    pub(super) fn reason(&self) -> Reason {
        self.reason.clone()
    }

    /// Sends, and sends again after a connection that failed and after the answer of a busy server,
    /// as OTLP demands.
    async fn send(&self, request: &Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let mut wait = FIRST_WAIT;
        let mut attempt = 1;
        loop {
            let answer = self.send_once(request).await;
            let again = match &answer {
                Ok(response) => is_busy(response.status()),
                Err(_) => true,
            };
            self.note(&answer);
            if !again || attempt == ATTEMPTS {
                return answer;
            }
            tokio::time::sleep(wait).await;
            wait *= 2;
            attempt += 1;
        }
    }

    async fn send_once(&self, request: &Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let request = reqwest::Request::try_from(request.clone())?;
        let mut response = self.client.first().execute(request).await?;
        let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await? {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_RESPONSE_BYTES {
                break;
            }
        }
        let mut answer = Response::new(body.freeze());
        *answer.status_mut() = status;
        *answer.headers_mut() = headers;
        Ok(answer)
    }

    /// Keeps why the batch was not taken. The URL is left out: it may have a key.
    fn note(&self, answer: &Result<Response<Bytes>, HttpError>) {
        *self.reason.lock() = match answer {
            Ok(response) if response.status().is_success() => None,
            Ok(response) => Some(format!("it answers with status {}", response.status().as_u16())),
            Err(error) => Some(match error.source() {
                Some(source) => innermost(source),
                None => "it cannot be reached".to_owned(),
            }),
        };
    }
}

/// The cause of an error that has no cause itself.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// The answers after which a batch is sent again.
fn is_busy(status: StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 502 | 503 | 504)
}

#[async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        match tokio::time::timeout(self.within, self.send(&request)).await {
            Ok(answer) => answer,
            Err(late) => {
                let reason = format!("no answer came within {} ms", self.within.as_millis());
                self.reason.lock().get_or_insert(reason);
                Err(late.into())
            }
        }
    }
}
