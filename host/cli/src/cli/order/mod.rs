//! `sitewright order`: the orders of the queue. One file for each subcommand; `change` has `cancel`
//! and `retry`, `wait` is `add --wait`.

mod add;
mod callback;
mod change;
mod erase;
mod events;
mod export;
mod list;
mod release;
mod revise;
mod show;
mod wait;

use std::borrow::Cow;
use std::convert::Infallible;

use super::exit::Exit;
use super::setup::{Setup, SetupError};
use sitewright_intake::folder_id;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    Add(add::Args),
    List(list::Args),
    /// Show one order: state, attempts, cost, what it waits for, its last failure.
    Show {
        /// Id of the order.
        #[arg(value_name = "ID", value_parser = kept_id)]
        order: String,
    },
    Events(events::Args),
    /// Cancel orders: at once if they are queued, within about a second if they are running.
    #[command(after_help = CANCEL_EXAMPLES)]
    Cancel(change::Args),
    /// Requeue orders that have ended; their attempts, records and current releases stay.
    ///
    /// AI replies that were paid for are reused, except those that a failure blames. Many orders
    /// are requeued in batches; Ctrl-C stops after the current one.
    #[command(after_help = RETRY_EXAMPLES)]
    Retry(change::Args),
    Revise(revise::Args),
    /// Give an order another callback, or remove the one that it has.
    #[command(subcommand, after_help = CALLBACK_EXAMPLES)]
    Callback(callback::Command),
    /// List, compare and choose the releases of an order that are kept.
    #[command(subcommand)]
    Release(release::Command),
    Erase(erase::Args),
    Export(export::Args),
}

const CANCEL_EXAMPLES: &str = "Examples:
  sitewright order cancel 24
  sitewright order cancel --template local-business --state queued,waiting --dry-run
  sitewright --json order list --state queued | jq -r '.orders[].id' | sitewright order cancel -";

const RETRY_EXAMPLES: &str = "Examples:
  sitewright order retry 24 25 26
  sitewright order retry --state failed --template local-business --since 1h --dry-run
  sitewright order retry --fingerprint 3fa9c1d2 --rate 100/m";

const CALLBACK_EXAMPLES: &str = "Examples:
  sitewright order callback set 24 'https://shop.example/done?order=24'
  sitewright order callback remove 24
To enable one that its receiver disabled: `sitewright webhook enable callback --order 24`.";

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
        Command::Cancel(args) => change::cancel(&database, args, json).await,
        Command::Retry(args) => change::retry(&database, &config, args, json).await,
        Command::Revise(args) => revise::run(&database, &config, args, json).await,
        Command::Callback(command) => callback::run(&database, &config, command, json).await,
        Command::Release(command) => release::run(&database, &config, command, json).await,
        Command::Erase(args) => erase::run(&database, &config, args, json).await,
        Command::Export(args) => export::run(&database, args, json).await,
    };
    database.close().await;
    exit
}

/// The id under which an order is kept, of an id as the CRM writes it: `2026/117` names no folder.
fn kept_id(id: &str) -> Result<String, Infallible> {
    Ok(folder_id(id).map_or_else(|_| id.to_owned(), Cow::into_owned))
}
