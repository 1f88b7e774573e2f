//! `order cancel` and `order retry`: one order, several by their ids, or all that fit.

use std::collections::{BTreeMap, HashSet};
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::cli::audit;
use crate::cli::exit::Exit;
use crate::cli::failures::kind;
use crate::cli::output;
use crate::cli::setup::SetupError;
use crate::cli::signals::StopSignals;
use crate::cli::when;
use crate::config::Config;
use sitewright_failure::fingerprint::beginning;
use sitewright_failure::render::clean;
use sitewright_jobs::{BULK_BATCH, BulkOutcome, CancelAnswer, Database, OrderState, Selection};
use sitewright_model::failure::FailureKind;
use sitewright_model::message;

/// Which orders, and how they are changed.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Ids of orders; `-` reads ids from stdin, one on each line.
    #[arg(value_name = "ID|-", conflicts_with_all = FILTERS)]
    orders: Vec<String>,
    /// Select orders in these states: queued, running, waiting, succeeded, failed, dead or
    /// cancelled [default of `retry`: failed,dead; of `cancel`: queued,waiting,running].
    #[arg(long, value_name = "STATE", value_delimiter = ',')]
    state: Vec<OrderState>,
    /// Select orders of this template.
    #[arg(long, value_name = "NAME")]
    template: Option<String>,
    /// Select orders of this tenant.
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
    /// Select orders whose last failure is of this kind: trap, panic, ai, output_rejected, ...
    #[arg(long, value_name = "KIND", value_parser = kind)]
    kind: Option<FailureKind>,
    /// Select orders whose last failure has this fingerprint, or one that begins like this, as
    /// `failures list` shows it.
    #[arg(long, value_name = "FINGERPRINT", value_parser = beginning)]
    fingerprint: Option<String>,
    /// Select orders whose state changed since then: 30m, 2h, 7d, or a time like
    /// 2026-11-23T08:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = when::since)]
    since: Option<i64>,
    /// Select at most this number of orders, those first whose state changed first.
    #[arg(long, value_name = "N")]
    limit: Option<NonZeroU32>,
    /// List the orders and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Change at most this number of orders in a second, minute or hour: 10, 10/s, 100/m, 1000/h
    /// [default: no limit].
    #[arg(long, value_name = "N/s|m|h")]
    rate: Option<Rate>,
}

const FILTERS: [&str; 7] = ["state", "template", "tenant", "kind", "fingerprint", "since", "limit"];

/// Number of orders that a dry run prints as text.
const SHOWN: usize = 20;
/// Time between two lines of progress if stderr is not a terminal.
const REPORT_EVERY: Duration = Duration::from_secs(5);
/// Longest pause between two batches, in which workers write to SQLite.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// Orders in a time.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Rate {
    per_second: f64,
}

impl std::str::FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, seconds) = match text.split_once('/') {
            None | Some((_, "s")) => (text.strip_suffix("/s").unwrap_or(text), 1.0),
            Some((number, "m")) => (number, 60.0),
            Some((number, "h")) => (number, 3_600.0),
            Some(_) => ("", 1.0),
        };
        match number.parse::<NonZeroU32>() {
            Ok(number) => Ok(Rate { per_second: f64::from(number.get()) / seconds }),
            Err(_) => Err(format!("{text:?} is not a rate; write 10, 10/s, 100/m or 1000/h")),
        }
    }
}

impl Rate {
    /// The number of orders that may have been changed after this time.
    fn allowed(self, after: Duration) -> usize {
        // The first one waits for nobody. A float that is too large becomes the largest integer.
        (after.as_secs_f64() * self.per_second) as usize + 1
    }
}

/// What is done to orders.
#[derive(Clone, Copy)]
enum Change<'a> {
    Retry { config_version: &'a str },
    Cancel,
}

impl Change<'_> {
    /// The states that are selected if none is given.
    fn default_states(self) -> &'static [OrderState] {
        match self {
            Change::Retry { .. } => &[OrderState::Failed, OrderState::Dead],
            Change::Cancel => &[OrderState::Queued, OrderState::Waiting, OrderState::Running],
        }
    }

    fn name(self) -> &'static str {
        match self {
            Change::Retry { .. } => "retry",
            Change::Cancel => "cancel",
        }
    }

    async fn apply(
        self,
        database: &Database,
        orders: &[String],
        only: &[OrderState],
    ) -> Result<Vec<BulkOutcome>, SetupError> {
        Ok(match self {
            Change::Retry { config_version } => {
                database.reopen_all(orders, only, Some(config_version)).await?
            }
            Change::Cancel => database.cancel_all(orders, only).await?,
        })
    }
}

