//! The DevTools protocol over a pipe: commands, their answers, and the events of pages.
//!
//! A message is JSON and ends with a byte 0.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::{mpsc, oneshot};

use crate::event::Event;
use crate::tab::TabError;
use sitewright_site::excerpt;

/// Maximum bytes of a message of the browser. Larger ones are skipped: a page can log texts of any
/// length. 32 MiB.
const MESSAGE_BYTES: usize = 32 << 20;
/// Maximum events of a page that wait. A page that makes more loses some: its requests may then
/// hang until its time is over.
const EVENTS: usize = 4_096;
/// Maximum messages to the browser that wait: each may have a file of the site in it.
const MESSAGES: usize = 4;
/// Bytes of a read from the pipe.
const READ_BYTES: usize = 256 << 10;
/// Maximum characters of an error of the protocol in a message.
const SHOWN: usize = 200;

type Answer = Result<Value, TabError>;

/// A message of the browser: an answer with `id`, or an event with `method`.
#[derive(Deserialize)]
struct Incoming {
    id: Option<u64>,
    method: Option<String>,
    #[serde(default)]
    params: Value,
    #[serde(default)]
    result: Value,
    error: Option<Refusal>,
    #[serde(rename = "sessionId")]
    session: Option<String>,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    message: String,
}

/// To whom answers and events go.
#[derive(Debug, Default)]
struct Routes {
    answers: HashMap<u64, oneshot::Sender<Answer>>,
    sessions: HashMap<String, mpsc::Sender<Event>>,
    closed: bool,
}

/// The pipe to a running browser.
#[derive(Debug)]
pub(crate) struct Connection {
    /// Where messages to the browser go; `None` once it is closed.
    input: Mutex<Option<mpsc::Sender<Vec<u8>>>>,
    routes: Arc<Mutex<Routes>>,
    next: AtomicU64,
}

impl Connection {
    pub(crate) fn new(input: ChildStdin, output: ChildStdout) -> Self {
        let routes = Arc::new(Mutex::new(Routes::default()));
        let (sender, messages) = mpsc::channel(MESSAGES);
        // They end when the browser ends.
        tokio::spawn(read(BufReader::with_capacity(READ_BYTES, output), routes.clone()));
        tokio::spawn(write(input, messages));
        Connection { input: Mutex::new(Some(sender)), routes, next: AtomicU64::new(1) }
    }

    /// Sends a command to the browser itself and returns its result.
    pub(crate) async fn call(&self, method: &str, params: Value) -> Answer {
        let answer = self.send(None, method, params).await?;
        answer.await.unwrap_or(Err(TabError::Closed))
    }

    /// Sends a command; the receiver gets its result.
    pub(crate) async fn send(
        &self,
        session: Option<&str>,
        method: &str,
        params: Value,
    ) -> Result<oneshot::Receiver<Answer>, TabError> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        {
            let mut routes = self.routes.lock();
            if routes.closed {
                return Err(TabError::Closed);
            }
            // Those whose callers gave up.
            routes.answers.retain(|_, answer| !answer.is_closed());
            routes.answers.insert(id, sender);
        }
        self.queue(id, session, method, params).await?;
        Ok(receiver)
    }

    /// Sends a command whose answer does not matter.
    pub(crate) async fn post(
        &self,
        session: &str,
        method: &str,
        params: Value,
    ) -> Result<(), TabError> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.queue(id, Some(session), method, params).await
    }

    /// Hands a message to the task that writes. A page whose time is over gives up in the middle of
    /// this: half of a message in the pipe would spoil the next one, which may be another page's.
    async fn queue(
        &self,
        id: u64,
        session: Option<&str>,
        method: &str,
        params: Value,
    ) -> Result<(), TabError> {
        let mut message = json!({ "id": id, "method": method, "params": params });
        if let Some(session) = session {
            message["sessionId"] = session.into();
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        let input = self.input.lock().clone().ok_or(TabError::Closed)?;
        input.send(bytes).await.map_err(|_| TabError::Closed)
    }

    /// The events of a session from now on.
    pub(crate) fn events(&self, session: &str) -> mpsc::Receiver<Event> {
        let (sender, receiver) = mpsc::channel(EVENTS);
        let mut routes = self.routes.lock();
        routes.sessions.retain(|_, events| !events.is_closed());
        if !routes.closed {
            routes.sessions.insert(session.to_owned(), sender);
        }
        receiver
    }

    /// Closes the pipe once what waits is written, whereupon the browser ends.
    pub(crate) fn close(&self) {
        *self.input.lock() = None;
    }
}

