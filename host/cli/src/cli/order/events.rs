//! `order events`: the progress events of one order.

use std::time::Duration;

use serde_json::json;

use crate::cli::exit::Exit;
use crate::cli::output;
use crate::cli::setup::SetupError;
use crate::cli::when;
use sitewright_failure::render::clean;
use sitewright_jobs::{Database, Event};

/// Time between two queries of the database.
const LOOK: Duration = Duration::from_millis(200);
/// Time to wait for the last events: workers store progress with a delay, also of an order that has
/// ended.
const LATE: Duration = Duration::from_millis(600);

/// Show the progress events of one order.
#[derive(Debug, clap::Args)]
#[command(after_help = "With --json --follow, each event is one JSON object on its own line.")]
pub(in crate::cli) struct Args {
    /// Id of the order.
    #[arg(value_name = "ID", value_parser = super::kept_id)]
    order: String,
    /// Wait for further events until the order has ended.
    #[arg(long)]
    follow: bool,
}

pub(super) async fn run(database: &Database, args: Args, json: bool) -> Result<Exit, SetupError> {
    let order = database.order(&args.order).await?;
    if !args.follow {
        let events = database.events(&order.id, 0).await?;
        if json {
            output::print_json(
                &json!({ "order": order.id, "state": order.state, "events": events }),
            );
        } else if events.is_empty() {
            output::print(&format!("No events; order {} is {}.\n", clean(&order.id), order.state));
        } else {
            output::print(&events.iter().map(line).collect::<String>());
        }
        return Ok(Exit::Done);
    }
    let mut after = 0;
    loop {
        // The state is read first, so that all events stored before the order ended are read.
        let ended = database.order(&args.order).await?.state.has_ended();
        if ended {
            tokio::time::sleep(LATE).await;
        }
        for event in database.events(&args.order, after).await? {
            after = after.max(event.id);
            let written =
                if json { output::print_json_line(&event) } else { output::print(&line(&event)) };
            if !written {
                // Stdout is closed.
                return Ok(Exit::Done);
            }
        }
        if ended {
            return Ok(Exit::Done);
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn line(event: &Event) -> String {
    let dim = anstyle::Style::new().dimmed();
    let steps = match (event.done, event.total) {
        (Some(done), Some(total)) => format!(" {done}/{total}"),
        _ => String::new(),
    };
    let message =
        event.message.as_deref().map(|message| format!("  {}", clean(message))).unwrap_or_default();
    let attempt = event.attempt.as_deref().unwrap_or("-");
    format!(
        "{dim}{}  {}{dim:#}  {}{steps}{message}\n",
        when::time(event.at),
        clean(attempt),
        clean(&event.stage)
    )
}
