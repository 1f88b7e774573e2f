//! The reply journal of an order, in the database: a reply is stored before the template sees it,
//! so that no later attempt pays again.

use std::fmt;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use parking_lot::Mutex;
use serde::Deserialize as _;
use serde_json::Value;

use sitewright_ai::{Journal, JournalEntry, JournalKey, Spent, UnusableReply};
use sitewright_jobs::{AiCall, AiFailureSeries, AiTry, Claimed, Database, Error, NewAiCall};
use sitewright_model::ai::{AiErrorKind, Attempt, EstimatedUse, Usd};
use sitewright_model::message;
use sitewright_model::message::Message;

/// The journal of one attempt at one order.
pub(super) struct OrderJournal {
    database: Database,
    order: String,
    attempt: String,
    /// Until when no other attempt can have stored a reply of this order: this is the first
    /// attempt, and no other worker can have rescued the order yet. Later, a worker that was
    /// suspended finds what was paid for meanwhile.
    alone_until: Option<Instant>,
}

impl OrderJournal {
    /// For an attempt that begins now. Other workers rescue its order no earlier than `stale_after`
    /// after its worker's last heartbeat.
    pub(super) fn new(database: Database, claimed: &Claimed, stale_after: Duration) -> Self {
        OrderJournal {
            database,
            order: claimed.order.clone(),
            attempt: claimed.attempt.to_string(),
            alone_until: (claimed.number == 1).then(|| Instant::now() + stale_after / 2),
        }
    }
}

/// The last report that the database does not answer. Of all orders of this process, which has one
/// database: thousands of AI calls may wait for it.
static REPORTED: Mutex<Option<Reported>> = Mutex::new(None);

/// Minimum time between two reports that the database does not answer.
const REPORT_EVERY: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Copy)]
struct Reported {
    at: Instant,
    /// Whether the reason was a full disk.
    full: bool,
}

/// Logs that the database does not answer, unless that was logged lately.
fn report(doing: &str, tries: u32, error: &Error) {
    let full = error.is_disk_full();
    {
        let mut reported = REPORTED.lock();
        let is_known = |last: Reported| last.at.elapsed() < REPORT_EVERY && (last.full || !full);
        if reported.is_some_and(is_known) {
            return;
        }
        *reported = Some(Reported { at: Instant::now(), full });
    }
    if full {
        tracing::warn!(
            doing,
            tries,
            %error,
            "the disk of the database is full; orders wait until there is space, so that no AI \
             call is paid for twice"
        );
    } else {
        tracing::warn!(
            doing,
            tries,
            %error,
            "the database does not answer; the order waits for it, so that no AI call is paid for \
             twice"
        );
    }
}

/// Retries while the database is away: going on without an answer would pay twice, and the attempt
/// could not be completed either. The attempt's deadline or cancellation ends the wait.
pub(super) async fn until_it_answers<T, F>(
    doing: &str,
    mut ask: impl FnMut() -> F + Send,
) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>> + Send,
{
    for tries in 1u32.. {
        match ask().await {
            Err(error) if error.is_transient() => report(doing, tries, &error),
            answer => {
                if tries > 1 && REPORTED.lock().take().is_some() {
                    tracing::info!(doing, tries, "the database answers again");
                }
                return answer;
            }
        }
        tokio::time::sleep(Duration::from_millis(50u64 << tries.min(5))).await;
    }
    unreachable!("the loop has no end")
}

/// The field of a stored reply that has what budgets were charged with for it, if that was estimated.
const ESTIMATED: &str = "estimated";

/// What is stored of a reply.
fn with_estimate(mut entry: Value, estimated: Option<&EstimatedUse>) -> Value {
    if let (Some(entry), Some(estimated)) = (entry.as_object_mut(), estimated) {
        entry.insert(ESTIMATED.to_owned(), serde_json::json!(estimated));
    }
    entry
}

