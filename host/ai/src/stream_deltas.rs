//! Streams of JSON deltas, as server-sent events or one JSON value per line: everything except the
//! meaning of a delta.

use std::borrow::Cow;

use serde::de::IgnoredAny;
use serde_json::Value;

use super::adapter::{StreamDecoder, StreamEvent};
use super::answer::Answer;
use super::error_body;
use super::failure::AttemptFailure;
use super::reading::{self, HalfJoiner};
use super::stream::{Lines, Overlong, Sse, SseEvent};
use super::thinking::ThinkingFilter;
use super::wire::{HttpHead, HttpReply};
use sitewright_model::ai::{AiErrorKind, Usage};

/// What one kind of provider reads from the deltas of one stream.
pub(super) trait StreamDeltas: Send {
    /// Reads the next delta and appends its content to `events`. Its data is not blank.
    fn read(
        &mut self,
        head: &HttpHead,
        delta: &Delta<'_>,
        events: &mut Vec<StreamEvent>,
    ) -> Result<(), AttemptFailure>;

    /// Whether a delta with this event name must be understood. Other names are pings, or events of
    /// a newer version of the protocol.
    fn knows(&self, event: &str) -> bool {
        matches!(event, "" | "message" | "error")
    }

    /// Whether the final marker was received.
    fn is_done(&self) -> bool;

    /// Whether the reply is complete: the final marker, or what shows as well that the model has
    /// stopped.
    fn is_whole(&self) -> bool {
        self.is_done()
    }

    /// The text that was read so far, and its token counts.
    fn so_far(&self) -> (&str, Usage);

    /// The answer read so far, at the end of the stream.
    fn end(self: Box<Self>) -> Answer;
}

/// One delta without its framing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Delta<'a> {
    /// Without surrounding whitespace.
    pub(super) data: &'a [u8],
    /// The name of its event; empty if it has none.
    pub(super) event: &'a str,
}

/// How a stream separates its deltas.
pub(super) enum Framing {
    Events(Sse),
    Lines(Lines),
}

impl Framing {
    pub(super) fn server_sent_events() -> Self {
        Framing::Events(Sse::default())
    }

    /// One JSON value per line.
    pub(super) fn lines() -> Self {
        Framing::Lines(Lines::default())
    }

    /// The next frame that bytes complete, which are removed from the beginning of `rest`.
    fn next_in(&mut self, rest: &mut &[u8]) -> Result<Option<SseEvent>, Overlong> {
        match self {
            Framing::Events(sse) => sse.next_in(rest),
            Framing::Lines(lines) => Ok(lines.next_in(rest)?.map(SseEvent::unnamed)),
        }
    }

    /// Keeps the buffer of a frame that was read.
    fn reuse(&mut self, frame: SseEvent) {
        if let Framing::Events(sse) = self {
            sse.reuse(frame);
        }
    }

    fn rest(&mut self) -> Option<SseEvent> {
        match self {
            Framing::Events(sse) => sse.rest(),
            Framing::Lines(lines) => lines.rest().map(SseEvent::unnamed),
        }
    }
}

/// The decoder of one stream.
pub(super) struct DeltaDecoder {
    head: HttpHead,
    framing: Framing,
    deltas: Box<dyn StreamDeltas>,
    halves: HalfJoiner,
    thinking: ThinkingFilter,
}

impl DeltaDecoder {
    pub(super) fn new(head: &HttpHead, framing: Framing, deltas: Box<dyn StreamDeltas>) -> Self {
        DeltaDecoder {
            head: head.clone(),
            framing,
            deltas,
            halves: HalfJoiner::default(),
            thinking: ThinkingFilter::default(),
        }
    }

    fn read(
        &mut self,
        frame: &SseEvent,
        events: &mut Vec<StreamEvent>,
    ) -> Result<(), AttemptFailure> {
        let mut data = frame.data.trim_ascii();
        // Some relays put events into events, and write the end in another way.
        if let Some(inner) = data.strip_prefix(b"data:") {
            data = inner.trim_ascii();
        }
        if data.eq_ignore_ascii_case(b"[done]") || data == b"\"[DONE]\"" {
            data = b"[DONE]";
        }
        let delta = Delta { data, event: &frame.event };
        if delta.data.is_empty() || is_heartbeat(&delta) {
            return Ok(());
        }
        match self.deltas.read(&self.head, &delta, events) {
            Err(failure) if failure.kind == AiErrorKind::Protocol && self.can_ignore(&delta) => {
                Ok(())
            }
            read => read,
        }
    }

    fn can_ignore(&self, delta: &Delta<'_>) -> bool {
        !self.deltas.knows(delta.event) && !is_cut_json(delta.data)
    }
}

