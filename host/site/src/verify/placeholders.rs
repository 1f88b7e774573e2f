//! Placeholders that a template forgot to replace, told apart from braces that the customer wrote.

use serde_json::Value;

use super::data;

/// What template languages put around a placeholder.
const MARKERS: [&str; 3] = ["{{", "}}", "${"];
/// Most texts of the order that are searched for. A customer who writes more texts with braces than
/// this is not believed.
const MAX_LITERALS: usize = 1000;

/// The texts of the order that have such marks themselves and must be shown as they are.
#[derive(Debug, Default)]
pub(super) struct Literals(Vec<String>);

impl Literals {
    /// The texts, and each of their lines, because a template may show an address line by line.
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

    /// The first placeholder in `text`, which is decoded already, that is not the customer's: the
    /// text around it.
    pub(super) fn leftover(&self, text: &str) -> Option<String> {
        if !MARKERS.iter().any(|marker| text.contains(marker)) {
            return None;
        }
        let text = collapsed(text);
        let compared = text.to_ascii_lowercase();
        let allowed = self.places_in(&compared);
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

    /// As [`leftover`](Self::leftover), for the texts of a JSON value; its own braces are none.
    pub(super) fn leftover_in_json(&self, value: &Value) -> Option<String> {
        let mut leftover = None;
        data::texts_of(value, &mut |text| {
            leftover = leftover.take().or_else(|| self.leftover(text))
        });
        leftover
    }

    /// As [`leftover`](Self::leftover), for an attribute. Handlers are code; data may be JSON; and
    /// in addresses the customer's text is percent-encoded around braces that need not be.
    pub(super) fn leftover_in_attribute(&self, name: &str, value: &str) -> Option<String> {
        let leftover = self.leftover(value).filter(|_| !name.starts_with("on"))?;
        if let Ok(value) = serde_json::from_str::<Value>(value) {
            return self.leftover_in_json(&value);
        }
        let spaced = value.replace('+', " ");
        let decoded = percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy();
        self.leftover(&decoded).map(|_| leftover)
    }

    /// Where the texts stand: whole, or cut at the end of `text` as descriptions are.
    fn places_in(&self, text: &str) -> Vec<(usize, usize)> {
        let end = text.trim_end_matches(['…', '.', ' ']).len();
        let mut places = Vec::new();
        for literal in &self.0 {
            places.extend(
                text.match_indices(literal.as_str()).map(|(at, found)| (at, at + found.len())),
            );
            let Some(first) = literal.chars().next() else { continue };
            let earliest = end.saturating_sub(literal.len());
            let tail = &text[text.ceil_char_boundary(earliest)..end];
            let offset = end - tail.len();
            let cut = tail.match_indices(first).find(|(at, _)| literal.starts_with(&tail[*at..]));
            places.extend(cut.map(|(at, _)| (offset + at, end)));
        }
        places
    }
}

fn comparable(text: &str) -> String {
    collapsed(text).to_ascii_lowercase()
}

/// One space between words, and plain quotation marks: what typesetting may change without changing
/// the text.
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
