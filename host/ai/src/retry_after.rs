//! The wait that a provider requests, in all its notations.

use std::time::{Duration, SystemTime};

use reqwest::header::HeaderMap;
use serde_json::Value;
use sitewright_http::wait::{date, duration, number, retry_after};

/// Maximum accepted wait; a longer one is a mistake or an attack.
const MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Maximum number of headers that are looked at.
const MAX_HEADERS: usize = 128;

/// A number from here on is a time in milliseconds since the Unix epoch: as seconds it would be the
/// year 5138.
const EPOCH_MILLISECONDS: f64 = 1e11;

/// A number from here on is a time in seconds since the Unix epoch: as a wait it would be 31 years.
const EPOCH_SECONDS: f64 = 1e9;

/// Headers with a wait in milliseconds.
const MILLISECONDS: [&str; 2] = ["retry-after-ms", "x-ms-retry-after-ms"];

/// Headers with a wait as [`retry_after`] reads it.
const AFTER: [&str; 3] = ["retry-after", "x-retry-after", "x-ratelimit-retry-after"];

/// The wait that an error response requests: `retry-after-ms`, `retry-after` in seconds or as a
/// date, each also under the names that gateways give it, or `try again in 1.574s` in the message.
/// In a success the header has no meaning.
pub(super) fn delay(headers: &HeaderMap, message: &str, now: SystemTime) -> Option<Duration> {
    let header =
        |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let milliseconds =
        MILLISECONDS.iter().find_map(|&name| header(name)).and_then(|text| number(text, 0.001));
    let after = || AFTER.iter().find_map(|&name| retry_after(header(name)?, now));
    let delay = milliseconds.or_else(after).or_else(|| in_message(message))?;
    Some(delay.min(MAX))
}

/// The time until the rate limits that are used up are reset, from the headers that report them.
///
/// | provider | notation |
/// |---|---|
/// | OpenAI, Groq, Azure | `x-ratelimit-reset-requests: 1s`, `-tokens: 6m0s`, or seconds |
/// | Anthropic | `anthropic-ratelimit-tokens-reset: 2027-01-15T08:00:30Z` |
/// | OpenRouter | `X-RateLimit-Reset: 1741305600000`, in headers or in the body |
/// | Cerebras, Together, Mistral | `x-ratelimit-reset-tokens-minute: 11.38`, in seconds |
/// | RFC drafts | `RateLimit-Reset: 30`, `RateLimit: "a";r=0;t=30` |
///
/// A limit is used up if the header of the same name with `remaining` says 0, or the one with
/// `status` says `rejected`. If no limit says how much remains, each may be the one that is used
/// up. `None` if something of each remains: a request that is larger than the rest was refused, and
/// the reset is too late a time.
pub(super) fn reset<'a>(
    headers: impl Iterator<Item = (&'a str, &'a str)>,
    now: SystemTime,
) -> Option<Duration> {
    let headers: Vec<(String, &str)> =
        headers.take(MAX_HEADERS).map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
    let value =
        |name: &str| headers.iter().find_map(|(one, value)| (one == name).then_some(*value));
    let (mut used_up, mut unknown, mut some_remains) = (None, None, false);
    for (name, text) in &headers {
        if !(name.contains("ratelimit") || name.contains("rate-limit")) {
            continue;
        }
        let (remaining, wait) = if name.contains("reset") {
            let status = || status(value(&name.replace("reset", "status"))?);
            let remaining =
                value(&name.replace("reset", "remaining")).and_then(count).or_else(status);
            let milliseconds = name.ends_with("-ms");
            let wait = if milliseconds { number(text, 0.001) } else { moment(text, now) };
            (remaining, wait)
        } else if name.ends_with("ratelimit") {
            (parameter(text, &["r", "remaining"]), parameter_wait(text, now))
        } else {
            continue;
        };
        let wait = wait.filter(|wait| !wait.is_zero());
        match remaining {
            Some(count) if count <= 0.0 => used_up = used_up.max(wait),
            Some(_) => some_remains = true,
            None => unknown = unknown.max(wait),
        }
    }
    let unknown = unknown.filter(|_| !some_remains);
    used_up.or(unknown).map(|wait| wait.min(MAX))
}

/// What remains of a limit that says only whether it allows requests.
fn status(text: &str) -> Option<f64> {
    match text.trim() {
        "rejected" => Some(0.0),
        text if text.starts_with("allowed") => Some(1.0),
        _ => None,
    }
}

