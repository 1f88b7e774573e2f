//! The meaning of an answer of `/api/chat`: a JSON line for each part, the last of which says how
//! it ended.
//!
//! Errors have a text and nothing else, also as a line of a stream that began well: <https://docs.ollama.com/api/errors>.

use serde::Deserialize;
use serde_json::Value;

use super::super::answer::{Answer, Finish};
use super::super::error_body::{self, Said};
use super::super::provider::{Failure, HttpHead, HttpReply, StreamEvent};
use super::super::stream_deltas::{self, Parts, add_text};
use sitewright_model::ai::AiErrorKind;

/// Unknown fields are passed over: the server adds them without notice.
#[derive(Deserialize)]
struct Line {
    message: Option<Spoken>,
    model: Option<String>,
    #[serde(default)]
    done: bool,
    done_reason: Option<String>,
    prompt_eval_count: Option<u64>,
    eval_count: Option<u64>,
    error: Option<Value>,
}

/// Thinking stands in a field of its own and counts for nothing.
#[derive(Deserialize)]
struct Spoken {
    content: Option<String>,
}

/// The whole body of a success.
pub(super) fn whole(http: &HttpReply) -> Result<Answer, Failure> {
    let mut lines = Lines::default();
    lines.take(&http.head, stream_deltas::whole(http)?, &http.body, &mut Vec::new())?;
    Ok(lines.answer)
}

/// The failure of an answer with an error status.
pub(super) fn failure(http: &HttpReply) -> Failure {
    described(&http.head, &error_body::read(&http.body))
}

fn described(head: &HttpHead, said: &Said) -> Failure {
    let message = said.message.to_lowercase();
    let says = |texts: &[&str]| texts.iter().any(|text| message.contains(text));
    if says(&["more system memory", "out of memory"]) {
        // The same model on the same machine: waiting makes no memory.
        return Failure {
            retryable: false,
            ..error_body::of_kind(head, AiErrorKind::Overloaded, said)
        };
    }
    let kind = if message.contains("model") && says(&["not found", "try pulling it"]) {
        AiErrorKind::NotFound
    } else if says(&["context length", "context size", "context window"]) {
        AiErrorKind::ContextTooLong
    } else if says(&["unauthorized"]) {
        AiErrorKind::Auth
    } else if says(&["server busy", "loading model", "runner"]) {
        AiErrorKind::Overloaded
    } else if says(&["usage limit"]) {
        AiErrorKind::QuotaExhausted
    } else if head.status < 300 {
        // The stream had begun: whatever it was, it was not the request.
        AiErrorKind::Overloaded
    } else {
        error_body::kind(head.status, said)
    };
    error_body::of_kind(head, kind, said)
}

/// An answer that comes in lines.
#[derive(Default)]
pub(super) struct Lines {
    answer: Answer,
    done: bool,
}

impl Lines {
    fn take(
        &mut self,
        head: &HttpHead,
        line: Line,
        frame: &[u8],
        found: &mut Vec<StreamEvent>,
    ) -> Result<(), Failure> {
        let answer = &mut self.answer;
        if let Some(error) = line.error.filter(|error| !error.is_null()) {
            return Err(described(head, &error_body::said(&error))
                .of_answer(head, frame)
                .with_usage(answer.usage));
        }
        if line.message.is_none() && !line.done {
            return Err(stream_deltas::without("message").of_answer(head, frame));
        }
        add_text(answer, line.message.and_then(|said| said.content).unwrap_or_default(), found);
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
            found.extend([StreamEvent::Usage(answer.usage), StreamEvent::Finish(finish)]);
        }
        Ok(())
    }
}

impl Parts for Lines {
    fn part(
        &mut self,
        head: &HttpHead,
        data: &[u8],
        found: &mut Vec<StreamEvent>,
    ) -> Result<(), Failure> {
        let line = stream_deltas::read(head, data)?;
        self.take(head, line, data, found)
    }

    fn is_done(&self) -> bool {
        self.done
    }

    fn end(self: Box<Self>) -> (Answer, bool) {
        (self.answer, self.done)
    }
}
