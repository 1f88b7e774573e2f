//! Times as text: RFC 3339 in UTC, and the distance from now.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

pub(super) use sitewright_model::time::now_ms;
use sitewright_model::time::{WrittenTime, ceil_ms, floor_ms};

/// `2026-11-23T04:35:08Z`.
pub(super) fn time(ms: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp(ms.div_euclid(1_000)).ok();
    time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_else(|| format!("{ms} ms"))
}

/// `2026-11-23T04:35:08Z (in 12 s)`.
pub(super) fn time_and_distance(ms: i64) -> String {
    format!("{} ({})", time(ms), distance(ms))
}

/// `in 12 s`, `5 min ago`.
pub(super) fn distance(ms: i64) -> String {
    let away = ms.saturating_sub(now_ms());
    if away > 0 {
        format!("in {}", span(away))
    } else {
        format!("{} ago", span(away.saturating_neg()))
    }
}

/// `12 s`, `5 min`, `3 h`, `2 d`; less than a second is `0 s`.
pub(super) fn span(ms: i64) -> String {
    match ms.max(0) / 1_000 {
        seconds @ ..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

/// Parses a time: a span before now (`90s`, `30m`, `2h`, `7d`, `2w`), a day, or RFC 3339. Returns
/// milliseconds since the Unix epoch.
pub(super) fn since(text: &str) -> Result<i64, String> {
    Ok(match parse(text)? {
        WrittenTime::At(time) => floor_ms(time),
        WrittenTime::Span(ms) => now_ms().saturating_sub(ms),
    })
}

/// Parses a time that is to come: a span from now, a day, or RFC 3339. A part of a second counts as
/// a whole one. Returns milliseconds since the Unix epoch.
pub(super) fn until(text: &str) -> Result<i64, String> {
    let (parsed, now) = (parse(text)?, now_ms());
    let time = match parsed {
        WrittenTime::Span(0) => {
            return Err(format!("{text:?} is over at once; write a time that is to come"));
        }
        WrittenTime::Span(ms) => return Ok(now.saturating_add(ms)),
        WrittenTime::At(time) => time,
    };
    let at = ceil_ms(time);
    if at > now { Ok(at) } else { Err(format!("{text:?} is past; write a time that is to come")) }
}

fn parse(text: &str) -> Result<WrittenTime, String> {
    WrittenTime::parse(text).ok_or_else(|| {
        format!("{text:?} is not a time; write 30m, 2h, 7d, 2026-11-23 or 2026-11-23T08:00:00Z")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_the_unit_a_person_would_use() {
        let cases = [
            (0, "0 s"),
            (999, "0 s"),
            (119_999, "119 s"),
            (120_000, "2 min"),
            (7_200_000, "2 h"),
            (172_800_000, "2 d"),
        ];
        for (ms, text) in cases {
            assert_eq!(span(ms), text);
        }
        assert_eq!(time(1_700_000_000_999), "2023-11-14T22:13:20Z");
    }

    #[test]
    fn a_time_is_told_from_a_span() {
        assert_eq!(since("2023-11-14T22:13:20Z"), Ok(1_700_000_000_000));
        assert_eq!(since("2023-11-14T22:13:20.999Z"), Ok(1_700_000_000_000));
        assert_eq!(since("2023-11-14"), Ok(1_699_920_000_000));
        for (span, ms) in [
            ("90s", 90_000),
            ("30m", 1_800_000),
            ("2h", 7_200_000),
            ("1d", 86_400_000),
            ("1w", 604_800_000),
        ] {
            let at = since(span).unwrap_or_default();
            let away = now_ms() - at;
            assert!((ms..ms + 60_000).contains(&away), "{span}: {away}");
        }
        for text in ["", "h", "2", "-2h", "2x", "yesterday", "99999999999d", "ü", "2ü"] {
            assert!(since(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_time_to_come_is_not_past() {
        let away = until("2h").unwrap_or_default() - now_ms();
        assert!((7_190_000..=7_200_000).contains(&away), "{away}");
        for (text, ms) in [
            ("2999-01-01", 32_472_144_000_000),
            ("2999-01-01T00:00:00.000Z", 32_472_144_000_000),
            ("2999-01-01T00:00:00.000000001Z", 32_472_144_001_000),
            ("2999-01-01T02:00:00.7+02:00", 32_472_144_001_000),
            ("2999-01-01T00:00:59.999Z", 32_472_144_060_000),
        ] {
            assert_eq!(until(text), Ok(ms), "{text}");
        }
        for text in ["2023-11-14", "2023-11-14T22:13:20Z", "", "2x", "0s", "0d", "00m"] {
            assert!(until(text).is_err(), "{text:?}");
        }
    }
}
