//! The history of an order: its progress events and failure records.

use serde::Serialize;
use serde_json::{Value as Json, json};
use std::sync::Arc;

use super::coalesced::{json_rows, over_json};
use super::database::Database;
use super::driver::{Row, Tx, args};
use super::error::Error;
use super::model::{Attempt, Order};
use sitewright_model::failure::{NewCall, Progress, TrailEntry, TrailOutcome};
use sitewright_model::time::now_ms;

/// A stage that an attempt reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    pub order: String,
    pub attempt: Option<String>,
    pub stage: String,
    /// Steps done.
    pub done: Option<u32>,
    /// Steps in total.
    pub total: Option<u32>,
    pub message: Option<String>,
}

/// A progress event's row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Event {
    /// Increases over all orders; [`Database::events`] returns those after a given id.
    pub id: i64,
    pub attempt: Option<String>,
    /// Milliseconds since the Unix epoch.
    pub at: i64,
    pub stage: String,
    /// Steps done.
    pub done: Option<i64>,
    /// Steps in total.
    pub total: Option<i64>,
    pub message: Option<String>,
}

impl Event {
    pub(super) fn read(row: &Row) -> Result<Self, sqlx::Error> {
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

/// A failure record's row.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Failure {
    pub id: String,
    pub order: String,
    pub attempt: Option<String>,
    pub kind: String,
    pub message: String,
    /// Milliseconds since the Unix epoch.
    pub at: i64,
    pub record: Json,
}

/// What [`Failure::read`] reads. Not `*`, which a column of a newer program makes fail on
/// connections of PostgreSQL that have prepared it.
macro_rules! select_failures {
    ($rest:literal) => {
        concat!(
            "SELECT id, order_id, attempt_id, kind, message, created_at, record
             FROM sitewright_failures ",
            $rest
        )
    };
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
    pub order: Order,
    /// The order document, as it was sent.
    pub document: String,
    pub attempts: Vec<Attempt>,
    pub events: Vec<Event>,
    pub ai_calls: Vec<super::reply_journal::AiCall>,
    pub failures: Vec<Failure>,
}

impl Database {
    /// Stores progress events in one transaction. They are for people who watch: an event that
    /// cannot be stored must not fail an order (failure catalogue B2).
    ///
    /// # Errors
    /// If the database fails.
    pub async fn record_events(&self, events: Vec<NewEvent>) -> Result<(), Error> {
        let events = Arc::new(events);
        let now = now_ms();
        self.write("storing progress events", move |tx| {
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
    /// If the database fails.
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

    /// The newest events of an order, at most `limit`, the oldest of them first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn newest_events(&self, order: &str, limit: u32) -> Result<Vec<Event>, Error> {
        let doing = "reading progress";
        let sql = "SELECT id, attempt_id, at, stage, done, total, message FROM sitewright_events
             WHERE order_id = $1 ORDER BY id DESC LIMIT $2";
        let rows = self.read(doing, sql, args![order, i64::from(limit)]).await?;
        let events: Result<Vec<Event>, _> = rows.iter().rev().map(Event::read).collect();
        events.map_err(|error| Error::database(doing, error))
    }

    /// The failure records of an order, the oldest first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn failures(&self, order: &str) -> Result<Vec<Failure>, Error> {
        let sql = select_failures!("WHERE order_id = $1 ORDER BY created_at, id");
        self.read("reading failure records", sql, args![order])
            .await?
            .iter()
            .map(Failure::read)
            .collect()
    }

    /// One failure record; `None` if there is none with this id.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn failure(&self, id: &str) -> Result<Option<Failure>, Error> {
        let sql = select_failures!("WHERE id = $1");
        let rows = self.read("reading a failure record", sql, args![id]).await?;
        rows.first().map(Failure::read).transpose()
    }

    /// The failure records whose id has this prefix, the newest first; at most 10.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn failures_like(&self, beginning: &str) -> Result<Vec<Failure>, Error> {
        let wanted = beginning.to_ascii_uppercase();
        let length = i64::try_from(wanted.chars().count()).unwrap_or(i64::MAX);
        // Not `LIKE`: the prefix is typed by a person and may contain its wildcards.
        let sql = select_failures!(
            "WHERE substr(id, 1, CAST($2 AS INTEGER)) = $1 ORDER BY id DESC LIMIT 10"
        );
        let rows = self.read("reading a failure record", sql, args![&wanted, length]).await?;
        rows.iter().map(Failure::read).collect()
    }

    /// Everything about an order.
    ///
    /// # Errors
    /// [`Error::NoSuchOrder`]; or the database fails.
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

/// What the database knows of an attempt whose process ended, for its failure record.
#[derive(Debug, Default)]
pub(super) struct AttemptHistory {
    /// The last stage it reported, and its progress there.
    pub(super) stage: Option<(String, Option<Progress>)>,
    /// Its stages and its AI replies, oldest first.
    pub(super) trail: Vec<TrailEntry>,
}

/// `began` is the start of the attempt, in milliseconds since the Unix epoch.
pub(super) async fn attempt_history(
    tx: &mut Tx,
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
