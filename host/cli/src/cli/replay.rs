//! `sitewright replay`: does it happen again?

use std::path::PathBuf;

use serde_json::json;

use super::output::{self, Exit};
use super::setup::{Setup, SetupError};
use crate::config::Config;
use sitewright_http as http;
use sitewright_jobs::Database;
use sitewright_model::message;
use sitewright_replay::{
    FindError, LiveReplay, Locations, RecordedAttempt, ReplayError, ReplayOptions, Scratch, find,
    replay,
};

/// Makes a recorded attempt again, offline: from the order's document, the AI replies and failures
/// that were recorded, and the clock and the random numbers of the attempt. Nothing is published.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes:
  0 it happens again as it was recorded; with --template: it is fixed
  8 it does not; with --template: the same or another failure
  9 it cannot be replayed: something is missing

Examples:
  sitewright replay 01M8357K477S54PXCWJ5Y3G5CR
  sitewright replay 1042 --template target/templates/local-business.wasm
  sitewright replay failure-1042.tar --trap-on report")]
pub(super) struct Args {
    /// A failure (its id, the beginning of it, or its file), an attempt, an order (its last
    /// attempt is meant), or a bundle.
    #[arg(value_name = "FAILURE|ATTEMPT|ORDER|FILE.tar")]
    what: String,
    /// Another build of the template: is it fixed?
    #[arg(long, value_name = "FILE.wasm")]
    template: Option<PathBuf>,
    /// Stops the template at its first error diagnostic, so that the record has its stack there.
    #[arg(long, value_name = "WHERE")]
    trap_on: Option<TrapOn>,
    /// Asks the configured models instead of taking the recorded answers. This costs what calls
    /// cost.
    #[arg(long)]
    against_live: bool,
}

/// Where a template is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum TrapOn {
    /// At the first `diagnostics.report` of an error.
    Report,
}

pub(super) async fn run(setup: &Setup, args: Args, json: bool) -> Result<Exit, SetupError> {
    let config = setup.config()?;
    let unpacked = Scratch::create().await.map_err(SetupError::Host)?;
    let subject = match subject(&config, &args.what, unpacked.path()).await {
        Ok(subject) => subject,
        Err(error) => return Err(error),
    };
    let client = http::client()?;
    let live = match args.against_live {
        false => None,
        true => {
            Some(LiveReplay { gateway: Setup::gateway(&config)?, limits: config.limits.clone() })
        }
    };
    let how = ReplayOptions {
        template: args.template,
        trap_on_report: args.trap_on.is_some(),
        live,
        cache: config.cache.clone(),
        client,
    };
    match replay(subject, how).await {
        Ok(report) => {
            if json {
                output::print_json(&report);
            } else {
                output::print(&report.terminal(output::width()));
            }
            Ok(if report.verdict.is_good() { Exit::Done } else { Exit::Diverged })
        }
        Err(ReplayError::NotReplayable(error)) => {
            if json {
                output::print_json(&json!({
                    "verdict": "not_replayable",
                    "attempt": error.attempt,
                    "missing": error.missing,
                }));
            } else {
                output::complain(&format!("{error}\n"));
            }
            Ok(Exit::NotReplayable)
        }
        Err(ReplayError::Host(message)) => Err(SetupError::Host(message)),
    }
}

/// The attempt that is meant.
pub(super) async fn subject(
    config: &Config,
    what: &str,
    unpacked: &std::path::Path,
) -> Result<RecordedAttempt, SetupError> {
    // A bundle has all of it, and whoever has one need not have a database.
    let database = match what.ends_with(".tar") {
        true => None,
        false => database(config).await?,
    };
    let places = Locations { config: &config.for_replay(), database: database.as_ref() };
    let found = find(&places, what, unpacked).await;
    if let Some(database) = database {
        database.close().await;
    }
    found.map_err(|error| match error {
        FindError::Store(error) => SetupError::Failures(error),
        FindError::Database(error) => SetupError::Database(error),
        error => SetupError::Usage(message!("no attempt can be read: {error}")),
    })
}

/// The database of orders; nothing when there is none.
async fn database(config: &Config) -> Result<Option<Database>, SetupError> {
    match Setup::orders(config).await {
        Ok(database) => Ok(Some(database)),
        Err(SetupError::Database(error)) if error.is_without_tables() => Ok(None),
        Err(error) => Err(error),
    }
}
