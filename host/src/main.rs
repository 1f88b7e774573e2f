//! The `sitewright` binary: starts the one runtime and hands over to the command line.

use std::process::ExitCode;

use clap::Parser as _;
use sitewright::cli::{Cli, Exit};

#[tokio::main]
#[allow(clippy::disallowed_methods, reason = "this is the place where the one runtime starts")]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Err(error) = sitewright::telemetry::start(cli.log_filter()) {
        #[allow(clippy::print_stderr, reason = "there is no log yet")]
        {
            eprintln!("error: {error}");
        }
        return Exit::Usage.into();
    }
    cli.run().await
}
