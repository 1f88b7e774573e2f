//! The shared rules, each as a table.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod ai;
mod limits;
mod names;
mod path;
