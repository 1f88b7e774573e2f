//! `failures show`: the report of one failure, of a group of failures, or of an order.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::gather::Sources;
use crate::cli::exit::Exit;
use crate::cli::generate::check_source;
use crate::cli::output;
use crate::cli::setup::SetupError;
use crate::cli::when;
use crate::config::Config;
use sitewright_failure::group::{Brief, Group, Groups};
use sitewright_failure::{from_folder, render, store};
use sitewright_jobs::{Attempt, Error, Order};
use sitewright_model::failure::FailureRecord;
use sitewright_model::message;

/// Show the report of one failure, one group of failures, or the last failure of an order.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  sitewright failures show --order 1042                # why did order 1042 fail?
  sitewright failures show 3fa9c1d2                     # a group: its occurrences, the newest in \
                        full
  sitewright failures show 01M8357K --markdown          # for an issue in the template's tracker")]
pub(in crate::cli) struct Args {
    /// Id of the failure, path to its file, or fingerprint of a group; ids and fingerprints may be
    /// shortened. Looks in the database, then in `sites`.
    #[arg(value_name = "ID|FINGERPRINT|FILE.json", required_unless_present = "order")]
    failure: Option<String>,
    /// Show the last failure of this order.
    #[arg(long, value_name = "ID", conflicts_with = "failure")]
    order: Option<String>,
    /// Print Markdown, for an issue.
    #[arg(long)]
    markdown: bool,
    /// Folder of the template's project, or its `src`: the report quotes the lines around the
    /// template's first own frame, or around the place that it reported. Overrides `source` in
    /// `[template.NAME]`.
    #[arg(long, value_name = "DIR")]
    source: Option<PathBuf>,
    /// Read only the files in `sites`, for a database that cannot be read.
    #[arg(long)]
    no_database: bool,
}

/// Maximum occurrences and orders that are listed.
const SHOWN: usize = 10;

/// Maximum bytes of one text in the report of a file.
const MAX_TEXT: usize = 128 << 10;
/// Maximum bytes of all texts in the report of a file.
const MAX_TEXTS: usize = 1 << 20;
/// Bytes of a text that is never cut: an id or the name of a kind.
const NAME: usize = 64;

const DIM: anstyle::Style = anstyle::Style::new().dimmed();

pub(super) async fn run(config: &Config, args: Args, json: bool) -> Result<Exit, SetupError> {
    let face = match (json, args.markdown) {
        (true, true) => {
            return Err(SetupError::Usage(message!(
                "--json and --markdown exclude each other: use one of them"
            )));
        }
        (true, false) => Face::Json,
        (false, true) => Face::Markdown,
        (false, false) => Face::Terminal,
    };
    if let Some(source) = &args.source {
        check_source(source)?;
    }
    let shown = Shown { face, config, source: args.source };
    match (args.failure, args.order) {
        (Some(failure), _)
            if Path::new(&failure).extension().is_some_and(|extension| extension == "json") =>
        {
            let record = tokio::task::spawn_blocking(move || {
                store::read(&store::find(Path::new(""), &failure)?)
            });
            let record = record.await.map_err(|error| {
                SetupError::Host(message!("reading the record failed: {error}"))
            })??;
            let record = match shown.face {
                Face::Json => record,
                Face::Terminal | Face::Markdown => shortened(record),
            };
            shown.print(record).await
        }
        (failure, order) => {
            let sources = Sources::open(config, args.no_database).await?;
            let done = match (failure, order) {
                (Some(failure), _) => show(&sources, &failure, &shown).await,
                (None, order) => show_order(&sources, &order.unwrap_or_default(), &shown).await,
            };
            sources.close().await;
            done
        }
    }
}

/// A record of a file, which may be anybody's, with texts that are not longer than those of hosts.
fn shortened(record: FailureRecord) -> FailureRecord {
    let Ok(mut value) = serde_json::to_value(&record) else { return record };
    let mut left = MAX_TEXTS;
    shorten(&mut value, &mut left);
    serde_json::from_value(value).unwrap_or(record)
}

