//! AI calls that wait for a batch: which there are, which batch has them, and what came of it.
//!
//! An attempt of an order with `batch` adds its calls as items and ends; its order waits. A worker
//! collects the items of all orders that wait, sends them as batches, and stores the answers; an
//! order without an open item is due again, and its next attempt finds the answers.
//!
//! **Invariant:** an item is sent only while its order waits for it, and belongs to at most one
//! batch. The row of a batch is there before anything is sent, so that a worker that ends in
//! between leaves a trace.
//!
//! **Invariant:** what a provider has of an order that has ended is still read: its answer is paid
//! for, and charged to the order. A batch that only such orders have calls in is cancelled. An order
//! that is queued again meanwhile waits for its answers, and for another batch with the other calls.
//!
//! **Invariant:** whatever happens to an item, its order is due by itself after [`WAITS_AT_MOST`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::json;
use sitewright_model::ai::{
    BatchAnswer, BatchedCall, BatchedEnd, JournalKey, KnownCall, NewBatchCall,
};
use sitewright_model::time::{millis, now_ms};

use super::ai_counts::ReplyUse;
use super::coalesced::{json_rows, over_json};
use super::database::Database;
use super::driver::{Row, Tx, args, held_jobs, river, sql};
use super::error::Error;
use super::reply_journal::{NewAiCall, insert_unusable};

/// An order that waits for batches is tried again after this long, even if none of them ends: its
/// attempt finds the items that it has and waits again.
pub(super) const WAITS_AT_MOST: Duration = Duration::from_secs(60 * 60);

/// Maximum number of batches among which one is looked for.
const MOST_DUE: i64 = 1_000;

/// Maximum number of orders that one transaction makes due.
const CHUNK: i64 = 500;

/// Maximum number of answers of ended orders that are looked for at once.
const MOST_UNREAD: i64 = 100;

/// What became of an AI call that waits for a batch.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum BatchItemState {
    /// No batch has it yet.
    Open,
    /// A batch has it.
    Sent,
    /// Its answer is there; the order's next attempt reads it.
    Answered,
    /// An attempt has used its answer.
    Used,
    /// There is no answer: an attempt makes the call without a batch.
    Direct,
}

/// An answer of a batch to a call of an order that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadAnswer {
    /// The item's id.
    pub id: String,
    pub order: String,
    /// The label of whoever the order is for.
    pub tenant: Option<String>,
    pub key: JournalKey,
    pub purpose: String,
    pub answer: BatchAnswer,
}

/// An item as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct BatchItem {
    pub purpose: String,
    pub provider: String,
    pub model: String,
    pub state: BatchItemState,
    /// The provider's id of the batch that has it.
    pub batch: Option<String>,
    /// Why there is no answer, or why its batch could not be sent yet.
    pub reason: Option<String>,
    /// When it was added, in milliseconds since the Unix epoch.
    pub at: i64,
}

/// How large batches are, and when they are sent.
#[derive(Debug, Clone, Copy)]
pub struct Collecting {
    /// Items are collected for this long before a batch is sent.
    pub wait: Duration,
    /// Maximum number of items of a batch.
    pub items: usize,
    /// Maximum size of the bodies of a batch, in bytes; one item may be larger.
    pub bytes: usize,
}

/// A batch that a worker has to see to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueBatch {
    pub id: String,
    pub provider: String,
    pub model: String,
    /// The provider's id; `None` if it is not known to be sent.
    pub remote: Option<String>,
    /// Whether another worker may have sent it without storing its id.
    pub may_be_sent: bool,
    /// The number of times that a worker has seen to it.
    pub looks: u32,
    /// Why nothing could be done the last time, if so.
    pub error: Option<String>,
    /// When it was sent, or made if it was not, in milliseconds since the Unix epoch.
    pub since: i64,
}

/// A batch that a worker may see to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferedBatch {
    pub id: String,
    pub provider: String,
    pub model: String,
    /// As in [`DueBatch`].
    pub since: i64,
}

/// What became of items of a batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BatchOutcome {
    /// Items that have an answer.
    pub answers: u64,
    /// Items that are made without a batch.
    pub unanswered: u64,
    /// Why one of these has no answer.
    pub reason: Option<String>,
}

impl std::ops::AddAssign for BatchOutcome {
    fn add_assign(&mut self, other: Self) {
        self.answers += other.answers;
        self.unanswered += other.unanswered;
        self.reason = self.reason.take().or(other.reason);
    }
}

/// An item as it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemToSend {
    pub id: String,
    pub route: String,
    pub body: String,
}

/// What a batch says of an item: the body of its answer, or why there is none.
pub type ItemAnswer = (String, Result<String, String>);

