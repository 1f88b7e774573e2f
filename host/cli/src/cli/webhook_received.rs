//! `sitewright webhook received` and `replay`: what webhooks of others brought.

use serde_json::json;

use super::exit::Exit;
use super::output;
use super::setup::SetupError;
use super::table::{Align, table};
use super::webhook::audit;
use super::when;
use sitewright_failure::render::clean;
use sitewright_jobs::{Database, HookDelivery, HookDeliveryFilter};
use sitewright_model::message;

pub(super) async fn list(
    database: &Database,
    filter: HookDeliveryFilter,
    json: bool,
) -> Result<Exit, SetupError> {
    let limit = usize::try_from(filter.limit).unwrap_or(usize::MAX);
    // One more, to detect that there are more.
    let filter = HookDeliveryFilter { limit: filter.limit.saturating_add(1), ..filter };
    let mut deliveries = database.hook_deliveries(&filter).await?;
    let more = deliveries.len() > limit;
    deliveries.truncate(limit);
    if json {
        output::print_json(&json!({ "deliveries": deliveries, "more": more }));
        return Ok(Exit::Done);
    }
    if deliveries.is_empty() {
        output::print("No deliveries.\n");
        return Ok(Exit::Done);
    }
    let dim = anstyle::Style::new().dimmed();
    let heading = ["DELIVERY", "STATE", "HOOK", "ORDER", "AGE", "NOTE"];
    let mut rows = vec![heading.map(|name| format!("{dim}{name}{dim:#}"))];
    rows.extend(deliveries.iter().map(row));
    let align = [Align::Left, Align::Left, Align::Left, Align::Left, Align::Right, Align::Left];
    let mut text = table(align, &rows);
    if more {
        text.push_str(&format!("There are more than these {limit}; raise --limit to list them.\n"));
    }
    output::print(&text);
    Ok(Exit::Done)
}

fn row(delivery: &HookDelivery) -> [String; 6] {
    [
        output::one_line(&delivery.id, 40),
        delivery.state.to_string(),
        output::one_line(&delivery.hook, 20),
        output::one_line(delivery.order.as_deref().unwrap_or_default(), 40),
        when::span(when::now_ms().saturating_sub(delivery.at)),
        output::one_line(delivery.reason.as_deref().unwrap_or_default(), 80),
    ]
}

pub(super) async fn show(database: &Database, id: &str, json: bool) -> Result<Exit, SetupError> {
    let Some((delivery, body)) = database.hook_delivery(id).await? else {
        return Err(no_delivery(id));
    };
    if json {
        output::print_json(&json!({ "delivery": delivery, "body": body }));
        return Ok(Exit::Done);
    }
    let mut text = format!(
        "{} is {}\n  from hook {}, {}\n  event {}, {} bytes\n",
        clean(&delivery.id),
        delivery.state,
        clean(&delivery.hook),
        when::time_and_distance(delivery.at),
        clean(&delivery.event_id),
        delivery.bytes
    );
    if let Some(order) = &delivery.order {
        text.push_str(&format!("  order {}\n", clean(order)));
    }
    if let Some(reason) = &delivery.reason {
        text.push_str(&format!("  refused: {}\n", output::lines(reason, "    ")));
    }
    if !body.trim().is_empty() {
        text.push_str(&format!("  | {}\n", output::lines(body.trim_end(), "  | ")));
    }
    output::print(&text);
    Ok(Exit::Done)
}

pub(super) async fn replay(
    database: &Database,
    ids: Vec<String>,
    json: bool,
) -> Result<Exit, SetupError> {
    let mut deliveries = Vec::with_capacity(ids.len());
    for id in &ids {
        let replayed = database.replay_hook_delivery(id).await?;
        deliveries.push(replayed.ok_or_else(|| no_delivery(id))?);
        audit(database, "hook.replay", id, 202).await?;
    }
    if json {
        output::print_json(&json!({ "outcome": "queued", "deliveries": deliveries }));
    } else {
        let line = |delivery: &HookDelivery| {
            format!(
                "delivery {} of {} is {}\n",
                clean(&delivery.id),
                clean(&delivery.hook),
                delivery.state
            )
        };
        output::print(&deliveries.iter().map(line).collect::<String>());
    }
    Ok(Exit::Done)
}

fn no_delivery(id: &str) -> SetupError {
    SetupError::Usage(message!(
        "there is no delivery {id:?} of a hook; `sitewright webhook received` shows those there are"
    ))
}