pub(super) async fn cancel(
    database: &Database,
    args: Args,
    json: bool,
) -> Result<Exit, SetupError> {
    if let [order] = args.orders.as_slice()
        && order != "-"
        && !args.dry_run
    {
        return cancel_one(database, order, json).await;
    }
    many(database, Change::Cancel, args, json).await
}

async fn cancel_one(database: &Database, order: &str, json: bool) -> Result<Exit, SetupError> {
    let answer = database.cancel(order).await?;
    audit::done(database, "order.cancel", Some(order.to_owned())).await?;
    let (outcome, says) = match answer {
        CancelAnswer::Cancelled => ("cancelled", "is cancelled".to_owned()),
        CancelAnswer::Stopping => (
            "stopping",
            "is being cancelled; its worker ends the attempt within about a second".to_owned(),
        ),
        CancelAnswer::AlreadyEnded(state) => {
            ("already_ended", format!("has already ended ({state}); nothing was changed"))
        }
    };
    if json {
        let state = database.order(order).await?.state;
        output::print_json(&json!({ "outcome": outcome, "order": order, "state": state }));
    } else {
        output::print(&format!("order {} {says}\n", clean(order)));
    }
    Ok(Exit::Done)
}

pub(super) async fn retry(
    database: &Database,
    config: &Config,
    args: Args,
    json: bool,
) -> Result<Exit, SetupError> {
    if let [order] = args.orders.as_slice()
        && order != "-"
        && !args.dry_run
    {
        return retry_one(database, config, order, json).await;
    }
    many(database, Change::Retry { config_version: &config.version }, args, json).await
}

async fn retry_one(
    database: &Database,
    config: &Config,
    order: &str,
    json: bool,
) -> Result<Exit, SetupError> {
    let job = database.reopen(order, Some(&config.version)).await?;
    audit::done(database, "order.retry", Some(order.to_owned())).await?;
    if json {
        output::print_json(&json!({ "outcome": "queued", "order": order, "job": job }));
    } else {
        output::print(&format!("order {} is queued again (job {job})\n", clean(order)));
    }
    Ok(Exit::Done)
}

async fn many(
    database: &Database,
    change: Change<'_>,
    args: Args,
    json: bool,
) -> Result<Exit, SetupError> {
    let selection = selection(change, &args)?;
    let by_id = selection.is_none();
    let (orders, only) = match selection {
        Some(selection) => (database.select(&selection).await?, selection.states),
        None => (ids(&args.orders).await?, Vec::new()),
    };
    if args.dry_run {
        would_change(change, &orders, json);
        return Ok(Exit::Done);
    }
    let mut progress = Progress::new(change, orders.len());
    let changed = apply(database, change, &orders, &only, args.rate, &mut progress).await;
    progress.finish();
    let Changed { outcomes, stopped, error } = changed;
    report(change, &orders, &outcomes, stopped || error.is_some(), json);
    if !outcomes.is_empty() {
        let target = output::count(i64::try_from(outcomes.len()).unwrap_or(i64::MAX), "order");
        audit::done(database, &format!("order.{}", change.name()), Some(target)).await?;
    }
    if let Some(error) = error {
        return Err(error);
    }
    let unknown = outcomes.contains(&BulkOutcome::NoSuchOrder);
    Ok(match () {
        () if stopped => Exit::Cancelled,
        () if by_id && unknown => Exit::Usage,
        () => Exit::Done,
    })
}

