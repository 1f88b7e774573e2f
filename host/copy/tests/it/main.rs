#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helper functions fail the test"
)]
mod corpus;
mod properties;
mod scripted;
