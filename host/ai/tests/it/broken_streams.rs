//! Streams that break off, of every API and in every way: what the call returns, how many requests
//! it makes, what it is charged with, and what the record keeps.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helper functions fail the test")]
#![allow(clippy::disallowed_methods, reason = "#[tokio::test] makes the runtime of a test")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};
use sitewright_ai::{AiConfig, CallContext, Format, Gateway};
use sitewright_http::Client;
use sitewright_model::ai::{CallId, Completed};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use crate::connections::{params, read, self_signed};
use crate::gateway::request;

/// The reply, as two pieces of a stream send it. The prompt `page: home` has 3 tokens, the first
/// piece is estimated as 3 tokens, and both are as 5.
const PIECES: [&str; 2] = ["Bread at ", "São João"];

/// The tokens that a provider counts at the end, and those that it has counted before.
const COUNTED: [u64; 2] = [7, 9];
const COUNTED_EARLY: [u64; 2] = [7, 1];

/// The stream of one API, in parts.
struct Api {
    name: &'static str,
    /// The provider's settings.
    settings: &'static str,
    path: &'static str,
    content_type: &'static str,
    begin: String,
    pieces: [String; 2],
    /// What says why the model stopped, if more follows it.
    finish: String,
    /// The last part.
    mark: String,
    /// Whether tokens are counted before the end.
    counts_early: bool,
}

const SSE: &str = "text/event-stream";

/// All APIs; with token counts as soon as the API has them, or without any.
fn apis(counted: bool) -> Vec<Api> {
    let event = |value: Value| match value["type"].as_str() {
        Some(name) => format!("event: {name}\ndata: {value}\n\n"),
        None => format!("data: {value}\n\n"),
    };
    let with = |mut value: Value, field: &str, tokens: [u64; 2], names: [&str; 2]| {
        if counted {
            value[field] = json!({(names[0]): tokens[0], (names[1]): tokens[1]});
        }
        value
    };
    let chat = ["prompt_tokens", "completion_tokens"];
    let messages = ["input_tokens", "output_tokens"];
    let google = ["promptTokenCount", "candidatesTokenCount"];
    let done = "data: [DONE]\n\n".to_owned();
    let line = |value: Value| format!("{value}\n");
    vec![
        Api {
            name: "chat completions",
            settings: "kind = \"openai\"",
            path: "/v1",
            content_type: SSE,
            begin: event(json!({"choices": [{"delta": {"role": "assistant", "content": ""}}]})),
            pieces: PIECES.map(|text| {
                let chunk = json!({"model": "m", "choices": [{"delta": {"content": text}}]});
                event(with(chunk, "usage", COUNTED_EARLY, chat))
            }),
            finish: event(with(
                json!({"choices": [{"delta": {}, "finish_reason": "stop"}]}),
                "usage",
                COUNTED,
                chat,
            )),
            mark: done.clone(),
            counts_early: true,
        },
        Api {
            name: "Responses",
            settings: "kind = \"openai\"\napi = \"responses\"",
            path: "/v1",
            content_type: SSE,
            begin: event(json!({
                "type": "response.created", "response": {"status": "in_progress", "output": []}
            })),
            pieces: PIECES
                .map(|text| event(json!({"type": "response.output_text.delta", "delta": text}))),
            finish: String::new(),
            mark: event(json!({
                "type": "response.completed",
                "response": with(
                    json!({"status": "completed", "output": [{"type": "message", "content": [
                        {"type": "output_text", "text": PIECES.concat()}
                    ]}]}),
                    "usage",
                    COUNTED,
                    messages,
                ),
            })),
            counts_early: false,
        },
        Api {
            name: "Anthropic messages",
            settings: "kind = \"anthropic\"",
            path: "",
            content_type: SSE,
            begin: event(json!({
                "type": "message_start",
                "message": with(json!({"model": "m"}), "usage", COUNTED_EARLY, messages),
            })),
            pieces: PIECES.map(|text| {
                let delta = json!({"type": "text_delta", "text": text});
                event(json!({"type": "content_block_delta", "index": 0, "delta": delta}))
            }),
            finish: event(with(
                json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}}),
                "usage",
                COUNTED,
                messages,
            )),
            mark: event(json!({"type": "message_stop"})),
            counts_early: true,
        },
        Api {
            name: "Gemini",
            settings: "kind = \"gemini\"",
            path: "/v1beta",
            content_type: SSE,
            begin: String::new(),
            pieces: PIECES.map(|text| {
                let part = json!({"candidates": [{"content": {"parts": [{"text": text}]}}]});
                event(with(part, "usageMetadata", COUNTED_EARLY, google))
            }),
            finish: event(with(
                json!({"candidates": [{"finishReason": "STOP"}]}),
                "usageMetadata",
                COUNTED,
                google,
            )),
            mark: String::new(),
            counts_early: true,
        },
        Api {
            name: "Ollama",
            settings: "kind = \"ollama\"",
            path: "",
            content_type: "application/x-ndjson",
            begin: String::new(),
            pieces: PIECES.map(|text| line(json!({"message": {"content": text}, "done": false}))),
            finish: String::new(),
            mark: line(match counted {
                true => json!({
                    "done": true, "done_reason": "stop",
                    "prompt_eval_count": COUNTED[0], "eval_count": COUNTED[1],
                }),
                false => json!({"done": true, "done_reason": "stop"}),
            }),
            counts_early: false,
        },
        Api {
            name: "Workers AI",
            settings: "kind = \"cloudflare\"\naccount_id = \"a\"",
            path: "/client/v4",
            content_type: SSE,
            begin: String::new(),
            pieces: PIECES.map(|text| event(json!({"response": text}))),
            finish: String::new(),
            mark: event(with(json!({"response": ""}), "usage", COUNTED, chat)) + &done,
            counts_early: false,
        },
    ]
}

