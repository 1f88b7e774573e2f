//! Opening hours as ranges of minutes.

mod text;

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A day of the week.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum Day {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

impl Day {
    /// Monday to Sunday.
    pub const ALL: [Day; 7] = [
        Day::Monday,
        Day::Tuesday,
        Day::Wednesday,
        Day::Thursday,
        Day::Friday,
        Day::Saturday,
        Day::Sunday,
    ];
}

/// One range in minutes from midnight. `close` may pass 1440 (24:00) when the business closes after
/// midnight. Written `11:30-15:00`; all day is `00:00-24:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("pattern" = "^[0-2][0-9]:[0-5][0-9]-[0-2][0-9]:[0-5][0-9]$"))]
pub struct Range {
    /// Minutes from midnight, 0 to 1439.
    pub open: u16,
    /// Minutes from midnight, above `open`, at most 2879.
    pub close: u16,
}

impl Range {
    /// 00:00 to 24:00.
    pub const ALL_DAY: Range = Range { open: 0, close: 1440 };

    /// `HH:MM` of the opening.
    pub fn opens(&self) -> String {
        clock(self.open)
    }

    /// `HH:MM` of the closing; `24:00` for midnight, `02:00` for two hours after it.
    pub fn closes(&self) -> String {
        if self.close == 1440 { "24:00".to_owned() } else { clock(self.close % 1440) }
    }
}

fn clock(minutes: u16) -> String {
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.opens(), self.closes())
    }
}

/// The ranges of one day; none means closed on that day.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DayHours {
    /// Which day.
    pub day: Day,
    /// In order of opening, none overlapping another.
    pub ranges: Vec<Range>,
}

/// The days that are known, from Monday, each at most once. A day that is not named is unknown, not
/// closed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Vec<DayHours>")]
#[schemars(with = "Vec<DayHours>")]
pub struct Hours(pub Vec<DayHours>);

/// Why a text is no opening time, or why opening times contradict each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HoursError {
    /// Nobody can say which time is meant.
    #[error(
        "`{}` is not an opening time; write it like `09:00-18:00`, `9am - 5pm`, `11:30-15:00, 18:30-23:00`, `24h` or `closed`",
        crate::problem::cut(.0)
    )]
    Unreadable(String),
    /// Not a day of the week.
    #[error("`{}` is not a day; write one day for each entry, like `monday`, `mon`, `segunda` or `seg`", crate::problem::cut(.0))]
    UnknownDay(String),
    /// A business opens while it is open.
    #[error("`{0}` and `{1}` overlap; join them, or correct one")]
    Overlap(Range, Range),
    /// The same day in two entries.
    #[error(
        "{0} is given twice; write all its times in one entry, like `11:30-15:00, 18:30-23:00`"
    )]
    DayTwice(Day),
}

impl DayHours {
    /// A day with its ranges put in order.
    ///
    /// # Errors
    /// [`HoursError::Overlap`].
    pub fn new(day: Day, mut ranges: Vec<Range>) -> Result<Self, HoursError> {
        ranges.sort_by_key(|range| (range.open, range.close));
        match ranges
            .iter()
            .zip(ranges.iter().skip(1))
            .find(|(first, second)| first.close > second.open)
        {
            Some((first, second)) => Err(HoursError::Overlap(*first, *second)),
            None => Ok(DayHours { day, ranges }),
        }
    }
}

impl TryFrom<Vec<DayHours>> for Hours {
    type Error = HoursError;

    /// Puts days and ranges in order; a day given twice and ranges that overlap are errors.
    fn try_from(days: Vec<DayHours>) -> Result<Self, HoursError> {
        let mut days = days
            .into_iter()
            .map(|day| DayHours::new(day.day, day.ranges))
            .collect::<Result<Vec<_>, _>>()?;
        days.sort_by_key(|day| day.day);
        match days.iter().zip(days.iter().skip(1)).find(|(first, second)| first.day == second.day) {
            Some((twice, _)) => Err(HoursError::DayTwice(twice.day)),
            None => Ok(Hours(days)),
        }
    }
}

impl FromStr for Range {
    type Err = HoursError;

    /// Reads `09:00-18:00`, `9am – 5pm`, `9h30-18h`, `9h às 18h`. An opening and a closing at the
    /// same minute are refused: some mean the whole day by that, some a day off.
    fn from_str(text: &str) -> Result<Self, HoursError> {
        let wrong = || HoursError::Unreadable(text.to_owned());
        let (open, close) = text::span(text).ok_or_else(wrong)?;
        if open >= 1440 || open == close {
            return Err(wrong());
        }
        Ok(Range { open, close: if close < open { close + 1440 } else { close } })
    }
}

impl FromStr for Day {
    type Err = HoursError;

    /// Reads full and short names in any case, English and Portuguese: `monday`, `Mon`,
    /// `Segunda-feira`, `seg`, `TERÇA`.
    fn from_str(text: &str) -> Result<Self, HoursError> {
        text::day(text).ok_or_else(|| HoursError::UnknownDay(text.to_owned()))
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Day::Monday => "Monday",
            Day::Tuesday => "Tuesday",
            Day::Wednesday => "Wednesday",
            Day::Thursday => "Thursday",
            Day::Friday => "Friday",
            Day::Saturday => "Saturday",
            Day::Sunday => "Sunday",
        })
    }
}

/// Reads what a person types for one day: ranges with `,` or `;` between them, `24h`, or `closed`
/// (no range).
///
/// # Errors
/// [`HoursError::Unreadable`] with the part that cannot be read.
pub fn read_ranges(text: &str) -> Result<Vec<Range>, HoursError> {
    if text::is_closed(text) {
        return Ok(Vec::new());
    }
    if text::is_all_day(text) {
        return Ok(vec![Range::ALL_DAY]);
    }
    text.split([',', ';', '\n']).map(str::parse).collect()
}

impl TryFrom<String> for Range {
    type Error = HoursError;
    fn try_from(text: String) -> Result<Self, HoursError> {
        text.parse()
    }
}

impl From<Range> for String {
    fn from(range: Range) -> String {
        range.to_string()
    }
}
