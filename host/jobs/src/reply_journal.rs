//! The reply journal: AI replies that were paid for, read by retries and summed up as cost.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::ai_counts::ReplyUse;
use super::coalesced::{Coalesced, json_rows, over_json};
use super::database::Database;
use super::driver::{Row, Tx, args};
use super::error::Error;
use super::reply_cache;
use sitewright_model::ai::{Attempt, AttemptOutcome, Usd};
use sitewright_model::text::one_line;
use sitewright_model::time::now_ms;

/// One AI reply, with the request it answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewAiCall {
    /// SHA-256 of the request, hexadecimal.
    pub request: String,
    /// The number of identical requests before it in the same run.
    pub occurrence: u32,
    pub purpose: String,
    pub provider: String,
    pub model: String,
    /// Billionths of a US dollar; `None` if the price is not known.
    pub cost_nano_usd: Option<u64>,
    pub input_tokens: Option<u64>,
    pub output_tokens: Option<u64>,
    /// Milliseconds from the request to the whole reply. `None` if no provider was asked just for
    /// this reply: it came from a batch, or from another order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<u64>,
    /// All attempts of the call, the last of which succeeded; of a reply that no call could use,
    /// the attempt that got it. Empty if the first one succeeded, or if no provider was asked just
    /// for this reply.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tries: Vec<AiTry>,
    /// The gateway's journal entry: content, finish reason, raw reply and so on.
    pub entry: Json,
}

/// Maximum length of the message of a try, in characters.
const MAX_MESSAGE: usize = 500;

/// One attempt at an AI call that succeeded in the end, or the one that got an unusable reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AiTry {
    /// Name of the provider in the configuration.
    pub provider: String,
    /// The requested model.
    pub model: String,
    /// When it began, in milliseconds since the Unix epoch.
    pub started_at: i64,
    /// Milliseconds that it took.
    pub took_ms: i64,
    /// The HTTP status; null if there was no response.
    pub status: Option<i64>,
    /// `succeeded`, or the kind of its error, as in failure records: `rate_limited`.
    #[schemars(with = "String")]
    pub outcome: AttemptOutcome,
    /// Whether a request was sent. If not, the circuit breaker was open, a limit had no room in
    /// time, or no connection could be made.
    pub sent: bool,
    /// What went wrong, in one line of at most 500 characters; null if it succeeded.
    pub message: Option<String>,
}

impl From<&Attempt> for AiTry {
    fn from(attempt: &Attempt) -> Self {
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let line = |text: &str| one_line(text).chars().take(MAX_MESSAGE).collect::<String>();
        AiTry {
            provider: attempt.provider.clone(),
            model: attempt.model.clone(),
            started_at: number(attempt.started_ms),
            took_ms: number(attempt.duration_ms),
            status: attempt.status.map(i64::from),
            outcome: attempt.outcome,
            sent: !attempt.not_sent,
            message: attempt.message.as_ref().map(|message| line(message.as_str())),
        }
    }
}

impl NewAiCall {
    /// Whether another order has paid for it.
    fn is_cached(&self) -> bool {
        self.entry["cached"] == true
    }

    /// What another order has paid for it, in billionths of a US dollar, as far as it is known.
    fn saved(&self) -> Option<i64> {
        let cost = Usd::deserialize(&self.entry["cost_usd"]).ok().filter(|_| self.is_cached())?;
        stored(Some(cost.nanos()))
    }

    /// The tries as a JSON text; `None` if there are none.
    fn tries_text(&self) -> Option<String> {
        (!self.tries.is_empty()).then(|| json!(self.tries).to_string())
    }
}

/// The tries of a row. What cannot be read is left out: they are for people only.
fn tries_of(row: &Row) -> Result<Vec<AiTry>, sqlx::Error> {
    let text = row.opt_text("tries")?;
    let tries = text.and_then(|text| serde_json::from_str(&text).ok());
    Ok(tries.unwrap_or_default())
}

/// A reply's row.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AiCall {
    /// The attempt that paid for it.
    pub attempt: Option<String>,
    /// Whether later attempts reuse it. `false` if it was blamed for a failure, or if another reply
    /// to the same request was stored first.
    pub current: bool,
    /// When it was blamed for a failure, in milliseconds since the Unix epoch.
    pub asked_again_at: Option<i64>,
    /// Milliseconds since the Unix epoch.
    pub at: i64,
    /// Whether another order has paid for it, and it came from the cache at no cost.
    pub cached: bool,
    #[serde(flatten)]
    pub call: NewAiCall,
}