impl Database {
    /// Adds an AI call that is to wait for a batch, and tells what is known of it. One whose answer
    /// was used is asked again.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn add_batch_item(
        &self,
        order: &str,
        call: NewBatchCall,
    ) -> Result<BatchedCall, Error> {
        let shared = Arc::new((order.to_owned(), call));
        self.write(format!("storing an AI call of order {order:?} for a batch"), move |tx| {
            let shared = shared.clone();
            Box::pin(async move { add_in(tx, &shared.0, &shared.1).await })
        })
        .await
    }

    /// What batches have of a call of an order.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn known_batch_call(
        &self,
        order: &str,
        key: &JournalKey,
    ) -> Result<KnownCall, Error> {
        let doing = "looking for the answer of a batch";
        let sql = "SELECT purpose, provider, model, answer, state FROM sitewright_batch_items
             WHERE order_id = $1 AND request = $2 AND occurrence = $3
                AND state IN ('sent', 'answered')";
        let values = args![order, &key.request, i64::from(key.occurrence)];
        let rows = self.read(doing, sql, values).await?;
        let read = |row: &Row| -> Result<KnownCall, sqlx::Error> {
            let (provider, answer) = (row.text("provider")?, row.opt_text("answer")?);
            Ok(match (row.parsed("state")?, answer) {
                (BatchItemState::Answered, Some(answer)) => {
                    let model = row.text("model")?;
                    KnownCall::Answered(BatchAnswer { provider, model, answer })
                }
                (BatchItemState::Sent, _) => {
                    KnownCall::Sent { purpose: row.text("purpose")?, provider }
                }
                _ => KnownCall::Unknown,
            })
        };
        let known = rows.first().map_or(Ok(KnownCall::Unknown), read);
        known.map_err(|error| Error::database(doing, error))
    }

    /// Ends an item for its order.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn end_batch_item(
        &self,
        order: &str,
        key: &JournalKey,
        end: BatchedEnd,
    ) -> Result<(), Error> {
        let (state, reason) = match end {
            BatchedEnd::Used => (BatchItemState::Used, None),
            BatchedEnd::Direct(reason) => (BatchItemState::Direct, Some(reason)),
        };
        let shared = Arc::new((order.to_owned(), key.clone(), reason));
        self.write(format!("ending a batched AI call of order {order:?}"), move |tx| {
            let shared = shared.clone();
            Box::pin(async move {
                let (order, key, reason) = &*shared;
                let sql = "UPDATE sitewright_batch_items SET state = $4, reason = $5, body = '',
                        answer = NULL, updated_at = $6
                     WHERE order_id = $1 AND request = $2 AND occurrence = $3";
                let state: &str = state.into();
                let occurrence = i64::from(key.occurrence);
                let values = args![order, &key.request, occurrence, state, reason, now_ms()];
                tx.execute(sql, values).await.map(drop)
            })
        })
        .await
    }

    /// Collects items of orders that wait for them into new batches: those of a provider and model
    /// together, once the oldest of them has waited long enough. The number of new batches.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn collect_batches(
        &self,
        worker: &str,
        collecting: Collecting,
    ) -> Result<usize, Error> {
        let doing = "looking for AI calls that wait for a batch";
        let any = "SELECT id FROM sitewright_batch_items WHERE state = 'open' LIMIT 1";
        if self.read(doing, any, vec![]).await?.is_empty() {
            return Ok(0);
        }
        let worker = worker.to_owned();
        self.write("collecting AI calls into batches", move |tx| {
            let worker = worker.clone();
            Box::pin(async move { collect_in(tx, &worker, collecting).await })
        })
        .await
    }

    /// Takes a batch that is due, that a worker has taken that is gone, or that this one has taken
    /// before and not ended with. It is this worker's for `lease`. `may` says whether it is wanted.
    /// `None` if there is none.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn take_due_batch(
        &self,
        worker: &str,
        lease: Duration,
        may: &(dyn Fn(&OfferedBatch) -> bool + Sync),
    ) -> Result<Option<DueBatch>, Error> {
        let doing = "looking for batches of AI calls that are due";
        let failed = |error| Error::database(doing, error);
        let due = "SELECT id, provider, model, created_at FROM sitewright_batches b
             WHERE due_at <= $1 OR worker = $2
                OR (worker IS NOT NULL AND NOT EXISTS
                    (SELECT 1 FROM sitewright_workers w WHERE w.client_id = b.worker))
             ORDER BY due_at LIMIT $3";
        let mut wanted = None;
        for row in self.read(doing, due, args![now_ms(), worker, MOST_DUE]).await? {
            let offered = offered_batch(&row).map_err(failed)?;
            if may(&offered) {
                wanted = Some(offered.id);
                break;
            }
        }
        let Some(id) = wanted else { return Ok(None) };
        let shared = Arc::new((id, worker.to_owned()));
        self.write("taking a batch of AI calls", move |tx| {
            let shared = shared.clone();
            Box::pin(async move {
                let (id, worker) = &*shared;
                let now = now_ms();
                let before = "SELECT worker, taken FROM sitewright_batches WHERE id = $1";
                let Some(before) = tx.optional(before, args![id]).await? else { return Ok(None) };
                let may_be_sent = before.int("taken")? > 0;
                let sql = "UPDATE sitewright_batches SET worker = $2, due_at = $3, taken = 1
                     WHERE id = $1 AND (due_at <= $4 OR worker = $2
                        OR (worker IS NOT NULL AND NOT EXISTS
                        (SELECT 1 FROM sitewright_workers w
                            WHERE w.client_id = sitewright_batches.worker)))
                     RETURNING id, provider, model, remote_id, looks, error, created_at";
                let until = now.saturating_add(ms(lease));
                let taken = tx.optional(sql, args![id, worker, until, now]).await?;
                taken.map(|row| due_batch(&row, may_be_sent)).transpose()
            })
        })
        .await
    }

    /// The items of a batch that is about to be sent, and that no provider has, the oldest first.
    /// Those of orders that have ended are dropped.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn items_to_send(&self, batch: &str) -> Result<Vec<ItemToSend>, Error> {
        let doing = "reading the AI calls of a batch";
        let shared: Arc<str> = batch.into();
        self.write(doing, move |tx| {
            let batch = shared.clone();
            Box::pin(async move {
                drop_of_ended(tx, &batch).await?;
                // A transaction that ends one of the orders may have dropped its items because it
                // did not see that the batch is taken: wait for it. SQLite has one writer.
                let sql = tx.pick(
                    "SELECT id FROM sitewright_batches WHERE id = $1",
                    "SELECT id FROM sitewright_batch_items
                     WHERE batch_id = $1 AND state = 'sent' FOR UPDATE",
                );
                tx.all(sql, args![&*batch]).await.map(drop)
            })
        })
        .await?;
        let sql = "SELECT id, route, body FROM sitewright_batch_items
             WHERE batch_id = $1 AND state = 'sent' ORDER BY created_at, id";
        let rows = self.read(doing, sql, args![batch]).await?;
        let read = |row: &Row| {
            let (id, route, body) = (row.text("id")?, row.text("route")?, row.text("body")?);
            Ok(ItemToSend { id, route, body })
        };
        rows.iter()
            .map(read)
            .collect::<Result<_, _>>()
            .map_err(|error| Error::database(doing, error))
    }

    /// Whether an order that has not ended waits for an answer of a batch.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn is_batch_wanted(&self, batch: &str) -> Result<bool, Error> {
        let sql = sql!(
            "SELECT i.id AS id FROM sitewright_batch_items i
             JOIN sitewright_orders o ON o.id = i.order_id
             WHERE i.batch_id = $1 AND i.state = 'sent' AND o.state || '' IN {unfinished} LIMIT 1"
        );
        let rows = self.read("looking for orders that wait for a batch", sql, args![batch]).await?;
        Ok(!rows.is_empty())
    }

    /// The ids of answers of batches to calls of orders that have ended, at most 100. Whoever reads
    /// one with [`unread_answer`](Database::unread_answer) charges it with
    /// [`charge_unread`](Database::charge_unread).
    ///
    /// # Errors
    /// If the database fails.
    pub async fn unread_answers(&self) -> Result<Vec<String>, Error> {
        macro_rules! unread {
            ($index:literal) => {
                sql!(
                    "SELECT i.id AS id FROM sitewright_batch_items i
                     CROSS JOIN sitewright_orders o ",
                    $index,
                    " WHERE i.state = 'answered' AND o.id = i.order_id AND o.batch = 1
                        AND o.state || '' IN {ended} LIMIT $1"
                )
            };
        }
        let doing = "looking for answers of batches that no order reads";
        // SQLite would read the state of each order behind its document.
        let sql = self.pool().pick(unread!("INDEXED BY sitewright_orders_of_batches"), unread!(""));
        let rows = self.read(doing, sql, args![MOST_UNREAD]).await?;
        let ids = rows.iter().map(|row| row.text("id")).collect::<Result<_, _>>();
        ids.map_err(|error| Error::database(doing, error))
    }

    /// An answer of a batch; `None` if somebody has read or charged it.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn unread_answer(&self, id: &str) -> Result<Option<UnreadAnswer>, Error> {
        let doing = "reading an answer of a batch that no order reads";
        let sql = "SELECT i.id AS id, i.order_id AS order_id, o.tenant AS tenant,
                i.request AS request, i.occurrence AS occurrence, i.purpose AS purpose,
                i.provider AS provider, i.model AS model, coalesce(i.answer, '') AS answer
             FROM sitewright_batch_items i JOIN sitewright_orders o ON o.id = i.order_id
             WHERE i.id = $1 AND i.state = 'answered'";
        let rows = self.read(doing, sql, args![id]).await?;
        let read = |row: &Row| -> Result<UnreadAnswer, sqlx::Error> {
            Ok(UnreadAnswer {
                id: row.text("id")?,
                order: row.text("order_id")?,
                tenant: row.opt_text("tenant")?,
                key: JournalKey {
                    request: row.text("request")?,
                    occurrence: u32::try_from(row.int("occurrence")?).unwrap_or_default(),
                },
                purpose: row.text("purpose")?,
                answer: BatchAnswer {
                    provider: row.text("provider")?,
                    model: row.text("model")?,
                    answer: row.text("answer")?,
                },
            })
        };
        rows.first().map(read).transpose().map_err(|error| Error::database(doing, error))
    }

    /// Charges an answer that no order reads to its order, and removes its item. Returns `false` if
    /// it was charged before, if its reply is in the journal, or if the order was erased or queued
    /// again, so that an attempt may read the answer.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn charge_unread(&self, id: &str, call: NewAiCall) -> Result<bool, Error> {
        let shared = Arc::new((id.to_owned(), call));
        let counted = Arc::clone(&shared);
        let charged = self.write("charging an answer of a batch that no order reads", move |tx| {
            let shared = shared.clone();
            Box::pin(async move {
                let (id, call) = &*shared;
                let sql = sql!(
                    "DELETE FROM sitewright_batch_items WHERE id = $1 AND state = 'answered'
                        AND EXISTS (SELECT 1 FROM sitewright_orders o
                            WHERE o.id = sitewright_batch_items.order_id AND o.state IN {ended})
                     RETURNING order_id"
                );
                let Some(row) = tx.optional(sql, args![id]).await? else { return Ok(false) };
                let order = row.text("order_id")?;
                if has_reply(tx, &order, call).await? {
                    return Ok(false);
                }
                insert_unusable(tx, &order, None, call).await?;
                Ok(true)
            })
        });
        let charged = charged.await?;
        if charged {
            self.ai_counts().add(&counted.1, ReplyUse::Unusable);
        }
        Ok(charged)
    }

    /// Stores the provider's id of a batch that was sent, and looks again after `wait`. Its age
    /// begins now.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn batch_was_sent(
        &self,
        batch: &str,
        remote: &str,
        wait: Duration,
    ) -> Result<(), Error> {
        let shared = Arc::new((batch.to_owned(), remote.to_owned()));
        self.write("storing that a batch of AI calls was sent", move |tx| {
            let shared = shared.clone();
            Box::pin(async move {
                let (batch, remote) = &*shared;
                let sql =
                    "UPDATE sitewright_batches SET remote_id = $2, worker = NULL, due_at = $3,
                        looks = 0, error = NULL, created_at = $4 WHERE id = $1";
                let now = now_ms();
                let due = now.saturating_add(ms(wait));
                tx.execute(sql, args![batch, remote, due, now]).await.map(drop)
            })
        })
        .await
    }

    /// Stores that a batch is being cancelled at its provider. What it does not answer of orders
    /// that are queued again waits for another batch.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn set_batch_cancelled(&self, batch: &str) -> Result<(), Error> {
        let shared: Arc<str> = batch.into();
        self.write("storing that a batch of AI calls is cancelled", move |tx| {
            let batch = shared.clone();
            Box::pin(async move {
                let sql = "UPDATE sitewright_batches SET cancelled = 1 WHERE id = $1";
                tx.execute(sql, args![&*batch]).await.map(drop)
            })
        })
        .await
    }

    /// Looks at a batch again after `wait`. `error` tells why nothing could be done now.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn postpone_batch(
        &self,
        batch: &str,
        wait: Duration,
        error: Option<&str>,
    ) -> Result<(), Error> {
        let shared = Arc::new((batch.to_owned(), error.map(str::to_owned)));
        self.write("postponing a batch of AI calls", move |tx| {
            let shared = shared.clone();
            Box::pin(async move {
                let (batch, error) = &*shared;
                let sql = "UPDATE sitewright_batches SET worker = NULL, due_at = $2,
                        looks = looks + 1, error = $3 WHERE id = $1";
                let due = now_ms().saturating_add(ms(wait));
                tx.execute(sql, args![batch, due, error]).await.map(drop)
            })
        })
        .await
    }

    /// Stores what a batch says of its items, and tells what became of them. Items that are not the
    /// batch's, or have an answer, are left as they are and do not count, and so are those that a
    /// cancelled batch does not answer.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn store_batch_answers(
        &self,
        batch: &str,
        answers: Vec<ItemAnswer>,
    ) -> Result<BatchOutcome, Error> {
        let shared = Arc::new((batch.to_owned(), answers));
        self.write("storing answers of a batch of AI calls", move |tx| {
            let shared = shared.clone();
            Box::pin(async move {
                let (batch, answers) = &*shared;
                let cancelled = is_cancelled(tx, batch).await?;
                let decided = answers.iter().filter(|(_, answer)| answer.is_ok() || !cancelled);
                let rows = decided.map(|(id, answer)| match answer {
                    Ok(answer) => vec![json!(id), json!("answered"), json!(answer), json!(null)],
                    Err(reason) => vec![json!(id), json!("direct"), json!(null), json!(reason)],
                });
                let sql = over_json!(
                    tx,
                    "UPDATE sitewright_batch_items SET state = t.value ->> 1,
                        answer = t.value ->> 2, reason = t.value ->> 3, body = '', updated_at = $3
                     FROM ",
                    " WHERE sitewright_batch_items.id = t.value ->> 0
                        AND sitewright_batch_items.batch_id = $2
                        AND sitewright_batch_items.state = 'sent'
                     RETURNING state, reason"
                );
                // Of an order that has ended, a call without an answer is not made.
                let unwanted = over_json!(
                    tx,
                    "DELETE FROM sitewright_batch_items WHERE batch_id = $2 AND state = 'sent'
                        AND id IN (SELECT t.value ->> 0 FROM ",
                    " WHERE t.value ->> 1 = 'direct')
                        AND EXISTS (SELECT 1 FROM sitewright_orders o
                            WHERE o.id = sitewright_batch_items.order_id AND o.state IN {ended})"
                );
                let rows = json_rows(rows);
                tx.execute(unwanted, args![&rows, batch]).await?;
                let mut outcome = BatchOutcome::default();
                for row in tx.all(sql, args![&rows, batch, now_ms()]).await? {
                    outcome += match row.parsed("state")? {
                        BatchItemState::Answered => {
                            BatchOutcome { answers: 1, ..BatchOutcome::default() }
                        }
                        _ => BatchOutcome {
                            answers: 0,
                            unanswered: 1,
                            reason: row.opt_text("reason")?,
                        },
                    };
                }
                Ok(outcome)
            })
        })
        .await
    }

    /// Ends a batch. Those of its items that have no answer are made without a batch, because of
    /// `reason`, unless their order has ended. The number of these. If the batch was cancelled, they
    /// wait for another one: their orders are those that were queued again meanwhile.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn end_batch(&self, batch: &str, reason: &str) -> Result<u64, Error> {
        let shared = Arc::new((batch.to_owned(), reason.to_owned()));
        self.write("ending a batch of AI calls", move |tx| {
            let shared = shared.clone();
            Box::pin(async move {
                let (batch, reason) = &*shared;
                drop_of_ended(tx, batch).await?;
                let left = if is_cancelled(tx, batch).await? {
                    let sql = "UPDATE sitewright_batch_items SET state = 'open', batch_id = NULL,
                            updated_at = $2
                         WHERE batch_id = $1 AND state = 'sent'";
                    tx.execute(sql, args![batch, now_ms()]).await?;
                    0
                } else {
                    let sql = "UPDATE sitewright_batch_items SET state = 'direct', reason = $2,
                            body = '', updated_at = $3
                         WHERE batch_id = $1 AND state = 'sent'";
                    tx.execute(sql, args![batch, reason, now_ms()]).await?
                };
                let row = "DELETE FROM sitewright_batches WHERE id = $1";
                tx.execute(row, args![batch]).await?;
                Ok(left)
            })
        })
        .await
    }

    /// Makes orders due that wait for batches and have no open item any more. The number of orders.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn release_batched_orders(&self) -> Result<usize, Error> {
        let doing = "looking for orders that wait for batches";
        let any = "SELECT id FROM sitewright_orders WHERE awaits_batch = 1 LIMIT 1";
        if self.read(doing, any, vec![]).await?.is_empty() {
            return Ok(0);
        }
        self.write("requeuing orders that waited for batches", |tx| {
            Box::pin(async move { release_in(tx).await })
        })
        .await
    }

    /// The items of an order, the oldest first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn batch_items(&self, order: &str) -> Result<Vec<BatchItem>, Error> {
        let doing = "reading the batched AI calls of an order";
        let sql = "SELECT i.purpose AS purpose, i.provider AS provider, i.model AS model,
                i.state AS state, b.remote_id AS remote_id, coalesce(i.reason, b.error) AS reason,
                i.created_at AS created_at
             FROM sitewright_batch_items i LEFT JOIN sitewright_batches b ON b.id = i.batch_id
             WHERE i.order_id = $1 ORDER BY i.created_at, i.id";
        let rows = self.read(doing, sql, args![order]).await?;
        let read = |row: &Row| {
            Ok(BatchItem {
                purpose: row.text("purpose")?,
                provider: row.text("provider")?,
                model: row.text("model")?,
                state: row.parsed("state")?,
                batch: row.opt_text("remote_id")?,
                reason: row.opt_text("reason")?,
                at: row.int("created_at")?,
            })
        };
        rows.iter()
            .map(read)
            .collect::<Result<_, _>>()
            .map_err(|error| Error::database(doing, error))
    }

    /// The number of AI calls that wait for a batch, or for the answer of one.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn open_batch_items(&self) -> Result<i64, Error> {
        let doing = "counting AI calls that wait for a batch";
        let sql = "SELECT (SELECT count(*) FROM sitewright_batch_items WHERE state = 'open')
                + (SELECT count(*) FROM sitewright_batch_items WHERE state = 'sent') AS items";
        let rows = self.read(doing, sql, vec![]).await?;
        let count = rows.first().map_or(Ok(0), |row| row.int("items"));
        count.map_err(|error| Error::database(doing, error))
    }

    /// As [`Database::open_batch_items`], of the orders of one tenant.
    pub(super) async fn open_batch_items_of(&self, tenant: &str) -> Result<i64, Error> {
        let doing = "counting AI calls of a tenant that wait for a batch";
        let sql = "SELECT count(*) AS items FROM sitewright_batch_items i
             JOIN sitewright_orders o ON o.id = i.order_id
             WHERE o.tenant = $1 AND i.state IN ('open', 'sent')";
        let rows = self.read(doing, sql, args![tenant]).await?;
        let count = rows.first().map_or(Ok(0), |row| row.int("items"));
        count.map_err(|error| Error::database(doing, error))
    }
}

