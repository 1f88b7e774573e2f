//! Many phrases, looked for in one pass over a folded text.

use std::ops::Range;

use aho_corasick::AhoCorasick;

use crate::text::fold;

/// Where in a text a phrase counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Anywhere,
    /// At the beginning of a sentence or line.
    Start,
    /// At the beginning of a line.
    Line,
    /// As the whole text, apart from punctuation.
    Whole,
}

/// Phrases, each with a value. Words of Latin letters are only found as whole words.
#[derive(Debug)]
pub(crate) struct Phrases<T> {
    /// `None` if there are no phrases.
    searcher: Option<AhoCorasick>,
    phrases: Vec<(Place, T)>,
}

impl<T: Copy> Phrases<T> {
    /// The phrases in any spelling; they are folded here. Empty ones are left out.
    pub(crate) fn new<'a>(phrases: impl IntoIterator<Item = (&'a str, Place, T)>) -> Self {
        let all = phrases.into_iter().map(|(phrase, place, value)| (fold(phrase), place, value));
        let all: Vec<_> = all.filter(|(phrase, ..)| !phrase.trim().is_empty()).collect();
        // Building takes time even for none. It fails only for more phrases than memory holds.
        let build = || AhoCorasick::new(all.iter().map(|(phrase, ..)| phrase)).ok();
        let searcher = if all.is_empty() { None } else { build() };
        Phrases {
            searcher,
            phrases: all.into_iter().map(|(_, place, value)| (place, value)).collect(),
        }
    }

    /// The phrases in a folded text, in the order of their ends.
    pub(crate) fn find(&self, folded: &str) -> impl Iterator<Item = (T, Range<usize>)> {
        let matches = self.searcher.iter().flat_map(move |all| all.find_overlapping_iter(folded));
        matches.filter_map(move |found| {
            let (place, value) = *self.phrases.get(found.pattern().as_usize())?;
            let range = found.range();
            (is_whole_word(folded, &range) && is_at(folded, &range, place))
                .then_some((value, range))
        })
    }
}

/// Whether no Latin word goes on before or behind a range. Arabic and Hebrew attach articles and
/// prepositions, and Japanese has no spaces.
fn is_whole_word(text: &str, range: &Range<usize>) -> bool {
    let is_latin = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() && c < '\u{250}');
    let (before, found, after) = (&text[..range.start], &text[range.clone()], &text[range.end..]);
    let goes_on_before = is_latin(found.chars().next()) && is_latin(before.chars().next_back());
    let goes_on_behind = is_latin(found.chars().next_back()) && is_latin(after.chars().next());
    !(goes_on_before || goes_on_behind)
}

/// Whether a range of a folded text is at this place.
pub(crate) fn is_at(text: &str, range: &Range<usize>, place: Place) -> bool {
    let before = || text[..range.start].trim_end_matches([' ', '"', '(', '-', '\'', '*', '#']);
    match place {
        Place::Anywhere => true,
        Place::Start => before().is_empty() || before().ends_with(['\n', '.', '!', '?', '。', ':']),
        Place::Line => before().is_empty() || before().ends_with('\n'),
        Place::Whole => {
            const AROUND: usize = 32;
            let is_word = |c: char| c.is_alphanumeric();
            text.len() <= range.len() + AROUND
                && !text[..range.start].contains(is_word)
                && !text[range.end..].contains(is_word)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phrases_are_whole_words_at_their_place() {
        let phrases = Phrases::new([
            ("Não posso", Place::Anywhere, 1),
            ("sure", Place::Start, 2),
            ("title", Place::Whole, 3),
        ]);
        let found = |text: &str| -> Vec<i32> {
            phrases.find(&fold(text)).map(|(value, _)| value).collect()
        };
        assert_eq!(found("Desculpe, não posso."), [1]);
        assert_eq!(found("to be sure"), Vec::<i32>::new());
        assert_eq!(found("Well. Sure, surely"), [2]);
        assert_eq!(found("[Title]"), [3]);
        assert_eq!(found("Title of the page"), Vec::<i32>::new());
        assert!(Phrases::<()>::new([]).find("x").next().is_none());
    }
}