impl OrderJournal {
    /// What the order has used of its budget before this attempt: the replies that were paid for, in
    /// all attempts and of all its documents. Tokens that a provider did not count are estimated, as
    /// they were when the reply came. A database that is away is waited for.
    ///
    /// # Errors
    /// If the database fails.
    pub(super) async fn spent(&self) -> Result<Spent, Error> {
        let (cost, uncounted) = until_it_answers("read what the order has cost", || async {
            let cost = self.database.cost(&self.order).await?;
            let uncounted = self.database.uncounted_replies(&self.order).await?;
            Ok::<_, Error>((cost, uncounted))
        })
        .await?;
        let number = |number: i64| u64::try_from(number).unwrap_or_default();
        let mut calls = number(cost.calls);
        let mut tokens = number(cost.input_tokens).saturating_add(number(cost.output_tokens));
        let mut nanos = number(cost.nano_usd);
        for AiCall { call, .. } in uncounted {
            // The order that shared the reply has paid for it.
            if call.entry["cached"] == true {
                calls = calls.saturating_sub(1);
                continue;
            }
            let estimated = EstimatedUse::deserialize(&call.entry[ESTIMATED]);
            let Ok(EstimatedUse { tokens: charged, cost_usd }) = estimated else { continue };
            let [input, output, paid] = [call.input_tokens, call.output_tokens, call.cost_nano_usd]
                .map(Option::unwrap_or_default);
            let counted = input.saturating_add(output);
            tokens = tokens.saturating_add(charged.saturating_sub(counted));
            nanos = nanos.saturating_add(cost_usd.nanos().saturating_sub(paid));
        }
        Ok(Spent { calls, tokens, cost_usd: Usd::from_nanos(nanos) })
    }

    /// Whether another attempt owns the order. A reply may also be stored already because the
    /// answer to storing it was lost with a connection, or because it could not be looked up.
    async fn is_lost(&self) -> bool {
        let order =
            until_it_answers("read the owner of the order", || self.database.order(&self.order))
                .await;
        match order {
            Ok(order) => order.owner_attempt.as_deref() != Some(&*self.attempt),
            Err(error) => {
                tracing::warn!(order = self.order, attempt = self.attempt, %error, "it cannot be read which attempt owns the order");
                false
            }
        }
    }
}

impl fmt::Debug for OrderJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OrderJournal")
            .field("order", &self.order)
            .field("attempt", &self.attempt)
            .finish()
    }
}

#[async_trait]
impl Journal for OrderJournal {
    async fn lookup(&self, key: &JournalKey) -> Option<JournalEntry> {
        if self.alone_until.is_some_and(|until| Instant::now() < until) {
            return None;
        }
        let found = until_it_answers("look up an AI reply", || {
            self.database.reply(&self.order, &key.request, key.occurrence)
        })
        .await;
        let call = match found {
            Ok(call) => call?,
            Err(error) => {
                tracing::warn!(
                    order = self.order,
                    %error,
                    "cannot read whether this AI call was paid for before, so it is made again"
                );
                return None;
            }
        };
        match serde_json::from_value(call.call.entry) {
            Ok(entry) => Some(entry),
            Err(error) => {
                tracing::warn!(order = self.order, %error, "a reply in the database cannot be read, so its AI call is made again");
                None
            }
        }
    }

    fn failed(&self, attempt: &Attempt, kind: AiErrorKind) {
        self.database.ai_counts().add_failure(AiFailureSeries {
            provider: attempt.provider.clone(),
            model: attempt.model.clone(),
            kind: kind.as_str(),
            sent: !attempt.not_sent,
        });
    }

    async fn store(&self, entry: &JournalEntry) -> Result<(), Message> {
        let failed = |error: &dyn fmt::Display| {
            message!(
                "the AI reply of order {:?} could not be stored in the database: {error}",
                self.order
            )
        };
        let call = NewAiCall {
            request: entry.key.request.clone(),
            occurrence: entry.key.occurrence,
            purpose: entry.purpose.clone(),
            provider: entry.provider.clone(),
            model: entry.model.clone(),
            // The order that shares the reply has paid for it.
            cost_nano_usd: entry.cost_usd.map(|cost| if entry.cached { 0 } else { cost.nanos() }),
            input_tokens: entry.usage.input_tokens.filter(|_| !entry.cached),
            output_tokens: entry.usage.output_tokens.filter(|_| !entry.cached),
            took_ms: entry.took_ms,
            tries: entry.tries.iter().map(AiTry::from).collect(),
            entry: with_estimate(
                serde_json::to_value(entry).map_err(|error| failed(&error))?,
                entry.estimated.as_deref(),
            ),
        };
        let kept = until_it_answers("store an AI reply", || {
            self.database.keep_reply(&self.order, &self.attempt, call.clone())
        });
        match kept.await {
            Ok(true) => Ok(()),
            Ok(false) if self.is_lost().await => Err(message!(
                "order {:?} was given to another worker since this one's heartbeat was stale: \
                 this reply does not count",
                self.order
            )),
            Ok(false) => Ok(()),
            Err(error) => Err(failed(&error)),
        }
    }

