//! How an attempt ends: its order, its record and its job change together, and only while the
//! attempt still owns the order.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::Serialize;
use serde_json::{Value as Json, json};

use super::attempt::{AttemptEnd, Claimed};
use super::coalesced::{Coalesced, over_json, json_rows};
use super::database::{Database, now_ms};
use super::error::Error;
use super::failures::Index;
use super::order::OrderState;
use super::river::{self, JobEnd};
use super::sql::{Tx, args, parsed};
use sitewright_model::failure::FailureRecord;
use sitewright_model::message::Message;

/// How often an order may be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptLimits {
    /// Attempts in all. The last failure makes the order dead. Waiting for rate limits, draining
    /// and crashes use none.
    pub attempts: u32,
    /// Crashes in all. With the last one the order is dead, since it may be what ends the
    /// processes (catalogue C7).
    pub crashes: u32,
}

impl Default for AttemptLimits {
    fn default() -> Self {
        AttemptLimits { attempts: 5, crashes: 2 }
    }
}

impl AttemptLimits {
    /// Whether an order that has crashed so often is dead.
    pub(super) fn is_last_crash(self, crashes: i64) -> bool {
        crashes >= i64::from(self.crashes)
    }
}

/// A failure record as the store keeps it: what it is searched by, and the whole of it.
#[derive(Debug, Clone, PartialEq)]
pub struct NewFailure {
    /// The record's id.
    pub id: String,
    /// Its kind: `ai`, `trap`, `crashed`, ...
    pub kind: String,
    /// What happened, in a line.
    pub message: Message,
    /// The record.
    pub record: Json,
}

impl From<&FailureRecord> for NewFailure {
    fn from(record: &FailureRecord) -> Self {
        let (id, kind) = (record.id.clone(), record.kind.as_str().to_owned());
        let whole = match record.fingerprint {
            Some(_) => None,
            None => Some(sitewright_failure::fingerprint::stamped(record.clone())),
        };
        let written = serde_json::to_value(whole.as_ref().unwrap_or(record)).unwrap_or_else(|error| {
            // All keys are texts, so this cannot be; should it ever, what is searched by is still there.
            tracing::error!(%error, order = record.order, "a failure record cannot be written as JSON");
            serde_json::json!({ "id": id, "order": record.order, "kind": kind, "message": record.message })
        });
        NewFailure { id, kind, message: record.message.clone(), record: written }
    }
}

/// What an attempt came to, as its worker sees it.
#[derive(Debug, Clone, PartialEq)]
pub enum Resolution {
    /// A release was made.
    Succeeded {
        /// Its name; it is the order's current one now.
        release: String,
    },
    /// Another attempt would end the same way.
    Failed {
        /// Why.
        failure: NewFailure,
    },
    /// Another attempt may succeed. Uses one; after the last one the order is dead.
    Retry {
        /// Why.
        failure: NewFailure,
        /// How long to wait before.
        after: Duration,
    },
    /// Somebody else's limit has to pass first. Uses no attempt.
    Snooze {
        /// What happened.
        failure: NewFailure,
        /// How long to wait.
        after: Duration,
    },
    /// Given up.
    Dead {
        /// Why.
        failure: NewFailure,
    },
    /// Somebody stopped it.
    Cancelled {
        /// What it was doing when it was stopped.
        failure: Option<NewFailure>,
    },
    /// The worker goes away: the order goes back to its place in line. Uses no attempt.
    ReturnToQueue,
}

impl Resolution {
    fn failure(&self) -> Option<&NewFailure> {
        match self {
            Resolution::Failed { failure }
            | Resolution::Retry { failure, .. }
            | Resolution::Snooze { failure, .. }
            | Resolution::Dead { failure }
            | Resolution::Cancelled { failure: Some(failure) } => Some(failure),
            Resolution::Succeeded { .. }
            | Resolution::Cancelled { failure: None }
            | Resolution::ReturnToQueue => None,
        }
    }
}

/// What came of settling.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "settled", rename_all = "snake_case")]
pub enum CompleteOutcome {
    /// It is written.
    Done {
        /// How the attempt ended.
        attempt: AttemptEnd,
        /// Where the order stands now.
        order: OrderState,
        /// When its next attempt is due, in milliseconds since the Unix epoch.
        next_attempt_at: Option<i64>,
    },
    /// The order was given to somebody else while this worker was silent. Nothing was changed,
    /// except that the attempt says so.
    LeaseLost,
}

