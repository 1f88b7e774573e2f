//! Server-sent events, after the WHATWG specification.

use super::{MAX_EVENT_BYTES, Overlong};

/// One event. Its data is not decoded: what is no UTF-8 is for the JSON parser to refuse.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in super::super) struct SseEvent {
    /// Its `event:` field; empty without one.
    pub(in super::super) event: String,
    /// Its `data:` lines, joined by line feeds.
    pub(in super::super) data: Vec<u8>,
}

/// Finds events in bytes that come in pieces. Line ends may be LF, CR LF or CR; comments, unknown
/// fields and a byte order mark are passed over.
#[derive(Debug, Default)]
pub(in super::super) struct Sse {
    line: Vec<u8>,
    event: SseEvent,
    has_data: bool,
    after_cr: bool,
    past_first_line: bool,
}

impl Sse {
    /// Takes the next bytes and gives the events that they complete.
    pub(in super::super) fn push(&mut self, bytes: &[u8]) -> Result<Vec<SseEvent>, Overlong> {
        let mut events = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            if std::mem::take(&mut self.after_cr) && rest[0] == b'\n' {
                rest = &rest[1..];
                continue;
            }
            match rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
                None => {
                    self.line.extend_from_slice(rest);
                    rest = &[];
                }
                Some(end) => {
                    self.line.extend_from_slice(&rest[..end]);
                    self.after_cr = rest[end] == b'\r';
                    rest = &rest[end + 1..];
                    events.extend(self.end_line());
                }
            }
            if self.line.len() + self.event.data.len() + self.event.event.len() > MAX_EVENT_BYTES {
                return Err(Overlong);
            }
        }
        Ok(events)
    }

    /// What stands at the end without the blank line that completes it. The specification drops it;
    /// some servers close after their last line, so a decoder may look whether it is whole.
    pub(in super::super) fn rest(&mut self) -> Option<SseEvent> {
        let open = !self.line.is_empty();
        let ended = if open { self.end_line() } else { None };
        ended.or_else(|| self.dispatch())
    }

    fn end_line(&mut self) -> Option<SseEvent> {
        let line = std::mem::take(&mut self.line);
        let first = !std::mem::replace(&mut self.past_first_line, true);
        let line = if first { line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line) } else { &line };
        if line.is_empty() {
            return self.dispatch();
        }
        let (field, value) = match line.iter().position(|byte| *byte == b':') {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &[][..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.event.data.push(b'\n');
                }
                self.event.data.extend_from_slice(value);
            }
            b"event" => self.event.event = String::from_utf8_lossy(value).into_owned(),
            // Comments (`: keep-alive`), `id`, `retry` and whatever comes to be.
            _ => {}
        }
        None
    }

    fn dispatch(&mut self) -> Option<SseEvent> {
        let event = std::mem::take(&mut self.event);
        std::mem::take(&mut self.has_data).then_some(event)
    }
}

/// Whether a body that begins so is a stream of events, whatever its content type says. A body of
/// blanks alone may be one.
pub(in super::super) fn looks_like_sse(beginning: &[u8]) -> bool {
    let beginning = beginning.strip_prefix(b"\xef\xbb\xbf").unwrap_or(beginning).trim_ascii_start();
    let fields: [&[u8]; 5] = [b"data:", b"event:", b"id:", b"retry:", b":"];
    fields.iter().any(|field| beginning.starts_with(field) || field.starts_with(beginning))
}
