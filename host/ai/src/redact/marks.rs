//! Searches for keys that are not known, by what is around them: the prefixes of well-known
//! providers, `Bearer`, the credentials and key parameters of URLs.

use std::ops::Range;

use memchr::memrchr;

use super::REMOVED;

/// The prefixes of keys of well-known providers.
const PREFIXES: [&str; 8] = ["sk-", "gsk_", "csk-", "xai-", "AIza", "hf_", "r8_", "nvapi-"];

/// Query parameters that contain keys.
const PARAMETERS: [&str; 7] =
    ["key=", "api_key=", "api-key=", "apikey=", "token=", "access_token=", "subscription-key="];

/// Minimum length of a key with its prefix, or after `Bearer`. `sk-` alone is a word.
const SHORTEST: usize = 8;

const BEARER: &[u8] = b"bearer ";

/// How URLs separate the scheme from the rest, also as JSON escapes it.
const AUTHORITIES: [&[u8]; 2] = [b"://", br":\/\/"];

/// A run of bytes of one class. Its end is searched for once, however many marks are in it.
struct Run {
    end: usize,
    belongs: fn(u8) -> bool,
}

impl Run {
    fn new(belongs: fn(u8) -> bool) -> Self {
        Run { end: 0, belongs }
    }

    /// The end of the run at `from`. Calls must be in ascending order of `from`.
    fn end(&mut self, text: &[u8], from: usize, steps: &mut u64) -> usize {
        if from >= self.end {
            let length = text[from..].iter().take_while(|byte| (self.belongs)(**byte)).count();
            *steps += length as u64 + 1;
            self.end = from + length;
        }
        self.end
    }
}

fn in_key(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_*.+/=~".contains(&byte)
}

fn in_parameter(byte: u8) -> bool {
    // The backslash begins an escape, perhaps of the quote that ends the text.
    !byte.is_ascii_whitespace() && !b"&#\"'<>)\\".contains(&byte)
}

fn in_authority(byte: u8) -> bool {
    !byte.is_ascii_whitespace() && !b"/?#\"'<>\\".contains(&byte)
}

/// Adds the places of keys to `found`, in one pass over the text. `steps` grows by the number of
/// bytes that were looked at.
pub(super) fn find(text: &[u8], found: &mut Vec<Range<usize>>, steps: &mut u64) {
    let mut keys = Run::new(in_key);
    let mut parameters = Run::new(in_parameter);
    let mut authorities = Run::new(in_authority);
    let mut at = 0;
    while at < text.len() {
        *steps += 1;
        let rest = &text[at..];
        let removed = match text[at] {
            b'?' | b'&' => parameter(&rest[1..]).map(|name| {
                let from = at + 1 + name;
                from..parameters.end(text, from, steps)
            }),
            b':' => AUTHORITIES.iter().find(|mark| rest.starts_with(mark)).and_then(|mark| {
                let from = at + mark.len();
                let end = authorities.end(text, from, steps);
                memrchr(b'@', &text[from..end]).map(|length| from..from + length)
            }),
            b'b' | b'B' if starts_with(rest, BEARER) => {
                let from = at + BEARER.len();
                let end = keys.end(text, from, steps);
                (end - from >= SHORTEST).then_some(from..end)
            }
            // `task-list` and `desk-top` are words: a key begins a word.
            b's' | b'g' | b'c' | b'x' | b'A' | b'h' | b'r' | b'n'
                if PREFIXES.iter().any(|prefix| rest.starts_with(prefix.as_bytes()))
                    && !ends_in_word(&text[..at]) =>
            {
                let end = keys.end(text, at, steps);
                (end - at >= SHORTEST).then_some(at..end)
            }
            _ => None,
        };
        match removed.filter(|range| {
            !range.is_empty() && !text[range.start..].starts_with(REMOVED.as_bytes())
        }) {
            Some(range) => {
                at = range.end;
                found.push(range);
            }
            None => at += 1,
        }
    }
}

/// The length of the name of a key parameter, with its `=`, at the beginning of the text.
fn parameter(text: &[u8]) -> Option<usize> {
    // In a page `&` is often written as `&amp;`.
    let escape = if text.starts_with(b"amp;") { b"amp;".len() } else { 0 };
    let name = PARAMETERS.iter().find(|name| starts_with(&text[escape..], name.as_bytes()))?;
    Some(escape + name.len())
}

/// Whether the text begins with this one, which is in lower case.
fn starts_with(text: &[u8], lower: &[u8]) -> bool {
    text.get(..lower.len()).is_some_and(|beginning| beginning.eq_ignore_ascii_case(lower))
}

fn ends_in_word(text: &[u8]) -> bool {
    let Some(last) = text.last() else { return false };
    if last.is_ascii() {
        return last.is_ascii_alphanumeric();
    }
    let tail = &text[text.len() - text.len().min(4)..];
    let character = (1..=tail.len())
        .find_map(|length| std::str::from_utf8(&tail[tail.len() - length..]).ok()?.chars().next());
    character.is_some_and(char::is_alphanumeric)
}

#[cfg(test)]
pub(super) fn all() -> impl Iterator<Item = &'static str> {
    PREFIXES.into_iter().chain(PARAMETERS)
}
