//! The meaning of a generateContent answer, whole or in events: each event is a part of the same
//! shape.

use serde::Deserialize;
use serde_json::Value;

use super::super::answer::{Answer, Finish};
use super::super::provider::{Failure, HttpHead, HttpReply, StreamEvent};
use super::super::stream_deltas::{self, Parts, add_text};
use super::errors;
use sitewright_model::ai::AiErrorKind;
use sitewright_model::ai::Usage;

/// Unknown fields are passed over: providers add them without notice.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part {
    candidates: Option<Vec<Candidate>>,
    prompt_feedback: Option<Feedback>,
    usage_metadata: Option<Tokens>,
    model_version: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Candidate {
    content: Option<Content>,
    finish_reason: Option<String>,
    finish_message: Option<String>,
}

#[derive(Deserialize)]
struct Content {
    parts: Option<Vec<Piece>>,
}

#[derive(Deserialize)]
struct Piece {
    text: Option<String>,
    /// The text is the model's thinking, not its reply.
    #[serde(default)]
    thought: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Feedback {
    block_reason: Option<String>,
    block_reason_message: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Tokens {
    prompt_token_count: Option<u64>,
    candidates_token_count: Option<u64>,
    thoughts_token_count: Option<u64>,
}

/// The whole body of a success.
pub(super) fn whole(http: &HttpReply) -> Result<Answer, Failure> {
    // Without `alt=sse` a stream is a list of its parts.
    let list = match stream_deltas::whole(http)? {
        Value::Array(list) => list,
        whole => vec![whole],
    };
    let mut events = Events::default();
    for part in list {
        events.take(&http.head, part, &http.body, &mut Vec::new())?;
    }
    Ok(events.answer)
}

fn finish(reason: String, message: Option<String>) -> Finish {
    match reason.as_str() {
        "STOP" => Finish::Stop,
        "MAX_TOKENS" => Finish::Length,
        "SAFETY" | "RECITATION" | "LANGUAGE" | "BLOCKLIST" | "PROHIBITED_CONTENT" | "SPII" => {
            blocked("the reply was blocked", &reason, message)
        }
        _ => Finish::Other(reason),
    }
}

fn blocked(what: &str, reason: &str, message: Option<String>) -> Finish {
    let message = message.filter(|message| !message.trim().is_empty());
    Finish::Filtered(match message {
        Some(message) => format!("{what} ({reason}): {message}"),
        None => format!("{what} ({reason})"),
    })
}

/// An answer that comes in events. There is no final marker but the reason why the model finished.
#[derive(Default)]
pub(super) struct Events {
    answer: Answer,
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
        if let Some(error) = errors::error_of(&part) {
            return Err(errors::in_success(head, error, frame).with_usage(answer.usage));
        }
        let part = Part::deserialize(part).map_err(|error| {
            let detail = format!("its answer is JSON of another shape: {error}");
            Failure::new(AiErrorKind::Protocol, detail).of_answer(head, frame)
        })?;
        let known = part.candidates.is_some()
            || part.prompt_feedback.is_some()
            || part.usage_metadata.is_some()
            || part.model_version.is_some();
        if !known {
            return Err(stream_deltas::without("candidates").of_answer(head, frame));
        }
        if let Some(model) = part.model_version {
            answer.model = Some(model);
        }
        if let Some(tokens) = part.usage_metadata {
            let output = [tokens.candidates_token_count, tokens.thoughts_token_count];
            let output = output.into_iter().flatten().reduce(u64::saturating_add);
            let Usage { input_tokens, output_tokens } = answer.usage;
            answer.usage = Usage {
                input_tokens: tokens.prompt_token_count.or(input_tokens),
                output_tokens: output.or(output_tokens),
            };
            found.push(StreamEvent::Usage(answer.usage));
        }
        let mut ended = None;
        if let Some(Feedback { block_reason: Some(reason), block_reason_message }) =
            part.prompt_feedback
        {
            ended = Some(blocked("the prompt was blocked", &reason, block_reason_message));
        }
        if let Some(candidate) = part.candidates.into_iter().flatten().next() {
            let pieces = candidate.content.and_then(|content| content.parts).into_iter().flatten();
            for text in pieces.filter(|piece| !piece.thought).filter_map(|piece| piece.text) {
                add_text(answer, text, found);
            }
            let reason =
                candidate.finish_reason.filter(|reason| reason != "FINISH_REASON_UNSPECIFIED");
            ended = reason.map(|reason| finish(reason, candidate.finish_message)).or(ended);
        }
        if let Some(finish) = ended {
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
        // Proxies that speak the other protocol too end their streams so.
        if data == b"[DONE]" {
            return Ok(());
        }
        let part = stream_deltas::read(head, data)?;
        self.take(head, part, data, found)
    }

    /// More tokens may be counted after the reason to finish; only the end of the body is the end.
    fn is_done(&self) -> bool {
        false
    }

    fn end(self: Box<Self>) -> (Answer, bool) {
        let ended = self.answer.finish.is_some();
        (self.answer, ended)
    }
}
