//! The shape of a text: loops, sentences that are cut, headings that say nothing.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use crate::number::{self, runs};
use crate::text::{View, sentences};

/// A place in the folded text and what is wrong there.
pub(crate) type Fault = (Range<usize>, String);

/// Maximum number of words of a group that is looked for as a loop.
const LONGEST_GROUP: usize = 12;

/// The first loop of a text.
pub(crate) fn repetition(view: &View<'_>) -> Option<Fault> {
    characters(view)
        .or_else(|| word_groups(view))
        .or_else(|| repeated_sentence(view))
        .or_else(|| few_words(view))
}

fn characters(view: &View<'_>) -> Option<Fault> {
    let mut last = '\0';
    let mut start = 0;
    let mut length = 0;
    for (at, c) in view.folded.char_indices() {
        if c != last {
            (last, start, length) = (c, at, 0);
        }
        length += 1;
        let limit = match c {
            // Roman numerals and placeholders have a rule of their own.
            'x' | 'w' | 'ー' | 'ｗ' => continue,
            '!' | '?' => 5,
            c if c.is_alphabetic() => 6,
            _ => continue,
        };
        if length >= limit {
            return Some((start..at + c.len_utf8(), format!("has `{c}` {limit} times in a row")));
        }
    }
    None
}

/// Groups of 1 to 12 words that follow each other several times.
fn word_groups(view: &View<'_>) -> Option<Fault> {
    let words: Vec<&str> = (0..view.words.len()).map(|index| view.word(index)).collect();
    for size in 1..=LONGEST_GROUP {
        // The number of words that equal the one a group earlier.
        let mut equal = 0;
        for (index, word) in words.iter().enumerate().skip(size) {
            if *word != words[index - size] {
                equal = 0;
                continue;
            }
            equal += 1;
            let times = match size {
                // "ha ha ha", "la la la la", numbers in tables.
                1 if word.len() <= 2 || word.bytes().all(|b| b.is_ascii_digit()) => 9,
                1 | 2 => 4,
                _ => 3,
            };
            if equal >= size * (times - 1) {
                let first = index + 1 - size * times;
                let range = view.words[first].range().start..view.words[index].range().end;
                let group = &view.folded[range.start..view.words[first + size - 1].range().end];
                let group = crate::text::cut(group, 60);
                return Some((range, format!("repeats \"{group}\" {times} times in a row")));
            }
        }
    }
    None
}

fn repeated_sentence(view: &View<'_>) -> Option<Fault> {
    let mut seen: HashMap<&str, usize> = HashMap::new();
    for range in sentences(&view.folded) {
        let sentence = view.folded[range.clone()].trim_end_matches(['.', '!', '?', '。', ' ', '؟']);
        // A character of Japanese says as much as several letters.
        let words = sentence.split_whitespace().count();
        let wide = sentence.chars().filter(|c| *c >= '\u{3000}').count();
        let weight = words.max(wide / 3);
        let limit = match weight {
            0..=2 => continue,
            3..=7 => 3,
            _ => 2,
        };
        let times = seen.entry(sentence).or_default();
        *times += 1;
        if *times >= limit {
            return Some((range, format!("has the same sentence {limit} times")));
        }
    }
    None
}

/// Long texts made of few groups of four words.
fn few_words(view: &View<'_>) -> Option<Fault> {
    const SHORTEST: usize = 60;
    const SIZE: usize = 4;
    let words = view.words.len();
    if words < SHORTEST {
        return None;
    }
    let groups = |index: usize| {
        let start = view.words[index].range().start;
        &view.folded[start..view.words[index + SIZE - 1].range().end]
    };
    let distinct: HashSet<&str> = (0..=words - SIZE).map(groups).collect();
    let all = words - SIZE + 1;
    (distinct.len() * 10 < all * 6).then(|| {
        let end = view.words[(2 * SIZE).min(words - 1)].range().end;
        (0..end, "says the same again and again".to_owned())
    })
}

