//! Claims: an attempt takes ownership of an order. And the attempts that orders had.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::json;
use sitewright_model::time::now_ms;
use sitewright_model::trace::TraceParent;
use ulid::Ulid;

use super::coalesced::{Coalesced, json_rows, over_json};
use super::database::Database;
use super::driver::{Row, Tx, args, river, sql};
use super::error::Error;
use super::holds::admit::{Admitted, Asking, admit, probed_by};
use super::holds::{Gate, HoldId};
use super::model::{Attempt, Claim, Claimed, OrderState, WorkerId};

impl Database {
    /// Claims an order for an attempt with this id. Idempotent: a repeated call with the same id
    /// has the same answer.
    ///
    /// A queued order is given to any job that names it; a waiting one only to the job of its next
    /// attempt.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn claim(
        &self,
        order: &str,
        job: i64,
        worker: &WorkerId,
        attempt: Ulid,
    ) -> Result<Claim, Error> {
        self.claim_through(order, job, worker, attempt, None).await
    }

    /// The same for an order that has to pass the holds that `gate` names. One that does not pass
    /// is parked: [`Claim::Parked`].
    ///
    /// # Errors
    /// If the database fails.
    pub async fn claim_through(
        &self,
        order: &str,
        job: i64,
        worker: &WorkerId,
        attempt: Ulid,
        gate: Option<Arc<dyn Gate>>,
    ) -> Result<Claim, Error> {
        let claim = ClaimOrder {
            order: order.to_owned(),
            job,
            worker: worker.clone(),
            attempt,
            gate,
            river: self.river().clone(),
        };
        self.write_coalesced(format!("claiming order {order:?}"), claim).await
    }

    /// One attempt; `None` if there is none with this id.
    ///
    /// # Errors
    /// If the database fails.
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

    /// The attempts of an order, the oldest first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn attempts(&self, order: &str) -> Result<Vec<Attempt>, Error> {
        let sql = "SELECT id, order_id, number, worker, job_id, trace_id, config_version, \
                   started_at, ended_at, outcome,
                lease_lost_at, release, failure_id, last_stage
             FROM sitewright_attempts WHERE order_id = $1 ORDER BY number";
        self.read("reading attempts", sql, args![order]).await?.iter().map(Attempt::read).collect()
    }
}

/// An attempt's trace id: 32 hexadecimal digits.
fn trace_id(attempt: Ulid) -> String {
    format!("{:032x}", attempt.0)
}

/// The trace that an order is a part of. Anybody may write the column: what is no `traceparent`
/// counts as none.
pub(super) fn traceparent(row: &Row) -> Result<Option<TraceParent>, sqlx::Error> {
    Ok(row.opt_text("traceparent")?.and_then(|header| header.parse().ok()))
}

/// The trace id of an attempt at an order that is a part of this trace.
pub(super) fn trace_id_in(order: Option<&TraceParent>, attempt: Ulid) -> String {
    order.map_or_else(|| trace_id(attempt), |order| order.trace_id().to_owned())
}

/// Claims one order.
#[derive(Clone)]
struct ClaimOrder {
    order: String,
    job: i64,
    worker: WorkerId,
    attempt: Ulid,
    gate: Option<Arc<dyn Gate>>,
    river: river::JobClient,
}

impl ClaimOrder {
    /// Whether the order, which this transaction has claimed, passes its holds; if not, it is
    /// parked. Asks the database only if something is held.
    async fn admit(&self, tx: &mut Tx, row: &Row, now: i64) -> Result<Admitted, sqlx::Error> {
        let (template, tenant) = (row.text("template")?, row.opt_text("tenant")?);
        let holds = self.gate.as_ref().map(|gate| gate.holds_of(&template, tenant.as_deref()));
        let gate = holds.unwrap_or_default();
        let held_by = row.opt_text("held_by")?;
        if gate.is_empty() && held_by.is_none() {
            return Ok(Admitted::Runs { probes: Vec::new(), released: Vec::new() });
        }
        let attempt = self.attempt.to_string();
        let asking = Asking {
            order: &self.order,
            attempt: &attempt,
            job: self.job,
            priority: row.int("priority")?,
            config_version: self.worker.config_version.as_deref(),
        };
        let admitted = admit(tx, &self.river, &asking, gate, held_by.as_deref(), now).await?;
        if let (Some(gate), Admitted::Runs { released, .. }) = (&self.gate, &admitted) {
            released.iter().for_each(|(id, at)| gate.released(id, *at));
        }
        Ok(admitted)
    }

    fn claimed(&self, row: &Row, probes: Vec<HoldId>) -> Result<Claimed, sqlx::Error> {
        let traceparent = traceparent(row)?;
        Ok(Claimed {
            order: self.order.clone(),
            template: row.text("template")?,
            tenant: row.opt_text("tenant")?,
            batch: row.int("batch")? == 1,
            config_version: row.opt_text("config_version")?,
            attempt: self.attempt,
            number: row.int("runs")?,
            attempts_used: row.int("attempts")?,
            job: self.job,
            revision: row.int("revision")?,
            trace_id: trace_id_in(traceparent.as_ref(), self.attempt),
            traceparent,
            worker: self.worker.client.clone(),
            suspected: row.opt_int("suspected_at")?.is_some(),
            probes,
        })
    }

