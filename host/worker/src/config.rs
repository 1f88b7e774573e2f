//! `[worker]` of the configuration.

use serde::{Deserialize, Serialize};

/// Upper bound of `worker.max_orders`: the number of jobs that the queue gives to one client.
pub const MOST_ORDERS: u32 = 10_000;

/// `[worker]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(schemars::JsonSchema)]
pub struct WorkerConfig {
    /// Maximum number of orders at once, those that wait for AI included: each has an instance of
    /// its template. At most 10,000. Default: 2000.
    pub max_orders: u32,
    /// Maximum bytes of memory of all templates that run at the same time. An order whose template
    /// would need more waits until others have ended, and uses no attempt. A single order may always
    /// use `limits.memory_bytes`. Default: half of the machine's memory, or of that which the
    /// process's control group may use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Milliseconds that running orders have to end when the worker drains. Default: 60000.
    pub grace_ms: u64,
    /// Attempts that an order may use. Waiting for a rate limit, draining and crashes use none.
    /// Default: 5.
    pub attempts: u32,
    /// Number of processes that an order may end while its code, and no other order's, runs in them;
    /// after the last one it is dead. The end of a process is no crash of the other orders in it.
    /// Default: 2.
    pub crashes: u32,
    /// Milliseconds between two scans of the templates folder; SIGHUP scans at once. Default: 2000.
    pub reload_ms: u64,
    /// Milliseconds between two heartbeats in the database. Default: 5000.
    pub beat_ms: u64,
    /// Milliseconds without a heartbeat after which a worker is late. If it sends none for another
    /// quarter of this, other workers take its orders. Those of a process that has ended on the same
    /// machine are taken at once. Default: 20000.
    pub silent_ms: u64,
    /// Milliseconds below which the wait before an order's second attempt is drawn at random;
    /// doubles with each further attempt. Also the wait before the first probe of a hold. Default:
    /// 2000.
    pub retry_base_ms: u64,
    /// Upper bound of that wait, in milliseconds. Default: 300000.
    pub retry_max_ms: u64,
    /// Milliseconds that orders wait for a template that no live worker has; after that they fail.
    /// Default: 600000.
    pub template_grace_ms: u64,
    /// A template or route is held when more than this share, in percent, of its last attempts on
    /// one worker end with the same failure: its orders wait, and one at a time is let through. 100
    /// never holds. Default: 80.
    pub circuit_percent: u32,
    /// The number of last attempts that `circuit_percent` is a share of. Default: 20.
    pub circuit_window: u32,
    /// Minimum number of attempts before `circuit_percent` counts. Default: 10.
    pub circuit_least: u32,
}

impl Default for WorkerConfig {
    fn default() -> Self {
        WorkerConfig {
            max_orders: 2_000,
            memory_bytes: None,
            grace_ms: 60_000,
            attempts: 5,
            crashes: 2,
            reload_ms: 2_000,
            beat_ms: 5_000,
            silent_ms: 20_000,
            retry_base_ms: 2_000,
            retry_max_ms: 300_000,
            template_grace_ms: 600_000,
            circuit_percent: 80,
            circuit_window: 20,
            circuit_least: 10,
        }
    }
}
