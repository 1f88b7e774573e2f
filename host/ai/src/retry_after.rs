//! The wait that a provider requests, in all its notations.

use std::time::{Duration, SystemTime};

use reqwest::header::HeaderMap;

/// Maximum accepted wait; a longer one is a mistake or an attack.
const MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// The wait that an error response requests: `retry-after-ms`, `retry-after` in seconds or as a
/// date, or `try again in 1.574s` in the message. In a success the header has no meaning.
pub(super) fn delay(headers: &HeaderMap, message: &str, now: SystemTime) -> Option<Duration> {
    let header =
        |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let milliseconds = header("retry-after-ms").and_then(|text| number(text, 0.001));
    let after = || {
        let text = header("retry-after")?;
        let at = || {
            httpdate::parse_http_date(text)
                .ok()
                .map(|at| at.duration_since(now).unwrap_or_default())
        };
        number(text, 1.0).or_else(at)
    };
    let delay = milliseconds.or_else(after).or_else(|| in_message(message))?;
    Some(delay.min(MAX))
}

fn number(text: &str, seconds_each: f64) -> Option<Duration> {
    let value: f64 = text.parse().ok()?;
    let seconds = value * seconds_each;
    // More seconds than a duration holds are as good as the maximum.
    let written_out = text.bytes().all(|b| b.is_ascii_digit());
    let seconds = if written_out { seconds.min(MAX.as_secs_f64()) } else { seconds };
    Duration::try_from_secs_f64(seconds).ok()
}

/// The wait in a field, in the notation of messages.
pub(super) fn in_field(text: &str) -> Option<Duration> {
    duration(&text.to_ascii_lowercase()).map(|delay| delay.min(MAX))
}

/// The wait after `try again in` or `retry in`.
fn in_message(message: &str) -> Option<Duration> {
    let lower = message.to_ascii_lowercase();
    let after = ["try again in", "retry in", "retry after"]
        .iter()
        .find_map(|words| lower.find(words).map(|at| &lower[at + words.len()..]))?;
    duration(after)
}

/// The duration at the beginning of a text: `1.574s`, `644ms`, `6m0s`, `20 seconds`.
fn duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim_start();
    let mut total: Option<Duration> = None;
    loop {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (value, unit) = rest.split_at(digits);
        let unit = unit.trim_start();
        let letters = unit.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(unit.len());
        let seconds_each = match &unit[..letters] {
            "ms" | "millisecond" | "milliseconds" => 0.001,
            "s" | "sec" | "second" | "seconds" => 1.0,
            "m" | "min" | "minute" | "minutes" => 60.0,
            "h" | "hour" | "hours" => 3600.0,
            _ => return total,
        };
        let Some(part) = number(value.trim_end_matches('.'), seconds_each) else { return total };
        total = Some(total.unwrap_or_default().saturating_add(part));
        rest = &unit[letters..];
    }
}
