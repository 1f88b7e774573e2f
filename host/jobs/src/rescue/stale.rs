//! Orders owned by an attempt whose worker has ended or is stale, or that its worker no longer runs.

use std::collections::HashSet;
use std::time::Duration;

use sitewright_model::failure::{FailureKind, FailureRecord, OfAttempt};
use sitewright_model::message;
use sitewright_model::message::Message;
use sitewright_model::time::now_ms;

use super::blame::{self, Blame};
use super::{CHUNK, Rescued, Rescuer};
use crate::attempt::{trace_id_in, traceparent};
use crate::complete::{end_attempt, insert_failure};
use crate::driver::river::{self, JobEnd};
use crate::driver::{Row, Tx, args, sql};
use crate::error::Error;
use crate::events::{AttemptHistory, attempt_history};
use crate::heartbeat::{OtherWorker, Verdict};
use crate::locks::try_rescue_lock;
use crate::marks::{Found, Inside, Marks};
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
    /// The process of its worker has ended.
    WorkerEnded,
    /// Its worker is stale: it ended on another machine, is stopped, or cannot reach the database.
    WorkerStale,
    /// Its worker lives, but does not run the attempt.
    AttemptLost,
    /// Its worker shuts down.
    WorkerShutdown,
}

/// Which heartbeat a worker must still have for its orders to be rescued.
#[derive(Debug, Clone, Copy)]
enum Expected {
    /// It is this worker: no heartbeat is compared.
    ThisWorker,
    /// The number of its heartbeats when it was judged.
    Heartbeats(i64),
}

/// The crashes of an order.
#[derive(Debug, Clone, Copy)]
struct Crashes {
    counted: i64,
    /// With this many it is given up.
    allowed: i64,
}

impl Crashes {
    fn is_last(self) -> bool {
        self.counted >= self.allowed
    }
}

/// Why and how the orders of one worker are rescued.
#[derive(Debug, Clone)]
struct Case {
    client: String,
    expected: Expected,
    reason: Reason,
    /// The code that ran in its process, if known.
    inside: Option<Inside>,
    limits: AttemptLimits,
}

impl Rescuer {
    /// Rescues the orders of workers that have ended or are stale; those of all other workers if
    /// `alone` says that none of them can be alive. `mine` tells which attempts this worker runs.
    pub(crate) async fn stale_workers(
        &mut self,
        alone: bool,
        mine: impl Fn(&str) -> bool,
    ) -> Result<Rescued, Error> {
        let mut rescued = Rescued::default();
        let lost = self.owned(&self.me.client).await?;
        let lost = lost.into_iter().filter(|owned| !mine(&owned.attempt)).collect();
        let case = self.case(Reason::AttemptLost);
        self.release(case, lost, &mut rescued).await?;
        // Jobs that it fetched while the connection broke before the answer arrived.
        self.unclaimed(&self.me.client, self.stale_after, &mut rescued).await?;
        self.neighbours.clear();
        for other in self.others().await? {
            let (reason, inside) = match self.look(&other).await {
                Found::Ended(inside) => (Reason::WorkerEnded, Some(inside)),
                Found::Runs(inside) if alone => (Reason::WorkerEnded, Some(inside)),
                Found::Unknown if alone => (Reason::WorkerEnded, None),
                found => {
                    if let (Found::Runs(_), Some(name)) = (&found, &other.marks) {
                        self.neighbours.push(name.clone());
                    }
                    match other.heard.verdict(self.stale_after, self.confirm) {
                        Verdict::Alive => continue,
                        Verdict::Late => {
                            self.database.note_late(&other).await?;
                            continue;
                        }
                        Verdict::Stale => {
                            let inside = match found {
                                Found::Runs(inside) => Some(inside),
                                _ => None,
                            };
                            (Reason::WorkerStale, inside)
                        }
                    }
                }
            };
            self.rescue(&other, reason, inside, &mut rescued).await?;
        }
        Ok(rescued)
    }

