//! Children that do what they may not.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::let_underscore_must_use,
    reason = "a test's helper functions fail the test, and #[tokio::test] makes its runtime"
)]

mod pool;
mod tasks;
