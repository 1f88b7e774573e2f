//! Which call of a run a reply belongs to.

use serde::{Deserialize, Serialize};

/// Identifies a call of a run by its request and by how often the run made the same request before.
/// Independent of the order in which concurrent calls begin.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct JournalKey {
    /// SHA-256 of the request, in hex.
    pub request: String,
    /// The number of earlier calls of the run with the same request.
    pub occurrence: u32,
}