    /// All other workers, those included that own orders or jobs and have no row.
    async fn others(&self) -> Result<Vec<OtherWorker>, Error> {
        let me = self.me.client.as_str();
        let others = self.database.other_workers(me).await?;
        let doing = "looking for the owners of orders";
        let owners = sql!(
            "SELECT DISTINCT owner_worker AS worker FROM sitewright_orders WHERE state = {running}"
        );
        let holders = self.database.pool().queries().job_holders.as_str();
        let mut without_row = HashSet::new();
        for sql in [owners, holders] {
            for row in self.database.read(doing, sql, vec![]).await? {
                let worker = row.opt_text("worker");
                without_row.extend(worker.map_err(|error| Error::database(doing, error))?);
            }
        }
        without_row.remove(me);
        for other in &others {
            without_row.remove(&other.client);
        }
        if without_row.is_empty() {
            return Ok(others);
        }
        for client in without_row {
            self.database.adopt_worker(&client).await?;
        }
        self.database.other_workers(me).await
    }

    /// What the marks of another worker say. Only those of a process on this machine, since its
    /// start: a lock on a file that several machines share may be known to one of them only.
    async fn look(&self, other: &OtherWorker) -> Found {
        let (Some(folder), Some(name)) = (&self.marks, &other.marks) else { return Found::Unknown };
        if !self.me.shares_machine(&other.boot) {
            return Found::Unknown;
        }
        let (folder, name) = (folder.clone(), name.clone());
        let looked = tokio::task::spawn_blocking(move || Marks::look(&folder, &name)).await;
        looked.unwrap_or(Found::Unknown)
    }

    /// Rescues all orders and jobs of a worker, and forgets it.
    async fn rescue(
        &self,
        other: &OtherWorker,
        reason: Reason,
        inside: Option<Inside>,
        rescued: &mut Rescued,
    ) -> Result<(), Error> {
        let client = other.client.as_str();
        let owned = self.owned(client).await?;
        if !owned.is_empty() {
            tracing::warn!(
                worker = client,
                ?reason,
                orders = owned.len(),
                inside = inside.as_ref().map(Inside::len),
                "a worker has ended or sends no heartbeat: its orders return to the queue"
            );
        }
        let case = Case {
            client: client.to_owned(),
            expected: Expected::Heartbeats(other.beats),
            inside,
            ..self.case(reason)
        };
        if self.release(case, owned, rescued).await?
            && self.unclaimed(client, Duration::ZERO, rescued).await?
        {
            self.database.forget_worker(client).await?;
            if let (Some(folder), Some(name)) = (self.marks.clone(), other.marks.clone()) {
                // If this does not end, the file is swept later.
                drop(tokio::task::spawn_blocking(move || Marks::delete(&folder, &name)).await);
            }
        }
        Ok(())
    }

    fn case(&self, reason: Reason) -> Case {
        Case {
            client: self.me.client.clone(),
            expected: Expected::ThisWorker,
            reason,
            inside: None,
            limits: self.limits,
        }
    }

    /// Returns to the queue what this worker still owns when it shuts down.
    pub(crate) async fn return_own_orders(&mut self) -> Result<Rescued, Error> {
        let mut rescued = Rescued::default();
        let owned = self.owned(&self.me.client).await?;
        self.release(self.case(Reason::WorkerShutdown), owned, &mut rescued).await?;
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
        case: Case,
        owned: Vec<Owned>,
        rescued: &mut Rescued,
    ) -> Result<bool, Error> {
        for chunk in owned.chunks(CHUNK) {
            let (river, of, chunk) = (self.database.river().clone(), case.clone(), chunk.to_vec());
            let done = self.database.write("rescuing orders", move |tx| {
                let (river, case, chunk) = (river.clone(), of.clone(), chunk.clone());
                Box::pin(async move {
                    if !may_rescue(tx, &case).await? {
                        return Ok(None);
                    }
                    let mut ends = Vec::new();
                    for owned in chunk {
                        let end = rescue_in(tx, &river, &owned, &case).await?;
                        ends.extend(end.map(|end| (owned, end)));
                    }
                    if case.inside.is_some() {
                        blame::remember_end(tx, &case.client, now_ms()).await?;
                    }
                    Ok(Some(ends))
                })
            });
            let Some(ends) = done.await? else { return Ok(false) };
            for (owned, RescuedOrder { state, blame, trace_id }) in ends {
                log(&owned, &case, state, blame, &trace_id);
                let order = owned.order;
                match state {
                    OrderState::Dead => rescued.dead.push(order),
                    OrderState::Cancelled => rescued.cancelled.push(order),
                    _ => {
                        if blame != Blame::Innocent {
                            rescued.suspected.push(order.clone());
                        }
                        rescued.queued.push(order);
                    }
                }
            }
        }
        Ok(true)
    }
}

