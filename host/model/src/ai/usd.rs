//! Amounts of money.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An amount of US dollars, with a resolution of a billionth of a dollar, because one token costs
/// less than a thousandth of a cent. In JSON a number of dollars.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Usd(u64);

impl Usd {
    const NANOS: f64 = 1e9;

    /// Rounds to a billionth; a negative amount becomes zero.
    pub fn from_dollars(dollars: f64) -> Self {
        Usd((dollars * Self::NANOS).round() as u64)
    }

    /// An amount in billionths of a dollar.
    pub fn from_nanos(nanos: u64) -> Self {
        Usd(nanos)
    }

    pub fn dollars(self) -> f64 {
        self.0 as f64 / Self::NANOS
    }

    /// The amount in billionths of a dollar.
    pub fn nanos(self) -> u64 {
        self.0
    }

    /// The difference; zero if `other` is larger.
    pub fn minus(self, other: Usd) -> Usd {
        Usd(self.0.saturating_sub(other.0))
    }

    /// The sum, limited to the largest representable amount.
    pub fn plus(self, other: Usd) -> Usd {
        Usd(self.0.saturating_add(other.0))
    }
}

impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} USD", self.dollars())
    }
}

impl Serialize for Usd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.dollars())
    }
}

impl schemars::JsonSchema for Usd {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Usd".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "An amount of US dollars.",
            "type": "number",
            "minimum": 0
        })
    }
}

impl<'de> Deserialize<'de> for Usd {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        f64::deserialize(deserializer).map(Usd::from_dollars)
    }
}
