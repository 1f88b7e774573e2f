//! Parsing of times as people write them.

use super::names::{AFTERNOON, ALL_DAY, CLOSED, MIDNIGHT, MORNING, NOON};
use crate::text::ascii_digit;

/// Converts to lower case; removes accents (composed or not), vowel marks, blanks and a final `.`;
/// unifies letters that are written in several ways in Arabic.
pub(super) fn fold(text: &str) -> String {
    fold_with(text, false)
}

/// The same, with single blanks between the words.
pub(crate) fn fold_words(text: &str) -> String {
    let words = fold_with(text, true);
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn fold_with(text: &str, keep_blanks: bool) -> String {
    let folded: String = text
        .trim()
        .chars()
        .flat_map(char::to_lowercase)
        .filter(|c| keep_blanks || !c.is_whitespace())
        .filter(|c| {
            !matches!(*c,
                // Combining accents, Arabic and Hebrew vowel marks, the Arabic filler.
                '\u{300}'..='\u{36f}' | '\u{64b}'..='\u{652}' | '\u{591}'..='\u{5c7}' | '\u{640}'
                // Invisible characters; apostrophes after the letter of a Hebrew day.
                | '\u{200b}'..='\u{200f}' | '\u{ad}' | '\u{feff}' | '\u{5f3}')
        })
        .map(ascii_digit)
        .map(|c| match c {
            'á' | 'à' | 'â' | 'ã' | 'ä' | 'å' | 'ą' => 'a',
            'é' | 'è' | 'ê' | 'ë' | 'ę' | 'ě' => 'e',
            'ř' => 'r',
            'ý' => 'y',
            'ő' => 'o',
            'ă' => 'a',
            'ș' => 's',
            'ț' | 'ţ' => 't',
            'í' | 'ì' | 'î' | 'ï' | 'ı' => 'i',
            'ó' | 'ò' | 'ô' | 'õ' | 'ö' | 'ø' => 'o',
            'ú' | 'ù' | 'û' | 'ü' | 'ů' => 'u',
            'ç' | 'ć' | 'č' => 'c',
            'ñ' | 'ń' => 'n',
            'ł' => 'l',
            'ś' | 'š' | 'ş' => 's',
            'ź' | 'ż' | 'ž' => 'z',
            'ğ' => 'g',
            'أ' | 'إ' | 'آ' => 'ا',
            'ة' => 'ه',
            'ى' => 'ي',
            '：' => ':',
            '～' | '〜' => '~',
            '／' => '/',
            '，' => ',',
            c => c,
        })
        .collect();
    folded.trim_end_matches('.').to_owned()
}

/// Whether the text means a closed day.
pub(super) fn is_closed(text: &str) -> bool {
    CLOSED.contains(&fold(text).as_str())
}

/// Whether the text means the whole day.
pub(super) fn is_all_day(text: &str) -> bool {
    ALL_DAY.contains(&fold(text).as_str())
}

/// What a time says about its half of the day.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Half {
    Morning,
    Afternoon,
}

/// A time of day as written.
#[derive(Clone, Copy)]
struct Moment {
    /// Minutes from midnight, 0 to 1440, with the half of the day if one is written.
    minutes: u16,
    half: Option<Half>,
    /// Written as hours of 24: `9h30`, `18:00`. A bare number is not.
    is_clock: bool,
}

impl Moment {
    /// Whether the half of the day is open: an hour of 1 to 12 without a sign.
    fn is_open(self) -> bool {
        self.half.is_none() && self.minutes < 13 * 60
    }

    /// The minutes in that half of the day.
    fn in_half(self, half: Half) -> u16 {
        let minutes = self.minutes % 720;
        if half == Half::Afternoon { minutes + 720 } else { minutes }
    }
}

/// Between the two times of a range, longest first.
const BETWEEN: &[&str] = &[
    " through ",
    " until ",
    " alle ",
    " uhr bis ",
    " till ",
    " thru ",
    " até ",
    " bis ",
    " tot ",
    " ate ",
    " til ",
    " إلى ",
    " الى ",
    " حتى ",
    " to ",
    " às ",
    " as ",
    " au ",
    " a las ",
    " alle ore ",
    " al ",
    " aos ",
    " ao ",
    " do ",
    " до ",
    " à ",
    " a ",
    " עד ",
    "から",
    "至",
    "到",
];