/// Where a stream breaks off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    /// After the head of the response.
    Head,
    /// In the middle of the second piece's event.
    Event,
    /// In the middle of a character of the second piece.
    Character,
    /// After the last text.
    Text,
    /// After the reason why the model stopped.
    Finish,
    /// After the last part.
    Mark,
}

impl Api {
    /// The body up to there.
    fn until(&self, cut: Cut) -> Vec<u8> {
        let [first, second] = &self.pieces;
        let (whole, next) = match cut {
            Cut::Head => return Vec::new(),
            Cut::Event => ([&self.begin, first].map(String::as_str).concat(), second.len() / 2),
            Cut::Character => {
                let at = second.find('ã').unwrap() + 1;
                ([&self.begin, first].map(String::as_str).concat(), at)
            }
            Cut::Text => ([&self.begin, first, second].map(String::as_str).concat(), 0),
            Cut::Finish => {
                let parts = [&self.begin, first, second, &self.finish];
                (parts.map(String::as_str).concat(), 0)
            }
            Cut::Mark => {
                let parts = [&self.begin, first, second, &self.finish, &self.mark];
                (parts.map(String::as_str).concat(), 0)
            }
        };
        [whole.as_bytes(), &second.as_bytes()[..next]].concat()
    }

    fn config(&self, base: &str, more: &str) -> String {
        format!(
            "[providers.p]\n{}\nbase_url = \"{base}{}\"\napi_key_env = \"KEY\"\n{more}\n\
             [routes.default]\n\
             try = [{{ provider = \"p\", model = \"m\" }}]\n\
             retry = {{ attempts = 2, base_ms = 1, max_ms = 1 }}\n\
             [budget]\ntokens = 1000000\n",
            self.settings, self.path
        )
    }
}

/// How the connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Closed, of a body that ends with its connection.
    Closed,
    /// Broken, of the same.
    Reset,
    /// Closed before the last chunk.
    NoLastChunk,
    /// Closed before the length that the head promises.
    TooShort,
}

