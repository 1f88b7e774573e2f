//! AI calls that wait for batches, and orders that end meanwhile.

use sitewright_jobs::{BatchItemState, Collecting, DueBatch, OfferedBatch, UnreadAnswer};
use sitewright_model::ai::{BatchedCall, JournalKey, NewBatchCall};

use super::*;

on_both!(
    an_answer_that_no_order_reads_is_charged_once,
    an_order_that_ends_while_its_batch_is_sent_is_charged,
    an_order_that_is_queued_again_waits_for_another_batch,
);

mod tests {
    use super::*;

    fn call(request: &str) -> NewBatchCall {
        NewBatchCall {
            key: JournalKey { request: request.to_owned(), occurrence: 0 },
            purpose: "copywriting".to_owned(),
            route: "default".to_owned(),
            provider: "p".to_owned(),
            model: "m".to_owned(),
            body: "{}".to_owned(),
        }
    }

    /// An attempt whose only AI call waits for a batch.
    async fn waits(database: &Database, order: &str) {
        let claimed = taken_by(database, order, "w").await;
        assert_eq!(database.add_batch_item(order, call("q")).await.unwrap(), BatchedCall::Waits);
        let waits = Resolution::AwaitBatch { reason: message!("a batch has to answer") };
        database.complete(&claimed, &waits, AttemptLimits::default()).await.unwrap();
    }

    /// The number of batches that are made of what waits.
    async fn collected(database: &Database) -> usize {
        let collecting = Collecting { wait: Duration::ZERO, items: 10, bytes: 1_000 };
        database.collect_batches("w", collecting).await.unwrap()
    }

    async fn taken(database: &Database) -> Option<DueBatch> {
        let may = |_: &OfferedBatch| true;
        database.take_due_batch("w", Duration::from_secs(60), &may).await.unwrap()
    }

    async fn items(database: &Database, order: &str) -> usize {
        database.batch_items(order).await.unwrap().len()
    }

    async fn unread(database: &Database) -> Vec<UnreadAnswer> {
        let mut answers = Vec::new();
        for id in database.unread_answers().await.unwrap() {
            answers.extend(database.unread_answer(&id).await.unwrap());
        }
        answers
    }

    pub(super) async fn an_order_that_ends_while_its_batch_is_sent_is_charged(place: Place) {
        let database = place.open().await;
        for order in ["early", "between", "sent", "waits"] {
            database.enqueue(NewOrder { batch: true, ..new_order(order) }).await.unwrap();
            waits(&database, order).await;
        }
        assert_eq!(collected(&database).await, 1);
        let cancel = async |order: &str| {
            let cancelled = database.cancel(order).await.unwrap();
            assert_eq!(cancelled, CancelAnswer::Cancelled, "{order}");
        };

        cancel("early").await;
        assert_eq!(items(&database, "early").await, 0, "nobody can have sent it");
        let batch = taken(&database).await.unwrap();
        cancel("between").await;
        assert_eq!(items(&database, "between").await, 1, "a worker may be sending it");
        let sent = database.items_to_send(&batch.id).await.unwrap();
        assert_eq!(sent.len(), 2, "its worker has not: {sent:?}");
        assert_eq!(items(&database, "between").await, 0);
        cancel("sent").await;

        database.batch_was_sent(&batch.id, "remote", Duration::ZERO).await.unwrap();
        let answers = sent.into_iter().map(|item| (item.id, Ok("{}".to_owned()))).collect();
        let outcome = database.store_batch_answers(&batch.id, answers).await.unwrap();
        assert_eq!((outcome.answers, outcome.unanswered), (2, 0));
        assert_eq!(database.end_batch(&batch.id, "it ended").await.unwrap(), 0);
        let unread = unread(&database).await;
        let orders: Vec<&str> = unread.iter().map(|answer| answer.order.as_str()).collect();
        assert_eq!(orders, ["sent"]);
        assert!(database.charge_unread(&unread[0].id, reply("q", 0)).await.unwrap());
        assert_eq!(database.cost("sent").await.unwrap().calls, 1);
        assert_eq!(database.release_batched_orders().await.unwrap(), 1, "that which waits");
    }

