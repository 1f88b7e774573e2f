//! `sitewright failures`: what went wrong, and why.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::output::{self, Exit};
use super::replay;
use super::setup::{Setup, SetupError};
use crate::config::Config;
use crate::failure::{FailureRecord, render, store};
use crate::replay::{Ended, ExportOptions};

/// What can be asked of failures.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Lists failures, newest first.
    List {
        /// Only those of this order.
        #[arg(long, value_name = "ID")]
        order: Option<String>,
        /// At most so many.
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
    /// Shows one failure as a report.
    Show {
        /// Its id, the beginning of its id, or a path to its file. What is not among the sites is looked for in the database of orders.
        #[arg(value_name = "ID|FILE.json")]
        failure: String,
    },
    /// Writes one failure with all that its author needs into one file (tar): record, order, AI replies, limits, template. `sitewright
    /// replay` makes it again from that, anywhere. Keys are taken out always.
    Export(ExportArgs),
}

/// See [`Command::Export`].
#[derive(Debug, clap::Args)]
pub(super) struct ExportArgs {
    /// A failure, an attempt or an order, as `sitewright replay` takes them.
    #[arg(value_name = "FAILURE|ATTEMPT|ORDER")]
    what: String,
    /// Replaces what the customer wrote, and what models answered, by placeholders of the same shape.
    #[arg(long)]
    scrub: bool,
    /// Writes it into this file; `failure-<id>.tar` when missing.
    #[arg(short, long, value_name = "FILE.tar")]
    output: Option<PathBuf>,
    /// Encloses this template instead of the one with the recorded digest.
    #[arg(long, value_name = "FILE.wasm", conflicts_with = "no_template")]
    template: Option<PathBuf>,
    /// Encloses no template.
    #[arg(long)]
    no_template: bool,
}

pub(super) async fn run(setup: &Setup, command: Command, json: bool) -> Result<Exit, SetupError> {
    let config = setup.config()?;
    let sites = config.sites.clone();
    match command {
        Command::Export(args) => return export(&config, args, json).await,
        Command::List { order, limit } => {
            let read = blocking(move || Ok(read_all(&sites, order.as_deref(), limit)?)).await?;
            if json {
                let all: Vec<Value> = read.iter().map(|(path, record)| summary(path, record)).collect();
                output::print_json(&json!({ "failures": all }));
            } else {
                output::print(&table(&read));
            }
        }
        Command::Show { failure } => {
            let id = failure.clone();
            let found = blocking(move || Ok(store::find(&sites, &id).map(|file| store::read(&file)))).await?;
            let record = match found {
                Ok(read) => read?,
                // What no attempt could write down lies in the database alone: a worker that was killed, a release that was not stored.
                Err(unknown @ store::StoreError::Unknown { .. }) => {
                    kept(&config, &failure).await?.ok_or(unknown)?
                }
                Err(error) => return Err(error.into()),
            };
            if json {
                output::print_json(&record);
            } else {
                output::print(&render::terminal(&record, output::width()));
            }
        }
    }
    Ok(Exit::Done)
}

async fn export(config: &Config, args: ExportArgs, json: bool) -> Result<Exit, SetupError> {
    // Its keys are read, so that they can be taken out; that one is missing is no reason to tell nothing of a failure.
    if let Err(error) = Setup::gateway(config) {
        tracing::debug!(%error, "the configuration's AI part cannot be used");
    }
    let unpacked = replay::Unpacked::new()?;
    let subject = replay::subject(config, &args.what, &unpacked.0).await?;
    let id = match &subject.ended {
        Ended::Failed(record) => record.id.clone(),
        Ended::Released(_) | Ended::Unknown => subject.attempt.to_string(),
    };
    let to = args.output.unwrap_or_else(|| PathBuf::from(format!("failure-{id}.tar")));
    let config = config.clone();
    let exported = blocking(move || {
        let options = ExportOptions {
            scrub: args.scrub,
            without_template: args.no_template,
            template: args.template,
            ..ExportOptions::new()
        };
        crate::replay::export(&subject, &config, &options, &to)
            .map_err(|error| SetupError::Usage(crate::message!("nothing was exported: {error}")))
    })
    .await?;
    if json {
        output::print_json(&exported);
    } else {
        let size = render::bytes(exported.bytes);
        let texts =
            if exported.scrubbed { "texts are placeholders" } else { "holds what the customer wrote" };
        let mut text = format!("{} ({size}, {texts})\n", exported.file.display());
        for missing in &exported.missing {
            text.push_str(&render::paragraph(&format!("! {missing}"), "  ", output::width()));
        }
        text.push_str(&format!("  sitewright replay {}\n", exported.file.display()));
        output::print(&text);
    }
    Ok(Exit::Done)
}

