//! `failures list`: failures grouped by cause or by template, or each record.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde_json::json;

use super::gather::{Grouped, Sources, Unreadable};
use crate::cli::exit::Exit;
use crate::cli::output;
use crate::cli::setup::SetupError;
use crate::cli::when;
use crate::config::Config;
use sitewright_failure::group::{Brief, Cause, Filter, Group, by_cause};
use sitewright_failure::render::{columns, shortened};
use sitewright_model::failure::FailureKind;

/// List failures, grouped by cause.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  sitewright failures list --by template
  sitewright failures list --since 2h --kind trap --sort count
  sitewright failures show 3fa9c1d2                     # one group of the list in full")]
pub(in crate::cli) struct Args {
    /// Group by cause (`failure`) or by template.
    #[arg(long, value_enum, default_value_t = By::Failure)]
    by: By,
    /// List each record, newest first.
    #[arg(long, conflicts_with = "by")]
    flat: bool,
    /// Sort by last occurrence or by count [default: `last`; by template always by count].
    #[arg(long, value_enum)]
    sort: Option<Sort>,
    /// List only failures of this template.
    #[arg(long, value_name = "NAME")]
    template: Option<String>,
    /// List only failures of this kind: trap, panic, ai, output_rejected, ...
    #[arg(long, value_name = "KIND", value_parser = kind)]
    kind: Option<FailureKind>,
    /// List only failures since then: 30m, 2h, 7d, or a time like 2026-11-23T08:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = when::since)]
    since: Option<i64>,
    /// List only failures of this order.
    #[arg(long, value_name = "ID")]
    order: Option<String>,
    /// List at most this number of entries.
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
    /// Read only the files in `sites`, for a database that cannot be read.
    #[arg(long)]
    pub(super) no_database: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum By {
    /// Causes: failures with the same fingerprint.
    Failure,
    /// Templates.
    Template,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Sort {
    /// The last occurrence.
    Last,
    /// The number of failures.
    Count,
}

/// Parses a kind of failure.
pub(in crate::cli) fn kind(name: &str) -> Result<FailureKind, String> {
    let known = FailureKind::ALL.into_iter().find(|kind| kind.as_str() == name);
    let names = FailureKind::ALL.map(FailureKind::as_str).join(", ");
    known.ok_or_else(|| format!("there is no such kind of failure; there are {names}"))
}

const BAD: anstyle::Style = anstyle::AnsiColor::Red.on_default().bold();
const OWN: anstyle::Style = anstyle::AnsiColor::Cyan.on_default();
const DIM: anstyle::Style = anstyle::Style::new().dimmed();

pub(super) async fn run(config: &Config, args: Args, json: bool) -> Result<Exit, SetupError> {
    let filter = Filter {
        template: args.template.clone(),
        kind: args.kind.map(|kind| kind.as_str().to_owned()),
        since: args.since,
        order: args.order.clone(),
    };
    let sources = Sources::open(config, args.no_database).await?;
    let listed = list(&sources, &args, &filter, json).await;
    sources.close().await;
    listed
}

async fn list(
    sources: &Sources,
    args: &Args,
    filter: &Filter,
    json: bool,
) -> Result<Exit, SetupError> {
    let width = output::width();
    if args.flat {
        let (briefs, unreadable) = sources.briefs(filter, args.limit).await?;
        if json {
            output::print_json(&json!({ "failures": briefs, "unreadable": unreadable }));
        } else {
            output::print(&(flat(&briefs, width) + &troubles(&unreadable)));
        }
        return Ok(Exit::Done);
    }
    let Grouped { groups, in_queue, unreadable } = sources.groups(filter).await?;
    if args.by == By::Template {
        let mut queue = BTreeMap::new();
        // Attempts have no kind, so they are not counted if a kind is given.
        if let Some(database) = sources.database().filter(|_| args.kind.is_none()) {
            for (template, attempts) in database.attempts_by_template(filter).await? {
                let failures = in_queue.get(&template).copied().unwrap_or_default();
                queue.insert(template, Queue { attempts, failures });
            }
        }
        let mut templates = by_template(groups, &queue);
        templates.truncate(args.limit);
        if json {
            output::print_json(&json!({ "templates": templates, "unreadable": unreadable }));
        } else {
            output::print(&(templates_text(&templates, width) + &troubles(&unreadable)));
        }
        return Ok(Exit::Done);
    }
    let mut causes = by_cause(groups);
    match args.sort.unwrap_or(Sort::Last) {
        Sort::Last => {
            causes.sort_by_key(|cause| {
                (Reverse(cause.group.last_at), Reverse(cause.group.newest.clone()))
            });
        }
        Sort::Count => {
            causes.sort_by_key(|cause| (Reverse(cause.group.count), Reverse(cause.group.last_at)))
        }
    }
    let all = causes.len();
    causes.truncate(args.limit);
    if json {
        output::print_json(
            &json!({ "groups": causes, "more": all > causes.len(), "unreadable": unreadable }),
        );
    } else {
        let mut text = groups_text(&causes, width);
        if all > causes.len() {
            text.push_str(&format!(
                "There are {} more: raise --limit to list them.\n",
                all - causes.len()
            ));
        }
        output::print(&(text + &troubles(&unreadable)));
    }
    Ok(Exit::Done)
}

/// Numbers of a template in the queue.
#[derive(Debug, Clone, Copy)]
struct Queue {
    attempts: u64,
    failures: u64,
}

/// Statistics of a template.
#[derive(Debug, serde::Serialize)]
struct OfTemplate {
    template: String,
    /// Ended attempts in the queue; `None` if there are none.
    attempts: Option<u64>,
    failures: u64,
    /// Percentage of those attempts that failed.
    share: Option<f64>,
    /// Number of different causes.
    different: usize,
    /// The most frequent cause.
    worst: Group,
}

fn by_template(groups: Vec<Group>, queue: &BTreeMap<String, Queue>) -> Vec<OfTemplate> {
    let mut templates: BTreeMap<String, OfTemplate> = BTreeMap::new();
    for group in groups {
        match templates.get_mut(&group.template) {
            None => {
                let known = queue.get(&group.template).filter(|known| known.attempts > 0);
                let share =
                    |of: &Queue| (of.failures as f64 * 1_000.0 / of.attempts as f64).round() / 10.0;
                let of = OfTemplate {
                    template: group.template.clone(),
                    attempts: known.map(|known| known.attempts),
                    share: known.map(share),
                    failures: group.count,
                    different: 1,
                    worst: group,
                };
                templates.insert(of.template.clone(), of);
            }
            Some(of) => {
                of.failures += group.count;
                of.different += 1;
                if (group.count, group.last_at) > (of.worst.count, of.worst.last_at) {
                    of.worst = group;
                }
            }
        }
    }
    let mut all: Vec<OfTemplate> = templates.into_values().collect();
    all.sort_by_key(|of| (Reverse(of.failures), of.template.clone()));
    all
}

/// Four lines for each group: number and time, message, frame, and the command that shows it.
fn groups_text(groups: &[Cause], width: usize) -> String {
    if groups.is_empty() {
        return "No failures.\n".to_owned();
    }
    let mut text = String::new();
    for Cause { group, templates } in groups {
        let templates = match templates.as_slice() {
            [one] => named(one).to_owned(),
            several => format!("{} templates", several.len()),
        };
        let times = if group.count == 1 { "once".to_owned() } else { format!("{}×", group.count) };
        let orders = output::count(i64::try_from(group.orders).unwrap_or(i64::MAX), "order");
        let seen = match group.count {
            1 => when::time(group.last_at),
            _ => format!("{} … {}", when::time(group.first_at), when::time(group.last_at)),
        };
        text.push_str(&format!(
            "{BAD}{:>7}{BAD:#}  {BAD}{}{BAD:#} in {}  {DIM}{orders} · {seen}{DIM:#}\n",
            times,
            output::one_line(&group.kind, 20),
            output::one_line(&templates, 40),
        ));
        let room = width.saturating_sub(9);
        text.push_str(&format!("         {}\n", output::one_line(&group.message, room)));
        if let Some(frame) = &group.frame {
            text.push_str(&format!("         {OWN}{}{OWN:#}\n", output::one_line(frame, room)));
        }
        text.push_str(&format!(
            "         {DIM}sitewright failures show {}{DIM:#}\n",
            name_of(group)
        ));
    }
    text
}

fn templates_text(templates: &[OfTemplate], width: usize) -> String {
    if templates.is_empty() {
        return "No failures.\n".to_owned();
    }
    let widest =
        templates.iter().map(|of| columns(named(&of.template))).max().unwrap_or(0).clamp(8, 30);
    let mut text =
        format!("{DIM}{:<widest$}  attempts  failures    share  worst{DIM:#}\n", "template");
    for of in templates {
        let name = shortened(&output::one_line(named(&of.template), 30), widest);
        let pad = " ".repeat(widest.saturating_sub(columns(&name)));
        let attempts = of.attempts.map_or_else(|| "-".to_owned(), |attempts| attempts.to_string());
        let share = of.share.map_or_else(|| "-".to_owned(), |share| format!("{share:.1} %"));
        let worst = &of.worst;
        let what = format!("{}× {}", worst.count, worst.kind);
        text.push_str(&format!(
            "{BAD}{name}{BAD:#}{pad}  {attempts:>8}  {:>8}  {share:>7}  {BAD}{}{BAD:#}{}\n",
            of.failures,
            output::one_line(&what, 30),
            match of.different {
                1 => String::new(),
                different => format!(" {DIM}of {different} different ones{DIM:#}"),
            },
        ));
        let room = width.saturating_sub(4);
        text.push_str(&format!("    {}\n", output::one_line(&worst.message, room)));
        if let Some(frame) = &worst.frame {
            text.push_str(&format!("    {OWN}{}{OWN:#}\n", output::one_line(frame, room)));
        }
        text.push_str(&format!("    {DIM}sitewright failures show {}{DIM:#}\n", name_of(worst)));
    }
    text
}

/// Two lines for each failure: its keys and its message.
fn flat(briefs: &[Brief], width: usize) -> String {
    if briefs.is_empty() {
        return "No failures.\n".to_owned();
    }
    let mut text = String::new();
    for brief in briefs {
        let time = when::time(brief.at);
        text.push_str(&format!(
            "{}  {}  {BAD}{:<15}{BAD:#}  order {}  {}\n",
            output::one_line(&brief.id, 40),
            time.get(..16).unwrap_or(&time).replace('T', " "),
            output::one_line(&brief.kind, 20),
            output::one_line(&brief.order, 40),
            output::one_line(named(&brief.template), 40),
        ));
        text.push_str(&format!(
            "  {}\n",
            output::one_line(&brief.message, width.saturating_sub(2))
        ));
    }
    text
}

/// The argument of `failures show` for a group.
fn name_of(group: &Group) -> &str {
    match group.fingerprint.get(..8) {
        Some(beginning) => beginning,
        None => &group.newest,
    }
}

fn named(template: &str) -> &str {
    if template.is_empty() { "(no template)" } else { template }
}

/// Lists the first files that could not be read.
fn troubles(unreadable: &[Unreadable]) -> String {
    const SHOWN: usize = 5;
    let mut text = String::new();
    for trouble in unreadable.iter().take(SHOWN) {
        text.push_str(&format!("{BAD}!{BAD:#} {}\n", output::one_line(&trouble.error, 400)));
    }
    if unreadable.len() > SHOWN {
        text.push_str(&format!(
            "{BAD}!{BAD:#} and {} more files that cannot be read as records\n",
            unreadable.len() - SHOWN
        ));
    }
    text
}
