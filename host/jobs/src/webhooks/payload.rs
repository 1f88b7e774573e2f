//! The body of a delivery. It is made before the first attempt and stored, so that every attempt
//! sends the same bytes.

use serde::{Deserialize, Serialize};
use sitewright_model::time::rfc3339;

use super::{BudgetLimit, WebhookEvent};
use crate::driver::{Row, Tx, args};
use crate::holds::{HoldCause, HoldId, HoldKind};
use crate::model::OrderState;
use crate::reply_journal::{COST, Cost};

const DAY_MS: i64 = 24 * 3_600_000;

/// What a receiver gets. Nothing of the customer's document.
#[derive(Debug, Serialize)]
struct Payload {
    r#type: WebhookEvent,
    /// When it happened, RFC 3339 in UTC.
    timestamp: String,
    data: Data,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Data {
    Order(Box<OrderData>),
    Hold(HoldData),
    Budget(BudgetData),
    Test { webhook: String },
}

#[derive(Debug, Serialize)]
struct OrderData {
    order: String,
    /// The state that the event is about; the order may have another one meanwhile.
    state: OrderState,
    template: Option<String>,
    revision: Option<i64>,
    release: Option<String>,
    /// Before this time it was not to begin, RFC 3339 in UTC.
    due_at: Option<String>,
    failure: Option<FailureData>,
    /// What it waits for: `route:NAME`, `template:NAME`, `missing:NAME`.
    hold: Option<String>,
    cost: Cost,
}

/// Not the reason: it may quote the message of a failure, and that the customer's document.
#[derive(Debug, Serialize)]
struct HoldData {
    /// `route:NAME` or `template:NAME`.
    hold: HoldId,
    kind: HoldKind,
    /// Name of the route or the template.
    name: String,
    /// Why it was set, also of one that is released.
    cause: HoldCause,
    /// The failure that almost all attempts had, if that is the cause.
    fingerprint: Option<String>,
}

#[derive(Debug, Serialize)]
struct BudgetData {
    budget: BudgetOf,
    tenant: Option<String>,
    /// What of it is used up.
    limit: BudgetLimit,
    /// When the next day begins, RFC 3339 in UTC.
    until: String,
}

/// Whose budget of a day it is.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum BudgetOf {
    /// That of all orders of a worker.
    Day,
    /// That of a tenant's orders.
    TenantDay,
}

#[derive(Debug, Serialize)]
struct FailureData {
    id: String,
    kind: Option<String>,
    code: Option<String>,
    fingerprint: Option<String>,
}

/// The parts of a failure record that say which failure it was.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Codes {
    code: Option<String>,
    trap: Option<Trap>,
}

#[derive(Debug, Deserialize)]
struct Trap {
    code: Option<String>,
}

/// What an event is about.
enum About {
    /// An order that got into this state.
    Order(OrderState),
    Hold,
    Budget,
    Webhook,
}

fn about(event: WebhookEvent) -> About {
    match event {
        WebhookEvent::OrderSucceeded => About::Order(OrderState::Succeeded),
        WebhookEvent::OrderFailed => About::Order(OrderState::Failed),
        WebhookEvent::OrderDead => About::Order(OrderState::Dead),
        WebhookEvent::OrderCancelled => About::Order(OrderState::Cancelled),
        WebhookEvent::OrderWaiting => About::Order(OrderState::Waiting),
        WebhookEvent::TemplatePaused
        | WebhookEvent::TemplateResumed
        | WebhookEvent::RouteHeld
        | WebhookEvent::RouteReleased => About::Hold,
        WebhookEvent::BudgetReached => About::Budget,
        WebhookEvent::WebhookTest => About::Webhook,
    }
}

/// The body of the delivery in this row.
pub(super) async fn payload_of(tx: &mut Tx, row: &Row) -> Result<String, sqlx::Error> {
    let event: WebhookEvent = row.parsed("event")?;
    let data = match about(event) {
        About::Order(state) => Data::Order(Box::new(order_of(tx, row, state).await?)),
        About::Hold => {
            let hold: HoldId = row.parsed("hold")?;
            Data::Hold(HoldData {
                kind: hold.kind,
                name: hold.name.clone(),
                hold,
                cause: row.parsed("cause")?,
                fingerprint: row.opt_text("fingerprint")?,
            })
        }
        About::Budget => {
            let tenant = row.opt_text("tenant")?;
            let midnight = row.int("at")?.div_euclid(DAY_MS).saturating_add(1);
            Data::Budget(BudgetData {
                budget: if tenant.is_some() { BudgetOf::TenantDay } else { BudgetOf::Day },
                tenant,
                limit: row.parsed("cause")?,
                until: rfc3339(midnight.saturating_mul(DAY_MS)),
            })
        }
        About::Webhook => Data::Test { webhook: row.text("webhook")? },
    };
    let payload = Payload { r#type: event, timestamp: rfc3339(row.int("at")?), data };
    serde_json::to_string(&payload).map_err(|error| sqlx::Error::Encode(Box::new(error)))
}

async fn order_of(tx: &mut Tx, row: &Row, state: OrderState) -> Result<OrderData, sqlx::Error> {
    let order = row.text("order_id")?;
    let failure = match row.opt_text("failure_id")? {
        Some(id) => Some(failure_of(tx, id).await?),
        None => None,
    };
    let cost = tx.optional(COST, args![&order]).await?;
    let cost = cost.as_ref().map(Cost::read).transpose()?.unwrap_or_default();
    // Removed by now if it has expired.
    let due = "SELECT CAST(due_at AS BIGINT) AS due_at FROM sitewright_orders WHERE id = $1";
    let due = tx.optional(due, args![&order]).await?;
    let due_at = due.as_ref().map(|due| due.opt_int("due_at")).transpose()?.flatten();
    Ok(OrderData {
        order,
        state,
        template: row.opt_text("template")?,
        revision: row.opt_int("revision")?,
        release: row.opt_text("release")?,
        due_at: due_at.map(rfc3339),
        failure,
        hold: row.opt_text("hold")?,
        cost,
    })
}

/// What the failure record says. It may be removed by now, or be one of a program that wrote no
/// whole record.
async fn failure_of(tx: &mut Tx, id: String) -> Result<FailureData, sqlx::Error> {
    let sql = "SELECT kind, fingerprint, record FROM sitewright_failures WHERE id = $1";
    let Some(row) = tx.optional(sql, args![&id]).await? else {
        return Ok(FailureData { id, kind: None, code: None, fingerprint: None });
    };
    // The event is told without a code rather than not at all.
    let codes = serde_json::from_str(&row.text("record")?).unwrap_or_else(|error| {
        tracing::warn!(failure = id, %error, "a webhook is sent without the code of its failure");
        Codes::default()
    });
    Ok(FailureData {
        id,
        kind: row.opt_text("kind")?,
        code: codes.code.or(codes.trap.and_then(|trap| trap.code)),
        fingerprint: row.opt_text("fingerprint")?,
    })
}