/// Why a heading says nothing, if so.
pub(crate) fn heading(view: &View<'_>) -> Option<String> {
    const FILES: [&str; 16] = [
        "jpg", "jpeg", "png", "webp", "svg", "gif", "pdf", "html", "htm", "json", "css", "js",
        "txt", "md", "docx", "mp4",
    ];
    let text = view.folded.trim();
    let letters = text.chars().filter(|c| c.is_alphabetic()).count();
    let is_code = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:/#".contains(&b));
    let digits = text.chars().filter(|c| c.is_numeric()).count();
    let what = if letters == 0 && digits == 0 {
        "has no word"
    } else if text.contains("://") || text.starts_with("www.") {
        "is an address"
    } else if is_timestamp(text) {
        "is a date"
    } else if letters == 0 && !matches!(text, "24/7" | "404" | "100%" | "24h/24" | "365") {
        "is a number"
    } else if is_code && text.rsplit_once('.').is_some_and(|(_, end)| FILES.contains(&end)) {
        "is the name of a file"
    } else if is_code && is_id(text, view.original.trim()) {
        "is an id"
    } else {
        return None;
    };
    Some(what.to_owned())
}

/// A date in figures, with or without a time, and nothing else.
fn is_timestamp(text: &str) -> bool {
    let Some(run) = runs(text).next() else { return false };
    let rest = text.get(run.range.end..).unwrap_or_default();
    number::is_date(&run)
        && run.range.start == 0
        && rest.bytes().all(|b| b.is_ascii_digit() || b"t:.+- zutcgm".contains(&b))
}

/// UUIDs, hashes, and names of fields such as `hero_title` or `section-2`.
fn is_id(folded: &str, original: &str) -> bool {
    let hex = folded.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    let digits = folded.bytes().filter(u8::is_ascii_digit).count();
    let is_hash = hex && digits >= 3 && folded.len() >= 12;
    let is_field = folded.contains('_') && original == folded;
    let is_numbered = original == folded
        && folded.rsplit_once('-').is_some_and(|(name, number)| {
            number.bytes().all(|b| b.is_ascii_digit()) && name.len() > 1 && !number.is_empty()
        });
    let is_camel = original.starts_with(|c: char| c.is_ascii_lowercase())
        && original.chars().skip(1).filter(char::is_ascii_uppercase).count() == 1
        && original.len() >= 9;
    let is_key = original.starts_with(['#', '.']) && digits > 0;
    let is_prefixed = ["cs_", "cus_", "pi_", "sku"].iter().any(|start| folded.starts_with(start));
    is_hash || is_field || is_numbered || is_camel || is_key || is_prefixed
}

/// Words, in folded form, that no sentence ends with.
const OPEN_ENDS: [&str; 138] = [
    "and", "or", "but", "the", "a", "an", "of", "with", "our", "your", "their", "my", "because",
    "which", "whose", "if", "than", "very", "e", "ou", "mas", "o", "os", "as", "um", "uma", "de",
    "do", "da", "dos", "das", "com", "para", "por", "em", "na", "nossa", "nosso", "sua", "que",
    "y", "u", "pero", "el", "la", "los", "las", "un", "una", "del", "con", "en", "nuestra",
    "nuestro", "su", "et", "mais", "le", "les", "des", "du", "une", "avec", "dans", "notre",
    "votre", "sur", "und", "oder", "aber", "der", "die", "das", "den", "dem", "ein", "eine",
    "einen", "einem", "fur", "unsere", "ihre", "weil", "il", "lo", "gli", "della", "di", "per",
    "nella", "nostra", "che", "mit", "von", "im", "bei", "sin", "sem", "sans", "ohne", "senza",
    "pour", "par", "chez", "nel", "delle", "dei", "degli", "nos", "nas", "pela", "pelo", "al", "i",
    "would", "could", "should", "that", "pourrait", "qui", "pouvait", "dont", "sowie", "welche",
    "dass", "pois", "lorsque", "parce", "perche", "we", "they", "chaque", "cada", "every", "ogni",
    "jede", "jeden", "jeder",
];

/// The same of languages that attach them or write from right to left; as ends of the text.
const OTHER_ENDS: [&str; 23] = [
    " و",
    " في",
    " من",
    " علي",
    " الي",
    " التي",
    " الذي",
    " مع",
    " او",
    " عن",
    " של",
    " את",
    " עם",
    " על",
    " או",
    " כי",
    " אל",
    " גם",
    "、",
    "を",
    "に、",
    "が、",
    "そして",
];

