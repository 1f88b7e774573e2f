//! Opening hours as ranges of minutes.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
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
    pub const ALL: [Day; 7] =
        [Day::Monday, Day::Tuesday, Day::Wednesday, Day::Thursday, Day::Friday, Day::Saturday, Day::Sunday];
}

/// One range in minutes from midnight. `close` may pass 1440 (24:00) when the business closes after midnight.
/// Written `11:30-15:00`; all day is `00:00-24:00`.
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
    /// In order of opening.
    pub ranges: Vec<Range>,
}

/// The days that are known, from Monday, each at most once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Hours(pub Vec<DayHours>);

/// Why a text is no opening time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an opening time; write it like `09:00-18:00`, `11:30-15:00, 18:30-23:00`, `24h` or `closed`")]
pub struct HoursError(pub String);

impl FromStr for Range {
    type Err = HoursError;

    fn from_str(text: &str) -> Result<Self, HoursError> {
        let wrong = || HoursError(text.to_owned());
        let (open, close) = text.split_once(['-', '–']).ok_or_else(wrong)?;
        let minute = |part: &str| -> Option<u16> {
            let (hours, minutes) = part.trim().split_once(':')?;
            let (hours, minutes) = (hours.parse::<u16>().ok()?, minutes.parse::<u16>().ok()?);
            (hours <= 24 && minutes < 60 && hours * 60 + minutes <= 1440).then_some(hours * 60 + minutes)
        };
        let (open, close) = (minute(open).ok_or_else(wrong)?, minute(close).ok_or_else(wrong)?);
        if open >= 1440 || open == close {
            return Err(wrong());
        }
        Ok(Range { open, close: if close < open { close + 1440 } else { close } })
    }
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
