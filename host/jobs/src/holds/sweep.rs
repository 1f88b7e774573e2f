//! The sweep of a worker: it makes the jobs of parked orders due. Every worker sweeps about once a
//! second; what one has done, the others find done.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;
use sitewright_model::time::{millis, now_ms};

use super::{ANY_TENANT, Hold, HoldKind, OwnQueue, over};
use crate::coalesced::{json_rows, over_json};
use crate::database::Database;
use crate::driver::held_jobs;
use crate::driver::{Row, Tx, args, river, sql};
use crate::error::Error;

/// Maximum number of orders of one transaction.
const CHUNK: i64 = 500;
/// Maximum number of transactions for one hold in one sweep.
const CHUNKS: usize = 20;
/// Time that the row of a released hold stays, so that orders parked meanwhile are found.
const FORGET_AFTER_MS: i64 = 60 * 60 * 1_000;
/// Time between two writes that a missing template is on a live worker.
const REFRESH_MISSING_MS: i64 = 10_000;

/// A template that a worker has.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Served {
    /// Its name: orders refer to it by this.
    pub template: String,
    /// `sha256:` and 64 hexadecimal digits.
    pub digest: String,
}

/// What a worker knows for a sweep.
#[derive(Debug, Clone)]
pub struct Sweep {
    /// The worker's id in the queue.
    pub worker: String,
    /// The names of the templates that it has.
    pub served: BTreeSet<String>,
    /// The number of further orders that it can run.
    pub room: usize,
    /// When it started, in milliseconds since the Unix epoch.
    pub started_at: i64,
    /// An order fails if no live worker has had its template for this long.
    pub template_grace: Duration,
}

/// What a sweep did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Swept {
    /// Orders whose hold was released.
    pub released: usize,
    /// Orders that wait for their template and that this worker takes.
    pub taken: usize,
    /// Orders that are let through to see whether a cause is gone.
    pub probes: usize,
}