/// An AI reply without its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct AiCallBrief {
    /// The attempt that paid for it; `None` for the answer of a batch that no attempt has read.
    pub attempt: Option<String>,
    pub purpose: String,
    pub provider: String,
    pub model: String,
    /// Whether later attempts reuse it.
    pub current: bool,
    /// Milliseconds since the Unix epoch.
    pub at: i64,
    /// Billionths of a US dollar; `None` if the price is not known.
    pub cost_nano_usd: Option<i64>,
    pub input_tokens: Option<i64>,
    pub output_tokens: Option<i64>,
    /// Milliseconds from the request to the whole reply, or to the end of the attempt that got a
    /// reply that no call could use; `None` if it came from a batch, or from another order.
    pub took_ms: Option<i64>,
    /// Whether another order has paid for it, and it came from the cache at no cost.
    pub cached: bool,
    /// Billionths of a US dollar that the other order has paid for it; null if it does not come
    /// from the cache, or the price is not known.
    pub saved_nano_usd: Option<i64>,
    /// All attempts of the call, the last of which succeeded; empty if the first one did. Of a
    /// reply that was paid for and that no call could use, the attempt that got it.
    pub tries: Vec<AiTry>,
}

/// The total of an order's AI replies over all attempts, those that are not reused included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Cost {
    pub calls: i64,
    /// Billionths of a US dollar, as far as prices are known.
    pub nano_usd: i64,
    pub input_tokens: i64,
    pub output_tokens: i64,
}

fn stored(number: Option<u64>) -> Option<i64> {
    number.map(|number| i64::try_from(number).unwrap_or(i64::MAX))
}

fn loaded(number: Option<i64>) -> Option<u64> {
    number.and_then(|number| u64::try_from(number).ok())
}

/// What [`AiCall::read`] reads. Not `*`: PostgreSQL refuses such a statement on connections that
/// have prepared it before a newer program adds a column, and the running workers would pay again
/// for replies that they cannot look up.
macro_rules! select_calls {
    ($rest:literal) => {
        concat!(
            "SELECT attempt_id, request, occurrence, current, asked_again_at, purpose, provider,
                model, cost_nano_usd, input_tokens, output_tokens, took_ms, tries, cached, entry,
                created_at
             FROM sitewright_ai_calls ",
            $rest
        )
    };
}

impl AiCall {
    fn read(row: &Row) -> Result<Self, Error> {
        let fields = || -> Result<(AiCall, String), sqlx::Error> {
            let call = NewAiCall {
                request: row.text("request")?,
                occurrence: u32::try_from(row.int("occurrence")?).unwrap_or_default(),
                purpose: row.text("purpose")?,
                provider: row.text("provider")?,
                model: row.text("model")?,
                cost_nano_usd: loaded(row.opt_int("cost_nano_usd")?),
                input_tokens: loaded(row.opt_int("input_tokens")?),
                output_tokens: loaded(row.opt_int("output_tokens")?),
                took_ms: loaded(row.opt_int("took_ms")?),
                tries: tries_of(row)?,
                entry: Json::Null,
            };
            let read = AiCall {
                attempt: row.opt_text("attempt_id")?,
                current: row.int("current")? == 1,
                asked_again_at: row.opt_int("asked_again_at")?,
                at: row.int("created_at")?,
                cached: row.opt_int("cached")? == Some(1),
                call,
            };
            Ok((read, row.text("entry")?))
        };
        let wrong = |why: String| Error::Row { table: "sitewright_ai_calls", why };
        let (mut read, entry) = fields().map_err(|error| wrong(error.to_string()))?;
        read.call.entry =
            serde_json::from_str(&entry).map_err(|error| wrong(format!("`entry`: {error}")))?;
        // Rows of before schema version 24 say it there only.
        read.cached |= read.call.is_cached();
        Ok(read)
    }
}

/// A reply to be stored.
#[derive(Clone)]
struct StoreReply {
    order: String,
    attempt: String,
    call: Arc<NewAiCall>,
}

#[async_trait]
impl Coalesced for StoreReply {
    /// Whether the reply is current.
    type Answer = bool;