async fn add_in(tx: &mut Tx, order: &str, call: &NewBatchCall) -> Result<BatchedCall, sqlx::Error> {
    let now = now_ms();
    let NewBatchCall { key, purpose, route, provider, model, body } = call;
    let (request, occurrence) = (&key.request, i64::from(key.occurrence));
    let bytes = i64::try_from(body.len()).unwrap_or(i64::MAX);
    // An id of its own, because what is sent must not name the order.
    let id = ulid::Ulid::generate().to_string();
    let inserted = tx
        .execute(
            "INSERT INTO sitewright_batch_items (id, order_id, request, occurrence, purpose, route,
                provider, model, body, bytes, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11)
             ON CONFLICT (order_id, request, occurrence) DO NOTHING",
            args![
                &id, order, request, occurrence, purpose, route, provider, model, body, bytes, now
            ],
        )
        .await?;
    if inserted > 0 {
        return Ok(BatchedCall::Waits);
    }
    let sql = "SELECT state, provider, model, answer FROM sitewright_batch_items
         WHERE order_id = $1 AND request = $2 AND occurrence = $3";
    let known = tx.optional(sql, args![order, request, occurrence]).await?;
    let known = known.ok_or(sqlx::Error::RowNotFound)?;
    Ok(match (known.parsed("state")?, known.opt_text("answer")?) {
        (BatchItemState::Open | BatchItemState::Sent, _) => BatchedCall::Waits,
        (BatchItemState::Answered, Some(answer)) => BatchedCall::Answered(BatchAnswer {
            provider: known.text("provider")?,
            model: known.text("model")?,
            answer,
        }),
        (BatchItemState::Direct, _) => BatchedCall::Direct,
        // Its reply was blamed for a failure.
        (BatchItemState::Used | BatchItemState::Answered, _) => {
            let sql = "UPDATE sitewright_batch_items SET state = 'open', batch_id = NULL,
                    answer = NULL, reason = NULL, route = $4, provider = $5, model = $6, body = $7,
                    bytes = $8, created_at = $9, updated_at = $9
                 WHERE order_id = $1 AND request = $2 AND occurrence = $3";
            let values =
                args![order, request, occurrence, route, provider, model, body, bytes, now];
            tx.execute(sql, values).await?;
            BatchedCall::Waits
        }
    })
}

