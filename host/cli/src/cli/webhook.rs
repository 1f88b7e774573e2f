//! `sitewright webhook`: who is told of orders, and what became of each delivery.

use serde_json::json;

use super::exit::Exit;
use super::output;
use super::setup::{Setup, SetupError};
use super::table::{Align, table};
use super::webhook_received as received;
use super::when;
use super::words::one_of;
use crate::config::Config;
use sitewright_failure::render::clean;
use sitewright_jobs::{
    AttemptResult, CALLBACK, Database, Delivery, DeliveryAttempt, DeliveryFilter, DeliveryState,
    HookDeliveryFilter, HookDeliveryState, NewAuditEntry, Webhook,
};
use sitewright_model::message;
use sitewright_webhooks::{Answer, Sender};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List webhooks: those that a worker or server has in its configuration.
    List,
    /// List deliveries, newest first; or show one with its attempts.
    #[command(after_help = "Examples:\n  \
        sitewright webhook deliveries --state given_up\n  \
        sitewright webhook deliveries --order 102\n  \
        sitewright webhook deliveries msg_01kb6m0c3t6x8v1r2n4q5s7t9w")]
    Deliveries {
        /// Show this delivery with its attempts.
        #[arg(value_name = "ID", conflicts_with_all = ["webhook", "order", "state"])]
        id: Option<String>,
        /// List only deliveries of this webhook; `callback` for the callbacks of orders.
        #[arg(long, value_name = "NAME")]
        webhook: Option<String>,
        /// List only deliveries about this order.
        #[arg(long, value_name = "ORDER")]
        order: Option<String>,
        /// List only this state.
        #[arg(long, value_name = "STATE", value_parser = one_of::<DeliveryState>())]
        state: Option<DeliveryState>,
        /// List at most this number of deliveries.
        #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
        limit: u32,
    },
    /// Make deliveries due again, whatever became of them. A worker or server sends them.
    #[command(after_help = "Examples:\n  \
        sitewright webhook redeliver msg_01kb6m0c3t6x8v1r2n4q5s7t9w\n  \
        sitewright --json webhook deliveries --state given_up --limit 1000 |\n    \
        jq -r '.deliveries[].id' | xargs sitewright webhook redeliver")]
    Redeliver {
        /// Ids of deliveries, as `webhook deliveries` shows them.
        #[arg(value_name = "ID", required = true)]
        ids: Vec<String>,
    },
    /// Enable a webhook that its receiver disabled with 410 Gone.
    #[command(after_help = "Examples:\n  \
        sitewright webhook enable crm\n  \
        sitewright webhook enable callback --order 102")]
    Enable {
        /// Name of the webhook; `callback` for the callbacks of all orders.
        #[arg(value_name = "NAME")]
        name: String,
        /// Enable only the callback of this order.
        #[arg(long, value_name = "ORDER")]
        order: Option<String>,
    },
    /// List what webhooks of others brought, newest first; or show one with its body.
    #[command(after_help = "Examples:\n  \
        sitewright webhook received --state refused\n  \
        sitewright webhook received 01KB6M0C3T6X8V1R2N4Q5S7T9W")]
    Received {
        /// Show this delivery with its body.
        #[arg(value_name = "ID", conflicts_with_all = ["hook", "order", "state"])]
        id: Option<String>,
        /// List only deliveries of this hook of the configuration.
        #[arg(long, value_name = "NAME")]
        hook: Option<String>,
        /// List only deliveries that became this order, or were to become it.
        #[arg(long, value_name = "ORDER")]
        order: Option<String>,
        /// List only this state.
        #[arg(long, value_name = "STATE", value_parser = one_of::<HookDeliveryState>())]
        state: Option<HookDeliveryState>,
        /// List at most this number of deliveries.
        #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
        limit: u32,
    },
    /// Map refused deliveries of others again, after the configuration or the order was changed. A
    /// server that has the hook in its configuration does it within seconds.
    #[command(after_help = "Examples:\n  \
        sitewright webhook replay 01KB6M0C3T6X8V1R2N4Q5S7T9W\n  \
        sitewright --json webhook received --state refused --limit 1000 |\n    \
        jq -r '.deliveries[].id' | xargs sitewright webhook replay")]
    Replay {
        /// Ids of deliveries, as `webhook received` shows them.
        #[arg(value_name = "ID", required = true)]
        ids: Vec<String>,
    },
    /// Send an event `webhook.test` to a webhook of the configuration, once, and show the answer.
    ///
    /// Exits with 1 if the receiver does not accept it.
    Test {
        /// Name of the webhook.
        #[arg(value_name = "NAME")]
        name: String,
    },
}