    async fn many(tx: &mut Tx, writes: &[Self]) -> Result<Vec<Option<bool>>, sqlx::Error> {
        let list = json_rows(writes.iter().map(|StoreReply { order, attempt, call }| {
            vec![
                json!(order),
                json!(attempt),
                json!(call.request),
                json!(call.occurrence),
                json!(call.purpose),
                json!(call.provider),
                json!(call.model),
                json!(stored(call.cost_nano_usd)),
                json!(stored(call.input_tokens)),
                json!(stored(call.output_tokens)),
                json!(call.entry.to_string()),
                json!(stored(call.took_ms)),
                json!(call.tries_text()),
                json!(call.is_cached().then_some(1)),
                json!(call.saved()),
            ]
        }));
        // `WHERE true`: SQLite would take `ON CONFLICT` for a join otherwise.
        let sql = over_json!(
            tx,
            "INSERT INTO sitewright_ai_calls (order_id, attempt_id, request, occurrence, current, \
             purpose, provider, model,
                cost_nano_usd, input_tokens, output_tokens, entry, created_at, took_ms, tries, \
             cached, saved_nano_usd)
             SELECT t.value ->> 0, t.value ->> 1, t.value ->> 2, CAST(t.value ->> 3 AS BIGINT), 1, \
             t.value ->> 4, t.value ->> 5,
                t.value ->> 6, CAST(t.value ->> 7 AS BIGINT), CAST(t.value ->> 8 AS BIGINT), \
             CAST(t.value ->> 9 AS BIGINT),
                t.value ->> 10, CAST($2 AS BIGINT), CAST(t.value ->> 11 AS BIGINT), \
             t.value ->> 12, CAST(t.value ->> 13 AS BIGINT), CAST(t.value ->> 14 AS BIGINT)
             FROM ",
            " WHERE true ON CONFLICT (order_id, request, occurrence) WHERE current = 1 DO NOTHING
             RETURNING order_id, attempt_id, request, occurrence"
        );
        let mut counts = HashSet::with_capacity(writes.len());
        for row in tx.all(sql, args![&list, now_ms()]).await? {
            let attempt = row.opt_text("attempt_id")?.unwrap_or_default();
            counts.insert((
                row.text("order_id")?,
                attempt,
                row.text("request")?,
                row.int("occurrence")?,
            ));
        }
        let mut first = |StoreReply { order, attempt, call }: &StoreReply| {
            // Of a duplicate only the first is current.
            let key =
                (order.clone(), attempt.clone(), call.request.clone(), i64::from(call.occurrence));
            counts.remove(&key).then_some(true)
        };
        Ok(writes.iter().map(&mut first).collect())
    }

    async fn one(&self, tx: &mut Tx) -> Result<bool, sqlx::Error> {
        let StoreReply { order, attempt, call } = self;
        let values = |current: i64| {
            args![
                order,
                attempt,
                &call.request,
                i64::from(call.occurrence),
                current,
                &call.purpose,
                &call.provider,
                &call.model,
                stored(call.cost_nano_usd),
                stored(call.input_tokens),
                stored(call.output_tokens),
                &call.entry.to_string(),
                now_ms(),
                stored(call.took_ms),
                call.tries_text().as_deref(),
                call.is_cached().then_some(1_i64),
                call.saved()
            ]
        };
        let insert = "INSERT INTO sitewright_ai_calls (order_id, attempt_id, request, occurrence, \
                      current, purpose, provider,
                model, cost_nano_usd, input_tokens, output_tokens, entry, created_at, took_ms, \
                      tries, cached, saved_nano_usd)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
             ON CONFLICT (order_id, request, occurrence) WHERE current = 1 DO NOTHING";
        let counts = tx.execute(insert, values(1)).await? == 1;
        if !counts {
            // The answer to storing it was lost with a connection: it is there, and paid for once.
            let same = "SELECT attempt_id FROM sitewright_ai_calls
                 WHERE order_id = $1 AND request = $2 AND occurrence = $3 AND attempt_id = $4
                     AND entry = $5";
            let entry = call.entry.to_string();
            let key = args![order, &call.request, i64::from(call.occurrence), attempt, &entry];
            if tx.all(same, key).await?.is_empty() {
                tx.execute(insert, values(0)).await?;
            }
        }
        Ok(counts)
    }
}

impl Database {
    /// The current reply to a request, which an earlier attempt paid for.
    ///
    /// # Errors
    /// If the database fails, which is not the same as no reply (failure catalogue B4).
    pub async fn reply(
        &self,
        order: &str,
        request: &str,
        occurrence: u32,
    ) -> Result<Option<AiCall>, Error> {
        let sql = select_calls!(
            "WHERE order_id = $1 AND request = $2 AND occurrence = $3 AND current = 1"
        );
        let rows =
            self.read("looking up an AI reply", sql, args![order, request, i64::from(occurrence)]);
        rows.await?.first().map(AiCall::read).transpose()
    }

