//! The webhooks of configurations, in a table that the trigger of the outbox reads. Each process
//! that delivers stores those of its configuration, again and again; one that no process has had
//! for a day is forgotten.

use std::sync::Arc;

use serde::Serialize;
use serde_json::json;
use sitewright_model::time::now_ms;

use super::WebhookEvent;
use crate::coalesced::{json_rows, over_json};
use crate::database::Database;
use crate::driver::{Row, args};
use crate::error::Error;

/// A webhook that no process has had in its configuration for this long is forgotten: a day.
const FORGET_AFTER_MS: i64 = 24 * 3_600_000;

/// A webhook of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub name: String,
    /// Its address as it may be shown: the host, with scheme and port.
    pub url: String,
    /// The events that it is told of. Empty for [`CALLBACK`](super::CALLBACK).
    pub events: Vec<WebhookEvent>,
}

/// A webhook as the database knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Webhook {
    /// `callback` for the callbacks of orders.
    pub name: String,
    /// The host, with scheme and port: its path may be a key. Empty for callbacks.
    pub url: String,
    /// The events that it is told of; of callbacks, all.
    pub events: Vec<WebhookEvent>,
    /// When a process last had it in its configuration, in milliseconds since the Unix epoch.
    pub seen_at: i64,
    /// Since when nothing is sent to it, in milliseconds since the Unix epoch; null if it is
    /// enabled.
    pub disabled_at: Option<i64>,
    pub disabled_reason: Option<String>,
    /// Orders whose callback its receiver disabled; 0 for other webhooks than callbacks.
    pub disabled_callbacks: i64,
    /// Deliveries that are due or wait for their next attempt.
    pub pending: i64,
    /// When the oldest of them happened, in milliseconds since the Unix epoch.
    pub pending_since: Option<i64>,
}

/// The events between commas, for `LIKE`.
fn listed(events: &[WebhookEvent]) -> String {
    events.iter().fold(",".to_owned(), |list, event| format!("{list}{event},"))
}

impl Webhook {
    fn read(row: &Row) -> Result<Self, sqlx::Error> {
        let (name, events) = (row.text("name")?, row.text("events")?);
        let events = match name.as_str() {
            super::CALLBACK => WebhookEvent::OF_ORDERS.to_vec(),
            // A newer program may have stored one that this one does not know.
            _ => events.split(',').filter_map(|event| event.parse().ok()).collect(),
        };
        Ok(Webhook {
            name,
            url: row.text("url")?,
            events,
            seen_at: row.int("seen_at")?,
            disabled_at: row.opt_int("disabled_at")?,
            disabled_reason: row.opt_text("disabled_reason")?,
            disabled_callbacks: row.int("disabled_callbacks")?,
            pending: row.int("pending")?,
            pending_since: row.opt_int("pending_since")?,
        })
    }
}

macro_rules! select_webhooks {
    ($rest:literal) => {
        concat!(
            "SELECT w.name AS name, w.url AS url, w.events AS events, w.seen_at AS seen_at,
                w.disabled_at AS disabled_at, w.disabled_reason AS disabled_reason,
                (SELECT count(*) FROM sitewright_callbacks c
                    WHERE w.name = 'callback' AND c.disabled_at IS NOT NULL) AS disabled_callbacks,
                (SELECT count(*) FROM sitewright_deliveries d
                    WHERE d.webhook = w.name AND d.state = 'pending') AS pending,
                (SELECT min(d.at) FROM sitewright_deliveries d
                    WHERE d.webhook = w.name AND d.state = 'pending') AS pending_since
             FROM sitewright_webhooks w ",
            $rest
        )
    };
}

impl Database {
    /// Stores the webhooks of this process's configuration: from now on the outbox has deliveries
    /// for them. One that got another address is enabled.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn see_webhooks(&self, seen: Vec<Seen>) -> Result<(), Error> {
        if seen.is_empty() {
            return Ok(());
        }
        let seen = Arc::new(seen);
        self.write("storing which webhooks are configured", move |tx| {
            let seen = seen.clone();
            Box::pin(async move {
                let now = now_ms();
                for one in seen.iter() {
                    let sql = "INSERT INTO sitewright_webhooks (name, url, events, seen_at)
                         VALUES ($1, $2, $3, $4) ON CONFLICT (name) DO UPDATE
                         SET events = excluded.events, seen_at = excluded.seen_at,
                            disabled_at = CASE WHEN sitewright_webhooks.url = excluded.url
                                THEN sitewright_webhooks.disabled_at END,
                            disabled_reason = CASE WHEN sitewright_webhooks.url = excluded.url
                                THEN sitewright_webhooks.disabled_reason END,
                            url = excluded.url";
                    let values = args![&one.name, &one.url, &listed(&one.events), now];
                    tx.execute(sql, values).await?;
                }
                Ok(())
            })
        })
        .await
    }

    /// Forgets webhooks that no process has had in its configuration for a day, except `known`. The
    /// names of those that were forgotten.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn forget_webhooks(&self, known: &[String]) -> Result<Vec<String>, Error> {
        let known = json_rows(known.iter().map(|name| vec![json!(name)]));
        self.write("forgetting webhooks that nobody has", move |tx| {
            let known = known.clone();
            Box::pin(async move {
                let sql = over_json!(
                    tx,
                    "DELETE FROM sitewright_webhooks WHERE seen_at < $2
                        AND name NOT IN (SELECT t.value ->> 0 FROM ",
                    ") RETURNING name"
                );
                let rows = tx.all(sql, args![&known, now_ms() - FORGET_AFTER_MS]).await?;
                rows.iter().map(|row| row.text("name")).collect()
            })
        })
        .await
    }

    /// All webhooks, by name.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn webhooks(&self) -> Result<Vec<Webhook>, Error> {
        let doing = "reading the webhooks";
        let rows = self.read(doing, select_webhooks!("ORDER BY w.name"), vec![]).await?;
        let webhooks = rows.iter().map(Webhook::read).collect::<Result<_, _>>();
        webhooks.map_err(|error| Error::database(doing, error))
    }

    /// Enables a webhook that its receiver disabled; with the name [`CALLBACK`](super::CALLBACK),
    /// the callbacks of all orders. `None` if there is none with this name.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn enable_webhook(&self, name: &str) -> Result<Option<Webhook>, Error> {
        let name = name.to_owned();
        self.write("enabling a webhook", move |tx| {
            let name = name.clone();
            Box::pin(async move {
                let sql = "UPDATE sitewright_webhooks
                     SET disabled_at = NULL, disabled_reason = NULL WHERE name = $1";
                tx.execute(sql, args![&name]).await?;
                if name == super::CALLBACK {
                    super::callbacks::enable_callbacks_in(tx, None).await?;
                }
                let row = tx.optional(select_webhooks!("WHERE w.name = $1"), args![&name]).await?;
                row.as_ref().map(Webhook::read).transpose()
            })
        })
        .await
    }
}