fn shorten(value: &mut Value, left: &mut usize) {
    match value {
        Value::String(text) => {
            if text.len() > MAX_TEXT.min(*left).max(NAME) {
                text.truncate(text.floor_char_boundary(MAX_TEXT.min(*left)));
                text.push_str("...");
            }
            *left = left.saturating_sub(text.len());
        }
        Value::Array(values) => values.iter_mut().for_each(|value| shorten(value, left)),
        Value::Object(fields) => fields.values_mut().for_each(|value| shorten(value, left)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[derive(Debug, Clone, Copy)]
enum Face {
    Terminal,
    Markdown,
    Json,
}

/// The format of the report, and where the template's source is.
struct Shown<'a> {
    face: Face,
    config: &'a Config,
    source: Option<PathBuf>,
}

impl Shown<'_> {
    async fn print(&self, record: FailureRecord) -> Result<Exit, SetupError> {
        let record = self.with_source(record).await?;
        match self.face {
            Face::Terminal => output::print(&render::terminal(&record, output::width())),
            Face::Markdown => output::print(&render::markdown(&record)),
            Face::Json => output::print_json(&record),
        };
        Ok(Exit::Done)
    }

    /// The record with the lines around its location, if the template's source is available.
    async fn with_source(&self, record: FailureRecord) -> Result<FailureRecord, SetupError> {
        let set = self.config.template_settings.by_name.get(&record.template.name);
        let Some(folder) = self.source.clone().or_else(|| set?.source.clone()) else {
            return Ok(record);
        };
        let found = tokio::task::spawn_blocking(move || {
            let found = from_folder(&folder, &record);
            FailureRecord { source: found.or(record.source.clone()), ..record }
        });
        found.await.map_err(|error| {
            SetupError::Host(message!("reading the template's source failed: {error}"))
        })
    }
}

async fn show(sources: &Sources, wanted: &str, shown: &Shown<'_>) -> Result<Exit, SetupError> {
    if wanted.is_empty() {
        return Err(sources.unknown(wanted));
    }
    let (ids, alike) = sources.like(wanted).await?;
    let (mut of_id, mut of_fingerprint) = (ids.iter(), alike.iter());
    match (of_id.next(), of_fingerprint.next(), ids.len() + alike.len()) {
        (None, None, _) => Err(sources.unknown(wanted)),
        (Some(id), None, 1) => shown.print(sources.record(id).await?).await,
        (None, Some(fingerprint), 1) => show_alike(sources, fingerprint, shown).await,
        _ => {
            let found = ids.into_iter().chain(alike).take(SHOWN).collect();
            Err(store::StoreError::Ambiguous { id: wanted.to_owned(), found }.into())
        }
    }
}

async fn show_alike(
    sources: &Sources,
    fingerprint: &str,
    shown: &Shown<'_>,
) -> Result<Exit, SetupError> {
    let (records, orders) = sources.of(fingerprint, SHOWN).await?;
    let all = sitewright_failure::group::Filter::default();
    let groups = sources.groups(&all).await?.groups;
    let group =
        groups.into_iter().filter(|group| group.fingerprint == fingerprint).reduce(Group::with);
    let (Some(newest), Some(group)) = (records.first(), group) else {
        return Err(sources.unknown(fingerprint));
    };
    let group = Group { orders: orders.len() as u64, ..group };
    let newest = shown.with_source(newest.clone()).await?;
    match shown.face {
        Face::Markdown => {
            output::print(&render::markdown(&newest));
        }
        Face::Json => {
            let occurrences: Vec<Brief> = records.iter().map(Brief::of).collect();
            output::print_json(
                &json!({ "group": group, "orders": orders, "occurrences": occurrences, "newest": newest }),
            );
        }
        Face::Terminal => {
            let width = output::width();
            output::print(
                &(group_text(&group, &records, &orders, width) + &render::terminal(&newest, width)),
            );
        }
    }
    Ok(Exit::Done)
}

/// The number of failures, their time and orders, then the newest occurrences with their builds.
fn group_text(group: &Group, records: &[FailureRecord], orders: &[String], width: usize) -> String {
    let seen = match group.count {
        1 => format!("seen once, {}", when::time_and_distance(group.last_at)),
        count => format!(
            "seen {count} times, first {}, last {}",
            when::time_and_distance(group.first_at),
            when::time_and_distance(group.last_at)
        ),
    };
    let mut text = render::paragraph(&format!("{}  {seen}", group.fingerprint), "", width);
    let named: Vec<&str> = orders.iter().take(SHOWN).map(String::as_str).collect();
    let more = match orders.len().saturating_sub(named.len()) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let affected = format!("{} orders: {}{more}", orders.len(), named.join(", "));
    text.push_str(&render::paragraph(&affected, "  ", width));
    text.push('\n');
    for record in records {
        let template = &record.template;
        let build = template.digest.get(..19).unwrap_or_default();
        let line = format!(
            "{}  {}  order {}  {} {} {build}",
            record.id,
            record.time.get(..19).unwrap_or(&record.time),
            record.order,
            template.name,
            template.version
        );
        text.push_str(&format!("  {}\n", output::one_line(&line, width.saturating_sub(2))));
    }
    let earlier = group.count.saturating_sub(records.len() as u64);
    if earlier > 0 {
        text.push_str(&format!("  {DIM}and {earlier} earlier ones{DIM:#}\n"));
    }
    text.push_str("\nThe newest:\n\n");
    text
}

async fn show_order(sources: &Sources, id: &str, shown: &Shown<'_>) -> Result<Exit, SetupError> {
    let (order, attempts) = match sources.database() {
        None => (None, Vec::new()),
        Some(database) => match database.order(id).await {
            Ok(order) => (Some(order), database.attempts(id).await?),
            // The order may have been run without the queue.
            Err(Error::NoSuchOrder { .. }) => (None, Vec::new()),
            Err(error) => return Err(error.into()),
        },
    };
    let records = sources.of_order(id).await?;
    let Some(newest) = records.first() else {
        return Err(SetupError::Usage(match &order {
            Some(order) => {
                message!(
                    "order {id:?} is {} and has no failure; see `sitewright order show`",
                    order.state
                )
            }
            None => message!(
                "there is no failure of an order {id:?}, and no such order; `sitewright failures \
                 list` shows the failures there are"
            ),
        }));
    };
    let newest = shown.with_source(newest.clone()).await?;
    match shown.face {
        Face::Markdown => {
            output::print(&render::markdown(&newest));
        }
        Face::Json => {
            let mut counted = Groups::default();
            records.iter().map(Brief::of).for_each(|brief| counted.add(brief));
            let groups: Vec<Group> = counted.finish().into_iter().map(|(group, _)| group).collect();
            let all: Vec<Brief> = records.iter().map(Brief::of).collect();
            output::print_json(&json!({
                "order": order, "attempts": attempts, "groups": groups, "failures": all, "newest": newest,
            }));
        }
        Face::Terminal => {
            let width = output::width();
            let before =
                order.map(|order| order_text(&order, &attempts, width)).unwrap_or_default();
            let mut text = before + &render::terminal(&newest, width);
            if records.len() > 1 {
                text.push_str(&format!(
                    "\n  {} earlier:\n",
                    output::count(records.len() as i64 - 1, "failure")
                ));
                for record in records.iter().skip(1).take(SHOWN) {
                    let line = format!("{}  {}  {}", record.id, record.kind, record.message);
                    text.push_str(&format!(
                        "    {}\n",
                        output::one_line(&line, width.saturating_sub(4))
                    ));
                }
            }
            output::print(&text);
        }
    }
    Ok(Exit::Done)
}

/// The state of the order, and one line for each attempt.
fn order_text(order: &Order, attempts: &[Attempt], width: usize) -> String {
    let style = output::state_style(order.state);
    let next =
        order.next_attempt_at.map(|at| format!(", next attempt {}", when::time_and_distance(at)));
    let line = format!(
        "template {} · {}{}",
        order.template,
        output::count(order.runs, "attempt"),
        next.unwrap_or_default()
    );
    let mut text =
        format!("order {} is {style}{}{style:#}\n", output::one_line(&order.id, 60), order.state);
    text.push_str(&render::paragraph(&line, "  ", width));
    for attempt in attempts.iter().rev().take(SHOWN).rev() {
        let ended = match (attempt.outcome, attempt.ended_at) {
            (Some(outcome), Some(ended)) => {
                format!("{outcome} after {}", when::span(ended.saturating_sub(attempt.started_at)))
            }
            (Some(outcome), None) => outcome.to_string(),
            (None, _) => "running".to_owned(),
        };
        let stage = attempt
            .last_stage
            .as_deref()
            .map(|stage| format!(" in stage {stage}"))
            .unwrap_or_default();
        let failure =
            attempt.failure.as_deref().map(|id| format!(", failure {id}")).unwrap_or_default();
        let line = format!(
            "{}  {}  {ended}{stage}{failure}",
            attempt.number,
            when::time(attempt.started_at)
        );
        text.push_str(&format!("    {}\n", output::one_line(&line, width.saturating_sub(4))));
    }
    text.push('\n');
    text
}
