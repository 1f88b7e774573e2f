//! Streams with one JSON value per line.

use memchr::memchr;

use super::{MAX_EVENT_BYTES, Overlong};

/// Splits chunks of bytes into lines. Blank lines, carriage returns and a byte order mark are
/// ignored.
#[derive(Debug, Default)]
pub(in super::super) struct Lines {
    line: Vec<u8>,
    past_first_line: bool,
}

impl Lines {
    /// The next line that bytes complete, which are removed from the beginning of `rest`.
    /// `None` if all of them are added and complete none.
    pub(in super::super) fn next_in(
        &mut self,
        rest: &mut &[u8],
    ) -> Result<Option<Vec<u8>>, Overlong> {
        while let Some(end) = memchr(b'\n', rest) {
            let bytes = *rest;
            self.line.extend_from_slice(&bytes[..end]);
            *rest = &bytes[end + 1..];
            let line = self.rest();
            if line.is_some() {
                return Ok(line);
            }
        }
        self.line.extend_from_slice(rest);
        *rest = &[];
        if self.line.len() > MAX_EVENT_BYTES { Err(Overlong) } else { Ok(None) }
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
