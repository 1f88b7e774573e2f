//! Orders owned by an attempt whose worker is stale, or that its worker no longer runs.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use sitewright_model::failure::{FailureKind, FailureRecord, OfAttempt};
use sitewright_model::message;
use sitewright_model::time::now_ms;

use super::{CHUNK, Rescued, Rescuer};
use crate::attempt::trace_id;
use crate::complete::{end_attempt, insert_failure};
use crate::driver::river::{self, JobEnd};
use crate::driver::{Row, Tx, args, sql};
use crate::error::Error;
use crate::events::{AttemptHistory, attempt_history};
use crate::locks::try_rescue_lock;
use crate::model::{AttemptEnd, AttemptLimits, NewFailure, OrderState};

/// A running order of a worker.
#[derive(Debug, Clone)]
struct Owned {
    order: String,
    attempt: String,
    job: Option<i64>,
}

/// Why an attempt's order is rescued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    /// Its worker is stale.
    WorkerStale,
    /// Its worker lives, but does not run the attempt.
    AttemptLost,
    /// Its worker shuts down; the attempt does not count as crashed.
    WorkerShutdown,
}

/// Which heartbeat a worker must still have for its orders to be rescued.
#[derive(Debug, Clone, Copy)]
enum Expected {
    /// It is this worker: no heartbeat is compared.
    ThisWorker,
    /// The count that was found stale; `None` if the worker had no row.
    Heartbeats(Option<i64>),
}

impl Rescuer {
    /// Rescues the orders of stale workers; those of all other workers if `alone` says that none of
    /// them can be alive. `mine` tells which attempts this worker runs.
    pub(crate) async fn stale_workers(
        &mut self,
        alone: bool,
        mine: impl Fn(&str) -> bool,
    ) -> Result<Rescued, Error> {
        let doing = "looking for stale workers";
        let failed = |error| Error::database(doing, error);
        let rows = self
            .database
            .read(doing, "SELECT client_id, beats FROM sitewright_workers", vec![])
            .await?;
        let mut beats = HashMap::new();
        for row in &rows {
            beats.insert(row.text("client_id").map_err(failed)?, row.int("beats").map_err(failed)?);
        }
        let owners = sql!(
            "SELECT DISTINCT owner_worker AS worker FROM sitewright_orders WHERE state = {running}"
        );
        let holders = self.database.pool().queries().job_holders.as_str();
        let mut known: HashSet<String> = beats.keys().cloned().collect();
        for sql in [owners, holders] {
            for row in self.database.read(doing, sql, vec![]).await? {
                known.extend(row.opt_text("worker").map_err(failed)?);
            }
        }
        self.observer.retain(|client| known.contains(client) || client == self.me);
        let own = beats.get(&self.me).copied().unwrap_or(-1);
        self.observer.trust_only_while(&self.me, own, self.stale_after / 2);
        let mut rescued = Rescued::default();
        for client in known {
            if client == self.me {
                let lost = self.owned(&client).await?;
                let lost = lost.into_iter().filter(|owned| !mine(&owned.attempt)).collect();
                let (expected, reason) = (Expected::ThisWorker, Reason::AttemptLost);
                self.release(&client, expected, lost, reason, &mut rescued).await?;
                // Jobs that it fetched while the connection broke before the answer arrived.
                self.unclaimed(&client, self.stale_after, &mut rescued).await?;
                continue;
            }
            let counted = beats.get(&client).copied();
            let unchanged = self.observer.unchanged_for(&client, counted.unwrap_or(-1));
            if !alone && unchanged < self.stale_after {
                continue;
            }
            let owned = self.owned(&client).await?;
            let (expected, reason) = (Expected::Heartbeats(counted), Reason::WorkerStale);
            let complete = self.release(&client, expected, owned, reason, &mut rescued).await?;
            if complete
                && self.unclaimed(&client, Duration::ZERO, &mut rescued).await?
                && counted.is_some()
            {
                self.database.forget_worker(&client).await?;
            }
        }
        Ok(rescued)
    }

