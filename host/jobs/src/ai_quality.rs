//! How long AI calls take, and how attempts at them fail.
//!
//! Durations are in the rows of the replies. Failed attempts are counted in memory and added up by
//! hour, provider, model and kind: a provider that is down for an hour makes some rows, not one for
//! each attempt.

use serde::Serialize;
use serde_json::json;
use sitewright_model::time::now_ms;

use super::coalesced::{json_rows, over_json};
use super::database::Database;
use super::driver::{Row, args};
use super::error::Error;

const HOUR_MS: i64 = 3_600_000;
/// How long counts of failed attempts are kept: 366 days, as far back as costs are added up.
const ERRORS_KEPT_MS: i64 = 366 * 24 * HOUR_MS;
/// Replies that percentiles are computed of: sorting all replies of a busy month would take long.
const NEWEST_REPLIES: i64 = 20_000;
/// Maximum number of models; those with the most replies are read.
const MAX_MODELS: i64 = 50;
/// Maximum number of errors that are read, the most frequent first.
const MAX_ERRORS: i64 = 100;

/// How long the replies of a model took, from the request to the whole reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct AiLatency {
    pub provider: String,
    pub model: String,
    /// The number of replies that this is computed of: the newest 20,000 of all models count.
    pub replies: i64,
    /// Milliseconds that half of the replies did not exceed.
    pub p50_ms: i64,
    /// Milliseconds that 95 % of the replies did not exceed.
    pub p95_ms: i64,
    /// Milliseconds that 99 % of the replies did not exceed.
    pub p99_ms: i64,
}

/// AI replies that orders got from others, by the cache of a route.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct CacheHits {
    pub replies: i64,
    /// Billionths of a US dollar that the orders have paid for them which asked first, as far as
    /// prices are known.
    pub saved_nano_usd: i64,
}

/// Attempts at AI calls that failed alike. A call that succeeded in the end may have several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct AiErrorCount {
    pub provider: String,
    /// The requested model.
    pub model: String,
    /// The kind of the error, as in failure records: `rate_limited`.
    pub kind: String,
    pub failures: i64,
}

