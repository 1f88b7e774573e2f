//! The id of one AI call of a run.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The id of a call within its run: `call-17`. A template reports it in a failure that the call
/// caused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CallId(u32);

/// The error for a text that is not a call id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the id of an AI call; ids look like `call-17`")]
pub struct CallIdError(pub String);

impl CallId {
    /// The id of the call with this number, counted from 1.
    pub fn nth(number: u32) -> Self {
        CallId(number)
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "call-{}", self.0)
    }
}

impl JsonSchema for CallId {
    fn schema_name() -> Cow<'static, str> {
        "CallId".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "Id of one AI call within its run.",
            "type": "string",
            "pattern": "^call-(0|[1-9][0-9]*)$",
        })
    }
}

impl FromStr for CallId {
    type Err = CallIdError;

    fn from_str(text: &str) -> Result<Self, CallIdError> {
        let number = text.strip_prefix("call-").and_then(|number| number.parse().ok());
        // Only the spelling of `Display`, so that a call has exactly one id.
        let id = number.map(CallId).filter(|id| id.to_string() == text);
        id.ok_or_else(|| CallIdError(text.chars().take(64).collect()))
    }
}

impl TryFrom<String> for CallId {
    type Error = CallIdError;

    fn try_from(text: String) -> Result<Self, CallIdError> {
        text.parse()
    }
}

impl From<CallId> for String {
    fn from(id: CallId) -> String {
        id.to_string()
    }
}