/// The record in the database of orders; nothing when there is none, or no such database.
async fn kept(config: &Config, id: &str) -> Result<Option<FailureRecord>, SetupError> {
    let database = match Setup::orders(config).await {
        Ok(database) => database,
        Err(SetupError::Database(error)) if error.is_without_tables() => return Ok(None),
        // Not the same as "there is none" (catalogue B4).
        Err(error) => return Err(error),
    };
    let found = if id.is_empty() { Ok(Vec::new()) } else { database.failures_like(id).await };
    database.close().await;
    let found = found?;
    match found.as_slice() {
        [] => Ok(None),
        [failure] => {
            let from = PathBuf::from(format!("the record {} in the database", failure.id));
            Ok(Some(store::parse(failure.record.clone(), &from)?))
        }
        several => {
            let found = several.iter().map(|failure| failure.id.clone()).collect();
            Err(store::StoreError::Ambiguous { id: id.to_owned(), found }.into())
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SetupError> + Send + 'static,
) -> Result<T, SetupError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| SetupError::Host(crate::message!("reading the records failed: {error}")))?
}

type Entry = (PathBuf, Result<FailureRecord, store::StoreError>);

fn read_all(
    sites: &std::path::Path,
    order: Option<&str>,
    limit: usize,
) -> Result<Vec<Entry>, store::StoreError> {
    let entries = store::files(sites)?.into_iter().map(|path| {
        let record = store::read(&path);
        (path, record)
    });
    // A record that cannot be read is shown as such: it might be the one that is looked for.
    Ok(entries
        .filter(|(_, record)| {
            order.is_none_or(|order| record.as_ref().map_or(true, |record| record.order == order))
        })
        .take(limit)
        .collect())
}

fn summary(path: &std::path::Path, record: &Result<FailureRecord, store::StoreError>) -> Value {
    match record {
        Ok(record) => json!({
            "id": record.id,
            "time": record.time,
            "order": record.order,
            "kind": record.kind,
            "message": record.message,
            "stage": record.stage,
            "template": record.template,
            "file": path,
        }),
        Err(error) => json!({ "file": path, "error": error.to_string() }),
    }
}

/// Two lines for each: which one, and what happened.
fn table(entries: &[Entry]) -> String {
    let mut text = String::new();
    if entries.is_empty() {
        text.push_str("No failures.\n");
    }
    let bad = anstyle::AnsiColor::Red.on_default().bold();
    let width = output::width();
    for (path, record) in entries {
        match record {
            Ok(record) => {
                let day = record.time.get(..10).unwrap_or(&record.time);
                let minute = record.time.get(11..16).unwrap_or_default();
                text.push_str(&format!(
                    "{}  {day} {minute}  {bad}{:<15}{bad:#}  order {}  {}\n",
                    record.id,
                    record.kind.as_str(),
                    output::one_line(&record.order, 40),
                    output::one_line(&record.template.name, 40),
                ));
                text.push_str(&format!(
                    "  {}\n",
                    output::one_line(record.message.as_str(), width.saturating_sub(2))
                ));
            }
            Err(error) => text.push_str(&format!("{}\n  {error}\n", path.display())),
        }
    }
    text
}