/// Whether the journal has the reply to a call that a batch has answered: its attempt ended between
/// storing the reply, which paid for it, and ending the item. One that another order has paid for
/// does not count.
async fn has_reply(tx: &mut Tx, order: &str, call: &NewAiCall) -> Result<bool, sqlx::Error> {
    macro_rules! paid {
        ($position:literal) => {
            concat!(
                "SELECT id FROM sitewright_ai_calls
                 WHERE order_id = $1 AND request = $2 AND occurrence = $3 AND current = 1
                    AND ",
                $position,
                "(entry, '\"cached\":true') = 0
                    AND (entry LIKE '{%}' OR cost_nano_usd > 0 OR input_tokens IS NOT NULL
                        OR output_tokens IS NOT NULL)"
            )
        };
    }
    // The database looks into the entry, which may be large. Quotes within its texts are escaped, so
    // only the field itself is found; it is one of the last, so that an entry which was cut off
    // is a reply only if something was counted for it.
    let sql = tx.pick(paid!("instr"), paid!("strpos"));
    let key = args![order, &call.request, i64::from(call.occurrence)];
    Ok(tx.optional(sql, key).await?.is_some())
}

/// An item that waits, as it is collected.
struct Waiting {
    id: String,
    bytes: usize,
    created_at: i64,
}

