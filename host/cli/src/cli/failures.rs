//! `sitewright failures`: what went wrong, and why.

mod export;
mod gather;
mod list;
mod show;

use super::output::{self, Exit};
use super::setup::{Setup, SetupError};
use sitewright_failure::schema::RECORD_SCHEMA;

/// What can be asked of failures.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Lists failures: the same bug is one line with a count.
    List(list::Args),
    /// Shows a failure as a report: by its id, by its fingerprint with every time it happened, or
    /// the last one of an order.
    Show(show::Args),
    /// Prints the JSON Schema of failure records.
    Schema,
    /// Writes one failure with all that its author needs into one file (tar): record, order, AI
    /// replies, limits, template. `sitewright replay` makes it again from that, anywhere. Keys
    /// are taken out always.
    Export(export::Args),
}

pub(super) async fn run(setup: &Setup, command: Command, json: bool) -> Result<Exit, SetupError> {
    match command {
        Command::List(args) => list::run(&setup.config()?, args, json).await,
        Command::Show(args) => show::run(&setup.config()?, args, json).await,
        Command::Schema => {
            output::print(RECORD_SCHEMA);
            Ok(Exit::Done)
        }
        Command::Export(args) => export::run(&setup.config()?, args, json).await,
    }
}
