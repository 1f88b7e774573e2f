//! Answers of batches to AI calls of orders that have ended.

use sitewright_model::ai::{JournalKey, NewBatchCall};

use super::*;

on_both!(an_answer_that_no_order_reads_is_charged_once);

mod tests {
    use super::*;

    pub(super) async fn an_answer_that_no_order_reads_is_charged_once(place: Place) {
        let database = place.open().await;
        database.enqueue(new_order("a")).await.unwrap();
        let claimed = taken_by(&database, "a", "w").await;
        for request in ["read", "shared", "unread"] {
            let call = NewBatchCall {
                key: JournalKey { request: request.to_owned(), occurrence: 0 },
                purpose: "copywriting".to_owned(),
                route: "default".to_owned(),
                provider: "p".to_owned(),
                model: "m".to_owned(),
                body: "{}".to_owned(),
            };
            database.add_batch_item("a", call).await.unwrap();
        }
        place.sql("UPDATE sitewright_batch_items SET state = 'answered', answer = '{}'").await;
        assert_eq!(database.unread_answers().await.unwrap(), [], "its order has not ended");

        // A worker that died had stored the reply of one; another order has paid for one.
        let attempt = claimed.attempt.to_string();
        database.keep_reply("a", &attempt, reply("read", 0)).await.unwrap();
        let shared = NewAiCall {
            cost_nano_usd: Some(0),
            entry: json!({ "content": "bread", "cached": true }),
            ..reply("shared", 0)
        };
        database.keep_reply("a", &attempt, shared).await.unwrap();
        release(&database, &claimed, "r1").await;

        let mut charged = Vec::new();
        let unread = database.unread_answers().await.unwrap();
        for answer in &unread {
            let request = answer.key.request.as_str();
            if database.charge_unread(&answer.id, reply(request, 0)).await.unwrap() {
                charged.push(request);
            }
        }
        charged.sort_unstable();
        assert_eq!((unread.len(), charged), (3, vec!["shared", "unread"]));
        assert_eq!(database.unread_answers().await.unwrap(), []);
        for answer in &unread {
            let again = reply(&answer.key.request, 0);
            assert!(!database.charge_unread(&answer.id, again).await.unwrap(), "{answer:?}");
        }
        let cost = database.cost("a").await.unwrap();
        assert_eq!((cost.calls, cost.nano_usd), (4, 3_000));
    }
}
