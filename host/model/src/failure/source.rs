//! An excerpt of a template's source around a location.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A few lines of the template's source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SourceExcerpt {
    /// The file, as the frame names it.
    pub file: String,
    /// Number of the line of the location, from 1.
    pub line: u32,
    /// Number of the first of `lines`, from 1.
    pub first: u32,
    /// The lines, without line breaks.
    pub lines: Vec<String>,
}
