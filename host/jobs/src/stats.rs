//! What an operator watches (failure catalogue G4), and pausing the queue.

use std::collections::BTreeMap;

use serde::Serialize;

use sitewright_model::time::now_ms;

use super::breakers::Breaker;
use super::database::Database;
use super::driver::{Row, Value, args, river, sql};
use super::error::Error;
use super::holds::Hold;
use super::model::OrderState;
use super::summed_hours::{fit, gaps};

/// The queue at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Stats {
    /// Milliseconds since the Unix epoch.
    pub at: i64,
    /// The number of orders in each state, 0 included.
    pub orders: BTreeMap<OrderState, i64>,
    /// Milliseconds that the oldest queued order has waited.
    pub oldest_queued_ms: Option<i64>,
    /// Milliseconds that the oldest running attempt has run.
    pub oldest_running_ms: Option<i64>,
    /// When the next waiting order is due, in milliseconds since the Unix epoch.
    pub next_due_at: Option<i64>,
    pub paused: bool,
    /// AI calls that wait for a batch, or for the answer of one.
    pub batch_items: i64,
    /// What orders wait for besides their time, and what to do about it.
    pub holds: Vec<Hold>,
    /// Circuit breakers that are open in workers: each stops the calls of its own worker.
    pub breakers: Vec<Breaker>,
    pub workers: Vec<WorkerStats>,
}

/// A worker at that moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct WorkerStats {
    /// Its id in the queue.
    pub client_id: String,
    pub host: String,
    pub pid: i64,
    /// Milliseconds since the Unix epoch.
    pub started_at: i64,
    /// Milliseconds since its last heartbeat: the age of the lease on its orders.
    pub silent_ms: i64,
    /// The number of orders it runs.
    pub running: i64,
    pub max_orders: i64,
    /// Whether it was asked to drain: it claims no more orders, and ends when it has none.
    pub draining: bool,
    /// Version and commit of its program, such as `0.1.0+1a2b3c4d5e6f`; null for a worker whose
    /// program does not say it.
    pub program: Option<String>,
    /// The newest version of the contract `sitewright:template` that it knows, such as `0.2.0`; it
    /// runs templates of older ones, too.
    pub contract: Option<String>,
}

/// A template that live workers have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct TemplateStats {
    pub name: String,
    /// SHA-256 of its file, as workers have it. More than one while workers load a new version.
    pub digests: Vec<String>,
    /// The number of workers that have it.
    pub workers: i64,
}

/// Orders that ended within a span of time, by how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndedOrders {
    /// Counts the spans from `since`, from 0.
    pub span: i64,
    /// One that is an end.
    pub state: OrderState,
    pub orders: i64,
}

impl Stats {
    /// The number of orders in this state.
    pub fn count(&self, state: OrderState) -> i64 {
        self.orders.get(&state).copied().unwrap_or_default()
    }
}

