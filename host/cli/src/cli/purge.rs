//! `sitewright purge`: removes at once what the next sweeps of `[retention]` would.

use serde_json::json;

use super::exit::Exit;
use super::output;
use super::setup::{Setup, SetupError};
use sitewright_site::{SiteStore, SitesRoot};
use sitewright_worker::{SweepMode, Swept, sweep_database, sweep_files};

/// Remove what has expired by `[retention]`, and what dead workers left.
///
/// A worker does this by itself, once in `retention.every`. This command looks at all orders, also
/// those that earlier sweeps have seen, and at the sites folder of this machine.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  sitewright purge --dry-run\n  sitewright --json purge | jq \
                        .removed.orders")]
pub(super) struct Args {
    /// Count what would be removed, and remove nothing.
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(setup: &Setup, args: Args, json: bool) -> Result<Exit, SetupError> {
    let config = setup.config()?;
    let database = Setup::orders(&config).await?;
    let mode = if args.dry_run { SweepMode::DryRun } else { SweepMode::Whole };
    let swept = async {
        let mut swept = sweep_database(&database, &config.retention, mode).await?;
        // `SitesRoot::open` would create the folder.
        if config.sites.is_dir() {
            let sites = SitesRoot::open(&config.sites)?;
            let store = match config.store {
                None => SiteStore::folder(&sites),
                Some(_) => {
                    let client = sitewright_http::client()?;
                    Setup::store(&config, &sites, &client).await?
                }
            };
            sweep_files(&database, &sites, &store, &config.retention, mode, &mut swept)
                .await
                .map_err(SetupError::Host)?;
        }
        Ok::<Swept, SetupError>(swept)
    };
    let swept = swept.await;
    database.close().await;
    let swept = swept?;
    if json {
        let outcome = if args.dry_run { "dry_run" } else { "purged" };
        output::print_json(&json!({ "outcome": outcome, "removed": swept }));
    } else {
        output::print(&text(&swept, args.dry_run));
    }
    Ok(Exit::Done)
}

fn text(swept: &Swept, dry_run: bool) -> String {
    if swept.is_empty() {
        return "Nothing has expired.\n".to_owned();
    }
    let row = |(what, count): (String, u64)| format!("  {count:>9}  {what}\n");
    let text: String = swept.rows().into_iter().map(row).collect();
    let says = if dry_run { "would be removed; nothing was" } else { "were removed" };
    format!("{text}{says}\n")
}
