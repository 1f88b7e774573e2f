//! How a worker works: `[worker]` of the configuration.

use serde::{Deserialize, Serialize};

/// Most orders that one worker can have: so many jobs the queue gives to one client.
pub const MOST_ORDERS: u32 = 10_000;

/// How a worker works: `[worker]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(schemars::JsonSchema)]
pub struct WorkerConfig {
    /// Most orders at once, the waiting ones included: each has an instance of its template. At
    /// most [`MOST_ORDERS`].
    pub max_orders: u32,
    /// Milliseconds that running orders get to end when the worker is told to go.
    pub grace_ms: u64,
    /// Attempts that an order may use. Waiting for a rate limit, draining and crashes use none.
    pub attempts: u32,
    /// Times that an order's process may end under it: with the last one the order is dead.
    pub crashes: u32,
    /// Milliseconds between two looks at the templates' folder. SIGHUP looks at once.
    pub reload_ms: u64,
    /// Milliseconds between two signs of life in the database.
    pub beat_ms: u64,
    /// Milliseconds without a sign of life after which others take a worker's orders.
    pub silent_ms: u64,
    /// Milliseconds that the wait before an order's second attempt is drawn below; doubles with
    /// each attempt.
    pub retry_base_ms: u64,
    /// Milliseconds that no such wait is drawn above.
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
