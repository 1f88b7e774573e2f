//! What all crates of the host share: ids, kinds, messages and records.
//!
//! | file | what is in it |
//! |---|---|
//! | [`message`] | a text for people that is never empty, and the causes of an error |
//! | [`failure`] | the failure record and its parts |
//! | [`ai`] | how AI calls end: attempts, errors, usage, cost |
//! | [`backoff`] | how long to wait before the next try |
//! | [`Measure`] | a limit and its usage |
//! | [`metrics`] | metrics of one moment |
//! | [`replay`] | what a replay of a recorded attempt came to |
//! | [`trace`] | the trace that an order is a part of |
//! | [`time`] | points in time and durations as records write them |
//! | [`text`] | text on one line |
//! | [`panic`] | the message of a caught panic |
//! | [`build`] | which build of the host this process runs |
//!
//! **Invariant:** this crate does no I/O and knows no other crate of the host. It depends on serde
//! and schemars so that every record has one shape, wherever it is written.

pub mod ai;
pub mod backoff;
pub mod build;
pub mod failure;
mod measure;
pub mod message;
pub mod metrics;
pub mod panic;
pub mod replay;
pub mod text;
pub mod time;
pub mod trace;

pub use measure::Measure;