/// The words that no text of few words ends with either, which may be a label: not those of "the
/// people we work with", "wir fangen an" and "mucho más".
const SHORT_ENDS: [&str; 60] = [
    "and", "or", "but", "the", "our", "your", "their", "because", "which", "whose", "if", "we",
    "they", "ou", "os", "com", "para", "por", "em", "na", "y", "pero", "las", "del", "con", "en",
    "et", "le", "les", "des", "du", "dans", "chez", "dont", "und", "oder", "aber", "dem", "eine",
    "einen", "einem", "fur", "unsere", "weil", "im", "dass", "sowie", "il", "gli", "della", "di",
    "per", "nella", "nel", "delle", "dei", "degli", "ma", "de", "e",
];

/// Where and why a text of some words ends before its sentence does, if so. Also for labels: a
/// short text without a full stop is taken for one.
pub(crate) fn cut_words(view: &View<'_>) -> Option<Fault> {
    const FEWEST: usize = 5;
    let end = view.folded.trim_end().len();
    let last = view.words.len().checked_sub(1)?;
    let range = view.words.get(last)?.range();
    let before = view.word(last.checked_sub(1)?);
    let is_end = range.end == end
        && view.words.len() >= FEWEST
        && view.before(range.start) == Some(' ')
        && view.original_word(last).starts_with(char::is_lowercase)
        && SHORT_ENDS.contains(&view.word(last))
        // "Nobody is faster than we", "anything but".
        && !matches!(before, "than" | "as" | "nothing" | "anything");
    is_end.then(|| (0..end, format!("ends with the word \"{}\"", view.word(last))))
}

/// Where and why a text ends before its sentence does, if so.
pub(crate) fn cut_sentence(view: &View<'_>) -> Option<Fault> {
    const LONG: usize = 60;
    const VERY_LONG: usize = 100;
    let text = view.folded.trim_end();
    // A character of Japanese counts for three.
    let length = text.chars().map(|c| if c >= '\u{3000}' { 3 } else { 1 }).sum::<usize>();
    if length < LONG {
        return None;
    }
    let end = text.len();
    let tail = |length: usize| text.floor_char_boundary(end.saturating_sub(length))..end;
    let last = text.chars().next_back()?;
    if matches!(last, ',' | ';' | '،' | '、' | '؛' | '-' | '&' | '/' | '(' | '[') {
        return Some((tail(40), format!("ends with `{last}`")));
    }
    if let Some(open) = unclosed(text) {
        let shown = view.original_of(open..open + text[open..].chars().next()?.len_utf8());
        return Some((open..end, format!("has a `{shown}` that is never closed")));
    }
    let bare = text.trim_end_matches("...");
    if let Some(word) = view.words.last().filter(|word| word.range().end == bare.len()) {
        let word = &view.folded[word.range()];
        let is_shouted = view.original_word(view.words.len() - 1).chars().all(char::is_uppercase);
        if OPEN_ENDS.contains(&word) && !is_shouted {
            return Some((tail(40), format!("ends with the word \"{word}\"")));
        }
        if OTHER_ENDS.iter().any(|end| bare.ends_with(end)) {
            return Some((tail(40), "ends within a sentence".to_owned()));
        }
    }
    if length < VERY_LONG || bare.len() < end {
        return None;
    }
    // The text has finished sentences, and then several words without an end.
    let sentences = sentences(&view.folded);
    let rest = &view.folded[sentences.last()?.clone()];
    let before = &view.folded[sentences.get(sentences.len().checked_sub(2)?)?.clone()];
    let was_finished = before.ends_with(['.', '!', '?', '。', '؟']);
    let words = rest.split_whitespace().count();
    let is_long = words >= 5 || rest.chars().filter(|c| *c >= '\u{3000}').count() >= 8;
    // An address, a phone number, hours or a signature needs no full stop.
    let is_plain = |c: char| c.is_alphabetic() || c.is_whitespace() || ",'\"-、".contains(c);
    let is_prose = rest.chars().all(is_plain) && !text.ends_with('"');
    (was_finished && is_long && is_prose)
        .then(|| (tail(60), "ends in the middle of a sentence".to_owned()))
}

