//! The `sitewright` binary as a library: command line, configuration, telemetry.
//!
//! | file | question |
//! |---|---|
//! | `cli/` | which commands are there? One file for each, `cli/mod.rs` has the list |
//! | `config` | which keys does the operator set, and which values are allowed? |
//! | `terminal` | what may reach a terminal, whoever wrote it? |
//! | `telemetry` | what is logged, and what happens if stderr is slow? |
//! | `log_fields` | how are the values of log lines cleaned? |
//! | `log_json` | what does a log line look like as JSON? |
//!
//! **Invariant:** only `main` starts a runtime (clippy's `disallowed-methods`).
//!
//! **Invariant:** everything that is printed or logged passes a guard of `terminal`. Only `output`
//! and `telemetry` write to stdout and stderr, which a test of `terminal` checks.
//!
//! **Invariant:** commands contain no logic of the queue, of AI calls or of sites: they call the
//! crates below and print.

pub mod cli;
pub mod config;
mod log_fields;
mod log_json;
pub mod telemetry;
mod terminal;
#[cfg(test)]
mod written;