/// Between the two times of a range that begins with a word for `between`.
const BETWEEN_AND: [(&str, &str); 7] = [
    ("entre ", " e "),
    ("entre ", " y "),
    ("entre ", " et "),
    ("between ", " and "),
    ("zwischen ", " und "),
    ("tra le ", " e le "),
    ("tussen ", " en "),
];

/// Dashes, and what is written for them.
const DASHES: [char; 9] = ['-', '–', '—', '‒', '−', '‐', '‑', '~', '〜'];

/// Before the first time of a range.
const BEFORE: &[&str] = &[
    "from ",
    "open ",
    "opens ",
    "das ",
    "da ",
    "de ",
    "del ",
    "desde ",
    "dalle ",
    "dalla ",
    "von ",
    "van ",
    "od ",
    "entre ",
    "between ",
    "aberto ",
    "abierto ",
    "ouvert ",
    "geöffnet ",
    "من ",
    "من الساعة ",
    "从",
    "自",
    "godz. ",
    "ore ",
    "w godz. ",
    "klo ",
    "kl. ",
    "las ",
    "les ",
    "с ",
    "з ",
];

/// Behind the second time of a range: words that add nothing to it.
const AFTER: &[&str] = &[
    "まで",
    "止",
    "sans interruption",
    "non-stop",
    "non stop",
    "nonstop",
    "durchgehend",
    "ohne pause",
    "orario continuato",
    "continuato",
    "sem intervalo",
    "sin interrupción",
    "ininterrumpido",
    "doorlopend",
];

/// Opening and closing time, in minutes from midnight, each 0 to 1440; `None` if the text is not a
/// range of times, or if it is uncertain which ones are meant.
pub(super) fn span(text: &str) -> Option<(u16, u16)> {
    let text = text.trim().to_lowercase().replace('～', "~");
    let between = BETWEEN_AND.iter().find_map(|(before, word)| {
        text.strip_prefix(before).and_then(|rest| rest.split_once(word))
    });
    let text = without_prefix(&text);
    let text = AFTER.iter().find_map(|word| text.strip_suffix(word)).unwrap_or(text).trim_end();
    // `8h ao meio-dia` has a dash that is not between the times.
    let mut splits = between
        .into_iter()
        .chain(text.split_once(DASHES))
        .chain(BETWEEN.iter().filter_map(|word| text.split_once(word)));
    let (open, close) = splits.find_map(|(open, close)| Some((moment(open)?, moment(close)?)))?;
    certain(open, close)
}

fn without_prefix(text: &str) -> &str {
    BEFORE.iter().find_map(|word| text.strip_prefix(word)).unwrap_or(text).trim()
}

/// The times that are meant. A half of the day that is written once counts for both, as in
/// `5:00 – 8:00 PM`, unless the range would then end before it begins: `11:00 – 3:00 PM`.
fn certain(open: Moment, close: Moment) -> Option<(u16, u16)> {
    match (open.half, close.half) {
        (Some(_), Some(_)) => Some((open.minutes, close.minutes)),
        (None, Some(half)) if open.is_open() => {
            let close = close.minutes;
            let same = open.in_half(half);
            let end = if close == 0 { 1440 } else { close };
            if same < end && (half == Half::Afternoon || close != 0) {
                return Some((same, close));
            }
            let other = match half {
                Half::Morning => Half::Afternoon,
                Half::Afternoon => Half::Morning,
            };
            Some((open.in_half(other), close))
        }
        (Some(half), None) if close.is_open() => {
            let same = close.in_half(half);
            match half {
                // `9am - 11`: in the morning or at night?
                Half::Morning if same > open.minutes => None,
                Half::Morning => Some((open.minutes, close.in_half(Half::Afternoon))),
                Half::Afternoon if same > open.minutes => Some((open.minutes, same)),
                Half::Afternoon => Some((open.minutes, close.in_half(Half::Morning))),
            }
        }
        // `9-18h` is certain, and so is `9-18`; `9-5` is not.
        // So are `22-4` and `9-12`.
        _ if open.is_clock
            || close.is_clock
            || open.minutes.max(close.minutes) >= 13 * 60
            || (open.half, close.half) == (None, None) && close.minutes == 720 =>
        {
            Some((open.minutes, close.minutes))
        }
        _ => None,
    }
}

