//! One attempt of a delivery: what is sent, and what the answer means.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, InvalidHeaderValue, RETRY_AFTER};
use sitewright_http::wait::retry_after;
use sitewright_http::{Client, Reach, SingleAnswer, SingleClient, causes_with_self};
use sitewright_jobs::{ClaimedDelivery, DeliveryRecord};
use sitewright_model::time::now_ms;
use url::Url;

use super::secret::signature;
use super::settings::Receiver;
use super::target::target;

/// Maximum bytes of an answer's body that are read and kept.
const BODY_BYTES: usize = 4 << 10;
/// Time for the body of an answer, which decides nothing.
const BODY_WITHIN: Duration = Duration::from_secs(2);
/// Longest wait that a receiver can ask for: 1 h.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3_600);

/// Removes secrets from what a receiver answers, before it is stored.
#[derive(Clone)]
pub struct Redact(Arc<dyn Fn(&str) -> String + Send + Sync>);

impl Redact {
    pub fn new(redact: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        Redact(Arc::new(redact))
    }
}

impl fmt::Debug for Redact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redact")
    }
}

/// What an answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The receiver has it: a status of success.
    Accepted,
    /// The receiver wants nothing more: 410.
    Gone,
    /// Anything else, also no answer.
    Refused {
        /// The wait that the receiver asks for.
        retry_after: Option<Duration>,
    },
    /// The address of a callback must not be called, whoever is there.
    Forbidden,
}

/// Sends deliveries.
#[derive(Debug, Clone)]
pub struct Sender {
    client: SingleClient,
    redact: Redact,
}

impl Sender {
    pub fn new(client: &Client, redact: Redact) -> Self {
        Sender { client: client.single(), redact }
    }

    /// Sends a delivery once. Takes at most the receiver's timeout and 2 s.
    pub async fn send(
        &self,
        receiver: &Receiver,
        delivery: &ClaimedDelivery,
    ) -> (DeliveryRecord, Answer) {
        let (at, begin) = (now_ms(), Instant::now());
        let attempt = match address(receiver, delivery) {
            Ok(url) => self.attempt(receiver, delivery, url, at).await,
            Err(why) => Attempt::failed(why, Answer::Forbidden),
        };
        let Attempt { status, error, body, answer } = attempt;
        let body = body.map(|body| self.cleaned(receiver, &body));
        let status = status.map(|status| status.as_u16());
        (DeliveryRecord { at, took: begin.elapsed(), status, error, body }, answer)
    }

    async fn attempt(
        &self,
        receiver: &Receiver,
        delivery: &ClaimedDelivery,
        url: Url,
        at: i64,
    ) -> Attempt {
        let reach = if receiver.allow_private { Reach::Any } else { Reach::Public };
        let refused = Answer::Refused { retry_after: None };
        let headers = match headers(receiver, delivery, at.div_euclid(1_000)) {
            Ok(headers) => headers,
            Err(error) => return Attempt::failed(error.to_string(), refused),
        };
        let sending = self.client.post(&url, reach, headers, delivery.payload.clone());
        let response = match tokio::time::timeout(receiver.timeout, sending).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                let causes = causes_with_self(&error);
                let causes: Vec<&str> = causes.iter().map(|cause| cause.as_str()).collect();
                return Attempt::failed(causes.join(": "), refused);
            }
            Err(_) => {
                let ms = receiver.timeout.as_millis();
                return Attempt::failed(format!("no answer within {ms} ms"), refused);
            }
        };
        let status = response.status;
        let (error, answer) = meaning(status, requested_wait(&response));
        let body = beginning(response).await;
        Attempt { status: Some(status), error, body, answer }
    }

    /// What a receiver answered, without secrets and without what a terminal would obey.
    fn cleaned(&self, receiver: &Receiver, body: &[u8]) -> String {
        let text = String::from_utf8_lossy(body);
        let text: String = text
            .chars()
            .map(|c| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c })
            .collect();
        let text = receiver.secrets.iter().fold(text, |text, secret| secret.removed_from(&text));
        (self.redact.0)(&text)
    }
}