impl Database {
    /// Ends an attempt. Asked again after an answer was lost, it says the same.
    ///
    /// # Errors
    /// When the database fails: nothing has changed then, and the attempt still owns its order.
    pub async fn complete(
        &self,
        claimed: &Claimed,
        resolution: &Resolution,
        limits: AttemptLimits,
    ) -> Result<CompleteOutcome, Error> {
        let settle = CompleteAttempt {
            claimed: Arc::new(claimed.clone()),
            resolution: Arc::new(resolution.clone()),
            river: self.river().clone(),
            limits,
        };
        let settled = self.write_coalesced(format!("settling order {:?}", claimed.order), settle);
        match settled.await? {
            Ok(settled) => Ok(settled),
            Err((attempt, order, next_attempt_at)) => Ok(CompleteOutcome::Done {
                attempt: parsed("sitewright_attempts", "outcome", &attempt)?,
                order: parsed("sitewright_orders", "state", &order)?,
                next_attempt_at,
            }),
        }
    }
}

/// CompleteOutcome before: what stands in the rows.
type Before = (String, String, Option<i64>);

/// Ends one attempt.
#[derive(Clone)]
struct CompleteAttempt {
    claimed: Arc<Claimed>,
    resolution: Arc<Resolution>,
    river: river::Inserter,
    limits: AttemptLimits,
}

#[async_trait]
impl Coalesced for CompleteAttempt {
    type Answer = Result<CompleteOutcome, Before>;

    /// Those that succeeded, which is what thousands do at the same time.
    async fn many(tx: &mut Tx, these: &[Self]) -> Result<Vec<Option<Self::Answer>>, sqlx::Error> {
        let now = now_ms();
        let succeeded = these.iter().filter_map(|settle| match &*settle.resolution {
            Resolution::Succeeded { release } => {
                let claimed = &settle.claimed;
                Some(vec![json!(claimed.order), json!(claimed.attempt.to_string()), json!(release)])
            }
            _ => None,
        });
        let succeeded = json_rows(succeeded);
        // `state || ''`: so that the orders are looked up by their ids, not among all that run.
        let sql = over_json!(
            tx,
            "UPDATE sitewright_orders SET state = 'succeeded', owner_attempt = NULL, owner_worker \
             = NULL, attempts = attempts + 1,
                current_release = t.value ->> 2, waiting_reason = NULL, next_attempt_at = NULL, \
             updated_at = $2, finished_at = $2
             FROM ",
            " WHERE sitewright_orders.id = t.value ->> 0 AND owner_attempt = t.value ->> 1 AND \
             state || '' = 'running'
             RETURNING sitewright_orders.id AS order_id, job_id, current_release"
        );
        let (mut ended, mut jobs) =
            (HashMap::with_capacity(these.len()), Vec::with_capacity(these.len()));
        for row in tx.all(sql, args![&succeeded, now]).await? {
            jobs.extend(row.opt_int("job_id")?);
            ended.insert(row.text("order_id")?, row.opt_text("current_release")?);
        }
        let mut attempts = Vec::with_capacity(ended.len());
        let mut answers = Vec::with_capacity(these.len());
        for settle in these {
            let claimed = &settle.claimed;
            let release = match &*settle.resolution {
                // One that is there twice was settled once, and a late attempt must not stand for
                // the one that owns the order: the other one is told so by a closer
                // look.
                Resolution::Succeeded { release }
                    if ended
                        .get(&claimed.order)
                        .is_some_and(|current| current.as_ref() == Some(release)) =>
                {
                    ended.remove(&claimed.order);
                    Some(release)
                }
                _ => None,
            };
            answers.push(release.map(|release| {
                attempts.push(vec![
                    json!(claimed.order),
                    json!(claimed.attempt.to_string()),
                    json!(release),
                ]);
                let (attempt, order) = (AttemptEnd::Succeeded, OrderState::Succeeded);
                Ok(CompleteOutcome::Done { attempt, order, next_attempt_at: None })
            }));
        }
        river::complete_all(tx, &jobs).await?;
        let sql = over_json!(
            tx,
            "UPDATE sitewright_attempts SET outcome = 'succeeded', ended_at = $2, release = \
             t.value ->> 2, failure_id = NULL,
                last_stage = (SELECT stage FROM sitewright_events
                    WHERE order_id = t.value ->> 0 AND attempt_id = t.value ->> 1 ORDER BY \
             sitewright_events.id DESC LIMIT 1)
             FROM ",
            " WHERE sitewright_attempts.id = t.value ->> 1 AND outcome IS NULL"
        );
        tx.execute(sql, args![&json_rows(attempts.into_iter()), now]).await?;
        Ok(answers)
    }

