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
