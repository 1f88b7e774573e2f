//! The `sitewright` binary as a library: command line, configuration, telemetry.

pub mod cli;
pub mod config;
pub mod telemetry;