impl Database {
    /// Stores which templates a worker has, for other workers and for `queue stats`.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn publish_templates(&self, worker: &str, served: Vec<Served>) -> Result<(), Error> {
        let (worker, served) = (worker.to_owned(), std::sync::Arc::new(served));
        self.write("storing which templates the worker has", move |tx| {
            let (worker, served) = (worker.clone(), served.clone());
            Box::pin(async move {
                let of_worker = "DELETE FROM sitewright_templates WHERE worker = $1";
                tx.execute(of_worker, args![&worker]).await?;
                let of_others = "DELETE FROM sitewright_templates
                     WHERE worker NOT IN (SELECT client_id FROM sitewright_workers)";
                tx.execute(of_others, vec![]).await?;
                let rows = served
                    .iter()
                    .map(|one| vec![json!(worker), json!(one.template), json!(one.digest)]);
                let sql = over_json!(
                    tx,
                    "INSERT INTO sitewright_templates (worker, template, digest)
                     SELECT t.value ->> 0, t.value ->> 1, t.value ->> 2 FROM ",
                    ""
                );
                tx.execute(sql, args![&json_rows(rows)]).await.map(drop)
            })
        })
        .await
    }

    /// Makes parked orders due: those whose hold was released, one for each hold whose next probe
    /// is due, and those that wait for a template that this worker has: they come through `own`.
    /// Does nothing while the queue is paused.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn sweep_holds(&self, sweep: &Sweep, own: Option<&OwnQueue>) -> Result<Swept, Error> {
        let mut swept = Swept::default();
        self.return_handed_over().await?;
        if let Some((own, name)) = own.and_then(|own| Some((own, own.opened()?))) {
            self.check_own(own, &name, sweep.room).await?;
        }
        let doing = "reading the holds";
        let sql = "SELECT id, kind, name, since, next_probe_at, expired_at, released_at
             FROM sitewright_holds ORDER BY id";
        let rows = self.read(doing, sql, vec![]).await?;
        if rows.is_empty() || self.is_paused().await? {
            return Ok(swept);
        }
        let failed = |error| Error::database(doing, error);
        let (now, mut here) = (now_ms(), Vec::new());
        let takes_orders = !own.is_some_and(OwnQueue::is_draining);
        for row in &rows {
            let hold = Known::read(row).map_err(failed)?;
            if let Some(released) = hold.released_at {
                let count = self.release_orders(&hold.id).await?;
                swept.released += count;
                if count == 0 && now.saturating_sub(released) > FORGET_AFTER_MS {
                    self.forget_hold(&hold.id).await?;
                }
                continue;
            }
            match hold.kind {
                HoldKind::Missing => {
                    if self.refresh_missing(sweep, &hold, now).await? {
                        swept.released += self.release_orders(&hold.id).await?;
                    } else if sweep.served.contains(&hold.name) && takes_orders {
                        here.push(hold.id);
                    }
                }
                HoldKind::Route | HoldKind::Template => {
                    if hold.next_probe_at.is_some_and(|next| next <= now)
                        && self.let_one_through(&hold.id).await?
                    {
                        swept.probes += 1;
                    }
                }
            }
        }
        let mut room = sweep.room;
        for id in here {
            let queue = match own {
                Some(own) => own.open()?,
                None => Some(held_jobs::own_queue(&sweep.worker)),
            };
            let Some(queue) = queue else { break };
            let taken = self.take_orders(&id, queue, room).await?;
            swept.taken += taken;
            room = room.saturating_sub(taken);
        }
        Ok(swept)
    }

    /// Makes the orders of a released hold due, the longest parked first.
    async fn release_orders(&self, hold: &str) -> Result<usize, Error> {
        let mut released = 0;
        for _ in 0..CHUNKS {
            let id = hold.to_owned();
            let count = self
                .write("requeuing the orders of a hold", move |tx| {
                    let id = id.clone();
                    Box::pin(async move {
                        let make = MakeDue { hold: &id, most: CHUNK, queue: river::QUEUE };
                        make.due(tx).await
                    })
                })
                .await?;
            released += count;
            if i64::try_from(count).unwrap_or(i64::MAX) < CHUNK {
                break;
            }
        }
        Ok(released)
    }

    /// Makes an order due that is parked, before all others. It stays parked until it is claimed:
    /// the claim makes it the probe. Whether there is one.
    async fn let_one_through(&self, hold: &str) -> Result<bool, Error> {
        let id = hold.to_owned();
        self.write("letting one order of a hold through", move |tx| {
            let id = id.clone();
            Box::pin(async move {
                let probing = "SELECT h.probes AS probes, o.id AS probing
                     FROM sitewright_holds h LEFT JOIN sitewright_orders o
                        ON o.id = h.probe_order AND o.owner_attempt = h.probe_attempt
                     WHERE h.id = $1";
                let Some(row) = tx.optional(probing, args![&id]).await? else { return Ok(false) };
                if row.opt_text("probing")?.is_some() {
                    return Ok(false);
                }
                let Some(order) = next_probe(tx, &id, row.int("probes")?).await? else {
                    return Ok(false);
                };
                let sql = sql!(
                    "UPDATE sitewright_orders SET next_attempt_at = $3, updated_at = $3
                     WHERE id = $1 AND held_by = $2 AND state || '' = {waiting}
                     RETURNING job_id"
                );
                let row = tx.optional(sql, args![&order, &id, now_ms()]).await?;
                let job = row.map(|row| row.opt_int("job_id")).transpose()?.flatten();
                let jobs: Vec<i64> = job.into_iter().collect();
                held_jobs::make_due(tx, &jobs, river::QUEUE, true).await?;
                Ok(!jobs.is_empty())
            })
        })
        .await
    }

    /// Gives orders that wait for a template to this worker alone, by its own queue: one without
    /// the template would be as fast to claim them again.
    async fn take_orders(&self, hold: &str, queue: String, room: usize) -> Result<usize, Error> {
        let most = i64::try_from(room).unwrap_or(CHUNK).min(CHUNK);
        if most == 0 {
            return Ok(0);
        }
        let id = hold.to_owned();
        self.write("taking orders that wait for a template", move |tx| {
            let (id, queue) = (id.clone(), queue.clone());
            Box::pin(async move {
                let make = MakeDue { hold: &id, most, queue: &queue };
                make.due(tx).await
            })
        })
        .await
    }

    /// Keeps the row of a missing template: when a live worker last had it, and whether its orders
    /// have waited long enough. Whether they are to be made due for all workers: every live worker
    /// has the template, or none has had it for the grace time.
    async fn refresh_missing(&self, sweep: &Sweep, hold: &Known, now: i64) -> Result<bool, Error> {
        let doing = "looking for workers that have a template";
        let sql = "SELECT
            (SELECT count(*) FROM sitewright_workers) AS workers,
            (SELECT count(*) FROM sitewright_templates t JOIN sitewright_workers w
                ON w.client_id = t.worker WHERE t.template = $1) AS serving";
        let rows = self.read(doing, sql, args![&hold.name]).await?;
        let count = |column| {
            let count = rows.first().map_or(Ok(0), |row: &Row| row.int(column));
            count.map_err(|error| Error::database(doing, error))
        };
        let (workers, serving) = (count("workers")?, count("serving")?);
        let id = hold.id.clone();
        if serving > 0 && serving >= workers {
            let sql = "UPDATE sitewright_holds SET released_at = $2
                 WHERE id = $1 AND released_at IS NULL";
            self.update_hold(sql, id, now).await?;
            return Ok(true);
        }
        if serving > 0 {
            if hold.expired_at.is_some() || now.saturating_sub(hold.since) > REFRESH_MISSING_MS {
                let sql = "UPDATE sitewright_holds SET since = $2, expired_at = NULL
                     WHERE id = $1";
                self.update_hold(sql, id, now).await?;
            }
            return Ok(false);
        }
        if hold.expired_at.is_some() {
            return Ok(true);
        }
        // A fleet that has just started may be waiting for its mount.
        let missing_since = hold.since.max(sweep.started_at);
        let grace = i64::try_from(millis(sweep.template_grace)).unwrap_or(i64::MAX);
        if now.saturating_sub(missing_since) < grace {
            return Ok(false);
        }
        tracing::error!(
            template = hold.name,
            grace_ms = grace,
            "no live worker has had this template for worker.template_grace_ms: its orders fail \
             from now on"
        );
        let sql = "UPDATE sitewright_holds SET expired_at = $2 WHERE id = $1";
        self.update_hold(sql, id, now).await?;
        Ok(true)
    }

    async fn update_hold(&self, sql: &'static str, id: String, now: i64) -> Result<(), Error> {
        self.write("updating a hold", move |tx| {
            let id = id.clone();
            Box::pin(async move { tx.execute(sql, args![&id, now]).await.map(drop) })
        })
        .await
    }

    async fn forget_hold(&self, id: &str) -> Result<(), Error> {
        let id = id.to_owned();
        self.write("deleting a released hold", move |tx| {
            let id = id.clone();
            Box::pin(async move {
                let sql = "DELETE FROM sitewright_holds WHERE id = $1 AND released_at IS NOT NULL";
                tx.execute(sql, args![&id]).await.map(drop)
            })
        })
        .await
    }

    /// Gives the worker's own queue up if it is stuck, and puts its jobs back for all workers. Those
    /// of a worker that drains, too: it fetches none, and may drain for as long as its orders take.
    async fn check_own(&self, own: &OwnQueue, name: &str, room: usize) -> Result<(), Error> {
        let doing = "looking for jobs that the worker took";
        let waiting = !self.read(doing, held_jobs::WAITING, args![name]).await?.is_empty();
        let is_stuck = own.is_stuck(waiting && room > 0);
        if is_stuck {
            tracing::warn!(
                queue = name,
                "jobs of the worker's own queue are stuck; another is used"
            );
        }
        if is_stuck || (waiting && own.is_draining()) {
            let name = name.to_owned();
            self.write("returning stuck jobs", move |tx| {
                let name = name.clone();
                Box::pin(async move { held_jobs::dissolve(tx, &name).await })
            })
            .await?;
        }
        Ok(())
    }

    /// Puts jobs that a worker took and did not fetch before it ended back for all workers.
    async fn return_handed_over(&self) -> Result<(), Error> {
        let doing = "looking for queues of workers that ended";
        let rows = self.read(doing, held_jobs::OWN_QUEUES, vec![]).await?;
        let workers = self.read(doing, "SELECT client_id FROM sitewright_workers", vec![]).await?;
        let failed = |error| Error::database(doing, error);
        let mut live = BTreeSet::new();
        for row in &workers {
            live.insert(held_jobs::own_queue(&row.text("client_id").map_err(failed)?));
        }
        for row in &rows {
            let queue = row.text("name").map_err(failed)?;
            let is_live = |own: &String| {
                let rest = queue.strip_prefix(own.as_str());
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
            };
            if live.iter().any(is_live) {
                continue;
            }
            let name = queue.clone();
            self.write("returning the jobs of a worker that ended", move |tx| {
                let name = name.clone();
                Box::pin(async move { held_jobs::dissolve(tx, &name).await })
            })
            .await?;
        }
        Ok(())
    }
}

