//! A server for the batch APIs of OpenAI and Anthropic, and for calls without a batch, whose
//! answers and faults a test selects.

use std::collections::BTreeMap;
use std::io::{BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use sitewright_script::{Answer as ScriptAnswer, Question, Script};

use crate::chat_server::{Request, http, read_request};

/// Token usage in each successful answer: prompt and completion.
pub const TOKENS: (u64, u64) = (1000, 100);

/// A key that the server repeats in what it says.
pub const KEY: &str = "sk-proj-SECRETKEYabcdef1234567890XYZ";

/// The page of a proxy.
const PAGE: &str = "<html><body>Are you human?</body></html>";

/// Whose API the server has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// Files and batches beside chat completions.
    Openai,
    /// Batches of messages.
    Anthropic,
}

impl Wire {
    /// As in the configuration: `kind` and `batch` of a provider.
    pub fn as_str(self) -> &'static str {
        match self {
            Wire::Openai => "openai",
            Wire::Anthropic => "anthropic",
        }
    }
}

/// What becomes of one call of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// An answer from the script.
    Good,
    /// An answer with this text.
    Reply(&'static str),
    /// An error of the provider with this message.
    Errored(&'static str),
    /// Not answered in time.
    Expired,
    /// Neither answered nor mentioned.
    Missing,
}

/// What happens to the next batches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Fault {
    /// They end at once.
    #[default]
    None,
    /// They do not end.
    Held,
    /// All but the first so many batches of the server do not end.
    HeldAfter(usize),
    /// They do not end, and who first cancels one gets this status.
    HeldAndKept(u16),
    /// The connection ends after they were made and before anybody is told.
    LostAnswer,
    /// They are refused with this status.
    Refused(u16),
    /// They fail as a whole; what OpenAI's says of that contains [`KEY`].
    Failed,
    /// Who first asks about them gets this status and the page of a proxy.
    LookOnce(u16),
    /// The same for who first reads their answers.
    ResultsOnce(u16),
    /// Their id is [`KEY`].
    KeyAsId,
    /// Who asks about them gets no answer.
    Silent,
}

/// A running server; it stops on drop.
pub struct BatchServer {
    port: u16,
    shared: Arc<Shared>,
}

type Choose = dyn Fn(&Value) -> Item + Send + Sync;

struct Shared {
    wire: Wire,
    script: Script,
    choose: Box<Choose>,
    state: Mutex<State>,
    stopped: AtomicBool,
}

#[derive(Default)]
struct State {
    fault: Fault,
    files: BTreeMap<String, Vec<u8>>,
    batches: Vec<Batch>,
    direct: Vec<Value>,
    cancels: usize,
}

struct Batch {
    id: String,
    metadata: Value,
    /// Id and body of each call.
    calls: Vec<(String, Value)>,
    fault: Fault,
    cancelled: Cancelled,
}

/// How far the cancellation of a batch is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Cancelled {
    #[default]
    No,
    /// Until somebody has seen that.
    Soon,
    /// All of its calls but the last one are answered.
    Done,
}

impl BatchServer {
    /// Starts a server on a free port. `choose` decides about each call of a batch by its body;
    /// [`Item::Good`] answers, and those without a batch, come from the rules of `script`, for
    /// which the model is the purpose.
    pub fn start(
        wire: Wire,
        script: &str,
        choose: impl Fn(&Value) -> Item + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("there is a free port");
        let port = listener.local_addr().expect("it has an address").port();
        let shared = Arc::new(Shared {
            wire,
            script: Script::from_toml(script).expect("the script is valid"),
            choose: Box::new(choose),
            state: Mutex::default(),
            stopped: AtomicBool::new(false),
        });
        let serving = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if serving.stopped.load(Ordering::Relaxed) {
                    return;
                }
                let (Ok(stream), shared) = (stream, serving.clone()) else { continue };
                // A worker that is killed disconnects.
                std::thread::spawn(move || drop(shared.serve(stream)));
            }
        });
        BatchServer { port, shared }
    }

    /// The `base_url` of a provider.
    pub fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}/v1", self.port)
    }

    /// The number of requests so far that cancel a batch.
    pub fn cancels(&self) -> usize {
        self.state().cancels
    }

    /// What happens to batches that are made from now on. Held and silent ones end as
    /// soon as that fault is set no more.
    pub fn set_fault(&self, fault: Fault) {
        let mut state = self.state();
        state.fault = fault;
        for waiting in [Fault::Held, Fault::Silent].into_iter().filter(|waiting| fault != *waiting)
        {
            for batch in state.batches.iter_mut().filter(|batch| batch.fault == waiting) {
                batch.fault = Fault::None;
            }
        }
    }

    /// The bodies of the calls of each batch so far.
    pub fn batches(&self) -> Vec<Vec<Value>> {
        let bodies = |batch: &Batch| batch.calls.iter().map(|(_, body)| body.clone()).collect();
        self.state().batches.iter().map(bodies).collect()
    }

    /// The bodies of the calls without a batch so far.
    pub fn direct(&self) -> Vec<Value> {
        self.state().direct.clone()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.shared.state.lock().expect("no thread panicked")
    }
}

