//! The core dump of a trap, in its record.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A requested core dump, or why there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CoreDumpRecord {
    /// The file, in the WebAssembly core dump format (see `wasm-tools print`). Newer dumps replace
    /// it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Size of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Why there is no dump.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
}

impl CoreDumpRecord {
    /// No dump, because of `why`.
    pub fn missing(why: impl Into<String>) -> Self {
        CoreDumpRecord { path: None, bytes: None, missing: Some(why.into()) }
    }
}
