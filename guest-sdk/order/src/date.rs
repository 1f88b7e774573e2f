//! Days of a calendar, as forms and content systems write them.

use crate::problem::truncated;

/// Days of the months of a year that is no leap year.
const DAYS: [u32; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/// A day as `2026-03-09`. Read are ISO 8601 with or without a time, `2026/03/09`, `2026.03.09`, and
/// `9.3.2026`, whose day comes first wherever it is written. `13/03/2026` has one meaning and is
/// read; `03/09/2026` has two, and no date is guessed.
///
/// # Errors
/// What is wrong with the text, and what would be right.
pub(crate) fn day(text: &str) -> Result<String, String> {
    let wrong = |why: &str| format!("`{}` {why}; write a date like `2026-03-09`", truncated(text));
    // What follows the date is its time.
    let date = text.split(['T', 't', ' ']).find(|part| !part.is_empty()).unwrap_or_default();
    let sign = date.chars().find(|c| !c.is_ascii_digit());
    let Some(sign) = sign.filter(|sign| ['-', '/', '.'].contains(sign)) else {
        return Err(wrong("is not a date"));
    };
    let parts: Vec<&str> = date.split(sign).collect();
    let &[first, second, third] = parts.as_slice() else { return Err(wrong("is not a date")) };
    let number = |text: &str| {
        let is_number = (1..=4).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        if is_number { text.parse::<u32>().ok() } else { None }
    };
    let (Some(one), Some(two), Some(three)) = (number(first), number(second), number(third)) else {
        return Err(wrong("is not a date"));
    };
    let (year, month, day) = match (first.len(), third.len()) {
        (4, 1 | 2) => (one, two, three),
        (1 | 2, 4) if sign == '.' || one > 12 || one == two => (three, two, one),
        (1 | 2, 4) if two > 12 => (three, one, two),
        (1 | 2, 4) => return Err(wrong("may be two dates")),
        _ => return Err(wrong("is not a date")),
    };
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = month.checked_sub(1).and_then(|at| DAYS.get(at as usize));
    let last = days.map(|days| days + u32::from(is_leap && month == 2));
    // No business publishes before there was print.
    if !(1_500..=2_999).contains(&year) || !last.is_some_and(|last| (1..=last).contains(&day)) {
        return Err(wrong("is no day of the calendar"));
    }
    Ok(format!("{year:04}-{month:02}-{day:02}"))
}