/// The selection that the flags describe; `None` if the orders are named.
fn selection(change: Change<'_>, args: &Args) -> Result<Option<Selection>, SetupError> {
    let usage = |message| Err(SetupError::Usage(message));
    if !args.orders.is_empty() {
        return Ok(None);
    }
    let is_filtered = !args.state.is_empty()
        || args.template.is_some()
        || args.tenant.is_some()
        || args.kind.is_some()
        || args.fingerprint.is_some()
        || args.since.is_some();
    let name = change.name();
    if !is_filtered {
        return usage(message!(
            "`order {name}` needs ids of orders, `-` to read them from stdin, or a selection: \
             --state, --template, --tenant, --kind, --fingerprint or --since; try it with --dry-run"
        ));
    }
    for state in &args.state {
        match change {
            Change::Retry { .. } if !state.has_ended() => {
                return usage(message!(
                    "--state {state}: only orders that have ended can be requeued; their states \
                     are succeeded, failed, dead and cancelled"
                ));
            }
            Change::Cancel if state.has_ended() => {
                return usage(message!(
                    "--state {state}: such an order has ended already; queued, waiting and \
                     running ones can be cancelled"
                ));
            }
            Change::Retry { .. } | Change::Cancel => {}
        }
    }
    let states = match args.state.as_slice() {
        [] => change.default_states().to_vec(),
        states => states.to_vec(),
    };
    Ok(Some(Selection {
        states,
        template: args.template.clone(),
        kind: args.kind.map(|kind| kind.as_str().to_owned()),
        fingerprint: args.fingerprint.clone(),
        since: args.since,
        until: None,
        text: None,
        tenant: args.tenant.clone(),
        limit: args.limit.map(|limit| usize::try_from(limit.get()).unwrap_or(usize::MAX)),
    }))
}

/// The ids of the command line, each once; `-` is replaced by the lines of stdin.
async fn ids(named: &[String]) -> Result<Vec<String>, SetupError> {
    let (mut ids, mut known) = (Vec::new(), HashSet::new());
    let mut add = |id: &str| {
        let Ok(id) = super::kept_id(id);
        if !id.is_empty() && known.insert(id.clone()) {
            ids.push(id);
        }
    };
    let mut has_read = false;
    for id in named {
        if id != "-" {
            add(id);
            continue;
        }
        if std::mem::replace(&mut has_read, true) {
            return Err(SetupError::Usage(message!("`-` was given more than once")));
        }
        let mut lines = BufReader::new(tokio::io::stdin()).lines();
        loop {
            let line = lines.next_line().await.map_err(|error| {
                SetupError::Usage(message!("the ids on stdin cannot be read: {error}"))
            })?;
            match line {
                Some(line) => add(line.trim()),
                None => break,
            }
        }
    }
    Ok(ids)
}

fn would_change(change: Change<'_>, orders: &[String], json: bool) {
    if json {
        output::print_json(&json!({
            "outcome": "dry_run", "selected": orders.len(), "orders": orders,
        }));
        return;
    }
    let verb = match change {
        Change::Retry { .. } => "be queued again",
        Change::Cancel => "be cancelled",
    };
    let all = i64::try_from(orders.len()).unwrap_or(i64::MAX);
    let mut text = format!("{} would {verb}; nothing was changed\n", output::count(all, "order"));
    for order in orders.iter().take(SHOWN) {
        text.push_str(&format!("  {}\n", output::one_line(order, 200)));
    }
    if orders.len() > SHOWN {
        text.push_str(&format!("  and {} more\n", orders.len() - SHOWN));
    }
    output::print(&text);
}

/// What was done before the end, or before it was stopped.
struct Changed {
    /// One for each order, in the same order, as far as it came.
    outcomes: Vec<BulkOutcome>,
    stopped: bool,
    error: Option<SetupError>,
}

async fn apply(
    database: &Database,
    change: Change<'_>,
    orders: &[String],
    only: &[OrderState],
    rate: Option<Rate>,
    progress: &mut Progress,
) -> Changed {
    let mut outcomes: Vec<BulkOutcome> = Vec::with_capacity(orders.len());
    // The batch that is being changed is finished.
    let mut stop = match StopSignals::new() {
        Ok(stop) => stop,
        Err(error) => return Changed { outcomes, stopped: false, error: Some(error) },
    };
    let begin = Instant::now();
    while let Some(left) = orders.get(outcomes.len()..).filter(|left| !left.is_empty()) {
        let allowed = rate.map_or(usize::MAX, |rate| {
            rate.allowed(begin.elapsed()).saturating_sub(outcomes.len())
        });
        let batch = left.get(..left.len().min(BULK_BATCH).min(allowed)).unwrap_or(left);
        let began = Instant::now();
        if !batch.is_empty() {
            match change.apply(database, batch, only).await {
                Ok(done) => outcomes.extend(done),
                Err(error) => return Changed { outcomes, stopped: false, error: Some(error) },
            }
            progress.set(outcomes.len());
        }
        if outcomes.len() == orders.len() {
            break;
        }
        // SQLite has no queue for its lock: without a pause, workers of other processes would hardly
        // get it.
        let pause = match rate {
            Some(_) => Duration::from_millis(20),
            None if database.is_embedded() => began.elapsed().min(LONGEST_PAUSE),
            None => Duration::ZERO,
        };
        if stop.within(pause).await {
            return Changed { outcomes, stopped: true, error: None };
        }
    }
    Changed { outcomes, stopped: false, error: None }
}

