//! How an attempt ends: its order, its record and its job change in one transaction, and only while
//! the attempt owns the order.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;
use sitewright_model::message::Message;
use sitewright_model::time::now_ms;

use super::batch_items::{self, WAITS_AT_MOST};
use super::coalesced::{Coalesced, json_rows, over_json};
use super::database::Database;
use super::driver::river::{self, JobEnd};
use super::driver::{Tx, args, sql};
use super::error::Error;
use super::failures::FailureIndex;
use super::holds::{self, PARKED_AT_MOST};
use super::model::{
    AttemptEnd, AttemptLimits, Claimed, CompleteOutcome, NewFailure, OrderState, Resolution,
};

impl Database {
    /// Completes an attempt. Idempotent: repeated after a lost answer, it returns the same.
    ///
    /// # Errors
    /// If the database fails: then nothing has changed and the attempt still owns its order.
    pub async fn complete(
        &self,
        claimed: &Claimed,
        resolution: &Resolution,
        limits: AttemptLimits,
    ) -> Result<CompleteOutcome, Error> {
        let complete = CompleteAttempt {
            claimed: Arc::new(claimed.clone()),
            resolution: Arc::new(resolution.clone()),
            river: self.river().clone(),
            limits,
        };
        self.write_coalesced(format!("completing order {:?}", claimed.order), complete).await
    }
}

/// Completes one attempt.
#[derive(Clone)]
struct CompleteAttempt {
    claimed: Arc<Claimed>,
    resolution: Arc<Resolution>,
    river: river::JobClient,
    limits: AttemptLimits,
}

#[async_trait]
impl Coalesced for CompleteAttempt {
    type Answer = CompleteOutcome;

    /// Only those that succeeded, which is what thousands do at the same time.
    async fn many(tx: &mut Tx, writes: &[Self]) -> Result<Vec<Option<Self::Answer>>, sqlx::Error> {
        let now = now_ms();
        let succeeded = writes.iter().filter_map(|complete| match &*complete.resolution {
            Resolution::Succeeded { release } => {
                let claimed = &complete.claimed;
                Some(vec![json!(claimed.order), json!(claimed.attempt.to_string()), json!(release)])
            }
            _ => None,
        });
        let succeeded = json_rows(succeeded);
        // `state || ''` keeps the planner from using the index on the state: orders are looked up
        // by their ids.
        let sql = over_json!(
            tx,
            "UPDATE sitewright_orders SET state = {succeeded}, owner_attempt = NULL, owner_worker \
             = NULL, attempts = attempts + 1,
                current_release = t.value ->> 2, waiting_reason = NULL, next_attempt_at = NULL, \
             held_by = NULL, updated_at = $2, finished_at = $2
             FROM ",
            " WHERE sitewright_orders.id = t.value ->> 0 AND owner_attempt = t.value ->> 1 AND \
             state || '' = {running}
             RETURNING sitewright_orders.id AS order_id, job_id, current_release"
        );
        let (mut ended, mut jobs) =
            (HashMap::with_capacity(writes.len()), Vec::with_capacity(writes.len()));
        for row in tx.all(sql, args![&succeeded, now]).await? {
            jobs.extend(row.opt_int("job_id")?);
            ended.insert(row.text("order_id")?, row.opt_text("current_release")?);
        }
        let mut attempts = Vec::with_capacity(ended.len());
        let mut answers = Vec::with_capacity(writes.len());
        for complete in writes {
            let claimed = &complete.claimed;
            let release = match &*complete.resolution {
                // Of a duplicate only the first counts here, and a late attempt must not count for
                // the owner of the order: `one` decides about the others.
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
                attempts.push(vec![json!(claimed.attempt.to_string()), json!(release)]);
                let (attempt, order) = (AttemptEnd::Succeeded, OrderState::Succeeded);
                CompleteOutcome::Done { attempt, order, next_attempt_at: None }
            }));
        }
        river::complete_all(tx, &jobs).await?;
        let sql = over_json!(
            tx,
            "UPDATE sitewright_attempts SET outcome = {attempt:succeeded}, ended_at = $2, release = \
             t.value ->> 1, failure_id = NULL, last_stage = NULL
             FROM ",
            " WHERE sitewright_attempts.id = t.value ->> 0 AND outcome IS NULL"
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
    river: &river::JobClient,
    claimed: &Claimed,
    resolution: &Resolution,
    limits: AttemptLimits,
) -> Result<CompleteOutcome, sqlx::Error> {
    let (now, attempt) = (now_ms(), claimed.attempt.to_string());
    let owned = tx
        .optional(
            sql!(
                "UPDATE sitewright_orders SET updated_at = $3
                 WHERE id = $1 AND owner_attempt = $2 AND state = {running}
                 RETURNING attempts, priority, job_id, cancel_requested_at"
            ),
            args![&claimed.order, &attempt, now],
        )
        .await?;
    let Some(owned) = owned else {
        return not_owned(tx, claimed, &attempt, now).await;
    };
    let job = owned.opt_int("job_id")?;
    let used = owned.int("attempts")?;
    let plan = Plan::of(resolution, used, owned.opt_int("cancel_requested_at")?.is_some(), limits);
    let hold = match resolution {
        Resolution::Hold { hold, .. } if plan.order == OrderState::Waiting => Some(hold),
        _ => None,
    };
    if let Some(hold) = hold {
        holds::set(tx, hold, Some(&attempt), now).await?;
    }
    let hold_id = hold.map(|hold| hold.id.to_string());
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
    let batch_reason = match resolution {
        Resolution::AwaitBatch { reason } if plan.order == OrderState::Waiting => Some(reason),
        _ => None,
    };
    let breaker_reason = match resolution {
        Resolution::AwaitBreaker { reason, .. } => Some(reason),
        _ => None,
    };
    if plan.order.has_ended() {
        batch_items::drop_unsent(tx, &claimed.order).await?;
    }
    let release = match resolution {
        Resolution::Succeeded { release } => Some(release.as_str()),
        _ => None,
    };
    let shown = hold.map(|hold| hold.shown());
    if let Some(failure) = failure {
        insert_failure(tx, &claimed.order, &attempt, failure, now).await?;
    }
    end_attempt(tx, &attempt, plan.attempt, release, failure, now).await?;
    tx.execute(
        "UPDATE sitewright_orders SET state = $2, owner_attempt = NULL, owner_worker = NULL, \
         job_id = $3, attempts = attempts + $4,
            current_release = coalesce($5, current_release), last_failure = coalesce($6, \
         last_failure), waiting_reason = $7,
            next_attempt_at = $8, finished_at = $9, held_by = $10,
            suspected_at = CASE WHEN $11 = 1 THEN suspected_at END, awaits_batch = $12
         WHERE id = $1",
        args![
            &claimed.order,
            plan.order.as_str(),
            job,
            i64::from(plan.uses_attempt),
            release,
            failure.map(|failure| &*failure.id),
            next.and(
                shown
                    .as_deref()
                    .or(batch_reason.or(breaker_reason).map(Message::as_str))
                    .or(error.as_deref())
            ),
            // A hold or a batch ends when it ends; that the job becomes due meanwhile is a
            // safeguard.
            next.filter(|_| hold.is_none() && batch_reason.is_none()),
            plan.order.has_ended().then_some(now),
            &hold_id,
            // An attempt that came to an end cleared the order of ending its process.
            i64::from(plan.attempt == AttemptEnd::Returned),
            batch_reason.map(|_| 1_i64)
        ],
    )
    .await?;
    Ok(CompleteOutcome::Done { attempt: plan.attempt, order: plan.order, next_attempt_at: next })
}

