//! `order list`: one line for each order.

use serde_json::json;

use crate::cli::exit::Exit;
use crate::cli::failures::kind;
use crate::cli::output;
use crate::cli::setup::SetupError;
use crate::cli::table::{Align, table};
use crate::cli::when;
use sitewright_failure::fingerprint::beginning;
use sitewright_failure::render;
use sitewright_jobs::{Database, Filter, Found, Order, OrderState, Search};
use sitewright_model::failure::FailureKind;

/// List orders, newest first.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    /// List only this state: queued, running, waiting, succeeded, failed, dead or cancelled.
    #[arg(long)]
    state: Option<OrderState>,
    /// List only orders of this template.
    #[arg(long, value_name = "NAME")]
    template: Option<String>,
    /// List only orders of this tenant.
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
    /// List only orders whose last failure is of this kind: trap, panic, ai, output_rejected, ...
    #[arg(long, value_name = "KIND", value_parser = kind)]
    kind: Option<FailureKind>,
    /// List only orders whose last failure has this fingerprint, or one that begins like this, as
    /// `failures list` shows it.
    #[arg(long, value_name = "DIGITS", value_parser = beginning)]
    fingerprint: Option<String>,
    /// List only orders with this text in their document, in upper or lower case, without
    /// wildcards. Reads the documents of all other orders that fit.
    #[arg(long, value_name = "TEXT")]
    text: Option<String>,
    /// List only orders that came at or after this time: 30m, 2h, 7d ago, or a time like
    /// 2026-11-23T08:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = when::since)]
    created_after: Option<i64>,
    /// List only orders that came before this time.
    #[arg(long, value_name = "TIME", value_parser = when::since)]
    created_before: Option<i64>,
    /// List only orders that have ended, at or after this time.
    #[arg(long, value_name = "TIME", value_parser = when::since)]
    ended_after: Option<i64>,
    /// List only orders that have ended, before this time.
    #[arg(long, value_name = "TIME", value_parser = when::since)]
    ended_before: Option<i64>,
    /// List at most this number of orders.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    limit: u32,
}

const EXAMPLES: &str = "\
Examples:
  sitewright order list --state failed
  sitewright order list --kind ai --ended-after 2h
  sitewright order list --text 'flora.example' --created-after 2026-11-01
  sitewright --json order list --limit 1000 | jq -r '.orders[].id'";

/// Where the columns' texts stand: order, state, template, runs, age, note.
const COLUMNS: [Align; 6] =
    [Align::Left, Align::Left, Align::Left, Align::Right, Align::Right, Align::Left];

/// Maximum width of a column of ids or names.
const WIDEST: usize = 40;

pub(super) async fn run(database: &Database, args: Args, json: bool) -> Result<Exit, SetupError> {
    let limit = args.limit;
    let (orders, more) = found(database, args).await?;
    if json {
        output::print_json(&json!({ "orders": orders, "more": more }));
        return Ok(Exit::Done);
    }
    let mut text = text(&orders, output::width());
    if more {
        text.push_str(&format!("There are more than these {limit}; raise --limit to list them.\n"));
    }
    output::print(&text);
    Ok(Exit::Done)
}

/// The newest orders that fit, at most as many as are wanted; and whether there are more.
async fn found(database: &Database, args: Args) -> Result<(Vec<Order>, bool), SetupError> {
    let wanted = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let filter = Filter {
        state: args.state,
        template: args.template,
        tenant: args.tenant,
        kind: args.kind.map(|kind| kind.as_str().to_owned()),
        fingerprint: args.fingerprint,
        created_after: args.created_after,
        created_before: args.created_before,
        ended_after: args.ended_after,
        ended_before: args.ended_before,
        after: None,
        limit: args.limit,
    };
    let mut search = Search { filter, text: None, in_document: args.text };
    let mut orders: Vec<Order> = Vec::new();
    loop {
        let Found { orders: page, next, cut_after } = database.search(&search).await?;
        orders.extend(page);
        // A page that looked through as many documents as it may is not the last one.
        if cut_after.is_none() || orders.len() >= wanted {
            let more = next.is_some() || orders.len() > wanted;
            orders.truncate(wanted);
            return Ok((orders, more));
        }
        search.filter.after = next;
    }
}

fn text(orders: &[Order], width: usize) -> String {
    if orders.is_empty() {
        return "No orders.\n".to_owned();
    }
    let widest = |heading: &str, of: fn(&Order) -> &str| {
        let longest =
            orders.iter().map(|order| render::columns(of(order))).max().unwrap_or_default();
        longest.clamp(heading.len(), WIDEST)
    };
    let ids = widest("ORDER", |order| &order.id);
    let templates = widest("TEMPLATE", |order| &order.template);
    let room = width.saturating_sub(ids + templates + 9 + 4 + 8 + 10).max(12);
    let dim = anstyle::Style::new().dimmed();
    let heading = ["ORDER", "STATE", "TEMPLATE", "RUNS", "ADDED", "NEXT"];
    let mut rows = vec![heading.map(|name| format!("{dim}{name}{dim:#}"))];
    rows.extend(orders.iter().map(|order| {
        let style = output::state_style(order.state);
        [
            output::one_line(&order.id, WIDEST),
            format!("{style}{}{style:#}", order.state.as_str()),
            output::one_line(&order.template, WIDEST),
            order.runs.to_string(),
            when::span(when::now_ms().saturating_sub(order.created_at)),
            output::one_line(&note(order), room),
        ]
    }));
    table(COLUMNS, &rows)
}

/// The most useful detail in this state.
fn note(order: &Order) -> String {
    match order.state {
        OrderState::Queued => String::new(),
        OrderState::Running => match &order.owner_worker {
            Some(_) if order.cancel_requested_at.is_some() => "is being cancelled".to_owned(),
            Some(worker) => format!("at {worker}"),
            None => String::new(),
        },
        OrderState::Waiting => waiting(order.next_attempt_at, order.waiting_reason.as_deref()),
        OrderState::Succeeded => order
            .current_release
            .as_deref()
            .map(|release| format!("release {release}"))
            .unwrap_or_default(),
        OrderState::Failed | OrderState::Dead => order
            .last_failure
            .as_deref()
            .map(|failure| format!("failure {failure}"))
            .unwrap_or_default(),
        OrderState::Cancelled => String::new(),
    }
}

/// What an order waits for, and until when; one that waits for a hold has no time.
fn waiting(due: Option<i64>, reason: Option<&str>) -> String {
    let reason = reason.unwrap_or("no reason was recorded");
    match due {
        Some(due) => format!("{}: {reason}", when::distance(due)),
        None => reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_that_waits_for_a_hold_has_a_reason_and_no_time() {
        assert_eq!(waiting(None, Some("the route is held")), "the route is held");
        assert_eq!(waiting(None, None), "no reason was recorded");
        let due = when::now_ms() + 60_500;
        assert_eq!(waiting(Some(due), Some("busy")), "in 60 s: busy");
    }
}
