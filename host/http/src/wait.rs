//! Waits as servers write them.

use std::time::{Duration, SystemTime};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The wait that a value of the header `Retry-After` requests: seconds, a date, or, as some servers
/// write it, a duration like `30s`. Zero for a date that has passed. The caller limits it: a server
/// may request a thousand years.
pub fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    // Two servers in a row may each have added a value: `7, 7`.
    let first = || number(text.split(',').next()?.trim(), 1.0);
    let unit = || duration(&text.to_ascii_lowercase());
    number(text, 1.0).or_else(|| date(text, now)).or_else(first).or_else(unit)
}

/// The time until a date, as HTTP or RFC 3339 writes it. Zero if it has passed.
pub fn date(text: &str, now: SystemTime) -> Option<Duration> {
    let at = match OffsetDateTime::parse(text, &Rfc3339) {
        Ok(at) => SystemTime::from(at),
        Err(_) => httpdate::parse_http_date(text).ok()?,
    };
    Some(at.duration_since(now).unwrap_or_default())
}

/// A number of units of `seconds_each` seconds; the longest duration if it has more digits than one
/// holds. `None` if it is negative or no number.
pub fn number(text: &str, seconds_each: f64) -> Option<Duration> {
    let value: f64 = text.parse().ok()?;
    let is_written_out = text.bytes().all(|b| b.is_ascii_digit());
    let too_long = is_written_out.then_some(Duration::MAX);
    Duration::try_from_secs_f64(value * seconds_each).ok().or(too_long)
}

/// The duration at the beginning of a text in lower case: `1.574s`, `6m0s`, `10 秒`,
/// `1 minute and 5 seconds`.
pub fn duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim_start();
    let mut total: Option<Duration> = None;
    loop {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (value, unit) = rest.split_at(digits);
        let unit = unit.trim_start();
        let letters = match unit.chars().next() {
            Some(unit @ ('秒' | '分' | '小')) => unit.len_utf8(),
            _ => unit.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(unit.len()),
        };
        let seconds_each = match &unit[..letters] {
            "ms" | "msec" | "millisecond" | "milliseconds" => 0.001,
            "s" | "sec" | "secs" | "second" | "seconds" | "秒" => 1.0,
            "m" | "min" | "mins" | "minute" | "minutes" | "分" => 60.0,
            // The first character of 小时.
            "h" | "hr" | "hrs" | "hour" | "hours" | "小" => 3600.0,
            "d" | "day" | "days" => 86_400.0,
            _ => return total,
        };
        let Some(part) = number(value.trim_end_matches('.'), seconds_each) else { return total };
        total = Some(total.unwrap_or_default().saturating_add(part));
        rest = unit[letters..].trim_start();
        rest = rest.strip_prefix("and ").unwrap_or(rest).trim_start();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_requested_wait_is_read_in_every_notation() {
        // 2027-01-15T08:00:00Z.
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        for (text, expected) in [
            ("0", Some(Duration::ZERO)),
            (" 7 ", Some(Duration::from_secs(7))),
            ("7, 7", Some(Duration::from_secs(7))),
            ("1.5", Some(Duration::from_millis(1_500))),
            ("99999999999999999999", Some(Duration::MAX)),
            ("Fri, 15 Jan 2027 08:00:09 GMT", Some(Duration::from_secs(9))),
            ("Fri, 15 Jan 2027 07:00:00 GMT", Some(Duration::ZERO)),
            ("2027-01-15T08:00:09Z", Some(Duration::from_secs(9))),
            ("30s", Some(Duration::from_secs(30))),
            ("1 Minute and 5 seconds", Some(Duration::from_secs(65))),
            ("-5", None),
            ("NaN", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(retry_after(text, now), expected, "{text:?}");
        }
    }
}