impl Drop for BatchServer {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        // Unblocks `accept`.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}

impl Shared {
    fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        let mut reader = BufReader::new(stream);
        while let Some(request) = read_request(&mut reader)? {
            while self.is_silent(&request) && !self.stopped.load(Ordering::Relaxed) {
                std::thread::park_timeout(std::time::Duration::from_millis(20));
            }
            let Some((status, body)) = self.answer(&request) else { return Ok(()) };
            reader.get_mut().write_all(&http(status, &[], &body))?;
        }
        Ok(())
    }

    fn is_silent(&self, request: &Request) -> bool {
        let state = self.state.lock().expect("no thread panicked");
        let mut silent = state.batches.iter().filter(|batch| batch.fault == Fault::Silent);
        request.target.starts_with("GET ") && silent.any(|batch| request.target.contains(&batch.id))
    }

    /// Status and body; `None` to end the connection.
    fn answer(&self, request: &Request) -> Option<(u16, String)> {
        let mut state = self.state.lock().expect("no thread panicked");
        let json = || serde_json::from_slice::<Value>(&request.body).unwrap_or_default();
        let target = request.target.as_str();
        let path = target.split('?').next().unwrap_or(target);
        let answer = match (self.wire, path.split('/').collect::<Vec<_>>().as_slice()) {
            (Wire::Openai, ["POST ", "v1", "files"]) => {
                let id = format!("file-{}", state.files.len());
                state.files.insert(id.clone(), part(&request.body, "file"));
                json!({ "id": id, "object": "file", "purpose": "batch" })
            }
            (Wire::Openai, ["POST ", "v1", "batches"]) => {
                let body = json();
                assert_eq!(body["endpoint"], "/v1/chat/completions");
                assert_eq!(body["completion_window"], "24h");
                let file = body["input_file_id"].as_str().unwrap_or_default();
                let calls = lines(state.files.get(file).expect("the file was uploaded"));
                let calls = calls.into_iter().map(|line| {
                    assert_eq!(
                        (&line["method"], &line["url"]),
                        (&json!("POST"), &body["endpoint"])
                    );
                    (line["custom_id"].as_str().unwrap().to_owned(), line["body"].clone())
                });
                let calls = calls.collect();
                return self.made(&mut state, calls, body["metadata"].clone());
            }
            (Wire::Anthropic, ["POST ", "v1", "messages", "batches"]) => {
                let body = json();
                let calls = body["requests"].as_array().expect("requests").iter().map(|request| {
                    let id = request["custom_id"].as_str().unwrap();
                    assert!(id.len() <= 64 && id.chars().all(|c| c.is_ascii_alphanumeric()));
                    (id.to_owned(), request["params"].clone())
                });
                let calls = calls.collect();
                return self.made(&mut state, calls, Value::Null);
            }
            (Wire::Openai, ["GET ", "v1", "batches"]) => {
                let list: Vec<Value> = state.batches.iter().map(|one| self.shown(one)).collect();
                json!({ "object": "list", "data": list, "has_more": false })
            }
            (Wire::Openai, ["GET ", "v1", "batches", id])
            | (Wire::Anthropic, ["GET ", "v1", "messages", "batches", id]) => {
                let batch = state.batches.iter_mut().find(|batch| batch.id == *id);
                let batch = batch.expect("the batch is there");
                if let Fault::LookOnce(status) = batch.fault {
                    batch.fault = Fault::None;
                    return Some((status, PAGE.to_owned()));
                }
                let shown = self.shown(batch);
                if batch.cancelled == Cancelled::Soon {
                    batch.cancelled = Cancelled::Done;
                }
                shown
            }
            (Wire::Openai, ["POST ", "v1", "batches", id, "cancel"])
            | (Wire::Anthropic, ["POST ", "v1", "messages", "batches", id, "cancel"]) => {
                assert!(request.body.is_empty(), "there is nothing to say about it");
                state.cancels += 1;
                let batch = state.batches.iter_mut().find(|batch| batch.id == *id);
                let batch = batch.expect("the batch is there");
                if let Fault::HeldAndKept(status) = batch.fault {
                    batch.fault = Fault::Held;
                    return Some((status, PAGE.to_owned()));
                }
                assert_eq!((batch.fault, batch.cancelled), (Fault::Held, Cancelled::No), "{id}");
                batch.cancelled = Cancelled::Soon;
                self.shown(batch)
            }
            (Wire::Openai, ["GET ", "v1", "files", file, "content"]) => {
                let (kind, id) = file.split_once('-').expect("a file of answers");
                if let Some(page) = page_for_results(&mut state, id) {
                    return Some(page);
                }
                return Some((200, self.results(&state, id, Some(kind == "errors"))));
            }
            (Wire::Anthropic, ["GET ", "v1", "messages", "batches", id, "results"]) => {
                if let Some(page) = page_for_results(&mut state, id) {
                    return Some(page);
                }
                return Some((200, self.results(&state, id, None)));
            }
            (Wire::Openai, ["POST ", "v1", "chat", "completions"])
            | (Wire::Anthropic, ["POST ", "v1", "messages"]) => {
                let body = json();
                if !is_probe(&body) {
                    state.direct.push(body.clone());
                }
                self.reply(&body, &self.scripted(&body))
            }
            _ => return Some((404, json!({ "error": { "message": target } }).to_string())),
        };
        Some((200, answer.to_string()))
    }

