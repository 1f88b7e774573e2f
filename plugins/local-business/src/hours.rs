//! The table of opening hours.

use sitewright_order::{Day, Hours, Range};

use crate::language::{Language, Words};

/// One row of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// `Terça e Quarta`, `Monday to Friday`.
    pub days: String,
    /// One text per range; a single one for "closed" or "all day".
    pub times: Vec<String>,
    /// Whether the business is closed on these days.
    pub closed: bool,
}

/// The table. Consecutive days with the same hours share a row. Empty if the order has no hours.
pub fn rows(hours: &Hours, language: Language) -> Vec<Row> {
    let words = language.words();
    let mut groups: Vec<(Vec<Day>, &[Range])> = Vec::new();
    for day in Day::ALL {
        let Some(known) = hours.0.iter().find(|known| known.day == day) else { continue };
        match groups.last_mut() {
            Some((days, ranges))
                if *ranges == known.ranges
                    && days.last().is_some_and(|last| follows(*last, day)) =>
            {
                days.push(day);
            }
            _ => groups.push((vec![day], &known.ranges)),
        }
    }
    groups
        .into_iter()
        .map(|(days, ranges)| Row {
            days: span(&days, words),
            closed: ranges.is_empty(),
            times: match ranges {
                [] => vec![words.closed.to_owned()],
                [all_day] if *all_day == Range::ALL_DAY => vec![words.all_day.to_owned()],
                ranges => ranges.iter().map(|range| time(range, language)).collect(),
            },
        })
        .collect()
}

/// Whether the order has hours for some days but not for all, so that the page needs a note.
pub fn is_partial(hours: &Hours) -> bool {
    !hours.0.is_empty() && hours.0.len() < Day::ALL.len()
}

fn follows(before: Day, day: Day) -> bool {
    Day::ALL.windows(2).any(|pair| pair == [before, day])
}

fn span(days: &[Day], words: &Words) -> String {
    match days {
        [] => String::new(),
        [only] => words.day(*only).to_owned(),
        [first, second] => format!("{} {} {}", words.day(*first), words.and, words.day(*second)),
        [first, .., last] => format!("{} {} {}", words.day(*first), words.to, words.day(*last)),
    }
}

fn time(range: &Range, language: Language) -> String {
    match language {
        Language::Portuguese => format!("{} – {}", range.opens(), range.closes()),
        Language::English => {
            format!("{} – {}", twelve_hours(range.open), twelve_hours(range.close))
        }
    }
}

fn twelve_hours(minutes: u16) -> String {
    let (hour, minute) = (minutes / 60 % 24, minutes % 60);
    let half = if hour < 12 { "am" } else { "pm" };
    let hour = if hour % 12 == 0 { 12 } else { hour % 12 };
    if minute == 0 { format!("{hour} {half}") } else { format!("{hour}:{minute:02} {half}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sitewright_order::DayHours;

    fn hours(days: &[(Day, &[&str])]) -> Hours {
        Hours(
            days.iter()
                .map(|(day, ranges)| DayHours {
                    day: *day,
                    ranges: ranges.iter().map(|range| range.parse().unwrap()).collect(),
                })
                .collect(),
        )
    }

    #[test]
    fn consecutive_days_with_the_same_hours_share_a_row() {
        let split: &[&str] = &["11:30-15:00", "18:30-00:30"];
        let hours = hours(&[
            (Day::Tuesday, split),
            (Day::Wednesday, split),
            (Day::Friday, split),
            (Day::Saturday, &["00:00-24:00"]),
            (Day::Sunday, &[]),
        ]);
        let rows = rows(&hours, Language::English);
        let text: Vec<String> =
            rows.iter().map(|row| format!("{}: {}", row.days, row.times.join(", "))).collect();
        assert_eq!(
            text,
            [
                "Tuesday and Wednesday: 11:30 am – 3 pm, 6:30 pm – 12:30 am",
                "Friday: 11:30 am – 3 pm, 6:30 pm – 12:30 am",
                "Saturday: Open 24 hours",
                "Sunday: Closed",
            ]
        );
        assert!(is_partial(&hours));
    }

    #[test]
    fn portuguese_uses_24_hours_and_no_hours_give_no_row() {
        let everyday: Vec<(Day, &[&str])> =
            Day::ALL.iter().map(|day| (*day, ["12:00-24:00"].as_slice())).collect();
        let rows = rows(&hours(&everyday), Language::Portuguese);
        assert_eq!(rows.len(), 1);
        assert_eq!(
            (rows[0].days.as_str(), rows[0].times[0].as_str()),
            ("Segunda a Domingo", "12:00 – 24:00")
        );
        assert!(super::rows(&Hours::default(), Language::English).is_empty());
        assert!(!is_partial(&Hours::default()));
    }
}
