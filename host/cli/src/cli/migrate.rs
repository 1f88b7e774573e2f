//! `sitewright migrate`: the tables of the database.

use serde_json::json;

use super::exit::Exit;
use super::output;
use super::setup::{Setup, SetupError};

/// Create or update the tables of the database.
///
/// The database is the one of `database.url`. Safe to run again and at the same time as others: one
/// migrates, the others wait, at most `database.migration_wait_ms`. A worker migrates when it starts,
/// unless `--no-migrate` is given. Without anything to migrate it needs no right to change tables.
#[derive(Debug, clap::Args)]
#[command(after_help = "A database that a newer sitewright migrated is refused and not changed.")]
pub(super) struct Args {}

pub(super) async fn run(setup: &Setup, Args {}: Args, json: bool) -> Result<Exit, SetupError> {
    let config = setup.config()?;
    let database = Setup::database(&config).await?;
    let migrated = database.migrate().await;
    let shown = database.shown().to_owned();
    database.close().await;
    let migrated = migrated?;
    let changed = migrated.from != migrated.to || !migrated.river.is_empty();
    if json {
        let outcome = if changed { "migrated" } else { "unchanged" };
        output::print_json(&json!({
            "outcome": outcome, "database": shown, "from": migrated.from, "to": migrated.to, "river": migrated.river,
        }));
        return Ok(Exit::Done);
    }
    let mut text = format!("{shown}\n");
    text.push_str(&match (migrated.from, migrated.to) {
        (from, to) if from == to => format!("  sitewright's tables: version {to}, nothing to do\n"),
        (from, to) => format!("  sitewright's tables: from version {from} to {to}\n"),
    });
    text.push_str(&match migrated.river.as_slice() {
        [] => "  the queue's tables: nothing to do\n".to_owned(),
        versions => {
            let versions: Vec<String> = versions.iter().map(i64::to_string).collect();
            format!("  the queue's tables: applied {}\n", versions.join(", "))
        }
    });
    output::print(&text);
    Ok(Exit::Done)
}
