//! Shared helpers of the adapters' tests: requests, responses as bytes, and the check of one row of
//! an error table.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

use super::adapter::{Adapter, StreamEvent};
use super::answer::Reply;
use super::config::{EndpointConfig, Kind, ProviderKeys};
use super::failure::AttemptFailure;
use super::hint::{self, Location};
use super::json::ReplySchema;
use super::large_replies::LargeReplies;
use super::parameters::Shape;
use super::provider::{HttpProvider, LimitsByModel, Provider, Refused};
use super::request::{ChatMessage, Format, Purpose, Request, Role};
use super::secret::{ApiKey, Key};
use super::settings::Settings;
use super::transport;
use super::wire::{HttpHead, HttpReply, Prompt};
use sitewright_model::ai::AiErrorKind;
use sitewright_model::ai::{FinishReason, Usage};

pub(super) type Headers<'a> = &'a [(&'a str, &'a str)];

/// The key of the adapters under test. It must not appear outside of its header.
pub(super) const KEY: &str = "planted-key-1234567890";

/// An adapter with this configuration, in TOML, and the planted key.
pub(super) fn adapter<C, A>(
    config: &str,
    make: impl FnOnce(&C, &ApiKey) -> Result<A, sitewright_model::message::Message>,
) -> A
where
    C: Kind,
    A: Adapter,
{
    let key =
        EndpointConfig { api_key_env: Some("THE_KEY".to_owned()), ..EndpointConfig::default() };
    let env = |name: &str| (name == "THE_KEY").then(|| KEY.into());
    let Ok(key) = ApiKey::read(&key, "/nowhere".as_ref(), &env) else {
        panic!("the key could not be read")
    };
    let mut keys: ProviderKeys = toml::from_str(config).unwrap();
    make(&C::take(&mut keys).unwrap(), &key).unwrap()
}

fn head(status: u16, headers: Headers<'_>) -> HttpHead {
    let header = |(name, value): &(&str, &str)| {
        (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap())
    };
    HttpHead {
        status,
        headers: headers.iter().map(header).collect::<HeaderMap>(),
        // 2027-01-15T08:00:00Z.
        received: SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000),
    }
}

/// Decodes a whole response.
pub(super) fn whole(
    adapter: &dyn Adapter,
    status: u16,
    headers: Headers<'_>,
    body: impl AsRef<[u8]>,
) -> Result<Reply, AttemptFailure> {
    let http = HttpReply { head: head(status, headers), body: body.as_ref().to_vec() };
    transport::whole(&http, |http| adapter.whole(http), |http| adapter.map_error(http))
}

/// Decodes a success that arrives in these chunks. Also returns the text that is forwarded while it
/// arrives.
pub(super) fn streamed(
    adapter: &dyn Adapter,
    headers: Headers<'_>,
    pieces: &[&[u8]],
) -> (String, Result<Reply, AttemptFailure>) {
    let head = head(200, headers);
    assert!(adapter.is_stream(&pieces.concat()), "a stream is known by its beginning");
    let mut decoder = adapter.decoder(&head);
    let mut texts = String::new();
    for piece in pieces {
        match decoder.push(piece) {
            Ok(events) => texts.extend(events.into_iter().filter_map(|event| match event {
                StreamEvent::Text(text) => Some(text),
                StreamEvent::Thinking | StreamEvent::Usage(_) | StreamEvent::Finish(_) => None,
            })),
            Err(failure) => return (texts, Err(failure)),
        }
    }
    let done = decoder.is_done();
    let reply = decoder.finish().and_then(|answer| answer.judge(&head));
    // At a token limit it is not retryable, and the stream has ended as it should.
    let unfinished =
        reply.as_ref().is_err_and(|failure| failure.detail.contains("without its final marker"));
    assert!(!done || !unfinished, "a stream that is done lacks nothing");
    (texts, reply)
}

/// All that a stream means: its events and the reply, or what is known of the failure apart from its
/// excerpt of the stream.
pub(super) type Meaning = Result<(Vec<StreamEvent>, Reply), (AiErrorKind, bool, Usage)>;

