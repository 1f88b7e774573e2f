//! Parsing of opening hours: an object of days with texts or lists of texts, or the normalized
//! form.

use serde_json::Value;

use super::fields::Fields;
use crate::problem::is_blank;
use crate::{Day, DayHours, Hours, HoursError, Range, child, excerpt, read_ranges};

/// Maximum number of entries: seven days in two spellings.
const MAX_DAYS: usize = 14;

/// Parses `{"mon": "9-18h", …}` with texts or lists of texts, or the normalized form
/// `[{"day": "monday", "ranges": […]}]`.
pub(super) fn read(f: &mut Fields<'_>, name: &'static str) -> Hours {
    let (at, value) = f.get(name);
    let entries: Vec<(String, &str, &Value)> = match value {
        None => return Hours::default(),
        Some(Value::String(text)) if is_blank(text) => return Hours::default(),
        Some(Value::Object(days)) => {
            days.iter().map(|(day, value)| (child(&at, day), day.as_str(), value)).collect()
        }
        Some(Value::Array(days)) if days.len() <= MAX_DAYS => listed(f, &at, days),
        Some(Value::Array(days)) => {
            f.problem(at, format!("has {} entries; a week has seven days", days.len()));
            return Hours::default();
        }
        Some(other) => {
            let form = "must be an object of days, like `{\"monday\": \"09:00-18:00\", \
                        \"sunday\": \"closed\"}`";
            f.problem(at, format!("{form}, but is {}", excerpt(other)));
            return Hours::default();
        }
    };
    if entries.len() > MAX_DAYS {
        f.problem(at, format!("has {} entries; a week has seven days", entries.len()));
        return Hours::default();
    }
    let mut days: Vec<DayHours> = Vec::new();
    for (at, day, value) in entries {
        let Some(day) = f.keep(at.clone(), day.parse::<Day>()) else { continue };
        let Some(ranges) = ranges(f, &at, value) else { continue };
        if days.iter().any(|known| known.day == day) {
            f.problem(at, HoursError::DayTwice(day));
            continue;
        }
        days.extend(f.keep(at, DayHours::new(day, ranges)));
    }
    days.sort_by_key(|day| day.day);
    Hours(days)
}

/// The entries of the normalized form, each with its pointer.
fn listed<'a>(
    f: &mut Fields<'_>,
    at: &str,
    days: &'a [Value],
) -> Vec<(String, &'a str, &'a Value)> {
    let mut entries = Vec::new();
    for (index, entry) in days.iter().enumerate() {
        let at = child(at, index);
        match (entry.get("day").and_then(Value::as_str), entry.get("ranges")) {
            (Some(day), Some(ranges)) => entries.push((at, day, ranges)),
            _ => {
                f.problem(at, "must be like `{\"day\": \"monday\", \"ranges\": [\"09:00-18:00\"]}`")
            }
        }
    }
    entries
}

/// The ranges of a day; `None` if they are absent or invalid.
fn ranges(f: &mut Fields<'_>, at: &str, value: &Value) -> Option<Vec<Range>> {
    match value {
        Value::Null => None,
        Value::String(text) if is_blank(text) => None,
        Value::String(text) => f.keep(at.to_owned(), read_ranges(text)),
        Value::Array(texts) => {
            let mut ranges = Vec::new();
            for text in texts {
                match text {
                    Value::String(text) => ranges.extend(f.keep(at.to_owned(), read_ranges(text))?),
                    other => {
                        f.problem(
                            at.to_owned(),
                            format!(
                                "must be a list of texts like `09:00-18:00`, but holds {}",
                                excerpt(other)
                            ),
                        );
                        return None;
                    }
                }
            }
            Some(ranges)
        }
        other => {
            f.problem(
                at.to_owned(),
                format!(
                    "must be a text like `09:00-18:00`, `24h` or `closed`, but is {}",
                    excerpt(other)
                ),
            );
            None
        }
    }
}
