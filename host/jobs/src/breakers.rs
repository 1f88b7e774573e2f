//! Circuit breakers that are open in the memory of workers, for people.
//!
//! A worker stores its own whenever they change: what one worker has seen does not stop another one
//! from calling. What stops all of them is a [hold](super::holds). It reads only whether somebody
//! has asked to let the next call through.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::json;
use sitewright_model::time::now_ms;

use super::coalesced::{json_rows, over_json};
use super::database::Database;
use super::driver::{Row, args};
use super::error::Error;
use super::holds::{HoldId, HoldKind, probe_now};

/// Maximum number of breakers that are read.
const MAX_BREAKERS: i64 = 500;

/// Whose calls an open circuit breaker rejects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "of", rename_all = "snake_case")]
pub enum BreakerScope {
    /// Those of all orders.
    All,
    /// Those of the orders of one tenant.
    Tenant {
        /// Its label; null: of the orders without one.
        tenant: Option<String>,
    },
    /// Those of one order.
    Order {
        /// Its id.
        order: String,
        /// Its label; null if it has none.
        tenant: Option<String>,
    },
}

impl fmt::Display for BreakerScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BreakerScope::All => f.write_str("all orders"),
            BreakerScope::Tenant { tenant: Some(tenant) } => {
                write!(f, "the orders of the tenant `{tenant}`")
            }
            BreakerScope::Tenant { tenant: None } => f.write_str("the orders without a tenant"),
            BreakerScope::Order { order, tenant: Some(tenant) } => {
                write!(f, "the order `{order}` of the tenant `{tenant}`")
            }
            BreakerScope::Order { order, tenant: None } => write!(f, "the order `{order}`"),
        }
    }
}

/// A circuit breaker that is open in this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewBreaker {
    /// Name of the provider in the configuration.
    pub provider: String,
    /// `None` if the address of the provider cannot be reached, whatever the model.
    pub model: Option<String>,
    /// The routes that have it as a candidate.
    pub routes: Vec<String>,
    /// Calls that failed in a row.
    pub failures: u32,
    /// The kind of the last failure, as in failure records: `overloaded`.
    pub kind: &'static str,
    /// The HTTP status of the last failure; `None` if there was no response.
    pub status: Option<u16>,
    /// When the next call is let through, in milliseconds since the Unix epoch; `None` if the next
    /// one that comes is.
    pub next_probe_at: Option<i64>,
    /// Whose calls it rejects.
    pub scope: BreakerScope,
}

/// A circuit breaker that is open in a worker: calls are not sent until one is let through and
/// succeeds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Breaker {
    /// The worker's id in the queue.
    pub worker: String,
    /// The worker's machine.
    pub host: String,
    /// Name of the provider in the configuration.
    pub provider: String,
    /// Null if the address of the provider cannot be reached, whatever the model.
    pub model: Option<String>,
    /// The routes that have it as a candidate.
    pub routes: Vec<String>,
    /// Calls that failed in a row.
    pub failures: i64,
    /// The kind of the last failure, as in failure records: `overloaded`.
    pub kind: String,
    /// The HTTP status of the last failure; null if there was no response.
    pub status: Option<i64>,
    /// Since when the worker has it open, in milliseconds since the Unix epoch, to a second or two.
    pub since: i64,
    /// When the next call is let through, in milliseconds since the Unix epoch; null if the next one
    /// that comes is.
    pub next_probe_at: Option<i64>,
    /// Whose calls it rejects; null if that is unknown, because a worker of another version has
    /// stored it.
    pub scope: Option<BreakerScope>,
}

impl Breaker {
    fn read(row: &Row) -> Result<Self, sqlx::Error> {
        let routes = row.text("routes")?;
        Ok(Breaker {
            worker: row.text("worker")?,
            host: row.text("host")?,
            provider: row.text("provider")?,
            model: Some(row.text("model")?).filter(|model| !model.is_empty()),
            routes: serde_json::from_str(&routes).unwrap_or_default(),
            failures: row.int("failures")?,
            kind: row.text("kind")?,
            status: row.opt_int("status")?,
            since: row.int("since")?,
            next_probe_at: row.opt_int("next_probe_at")?,
            scope: scope_of(row)?,
        })
    }
}

/// Whose calls the breaker of a row rejects; `None` if that is unknown.
fn scope_of(row: &Row) -> Result<Option<BreakerScope>, sqlx::Error> {
    let Some(scope) = row.opt_text("scope")? else { return Ok(None) };
    let (worker, provider, model) =
        (row.text("worker")?, row.text("provider")?, row.text("model")?);
    match serde_json::from_str(&scope) {
        Ok(scope) => Ok(Some(scope)),
        // The other columns are right, and a page without this breaker would hide an outage.
        Err(error) => {
            tracing::warn!(
                worker,
                provider,
                model,
                scope,
                %error,
                "whose calls an open circuit breaker rejects is not known here: the worker stored \
                 a `scope` in `sitewright_breakers` that this version cannot read; use the same \
                 version of Sitewright for this process and that worker"
            );
            Ok(None)
        }
    }
}