/// The headers of a delivery, with its signature.
fn headers(
    receiver: &Receiver,
    delivery: &ClaimedDelivery,
    timestamp: i64,
) -> Result<HeaderMap, InvalidHeaderValue> {
    let signed = signature(&receiver.secrets, &delivery.id, timestamp, delivery.payload.as_bytes());
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert("webhook-id", HeaderValue::try_from(&delivery.id)?);
    headers.insert("webhook-timestamp", HeaderValue::from(timestamp));
    headers.insert("webhook-signature", HeaderValue::try_from(signed)?);
    Ok(headers)
}

struct Attempt {
    status: Option<StatusCode>,
    error: Option<String>,
    body: Option<Vec<u8>>,
    answer: Answer,
}

impl Attempt {
    fn failed(error: String, answer: Answer) -> Self {
        Attempt { status: None, error: Some(error), body: None, answer }
    }
}

/// Where a delivery goes. A callback was checked when its order was added, perhaps by other rules.
fn address(receiver: &Receiver, delivery: &ClaimedDelivery) -> Result<Url, String> {
    match (&receiver.url, &delivery.url) {
        (Some(url), _) => Ok(url.clone()),
        (None, Some(callback)) => target(callback, receiver.allow_private)
            .map_err(|why| format!("the callback of the order {why}")),
        (None, None) => Err("the delivery has no address".to_owned()),
    }
}

/// What a status means, and why it is no success.
fn meaning(status: StatusCode, retry_after: Option<Duration>) -> (Option<String>, Answer) {
    if status.is_success() {
        return (None, Answer::Accepted);
    }
    if status == StatusCode::GONE {
        let why = "the receiver wants no more deliveries (410 Gone)".to_owned();
        return (Some(why), Answer::Gone);
    }
    let refused = Answer::Refused { retry_after };
    if status.is_redirection() {
        let why = format!("the receiver answered {status}, and redirects are not followed");
        return (Some(why), refused);
    }
    (Some(format!("the receiver answered {status}")), refused)
}

/// The wait that a receiver asks for.
fn requested_wait(response: &SingleAnswer) -> Option<Duration> {
    let text = response.headers.get(RETRY_AFTER)?.to_str().ok()?;
    requested(text, SystemTime::now())
}

fn requested(text: &str, now: SystemTime) -> Option<Duration> {
    Some(retry_after(text, now)?.min(MAX_RETRY_AFTER))
}

/// The beginning of the body, as far as it comes in time.
async fn beginning(mut response: SingleAnswer) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    let read = async {
        while body.len() < BODY_BYTES {
            match response.chunk().await {
                Ok(Some(chunk)) => {
                    let room = BODY_BYTES - body.len();
                    body.extend_from_slice(&chunk[..chunk.len().min(room)]);
                }
                Ok(None) => break,
                Err(error) => {
                    tracing::debug!(%error, "the body of an answer ended early");
                    break;
                }
            }
        }
    };
    if tokio::time::timeout(BODY_WITHIN, read).await.is_err() {
        tracing::debug!("the body of an answer did not arrive in time");
    }
    (!body.is_empty()).then_some(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_asks_for_a_wait_in_seconds_or_as_a_date() {
        // 2027-01-15T08:00:00Z.
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        for (text, seconds) in [
            ("0", Some(0)),
            ("7", Some(7)),
            ("3600", Some(3_600)),
            ("3601", Some(3_600)),
            ("99999999999999999999", Some(3_600)),
            ("Fri, 15 Jan 2027 08:00:09 GMT", Some(9)),
            ("Fri, 15 Jan 2027 07:00:00 GMT", Some(0)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(3_600)),
            ("-5", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(requested(text, now), seconds.map(Duration::from_secs), "{text:?}");
        }
    }
}
