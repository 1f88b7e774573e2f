//! The id of an order.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sitewright_order::{IdError, check_id};

/// The CRM's id of an order, validated so that it can name a folder on every system: 1 to 64 of
/// `A-Z a-z 0-9 - _ .`, not beginning with `-` or `.`, not ending with `.`, not reserved, and not a
/// device name of Windows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OrderId(String);

impl OrderId {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for OrderId {
    type Err = IdError;

    fn from_str(id: &str) -> Result<Self, IdError> {
        check_id(id).map(|()| OrderId(id.to_owned()))
    }
}

impl TryFrom<String> for OrderId {
    type Error = IdError;

    fn try_from(id: String) -> Result<Self, IdError> {
        check_id(&id).map(|()| OrderId(id))
    }
}

impl From<OrderId> for String {
    fn from(id: OrderId) -> String {
        id.0
    }
}

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for OrderId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}