impl Database {
    /// How long the replies from `since` to before `until` (milliseconds since the Unix epoch)
    /// took, by provider and model, those with the most replies first. Replies of batches and of
    /// other orders do not count. With a tenant, only of its orders.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn ai_latencies(
        &self,
        since: i64,
        until: i64,
        tenant: Option<&str>,
    ) -> Result<Vec<AiLatency>, Error> {
        let doing = "reading how long AI calls took";
        // The percentile is the smallest value that is not exceeded by that share of the values.
        let sql = "WITH newest AS (
                SELECT provider, model, took_ms FROM sitewright_ai_calls
                WHERE created_at >= $1 AND created_at < $2 AND took_ms IS NOT NULL
                    AND ($3 IS NULL OR order_id IN (SELECT id FROM sitewright_orders
                        WHERE tenant = $3))
                ORDER BY created_at DESC LIMIT $4),
            ranked AS (
                SELECT provider, model, took_ms,
                    row_number() OVER (PARTITION BY provider, model ORDER BY took_ms) AS place,
                    count(*) OVER (PARTITION BY provider, model) AS replies
                FROM newest)
            SELECT provider, model, max(replies) AS replies,
                max(CASE WHEN place = (replies * 50 + 99) / 100 THEN took_ms END) AS p50,
                max(CASE WHEN place = (replies * 95 + 99) / 100 THEN took_ms END) AS p95,
                max(CASE WHEN place = (replies * 99 + 99) / 100 THEN took_ms END) AS p99
            FROM ranked GROUP BY provider, model
            ORDER BY max(replies) DESC, provider, model LIMIT $5";
        let values = args![since, until, tenant, NEWEST_REPLIES, MAX_MODELS];
        let rows = self.read(doing, sql, values).await?;
        let latency = |row: &Row| -> Result<AiLatency, sqlx::Error> {
            Ok(AiLatency {
                provider: row.text("provider")?,
                model: row.text("model")?,
                replies: row.int("replies")?,
                p50_ms: row.int("p50")?,
                p95_ms: row.int("p95")?,
                p99_ms: row.int("p99")?,
            })
        };
        let latencies = rows.iter().map(latency).collect::<Result<_, _>>();
        latencies.map_err(|error| Error::database(doing, error))
    }

    /// The replies from `since` to before `until` (milliseconds since the Unix epoch) that orders got
    /// from others at no cost, in place of asking a model. With a tenant, only of its orders. A
    /// price that no reply can have counts as 2^40 billionths.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn cache_hits(
        &self,
        since: i64,
        until: i64,
        tenant: Option<&str>,
    ) -> Result<CacheHits, Error> {
        let doing = "counting AI replies from the cache";
        let sql = "SELECT count(*) AS replies,
                CAST(coalesce(sum(CASE WHEN saved_nano_usd > 1099511627776
                    THEN 1099511627776 ELSE saved_nano_usd END), 0) AS BIGINT) AS saved
             FROM sitewright_ai_calls
             WHERE created_at >= $1 AND created_at < $2 AND cached = 1
                AND ($3 IS NULL OR order_id IN (SELECT id FROM sitewright_orders
                    WHERE tenant = $3))";
        let rows = self.read(doing, sql, args![since, until, tenant]).await?;
        let hits = |row: &Row| -> Result<CacheHits, sqlx::Error> {
            Ok(CacheHits { replies: row.int("replies")?, saved_nano_usd: row.int("saved")? })
        };
        let hits = rows.first().map(hits).transpose();
        Ok(hits.map_err(|error| Error::database(doing, error))?.unwrap_or_default())
    }

    /// Attempts at AI calls that failed, from the beginning of the hour of `since` to before
    /// `until` (milliseconds since the Unix epoch), the most frequent first; at most 100. Workers
    /// store them with a delay of seconds. It is not known of which orders they were.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn ai_errors(&self, since: i64, until: i64) -> Result<Vec<AiErrorCount>, Error> {
        let doing = "reading which AI calls failed";
        let sql = "SELECT provider, model, kind, CAST(sum(failures) AS BIGINT) AS failed
             FROM sitewright_ai_errors WHERE hour >= $1 AND hour < $2
             GROUP BY provider, model, kind ORDER BY failed DESC, provider, model, kind LIMIT $3";
        let rows = self.read(doing, sql, args![hour_of(since), until, MAX_ERRORS]).await?;
        let error = |row: &Row| -> Result<AiErrorCount, sqlx::Error> {
            Ok(AiErrorCount {
                provider: row.text("provider")?,
                model: row.text("model")?,
                kind: row.text("kind")?,
                failures: row.int("failed")?,
            })
        };
        let errors = rows.iter().map(error).collect::<Result<_, _>>();
        errors.map_err(|error| Error::database(doing, error))
    }

    /// Adds the failed attempts that this process has counted since the last time, and removes what
    /// is older than 366 days.
    ///
    /// # Errors
    /// If the database fails; then they are added the next time. If only its answer was lost, they
    /// count twice.
    pub async fn store_ai_errors(&self) -> Result<(), Error> {
        let unstored = self.ai_counts().take_unstored();
        if unstored.is_empty() {
            return Ok(());
        }
        let rows = unstored.iter().map(|((provider, model, kind), count)| {
            vec![json!(provider), json!(model), json!(kind), json!(count)]
        });
        let (list, hour) = (json_rows(rows), hour_of(now_ms()));
        let stored = self.write("counting AI calls that failed", move |tx| {
            let list = list.clone();
            Box::pin(async move {
                // `WHERE true`: SQLite would take `ON CONFLICT` for a join otherwise.
                let sql = over_json!(
                    tx,
                    "INSERT INTO sitewright_ai_errors (hour, provider, model, kind, failures)
                     SELECT CAST($2 AS BIGINT), t.value ->> 0, t.value ->> 1, t.value ->> 2,
                        CAST(t.value ->> 3 AS BIGINT) FROM ",
                    " WHERE true ON CONFLICT (hour, provider, model, kind) DO UPDATE
                     SET failures = sitewright_ai_errors.failures + excluded.failures"
                );
                tx.execute(sql, args![&list, hour]).await?;
                let old = "DELETE FROM sitewright_ai_errors WHERE hour < $1";
                tx.execute(old, args![hour.saturating_sub(ERRORS_KEPT_MS)]).await.map(drop)
            })
        });
        let stored = stored.await;
        if stored.is_err() {
            self.ai_counts().add_unstored(unstored);
        }
        stored
    }
}

/// When the hour of a time began.
fn hour_of(at: i64) -> i64 {
    at.div_euclid(HOUR_MS).saturating_mul(HOUR_MS)
}
