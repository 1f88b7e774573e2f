//! Properties of the decoders for any bytes. The fuzz targets in `host/fuzz` search for violations;
//! the tests below check some inputs on every run.

use std::sync::Arc;
use std::time::SystemTime;

use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::adapter::Adapter;
use super::answer::Reply;
use super::anthropic::Anthropic;
use super::cloudflare::Cloudflare;
use super::config::{EndpointConfig, Kind, ProviderKeys};
use super::failure::AttemptFailure;
use super::gemini::Gemini;
use super::hint::{self, Location};
use super::large_replies::LargeReplies;
use super::ollama::Ollama;
use super::openai::OpenAi;
use super::provider::{HttpProvider, LimitsByModel, Provider, Refused};
use super::redact::Redactor;
use super::secret::ApiKey;
use super::stream::{Lines, Sse};
use super::transport;
use super::wire::{HttpHead, HttpReply};
use sitewright_model::message::Message;

/// Server-sent events: no panic, and the same events for any cut into chunks.
pub fn sse(bytes: &[u8]) {
    same(bytes, |pieces| {
        let mut framing = Sse::default();
        let mut events = Vec::new();
        for piece in pieces {
            let mut rest = *piece;
            while let Some(event) = framing.next_in(&mut rest)? {
                events.push(event);
            }
        }
        events.extend(framing.rest());
        Ok::<_, super::stream::Overlong>(events)
    });
}

/// One JSON value per line: the same properties.
pub fn ndjson(bytes: &[u8]) {
    same(bytes, |pieces| {
        let mut framing = Lines::default();
        let mut lines = Vec::new();
        for piece in pieces {
            let mut rest = *piece;
            while let Some(line) = framing.next_in(&mut rest)? {
                lines.push(line);
            }
        }
        lines.extend(framing.rest());
        Ok::<_, super::stream::Overlong>(lines)
    });
}

/// Streams of every provider: the same properties, and the result is a reply with content or an
/// error with a message.
pub fn streams(bytes: &[u8]) {
    for (at, adapter) in providers().iter().filter_map(adapter) {
        let head = head(200);
        same(bytes, |pieces| {
            let mut decoder = adapter.decoder(&head);
            for piece in pieces {
                decoder.push(piece)?;
            }
            decoder.finish()?.judge(&head)
        });
        let mut decoder = adapter.decoder(&head);
        let reply = decoder
            .push(bytes)
            .and_then(|_| decoder.finish())
            .and_then(|answer| answer.judge(&head));
        judged(at, reply);
    }
}

/// Whole responses of every provider; the first byte selects the status.
pub fn answers(bytes: &[u8]) {
    const STATUSES: [u16; 16] =
        [200, 204, 301, 400, 401, 402, 403, 404, 408, 413, 418, 422, 429, 500, 503, 529];
    let (first, body) = bytes.split_first().unwrap_or((&0, &[]));
    let status = STATUSES[usize::from(*first) % STATUSES.len()];
    for (at, adapter) in providers().iter().filter_map(adapter) {
        let http = HttpReply { head: head(status), body: body.to_vec() };
        judged(
            at,
            transport::whole(&http, |http| adapter.whole(http), |http| adapter.map_error(http)),
        );
    }
}

/// The redactor: linear in the text, leaves no part of a key, and removes the same from a reply
/// however it arrives.
pub fn redactor(bytes: &[u8]) {
    const KEY: &str = "9f8e7d6c5b4a39281706f5e4d3c2b1a0";
    let redactor = Redactor::new([KEY.into()]);
    let text = String::from_utf8_lossy(bytes);
    let mut steps = 0;
    let clean = redactor.redact_counted(&text, &mut steps);
    assert!(steps <= 64 * text.len() as u64 + 64, "{steps} steps for {} bytes", text.len());
    for part in [&KEY[..6], &KEY[KEY.len() - 6..]] {
        assert!(!clean.contains(part), "{clean}");
    }
    let (mut held, mut sent, mut rest) = (String::new(), String::new(), text.as_ref());
    while let Some(first) = rest.bytes().next() {
        let (piece, after) = rest.split_at(rest.ceil_char_boundary(usize::from(first % 23) + 1));
        held.push_str(piece);
        rest = after;
        let settled = redactor.settled(&held);
        sent.push_str(&redactor.redact_reply(&held[..settled]));
        held.drain(..settled);
    }
    sent.push_str(&redactor.redact_reply(&held));
    assert_eq!(sent, redactor.redact_reply(&text));
}