/// A server that breaks off its first response in this way and sends its second one whole. The
/// number of its requests.
async fn server(api: &Api, cut: Cut, end: End) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let requests = Arc::new(AtomicUsize::new(0));
    let (count, part, whole) = (requests.clone(), api.until(cut), api.until(Cut::Mark));
    let kind = api.content_type;
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\nconnection: close\r\n");
    let head = head.as_bytes();
    let of_length = |body: &[u8], length: usize| {
        let length = format!("content-length: {length}\r\n\r\n");
        [head, length.as_bytes(), body].concat()
    };
    let broken = match end {
        End::Closed | End::Reset => [head, b"\r\n", part.as_slice()].concat(),
        End::TooShort => of_length(&part, part.len() + 1000),
        End::NoLastChunk => {
            let coding = "transfer-encoding: chunked\r\n\r\n".as_bytes();
            let size = format!("{:x}\r\n", part.len());
            let chunk = match part.is_empty() {
                true => Vec::new(),
                false => [size.as_bytes(), part.as_slice(), b"\r\n"].concat(),
            };
            [head, coding, chunk.as_slice()].concat()
        }
    };
    let whole = of_length(&whole, whole.len());
    tokio::spawn(async move {
        for number in 0.. {
            let Ok((mut stream, _)) = listener.accept().await else { return };
            let answer = if number == 0 { broken.clone() } else { whole.clone() };
            let (count, resets) = (count.clone(), number == 0 && end == End::Reset);
            tokio::spawn(async move {
                if read(&mut stream).await.is_none() {
                    return;
                }
                count.fetch_add(1, Ordering::SeqCst);
                stream.write_all(&answer).await.unwrap();
                if resets {
                    // Until the client has read what was sent.
                    tokio::time::sleep(Duration::from_millis(500)).await;
                    stream.set_zero_linger().unwrap();
                }
            });
        }
    });
    (port, requests)
}

/// The result of a call whose reply is this text, with the tokens that its order is charged with.
async fn ask(client: &Client, config: &str, folder: &Path, reply: &str) -> (Completed, u64) {
    let parsed: AiConfig = toml::from_str(config).unwrap();
    let env = |name: &str| (name == "KEY").then(|| "sk-test-0123456789".into());
    let gateway = Gateway::new(&parsed, folder, client.clone(), &env).unwrap();
    let budget = gateway.order_budget();
    let deadline = Instant::now() + Duration::from_secs(60);
    let call =
        CallContext { budget: Some(budget.clone()), ..CallContext::new(CallId::nth(1), deadline) };
    let done = gateway.complete(call, request(Format::Text)).await;
    let done = done.unwrap_or_else(|error| panic!("{config}: {error}"));
    assert_eq!(done.completion.content, reply, "half a text is no reply: {config}");
    let spent = budget.spent();
    assert_eq!(spent.calls, done.attempts.len() as u64, "{config}");
    (done, spent.tokens)
}

fn outcomes(done: &Completed) -> Vec<&'static str> {
    done.attempts.iter().map(|attempt| attempt.outcome.as_str()).collect()
}

/// Where and how a stream breaks off; the kind of the failure, `None` if it is none; the text in
/// its record; the tokens that the attempt is charged with if the provider counts none.
type Row = (Cut, End, Option<&'static str>, &'static str, u64);

async fn check(client: &Client, api: &Api, counted: bool, row: Row) {
    let (cut, end, kind, text, uncounted) = row;
    let name = format!("{}, counted: {counted}, {cut:?}, {end:?}", api.name);
    let (port, requests) = server(api, cut, end).await;
    let config = api.config(&format!("http://127.0.0.1:{port}"), "");
    let (done, tokens) = ask(client, &config, Path::new("."), &PIECES.concat()).await;
    let requests = requests.load(Ordering::SeqCst);
    let whole: u64 = if counted { COUNTED.iter().sum() } else { 8 };
    let Some(kind) = kind else {
        assert_eq!((outcomes(&done), requests), (vec!["succeeded"], 1), "{name}");
        assert_eq!(tokens, whole, "{name}");
        return;
    };
    assert_eq!((outcomes(&done), requests), (vec![kind, "succeeded"], 2), "{name}");
    // The prompt is counted at the beginning, with 7 tokens in the place of 3.
    let early = if counted && api.counts_early && cut != Cut::Head { 4 } else { 0 };
    assert_eq!(tokens, uncounted + early + whole, "{name}");
    let excerpt = done.attempts[0].body_excerpt.as_deref().unwrap_or_default();
    assert_eq!(excerpt.trim(), text, "{name}");
}

