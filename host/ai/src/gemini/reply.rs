//! A generateContent response, whole or streamed: each event has the shape of a whole response.

use serde::Deserialize;
use serde_json::Value;

use super::super::adapter::StreamEvent;
use super::super::answer::{Answer, Finish};
use super::super::failure::AttemptFailure;
use super::super::stream_deltas::{self, Delta, StreamDeltas, add_text};
use super::super::wire::{HttpHead, HttpReply};
use super::errors;
use sitewright_model::ai::Usage;

/// Unknown fields are ignored: providers add them without notice.
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
    /// Whether the text is the model's thinking instead of its reply.
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

/// Decodes the whole body of a success.
pub(super) fn whole(http: &HttpReply) -> Result<Answer, AttemptFailure> {
    // Without `alt=sse` a stream is a list of its parts.
    let list = match stream_deltas::parse_whole(http)? {
        Value::Array(list) => list,
        whole => vec![whole],
    };
    let mut deltas = Deltas::default();
    for part in list {
        deltas.take(&http.head, part, &http.body, &mut Vec::new())?;
    }
    Ok(deltas.answer)
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

/// The answer of one stream. Its final marker is the finish reason.
#[derive(Default)]
pub(super) struct Deltas {
    answer: Answer,
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
        if let Some(error) = errors::error_of(&part) {
            return Err(errors::in_success(head, error, frame).with_usage(answer.usage));
        }
        let part = Part::deserialize(part)
            .map_err(|error| stream_deltas::of_another_shape(&error).of_answer(head, frame))?;
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
            events.push(StreamEvent::Usage(answer.usage));
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
                add_text(answer, text, events);
            }
            let reason =
                candidate.finish_reason.filter(|reason| reason != "FINISH_REASON_UNSPECIFIED");
            ended = reason.map(|reason| finish(reason, candidate.finish_message)).or(ended);
        }
        if let Some(finish) = ended {
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
        // Some proxies end their streams like chat completions.
        if delta.data == b"[DONE]" {
            return Ok(());
        }
        let part = stream_deltas::parse(head, delta.data)?;
        self.take(head, part, delta.data, events)
    }

    /// Token counts may follow the finish reason, so the stream is read to the end of the body.
    fn is_done(&self) -> bool {
        false
    }

    fn end(self: Box<Self>) -> (Answer, bool) {
        let ended = self.answer.finish.is_some();
        (self.answer, ended)
    }
}
