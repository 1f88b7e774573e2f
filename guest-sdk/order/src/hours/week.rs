//! Days as people write them: one day, several, a range, weekdays, public holidays; and lines that
//! hold days and times.

use super::Day;
use super::names::{self, EVERY_DAY, HOLIDAYS, WEEKDAYS, WEEKENDS};
use super::text::{fold, fold_words};

/// Maximum length of a line that is searched for days, in characters. Longer ones are notes.
const MAX_LINE: usize = 300;
/// Maximum length of the days of a line, in characters.
const MAX_DAYS: usize = 80;

/// The days that a text names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct DaySet {
    /// The days, from Monday, each once.
    pub(crate) days: Vec<Day>,
    /// Whether it names public holidays.
    pub(crate) holidays: bool,
    /// Whether it names one day, and not a range or group. What is said of one day counts more.
    pub(crate) is_one: bool,
}

/// A line of opening hours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// The days as typed; `None` if the line names none.
    pub(crate) label: Option<String>,
    pub(crate) days: DaySet,
    /// What is said about them.
    pub(crate) times: String,
}

/// Between the days of a list.
const LISTED: &[&str] = &[
    " and ", " und ", " u. ", " et ", " oraz ", " e ", " y ", " en ", " i ", " och ", " og ", " ו",
    " و",
];
/// Between the first and the last day of a range.
const BETWEEN: &[&str] = &[
    " through ",
    " thru ",
    " until ",
    " t/m ",
    " até ",
    " ate ",
    " bis ",
    " tot ",
    " till ",
    " إلى ",
    " الى ",
    " حتى ",
    " to ",
    " à ",
    " au ",
    " al ",
    " do ",
    " a ",
    " עד ",
    "から",
    "至",
    "到",
    "まで",
];
const DASHES: [char; 10] = ['-', '–', '—', '‒', '−', '‐', '‑', '~', '〜', '～'];
/// Before the first day.
const BEFORE: &[&str] = &[
    "ouvert du ",
    "ouvert ",
    "abierto de ",
    "abierto ",
    "aberto de ",
    "aberto ",
    "aperto dal ",
    "aperto ",
    "geöffnet ",
    "geopend ",
    "every ",
    "each ",
    "on ",
    "open ",
    "from ",
    "de ",
    "da ",
    "das ",
    "das ",
    "du ",
    "le ",
    "les ",
    "las ",
    "los ",
    "el ",
    "dal ",
    "dalla ",
    "il ",
    "von ",
    "am ",
    "jeden ",
    "van ",
    "op ",
    "od ",
    "w ",
    "we ",
    "من ",
    "يوم ",
    "ايام ",
    "أيام ",
    "ימים ",
    "ימי ",
    "בימים ",
    "מיום ",
    "从",
    "自",
    "entre ",
    "à ",
    "às ",
    "aos ",
    "ao ",
    "nos ",
    "nas ",
    "no ",
    "na ",
    "toda ",
    "todo ",
    "tous les ",
];

/// The days that a whole text names; `None` if it is anything else.
pub(crate) fn days(text: &str, language: &str) -> Option<DaySet> {
    let text = text.trim().trim_end_matches([':', '：', ',', '.']).to_lowercase();
    // Portuguese days are `segunda-feira`: that hyphen makes no range.
    let text = text.replace("-feiras", "").replace("-feira", "").replace(" feira", "");
    // `pon.-pt.`: the dots are those of the short names.
    let text = DASHES.iter().fold(text, |text, dash| {
        text.replace(&format!(".{dash}"), &dash.to_string())
            .replace(&format!(". {dash}"), &format!(" {dash}"))
    });
    let text = BEFORE.iter().find_map(|word| text.strip_prefix(word)).unwrap_or(&text).trim();
    if text.is_empty() || text.chars().count() > MAX_DAYS {
        return None;
    }
    let mut set = DaySet::default();
    let mut parts = 0;
    let spelled = LISTED.iter().fold(through(text), |text, word| {
        // The Hebrew `and` is a part of the word that follows it.
        text.replace(word, ",")
    });
    // A text that is one day, group or range as a whole: `7j/7`, `sonn- und feiertage`.
    if one(text, language, &mut set) {
        set.days.sort();
        return Some(set);
    }
    for part in spelled.split([',', ';', '/', '&', '+', '、', '・', '·', '，', '\n']) {
        let part = part.trim();
        if part.is_empty() {
            continue;
        }
        parts += 1;
        if !one(part, language, &mut set) {
            return None;
        }
    }
    set.is_one &= parts == 1;
    set.days.sort();
    set.days.dedup();
    (parts > 0).then_some(set)
}

/// The Dutch words of a range have a word of lists in them.
fn through(text: &str) -> String {
    text.replace(" t/m ", " - ").replace(" tot en met ", " - ")
}

