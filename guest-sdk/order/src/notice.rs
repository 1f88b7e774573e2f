//! What was done to a document while it was read.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Problem;

/// Maximum number of notices of one order; the last one then says how many more there are.
pub const MAX_NOTICES: usize = 200;

/// What was done to a field of a document, for the operator.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Notice {
    /// How much it matters.
    pub level: NoticeLevel,
    /// JSON pointer (RFC 6901) into the document as it was sent. Empty for the whole document.
    pub pointer: String,
    /// The value, what was done with it, and what would be right. Never empty.
    pub message: String,
}

/// How much a notice matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NoticeLevel {
    /// A value that was sent is not used, or is doubtful. Strict reading refuses it.
    Warning,
    /// A value was read for what it means.
    Note,
}

impl Notice {
    /// A notice about the field at `pointer`.
    pub fn new(level: NoticeLevel, pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Notice { level, pointer: pointer.into(), message: message.into() }
    }

    /// Whether it is a warning.
    pub fn is_warning(&self) -> bool {
        self.level == NoticeLevel::Warning
    }

    /// The same as a problem, for strict reading.
    pub fn into_problem(self) -> Problem {
        Problem::new(self.pointer, self.message)
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let location = if self.pointer.is_empty() { "the document" } else { &self.pointer };
        write!(f, "{location}: {}", self.message)
    }
}
