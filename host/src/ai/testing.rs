//! What the tests of the adapters share: requests, answers as bytes, and the table that every error row is checked by.

use std::time::{Duration, SystemTime};

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use super::advice::{self, Place};
use super::error::AiErrorKind;
use super::json::ReplySchema;
use super::provider::{Failure, HttpReply, Provider};
use super::request::{ChatMessage, Format, Purpose, Request, Role};

pub(super) type Headers<'a> = &'a [(&'a str, &'a str)];

/// An answer that came at second 1,800,000,000: 2027-01-15T08:00:00Z.
pub(super) fn http(status: u16, headers: Headers<'_>, body: impl AsRef<[u8]>) -> HttpReply {
    let header = |(name, value): &(&str, &str)| {
        (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap())
    };
    HttpReply {
        status,
        headers: headers.iter().map(header).collect::<HeaderMap>(),
        body: body.as_ref().to_vec(),
        received: SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000),
    }
}

/// A short conversation with everything that a request can have.
pub(super) fn ask(format: Format) -> Request {
    let message = |role, content: &str| ChatMessage { role, content: content.to_owned() };
    Request {
        purpose: Purpose::new("copywriting").unwrap(),
        messages: vec![
            message(Role::System, "You write."),
            message(Role::User, "Write."),
            message(Role::Assistant, "What?"),
            message(Role::User, "Anything."),
        ],
        format,
        max_output_tokens: None,
        temperature: None,
        seed: Some(7),
        stop: vec!["END".to_owned()],
    }
}

pub(super) fn schema(schema: &Value) -> Format {
    Format::JsonSchema(ReplySchema::compile(&schema.to_string()).unwrap())
}

/// One way in which a provider fails, and what must be made of it.
pub(super) struct Row<'a> {
    pub(super) name: &'a str,
    pub(super) status: u16,
    pub(super) headers: Headers<'a>,
    pub(super) body: String,
    pub(super) kind: AiErrorKind,
    pub(super) retryable: bool,
    pub(super) wait_ms: Option<u64>,
    /// The provider's id of the request, wherever it stands.
    pub(super) id: Option<&'a str>,
    /// A part of the message: what the provider said.
    pub(super) says: &'a str,
}

impl Row<'_> {
    pub(super) fn http(&self) -> HttpReply {
        http(self.status, self.headers, &self.body)
    }

    /// Holds the failure against the row, and its message against what every message must have: what happened, where, and what
    /// to do next.
    pub(super) fn check(&self, failure: &Failure, at: &Provider) {
        let name = self.name;
        assert_eq!((failure.kind, failure.retryable), (self.kind, self.retryable), "{name}: {failure:?}");
        let detail = failure.http.as_ref().unwrap_or_else(|| panic!("{name}: no HTTP detail"));
        assert_eq!(detail.status, self.status, "{name}");
        assert_eq!(detail.retry_after_ms, self.wait_ms, "{name}: {failure:?}");
        assert_eq!(detail.request_id.as_deref(), self.id, "{name}");
        let place = Place { route: "default", provider: "them", model: "m", at };
        let message = advice::message(&place, failure).to_string();
        assert!(message.contains(self.says), "{name}: {message}");
        let (_, next) = message.rsplit_once("; ").unwrap_or_else(|| panic!("{name}: {message}"));
        assert!(next.len() > " (route `default`, model `m`, )".len() + 10, "{name}: {message}");
    }
}

/// The pieces of a text cut at every place, one after the other, then byte by byte.
pub(super) fn every_split(bytes: &[u8], mut each: impl FnMut(&[&[u8]])) {
    for at in 0..=bytes.len() {
        each(&[&bytes[..at], &bytes[at..]]);
    }
    each(&bytes.chunks(1).collect::<Vec<_>>());
}
