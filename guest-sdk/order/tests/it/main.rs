//! Tests of the order: which documents are read, and what is reported about the others.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helper functions fail the test")]

mod crm_habits;
mod lenient;
mod names;
mod problems;
mod round_trip;
mod shipped_orders;
mod support;
mod tolerant;
