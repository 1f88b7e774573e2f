//! A Workers AI response: `{result, success, errors}`, or a stream of parts of the result.
//!
//! Most models return a text in `response` without a finish reason; newer ones return the choices
//! of a chat completion. Both are supported.

use serde::Deserialize;
use serde_json::Value;

use super::super::adapter::StreamEvent;
use super::super::answer::{Answer, Finish};
use super::super::failure::AttemptFailure;
use super::super::stream_deltas::{self, Delta, StreamDeltas, add_text};
use super::super::wire::{HttpHead, HttpReply};
use super::errors;

/// Unknown fields are ignored: providers add them without notice.
#[derive(Deserialize)]
struct Part {
    /// A text; in JSON mode the JSON value itself.
    response: Option<Value>,
    choices: Option<Vec<Choice>>,
    usage: Option<Tokens>,
    finish_reason: Option<String>,
    model: Option<String>,
}

#[derive(Deserialize)]
struct Choice {
    message: Option<ChoiceText>,
    delta: Option<ChoiceText>,
    text: Option<String>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct ChoiceText {
    content: Option<String>,
}

#[derive(Deserialize)]
struct Tokens {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
}

/// Decodes the whole body of a success.
pub(super) fn whole(http: &HttpReply) -> Result<Answer, AttemptFailure> {
    let mut value: Value = stream_deltas::parse_whole(http)?;
    if errors::is_failure(&value) {
        return Err(errors::of_envelope(&http.head, &value));
    }
    let Some(result) = value.get_mut("result").filter(|result| !result.is_null()).map(Value::take)
    else {
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
        part: Value,
        frame: &[u8],
        events: &mut Vec<StreamEvent>,
    ) -> Result<(), AttemptFailure> {
        let answer = &mut self.answer;
        let part = Part::deserialize(part)
            .map_err(|error| stream_deltas::of_another_shape(&error).of_answer(head, frame))?;
        if part.response.is_none() && part.choices.is_none() && part.usage.is_none() {
            return Err(stream_deltas::without("response").of_answer(head, frame));
        }
        match part.response {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) => add_text(answer, text, events),
            // The value in JSON mode; some streams send a text of digits as a number.
            Some(value) => add_text(answer, value.to_string(), events),
        }
        if let Some(model) = part.model {
            answer.model = Some(model);
        }
        if let Some(tokens) = part.usage {
            answer.usage.input_tokens = tokens.prompt_tokens.or(answer.usage.input_tokens);
            answer.usage.output_tokens = tokens.completion_tokens.or(answer.usage.output_tokens);
            events.push(StreamEvent::Usage(answer.usage));
        }
        let mut finish = part.finish_reason;
        if let Some(choice) = part.choices.into_iter().flatten().next() {
            let message = choice.message.or(choice.delta);
            let text = message.and_then(|message| message.content).or(choice.text);
            add_text(answer, text.unwrap_or_default(), events);
            finish = choice.finish_reason.or(finish);
        }
        if let Some(reason) = finish.filter(|reason| !reason.is_empty()) {
            let finish = match reason.as_str() {
                "stop" => Finish::Stop,
                "length" => Finish::Length,
                "content_filter" => {
                    Finish::Filtered("its content filter stopped the reply".to_owned())
                }
                _ => Finish::Other(reason),
            };
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
        let part: Value = stream_deltas::parse(head, data)?;
        if errors::is_failure(&part) {
            let failure = errors::of_envelope(head, &part).of_answer(head, data);
            return Err(failure.with_usage(self.answer.usage));
        }
        self.take(head, part, data, events)
    }

    fn is_done(&self) -> bool {
        self.done
    }

    fn end(self: Box<Self>) -> (Answer, bool) {
        let ended = self.done || self.answer.finish.is_some();
        (self.answer, ended)
    }
}
