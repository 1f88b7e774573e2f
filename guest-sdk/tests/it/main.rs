//! Tests of the SDK, all native: errors, the test harness, the order schema of the other SDKs.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helper functions fail the test")]

mod errors;
mod harness;
mod schema;
mod table;