    async fn account(&self, unusable: &UnusableReply) -> Result<(), Message> {
        self.account_unusable(unusable).await
    }
}

impl OrderJournal {
    /// Stores what an unusable reply cost.
    async fn account_unusable(&self, unusable: &UnusableReply) -> Result<(), Message> {
        let failed = |error: &dyn fmt::Display| {
            message!(
                "the cost of an unusable AI reply of order {:?} could not be stored in the \
                 database: {error}",
                self.order
            )
        };
        let call = unusable_call(unusable);
        let stored = until_it_answers("store the cost of an AI reply", || {
            self.database.keep_unusable(&self.order, &self.attempt, call.clone())
        });
        stored.await.map_err(|error| failed(&error))
    }
}

/// What is stored of a reply that was paid for and that no call can use.
pub(super) fn unusable_call(unusable: &UnusableReply) -> NewAiCall {
    let entry = serde_json::json!({ "unusable": unusable });
    NewAiCall {
        request: unusable.key.request.clone(),
        occurrence: unusable.key.occurrence,
        purpose: unusable.purpose.clone(),
        provider: unusable.provider.clone(),
        model: unusable.model.clone(),
        cost_nano_usd: unusable.cost_usd.map(|cost| cost.nanos()),
        input_tokens: unusable.usage.input_tokens,
        output_tokens: unusable.usage.output_tokens,
        // It would count among the times of good replies, and may be that of a time-out.
        took_ms: None,
        tries: unusable.attempt.as_deref().map(AiTry::from).into_iter().collect(),
        entry: with_estimate(entry, unusable.estimated.as_deref()),
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test has a runtime of its own")]
mod tests {
    use serde_json::json;
    use ulid::Ulid;

    use super::*;
    use sitewright_jobs::{AiCallBrief, Claim, NewOrder, Resolution, WorkerId};
    use sitewright_model::ai::Usage;

    #[tokio::test]
    async fn d1_a_reply_that_is_there_already_ends_the_run_only_when_the_order_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/orders.db", folder.path().display());
        let database = Database::open(&url).await.unwrap();
        database.migrate().await.unwrap();
        database.enqueue(NewOrder::new("24", "flora", "{}".to_owned())).await.unwrap();
        let job = database.order("24").await.unwrap().job_id.unwrap();
        let worker = WorkerId { client: "w".to_owned(), config_version: None };
        let Claim::Claimed(claimed, _) =
            database.claim("24", job, &worker, Ulid::generate()).await.unwrap()
        else {
            panic!("not claimed");
        };
        let journal = OrderJournal::new(database.clone(), &claimed, Duration::from_secs(20));
        let mut entry: JournalEntry = serde_json::from_value(json!({
            "request": "q", "occurrence": 0, "purpose": "copywriting", "content": "Bread.", "finish_reason": "stop",
            "usage": { "input_tokens": 1, "output_tokens": 1 }, "provider": "p", "model": "m"
        }))
        .unwrap();
        entry.took_ms = Some(12);
        let attempt = |status: u16, outcome: &str| -> Attempt {
            serde_json::from_value(json!({
                "provider": "p", "model": "m", "started_ms": 1, "duration_ms": 12,
                "status": status, "outcome": outcome, "body_excerpt": "not kept",
            }))
            .unwrap()
        };
        entry.tries = vec![attempt(503, "overloaded"), attempt(200, "succeeded")];
        journal.store(&entry).await.unwrap();
        let kept = database.ai_calls("24").await.unwrap().remove(0).call;
        let statuses: Vec<_> = kept.tries.iter().map(|one| one.status).collect();
        assert_eq!(statuses, [Some(503), Some(200)]);
        assert!(!format!("{kept:?}").contains("not kept"), "{kept:?}");
        let latencies = database.ai_latencies(0, i64::MAX, None).await.unwrap();
        assert_eq!(latencies.iter().map(|of| of.p50_ms).collect::<Vec<_>>(), [12]);
        // The answer was lost with its connection, and the reply is stored once more.
        journal.store(&entry).await.unwrap();

        // What cannot be used is paid for all the same, and no later attempt finds it.
        let unusable = UnusableReply {
            key: JournalKey { request: "q2".to_owned(), occurrence: 0 },
            purpose: "copywriting".to_owned(),
            provider: "p".to_owned(),
            model: "m".to_owned(),
            usage: Usage::of(100, 50),
            cost_usd: Some(Usd::from_dollars(0.5)),
            estimated: None,
            kind: sitewright_model::ai::AiErrorKind::Truncated,
            message: None,
            attempt: Some(Box::new(attempt(200, "truncated"))),
        };
        for _ in 0..2 {
            journal.account(&unusable).await.unwrap();
        }
        let calls = database.ai_calls_in_brief("24", 10).await.unwrap();
        assert!(calls.iter().all(|call| call.took_ms == Some(12)), "{calls:?}");
        let tried = |call: &AiCallBrief| {
            call.tries.iter().map(|one| one.outcome.as_str()).collect::<Vec<_>>()
        };
        let outcomes: Vec<_> = calls.iter().map(tried).collect();
        assert_eq!(
            outcomes,
            [vec!["overloaded", "succeeded"], vec!["truncated"], vec!["truncated"]]
        );
        let latencies = database.ai_latencies(0, i64::MAX, None).await.unwrap();
        assert_eq!(latencies.iter().map(|of| of.replies).collect::<Vec<_>>(), [1], "good ones");
        let cost = database.cost("24").await.unwrap();
        assert_eq!((cost.calls, cost.input_tokens, cost.output_tokens), (3, 201, 101));
        assert_eq!(cost.nano_usd, 1_000_000_000);
        assert!(database.reply("24", "q2", 0).await.unwrap().is_none());

        // The budget goes on from what it was charged with: what a provider did not count was
        // estimated, and a reply of another order is free.
        let used = EstimatedUse { tokens: 40, cost_usd: Usd::from_dollars(0.25) };
        let estimated = Some(Box::new(used));
        let uncounted = Usage { input_tokens: Some(30), ..Usage::default() };
        let of = |request: &str| JournalKey { request: request.to_owned(), occurrence: 0 };
        for entry in [
            JournalEntry { key: of("q3"), cached: true, ..entry.clone() },
            JournalEntry {
                key: of("q4"),
                usage: Usage::default(),
                estimated: estimated.clone(),
                ..entry.clone()
            },
            JournalEntry {
                key: of("q5"),
                usage: uncounted,
                estimated: estimated.clone(),
                ..entry.clone()
            },
        ] {
            journal.store(&entry).await.unwrap();
            let stored = database.reply("24", &entry.key.request, 0).await.unwrap().unwrap();
            serde_json::from_value::<JournalEntry>(stored.call.entry).unwrap();
        }
        let lost = UnusableReply { usage: Usage::default(), cost_usd: None, estimated, ..unusable };
        journal.account(&lost).await.unwrap();
        let spent = journal.spent().await.unwrap();
        assert_eq!((spent.calls, spent.tokens), (6, 302 + 3 * 40));
        assert_eq!(spent.cost_usd, Usd::from_dollars(1.0 + 3.0 * 0.25));

        database
            .complete(
                &claimed,
                &Resolution::ReturnToQueue,
                sitewright_jobs::AttemptLimits::default(),
            )
            .await
            .unwrap();
        let lost = journal.store(&entry).await.unwrap_err();
        assert!(lost.to_string().contains("given to another worker"), "{lost}");
    }
}
