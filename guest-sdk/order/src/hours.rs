//! Opening hours as ranges of minutes.

mod names;
mod text;
mod week;

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use names::{examples, language_of};
pub(crate) use text::fold_words;
pub(crate) use week::{DaySet, days, lines, says_nothing};

/// A day of the week.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names are self-explanatory")]
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

/// A range of opening hours, in minutes from midnight. `close` exceeds 1440 (24:00) if the business
/// closes after midnight. Serialized as `11:30-15:00`; `00:00-24:00` is the whole day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("pattern" = "^[0-2][0-9]:[0-5][0-9]-[0-2][0-9]:[0-5][0-9]$"))]
pub struct Range {
    /// Opening time in minutes from midnight, 0 to 1439.
    pub open: u16,
    /// Closing time in minutes from midnight, above `open`, at most 2879.
    pub close: u16,
}

impl Range {
    /// The whole day: 00:00 to 24:00.
    pub const ALL_DAY: Range = Range { open: 0, close: 1440 };

    /// The opening time as `HH:MM`.
    pub fn opens(&self) -> String {
        clock(self.open)
    }

    /// The closing time as `HH:MM`: `24:00` is midnight, `02:00` two hours after it.
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

/// The opening hours of one day. The business is closed on that day if there are no ranges.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DayHours {
    /// The day of the week.
    pub day: Day,
    /// The ranges, sorted and without overlaps.
    pub ranges: Vec<Range>,
}

/// The opening hours of a week, from Monday, each day at most once. The hours of a day that is not
/// listed are unknown; it is not a closed day.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Vec<DayHours>")]
#[schemars(with = "Vec<DayHours>")]
pub struct Hours(pub Vec<DayHours>);

/// Why opening hours are invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HoursError {
    /// The text is not a range of times, or is ambiguous.
    #[error(
        "`{}` is not an opening time; write it like `09:00-18:00`, `9am - 5pm`, `11:30-15:00, \
         18:30-23:00`, `24h` or `closed`",
        crate::problem::truncated(.0)
    )]
    Unreadable(String),
    /// The text is not a day of the week.
    #[error(
        "`{}` is not a day; write it like `monday`, `mon` or `mon-fri`",
        crate::problem::truncated(.0)
    )]
    UnknownDay(String),
    /// Two ranges of a day overlap.
    #[error("`{0}` and `{1}` overlap; join them, or correct one")]
    Overlap(Range, Range),
    /// Two entries have the same day.
    #[error(
        "{0} is given twice; write all its times in one entry, like `11:30-15:00, 18:30-23:00`"
    )]
    DayTwice(Day),
}

impl DayHours {
    /// Sorts the ranges of a day.
    ///
    /// # Errors
    /// [`HoursError::Overlap`] if two ranges overlap.
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

    /// Sorts days and ranges. A repeated day and overlapping ranges are errors.
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

    /// Parses `09:00-18:00`, `9am – 5pm`, `5:00 – 8:00 PM`, `9h30-18h`, `9h às 18h` and the forms
    /// of other languages. An equal opening and closing time is an error: some people mean the
    /// whole day by it, others a closed day.
    fn from_str(text: &str) -> Result<Self, HoursError> {
        let wrong = || HoursError::Unreadable(text.to_owned());
        let (open, close) = text::span(text).ok_or_else(wrong)?;
        if open >= 1440 || open == close {
            return Err(wrong());
        }
        Ok(Range { open, close: if close < open { close + 1440 } else { close } })
    }
}

impl Range {
    /// Parses only the normalized form, `11:30-15:00`.
    fn exact(text: &str) -> Option<Self> {
        let (open, close) = text.split_once('-')?;
        let minutes = |text: &str| {
            let (hour, minute) = text.split_once(':')?;
            let two = |text: &str| text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
            let (hour, minute): (u16, u16) = (two(hour) && two(minute))
                .then(|| Some((hour.parse().ok()?, minute.parse().ok()?)))
                .flatten()?;
            (hour <= 24 && minute < 60).then_some(hour * 60 + minute)
        };
        let (open, close) = (minutes(open)?, minutes(close)?);
        let valid = open < 1440 && close <= 1440 && open != close;
        valid.then_some(Range { open, close: if close < open { close + 1440 } else { close } })
    }
}

impl FromStr for Day {
    type Err = HoursError;

    /// Parses full and short names in any case, in the languages of the table `names`: `monday`,
    /// `Mon`, `Segunda-feira`, `TERÇA`, `mercredi`, `الأحد`. A name that means another day in
    /// another language is an error.
    fn from_str(text: &str) -> Result<Self, HoursError> {
        match week::days(text, "").as_ref().map(|set| (set.days.as_slice(), set.holidays)) {
            Some(([day], false)) => Ok(*day),
            _ => Err(HoursError::UnknownDay(text.to_owned())),
        }
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

/// Parses the opening hours of one day as a person types them: ranges separated by `,`, `;`, `/`,
/// line breaks or `and`, `24h`, or `closed` (no range).
///
/// # Errors
/// [`HoursError::Unreadable`] with the invalid range.
pub fn read_ranges(text: &str) -> Result<Vec<Range>, HoursError> {
    if text::is_closed(text) {
        return Ok(Vec::new());
    }
    if text::is_all_day(text) {
        return Ok(vec![Range::ALL_DAY]);
    }
    let separators = [',', ';', '\n', '/', '&', '、', '，', '；', '،'];
    let listed =
        [" and ", " und ", " u. ", " e ", " y ", " et ", " en ", " i ", " oraz ", " och ", " و"];
    let separate = |text: &str| -> Result<Vec<Range>, HoursError> {
        text.split(separators).map(str::parse).collect()
    };
    // `between 9am and 5pm` is one range: the words separate only if that makes sense.
    let spelled = listed.iter().fold(text.to_lowercase(), |text, word| text.replace(word, ","));
    separate(text).or_else(|wrong| separate(&spelled).map_err(|_| wrong))
}

impl TryFrom<String> for Range {
    type Error = HoursError;
    fn try_from(text: String) -> Result<Self, HoursError> {
        Range::exact(&text).ok_or(HoursError::Unreadable(text))
    }
}

impl From<Range> for String {
    fn from(range: Range) -> String {
        range.to_string()
    }
}
