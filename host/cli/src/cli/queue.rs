//! `sitewright queue`: statistics that an operator watches (catalogue G4), pause and resume.

use serde_json::json;

use super::audit;
use super::exit::Exit;
use super::output;
use super::setup::{Setup, SetupError};
use super::when;
use sitewright_failure::render::clean;
use sitewright_jobs::{Breaker, Database, Hold, HoldKind, OrderState, Stats, WorkerStats};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Show the number of orders in each state, the oldest ones, what is held, and the workers.
    #[command(
        after_help = "Alarm on a growing `oldest_queued_ms`, a worker's growing `silent_ms`, \
                            any dead order, and any of `holds`."
    )]
    Stats,
    /// Pause the queue: running orders continue, no worker claims another one.
    Pause,
    /// Resume the queue.
    Resume,
}

pub(super) async fn run(setup: &Setup, command: Command, json: bool) -> Result<Exit, SetupError> {
    let config = setup.config()?;
    let database = Setup::orders(&config).await?;
    let silent_ms = i64::try_from(config.worker.silent_ms).unwrap_or(i64::MAX);
    let done = act(&database, &command, silent_ms, json).await;
    database.close().await;
    done.map(|()| Exit::Done)
}

async fn act(
    database: &Database,
    command: &Command,
    silent_ms: i64,
    json: bool,
) -> Result<(), SetupError> {
    match command {
        Command::Stats => {
            let stats = database.stats().await?;
            if json {
                output::print_json(&stats);
            } else {
                output::print(&text(&stats, database.shown(), silent_ms, output::width()));
            }
        }
        Command::Pause => {
            database.pause().await?;
            audit::done(database, "queue.pause", None).await?;
            let says = "The queue is paused: running orders continue, no other order is claimed.\n  \
                        sitewright queue resume\n";
            told("paused", says, json);
        }
        Command::Resume => {
            database.resume().await?;
            audit::done(database, "queue.resume", None).await?;
            told("resumed", "The queue is resumed.\n", json);
        }
    }
    Ok(())
}

fn told(outcome: &str, says: &str, json: bool) {
    if json {
        output::print_json(&json!({ "outcome": outcome, "paused": outcome == "paused" }));
    } else {
        output::print(says);
    }
}

const BAD: anstyle::Style = anstyle::AnsiColor::Red.on_default().bold();
const DIM: anstyle::Style = anstyle::Style::new().dimmed();

fn text(stats: &Stats, shown: &str, silent_ms: i64, width: usize) -> String {
    let paused = if stats.paused {
        format!("  {BAD}paused{BAD:#}: sitewright queue resume")
    } else {
        String::new()
    };
    let mut text = format!("{DIM}{shown}{DIM:#}{paused}\n\n");
    for (state, count) in &stats.orders {
        let style = if *count > 0 { output::state_style(*state) } else { DIM };
        let note = match state {
            OrderState::Queued => {
                stats.oldest_queued_ms.map(|age| format!("the oldest came {} ago", when::span(age)))
            }
            OrderState::Running => {
                stats.oldest_running_ms.map(|age| format!("the oldest for {}", when::span(age)))
            }
            OrderState::Waiting => stats.next_due_at.map(|due| {
                let away = due.saturating_sub(stats.at);
                if away > 0 {
                    format!("the next one is due {} (in {})", when::time(due), when::span(away))
                } else {
                    format!("the next one was due {} ago", when::span(away.saturating_neg()))
                }
            }),
            _ => None,
        };
        let line = format!(
            "  {style}{:<10}{style:#} {count:>7}  {}",
            state.as_str(),
            note.unwrap_or_default()
        );
        text.push_str(line.trim_end());
        text.push('\n');
    }
    if stats.batch_items > 0 {
        text.push_str(&format!(
            "  {:<10} {:>7}  AI calls in batches\n",
            "waiting", stats.batch_items
        ));
    }
    text.push('\n');
    for hold in &stats.holds {
        text.push_str(&hold_text(hold, stats.at));
    }
    for breaker in &stats.breakers {
        text.push_str(&breaker_text(breaker, stats.at));
    }
    if stats.workers.is_empty() {
        text.push_str("No worker is known.\n");
    }
    for worker in &stats.workers {
        text.push_str(&worker_text(worker, stats.at, silent_ms, width));
    }
    text
}

/// A hold, with the number of its orders and what happens next.
pub(super) fn hold_text(hold: &Hold, at: i64) -> String {
    let next = match (hold.next_probe_at, &hold.probe_order) {
        _ if hold.has_expired() => "its orders fail, because no worker has it".to_owned(),
        (_, Some(order)) => {
            format!("the order {} is let through to see whether it is over", clean(order))
        }
        (Some(due), None) if due > at => {
            format!("one order is let through in {}", when::span(due.saturating_sub(at)))
        }
        (Some(_), None) => "the next order is let through".to_owned(),
        (None, None) if hold.kind == HoldKind::Missing => {
            "its orders go to a worker that has it".to_owned()
        }
        (None, None) => format!("until `sitewright route release {}`", clean(&hold.id.to_string())),
    };
    format!(
        "{BAD}held{BAD:#} {}  {} waiting, for {}; {next}\n  {}\n\n",
        clean(&hold.id.to_string()),
        hold.orders,
        when::span(at.saturating_sub(hold.since)),
        clean(&hold.reason),
    )
}

/// A circuit breaker that is open in a worker, with what its last call came to.
pub(super) fn breaker_text(breaker: &Breaker, at: i64) -> String {
    let model = match &breaker.model {
        Some(model) => format!("{} of {}", clean(model), clean(&breaker.provider)),
        None => format!("the address of {}", clean(&breaker.provider)),
    };
    let status = match breaker.status {
        Some(status) => format!("HTTP {status}"),
        None => "no response".to_owned(),
    };
    let next = match breaker.next_probe_at.map(|due| due.saturating_sub(at)) {
        Some(away) if away > 0 => format!("one call is let through in {}", when::span(away)),
        _ => "the next call is let through".to_owned(),
    };
    let scope = breaker.scope.as_ref().map(|scope| format!("rejects the calls of {scope} "));
    format!(
        "{BAD}breaker open{BAD:#} {model}  for {}; {next}\n  {} in a row, the last with {} \
         ({status})\n  {}{DIM}(worker {}){DIM:#}\n\n",
        when::span(at.saturating_sub(breaker.since)),
        output::count(breaker.failures, "failure"),
        clean(&breaker.kind),
        clean(scope.as_deref().unwrap_or_default()),
        clean(&breaker.worker),
    )
}

fn worker_text(worker: &WorkerStats, at: i64, silent_ms: i64, width: usize) -> String {
    let seen = format!("last seen {} ago", when::span(worker.silent_ms));
    let seen =
        if worker.silent_ms >= silent_ms { format!("{BAD}stale: {seen}{BAD:#}") } else { seen };
    let draining = if worker.draining { "draining, " } else { "" };
    let version = clean(worker.program.as_deref().unwrap_or("unknown"));
    let contract = worker.contract.as_deref().map(|one| format!(", contract {}", clean(one)));
    format!(
        "worker {}\n  {draining}{} of {} orders, {seen}, started {} ago {DIM}(process {} on {}){DIM:#}\n  \
         {DIM}version {version}{}{DIM:#}\n",
        output::one_line(&worker.client_id, width.saturating_sub(7)),
        worker.running,
        worker.max_orders,
        when::span(at.saturating_sub(worker.started_at)),
        worker.pid,
        clean(&worker.host),
        contract.unwrap_or_default(),
    )
}
