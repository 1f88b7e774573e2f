//! The meaning of a Workers AI answer: `{result, success, errors}`, or a stream of parts of the
//! result.
//!
//! Most models answer with a text in `response` and say nothing of how they ended; newer ones
//! answer with the choices of a chat completion. Both are read.

use serde::Deserialize;
use serde_json::Value;

use super::super::answer::{Answer, Finish};
use super::super::provider::{Failure, HttpHead, HttpReply, StreamEvent};
use super::super::stream_deltas::{self, Parts, add_text};
use super::errors;
use sitewright_model::ai::AiErrorKind;

/// Unknown fields are passed over: providers add them without notice.
#[derive(Deserialize)]
struct Part {
    /// A text, or in JSON mode the value itself.
    response: Option<Value>,
    choices: Option<Vec<Choice>>,
    usage: Option<Tokens>,
    finish_reason: Option<String>,
    model: Option<String>,
}

#[derive(Deserialize)]
struct Choice {
    message: Option<Spoken>,
    delta: Option<Spoken>,
    text: Option<String>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Spoken {
    content: Option<String>,
}

#[derive(Deserialize)]
struct Tokens {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
}

/// The whole body of a success.
pub(super) fn whole(http: &HttpReply) -> Result<Answer, Failure> {
    let mut value: Value = stream_deltas::whole(http)?;
    if errors::is_failure(&value) {
        return Err(errors::described(&http.head, &value));
    }
    let Some(result) = value.get_mut("result").filter(|result| !result.is_null()).map(Value::take)
    else {
        return Err(stream_deltas::without("result"));
    };
    let mut events = Events::default();
    events.take(&http.head, result, &http.body, &mut Vec::new())?;
    Ok(events.answer)
}

/// An answer that comes in events.
#[derive(Default)]
pub(super) struct Events {
    answer: Answer,
    done: bool,
}

impl Events {
    fn take(
        &mut self,
        head: &HttpHead,
        part: Value,
        frame: &[u8],
        found: &mut Vec<StreamEvent>,
    ) -> Result<(), Failure> {
        let answer = &mut self.answer;
        let part = Part::deserialize(part).map_err(|error| {
            let detail = format!("its answer is JSON of another shape: {error}");
            Failure::new(AiErrorKind::Protocol, detail).of_answer(head, frame)
        })?;
        if part.response.is_none() && part.choices.is_none() && part.usage.is_none() {
            return Err(stream_deltas::without("response").of_answer(head, frame));
        }
        match part.response {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) => add_text(answer, text, found),
            // JSON mode gives the value; streams have given numbers where the text was one.
            Some(value) => add_text(answer, value.to_string(), found),
        }
        if let Some(model) = part.model {
            answer.model = Some(model);
        }
        if let Some(tokens) = part.usage {
            answer.usage.input_tokens = tokens.prompt_tokens.or(answer.usage.input_tokens);
            answer.usage.output_tokens = tokens.completion_tokens.or(answer.usage.output_tokens);
            found.push(StreamEvent::Usage(answer.usage));
        }
        let mut finish = part.finish_reason;
        if let Some(choice) = part.choices.into_iter().flatten().next() {
            let said =
                choice.message.or(choice.delta).and_then(|said| said.content).or(choice.text);
            add_text(answer, said.unwrap_or_default(), found);
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
            found.push(StreamEvent::Finish(finish));
        }
        Ok(())
    }
}

impl Parts for Events {
    fn part(
        &mut self,
        head: &HttpHead,
        data: &[u8],
        found: &mut Vec<StreamEvent>,
    ) -> Result<(), Failure> {
        if data == b"[DONE]" {
            self.done = true;
            return Ok(());
        }
        let part: Value = stream_deltas::read(head, data)?;
        if errors::is_failure(&part) {
            let failure = errors::described(head, &part).of_answer(head, data);
            return Err(failure.with_usage(self.answer.usage));
        }
        self.take(head, part, data, found)
    }

    fn is_done(&self) -> bool {
        self.done
    }

    fn end(self: Box<Self>) -> (Answer, bool) {
        let ended = self.done || self.answer.finish.is_some();
        (self.answer, ended)
    }
}