/// Writes messages until the connection is closed or the browser has ended.
async fn write(mut input: ChildStdin, mut messages: mpsc::Receiver<Vec<u8>>) {
    while let Some(message) = messages.recv().await {
        if let Err(error) = input.write_all(&message).await {
            tracing::debug!(%error, "the pipe of the browser cannot be written");
            break;
        }
    }
}

/// Passes on all messages of the browser. Never waits for those who get them.
async fn read(mut output: BufReader<ChildStdout>, routes: Arc<Mutex<Routes>>) {
    let mut frame = Vec::new();
    loop {
        match next_frame(&mut output, &mut frame).await {
            Ok(true) => pass_on(&frame, &routes),
            Ok(false) => break,
            Err(error) => {
                tracing::debug!(%error, "the pipe of the browser cannot be read");
                break;
            }
        }
    }
    let mut routes = routes.lock();
    routes.closed = true;
    // All who wait get to know it.
    routes.answers.clear();
    routes.sessions.clear();
}

/// Reads a message into `frame`, which is empty if the message is too long. Returns `false` at the
/// end of the stream.
async fn next_frame(
    input: &mut (impl AsyncBufRead + Unpin),
    frame: &mut Vec<u8>,
) -> io::Result<bool> {
    frame.clear();
    let mut length = 0_usize;
    loop {
        let available = input.fill_buf().await?;
        if available.is_empty() {
            return Ok(false);
        }
        let end = available.iter().position(|byte| *byte == 0);
        let part = &available[..end.unwrap_or(available.len())];
        length = length.saturating_add(part.len());
        if length <= MESSAGE_BYTES {
            frame.extend_from_slice(part);
        } else {
            frame.clear();
        }
        let used = part.len() + usize::from(end.is_some());
        input.consume(used);
        if end.is_some() {
            return Ok(true);
        }
    }
}

fn pass_on(frame: &[u8], routes: &Mutex<Routes>) {
    let Ok(incoming) = serde_json::from_slice::<Incoming>(frame) else { return };
    let mut routes = routes.lock();
    if let Some(answer) = incoming.id.and_then(|id| routes.answers.remove(&id)) {
        let result = match incoming.error {
            None => Ok(incoming.result),
            Some(refusal) => Err(TabError::Refused(excerpt(&refusal.message, SHOWN))),
        };
        // Nobody waits any more.
        drop(answer.send(result));
    } else if let (Some(session), Some(method)) = (incoming.session, incoming.method)
        && let Some(events) = routes.sessions.get(&session)
        && let Some(event) = Event::of(&method, &incoming.params)
        && events.try_send(event).is_err()
    {
        tracing::debug!("a page makes too many events, and some are lost");
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "#[tokio::test] makes the runtime of a test")]
mod tests {
    use std::process::Stdio;
    use std::time::Duration;

    use tokio::process::Command;
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn a_message_whose_sender_gives_up_is_written_whole() {
        // After a while it sends back what it gets, which is then the answer of each call.
        let mut child = Command::new("/bin/sh")
            .args(["-c", "sleep 0.3; exec cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let connection = Connection::new(input, output);
        let long = json!({ "text": "x".repeat(1 << 20) });
        let first = connection.call("first", long);
        assert!(timeout(Duration::from_millis(100), first).await.is_err());
        let second = connection.call("second", json!({}));
        let answer = timeout(Duration::from_secs(30), second).await;
        assert_eq!(answer.unwrap(), Ok(Value::Null));
    }

    #[tokio::test]
    async fn messages_end_with_a_zero_and_those_that_are_too_long_are_skipped() {
        let long = "x".repeat(MESSAGE_BYTES + 1);
        let stream = format!("one\0\0{long}\0two\0half");
        let mut input = BufReader::with_capacity(4_095, stream.as_bytes());
        let mut frame = Vec::new();
        let mut found = Vec::new();
        while next_frame(&mut input, &mut frame).await.unwrap() {
            found.push(String::from_utf8(frame.clone()).unwrap());
        }
        assert_eq!(found, ["one", "", "", "two"]);
    }
}
