//! A generateContent response, whole or streamed: each event has the shape of a whole response.

use serde_json::Value;

use super::super::adapter::StreamEvent;
use super::super::answer::{Answer, Finish, WithoutEnd};
use super::super::failure::AttemptFailure;
use super::super::finish_reason::{self, worse};
use super::super::reading::{self, Fields, newest};
use super::super::stream_deltas::{self, Delta, StreamDeltas, add_text};
use super::super::usage::positive;
use super::super::wire::{HttpHead, HttpReply};
use super::errors;
use super::plain_part::PlainPart;
use sitewright_model::ai::Usage;

/// Fields of which a response has at least one.
const KNOWN: [&str; 4] = ["candidates", "promptFeedback", "usageMetadata", "modelVersion"];

/// Decodes the whole body of a success.
pub(super) fn whole(http: &HttpReply) -> Result<Answer, AttemptFailure> {
    // Without `alt=sse` a stream is a list of its parts.
    let list = match stream_deltas::parse_whole(http)? {
        Value::Array(list) => list,
        whole => vec![whole],
    };
    let mut deltas = Deltas::default();
    deltas.answer.without_end = WithoutEnd::Cut("finishReason");
    for part in list {
        deltas.take(&http.head, &part, &http.body, &mut Vec::new())?;
    }
    Ok(deltas.answer)
}

fn blocked(what: &str, reason: &str, message: Option<&str>) -> String {
    match message {
        Some(message) => format!("{what} ({reason}): {message}"),
        None => format!("{what} ({reason})"),
    }
}

/// The token counts of a response.
#[derive(Debug, Clone, Copy)]
pub(super) struct TokenCounts {
    pub(super) prompt: Option<u64>,
    pub(super) candidates: Option<u64>,
    pub(super) thoughts: Option<u64>,
    pub(super) cached: Option<u64>,
}

impl TokenCounts {
    fn of(tokens: Fields<'_>) -> Self {
        TokenCounts {
            prompt: tokens.count("promptTokenCount"),
            candidates: tokens.count("candidatesTokenCount"),
            thoughts: tokens.count("thoughtsTokenCount"),
            cached: tokens.count("cachedContentTokenCount"),
        }
    }

    fn add_to(self, usage: &mut Usage) {
        let output =
            [self.candidates, self.thoughts].into_iter().flatten().reduce(u64::saturating_add);
        usage.input_tokens = newest(self.prompt, usage.input_tokens);
        usage.output_tokens = newest(output, usage.output_tokens);
        usage.cache_read_tokens = newest(positive(self.cached), usage.cache_read_tokens);
        usage.reasoning_tokens = newest(positive(self.thoughts), usage.reasoning_tokens);
    }
}

/// The answer of one stream. Its final marker is the finish reason.
#[derive(Default)]
pub(super) struct Deltas {
    answer: Answer,
}

impl Deltas {
    fn take_plain(&mut self, part: PlainPart<'_>, events: &mut Vec<StreamEvent>) {
        let answer = &mut self.answer;
        // Nearly all parts name the same model.
        if let Some(model) = part.model()
            && answer.model.as_deref() != Some(model)
        {
            answer.model = Some(model.to_owned());
        }
        if let Some(counts) = part.counts() {
            counts.add_to(&mut answer.usage);
            events.push(StreamEvent::Usage(answer.usage));
        }
        add_text(answer, part.into_text(), events);
    }

    fn take(
        &mut self,
        head: &HttpHead,
        part: &Value,
        frame: &[u8],
        events: &mut Vec<StreamEvent>,
    ) -> Result<(), AttemptFailure> {
        let answer = &mut self.answer;
        let fields = Fields(part);
        if let Some(error) = errors::error_of(part).filter(|error| reading::is_error(error)) {
            return Err(errors::in_success(head, error, frame).with_usage(answer.usage));
        }
        if !KNOWN.into_iter().any(|name| fields.get(name).is_some()) {
            return Err(stream_deltas::without("candidates").of_answer(head, frame));
        }
        if let Some(model) = fields.text("modelVersion") {
            answer.model = Some(model.to_owned());
        }
        if let Some(tokens) = fields.object("usageMetadata") {
            TokenCounts::of(tokens).add_to(&mut answer.usage);
            events.push(StreamEvent::Usage(answer.usage));
        }
        let mut ended = fields.object("promptFeedback").and_then(|feedback| {
            let reason = feedback.word("blockReason")?;
            let message = feedback.text("blockReasonMessage");
            Some(Finish::Filtered(blocked("the prompt was blocked", reason, message)))
        });
        if let Some(candidate) = fields.list("candidates").next() {
            let content = candidate.object("content");
            for piece in content.into_iter().flat_map(|content| content.list("parts")) {
                let text = piece.get("text").and_then(Value::as_str);
                answer.calls_tool |= piece.object("functionCall").is_some();
                // The model's thinking is marked.
                if piece.flag("thought") {
                    events.push(StreamEvent::Thinking);
                    continue;
                }
                add_text(answer, text.unwrap_or_default().to_owned(), events);
            }
            let message = candidate.text("finishMessage");
            let filtered = |word: &str| blocked("the reply was blocked", word, message);
            ended = candidate
                .word("finishReason")
                .and_then(|word| finish_reason::of(word, filtered))
                .or(ended);
        }
        if let Some(finish) = ended {
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
        // Some proxies end their streams like chat completions.
        if delta.data == b"[DONE]" {
            return Ok(());
        }
        if let Some(part) = PlainPart::parse(delta.data) {
            self.take_plain(part, events);
            return Ok(());
        }
        let part = stream_deltas::parse(head, delta.data)?;
        self.take(head, &part, delta.data, events)
    }

    /// Token counts may follow the finish reason, so the stream is read to the end of the body.
    fn is_done(&self) -> bool {
        false
    }

    fn is_whole(&self) -> bool {
        self.answer.finish.is_some()
    }

    fn so_far(&self) -> (&str, Usage) {
        (self.answer.content.as_str(), self.answer.usage)
    }

    fn end(self: Box<Self>) -> Answer {
        self.answer
    }
}
