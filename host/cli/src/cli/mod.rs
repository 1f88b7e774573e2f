//! The command line: one file for each subcommand.

mod ai;
mod conformance;
mod doctor;
mod failures;
mod generate;
mod migrate;
mod order;
mod output;
mod queue;
mod replay;
mod setup;
mod template;
mod template_record;
mod when;
mod worker;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use output::Exit;

use crate::telemetry::{Backpressure, LogFormat, Logging};
use sitewright_runtime::plugin::{CompileArgs, compile_here};

/// Turns website orders into finished websites: sandboxed wasm templates, AI calls, and one
/// complete record of whatever goes wrong.
#[derive(Debug, Parser)]
#[command(name = "sitewright", version = sitewright_model::build::host_build(), max_term_width = 110, after_help = EXIT_CODES)]
pub struct Cli {
    /// Configuration file; `sitewright.toml` when it is there.
    #[arg(long, global = true, value_name = "FILE", env = "SITEWRIGHT_CONFIG")]
    config: Option<PathBuf>,
    /// Folder of templates, instead of the configuration's `templates`.
    #[arg(long, global = true, value_name = "DIR")]
    templates: Option<PathBuf>,
    /// Folder for sites and failure records, instead of the configuration's `sites`.
    #[arg(long, global = true, value_name = "DIR")]
    out: Option<PathBuf>,
    /// One JSON object on stdout, for scripts.
    #[arg(long, global = true)]
    json: bool,
    /// When text has colours: `auto` (where a terminal shows them and NO_COLOR is not set),
    /// `always` or `never`.
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        hide_possible_values = true
    )]
    color: output::Color,
    /// What is logged on stderr: `error` (the default; `info` for a worker), `sitewright=debug`,
    /// ...
    #[arg(long, global = true, value_name = "FILTER", env = "SITEWRIGHT_LOG")]
    log: Option<String>,
    /// How a line of the log looks: `pretty` or `json`.
    #[arg(
        long,
        global = true,
        value_name = "FORMAT",
        env = "SITEWRIGHT_LOG_FORMAT",
        default_value = "pretty",
        hide_possible_values = true
    )]
    log_format: LogFormat,
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0 done                     4 template failed (error, trap, limit)
  1 host error               5 AI failed
  2 usage or configuration   6 output rejected
  3 invalid order            7 cancelled
  8 replay differs           9 cannot be replayed
 10 a template breaks a rule of the conformance suite";

#[derive(Debug, Subcommand)]
enum Command {
    /// Makes the site of one order, now and here.
    Generate(generate::Args),
    /// Orders of the queue: put in line, look at, stop, begin again.
    #[command(subcommand)]
    Order(order::Command),
    /// The queue: how much is in line, who works at it; stop it and let it go on.
    #[command(subcommand)]
    Queue(queue::Command),
    /// Makes or renews the tables of the database.
    Migrate(migrate::Args),
    /// Templates: what there is and what it needs.
    #[command(subcommand)]
    Template(template::Command),
    /// Tries templates against the contract.
    Conformance(conformance::Args),
    /// Failure records: what went wrong, and why.
    #[command(subcommand)]
    Failures(failures::Command),
    /// Makes a recorded attempt again, offline: does it still fail, and is it fixed in another
    /// build?
    Replay(replay::Args),
    /// AI calls by hand, through the code that templates use.
    #[command(subcommand)]
    Ai(ai::Command),
    /// Takes orders from the queue and makes their sites, until it is told to go.
    Worker(worker::Args),
    /// Checks configuration, folders, templates and AI routes, and says what to do.
    Doctor(doctor::Args),
    /// From a component on stdin to its compiled form on stdout: what the other commands start this
    /// program for.
    #[command(hide = true)]
    CompileTemplate(CompileArgs),
}

impl Cli {
    /// Reads the command line and starts the log. Help, and what is wrong with the command line, is
    /// printed already.
    ///
    /// # Errors
    /// The exit code, when there is nothing to run.
    pub fn read() -> Result<(Self, Logging), Exit> {
        let cli = Cli::try_parse().map_err(|error| {
            // What cannot be parsed cannot say `--json` either, but whoever wrote it waits for
            // JSON.
            let json = std::env::args_os().any(|argument| argument == "--json");
            output::misread(&error, json)
        })?;
        cli.color.choose();
        // A worker's orders wait for nothing, not even for whoever reads its log.
        let (default, slow) = match &cli.command {
            Command::Worker(_) => ("info", Backpressure::Drop),
            _ => ("error", Backpressure::Wait),
        };
        let filter = cli.log.as_deref().unwrap_or(default);
        match crate::telemetry::start(filter, cli.log_format, slow) {
            Ok(logging) => Ok((cli, logging)),
            Err(error) => {
                let error = setup::SetupError::Usage(sitewright_model::message!(
                    "nothing can be logged: {error}"
                ));
                output::refuse(&error, cli.json);
                Err(Exit::Usage)
            }
        }
    }

    /// Runs the command and tells the exit code. All output is done, and what waits to be logged is
    /// written.
    pub async fn run(self, _logging: Logging) -> ExitCode {
        let Cli { config, templates, out, json, color: _, log: _, log_format: _, command } = self;
        let setup = setup::Setup { config, templates, out };
        let exit = match command {
            Command::Generate(args) => generate::run(&setup, args, json).await,
            Command::Order(command) => order::run(&setup, command, json).await,
            Command::Queue(command) => queue::run(&setup, command, json).await,
            Command::Migrate(args) => migrate::run(&setup, args, json).await,
            Command::Template(command) => template::run(&setup, command, json).await,
            Command::Conformance(args) => conformance::run(&setup, args, json).await,
            Command::Failures(command) => failures::run(&setup, command, json).await,
            Command::Replay(args) => replay::run(&setup, args, json).await,
            Command::Ai(command) => ai::run(&setup, command, json).await,
            Command::Doctor(args) => doctor::run(&setup, args, json).await,
            Command::Worker(args) => worker::run(&setup, args, json).await,
            Command::CompileTemplate(args) => {
                let compiled = tokio::task::spawn_blocking(move || compile_here(&args)).await;
                return compiled.unwrap_or_else(|_| Exit::Host.into());
            }
        };
        match exit {
            Ok(exit) => exit.into(),
            Err(error) => {
                output::refuse(&error, json);
                Exit::from(&error).into()
            }
        }
    }
}
