//! Replies of AI models that were paid for: the journal a retry reads, and the ledger of what an
//! order cost.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::coalesced::{Coalesced, over_json, json_rows};
use super::database::{Database, now_ms};
use super::error::Error;
use super::sql::{Row, Tx, args};

/// One reply, with the question it answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewAiCall {
    /// SHA-256 of the request.
    pub request: String,
    /// How often the run asked the very same before.
    pub occurrence: u32,
    /// What the call was for.
    pub purpose: String,
    /// Who answered.
    pub provider: String,
    /// What answered.
    pub model: String,
    /// What it cost, in billionths of a US dollar.
    pub cost_nano_usd: Option<u64>,
    /// Tokens of the request.
    pub input_tokens: Option<u64>,
    /// Tokens of the reply.
    pub output_tokens: Option<u64>,
    /// The whole journal entry, as the gateway wants it back: content, finish reason, raw reply
    /// and all.
    pub entry: Json,
}

/// A reply as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AiCall {
    /// The attempt that paid for it.
    pub attempt: Option<String>,
    /// Whether a further attempt gets it instead of asking. Not so when it was blamed for a
    /// failure, or came second.
    pub current: bool,
    /// When it was blamed and put aside, in milliseconds since the Unix epoch.
    pub asked_again_at: Option<i64>,
    /// When it came.
    pub at: i64,
    /// The reply.
    #[serde(flatten)]
    pub call: NewAiCall,
}

/// What an order's AI calls came to, over all attempts, put-aside replies included: they were paid
/// for too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Cost {
    /// Replies.
    pub calls: i64,
    /// In billionths of a US dollar, as far as prices are known.
    pub nano_usd: i64,
    /// Tokens of the requests.
    pub input_tokens: i64,
    /// Tokens of the replies.
    pub output_tokens: i64,
}

fn stored(number: Option<u64>) -> Option<i64> {
    number.map(|number| i64::try_from(number).unwrap_or(i64::MAX))
}

fn loaded(number: Option<i64>) -> Option<u64> {
    number.and_then(|number| u64::try_from(number).ok())
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
                entry: Json::Null,
            };
            let read = AiCall {
                attempt: row.opt_text("attempt_id")?,
                current: row.int("current")? == 1,
                asked_again_at: row.opt_int("asked_again_at")?,
                at: row.int("created_at")?,
                call,
            };
            Ok((read, row.text("entry")?))
        };
        let wrong = |why: String| Error::Row { table: "sitewright_ai_calls", why };
        let (mut read, entry) = fields().map_err(|error| wrong(error.to_string()))?;
        read.call.entry =
            serde_json::from_str(&entry).map_err(|error| wrong(format!("`entry`: {error}")))?;
        Ok(read)
    }
}

/// A reply that is to be kept.
#[derive(Clone)]
struct KeptReply {
    order: String,
    attempt: String,
    call: Arc<NewAiCall>,
}

#[async_trait]
impl Coalesced for KeptReply {
    /// Whether it counts.
    type Answer = bool;

    async fn many(tx: &mut Tx, these: &[Self]) -> Result<Vec<Option<bool>>, sqlx::Error> {
        let list = json_rows(these.iter().map(|KeptReply { order, attempt, call }| {
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
            ]
        }));
        // `WHERE true`: SQLite would take `ON CONFLICT` for a join otherwise.
        let sql = over_json!(
            tx,
            "INSERT INTO sitewright_ai_calls (order_id, attempt_id, request, occurrence, current, \
             purpose, provider, model,
                cost_nano_usd, input_tokens, output_tokens, entry, created_at)
             SELECT t.value ->> 0, t.value ->> 1, t.value ->> 2, CAST(t.value ->> 3 AS BIGINT), 1, \
             t.value ->> 4, t.value ->> 5,
                t.value ->> 6, CAST(t.value ->> 7 AS BIGINT), CAST(t.value ->> 8 AS BIGINT), \
             CAST(t.value ->> 9 AS BIGINT),
                t.value ->> 10, CAST($2 AS BIGINT)
             FROM ",
            " WHERE true ON CONFLICT (order_id, request, occurrence) WHERE current = 1 DO NOTHING
             RETURNING order_id, attempt_id, request, occurrence"
        );
        let mut counts = HashSet::with_capacity(these.len());
        for row in tx.all(sql, args![&list, now_ms()]).await? {
            let attempt = row.opt_text("attempt_id")?.unwrap_or_default();
            counts.insert((
                row.text("order_id")?,
                attempt,
                row.text("request")?,
                row.int("occurrence")?,
            ));
        }
        let mut first = |KeptReply { order, attempt, call }: &KeptReply| {
            // One that is there twice counts once.
            let key =
                (order.clone(), attempt.clone(), call.request.clone(), i64::from(call.occurrence));
            counts.remove(&key).then_some(true)
        };
        Ok(these.iter().map(&mut first).collect())
    }

    async fn one(&self, tx: &mut Tx) -> Result<bool, sqlx::Error> {
        let KeptReply { order, attempt, call } = self;
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
                now_ms()
            ]
        };
        let insert = "INSERT INTO sitewright_ai_calls (order_id, attempt_id, request, occurrence, \
                      current, purpose, provider,
                model, cost_nano_usd, input_tokens, output_tokens, entry, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
             ON CONFLICT (order_id, request, occurrence) WHERE current = 1 DO NOTHING";
        let counts = tx.execute(insert, values(1)).await? == 1;
        if !counts {
            tx.execute(insert, values(0)).await?;
        }
        Ok(counts)
    }
}