pub(super) async fn run(setup: &Setup, command: Command, json: bool) -> Result<Exit, SetupError> {
    let config = setup.config()?;
    let database = match &command {
        Command::Test { .. } => Setup::orders_or_new(&config).await?,
        _ => Setup::orders(&config).await?,
    };
    let done = act(&database, &config, command, json).await;
    database.close().await;
    done
}

async fn act(
    database: &Database,
    config: &Config,
    command: Command,
    json: bool,
) -> Result<Exit, SetupError> {
    match command {
        Command::List => list(database, json).await,
        Command::Deliveries { id: Some(id), .. } => show(database, &id, json).await,
        Command::Deliveries { id: None, webhook, order, state, limit } => {
            let filter = DeliveryFilter { webhook, order, state, after: None, limit };
            deliveries(database, config, filter, json).await
        }
        Command::Redeliver { ids } => redeliver(database, ids, json).await,
        Command::Received { id: Some(id), .. } => received::show(database, &id, json).await,
        Command::Received { id: None, hook, order, state, limit } => {
            let filter = HookDeliveryFilter { hook, order, state, before: None, limit };
            received::list(database, config, filter, json).await
        }
        Command::Replay { ids } => received::replay(database, config, ids, json).await,
        Command::Enable { name, order } if name == CALLBACK => {
            enable_callbacks(database, order.as_deref(), json).await
        }
        Command::Enable { order: Some(_), .. } => Err(SetupError::Usage(message!(
            "--order is for the callbacks of orders: write `webhook enable {CALLBACK} --order ORDER`"
        ))),
        Command::Enable { name, order: None } => enable(database, &name, json).await,
        Command::Test { name } => test(database, config, &name, json).await,
    }
}

async fn list(database: &Database, json: bool) -> Result<Exit, SetupError> {
    let webhooks = database.webhooks().await?;
    if json {
        output::print_json(&json!({ "webhooks": webhooks }));
        return Ok(Exit::Done);
    }
    if webhooks.is_empty() {
        output::print(
            "No webhooks: no worker or server has had [webhooks.NAME] or [callbacks] in its \
             configuration lately.\n",
        );
        return Ok(Exit::Done);
    }
    output::print(&webhooks.iter().map(webhook_text).collect::<String>());
    Ok(Exit::Done)
}

fn webhook_text(webhook: &Webhook) -> String {
    let Webhook { name, url, events, seen_at, disabled_at, disabled_reason, .. } = webhook;
    let url = match name.as_str() {
        CALLBACK => "what each order says".to_owned(),
        _ => clean(url),
    };
    let names: Vec<&str> = events.iter().map(|event| event.as_str()).collect();
    let state = match disabled_at {
        Some(at) => format!(
            "disabled {}: {}",
            when::distance(*at),
            output::lines(disabled_reason.as_deref().unwrap_or("no reason was recorded"), "  ")
        ),
        None if webhook.disabled_callbacks > 0 => {
            format!("enabled, but those of {} orders are disabled", webhook.disabled_callbacks)
        }
        None => "enabled".to_owned(),
    };
    let pending = match webhook.pending_since {
        Some(since) => format!(
            "{} pending, the oldest from {}",
            webhook.pending,
            when::time_and_distance(since)
        ),
        None => "nothing pending".to_owned(),
    };
    format!(
        "{}  {url}\n  {}\n  {state}; {pending}; configured {}\n",
        clean(name),
        names.join(", "),
        when::distance(*seen_at)
    )
}

