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

mod ai_connections;
mod ai_http;
mod ai_standins;
mod ai_stream;
mod ai_wire;
mod alone;
mod author;
mod blocking;
mod cli;
mod compiling;
mod config;
mod conformance;
mod conformance_rules;
mod contract;
mod contract_versions;
mod coredumps;
mod crates;
mod deploy;
mod doctor;
mod engine;
mod failures;
mod failures_cli;
mod failures_faces;
mod hostile;
mod inside;
mod lab;
mod limits;
mod mutated;
mod orders;
mod orders_cli;
mod output;
mod pages;
mod plugin;
mod redaction;
mod replay;
mod replay_export;
mod replay_worker;
mod runtime;
mod sandbox;
mod spans;
mod storm;
mod symbols;
mod template_languages;
mod trap_languages;
mod trap_matrix;
mod worker_catalogue;
mod worker_crash;
mod worker_life;
mod worker_machine;
mod worker_outage;
mod worker_retry;
mod worker_store;