impl Database {
    /// Stores which circuit breakers of a worker are open, in place of those that it had. `worker`
    /// is its id in the queue. Removes those of workers that have ended.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn publish_breakers(&self, worker: &str, open: Vec<NewBreaker>) -> Result<(), Error> {
        let shared = Arc::new((worker.to_owned(), open));
        self.write("storing which circuit breakers are open", move |tx| {
            let shared = shared.clone();
            Box::pin(async move {
                let (worker, open) = &*shared;
                let now = now_ms();
                // What was asked for meanwhile is not lost: the worker reads it next time.
                let own = "DELETE FROM sitewright_breakers WHERE worker = $1
                     RETURNING provider, model, since, release_requested_at";
                let mut before = BTreeMap::new();
                for row in &tx.all(own, args![worker]).await? {
                    let of = (row.text("provider")?, row.text("model")?);
                    before.insert(of, (row.int("since")?, row.opt_int("release_requested_at")?));
                }
                let of_ended = "DELETE FROM sitewright_breakers
                     WHERE worker NOT IN (SELECT client_id FROM sitewright_workers)";
                tx.execute(of_ended, vec![]).await?;
                let rows = open.iter().map(|one| {
                    let of = (one.provider.clone(), one.model.clone().unwrap_or_default());
                    let (since, requested) = before.get(&of).copied().unwrap_or((now, None));
                    let (provider, model) = of;
                    vec![
                        json!(worker),
                        json!(provider),
                        json!(model),
                        json!(json!(one.routes).to_string()),
                        json!(one.failures),
                        json!(one.kind),
                        json!(one.status),
                        json!(since),
                        json!(one.next_probe_at),
                        json!(requested),
                        json!(json!(one.scope).to_string()),
                    ]
                });
                let list = json_rows(rows);
                let sql = over_json!(
                    tx,
                    "INSERT INTO sitewright_breakers
                        (worker, provider, model, routes, failures, kind, status, since,
                        next_probe_at, release_requested_at, scope)
                     SELECT t.value ->> 0, t.value ->> 1, t.value ->> 2, t.value ->> 3,
                        CAST(t.value ->> 4 AS BIGINT), t.value ->> 5,
                        CAST(t.value ->> 6 AS BIGINT), CAST(t.value ->> 7 AS BIGINT),
                        CAST(t.value ->> 8 AS BIGINT), CAST(t.value ->> 9 AS BIGINT),
                        t.value ->> 10 FROM ",
                    ""
                );
                tx.execute(sql, args![&list]).await.map(drop)
            })
        })
        .await
    }

    /// Asks the workers in which circuit breakers of a provider are open to let the next call
    /// through, of each of its models, and lets the next probe of the holds of their routes go at
    /// once. The number of breakers that were open.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn release_breakers(&self, provider: &str) -> Result<u64, Error> {
        let provider = provider.to_owned();
        self.write("releasing the circuit breakers of a provider", move |tx| {
            let provider = provider.clone();
            Box::pin(async move {
                let now = now_ms();
                let sql = "UPDATE sitewright_breakers SET release_requested_at = $2
                     WHERE provider = $1
                        AND worker IN (SELECT client_id FROM sitewright_workers)
                     RETURNING routes";
                let released = tx.all(sql, args![&provider, now]).await?;
                let mut routes = BTreeSet::new();
                for row in &released {
                    let of_one: Vec<String> =
                        serde_json::from_str(&row.text("routes")?).unwrap_or_default();
                    routes.extend(of_one);
                }
                for name in routes {
                    let route = HoldId::new(HoldKind::Route, name);
                    probe_now(tx, &route, now).await?;
                }
                Ok(u64::try_from(released.len()).unwrap_or(u64::MAX))
            })
        })
        .await
    }

    /// Claims what was asked for of this worker: the providers whose circuit breakers it is to
    /// release, each once.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn claim_breaker_releases(&self, worker: &str) -> Result<BTreeSet<String>, Error> {
        let sql = "SELECT provider FROM sitewright_breakers
             WHERE worker = $1 AND release_requested_at IS NOT NULL LIMIT 1";
        let doing = "reading which circuit breakers are to be released";
        if self.read(doing, sql, args![worker]).await?.is_empty() {
            return Ok(BTreeSet::new());
        }
        let worker = worker.to_owned();
        self.write("claiming which circuit breakers are to be released", move |tx| {
            let worker = worker.clone();
            Box::pin(async move {
                let sql = "UPDATE sitewright_breakers SET release_requested_at = NULL
                     WHERE worker = $1 AND release_requested_at IS NOT NULL RETURNING provider";
                let rows = tx.all(sql, args![&worker]).await?;
                rows.iter().map(|row| row.text("provider")).collect()
            })
        })
        .await
    }

    /// The circuit breakers that are open in workers, by provider and model; at most 500. They are
    /// stored with a delay of a second or two.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn breakers(&self) -> Result<Vec<Breaker>, Error> {
        let doing = "reading which circuit breakers are open";
        let sql = "SELECT b.worker AS worker, w.host AS host, b.provider AS provider,
                b.model AS model, b.routes AS routes, b.failures AS failures, b.kind AS kind,
                b.status AS status, b.since AS since, b.next_probe_at AS next_probe_at,
                b.scope AS scope
             FROM sitewright_breakers b JOIN sitewright_workers w ON w.client_id = b.worker
             ORDER BY b.provider, b.model, w.host, b.worker LIMIT $1";
        let rows = self.read(doing, sql, args![MAX_BREAKERS]).await?;
        let breakers = rows.iter().map(Breaker::read).collect::<Result<_, _>>();
        breakers.map_err(|error| Error::database(doing, error))
    }
}
