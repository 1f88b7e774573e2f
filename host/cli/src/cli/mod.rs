//! The command line: one file for each command.
//!
//! | file | command |
//! |---|---|
//! | `generate` | one order, without the queue |
//! | `order/` | orders of the queue; one file for each subcommand |
//! | `queue` | the queue as a whole |
//! | `route` | routes and holds: what orders wait for |
//! | `breaker` | circuit breakers that are open in workers |
//! | `migrate` | tables of the database |
//! | `backup` | a copy of the database |
//! | `purge` | removes what has expired |
//! | `worker` | claims orders and makes their sites |
//! | `serve` | the HTTP API |
//! | `health` | asks a worker or server whether it is well |
//! | `token` | tokens of the HTTP API |
//! | `webhook` | webhooks and their deliveries; `webhook_received`: those of others |
//! | `failures/` | failure records; `gather` reads them from files and database |
//! | `replay` | repeats a recorded attempt; `replay_child`: that and exports, for the HTTP API |
//! | `template/` | templates: list, inspect, new, build, dev, record |
//! | `conformance` | checks templates against the contract |
//! | `ai` | one AI call by hand |
//! | `doctor` | checks configuration, folders, database, templates and routes |
//! | `confined` | hidden: work on a stranger's bytes, in a child process |
//! | `completions`, `man` | hidden: completions of shells, manual pages |
//! | `reference/` | hidden: prints the generated pages of the documentation |
//!
//! | file | what commands share |
//! |---|---|
//! | `setup` | from flags and configuration to database, store, gateway and engine |
//! | `browser` | `--browser` |
//! | `exit` | exit codes |
//! | `output` | what is printed, and how |
//! | `when` | times as text |
//! | `words` | flags whose value is one of a few words |
//! | `hook_map` | misspelt fields of `[hooks.NAME] map` |
//! | `http` | the HTTP server of `serve` and `worker --listen` |

#[cfg(not(all(
    feature = "author",
    feature = "browser",
    feature = "conformance",
    feature = "server"
)))]
#[cfg_attr(
    all(feature = "author", feature = "conformance", feature = "server"),
    allow(dead_code, unused_imports, unused_macros, reason = "`--browser` has an error only")
)]
mod absent;
mod ai;
mod audit;
mod backup;
mod breaker;
mod browser;
mod completions;
mod confined;
#[cfg(feature = "conformance")]
mod conformance;
mod doctor;
mod exit;
mod failures;
mod generate;
#[cfg(feature = "server")]
mod health;
mod hook_map;
#[cfg(feature = "server")]
mod http;
mod man;
mod migrate;
mod order;
mod output;
mod purge;
mod queue;
mod reference;
mod replay;
#[cfg(feature = "server")]
mod replay_child;
mod route;
#[cfg(feature = "server")]
mod serve;
mod setup;
mod signals;
mod table;
mod template;
#[cfg(feature = "conformance")]
mod template_record;
mod token;
mod webhook;
mod webhook_received;
mod when;
mod words;
mod worker;

#[cfg(not(feature = "conformance"))]
absent::absent!(conformance, "conformance");
#[cfg(not(feature = "conformance"))]
absent::absent!(template_record, "conformance");
#[cfg(not(feature = "server"))]
absent::absent!(serve, "server");
#[cfg(not(feature = "server"))]
absent::absent!(health, "server");

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use confined::child;
pub use exit::Exit;

use crate::telemetry::{Backpressure, EXPORT_WITHIN, LogFormat, Logging};
use sitewright_runtime::plugin::CompileArgs;

/// Turn website orders into finished websites: sandboxed WebAssembly templates, AI calls, and one
/// complete record of every failure.
#[derive(Debug, Parser)]
#[command(name = "sitewright", version = sitewright_model::build::host_build(), max_term_width = 100, after_help = Exit::help())]
pub struct Cli {
    /// Read this configuration file [default: `sitewright.toml`, if it exists].
    #[arg(
        long,
        global = true,
        help_heading = GLOBAL,
        value_name = "FILE",
        env = "SITEWRIGHT_CONFIG"
    )]
    config: Option<PathBuf>,
    /// Use this folder of templates instead of the configuration's `templates`.
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "DIR")]
    templates: Option<PathBuf>,
    /// Use this folder for sites and failure records instead of the configuration's `sites`.
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print one JSON object on stdout, for scripts.
    #[arg(long, global = true, help_heading = GLOBAL)]
    json: bool,
    /// Colour the text: `auto` (on a terminal, unless NO_COLOR is set), `always` or `never`.
    #[arg(
        long,
        global = true,
        help_heading = GLOBAL,
        value_name = "WHEN",
        default_value = "auto",
        hide_possible_values = true
    )]
    color: output::Color,
    /// Log to stderr what this filter selects: `info`, `sitewright=debug`, ... [default: `error`;
    /// of `worker` and `serve` `info`].
    #[arg(
        long,
        global = true,
        help_heading = GLOBAL,
        value_name = "FILTER",
        env = "SITEWRIGHT_LOG"
    )]
    log: Option<String>,
    /// Write log lines as `pretty` text or as `json`.
    #[arg(
        long,
        global = true,
        help_heading = GLOBAL,
        value_name = "FORMAT",
        env = "SITEWRIGHT_LOG_FORMAT",
        default_value = "pretty",
        hide_possible_values = true
    )]
    log_format: LogFormat,
    #[command(subcommand)]
    command: Command,
}

/// Heading of the options that every command has.
const GLOBAL: &str = "Global options";