/// The columns of a hold that a sweep needs.
struct Known {
    id: String,
    kind: HoldKind,
    name: String,
    since: i64,
    next_probe_at: Option<i64>,
    expired_at: Option<i64>,
    released_at: Option<i64>,
}

impl Known {
    fn read(row: &Row) -> Result<Self, sqlx::Error> {
        Ok(Known {
            id: row.text("id")?,
            kind: row.parsed("kind")?,
            name: row.text("name")?,
            since: row.int("since")?,
            next_probe_at: row.opt_int("next_probe_at")?,
            expired_at: row.opt_int("expired_at")?,
            released_at: row.opt_int("released_at")?,
        })
    }
}

/// The parked order that is the next probe of a hold of which `probes` have failed: the one that
/// has been parked the longest, and every second time the first of another tenant, because the
/// orders of one may be all that meet the cause. It begins with the other tenant: the order that
/// met the cause is the one that was parked first.
async fn next_probe(tx: &mut Tx, hold: &str, probes: i64) -> Result<Option<String>, sqlx::Error> {
    let longest = sql!(
        "SELECT id, tenant FROM sitewright_orders WHERE held_by = $1 AND state || '' = {waiting}
         ORDER BY updated_at LIMIT 1"
    );
    let Some(row) = tx.optional(longest, args![hold]).await? else { return Ok(None) };
    let (longest, tenant) = (row.text("id")?, row.opt_text("tenant")?);
    // Where no order has a tenant, there is no other one to look for among thousands.
    if probes % 2 != 0 || tx.optional(ANY_TENANT, vec![]).await?.is_none() {
        return Ok(Some(longest));
    }
    let other = sql!(
        "SELECT id FROM sitewright_orders WHERE held_by = $1 AND state || '' = {waiting}
            AND tenant IS DISTINCT FROM $2
         ORDER BY updated_at LIMIT 1"
    );
    let other = tx.optional(other, args![hold, &tenant]).await?;
    Ok(Some(other.map_or(Ok(longest), |row| row.text("id"))?))
}