/// A count as headers have it: `0`, or `0, 0;w=60`.
fn count(text: &str) -> Option<f64> {
    text.split([',', ';']).next()?.trim().parse().ok()
}

/// A parameter of a structured header, under one of its names.
fn parameter(text: &str, names: &[&str]) -> Option<f64> {
    parameter_text(text, names)?.parse().ok()
}

fn parameter_text<'a>(text: &'a str, names: &[&str]) -> Option<&'a str> {
    text.split([',', ';']).find_map(|part| {
        let (name, value) = part.split_once('=')?;
        names.contains(&name.trim()).then(|| value.trim())
    })
}

fn parameter_wait(text: &str, now: SystemTime) -> Option<Duration> {
    moment(parameter_text(text, &["t", "reset"])?, now)
}

/// The time until a time, as seconds or milliseconds since the Unix epoch or as a date. Zero if it
/// has passed.
pub(super) fn until(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    match text.parse::<f64>() {
        Ok(value) if value >= EPOCH_SECONDS => moment(text, now),
        Ok(_) => None,
        Err(_) => date(text, now),
    }
}

/// The time until a moment: a number of seconds, a time since the epoch, a duration, or a date.
fn moment(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    if let Ok(value) = text.parse::<f64>() {
        let since_epoch = if value >= EPOCH_MILLISECONDS {
            value / 1000.0
        } else if value >= EPOCH_SECONDS {
            value
        } else {
            return number(text, 1.0);
        };
        let at = Duration::try_from_secs_f64(since_epoch)
            .ok()
            .and_then(|since_epoch| SystemTime::UNIX_EPOCH.checked_add(since_epoch));
        // A time after all times is as good as the maximum.
        return Some(at.map_or(MAX, |at| at.duration_since(now).unwrap_or_default()));
    }
    date(text, now).or_else(|| in_field(text))
}

/// The wait in a field, in the notation of messages.
pub(super) fn in_field(text: &str) -> Option<Duration> {
    duration(&text.to_ascii_lowercase()).map(|delay| delay.min(MAX))
}

/// The wait in a field of an error's JSON that has a name for it, as gateways send it.
pub(super) fn in_object(error: &Value) -> Option<Duration> {
    const FIELDS: [(&str, f64); 10] = [
        ("/retry_after_ms", 0.001),
        ("/retryAfterMs", 0.001),
        ("/retry_after", 1.0),
        ("/retry_after_seconds", 1.0),
        ("/retryAfter", 1.0),
        ("/retryAfterSeconds", 1.0),
        ("/metadata/retry_after_seconds", 1.0),
        ("/metadata/retry_after", 1.0),
        // ChatGPT plans, through gateways.
        ("/resets_in_seconds", 1.0),
        // Hugging Face, while it loads a model.
        ("/estimated_time", 1.0),
    ];
    let of_field = || {
        FIELDS.iter().find_map(|(field, seconds_each)| match error.pointer(field)? {
            Value::Number(value) => number(&value.to_string(), *seconds_each),
            Value::String(text) => {
                number(text.trim(), *seconds_each).or_else(|| in_field(text.trim()))
            }
            _ => None,
        })
    };
    // Google's `RetryInfo`, also through its endpoint in OpenAI's protocol.
    let of_details = || {
        let mut details = error.get("details")?.as_array()?.iter();
        details.find_map(|detail| in_field(detail.get("retryDelay")?.as_str()?))
    };
    let wait = of_field().or_else(of_details)?;
    Some(wait.min(MAX)).filter(|wait| !wait.is_zero())
}

/// The wait that a message names.
fn in_message(message: &str) -> Option<Duration> {
    let lower = message.to_ascii_lowercase();
    [
        "try again in",
        "try again after",
        "retry in",
        "retry after",
        "your request after",
        "please wait",
        "wait for",
        "replenished in",
        "resets in",
        "reset in",
        "reset after",
        "available in",
        "available again in",
        "请在",
    ]
    .iter()
    .find_map(|words| {
        let after = about(&lower[lower.find(words)? + words.len()..]);
        duration(after).or_else(|| clock(after))
    })
}

/// A text without the words that may come before a duration.
fn about(text: &str) -> &str {
    let text = text.trim_start_matches([' ', ':', '~', '≈']);
    ["about ", "approximately ", "another ", "at least ", "for "]
        .iter()
        .find_map(|word| text.strip_prefix(word))
        .unwrap_or(text)
}