#[derive(Debug, Subcommand)]
enum Command {
    Generate(generate::Args),
    /// Add, list, show, cancel, retry and export orders of the queue.
    #[command(subcommand)]
    Order(order::Command),
    /// Show, pause and resume the queue.
    #[command(subcommand)]
    Queue(queue::Command),
    /// List routes and what is held; hold and release routes and templates.
    #[command(subcommand)]
    Route(route::Command),
    /// List and release the circuit breakers that are open in workers.
    #[command(subcommand)]
    Breaker(breaker::Command),
    Migrate(migrate::Args),
    Backup(backup::Args),
    Purge(purge::Args),
    /// List, inspect, create, build and try templates.
    #[command(subcommand)]
    Template(template::Command),
    Conformance(conformance::Args),
    /// List, show and export failure records.
    #[command(subcommand)]
    Failures(failures::Command),
    Replay(replay::Args),
    /// Make an AI call through the gateway that templates use.
    #[command(subcommand)]
    Ai(ai::Command),
    Worker(worker::Args),
    Serve(serve::Args),
    Health(health::Args),
    /// Create, list and revoke tokens of the HTTP API.
    #[command(subcommand)]
    Token(token::Command),
    /// List webhooks and their deliveries, also of those of others; deliver again, try one.
    #[command(subcommand)]
    Webhook(webhook::Command),
    Doctor(doctor::Args),
    /// Compile the component on stdin and write the result to stdout. The other commands start this
    /// program with it, so that a compiler that fails or hangs is another process.
    #[command(hide = true)]
    CompileTemplate(CompileArgs),
    #[command(hide = true)]
    Completions(completions::Args),
    #[command(hide = true)]
    Man(man::Args),
    /// Print a page of the documentation's reference as Markdown.
    #[command(hide = true)]
    Reference(reference::Args),
}

impl Cli {
    /// Reads the command line and starts the log. Prints help, and usage errors.
    ///
    /// # Errors
    /// The exit code if there is no command to run: help was asked for, or the command line or the
    /// log filter is wrong.
    pub fn read() -> Result<(Self, Logging), Exit> {
        let cli = Cli::try_parse().map_err(|error| {
            // A command line that does not parse has no `--json` flag to read, but its caller
            // expects JSON.
            let json = std::env::args_os().any(|argument| argument == "--json");
            output::misread(&error, json)
        })?;
        cli.color.choose();
        // A slow reader of the log must not delay a worker's orders.
        let serves = match &cli.command {
            Command::Worker(args) => args.is_worker(),
            Command::Serve(_) => true,
            _ => false,
        };
        let (default, slow) =
            if serves { ("info", Backpressure::Drop) } else { ("error", Backpressure::Wait) };
        let filter = cli.log.as_deref().unwrap_or(default);
        // Attempts are made by these; the variables may be set for all programs of a machine.
        let exports = serves || matches!(&cli.command, Command::Generate(_));
        match crate::telemetry::start(filter, cli.log_format, slow, exports) {
            Ok(logging) => Ok((cli, logging)),
            Err(error) => {
                let error = setup::SetupError::Usage(sitewright_model::message!(
                    "the log cannot be started: {error}"
                ));
                output::refuse(&error, cli.json);
                Err(Exit::Usage)
            }
        }
    }

    /// Runs the command and returns its exit code, after all output and all waiting log lines are
    /// written, and what is exported was sent.
    pub async fn run(self, mut logging: Logging) -> ExitCode {
        let Cli { config, templates, out, json, color: _, log: _, log_format: _, command } = self;
        let setup = setup::Setup { config, templates, out };
        let export_within = match &command {
            // The watchdog ends a process that takes longer.
            Command::Worker(_) => sitewright_worker::ENDS_WITHIN,
            _ => EXPORT_WITHIN,
        };
        let exit = match command {
            Command::Generate(args) => generate::run(&setup, args, json, &mut logging).await,
            Command::Order(command) => order::run(&setup, command, json).await,
            Command::Queue(command) => queue::run(&setup, command, json).await,
            Command::Route(command) => route::run(&setup, command, json).await,
            Command::Breaker(command) => breaker::run(&setup, command, json).await,
            Command::Migrate(args) => migrate::run(&setup, args, json).await,
            Command::Backup(args) => backup::run(&setup, args, json).await,
            Command::Purge(args) => purge::run(&setup, args, json).await,
            Command::Template(command) => template::run(&setup, command, json).await,
            Command::Conformance(args) => conformance::run(&setup, args, json).await,
            Command::Failures(command) => failures::run(&setup, command, json).await,
            Command::Replay(args) => replay::run(&setup, args, json).await,
            Command::Ai(command) => ai::run(&setup, command, json).await,
            Command::Doctor(args) => doctor::run(&setup, args, json).await,
            Command::Worker(args) => worker::run(&setup, args, json, &mut logging).await,
            #[cfg(feature = "server")]
            Command::Serve(args) => serve::run(&setup, args, json, &mut logging).await,
            #[cfg(not(feature = "server"))]
            Command::Serve(args) => serve::run(&setup, args, json).await,
            Command::Health(args) => health::run(&setup, args, json).await,
            Command::Token(command) => token::run(&setup, command, json).await,
            Command::Webhook(command) => webhook::run(&setup, command, json).await,
            Command::Completions(args) => completions::run(args),
            Command::Man(args) => man::run(args, json).await,
            Command::Reference(args) => Ok(reference::run(args)),
            // A child of this program has not come here, see `child`.
            Command::CompileTemplate(_) => Err(setup::SetupError::Usage(
                sitewright_model::message!("`compile-template` is for this program itself"),
            )),
        };
        let exit = match exit {
            Ok(exit) => exit,
            Err(error) => {
                output::refuse(&error, json);
                Exit::from(&error)
            }
        };
        logging.finish_export(export_within).await;
        exit.into()
    }
}