    /// Returns to the queue what this worker still owns when it shuts down.
    pub(crate) async fn return_own_orders(&mut self) -> Result<Rescued, Error> {
        let mut rescued = Rescued::default();
        let owned = self.owned(&self.me.clone()).await?;
        let (expected, reason) = (Expected::ThisWorker, Reason::WorkerShutdown);
        self.release(&self.me.clone(), expected, owned, reason, &mut rescued).await?;
        Ok(rescued)
    }

    async fn owned(&self, client: &str) -> Result<Vec<Owned>, Error> {
        let doing = "looking for a worker's orders";
        let sql = sql!(
            "SELECT id, owner_attempt, job_id FROM sitewright_orders
             WHERE state = {running} AND owner_worker = $1 ORDER BY id"
        );
        let rows = self.database.read(doing, sql, args![client]).await?;
        let read = |row: &Row| {
            Ok(Owned {
                order: row.text("id")?,
                attempt: row.text("owner_attempt")?,
                job: row.opt_int("job_id")?,
            })
        };
        rows.iter()
            .map(read)
            .collect::<Result<_, _>>()
            .map_err(|error| Error::database(doing, error))
    }

    /// Takes these orders from the worker. `false` if it could not look at all of them: another
    /// worker holds the rescue lock, or the worker has sent a heartbeat meanwhile.
    async fn release(
        &self,
        client: &str,
        expected: Expected,
        owned: Vec<Owned>,
        reason: Reason,
        rescued: &mut Rescued,
    ) -> Result<bool, Error> {
        for chunk in owned.chunks(CHUNK) {
            let (river, client, chunk) =
                (self.database.river().clone(), client.to_owned(), chunk.to_vec());
            let limits = self.limits;
            let done = self.database.write("rescuing orders", move |tx| {
                let (river, client, chunk) = (river.clone(), client.clone(), chunk.clone());
                Box::pin(async move {
                    if !may_rescue(tx, &client, expected).await? {
                        return Ok(None);
                    }
                    let mut ends = Vec::new();
                    for owned in chunk {
                        let state = rescue_in(tx, &river, &owned, &client, reason, limits).await?;
                        ends.extend(state.map(|state| (owned, state)));
                    }
                    Ok(Some(ends))
                })
            });
            let Some(ends) = done.await? else { return Ok(false) };
            for (Owned { order, attempt, job }, state) in ends {
                let trace_id = attempt.parse().map(trace_id).unwrap_or_default();
                tracing::warn!(
                    order, job, attempt, trace_id, %state, ?reason,
                    "an order was rescued from its worker"
                );
                match state {
                    OrderState::Dead => rescued.dead.push(order),
                    OrderState::Cancelled => rescued.cancelled.push(order),
                    _ => rescued.queued.push(order),
                }
            }
        }
        Ok(true)
    }
}

/// Whether this worker has the rescue lock and the other one has sent no heartbeat meanwhile.
async fn may_rescue(tx: &mut Tx, client: &str, expected: Expected) -> Result<bool, sqlx::Error> {
    if !try_rescue_lock(tx).await? {
        return Ok(false);
    }
    let Expected::Heartbeats(heartbeats) = expected else { return Ok(true) };
    let row = tx
        .optional("SELECT beats FROM sitewright_workers WHERE client_id = $1", args![client])
        .await?;
    Ok(row.map(|row| row.int("beats")).transpose()? == heartbeats)
}