async fn deliveries(
    database: &Database,
    config: &Config,
    filter: DeliveryFilter,
    json: bool,
) -> Result<Exit, SetupError> {
    let limit = usize::try_from(filter.limit).unwrap_or(usize::MAX);
    // One more, to detect that there are more.
    let filter = DeliveryFilter { limit: filter.limit.saturating_add(1), ..filter };
    let mut deliveries = database.deliveries(&filter).await?;
    if let (true, Some(name)) = (deliveries.is_empty(), &filter.webhook) {
        check_webhook(database, config, name).await?;
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
    let heading = ["DELIVERY", "STATE", "WEBHOOK", "EVENT", "ORDER", "AGE", "NOTE"];
    let mut rows = vec![heading.map(|name| format!("{dim}{name}{dim:#}"))];
    rows.extend(deliveries.iter().map(row));
    let align = [
        Align::Left,
        Align::Left,
        Align::Left,
        Align::Left,
        Align::Left,
        Align::Right,
        Align::Left,
    ];
    let mut text = table(align, &rows);
    if more {
        text.push_str(&format!("There are more than these {limit}; raise --limit to list them.\n"));
    }
    output::print(&text);
    Ok(Exit::Done)
}

/// Refuses a name that no webhook has, neither of the configuration nor of the queue or its log.
async fn check_webhook(database: &Database, config: &Config, name: &str) -> Result<(), SetupError> {
    if name == CALLBACK || config.webhooks.contains_key(name) {
        return Ok(());
    }
    let known = database.webhooks().await?;
    let filter =
        DeliveryFilter { webhook: Some(name.to_owned()), limit: 1, ..DeliveryFilter::default() };
    if known.iter().any(|one| one.name == name) || !database.deliveries(&filter).await?.is_empty() {
        return Ok(());
    }
    Err(SetupError::Usage(message!(
        "there is no webhook {name:?}; `sitewright webhook list` shows those there are, and \
         `{CALLBACK}` means the callbacks of orders"
    )))
}

fn row(delivery: &Delivery) -> [String; 7] {
    [
        output::one_line(&delivery.id, 40),
        delivery.state.to_string(),
        output::one_line(&delivery.webhook, 20),
        delivery.event.to_string(),
        output::one_line(
            delivery.order.as_deref().or(delivery.hold.as_deref()).unwrap_or_default(),
            40,
        ),
        when::span(when::now_ms().saturating_sub(delivery.at)),
        output::one_line(&note(delivery), 80),
    ]
}

fn note(delivery: &Delivery) -> String {
    let error = delivery.last_error.as_deref().unwrap_or_default();
    match (delivery.state, delivery.next_at) {
        (DeliveryState::Pending, Some(next)) if delivery.attempts > 0 => {
            format!("{}: {error}", when::distance(next))
        }
        (DeliveryState::GivenUp, _) => error.to_owned(),
        _ => String::new(),
    }
}

async fn show(database: &Database, id: &str, json: bool) -> Result<Exit, SetupError> {
    let Some((delivery, attempts)) = database.delivery(id).await? else {
        return Err(no_delivery(id));
    };
    if json {
        output::print_json(&json!({ "delivery": delivery, "attempts": attempts }));
        return Ok(Exit::Done);
    }
    output::print(&detail(&delivery, &attempts));
    Ok(Exit::Done)
}

fn detail(delivery: &Delivery, attempts: &[DeliveryAttempt]) -> String {
    let next = delivery.next_at.map(|next| format!(", next attempt {}", when::distance(next)));
    let mut text = format!(
        "{} is {}{}\n  {} to {}, from {}\n",
        clean(&delivery.id),
        delivery.state,
        next.unwrap_or_default(),
        delivery.event,
        clean(&delivery.webhook),
        when::time_and_distance(delivery.at)
    );
    if let Some(order) = &delivery.order {
        text.push_str(&format!("  about order {}\n", clean(order)));
    }
    if let Some(hold) = &delivery.hold {
        text.push_str(&format!("  about the hold {}\n", clean(hold)));
    }
    for attempt in attempts {
        text.push_str(&attempt_text(attempt));
    }
    text
}

fn attempt_text(attempt: &DeliveryAttempt) -> String {
    let status = attempt.status.map_or("no answer".to_owned(), |status| status.to_string());
    let mut text = format!(
        "  {}  {}  {status} after {} ms\n",
        attempt.number,
        when::time(attempt.at),
        attempt.took_ms
    );
    if let Some(error) = &attempt.error {
        text.push_str(&format!("     {}\n", output::lines(error, "     ")));
    }
    if let Some(body) = attempt.body.as_deref().filter(|body| !body.trim().is_empty()) {
        text.push_str(&format!("     | {}\n", output::lines(body.trim_end(), "     | ")));
    }
    text
}

async fn redeliver(database: &Database, ids: Vec<String>, json: bool) -> Result<Exit, SetupError> {
    let mut deliveries = Vec::with_capacity(ids.len());
    for id in &ids {
        let delivery = database.redeliver(id).await?.ok_or_else(|| no_delivery(id))?;
        audit(database, "webhook.redeliver", id, 202).await?;
        deliveries.push(delivery);
    }
    if json {
        output::print_json(&json!({ "outcome": "queued", "deliveries": deliveries }));
    } else {
        let line = |delivery: &Delivery| {
            format!("delivery {} to {} is due\n", clean(&delivery.id), clean(&delivery.webhook))
        };
        output::print(&deliveries.iter().map(line).collect::<String>());
    }
    Ok(Exit::Done)
}

async fn enable(database: &Database, name: &str, json: bool) -> Result<Exit, SetupError> {
    let Some(webhook) = database.enable_webhook(name).await? else {
        return Err(SetupError::Usage(message!(
            "there is no webhook {name:?}; `sitewright webhook list` shows those there are"
        )));
    };
    audit(database, "webhook.enable", name, 200).await?;
    if json {
        output::print_json(&json!({ "outcome": "enabled", "webhook": webhook }));
    } else {
        output::print(&format!("webhook {} is enabled\n", clean(name)));
    }
    Ok(Exit::Done)
}

/// Enables the callback of an order, or those of all orders.
async fn enable_callbacks(
    database: &Database,
    order: Option<&str>,
    json: bool,
) -> Result<Exit, SetupError> {
    if let Some(order) = order {
        database.order(order).await?;
    }
    let enabled = database.enable_callbacks(order).await?;
    audit(database, "webhook.enable", order.unwrap_or(CALLBACK), 200).await?;
    if json {
        output::print_json(&json!({ "outcome": "enabled", "order": order, "callbacks": enabled }));
        return Ok(Exit::Done);
    }
    output::print(&match (enabled, order.map(clean)) {
        (0, Some(id)) => format!("order {id} has no callback that is disabled\n"),
        (0, None) => "no order has a callback that is disabled\n".to_owned(),
        (_, Some(id)) => format!("the callback of order {id} is enabled\n"),
        (_, None) => format!("{enabled} callbacks of orders are enabled\n"),
    });
    Ok(Exit::Done)
}

async fn test(
    database: &Database,
    config: &Config,
    name: &str,
    json: bool,
) -> Result<Exit, SetupError> {
    let webhooks = Setup::webhooks(config)?;
    let Some(receiver) = webhooks.receiver(name).filter(|receiver| receiver.url.is_some()) else {
        let known: Vec<&str> = config.webhooks.keys().map(String::as_str).collect();
        return Err(SetupError::Usage(message!(
            "the configuration has no webhook {name:?}; it has these: {}",
            if known.is_empty() { "none".to_owned() } else { known.join(", ") }
        )));
    };
    let sender = Sender::new(&sitewright_http::client()?, Setup::redact());
    let lease = receiver.timeout + sitewright_webhooks::LEASE_MARGIN;
    let claimed = database.add_test_delivery(name, lease).await?;
    let (record, answer) = sender.send(receiver, &claimed).await;
    let accepted = answer == Answer::Accepted;
    // A test is not repeated, and disables nothing.
    let result = if accepted { AttemptResult::Delivered } else { AttemptResult::GiveUp };
    database.record_delivery(&claimed, record, result).await?;
    audit(database, "webhook.test", name, 200).await?;
    let Some((delivery, attempts)) = database.delivery(&claimed.id).await? else {
        return Err(no_delivery(&claimed.id));
    };
    let note = (answer == Answer::Gone).then_some(
        "this was a test, which changes nothing: the webhook stays as it is; the same answer to a \
         delivery of an event disables it",
    );
    if json {
        let outcome = if accepted { "delivered" } else { "refused" };
        output::print_json(&json!({
            "outcome": outcome,
            "delivery": delivery,
            "attempts": attempts,
            "note": note,
        }));
    } else {
        let mut text = detail(&delivery, &attempts);
        if let Some(note) = note {
            text.push_str(note);
            text.push('\n');
        }
        output::print(&text);
    }
    Ok(if accepted { Exit::Done } else { Exit::Host })
}

fn no_delivery(id: &str) -> SetupError {
    SetupError::Usage(message!(
        "there is no delivery {id:?}; `sitewright webhook deliveries` shows those there are"
    ))
}

pub(super) async fn audit(
    database: &Database,
    action: &str,
    target: &str,
    status: u16,
) -> Result<(), SetupError> {
    let entry = NewAuditEntry {
        token: None,
        actor: "command line".to_owned(),
        action: action.to_owned(),
        target: Some(target.to_owned()),
        status,
        client: String::new(),
    };
    Ok(database.audit(entry).await?)
}