    fn made(
        &self,
        state: &mut State,
        calls: Vec<(String, Value)>,
        metadata: Value,
    ) -> Option<(u16, String)> {
        let fault = match state.fault {
            Fault::HeldAfter(first) if state.batches.len() < first => Fault::None,
            Fault::HeldAfter(_) => Fault::Held,
            fault => fault,
        };
        if let Fault::Refused(status) = fault {
            let body = json!({ "error": { "message": "no batch now", "type": "refused" } });
            return Some((status, body.to_string()));
        }
        let models: Vec<&Value> = calls.iter().map(|(_, body)| &body["model"]).collect();
        assert!(models.windows(2).all(|two| two[0] == two[1]), "one model for each batch");
        assert!(calls.iter().all(|(_, body)| body["stream"] != true), "answers come whole");
        let id = match fault {
            Fault::KeyAsId => KEY.to_owned(),
            _ => format!("batch{}", state.batches.len()),
        };
        let batch = Batch { id, metadata, calls, fault, cancelled: Cancelled::No };
        let shown = self.shown(&batch);
        state.batches.push(batch);
        if fault == Fault::LostAnswer {
            state.fault = Fault::None;
            return None;
        }
        Some((200, shown.to_string()))
    }

    fn shown(&self, batch: &Batch) -> Value {
        let id = &batch.id;
        let is_held = matches!(batch.fault, Fault::Held | Fault::HeldAndKept(_));
        match (self.wire, batch.cancelled) {
            (Wire::Openai, Cancelled::Soon) => {
                json!({ "id": id, "status": "cancelling", "metadata": batch.metadata })
            }
            (Wire::Openai, Cancelled::Done) => json!({
                "id": id,
                "status": "cancelled",
                "metadata": batch.metadata,
                "output_file_id": format!("answers-{id}"),
                "error_file_id": null,
            }),
            (Wire::Anthropic, Cancelled::Soon) => {
                json!({ "id": id, "processing_status": "canceling", "results_url": null })
            }
            (Wire::Openai, Cancelled::No) if is_held => {
                json!({ "id": id, "status": "in_progress", "metadata": batch.metadata })
            }
            (Wire::Openai, Cancelled::No) if batch.fault == Fault::Failed => json!({
                "id": id,
                "status": "failed",
                "metadata": batch.metadata,
                "errors": {
                    "object": "list",
                    "data": [{ "message": format!("the file is odd, says {KEY}") }],
                },
            }),
            (Wire::Openai, Cancelled::No) => json!({
                "id": id,
                "status": "completed",
                "metadata": batch.metadata,
                "output_file_id": format!("answers-{id}"),
                "error_file_id": format!("errors-{id}"),
            }),
            (Wire::Anthropic, Cancelled::No) if is_held => {
                json!({ "id": id, "processing_status": "in_progress", "results_url": null })
            }
            (Wire::Anthropic, Cancelled::No | Cancelled::Done) => json!({
                "id": id,
                "processing_status": "ended",
                // Nobody may follow it with the key.
                "results_url": "http://203.0.113.1/elsewhere",
            }),
        }
    }