/// The meaning of a stream of a success.
pub(super) fn meaning(adapter: &dyn Adapter, stream: &str) -> Meaning {
    let head = head(200, &[]);
    let mut decoder = adapter.decoder(&head);
    let read = decoder.push(stream.as_bytes()).and_then(|events| {
        let reply = decoder.finish()?.judge(&head)?;
        Ok((events, reply))
    });
    read.map_err(|failure| (failure.kind, failure.retryable, *failure.usage))
}

/// One stream with its expected result, independent of how it is cut into chunks.
pub(super) struct Streamed<'a> {
    pub(super) name: &'a str,
    pub(super) body: String,
    pub(super) becomes: Result<(&'a str, FinishReason, Usage), AiErrorKind>,
}

impl Streamed<'_> {
    /// Checks the stream cut at every byte, and in single bytes.
    pub(super) fn check(&self, adapter: &dyn Adapter) {
        let bytes = self.body.as_bytes();
        let name = self.name;
        let once = streamed(adapter, &[("x-request-id", "req_1")], &[bytes]);
        match (&once.1, &self.becomes) {
            (Ok(reply), Ok((content, finish, usage))) => {
                assert_eq!(
                    (reply.content.as_str(), reply.finish_reason, reply.usage),
                    (*content, *finish, *usage),
                    "{name}"
                );
                // The last part comes with the answer when nothing marks its end.
                assert!(
                    reply.content.starts_with(&once.0),
                    "{name}: what was handed on: {:?}",
                    once.0
                );
                assert!(
                    !bytes.ends_with(b"\n") || once.0 == reply.content,
                    "{name}: {:?} was handed on",
                    once.0
                );
                assert_eq!(reply.http.request_id.as_deref(), Some("req_1"), "{name}");
            }
            (Err(failure), Err(kind)) => assert_eq!(failure.kind, *kind, "{name}: {failure:?}"),
            (became, _) => panic!("{name}: {became:?}"),
        }
        for at in 0..=bytes.len() {
            let cut =
                streamed(adapter, &[("x-request-id", "req_1")], &[&bytes[..at], &bytes[at..]]);
            assert_eq!(cut.1, once.1, "{name}, cut at {at}");
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        let single = streamed(adapter, &[("x-request-id", "req_1")], &single);
        assert_eq!(single.1, once.1, "{name}, byte by byte");
    }
}

/// Any bytes, whole or streamed, decode to a reply with content or to a failure, without a panic.
pub(super) fn any_bytes(adapter: &dyn Adapter, status: u16, body: &[u8]) {
    if let Ok(reply) = whole(adapter, status, &[], body) {
        assert!(!reply.content.trim().is_empty());
    }
    let mut decoder = adapter.decoder(&head(200, &[]));
    for piece in body.chunks(7) {
        if decoder.push(piece).is_err() {
            return;
        }
    }
    drop(decoder.finish());
}

/// JSON that resembles the protocols.
pub(super) fn close_json() -> impl proptest::strategy::Strategy<Value = String> {
    use proptest::prelude::*;
    let names = [
        "error",
        "errors",
        "type",
        "content",
        "message",
        "result",
        "response",
        "candidates",
        "usage",
        "done",
        "delta",
        "index",
        "content_block",
        "finishReason",
        "parts",
        "text",
        "code",
        "details",
        "success",
        "choices",
    ];
    let name = proptest::sample::select(names.to_vec());
    let words = [
        "text",
        "tool_use",
        "text_delta",
        "input_json_delta",
        "message_start",
        "message_stop",
        "message_delta",
        "content_block_start",
        "content_block_delta",
        "error",
        "STOP",
        "47s",
        "",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        proptest::sample::select(words.to_vec()).prop_map(Value::from),
        "[0-9.a-z ]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 5, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            proptest::collection::vec((name.clone(), inner), 0..5).prop_map(|fields| fields
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect()),
        ]
    })
    .prop_map(|value| value.to_string())
}

/// URL, headers and body that the adapter sends. The key is only in one header, which is not
/// printed.
pub(super) fn sent(adapter: &dyn Adapter, request: &Request) -> (String, HeaderMap, Value) {
    sent_with(adapter, request, Some(100), Some(0.5))
}