/// Parked orders whose jobs become due.
struct MakeDue<'a> {
    hold: &'a str,
    most: i64,
    queue: &'a str,
}

impl MakeDue<'_> {
    /// Makes them due for good. The number of orders.
    async fn due(&self, tx: &mut Tx) -> Result<usize, sqlx::Error> {
        let sql = sql!(
            "UPDATE sitewright_orders SET held_by = NULL, waiting_reason = $4,
                next_attempt_at = $2, updated_at = $2
             WHERE state || '' = {waiting} AND held_by = $1 AND id IN (
                SELECT id FROM sitewright_orders WHERE held_by = $1 AND state || '' = {waiting}
                ORDER BY updated_at LIMIT $3)
             RETURNING job_id"
        );
        let arguments = args![self.hold, now_ms(), self.most, &over(self.hold)];
        let rows = tx.all(sql, arguments).await?;
        let mut jobs = Vec::with_capacity(rows.len());
        for row in &rows {
            jobs.extend(row.opt_int("job_id")?);
        }
        held_jobs::make_due(tx, &jobs, self.queue, false).await?;
        Ok(rows.len())
    }
}

impl Hold {
    /// Whether its orders are attempted, and so fail.
    pub fn has_expired(&self) -> bool {
        self.expired_at.is_some()
    }
}
