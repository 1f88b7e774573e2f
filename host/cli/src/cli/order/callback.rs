//! `order callback`: which address is told of one order.

use serde_json::json;

use super::add;
use crate::cli::audit;
use crate::cli::exit::Exit;
use crate::cli::output;
use crate::cli::setup::SetupError;
use crate::config::Config;
use sitewright_failure::render::clean;
use sitewright_jobs::Database;
use sitewright_model::message;

#[derive(Debug, clap::Subcommand)]
pub(in crate::cli) enum Command {
    /// Give an order another callback, and enable it. What happened before is not sent to it.
    Set {
        /// Id of the order.
        #[arg(value_name = "ID", value_parser = super::kept_id)]
        order: String,
        /// URL that is told how the order ends, signed, as `[callbacks]` says.
        #[arg(value_name = "URL")]
        url: String,
    },
    /// Remove the callback of an order. What is pending for it is given up.
    Remove {
        /// Id of the order.
        #[arg(value_name = "ID", value_parser = super::kept_id)]
        order: String,
    },
}

pub(super) async fn run(
    database: &Database,
    config: &Config,
    command: Command,
    json: bool,
) -> Result<Exit, SetupError> {
    let (order, action, outcome, says) = match command {
        Command::Set { order, url } => {
            let url = add::callback(config, &url);
            let url = url.map_err(|why| SetupError::Usage(message!("the callback {why}")))?;
            let (outcome, says) = match database.set_callback(&order, &url).await? {
                true => ("set", "has this callback now, and it is enabled"),
                false => ("unchanged", "has this callback already"),
            };
            (order, "callback.set", outcome, says)
        }
        Command::Remove { order } => {
            let (outcome, says) = match database.remove_callback(&order).await? {
                true => ("removed", "has no callback any more"),
                false => ("unchanged", "has no callback"),
            };
            (order, "callback.remove", outcome, says)
        }
    };
    audit::done(database, action, Some(order.clone())).await?;
    if json {
        let callback = database.callback(&order).await?;
        output::print_json(&json!({ "outcome": outcome, "order": order, "callback": callback }));
    } else {
        output::print(&format!("order {} {says}\n", clean(&order)));
    }
    Ok(Exit::Done)
}
