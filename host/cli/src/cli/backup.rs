//! `sitewright backup`: a copy of the database while workers use it.

use std::path::PathBuf;

use serde_json::json;

use super::exit::Exit;
use super::output;
use super::setup::{Setup, SetupError};
use sitewright_failure::render;
use sitewright_jobs::BackupError;
use sitewright_model::message;

/// Write a backup of an SQLite database to a new file, and check it.
///
/// Workers need not stop: the backup is the database at one moment. It holds orders, AI replies and
/// failure records; sites are in the sites folder. PostgreSQL has pg_dump.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  sitewright backup /backup/sitewright-$(date +%F).db\n\
    \nTo restore: stop the workers, copy the file to the place of the database, and remove the \
    files\nbeside it that end with -wal and -shm.")]
pub(super) struct Args {
    /// The file to write; it must not exist.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

pub(super) async fn run(setup: &Setup, args: Args, json: bool) -> Result<Exit, SetupError> {
    let config = setup.config()?;
    let database = Setup::orders(&config).await?;
    let written = database.backup(&args.file).await;
    database.close().await;
    let backup = written.map_err(|error| match error {
        BackupError::Database(error) => SetupError::Database(error),
        error if error.is_usage() => SetupError::Usage(message!("no backup was written: {error}")),
        error => SetupError::Host(message!("no backup was written: {error}")),
    })?;
    if json {
        output::print_json(&json!({ "outcome": "written", "backup": backup }));
    } else {
        output::print(&format!(
            "{} ({}, {}, schema version {}) was written and checked\n",
            render::clean(&backup.file.display().to_string()),
            render::bytes(backup.bytes),
            output::count(backup.orders, "order"),
            backup.schema
        ));
    }
    Ok(Exit::Done)
}
