//! The settings of a worker.

use std::sync::Arc;
use std::time::Duration;

use super::marks::Marks;
use super::model::AttemptLimits;

/// The settings of a worker. The default times were measured to work; tests set shorter ones.
#[derive(Debug, Clone)]
pub struct WorkerSettings {
    /// Maximum number of orders at once. Default: 2,000.
    pub max_orders: usize,
    /// The configuration of orders that name none.
    pub config_version: Option<String>,
    /// The newest version of the contract with templates that this worker knows, such as `0.2.0`,
    /// for `queue stats`. Default: not said.
    pub contract: Option<String>,
    pub limits: AttemptLimits,
    /// The marks of this process, for the one that rescues its orders. Without them no order is
    /// ever suspected of ending a process, and workers on the same machine wait for `stale_after`.
    pub marks: Option<Arc<Marks>>,
    /// Time between two heartbeats. Default: 5 s.
    pub heartbeat_every: Duration,
    /// A worker without a heartbeat for this long is late, and a while later (a quarter of this, and
    /// more than a heartbeat) it is stale and loses its orders. Several heartbeats long. Default:
    /// 20 s.
    pub stale_after: Duration,
    /// Time between two passes that rescue orders. Default: 5 s.
    pub rescue_every: Duration,
    /// An order without a job for this long gets one. Default: 10 s.
    pub adopt_after: Duration,
    /// Minimum time between two fetches of jobs, so that an idle worker does not hammer the
    /// database. Default: 20 ms.
    pub fetch_every: Duration,
    /// Maximum time between two fetches of jobs, for jobs without a notification. Default: 1 s.
    pub poll_every: Duration,
    /// The same on SQLite, where other processes send no notifications. Default: 100 ms.
    pub poll_embedded_every: Duration,
    /// Time between two checks whether waiting orders are due. Default: 1 s.
    pub schedule_every: Duration,
    /// Time that a handler has to stop before its task is dropped. Default: 2 s.
    pub stop_within: Duration,
    /// A worker that claims nothing for this long although orders are due and it has room ends with
    /// an error. Default: 90 s, longer than giving up all connections to a database that is away.
    pub stall_after: Duration,
}

/// Default of [`WorkerSettings::stop_within`].
pub(super) const DEFAULT_STOP_WITHIN: Duration = Duration::from_secs(2);

impl Default for WorkerSettings {
    fn default() -> Self {
        WorkerSettings {
            max_orders: 2_000,
            config_version: None,
            contract: None,
            limits: AttemptLimits::default(),
            marks: None,
            heartbeat_every: Duration::from_secs(5),
            stale_after: Duration::from_secs(20),
            rescue_every: Duration::from_secs(5),
            adopt_after: Duration::from_secs(10),
            fetch_every: Duration::from_millis(20),
            poll_every: Duration::from_secs(1),
            poll_embedded_every: Duration::from_millis(100),
            schedule_every: Duration::from_secs(1),
            stop_within: DEFAULT_STOP_WITHIN,
            stall_after: Duration::from_secs(90),
        }
    }
}