/// An order that was taken from its attempt.
struct RescuedOrder {
    state: OrderState,
    blame: Blame,
    /// Of the attempt.
    trace_id: String,
}

/// One line for each order; a warning for one that may be to blame.
fn log(owned: &Owned, case: &Case, state: OrderState, blame: Blame, trace_id: &str) {
    let Owned { order, attempt, job } = owned;
    let reason = case.reason;
    match blame {
        Blame::Innocent => tracing::info!(
            order, job, attempt, trace_id, %state, ?reason,
            "an order was rescued from its worker; nothing is counted"
        ),
        Blame::Suspected => tracing::warn!(
            order, job, attempt, trace_id, %state, ?reason,
            "code of the order ran when its worker's process ended: it is tried alone next"
        ),
        Blame::Crashed => tracing::warn!(
            order, job, attempt, trace_id, %state, ?reason,
            "an order was rescued from its worker, as crashed"
        ),
    }
}

/// Whether this worker has the rescue lock and the other one has sent no heartbeat meanwhile.
async fn may_rescue(tx: &mut Tx, case: &Case) -> Result<bool, sqlx::Error> {
    if !try_rescue_lock(tx).await? {
        return Ok(false);
    }
    let Expected::Heartbeats(heartbeats) = case.expected else { return Ok(true) };
    let row = tx
        .optional("SELECT beats FROM sitewright_workers WHERE client_id = $1", args![&case.client])
        .await?;
    Ok(row.map(|row| row.int("beats")).transpose()? == Some(heartbeats))
}

