//! The `sitewright` binary: starts the one runtime and runs the command line.

use std::process::ExitCode;

use sitewright::cli::Cli;

/// A busy worker spends a fifth of its processor time in the C library's allocator; `cargo xtask
/// bench worker` with and without this line measures it. Programs that use the library choose their
/// own allocator.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Version and commit: `0.1.0+1a2b3c4d5e6f`.
const BUILD: &str = concat!(env!("CARGO_PKG_VERSION"), "+", env!("SITEWRIGHT_COMMIT"));

fn main() -> ExitCode {
    sitewright_model::build::set_host_build(BUILD);
    // Before there are threads: a child's sandbox is for those that it starts itself.
    sitewright::cli::child().unwrap_or_else(start)
}

#[tokio::main]
#[allow(clippy::disallowed_methods, reason = "this is the place where the one runtime starts")]
async fn start() -> ExitCode {
    match Cli::read() {
        Ok((cli, logging)) => cli.run(logging).await,
        Err(exit) => exit.into(),
    }
}
