//! Parsing of opening hours: an object of days, a list of days, or a text; with texts, lists of
//! texts or objects of opening and closing time. What is no range of times becomes a note.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::fields::{Fields, as_flag, is_empty, is_filler, words};
use crate::hours::{DaySet, days, examples, fold_words, language_of, lines, says_nothing};
use crate::problem::truncated;
use crate::{Day, DayHours, Hours, HoursError, HoursNote, Range, child, excerpt, read_ranges};

/// Maximum number of entries: a line for each day of several seasons.
const MAX_DAYS: usize = 60;
/// Ranges that are longer than this, in minutes, are rare enough to ask: 18 hours.
const LONG: u16 = 18 * 60;
/// Maximum length of a note, in characters.
const MAX_NOTE: usize = 500;

/// The hours of a business or place while they are read.
struct Week<'l> {
    language: &'l str,
    /// The ranges of each day, and whether one day was named and not a range of days.
    days: BTreeMap<Day, (Vec<Range>, bool)>,
    notes: Vec<HoursNote>,
}

/// Reads opening hours. `languages` are those that the order may be in, the likeliest first. They
/// decide what a short name of a day means, unless the other days of the same hours are of another.
pub(super) fn read<'a, 'l>(
    f: &mut Fields<'a>,
    names: &[&'a str],
    languages: impl Iterator<Item = &'l str> + Clone,
) -> (Hours, Vec<HoursNote>) {
    let (at, value) = f.first(names);
    let without_html = value.and_then(|value| f.without_html(&at, value));
    let value = without_html.as_ref().or(value);
    let mut words = BTreeSet::new();
    if let Some(value) = value {
        add_words(value, &mut words);
    }
    let first = languages.clone().next();
    let language = language_of(&words, languages).or(first).unwrap_or_default();
    let mut week = Week { language, days: BTreeMap::new(), notes: Vec::new() };
    match value {
        None => {}
        Some(Value::String(text)) => week.text(f, &at, text),
        Some(Value::Object(fields)) if is_times(fields) => {
            let every = DaySet { days: Day::ALL.to_vec(), ..DaySet::default() };
            week.entry(f, &at, &every, None, value.unwrap_or(&Value::Null));
        }
        Some(Value::Object(fields)) if of_a_map(fields).is_some() => {
            for (index, entry) in of_a_map(fields).into_iter().flatten().enumerate() {
                week.listed(f, &child(&at, index), &entry);
            }
        }
        Some(Value::Object(fields)) => {
            let paired = paired(fields);
            for (name, value) in bounded(f, &at, paired.as_ref().unwrap_or(fields).iter()) {
                let day = numbered(name);
                // A numbered list, and not numbered days.
                if day.is_some() && week.says_its_days(value) {
                    week.listed(f, &child(&at, name), value);
                    continue;
                }
                if let Some(day) = day {
                    let message =
                        format!("`{name}` is read as {day}: days are counted from Monday");
                    f.findings.note(&child(&at, name), message);
                }
                week.named(f, &child(&at, name), day.unwrap_or(name), value);
            }
        }
        Some(Value::Array(entries)) => {
            let entries = bounded(f, &at, entries.iter().enumerate());
            for (index, entry) in entries {
                week.listed(f, &child(&at, index), entry);
            }
        }
        Some(other) => {
            let form = "must be an object of days, like `{\"monday\": \"09:00-18:00\", \
                        \"sunday\": \"closed\"}`";
            f.dropped(&at, format!("{form}, but is {}: left out", excerpt(other)));
        }
    }
    let days = week.days.into_iter().map(|(day, (ranges, _))| DayHours { day, ranges });
    (Hours(days.collect()), week.notes)
}

/// Adds the words of hours that may name days, folded.
fn add_words(value: &Value, words: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => add_words_of(text, words),
        Value::Array(entries) => {
            for entry in entries.iter().take(MAX_DAYS) {
                add_words(entry, words);
            }
        }
        Value::Object(fields) => {
            for (name, value) in fields.iter().take(MAX_DAYS) {
                // `to` is a day in Swedish.
                if !OPENS.contains(&name.as_str()) && !CLOSES.contains(&name.as_str()) {
                    add_words_of(name, words);
                }
                add_words(value, words);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn add_words_of(text: &str, words: &mut BTreeSet<String>) {
    /// Maximum number of words that are looked at, and of characters of a text.
    const MAX: usize = 500;
    let start: String = text.chars().take(MAX).collect();
    let folded = fold_words(&start);
    // A single letter is a day in many languages.
    let may_be_day = |word: &&str| word.len() > 1;
    let found = folded.split(|c: char| !c.is_alphabetic()).filter(may_be_day);
    let room = MAX.saturating_sub(words.len());
    words.extend(found.take(room).map(str::to_owned));
}

/// At most [`MAX_DAYS`] entries.
fn bounded<T>(f: &mut Fields<'_>, at: &str, entries: impl ExactSizeIterator<Item = T>) -> Vec<T> {
    let count = entries.len();
    if count > MAX_DAYS {
        let message = format!("has {count} entries; only the first {MAX_DAYS} are read");
        f.dropped(at, message);
    }
    entries.take(MAX_DAYS).collect()
}

/// The names of opening and closing time in the objects of forms.
const OPENS: [&str; 9] = [
    "open",
    "opens",
    "from",
    "start",
    "open_time",
    "opens_at",
    "openTime",
    "opening",
    "start_time",
];
const CLOSES: [&str; 9] =
    ["close", "closes", "to", "end", "close_time", "closes_at", "closeTime", "closing", "end_time"];
const CLOSED: [&str; 3] = ["closed", "is_closed", "isClosed"];
/// Flags of a day on which the business is open.
const IS_OPEN: [&str; 5] = ["is_open", "isOpen", "enabled", "active", "available"];
/// The names of the ranges of a day in an object.
const RANGES: [&str; 8] =
    ["slots", "ranges", "hours", "intervals", "periods", "times", "shifts", "timeSlots"];
/// The names of a break in the middle of a day.
const BREAKS: [&str; 3] = ["break", "lunch", "pause"];

/// The name of a day that a program counts: Monday is 1 wherever days have numbers, and Sunday is 0
/// or 7.
fn numbered(name: &str) -> Option<&'static str> {
    Some(match name {
        "1" => "monday",
        "2" => "tuesday",
        "3" => "wednesday",
        "4" => "thursday",
        "5" => "friday",
        "6" => "saturday",
        "0" | "7" => "sunday",
        _ => return None,
    })
}

/// The entries of the hours of a map service: `weekday_text`, or `periods` of numbered days.
fn of_a_map(fields: &Map<String, Value>) -> Option<Vec<Value>> {
    let texts = ["weekday_text", "weekdayDescriptions"].iter().find_map(|name| fields.get(*name));
    if let Some(Value::Array(texts)) = texts
        && !texts.is_empty()
    {
        return Some(texts.iter().take(MAX_DAYS).cloned().collect());
    }
    let regular = fields.get("regularHours").and_then(|hours| hours.get("periods"));
    let Some(Value::Array(periods)) = fields.get("periods").or(regular) else { return None };
    let number = |moment: &Value, names: [&str; 2]| {
        names.iter().find_map(|name| moment.get(*name)?.as_u64())
    };
    let time = |moment: &Value| match moment.get("time") {
        Some(Value::String(time)) => Some(time.clone()),
        _ => {
            let hour = number(moment, ["hour", "hours"])?;
            let minute = number(moment, ["minute", "minutes"]).unwrap_or(0);
            Some(format!("{hour:02}:{minute:02}"))
        }
    };
    let entry = |period: &Value| {
        // A profile of a map service has days with names.
        if let Some(day) = period.get("openDay").and_then(Value::as_str) {
            let (open, close) = (time(period.get("openTime")?)?, time(period.get("closeTime")?)?);
            return Some(serde_json::json!({ "day": day, "hours": format!("{open} - {close}") }));
        }
        let open = period.get("open")?;
        let day = numbered(&open.get("day")?.as_u64()?.to_string())?;
        // Without an end, the day has none: `24/7`.
        let hours = match period.get("close") {
            Some(close) => format!("{} - {}", time(open)?, time(close)?),
            None => "24h".to_owned(),
        };
        Some(serde_json::json!({ "day": day, "hours": hours }))
    };
    periods.iter().take(MAX_DAYS).map(entry).collect()
}

/// The days of a flat form, `{"mon_open": "09:00", "mon_close": "17:00"}`, with an object each;
/// `None` if these are no such fields.
fn paired(fields: &Map<String, Value>) -> Option<Map<String, Value>> {
    let mut days = Map::new();
    for (name, value) in fields {
        // `mon_open`, `mondayOpen`, `mon_open_time`
        let words = words(name);
        let known = [&OPENS[..], &CLOSES[..], &CLOSED[..]].concat();
        let (day, what) = [2, 1].into_iter().find_map(|count| {
            let (day, what) = words.split_at_checked(words.len().checked_sub(count)?)?;
            let what = what.join("_");
            (!day.is_empty() && known.contains(&what.as_str())).then(|| (day.join(" "), what))
        })?;
        let entry = days.entry(day).or_insert_with(|| Value::Object(Map::new()));
        if let (Value::Object(entry), false) = (entry, is_empty(value)) {
            entry.insert(what, value.clone());
        }
    }
    (!days.is_empty()).then_some(days)
}

/// Whether an object holds opening and closing time. One of the names alone is none: `to` is a day
/// in Swedish.
fn is_times(fields: &Map<String, Value>) -> bool {
    let has = |names: &[&str]| names.iter().any(|name| fields.contains_key(*name));
    has(&CLOSED) || has(&IS_OPEN) || has(&OPENS) && has(&CLOSES)
}

fn first_of<'v>(fields: &'v Map<String, Value>, names: &[&str]) -> Option<&'v Value> {
    names.iter().find_map(|name| fields.get(*name).filter(|value| !is_empty(value)))
}

impl Week<'_> {
    /// Whether a value of a numbered field names the days that it is about.
    fn says_its_days(&self, value: &Value) -> bool {
        match value {
            Value::String(text) if text.chars().count() <= 300 => {
                lines(text, self.language).iter().any(|line| line.label.is_some())
            }
            Value::Object(fields) => ["day", "days", "dayOfWeek", "weekday"]
                .iter()
                .any(|name| fields.contains_key(*name)),
            _ => false,
        }
    }

    /// The days of a name, and what is said about them.
    fn named(&mut self, f: &mut Fields<'_>, at: &str, name: &str, value: &Value) {
        let is_closed = value.as_array().is_some_and(Vec::is_empty);
        if is_empty(value) && !is_closed {
            return;
        }
        match days(name, self.language) {
            // An empty list of ranges is a closed day.
            Some(set) if is_closed => self.set(f, at, &set, Vec::new()),
            Some(set) => self.entry(f, at, &set, Some(name), value),
            None => {
                let (first, last) = examples(self.language);
                let wrong = format!(
                    "`{}` is not a day; write it like `{first}`, `{last}` or `{first}-{last}`",
                    truncated(name)
                );
                match value.as_str().filter(|text| !says_nothing(text)) {
                    Some(text) => {
                        f.dropped(
                            at,
                            format!("{wrong}; `{}` is shown as written", truncated(text)),
                        );
                        self.note(f, at, Vec::new(), Some(name), text);
                    }
                    None => f.dropped(at, format!("{wrong}; {} is left out", excerpt(value))),
                }
            }
        }
    }

    /// An entry of a list: `{day, ranges}`, `{days, open, close}` or a text with days and times.
    fn listed(&mut self, f: &mut Fields<'_>, at: &str, entry: &Value) {
        let fields = match entry {
            Value::String(text) => return self.text(f, at, text),
            // `["Monday", "9am", "5pm"]`
            Value::Array(cells) if cells.len() > 1 && cells.iter().all(Value::is_string) => {
                let name = cells[0].as_str().unwrap_or_default();
                return match &cells[1..] {
                    [said] => self.named(f, at, name, said),
                    several => self.named(f, at, name, &Value::from(several)),
                };
            }
            Value::Object(fields) => fields,
            Value::Null => return,
            _ => &Map::new(),
        };
        let day = first_of(fields, &["day", "days", "name", "dayOfWeek", "weekday", "label"]);
        let name = match day {
            Some(Value::String(name)) => Some(name.clone()),
            Some(Value::Array(names)) => {
                let names: Vec<_> = names.iter().filter_map(Value::as_str).collect();
                Some(names.join(", ")).filter(|name| !name.is_empty())
            }
            Some(Value::Number(number)) => numbered(&number.to_string()).map(|name| {
                let message = format!("`{number}` is read as {name}: days are counted from Monday");
                f.findings.note(at, message);
                name.to_owned()
            }),
            _ => None,
        };
        // schema.org's days are addresses: `https://schema.org/Monday`.
        let name = name.map(|name| name.replace("https://schema.org/", ""));
        let said = ["ranges", "hours", "times", "time", "text", "value"];
        let value = said.iter().find_map(|name| fields.get(*name).filter(|value| !value.is_null()));
        match (name, value) {
            (Some(name), Some(value)) => self.named(f, at, &name, value),
            (Some(name), None) if is_times(fields) || first_of(fields, &OPENS).is_some() => {
                self.named(f, at, &name, entry);
            }
            _ => f.dropped(
                at,
                "must be like `{\"day\": \"monday\", \"ranges\": [\"09:00-18:00\"]}`; left out",
            ),
        }
    }

    /// A text with days and times, a text for all days, or a note.
    fn text(&mut self, f: &mut Fields<'_>, at: &str, text: &str) {
        if says_nothing(text) {
            return;
        }
        if text.chars().count() > 2_000 {
            return self.note_with_warning(f, at, None, text);
        }
        let found = lines(text, self.language);
        let every = DaySet { days: Day::ALL.to_vec(), ..DaySet::default() };
        if found.len() > MAX_DAYS {
            return self.note_with_warning(f, at, None, text);
        }
        if found.iter().all(|line| line.label.is_none()) {
            // `24/7` is said of every day. `9:00-18:00` alone does not say of which.
            match read_ranges(text) {
                Ok(ranges) if ranges == [Range::ALL_DAY] => self.set(f, at, &every, ranges),
                _ => self.note_with_warning(f, at, None, text),
            }
            return;
        }
        for line in found {
            let value = Value::from(line.times.as_str());
            match line.label {
                Some(label) if !line.times.is_empty() => {
                    self.entry(f, at, &line.days, Some(&label), &value);
                }
                Some(label) => self.note_with_warning(f, at, None, &label),
                None => self.note_with_warning(f, at, None, &line.times),
            }
        }
    }

    /// What is said about some days.
    fn entry(
        &mut self,
        f: &mut Fields<'_>,
        at: &str,
        set: &DaySet,
        label: Option<&str>,
        value: &Value,
    ) {
        match value {
            Value::String(text) if says_nothing(text) => {}
            Value::String(text) if is_filler(text) => {
                f.dropped(at, format!("`{}` says nothing; left out", truncated(text)));
            }
            Value::String(text) => match read_ranges(text) {
                Ok(ranges) => self.ranges(f, at, set, label, ranges, text),
                Err(wrong) => {
                    f.dropped(at, format!("{wrong}; it is shown as written"));
                    self.note(f, at, set.days.clone(), label, text);
                }
            },
            Value::Array(entries) => {
                // `["09:00", "17:00"]`: opening and closing times.
                let paired = pairs(entries);
                let entries = paired.as_ref().unwrap_or(entries);
                let mut ranges = Vec::new();
                for entry in entries.iter().filter(|entry| !is_empty(entry)) {
                    let read = match entry {
                        Value::String(text) => read_ranges(text).map_err(|wrong| wrong.to_string()),
                        Value::Object(fields) => times(fields),
                        // `[["09:00", "12:00"], ["13:00", "17:00"]]`
                        Value::Array(times) if pairs(times).is_some() => {
                            let texts = pairs(times).unwrap_or_default();
                            let texts: Vec<_> = texts.iter().filter_map(Value::as_str).collect();
                            read_ranges(&texts.join(", ")).map_err(|wrong| wrong.to_string())
                        }
                        other => Err(format!(
                            "must be a list of texts like `09:00-18:00`, but holds {}",
                            excerpt(other)
                        )),
                    };
                    match read {
                        Ok(read) => ranges.extend(read),
                        Err(wrong) => return f.dropped(at, format!("{wrong}; left out")),
                    }
                }
                let text = ranges.iter().map(Range::to_string).collect::<Vec<_>>().join(", ");
                self.ranges(f, at, set, label, ranges, &text);
            }
            // `{"isOpen": true, "slots": [{"start": "09:00", "end": "12:00"}]}`
            Value::Object(fields)
                if !is_shut(fields)
                    && first_of(fields, &RANGES).is_some_and(|value| !value.is_object()) =>
            {
                let ranges = first_of(fields, &RANGES).unwrap_or(&Value::Null);
                self.entry(f, at, set, label, ranges);
            }
            Value::Object(fields) => match times(fields) {
                Ok(ranges) => {
                    let text = ranges.iter().map(Range::to_string).collect::<Vec<_>>().join(", ");
                    self.ranges(f, at, set, label, ranges, &text);
                }
                Err(wrong) => f.dropped(at, format!("{wrong}; left out")),
            },
            Value::Bool(false) => self.set(f, at, set, Vec::new()),
            other => f.dropped(
                at,
                format!(
                    "must be a text like `09:00-18:00`, `24h` or `closed`, but is {}: left out",
                    excerpt(other)
                ),
            ),
        }
    }

    /// The ranges of some days. Public holidays are no days of the week: they become a note.
    fn ranges(
        &mut self,
        f: &mut Fields<'_>,
        at: &str,
        set: &DaySet,
        label: Option<&str>,
        ranges: Vec<Range>,
        text: &str,
    ) {
        if set.holidays {
            let name = label.unwrap_or_default();
            let message = format!("`{}` has no place in a week; shown as written", truncated(name));
            f.findings.note(at, message);
            self.note(f, at, Vec::new(), label, text);
        }
        if !set.days.is_empty() {
            self.set(f, at, set, ranges);
        }
    }

    fn set(&mut self, f: &mut Fields<'_>, at: &str, set: &DaySet, ranges: Vec<Range>) {
        let ranges = merged(f, at, ranges);
        for range in &ranges {
            if range.close - range.open > LONG && *range != Range::ALL_DAY {
                let hours = (range.close - range.open) / 60;
                let message =
                    format!("`{range}` is {hours} hours long; correct it if that is wrong");
                f.findings.note(at, message);
            }
        }
        let mut twice = Vec::new();
        for day in &set.days {
            match self.days.get_mut(day) {
                None => {
                    self.days.insert(*day, (ranges.clone(), set.is_one));
                }
                // What is said of one day counts more than what is said of several.
                Some(known) if set.is_one && !known.1 => *known = (ranges.clone(), true),
                Some((_, true)) if !set.is_one => {}
                Some((known, _)) if *known == ranges => {}
                Some((known, _)) => {
                    let joined: Vec<Range> = known.iter().chain(&ranges).copied().collect();
                    match DayHours::new(*day, joined) {
                        Ok(day) if !known.is_empty() && !ranges.is_empty() => *known = day.ranges,
                        _ => twice.push(*day),
                    }
                }
            }
        }
        // One warning for a range of days.
        if let Some(first) = twice.first() {
            let others = match twice.len() - 1 {
                0 => String::new(),
                others => format!(" ({others} more days too)"),
            };
            let wrong = HoursError::DayTwice(*first);
            let times = ranges.iter().map(Range::to_string).collect::<Vec<_>>().join(", ");
            let second =
                if times.is_empty() { "`closed`".to_owned() } else { format!("`{times}`") };
            let message = format!("{wrong}; the first counts, {second} is left out{others}");
            f.dropped(at, message);
        }
    }

    fn note_with_warning(&mut self, f: &mut Fields<'_>, at: &str, label: Option<&str>, text: &str) {
        let wrong = HoursError::Unreadable(text.trim().to_owned());
        f.dropped(at, format!("{wrong}; it is shown as written"));
        self.note(f, at, Vec::new(), label, text);
    }

    fn note(
        &mut self,
        f: &mut Fields<'_>,
        at: &str,
        days: Vec<Day>,
        label: Option<&str>,
        text: &str,
    ) {
        // The name of a field is not what visitors read.
        let label = label.map(|label| label.replace('_', " ").trim().to_owned());
        let label = label.filter(|label| !label.is_empty());
        if let Some(text) = f.as_text(at, &Value::from(text.trim()), MAX_NOTE) {
            self.notes.push(HoursNote { days, label, text });
        }
    }
}

