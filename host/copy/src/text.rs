//! A text as the rules compare it: lower case, without accents, with plain quotes, digits and
//! spaces, and with the way back to the original.

use std::ops::Range;

/// A text and its folded form.
#[derive(Debug)]
pub(crate) struct View<'a> {
    pub(crate) original: &'a str,
    pub(crate) folded: String,
    /// For each byte of the folded text, and for its end: where its character is in the original.
    origins: Vec<u32>,
    pub(crate) words: Vec<Word>,
}

/// The place of a word in the folded text: letters and digits without a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Word {
    start: u32,
    end: u32,
}

impl Word {
    pub(crate) fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

impl<'a> View<'a> {
    /// The caller limits the text to less than 4 GiB.
    pub(crate) fn of(original: &'a str) -> Self {
        let mut folded = String::with_capacity(original.len());
        let mut origins = Vec::with_capacity(original.len() + 1);
        let mut last = None;
        for (at, c) in original.char_indices() {
            fold_char(c, &mut |c| {
                if c == '\n' && last == Some(' ') {
                    folded.pop();
                    origins.pop();
                } else if c == ' ' && matches!(last, Some(' ' | '\n')) {
                    return;
                }
                folded.push(c);
                origins.resize(folded.len(), at as u32);
                last = Some(c);
            });
        }
        origins.push(original.len() as u32);
        let words = words(&folded);
        View { original, folded, origins, words }
    }

    /// The range of the original that a range of the folded text comes from.
    pub(crate) fn origin(&self, range: Range<usize>) -> Range<usize> {
        let of = |at: usize| self.origins.get(at).map_or(self.original.len(), |at| *at as usize);
        let start = of(range.start);
        start..of(range.end).max(start)
    }

    /// The original of a range of the folded text, without spaces around it.
    pub(crate) fn original_of(&self, range: Range<usize>) -> &'a str {
        self.original.get(self.origin(range)).unwrap_or_default().trim()
    }

    pub(crate) fn word(&self, index: usize) -> &str {
        self.words.get(index).map_or("", |word| &self.folded[word.range()])
    }

    /// A word in its original spelling.
    pub(crate) fn original_word(&self, index: usize) -> &'a str {
        self.words.get(index).map_or("", |word| self.original_of(word.range()))
    }

    /// The last words before a place in the folded text, the nearest first.
    pub(crate) fn words_before(&self, at: usize) -> impl Iterator<Item = &str> {
        let end = self.words.partition_point(|word| word.range().end <= at);
        (0..end).rev().map(|index| self.word(index))
    }

    /// The words that begin at or behind a place in the folded text.
    pub(crate) fn words_behind(&self, at: usize) -> impl Iterator<Item = &str> {
        let start = self.words.partition_point(|word| word.range().start < at);
        (start..self.words.len()).map(|index| self.word(index))
    }

    /// The first word that begins at or behind a place in the folded text.
    pub(crate) fn word_after(&self, at: usize) -> &str {
        self.word(self.words.partition_point(|word| word.range().start < at))
    }

    pub(crate) fn before(&self, at: usize) -> Option<char> {
        self.folded.get(..at)?.chars().next_back()
    }

    pub(crate) fn after(&self, at: usize) -> Option<char> {
        self.folded.get(at..)?.chars().next()
    }

    /// Whether a place is the beginning of the text, of a line or of a sentence.
    pub(crate) fn begins_sentence(&self, at: usize) -> bool {
        let before = self.folded.get(..at).unwrap_or_default();
        let before = before.trim_end_matches([' ', '"', '(', '-', '\'']);
        before.is_empty() || before.ends_with(['\n', '.', '!', '?', '。', ':', '؟'])
    }
}

/// The folded form of a text.
pub(crate) fn fold(text: &str) -> String {
    View::of(text).folded
}

fn words(folded: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let mut start = None;
    let mut last = ' ';
    for (at, c) in folded.char_indices() {
        // "undefinedへ" is two words.
        let is_joint = start.is_some() && is_latin(last) != is_latin(c) && c.is_alphanumeric();
        if let Some(from) = start.filter(|_| is_joint || !c.is_alphanumeric()) {
            words.push(Word { start: from as u32, end: at as u32 });
            start = None;
        }
        if start.is_none() && c.is_alphanumeric() {
            start = Some(at);
        }
        last = c;
    }
    words.extend(start.map(|from| Word { start: from as u32, end: folded.len() as u32 }));
    words
}

/// Whether a letter or digit is of Latin script.
fn is_latin(c: char) -> bool {
    c < '\u{250}'
}