/// Asserts the same result for the bytes in one chunk, in single bytes, and in chunks of sizes that
/// depend on the bytes.
fn same<T: PartialEq + std::fmt::Debug>(bytes: &[u8], decode: impl Fn(&[&[u8]]) -> T) {
    let once = decode(&[bytes]);
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(decode(&single), once, "in single bytes");
    let (mut pieces, mut rest) = (Vec::new(), bytes);
    while let Some(first) = rest.first() {
        let (piece, after) = rest.split_at(rest.len().min(usize::from(first % 23) + 1));
        pieces.push(piece);
        rest = after;
    }
    assert_eq!(decode(&pieces), once, "in pieces");
}

fn judged(at: &Provider, reply: Result<Reply, AttemptFailure>) {
    match reply {
        Ok(reply) => assert!(!reply.content.trim().is_empty(), "a reply has content"),
        Err(failure) => {
            let location = Location { route: "r", provider_name: "p", model: "m", provider: at };
            let message = hint::message(&location, &failure).to_string();
            let parts = message.split_once("; ");
            assert!(
                parts.is_some_and(|(what, next)| what.len() > 20 && next.len() > 30),
                "{message}"
            );
        }
    }
}

fn head(status: u16) -> HttpHead {
    HttpHead { status, headers: HeaderMap::new(), received: SystemTime::UNIX_EPOCH }
}

fn adapter(provider: &Provider) -> Option<(&Provider, &dyn Adapter)> {
    match provider {
        Provider::Http(http) => Some((provider, http.adapter.as_ref())),
        Provider::Scripted(_) => None,
    }
}

/// One of each kind.
fn providers() -> Vec<Provider> {
    let local = json!({"base_url": "http://127.0.0.1:1/v1"});
    let account = json!({"account_id": "a"});
    let made = [
        provider(&local, OpenAi::new),
        provider(&local, Anthropic::new),
        provider(&local, Gemini::new),
        provider(&local, Ollama::new),
        provider(&account, Cloudflare::new),
    ];
    assert!(made.iter().all(Option::is_some), "every kind is tried");
    made.into_iter().flatten().collect()
}

fn provider<C: Kind, A: Adapter + 'static>(
    config: &Value,
    make: impl FnOnce(&C, &ApiKey) -> Result<A, Message>,
) -> Option<Provider> {
    let mut keys: ProviderKeys = serde_json::from_value(config.clone()).ok()?;
    let key = ApiKey::read(&EndpointConfig::default(), "/nowhere".as_ref(), &|_| None).ok()?;
    let adapter = Box::new(make(&C::take(&mut keys).ok()?, &key).ok()?);
    let limits = LimitsByModel::of(&EndpointConfig::default());
    Some(Provider::Http(Box::new(HttpProvider {
        batch: None,
        adapter,
        key: Arc::new(key),
        limits,
        client: None,
        propagates_trace: false,
        refused: Refused::default(),
        large: LargeReplies::default(),
    })))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    /// The corpus of `host/fuzz`.
    fn corpus() -> Vec<Vec<u8>> {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
        let mut bodies = Vec::new();
        for folder in ["streams", "answers"] {
            for file in std::fs::read_dir(root.join(folder)).unwrap() {
                bodies.push(std::fs::read(file.unwrap().path()).unwrap());
            }
        }
        assert!(bodies.len() > 12, "{}", bodies.len());
        bodies
    }

    fn all(bytes: &[u8]) {
        super::sse(bytes);
        super::ndjson(bytes);
        super::streams(bytes);
        super::answers(bytes);
        super::redactor(bytes);
    }

    #[test]
    fn a1_whatever_the_corpus_holds_has_a_meaning_however_it_is_cut() {
        for body in corpus() {
            all(&body);
            for end in 0..body.len().min(400) {
                super::streams(&body[..end]);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(150))]

        #[test]
        fn a1_any_bytes_have_a_meaning_however_they_are_cut(bytes: Vec<u8>) {
            all(&bytes);
        }

        /// Two known bodies, spliced and damaged: closer to what a decoder knows than chance comes.
        #[test]
        fn a1_what_is_close_to_a_protocol_has_a_meaning_however_it_is_cut(
            one in any::<prop::sample::Index>(), other in any::<prop::sample::Index>(),
            cut in any::<prop::sample::Index>(), joined in any::<prop::sample::Index>(),
            damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        ) {
            let corpus = corpus();
            let (one, other) = (one.get(&corpus), other.get(&corpus));
            let head = &one[..cut.index(one.len() + 1)];
            let mut bytes = [head, &other[joined.index(other.len() + 1)..]].concat();
            for (at, byte) in damage {
                if !bytes.is_empty() {
                    let at = at.index(bytes.len());
                    bytes[at] = byte;
                }
            }
            all(&bytes);
        }
    }
}