/// Another attempt owns the order, or this one was completed before and only the answer was lost.
async fn not_owned(
    tx: &mut Tx,
    claimed: &Claimed,
    attempt: &str,
    now: i64,
) -> Result<CompleteOutcome, sqlx::Error> {
    let row = tx
        .optional(
            sql!(
                "SELECT a.outcome AS outcome, o.state AS state,
                    o.next_attempt_at AS next_attempt_at
                 FROM sitewright_attempts a JOIN sitewright_orders o ON o.id = a.order_id
                 WHERE a.id = $1 AND a.outcome IS NOT NULL AND a.outcome <> {attempt:crashed}"
            ),
            args![attempt],
        )
        .await?;
    if let Some(row) = row {
        return Ok(CompleteOutcome::Done {
            attempt: row.parsed("outcome")?,
            order: row.parsed("state")?,
            next_attempt_at: row.opt_int("next_attempt_at")?,
        });
    }
    tx.execute(
        "UPDATE sitewright_attempts SET lease_lost_at = $3 WHERE id = $1 AND order_id = $2 AND \
         lease_lost_at IS NULL",
        args![attempt, &claimed.order, now],
    )
    .await?;
    Ok(CompleteOutcome::LeaseLost)
}

pub(super) async fn insert_failure(
    tx: &mut Tx,
    order: &str,
    attempt: &str,
    failure: &NewFailure,
    now: i64,
) -> Result<(), sqlx::Error> {
    let index = FailureIndex::of(&failure.kind, failure.message.as_str(), &failure.record);
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

/// The last stage is that of the failure record. The stages that watchers read are stored in
/// batches, so the latest may be missing when the attempt ends.
pub(super) async fn end_attempt(
    tx: &mut Tx,
    attempt: &str,
    end: AttemptEnd,
    release: Option<&str>,
    failure: Option<&NewFailure>,
    now: i64,
) -> Result<(), sqlx::Error> {
    tx.execute(
        "UPDATE sitewright_attempts SET outcome = $2, ended_at = $3, release = $4, failure_id = \
         $5, last_stage = $6
         WHERE id = $1 AND outcome IS NULL",
        args![
            attempt,
            end.as_str(),
            now,
            release,
            failure.map(|failure| &*failure.id),
            failure.and_then(NewFailure::last_stage)
        ],
    )
    .await
    .map(drop)
}

/// What a resolution means for an order with writes counts.
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
            // An order that was asked to stop gets no further attempt.
            Resolution::Retry { .. }
            | Resolution::Snooze { .. }
            | Resolution::Hold { .. }
            | Resolution::AwaitBatch { .. }
            | Resolution::AwaitBreaker { .. }
            | Resolution::ReturnToQueue
                if cancel_requested =>
            {
                ends(AttemptEnd::Cancelled, OrderState::Cancelled, false)
            }
            Resolution::Retry { .. } if used + 1 >= i64::from(limits.attempts) => {
                ends(AttemptEnd::Dead, OrderState::Dead, true)
            }
            Resolution::Retry { after, .. } => waits(AttemptEnd::Retry, true, *after),
            Resolution::Snooze { after, .. } | Resolution::AwaitBreaker { after, .. } => {
                waits(AttemptEnd::Snoozed, false, *after)
            }
            Resolution::Hold { .. } => waits(AttemptEnd::Snoozed, false, PARKED_AT_MOST),
            Resolution::AwaitBatch { .. } => waits(AttemptEnd::Snoozed, false, WAITS_AT_MOST),
            Resolution::ReturnToQueue => ends(AttemptEnd::Returned, OrderState::Queued, false),
        }
    }
}
