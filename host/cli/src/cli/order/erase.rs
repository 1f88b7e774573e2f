//! `order erase`: removes everything of an order, for a customer who wants that.

use std::time::Duration;

use serde_json::json;

use crate::cli::audit;
use crate::cli::exit::Exit;
use crate::cli::output;
use crate::cli::setup::{Setup, SetupError};
use crate::config::Config;
use sitewright_control::{Erased, erase};
use sitewright_failure::render::clean;
use sitewright_jobs::Database;
use sitewright_site::{OrderDir, SitesRoot};

/// Erase everything of an order: document, AI replies, records, releases. Its site goes offline.
///
/// Only the id and the time are left, so that the order is not made again when it is sent again. A
/// queued order is not made; a running one is cancelled first. Workers on other machines remove
/// their files within `retention.every`.
#[derive(Debug, clap::Args)]
#[command(after_help = "What this cannot reach: files written by `order export` and `failures \
                        export`, backups, and what an AI provider keeps.")]
pub(in crate::cli) struct Args {
    /// Id of the order.
    #[arg(value_name = "ID", value_parser = super::kept_id)]
    order: String,
}

/// How long a running order is waited for.
const STOPS_WITHIN: Duration = Duration::from_secs(30);

pub(super) async fn run(
    database: &Database,
    config: &Config,
    args: Args,
    json: bool,
) -> Result<Exit, SetupError> {
    let id = args.order;
    let Erased { rows, files } = erase(database, &config.sites, &id, STOPS_WITHIN).await?;
    if let Ok(folder) = OrderDir::new(&id)
        && config.store.is_some()
    {
        let sites = SitesRoot::open(&config.sites)?;
        let client = sitewright_http::client()?;
        Setup::store(config, &sites, &client).await?.remove_order(&folder).await?;
    }
    audit::done(database, "order.erase", Some(id.clone())).await?;
    if json {
        output::print_json(&json!({
            "outcome": "erased", "order": id, "rows": rows, "files": files,
        }));
    } else {
        let count = |number: u64, what| output::count(i64::try_from(number).unwrap_or(0), what);
        let deliveries = |number| match number {
            1 => "1 delivery".to_owned(),
            number => format!("{number} deliveries"),
        };
        output::print(&format!(
            "order {} is erased: {}, {}, {}, {}, {}{}\n  not reached: exported files, backups, and what \
             an AI provider keeps\n",
            clean(&id),
            count(rows.attempts, "attempt"),
            count(rows.ai_calls, "AI call"),
            count(rows.failures, "failure record"),
            count(rows.events, "event"),
            deliveries(rows.deliveries),
            if files { ", and its files" } else { "" },
        ));
    }
    Ok(Exit::Done)
}
