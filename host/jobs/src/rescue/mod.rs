//! Creates a new job for orders without a live worker (failure catalogue C7, D2, D3).
//!
//! | file | which orders |
//! |---|---|
//! | `stale` | owned by an attempt whose worker is stale, or that its worker no longer runs |
//! | `orphaned` | unclaimed, and their job is missing or was never claimed |
//! | `future_dated` | unclaimed, and dated in the future since the clock was set back |

mod future_dated;
mod orphaned;
mod stale;

use std::time::Duration;

use super::database::Database;
use super::heartbeat::Observer;
use super::model::AttemptLimits;

/// Maximum number of orders in one transaction.
const CHUNK: usize = 50;

/// The orders that one pass rescued.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Rescued {
    /// Queued again after a crash.
    pub(super) queued: Vec<String>,
    /// Given up: they reached the limit of crashes.
    pub(super) dead: Vec<String>,
    /// Cancelled, as was requested before.
    pub(super) cancelled: Vec<String>,
    /// Given a new job.
    pub(super) requeued: Vec<String>,
}

impl Rescued {
    pub(super) fn is_empty(&self) -> bool {
        *self == Rescued::default()
    }
}

/// Looks for orders that need rescue.
#[derive(Debug)]
pub(super) struct Rescuer {
    pub(super) database: Database,
    /// The worker that runs this rescuer.
    pub(super) me: String,
    pub(super) limits: AttemptLimits,
    /// A worker without a heartbeat for this long is stale.
    pub(super) stale_after: Duration,
    /// An order without a job for this long gets one.
    pub(super) adopt_after: Duration,
    pub(super) observer: Observer,
}
