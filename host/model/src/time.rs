//! Points in time and durations in the forms that records and the database use.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The current time as in records: RFC 3339 in UTC, `2026-11-23T04:35:08.123456789Z`.
pub fn now() -> String {
    let now = OffsetDateTime::now_utc().format(&Rfc3339);
    now.unwrap_or_else(|_| "1970-01-01T00:00:00Z".to_owned())
}

/// The current time in milliseconds since the Unix epoch, the unit of the database. 0 if the clock
/// is before the epoch.
pub fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

/// A time in milliseconds since the Unix epoch, as in records. The epoch if it is not one of the
/// years to 9999.
pub fn rfc3339(ms: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000);
    let text = time.ok().and_then(|time| time.format(&Rfc3339).ok());
    text.unwrap_or_else(|| "1970-01-01T00:00:00Z".to_owned())
}

/// Whole milliseconds of a duration, rounded down; `u64::MAX` if there are more.
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A time as people write it in commands and requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WrittenTime {
    /// A day in UTC (`2026-11-23`), or a time with its zone (`2026-11-23T08:00:00Z`).
    At(OffsetDateTime),
    /// A distance (`90s`, `30m`, `2h`, `7d`, `2w`), in milliseconds.
    Span(i64),
}

impl WrittenTime {
    /// Reads a text. `None` if it is neither.
    pub fn parse(text: &str) -> Option<Self> {
        let time = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
        if let Ok(time) = OffsetDateTime::parse(&time, &Rfc3339) {
            return Some(WrittenTime::At(time));
        }
        let unit = text.chars().last()?;
        let seconds = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            'w' => 7 * 86_400,
            _ => return None,
        };
        let number: u32 = text.strip_suffix(unit)?.trim().parse().ok()?;
        Some(WrittenTime::Span(i64::from(number).saturating_mul(seconds * 1_000)))
    }
}

/// A time in milliseconds since the Unix epoch, without its part of a second.
pub fn floor_ms(time: OffsetDateTime) -> i64 {
    time.unix_timestamp().saturating_mul(1_000)
}

/// A time in milliseconds since the Unix epoch. A part of a second counts as a whole one, so that
/// what waits for the time never begins too early.
pub fn ceil_ms(time: OffsetDateTime) -> i64 {
    floor_ms(time).saturating_add(if time.nanosecond() > 0 { 1_000 } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_day_a_time_or_a_distance() {
        let at = |text: &str| match WrittenTime::parse(text) {
            Some(WrittenTime::At(time)) => Some((floor_ms(time), ceil_ms(time))),
            Some(WrittenTime::Span(_)) | None => None,
        };
        for (text, floor, ceil) in [
            ("2023-11-14", 1_699_920_000_000, 1_699_920_000_000),
            ("2023-11-14T22:13:20Z", 1_700_000_000_000, 1_700_000_000_000),
            ("2023-11-15T00:13:20.000000001+02:00", 1_700_000_000_000, 1_700_000_001_000),
            ("1969-12-31T23:59:58.5Z", -2_000, -1_000),
        ] {
            assert_eq!(at(text), Some((floor, ceil)), "{text}");
        }
        for (text, ms) in [
            ("90s", Some(90_000)),
            ("30 m", Some(1_800_000)),
            ("2h", Some(7_200_000)),
            ("7d", Some(604_800_000)),
            ("2w", Some(1_209_600_000)),
            ("4294967295w", Some(2_597_596_220_016_000_000)),
            ("4294967296s", None),
            ("-2h", None),
            ("h", None),
            ("2x", None),
            ("2é", None),
            ("2023-13-01", None),
            ("2023-11-14T22:13:20", None),
            ("", None),
        ] {
            assert_eq!(WrittenTime::parse(text), ms.map(WrittenTime::Span), "{text:?}");
        }
    }
}
