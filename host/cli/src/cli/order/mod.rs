//! `sitewright order`: the orders of the queue. One file for what each group of subcommands does.

mod add;
mod change;
mod events;
mod export;
mod list;
mod show;
mod wait;

use super::output::Exit;
use super::setup::{Setup, SetupError};

/// What can be done with orders.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Puts orders in line for a worker.
    Add(add::Args),
    /// Lists orders, newest first.
    List(list::Args),
    /// Shows where an order stands: state, attempts, cost, what it waits for, its last failure.
    Show {
        /// The order's id.
        #[arg(value_name = "ID")]
        order: String,
    },
    /// Shows what an order went through, stage by stage.
    Events(events::Args),
    /// Stops an order: at once when it is in line, within a second or so when a worker has it.
    Cancel {
        /// The order's id.
        #[arg(value_name = "ID")]
        order: String,
    },
    /// Puts an order that has ended in line again. Its attempts, records and current release stay.
    #[command(after_help = "AI replies that were paid for are used again, except those that a \
                            failure was blamed on.")]
    Retry {
        /// The order's id.
        #[arg(value_name = "ID")]
        order: String,
    },
    /// Writes everything that is known of an order as one JSON document.
    Export(export::Args),
}

pub(super) async fn run(setup: &Setup, command: Command, json: bool) -> Result<Exit, SetupError> {
    let config = setup.config()?;
    if let Command::Add(args) = command {
        return add::run(&config, args, json).await;
    }
    let database = Setup::orders(&config).await?;
    let exit = match command {
        Command::Add(_) => Ok(Exit::Done),
        Command::List(args) => list::run(&database, args, json).await,
        Command::Show { order } => show::run(&database, &config, &order, json).await,
        Command::Events(args) => events::run(&database, args, json).await,
        Command::Cancel { order } => change::cancel(&database, &order, json).await,
        Command::Retry { order } => change::retry(&database, &config, &order, json).await,
        Command::Export(args) => export::run(&database, args, json).await,
    };
    database.close().await;
    exit
}
