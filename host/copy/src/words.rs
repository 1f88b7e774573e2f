//! Words that are values of programs or marks of writers in one place, and plain words in another:
//! `null`, `None`, `undefined`, `TODO`, `XXX`.

use std::ops::Range;

use crate::phrase::{self, Place};
use crate::rule::CopyRule;
use crate::text::View;

/// The suspicious words of a text, with their places in the folded text.
pub(crate) fn find(
    view: &View<'_>,
    language: Option<&str>,
) -> impl Iterator<Item = (CopyRule, Range<usize>)> {
    (0..view.words.len()).filter_map(move |index| {
        let rule = rule(view, language.unwrap_or("en"), index)?;
        Some((rule, view.words.get(index)?.range()))
    })
}

/// The words before and behind a range with it, which are compared with the order.
pub(crate) fn around(view: &View<'_>, range: Range<usize>) -> String {
    let first = view.words.partition_point(|word| word.range().start < range.start);
    let start =
        view.words.get(first.saturating_sub(1)).map_or(range.start, |word| word.range().start);
    let end = view.words.get(first + 1).map_or(range.end, |word| word.range().end);
    view.folded.get(start..end).unwrap_or_default().to_owned()
}

fn rule(view: &View<'_>, language: &str, index: usize) -> Option<CopyRule> {
    let word = view.word(index);
    let is_suspect = match word {
        "undefined" => is_undefined(view, index),
        "null" => is_null(view, language, index),
        "nan" => view.original_word(index) == "NaN",
        "none" => is_none(view, index),
        "infinity" => is_infinity(view, index),
        _ => return of_writers(view, language, index).then_some(CopyRule::Placeholder),
    };
    is_suspect.then_some(CopyRule::LeftOver)
}

fn previous<'a>(view: &'a View<'_>, index: usize) -> &'a str {
    index.checked_sub(1).map_or("", |index| view.word(index))
}

/// The characters directly around a word.
fn neighbours(view: &View<'_>, index: usize) -> (Option<char>, Option<char>) {
    let range = view.words.get(index).map_or(0..0, |word| word.range());
    (view.before(range.start), view.after(range.end))
}

fn is_undefined(view: &View<'_>, index: usize) -> bool {
    const BEFORE: [&str; 14] = [
        "an", "the", "left", "is", "are", "remains", "remain", "stays", "still", "often",
        "legally", "largely", "that", "some",
    ];
    const BEHIND: [&str; 7] =
        ["behaviour", "behavior", "borders", "boundaries", "future", "space", "by"];
    // Programs write it in lower case: `Undefined pain? Come in.`
    let is_capital = view.original_word(index).starts_with(char::is_uppercase);
    let word = view.words.get(index);
    let is_first =
        word.is_some_and(|word| phrase::is_at(&view.folded, &word.range(), Place::Start));
    let is_sentence = is_capital && is_first && view.words.len() > 2;
    !is_sentence
        && !BEFORE.contains(&previous(view, index))
        && !BEHIND.contains(&view.word(index + 1))
}

fn is_null(view: &View<'_>, language: &str, index: usize) -> bool {
    let next = view.word(index + 1);
    let last = previous(view, index);
    let (before, after) = neighbours(view, index);
    // A surname.
    if view.original_word(index) == "Null" && language != "de" {
        return false;
    }
    let is_pair = next == "null" || last == "null";
    if !is_pair && (matches!(after, Some('-' | '\'')) || matches!(before, Some('-'))) {
        return false;
    }
    if language == "de" || language == "nl" {
        // "null" is the number zero: only the end of a sentence that needs a name is suspicious.
        const BEFORE: [&str; 14] = [
            "frau",
            "herr",
            "herrn",
            "in",
            "nach",
            "telefon",
            "unter",
            "team",
            "firma",
            "an",
            "hallo",
            "unser",
            "willkommen",
            "e",
        ];
        return BEFORE.contains(&last) && matches!(after, None | Some('.' | ',' | '!' | ')' | ':'));
    }
    !(next == "and"
        || last == "and"
        || next == "problemo"
        || last == "void"
        || next == "hypothesis")
}