pub(super) fn sent_with(
    adapter: &dyn Adapter,
    request: &Request,
    max_output_tokens: Option<u32>,
    temperature: Option<f32>,
) -> (String, HeaderMap, Value) {
    let settings = Settings::default();
    let key = Key::of_tests(KEY);
    let prompt = Prompt {
        request,
        model: "m",
        max_output_tokens,
        temperature,
        settings: &settings,
        shape: &Shape::PLAIN,
    };
    let built = adapter.build(&prompt, Some(&key));
    let shown = format!("{built:?} {adapter:?} {}", adapter.location());
    assert!(!shown.contains(KEY), "{shown}");
    let body = serde_json::from_slice(&built.body).unwrap();
    (built.url.to_string(), built.headers, body)
}

pub(super) fn provider(adapter: impl Adapter + 'static) -> Provider {
    let limits = LimitsByModel::of(&EndpointConfig::default());
    let none = EndpointConfig::default();
    let Ok(key) = ApiKey::read(&none, "/nowhere".as_ref(), &|_| None) else {
        panic!("no key is needed")
    };
    Provider::Http(Box::new(HttpProvider {
        batch: None,
        adapter: Box::new(adapter),
        key: Arc::new(key),
        limits,
        client: None,
        propagates_trace: false,
        refused: Refused::default(),
        large: LargeReplies::default(),
    }))
}

pub(super) fn tokens(input: u64, output: u64) -> Usage {
    Usage::of(input, output)
}

/// A schema that every provider's JSON mode supports.
pub(super) fn plain_schema() -> Value {
    json!({
        "type": "object",
        "properties": {"title": {"type": "string"}, "tags": {"type": "array", "items": {"type": "string"}}},
        "required": ["title", "tags"],
        "additionalProperties": false
    })
}

/// A short conversation with every field of a request.
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
        identity: None,
    }
}

pub(super) fn schema(schema: &Value) -> Format {
    Format::JsonSchema(ReplySchema::compile(&schema.to_string()).unwrap())
}

/// One error response with its expected failure.
pub(super) struct Row<'a> {
    pub(super) name: &'a str,
    pub(super) status: u16,
    pub(super) headers: Headers<'a>,
    pub(super) body: String,
    pub(super) kind: AiErrorKind,
    pub(super) retryable: bool,
    pub(super) wait_ms: Option<u64>,
    /// The provider's id of the request.
    pub(super) id: Option<&'a str>,
    /// A part of the message: the provider's text.
    pub(super) says: &'a str,
}

impl Row<'_> {
    /// Checks the failure, and that the message says what happened, where, and what to do.
    pub(super) fn check(&self, at: &Provider) {
        let Provider::Http(provider) = at else { panic!("adapters are called over HTTP") };
        let name = self.name;
        let failure = whole(provider.adapter.as_ref(), self.status, self.headers, &self.body)
            .expect_err("this is no reply");
        assert_eq!(
            (failure.kind, failure.retryable),
            (self.kind, self.retryable),
            "{name}: {failure:?}"
        );
        let detail = failure.http.as_ref().unwrap_or_else(|| panic!("{name}: no HTTP detail"));
        assert_eq!(detail.status, self.status, "{name}");
        assert_eq!(detail.retry_after_ms, self.wait_ms, "{name}: {failure:?}");
        assert_eq!(detail.request_id.as_deref(), self.id, "{name}");
        let excerpt = Some(self.body.as_str()).filter(|body| !body.is_empty());
        assert_eq!(detail.body_excerpt.as_deref(), excerpt, "{name}");
        let location =
            Location { route: "default", provider_name: "them", model: "m", provider: at };
        let message = hint::message(&location, &failure).to_string();
        assert!(message.contains(self.says), "{name}: {message}");
        let (what, next) = message.rsplit_once("; ").unwrap_or_else(|| panic!("{name}: {message}"));
        assert!(
            what.len() > 20 && next.len() > 50 && next.contains("(route `default`, model `m`"),
            "{name}: {message}"
        );
    }
}
