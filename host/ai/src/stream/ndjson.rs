//! Streams with one JSON value per line.

use super::{MAX_EVENT_BYTES, Overlong};

/// Splits chunks of bytes into lines. Blank lines, carriage returns and a byte order mark are
/// ignored.
#[derive(Debug, Default)]
pub(in super::super) struct Lines {
    line: Vec<u8>,
    past_first_line: bool,
}

impl Lines {
    /// Adds bytes and returns the lines that they complete.
    pub(in super::super) fn push(&mut self, bytes: &[u8]) -> Result<Vec<Vec<u8>>, Overlong> {
        let mut lines = Vec::new();
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            self.line.extend_from_slice(&rest[..end]);
            rest = &rest[end + 1..];
            lines.extend(self.rest());
        }
        self.line.extend_from_slice(rest);
        if self.line.len() > MAX_EVENT_BYTES { Err(Overlong) } else { Ok(lines) }
    }

    /// The last line, without a line end.
    pub(in super::super) fn rest(&mut self) -> Option<Vec<u8>> {
        let line = std::mem::take(&mut self.line);
        let first = !std::mem::replace(&mut self.past_first_line, true);
        let line = if first { line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line) } else { &line };
        let line = line.trim_ascii();
        (!line.is_empty()).then(|| line.to_vec())
    }
}
