//! The body of a delivery. It is made before the first attempt and stored, so that every attempt
//! sends the same bytes.

use serde::{Deserialize, Serialize};
use sitewright_model::time::rfc3339;

use super::WebhookEvent;
use crate::driver::{Row, Tx, args};
use crate::model::OrderState;
use crate::reply_journal::{COST, Cost};

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
    failure: Option<FailureData>,
    /// What it waits for: `route:NAME`, `template:NAME`, `missing:NAME`.
    hold: Option<String>,
    cost: Cost,
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

/// The state that an event of an order is about.
fn state_of(event: WebhookEvent) -> Option<OrderState> {
    match event {
        WebhookEvent::OrderSucceeded => Some(OrderState::Succeeded),
        WebhookEvent::OrderFailed => Some(OrderState::Failed),
        WebhookEvent::OrderDead => Some(OrderState::Dead),
        WebhookEvent::OrderCancelled => Some(OrderState::Cancelled),
        WebhookEvent::OrderWaiting => Some(OrderState::Waiting),
        WebhookEvent::WebhookTest => None,
    }
}

/// The body of the delivery in this row.
pub(super) async fn payload_of(tx: &mut Tx, row: &Row) -> Result<String, sqlx::Error> {
    let event: WebhookEvent = row.parsed("event")?;
    let data = match (row.opt_text("order_id")?, state_of(event)) {
        (Some(order), Some(state)) => {
            let failure = match row.opt_text("failure_id")? {
                Some(id) => Some(failure_of(tx, id).await?),
                None => None,
            };
            let cost = tx.optional(COST, args![&order]).await?;
            let cost = cost.as_ref().map(Cost::read).transpose()?.unwrap_or_default();
            Data::Order(Box::new(OrderData {
                order,
                state,
                template: row.opt_text("template")?,
                revision: row.opt_int("revision")?,
                release: row.opt_text("release")?,
                failure,
                hold: row.opt_text("hold")?,
                cost,
            }))
        }
        _ => Data::Test { webhook: row.text("webhook")? },
    };
    let payload = Payload { r#type: event, timestamp: rfc3339(row.int("at")?), data };
    serde_json::to_string(&payload).map_err(|error| sqlx::Error::Encode(Box::new(error)))
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
