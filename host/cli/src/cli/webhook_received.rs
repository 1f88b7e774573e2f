//! `sitewright webhook received` and `replay`: what webhooks of others brought.

use serde_json::json;

use super::exit::Exit;
use super::output;
use super::setup::SetupError;
use super::table::{Align, table};
use super::webhook::audit;
use super::when;
use crate::config::Config;
use sitewright_failure::render::clean;
use sitewright_jobs::{Database, HookDelivery, HookDeliveryFilter, HookDeliveryState};
use sitewright_model::message;

pub(super) async fn list(
    database: &Database,
    config: &Config,
    filter: HookDeliveryFilter,
    json: bool,
) -> Result<Exit, SetupError> {
    let limit = usize::try_from(filter.limit).unwrap_or(usize::MAX);
    // One more, to detect that there are more.
    let filter = HookDeliveryFilter { limit: filter.limit.saturating_add(1), ..filter };
    let mut deliveries = database.hook_deliveries(&filter).await?;
    if let (true, Some(name)) = (deliveries.is_empty(), &filter.hook) {
        check_hook(database, config, name).await?;
    }
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

/// Refuses a name that no hook has, neither of the configuration nor of what was received.
async fn check_hook(database: &Database, config: &Config, name: &str) -> Result<(), SetupError> {
    if config.hooks.contains_key(name) {
        return Ok(());
    }
    let hook = Some(name.to_owned());
    let filter = HookDeliveryFilter { hook, limit: 1, ..HookDeliveryFilter::default() };
    if database.hook_deliveries(&filter).await?.is_empty() {
        return Err(SetupError::Usage(message!(
            "there is no hook {name:?}, and none has brought anything; the configuration has \
             these: {}",
            known(config)
        )));
    }
    Ok(())
}

/// The hooks of the configuration.
fn known(config: &Config) -> String {
    let names: Vec<&str> = config.hooks.keys().map(String::as_str).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
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
    config: &Config,
    ids: Vec<String>,
    json: bool,
) -> Result<Exit, SetupError> {
    // All are looked at before one is changed.
    let mut before = Vec::with_capacity(ids.len());
    for id in &ids {
        let (delivery, _) = database.hook_delivery(id).await?.ok_or_else(|| no_delivery(id))?;
        check_replay(config, &delivery)?;
        before.push(delivery);
    }
    let (mut deliveries, mut text, mut any) = (Vec::with_capacity(ids.len()), String::new(), false);
    for found in before {
        let is_due = found.state == HookDeliveryState::Refused;
        let delivery = if is_due {
            let replayed = database.replay_hook_delivery(&found.id).await?;
            audit(database, "hook.replay", &found.id, 202).await?;
            replayed.ok_or_else(|| no_delivery(&found.id))?
        } else {
            found
        };
        any |= is_due;
        text.push_str(&replayed(&delivery, is_due));
        deliveries.push(delivery);
    }
    if json {
        let outcome = if any { "queued" } else { "unchanged" };
        output::print_json(&json!({ "outcome": outcome, "deliveries": deliveries }));
    } else {
        output::print(&text);
    }
    Ok(Exit::Done)
}

/// One whose hook no server has would wait for nobody.
fn check_replay(config: &Config, delivery: &HookDelivery) -> Result<(), SetupError> {
    let is_to_be_mapped =
        matches!(delivery.state, HookDeliveryState::Refused | HookDeliveryState::Pending);
    if is_to_be_mapped && !config.hooks.contains_key(&delivery.hook) {
        return Err(SetupError::Usage(message!(
            "delivery {} is of the hook {:?}, which the configuration does not have, so that no \
             server could map it; the hooks are: {}; nothing was changed",
            delivery.id,
            delivery.hook,
            known(config)
        )));
    }
    Ok(())
}

/// What became of a delivery that was to be replayed.
fn replayed(delivery: &HookDelivery, is_due: bool) -> String {
    let order = delivery.order.as_deref().map(|order| format!(" (order {})", clean(order)));
    let order = order.unwrap_or_default();
    let what = match delivery.state {
        _ if is_due => "is due: a server maps it within seconds".to_owned(),
        HookDeliveryState::Pending => "is pending already; nothing was done".to_owned(),
        HookDeliveryState::Accepted => format!("became an order before{order}; nothing was done"),
        HookDeliveryState::Erased => format!("was erased with its order{order}; nothing was done"),
        HookDeliveryState::Refused => "was refused meanwhile; replay it again".to_owned(),
    };
    format!("delivery {} of {} {what}\n", clean(&delivery.id), clean(&delivery.hook))
}

fn no_delivery(id: &str) -> SetupError {
    SetupError::Usage(message!(
        "there is no delivery {id:?} of a hook; `sitewright webhook received` shows those there are"
    ))
}
