//! Creates a new job for orders without a live worker (failure catalogue C7, D2, D3).
//!
//! | file | which orders |
//! |---|---|
//! | `stale` | owned by an attempt whose worker has ended or is stale, or that its worker no longer runs |
//! | `blame` | which of those may have ended the process |
//! | `orphaned` | unclaimed, and their job is missing or was never claimed |
//! | `future_dated` | unclaimed, and dated in the future since the clock was set back |

mod blame;
mod future_dated;
mod orphaned;
mod stale;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::database::Database;
use super::heartbeat::WorkerIdentity;
use super::marks::{Found, Marks};
use super::model::AttemptLimits;
use super::settings::WorkerSettings;

/// Maximum number of orders in one transaction.
const CHUNK: usize = 50;
/// Time between two looks whether a process on this machine has ended.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The orders that one pass rescued.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Rescued {
    /// Queued again.
    pub(super) queued: Vec<String>,
    /// Of those, the ones whose code ran when their process ended: they are tried alone.
    pub(super) suspected: Vec<String>,
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

/// Looks for orders that need rescue. Remembers nothing from one pass to the next: what a pass has
/// to know of earlier ones is in the database, so that a worker that lives for seconds only can
/// rescue too.
#[derive(Debug)]
pub(super) struct Rescuer {
    pub(super) database: Database,
    /// The worker that runs this rescuer.
    pub(super) me: WorkerIdentity,
    /// The folder of the marks of all workers on this machine.
    pub(super) marks: Option<PathBuf>,
    pub(super) limits: AttemptLimits,
    /// A worker without a heartbeat for this long is late.
    pub(super) stale_after: Duration,
    /// A worker whose heartbeat stays away for this long after it was found to be late is stale.
    pub(super) confirm: Duration,
    /// An order without a job for this long gets one.
    pub(super) adopt_after: Duration,
    /// The marks of the processes on this machine that ran when the last pass looked. Only to begin
    /// the next pass sooner.
    neighbours: Vec<String>,
}

impl Rescuer {
    pub(super) fn new(database: &Database, me: &WorkerIdentity, settings: &WorkerSettings) -> Self {
        Rescuer {
            database: database.clone(),
            me: me.clone(),
            marks: settings.marks.as_ref().map(|marks| marks.folder().to_owned()),
            limits: settings.limits,
            stale_after: settings.stale_after,
            // A live worker sends at least one heartbeat meanwhile.
            confirm: (settings.heartbeat_every * 3 / 2).max(settings.stale_after / 4),
            adopt_after: settings.adopt_after,
            neighbours: Vec::new(),
        }
    }

    /// The processes on this machine whose end is worth a pass.
    pub(super) fn neighbours(&self) -> Neighbours {
        Neighbours { folder: self.marks.clone(), names: self.neighbours.clone() }
    }
}

/// The other workers' processes on this machine.
#[derive(Debug)]
pub(super) struct Neighbours {
    folder: Option<PathBuf>,
    names: Vec<String>,
}

impl Neighbours {
    /// Waits until one of them has ended, and looks once a second.
    pub(super) async fn one_has_ended(self) {
        let Neighbours { folder: Some(folder), names } = self else {
            return std::future::pending().await;
        };
        if names.is_empty() {
            return std::future::pending().await;
        }
        let (folder, names) = (Arc::new(folder), Arc::new(names));
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let (folder, names) = (folder.clone(), names.clone());
            let look = move || {
                names.iter().any(|name| matches!(Marks::look(&folder, name), Found::Ended(_)))
            };
            if tokio::task::spawn_blocking(look).await.unwrap_or(false) {
                return;
            }
        }
    }
}
