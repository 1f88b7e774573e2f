//! One binary for all tests that span crates, so that the host is linked once.

#![allow(clippy::disallowed_methods, reason = "each test has a runtime of its own")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::type_complexity,
    reason = "tests"
)]

mod ai_http;
mod ai_standins;
mod ai_stream;
mod ai_wire;
mod cli;
mod config;
mod contract;
mod deploy;
mod doctor;
mod engine;
mod failures;
mod inside;
mod lab;
mod limits;
mod orders;
mod orders_cli;
mod output;
mod plugin;
mod redaction;
mod replay;
mod replay_export;
mod replay_worker;
mod runtime;
mod sandbox;
mod spans;
mod worker_crash;
mod worker_life;
mod worker_outage;
mod worker_retry;
mod worker_store;
