//! One binary for all tests that span crates, so that the host is linked once.

#![allow(clippy::disallowed_methods, reason = "each test has a runtime of its own")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod ai_http;
mod cli;
mod config;
mod doctor;
mod orders;
