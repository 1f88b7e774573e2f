//! Sends a batch with the HTTP client of the process.

use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, Request, Response, StatusCode};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;
use sitewright_model::text::one_line;

use super::{Answer, Answers};

/// Wait before a batch is sent again; it doubles with each further attempt.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// Maximum number of times that a batch is sent, all within its timeout.
const ATTEMPTS: u32 = 4;

/// What is read of a response: it says how many items were refused.
const MAX_RESPONSE_BYTES: usize = 64 * 1024;

/// Characters of what a collector says that the log shows.
const MAX_SHOWN: usize = 300;

/// Minimum bytes of a word of a header that may be a key. Shorter ones are words of any text.
const MIN_KEY: usize = 8;

/// The HTTP client of one signal.
#[derive(Debug)]
pub(super) struct Sender {
    client: sitewright_http::Client,
    within: Duration,
    answers: Answers,
}

impl Sender {
    /// `within` is for a batch, with all repetitions.
    pub(super) fn new(client: sitewright_http::Client, within: Duration) -> Self {
        Sender { client, within, answers: Answers::default() }
    }

    /// What became of the last batch: the exporter's own errors do not say it.
    pub(super) fn answers(&self) -> Answers {
        self.answers.clone()
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
            self.note(request.headers(), &answer);
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

    /// Keeps why the batch was not taken. The URL is left out: it may have a key. So may the headers
    /// that were `sent`.
    fn note(&self, sent: &HeaderMap, answer: &Result<Response<Bytes>, HttpError>) {
        let because = |reason| Answer { reason: Some(reason), rejected: 0 };
        *self.answers.lock() = match answer {
            Ok(response) if response.status().is_success() => taken(response.body(), sent),
            Ok(response) => {
                because(format!("it answers with status {}", response.status().as_u16()))
            }
            Err(error) => because(match error.source() {
                Some(source) => innermost(source),
                None => "it cannot be reached".to_owned(),
            }),
        };
    }
}

/// What a collector says of a batch that it has taken: a part may be refused all the same. `sent` are
/// the headers of the batch.
fn taken(body: &Bytes, sent: &HeaderMap) -> Answer {
    // The answers about lines of the log and about metrics have the same fields.
    let answer = ExportTraceServiceResponse::decode(body.clone()).ok();
    let Some(partial) = answer.and_then(|answer| answer.partial_success) else {
        return Answer::default();
    };
    let rejected = u64::try_from(partial.rejected_spans).unwrap_or_default();
    if rejected == 0 {
        return Answer::default();
    }
    let why = without_keys(&partial.error_message, sent);
    let why: String = one_line(&why).chars().take(MAX_SHOWN).collect();
    let why = if why.is_empty() { "it does not say why" } else { why.as_str() };
    Answer { reason: Some(format!("it refused a part of a batch: {why}")), rejected }
}

/// A text of a collector without the words of the headers that the operator set: one may be a key,
/// and a collector that refuses it may repeat it, with or without a word such as `Bearer`.
fn without_keys(text: &str, sent: &HeaderMap) -> String {
    let common = [ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HOST, USER_AGENT];
    let own = sent.iter().filter(|(name, _)| !common.contains(name));
    let values = own.filter_map(|(_, value)| value.to_str().ok());
    let words = values.flat_map(str::split_whitespace).filter(|word| word.len() >= MIN_KEY);
    words.fold(text.to_owned(), |text, word| text.replace(word, "[header removed]"))
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
                self.answers.lock().reason.get_or_insert(reason);
                Err(late.into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTracePartialSuccess;

    use super::*;

    #[test]
    fn a_batch_that_is_taken_in_part_says_so() {
        let answer = |rejected, message: &str| {
            let partial = ExportTracePartialSuccess {
                rejected_spans: rejected,
                error_message: message.to_owned(),
            };
            let response = ExportTraceServiceResponse { partial_success: Some(partial) };
            let mut sent = HeaderMap::new();
            for (name, value) in [
                ("content-type", "application/x-protobuf"),
                ("authorization", "Bearer key-0123456789"),
                ("x-team", "web"),
            ] {
                sent.insert(name, value.parse().unwrap());
            }
            taken(&Bytes::from(response.encode_to_vec()), &sent)
        };
        let full = answer(3, "too\nold");
        assert_eq!(full.rejected, 3);
        let reason = full.reason.unwrap();
        assert!(reason.contains("refused a part of a batch: too old"), "{reason}");
        assert!(answer(1, "").reason.unwrap().contains("does not say why"));
        for (says, shown) in [
            ("no key-0123456789!", "no [header removed]!"),
            ("no Bearer key-0123456789", "no Bearer [header removed]"),
            ("the team web, application/x-protobuf", "the team web, application/x-protobuf"),
        ] {
            let reason = answer(1, says).reason.unwrap();
            assert!(reason.ends_with(shown), "{reason}");
        }
        let none = |body: &'static [u8]| taken(&Bytes::from_static(body), &HeaderMap::new());
        for all in [answer(0, "use the new port"), answer(-1, ""), none(b"")] {
            assert_eq!((all.rejected, all.reason), (0, None));
        }
        assert_eq!(none(b"{\"partialSuccess\":{}}").rejected, 0);
    }
}