/// The place of a bracket or quotation mark of a folded text that is not closed behind it.
fn unclosed(text: &str) -> Option<usize> {
    let mut brackets: Vec<usize> = Vec::new();
    let mut quote = None;
    let mut last = ' ';
    for (at, c) in text.char_indices() {
        match c {
            // Not in smileys.
            '(' if !matches!(last, ':' | ';' | '=') => brackets.push(at),
            ')' => {
                brackets.pop();
            }
            // Not inches.
            '"' if !last.is_ascii_digit() || quote.is_some() => {
                // Hebrew abbreviations have the mark within the word.
                let next = text[at + 1..].chars().next();
                let in_word = last.is_alphabetic() && next.is_some_and(char::is_alphabetic);
                if !in_word {
                    quote = if quote.is_some() { None } else { Some(at) };
                }
            }
            '\n' => quote = None,
            '「' | '『' | '（' => brackets.push(at),
            '」' | '』' | '）' => {
                brackets.pop();
            }
            _ => {}
        }
        last = c;
    }
    brackets.first().copied().into_iter().chain(quote).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loops_are_found() {
        let of = |text: &str| repetition(&View::of(text)).map(|(_, why)| why);
        assert!(of("We bake bread. We bake bread. We bake bread.").is_some());
        assert!(of("best bread best bread best bread best bread").is_some());
        assert!(of("Sooooooo good").is_some());
        assert!(
            of("毎朝焼いています。毎朝焼いています。毎朝焼いています。毎朝焼いています。")
                .is_some()
        );
        assert!(of("Location, location, location.").is_none());
        assert!(of("Soup .............. 4").is_none());
        assert!(of("ha ha ha ha").is_none());
    }

    #[test]
    fn cut_sentences_are_found() {
        let of = |text: &str| cut_sentence(&View::of(text)).map(|(_, why)| why);
        let start = "We bake our bread through the night, and it is sold before noon";
        assert!(of(&format!("{start} and")).is_some());
        assert!(of(&format!("{start},")).is_some());
        assert!(of(&format!("{start} (but")).is_some());
        assert!(of(start).is_none());
        assert!(of(&format!("{start}. The oven goes on at two o'clock every night")).is_some());
        assert!(of(&format!("{start}. The oven is 12\" wide.")).is_none());
        assert!(of("Bread and").is_none());
    }

    #[test]
    fn a_short_text_that_is_cut_is_told_from_a_label() {
        for (text, expected) in [
            ("We paint your house with care and then we", true),
            ("Pintamos su casa con cuidado y con", true),
            ("Pintamos a sua casa com cuidado e com", true),
            ("Nous peignons votre maison avec soin et", true),
            ("Wir streichen Ihr Haus mit Sorgfalt und", true),
            ("Dipingiamo la vostra casa con cura e per", true),
            ("The people we work with", false),
            ("A tour of what we do", false),
            ("Nobody here bakes better than we", false),
            ("Wir sehen es uns an", false),
            ("Heute geht es bei uns los", false),
            ("Cuidamos de usted y mucho más", false),
            ("Vitamins from A and E", false),
            ("We paint your house with care and then we.", false),
            ("House painting and", false),
        ] {
            assert_eq!(cut_words(&View::of(text)).is_some(), expected, "{text}");
        }
    }

    #[test]
    fn headings_that_say_nothing_are_found() {
        let of = |text: &str| heading(&View::of(text));
        for text in [
            "2026-11-20",
            "42",
            "hero_title",
            "section-2",
            "hero.jpg",
            "https://a.example",
            "—",
            "550e8400-e29b-41d4-a716-446655440000",
            "2026-11-20T10:00:00Z",
            "aboutHeading",
        ] {
            assert!(of(text).is_some(), "{text}");
        }
        for text in ["24/7", "Open since 1998", "About us", "No. 7", "iPhone repair", "e-bikes"] {
            assert!(of(text).is_none(), "{text}");
        }
    }
}
