//! Attempts: one try of an order each, kept for good.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::json;
use ulid::Ulid;

use super::coalesced::{Coalesced, over_json, json_rows};
use super::database::{Database, now_ms};
use super::error::Error;
use super::order::OrderState;
use super::sql::{Row, Tx, args, parsed};
use sitewright_model::failure::OfAttempt;

/// How an attempt ended. Not how its order did: a `retry` is one attempt's end and no order's
/// (catalogue B6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptEnd {
    /// With a release.
    Succeeded,
    /// With a failure that no further attempt would change.
    Failed,
    /// With a failure that another attempt may not meet.
    Retry,
    /// It has to wait for somebody else's limit; no attempt was used.
    Snoozed,
    /// With the last failure that was limits.
    Dead,
    /// Somebody stopped the order.
    Cancelled,
    /// The worker was drained and gave the order back; no attempt was used.
    Returned,
    /// The worker fell silent in the middle.
    Crashed,
}

impl AttemptEnd {
    /// As it stands in the database and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            AttemptEnd::Succeeded => "succeeded",
            AttemptEnd::Failed => "failed",
            AttemptEnd::Retry => "retry",
            AttemptEnd::Snoozed => "snoozed",
            AttemptEnd::Dead => "dead",
            AttemptEnd::Cancelled => "cancelled",
            AttemptEnd::Returned => "returned",
            AttemptEnd::Crashed => "crashed",
        }
    }
}

impl fmt::Display for AttemptEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for AttemptEnd {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        use AttemptEnd::*;
        let all = [Succeeded, Failed, Retry, Snoozed, Dead, Cancelled, Returned, Crashed];
        all.into_iter().find(|end| end.as_str() == text).ok_or(())
    }
}

/// An attempt as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Attempt {
    /// Its id.
    pub id: String,
    /// Its order.
    pub order: String,
    /// The how manieth of its order, from 1.
    pub number: i64,
    /// The worker that made it.
    pub worker: String,
    /// The job it was claimed from.
    pub job: Option<i64>,
    /// Its trace id.
    pub trace_id: String,
    /// The configuration it was made with.
    pub config_version: Option<String>,
    /// When it began, in milliseconds since the Unix epoch.
    pub started_at: i64,
    /// When it ended.
    pub ended_at: Option<i64>,
    /// How it ended; missing while it runs.
    pub outcome: Option<AttemptEnd>,
    /// When its worker came back after somebody else had been given the order. Nothing it brought
    /// was kept.
    pub lease_lost_at: Option<i64>,
    /// The release it made.
    pub release: Option<String>,
    /// Its failure record.
    pub failure: Option<String>,
    /// The last stage it reported.
    pub last_stage: Option<String>,
}

impl Attempt {
    fn read(row: &Row) -> Result<Self, Error> {
        let fields = || -> Result<(Attempt, Option<String>), sqlx::Error> {
            let attempt = Attempt {
                id: row.text("id")?,
                order: row.text("order_id")?,
                number: row.int("number")?,
                worker: row.text("worker")?,
                job: row.opt_int("job_id")?,
                trace_id: row.text("trace_id")?,
                config_version: row.opt_text("config_version")?,
                started_at: row.int("started_at")?,
                ended_at: row.opt_int("ended_at")?,
                outcome: None,
                lease_lost_at: row.opt_int("lease_lost_at")?,
                release: row.opt_text("release")?,
                failure: row.opt_text("failure_id")?,
                last_stage: row.opt_text("last_stage")?,
            };
            Ok((attempt, row.opt_text("outcome")?))
        };
        let wrong = |error: sqlx::Error| Error::Row {
            table: "sitewright_attempts",
            why: error.to_string(),
        };
        let (attempt, outcome) = fields().map_err(wrong)?;
        let outcome =
            outcome.map(|text| parsed("sitewright_attempts", "outcome", &text)).transpose()?;
        Ok(Attempt { outcome, ..attempt })
    }
}

/// Who takes an order.
#[derive(Debug, Clone)]
pub struct WorkerId {
    /// The id of its client in the queue: host, process and something random, never the same
    /// twice.
    pub client: String,
    /// The configuration it runs with.
    pub config_version: Option<String>,
}

