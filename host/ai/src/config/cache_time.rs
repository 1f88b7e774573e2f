//! How long a reply answers equal requests of other orders.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A time in a unit: `30m`, `24h` or `7d`. From a second to 30 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CacheTime(Duration);

/// The units, the largest first, with their seconds.
const UNITS: [(&str, u64); 4] = [("d", 24 * 3_600), ("h", 3_600), ("m", 60), ("s", 1)];

/// A reply that is older says what a model said long ago.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3_600);

impl CacheTime {
    pub(crate) fn duration(self) -> Duration {
        self.0
    }
}

impl TryFrom<String> for CacheTime {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let parsed = UNITS.iter().find_map(|(unit, seconds)| {
            let number: u32 = text.strip_suffix(unit)?.parse().ok()?;
            Some(Duration::from_secs(u64::from(number) * seconds))
        });
        let allowed = parsed.filter(|time| !time.is_zero() && *time <= LONGEST);
        allowed.map(CacheTime).ok_or_else(|| {
            format!(
                "{text:?} is no time for which replies are used again; write `24h` or `7d`, at \
                 most `30d`, or leave it out"
            )
        })
    }
}

impl From<CacheTime> for String {
    fn from(time: CacheTime) -> String {
        let seconds = time.0.as_secs();
        let whole = |unit: &&(&str, u64)| seconds.is_multiple_of(unit.1);
        let (unit, of) = UNITS.iter().find(whole).unwrap_or(&("s", 1));
        format!("{}{unit}", seconds / of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_as_it_is_read() {
        for (text, seconds) in [("24h", 86_400), ("90s", 90), ("30m", 1_800), ("30d", 2_592_000)] {
            let time = CacheTime::try_from(text.to_owned()).unwrap();
            assert_eq!(time.duration(), Duration::from_secs(seconds));
            assert_eq!(CacheTime::try_from(String::from(time)), Ok(time), "{text}");
        }
        for text in ["", "24", "0h", "31d", "-1h", "1.5h", "forever", "1 h", "99999999999d"] {
            let error = CacheTime::try_from(text.to_owned()).unwrap_err();
            assert!(error.contains("write `24h`"), "{text}: {error}");
        }
    }
}