/// Adds the days of one part: a day, a group of days, or a range.
fn one(part: &str, language: &str, set: &mut DaySet) -> bool {
    let word = fold(part);
    let word = word.trim_matches(['(', ')', '\'', '’', '"', '״', '׳']);
    let group: &[Day] = if let Some(day) = names::day(word, language) {
        set.is_one = set.days.is_empty();
        set.days.push(day);
        return true;
    } else if HOLIDAYS.contains(&word) {
        set.holidays = true;
        return true;
    } else if EVERY_DAY.contains(&word) {
        &Day::ALL
    } else if WEEKDAYS.contains(&word) {
        &Day::ALL[..5]
    } else if WEEKENDS.contains(&word) {
        &Day::ALL[5..]
    } else {
        &[]
    };
    if !group.is_empty() {
        set.is_one = false;
        set.days.extend(group);
        return true;
    }
    let ends = part
        .split_once(DASHES)
        .or_else(|| BETWEEN.iter().find_map(|between| part.split_once(between)));
    if let Some((first, last)) = ends {
        let named = |text: &str| {
            let folded =
                fold(BEFORE.iter().find_map(|word| text.strip_prefix(word)).unwrap_or(text));
            names::day(folded.trim_matches(['\'', '’', '׳', ':']), language)
        };
        if let (Some(first), Some(last)) = (named(first.trim()), named(last.trim())) {
            set.is_one = false;
            let start = Day::ALL.iter().position(|day| *day == first).unwrap_or_default();
            let week = Day::ALL.iter().cycle().skip(start);
            for day in week.take(Day::ALL.len()) {
                set.days.push(*day);
                if *day == last {
                    return true;
                }
            }
        }
        return false;
    }
    // Several Japanese or Chinese days without separators, and the holiday beside them: `土日祝`.
    let letters: Vec<char> = word.chars().collect();
    if letters.len() > 1 && letters.len() <= 8 && !word.is_ascii() {
        let cjk = |c: &char| matches!(c, '\u{4e00}'..='\u{9fff}');
        let (mut days, mut holidays) = (Vec::new(), false);
        for letter in letters.iter().filter(|letter| **letter != '曜') {
            match names::day(&letter.to_string(), "ja") {
                Some(day) if cjk(letter) => days.push(day),
                _ if *letter == '祝' => holidays = true,
                _ => return false,
            }
        }
        set.is_one = false;
        set.holidays |= holidays;
        set.days.extend(days);
        return true;
    }
    false
}

/// The lines of a text about opening hours: `Mon-Fri 9am-5pm, Sat 10-14; Sun closed`.
pub(crate) fn lines(text: &str, language: &str) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for piece in text.split(['\n', ';', '|', '；']) {
        let piece = piece.trim();
        if piece.is_empty() {
            continue;
        }
        // A comma or a slash begins a new line only before a day.
        let mut start = 0;
        let mut pieces = Vec::new();
        for (at, c) in piece.char_indices() {
            let after = &piece[at + c.len_utf8()..];
            let separates = matches!(c, ',' | '，' | '、' | '،' | '/' | '.') && at > start;
            let separates = separates && (c != '.' || ends_a_sentence(&piece[start..at]));
            let has_times = || line(&piece[start..at], language).label.is_some_and(|_| true);
            if separates
                && piece.chars().count() <= MAX_LINE
                && begins_with_day(after, language)
                && has_times()
                && !line(&piece[start..at], language).times.is_empty()
            {
                pieces.push(&piece[start..at]);
                start = at + c.len_utf8();
            }
        }
        pieces.push(&piece[start..]);
        lines.extend(pieces.into_iter().map(|piece| line(piece, language)));
    }
    lines
}

/// Whether a full stop behind a text ends it, and does not shorten its last word: `9 a.m.`, `u.`
fn ends_a_sentence(text: &str) -> bool {
    let last = text.rsplit(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    last == "h" || last.chars().count() > 2 || last.contains(|c: char| c.is_numeric())
}

/// Whether the first word of a text names a day.
fn begins_with_day(text: &str, language: &str) -> bool {
    let line = line(&text.chars().take(MAX_DAYS).collect::<String>(), language);
    line.label.is_some()
}

/// One line: the longest beginning that names days, and the rest.
fn line(text: &str, language: &str) -> Line {
    let text = text.trim();
    let whole = || Line { label: None, days: DaySet::default(), times: text.to_owned() };
    if text.chars().count() > MAX_LINE {
        return whole();
    }
    let boundary = |at: usize| {
        let before = text[..at].chars().next_back();
        let after = text[at..].chars().next();
        let splits = |c: char| c.is_whitespace() || matches!(c, ':' | '：' | '(' | ',' | '-' | '–');
        after.is_none_or(|after| {
            splits(after)
                || after.is_ascii_digit()
                || before.is_some_and(splits)
                || !after.is_ascii()
        })
    };
    let ends: Vec<usize> = text
        .char_indices()
        .map(|(at, _)| at)
        .chain([text.len()])
        .filter(|at| *at > 0 && boundary(*at))
        .take(MAX_DAYS)
        .collect();
    for end in ends.iter().rev() {
        let Some(days) = days(&text[..*end], language) else { continue };
        let times =
            text[*end..].trim_start_matches([':', '：', ',', ' ', '\t', '-', '–', '—', '=']);
        return Line {
            label: Some(text[..*end].trim().trim_end_matches([':', '：', ',']).to_owned()),
            days,
            times: times.trim().to_owned(),
        };
    }
    // The days at the end: `9am-5pm Mon-Fri`.
    for start in ends.iter().filter(|start| **start < text.len()) {
        let rest = text[*start..].trim_start_matches([' ', ',', ':', '(']);
        let Some(days) = days(rest.trim_end_matches(')'), language) else { continue };
        return Line {
            label: Some(rest.trim_end_matches(')').trim().to_owned()),
            days,
            times: text[..*start].trim().trim_end_matches([',', ':', '(']).trim().to_owned(),
        };
    }
    whole()
}

/// Whether a text says nothing: only dashes, dots and blanks.
pub(crate) fn says_nothing(text: &str) -> bool {
    fold_words(text).chars().all(|c| DASHES.contains(&c) || matches!(c, '.' | '/' | ' ' | '_'))
}
