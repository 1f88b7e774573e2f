//! `order export`: one order with all its data.

use std::path::PathBuf;

use serde_json::json;

use crate::cli::exit::Exit;
use crate::cli::output;
use crate::cli::setup::SetupError;
use sitewright_jobs::Database;
use sitewright_model::message;

/// Export one order with all its data as one JSON document.
///
/// Contains the order, its document, attempts, events, AI replies and failure records.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  sitewright order export 24 | jq '.attempts[].outcome'\n  \
                        sitewright order export 24 --out order-24.json")]
pub(in crate::cli) struct Args {
    /// Id of the order.
    #[arg(value_name = "ID", value_parser = super::kept_id)]
    order: String,
    /// Write to this file instead of stdout.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) async fn run(database: &Database, args: Args, json: bool) -> Result<Exit, SetupError> {
    let export = database.export(&args.order).await?;
    let Some(file) = args.out else {
        output::print_json(&export);
        return Ok(Exit::Done);
    };
    let text = serde_json::to_vec_pretty(&export).map_err(|error| {
        SetupError::Host(message!("the export cannot be written as JSON: {error}"))
    })?;
    tokio::fs::write(&file, &text).await.map_err(|error| {
        SetupError::Usage(message!(
            "the file {} cannot be written (--out): {error}",
            file.display()
        ))
    })?;
    if json {
        output::print_json(
            &json!({ "outcome": "exported", "order": args.order, "file": file, "bytes": text.len() }),
        );
    } else {
        output::print(&format!("{}\n", file.display()));
    }
    Ok(Exit::Done)
}
