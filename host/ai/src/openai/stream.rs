//! A streamed chat completion: chunks of JSON in server-sent events, `[DONE]` at the end.

use serde::Deserialize;
use serde_json::Value;

use super::super::answer::Answer;
use super::super::provider::{Failure, HttpHead, StreamDecoder, StreamEvent};
use super::super::stream::{Overlong, Sse, SseEvent};
use super::super::stream_deltas::is_cut_json;
use super::reply::{self, Said, Tokens};

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
    delta: Option<Said>,
    /// Some send the whole message in place of a delta.
    message: Option<Said>,
    finish_reason: Option<String>,
    error: Option<Value>,
}

/// The decoder of one stream.
pub(super) struct Decoder {
    head: HttpHead,
    sse: Sse,
    answer: Answer,
    done: bool,
}

impl Decoder {
    pub(super) fn new(head: HttpHead) -> Self {
        Decoder { head, sse: Sse::default(), answer: Answer::default(), done: false }
    }

    fn event(&mut self, event: &SseEvent, found: &mut Vec<StreamEvent>) -> Result<(), Failure> {
        let data = event.data.trim_ascii();
        if self.done || data.is_empty() {
            return Ok(());
        }
        if data == b"[DONE]" {
            self.done = true;
            return Ok(());
        }
        let chunk: Chunk = match serde_json::from_slice(data) {
            Ok(chunk) => chunk,
            Err(_) if event.event == "error" => {
                let text = Value::String(String::from_utf8_lossy(data).into_owned());
                return Err(self.error(&text, data));
            }
            // Pings, and whatever comes to be: chunks have no name.
            Err(_) if !matches!(event.event.as_str(), "" | "message") && !is_cut_json(data) => {
                return Ok(());
            }
            Err(error) => {
                return Err(self.head.not_protocol(format!("is no chunk of JSON: {error}"), data));
            }
        };
        if let Some(error) = chunk.error.filter(|error| !error.is_null()) {
            return Err(self.error(&error, data));
        }
        if event.event == "error" {
            let whole = serde_json::from_slice(data).unwrap_or_default();
            return Err(self.error(&whole, data));
        }
        if let Some(model) = chunk.model.filter(|model| !model.is_empty()) {
            self.answer.model = Some(model);
        }
        // One choice was asked for; a server that sends more is not heard.
        for choice in
            chunk.choices.into_iter().flatten().filter(|choice| choice.index.unwrap_or(0) == 0)
        {
            if let Some(error) = choice.error.filter(|error| !error.is_null()) {
                return Err(self.error(&error, data));
            }
            if let Some(said) = choice.delta.or(choice.message) {
                let (text, refusal) = reply::texts(said);
                if let Some(refusal) = refusal {
                    self.answer.refusal.get_or_insert_default().push_str(&refusal);
                }
                if !text.is_empty() {
                    self.answer.content.push_str(&text);
                    found.push(StreamEvent::Text(text));
                }
            }
            if let Some(reason) = choice.finish_reason.filter(|reason| !reason.is_empty()) {
                let finish = reply::finish(reason);
                self.answer.finish = Some(finish.clone());
                found.push(StreamEvent::Finish(finish));
            }
        }
        if let Some(tokens) = chunk.usage {
            self.answer.usage = tokens.into();
            found.push(StreamEvent::Usage(self.answer.usage));
        }
        Ok(())
    }

    fn error(&self, error: &Value, frame: &[u8]) -> Failure {
        self.head.error_frame(error, frame).with_usage(self.answer.usage)
    }
}

impl StreamDecoder for Decoder {
    fn push(&mut self, bytes: &[u8]) -> Result<Vec<StreamEvent>, Failure> {
        let events = self.sse.push(bytes).map_err(|Overlong| {
            self.head.not_protocol("has an event far larger than any token", b"")
        })?;
        let mut found = Vec::new();
        for event in events {
            self.event(&event, &mut found)?;
        }
        Ok(found)
    }

    fn is_done(&self) -> bool {
        self.done
    }

    fn finish(mut self: Box<Self>) -> Result<Answer, Failure> {
        if let Some(event) = self.sse.rest() {
            // A whole event that lacks only its blank line counts; half of one is where the stream
            // broke.
            let whole =
                event.data == b"[DONE]" || serde_json::from_slice::<Value>(&event.data).is_ok();
            if whole {
                self.event(&event, &mut Vec::new())?;
            }
        }
        if self.done || self.answer.finish.is_some() {
            return Ok(self.answer);
        }
        Err(Failure::unfinished(&self.answer))
    }
}