    /// Stores a reply durably. `true` if it is the current reply to its request: the first one is;
    /// a second one, from a worker that had lost its order, is stored for its cost only.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn keep_reply(
        &self,
        order: &str,
        attempt: &str,
        call: NewAiCall,
    ) -> Result<bool, Error> {
        let call = Arc::new(call);
        let kept = StoreReply {
            order: order.to_owned(),
            attempt: attempt.to_owned(),
            call: Arc::clone(&call),
        };
        let doing = format!("storing an AI reply of order {order:?}");
        let is_current = self.write_coalesced(doing, kept).await?;
        self.ai_counts().add(&call, ReplyUse::Used);
        Ok(is_current)
    }

    /// Stores a reply that was paid for and cannot be used: it counts for the cost of the order,
    /// and no attempt finds it.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn keep_unusable(
        &self,
        order: &str,
        attempt: &str,
        call: NewAiCall,
    ) -> Result<(), Error> {
        let shared = Arc::new((order.to_owned(), attempt.to_owned(), call));
        let counted = Arc::clone(&shared);
        let doing = format!("storing the cost of an AI reply of order {order:?}");
        self.write(doing, move |tx| {
            let shared = shared.clone();
            Box::pin(async move {
                let (order, attempt, call) = &*shared;
                insert_unusable(tx, order, Some(attempt.as_str()), call).await
            })
        })
        .await?;
        self.ai_counts().add(&counted.2, ReplyUse::Unusable);
        Ok(())
    }

    /// Marks replies as not current that a template blamed for its failure, so that the next
    /// attempt makes these calls again, and removes them from the cache of all orders. `blamed` are
    /// pairs of request and occurrence; `None` means all replies. The number of replies.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn ask_again(
        &self,
        order: &str,
        blamed: Option<Vec<(String, u32)>>,
    ) -> Result<u64, Error> {
        let shared = Arc::new((order.to_owned(), blamed));
        self.write(format!("discarding blamed AI replies of order {order:?}"), move |tx| {
            let shared = shared.clone();
            Box::pin(async move {
                let (order, blamed) = &*shared;
                let now = now_ms();
                reply_cache::remove_blamed(tx, order, blamed.as_deref()).await?;
                let Some(blamed) = blamed else {
                    let all = "UPDATE sitewright_ai_calls SET current = 0, asked_again_at = $2 \
                               WHERE order_id = $1 AND current = 1";
                    return tx.execute(all, args![order, now]).await;
                };
                let mut discarded = 0;
                for (request, occurrence) in blamed {
                    let one = "UPDATE sitewright_ai_calls SET current = 0, asked_again_at = $4
                         WHERE order_id = $1 AND request = $2 AND occurrence = $3 AND current = 1";
                    discarded +=
                        tx.execute(one, args![order, request, i64::from(*occurrence), now]).await?;
                }
                Ok(discarded)
            })
        })
        .await
    }

    /// All replies of an order, the oldest first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn ai_calls(&self, order: &str) -> Result<Vec<AiCall>, Error> {
        let sql = select_calls!("WHERE order_id = $1 ORDER BY id");
        self.read("reading AI calls", sql, args![order]).await?.iter().map(AiCall::read).collect()
    }

    /// The first `limit` replies of an order without their content, the oldest first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn ai_calls_in_brief(
        &self,
        order: &str,
        limit: u32,
    ) -> Result<Vec<AiCallBrief>, Error> {
        let doing = "listing AI calls";
        let sql = "SELECT attempt_id, purpose, provider, model, current, created_at, cost_nano_usd,
                input_tokens, output_tokens, took_ms, cached, saved_nano_usd, tries
             FROM sitewright_ai_calls WHERE order_id = $1 ORDER BY id LIMIT $2";
        let rows = self.read(doing, sql, args![order, i64::from(limit)]).await?;
        let read = |row: &Row| {
            let tries = tries_of(row)?;
            // The column is for the times of good replies only.
            let failed = tries.last().filter(|last| last.outcome != AttemptOutcome::Succeeded);
            Ok(AiCallBrief {
                attempt: row.opt_text("attempt_id")?,
                purpose: row.text("purpose")?,
                provider: row.text("provider")?,
                model: row.text("model")?,
                current: row.int("current")? == 1,
                at: row.int("created_at")?,
                cost_nano_usd: row.opt_int("cost_nano_usd")?,
                input_tokens: row.opt_int("input_tokens")?,
                output_tokens: row.opt_int("output_tokens")?,
                took_ms: row.opt_int("took_ms")?.or(failed.map(|failed| failed.took_ms)),
                cached: row.opt_int("cached")? == Some(1),
                saved_nano_usd: row.opt_int("saved_nano_usd")?,
                tries,
            })
        };
        rows.iter()
            .map(read)
            .collect::<Result<_, _>>()
            .map_err(|error| Error::database(doing, error))
    }

    /// The number of an order's replies that its next attempt uses again.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn kept_replies(&self, order: &str) -> Result<i64, Error> {
        let doing = "counting AI calls";
        let sql = "SELECT count(*) AS kept FROM sitewright_ai_calls
             WHERE order_id = $1 AND current = 1";
        let rows = self.read(doing, sql, args![order]).await?;
        let kept = rows.first().map_or(Ok(0), |row| row.int("kept"));
        kept.map_err(|error| Error::database(doing, error))
    }

    /// The replies of an order whose tokens are not all known, the oldest first: their providers
    /// did not count them, or another order has paid for them.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn uncounted_replies(&self, order: &str) -> Result<Vec<AiCall>, Error> {
        let sql = select_calls!(
            "WHERE order_id = $1 AND (input_tokens IS NULL OR output_tokens IS NULL) ORDER BY id"
        );
        let rows = self.read("reading AI calls without tokens", sql, args![order]).await?;
        rows.iter().map(AiCall::read).collect()
    }

    /// What an order has cost so far, as far as it is known.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn cost(&self, order: &str) -> Result<Cost, Error> {
        let doing = "adding up AI calls";
        let rows = self.read(doing, COST, args![order]).await?;
        let Some(row) = rows.first() else { return Ok(Cost::default()) };
        Cost::read(row).map_err(|error| Error::database(doing, error))
    }
}