impl Database {
    /// The reply to this question that an earlier attempt paid for.
    ///
    /// # Errors
    /// When the database fails: not the same as no reply (catalogue B4).
    pub async fn reply(
        &self,
        order: &str,
        request: &str,
        occurrence: u32,
    ) -> Result<Option<AiCall>, Error> {
        let sql = "SELECT * FROM sitewright_ai_calls
             WHERE order_id = $1 AND request = $2 AND occurrence = $3 AND current = 1";
        let rows =
            self.read("looking up an AI reply", sql, args![order, request, i64::from(occurrence)]);
        rows.await?.first().map(AiCall::read).transpose()
    }

    /// Keeps a reply; it is on the disk when this returns. The first reply to a question is the one
    /// that counts; a second one, from a worker that had lost its order, is kept for the ledger
    /// only. Whether it counts.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn keep_reply(
        &self,
        order: &str,
        attempt: &str,
        call: NewAiCall,
    ) -> Result<bool, Error> {
        let kept = KeptReply {
            order: order.to_owned(),
            attempt: attempt.to_owned(),
            call: Arc::new(call),
        };
        self.write_coalesced(format!("keeping an AI reply of order {order:?}"), kept).await
    }

    /// Puts replies aside that a template blamed for its failure, so that the next attempt asks
    /// again. None named means all. How many there were.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn ask_again(
        &self,
        order: &str,
        blamed: Option<Vec<(String, u32)>>,
    ) -> Result<u64, Error> {
        let shared = Arc::new((order.to_owned(), blamed));
        self.write(format!("putting AI replies of order {order:?} aside"), move |tx| {
            let shared = shared.clone();
            Box::pin(async move {
                let (order, blamed) = &*shared;
                let now = now_ms();
                let Some(blamed) = blamed else {
                    let all = "UPDATE sitewright_ai_calls SET current = 0, asked_again_at = $2 \
                               WHERE order_id = $1 AND current = 1";
                    return tx.execute(all, args![order, now]).await;
                };
                let mut aside = 0;
                for (request, occurrence) in blamed {
                    let one = "UPDATE sitewright_ai_calls SET current = 0, asked_again_at = $4
                         WHERE order_id = $1 AND request = $2 AND occurrence = $3 AND current = 1";
                    aside +=
                        tx.execute(one, args![order, request, i64::from(*occurrence), now]).await?;
                }
                Ok(aside)
            })
        })
        .await
    }

    /// All replies of an order, the first one first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn ai_calls(&self, order: &str) -> Result<Vec<AiCall>, Error> {
        let sql = "SELECT * FROM sitewright_ai_calls WHERE order_id = $1 ORDER BY id";
        self.read("reading AI calls", sql, args![order]).await?.iter().map(AiCall::read).collect()
    }

    /// What an order has cost so far: also what its budget begins with.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn cost(&self, order: &str) -> Result<Cost, Error> {
        let doing = "adding up AI calls";
        let sql = "SELECT count(*) AS calls, CAST(coalesce(sum(cost_nano_usd), 0) AS BIGINT) AS \
                   nano_usd,
                CAST(coalesce(sum(input_tokens), 0) AS BIGINT) AS input_tokens,
                CAST(coalesce(sum(output_tokens), 0) AS BIGINT) AS output_tokens
             FROM sitewright_ai_calls WHERE order_id = $1";
        let rows = self.read(doing, sql, args![order]).await?;
        let Some(row) = rows.first() else { return Ok(Cost::default()) };
        let read = || -> Result<Cost, sqlx::Error> {
            Ok(Cost {
                calls: row.int("calls")?,
                nano_usd: row.int("nano_usd")?,
                input_tokens: row.int("input_tokens")?,
                output_tokens: row.int("output_tokens")?,
            })
        };
        read().map_err(|error| Error::database(doing, error))
    }
}