/// The sentences of a folded text, as ranges without spaces around them.
pub(crate) fn sentences(folded: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut start = 0;
    let mut chars = folded.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let next = chars.peek().map(|(_, next)| *next);
        let ends = match c {
            '\n' | '。' => true,
            '.' | '!' | '?' | '؟' => next.is_none_or(char::is_whitespace),
            _ => false,
        };
        if ends {
            push_trimmed(folded, start..at + c.len_utf8(), &mut found);
            start = at + c.len_utf8();
        }
    }
    push_trimmed(folded, start..folded.len(), &mut found);
    found
}

fn push_trimmed(text: &str, range: Range<usize>, found: &mut Vec<Range<usize>>) {
    let part = &text[range.clone()];
    let start = range.start + (part.len() - part.trim_start().len());
    let end = start + part.trim().len();
    if start < end {
        found.push(start..end);
    }
}

/// Folds one character: none, one or a few characters come out.
fn fold_char(c: char, push: &mut impl FnMut(char)) {
    match c {
        ' '..='@' | '['..='~' => push(c),
        'A'..='Z' => push(c.to_ascii_lowercase()),
        '\n' | '\r' | '\u{2028}' | '\u{2029}' => push('\n'),
        // Invisible: soft hyphen, joiners, directions, byte order mark; marks above and below.
        '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' => {}
        '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{300}'..='\u{36f}' => {}
        '\u{591}'..='\u{5bd}' | '\u{5bf}'..='\u{5c7}' => {}
        '\u{640}' | '\u{64b}'..='\u{65f}' | '\u{670}' => {}
        '\u{fe00}'..='\u{fe0f}' => {}
        '‘' | '’' | '‚' | '‛' | '′' | 'ʼ' | '´' | '׳' => push('\''),
        '“' | '”' | '„' | '‟' | '″' | '«' | '»' | '״' => push('"'),
        '‐'..='―' | '−' | '־' => push('-'),
        '…' => "...".chars().for_each(push),
        'à'..='å' | 'À'..='Å' | 'ā' | 'ă' | 'ą' => push('a'),
        'ç' | 'Ç' | 'ć' | 'č' => push('c'),
        'è'..='ë' | 'È'..='Ë' | 'ē' | 'ę' | 'ě' => push('e'),
        'ì'..='ï' | 'Ì'..='Ï' | 'ī' => push('i'),
        'ñ' | 'Ñ' | 'ń' => push('n'),
        'ò'..='ö' | 'Ò'..='Ö' | 'ø' | 'Ø' | 'ō' => push('o'),
        'ù'..='ü' | 'Ù'..='Ü' | 'ū' => push('u'),
        'ý' | 'ÿ' | 'Ý' => push('y'),
        'ß' | 'ẞ' => "ss".chars().for_each(push),
        'æ' | 'Æ' => "ae".chars().for_each(push),
        'œ' | 'Œ' => "oe".chars().for_each(push),
        'º' => push('o'),
        'ª' => push('a'),
        'أ' | 'إ' | 'آ' => push('ا'),
        'ى' => push('ي'),
        'ة' => push('ه'),
        '٫' => push('.'),
        '٬' => push(','),
        '\u{660}'..='\u{669}' => push(shifted(c, 0x660, '0')),
        '\u{6f0}'..='\u{6f9}' => push(shifted(c, 0x6f0, '0')),
        // Full-width forms of Japanese and Chinese texts.
        '\u{ff01}'..='\u{ff5e}' => shifted(c, 0xff01, '!').to_lowercase().for_each(push),
        c if c.is_whitespace() => push(' '),
        c if c.is_control() => {}
        c => c.to_lowercase().for_each(push),
    }
}

/// The character that is as far behind `to` as `c` is behind `from`.
fn shifted(c: char, from: u32, to: char) -> char {
    char::from_u32((c as u32).saturating_sub(from) + to as u32).unwrap_or(c)
}

/// A text of at most `max` characters, on one line, with an ellipsis if something was cut.
pub(crate) fn cut(text: &str, max: usize) -> String {
    let mut cut = String::new();
    for (length, c) in text.trim().chars().enumerate() {
        if length + 1 >= max {
            cut.push('…');
            break;
        }
        cut.push(if c.is_control() { ' ' } else { c });
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding_keeps_the_way_back() {
        let view = View::of("  Ça «va»\u{a0}?\n\n ÉTÉ – ١٩٨٧ １２");
        assert_eq!(view.folded, " ca \"va\" ?\n\nete - 1987 12");
        let at = view.folded.find("ete").unwrap();
        assert_eq!(view.original_of(at..at + 3), "ÉTÉ");
        assert_eq!(
            view.original_of(view.folded.find("1987").unwrap()..view.folded.len()),
            "١٩٨٧ １２"
        );
    }

    #[test]
    fn sentences_end_at_their_marks_and_lines() {
        let text = "one. two 2.5 three!\nfour";
        let found: Vec<&str> = sentences(text).into_iter().map(|range| &text[range]).collect();
        assert_eq!(found, ["one.", "two 2.5 three!", "four"]);
    }
}