/// Stores a reply that no attempt finds; without an attempt, if none has asked for it any more.
pub(super) async fn insert_unusable(
    tx: &mut Tx,
    order: &str,
    attempt: Option<&str>,
    call: &NewAiCall,
) -> Result<(), sqlx::Error> {
    let sql =
        "INSERT INTO sitewright_ai_calls (order_id, attempt_id, request, occurrence, current, \
               purpose, provider, model, cost_nano_usd, input_tokens, output_tokens, entry, \
               created_at, took_ms, tries)
         VALUES ($1, $2, $3, $4, 0, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";
    let values = args![
        order,
        attempt,
        &call.request,
        i64::from(call.occurrence),
        &call.purpose,
        &call.provider,
        &call.model,
        stored(call.cost_nano_usd),
        stored(call.input_tokens),
        stored(call.output_tokens),
        &call.entry.to_string(),
        now_ms(),
        stored(call.took_ms),
        call.tries_text().as_deref()
    ];
    tx.execute(sql, values).await.map(drop)
}

/// `$1`: an order. One row for [`Cost::read`]. A provider may report any number, and a sum that
/// overflows is an error of the database. 2^50 tokens, or billionths of a dollar, are more than any
/// reply has, and the sum of 8,192 of them still fits.
pub(super) const COST: &str = "SELECT count(*) AS calls,
        CAST(coalesce(sum(CASE WHEN cost_nano_usd > 1125899906842624
            THEN 1125899906842624 ELSE cost_nano_usd END), 0) AS BIGINT) AS nano_usd,
        CAST(coalesce(sum(CASE WHEN input_tokens > 1125899906842624
            THEN 1125899906842624 ELSE input_tokens END), 0) AS BIGINT) AS input_tokens,
        CAST(coalesce(sum(CASE WHEN output_tokens > 1125899906842624
            THEN 1125899906842624 ELSE output_tokens END), 0) AS BIGINT) AS output_tokens
     FROM sitewright_ai_calls WHERE order_id = $1";

impl Cost {
    pub(super) fn read(row: &Row) -> Result<Self, sqlx::Error> {
        Ok(Cost {
            calls: row.int("calls")?,
            nano_usd: row.int("nano_usd")?,
            input_tokens: row.int("input_tokens")?,
            output_tokens: row.int("output_tokens")?,
        })
    }
}
