//! A streamed chat completion: chunks of JSON as server-sent events, with `[DONE]` at the end.

use serde_json::Value;

use super::super::adapter::StreamEvent;
use super::super::answer::{Answer, WithoutEnd};
use super::super::error_body;
use super::super::failure::AttemptFailure;
use super::super::finish_reason::{of_choice, worse};
use super::super::reading::{self, Fields};
use super::super::same_frame::SameFrame;
use super::super::stream_deltas::{self, Delta, StreamDeltas, add_text};
use super::super::wire::HttpHead;
use super::plain_chunk::PlainChunk;
use super::reply;
use sitewright_model::ai::Usage;

/// A delta that repeats the whole text at the end has at least as many bytes. Shorter ones may be
/// equal to the text by chance.
const REPEATED_BYTES: usize = 16;

/// The answer of one stream.
#[derive(Default)]
pub(super) struct Deltas {
    answer: Answer,
    /// Whether a delta had text. Messages after it repeat the text.
    had_delta: bool,
    done: bool,
    /// Around the text of the last plain chunk, whose model is that of the answer.
    same: SameFrame,
}

impl Deltas {
    fn error(&self, head: &HttpHead, error: &Value, frame: &[u8]) -> AttemptFailure {
        head.error_frame(error, frame).with_usage(self.answer.usage)
    }

    /// Keeps the model that a chunk names, if it names one. Nearly all name the same.
    fn set_model(&mut self, model: Option<&str>) {
        if model.is_some() && self.answer.model.as_deref() != model {
            self.answer.model = model.map(str::to_owned);
            self.same.forget();
        }
    }

    /// Reads the text of a choice.
    fn text(&mut self, choice: Fields<'_>, events: &mut Vec<StreamEvent>) {
        let thinks = |name: &str| {
            let delta = choice.object("delta")?;
            delta.text(name).map(drop).or_else(|| delta.list(name).next().map(drop))
        };
        if ["reasoning_content", "reasoning", "reasoning_details"]
            .into_iter()
            .any(|name| thinks(name).is_some())
        {
            events.push(StreamEvent::Thinking);
        }
        let delta = reply::texts_of(choice, &["delta"]);
        let content = &self.answer.content;
        if let Some(refusal) = delta.refusal {
            self.answer.refusal.get_or_insert_default().push_str(refusal);
        } else if !delta.content.is_empty() {
            let repeats = delta.content.len() >= REPEATED_BYTES
                && delta.content == *content
                && of_choice(choice).is_some();
            if !repeats {
                self.had_delta = true;
                add_text(&mut self.answer, delta.content.into_owned(), events);
            }
            return;
        }
        // Some endpoints send the message so far, or at the end the whole message.
        let Some(message) = choice.object("message").map(reply::texts) else { return };
        if let Some(refusal) = message.refusal {
            self.answer.refusal.get_or_insert_with(|| refusal.to_owned());
        }
        let content = &self.answer.content;
        let more = match message.content.strip_prefix(content.as_str()) {
            Some(more) => more,
            None if self.had_delta => "",
            None => &message.content,
        };
        let more = more.to_owned();
        add_text(&mut self.answer, more, events);
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
        if let Some(text) = self.same.text(data).filter(|_| !is_error) {
            add_text(&mut self.answer, text.to_owned(), events);
            return Ok(());
        }
        if let Some(chunk) = PlainChunk::parse(data).filter(|_| !is_error) {
            self.had_delta = true;
            self.set_model(chunk.model());
            let text = chunk.into_text();
            self.same.remember(data, &text);
            add_text(&mut self.answer, text.into_owned(), events);
            return Ok(());
        }
        let chunk = match stream_deltas::parse(head, data) {
            Ok(chunk) => chunk,
            Err(_) if is_error => {
                let text = Value::String(String::from_utf8_lossy(data).into_owned());
                return Err(self.error(head, &text, data));
            }
            Err(failure) => return Err(failure),
        };
        let fields = Fields(&chunk);
        let choices: Vec<_> = fields.list("choices").collect();
        let errors =
            [fields.get("error")].into_iter().chain(choices.iter().map(|c| c.get("error")));
        if let Some(error) = errors.flatten().find(|error| reading::is_error(error)) {
            return Err(self.error(head, error, data));
        }
        if is_error {
            return Err(self.error(head, &chunk, data));
        }
        if !chunk.is_object() {
            return Err(head.not_protocol("is JSON, but no object", data));
        }
        // Groq, MiniMax, and servers that send an error in an envelope of its own.
        let groq = fields.object("x_groq").and_then(|groq| groq.get("error"));
        let minimax = fields
            .get("base_resp")
            .filter(|status| Fields(status).count("status_code").is_some_and(|code| code != 0));
        let whole = Some(&chunk).filter(|_| choices.is_empty() && error_body::is_failure(&chunk));
        if let Some(error) = groq.filter(|error| reading::is_error(error)).or(minimax).or(whole) {
            return Err(self.error(head, error, data));
        }
        self.set_model(fields.text("model"));
        // The request is for one choice; further ones are ignored.
        for choice in choices.into_iter().filter(|choice| choice.count("index").unwrap_or(0) == 0) {
            self.text(choice, events);
            self.answer.calls_tool |= reply::calls_tool(choice);
            if let Some(finish) = of_choice(choice) {
                let finish = worse(self.answer.finish.take(), finish);
                self.answer.finish = Some(finish.clone());
                events.push(StreamEvent::Finish(finish));
            }
        }
        if reply::add_usage(fields, &mut self.answer.usage) {
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

    fn is_whole(&self) -> bool {
        self.done || self.answer.finish.is_some()
    }

    fn so_far(&self) -> (&str, Usage) {
        (self.answer.content.as_str(), self.answer.usage)
    }

    fn end(self: Box<Self>) -> Answer {
        Answer { without_end: WithoutEnd::Unknown, ..self.answer }
    }
}
