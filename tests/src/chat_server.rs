//! A server for OpenAI's chat completions API, whose answers and faults a test selects.
//!
//! One thread per connection and no HTTP library, because a library cannot send broken responses.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use sitewright_script::{Answer as ScriptAnswer, Question, Script};

/// Token usage in each successful answer: prompt and completion.
pub const TOKENS: (u64, u64) = (100, 7);

/// `x-request-id` of every answer.
pub const REQUEST_ID: &str = "req-77";

/// A received request.
#[derive(Debug, Clone)]
pub struct Call {
    /// Method and path: `POST /v1/chat/completions`.
    pub target: String,
    /// `authorization` header.
    pub authorization: Option<String>,
    /// `traceparent` header.
    pub traceparent: Option<String>,
    /// Body; null if it is not JSON.
    pub body: Value,
}

impl Call {
    /// Name of the model. Tests name models after purposes, because requests contain no purpose.
    pub fn model(&self) -> &str {
        self.body["model"].as_str().unwrap_or_default()
    }

    /// Whether a message contains this text.
    pub fn contains(&self, text: &str) -> bool {
        self.messages().iter().any(|message| message.contains(text))
    }

    /// Content of the messages.
    pub fn messages(&self) -> Vec<&str> {
        let messages = self.body["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
        messages.iter().filter_map(|message| message["content"].as_str()).collect()
    }
}

/// How the server answers a call.
#[derive(Debug, Clone)]
pub enum Answer {
    /// A completion from the script.
    Good,
    /// A completion with this content and finish reason.
    Reply {
        /// Text of the model.
        content: String,
        /// `finish_reason`.
        finish: &'static str,
    },
    /// A response with this status, headers and body.
    Http {
        /// Status code.
        status: u16,
        /// Additional headers: name and value.
        headers: &'static [(&'static str, &'static str)],
        /// Body: `text/html` if it begins with `<`, else `application/json`.
        body: String,
    },
    /// No answer until the client disconnects.
    Hang,
    /// The first half of a successful answer, then the end of the connection.
    Half,
    /// The first half of a successful answer, then a reset of the connection.
    Reset,
}

/// A running server; it stops on drop.
pub struct ChatServer {
    port: u16,
    shared: Arc<Shared>,
}

type Choose = dyn Fn(&Call) -> Answer + Send + Sync;

struct Shared {
    script: Script,
    choose: Box<Choose>,
    calls: Mutex<Vec<Call>>,
    arrived: Condvar,
    disconnected: AtomicUsize,
    stopped: AtomicBool,
}

impl ChatServer {
    /// Starts a server on a free port. `choose` selects the answer of each call on the thread of
    /// its connection and may block. [`Answer::Good`] answers come from the rules of `script`.
    pub fn start(script: &str, choose: impl Fn(&Call) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("there is a free port");
        let port = listener.local_addr().expect("it has an address").port();
        let shared = Arc::new(Shared {
            script: Script::from_toml(script).expect("the script is valid"),
            choose: Box::new(choose),
            calls: Mutex::default(),
            arrived: Condvar::new(),
            disconnected: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
        });
        let serving = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if serving.stopped.load(Ordering::Relaxed) {
                    return;
                }
                let (Ok(stream), shared) = (stream, serving.clone()) else { continue };
                // Some tests disconnect during an answer.
                std::thread::spawn(move || drop(shared.serve(stream)));
            }
        });
        ChatServer { port, shared }
    }

    /// URL prefix of `/chat/completions`.
    pub fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}/v1", self.port)
    }

    /// All calls so far.
    pub fn calls(&self) -> Vec<Call> {
        self.shared.calls.lock().expect("no thread panicked").clone()
    }

    /// Number of calls with [`Answer::Hang`] whose client has disconnected.
    pub fn disconnected(&self) -> usize {
        self.shared.disconnected.load(Ordering::SeqCst)
    }

    /// Waits until the number of calls is at least `calls`. Returns false after [`WAIT_TIMEOUT`].
    pub fn wait_for(&self, calls: usize) -> bool {
        let guard = self.shared.calls.lock().expect("no thread panicked");
        let waited =
            self.shared.arrived.wait_timeout_while(guard, WAIT_TIMEOUT, |seen| seen.len() < calls);
        !waited.expect("no thread panicked").1.timed_out()
    }
}

/// Timeout for events that a test expects. Only a failing test waits that long.
pub const WAIT_TIMEOUT: Duration = Duration::from_secs(60);

