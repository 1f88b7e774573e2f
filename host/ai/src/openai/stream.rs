//! A streamed chat completion: chunks of JSON as server-sent events, with `[DONE]` at the end.

use serde::Deserialize;
use serde_json::Value;

use super::super::adapter::StreamEvent;
use super::super::answer::Answer;
use super::super::failure::AttemptFailure;
use super::super::stream_deltas::{self, Delta, StreamDeltas, add_text};
use super::super::wire::HttpHead;
use super::reply::{self, ChatText, Tokens};

/// Unknown fields are ignored: providers add them without notice.
#[derive(Deserialize)]
struct Chunk {
    choices: Option<Vec<Choice>>,
    model: Option<String>,
    usage: Option<Tokens>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    index: Option<u64>,
    delta: Option<ChatText>,
    /// Some endpoints send the whole message instead of a delta.
    message: Option<ChatText>,
    finish_reason: Option<String>,
    error: Option<Value>,
}

/// The answer of one stream.
#[derive(Default)]
pub(super) struct Deltas {
    answer: Answer,
    done: bool,
}

impl Deltas {
    fn error(&self, head: &HttpHead, error: &Value, frame: &[u8]) -> AttemptFailure {
        head.error_frame(error, frame).with_usage(self.answer.usage)
    }
}

impl StreamDeltas for Deltas {
    fn read(
        &mut self,
        head: &HttpHead,
        delta: &Delta<'_>,
        events: &mut Vec<StreamEvent>,
    ) -> Result<(), AttemptFailure> {
        let data = delta.data;
        if self.done {
            return Ok(());
        }
        if data == b"[DONE]" {
            self.done = true;
            return Ok(());
        }
        let is_error = delta.event == "error";
        let chunk: Chunk = match stream_deltas::parse(head, data) {
            Ok(chunk) => chunk,
            Err(_) if is_error => {
                let text = Value::String(String::from_utf8_lossy(data).into_owned());
                return Err(self.error(head, &text, data));
            }
            Err(failure) => return Err(failure),
        };
        if let Some(error) = chunk.error.filter(|error| !error.is_null()) {
            return Err(self.error(head, &error, data));
        }
        if is_error {
            let whole = serde_json::from_slice(data).unwrap_or_default();
            return Err(self.error(head, &whole, data));
        }
        if let Some(model) = chunk.model.filter(|model| !model.is_empty()) {
            self.answer.model = Some(model);
        }
        // The request is for one choice; further ones are ignored.
        for choice in
            chunk.choices.into_iter().flatten().filter(|choice| choice.index.unwrap_or(0) == 0)
        {
            if let Some(error) = choice.error.filter(|error| !error.is_null()) {
                return Err(self.error(head, &error, data));
            }
            if let Some(message) = choice.delta.or(choice.message) {
                let (text, refusal) = reply::texts(message);
                if let Some(refusal) = refusal {
                    self.answer.refusal.get_or_insert_default().push_str(&refusal);
                }
                add_text(&mut self.answer, text, events);
            }
            if let Some(reason) = choice.finish_reason.filter(|reason| !reason.is_empty()) {
                let finish = reply::finish(reason);
                self.answer.finish = Some(finish.clone());
                events.push(StreamEvent::Finish(finish));
            }
        }
        if let Some(tokens) = chunk.usage {
            self.answer.usage = tokens.into();
            events.push(StreamEvent::Usage(self.answer.usage));
        }
        Ok(())
    }

    /// Chunks have no event name.
    fn knows(&self, event: &str) -> bool {
        matches!(event, "" | "message")
    }

    fn is_done(&self) -> bool {
        self.done
    }

    fn end(self: Box<Self>) -> (Answer, bool) {
        let complete = self.done || self.answer.finish.is_some();
        (self.answer, complete)
    }
}