/// An order that was claimed: the right to finish it, as long as nobody else was given it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// The order's id.
    pub order: String,
    /// The template that makes it.
    pub template: String,
    /// The configuration that its first attempt was made with. The worker's own may be newer by
    /// now; an attempt is made with one and the same from its begin to its end, and names it
    /// (catalogue E13).
    pub config_version: Option<String>,
    /// The attempt that begins now.
    pub attempt: Ulid,
    /// The how manieth of its order, from 1.
    pub number: i64,
    /// How many were used up before it: what a back-off goes by.
    pub attempts_used: i64,
    /// The job it was claimed from.
    pub job: i64,
    /// The attempt's trace id: 32 hexadecimal digits.
    pub trace_id: String,
    /// The worker that took it.
    pub worker: String,
}

impl From<&Claimed> for OfAttempt {
    fn from(claimed: &Claimed) -> Self {
        OfAttempt {
            order: claimed.order.clone(),
            job: Some(claimed.job.to_string()),
            attempt: claimed.attempt.to_string(),
            trace_id: claimed.trace_id.clone(),
            template: claimed.template.clone(),
            config_version: claimed.config_version.clone().unwrap_or_default(),
        }
    }
}

/// What came of taking an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// It is ours. With its document, which nobody needs for longer than until it has been read.
    Claimed(Box<Claimed>, String),
    /// It has ended: the job is left over.
    AlreadyEnded(OrderState),
    /// Another attempt has it, or another job stands for it: this job is left over.
    NotThisJob,
    /// There is no such order: the job is somebody's mistake.
    NoSuchOrder,
}

impl Database {
    /// Takes an order for an attempt with this id. Asked again with the same id, the answer is the
    /// same.
    ///
    /// An order that is queued is given for any job that names it; one that waits only for the job
    /// of its next attempt.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn claim(
        &self,
        order: &str,
        job: i64,
        worker: &WorkerId,
        attempt: Ulid,
    ) -> Result<Claim, Error> {
        let take = ClaimOrder { order: order.to_owned(), job, worker: worker.clone(), attempt };
        match self.write_coalesced(format!("taking order {order:?}"), take).await? {
            Ok(claimed) => Ok(claimed),
            Err(state) => match parsed("sitewright_orders", "state", &state)? {
                state if OrderState::has_ended(state) => Ok(Claim::AlreadyEnded(state)),
                _ => Ok(Claim::NotThisJob),
            },
        }
    }

    /// One attempt; nothing when there is none of this id.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn attempt(&self, id: &str) -> Result<Option<Attempt>, Error> {
        let sql = "SELECT id, order_id, number, worker, job_id, trace_id, config_version, \
                   started_at, ended_at, outcome,
                lease_lost_at, release, failure_id, last_stage
             FROM sitewright_attempts WHERE id = $1";
        self.read("reading an attempt", sql, args![id])
            .await?
            .first()
            .map(Attempt::read)
            .transpose()
    }

    /// The attempts of an order, the first one first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn attempts(&self, order: &str) -> Result<Vec<Attempt>, Error> {
        let sql = "SELECT id, order_id, number, worker, job_id, trace_id, config_version, \
                   started_at, ended_at, outcome,
                lease_lost_at, release, failure_id, last_stage
             FROM sitewright_attempts WHERE order_id = $1 ORDER BY number";
        self.read("reading attempts", sql, args![order]).await?.iter().map(Attempt::read).collect()
    }
}

/// An attempt's trace id: 32 hexadecimal digits.
pub(super) fn trace_id(attempt: Ulid) -> String {
    format!("{:032x}", attempt.0)
}

/// Takes one order.
#[derive(Clone)]
struct ClaimOrder {
    order: String,
    job: i64,
    worker: WorkerId,
    attempt: Ulid,
}

impl ClaimOrder {
    fn claimed(&self, row: &Row) -> Result<Claimed, sqlx::Error> {
        Ok(Claimed {
            order: self.order.clone(),
            template: row.text("template")?,
            config_version: row.opt_text("config_version")?,
            attempt: self.attempt,
            number: row.int("runs")?,
            attempts_used: row.int("attempts")?,
            job: self.job,
            trace_id: trace_id(self.attempt),
            worker: self.worker.client.clone(),
        })
    }

    /// What an attempt is made with, which is the worker's; the order's own says what it began
    /// with.
    fn config<'a>(&'a self, order: &'a Option<String>) -> Option<&'a str> {
        self.worker.config_version.as_deref().or(order.as_deref())
    }
}

#[async_trait]
impl Coalesced for ClaimOrder {
    /// The order's state when it is not given.
    type Answer = Result<Claim, String>;

