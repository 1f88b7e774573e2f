//! The table of opening hours.

use sitewright_order::{Day, Hours, Range};

use crate::language::{Language, Words, capitalized, fill};

/// One row of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// `Terça e quarta`, `Monday to Friday`.
    pub days: String,
    /// One text per range; a single one for "closed" or "all day".
    pub times: Vec<String>,
    /// Whether the business is closed on these days.
    pub closed: bool,
}

/// The table. Consecutive days with the same hours share a row. Empty if the order has no hours.
pub fn rows(hours: &Hours, language: Language) -> Vec<Row> {
    let words = language.words();
    let mut week = Day::ALL;
    let first = week.iter().position(|day| *day == language.first_day()).unwrap_or_default();
    week.rotate_left(first);
    // The last element is the place of the last day in the week.
    let mut groups: Vec<(Vec<Day>, &[Range], usize)> = Vec::new();
    for (at, day) in week.into_iter().enumerate() {
        let Some(known) = hours.0.iter().find(|known| known.day == day) else { continue };
        match groups.last_mut() {
            Some((days, ranges, last)) if *ranges == known.ranges && *last + 1 == at => {
                days.push(day);
                *last = at;
            }
            _ => groups.push((vec![day], &known.ranges, at)),
        }
    }
    groups
        .into_iter()
        .map(|(days, ranges, _)| Row {
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

fn span(days: &[Day], words: &Words) -> String {
    let text = match days {
        [] => String::new(),
        [only] => words.day(*only).to_owned(),
        [first, second] => fill(words.days_two, &[words.day(*first), words.day(*second)]),
        [first, .., last] => fill(words.days_span, &[words.day(*first), words.day(*last)]),
    };
    capitalized(&text)
}

fn time(range: &Range, language: Language) -> String {
    match language {
        Language::English => {
            format!("{} – {}", twelve_hours(range.open), twelve_hours(range.close))
        }
        Language::Japanese => {
            let [opens, closes] = [range.opens(), range.closes()];
            let short = |time: &'_ str| time.strip_prefix('0').unwrap_or(time).to_owned();
            format!("{}～{}", short(&opens), short(&closes))
        }
        _ => format!("{} – {}", range.opens(), range.closes()),
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
    fn each_language_joins_days_and_writes_times_in_its_own_way() {
        let office: &[&str] = &["09:00-17:30"];
        let week: Vec<(Day, &[&str])> = Day::ALL.iter().take(5).map(|day| (*day, office)).collect();
        for (language, days, time) in [
            (Language::Arabic, "من الاثنين إلى الجمعة", "09:00 – 17:30"),
            (Language::English, "Monday to Friday", "9 am – 5:30 pm"),
            (Language::French, "Du lundi au vendredi", "09:00 – 17:30"),
            (Language::German, "Montag bis Freitag", "09:00 – 17:30"),
            (Language::Hebrew, "יום שני עד יום שישי", "09:00 – 17:30"),
            (Language::Italian, "Da lunedì a venerdì", "09:00 – 17:30"),
            (Language::Japanese, "月曜日～金曜日", "9:00～17:30"),
            (Language::Portuguese, "Segunda a sexta", "09:00 – 17:30"),
            (Language::Spanish, "De lunes a viernes", "09:00 – 17:30"),
        ] {
            let rows = rows(&hours(&week), language);
            assert_eq!(rows.len(), 1);
            assert_eq!((rows[0].days.as_str(), rows[0].times[0].as_str()), (days, time));
        }
        let two = hours(&[(Day::Tuesday, office), (Day::Wednesday, office)]);
        let joined = Language::ALL.map(|language| rows(&two, language)[0].days.clone());
        assert_eq!(
            joined,
            [
                "الثلاثاء والأربعاء",
                "Tuesday and Wednesday",
                "Mardi et mercredi",
                "Dienstag und Mittwoch",
                "יום שלישי ויום רביעי",
                "Martedì e mercoledì",
                "火曜日・水曜日",
                "Terça e quarta",
                "Martes y miércoles",
            ]
        );
    }

    #[test]
    fn a_week_from_right_to_left_begins_on_sunday() {
        let work: &[&str] = &["06:30-16:00"];
        let mut week: Vec<(Day, &[&str])> = Day::ALL.iter().map(|day| (*day, work)).collect();
        week[4].1 = &[];
        week[5].1 = &[];
        let shown = |language| {
            let rows = rows(&hours(&week), language);
            rows.into_iter().map(|row| row.days).collect::<Vec<_>>()
        };
        assert_eq!(shown(Language::Arabic), ["من الأحد إلى الخميس", "الجمعة والسبت"]);
        assert_eq!(
            shown(Language::German),
            ["Montag bis Donnerstag", "Freitag und Samstag", "Sonntag"]
        );
    }

    #[test]
    fn midnight_is_24_hours_and_no_hours_give_no_row() {
        let everyday: Vec<(Day, &[&str])> =
            Day::ALL.iter().map(|day| (*day, ["12:00-24:00"].as_slice())).collect();
        let rows = rows(&hours(&everyday), Language::Portuguese);
        assert_eq!(rows.len(), 1);
        assert_eq!(
            (rows[0].days.as_str(), rows[0].times[0].as_str()),
            ("Segunda a domingo", "12:00 – 24:00")
        );
        assert!(super::rows(&Hours::default(), Language::English).is_empty());
        assert!(!is_partial(&Hours::default()));
    }
}
