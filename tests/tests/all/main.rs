//! One binary for all tests that span crates, so that the host is linked once.

#![allow(clippy::disallowed_methods, reason = "each test has a runtime of its own")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod contract;
mod engine;
mod lab;
mod orders;
mod plugin;
mod runtime;
mod failures;
mod inside;
mod limits;
mod orders;
mod output;
mod sandbox;
