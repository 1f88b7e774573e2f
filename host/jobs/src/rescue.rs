//! Orders whose worker is gone, and orders whose job is: neither stays where it is (catalogue C7,
//! D2, D3).

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::attempt::{AttemptEnd, trace_id};
use super::complete::{AttemptLimits, NewFailure, end_attempt, insert_failure};
use super::database::{Database, now_ms};
use super::error::Error;
use super::events::{AttemptHistory, attempt_history};
use super::fair_share::FairShare;
use super::heartbeat::Observer;
use super::order::OrderState;
use super::river::{self, JobEnd};
use super::sql::{Row, Tx, args};
use sitewright_model::failure::{FailureKind, FailureRecord, OfAttempt};
use sitewright_model::message;

/// The lock under which one of several workers on PostgreSQL rescues: `siteresc` as a number.
const ADVISORY_LOCK: i64 = 0x7369_7465_7265_7363;
/// So far ahead of the clock an order is not from another machine whose clock is a little off, but
/// from before the clock was set back.
const AHEAD_MS: i64 = 30_000;
/// Orders of one transaction.
const CHUNK: usize = 50;

/// An order of a worker: its id, its attempt and its job.
type Owned = (String, String, Option<i64>);

/// What a rescue found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Rescued {
    /// Orders back in line after a crash.
    pub(super) queued: Vec<String>,
    /// Orders given up: they crashed too often.
    pub(super) dead: Vec<String>,
    /// Orders that somebody had asked to stop.
    pub(super) cancelled: Vec<String>,
    /// Orders that had no job, or whose job nobody was working.
    pub(super) requeued: Vec<String>,
}

impl Rescued {
    /// Whether there was nothing to do.
    pub(super) fn is_empty(&self) -> bool {
        *self == Rescued::default()
    }
}

/// What makes an attempt somebody's to rescue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// Its worker fell silent.
    Silent,
    /// Its worker lives, but nothing in it is working at the order.
    Orphaned,
    /// Its worker is leaving.
    Leaving,
}

/// Looks for orders that need rescue.
#[derive(Debug)]
pub(super) struct Rescuer {
    pub(super) database: Database,
    /// The worker that looks.
    pub(super) me: String,
    pub(super) limits: AttemptLimits,
    pub(super) stale_after: Duration,
    pub(super) adopt_after: Duration,
    pub(super) observer: Observer,
}

