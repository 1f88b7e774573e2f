//! `sitewright failures`: what went wrong, and why.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::generate::check_source;
use super::output::{self, Exit};
use super::setup::{Setup, SetupError};
use crate::config::Config;
use crate::failure::{FailureRecord, from_folder, render, store};

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
        /// Where the template's source lies: the report then shows the lines where it stopped. Beats `source` in `[template.NAME]`.
        #[arg(long, value_name = "DIR")]
        source: Option<PathBuf>,
    },
}

pub(super) async fn run(setup: &Setup, command: Command, json: bool) -> Result<Exit, SetupError> {
    let config = setup.config()?;
    let sites = config.sites.clone();
    match command {
        Command::List { order, limit } => {
            let read = blocking(move || Ok(read_all(&sites, order.as_deref(), limit)?)).await?;
            if json {
                let all: Vec<Value> = read.iter().map(|(path, record)| summary(path, record)).collect();
                output::print_json(&json!({ "failures": all }));
            } else {
                output::print(&table(&read));
            }
        }
        Command::Show { failure, source } => {
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
            let record = with_source(&config, record, source).await?;
            if json {
                output::print_json(&record);
            } else {
                output::print(&render::terminal(&record, output::width()));
            }
        }
    }
    Ok(Exit::Done)
}

/// The record with the lines around its place in the source, where the source is at hand now.
async fn with_source(
    config: &Config,
    record: FailureRecord,
    source: Option<PathBuf>,
) -> Result<FailureRecord, SetupError> {
    if let Some(source) = &source {
        check_source(source)?;
    }
    let set = config.template_settings.by_name.get(&record.template.name);
    let Some(folder) = source.or_else(|| set?.source.clone()) else { return Ok(record) };
    blocking(move || {
        let found = from_folder(&folder, &record);
        Ok(FailureRecord { source: found.or(record.source.clone()), ..record })
    })
    .await
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
