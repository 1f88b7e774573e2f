//! Tests of the SDK, all native: errors, and the harness that stands in for the host.

mod errors;
mod harness;
