//! Finds placeholders that a template forgot to replace, but not braces that the customer wrote.

use serde_json::Value;

use super::data;

/// The marks of placeholders in template languages.
const MARKERS: [&str; 3] = ["{{", "}}", "${"];
/// Maximum number of the order's texts with marks that are searched for, which bounds the work. In
/// further ones, a mark counts as a placeholder.
const MAX_LITERALS: usize = 1000;

/// The texts of the order that contain marks and must be shown as they are.
#[derive(Debug, Default)]
pub(super) struct Literals(Vec<String>);

impl Literals {
    /// Takes whole texts and each of their lines: a template may show an address line by line.
    pub(super) fn new<'a>(texts: impl IntoIterator<Item = &'a String>) -> Self {
        let mut literals = Vec::new();
        for text in texts {
            let marked = |text: &str| MARKERS.iter().any(|marker| text.contains(marker));
            if marked(text) {
                literals.push(comparable(text));
                literals.extend(text.lines().filter(|line| marked(line)).map(comparable));
            }
        }
        literals.sort();
        literals.dedup();
        literals.truncate(MAX_LITERALS);
        Literals(literals)
    }

    /// The text around the first placeholder in `text` that is not in a text of the customer.
    /// `text` must be decoded.
    pub(super) fn leftover(&self, text: &str) -> Option<String> {
        if !MARKERS.iter().any(|marker| text.contains(marker)) {
            return None;
        }
        let text = collapsed(text);
        let compared = text.to_ascii_lowercase();
        let allowed = self.literal_ranges(&compared);
        let mut found: Vec<usize> = MARKERS
            .iter()
            .flat_map(|marker| compared.match_indices(marker).map(|(at, _)| at))
            .collect();
        found.sort_unstable();
        let inside = |at: usize| allowed.iter().any(|(start, end)| (*start..*end).contains(&at));
        found.into_iter().find(|at| !inside(*at)).map(|at| {
            let start = text.floor_char_boundary(at.saturating_sub(40));
            text[start..].to_owned()
        })
    }

    /// As [`leftover`](Self::leftover), for the texts of a JSON value.
    pub(super) fn leftover_in_json(&self, value: &Value) -> Option<String> {
        let mut leftover = None;
        data::texts_of(value, &mut |text| {
            leftover = leftover.take().or_else(|| self.leftover(text))
        });
        leftover
    }

    /// As [`leftover`](Self::leftover), for an attribute. Event handlers are code, the value may be
    /// JSON, and in URLs the customer's text is percent-encoded.
    pub(super) fn leftover_in_attribute(&self, name: &str, value: &str) -> Option<String> {
        let leftover = self.leftover(value).filter(|_| !name.starts_with("on"))?;
        if let Ok(value) = serde_json::from_str::<Value>(value) {
            return self.leftover_in_json(&value);
        }
        let spaced = value.replace('+', " ");
        let decoded = percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy();
        self.leftover(&decoded).map(|_| leftover)
    }

    /// The ranges of `text` that are the customer's: a whole text, or the beginning of one at the
    /// end of `text`, as in descriptions that are cut.
    fn literal_ranges(&self, text: &str) -> Vec<(usize, usize)> {
        let end = text.trim_end_matches(['…', '.', ' ']).len();
        let mut ranges = Vec::new();
        for literal in &self.0 {
            ranges.extend(
                text.match_indices(literal.as_str()).map(|(at, found)| (at, at + found.len())),
            );
            let Some(first) = literal.chars().next() else { continue };
            let earliest = end.saturating_sub(literal.len());
            let tail = &text[text.ceil_char_boundary(earliest)..end];
            let offset = end - tail.len();
            let cut = tail.match_indices(first).find(|(at, _)| literal.starts_with(&tail[*at..]));
            ranges.extend(cut.map(|(at, _)| (offset + at, end)));
        }
        ranges
    }
}

fn comparable(text: &str) -> String {
    collapsed(text).to_ascii_lowercase()
}

/// One space between words, and plain quotation marks, so that typesetting makes no difference.
fn collapsed(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.extend(word.chars().map(|c| match c {
            '‘' | '’' => '\'',
            '“' | '”' => '"',
            other => other,
        }));
    }
    out
}
