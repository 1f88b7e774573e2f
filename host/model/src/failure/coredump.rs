//! What became of the core dump of a trap.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What became of a dump that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CoreDumpRecord {
    /// The file, until newer dumps take its place: WebAssembly's own format, which `wasm-tools
    /// print` shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Its size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
}

impl CoreDumpRecord {
    /// None, for a reason.
    pub fn missing(why: impl Into<String>) -> Self {
        CoreDumpRecord { path: None, bytes: None, missing: Some(why.into()) }
    }
}
