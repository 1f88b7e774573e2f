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
    /// Milliseconds that running orders have to end when the worker drains. Default: 60000.
    pub grace_ms: u64,
    /// Attempts that an order may use. Waiting for a rate limit, draining and crashes use none.
    /// Default: 5.
    pub attempts: u32,
    /// Number of crashes of its process after which an order is dead. Default: 2.
    pub crashes: u32,
    /// Milliseconds between two scans of the templates folder; SIGHUP scans at once. Default: 2000.
    pub reload_ms: u64,
    /// Milliseconds between two heartbeats in the database. Default: 5000.
    pub beat_ms: u64,
    /// Milliseconds without a heartbeat after which other workers take a worker's orders. Default:
    /// 20000.
    pub silent_ms: u64,
    /// Milliseconds below which the wait before an order's second attempt is drawn at random;
    /// doubles with each further attempt. Default: 2000.
    pub retry_base_ms: u64,
    /// Upper bound of that random wait, in milliseconds. Default: 300000.
    pub retry_max_ms: u64,
}

impl Default for WorkerConfig {
    fn default() -> Self {
        WorkerConfig {
            max_orders: 2_000,
            grace_ms: 60_000,
            attempts: 5,
            crashes: 2,
            reload_ms: 2_000,
            beat_ms: 5_000,
            silent_ms: 20_000,
            retry_base_ms: 2_000,
            retry_max_ms: 300_000,
        }
    }
}
