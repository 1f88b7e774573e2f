//! Amounts and times for people.

use sitewright_failure::render;
use sitewright_model::text::one_line;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A point in time, as pages show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct When {
    /// For machines: RFC 3339.
    pub(crate) iso: String,
    /// `2026-11-23 08:15:09 UTC`.
    pub(crate) exact: String,
    /// `3 min ago`, `in 20 s`.
    pub(crate) ago: String,
}

impl When {
    /// Both in milliseconds since the Unix epoch.
    pub(crate) fn new(at: i64, now: i64) -> Self {
        let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(at) * 1_000_000);
        let time = time.unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let iso = time.format(&Rfc3339).unwrap_or_default();
        let exact = format!(
            "{} {:02}:{:02}:{:02} UTC",
            time.date(),
            time.hour(),
            time.minute(),
            time.second()
        );
        let ago = match now.saturating_sub(at) {
            ..-999 => format!("in {}", span(at.saturating_sub(now))),
            -999..1_000 => "now".to_owned(),
            distance => format!("{} ago", span(distance)),
        };
        When { iso, exact, ago }
    }

    pub(crate) fn optional(at: Option<i64>, now: i64) -> Option<Self> {
        at.map(|at| When::new(at, now))
    }
}

/// Milliseconds in the largest unit that fits: `850 ms`, `42 s`, `3 min`, `5 h`, `12 d`.
pub(crate) fn span(ms: i64) -> String {
    match ms.max(0) {
        ms @ 0..1_000 => format!("{ms} ms"),
        ms @ 1_000..120_000 => format!("{} s", ms / 1_000),
        ms @ 120_000..7_200_000 => format!("{} min", ms / 60_000),
        ms @ 7_200_000..172_800_000 => format!("{} h", ms / 3_600_000),
        ms => format!("{} d", ms / 86_400_000),
    }
}

/// A number in groups of three digits: `12 345`.
pub(crate) fn count(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if number < 0 {
        grouped.push('-');
    }
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            // A narrow space that does not break.
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    grouped
}

/// The same for a number that is never negative.
pub(crate) fn count_of(number: u64) -> String {
    count(i64::try_from(number).unwrap_or(i64::MAX))
}

/// A number with its noun: `1 order`, `2 orders`.
pub(crate) fn counted(number: i64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

/// The same of a number that is never negative.
pub(crate) fn counted_of(number: u64, one: &str, many: &str) -> String {
    counted(i64::try_from(number).unwrap_or(i64::MAX), one, many)
}

/// The share of a part in percent, rounded: `12.5 %`. One that is not nothing does not look like it,
/// nor one that is not all.
pub(crate) fn share(part: i64, all: i64) -> String {
    if all <= 0 {
        return "–".to_owned();
    }
    let (part, all) = (i128::from(part), i128::from(all));
    match (part * 2_000 + all) / (all * 2) {
        0 if part > 0 => "< 0.1 %".to_owned(),
        1_000 if part < all => "> 99.9 %".to_owned(),
        mille => format!("{}.{} %", mille / 10, mille % 10),
    }
}

/// A text on one line of about `most` columns. If it is longer, the middle is left out: the reason
/// of a hold begins with what happened, and may end with what to do.
pub(crate) fn both_ends(text: &str, most: usize) -> String {
    let line = one_line(text);
    let Some(over) = line.chars().count().checked_sub(most).filter(|over| *over > 0) else {
        return short(text, most);
    };
    let head = most / 2;
    let tail: String = line.chars().skip(head.saturating_add(over)).collect();
    format!("{} {}", short(text, head), tail.trim_start())
}

/// A text on one line of at most `most` columns.
pub(crate) fn short(text: &str, most: usize) -> String {
    render::shortened(&one_line(text), most)
}

/// Billionths of a dollar.
pub(crate) fn dollars(nano: i64) -> String {
    format!("${:.4}", nano as f64 / 1e9)
}

/// The last lines of a text, and how many came before.
pub(crate) fn tail(text: &str, most: usize, width: usize) -> (usize, String) {
    let lines: Vec<&str> = text.lines().collect();
    let before = lines.len().saturating_sub(most);
    let kept: Vec<String> =
        lines[before..].iter().map(|line| render::shortened(line, width)).collect();
    (before, kept.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_a_long_reason_is_left_out() {
        assert_eq!(both_ends("it is held: add credit", 40), "it is held: add credit");
        let long = format!("it is held: {} add credit", "x".repeat(100));
        assert_eq!(both_ends(&long, 24), "it is held:… x add credit");
        assert_eq!(both_ends("", 24), "");
    }

    #[test]
    fn amounts_and_times() {
        assert_eq!(count(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!((count(999), count(-1_000)), ("999".to_owned(), "-1\u{202f}000".to_owned()));
        assert_eq!(counted(1, "order", "orders"), "1 order");
        assert_eq!(counted(0, "order", "orders"), "0 orders");
        let when = When::new(1_764_403_200_000, 1_764_403_200_000 + 180_000);
        assert_eq!(when.exact, "2025-11-29 08:00:00 UTC");
        assert_eq!((when.ago.as_str(), when.iso.as_str()), ("3 min ago", "2025-11-29T08:00:00Z"));
        assert_eq!(When::new(20_000, 0).ago, "in 20 s");
        assert_eq!(When::new(i64::MAX, 0).exact, "1970-01-01 00:00:00 UTC");
        for (part, all, says) in [
            (0, 0, "–"),
            (0, 8, "0.0 %"),
            (1, 8, "12.5 %"),
            (3, 21, "14.3 %"),
            (2, 3, "66.7 %"),
            (1, 1_000_000, "< 0.1 %"),
            (999_999, 1_000_000, "> 99.9 %"),
            (8, 8, "100.0 %"),
        ] {
            assert_eq!(share(part, all), says, "{part} of {all}");
        }
        assert_eq!(tail("a\nb\nc", 2, 80), (1, "b\nc".to_owned()));
    }
}
