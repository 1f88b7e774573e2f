//! Limits and their usage in reports.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A limit and its usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Measure {
    /// The limit.
    pub max: u64,
    /// The usage. A value above `max` was requested and rejected.
    pub used: u64,
}