#[tokio::test]
async fn e4_e11_a_stream_that_breaks_off_is_asked_for_again_and_paid_for() {
    use Cut::{Character, Event, Finish, Head, Mark, Text};
    use End::{Closed, NoLastChunk, Reset, TooShort};
    const BEGUN: &str = "Bread at";
    const WHOLE: &str = "Bread at São João";
    let rows: [Row; 23] = [
        (Head, Closed, Some("empty"), "", 3),
        (Head, Reset, Some("connection"), "", 0),
        (Head, NoLastChunk, Some("connection"), "", 0),
        (Head, TooShort, Some("connection"), "", 0),
        (Event, Closed, Some("truncated"), BEGUN, 6),
        (Event, Reset, Some("connection"), BEGUN, 6),
        (Event, NoLastChunk, Some("connection"), BEGUN, 6),
        (Event, TooShort, Some("connection"), BEGUN, 6),
        (Character, Closed, Some("truncated"), BEGUN, 6),
        (Character, NoLastChunk, Some("connection"), BEGUN, 6),
        (Character, TooShort, Some("connection"), BEGUN, 6),
        (Text, Closed, Some("truncated"), WHOLE, 8),
        (Text, Reset, Some("connection"), WHOLE, 8),
        (Text, NoLastChunk, Some("connection"), WHOLE, 8),
        (Text, TooShort, Some("connection"), WHOLE, 8),
        (Finish, Closed, None, "", 0),
        (Finish, Reset, None, "", 0),
        (Finish, NoLastChunk, None, "", 0),
        (Finish, TooShort, None, "", 0),
        (Mark, Closed, None, "", 0),
        (Mark, Reset, None, "", 0),
        (Mark, NoLastChunk, None, "", 0),
        (Mark, TooShort, None, "", 0),
    ];
    let client = sitewright_http::client().unwrap();
    for counted in [false, true] {
        for api in &apis(counted) {
            let has_cut = |row: &&Row| row.0 != Finish || !api.finish.is_empty();
            let checks = rows.iter().filter(has_cut);
            join_all(checks.map(|row| check(&client, api, counted, *row))).await;
        }
    }
}

#[tokio::test]
async fn e4_the_record_of_a_long_reply_that_broke_off_has_its_beginning_and_its_end() {
    let mut api = apis(false).remove(0);
    let long = format!("It begins. {}", "Bread is baked. ".repeat(300));
    let chunk = json!({"choices": [{"delta": {"content": long}}]});
    api.begin = format!("data: {chunk}\n\n");
    let (port, _) = server(&api, Cut::Event, End::Reset).await;
    let config = api.config(&format!("http://127.0.0.1:{port}"), "");
    let client = sitewright_http::client().unwrap();
    let reply = long + &PIECES.concat();
    let (done, _) = ask(&client, &config, Path::new("."), &reply).await;
    let excerpt = done.attempts[0].body_excerpt.as_deref().unwrap().trim();
    assert!(excerpt.starts_with("It begins. Bread is baked."), "{excerpt}");
    assert!(excerpt.ends_with("Bread is baked. Bread at"), "{excerpt}");
    assert!(excerpt.contains("bytes left out]"), "{excerpt}");
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let stream = stream.to_be_bytes();
    [&length[1..], [kind, flags].as_slice(), stream.as_slice(), payload].concat()
}