    async fn many(tx: &mut Tx, these: &[Self]) -> Result<Vec<Option<Self::Answer>>, sqlx::Error> {
        let now = now_ms();
        let wanted = json_rows(these.iter().map(|take| {
            let ClaimOrder { order, job, worker, attempt } = take;
            vec![
                json!(order),
                json!(attempt.to_string()),
                json!(worker.client),
                json!(job),
                json!(worker.config_version),
            ]
        }));
        // `state || ''`: no index is made for that, and the orders are looked up by their ids, not
        // among all of a state.
        let sql = over_json!(
            tx,
            "UPDATE sitewright_orders SET state = 'running', owner_attempt = t.value ->> 1, \
             owner_worker = t.value ->> 2,
                job_id = CAST(t.value ->> 3 AS BIGINT), runs = runs + 1, config_version = \
             coalesce(config_version, t.value ->> 4),
                waiting_reason = NULL, next_attempt_at = NULL, updated_at = $2
             FROM ",
            " WHERE sitewright_orders.id = t.value ->> 0
                AND (state || '' = 'queued' OR (state || '' = 'waiting' AND job_id = CAST(t.value \
             ->> 3 AS BIGINT)))
             RETURNING owner_attempt, document, template, config_version, runs, attempts"
        );
        let mut given = HashMap::with_capacity(these.len());
        for row in tx.all(sql, args![&wanted, now]).await? {
            given.insert(row.text("owner_attempt")?, row);
        }
        let mut answers = Vec::with_capacity(these.len());
        let mut begun = Vec::with_capacity(these.len());
        for take in these {
            let id = take.attempt.to_string();
            let Some(row) = given.remove(&id) else {
                answers.push(None);
                continue;
            };
            let claimed = take.claimed(&row)?;
            let config = take.config(&claimed.config_version);
            begun.push(vec![
                json!(id),
                json!(claimed.order),
                json!(claimed.number),
                json!(claimed.worker),
                json!(claimed.job),
                json!(claimed.trace_id),
                json!(config),
            ]);
            answers.push(Some(Ok(Claim::Claimed(Box::new(claimed), row.text("document")?))));
        }
        let sql = over_json!(
            tx,
            "INSERT INTO sitewright_attempts (id, order_id, number, worker, job_id, trace_id, \
             config_version, started_at)
             SELECT t.value ->> 0, t.value ->> 1, CAST(t.value ->> 2 AS BIGINT), t.value ->> 3, \
             CAST(t.value ->> 4 AS BIGINT),
                t.value ->> 5, t.value ->> 6, CAST($2 AS BIGINT)
             FROM ",
            ""
        );
        tx.execute(sql, args![&json_rows(begun.into_iter()), now]).await?;
        Ok(answers)
    }

    async fn one(&self, tx: &mut Tx) -> Result<Self::Answer, sqlx::Error> {
        claim_in(tx, self).await
    }
}

async fn claim_in(tx: &mut Tx, take: &ClaimOrder) -> Result<Result<Claim, String>, sqlx::Error> {
    let ClaimOrder { order, job, worker, attempt } = take;
    let (now, id, job) = (now_ms(), attempt.to_string(), *job);
    let claimed = tx
        .optional(
            "UPDATE sitewright_orders SET state = 'running', owner_attempt = $2, owner_worker = \
             $3, job_id = $4, runs = runs + 1,
                config_version = coalesce(config_version, $5), waiting_reason = NULL, \
             next_attempt_at = NULL, updated_at = $6
             WHERE id = $1 AND (state = 'queued' OR (state = 'waiting' AND job_id = $4))
             RETURNING document, template, config_version, runs, attempts",
            args![order, &id, &worker.client, job, &worker.config_version, now],
        )
        .await?;
    let row = match claimed {
        Some(row) => {
            let begun = row.opt_text("config_version")?;
            let config = take.config(&begun);
            tx.execute(
                "INSERT INTO sitewright_attempts (id, order_id, number, worker, job_id, trace_id, \
                 config_version, started_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
                args![
                    &id,
                    order,
                    row.int("runs")?,
                    &worker.client,
                    job,
                    &trace_id(*attempt),
                    config,
                    now
                ],
            )
            .await?;
            row
        }
        None => {
            let there = tx
                .optional(
                    "SELECT document, template, config_version, runs, attempts, state, \
                     owner_attempt
                     FROM sitewright_orders WHERE id = $1",
                    args![order],
                )
                .await?;
            match there {
                None => return Ok(Ok(Claim::NoSuchOrder)),
                // The answer to taking it was lost on the way.
                Some(row) if row.opt_text("owner_attempt")?.as_deref() == Some(&id) => row,
                Some(row) => return Ok(Err(row.text("state")?)),
            }
        }
    };
    Ok(Ok(Claim::Claimed(Box::new(take.claimed(&row)?), row.text("document")?)))
}