    async fn one(&self, tx: &mut Tx) -> Result<Self::Answer, sqlx::Error> {
        complete_in(tx, &self.river, &self.claimed, &self.resolution, self.limits).await
    }
}

async fn complete_in(
    tx: &mut Tx,
    river: &river::Inserter,
    claimed: &Claimed,
    resolution: &Resolution,
    limits: AttemptLimits,
) -> Result<Result<CompleteOutcome, Before>, sqlx::Error> {
    let (now, attempt) = (now_ms(), claimed.attempt.to_string());
    let owned = tx
        .optional(
            "UPDATE sitewright_orders SET updated_at = $3 WHERE id = $1 AND owner_attempt = $2 \
             AND state = 'running'
             RETURNING attempts, priority, job_id, cancel_requested_at",
            args![&claimed.order, &attempt, now],
        )
        .await?;
    let Some(owned) = owned else {
        return not_owned(tx, claimed, &attempt, now).await;
    };
    let job = owned.opt_int("job_id")?;
    let used = owned.int("attempts")?;
    let plan = Plan::of(resolution, used, owned.opt_int("cancel_requested_at")?.is_some(), limits);
    let next = plan
        .after
        .map(|after| now.saturating_add(i64::try_from(after.as_millis()).unwrap_or(i64::MAX / 2)));
    let failure = resolution.failure();
    let error = failure.map(|failure| format!("{}: {}", failure.kind, failure.message));

    let job = match plan.order {
        OrderState::Queued | OrderState::Waiting | OrderState::Running => {
            let priority = owned.int("priority")?;
            Some(
                river::replace(river, tx, &claimed.order, priority, job, error.as_deref(), next)
                    .await?,
            )
        }
        ended => {
            if let Some(job) = job {
                let end = match ended {
                    OrderState::Succeeded => JobEnd::Completed,
                    OrderState::Cancelled => JobEnd::Cancelled,
                    _ => JobEnd::Discarded,
                };
                river::finish(tx, job, end, error.as_deref()).await?;
            }
            job
        }
    };
    let release = match resolution {
        Resolution::Succeeded { release } => Some(release.as_str()),
        _ => None,
    };
    if let Some(failure) = failure {
        insert_failure(tx, &claimed.order, &attempt, failure, now).await?;
    }
    end_attempt(
        tx,
        &claimed.order,
        &attempt,
        plan.attempt,
        release,
        failure.map(|failure| &*failure.id),
        now,
    )
    .await?;
    tx.execute(
        "UPDATE sitewright_orders SET state = $2, owner_attempt = NULL, owner_worker = NULL, \
         job_id = $3, attempts = attempts + $4,
            current_release = coalesce($5, current_release), last_failure = coalesce($6, \
         last_failure), waiting_reason = $7,
            next_attempt_at = $8, finished_at = $9
         WHERE id = $1",
        args![
            &claimed.order,
            plan.order.as_str(),
            job,
            i64::from(plan.uses_attempt),
            release,
            failure.map(|failure| &*failure.id),
            next.and(error.as_deref()),
            next,
            plan.order.has_ended().then_some(now)
        ],
    )
    .await?;
    Ok(Ok(CompleteOutcome::Done { attempt: plan.attempt, order: plan.order, next_attempt_at: next }))
}