async fn collect_in(
    tx: &mut Tx,
    worker: &str,
    collecting: Collecting,
) -> Result<usize, sqlx::Error> {
    let now = now_ms();
    // A template may have dropped a call, and an order may have ended meanwhile.
    let dropped = sql!(
        "DELETE FROM sitewright_batch_items WHERE state = 'open' AND order_id IN (
            SELECT o.id FROM sitewright_batch_items i JOIN sitewright_orders o ON o.id = i.order_id
            WHERE i.state = 'open' AND o.state || '' IN {ended})"
    );
    tx.execute(dropped, vec![]).await?;
    let open = sql!(
        "SELECT i.id AS id, i.provider AS provider, i.model AS model, i.bytes AS bytes,
            i.created_at AS created_at
         FROM sitewright_batch_items i JOIN sitewright_orders o ON o.id = i.order_id
         WHERE i.state = 'open' AND o.awaits_batch = 1 AND o.state || '' = {waiting}
         ORDER BY i.created_at, i.id LIMIT $1"
    );
    // Two batches at a time bound the transaction; what is left comes with the next pass.
    let most = i64::try_from(collecting.items.saturating_mul(2)).unwrap_or(i64::MAX);
    let mut groups: BTreeMap<(String, String), Vec<Waiting>> = BTreeMap::new();
    for row in tx.all(open, args![most]).await? {
        let item = Waiting {
            id: row.text("id")?,
            bytes: usize::try_from(row.int("bytes")?).unwrap_or(usize::MAX),
            created_at: row.int("created_at")?,
        };
        groups.entry((row.text("provider")?, row.text("model")?)).or_default().push(item);
    }
    let mut made = 0;
    for ((provider, model), items) in groups {
        let ready = now.saturating_sub(ms(collecting.wait));
        let is_ready = items.len() >= collecting.items
            || items.first().is_some_and(|oldest| oldest.created_at <= ready);
        if !is_ready {
            continue;
        }
        for batch in split(items, collecting) {
            if make_batch(tx, worker, (provider.as_str(), model.as_str()), &batch, now).await? {
                made += 1;
            }
        }
    }
    Ok(made)
}

