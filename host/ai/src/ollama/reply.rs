//! A response of `/api/chat`: one JSON value per line, the last one with the finish reason.
//!
//! An error consists of a text only and may also be a line of a stream:
//! <https://docs.ollama.com/api/errors>.

use serde_json::Value;

use super::super::adapter::StreamEvent;
use super::super::answer::{Answer, Finish, WithoutEnd};
use super::super::error_body::{self, ErrorBody};
use super::super::failure::AttemptFailure;
use super::super::finish_reason;
use super::super::reading::{self, Fields};
use super::super::stream_deltas::{self, Delta, StreamDeltas, add_text};
use super::super::wire::{HttpHead, HttpReply};
use sitewright_model::ai::{AiErrorKind, Usage};

/// Decodes the whole body of a success.
pub(super) fn whole(http: &HttpReply) -> Result<Answer, AttemptFailure> {
    let mut deltas = Deltas::default();
    deltas.take(&http.head, &stream_deltas::parse_whole(http)?, &http.body, &mut Vec::new())?;
    Ok(Answer { without_end: WithoutEnd::Cut("done"), ..deltas.answer })
}

/// The failure that an error status with this body means.
pub(super) fn failure(http: &HttpReply) -> AttemptFailure {
    of_body(&http.head, &ErrorBody::parse(&http.body))
}

fn of_body(head: &HttpHead, body: &ErrorBody) -> AttemptFailure {
    if body.mentions(&["more system memory", "out of memory"]) {
        // The same model on the same machine: waiting does not add memory.
        return AttemptFailure {
            retryable: false,
            ..error_body::of_kind(head, AiErrorKind::Overloaded, body)
        };
    }
    let kind = if body.mentions(&["model"]) && body.mentions(&["not found", "try pulling it"]) {
        AiErrorKind::NotFound
    } else if body.mentions(&["context length", "context size", "context window"]) {
        AiErrorKind::ContextTooLong
    } else if body.mentions(&["unauthorized"]) {
        AiErrorKind::Auth
    } else if body.mentions(&["server busy", "loading model", "runner"]) {
        AiErrorKind::Overloaded
    } else if body.mentions(&["usage limit"]) {
        AiErrorKind::QuotaExhausted
    } else if head.status < 300 {
        // The stream had begun, so the request is not the cause.
        AiErrorKind::Overloaded
    } else {
        error_body::kind(head.status, body)
    };
    error_body::of_kind(head, kind, body)
}

/// The answer of one stream.
#[derive(Default)]
pub(super) struct Deltas {
    answer: Answer,
    done: bool,
}

impl Deltas {
    fn take(
        &mut self,
        head: &HttpHead,
        line: &Value,
        frame: &[u8],
        events: &mut Vec<StreamEvent>,
    ) -> Result<(), AttemptFailure> {
        let answer = &mut self.answer;
        let line = Fields(line);
        if let Some(error) = line.get("error").filter(|error| reading::is_error(error)) {
            return Err(of_body(head, &ErrorBody::read(error))
                .of_answer(head, frame)
                .with_usage(answer.usage));
        }
        let done = line.flag("done");
        let message = line.object("message");
        if message.is_none() && !done {
            return Err(stream_deltas::without("message").of_answer(head, frame));
        }
        // Thinking is in a field of its own.
        if message.is_some_and(|message| message.text("thinking").is_some()) {
            events.push(StreamEvent::Thinking);
        }
        answer.calls_tool |=
            message.is_some_and(|message| message.list("tool_calls").next().is_some());
        let text = message.and_then(|message| message.get("content")?.as_str());
        add_text(answer, text.unwrap_or_default().to_owned(), events);
        if let Some(model) = line.text("model") {
            answer.model = Some(model.to_owned());
        }
        if done {
            self.done = true;
            answer.usage.input_tokens = line.count("prompt_eval_count");
            answer.usage.output_tokens = line.count("eval_count");
            let finish = line
                .word("done_reason")
                .and_then(|word| finish_reason::of(word, finish_reason::filtered))
                .unwrap_or(Finish::Stop);
            answer.finish = Some(finish.clone());
            events.extend([StreamEvent::Usage(answer.usage), StreamEvent::Finish(finish)]);
        }
        Ok(())
    }
}

impl StreamDeltas for Deltas {
    fn read(
        &mut self,
        head: &HttpHead,
        delta: &Delta<'_>,
        events: &mut Vec<StreamEvent>,
    ) -> Result<(), AttemptFailure> {
        // Some relays end their streams like chat completions.
        if delta.data == b"[DONE]" {
            return Ok(());
        }
        let line = stream_deltas::parse(head, delta.data)?;
        self.take(head, &line, delta.data, events)
    }

    fn is_done(&self) -> bool {
        self.done
    }

    fn so_far(&self) -> (&str, Usage) {
        (self.answer.content.as_str(), self.answer.usage)
    }

    fn end(self: Box<Self>) -> Answer {
        self.answer
    }
}
