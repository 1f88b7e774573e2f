//! `sitewright failures`: failure records, from files and from the database.

mod export;
mod gather;
mod list;
mod show;

pub(super) use list::kind;

use super::exit::Exit;
use super::output;
use super::setup::{Setup, SetupError};
use sitewright_failure::schema::RECORD_SCHEMA;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    List(list::Args),
    Show(show::Args),
    /// Print the JSON Schema of failure records.
    Schema,
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
