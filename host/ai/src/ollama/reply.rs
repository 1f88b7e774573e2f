//! A response of `/api/chat`: one JSON value per line, the last one with the finish reason.
//!
//! An error consists of a text only and may also be a line of a stream:
//! <https://docs.ollama.com/api/errors>.

use serde::Deserialize;
use serde_json::Value;

use super::super::adapter::StreamEvent;
use super::super::answer::{Answer, Finish};
use super::super::error_body::{self, ErrorBody};
use super::super::failure::AttemptFailure;
use super::super::stream_deltas::{self, Delta, StreamDeltas, add_text};
use super::super::wire::{HttpHead, HttpReply};
use sitewright_model::ai::AiErrorKind;

/// Unknown fields are ignored: the server adds them without notice.
#[derive(Deserialize)]
struct Line {
    message: Option<LineText>,
    model: Option<String>,
    #[serde(default)]
    done: bool,
    done_reason: Option<String>,
    prompt_eval_count: Option<u64>,
    eval_count: Option<u64>,
    error: Option<Value>,
}

/// Thinking is in a field of its own, which is ignored.
#[derive(Deserialize)]
struct LineText {
    content: Option<String>,
}

/// Decodes the whole body of a success.
pub(super) fn whole(http: &HttpReply) -> Result<Answer, AttemptFailure> {
    let mut deltas = Deltas::default();
    deltas.take(&http.head, stream_deltas::parse_whole(http)?, &http.body, &mut Vec::new())?;
    Ok(deltas.answer)
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
        line: Line,
        frame: &[u8],
        events: &mut Vec<StreamEvent>,
    ) -> Result<(), AttemptFailure> {
        let answer = &mut self.answer;
        if let Some(error) = line.error.filter(|error| !error.is_null()) {
            return Err(of_body(head, &ErrorBody::read(&error))
                .of_answer(head, frame)
                .with_usage(answer.usage));
        }
        if line.message.is_none() && !line.done {
            return Err(stream_deltas::without("message").of_answer(head, frame));
        }
        add_text(
            answer,
            line.message.and_then(|message| message.content).unwrap_or_default(),
            events,
        );
        if let Some(model) = line.model {
            answer.model = Some(model);
        }
        if line.done {
            self.done = true;
            answer.usage.input_tokens = line.prompt_eval_count;
            answer.usage.output_tokens = line.eval_count;
            let finish = match line.done_reason {
                None => Finish::Stop,
                Some(reason) if reason == "stop" => Finish::Stop,
                Some(reason) if reason == "length" => Finish::Length,
                Some(other) => Finish::Other(other),
            };
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
        let line = stream_deltas::parse(head, delta.data)?;
        self.take(head, line, delta.data, events)
    }

    fn is_done(&self) -> bool {
        self.done
    }

    fn end(self: Box<Self>) -> (Answer, bool) {
        (self.answer, self.done)
    }
}
