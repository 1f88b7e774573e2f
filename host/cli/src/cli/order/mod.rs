//! `sitewright order`: the orders of the queue. One file for each subcommand; `change` has `cancel`
//! and `retry`, `wait` is `add --wait`.

mod add;
mod change;
mod events;
mod export;
mod list;
mod show;
mod wait;

use super::exit::Exit;
use super::setup::{Setup, SetupError};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    Add(add::Args),
    List(list::Args),
    /// Show one order: state, attempts, cost, what it waits for, its last failure.
    Show {
        /// Id of the order.
        #[arg(value_name = "ID")]
        order: String,
    },
    Events(events::Args),
    /// Cancel one order: at once if it is queued, within about a second if it is running.
    Cancel {
        /// Id of the order.
        #[arg(value_name = "ID")]
        order: String,
    },
    /// Requeue an order that has ended; its attempts, records and current release stay.
    #[command(
        after_help = "AI replies that were paid for are reused, except those that a failure \
                            blames."
    )]
    Retry {
        /// Id of the order.
        #[arg(value_name = "ID")]
        order: String,
    },
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
