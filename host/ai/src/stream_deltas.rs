//! Streams whose parts are JSON, in server-sent events or line by line: everything about them but
//! what the parts mean.

use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;

use super::answer::Answer;
use super::error_body;
use super::provider::{Failure, HttpHead, HttpReply, StreamDecoder, StreamEvent};
use super::stream::{Lines, Overlong, Sse, SseEvent};
use sitewright_model::ai::AiErrorKind;

/// What a kind makes of the parts of one stream.
pub(super) trait Parts: Send {
    /// Takes the next part; its framing is gone, its data not blank.
    fn part(
        &mut self,
        head: &HttpHead,
        data: &[u8],
        found: &mut Vec<StreamEvent>,
    ) -> Result<(), Failure>;

    /// Whether a part with this event name must be understood. What has another name is a newer
    /// server's, or a ping.
    fn knows(&self, event: &str) -> bool {
        matches!(event, "" | "message" | "error")
    }

    /// Whether the final marker has come.
    fn is_done(&self) -> bool;

    /// The stream has ended: what has been read of the answer, and whether its final marker was
    /// there.
    fn end(self: Box<Self>) -> (Answer, bool);
}

/// How a stream marks where one part ends and the next begins.
pub(super) enum Framing {
    Events(Sse),
    Lines(Lines),
}

/// One part without its framing.
struct Framed {
    data: Vec<u8>,
    /// The name of its event; empty without one.
    event: String,
}

impl Framed {
    fn event(event: SseEvent) -> Self {
        Framed { data: event.data, event: event.event }
    }

    fn line(data: Vec<u8>) -> Self {
        Framed { data, event: String::new() }
    }
}

/// The decoder of one stream.
pub(super) struct PartDecoder {
    head: HttpHead,
    framing: Framing,
    parts: Box<dyn Parts>,
}

impl PartDecoder {
    /// For server-sent events.
    pub(super) fn events(head: &HttpHead, parts: impl Parts + 'static) -> Box<dyn StreamDecoder> {
        let framing = Framing::Events(Sse::default());
        Box::new(PartDecoder { head: head.clone(), framing, parts: Box::new(parts) })
    }

    /// For one JSON value a line.
    pub(super) fn lines(head: &HttpHead, parts: impl Parts + 'static) -> Box<dyn StreamDecoder> {
        let framing = Framing::Lines(Lines::default());
        Box::new(PartDecoder { head: head.clone(), framing, parts: Box::new(parts) })
    }

    fn take(&mut self, part: &Framed, found: &mut Vec<StreamEvent>) -> Result<(), Failure> {
        let data = part.data.trim_ascii();
        if data.is_empty() {
            return Ok(());
        }
        match self.parts.part(&self.head, data, found) {
            Err(failure) if failure.kind == AiErrorKind::Protocol && self.passes_over(part) => {
                Ok(())
            }
            taken => taken,
        }
    }

    fn passes_over(&self, part: &Framed) -> bool {
        !self.parts.knows(&part.event) && !is_cut_json(&part.data)
    }
}

impl StreamDecoder for PartDecoder {
    fn push(&mut self, bytes: &[u8]) -> Result<Vec<StreamEvent>, Failure> {
        let parts: Result<Vec<Framed>, Overlong> = match &mut self.framing {
            Framing::Events(sse) => {
                sse.push(bytes).map(|events| events.into_iter().map(Framed::event).collect())
            }
            Framing::Lines(lines) => {
                lines.push(bytes).map(|lines| lines.into_iter().map(Framed::line).collect())
            }
        };
        let parts = parts
            .map_err(|Overlong| self.head.not_protocol("is far larger than any token", b""))?;
        let mut found = Vec::new();
        for part in parts {
            self.take(&part, &mut found)?;
        }
        Ok(found)
    }

    fn is_done(&self) -> bool {
        self.parts.is_done()
    }

    fn finish(mut self: Box<Self>) -> Result<Answer, Failure> {
        let rest = match &mut self.framing {
            Framing::Events(sse) => sse.rest().map(Framed::event),
            Framing::Lines(lines) => lines.rest().map(Framed::line),
        };
        // A whole part that lacks only its end counts; half of one is where the stream broke.
        let whole = |part: &Framed| {
            part.data == b"[DONE]" || serde_json::from_slice::<Value>(&part.data).is_ok()
        };
        if let Some(part) = rest.filter(whole) {
            self.take(&part, &mut Vec::new())?;
        }
        match self.parts.end() {
            (answer, true) => Ok(answer),
            (answer, false) => Err(Failure::unfinished(&answer)),
        }
    }
}

/// One part of a stream, read as JSON. Unknown fields are passed over.
pub(super) fn read<T: DeserializeOwned>(head: &HttpHead, data: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(data)
        .map_err(|error| head.not_protocol(format!("is not the protocol's JSON: {error}"), data))
}

/// Whether data began as JSON and broke: whoever sent that may have lost other parts too, so that
/// nobody may pass it over.
pub(super) fn is_cut_json(data: &[u8]) -> bool {
    let data = data.trim_ascii();
    data.starts_with(b"{") && serde_json::from_slice::<IgnoredAny>(data).is_err()
}

/// Whether a part is an object with this field.
pub(super) fn has(data: &[u8], field: &str) -> bool {
    serde_json::from_slice::<Value>(data)
        .is_ok_and(|value| value.get(field).is_some_and(|value| !value.is_null()))
}

/// A whole body, read as JSON.
pub(super) fn whole<T: DeserializeOwned>(http: &HttpReply) -> Result<T, Failure> {
    serde_json::from_slice(&http.body).map_err(|error| {
        Failure::new(AiErrorKind::Protocol, error_body::not_json(&http.body, &error))
    })
}

/// A body or part that is JSON of something else.
pub(super) fn without(field: &str) -> Failure {
    Failure::new(AiErrorKind::Protocol, format!("its answer is JSON without `{field}`"))
}

/// More text of the reply.
pub(super) fn add_text(answer: &mut Answer, text: String, found: &mut Vec<StreamEvent>) {
    if !text.is_empty() {
        answer.content.push_str(&text);
        found.push(StreamEvent::Text(text));
    }
}
