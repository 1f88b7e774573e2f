//! `sitewright replay`: repeats a recorded attempt and compares.

use std::path::{Path, PathBuf};

use super::exit::Exit;
use super::output;
use super::setup::{Setup, SetupError};
use crate::config::Config;
use sitewright_http as http;
use sitewright_jobs::Database;
use sitewright_model::message;
use sitewright_model::replay::{NoReplay, NoReplayVerdict};
use sitewright_replay::{
    FindError, Locations, RecordedAttempt, ReplayError, ReplayOptions, Scratch, find, replay,
    terminal,
};
use sitewright_runtime::plugin::Compiler;

/// Repeat a recorded attempt offline, with the same or another build of the template.
///
/// Uses the order document, the recorded AI replies and failures, and the clock and random numbers
/// of the attempt. Publishes nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes:
  0 the replay is as recorded; with --template: the failure is fixed
  8 the replay differs; with --template: the same or another failure
  9 the attempt cannot be replayed: something is missing

Examples:
  sitewright replay 01M8357K477S54PXCWJ5Y3G5CR
  sitewright replay 1042 --template target/templates/local-business.wasm
  sitewright replay failure-1042.tar --trap-on report")]
pub(super) struct Args {
    /// Failure (id, beginning of the id, or file), attempt, order (its last attempt), or bundle.
    #[arg(value_name = "FAILURE|ATTEMPT|ORDER|FILE.tar")]
    what: String,
    /// Replay with this build of the template, to see whether the failure is fixed.
    #[arg(long, value_name = "FILE.wasm")]
    template: Option<PathBuf>,
    /// Stop the template at its first error diagnostic, so that the record has the stack there.
    #[arg(long, value_name = "WHERE")]
    trap_on: Option<TrapOn>,
    /// Ask the configured models instead of using the recorded replies. These calls cost money.
    #[arg(long)]
    against_live: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum TrapOn {
    /// At the first `diagnostics.report` of an error.
    Report,
}

pub(super) async fn run(setup: &Setup, args: Args, json: bool) -> Result<Exit, SetupError> {
    let config = setup.config()?;
    let unpacked = Scratch::create().await.map_err(SetupError::Host)?;
    let subject = subject(&config, &args.what, unpacked.path()).await?;
    let client = http::client()?;
    let live = match args.against_live {
        false => None,
        true => Some(Setup::gateway(&config)?),
    };
    let how = ReplayOptions {
        template: args.template,
        trap_on_report: args.trap_on.is_some(),
        live,
        compiler: Compiler::this_program(&config.limits),
        limits: config.limits.clone(),
        checks: config.checks.clone(),
        confined: super::confined::children(),
        cache: Setup::cache(&config),
        client,
    };
    match replay(subject, how).await {
        Ok(report) => {
            if json {
                output::print_json(&report);
            } else {
                output::print(&terminal(&report, output::width()));
            }
            Ok(if report.verdict.is_good() { Exit::Done } else { Exit::Diverged })
        }
        Err(ReplayError::NotReplayable(error)) => {
            if json {
                output::print_json(&NoReplay {
                    verdict: NoReplayVerdict::NotReplayable,
                    attempt: error.attempt,
                    missing: error.missing,
                });
            } else {
                output::complain(&format!("{}\n", output::lines(&error.to_string(), "  ")));
            }
            Ok(Exit::NotReplayable)
        }
        Err(ReplayError::Host(message)) => Err(SetupError::Host(message)),
    }
}

/// The attempt that the argument names.
pub(super) async fn subject(
    config: &Config,
    what: &str,
    unpacked: &Path,
) -> Result<RecordedAttempt, SetupError> {
    // A bundle is complete: it needs no database.
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

/// The database of orders; `None` if there is none.
async fn database(config: &Config) -> Result<Option<Database>, SetupError> {
    match Setup::orders(config).await {
        Ok(database) => Ok(Some(database)),
        Err(SetupError::Database(error)) if error.is_without_tables() => Ok(None),
        Err(error) => Err(error),
    }
}