impl Rescuer {
    /// Rescues from workers that have been silent too long; from all others when `alone` says that
    /// there are no others. `mine` are the attempts that this worker is working at.
    pub(super) async fn workers(
        &mut self,
        alone: bool,
        mine: impl Fn(&str) -> bool,
    ) -> Result<Rescued, Error> {
        let doing = "looking for silent workers";
        let failed = |error| Error::database(doing, error);
        let rows = self
            .database
            .read(doing, "SELECT client_id, beats FROM sitewright_workers", vec![])
            .await?;
        let mut beats = std::collections::HashMap::new();
        for row in &rows {
            beats.insert(row.text("client_id").map_err(failed)?, row.int("beats").map_err(failed)?);
        }
        let owners =
            "SELECT DISTINCT owner_worker AS worker FROM sitewright_orders WHERE state = 'running'";
        let holders = self.database.pool().pick(
            "SELECT DISTINCT attempted_by ->> '$[#-1]' AS worker FROM river_job
             WHERE state = 'running' AND kind = 'sitewright_order' AND attempted_by IS NOT NULL",
            "SELECT DISTINCT attempted_by[array_upper(attempted_by, 1)] AS worker FROM river_job
             WHERE state = 'running' AND kind = 'sitewright_order' AND attempted_by IS NOT NULL",
        );
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
                let orphans = self.owned(&client).await?;
                let orphans =
                    orphans.into_iter().filter(|(_, attempt, _)| !mine(attempt)).collect();
                self.release(&client, None, orphans, Why::Orphaned, &mut rescued).await?;
                // Those that it fetched without hearing of it: the connection broke before the
                // answer came.
                self.untaken(&client, self.stale_after, &mut rescued).await?;
                continue;
            }
            let counted = beats.get(&client).copied();
            let silent = self.observer.silent_for(&client, counted.unwrap_or(-1));
            if !alone && silent < self.stale_after {
                continue;
            }
            let owned = self.owned(&client).await?;
            let whole =
                self.release(&client, Some(counted), owned, Why::Silent, &mut rescued).await?;
            if whole
                && self.untaken(&client, Duration::ZERO, &mut rescued).await?
                && counted.is_some()
            {
                self.database.forget_worker(&client).await?;
            }
        }
        Ok(rescued)
    }

    /// Gives back what this worker still has when it leaves.
    pub(super) async fn leave(&mut self) -> Result<Rescued, Error> {
        let mut rescued = Rescued::default();
        let owned = self.owned(&self.me.clone()).await?;
        self.release(&self.me.clone(), None, owned, Why::Leaving, &mut rescued).await?;
        Ok(rescued)
    }

    async fn owned(&self, client: &str) -> Result<Vec<Owned>, Error> {
        let doing = "looking for a worker's orders";
        let sql = "SELECT id, owner_attempt, job_id FROM sitewright_orders WHERE state = \
                   'running' AND owner_worker = $1 ORDER BY id";
        let rows = self.database.read(doing, sql, args![client]).await?;
        let read =
            |row: &Row| Ok((row.text("id")?, row.text("owner_attempt")?, row.opt_int("job_id")?));
        rows.iter()
            .map(read)
            .collect::<Result<_, _>>()
            .map_err(|error| Error::database(doing, error))
    }

    /// Whether all of them could be looked at: not so while another worker rescues, or when the
    /// worker was heard meanwhile.
    async fn release(
        &self,
        client: &str,
        beats: Option<Option<i64>>,
        owned: Vec<Owned>,
        why: Why,
        rescued: &mut Rescued,
    ) -> Result<bool, Error> {
        for chunk in owned.chunks(CHUNK) {
            let (river, client, chunk) =
                (self.database.river().clone(), client.to_owned(), chunk.to_vec());
            let limits = self.limits;
            let done = self.database.write("rescuing orders", move |tx| {
                let (river, client, chunk) = (river.clone(), client.clone(), chunk.clone());
                Box::pin(async move {
                    if !may_rescue(tx, &client, beats).await? {
                        return Ok(None);
                    }
                    let mut ends = Vec::new();
                    for (order, attempt, job) in chunk {
                        if let Some(state) =
                            rescue_in(tx, &river, &order, &attempt, &client, why, limits).await?
                        {
                            ends.push((order, attempt, job, state));
                        }
                    }
                    Ok(Some(ends))
                })
            });
            let Some(ends) = done.await? else { return Ok(false) };
            for (order, attempt, job, state) in ends {
                let trace_id = attempt.parse().map(trace_id).unwrap_or_default();
                tracing::warn!(order, job, attempt, trace_id, %state, ?why, "an order was taken back from its worker");
                match state {
                    OrderState::Dead => rescued.dead.push(order),
                    OrderState::Cancelled => rescued.cancelled.push(order),
                    _ => rescued.queued.push(order),
                }
            }
        }
        Ok(true)
    }

    /// Jobs that the worker had fetched so long ago without coming to take their orders.
    async fn untaken(
        &self,
        client: &str,
        ago: Duration,
        rescued: &mut Rescued,
    ) -> Result<bool, Error> {
        let doing = "looking for jobs of a silent worker";
        let sql = self.database.pool().pick(
            "SELECT o.id AS id, o.job_id AS job_id FROM river_job j JOIN sitewright_orders o ON \
             o.job_id = j.id
             WHERE j.state = 'running' AND o.state IN ('queued', 'waiting') AND j.attempted_by ->> \
             '$[#-1]' = $1
                AND ($2 = 0 OR j.attempted_at < strftime('%Y-%m-%d %H:%M:%f', 'now', '-' || ($2 / \
             1000.0) || ' seconds'))
             ORDER BY o.id",
            "SELECT o.id AS id, o.job_id AS job_id FROM river_job j JOIN sitewright_orders o ON \
             o.job_id = j.id
             WHERE j.state = 'running' AND o.state IN ('queued', 'waiting')
                AND j.attempted_by[array_upper(j.attempted_by, 1)] = $1
                AND ($2::bigint = 0 OR j.attempted_at < now() - $2::bigint * interval '1 \
             millisecond')
             ORDER BY o.id",
        );
        let ago = i64::try_from(ago.as_millis()).unwrap_or(i64::MAX);
        let rows = self.database.read(doing, sql, args![client, ago]).await?;
        self.requeue(rows, doing, rescued).await
    }

    /// Orders that no job stands for: somebody deleted it, or a producer wrote only the order.
    pub(super) async fn jobless(&mut self) -> Result<Rescued, Error> {
        let doing = "looking for orders without a job";
        let before = now_ms() - i64::try_from(self.adopt_after.as_millis()).unwrap_or(i64::MAX);
        let sql = "SELECT o.id AS id, o.job_id AS job_id FROM sitewright_orders o LEFT JOIN \
                   river_job j ON j.id = o.job_id
             WHERE o.state IN ('queued', 'waiting') AND o.updated_at < $1 AND (j.id IS NULL OR \
                   j.finalized_at IS NOT NULL)
             ORDER BY o.id LIMIT 500";
        let rows = self.database.read(doing, sql, args![before]).await?;
        let mut rescued = Rescued::default();
        self.requeue(rows, doing, &mut rescued).await?;
        Ok(rescued)
    }

    /// Orders that were written down in the future: the clock was set back since, and they would
    /// wait for as long. They are dated back, and keep what was left of their wait.
    pub(super) async fn ahead(&mut self) -> Result<Rescued, Error> {
        let doing = "looking for orders from the future";
        let failed = |error| Error::database(doing, error);
        let sql = self.database.pool().pick(
            "SELECT id FROM sitewright_orders WHERE state IN ('queued', 'waiting') AND updated_at \
             > $1
             UNION
             SELECT o.id FROM river_job j JOIN sitewright_orders o ON o.job_id = j.id
             WHERE o.state IN ('queued', 'waiting') AND j.state = 'available'
                AND j.scheduled_at > strftime('%Y-%m-%d %H:%M:%f', 'now', '30 seconds')
             ORDER BY id LIMIT 500",
            "SELECT id FROM sitewright_orders WHERE state IN ('queued', 'waiting') AND updated_at \
             > $1
             UNION
             SELECT o.id FROM river_job j JOIN sitewright_orders o ON o.job_id = j.id
             WHERE o.state IN ('queued', 'waiting') AND j.state = 'available' AND j.scheduled_at > \
             now() + interval '30 seconds'
             ORDER BY id LIMIT 500",
        );
        let beyond = now_ms().saturating_add(AHEAD_MS);
        let rows = self.database.read(doing, sql, args![beyond]).await?;
        let found: Vec<String> =
            rows.iter().map(|row| row.text("id")).collect::<Result<_, _>>().map_err(failed)?;
        let mut rescued = Rescued::default();
        for chunk in found.chunks(CHUNK) {
            let (river, chunk) = (self.database.river().clone(), chunk.to_vec());
            let done = self.database.write(doing.to_owned(), move |tx| {
                let (river, chunk) = (river.clone(), chunk.clone());
                Box::pin(async move {
                    let mut dated = Vec::new();
                    if try_rescue_lock(tx).await? {
                        for order in chunk {
                            if date_back(tx, &river, &order, beyond).await? {
                                dated.push(order);
                            }
                        }
                    }
                    Ok(dated)
                })
            });
            for order in done.await? {
                tracing::warn!(
                    order,
                    "the order came from the future: the clock was set back, so it is dated anew"
                );
                rescued.requeued.push(order);
            }
        }
        Ok(rescued)
    }

    async fn requeue(
        &self,
        rows: Vec<Row>,
        doing: &str,
        rescued: &mut Rescued,
    ) -> Result<bool, Error> {
        let failed = |error| Error::database(doing, error);
        let read = |row: &Row| Ok((row.text("id")?, row.opt_int("job_id")?));
        let found: Vec<(String, Option<i64>)> =
            rows.iter().map(read).collect::<Result<_, _>>().map_err(failed)?;
        let jobless =
            found.iter().filter(|(_, job)| job.is_none()).map(|(order, _)| order.as_str());
        let inserted =
            Arc::new(river::jobs_of(&self.database, &jobless.collect::<Vec<_>>()).await?);
        for chunk in found.chunks(CHUNK) {
            let (river, chunk, inserted) =
                (self.database.river().clone(), chunk.to_vec(), inserted.clone());
            let done = self.database.write(doing.to_owned(), move |tx| {
                let (river, chunk, inserted) = (river.clone(), chunk.clone(), inserted.clone());
                Box::pin(async move {
                    if !try_rescue_lock(tx).await? {
                        return Ok(None);
                    }
                    let (mut ends, mut line) = (Vec::new(), FairShare::default());
                    for (order, job) in chunk {
                        if let (None, Some(known)) = (job, inserted.get(&order)) {
                            learn_job(tx, &order, *known).await?;
                        } else if let Some(cancelled) =
                            requeue_in(tx, &river, &order, job, &mut line).await?
                        {
                            ends.push((order, cancelled));
                        }
                    }
                    Ok(Some(ends))
                })
            });
            let Some(ends) = done.await? else { return Ok(false) };
            for (order, cancelled) in ends {
                tracing::warn!(order, cancelled, "an order had no job that anybody works at");
                if cancelled { rescued.cancelled.push(order) } else { rescued.requeued.push(order) }
            }
        }
        Ok(true)
    }
}

