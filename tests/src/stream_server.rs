//! A server that streams chat completions over real sockets, piece by piece as a test wants, and
//! that sees when its client goes.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use serde_json::{Value, json};

use crate::chat_server::{PATIENCE, REQUEST_ID, TOKENS};

/// A running server; it stops when dropped.
pub struct StreamServer {
    port: u16,
    shared: Arc<Shared>,
}

/// What a test has to say to a call. An error ends the connection: the client has gone.
type Serve = dyn Fn(&Asked, &mut Feed) -> io::Result<()> + Send + Sync;

struct Shared {
    serve: Box<Serve>,
    seen: Mutex<Seen>,
    changed: Condvar,
    stopped: AtomicBool,
}

#[derive(Default)]
struct Seen {
    asked: Vec<Asked>,
    gone: usize,
}

/// One request.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The body.
    pub body: Value,
    /// Which request of this server it is, from 0.
    pub number: usize,
}

impl Asked {
    /// Whether a message holds this text.
    pub fn says(&self, text: &str) -> bool {
        self.body["messages"].to_string().contains(text)
    }

    /// The last message.
    pub fn prompt(&self) -> &str {
        let last = self.body["messages"].as_array().and_then(|messages| messages.last());
        last.and_then(|message| message["content"].as_str()).unwrap_or_default()
    }
}

/// The answer of one connection.
pub struct Feed {
    stream: TcpStream,
    began: bool,
    /// Bytes that the client's side has taken.
    written: Arc<AtomicUsize>,
}

impl StreamServer {
    /// Starts a server on a free port. `serve` answers each call, on the thread of its connection,
    /// and may wait.
    pub fn start(
        serve: impl Fn(&Asked, &mut Feed) -> io::Result<()> + Send + Sync + 'static,
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

    /// A configuration whose routes all ask this server; `more` are further lines of the provider.
    pub fn config(&self, more: &str) -> String {
        let port = self.port;
        format!(
            "[ai.providers.local]\nkind = \"openai\"\nbase_url = \"http://127.0.0.1:{port}/v1\"\n{more}\n\
             [ai.routes.default]\ntry = [{{ provider = \"local\", model = \"test\" }}]\n"
        )
    }

    /// Every request so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.shared.seen.lock().expect("no thread panicked").asked.clone()
    }

    /// Waits until so many clients have gone in the middle of their answer; false when they stay.
    pub fn wait_for_gone(&self, clients: usize) -> bool {
        self.shared.wait_until(|seen| seen.gone >= clients)
    }
}

impl Drop for StreamServer {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}

impl Shared {
    fn answer(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let Some(body) = read_body(&stream)? else { return Ok(()) };
        let asked = {
            let mut seen = self.seen.lock().expect("no thread panicked");
            let asked = Asked { body, number: seen.asked.len() };
            seen.asked.push(asked.clone());
            asked
        };
        self.changed.notify_all();
        let mut feed = Feed { stream, began: false, written: Arc::default() };
        if (self.serve)(&asked, &mut feed).is_err() {
            self.seen.lock().expect("no thread panicked").gone += 1;
            self.changed.notify_all();
        }
        Ok(())
    }

    fn wait_until(&self, there: impl Fn(&Seen) -> bool) -> bool {
        let held = self.seen.lock().expect("no thread panicked");
        let waited = self.changed.wait_timeout_while(held, PATIENCE, |seen| !there(seen));
        !waited.expect("no thread panicked").1.timed_out()
    }
}

impl Feed {
    /// More text of the reply.
    pub fn text(&mut self, text: &str) -> io::Result<()> {
        self.event(
            &json!({ "choices": [{ "index": 0, "delta": { "content": text } }] }).to_string(),
        )
    }

    /// The end of a good reply.
    pub fn stop(&mut self) -> io::Result<()> {
        let usage = json!({ "prompt_tokens": TOKENS.0, "completion_tokens": TOKENS.1 });
        let last = json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": "stop" }], "usage": usage });
        self.event(&last.to_string())?;
        self.event("[DONE]")
    }

    /// A good reply in these pieces.
    pub fn reply(&mut self, pieces: &[&str]) -> io::Result<()> {
        for piece in pieces {
            self.text(piece)?;
        }
        self.stop()
    }

    /// One event.
    pub fn event(&mut self, data: &str) -> io::Result<()> {
        if !std::mem::replace(&mut self.began, true) {
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

    /// An answer that is no stream.
    pub fn whole(&mut self, status: u16, body: &Value) -> io::Result<()> {
        let body = body.to_string();
        let head = format!(
            "HTTP/1.1 {status} Whatever\r\ncontent-type: application/json\r\nx-request-id: \
             {REQUEST_ID}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        self.stream.write_all(head.as_bytes())
    }

    /// Says nothing more until the client goes.
    pub fn until_gone(&mut self) -> io::Result<()> {
        self.stream.set_read_timeout(Some(PATIENCE))?;
        match self.stream.read(&mut [0]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            _ => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// Counts the bytes of events that have gone out, for another thread to look at.
    pub fn written(&self) -> Arc<AtomicUsize> {
        self.written.clone()
    }
}

/// The body of a connection's request; none when there is no request.
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
