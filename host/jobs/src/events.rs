//! What an order went through: its progress, and its failure records.

use serde::Serialize;
use serde_json::{Value as Json, json};
use std::sync::Arc;

use super::attempt::Attempt;
use super::coalesced::{over_json, json_rows};
use super::database::{Database, now_ms};
use super::error::Error;
use super::order::Order;
use super::sql::{Row, args};
use sitewright_model::failure::{NewCall, Progress, TrailEntry, TrailOutcome};

/// A stage that an attempt reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// The order.
    pub order: String,
    /// Its attempt.
    pub attempt: Option<String>,
    /// The stage.
    pub stage: String,
    /// How much of it is done.
    pub done: Option<u32>,
    /// Of how much.
    pub total: Option<u32>,
    /// A word about it.
    pub message: Option<String>,
}

/// An event as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Event {
    /// Counts up over all orders: ask for those after it.
    pub id: i64,
    /// The attempt.
    pub attempt: Option<String>,
    /// When, in milliseconds since the Unix epoch.
    pub at: i64,
    /// The stage.
    pub stage: String,
    /// How much of it is done.
    pub done: Option<i64>,
    /// Of how much.
    pub total: Option<i64>,
    /// A word about it.
    pub message: Option<String>,
}

impl Event {
    fn read(row: &Row) -> Result<Self, sqlx::Error> {
        Ok(Event {
            id: row.int("id")?,
            attempt: row.opt_text("attempt_id")?,
            at: row.int("at")?,
            stage: row.text("stage")?,
            done: row.opt_int("done")?,
            total: row.opt_int("total")?,
            message: row.opt_text("message")?,
        })
    }
}

/// A failure record as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Failure {
    /// Its id.
    pub id: String,
    /// The order.
    pub order: String,
    /// The attempt.
    pub attempt: Option<String>,
    /// Its kind.
    pub kind: String,
    /// What happened, in a line.
    pub message: String,
    /// When, in milliseconds since the Unix epoch.
    pub at: i64,
    /// The record.
    pub record: Json,
}

impl Failure {
    pub(super) fn read(row: &Row) -> Result<Self, Error> {
        let fields = || -> Result<(Failure, String), sqlx::Error> {
            let failure = Failure {
                id: row.text("id")?,
                order: row.text("order_id")?,
                attempt: row.opt_text("attempt_id")?,
                kind: row.text("kind")?,
                message: row.text("message")?,
                at: row.int("created_at")?,
                record: Json::Null,
            };
            Ok((failure, row.text("record")?))
        };
        let wrong = |why: String| Error::Row { table: "sitewright_failures", why };
        let (failure, record) = fields().map_err(|error| wrong(error.to_string()))?;
        let record =
            serde_json::from_str(&record).map_err(|error| wrong(format!("`record`: {error}")))?;
        Ok(Failure { record, ..failure })
    }
}

/// Everything about an order in one document.
#[derive(Debug, Clone, Serialize)]
pub struct Export {
    /// The order.
    pub order: Order,
    /// Its document, as it came.
    pub document: String,
    /// Its attempts.
    pub attempts: Vec<Attempt>,
    /// Its progress.
    pub events: Vec<Event>,
    /// Its AI replies.
    pub ai_calls: Vec<super::reply_journal::AiCall>,
    /// Its failure records.
    pub failures: Vec<Failure>,
}

impl Database {
    /// Writes progress down, several events to a transaction. It is for people who watch: an event
    /// that cannot be written is no reason to fail an order (catalogue B2).
    ///
    /// # Errors
    /// When the database fails.
    pub async fn record_events(&self, events: Vec<NewEvent>) -> Result<(), Error> {
        let events = Arc::new(events);
        let now = now_ms();
        self.write("writing progress down", move |tx| {
            let events = events.clone();
            Box::pin(async move {
                let list = json_rows(events.iter().map(|event| {
                    vec![
                        json!(event.order),
                        json!(event.attempt),
                        json!(event.stage),
                        json!(event.done),
                        json!(event.total),
                        json!(event.message),
                    ]
                }));
                let sql = over_json!(
                    tx,
                    "INSERT INTO sitewright_events (order_id, attempt_id, at, stage, done, total, \
                     message)
                     SELECT t.value ->> 0, t.value ->> 1, CAST($2 AS BIGINT), t.value ->> 2, \
                     CAST(t.value ->> 3 AS BIGINT),
                        CAST(t.value ->> 4 AS BIGINT), t.value ->> 5
                     FROM ",
                    ""
                );
                tx.execute(sql, args![&list, now]).await?;
                Ok(())
            })
        })
        .await
    }