/// On PostgreSQL, several workers would rescue the same at once; on SQLite there is one writer
/// anyway.
pub(super) async fn try_rescue_lock(tx: &mut Tx) -> Result<bool, sqlx::Error> {
    if let Tx::Postgres(_) = tx {
        let locked = "SELECT CASE WHEN pg_try_advisory_xact_lock($1) THEN 1::bigint ELSE \
                      0::bigint END AS locked";
        let row = tx.optional(locked, args![ADVISORY_LOCK]).await?;
        return row.map_or(Ok(false), |row| row.int("locked").map(|locked| locked == 1));
    }
    Ok(true)
}

/// Whether the worker is still as silent as it was found: `Some(beats)` to compare, `None` when it
/// is this one.
async fn may_rescue(
    tx: &mut Tx,
    client: &str,
    beats: Option<Option<i64>>,
) -> Result<bool, sqlx::Error> {
    if !try_rescue_lock(tx).await? {
        return Ok(false);
    }
    let Some(beats) = beats else { return Ok(true) };
    let row = tx
        .optional("SELECT beats FROM sitewright_workers WHERE client_id = $1", args![client])
        .await?;
    Ok(row.map(|row| row.int("beats")).transpose()? == beats)
}

/// Takes an order from an attempt that will not end it. Where the order stands now; nothing when it
/// moved meanwhile.
async fn rescue_in(
    tx: &mut Tx,
    river: &river::Inserter,
    order: &str,
    attempt: &str,
    worker: &str,
    why: Why,
    limits: AttemptLimits,
) -> Result<Option<OrderState>, sqlx::Error> {
    let now = now_ms();
    let owned = tx
        .optional(
            "UPDATE sitewright_orders SET updated_at = $3 WHERE id = $1 AND owner_attempt = $2 \
             AND state = 'running'
             RETURNING crashes, priority, job_id, cancel_requested_at, template, config_version",
            args![order, attempt, now],
        )
        .await?;
    let Some(owned) = owned else { return Ok(None) };
    let job = owned.opt_int("job_id")?;
    let crashed = why != Why::Leaving;
    let crashes = owned.int("crashes")? + i64::from(crashed);
    let stop = owned.opt_int("cancel_requested_at")?.is_some();
    let state = if stop {
        OrderState::Cancelled
    } else if limits.is_last_crash(crashes) {
        OrderState::Dead
    } else {
        OrderState::Queued
    };
    let failure = if crashed {
        let row = tx
            .optional(
                "SELECT trace_id, started_at FROM sitewright_attempts WHERE id = $1",
                args![attempt],
            )
            .await?;
        let (trace_id, began) = match row {
            Some(row) => (row.text("trace_id")?, row.int("started_at")?),
            None => (String::new(), now),
        };
        let of = OfAttempt {
            order: order.to_owned(),
            job: job.map(|job| job.to_string()),
            attempt: attempt.to_owned(),
            trace_id,
            template: owned.text("template")?,
            config_version: owned.opt_text("config_version")?.unwrap_or_default(),
        };
        let known = attempt_history(tx, order, attempt, began).await?;
        Some(crash(of, worker, why, crashes, limits, known))
    } else {
        None
    };
    let error = failure.as_ref().map(|failure| format!("crashed: {}", failure.message));
    let job = match (state, job) {
        (OrderState::Queued, job) => {
            let priority = owned.int("priority")?;
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

/// The record of an attempt whose process cannot write one: what the store knows of it.
fn crash(
    of: OfAttempt,
    worker: &str,
    why: Why,
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
    let message = match why {
        Why::Orphaned => {
            message!(
                "the attempt stopped {at} without a result, in worker {worker} that goes \
                 on{given_up}"
            )
        }
        Why::Silent | Why::Leaving => {
            message!(
                "the process of worker {worker} ended or fell silent in the middle of the \
                 attempt, {at}{given_up}"
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

/// Writes down which job a producer inserted for its order.
async fn learn_job(tx: &mut Tx, order: &str, job: i64) -> Result<(), sqlx::Error> {
    let sql = "UPDATE sitewright_orders SET job_id = $2
         WHERE id = $1 AND job_id IS NULL AND state IN ('queued', 'waiting')";
    tx.execute(sql, args![order, job]).await.map(drop)
}

/// Gives an order a job again, or ends it when its job was cancelled where only the queue is known.
/// Nothing when it moved meanwhile.
async fn requeue_in(
    tx: &mut Tx,
    river: &river::Inserter,
    order: &str,
    job: Option<i64>,
    line: &mut FairShare,
) -> Result<Option<bool>, sqlx::Error> {
    let now = now_ms();
    let row = tx
        .optional(
            "UPDATE sitewright_orders SET updated_at = $3
             WHERE id = $1 AND state IN ('queued', 'waiting') AND job_id IS NOT DISTINCT FROM $2
             RETURNING template, priority, next_attempt_at",
            args![order, job, now],
        )
        .await?;
    let Some(row) = row else { return Ok(None) };
    if let Some(job) = job {
        let cancelled = "SELECT id FROM river_job WHERE id = $1 AND state = 'cancelled'";
        if tx.optional(cancelled, args![job]).await?.is_some() {
            tx.execute(
                "UPDATE sitewright_orders SET state = 'cancelled', cancel_requested_at = \
                 coalesce(cancel_requested_at, $2),
                    waiting_reason = NULL, next_attempt_at = NULL, finished_at = $2 WHERE id = $1",
                args![order, now],
            )
            .await?;
            return Ok(Some(true));
        }
    }
    let (due, priority) = (row.opt_int("next_attempt_at")?, row.int("priority")?);
    // Whoever had a place in line keeps it.
    let place = match job {
        None => line.place(tx, &row.text("template")?, priority).await?,
        Some(_) => priority,
    };
    let new = river::replace(river, tx, order, place, job, None, due).await?;
    tx.execute("UPDATE sitewright_orders SET job_id = $2 WHERE id = $1", args![order, new]).await?;
    Ok(Some(false))
}

/// Whether the order was still there, and still from beyond that time.
async fn date_back(
    tx: &mut Tx,
    river: &river::Inserter,
    order: &str,
    beyond: i64,
) -> Result<bool, sqlx::Error> {
    let now = now_ms();
    let back = tx.pick(
        "UPDATE sitewright_orders SET updated_at = $2, next_attempt_at = $2 + (next_attempt_at - \
         updated_at)
         WHERE id = $1 AND state IN ('queued', 'waiting') AND (updated_at > $3 OR EXISTS (
            SELECT 1 FROM river_job j WHERE j.id = job_id AND j.state = 'available'
                AND j.scheduled_at > strftime('%Y-%m-%d %H:%M:%f', 'now', '30 seconds')))
         RETURNING priority, job_id, next_attempt_at",
        "UPDATE sitewright_orders SET updated_at = $2, next_attempt_at = $2 + (next_attempt_at - \
         updated_at)
         WHERE id = $1 AND state IN ('queued', 'waiting') AND (updated_at > $3 OR EXISTS (
            SELECT 1 FROM river_job j WHERE j.id = job_id AND j.state = 'available' AND \
         j.scheduled_at > now() + interval '30 seconds'))
         RETURNING priority, job_id, next_attempt_at",
    );
    let dated = tx.optional(back, args![order, now, beyond]).await?;
    let Some(row) = dated else { return Ok(false) };
    let due = row.opt_int("next_attempt_at")?;
    let new =
        river::replace(river, tx, order, row.int("priority")?, row.opt_int("job_id")?, None, due)
            .await?;
    tx.execute("UPDATE sitewright_orders SET job_id = $2 WHERE id = $1", args![order, new]).await?;
    Ok(true)
}