/// The duration at the beginning of a text, as `07:59:15`.
fn clock(text: &str) -> Option<Duration> {
    let text = text.trim_start();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != ':').unwrap_or(text.len());
    let mut parts = text[..end].split(':').map(|part| part.parse::<u32>().ok());
    let (hours, minutes, seconds) = (parts.next()??, parts.next()??, parts.next()??);
    let all = u64::from(hours) * 3600 + u64::from(minutes) * 60 + u64::from(seconds);
    parts.next().is_none().then(|| Duration::from_secs(all))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2027-01-15T08:00:00Z.
    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
    }

    #[test]
    fn a_reset_is_read_in_the_notation_of_every_provider() {
        type Row<'a> = (&'a [(&'a str, &'a str)], Option<u64>);
        let rows: &[Row<'_>] = &[
            // OpenAI and Groq.
            (&[("x-ratelimit-reset-requests", "1s")], Some(1000)),
            (&[("x-ratelimit-reset-tokens", "6m0s")], Some(360_000)),
            (&[("x-ratelimit-reset-tokens", "1h2m3.5s")], Some(3_723_500)),
            (&[("x-ratelimit-reset-tokens", "120ms")], Some(120)),
            (&[("x-ratelimit-reset-requests", "1d2h")], Some(86_400_000)),
            (
                &[
                    ("x-ratelimit-remaining-requests", "0"),
                    ("x-ratelimit-reset-requests", "1s"),
                    ("x-ratelimit-remaining-tokens", "149984"),
                    ("x-ratelimit-reset-tokens", "6m0s"),
                ],
                Some(1000),
            ),
            (
                &[
                    ("x-ratelimit-remaining-tokens", "0"),
                    ("x-ratelimit-reset-tokens", "30s"),
                    ("x-ratelimit-remaining-requests", "0"),
                    ("x-ratelimit-reset-requests", "20s"),
                ],
                Some(30_000),
            ),
            // Something of each limit is left: the request was larger than that.
            (&[("x-ratelimit-remaining-tokens", "9"), ("x-ratelimit-reset-tokens", "6m0s")], None),
            (
                &[
                    ("x-ratelimit-remaining-tokens", "9"),
                    ("x-ratelimit-reset-tokens", "6m0s"),
                    ("x-ratelimit-reset-requests", "1s"),
                ],
                None,
            ),
            // Azure and Cerebras: seconds.
            (&[("x-ratelimit-reset-tokens", "44")], Some(44_000)),
            (
                &[
                    ("x-ratelimit-remaining-tokens-minute", "0"),
                    ("x-ratelimit-reset-tokens-minute", "11.382867"),
                ],
                Some(11_382),
            ),
            (&[("ratelimitbysize-remaining", "0"), ("ratelimitbysize-reset", "25")], Some(25_000)),
            // OpenRouter: milliseconds since the epoch. GitHub and others: seconds.
            (
                &[("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", "1800000012000")],
                Some(12_000),
            ),
            (&[("X-RateLimit-Reset", "1800000012000")], Some(12_000)),
            (&[("X-RateLimit-Reset", "1800000012")], Some(12_000)),
            (&[("x-rate-limit-reset", "1800000012")], Some(12_000)),
            (&[("x-ratelimit-reset-ms", "1500")], Some(1500)),
            // Anthropic.
            (
                &[
                    ("anthropic-ratelimit-requests-remaining", "3"),
                    ("anthropic-ratelimit-requests-reset", "2027-01-15T08:10:00Z"),
                    ("anthropic-ratelimit-tokens-remaining", "0"),
                    ("anthropic-ratelimit-tokens-reset", "2027-01-15T08:00:30Z"),
                ],
                Some(30_000),
            ),
            (&[("anthropic-ratelimit-unified-reset", "1800000060")], Some(60_000)),
            (
                &[("anthropic-ratelimit-input-tokens-reset", "2027-01-15T10:00:30+02:00")],
                Some(30_000),
            ),
            // The drafts of the IETF.
            (&[("RateLimit-Remaining", "0"), ("RateLimit-Reset", "30")], Some(30_000)),
            (&[("ratelimit", "\"default\";r=0;t=30")], Some(30_000)),
            (&[("ratelimit", "limit=10, remaining=0, reset=30")], Some(30_000)),
            (&[("ratelimit", "\"default\";r=7;t=30")], None),
            (&[("x-ratelimit-reset", "Fri, 15 Jan 2027 08:00:09 GMT")], Some(9000)),
            // Windows that say only whether they allow requests.
            (
                &[
                    ("anthropic-ratelimit-unified-5h-status", "rejected"),
                    ("anthropic-ratelimit-unified-5h-reset", "1800000060"),
                    ("anthropic-ratelimit-unified-7d-status", "allowed_warning"),
                    ("anthropic-ratelimit-unified-7d-reset", "1800050000"),
                ],
                Some(60_000),
            ),
            // What says nothing.
            (&[("x-ratelimit-reset", "2027-01-15T07:59:00Z")], None),
            (&[("x-ratelimit-reset", "0")], None),
            (&[("x-ratelimit-reset", "-5")], None),
            (&[("x-ratelimit-reset", "soon")], None),
            (&[("x-ratelimit-reset", "NaN")], None),
            (&[("x-ratelimit-limit", "10"), ("x-password-reset", "10")], None),
            // A mistake or an attack.
            (&[("x-ratelimit-reset", "9999999999999999999999")], Some(86_400_000)),
            (&[("x-ratelimit-reset", "999999999")], Some(86_400_000)),
        ];
        for (headers, expected) in rows {
            let found = reset(headers.iter().copied(), now());
            let found = found.map(|wait| u64::try_from(wait.as_millis()).unwrap());
            assert_eq!(found, *expected, "{headers:?}");
        }
    }

    #[test]
    fn a_wait_in_words_or_in_a_field_is_read() {
        for (said, expected) in [
            ("Please try again in 1 minute and 5 seconds.", Some(65_000)),
            ("Try again in 1h2m3.5s", Some(3_723_500)),
            ("Please wait 20 seconds before retrying.", Some(20_000)),
            ("Please try again after 15 seconds.", Some(15_000)),
            ("Out of quota. Quota will be replenished in 07:59:15.", Some(28_755_000)),
            ("请求过于频繁，请在 10 秒后重试", Some(10_000)),
            ("请在 2 小时后重试", Some(7_200_000)),
            ("Usage limit reached, resets in about 2 hrs 5 mins", Some(7_500_000)),
            ("Please retry after: 20 secs", Some(20_000)),
            ("Please wait for 5 minutes.", Some(300_000)),
            ("too many tokens per day, please wait before trying again", None),
            ("the model is available in 3 sizes", None),
        ] {
            assert_eq!(in_message(said), expected.map(Duration::from_millis), "{said}");
        }
        for (error, expected) in [
            (serde_json::json!({"retry_after": 12}), Some(12_000)),
            (serde_json::json!({"retry_after_seconds": "7"}), Some(7000)),
            (serde_json::json!({"retryAfter": "9s"}), Some(9000)),
            (serde_json::json!({"retry_after_ms": 1500}), Some(1500)),
            (serde_json::json!({"metadata": {"retry_after_seconds": 23}}), Some(23_000)),
            (serde_json::json!({"estimated_time": 20.0}), Some(20_000)),
            (serde_json::json!({"resets_in_seconds": 3600}), Some(3_600_000)),
            (
                serde_json::json!({"details": [{"reason": "x"}, {"retryDelay": "47s"}]}),
                Some(47_000),
            ),
            (serde_json::json!({"retry_after": -1}), None),
            (serde_json::json!({"retry_after": null, "message": "12"}), None),
        ] {
            assert_eq!(in_object(&error), expected.map(Duration::from_millis), "{error}");
        }
    }

    #[test]
    fn a_requested_wait_is_read_in_every_notation() {
        let rows = [
            ("retry-after", "7", Some(7000)),
            ("retry-after", "7, 7", Some(7000)),
            ("retry-after", "1.5", Some(1500)),
            ("retry-after", "Fri, 15 Jan 2027 08:00:09 GMT", Some(9000)),
            ("retry-after", "2027-01-15T08:00:09Z", Some(9000)),
            ("retry-after", "30s", Some(30_000)),
            ("retry-after", "later", None),
            ("retry-after-ms", "250", Some(250)),
            ("x-ms-retry-after-ms", "250", Some(250)),
            ("x-ratelimit-retry-after", "7", Some(7000)),
        ];
        for (name, value, expected) in rows {
            let headers = HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())]);
            let found = delay(&headers, "", now());
            assert_eq!(found, expected.map(Duration::from_millis), "{name}: {value}");
        }
    }
}