    /// The lines of a batch's answers. Of OpenAI's two files, `errors` or the other one.
    fn results(&self, state: &State, id: &str, errors: Option<bool>) -> String {
        let batch = state.batches.iter().find(|batch| batch.id == id).expect("the batch is there");
        let mut text = String::new();
        // Answers come in any order.
        for (number, (id, body)) in batch.calls.iter().enumerate().rev() {
            let item = match (batch.fault, batch.cancelled) {
                (Fault::Failed, _) => Item::Expired,
                (_, Cancelled::Done) if number + 1 == batch.calls.len() => match self.wire {
                    Wire::Openai => Item::Missing,
                    Wire::Anthropic => Item::Expired,
                },
                _ => (self.choose)(body),
            };
            let answer = match &item {
                Item::Good => Some(self.reply(body, &self.scripted(body))),
                Item::Reply(content) => Some(self.reply(body, content)),
                _ => None,
            };
            if item == Item::Missing || errors.is_some_and(|errors| errors == answer.is_some()) {
                continue;
            }
            let line = match (self.wire, item, answer) {
                (Wire::Openai, _, Some(answer)) => json!({
                    "id": "r", "custom_id": id, "error": null,
                    "response": { "status_code": 200, "request_id": "q", "body": answer },
                }),
                (Wire::Openai, Item::Errored(why), None) => json!({
                    "id": "r", "custom_id": id, "error": null,
                    "response": { "status_code": 400, "body": { "error": { "message": why } } },
                }),
                (Wire::Openai, _, None) => json!({
                    "id": "r", "custom_id": id, "response": null,
                    "error": { "code": "batch_expired", "message": "not in time" },
                }),
                (Wire::Anthropic, _, Some(answer)) => json!({
                    "custom_id": id, "result": { "type": "succeeded", "message": answer },
                }),
                (Wire::Anthropic, Item::Errored(why), None) => json!({
                    "custom_id": id,
                    "result": { "type": "errored", "error": { "type": "error", "error":
                        { "type": "invalid_request_error", "message": why } } },
                }),
                (Wire::Anthropic, _, None) => {
                    json!({ "custom_id": id, "result": { "type": "expired" } })
                }
            };
            text.push_str(&format!("{line}\n"));
        }
        text
    }

    fn scripted(&self, body: &Value) -> String {
        let mut messages = Vec::new();
        collect(&body["system"], &mut messages);
        collect(&body["messages"], &mut messages);
        let messages: Vec<&str> = messages.iter().map(String::as_str).collect();
        let question = Question {
            purpose: body["model"].as_str().unwrap_or_default(),
            messages: &messages,
            schema: body.pointer("/response_format/json_schema/schema"),
        };
        match self.script.answer(&question).map(|reply| reply.answer) {
            Some(ScriptAnswer::Text(text)) => text,
            Some(ScriptAnswer::Fault(fault)) => panic!("the script has a fault: {fault:?}"),
            None => question.unanswered("the script"),
        }
    }

    fn reply(&self, body: &Value, content: &str) -> Value {
        match self.wire {
            Wire::Openai => json!({
                "id": "c",
                "model": body["model"],
                "choices": [{
                    "index": 0,
                    "message": { "role": "assistant", "content": content },
                    "finish_reason": "stop",
                }],
                "usage": { "prompt_tokens": TOKENS.0, "completion_tokens": TOKENS.1 },
            }),
            Wire::Anthropic => json!({
                "id": "c",
                "type": "message",
                "role": "assistant",
                "model": body["model"],
                "content": [{ "type": "text", "text": content }],
                "stop_reason": "end_turn",
                "usage": { "input_tokens": TOKENS.0, "output_tokens": TOKENS.1 },
            }),
        }
    }
}

/// What the reader of a batch's answers gets instead of them.
fn page_for_results(state: &mut State, id: &str) -> Option<(u16, String)> {
    let batch = state.batches.iter_mut().find(|batch| batch.id == id)?;
    let Fault::ResultsOnce(status) = batch.fault else { return None };
    batch.fault = Fault::None;
    Some((status, PAGE.to_owned()))
}

/// Whether a worker asks only to see whether the provider answers.
fn is_probe(body: &Value) -> bool {
    let mut messages = Vec::new();
    collect(&body["system"], &mut messages);
    collect(&body["messages"], &mut messages);
    messages.iter().any(|message| message.starts_with("You check a connection."))
}

/// The texts of messages, whichever notation they have.
fn collect(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::String(text) => texts.push(text.clone()),
        Value::Array(values) => values.iter().for_each(|value| collect(value, texts)),
        Value::Object(fields) => {
            for name in ["content", "text"] {
                fields.get(name).into_iter().for_each(|value| collect(value, texts));
            }
        }
        _ => {}
    }
}

/// The content of a part of a multipart body.
fn part(body: &[u8], name: &str) -> Vec<u8> {
    let text = String::from_utf8(body.to_vec()).expect("the upload is text");
    let boundary = text.lines().next().expect("a boundary").to_owned();
    let wanted = format!("name=\"{name}\"");
    let part = text
        .split(&boundary)
        .find(|part| part.split("\r\n\r\n").next().is_some_and(|head| head.contains(&wanted)));
    let (_, content) = part.expect("the part is there").split_once("\r\n\r\n").expect("a head");
    content.trim_end_matches("\r\n").as_bytes().to_vec()
}

fn lines(file: &[u8]) -> Vec<Value> {
    let lines = file.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).expect("a line of JSON")).collect()
}
