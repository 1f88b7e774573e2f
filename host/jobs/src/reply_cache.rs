//! AI replies that answer equal requests of several orders.
//!
//! An entry belongs to the order that paid for it. It goes when that order goes, or any other order
//! that made the same request: a reply may have the words of its customer.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value as Json;
use sitewright_model::time::{millis, now_ms};

use super::coalesced::over_json;
use super::database::Database;
use super::driver::{Tx, args};
use super::error::Error;

/// Maximum number of replies; the oldest go first.
pub const MAX_CACHED_REPLIES: u32 = 10_000;

/// Maximum size of all replies together, in bytes: 64 MiB. The oldest go first.
pub const MAX_CACHED_BYTES: u64 = 64 << 20;

/// Maximum size of one reply in bytes: 256 KiB. A larger one is not kept.
pub const MAX_CACHED_REPLY_BYTES: usize = 256 << 10;

/// A reply that other orders may get.
#[derive(Debug, Clone, PartialEq)]
pub struct NewCachedReply {
    /// Digest of everything that the reply depends on.
    pub key: String,
    /// SHA-256 of the request, hexadecimal, as in [`NewAiCall`](super::NewAiCall).
    pub request: String,
    /// The number of identical requests before it in the same run.
    pub occurrence: u32,
    /// The gateway's journal entry.
    pub entry: Json,
    pub keep: Duration,
}

impl Database {
    /// The entry of a cached reply that has not expired.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn cached_reply(&self, key: &str) -> Result<Option<Json>, Error> {
        let doing = "looking for a cached AI reply";
        let sql = "SELECT entry FROM sitewright_cached_replies
             WHERE key = $1 AND expires_at > $2";
        let rows = self.read(doing, sql, args![key, now_ms()]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let entry = row.text("entry").map_err(|error| Error::database(doing, error))?;
        let wrong = |error| Error::Row {
            table: "sitewright_cached_replies",
            why: format!("`entry`: {error}"),
        };
        serde_json::from_str(&entry).map(Some).map_err(wrong)
    }

    /// Keeps a reply of this order for others, in place of an earlier one. `false` if it is not
    /// kept: it is too large, or the order is gone. At most [`MAX_CACHED_REPLIES`] of
    /// [`MAX_CACHED_BYTES`] are kept.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn cache_reply(&self, order: &str, reply: NewCachedReply) -> Result<bool, Error> {
        let entry = reply.entry.to_string();
        if entry.len() > MAX_CACHED_REPLY_BYTES {
            return Ok(false);
        }
        let shared = Arc::new((order.to_owned(), reply, entry));
        self.write(format!("caching an AI reply of order {order:?}"), move |tx| {
            let shared = shared.clone();
            Box::pin(async move {
                let (order, reply, entry) = &*shared;
                let now = now_ms();
                let keep = i64::try_from(millis(reply.keep)).unwrap_or(i64::MAX);
                let sql = "INSERT INTO sitewright_cached_replies (key, request, occurrence, \
                           order_id, entry, bytes, created_at, expires_at)
                     SELECT CAST($1 AS TEXT), CAST($2 AS TEXT), CAST($3 AS BIGINT), o.id,
                        CAST($5 AS TEXT), CAST($6 AS BIGINT), CAST($7 AS BIGINT),
                        CAST($8 AS BIGINT)
                     FROM sitewright_orders o
                     WHERE o.id = $4
                     ON CONFLICT (key) DO UPDATE SET order_id = excluded.order_id,
                        entry = excluded.entry, bytes = excluded.bytes,
                        created_at = excluded.created_at, expires_at = excluded.expires_at";
                let bytes = i64::try_from(entry.len()).unwrap_or(i64::MAX);
                let values = args![
                    &reply.key,
                    &reply.request,
                    i64::from(reply.occurrence),
                    order,
                    entry,
                    bytes,
                    now,
                    now.saturating_add(keep)
                ];
                let kept = tx.execute(sql, values).await? == 1;
                remove_surplus(tx).await?;
                Ok(kept)
            })
        })
        .await
    }

    /// Removes up to `limit` cached replies that have expired; with `dry_run` it counts all of them.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn expire_cached_replies(&self, limit: u32, dry_run: bool) -> Result<u64, Error> {
        let doing = "removing cached AI replies that have expired";
        self.write(doing, move |tx| {
            Box::pin(async move {
                if dry_run {
                    let sql = "SELECT count(*) AS found FROM sitewright_cached_replies
                         WHERE expires_at <= $1";
                    let row = tx.optional(sql, args![now_ms()]).await?;
                    let found = row.map_or(Ok(0), |row| row.int("found"))?;
                    return Ok(u64::try_from(found).unwrap_or_default());
                }
                let sql = "DELETE FROM sitewright_cached_replies WHERE key IN (
                        SELECT key FROM sitewright_cached_replies WHERE expires_at <= $1
                        ORDER BY expires_at LIMIT $2)";
                tx.execute(sql, args![now_ms(), i64::from(limit)]).await
            })
        })
        .await
    }
}