/// The ranges of a day, sorted. Overlapping ones are joined, with a warning.
fn merged(f: &mut Fields<'_>, at: &str, mut ranges: Vec<Range>) -> Vec<Range> {
    ranges.sort_by_key(|range| (range.open, range.close));
    let mut merged: Vec<Range> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match merged.last_mut() {
            Some(last) if last.close > range.open => {
                let wrong = HoursError::Overlap(*last, range);
                f.dropped(at, format!("{wrong}; they are joined"));
                last.close = last.close.max(range.close);
            }
            _ => merged.push(range),
        }
    }
    merged
}

/// The ranges of a list of times alone; `None` if it is another list.
fn pairs(entries: &[Value]) -> Option<Vec<Value>> {
    if entries.is_empty() || !entries.len().is_multiple_of(2) {
        return None;
    }
    let texts: Vec<&str> = entries.iter().map(Value::as_str).collect::<Option<_>>()?;
    if texts.iter().any(|text| read_ranges(text).is_ok()) {
        return None;
    }
    let ranges = texts.chunks(2).map(|pair| format!("{} - {}", pair[0], pair[1]));
    let ranges: Vec<String> = ranges.collect();
    ranges
        .iter()
        .all(|range| read_ranges(range).is_ok())
        .then(|| ranges.into_iter().map(Value::from).collect())
}