/// How a stream of HTTP/2 goes on after a part of its body.
#[derive(Debug, Clone, Copy)]
enum H2End {
    /// `RST_STREAM`.
    Reset,
    /// `GOAWAY`, and the connection is closed.
    Closed,
    /// `GOAWAY` without an error, and the rest of the body.
    GoesOn,
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
/// `END_STREAM` of data and headers, `ACK` of settings and pings.
const LAST: u8 = 1;
const END_HEADERS: u8 = 4;
const INTERNAL_ERROR: u32 = 2;

/// The frames of a response of this number of the server's; `true` if the connection ends then.
fn h2_answer(api: &Api, cut: Cut, end: H2End, number: usize, stream: u32) -> (Vec<u8>, bool) {
    // `:status: 200`, from the table that every connection begins with.
    let head = frame(HEADERS, END_HEADERS, stream, &[0x88]);
    let whole = api.until(Cut::Mark);
    if number > 0 {
        return ([head, frame(DATA, LAST, stream, &whole)].concat(), false);
    }
    let part = api.until(cut);
    let goaway = |code: u32| {
        let payload = [stream.to_be_bytes(), code.to_be_bytes()].concat();
        frame(GOAWAY, 0, 0, &payload)
    };
    let (rest, closes) = match end {
        H2End::Reset => (frame(RST_STREAM, 0, stream, &INTERNAL_ERROR.to_be_bytes()), false),
        H2End::Closed => (goaway(INTERNAL_ERROR), true),
        H2End::GoesOn => {
            let rest = frame(DATA, LAST, stream, &whole[part.len()..]);
            ([goaway(0), rest].concat(), false)
        }
    };
    ([head, frame(DATA, 0, stream, &part), rest].concat(), closes)
}

/// Serves one connection of HTTP/2. `None` when it has ended.
async fn h2_connection(
    stream: TcpStream,
    acceptor: tokio_rustls::TlsAcceptor,
    requests: Arc<AtomicUsize>,
    answer: impl Fn(usize, u32) -> (Vec<u8>, bool),
) -> Option<()> {
    const PREFACE: usize = 24;
    let mut stream = acceptor.accept(stream).await.ok()?;
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).await.ok()?;
    let mut begin = [0; PREFACE];
    stream.read_exact(&mut begin).await.ok()?;
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.ok()?;
        let [a, b, c, kind, flags, id @ ..] = head;
        let length = u32::from_be_bytes([0, a, b, c]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        stream.read_exact(&mut payload).await.ok()?;
        let is_last = flags & LAST != 0;
        let (reply, closes) = match kind {
            SETTINGS if !is_last => (frame(SETTINGS, LAST, 0, &[]), false),
            PING if !is_last => (frame(PING, LAST, 0, &payload), false),
            DATA | HEADERS if is_last => {
                answer(requests.fetch_add(1, Ordering::SeqCst), u32::from_be_bytes(id))
            }
            _ => continue,
        };
        stream.write_all(&reply).await.ok()?;
        stream.flush().await.ok()?;
        if closes {
            return stream.shutdown().await.ok();
        }
    }
}

/// A server of HTTP/2 with this certificate, whose first response ends in this way. The number of
/// its requests.
async fn h2_server(
    api: Arc<Api>,
    (cut, end): (Cut, H2End),
    own: &rcgen::CertifiedKey<rcgen::KeyPair>,
) -> (u16, Arc<AtomicUsize>) {
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(own.signing_key.serialize_der().into());
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let requests = Arc::new(AtomicUsize::new(0));
    let count = requests.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (api, acceptor, count) = (api.clone(), acceptor.clone(), count.clone());
            let answer =
                move |number: usize, stream: u32| h2_answer(&api, cut, end, number, stream);
            tokio::spawn(h2_connection(stream, acceptor, count, answer));
        }
    });
    (port, requests)
}

#[tokio::test]
async fn e4_a_stream_of_http_2_that_breaks_off_is_asked_for_again() {
    let rows = [
        (Cut::Event, H2End::Reset, Some("connection")),
        (Cut::Event, H2End::Closed, Some("connection")),
        (Cut::Event, H2End::GoesOn, None),
        (Cut::Finish, H2End::Reset, None),
        (Cut::Finish, H2End::Closed, None),
    ];
    let folder = tempfile::tempdir().unwrap();
    let own = self_signed(&params("127.0.0.1", false));
    std::fs::write(folder.path().join("own.pem"), own.cert.pem()).unwrap();
    let client = sitewright_http::client().unwrap();
    for (cut, end, kind) in rows {
        for api in apis(false).into_iter().filter(|api| !api.finish.is_empty()) {
            let name = format!("{}, {cut:?}, {end:?}", api.name);
            let api = Arc::new(api);
            let (port, requests) = h2_server(api.clone(), (cut, end), &own).await;
            let base = format!("https://127.0.0.1:{port}");
            let config = api.config(&base, "ca_file = \"own.pem\"");
            let (done, _) = ask(&client, &config, folder.path(), &PIECES.concat()).await;
            let expected: Vec<&str> = kind.into_iter().chain(["succeeded"]).collect();
            assert_eq!(outcomes(&done), expected, "{name}");
            assert_eq!(requests.load(Ordering::SeqCst), expected.len(), "{name}");
        }
    }
}
