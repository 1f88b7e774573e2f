//! Text without its escapes, with the place of every byte in the text that it comes from.

use std::ops::Range;

use memchr::memchr3;

/// A text whose escapes are decoded: percent-encoding (also repeated), the escapes of JSON (also
/// escaped again) and character references of HTML.
pub(super) struct Decoded {
    pub(super) bytes: Vec<u8>,
    /// Where each byte begins in the source, and at last where the source ends.
    starts: Vec<usize>,
}

/// One unit of the source: how long it is, and what it means.
struct Unit {
    length: usize,
    meaning: char,
}

/// Maximum length of a unit in bytes.
const MAX_UNIT_BYTES: usize = 24;

/// How often percent-encoding is repeated at most.
const MAX_LEVELS: usize = 4;

/// JSON in JSON in JSON has 7 backslashes before a quote.
const MAX_BACKSLASHES: usize = 16;

/// `&#x0002b;`: no reference to an ASCII character needs to be longer.
const MAX_REFERENCE_BYTES: usize = 12;

/// Which escapes make it worth decoding a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Escapes {
    Any,
    /// Only those of characters that keys have: most replies in JSON have no others than `\n` and
    /// `\"`, and need no second search.
    OfKeys,
}

impl Decoded {
    /// Decodes the text in one pass; `None` if it has no such escape. `steps` grows by the number
    /// of bytes that were looked at.
    pub(super) fn new(text: &str, escapes: Escapes, steps: &mut u64) -> Option<Self> {
        let source = text.as_bytes();
        let first = first(source, escapes, steps)?;
        let mut bytes = Vec::with_capacity(source.len());
        let mut starts = Vec::with_capacity(source.len() + 1);
        bytes.extend_from_slice(&source[..first]);
        starts.extend(0..first);
        let mut at = first;
        while at < source.len() {
            let unit = unit(&source[at..]);
            let mut utf8 = [0; 4];
            let (length, meaning) = match &unit {
                Some(unit) => (unit.length, unit.meaning.encode_utf8(&mut utf8).as_bytes()),
                None => (1, &source[at..=at]),
            };
            bytes.extend_from_slice(meaning);
            starts.extend(meaning.iter().map(|_| at));
            *steps += length as u64;
            at += length;
        }
        starts.push(source.len());
        Some(Decoded { bytes, starts })
    }

    /// The place in the source of a range of the decoded bytes.
    pub(super) fn in_source(&self, range: Range<usize>) -> Range<usize> {
        self.start(range.start)..self.start(range.end)
    }

    fn start(&self, at: usize) -> usize {
        self.starts.get(at).or(self.starts.last()).copied().unwrap_or_default()
    }

    /// Where the units begin that more text could change: those of escapes near the end.
    pub(super) fn open(&self, text: &str) -> usize {
        let near = text.len().saturating_sub(MAX_UNIT_BYTES);
        let from = self.starts.partition_point(|start| *start < near);
        let escape = |start: &&usize| {
            text.as_bytes().get(**start).is_some_and(|byte| b"%\\&".contains(byte))
        };
        self.starts[from..].iter().find(escape).copied().unwrap_or(text.len())
    }
}

/// Where escapes begin that more text could complete, in a text in which none is whole.
pub(super) fn open(text: &str) -> usize {
    let near = text.len().saturating_sub(MAX_UNIT_BYTES);
    let escape = memchr3(b'%', b'\\', b'&', &text.as_bytes()[near..]);
    escape.map_or(text.len(), |at| near + at)
}

/// The place of the first escape.
fn first(source: &[u8], escapes: Escapes, steps: &mut u64) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr3(b'%', b'\\', b'&', &source[at..])?;
        *steps += 1;
        match (unit(&source[at..]), escapes) {
            (Some(_), Escapes::Any) => return Some(at),
            (Some(Unit { meaning, .. }), Escapes::OfKeys)
                if meaning.is_ascii_graphic() && !matches!(meaning, '"' | '\\') =>
            {
                return Some(at);
            }
            (Some(Unit { length, .. }), Escapes::OfKeys) => at += length,
            (None, _) => at += 1,
        }
    }
}

fn unit(text: &[u8]) -> Option<Unit> {
    match text.first()? {
        b'%' => percent(text),
        b'\\' => Some(backslash(text)),
        b'&' => reference(text),
        _ => None,
    }
}

fn hex_digits(text: &[u8]) -> Option<u32> {
    text.iter().try_fold(0, |number: u32, digit| {
        Some(number.checked_mul(16)? + char::from(*digit).to_digit(16)?)
    })
}

/// `%2F`, `%252F`, `%25252F`: as often as it was encoded.
fn percent(text: &[u8]) -> Option<Unit> {
    let code = |at: usize| hex_digits(text.get(at..at + 2)?);
    let mut at = 1;
    while at < 2 * MAX_LEVELS && code(at) == Some(u32::from(b'%')) && code(at + 2).is_some() {
        at += 2;
    }
    // Bytes beyond ASCII are parts of characters. No key has them.
    let meaning = char::from_u32(code(at)?).filter(char::is_ascii)?;
    Some(Unit { length: at + 2, meaning })
}

/// `\/`, `\u002f`, `\x2f`, `\\/`: with any number of backslashes up to a maximum.
fn backslash(text: &[u8]) -> Unit {
    let count = text.iter().take(MAX_BACKSLASHES).take_while(|byte| **byte == b'\\').count();
    let digits = |length: usize| {
        let digits = text.get(count + 1..count + 1 + length)?;
        char::from_u32(hex_digits(digits)?)
    };
    let (more, meaning) = match text.get(count) {
        Some(b'u') => digits(4).map_or((1, 'u'), |meaning| (5, meaning)),
        Some(b'x') => digits(2).map_or((1, 'x'), |meaning| (3, meaning)),
        Some(b'n' | b'r' | b't' | b'b' | b'f') => (1, '\n'),
        Some(byte) if byte.is_ascii() && *byte != b'\\' => (1, char::from(*byte)),
        _ => (0, '\\'),
    };
    Unit { length: count + more, meaning }
}

/// `&#43;`, `&#x2b;`, `&amp;`.
fn reference(text: &[u8]) -> Option<Unit> {
    let end = text.iter().take(MAX_REFERENCE_BYTES).position(|byte| *byte == b';')?;
    let name = std::str::from_utf8(&text[1..end]).ok()?;
    let code = match name.strip_prefix('#') {
        Some(number) => match number.strip_prefix(['x', 'X']) {
            Some(digits) => hex_digits(digits.as_bytes())?,
            None => number.parse().ok()?,
        },
        None => match name {
            "amp" => u32::from(b'&'),
            "lt" => u32::from(b'<'),
            "gt" => u32::from(b'>'),
            "quot" => u32::from(b'"'),
            "apos" => u32::from(b'\''),
            "sol" => u32::from(b'/'),
            "plus" => u32::from(b'+'),
            "equals" => u32::from(b'='),
            "colon" => u32::from(b':'),
            _ => return None,
        },
    };
    let meaning = char::from_u32(code).filter(char::is_ascii)?;
    Some(Unit { length: end + 1, meaning })
}
