//! The queue of orders and everything known about them, in SQLite inside the process or in
//! PostgreSQL.
//!
//! | file | what is in it |
//! |---|---|
//! | `database` | the one database of a process: opening it, reading, writing |
//! | `schema` | our tables, and how a database gets them |
//! | `order` | orders: put in line, list, cancel, begin again |
//! | `fair_share` | which of many orders of a template stand back, and when they move up |
//! | `attempt` | taking an order: from then on an attempt owns it |
//! | `complete` | how an attempt ends: order, record and job in one transaction, only while it owns the order |
//! | `retry` | which failures are worth another attempt, and when |
//! | `reply_journal` | AI replies that were paid for |
//! | `events` | progress and failure records |
//! | `failures` | failure records by what they are searched by, and counted |
//! | `worker` | works a job: takes its order, has it done, settles |
//! | `serving` | a worker as a whole: it starts, is heard, drains |
//! | `heartbeat`, `rescue` | who is alive, and what becomes of the orders of those who are not |
//! | `stall_detector` | a worker that takes nothing although orders wait |
//! | `stats` | what an operator watches; pause and resume |
//! | `sql`, `batch`, `coalesced` | both dialects alike; many writes to one commit, and those of one kind to one statement |
//! | `river` | the only place that knows River's tables |
//!
//! The order's row is the truth and its owner attempt the fence; a job of River only says that
//! somebody should look at an order. Whatever happens to a job (lost, doubled, late), no order is
//! lost, done twice or left standing.

mod attempt;
mod batch;
mod coalesced;
mod complete;
mod database;
mod error;
mod events;
mod failures;
mod fair_share;
mod heartbeat;
mod order;
mod reply_journal;
mod rescue;
mod retry;
mod river;
mod schema;
mod serving;
mod sql;
mod stall_detector;
mod stats;
mod worker;

pub use attempt::{Attempt, AttemptEnd, Claim, Claimed, WorkerId};
pub use complete::{AttemptLimits, NewFailure, Resolution, CompleteOutcome};
pub use database::Database;
pub use error::Error;
pub use events::{Event, Export, Failure, NewEvent};
pub use order::{
    CancelAnswer, Enqueued, Filter, NewOrder, Order, OrderState, PendingRelease, Priority,
};
pub use reply_journal::{AiCall, Cost, NewAiCall};
pub use retry::{Backoff, RetryClass, class};
pub use schema::{Migrated, SCHEMA_VERSION};
pub use serving::{Drained, Serving, StopNow, WorkerSettings, serve};
pub use stats::{Stats, WorkerStats};
pub use worker::{Handler, Stop, StopReason};