impl StreamDecoder for DeltaDecoder {
    fn push(&mut self, bytes: &[u8]) -> Result<Vec<StreamEvent>, AttemptFailure> {
        let mut rest = bytes;
        let mut events = Vec::new();
        loop {
            let next = self.framing.next_in(&mut rest);
            let next = next
                .map_err(|Overlong| self.head.not_protocol("is far larger than any token", b""))?;
            let Some(frame) = next else { break };
            if !frame.data.contains(&b'\n') {
                self.read(&frame, &mut events)?;
                self.framing.reuse(frame);
                continue;
            }
            for part in apart(frame) {
                self.read(&part, &mut events)?;
            }
        }
        for event in &mut events {
            let StreamEvent::Text(text) = event else { continue };
            let changed = {
                let joined = self.halves.push(text);
                let passes = matches!(joined, Cow::Borrowed(_)) && self.thinking.passes(&joined);
                if passes { None } else { Some(self.thinking.push(&joined)) }
            };
            if let Some(changed) = changed {
                *text = changed;
            }
            if text.is_empty() {
                *event = StreamEvent::Thinking;
            }
        }
        Ok(events)
    }

    fn is_done(&self) -> bool {
        self.deltas.is_done()
    }

    fn is_whole(&self) -> bool {
        self.deltas.is_whole()
    }

    fn so_far(&self) -> (&str, Usage) {
        self.deltas.so_far()
    }

    fn finish(mut self: Box<Self>) -> Result<Answer, AttemptFailure> {
        // A delta without its terminating line end counts if it is complete; otherwise the stream
        // was cut inside it.
        let complete =
            |frame: &SseEvent| frame.data == b"[DONE]" || reading::parse(&frame.data).is_ok();
        for frame in self.framing.rest().into_iter().flat_map(apart).filter(complete) {
            self.read(&frame, &mut Vec::new())?;
        }
        let is_whole = self.deltas.is_whole();
        let answer = self.deltas.end();
        if is_whole { Ok(answer) } else { Err(AttemptFailure::unfinished(&answer)) }
    }
}

/// The events in one: servers that end an event with a single line feed send several values, which
/// the specification joins with line feeds.
fn apart(frame: SseEvent) -> Vec<SseEvent> {
    let lines = || frame.data.split(|byte| *byte == b'\n');
    let is_event = |line: &[u8]| {
        line == b"[DONE]"
            || (line.starts_with(b"{") && serde_json::from_slice::<IgnoredAny>(line).is_ok())
    };
    if lines().nth(1).is_none() || !lines().all(is_event) {
        return vec![frame];
    }
    let event = &frame.event;
    lines().map(|line| SseEvent { event: event.clone(), data: line.to_vec() }).collect()
}

/// Whether the data keeps the connection alive and says nothing: relays turn comments into data
/// (`: OPENROUTER PROCESSING`, `ping`, `[PING]`, `{}`). A part of a broken delta has quotes or
/// braces, and an error says so.
fn is_heartbeat(delta: &Delta<'_>) -> bool {
    const MAX_BYTES: usize = 80;
    // Most deltas are objects.
    if delta.data.len() > MAX_BYTES || (delta.data.starts_with(b"{") && delta.data != b"{}") {
        return false;
    }
    let Ok(text) = std::str::from_utf8(delta.data) else { return false };
    let lower = text.to_ascii_lowercase();
    if matches!(lower.as_str(), "{}" | "[]" | "null") {
        return delta.event != "error";
    }
    let lower = lower.trim_matches('"');
    let inner = lower.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(lower);
    let words = ["ping", "pong", "heartbeat", "keep-alive", "keepalive", "keep_alive", "hb"];
    delta.event != "error" && (lower.starts_with(':') || words.contains(&inner))
}

/// Parses the data of a delta, tolerantly.
pub(super) fn parse(head: &HttpHead, data: &[u8]) -> Result<Value, AttemptFailure> {
    reading::parse(data)
        .map_err(|error| head.not_protocol(format!("is not the protocol's JSON: {error}"), data))
}

/// Whether the data begins as JSON and is cut off. Such a delta must not be ignored: its sender may
/// have lost others too.
fn is_cut_json(data: &[u8]) -> bool {
    data.starts_with(b"{")
        && serde_json::from_slice::<IgnoredAny>(data).is_err()
        && reading::parse(data).is_err()
}

/// Parses a whole body, tolerantly.
pub(super) fn parse_whole(http: &HttpReply) -> Result<Value, AttemptFailure> {
    reading::parse(&http.body).map_err(|error| {
        AttemptFailure::new(AiErrorKind::Protocol, error_body::not_json(&http.body, &error))
    })
}

/// The failure for JSON without a field that the protocol requires.
pub(super) fn without(field: &str) -> AttemptFailure {
    AttemptFailure::new(AiErrorKind::Protocol, format!("its answer is JSON without `{field}`"))
}

/// Appends text of the reply.
pub(super) fn add_text(answer: &mut Answer, text: String, events: &mut Vec<StreamEvent>) {
    if !text.is_empty() {
        answer.content.push_str(&text);
        events.push(StreamEvent::Text(text));
    }
}