impl Drop for ChatServer {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        // Unblocks `accept`.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}

/// A port without a listener. It is bound until drop, so that no other process can listen on it.
pub struct ClosedPort {
    _bound: OwnedFd,
    port: u16,
}

impl ClosedPort {
    /// Binds a free port.
    pub fn take() -> Self {
        use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket};
        let bound =
            socket(AddressFamily::INET, SocketType::STREAM, None).expect("there are sockets");
        bind(&bound, &SocketAddr::from(([127, 0, 0, 1], 0))).expect("there is a free port");
        let address = getsockname(&bound).expect("it has an address");
        let port = SocketAddr::try_from(address).expect("it is an IP address").port();
        ClosedPort { _bound: bound, port }
    }

    /// URL prefix of `/chat/completions`.
    pub fn base_url(&self) -> String {
        format!("{}/v1", self.origin())
    }

    /// Origin: scheme, address and port.
    pub fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Shared {
    fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        let mut reader = BufReader::new(stream);
        while let Some(call) = read_call(&mut reader)? {
            self.calls.lock().expect("no thread panicked").push(call.clone());
            self.arrived.notify_all();
            let (status, headers, body) = match (self.choose)(&call) {
                Answer::Good => (200, &[][..], completion(&call, &self.good(&call), "stop")),
                Answer::Reply { content, finish } => {
                    (200, &[][..], completion(&call, &content, finish))
                }
                Answer::Http { status, headers, body } => (status, headers, body),
                Answer::Hang => {
                    let ended = reader.read_to_end(&mut Vec::new());
                    self.disconnected.fetch_add(1, Ordering::SeqCst);
                    return ended.map(drop);
                }
                half @ (Answer::Half | Answer::Reset) => {
                    let whole = http(200, &[], &completion(&call, &self.good(&call), "stop"));
                    let stream = reader.get_mut();
                    stream.write_all(&whole[..whole.len() / 2])?;
                    if matches!(half, Answer::Reset) {
                        rustix::net::sockopt::set_socket_linger(&*stream, Some(Duration::ZERO))?;
                    }
                    return Ok(());
                }
            };
            reader.get_mut().write_all(&http(status, headers, &body))?;
        }
        Ok(())
    }

    fn good(&self, call: &Call) -> String {
        let messages = call.messages();
        let question = Question {
            purpose: call.model(),
            messages: &messages,
            schema: call.body.pointer("/response_format/json_schema/schema"),
        };
        match self.script.answer(&question).map(|reply| reply.answer) {
            Some(ScriptAnswer::Text(text)) => text,
            Some(ScriptAnswer::Fault(fault)) => {
                panic!("the script has a fault, not an answer: {fault:?}")
            }
            None => question.unanswered("the script"),
        }
    }
}

fn completion(call: &Call, content: &str, finish: &str) -> String {
    json!({
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": call.model(),
        "choices": [{
            "index": 0,
            "message": { "role": "assistant", "content": content },
            "finish_reason": finish,
        }],
        "usage": {
            "prompt_tokens": TOKENS.0,
            "completion_tokens": TOKENS.1,
            "total_tokens": TOKENS.0 + TOKENS.1,
        },
    })
    .to_string()
}

pub(crate) fn http(status: u16, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let content_type = if body.starts_with('<') { "text/html" } else { "application/json" };
    let mut text = format!(
        "HTTP/1.1 {status} Whatever\r\ncontent-type: {content_type}\r\nx-request-id: \
         {REQUEST_ID}\r\n"
    );
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
    text.into_bytes()
}

/// Reads the next request of a connection; `None` if the client has closed it.
fn read_call(reader: &mut BufReader<TcpStream>) -> std::io::Result<Option<Call>> {
    let Some(request) = read_request(reader)? else { return Ok(None) };
    Ok(Some(Call {
        target: request.target,
        authorization: request.authorization,
        traceparent: request.traceparent,
        body: serde_json::from_slice(&request.body).unwrap_or_default(),
    }))
}

/// A request as it came.
pub(crate) struct Request {
    /// Method and path.
    pub(crate) target: String,
    /// `authorization` header.
    pub(crate) authorization: Option<String>,
    /// `traceparent` header.
    pub(crate) traceparent: Option<String>,
    pub(crate) body: Vec<u8>,
}

/// Reads the next request of a connection; `None` if the client has closed it.
pub(crate) fn read_request(reader: &mut BufReader<TcpStream>) -> std::io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let target = line.rsplit_once(' ').map_or(line.as_str(), |(target, _)| target).to_owned();
    let (mut length, mut authorization, mut traceparent) = (0, None, None);
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim().split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().unwrap_or(0),
            "authorization" | "x-api-key" => authorization = Some(value.trim().to_owned()),
            "traceparent" => traceparent = Some(value.trim().to_owned()),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Some(Request { target, authorization, traceparent, body }))
}