/// Somebody else has the order, or this was settled before and only the answer was lost.
async fn not_owned(
    tx: &mut Tx,
    claimed: &Claimed,
    attempt: &str,
    now: i64,
) -> Result<Result<CompleteOutcome, Before>, sqlx::Error> {
    let row = tx
        .optional(
            "SELECT a.outcome AS outcome, o.state AS state, o.next_attempt_at AS next_attempt_at
             FROM sitewright_attempts a JOIN sitewright_orders o ON o.id = a.order_id
             WHERE a.id = $1 AND a.outcome IS NOT NULL AND a.outcome <> 'crashed'",
            args![attempt],
        )
        .await?;
    if let Some(row) = row {
        return Ok(Err((
            row.text("outcome")?,
            row.text("state")?,
            row.opt_int("next_attempt_at")?,
        )));
    }
    tx.execute(
        "UPDATE sitewright_attempts SET lease_lost_at = $3 WHERE id = $1 AND order_id = $2 AND \
         lease_lost_at IS NULL",
        args![attempt, &claimed.order, now],
    )
    .await?;
    Ok(Ok(CompleteOutcome::LeaseLost))
}

pub(super) async fn insert_failure(
    tx: &mut Tx,
    order: &str,
    attempt: &str,
    failure: &NewFailure,
    now: i64,
) -> Result<(), sqlx::Error> {
    let index = Index::of(&failure.kind, failure.message.as_str(), &failure.record);
    tx.execute(
        "INSERT INTO sitewright_failures
            (id, order_id, attempt_id, kind, message, record, created_at, fingerprint, template, \
         frame)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (id) DO NOTHING",
        args![
            &failure.id,
            order,
            attempt,
            &failure.kind,
            failure.message.as_str(),
            &failure.record.to_string(),
            now,
            &index.fingerprint,
            &index.template,
            &index.frame
        ],
    )
    .await
    .map(drop)
}

pub(super) async fn end_attempt(
    tx: &mut Tx,
    order: &str,
    attempt: &str,
    end: AttemptEnd,
    release: Option<&str>,
    failure: Option<&str>,
    now: i64,
) -> Result<(), sqlx::Error> {
    tx.execute(
        "UPDATE sitewright_attempts SET outcome = $3, ended_at = $4, release = $5, failure_id = \
         $6, last_stage =
            (SELECT stage FROM sitewright_events WHERE order_id = $2 AND attempt_id = $1 ORDER BY \
         id DESC LIMIT 1)
         WHERE id = $1 AND outcome IS NULL",
        args![attempt, order, end.as_str(), now, release, failure],
    )
    .await
    .map(drop)
}

/// What a resolution means for an order with this past.
struct Plan {
    attempt: AttemptEnd,
    order: OrderState,
    uses_attempt: bool,
    after: Option<Duration>,
}

impl Plan {
    fn of(
        resolution: &Resolution,
        used: i64,
        cancel_requested: bool,
        limits: AttemptLimits,
    ) -> Plan {
        let ends =
            |attempt, order, uses_attempt| Plan { attempt, order, uses_attempt, after: None };
        let waits = |attempt, uses_attempt, after| Plan {
            attempt,
            order: OrderState::Waiting,
            uses_attempt,
            after: Some(after),
        };
        match resolution {
            Resolution::Succeeded { .. } => {
                ends(AttemptEnd::Succeeded, OrderState::Succeeded, true)
            }
            Resolution::Failed { .. } => ends(AttemptEnd::Failed, OrderState::Failed, true),
            Resolution::Dead { .. } => ends(AttemptEnd::Dead, OrderState::Dead, true),
            Resolution::Cancelled { .. } => {
                ends(AttemptEnd::Cancelled, OrderState::Cancelled, false)
            }
            // What would go on does not when somebody has asked to stop it.
            Resolution::Retry { .. } | Resolution::Snooze { .. } | Resolution::ReturnToQueue
                if cancel_requested =>
            {
                ends(AttemptEnd::Cancelled, OrderState::Cancelled, false)
            }
            Resolution::Retry { .. } if used + 1 >= i64::from(limits.attempts) => {
                ends(AttemptEnd::Dead, OrderState::Dead, true)
            }
            Resolution::Retry { after, .. } => waits(AttemptEnd::Retry, true, *after),
            Resolution::Snooze { after, .. } => waits(AttemptEnd::Snoozed, false, *after),
            Resolution::ReturnToQueue => ends(AttemptEnd::Returned, OrderState::Queued, false),
        }
    }
}