    /// The events of an order after the one with this id; 0 for all.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn events(&self, order: &str, after: i64) -> Result<Vec<Event>, Error> {
        let doing = "reading progress";
        let sql = "SELECT id, attempt_id, at, stage, done, total, message FROM sitewright_events
             WHERE order_id = $1 AND id > $2 ORDER BY id";
        let rows = self.read(doing, sql, args![order, after]).await?;
        rows.iter()
            .map(Event::read)
            .collect::<Result<_, _>>()
            .map_err(|error| Error::database(doing, error))
    }

    /// The failure records of an order, the first one first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn failures(&self, order: &str) -> Result<Vec<Failure>, Error> {
        let sql = "SELECT * FROM sitewright_failures WHERE order_id = $1 ORDER BY created_at, id";
        self.read("reading failure records", sql, args![order])
            .await?
            .iter()
            .map(Failure::read)
            .collect()
    }

    /// One failure record.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn failure(&self, id: &str) -> Result<Option<Failure>, Error> {
        let sql = "SELECT * FROM sitewright_failures WHERE id = $1";
        let rows = self.read("reading a failure record", sql, args![id]).await?;
        rows.first().map(Failure::read).transpose()
    }

    /// The failure records whose id begins so, the newest first; at most a few.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn failures_like(&self, beginning: &str) -> Result<Vec<Failure>, Error> {
        let wanted = beginning.to_ascii_uppercase();
        let length = i64::try_from(wanted.chars().count()).unwrap_or(i64::MAX);
        // Not `LIKE`: what a person types has no wildcards.
        let sql = "SELECT * FROM sitewright_failures WHERE substr(id, 1, CAST($2 AS INTEGER)) = \
                   $1 ORDER BY id DESC LIMIT 10";
        let rows = self.read("reading a failure record", sql, args![&wanted, length]).await?;
        rows.iter().map(Failure::read).collect()
    }

    /// Everything about an order.
    ///
    /// # Errors
    /// When there is no such order, or the database fails.
    pub async fn export(&self, order: &str) -> Result<Export, Error> {
        Ok(Export {
            order: self.order(order).await?,
            document: self.document(order).await?,
            attempts: self.attempts(order).await?,
            events: self.events(order, 0).await?,
            ai_calls: self.ai_calls(order).await?,
            failures: self.failures(order).await?,
        })
    }
}

/// What the store knows of an attempt that ended with its process, for its failure record.
#[derive(Debug, Default)]
pub(super) struct AttemptHistory {
    /// The last stage it reported, with how far it was.
    pub(super) stage: Option<(String, Option<Progress>)>,
    /// Its stages and its AI replies, oldest first.
    pub(super) trail: Vec<TrailEntry>,
}

/// Reads it; `began` is when the attempt did, in milliseconds since the Unix epoch.
pub(super) async fn attempt_history(
    tx: &mut super::sql::Tx,
    order: &str,
    attempt: &str,
    began: i64,
) -> Result<AttemptHistory, sqlx::Error> {
    let events = tx
        .all(
            "SELECT at, stage, done, total FROM sitewright_events WHERE order_id = $1 AND \
             attempt_id = $2
             ORDER BY id DESC LIMIT 50",
            args![order, attempt],
        )
        .await?;
    let calls = tx
        .all(
            "SELECT created_at AS at, purpose, provider, model, input_tokens, output_tokens
             FROM sitewright_ai_calls WHERE order_id = $1 AND attempt_id = $2 ORDER BY id DESC \
             LIMIT 200",
            args![order, attempt],
        )
        .await?;
    let mut known = AttemptHistory::default();
    let mut trail: Vec<(i64, &'static str, String)> =
        Vec::with_capacity(events.len() + calls.len());
    for row in events.iter().rev() {
        let (stage, progress) = (row.text("stage")?, progress(row)?);
        let steps =
            progress.map(|steps| format!(" {}/{}", steps.done, steps.total)).unwrap_or_default();
        trail.push((row.int("at")?, "diagnostics.progress", format!("{stage}{steps}")));
        known.stage = Some((stage, progress));
    }
    for row in calls.iter().rev() {
        let tokens = |column| row.opt_int(column).map(|count| count.unwrap_or_default());
        let args = format!(
            "{}: {} of {} answered, {} tokens in, {} out",
            row.text("purpose")?,
            row.text("model")?,
            row.text("provider")?,
            tokens("input_tokens")?,
            tokens("output_tokens")?,
        );
        trail.push((row.int("at")?, "ai.complete", args));
    }
    trail.sort_by_key(|(at, ..)| *at);
    known.trail = (1..)
        .zip(trail)
        .map(|(seq, (at, call, args))| {
            let at_ms = u64::try_from(at.saturating_sub(began)).unwrap_or_default();
            let call = NewCall { call, args, ..NewCall::default() };
            TrailEntry { outcome: TrailOutcome::Ok, ..TrailEntry::begun(seq, at_ms, call) }
        })
        .collect();
    Ok(known)
}

fn progress(row: &Row) -> Result<Option<Progress>, sqlx::Error> {
    let steps = |column| {
        row.opt_int(column).map(|number| number.and_then(|number| u32::try_from(number).ok()))
    };
    Ok(steps("done")?.zip(steps("total")?).map(|(done, total)| Progress { done, total }))
}