/// Parses a time of day: `9:30`, `09h30`, `9h`, `9.30 Uhr`, `9am`, `9:30 p.m.`, `18`, `午後5時`,
/// `noon`.
fn moment(text: &str) -> Option<Moment> {
    let text = fold(without_prefix(text.trim()));
    let mut text = text.as_str();
    if NOON.contains(&text) {
        return Some(Moment { minutes: 720, half: Some(Half::Afternoon), is_clock: true });
    }
    if MIDNIGHT.contains(&text) {
        return Some(Moment { minutes: 0, half: Some(Half::Morning), is_clock: true });
    }
    let mut half = None;
    for (words, meaning) in [(MORNING, Half::Morning), (AFTERNOON, Half::Afternoon)] {
        let longest = words
            .iter()
            .filter_map(|word| text.strip_suffix(word).or_else(|| text.strip_prefix(word)))
            .min_by_key(|rest| rest.len());
        if let Some(rest) = longest.filter(|_| half.is_none()) {
            half = Some(meaning);
            text = rest;
        }
    }
    // `p` alone, as in `9:30p`.
    if half.is_none() {
        for (sign, meaning) in [('a', Half::Morning), ('p', Half::Afternoon)] {
            if let Some(rest) = text.strip_suffix(sign).filter(|rest| ends_with_digit(rest)) {
                half = Some(meaning);
                text = rest;
                break;
            }
        }
    }
    let (hour, minute, is_clock) = clock(text)?;
    if half.is_some() && (1..=12).contains(&hour) && minute < 60 {
        let minutes = hour % 12 * 60 + minute;
        let afternoon = half == Some(Half::Afternoon);
        return Some(Moment {
            minutes: if afternoon { minutes + 720 } else { minutes },
            half,
            is_clock,
        });
    }
    // `17:00 PM` says the same twice; `13pm` without minutes is a mistake.
    let doubled = half == Some(Half::Afternoon) && is_clock && (13..24).contains(&hour);
    if half.is_some() && !doubled {
        return None;
    }
    let minutes = hour * 60 + minute;
    (minute < 60 && minutes <= 1440).then_some(Moment { minutes, half: None, is_clock })
}

fn ends_with_digit(text: &str) -> bool {
    text.ends_with(|c: char| c.is_ascii_digit())
}

/// Hour, minute, and whether it is written like a time.
fn clock(text: &str) -> Option<(u16, u16, bool)> {
    // Words of other languages for the hour.
    let text = text
        .trim_end_matches("uhr")
        .trim_end_matches("uur")
        .trim_end_matches("godz")
        .replace("時半", ":30")
        .replace("点半", ":30")
        .replace("點半", ":30")
        .replace(['時', '点', '點', '时', '시'], "h")
        .trim_end_matches(['分', '분'])
        .to_owned();
    let text = text.as_str();
    if let Some(minutes) = fraction(text) {
        return Some((minutes / 60, minutes % 60, true));
    }
    match text.split_once([':', '.', 'h']) {
        Some((hour, "" | "s" | "rs" | "r" | "oras" | "ora" | "eures" | "eure"))
            if text.contains('h') =>
        {
            Some((number(hour, 1)?, 0, true))
        }
        Some((hour, minute)) => {
            let minute = minute.trim_end_matches("min").trim_end_matches(['h', 'm', 's', 'r']);
            // `9:00:00`, as databases write a time.
            let minute = minute.strip_suffix(":00").unwrap_or(minute);
            Some((number(hour, 1)?, number(minute, 2)?, true))
        }
        // `0900`, as machines write a time.
        None if text.len() == 4 && text.is_ascii() => {
            let (hour, minute) = text.split_at(2);
            Some((number(hour, 2)?, number(minute, 2)?, true))
        }
        None => Some((number(text, 1)?, 0, false)),
    }
}

/// The minutes of a part of the day, as spreadsheets keep a time: `0.375` is 9:00. Other texts with
/// a point are times: `9.30`, `0.30`.
fn fraction(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("0.").filter(|digits| !digits.is_empty())?;
    if digits.len() > 17 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let minutes = text.parse::<f64>().ok()? * 1440.0;
    let rounded = (minutes / 5.0).round() * 5.0;
    if (minutes - rounded).abs() > 0.01 {
        return None;
    }
    // From 0 to 1440: the cast is exact.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    Some(rounded as u16)
}

/// Parses a number of `least` to two digits.
fn number(text: &str, least: usize) -> Option<u16> {
    let digits = (least..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}