/// Takes an order from an attempt that will not complete it. The order's new state; `None` if the
/// attempt no longer owns it.
async fn rescue_in(
    tx: &mut Tx,
    river: &river::JobClient,
    owned: &Owned,
    worker: &str,
    reason: Reason,
    limits: AttemptLimits,
) -> Result<Option<OrderState>, sqlx::Error> {
    let (now, order, attempt) = (now_ms(), owned.order.as_str(), owned.attempt.as_str());
    let row = tx
        .optional(
            sql!(
                "UPDATE sitewright_orders SET updated_at = $3
                 WHERE id = $1 AND owner_attempt = $2 AND state = {running}
                 RETURNING crashes, priority, job_id, cancel_requested_at, template, config_version"
            ),
            args![order, attempt, now],
        )
        .await?;
    let Some(row) = row else { return Ok(None) };
    let job = row.opt_int("job_id")?;
    let crashed = reason != Reason::WorkerShutdown;
    let crashes = row.int("crashes")? + i64::from(crashed);
    let stop = row.opt_int("cancel_requested_at")?.is_some();
    let state = if stop {
        OrderState::Cancelled
    } else if limits.is_last_crash(crashes) {
        OrderState::Dead
    } else {
        OrderState::Queued
    };
    let failure = if crashed {
        let begun = tx
            .optional(
                "SELECT trace_id, started_at FROM sitewright_attempts WHERE id = $1",
                args![attempt],
            )
            .await?;
        let (trace_id, began) = match begun {
            Some(begun) => (begun.text("trace_id")?, begun.int("started_at")?),
            None => (String::new(), now),
        };
        let of = OfAttempt {
            order: order.to_owned(),
            job: job.map(|job| job.to_string()),
            attempt: attempt.to_owned(),
            trace_id,
            template: row.text("template")?,
            config_version: row.opt_text("config_version")?.unwrap_or_default(),
        };
        let known = attempt_history(tx, order, attempt, began).await?;
        Some(crash(of, worker, reason, crashes, limits, known))
    } else {
        None
    };
    let error = failure.as_ref().map(|failure| format!("crashed: {}", failure.message));
    let job = match (state, job) {
        (OrderState::Queued, job) => {
            let priority = row.int("priority")?;
            Some(river::replace(river, tx, order, priority, job, error.as_deref(), None).await?)
        }
        (state, Some(job)) => {
            let end =
                if state == OrderState::Cancelled { JobEnd::Cancelled } else { JobEnd::Discarded };
            river::finish(tx, job, end, error.as_deref()).await?;
            Some(job)
        }
        (_, None) => None,
    };
    if let Some(failure) = &failure {
        insert_failure(tx, order, attempt, failure, now).await?;
    }
    let end = match (crashed, state) {
        (true, _) => AttemptEnd::Crashed,
        (false, OrderState::Cancelled) => AttemptEnd::Cancelled,
        (false, _) => AttemptEnd::Returned,
    };
    let failure = failure.map(|failure| failure.id);
    end_attempt(tx, order, attempt, end, None, failure.as_deref(), now).await?;
    tx.execute(
        "UPDATE sitewright_orders SET state = $2, owner_attempt = NULL, owner_worker = NULL, \
         job_id = $3, crashes = $4,
            last_failure = coalesce($5, last_failure), finished_at = $6
         WHERE id = $1",
        args![order, state.as_str(), job, crashes, &failure, state.has_ended().then_some(now)],
    )
    .await?;
    Ok(Some(state))
}

/// The failure record of an attempt whose process cannot write one: what the database knows of it.
fn crash(
    of: OfAttempt,
    worker: &str,
    reason: Reason,
    crashes: i64,
    limits: AttemptLimits,
    known: AttemptHistory,
) -> NewFailure {
    let at = match &known.stage {
        None => "before it reported a stage".to_owned(),
        Some((stage, _)) => format!("in stage `{stage}`"),
    };
    let given_up = if limits.is_last_crash(crashes) {
        format!("; after {crashes} crashes the order is given up")
    } else {
        String::new()
    };
    let message = match reason {
        Reason::AttemptLost => {
            message!(
                "the attempt stopped {at} without a result, but its worker {worker} still \
                 runs{given_up}"
            )
        }
        Reason::WorkerStale | Reason::WorkerShutdown => {
            message!(
                "the process of worker {worker} ended or sent no heartbeat during the attempt, \
                 {at}{given_up}"
            )
        }
    };
    let mut record = FailureRecord::without_run(FailureKind::Crashed, message, of);
    if let Some((stage, progress)) = known.stage {
        (record.stage, record.progress) = (stage, progress);
    }
    record.trail = known.trail;
    record.attributes.insert("worker".to_owned(), worker.to_owned());
    record.attributes.insert(
        "crashes".to_owned(),
        format!("{crashes} of {}, after which it is given up", limits.crashes),
    );
    NewFailure::from(&record)
}