/// Whether an object says that the business is closed on a day.
fn is_shut(fields: &Map<String, Value>) -> bool {
    first_of(fields, &CLOSED).is_some_and(|closed| as_flag(closed) == Some(true))
        || first_of(fields, &IS_OPEN).is_some_and(|open| as_flag(open) == Some(false))
}

/// The range of `{open: "09:00", close: "18:00"}`, or none of `{closed: true}`.
fn times(fields: &Map<String, Value>) -> Result<Vec<Range>, String> {
    if first_of(fields, &CLOSED).is_some_and(|closed| as_flag(closed) == Some(true)) {
        return Ok(Vec::new());
    }
    let text = |names: &[&str]| match first_of(fields, names) {
        Some(Value::String(text)) => Some(text.trim().to_owned()),
        // A part of the day, as spreadsheets keep a time.
        Some(Value::Number(number))
            if number.as_f64().is_some_and(|part| part > 0.0 && part < 1.0) =>
        {
            Some(number.to_string())
        }
        Some(Value::Number(number)) => Some(format!("{number}:00")),
        _ => None,
    };
    if first_of(fields, &IS_OPEN).is_some_and(|open| as_flag(open) == Some(false)) {
        return Ok(Vec::new());
    }
    match (text(&OPENS), text(&CLOSES)) {
        (Some(open), Some(_)) if read_ranges(&open).is_ok_and(|ranges| ranges.is_empty()) => {
            Ok(Vec::new())
        }
        (Some(open), Some(close)) => {
            let whole =
                read_ranges(&format!("{open} - {close}")).map_err(|wrong| wrong.to_string());
            match (whole?.as_slice(), first_of(fields, &BREAKS)) {
                (whole, None) => Ok(whole.to_vec()),
                ([whole], Some(pause)) => without_break(*whole, pause),
                (whole, Some(_)) => Ok(whole.to_vec()),
            }
        }
        (None, None) if fields.get("open").and_then(as_flag) == Some(false) => Ok(Vec::new()),
        // `{"open": "geschlossen"}`, `{"open": "9:00-18:00"}`
        (Some(said), None) | (None, Some(said)) => {
            read_ranges(&said).map_err(|wrong| wrong.to_string())
        }
        _ => Err("must be like `{\"open\": \"09:00\", \"close\": \"18:00\"}`".to_owned()),
    }
}

/// A range of times without the break in its middle.
fn without_break(whole: Range, pause: &Value) -> Result<Vec<Range>, String> {
    let wrong = || format!("the break must be like `12:00-13:00`, but is {}", excerpt(pause));
    let read = match pause {
        Value::String(text) => read_ranges(text).map_err(|_| wrong())?,
        Value::Object(fields) if BREAKS.iter().all(|name| !fields.contains_key(*name)) => {
            times(fields).map_err(|_| wrong())?
        }
        _ => return Err(wrong()),
    };
    match read.as_slice() {
        [] => Ok(vec![whole]),
        [pause] if whole.open < pause.open && pause.close < whole.close => Ok(vec![
            Range { open: whole.open, close: pause.open },
            Range { open: pause.close, close: whole.close },
        ]),
        _ => Err(wrong()),
    }
}
