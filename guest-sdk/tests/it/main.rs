//! Tests of the SDK, all native: errors, the test harness, the order schema of the other SDKs.

mod errors;
mod harness;
mod schema;
mod table;
