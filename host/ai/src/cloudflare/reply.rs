//! A Workers AI response: `{result, success, errors}`, or a stream of parts of the result.
//!
//! Most models return a text in `response` without a finish reason; newer ones return the choices
//! of a chat completion. Both are supported.

use serde_json::Value;

use super::super::adapter::StreamEvent;
use super::super::answer::Answer;
use super::super::failure::AttemptFailure;
use super::super::finish_reason::{self, of_choice, worse};
use super::super::reading::{Fields, newest};
use super::super::stream_deltas::{self, Delta, StreamDeltas, add_text};
use super::super::wire::{HttpHead, HttpReply};
use super::errors;
use sitewright_model::ai::Usage;

/// Decodes the whole body of a success.
pub(super) fn whole(http: &HttpReply) -> Result<Answer, AttemptFailure> {
    let value = stream_deltas::parse_whole(http)?;
    if errors::is_failure(&value) {
        return Err(errors::of_envelope(&http.head, &value));
    }
    let Some(result) = Fields(&value).get("result") else {
        return Err(stream_deltas::without("result"));
    };
    let mut deltas = Deltas::default();
    deltas.take(&http.head, result, &http.body, &mut Vec::new())?;
    Ok(deltas.answer)
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
        part: &Value,
        frame: &[u8],
        events: &mut Vec<StreamEvent>,
    ) -> Result<(), AttemptFailure> {
        let answer = &mut self.answer;
        let part = Fields(part);
        if !["response", "choices", "usage"].into_iter().any(|name| part.get(name).is_some()) {
            return Err(stream_deltas::without("response").of_answer(head, frame));
        }
        match part.get("response") {
            None => {}
            Some(Value::String(text)) => add_text(answer, text.clone(), events),
            // The value in JSON mode; some streams send a text of digits as a number.
            Some(value) => add_text(answer, value.to_string(), events),
        }
        if let Some(model) = part.text("model") {
            answer.model = Some(model.to_owned());
        }
        if let Some(tokens) = part.object("usage") {
            let (input, output) =
                (tokens.count("prompt_tokens"), tokens.count("completion_tokens"));
            answer.usage.input_tokens = newest(input, answer.usage.input_tokens);
            answer.usage.output_tokens = newest(output, answer.usage.output_tokens);
            events.push(StreamEvent::Usage(answer.usage));
        }
        let of_part = part.word("finish_reason");
        let mut finish = of_part.and_then(|word| finish_reason::of(word, finish_reason::filtered));
        answer.calls_tool |= part.list("tool_calls").next().is_some();
        if let Some(choice) = part.list("choices").next() {
            let message = choice.object("message").or_else(|| choice.object("delta"));
            if message.is_some_and(|message| message.text("reasoning_content").is_some()) {
                events.push(StreamEvent::Thinking);
            }
            let text = message
                .and_then(|message| message.get("content")?.as_str())
                .or_else(|| choice.get("text")?.as_str());
            add_text(answer, text.unwrap_or_default().to_owned(), events);
            answer.calls_tool |=
                message.is_some_and(|message| message.list("tool_calls").next().is_some());
            finish = of_choice(choice).or(finish);
        }
        if let Some(finish) = finish {
            let finish = worse(answer.finish.take(), finish);
            answer.finish = Some(finish.clone());
            events.push(StreamEvent::Finish(finish));
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
        let data = delta.data;
        if data == b"[DONE]" {
            self.done = true;
            return Ok(());
        }
        let part = stream_deltas::parse(head, data)?;
        if errors::is_failure(&part) {
            let failure = errors::of_envelope(head, &part).of_answer(head, data);
            return Err(failure.with_usage(self.answer.usage));
        }
        self.take(head, &part, data, events)
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
        self.answer
    }
}
