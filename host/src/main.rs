//! The `sitewright` binary: starts the one runtime and hands over to the command line.

use std::process::ExitCode;

use sitewright::cli::Cli;

#[tokio::main]
#[allow(clippy::disallowed_methods, reason = "this is the place where the one runtime starts")]
async fn main() -> ExitCode {
    match Cli::read() {
        Ok((cli, logging)) => cli.run(logging).await,
        Err(exit) => exit.into(),
    }
}