    /// The attempt's configuration: the worker's, or else the order's.
    fn config<'a>(&'a self, order: &'a Option<String>) -> Option<&'a str> {
        self.worker.config_version.as_deref().or(order.as_deref())
    }
}

#[async_trait]
impl Coalesced for ClaimOrder {
    type Answer = Claim;

    async fn many(tx: &mut Tx, writes: &[Self]) -> Result<Vec<Option<Self::Answer>>, sqlx::Error> {
        let now = now_ms();
        let wanted = json_rows(writes.iter().map(|claim| {
            let ClaimOrder { order, job, worker, attempt, .. } = claim;
            vec![
                json!(order),
                json!(attempt.to_string()),
                json!(worker.client),
                json!(job),
                json!(worker.config_version),
            ]
        }));
        // `state || ''` keeps the planner from using the index on the state: orders are looked up
        // by their ids.
        let sql = over_json!(
            tx,
            "UPDATE sitewright_orders SET state = {running}, owner_attempt = t.value ->> 1, \
             owner_worker = t.value ->> 2,
                job_id = CAST(t.value ->> 3 AS BIGINT), runs = runs + 1, config_version = \
             coalesce(config_version, t.value ->> 4),
                waiting_reason = NULL, next_attempt_at = NULL, updated_at = $2
             FROM ",
            " WHERE sitewright_orders.id = t.value ->> 0
                AND (state || '' = {queued} OR (state || '' = {waiting} AND job_id = CAST(t.value \
             ->> 3 AS BIGINT)))
             RETURNING owner_attempt, document, template, config_version, runs, attempts,
                 suspected_at, revision, priority, held_by, tenant, batch, traceparent"
        );
        let mut given = HashMap::with_capacity(writes.len());
        for row in tx.all(sql, args![&wanted, now]).await? {
            given.insert(row.text("owner_attempt")?, row);
        }
        let mut answers = Vec::with_capacity(writes.len());
        let mut begun = Vec::with_capacity(writes.len());
        for claim in writes {
            let id = claim.attempt.to_string();
            let Some(row) = given.remove(&id) else {
                answers.push(None);
                continue;
            };
            let probes = match claim.admit(tx, &row, now).await? {
                Admitted::Runs { probes, .. } => probes,
                Admitted::Parked { hold, reason } => {
                    answers.push(Some(Claim::Parked { hold, reason }));
                    continue;
                }
            };
            let claimed = claim.claimed(&row, probes)?;
            let config = claim.config(&claimed.config_version);
            begun.push(vec![
                json!(id),
                json!(claimed.order),
                json!(claimed.number),
                json!(claimed.worker),
                json!(claimed.job),
                json!(claimed.trace_id),
                json!(config),
            ]);
            answers.push(Some(Claim::Claimed(Box::new(claimed), row.text("document")?)));
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

async fn claim_in(tx: &mut Tx, claim: &ClaimOrder) -> Result<Claim, sqlx::Error> {
    let ClaimOrder { order, job, worker, attempt, .. } = claim;
    let (now, id, job) = (now_ms(), attempt.to_string(), *job);
    let claimed = tx
        .optional(
            sql!(
                "UPDATE sitewright_orders SET state = {running}, owner_attempt = $2,
                    owner_worker = $3, job_id = $4, runs = runs + 1,
                    config_version = coalesce(config_version, $5), waiting_reason = NULL,
                    next_attempt_at = NULL, updated_at = $6
                 WHERE id = $1 AND (state = {queued} OR (state = {waiting} AND job_id = $4))
                 RETURNING document, template, config_version, runs, attempts, suspected_at, revision,
                    priority, held_by, tenant, batch, traceparent"
            ),
            args![order, &id, &worker.client, job, &worker.config_version, now],
        )
        .await?;
    let probes;
    let row = match claimed {
        Some(row) => {
            match claim.admit(tx, &row, now).await? {
                Admitted::Runs { probes: of, .. } => probes = of,
                Admitted::Parked { hold, reason } => return Ok(Claim::Parked { hold, reason }),
            }
            let begun = row.opt_text("config_version")?;
            let config = claim.config(&begun);
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
                    &trace_id_in(traceparent(&row)?.as_ref(), *attempt),
                    config,
                    now
                ],
            )
            .await?;
            row
        }
        None => {
            let existing = tx
                .optional(
                    "SELECT document, template, config_version, runs, attempts, state, \
                     owner_attempt, suspected_at, revision, tenant, batch, traceparent
                     FROM sitewright_orders WHERE id = $1",
                    args![order],
                )
                .await?;
            match existing {
                None => return Ok(Claim::NoSuchOrder),
                // Claimed before; the answer was lost with its connection.
                Some(row) if row.opt_text("owner_attempt")?.as_deref() == Some(&id) => {
                    probes = probed_by(tx, &id).await?;
                    row
                }
                Some(row) => {
                    let state: OrderState = row.parsed("state")?;
                    return Ok(if state.has_ended() {
                        Claim::AlreadyEnded(state)
                    } else {
                        Claim::NotThisJob
                    });
                }
            }
        }
    };
    Ok(Claim::Claimed(Box::new(claim.claimed(&row, probes)?), row.text("document")?))
}
