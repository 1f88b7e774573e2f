//! The lines around a place in the template's source.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A few lines of the template's source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SourceExcerpt {
    /// The file, as the frame names it.
    pub file: String,
    /// The line that matters, from 1.
    pub line: u32,
    /// The number of the first of `lines`.
    pub first: u32,
    /// The lines, without their ends.
    pub lines: Vec<String>,
}