/// Progress on stderr: a bar on a terminal, otherwise a line every few seconds.
struct Progress {
    bar: Option<ProgressBar>,
    verb: &'static str,
    all: usize,
    reported: Instant,
}

impl Progress {
    fn new(change: Change<'_>, all: usize) -> Self {
        let verb = match change {
            Change::Retry { .. } => "requeued",
            Change::Cancel => "cancelled",
        };
        let bar = output::watched().then(output::spinner);
        Progress { bar, verb, all, reported: Instant::now() }
    }

    fn set(&mut self, done: usize) {
        let line = format!("{} {done} of {}; Ctrl-C stops", self.verb, self.all);
        match &self.bar {
            Some(bar) => bar.set_message(line),
            None if self.reported.elapsed() >= REPORT_EVERY => {
                output::complain(&format!("{line}\n"));
                self.reported = Instant::now();
            }
            None => {}
        }
    }

    fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn report(
    change: Change<'_>,
    orders: &[String],
    outcomes: &[BulkOutcome],
    is_partial: bool,
    json: bool,
) {
    let mut counts: BTreeMap<String, i64> = BTreeMap::new();
    for outcome in outcomes {
        let value = json!(outcome);
        let name = value.get("outcome").and_then(Value::as_str).unwrap_or_default();
        *counts.entry(name.to_owned()).or_default() += 1;
    }
    if json {
        let each: Vec<Value> = orders
            .iter()
            .zip(outcomes)
            .map(|(order, outcome)| {
                let mut value = json!(outcome);
                if let Value::Object(fields) = &mut value {
                    fields.insert("order".to_owned(), json!(order));
                }
                value
            })
            .collect();
        output::print_json(&json!({
            "outcome": if is_partial { "stopped" } else { "done" },
            "selected": orders.len(),
            "counts": counts,
            "orders": each,
        }));
        return;
    }
    let mut text = String::new();
    for (order, outcome) in orders.iter().zip(outcomes) {
        if *outcome == BulkOutcome::NoSuchOrder {
            text.push_str(&format!("there is no order {}\n", clean(order)));
        }
    }
    if !text.is_empty() {
        output::complain(&text);
    }
    let mut parts = Vec::new();
    for (name, count) in counts {
        let says = match name.as_str() {
            "queued" => "queued again",
            "cancelled" => "cancelled",
            "stopping" => "being cancelled by their workers",
            "not_ended" => "not ended, and unchanged",
            "already_ended" => "ended before, and unchanged",
            "changed" => "left the selection meanwhile, and unchanged",
            "no_such_order" => "unknown",
            _ => continue,
        };
        parts.push(format!("{count} {says}"));
    }
    if parts.is_empty() {
        parts.push("none were selected".to_owned());
    }
    let mut text = format!("orders: {}\n", parts.join("; "));
    if is_partial {
        let left = orders.len().saturating_sub(outcomes.len());
        let name = change.name();
        text.push_str(&format!(
            "stopped: {left} were not reached; the same `order {name}` continues with them\n"
        ));
    }
    output::print(&text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_has_a_number_and_a_unit() {
        for (text, per_second) in
            [("10", 10.0), ("10/s", 10.0), ("120/m", 2.0), ("3600/h", 1.0), ("1/h", 1.0 / 3_600.0)]
        {
            assert_eq!(text.parse(), Ok(Rate { per_second }), "{text}");
        }
        for text in ["", "0", "0/s", "-1", "10/d", "/s", "10/", "1.5", "10 /s", "s", "1/s/m"] {
            let error = text.parse::<Rate>().unwrap_err();
            assert!(error.contains("write 10, 10/s"), "{text}: {error}");
        }
    }

    #[test]
    fn a_rate_allows_the_first_order_at_once_and_no_burst_later() {
        let rate: Rate = "2/s".parse().unwrap();
        for (ms, allowed) in [(0, 1), (499, 1), (500, 2), (1_000, 3), (60_000, 121)] {
            assert_eq!(rate.allowed(Duration::from_millis(ms)), allowed, "{ms}");
        }
    }
}
