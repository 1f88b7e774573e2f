//! `order erase`: removes everything of an order, for a customer who wants that.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::cli::exit::Exit;
use crate::cli::output;
use crate::cli::setup::{Setup, SetupError};
use crate::config::Config;
use sitewright_failure::render::clean;
use sitewright_jobs::{Database, Error, OrderState, RemovalCause};
use sitewright_model::message;
use sitewright_site::{OrderDir, SitesRoot};
use sitewright_worker::remove_order_files;

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
    #[arg(value_name = "ID")]
    order: String,
}

/// How long a running order is waited for.
const STOPS_WITHIN: Duration = Duration::from_secs(30);
/// Time between two looks whether it has stopped.
const LOOK: Duration = Duration::from_millis(200);

pub(super) async fn run(
    database: &Database,
    config: &Config,
    args: Args,
    json: bool,
) -> Result<Exit, SetupError> {
    let id = args.order;
    let folder = OrderDir::new(&id).ok();
    let has_files = folder.as_ref().is_some_and(|folder| {
        let public = config.sites.join(sitewright_site::PUBLIC);
        config.sites.join(folder.as_str()).exists() || public.join(folder.as_str()).exists()
    });
    let known = match database.order(&id).await {
        Ok(order) => Some(order),
        Err(Error::NoSuchOrder { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let erased_before = database.erased_at(&id).await?;
    if known.is_none() && !has_files && erased_before.is_none() {
        return Err(Error::NoSuchOrder { order: id }.into());
    }
    if known.is_some_and(|order| order.state == OrderState::Running) {
        stop(database, &id).await?;
    }
    let rows = database.erase(&id).await?;
    let mut had_files = false;
    if let Some(folder) = folder {
        if config.sites.is_dir() {
            let (path, name) = (config.sites.clone(), folder.clone());
            let removed = tokio::task::spawn_blocking(move || -> Result<bool, SetupError> {
                let sites = SitesRoot::open(&path)?;
                remove_order_files(&sites, &name, RemovalCause::Erased).map_err(SetupError::Host)
            });
            had_files = removed.await.map_err(|error| {
                SetupError::Host(message!("removing the files did not end: {error}"))
            })??;
        }
        if config.store.is_some() {
            let sites = SitesRoot::open(&config.sites)?;
            let client = sitewright_http::client()?;
            Setup::store(config, &sites, &client).await?.remove_order(&folder).await?;
        }
    }
    if json {
        output::print_json(&json!({
            "outcome": "erased", "order": id, "rows": rows, "files": had_files,
        }));
    } else {
        let count = |number: u64, what| output::count(i64::try_from(number).unwrap_or(0), what);
        output::print(&format!(
            "order {} is erased: {}, {}, {}, {}{}\n  not reached: exported files, backups, and what \
             an AI provider keeps\n",
            clean(&id),
            count(rows.attempts, "attempt"),
            count(rows.ai_calls, "AI call"),
            count(rows.failures, "failure record"),
            count(rows.events, "event"),
            if had_files { ", and its files" } else { "" },
        ));
    }
    Ok(Exit::Done)
}

/// Cancels a running order and waits until its worker has stopped it.
async fn stop(database: &Database, id: &str) -> Result<(), SetupError> {
    database.cancel(id).await?;
    let begin = Instant::now();
    while database.order(id).await?.state == OrderState::Running {
        if begin.elapsed() > STOPS_WITHIN {
            return Err(SetupError::Host(message!(
                "order {id:?} was cancelled, and its worker has not stopped it within {} s; nothing \
                 was erased: run this again when `sitewright order show` says that it has ended",
                STOPS_WITHIN.as_secs()
            )));
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}