/// Takes an order from an attempt that will not complete it; `None` if the attempt no longer owns
/// it.
async fn rescue_in(
    tx: &mut Tx,
    river: &river::JobClient,
    owned: &Owned,
    case: &Case,
) -> Result<Option<RescuedOrder>, sqlx::Error> {
    let Case { client: worker, reason, limits, .. } = case;
    let (now, order, attempt) = (now_ms(), owned.order.as_str(), owned.attempt.as_str());
    let row = tx
        .optional(
            sql!(
                "UPDATE sitewright_orders SET updated_at = $3
                 WHERE id = $1 AND owner_attempt = $2 AND state = {running}
                 RETURNING crashes, priority, job_id, cancel_requested_at, template,
                    config_version, suspected_at, traceparent"
            ),
            args![order, attempt, now],
        )
        .await?;
    let Some(row) = row else { return Ok(None) };
    let job = row.opt_int("job_id")?;
    let suspected_at = row.opt_int("suspected_at")?;
    let blame = match reason {
        Reason::WorkerShutdown => Blame::Innocent,
        // Its own result ended it, which no other order can have done.
        Reason::AttemptLost => Blame::Crashed,
        Reason::WorkerEnded | Reason::WorkerStale => {
            Blame::of(attempt, suspected_at.is_some(), case.inside.as_ref())
        }
    };
    let before = row.int("crashes")?;
    let others = match (blame, reason) {
        (Blame::Crashed, Reason::WorkerEnded | Reason::WorkerStale) => {
            blame::other_ends(tx, worker, before, now).await?
        }
        _ => 0,
    };
    let crashes = Crashes {
        counted: before + i64::from(blame == Blame::Crashed),
        allowed: limits.crashes_beside(others),
    };
    let stop = row.opt_int("cancel_requested_at")?.is_some();
    let state = if stop {
        OrderState::Cancelled
    } else if blame == Blame::Crashed && crashes.is_last() {
        OrderState::Dead
    } else {
        OrderState::Queued
    };
    let failure = if blame == Blame::Crashed {
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
        Some(crash(of, worker, *reason, crashes, known))
    } else {
        None
    };
    let note = note(worker, *reason, blame);
    let error = match &failure {
        Some(failure) => Some(format!("crashed: {}", failure.message)),
        None => note.as_ref().map(ToString::to_string),
    };
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
    let end = match (reason, state) {
        (Reason::WorkerShutdown, OrderState::Cancelled) => AttemptEnd::Cancelled,
        (Reason::WorkerShutdown, _) => AttemptEnd::Returned,
        _ => AttemptEnd::Crashed,
    };
    end_attempt(tx, attempt, end, None, failure.as_ref(), now).await?;
    let failure = failure.map(|failure| failure.id);
    if let Some(message) = note {
        tx.execute(
            "INSERT INTO sitewright_events (order_id, at, stage, message)
             VALUES ($1, $2, 'rescued', $3)",
            args![order, now, message.as_str()],
        )
        .await?;
    }
    let suspected_at = match blame {
        Blame::Innocent => suspected_at,
        Blame::Suspected | Blame::Crashed => suspected_at.or(Some(now)),
    };
    tx.execute(
        "UPDATE sitewright_orders SET state = $2, owner_attempt = NULL, owner_worker = NULL, \
         job_id = $3, crashes = $4,
            last_failure = coalesce($5, last_failure), finished_at = $6, suspected_at = $7
         WHERE id = $1",
        args![
            order,
            state.as_str(),
            job,
            crashes.counted,
            &failure,
            state.has_ended().then_some(now),
            suspected_at
        ],
    )
    .await?;
    let parent = traceparent(&row)?;
    let trace_id = attempt.parse().map(|attempt| trace_id_in(parent.as_ref(), attempt));
    Ok(Some(RescuedOrder { state, blame, trace_id: trace_id.unwrap_or_default() }))
}

/// What the order's history says of a rescue that leaves no failure record.
fn note(worker: &str, reason: Reason, blame: Blame) -> Option<Message> {
    let what = match reason {
        Reason::WorkerEnded => "ended without stopping",
        Reason::WorkerStale => "sent no heartbeat",
        Reason::AttemptLost | Reason::WorkerShutdown => return None,
    };
    match blame {
        Blame::Innocent => Some(message!(
            "worker {worker} {what}: the order returned to the queue, and nothing is counted"
        )),
        Blame::Suspected => Some(message!(
            "worker {worker} {what} while code of this order ran: nothing is counted, and the \
             order is tried again with no other order's code beside it"
        )),
        Blame::Crashed => None,
    }
}

/// The failure record of an attempt whose process cannot write one: what the database knows of it.
fn crash(
    of: OfAttempt,
    worker: &str,
    reason: Reason,
    crashes: Crashes,
    known: AttemptHistory,
) -> NewFailure {
    let at = match &known.stage {
        None => "before it reported a stage".to_owned(),
        Some((stage, _)) => format!("in stage `{stage}`"),
    };
    let given_up = if crashes.is_last() {
        format!("; after {} crashes the order is given up", crashes.counted)
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
        Reason::WorkerEnded | Reason::WorkerStale | Reason::WorkerShutdown => {
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
    if reason != Reason::AttemptLost {
        let code = "that of this order, and of no other one";
        record.attributes.insert("code that ran".to_owned(), code.to_owned());
    }
    record.attributes.insert(
        "crashes".to_owned(),
        format!("{} of {}, after which it is given up", crashes.counted, crashes.allowed),
    );
    NewFailure::from(&record)
}