impl Database {
    /// The queue as it is now.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn stats(&self) -> Result<Stats, Error> {
        let doing = "counting orders";
        let failed = |error| Error::database(doing, error);
        // Almost all orders have ended, in hours that are summed up.
        let counts = sql!(concat!(
            gaps!("ended", "$1", "$2"),
            "SELECT state, CAST(sum(orders) AS BIGINT) AS orders
             FROM (SELECT state, orders FROM sitewright_ended_sums
                UNION ALL SELECT o.state, count(*) FROM gaps g CROSS JOIN sitewright_orders o
                WHERE g.begins < g.ends AND o.state IN {ended} AND o.updated_at >= g.begins
                    AND o.updated_at < g.ends
                GROUP BY o.state
                UNION ALL SELECT state, count(*) FROM sitewright_orders
                WHERE state IN {unfinished} GROUP BY state) AS parts
             GROUP BY state"
        ));
        let ages = sql!(
            "SELECT
            (SELECT min(updated_at) FROM sitewright_orders WHERE state = {queued}) AS queued,
            (SELECT min(a.started_at) FROM sitewright_orders o JOIN sitewright_attempts a ON a.id \
                    = o.owner_attempt
                WHERE o.state = {running}) AS running,
            (SELECT min(next_attempt_at) FROM sitewright_orders WHERE state = {waiting}) AS due"
        );
        let ever = args![i64::MIN, i64::MAX];
        let counted = self.counted(doing, [(counts, ever), (ages, vec![])]).await?;
        let at = counted.at;
        let workers = sql!(
            "SELECT w.client_id AS client_id, w.host AS host, w.pid AS pid, \
                       w.started_at AS started_at,
                w.last_seen AS last_seen, w.max_orders AS max_orders,
                w.drain_requested_at AS drain_requested_at,
                w.program AS program, w.contract AS contract,
                (SELECT count(*) FROM sitewright_orders o WHERE o.state = {running} AND \
                       o.owner_worker = w.client_id) AS running
             FROM sitewright_workers w ORDER BY w.started_at, w.client_id"
        );
        let mut known = Vec::new();
        for row in self.read(doing, workers, vec![]).await? {
            let worker = || -> Result<WorkerStats, sqlx::Error> {
                Ok(WorkerStats {
                    client_id: row.text("client_id")?,
                    host: row.text("host")?,
                    pid: row.int("pid")?,
                    started_at: row.int("started_at")?,
                    silent_ms: (at - row.int("last_seen")?).max(0),
                    running: row.int("running")?,
                    max_orders: row.int("max_orders")?,
                    draining: row.opt_int("drain_requested_at")?.is_some(),
                    program: row.opt_text("program")?,
                    contract: row.opt_text("contract")?,
                })
            };
            known.push(worker().map_err(failed)?);
        }
        Ok(Stats {
            batch_items: self.open_batch_items().await?,
            holds: self.holds().await?,
            breakers: self.breakers().await?,
            workers: known,
            ..counted
        })
    }

    /// The queue as whoever some orders are for may see it: only these orders count, and there are
    /// neither holds nor breakers nor workers.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn stats_of_tenant(&self, tenant: &str) -> Result<Stats, Error> {
        let doing = "counting the orders of a tenant";
        let counts = "SELECT state, count(*) AS orders FROM sitewright_orders WHERE tenant = $1
             GROUP BY state";
        let ages = sql!(
            "SELECT
            (SELECT min(updated_at) FROM sitewright_orders
                WHERE tenant = $1 AND state = {queued}) AS queued,
            (SELECT min(a.started_at) FROM sitewright_orders o
                JOIN sitewright_attempts a ON a.id = o.owner_attempt
                WHERE o.tenant = $1 AND o.state = {running}) AS running,
            (SELECT min(next_attempt_at) FROM sitewright_orders
                WHERE tenant = $1 AND state = {waiting}) AS due"
        );
        let values = || args![tenant];
        let counted = self.counted(doing, [(counts, values()), (ages, values())]).await?;
        Ok(Stats { batch_items: self.open_batch_items_of(tenant).await?, ..counted })
    }

    /// What two statements with their values count, of all orders or of those of a tenant: orders by
    /// state, and the times of the oldest ones. Nothing else is known.
    async fn counted(
        &self,
        doing: &str,
        [(counts, of_counts), (ages, of_ages)]: [(&'static str, Vec<Value>); 2],
    ) -> Result<Stats, Error> {
        let failed = |error| Error::database(doing, error);
        let at = now_ms();
        let mut orders: BTreeMap<OrderState, i64> =
            OrderState::ALL.into_iter().map(|state| (state, 0)).collect();
        for row in self.read(doing, counts, of_counts).await? {
            let state = row.parsed("state").map_err(failed)?;
            orders.insert(state, row.int("orders").map_err(failed)?);
        }
        let rows = self.read(doing, ages, of_ages).await?;
        let row = rows.first().ok_or_else(|| failed(sqlx::Error::RowNotFound))?;
        let age = |since: Option<i64>| since.map(|since| (at - since).max(0));
        Ok(Stats {
            at,
            orders,
            oldest_queued_ms: age(row.opt_int("queued").map_err(failed)?),
            oldest_running_ms: age(row.opt_int("running").map_err(failed)?),
            next_due_at: row.opt_int("due").map_err(failed)?,
            paused: self.is_paused().await?,
            batch_items: 0,
            holds: Vec::new(),
            breakers: Vec::new(),
            workers: Vec::new(),
        })
    }

    /// Orders that ended at or after `since`, in milliseconds since the Unix epoch, counted in spans
    /// of `span_ms` milliseconds from there. An order that was retried counts for its last end.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn ended_since(&self, since: i64, span_ms: i64) -> Result<Vec<EndedOrders>, Error> {
        let doing = "counting orders that ended";
        // What is read is in the index on state and time: the row of an order that has ended does
        // not change its time until it is requeued.
        let rows = if fit(since, span_ms) {
            let sql = sql!(concat!(
                gaps!("ended", "$1", "$3"),
                "SELECT state, span, CAST(sum(orders) AS BIGINT) AS orders
                 FROM (SELECT state, (hour - $1) / $2 AS span, orders FROM sitewright_ended_sums
                    WHERE hour >= $1
                    UNION ALL SELECT o.state, (o.updated_at - $1) / $2, count(*)
                    FROM gaps g CROSS JOIN sitewright_orders o
                    WHERE g.begins < g.ends AND o.state IN {ended} AND o.updated_at >= g.begins
                        AND o.updated_at < g.ends
                    GROUP BY 1, 2) AS parts
                 GROUP BY state, span"
            ));
            self.read(doing, sql, args![since, span_ms, i64::MAX]).await?
        } else {
            let sql = sql!(
                "SELECT state, (updated_at - $1) / $2 AS span, count(*) AS orders
                 FROM sitewright_orders WHERE state IN {ended} AND updated_at >= $1
                 GROUP BY state, span"
            );
            self.read(doing, sql, args![since, span_ms.max(1)]).await?
        };
        let ended = |row: &Row| -> Result<EndedOrders, sqlx::Error> {
            Ok(EndedOrders {
                span: row.int("span")?,
                state: row.parsed("state")?,
                orders: row.int("orders")?,
            })
        };
        let ended = rows.iter().map(ended).collect::<Result<_, _>>();
        ended.map_err(|error| Error::database(doing, error))
    }

    /// The templates that workers have, by name.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn templates(&self) -> Result<Vec<TemplateStats>, Error> {
        let doing = "reading the templates of workers";
        let sql = "SELECT t.template AS template, t.digest AS digest, count(*) AS workers
             FROM sitewright_templates t JOIN sitewright_workers w ON w.client_id = t.worker
             GROUP BY t.template, t.digest ORDER BY t.template, t.digest";
        let mut templates: Vec<TemplateStats> = Vec::new();
        let failed = |error| Error::database(doing, error);
        for row in self.read(doing, sql, vec![]).await? {
            let name = row.text("template").map_err(failed)?;
            let digest = row.text("digest").map_err(failed)?;
            let workers = row.int("workers").map_err(failed)?;
            match templates.last_mut().filter(|last| last.name == name) {
                Some(last) => {
                    last.digests.push(digest);
                    last.workers += workers;
                }
                None => templates.push(TemplateStats { name, digests: vec![digest], workers }),
            }
        }
        Ok(templates)
    }

    /// The number of orders of each template in each state that is not an end, without those that
    /// are 0.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn unfinished_by_template(
        &self,
    ) -> Result<BTreeMap<(String, OrderState), i64>, Error> {
        let doing = "counting the orders of templates";
        let failed = |error| Error::database(doing, error);
        // SQLite would read all orders, by their templates.
        let sql = self.pool().pick(
            sql!(
                "SELECT template, state, count(*) AS orders
                 FROM sitewright_orders INDEXED BY sitewright_orders_states
                 WHERE state IN {unfinished} GROUP BY template, state"
            ),
            sql!(
                "SELECT template, state, count(*) AS orders FROM sitewright_orders
                 WHERE state IN {unfinished} GROUP BY template, state"
            ),
        );
        let mut counts = BTreeMap::new();
        for row in self.read(doing, sql, vec![]).await? {
            let template = row.text("template").map_err(failed)?;
            let state = row.parsed("state").map_err(failed)?;
            counts.insert((template, state), row.int("orders").map_err(failed)?);
        }
        Ok(counts)
    }

    /// The number of orders that have not ended.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn unfinished(&self) -> Result<i64, Error> {
        let doing = "counting orders that have not ended";
        let sql =
            sql!("SELECT count(*) AS orders FROM sitewright_orders WHERE state IN {unfinished}");
        let rows = self.read(doing, sql, vec![]).await?;
        let count = rows.first().map_or(Ok(0), |row| row.int("orders"));
        count.map_err(|error| Error::database(doing, error))
    }

    /// Whether the queue is paused.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn is_paused(&self) -> Result<bool, Error> {
        river::is_paused(self).await
    }

    /// Pauses the queue: no worker claims another order until [`Database::resume`]. Running orders
    /// continue.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn pause(&self) -> Result<(), Error> {
        let doing = "pausing the queue";
        self.write(doing, |tx| Box::pin(river::ensure_queue(tx))).await?;
        let failed = |error| Error::river(doing, error);
        let client = self.river().get().map_err(failed)?;
        client.queues().pause(river::QUEUE).await.map_err(failed).map(drop)
    }

    /// Ends a pause.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn resume(&self) -> Result<(), Error> {
        let doing = "resuming the queue";
        self.write(doing, |tx| Box::pin(river::ensure_queue(tx))).await?;
        let failed = |error| Error::river(doing, error);
        let client = self.river().get().map_err(failed)?;
        client.queues().resume(river::QUEUE).await.map_err(failed).map(drop)
    }
}