/// Batches of the permitted size.
fn split(items: Vec<Waiting>, collecting: Collecting) -> Vec<Vec<String>> {
    let (mut batches, mut batch, mut bytes) = (Vec::new(), Vec::new(), 0_usize);
    for item in items {
        let is_full = batch.len() >= collecting.items.max(1)
            || bytes.saturating_add(item.bytes) > collecting.bytes;
        if is_full && !batch.is_empty() {
            batches.push(std::mem::take(&mut batch));
            bytes = 0;
        }
        bytes = bytes.saturating_add(item.bytes);
        batch.push(item.id);
    }
    if !batch.is_empty() {
        batches.push(batch);
    }
    batches
}

/// Gives items to a new batch. `false` if another worker has given all of them to one.
async fn make_batch(
    tx: &mut Tx,
    worker: &str,
    (provider, model): (&str, &str),
    items: &[String],
    now: i64,
) -> Result<bool, sqlx::Error> {
    let id = ulid::Ulid::generate().to_string();
    let list = json_rows(items.iter().map(|item| vec![json!(item)]));
    let sql = over_json!(
        tx,
        "UPDATE sitewright_batch_items SET state = 'sent', batch_id = $2, updated_at = $3
         WHERE state = 'open' AND id IN (SELECT t.value ->> 0 FROM ",
        ")"
    );
    let given = tx.execute(sql, args![&list, &id, now]).await?;
    if given == 0 {
        return Ok(false);
    }
    let sql = "INSERT INTO sitewright_batches (id, provider, model, worker, created_at, due_at)
         VALUES ($1, $2, $3, $4, $5, $5)";
    tx.execute(sql, args![&id, provider, model, worker, now]).await?;
    Ok(true)
}

async fn release_in(tx: &mut Tx) -> Result<usize, sqlx::Error> {
    let sql = sql!(
        "UPDATE sitewright_orders SET awaits_batch = NULL, next_attempt_at = $1, updated_at = $1
         WHERE awaits_batch = 1 AND state || '' = {waiting} AND id IN (
            SELECT o.id FROM sitewright_orders o
            WHERE o.awaits_batch = 1 AND o.state || '' = {waiting} AND NOT EXISTS (
                SELECT 1 FROM sitewright_batch_items i
                WHERE i.order_id = o.id AND i.state IN ('open', 'sent'))
            ORDER BY o.updated_at LIMIT $2)
         RETURNING job_id"
    );
    let rows = tx.all(sql, args![now_ms(), CHUNK]).await?;
    let mut jobs = Vec::with_capacity(rows.len());
    for row in &rows {
        jobs.extend(row.opt_int("job_id")?);
    }
    held_jobs::make_due(tx, &jobs, river::QUEUE, false).await?;
    Ok(rows.len())
}

/// Drops the items of an order that no batch has: its document is another one now.
pub(super) async fn drop_open(tx: &mut Tx, order: &str) -> Result<(), sqlx::Error> {
    let sql = "DELETE FROM sitewright_batch_items WHERE order_id = $1 AND state = 'open'";
    tx.execute(sql, args![order]).await.map(drop)
}

/// Drops the items of an order that has ended which no provider can have. A worker that has taken a
/// batch may be sending it: what the provider answers is charged when it is there.
pub(super) async fn drop_unsent(tx: &mut Tx, order: &str) -> Result<(), sqlx::Error> {
    let sql = "DELETE FROM sitewright_batch_items
         WHERE order_id = $1 AND (state = 'open' OR (state = 'sent' AND NOT EXISTS
            (SELECT 1 FROM sitewright_batches b
                WHERE b.id = sitewright_batch_items.batch_id AND b.taken > 0)))";
    tx.execute(sql, args![order]).await.map(drop)
}

/// Whether a worker has cancelled a batch, because no order waited for it.
async fn is_cancelled(tx: &mut Tx, batch: &str) -> Result<bool, sqlx::Error> {
    let sql = "SELECT id FROM sitewright_batches WHERE id = $1 AND cancelled = 1";
    Ok(tx.optional(sql, args![batch]).await?.is_some())
}

/// Drops the items of a batch without an answer whose orders have ended.
async fn drop_of_ended(tx: &mut Tx, batch: &str) -> Result<(), sqlx::Error> {
    let sql = sql!(
        "DELETE FROM sitewright_batch_items WHERE batch_id = $1 AND state = 'sent'
            AND EXISTS (SELECT 1 FROM sitewright_orders o
                WHERE o.id = sitewright_batch_items.order_id AND o.state IN {ended})"
    );
    tx.execute(sql, args![batch]).await.map(drop)
}

fn offered_batch(row: &Row) -> Result<OfferedBatch, sqlx::Error> {
    Ok(OfferedBatch {
        id: row.text("id")?,
        provider: row.text("provider")?,
        model: row.text("model")?,
        since: row.int("created_at")?,
    })
}

fn due_batch(row: &Row, may_be_sent: bool) -> Result<DueBatch, sqlx::Error> {
    Ok(DueBatch {
        id: row.text("id")?,
        provider: row.text("provider")?,
        model: row.text("model")?,
        remote: row.opt_text("remote_id")?,
        may_be_sent,
        looks: u32::try_from(row.int("looks")?).unwrap_or(u32::MAX),
        error: row.opt_text("error")?,
        since: row.int("created_at")?,
    })
}

fn ms(time: Duration) -> i64 {
    i64::try_from(millis(time)).unwrap_or(i64::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_have_the_permitted_number_of_items_and_bytes() {
        for (items, bytes, sizes, expected) in [
            (10, 100, vec![10, 20, 30], vec![3]),
            (2, 100, vec![10, 20, 30], vec![2, 1]),
            (10, 40, vec![10, 20, 30], vec![2, 1]),
            (10, 5, vec![10, 20, 30], vec![1, 1, 1]),
            (10, 30, vec![50, 10, 20, 1], vec![1, 2, 1]),
            (0, 30, vec![1, 1], vec![1, 1]),
            (3, 30, vec![], vec![]),
        ] {
            let waiting = sizes.iter().enumerate().map(|(index, bytes)| Waiting {
                id: index.to_string(),
                bytes: *bytes,
                created_at: 0,
            });
            let collecting = Collecting { wait: Duration::ZERO, items, bytes };
            let batches = split(waiting.collect(), collecting);
            let lengths: Vec<usize> = batches.iter().map(Vec::len).collect();
            assert_eq!(lengths, expected, "{items} {bytes} {sizes:?}");
        }
    }
}
