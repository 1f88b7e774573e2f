//! A frame of a backtrace before it is symbolized.

use serde::{Deserialize, Serialize};

/// A frame as the engine reports it: an offset in the component's bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RawFrame {
    /// Offset of the instruction from the start of the component, in bytes.
    pub offset: Option<u64>,
    /// Name in the module's name section, mangled.
    pub function: Option<String>,
    /// Index of the function in its module.
    pub index: u32,
}