/// Removes the oldest entries beyond the limits.
async fn remove_surplus(tx: &mut Tx) -> Result<(), sqlx::Error> {
    let all = "SELECT count(*) AS entries, CAST(coalesce(sum(bytes), 0) AS BIGINT) AS bytes
         FROM sitewright_cached_replies";
    let (most, most_bytes) = (i64::from(MAX_CACHED_REPLIES), i64::try_from(MAX_CACHED_BYTES));
    let most_bytes = most_bytes.unwrap_or(i64::MAX);
    let Some(row) = tx.optional(all, vec![]).await? else { return Ok(()) };
    if row.int("entries")? <= most && row.int("bytes")? <= most_bytes {
        return Ok(());
    }
    let surplus = "DELETE FROM sitewright_cached_replies WHERE key IN (
            SELECT t.key FROM (
                SELECT key, row_number() OVER w AS nth,
                    CAST(sum(bytes) OVER w AS BIGINT) AS held
                FROM sitewright_cached_replies
                WINDOW w AS (ORDER BY created_at DESC, key ROWS UNBOUNDED PRECEDING)) AS t
            WHERE t.nth > $1 OR t.held > $2)";
    tx.execute(surplus, args![most, most_bytes]).await.map(drop)
}

/// Removes the replies that these orders paid for or got, before their calls are removed. `list` is
/// one of [`json_rows`](super::coalesced::json_rows) of their ids.
pub(super) async fn remove_of_orders(tx: &mut Tx, list: &str) -> Result<u64, sqlx::Error> {
    let paid = over_json!(
        tx,
        "DELETE FROM sitewright_cached_replies WHERE order_id IN (SELECT t.value ->> 0 FROM ",
        ")"
    );
    let got = over_json!(
        tx,
        "DELETE FROM sitewright_cached_replies WHERE request IN (
            SELECT c.request FROM ",
        " JOIN sitewright_ai_calls c ON c.order_id = t.value ->> 0)"
    );
    Ok(tx.execute(paid, args![list]).await? + tx.execute(got, args![list]).await?)
}

/// Removes the replies to these calls of an order, which it has found to be no good; all of its
/// calls if `calls` is `None`. Before they are marked.
pub(super) async fn remove_blamed(
    tx: &mut Tx,
    order: &str,
    calls: Option<&[(String, u32)]>,
) -> Result<(), sqlx::Error> {
    let Some(calls) = calls else {
        let sql = "DELETE FROM sitewright_cached_replies WHERE request IN (
                SELECT request FROM sitewright_ai_calls WHERE order_id = $1 AND current = 1)";
        return tx.execute(sql, args![order]).await.map(drop);
    };
    for (request, occurrence) in calls {
        let sql = "DELETE FROM sitewright_cached_replies WHERE request = $1 AND occurrence = $2";
        tx.execute(sql, args![request, i64::from(*occurrence)]).await?;
    }
    Ok(())
}
