//! Limits as they appear in reports.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A limit beside what was used of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Measure {
    /// What is allowed.
    pub max: u64,
    /// What was used; above `max` it is what was asked for and refused.
    pub used: u64,
}
