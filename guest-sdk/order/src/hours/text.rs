//! Parsing of days and times as people write them, in English and Portuguese.

use super::Day;

/// Converts to lower case and removes accents (composed or not) and white space.
fn fold(text: &str) -> String {
    text.chars()
        .flat_map(char::to_lowercase)
        .filter(|c| !c.is_whitespace() && !('\u{300}'..='\u{36f}').contains(c))
        .map(|c| match c {
            'á' | 'à' | 'â' | 'ã' => 'a',
            'é' | 'ê' => 'e',
            'ç' => 'c',
            c => c,
        })
        .collect()
}

/// Parses the name of a day.
pub(super) fn day(name: &str) -> Option<Day> {
    let name = fold(name);
    let name = name.trim_end_matches('.');
    let name = name.strip_suffix("feira").map_or(name, |name| name.trim_end_matches('-'));
    Some(match name {
        "monday" | "mon" | "segunda" | "seg" => Day::Monday,
        "tuesday" | "tue" | "tues" | "terca" | "ter" => Day::Tuesday,
        "wednesday" | "wed" | "weds" | "quarta" | "qua" => Day::Wednesday,
        "thursday" | "thu" | "thur" | "thurs" | "quinta" | "qui" => Day::Thursday,
        "friday" | "fri" | "sexta" | "sex" => Day::Friday,
        "saturday" | "sat" | "sabado" | "sab" => Day::Saturday,
        "sunday" | "sun" | "domingo" | "dom" => Day::Sunday,
        _ => return None,
    })
}

/// Whether the text means a closed day.
pub(super) fn is_closed(text: &str) -> bool {
    matches!(fold(text).as_str(), "closed" | "fechado" | "fechada")
}

/// Whether the text means the whole day.
pub(super) fn is_all_day(text: &str) -> bool {
    matches!(
        fold(text).as_str(),
        "24h" | "24hs" | "24hrs" | "24hours" | "24horas" | "open24hours" | "aberto24h" | "24/7"
    )
}

/// The notation of a time. It decides whether a bare number in the same range is unambiguous.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    /// `9:30`, `9h30`.
    Clock,
    /// `9am`.
    Half,
    /// `9`.
    Bare,
}

/// Parses opening and closing time, in minutes from midnight, each 0 to 1440.
pub(super) fn span(text: &str) -> Option<(u16, u16)> {
    let text = text.to_lowercase();
    let dash = ['-', '–', '—', '‒', '−'];
    let words = [" to ", " às ", " as ", " a ", " até ", " ate "];
    let (open, close) =
        text.split_once(dash).or_else(|| words.iter().find_map(|word| text.split_once(word)))?;
    let ((open, open_style), (close, close_style)) = (moment(open)?, moment(close)?);
    // `9-18h` is unambiguous; `9-5` and `9-5pm` are not.
    let certain = match (open_style, close_style) {
        (Style::Bare, other) | (other, Style::Bare) => other == Style::Clock,
        _ => true,
    };
    certain.then_some((open, close))
}

/// Parses a time of day: `9:30`, `09h30`, `9h`, `9.30`, `9am`, `9:30 p.m.`, `18`.
fn moment(text: &str) -> Option<(u16, Style)> {
    let text = fold(text);
    let half = [("a.m.", 0), ("am", 0), ("p.m.", 720), ("pm", 720)];
    if let Some((time, offset)) =
        half.iter().find_map(|(sign, offset)| Some((text.strip_suffix(sign)?, *offset)))
    {
        let (hour, minute) = match time.split_once([':', '.']) {
            Some((hour, minute)) => (number(hour, 1)?, number(minute, 2)?),
            None => (number(time, 1)?, 0),
        };
        let valid = (1..=12).contains(&hour) && minute < 60;
        return valid.then_some((hour % 12 * 60 + minute + offset, Style::Half));
    }
    let (hour, minute, style) = match text.split_once([':', '.', 'h']) {
        Some((hour, "" | "s" | "rs" | "oras" | "ora")) if text.contains('h') => {
            (number(hour, 1)?, 0, Style::Clock)
        }
        Some((hour, minute)) => {
            let minute = minute.trim_end_matches("min").trim_end_matches(['h', 'm']);
            (number(hour, 1)?, number(minute, 2)?, Style::Clock)
        }
        None => (number(&text, 1)?, 0, Style::Bare),
    };
    let minutes = hour * 60 + minute;
    (minute < 60 && minutes <= 1440).then_some((minutes, style))
}

/// Parses a number of `least` to two digits.
fn number(text: &str, least: usize) -> Option<u16> {
    let digits = (least..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}