    pub(super) async fn an_order_that_is_queued_again_waits_for_another_batch(place: Place) {
        let database = place.open().await;
        for (order, expected) in [("a", BatchItemState::Open), ("b", BatchItemState::Direct)] {
            database.enqueue(NewOrder { batch: true, ..new_order(order) }).await.unwrap();
            waits(&database, order).await;
            assert_eq!(collected(&database).await, 1);
            let batch = taken(&database).await.unwrap();
            let sent = database.items_to_send(&batch.id).await.unwrap();
            database.batch_was_sent(&batch.id, "remote", Duration::ZERO).await.unwrap();
            let is_cancelled = expected == BatchItemState::Open;
            if is_cancelled {
                database.cancel(order).await.unwrap();
                assert!(!database.is_batch_wanted(&batch.id).await.unwrap());
                database.set_batch_cancelled(&batch.id).await.unwrap();
                database.reopen(order, None).await.unwrap();
                waits(&database, order).await;
            }
            let answers = vec![(sent[0].id.clone(), Err("it was cancelled".to_owned()))];
            let outcome = database.store_batch_answers(&batch.id, answers).await.unwrap();
            assert_eq!(outcome.unanswered, u64::from(!is_cancelled));
            assert_eq!(database.end_batch(&batch.id, "it ended").await.unwrap(), 0);
            let items = database.batch_items(order).await.unwrap();
            assert_eq!((items.len(), items[0].state), (1, expected), "{items:?}");
            assert_eq!(collected(&database).await, usize::from(is_cancelled));
            if is_cancelled {
                let again = taken(&database).await.unwrap();
                let items = database.items_to_send(&again.id).await.unwrap();
                assert_eq!((items.len(), &items[0].body), (1, &sent[0].body));
                database.end_batch(&again.id, "it ended").await.unwrap();
            }
        }
    }

    pub(super) async fn an_answer_that_no_order_reads_is_charged_once(place: Place) {
        let database = place.open().await;
        database.enqueue(NewOrder { batch: true, ..new_order("a") }).await.unwrap();
        let claimed = taken_by(&database, "a", "w").await;
        for request in ["read", "quoting", "shared", "unread", "cut", "cut and shared"] {
            database.add_batch_item("a", call(request)).await.unwrap();
        }
        place.sql("UPDATE sitewright_batch_items SET state = 'answered', answer = '{}'").await;
        assert_eq!(unread(&database).await, [], "its order has not ended");

        // A worker that died had stored the reply of one; another order has paid for one.
        let attempt = claimed.attempt.to_string();
        database.keep_reply("a", &attempt, reply("read", 0)).await.unwrap();
        let shared = NewAiCall {
            cost_nano_usd: Some(0),
            entry: json!({ "content": "bread", "cached": true }),
            ..reply("shared", 0)
        };
        database.keep_reply("a", &attempt, shared).await.unwrap();
        // One has a text that looks like the mark of a shared reply.
        let quoting =
            NewAiCall { entry: json!({ "content": "{\"cached\":true}" }), ..reply("quoting", 0) };
        database.keep_reply("a", &attempt, quoting).await.unwrap();
        // Entries that cannot be read: one was paid for, of the other nothing was counted.
        database.keep_reply("a", &attempt, reply("cut", 0)).await.unwrap();
        let shared =
            NewAiCall { cost_nano_usd: Some(0), input_tokens: None, ..reply("cut and shared", 0) };
        database.keep_reply("a", &attempt, shared).await.unwrap();
        let cut = "UPDATE sitewright_ai_calls SET entry = '{\"content\":\"bread'
             WHERE request LIKE 'cut%'";
        assert_eq!(place.sql(cut).await, 2);
        release(&database, &claimed, "r1").await;

        let mut charged = Vec::new();
        let answers = unread(&database).await;
        for answer in &answers {
            let request = answer.key.request.as_str();
            if database.charge_unread(&answer.id, reply(request, 0)).await.unwrap() {
                charged.push(request);
            }
        }
        charged.sort_unstable();
        assert_eq!((answers.len(), charged), (6, vec!["cut and shared", "shared", "unread"]));
        assert_eq!(unread(&database).await, []);
        for answer in &answers {
            assert_eq!(database.unread_answer(&answer.id).await.unwrap(), None);
            let again = reply(&answer.key.request, 0);
            assert!(!database.charge_unread(&answer.id, again).await.unwrap(), "{answer:?}");
        }
        let cost = database.cost("a").await.unwrap();
        assert_eq!((cost.calls, cost.nano_usd), (8, 6_000));
    }
}