/// "None" with a capital within a sentence: the way Python writes a missing value.
fn is_none(view: &View<'_>, index: usize) -> bool {
    const BEFORE: [&str; 15] = [
        "to", "bar", "like", "have", "is", "there", "or", "than", "are", "has", "but", "with",
        "and", "take", "leave",
    ];
    if view.original_word(index) != "None" {
        return false;
    }
    let at = view.words.get(index).map_or(0, |word| word.range().start);
    let last = previous(view, index);
    let is_value = matches!(view.before(at), Some('$' | '€' | '£' | '#' | '@'));
    let (_, after) = neighbours(view, index);
    let ends = matches!(after, None | Some('.' | ',' | '!' | ')' | ';' | '|'));
    // A heading in capitals: "Welcome All, Turn None Away".
    let is_title = view.original_word(index + 1).starts_with(char::is_uppercase)
        && view.original_word(index.wrapping_sub(1)).starts_with(char::is_uppercase);
    is_value
        || !(view.begins_sentence(at) || BEFORE.contains(&last) || is_title && !ends)
        || (last == "with" || last == "is") && ends
}

fn is_infinity(view: &View<'_>, index: usize) -> bool {
    let range = view.words.get(index).map_or(0..0, |word| word.range());
    let before = view.folded[..range.start].trim_end_matches(' ');
    let after = view.folded[range.end..].trim_start_matches(' ');
    before.ends_with(['$', '€', '£', '-', ':']) && !before.ends_with(" -")
        || after.starts_with(['%', '€', '$'])
        || matches!(view.word(index + 1), "reviews" | "years" | "stars" | "minutes" | "anos")
}

/// `TODO`, `TBD`, `XXX` and the like.
fn of_writers(view: &View<'_>, language: &str, index: usize) -> bool {
    let word = view.word(index);
    let original = || view.original_word(index);
    match word {
        "todo" if original() == "TODO" => {
            // In Spanish and Portuguese it is the word for "all", in capitals like its neighbours.
            let is_all = |word: &str| {
                word.len() > 1
                    && word.chars().all(|c| !c.is_lowercase())
                    && word.chars().any(char::is_alphabetic)
            };
            let is_shouted = is_all(view.original_word(index + 1))
                || (index > 0 && is_all(view.original_word(index - 1)));
            let (_, after) = neighbours(view, index);
            let is_mark = matches!(after, Some(':' | '(')) || view.words.len() == 1;
            let romance = matches!(language, "es" | "pt" | "gl" | "ca" | "it");
            (is_mark || !romance) && !is_shouted
        }
        "tbd" | "fixme" | "tbc" => original().chars().all(char::is_uppercase),
        "tk" => original() == "TK" && view.words.len() > 1 && previous(view, index) == "tk",
        _ if word.len() >= 2 && word.bytes().all(|b| b == b'x') => is_x(view, original(), index),
        _ => false,
    }
}

/// Letters X that stand for something: `XXX`, `XX%`, `XX-XX-XXXX`; not the Roman 20 and 30.
fn is_x(view: &View<'_>, original: &str, index: usize) -> bool {
    const ROMAN: [&str; 22] = [
        "edition",
        "anniversary",
        "aniversario",
        "anniversaire",
        "anniversario",
        "edicao",
        "edicion",
        "edizione",
        "secolo",
        "siglo",
        "seculo",
        "siecle",
        "century",
        "chapter",
        "capitulo",
        "capitolo",
        "jahrhundert",
        "feira",
        "feria",
        "festival",
        "congresso",
        "congreso",
    ];
    let is_upper = original.chars().all(|c| c == 'X');
    let last = previous(view, index);
    let next = view.word(index + 1);
    if ROMAN.contains(&last) || ROMAN.contains(&next) {
        return false;
    }
    let (before, _) = neighbours(view, index);
    let end = view.words.get(index).map_or(0, |word| word.range().end);
    let behind = view.folded[end..].trim_start();
    let is_money = matches!(before, Some('$' | '€' | '£'))
        || behind.starts_with(['%', '€', '$', '£'])
        || matches!(last, "r") && view.folded.contains("r$");
    let is_x_word = |word: &str| word.len() >= 2 && word.bytes().all(|b| b == b'x');
    let is_pattern = is_x_word(last) || is_x_word(next);
    let is_count = matches!(
        next,
        "years" | "anos" | "ans" | "jahre" | "jahren" | "anni" | "customers" | "euro" | "euros"
    );
    match original.len() {
        2 => is_upper && (is_money || is_pattern || is_count),
        _ => is_upper || (is_pattern && original.len() >= 3),
    }
}
