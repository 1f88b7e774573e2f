//! A server that streams chat completions in deltas that a test controls, and detects when its
//! client disconnects.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use serde_json::{Value, json};

use crate::chat_server::{REQUEST_ID, TOKENS, WAIT_TIMEOUT};

/// A running server; it stops on drop.
pub struct StreamServer {
    port: u16,
    shared: Arc<Shared>,
}

/// Answers a call. An error means that the client has disconnected, and ends the connection.
type Serve = dyn Fn(&RecordedRequest, &mut Feed) -> io::Result<()> + Send + Sync;

struct Shared {
    serve: Box<Serve>,
    seen: Mutex<Seen>,
    changed: Condvar,
    stopped: AtomicBool,
}

#[derive(Default)]
struct Seen {
    asked: Vec<RecordedRequest>,
    gone: usize,
}

/// A received request.
#[derive(Debug, Clone)]
pub struct RecordedRequest {
    /// Body; null if it is not JSON.
    pub body: Value,
    /// Index of the request on this server, from 0.
    pub number: usize,
}

impl RecordedRequest {
    /// Whether a message contains this text.
    pub fn contains(&self, text: &str) -> bool {
        self.body["messages"].to_string().contains(text)
    }

    /// Content of the last message.
    pub fn prompt(&self) -> &str {
        let last = self.body["messages"].as_array().and_then(|messages| messages.last());
        last.and_then(|message| message["content"].as_str()).unwrap_or_default()
    }
}

/// Writer of the answer on one connection.
pub struct Feed {
    stream: TcpStream,
    started: bool,
    /// Bytes of events written to the socket.
    written: Arc<AtomicUsize>,
}

impl StreamServer {
    /// Starts a server on a free port. `serve` answers each call on the thread of its connection
    /// and may block.
    pub fn start(
        serve: impl Fn(&RecordedRequest, &mut Feed) -> io::Result<()> + Send + Sync + 'static,
    ) -> StreamServer {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("there is a free port");
        let port = listener.local_addr().expect("it has an address").port();
        let shared = Arc::new(Shared {
            serve: Box::new(serve),
            seen: Mutex::default(),
            changed: Condvar::new(),
            stopped: AtomicBool::new(false),
        });
        let serving = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if serving.stopped.load(Ordering::Relaxed) {
                    return;
                }
                let (Ok(stream), shared) = (stream, serving.clone()) else { continue };
                std::thread::spawn(move || drop(shared.answer(stream)));
            }
        });
        StreamServer { port, shared }
    }

    /// Configuration with this server as the only provider; `more` contains further settings of the
    /// provider.
    pub fn config(&self, more: &str) -> String {
        let port = self.port;
        format!(
            "[ai.providers.local]\nkind = \"openai\"\n\
             base_url = \"http://127.0.0.1:{port}/v1\"\n{more}\n\
             [ai.routes.default]\ntry = [{{ provider = \"local\", model = \"test\" }}]\n"
        )
    }

    /// All requests so far.
    pub fn asked(&self) -> Vec<RecordedRequest> {
        self.shared.seen.lock().expect("no thread panicked").asked.clone()
    }

    /// Waits until `clients` clients have disconnected during their answer. Returns false after
    /// [`WAIT_TIMEOUT`].
    pub fn wait_for_disconnects(&self, clients: usize) -> bool {
        self.shared.wait_until(|seen| seen.gone >= clients)
    }
}

impl Drop for StreamServer {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        // Unblocks `accept`.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}

impl Shared {
    fn answer(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let Some(body) = read_body(&stream)? else { return Ok(()) };
        let asked = {
            let mut seen = self.seen.lock().expect("no thread panicked");
            let asked = RecordedRequest { body, number: seen.asked.len() };
            seen.asked.push(asked.clone());
            asked
        };
        self.changed.notify_all();
        let mut feed = Feed { stream, started: false, written: Arc::default() };
        if (self.serve)(&asked, &mut feed).is_err() {
            self.seen.lock().expect("no thread panicked").gone += 1;
            self.changed.notify_all();
        }
        Ok(())
    }

    fn wait_until(&self, condition: impl Fn(&Seen) -> bool) -> bool {
        let guard = self.seen.lock().expect("no thread panicked");
        let waited = self.changed.wait_timeout_while(guard, WAIT_TIMEOUT, |seen| !condition(seen));
        !waited.expect("no thread panicked").1.timed_out()
    }
}

impl Feed {
    /// Sends a text delta.
    pub fn text(&mut self, text: &str) -> io::Result<()> {
        self.event(
            &json!({ "choices": [{ "index": 0, "delta": { "content": text } }] }).to_string(),
        )
    }

    /// Sends the final events of a successful reply.
    pub fn stop(&mut self) -> io::Result<()> {
        let usage = json!({ "prompt_tokens": TOKENS.0, "completion_tokens": TOKENS.1 });
        let choice = json!({ "index": 0, "delta": {}, "finish_reason": "stop" });
        self.event(&json!({ "choices": [choice], "usage": usage }).to_string())?;
        self.event("[DONE]")
    }

    /// Sends a successful reply in these deltas.
    pub fn reply(&mut self, deltas: &[&str]) -> io::Result<()> {
        for delta in deltas {
            self.text(delta)?;
        }
        self.stop()
    }

    /// Sends one event, before the first one also the response head.
    pub fn event(&mut self, data: &str) -> io::Result<()> {
        if !std::mem::replace(&mut self.started, true) {
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nx-request-id: \
                 {REQUEST_ID}\r\nconnection: close\r\n\r\n"
            );
            self.stream.write_all(head.as_bytes())?;
        }
        let event = format!("data: {data}\n\n");
        self.stream.write_all(event.as_bytes())?;
        self.written.fetch_add(event.len(), Ordering::Relaxed);
        Ok(())
    }

    /// Sends a JSON response instead of a stream.
    pub fn whole(&mut self, status: u16, body: &Value) -> io::Result<()> {
        let body = body.to_string();
        let head = format!(
            "HTTP/1.1 {status} Whatever\r\ncontent-type: application/json\r\nx-request-id: \
             {REQUEST_ID}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        self.stream.write_all(head.as_bytes())
    }

    /// Sends nothing and waits until the client disconnects. Returns `Ok` after [`WAIT_TIMEOUT`],
    /// and an error if the client has disconnected.
    pub fn until_disconnect(&mut self) -> io::Result<()> {
        self.stream.set_read_timeout(Some(WAIT_TIMEOUT))?;
        match self.stream.read(&mut [0]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            _ => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// Counter of the bytes of events written to the socket, for use on another thread.
    pub fn written(&self) -> Arc<AtomicUsize> {
        self.written.clone()
    }
}

/// Reads the body of a request; `None` if the client has closed the connection.
fn read_body(stream: &TcpStream) -> io::Result<Option<Value>> {
    let mut reader = BufReader::new(stream);
    let (mut line, mut length) = (String::new(), 0);
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim().split_once(':') else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Some(serde_json::from_slice(&body).unwrap_or_default()))
}
