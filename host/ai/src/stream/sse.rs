//! Server-sent events, as the WHATWG specifies them.

use memchr::memchr2;

use super::{MAX_EVENT_BYTES, Overlong};

/// One event. Its data may be invalid UTF-8, which the JSON parser rejects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in super::super) struct SseEvent {
    /// Its `event:` field; empty without one.
    pub(in super::super) event: String,
    /// Its `data:` lines, joined by line feeds.
    pub(in super::super) data: Vec<u8>,
}

/// A larger buffer is not kept for the next event.
const MAX_SPARE_BYTES: usize = 16 << 10;

/// Splits chunks of bytes into events. Line ends may be LF, CR LF or CR; comments, unknown fields
/// and a byte order mark are ignored.
#[derive(Debug, Default)]
pub(in super::super) struct Sse {
    line: Vec<u8>,
    event: SseEvent,
    /// Empty: the buffer of an event that was read.
    spare: Vec<u8>,
    has_data: bool,
    after_cr: bool,
    past_first_line: bool,
}

impl SseEvent {
    /// An event without a name, for framings that have none.
    pub(in super::super) fn unnamed(data: Vec<u8>) -> Self {
        SseEvent { event: String::new(), data }
    }
}

impl Sse {
    /// The next event that bytes complete, which are removed from the beginning of `rest`.
    /// `None` if all of them are added and complete none.
    pub(in super::super) fn next_in(
        &mut self,
        rest: &mut &[u8],
    ) -> Result<Option<SseEvent>, Overlong> {
        while !rest.is_empty() {
            let bytes = *rest;
            if std::mem::take(&mut self.after_cr) && bytes[0] == b'\n' {
                *rest = &bytes[1..];
                continue;
            }
            let event = match memchr2(b'\n', b'\r', bytes) {
                None => {
                    self.line.extend_from_slice(bytes);
                    *rest = &[];
                    None
                }
                Some(end) => {
                    let line = &bytes[..end];
                    self.after_cr = bytes[end] == b'\r';
                    *rest = &bytes[end + 1..];
                    if self.line.is_empty() {
                        self.end_line(line)
                    } else {
                        let mut begun = std::mem::take(&mut self.line);
                        begun.extend_from_slice(line);
                        self.end_line(&begun)
                    }
                }
            };
            if self.line.len() + self.event.data.len() + self.event.event.len() > MAX_EVENT_BYTES {
                return Err(Overlong);
            }
            if event.is_some() {
                return Ok(event);
            }
        }
        Ok(None)
    }

    /// Keeps the buffer of an event that was read, for the data of a later one.
    pub(in super::super) fn reuse(&mut self, event: SseEvent) {
        let mut data = event.data;
        if data.capacity() <= MAX_SPARE_BYTES {
            data.clear();
            self.spare = data;
        }
    }

    /// The last event, without its terminating blank line. The specification discards it, but some
    /// servers close the connection after their last line; the decoder checks if it is complete.
    pub(in super::super) fn rest(&mut self) -> Option<SseEvent> {
        let line = std::mem::take(&mut self.line);
        let ended = if line.is_empty() { None } else { self.end_line(&line) };
        ended.or_else(|| self.dispatch())
    }

    fn end_line(&mut self, line: &[u8]) -> Option<SseEvent> {
        let first = !std::mem::replace(&mut self.past_first_line, true);
        let line = if first { line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line) } else { line };
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
                } else {
                    self.event.data = std::mem::take(&mut self.spare);
                }
                self.event.data.extend_from_slice(value);
            }
            // llama.cpp puts its errors into a field of their own.
            b"error" if value.starts_with(b"{") => {
                self.event.event = "error".to_owned();
                self.event.data = value.to_vec();
                self.has_data = true;
            }
            b"event" => self.event.event = String::from_utf8_lossy(value).into_owned(),
            // Comments (`: keep-alive`), `id`, `retry` and unknown fields.
            _ => {}
        }
        None
    }

    fn dispatch(&mut self) -> Option<SseEvent> {
        let event = std::mem::take(&mut self.event);
        std::mem::take(&mut self.has_data).then_some(event)
    }
}

/// Whether a body that begins with these bytes is a stream of events, independent of its content
/// type. True for whitespace only, which may be the beginning of one.
pub(in super::super) fn looks_like_sse(beginning: &[u8]) -> bool {
    let beginning = beginning.strip_prefix(b"\xef\xbb\xbf").unwrap_or(beginning).trim_ascii_start();
    let fields: [&[u8]; 5] = [b"data:", b"event:", b"id:", b"retry:", b":"];
    fields.iter().any(|field| beginning.starts_with(field) || field.starts_with(beginning))
}
